//! Writes the queue of a connection to a blocking stream. Runs timers and reads input while the stream is full.
//!
//! One write blocks for a time slice of [`WRITE_TIME_SLICE`] at most. After each slice, timers that are due run, and
//! input is [read ahead](DeadlineStream::read_ahead): it is read and kept for the next call that receives. So the Pong
//! of a live peer is read before the timer that waits for this Pong ends the connection. Deadlines are absolute times.
//! So one long call and many short calls have the same effect on the timers.
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
//! The loops in `run_loop.rs` and `reader.rs` call this file. `timers.rs` in this folder runs the timers and reads
//! ahead. `deadline_stream.rs` sets the timeouts of the stream, and `read_ahead.rs` stores the bytes that were read
//! ahead.
//!
//! Invariants:
//! - If a stream may have kept the bytes of a write that it refused
//!   ([`Stream::keeps_refused_bytes`](super::Stream::keeps_refused_bytes)), the next write begins with the same bytes.
//!   `Sender::poll_transmit_retryable` returns these bytes first.
//! - Once the connection has ended, nothing is written or flushed.

mod timers;

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

/// The longest time for which one write blocks. After this time timers run, and input is read ahead.
///
/// According to its documentation, Windows may lose bytes of a socket when the timeout of a write runs out. A longer
/// time slice on Windows makes this rare.
pub(super) const WRITE_TIME_SLICE: Duration = Duration::from_millis(if cfg!(windows) { 1000 } else { 20 });

/// Maximum number of bytes in one write to a stream that may keep bytes of a refused write. This is the maximum payload
/// of a TLS record.
const AT_ONCE: usize = 16 << 10;

/// The sending side of a connection, and the stream to write to. `H` is a [`Connection`](crate::Connection), or the
/// sending half of a split WebSocket.
#[derive(Debug)]
pub(super) struct Output<'w, S, H> {
    link: &'w mut DeadlineStream<S>,
    half: &'w mut H,
    /// The state that the halves of a split WebSocket share without the lock. `None` if the WebSocket is not split. In
    /// this case the thread also reads, so the calls of this type read ahead.
    pending: Option<&'w ThreadReplies>,
    /// This call moves messages of other threads into the queue only if they were stored before this mark; see
    /// [`WaitingMessages::mark`](crate::adapters::waiting_messages::WaitingMessages::mark).
    mark: u64,
    /// True if this call receives. Before such a call runs a timer, it decodes the input that was read ahead. So this
    /// input is not reported to the timers as undecoded.
    decodes_next: bool,
}

/// The result of one write or flush.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The queue is empty and the stream is flushed, or the connection has ended.
    Done,
    /// The stream may take more bytes.
    Progress,
    /// The stream was full.
    Stalled,
}

impl<'w, S, H: SendingHalf> Output<'w, S, H> {
    /// Creates the output of a WebSocket that is not split.
    pub(super) const fn new(link: &'w mut DeadlineStream<S>, half: &'w mut H) -> Self {
        Self { link, half, pending: None, mark: 0, decodes_next: false }
    }

    /// Creates the output of a split WebSocket, for the thread that holds the lock. The output writes a message of
    /// another thread only if the message is already stored. So a thread that stores messages without end does not keep
    /// this thread busy.
    pub(super) fn shared(
        link: &'w mut DeadlineStream<S>,
        half: &'w mut H,
        pending: &'w ThreadReplies,
    ) -> Self {
        Self { link, half, pending: Some(pending), mark: pending.messages().mark(), decodes_next: false }
    }

    /// Makes this the output of a call that receives: input that it reads ahead is decoded before a timer runs.
    pub(super) const fn for_receiving(mut self) -> Self {
        self.decodes_next = true;
        self
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

    /// Queues a message that owns its data. While the queue is full, writes the queue and tries again.
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

    /// Queues a Ping. While no further Ping can be queued, writes the queue and tries again.
    pub(super) fn queue_ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        let now = self.link.read_clock();
        self.queue(|half| half.ping(now, payload))
    }

    /// Queues the waiting messages and a Close. Never blocks, because the queue always accepts a Close.
    pub(super) fn queue_close(&mut self, code: Option<CloseCode>, reason: &str) -> Result<(), Error> {
        let now = self.link.read_clock();
        Ok(match self.pending {
            Some(pending) => pending.close(self.half, now, code, reason),
            None => self.half.close(now, code, reason),
        }?)
    }

