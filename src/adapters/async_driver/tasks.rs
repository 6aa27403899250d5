//! The wakers of a WebSocket that two tasks share without `WebSocket::split`: one task receives, the other sends.
//!
//! `futures_util::StreamExt::split` shares a WebSocket between two tasks under its own lock. A stream stores only one
//! waker for each direction, that of the last poll. The task that receives also writes the queue. So its waker would
//! replace the waker of the task that sends, and the task that sends would never be woken.
//!
//! [`Tasks`] notices when a second task polls while the first task waits. From then on the stream and the timer are
//! polled with a waker that wakes both tasks. Usually there is only one task. The stream is then polled with the waker
//! of this task, and the only cost is one comparison for each wait.
//!
//! The halves of `WebSocket::split` do not use this file. They share a [`SharedLock`](super::shared_lock::SharedLock).
//!
//! Invariants:
//! - If there are two tasks, the waker of a task is registered before the stream or the timer is polled for that task.
//! - A task wakes the other task after a change of the snapshot state ([`UsedByTasks::snapshot`]). If one task polls
//!   both sides, and its poll of one side changes the snapshot state, it is woken to poll the other side. It is not
//!   woken again before it has polled that other side. So the task cannot wake itself without end.

use std::prelude::v1::*;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::shared_lock::{Side, Wakers};

/// The tasks that wait for a WebSocket.
#[derive(Default)]
pub(super) struct Tasks {
    /// The waker of the task that last waited. Used while there is only one task.
    waiting: Option<Waker>,
    /// The sides whose last poll was pending: a combination of the bits of [`Side::bit`].
    sides: u8,
    /// The wakers of both tasks. `Some` after two tasks have waited at the same time.
    both: Option<Box<Both>>,
}

/// A WebSocket that two tasks may share.
pub(super) trait UsedByTasks {
    /// A copy of the state that one task can change while the other task waits for a change.
    ///
    /// Two copies are compared, from before and after a poll. If they differ, the other task is woken.
    type Snapshot: PartialEq;

    fn tasks(&mut self) -> &mut Tasks;
    fn snapshot(&self) -> Self::Snapshot;
}

/// Calls `poll` for the task of `side`. If another task waits, `poll` gets a waker that wakes both tasks. Wakes the
/// other task if `poll` has changed the snapshot state.
#[inline(always)]
pub(super) fn poll_as<U: UsedByTasks, T>(
    used: &mut U,
    side: Side,
    cx: &Context<'_>,
    poll: impl FnOnce(&mut U, &mut Context<'_>) -> Poll<T>,
) -> Poll<T> {
    let (mut snapshot, mut both) = (None, None);
    if used.tasks().other_waits(side) {
        snapshot = Some(used.snapshot());
        both = used.tasks().begin_beside_another(side, cx.waker());
    }
    let polled = poll(used, &mut Context::from_waker(both.as_ref().unwrap_or_else(|| cx.waker())));
    used.tasks().end(side, cx.waker(), polled.is_pending());
    if snapshot.is_some_and(|before| before != used.snapshot()) {
        used.tasks().wake_other(side);
    }
    polled
}

/// The wakers of two tasks.
struct Both {
    wakers: Arc<Wakers>,
    /// A waker that wakes both tasks. It is created from `wakers`.
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
    /// Returns whether a task may be waiting on the other side.
    #[inline(always)]
    const fn other_waits(&self, side: Side) -> bool {
        self.sides & side.other().bit() != 0 || self.both.is_some()
    }

    /// Registers the task of `side`, and returns the waker of both tasks, with which this task must poll. Returns
    /// `None` if no other task waits.
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
        // Register before the stream is polled, so that each event after the poll wakes this task.
        both.wakers.wait(side, waker);
        Some(both.waker.clone())
    }

    /// Records whether the poll of `side` was pending.
    #[inline(always)]
    fn end(&mut self, side: Side, waker: &Waker, pending: bool) {
        if !pending {
            self.sides &= !side.bit();
        } else if self.waiting.as_ref().is_some_and(|waiting| waiting.will_wake(waker)) {
            self.sides |= side.bit();
        } else if self.both.is_none() {
            // No other task waits. If two tasks waited, `both` would be set.
            (self.waiting, self.sides) = (Some(waker.clone()), side.bit());
        }
    }

    /// Wakes the task of the other side, because the snapshot state has changed.
    fn wake_other(&mut self, side: Side) {
        let other = side.other().bit();
        match &self.both {
            Some(both) => both.wakers.wake_one(side.other()),
            // A single task polls both sides, and its last poll of the other side was pending.
            None if self.sides & other != 0 => {
                // Wake the task once, and not again until it has polled the other side. The task may never poll that
                // side again, because the call on that side may have been dropped. A task that wakes itself in each
                // poll would run without end.
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
