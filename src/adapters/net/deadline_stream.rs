//! A blocking stream with a clock, whose calls end at a deadline.
//!
//! [`DeadlineStream`] converts the deadlines of the core into timeouts of the stream. A deadline that has passed
//! makes a call that does not block: the stream is switched to non-blocking mode for that call.
//!
//! This file knows nothing of WebSocket. The loops in `run_loop.rs`, `reader.rs`, `write_driver.rs` and `handshake.rs`
//! decide what to read and write. `stream.rs` adapts foreign streams, `timeouts.rs` chooses and sets timeouts, and
//! `blocking_mode.rs` knows whether the mode may be switched.
//!
//! Invariants:
//! - After a failed write nothing is written any more: the number of bytes that went out is unknown.
//! - Bytes that were [read ahead](ReadAhead) are returned before any others.
//! - The blocking mode of the stream is the same after a call as before it.
//! - `now` is read from the clock after each call on the stream, and `read_at` is `now` at the last read.

use core::fmt;
use core::time::Duration;
use std::io::{self, ErrorKind, IoSlice};
use std::net::TcpStream;
use std::prelude::v1::*;

use super::blocking_mode::BlockingMode;
use super::clock::Clock;
use super::read_ahead::ReadAhead;
use super::stream::{Over, Stream};
use super::timeouts::{Direction, SHORTEST, Timeouts};
use crate::{Connection, Inbox, Instant};

/// Maximum number of slices in one write.
pub(super) const MAX_SLICES: usize = 32;

/// A stream whose calls end at a deadline.
pub(super) struct DeadlineStream<S> {
    stream: Over<S>,
    clock: Clock,
    /// The time when the clock was last read.
    now: Instant,
    /// The time when the last read returned.
    read_at: Instant,
    timeouts: Timeouts,
    mode: BlockingMode,
    ahead: ReadAhead,
    /// See [`Stream::may_keep`].
    may_keep: bool,
    /// True while the stream may hold bytes that were written and not flushed.
    unflushed: bool,
    /// True if the last flush found the stream full.
    flush_waits: bool,
    /// The error of the write that failed. Every later write returns it.
    write_error: Option<ErrorKind>,
    /// The directions that were ended.
    ended: Ended,
}

/// The directions of a stream that were ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Nothing,
    Sending,
    Both,
}

/// How a call on the stream is prevented from blocking too long.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// The call does not block: the stream is in non-blocking mode during the call.
    Not,
    /// The call blocks for this timeout at most.
    For(Duration),
    /// The call has no timeout. It blocks without bound, or not at all if the application has set that mode.
    AsTheStreamDoes,
}

/// The result of a call on the stream.
enum Call<T> {
    Done(T),
    /// The call was interrupted, and must be made again.
    Interrupted,
    /// The timeout ran out, or a non-blocking call found the stream not ready.
    Waited,
}

/// The result of a write.
#[derive(Clone, Copy)]
pub(super) struct Written {
    /// The number of bytes that the stream took.
    pub(super) n: usize,
    /// True if the stream was full when the call ended.
    pub(super) full: bool,
}

/// The result of a flush.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Flush {
    Done {
        /// True if the flush before this one found the stream full.
        waited: bool,
    },
    /// The stream is full. Flush again later.
    Waits,
}

/// The result of a half-close.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum HalfClose {
    Done,
    /// The stream is full. Half-close again later.
    Waits,
    /// The stream has no half-close: only both directions can be ended.
    Impossible,
}

impl DeadlineStream<TcpStream> {
    /// Wraps a socket. Puts it into blocking mode unless the caller says that it is.
    pub(super) fn tcp(stream: TcpStream, is_blocking: bool) -> io::Result<Self> {
        // Each write passes whole frames, so Nagle's algorithm would only add delay.
        stream.set_nodelay(true)?;
        if !is_blocking {
            stream.set_nonblocking(false)?;
        }
        Ok(Self { mode: BlockingMode::blocking(), ..Self::new(stream.into(), Instant::ZERO) })
    }
}

