//! The opening handshake of both roles: tables of requests and responses, refusals, and mutated heads.
//!
//! Each input is cut into reads in many ways, and the outcome must always be the same. `tests/vectors.rs` runs the test
//! vectors in the same way. The parsers of single values have unit tests beside their code. `tests/net/open.rs` and
//! `tests/async_adapters/open.rs` test the handshakes of the adapters.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stand outside of #[test] functions"
)]

use std::fs;

use hybi::handshake::*;
use serde_json::{Value, json};

use support::handshake::{bytes, client_outcome, header, server_outcome};

mod support;

fn cases(file: &str) -> Vec<Value> {
    let path = format!("{}/tests/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

// ---- splits --------------------------------------------------------------------------------

/// Returns ways to split `len` bytes. These are one piece, single bytes, two pieces for each cut in the first 4096
/// bytes, and eight random splits. A split lists, for each call, the number of bytes that have arrived in all.
fn splits(len: usize) -> Vec<Vec<usize>> {
    let mut all = vec![vec![len], (0..=len).collect()];
    all.extend((0..len.min(4096)).map(|at| vec![at, len]));
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..8 {
        let mut cuts: Vec<usize> = (0..1 + len / 40)
            .map(|_| {
                // xorshift64
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                usize::try_from(seed % (len as u64 + 1)).unwrap()
            })
            .collect();
        cuts.sort_unstable();
        cuts.push(len);
        all.push(cuts);
    }
    all
}

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

/// Sends a request with these lines to a server, once for each split, and checks that all outcomes are equal. Returns
/// the status and the response. The status is 101 for an accepted request and 0 for an incomplete one.
fn serve(config: &Value, lines: &[&str]) -> (u64, String) {
    let input: Vec<u8> = bytes(&json!(lines.join("\r\n") + "\r\n\r\n"));
    let mut all = splits(input.len()).into_iter().map(|cuts| server_outcome(config, &input, &cuts));
    let first = all.next().unwrap();
    assert!(all.all(|other| other == first));
    let status = match first.0["outcome"].as_str() {
        Some("accept") => 101,
        Some("need-more") => 0,
        _ => first.0["status"].as_u64().unwrap(),
    };
    (status, String::from_utf8(first.1).unwrap())
}

/// Sends a valid request in which `lines` replace the headers of the same names. Returns the status of the response.
fn with(config: Value, lines: &[&str]) -> u64 {
    let good = [
        "GET /chat HTTP/1.1",
        "Host: server.example.com",
        "Upgrade: websocket",
        "Connection: Upgrade",
        KEY,
        "Sec-WebSocket-Version: 13",
    ];
    let name = |line: &str| line.split([':', ' ']).next().unwrap().to_ascii_lowercase();
    let new: Vec<String> = lines.iter().map(|line| name(line)).collect();
    let first = lines.iter().find(|line| line.contains(" HTTP/")).copied();
    let mut all = vec![first.unwrap_or(good[0])];
    all.extend(good[1..].iter().filter(|line| !new.contains(&name(line))));
    // A line that is only a name removes the header with this name.
    all.extend(lines.iter().filter(|line| Some(**line) != first && line.contains([':', ' '])));
    serve(&config, &all).0
}

#[test]
fn s4_2_1_each_request_header_is_accepted_or_refused() {
    let many = (0..95).map(|n| format!("X-{n}: v")).collect::<Vec<_>>();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let table: &[(u64, &[&str])] = &[
        (101, &[]),
        // target, method, version
        (101, &["GET ws://websocket.example.com/ HTTP/1.1"]),
        (101, &["GET wss://a:9/x?y HTTP/1.1"]),
        (101, &["GET HTTP://a HTTP/1.1"]),
        (101, &["GET https://a?q HTTP/1.1"]),
        (101, &["GET //a/b?c|d HTTP/1.1"]),
        (101, &["GET / HTTP/1.2"]),
        (400, &["GET ftp://a/ HTTP/1.1"]),
        (400, &["GET http:///x HTTP/1.1"]),
        (400, &["GET http://u@a/x HTTP/1.1"]),
        (400, &["GET server.example.com:80 HTTP/1.1"]),
        (400, &["GET /a#b HTTP/1.1"]),
        (400, &["GET  HTTP/1.1"]),
        (400, &["GET / HTTP/1.1 "]),
        (400, &["GET / HTTP/2.0"]),
        (400, &["GET / HTTP/1.10"]),
        (400, &["GET / http/1.1"]),
        (400, &["CONNECT a:80 HTTP/1.1"]),
        (405, &["HEAD / HTTP/1.1"]),
        (405, &["get / HTTP/1.1"]),
        (405, &["CONNECT /chat HTTP/1.1"]),
        // Host
        (400, &["Host"]),
        (400, &["Host: a", "Host: a"]),
        (400, &["Host: a,b"]),
        (400, &["Host: u@a"]),
        (400, &["Host: a/b"]),
        (400, &["Host: a:b"]),
        (400, &["Host: \u{e9}"]),
        (400, &["Host:"]),
        (101, &["hOST:\ta.b:80 \t"]),
        // Upgrade, Connection
        (426, &["Upgrade"]),
        (426, &["Upgrade:"]),
        (426, &["Upgrade: h2c"]),
        (426, &["Upgrade: websockets"]),
        (426, &["Upgrade: websocket/13"]),
        (101, &["Upgrade: h2c, WebSocket"]),
        (101, &["Upgrade: h2c", "Upgrade: , websocket,"]),
        (400, &["Connection"]),
        (400, &["Connection: keep-alive"]),
        (400, &["Connection: upgraded"]),
        (400, &["Connection: not-upgrade"]),
        (400, &["Connection: \"upgrade\""]),
        (101, &["Connection: close,\tUPGRADE"]),
        // key
        (400, &["Sec-WebSocket-Key"]),
        (400, &["Sec-WebSocket-Key:"]),
        (400, &[KEY, KEY]),
        (400, &["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ"]),
        (400, &["Sec-WebSocket-Key: dGhlIHNhbXBsZQ=="]),
        (400, &["Sec-WebSocket-Key: dGhlIHNhbXBs ZSBub25jZQ=="]),
        (400, &["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ==="]),
        (400, &["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ-=="]),
        (400, &["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR=A"]),
        // RFC 4648 3.5: the unused bits after the 16 bytes may be set, as in the example of RFC 6455 4.1 (7).
        (101, &["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR=="]),
        (101, &["Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEC=="]),
        (400, &["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==, AAAAAAAAAAAAAAAAAAAAAA=="]),
        (101, &["sec-websocket-key: \t dGhlIHNhbXBsZSBub25jZQ== "]),
        // version
        (400, &["Sec-WebSocket-Version"]),
        (400, &["Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 13"]),
        (400, &["Sec-WebSocket-Version: 13, 8"]),
        (400, &["Sec-WebSocket-Version: 1 3"]),
        (400, &["Sec-WebSocket-Version: 256"]),
        (426, &["Sec-WebSocket-Version: 0"]),
        (426, &["Sec-WebSocket-Version: 8"]),
        (426, &["Sec-WebSocket-Version: 255"]),
        (426, &["Sec-WebSocket-Version: 14", "Sec-WebSocket-Key"]),
        // body
        (101, &["Content-Length: 0"]),
        (400, &["Content-Length:"]),
        (400, &["Content-Length: 0, 5"]),
        (400, &["Content-Length: 0", "Content-Length: 5"]),
        (400, &["Content-Length: -0"]),
        (400, &["Transfer-Encoding: chunked"]),
        (400, &["Transfer-Encoding: identity"]),
        // subprotocols
        (101, &["Sec-WebSocket-Protocol: a, b", "Sec-WebSocket-Protocol: c"]),
        (101, &["Sec-WebSocket-Protocol: a,, b ,"]),
        // An empty list counts as absent.
        (101, &["Sec-WebSocket-Protocol:"]),
        (101, &["Sec-WebSocket-Protocol: \t "]),
        (101, &["Sec-WebSocket-Protocol: ,"]),
        (101, &["Sec-WebSocket-Protocol:", "Sec-WebSocket-Protocol: , ,"]),
        (101, &["Sec-WebSocket-Protocol:", "Sec-WebSocket-Protocol: a"]),
        (400, &["Sec-WebSocket-Protocol:", "Sec-WebSocket-Protocol: a b"]),
        (400, &["Sec-WebSocket-Protocol: a, a"]),
        (400, &["Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: b,a"]),
        (101, &["Sec-WebSocket-Protocol: a, A"]),
        (400, &["Sec-WebSocket-Protocol: a b"]),
        (400, &["Sec-WebSocket-Protocol: \"a\""]),
        (400, &["Sec-WebSocket-Protocol: a\u{e9}"]),
        // extensions, of which the server supports none
        (101, &["Sec-WebSocket-Extensions: a, b;c=\"d\""]),
        (400, &["Sec-WebSocket-Extensions:"]),
        (400, &["Sec-WebSocket-Extensions: a", "Sec-WebSocket-Extensions: b;"]),
        (101, &["Sec-WebSocket-Extensions: a", "Sec-WebSocket-Extensions:"]),
        // origin
        (101, &["Origin: http://evil.example"]),
        (400, &["Origin: http://a", "Origin: http://b"]),
        (400, &["Origin: \u{e9}"]),
        // syntax
        (101, &["X-Obs: caf\u{e9}\u{ff}", "X-Empty:"]),
        (400, &["no colon"]),
        (400, &["X: \u{1}"]),
        (400, &["X: a\nY: b"]),
        (400, &["X: a\rY: b"]),
        (400, &["X: a", "\tb: c"]),
        // 100 headers are accepted, 101 are not.
        (101, &many),
        (431, &[&many[..], &["X-95: v"]].concat()),
    ];
    for &(status, lines) in table {
        assert_eq!(with(json!({}), lines), status, "{lines:?}");
    }
}

/// RFC 6455 4.2.2 (5.4): the accept value is computed from the key as it was sent, even if an encoder would write
/// that key differently.
#[test]
fn s4_2_2_5_4_the_accept_value_is_computed_from_the_key_as_sent() {
    // The last digit has four unused bits, so all 64 digits decode to one of four nonces.
    let digits = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['+', '/']);
    let mut seen = std::collections::HashSet::new();
    for digit in digits {
        let key = format!("dGhlIHNhbXBsZSBub25jZ{digit}==");
        let (status, response) = serve(
            &json!({}),
            &[
                "GET / HTTP/1.1",
                "Host: a",
                "Upgrade: websocket",
                "Connection: Upgrade",
                &format!("Sec-WebSocket-Key: {key}"),
                "Sec-WebSocket-Version: 13",
            ],
        );
        assert_eq!(status, 101, "{key}");
        let accept = header(response.as_bytes(), "Sec-WebSocket-Accept").unwrap();
        assert_eq!(accept.as_bytes(), accept_key(key.as_bytes()));
        assert!(seen.insert(accept));
    }
}

#[test]
fn s4_2_2_an_empty_list_of_subprotocols_offers_none() {
    for value in ["", " ", ",", "\t, ,", "\r\nSec-WebSocket-Protocol:", ",\r\nSec-WebSocket-Protocol: ,"] {
        let head = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{KEY}\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol:{value}\r\n\r\n"
        );
        for cuts in splits(head.len()) {
            let config = json!({"subprotocols": ["chat", ""]});
            let (outcome, response) = server_outcome(&config, head.as_bytes(), &cuts);
            assert_eq!(
                (&outcome["outcome"], &outcome["protocol"]),
                (&json!("accept"), &json!(null)),
                "{value:?}"
            );
            assert_eq!(header(&response, "Sec-WebSocket-Protocol"), None);
        }
        let Ok(Some(Incoming::Upgrade(request))) =
            ServerHandshake::new(HeadLimits::new()).poll(head.as_bytes())
        else {
            panic!("the server did not accept the request");
        };
        assert_eq!(request.subprotocols().count(), 0);
        assert!(!request.offers_subprotocol(""));
        let response = request.accept().subprotocol("chat");
        assert_eq!(response.write(&mut [0; 256]), Err(ResponseError::SubprotocolNotOffered));
    }
}

