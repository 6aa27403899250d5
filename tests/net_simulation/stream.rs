//! The blocking stream of one endpoint, which the library reads and writes.
//!
//! Its [`Behavior`] decides about short reads and writes, timeouts, vectored writes, interrupted calls and wrong
//! counts. A stream may also hold bytes back until a flush. Another kind of stream keeps a record as OpenSSL does. If a
//! write of such a stream would block, the write fails and the stream keeps the bytes. The next write must begin with
//! the same bytes. From some time on all writes of a stream may fail while its reads go on. Two handles to one stream
//! share its blocking mode, like two handles to a socket.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use hybi::Instant;
use hybi::adapters::net::Stream;

use crate::draw::MS;
use crate::record::{CallKind, Shape};
use crate::sim::{Guard, Sim, me};
use crate::world::{Wait, fail};

/// Maximum number of bytes of a record, which is the unit in which a stream like OpenSSL's writes.
const RECORD: usize = 16 << 10;
/// The library's writes wait for at most this time, in nanoseconds.
const SLICE: u64 = 20 * MS;
/// Duration of a call that finds nothing to do, in nanoseconds.
const LOOK: u64 = 20_000;
/// Index of the reading direction.
pub const READ: usize = 0;
/// Index of the writing direction.
pub const WRITE: usize = 1;

/// The behaviour of a stream.
#[derive(Clone, Debug)]
pub struct Behavior {
    /// Maximum number of bytes of one read, and of one write.
    pub piece: [usize; 2],
    /// A blocking write waits until all bytes are accepted, as a write to a socket does. Otherwise it waits until
    /// at least one byte is accepted.
    pub takes_all: bool,
    /// Timeouts are supported.
    pub timeouts: bool,
    /// The nonblocking mode is supported.
    pub nonblocking: bool,
    /// The error of a call whose timeout has passed.
    pub times_out_with: ErrorKind,
    /// Timeouts are late by up to this time, in nanoseconds.
    pub late: u64,
    /// Timeouts are early: they end a call after three quarters of their time.
    pub early: bool,
    /// Vectored writes are supported.
    pub vectored: bool,
    /// The stream tells the library that the stream may keep the bytes of a write that would block.
    pub keeps_refused_bytes: bool,
    /// A write that waits keeps its record, and the next write must begin with the same bytes, as with OpenSSL.
    pub keeps: bool,
    /// Number of bytes that may be held back until a flush.
    pub lazy: usize,
    /// The writing half can be closed alone.
    pub half_closes: bool,
    /// Closing the writing half waits for space.
    pub close_waits: bool,
    /// Number of interrupted calls in a thousand.
    pub interrupts: usize,
    /// The first call with at least this index reports more bytes than it was given.
    pub lies_at: Option<u64>,
    /// From this time on every write fails, and reads go on. For example, the peer has shut down its reading direction.
    pub writes_fail_at: Option<u64>,
    /// Duration of a read that finds input, in nanoseconds. More input can arrive in this time.
    pub read_takes: u64,
}

impl Behavior {
    /// Returns whether the library sees at once how many bytes the link accepts.
    pub const fn hides_nothing(&self) -> bool {
        !self.keeps && self.lazy == 0
    }

    /// Returns whether a deadline can end a waiting call.
    pub const fn keeps_time(&self) -> bool {
        self.timeouts
    }
}

