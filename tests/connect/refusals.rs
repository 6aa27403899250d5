//! Proxies that open no tunnel, and settings that cannot be used. Each of these cases has a typed error in every
//! adapter.

use hybi::adapters::net;
use hybi::proxy::{Proxy, ProxyError};

use crate::adapters::{ADAPTERS, Settings, To, name};
use crate::script::*;

#[track_caller]
fn fails(proxy: &str, script: Vec<Act>, expected: &str) {
    for (adapter, result) in run_with(proxy, script) {
        let error = result.unwrap_err();
        assert_eq!(name(&error), expected, "{adapter:?}");
        let all = format!("{error:?} {error}");
        assert!(!all.contains("s3cr3t"), "{all}");
    }
}

#[test]
fn answers_of_an_http_proxy_have_typed_errors() {
    const LOGIN: &str =
        "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n";
    for (answer, expected) in [
        (LOGIN, "Refused 407"),
        ("HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\n\r\n<html>no</html>", "Refused 502"),
        ("HTTP/1.0 403 Filtered\r\n\r\n", "Refused 403"),
        ("HTTP/1.1 302 Found\r\nLocation: https://login.example/\r\n\r\n", "Refused 302"),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", "SwitchedProtocols"),
        ("<html><body>Welcome to the hotel</body></html>", "NotHttp"),
        ("\0\x01\x02\u{7f}garbage", "NotHttp"),
        ("\x15\x03\x01\0\x02\x02\x46", "NotHttp"),
        ("\x05\0", "NotHttp"),
        ("HTTP/1.1 200 OK\r\nbroken header\r\n\r\n", "Head(SpaceBeforeColon)"),
        ("", "NoAnswer"),
        ("HTTP/1.1 200 Conn", "Truncated"),
        ("HTTP/1.1 200 OK\r\n", "Truncated"),
        ("HTTP/1.1 100 Continue\r\n\r\n", "Truncated"),
        ("HTTP/1.1 200 OK\r\n\r\n", "Io UnexpectedEof"),
        ("HTTP/1.1 200 OK\r\n\r\n<html>", "Handshake(Head(StartLine))"),
    ] {
        fails("http user:s3cr3t@", vec![Act::AnyHead, send(answer), Act::Close], expected);
        if !answer.is_empty() {
            fails("http user:s3cr3t@", vec![Act::AnyHead, Act::Slowly(answer.into()), Act::Close], expected);
        }
    }
}

/// tinyproxy sends head and body of a refusal in two segments.
#[test]
fn s9112_6_3_the_body_of_a_refusal_may_arrive_after_its_head() {
    let page = "<html>No tunnel to this port</html>";
    for (headers, sent, end, body) in [
        (format!("Content-Length: {}\r\n", page.len()), page.to_owned(), Act::Silence, page),
        (String::new(), page.to_owned(), Act::Close, page),
        (
            "Transfer-Encoding: chunked\r\n".into(),
            "2\r\nno\r\n0\r\n\r\n".into(),
            Act::Silence,
            "2\r\nno\r\n0\r\n\r\n",
        ),
    ] {
        let head = format!("HTTP/1.1 403 Filtered\r\n{headers}\r\n");
        for script in [
            vec![Act::AnyHead, send(&head), send(&sent), end.clone()],
            vec![Act::AnyHead, Act::Slowly([&head, &*sent].concat().into()), end.clone()],
        ] {
            for (adapter, result) in run_with("http", script) {
                let error = result.unwrap_err();
                let net::ConnectError::Proxy(ProxyError::Refused(refusal)) = &error else {
                    panic!("{error:?}")
                };
                assert_eq!(String::from_utf8_lossy(refusal.body()), body, "{adapter:?}");
                assert_eq!(refusal.headers().get("server"), None);
            }
        }
    }
}

