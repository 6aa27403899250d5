//! The opening handshake of the blocking adapter, over TCP.
//!
//! These tests cover subprotocols, origins, decisions of the application, responses other than 101, and plain HTTP on
//! the same port. They also cover timeouts, and clients that disconnect after any byte. The grammar is tested in
//! `tests/handshake.rs`.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::mpsc::channel;
use std::thread;

use hybi::adapters::net::{
    self, AcceptError, Acceptance, Client, ConnectError, HttpCall, Server, WrappedStream,
};
use hybi::dial::Stage;
use hybi::handshake::{HandshakeError, HttpResponse, Reason, ResponseError};
use hybi::{Message, Outcome, ProtocolError, SendError};

use crate::common::*;

#[test]
fn client_and_server_know_the_subprotocol_and_the_headers() {
    timed(|| {
        let server = Server::new().subprotocols(["v1", "v2"]).header("X-Server", "s");
        let client = Client::new()
            .subprotocols(["v3", "v2", "v1"])
            .origin("https://a.example")
            .header("Authorization", "Bearer 7")
            .open_timeout(None);
        let (server, client) = pair_of(server.handshake_timeout(None), &client);
        for (subprotocol, socket) in
            [(server.subprotocol(), server.stream()), (client.subprotocol(), client.stream().socket())]
        {
            // Both roles support v1 and v2. The client lists v2 first, and its order of preference decides.
            assert_eq!(subprotocol, Some("v2"));
            assert!(socket.nodelay().unwrap());
        }
        assert_eq!(server.headers().get("authorization"), Some(&b"Bearer 7"[..]));
        assert_eq!(server.headers().get("Origin"), Some(&b"https://a.example"[..]));
        assert_eq!(client.headers().get("x-server"), Some(&b"s"[..]));
    });
}

#[test]
fn a_default_client_connects_to_a_default_server() {
    timed(|| {
        let (address, thread) = serve(|stream| net::accept(stream).unwrap());
        let mut client = net::connect(&url(address)).unwrap();
        let mut server = thread.join().unwrap();
        assert_eq!((server.subprotocol(), client.subprotocol()), (None, None));
        client.send_text("hello").unwrap();
        assert_eq!(server.recv().unwrap(), Some(Message::from("hello")));
    });
}

#[test]
fn origins_are_checked() {
    timed(|| {
        let server = Server::new().origins(["https://a.example"]);
        for (origin, welcome) in [(Some("https://a.example"), true), (None, true), (Some("null"), false)] {
            let server = server.clone();
            let (address, thread) = serve(move |stream| server.accept(stream));
            let mut client = Client::new();
            if let Some(origin) = origin {
                client = client.origin(origin);
            }
            match (client.connect(&url(address)), thread.join().unwrap()) {
                (Ok(_), Ok(_)) if welcome => {}
                (Err(ConnectError::Http(answer)), Err(AcceptError::Rejected(rejection))) if !welcome => {
                    assert_eq!((answer.status, rejection.reason()), (403, Reason::OriginNotAllowed));
                    assert!(String::from_utf8_lossy(&answer.received).contains("Origin"));
                }
                other => panic!("{origin:?}: {other:?}"),
            }
        }
    });
}

#[test]
fn the_application_can_accept_with_headers() {
    timed(|| {
        let server = Server::new().subprotocols(["chat"]).header("X-All", "1");
        let (address, thread) = serve(move |stream| {
            let request = server.receive(stream).unwrap();
            assert_eq!((request.head().path(), request.head().query()), ("/room", Some("id=7")));
            let acceptance = request.acceptance().header("X-One", "2");
            request.accept_with(&acceptance)
        });
        let client =
            Client::new().subprotocols(["chat"]).connect(&format!("ws://{address}/room?id=7")).unwrap();
        let server = thread.join().unwrap().unwrap();
        assert_eq!((server.subprotocol(), client.subprotocol()), (Some("chat"), Some("chat")));
        assert_eq!(client.headers().get("X-All"), Some(&b"1"[..]));
        assert_eq!(client.headers().get("X-One"), Some(&b"2"[..]));
    });
}

