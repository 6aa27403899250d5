//! The tasks that wait for one WebSocket, where they are two: one that receives and one that sends.
//!
//! `futures_util::StreamExt::split` lets two tasks use a WebSocket in turns. A stream remembers, for each direction, only
//! the waker that it was polled with last. So the task that receives, which writes what the other one has queued, would
//! take the place of the one that waits until it is written, and that one would sleep for ever.
//!
//! [`Tasks`] notices when a second task comes while the first one waits. From then on the stream and the timer are polled
//! with a waker that wakes both. As long as there is one task, which is the usual case, its own waker is used, and this
//! costs one comparison a wait.
//!
//! Two halves of a WebSocket do not need it: they share a [`SharedLock`](super::shared_lock::Turnstile).

use std::prelude::v1::*;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::shared_lock::{Side, Wakers};

/// Who waits for a WebSocket.
#[derive(Default)]
pub(super) struct Tasks {
    /// The task that waited last, as long as it waits.
    waiting: Option<Waker>,
    /// Which of its sides wait, a bit each.
    sides: u8,
    /// Both tasks, once there have been two.
    both: Option<Box<Both>>,
}

/// What two tasks use in turns.
pub(super) trait UsedByTasks {
    /// What one task may wait for that the other one does.
    type Watched: PartialEq;

    fn tasks(&mut self) -> &mut Tasks;
    fn watched(&self) -> Self::Watched;
}

/// Polls for the task of `side`, beside which another one may wait for the other side.
#[inline(always)]
pub(super) fn poll_as<U: UsedByTasks, T>(
    used: &mut U,
    side: Side,
    cx: &Context<'_>,
    poll: impl FnOnce(&mut U, &mut Context<'_>) -> Poll<T>,
) -> Poll<T> {
    let (mut watched, mut both) = (None, None);
    if used.tasks().other_waits(side) {
        watched = Some(used.watched());
        both = used.tasks().begin_beside_another(side, cx.waker());
    }
    let polled = poll(used, &mut Context::from_waker(both.as_ref().unwrap_or_else(|| cx.waker())));
    used.tasks().end(side, cx.waker(), polled.is_pending());
    if watched.is_some_and(|before| before != used.watched()) {
        used.tasks().wake_other(side);
    }
    polled
}

struct Both {
    wakers: Arc<Wakers>,
    /// Of `wakers`.
    waker: Waker,
}

impl Side {
    const fn bit(self) -> u8 {
        match self {
            Self::Reader => 1,
            Self::Writer => 2,
        }
    }
}

impl Tasks {
    /// Whether the task of the other side may be waiting.
    #[inline(always)]
    const fn other_waits(&self, side: Side) -> bool {
        self.sides & side.other().bit() != 0 || self.both.is_some()
    }

    /// The waker for the task of `side` to poll with instead of its own, where another task waits.
    #[cold]
    #[inline(never)]
    fn begin_beside_another(&mut self, side: Side, waker: &Waker) -> Option<Waker> {
        if self.both.is_none() {
            let waiting = self.waiting.as_ref()?;
            if waiting.will_wake(waker) {
                return None;
            }
            let wakers = Arc::<Wakers>::default();
            wakers.wait(side.other(), waiting);
            let waker = Arc::clone(&wakers).into();
            self.both = Some(Box::new(Both { wakers, waker }));
        }
        let both = self.both.as_ref()?;
        // Before anything is polled: what happens after that must wake this task.
        both.wakers.wait(side, waker);
        Some(both.waker.clone())
    }

    /// The task of `side` has polled, and is `pending` or not.
    #[inline(always)]
    fn end(&mut self, side: Side, waker: &Waker, pending: bool) {
        if !pending {
            self.sides &= !side.bit();
        } else if self.waiting.as_ref().is_some_and(|waiting| waiting.will_wake(waker)) {
            self.sides |= side.bit();
        } else if self.both.is_none() {
            // Nobody else waits, or there would be both.
            (self.waiting, self.sides) = (Some(waker.clone()), side.bit());
        }
    }

    /// The task of the other side has something to look at.
    fn wake_other(&mut self, side: Side) {
        let other = side.other().bit();
        match &self.both {
            Some(both) => both.wakers.wake_one(side.other()),
            // The same task, which may have polled its other side before this one.
            None if self.sides & other != 0 => {
                // It is woken once. It waits again when it has polled that side again, which it may never do: the call
                // may have been dropped, and a task that wakes itself with each poll would spin.
                self.sides &= !other;
                if let Some(waiting) = &self.waiting {
                    waiting.wake_by_ref();
                }
            }
            None => {}
        }
    }
}

impl core::fmt::Debug for Tasks {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Tasks").field("two", &self.both.is_some()).finish_non_exhaustive()
    }
}
