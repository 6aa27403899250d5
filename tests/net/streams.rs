//! Implementations of `Stream` for other transports: Unix sockets, boxes, TLS, HTTP/2 and a serial line.
//!
//! The adapter must half-close, wait and read the clock only through the methods of the stream. The TLS type here
//! imitates records, `close_notify`, and the way in which OpenSSL keeps the bytes of a failed write. The real libraries
//! are tested in `tests/tls/`. The last tests use streams that report wrong numbers of bytes.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use hybi::adapters::net::{
    AcceptError, Client, ConnectError, Error, Server, Stream, WebSocket, WrappedStream,
};
use hybi::{CloseCode, Config, Connection, Event, Inbox, Instant, Outbox, Outcome, TimerKind};

use crate::common::*;
use crate::virtual_stream::*;

const CLEAN: Outcome = Outcome::Clean { code: CloseCode::NORMAL };
const DEAD: Outcome = Outcome::TimedOut(TimerKind::Pong);

/// Sends a message in each direction. Then the client or the server closes the connection.
fn talk<A: Send, B: Send>(server: WebSocket<A>, client: WebSocket<B>, by_client: bool) {
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut ws = server;
            assert_eq!(ws.recv().unwrap(), Some("hello".into()));
            ws.send(vec![7; 100_000]).unwrap();
            if !by_client {
                ws.close(CloseCode::NORMAL, "").unwrap();
            }
            assert_eq!(ws.wait_closed().unwrap(), CLEAN);
        });
        scope.spawn(|| {
            let mut ws = client;
            ws.send_text("hello").unwrap();
            assert_eq!(ws.recv().unwrap().unwrap().as_bytes(), [7; 100_000]);
            if by_client {
                ws.close(CloseCode::NORMAL, "").unwrap();
            }
            assert_eq!(ws.wait_closed().unwrap(), CLEAN);
        });
    });
}

/// Completes an opening handshake. The server uses the stream `near`, and the client uses `far`.
fn open<A, B>(
    near: impl Into<WrappedStream<A>> + Send,
    far: impl Into<WrappedStream<B>>,
) -> (WebSocket<A>, WebSocket<B>)
where
    A: Send + std::fmt::Debug,
    B: std::fmt::Debug,
{
    thread::scope(|scope| {
        let server = scope.spawn(|| Server::new().accept_stream(near).unwrap());
        let client = Client::new().open_stream(far, "ws://a/").unwrap();
        (server.join().unwrap(), client)
    })
}

fn sockets() -> (TcpStream, TcpStream) {
    let (listener, address) = listen();
    let far = TcpStream::connect(address).unwrap();
    (listener.accept().unwrap().0, far)
}

#[cfg(unix)]
#[test]
fn unix_sockets_support_timers_and_splitting() {
    use std::os::unix::net::UnixStream;

    timed(|| {
        for by_client in [true, false] {
            let (near, far) = UnixStream::pair().unwrap();
            let (server, client) = open(near, far);
            talk(server, client, by_client);
        }
        let (near, _far) = UnixStream::pair().unwrap();
        let config = Config::new().ping_interval(Some(ms(30))).pong_timeout(Some(ms(30)));
        let connection = Connection::server(Instant::ZERO, config, Outbox::new());
        let ws = WebSocket::from_stream(near, connection, Inbox::empty());
        let (mut reader, _writer) = ws.split().unwrap();
        assert_eq!(reader.wait_closed().unwrap(), DEAD);
    });
}