/// The proxy sends headers, interim responses or a body without end.
///
/// The limit of a head includes the interim responses before it. Here the limit is exceeded in the first line of an
/// interim response.
#[test]
fn s6455_10_4_an_endless_answer_is_a_typed_error() {
    let endless = |start: &str, part: &str| {
        let bytes = [start.as_bytes(), part.repeat((1 << 20) / part.len()).as_bytes()].concat();
        vec![Act::AnyHead, send(bytes), Act::Silence]
    };
    for (start, part, expected) in [
        ("HTTP/1.1 200 OK\r\n", "X-Header: value\r\n", "Head(TooManyHeaders)"),
        ("HTTP/1.1 200 OK\r\nX: ", "endless value ", "Head(TooLarge)"),
        ("HTTP/1.1 200 ", "endless reason ", "Head(StartLineTooLong)"),
        ("", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", "Head(StartLineTooLong)"),
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n", "<p>endless page", "Refused 502"),
        ("", "x", "NotHttp"),
    ] {
        fails("http user:s3cr3t@", endless(start, part), expected);
    }
}

#[test]
fn s1928_6_answers_of_a_socks_proxy_have_typed_errors() {
    let greeting = || Act::Bytes(vec![5, 2, 0, 2]);
    for (answer, expected) in [
        (&[5, 0xff][..], "NoMethod { credentials: true }"),
        (&[5, 1], "MethodNotOffered(1)"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "NotSocks5(72)"),
        (&[0, 91], "NotSocks5(0)"),
        (&[], "NoAnswer"),
        (&[5], "Truncated"),
    ] {
        fails("socks5h user:s3cr3t@", vec![greeting(), send(answer), Act::Close], expected);
    }
    for (answer, expected) in [
        (&[1, 1][..], "LoginRefused(1)"),
        (&[5, 0], "LoginVersion(5)"),
        (&[], "LoginClosed"),
        (&[1], "LoginClosed"),
    ] {
        let login = Act::Bytes(b"\x01\x04user\x06s3cr3t".into());
        let script = vec![greeting(), send([5, 2]), login, send(answer), Act::Close];
        fails("socks5h user:s3cr3t@", script, expected);
    }
    for (answer, expected) in [
        (&[5, 1, 0, 1][..], "Socks(General)"),
        (&[5, 2, 0, 1], "Socks(NotAllowed)"),
        (&[5, 3], "Socks(NetworkUnreachable)"),
        (&[5, 4, 0, 1, 0, 0, 0, 0, 0, 0], "Socks(HostUnreachable)"),
        (&[5, 5], "Socks(ConnectionRefused)"),
        (&[5, 6], "Socks(TtlExpired)"),
        (&[5, 7], "Socks(CommandNotSupported)"),
        (&[5, 8], "Socks(AddressTypeNotSupported)"),
        (&[5, 99], "Socks(Unassigned(99))"),
        (&[5, 0, 1], "Reserved(1)"),
        (&[5, 0, 0, 9], "AddressType(9)"),
        (&[], "NoAnswer"),
        (&[5, 0, 0, 3, 7, b'a'], "Truncated"),
    ] {
        let request = Act::Bytes([&[5, 1, 0, 3, 14][..], b"server.example", &[0, 81]].concat());
        let script = vec![Act::Bytes(vec![5, 1, 0]), send([5, 0]), request, send(answer), Act::Close];
        fails("socks5h", script, expected);
    }
}

/// The proxy closes the connection before it has read the whole request, so the client may get a reset.
#[test]
fn a_proxy_that_drops_the_connection_gave_no_answer() {
    fails("http", vec![Act::Close], "NoAnswer");
    for adapter in ADAPTERS {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let settings = Settings::proxy(&format!("http://{}", listener.local_addr().unwrap()));
        let proxy = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // Unread bytes turn the close into a reset.
            std::io::Read::read_exact(&mut stream, &mut [0; 3]).unwrap();
        });
        let error = adapter.connect(&settings, To::Url("ws://server.example/")).unwrap_err();
        assert_eq!(name(&error), "NoAnswer", "{adapter:?}");
        proxy.join().unwrap();
    }
}

