//! Proxies and TLS. A client uses TLS to the server inside the tunnel, to the proxy, or to both.
//!
//! One thread is both the proxy and the server: when the tunnel is open, the proxy continues as the server. The proxy
//! and the server have certificates of different authorities.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Duration;

use hybi::adapters::handshake_driver::Client as AnyClient;
use hybi::adapters::net::{self, Client, ConnectError, Server, Stream};
use hybi::adapters::{futures_io, tokio as on_tokio};
use hybi::dial::Stage;
use hybi::proxy::{Proxy, ProxyError, ProxyUrl};
use hybi::tls::rustls::{self, ServerConnection, StreamOwned};
use hybi::tls::{ClientConfig, ServerConfig, TlsError};

use crate::cut::ends_in;
use crate::identity::{Authority, Identity, Tls};

/// The configurations of the proxy, of the server, and of clients with rustls and with native-tls. The clients trust
/// the proxy and the server, only the proxy, or only the server.
struct Configs {
    proxy: Arc<ServerConfig>,
    server: Arc<ServerConfig>,
    trusts_both: [Tls; 2],
    trusts_proxy: [Tls; 2],
    trusts_server: [Tls; 2],
}

static CONFIGS: LazyLock<Configs> = LazyLock::new(|| {
    let (of_proxy, of_server) = (Authority::new(), Authority::new());
    let mut roots = of_proxy.roots();
    roots.extend(of_server.roots().roots);
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let rustls = Tls::Rustls(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()));
    let second = native_tls::Certificate::from_pem(of_server.pem().as_bytes()).unwrap();
    let native = of_proxy.connector_builder().add_root_certificate(second).build().unwrap();
    Configs {
        proxy: Identity::server(of_proxy.issue("localhost")),
        server: Identity::server(of_server.issue("server.example")),
        trusts_both: [rustls, Tls::Native(native)],
        trusts_proxy: of_proxy.both(),
        trusts_server: of_server.both(),
    }
});

/// A connection that may be cut: after `left` bytes in the direction of the client, it ends or falls silent.
struct CutStream {
    socket: TcpStream,
    left: usize,
    falls_silent: bool,
}

impl Read for CutStream {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.socket.read(to)
    }
}

impl Write for CutStream {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        let n = from.len().min(self.left);
        self.left -= n;
        self.socket.write_all(&from[..n])?;
        if n < from.len() {
            if !self.falls_silent {
                let _ = self.socket.shutdown(Shutdown::Write);
            }
            // Waits until the client has given up.
            while self.socket.read(&mut [0; 4096]).is_ok_and(|n| n > 0) {}
            return Err(ErrorKind::BrokenPipe.into());
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A connection, or TLS over a connection.
trait Io: Read + Write + Send {
    fn close_write(&mut self) -> io::Result<()>;
}

impl Io for CutStream {
    fn close_write(&mut self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }
}

impl Io for StreamOwned<ServerConnection, Box<dyn Io>> {
    fn close_write(&mut self) -> io::Result<()> {
        self.conn.send_close_notify();
        self.flush()?;
        self.sock.close_write()
    }
}

/// Returns TLS over a connection.
fn over_tls(config: &Arc<ServerConfig>, io: Box<dyn Io>) -> Box<dyn Io> {
    Box::new(StreamOwned::new(ServerConnection::new(Arc::clone(config)).unwrap(), io))
}

/// The stream of the server, with the socket below all layers.
struct Tunnel {
    io: Box<dyn Io>,
    socket: TcpStream,
}

impl Read for Tunnel {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.io.read(to)
    }
}

impl Write for Tunnel {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.io.write(from)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.io.flush()
    }
}

impl Stream for Tunnel {
    fn close_write(&mut self) -> io::Result<()> {
        self.io.close_write()
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        self.socket.set_read_timeout(timeout).map(|()| true)
    }

