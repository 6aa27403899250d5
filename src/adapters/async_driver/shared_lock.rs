//! A lock for two tasks that never blocks a thread and never loses a wakeup.
//!
//! The two halves of a split WebSocket share a stream. A stream remembers, for each direction, only the waker that it
//! was polled with last. So the stream is polled with a waker that wakes both tasks, and each task polls again.
//!
//! A task that finds the lock taken registers its waker, and is woken when the lock is free. The lock is held during
//! one poll, so that wait is short.
//!
//! Not here: the state under the lock (`split`), and two tasks that use a WebSocket without splitting it (`tasks`).
//!
//! Invariants:
//! - A task returns `Pending` only after a poll that began when its waker was registered already. So an event between
//!   the poll and the registration cannot be lost.
//! - A task that releases the lock wakes the other one, if that one waits for the lock.
//! - No waker of a task is cloned, dropped or called while a registration is locked. It is foreign code, which may wake a
//!   task of this lock.
//! - Tests in `tests/loom` run this file in all interleavings.

use core::fmt;
use std::prelude::v1::*;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use crate::adapters::lock::{lock, try_lock};
use crate::adapters::sync::Mutex;

/// One of the two tasks.
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

/// A value for two tasks, used by one at a time, with the wakers of both.
pub(super) struct SharedLock<T> {
    inside: Mutex<T>,
    wakers: Arc<Wakers>,
    /// The waker made of `wakers`, which wakes both tasks.
    both: Waker,
}

/// The registered wakers of two tasks. Used as a waker itself, it wakes both.
#[derive(Default)]
pub(super) struct Wakers {
    reader: Mutex<Waiting>,
    writer: Mutex<Waiting>,
}

/// The registration of one task.
#[derive(Default)]
struct Waiting {
    waker: Option<Waker>,
    /// Whether the task waits for the lock, and not only for the stream.
    for_lock: bool,
}

impl<T> SharedLock<T> {
    pub(super) fn new(inside: T) -> Self {
        let wakers = Arc::<Wakers>::default();
        Self { inside: Mutex::new(inside), both: Arc::clone(&wakers).into(), wakers }
    }

    /// Calls `poll` under the lock for the task of `side`. `poll` sets its last argument to have the other task woken.
    ///
    /// The first pending call is repeated after the waker was registered. Only a call that began after the registration
    /// shows that there was no event before it.
    pub(super) fn poll<O>(
        &self,
        side: Side,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut T, &mut Context<'_>, &mut bool) -> Poll<O>,
    ) -> Poll<O> {
        let mut placed = None;
        if side == Side::Reader {
            // The reader nearly always has to wait, so it registers first and saves the second call.
            self.wakers.of(side).wait(cx.waker(), false);
            placed = Some(false);
        }
        loop {
            let mut wake_other = false;
            let polled = try_lock(&self.inside)
                .map(|mut inside| poll(&mut inside, &mut Context::from_waker(&self.both), &mut wake_other));
            let for_lock = polled.is_none();
            match polled {
                Some(polled) => {
                    // The other task may have found the lock taken meanwhile.
                    self.wakers.of(side.other()).wake(!wake_other);
                    if polled.is_ready() || placed.is_some() {
                        return polled;
                    }
                }
                None if placed == Some(true) => return Poll::Pending,
                None => {}
            }
            self.wakers.of(side).wait(cx.waker(), for_lock);
            placed = Some(for_lock);
        }
    }

    /// Wakes the task of `side`, if it waits.
    pub(super) fn wake(&self, side: Side) {
        self.wakers.of(side).wake(false);
    }

    /// Calls `look` for the task of `side` if the lock is free. Returns `None` if it is taken.
    pub(super) fn peek<O>(&self, side: Side, look: impl FnOnce(&mut T) -> O) -> Option<O> {
        self.try_poll(side, |inside, _, _| look(inside))
    }

    /// Calls `poll` once for the task of `side` if the lock is free, for a call that cannot wait. Returns `None` if the
    /// lock is taken.
    ///
    /// The context wakes both tasks, as in [`Self::poll`], so no task that waits for the stream loses its place. `poll`
    /// sets its last argument to have the other task woken.
    pub(super) fn try_poll<O>(
        &self,
        side: Side,
        poll: impl FnOnce(&mut T, &mut Context<'_>, &mut bool) -> O,
    ) -> Option<O> {
        let mut wake_other = false;
        let polled = try_lock(&self.inside)
            .map(|mut inside| poll(&mut inside, &mut Context::from_waker(&self.both), &mut wake_other))?;
        // The other task may have found the lock taken meanwhile.
        self.wakers.of(side.other()).wake(!wake_other);
        Some(polled)
    }
}

impl Wakers {
    /// Registers the task of `side`, which waits for the stream and not for the lock.
    pub(super) fn wait(&self, side: Side, waker: &Waker) {
        self.of(side).wait(waker, false);
    }

    /// Wakes the task of `side`, if it waits.
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
    /// Wakes the task and removes its waker. With `for_lock_only`, only a task that waits for the lock.
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
        // Clone and drop wakers outside of the lock. They are foreign code, which may wake a task of this lock.
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
