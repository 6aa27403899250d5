//! What two tasks take turns at, without a wake-up that is lost.

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

/// Something for two tasks, one at a time, neither of which ever blocks.
///
/// Whoever finds it locked is woken when it is free. What is inside waits with a waker that wakes both: a
/// stream remembers only whoever asked last.
pub(super) struct SharedLock<T> {
    inside: Mutex<T>,
    wakers: Arc<Wakers>,
    /// Of `wakers`.
    both: Waker,
}

/// The wakers of two tasks. As a waker it wakes both.
#[derive(Default)]
pub(super) struct Wakers {
    reader: Mutex<Waiting>,
    writer: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    waker: Option<Waker>,
    /// It waits for its turn, and not only for what is inside.
    turn: bool,
}

impl<T> SharedLock<T> {
    pub(super) fn new(inside: T) -> Self {
        let wakers = Arc::<Wakers>::default();
        Self { inside: Mutex::new(inside), both: Arc::clone(&wakers).into(), wakers }
    }

    /// Polls what is inside, once it is the turn of `side`. If `poll` finds that the other task should look
    /// as well, it says so by its last argument.
    ///
    /// Where it is not ready it is polled twice: only when it has been pending with the task's waker in its
    /// place is it known that nothing has happened before it was.
    pub(super) fn poll<O>(
        &self,
        side: Side,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut T, &mut Context<'_>, &mut bool) -> Poll<O>,
    ) -> Poll<O> {
        let mut placed = None;
        if side == Side::Reader {
            // It nearly always has to wait.
            self.wakers.of(side).wait(cx.waker(), false);
            placed = Some(false);
        }
        loop {
            let mut news = false;
            let polled = try_lock(&self.inside)
                .map(|mut inside| poll(&mut inside, &mut Context::from_waker(&self.both), &mut news));
            let turn = polled.is_none();
            match polled {
                Some(polled) => {
                    // The other task may have come while this was locked.
                    self.wakers.of(side.other()).wake(!news);
                    if polled.is_ready() || placed.is_some() {
                        return polled;
                    }
                }
                None if placed == Some(true) => return Poll::Pending,
                None => {}
            }
            self.wakers.of(side).wait(cx.waker(), turn);
            placed = Some(turn);
        }
    }

    /// Has the other task look, if it waits.
    pub(super) fn wake(&self, side: Side) {
        self.wakers.of(side).wake(false);
    }

    /// Does something to what is inside that does not wait, where nobody is at it.
    pub(super) fn peek<O>(&self, side: Side, look: impl FnOnce(&mut T) -> O) -> Option<O> {
        let seen = try_lock(&self.inside).map(|mut inside| look(&mut inside))?;
        // The other task may have come while this was locked.
        self.wakers.of(side.other()).wake(true);
        Some(seen)
    }
}

impl Wakers {
    /// The task of one side waits, and not for its turn.
    pub(super) fn wait(&self, side: Side, waker: &Waker) {
        self.of(side).wait(waker, false);
    }

    /// Wakes the task of one side, if it waits.
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

/// What is done with one task's place.
trait Place {
    fn wait(&self, waker: &Waker, turn: bool);
    fn wake(&self, turn_only: bool);
}

impl Place for Mutex<Waiting> {
    fn wait(&self, waker: &Waker, turn: bool) {
        {
            let mut waiting = lock(self);
            waiting.turn = turn;
            if waiting.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
                return;
            }
        }
        // A waker is another's code, which may wake a task here when it is cloned or dropped: not under the lock.
        let waker = waker.clone();
        let before = {
            let mut waiting = lock(self);
            waiting.turn = turn;
            waiting.waker.replace(waker)
        };
        drop(before);
    }

    fn wake(&self, turn_only: bool) {
        let woken = {
            let mut waiting = lock(self);
            if turn_only && !waiting.turn {
                return;
            }
            waiting.turn = false;
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
        Place::wake(&self.reader, false);
        Place::wake(&self.writer, false);
    }
}

impl<T> fmt::Debug for SharedLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedLock").finish_non_exhaustive()
    }
}
