//! Writes to an asynchronous stream. A WebSocket that is not split has its own driver. The halves of a split WebSocket
//! share a driver under a lock.
//!
//! [`WriteDriver`] writes the queue of a [`SendingHalf`], and flushes and half-closes the stream.
//!
//! Other files contain the calls that send and wait (`write_driver/sending`), the messages and their order (`Sender`),
//! and the time (`clock`). `read_ahead` has the bytes that were read ahead. The run loops are in `websocket/run_loop`
//! and `reader`, and the length of a turn is in `turn`.
//!
//! Invariants:
//! - Nothing is written after the sending direction of the stream was closed, or after a write has failed.
//! - If a stream may have kept the bytes of a pending write ([`Transport::keeps_refused_bytes`]), the next write begins
//!   with the same bytes.

mod sending;

use std::io::{self, ErrorKind, IoSlice};
use std::prelude::v1::*;
use std::task::{Context, Poll, ready};

use super::clock::Clock;
use super::read_ahead::ReadAhead;
use super::stream::check_count;
use super::{Timer, Transport, buffer_pool};
use crate::CloseState;
use crate::{Connection, Inbox, Instant, PendingReply, SendError, SendingHalf, TransportAction};

/// Writes as much of the slices as the stream takes, and returns the number of bytes that the stream took.
pub(super) type WriteFn<'w> = &'w mut dyn FnMut(&[&[u8]]) -> usize;

/// Maximum number of slices in one write.
const MAX_SLICES: usize = 32;

/// The state of writing to a stream, the bytes that were read ahead, and the clock of the connection.
#[derive(Debug)]
pub(super) struct WriteDriver<R> {
    clock: Clock<R>,
    /// Whether the stream may have bytes that were written and not flushed.
    unflushed: bool,
    /// Whether the sending direction of the stream is closed.
    closed: bool,
    /// The error of the first failed write. No write is tried after it.
    error: Option<ErrorKind>,
    /// Bytes that were read while a call waited to send.
    read_ahead: ReadAhead,
    /// The time when the stream last took bytes.
    took_at: Instant,
    /// The time when bytes were last read ahead.
    ahead_at: Instant,
    /// The time of the last read with input. `Some` while a part of this input is not decoded, because a receiving call
    /// returned an event before it had decoded all input. `None` if all input is decoded, or if the undecoded rest was
    /// reported to the timers.
    undecoded_since: Option<Instant>,
}

impl<R: Timer> WriteDriver<R> {
    /// Creates the driver of a connection. `latest` is the latest time that the timers of the connection have stored.
    pub(super) fn new(runtime: R, latest: Instant) -> Self {
        Self {
            clock: Clock::new(runtime, latest),
            // An earlier owner of the stream may have written bytes without flushing them.
            unflushed: true,
            closed: false,
            error: None,
            read_ahead: ReadAhead::new(),
            took_at: latest,
            ahead_at: latest,
            undecoded_since: None,
        }
    }

    /// Returns the clock of the connection.
    pub(super) const fn clock(&mut self) -> &mut Clock<R> {
        &mut self.clock
    }

    // --- reading ---