#[test]
fn the_application_can_refuse() {
    timed(|| {
        let body = "who are you? ".repeat(5000);
        let sent = body.clone();
        let (address, thread) = serve(move |stream| {
            let response = HttpResponse::new(401)
                .headers(&[("WWW-Authenticate", "Basic")])
                .body("text/plain", sent.as_bytes());
            Server::new().receive(stream).unwrap().reject(&response)
        });
        let Err(ConnectError::Http(mut answer)) = net::connect(&url(address)) else { panic!() };
        assert_eq!(answer.status, 401);
        let head = String::from_utf8(answer.received[..answer.head_len].to_vec()).unwrap();
        assert!(head.contains("\r\nWWW-Authenticate: Basic\r\n") && head.ends_with("\r\n\r\n"), "{head}");
        // The client can still read the rest of the body. The timeouts of the handshake no longer apply to the stream.
        assert_eq!(answer.stream.socket().read_timeout().unwrap(), None);
        assert_eq!(answer.stream.socket().write_timeout().unwrap(), None);
        let mut got = answer.received.split_off(answer.head_len);
        answer.stream.read_to_end(&mut got).unwrap();
        assert_eq!(String::from_utf8(got).unwrap(), body);
        drop(answer);
        thread.join().unwrap().unwrap();
    });
}

#[test]
fn an_invalid_acceptance_is_answered_with_500() {
    timed(|| {
        let (address, thread) = serve(|stream| {
            let request = Server::new().receive(stream).unwrap();
            request.accept_with(&Acceptance::new().subprotocol("uninvited"))
        });
        let client = net::connect(&url(address));
        assert!(matches!(thread.join().unwrap(), Err(AcceptError::Response(_))));
        assert!(matches!(&client, Err(ConnectError::Http(answer)) if answer.status == 500), "{client:?}");

        // Here the server is configured with an invalid header, which it adds to each of its responses.
        let (address, thread) = serve(|stream| Server::new().header("Bad Name", "x").accept(stream));
        let client = net::connect(&url(address));
        assert!(matches!(thread.join().unwrap(), Err(AcceptError::Response(_))));
        assert!(matches!(&client, Err(ConnectError::Http(answer)) if answer.status == 500), "{client:?}");
    });
}

#[test]
fn a_response_other_than_101_can_be_read() {
    timed(|| {
        let (address, thread) = serve(|stream| {
            let response = HttpResponse::new(307)
                .headers(&[("Location", "/elsewhere")])
                .body("text/plain", b"over there");
            Server::new().receive(stream).unwrap().reject(&response)
        });
        let Err(ConnectError::Http(answer)) = net::connect(&url(address)) else {
            panic!("the server did not refuse")
        };
        assert_eq!(answer.status, 307);
        assert_eq!(answer.headers().get("location"), Some(&b"/elsewhere"[..]));
        assert!(b"over there".starts_with(answer.body()));
        thread.join().unwrap().unwrap();
    });
}

