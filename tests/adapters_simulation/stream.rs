//! The stream of one endpoint, which the library reads and writes.
//!
//! A stream wakes only the last task that waited for a direction, as sockets do. Its [`Behavior`] sets how many bytes a
//! call moves, how often a call waits without a reason, and whether vectored writes are supported. A stream may also
//! hold bytes back until a flush. Another kind of stream keeps a record as OpenSSL does. If a write of this stream
//! returns `Pending`, it has stored its bytes, and the next write must begin with the same bytes.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};

use crate::clock::Due;
use crate::meter;
use crate::world::{World, fail};

/// Index of the reading direction.
pub const READ: usize = 0;
/// Index of the writing direction.
pub const WRITE: usize = 1;

/// Maximum number of bytes of a record, which is the unit in which a stream like OpenSSL's writes.
const RECORD: usize = 16 << 10;

/// The behaviour of a stream.
#[derive(Clone, Debug)]
pub struct Behavior {
    /// Maximum number of bytes of one read, and of one write.
    pub piece: [usize; 2],
    /// Percentage of calls that wait without a reason.
    pub hesitates: usize,
    /// Maximum duration of such a wait, in nanoseconds.
    pub hesitation: u64,
    /// Vectored writes are supported.
    pub vectored: bool,
    /// A write that waits keeps its record, and the next write must begin with the same bytes, as with OpenSSL.
    pub keeps: bool,
    /// Number of bytes that may be held back until a flush.
    pub lazy: usize,
    /// Number of interrupted calls in a thousand.
    pub interrupts: usize,
    /// The first call with at least this index reports more bytes than it moved.
    pub lies_at: Option<u64>,
}

impl Behavior {
    /// Returns whether the library sees at once which bytes arrive and how many bytes the link accepts.
    pub const fn hides_nothing(&self) -> bool {
        self.hesitates == 0 && !self.keeps && self.lazy == 0
    }
}

/// The state of a stream.
#[derive(Debug)]
pub struct State {
    pub behavior: Behavior,
    pub hesitating: [bool; 2],
    /// A record that was not written completely, and the number of its bytes that are on the link.
    kept: Option<(Vec<u8>, usize)>,
    held_back: Vec<u8>,
    pub handles: usize,
    shut_down: bool,
    /// The last write found the stream full.
    pub blocked: bool,
    /// Number of calls.
    pub calls: u64,
    /// Number of bytes that the calls moved.
    pub moved: u64,
    /// A wrong count was reported.
    pub lied: bool,
}

impl State {
    pub const fn new(behavior: Behavior) -> Self {
        Self {
            behavior,
            hesitating: [false; 2],
            kept: None,
            held_back: Vec::new(),
            handles: 0,
            shut_down: false,
            blocked: false,
            calls: 0,
            moved: 0,
            lied: false,
        }
    }
}

/// A handle to the stream of one endpoint. The stream is closed when the last handle is dropped.
pub struct SimStream {
    world: Rc<World>,
    end: usize,
}

impl SimStream {
    pub fn new(world: &Rc<World>, end: usize) -> Self {
        world.streams[end].borrow_mut().handles += 1;
        Self { world: Rc::clone(world), end }
    }

    /// Registers the task as the one that waits for a direction.
    fn wait<T>(&self, way: usize, cx: &Context<'_>) -> Poll<T> {
        self.world.wakes.wait(self.end, way, cx.waker());
        Poll::Pending
    }

    /// Begins a call, which may wait without a reason.
    fn call(&self, way: usize, cx: &Context<'_>) -> Poll<()> {
        let world = &*self.world;
        let stream = &mut *world.streams[self.end].borrow_mut();
        stream.calls += 1;
        let behavior = &stream.behavior;
        if !stream.hesitating[way] && world.chance(behavior.hesitates, 100) {
            stream.hesitating[way] = true;
            let until = world.clock.now() + world.below(behavior.hesitation);
            world.clock.at(until, Due::Resume(self.end, way));
        }
        if stream.hesitating[way] {
            world.note(|| format!("{} hesitates, way {way}", self.end));
            return self.wait(way, cx);
        }
        Poll::Ready(())
    }

    /// Returns an error if the call is interrupted. The trait forbids this, but some streams do it.
    fn interrupt(&self) -> io::Result<()> {
        let interrupts = self.world.streams[self.end].borrow().behavior.interrupts;
        if self.world.chance(interrupts, 1000) { Err(ErrorKind::Interrupted.into()) } else { Ok(()) }
    }

    /// Returns the maximum number of bytes of one call.
    fn piece(&self, way: usize) -> usize {
        let most = self.world.streams[self.end].borrow().behavior.piece[way];
        if most < usize::MAX { 1 + self.world.below(most as u64) as usize } else { most }
    }

    /// Returns the number of bytes to report. A stream that lies reports more bytes than it was given.
    fn report(&self, moved: usize, given: usize) -> usize {
        let stream = &mut *self.world.streams[self.end].borrow_mut();
        stream.moved += moved as u64;
        if stream.behavior.lies_at.is_some_and(|call| call <= stream.calls) && !stream.lied {
            stream.lied = true;
            // The reported count exceeds the length of all slices together, because the library cannot detect a smaller
            // wrong count.
            return given + (1 << 40);
        }
        moved
    }

