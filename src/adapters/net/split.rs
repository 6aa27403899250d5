//! The state that the two halves of a split WebSocket share, and its lock.
//!
//! ```text
//!   Reader ── receiver, inbox, stream to read ──┐            ┌── ThreadReplies: replies, wakeups
//!                                               ├──▶ Shared ─┤
//!   Writer, cloned at will ─────────────────────┘            └── Out, locked: sender, stream to write
//! ```
//!
//! When the reader has decoded a Ping or a Close, it stores the reply in [`ThreadReplies`]. If no other thread holds
//! the lock on [`Out`], the reader writes the reply. Otherwise the thread that holds the lock writes the reply.
//!
//! `reader.rs` and `writer.rs` decide when to write. `write_driver.rs` writes the queue. `thread_replies.rs` stores the
//! replies and wakes the reader.
//!
//! Invariants:
//! - After a thread has released the lock, it checks for new replies and messages ([`Shared::write_replies`]). So a
//!   reply or message that was stored while the lock was held is not forgotten.
//! - A thread holds the lock while its write blocks. State that must be usable during a write is outside of [`Out`].

use core::time::Duration;
use std::prelude::v1::*;
use std::thread;

use super::deadline_stream::{DeadlineStream, HalfClose};
use super::interest::would_block;
use super::stream::Stream;
use super::thread_replies::ThreadReplies;
use super::write_driver::Output;
use crate::adapters::error::Error;
use crate::adapters::lock::{lock, try_lock};
use crate::adapters::sync::{Mutex, MutexGuard};
use crate::{EofPosition, Instant, Outbox, Sender, TransportAction};

/// Maximum number of rounds in which a call writes the replies and messages that other threads have stored since the
/// last round.
///
/// The pauses between the rounds double, so they soon exceed the time between two calls of another thread. This number
/// is reached only if the `write` of the stream itself stores messages.
const MAX_STORED_WRITES: u32 = 8;

/// A stream that can be used from two threads.
pub(super) type Half = Box<dyn Stream + Send>;

/// The state that both halves share.
#[derive(Debug)]
pub(super) struct Shared {
    pending: ThreadReplies,
    out: Mutex<Out>,
}

/// The sending side of the connection, and the stream that it writes to.
#[derive(Debug)]
struct Out {
    link: DeadlineStream<Half>,
    sender: Sender<Outbox>,
    /// True if a call that does not wait has left a part of the queue unwritten, because the stream was full.
    has_rest: bool,
}

/// The sending side of the connection, for a thread that holds its lock.
pub(super) struct LockedOut<'a> {
    out: MutexGuard<'a, Out>,
    pending: &'a ThreadReplies,
}

impl Shared {
    /// Creates the shared state of two halves. `link` is the stream to write to.
    pub(super) fn new(mut link: DeadlineStream<Half>, sender: Sender<Outbox>) -> Self {
        let undecoded_since = link.take_undecoded_since();
        let pending = ThreadReplies::new(&sender, link.read_at(), undecoded_since);
        Self { pending, out: Mutex::new(Out { link, sender, has_rest: false }) }
    }

    /// Returns the state that needs no lock.
    pub(super) const fn pending(&self) -> &ThreadReplies {
        &self.pending
    }

    /// Locks the sending side. Blocks while another thread has the lock.
    pub(super) fn lock(&self) -> LockedOut<'_> {
        LockedOut { out: lock(&self.out), pending: &self.pending }
    }

    /// Locks the sending side if no other thread has the lock. Never blocks.
    pub(super) fn try_lock(&self) -> Option<LockedOut<'_>> {
        Some(LockedOut { out: try_lock(&self.out)?, pending: &self.pending })
    }

    /// Blocks until no thread has the lock, but not longer than `most`.
    pub(super) fn wait_for_writer(&self, most: Duration) {
        self.pending.wait_unless(|| try_lock(&self.out).is_some(), most);
    }

    /// Calls `write` while there are stored replies or new messages, but at most [`MAX_STORED_WRITES`] times. `write`
    /// returns whether the stream took everything.
    ///
    /// If another thread holds the lock, this method returns, and that thread writes the replies and messages. So each
    /// thread must call this method after it has released the lock.
    ///
    /// A thread that stores messages without end must not keep this thread busy. So this thread pauses before each
    /// further round, each time twice as long. During a pause the other thread finds the lock free, and writes its
    /// messages itself.
    pub(super) fn write_replies(&self, mut write: impl FnMut(&mut LockedOut<'_>) -> bool) {
        let mut takes_more = true;
        for round in 0..MAX_STORED_WRITES {
            // `came_meanwhile` has the fence that orders the release of the lock before the loads of both flags.
            let messages = self.pending.messages().came_meanwhile();
            // If the stream is full, waiting messages stay stored. The next call that sends, or the next turn of the
            // reader, writes them.
            let is_done = !(self.pending.has_replies() || takes_more && messages);
            if is_done {
                return;
            }
            let Some(mut out) = self.try_lock() else { return };
            takes_more = write(&mut out) && !out.write_failed();
            drop(out);
            (0..1 << round).for_each(|_| thread::yield_now());
        }
    }
}