#[test]
fn s4_2_2_origins_are_checked() {
    let config = json!({"origins": ["https://example.com"]});
    for (status, line) in [
        (101, "Origin: https://example.com"),
        (101, "Origin: HTTPS://EXAMPLE.com"),
        (101, "X: y"),
        (403, "Origin: https://example.com.evil.example"),
        (403, "Origin: https://example.com:8443"),
        (403, "Origin: https://sub.example.com"),
        (403, "Origin: https://example.com https://evil.example"),
        (403, "Origin:"),
    ] {
        assert_eq!(with(config.clone(), &[line]), status, "{line}");
    }
}

#[test]
fn s10_4_head_limits_apply_while_reading() {
    for (start, status) in [
        ("", 414),
        ("GET /", 414),
        ("GET / HTTP/1.1\r\n", 431),
        ("GET / HTTP/1.1\r\nX: ", 431),
        ("GET / HTTP/1.1\r\nHost: a\r\nX", 431),
    ] {
        let input = [start.as_bytes(), &[b'a'; 20000]].concat();
        for cuts in [vec![input.len()], (0..=input.len()).collect()] {
            let (outcome, _) = server_outcome(&json!({}), &input, &cuts);
            assert_eq!(outcome, json!({"outcome": "reject", "status": status}), "{start}");
        }
    }
    let names: Vec<String> = (0..513).map(|n| format!("p{n}")).collect();
    for (most, outcome) in [(512, "accept"), (513, "reject")] {
        let input = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{KEY}\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {}\r\n\r\n",
            names[..most].join(",")
        );
        let (got, _) = server_outcome(&json!({}), input.as_bytes(), &[input.len()]);
        assert_eq!(got["outcome"], outcome);
    }
}

