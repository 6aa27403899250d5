//! TLS over Unix sockets.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use hybi::adapters::{futures_io, net, tokio as on_tokio};
use hybi::tls::ClientConfig;

use crate::identity::localhost;

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
