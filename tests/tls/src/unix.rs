//! TLS over Unix sockets.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use hybi::adapters::{futures_io, net, tokio as on_tokio};
use hybi::tls::ClientConfig;

use crate::identity::{Authority, both_on_localhost, localhost};

/// Accepts three clients, and sends their messages back.
async fn serve(config: Arc<hybi::tls::ServerConfig>, listener: ::tokio::net::UnixListener) -> io::Result<()> {
    for _ in 0..3 {
        let (stream, _) = listener.accept().await?;
        let mut ws = on_tokio::Server::new().accept_tls(config.clone(), stream).await.unwrap();
        while let Ok(Some(message)) = ws.recv().await {
            ws.send(message).await.unwrap();
        }
    }
    Ok(())
}

fn clients(config: &Arc<ClientConfig>, path: &Path) {
    const URL: &str = "wss://localhost/";
    let mut ws = net::Client::new().tls(config.clone()).connect_unix(path, URL).unwrap();
    ws.send_text("hello").unwrap();
    assert_eq!(ws.recv().unwrap(), Some("hello".into()));
    drop(ws);

    let runtime = ::tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut ws = on_tokio::Client::new().tls(config.clone()).connect_unix(path, URL).await.unwrap();
        ws.send_text("hello").await.unwrap();
        assert_eq!(ws.recv().await.unwrap(), Some("hello".into()));
    });

    smol::block_on(async {
        let mut ws = futures_io::Client::new().tls(config.clone()).connect_unix(path, URL).await.unwrap();
        ws.send_text("hello").await.unwrap();
        assert_eq!(ws.recv().await.unwrap(), Some("hello".into()));
    });
}

#[test]
fn a_websocket_opens_over_tls_over_a_unix_socket() {
    let (client, server) = localhost();
    let path = std::env::temp_dir().join(format!("hybi-tls-{}.socket", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let runtime = ::tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let listener = {
        let _guard = runtime.enter();
        ::tokio::net::UnixListener::bind(&path).unwrap()
    };
    let serving = thread::spawn(move || runtime.block_on(serve(server, listener)));
    clients(&client, &path);
    serving.join().unwrap().unwrap();
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_server_accepts_tls_over_any_blocking_stream() {
    for (tls, config) in both_on_localhost() {
        let (near, far) = UnixStream::pair().unwrap();
        let accepting = thread::spawn(move || {
            let mut ws = net::Server::new().accept_tls_stream(config, far).unwrap();
            let message = ws.recv().unwrap().unwrap();
            ws.send(message).unwrap();
        });
        let mut ws = tls.configure(net::Client::new()).open_tls(near, "wss://localhost/").unwrap();
        ws.send_text("hello").unwrap();
        assert_eq!(ws.recv().unwrap(), Some("hello".into()));
        accepting.join().unwrap();
    }
}

#[test]
fn a_server_with_native_tls_receives_requests_over_any_blocking_stream() {
    let authority = Authority::new();
    let acceptor = authority.issue("localhost").acceptor();
    let (near, far) = UnixStream::pair().unwrap();
    let accepting = thread::spawn(move || {
        let request = net::Server::new().receive_native_tls_stream(&acceptor, far).unwrap();
        drop(request.accept().unwrap());
    });
    let client = net::Client::new().native_tls(authority.connector());
    drop(client.open_tls(near, "wss://localhost/").unwrap());
    accepting.join().unwrap();
}