#[test]
fn s4_2_1_a_request_of_chromium_and_a_completed_request_of_a_tutorial_are_accepted() {
    let chromium = [
        "GET /chat?x=1 HTTP/1.1",
        "Host: 127.0.0.1:45883",
        "Connection: Upgrade",
        "Pragma: no-cache",
        "Cache-Control: no-cache",
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
         HeadlessChrome/156.0.0.0 Safari/537.36",
        "Upgrade: websocket",
        "Origin: http://127.0.0.1:45883",
        "Sec-WebSocket-Version: 13",
        "Accept-Encoding: gzip, deflate, br, zstd",
        "Accept-Language: en-US,en;q=0.9",
        "Sec-WebSocket-Key: F23AUkCJe9BK4pKlqgzpLQ==",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
        "Sec-WebSocket-Protocol: chat.v2, chat.v1",
    ];
    let (status, response) =
        serve(&json!({"deflate": {}, "subprotocols": ["chat.v1", "chat.v2"]}), &chromium);
    assert_eq!(status, 101);
    assert_eq!(
        response,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: yCaZTzpG9i/EXjfeCPeh3+Ck8EE=\r\nSec-WebSocket-Protocol: chat.v2\r\n\
         Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
    );
    let tutorial = [
        "GET ws://websocket.example.com/ HTTP/1.1",
        "Origin: http://example.com",
        "Connection: Upgrade",
        "Host: websocket.example.com",
        "Upgrade: websocket",
    ];
    let (status, response) = serve(&json!({}), &tutorial);
    assert_eq!(status, 400);
    assert!(response.contains("Sec-WebSocket-Key is missing"), "{response}");
    let whole = [&tutorial[..], &[KEY, "Sec-WebSocket-Version: 13"]].concat();
    assert_eq!(serve(&json!({}), &whole).0, 101);
    let mut head = whole.join("\r\n").into_bytes();
    head.extend_from_slice(b"\r\n\r\n");
    let Ok(Some(Incoming::Upgrade(request))) = ServerHandshake::new(HeadLimits::new()).poll(&head) else {
        panic!("the server did not accept the request");
    };
    assert_eq!((request.host(), request.path(), request.query()), ("websocket.example.com", "/", None));
}

