//! Writing to a stream, reading ahead from it, and the time.
//!
//! [`WriteDriver`] holds what a connection needs beside its stream: the runtime's clock, how far writing has come, and bytes that
//! were read while a call that sends was waiting. It knows nothing of messages.
//!
//! Invariants:
//! - A peer is given up only after the stream was looked at: a call that sends and has to wait reads what is there first.
//!   What it reads is kept for the next call that receives, at most [`MOST_READ_AHEAD`] bytes.
//! - Deadlines are those of the core and absolute. A call that is dropped and made again has no more time for it.
//! - Nothing is written after the sending half was closed, and no write is tried again after one has failed.

use core::time::Duration;
use std::io::{self, ErrorKind, IoSlice};
use std::prelude::v1::*;
use std::task::{Context, Poll, ready};

use super::buffer_pool::Borrowed;
use super::stream::check_count;
use super::{Timer, Transport, buffer_pool};
use crate::CloseState;
use crate::adapters::error::Error;
use crate::{Connection, Inbox, Instant, Outbox, SendError, Sender, TransportAction};

/// Writes what it is shown, as far as the stream takes it, and says how much that was.
pub(super) type Write<'w> = &'w mut dyn FnMut(&[&[u8]]) -> usize;

/// The most slices that go into one write.
const MAX_SLICES: usize = 32;

/// The most bytes that a call which sends reads ahead while it waits.
const MOST_READ_AHEAD: usize = 64 << 10;

/// The most bytes that are read ahead at once.
const READ_AHEAD_AT_ONCE: usize = 4 << 10;

/// What sends, and has timers: a connection, or the half of one.
pub(super) trait Sends {
    fn sender(&self) -> &Sender<Outbox>;
    fn sender_mut(&mut self) -> &mut Sender<Outbox>;
    fn poll_timeout(&self) -> Option<Instant>;
    fn handle_timeout(&mut self, now: Instant);
}

impl Sends for Connection {
    fn sender(&self) -> &Sender<Outbox> {
        self.sender()
    }

    fn sender_mut(&mut self) -> &mut Sender<Outbox> {
        self.sender_mut()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.handle_timeout(now);
    }
}

impl Sends for Sender<Outbox> {
    fn sender(&self) -> &Self {
        self
    }

    fn sender_mut(&mut self) -> &mut Self {
        self
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.handle_timeout(now);
    }
}

/// How far writing has come, what was read ahead, and the connection's clock.
#[derive(Debug)]
pub(super) struct WriteDriver<R> {
    runtime: R,
    /// By how much the connection's clock is ahead of the runtime's: a connection that was driven by another clock goes
    /// on where that one was.
    ahead: Duration,
    now: Instant,
    /// Bytes have come in since the clock was read.
    clock_is_stale: bool,
    /// Messages have come in of which the timers do not know.
    uncounted: bool,
    /// Something was written and not flushed.
    unflushed: bool,
    /// The sending half of the stream is closed.
    closed: bool,
    /// Why writing has failed; it is not tried again.
    error: Option<ErrorKind>,
    /// What was read while a call that sends was waiting.
    read_ahead: Option<Box<ReadAhead>>,
}

/// Bytes that were read before anybody received.
#[derive(Debug, Default)]
struct ReadAhead {
    bytes: Vec<u8>,
    /// How many of them have been taken.
    taken: usize,
    /// The stream has ended behind them: at its end, or by a failure.
    end: Option<io::Result<()>>,
}

impl ReadAhead {
    /// How much more may be read.
    fn room(&self) -> usize {
        if self.end.is_some() { 0 } else { MOST_READ_AHEAD.saturating_sub(self.bytes.len()) }
    }

    /// Moves bytes to `to`, or gives the end.
    fn take(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let rest = self.bytes.get(self.taken..).unwrap_or_default();
        if rest.is_empty() {
            return self.end.take().unwrap_or(Ok(())).map(|()| 0);
        }
        let len = rest.len().min(to.len());
        if let (Some(to), Some(from)) = (to.get_mut(..len), rest.get(..len)) {
            to.copy_from_slice(from);
        }
        self.taken += len;
        Ok(len)
    }

    fn is_empty(&self) -> bool {
        self.taken == self.bytes.len() && self.end.is_none()
    }
}