impl<S: Stream + Send + 'static> DeadlineStream<S> {
    /// Makes two handles to the same stream, with the same clock: the first to read, the second to write.
    pub(super) fn take_apart(self) -> io::Result<[DeadlineStream<Box<dyn Stream + Send>>; 2]> {
        let [reads, writes] = self.stream.take_apart()?;
        let [read_mode, write_mode] = self.mode.into_shared();
        let link = |stream, mode, ahead| DeadlineStream {
            stream,
            clock: self.clock,
            now: self.now,
            read_at: self.read_at,
            timeouts: self.timeouts,
            mode,
            ahead,
            may_keep: self.may_keep,
            unflushed: self.unflushed,
            flush_waits: self.flush_waits,
            write_error: self.write_error,
            ended: self.ended,
        };
        Ok([link(reads, read_mode, self.ahead), link(writes, write_mode, ReadAhead::default())])
    }
}

impl<S> DeadlineStream<S> {
    /// Wraps a stream. The clock starts at `start`.
    pub(super) fn new(mut stream: Over<S>, start: Instant) -> Self {
        let may_keep = stream.may_keep();
        let clock = Clock::start_at(start, stream.clock());
        Self {
            may_keep,
            stream,
            clock,
            now: start,
            read_at: start,
            timeouts: Timeouts::default(),
            mode: BlockingMode::default(),
            ahead: ReadAhead::default(),
            // An earlier owner of the stream may have written to it.
            unflushed: may_keep,
            flush_waits: false,
            write_error: None,
            ended: Ended::Nothing,
        }
    }

    /// Returns the time when the clock was last read.
    pub(super) const fn now(&self) -> Instant {
        self.now
    }

    /// Returns the time when the last read returned. Timers for received input are judged by this time, because later
    /// input is not known of yet.
    pub(super) const fn read_at(&self) -> Instant {
        self.read_at
    }

    /// Reads the clock, and returns the time.
    pub(super) fn tick(&mut self) -> Instant {
        self.now = self.clock.now(|| self.stream.clock());
        self.now
    }

    /// Returns the stream. The application may change its blocking mode, so the mode becomes unknown.
    pub(super) fn stream(&self) -> &S {
        self.mode.forget();
        self.stream.get_ref()
    }

    /// Returns the stream mutably. The blocking mode becomes unknown, as with [`stream`](Self::stream).
    pub(super) fn stream_mut(&mut self) -> &mut S {
        self.mode.forget();
        self.stream.get_mut()
    }

    /// Returns the stream, after removing the timeouts that were set here.
    pub(super) fn into_over(mut self) -> Over<S> {
        self.timeouts.remove(&mut self.stream);
        self.stream
    }

    /// Returns the inner stream of [`into_over`](Self::into_over).
    pub(super) fn into_stream(self) -> S {
        self.into_over().into_inner()
    }

    /// Returns the stream, after moving the bytes that were read ahead to the inbox of `connection`.
    pub(super) fn into_parts(mut self, connection: &Connection, inbox: &mut Inbox) -> S {
        while let Some(Ok(n @ 1..)) = self.ahead.take(connection.read_space(inbox)) {
            inbox.handle_read(n);
        }
        self.into_stream()
    }

    /// Makes every write fail, because a write to the stream failed before this value was made.
    pub(super) fn fail_writes(&mut self) {
        self.write_error = Some(ErrorKind::BrokenPipe);
    }

    /// Returns whether a write has failed.
    pub(super) const fn write_failed(&self) -> bool {
        self.write_error.is_some()
    }

    /// Returns the value of [`Stream::may_keep`].
    pub(super) const fn may_keep(&self) -> bool {
        self.may_keep
    }

    /// Returns whether the stream may hold bytes that were written and not flushed.
    pub(super) const fn is_unflushed(&self) -> bool {
        self.unflushed
    }

    /// Returns whether the next read returns bytes that were read ahead.
    pub(super) fn has_read_ahead(&self) -> bool {
        self.ahead.has_bytes()
    }

    /// Returns whether the next read returns the end or the failure that [`look`](Self::look) has found.
    pub(super) fn input_has_ended(&self) -> bool {
        self.ahead.is_at_end()
    }

    /// Returns whether the end of the stream or a failure is known, behind the bytes that were read ahead.
    pub(super) const fn knows_end(&self) -> bool {
        self.ahead.knows_end()
    }

