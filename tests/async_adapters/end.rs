//! Batched writes, the closing handshake and the end of a WebSocket.
//!
//! These tests check that replies are written together, which outcome each kind of end of a connection has, and which
//! errors the application sees. Faults of the stream at each call are tested in `faults.rs`, timeouts in
//! `liveness.rs` and `timers.rs`.

use std::future::poll_fn;
use std::pin::Pin;

use futures_sink::Sink;
use hybi::adapters::futures_io::Error;
use hybi::{CloseCode, Config, EofPosition, Event, Outcome, ReadyState, Role, SendError, TimerKind};

use super::support::*;

#[test]
fn echoes_of_messages_from_one_read_are_written_together() {
    let (_, mut ws, mut peer) = pair(Role::Server, Behavior::default(), patient());
    for n in 0..1000 {
        peer.connection.send_text(&n.to_string()).unwrap();
    }
    peer.say();
    let mut echo = Box::pin(async {
        while let Some((event, mut answer)) = ws.next_event().await.unwrap() {
            if let Event::Text(text) = event {
                answer.send_text(text).await.unwrap();
            }
        }
    });
    assert!(poll_once(echo.as_mut()).is_pending());
    assert_eq!(peer.end.state.lock().unwrap().writes_done, 1);
    peer.pump();
    assert_eq!(peer.messages().len(), 1000);
    drop(echo);
    assert_eq!(ws.buffered_amount(), 0);
}

#[test]
fn a_close_from_either_side_ends_clean() {
    for role in [Role::Server, Role::Client] {
        let (clock, mut ws, mut peer) = pair(role, Behavior::default(), Config::new());
        block_on(&clock, ws.close(CloseCode::GOING_AWAY, "bye")).unwrap();
        assert_eq!(ws.ready_state(), ReadyState::Closing);
        assert!(matches!(block_on(&clock, ws.send_text("late")), Err(Error::Send(SendError::Closed))));
        peer.pump();
        peer.end.end();
        assert_eq!(
            block_on(&clock, ws.wait_closed()).unwrap(),
            Outcome::Clean { code: CloseCode::GOING_AWAY }
        );
        peer.pump();
        assert_eq!(peer.heard, [Heard::Close(1001), Heard::Closed(true)]);
        assert!(peer.end.state.lock().unwrap().shut_down);

        let (clock, mut ws, mut peer) = pair(role, Behavior::default(), Config::new());
        peer.connection.close(hybi::Instant::ZERO, CloseCode::new(4000), "").unwrap();
        peer.say();
        block_on(&clock, async {
            let (event, mut answer) = ws.next_event().await.unwrap().unwrap();
            assert_eq!(heard(event), Heard::Close(4000));
            assert!(matches!(answer.send_text("late").await, Err(Error::Send(SendError::Closed))));
        });
        assert!(poll_once(ws.next_event()).is_pending());
        peer.pump();
        peer.end.end();
        assert!(block_on(&clock, ws.wait_closed()).unwrap().is_clean());
        assert_eq!(ws.outcome().unwrap().code(), CloseCode::new(4000));
    }
}

#[test]
fn an_end_without_a_close_is_abnormal() {
    let (clock, mut ws, peer) = pair(Role::Server, Behavior::default(), Config::new());
    peer.end.arrive(&[0x81]);
    peer.end.end();
    assert_eq!(block_on(&clock, ws.wait_closed()).unwrap(), Outcome::Abnormal(EofPosition::InFrame));
    assert!(block_on(&clock, ws.recv()).unwrap().is_none());
}

#[test]
fn a_protocol_error_is_returned_at_once_and_only_once() {
    let (clock, mut ws, mut peer) = pair(Role::Server, Behavior::default(), Config::new());
    peer.end.arrive(&[0x81, 0x01, b'a']);
    assert!(matches!(block_on(&clock, ws.recv()), Err(Error::Protocol(_))));
    peer.pump();
    assert_eq!(peer.heard[0], Heard::Close(1002));
    peer.end.end();
    assert!(block_on(&clock, ws.recv()).unwrap().is_none());
    assert!(matches!(ws.outcome(), Some(Outcome::Failed(_))));
}