#[test]
fn boxed_streams_support_timers_and_splitting() {
    timed(|| {
        for by_client in [true, false] {
            let (near, far) = sockets();
            let near: Box<dyn Stream + Send> = Box::new(near);
            let (server, client) = open(near, far);
            talk(server, client, by_client);
        }
        let (near, _far) = sockets();
        let near: Box<dyn Stream + Send> = Box::new(near);
        let config = Config::new().ping_interval(Some(ms(30))).pong_timeout(Some(ms(30)));
        let connection = Connection::server(Instant::ZERO, config, Outbox::new());
        let ws = WebSocket::from_stream(near, connection, Inbox::empty());
        assert!(format!("{ws:?}").contains("Stream"));
        let (mut reader, mut writer) = ws.split().unwrap();
        writer.send_text("x").unwrap();
        assert_eq!(reader.wait_closed().unwrap(), DEAD);
    });
}

#[test]
fn a_borrowed_stream_is_usable_afterwards() {
    let mut stream = Virtual::new(1 << 20, |peer| peer.send(&frame(0x81, true, b"a")));
    let connection = Connection::server(Instant::ZERO, patient(), Outbox::new());
    let mut ws = WebSocket::from_stream(&mut stream, connection, Inbox::empty());
    assert_eq!(ws.recv().unwrap(), Some("a".into()));
    drop(ws);
    assert_eq!(stream.peer(|peer| peer.closed), None);
}

