//! Tests of how a connection of the blocking adapter ends.
//!
//! These tests cover the closing handshake over TCP, resets, protocol errors, and the end of the stream without a
//! Close. They also cover peers that half-close the stream but do not read. Silent peers are tested in `liveness.rs`.

use std::thread;

use hybi::adapters::net::{Client, Error, Server};
use hybi::{
    CloseCode, Config, EofPosition, Event, Inbox, Message, Outcome, ProtocolError, ReadyState, SendError,
    TimerKind, TransportAction,
};

use crate::common::*;
use crate::virtual_stream::*;

const CLEAN: Outcome = Outcome::Clean { code: CloseCode::NORMAL };

/// Receives until the connection has ended. Returns the code and reason of the peer's Close, and the outcome.
fn closing<S>(ws: &mut Ws<S>) -> (Option<CloseCode>, String, Outcome) {
    let (mut code, mut reason, mut outcome) = (None, String::new(), None);
    while let Some((event, mut answer)) = ws.next_event().unwrap() {
        match event {
            Event::CloseReceived { code: seen, reason: reason_text } => {
                (code, reason) = (seen, reason_text.to_string());
                assert!(matches!(answer.send_text("late"), Err(Error::Send(SendError::Closed))));
            }
            Event::Closed(end) => outcome = Some(end),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(ws.ready_state(), ReadyState::Closed);
    assert!(ws.next_event().unwrap().is_none());
    assert_eq!(ws.wait_closed().unwrap(), outcome.unwrap());
    (code, reason, outcome.unwrap())
}

#[test]
fn a_close_from_either_side_is_echoed() {
    timed(|| {
        for by_client in [true, false] {
            for (code, reason) in [
                (Some(CloseCode::NORMAL), "bye"),
                (Some(CloseCode::new(4321)), "gr\u{fc}\u{df}e"),
                (Some(CloseCode::GOING_AWAY), ""),
                (None, ""),
            ] {
                let (server, client) = tcp_pair_of(Server::new(), &Client::new());
                let (mut closer, mut other) = if by_client { (client, server) } else { (server, client) };
                let other = thread::spawn(move || closing(&mut other));
                assert_eq!(closer.ready_state(), ReadyState::Open);
                closer.close(code, reason).unwrap();
                assert_eq!(closer.ready_state(), ReadyState::Closing);
                assert!(matches!(closer.close(None, ""), Err(Error::Send(SendError::Closed))));
                assert!(matches!(closer.send_text("late"), Err(Error::Send(SendError::Closed))));
                let outcome = Outcome::Clean { code: code.unwrap_or(CloseCode::NO_STATUS) };
                // RFC 6455 5.5.1: the answer echoes the code, and here also the reason.
                assert_eq!(closing(&mut closer), (code, reason.to_owned(), outcome));
                assert_eq!(other.join().unwrap(), (code, reason.to_owned(), outcome));
            }
        }
    });
}

#[test]
fn simultaneous_closes_end_clean() {
    timed(|| {
        let (mut server, mut client) = pair();
        server.close(CloseCode::GOING_AWAY, "from the server").unwrap();
        client.close(CloseCode::NORMAL, "from the client").unwrap();
        let server = thread::spawn(move || closing(&mut server));
        let (code, reason, outcome) = closing(&mut client);
        assert_eq!((code, &*reason), (Some(CloseCode::GOING_AWAY), "from the server"));
        assert_eq!(outcome, Outcome::Clean { code: CloseCode::GOING_AWAY });
        let (code, reason, outcome) = server.join().unwrap();
        assert_eq!((code, &*reason), (Some(CloseCode::NORMAL), "from the client"));
        assert_eq!(outcome, CLEAN);
    });
}

#[test]
fn invalid_close_arguments_are_refused() {
    timed(|| {
        let (_server, mut client) = pair();
        for code in [1005, 1006, 1015, 999, 5000, 1004] {
            let refused = client.close(CloseCode::new(code), "").unwrap_err();
            assert!(matches!(refused, Error::Send(SendError::CodeNotAllowed)), "{code}");
        }
        let long = client.close(CloseCode::NORMAL, "x".repeat(124)).unwrap_err();
        assert!(matches!(long, Error::Send(SendError::ReasonTooLong)));
        assert!(matches!(client.close(None, "why"), Err(Error::Send(SendError::CodeNotAllowed))));
        assert_eq!(client.ready_state(), ReadyState::Open);
        client.close(CloseCode::NORMAL, "x".repeat(123)).unwrap();
    });
}

/// The registry of close codes (RFC 6455 11.7) permits these codes to both roles.
#[test]
fn s7_4_a_client_may_send_codes_that_servers_mostly_send() {
    timed(|| {
        for code in [CloseCode::SERVICE_RESTART, CloseCode::TRY_AGAIN_LATER, CloseCode::BAD_GATEWAY] {
            let (mut server, mut client) = pair();
            client.close(code, "passed on").unwrap();
            let server = thread::spawn(move || closing(&mut server));
            assert_eq!(client.wait_closed().unwrap(), Outcome::Clean { code });
            let (seen, reason, outcome) = server.join().unwrap();
            assert_eq!((seen, &*reason, outcome), (Some(code), "passed on", Outcome::Clean { code }));
        }
    });
}

#[test]
fn messages_arrive_after_our_close() {
    timed(|| {
        let (mut server, mut client) = pair();
        client.close(CloseCode::NORMAL, "").unwrap();
        server.send_text("on its way").unwrap();
        let server = thread::spawn(move || server.wait_closed().unwrap());
        assert_eq!(client.recv().unwrap(), Some(Message::from("on its way")));
        assert_eq!(client.wait_closed().unwrap(), CLEAN);
        assert_eq!(server.join().unwrap(), CLEAN);
    });
}

/// The server half-closes TCP and reads the bytes that the client still sends. Closing a socket with unread input would
/// send a reset, which could destroy the Close before the peer reads it.
#[test]
fn a_reset_does_not_destroy_the_close_before_the_peer_reads_it() {
    timed(|| {
        let (address, thread) = serve(|stream| {
            let mut ws = Server::new().accept(stream).unwrap();
            ws.close(CloseCode::NORMAL, "enough").unwrap();
            ws.wait_closed().unwrap()
        });
        let mut raw = Raw::client(address);
        raw.write(&[frame(0x88, true, &close_body(1000, "")), vec![0; 1 << 20]].concat());
        assert_eq!(raw.frame(), (0x88, close_body(1000, "enough")));
        // The server has half-closed the stream, and the client can still write.
        assert_eq!(raw.rest(), b"");
        raw.write(&[0; 1 << 20]);
        drop(raw);
        assert_eq!(thread.join().unwrap(), CLEAN);
    });
}

#[test]
fn a_client_waits_for_the_server_to_close() {
    timed(|| {
        let (address, thread) = serve(|stream| {
            let mut raw = Raw::server(stream, &[]);
            assert_eq!(raw.frame(), (0x88, close_body(1000, "")));
            raw.send(0x88, &close_body(1000, ""));
            // The bytes after the Close are ignored.
            raw.write(b"\xff\xff\xff\xff");
            raw.half_close();
            assert_eq!(raw.rest(), b"");
        });
        let mut ws = Client::new().connect(&url(address)).unwrap();
        ws.close(CloseCode::NORMAL, "").unwrap();
        assert_eq!(ws.wait_closed().unwrap(), CLEAN);
        thread.join().unwrap();
    });
}

#[test]
fn the_end_of_the_stream_without_a_close_is_an_abnormal_end() {
    timed(|| {
        let whole = frame(0x81, true, b"abc");
        let begun = frame(0x01, true, b"abc");
        for (bytes, cut) in [
            (vec![], EofPosition::BetweenMessages),
            (whole.clone(), EofPosition::BetweenMessages),
            (begun.clone(), EofPosition::InMessage),
            (whole[..1].to_vec(), EofPosition::InFrame),
            (whole[..7].to_vec(), EofPosition::InFrame),
            ([begun, frame(0x80, true, b"abc")[..4].to_vec()].concat(), EofPosition::InFrame),
        ] {
            let (address, thread) = serve(|stream| {
                let mut ws = Server::new().accept(stream).unwrap();
                let outcome = ws.wait_closed().unwrap();
                assert_eq!(outcome.code(), CloseCode::ABNORMAL);
                outcome
            });
            let mut raw = Raw::client(address);
            raw.write(&bytes);
            raw.half_close();
            assert_eq!(raw.rest(), b"");
            assert_eq!(thread.join().unwrap(), Outcome::Abnormal(cut));
        }
    });
}

#[test]
fn a_reset_is_reported_as_an_error_once_and_ends_the_connection() {
    timed(|| {
        let (address, thread) = serve(|stream| {
            let mut ws = Server::new().config(patient()).accept(stream).unwrap();
            ws.send_text("never read").unwrap();
            assert_eq!(ws.recv().unwrap(), Some("go".into()));
            // Reading fails once. Then the connection has ended.
            let error = ws.recv().unwrap_err();
            assert!(matches!(error, Error::Io(_)), "{error}");
            let outcome = ws.wait_closed().unwrap();
            assert!(matches!(ws.send_text("late"), Err(Error::Send(SendError::Closed))));
            outcome
        });
        let mut raw = Raw::client(address);
        raw.send(0x81, b"go");
        // The socket is dropped with unread input, so the system sends a reset.
        raw.stream.peek(&mut [0]).unwrap();
        drop(raw);
        assert_eq!(thread.join().unwrap(), Outcome::Abnormal(EofPosition::BetweenMessages));
    });
}

#[test]
fn a_reset_during_the_close_is_no_error() {
    timed(|| {
        let (address, thread) = serve(|stream| {
            let mut ws = Server::new().config(patient()).accept(stream).unwrap();
            ws.send_text("never read").unwrap();
            // A failed write of the answer to the Close is no error either.
            ws.wait_closed().unwrap()
        });
        let mut raw = Raw::client(address);
        raw.stream.peek(&mut [0]).unwrap();
        raw.send(0x88, &close_body(1000, ""));
        drop(raw);
        // The system decides whether the answer leaves before the reset arrives.
        let outcome = thread.join().unwrap();
        assert!(matches!(outcome, CLEAN | Outcome::Unanswered { code: CloseCode::NORMAL }), "{outcome:?}");
    });
}

#[test]
fn a_protocol_error_closes_the_connection() {
    timed(|| {
        for (bytes, expected) in [
            (frame(0x81, false, b"not masked"), ProtocolError::NotMasked),
            (frame(0x81, true, b"\xff"), ProtocolError::InvalidUtf8),
            (frame(0xC1, true, b"x"), ProtocolError::ReservedBits(4)),
            (frame(0x83, true, b"x"), ProtocolError::UnknownOpcode(3)),
            (frame(0x80, true, b"x"), ProtocolError::NothingToContinue),
            (frame(0x88, true, &[0]), ProtocolError::CloseBodyOfOneByte),
        ] {
            let (address, thread) = serve(move |stream| {
                let mut ws = Server::new().accept(stream).unwrap();
                assert!(matches!(ws.next_event().unwrap(), Some((Event::Text("before"), _))));
                match ws.next_event() {
                    Err(Error::Protocol(error)) => assert_eq!(error, expected),
                    other => panic!("{other:?}"),
                }
                assert_eq!(ws.ready_state(), ReadyState::Closing);
                assert!(matches!(ws.send_text("late"), Err(Error::Send(SendError::Closed))));
                match ws.next_event().unwrap() {
                    Some((Event::Closed(outcome), _)) => assert_eq!(outcome, Outcome::Failed(expected)),
                    other => panic!("{other:?}"),
                }
                assert!(ws.next_event().unwrap().is_none());
            });
            let mut raw = Raw::client(address);
            let after = frame(0x81, true, b"after");
            raw.write(&[frame(0x81, true, b"before"), bytes, after].concat());
            let (first, body) = raw.frame();
            assert_eq!((first, &body[..2]), (0x88, &expected.close_code().get().to_be_bytes()[..]));
            assert_eq!(raw.rest(), b"");
            drop(raw);
            thread.join().unwrap();
        }
    });
}

#[test]
fn calls_after_the_end_return_at_once() {
    timed(|| {
        let (mut server, mut client) = pair();
        client.close(CloseCode::NORMAL, "").unwrap();
        let server = thread::spawn(move || {
            server.wait_closed().unwrap();
            server
        });
        client.wait_closed().unwrap();
        // No further call waits or loops.
        let mut server = server.join().unwrap();
        assert!(server.next_event().unwrap().is_none());
        assert_eq!(server.recv().unwrap(), None);
        server.flush().unwrap();
        assert_eq!(server.connection().poll_transport(), Some(TransportAction::Close));
        let (mut reader, mut writer) = server.split().unwrap();
        assert_eq!(reader.outcome(), Some(CLEAN));
        assert!(reader.next_event().unwrap().is_none());
        assert!(matches!(writer.send_text("late"), Err(Error::Send(SendError::Closed))));

        let (stream, connection, inbox) = client.into_parts();
        assert_eq!(inbox.remaining(), 0);
        let stream = stream.into_socket().unwrap();
        let mut client = Ws::from_parts(stream, |stream| Some(stream), connection, Inbox::empty());
        assert!(client.next_event().unwrap().is_none());
        assert!(matches!(client.wait_closed(), Err(Error::Send(SendError::Closed))));
        let (mut reader, _writer) = client.split().unwrap();
        assert!(reader.next_event().unwrap().is_none());
        assert!(matches!(reader.wait_closed(), Err(Error::Send(SendError::Closed))));
    });
}

/// Returns a stream whose peer sends `bytes` and then half-closes the stream.
fn peer_that_sends(bytes: Vec<u8>) -> Virtual {
    Virtual::new(1 << 20, move |peer| {
        peer.send(&bytes);
        peer.end();
    })
}

#[test]
fn s7_1_6_the_reason_of_the_peers_close_is_available_at_the_end() {
    for halves in [false, true] {
        let mut ws = peer_that_sends(frame(0x88, true, &close_body(4400, "bad token"))).server(patient());
        assert!(ws.peer_close().is_none());
        let (ended, close) = if halves {
            let (mut reader, _writer) = ws.split().unwrap();
            (reader.recv().unwrap(), reader.peer_close())
        } else {
            (ws.recv().unwrap(), ws.peer_close())
        };
        assert_eq!(ended, None);
        let close = close.unwrap();
        assert_eq!((close.code_seen().get(), close.reason.as_str()), (4400, "bad token"));
    }
}

#[test]
fn s7_1_5_an_abnormal_end_is_an_error_if_configured() {
    for halves in [false, true] {
        for (closes, asks) in [(false, false), (false, true), (true, true)] {
            let mut bytes = frame(0x81, true, b"one");
            if closes {
                bytes.extend(frame(0x88, true, &close_body(1000, "")));
            }
            let mut ws = peer_that_sends(bytes).server(patient());
            ws.error_on_abnormal_end(asks);
            let received = if halves {
                let (mut reader, _writer) = ws.split().unwrap();
                [reader.recv(), reader.recv(), reader.recv()]
            } else {
                [ws.recv(), ws.recv(), ws.recv()]
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
}

/// Returns a stream whose peer sends `bytes`, half-closes the stream, and reads `n` bytes every 100 ms.
fn peer_that_sends_and_reads(bytes: Vec<u8>, capacity: usize, n: usize) -> Virtual {
    Virtual::new(capacity, move |peer| {
        if peer.now.is_zero() {
            peer.send(&bytes);
            peer.end();
        }
        peer.read(n);
        peer.wake_at = Some(peer.now + ms(100));
    })
}

#[test]
fn queued_output_is_written_to_a_peer_that_half_closed() {
    let abnormal = Outcome::Abnormal(EofPosition::BetweenMessages);
    for keeps in [false, true] {
        let stream = peer_that_sends_and_reads(frame(0x81, true, b"last words"), 500, 300);
        let stream = if keeps { stream.holding_back() } else { stream };
        let mut ws = stream.server(Config::new());
        assert_eq!(ws.recv().unwrap(), Some("last words".into()));
        ws.feed(vec![1; 5000]).unwrap();
        ws.feed("and ours").unwrap();
        assert_eq!(ws.wait_closed().unwrap(), abnormal);
        stream.pass(ms(1000));
        let frames = stream.peer(|peer| peer.frames());
        assert_eq!(frames, [(0x82, vec![1; 5000]), (0x81, b"and ours".to_vec())]);
    }

    // The reader of a split WebSocket writes the Pongs itself.
    let pings = frame(0x89, true, &[7; 100]).repeat(3);
    let stream = peer_that_sends_and_reads(pings, 50, 20);
    let (mut reader, _writer) = stream.server(Config::new()).split().unwrap();
    assert_eq!(reader.wait_closed().unwrap(), abnormal);
    stream.pass(ms(1000));
    assert_eq!(stream.peer(|peer| peer.frames()), vec![(0x8A, vec![7; 100]); 3]);
}

#[test]
fn a_peer_that_half_closed_and_does_not_read_is_given_up_in_time() {
    // Without Pings, only the close timeout can end the connection.
    let stream = peer_that_sends_and_reads(frame(0x01, true, b"a part"), 50, 0);
    let mut ws = stream.server(patient());
    assert!(matches!(ws.send_binary(&[0; 1000]), Err(Error::Send(SendError::Closed))));
    assert!(stream.now() >= ms(10_000) && stream.now() < ms(10_100), "{:?}", stream.now());
    assert!(!ws.wait_closed().unwrap().is_clean());

    for halves in [false, true] {
        for wait in [None, Some(ms(700))] {
            let stream = peer_that_sends_and_reads(frame(0x89, true, &[7; 100]).repeat(3), 50, 0);
            let mut ws = stream.server(patient());
            // Each call with a timeout returns within this timeout, although the connection is being closed.
            let outcome = if halves {
                let (mut reader, _writer) = ws.split().unwrap();
                while let (None, Some(wait)) = (reader.outcome(), wait) {
                    let before = stream.now();
                    let _ = reader.next_event_timeout(wait);
                    assert!(stream.now() - before < wait + ms(25));
                }
                reader.wait_closed().unwrap()
            } else {
                while let (None, Some(wait)) = (ws.outcome(), wait) {
                    let before = stream.now();
                    let _ = ws.next_event_timeout(wait);
                    assert!(stream.now() - before < wait + ms(25));
                }
                ws.wait_closed().unwrap()
            };
            assert!(matches!(outcome, Outcome::Abnormal(_) | Outcome::TimedOut(_)), "{outcome:?}");
            assert!(stream.now() >= ms(10_000) && stream.now() < ms(10_100), "{:?}", stream.now());
        }
    }
}

/// Calls `wait` until it returns the outcome. Earlier errors are ignored.
fn ended(mut wait: impl FnMut() -> Result<Outcome, Error>) -> Outcome {
    std::iter::repeat_with(|| wait().ok()).flatten().next().unwrap()
}

/// RFC 6455 7.1.4: an end is clean if both endpoints have sent a Close. A peer that half-closes the stream directly
/// after its Close may still read our Close.
#[test]
fn s7_1_4_the_end_is_clean_if_the_peer_closes_and_half_closes_and_our_close_is_sent() {
    let code = CloseCode::new(4000);
    for (halves, own, keeps) in [
        (false, false, false),
        (false, true, false),
        (false, false, true),
        (true, false, false),
        (true, true, false),
        (true, false, true),
    ] {
        // The peer reads our Close, or has gone, or does not read. Our Close is sent only in the first case.
        for (capacity, is_gone) in [(1 << 20, false), (1 << 20, true), (0, false)] {
            let stream = Virtual::new(capacity, move |peer| {
                peer.send(&frame(0x88, true, &close_body(4000, "")));
                peer.end();
            });
            stream.peer(|peer| peer.is_gone = is_gone);
            let stream = if keeps { stream.holding_back() } else { stream };
            let mut ws = stream.server(Config::new());
            if own {
                ws.responder().close(CloseCode::GOING_AWAY, "").unwrap();
            }
            ws.error_on_abnormal_end(true);
            let (outcome, received) = if halves {
                let (mut reader, _writer) = ws.split().unwrap();
                (ended(|| reader.wait_closed()), reader.recv())
            } else {
                (ended(|| ws.wait_closed()), ws.recv())
            };
            // The peer has sent its Close, so all its messages have arrived. Therefore only a timeout is an error for
            // the receiver.
            assert_eq!(received.is_err(), matches!(outcome, Outcome::TimedOut(_)));
            let expected = match (capacity, is_gone) {
                (0, _) => Outcome::TimedOut(TimerKind::Close),
                (_, true) => Outcome::Unanswered { code },
                (_, false) => Outcome::Clean { code },
            };
            assert_eq!(outcome, expected, "halves {halves}, own {own}, keeps {keeps}");
            let frames = stream.peer(|peer| {
                peer.read(usize::MAX);
                peer.frames()
            });
            let close = if own { 1001 } else { 4000 };
            let got = if outcome.is_clean() { vec![(0x88, close_body(close, ""))] } else { vec![] };
            assert_eq!(frames, got);
        }
    }
}
