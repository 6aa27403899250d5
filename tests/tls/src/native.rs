//! WebSockets over native-tls: clients and servers of hybi with each adapter, and peers that use native-tls directly.
//!
//! `closing.rs`, `cut.rs`, `records.rs` and `certificates.rs` test native-tls and rustls. They need the feature
//! `rustls`.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use hybi::adapters::net::{Client, ClientStream, Error, Server, TlsStream, WebSocket};
use hybi::adapters::{futures_io, tokio as on_tokio};
use hybi::tls::TlsError;
use hybi::{CloseCode, Outcome};

use crate::halves;
use crate::identity::Authority;

const CLEAN: Outcome = Outcome::Clean { code: CloseCode::NORMAL };
const LENGTHS: [usize; 6] = [0, 1, 1000, 16 << 10, 17 << 10, 1 << 20];

/// Returns a connector, and an acceptor that the connector trusts, for the host `localhost`.
fn localhost() -> (native_tls::TlsConnector, native_tls::TlsAcceptor) {
    let authority = Authority::new();
    (authority.connector(), authority.issue("localhost").acceptor())
}

/// Returns both ends of a connection: the client and the server.
fn connection() -> (WebSocket<ClientStream>, WebSocket<TlsStream<TcpStream>>) {
    let (connector, acceptor) = localhost();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("wss://localhost:{}/", listener.local_addr().unwrap().port());
    let accepting = thread::spawn(move || {
        Server::new().accept_native_tls(&acceptor, listener.accept().unwrap().0).unwrap()
    });
    let ws = Client::new().native_tls(connector).connect(&url).unwrap();
    (ws, accepting.join().unwrap())
}

#[test]
fn a_blocking_client_and_server_echo() {
    for by_client in [true, false] {
        let (mut ws, mut server) = connection();
        assert!(ws.stream().peer_certificate().is_some());
        let serving = thread::spawn(move || {
            while let Some(message) = server.recv().unwrap() {
                let ends = message.as_bytes() == b"end";
                server.send(message).unwrap();
                if ends && !by_client {
                    server.close(CloseCode::NORMAL, "").unwrap();
                }
            }
            server.wait_closed().unwrap()
        });
        for len in LENGTHS {
            ws.send(vec![7; len]).unwrap();
            assert_eq!(ws.recv().unwrap().unwrap().as_bytes(), vec![7; len]);
        }
        ws.send_text("end").unwrap();
        assert_eq!(ws.recv().unwrap(), Some("end".into()));
        if by_client {
            ws.close(CloseCode::NORMAL, "").unwrap();
        }
        assert_eq!(ws.wait_closed().unwrap(), CLEAN);
        assert_eq!(serving.join().unwrap(), CLEAN);
    }
}

#[test]
fn a_client_and_a_server_echo_on_tokio() {
    ::tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let (connector, acceptor) = localhost();
        let listener = ::tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("wss://localhost:{}/", listener.local_addr().unwrap().port());
        let serving = ::tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut ws = on_tokio::Server::new().accept_native_tls(&acceptor, stream).await.unwrap();
            while let Some(message) = ws.recv().await.unwrap() {
                ws.send(message).await.unwrap();
            }
            ws.wait_closed().await.unwrap()
        });
        let mut ws = on_tokio::Client::new().native_tls(connector).connect(&url).await.unwrap();
        assert!(ws.stream().peer_certificate().is_some());
        for len in LENGTHS {
            ws.send(vec![7; len]).await.unwrap();
            assert_eq!(ws.recv().await.unwrap().unwrap().as_bytes(), vec![7; len]);
        }
        ws.close(CloseCode::NORMAL, "").await.unwrap();
        assert_eq!(ws.wait_closed().await.unwrap(), CLEAN);
        assert_eq!(serving.await.unwrap(), CLEAN);
    });
}