/// The state of a stream.
#[derive(Debug)]
pub struct State {
    pub behavior: Behavior,
    pub nonblocking: bool,
    /// The last write found the stream full.
    pub blocked: bool,
    /// A time since which the stream has been full. It may have been full even earlier.
    pub blocked_since: Option<u64>,
    /// When the library aborted the stream.
    pub aborted_at: Option<u64>,
    shut_down: bool,
    /// A record that was not written completely, and the number of its bytes that are on the link.
    kept: Option<(Vec<u8>, usize)>,
    held_back: Vec<u8>,
    handles: usize,
    /// How often the receiving half has read the clock since it read the end of the stream.
    clocks_since_end: Option<u64>,
    /// Number of bytes that sending calls have read and no receiving call has returned yet.
    pub ahead: u64,
    /// Number of calls.
    pub calls: u64,
    /// Number of bytes that the calls moved.
    pub moved: u64,
    /// A wrong count was reported.
    pub lied: bool,
    /// [`Behavior::writes_fail_at`] has passed.
    pub writes_fail: bool,
    /// The library has seen the error of a write that failed, for any reason.
    has_seen_error: bool,
}

impl State {
    pub const fn new(behavior: Behavior) -> Self {
        Self {
            behavior,
            nonblocking: false,
            blocked: false,
            blocked_since: None,
            aborted_at: None,
            shut_down: false,
            kept: None,
            held_back: Vec::new(),
            handles: 0,
            clocks_since_end: None,
            ahead: 0,
            calls: 0,
            moved: 0,
            lied: false,
            writes_fail: false,
            has_seen_error: false,
        }
    }

    /// Returns whether a write has failed and reads go on. Before the library has tried a write, it cannot know of the
    /// failure.
    pub const fn write_failed(&self) -> bool {
        self.writes_fail && self.has_seen_error
    }

    /// Returns whether the library has aborted the stream.
    pub const fn is_aborted(&self) -> bool {
        self.aborted_at.is_some()
    }

    /// Returns the number of bytes that were accepted and are not on the link.
    pub fn holds(&self) -> usize {
        self.held_back.len() + self.kept.as_ref().map_or(0, |(record, moved)| record.len() - moved)
    }
}

/// A handle to the stream of one endpoint. The stream is closed when the last handle is dropped.
pub struct SimStream {
    sim: Arc<Sim>,
    end: usize,
    /// This is the second handle, through which halves write.
    second: bool,
    timeouts: [Option<Duration>; 2],
}

/// The world, and the result of an attempt.
type Attempt<'a, T> = (Guard<'a>, T);

impl SimStream {
    pub fn new(sim: &Arc<Sim>, end: usize) -> Self {
        sim.lock().streams[end].handles += 1;
        Self { sim: Arc::clone(sim), end, second: false, timeouts: [None; 2] }
    }

    /// Sets the blocking mode, as the application does.
    pub fn set_blocking(&self, blocks: bool) {
        self.sim.lock().streams[self.end].nonblocking = !blocks;
    }

