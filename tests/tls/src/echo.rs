//! Echo over TLS with each adapter, also after a WebSocket was made again from its parts.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use hybi::adapters::net::{Client, ClientStream, Error, Server, TlsStream, WebSocket};
use hybi::adapters::{futures_io, tokio as on_tokio};
use hybi::tls::rustls::{self, version};
use hybi::tls::{ClientConfig, ServerConfig};
use hybi::{CloseCode, Outcome};

use crate::identity::{Authority, localhost};

const CLEAN: Outcome = Outcome::Clean { code: CloseCode::NORMAL };
const LENGTHS: [usize; 6] = [0, 1, 1000, 16 << 10, 17 << 10, 1 << 20];

/// Returns both ends of a connection over TLS: the client and the server.
pub fn connection() -> (WebSocket<ClientStream>, WebSocket<TlsStream<TcpStream>>) {
    let (client, server) = localhost();
    connection_with(client, server)
}

fn connection_with(
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
) -> (WebSocket<ClientStream>, WebSocket<TlsStream<TcpStream>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("wss://localhost:{}/", listener.local_addr().unwrap().port());
    let accepting =
        thread::spawn(move || Server::new().accept_tls(server, listener.accept().unwrap().0).unwrap());
    let ws = Client::new().tls(client).connect(&url).unwrap();
    (ws, accepting.join().unwrap())
}

/// Echoes messages until the end of the connection, and returns its outcome.
fn serve(mut ws: WebSocket<TlsStream<TcpStream>>) -> Result<Outcome, Error> {
    while let Some(message) = ws.recv()? {
        ws.send(message)?;
    }
    ws.wait_closed()
}

fn talk(mut ws: WebSocket<ClientStream>, server: WebSocket<TlsStream<TcpStream>>) {
    let serving = thread::spawn(move || serve(server).unwrap());
    for len in LENGTHS {
        ws.send(vec![7; len]).unwrap();
        assert_eq!(ws.recv().unwrap().unwrap().as_bytes(), vec![7; len]);
    }
    ws.close(CloseCode::NORMAL, "").unwrap();
    assert_eq!(ws.wait_closed().unwrap(), CLEAN);
    assert_eq!(serving.join().unwrap(), CLEAN);
}

#[test]
fn a_blocking_client_and_server_echo() {
    let (client, server) = connection();
    let version = client.stream().with_rustls(|tls| tls.protocol_version());
    assert_eq!(version, Some(Some(rustls::ProtocolVersion::TLSv1_3)));
    talk(client, server);
}

#[test]
fn a_blocking_client_and_server_echo_over_tls_1_2() {
    let (authority, provider) = (Authority::new(), Arc::new(rustls::crypto::ring::default_provider()));
    let client = ClientConfig::builder_with_provider(provider);
    let client = client.with_protocol_versions(&[&version::TLS12]).unwrap();
    let client = client.with_root_certificates(authority.roots()).with_no_client_auth();
    let (client, server) = connection_with(Arc::new(client), authority.issue("localhost").server());
    let version = client.stream().with_rustls(|tls| tls.protocol_version());
    assert_eq!(version, Some(Some(rustls::ProtocolVersion::TLSv1_2)));
    talk(client, server);
}

#[test]
fn a_websocket_that_is_made_from_its_parts_continues() {
    let (client, mut server) = connection();
    let sending = thread::spawn(move || {
        for n in 0..4000_u32 {
            server.feed(n.to_le_bytes().to_vec()).unwrap();
        }
        server.flush().unwrap();
        assert_eq!(server.recv().unwrap(), Some("between".into()));
        server.wait_closed().unwrap()
    });
    let mut ws = client;
    for n in 0..4000_u32 {
        assert_eq!(ws.recv().unwrap().unwrap().as_bytes(), n.to_le_bytes());
        if n % 10 == 0 {
            // At this moment the session and the inbox both contain messages that were not received.
            let (stream, connection, inbox) = ws.into_parts();
            ws = WebSocket::from_stream(stream, connection, inbox);
        }
    }
    ws.feed("between").unwrap();
    let (stream, connection, inbox) = ws.into_parts();
    let mut ws = WebSocket::from_stream(stream, connection, inbox);
    ws.close(CloseCode::NORMAL, "").unwrap();
    assert_eq!(ws.wait_closed().unwrap(), CLEAN);
    assert_eq!(sending.join().unwrap(), CLEAN);
}

