//! Redirects and `http::Request` on tokio and smol, over loopback.
//!
//! `tests/redirect.rs` has a table of redirects. `tests/net/redirect.rs` tests the client of the blocking adapter in
//! more cases.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hybi::handshake::{HeadLimits, Incoming, ServerHandshake};

/// Starts a server that answers one connection for each of `locations` with a redirect. The server then opens a
/// WebSocket for one more connection. The thread returns the heads of all requests.
fn server(locations: Vec<String>) -> (SocketAddr, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = thread::spawn(move || {
        let mut heads = Vec::new();
        let redirects = locations.into_iter().map(Some).chain([None]);
        for location in redirects {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.extend(byte);
            }
            let answer = match (location, ServerHandshake::new(HeadLimits::new()).poll(&head)) {
                (Some(location), _) => {
                    format!("HTTP/1.1 307 T\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
                        .into_bytes()
                }
                (None, Ok(Some(Incoming::Upgrade(request)))) => request.accept().to_vec().unwrap(),
                (None, other) => panic!("{other:?}"),
            };
            stream.write_all(&answer).unwrap();
            heads.push(String::from_utf8(head).unwrap());
        }
        heads
    });
    (address, thread)
}

/// Redirects each request to the same server, while `client` runs.
fn redirecting<T>(client: impl FnOnce(&str) -> T) -> T {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = thread::spawn(move || {
        loop {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 4096];
            // The client may close a connection before it has sent a request.
            if stream.read(&mut head).is_ok_and(|n| head[..n] == *b"end") {
                return;
            }
            let _ = stream.write_all(b"HTTP/1.1 307 T\r\nLocation: /\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let result = client(&format!("ws://{address}/"));
    TcpStream::connect(address).unwrap().write_all(b"end").unwrap();
    thread.join().unwrap();
    result
}

const LIMIT: Duration = Duration::from_millis(300);

/// Checks the heads of the requests to the first server, and of the one request to the other server.
fn check(first: &[String], other: &[String]) {
    assert!(first.iter().all(|head| head.contains("7f3a")), "{first:?}");
    assert!(first[0].starts_with("GET /one HTTP") && first[1].starts_with("GET /two HTTP"), "{first:?}");
    assert!(!other[0].contains("7f3a") && other[0].starts_with("GET /three HTTP"), "{other:?}");
    assert!(other[0].to_ascii_lowercase().contains("user-agent: hybi"), "{other:?}");
}

#[cfg(feature = "tokio")]
mod on_tokio {
    use hybi::adapters::tokio::{Client, ConnectError};
    use hybi::redirect::RedirectError;

    use super::*;

    #[tokio::test]
    async fn s9110_15_4_a_redirect_to_another_server_is_followed_without_credentials() {
        let (other, other_thread) = server(vec![]);
        let (first, first_thread) = server(vec!["/two".into(), format!("http://{other}/three")]);
        // The last request lets the first server end.
        let client = Client::new().header("Authorization", "Bearer 7f3a").header("User-Agent", "hybi");
        let ws = client.clone().max_redirects(2).connect(&format!("ws://{first}/one")).await.unwrap();
        assert_eq!(ws.target(), "/three");
        client.connect(&format!("ws://{first}/last")).await.unwrap();
        check(&first_thread.join().unwrap(), &other_thread.join().unwrap());
    }

    #[tokio::test]
    async fn a_refused_redirect_has_its_reason_and_its_response() {
        let (address, thread) = server(vec!["/a".into(), "/b".into()]);
        let url = format!("ws://{address}/");
        let error = Client::new().max_redirects(1).connect(&url).await.unwrap_err();
        assert_eq!(error.response().unwrap().headers().get("location"), Some(&b"/b"[..]));
        assert!(error.to_string().starts_with(&format!("after a redirect to {address}: ")), "{error}");
        let error = error.without_redirects();
        assert!(matches!(error, ConnectError::Redirect(RedirectError::TooMany { max: 1 }, _)), "{error}");
        Client::new().connect(&url).await.unwrap();
        thread.join().unwrap();
    }

    #[test]
    fn one_deadline_limits_all_requests_of_a_chain_of_redirects() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = Client::new().max_redirects(u32::MAX).open_timeout(Some(LIMIT));
        let error = redirecting(|url| {
            runtime.block_on(client.connect(url)).map(drop).unwrap_err().without_redirects()
        });
        assert!(matches!(&error, ConnectError::Deadline(error) if error.limit() == LIMIT), "{error}");
    }

    #[cfg(feature = "http")]
    #[tokio::test]
    async fn the_headers_of_a_request_are_credentials_too() {
        let (other, other_thread) = server(vec![]);
        let (first, first_thread) = server(vec!["/two".into(), format!("http://{other}/three")]);
        let uri = format!("ws://{first}/one");
        let request =
            http::Request::get(uri).header("X-Key", "7f3a").header("User-Agent", "hybi").body(()).unwrap();
        let ws = Client::new().max_redirects(2).connect_request(&request).await.unwrap();
        assert_eq!(ws.handshake().to_http_response().unwrap().headers()["upgrade"], "websocket");
        let (client, url) = Client::new().with_request(&request).unwrap();
        client.connect(&url).await.unwrap();
        check(&first_thread.join().unwrap(), &other_thread.join().unwrap());
        let post = http::Request::post("ws://a/").body(()).unwrap();
        let error = Client::new().connect_request(&post).await.unwrap_err();
        assert!(matches!(error, ConnectError::HttpRequest(_)), "{error}");
    }
}

#[cfg(feature = "async-io")]
mod on_smol {
    use hybi::adapters::futures_io::{Client, ConnectError};

    use super::*;

    #[test]
    fn s9110_15_4_a_redirect_to_another_server_is_followed_without_credentials() {
        let (other, other_thread) = server(vec![]);
        let (first, first_thread) = server(vec!["/two".into(), format!("http://{other}/three")]);
        let client = Client::new().header("Authorization", "Bearer 7f3a").header("User-Agent", "hybi");
        let (following, url) = (client.clone().max_redirects(2), format!("ws://{first}/one"));
        let ws = smol::block_on(following.connect(&url)).unwrap();
        assert_eq!(ws.target(), "/three");
        smol::block_on(client.connect(&format!("ws://{first}/last"))).unwrap();
        check(&first_thread.join().unwrap(), &other_thread.join().unwrap());
    }

    #[test]
    fn one_deadline_limits_all_requests_of_a_chain_of_redirects() {
        let client = Client::new().max_redirects(u32::MAX).open_timeout(Some(LIMIT));
        let error =
            redirecting(|url| smol::block_on(client.connect(url)).map(drop).unwrap_err().without_redirects());
        assert!(matches!(&error, ConnectError::Deadline(error) if error.limit() == LIMIT), "{error}");
    }

    #[cfg(feature = "http")]
    #[test]
    fn a_client_sends_an_http_request() {
        let (address, thread) = server(vec![]);
        let request =
            http::Request::get(format!("ws://{address}/one")).header("X-Key", "7").body(()).unwrap();
        smol::block_on(Client::new().connect_request(&request)).unwrap();
        assert!(thread.join().unwrap()[0].contains("\r\nx-key: 7\r\n"));
    }
}
