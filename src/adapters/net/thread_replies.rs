//! The state through which the threads of a split WebSocket communicate without the lock of the write queue.
//!
//! [`ThreadReplies`] contains a [`PendingReplies`], the type that all adapters use for the replies of the receiving
//! half. Threads also need:
//! - The longest time for which one half may block without checking the timers: [`ThreadReplies::max_block_time`]. The
//!   other half may start a timer during this time.
//! - Messages of calls that do not wait for the lock, and a copy of the state of the sender for such calls:
//!   [`ThreadReplies::messages`] and [`ThreadReplies::status`].
//! - A wait of the reader until no thread writes: [`ThreadReplies::wait_unless`]. The reader waits in this way after
//!   the peer has half-closed the stream.
//! - A Close that one thread sends while another thread writes: [`ThreadReplies::request_close`]. The writing thread
//!   queues this Close behind the message that it writes. The queued Close starts the close timeout, which bounds the
//!   rest of the write.
//!
//! `split.rs` has the lock of the write queue. The thread that holds the lock moves the replies, the messages and the
//! Close to the write queue.

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

/// The minimum of [`ThreadReplies::max_block_time`]. If the connection has shorter timers, a half still checks them
/// only once in this time.
pub(super) const SHORTEST_NAP: Duration = Duration::from_millis(50);

/// The state of a split WebSocket that its threads use without the lock of the write queue.
#[derive(Debug)]
pub(super) struct ThreadReplies {
    pending: PendingReplies,
    /// The times of the reads of the receiving half.
    reads: Mutex<Reads>,
    /// True after a read with input, until [`Self::take_undecoded_since`] is called.
    has_undecoded: AtomicBool,
    /// True if the receiving half has decoded all input and a later read has found nothing, until this is reported to
    /// the timers.
    found_nothing: AtomicBool,
    /// Messages of calls that did not wait for the lock.
    messages: WaitingMessages,
    /// A copy of the state of the sender, for calls that do not wait for the lock.
    status: SenderStatus,
    /// The longest time for which one half may block without checking the timers. It is the shortest timeout of the
    /// connection, but at least [`SHORTEST_NAP`]. `None` if all timers are off.
    max_block_time: Option<Duration>,
    /// The receiving thread while it waits in [`Self::wait_unless`].
    waiting: Mutex<Option<Thread>>,
    /// The Close that a thread has requested, until the writing thread queues it.
    close: Mutex<Option<RequestedClose>>,
    /// True while `close` has a request. If it is false, the writing thread does not lock `close`.
    close_requested: AtomicBool,
}

/// The times of the reads of the receiving half.
#[derive(Clone, Copy, Debug)]
struct Reads {
    /// The time when input was last read from the stream.
    input_at: Instant,
    /// The time when the last read ended, with or without input.
    ended_at: Instant,
    /// The time when the running read began. `None` while no read is running.
    began_at: Option<Instant>,
}

/// A Close that the writing thread must queue.
#[derive(Debug)]
struct RequestedClose {
    code: Option<CloseCode>,
    reason: CloseReason,
    result: CloseResult,
}

/// The result of a requested Close. Empty until the Close was queued or refused.
pub(super) type CloseResult = Arc<OnceLock<Result<(), SendError>>>;

impl Deref for ThreadReplies {
    type Target = PendingReplies;

    fn deref(&self) -> &PendingReplies {
        &self.pending
    }
}

impl ThreadReplies {
    /// Creates the state for the halves of the connection that `sender` belongs to. `read_at` is the time of the last
    /// read. `undecoded_since` is the time of the last read with input, if a part of this input may still be undecoded.
    pub(super) fn new(sender: &Sender<Outbox>, read_at: Instant, undecoded_since: Option<Instant>) -> Self {
        let input_at = undecoded_since.unwrap_or(read_at);
        let max_block_time = sender.shortest_timeout().map(|time| time.max(SHORTEST_NAP));
        Self {
            pending: PendingReplies::new(sender),
            reads: Mutex::new(Reads { input_at, ended_at: read_at, began_at: None }),
            has_undecoded: AtomicBool::new(undecoded_since.is_some()),
            found_nothing: AtomicBool::new(false),
            messages: WaitingMessages::new(),
            status: SenderStatus::new(sender),
            max_block_time,
            waiting: Mutex::new(None),
            close: Mutex::new(None),
            close_requested: AtomicBool::new(false),
        }
    }

    /// Returns the store of messages of calls that did not wait for the lock.
    pub(super) const fn messages(&self) -> &WaitingMessages {
        &self.messages
    }

    /// Returns the copy of the state of the sender. The copy is updated after each write, and when the lock is
    /// released.
    pub(super) const fn status(&self) -> &SenderStatus {
        &self.status
    }

    /// Records that a read has returned input at `now`. This input arrived at `input_at`. If an application pauses
    /// between two receiving calls, the timers still count from `input_at`.
    pub(super) fn set_read_at(&self, input_at: Instant, now: Instant) {
        *lock(&self.reads) = Reads { input_at, ended_at: now, began_at: None };
        self.pending.set_decoded_all(false);
        self.has_undecoded.store(true, Ordering::Release);
        self.pending.received(false);
    }

    /// Records that the receiving half begins to read.
    pub(super) fn read_begins(&self, now: Instant) {
        lock(&self.reads).began_at = Some(now);
    }

    /// Records that a read has ended at `at` without input.
    pub(super) fn read_found_nothing(&self, at: Instant) {
        let mut reads = lock(&self.reads);
        (reads.ended_at, reads.began_at) = (at, None);
    }

