//! Attacks on the opening handshake: endless or slow heads, request smuggling, and header injection.
//!
//! A bad head is refused before the application sees it. These tests check the status and the cost. They also check
//! that no bytes of the peer or the application change the structure of a head. The full grammar is tested in
//! `tests/handshake.rs`.

use std::time::Duration;

use hybi::Instant;
use hybi::handshake::{
    ClientHandshake, ClientRequest, HeadError, HeadLimits, HttpResponse, Incoming, Reason, Reply,
    ServerHandshake, accept_key, encode_nonce,
};

use crate::heap::{ASKED, measure};

const REQUEST: &str = "GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

fn client(limits: HeadLimits) -> ClientHandshake<'static> {
    ClientHandshake::new(ClientRequest::new("example.com", "/"), [7; 16], limits).unwrap()
}

/// An endless head is refused at the limit and uses no heap. Each byte is examined once
/// (`s9112_2_2_each_byte_is_examined_once`), so a head that arrives byte by byte costs one call per byte.
#[test]
fn s10_4_heads_without_an_end_are_refused_at_the_limit() {
    let endless = [
        ("GET /", "a", 414),
        ("GET / HTTP/1.1\r\nX: ", "a", 431),
        ("GET / HTTP/1.1\r\n", "X: a\r\n", 431),
        ("", "G", 414),
    ];
    for (start, more, status) in endless {
        let head = start.to_owned() + &more.repeat(20_000);
        for (limit, step) in [(1000, 1), (16 << 10, 1), (16 << 10, 1460), (16 << 10, 200_000)] {
            let limits = HeadLimits::new().max_head(limit).max_headers(128);
            let mut handshake = ServerHandshake::new(limits);
            let (refused, kept, peak) = measure(|| {
                (step..=head.len().max(step)).step_by(step).find_map(|len| {
                    let end = len.min(head.len());
                    handshake.poll(&head.as_bytes()[..end]).err().map(|rejection| (end, rejection))
                })
            });
            assert_eq!((kept, peak), (0, 0));
            let (end, rejection) = refused.expect("an endless head is refused");
            assert!(end <= limit + step, "{end}");
            assert!([status, 431].contains(&rejection.status()), "{rejection:?}");
        }
    }
    // A client refuses an endless response at the limit too.
    for (start, more) in [
        ("HTTP/1.1 101 ", "a"),
        ("HTTP/1.1 101 OK\r\nX: ", "a"),
        ("HTTP/1.1 101 OK\r\n", "X: a\r\n"),
        ("", "HTTP/1.1 100 Continue\r\n\r\n"),
    ] {
        let head = start.to_owned() + &more.repeat(20_000);
        let mut handshake = client(HeadLimits::new());
        let refused = (1..head.len()).find(|len| handshake.poll(&head.as_bytes()[..*len]).is_err());
        assert!(refused.unwrap() <= (16 << 10) + 1);
    }
}

/// A head that arrives slowly is refused at the deadline. Received bytes do not extend the deadline.
#[test]
fn s10_4_heads_that_arrive_slowly_end_at_the_deadline() {
    let at = |seconds| Instant::from_origin(Duration::from_secs(seconds));
    let mut handshake = ServerHandshake::new(HeadLimits::new()).with_timeout(at(0), Duration::from_secs(10));
    for second in 1..10 {
        assert!(handshake.poll(&REQUEST.as_bytes()[..second as usize]).unwrap().is_none());
        assert_eq!(handshake.handle_timeout(at(second)), Ok(()));
        assert_eq!(handshake.poll_timeout(), Some(at(10)));
    }
    assert_eq!(handshake.handle_timeout(at(10)).unwrap_err().status(), 408);
    // A request that is complete only after the deadline is refused too.
    let whole = format!("{REQUEST}\r\n");
    assert!(handshake.poll(whole.as_bytes()).is_err());
}

/// Header lines are counted while they arrive.
#[test]
fn s10_4_floods_of_headers_are_refused_while_they_arrive() {
    for (limit, most) in [(100, 100), (10, 10), (1000, 128)] {
        let head = |lines: usize| REQUEST.to_owned() + &"X: a\r\n".repeat(lines - 5) + "\r\n";
        let mut handshake = ServerHandshake::new(HeadLimits::new().max_headers(limit));
        ASKED.set(0);
        assert!(matches!(handshake.poll(head(most).as_bytes()), Ok(Some(Incoming::Upgrade(_)))));
        let more = head(most + 1);
        let refused = (0..=more.len()).find_map(|len| {
            // Each prefix is passed to a new handshake. New handshakes are slow, but this test checks the limit and not
            // the cost.
            ServerHandshake::new(HeadLimits::new().max_headers(limit)).poll(&more.as_bytes()[..len]).err()
        });
        assert_eq!(refused.unwrap().status(), 431);
    }
    // A long list of repeated subprotocols is refused, and uses no heap.
    let many = format!("{REQUEST}Sec-WebSocket-Protocol: a{}\r\n\r\n", ", b".repeat(5000));
    let (refused, kept, peak) =
        measure(|| ServerHandshake::new(HeadLimits::new()).poll(many.as_bytes()).is_err());
    assert_eq!((refused, kept, peak), (true, 0, 0));
}

