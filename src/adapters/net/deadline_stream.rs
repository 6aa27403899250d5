//! A blocking stream with a clock, whose calls end at a deadline.
//!
//! [`DeadlineStream`] converts the deadlines of the connection to timeouts of the stream. If the deadline has passed,
//! the call must not block. For such a call the stream is switched to non-blocking mode.
//!
//! This file does not depend on the WebSocket protocol. The loops in `run_loop.rs`, `reader.rs`, `write_driver.rs` and
//! `handshake.rs` decide what to read and write. `wrapped_stream.rs` calls the stream, and `timeouts.rs` chooses and
//! sets timeouts. `blocking_mode.rs` tracks whether the mode may be switched.
//!
//! Invariants:
//! - After a failed write nothing is written, because the number of bytes that were sent is unknown.
//! - Bytes that were [read ahead](ReadAhead) are returned before other bytes.
//! - After a call the stream has the same blocking mode as before the call.
//! - The clock is read after each call on the stream, and the time is stored in `now`. `read_at` is the value of `now`
//!   at the last read.

mod calls;

use core::fmt;
use std::io::{self, ErrorKind, IoSlice};
use std::net::TcpStream;
use std::prelude::v1::*;

use calls::{CallResult, Wait};

use super::blocking_mode::BlockingMode;
use super::clock::Clock;
use super::read_ahead::ReadAhead;
use super::stream::Stream;
use super::timeouts::{Direction, Timeouts};
use super::wrapped_stream::WrappedStream;
use crate::{Connection, Inbox, Instant};

/// Maximum number of slices in one write.
pub(super) const MAX_SLICES: usize = 32;

/// How often a read that does not block is repeated after [`ErrorKind::Interrupted`]. A TLS stream needs up to nine
/// reads of 2 KiB for one record that has already arrived.
const MAX_REPEATS: u32 = 16;

/// A stream whose calls end at a deadline.
pub(super) struct DeadlineStream<S> {
    stream: WrappedStream<S>,
    clock: Clock,
    /// The time when the clock was last read.
    now: Instant,
    /// The time when the last read returned.
    read_at: Instant,
    timeouts: Timeouts,
    mode: BlockingMode,
    ahead: ReadAhead,
    /// The time when the newest bytes in `ahead` were read.
    ahead_at: Instant,
    /// The time of the last read with input, if a part of this input may still be undecoded. `None` if all
    /// input is decoded, or if the undecoded rest was reported to the timers.
    undecoded_since: Option<Instant>,
    /// See [`Stream::keeps_refused_bytes`].
    keeps_refused_bytes: bool,
    /// True while the stream may have bytes that were written and not flushed.
    unflushed: bool,
    /// True if the last flush found the stream full.
    flush_waits: bool,
    /// The start of the last call in which the stream took bytes.
    took_at: Instant,
    /// The error of the write that failed. Every later write returns it.
    write_error: Option<ErrorKind>,
    /// The directions that were closed.
    ended: Ended,
}

/// The directions of a stream that were closed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Nothing,
    Sending,
    Both,
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
    /// The stream cannot close the sending direction only.
    Impossible,
}

impl DeadlineStream<TcpStream> {
    /// Wraps a socket. Sets the socket to blocking mode, unless `is_blocking` says that the socket already is in this
    /// mode.
    pub(super) fn tcp(stream: TcpStream, is_blocking: bool) -> io::Result<Self> {
        // Queued frames are already written together, so Nagle's algorithm would delay them without any benefit.
        stream.set_nodelay(true)?;
        if !is_blocking {
            stream.set_nonblocking(false)?;
        }
        Ok(Self::blocking(stream.into(), Instant::ZERO))
    }
}

impl<S: Stream + Send + 'static> DeadlineStream<S> {
    /// Creates two handles to the same stream, with the same clock: the first to read, the second to write.
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
            ahead_at: self.ahead_at,
            undecoded_since: self.undecoded_since,
            keeps_refused_bytes: self.keeps_refused_bytes,
            unflushed: self.unflushed,
            flush_waits: self.flush_waits,
            took_at: self.took_at,
            write_error: self.write_error,
            ended: self.ended,
        };
        Ok([link(reads, read_mode, self.ahead), link(writes, write_mode, ReadAhead::default())])
    }
}

impl<S> DeadlineStream<S> {
    /// Wraps a stream. The clock starts at `start`.
    pub(super) fn new(mut stream: WrappedStream<S>, start: Instant) -> Self {
        Self {
            keeps_refused_bytes: stream.keeps_refused_bytes(),
            // An earlier owner of the stream may have written bytes without flushing them.
            unflushed: stream.has_unflushed_bytes(),
            clock: Clock::start_at(start, stream.clock()),
            stream,
            now: start,
            read_at: start,
            timeouts: Timeouts::default(),
            mode: BlockingMode::default(),
            ahead: ReadAhead::default(),
            ahead_at: start,
            undecoded_since: None,
            flush_waits: false,
            took_at: start,
            write_error: None,
            ended: Ended::Nothing,
        }
    }

