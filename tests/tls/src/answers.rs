//! A session of native-tls answers key updates of TLS 1.3 and renegotiations of TLS 1.2, even if the application sends
//! nothing. These tests check that the answers leave the client. A session of rustls sends no such answers.

use std::io::{BufRead, BufReader, IoSlice, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use hybi::adapters::net::Client;
use hybi::adapters::{futures_io, tokio as on_tokio};
use hybi::tls::{Session, TlsError};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::child::TempFile;
use crate::identity::Authority;

/// Returns the response to the request with this head.
fn response(head: &str) -> String {
    let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
    let accept = hybi::handshake::accept_key(key.trim_end().as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        std::str::from_utf8(&accept).unwrap()
    )
}

/// Starts a server that requests key updates before a message and within it, and waits for an answer. Returns the URL.
fn serve_key_updates(config: Arc<ServerConfig>) -> (String, thread::JoinHandle<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("wss://localhost:{}/", listener.local_addr().unwrap().port());
    let serving = thread::spawn(move || {
        let connection = ServerConnection::new(config).unwrap();
        let mut tls = StreamOwned::new(connection, listener.accept().unwrap().0);
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            tls.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        tls.write_all(response(std::str::from_utf8(&head).unwrap()).as_bytes()).unwrap();
        // OpenSSL answers the first request with its next write, or when it receives the second request.
        tls.conn.refresh_traffic_keys().unwrap();
        tls.write_all(b"\x81").unwrap();
        tls.conn.refresh_traffic_keys().unwrap();
        tls.write_all(b"\x01a").unwrap();
        tls.flush().unwrap();
        // The client sends only the answer.
        tls.sock.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut header = [0; 5];
        tls.sock.read_exact(&mut header).expect("the answer does not arrive");
        assert_eq!(header[0], 23);
        tls.sock
    });
    (url, serving)
}

#[test]
fn a_client_that_only_receives_answers_key_updates() {
    let authority = Authority::new();
    let config = authority.issue("localhost").server();
    let connector = authority.connector();

    let (url, serving) = serve_key_updates(Arc::clone(&config));
    let mut ws = Client::new().native_tls(connector.clone()).connect(&url).unwrap();
    assert_eq!(ws.recv().unwrap(), Some("a".into()));
    // The loop of a receiving call writes the answer when it has decoded all input.
    let receiving = thread::spawn(move || drop(ws.recv()));
    drop(serving.join().unwrap());
    receiving.join().unwrap();

    let (url, serving) = serve_key_updates(Arc::clone(&config));
    let ws = Client::new().native_tls(connector.clone()).connect(&url).unwrap();
    let (mut reader, writer) = ws.split().unwrap();
    assert_eq!(reader.recv().unwrap(), Some("a".into()));
    let receiving = thread::spawn(move || drop(reader.recv()));
    drop(serving.join().unwrap());
    receiving.join().unwrap();
    drop(writer);

    let (url, serving) = serve_key_updates(Arc::clone(&config));
    let runtime = ::tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = on_tokio::Client::new().native_tls(connector.clone());
        let mut ws = client.connect(&url).await.unwrap();
        assert_eq!(ws.recv().await.unwrap(), Some("a".into()));
        drop(serving.join().unwrap());
    });

    let (url, serving) = serve_key_updates(config);
    smol::block_on(async {
        let mut ws = futures_io::Client::new().native_tls(connector).connect(&url).await.unwrap();
        assert_eq!(ws.recv().await.unwrap(), Some("a".into()));
        drop(serving.join().unwrap());
    });
}

#[test]
fn a_session_fails_if_the_peer_requests_key_updates_without_end() {
    let authority = Authority::new();
    let mut client = Session::native_client(&authority.connector(), "localhost").unwrap();
    let mut server = ServerConnection::new(authority.issue("localhost").server()).unwrap();
    let mut to_client = Vec::new();
    while client.is_handshaking() || server.is_handshaking() {
        let mut to_server = Vec::new();
        while client.has_ciphertext() {
            let write = |slices: &[IoSlice<'_>]| {
                to_server.extend_from_slice(&slices[0]);
                Ok(slices[0].len())
            };
            client.poll_ciphertext(write).unwrap();
        }
        let mut rest = &to_server[..];
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            server.process_new_packets().unwrap();
        }
        to_client.clear();
        while server.wants_write() {
            server.write_tls(&mut to_client).unwrap();
        }
        client.handle_ciphertext(&to_client);
    }
    let mut sent = 0;
    let error = loop {
        server.refresh_traffic_keys().unwrap();
        server.writer().write_all(b"a").unwrap();
        to_client.clear();
        while server.wants_write() {
            server.write_tls(&mut to_client).unwrap();
        }
        client.handle_ciphertext(&to_client);
        sent += 1;
        assert!(sent < 10_000);
        if let Err(error) = client.poll_plaintext(&mut [0; 10]) {
            break error;
        }
    };
    assert!(matches!(&error, TlsError::Failed(_)), "{error:?}");
    assert!(error.to_string().contains("key updates"), "{error}");
    // The session answers many requests before it fails.
    assert!(sent > 1000, "{sent}");
}

