//! Rules of [`Session`] that hold for rustls and native-tls. The last two tests check that an endpoint closes a session
//! with an application protocol that no WebSocket can use.

use std::io::{IoSlice, Read};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use hybi::adapters::handshake_driver::AcceptError;
use hybi::adapters::net::{Client, ConnectError, Server};
use hybi::tls::{Session, TlsError};
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection, StreamOwned};

use crate::identity::{Authority, Tls};
use crate::records::{open, sessions, transfer};

#[test]
fn a_read_into_an_empty_slice_returns_at_once() {
    for (mut client, mut server) in sessions() {
        open(&mut client, &mut server, usize::MAX);
        assert_eq!(server.poll_plaintext(&mut []), Ok(None));
        for _ in 0..2 {
            assert_eq!(client.encrypt(&[IoSlice::new(&[7; 60_000])]), Ok(60_000));
            transfer(&mut client, &mut server, usize::MAX);
        }
        // More ciphertext has arrived than rustls decrypts at once.
        assert_eq!(server.poll_plaintext(&mut []), Ok(None));
        assert!(matches!(server.poll_plaintext(&mut [0; 10]), Ok(Some(10))));
    }
}

#[test]
fn nothing_is_encrypted_after_our_close_notify_and_the_session_still_receives() {
    for (mut client, mut server) in sessions() {
        open(&mut client, &mut server, usize::MAX);
        transfer(&mut server, &mut client, usize::MAX);
        client.close();
        client.close();
        transfer(&mut client, &mut server, usize::MAX);
        let error = client.encrypt(&[IoSlice::new(b"late")]).unwrap_err();
        assert!(matches!(&error, TlsError::Failed(_)), "{error:?}");
        assert!(error.to_string().contains("after close_notify"), "{error}");
        assert!(!client.has_ciphertext());
        assert_eq!(client.failure(), None);
        assert_eq!(server.encrypt(&[IoSlice::new(b"answer")]), Ok(6));
        transfer(&mut server, &mut client, usize::MAX);
        assert_eq!(client.poll_plaintext(&mut [0; 10]), Ok(Some(6)));
    }
}

/// With debug assertions, rustls panics here: see `Cargo.toml`.
#[test]
fn a_record_that_was_changed_fails_a_session_that_we_have_closed() {
    for (mut client, mut server) in sessions() {
        open(&mut client, &mut server, usize::MAX);
        transfer(&mut server, &mut client, usize::MAX);
        client.close();
        // A record of data whose tag is wrong.
        client.handle_ciphertext(b"\x17\x03\x03\0\x20");
        client.handle_ciphertext(&[1; 32]);
        let error = client.poll_plaintext(&mut [0; 10]).unwrap_err();
        assert!(matches!(error, TlsError::Failed(_)), "{error:?}");
    }
}

#[test]
fn a_server_with_early_data_is_refused() {
    let mut config = ServerConfig::clone(&Authority::new().issue("localhost").server());
    config.max_early_data_size = 1;
    let error = Session::server(Arc::new(config)).unwrap_err();
    assert!(matches!(&error, TlsError::InvalidConfig(_)), "{error:?}");
    assert!(error.to_string().contains("max_early_data_size to 0"), "{error}");
}

#[test]
fn a_trailing_dot_of_a_host_is_ignored() {
    let authority = Authority::new();
    let config = authority.issue("localhost").server();
    for session in [
        Session::client(authority.client(), "localhost."),
        Session::native_client(&authority.connector(), "localhost."),
    ] {
        let (mut client, mut server) = (session.unwrap(), Session::server(Arc::clone(&config)).unwrap());
        for _ in 0..5 {
            transfer(&mut client, &mut server, usize::MAX);
            transfer(&mut server, &mut client, usize::MAX);
        }
        assert_eq!((client.failure(), server.failure()), (None, None));
        assert!(!client.is_handshaking());
        let rustls::Connection::Server(connection) = server.rustls().unwrap() else { panic!() };
        assert_eq!(connection.server_name(), Some("localhost"));
    }
    for host in ["", "."] {
        let rustls = Session::client(authority.client(), host);
        assert!(matches!(rustls, Err(TlsError::HostName(_))), "{rustls:?}");
        let native = Session::native_client(&authority.connector(), host);
        assert!(matches!(native, Err(TlsError::HostName(_))), "{native:?}");
    }
}

/// Returns configurations of both sides, which agree on the application protocol `h2`.
fn with_h2() -> (Authority, Arc<ClientConfig>, Arc<ServerConfig>) {
    let authority = Authority::new();
    let mut client = ClientConfig::clone(&authority.client());
    let mut server = ServerConfig::clone(&authority.issue("localhost").server());
    client.alpn_protocols = vec![b"h2".to_vec()];
    server.alpn_protocols = vec![b"h2".to_vec()];
    // These clients never read session tickets, and unread bytes would reset the connection.
    server.send_tls13_tickets = 0;
    (authority, Arc::new(client), Arc::new(server))
}

#[test]
fn a_client_closes_a_session_whose_application_protocol_it_cannot_use() {
    let (authority, client, server) = with_h2();
    let native = authority.connector_builder().request_alpns(&["h2"]).build().unwrap();
    for client in [Tls::Rustls(client), Tls::Native(native)] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("wss://localhost:{}/", listener.local_addr().unwrap().port());
        let config = Arc::clone(&server);
        let serving = thread::spawn(move || {
            let connection = ServerConnection::new(config).unwrap();
            StreamOwned::new(connection, listener.accept().unwrap().0).read(&mut [0; 10])
        });
        let error = client.configure(Client::new()).connect(&url).unwrap_err();
        assert!(matches!(error, ConnectError::Tls(TlsError::AlpnProtocol(_))), "{error:?}");
        // Without `close_notify` this read would fail.
        assert_eq!(serving.join().unwrap().unwrap(), 0);
    }
}

#[test]
fn a_server_closes_a_session_whose_application_protocol_it_cannot_use() {
    let (_, client, server) = with_h2();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let connecting = thread::spawn(move || {
        let connection = ClientConnection::new(client, "localhost".try_into().unwrap()).unwrap();
        StreamOwned::new(connection, TcpStream::connect(address).unwrap()).read(&mut [0; 10])
    });
    let error = Server::new().accept_tls(server, listener.accept().unwrap().0).unwrap_err();
    assert!(matches!(error, AcceptError::Tls(TlsError::AlpnProtocol(_))), "{error:?}");
    assert_eq!(connecting.join().unwrap().unwrap(), 0);
}
