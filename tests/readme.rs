//! Tests the run loop that the manual prints, against clients that read slowly, never read, or send no request.
//!
//! `readme/serve.rs` is the text of the loop, word for word as `src/manual/run_loop.rs` prints it. The doctest of that
//! page compiles the loop with the socket and the clock of `std`. Here the loop gets a socket and a clock from
//! [`world`], where time is virtual. A call that waits moves the clock, at most by the timeout that the loop has set.
//! A wait that would never end panics.
#![cfg(feature = "alloc")]
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::cell::RefCell;
use std::error::Error;
use std::io::IoSlice;
use std::rc::Rc;
use std::time::Duration;

use hybi::{CloseCode, Outcome, TimerKind};

use world::{Peer, TcpStream, elapsed};

const PAGE: &str = include_str!("../src/manual/run_loop.rs");
const SERVE: &str = include_str!("readme/serve.rs");

/// The loop under test.
mod run_loop {
    use std::io::{ErrorKind, IoSlice, Read, Write};
    use std::time::Duration;

    use hybi::handshake::{HeadLimits, Incoming, ServerHandshake};
    use hybi::{Config, Connection, Event, Inbox, Instant, Outbox, Outcome, SendError, TransportAction};

    use super::world::{Clock, Shutdown, TcpStream};

    include!("readme/serve.rs");

    pub fn run(stream: TcpStream) -> Result<Outcome, Box<dyn std::error::Error>> {
        serve(stream)
    }
}

/// A socket, a clock and a peer.
mod world {
    use std::cell::{Cell, RefCell};
    use std::io::{self, ErrorKind, IoSlice, Read, Write};
    use std::rc::Rc;
    use std::time::Duration;

    /// The maximum number of calls in one test. No test needs so many.
    const MAX_CALLS: u32 = 20_000;

    thread_local! {
        static NOW: Cell<Duration> = const { Cell::new(Duration::ZERO) };
        static CALLS: Cell<u32> = const { Cell::new(0) };
    }

    /// Returns the time since the test began.
    pub fn elapsed() -> Duration {
        NOW.get()
    }

    /// Resets the clock and the number of calls at the start of a test.
    pub fn begin() {
        NOW.set(Duration::ZERO);
        CALLS.set(0);
    }

    /// Replaces `std::time::Instant`, which the loop calls `Clock`.
    pub struct Clock(Duration);

    impl Clock {
        pub fn now() -> Self {
            Self(NOW.get())
        }

        pub fn elapsed(&self) -> Duration {
            NOW.get() - self.0
        }
    }

    pub enum Shutdown {
        Write,
    }

    /// The peer at the other end of a [`TcpStream`].
    pub trait Peer {
        /// Returns at most `max` bytes that the peer has sent, or no bytes at the end of the stream. If nothing has
        /// arrived, the error is the time at which bytes will arrive, or `None` for never.
        fn poll_read(&mut self, max: usize) -> Result<Vec<u8>, Option<Duration>>;

        /// Returns the number of bytes that the socket accepts. If the socket is full, the error is the time at which
        /// it will accept bytes, or `None` for never.
        fn poll_write(&mut self, slices: &[IoSlice<'_>]) -> Result<usize, Option<Duration>>;

        /// Tells the peer that the loop has half-closed the stream.
        fn handle_half_close(&mut self) {}
    }

    pub struct TcpStream {
        pub peer: Rc<RefCell<dyn Peer>>,
        read_timeout: Option<Duration>,
        write_timeout: Option<Duration>,
    }

    impl TcpStream {
        pub fn new(peer: Rc<RefCell<dyn Peer>>) -> Self {
            Self { peer, read_timeout: None, write_timeout: None }
        }

        pub fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
            self.read_timeout = checked(timeout)?;
            Ok(())
        }

        pub fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
            self.write_timeout = checked(timeout)?;
            Ok(())
        }

