//! Helpers: pairs of WebSockets over TCP, and a peer that sends and reads raw bytes.
//!
//! [`Raw`] encodes and decodes frames itself, so the tests do not depend on the crate's codec. Streams in memory
//! are in `memory.rs` and `virtual_stream.rs`.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::panic::resume_unwind;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hybi::adapters::net::{Client, ClientStream, Server, WebSocket};
use hybi::handshake::{HeadLimits, Incoming, ServerHandshake};
use hybi::{Config, Event};

pub type Ws<S = TcpStream> = WebSocket<S>;

/// Runs a test in a thread. The test fails if it takes longer than 30 seconds.
pub fn timed(test: impl FnOnce() + Send + 'static) {
    let (done, wait) = channel();
    let thread = thread::spawn(move || {
        test();
        let _ = done.send(());
    });
    match wait.recv_timeout(Duration::from_secs(30)) {
        Ok(()) => {}
        Err(RecvTimeoutError::Disconnected) => resume_unwind(thread.join().unwrap_err()),
        Err(RecvTimeoutError::Timeout) => panic!("the test did not end within 30 seconds"),
    }
}

pub const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Returns a configuration without Pings. Only the timeouts of closing remain.
pub const fn patient() -> Config {
    Config::new().ping_interval(None).pong_timeout(None)
}

pub fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

pub fn url(address: SocketAddr) -> String {
    format!("ws://{address}/")
}

/// Runs `serve` in a thread with the first connection that arrives.
pub fn serve<T: Send + 'static>(
    serve: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (SocketAddr, JoinHandle<T>) {
    let (listener, address) = listen();
    (address, thread::spawn(move || serve(listener.accept().unwrap().0)))
}

/// Returns the WebSockets of the server and of the client of one connection.
pub fn pair_of(server: Server, client: &Client) -> (Ws, Ws<ClientStream>) {
    let (address, thread) = serve(move |stream| server.accept(stream).unwrap());
    let client = client.connect(&url(address)).unwrap();
    (thread.join().unwrap(), client)
}

/// Returns two WebSockets like [`pair_of`], but with streams of the same type.
pub fn tcp_pair_of(server: Server, client: &Client) -> (Ws, Ws) {
    let (address, thread) = serve(move |stream| server.accept(stream).unwrap());
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let client = client.open_stream(stream, &url(address)).unwrap();
    (thread.join().unwrap(), client)
}

pub fn pair() -> (Ws, Ws<ClientStream>) {
    pair_of(Server::new(), &Client::new())
}

/// Sends each message back, until the connection has ended.
pub fn echo(ws: &mut Ws) {
    while let Some((event, mut answer)) = ws.next_event().unwrap() {
        match event {
            Event::Text(text) => answer.send_text(text).unwrap(),
            Event::Binary(data) => answer.send_binary(data).unwrap(),
            _ => {}
        }
    }
}

/// Encodes a frame that begins with the byte `first`.
pub fn frame(first: u8, masked: bool, payload: &[u8]) -> Vec<u8> {
    let bit = if masked { 0x80 } else { 0 };
    let mut bytes = vec![first];
    match payload.len() {
        len @ ..126 => bytes.push(bit | len as u8),
        len @ 126..=0xFFFF => {
            bytes.push(bit | 126);
            bytes.extend((len as u16).to_be_bytes());
        }
        len => {
            bytes.push(bit | 127);
            bytes.extend((len as u64).to_be_bytes());
        }
    }
    if masked {
        // With a masking key of zeros the payload is unchanged.
        bytes.extend([0; 4]);
    }
    bytes.extend(payload);
    bytes
}

/// Returns the payload of a Close with this code and reason.
pub fn close_body(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

pub const REQUEST: &str = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// Returns the length of the HTTP head at the start of `bytes`, or `None` if the head is incomplete.
pub fn head_len(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// Returns the 101 response to the request in `head`.
pub fn response(head: &[u8]) -> Vec<u8> {
    match ServerHandshake::new(HeadLimits::new()).poll(head) {
        Ok(Some(Incoming::Upgrade(request))) => request.accept().to_vec().unwrap(),
        other => panic!("{other:?}"),
    }
}

/// A peer over TCP that sends and reads raw bytes.
pub struct Raw {
    pub stream: TcpStream,
    masked: bool,
}

impl Raw {
    pub fn new(stream: TcpStream, masked: bool) -> Self {
        stream.set_read_timeout(Some(ms(10_000))).unwrap();
        stream.set_write_timeout(Some(ms(10_000))).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, masked }
    }

    pub fn connect(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect(address).unwrap(), true)
    }

    /// Connects a client and completes its handshake.
    pub fn client(address: SocketAddr) -> Self {
        let mut raw = Self::connect(address);
        raw.write(REQUEST.as_bytes());
        assert!(raw.head().starts_with("HTTP/1.1 101 "));
        raw
    }

    /// Completes a handshake as a server. Writes the bytes in `after` directly after the response.
    pub fn server(stream: TcpStream, after: &[u8]) -> Self {
        let mut raw = Self::new(stream, false);
        let head = raw.head();
        raw.write(&[&response(head.as_bytes()), after].concat());
        raw
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub fn send(&mut self, first: u8, payload: &[u8]) {
        self.write(&frame(first, self.masked, payload));
    }

    /// Reads the head of a request or response, and no byte after the head.
    pub fn head(&mut self) -> String {
        let mut bytes = Vec::new();
        while head_len(&bytes).is_none() {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).unwrap();
            bytes.extend(byte);
        }
        String::from_utf8(bytes).unwrap()
    }

    /// Reads the next frame. Returns its first byte and its payload.
    pub fn frame(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head).unwrap();
        let len = match head[1] & 0x7F {
            126 => {
                let mut len = [0; 2];
                self.stream.read_exact(&mut len).unwrap();
                usize::from(u16::from_be_bytes(len))
            }
            127 => {
                let mut len = [0; 8];
                self.stream.read_exact(&mut len).unwrap();
                usize::try_from(u64::from_be_bytes(len)).unwrap()
            }
            len => usize::from(len),
        };
        let mut mask = [0; 4];
        if head[1] & 0x80 != 0 {
            self.stream.read_exact(&mut mask).unwrap();
        }
        let mut payload = vec![0; len];
        self.stream.read_exact(&mut payload).unwrap();
        for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= key;
        }
        (head[0], payload)
    }

    /// Reads the rest of the stream. A reset fails the test.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).unwrap();
        rest
    }

    /// Reads to the end of the stream. A reset also counts as the end.
    pub fn gone(&mut self) {
        if let Err(error) = std::io::copy(&mut self.stream, &mut std::io::sink()) {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
        }
    }

    pub fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }
}
