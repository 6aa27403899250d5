//! WebSockets over the streams of TLS libraries, as applications use them with [`WrappedStream`]: `native-tls` on
//! OpenSSL, and the streams of `rustls` itself.
//!
//! OpenSSL encrypts the bytes of a write before it finds that the socket is full. In this case the next write must
//! begin with the same bytes. Both libraries report an end of the stream without `close_notify` as an error.
//! `tests/net/streams.rs` imitates both rules. The tests here use the real libraries.

use std::fmt::Debug;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use hybi::adapters::net::{Client, Server, WebSocket, WrappedStream};
use hybi::{CloseCode, Config, Connection, Inbox, Instant, Outbox, Outcome};

const CLEAN: Outcome = Outcome::Clean { code: CloseCode::NORMAL };

/// Returns a self-signed certificate for `localhost`, and its key.
fn certificate() -> (openssl::x509::X509, openssl::pkey::PKey<openssl::pkey::Private>) {
    use openssl::asn1::Asn1Time;
    use openssl::bn::BigNum;
    use openssl::ec::{EcGroup, EcKey};
    use openssl::hash::MessageDigest;
    use openssl::nid::Nid;
    use openssl::pkey::PKey;
    use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
    use openssl::x509::{X509Builder, X509NameBuilder};

    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "localhost").unwrap();
    let name = name.build();
    let mut builder = X509Builder::new().unwrap();
    builder.set_version(2).unwrap();
    builder.set_serial_number(&BigNum::from_u32(1).unwrap().to_asn1_integer().unwrap()).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
    let names =
        SubjectAlternativeName::new().dns("localhost").build(&builder.x509v3_context(None, None)).unwrap();
    builder.append_extension(names).unwrap();
    builder.append_extension(BasicConstraints::new().critical().build().unwrap()).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    (builder.build(), key)
}

type OpenSsl = native_tls::TlsStream<TcpStream>;
type RustlsServer = rustls::StreamOwned<rustls::ServerConnection, TcpStream>;
type RustlsClient = rustls::StreamOwned<rustls::ClientConnection, TcpStream>;

fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let near = listener.accept().unwrap().0;
    for socket in [&near, &far] {
        socket.set_nodelay(true).unwrap();
        // A test that waits for too long fails after this timeout. The adapter later sets its own timeouts.
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    }
    (near, far)
}

fn openssl() -> (OpenSsl, OpenSsl) {
    let (certificate, key) = certificate();
    let pem = certificate.to_pem().unwrap();
    let identity = native_tls::Identity::from_pkcs8(&pem, &key.private_key_to_pem_pkcs8().unwrap()).unwrap();
    let acceptor = native_tls::TlsAcceptor::new(identity).unwrap();
    let connector = native_tls::TlsConnector::builder()
        .add_root_certificate(native_tls::Certificate::from_pem(&pem).unwrap())
        .build()
        .unwrap();
    let (near, far) = sockets();
    let near = thread::spawn(move || acceptor.accept(near).unwrap());
    let far = connector.connect("localhost", far).unwrap();
    (near.join().unwrap(), far)
}

fn rustls() -> (RustlsServer, RustlsClient) {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

    let (certificate, key) = certificate();
    let certificate = CertificateDer::from(certificate.to_der().unwrap());
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.private_key_to_pkcs8().unwrap()));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let server = rustls::ServerConfig::builder().with_no_client_auth();
    let server = server.with_single_cert(vec![certificate], key).unwrap();
    let client = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let server = rustls::ServerConnection::new(Arc::new(server)).unwrap();
    let client = rustls::ClientConnection::new(Arc::new(client), "localhost".try_into().unwrap()).unwrap();
    let (near, far) = sockets();
    (rustls::StreamOwned::new(server, near), rustls::StreamOwned::new(client, far))
}

fn wrap_openssl(tls: OpenSsl) -> WrappedStream<OpenSsl> {
    WrappedStream::new(tls, |tls| Some(tls.get_ref())).close_write(|tls| tls.shutdown())
}

fn wrap_rustls<C, D>(
    tls: rustls::StreamOwned<C, TcpStream>,
) -> WrappedStream<rustls::StreamOwned<C, TcpStream>>
where
    C: std::ops::DerefMut<Target = rustls::ConnectionCommon<D>>,
    D: rustls::SideData,
{
    WrappedStream::new(tls, |tls| Some(&tls.sock)).close_write(|tls| {
        tls.conn.send_close_notify();
        tls.flush()
    })
}

/// Opens a WebSocket over TLS and echoes messages. Then the client or the server closes. Both endpoints must report a
/// clean outcome.
fn talk<A: Debug + Send, B: Debug>(near: WrappedStream<A>, far: WrappedStream<B>, by_client: bool) {
    thread::scope(|scope| {
        let server = scope.spawn(|| {
            let mut ws = Server::new().accept_stream(near).unwrap();
            while let Some(message) = ws.recv().unwrap() {
                let ends = message.as_bytes() == b"end";
                ws.send(message).unwrap();
                if ends && !by_client {
                    ws.close(CloseCode::NORMAL, "").unwrap();
                }
            }
            ws.wait_closed().unwrap()
        });
        let mut ws = Client::new().open_stream(far, "wss://localhost/").unwrap();
        for len in [0, 1, 1000, 16 << 10, 1 << 20] {
            ws.send(vec![7; len]).unwrap();
            assert_eq!(ws.recv().unwrap().unwrap().as_bytes(), vec![7; len]);
        }
        ws.send_text("end").unwrap();
        assert_eq!(ws.recv().unwrap(), Some("end".into()));
        if by_client {
            ws.close(CloseCode::NORMAL, "").unwrap();
        }
        assert_eq!(ws.wait_closed().unwrap(), CLEAN);
        assert_eq!(server.join().unwrap(), CLEAN);
    });
}