#[test]
fn a_client_and_a_server_echo_on_tokio() {
    ::tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let (client, server) = localhost();
        let listener = ::tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("wss://localhost:{}/", listener.local_addr().unwrap().port());
        let serving = ::tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut ws = on_tokio::Server::new().accept_tls(server, stream).await.unwrap();
            while let Some(message) = ws.recv().await.unwrap() {
                ws.send(message).await.unwrap();
            }
            ws.wait_closed().await.unwrap()
        });
        let mut ws = on_tokio::Client::new().tls(client).connect(&url).await.unwrap();
        assert!(ws.stream().rustls().is_some());
        for len in LENGTHS {
            ws.send(vec![7; len]).await.unwrap();
            assert_eq!(ws.recv().await.unwrap().unwrap().as_bytes(), vec![7; len]);
            let (stream, connection, inbox) = ws.into_parts();
            ws = on_tokio::WebSocket::from_parts(stream, connection, inbox);
        }
        ws.close(CloseCode::NORMAL, "").await.unwrap();
        assert_eq!(ws.wait_closed().await.unwrap(), CLEAN);
        assert_eq!(serving.await.unwrap(), CLEAN);
    });
}

#[test]
fn a_client_and_a_server_echo_on_smol() {
    smol::block_on(async {
        let (client, server) = localhost();
        let listener = smol::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("wss://localhost:{}/", listener.local_addr().unwrap().port());
        let serving = smol::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut ws = futures_io::Server::new().accept_tls(server, stream).await.unwrap();
            while let Some(message) = ws.recv().await.unwrap() {
                ws.send(message).await.unwrap();
            }
            ws.wait_closed().await.unwrap()
        });
        let mut ws = futures_io::Client::new().tls(client).connect(&url).await.unwrap();
        assert!(ws.stream().rustls().is_some());
        for len in LENGTHS {
            ws.send(vec![7; len]).await.unwrap();
            assert_eq!(ws.recv().await.unwrap().unwrap().as_bytes(), vec![7; len]);
        }
        ws.close(CloseCode::NORMAL, "").await.unwrap();
        assert_eq!(ws.wait_closed().await.unwrap(), CLEAN);
        assert_eq!(serving.await, CLEAN);
    });
}

/// Each end sends in one task and receives in another, so that both directions become congested.
#[test]
fn the_halves_on_tokio_exchange_messages_while_both_directions_are_congested() {
    const MESSAGES: u32 = if cfg!(debug_assertions) { 20_000 } else { 1_000_000 };

    /// Sends and receives numbered messages in two tasks.
    async fn exchange<S>(ws: on_tokio::WebSocket<S>)
    where
        S: ::tokio::io::AsyncRead + ::tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let (mut reader, mut writer) = ws.split();
        let sending = ::tokio::spawn(async move {
            for n in 0..MESSAGES {
                writer.feed(n.to_le_bytes().to_vec()).await.unwrap();
            }
            writer.flush().await.unwrap();
            writer
        });
        for n in 0..MESSAGES {
            assert_eq!(reader.recv().await.unwrap().unwrap().as_bytes(), n.to_le_bytes());
        }
        drop((reader, sending.await.unwrap()));
    }

    ::tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(
        async {
            let (client, server) = localhost();
            let listener = ::tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("wss://localhost:{}/", listener.local_addr().unwrap().port());
            let serving = ::tokio::spawn(async move {
                let (stream, _) = listener.accept().await.unwrap();
                exchange(on_tokio::Server::new().accept_tls(server, stream).await.unwrap()).await;
            });
            exchange(on_tokio::Client::new().tls(client).connect(&url).await.unwrap()).await;
            serving.await.unwrap();
        },
    );
}
