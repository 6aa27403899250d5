//! Conversions between this crate and the types of the crate `http`, without a network.
//!
//! `tests/net/http_types.rs` has clients that send an `http::Request`.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use http::{HeaderValue, Method, Request, Version};
use hybi::handshake::{
    ClientHandshake, HandshakeInfo, HeadLimits, HeaderError, HeaderName, Headers, HttpClientRequest,
    HttpRequestError, Incoming, Reply, RequestError, RequestHead, ServerHandshake, UrlError,
};

const NONCE: [u8; 16] = *b"the sample nonce";

/// Returns a request for `uri` with these headers.
fn request(uri: &str, headers: &[(&str, &[u8])]) -> Request<()> {
    let builder = Request::get(uri);
    let add = |builder: http::request::Builder, (name, value): &(&str, &[u8])| {
        builder.header(*name, HeaderValue::from_bytes(value).unwrap())
    };
    headers.iter().fold(builder, add).body(()).unwrap()
}

/// Returns the header lines that the handshake writes for `request`.
fn header_lines(request: &Request<()>) -> Vec<String> {
    let converted = HttpClientRequest::try_from(request).unwrap();
    let handshake = ClientHandshake::new(converted.client_request(), NONCE, HeadLimits::new()).unwrap();
    let text = String::from_utf8(handshake.to_vec()).unwrap();
    text.strip_suffix("\r\n\r\n").unwrap().split("\r\n").skip(1).map(str::to_owned).collect()
}

fn error(request: &Request<()>) -> HttpRequestError {
    HttpClientRequest::try_from(request).unwrap_err()
}

fn reserved(name: &str) -> HttpRequestError {
    RequestError::Header(HeaderError::Reserved(HeaderName::new(name))).into()
}