    /// Begins a call. The baton may be passed.
    fn enter(&self) -> Guard<'_> {
        let mut world = self.sim.lock();
        world.count_call();
        world.streams[self.end].calls += 1;
        if self.is_reader_writing(&world) {
            world.out_owner[self.end] = Some(me());
        }
        if world.switches() {
            world = self.sim.wait(world, Wait::Turn, None).0;
        }
        world
    }

    /// Ends a call.
    fn leave<T>(&self, mut world: Guard<'_>, result: io::Result<T>) -> io::Result<T> {
        if self.is_reader_writing(&world) {
            world.out_owner[self.end] = None;
        }
        result
    }

    /// Returns whether the calling thread is the receiving one and calls the writing handle.
    fn is_reader_writing(&self, world: &Guard<'_>) -> bool {
        self.second && world.ends[self.end].shape == Shape::Halves && world.threads[me()].slot == 0
    }

    /// Returns the deadline of a call.
    fn deadline(&self, world: &mut Guard<'_>, way: usize) -> Option<u64> {
        let behavior = world.streams[self.end].behavior.clone();
        let timeout = self.timeouts[way]?.as_nanos() as u64;
        let timeout = if behavior.early { timeout - timeout / 4 } else { timeout };
        Some(world.now() + timeout + world.below(behavior.late))
    }

    /// Begins a write or a flush. After a failed write it is unknown how many bytes were sent, so the library must not
    /// write again.
    fn enter_write(&self) -> Guard<'_> {
        let world = self.enter();
        if world.streams[self.end].has_seen_error {
            fail!("32 written behind", "end {} writes again after a write has failed", self.end);
        }
        world
    }

    /// Ends a write or a flush.
    fn leave_write<T>(&self, mut world: Guard<'_>, result: io::Result<T>) -> io::Result<T> {
        if result.as_ref().is_err_and(|error| error.kind() == ErrorKind::BrokenPipe) {
            let state = &mut world.streams[self.end];
            // Nothing waits for space any more.
            (state.has_seen_error, state.blocked) = (true, false);
            world.note(|| format!("a write of {} fails", self.end));
        }
        self.leave(world, result)
    }

    /// Returns whether every write fails.
    fn fails_writes(&self, world: &Guard<'_>) -> bool {
        let state = &world.streams[self.end];
        world.links[self.end].broken || state.is_aborted() || state.writes_fail
    }

    fn timed_out(&self, world: &Guard<'_>) -> io::Error {
        let state = &world.streams[self.end];
        if state.nonblocking { ErrorKind::WouldBlock.into() } else { state.behavior.times_out_with.into() }
    }

    /// Waits for a direction. Returns whether it is ready.
    fn wait<'a>(
        &'a self,
        mut world: Guard<'a>,
        way: usize,
        deadline: Option<u64>,
        nonblocking: bool,
    ) -> Attempt<'a, bool> {
        if nonblocking {
            // A call takes a short time even if it does nothing. Otherwise no time would pass for a caller that polls
            // until a deadline.
            world.looks += 1;
            let until = world.now() + LOOK;
            return (self.sim.wait(world, Wait::Moment, Some(until)).0, false);
        }
        let wait = if way == READ { Wait::Read(self.end) } else { Wait::Write(self.end) };
        world.note(|| format!("thread {} waits: {wait:?} until {deadline:?}", me()));
        self.sim.wait(world, wait, deadline)
    }

    /// Returns the maximum number of bytes of one call.
    fn piece(&self, world: &mut Guard<'_>, way: usize) -> usize {
        let most = world.streams[self.end].behavior.piece[way];
        if most < usize::MAX { 1 + world.below(most as u64) as usize } else { most }
    }

    /// Returns the number of bytes to report. A stream that lies reports more bytes than it was given.
    fn report(&self, world: &mut Guard<'_>, moved: usize, given: usize) -> usize {
        let state = &mut world.streams[self.end];
        state.moved += moved as u64;
        let lies = state.behavior.lies_at.is_some_and(|call| call <= state.calls) && !state.lied;
        state.lied |= lies;
        if moved > 0 {
            world.is_busy_for_a_reason();
        }
        // The reported count exceeds the length of all slices together, because the library cannot detect a smaller
        // wrong count.
        if lies { given + (1 << 40) } else { moved }
    }

    fn read_once<'a>(&'a self, mut world: Guard<'a>, to: &mut [u8]) -> Attempt<'a, io::Result<usize>> {
        let end = self.end;
        let interrupts = world.streams[end].behavior.interrupts;
        if world.chance(interrupts, 1000) {
            return (world, Err(ErrorKind::Interrupted.into()));
        }
        let (deadline, nonblocking) = (self.deadline(&mut world, READ), world.streams[end].nonblocking);
        while !world.holds(Wait::Read(end)) {
            let ready;
            (world, ready) = self.wait(world, READ, deadline, nonblocking);
            if !ready {
                let error = self.timed_out(&world);
                return (world, Err(error));
            }
        }
        let read_takes = world.streams[end].behavior.read_takes;
        if read_takes > 0 {
            let until = world.now() + read_takes;
            world = self.sim.wait(world, Wait::Moment, Some(until)).0;
        }
        if world.links[1 - end].readable() == 0 || world.streams[end].is_aborted() {
            world.streams[end].clocks_since_end = Some(0);
            world.links[1 - end].see_end();
            world.look_at_links();
            let reset = world.links[1 - end].reset && !world.streams[end].is_aborted();
            world.note(|| format!("{end} reads the end, reset {reset}"));
            return (world, if reset { Err(ErrorKind::ConnectionReset.into()) } else { Ok(0) });
        }
        let most = to.len().min(self.piece(&mut world, READ));
        let len = world.take(end, &mut to[..most]);
        let now = world.now();
        let whole = world.ends[end].shape == Shape::Whole;
        if whole || world.threads[me()].slot == 0 {
            world.ends[end].read(now);
        }
        // If the output of a receiving call does not fit into the stream, the call reads ahead like a sending call.
        // After that, it decodes the input.
        let sends = world.is_in(end, CallKind::Send);
        let ahead = whole && (sends || world.streams[end].blocked);
        if whole && sends {
            world.ends[end].ahead_at = now;
        }
        let state = &mut world.streams[end];
        state.ahead = if ahead { state.ahead + len as u64 } else { 0 };
        world.note(|| format!("{end} reads {len} bytes"));
        let len = self.report(&mut world, len, to.len());
        (world, Ok(len))
    }

    /// Puts bytes on the link until all bytes are on the link, or the deadline has passed. Without `takes_all`, the
    /// call ends once some bytes are on the link. In the nonblocking mode, the call does not wait for space. Returns
    /// the number of bytes that were put on the link, and whether the stream has failed.
    fn put_all<'a>(
        &'a self,
        mut world: Guard<'a>,
        bytes: &[u8],
        takes_all: bool,
    ) -> Attempt<'a, (usize, bool)> {
        let (end, mut moved) = (self.end, 0);
        let (deadline, nonblocking) = (self.deadline(&mut world, WRITE), world.streams[end].nonblocking);
        let began_blocked = world.streams[end].blocked;
        loop {
            if self.fails_writes(&world) {
                return (world, (moved, true));
            }
            // If a write has waited only for a short time, the library cannot know that it has waited. It cannot know it
            // either if the call that found the stream full also wrote all bytes. Such a call lasts longer than `SLICE` if
            // the timeout of the stream is late.
            let waited = world.streams[end].blocked_since.is_some_and(|since| world.now() - since >= SLICE);
            let shows = world.streams[end].behavior.hides_nothing() && waited && began_blocked;
            let len = world.put(end, &bytes[moved..], shows);
            moved += len;
            if len > 0 {
                world.is_busy_for_a_reason();
            }
            if moved == bytes.len() || (moved > 0 && !takes_all) {
                return (world, (moved, false));
            }
            let ready;
            (world, ready) = self.wait(world, WRITE, deadline, nonblocking);
            if !ready {
                return (world, (moved, false));
            }
        }
    }

    /// Writes the bytes that were held back.
    fn put_held_back<'a>(&'a self, mut world: Guard<'a>) -> Attempt<'a, io::Result<()>> {
        let held_back = std::mem::take(&mut world.streams[self.end].held_back);
        let (mut world, (moved, failed)) = self.put_all(world, &held_back, true);
        let rest = held_back[moved..].to_vec();
        let result = match rest.is_empty() {
            _ if failed => Err(ErrorKind::BrokenPipe.into()),
            true => Ok(()),
            false => Err(self.timed_out(&world)),
        };
        world.streams[self.end].held_back = rest;
        (world, result)
    }

    /// Writes a record as OpenSSL does, and keeps it if the link is full.
    fn put_record<'a>(&'a self, mut world: Guard<'a>, offered: &[u8]) -> Attempt<'a, io::Result<usize>> {
        let offered = &offered[..offered.len().min(RECORD)];
        let kept = world.streams[self.end].kept.take();
        let (record, before) = kept.unwrap_or_else(|| (offered.to_vec(), 0));
        if !offered.starts_with(&record) {
            fail!("15 bad record", "end {} did not repeat the record that its stream keeps", self.end);
        }
        let (mut world, (moved, failed)) = self.put_all(world, &record[before..], true);
        let moved = before + moved;
        if moved == record.len() {
            return (world, Ok(moved));
        }
        world.streams[self.end].kept = Some((record, moved));
        let error = if failed { ErrorKind::BrokenPipe.into() } else { self.timed_out(&world) };
        (world, Err(error))
    }

    fn write_once<'a>(&'a self, mut world: Guard<'a>, from: &[u8]) -> Attempt<'a, io::Result<usize>> {
        let end = self.end;
        if world.streams[end].shut_down && !world.streams[end].is_aborted() {
            fail!("32 written behind", "end {end} writes {} bytes after the shutdown", from.len());
        }
        if self.fails_writes(&world) {
            return (world, Err(ErrorKind::BrokenPipe.into()));
        }
        let behavior = world.streams[end].behavior.clone();
        if world.chance(behavior.interrupts, 1000) {
            return (world, Err(ErrorKind::Interrupted.into()));
        }
        let moved = if behavior.keeps {
            let result;
            (world, result) = self.put_record(world, from);
            match result {
                Ok(moved) => moved,
                Err(error) => return (world, Err(error)),
            }
        } else if behavior.lazy > 0 {
            if world.streams[end].held_back.len() >= behavior.lazy {
                let result;
                (world, result) = self.put_held_back(world);
                if let Err(error) = result {
                    return (world, Err(error));
                }
            }
            let held_back = &mut world.streams[end].held_back;
            let len = from.len().min(behavior.lazy - held_back.len());
            held_back.extend(&from[..len]);
            len
        } else {
            let piece = from.len().min(self.piece(&mut world, WRITE));
            let result;
            (world, result) = self.put_all(world, &from[..piece], behavior.takes_all);
            let (moved, failed) = result;
            if failed && moved == 0 {
                return (world, Err(ErrorKind::BrokenPipe.into()));
            }
            moved
        };
        world.note(|| format!("{end} writes {moved} of {} bytes", from.len()));
        if moved == 0 {
            let error = self.timed_out(&world);
            return (world, Err(error));
        }
        let moved = self.report(&mut world, moved, from.len());
        (world, Ok(moved))
    }

    fn set_timeout(&mut self, way: usize, timeout: Option<Duration>) -> io::Result<bool> {
        if timeout == Some(Duration::ZERO) {
            fail!("3 timeout", "a timeout of zero is set");
        }
        let world = self.enter();
        world.note(|| format!("{} sets timeout {way} to {timeout:?}", self.end));
        let can = world.streams[self.end].behavior.timeouts;
        let result = self.leave(world, Ok(can));
        if can {
            self.timeouts[way] = timeout;
        }
        result
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let mut world = self.sim.lock();
        let state = &mut world.streams[self.end];
        state.handles -= 1;
        if state.handles == 0 && !world.over {
            world.close_stream(self.end);
        }
    }
}

