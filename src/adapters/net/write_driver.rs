//! Writes the queue of a connection to a blocking stream, and handles timers and input during the wait.
//!
//! A write that blocks is divided into slices of [`SLICE`]. Between two slices, timers that are due are handled and
//! input is [read ahead](DeadlineStream::look): the Pong of a live peer is found before its timer ends the connection.
//! Deadlines are absolute. One long call and many short calls therefore have the same effect on the timers.
//!
//! ```text
//!            ┌──────────── some bytes written ──────────────────────┐
//!            ▼                                                      │
//!   timers that are due ──▶ write, or flush if the queue is empty ──┼──▶ queue empty and flushed
//!            ▲                                                      │
//!            └────── read ahead ◀── the stream is full ─────────────┘
//!                     (also once per slice if the stream is not full)
//! ```
//!
//! Not here: the loops that call this (`run_loop.rs`, `reader.rs`), the timeouts of the stream (`deadline_stream.rs`),
//! and the bytes that were read ahead (`read_ahead.rs`).
//!
//! Invariants:
//! - Bytes that a stream may have kept are offered to it again before any others (`Sender::poll_offer`).
//! - Once the connection has ended, nothing is written or flushed.

use core::time::Duration;
use std::prelude::v1::*;

use super::deadline_stream::{DeadlineStream, Flush, MAX_SLICES};
use super::interest::{Interest, would_block};
use super::thread_replies::ThreadReplies;
use crate::CloseState;
use crate::adapters::error::Error;
use crate::{
    CloseCode, Instant, Message, Outbox, SendError, SendOptions, Sender, SendingHalf, UnsentMessage,
};

/// The longest time for which a write blocks before timers are handled and input is read ahead.
///
/// Windows documents that a socket may lose bytes when the timeout of a write runs out. A long slice on Windows makes
/// this rare.
pub(super) const SLICE: Duration = Duration::from_millis(if cfg!(windows) { 1000 } else { 20 });

/// Maximum number of bytes in one write to a stream that may keep them: the payload of one TLS record.
const AT_ONCE: usize = 16 << 10;

/// A connection's output, and the stream that it goes to. `H` is a whole connection, or its sending half.
#[derive(Debug)]
pub(super) struct Output<'w, S, H> {
    link: &'w mut DeadlineStream<S>,
    half: &'w mut H,
    /// The replies of the receiving half, if the WebSocket is split. `None` if this thread also reads.
    pending: Option<&'w ThreadReplies>,
}

/// The result of one write or flush.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The queue is empty and flushed, or the connection has ended.
    Done,
    /// The stream may take more.
    Progress,
    /// The stream was full.
    Stalled,
}

impl<'w, S, H: SendingHalf> Output<'w, S, H> {
    /// Borrows a connection's output. `pending` are the replies of the receiving half, if the WebSocket is split.
    pub(super) const fn new(
        link: &'w mut DeadlineStream<S>,
        half: &'w mut H,
        pending: Option<&'w ThreadReplies>,
    ) -> Self {
        Self { link, half, pending }
    }

    /// Calls `send`, which queues a frame. While the queue is full, writes the queue and calls `send` again.
    pub(super) fn queue(
        &mut self,
        mut send: impl FnMut(&mut H) -> Result<(), SendError>,
    ) -> Result<(), Error> {
        while let Err(error) = send(self.half) {
            if error != SendError::Blocked {
                return Err(error.into());
            }
            self.write_out()?;
        }
        Ok(())
    }

    /// Queues a message that owns its data, like [`queue`](Self::queue).
    pub(super) fn queue_message(&mut self, message: Message, options: SendOptions) -> Result<(), Error> {
        let mut waiting = message;
        loop {
            match self.half.send_with(waiting, options) {
                Ok(()) => return Ok(()),
                Err(refused) if refused.error == SendError::Blocked => {
                    self.write_out()?;
                    waiting = refused.message;
                }
                Err(refused) => return Err(refused.error.into()),
            }
        }
    }

