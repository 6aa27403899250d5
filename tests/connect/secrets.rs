//! Secrets appear in no `Debug` output and in no error.
//!
//! The secrets are passwords of proxies, values of headers, queries of URLs, and the contents of redirects and cookies.

use std::error::Error;
use std::fmt::Debug;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

use hybi::adapters::net::{Acceptance, Client, ConnectError, Server};
use hybi::handshake::WsUrl;
use hybi::proxy::{Proxy, ProxyUrl};
use hybi::reconnect::ReconnectPolicy;

const SECRET: &str = "s3cr3t";

#[track_caller]
fn hides(texts: &[String]) {
    for text in texts {
        assert!(!text.to_ascii_lowercase().contains(SECRET), "{text}");
        // Basic authentication sends user and password in this form (RFC 7617 section 2).
        assert!(!text.contains("dTpzM2NyM3"), "{text}");
    }
}

fn debug(value: &impl Debug) -> [String; 2] {
    [format!("{value:?}"), format!("{value:#?}")]
}

/// Checks an error and all its sources.
#[track_caller]
fn error_hides(error: &(dyn Error + 'static)) {
    let mut next = Some(error);
    while let Some(error) = next {
        hides(&[error.to_string(), format!("{error:?}"), format!("{error:#?}")]);
        next = error.source();
    }
}

/// Starts a server that accepts one connection. The server reads the head of each request, and answers with the next of
/// `answers`.
fn server(answers: Vec<String>) -> (SocketAddr, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let (mut input, mut output) = (BufReader::new(stream.try_clone().unwrap()), stream);
        for answer in answers {
            let mut line = String::new();
            while line != "\r\n" {
                line.clear();
                if input.read_line(&mut line).unwrap() == 0 {
                    return;
                }
            }
            output.write_all(answer.as_bytes()).unwrap();
        }
        output.shutdown(std::net::Shutdown::Write).unwrap();
        // A reset also ends the connection.
        let _ = input.read_to_end(&mut Vec::new());
    });
    (address, thread)
}

fn client(proxy: Option<SocketAddr>) -> Client {
    let client = Client::new().open_timeout(Some(Duration::from_secs(30)));
    let client = client.header("Authorization", format!("Bearer {SECRET}")).header("X-Key", SECRET);
    match proxy {
        Some(address) => client.proxy(ProxyUrl::parse(&format!("http://u:{SECRET}@{address}")).unwrap()),
        None => client,
    }
}

fn url(address: SocketAddr) -> String {
    format!("ws://{address}/feed?token={SECRET}")
}

#[test]
fn errors_with_responses_and_redirects_hide_the_secrets_that_the_server_sends() {
    let cookie = format!("Set-Cookie: session={SECRET}\r\nContent-Length: 6\r\n\r\n{SECRET}");
    for (status, location) in [
        ("401 Unauthorized", String::new()),
        ("302 Found", format!("Location: /next?token={SECRET}\r\n")),
        ("302 Found", format!("Location: ws://user:{SECRET}@127.0.0.1:1/\r\n")),
        ("302 Found", format!("Location: http://[{SECRET}/\r\n")),
        ("302 Found", format!("Location: ftp://{SECRET}.example/\r\n")),
    ] {
        for redirects in [0, 1] {
            // The second connection of a client that follows the redirect is refused, because nobody listens any more.
            let (address, thread) = server(vec![format!("HTTP/1.1 {status}\r\n{location}{cookie}")]);
            let error = client(None).max_redirects(redirects).connect(&url(address)).unwrap_err();
            let is_redirect = matches!(&error, ConnectError::Redirect(..));
            assert_eq!(is_redirect, redirects > 0 && location.contains("://"), "{location} {error:?}");
            error_hides(&error.without_stream());
            thread.join().unwrap();
        }
    }
}

#[test]
fn failures_of_a_proxy_hide_its_password_and_the_url() {
    let authenticate = "Proxy-Authenticate: Basic realm=\"s3cr3t\"\r\n\r\n";
    for answers in [
        vec![],
        vec!["<html>".to_owned()],
        vec![format!("HTTP/1.1 407 s3cr3t\r\n{authenticate}s3cr3t")],
        vec!["HTTP/1.1 200 OK\r\n\r\n".to_owned()],
        vec!["HTTP/1.1 200 OK\r\n\r\n".to_owned(), "HTTP/1.1 403 s3cr3t\r\n\r\n".to_owned()],
        vec!["HTTP/1.1 200 OK\r\n\r\n".to_owned(), "garbage s3cr3t\r\n\r\n".to_owned()],
    ] {
        let (address, thread) = server(answers);
        let error =
            client(Some(address)).connect(&format!("ws://server.example/?token={SECRET}")).unwrap_err();
        assert!(!matches!(error, ConnectError::Connect(_)), "{error}");
        error_hides(&error.without_stream());
        thread.join().unwrap();
    }
}

