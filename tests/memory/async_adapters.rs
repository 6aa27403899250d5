//! Memory of an asynchronous WebSocket that waits, and of the thread-local pool.
//!
//! The stream has no memory of its own, so everything that is measured belongs to the WebSocket, its task, or the
//! pool.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hybi::Event;
use hybi::adapters::tokio::{Client, Server, WebSocket};
use hybi::frame::Opcode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time;

use super::{KIB, live};

/// A stream without memory of its own: its input is static, and its output is discarded.
#[derive(Debug)]
struct Stream {
    arrived: &'static [u8],
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (now, later) = self.arrived.split_at(self.arrived.len().min(to.remaining()));
        if now.is_empty() {
            return Poll::Pending;
        }
        to.put_slice(now);
        self.arrived = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(from.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A request as Chromium sends it.
const CHROMIUM: &[u8] = b"GET /chat HTTP/1.1\r\nHost: server.example.com:9001\r\nConnection: Upgrade\r\n\
    Pragma: no-cache\r\nCache-Control: no-cache\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36\r\n\
    Upgrade: websocket\r\nOrigin: http://server.example.com:9001\r\nSec-WebSocket-Version: 13\r\n\
    Accept-Encoding: gzip, deflate\r\nAccept-Language: en-US,en;q=0.9\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";

/// "Hello" as RFC 6455 section 5.7 prints it.
const HELLO: &[u8] = &[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];

/// A request that has only the headers which RFC 6455 section 4.1 requires.
const SHORT: &[u8] =
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1:9001\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

const CONNECTIONS: usize = 64;

pub fn memory() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(a_connection_that_waits_holds_less_than_a_kibibyte());
    runtime.block_on(halves_that_wait_hold_little_more_memory());
    runtime.block_on(the_futures_of_a_task_are_small());
    let paused =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    paused.block_on(memory_for_the_rest_of_a_message_is_kept_for_a_second());
    // The pool and the counts of memory belong to a thread. In a new thread the pool is empty and the counts are zero.
    std::thread::spawn(a_thread_keeps_buffers_up_to_a_limit).join().unwrap();
}

/// The input of the streams, which must live as long as the program.
static ARRIVED: Mutex<Vec<&[u8]>> = Mutex::new(Vec::new());

fn a_thread_keeps_buffers_up_to_a_limit() {
    const MIB: isize = 1 << 20;
    let wire = |len: usize, fragment: usize| {
        let mut wire = Vec::new();
        for at in (0..len).step_by(fragment) {
            let (fin, len) = (at + fragment >= len, fragment.min(len - at));
            let opcode = if at == 0 { Opcode::Binary } else { Opcode::Continuation };
            let mut head = [0; 14];
            let head_len = super::header(opcode, fin, len as u64, &mut head);
            wire.extend_from_slice(&head[..head_len]);
            wire.resize(wire.len() + len, 0);
        }
        let wire = &*Box::leak(wire.into_boxed_slice());
        // Without this reference the address sanitizer would report the memory as a leak.
        ARRIVED.lock().unwrap().push(wire);
        wire
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let mut ws = echoed(&Server::new(), SHORT).await;
        let mut before = live();
        for (size, fragment, kept) in [
            (1 << 20, 1 << 20, true),
            (3 << 20, 3 << 20, false),
            (1 << 20, 100_000, true),
            (3 << 20, 100_000, false),
            (1 << 20, 1 << 20, true),
        ] {
            let arrived = wire(size, fragment);
            before += arrived.len() as isize;
            ws.stream_mut().arrived = arrived;
            let (event, _) = ws.next_event().await.unwrap().unwrap();
            assert!(matches!(event, Event::Binary(data) if data.len() == size));
            waits(ws.recv());
            let held = live() - before;
            println!("kept after {size} bytes in fragments of {fragment}: {held}");
            // The pool always keeps small buffers too, so `held` is compared with half a MiB and not with zero.
            assert_eq!(held > MIB / 2, kept, "{held} after {size} in fragments of {fragment}");
            assert!(held <= 2 * 2 * MIB);
        }
    });
}

/// The limit includes the timer of the connection, and the headers of the request, which the connection keeps.
async fn a_connection_that_waits_holds_less_than_a_kibibyte() {
    let server = Server::new();
    // The first connection fills the thread-local pool, so this connection is not measured.
    drop(echoed(&server, SHORT).await);
    for request in [SHORT, CHROMIUM] {
        let before = live();
        let mut all = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            all.push(echoed(&server, request).await);
        }
        let each = |before| (live() - before) / CONNECTIONS as isize;
        println!("asynchronous, a request of {}: {} each", request.len(), each(before));
        if request == SHORT {
            assert!(each(before) <= KIB);
        }
        all.iter_mut().for_each(WebSocket::forget_headers);
        println!("without the headers: {}", each(before));
        assert!(each(before) <= KIB * 7 / 8);
    }
}

async fn halves_that_wait_hold_little_more_memory() {
    let server = Server::new();
    let before = live();
    let mut all = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        let ws = echoed(&server, CHROMIUM).await;
        let (mut reader, writer) = ws.split();
        waits(reader.recv());
        all.push((reader, writer));
    }
    let each = (live() - before) / CONNECTIONS as isize;
    println!("in halves: {each} each");
    assert!(each <= KIB + KIB / 8);
}

