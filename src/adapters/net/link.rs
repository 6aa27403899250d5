//! A stream with a clock, whose calls end at a deadline.

use core::fmt;
use core::time::Duration;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};

use crate::adapters::opening::{Did, Opening, Step};
use crate::time::Instant;

/// Finds the TCP socket under a stream, if there is one: timeouts are set and the sending half is closed
/// through it.
pub type SocketOf<S> = fn(&S) -> Option<&TcpStream>;

/// The most slices that go into one write.
pub(super) const MAX_SLICES: usize = 32;

/// Time outs shorter than this are not set: systems count in milliseconds.
const SHORTEST: Duration = Duration::from_millis(1);
/// Nor longer ones, which some systems refuse.
const LONGEST: Duration = Duration::from_secs(3600);
/// How much too early a time out may come, as systems count it in ticks.
const TICK: Duration = Duration::from_millis(20);

pub(super) struct Link<S> {
    stream: S,
    socket: SocketOf<S>,
    origin: std::time::Instant,
    now: Instant,
    read_at: Instant,
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
    /// Something was written and not flushed.
    unflushed: bool,
    /// Why writing has failed; it is not tried again.
    write_error: Option<ErrorKind>,
}

impl Link<TcpStream> {
    pub(super) fn tcp(stream: TcpStream) -> io::Result<Self> {
        // A frame is handed over whole: to hold it back for more gains nothing.
        stream.set_nodelay(true)?;
        Ok(Self::new(stream, |stream| Some(stream)))
    }

    /// A second link to the same socket, with the same clock. One is to read, the other to write.
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { stream: self.stream.try_clone()?, ..*self })
    }
}

impl<S> Link<S> {
    pub(super) fn new(stream: S, socket: SocketOf<S>) -> Self {
        Self {
            stream,
            socket,
            origin: std::time::Instant::now(),
            now: Instant::ZERO,
            read_at: Instant::ZERO,
            read_timeout: None,
            write_timeout: None,
            unflushed: false,
            write_error: None,
        }
    }

    /// The time, as last read.
    pub(super) const fn now(&self) -> Instant {
        self.now
    }

    /// When the last read returned: what came in later is not known of yet, and no timer should be judged
    /// by a later time.
    pub(super) const fn read_at(&self) -> Instant {
        self.read_at
    }

    /// Reads the clock.
    pub(super) fn tick(&mut self) -> Instant {
        self.now = Instant::from_origin(self.origin.elapsed());
        self.now
    }

    pub(super) const fn socket(&self) -> SocketOf<S> {
        self.socket
    }

    pub(super) const fn stream(&self) -> &S {
        &self.stream
    }

    pub(super) const fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// The stream, without the time outs that were set here.
    pub(super) fn into_stream(self) -> S {
        if let Some(socket) = (self.socket)(&self.stream) {
            // On a socket that is broken already it may fail, and does not matter.
            if self.read_timeout.is_some() {
                let _ = socket.set_read_timeout(None);
            }
            if self.write_timeout.is_some() {
                let _ = socket.set_write_timeout(None);
            }
        }
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

    /// Whether writing has failed.
    pub(super) const fn write_failed(&self) -> bool {
        self.write_error.is_some()
    }

    /// What a call that began at `now`, with the time out `had`, has come to; `None` where its deadline has
    /// come, or might have.
    fn outcome<T>(
        &mut self,
        result: io::Result<T>,
        deadline: Option<Instant>,
        had: Option<Duration>,
    ) -> io::Result<Option<T>> {
        let began = self.now;
        let now = self.tick();
        match result {
            Ok(done) => Ok(Some(done)),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(None),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                // A stream that does not block says the same, but at once: to call it again and again would
                // do nothing but keep the processor busy.
                let waited = now.saturating_duration_since(began) + TICK;
                let timed = had.is_some_and(|had| had <= waited);
                let due = deadline.is_some_and(|deadline| deadline <= now);
                if timed || due { Ok(None) } else { Err(error) }
            }
            Err(error) => Err(error),
        }
    }
}

