//! The default configuration of clients: its library, its provider of cryptography, its roots, and its log of secrets.
//!
//! The default configuration depends on the environment and on the default provider of the process. So each test runs a
//! part of itself in a process of its own. These parts are the ignored tests.

use std::net::{TcpListener, TcpStream};
use std::thread;

use hybi::adapters::net::{self, Server};
#[cfg(any(not(feature = "rustls"), feature = "platform-verifier"))]
use hybi::adapters::{futures_io, tokio as on_tokio};

use crate::child::{self, TempFile};
use crate::identity::Authority;

/// Starts a server for `connections` clients. `authority` issues the certificate of the server. Returns the URL, and a
/// thread that returns how many clients have connected.
fn serve(authority: &Authority, connections: usize) -> (String, thread::JoinHandle<usize>) {
    let acceptor = authority.issue("localhost").acceptor();
    serve_with(connections, move |stream| {
        Server::new().accept_native_tls(&acceptor, stream).map(|mut ws| _ = ws.recv()).is_ok()
    })
}

fn serve_with(
    connections: usize,
    accept: impl Fn(TcpStream) -> bool + Send + 'static,
) -> (String, thread::JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("wss://localhost:{}/", listener.local_addr().unwrap().port());
    let serving =
        thread::spawn(move || (0..connections).filter(|_| accept(listener.accept().unwrap().0)).count());
    (url, serving)
}

#[test]
fn native_tls_trusts_the_roots_of_the_system() {
    let authority = Authority::new();
    let (url, serving) = serve(&authority, 1);
    let roots = TempFile::new("native-roots", Some(&authority.pem()));
    child::run(
        "defaults::connects_with_native_tls",
        &[("URL", url.as_ref()), ("SSL_CERT_FILE", roots.path())],
    );
    assert_eq!(serving.join().unwrap(), 1);
}

#[test]
#[ignore = "runs in a process of its own"]
fn connects_with_native_tls() {
    let connector = hybi::tls::default_native_connector().unwrap();
    net::Client::new().native_tls(connector).connect(&child::variable("URL")).unwrap();
}

/// Without the feature `rustls`, the default is native-tls. With `platform-verifier` it is rustls.
#[cfg(any(not(feature = "rustls"), feature = "platform-verifier"))]
#[test]
fn a_client_without_a_configuration_trusts_the_roots_of_the_system() {
    let authority = Authority::new();
    let (url, serving) = serve(&authority, 3);
    let roots = TempFile::new("roots", Some(&authority.pem()));
    child::run("defaults::connects_by_default", &[("URL", url.as_ref()), ("SSL_CERT_FILE", roots.path())]);
    assert_eq!(serving.join().unwrap(), 3);
}

#[cfg(any(not(feature = "rustls"), feature = "platform-verifier"))]
#[test]
#[ignore = "runs in a process of its own"]
fn connects_by_default() {
    let url = &child::variable("URL");
    let ws = net::connect(url).unwrap();
    assert!(ws.stream().peer_certificate().is_some());
    #[cfg(feature = "rustls")]
    assert!(ws.stream().with_rustls(|_| ()).is_some());
    // The server accepts the next client after the end of this connection.
    drop(ws);
    let runtime = ::tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    drop(runtime.block_on(on_tokio::connect(url)).unwrap());
    drop(smol::block_on(futures_io::connect(url)).unwrap());
}

#[cfg(feature = "platform-verifier")]
#[test]
fn a_client_on_a_system_without_roots_trusts_the_roots_of_webpki_roots() {
    let empty = TempFile::new("no-roots", Some(""));
    child::run("defaults::finds_no_roots", &[("SSL_CERT_FILE", empty.path())]);
}

#[cfg(feature = "platform-verifier")]
#[test]
#[ignore = "runs in a process of its own"]
fn finds_no_roots() {
    // The roots are compiled into the program.
    drop(hybi::tls::default_client_config().unwrap());
    // Without these roots, the client would return this error, which says what to do.
    let error = rustls::Error::General("no roots".into());
    let error = hybi::tls::TlsError::NoRoots(Some(error.into())).to_string();
    assert!(error.contains("feature webpki-roots") && error.contains("Client::tls"), "{error}");
}

#[cfg(feature = "rustls")]
mod with_rustls {
    use std::sync::Arc;

