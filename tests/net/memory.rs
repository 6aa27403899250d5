//! Streams in memory that do anything a stream may do, at any call.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::rc::Rc;

use hybi::adapters::net::{AcceptError, Acceptance, Client, ConnectError, Error, Server, WebSocket};
use hybi::handshake::Reason;
use hybi::{CloseCode, Config, Connection, EofPosition, Event, Inbox, Instant, Outbox, Outcome};

use crate::common::*;

/// What happens to a call.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Fault {
    Error(ErrorKind),
    /// The end of the input; a write of nothing.
    Zero,
}

/// The peer's bytes, and what becomes of each call.
#[derive(Debug, Default)]
struct Script {
    input: VecDeque<u8>,
    /// What has arrived at the peer.
    output: Vec<u8>,
    /// What was written and not flushed, if the stream does that.
    held_back: Option<Vec<u8>>,
    /// At most so many bytes a call.
    step: usize,
    /// Every other call is interrupted.
    interrupts: bool,
    /// Once, or from there on if it is not a thing that passes.
    fault: Option<(usize, Fault)>,
    /// There is no more input, but the peer is still there: a read would block.
    open: bool,
    reads: usize,
    calls: usize,
}

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
    fn call(&mut self) -> io::Result<Option<()>> {
        self.calls += 1;
        assert!(self.calls < 100_000, "it turns in circles");
        if self.interrupts && self.calls % 2 == 1 {
            return Err(ErrorKind::Interrupted.into());
        }
        match self.fault {
            Some((at, Fault::Error(kind))) if at == self.calls || at < self.calls && lasts(kind) => {
                Err(kind.into())
            }
            Some((at, Fault::Zero)) if at <= self.calls => Ok(None),
            _ => Ok(Some(())),
        }
    }
}

