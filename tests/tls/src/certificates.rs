//! The errors for certificates that a client or a server does not accept, and for peers that do not speak TLS.

use std::error::Error as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use hybi::adapters::handshake_driver::AcceptError;
use hybi::adapters::net::{Client, ConnectError, Server};
use hybi::adapters::{futures_io, tokio as on_tokio};
use hybi::reconnect::{Failure, GiveUp, ReconnectPolicy};
use hybi::tls::rustls;
use hybi::tls::{ClientConfig, ServerConfig, TlsError};

use crate::identity::{Authority, Identity, expired, localhost, not_yet_valid};

/// Starts a server for `connections` clients. Returns its address and its errors.
fn serve(
    config: Arc<ServerConfig>,
    connections: usize,
) -> (u16, thread::JoinHandle<Vec<Option<AcceptError<()>>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = thread::spawn(move || {
        let accept = |_| {
            let accepted = Server::new().accept_tls(Arc::clone(&config), listener.accept().unwrap().0);
            // The client ends the connection.
            accepted.map(|mut ws| _ = ws.recv()).err().map(AcceptError::without_stream)
        };
        (0..connections).map(accept).collect()
    });
    (port, serving)
}

/// Connects with each of the three adapters, and returns their errors.
fn connect(url: &str, config: &Arc<ClientConfig>) -> [ConnectError<()>; 3] {
    let blocking = Client::new().tls(Arc::clone(config)).connect(url);
    let blocking = blocking.map(drop).unwrap_err().without_stream();
    let runtime = ::tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = on_tokio::Client::new().tls(Arc::clone(config));
    let on_tokio = runtime.block_on(client.connect(url)).map(drop).unwrap_err().without_stream();
    let client = futures_io::Client::new().tls(Arc::clone(config));
    let on_smol = smol::block_on(client.connect(url)).map(drop).unwrap_err().without_stream();
    [blocking, on_tokio, on_smol]
}

/// Checks the errors of clients that connect to `host` with `config`.
fn refuses(
    server: Arc<ServerConfig>,
    config: &Arc<ClientConfig>,
    host: &str,
    is_expected: impl Fn(&TlsError) -> bool,
    advice: &str,
) {
    let (port, serving) = serve(server, 3);
    for error in connect(&format!("wss://{host}:{port}/"), config) {
        let ConnectError::Tls(tls) = &error else { panic!("{error:?}") };
        assert!(is_expected(tls), "{tls:?}");
        assert!(error.to_string().contains(advice), "{error}");
        // `source` keeps the error of rustls.
        assert!(tls.source().unwrap().downcast_ref::<rustls::Error>().is_some());
    }
    for error in serving.join().unwrap() {
        // The client has sent an alert, and the server knows why.
        assert!(matches!(error, Some(AcceptError::Tls(TlsError::Alert(_)))), "{error:?}");
    }
}

#[test]
fn a_certificate_that_has_expired_is_refused() {
    let authority = Authority::new();
    let server = authority.issue_with("localhost", expired).server();
    let is_expired = |error: &TlsError| matches!(error, TlsError::Expired(_));
    refuses(server, &authority.client(), "localhost", is_expired, "has expired");
}

#[test]
fn a_certificate_that_is_not_valid_yet_is_refused() {
    let authority = Authority::new();
    let server = authority.issue_with("localhost", not_yet_valid).server();
    let is_early = |error: &TlsError| matches!(error, TlsError::NotValidYet(_));
    refuses(server, &authority.client(), "localhost", is_early, "check the local clock");
}

#[test]
fn a_certificate_for_another_host_is_refused() {
    let authority = Authority::new();
    let is_other = |error: &TlsError| matches!(error, TlsError::OtherHost(_));
    for (host, name) in [("localhost", "example.com"), ("127.0.0.1", "localhost"), ("localhost", "127.0.0.1")]
    {
        let server = authority.issue(name).server();
        refuses(server, &authority.client(), host, is_other, "is for another host");
    }
}

#[test]
fn a_certificate_of_an_unknown_issuer_is_refused() {
    let is_unknown = |error: &TlsError| matches!(error, TlsError::UnknownIssuer(_));
    for server in [
        Authority::new().issue("localhost").server(),
        Identity::self_signed("localhost", false).server(),
        Identity::self_signed("localhost", true).server(),
    ] {
        refuses(server, &Authority::new().client(), "localhost", is_unknown, "Client::tls");
    }
}