impl Read for SimStream {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if to.is_empty() {
            fail!("3 empty read", "a read into an empty buffer");
        }
        let (world, result) = self.read_once(self.enter(), to);
        self.leave(world, result)
    }
}

impl Write for SimStream {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        let (world, result) = self.write_once(self.enter_write(), from);
        self.leave_write(world, result)
    }

    fn write_vectored(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        let vectored = self.sim.lock().streams[self.end].behavior.vectored;
        if vectored {
            let all: Vec<u8> = from.iter().flat_map(|slice| slice.iter().copied()).collect();
            return self.write(&all);
        }
        // The default implementation of the trait does the same.
        let first = from.iter().find(|slice| !slice.is_empty());
        self.write(first.map_or(&[][..], |slice| slice))
    }

    fn flush(&mut self) -> io::Result<()> {
        let (world, result) = self.put_held_back(self.enter_write());
        world.note(|| format!("{} flushes: {result:?}", self.end));
        self.leave_write(world, result)
    }
}

impl Stream for SimStream {
    fn close_write(&mut self) -> io::Result<()> {
        let mut world = self.enter();
        let behavior = world.streams[self.end].behavior.clone();
        if !behavior.half_closes {
            return self.leave(world, Err(ErrorKind::Unsupported.into()));
        }
        if behavior.close_waits && !world.holds(Wait::Write(self.end)) {
            let (deadline, nonblocking) =
                (self.deadline(&mut world, WRITE), world.streams[self.end].nonblocking);
            let ready;
            (world, ready) = self.wait(world, WRITE, deadline, nonblocking);
            if !ready {
                let result = Err(self.timed_out(&world));
                return self.leave(world, result);
            }
        }
        let held_back = world.streams[self.end].holds();
        // After a failed write nothing can be flushed.
        let works = !world.links[self.end].broken && !world.streams[self.end].lied;
        let works = works && !world.streams[self.end].write_failed();
        if held_back > 0 && works && !world.streams[self.end].is_aborted() {
            fail!("16 end overtakes", "end {} shuts down, but {held_back} bytes are held back", self.end);
        }
        world.streams[self.end].shut_down = true;
        world.finish(self.end);
        self.leave(world, Ok(()))
    }

