//! Clients that verify another name than the host of the URL.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use hybi::adapters::net::{Client, ConnectError, Server};
use hybi::adapters::{futures_io, tokio as on_tokio};
use hybi::handshake::HttpResponse;
use hybi::tls::{ServerConfig, TlsError};

use crate::identity::Authority;

/// Starts a server for `connections` clients. Returns its port.
fn serve(config: Arc<ServerConfig>, connections: usize) -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = thread::spawn(move || {
        for _ in 0..connections {
            if let Ok(mut ws) = Server::new().accept_tls(config.clone(), listener.accept().unwrap().0) {
                let _ = ws.recv();
            }
        }
    });
    (port, serving)
}

#[test]
fn a_client_verifies_the_name_that_the_application_has_set() {
    const NAME: &str = "server.example";
    let authority = Authority::new();
    for tls in authority.both() {
        let (port, serving) = serve(authority.issue(NAME).server(), 7);
        let url = &format!("wss://127.0.0.1:{port}/");
        let open = |client: Client| client.connect(url).map(drop).map_err(ConnectError::without_stream);
        let error = open(tls.configure(Client::new())).unwrap_err();
        assert!(matches!(error, ConnectError::Tls(TlsError::OtherHost(_))), "{error:?}");
        let error = open(tls.configure(Client::new()).server_name("other.example")).unwrap_err();
        assert!(matches!(error, ConnectError::Tls(TlsError::OtherHost(_))), "{error:?}");
        open(tls.configure(Client::new()).server_name(NAME)).unwrap();

        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        drop(tls.configure(Client::new()).server_name(NAME).open_tls(stream, url).unwrap());

        let runtime = ::tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = tls.configure(on_tokio::Client::new()).server_name(NAME);
        drop(runtime.block_on(client.connect(url)).unwrap());
        runtime.block_on(async {
            let stream = ::tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            drop(client.open_tls(stream, url).await.unwrap());
        });
        let client = tls.configure(futures_io::Client::new()).server_name(NAME);
        drop(smol::block_on(client.connect(url)).unwrap());
        serving.join().unwrap();
        // A name that no certificate can have is refused before a connection is made.
        let error = open(tls.configure(Client::new()).server_name("not a name")).unwrap_err();
        assert!(matches!(error, ConnectError::Tls(TlsError::HostName(_))), "{error:?}");
    }
}

#[test]
fn the_name_is_kept_for_a_redirect_within_the_server_and_forgotten_for_another_server() {
    let authority = Authority::new();
    let config = authority.issue("server.example").server();
    let (other, serving_other) = serve(Arc::clone(&config), 1);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = thread::spawn(move || {
        for location in ["/there".to_owned(), format!("wss://127.0.0.1:{other}/")] {
            let stream = listener.accept().unwrap().0;
            let request = Server::new().receive_tls(Arc::clone(&config), stream).unwrap();
            request.reject(&HttpResponse::new(302).headers(&[("Location", &location)])).unwrap();
        }
    });
    let client = Client::new().tls(authority.client()).max_redirects(2).server_name("server.example");
    let error = client.connect(&format!("wss://127.0.0.1:{port}/")).unwrap_err().without_redirects();
    assert!(matches!(error, ConnectError::Tls(TlsError::OtherHost(_))), "{error:?}");
    serving.join().unwrap();
    serving_other.join().unwrap();
}