#[test]
fn s3_11_plain_http_on_the_same_port_is_recognized() {
    for (head, method, target) in [
        ("GET /health HTTP/1.1\r\nHost: a\r\n\r\nrest", "GET", "/health"),
        ("GET / HTTP/1.0\r\n\r\n", "GET", "/"),
        ("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", "POST", "/x"),
        ("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n", "GET", "/"),
    ] {
        let Ok(Some(Incoming::Http(request))) = ServerHandshake::new(HeadLimits::new()).poll(head.as_bytes())
        else {
            panic!("the request was not recognized as plain HTTP: {head}");
        };
        assert_eq!((request.method(), request.target()), (method, target));
        assert_eq!(request.head_len(), head.find("\r\n\r\n").unwrap() + 4);
        assert_eq!(request.rejection().status(), 426);
    }
}

/// Polls a server with `input[..cut]` for each of `cuts`, and then lets the handshake time out. Returns the head and
/// the body of the refusal.
fn refusal(limits: HeadLimits, input: &[u8], cuts: &[usize]) -> (String, String) {
    use core::time::Duration;
    use hybi::Instant;

    let mut handshake = ServerHandshake::new(limits).with_timeout(Instant::ZERO, Duration::from_secs(1));
    let polled = cuts.iter().find_map(|&cut| match handshake.poll(&input[..cut]) {
        Ok(None) => None,
        Ok(Some(Incoming::Http(request))) => Some(request.rejection()),
        Ok(Some(Incoming::Upgrade(_))) => panic!("the server accepted the request"),
        Err(rejection) => Some(rejection),
    });
    let late = || handshake.handle_timeout(Instant::ZERO + Duration::from_secs(1)).unwrap_err();
    let rejection = polled.unwrap_or_else(late);
    let mut out = [0; 1024];
    let len = rejection.response().write(&mut out).unwrap();
    let text = core::str::from_utf8(&out[..len]).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

#[test]
fn s9110_9_3_2_a_head_request_is_refused_like_get_but_without_a_body() {
    const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
    let small = HeadLimits::new().max_head(40).max_headers(1);
    for (status, limits, rest) in [
        // A plain request, and requests with an invalid target, version or header.
        (426, HeadLimits::new(), "/ HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        (426, HeadLimits::new(), "/ HTTP/1.0\r\n\r\n".into()),
        (400, HeadLimits::new(), "/ HTTP/1.1\r\n\r\n".into()),
        (400, HeadLimits::new(), "/ HTTP/1.1\r\nHost: a b\r\n\r\n".into()),
        (400, HeadLimits::new(), "chat HTTP/1.1\r\nHost: a\r\n\r\n".into()),
        (400, HeadLimits::new(), "/# HTTP/1.1\r\n".into()),
        (400, HeadLimits::new(), " / HTTP/1.1\r\n".into()),
        (400, HeadLimits::new(), "/\r\n".into()),
        (400, HeadLimits::new(), "/ HTTP/2.0\r\n".into()),
        (400, HeadLimits::new(), "/ HTTP/1.1\r\nHost : a\r\n\r\n".into()),
        (400, HeadLimits::new(), "/ HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n".into()),
        (414, small, format!("/{}", "x".repeat(99))),
        (431, small, "/ HTTP/1.1\r\nX: 12345678901234567890\r\n\r\n".into()),
        (431, small, "/ HTTP/1.1\r\nA: b\r\nC: d\r\n\r\n".into()),
        // Requests that never become complete, and time out.
        (408, HeadLimits::new(), "".into()),
        (408, HeadLimits::new(), "/ HT".into()),
        (408, HeadLimits::new(), "/ HTTP/1.1\r\nHost: a\r\nX".into()),
    ] {
        for start in ["", "\r\n"] {
            let [get, head] = ["GET ", "HEAD "].map(|method| format!("{start}{method}{rest}").into_bytes());
            let (expected, body) = refusal(limits, &get, &[get.len()]);
            assert!(expected.starts_with(&format!("HTTP/1.1 {status} ")), "{expected}\n{rest}");
            assert!(expected.contains(&format!("\r\nContent-Length: {}", body.len())) && !body.is_empty());
            for cuts in splits(head.len()) {
                let got = refusal(limits, &head, &cuts);
                assert_eq!(got, (expected.clone(), String::new()), "{rest} {cuts:?}");
            }
        }
    }
    // A handshake requires GET. So this request, which is valid apart from HEAD, is refused because of its method.
    let input = format!("HEAD / HTTP/1.1\r\nHost: a\r\n{UPGRADE}{KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n");
    for cuts in splits(input.len()) {
        let (head, body) = refusal(HeadLimits::new(), input.as_bytes(), &cuts);
        assert!(head.starts_with("HTTP/1.1 405 ") && head.contains("\r\nAllow: GET\r\n"), "{head}");
        let length = Rejection::new(Reason::Method).reason().to_string().len() + 1;
        assert!(head.ends_with(&format!("\r\nContent-Length: {length}")), "{head}");
        assert_eq!(body, "");
    }
    // If the method is incomplete or not HEAD, the refusal has a body. Methods are case-sensitive.
    for input in ["HEAD", "HEAD\t/", "HEADS / HTTP/1.1\r\n\r\n", "head / HTTP/1.1\r\n\r\n", "\r\nHEAD", ""] {
        for cuts in splits(input.len()) {
            assert_ne!(refusal(HeadLimits::new(), input.as_bytes(), &cuts).1, "", "{input:?}");
        }
    }
    let four = HeadLimits::new().max_head(4);
    for cuts in splits(20) {
        assert_ne!(refusal(four, b"HEAD / HTTP/1.1\r\n\r\n\0", &cuts).1, "", "{cuts:?}");
    }
}

#[test]
fn s9110_9_3_2_an_answer_to_a_head_request_has_no_body() {
    let page = HttpResponse::new(200).headers(&[("X-A", "b")]).body("text/html", b"<p>hello");
    let mut out = [0; 256];
    let len = page.write(&mut out).unwrap();
    let whole = out[..len].to_vec();
    for (method, has_body) in [("GET", true), ("HEAD", false), ("head", true), ("POST", true), ("", true)] {
        let expected = if has_body { &whole[..] } else { whole.strip_suffix(b"<p>hello").unwrap() };
        let reject = page.in_reply_to(method);
        let len = reject.write(&mut out).unwrap();
        assert_eq!(&out[..len], expected, "{method}");
        assert_eq!(reject.write(&mut []), Err(ResponseError::NoSpace(NoSpace { needed: len })));
        // A response without a body is the same for every method.
        for reject in [HttpResponse::new(404), HttpResponse::new(304)] {
            let (len, mut other) = (reject.write(&mut out).unwrap(), [0; 256]);
            let other_len = reject.in_reply_to(method).write(&mut other).unwrap();
            assert_eq!(out[..len], other[..other_len]);
        }
    }
}

// ---- the client ----------------------------------------------------------------------------

/// Returns the outcome of a valid response in which `lines` replace the status line or the headers of the same
/// names.
fn reply(config: &Value, lines: &[&str]) -> Value {
    let good = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
    ];
    let name = |line: &str| line.split([':', ' ', '/']).next().unwrap().to_ascii_lowercase();
    let new: Vec<String> = lines.iter().map(|line| name(line)).collect();
    let mut all: Vec<&str> = lines.iter().copied().filter(|line| name(line) == "http").collect();
    all.extend(good.iter().filter(|line| !new.contains(&name(line))));
    all.extend(lines.iter().filter(|line| name(line) != "http" && line.contains(':')));
    let input = bytes(&json!(all.join("\r\n") + "\r\n\r\n"));
    let mut all = splits(input.len()).into_iter().map(|cuts| client_outcome(config, &input, &cuts));
    let first = all.next().unwrap();
    assert!(all.all(|other| other == first));
    first["outcome"].clone()
}

#[test]
fn s4_1_each_response_line_is_accepted_or_refused() {
    let config = json!({
        "key": "dGhlIHNhbXBsZSBub25jZQ==",
        "subprotocols": ["chat", "superchat"],
        "offer": "x-foo, permessage-deflate; server_max_window_bits=10, permessage-deflate",
    });
    let table: &[(&str, &[&str])] = &[
        ("ok", &[]),
        ("ok", &["HTTP/1.1 101 WebSocket Protocol Handshake"]),
        ("ok", &["HTTP/1.1 101 "]),
        // RFC 9112 4: the space is required even without a phrase, but some servers leave out the space.
        ("ok", &["HTTP/1.1 101"]),
        ("http", &["HTTP/1.1 401"]),
        ("http", &["HTTP/1.0 200"]),
        ("need-more", &["HTTP/1.1 103"]),
        ("error", &["HTTP/1.0 101"]),
        ("error", &["HTTP/1.1 40"]),
        ("error", &["HTTP/1.1 4011"]),
        ("error", &["HTTP/1.1 401\t"]),
        ("error", &["HTTP/1.1 401;"]),
        ("error", &["HTTP/1.1 401\n"]),
        ("error", &["HTTP/1.1"]),
        ("error", &["HTTP/1.0 101 X"]),
        ("error", &["HTTP/2.0 101 X"]),
        ("error", &["HTTP/1.1  101 X"]),
        ("error", &["HTTP/1.1 0101 X"]),
        ("http", &["HTTP/1.0 200 OK"]),
        ("http", &["HTTP/1.1 401 Unauthorized", "WWW-Authenticate: Basic"]),
        ("http", &["HTTP/1.1 999 "]),
        ("need-more", &["HTTP/1.1 100 Continue"]),
        ("error", &["Upgrade"]),
        ("error", &["Upgrade: websocket, h2c"]),
        ("error", &["Upgrade: websocket", "Upgrade: websocket"]),
        ("ok", &["Upgrade: WebSocket"]),
        ("error", &["Connection"]),
        ("error", &["Connection: close"]),
        ("ok", &["Connection: close", "Connection: upgrade"]),
        ("error", &["Sec-WebSocket-Accept"]),
        ("error", &["Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo="]),
        ("ok", &["Sec-WebSocket-Accept:  s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\t"]),
        (
            "error",
            &[
                "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
                "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
            ],
        ),
        ("ok", &["Sec-WebSocket-Protocol: chat"]),
        ("error", &["Sec-WebSocket-Protocol: Chat"]),
        ("error", &["Sec-WebSocket-Protocol:"]),
        ("error", &["Sec-WebSocket-Protocol: chat, superchat"]),
        ("error", &["Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Protocol: chat"]),
        ("ok", &["Sec-WebSocket-Extensions: x-foo; a=b"]),
        ("ok", &["Sec-WebSocket-Extensions: permessage-deflate", "Sec-WebSocket-Extensions: x-foo"]),
        ("ok", &["Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=12"]),
        ("error", &["Sec-WebSocket-Extensions: x-bar"]),
        ("error", &["Sec-WebSocket-Extensions:"]),
        ("error", &["Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=12"]),
        (
            "error",
            &["Sec-WebSocket-Extensions: permessage-deflate", "Sec-WebSocket-Extensions: permessage-deflate"],
        ),
    ];
    for &(outcome, lines) in table {
        assert_eq!(reply(&config, lines), outcome, "{lines:?}");
    }
}

#[test]
fn s9110_15_2_interim_responses_are_skipped_within_the_limit() {
    let config = json!({"key": "dGhlIHNhbXBsZSBub25jZQ==", "max_head": 4096});
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n";
    let open = "HTTP/1.1 101 \r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    let input = format!("{interim}{open}\u{1}").into_bytes();
    for cuts in splits(input.len()) {
        let outcome = client_outcome(&config, &input, &cuts);
        let ok = json!({"outcome": "ok", "protocol": null, "extensions": null, "rest_hex": "01"});
        assert_eq!(outcome, ok);
    }
    let endless = "HTTP/1.1 100 Continue\r\n\r\n".repeat(1000).into_bytes();
    for cuts in splits(endless.len()) {
        assert_eq!(client_outcome(&config, &endless, &cuts), json!({"outcome": "error"}));
    }
}

#[test]
fn s4_1_invalid_requests_are_refused_before_they_are_sent() {
    let good = ClientRequest::new("example.com", "/");
    fn error(request: ClientRequest<'_>) -> RequestError {
        ClientHandshake::new(request, [0; 16], HeadLimits::new()).unwrap_err()
    }
    for host in ["", "a b", "a\r\nX: y", "u@a", "a/b", "::1", "a:99999"] {
        assert_eq!(error(ClientRequest::new(host, "/")), RequestError::Host, "{host:?}");
    }
    for target in ["chat", "*", "/a b", "/a#b", "/\r\n", "/\u{e9}", "http://a/"] {
        assert_eq!(error(ClientRequest::new("a", target)), RequestError::Target, "{target:?}");
    }
    for origin in ["", "a b", "a\r\nb", "\u{e9}"] {
        assert_eq!(error(good.origin(origin)), RequestError::Origin, "{origin:?}");
    }
    for subprotocol in ["", "a b", "a,b", "ch@t", "a\r\nX: y", "\u{e9}"] {
        assert_eq!(error(good.subprotocols(&[subprotocol])), RequestError::Subprotocol);
    }
    assert_eq!(error(good.subprotocols(&["a", "b", "a"])), RequestError::SubprotocolRepeated);
    for extensions in ["", "a;", "a\r\nX: y", "a; b=\"c d\"", "\u{e9}"] {
        assert_eq!(error(good.extensions(extensions)), RequestError::Extensions, "{extensions:?}");
    }
    let seven = DeflateOffer::default().server_max_window_bits(Some(7));
    assert_eq!(error(good.deflate(seven)), RequestError::Extensions);
    let most = ClientWindow::AtMost(255);
    let huge = DeflateOffer::new()
        .server_no_context_takeover(true)
        .client_no_context_takeover(true)
        .server_max_window_bits(Some(255))
        .client_max_window_bits(most);
    assert_eq!(error(good.deflate(huge)), RequestError::Extensions);
    for (name, value, why) in [
        ("X", "a\r\nY: b", HeaderError::Value as fn(_) -> _),
        ("X\r\nY", "b", HeaderError::Name),
        ("host", "a", HeaderError::Reserved),
        ("Origin", "a", HeaderError::Reserved),
        ("SEC-WEBSOCKET-KEY", "a", HeaderError::Reserved),
        ("Content-Length", "1", HeaderError::Reserved),
    ] {
        let why = why(HeaderName::new(name));
        assert_eq!(error(good.headers(&[("X-Fine", ""), (name, value)])), RequestError::Header(why));
    }
}

#[test]
fn s4_2_2_invalid_responses_are_refused_before_they_are_sent() {
    let head = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{KEY}\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat\r\n\
         Sec-WebSocket-Extensions: x-foo, permessage-deflate; server_max_window_bits=10\r\n\r\n"
    );
    let Ok(Some(Incoming::Upgrade(request))) = ServerHandshake::new(HeadLimits::new()).poll(head.as_bytes())
    else {
        panic!("the server did not accept the request");
    };
    let good = request.accept();
    fn error(response: Response<'_>) -> ResponseError {
        response.write(&mut [0; 512]).unwrap_err()
    }
    for subprotocol in ["Chat", "", "mqtt", "chat\r\nX: y"] {
        assert_eq!(error(good.subprotocol(subprotocol)), ResponseError::SubprotocolNotOffered);
    }
    for extensions in ["x-bar", "x-foo, x-bar"] {
        assert_eq!(error(good.extensions(extensions)), ResponseError::ExtensionNotOffered);
    }
    for extensions in ["", "x-foo;", "x-foo\r\nX: y", "\u{e9}"] {
        assert_eq!(error(good.extensions(extensions)), ResponseError::ExtensionsMalformed);
    }
    let ten = DeflateParams { server_max_window_bits: Some(10), ..DeflateParams::default() };
    assert_eq!(error(good.deflate(DeflateParams::default())), ResponseError::ExtensionNotOffered);
    let twice = good.deflate(ten).extensions("permessage-deflate; server_max_window_bits=10");
    assert_eq!(error(twice), ResponseError::ExtensionNotOffered);
    for (name, value, why) in [
        ("X", "a\r\nY: b", HeaderError::Value as fn(_) -> _),
        ("Content-Length", "0", HeaderError::Reserved),
        ("Transfer-Encoding", "chunked", HeaderError::Reserved),
        ("Sec-WebSocket-Protocol", "chat", HeaderError::Reserved),
    ] {
        let why = why(HeaderName::new(name));
        assert_eq!(error(good.headers(&[("X-Fine", ""), (name, value)])), ResponseError::Header(why));
    }
    let all = good.subprotocol("chat").deflate(ten).extensions("x-foo; a=b").headers(&[("Server", "x")]);
    let mut out = [0; 512];
    let len = all.write(&mut out).unwrap();
    let extensions = header(&out[..len], "sec-websocket-extensions");
    assert_eq!(extensions.as_deref(), Some("permessage-deflate; server_max_window_bits=10, x-foo; a=b"));
    for space in 0..len {
        let no_space = ResponseError::NoSpace(NoSpace { needed: len });
        assert_eq!(all.write(&mut out[..space]), Err(no_space));
    }
    #[cfg(feature = "alloc")]
    assert_eq!(all.to_vec().unwrap().len(), len);
}