#[test]
fn an_error_implements_send_and_debug_for_any_stream() {
    /// A stream that is neither `Debug` nor `Send`.
    struct Bare(std::rc::Rc<()>);
    impl Read for Bare {
        fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
            let answer = b"HTTP/1.1 401 Unauthorized\r\n\r\n";
            to[..answer.len()].copy_from_slice(answer);
            Ok(answer.len())
        }
    }
    impl Write for Bare {
        fn write(&mut self, from: &[u8]) -> std::io::Result<usize> {
            Ok(from.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    fn opened() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let bare = Bare(std::rc::Rc::new(()));
        let ws = Client::new().open(bare, |_| None, "ws://a/").map_err(ConnectError::without_stream)?;
        let _ = &ws.stream().0;
        Ok(())
    }
    let text = opened().unwrap_err().to_string();
    assert!(text.starts_with("the server answered with status 401 instead of 101"), "{text}");
    let opened = Client::new().open(Bare(std::rc::Rc::new(())), |_| None, "ws://a/");
    let error = opened.err().expect("the answer is 401");
    assert!(format!("{error:?}").starts_with("Http(ReceivedResponse { status: 401"), "{error:?}");
}

#[test]
fn an_error_shows_the_error_that_it_wraps_and_returns_this_error_as_its_source() {
    let gone = || std::io::Error::new(ErrorKind::BrokenPipe, "gone");
    let errors: [(Box<dyn std::error::Error>, &str); 9] = [
        (Box::new(net::Error::Io(gone())), "gone"),
        (Box::new(net::Error::Send(SendError::Closed)), "closing or closed"),
        (Box::new(net::Error::Protocol(ProtocolError::NotMasked)), "RFC 6455 section 5.1"),
        (Box::new(AcceptError::<TcpStream>::Io(gone())), "gone"),
        (Box::new(AcceptError::<TcpStream>::Rejected(Reason::Method.into())), "the method is not GET"),
        (Box::new(AcceptError::<TcpStream>::Response(ResponseError::Status)), "RFC 9110 15"),
        (Box::new(ConnectError::<TcpStream>::Connect(gone())), "gone"),
        (Box::new(ConnectError::<TcpStream>::Io(gone())), "gone"),
        (Box::new(ConnectError::<TcpStream>::Handshake(HandshakeError::Timeout)), "RFC 6455 4.1"),
    ];
    for (error, inner) in errors {
        let source = error.source().unwrap().to_string();
        assert!(source.contains(inner), "{source}");
        assert!(error.to_string().contains(inner), "{error}");
    }
    let needs_tls = ConnectError::<TcpStream>::NeedsTls;
    assert!(std::error::Error::source(&needs_tls).is_none());
}

#[test]
fn plain_http_is_served_on_the_same_port() {
    timed(|| {
        for refuse in [true, false] {
            let (address, thread) = serve(move |stream| match Server::new().accept(stream) {
                Err(AcceptError::NotWebSocket(call)) => {
                    assert!(call.received().starts_with(b"GET /health "));
                    assert_eq!((call.method(), call.target()), ("GET", "/health"));
                    if refuse {
                        return call.reject().unwrap();
                    }
                    let (mut stream, received) = call.into_parts();
                    assert_eq!(stream.read_timeout().unwrap(), None);
                    assert!(received.ends_with(b"\r\n\r\n"));
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
                }
                other => panic!("{other:?}"),
            });
            let mut raw = Raw::connect(address);
            raw.write(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n");
            let head = raw.head();
            raw.half_close();
            if refuse {
                assert!(
                    head.starts_with("HTTP/1.1 426 ") && head.contains("\r\nUpgrade: websocket"),
                    "{head}"
                );
                assert!(String::from_utf8(raw.rest()).unwrap().contains("WebSocket"));
            } else {
                assert!(head.starts_with("HTTP/1.1 200 "));
            }
            thread.join().unwrap();
        }
    });
}

#[test]
fn s9110_9_3_2_a_head_request_is_answered_without_a_body() {
    timed(|| {
        let plain = "HEAD /health HTTP/1.1\r\nHost: a\r\n\r\n";
        for (request, refuse, status, length) in [
            (REQUEST.replace("GET", "HEAD"), false, 405, Reason::Method.to_string().len() + 1),
            (plain.to_owned(), true, 426, Reason::NotAnUpgrade.to_string().len() + 1),
            (plain.to_owned(), false, 200, 4),
        ] {
            let (address, thread) = serve(move |stream| match Server::new().accept(stream) {
                Err(AcceptError::NotWebSocket(call)) if refuse => call.reject().unwrap(),
                Err(AcceptError::NotWebSocket(call)) => {
                    call.respond(&HttpResponse::new(200).body("text/plain", b"well")).unwrap();
                }
                Err(AcceptError::Rejected(rejection)) => assert_eq!(rejection.reason(), Reason::Method),
                other => panic!("{other:?}"),
            });
            let mut raw = Raw::connect(address);
            raw.write(request.as_bytes());
            raw.half_close();
            let answer = String::from_utf8(raw.rest()).unwrap();
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
            assert!(answer.ends_with(&format!("\r\nContent-Length: {length}\r\n\r\n")), "{answer}");
            thread.join().unwrap();
        }
    });
}

/// Sends a plain HTTP request. Returns the client, and the thread that runs `answer` with the request.
fn plain_call<T: Send + 'static>(
    answer: impl FnOnce(HttpCall<TcpStream>) -> T + Send + 'static,
) -> (Raw, thread::JoinHandle<T>) {
    let (address, thread) = serve(move |stream| match Server::new().accept(stream) {
        Err(AcceptError::NotWebSocket(call)) => answer(call),
        other => panic!("{other:?}"),
    });
    let mut raw = Raw::connect(address);
    raw.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    (raw, thread)
}

#[test]
fn debug_output_of_a_plain_request_shows_no_query_and_no_header_values() {
    timed(|| {
        let (address, thread) = serve(|stream| format!("{:?}", Server::new().accept(stream).err()));
        let mut raw = Raw::connect(address);
        raw.write(b"GET /health?token=secret HTTP/1.1\r\nHost: a\r\nCookie: secret\r\n\r\n");
        raw.half_close();
        let shown = thread.join().unwrap();
        assert!(shown.contains("/health?…") && !shown.contains("secret"), "{shown}");
    });
}

/// Returns more bytes than the buffers of two sockets hold.
fn large_body() -> Vec<u8> {
    (0..16 << 20).map(|n: u32| (n >> 7) as u8).collect()
}

#[test]
fn a_slow_reader_receives_the_whole_answer() {
    timed(|| {
        let body = large_body();
        let (mut raw, thread) = plain_call({
            let body = body.clone();
            move |call| call.respond(&HttpResponse::new(200).body("a/b", &body))
        });
        assert!(raw.head().starts_with("HTTP/1.1 200 "));
        // After its answer a server discards input for one second. The client reads nothing for longer than this
        // second.
        let (_nobody, wait) = channel::<()>();
        assert!(wait.recv_timeout(ms(1200)).is_err());
        assert!(raw.rest() == body, "the answer is not complete");
        drop(raw);
        thread.join().unwrap().unwrap();
    });
}

#[test]
fn a_peer_that_does_not_read_an_answer_is_given_up_with_an_error() {
    timed(|| {
        let (raw, thread) = plain_call(|call| {
            let body = large_body();
            call.write_timeout(ms(100)).respond(&HttpResponse::new(200).body("a/b", &body))
        });
        assert_eq!(thread.join().unwrap().unwrap_err().kind(), ErrorKind::TimedOut);
        drop(raw);
    });
}

#[test]
fn a_bad_request_is_answered_with_the_reason() {
    timed(|| {
        let (address, thread) = serve(|stream| Server::new().accept(stream));
        let mut raw = Raw::connect(address);
        raw.write(REQUEST.replace("dGhl", "!!!!").as_bytes());
        let head = raw.head();
        raw.half_close();
        assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
        let body = String::from_utf8(raw.rest()).unwrap();
        assert!(body.contains("Sec-WebSocket-Key"), "{body}");
        match thread.join().unwrap() {
            Err(AcceptError::Rejected(rejection)) => assert_eq!(rejection.reason(), Reason::KeyInvalid),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_refusal_arrives_although_the_client_sent_bytes_after_its_request() {
    timed(|| {
        let (address, thread) = serve(|stream| Server::new().accept(stream));
        let mut raw = Raw::connect(address);
        raw.write(&[REQUEST.replace("13\r\n", "12\r\n").as_bytes(), &[b'x'; 32 << 10]].concat());
        // A server that closes a socket with unread input causes a reset, which could destroy the answer.
        let answer = String::from_utf8(raw.rest()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
        assert!(answer.contains("\r\nSec-WebSocket-Version: 13\r\n"), "{answer}");
        drop(raw);
        assert!(matches!(thread.join().unwrap(), Err(AcceptError::Rejected(_))));
    });
}

/// No connection is made: the host does not exist.
#[cfg(not(any(
    feature = "native-tls",
    all(
        any(feature = "rustls-ring", feature = "rustls-aws-lc-rs"),
        any(feature = "webpki-roots", feature = "platform-verifier")
    )
)))]
#[test]
fn connecting_to_a_wss_url_fails_with_the_names_of_the_missing_features() {
    let error = net::connect("wss://example.invalid/").unwrap_err();
    #[cfg(not(feature = "rustls"))]
    assert!(matches!(error, ConnectError::NeedsTls));
    #[cfg(feature = "rustls")]
    assert!(matches!(error, ConnectError::Tls(_)));
    let text = error.to_string();
    if cfg!(not(any(feature = "rustls-ring", feature = "rustls-aws-lc-rs"))) {
        assert!(text.contains("rustls-ring") && text.contains("rustls-aws-lc-rs"), "{text}");
    } else {
        assert!(text.contains("platform-verifier") && text.contains("Client::tls"), "{text}");
    }
    if cfg!(not(feature = "rustls")) {
        assert!(text.contains("webpki-roots") && text.contains("platform-verifier"), "{text}");
        assert!(text.contains("native-tls") && text.contains("Client::open"), "{text}");
    }
}

#[test]
fn a_failed_connection_is_a_typed_error() {
    timed(|| {
        for bad in ["http//x", "ftp://x/", "ws://", "ws://a/#b", "ws://a:99999/", "ws://u:p@a/", "ws://a b/"]
        {
            assert!(matches!(net::connect(bad), Err(ConnectError::Url(_))), "{bad}");
        }
        let (listener, address) = listen();
        drop(listener);
        match net::connect(&url(address)) {
            Err(ConnectError::Connect(error)) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
                assert!(error.to_string().contains(&address.to_string()), "{error}");
            }
            other => panic!("{other:?}"),
        }
        // The header `Host`, which an application may not set, is found before a connection is attempted. No server
        // listens, so an attempt would fail in another way.
        let unsendable = Client::new().header("Host", "b");
        assert!(matches!(unsendable.connect(&url(address)), Err(ConnectError::Request(_))));
    });
}

#[test]
fn connecting_ends_at_the_open_timeout() {
    timed(|| {
        let (_listener, address) = listen();
        for (host, stage) in
            [(address.to_string(), Stage::Connecting), ("localhost:1".into(), Stage::Resolving)]
        {
            match Client::new().open_timeout(Some(ms(0))).connect(&format!("ws://{host}/")) {
                Err(ConnectError::Deadline(error)) => {
                    assert_eq!((error.stage(), error.limit()), (stage, ms(0)))
                }
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn each_address_of_a_host_is_tried_until_one_connects() {
    timed(|| {
        let addresses: Vec<_> = ("localhost", 0).to_socket_addrs().unwrap().collect();
        let Some(last) = addresses.iter().rfind(|address| address.ip() != addresses[0].ip()) else {
            return eprintln!("skipped: localhost has one address here, {addresses:?}");
        };
        let listener = TcpListener::bind(last).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || net::accept(listener.accept().unwrap().0).map(drop).unwrap());
        net::connect(&format!("ws://localhost:{port}/")).unwrap();
        server.join().unwrap();
    });
}

#[test]
fn a_request_that_never_ends_times_out() {
    timed(|| {
        let server = Server::new().handshake_timeout(Some(ms(50)));
        let (address, thread) = serve(move |stream| server.accept(stream));
        let mut raw = Raw::connect(address);
        raw.write(&REQUEST.as_bytes()[..60]);
        let head = raw.head();
        assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
        raw.half_close();
        raw.rest();
        match thread.join().unwrap() {
            Err(AcceptError::Rejected(rejection)) => assert_eq!(rejection.reason(), Reason::Timeout),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_server_that_never_answers_times_out() {
    timed(|| {
        let (_listener, address) = listen();
        // A busy machine may need longer to connect.
        let mut limits = [50, 500, 5000].map(ms).into_iter();
        loop {
            let limit = limits.next().expect("the handshake has not begun in five seconds");
            match Client::new().open_timeout(Some(limit)).connect(&url(address)) {
                Err(ConnectError::Deadline(error)) if error.stage() == Stage::Handshake => {
                    return assert_eq!(error.limit(), limit);
                }
                Err(ConnectError::Deadline(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn a_response_without_the_right_accept_value_is_refused() {
    timed(|| {
        let (address, thread) = serve(|stream| {
            let mut raw = Raw::new(stream, false);
            raw.head();
            raw.write(&response(REQUEST.as_bytes()));
            raw.gone();
        });
        let client = net::connect(&url(address));
        assert!(matches!(client, Err(ConnectError::Handshake(_))), "{client:?}");
        drop(client);
        thread.join().unwrap();
    });
}

#[test]
fn s4_1_keys_are_fresh_and_nothing_follows_the_request() {
    timed(|| {
        let mut seen = Vec::new();
        for _ in 0..4 {
            let (address, thread) = serve(|stream| {
                let mut raw = Raw::new(stream, false);
                let head = raw.head();
                // The client sends nothing until it has received the response.
                raw.stream.set_nonblocking(true).unwrap();
                let early = raw.stream.read(&mut [0]).unwrap_err();
                assert_eq!(early.kind(), ErrorKind::WouldBlock);
                raw.stream.set_nonblocking(false).unwrap();
                raw.write(&response(head.as_bytes()));
                // The first frame contains its masking key.
                let mut bytes = [0; 6];
                raw.stream.read_exact(&mut bytes).unwrap();
                let key = head.lines().find(|line| line.starts_with("Sec-WebSocket-Key: ")).unwrap();
                (key.to_owned(), bytes[2..].to_vec())
            });
            let mut ws = net::connect(&url(address)).unwrap();
            ws.send_text("").unwrap();
            seen.push(thread.join().unwrap());
        }
        for (at, (key, mask)) in seen.iter().enumerate() {
            assert!(seen[..at].iter().all(|(other, _)| other != key), "{seen:?}");
            assert!(seen[..at].iter().all(|(_, other)| other != mask), "{seen:?}");
        }
    });
}

#[test]
fn a_head_that_is_cut_off_is_an_error() {
    timed(|| {
        let (address, thread) = serve(|stream| Server::new().accept(stream));
        Raw::connect(address).write(&REQUEST.as_bytes()[..60]);
        match thread.join().unwrap() {
            Err(AcceptError::Io(error)) => assert_eq!(error.kind(), ErrorKind::UnexpectedEof),
            other => panic!("{other:?}"),
        }
        let (address, thread) = serve(|stream| {
            let mut raw = Raw::new(stream, false);
            raw.head();
            raw.write(b"HTTP/1.1 101 Swi");
        });
        match net::connect(&url(address)) {
            Err(ConnectError::Io(error)) => assert_eq!(error.kind(), ErrorKind::UnexpectedEof),
            other => panic!("{other:?}"),
        }
        thread.join().unwrap();
    });
}

#[test]
fn a_handshake_may_arrive_byte_by_byte() {
    timed(|| {
        let (address, thread) = serve(|stream| echo(&mut net::accept(stream).unwrap()));
        let mut raw = Raw::connect(address);
        for byte in [REQUEST.as_bytes(), &frame(0x81, true, b"abc")].concat() {
            raw.write(&[byte]);
        }
        raw.head();
        assert_eq!(raw.frame(), (0x81, b"abc".to_vec()));
        raw.send(0x88, b"");
        assert_eq!(raw.frame(), (0x88, Vec::new()));
        drop(raw);
        thread.join().unwrap();
    });
}

#[test]
fn bytes_after_the_handshake_are_not_lost() {
    timed(|| {
        let (address, thread) = serve(|stream| {
            let mut ws = net::accept(stream).unwrap();
            let first = ws.recv().unwrap();
            (first, ws.recv().unwrap(), ws.wait_closed().unwrap())
        });
        let mut raw = Raw::connect(address);
        let large = vec![7; 100_000];
        raw.write(
            &[
                REQUEST.as_bytes(),
                &frame(0x81, true, b"hi"),
                &frame(0x82, true, &large),
                &frame(0x88, true, &close_body(1000, "")),
            ]
            .concat(),
        );
        raw.head();
        assert_eq!(raw.frame(), (0x88, close_body(1000, "")));
        drop(raw);
        let (first, second, outcome) = thread.join().unwrap();
        assert_eq!((first, second), (Some("hi".into()), Some(large.into())));
        assert!(outcome.is_clean());

        let (address, thread) = serve(|stream| {
            let close = frame(0x88, false, &close_body(1001, "so soon"));
            let mut raw = Raw::server(stream, &[frame(0x81, false, b"hi"), close].concat());
            assert_eq!(raw.frame(), (0x88, close_body(1001, "so soon")));
        });
        let mut ws = net::connect(&url(address)).unwrap();
        assert_eq!(ws.recv().unwrap(), Some("hi".into()));
        assert_eq!(ws.wait_closed().unwrap(), Outcome::Clean { code: hybi::CloseCode::GOING_AWAY });
        thread.join().unwrap();
    });
}

/// Clients disconnect after any byte, in an orderly way or with a reset. The server still accepts further clients.
#[test]
fn a_server_survives_clients_that_disconnect_after_any_byte() {
    timed(|| {
        let (listener, address) = listen();
        let request = REQUEST.as_bytes();
        let message = frame(0x81, true, b"abc");
        let all = [request, &frame(0x01, true, b"ab"), &frame(0x89, true, b"p"), &message].concat();
        let count = all.len() + 1;
        let server = thread::spawn(move || {
            let mut opened = 0;
            for _ in 0..count {
                let (stream, _) = listener.accept().unwrap();
                if let Ok(mut ws) = Server::new().accept(stream) {
                    opened += 1;
                    while let Ok(Some(_)) | Err(_) = ws.next_event() {}
                    assert!(ws.next_event().unwrap().is_none());
                }
            }
            // The server still serves the next client.
            echo(&mut net::accept(listener.accept().unwrap().0).unwrap());
            opened
        });
        for at in 0..count {
            let mut raw = Raw::connect(address);
            raw.write(&all[..at]);
            if at % 2 == 0 {
                // Half of the clients shut down the connection in an orderly way. The other clients drop a socket that
                // may have unread answers, which sends a reset.
                let _ = raw.stream.shutdown(Shutdown::Both);
            }
        }
        let mut client = net::connect(&url(address)).unwrap();
        client.send_text("still there").unwrap();
        assert_eq!(client.recv().unwrap(), Some("still there".into()));
        client.close(None, "").unwrap();
        client.wait_closed().unwrap();
        let opened = server.join().unwrap();
        assert!(opened <= count - request.len());
    });
}

#[test]
fn a_handshake_runs_over_a_stream_that_the_caller_made() {
    timed(|| {
        /// A stream that contains a socket, as the stream of a TLS library does.
        #[derive(Debug)]
        struct Wrapped(TcpStream);
        impl Read for Wrapped {
            fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
                self.0.read(to)
            }
        }
        impl Write for Wrapped {
            fn write(&mut self, from: &[u8]) -> std::io::Result<usize> {
                self.0.write(from)
            }
            fn flush(&mut self) -> std::io::Result<()> {
                self.0.flush()
            }
        }
        let (address, thread) = serve(|stream| {
            let stream = WrappedStream::new(Wrapped(stream), |s: &Wrapped| Some(&s.0));
            let mut ws = Server::new().accept_stream(stream).unwrap();
            assert_eq!(ws.recv().unwrap(), Some("over".into()));
            ws.send_text("and out").unwrap();
            ws.wait_closed().unwrap()
        });
        let stream = Wrapped(TcpStream::connect(address).unwrap());
        // The URL's scheme does not matter, because the caller made the stream.
        let mut ws = Client::new().open(stream, |s| Some(&s.0), "wss://example.com/").unwrap();
        ws.send_text("over").unwrap();
        assert_eq!(ws.recv().unwrap(), Some("and out".into()));
        ws.close(hybi::CloseCode::NORMAL, "").unwrap();
        assert!(ws.wait_closed().unwrap().is_clean());
        assert!(thread.join().unwrap().is_clean());
    });
}