#[test]
fn invalid_settings_hide_their_secrets() {
    for invalid in
        ["ws://user:s3cr3t@a/", "ws://a:s3cr3t/", "ws://a/?s3cr3t\n", "s3cr3t://a/", "ws://a/#s3cr3t"]
    {
        error_hides(&client(None).connect(invalid).unwrap_err().without_stream());
        error_hides(&WsUrl::parse(invalid).unwrap_err());
    }
    for invalid in
        ["http://u:s3cr3t@", "ftp://u:s3cr3t@a", "http://u:s3cr3t@a:b", "http://u:s3cr3t%@a", "s3cr3t@a:x"]
    {
        error_hides(&ProxyUrl::parse(invalid).unwrap_err());
        let variables = |name: &str| (name == "ws_proxy").then(|| invalid.into());
        let client = client(None).proxy(Proxy::from_variables(variables));
        error_hides(&client.connect("ws://a.example/").unwrap_err().without_stream());
    }
    for (name, value) in [("X-Key", "s3cr3t\r\n"), ("Bad name", SECRET), ("Sec-WebSocket-Key", SECRET)] {
        let error = Client::new().header(name, value).connect("ws://127.0.0.1:1/").unwrap_err();
        assert!(matches!(error, ConnectError::Request(_)), "{name}: {error:?}");
        error_hides(&error.without_stream());
    }
    #[cfg(feature = "http")]
    for (name, value) in
        [("sec-websocket-key", SECRET.as_bytes()), ("x", b"s3cr3t\xff"), ("content-length", b"s3cr3t")]
    {
        let request = http::Request::get("ws://a/?token=s3cr3t").header(name, value).body(()).unwrap();
        match Client::new().with_request(&request) {
            Err(error) => error_hides(&error),
            // The handshake writes this header itself.
            Ok((client, _)) => hides(&debug(&client)),
        }
    }
}

#[test]
fn values_hide_their_secrets() {
    let proxy = ProxyUrl::parse("socks5h://user:s3cr3t@proxy.example").unwrap();
    hides(&debug(&proxy));
    hides(&[proxy.to_string()]);
    hides(&debug(&Proxy::from(proxy.clone())));
    let variables =
        |name: &str| (!name.eq_ignore_ascii_case("no_proxy")).then(|| "http://u:s3cr3t@p.example".into());
    hides(&debug(&Proxy::from_variables(variables)));
    hides(&debug(&client(None).proxy(proxy)));
    hides(&debug(&WsUrl::parse("ws://a/?token=s3cr3t").unwrap()));
    // Some applications put a token into a subprotocol.
    hides(&debug(&client(None).subprotocols(["chat", SECRET])));
    let request = hybi::handshake::ClientRequest::new("a", "/").subprotocols(&["chat", SECRET]);
    hides(&debug(&request));
    let limits = hybi::handshake::HeadLimits::new();
    hides(&debug(&hybi::handshake::ClientHandshake::new(request, [7; 16], limits).unwrap()));
    #[cfg(feature = "http")]
    {
        let request = http::Request::get("ws://a/").header("Sec-WebSocket-Protocol", "chat, s3cr3t").body(());
        let request = request.unwrap();
        hides(&debug(&hybi::handshake::HttpClientRequest::try_from(&request).unwrap()));
        hides(&debug(&Client::new().with_request(&request).unwrap().0));
    }
    hides(&debug(&client(None).reconnecting(ReconnectPolicy::new(), |_| "ws://a/?token=s3cr3t")));

    // An open WebSocket, at both ends.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = url(listener.local_addr().unwrap());
    let accepting = thread::spawn(move || {
        let request = Server::new().receive(listener.accept().unwrap().0).unwrap();
        hides(&debug(&request));
        // A browser can send a token only as a subprotocol, so the server must select this subprotocol.
        let acceptance = Acceptance::new().subprotocol(SECRET);
        hides(&debug(&acceptance));
        request.accept_with(&acceptance).unwrap()
    });
    let client = client(None).subprotocols([SECRET]).connect(&url).unwrap();
    assert_eq!(client.subprotocol(), Some(SECRET));
    hides(&debug(&client));
    hides(&debug(client.handshake()));
    let server = accepting.join().unwrap();
    hides(&debug(&server));
    hides(&debug(server.handshake()));
}
