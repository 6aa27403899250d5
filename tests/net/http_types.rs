//! Clients that send an `http::Request`, over loopback.
//!
//! `tests/http_types.rs` tests the conversions.

use http::{Request, Version};
use hybi::adapters::net::{Client, ConnectError, ReconnectTarget, Server, WrappedStream};
use hybi::handshake::{HeaderError, HttpRequestError, HttpResponse, RequestError, UrlError};
use hybi::reconnect::{Failure, GiveUp, ReconnectPolicy};

use crate::common::*;

#[test]
fn each_side_receives_the_headers_of_the_other_side() {
    timed(|| {
        let server = Server::new().subprotocols(["v1"]).header("X-Server", "s");
        let (address, thread) = serve(move |stream| {
            let pending = server.receive(stream).unwrap();
            let request = pending.head().to_http_request().unwrap();
            let ws = pending.accept().unwrap();
            assert!(ws.handshake().to_http_response().is_none(), "the headers are those of the request");
            request
        });
        let client = Client::new()
            .subprotocols(["v2"])
            .origin("https://replaced.example")
            .header("User-Agent", "replaced")
            .header("X-Client", "kept");
        let request = Request::get(format!("ws://{address}/chat?room=1"))
            .header("Host", address.to_string())
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==")
            .header("Sec-WebSocket-Protocol", "v1")
            .header("Origin", "https://a.example")
            .header("User-Agent", "hybi")
            .header("Cookie", "a=1")
            .header("Cookie", "b=2")
            .body("ignored")
            .unwrap();
        let ws = client.connect_request(&request).unwrap();
        assert_eq!((ws.target(), ws.subprotocol()), ("/chat?room=1", Some("v1")));
        let response = ws.handshake().to_http_response().unwrap();
        assert_eq!((response.status().as_u16(), response.version()), (101, Version::HTTP_11));
        assert_eq!(response.headers()["x-server"], "s");
        assert_eq!(response.headers()["upgrade"], "websocket");

        let received = thread.join().unwrap();
        assert_eq!(received.uri(), "/chat?room=1");
        for (name, value) in [
            ("host", &*address.to_string()),
            ("origin", "https://a.example"),
            ("user-agent", "hybi"),
            ("x-client", "kept"),
            ("sec-websocket-protocol", "v1"),
        ] {
            assert!(received.headers().get_all(name).iter().eq([value]), "{name}");
        }
        assert!(received.headers().get_all("cookie").iter().eq(["a=1", "b=2"]));
        assert_ne!(received.headers()["sec-websocket-key"], "AAAAAAAAAAAAAAAAAAAAAA==");
    });
}

#[test]
fn a_response_other_than_101_has_the_body_that_has_arrived() {
    timed(|| {
        let (address, thread) = serve(|stream| {
            let response = HttpResponse::new(401)
                .headers(&[("WWW-Authenticate", "Basic"), ("WWW-Authenticate", "Bearer")])
                .body("text/plain", b"who are you?");
            Server::new().receive(stream).unwrap().reject(&response)
        });
        let request = Request::get(url(address)).body(()).unwrap();
        let error = Client::new().connect_request(&request).unwrap_err();
        let response = error.response().unwrap().to_http_response();
        assert_eq!((response.status().as_u16(), response.version()), (401, Version::HTTP_11));
        assert!(response.headers().get_all("www-authenticate").iter().eq(["Basic", "Bearer"]));
        assert!(b"who are you?".starts_with(response.body()));
        drop(error);
        thread.join().unwrap().unwrap();

        let (address, thread) = serve(|stream| {
            let mut raw = Raw::new(stream, false);
            raw.head();
            raw.write(b"HTTP/1.0 503 Busy\r\n\r\n");
        });
        let error = Client::new().connect(&url(address)).unwrap_err();
        let response = error.response().unwrap().to_http_response();
        assert_eq!((response.status().as_u16(), response.version()), (503, Version::HTTP_10));
        thread.join().unwrap();
    });
}

#[test]
fn a_request_that_cannot_be_sent_is_an_error_before_connecting() {
    // Nobody listens at this address.
    let url = url(listen().1);
    let client = Client::new();
    let error = |request: http::Result<Request<()>>| client.connect_request(&request.unwrap()).unwrap_err();
    let text = error(Request::post(&url).body(())).to_string();
    assert!(text.contains("not GET"), "{text}");
    let conflict = error(Request::get(&url).header("Connection", "close").body(()));
    assert!(
        matches!(&conflict, ConnectError::Request(RequestError::Header(HeaderError::Reserved(name)))
            if name.as_str() == "connection"),
        "{conflict}"
    );
    let relative = error(Request::get("/chat").body(()));
    assert!(matches!(&relative, ConnectError::HttpRequest(HttpRequestError::NotAbsolute)), "{relative}");
    assert_eq!(std::error::Error::source(&relative).unwrap().to_string(), relative.to_string());
    assert!(format!("{relative:?}").starts_with("HttpRequest("), "{relative:?}");
    assert_eq!(relative.failure(), Failure::Request);
    assert!(matches!(relative.without_stream(), ConnectError::HttpRequest(_)));
    let scheme = error(Request::get("ftp://a/").body(()));
    assert!(matches!(&scheme, ConnectError::Url(UrlError::Scheme)), "{scheme}");
}

#[test]
fn the_settings_of_a_request_apply_to_a_stream_that_is_connected_already() {
    timed(|| {
        let (address, thread) = serve(|stream| Server::new().accept(stream).unwrap());
        let request = Request::get("ws://elsewhere.example/chat").header("X-One", "1").body(()).unwrap();
        let (client, url) = Client::new().with_request(&request).unwrap();
        let stream = std::net::TcpStream::connect(address).unwrap();
        client.open_stream(WrappedStream::from(stream), &url).unwrap();
        let ws = thread.join().unwrap();
        assert_eq!((ws.target(), ws.headers().get_str("X-One")), ("/chat", Some("1")));
        assert_eq!(ws.headers().get_str("Host"), Some("elsewhere.example"));
    });
}

#[test]
fn each_attempt_of_a_client_that_reconnects_can_have_its_own_request() {
    timed(|| {
        let (listener, address) = listen();
        let server = std::thread::spawn(move || {
            [(); 2].map(|()| {
                let mut raw = Raw::new(listener.accept().unwrap().0, false);
                let head = raw.head();
                raw.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
                head
            })
        });
        let request = |attempt: u32| {
            // The third request cannot be sent.
            let uri = if attempt < 2 { url(address) } else { "/".to_owned() };
            let token = format!("token {attempt}");
            Request::get(uri).header("X-Token", token).body(()).unwrap()
        };
        let policy = ReconnectPolicy::new().first_delay(ms(1)).max_delay(ms(2));
        let client = Client::new().header("x-token", "replaced");
        let mut feed = client.reconnecting(policy, move |attempt| {
            ReconnectTarget::from(request(attempt)).header("X-More", "1")
        });
        let stopped = feed.next_connection().unwrap_err();
        assert_eq!(stopped.reason, GiveUp::NotRetried(Failure::Request));
        let error = *stopped.error.unwrap();
        assert!(matches!(error, ConnectError::HttpRequest(HttpRequestError::NotAbsolute)), "{error}");
        for (attempt, head) in server.join().unwrap().iter().enumerate() {
            assert!(head.contains(&format!("\r\nx-token: token {attempt}\r\n")), "{head}");
            assert!(head.contains("\r\nX-More: 1\r\n") && !head.contains("replaced"), "{head}");
        }
    });
}