#[test]
fn a_proxy_that_cannot_be_reached_is_named_without_its_password() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    for adapter in ADAPTERS {
        let settings = Settings::proxy(&format!("socks5h://user:s3cr3t@{address}"));
        let error = adapter.connect(&settings, To::Url("ws://server.example/")).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains(&format!("the proxy socks5h://{address} cannot be reached: ")),
            "{adapter:?} {text}"
        );
        assert!(!format!("{error:?} {error}").contains("s3cr3t"));
        let settings = Settings::proxy("http://user:s3cr3t@proxy.invalid");
        let error = adapter.connect(&settings, To::Url("ws://server.example/")).unwrap_err();
        assert!(
            error.to_string().contains("the proxy http://proxy.invalid:80 cannot"),
            "{adapter:?} {error}"
        );
        // The name of the server is not found, so the error must not name the proxy.
        let settings = Settings::proxy(&format!("socks5://{address}"));
        let error = adapter.connect(&settings, To::Url("ws://server.invalid/")).unwrap_err();
        assert!(
            matches!(error, net::ConnectError::Connect(_)) && !error.to_string().contains("proxy"),
            "{error}"
        );
    }
}

#[test]
fn settings_that_cannot_be_used_are_found_before_a_connection_is_made() {
    let long = format!("ws://{}/", "a.".repeat(150) + "example");
    for adapter in ADAPTERS {
        let fails =
            |settings: &Settings, url: &str| name(&adapter.connect(settings, To::Url(url)).unwrap_err());
        // No proxy listens at this address, so an attempt to connect would cause another error.
        let http = Settings::proxy("http://127.0.0.1:1");
        let header = Some(("proxy-authorization", "Basic czNjcjN0"));
        let text = fails(&Settings { header, ..http.clone() }, "ws://server.example/");
        assert_eq!(text, format!("{:?}", ProxyError::AuthorizationHeader), "{adapter:?}");
        assert_eq!(fails(&Settings::proxy("socks5h://127.0.0.1:1"), &long), "NameTooLong");
        assert_eq!(fails(&http, "ftp://server.example/"), "Url(Scheme)");
        let variable = |name: &str| (name == "WS_PROXY").then(|| "socks4://u:s3cr3t@p".into());
        let settings = Settings { proxy: Proxy::from_variables(variable), ..http.clone() };
        let error = adapter.connect(&settings, To::Url("ws://server.example/")).unwrap_err();
        let net::ConnectError::ProxyVariable(why) = &error else { panic!("{error:?}") };
        assert_eq!(why.variable(), "WS_PROXY");
        assert!(!format!("{error:?} {error}").contains("s3cr3t"));
        if cfg!(not(feature = "rustls")) {
            let https = Settings::proxy("https://127.0.0.1:1");
            assert_eq!(fails(&https, "ws://server.example/"), "NeedsTls");
            assert_eq!(fails(&http, "wss://server.example/"), "NeedsTls");
        } else if cfg!(all(feature = "rustls-ring", feature = "webpki-roots")) {
            let error = fails(&Settings::proxy("https://a_b-.example:1"), "ws://server.example/");
            assert!(error.starts_with("ProxyTls(HostName"), "{adapter:?} {error}");
            let error = fails(&http, "wss://a_b-.example/");
            assert!(error.starts_with("Tls(HostName"), "{adapter:?} {error}");
        }
    }
}

/// A TLS alert arrives directly behind the answer of the proxy. The TLS client must read this alert first.
#[test]
#[cfg(all(feature = "rustls-ring", feature = "webpki-roots"))]
fn an_alert_that_comes_with_the_answer_of_the_proxy_reaches_tls() {
    let answer = [&b"HTTP/1.1 200 OK\r\n\r\n"[..], &[0x15, 3, 3, 0, 2, 2, 0x28]].concat();
    for cut in [0, 1, 3, 7] {
        let (first, rest) = answer.split_at(answer.len() - cut);
        let script = vec![Act::AnyHead, send(first), send(rest), Act::Silence];
        for (adapter, result) in run(script, |port| {
            (Settings::proxy(&format!("http://127.0.0.1:{port}")), "wss://server.example/".into())
        }) {
            let error = name(&result.unwrap_err());
            assert!(error.starts_with("Tls(Alert("), "{adapter:?} {cut}: {error}");
        }
    }
}
