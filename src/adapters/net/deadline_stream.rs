//! A stream with a clock, whose calls end at a deadline.
//!
//! [`DeadlineStream`] turns the deadlines of the core into timeouts of the stream, and does without waiting what must not wait.
//! It knows nothing of WebSocket: the loops in `websocket.rs`, `split.rs` and `write_driver.rs` decide what to read
//! and write.
//!
//! Invariants:
//! - After a failed write nothing is written any more, as nobody knows how much has gone out.
//! - What was [read ahead](ReadAhead) comes before anything else that is read.
//! - The blocking mode of the stream is the same after a call as before.

use core::fmt;
use core::time::Duration;
use std::io::{self, ErrorKind, IoSlice};
use std::net::TcpStream;
use std::prelude::v1::*;

use super::blocking_mode::BlockingMode;
use super::read_ahead::ReadAhead;
use super::stream::{Over, Stream};
use crate::adapters::handshake_driver::{Did, HandshakeDriver, Step};
use crate::time::Instant;
use crate::{Connection, Inbox};

/// The most slices that go into one write.
pub(super) const MAX_SLICES: usize = 32;

/// Timeouts shorter than this are not set: systems count in milliseconds.
const SHORTEST: Duration = Duration::from_millis(1);
/// Nor longer ones, which some systems refuse.
const LONGEST: Duration = Duration::from_secs(3600);
/// Of a timeout longer than this a sixteenth is left off, so that it will do for the next deadline too.
const LONG: Duration = Duration::from_millis(20);

pub(super) struct DeadlineStream<S> {
    stream: Over<S>,
    clock: Clock,
    now: Instant,
    read_at: Instant,
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
    mode: BlockingMode,
    ahead: ReadAhead,
    /// See [`Stream::may_keep`].
    may_keep: bool,
    /// Something was written and not flushed.
    unflushed: bool,
    /// The last flush found no room.
    flush_waits: bool,
    /// Why writing has failed; it is not tried again.
    write_error: Option<ErrorKind>,
    /// What of the stream was ended.
    ended: Ended,
}

/// Where the time comes from.
#[derive(Clone, Copy)]
struct Clock {
    /// The time of the connection when the clock was started.
    start: Instant,
    source: Source,
}

#[derive(Clone, Copy)]
enum Source {
    /// The system's clock, and what it showed at the start.
    System(std::time::Instant),
    /// The same for the clock of the stream.
    Stream(Instant),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Nothing,
    Sending,
    Both,
}

#[derive(Clone, Copy)]
enum Direction {
    Read,
    Write,
}

/// How a call on the stream is kept from waiting too long.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// It does not wait: the blocking mode is switched off for it.
    Not,
    /// It waits for so long at most.
    For(Duration),
    /// It waits for as long as it takes, or does not wait at all.
    AsTheStreamDoes,
}

/// What became of a call on the stream.
enum Call<T> {
    Done(T),
    /// It must be made again.
    Interrupted,
    /// The time was up.
    Waited,
}

/// What became of a write.
#[derive(Clone, Copy)]
pub(super) struct Written {
    /// How many bytes the stream took.
    pub(super) n: usize,
    /// The stream was full when the call ended.
    pub(super) full: bool,
}

/// What became of a flush.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Flush {
    Done {
        /// There was no room before.
        waited: bool,
    },
    /// There is no room now: it is to be tried again.
    Waits,
}

/// What became of closing the sending half.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum HalfClose {
    Done,
    /// The stream takes nothing now: it is to be tried again.
    Waits,
    /// Only both halves can be ended.
    Impossible,
}

impl DeadlineStream<TcpStream> {
    /// A link to a socket that is in blocking mode, or is put into it.
    pub(super) fn tcp(stream: TcpStream, is_blocking: bool) -> io::Result<Self> {
        // A frame is handed over whole: to hold it back for more gains nothing.
        stream.set_nodelay(true)?;
        if !is_blocking {
            stream.set_nonblocking(false)?;
        }
        Ok(Self { mode: BlockingMode::blocking(), ..Self::new(stream.into(), Instant::ZERO) })
    }
}

