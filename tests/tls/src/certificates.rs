//! A table of servers that a client must refuse, with the error of each, and further tests of certificates.
//!
//! [`CASES`] has certificates that are not valid, servers that have no parameters in common with the client, and
//! servers that do not speak TLS. Each case is tested with both TLS libraries and all three adapters.

use std::error::Error as _;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hybi::adapters::handshake_driver::AcceptError;
use hybi::adapters::net::{Client, ConnectError, Server};
use hybi::adapters::{futures_io, tokio as on_tokio};
use hybi::reconnect::{Failure, GiveUp, ReconnectPolicy};
use hybi::tls::{ClientConfig, ServerConfig, TlsError};
use rustls::version::{TLS12, TLS13};

use crate::identity::{Authority, Identity, Tls, expired, for_clients, localhost, not_yet_valid};

/// The server of a case.
enum Peer {
    /// A server of hybi with this configuration.
    Tls(Arc<ServerConfig>),
    /// The server reads the first bytes of the client, and then sends the bytes of this variant. If the flag is true,
    /// the server half-closes the connection afterwards.
    Raw(&'static [u8], bool),
}

struct Case {
    name: &'static str,
    /// The host of the URL.
    host: &'static str,
    peer: fn(&Authority) -> Peer,
    /// The clients with rustls and with native-tls.
    clients: fn(&Authority) -> [Tls; 2],
    /// The variants of [`TlsError`] that the clients with rustls and with native-tls return.
    expected: [&'static str; 2],
    /// The name of the variant that the server returns. The name is empty if the server is not a server of hybi. It is
    /// `any` if the client closes without an alert, because in this case the connection may be reset.
    server: &'static str,
    /// A part of the error's text.
    text: &'static str,
}

/// A case in which the client trusts the authority, and refuses the certificate of the server.
const fn certificate(
    name: &'static str,
    host: &'static str,
    peer: fn(&Authority) -> Peer,
    variant: &'static str,
    text: &'static str,
) -> Case {
    Case { name, host, peer, clients: Authority::both, expected: [variant; 2], server: "Alert", text }
}

/// A case whose server sends raw bytes.
const fn raw(
    name: &'static str,
    peer: fn(&Authority) -> Peer,
    variant: &'static str,
    text: &'static str,
) -> Case {
    Case { name, host: "localhost", peer, clients: Authority::both, expected: [variant; 2], server: "", text }
}

const CASES: &[Case] = &[
    certificate(
        "expired",
        "localhost",
        |authority| Peer::Tls(authority.issue_with("localhost", expired).server()),
        "Expired",
        "has expired",
    ),
    certificate(
        "not valid yet",
        "localhost",
        |authority| Peer::Tls(authority.issue_with("localhost", not_yet_valid).server()),
        "NotValidYet",
        "check the local clock",
    ),
    certificate(
        "another host",
        "localhost",
        |authority| Peer::Tls(authority.issue("example.com").server()),
        "OtherHost",
        "is for another host",
    ),
    certificate(
        "a wildcard for another domain",
        "localhost",
        |authority| Peer::Tls(authority.issue("*.example.com").server()),
        "OtherHost",
        "is for another host",
    ),
    certificate(
        "another IP address",
        "127.0.0.1",
        |authority| Peer::Tls(authority.issue("127.0.0.2").server()),
        "OtherHost",
        "is for another host",
    ),
    certificate(
        "a name instead of an IP address",
        "127.0.0.1",
        |authority| Peer::Tls(authority.issue("localhost").server()),
        "OtherHost",
        "is for another host",
    ),
    certificate(
        "an IP address instead of a name",
        "localhost",
        |authority| Peer::Tls(authority.issue("127.0.0.1").server()),
        "OtherHost",
        "is for another host",
    ),
    certificate(
        "an unknown issuer",
        "localhost",
        |_| Peer::Tls(Authority::new().issue("localhost").server()),
        "UnknownIssuer",
        "roots of the configuration",
    ),
    certificate(
        "a chain without its intermediate authority",
        "localhost",
        |authority| Peer::Tls(authority.intermediate().issue("localhost").server()),
        "UnknownIssuer",
        "unknown authority",
    ),
    certificate(
        "self-signed",
        "localhost",
        |_| Peer::Tls(Identity::self_signed("localhost", false).server()),
        "UnknownIssuer",
        "unknown authority",
    ),
    certificate(
        "self-signed, and claims to be an authority",
        "localhost",
        |_| Peer::Tls(Identity::self_signed("localhost", true).server()),
        "UnknownIssuer",
        "unknown authority",
    ),
    certificate(
        "only for clients",
        "localhost",
        |authority| Peer::Tls(authority.issue_with("localhost", for_clients).server()),
        "InvalidCertificate",
        "is not accepted",
    ),
    Case {
        name: "a client certificate is required, and the client has none",
        host: "localhost",
        peer: |authority| Peer::Tls(authority.issue("localhost").server_for_clients_of(authority)),
        clients: Authority::both,
        expected: ["Alert"; 2],
        server: "Failed",
        text: "add a client certificate",
    },
    Case {
        name: "a client certificate of an unknown issuer",
        host: "localhost",
        peer: |authority| Peer::Tls(authority.issue("localhost").server_for_clients_of(authority)),
        clients: |authority| {
            let identity = Authority::new().issue("client");
            let native = authority.connector_builder().identity(identity.native()).build().unwrap();
            [Tls::Rustls(identity.client_of(authority)), Tls::Native(native)]
        },
        expected: ["Alert"; 2],
        server: "UnknownIssuer",
        text: "does not know the issuer of our certificate",
    },
    Case {
        name: "the server selects h2, which the client has offered",
        host: "localhost",
        peer: |authority| Peer::Tls(with_protocols(authority.issue("localhost").server(), &["h2"])),
        clients: |authority| offering(authority, &["h2", "http/1.1"]),
        expected: ["AlpnProtocol"; 2],
        server: "any",
        text: "offer only http/1.1",
    },
    Case {
        name: "the server supports only h2, and the client offers http/1.1",
        host: "localhost",
        peer: |authority| Peer::Tls(with_protocols(authority.issue("localhost").server(), &["h2"])),
        clients: |authority| offering(authority, &["http/1.1"]),
        expected: ["Alert"; 2],
        server: "Failed",
        text: "offer an application protocol that it supports",
    },
    Case {
        name: "the server supports only TLS 1.2, and the client only TLS 1.3",
        host: "localhost",
        peer: |authority| Peer::Tls(authority.issue("localhost").server_with(&[&TLS12])),
        clients: |authority| {
            let native = authority
                .connector_builder()
                .min_protocol_version(Some(native_tls::Protocol::Tlsv13))
                .build()
                .unwrap();
            [Tls::Rustls(authority.client_with(&[&TLS13])), Tls::Native(native)]
        },
        expected: ["Alert"; 2],
        server: "Failed",
        text: "no version or cipher suite",
    },
    Case {
        name: "the server supports only TLS 1.3, and the client only TLS 1.2",
        host: "localhost",
        peer: |authority| Peer::Tls(authority.issue("localhost").server_with(&[&TLS13])),
        clients: |authority| {
            let native = authority
                .connector_builder()
                .max_protocol_version(Some(native_tls::Protocol::Tlsv12))
                .build()
                .unwrap();
            [Tls::Rustls(authority.client_with(&[&TLS12])), Tls::Native(native)]
        },
        expected: ["Alert"; 2],
        server: "Failed",
        text: "no version or cipher suite",
    },
    raw(
        "an HTTP server",
        |_| Peer::Raw(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", true),
        "NotTls",
        "the peer does not speak TLS: check the port, or use ws://",
    ),
    raw("an SSH server", |_| Peer::Raw(b"SSH-2.0-OpenSSH_9.2\r\n", true), "NotTls", "does not speak TLS"),
    raw("zeros", |_| Peer::Raw(&[0; 100], true), "NotTls", "does not speak TLS"),
    raw(
        "a handshake record with garbage",
        |_| Peer::Raw(b"\x16\x03\x03\0\x08\xff\xff\xff\xff\xff\xff\xff\xff", true),
        "Failed",
        "TLS has failed",
    ),
    raw(
        "a record that is too long",
        |_| Peer::Raw(b"\x16\x03\x03\xff\xff\x02\0\0\x20\x03\x03", true),
        "Failed",
        "TLS has failed",
    ),
    raw(
        "data before the handshake",
        |_| Peer::Raw(b"\x17\x03\x03\0\x05hello", true),
        "Failed",
        "TLS has failed",
    ),
    raw(
        "the alert handshake_failure",
        |_| Peer::Raw(b"\x15\x03\x03\0\x02\x02\x28", true),
        "Alert",
        "no version or cipher suite",
    ),
    raw(
        "the alert unrecognized_name",
        |_| Peer::Raw(b"\x15\x03\x03\0\x02\x02\x70", true),
        "Alert",
        "it does not serve this host",
    ),
    raw("an end at once", |_| Peer::Raw(b"", true), "Truncated", "without close_notify"),
    raw(
        "an end in the first record",
        |_| Peer::Raw(b"\x16\x03\x03\0\x40\x02\0\0", true),
        "Truncated",
        "without close_notify",
    ),
    raw("a silent server", |_| Peer::Raw(b"", false), "Timeout", "the TLS handshake was still running"),
    raw(
        "a server that falls silent in the first record",
        |_| Peer::Raw(b"\x16\x03\x03\0\x40\x02\0\0", false),
        "Timeout",
        "the TLS handshake was still running",
    ),
];

/// Returns `config` with these application protocols.
fn with_protocols(config: Arc<ServerConfig>, protocols: &[&str]) -> Arc<ServerConfig> {
    let mut config = ServerConfig::clone(&config);
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// Returns clients that offer these application protocols.
fn offering(authority: &Authority, protocols: &[&str]) -> [Tls; 2] {
    let mut config = ClientConfig::clone(&authority.client());
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let native = authority.connector_builder().request_alpns(protocols).build().unwrap();
    [Tls::Rustls(Arc::new(config)), Tls::Native(native)]
}

/// Returns the name of a variant of [`TlsError`].
fn variant(error: &TlsError) -> &'static str {
    match error {
        TlsError::NoProvider => "NoProvider",
        TlsError::NoRoots(_) => "NoRoots",
        TlsError::InvalidConfig(_) => "InvalidConfig",
        TlsError::HostName(_) => "HostName",
        TlsError::Expired(_) => "Expired",
        TlsError::NotValidYet(_) => "NotValidYet",
        TlsError::OtherHost(_) => "OtherHost",
        TlsError::UnknownIssuer(_) => "UnknownIssuer",
        TlsError::InvalidCertificate(_) => "InvalidCertificate",
        TlsError::Alert(_) => "Alert",
        TlsError::NotTls(_) => "NotTls",
        TlsError::AlpnProtocol(_) => "AlpnProtocol",
        TlsError::Failed(_) => "Failed",
        TlsError::Truncated => "Truncated",
        TlsError::Timeout => "Timeout",
        _ => "unknown",
    }
}

/// Starts a server for `connections` clients. Returns its port and its errors.
fn serve(peer: Peer, connections: usize) -> (u16, thread::JoinHandle<Vec<Option<AcceptError<()>>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = thread::spawn(move || {
        let accept = |_| {
            let mut stream = listener.accept().unwrap().0;
            match &peer {
                Peer::Tls(config) => {
                    let accepted = Server::new().accept_tls(Arc::clone(config), stream);
                    // The client ends the connection.
                    accepted.map(|mut ws| _ = ws.recv()).err().map(AcceptError::without_stream)
                }
                Peer::Raw(bytes, closes) => {
                    assert!(stream.read(&mut [0; 5000]).unwrap() > 0);
                    stream.write_all(bytes).unwrap();
                    if *closes {
                        stream.shutdown(Shutdown::Write).unwrap();
                    }
                    // The client may send an alert before it closes.
                    while stream.read(&mut [0; 5000]).is_ok_and(|n| n > 0) {}
                    None
                }
            }
        };
        (0..connections).map(accept).collect()
    });
    (port, serving)
}

/// Connects with each of the three adapters, and returns their errors.
fn connect(url: &str, tls: &Tls, timeout: Duration) -> [ConnectError<()>; 3] {
    let client = tls.configure(Client::new()).open_timeout(Some(timeout));
    let blocking = client.connect(url).map(drop).unwrap_err().without_stream();
    let runtime = ::tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = tls.configure(on_tokio::Client::new()).open_timeout(Some(timeout));
    let on_tokio = runtime.block_on(client.connect(url)).map(drop).unwrap_err().without_stream();
    let client = tls.configure(futures_io::Client::new()).open_timeout(Some(timeout));
    let on_smol = smol::block_on(client.connect(url)).map(drop).unwrap_err().without_stream();
    [blocking, on_tokio, on_smol]
}

/// Checks the errors of one case.
fn check(case: &Case) {
    let authority = Authority::new();
    // Both libraries connect with three adapters.
    let (port, serving) = serve((case.peer)(&authority), 6);
    let timeout = Duration::from_millis(if case.expected[0] == "Timeout" { 500 } else { 10_000 });
    for (tls, expected) in (case.clients)(&authority).iter().zip(case.expected) {
        for error in connect(&format!("wss://{}:{port}/", case.host), tls, timeout) {
            let tls_error = match &error {
                ConnectError::Tls(error) => error,
                // This error is not a `TlsError`. The text of the case checks that the stage is the TLS handshake.
                ConnectError::Deadline(_) => &TlsError::Timeout,
                _ => panic!("{}: {tls:?}: {error:?}", case.name),
            };
            assert_eq!(variant(tls_error), expected, "{}: {tls:?}: {tls_error:?}", case.name);
            assert!(error.to_string().contains(case.text), "{}: {tls:?}: {error}", case.name);
            // `source` keeps the error of the library.
            assert_eq!(tls_error.source().is_some(), tls_error.library_error().is_some(), "{}", case.name);
            assert!(!matches!(tls, Tls::Native(_)) || tls_error.rustls_error().is_none(), "{}", case.name);
        }
    }
    for error in serving.join().unwrap() {
        let found = match &error {
            None => "",
            Some(AcceptError::Tls(error)) => variant(error),
            Some(_) => "other",
        };
        assert!(
            case.server == "any" || case.server == found,
            "the server of the case {:?}: {error:?}",
            case.name
        );
    }
}

#[test]
fn both_ends_return_the_errors_that_the_table_names() {
    assert!(CASES.len() >= 30);
    thread::scope(|scope| {
        for case in CASES {
            thread::Builder::new().name(case.name.into()).spawn_scoped(scope, || check(case)).unwrap();
        }
    });
}

#[test]
fn both_versions_of_tls_are_accepted() {
    let authority = Authority::new();
    for version in [&TLS12, &TLS13] {
        let (port, serving) = serve(Peer::Tls(authority.issue("localhost").server_with(&[version])), 2);
        for tls in authority.both() {
            drop(tls.configure(Client::new()).connect(&format!("wss://localhost:{port}/")).unwrap());
        }
        assert!(serving.join().unwrap().iter().all(Option::is_none));
    }
}

#[test]
fn an_address_that_the_certificate_names_is_accepted() {
    let authority = Authority::new();
    let (port, serving) = serve(Peer::Tls(authority.issue("127.0.0.1").server()), 2);
    for tls in authority.both() {
        drop(tls.configure(Client::new()).connect(&format!("wss://127.0.0.1:{port}/")).unwrap());
    }
    assert!(serving.join().unwrap().iter().all(Option::is_none));
}

#[test]
fn a_client_that_reconnects_does_not_try_a_refused_certificate_again() {
    for tls in Authority::new().both() {
        let (port, serving) = serve(Peer::Tls(Authority::new().issue("localhost").server()), 1);
        let (client, url) = (tls.configure(Client::new()), format!("wss://localhost:{port}/"));
        let mut feed = client.reconnecting(ReconnectPolicy::new(), |_| url.as_str());
        let stopped = feed.next_connection().unwrap_err();
        assert_eq!(stopped.reason, GiveUp::NotRetried(Failure::Certificate));
        let error = stopped.source().unwrap().downcast_ref::<ConnectError<()>>().unwrap();
        assert!(matches!(error, ConnectError::Tls(TlsError::UnknownIssuer(_))), "{error:?}");
        assert_eq!(serving.join().unwrap().len(), 1);
    }
}

#[test]
fn the_default_configurations_do_not_trust_a_private_authority() {
    let (port, serving) = serve(Peer::Tls(localhost().1), 6);
    let url = format!("wss://localhost:{port}/");
    let rustls = Tls::Rustls(hybi::tls::default_client_config().unwrap());
    let native = Tls::Native(hybi::tls::default_native_connector().unwrap());
    for error in [rustls, native].iter().flat_map(|tls| connect(&url, tls, Duration::from_secs(10))) {
        assert!(matches!(error, ConnectError::Tls(TlsError::UnknownIssuer(_))), "{error:?}");
        assert!(error.to_string().contains("unknown authority"), "{error}");
    }
    serving.join().unwrap();
}

#[test]
fn a_server_knows_that_a_client_has_sent_no_certificate() {
    let authority = Authority::new();
    let server = authority.issue("localhost").server_for_clients_of(&authority);
    let (port, serving) = serve(Peer::Tls(server), 1);
    let client = Client::new().tls(authority.client());
    client.connect(&format!("wss://localhost:{port}/")).map(drop).unwrap_err();
    let Some(AcceptError::Tls(error)) = serving.join().unwrap().remove(0) else { panic!("no error") };
    assert_eq!(error, TlsError::Failed(rustls::Error::NoCertificatesPresented.into()));
    assert_eq!(error.rustls_error(), Some(&rustls::Error::NoCertificatesPresented));
}

#[test]
fn a_client_with_a_certificate_is_accepted() {
    let authority = Authority::new();
    let server = authority.issue("localhost").server_for_clients_of(&authority);
    let (port, serving) = serve(Peer::Tls(server), 2);
    let client = authority.issue("client");
    let native = authority.connector_builder().identity(client.native()).build().unwrap();
    for tls in [Tls::Rustls(client.client_of(&authority)), Tls::Native(native)] {
        drop(tls.configure(Client::new()).connect(&format!("wss://localhost:{port}/")).unwrap());
    }
    assert!(serving.join().unwrap().iter().all(Option::is_none));
}

#[test]
fn both_ends_can_read_the_certificate_of_the_peer() {
    let authority = Authority::new();
    let server = authority.issue("localhost");
    let certificate = server.der();
    let (port, serving) = serve(Peer::Tls(server.server()), 2);
    for tls in authority.both() {
        let ws = tls.configure(Client::new()).connect(&format!("wss://localhost:{port}/")).unwrap();
        assert_eq!(ws.stream().peer_certificate(), Some(certificate.clone()));
    }
    serving.join().unwrap();
}

#[test]
fn a_server_reports_a_client_that_does_not_speak_tls() {
    let (port, serving) = serve(Peer::Tls(localhost().1), 1);
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let error = serving.join().unwrap().remove(0);
    assert!(matches!(error, Some(AcceptError::Tls(TlsError::NotTls(_)))), "{error:?}");
}

#[test]
fn the_default_configuration_offers_http_1_1_and_is_created_once() {
    let config = hybi::tls::default_client_config().unwrap();
    assert_eq!(config.alpn_protocols, [b"http/1.1"]);
    assert!(Arc::ptr_eq(&config, &hybi::tls::default_client_config().unwrap()));
}

#[test]
fn a_host_that_no_certificate_can_name_is_refused() {
    let connectors = [
        hybi::tls::Connector::Rustls(hybi::tls::default_client_config().unwrap()),
        hybi::tls::Connector::Native(hybi::tls::default_native_connector().unwrap()),
    ];
    for connector in connectors {
        for host in ["", "a b", "a\0b", "a\n"] {
            let expected = TlsError::HostName(host.into());
            assert_eq!(connector.check_host(host), Err(expected.clone()));
            assert_eq!(connector.session(host).unwrap_err(), expected);
        }
        assert_eq!(connector.check_host("localhost"), Ok(()));
        assert_eq!(connector.check_host("::1"), Ok(()));
    }
}