#[test]
fn s4_1_both_roles_complete_a_handshake_with_each_other() {
    let request = ClientRequest::new("[::1]:9000", "?q")
        .subprotocols(&["a", "b"])
        .deflate(DeflateOffer::default())
        .extensions("x-foo; a=b");
    let mut client = ClientHandshake::new(request, [42; 16], HeadLimits::new()).unwrap();
    let mut sent = [0; 512];
    let len = client.write(&mut sent).unwrap();
    #[cfg(feature = "alloc")]
    assert_eq!(client.to_vec(), sent[..len]);
    let no_space = RequestError::NoSpace(NoSpace { needed: len });
    assert_eq!(client.write(&mut [0; 9]), Err(no_space));
    let Ok(Some(Incoming::Upgrade(request))) = ServerHandshake::new(HeadLimits::new()).poll(&sent[..len])
    else {
        panic!("the server did not accept the request");
    };
    assert_eq!((request.target(), request.host(), request.head_len()), ("/?q", "[::1]:9000", len));
    let config = DeflateConfig::new().client_max_window_bits(9);
    let deflate = request.negotiate_deflate(&config);
    let mut answer = [0; 512];
    let len = request.accept().subprotocol("b").deflate(deflate).write(&mut answer).unwrap();
    let Ok(Some(Reply::Open(opened))) = client.poll(&answer[..len]) else {
        panic!("the client did not accept the response")
    };
    assert_eq!((opened.subprotocol(), opened.deflate()), (Some("b"), deflate));
    assert_eq!(deflate.unwrap().client_max_window_bits, Some(9));
}