/// The body of an upgrade request begins where frames begin, so a proxy and the server could interpret the body
/// differently. Such a request is refused.
#[test]
fn s9112_6_an_upgrade_with_a_body_is_refused() {
    let bodies = [
        "Content-Length: 5",
        "Content-Length: 05",
        "Content-Length: +5",
        "Content-Length: 0, 5",
        "content-length:\t7",
        "Content-Length: ",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: identity",
        "transfer-encoding : chunked",
        "Content-Length: 0\r\nTransfer-Encoding: chunked",
        "Content-Length: 0\r\nContent-Length: 6",
    ];
    for body in bodies {
        let head = format!("{REQUEST}{body}\r\n\r\n\x01\x05smuggled");
        let refused = ServerHandshake::new(HeadLimits::new()).poll(head.as_bytes()).map(|_| ()).unwrap_err();
        assert_eq!(refused.status(), 400, "{body}");
        assert!(matches!(refused.reason(), Reason::Body | Reason::Head(_)), "{body}: {refused:?}");
    }
    // These lines try to hide a header from one of two parsers.
    for line in [
        "X: a\nTransfer-Encoding: chunked",
        "X: a\r Content-Length: 5",
        "X: a\r\n Content-Length: 5",
        "X:\0a",
    ] {
        let head = format!("{REQUEST}{line}\r\n\r\n");
        let refused = ServerHandshake::new(HeadLimits::new()).poll(head.as_bytes()).map(|_| ()).unwrap_err();
        assert!(matches!(refused.reason(), Reason::Head(_)), "{line:?}: {refused:?}");
        assert_ne!(refused.reason(), Reason::Head(HeadError::Changed));
    }
    // Without a body, frames begin directly after the head.
    let head = format!("{REQUEST}Content-Length: 0\r\n\r\n");
    let wire = format!("{head}\x01frames");
    let mut handshake = ServerHandshake::new(HeadLimits::new());
    let Ok(Some(Incoming::Upgrade(request))) = handshake.poll(wire.as_bytes()) else {
        panic!("the request was not accepted")
    };
    assert_eq!(request.head_len(), head.len());
}

/// A value of the client is never copied into a head. A value of the application is checked before it is written.
#[test]
fn s9110_5_5_headers_cannot_be_injected() {
    let evil = ["a\r\nSet-Cookie: x=1", "a\nX: y", "a\rX: y", "a\0", "a\r\n\r\n<html>", "\r\n", "a\u{7f}"];
    let head = format!("{REQUEST}Sec-WebSocket-Protocol: chat\r\n\r\n");
    let mut handshake = ServerHandshake::new(HeadLimits::new());
    let Ok(Some(Incoming::Upgrade(request))) = handshake.poll(head.as_bytes()) else {
        panic!("the request was not accepted")
    };
    let mut out = [0; 1024];
    for value in evil {
        for name in [("X-Any", value), (value, "any")] {
            assert!(request.accept().headers(&[name]).write(&mut out).is_err(), "{name:?}");
            assert!(HttpResponse::new(403).headers(&[name]).write(&mut out).is_err(), "{name:?}");
            let headers = [name];
            let request = ClientRequest::new("a", "/").headers(&headers);
            assert!(ClientHandshake::new(request, [7; 16], HeadLimits::new()).is_err(), "{name:?}");
        }
        assert!(request.accept().subprotocol(value).write(&mut out).is_err(), "{value:?}");
        assert!(request.accept().extensions(value).write(&mut out).is_err(), "{value:?}");
        assert!(HttpResponse::new(403).reason_phrase(value).write(&mut out).is_err(), "{value:?}");
        assert!(HttpResponse::new(403).body(value, b"").write(&mut out).is_err(), "{value:?}");
        for request in [
            ClientRequest::new(value, "/"),
            ClientRequest::new("a", value),
            ClientRequest::new("a", "/").origin(value),
            ClientRequest::new("a", "/").extensions(value),
            ClientRequest::new("a", "/").subprotocols(&[value]),
        ] {
            assert!(ClientHandshake::new(request, [7; 16], HeadLimits::new()).is_err(), "{value:?}");
        }
        // A subprotocol from the wire cannot inject a line either.
        let head = format!("{REQUEST}Sec-WebSocket-Protocol: chat, {value}\r\n\r\n");
        if let Ok(Some(Incoming::Upgrade(request))) =
            ServerHandshake::new(HeadLimits::new()).poll(head.as_bytes())
        {
            assert!(request.subprotocols().all(|one| ["chat", "a"].contains(&one)), "{value:?}");
        }
    }
}

/// A client accepts only a response with the accept value of its own key.
#[test]
fn s4_1_a_response_to_another_key_is_refused() {
    let response = |key: &[u8]| {
        let accept = String::from_utf8(accept_key(key).to_vec()).unwrap();
        format!(
            "HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        )
    };
    let (own, other) = (response(&encode_nonce([7; 16])), response(&encode_nonce([8; 16])));
    assert!(matches!(client(HeadLimits::new()).poll(own.as_bytes()), Ok(Some(Reply::Open(_)))));
    assert!(client(HeadLimits::new()).poll(other.as_bytes()).is_err());
    assert!(client(HeadLimits::new()).poll(own.to_lowercase().replace("http", "HTTP").as_bytes()).is_err());
}
