//! Implementations of `Transport` for other kinds of stream: TLS records, an HTTP/2 stream and a serial line.
//!
//! This file defines the runtime `Board`, to show that an application can supply a stream and a clock of its own. A
//! WebSocket ends such a stream only through methods of the trait. `tests/net/streams.rs` has the same streams for the
//! blocking adapter.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hybi::adapters::async_driver::{AcceptError, Timer, Transport, WebSocket};
use hybi::adapters::handshake_driver::{Client, ConnectError, Server};
use hybi::{CloseCode, Config, Connection, Event, Inbox, Instant, Message, Outbox, Outcome, TimerKind};

use crate::support::{Clock, block_on, run};

/// A runtime with the virtual clock of these tests.
#[derive(Clone)]
struct Board(Clock);

impl Timer for Board {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn poll_at(&mut self, cx: &mut Context<'_>, at: Instant) -> Poll<()> {
        self.0.poll_at(cx, at)
    }
}

/// One direction of a stream.
#[derive(Default)]
struct Line {
    bytes: VecDeque<u8>,
    ended: bool,
    reset: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Line {
    fn wake(&mut self) {
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }

    fn poll_read(&mut self, cx: &Context<'_>, to: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.reset {
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        }
        let len = to.len().min(self.bytes.len());
        if len == 0 && !self.ended {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        to.iter_mut().zip(self.bytes.drain(..len)).for_each(|(to, byte)| *to = byte);
        self.wake();
        Poll::Ready(Ok(len))
    }

    fn poll_write(&mut self, cx: &Context<'_>, bytes: &[u8], capacity: usize) -> Poll<io::Result<usize>> {
        assert!(!self.ended, "{} bytes are written after the end", bytes.len());
        let len = bytes.len().min(capacity.saturating_sub(self.bytes.len()));
        if len == 0 {
            self.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        self.bytes.extend(&bytes[..len]);
        self.wake();
        Poll::Ready(Ok(len))
    }
}

type Shared = Rc<RefCell<Line>>;

/// Returns the two ends of a stream. Each end is a pair of the line that it reads and the line that it writes.
fn lines() -> [(Shared, Shared); 2] {
    let (there, back) = (Shared::default(), Shared::default());
    [(Rc::clone(&there), Rc::clone(&back)), (back, there)]
}

/// A TLS stream. Like OpenSSL, it encrypts a write before it knows whether there is space for the record. It ends
/// with `close_notify`.
struct Tls {
    incoming: Shared,
    outgoing: Shared,
    /// The bytes of an encrypted record that the connection below has not accepted yet.
    record: Vec<u8>,
    notified: bool,
}

/// Maximum number of bytes in one record.
const RECORD: usize = 100;

impl Transport<Tls> for Board {
    fn poll_read(tls: &mut Tls, cx: &mut Context<'_>, to: &mut [u8]) -> Poll<io::Result<usize>> {
        tls.incoming.borrow_mut().poll_read(cx, to)
    }

    fn poll_write(tls: &mut Tls, cx: &mut Context<'_>, from: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let first = from.iter().find(|slice| !slice.is_empty()).map(|slice| &**slice).unwrap_or_default();
        if tls.record.is_empty() {
            tls.record = first[..first.len().min(RECORD)].to_vec();
        }
        assert!(
            first.starts_with(&tls.record),
            "the write does not begin with the bytes that were already encrypted"
        );
        let mut line = tls.outgoing.borrow_mut();
        // A record is written whole or not at all.
        if line.bytes.len() + tls.record.len() > 3 * RECORD {
            line.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let record = std::mem::take(&mut tls.record);
        line.poll_write(cx, &record, usize::MAX)
    }

    fn poll_flush(_: &mut Tls, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close_write(tls: &mut Tls, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        assert!(tls.record.is_empty(), "close_notify was sent in the middle of a record");
        tls.notified = true;
        let mut line = tls.outgoing.borrow_mut();
        line.ended = true;
        line.wake();
        Poll::Ready(Ok(()))
    }
}

/// One stream of an HTTP/2 connection. `window` is the flow-control window of HTTP/2.
struct Http2 {
    incoming: Shared,
    outgoing: Shared,
    window: usize,
}

impl Transport<Http2> for Board {
    fn poll_read(stream: &mut Http2, cx: &mut Context<'_>, to: &mut [u8]) -> Poll<io::Result<usize>> {
        stream.incoming.borrow_mut().poll_read(cx, to)
    }

    fn poll_write(stream: &mut Http2, cx: &mut Context<'_>, from: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        // All slices form one DATA frame.
        let data: Vec<u8> = from.iter().flat_map(|slice| slice.iter().copied()).collect();
        stream.outgoing.borrow_mut().poll_write(cx, &data, stream.window)
    }

    fn keeps_refused_bytes(_: &Http2) -> bool {
        false
    }

    fn poll_flush(_: &mut Http2, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close_write(stream: &mut Http2, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut line = stream.outgoing.borrow_mut();
        line.ended = true; // END_STREAM
        line.wake();
        Poll::Ready(Ok(()))
    }

    fn abort(stream: &mut Http2) {
        // RST_STREAM
        for line in [&stream.incoming, &stream.outgoing] {
            let mut line = line.borrow_mut();
            line.reset = true;
            line.wake();
        }
    }
}

/// A serial line. A call moves one byte. The device buffers eight bytes, and `poll_flush` sends them.
struct Serial {
    incoming: Shared,
    outgoing: Shared,
    held: Vec<u8>,
}

impl Transport<Serial> for Board {
    fn poll_read(line: &mut Serial, cx: &mut Context<'_>, to: &mut [u8]) -> Poll<io::Result<usize>> {
        line.incoming.borrow_mut().poll_read(cx, &mut to[..1])
    }

    fn poll_write(line: &mut Serial, cx: &mut Context<'_>, from: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if line.held.len() == 8 {
            match Self::poll_flush(line, cx) {
                Poll::Ready(flushed) => flushed?,
                Poll::Pending => return Poll::Pending,
            }
        }
        let byte = from.iter().find_map(|slice| slice.first()).expect("something to write");
        line.held.push(*byte);
        Poll::Ready(Ok(1))
    }

    fn poll_flush(line: &mut Serial, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !line.held.is_empty() {
            match line.outgoing.borrow_mut().poll_write(cx, &line.held, 16) {
                Poll::Ready(written) => drop(line.held.drain(..written?)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_close_write(line: &mut Serial, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Self::poll_flush(line, cx) {
            Poll::Ready(flushed) => flushed?,
            Poll::Pending => return Poll::Pending,
        }
        let mut outgoing = line.outgoing.borrow_mut();
        outgoing.ended = true;
        outgoing.wake();
        Poll::Ready(Ok(()))
    }
}

const CLEAN: Outcome = Outcome::Clean { code: CloseCode::NORMAL };

/// Runs a handshake and a conversation between two streams of `make`, until both ends are half-closed. Then `check`
/// examines each stream.
fn converse<S>(make: impl Fn(Shared, Shared) -> S, check: impl Fn(&S))
where
    Board: Transport<S>,
{
    let clock = Clock::default();
    let [near, far] = lines().map(|(incoming, outgoing)| make(incoming, outgoing));
    let server = pin!(async {
        let mut ws = Server::with_runtime(Board(clock.clone()))
            .accept(far)
            .await
            .map_err(AcceptError::without_stream)
            .unwrap();
        while let Some(message) = ws.recv().await.unwrap() {
            ws.send(message).await.unwrap();
        }
        assert_eq!(ws.outcome(), Some(CLEAN));
        check(ws.stream());
    });
    let client = async {
        let client = Client::with_runtime(Board(clock.clone()));
        let mut ws =
            client.open(near, "ws://board.example/").await.map_err(ConnectError::without_stream).unwrap();
        for message in [Message::from("hello"), Message::from(vec![7; 3000])] {
            ws.send(message.clone()).await.unwrap();
            assert_eq!(ws.recv().await.unwrap(), Some(message));
        }
        ws.close(CloseCode::NORMAL, "").await.unwrap();
        assert_eq!(ws.wait_closed().await.unwrap(), CLEAN);
        check(ws.stream());
    };
    run(&clock, client, &mut [server]);
}

#[test]
fn a_stream_of_tls_records_ends_with_close_notify() {
    let make = |incoming, outgoing| Tls { incoming, outgoing, record: Vec::new(), notified: false };
    converse(make, |tls: &Tls| assert!(tls.notified));
}

#[test]
fn a_stream_of_http2_ends_with_end_stream() {
    let make = |incoming, outgoing| Http2 { incoming, outgoing, window: 500 };
    converse(make, |stream: &Http2| {
        let line = stream.outgoing.borrow();
        assert!(line.ended && !line.reset);
    });
}

#[test]
fn a_serial_line_is_flushed_before_it_ends() {
    let make = |incoming, outgoing| Serial { incoming, outgoing, held: Vec::new() };
    converse(make, |line: &Serial| assert!(line.held.is_empty() && line.outgoing.borrow().ended));
}

#[test]
fn a_stream_of_http2_is_reset_if_the_peer_is_dead() {
    let clock = Clock::default();
    let [(incoming, outgoing), _] = lines();
    let config = Config::new()
        .ping_interval(Some(Duration::from_millis(500)))
        .pong_timeout(Some(Duration::from_millis(700)));
    let connection = Connection::server(clock.now(), config, Outbox::new());
    let stream = Http2 { incoming, outgoing: Rc::clone(&outgoing), window: 500 };
    let mut ws = WebSocket::with_runtime(stream, Board(clock.clone()), connection, Inbox::empty());
    block_on(&clock, async {
        let end = ws
            .next_event()
            .await
            .unwrap()
            .map(|(event, _)| event == Event::Closed(Outcome::TimedOut(TimerKind::Pong)));
        assert_eq!(end, Some(true));
        assert_eq!(ws.recv().await.unwrap(), None);
    });
    assert!(outgoing.borrow().reset);
}