    /// Tells the thread that holds the lock: all input is decoded, and a later read has found nothing.
    pub(super) fn all_decoded(&self) {
        self.found_nothing.store(true, Ordering::Release);
    }

    /// Returns for how long nobody has read from the stream. The Pong of a live peer may have waited in the stream for
    /// this time. Returns zero if the receiving half reads now.
    ///
    /// A read that has just begun may not have reached the stream yet. So it counts only after [`SHORTEST_NAP`].
    pub(super) fn unread_for(&self, now: Instant) -> Duration {
        let reads = *lock(&self.reads);
        match reads.began_at {
            Some(began_at) if now.saturating_duration_since(began_at) > SHORTEST_NAP => Duration::ZERO,
            _ => now.saturating_duration_since(reads.ended_at),
        }
    }

    /// Returns the time of the last read with input, if the receiving half has returned an event before it decoded all
    /// of this input. Returns `Some` at most once after each read.
    pub(super) fn take_undecoded_since(&self) -> Option<Instant> {
        let is_new = self.has_undecoded.swap(false, Ordering::AcqRel);
        (is_new && !self.pending.decoded_all()).then(|| lock(&self.reads).input_at)
    }

    /// Moves the waiting messages, the stored replies and a requested Close to the write queue. Reports received input
    /// to the timers. Moves only messages that were stored before [`WaitingMessages::mark`] returned `mark`.
    pub(super) fn apply(&self, half: &mut impl SendingHalf, now: Instant, mark: u64) {
        // The messages come first, because nothing can be sent after the answer to a Close.
        self.messages.apply(half, mark);
        let found_nothing = self.found_nothing.swap(false, Ordering::AcqRel);
        self.pending.apply(half, now, || lock(&self.reads).input_at.min(now));
        if found_nothing {
            half.handle_all_decoded();
        }
        if !self.close_requested.load(Ordering::Acquire) {
            return;
        }
        let mut close = lock(&self.close);
        self.close_requested.store(false, Ordering::Release);
        if let Some(RequestedClose { code, reason, result }) = close.take() {
            // This is the only place that sets the result, so `set` cannot fail.
            let _ = result.set(self.close(half, now, code, reason.as_str()));
        }
    }

    /// Closes the connection after all waiting messages.
    ///
    /// # Errors
    ///
    /// The errors of [`SendingHalf::close`]. Nothing has changed.
    pub(super) fn close(
        &self,
        half: &mut impl SendingHalf,
        now: Instant,
        code: Option<CloseCode>,
        reason: &str,
    ) -> Result<(), SendError> {
        let closed = self.messages.send_all_and_close(half, now, code, reason);
        // The write that follows can block. Meanwhile other threads must not store messages, because these messages
        // would be lost.
        self.status.update(half.sender());
        closed
    }

    /// Asks the writing thread to queue a Close. Returns a reference to the result, which that thread stores.
    ///
    /// Returns `None` if the reason is too long, or if another thread has already requested a Close. After `None` the
    /// caller must wait for the lock, and send the Close itself. If the reason is too long, `Sender::close` returns the
    /// error.
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

    /// Returns the longest time for which one half may block without checking the timers. Returns `None` if all
    /// timers are off.
    ///
    /// The other half may start a timer during this time. A timer of at least [`SHORTEST_NAP`] cannot be due before the
    /// end of this time. A shorter timer can run late, by at most [`SHORTEST_NAP`].
    pub(super) const fn max_block_time(&self) -> Option<Duration> {
        self.max_block_time
    }

    /// Blocks the current thread until another thread calls [`Self::wake_reader`], but not longer than `most`. Returns
    /// at once if `is_free` returns `true`.
    pub(super) fn wait_unless(&self, is_free: impl FnOnce() -> bool, most: Duration) {
        *lock(&self.waiting) = Some(thread::current());
        // The thread is stored before `is_free` is called. A writer that finishes after the store wakes this thread. If
        // the writer finished before the store, `is_free` returns true.
        if !is_free() {
            thread::park_timeout(most);
        }
        *lock(&self.waiting) = None;
    }

    /// Wakes the thread that waits in [`Self::wait_unless`], if a thread waits.
    pub(super) fn wake_reader(&self) {
        if let Some(reader) = lock(&self.waiting).take() {
            reader.unpark();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CloseState, Config, Connection, PendingReply};

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn s5_5_3_a_writing_thread_learns_from_an_empty_read_that_no_pong_has_come() {
        // A Ping is sent after 30 seconds without input, and its Pong must arrive in another 30 seconds.
        let connection = Connection::server(Instant::ZERO, Config::new(), Outbox::new());
        let (_, mut sender) = connection.into_halves();
        sender.handle_timeout(at(30));
        sender.transmitted(at(30), sender.buffered_amount());
        let replies = ThreadReplies::new(&sender, Instant::ZERO, None);
        replies.read_begins(at(30));
        // Nobody reads when the Pong is overdue, so the Pong may lie in the stream.
        sender.apply(at(59), PendingReply::Undecoded);
        replies.apply(&mut sender, at(59), u64::MAX);
        assert_eq!(sender.poll_timeout(), Some(at(60)));
        sender.handle_timeout(at(60));
        assert_eq!(sender.buffered_amount(), 6, "the next Ping");
        // The reader reads again, and finds no input.
        replies.all_decoded();
        replies.apply(&mut sender, at(61), u64::MAX);
        sender.handle_timeout(at(61));
        assert_eq!(sender.close_state(), CloseState::Failed);
    }
}
