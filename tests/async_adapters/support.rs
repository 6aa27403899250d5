//! A stream, a clock, an executor and a peer, all of them deterministic.
//!
//! - [`Clock`] is virtual. It moves to the next alarm when all tasks wait.
//! - [`run`] polls a task only after a wakeup. If all tasks wait and there is no alarm, the tasks would hang, so
//!   [`run`] panics.
//! - [`End`] is one end of a stream in memory. A [`Behavior`] can limit or delay the calls of the stream, or make one
//!   call fail.
//! - [`Peer`] is a connection of the core at the other end of the stream. It records its events.
//!
//! Calls and polls are bounded, so a busy loop fails a test instead of hanging it.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, ErrorKind, IoSlice, Read};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use hybi::adapters::futures_io::{Timer, WebSocket};
use hybi::{Config, Connection, Event, Inbox, Instant, Message, Outbox, Role};

pub type Ws = WebSocket<End, Clock>;

// --- the clock ---

/// A virtual clock. Clones share the time, and each clone has an alarm of its own.
#[derive(Debug, Default)]
pub struct Clock {
    time: Arc<Mutex<Time>>,
    /// Index of this clone's alarm.
    alarm: Option<usize>,
}

#[derive(Debug, Default)]
struct Time {
    now: Instant,
    alarms: Vec<Option<(Instant, Waker)>>,
}

impl Clone for Clock {
    fn clone(&self) -> Self {
        Self { time: Arc::clone(&self.time), alarm: None }
    }
}

impl Timer for Clock {
    fn now(&self) -> Instant {
        self.time.lock().unwrap().now
    }