    fn abort(&mut self) {
        let mut world = self.sim.lock();
        world.note(|| format!("{} aborts its stream", self.end));
        if !world.streams[self.end].is_aborted() {
            world.streams[self.end].aborted_at = Some(world.now());
            world.finish(self.end);
            world.links[1 - self.end].reader_gone = true;
        }
        let reader = world.ends[self.end].shape == Shape::Halves && world.threads[me()].slot == 0;
        if reader && !self.second && world.out_owner[self.end].is_some() {
            // The receiving half aborts a write of the sending half, and then locks the state that both halves share.
            drop(self.sim.wait(world, Wait::Out(self.end), None));
        }
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        self.set_timeout(READ, timeout)
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        self.set_timeout(WRITE, timeout)
    }

    fn set_nonblocking(&mut self, on: bool) -> io::Result<bool> {
        let mut world = self.enter();
        world.note(|| format!("{} is set not to block: {on}", self.end));
        let can = world.streams[self.end].behavior.nonblocking;
        if can {
            world.streams[self.end].nonblocking = on;
        }
        self.leave(world, Ok(can))
    }

    fn keeps_refused_bytes(&self) -> bool {
        let behavior = &self.sim.lock().streams[self.end].behavior;
        behavior.keeps_refused_bytes || !behavior.hides_nothing()
    }

    fn try_clone(&self) -> io::Result<Box<dyn Stream + Send>> {
        self.sim.lock().streams[self.end].handles += 1;
        let sim = Arc::clone(&self.sim);
        Ok(Box::new(Self { sim, end: self.end, second: true, timeouts: self.timeouts }))
    }

    fn clock(&self) -> Option<Instant> {
        let mut world = self.sim.lock();
        let half = !self.second && world.ends[self.end].shape == Shape::Halves;
        let is_reader = half && world.threads.get(me()).is_some_and(|thread| thread.slot == 0);
        if let Some(clocks) = world.streams[self.end].clocks_since_end.as_mut().filter(|_| is_reader) {
            // After the receiving half has read the end, it checks again and again whether the other half still writes.
            // Between two checks the library parks this thread. The simulation unparks the thread at once, and makes it
            // wait in virtual time when it reads the clock. The first reading of the clock does not wait, because it is
            // part of the call that has read the end.
            std::thread::current().unpark();
            *clocks += 1;
            if *clocks > 1 && world.out_owner[self.end].is_some() {
                let until = world.now() + SLICE;
                world = self.sim.wait(world, Wait::Out(self.end), Some(until)).0;
            }
        }
        Some(world.instant())
    }
}
