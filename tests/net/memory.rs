//! Tests over a stream in memory that splits, delays or fails any call.
//!
//! A session runs over this stream once without a fault. Then it runs once for each call, with a fault at this call.
//! Each run must end with a typed error or outcome. The peer must receive a prefix of the bytes that it receives
//! without a fault.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::rc::Rc;

use hybi::adapters::net::{AcceptError, Client, ConnectError, Error, Server, WebSocket, WrappedStream};
use hybi::handshake::Reason;
use hybi::{CloseCode, Config, Connection, EofPosition, Event, Inbox, Instant, Outbox, Outcome};

use crate::common::*;

/// A fault of one call.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Fault {
    Error(ErrorKind),
    /// A read of zero bytes, which is the end of the input, or a write of zero bytes.
    Zero,
}

/// The peer's bytes, and the behaviour of each call.
#[derive(Debug, Default)]
struct Script {
    input: VecDeque<u8>,
    /// Bytes that have arrived at the peer.
    output: Vec<u8>,
    /// Bytes that were written and not flushed, if the stream holds bytes back.
    held_back: Option<Vec<u8>>,
    /// Maximum number of bytes that one call reads or writes.
    step: usize,
    /// True if every second call is interrupted.
    interrupts: bool,
    /// The number of the first call that fails, and its fault. A fault that is not transient affects all later calls.
    fault: Option<(usize, Fault)>,
    /// True if a read without input returns `WouldBlock`. If `open` is false, such a read returns the end of the
    /// stream.
    open: bool,
    reads: usize,
    calls: usize,
}

/// A stream in memory that follows a [`Script`]. Clones are handles to the same stream.
#[derive(Clone, Debug, Default)]
struct Memory(Rc<RefCell<Script>>);

impl Memory {
    fn new(input: &[u8]) -> Self {
        let script = Script { input: input.iter().copied().collect(), step: usize::MAX, ..Script::default() };
        Self(Rc::new(RefCell::new(script)))
    }

    fn with(self, change: impl FnOnce(&mut Script)) -> Self {
        change(&mut self.0.borrow_mut());
        self
    }

    fn output(&self) -> Vec<u8> {
        self.0.borrow().output.clone()
    }
}

impl Script {
    /// Counts a call, and returns its fault: an error, or `None` for [`Fault::Zero`]. Without a fault, returns `Some`.
    fn call(&mut self) -> io::Result<Option<()>> {
        self.calls += 1;
        assert!(self.calls < 100_000, "the adapter has made 100,000 calls and does not end");
        if self.interrupts && self.calls % 2 == 1 {
            return Err(ErrorKind::Interrupted.into());
        }
        match self.fault {
            Some((at, Fault::Error(kind))) if at == self.calls || at < self.calls && is_permanent(kind) => {
                Err(kind.into())
            }
            Some((at, Fault::Zero)) if at <= self.calls => Ok(None),
            _ => Ok(Some(())),
        }
    }
}

fn is_permanent(kind: ErrorKind) -> bool {
    !matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

impl Read for Memory {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        assert!(!to.is_empty());
        let script = &mut *self.0.borrow_mut();
        script.reads += 1;
        if script.call()?.is_none() {
            return Ok(0);
        }
        let n = to.len().min(script.step).min(script.input.len());
        if n == 0 && script.open {
            return Err(ErrorKind::WouldBlock.into());
        }
        for (to, from) in to.iter_mut().zip(script.input.drain(..n)) {
            *to = from;
        }
        Ok(n)
    }
}