    fn poll_at(&mut self, cx: &mut Context<'_>, at: Instant) -> Poll<()> {
        let mut time = self.time.lock().unwrap();
        let alarm = *self.alarm.get_or_insert_with(|| {
            time.alarms.push(None);
            time.alarms.len() - 1
        });
        let ready = time.now >= at;
        time.alarms[alarm] = (!ready).then(|| (at, cx.waker().clone()));
        if ready { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Clock {
    pub fn advance(&self, by: Duration) {
        let now = self.time.lock().unwrap().now + by;
        self.advance_to(now);
    }

    fn advance_to(&self, now: Instant) {
        let mut time = self.time.lock().unwrap();
        time.now = time.now.max(now);
        for alarm in &mut time.alarms {
            if let Some((_, waker)) = alarm.take_if(|(at, _)| *at <= now) {
                waker.wake();
            }
        }
    }

    fn next_alarm(&self) -> Option<Instant> {
        self.time.lock().unwrap().alarms.iter().flatten().map(|(at, _)| *at).min()
    }

    pub fn seconds(&self) -> u64 {
        self.now().since_origin().as_secs()
    }
}

// --- the executor ---

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Maximum number of polls of one task. No test needs more, so a task that exceeds this number is in a busy loop.
const MAX_POLLS: usize = 2_000_000;

/// Maximum number of calls of one stream.
const MAX_CALLS: usize = 100_000;

/// Runs tasks until `first` is done. A task is polled only after it was woken. When all tasks wait, time moves to the
/// next alarm. Without an alarm the tasks would hang, so this function panics.
pub fn run<T>(
    clock: &Clock,
    first: impl Future<Output = T>,
    others: &mut [Pin<&mut dyn Future<Output = ()>>],
) -> T {
    let mut first = pin!(first);
    let flags: Vec<_> = (0..=others.len()).map(|_| Arc::new(Flag(AtomicBool::new(true)))).collect();
    let wakers: Vec<Waker> = flags.iter().map(|flag| Arc::clone(flag).into()).collect();
    let mut done = vec![false; others.len()];
    for _ in 0..MAX_POLLS {
        let mut idle = true;
        if flags[0].0.swap(false, Ordering::SeqCst) {
            idle = false;
            if let Poll::Ready(result) = first.as_mut().poll(&mut Context::from_waker(&wakers[0])) {
                return result;
            }
        }
        for (n, other) in others.iter_mut().enumerate() {
            if !done[n] && flags[n + 1].0.swap(false, Ordering::SeqCst) {
                idle = false;
                done[n] = other.as_mut().poll(&mut Context::from_waker(&wakers[n + 1])).is_ready();
            }
        }
        if idle {
            let alarm = clock.next_alarm().expect("all tasks wait, and nothing will wake them");
            clock.advance_to(alarm);
        }
    }
    panic!("a task is woken again and again without progress");
}

pub fn block_on<T>(clock: &Clock, future: impl Future<Output = T>) -> T {
    run(clock, future, &mut [])
}

/// Waits until `time` has passed.
pub async fn sleep(clock: &Clock, time: Duration) {
    let mut clock = clock.clone();
    let until = clock.now() + time;
    std::future::poll_fn(|cx| clock.poll_at(cx, until)).await;
    // The last poll has removed the alarm of the clone. If this future is dropped earlier, the alarm remains.
}

/// Polls a future once, and drops it.
pub fn poll_once<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls a future until it is ready or was polled `times` times, and drops it.
pub fn poll_times<T>(times: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    for _ in 0..times {
        if let Poll::Ready(result) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Some(result);
        }
    }
    None
}

// --- the stream ---

/// A fault of one call of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The call moves one byte.
    Short,
    /// The call returns `Pending`, and wakes its task at once.
    Pending,
    Interrupted,
    Reset,
    /// The call moves no bytes, which means the end of the stream.
    Zero,
}

#[derive(Debug, Default)]
struct Pipe {
    bytes: VecDeque<u8>,
    closed: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// The behaviour of a stream.
#[derive(Clone, Debug)]
pub struct Behavior {
    /// Maximum number of bytes that one call moves.
    pub piece: usize,
    /// Each read, write, flush or close first returns `Pending` once, and wakes its task.
    pub hesitant: bool,
    /// Maximum number of unread bytes in the pipe.
    pub capacity: usize,
    /// The index of the call that fails, and its fault.
    pub fault: Option<(usize, Fault)>,
    /// A write that returns `Pending` keeps its bytes, as a write of OpenSSL does. The next write must begin with the
    /// same bytes. Vectored writes are not supported.
    pub keeps: bool,
    /// A flush never completes.
    pub never_flushed: bool,
}

impl Default for Behavior {
    fn default() -> Self {
        Self {
            piece: usize::MAX,
            hesitant: false,
            capacity: usize::MAX,
            fault: None,
            keeps: false,
            never_flushed: false,
        }
    }
}

#[derive(Debug, Default)]
pub struct State {
    reads: Pipe,
    writes: Pipe,
    hesitated: [bool; 4],
    /// Number of calls so far.
    pub calls: usize,
    /// Number of calls that wrote bytes.
    pub writes_done: usize,
    /// The stream was reset or has ended. Every call fails.
    pub broken: bool,
    pub shut_down: bool,
    /// The bytes of the last write, if it returned `Pending` and [`Behavior::keeps`] is set.
    kept: Vec<u8>,
}

/// One end of a stream. Clones are handles to the same end.
#[derive(Clone, Debug)]
pub struct End {
    pub state: Arc<Mutex<State>>,
    behavior: Behavior,
}

#[derive(Clone, Copy)]
enum Way {
    In,
    Out,
    Flush,
    Close,
}

impl End {
    pub fn new(behavior: Behavior) -> Self {
        Self { state: Arc::default(), behavior }
    }

    /// Counts a call, and applies the behaviour. Returns the number of bytes that this call may move.
    fn call(&self, state: &mut State, way: Way, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let fault = self.behavior.fault.filter(|(at, _)| *at == state.calls).map(|(_, fault)| fault);
        state.calls += 1;
        assert!(state.calls < MAX_CALLS, "the stream is called too often, so a task is in a busy loop");
        if state.broken {
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        }
        match fault {
            Some(Fault::Short) => return Poll::Ready(Ok(1)),
            Some(Fault::Pending) => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Some(Fault::Interrupted) => return Poll::Ready(Err(ErrorKind::Interrupted.into())),
            Some(Fault::Reset) => {
                state.broken = true;
                return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
            }
            Some(Fault::Zero) if matches!(way, Way::In | Way::Out) => {
                // The end of a stream is permanent.
                state.broken = true;
                return Poll::Ready(Ok(0));
            }
            Some(Fault::Zero) | None => {}
        }
        let hesitated = &mut state.hesitated[way as usize];
        *hesitated = self.behavior.hesitant && !*hesitated;
        if *hesitated {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(self.behavior.piece))
    }

    // --- calls of the peer ---

    /// Returns the number of bytes that have arrived and were not read.
    pub fn unread(&self) -> usize {
        self.state.lock().unwrap().reads.bytes.len()
    }

    /// Returns the waker of the task that waits for input.
    pub fn reader_waker(&self) -> Option<Waker> {
        self.state.lock().unwrap().reads.reader.clone()
    }