    /// Wraps a stream that is in blocking mode. The clock starts at `start`.
    pub(super) fn blocking(stream: WrappedStream<S>, start: Instant) -> Self {
        Self { mode: BlockingMode::blocking(), ..Self::new(stream, start) }
    }

    /// Returns the time when the clock was last read.
    pub(super) const fn now(&self) -> Instant {
        self.now
    }

    /// Returns the time when the last read returned. Timers that wait for input use this time, because input that
    /// arrived later has not been read yet.
    pub(super) const fn read_at(&self) -> Instant {
        self.read_at
    }

    /// Reads the clock, and returns the time.
    pub(super) fn read_clock(&mut self) -> Instant {
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

    /// Removes the timeouts that this type has set, and returns the stream.
    pub(super) fn into_wrapped(mut self) -> WrappedStream<S> {
        self.timeouts.remove(&mut self.stream);
        self.stream
    }

    /// Removes the timeouts that this type has set, and returns the stream without its [`WrappedStream`].
    pub(super) fn into_stream(self) -> S {
        self.into_wrapped().into_inner()
    }

    /// Puts a layer over the stream, for example TLS. Calls on the layer have the blocking mode of the stream.
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    pub(super) fn with_layer<T: Stream>(mut self, layer: impl FnOnce(S) -> T) -> DeadlineStream<T> {
        let (now, mode) = (self.now, core::mem::take(&mut self.mode));
        DeadlineStream { mode, ..DeadlineStream::new(layer(self.into_stream()).into(), now) }
    }

    /// Moves the bytes that were read ahead to the inbox of `connection`, and returns the stream.
    pub(super) fn into_parts(mut self, connection: &Connection, inbox: &mut Inbox) -> S {
        while let Some(Ok(n @ 1..)) = self.ahead.take(connection.read_space(inbox)) {
            inbox.handle_read(n);
        }
        self.into_stream()
    }

    /// Makes every write fail, because a write to the stream failed before this value was created.
    pub(super) fn fail_writes(&mut self) {
        self.write_error = Some(ErrorKind::BrokenPipe);
    }

    /// Returns whether a write has failed.
    pub(super) const fn write_failed(&self) -> bool {
        self.write_error.is_some()
    }

    /// Returns the value of [`Stream::keeps_refused_bytes`].
    pub(super) const fn keeps_refused_bytes(&self) -> bool {
        self.keeps_refused_bytes
    }

    /// Returns whether the stream may have bytes that were written and not flushed.
    pub(super) const fn is_unflushed(&self) -> bool {
        self.unflushed
    }

    /// Returns whether the next read returns bytes that were read ahead.
    pub(super) fn has_read_ahead(&self) -> bool {
        self.ahead.has_bytes()
    }

    /// Returns whether the read-ahead buffer is full, so that [`read_ahead`](Self::read_ahead) cannot read.
    pub(super) fn is_ahead_full(&self) -> bool {
        self.ahead.is_full()
    }

    /// Returns whether the next read returns the end or an error that [`read_ahead`](Self::read_ahead) has read.
    pub(super) fn input_has_ended(&self) -> bool {
        self.ahead.is_at_end()
    }

    /// Returns whether [`read_ahead`](Self::read_ahead) has read the end or an error of the stream. Bytes that were
    /// read ahead may come before the end.
    pub(super) const fn knows_end(&self) -> bool {
        self.ahead.knows_end()
    }

    /// Returns whether [`read_ahead`](Self::read_ahead) can read: the stream has not ended, and the read-ahead buffer
    /// is not full.
    pub(super) fn can_read_ahead(&self) -> bool {
        self.ahead.has_space()
    }

    /// Makes the next read return the end of the stream again.
    pub(super) fn keep_end(&mut self) {
        self.ahead.keep_end();
    }

    // --- calls on the stream ---

    /// Reads once, and does not block beyond `deadline`. If the deadline has passed, only reads input that has already
    /// arrived.
    ///
    /// Returns `None` if no input has arrived before the deadline, or if the call was interrupted.
    pub(super) fn read(&mut self, to: &mut [u8], deadline: Option<Instant>) -> io::Result<Option<usize>> {
        let was_ahead = self.has_read_ahead();
        let read = self.read_once(to, deadline);
        let at = if was_ahead { self.ahead_at } else { self.read_at };
        self.undecoded_since = matches!(read, Ok(Some(1..))).then_some(at);
        read
    }

    /// Returns the time of the last read with input, if a part of this input may still be undecoded. Forgets this time.
    /// Called when all input is decoded, and before the timers run.
    pub(super) const fn take_undecoded_since(&mut self) -> Option<Instant> {
        self.undecoded_since.take()
    }

    /// Reads for [`read`](Self::read). Does not change `undecoded_since`.
    fn read_once(&mut self, to: &mut [u8], deadline: Option<Instant>) -> io::Result<Option<usize>> {
        self.read_clock();
        if let Some(read) = self.ahead.take(to) {
            if !matches!(read, Ok(1..)) {
                // No input can arrive after the end, so it is known that none has arrived until now.
                self.read_at = self.now;
            }
            return read.map(Some);
        }
        let mut repeats = 0;
        loop {
            let wait = self.arrange(Direction::Read, deadline)?;
            let call = self.call(wait, deadline, |stream| stream.read(to));
            self.read_at = self.now;
            let must_flush = self.check_output_of_reads();
            match call? {
                CallResult::Done(n) => return Ok(Some(n)),
                // The peer may wait for the bytes that this read has produced. The caller flushes them.
                CallResult::Interrupted if must_flush => return Ok(None),
                // For example, a TLS stream has read only a part of a record.
                CallResult::Interrupted if deadline.is_none_or(|deadline| self.now < deadline) => {}
                // The rest of the record may have arrived before the deadline. The number of reads is limited, because
                // a peer could send records without plaintext forever.
                CallResult::Interrupted if wait == Wait::Not && repeats < MAX_REPEATS => repeats += 1,
                CallResult::Interrupted | CallResult::Waited => return Ok(None),
            }
        }
    }

    /// Reads the input that has arrived without blocking, and keeps it for [`read`](Self::read).
    ///
    /// Returns the number of bytes, which is 0 if no input has arrived or if the stream has just ended or failed.
    /// Returns `None` if nothing was read: the stream cannot be read without blocking, its end is already known, or the
    /// read-ahead buffer is full.
    pub(super) fn read_ahead(&mut self) -> Option<usize> {
        if !self.can_read_ahead() {
            return None;
        }
        let now = Some(self.read_clock());
        let wait = self.arrange(Direction::Read, now).ok()?;
        if wait == Wait::AsTheStreamDoes && !self.mode.is_nonblocking() {
            // This read could block without bound.
            return None;
        }
        let mut ahead = core::mem::take(&mut self.ahead);
        let space = ahead.space();
        let space_len = space.len();
        let read = self.call(wait, now, |stream| {
            let mut read = stream.read(space);
            for _ in 0..MAX_REPEATS {
                match &read {
                    // A TLS stream has read a part of a record. The rest may have arrived, too.
                    Err(error) if error.kind() == ErrorKind::Interrupted && wait == Wait::Not => {
                        read = stream.read(space);
                    }
                    _ => break,
                }
            }
            read
        });
        let read = read.map(|call| match call {
            CallResult::Done(n) => Some(n),
            CallResult::Interrupted | CallResult::Waited => None,
        });
        let n = read.as_ref().map_or(0, |n| n.unwrap_or(0));
        ahead.handle_read(space_len, read);
        (self.ahead, self.read_at) = (ahead, self.now);
        self.check_output_of_reads();
        if n > 0 {
            self.ahead_at = self.now;
        }
        Some(n)
    }

    /// Writes once, and does not block beyond `deadline`. The caller must have read the clock with
    /// [`read_clock`](Self::read_clock).
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
        let waited = self.has_waited(wait, began);
        Ok(match self.store_write_error(call)? {
            CallResult::Done(n) => {
                if n > 0 {
                    // The stream may have taken the bytes at once, and then have blocked until the timeout.
                    self.took_at = began;
                }
                self.unflushed = self.stream.has_unflushed_bytes();
                // If a blocking socket takes only a part of the bytes, it was full until the timeout.
                Written { n, full: n < offered && waited }
            }
            CallResult::Interrupted => Written { n: 0, full: waited },
            CallResult::Waited => Written { n: 0, full: true },
        })
    }

