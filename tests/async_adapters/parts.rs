//! `into_parts` and `from_parts`, and streams that report wrong counts.
//!
//! A WebSocket can be taken apart into its stream, connection and inbox, and be continued with another clock. No
//! accepted or received byte may be lost, and a failed write must be remembered. A stream that claims to have
//! moved more bytes than it was given must cause an error.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};
use hybi::adapters::futures_io::{Error, Timer as _, WebSocket};
use hybi::{CloseCode, Config, Inbox, Outcome, Role};

use super::support::*;

/// Takes a WebSocket apart, and continues it with another clock that begins at zero.
fn again(ws: Ws) -> (Clock, Ws) {
    let (stream, connection, inbox) = ws.into_parts();
    let clock = Clock::default();
    (clock.clone(), WebSocket::from_parts(stream, clock, connection, inbox))
}

#[test]
fn s5_5_2_timers_continue_with_another_clock() {
    for age in [3, 3600, 1_000_000] {
        let config = Config::new().ping_interval(Some(ms(300))).pong_timeout(None);
        let (clock, mut ws, mut peer) = pair(Role::Server, Behavior::default(), config);
        // The connection receives a message `age` seconds after the start, so its timers do not start at zero.
        clock.advance(ms(age * 1000));
        peer.connection.send_text("x").unwrap();
        peer.say();
        assert_eq!(block_on(&clock, ws.recv()).unwrap(), Some("x".into()));
        peer.pump();
        peer.heard.clear();

        let (clock, mut ws) = again(ws);
        assert!(poll_once(ws.recv()).is_pending());
        clock.advance(ms(300));
        assert!(poll_once(ws.recv()).is_pending());
        peer.pump();
        assert!(matches!(peer.heard[..], [Heard::Ping(_)]), "{:?} at an age of {age} s", peer.heard);
    }
}

#[test]
fn s7_1_1_a_running_close_timer_continues_with_another_clock() {
    let (clock, mut ws, _peer) = pair(Role::Client, Behavior::default(), Config::new());
    clock.advance(ms(3_600_000));
    block_on(&clock, ws.close(CloseCode::NORMAL, "")).unwrap();
    let (clock, mut ws) = again(ws);
    assert!(matches!(block_on(&clock, ws.wait_closed()).unwrap(), Outcome::TimedOut(_)));
    assert_eq!(clock.now().since_origin(), ms(10_000));
}

/// The WebSocket is taken apart after the peer has read `taken` bytes. The values of `taken` lie at many places in the
/// frames. If `keeps` is set, the stream has stored the bytes of a write that returned `Pending`.
#[test]
fn s5_4_no_accepted_message_is_lost_by_into_parts() {
    for keeps in [false, true] {
        for taken in (0..40).chain((40..30_000).step_by(1997)) {
            let behavior = Behavior { capacity: 10, keeps, ..Behavior::default() };
            let (_, mut ws, mut peer) = pair(Role::Server, behavior, patient());
            for n in 0..3 {
                let _ = poll_once(ws.send(letters(10_000 + n)));
            }
            let mut left = taken;
            while left > 0 {
                let some = peer.end.take_some(left.min(10));
                left -= some.len();
                peer.take_in(&some);
                let _ = poll_once(ws.flush());
                if some.is_empty() {
                    break;
                }
            }
            let (_clock, mut ws) = again(ws);
            let expected: Vec<_> = (0..3).map(|n| Heard::Text(letters(10_000 + n))).collect();
            let mut turns = 0;
            while peer.messages().len() < 3 {
                let _ = poll_once(ws.flush());
                peer.pump();
                turns += 1;
                assert!(turns < 10_000, "messages are missing: {taken} bytes were taken");
            }
            assert_eq!(peer.messages(), expected);
        }
    }
}

/// A send that waits for space also reads. After `into_parts`, the bytes that the send has read are in the inbox.
#[test]
fn s5_4_bytes_read_ahead_are_in_the_parts() {
    let behavior = Behavior { capacity: 10, ..Behavior::default() };
    let (_, mut ws, mut peer) = pair(Role::Server, behavior, patient());
    for n in 0..5 {
        peer.connection.send_text(&letters(n * 3000)).unwrap();
    }
    peer.say();
    assert!(poll_once(ws.send(letters(1000))).is_pending());
    assert_eq!(peer.end.unread(), 0, "the waiting send did not read all input");
    let (clock, mut ws) = again(ws);
    for n in 0..5 {
        assert_eq!(block_on(&clock, ws.recv()).unwrap(), Some(letters(n * 3000).into()));
    }
}

/// A stream that claims to have moved more bytes than it was given.
#[derive(Debug)]
pub struct Liar {
    pub reads: bool,
}

impl AsyncRead for Liar {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, to: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.reads { Poll::Ready(Ok(to.len() + 1)) } else { Poll::Pending }
    }
}