#[test]
fn s9_1_the_application_can_negotiate_extensions_of_its_own() {
    let offer = "x-foo; a=b; c=\"d\"; e=\"f\\g\", x-bar";
    assert_eq!(check_extensions(offer.as_bytes()), Ok(()));
    assert_eq!(check_extensions(b"x-foo; a=\"b c\""), Err(Malformed));
    // RFC 6455 4.1 (3): an empty target requests the root.
    let request = ClientRequest::new("a", "").extensions(offer);
    let mut client = ClientHandshake::new(request, [42; 16], HeadLimits::new()).unwrap();
    let mut sent = [0; 512];
    let len = client.write(&mut sent).unwrap();
    let Ok(Some(Incoming::Upgrade(request))) = ServerHandshake::new(HeadLimits::new()).poll(&sent[..len])
    else {
        panic!("the server did not accept the request");
    };
    assert_eq!((request.target(), request.origin()), ("/", None));
    let foo = request.extensions().iter().next().unwrap();
    let values: Vec<_> = foo.params().map(|(_, value)| value.unwrap()).collect();
    // A quoted value equals its unquoted form.
    assert!(values[0] == "b" && values[1] == *"d" && values[2] == "fg" && values[2] != *"f\\g");
    let mut answer = [0; 512];
    let len =
        request.accept().extensions("x-foo; a=b").headers(&[("Server", "x")]).write(&mut answer).unwrap();
    assert_eq!(header(&answer[..len], "sec-websocket-extensions").as_deref(), Some("x-foo; a=b"));
    let Ok(Some(Reply::Open(opened))) = client.poll(&answer[..len]) else {
        panic!("the client did not accept the response")
    };
    assert_eq!(opened.extensions().iter().map(|one| one.name).collect::<Vec<_>>(), ["x-foo"]);
    assert_eq!((opened.deflate(), opened.headers().get("server")), (None, Some(&b"x"[..])));
}