impl Write for Memory {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        assert!(!from.is_empty());
        let script = &mut *self.0.borrow_mut();
        if script.call()?.is_none() {
            return Ok(0);
        }
        let n = from.len().min(script.step);
        let to = script.held_back.as_mut().unwrap_or(&mut script.output);
        to.extend(&from[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        let script = &mut *self.0.borrow_mut();
        script.call()?;
        if let Some(held_back) = &mut script.held_back {
            script.output.append(held_back);
        }
        Ok(())
    }
}

/// Returns the bytes that the client sends in the session. They are a message, a fragmented message with a Ping
/// between its fragments, and a Close.
fn client_bytes() -> Vec<u8> {
    [
        frame(0x81, true, b"one"),
        frame(0x01, true, b"t"),
        frame(0x89, true, b"?"),
        frame(0x80, true, b"wo"),
        frame(0x88, true, &close_body(1000, "bye")),
    ]
    .concat()
}

/// Returns whether `output` is the expected answer. The Pong may come before, between or after the messages.
fn is_answer(output: &[u8]) -> bool {
    let (pong, rest) = (frame(0x8A, false, b"?"), [frame(0x81, false, b"one"), frame(0x81, false, b"two")]);
    let close = frame(0x88, false, &close_body(1000, "bye"));
    (0..=rest.len()).any(|at| {
        let (before, after) = (rest[..at].concat(), rest[at..].concat());
        output == [&*before, &pong, &after, &close].concat()
    })
}

fn accept(stream: Memory) -> Result<WebSocket<Memory>, AcceptError<Memory>> {
    Server::new().config(patient()).accept_stream(WrappedStream::new(stream, |_| None))
}

fn upgraded(stream: Memory, config: Config) -> WebSocket<Memory> {
    let connection = Connection::server(Instant::ZERO, config, Outbox::new());
    WebSocket::from_parts(stream, |_| None, connection, Inbox::empty())
}

/// Echoes messages until the connection has ended, and continues after errors. Returns the outcome and the errors.
fn echo_to_the_end(ws: &mut WebSocket<Memory>) -> (Outcome, Vec<ErrorKind>) {
    let mut errors = Vec::new();
    loop {
        match ws.next_event() {
            Ok(Some((Event::Text(text), mut answer))) => answer.send_text(text).unwrap(),
            Ok(Some((Event::Closed(outcome), _))) => {
                assert!(ws.next_event().unwrap().is_none());
                return (outcome, errors);
            }
            Ok(Some(_)) => {}
            Ok(None) => panic!("`next_event` returned `None` before `Closed`"),
            Err(Error::Io(error)) => errors.push(error.kind()),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn short_reads_short_writes_and_interruptions_lose_nothing() {
    timed(|| {
        let all = [REQUEST.as_bytes(), &client_bytes()].concat();
        let opened = response(REQUEST.as_bytes());
        for step in [1, 2, 3, 7, 100, usize::MAX] {
            for interrupts in [false, true] {
                for held_back in [None, Some(Vec::new())] {
                    let stream = Memory::new(&all).with(|script| {
                        (script.step, script.interrupts, script.held_back) = (step, interrupts, held_back);
                    });
                    let mut ws = accept(stream.clone()).unwrap();
                    let (outcome, errors) = echo_to_the_end(&mut ws);
                    assert_eq!((outcome, errors), (Outcome::Clean { code: CloseCode::NORMAL }, vec![]));
                    let output = stream.output();
                    assert!(is_answer(output.strip_prefix(&*opened).unwrap()), "{}", output.escape_ascii());
                }
            }
        }
    });
}

#[test]
fn a_session_makes_few_calls_of_the_stream() {
    let stream = Memory::new(&client_bytes());
    echo_to_the_end(&mut upgraded(stream.clone(), patient()));
    let script = stream.0.borrow();
    // Without a socket there is nothing to half-close, so the session ends after both Closes, without another read.
    assert_eq!(script.reads, 1);
    // Each of the four answers takes at most a write and a flush.
    assert!(script.calls <= 1 + 2 * 4, "{}", script.calls);
}

/// Each call of the session fails once with each kind of fault.
#[test]
fn a_fault_at_any_call_ends_the_session() {
    timed(|| {
        for step in [1, usize::MAX] {
            let new = || Memory::new(&client_bytes()).with(|script| script.step = step);
            let whole = new();
            echo_to_the_end(&mut upgraded(whole.clone(), patient()));
            let calls = whole.0.borrow().calls;
            for at in 1..=calls {
                for fault in [
                    Fault::Error(ErrorKind::ConnectionReset),
                    Fault::Error(ErrorKind::BrokenPipe),
                    Fault::Error(ErrorKind::Other),
                    Fault::Error(ErrorKind::Interrupted),
                    Fault::Error(ErrorKind::WouldBlock),
                    Fault::Zero,
                ] {
                    let stream = new().with(|script| script.fault = Some((at, fault)));
                    let mut ws = upgraded(stream.clone(), patient());
                    let (outcome, errors) = echo_to_the_end(&mut ws);
                    let output = stream.output();
                    match fault {
                        Fault::Error(ErrorKind::Interrupted | ErrorKind::WouldBlock) => {
                            // The error is transient, and nothing is lost.
                            assert_eq!(outcome, Outcome::Clean { code: CloseCode::NORMAL });
                            assert!(is_answer(&output), "{fault:?} at {at}: {}", output.escape_ascii());
                            assert!(errors.len() <= 1 && errors.iter().all(|kind| !is_permanent(*kind)));
                        }
                        _ => {
                            // At most one error is reported for reading and one for writing, and the session
                            // ends.
                            assert!(errors.len() <= 2, "{fault:?} at {at}: {errors:?}");
                            assert!(whole.output().starts_with(&output), "{fault:?} at {at}");
                        }
                    }
                }
            }
        }
    });
}

#[test]
fn a_fault_in_the_handshake_is_an_error() {
    timed(|| {
        for at in (1..400).step_by(3) {
            for fault in [Fault::Error(ErrorKind::ConnectionReset), Fault::Zero] {
                let new = |input: &[u8]| {
                    Memory::new(input).with(|script| (script.step, script.fault) = (1, Some((at, fault))))
                };
                match accept(new(REQUEST.as_bytes())) {
                    Ok(_) => assert!(at > REQUEST.len()),
                    Err(AcceptError::Io(_)) => {}
                    Err(error) => panic!("{error}"),
                }
                let opened = Client::new().open(new(b""), |_| None, "ws://a/");
                assert!(matches!(opened, Err(ConnectError::Io(_))), "{opened:?}");
            }
        }
    });
}

/// Each read returns one byte. The handshake timeout is zero, so it has passed after the first read.
#[test]
fn a_request_that_arrives_too_slowly_times_out() {
    let stream = Memory::new(REQUEST.as_bytes()).with(|script| script.step = 1);
    let server = Server::new().handshake_timeout(Some(ms(0)));
    match server.accept_stream(WrappedStream::new(stream.clone(), |_| None)) {
        Err(AcceptError::Rejected(rejection)) => assert_eq!(rejection.reason(), Reason::Timeout),
        other => panic!("{other:?}"),
    }
    assert!(stream.output().starts_with(b"HTTP/1.1 408 "));
    assert_eq!(stream.0.borrow().reads, 1);
}

#[test]
fn a_failed_write_does_not_hide_received_messages() {
    let stream = Memory::new(&client_bytes());
    let mut ws = upgraded(stream.clone(), patient());
    stream.clone().with(|script| script.fault = Some((1, Fault::Error(ErrorKind::BrokenPipe))));
    for _ in 0..3 {
        // The first error is kept and returned again. The stream is not called again.
        match ws.send_text("lost") {
            Err(Error::Io(error)) => assert_eq!(error.kind(), ErrorKind::BrokenPipe),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(ws.flush(), Err(Error::Io(_))));
    stream.clone().with(|script| script.fault = None);
    assert_eq!(ws.recv().unwrap(), Some("one".into()));
    assert_eq!(ws.recv().unwrap(), Some("two".into()));
    assert_eq!(ws.recv().unwrap(), None);
    assert!(stream.output().is_empty());
}

/// The stream is in non-blocking mode. Output that the stream did not accept is written later, and input is still read.
#[test]
fn nothing_is_lost_when_a_stream_would_block() {
    let stream = Memory::new(b"").with(|script| {
        (script.open, script.held_back) = (true, Some(Vec::new()));
    });
    let would_block =
        |error: Error| matches!(error, Error::Io(error) if error.kind() == ErrorKind::WouldBlock);
    let mut ws = upgraded(stream.clone(), Config::new());
    assert!(would_block(ws.next_event().unwrap_err()));

    // First the write fails, then only the flush.
    for later in [1, 2] {
        stream.clone().with(|script| {
            script.fault = Some((script.calls + later, Fault::Error(ErrorKind::WouldBlock)));
            script.output.clear();
        });
        assert!(would_block(ws.send_text("x").unwrap_err()));
        assert_eq!(stream.output(), b"");
        stream.clone().with(|script| script.input.extend(frame(0x81, true, b"y")));
        assert!(matches!(ws.next_event().unwrap(), Some((Event::Text("y"), _))));
        assert_eq!(stream.output(), frame(0x81, false, b"x"));
    }

    // Input is read although nothing can be written.
    stream.clone().with(|script| {
        script.fault = Some((script.calls + 1, Fault::Error(ErrorKind::WouldBlock)));
    });
    assert!(would_block(ws.send_text("x").unwrap_err()));
    stream.clone().with(|script| {
        script.fault = Some((script.calls + 1, Fault::Error(ErrorKind::WouldBlock)));
        script.input.extend(frame(0x81, true, b"y"));
    });
    assert!(matches!(ws.next_event().unwrap(), Some((Event::Text("y"), _))));
}

/// Without a socket a call cannot wait for a timer. Timers are handled when a call returns.
#[test]
fn timers_are_handled_without_a_socket() {
    let stream = Memory::new(b"").with(|script| script.open = true);
    let config =
        Config::new().ping_interval(Some(ms(0))).pong_timeout(Some(ms(0))).close_timeout(Some(ms(0)));
    let mut ws = upgraded(stream.clone(), config);
    let outcome = loop {
        match ws.next_event() {
            Ok(Some((Event::Closed(outcome), _))) => break outcome,
            Ok(Some(_)) => {}
            Err(Error::Io(error)) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                std::thread::yield_now();
                stream.clone().with(|script| script.calls = 0);
            }
            other => panic!("{other:?}"),
        }
    };
    assert!(matches!(outcome, Outcome::TimedOut(_)), "{outcome:?}");
}

#[test]
fn an_end_without_a_close_reports_its_position() {
    let whole = frame(0x82, true, b"abc");
    for (bytes, cut) in [
        (whole.clone(), EofPosition::BetweenMessages),
        (frame(0x02, true, b"abc"), EofPosition::InMessage),
        (whole[..5].to_vec(), EofPosition::InFrame),
    ] {
        let (outcome, errors) = echo_to_the_end(&mut upgraded(Memory::new(&bytes), Config::new()));
        assert_eq!((outcome, errors), (Outcome::Abnormal(cut), vec![]));
    }
}

/// A large message is read directly into its buffer, in many reads or in few.
#[test]
fn large_messages_arrive_in_any_pieces() {
    timed(|| {
        let payload: Vec<u8> = (0..1_u32 << 20).map(|i| i as u8).collect();
        let bytes = [frame(0x82, true, &payload), frame(0x81, true, b"end")].concat();
        for step in [1000, 4095, 16 << 10, 100_000, usize::MAX] {
            let stream = Memory::new(&bytes).with(|script| script.step = step);
            let mut ws = upgraded(stream, Config::new());
            assert!(ws.recv().unwrap().unwrap().as_bytes() == payload, "{step}");
            assert_eq!(ws.recv().unwrap(), Some("end".into()));
        }
    });
}
