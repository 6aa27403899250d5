//! A fuzz target: an application passes any values for a request or a response. Each value must be refused, or the peer
//! must read it unchanged.
//!
//! The target is the application on both sides. It fills a client's request and a server's response with arbitrary
//! texts. `handshake_client.rs` and `handshake_server.rs` test arbitrary bytes from the wire.
#![no_main]

use arbitrary::Arbitrary;
use hybi::handshake::{
    ClientHandshake, ClientRequest, DeflateConfig, DeflateOffer, HandshakeError, HeadLimits, Headers,
    HttpResponse, Incoming, Reply, Request, ServerHandshake, WsUrl,
};
use hybi_fuzz::bit;
use libfuzzer_sys::fuzz_target;

const LIMITS: HeadLimits = HeadLimits::new().max_head(usize::MAX).max_headers(128);

#[derive(Arbitrary, Debug)]
struct Case<'a> {
    /// Chooses which of the values are used.
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

    // Every valid URL can be used for a request.
    if let Ok(url) = WsUrl::parse(&host) {
        let request = ClientRequest::from_url(&url);
        let client =
            ClientHandshake::new(request, [0; 16], LIMITS).expect("a valid URL gives a valid request");
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
    check_headers(request.headers(), headers);

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
                check_headers(opened.headers(), headers);
            }
            // The application supplies the server's extensions as text, and the server checks only their names. So the
            // client may refuse the parameters.
            Err(HandshakeError::Extensions(_)) if bit(case.choice, 7) => {}
            other => panic!("{other:?}"),
        }
    }

    let reject = HttpResponse::new(case.status).reason_phrase(&phrase).headers(headers);
    let reject = if bit(case.choice, 7) { reject.body(&chosen, content.as_bytes()) } else { reject };
    if let Ok(answer) = reject.to_vec() {
        let Ok(Some(Reply::Http(response))) = client.poll(&answer) else {
            panic!("the client does not read HTTP in {answer:?}")
        };
        assert_eq!((response.status(), response.reason()), (case.status, phrase.as_bytes()));
        let body = if bit(case.choice, 7) { content.as_bytes() } else { b"" };
        assert_eq!(&answer[response.head_len()..], body);
        check_headers(response.headers(), headers);
    }
});

fn upgrade(head: &[u8]) -> Request<'_> {
    match ServerHandshake::new(LIMITS).poll(head) {
        Ok(Some(Incoming::Upgrade(request))) if request.head_len() == head.len() => request,
        other => {
            panic!("a server reads the client's request {:?} as {other:?}", String::from_utf8_lossy(head))
        }
    }
}

fn with_slash(target: &str) -> String {
    if target.starts_with('/') { target.to_owned() } else { format!("/{target}") }
}

/// Checks that all given headers were read, and that no given value was read as another header (RFC 9110 5.5).
fn check_headers(read: Headers<'_>, given: &[(&str, &str)]) {
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