#[test]
fn s4_1_a_response_other_than_101_is_returned_unchanged() {
    let head = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 302 Fo\xfcnd\r\nLocation: /login\r\n\r\nbody";
    let request = ClientRequest::new("a", "/").origin("http://a");
    let mut client = ClientHandshake::new(request, [42; 16], HeadLimits::new()).unwrap();
    let Ok(Some(Reply::Http(response))) = client.poll(head) else {
        panic!("the client did not return the response")
    };
    assert_eq!((response.status(), response.reason()), (302, &b"Fo\xfcnd"[..]));
    assert_eq!(response.headers().get("location"), Some(&b"/login"[..]));
    assert!(head[response.head_start()..].starts_with(b"HTTP/1.1 302 "));
    assert_eq!(&head[response.head_len()..], b"body");
}

#[test]
fn s9112_4_a_status_line_without_the_space_before_its_phrase_is_accepted() {
    // Both interim responses and the final response have such a line.
    let input = b"HTTP/1.1 100\r\n\r\nHTTP/1.1 103\r\nLink: </a>\r\n\r\nHTTP/1.1 401\r\nX: y\r\n\r\nbody";
    for cuts in splits(input.len()) {
        let mut client =
            ClientHandshake::new(ClientRequest::new("a", "/"), [42; 16], HeadLimits::new()).unwrap();
        let response = cuts.iter().find_map(|&cut| client.poll(&input[..cut]).unwrap());
        let Some(Reply::Http(response)) = response else { panic!("{cuts:?}") };
        assert_eq!((response.status(), response.reason()), (401, &b""[..]));
        assert_eq!(response.headers().iter().count(), 1);
        assert!(input[response.head_start()..].starts_with(b"HTTP/1.1 401\r\n"));
        assert_eq!(&input[response.head_len()..], b"body");
    }
}

