//! Writing a stream, and the time.

use core::time::Duration;
use std::io::{self, ErrorKind, IoSlice};
use std::prelude::v1::*;
use std::task::{Context, Poll, ready};

use super::memory::Borrowed;
use super::{Timer, Writes, memory};
use crate::adapters::error::Error;
use crate::close::State;
use crate::{Connection, Instant, Outbox, SendError, Sender, TransportAction};

/// Writes what it is shown, as far as the stream takes it, and says how much that was.
pub(super) type Write<'w> = &'w mut dyn FnMut(&[&[u8]]) -> usize;

/// The most slices that go into one write.
const MAX_SLICES: usize = 32;

/// The most that a stream is offered at once which may keep what it was offered: a record of TLS.
const MOST_KEPT: usize = 16 << 10;

/// How long a write may be held up before a timer runs out over it. The application may have been busy for
/// long, and what the peer has sent meanwhile lies unread; but that it takes what is written shows it alive.
const GRACE: Duration = Duration::from_secs(1);

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

/// How far writing has come, beside the stream itself, and the runtime's clock.
#[derive(Debug)]
pub(super) struct Wire<R> {
    runtime: R,
    now: Instant,
    /// Messages have come in since the clock was read.
    late: bool,
    /// Since when a call that sends has waited, and nothing has moved.
    stalled: Option<Instant>,
    /// What a stream may have kept of a write that waits.
    kept: Option<Box<Kept>>,
    /// Something was written and not flushed.
    unflushed: bool,
    /// Why writing has failed; it is not tried again.
    error: Option<ErrorKind>,
}

/// Bytes that a stream was offered and will be offered again, though something more urgent has come since:
/// OpenSSL encrypts what it is given before it is known whether there is room, and says of the next write,
/// whatever it is of, that this much is written.
#[derive(Debug)]
struct Kept {
    bytes: Vec<u8>,
    written: usize,
}

impl<R> Wire<R> {
    /// How many bytes a stream may have kept, and not written for all that is known.
    pub(super) fn kept(&self) -> usize {
        self.kept.as_ref().map_or(0, |kept| kept.bytes.len().saturating_sub(kept.written))
    }
}

impl<R: Timer> Wire<R> {
    pub(super) fn new(runtime: R) -> Self {
        let now = runtime.now();
        Self { runtime, now, late: false, stalled: None, kept: None, unflushed: false, error: None }
    }

    /// The time, as last read.
    pub(super) const fn now(&self) -> Instant {
        self.now
    }

    /// Reads the clock.
    pub(super) fn tick(&mut self) -> Instant {
        self.now = self.runtime.now();
        self.now
    }

    /// A message has come in: it waits for the clock to be read for something else.
    pub(super) const fn received(&mut self) {
        self.late = true;
    }

    /// Reads the clock, if messages have come in since it was read: they count as of now, which is later than they came,
    /// so that no timer is early.
    pub(super) fn catch_up(&mut self, sender: &mut Sender<Outbox>) {
        if self.late {
            self.tick_for(sender);
        }
    }

    /// Reads the clock, also for the messages that have come in.
    pub(super) fn tick_for(&mut self, sender: &mut Sender<Outbox>) -> Instant {
        let now = self.tick();
        if core::mem::take(&mut self.late) {
            sender.handle_received(now, true);
        }
        now
    }

    /// Whether writing has failed.
    pub(super) const fn has_failed(&self) -> bool {
        self.error.is_some()
    }

    /// A call that sends begins to wait, if it has to.
    pub(super) const fn begin(&mut self) {
        self.stalled = None;
    }