    /// Returns whether [`look`](Self::look) can read: the stream has not ended, and the read-ahead buffer is not full.
    pub(super) fn can_look(&self) -> bool {
        self.ahead.has_room()
    }

    /// Makes the next read return the end of the stream again.
    pub(super) fn keep_end(&mut self) {
        self.ahead.keep_end();
    }

    // --- calls on the stream ---

    /// Reads once, and blocks until `deadline` at most. After the deadline it still reads input that has arrived.
    ///
    /// Returns `None` if the deadline came first, or if the call was interrupted.
    pub(super) fn read(&mut self, to: &mut [u8], deadline: Option<Instant>) -> io::Result<Option<usize>> {
        self.tick();
        if let Some(read) = self.ahead.take(to) {
            return read.map(Some);
        }
        let wait = self.arrange(Direction::Read, deadline)?;
        let call = self.call(wait, deadline, |stream| stream.read(to));
        self.read_at = self.now;
        match call? {
            Call::Done(n) => Ok(Some(n)),
            Call::Interrupted | Call::Waited => Ok(None),
        }
    }

    /// Reads ahead the input that has arrived, without blocking, and keeps it for [`read`](Self::read).
    ///
    /// Returns the number of bytes. Returns `None` if the stream cannot be read without blocking, if it has ended, or
    /// if the read-ahead buffer is full.
    pub(super) fn look(&mut self) -> Option<usize> {
        if !self.can_look() {
            return None;
        }
        let now = Some(self.tick());
        let wait = self.arrange(Direction::Read, now).ok()?;
        if wait == Wait::AsTheStreamDoes && !self.mode.is_nonblocking() {
            // This read could block without bound.
            return None;
        }
        let mut ahead = core::mem::take(&mut self.ahead);
        let space = ahead.space();
        let room = space.len();
        let read = self.call(wait, now, |stream| stream.read(space)).map(|call| match call {
            Call::Done(n) => Some(n),
            Call::Interrupted | Call::Waited => None,
        });
        let n = read.as_ref().map_or(0, |n| n.unwrap_or(0));
        ahead.handle_read(room, read);
        (self.ahead, self.read_at) = (ahead, self.now);
        Some(n)
    }

    /// Writes once, as much as the stream takes until `deadline`. The caller must have read the clock with
    /// [`tick`](Self::tick).
    pub(super) fn write(&mut self, slices: &[&[u8]], deadline: Option<Instant>) -> io::Result<Written> {
        if let Some(kind) = self.write_error {
            return Err(kind.into());
        }
        let mut vectors = [IoSlice::new(&[]); MAX_SLICES];
        let (mut len, mut offered) = (0, 0);
        for (vector, slice) in vectors.iter_mut().zip(slices) {
            *vector = IoSlice::new(slice);
            len += 1;
            offered += slice.len();
        }
        let vectors = vectors.get(..len).unwrap_or_default();
        let (began, wait) = (self.now, self.arrange(Direction::Write, deadline)?);
        let call = self.call(wait, deadline, |stream| stream.write(vectors));
        Ok(match self.remember(call)? {
            Call::Done(n) => {
                self.unflushed = self.may_keep;
                // A blocking socket takes a part of the bytes only if it was full until its timeout.
                let took = self.now.saturating_duration_since(began);
                let waited = matches!(wait, Wait::For(time) if took >= time / 4);
                Written { n, full: n < offered && waited }
            }
            Call::Interrupted => Written { n: 0, full: false },
            Call::Waited => Written { n: 0, full: true },
        })
    }

    /// Flushes the bytes that were written. Blocks until `deadline` at most.
    pub(super) fn flush(&mut self, deadline: Option<Instant>) -> io::Result<Flush> {
        if let Some(kind) = self.write_error {
            return Err(kind.into());
        }
        let waited = core::mem::replace(&mut self.flush_waits, false);
        if self.unflushed {
            let wait = self.arrange(Direction::Write, deadline)?;
            let call = self.call(wait, deadline, Over::flush);
            // Set before the `?`: a non-blocking stream that is full returns an error.
            self.flush_waits = true;
            if !matches!(self.remember(call)?, Call::Done(())) {
                return Ok(Flush::Waits);
            }
            (self.unflushed, self.flush_waits) = (false, false);
        }
        Ok(Flush::Done { waited })
    }