#[test]
fn a_client_that_reconnects_does_not_try_a_refused_certificate_again() {
    let (port, serving) = serve(Authority::new().issue("localhost").server(), 1);
    let (client, url) = (Client::new().tls(Authority::new().client()), format!("wss://localhost:{port}/"));
    let mut feed = client.reconnecting(ReconnectPolicy::new(), |_| url.as_str());
    let stopped = feed.next_connection().unwrap_err();
    assert_eq!(stopped.reason, GiveUp::NotRetried(Failure::Handshake));
    let error = stopped.source().unwrap().downcast_ref::<ConnectError<()>>().unwrap();
    assert!(matches!(error, ConnectError::Tls(TlsError::UnknownIssuer(_))), "{error:?}");
    assert_eq!(serving.join().unwrap().len(), 1);
}

#[test]
fn the_default_configuration_does_not_trust_a_private_authority() {
    let (_, server) = localhost();
    let config = hybi::tls::client_config().unwrap();
    let is_unknown = |error: &TlsError| matches!(error, TlsError::UnknownIssuer(_));
    refuses(server, &config, "localhost", is_unknown, "unknown authority");
}

#[test]
fn a_client_without_the_certificate_that_the_server_requires_reads_the_alert() {
    let authority = Authority::new();
    let server = authority.issue("localhost").server_for_clients_of(&authority);
    let (port, serving) = serve(server, 3);
    for error in connect(&format!("wss://localhost:{port}/"), &authority.client()) {
        assert!(matches!(error, ConnectError::Tls(TlsError::Alert(_))), "{error:?}");
        assert!(error.to_string().contains("add a client certificate"), "{error}");
    }
    for error in serving.join().unwrap() {
        let Some(AcceptError::Tls(TlsError::Failed(error))) = error else { panic!("{error:?}") };
        assert_eq!(error, rustls::Error::NoCertificatesPresented);
    }
}

#[test]
fn a_client_with_a_certificate_is_accepted() {
    let authority = Authority::new();
    let server = authority.issue("localhost").server_for_clients_of(&authority);
    let (port, serving) = serve(server, 1);
    let client = Client::new().tls(authority.issue("client").client_of(&authority));
    drop(client.connect(&format!("wss://localhost:{port}/")).unwrap());
    assert!(serving.join().unwrap()[0].is_none());
}

#[test]
fn a_server_that_does_not_speak_tls_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = thread::spawn(move || {
        for _ in 0..3 {
            let (mut stream, _) = listener.accept().unwrap();
            assert!(stream.read(&mut [0; 5000]).unwrap() > 0);
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").unwrap();
            // The client sends an alert, and closes.
            while stream.read(&mut [0; 5000]).is_ok_and(|n| n > 0) {}
        }
    });
    for error in connect(&format!("wss://localhost:{port}/"), &Authority::new().client()) {
        assert!(matches!(error, ConnectError::Tls(TlsError::NotTls(_))), "{error:?}");
        assert!(error.to_string().contains("use ws://"), "{error}");
    }
    serving.join().unwrap();
}

#[test]
fn a_client_that_does_not_speak_tls_is_named() {
    let (_, server) = localhost();
    let (port, serving) = serve(server, 1);
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let error = serving.join().unwrap().remove(0);
    assert!(matches!(error, Some(AcceptError::Tls(TlsError::NotTls(_)))), "{error:?}");
}

#[test]
fn an_application_protocol_other_than_http_1_1_is_refused() {
    let (client, server) = localhost();
    let mut client = ClientConfig::clone(&client);
    let mut server = ServerConfig::clone(&server);
    client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    server.alpn_protocols = vec![b"h2".to_vec()];
    let (port, serving) = serve(Arc::new(server), 3);
    for error in connect(&format!("wss://localhost:{port}/"), &Arc::new(client)) {
        let ConnectError::Tls(TlsError::Protocol(name)) = error else { panic!("{error:?}") };
        assert_eq!(name, b"h2");
    }
    assert_eq!(serving.join().unwrap().len(), 3);
}

#[test]
fn the_default_configuration_offers_http_1_1_and_is_created_once() {
    let config = hybi::tls::client_config().unwrap();
    assert_eq!(config.alpn_protocols, [b"http/1.1"]);
    assert!(Arc::ptr_eq(&config, &hybi::tls::client_config().unwrap()));
}

#[test]
fn a_host_that_no_certificate_can_name_is_refused() {
    let refused = hybi::tls::Session::client(hybi::tls::client_config().unwrap(), "a b");
    assert_eq!(refused.unwrap_err(), TlsError::HostName("a b".into()));
}