        #[expect(clippy::needless_pass_by_value, clippy::unnecessary_wraps, reason = "as in std")]
        pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
            let Shutdown::Write = how;
            self.peer.borrow_mut().handle_half_close();
            Ok(())
        }
    }

    /// `std` refuses a timeout of zero.
    fn checked(timeout: Option<Duration>) -> io::Result<Option<Duration>> {
        if timeout == Some(Duration::ZERO) { Err(ErrorKind::InvalidInput.into()) } else { Ok(timeout) }
    }

    /// Repeats `call` while time passes, until `call` succeeds or the timeout is over.
    fn wait<T>(
        timeout: Option<Duration>,
        mut call: impl FnMut() -> Result<T, Option<Duration>>,
    ) -> io::Result<T> {
        let deadline = timeout.map(|timeout| NOW.get() + timeout);
        loop {
            CALLS.set(CALLS.get() + 1);
            assert!(
                CALLS.get() < MAX_CALLS,
                "the loop has made {MAX_CALLS} calls and does not end, at {:?}",
                NOW.get()
            );
            let ready = match call() {
                Ok(done) => return Ok(done),
                Err(ready) => ready,
            };
            let next = [ready, deadline].into_iter().flatten().min();
            let Some(next) = next else { panic!("the loop would wait forever, at {:?}", NOW.get()) };
            NOW.set(next.max(NOW.get()));
            if ready != Some(next) {
                return Err(ErrorKind::WouldBlock.into());
            }
        }
    }

    impl Read for TcpStream {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            let bytes = wait(self.read_timeout, || self.peer.borrow_mut().poll_read(to.len()))?;
            to[..bytes.len()].copy_from_slice(&bytes);
            Ok(bytes.len())
        }
    }

    impl Write for TcpStream {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.write_vectored(&[IoSlice::new(bytes)])
        }

        fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            wait(self.write_timeout, || self.peer.borrow_mut().poll_write(slices))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// Returns a text message of `len` bytes, at least 126, from a client. The masking key 0 leaves the payload unchanged.
fn text(len: usize) -> Vec<u8> {
    let len16 = u16::try_from(len).unwrap().to_be_bytes();
    [&[0x81, 0xFE], &len16[..], &[0; 4], &vec![b'x'; len]].concat()
}

/// A masked Close with code 1000.
const CLOSE: &[u8] = b"\x88\x82\0\0\0\0\x03\xe8";

type Ended = Result<Outcome, Box<dyn Error>>;

/// A client whose behaviour the fields describe.
struct Client {
    /// Bytes that the client sends at the start.
    first_bytes: Vec<u8>,
    /// Bytes that the client sends after `first_bytes`, again and again.
    repeated: Vec<u8>,
    /// The client half-closes the stream after its last byte.
    ends: bool,
    /// The number of bytes that the socket accepts before it is full.
    free_space: usize,
    /// If the client reads: the number of bytes that the full socket accepts at a time, and the pause between two
    /// reads.
    pace: Option<(usize, Duration)>,
    next: Duration,
    wrote: Vec<u8>,
    shut: bool,
}

impl Client {
    fn new(first_bytes: &[&[u8]]) -> Self {
        Self {
            first_bytes: [&[REQUEST], first_bytes].concat().concat(),
            repeated: Vec::new(),
            ends: false,
            free_space: usize::MAX,
            pace: None,
            next: Duration::ZERO,
            wrote: Vec::new(),
            shut: false,
        }
    }

    fn run(self) -> (Ended, Rc<RefCell<Self>>) {
        world::begin();
        let client = Rc::new(RefCell::new(self));
        (run_loop::run(TcpStream::new(client.clone())), client)
    }
}

impl Peer for Client {
    fn poll_read(&mut self, max: usize) -> Result<Vec<u8>, Option<Duration>> {
        if self.first_bytes.is_empty() {
            self.first_bytes.clone_from(&self.repeated);
        }
        if self.first_bytes.is_empty() && !(self.ends || self.shut) {
            return Err(None);
        }
        let len = self.first_bytes.len().min(max);
        Ok(self.first_bytes.drain(..len).collect())
    }