const LARGE: usize = 1 << 20;

/// A binary message of zeros. Its masking key is zero too.
static WIRE: [u8; 14 + LARGE] = {
    let mut wire = [0; 14 + LARGE];
    // FIN and the opcode, the mask bit with a length of 64 bits, and bit 20 of that length.
    (wire[0], wire[1], wire[7]) = (0x82, 0xFF, 0x10);
    wire
};

/// A part of a message has arrived. The memory for the rest is freed after one second of waiting. The test runs on a
/// whole WebSocket and on a reader half.
async fn memory_for_the_rest_of_a_message_is_kept_for_a_second() {
    let server = Server::new();
    let (head, rest) = WIRE.split_at(100_000);
    for halves in [false, true] {
        let mut ws = echoed(&server, SHORT).await;
        ws.stream_mut().arrived = &WIRE;
        let message = ws.recv().await.unwrap().unwrap();
        assert_eq!(message.as_bytes().len(), LARGE);
        drop(message);
        ws.stream_mut().arrived = head;
        // The stream wakes no task, so only the WebSocket's own timer can cause the poll that frees the memory.
        let later = async {
            time::sleep(Duration::from_millis(10)).await;
            let held = live();
            time::sleep(Duration::from_secs(1)).await;
            held - live()
        };
        let wait = Duration::from_secs(2);
        let released = if halves {
            let (mut reader, _writer) = ws.split();
            let (received, released) = tokio::join!(time::timeout(wait, reader.recv()), later);
            received.unwrap_err();
            released
        } else {
            let (received, released) = tokio::join!(time::timeout(wait, ws.recv()), later);
            received.unwrap_err();
            ws.stream_mut().arrived = rest;
            assert_eq!(ws.recv().await.unwrap().unwrap().as_bytes().len(), LARGE);
            released
        };
        println!("for the rest of a message, released after a second: {released}");
        assert!((900_000..=(LARGE - head.len()) as isize + 1000).contains(&released));
    }
}

/// A task stores its future as long as it runs, so each byte of the future adds to the memory of a connection.
async fn the_futures_of_a_task_are_small() {
    async fn echo(ws: &mut WebSocket<Stream>) -> Result<(), hybi::adapters::tokio::Error> {
        while let Some((event, mut answer)) = ws.next_event().await? {
            if let Event::Text(text) = event {
                answer.send_text(text).await?;
            }
        }
        Ok(())
    }

    let server = Server::new();
    let accepting = size_of_val(&server.accept(Stream { arrived: SHORT }));
    let client = Client::new();
    let opening = size_of_val(&client.open(Stream { arrived: SHORT }, "ws://a/"));
    let connecting = size_of_val(&client.connect("ws://a/"));
    let mut ws = echoed(&server, SHORT).await;
    let next = size_of_val(&ws.next_event());
    let recv = size_of_val(&ws.recv());
    let send = size_of_val(&ws.responder().send_text("Hello"));
    let loops = size_of_val(&echo(&mut ws));
    let close = size_of_val(&ws.wait_closed());
    println!("accept {accepting}, open {opening}, connect {connecting}");
    #[cfg(feature = "rustls")]
    the_futures_of_tls_are_small(&server, &client);
    println!("next {next}, recv {recv}, send {send}, a loop {loops}, to the end {close}");
    assert!(accepting <= 128);
    assert!(opening.max(connecting) <= 96);
    assert!(next.max(recv).max(close) <= 32);
    assert!(send <= 64);
    // The limit shows that the loop does not store an event while it waits for the next one.
    assert!(loops <= 280);
}

#[cfg(feature = "rustls")]
fn the_futures_of_tls_are_small(server: &Server, client: &Client) {
    use hybi::tls::ServerConfig;
    use hybi::tls::rustls::server::ResolvesServerCertUsingSni;

    let Ok(provider) = hybi::tls::crypto_provider() else { return };
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let resolver = std::sync::Arc::new(ResolvesServerCertUsingSni::new());
    let config = config.with_no_client_auth().with_cert_resolver(resolver);
    let accepting = size_of_val(&server.accept_tls(config.into(), Stream { arrived: SHORT }));
    let opening = size_of_val(&client.open_tls(Stream { arrived: SHORT }, "wss://a/"));
    println!("over TLS: accept {accepting}, open {opening}");
    assert!(accepting <= 192 && opening <= 96);
}

fn waits<T>(future: impl Future<Output = T>) {
    assert!(pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

/// Returns a connection that has echoed one message and waits for another.
async fn echoed(server: &Server, request: &'static [u8]) -> WebSocket<Stream> {
    let mut ws = server.accept(Stream { arrived: request }).await.unwrap();
    ws.stream_mut().arrived = HELLO;
    let (event, mut answer) = ws.next_event().await.unwrap().unwrap();
    let Event::Text(text) = event else { panic!("{event:?}") };
    answer.send_text(text).await.unwrap();
    waits(ws.recv());
    ws
}
