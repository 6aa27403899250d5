//! Accepting in two phases: a request waits for the application's decision.
//!
//! These tests check what happens between the two phases: time passes, input arrives, the peer goes away, and futures
//! or the request are dropped. `open.rs` has handshakes in one phase, `tests/net/receive.rs` the same for the blocking
//! adapter.

use std::io::ErrorKind;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use hybi::adapters::futures_io::{AcceptError, Acceptance, PendingRequest, Server, Timer, WebSocket};
use hybi::handshake::{HandshakeInfo, HttpResponse};
use hybi::{Connection, Instant, Outbox, Outcome};

use super::support::*;

const REQUEST: &[u8] =
    b"GET /chat?room=1 HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Protocol: one, two\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\
    Origin: https://here\r\n\r\n";

/// "Hello" as RFC 6455 section 5.7 prints it.
const HELLO: &[u8] = &[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];

fn server(clock: &Clock) -> Server<Clock> {
    Server::with_timer(clock.clone()).subprotocols(["two"]).handshake_timeout(Some(ms(3000)))
}

/// Returns a request that waits, over a stream on which nothing has arrived behind it.
fn pending(clock: &Clock, end: &End) -> PendingRequest<End, Clock> {
    end.arrive(REQUEST);
    block_on(clock, server(clock).receive(end.clone())).unwrap()
}

fn behaviors() -> [Behavior; 3] {
    [
        Behavior::default(),
        Behavior { piece: 1, hesitant: true, ..Behavior::default() },
        Behavior { piece: 7, ..Behavior::default() },
    ]
}

#[test]
fn the_application_may_take_any_time_to_accept() {
    for behavior in behaviors() {
        let (clock, end) = (Clock::default(), End::new(behavior));
        let request = pending(&clock, &end);
        assert_eq!((request.target(), request.origin()), ("/chat?room=1", Some("https://here")));
        assert_eq!((request.head().method(), request.head().query()), ("GET", Some("room=1")));
        assert!(request.subprotocols().eq(["one", "two"]));
        assert_eq!(request.headers().get("host"), Some(&b"a"[..]));
        clock.advance(ms(3_600_000));
        let acceptance = request.acceptance().header("X-More", "yes");
        let mut ws = block_on(&clock, request.accept_with(&acceptance)).unwrap();
        let response = String::from_utf8(end.take_written()).unwrap();
        assert!(response.starts_with("HTTP/1.1 101 "), "{response}");
        assert!(response.contains("\r\nSec-WebSocket-Protocol: two\r\n"), "{response}");
        assert!(response.contains("\r\nX-More: yes\r\n"), "{response}");
        assert_eq!((ws.target(), ws.subprotocol()), ("/chat?room=1", Some("two")));
        assert_eq!(ws.headers().get("Origin"), Some(&b"https://here"[..]));
        end.arrive(HELLO);
        assert_eq!(block_on(&clock, ws.recv()).unwrap(), Some("Hello".into()));
    }
}

#[test]
fn input_that_arrives_while_the_application_decides_is_kept() {
    for behavior in behaviors() {
        for behind in [0, 5, HELLO.len()] {
            let (clock, end) = (Clock::default(), End::new(behavior.clone()));
            // A part of the first message arrives together with the request, the rest of it later.
            end.arrive(&[REQUEST, &HELLO[..behind]].concat());
            let request = block_on(&clock, server(&clock).receive(end.clone())).unwrap();
            let unread = end.unread();
            end.arrive(&HELLO[behind..]);
            end.arrive(HELLO);
            assert_eq!(end.unread(), unread + 2 * HELLO.len() - behind, "nothing is read meanwhile");
            let mut ws = block_on(&clock, request.accept()).unwrap();
            for _ in 0..2 {
                assert_eq!(block_on(&clock, ws.recv()).unwrap(), Some("Hello".into()));
            }
            // The end of the input comes behind the messages.
            end.end();
            assert_eq!(block_on(&clock, ws.recv()).unwrap(), None);
            assert!(matches!(ws.outcome(), Some(Outcome::Abnormal(_))), "{:?}", ws.outcome());
        }
    }
}