    /// Makes `bytes` available to the reader.
    pub fn arrive(&self, bytes: &[u8]) {
        let mut state = self.state.lock().unwrap();
        state.reads.bytes.extend(bytes);
        if let Some(waker) = state.reads.reader.take() {
            waker.wake();
        }
    }

    /// Ends the input: the peer sends nothing more.
    pub fn end(&self) {
        let mut state = self.state.lock().unwrap();
        state.reads.closed = true;
        if let Some(waker) = state.reads.reader.take() {
            waker.wake();
        }
    }

    /// Resets the stream.
    pub fn reset(&self) {
        let mut state = self.state.lock().unwrap();
        state.broken = true;
        let wakers = [state.reads.reader.take(), state.writes.writer.take()];
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    /// Takes at most `most` bytes that were written.
    pub fn take_some(&self, most: usize) -> Vec<u8> {
        let mut state = self.state.lock().unwrap();
        if let Some(waker) = state.writes.writer.take() {
            waker.wake();
        }
        let len = most.min(state.writes.bytes.len());
        state.writes.bytes.drain(..len).collect()
    }

    /// Takes all bytes that were written.
    pub fn take_written(&self) -> Vec<u8> {
        let mut state = self.state.lock().unwrap();
        if let Some(waker) = state.writes.writer.take() {
            waker.wake();
        }
        std::mem::take(&mut state.writes.bytes).into()
    }
}

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut state = self.state.lock().unwrap();
        let most = match self.call(&mut state, Way::In, cx) {
            Poll::Ready(Ok(most)) => most,
            other => return other,
        };
        let pipe = &mut state.reads;
        if pipe.bytes.is_empty() && !pipe.closed && most > 0 {
            pipe.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let len = to.len().min(most);
        Poll::Ready(pipe.bytes.read(&mut to[..len]))
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(from)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.state.lock().unwrap();
        let most = match self.call(&mut state, Way::Out, cx) {
            Poll::Ready(Ok(most)) => most,
            other => return other,
        };
        assert!(!state.shut_down, "bytes were written after the stream was shut down");
        let first = [from.first().map_or(IoSlice::new(&[]), |slice| IoSlice::new(slice))];
        let from = if self.behavior.keeps { &first } else { from };
        if self.behavior.keeps {
            assert!(
                from[0].starts_with(&state.kept),
                "the write does not begin with the bytes that the stream kept"
            );
        }
        let space = self.behavior.capacity - state.writes.bytes.len();
        if space == 0 && most > 0 {
            if self.behavior.keeps {
                state.kept = from[0].to_vec();
            }
            state.writes.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        state.kept.clear();
        let pipe = &mut state.writes;
        let mut len = 0;
        for slice in from {
            let taken = slice.len().min(most.min(space) - len);
            pipe.bytes.extend(&slice[..taken]);
            len += taken;
        }
        state.writes_done += 1;
        Poll::Ready(Ok(len))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.behavior.never_flushed {
            return Poll::Pending;
        }
        let mut state = self.state.lock().unwrap();
        self.call(&mut state, Way::Flush, cx).map_ok(|_| ())
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state.lock().unwrap();
        ready!(self.call(&mut state, Way::Close, cx))?;
        state.shut_down = true;
        Poll::Ready(Ok(()))
    }
}

// --- the peer, and pairs ---

/// The peer: a connection that records its events.
pub struct Peer {
    pub end: End,
    pub connection: Connection,
    inbox: Inbox,
    pub heard: Vec<Heard>,
}

/// A record of an event. A Close without a code is recorded as code 1005.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Heard {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(u16),
    /// The end of the connection, and whether it was clean.
    Closed(bool),
}

/// Converts an event to an owned record.
pub fn heard(event: Event<'_>) -> Heard {
    match event {
        Event::Text(text) => Heard::Text(text.to_owned()),
        Event::Binary(data) => Heard::Binary(data.to_vec()),
        Event::Ping(payload) => Heard::Ping(payload.to_vec()),
        Event::Pong(payload) => Heard::Pong(payload.to_vec()),
        Event::CloseReceived { code, .. } => Heard::Close(code.map_or(1005, u16::from)),
        Event::Closed(outcome) => Heard::Closed(outcome.is_clean()),
        other => panic!("{other:?}"),
    }
}

/// Converts a message to an owned record.
pub fn of_message(message: Message) -> Heard {
    match message {
        Message::Text(text) => Heard::Text(text.to_string()),
        Message::Binary(data) => Heard::Binary(data.to_vec()),
    }
}

impl Peer {
    /// Reads all bytes that the WebSocket has written, and sends the replies.
    pub fn pump(&mut self) {
        self.pump_some(usize::MAX);
    }