    /// Ready when it is time for `at`, if there is such a time; gives what time it is.
    pub(super) fn poll_due(&mut self, cx: &mut Context<'_>, at: Option<Instant>) -> Poll<Instant> {
        let Some(at) = at else { return Poll::Pending };
        ready!(self.runtime.poll_at(cx, at));
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

    /// Writes all that is queued.
    #[inline(never)]
    pub(super) fn poll_write<W>(
        &mut self,
        stream: &mut W,
        sender: &mut Sender<Outbox>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>>
    where
        R: Writes<W>,
    {
        self.poll_write_within(stream, sender, cx)
    }

    /// As [`Self::poll_write`], within the function that calls. The kernel's own calls push ours out of where a processor
    /// remembers whither they return, so each return behind a system call is one that it did not foresee.
    #[inline(always)]
    pub(super) fn poll_write_within<W>(
        &mut self,
        stream: &mut W,
        sender: &mut Sender<Outbox>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>>
    where
        R: Writes<W>,
    {
        if let Some(kind) = self.error {
            return Poll::Ready(Err(kind.into()));
        }
        loop {
            let written = if let Some(kept) = &mut self.kept {
                let rest = kept.bytes.get(kept.written..).unwrap_or_default();
                let written = R::poll_write(stream, cx, &[IoSlice::new(rest)]);
                if let Poll::Ready(Ok(n)) = written {
                    kept.written += n;
                    if kept.written >= kept.bytes.len() {
                        self.kept = None;
                    }
                }
                written
            } else if let Some(written) = self.poll_write_queued(stream, sender, cx) {
                written
            } else {
                return if self.unflushed { self.poll_flush_stream(stream, cx) } else { Poll::Ready(Ok(())) };
            };
            match written {
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Err(self.fail(sender, ErrorKind::WriteZero.into())));
                }
                Poll::Ready(Ok(_)) => {
                    self.unflushed = true;
                    self.stalled = None;
                }
                Poll::Ready(Err(error)) if error.kind() == ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.fail(sender, error))),
                Poll::Pending => {
                    sender.transmitted(self.now, 0);
                    return Poll::Pending;
                }
            }
        }
    }

    /// Writes once, of what is queued, if anything is.
    #[inline(always)]
    fn poll_write_queued<W>(
        &mut self,
        stream: &mut W,
        sender: &mut Sender<Outbox>,
        cx: &mut Context<'_>,
    ) -> Option<Poll<io::Result<usize>>>
    where
        R: Writes<W>,
    {
        let mut pieces = [&[][..]; 2];
        let waits = sender.poll_transmit(&mut pieces);
        if waits == 0 {
            return None;
        }
        let [piece, _] = pieces;
        let keeps = R::keeps_what_waits(stream);
        let first = if keeps { piece.get(..MOST_KEPT).unwrap_or(piece) } else { piece };
        let written = if waits > 1 && first.len() == piece.len() {
            poll_write_pieces::<R, W>(stream, sender, cx)
        } else {
            R::poll_write(stream, cx, &[IoSlice::new(first)])
        };
        match written {
            Poll::Ready(Ok(n)) => {
                let now = self.tick_for(sender);
                sender.transmitted(now, n);
            }
            Poll::Pending if keeps => {
                let bytes = first.to_vec();
                let now = self.tick_for(sender);
                sender.transmitted(now, bytes.len());
                self.kept = Some(Box::new(Kept { bytes, written: 0 }));
            }
            _ => {}
        }
        Some(written)
    }

    /// Whether a message may be [sent through](Self::send_through): what was offered may be offered again in
    /// other pieces.
    pub(super) fn lets_through<W>(&self, stream: &W) -> bool
    where
        R: Writes<W>,
    {
        self.kept.is_none() && self.error.is_none() && !R::keeps_what_waits(stream)
    }

    /// Lets `send` send a message with a write of its own: what the stream takes of it at once is not queued. That
    /// the stream fails shows when it is written next.
    pub(super) fn send_through<W>(
        &mut self,
        stream: &mut W,
        sender: &mut Sender<Outbox>,
        cx: &mut Context<'_>,
        send: impl FnOnce(&mut Sender<Outbox>, Instant, Write<'_>) -> Result<(), SendError>,
    ) -> Result<(), SendError>
    where
        R: Writes<W>,
    {
        memory::lend_outbox(sender);
        let now = self.tick();
        send(sender, now, &mut |slices| match poll_write_slices::<R, W>(stream, cx, slices) {
            Poll::Ready(Ok(n)) if n > 0 => {
                self.unflushed = true;
                n
            }
            Poll::Ready(Err(error)) if error.kind() != ErrorKind::Interrupted => {
                self.error = Some(error.kind());
                self.unflushed = false;
                0
            }
            // One that takes nothing is asked once more before it has failed.
            _ => 0,
        })
    }

    fn poll_flush_stream<W>(&mut self, stream: &mut W, cx: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        R: Writes<W>,
    {
        let flushed = loop {
            match ready!(R::poll_flush(stream, cx)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                flushed => break flushed,
            }
        };
        match &flushed {
            Ok(()) => self.unflushed = false,
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
    pub(super) fn poll_half_close<W>(
        &mut self,
        stream: &mut W,
        sender: &mut Sender<Outbox>,
        cx: &mut Context<'_>,
    ) where
        R: Writes<W>,
    {
        // It fails where the peer is gone, which reading will show.
        if self.kept.is_none()
            && sender.poll_transport() == Some(TransportAction::HalfClose)
            && R::poll_shutdown(stream, cx).is_ready()
        {
            sender.handle_half_closed();
        }
    }

    /// Sends; where too much waits, writes it and sends again.
    // Not in the way of who has room.
    #[inline(never)]
    pub(super) fn poll_feed<W>(
        &mut self,
        stream: &mut W,
        half: &mut impl Sends,
        cx: &mut Context<'_>,
        mut send: impl FnMut(&mut Sender<Outbox>) -> Result<(), SendError>,
    ) -> Poll<Result<(), Error>>
    where
        R: Writes<W>,
    {
        loop {
            memory::lend_outbox(half.sender_mut());
            match send(half.sender_mut()) {
                Err(SendError::Blocked) => {}
                sent => return Poll::Ready(sent.map_err(Error::from)),
            }
            let before = half.sender().buffered_amount();
            if let Poll::Ready(written) = self.poll_write(stream, half.sender_mut(), cx) {
                written?;
            } else if half.sender().buffered_amount() == before {
                ready!(self.poll_stalled(half, cx));
            }
        }
    }

    /// Writes all that is queued; [`SendError::Closed`] where some of what was accepted never will be: it was
    /// dropped for a Close, or the connection has ended.
    pub(super) fn poll_flush<W>(
        &mut self,
        stream: &mut W,
        half: &mut impl Sends,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>>
    where
        R: Writes<W>,
    {
        while half.sender().close_state() != State::Ended {
            if let Poll::Ready(written) = self.poll_write_within(stream, half.sender_mut(), cx) {
                written?;
                memory::reclaim_outbox(half.sender_mut());
                break;
            }
            ready!(self.poll_stalled(half, cx));
        }
        let lost = half.sender().dropped() > 0 || self.kept.is_some();
        Poll::Ready(if lost { Err(SendError::Closed.into()) } else { Ok(()) })
    }

    /// A call that sends waits. Nobody reads meanwhile, so timers are given some time more.
    fn poll_stalled(&mut self, half: &mut impl Sends, cx: &mut Context<'_>) -> Poll<()> {
        // Nothing may be queued, and only the stream itself be flushed.
        let now = self.tick_for(half.sender_mut());
        let since = *self.stalled.get_or_insert(now);
        let grace = if half.sender().close_state() == State::Open { GRACE } else { Duration::ZERO };
        let now = ready!(self.poll_due(cx, half.poll_timeout().map(|at| at.max(since + grace))));
        half.handle_timeout(now);
        Poll::Ready(())
    }
}

/// Writes what is queued in several pieces.
#[inline(never)]
fn poll_write_pieces<R: Writes<W>, W>(
    stream: &mut W,
    sender: &Sender<Outbox>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut slices = [&[][..]; MAX_SLICES];
    let len = sender.poll_transmit(&mut slices);
    poll_write_slices::<R, W>(stream, cx, slices.get(..len).unwrap_or_default())
}

/// Writes what all of `slices` hold, as far as the stream takes it; there are at most [`MAX_SLICES`].
fn poll_write_slices<R: Writes<W>, W>(
    stream: &mut W,
    cx: &mut Context<'_>,
    slices: &[&[u8]],
) -> Poll<io::Result<usize>> {
    let mut vectors = [IoSlice::new(&[]); MAX_SLICES];
    for (vector, slice) in vectors.iter_mut().zip(slices) {
        *vector = IoSlice::new(slice);
    }
    R::poll_write(stream, cx, vectors.get(..slices.len()).unwrap_or_default())
}