#[test]
fn a_stream_without_try_clone_cannot_be_split() {
    struct Alone;
    impl Read for Alone {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Ok(0)
        }
    }
    impl Write for Alone {
        fn write(&mut self, from: &[u8]) -> io::Result<usize> {
            Ok(from.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    impl Stream for Alone {}
    let connection = Connection::server(Instant::ZERO, patient(), Outbox::new());
    let error = WebSocket::from_stream(Alone, connection, Inbox::empty()).split().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

// --- TLS ---

/// An imitation of TLS without encryption. A record is a type, a length of two bytes, and the content.
///
/// If this stream cannot send a whole record, it keeps the rest, as OpenSSL does. The next write must begin with the
/// same bytes. The stream reports an end without `close_notify` as an error, because an attacker may have cut off the
/// data.
#[derive(Debug)]
struct Tls {
    socket: TcpStream,
    /// Received bytes that are not decrypted yet.
    raw: Vec<u8>,
    /// Decrypted bytes that the adapter has not read yet.
    plain: VecDeque<u8>,
    ended: bool,
    /// The content of the record that is being sent, and its unsent bytes.
    kept: Option<(Vec<u8>, Vec<u8>)>,
    notified: bool,
}

const DATA: u8 = 23;
const ALERT: u8 = 21;

impl Tls {
    fn new(socket: TcpStream) -> Self {
        let (raw, plain) = (Vec::new(), VecDeque::new());
        Self { socket, raw, plain, ended: false, kept: None, notified: false }
    }

    fn over(self) -> WrappedStream<Self> {
        WrappedStream::new(self, |tls| Some(&tls.socket)).close_write(Self::shutdown)
    }

    /// Sends `close_notify`.
    fn shutdown(&mut self) -> io::Result<()> {
        assert!(self.kept.is_none(), "close_notify would cut off a record");
        if !self.notified {
            self.socket.write_all(&[ALERT, 0, 0])?;
            self.notified = true;
        }
        Ok(())
    }

    fn record(&mut self) -> Option<(u8, Vec<u8>)> {
        let [kind, high, low] = *self.raw.first_chunk()?;
        let end = 3 + usize::from(u16::from_be_bytes([high, low]));
        let body = self.raw.get(3..end)?.to_vec();
        self.raw.drain(..end);
        Some((kind, body))
    }
}

impl Read for Tls {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.plain.is_empty() && !self.ended {
            match self.record() {
                Some((DATA, body)) => self.plain.extend(body),
                Some(_) => self.ended = true,
                None => {
                    let mut bytes = [0; 4096];
                    let n = self.socket.read(&mut bytes)?;
                    if n == 0 {
                        let complaint = "the peer ended the stream without close_notify";
                        return Err(io::Error::new(ErrorKind::UnexpectedEof, complaint));
                    }
                    self.raw.extend(&bytes[..n]);
                }
            }
        }
        self.plain.read(to)
    }
}

impl Write for Tls {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        assert!(!self.notified, "data is written after close_notify");
        let (plain, mut record) = self.kept.take().unwrap_or_else(|| {
            let plain = from[..from.len().min(16 << 10)].to_vec();
            let record = [&[DATA][..], &(plain.len() as u16).to_be_bytes(), &plain].concat();
            (plain, record)
        });
        assert!(from.starts_with(&plain), "bad write retry");
        while !record.is_empty() {
            match self.socket.write(&record) {
                Ok(n) => drop(record.drain(..n)),
                Err(error) => {
                    self.kept = Some((plain, record));
                    return Err(error);
                }
            }
        }
        Ok(plain.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

#[test]
fn s7_1_1_both_endpoints_half_close_tls_with_close_notify() {
    timed(|| {
        for by_client in [true, false] {
            let (near, far) = sockets();
            let (server, client) = open(Tls::new(near).over(), Tls::new(far).over());
            talk(server, client, by_client);
        }
    });
}

#[test]
fn s7_1_7_a_protocol_error_over_tls_ends_with_close_notify() {
    timed(|| {
        let (near, far) = sockets();
        let connection = Connection::server(Instant::ZERO, patient(), Outbox::new());
        let mut ws = WebSocket::from_stream(Tls::new(near).over(), connection, Inbox::empty());
        let peer = thread::spawn(move || {
            let mut tls = Tls::new(far);
            tls.write_all(&frame(0x81, false, b"not masked")).unwrap();
            let mut rest = Vec::new();
            tls.read_to_end(&mut rest).unwrap();
            assert_eq!((rest[0], &rest[2..4]), (0x88, &1002_u16.to_be_bytes()[..]));
            tls.shutdown().unwrap();
        });
        assert!(matches!(ws.next_event(), Err(Error::Protocol(_))));
        assert!(matches!(ws.wait_closed().unwrap(), Outcome::Failed(_)));
        drop(ws);
        peer.join().unwrap();
    });
}

#[test]
fn without_a_close_function_the_application_ends_tls() {
    timed(|| {
        let (near, far) = sockets();
        let connection = Connection::server(Instant::ZERO, patient(), Outbox::new());
        let mut ws =
            WebSocket::from_parts(Tls::new(near), |tls| Some(&tls.socket), connection, Inbox::empty());
        let peer = thread::spawn(move || {
            let mut tls = Tls::new(far);
            tls.write_all(&frame(0x88, true, &close_body(1000, ""))).unwrap();
            let mut rest = Vec::new();
            // The read returns no error, because the application sends `close_notify` below.
            tls.read_to_end(&mut rest).unwrap();
            assert_eq!(rest, frame(0x88, false, &close_body(1000, "")));
        });
        assert_eq!(ws.wait_closed().unwrap(), CLEAN);
        ws.into_parts().0.shutdown().unwrap();
        peer.join().unwrap();
    });
}

#[test]
fn bytes_of_a_failed_write_to_tls_are_written_again_before_a_ping() {
    timed(|| {
        let (near, far) = sockets();
        let config = Config::new().ping_interval(Some(ms(20))).pong_timeout(Some(ms(20_000)));
        let (near, far) = (Tls::new(near).over(), Tls::new(far).over());
        let connection = Connection::server(Instant::ZERO, config, Outbox::new());
        let mut ws = WebSocket::from_stream(near, connection, Inbox::empty());
        let (_never, wait) = channel::<()>();
        let peer = thread::spawn(move || {
            let connection = Connection::client(Instant::ZERO, patient(), Outbox::new(), [1; 32]);
            let mut ws = WebSocket::from_stream(far, connection, Inbox::empty());
            // While the server waits for space to write, it reads this message. After this message no input arrives, so
            // a Ping becomes due.
            assert!(wait.recv_timeout(ms(100)).is_err());
            ws.send_text("go on").unwrap();
            assert!(wait.recv_timeout(ms(300)).is_err());
            let mut bytes = 0;
            while let Some(message) = ws.recv().unwrap() {
                bytes += message.as_bytes().len();
            }
            bytes
        });
        // Each message is smaller than a record. If a write fails, the TLS stream keeps the whole message, but
        // reports no byte as written.
        for _ in 0..8000 {
            ws.send(vec![1; 3000]).unwrap();
        }
        ws.close(CloseCode::NORMAL, "").unwrap();
        assert_eq!(ws.wait_closed().unwrap(), CLEAN);
        assert_eq!(peer.join().unwrap(), 24_000_000);
        assert!(ws.connection().sender().counters().frames > 8000 + 1, "no Ping was due");
    });
}

#[test]
fn bytes_that_a_stream_keeps_are_written_again_before_due_pings() {
    for halves in [false, true] {
        // The peer reads slowly. Pings, and Pongs for the peer's Pings, become due all the time.
        let stream = Virtual::new(7000, |peer| {
            peer.read(1000);
            peer.answer_pings();
            peer.send(&frame(0x89, true, b"and you?"));
            peer.wake_at = Some(peer.now + ms(100));
        })
        .keeping();
        let ws = stream.server(Config::new().ping_interval(Some(ms(70))).pong_timeout(Some(ms(5000))));
        if halves {
            let (mut reader, mut writer) = ws.split().unwrap();
            for n in 0..30 {
                writer.send_binary(&vec![n; 3000 + usize::from(n)]).unwrap();
                while reader.next_event_timeout(ms(1)).is_ok() {}
            }
            writer.close(CloseCode::NORMAL, "").unwrap();
        } else {
            let mut ws = ws;
            for n in 0..30 {
                ws.send_binary(&vec![n; 3000 + usize::from(n)]).unwrap();
                while ws.next_event_timeout(ms(1)).is_ok() {}
            }
            ws.close(CloseCode::NORMAL, "").unwrap();
        }
        stream.pass(ms(100_000));
        let received = stream.peer(|peer| std::mem::take(&mut peer.received));
        let peer = Virtual::with_idle_peer(0);
        let frames = peer.peer(|peer| {
            peer.received = received;
            peer.frames()
        });
        let data: Vec<_> = frames.iter().filter(|(first, _)| *first == 0x82).map(|(_, data)| data).collect();
        assert!(data.iter().zip(0_u8..).all(|(data, n)| **data == vec![n; 3000 + usize::from(n)]));
        assert_eq!(data.len(), 30);
        assert_eq!(frames.iter().filter(|(first, _)| *first == 0x88).count(), 1);
        assert!(frames.iter().any(|(first, _)| *first == 0x89));
    }
}

#[test]
fn s7_1_1_the_half_close_does_not_overtake_bytes_that_the_stream_holds_back() {
    for reads in [true, false] {
        // The peer sends its Close at once. Afterwards the peer reads one byte per second, or never reads.
        let stream = Virtual::new(3, move |peer| {
            if peer.now == Duration::ZERO {
                peer.send(&frame(0x88, true, &close_body(1000, "")));
            } else if reads {
                peer.read(1);
                if peer.closed.is_some() {
                    peer.end();
                }
            }
            peer.wake_at = Some(peer.now + ms(1000));
        })
        .holding_back();
        let mut ws = stream.server(Config::new());
        let outcome = ws.wait_closed().unwrap();
        if reads {
            assert_eq!(outcome, CLEAN);
        } else {
            assert_eq!(outcome, Outcome::TimedOut(TimerKind::Close));
            assert!(stream.now() >= ms(10_000));
        }
    }
}

// --- HTTP/2 ---

/// A frame of a stream of an HTTP/2 connection: data, `END_STREAM` or `RST_STREAM`.
#[derive(Debug)]
enum Frame {
    Data(Vec<u8>),
    EndStream,
    ResetStream,
}

struct Http2 {
    incoming: Arc<Mutex<Receiver<Frame>>>,
    outgoing: Sender<Frame>,
    rest: VecDeque<u8>,
    ended: bool,
    timeout: Option<Duration>,
    nonblocking: bool,
}

impl Http2 {
    fn pair() -> (Self, Self) {
        let (one, other) = (channel(), channel());
        let end = |incoming, outgoing| Self {
            incoming: Arc::new(Mutex::new(incoming)),
            outgoing,
            rest: VecDeque::new(),
            ended: false,
            timeout: None,
            nonblocking: false,
        };
        (end(one.1, other.0), end(other.1, one.0))
    }

    fn send(&self, frame: Frame) -> io::Result<()> {
        self.outgoing.send(frame).map_err(|_| ErrorKind::BrokenPipe.into())
    }
}

impl Read for Http2 {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() && !self.ended {
            let timeout = if self.nonblocking { Duration::ZERO } else { self.timeout.unwrap_or(ms(100_000)) };
            match self.incoming.lock().unwrap().recv_timeout(timeout) {
                Ok(Frame::Data(data)) => self.rest.extend(data),
                Ok(Frame::EndStream) => self.ended = true,
                Ok(Frame::ResetStream) => return Err(ErrorKind::ConnectionReset.into()),
                Err(RecvTimeoutError::Timeout) => return Err(ErrorKind::WouldBlock.into()),
                Err(RecvTimeoutError::Disconnected) => return Err(ErrorKind::ConnectionAborted.into()),
            }
        }
        self.rest.read(to)
    }
}

impl Write for Http2 {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        let n = from.len().min(16 << 10);
        self.send(Frame::Data(from[..n].to_vec()))?;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Http2 {
    fn close_write(&mut self) -> io::Result<()> {
        self.send(Frame::EndStream)
    }

    fn abort(&mut self) {
        let _ = self.send(Frame::ResetStream);
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        self.timeout = timeout;
        Ok(true)
    }

    fn set_nonblocking(&mut self, on: bool) -> io::Result<bool> {
        self.nonblocking = on;
        Ok(true)
    }

    fn keeps_refused_bytes(&self) -> bool {
        false
    }

    fn try_clone(&self) -> io::Result<Box<dyn Stream + Send>> {
        Ok(Box::new(Self {
            incoming: Arc::clone(&self.incoming),
            outgoing: self.outgoing.clone(),
            rest: VecDeque::new(),
            ended: false,
            timeout: None,
            nonblocking: false,
        }))
    }
}

fn over_http2(stream: Http2, connection: Connection) -> WebSocket<Http2> {
    // RFC 8441: HTTP/2 replaces the opening handshake.
    WebSocket::from_stream(stream, connection, Inbox::empty())
}

#[test]
fn s8441_5_a_stream_of_http2_is_ended_with_end_stream() {
    timed(|| {
        for by_client in [true, false] {
            let (near, far) = Http2::pair();
            let server = over_http2(near, Connection::server(Instant::ZERO, patient(), Outbox::new()));
            let client =
                over_http2(far, Connection::client(Instant::ZERO, patient(), Outbox::new(), [1; 32]));
            talk(server, client, by_client);
        }
        // The same check follows with a server that is split.
        let (near, far) = Http2::pair();
        let server = over_http2(near, Connection::server(Instant::ZERO, patient(), Outbox::new()));
        let mut client =
            over_http2(far, Connection::client(Instant::ZERO, patient(), Outbox::new(), [1; 32]));
        let (mut reader, mut writer) = server.split().unwrap();
        let reading = thread::spawn(move || {
            assert_eq!(reader.recv().unwrap(), Some("up".into()));
            reader.wait_closed().unwrap()
        });
        client.send_text("up").unwrap();
        writer.send_text("down").unwrap();
        assert_eq!(client.recv().unwrap(), Some("down".into()));
        client.close(CloseCode::NORMAL, "").unwrap();
        assert_eq!(client.wait_closed().unwrap(), CLEAN);
        assert_eq!(reading.join().unwrap(), CLEAN);
    });
}

// --- a serial line ---

/// A serial line of an embedded system. On real hardware, an interrupt handler fills one of the two buffers and empties
/// the other.
///
/// This stream borrows both buffers, works in one thread only, and cannot wait for input.
#[derive(Debug)]
struct Serial<'b> {
    rx: &'b RefCell<VecDeque<u8>>,
    tx: &'b RefCell<VecDeque<u8>>,
    /// Time in milliseconds.
    ticks: &'b RefCell<u64>,
}

impl Read for Serial<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        match self.rx.borrow_mut().read(to)? {
            0 => Err(ErrorKind::WouldBlock.into()),
            n => Ok(n),
        }
    }
}

impl Write for Serial<'_> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        let mut tx = self.tx.borrow_mut();
        let n = from.len().min(64 - tx.len());
        tx.extend(&from[..n]);
        if n == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(n) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Serial<'_> {
    fn keeps_refused_bytes(&self) -> bool {
        false
    }

    fn clock(&self) -> Option<Instant> {
        Some(Instant::ZERO + Duration::from_millis(*self.ticks.borrow()))
    }
}