    /// Reads at most `most` bytes that the WebSocket has written, and sends the replies.
    pub fn pump_some(&mut self, most: usize) {
        let written = self.end.take_some(most);
        self.take_in(&written);
        if self.end.state.lock().unwrap().shut_down {
            self.connection.handle_eof();
            self.poll();
        }
        self.say();
    }

    /// Passes `written` to the connection.
    pub fn take_in(&mut self, written: &[u8]) {
        // Short input is passed byte by byte, because the result must not depend on how the input is cut. Long input
        // would take too long byte by byte.
        let mut rest = written;
        while !rest.is_empty() {
            let space = self.connection.read_space(&mut self.inbox);
            let most = if written.len() < 2000 { 1 } else { rest.len().min(space.len()) };
            space[..most].copy_from_slice(&rest[..most]);
            rest = &rest[most..];
            self.inbox.handle_read(most);
            self.poll();
        }
    }

    fn poll(&mut self) {
        while let Some(event) = self.connection.poll_event(Instant::ZERO, &mut self.inbox).unwrap() {
            self.heard.push(heard(event));
        }
    }

    /// Sends the queued output.
    pub fn say(&mut self) {
        let bytes = wire(&mut self.connection);
        if !bytes.is_empty() {
            self.end.arrive(&bytes);
        }
        if self.connection.poll_transport().is_some() {
            self.connection.handle_half_closed();
            self.end.end();
        }
    }

    /// Returns the messages that were received.
    pub fn messages(&self) -> Vec<Heard> {
        let messages = |heard: &&Heard| matches!(heard, Heard::Text(_) | Heard::Binary(_));
        self.heard.iter().filter(messages).cloned().collect()
    }
}

/// Takes all output that a connection has queued.
pub fn wire(connection: &mut Connection) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let mut slices = [&[][..]; 8];
        let len = connection.poll_transmit(&mut slices);
        let bytes = slices[..len].concat();
        if bytes.is_empty() {
            return all;
        }
        connection.transmitted(Instant::ZERO, bytes.len());
        all.extend(bytes);
    }
}

pub fn connection(role: Role, config: Config) -> Connection {
    match role {
        Role::Server => Connection::server(Instant::ZERO, config, Outbox::new()),
        Role::Client => Connection::client(Instant::ZERO, config, Outbox::new(), [3; 32]),
    }
}

/// Returns a configuration without timers.
pub const fn patient() -> Config {
    Config::new().ping_interval(None).pong_timeout(None).close_timeout(None)
}

/// Returns a WebSocket in `role`, and the peer at the other end of its stream.
pub fn pair(role: Role, behavior: Behavior, config: Config) -> (Clock, Ws, Peer) {
    pair_with(role, behavior, config, false)
}

/// Like [`pair`], with permessage-deflate if `deflate` is set.
pub fn pair_with(role: Role, behavior: Behavior, config: Config, deflate: bool) -> (Clock, Ws, Peer) {
    let (clock, end) = (Clock::default(), End::new(behavior));
    let connection = |role, config| {
        let connection = connection(role, config);
        #[cfg(feature = "deflate")]
        let connection = connection.with_deflate(deflate.then(hybi::handshake::DeflateParams::default));
        #[cfg(not(feature = "deflate"))]
        assert!(!deflate);
        connection
    };
    let ws = WebSocket::from_parts(end.clone(), clock.clone(), connection(role, config), Inbox::empty());
    let connection = connection(role.peer(), patient().high_water(usize::MAX));
    let peer = Peer { end, connection, inbox: Inbox::empty(), heard: Vec::new() };
    (clock, ws, peer)
}

pub const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Returns `len` letters: the alphabet, repeated as often as necessary.
pub fn letters(len: usize) -> String {
    ('a'..='z').cycle().take(len).collect()
}

/// Returns text that compression does not shorten much.
pub fn noise(len: usize) -> String {
    static NOISE: LazyLock<String> = LazyLock::new(|| {
        let mut state = 1_u32;
        let letter = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(b'0' + (state >> 26) as u8)
        };
        std::iter::repeat_with(letter).take(300_000).collect()
    });
    NOISE[..len].to_owned()
}