    use hybi::adapters::handshake_driver::ConnectError;
    use hybi::adapters::net::Client;
    use hybi::tls::{ClientConfig, Connector, TlsError, crypto_provider, default_client_config};
    use rustls::KeyLogFile;
    use rustls::crypto::{CryptoProvider, ring};
    use rustls::pki_types::{CertificateDer, pem::PemObject};

    use super::{Authority, Server, TempFile, child, serve_with};

    #[test]
    fn a_default_provider_of_the_process_replaces_the_provider_of_a_feature() {
        child::run("defaults::with_rustls::installs_a_provider", &[]);
    }

    #[test]
    #[ignore = "runs in a process of its own"]
    fn installs_a_provider() {
        assert!(CryptoProvider::get_default().is_none());
        let of_feature = crypto_provider().unwrap();
        // If the features of both providers are enabled, the provider is aws-lc-rs. In such a program,
        // `ClientConfig::builder` panics.
        let name = if cfg!(feature = "two-providers") { "AwsLcRs" } else { "Ring" };
        assert!(format!("{of_feature:?}").contains(name), "{of_feature:?}");
        let first = default_client_config().unwrap();
        assert!(Arc::ptr_eq(first.crypto_provider(), &of_feature));
        assert!(Arc::ptr_eq(&first, &default_client_config().unwrap()));
        assert!(matches!(Connector::by_default().unwrap(), Connector::Rustls(_)));
        // hybi installs no provider.
        assert!(CryptoProvider::get_default().is_none());

        ring::default_provider().install_default().unwrap();
        let of_process = CryptoProvider::get_default().unwrap();
        assert!(Arc::ptr_eq(&crypto_provider().unwrap(), of_process));
        let second = default_client_config().unwrap();
        assert!(Arc::ptr_eq(second.crypto_provider(), of_process));
        assert!(!Arc::ptr_eq(&first, &second));
    }

    #[test]
    fn a_key_log_has_the_secrets_of_a_session_and_is_off_by_default() {
        let authority = Authority::new();
        let roots = TempFile::new("key-log-roots", Some(&authority.pem()));
        for (log, file) in [("", TempFile::new("no-key-log", None)), ("on", TempFile::new("key-log", None))] {
            // Servers with native-tls do not have TLS 1.3.
            let config = authority.issue("localhost").server();
            let (url, serving) = serve_with(2, move |stream| {
                Server::new().accept_tls(config.clone(), stream).map(|mut ws| _ = ws.recv()).is_ok()
            });
            child::run(
                "defaults::with_rustls::connects_with_a_key_log",
                &[
                    ("URL", url.as_ref()),
                    ("AUTHORITY", roots.path()),
                    ("LOG", log.as_ref()),
                    ("SSLKEYLOGFILE", file.path()),
                ],
            );
            assert_eq!(serving.join().unwrap(), 1);
            if log.is_empty() {
                assert_eq!(file.content(), None);
                continue;
            }
            let content = file.content().unwrap();
            let labels: Vec<_> = content.lines().map(|line| line.split(' ').next().unwrap()).collect();
            let handshake = ["CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET"];
            let data = ["CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0", "EXPORTER_SECRET"];
            // The client checks the certificate when it already knows the secrets of the handshake. So the session that
            // the client refused has also logged these secrets.
            let refused = labels.iter().filter(|label| handshake.contains(label)).count();
            assert_eq!(refused, 4, "{labels:?}");
            assert!(data.iter().all(|label| labels.contains(label)), "{labels:?}");
        }
    }

    /// Connects with the default configuration, which does not trust the server, and with a configuration that trusts
    /// the server.
    #[test]
    #[ignore = "runs in a process of its own"]
    fn connects_with_a_key_log() {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(child::variable("AUTHORITY")).unwrap()).unwrap();
        let trusting = ClientConfig::builder_with_provider(crypto_provider().unwrap());
        let trusting = trusting.with_safe_default_protocol_versions().unwrap();
        let mut trusting = trusting.with_root_certificates(roots).with_no_client_auth();
        let mut default = ClientConfig::clone(&default_client_config().unwrap());
        if child::variable("LOG") == "on" {
            trusting.key_log = Arc::new(KeyLogFile::new());
            default.key_log = Arc::new(KeyLogFile::new());
        }
        let url = &child::variable("URL");
        let error = Client::new().tls(Arc::new(default)).connect(url).unwrap_err();
        assert!(matches!(error, ConnectError::Tls(TlsError::UnknownIssuer(_))), "{error:?}");
        drop(Client::new().tls(Arc::new(trusting)).connect(url).unwrap());
    }
}