    fn abort(&mut self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

/// Returns a client that uses `tls` for the server and for the proxy.
fn both<R>(tls: &Tls, client: AnyClient<R>) -> AnyClient<R> {
    tls.configure_proxy(tls.configure(client))
}

/// One way to reach the server: the scheme of the proxy, and the URL of the server.
#[derive(Clone, Copy)]
struct Way {
    proxy: &'static str,
    url: &'static str,
}

const WAYS: [Way; 5] = [
    Way { proxy: "http", url: "wss://server.example/" },
    Way { proxy: "https", url: "ws://server.example/" },
    Way { proxy: "https", url: "wss://server.example/" },
    Way { proxy: "socks5h", url: "wss://server.example/" },
    Way { proxy: "http", url: "ws://server.example/" },
];

const TLS_IN_TLS: Way = WAYS[2];

/// Sends messages, and compares the answers. One of the messages is longer than a TLS record.
macro_rules! talk {
    ($ws:ident, $way:ident, $left:ident $(, $wait:ident)?) => {
        // A connection that will be cut may open, but sends no messages.
        let lengths: &[usize] = if $left == usize::MAX { &[0, 5, 100_000] } else { &[] };
        for len in lengths.iter().copied() {
            $ws.send(vec![7; len])$(.$wait)?.unwrap();
            assert_eq!($ws.recv()$(.$wait)?.unwrap().unwrap().as_bytes(), vec![7; len], "{} {}", $way.proxy, $way.url);
        }
    };
}
impl Way {
    /// Serves one client: opens the tunnel, and echoes messages until the end.
    fn serve(self, socket: TcpStream, left: usize, falls_silent: bool) -> io::Result<()> {
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(Duration::from_secs(30)))?;
        let below = socket.try_clone()?;
        let mut tunnel: Box<dyn Io> = Box::new(CutStream { socket: below, left, falls_silent });
        if self.proxy == "https" {
            tunnel = over_tls(&CONFIGS.proxy, tunnel);
        }
        if self.proxy == "socks5h" {
            tunnel.read_exact(&mut [0; 4])?;
            tunnel.write_all(&[5, 0])?;
            tunnel.read_exact(&mut [0; 5 + 14 + 2])?;
            tunnel.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
        } else {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                tunnel.read_exact(&mut byte)?;
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap();
            assert!(head.contains("\r\nProxy-Authorization: Basic dTpw\r\n"), "{head}");
            tunnel.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
        }
        tunnel.flush()?;
        if self.url.starts_with("wss") {
            tunnel = over_tls(&CONFIGS.server, tunnel);
        }
        match Server::new().accept_stream(Tunnel { io: tunnel, socket }) {
            Ok(ws) => echo(ws),
            Err(error) => return Err(io::Error::other(error.to_string())),
        }
        Ok(())
    }

    /// Calls `connect` with the proxy, while a thread runs the proxy and the server.
    fn run<T>(self, left: usize, falls_silent: bool, connect: impl FnOnce(Proxy) -> T) -> T {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("{}://u:p@localhost:{}", self.proxy, listener.local_addr().unwrap().port());
        thread::scope(|scope| {
            let to_listener = listener.local_addr().unwrap();
            scope.spawn(move || self.serve(listener.accept().unwrap().0, left, falls_silent));
            let connected = connect(ProxyUrl::parse(&address).unwrap().into());
            // If the client has reached its deadline before it connected, the thread still waits for a connection. This
            // connection ends the wait.
            drop(TcpStream::connect(to_listener));
            connected
        })
    }

    /// Opens a WebSocket in each adapter, and sends messages. Returns the errors.
    fn connect_all(self, tls: &Tls, left: usize, limit: Option<Duration>) -> [Option<ConnectError<()>>; 3] {
        let falls_silent = limit.is_some();
        let limit = limit.unwrap_or(Duration::from_secs(30));
        let blocking = self.run(left, falls_silent, |proxy| {
            let client = both(tls, Client::new()).proxy(proxy).open_timeout(Some(limit));
            let mut ws = client.connect(self.url).map_err(ConnectError::without_stream)?;
            talk!(ws, self, left);
            Ok(())
        });
        let tokio = self.run(left, falls_silent, |proxy| {
            let runtime = ::tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let client = both(tls, on_tokio::Client::new()).proxy(proxy).open_timeout(Some(limit));
                let mut ws = client.connect(self.url).await.map_err(ConnectError::without_stream)?;
                assert_eq!(ws.stream().peer_certificate().is_some(), self.url.starts_with("wss"));
                talk!(ws, self, left, await);
                Ok(())
            })
        });
        let smol = self.run(left, falls_silent, |proxy| {
            smol::block_on(async {
                let client = both(tls, futures_io::Client::new()).proxy(proxy).open_timeout(Some(limit));
                let mut ws = client.connect(self.url).await.map_err(ConnectError::without_stream)?;
                assert_eq!(ws.stream().peer_certificate().is_some(), self.url.starts_with("wss"));
                talk!(ws, self, left, await);
                Ok(())
            })
        });
        [blocking, tokio, smol].map(Result::err)
    }
}

