//! Target: any values in a request or a response. Each is refused, or the other end reads it back unchanged.
//!
//! The target plays the application on both sides: it fills a client's request and a server's response with
//! arbitrary texts. Bytes from the wire are the subject of `handshake_client.rs` and `handshake_server.rs`.
#![no_main]

use arbitrary::Arbitrary;
use hybi::handshake::{
    ClientHandshake, ClientRequest, DeflateConfig, DeflateOffer, HandshakeError, HeadLimits, Headers,
    Incoming, HttpResponse, Reply, Request, ServerHandshake, WsUrl,
};
use hybi_fuzz::bit;
use libfuzzer_sys::fuzz_target;

const LIMITS: HeadLimits = HeadLimits::new().max_head(usize::MAX).max_headers(128);

#[derive(Arbitrary, Debug)]
struct Case<'a> {
    /// The values that are given at all.
    choice: u8,
    status: u16,
    /// Texts, each ended by 0xFF, which no text contains.
    texts: &'a [u8],
}

fuzz_target!(|case: Case<'_>| {
    let mut texts = case.texts.split(|byte| *byte == 0xFF).map(String::from_utf8_lossy);
    let mut next = || texts.next().unwrap_or_default().into_owned();
    let (host, target, origin, subprotocols, extensions) = (next(), next(), next(), next(), next());
    let (name, value, phrase) = (next(), next(), next());
    let (subprotocol, chosen, content) = (next(), next(), next());

    // A client begins with a URL.
    if let Ok(url) = WsUrl::parse(&host) {
        let request = ClientRequest::from_url(&url);
        let client = ClientHandshake::new(request, [0; 16], LIMITS).expect("a URL is what can be asked for");
        let head = client.to_vec();
        let request = upgrade(&head);
        assert_eq!((request.host(), request.target()), (url.authority(), with_slash(url.target()).as_str()));
    }

    let headers = [(name.as_str(), value.as_str())];
    let headers = if bit(case.choice, 0) { &headers[..] } else { &[] };
    let offers: Vec<_> = subprotocols.split(',').filter(|_| bit(case.choice, 1)).collect();
    let request = ClientRequest::new(&host, &target)
        .origin(bit(case.choice, 2).then_some(origin.as_str()))
        .subprotocols(&offers)
        .extensions(bit(case.choice, 3).then_some(extensions.as_str()))
        .deflate(bit(case.choice, 4).then(DeflateOffer::default))
        .headers(headers);
    let mut client = match ClientHandshake::new(request, *b"the sample nonce", LIMITS) {
        Ok(client) => client,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let head = client.to_vec();
    let request = upgrade(&head);
    assert_eq!((request.host(), request.target()), (host.as_str(), with_slash(&target).as_str()));
    assert_eq!(request.origin(), bit(case.choice, 2).then_some(origin.as_str()));
    assert!(request.subprotocols().eq(offers.iter().copied()));
    are_there(request.headers(), headers);

    let deflate = request.negotiate_deflate(&DeflateConfig::new()).filter(|_| bit(case.choice, 5));
    let answer = request
        .accept()
        .subprotocol(bit(case.choice, 6).then_some(subprotocol.as_str()))
        .deflate(deflate)
        .extensions(bit(case.choice, 7).then_some(chosen.as_str()))
        .headers(headers);
    if let Ok(answer) = answer.to_vec() {
        match client.clone().poll(&answer) {
            Ok(Some(Reply::Open(opened))) => {
                assert_eq!(opened.subprotocol(), bit(case.choice, 6).then_some(subprotocol.as_str()));
                assert_eq!(opened.head_len(), answer.len());
                assert!(deflate.is_none() || opened.deflate() == deflate);
                are_there(opened.headers(), headers);
            }
            // The text of the server's extensions comes from the application. Only their names are checked.
            Err(HandshakeError::Extensions(_)) if bit(case.choice, 7) => {}
            other => panic!("{other:?}"),
        }
    }

    let reject = HttpResponse::new(case.status).reason_phrase(&phrase).headers(headers);
    let reject = if bit(case.choice, 7) { reject.body(&chosen, content.as_bytes()) } else { reject };
    if let Ok(answer) = reject.to_vec() {
        let Ok(Some(Reply::Http(response))) = client.poll(&answer) else { panic!("no HTTP: {answer:?}") };
        assert_eq!((response.status(), response.reason()), (case.status, phrase.as_bytes()));
        let body = if bit(case.choice, 7) { content.as_bytes() } else { b"" };
        assert_eq!(&answer[response.head_len()..], body);
        are_there(response.headers(), headers);
    }
});

fn upgrade(head: &[u8]) -> Request<'_> {
    match ServerHandshake::new(LIMITS).poll(head) {
        Ok(Some(Incoming::Upgrade(request))) if request.head_len() == head.len() => request,
        other => panic!("a client sent {:?}, which is {other:?}", String::from_utf8_lossy(head)),
    }
}

fn with_slash(target: &str) -> String {
    if target.starts_with('/') { target.to_owned() } else { format!("/{target}") }
}

/// RFC 9110 5.5: checks that no given value has become a header of its own.
fn are_there(read: Headers<'_>, given: &[(&str, &str)]) {
    for (name, value) in given {
        assert!(read.get_all(name).any(|is| is == value.as_bytes()), "{name} is lost");
    }
    let known = [
        "Host",
        "Connection",
        "Upgrade",
        "Origin",
        "Content-Type",
        "Content-Length",
        "Allow",
        "Sec-WebSocket-Version",
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Extensions",
        "Sec-WebSocket-Accept",
    ];
    for header in read.iter() {
        let is = |name: &&str| name.eq_ignore_ascii_case(header.name);
        assert!(known.iter().any(is) || given.iter().any(|(name, _)| is(name)), "{header:?}");
    }
}