/// The program `openssl s_server`, behind a forwarder that records the types of the client's records.
struct OpensslServer {
    process: Child,
    url: String,
    /// The types of the records that the client sends after its request.
    types: Receiver<u8>,
    /// Lets the forwarder send the answers of the server in a renegotiation.
    go_on: Sender<()>,
    _files: [TempFile; 2],
}

impl OpensslServer {
    /// If `holds` is true, the forwarder holds back the answers of the server in a renegotiation until a message is
    /// sent on `go_on`.
    fn start(authority: &Authority, name: &str, holds: bool) -> Self {
        let [certificate, key] = authority.issue("localhost").pem();
        let files = [
            TempFile::new(&format!("{name}-certificate"), Some(&certificate)),
            TempFile::new(&format!("{name}-key"), Some(&key)),
        ];
        let mut process = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-tls1_2", "-naccept", "1", "-cert"])
            .arg(files[0].path())
            .arg("-key")
            .arg(files[1].path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("this test needs the program openssl");
        let mut lines = BufReader::new(process.stdout.take().unwrap());
        let mut next_line = move || {
            let mut line = String::new();
            assert!(lines.read_line(&mut line).unwrap() > 0, "the server has ended");
            line
        };
        let address = loop {
            if let Some(address) = next_line().trim_end().strip_prefix("ACCEPT ") {
                break address.to_owned();
            }
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("wss://localhost:{}/", listener.local_addr().unwrap().port());
        let (sender, types) = channel();
        let (go_on, held) = channel();
        thread::spawn(move || forward(&listener, &address, &sender, holds.then_some(held)));
        let mut input = process.stdin.take().unwrap();
        thread::spawn(move || {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                let line = next_line();
                // The server prints other lines, too.
                if line.starts_with("GET") || !head.is_empty() {
                    head.push_str(&line);
                }
            }
            input.write_all(response(&head).as_bytes()).unwrap();
            // The server treats the first byte of each read from its input as a command. So a pause must separate the
            // response from `r`, which makes the server renegotiate.
            thread::sleep(Duration::from_millis(300));
            input.write_all(b"r\n").unwrap();
            // Keep the input open, because the server ends when its input ends.
            thread::sleep(Duration::from_secs(10));
        });
        Self { process, url, types, go_on, _files: files }
    }

    /// Waits until the client has answered a renegotiation, and ends the server.
    fn check_renegotiation(mut self) {
        loop {
            match self.types.recv_timeout(Duration::from_secs(5)).expect("the client does not answer") {
                HANDSHAKE => break,
                other => assert_eq!(other, DATA),
            }
        }
        // The client sends this message near the end of the second handshake.
        while self.types.recv_timeout(Duration::from_secs(5)).expect("the handshake stops")
            != CHANGE_CIPHER_SPEC
        {}
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

const CHANGE_CIPHER_SPEC: u8 = 20;
const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;

/// Copies bytes between a client and the server at `address`. After the first record with data, sends the types of the
/// client's records to `types`. If `held` is `Some`, the answers of the server in a renegotiation wait for a message on
/// `held`.
fn forward(listener: &TcpListener, address: &str, types: &Sender<u8>, mut held: Option<Receiver<()>>) {
    let mut client = listener.accept().unwrap().0;
    let mut server = TcpStream::connect(address).unwrap();
    let (mut from, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let renegotiates = Arc::new(AtomicBool::new(false));
    let begun = Arc::clone(&renegotiates);
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = from.read(&mut buffer) {
            if begun.load(Ordering::SeqCst) {
                held.take().into_iter().for_each(|held| _ = held.recv());
            }
            let _ = to.write_all(&buffer[..n]);
        }
        let _ = to.shutdown(Shutdown::Both);
    });
    let (mut header, mut had_data) = ([0; 5], false);
    while client.read_exact(&mut header).is_ok() {
        let mut record = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
        client.read_exact(&mut record).unwrap();
        if had_data {
            if header[0] == HANDSHAKE {
                renegotiates.store(true, Ordering::SeqCst);
            }
            let _ = types.send(header[0]);
        }
        had_data |= header[0] == DATA;
        let _ = server.write_all(&[&header[..], &record].concat());
    }
}

#[test]
fn a_client_that_only_receives_answers_a_renegotiation() {
    let authority = Authority::new();
    let connector = authority.connector();

    let server = OpensslServer::start(&authority, "net", false);
    let mut ws = Client::new().native_tls(connector.clone()).connect(&server.url).unwrap();
    let receiving = thread::spawn(move || drop(ws.recv()));
    server.check_renegotiation();
    receiving.join().unwrap();

    let server = OpensslServer::start(&authority, "split", false);
    let ws = Client::new().native_tls(connector.clone()).connect(&server.url).unwrap();
    let (mut reader, writer) = ws.split().unwrap();
    let receiving = thread::spawn(move || drop(reader.recv()));
    server.check_renegotiation();
    receiving.join().unwrap();
    drop(writer);

    let server = OpensslServer::start(&authority, "tokio", false);
    let url = server.url.clone();
    let client = on_tokio::Client::new().native_tls(connector.clone());
    let receiving = thread::spawn(move || {
        let runtime = ::tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { drop(client.connect(&url).await.unwrap().recv().await) });
    });
    server.check_renegotiation();
    receiving.join().unwrap();
}

/// The length of a message that is longer than the 64 KiB that a session keeps.
const MESSAGE_LEN: usize = 200_000;

/// Calls `send` with the URL of a server. `send` receives for a second, in which the renegotiation begins, and then
/// sends a message of [`MESSAGE_LEN`] bytes. The server continues half a second later.
fn send_during_a_renegotiation(authority: &Authority, name: &str, send: impl FnOnce(&str)) {
    let OpensslServer { mut process, url, types, go_on, _files } =
        OpensslServer::start(authority, name, true);
    let continuing = thread::spawn(move || {
        while types.recv_timeout(Duration::from_secs(5)).expect("the client does not answer") != HANDSHAKE {}
        thread::sleep(Duration::from_millis(1500));
        go_on.send(()).unwrap();
        let types: Vec<u8> = std::iter::from_fn(|| types.recv_timeout(Duration::from_secs(1)).ok()).collect();
        types.iter().filter(|found| **found == DATA).count()
    });
    send(&url);
    let records = continuing.join().unwrap();
    process.kill().unwrap();
    process.wait().unwrap();
    assert!(records >= MESSAGE_LEN / (16 << 10), "{records}");
}

#[test]
fn a_message_that_is_sent_during_a_renegotiation_arrives_after_it() {
    let authority = Authority::new();
    let connector = authority.connector();
    let second = Duration::from_secs(1);
    let limit = Duration::from_secs(5);

    send_during_a_renegotiation(&authority, "net-sends", |url| {
        let mut ws = Client::new().native_tls(connector.clone()).connect(url).unwrap();
        ws.recv_timeout(second).unwrap_err();
        let start = std::time::Instant::now();
        ws.send(vec![7; MESSAGE_LEN]).unwrap();
        assert!(start.elapsed() < limit);
    });
    send_during_a_renegotiation(&authority, "split-sends", |url| {
        let ws = Client::new().native_tls(connector.clone()).connect(url).unwrap();
        let (mut reader, mut writer) = ws.split().unwrap();
        reader.recv_timeout(second).unwrap_err();
        let receiving = thread::spawn(move || drop(reader.recv_timeout(limit)));
        writer.send(vec![7; MESSAGE_LEN]).unwrap();
        receiving.join().unwrap();
    });
    send_during_a_renegotiation(&authority, "tokio-sends", |url| {
        let runtime = ::tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let client = on_tokio::Client::new().native_tls(connector.clone());
            let mut ws = client.connect(url).await.unwrap();
            ::tokio::time::timeout(second, ws.recv()).await.unwrap_err();
            ::tokio::time::timeout(limit, ws.send(vec![7; MESSAGE_LEN]))
                .await
                .expect("does not end")
                .unwrap();
        });
    });
}
