//! A stream on virtual time, with a peer that a script controls. No test takes real time to wait on this stream.
//!
//! A call that would wait moves the clock instead: to the next action of the peer, or to the end of the call's timeout.
//! A call that would wait forever fails the test. Options make the stream keep, hold back or split written bytes.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use hybi::adapters::net::{Stream, WebSocket};
use hybi::{Config, Connection, Inbox, Instant, Outbox};

use crate::common::*;

/// The state of the peer, as its script sees and changes it.
#[derive(Default)]
pub struct Peer {
    /// Time since the start.
    pub now: Duration,
    /// Time of the next call of the script.
    pub wake_at: Option<Duration>,
    /// Bytes that were written to the peer and that the peer has not read.
    pub unread: VecDeque<u8>,
    /// Bytes that the peer has read.
    pub received: Vec<u8>,
    /// Length of the prefix of `received` that was parsed.
    parsed: usize,
    /// Bytes that the peer has sent and that we have not read.
    sent: VecDeque<u8>,
    /// True if the peer half-closes the stream after the bytes in `sent`.
    ended: bool,
    /// True if every write to the peer fails.
    pub breaks: bool,
    /// The directions that our side has closed. `None` if our side has closed no direction.
    pub closed: Option<Closed>,
    /// True if every write and every flush fails.
    pub is_gone: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Closed {
    Sending,
    Both,
}

impl Peer {
    /// Reads up to `n` bytes.
    pub fn read(&mut self, n: usize) {
        let n = n.min(self.unread.len());
        self.received.extend(self.unread.drain(..n));
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.sent.extend(bytes);
    }

    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Returns the number of bytes that the peer has sent and that we have not read.
    pub fn unread_by_us(&self) -> usize {
        self.sent.len()
    }

    /// Returns the frames that the peer has read since the last call, as first byte and payload.
    pub fn frames(&mut self) -> Vec<(u8, Vec<u8>)> {
        let mut frames = Vec::new();
        while let Some((len, first, payload)) = parse(&self.received[self.parsed..]) {
            self.parsed += len;
            frames.push((first, payload));
        }
        frames
    }

    /// Answers the Pings that the peer has read, and returns the other frames.
    pub fn answer_pings(&mut self) -> Vec<(u8, Vec<u8>)> {
        let mut others = Vec::new();
        for (first, payload) in self.frames() {
            if first == 0x89 {
                self.send(&frame(0x8A, true, &payload));
            } else {
                others.push((first, payload));
            }
        }
        others
    }
}

/// Parses the first frame of a server in `bytes`. Returns its length, first byte and payload.
fn parse(bytes: &[u8]) -> Option<(usize, u8, Vec<u8>)> {
    let (first, len) = (*bytes.first()?, *bytes.get(1)?);
    let (head, len) = match len {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().unwrap()))),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap()) as usize),
        len => (2, usize::from(len)),
    };
    Some((head + len, first, bytes.get(head..head + len)?.to_vec()))
}

type Script = Box<dyn FnMut(&mut Peer) + Send>;

struct Shared {
    peer: Peer,
    script: Script,
    /// Maximum number of unread bytes at the peer.
    capacity: usize,
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
    nonblocking: bool,
    /// Bytes of a failed write that the stream keeps, as OpenSSL does. `None` if the stream keeps nothing.
    kept: Option<Vec<u8>>,
    /// Written bytes that wait for a flush. `None` if the stream does not hold bytes back.
    held_back: Option<Vec<u8>>,
    /// True if a write returns as soon as some of its bytes are accepted.
    takes_parts: bool,
    /// True if the stream cannot be switched to non-blocking mode.
    always_blocks: bool,
    /// True if the stream reports that it may keep the bytes of a failed write.
    keeps_refused_bytes: bool,
    /// True if a half-close waits until the peer has read everything.
    close_waits: bool,
    /// True if every second call of `write` or `flush` fails as interrupted, without any effect.
    interrupts: bool,
    /// Number of writes and flushes, if `interrupts` is set.
    outputs: usize,
    calls: usize,
}

/// A stream to a [`Peer`]. Clones are handles to the same stream.
#[derive(Clone)]
pub struct Virtual(Arc<Mutex<Shared>>);

/// The shortest duration of a call. Each call moves the clock on by at least this duration.
const CALL: Duration = Duration::from_micros(1);