#[test]
fn a_stream_for_a_serial_line_has_its_own_clock() {
    let (up, down, ticks) = (RefCell::default(), RefCell::default(), RefCell::new(0));
    let connection = Connection::server(Instant::ZERO, Config::new(), Outbox::new());
    let mut server =
        WebSocket::from_stream(Serial { rx: &up, tx: &down, ticks: &ticks }, connection, Inbox::empty());
    let connection = Connection::client(Instant::ZERO, patient(), Outbox::new(), [1; 32]);
    let mut client =
        WebSocket::from_stream(Serial { rx: &down, tx: &up, ticks: &ticks }, connection, Inbox::empty());
    client.feed("x".repeat(1000)).unwrap();
    let mut echoed = 0;
    while echoed < 1000 {
        *ticks.borrow_mut() += 1;
        for ws in [&mut server, &mut client] {
            match ws.next_event() {
                Ok(Some((Event::Text(text), mut answer))) if text.len() == 1000 && echoed == 0 => {
                    answer.send_text(text).unwrap();
                    echoed = 1;
                }
                Ok(Some((Event::Text(text), _))) => echoed = text.len(),
                Err(error) => assert!(error.interest().is_some(), "{error}"),
                other => panic!("{other:?}"),
            }
        }
    }
    // The client disappears. The server detects this by the clock of its stream.
    while server.outcome().is_none() {
        *ticks.borrow_mut() += 100;
        down.borrow_mut().clear();
        match server.next_event() {
            Ok(Some((Event::Closed(outcome), _))) => assert_eq!(outcome, DEAD),
            Err(error) => {
                let within = error.interest().unwrap().within.unwrap();
                assert!(within <= ms(30_000));
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(*ticks.borrow() <= 62_000, "{}", ticks.borrow());
}

// --- streams that report wrong counts ---

/// A stream that reports one byte more than the buffer has, after a number of correct calls.
#[derive(Clone, Debug)]
struct WrongCounts {
    reads: bool,
    correct_calls: Rc<RefCell<usize>>,
    input: VecDeque<u8>,
}

impl WrongCounts {
    fn new(reads: bool, correct_calls: usize, input: &[u8]) -> Self {
        Self {
            reads,
            correct_calls: Rc::new(RefCell::new(correct_calls)),
            input: input.iter().copied().collect(),
        }
    }

    fn is_correct(&self) -> bool {
        let mut correct_calls = self.correct_calls.borrow_mut();
        *correct_calls = correct_calls.saturating_sub(1);
        *correct_calls > 0
    }
}

impl Read for WrongCounts {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read(to)?;
        if self.reads && !self.is_correct() { Ok(to.len() + 1) } else { Ok(n) }
    }
}

impl Write for WrongCounts {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        if self.reads || self.is_correct() { Ok(from.len()) } else { Ok(from.len() + 1) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_wrong_count(error: &io::Error) -> bool {
    error.kind() == ErrorKind::InvalidData && error.to_string().contains("has a bug")
}

#[test]
fn a_stream_that_reports_too_many_bytes_fails() {
    for reads in [true, false] {
        match Server::new()
            .accept_stream(WrappedStream::new(WrongCounts::new(reads, 0, REQUEST.as_bytes()), |_| None))
        {
            Err(AcceptError::Io(error)) => assert!(is_wrong_count(&error), "{error}"),
            other => panic!("{other:?}"),
        }
        match Client::new().open(WrongCounts::new(reads, 0, b""), |_| None, "ws://a/") {
            Err(ConnectError::Io(error)) => assert!(is_wrong_count(&error), "{error}"),
            other => panic!("{other:?}"),
        }
        let messages = [frame(0x81, true, b"one"), frame(0x81, true, b"two")].concat();
        for correct_calls in 1..5 {
            let connection = Connection::server(Instant::ZERO, patient(), Outbox::new());
            let stream = WrongCounts::new(reads, correct_calls, &messages);
            let mut ws = WebSocket::from_parts(stream, |_| None, connection, Inbox::empty());
            let mut errors = 0;
            while ws.outcome().is_none() {
                match ws.next_event() {
                    Ok(Some((Event::Text(text), mut answer))) => answer.send_text(text).unwrap(),
                    Ok(_) => {}
                    Err(Error::Io(error)) => {
                        assert!(is_wrong_count(&error) || errors > 0, "{error}");
                        errors += 1;
                        assert!(errors <= 3);
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }
}

#[test]
fn a_newtype_of_a_socket_is_half_closed_and_a_layer_is_not() {
    /// A type that contains only a socket, so it cannot hold written bytes back. The adapter may half-close it.
    #[derive(Debug)]
    struct Renamed(TcpStream);
    /// A type with another field, which might be a buffer for written bytes. The adapter must not half-close it.
    #[derive(Debug)]
    struct Layer(TcpStream, #[allow(dead_code, reason = "the test needs only that the field exists")] u64);
    macro_rules! read_and_write {
        ($stream:ty) => {
            impl Read for $stream {
                fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
                    self.0.read(to)
                }
            }
            impl Write for $stream {
                fn write(&mut self, from: &[u8]) -> io::Result<usize> {
                    self.0.write(from)
                }
                fn flush(&mut self) -> io::Result<()> {
                    self.0.flush()
                }
            }
        };
    }
    read_and_write!(Renamed);
    read_and_write!(Layer);

    fn end<S>(ws: &mut WebSocket<S>, mut far: TcpStream) -> bool {
        far.write_all(&frame(0x88, true, &close_body(1000, ""))).unwrap();
        let peer = thread::spawn(move || {
            let mut close = [0; 4];
            far.read_exact(&mut close).unwrap();
            far.set_read_timeout(Some(ms(300))).unwrap();
            let half_closed = matches!(far.read(&mut [0]), Ok(0));
            let _ = far.shutdown(Shutdown::Both);
            half_closed
        });
        assert_eq!(ws.wait_closed().unwrap(), CLEAN);
        peer.join().unwrap()
    }
    timed(|| {
        let connection = || Connection::server(Instant::ZERO, patient(), Outbox::new());
        let (near, far) = sockets();
        let mut ws = WebSocket::from_parts(Renamed(near), |near| Some(&near.0), connection(), Inbox::empty());
        assert!(end(&mut ws, far));
        let (near, far) = sockets();
        let mut ws =
            WebSocket::from_parts(Layer(near, 0), |near| Some(&near.0), connection(), Inbox::empty());
        assert!(!end(&mut ws, far));
    });
}
