//! HTTP CONNECT (RFC 9110 section 9.3.6).

use hybi::handshake::{HeadError, HeadLimits, WsUrl};
use hybi::proxy::{ProxyAction, ProxyError, ProxyHandshake, ProxyRefusal, ProxyTarget, ProxyUrl};

use super::{Outcome, at_every_split, at_every_truncation, drive, handshake};
use crate::support::cuts::Cuts;

const OK: &str = "HTTP/1.1 200 OK\r\n\r\n";

fn connect() -> ProxyHandshake {
    handshake("http://proxy.example:3128", ProxyTarget::new("example.com", 443).unwrap())
}

/// Returns the request for a tunnel to `target` through `proxy`.
fn request(proxy: &str, target: ProxyTarget<'_>) -> String {
    String::from_utf8(drive(handshake(proxy, target), OK.as_bytes(), &Cuts::Whole, 5).sent).unwrap()
}

#[track_caller]
fn refusal(input: &str) -> ProxyRefusal {
    match at_every_split(connect, input.as_bytes()).result {
        Err(ProxyError::Refused(refusal)) => *refusal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn s9110_9_3_6_the_request_names_host_and_port() {
    for (url, authority) in [
        ("ws://example.com/chat?x=1", "example.com:80"),
        ("wss://example.com", "example.com:443"),
        ("wss://EXAMPLE.com:8443/", "EXAMPLE.com:8443"),
        ("wss://192.0.2.1/", "192.0.2.1:443"),
        ("wss://[2001:db8::1]/", "[2001:db8::1]:443"),
        ("ws://[::1]:9001/", "[::1]:9001"),
    ] {
        let target = ProxyTarget::from_url(&WsUrl::parse(url).unwrap());
        assert_eq!(target.to_string(), authority);
        let expected = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
        assert_eq!(request("http://proxy.example", target), expected);
        assert_eq!(request("https://proxy.example", target), expected);
    }
    let address = "[2001:db8::2]:80".parse::<std::net::SocketAddr>().unwrap();
    assert!(request("http://p", address.into()).starts_with("CONNECT [2001:db8::2]:80 HTTP/1.1\r\n"));
}

#[test]
fn s7617_2_user_and_password_are_sent_to_the_proxy_once() {
    let target = ProxyTarget::new("example.com", 443).unwrap();
    // The first two cases are the examples of RFC 7617 sections 2 and 2.1.
    for (user_info, encoded) in [
        ("Aladdin:open%20sesame", "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        ("test:123%C2%A3", "dGVzdDoxMjPCow=="),
        ("a:b:c", "YTpiOmM="),
        ("token", "dG9rZW46"),
        (":secret", "OnNlY3JldA=="),
        ("a@b:c@d", "YUBiOmNAZA=="),
        ("%C3%BC:%2F%3F%23%40%25", "w7w6Lz8jQCU="),
    ] {
        let request = request(&format!("http://{user_info}@proxy.example:3128"), target);
        let expected = format!(
            "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\nProxy-Authorization: Basic {encoded}\r\n\r\n"
        );
        assert_eq!(request, expected);
    }
    for empty in ["http://@p", "http://:@p", "http://p"] {
        assert!(!request(empty, target).contains("Proxy-Authorization"), "{empty}");
    }
}

#[test]
fn s9110_9_3_6_any_2xx_opens_the_tunnel_directly_after_its_head() {
    let heads = [
        OK,
        "HTTP/1.1 200 Connection established\r\nProxy-Agent: x\r\n\r\n",
        "HTTP/1.0 200 Connection established\r\nProxy-agent: tinyproxy/1.11.1\r\n\r\n",
        "HTTP/1.1 200\r\n\r\n",
        "HTTP/1.1 200 \r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 299 \u{fc}\r\n\r\n",
        // Headers that describe a body must be ignored.
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
        // Interim responses are skipped.
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 199 x\r\n\r\nHTTP/1.0 200 OK\r\nA: b\r\n\r\n",
    ];
    for head in heads {
        at_every_truncation(connect, head.as_bytes());
        for behind in ["", "h", "hello", "HTTP/1.1 200 OK\r\n\r\n", "\u{16}\u{3}\r\n"] {
            let Outcome { result, left, .. } = at_every_split(connect, [head, behind].concat().as_bytes());
            assert_eq!((result, left.as_slice()), (Ok(()), behind.as_bytes()), "{head:?}");
        }
    }
}

#[test]
fn s9110_15_5_8_a_refusal_has_status_headers_and_body() {
    let refused = refusal(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 407 Proxy Authentication Required\r\n\
         Proxy-Authenticate: Negotiate\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 6\r\n\r\n<html>",
    );
    assert_eq!((refused.status(), refused.reason()), (407, &b"Proxy Authentication Required"[..]));
    let methods: Vec<_> = refused.headers().get_all("proxy-authenticate").collect();
    assert_eq!(methods, [&b"Negotiate"[..], b"Basic realm=\"x\""]);
    assert_eq!(refused.body(), b"<html>");
    assert!(refused.head().starts_with(b"HTTP/1.1 407 ") && refused.head().ends_with(b"6\r\n\r\n"));

    for (input, status, reason) in [
        ("HTTP/1.1 403 Forbidden\r\n\r\n", 403, "Forbidden"),
        ("HTTP/1.0 403 Filtered\r\nServer: tinyproxy\r\n\r\n<p>no</p>", 403, "Filtered"),
        ("HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\n\r\n", 302, "Found"),
        ("HTTP/1.1 500\r\n\r\n", 500, ""),
        ("HTTP/1.1 502 \r\n\r\n", 502, ""),
        ("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n\r\n", 503, "Service Unavailable"),
        ("HTTP/1.1 999 x\r\n\r\n", 999, "x"),
    ] {
        let refused = refusal(input);
        assert_eq!((refused.status(), refused.reason()), (status, reason.as_bytes()), "{input:?}");
    }
}

#[test]
fn the_advice_for_a_refusal_depends_on_its_status() {
    let text = |proxy: &str, status: u16| {
        let target = ProxyTarget::new("a", 1).unwrap();
        let input = format!("HTTP/1.1 {status} x\r\n\r\n");
        drive(handshake(proxy, target), input.as_bytes(), &Cuts::Whole, 9).result.unwrap_err().to_string()
    };
    assert!(text("http://p", 407).contains("write user and password in its URL"));
    assert!(text("http://u:p@p", 407).contains("check user and password"));
    // tinyproxy answers wrong credentials with 401.
    assert!(text("http://u:p@p", 401).contains("check user and password"));
    assert!(text("http://p", 403).contains("allow CONNECT"));
    assert!(text("http://p", 405).contains("supports CONNECT"));
    assert!(text("http://p", 504).contains("reaches"));
    assert!(text("http://p", 418).contains("status 418"));
}

#[test]
fn the_body_of_a_refusal_is_bounded() {
    let head = "HTTP/1.1 502 Bad Gateway\r\n\r\n";
    let most = ProxyRefusal::MAX_BODY;
    for len in [0, 1, most - 1, most, most + 1, 3 * most] {
        let input = [head.as_bytes(), &vec![b'x'; len]].concat();
        let outcome = drive(connect(), &input, &Cuts::Whole, usize::MAX);
        let Err(ProxyError::Refused(refused)) = outcome.result else { panic!("{:?}", outcome.result) };
        assert_eq!(refused.body().len(), len.min(most));
        assert_eq!(outcome.left.len(), len.saturating_sub(most));
    }
}

#[test]
fn s9112_6_3_the_body_of_a_refusal_ends_where_its_headers_say() {
    let most = ProxyRefusal::MAX_BODY;
    for (headers, sent, body) in [
        ("Content-Length: 6\r\n", "<html>", "<html>"),
        ("content-length: 6\r\n", "<html>more", "<html>"),
        ("Content-Length: 0\r\n", "more", ""),
        ("Content-Length: 9\r\n", "<html>", "<html>"),
        ("Content-Length: 99999999999999999999999999\r\n", "<html>", "<html>"),
        // The end of the stream is the end of the body.
        ("", "<html>", "<html>"),
        ("", "", ""),
        ("Content-Length: x\r\n", "<html>", "<html>"),
        ("Content-Length: +2\r\n", "<html>", "<html>"),
        ("Content-Length: 2\r\nContent-Length: 3\r\n", "<html>", "<html>"),
        // Transfer-Encoding overrides Content-Length.
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n",
            "1\r\na\r\n0\r\n\r\nmore",
            "1\r\na\r\n0\r\n\r\n",
        ),
        ("Transfer-Encoding: chunked\r\n", "0\r\n\r\nmore", "0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "a\r\n0123456780\r\n\r\n", "a\r\n0123456780\r\n\r\n"),
        ("Transfer-Encoding: gzip\r\n", "\u{1f}x", "\u{1f}x"),
    ] {
        let input = format!("HTTP/1.1 502 Bad Gateway\r\n{headers}\r\n{sent}");
        let Outcome { result, left, .. } = at_every_split(connect, input.as_bytes());
        let Err(ProxyError::Refused(refused)) = result else { panic!("{input:?}: {result:?}") };
        assert_eq!(refused.body(), body.as_bytes(), "{input:?}");
        assert_eq!(left, sent.as_bytes()[body.len()..], "{input:?}");
    }
    assert!(refusal("HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\n<html>").body().is_empty());

    // A driver need not wait for the end of the body.
    let mut waiting = connect();
    assert!(!waiting.awaits_body());
    waiting.transmitted(usize::MAX);
    let head = format!("HTTP/1.1 403 No\r\nContent-Length: {most}\r\n\r\n<ht");
    assert_eq!(waiting.receive(&mut head.as_bytes()), Ok(ProxyAction::Receive));
    assert!(waiting.awaits_body());
    assert_eq!(waiting.receive(&mut &b"ml>"[..]), Ok(ProxyAction::Receive));
    let Err(ProxyError::Refused(refused)) = waiting.handle_eof() else { panic!("not refused") };
    assert_eq!((refused.body(), waiting.awaits_body()), (&b"<html>"[..], false));
    assert_eq!(waiting.receive(&mut &b"more"[..]), Err(ProxyError::Refused(refused)));
}

#[test]
fn s9112_4_answers_that_are_not_http_have_typed_errors() {
    use HeadError::*;
    let head = |error| Err(ProxyError::Head(error));
    for (input, expected) in [
        ("<html><body>Welcome</body></html>", Err(ProxyError::NotHttp)),
        ("\n", Err(ProxyError::NotHttp)),
        ("\r\nHTTP/1.1 200 OK\r\n\r\n", Err(ProxyError::NotHttp)),
        // The answers of a SOCKS5 proxy, a TLS server, an SSH server and an SMTP server.
        ("\u{5}\u{ff}", Err(ProxyError::NotHttp)),
        ("\u{15}\u{3}\u{1}\0\u{2}\u{2}F", Err(ProxyError::NotHttp)),
        ("SSH-2.0-OpenSSH_9.2\r\n", Err(ProxyError::NotHttp)),
        ("220 mail.example ESMTP\r\n", Err(ProxyError::NotHttp)),
        ("ICY 200 OK\r\n\r\n", Err(ProxyError::NotHttp)),
        ("http/1.1 200 OK\r\n\r\n", Err(ProxyError::NotHttp)),
        ("HTTP/1.1 OK\r\n\r\n", Err(ProxyError::NotHttp)),
        ("HTTP/1.1 000 x\r\n\r\n", Err(ProxyError::NotHttp)),
        ("HTTP/1.1 20 x\r\n\r\n", Err(ProxyError::NotHttp)),
        ("HTTP/2 200\r\n\r\n", head(Version)),
        ("HTTP/0.9 200 OK\r\n\r\n", head(Version)),
        ("HTTP/1.1 200 OK\n\n", head(LineEnd)),
        ("HTTP/1.1 200 OK\r\nA b\r\n\r\n", head(SpaceBeforeColon)),
        ("HTTP/1.1 200 OK\r\n: b\r\n\r\n", head(HeaderName)),
        ("HTTP/1.1 200 OK\r\nAb\r\n\r\n", head(NoColon)),
        ("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", head(SpaceBeforeColon)),
        ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", head(Fold)),
        ("HTTP/1.1 200 OK\r\n A: b\r\n\r\n", head(SpaceBeforeHeader)),
        ("HTTP/1.1 200 OK\r\nA: \0\r\n\r\n", head(ControlByte)),
        ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", Err(ProxyError::SwitchedProtocols)),
        ("HTTP/1.1 100 Continue\r\n\r\n<html>", Err(ProxyError::NotHttp)),
    ] {
        assert_eq!(at_every_split(connect, input.as_bytes()).result, expected, "{input:?}");
    }
}

#[test]
fn s6455_10_4_heads_are_limited_at_the_exact_byte() {
    let limits = HeadLimits::new().max_head(100).max_headers(3);
    let new = || connect().with_head_limits(limits);
    let head_of = |len: usize| {
        let fixed = "HTTP/1.1 200 OK\r\nA: \r\n\r\n".len();
        format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "x".repeat(len - fixed))
    };
    assert_eq!(at_every_split(new, head_of(100).as_bytes()).result, Ok(()));
    let too_large = Err(ProxyError::Head(HeadError::TooLarge));
    assert_eq!(at_every_split(new, head_of(101).as_bytes()).result, too_large);
    let long_line = format!("HTTP/1.1 200 {}", "x".repeat(200));
    assert_eq!(
        at_every_split(new, long_line.as_bytes()).result,
        Err(ProxyError::Head(HeadError::StartLineTooLong))
    );
    let lines = |count| format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(count));
    assert_eq!(at_every_split(new, lines(3).as_bytes()).result, Ok(()));
    let too_many = Err(ProxyError::Head(HeadError::TooManyHeaders));
    assert_eq!(at_every_split(new, lines(4).as_bytes()).result, too_many);
    // Interim responses count towards the limit, so a proxy cannot send them forever.
    let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(5);
    let result = at_every_split(new, interim.as_bytes()).result;
    assert_eq!(result, Err(ProxyError::Head(HeadError::StartLineTooLong)));
    // The default limit also counts interim responses.
    let endless = "HTTP/1.1 100 Continue\r\n\r\n".repeat(1000);
    let outcome = drive(connect(), endless.as_bytes(), &Cuts::Whole, 1);
    assert!(matches!(outcome.result, Err(ProxyError::Head(_))), "{:?}", outcome.result);
}

#[test]
fn an_end_before_the_answer_has_a_typed_error() {
    for (input, expected) in [
        ("", ProxyError::NoAnswer),
        ("H", ProxyError::Truncated),
        ("HTTP/1.1 200 OK\r\n", ProxyError::Truncated),
        ("HTTP/1.1 407 x\r\nA: b\r\n", ProxyError::Truncated),
        ("HTTP/1.1 100 Continue\r\n\r\n", ProxyError::Truncated),
    ] {
        assert_eq!(at_every_split(connect, input.as_bytes()).result, Err(expected), "{input:?}");
    }
}

#[test]
fn no_input_is_consumed_before_the_request_was_sent() {
    let mut connect = connect();
    let mut input = OK.as_bytes();
    while !connect.bytes_to_send().is_empty() {
        assert_eq!(connect.action(), ProxyAction::Send);
        assert_eq!(connect.receive(&mut input), Ok(ProxyAction::Send));
        assert_eq!(input, OK.as_bytes());
        connect.transmitted(1);
    }
    connect.transmitted(usize::MAX);
    assert_eq!(connect.action(), ProxyAction::Receive);
    assert_eq!(connect.receive(&mut &b""[..]), Ok(ProxyAction::Receive));
    assert_eq!(connect.receive(&mut input), Ok(ProxyAction::Open));
    assert_eq!((connect.action(), input.len()), (ProxyAction::Open, 0));
}

#[test]
fn an_end_after_the_tunnel_is_open_belongs_to_the_tunnel() {
    let mut open = connect();
    open.transmitted(usize::MAX);
    assert_eq!(open.receive(&mut OK.as_bytes()), Ok(ProxyAction::Open));
    assert_eq!(open.handle_eof(), Ok(()));
}

#[test]
fn s3986_3_2_2_targets_that_would_change_the_request_are_refused() {
    for bad in [
        "",
        "a b",
        "a\r\nHost: b",
        "a/",
        "a:",
        "a:80",
        "u@a",
        "a#",
        "[::1",
        "[::1]:80",
        "::g",
        "b\u{fc}cher",
        "a%41",
        "a,b",
    ] {
        assert_eq!(ProxyTarget::new(bad, 443), Err(ProxyError::Target), "{bad:?}");
    }
    for (good, text) in [
        ("a", "a:1"),
        ("::1", "[::1]:1"),
        ("[::1]", "[::1]:1"),
        ("10.0.0.1", "10.0.0.1:1"),
        ("a_b.c.", "a_b.c.:1"),
    ] {
        assert_eq!(ProxyTarget::new(good, 1).unwrap().to_string(), text);
    }
}

#[test]
fn secrets_appear_in_no_text() {
    let proxy = ProxyUrl::parse("http://uSeRnAmE:pAsSwOrD@proxy.example").unwrap();
    let secrets = ["uSeRnAmE", "pAsSwOrD", "dVNlUm5BbUU6cEFzU3dPckQ="];
    let check = |text: String| assert!(!secrets.iter().any(|secret| text.contains(secret)), "{text}");
    check(format!("{proxy:?} {proxy} {:?}", hybi::proxy::Proxy::from(proxy.clone())));
    assert!(format!("{proxy:?}").contains("proxy.example"));
    // The proxy echoes the request, which contains the encoded secret.
    let target = ProxyTarget::new("example.com", 443).unwrap();
    let mut handshake = ProxyHandshake::new(&proxy, target).unwrap();
    check(format!("{handshake:?}"));
    let request = String::from_utf8(handshake.bytes_to_send().to_vec()).unwrap();
    assert!(request.contains(secrets[2]));
    handshake.transmitted(usize::MAX);
    check(format!("{handshake:?}"));
    let echo = format!("HTTP/1.1 400 Bad Request\r\nX-Echo: {}\r\n\r\n{request}", secrets[2]);
    handshake.receive(&mut echo.as_bytes()).unwrap();
    check(format!("{handshake:?}"));
    let error = handshake.handle_eof().unwrap_err();
    check(format!("{error} {error:?} {handshake:?}"));
}
