//! Replies of the receiving thread of a split WebSocket, and how the reading and the writing threads wait for each
//! other.
//!
//! [`PendingReplies`] stores the replies for all adapters. Two threads need two things more, which are here:
//! - An upper bound for the time in which one half does not look at the timers: [`ThreadReplies::nap`]. The other half
//!   may start a timer meanwhile.
//! - A place where the reader waits until no thread writes: [`ThreadReplies::wait_unless`]. The reader needs it when
//!   its peer has half-closed the stream.
//!
//! `split.rs` has the lock of the write queue. The thread that holds the lock applies the replies.

use core::ops::Deref;
use core::time::Duration;
use std::prelude::v1::*;
use std::thread::{self, Thread};

use crate::adapters::lock::lock;
use crate::adapters::pending_replies::PendingReplies;
use crate::adapters::sync::Mutex;
use crate::{Outbox, Sender};

/// Lower bound of [`ThreadReplies::nap`]: with shorter timers, a half still looks at them only this often.
pub(super) const SHORTEST_NAP: Duration = Duration::from_millis(50);

/// The stored replies, and the waiting state of the two halves.
#[derive(Debug)]
pub(super) struct ThreadReplies {
    pending: PendingReplies,
    /// The shortest timeout that the connection can start, or [`SHORTEST_NAP`] if that is longer. `None` without
    /// timers.
    nap: Option<Duration>,
    /// The receiving thread, while it waits until no thread writes.
    waiting: Mutex<Option<Thread>>,
}

impl Deref for ThreadReplies {
    type Target = PendingReplies;

    fn deref(&self) -> &PendingReplies {
        &self.pending
    }
}

impl ThreadReplies {
    pub(super) fn new(sender: &Sender<Outbox>) -> Self {
        let nap = sender.shortest_timeout().map(|time| time.max(SHORTEST_NAP));
        Self { pending: PendingReplies::new(sender), nap, waiting: Mutex::new(None) }
    }

    /// Returns for how long one half may block without a look at the timers.
    ///
    /// A timer of at least [`SHORTEST_NAP`] that the other half starts meanwhile is due at the end of that time at the
    /// earliest. A shorter timer can be handled late by [`SHORTEST_NAP`].
    pub(super) const fn nap(&self) -> Option<Duration> {
        self.nap
    }

    /// Blocks the current thread until another thread [wakes it](Self::wake_reader), but for `most` at the longest.
    /// Returns at once if `is_free` returns `true`.
    pub(super) fn wait_unless(&self, is_free: impl FnOnce() -> bool, most: Duration) {
        *lock(&self.waiting) = Some(thread::current());
        // The thread is stored before `is_free` is called. A writer that finishes after the store wakes this thread,
        // and one that finished before it makes `is_free` return true.
        if !is_free() {
            thread::park_timeout(most);
        }
        *lock(&self.waiting) = None;
    }

    /// Wakes the thread that waits in [`Self::wait_unless`], if there is one.
    pub(super) fn wake_reader(&self) {
        if let Some(reader) = lock(&self.waiting).take() {
            reader.unpark();
        }
    }
}