    fn poll_write(&mut self, slices: &[IoSlice<'_>]) -> Result<usize, Option<Duration>> {
        let mut most = self.free_space;
        if most == 0 {
            let Some((bytes, pause)) = self.pace else { return Err(None) };
            if elapsed() < self.next {
                return Err(Some(self.next));
            }
            (most, self.next) = (bytes, elapsed() + pause);
        }
        let before = self.wrote.len();
        for slice in slices {
            let left = most - (self.wrote.len() - before);
            self.wrote.extend_from_slice(&slice[..slice.len().min(left)]);
        }
        let len = self.wrote.len() - before;
        self.free_space = self.free_space.saturating_sub(len);
        Ok(len)
    }

    fn handle_half_close(&mut self) {
        self.shut = true;
    }
}

#[test]
fn the_tested_loop_is_the_loop_in_the_manual() {
    let page: Vec<_> = PAGE.lines().map(|line| line.trim_start_matches("//!")).collect();
    let page: Vec<_> = page.iter().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    assert!(
        page.join("\n").contains(SERVE.trim()),
        "copy tests/readme/serve.rs to src/manual/run_loop.rs, or the other way round"
    );
}

#[test]
fn a_client_that_reads_gets_its_echo_and_a_clean_close() {
    let (outcome, client) = Client::new(&[&text(300), b"\x89\x80\0\0\0\0", &text(200), CLOSE]).run();
    assert_eq!(outcome.unwrap(), Outcome::Clean { code: CloseCode::NORMAL });
    let wrote = &client.borrow().wrote;
    assert!(wrote.starts_with(b"HTTP/1.1 101 ") && wrote.ends_with(b"\x88\x02\x03\xe8"));
    assert!(client.borrow().shut);
    assert_eq!(elapsed(), Duration::ZERO);
}

#[test]
fn s7_2_1_a_client_that_never_reads_is_given_up_in_time() {
    // The client sends more than the queue holds and then stops, or it never stops sending.
    for (first_bytes, repeated) in
        [(text(9000).repeat(100), vec![]), (vec![], text(9000)), (vec![], text(200).repeat(300))]
    {
        for free_space in [200, 50_000, 200_000] {
            let (outcome, _) =
                Client { free_space, repeated: repeated.clone(), ..Client::new(&[&first_bytes]) }.run();
            assert_eq!(outcome.unwrap(), Outcome::TimedOut(TimerKind::Pong), "{free_space}");
            // Each turn reads 4 KiB, and then waits up to 30 seconds for the client to read. Received bytes count as a
            // sign of life. After 16 turns the queue of 64 KiB is full, and nothing more is read. Then the Ping is due
            // after 30 seconds, the Pong after 30 more, and closing takes up to 10 seconds.
            let turns = 64 * 1024 / 4096;
            assert!(elapsed() <= Duration::from_secs(turns * 30 + 70), "{:?}", elapsed());
        }
    }
}

#[test]
fn s7_1_1_a_client_that_closes_and_does_not_read_is_given_up_in_time() {
    // The echo of the text does not fit into the socket. The client either reads nothing, or reads one byte every three
    // seconds.
    for pace in [None, Some((1, Duration::from_secs(3)))] {
        let (outcome, _) = Client { free_space: 200, pace, ..Client::new(&[&text(300), CLOSE]) }.run();
        assert_eq!(outcome.unwrap(), Outcome::TimedOut(TimerKind::Close), "{pace:?}");
        assert!(elapsed() < Duration::from_millis(10_010), "{pace:?}: {:?}", elapsed());
    }
}

#[test]
fn a_client_that_reads_slowly_gets_everything() {
    // The client needs about a minute to read. It never answers the Ping that the server sends meanwhile.
    let (first_bytes, pace) = (text(9000).repeat(20), Some((100, Duration::from_millis(33))));
    let (outcome, client) =
        Client { free_space: 200, pace, ends: true, ..Client::new(&[&first_bytes]) }.run();
    assert!(matches!(outcome.unwrap(), Outcome::Abnormal(_)));
    let echo = [&[0x81, 126, 0x23, 0x28], &[b'x'; 9000][..]].concat();
    let echoes = client.borrow().wrote.windows(echo.len()).filter(|bytes| *bytes == echo).count();
    assert_eq!(echoes, 20);
    assert!(elapsed() > Duration::from_secs(55));
}

#[test]
fn s4_2_1_a_client_that_sends_no_request_is_refused_in_time() {
    for (first_bytes, at_once) in [(&b""[..], false), (&REQUEST[..50], false), (b"\0", true)] {
        let (outcome, client) = Client { first_bytes: first_bytes.to_vec(), ..Client::new(&[]) }.run();
        assert!(outcome.is_err());
        let status = if at_once { "HTTP/1.1 400 " } else { "HTTP/1.1 408 " };
        assert!(client.borrow().wrote.starts_with(status.as_bytes()));
        assert_eq!(elapsed(), Duration::from_secs(if at_once { 0 } else { 10 }));
    }
}
