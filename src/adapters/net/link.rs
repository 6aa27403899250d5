//! A stream with a clock, whose calls end at a deadline.

use core::fmt;
use core::time::Duration;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};

use crate::time::Instant;

/// Finds the TCP socket under a stream, if there is one: timeouts are set and the sending half is closed
/// through it.
pub type SocketOf<S> = fn(&S) -> Option<&TcpStream>;

/// The most slices that go into one write.
const MAX_SLICES: usize = 32;

pub(super) struct Link<S> {
    stream: S,
    socket: SocketOf<S>,
    origin: std::time::Instant,
    now: Instant,
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
}

impl Link<TcpStream> {
    pub(super) fn tcp(stream: TcpStream) -> io::Result<Self> {
        // A frame is handed over whole: to hold it back for more gains nothing.
        stream.set_nodelay(true)?;
        Ok(Self::new(stream, |stream| Some(stream)))
    }

    /// A second link to the same socket, with the same clock.
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { stream: self.stream.try_clone()?, ..*self })
    }
}

impl<S> Link<S> {
    pub(super) fn new(stream: S, socket: SocketOf<S>) -> Self {
        let origin = std::time::Instant::now();
        Self { stream, socket, origin, now: Instant::ZERO, read_timeout: None, write_timeout: None }
    }

    /// The time, as last read.
    pub(super) const fn now(&self) -> Instant {
        self.now
    }

    /// Reads the clock.
    pub(super) fn tick(&mut self) -> Instant {
        self.now = Instant::from_origin(self.origin.elapsed());
        self.now
    }

    pub(super) const fn stream(&self) -> &S {
        &self.stream
    }

    pub(super) const fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    pub(super) fn into_stream(self) -> S {
        self.stream
    }

    /// Closes the sending half; whether that can be done.
    pub(super) fn half_close(&self) -> bool {
        match (self.socket)(&self.stream) {
            Some(socket) => {
                // It fails where the peer is gone, which reading will show.
                let _ = socket.shutdown(Shutdown::Write);
                true
            }
            None => false,
        }
    }

    /// Ends both halves, as far as there is a socket.
    pub(super) fn shut_down(&self) {
        if let Some(socket) = (self.socket)(&self.stream) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// How long a call may take, and the time out that the socket is to have for it: `None` where the one
    /// it has will do, as it wakes early at worst.
    fn timeout(&self, deadline: Option<Instant>, has: Option<Duration>) -> Step {
        let Some(deadline) = deadline else { return Step::Call };
        let left = deadline.saturating_duration_since(self.now);
        match has {
            _ if left.is_zero() => Step::TimedOut,
            // A time out that is much too short would wake again and again.
            Some(has) if has <= left && has >= left / 4 => Step::Call,
            _ => Step::Set(left),
        }
    }

    /// What a read or write that has returned means.
    fn outcome(&mut self, result: io::Result<usize>, deadline: Option<Instant>) -> io::Result<Option<usize>> {
        self.tick();
        match result {
            Ok(n) => Ok(Some(n)),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(None),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                let timed = (self.socket)(&self.stream).is_some()
                    && self.read_timeout.or(self.write_timeout).is_some();
                let due = deadline.is_some_and(|deadline| deadline <= self.now);
                if timed || due { Ok(None) } else { Err(error) }
            }
            Err(error) => Err(error),
        }
    }
}

enum Step {
    Call,
    Set(Duration),
    TimedOut,
}

impl<S: Read> Link<S> {
    /// Reads once; `None` where the deadline has come, or might have.
    pub(super) fn read(&mut self, to: &mut [u8], deadline: Option<Instant>) -> io::Result<Option<usize>> {
        match self.timeout(deadline, self.read_timeout) {
            Step::TimedOut => return Ok(None),
            Step::Set(left) => {
                if let Some(socket) = (self.socket)(&self.stream) {
                    socket.set_read_timeout(Some(left))?;
                    self.read_timeout = Some(left);
                }
            }
            Step::Call => {}
        }
        let result = self.stream.read(to);
        self.outcome(result, deadline)
    }
}

impl<S: Write> Link<S> {
    /// Writes once; `None` where the deadline has come, or might have.
    pub(super) fn write(&mut self, slices: &[&[u8]], deadline: Option<Instant>) -> io::Result<Option<usize>> {
        match self.timeout(deadline, self.write_timeout) {
            Step::TimedOut => return Ok(None),
            Step::Set(left) => {
                if let Some(socket) = (self.socket)(&self.stream) {
                    socket.set_write_timeout(Some(left))?;
                    self.write_timeout = Some(left);
                }
            }
            Step::Call => {}
        }
        let mut vectors = [IoSlice::new(&[]); MAX_SLICES];
        let mut len = 0;
        for (vector, slice) in vectors.iter_mut().zip(slices) {
            *vector = IoSlice::new(slice);
            len += 1;
        }
        let result = match self.stream.write_vectored(vectors.get(..len).unwrap_or_default()) {
            Ok(0) => Err(ErrorKind::WriteZero.into()),
            result => result,
        };
        self.outcome(result, deadline)
    }

    /// Writes all of `bytes`; `false` where the deadline came first.
    pub(super) fn write_all(&mut self, bytes: &[u8], deadline: Option<Instant>) -> io::Result<bool> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.write(&[rest], deadline)? {
                Some(n) => rest = rest.get(n..).unwrap_or_default(),
                None if deadline.is_some_and(|deadline| deadline <= self.now) => return Ok(false),
                None => {}
            }
        }
        self.stream.flush()?;
        Ok(true)
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl<S: fmt::Debug> fmt::Debug for Link<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("stream", &self.stream).field("now", &self.now).finish_non_exhaustive()
    }
}