/// The time out to set for a call that has `left`, on a socket that `has` one; `None` where that will do, as
/// it wakes early at worst.
fn timeout(left: Option<Duration>, has: Option<Duration>) -> Option<Option<Duration>> {
    let Some(left) = left else { return has.map(|_| None) };
    let left = left.clamp(SHORTEST, LONGEST);
    match has {
        // One that is much too short would wake again and again.
        Some(has) if has <= left && has >= left / 4 => None,
        // A little is left off, so that it will do for the next deadline too, though some time has passed.
        _ if left > TICK => Some(Some(left - left / 16)),
        _ => Some(Some(left)),
    }
}

impl<S: Read> Link<S> {
    /// Reads once, what is there even if the deadline has come; `None` where it came first, or might have.
    pub(super) fn read(&mut self, to: &mut [u8], deadline: Option<Instant>) -> io::Result<Option<usize>> {
        let now = self.tick();
        let left = deadline.map(|deadline| deadline.saturating_duration_since(now));
        if let (Some(time), Some(socket)) = (timeout(left, self.read_timeout), (self.socket)(&self.stream)) {
            socket.set_read_timeout(time)?;
            self.read_timeout = time;
        }
        let result = self.stream.read(to);
        let outcome = self.outcome(result, deadline, self.read_timeout);
        self.read_at = self.now;
        outcome
    }
}

impl<S: Write> Link<S> {
    /// Writes once; `None` where the deadline has come, or might have. The clock is to be read before. A deadline in
    /// the past leaves time for one short attempt, so that a Close for a dead peer goes out if there is room for it.
    pub(super) fn write(&mut self, slices: &[&[u8]], deadline: Option<Instant>) -> io::Result<Option<usize>> {
        if let Some(kind) = self.write_error {
            return Err(kind.into());
        }
        let left = deadline.map(|deadline| deadline.saturating_duration_since(self.now));
        if let (Some(time), Some(socket)) = (timeout(left, self.write_timeout), (self.socket)(&self.stream)) {
            socket.set_write_timeout(time)?;
            self.write_timeout = time;
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
        self.unflushed = true;
        let outcome = self.outcome(result, deadline, self.write_timeout);
        self.remember(outcome)
    }

    /// Flushes what was written; `false` where the deadline has come, or might have.
    pub(super) fn flush(&mut self, deadline: Option<Instant>) -> io::Result<bool> {
        if self.unflushed {
            let result = self.stream.flush();
            let outcome = self.outcome(result, deadline, self.write_timeout);
            self.unflushed = self.remember(outcome)?.is_none();
        }
        Ok(!self.unflushed)
    }

    /// After a failure there is no telling how much has been written.
    fn remember<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result {
            if error.kind() != ErrorKind::WouldBlock {
                self.write_error = Some(error.kind());
                self.unflushed = false;
            }
        }
        result
    }
}

/// Drives a handshake to its end.
pub(super) fn open<S: Read + Write>(link: &mut Link<S>, opening: &mut impl Opening) {
    loop {
        let deadline = opening.poll_timeout();
        let did = match opening.poll_step() {
            Step::Read(space) => link.read(space, deadline).map(|read| read.map(Did::Read)),
            Step::Write(bytes) => link.write(&[bytes], deadline).map(|written| written.map(Did::Wrote)),
            Step::Flush => link.flush(deadline).map(|flushed| flushed.then_some(Did::Flushed)),
            Step::HalfClose => Ok(Some(Did::HalfClosed(link.half_close()))),
            Step::Done => return,
        };
        opening.handle(link.now(), did.map(|did| did.unwrap_or(Did::Waited)));
    }
}

impl<S: fmt::Debug> fmt::Debug for Link<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("stream", &self.stream).field("now", &self.now).finish_non_exhaustive()
    }
}