impl<S: Stream + Send + 'static> DeadlineStream<S> {
    /// Two links to the same stream, with the same clock. One is to read, the other to write.
    pub(super) fn take_apart(self) -> io::Result<[DeadlineStream<Box<dyn Stream + Send>>; 2]> {
        let [reads, writes] = self.stream.take_apart()?;
        let [read_mode, write_mode] = self.mode.into_shared();
        let link = |stream, mode, ahead| DeadlineStream {
            stream,
            clock: self.clock,
            now: self.now,
            read_at: self.read_at,
            read_timeout: self.read_timeout,
            write_timeout: self.write_timeout,
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
    /// A link whose clock starts at `start`.
    pub(super) fn new(mut stream: Over<S>, start: Instant) -> Self {
        let may_keep = stream.may_keep();
        let source = stream.clock().map_or_else(|| Source::System(std::time::Instant::now()), Source::Stream);
        Self {
            may_keep,
            stream,
            clock: Clock { start, source },
            now: start,
            read_at: start,
            read_timeout: None,
            write_timeout: None,
            mode: BlockingMode::default(),
            ahead: ReadAhead::default(),
            // Whoever had the stream before may have written to it.
            unflushed: may_keep,
            flush_waits: false,
            write_error: None,
            ended: Ended::Nothing,
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
        let elapsed = match self.clock.source {
            Source::System(origin) => origin.elapsed(),
            Source::Stream(origin) => {
                self.stream.clock().map_or(Duration::ZERO, |now| now.saturating_duration_since(origin))
            }
        };
        self.now = self.clock.start + elapsed;
        self.now
    }

    /// The stream. The application may change its blocking mode.
    pub(super) fn stream(&self) -> &S {
        self.mode.forget();
        self.stream.get_ref()
    }

    /// See [`stream`](Self::stream).
    pub(super) fn stream_mut(&mut self) -> &mut S {
        self.mode.forget();
        self.stream.get_mut()
    }

    /// The stream, without the timeouts that were set here.
    pub(super) fn into_over(mut self) -> Over<S> {
        // On a socket that is broken already it may fail, and does not matter.
        if self.read_timeout.is_some() {
            let _ = self.stream.set_read_timeout(None);
        }
        if self.write_timeout.is_some() {
            let _ = self.stream.set_write_timeout(None);
        }
        self.stream
    }

    /// See [`into_over`](Self::into_over).
    pub(super) fn into_stream(self) -> S {
        self.into_over().into_inner()
    }

    /// The stream, with what was read ahead moved to the inbox of `connection`.
    pub(super) fn into_parts(mut self, connection: &Connection, inbox: &mut Inbox) -> S {
        while let Some(Ok(n @ 1..)) = self.ahead.take(connection.read_space(inbox)) {
            inbox.handle_read(n);
        }
        self.into_stream()
    }

    /// Writing has failed before this link was made.
    pub(super) fn fail_writes(&mut self) {
        self.write_error = Some(ErrorKind::BrokenPipe);
    }

    /// Whether writing has failed.
    pub(super) const fn write_failed(&self) -> bool {
        self.write_error.is_some()
    }

    /// See [`Stream::may_keep`].
    pub(super) const fn may_keep(&self) -> bool {
        self.may_keep
    }

    /// Whether something was written and not flushed.
    pub(super) const fn is_unflushed(&self) -> bool {
        self.unflushed
    }

    /// Whether the next read gives bytes that were read ahead.
    pub(super) fn has_read_ahead(&self) -> bool {
        self.ahead.has_bytes()
    }

    /// Whether the next read gives nothing but the end of the stream, or a failure, that has shown already.
    pub(super) fn input_has_ended(&self) -> bool {
        self.ahead.is_at_end()
    }

    /// Whether the end of the stream, or a failure, has shown behind what was read ahead.
    pub(super) const fn knows_end(&self) -> bool {
        self.ahead.knows_end()
    }

    /// Whether [`look`](Self::look) takes what is there: the stream has not ended, and not too much was read ahead.
    pub(super) fn can_look(&self) -> bool {
        self.ahead.has_room()
    }

    /// The last read gave the end of the stream, and the next one is to give it again.
    pub(super) fn keep_end(&mut self) {
        self.ahead.keep_end();
    }

    // --- calls on the stream ---

    /// Reads once, what is there even if the deadline has come; `None` where it came first, or might have.
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

    /// Reads what is there, without waiting, and keeps it for [`read`](Self::read). Gives the number of bytes; `None`
    /// where it cannot be known what is there.
    pub(super) fn look(&mut self) -> Option<usize> {
        if !self.can_look() {
            return None;
        }
        let now = Some(self.tick());
        let wait = self.arrange(Direction::Read, now).ok()?;
        if wait == Wait::AsTheStreamDoes && !self.mode.is_nonblocking() {
            // It might wait for ever.
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

    /// Writes once, as much as the stream takes until the deadline. The clock is to be read before.
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
                // A socket that blocks takes a part only where there was no room until its timeout.
                let took = self.now.saturating_duration_since(began);
                let waited = matches!(wait, Wait::For(time) if took >= time / 4);
                Written { n, full: n < offered && waited }
            }
            Call::Interrupted => Written { n: 0, full: false },
            Call::Waited => Written { n: 0, full: true },
        })
    }

    /// Flushes what was written.
    pub(super) fn flush(&mut self, deadline: Option<Instant>) -> io::Result<Flush> {
        if let Some(kind) = self.write_error {
            return Err(kind.into());
        }
        let waited = core::mem::replace(&mut self.flush_waits, false);
        if self.unflushed {
            let wait = self.arrange(Direction::Write, deadline)?;
            let call = self.call(wait, deadline, Over::flush);
            // A stream that does not block says with an error that it waits.
            self.flush_waits = true;
            if !matches!(self.remember(call)?, Call::Done(())) {
                return Ok(Flush::Waits);
            }
            (self.unflushed, self.flush_waits) = (false, false);
        }
        Ok(Flush::Done { waited })
    }

    /// Closes the sending half.
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
            // It fails where the peer is gone, which reading will show.
            Ok(Call::Done(())) | Err(_) => {}
        }
        self.ended = Ended::Sending;
        HalfClose::Done
    }

    /// Ends both halves, in a way that the peer takes for an end and not for a failure.
    pub(super) fn close(&mut self) {
        // The connection is over, so nothing is waited for.
        if self.half_close(Some(self.now)) != HalfClose::Impossible {
            self.abort();
        }
    }

    /// Ends both halves.
    pub(super) fn abort(&mut self) {
        if self.ended != Ended::Both {
            self.ended = Ended::Both;
            self.stream.abort();
        }
    }

    /// Sees to it that the next call in a direction does not wait for longer than until `deadline`.
    fn arrange(&mut self, direction: Direction, deadline: Option<Instant>) -> io::Result<Wait> {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(self.now));
        if left.is_some_and(|left| left < SHORTEST) && self.mode.is_blocking() {
            self.mode.switched();
            if self.stream.set_nonblocking(true)? {
                return Ok(Wait::Not);
            }
            self.mode.switched();
        }
        let has = match direction {
            Direction::Read => self.read_timeout,
            Direction::Write => self.write_timeout,
        };
        let mut time = has;
        if let Some(wanted) = timeout(left, has) {
            let can = match direction {
                Direction::Read => self.stream.set_read_timeout(wanted)?,
                Direction::Write => self.stream.set_write_timeout(wanted)?,
            };
            time = wanted.filter(|_| can);
        }
        match direction {
            Direction::Read => self.read_timeout = time,
            Direction::Write => self.write_timeout = time,
        }
        Ok(time.map_or(Wait::AsTheStreamDoes, Wait::For))
    }

    /// Makes a call as it was [arranged](Self::arrange), and reads the clock.
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
                // Some systems count in ticks and wake early. A stream that does not block says the same, but at once:
                // to call it again and again would do nothing but keep the processor busy.
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

    /// After a failure there is no telling how much has been written.
    fn remember<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result {
            if error.kind() != ErrorKind::WouldBlock {
                self.write_error = Some(error.kind());
            }
        }
        result
    }
}

