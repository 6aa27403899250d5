//! A lock for two tasks that never blocks a thread and never loses a wakeup.
//!
//! The two halves of a split WebSocket share a stream. A stream stores only one waker for each direction, that of the
//! last poll. So the stream is polled with a waker that wakes both tasks. Each task then polls again.
//!
//! A task that finds the lock taken registers its waker, and is woken when the lock is released. The lock is held only
//! during one poll, so the wait is short.
//!
//! The state under the lock is in `split`. `tasks` is for two tasks that share a WebSocket without splitting it.
//!
//! Invariants:
//! - Before a task returns `Pending`, it registers its waker, and then polls or tries the lock once more. So an event
//!   before the registration is seen by this last attempt, and a later event wakes the task.
//! - A task that releases the lock wakes the other task if the other task waits for the lock.
//! - No waker of a task is cloned, dropped or called while the mutex of a registration is locked. These operations run
//!   code of the runtime, which may wake a task of this lock and then lock the same mutex.
//! - Tests in `tests/loom` run this file in all interleavings.

use core::fmt;
use std::prelude::v1::*;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use crate::adapters::lock::{lock, try_lock};
use crate::adapters::sync::Mutex;

/// One of the two tasks: the reader or the writer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Side {
    Reader,
    Writer,
}

impl Side {
    pub(super) const fn other(self) -> Self {
        match self {
            Self::Reader => Self::Writer,
            Self::Writer => Self::Reader,
        }
    }
}

/// A value that two tasks share, with the wakers of both tasks. One task at a time uses the value.
pub(super) struct SharedLock<T> {
    inside: Mutex<T>,
    wakers: Arc<Wakers>,
    /// A waker that wakes both tasks. It is created from `wakers`.
    both: Waker,
}

/// The registered wakers of two tasks. A [`Waker`] that is made from this type wakes both tasks.
#[derive(Default)]
pub(super) struct Wakers {
    reader: Mutex<Waiting>,
    writer: Mutex<Waiting>,
}

/// The registration of one task.
#[derive(Default)]
struct Waiting {
    waker: Option<Waker>,
    /// Whether the task waits for the lock. If false, the task waits for the stream.
    for_lock: bool,
}

impl<T> SharedLock<T> {
    pub(super) fn new(inside: T) -> Self {
        let wakers = Arc::<Wakers>::default();
        Self { inside: Mutex::new(inside), both: Arc::clone(&wakers).into(), wakers }
    }

    /// Calls `poll` under the lock, on behalf of the task of `side`. If `poll` sets its last argument to true, the
    /// other task is woken.
    ///
    /// If the first call of `poll` is pending, the waker is registered and `poll` is called again. An event between the
    /// first call and the registration would otherwise wake nobody.
    pub(super) fn poll<O>(
        &self,
        side: Side,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut T, &mut Context<'_>, &mut bool) -> Poll<O>,
    ) -> Poll<O> {
        // `Some` after the waker was registered. The value says whether the task waits for the lock.
        let mut registered = None;
        if side == Side::Reader {
            // The reader must nearly always wait. So it registers before the first call of `poll`, and needs no second
            // call.
            self.wakers.of(side).wait(cx.waker(), false);
            registered = Some(false);
        }
        loop {
            let mut wake_other = false;
            let polled = try_lock(&self.inside)
                .map(|mut inside| poll(&mut inside, &mut Context::from_waker(&self.both), &mut wake_other));
            let for_lock = polled.is_none();
            match polled {
                Some(polled) => {
                    // The other task may have found the lock taken. If so, it waits for the lock.
                    self.wakers.of(side.other()).wake(!wake_other);
                    if polled.is_ready() || registered.is_some() {
                        return polled;
                    }
                }
                None if registered == Some(true) => return Poll::Pending,
                None => {}
            }
            self.wakers.of(side).wait(cx.waker(), for_lock);
            registered = Some(for_lock);
        }
    }

    /// Wakes the task of `side` if it waits.
    pub(super) fn wake(&self, side: Side) {
        self.wakers.of(side).wake(false);
    }

    /// If the lock is free, calls `look` with the shared value, on behalf of the task of `side`. Returns `None` if the
    /// lock is taken. `look` may change the value. No waker is registered.
    pub(super) fn try_lock_with<O>(&self, side: Side, look: impl FnOnce(&mut T) -> O) -> Option<O> {
        self.try_poll(side, |inside, _, _| look(inside))
    }

    /// If the lock is free, calls `poll` once, on behalf of the task of `side`. Returns `None` if the lock is taken.
    /// Calls that never wait use this method.
    ///
    /// The context wakes both tasks, as in [`Self::poll`]. So a task that already waits for the stream is still woken.
    /// If `poll` sets its last argument to true, the other task is woken.
    pub(super) fn try_poll<O>(
        &self,
        side: Side,
        poll: impl FnOnce(&mut T, &mut Context<'_>, &mut bool) -> O,
    ) -> Option<O> {
        let mut wake_other = false;
        let polled = try_lock(&self.inside)
            .map(|mut inside| poll(&mut inside, &mut Context::from_waker(&self.both), &mut wake_other))?;
        // The other task may have found the lock taken. If so, it waits for the lock.
        self.wakers.of(side.other()).wake(!wake_other);
        Some(polled)
    }
}

impl Wakers {
    /// Registers the task of `side`, which waits for the stream, not for the lock.
    pub(super) fn wait(&self, side: Side, waker: &Waker) {
        self.of(side).wait(waker, false);
    }

    /// Wakes the task of `side` if it waits.
    pub(super) fn wake_one(&self, side: Side) {
        self.of(side).wake(false);
    }

    const fn of(&self, side: Side) -> &Mutex<Waiting> {
        match side {
            Side::Reader => &self.reader,
            Side::Writer => &self.writer,
        }
    }
}

/// Operations on the registration of one task.
trait WakerSlot {
    /// Registers `waker`.
    fn wait(&self, waker: &Waker, for_lock: bool);
    /// Wakes the task and removes its waker. If `for_lock_only` is true, does this only for a task that waits for the
    /// lock.
    fn wake(&self, for_lock_only: bool);
}

impl WakerSlot for Mutex<Waiting> {
    fn wait(&self, waker: &Waker, for_lock: bool) {
        {
            let mut waiting = lock(self);
            waiting.for_lock = for_lock;
            if waiting.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
                return;
            }
        }
        // Clone and drop wakers while the mutex is not locked. Both run code of the runtime, which may wake a task of
        // this lock.
        let waker = waker.clone();
        let before = {
            let mut waiting = lock(self);
            waiting.for_lock = for_lock;
            waiting.waker.replace(waker)
        };
        drop(before);
    }

    fn wake(&self, for_lock_only: bool) {
        let woken = {
            let mut waiting = lock(self);
            if for_lock_only && !waiting.for_lock {
                return;
            }
            waiting.for_lock = false;
            waiting.waker.take()
        };
        if let Some(waker) = woken {
            waker.wake();
        }
    }
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        WakerSlot::wake(&self.reader, false);
        WakerSlot::wake(&self.writer, false);
    }
}

impl<T> fmt::Debug for SharedLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedLock").finish_non_exhaustive()
    }
}