fn echo<S: Stream>(mut ws: net::WebSocket<S>) {
    assert!(ws.headers().get("proxy-authorization").is_none());
    while let Ok(Some(message)) = ws.recv() {
        if ws.send(message).is_err() {
            return;
        }
    }
    let _ = ws.wait_closed();
}

#[test]
fn a_websocket_opens_through_each_proxy_in_each_adapter() {
    for (way, tls) in WAYS.into_iter().flat_map(|way| CONFIGS.trusts_both.iter().map(move |tls| (way, tls))) {
        for error in way.connect_all(tls, usize::MAX, None) {
            assert!(error.is_none(), "{} {}: {error:?}", way.proxy, way.url);
        }
    }
}

#[test]
fn the_error_of_a_certificate_names_the_proxy_or_the_server() {
    for (way, config, names_proxy) in [
        (WAYS[0], &CONFIGS.trusts_proxy, false),
        (WAYS[1], &CONFIGS.trusts_server, true),
        (TLS_IN_TLS, &CONFIGS.trusts_server, true),
        (TLS_IN_TLS, &CONFIGS.trusts_proxy, false),
        (WAYS[3], &CONFIGS.trusts_proxy, false),
    ] {
        let errors = config.iter().flat_map(|tls| way.connect_all(tls, usize::MAX, None));
        for error in errors {
            let error = error.unwrap();
            let is_proxy = match &error {
                ConnectError::ProxyTls(TlsError::UnknownIssuer(_)) => true,
                ConnectError::Tls(TlsError::UnknownIssuer(_)) => false,
                _ => panic!("{} {}: {error:?}", way.proxy, way.url),
            };
            assert_eq!(is_proxy, names_proxy, "{} {}: {error}", way.proxy, way.url);
            assert_eq!(error.to_string().contains("proxy"), names_proxy, "{error}");
        }
    }
}

/// A proxy may require a certificate too. The proxy must not get the certificate that is meant for the server.
#[test]
fn a_client_certificate_is_shown_to_the_server_and_not_to_the_proxy() {
    let (of_proxy, of_server, of_clients) = (Authority::new(), Authority::new(), Authority::new());
    let with_certificate = of_clients.issue("client").client_of(&of_server);
    let client = Client::new().tls(Arc::clone(&with_certificate));
    let url = "wss://server.example/";

    // Nobody listens at this address, so an attempt to connect would fail in another way.
    let nowhere = Proxy::url("https://127.0.0.1:1").unwrap();
    for client in [client.clone(), Client::new().native_tls(of_server.connector())] {
        let client = client.proxy(nowhere.clone());
        for url in [url, "ws://server.example/"] {
            let error = client.connect(url).unwrap_err();
            assert!(matches!(error, ConnectError::Proxy(ProxyError::ClientCertificate)), "{error:?}");
            assert!(error.to_string().contains("Client::proxy_tls"), "{error}");
        }
    }
    // An `http` proxy has no TLS handshake with the client, so it cannot ask for the certificate.
    let http = client.clone().proxy(Proxy::url("http://127.0.0.1:1").unwrap());
    assert!(matches!(http.connect(url), Err(ConnectError::Connect(_))));

    // The first proxy requests no certificate, and the second proxy requires one. Neither proxy gets a certificate.
    let proxies = [
        of_proxy.issue("localhost").server(),
        of_proxy.issue("localhost").server_for_clients_of(&of_clients),
    ];
    for (config, opens) in proxies.into_iter().zip([true, false]) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy =
            Proxy::url(&format!("https://localhost:{}", listener.local_addr().unwrap().port())).unwrap();
        let server = of_server.issue("server.example").server_for_clients_of(&of_clients);
        let serving = thread::spawn(move || {
            let (socket, _) = listener.accept().unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            let mut tls = StreamOwned::new(ServerConnection::new(config).unwrap(), socket);
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                tls.read_exact(&mut byte)?;
                head.push(byte[0]);
            }
            assert!(tls.conn.peer_certificates().is_none());
            tls.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
            let mut inner = StreamOwned::new(ServerConnection::new(server).unwrap(), tls);
            let mut request = [0; 4];
            inner.read_exact(&mut request)?;
            assert!(inner.conn.peer_certificates().is_some());
            io::Result::Ok(request)
        });
        let client = client.clone().proxy(proxy).proxy_tls(of_proxy.client());
        let error = client.connect(url).unwrap_err();
        let served = serving.join().unwrap();
        match opens {
            // The server ends after the first bytes of the request.
            true => assert_eq!(served.unwrap(), *b"GET ", "{error}"),
            false => {
                assert!(served.is_err());
                assert!(matches!(error, ConnectError::ProxyTls(_) | ConnectError::Proxy(_)), "{error:?}");
            }
        }
    }
}

