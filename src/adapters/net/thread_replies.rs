//! Replies of the receiving thread of a split WebSocket, and how the reading and the writing threads wait for each
//! other.
//!
//! [`PendingReplies`] stores the replies for all adapters. Threads need more, which is here:
//! - An upper bound for the time in which one half does not look at the timers: [`ThreadReplies::nap`]. The other half
//!   may start a timer meanwhile.
//! - Messages of writers that do not wait for the lock, and the state of the sender for them:
//!   [`ThreadReplies::messages`] and [`ThreadReplies::status`].
//! - A place where the reader waits until no thread writes: [`ThreadReplies::wait_unless`]. The reader needs it when
//!   its peer has half-closed the stream.
//! - A Close that a thread wants to send while another one writes: [`ThreadReplies::request_close`]. The writing thread
//!   queues it, so that the close timeout bounds the write that the Close waits for.
//!
//! `split.rs` has the lock of the write queue. The thread that holds the lock applies the replies.

use core::ops::Deref;
use core::time::Duration;
use std::prelude::v1::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};

use crate::adapters::lock::lock;
use crate::adapters::pending_replies::PendingReplies;
use crate::adapters::sync::Mutex;
use crate::adapters::waiting_messages::{SenderStatus, WaitingMessages};
use crate::{CloseCode, CloseReason, Instant, Outbox, SendError, Sender, SendingHalf};

/// Lower bound of [`ThreadReplies::nap`]: with shorter timers, a half still looks at them only this often.
pub(super) const SHORTEST_NAP: Duration = Duration::from_millis(50);

/// The stored replies, and the waiting state of the two halves.
#[derive(Debug)]
pub(super) struct ThreadReplies {
    pending: PendingReplies,
    /// Messages of writers that did not wait for the lock.
    messages: WaitingMessages,
    /// The state of the sender, for writers that do not wait for the lock.
    status: SenderStatus,
    /// The shortest timeout that the connection can start, or [`SHORTEST_NAP`] if that is longer. `None` without
    /// timers.
    nap: Option<Duration>,
    /// The receiving thread, while it waits until no thread writes.
    waiting: Mutex<Option<Thread>>,
    close: Mutex<Option<RequestedClose>>,
    /// True while `close` has a request. Lets the sending half skip the lock.
    close_requested: AtomicBool,
}

/// A Close that waits for the thread that writes.
#[derive(Debug)]
struct RequestedClose {
    code: Option<CloseCode>,
    reason: CloseReason,
    result: CloseResult,
}

/// The result of a requested Close, once it was queued or refused.
pub(super) type CloseResult = Arc<OnceLock<Result<(), SendError>>>;

impl Deref for ThreadReplies {
    type Target = PendingReplies;

    fn deref(&self) -> &PendingReplies {
        &self.pending
    }
}

impl ThreadReplies {
    pub(super) fn new(sender: &Sender<Outbox>) -> Self {
        let nap = sender.shortest_timeout().map(|time| time.max(SHORTEST_NAP));
        Self {
            pending: PendingReplies::new(sender),
            messages: WaitingMessages::new(),
            status: SenderStatus::new(sender),
            nap,
            waiting: Mutex::new(None),
            close: Mutex::new(None),
            close_requested: AtomicBool::new(false),
        }
    }

    /// Returns the messages of writers that did not wait for the lock.
    pub(super) const fn messages(&self) -> &WaitingMessages {
        &self.messages
    }

    /// Returns the state of the sender when the lock was released last, or while a write blocks.
    pub(super) const fn status(&self) -> &SenderStatus {
        &self.status
    }

    /// Moves the messages that wait, all stored replies and a requested Close into the write queue, and credits received
    /// input to the timers.
    pub(super) fn apply(&self, half: &mut impl SendingHalf, now: Instant) {
        // Before the replies: a message that was accepted goes out before the answer to a Close.
        self.messages.apply(half);
        self.pending.apply(half, now);
        if !self.close_requested.load(Ordering::Acquire) {
            return;
        }
        let mut close = lock(&self.close);
        self.close_requested.store(false, Ordering::Release);
        if let Some(RequestedClose { code, reason, result }) = close.take() {
            // Nothing else sets the result.
            let _ = result.set(half.close(now, code, reason.as_str()));
        }
    }

    /// Asks the thread that writes to queue a Close, and returns the place of its result.
    ///
    /// Returns `None` if the reason is too long, or if another thread has asked before. The caller then waits for the
    /// lock, and gets the error from the core.
    pub(super) fn request_close(&self, code: Option<CloseCode>, reason: &str) -> Option<CloseResult> {
        let reason = CloseReason::new(reason)?;
        let mut close = lock(&self.close);
        if close.is_some() {
            return None;
        }
        let result = CloseResult::default();
        *close = Some(RequestedClose { code, reason, result: Arc::clone(&result) });
        self.close_requested.store(true, Ordering::Release);
        Some(result)
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
