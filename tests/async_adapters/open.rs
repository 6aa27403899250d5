//! The opening handshake of both roles.
//!
//! These tests run handshakes over streams that move few bytes, wait, stall, or fail at one call. They also check
//! rejections, timeouts and responses other than 101. `tests/handshake.rs` tests the grammar of requests and responses,
//! and `answers.rs` tests slow readers of a response.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::pin::pin;

use hybi::Message;
use hybi::adapters::futures_io::{AcceptError, Acceptance, Client, ConnectError, ReceivedResponse, Server};
use hybi::dial::Stage;
use hybi::handshake::{ClientRequest, HttpResponse, Reason, Rejection};

use super::halves::tick;
use super::support::*;

const REQUEST: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Protocol: one, two\r\nOrigin: https://here\r\n\r\n";

fn server(clock: &Clock) -> Server<Clock> {
    Server::with_timer(clock.clone())
}

fn behaviors() -> [Behavior; 3] {
    [
        Behavior::default(),
        Behavior { piece: 1, hesitant: true, ..Behavior::default() },
        Behavior { piece: 7, ..Behavior::default() },
    ]
}

#[test]
fn a_server_opens_and_keeps_the_bytes_after_the_request() {
    for behavior in behaviors() {
        let (clock, end) = (Clock::default(), End::new(behavior));
        end.arrive(REQUEST.as_bytes());
        end.arrive(&[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
        let server = server(&clock).subprotocols(["two"]).origins(["https://here"]).header("X-More", "yes");
        let mut ws = block_on(&clock, server.accept(end.clone())).unwrap();
        let response = String::from_utf8(end.take_written()).unwrap();
        assert!(response.starts_with("HTTP/1.1 101 "), "{response}");
        assert!(response.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        assert!(response.contains("X-More: yes\r\n"));
        assert_eq!(ws.subprotocol(), Some("two"));
        assert_eq!(ws.headers().get("origin"), Some(&b"https://here"[..]));
        assert_eq!(block_on(&clock, ws.recv()).unwrap(), Some(Message::from("Hello")));
        ws.forget_headers();
        assert_eq!(ws.headers().iter().count(), 0);
    }
}

#[test]
fn a_server_sends_a_response_other_than_101() {
    for behavior in behaviors() {
        let (clock, end) = (Clock::default(), End::new(behavior));
        end.arrive(REQUEST.as_bytes());
        end.end();
        let strict = server(&clock).origins(["https://elsewhere"]);
        let rejected = block_on(&clock, strict.accept(end.clone()));
        assert!(matches!(rejected, Err(AcceptError::Rejected(why)) if why.status() == 403));
        assert!(end.take_written().starts_with(b"HTTP/1.1 403 "));
        assert!(end.state.lock().unwrap().shut_down);

        let end = End::new(Behavior::default());
        end.arrive(REQUEST.as_bytes());
        let request = block_on(&clock, server(&clock).receive(end.clone())).unwrap();
        block_on(&clock, request.reject(&HttpResponse::new(401))).unwrap();
        assert!(end.take_written().starts_with(b"HTTP/1.1 401 "));
        // The peer does not end the stream. The server reads for one second and then gives up.
        assert_eq!(clock.seconds(), 1);

        for (target, status) in [("/", "200"), ("/none", "404"), ("/chat", "426")] {
            let end = End::new(Behavior::default());
            end.arrive(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
            end.end();
            let Err(AcceptError::NotWebSocket(call)) = block_on(&clock, server(&clock).accept(end.clone()))
            else {
                panic!("no call");
            };
            assert!(call.received().starts_with(b"GET /"));
            let answer = match call.target() {
                "/chat" => block_on(&clock, call.reject()),
                "/" => block_on(&clock, call.respond(&HttpResponse::new(200).body("text/html", b"<p>hello"))),
                _ => block_on(&clock, call.respond(&HttpResponse::new(404))),
            };
            answer.unwrap();
            let written = end.take_written();
            assert!(written.starts_with(format!("HTTP/1.1 {status} ").as_bytes()));
            assert_eq!(written.ends_with(b"\r\n\r\n<p>hello"), target == "/");
            assert!(end.state.lock().unwrap().shut_down);
        }

        // The application checks the origin itself. The response is the same as for the origin check of the server.
        let end = End::new(Behavior::default());
        end.arrive(REQUEST.as_bytes());
        let request = block_on(&clock, server(&clock).receive(end.clone())).unwrap();
        let rejection = request.head().check_origin(&["https://a"]).unwrap_err();
        assert_eq!(rejection.status(), 403);
        block_on(&clock, request.reject(&rejection.response())).unwrap();
        let mut expected = [0; 512];
        let len = Rejection::from(Reason::OriginNotAllowed).response().write(&mut expected).unwrap();
        assert_eq!(end.take_written(), expected[..len]);
    }
}

#[test]
fn s9110_9_3_2_a_head_request_is_answered_without_a_body() {
    let accept = |request: &str| {
        let (clock, end) = (Clock::default(), End::new(Behavior::default()));
        end.arrive(request.as_bytes());
        end.end();
        (block_on(&clock, server(&clock).accept(end.clone())), clock, end)
    };
    let is_head = |end: &End, start: &str, length: usize| {
        let written = String::from_utf8(end.take_written()).unwrap();
        assert!(written.starts_with(start), "{written}");
        assert!(written.ends_with(&format!("\r\nContent-Length: {length}\r\n\r\n")), "{written}");
    };
    let length = |reason: Reason| reason.to_string().len() + 1;
    for (request, reason) in [
        (REQUEST.replace("GET", "HEAD"), Reason::Method),
        ("HEAD / HTTP/1.1\r\n\r\n".into(), Reason::HostMissing),
    ] {
        let (result, _, end) = accept(&request);
        assert!(matches!(result, Err(AcceptError::Rejected(why)) if why.reason() == reason));
        is_head(&end, &format!("HTTP/1.1 {} ", reason.status()), length(reason));
    }
    for reject in [true, false] {
        let (result, clock, end) = accept("HEAD /health HTTP/1.1\r\nHost: a\r\n\r\n");
        let Err(AcceptError::NotWebSocket(call)) = result else { panic!("no call") };
        assert_eq!(call.method(), "HEAD");
        if reject {
            block_on(&clock, call.reject()).unwrap();
            is_head(&end, "HTTP/1.1 426 ", length(Reason::NotAnUpgrade));
        } else {
            block_on(&clock, call.respond(&HttpResponse::new(200).body("text/plain", b"well"))).unwrap();
            is_head(&end, "HTTP/1.1 200 OK\r\n", 4);
        }
    }
}

#[test]
fn a_handshake_ends_at_its_timeout() {
    let (clock, end) = (Clock::default(), End::new(Behavior::default()));
    end.arrive(b"GET / HT");
    let late = block_on(&clock, server(&clock).handshake_timeout(Some(ms(3000))).accept(end.clone()));
    assert!(matches!(late, Err(AcceptError::Rejected(why)) if why.status() == 408));
    assert!(end.take_written().starts_with(b"HTTP/1.1 408 "));
    assert_eq!(clock.seconds(), 4);

    let (clock, end) = (Clock::default(), End::new(Behavior::default()));
    let client = Client::with_timer(clock.clone()).open_timeout(Some(ms(3000)));
    let late = block_on(&clock, client.open(end, "ws://a/"));
    assert!(matches!(late, Err(ConnectError::Deadline(error)) if error.stage() == Stage::Handshake));
    assert_eq!(clock.seconds(), 3);
}

type Accepted = Result<Ws, AcceptError<End, Clock>>;

/// Runs both endpoints until they are open, or until either fails.
fn open_both(
    near: &End,
    far: &End,
    client: &Client<Clock>,
    server: &Server<Clock>,
    clock: &Clock,
) -> (Result<Ws, ConnectError<End>>, Option<Accepted>) {
    let opened = RefCell::new(None);
    let mut serving = pin!(async {
        let accepted = match server.receive(far.clone()).await {
            Ok(request) => {
                let head = request.head();
                assert_eq!((head.path(), head.host()), ("/chat", Some("a")));
                assert_eq!(request.headers().get("authorization"), Some(&b"x"[..]));
                request.accept_with(&Acceptance::new().subprotocol("one").header("X-More", "y")).await
            }
            Err(error) => Err(error),
        };
        *opened.borrow_mut() = Some(accepted);
    });
    let mut wires = pin!(async {
        loop {
            far.arrive(&near.take_written());
            near.arrive(&far.take_written());
            if matches!(*opened.borrow(), Some(Err(_))) {
                near.end();
            }
            tick().await;
        }
    });
    let connecting = async {
        let opened_here = client.open(near.clone(), "ws://a/chat").await;
        // The server gets some more polls to complete its handshake.
        for _ in 0..20 {
            tick().await;
        }
        opened_here
    };
    let result = run(clock, connecting, &mut [serving.as_mut(), wires.as_mut()]);
    (result, opened.take())
}

#[test]
fn a_client_and_a_server_open() {
    for behavior in behaviors() {
        let clock = Clock::default();
        let (near, far) = (End::new(behavior.clone()), End::new(behavior));
        let client =
            Client::with_timer(clock.clone()).subprotocols(["one", "two"]).header("Authorization", "x");
        let (ws, served) = open_both(&near, &far, &client, &server(&clock), &clock);
        let (mut ws, mut served) = (ws.unwrap(), served.unwrap().unwrap());
        assert_eq!(ws.subprotocol(), Some("one"));
        assert_eq!(ws.headers().get("x-more"), Some(&b"y"[..]));
        block_on(&clock, ws.send_text("hello")).unwrap();
        far.arrive(&near.take_written());
        assert_eq!(block_on(&clock, served.recv()).unwrap(), Some("hello".into()));
    }
}

#[test]
fn a_fault_at_any_call_of_a_handshake_has_a_typed_error() {
    for client_faulty in [true, false] {
        let open = |fault| {
            let clock = Clock::default();
            let faulty = End::new(Behavior { piece: 40, fault, ..Behavior::default() });
            let sound = End::new(Behavior::default());
            let (near, far) = if client_faulty { (&faulty, &sound) } else { (&sound, &faulty) };
            let client = Client::with_timer(clock.clone()).subprotocols(["one"]).header("Authorization", "x");
            let (ws, served) = open_both(near, far, &client, &server(&clock), &clock);
            let error = if client_faulty {
                ws.err().map(|error| match error {
                    ConnectError::Io(error) => error.kind(),
                    other => panic!("{other:?}"),
                })
            } else {
                served.expect("the handshake of the server has not ended").err().map(|error| match error {
                    AcceptError::Io(error) => error.kind(),
                    other => panic!("{other:?}"),
                })
            };
            (error, faulty.state.lock().unwrap().calls)
        };
        let (error, calls) = open(None);
        assert_eq!(error, None);
        assert!(calls > 8, "{calls}");
        let mut seen = std::collections::BTreeSet::new();
        for at in 0..calls {
            for fault in [Fault::Short, Fault::Pending, Fault::Interrupted] {
                assert_eq!(open(Some((at, fault))).0, None, "{fault:?} at {at}");
            }
            assert_eq!(open(Some((at, Fault::Reset))).0, Some(ErrorKind::ConnectionReset), "at {at}");
            // If this call is a flush, the fault has no effect, because a flush moves no bytes.
            seen.insert(open(Some((at, Fault::Zero))).0);
        }
        assert!(seen.into_iter().eq([None, Some(ErrorKind::WriteZero), Some(ErrorKind::UnexpectedEof)]));
    }
}

#[test]
fn a_client_receives_a_response_other_than_101() {
    let (clock, end) = (Clock::default(), End::new(Behavior::default()));
    end.arrive(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno");
    let client = Client::with_timer(clock.clone());
    match block_on(&clock, client.request(end, ClientRequest::new("a", "/"))) {
        Err(ConnectError::Http(answer)) => {
            assert_eq!((answer.status, &answer.received[answer.head_len..]), (401, &b"no"[..]));
        }
        other => panic!("{other:?}"),
    }
    let end = End::new(Behavior::default());
    end.end();
    assert!(matches!(block_on(&clock, client.open(end, "ws://a/")), Err(ConnectError::Io(_))));
    let end = End::new(Behavior::default());
    assert!(matches!(block_on(&clock, client.open(end, "ftp://a/")), Err(ConnectError::Url(_))));
}

/// Returns the response that a client reports. `response` arrives at once or byte by byte.
fn answer_to(response: &[u8], byte_by_byte: bool) -> ReceivedResponse<End> {
    let behavior = Behavior { piece: if byte_by_byte { 1 } else { usize::MAX }, ..Behavior::default() };
    let (clock, end) = (Clock::default(), End::new(behavior));
    end.arrive(response);
    match block_on(&clock, Client::with_timer(clock.clone()).open(end, "ws://a/")) {
        Err(ConnectError::Http(answer)) => answer,
        other => panic!("{other:?}"),
    }
}

#[test]
fn s9110_15_2_a_client_reports_the_headers_of_the_final_response() {
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n";
    let found = "HTTP/1.1 302 Found\r\nLocation: /b\r\n\r\n";
    let unauthorized = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nLink: </c>\r\n\r\n";
    let bare = "HTTP/1.1 503 \r\n\r\n";
    let (go_on, processing) = ("HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 102 P\r\nX: 1\r\n\r\n");
    type Case<'c> = (&'c [&'c str], &'c str, u16, &'c [(&'c str, &'c [u8])]);
    let cases: &[Case<'_>] = &[
        (&[], found, 302, &[("Location", b"/b")]),
        (&[hints], found, 302, &[("Location", b"/b")]),
        (&[go_on], unauthorized, 401, &[("WWW-Authenticate", b"Basic"), ("Link", b"</c>")]),
        (&[processing, processing], bare, 503, &[]),
        (&[go_on, hints, processing], found, 302, &[("Location", b"/b")]),
    ];
    for (interim, last, status, headers) in cases {
        let interim = interim.concat();
        for byte_by_byte in [false, true] {
            let answer = answer_to(format!("{interim}{last}body").as_bytes(), byte_by_byte);
            assert_eq!(answer.status, *status);
            let got: Vec<_> = answer.headers().iter().map(|header| (header.name, header.value)).collect();
            assert_eq!(got, *headers, "{interim}{last}");
            assert_eq!(answer.head(), last.as_bytes());
            assert_eq!(answer.head_len, interim.len() + last.len());
            assert!(b"body".starts_with(answer.body()));
            // The headers stay available after the stream was removed from the error.
            let ConnectError::Http(bare) = ConnectError::Http(answer).without_stream() else { panic!() };
            assert_eq!((bare.headers().iter().count(), bare.head()), (headers.len(), last.as_bytes()));
        }
    }
}