#[test]
fn s7_1_1_both_ends_report_a_clean_end_over_openssl() {
    for by_client in [true, false] {
        let (near, far) = openssl();
        talk(wrap_openssl(near), wrap_openssl(far), by_client);
    }
}

#[test]
fn s7_1_1_both_ends_report_a_clean_end_over_rustls() {
    for by_client in [true, false] {
        let (near, far) = rustls();
        talk(wrap_rustls(near), wrap_rustls(far), by_client);
    }
}

fn server<S>(tls: WrappedStream<S>, config: Config) -> WebSocket<S> {
    WebSocket::from_stream(tls, Connection::server(Instant::ZERO, config, Outbox::new()), Inbox::empty())
}

fn client<S>(tls: WrappedStream<S>) -> WebSocket<S> {
    let config = Config::new().ping_interval(None);
    WebSocket::from_stream(
        tls,
        Connection::client(Instant::ZERO, config, Outbox::new(), [1; 32]),
        Inbox::empty(),
    )
}

/// The number of messages. Together they are larger than the socket buffers. Each message is smaller than a TLS record,
/// so a write that fails accepts no byte of the message.
const MESSAGES: usize = 8000;

/// Runs a peer that pauses its reads, so that writes time out and Pings become due meanwhile. All messages must arrive
/// unchanged.
fn stall<A: Debug + Send + 'static, B: Debug>(near: WrappedStream<A>, far: WrappedStream<B>) {
    let sending = thread::spawn(move || {
        let config = Config::new().ping_interval(Some(Duration::from_millis(20)));
        let mut ws = server(near, config);
        for n in 0..MESSAGES {
            ws.send(vec![n as u8; 3000]).unwrap();
        }
        ws.close(CloseCode::NORMAL, "").unwrap();
        assert_eq!(ws.wait_closed().unwrap(), CLEAN);
        ws.connection().sender().counters().frames
    });
    let mut ws = client(far);
    // No thread ever sends on this channel, so each wait ends by its timeout.
    let (_never, wait) = channel::<()>();
    for n in 0..MESSAGES {
        if n % (MESSAGES / 4) == 0 {
            // While the sender waits for space to write, it reads this message. No other input arrives, so a Ping
            // becomes due.
            ws.send_text("go on").unwrap();
            wait.recv_timeout(Duration::from_millis(200)).unwrap_err();
        }
        assert_eq!(ws.recv().unwrap().unwrap().as_bytes(), vec![n as u8; 3000]);
    }
    assert_eq!(ws.recv().unwrap(), None);
    assert_eq!(ws.outcome(), Some(CLEAN));
    assert!(sending.join().unwrap() > MESSAGES as u64 + 1, "no Ping was due");
}

#[test]
fn a_write_that_timed_out_over_openssl_is_repeated_before_a_ping() {
    let (near, far) = openssl();
    stall(wrap_openssl(near), wrap_openssl(far));
}

#[test]
fn a_write_that_timed_out_over_rustls_is_repeated_before_a_ping() {
    let (near, far) = rustls();
    // rustls completes the TLS handshake in the first read or write. Here both endpoints complete it before the test.
    let near = thread::spawn(move || {
        let mut near = near;
        near.conn.complete_io(&mut near.sock).unwrap();
        near
    });
    let mut far = far;
    far.conn.complete_io(&mut far.sock).unwrap();
    stall(wrap_rustls(near.join().unwrap()), wrap_rustls(far));
}

#[test]
fn the_peer_of_a_server_reads_close_notify() {
    let (near, mut far) = openssl();
    let serving = thread::spawn(move || server(wrap_openssl(near), Config::new()).wait_closed().unwrap());
    far.write_all(b"\x88\x82\0\0\0\0\x03\xe8").unwrap();
    let mut rest = Vec::new();
    // Without `close_notify` this read would fail with "unexpected eof while reading".
    far.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"\x88\x02\x03\xe8");
    far.shutdown().unwrap();
    drop(far);
    assert_eq!(serving.join().unwrap(), CLEAN);
}

#[test]
fn the_peer_of_a_client_reads_close_notify() {
    let (mut near, far) = openssl();
    let strict = thread::spawn(move || {
        let mut close = [0; 8];
        near.read_exact(&mut close).unwrap();
        assert_eq!(close[..2], *b"\x88\x82");
        near.write_all(b"\x88\x02\x03\xe8").unwrap();
        // The server sends `close_notify` first, and the client then sends its own.
        near.shutdown().unwrap();
        assert_eq!(near.read(&mut [0]).unwrap(), 0);
    });
    let mut ws = client(wrap_openssl(far));
    ws.close(CloseCode::NORMAL, "").unwrap();
    assert_eq!(ws.wait_closed().unwrap(), CLEAN);
    strict.join().unwrap();
}