fn lasts(kind: ErrorKind) -> bool {
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

/// What a client sends in the session that is played: two messages, one of them in fragments with a Ping in
/// between, and a Close.
fn said() -> Vec<u8> {
    [
        frame(0x81, true, b"one"),
        frame(0x01, true, b"t"),
        frame(0x89, true, b"?"),
        frame(0x80, true, b"wo"),
        frame(0x88, true, &close_body(1000, "bye")),
    ]
    .concat()
}

/// Whether `output` is what it is answered. The Pong may overtake.
fn is_answer(output: &[u8]) -> bool {
    let (pong, rest) = (frame(0x8A, false, b"?"), [frame(0x81, false, b"one"), frame(0x81, false, b"two")]);
    let close = frame(0x88, false, &close_body(1000, "bye"));
    (0..=rest.len()).any(|at| {
        let (before, behind) = (rest[..at].concat(), rest[at..].concat());
        output == [&*before, &pong, &behind, &close].concat()
    })
}

fn accept(stream: Memory) -> Result<WebSocket<Memory>, AcceptError<Memory>> {
    Server::new().config(patient()).accept_over(stream, |_| None, |_| Ok(Acceptance::default()))
}

fn upgraded(stream: Memory, config: Config) -> WebSocket<Memory> {
    let connection = Connection::server(Instant::ZERO, config, Outbox::new());
    WebSocket::from_parts(stream, |_| None, connection, Inbox::empty())
}

/// Echoes to the end, over errors; gives the outcome and the errors.
fn play(ws: &mut WebSocket<Memory>) -> (Outcome, Vec<ErrorKind>) {
    let mut errors = Vec::new();
    loop {
        match ws.next() {
            Ok(Some((Event::Text(text), mut answer))) => answer.send_text(text).unwrap(),
            Ok(Some((Event::Closed(outcome), _))) => {
                assert!(ws.next().unwrap().is_none());
                return (outcome, errors);
            }
            Ok(Some(_)) => {}
            Ok(None) => panic!("no end was told"),
            Err(Error::Io(error)) => errors.push(error.kind()),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn short_reads_short_writes_and_interruptions() {
    timed(|| {
        let all = [REQUEST.as_bytes(), &said()].concat();
        let opened = response(REQUEST.as_bytes());
        for step in [1, 2, 3, 7, 100, usize::MAX] {
            for interrupts in [false, true] {
                for held_back in [None, Some(Vec::new())] {
                    let stream = Memory::new(&all).with(|script| {
                        (script.step, script.interrupts, script.held_back) = (step, interrupts, held_back);
                    });
                    let mut ws = accept(stream.clone()).unwrap();
                    let (outcome, errors) = play(&mut ws);
                    assert_eq!((outcome, errors), (Outcome::Clean { code: CloseCode::NORMAL }, vec![]));
                    let output = stream.output();
                    assert!(is_answer(output.strip_prefix(&*opened).unwrap()), "{}", output.escape_ascii());
                }
            }
        }
    });
}

#[test]
fn what_can_be_done_is_done_with_few_calls() {
    let stream = Memory::new(&said());
    play(&mut upgraded(stream.clone(), patient()));
    let script = stream.0.borrow();
    // There is no socket whose half could be closed, so it ends with the Close.
    assert_eq!(script.reads, 1);
    assert!(script.calls <= 1 + 2 * 4, "{}", script.calls);
}

/// Every call fails, in every way.
#[test]
fn a_fault_at_every_call() {
    timed(|| {
        for step in [1, usize::MAX] {
            let new = || Memory::new(&said()).with(|script| script.step = step);
            let whole = new();
            play(&mut upgraded(whole.clone(), patient()));
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
                    let (outcome, errors) = play(&mut ws);
                    let output = stream.output();
                    match fault {
                        Fault::Error(ErrorKind::Interrupted | ErrorKind::WouldBlock) => {
                            // It passes, and nothing is lost.
                            assert_eq!(outcome, Outcome::Clean { code: CloseCode::NORMAL });
                            assert!(is_answer(&output), "{fault:?} at {at}: {}", output.escape_ascii());
                            assert!(errors.len() <= 1 && errors.iter().all(|kind| !lasts(*kind)));
                        }
                        _ => {
                            // It is told, once for reading and once for writing, and comes to an end.
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
fn a_fault_in_the_handshake() {
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

/// One byte more each time, but too late.
#[test]
fn a_request_that_trickles() {
    let stream = Memory::new(REQUEST.as_bytes()).with(|script| script.step = 1);
    let server = Server::new().handshake_timeout(Some(ms(0)));
    match server.accept_over(stream.clone(), |_| None, |_| Ok(Acceptance::default())) {
        Err(AcceptError::Rejected(rejection)) => assert_eq!(rejection.reason(), Reason::Timeout),
        other => panic!("{other:?}"),
    }
    assert!(stream.output().starts_with(b"HTTP/1.1 408 "));
    assert_eq!(stream.0.borrow().reads, 1);
}

#[test]
fn a_writer_that_fails_does_not_hide_what_came_in() {
    let stream = Memory::new(&said());
    let mut ws = upgraded(stream.clone(), patient());
    stream.clone().with(|script| script.fault = Some((1, Fault::Error(ErrorKind::BrokenPipe))));
    for _ in 0..3 {
        // It stays an error, and the stream is left alone.
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

/// A stream that does not block: what it does not take now goes out later, and what it has is read meanwhile.
#[test]
fn a_stream_that_would_block() {
    let stream = Memory::new(b"").with(|script| {
        (script.open, script.held_back) = (true, Some(Vec::new()));
    });
    let would_block =
        |error: Error| matches!(error, Error::Io(error) if error.kind() == ErrorKind::WouldBlock);
    let mut ws = upgraded(stream.clone(), Config::new());
    assert!(would_block(ws.next().unwrap_err()));

    // The write fails, then only the flush.
    for later in [1, 2] {
        stream.clone().with(|script| {
            script.fault = Some((script.calls + later, Fault::Error(ErrorKind::WouldBlock)));
            script.output.clear();
        });
        assert!(would_block(ws.send_text("x").unwrap_err()));
        assert_eq!(stream.output(), b"");
        stream.clone().with(|script| script.input.extend(frame(0x81, true, b"y")));
        assert!(matches!(ws.next().unwrap(), Some((Event::Text("y"), _))));
        assert_eq!(stream.output(), frame(0x81, false, b"x"));
    }

    // What is there is read although nothing can be written.
    stream.clone().with(|script| {
        script.fault = Some((script.calls + 1, Fault::Error(ErrorKind::WouldBlock)));
    });
    assert!(would_block(ws.send_text("x").unwrap_err()));
    stream.clone().with(|script| {
        script.fault = Some((script.calls + 1, Fault::Error(ErrorKind::WouldBlock)));
        script.input.extend(frame(0x81, true, b"y"));
    });
    assert!(matches!(ws.next().unwrap(), Some((Event::Text("y"), _))));
}

/// Timers of a stream without a socket are looked at when a call returns.
#[test]
fn timers_without_a_socket() {
    let stream = Memory::new(b"").with(|script| script.open = true);
    let config =
        Config::new().ping_interval(Some(ms(0))).pong_timeout(Some(ms(0))).close_timeout(Some(ms(0)));
    let mut ws = upgraded(stream.clone(), config);
    let outcome = loop {
        match ws.next() {
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
fn each_cut() {
    let whole = frame(0x82, true, b"abc");
    for (bytes, cut) in [
        (whole.clone(), EofPosition::BetweenMessages),
        (frame(0x02, true, b"abc"), EofPosition::InMessage),
        (whole[..5].to_vec(), EofPosition::InFrame),
    ] {
        let (outcome, errors) = play(&mut upgraded(Memory::new(&bytes), Config::new()));
        assert_eq!((outcome, errors), (Outcome::Abnormal(cut), vec![]));
    }
}

/// A large message is read to where it is delivered, in many reads or in few.
#[test]
fn large_messages_in_any_pieces() {
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