#[test]
fn a_dropped_message_is_not_reported_as_written() {
    // The peer sends a Close while the second message is still queued. The WebSocket then drops this message.
    let behavior = Behavior { capacity: 4, ..Behavior::default() };
    for halves in [false, true] {
        let (clock, mut ws, mut peer) = pair(Role::Server, behavior.clone(), patient());
        let closes = |peer: &mut Peer| {
            peer.connection.close(hybi::Instant::ZERO, CloseCode::NORMAL, "").unwrap();
            peer.say();
        };
        let lost = |result| matches!(result, Err(Error::Send(SendError::Closed)));
        let takes = |peer: &Peer| while !peer.end.take_written().is_empty() {};
        if halves {
            let (mut reader, mut writer) = ws.split();
            assert!(poll_once(writer.send_text("begun")).is_pending());
            assert!(poll_once(writer.feed("lost")).is_ready());
            closes(&mut peer);
            assert!(poll_once(reader.next_event()).is_ready());
            assert!(poll_once(writer.flush()).is_pending());
            for _ in 0..10 {
                takes(&peer);
                let _ = poll_once(reader.next_event());
            }
            assert!(lost(block_on(&clock, writer.flush())));
            assert!(lost(block_on(&clock, poll_fn(|cx| Pin::new(&mut writer).poll_flush(cx)))));
        } else {
            assert!(poll_once(ws.send_text("begun")).is_pending());
            assert!(poll_once(ws.feed("lost")).is_ready());
            closes(&mut peer);
            assert!(poll_once(ws.next_event()).is_ready());
            for _ in 0..10 {
                takes(&peer);
                let _ = poll_once(ws.next_event());
            }
            assert!(lost(block_on(&clock, ws.flush())));
            assert!(lost(block_on(&clock, poll_fn(|cx| Pin::new(&mut ws).poll_flush(cx)))));
        }
    }
}

#[test]
fn a_websocket_continues_after_into_parts_and_from_parts() {
    let (clock, mut ws, mut peer) = pair(Role::Server, Behavior::default(), patient());
    for text in ["one", "two"] {
        peer.connection.send_text(text).unwrap();
    }
    peer.say();
    assert_eq!(block_on(&clock, ws.recv()).unwrap(), Some("one".into()));
    let (stream, connection, inbox) = ws.into_parts();
    let mut ws = Ws::from_parts(stream, clock.clone(), connection, inbox);
    assert_eq!(block_on(&clock, ws.recv()).unwrap(), Some("two".into()));
    let (mut reader, mut writer) = ws.split();
    peer.connection.send_text("three").unwrap();
    peer.say();
    assert_eq!(block_on(&clock, reader.recv()).unwrap(), Some("three".into()));
    block_on(&clock, writer.send_text("four")).unwrap();
    peer.pump();
    assert_eq!(peer.heard, [Heard::Text("four".into())]);
}

/// Services put their errors into the reason of a Close. The application can read the reason without handling events.
#[test]
fn s7_1_6_the_reason_of_the_peers_close_is_available_at_the_end() {
    for halves in [false, true] {
        let (clock, mut ws, mut peer) = pair(Role::Client, Behavior::default(), patient());
        assert_eq!(ws.peer_close(), None);
        peer.connection.close(hybi::Instant::ZERO, CloseCode::new(4400), "bad token").unwrap();
        peer.say();
        peer.end.end();
        let (ended, close) = if halves {
            let (mut reader, _writer) = ws.split();
            (block_on(&clock, reader.recv()).unwrap(), reader.peer_close())
        } else {
            (block_on(&clock, ws.recv()).unwrap(), ws.peer_close())
        };
        assert_eq!(ended, None);
        let close = close.unwrap();
        assert_eq!((close.code_seen().get(), close.reason.as_str()), (4400, "bad token"));
    }
}

/// With `error_on_abnormal_end`, a loop over messages can tell a Close of the peer from a broken stream.
#[test]
fn s7_1_5_an_abnormal_end_is_an_error_if_configured() {
    use hybi::adapters::futures_io::Error;
    for (closes, asks, halves) in [
        (false, false, false),
        (false, true, false),
        (false, true, true),
        (true, true, false),
        (true, true, true),
    ] {
        let (clock, mut ws, mut peer) = pair(Role::Client, Behavior::default(), patient());
        ws.error_on_abnormal_end(asks);
        peer.connection.send_text("one").unwrap();
        if closes {
            peer.connection.close(hybi::Instant::ZERO, CloseCode::NORMAL, "").unwrap();
        }
        peer.say();
        peer.end.end();
        let received = if halves {
            let (mut reader, _writer) = ws.split();
            block_on(&clock, async { [reader.recv().await, reader.recv().await, reader.recv().await] })
        } else {
            block_on(&clock, async { [ws.recv().await, ws.recv().await, ws.recv().await] })
        };
        let [first, second, third] = received;
        assert_eq!(first.unwrap(), Some("one".into()));
        if asks && !closes {
            assert!(matches!(second, Err(Error::Ended(outcome)) if !outcome.is_clean()), "{second:?}");
        } else {
            assert_eq!(second.unwrap(), None);
        }
        assert_eq!(third.unwrap(), None);
    }
}