    /// Returns the start of the last call in which the stream took bytes.
    pub(super) const fn took_at(&self) -> Instant {
        self.took_at
    }

    /// Returns whether a read of this or another handle has produced bytes that need a flush, for example an answer of
    /// TLS. In this case the next [`flush`](Self::flush) writes these bytes.
    pub(super) fn check_output_of_reads(&mut self) -> bool {
        let must_flush = self.stream.needs_flush_after_read();
        self.unflushed |= must_flush;
        must_flush
    }

    /// Flushes the bytes that were written. Does not block beyond `deadline`.
    pub(super) fn flush(&mut self, deadline: Option<Instant>) -> io::Result<Flush> {
        if let Some(kind) = self.write_error {
            return Err(kind.into());
        }
        let waited = core::mem::replace(&mut self.flush_waits, false);
        if self.unflushed {
            let (began, wait) = (self.now, self.arrange(Direction::Write, deadline)?);
            let call = self.call(wait, deadline, WrappedStream::flush);
            // Set `flush_waits` before the `?` below, because a full stream in non-blocking mode returns an error. A
            // call that was interrupted at once does not show that the stream is full.
            self.flush_waits = !matches!(call, Ok(CallResult::Interrupted)) || self.has_waited(wait, began);
            if !matches!(self.store_write_error(call)?, CallResult::Done(())) {
                return Ok(Flush::Waits);
            }
            (self.unflushed, self.flush_waits, self.took_at) = (false, false, began);
        }
        Ok(Flush::Done { waited })
    }