impl AsyncWrite for Liar {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        if self.reads { Poll::Ready(Ok(from.len())) } else { Poll::Ready(Ok(from.len() + 1)) }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn a_stream_that_reports_too_many_bytes_is_an_error() {
    let lied = |result: Result<(), Error>| match result {
        Err(Error::Io(error)) => {
            assert_eq!(error.kind(), ErrorKind::InvalidData);
            assert!(error.to_string().contains("has a bug"), "{error}");
        }
        other => panic!("{other:?}"),
    };
    for halves in [false, true] {
        let clock = Clock::default();
        let start = |reads| {
            let connection = connection(Role::Server, patient());
            WebSocket::from_parts(Liar { reads }, clock.clone(), connection, Inbox::empty())
        };
        if halves {
            let (mut reader, _writer) = start(true).split();
            lied(block_on(&clock, reader.recv()).map(|_| ()));
            let (_reader, mut writer) = start(false).split();
            let sent = block_on(&clock, writer.send("x"));
            assert!(matches!(sent, Err(Error::Io(_))), "{sent:?}");
        } else {
            lied(block_on(&clock, start(true).recv()).map(|_| ()));
            lied(block_on(&clock, start(false).send("x")));
            // Another function writes a large payload, without copying it.
            let mut ws = start(false);
            let sent = block_on(&clock, ws.send_binary(&[0; 100_000]));
            assert!(matches!(sent, Err(Error::Io(_))), "{sent:?}");
        }
    }
    // The handshake checks the count as well.
    let server = hybi::adapters::futures_io::Server::with_timer(Clock::default());
    let clock = Clock::default();
    let accepted = block_on(&clock, server.accept(Liar { reads: true }));
    assert!(accepted.is_err());
}

/// The stream never accepts the answer to the peer's Close. So the outcome is not clean.
#[test]
fn s7_1_4_an_end_is_not_clean_if_the_stream_never_accepts_our_close() {
    for (keeps, halves) in [(false, false), (false, true), (true, false), (true, true)] {
        let behavior = Behavior { capacity: 100, keeps, ..Behavior::default() };
        let (clock, mut ws, mut peer) = pair(Role::Server, behavior, Config::new());
        // The pipe is full, and nothing is read from it any more.
        assert!(poll_once(ws.send(vec![0; 98])).is_ready());
        peer.connection.close(hybi::Instant::ZERO, CloseCode::NORMAL, "").unwrap();
        peer.say();
        peer.end.end();
        let outcome = if halves {
            let (mut reader, _writer) = ws.split();
            block_on(&clock, reader.wait_closed())
        } else {
            block_on(&clock, ws.wait_closed())
        };
        assert_eq!(
            outcome.unwrap(),
            Outcome::TimedOut(hybi::TimerKind::Close),
            "keeps: {keeps}, halves: {halves}"
        );
    }
}

#[test]
fn s5_6_the_queue_is_bounded_by_high_water_and_one_message() {
    for keeps in [false, true] {
        let behavior = Behavior { capacity: 100, keeps, ..Behavior::default() };
        let (_, mut ws, _peer) = pair(Role::Server, behavior, patient().high_water(1000));
        let mut waits = 0;
        for _ in 0..100 {
            let _ = poll_once(ws.send(letters(400)));
            waits = waits.max(ws.buffered_amount());
        }
        assert!((1000..1000 + 404).contains(&waits), "{waits} bytes wait");
    }
}

#[test]
fn a_failed_write_is_remembered_in_the_parts() {
    for (keeps, through) in [(false, false), (false, true), (true, false), (true, true)] {
        // The fault affects the first call of the stream.
        let behavior = Behavior { keeps, fault: Some((0, Fault::Reset)), ..Behavior::default() };
        let (clock, mut ws, mut peer) = pair(Role::Server, behavior, patient());
        let sent =
            if through { block_on(&clock, ws.send_text("lost")) } else { block_on(&clock, ws.send("lost")) };
        assert!(matches!(sent, Err(Error::Io(_))), "{sent:?}");
        // The peer may have received any part of the message, so nothing may be written after it.
        peer.end.state.lock().unwrap().broken = false;
        peer.connection.send_text("still there").unwrap();
        peer.say();
        let mut clock = clock;
        for _ in 0..2 {
            (clock, ws) = again(ws);
            let failed =
                |result| matches!(result, Err(Error::Io(error)) if error.kind() == ErrorKind::BrokenPipe);
            assert!(failed(block_on(&clock, ws.send_text("x"))));
            assert!(failed(block_on(&clock, ws.flush())));
            assert!(ws.connection().sender().has_write_failed());
        }
        assert_eq!(block_on(&clock, ws.recv()).unwrap(), Some("still there".into()));
        let (clock, ws) = again(ws);
        let (mut reader, mut writer) = ws.split();
        assert!(matches!(block_on(&clock, writer.send_text("x")), Err(Error::Io(_))));
        peer.end.end();
        assert!(!block_on(&clock, reader.wait_closed()).unwrap().is_clean());
        assert_eq!(peer.end.take_written(), []);
    }
}
