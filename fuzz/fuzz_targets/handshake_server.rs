//! A fuzz target: a server reads any bytes as a request. The result must be the same at any split, and an accepted
//! request must get a valid answer.
//!
//! httparse reads the same head, and must find the same headers. A client that sent the request must accept the answer.
//! A refusal must be a valid response. `handshake_client.rs` tests responses.
#![no_main]

use arbitrary::Arbitrary;
use hybi::handshake::{
    ClientHandshake, ClientRequest, DeflateConfig, HandshakeError, HeadError, HeadLimits, Incoming, Reason,
    Rejection, Reply, Request, ServerHandshake,
};
use hybi_fuzz::memory::no_heap;
use hybi_fuzz::{arrivals, bit, http};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Case<'a> {
    /// Chooses the limits, and the configuration of the server.
    choice: u8,
    cuts: u16,
    bytes: &'a [u8],
}

fuzz_target!(|case: Case<'_>| {
    let limits = HeadLimits::new()
        .max_head([16384, 1000, 200, 0][usize::from(case.choice & 3)])
        .max_headers([100, 6][usize::from(case.choice >> 2 & 1)]);
    let whole = no_heap(|| ServerHandshake::new(limits).poll(case.bytes));
    let mut handshake = ServerHandshake::new(limits);
    let mut cut = Ok(None);
    for len in arrivals(case.cuts, case.bytes.len()) {
        cut = no_heap(|| handshake.poll(&case.bytes[..len]));
        if !matches!(cut, Ok(None)) {
            break;
        }
    }
    assert_eq!(format!("{cut:?}"), format!("{whole:?}"));
    let looked_at = &case.bytes[..case.bytes.len().min(limits.max_head)];
    let is_head = looked_at.strip_prefix(b"\r\n").unwrap_or(looked_at).starts_with(b"HEAD ");
    match whole {
        Ok(None) => assert!(case.bytes.len() < limits.max_head.max(1)),
        Ok(Some(Incoming::Upgrade(request))) => {
            check_request(case.bytes, &request);
            check_answer(&request, bit(case.choice, 3));
        }
        Ok(Some(Incoming::Http(request))) => {
            http::is_read_by_others(case.bytes, request.head_len(), request.headers());
            check_refusal(request.rejection(), is_head);
        }
        Err(rejection) => check_refusal(rejection, is_head),
    }
});

/// Checks an accepted request against each rule of RFC 6455 4.2.1.
fn check_request(bytes: &[u8], request: &Request<'_>) {
    http::is_read_by_others(bytes, request.head_len(), request.headers());
    let line = bytes[..request.head_len()].trim_ascii_start().split(|byte| *byte == b'\r').next().unwrap();
    assert!(line.starts_with(b"GET ") && line[..line.len() - 1].ends_with(b" HTTP/1."));
    assert_eq!(line[4..line.len() - 9], *request.target().as_bytes());
    let once = |name| request.headers().get_only(name).expect("once");
    assert_eq!(once("Sec-WebSocket-Version"), b"13");
    assert_eq!((once("Sec-WebSocket-Key"), request.key().len()), (request.key(), 24));
    assert!(!once("Host").is_empty());
    assert!(http::list(request.headers(), "Upgrade").any(|one| one.eq_ignore_ascii_case(b"websocket")));
    assert!(http::list(request.headers(), "Connection").any(|one| one.eq_ignore_ascii_case(b"upgrade")));
    assert!(request.headers().get("Transfer-Encoding").is_none());
    assert!(request.headers().get_all("Content-Length").all(|len| len.iter().all(|digit| *digit == b'0')));
    let mut offers: Vec<_> = request.subprotocols().collect();
    let count = offers.len();
    offers.sort_unstable();
    offers.dedup();
    assert_eq!(offers.len(), count, "each subprotocol must be returned once");
}

/// Checks that the client that sent this request accepts the answer.
fn check_answer(request: &Request<'_>, with_deflate: bool) {
    let offers: Vec<_> = request.subprotocols().collect();
    let chosen = request.select_subprotocol(&offers);
    assert_eq!(chosen, offers.first().copied());
    let deflate = request.negotiate_deflate(&DeflateConfig::new()).filter(|_| with_deflate);
    let response = request.accept().subprotocol(chosen).deflate(deflate).to_vec().unwrap();

    let extensions: Vec<_> = http::list(request.headers(), "Sec-WebSocket-Extensions").collect();
    let extensions = String::from_utf8(extensions.join(&b", "[..])).unwrap();
    let sent = ClientRequest::new("a", "/")
        .subprotocols(&offers)
        .extensions(Some(extensions.as_str()).filter(|text| !text.is_empty()));
    let mut client = ClientHandshake::new(sent, http::nonce(request.key()), HeadLimits::new()).unwrap();
    assert_eq!(client.key()[..21], request.key()[..21]);
    if client.key() != request.key() {
        // The last digit of this key has unused bits that are set. This client encodes the same 16 bytes differently.
        // The server computes the accept value from the key as it was sent, so this client must refuse the answer.
        assert_eq!(client.poll(&response).err(), Some(HandshakeError::AcceptWrong));
        return;
    }
    let Ok(Some(Reply::Open(opened))) = client.poll(&response) else {
        panic!("the client refuses its answer")
    };
    assert_eq!((opened.subprotocol(), opened.deflate()), (chosen, deflate));
    assert_eq!(opened.head_len(), response.len());
}

fn check_refusal(rejection: Rejection, is_head: bool) {
    assert_ne!(
        rejection.reason(),
        Reason::Head(HeadError::Changed),
        "hybi and httparse read different headers"
    );
    assert!((400..500).contains(&rejection.status()));
    let response = rejection.response().to_vec().unwrap();
    assert_eq!(http::read_answer(&response, is_head), rejection.status());
}