impl Virtual {
    /// Returns a stream that holds at most `capacity` bytes which the peer has not read. The script is called once at
    /// the start, and then at each `wake_at` that it has set.
    pub fn new(capacity: usize, script: impl FnMut(&mut Peer) + Send + 'static) -> Self {
        let peer = Peer { wake_at: Some(Duration::ZERO), ..Peer::default() };
        Self(Arc::new(Mutex::new(Shared {
            peer,
            script: Box::new(script),
            capacity,
            read_timeout: None,
            write_timeout: None,
            nonblocking: false,
            kept: None,
            held_back: None,
            takes_parts: false,
            always_blocks: false,
            keeps_refused_bytes: false,
            close_waits: false,
            interrupts: false,
            outputs: 0,
            calls: 0,
        })))
    }

    /// Returns a stream whose peer does nothing and reads nothing.
    pub fn with_idle_peer(capacity: usize) -> Self {
        Self::new(capacity, |_| {})
    }

    /// Makes the stream keep up to 16 KiB of a failed write, as OpenSSL does. The next write must begin with the same
    /// bytes.
    pub fn keeping(self) -> Self {
        self.lock().kept = Some(Vec::new());
        self
    }

    /// Makes a write return as soon as some of its bytes are accepted.
    pub fn taking_parts(self) -> Self {
        self.lock().takes_parts = true;
        self
    }

    /// Makes the stream unable to switch to non-blocking mode.
    pub fn blocking(self) -> Self {
        self.lock().always_blocks = true;
        self
    }

    /// Makes the stream report that it may keep the bytes of a failed write.
    pub fn that_may_keep(self) -> Self {
        self.lock().keeps_refused_bytes = true;
        self
    }

    /// Makes the stream hold written bytes back until a flush.
    pub fn holding_back(self) -> Self {
        self.lock().held_back = Some(Vec::new());
        self
    }

    /// Makes a half-close wait until the peer has read everything, as over a TLS stream.
    pub fn closing_slowly(self) -> Self {
        self.lock().close_waits = true;
        self
    }

    /// Makes every second call of `write` or `flush` fail as interrupted, without any effect.
    pub fn interrupted(self) -> Self {
        self.lock().interrupts = true;
        self
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap()
    }

    /// Gives access to the peer.
    pub fn peer<T>(&self, look: impl FnOnce(&mut Peer) -> T) -> T {
        look(&mut self.lock().peer)
    }

    pub fn now(&self) -> Duration {
        self.lock().peer.now
    }

    /// Drops the script. A script that holds a writer of this stream must be dropped. Otherwise the stream and the
    /// script keep each other in memory.
    pub fn drop_script(&self) {
        let script = std::mem::replace(&mut self.lock().script, Box::new(|_| {}));
        // The writer may use the stream when it is dropped, so the stream is not locked here.
        drop(script);
    }

    pub fn set_capacity(&self, capacity: usize) {
        self.lock().capacity = capacity;
    }

    /// Lets time pass, as if the application were busy.
    pub fn pass(&self, time: Duration) {
        let mut shared = self.lock();
        let until = shared.peer.now + time;
        shared.pass_until(until);
    }

    /// Returns a server's WebSocket over this stream.
    pub fn server(&self, config: Config) -> WebSocket<Self> {
        let connection = Connection::server(Instant::ZERO, config, Outbox::new());
        WebSocket::from_stream(self.clone(), connection, Inbox::empty())
    }
}

impl Shared {
    /// Returns an error if a signal interrupts this write or flush.
    fn interrupt(&mut self) -> io::Result<()> {
        self.outputs += usize::from(self.interrupts);
        if self.outputs % 2 == 1 { Err(ErrorKind::Interrupted.into()) } else { Ok(()) }
    }

    /// Begins a call on the stream: counts the call, and lets the time of [`CALL`] pass.
    fn begin(&mut self) {
        self.calls += 1;
        assert!(self.calls < 10_000_000, "the adapter has made 10,000,000 calls and does not end");
        let until = self.peer.now + CALL;
        self.pass_until(until);
    }

    /// Moves the clock to `until`. Meanwhile runs the peer's script at each `wake_at`.
    fn pass_until(&mut self, until: Duration) {
        while let Some(at) = self.peer.wake_at.filter(|at| *at <= until) {
            self.peer.now = self.peer.now.max(at);
            self.peer.wake_at = None;
            (self.script)(&mut self.peer);
        }
        self.peer.now = self.peer.now.max(until);
    }