    /// Returns bytes that were read ahead. If there are none, reads from the stream.
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
        let (read, at) = if self.read_ahead.is_empty() {
            let most = to.len();
            // `now` returns the time when the clock was last read, which may be in the past. The time of a read is only
            // compared with the times at which Pings were written. Each write of a Ping reads the clock, so no Ping was
            // written after `now`.
            (check_count(R::poll_read(stream, cx, to), most), self.clock.now())
        } else {
            (Poll::Ready(self.read_ahead.take(to)), self.ahead_at)
        };
        self.undecoded_since = matches!(read, Poll::Ready(Ok(1..))).then_some(at);
        read
    }

    /// Records that the receiving calls have decoded everything that was read.
    #[inline]
    pub(super) const fn decoded_all(&mut self) {
        self.undecoded_since = None;
    }

    /// Reports to the timers of `half` that a part of the input is not decoded yet. Called before a timer runs, and
    /// when the WebSocket is taken apart.
    pub(super) fn report_undecoded(&mut self, half: &mut impl SendingHalf) {
        if let Some(at) = self.undecoded_since.take() {
            half.apply(at, PendingReply::Undecoded);
        }
    }

    /// Returns the result of [`ReadAhead::len`].
    pub(super) fn read_ahead_len(&self) -> (usize, bool) {
        self.read_ahead.len()
    }

    /// Moves the bytes that were read ahead to `inbox`. Called when the WebSocket is taken apart.
    pub(super) fn hand_over_ahead(&mut self, connection: &Connection, inbox: &mut Inbox) {
        self.read_ahead.hand_over(connection, inbox);
    }

    // --- writing ---

    /// Records that a write had failed before this driver was created.
    pub(super) const fn fail_writes(&mut self) {
        self.error = Some(ErrorKind::BrokenPipe);
    }

    /// Returns whether a write has failed. After a failed write, [`Self::send_through`] must not be called.
    pub(super) const fn has_failed(&self) -> bool {
        self.error.is_some()
    }

    /// Writes the whole write queue, and flushes the stream.
    #[inline(never)]
    pub(super) fn poll_write<S>(
        &mut self,
        stream: &mut S,
        half: &mut impl SendingHalf,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>>
    where
        R: Transport<S>,
    {
        self.poll_write_inlined(stream, half, cx)
    }

    /// Does the same as [`Self::poll_write`], but is inlined into the caller.
    ///
    /// A system call overwrites the return-address predictor of the processor with calls of the kernel. After the
    /// system call, the processor mispredicts the return from each function that was active. So on the hot path few
    /// functions are active during the system call.
    #[inline(always)]
    pub(super) fn poll_write_inlined<S>(
        &mut self,
        stream: &mut S,
        half: &mut impl SendingHalf,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>>
    where
        R: Transport<S>,
    {
        if let Some(kind) = self.error {
            return Poll::Ready(Err(kind.into()));
        }
        loop {
            let Some(written) = self.poll_write_once(stream, half, cx) else {
                let flushes = self.unflushed && !self.closed;
                return if flushes { self.poll_flush_stream(stream, half, cx) } else { Poll::Ready(Ok(())) };
            };
            match written {
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Err(self.fail(half, ErrorKind::WriteZero.into())));
                }
                Poll::Ready(Ok(_)) => (self.unflushed, self.took_at) = (true, self.clock.now()),
                Poll::Ready(Err(error)) if error.kind() == ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.fail(half, error))),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Performs one write from the queue. Returns `None` if the queue is empty.
    #[inline(always)]
    fn poll_write_once<S>(
        &mut self,
        stream: &mut S,
        half: &mut impl SendingHalf,
        cx: &mut Context<'_>,
    ) -> Option<Poll<io::Result<usize>>>
    where
        R: Transport<S>,
    {
        let mut pieces = [&[][..]; 2];
        let waits = half.poll_transmit(&mut pieces);
        if waits == 0 {
            return None;
        }
        if R::keeps_refused_bytes(stream) {
            return Some(self.poll_write_retryable(stream, half, cx));
        }
        let [piece, _] = pieces;
        let written = if waits > 1 {
            poll_write_pieces::<R, S>(stream, half, cx)
        } else {
            check_count(R::poll_write(stream, cx, &[IoSlice::new(piece)]), piece.len())
        };
        match written {
            Poll::Ready(Ok(n)) if n > 0 => self.transmitted(half, n),
            Poll::Pending => half.transmitted(self.clock.now(), 0),
            Poll::Ready(_) => {}
        }
        Some(written)
    }

    /// Removes `n` bytes, which the stream has taken, from the queue.
    #[inline(always)]
    fn transmitted(&mut self, half: &mut impl SendingHalf, n: usize) {
        let now = self.clock.read_clock_for(half);
        if half.sender().close_state() != CloseState::Open {
            // The stream may keep our Close in its buffer until the flush. The sender must know this before it counts
            // the bytes as written.
            half.set_unflushed(now, true);
        }
        half.transmitted(now, n);
    }

    /// Performs one write to a stream that may keep the bytes of a pending write; see
    /// [`Transport::keeps_refused_bytes`].
    ///
    /// `transmit_refused` tells the sender which bytes were part of a pending write. Each later write then begins with
    /// these bytes, until the stream takes them.
    #[inline(never)]
    fn poll_write_retryable<S>(
        &mut self,
        stream: &mut S,
        half: &mut impl SendingHalf,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>>
    where
        R: Transport<S>,
    {
        let mut slices = [&[][..]; MAX_SLICES];
        let len = half.poll_transmit_retryable(&mut slices);
        let slices = slices.get(..len).unwrap_or_default();
        let offered = slices.iter().map(|slice| slice.len()).sum();
        let written = poll_write_slices::<R, S>(stream, cx, slices);
        match written {
            Poll::Ready(Ok(n)) if n > 0 => self.transmitted(half, n),
            Poll::Pending => {
                half.transmit_refused(offered);
                half.transmitted(self.clock.now(), 0);
            }
            Poll::Ready(_) => {}
        }
        written
    }

    /// Calls `send`, which writes a message directly to the stream and queues the part that the stream did not take. If
    /// the write fails, the next write returns the error.
    pub(super) fn send_through<S, H: SendingHalf>(
        &mut self,
        stream: &mut S,
        half: &mut H,
        cx: &mut Context<'_>,
        send: impl FnOnce(&mut H, Instant, WriteFn<'_>) -> Result<(), SendError>,
    ) -> Result<(), SendError>
    where
        R: Transport<S>,
    {
        buffer_pool::reuse_queue_memory(half);
        let now = self.clock.read_clock_for(half);
        let mut kept = None;
        send(half, now, &mut |slices| match poll_write_slices::<R, S>(stream, cx, slices) {
            Poll::Ready(Ok(n)) if n > 0 => {
                (self.unflushed, self.took_at) = (true, now);
                n
            }
            Poll::Ready(Err(error)) if error.kind() != ErrorKind::Interrupted => {
                self.error = Some(error.kind());
                self.unflushed = false;
                0
            }
            Poll::Pending if R::keeps_refused_bytes(stream) => {
                kept = Some(slices.iter().map(|slice| slice.len()).sum());
                0
            }
            // If the stream took 0 bytes, the message is queued. The next write then fails with `WriteZero` if the
            // stream still takes 0 bytes.
            _ => 0,
        })?;
        if let Some(kept) = kept {
            // The queue was empty before this call. The queue now begins with the frame of the pending write, so its
            // first `kept` bytes must be written again.
            half.transmit_refused(kept);
            half.transmitted(now, 0);
        }
        Ok(())
    }

    fn poll_flush_stream<S>(
        &mut self,
        stream: &mut S,
        half: &mut impl SendingHalf,
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
                if half.sender().close_state() != CloseState::Open {
                    let now = self.clock.read_clock_for(half);
                    half.set_unflushed(now, false);
                }
            }
            Err(error) => self.error = Some(error.kind()),
        }
        Poll::Ready(flushed)
    }

    /// Records a failed write. Nothing more can be written, because the number of bytes that were written is unknown.
    fn fail(&mut self, half: &mut impl SendingHalf, error: io::Error) -> io::Error {
        self.error = Some(error.kind());
        half.transmitted(self.clock.now(), 0);
        error
    }

    /// Closes the sending direction of the stream if the connection asks for it and the stream is flushed.
    pub(super) fn poll_half_close<S>(
        &mut self,
        stream: &mut S,
        half: &mut impl SendingHalf,
        cx: &mut Context<'_>,
    ) where
        R: Transport<S>,
    {
        if half.poll_transport() == Some(TransportAction::HalfClose) && self.is_flushed() {
            self.closed = true;
            // An error means that the peer is gone, which the next read reports.
            if R::poll_close_write(stream, cx).is_ready() {
                half.handle_half_closed();
            }
        }
    }

    /// Returns whether the stream has no bytes that a flush would write.
    const fn is_flushed(&self) -> bool {
        !self.unflushed || self.closed || self.error.is_some()
    }

    /// Closes the stream after the end of the connection. If the stream cannot be closed at once, it is closed when it
    /// is dropped.
    pub(super) fn end<S>(&mut self, stream: &mut S, half: &impl SendingHalf, cx: &mut Context<'_>)
    where
        R: Transport<S>,
    {
        self.closed = true;
        if half.poll_transport() == Some(TransportAction::Abort) {
            R::abort(stream);
        }
        let _ = R::poll_close_write(stream, cx);
    }
}

/// Performs one vectored write from a queue of several pieces.
#[inline(never)]
fn poll_write_pieces<R: Transport<S>, S>(
    stream: &mut S,
    half: &impl SendingHalf,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut slices = [&[][..]; MAX_SLICES];
    let len = half.poll_transmit(&mut slices);
    poll_write_slices::<R, S>(stream, cx, slices.get(..len).unwrap_or_default())
}

/// Performs one vectored write of `slices`, at most [`MAX_SLICES`] of them.
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