/// The stream accepted our Close but holds it back, as TLS libraries do while their socket is full. The Close has
/// not been sent.
#[test]
fn s7_1_4_an_end_is_not_clean_while_the_stream_holds_our_close_back() {
    for role in [Role::Server, Role::Client] {
        for halves in [false, true] {
            let config = Config::new().close_timeout(Some(ms(5000))).end_timeout(Some(ms(1000)));
            let behavior = Behavior { never_flushed: true, ..Behavior::default() };
            let (clock, mut ws, mut peer) = pair(role, behavior, config);
            assert!(poll_once(ws.close(CloseCode::NORMAL, "")).is_pending());
            peer.pump();
            let outcome = if halves {
                let (mut reader, _writer) = ws.split();
                block_on(&clock, reader.wait_closed())
            } else {
                block_on(&clock, ws.wait_closed())
            };
            assert_eq!(outcome.unwrap(), Outcome::TimedOut(TimerKind::Close), "{role:?}, {halves}");
            assert_eq!(clock.seconds(), 5);
        }
    }
}

/// By RFC 6455 7.1.4 a connection is closed cleanly if both Closes were sent. A peer that sends a Close and at once
/// ends its direction of the stream may still read our Close.
#[test]
fn s7_1_4_a_peer_that_closes_and_ends_the_stream_ends_clean_if_our_close_is_sent() {
    // Runs a closing handshake over a stream with `behavior`. If `own` is set, the WebSocket has queued a Close
    // before it reads the peer's Close. Returns the outcome, whether the peer received our Close, and the number of
    // calls of the stream.
    let ends = |role: Role, behavior: Behavior, halves: bool, own: bool| {
        let (clock, mut ws, mut peer) = pair(role, behavior, Config::new());
        if own {
            let mut sink = Pin::new(&mut ws);
            assert!(poll_once(poll_fn(|cx| sink.as_mut().poll_ready(cx))).is_ready());
            ws.responder().close(CloseCode::GOING_AWAY, "").unwrap();
        }
        peer.connection.close(hybi::Instant::ZERO, CloseCode::new(4000), "").unwrap();
        peer.say();
        peer.end.end();
        ws.error_on_abnormal_end(true);
        let (outcome, received) = block_on(&clock, async {
            if halves {
                let (mut reader, _writer) = ws.split();
                while reader.outcome().is_none() {
                    let _ = reader.wait_closed().await;
                }
                (reader.outcome().unwrap(), reader.recv().await)
            } else {
                while ws.outcome().is_none() {
                    let _ = ws.wait_closed().await;
                }
                (ws.outcome().unwrap(), ws.recv().await)
            }
        });
        // A Close of the peer was read, so all messages before it have arrived.
        let complete = matches!(outcome, Outcome::Clean { .. } | Outcome::Unanswered { .. });
        assert_eq!(received.is_ok(), complete, "{outcome:?}, {received:?}");
        let calls = peer.end.state.lock().unwrap().calls;
        let written = peer.end.take_written();
        peer.take_in(&written);
        (outcome, peer.heard.iter().any(|heard| matches!(heard, Heard::Close(_))), calls)
    };
    let code = CloseCode::new(4000);
    for (role, halves) in
        [Role::Server, Role::Client].into_iter().flat_map(|role| [(role, false), (role, true)])
    {
        for own in [false, true] {
            let (outcome, answered, calls) = ends(role, Behavior::default(), halves, own);
            assert_eq!((outcome, answered), (Outcome::Clean { code }, true));
            let mut unanswered = 0;
            for at in 0..calls {
                for fault in [Fault::Reset, Fault::Zero] {
                    let behavior = Behavior { fault: Some((at, fault)), ..Behavior::default() };
                    let (outcome, answered, _) = ends(role, behavior, halves, own);
                    let what =
                        format!("{role:?}, halves {halves}, own {own}, {fault:?} at {at}: {outcome:?}");
                    assert!(answered || !outcome.is_clean(), "{what}");
                    if at > 1 {
                        // The peer's Close was read before the fault.
                        let expected = [Outcome::Clean { code }, Outcome::Unanswered { code }];
                        assert!(expected.contains(&outcome), "{what}");
                    }
                    unanswered += usize::from(outcome == Outcome::Unanswered { code });
                }
            }
            assert!(unanswered > 0);
            let behavior = Behavior { capacity: 0, ..Behavior::default() };
            let (outcome, answered, _) = ends(role, behavior, halves, own);
            assert_eq!((outcome, answered), (Outcome::TimedOut(TimerKind::Close), false));
        }
    }
}