    /// Repeats `call` while time passes, until `call` returns a value or the timeout is over.
    fn wait<T>(
        &mut self,
        timeout: Option<Duration>,
        mut call: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<T> {
        self.begin();
        let until = timeout.map(|timeout| self.peer.now + timeout);
        loop {
            if let Some(done) = call(self) {
                return Some(done);
            }
            if self.nonblocking {
                return None;
            }
            let next = match (self.peer.wake_at, until) {
                (Some(at), Some(until)) => at.min(until),
                (Some(at), None) => at,
                (None, Some(until)) => until,
                (None, None) => panic!("this call would wait forever"),
            };
            if until.is_some_and(|until| until <= self.peer.now) {
                return None;
            }
            self.pass_until(next);
        }
    }

    fn free_space(&self) -> usize {
        self.capacity - self.capacity.min(self.peer.unread.len())
    }

    /// Sends as much of `from` as fits. Returns the number of bytes.
    fn transport(&mut self, from: &[u8]) -> usize {
        assert_eq!(self.peer.closed, None, "{} bytes are written after the stream was closed", from.len());
        let n = self.free_space().min(from.len());
        self.peer.unread.extend(&from[..n]);
        n
    }
}

impl Read for Virtual {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        assert!(!to.is_empty());
        let mut shared = self.lock();
        let timeout = shared.read_timeout;
        let read = shared.wait(timeout, |shared| {
            let peer = &mut shared.peer;
            let n = to.len().min(peer.sent.len());
            if n == 0 && !peer.ended && peer.closed != Some(Closed::Both) {
                return None;
            }
            to[..n].iter_mut().zip(peer.sent.drain(..n)).for_each(|(to, byte)| *to = byte);
            Some(n)
        });
        read.ok_or_else(|| ErrorKind::WouldBlock.into())
    }
}

impl Write for Virtual {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        assert!(!from.is_empty());
        let mut shared = self.lock();
        if shared.peer.is_gone {
            return Err(ErrorKind::BrokenPipe.into());
        }
        shared.interrupt()?;
        let timeout = shared.write_timeout;
        if shared.peer.breaks {
            return Err(ErrorKind::BrokenPipe.into());
        }
        if let Some(held_back) = &mut shared.held_back {
            held_back.extend(from);
            shared.begin();
            return Ok(from.len());
        }
        if let Some(kept) = &mut shared.kept {
            let record = &from[..from.len().min(16 << 10)];
            if kept.is_empty() {
                kept.extend(record);
            }
            // With other bytes OpenSSL fails with "bad length", or sends the bytes that it has kept.
            assert!(record.starts_with(kept), "the write does not begin with the bytes of the failed write");
            let record = kept.clone();
            // The record is sent as a whole or not at all.
            let written = shared.wait(timeout, |shared| {
                (shared.free_space() >= record.len()).then(|| shared.transport(&record))
            });
            if written.is_some() {
                shared.kept = Some(Vec::new());
            }
            return written.ok_or_else(|| ErrorKind::WouldBlock.into());
        }
        let mut written = 0;
        let all = shared.wait(timeout, |shared| {
            written += shared.transport(&from[written..]);
            (written == from.len() || shared.takes_parts && written > 0).then_some(())
        });
        if all.is_none() && written == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(written) }
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut shared = self.lock();
        if shared.peer.is_gone {
            return Err(ErrorKind::BrokenPipe.into());
        }
        shared.interrupt()?;
        let timeout = shared.write_timeout;
        let Some(held_back) = shared.held_back.take() else { return Ok(()) };
        let mut sent = 0;
        let flushed = shared.wait(timeout, |shared| {
            sent += shared.transport(&held_back[sent..]);
            (sent == held_back.len()).then_some(())
        });
        shared.held_back = Some(held_back[sent..].to_vec());
        flushed.ok_or_else(|| ErrorKind::WouldBlock.into())
    }
}

impl Stream for Virtual {
    fn close_write(&mut self) -> io::Result<()> {
        let mut shared = self.lock();
        assert!(
            shared.held_back.as_ref().is_none_or(Vec::is_empty),
            "the stream is closed before the bytes that it holds back are sent"
        );
        if shared.close_waits && !shared.peer.unread.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        shared.peer.closed = Some(Closed::Sending);
        Ok(())
    }

    fn abort(&mut self) {
        self.lock().peer.closed = Some(Closed::Both);
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        assert_ne!(timeout, Some(Duration::ZERO));
        self.lock().read_timeout = timeout;
        Ok(true)
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        assert_ne!(timeout, Some(Duration::ZERO));
        self.lock().write_timeout = timeout;
        Ok(true)
    }

    fn set_nonblocking(&mut self, on: bool) -> io::Result<bool> {
        let mut shared = self.lock();
        shared.nonblocking = on && !shared.always_blocks;
        Ok(!shared.always_blocks)
    }

    fn keeps_refused_bytes(&self) -> bool {
        let shared = self.lock();
        shared.keeps_refused_bytes || shared.kept.is_some() || shared.held_back.is_some()
    }

    fn try_clone(&self) -> io::Result<Box<dyn Stream + Send>> {
        Ok(Box::new(self.clone()))
    }

    fn clock(&self) -> Option<Instant> {
        Some(Instant::from_origin(self.lock().peer.now))
    }
}
