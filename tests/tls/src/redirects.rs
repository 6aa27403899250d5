//! Redirects of clients that use TLS.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use hybi::adapters::net::{Client, ConnectError, Server};
use hybi::handshake::HttpResponse;
use hybi::redirect::RedirectError;
use hybi::tls::{ClientConfig, ServerConfig};

use crate::identity::Authority;

/// Answers a client with a redirect to `location`. If `opens` is true, accepts a second client afterwards. Returns the
/// port.
fn redirecting(config: Arc<ServerConfig>, location: String, opens: bool) -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = thread::spawn(move || {
        let request = Server::new().receive_tls(Arc::clone(&config), listener.accept().unwrap().0).unwrap();
        request.reject(&HttpResponse::new(302).headers(&[("Location", &location)])).unwrap();
        if opens {
            Server::new().accept_tls(config, listener.accept().unwrap().0).unwrap();
        }
    });
    (port, serving)
}

/// Returns the reason why a client does not follow the redirect to `location`.
fn refusal(server: Arc<ServerConfig>, client: Arc<ClientConfig>, location: &str) -> RedirectError {
    let (port, serving) = redirecting(server, location.into(), false);
    let error =
        Client::new().tls(client).max_redirects(5).connect(&format!("wss://localhost:{port}/")).unwrap_err();
    let ConnectError::Redirect(reason, response) = error.without_stream() else { panic!("no redirect") };
    assert_eq!(response.status, 302);
    serving.join().unwrap();
    reason
}

#[test]
fn s10_6_a_redirect_from_wss_to_ws_is_refused() {
    let authority = Authority::new();
    let server = authority.issue("localhost");
    // Nobody listens at this address.
    let reason = refusal(server.server(), authority.client(), "ws://localhost:9/");
    assert_eq!(reason, RedirectError::NotEncrypted);
}

#[test]
fn a_redirect_within_a_server_is_followed_over_tls_also_with_a_client_certificate() {
    let authority = Authority::new();
    for (server, client) in [
        (authority.issue("localhost").server(), authority.client()),
        (
            authority.issue("localhost").server_for_clients_of(&authority),
            authority.issue("client").client_of(&authority),
        ),
    ] {
        let (port, serving) = redirecting(server, "/there".into(), true);
        let client = Client::new().tls(client).max_redirects(1);
        let ws = client.connect(&format!("wss://localhost:{port}/here")).unwrap();
        assert_eq!(ws.target(), "/there");
        serving.join().unwrap();
    }
}

#[test]
fn a_client_certificate_is_not_shown_to_another_server() {
    let authority = Authority::new();
    let server = authority.issue("localhost").server_for_clients_of(&authority);
    let client = authority.issue("client").client_of(&authority);
    let reason = refusal(server, client, "wss://127.0.0.1:9/");
    assert_eq!(reason, RedirectError::ClientCertificate);
}

#[test]
fn a_redirect_from_ws_to_wss_is_followed_to_another_port_without_credentials() {
    let authority = Authority::new();
    let secure = TcpListener::bind("127.0.0.1:0").unwrap();
    let secure_port = secure.local_addr().unwrap().port();
    let config = authority.issue("localhost").server();
    let accepting =
        thread::spawn(move || Server::new().accept_tls(config, secure.accept().unwrap().0).unwrap());
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://localhost:{}/", plain.local_addr().unwrap().port());
    let redirecting = thread::spawn(move || {
        let (mut stream, _) = plain.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        assert!(head.windows(4).any(|four| four == b"7f3a"));
        let location = format!("HTTP/1.1 301 Moved\r\nLocation: https://localhost:{secure_port}/\r\n\r\n");
        stream.write_all(location.as_bytes()).unwrap();
    });
    let client =
        Client::new().tls(authority.client()).max_redirects(1).header("Authorization", "Bearer 7f3a");
    client.connect(&url).unwrap();
    redirecting.join().unwrap();
    assert_eq!(accepting.join().unwrap().headers().get("Authorization"), None);
}