    /// Puts as many bytes on the link as there is space for.
    fn put(&self, bytes: &[u8]) -> usize {
        let (world, now) = (&*self.world, self.world.clock.now());
        let mut link = world.links[self.end].borrow_mut();
        let len = bytes.len().min(link.space_left());
        let (before, pings) = (link.sent.close.is_some(), link.sent.pings.len());
        let jitter = world.below(link.habits.jitter);
        let arrives = (len > 0).then(|| link.write(now, jitter, &bytes[..len])).flatten();
        let closes = !before && link.sent.close.is_some();
        let pings = link.sent.pings.len() > pings;
        drop(link);
        if let Some(at) = arrives {
            world.clock.at(at, Due::Arrive(self.end));
        }
        let blocked = std::mem::replace(&mut world.streams[self.end].borrow_mut().blocked, len < bytes.len());
        if len > 0 {
            // The library cannot see when a stream passes on bytes that the stream has accepted.
            let behavior = &world.streams[self.end].borrow().behavior;
            let shows = !closes && !behavior.keeps && behavior.lazy == 0;
            world.ends[self.end].borrow_mut().wrote(now, blocked, shows, pings);
        }
        if closes {
            world.close_written(self.end);
        }
        len
    }

    /// Writes the bytes that were held back. Returns `Ready` once all these bytes are on the link.
    fn put_held_back(&self, cx: &Context<'_>) -> Poll<()> {
        let held_back = std::mem::take(&mut self.world.streams[self.end].borrow_mut().held_back);
        let len = self.put(&held_back);
        let rest = held_back[len..].to_vec();
        let all = rest.is_empty();
        self.world.streams[self.end].borrow_mut().held_back = rest;
        if all { Poll::Ready(()) } else { self.wait(WRITE, cx) }
    }

    /// Writes a record as OpenSSL does, and keeps it if the link is full.
    fn put_record(&self, cx: &Context<'_>, offered: &[u8]) -> Poll<usize> {
        let offered = &offered[..offered.len().min(RECORD)];
        let kept = self.world.streams[self.end].borrow_mut().kept.take();
        let (record, moved) = kept.unwrap_or_else(|| (offered.to_vec(), 0));
        if !offered.starts_with(&record) {
            fail!("15 bad record", "end {} did not repeat the record that its stream keeps", self.end);
        }
        let moved = moved + self.put(&record[moved..]);
        if moved == record.len() {
            return Poll::Ready(moved);
        }
        self.world.streams[self.end].borrow_mut().kept = Some((record, moved));
        self.wait(WRITE, cx)
    }

    fn is_broken(&self) -> bool {
        self.world.links[self.end].borrow().broken
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        let last = {
            let stream = &mut *self.world.streams[self.end].borrow_mut();
            stream.handles -= 1;
            stream.handles == 0
        };
        if last && !std::thread::panicking() {
            self.world.close_stream(self.end);
        }
    }
}

impl AsyncRead for SimStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut [u8]) -> Poll<io::Result<usize>> {
        let _pause = meter::pause();
        ready!(self.call(READ, cx));
        self.interrupt()?;
        let piece = self.piece(READ);
        let (world, source) = (&*self.world, 1 - self.end);
        let mut link = world.links[source].borrow_mut();
        if !link.is_ready() {
            drop(link);
            return self.wait(READ, cx);
        }
        if link.readable() == 0 {
            link.see_end();
            world.note(|| format!("{} reads the end, reset {}", self.end, link.reset));
            let reset = link.reset;
            return Poll::Ready(if reset { Err(ErrorKind::ConnectionReset.into()) } else { Ok(0) });
        }
        let most = to.len().min(piece);
        let now = world.clock.now();
        let len = link.read(now, &mut to[..most]);
        let at = now + link.habits.acknowledged;
        drop(link);
        if len > 0 {
            world.ends[self.end].borrow_mut().read(now);
            world.clock.at(at, Due::Space(source));
        }
        world.note(|| format!("{} reads {len} bytes", self.end));
        Poll::Ready(Ok(self.report(len, to.len())))
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let _pause = meter::pause();
        if self.world.streams[self.end].borrow().shut_down {
            fail!("32 written behind", "end {} writes {} bytes after the shutdown", self.end, from.len());
        }
        if self.is_broken() {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        if self.call(WRITE, cx).is_pending() {
            self.world.streams[self.end].borrow_mut().blocked = true;
            return Poll::Pending;
        }
        self.interrupt()?;
        let behavior = self.world.streams[self.end].borrow().behavior.clone();
        let moved = if behavior.keeps {
            ready!(self.put_record(cx, from))
        } else if behavior.lazy > 0 {
            if self.world.streams[self.end].borrow().held_back.len() >= behavior.lazy {
                ready!(self.put_held_back(cx));
            }
            let stream = &mut *self.world.streams[self.end].borrow_mut();
            let len = from.len().min(behavior.lazy - stream.held_back.len());
            stream.held_back.extend(&from[..len]);
            len
        } else {
            self.put(&from[..from.len().min(self.piece(WRITE))])
        };
        self.world.note(|| format!("{} writes {moved} of {} bytes", self.end, from.len()));
        if moved == 0 && !from.is_empty() {
            return self.wait(WRITE, cx);
        }
        Poll::Ready(Ok(self.report(moved, from.len())))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.world.streams[self.end].borrow().behavior.vectored {
            let _pause = meter::pause();
            let all: Vec<u8> = from.iter().flat_map(|slice| slice.iter().copied()).collect();
            return self.poll_write(cx, &all);
        }
        // The default implementation of the trait does the same.
        let first = from.iter().find(|slice| !slice.is_empty());
        self.poll_write(cx, first.map_or(&[][..], |slice| slice))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _pause = meter::pause();
        if self.is_broken() {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        ready!(self.call(WRITE, cx));
        ready!(self.put_held_back(cx));
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _pause = meter::pause();
        self.world.streams[self.end].borrow_mut().shut_down = true;
        self.world.note(|| format!("{} is shut down", self.end));
        if self.is_broken() {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        ready!(self.call(WRITE, cx));
        ready!(self.put_held_back(cx));
        self.world.finish(self.end);
        Poll::Ready(Ok(()))
    }
}