impl<R: Timer> WriteDriver<R> {
    /// For a connection whose clock has come to `latest` at least.
    pub(super) fn new(runtime: R, latest: Instant) -> Self {
        let ahead = latest.saturating_duration_since(runtime.now());
        let mut wire = Self {
            runtime,
            ahead,
            now: latest,
            clock_is_stale: false,
            uncounted: false,
            // Whoever had the stream before may have left something that it holds back.
            unflushed: true,
            closed: false,
            error: None,
            read_ahead: None,
        };
        wire.tick();
        wire
    }

    // --- the time ---

    /// The time, as last read.
    pub(super) const fn now(&self) -> Instant {
        self.now
    }

    /// Reads the clock.
    pub(super) fn tick(&mut self) -> Instant {
        self.now = self.runtime.now() + self.ahead;
        self.clock_is_stale = false;
        self.now
    }

    /// Bytes have come in: the clock is to be read before anything is counted as of now.
    pub(super) const fn bytes_came(&mut self) {
        self.clock_is_stale = true;
    }

    /// Whether bytes have come in since the clock was read.
    pub(super) const fn clock_is_stale(&self) -> bool {
        self.clock_is_stale
    }

    /// A message has come in: it is counted when the clock is read for something else.
    pub(super) const fn received(&mut self) {
        self.uncounted = true;
    }

    /// Counts messages that have come in. They count as of now, which is later than they came, so that no timer is early.
    pub(super) fn catch_up(&mut self, sender: &mut Sender<Outbox>) {
        if self.uncounted {
            self.tick_for(sender);
        }
    }

    /// Reads the clock, also for the messages that have come in.
    pub(super) fn tick_for(&mut self, sender: &mut Sender<Outbox>) -> Instant {
        let now = self.tick();
        if core::mem::take(&mut self.uncounted) {
            sender.handle_received(now, true);
        }
        now
    }

    /// Ready when it is time for `at`, if there is such a time; gives what time it is.
    pub(super) fn poll_due(&mut self, cx: &mut Context<'_>, at: Option<Instant>) -> Poll<Instant> {
        let Some(at) = at else { return Poll::Pending };
        let ahead = Instant::ZERO + self.ahead;
        ready!(self.runtime.poll_at(cx, Instant::ZERO + at.saturating_duration_since(ahead)));
        Poll::Ready(self.tick().max(at))
    }

    /// As [`Self::poll_due`], for who waits for input behind so many `messages`. Meanwhile memory that is not needed any
    /// more is given back.
    #[inline]
    pub(super) fn poll_due_reading(
        &mut self,
        cx: &mut Context<'_>,
        at: Option<Instant>,
        inbox: &mut Borrowed,
        messages: u64,
    ) -> Poll<Instant> {
        if let Some(release) = inbox.release_at(self.now, messages) {
            // An alarm for what is past would wake the task for nothing.
            if release > self.now {
                let now = ready!(self.poll_due(cx, Some(at.map_or(release, |at| at.min(release)))));
                if at.is_some_and(|at| at <= now) {
                    return Poll::Ready(now);
                }
            }
            // Whoever goes on to read makes room again: not before there is something.
            inbox.release_idle();
        }
        self.poll_due(cx, at)
    }

    // --- reading ---