impl Drop for LockedOut<'_> {
    fn drop(&mut self) {
        self.pending.status().update(&self.out.sender);
    }
}

impl LockedOut<'_> {
    /// Reads the clock, and returns the time.
    pub(super) fn read_clock(&mut self) -> Instant {
        self.out.link.read_clock()
    }

    /// Returns the time when the clock was last read.
    pub(super) fn now(&self) -> Instant {
        self.out.link.now()
    }

    pub(super) fn sender(&mut self) -> &mut Sender<Outbox> {
        &mut self.out.sender
    }

    /// Returns whether a call that does not wait has left a part of the queue unwritten. The reader may be blocked in a
    /// read, so the next call of a writer must write the rest.
    pub(super) fn has_rest(&self) -> bool {
        self.out.has_rest
    }

    /// Returns whether a write has failed.
    pub(super) fn write_failed(&self) -> bool {
        self.out.link.write_failed()
    }

    /// Moves the waiting messages and the stored replies to the write queue, and reports received input to the timers.
    pub(super) fn apply_replies(&mut self, now: Instant) {
        let mark = self.pending.messages().mark();
        self.pending.apply(&mut self.out.sender, now, mark);
    }

    /// Returns the write queue and the stream, for a call that sends.
    pub(super) fn output(&mut self) -> Output<'_, Half, Sender<Outbox>> {
        let Out { link, sender, .. } = &mut *self.out;
        Output::shared(link, sender, self.pending)
    }

    /// Writes the whole queue. Then half-closes or closes the stream if the connection asks for it. The reader may
    /// block in a read that ends only after the stream is half-closed or closed.
    pub(super) fn write(&mut self) -> Result<(), Error> {
        let written = self.output().flush();
        self.out.has_rest &= written.is_err();
        self.end_transport();
        written
    }

    /// Writes as much as the stream takes without blocking. The reader uses this, because it must not stop reading.
    /// Returns whether everything was written.
    pub(super) fn write_now(&mut self) -> bool {
        // An error is ignored, because the next read reports the failed stream.
        let written = self.output().write_now().unwrap_or(self.write_failed());
        self.out.has_rest = !written;
        self.end_transport() && written
    }

    /// Writes the queue for a reader whose input has ended. Does not block beyond `until`. Returns whether everything
    /// was written. After a failed write the result is `true`, because nothing more can be written.
    pub(super) fn write_until(&mut self, until: Option<Instant>) -> Result<bool, Error> {
        let written = match self.output().write_until_input(until) {
            Err(error) if would_block(&error) => return Err(error),
            Err(_) => true,
            Ok(()) => self.output().is_out(),
        };
        Ok(self.end_transport() && written)
    }

    /// Half-closes or closes the stream if the connection asks for it. Returns `false` if the stream is full. In this
    /// case the caller must call this method again later.
    fn end_transport(&mut self) -> bool {
        let Out { link, sender, .. } = &mut *self.out;
        match sender.poll_transport() {
            Some(TransportAction::HalfClose) => match link.half_close(Some(link.now())) {
                HalfClose::Waits => return false,
                HalfClose::Done => sender.handle_half_closed(),
                HalfClose::Impossible => {
                    sender.handle_half_closed();
                    // The stream has no half-close, so both directions end now.
                    sender.handle_eof(EofPosition::BetweenMessages);
                    link.abort();
                }
            },
            Some(TransportAction::Abort) => link.abort(),
            Some(_) => {
                link.half_close(Some(link.now()));
                // The reader may block in a read, which the abort ends.
                link.abort();
            }
            None => {}
        }
        true
    }
}