/// The timeout to set for a call that has `left`, on a stream that `has` one; `None` where that will do, as it wakes
/// early at worst.
fn timeout(left: Option<Duration>, has: Option<Duration>) -> Option<Option<Duration>> {
    let Some(left) = left else { return has.map(|_| None) };
    let left = left.clamp(SHORTEST, LONGEST);
    match has {
        // One that is much too short would wake again and again.
        Some(has) if has <= left && has >= left / 4 => None,
        _ if left > LONG => Some(Some(left - left / 16)),
        _ => Some(Some(left)),
    }
}

/// Drives a handshake to its end.
pub(super) fn open<S>(link: &mut DeadlineStream<S>, opening: &mut impl HandshakeDriver) {
    loop {
        let deadline = opening.poll_timeout();
        let did = match opening.poll_step() {
            Step::Read(space) => link.read(space, deadline).map(|read| read.map(Did::Read)),
            Step::Write(bytes) => {
                link.write(&[bytes], deadline).map(|written| (written.n > 0).then_some(Did::Wrote(written.n)))
            }
            Step::Flush => link.flush(deadline).map(|flush| (flush != Flush::Waits).then_some(Did::Flushed)),
            Step::HalfClose => Ok(match link.half_close(deadline) {
                HalfClose::Done => Some(Did::HalfClosed(true)),
                HalfClose::Impossible => Some(Did::HalfClosed(false)),
                HalfClose::Waits => None,
            }),
            Step::Done => return,
        };
        opening.handle(link.now(), did.map(|did| did.unwrap_or(Did::Waited)));
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