    /// Reads from the stream, behind what was read ahead.
    #[inline(always)]
    pub(super) fn poll_read<S>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        to: &mut [u8],
    ) -> Poll<io::Result<usize>>
    where
        R: Transport<S>,
    {
        if self.read_ahead.is_some() {
            return Poll::Ready(self.take_ahead(to));
        }
        let most = to.len();
        check_count(R::poll_read(stream, cx, to), most)
    }

    #[cold]
    #[inline(never)]
    fn take_ahead(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let Some(ahead) = &mut self.read_ahead else { return Ok(0) };
        let taken = ahead.take(to);
        if ahead.is_empty() {
            self.read_ahead = None;
        }
        taken
    }

    /// How many bytes were read ahead, and whether the end of the stream was. Whoever receives is to be woken when this
    /// grows, and not as long as there is any: it may wait for something else.
    pub(super) fn read_ahead_len(&self) -> (usize, bool) {
        self.read_ahead.as_ref().map_or((0, false), |ahead| (ahead.bytes.len(), ahead.end.is_some()))
    }

    /// Leaves what was read ahead in `inbox`, for whoever goes on with the connection.
    pub(super) fn hand_over_ahead(&mut self, connection: &Connection, inbox: &mut Inbox) {
        while let Some(ahead) = &mut self.read_ahead {
            let taken = ahead.take(connection.read_space(inbox));
            match taken {
                Ok(n) if n > 0 => inbox.handle_read(n),
                // The stream will say again that it has ended.
                _ => self.read_ahead = None,
            }
        }
    }

    /// Looks at what has come in, as a call that sends has to wait: whatever the peer sends shows that it is alive.
    #[inline(never)]
    fn read_ahead<S>(&mut self, stream: &mut S, half: &mut impl Sends, cx: &mut Context<'_>)
    where
        R: Transport<S>,
    {
        let mut space = [0; READ_AHEAD_AT_ONCE];
        loop {
            let room = self.read_ahead.as_ref().map_or(MOST_READ_AHEAD, |ahead| ahead.room());
            let most = room.min(READ_AHEAD_AT_ONCE);
            if most == 0 {
                return;
            }
            let to = space.get_mut(..most).unwrap_or_default();
            let read = match check_count(R::poll_read(stream, cx, to), most) {
                Poll::Pending => return,
                Poll::Ready(Err(error)) if error.kind() == ErrorKind::Interrupted => continue,
                Poll::Ready(read) => read,
            };
            let ahead = self.read_ahead.get_or_insert_default();
            match read {
                Ok(n) if n > 0 => {
                    ahead.bytes.extend_from_slice(space.get(..n).unwrap_or_default());
                    half.sender_mut().handle_unread(self.now);
                }
                read => ahead.end = Some(read.map(|_| ())),
            }
        }
    }

    /// A call that sends has to wait: looks at what has come in, then waits for the next deadline and does what is due.
    pub(super) fn poll_wait<S>(
        &mut self,
        stream: &mut S,
        half: &mut impl Sends,
        cx: &mut Context<'_>,
    ) -> Poll<()>
    where
        R: Transport<S>,
    {
        self.tick_for(half.sender_mut());
        self.read_ahead(stream, half, cx);
        let now = ready!(self.poll_due(cx, half.poll_timeout()));
        half.handle_timeout(now);
        Poll::Ready(())
    }

    /// Does what is due by now, if anything is. What has come in is looked at before: afterwards it may not be due any
    /// more, so nobody may wait for it.
    fn do_due<S>(&mut self, stream: &mut S, half: &mut impl Sends, cx: &mut Context<'_>)
    where
        R: Transport<S>,
    {
        self.tick_for(half.sender_mut());
        self.read_ahead(stream, half, cx);
        half.handle_timeout(self.now);
    }

    // --- writing ---

    /// Writing has failed before this was made.
    pub(super) const fn fail_writes(&mut self) {
        self.error = Some(ErrorKind::BrokenPipe);
    }

    /// Whether writing has failed.
    pub(super) const fn has_failed(&self) -> bool {
        self.error.is_some()
    }

    /// Writes all that is queued.
    #[inline(never)]
    pub(super) fn poll_write<S>(
        &mut self,
        stream: &mut S,
        sender: &mut Sender<Outbox>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>>
    where
        R: Transport<S>,
    {
        self.poll_write_within(stream, sender, cx)
    }

    /// As [`Self::poll_write`], within the function that calls. The kernel's own calls push ours out of where a processor
    /// remembers whither they return, so each return behind a system call is one that it did not foresee.
    #[inline(always)]
    pub(super) fn poll_write_within<S>(
        &mut self,
        stream: &mut S,
        sender: &mut Sender<Outbox>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>>
    where
        R: Transport<S>,
    {
        if let Some(kind) = self.error {
            return Poll::Ready(Err(kind.into()));
        }
        loop {
            let Some(written) = self.poll_write_once(stream, sender, cx) else {
                let flushes = self.unflushed && !self.closed;
                return if flushes {
                    self.poll_flush_stream(stream, sender, cx)
                } else {
                    Poll::Ready(Ok(()))
                };
            };
            match written {
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Err(self.fail(sender, ErrorKind::WriteZero.into())));
                }
                Poll::Ready(Ok(_)) => self.unflushed = true,
                Poll::Ready(Err(error)) if error.kind() == ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.fail(sender, error))),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Writes once, of what is queued, if anything is.
    #[inline(always)]
    fn poll_write_once<S>(
        &mut self,
        stream: &mut S,
        sender: &mut Sender<Outbox>,
        cx: &mut Context<'_>,
    ) -> Option<Poll<io::Result<usize>>>
    where
        R: Transport<S>,
    {
        let mut pieces = [&[][..]; 2];
        let waits = sender.poll_transmit(&mut pieces);
        if waits == 0 {
            return None;
        }
        if R::may_keep(stream) {
            return Some(self.poll_offer(stream, sender, cx));
        }
        let [piece, _] = pieces;
        let written = if waits > 1 {
            poll_write_pieces::<R, S>(stream, sender, cx)
        } else {
            check_count(R::poll_write(stream, cx, &[IoSlice::new(piece)]), piece.len())
        };
        match written {
            Poll::Ready(Ok(n)) if n > 0 => self.transmitted(sender, n),
            Poll::Pending => sender.transmitted(self.now, 0),
            Poll::Ready(_) => {}
        }
        Some(written)
    }

    /// The stream has taken some bytes.
    #[inline(always)]
    fn transmitted(&mut self, sender: &mut Sender<Outbox>, n: usize) {
        let now = self.tick_for(sender);
        if sender.close_state() != CloseState::Open {
            // Before it is said that our Close is written: it is not, until the stream is flushed.
            sender.handle_held_back(now, true);
        }
        sender.transmitted(now, n);
    }

    /// Writes once to a stream that may keep what it was offered. The same bytes come first until they are taken.
    #[inline(never)]
    fn poll_offer<S>(
        &mut self,
        stream: &mut S,
        sender: &mut Sender<Outbox>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>>
    where
        R: Transport<S>,
    {
        let mut slices = [&[][..]; MAX_SLICES];
        let len = sender.poll_offer(&mut slices);
        let slices = slices.get(..len).unwrap_or_default();
        let offered = slices.iter().map(|slice| slice.len()).sum();
        let written = poll_write_slices::<R, S>(stream, cx, slices);
        match written {
            Poll::Ready(Ok(n)) if n > 0 => self.transmitted(sender, n),
            Poll::Pending => sender.offered(self.now, offered),
            Poll::Ready(_) => {}
        }
        written
    }

    /// Whether a message may be [sent through](Self::send_through).
    pub(super) const fn lets_through(&self) -> bool {
        self.error.is_none()
    }

    /// Lets `send` send a message with a write of its own: what the stream takes of it at once is not queued. That
    /// the stream fails shows when it is written next.
    pub(super) fn send_through<S>(
        &mut self,
        stream: &mut S,
        sender: &mut Sender<Outbox>,
        cx: &mut Context<'_>,
        send: impl FnOnce(&mut Sender<Outbox>, Instant, Write<'_>) -> Result<(), SendError>,
    ) -> Result<(), SendError>
    where
        R: Transport<S>,
    {
        buffer_pool::lend_outbox(sender);
        let now = self.tick_for(sender);
        let mut kept = None;
        send(sender, now, &mut |slices| match poll_write_slices::<R, S>(stream, cx, slices) {
            Poll::Ready(Ok(n)) if n > 0 => {
                self.unflushed = true;
                n
            }
            Poll::Ready(Err(error)) if error.kind() != ErrorKind::Interrupted => {
                self.error = Some(error.kind());
                self.unflushed = false;
                0
            }
            Poll::Pending if R::may_keep(stream) => {
                kept = Some(slices.iter().map(|slice| slice.len()).sum());
                0
            }
            // One that takes nothing is asked once more before it has failed.
            _ => 0,
        })?;
        if let Some(kept) = kept {
            // The message is queued as it was offered: it was the first, and the same frame is made of it.
            sender.offered(now, kept);
        }
        Ok(())
    }

    fn poll_flush_stream<S>(
        &mut self,
        stream: &mut S,
        sender: &mut Sender<Outbox>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>>
    where
        R: Transport<S>,
    {
        let flushed = loop {
            match ready!(R::poll_flush(stream, cx)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                flushed => break flushed,
            }
        };
        match &flushed {
            Ok(()) => {
                self.unflushed = false;
                if sender.close_state() != CloseState::Open {
                    let now = self.tick_for(sender);
                    sender.handle_held_back(now, false);
                }
            }
            Err(error) => self.error = Some(error.kind()),
        }
        Poll::Ready(flushed)
    }

    /// After a failure there is no telling how much has been written.
    fn fail(&mut self, sender: &mut Sender<Outbox>, error: io::Error) -> io::Error {
        self.error = Some(error.kind());
        sender.transmitted(self.now, 0);
        error
    }

    /// Closes the sending half of the stream, if that is due.
    pub(super) fn poll_half_close<S>(
        &mut self,
        stream: &mut S,
        sender: &mut Sender<Outbox>,
        cx: &mut Context<'_>,
    ) where
        R: Transport<S>,
    {
        if sender.poll_transport() == Some(TransportAction::HalfClose) && self.is_flushed() {
            self.closed = true;
            // It fails where the peer is gone, which reading will show.
            if R::poll_close_write(stream, cx).is_ready() {
                sender.handle_half_closed();
            }
        }
    }

    /// Whether nothing is left in the stream that it holds back, for all that can be known.
    const fn is_flushed(&self) -> bool {
        !self.unflushed || self.closed || self.error.is_some()
    }

    /// The connection has ended: ends the stream. Where that takes time, dropping the stream has to do.
    pub(super) fn end<S>(&mut self, stream: &mut S, sender: &Sender<Outbox>, cx: &mut Context<'_>)
    where
        R: Transport<S>,
    {
        self.closed = true;
        if sender.poll_transport() == Some(TransportAction::Abort) {
            R::abort(stream);
        }
        let _ = R::poll_close_write(stream, cx);
    }

    /// Sends; where too much waits, writes it and sends again.
    // Not in the way of who has room.
    #[inline(never)]
    pub(super) fn poll_feed<S>(
        &mut self,
        stream: &mut S,
        half: &mut impl Sends,
        cx: &mut Context<'_>,
        mut send: impl FnMut(&mut Sender<Outbox>) -> Result<(), SendError>,
    ) -> Poll<Result<(), Error>>
    where
        R: Transport<S>,
    {
        loop {
            buffer_pool::lend_outbox(half.sender_mut());
            match send(half.sender_mut()) {
                Err(SendError::Blocked) => {}
                sent => return Poll::Ready(sent.map_err(Error::from)),
            }
            let before = half.sender().buffered_amount();
            if let Poll::Ready(written) = self.poll_write(stream, half.sender_mut(), cx) {
                written?;
            } else if half.sender().buffered_amount() == before {
                ready!(self.poll_wait(stream, half, cx));
            } else if self.is_due(half) {
                self.do_due(stream, half, cx);
            }
        }
    }

    /// Writes all that is queued; [`SendError::Closed`] where some of what was accepted never will be: it was
    /// dropped for a Close, or the connection has ended.
    pub(super) fn poll_flush<S>(
        &mut self,
        stream: &mut S,
        half: &mut impl Sends,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>>
    where
        R: Transport<S>,
    {
        while half.sender().close_state() != CloseState::Ended {
            if let Poll::Ready(written) = self.poll_write_within(stream, half.sender_mut(), cx) {
                written?;
                // Whoever only sends, and never has to wait, would otherwise send no Ping.
                if !self.is_due(half) {
                    buffer_pool::reclaim_outbox(half.sender_mut());
                    break;
                }
                self.do_due(stream, half, cx);
            } else {
                ready!(self.poll_wait(stream, half, cx));
            }
        }
        Poll::Ready(if half.sender().dropped() > 0 { Err(SendError::Closed.into()) } else { Ok(()) })
    }

    /// Whether a timer is due by the time that was read last.
    fn is_due(&self, half: &impl Sends) -> bool {
        half.poll_timeout().is_some_and(|at| at <= self.now)
    }
}

/// Writes what is queued in several pieces.
#[inline(never)]
fn poll_write_pieces<R: Transport<S>, S>(
    stream: &mut S,
    sender: &Sender<Outbox>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut slices = [&[][..]; MAX_SLICES];
    let len = sender.poll_transmit(&mut slices);
    poll_write_slices::<R, S>(stream, cx, slices.get(..len).unwrap_or_default())
}

/// Writes what all of `slices` hold, as far as the stream takes it; there are at most [`MAX_SLICES`].
fn poll_write_slices<R: Transport<S>, S>(
    stream: &mut S,
    cx: &mut Context<'_>,
    slices: &[&[u8]],
) -> Poll<io::Result<usize>> {
    let mut vectors = [IoSlice::new(&[]); MAX_SLICES];
    let mut most = 0;
    for (vector, slice) in vectors.iter_mut().zip(slices) {
        *vector = IoSlice::new(slice);
        most += slice.len();
    }
    check_count(R::poll_write(stream, cx, vectors.get(..slices.len()).unwrap_or_default()), most)
}
