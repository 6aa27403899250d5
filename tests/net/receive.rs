//! Tests of accepting in two phases with the blocking adapter: a request arrives, and the application decides later.
//!
//! Most tests run on virtual time. Handshakes in one phase are tested in `open.rs`. `tests/async_adapters/receive.rs`
//! has the same tests for the asynchronous adapters.

use std::io::ErrorKind;
use std::time::Duration;

use hybi::adapters::net::{AcceptError, Client, PendingRequest, Server, WebSocket};
use hybi::handshake::{HandshakeInfo, HttpResponse};
use hybi::{Connection, Inbox, Instant, Outbox, Outcome};

use crate::common::*;
use crate::virtual_stream::*;

const SECOND: Duration = Duration::from_secs(1);

fn server() -> Server {
    Server::new().handshake_timeout(Some(3 * SECOND))
}

/// Returns a stream on which a request and then the bytes in `after` have arrived.
fn requested(capacity: usize, after: &[u8]) -> Virtual {
    let stream = Virtual::with_idle_peer(capacity);
    stream.peer(|peer| peer.send(&[REQUEST.as_bytes(), after].concat()));
    stream
}

fn receive(stream: &Virtual) -> PendingRequest<Virtual> {
    server().receive_stream(stream.clone()).unwrap()
}