    /// Queues a message without waiting. If the queue is full, writes as much as the stream takes now, and tries once
    /// more. After a failed write, refuses every message with [`SendError::Closed`], because nothing more can be sent.
    pub(super) fn try_queue(&mut self, message: Message) -> Result<(), UnsentMessage> {
        if self.link.write_failed() {
            return Err(UnsentMessage { error: SendError::Closed, message });
        }
        self.apply();
        let sent =
            if self.waiting_messages_need_space() { Err(blocked(message)) } else { self.half.send(message) };
        let message = match sent {
            Err(UnsentMessage { error: SendError::Blocked, message }) => message,
            sent => return sent,
        };
        // An error of this write is stored. The next write returns it.
        let _ = self.write_now();
        if self.link.write_failed() {
            Err(UnsentMessage { error: SendError::Closed, message })
        } else if self.waiting_messages_need_space() {
            Err(blocked(message))
        } else {
            self.half.send(message)
        }
    }

    /// If messages wait because the queue is full, writes the queue. The next frame must be queued after these
    /// messages.
    pub(super) fn make_space(&mut self) -> Result<(), Error> {
        if self.waiting_messages_need_space() { self.write_out() } else { Ok(()) }
    }

    /// Returns the sending half of the connection, for its getters.
    pub(super) fn sender(&self) -> &Sender<Outbox> {
        self.half.sender()
    }

    /// Runs the timers that are due, before a call sends. In an application that only sends, these timers send the
    /// Pings and detect a dead peer.
    pub(super) fn keep_time(&mut self) -> Result<(), Error> {
        self.link.read_clock();
        self.apply();
        if !self.is_due() {
            return Ok(());
        }
        // These writes must not block: the caller must queue its frame soon, because the frame can be a Close, which
        // starts the close timeout.
        let before = self.write_queued();
        let is_out = self.is_out();
        self.handle_due(is_out);
        before.and(self.write_queued())
    }

