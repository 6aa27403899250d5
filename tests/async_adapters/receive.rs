//! Servers that receive a request first, and accept or reject it later.
//!
//! `Server::receive` returns the request, and the application then decides. Until it decides, time may pass, input may
//! arrive, the peer may leave, or the application may drop the request or a future. Handshakes that accept at once are
//! tested in `open.rs`, and the blocking adapter is tested in `tests/net/receive.rs`.

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

/// The masked text message "Hello" of RFC 6455 section 5.7.
const HELLO: &[u8] = &[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];

fn server(clock: &Clock) -> Server<Clock> {
    Server::with_timer(clock.clone()).subprotocols(["two"]).handshake_timeout(Some(ms(3000)))
}

/// Returns a received request. Nothing has arrived after the request.
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
        assert_eq!((request.method(), request.head().query()), ("GET", Some("room=1")));
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
        for after in [0, 5, HELLO.len()] {
            let (clock, end) = (Clock::default(), End::new(behavior.clone()));
            // `after` bytes of the first message arrive together with the request. The other bytes arrive later.
            end.arrive(&[REQUEST, &HELLO[..after]].concat());
            let request = block_on(&clock, server(&clock).receive(end.clone())).unwrap();
            let unread = end.unread();
            end.arrive(&HELLO[after..]);
            end.arrive(HELLO);
            assert_eq!(end.unread(), unread + 2 * HELLO.len() - after, "the server read input too early");
            let mut ws = block_on(&clock, request.accept()).unwrap();
            for _ in 0..2 {
                assert_eq!(block_on(&clock, ws.recv()).unwrap(), Some("Hello".into()));
            }
            // The end of the stream is reported after the messages.
            end.end();
            assert_eq!(block_on(&clock, ws.recv()).unwrap(), None);
            assert!(matches!(ws.outcome(), Some(Outcome::Abnormal(_))), "{:?}", ws.outcome());
        }
    }
}

#[test]
fn a_peer_that_disconnects_before_the_decision_is_not_accepted() {
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
    // The peer sends a message and then closes its sending direction. The request is accepted and the message arrives.
    let (clock, end) = (Clock::default(), End::new(Behavior::default()));
    let request = pending(&clock, &end);
    end.arrive(HELLO);
    end.end();
    let mut ws = block_on(&clock, request.accept()).unwrap();
    assert_eq!(block_on(&clock, ws.recv()).unwrap(), Some("Hello".into()));
    assert_eq!(block_on(&clock, ws.recv()).unwrap(), None);
}

#[test]
fn receiving_and_accepting_each_have_the_whole_timeout() {
    // The request arrives just before the timeout. The application decides after 5 s. Then the peer waits nearly until
    // the timeout before it reads the response.
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

    // The peer does not read the response, so `accept` ends at the timeout.
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
fn dropping_a_request_closes_the_stream_without_a_response() {
    let (clock, end) = (Clock::default(), End::new(Behavior::default()));
    let request = pending(&clock, &end);
    assert_eq!(Arc::strong_count(&end.state), 2);
    drop(request);
    assert_eq!((Arc::strong_count(&end.state), end.take_written().len()), (1, 0));
}

#[test]
fn dropping_the_future_of_receive_accept_or_reject_closes_the_stream() {
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
fn an_acceptance_overrides_the_subprotocol_and_deflate_of_the_server() {
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

    // The client did not offer this subprotocol, and the application may not set this header. In both cases the peer
    // receives a response with status 500.
    for wrong in [Acceptance::new().subprotocol("three"), Acceptance::new().header("Upgrade", "x")] {
        let (subprotocol, response) = respond(&wrong);
        assert!(matches!(subprotocol, Err(AcceptError::Response(_))), "{subprotocol:?}");
        assert!(response.starts_with("HTTP/1.1 500 "), "{response}");
    }
}

#[test]
fn a_request_cannot_be_rejected_with_status_101() {
    let (clock, end) = (Clock::default(), End::new(Behavior::default()));
    let request = pending(&clock, &end);
    let error = block_on(&clock, request.reject(&HttpResponse::new(101))).unwrap_err();
    assert_eq!((error.kind(), end.take_written().len()), (ErrorKind::InvalidInput, 0));
}

#[test]
fn into_parts_of_a_request_loses_nothing() {
    let (clock, end) = (Clock::default(), End::new(Behavior::default()));
    end.arrive(&[REQUEST, HELLO].concat());
    let request = block_on(&clock, server(&clock).receive(end.clone())).unwrap();
    let (stream, head, after) = request.into_parts();
    assert!(Arc::ptr_eq(&stream.state, &end.state));
    assert_eq!((head.target(), &*after), ("/chat?room=1", HELLO));
    // Another library could send the 101 response now. After that response, `with_handshake` gives the WebSocket its
    // target, subprotocol and headers.
    assert!(head.check().unwrap().offers_subprotocol("two"));
    let info = HandshakeInfo::new(head.target(), Some("two"), head.headers());
    let connection = Connection::server(Instant::ZERO, hybi::Config::new(), Outbox::new());
    let inbox = hybi::Inbox::with_bytes(&after);
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
fn s10_5_debug_output_hides_the_values_of_headers() {
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