/// A program that pins the certificate of the server must not see the certificate of the proxy.
#[test]
fn the_certificates_of_the_stream_are_those_of_the_server() {
    for tls in &CONFIGS.trusts_both {
        let certificate = |way: Way| {
            way.run(usize::MAX, false, |proxy| {
                let ws = both(tls, Client::new()).proxy(proxy).connect(way.url).unwrap();
                let first = ws.stream().with_rustls(|tls| tls.peer_certificates().unwrap()[0].to_vec());
                let certificate = ws.stream().peer_certificate();
                assert!(first.is_none() || first == certificate);
                certificate
            })
        };
        let of_server = certificate(WAYS[0]);
        assert!(of_server.is_some());
        assert_eq!(certificate(TLS_IN_TLS), of_server);
        assert_eq!(certificate(WAYS[1]), None);
    }
}

/// One thread sends while the other receives, and both directions are congested.
#[test]
fn halves_for_threads_work_over_tls_in_tls() {
    const MESSAGES: usize = 2_000;
    let ways = [WAYS[1], TLS_IN_TLS].into_iter();
    for (way, tls) in ways.flat_map(|way| CONFIGS.trusts_both.iter().map(move |tls| (way, tls))) {
        way.run(usize::MAX, false, |proxy| {
            let client = both(tls, Client::new()).proxy(proxy);
            let (mut reader, mut writer) = client.connect(way.url).unwrap().split().unwrap();
            thread::scope(|scope| {
                scope.spawn(move || {
                    for n in 0..MESSAGES {
                        writer.send(vec![n as u8; n]).unwrap();
                    }
                    writer.close(hybi::CloseCode::NORMAL, "").unwrap();
                });
                for n in 0..MESSAGES {
                    assert_eq!(reader.recv().unwrap().unwrap().as_bytes(), vec![n as u8; n]);
                }
                assert_eq!(reader.recv().unwrap(), None);
                assert!(reader.outcome().unwrap().is_clean());
            });
        });
    }
}

#[test]
fn a_cut_at_any_byte_of_tls_is_a_typed_error() {
    let step = if cfg!(debug_assertions) { 41 } else { 7 };
    for way in WAYS {
        // This range contains the whole opening: two certificates and the response.
        for left in (0..500).step_by(step).chain((500..4000).step_by(step * 7)) {
            let errors = CONFIGS.trusts_both.iter().flat_map(|tls| way.connect_all(tls, left, None));
            for error in errors.flatten() {
                let expected = match &error {
                    ConnectError::Tls(TlsError::Truncated) | ConnectError::ProxyTls(TlsError::Truncated) => {
                        true
                    }
                    ConnectError::Proxy(error) => {
                        way.proxy != "https" && left < 60 && format!("{error:?}") != "NotHttp"
                    }
                    ConnectError::Io(error) => {
                        assert!(error.to_string().starts_with("the opening handshake failed: "), "{error}");
                        way.url.starts_with("ws:") && error.kind() == ErrorKind::UnexpectedEof
                    }
                    _ => false,
                };
                assert!(expected, "{} {} after {left} bytes: {error:?}", way.proxy, way.url);
                if way.proxy != "https" || way.url.starts_with("ws:") {
                    let names_proxy = matches!(error, ConnectError::ProxyTls(_));
                    let is_tls = matches!(error, ConnectError::Tls(_));
                    assert!(
                        if way.proxy == "https" { !is_tls } else { !names_proxy },
                        "{} {}: {error:?}",
                        way.proxy,
                        way.url
                    );
                }
            }
        }
    }
}

#[test]
fn the_error_of_a_deadline_names_the_stage_in_which_the_peer_fell_silent() {
    for (way, left, stage) in [
        (TLS_IN_TLS, 0, Stage::ProxyTls),
        (TLS_IN_TLS, 100, Stage::ProxyTls),
        (WAYS[1], 150, Stage::ProxyTls),
        (WAYS[0], 10, Stage::Proxy),
        (WAYS[0], 19, Stage::Tls),
        (WAYS[0], 150, Stage::Tls),
        (WAYS[3], 12, Stage::Tls),
        (WAYS[4], 19, Stage::Handshake),
    ] {
        for tls in &CONFIGS.trusts_both {
            ends_in(stage, |limit| way.connect_all(tls, left, Some(limit)).into());
        }
    }
}