/// The lines that the handshake writes in each request for `ws://a`.
const OWN: [&str; 5] = [
    "Host: a",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

#[test]
fn s4_1_headers_of_the_application_are_sent_in_their_order() {
    let headers: [(&str, &[u8]); 5] = [
        ("X-One", b"1"),
        ("Cookie", b"a=1"),
        ("X-Text", "gr\u{fc}ezi, \u{4e16}".as_bytes()),
        ("Cookie", b"b=2"),
        ("X-Empty", b""),
    ];
    let lines = header_lines(&request("ws://a/x?y", &headers));
    assert_eq!(lines[..5], OWN);
    let values: Vec<&str> = lines[5..].iter().map(String::as_str).collect();
    // The crate `http` groups headers of the same name.
    assert_eq!(
        values,
        ["x-one: 1", "cookie: a=1", "cookie: b=2", "x-text: gr\u{fc}ezi, \u{4e16}", "x-empty: "]
    );
}

#[test]
fn s4_1_subprotocols_and_the_origin_become_settings() {
    let headers: [(&str, &[u8]); 3] = [
        ("Sec-WebSocket-Protocol", b"chat.v3, chat.v2"),
        ("Origin", b"https://example.com"),
        ("Sec-WebSocket-Protocol", b"chat.v1 ,"),
    ];
    let request = request("wss://example.com:8443", &headers);
    let converted = HttpClientRequest::try_from(&request).unwrap();
    assert_eq!(converted.subprotocols(), ["chat.v3", "chat.v2", "chat.v1"]);
    assert_eq!((converted.origin(), converted.headers()), (Some("https://example.com"), &[][..]));
    let url = converted.url();
    assert!(url.secure());
    assert_eq!((url.authority(), url.port(), url.target()), ("example.com:8443", 8443, "/"));
    let shown = format!(
        "{:?}",
        HttpClientRequest::try_from(&self::request("ws://a/?secret", &[("Cookie", b"secret")]))
    );
    assert!(shown.contains("cookie") && !shown.contains("secret"), "{shown}");
}

#[test]
fn a_request_that_was_built_for_tungstenite_is_accepted() {
    let of_tungstenite: [(&str, &[u8]); 6] = [
        ("Host", b"a"),
        ("Connection", b"Upgrade"),
        ("Upgrade", b"websocket"),
        ("Sec-WebSocket-Version", b"13"),
        ("Sec-WebSocket-Key", b"AAAAAAAAAAAAAAAAAAAAAA=="),
        ("Authorization", b"Bearer 7f3a"),
    ];
    let lines = header_lines(&request("ws://a/", &of_tungstenite));
    assert_eq!(lines[..5], OWN, "the key is a fresh one");
    assert_eq!(lines[5..], ["authorization: Bearer 7f3a"]);
    // Browsers and other libraries write the same values in these forms.
    for (name, value) in [
        ("host", "A"),
        ("host", "a:80"),
        ("connection", "keep-alive, Upgrade"),
        ("connection", "upgrade"),
        ("upgrade", "WebSocket"),
    ] {
        assert_eq!(header_lines(&request("ws://a/", &[(name, value.as_bytes())])), OWN, "{name}: {value}");
    }
}

#[test]
fn s4_1_a_header_of_the_handshake_with_another_value_is_an_error() {
    for (name, value) in [
        ("host", "b"),
        ("host", "a:81"),
        ("host", ""),
        ("host", "a, a"),
        ("connection", "close"),
        ("connection", "Upgrade, X-Hop"),
        ("connection", "keep-alive"),
        ("upgrade", "h2c"),
        ("upgrade", "websocket, h2c"),
        ("sec-websocket-version", "8"),
        ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ("sec-websocket-extensions", "permessage-deflate"),
        ("sec-websocket-more", "x"),
        ("content-length", "0"),
        ("transfer-encoding", "chunked"),
    ] {
        let error = error(&request("ws://a/", &[(name, value.as_bytes())]));
        assert_eq!(error, reserved(name), "{name}: {value}");
        assert!(error.to_string().contains(&format!("{name:?}")), "{error}");
    }
}

#[test]
fn s4_1_a_request_that_cannot_be_sent_is_an_error() {
    use HttpRequestError as E;
    for (uri, expected) in [
        ("/chat", E::NotAbsolute),
        ("example.com", E::NotAbsolute),
        ("ftp://a/", E::Url(UrlError::Scheme)),
        ("ws://u:p@a/", E::Url(UrlError::UserInfo)),
        ("ws://a:0/", E::Url(UrlError::Port)),
        ("ws://a:99999/", E::Url(UrlError::Port)),
        ("ws://a/\u{fc}", E::Url(UrlError::Character)),
    ] {
        let Ok(built) = Request::get(uri).body(()) else { panic!("{uri} is not a URI") };
        assert_eq!(error(&built), expected, "{uri}");
    }
    // `http::Uri` drops a fragment itself.
    assert_eq!(header_lines(&request("ws://a/#top", &[])), OWN);

    let mut post = request("ws://a/", &[]);
    *post.method_mut() = Method::POST;
    assert_eq!(error(&post), E::Method);
    for version in [Version::HTTP_09, Version::HTTP_10, Version::HTTP_2, Version::HTTP_3] {
        let mut other = request("ws://a/", &[]);
        *other.version_mut() = version;
        assert_eq!(error(&other), E::Version);
    }
    let name = HeaderName::new("x-name");
    for (headers, expected) in [
        (&[("X-Name", &b"\xfc"[..])][..], E::NotUtf8(name)),
        (&[("X-Name", b" x")], E::Request(RequestError::Header(HeaderError::Value(name)))),
        (&[("Origin", b"https://a"), ("Origin", b"https://a")], E::OriginRepeated),
        (&[("Origin", b"https://a b")], E::Request(RequestError::Origin)),
        (&[("Sec-WebSocket-Protocol", b"a b")], E::Request(RequestError::Subprotocol)),
        (&[("Sec-WebSocket-Protocol", b"a, b, a")], E::Request(RequestError::SubprotocolRepeated)),
    ] {
        assert_eq!(error(&request("ws://a/", headers)), expected, "{headers:?}");
    }
}

#[test]
fn s4_1_a_received_response_has_all_its_headers() {
    let request = request("ws://a/", &[]);
    let converted = HttpClientRequest::try_from(&request).unwrap();
    let mut handshake = ClientHandshake::new(converted.client_request(), NONCE, HeadLimits::new()).unwrap();
    let head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSet-Cookie: a\r\nX-Bytes: \xff\r\nSet-Cookie: b\r\n\r\n";
    let Ok(Some(Reply::Open(opened))) = handshake.poll(head) else { panic!("open") };
    let kept = HandshakeInfo::new("/", None, opened.headers());
    for response in [opened.to_http_response(), kept.to_http_response().unwrap()] {
        assert_eq!((response.status().as_u16(), response.version()), (101, Version::HTTP_11));
        assert_eq!(response.headers().len(), 6);
        assert!(response.headers().get_all("set-cookie").iter().eq(["a", "b"]));
        assert_eq!(response.headers()["x-bytes"].as_bytes(), b"\xff");
    }
    for (head, status, version) in [
        (
            &b"HTTP/1.1 100 Continue\r\nA: b\r\n\r\nHTTP/1.1 401 No\r\nC: d\r\n\r\nbody"[..],
            401,
            Version::HTTP_11,
        ),
        (b"HTTP/1.0 999\r\nC: d\r\n\r\n", 999, Version::HTTP_10),
    ] {
        let mut handshake =
            ClientHandshake::new(converted.client_request(), NONCE, HeadLimits::new()).unwrap();
        let Ok(Some(Reply::Http(reply))) = handshake.poll(head) else { panic!("{head:?}") };
        let response = reply.to_http_response();
        assert_eq!((response.status().as_u16(), response.version()), (status, version));
        assert_eq!((response.headers().len(), &response.headers()["c"]), (1, &HeaderValue::from_static("d")));
    }
}

#[test]
fn s4_2_1_a_received_request_is_converted_to_an_http_request_and_back() {
    for target in ["/chat?room=1", "/", "http://a/chat", "//a/b", "/a//b?c=d?e/f"] {
        let head = format!(
            "GET {target} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nCookie: a\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: b\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        let mut server = ServerHandshake::new(HeadLimits::new());
        let Ok(Some(Incoming::Upgrade(received))) = server.poll(head.as_bytes()) else { panic!("{target}") };
        let head = RequestHead::from(received);
        let request = head.to_http_request().unwrap();
        assert_eq!((request.method(), request.version()), (&Method::GET, Version::HTTP_11));
        assert_eq!(request.uri(), target);
        assert!(request.headers().get_all("cookie").iter().eq(["a", "b"]));
        assert_eq!(request.headers().len(), head.headers().iter().count());
        let back = RequestHead::try_from(&request).unwrap();
        assert_eq!((back.method(), back.target()), (head.method(), head.target()));
        assert!(back.check().is_ok());
        assert!(back.headers().get_all("Cookie").eq(head.headers().get_all("Cookie")));
    }
    // The crate `http` refuses some targets that browsers send.
    assert!(RequestHead::new("GET", "/<").to_http_request().is_err());
    assert!(RequestHead::new("", "/").to_http_request().is_err());
}

#[test]
fn headers_beyond_the_limits_of_the_crate_http_are_left_out_without_a_panic() {
    let many = "a: b\r\n".repeat(40_000);
    let count = Headers::from_lines(many.as_bytes()).to_header_map().len();
    assert!((24_576..=40_000).contains(&count), "{count}");
    let different: String = (0..40_000).map(|number| format!("a{number}: b\r\n")).collect();
    let count = Headers::from_lines(different.as_bytes()).to_header_map().len();
    assert!((24_576..=32_768).contains(&count), "{count}");
    let long = format!("{}: b\r\nc: d\r\n", "a".repeat(70_000));
    assert_eq!(Headers::from_lines(long.as_bytes()).to_header_map().len(), 1);
}

#[test]
fn errors_name_a_rule_and_tell_what_to_do() {
    use std::error::Error;
    let inner = [HttpRequestError::Url(UrlError::Port), reserved("connection")];
    for error in inner {
        assert_eq!(error.source().map(ToString::to_string), Some(error.to_string()));
    }
    let own = [
        HttpRequestError::Method,
        HttpRequestError::Version,
        HttpRequestError::NotAbsolute,
        HttpRequestError::OriginRepeated,
        HttpRequestError::NotUtf8(HeaderName::new("x-name")),
    ];
    for error in own {
        let text = error.to_string();
        assert!(text.contains("RFC ") && text.contains("): ") && error.source().is_none(), "{text}");
    }
}