/// Returns the kind of the I/O error with which the server failed to accept.
fn failed<S>(accepted: Result<WebSocket<S>, AcceptError<S>>) -> ErrorKind {
    match accepted.map_err(AcceptError::without_stream) {
        Err(hybi::adapters::handshake_driver::AcceptError::Io(error)) => error.kind(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("the request was accepted"),
    }
}

/// Returns the text that the server has written.
fn written(stream: &Virtual) -> String {
    stream.peer(|peer| {
        peer.read(usize::MAX);
        String::from_utf8_lossy(&peer.received).into_owned()
    })
}

#[test]
fn the_application_may_take_any_time_to_accept() {
    let stream = requested(1 << 20, b"");
    let request = receive(&stream);
    assert_eq!((request.target(), request.origin()), ("/", None));
    assert_eq!((request.method(), request.subprotocols().count()), ("GET", 0));
    assert_eq!(request.headers().get("host"), Some(&b"a"[..]));
    stream.pass(3600 * SECOND);
    let acceptance = request.acceptance().header("X-More", "yes");
    let mut ws = request.accept_with(&acceptance).unwrap();
    let response = written(&stream);
    assert!(response.starts_with("HTTP/1.1 101 ") && response.contains("\r\nX-More: yes\r\n"), "{response}");
    assert_eq!((ws.target(), ws.subprotocol()), ("/", None));
    stream.peer(|peer| peer.send(&frame(0x81, true, b"hello")));
    assert_eq!(ws.recv().unwrap(), Some("hello".into()));
}

#[test]
fn input_that_arrives_while_the_application_decides_is_kept() {
    let hello = frame(0x81, true, b"hello");
    for after in [0, 5, hello.len()] {
        // If a stream cannot switch to non-blocking mode, the server does not look for input on it.
        for blocks in [false, true] {
            let stream = requested(1 << 20, &hello[..after]);
            let stream = if blocks { stream.blocking() } else { stream };
            let request = receive(&stream);
            stream.peer(|peer| peer.send(&[&hello[after..], &*hello].concat()));
            let unread = stream.peer(|peer| peer.unread_by_us());
            assert_eq!(unread, 2 * hello.len() - after, "the server has read input before the decision");
            let mut ws = request.accept().unwrap();
            for _ in 0..2 {
                assert_eq!(ws.recv().unwrap(), Some("hello".into()));
            }
            stream.peer(Peer::end);
            assert_eq!(ws.recv().unwrap(), None);
            assert!(matches!(ws.outcome(), Some(Outcome::Abnormal(_))), "{:?}", ws.outcome());
        }
    }
}

#[test]
fn input_beyond_the_limit_for_reading_ahead_arrives_in_order() {
    let large = frame(0x82, true, &vec![7; 200_000]);
    let stream = requested(1 << 20, b"");
    let request = receive(&stream);
    stream.peer(|peer| peer.send(&[large, frame(0x81, true, b"hello")].concat()));
    let mut ws = request.accept().unwrap();
    assert_eq!(ws.recv().unwrap(), Some(vec![7; 200_000].into()));
    assert_eq!(ws.recv().unwrap(), Some("hello".into()));
}

#[test]
fn a_peer_that_disconnects_before_the_decision_is_not_accepted() {
    let stream = requested(1 << 20, b"");
    let request = receive(&stream);
    stream.peer(Peer::end);
    assert_eq!(failed(request.accept()), ErrorKind::UnexpectedEof);
    assert_eq!(written(&stream), "");

    let stream = requested(1 << 20, b"");
    let request = receive(&stream);
    stream.peer(|peer| peer.is_gone = true);
    assert_eq!(failed(request.accept()), ErrorKind::BrokenPipe);

    // If the peer sent a message before it half-closed the stream, the request is accepted.
    let stream = requested(1 << 20, b"");
    let request = receive(&stream);
    stream.peer(|peer| {
        peer.send(&frame(0x81, true, b"hello"));
        peer.end();
    });
    let mut ws = request.accept().unwrap();
    assert_eq!(ws.recv().unwrap(), Some("hello".into()));
    assert_eq!(ws.recv().unwrap(), None);
}

#[test]
fn a_peer_that_has_closed_its_socket_is_not_accepted() {
    timed(|| {
        let (address, thread) = serve(|stream| {
            let request = Server::new().receive(stream).unwrap();
            // This `peek` waits until the end of the stream has arrived, and then returns 0.
            assert_eq!(request.stream().peek(&mut [0]).unwrap(), 0);
            request.accept()
        });
        let mut raw = Raw::connect(address);
        raw.write(REQUEST.as_bytes());
        drop(raw);
        assert_eq!(failed(thread.join().unwrap()), ErrorKind::UnexpectedEof);
    });
}

#[test]
fn each_phase_has_the_whole_handshake_timeout() {
    let stream = Virtual::new(10, |peer| {
        if peer.now < ms(2900) {
            peer.wake_at = Some(ms(2900));
        } else if peer.now < 10 * SECOND {
            peer.send(REQUEST.as_bytes());
            peer.wake_at = Some(10 * SECOND + ms(2900));
        } else {
            peer.read(usize::MAX);
            peer.wake_at = Some(peer.now + ms(1));
        }
    });
    let request = receive(&stream);
    stream.pass(10 * SECOND - stream.now());
    assert!(request.accept().is_ok());

    // If the peer does not read the response, accepting fails after the handshake timeout of three seconds.
    let stream = requested(10, b"");
    let request = receive(&stream);
    stream.pass(5 * SECOND);
    let before = stream.now();
    assert_eq!(failed(request.accept()), ErrorKind::TimedOut);
    let took = stream.now() - before;
    assert!(took >= 3 * SECOND && took < 3 * SECOND + ms(100), "{took:?}");
}

#[test]
fn a_request_can_be_rejected_or_dropped() {
    timed(|| {
        for reject in [true, false] {
            let (address, thread) = serve(move |stream| {
                let request = Server::new().receive(stream).unwrap();
                if reject {
                    request.reject(&HttpResponse::new(403).body("text/plain", b"no")).unwrap();
                }
            });
            let mut raw = Raw::connect(address);
            raw.write(REQUEST.as_bytes());
            if reject {
                assert!(raw.head().starts_with("HTTP/1.1 403 "));
                raw.half_close();
                assert_eq!(raw.rest(), b"no");
            } else {
                // If the request is dropped, the stream ends without a response.
                assert_eq!(raw.rest(), b"");
            }
            thread.join().unwrap();
        }
    });
    let stream = requested(1 << 20, b"");
    let error = receive(&stream).reject(&HttpResponse::new(101)).unwrap_err();
    assert_eq!((error.kind(), written(&stream).len()), (ErrorKind::InvalidInput, 0));
}

#[test]
fn into_parts_of_a_request_loses_nothing() {
    let hello = frame(0x81, true, b"hello");
    let (stream, head, after) = receive(&requested(1 << 20, &hello)).into_parts();
    assert_eq!((head.target(), &after), ("/", &hello));
    let info = HandshakeInfo::new(head.target(), Some("chat"), head.headers());
    let connection = Connection::server(Instant::ZERO, patient(), Outbox::new());
    let bare = WebSocket::from_stream(stream, connection, Inbox::with_bytes(&after));
    assert_eq!((bare.target(), bare.subprotocol(), bare.headers().iter().count()), ("", None, 0));
    let mut ws = bare.with_handshake(info);
    assert_eq!((ws.target(), ws.subprotocol()), ("/", Some("chat")));
    assert_eq!(ws.headers().get("host"), Some(&b"a"[..]));
    assert_eq!(ws.recv().unwrap(), Some("hello".into()));
    let info = ws.handshake().clone();
    let (stream, connection, inbox) = ws.into_parts();
    let mut ws = WebSocket::from_stream(stream, connection, inbox).with_handshake(info);
    ws.forget_headers();
    assert_eq!((ws.target(), ws.subprotocol(), ws.headers().iter().count()), ("/", Some("chat"), 0));
}

#[test]
fn s4_1_3_a_client_remembers_the_target_as_it_was_sent() {
    timed(|| {
        for (url, target) in [("", "/"), ("/", "/"), ("?a=b", "/?a=b"), ("/c/d?e", "/c/d?e")] {
            let (address, thread) = serve(|stream| Server::new().accept(stream).unwrap().target().to_owned());
            let client = Client::new().connect(&format!("ws://{address}{url}")).unwrap();
            assert_eq!((client.target(), &*thread.join().unwrap()), (target, target));
        }
    });
}

#[test]
fn s10_5_debug_output_hides_the_values_of_headers() {
    let client = Client::new()
        .header("Authorization", "Bearer secret")
        .header("Cookie", "a=secret")
        .header("Proxy-Authorization", "Basic secret");
    let server = Server::new().header("Set-Cookie", "secret");
    let request = receive(&requested(1 << 20, b""));
    let acceptance = request.acceptance().header("X-Token", "secret");
    let shown = format!("{client:?} {server:?} {request:?} {acceptance:?}");
    for name in ["Authorization", "Cookie", "Proxy-Authorization", "Set-Cookie", "X-Token"] {
        assert!(shown.contains(&format!("\"{name}\"")), "{shown}");
    }
    assert!(!shown.contains("secret"), "{shown}");
}