// ---- mutated heads -------------------------------------------------------------------------

/// Replaces, inserts or removes some bytes of valid heads. No head may cause a panic, and all splits must have the same
/// outcome. `httparse` must find the same headers as this crate in every head that this crate accepts.
#[test]
fn s9112_2_2_mutated_heads_get_the_same_verdict_at_every_split() {
    let server: Vec<Vec<u8>> =
        cases("handshake_server.jsonl").iter().map(|case| bytes(&case["input"])).collect();
    let client: Vec<Vec<u8>> =
        cases("handshake_client.jsonl").iter().map(|case| bytes(&case["input"])).collect();
    let config = json!({
        "key": "dGhlIHNhbXBsZSBub25jZQ==", "deflate": {}, "subprotocols": ["chat"],
        "offer": "permessage-deflate; client_max_window_bits", "max_head": 1024, "max_headers": 20,
    });
    let special = b"\r\n \t:;,=\"\\/?#%0189aZ\0\x7f\x80\xff";
    let mut seed = 1_u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % below
    };
    for round in 0..6000 {
        let from = if round % 2 == 0 { &server } else { &client };
        let mut input = from[random(from.len())].clone();
        if input.starts_with(b"GET ") && random(3) == 0 {
            // The refusal of a HEAD request has no body, wherever the fault of the request is.
            input.splice(..3, *b"HEAD");
        }
        for _ in 0..=random(3) {
            let (at, byte) = (random(input.len() + 1), special[random(special.len())]);
            match random(3) {
                0 => input.insert(at, byte),
                1 if at < input.len() => input[at] = byte,
                _ => input.truncate(at.max(input.len().saturating_sub(9))),
            }
        }
        let mut cuts = vec![random(input.len() + 1), random(input.len() + 1), input.len()];
        cuts.sort_unstable();
        let whole = [input.len()];
        if round % 2 == 0 {
            let once = server_outcome(&config, &input, &whole);
            assert_eq!(once, server_outcome(&config, &input, &cuts), "{input:?}");
            // In debug builds, a head in which `httparse` finds other headers is refused with `HeadError::Changed`.
            if let Err(rejection) = ServerHandshake::new(HeadLimits::new()).poll(&input) {
                assert_ne!(rejection.reason(), Reason::Head(HeadError::Changed), "{input:?}");
            }
        } else {
            let once = client_outcome(&config, &input, &whole);
            assert_eq!(once, client_outcome(&config, &input, &cuts), "{input:?}");
        }
    }
}

// ---- time ----------------------------------------------------------------------------------

#[test]
fn the_timeout_ends_a_handshake_whose_head_does_not_arrive() {
    use core::time::Duration;
    use hybi::Instant;

    let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
    let mut server = ServerHandshake::new(HeadLimits::new()).with_timeout(at(1), Duration::from_secs(5));
    assert_eq!(server.poll_timeout(), Some(at(6)));
    assert!(server.poll(b"GET /").unwrap().is_none());
    assert_eq!(server.handle_timeout(at(5)), Ok(()));
    let rejection = server.handle_timeout(at(6)).unwrap_err();
    assert_eq!((rejection.status(), rejection.reason()), (408, Reason::Timeout));
    assert_eq!(server.poll_timeout(), None);
    assert_eq!(server.handle_timeout(at(7)), Ok(()));
    assert_eq!(server.poll(b"GET / ").unwrap_err(), rejection);

    let mut done = ServerHandshake::new(HeadLimits::new()).with_timeout(at(1), Duration::from_secs(5));
    assert!(done.poll(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap().is_some());
    assert_eq!((done.poll_timeout(), done.handle_timeout(at(9))), (None, Ok(())));
    assert_eq!(ServerHandshake::new(HeadLimits::new()).poll_timeout(), None);

    let request = ClientRequest::new("a", "/");
    let mut client = ClientHandshake::new(request, [0; 16], HeadLimits::new())
        .unwrap()
        .with_timeout(at(0), Duration::from_secs(5));
    assert_eq!((client.poll_timeout(), client.handle_timeout(at(4))), (Some(at(5)), Ok(())));
    assert_eq!(client.handle_timeout(at(5)), Err(HandshakeError::Timeout));
    assert_eq!(client.poll(b"H").unwrap_err(), HandshakeError::Timeout);
}