#[test]
fn a_peer_that_has_gone_meanwhile_is_not_accepted() {
    for reset in [false, true] {
        let (clock, end) = (Clock::default(), End::new(Behavior::default()));
        let request = pending(&clock, &end);
        if reset {
            end.reset()
        } else {
            end.end()
        }
        let error = match block_on(&clock, request.accept()) {
            Err(AcceptError::Io(error)) => error.kind(),
            other => panic!("{other:?}"),
        };
        assert_eq!(error, if reset { ErrorKind::ConnectionReset } else { ErrorKind::UnexpectedEof });
        assert_eq!(end.take_written(), b"");
    }
    // A peer that has sent something before it closed its sending direction is heard.
    let (clock, end) = (Clock::default(), End::new(Behavior::default()));
    let request = pending(&clock, &end);
    end.arrive(HELLO);
    end.end();
    let mut ws = block_on(&clock, request.accept()).unwrap();
    assert_eq!(block_on(&clock, ws.recv()).unwrap(), Some("Hello".into()));
    assert_eq!(block_on(&clock, ws.recv()).unwrap(), None);
}

#[test]
fn each_phase_has_the_whole_timeout() {
    // The head comes late, the application takes its time, and the peer takes the response late.
    let (clock, end) = (Clock::default(), End::new(Behavior { capacity: 10, ..Behavior::default() }));
    let server = server(&clock);
    let mut sending = pin!(async {
        sleep(&clock, ms(2900)).await;
        end.arrive(REQUEST);
    });
    let request = run(&clock, server.receive(end.clone()), &mut [sending.as_mut()]).unwrap();
    clock.advance(ms(5000));
    let mut reading = pin!(async {
        sleep(&clock, ms(2900)).await;
        loop {
            end.take_written();
            sleep(&clock, ms(1)).await;
        }
    });
    assert!(run(&clock, request.accept(), &mut [reading.as_mut()]).is_ok());

    // A peer that does not take the response is given up.
    let (clock, end) = (Clock::default(), End::new(Behavior { capacity: 10, ..Behavior::default() }));
    let request = pending(&clock, &end);
    clock.advance(ms(5000));
    match block_on(&clock, request.accept()) {
        Err(AcceptError::Io(error)) => assert_eq!(error.kind(), ErrorKind::TimedOut),
        other => panic!("{other:?}"),
    }
    assert_eq!(clock.now().since_origin(), ms(8000));
}

#[test]
fn a_dropped_request_closes_the_stream_without_a_response() {
    let (clock, end) = (Clock::default(), End::new(Behavior::default()));
    let request = pending(&clock, &end);
    assert_eq!(Arc::strong_count(&end.state), 2);
    drop(request);
    assert_eq!((Arc::strong_count(&end.state), end.take_written().len()), (1, 0));
}

#[test]
fn a_future_that_is_dropped_in_either_phase_closes_the_stream() {
    let behavior = Behavior { piece: 9, hesitant: true, ..Behavior::default() };
    for reject in [false, true] {
        let mut polls = 0;
        loop {
            let (clock, end) = (Clock::default(), End::new(behavior.clone()));
            let server = server(&clock);
            end.arrive(REQUEST);
            let done = {
                let mut both = pin!(async {
                    let request = server.receive(end.clone()).await.unwrap();
                    if reject {
                        end.end();
                        request.reject(&HttpResponse::new(403)).await.unwrap();
                    } else {
                        drop(request.accept().await.unwrap());
                    }
                });
                let mut cx = Context::from_waker(Waker::noop());
                (0..polls).any(|_| both.as_mut().poll(&mut cx).is_ready())
            };
            assert_eq!(Arc::strong_count(&end.state), 1, "after {polls} polls");
            if done {
                break;
            }
            polls += 1;
        }
        assert!(polls > 20, "{polls}");
    }
}

