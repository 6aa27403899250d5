//! Replies that the receiving thread of a split WebSocket owes to the peer, and how the two threads wait for each other.
//!
//! The replies themselves are in [`PendingReplies`]. Threads need two things more. A thread that waits must look after the
//! other one's timers from time to time ([`ThreadReplies::nap`]), and a reader whose peer has ended its half waits for the
//! writer to finish.

use core::ops::Deref;
use core::time::Duration;
use std::prelude::v1::*;
use std::thread::{self, Thread};

use crate::adapters::lock::lock;
use crate::adapters::pending_replies::PendingReplies;
use crate::adapters::sync::Mutex;
use crate::{Outbox, Sender};

/// The least time for which the halves do not look after each other.
pub(super) const SHORTEST_NAP: Duration = Duration::from_millis(50);

/// What the two threads have to tell each other.
#[derive(Debug)]
pub(super) struct ThreadReplies {
    pending: PendingReplies,
    nap: Option<Duration>,
    /// The thread that receives, while it waits until nobody writes.
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

    /// For how long one half may wait without looking what the other one does: no timer that the other one
    /// starts meanwhile runs out before.
    pub(super) const fn nap(&self) -> Option<Duration> {
        self.nap
    }

    /// Has the current thread wait for `most` at the longest, unless `is_free`: until another thread
    /// [wakes it](Self::wake_reader).
    pub(super) fn wait_unless(&self, is_free: impl FnOnce() -> bool, most: Duration) {
        *lock(&self.waiting) = Some(thread::current());
        // A writer that leaves after this thread has put itself here finds it. One that left before has made it free.
        if !is_free() {
            thread::park_timeout(most);
        }
        *lock(&self.waiting) = None;
    }

    /// Wakes the thread that waits, if one does.
    pub(super) fn wake_reader(&self) {
        if let Some(reader) = lock(&self.waiting).take() {
            reader.unpark();
        }
    }
}