    /// Writes the queue as far as the stream takes it now, before or after timers run.
    ///
    /// A queued Ping is written before a timer runs, because the wait for its Pong begins when it is written.
    /// Otherwise the peer could count as dead although no call has tried to write the Ping.
    pub(super) fn write_queued(&mut self) -> Result<(), Error> {
        if self.is_out() {
            return Ok(());
        }
        match self.write_now() {
            Err(error) if !would_block(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// Writes the whole queue. Blocks until the queue is written or the connection ends.
    pub(super) fn write_out(&mut self) -> Result<(), Error> {
        self.link.read_clock();
        loop {
            let step = self.write_once(None)?;
            match step {
                Step::Done => return Ok(()),
                Step::Progress if !self.read_ahead_is_due() => {}
                Step::Progress | Step::Stalled => self.read_ahead_unless_split(),
            }
            self.handle_due(step == Step::Progress);
        }
    }

    /// Writes the whole queue like [`write_out`](Self::write_out). Returns [`SendError::Closed`] if queued messages
    /// were dropped, because the peer closed or the connection ended.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        self.write_out()?;
        let refused = self.pending.is_some_and(|pending| pending.messages().has_lost_messages());
        let lost = refused || self.half.sender().dropped() > 0 || self.link.is_unflushed();
        if lost { Err(SendError::Closed.into()) } else { Ok(()) }
    }

    /// Writes the queue. Returns early for one of three reasons: input has arrived, the input has ended, or the time
    /// `until` has been reached. The function reads ahead when the stream is full, and once per [`WRITE_TIME_SLICE`].
    pub(super) fn write_until_input(&mut self, until: Option<Instant>) -> Result<(), Error> {
        if self.is_out() {
            // This is the usual case between two messages that arrived together. The clock is not read in this case.
            return Ok(());
        }
        self.link.read_clock();
        let knew_end = self.link.knows_end();
        loop {
            let step = self.write_once(until)?;
            if step == Step::Done {
                return Ok(());
            }
            self.apply();
            if step == Step::Stalled || self.read_ahead_is_due() || self.is_due() {
                self.read_ahead_unless_split();
                let news = self.link.has_read_ahead() || self.link.knows_end() != knew_end;
                if news || until.is_some_and(|until| until <= self.link.now()) {
                    return Ok(());
                }
                if self.is_due() {
                    self.half.handle_send_timeout(self.link.now());
                }
            }
        }
    }

    /// Writes as much as the stream takes without blocking. Returns whether the queue is empty and the stream is
    /// flushed. Does not run timers.
    pub(super) fn write_now(&mut self) -> Result<bool, Error> {
        self.link.read_clock();
        loop {
            match self.write_once(Some(self.link.now()))? {
                Step::Done => return Ok(true),
                Step::Progress => {}
                Step::Stalled => return Ok(false),
            }
        }
    }

    /// Writes once, or flushes if the queue is empty. Blocks for a [`WRITE_TIME_SLICE`] at most, and not beyond
    /// `limit`.
    fn write_once(&mut self, limit: Option<Instant>) -> Result<Step, Error> {
        self.apply();
        if self.half.sender().close_state() == CloseState::Ended {
            return Ok(Step::Done);
        }
        let keeps_refused_bytes = self.link.keeps_refused_bytes();
        self.link.check_output_of_reads();
        if self.link.is_unflushed() && self.half.sender().buffered_amount() > 0 {
            // Flush between writes. Otherwise a stream with its own buffer could take any number of bytes, and the
            // timers could not detect whether the peer still reads.
            let flushed = self.flush_once(limit)?;
            return Ok(if flushed == Step::Done { Step::Progress } else { flushed });
        }
        let mut slices = [&[][..]; MAX_SLICES];
        let len = if keeps_refused_bytes {
            let len = self.half.poll_transmit_retryable(&mut slices);
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
            if self.link.is_unflushed() {
                self.half.set_unflushed(now, true);
            }
            self.half.transmitted(now, n);
            if let Some(pending) = self.pending {
                pending.status().update(self.half.sender());
            }
        }
        if n == 0 && keeps_refused_bytes {
            self.half.transmit_refused(offered);
        }
        if full {
            self.half.transmitted(now, 0);
        }
        match written {
            // Flush at once. When a peer is declared dead, the Close must be flushed before the timer that ends the
            // connection runs.
            Ok(_)
                if n == offered
                    && self.half.sender().buffered_amount() == 0
                    && !self.waiting_messages_need_space() =>
            {
                self.flush_once(limit)
            }
            Ok(_) => Ok(if full { Step::Stalled } else { Step::Progress }),
            Err(error) => self.failed(error.into()),
        }
    }

    /// Returns the deadline for the next call on the stream.
    fn deadline(&self, limit: Option<Instant>) -> Option<Instant> {
        let slice = Some(self.link.now() + WRITE_TIME_SLICE);
        // In a split WebSocket, a timer that is due can wait for the reader. Such a timer must not end each write at
        // once.
        let due = self.half.sender().poll_timeout();
        let due = due.filter(|due| self.pending.is_none() || *due > self.link.now());
        [due, slice, limit].into_iter().flatten().min()
    }

    /// Flushes the stream if it may have bytes that were written and not flushed.
    fn flush_once(&mut self, limit: Option<Instant>) -> Result<Step, Error> {
        if !self.link.is_unflushed() {
            return Ok(Step::Done);
        }
        match self.link.flush(self.deadline(limit)) {
            Ok(Flush::Done { waited }) => {
                let now = self.link.now();
                self.half.set_unflushed(now, false);
                if waited && self.half.sender().buffered_amount() > 0 {
                    // The stream was full and now accepts bytes. So the peer has read, and the next write counts as
                    // progress.
                    self.half.transmitted(now, 0);
                }
                Ok(Step::Done)
            }
            Ok(Flush::Waits) => Ok(Step::Stalled),
            Err(error) => self.failed(error.into()),
        }
    }

    /// Handles the error of a write. `WouldBlock` means that a stream in non-blocking mode is full. If a timer is due,
    /// the result is `Stalled`, so that the caller runs the timer. Otherwise the result is an error that tells the
    /// application what to wait for.
    fn failed(&mut self, error: Error) -> Result<Step, Error> {
        if !would_block(&error) {
            return Err(error);
        }
        self.read_ahead_unless_split();
        if self.is_due() { Ok(Step::Stalled) } else { Err(self.interest().into()) }
    }

    /// Returns the conditions to wait for after a call that could not continue.
    pub(super) fn interest(&self) -> Interest {
        let now = self.link.now();
        Interest {
            // If input cannot be read ahead, the stream stays readable. So a wait until the stream is readable would
            // end at once, again and again.
            readable: self.pending.is_none() && self.link.can_read_ahead(),
            writable: !self.is_out() && !self.link.write_failed(),
            within: self.half.sender().poll_timeout().map(|due| due.saturating_duration_since(now)),
        }
    }

    /// Returns whether messages wait because the queue is full. They refill the queue after the next write.
    fn waiting_messages_need_space(&self) -> bool {
        self.pending.is_some_and(|pending| pending.messages().need_space(self.mark))
    }

    /// Returns whether the queue is empty and the stream is flushed.
    pub(super) fn is_out(&self) -> bool {
        self.half.sender().buffered_amount() == 0 && !self.link.is_unflushed()
    }
}

/// Returns the error for a message that the full queue does not accept.
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