#[test]
fn the_acceptance_of_the_application_replaces_the_servers_choice() {
    let respond = |acceptance: &Acceptance| {
        let (clock, end) = (Clock::default(), End::new(Behavior::default()));
        end.arrive(REQUEST);
        let server = server(&clock).header("X-All", "1");
        #[cfg(feature = "deflate")]
        let server = server.deflate(hybi::handshake::DeflateConfig::new());
        let request = block_on(&clock, server.receive(end.clone())).unwrap();
        let accepted = block_on(&clock, request.accept_with(acceptance));
        let subprotocol = accepted.map(|ws| ws.subprotocol().map(ToOwned::to_owned));
        (subprotocol, String::from_utf8(end.take_written()).unwrap())
    };
    let (subprotocol, response) = respond(&Acceptance::new());
    assert_eq!(subprotocol.unwrap(), None);
    assert!(
        response.contains("\r\nX-All: 1\r\n") && !response.contains("Sec-WebSocket-Protocol"),
        "{response}"
    );
    assert_eq!(response.contains("permessage-deflate"), cfg!(feature = "deflate"), "{response}");

    let (subprotocol, response) = respond(&Acceptance::new().subprotocol("one").header("X-One", "2"));
    assert_eq!(subprotocol.unwrap().as_deref(), Some("one"));
    assert!(response.contains("\r\nX-All: 1\r\nX-One: 2\r\n"), "{response}");

    #[cfg(feature = "deflate")]
    assert!(!respond(&Acceptance::new().deflate(None)).1.contains("permessage-deflate"));

    // The client did not offer it, or the header is one of the handshake's own.
    for wrong in [Acceptance::new().subprotocol("three"), Acceptance::new().header("Upgrade", "x")] {
        let (subprotocol, response) = respond(&wrong);
        assert!(matches!(subprotocol, Err(AcceptError::Response(_))), "{subprotocol:?}");
        assert!(response.starts_with("HTTP/1.1 500 "), "{response}");
    }
}

#[test]
fn an_invalid_response_to_a_request_is_not_sent() {
    let (clock, end) = (Clock::default(), End::new(Behavior::default()));
    let request = pending(&clock, &end);
    let error = block_on(&clock, request.reject(&HttpResponse::new(101))).unwrap_err();
    assert_eq!((error.kind(), end.take_written().len()), (ErrorKind::InvalidInput, 0));
}

#[test]
fn the_parts_of_a_request_lose_nothing() {
    let (clock, end) = (Clock::default(), End::new(Behavior::default()));
    end.arrive(&[REQUEST, HELLO].concat());
    let request = block_on(&clock, server(&clock).receive(end.clone())).unwrap();
    let (stream, head, behind) = request.into_parts();
    assert!(Arc::ptr_eq(&stream.state, &end.state));
    assert_eq!((head.target(), &*behind), ("/chat?room=1", HELLO));
    // Another library could send the 101. The WebSocket knows what it is told.
    assert!(head.check().unwrap().offers_subprotocol("two"));
    let info = HandshakeInfo::new(head.target(), Some("two"), head.headers());
    let connection = Connection::server(Instant::ZERO, hybi::Config::new(), Outbox::new());
    let inbox = hybi::Inbox::with_bytes(&behind);
    let bare = WebSocket::from_parts(stream, clock.clone(), connection, inbox);
    assert_eq!((bare.target(), bare.subprotocol(), bare.headers().iter().count()), ("", None, 0));
    let mut ws = bare.with_handshake(info);
    assert_eq!((ws.target(), ws.subprotocol()), ("/chat?room=1", Some("two")));
    assert_eq!(ws.headers().get("origin"), Some(&b"https://here"[..]));
    assert_eq!(block_on(&clock, ws.recv()).unwrap(), Some("Hello".into()));
    let info = ws.handshake().clone();
    let (stream, connection, inbox) = ws.into_parts();
    let ws = WebSocket::from_parts(stream, clock, connection, inbox).with_handshake(info);
    assert_eq!((ws.target(), ws.subprotocol()), ("/chat?room=1", Some("two")));
}

#[test]
fn s10_5_what_is_shown_for_debugging_hides_the_values_of_headers() {
    let (clock, end) = (Clock::default(), End::new(Behavior::default()));
    end.arrive(&String::from_utf8_lossy(REQUEST).replace("Origin", "Cookie: secret\r\nOrigin").into_bytes());
    let server = server(&clock).header("Set-Cookie", "secret");
    let request = block_on(&clock, server.receive(end.clone())).unwrap();
    let acceptance = request.acceptance().header("X-Token", "secret");
    let shown = format!("{server:?} {request:?} {acceptance:?}");
    for name in ["Set-Cookie", "Cookie", "X-Token"] {
        assert!(shown.contains(name), "{shown}");
    }
    let ws = block_on(&clock, request.accept_with(&acceptance)).unwrap();
    let shown = format!("{shown} {:?}", ws.handshake());
    assert!(!shown.contains("secret"), "{shown}");
}
