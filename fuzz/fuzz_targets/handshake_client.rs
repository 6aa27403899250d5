//! A fuzz target: a client reads any bytes as a response. The result must be the same at any split. A response that
//! opens a connection must match the request.
//!
//! httparse reads the same head, and must find the same status and headers. The input chooses limits and offers.
//! `handshake_server.rs` tests requests.
#![no_main]

use arbitrary::Arbitrary;
use hybi::handshake::{
    ClientHandshake, ClientRequest, DeflateOffer, HandshakeError, HeadError, HeadLimits, Headers, Opened,
    Reply,
};
use hybi_fuzz::memory::no_heap;
use hybi_fuzz::{arrivals, bit, http};
use libfuzzer_sys::fuzz_target;

const ACCEPT: &[u8] = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

#[derive(Arbitrary, Debug)]
struct Case<'a> {
    /// Chooses the offers and the limits.
    choice: u8,
    cuts: u16,
    bytes: &'a [u8],
}

fuzz_target!(|case: Case<'_>| {
    let subprotocols = if bit(case.choice, 0) { &["chat", "superchat"][..] } else { &[] };
    let offer = DeflateOffer::default()
        .server_no_context_takeover(bit(case.choice, 2))
        .server_max_window_bits(bit(case.choice, 3).then_some(10));
    let request = ClientRequest::new("server.example.com", "/chat")
        .subprotocols(subprotocols)
        .deflate(bit(case.choice, 1).then_some(offer))
        .extensions(bit(case.choice, 4).then_some("x-a; b, permessage-deflate; server_max_window_bits=12"));
    let limits = HeadLimits::new()
        .max_head([16384, 1000, 200][usize::from(case.choice >> 5) % 3])
        .max_headers(if bit(case.choice, 7) { 6 } else { 100 });
    let handshake = ClientHandshake::new(request, *b"the sample nonce", limits).unwrap();

    let whole = no_heap(|| handshake.clone().poll(case.bytes));
    let (mut handshake, mut cut) = (handshake, Ok(None));
    for len in arrivals(case.cuts, case.bytes.len()) {
        cut = no_heap(|| handshake.poll(&case.bytes[..len]));
        if !matches!(cut, Ok(None)) {
            break;
        }
    }
    assert_eq!(format!("{cut:?}"), format!("{whole:?}"));
    match whole {
        Ok(None) => assert!(case.bytes.len() < limits.max_head),
        Ok(Some(Reply::Open(opened))) => {
            assert_eq!(last_head(case.bytes, opened.head_len(), opened.headers()), 101);
            check_response(&opened, subprotocols, bit(case.choice, 1) || bit(case.choice, 4));
        }
        Ok(Some(Reply::Http(response))) => {
            let status = last_head(case.bytes, response.head_len(), response.headers());
            assert_eq!(status, response.status());
            assert!(!(100..200).contains(&status));
            let head = &case.bytes[response.head_start()..response.head_len()];
            assert_eq!(last_head(head, head.len(), response.headers()), status);
        }
        Err(error) => {
            assert_ne!(
                error,
                HandshakeError::Head(HeadError::Changed),
                "hybi and httparse read different headers"
            );
            assert!(error.to_string().contains("RFC "));
        }
    }
});

/// Checks an accepted response against each header rule of RFC 6455 4.1.
fn check_response(opened: &Opened<'_>, subprotocols: &[&str], deflate: bool) {
    let once = |name| opened.headers().get_only(name).expect("once");
    assert_eq!(once("Sec-WebSocket-Accept"), ACCEPT);
    assert!(once("Upgrade").eq_ignore_ascii_case(b"websocket"));
    assert!(http::list(opened.headers(), "Connection").any(|one| one.eq_ignore_ascii_case(b"upgrade")));
    let subprotocol = opened.headers().get("Sec-WebSocket-Protocol");
    assert_eq!(opened.subprotocol().map(str::as_bytes), subprotocol);
    assert!(opened.subprotocol().is_none_or(|one| subprotocols.contains(&one)));
    assert!(opened.deflate().is_none() || deflate);
    for extension in opened.extensions() {
        assert!(matches!(extension.name, "x-a" | "permessage-deflate") && deflate);
    }
}

/// Returns the status of the last head in `bytes`, after interim responses, as httparse reads it.
fn last_head(bytes: &[u8], len: usize, headers: Headers<'_>) -> u16 {
    let mut rest = &bytes[..len];
    loop {
        let mut slots = [httparse::EMPTY_HEADER; 128];
        let mut head = httparse::Response::new(&mut slots);
        match head.parse(rest) {
            Ok(status) => rest = &rest[status.unwrap()..],
            // httparse does not support later versions of HTTP/1.x.
            Err(httparse::Error::Version) => return status_by_hand(bytes, len),
            Err(error) => panic!("{error}"),
        }
        let code = head.code.expect("httparse found no status");
        if rest.is_empty() {
            http::are_same(head.headers, headers);
            return code;
        }
        assert!(
            (100..200).contains(&code) && code != 101,
            "the client skipped a response with status {code}"
        );
    }
}

/// Returns the status of the last head without the help of httparse.
fn status_by_hand(bytes: &[u8], len: usize) -> u16 {
    let head = bytes[..len].strip_suffix(b"\r\n\r\n").expect("a complete head ends with an empty line");
    let start = head.windows(4).rposition(|end| end == b"\r\n\r\n").map_or(0, |at| at + 4);
    std::str::from_utf8(&head[start + 9..start + 12]).unwrap().parse().unwrap()
}