#[test]
fn a_client_and_a_server_echo_on_smol() {
    smol::block_on(async {
        let (connector, acceptor) = localhost();
        let listener = smol::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("wss://localhost:{}/", listener.local_addr().unwrap().port());
        let serving = smol::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut ws = futures_io::Server::new().accept_native_tls(&acceptor, stream).await.unwrap();
            while let Some(message) = ws.recv().await.unwrap() {
                ws.send(message).await.unwrap();
            }
            ws.wait_closed().await.unwrap()
        });
        let mut ws = futures_io::Client::new().native_tls(connector).connect(&url).await.unwrap();
        for len in LENGTHS {
            ws.send(vec![7; len]).await.unwrap();
            assert_eq!(ws.recv().await.unwrap().unwrap().as_bytes(), vec![7; len]);
        }
        ws.close(CloseCode::NORMAL, "").await.unwrap();
        assert_eq!(ws.wait_closed().await.unwrap(), CLEAN);
        assert_eq!(serving.await, CLEAN);
    });
}

#[test]
fn two_threads_send_and_receive_at_once_although_both_directions_are_congested() {
    halves::in_time(|| halves::exchange(connection(), 1, 0));
    halves::in_time(|| halves::exchange(connection(), 1000, 4));
}

/// The server's side of a TLS connection, as a stream of native-tls.
type ServerTls = native_tls::TlsStream<TcpStream>;

/// Connects a client of hybi to a server that answers the request of a WebSocket, and then calls `serve`.
fn client_of<T: Send + 'static>(
    serve: impl FnOnce(ServerTls) -> T + Send + 'static,
) -> (WebSocket<ClientStream>, thread::JoinHandle<T>) {
    let (connector, acceptor) = localhost();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("wss://localhost:{}/", listener.local_addr().unwrap().port());
    let serving = thread::spawn(move || {
        let mut tls = acceptor.accept(listener.accept().unwrap().0).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            tls.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
        let accept = hybi::handshake::accept_key(key.as_bytes());
        let accept = std::str::from_utf8(&accept).unwrap();
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        tls.write_all(head.as_bytes()).unwrap();
        serve(tls)
    });
    (Client::new().native_tls(connector).connect(&url).unwrap(), serving)
}

#[test]
fn a_client_sends_close_notify() {
    let (mut ws, serving) = client_of(|mut tls| {
        let mut close = [0; 8];
        tls.read_exact(&mut close).unwrap();
        tls.write_all(b"\x88\x02\x03\xe8").unwrap();
        tls.shutdown().unwrap();
        // Without `close_notify` this read would fail with "unexpected eof while reading".
        tls.read(&mut [0; 100]).unwrap()
    });
    ws.close(CloseCode::NORMAL, "").unwrap();
    assert_eq!(ws.wait_closed().unwrap(), CLEAN);
    assert_eq!(serving.join().unwrap(), 0);
}

#[test]
fn an_end_without_close_notify_is_an_abnormal_end() {
    let (mut ws, serving) = client_of(|mut tls| {
        tls.write_all(b"\x81\x01a").unwrap();
        tls.get_ref().shutdown(Shutdown::Write).unwrap();
        tls
    });
    assert_eq!(ws.recv().unwrap(), Some("a".into()));
    let Error::Io(error) = ws.recv().unwrap_err() else { panic!("no error of the stream") };
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    let tls = error.get_ref().and_then(|error| error.downcast_ref::<TlsError>());
    assert_eq!(tls, Some(&TlsError::Truncated));
    assert_eq!(ws.recv().unwrap(), None);
    assert!(!ws.outcome().unwrap().is_clean());
    drop(serving.join().unwrap());
}

#[test]
fn an_end_with_close_notify_but_without_a_close_is_an_abnormal_end_without_an_error() {
    let (mut ws, serving) = client_of(|mut tls| {
        tls.shutdown().unwrap();
        tls
    });
    assert_eq!(ws.recv().unwrap(), None);
    assert!(!ws.outcome().unwrap().is_clean());
    drop(serving.join().unwrap());
}
