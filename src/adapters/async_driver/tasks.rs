//! Wakers for a WebSocket that two tasks use in turns, one to receive and one to send, without splitting it.
//!
//! `futures_util::StreamExt::split` puts a WebSocket behind a lock of its own. A stream remembers, for each direction,
//! only the waker that it was polled with last. The task that receives also writes the queue, so its waker would
//! replace that of the task that waits for the write. That task would never be woken.
//!
//! [`Tasks`] notices when a second task polls while the first one waits. From then on the stream and the timer are
//! polled with a waker that wakes both tasks. With one task, which is the usual case, its own waker is used, and the
//! cost is one comparison per wait.
//!
//! Not here: the halves of `WebSocket::split`, which share a [`SharedLock`](super::shared_lock::SharedLock).
//!
//! Invariants:
//! - The waker of a task is registered before anything is polled for it, once there are two tasks.
//! - A task that changes a watched value wakes the other one. One task that uses both sides is woken once at most for
//!   each poll of the other side, so that it cannot spin.

use std::prelude::v1::*;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::shared_lock::{Side, Wakers};

/// The tasks that wait for a WebSocket.
#[derive(Default)]
pub(super) struct Tasks {
    /// The waker of the task that waited last, while there is only one task.
    waiting: Option<Waker>,
    /// The sides that wait, as the bits of [`Side::bit`].
    sides: u8,
    /// The wakers of both tasks, once there have been two.
    both: Option<Box<Both>>,
}

/// A WebSocket that two tasks may use in turns.
pub(super) trait UsedByTasks {
    /// The state that one task can change while the other one waits for it.
    type Watched: PartialEq;

    fn tasks(&mut self) -> &mut Tasks;
    fn watched(&self) -> Self::Watched;
}

/// Calls `poll` for the task of `side`, with a waker that also wakes the task of the other side if there is one.
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

/// The wakers of two tasks.
struct Both {
    wakers: Arc<Wakers>,
    /// The waker made of `wakers`, which wakes both tasks.
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

    /// Registers the task of `side`, and returns the waker that it must poll with instead of its own. Returns `None` if
    /// no other task waits.
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
        // Register before anything is polled, so that each event from then on wakes this task.
        both.wakers.wait(side, waker);
        Some(both.waker.clone())
    }

    /// Records whether the task of `side` waits after its poll.
    #[inline(always)]
    fn end(&mut self, side: Side, waker: &Waker, pending: bool) {
        if !pending {
            self.sides &= !side.bit();
        } else if self.waiting.as_ref().is_some_and(|waiting| waiting.will_wake(waker)) {
            self.sides |= side.bit();
        } else if self.both.is_none() {
            // No other task waits: with two of them, `both` would be set.
            (self.waiting, self.sides) = (Some(waker.clone()), side.bit());
        }
    }

    /// Wakes the task of the other side, because a watched value has changed.
    fn wake_other(&mut self, side: Side) {
        let other = side.other().bit();
        match &self.both {
            Some(both) => both.wakers.wake_one(side.other()),
            // There is one task, which may have polled its other side before this one.
            None if self.sides & other != 0 => {
                // Wake it once, until it polls that side again. It may never do so, since the call may have been
                // dropped, and a task that wakes itself with each poll would spin.
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