    /// Closes the sending direction. Does not block beyond `deadline`.
    pub(super) fn half_close(&mut self, deadline: Option<Instant>) -> HalfClose {
        if self.ended != Ended::Nothing {
            return HalfClose::Done;
        }
        self.read_clock();
        let call = match self.arrange(Direction::Write, deadline) {
            Ok(wait) => self.call(wait, deadline, WrappedStream::end_sending),
            Err(error) => Err(error),
        };
        match call {
            Ok(CallResult::Interrupted | CallResult::Waited) => return HalfClose::Waits,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return HalfClose::Waits,
            Err(error) if error.kind() == ErrorKind::Unsupported => return HalfClose::Impossible,
            // An error means that the peer is gone. The next read reports the failed stream.
            Ok(CallResult::Done(())) | Err(_) => {}
        }
        self.ended = Ended::Sending;
        HalfClose::Done
    }

    /// Closes both directions so that the peer sees a regular end. If the stream has no half-close, leaves the stream
    /// open: the application must shut down the TLS layer itself.
    pub(super) fn close(&mut self) {
        // The connection has ended, so this call must not block. Its deadline is therefore the current time.
        if self.half_close(Some(self.now)) != HalfClose::Impossible {
            self.abort();
        }
    }

    /// Closes both directions at once.
    pub(super) fn abort(&mut self) {
        if self.ended != Ended::Both {
            self.ended = Ended::Both;
            self.stream.abort();
        }
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

#[cfg(test)]
mod tests {
    use core::time::Duration;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::adapters::lock::lock;

    /// A stream on virtual time. A write lasts until its timeout, calls `during`, and then fails.
    #[derive(Clone)]
    struct Full {
        now: Arc<Mutex<Duration>>,
        timeout: Duration,
        during: Arc<Mutex<Box<dyn FnMut() + Send>>>,
    }

    impl io::Read for Full {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(ErrorKind::WouldBlock.into())
        }
    }

    impl io::Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            *lock(&self.now) += self.timeout;
            lock(&self.during)();
            Err(ErrorKind::WouldBlock.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            self.write(&[]).map(drop)
        }
    }

    impl Stream for Full {
        fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
            self.timeout = timeout.unwrap_or_default();
            Ok(true)
        }

        fn set_nonblocking(&mut self, _: bool) -> io::Result<bool> {
            Ok(true)
        }

        fn keeps_refused_bytes(&self) -> bool {
            true
        }

        fn try_clone(&self) -> io::Result<Box<dyn Stream + Send>> {
            Ok(Box::new(self.clone()))
        }

        fn clock(&self) -> Option<Instant> {
            Some(Instant::ZERO + *lock(&self.now))
        }
    }

    #[test]
    fn a_call_that_blocked_while_the_other_handle_switched_the_mode_shows_a_full_stream() {
        let stream = Full {
            now: Arc::default(),
            timeout: Duration::ZERO,
            during: Arc::new(Mutex::new(Box::new(|| {}))),
        };
        let during = Arc::clone(&stream.during);
        let mut link = DeadlineStream::new(stream.into(), Instant::ZERO);
        link.mode = BlockingMode::blocking();
        let [mut reads, mut writes] = link.take_apart().unwrap();
        *lock(&during) = Box::new(move || {
            // A read that does not block switches the mode twice.
            let deadline = Some(reads.now());
            assert_eq!(reads.read(&mut [0], deadline).unwrap(), None);
        });
        let deadline = Some(writes.now() + Duration::from_millis(20));
        let written = writes.write(&[b"x"], deadline).unwrap();
        assert_eq!((written.n, written.full), (0, true));
        assert!(writes.flush(Some(writes.now() + Duration::from_millis(20))).unwrap() == Flush::Waits);
        assert!(writes.flush_waits);
        // The function and the stream hold each other. This assignment drops the function, so both are freed.
        *lock(&during) = Box::new(|| {});
    }
}
