//! The example `tls_client`, against a server whose certificate a private authority has issued.

use hybi::adapters::tokio::Server;
use hybi::proxy::Proxy;

use crate::identity::Authority;

#[allow(dead_code)]
#[path = "../../../examples/tls_client.rs"]
mod tls_client;

#[test]
fn the_example_trusts_a_private_authority_only_if_it_gets_the_file_of_the_authority() {
    ::tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let authority = Authority::new();
        let config = authority.issue("localhost").server();
        let listener = ::tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("wss://localhost:{}/", listener.local_addr().unwrap().port());
        let serving = ::tokio::spawn(async move {
            // The first client does not trust the server.
            let (stream, _) = listener.accept().await.unwrap();
            Server::new().accept_tls(config.clone(), stream).await.unwrap_err();
            let (stream, _) = listener.accept().await.unwrap();
            let mut ws = Server::new().accept_tls(config, stream).await.unwrap();
            while let Some(message) = ws.recv().await.unwrap() {
                ws.send(message).await.unwrap();
            }
        });
        let error = tls_client::connect(&url, Proxy::none(), None).await.unwrap_err();
        assert!(error.to_string().contains("unknown authority"), "{error}");

        let file = std::env::temp_dir().join(format!("hybi-tls-{}.pem", std::process::id()));
        std::fs::write(&file, authority.pem()).unwrap();
        let connected = tls_client::connect(&url, Proxy::none(), Some(&file)).await;
        std::fs::remove_file(&file).unwrap();
        let mut ws = connected.unwrap();
        ws.send_text("hello").await.unwrap();
        assert_eq!(ws.recv().await.unwrap(), Some("hello".into()));
        ws.close(hybi::CloseCode::NORMAL, "").await.unwrap();
        assert!(ws.wait_closed().await.unwrap().is_clean());
        serving.await.unwrap();
    });
}