    /// Closes the sending direction. Blocks until `deadline` at most.
    pub(super) fn half_close(&mut self, deadline: Option<Instant>) -> HalfClose {
        if self.ended != Ended::Nothing {
            return HalfClose::Done;
        }
        self.tick();
        let call = match self.arrange(Direction::Write, deadline) {
            Ok(wait) => self.call(wait, deadline, Over::end_sending),
            Err(error) => Err(error),
        };
        match call {
            Ok(Call::Interrupted | Call::Waited) => return HalfClose::Waits,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return HalfClose::Waits,
            Err(error) if error.kind() == ErrorKind::Unsupported => return HalfClose::Impossible,
            // An error means that the peer is gone. The next read reports that.
            Ok(Call::Done(())) | Err(_) => {}
        }
        self.ended = Ended::Sending;
        HalfClose::Done
    }

    /// Ends both directions so that the peer sees a regular end. Leaves the stream open if it has no half-close.
    pub(super) fn close(&mut self) {
        // The connection has ended, so this call does not block.
        if self.half_close(Some(self.now)) != HalfClose::Impossible {
            self.abort();
        }
    }

    /// Ends both directions at once.
    pub(super) fn abort(&mut self) {
        if self.ended != Ended::Both {
            self.ended = Ended::Both;
            self.stream.abort();
        }
    }

    /// Prepares the stream so that the next call in `direction` ends at `deadline`: by non-blocking mode for a deadline
    /// that has passed, and by a timeout otherwise.
    fn arrange(&mut self, direction: Direction, deadline: Option<Instant>) -> io::Result<Wait> {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(self.now));
        if left.is_some_and(|left| left < SHORTEST) && self.mode.is_blocking() {
            self.mode.switched();
            if self.stream.set_nonblocking(true)? {
                return Ok(Wait::Not);
            }
            self.mode.switched();
        }
        let time = self.timeouts.set(&mut self.stream, direction, left)?;
        Ok(time.map_or(Wait::AsTheStreamDoes, Wait::For))
    }

    /// Makes a call that [`arrange`](Self::arrange) has prepared, restores the blocking mode, and reads the clock.
    fn call<T>(
        &mut self,
        wait: Wait,
        deadline: Option<Instant>,
        call: impl FnOnce(&mut Over<S>) -> io::Result<T>,
    ) -> io::Result<Call<T>> {
        let (began, switches) = (self.now, self.mode.switches());
        let result = call(&mut self.stream);
        if wait == Wait::Not {
            self.stream.set_nonblocking(false)?;
            self.mode.switched();
        }
        let now = self.tick();
        match result {
            Ok(done) => Ok(Call::Done(done)),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(Call::Interrupted),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if wait == Wait::Not {
                    return Ok(Call::Waited);
                }
                if self.mode.may_have_been_switched(switches) {
                    return Ok(Call::Interrupted);
                }
                // The error means either that the timeout ran out or that the stream is in non-blocking mode. The
                // elapsed time tells which. Some systems wake early, so a quarter of the timeout counts as all of it. A
                // non-blocking stream must not be taken for a blocking one: calling it in a loop would keep the
                // processor busy.
                let took = now.saturating_duration_since(began);
                let waited = matches!(wait, Wait::For(time) if took >= time / 4);
                if waited || error.kind() == ErrorKind::WouldBlock {
                    self.mode.learn(waited);
                }
                let due = deadline.is_some_and(|deadline| deadline <= now);
                if waited || due { Ok(Call::Waited) } else { Err(error) }
            }
            Err(error) => Err(error),
        }
    }

    /// Stores the error of a failed write. `WouldBlock` is no failure.
    fn remember<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result {
            if error.kind() != ErrorKind::WouldBlock {
                self.write_error = Some(error.kind());
            }
        }
        result
    }
}

impl<S: fmt::Debug> fmt::Debug for DeadlineStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadlineStream")
            .field("stream", &self.stream)
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}