    /// Queues a Ping, like [`queue`](Self::queue).
    pub(super) fn queue_ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        let now = self.link.tick();
        self.queue(|half| half.ping(now, payload))
    }

    /// Queues a Close. Never blocks, because there is always room for one.
    pub(super) fn queue_close(&mut self, code: Option<CloseCode>, reason: &str) -> Result<(), Error> {
        Ok(self.half.close(self.link.tick(), code, reason)?)
    }

    /// Queues a message without waiting. If the queue is full, writes as much as the stream takes now, and tries once
    /// more. After a failed write every message is refused with [`SendError::Closed`]: nothing more can be sent.
    pub(super) fn try_queue(&mut self, message: Message) -> Result<(), UnsentMessage> {
        if self.link.write_failed() {
            return Err(UnsentMessage { error: SendError::Closed, message });
        }
        self.apply();
        let sent = if self.refills() { Err(blocked(message)) } else { self.half.send(message) };
        let message = match sent {
            Err(UnsentMessage { error: SendError::Blocked, message }) => message,
            sent => return sent,
        };
        // The stream keeps the error of this write, and returns it with the next write.
        let _ = self.write_now();
        if self.link.write_failed() {
            Err(UnsentMessage { error: SendError::Closed, message })
        } else if self.refills() {
            Err(blocked(message))
        } else {
            self.half.send(message)
        }
    }

    /// Writes the queue if messages wait for room in it. A frame that is queued next must not overtake them.
    pub(super) fn make_room(&mut self) -> Result<(), Error> {
        if self.refills() { self.write_out() } else { Ok(()) }
    }

    /// Returns the sending half of the connection, for its getters.
    pub(super) fn sender(&self) -> &Sender<Outbox> {
        self.half.sender()
    }

    /// Handles timers that are due, before a call sends. In an application that only sends, this is where Pings are
    /// sent and a dead peer is noticed.
    pub(super) fn keep_time(&mut self) -> Result<(), Error> {
        self.link.tick();
        self.apply();
        if !self.is_due() {
            return Ok(());
        }
        self.handle_due();
        // This write does not block, because the caller must get to queue its frame: a Close starts the close timeout.
        match self.write_now() {
            Err(error) if !would_block(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// Writes the whole queue. Blocks until then, or until the connection ends.
    pub(super) fn write_out(&mut self) -> Result<(), Error> {
        self.link.tick();
        loop {
            match self.write_once(None)? {
                Step::Done => return Ok(()),
                Step::Progress if !self.looks_next() => {}
                Step::Progress | Step::Stalled => self.look(),
            }
            self.handle_due();
        }
    }

    /// Writes the whole queue like [`write_out`](Self::write_out), and returns an error if accepted messages were lost.
    /// Messages are dropped when the peer has closed and when the connection has ended.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        self.write_out()?;
        let refused = self.pending.is_some_and(|pending| pending.messages().take_refused());
        let lost = refused || self.half.sender().dropped() > 0 || self.link.is_unflushed();
        if lost { Err(SendError::Closed.into()) } else { Ok(()) }
    }

    /// Writes the queue, and stops early if the stream is full and there is a reason to return. The reasons are input
    /// that has arrived, the end of the stream, and `until`.
    pub(super) fn write_or_hear(&mut self, until: Option<Instant>) -> Result<(), Error> {
        if self.is_out() {
            // Common case, between two messages that arrived together. It does not read the clock.
            return Ok(());
        }
        self.link.tick();
        let knew_end = self.link.knows_end();
        loop {
            match self.write_once(until)? {
                Step::Done => return Ok(()),
                Step::Progress if !self.looks_next() => {}
                Step::Progress | Step::Stalled => {
                    self.look();
                    let news = self.link.has_read_ahead() || self.link.knows_end() != knew_end;
                    if news || until.is_some_and(|until| until <= self.link.now()) {
                        return Ok(());
                    }
                }
            }
            self.handle_due();
        }
    }

    /// Writes as much as the stream takes without blocking. Returns whether the queue is empty and flushed. Does not
    /// handle timers.
    pub(super) fn write_now(&mut self) -> Result<bool, Error> {
        self.link.tick();
        loop {
            match self.write_once(Some(self.link.now()))? {
                Step::Done => return Ok(true),
                Step::Progress => {}
                Step::Stalled => return Ok(false),
            }
        }
    }

    /// Writes once, or flushes if the queue is empty. Blocks for a [`SLICE`] at most, and not beyond `limit`.
    fn write_once(&mut self, limit: Option<Instant>) -> Result<Step, Error> {
        self.apply();
        if self.half.sender().close_state() == CloseState::Ended {
            return Ok(Step::Done);
        }
        let may_keep = self.link.may_keep();
        if may_keep && self.link.is_unflushed() && self.half.sender().buffered_amount() > 0 {
            // Flush between writes. A stream with its own buffer could take any number of bytes, and the timers would
            // not see whether the peer makes progress.
            let flushed = self.flush_once(limit)?;
            return Ok(if flushed == Step::Done { Step::Progress } else { flushed });
        }
        let mut slices = [&[][..]; MAX_SLICES];
        let len = if may_keep {
            let len = self.half.poll_offer(&mut slices);
            cut(&mut slices, len)
        } else {
            self.half.poll_transmit(&mut slices)
        };
        let waiting = slices.get(..len).unwrap_or_default();
        if waiting.is_empty() {
            return self.flush_once(limit);
        }
        let offered = waiting.iter().map(|slice| slice.len()).sum();
        let written = self.link.write(waiting, self.deadline(limit));
        let now = self.link.now();
        let (n, full) = written.as_ref().map_or((0, true), |written| (written.n, written.full));
        if n > 0 {
            if may_keep {
                self.half.handle_held_back(now, true);
            }
            self.half.transmitted(now, n);
            if let Some(pending) = self.pending {
                pending.status().update(self.half.sender());
            }
        }
        if n == 0 && may_keep {
            self.half.offered(now, offered);
        } else if full {
            self.half.transmitted(now, 0);
        }
        match written {
            // Flush at once: a Close for a dead peer must leave the stream before the timer that ends the connection is
            // handled.
            Ok(_) if n == offered && self.half.sender().buffered_amount() == 0 && !self.refills() => {
                self.flush_once(limit)
            }
            Ok(_) => Ok(if full { Step::Stalled } else { Step::Progress }),
            Err(error) => self.failed(error.into()),
        }
    }

    /// Returns the deadline for the next call on the stream.
    fn deadline(&self, limit: Option<Instant>) -> Option<Instant> {
        let slice = Some(self.link.now() + SLICE);
        [self.half.sender().poll_timeout(), slice, limit].into_iter().flatten().min()
    }

    /// Flushes the bytes that the stream has taken and may still hold.
    fn flush_once(&mut self, limit: Option<Instant>) -> Result<Step, Error> {
        if !self.link.is_unflushed() {
            return Ok(Step::Done);
        }
        match self.link.flush(self.deadline(limit)) {
            Ok(Flush::Done { waited }) => {
                let now = self.link.now();
                self.half.handle_held_back(now, false);
                if waited && self.half.sender().buffered_amount() > 0 {
                    // The stream was full and no longer is, so the next write counts as progress of the peer.
                    self.half.transmitted(now, 0);
                }
                Ok(Step::Done)
            }
            Ok(Flush::Waits) => Ok(Step::Stalled),
            Err(error) => self.failed(error.into()),
        }
    }

    /// Handles the error of a write. `WouldBlock` means that a non-blocking stream is full: timers that are due are
    /// still handled, and otherwise the caller must wait.
    fn failed(&mut self, error: Error) -> Result<Step, Error> {
        if !would_block(&error) {
            return Err(error);
        }
        self.look();
        if self.is_due() { Ok(Step::Stalled) } else { Err(self.interest().into()) }
    }

    /// Returns the conditions to wait for after a call that could not continue.
    pub(super) fn interest(&self) -> Interest {
        let now = self.link.now();
        Interest {
            // Input that cannot be read ahead would wake the application at once, again and again.
            readable: self.pending.is_none() && self.link.can_look(),
            writable: !self.is_out() && !self.link.write_failed(),
            within: self.half.sender().poll_timeout().map(|due| due.saturating_duration_since(now)),
        }
    }

    /// Returns whether messages wait for room in the queue.
    fn refills(&self) -> bool {
        self.pending.is_some_and(|pending| pending.messages().need_room())
    }

    /// Returns whether the queue is empty and flushed.
    pub(super) fn is_out(&self) -> bool {
        self.half.sender().buffered_amount() == 0 && !self.link.is_unflushed()
    }

    /// Returns whether a timer is due.
    fn is_due(&self) -> bool {
        self.half.sender().poll_timeout().is_some_and(|due| due <= self.link.now())
    }

    /// Handles timers that are due. They are judged by the time of the last read: later input is not known of yet.
    fn handle_due(&mut self) {
        self.apply();
        if !self.is_due() {
            return;
        }
        let looked = if self.pending.is_none() { self.look_ahead() } else { None };
        match looked {
            // The peer is alive. The input must be decoded before timers are handled: it may contain the awaited Pong.
            Some(1..) if self.half.sender().close_state() == CloseState::Open => {}
            Some(_) => self.half.handle_send_timeout(self.link.read_at()),
            None => self.half.handle_send_timeout(self.link.now()),
        }
    }

    /// Applies the replies that the receiving half has stored.
    fn apply(&mut self) {
        if let Some(pending) = self.pending {
            pending.apply(self.half, self.link.now());
        }
    }

    /// Returns whether to read ahead although the stream may take more. Without this, the input of a peer that reads
    /// slowly and steadily would be read only after the whole queue was written.
    fn looks_next(&self) -> bool {
        self.link.now().saturating_duration_since(self.link.read_at()) >= SLICE
    }

    /// Reads ahead the input that has arrived, if this thread also reads.
    fn look(&mut self) {
        if self.pending.is_none() {
            self.look_ahead();
        }
    }

    /// Reads ahead the input that has arrived, and reports it to the timers. Returns the result of
    /// [`DeadlineStream::look`].
    fn look_ahead(&mut self) -> Option<usize> {
        let looked = self.link.look();
        if looked.is_some_and(|n| n > 0) {
            self.half.handle_unread(self.link.read_at());
        } else if looked.is_some() && self.link.knows_end() {
            // The real position of the end is known only after the input before it was decoded.
            self.half.handle_input_ended(self.link.now());
        }
        looked
    }
}

/// Hands back a message for which there is no room.
const fn blocked(message: Message) -> UnsentMessage {
    UnsentMessage { error: SendError::Blocked, message }
}

/// Shortens the first `len` slices to [`AT_ONCE`] bytes in total. Returns the number of slices that are left.
fn cut(slices: &mut [&[u8]], len: usize) -> usize {
    let (mut left, mut kept) = (AT_ONCE, 0);
    for slice in slices.iter_mut().take(len) {
        if left == 0 {
            break;
        }
        *slice = slice.get(..left).unwrap_or(slice);
        left -= slice.len();
        kept += 1;
    }
    kept
}
