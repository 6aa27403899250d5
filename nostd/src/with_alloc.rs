//! Runs a server and a client with an allocator, but without the standard library. The memory for messages and output
//! grows as needed. An idle connection frees its heap memory, except a client's masking keys.
#![no_std]
#![no_main]

extern crate alloc;

mod rt;

use alloc::string::String;
use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use hybi::handshake::{ClientHandshake, ClientRequest, HeadLimits, Incoming, Reply, ServerHandshake, WsUrl};
use hybi::proxy::{Proxy, ProxyAction, ProxyHandshake, ProxyTarget};
use hybi::{CloseCode, Config, Connection, Event, Input, Instant, Message, Outbox, VecMessage};

/// An allocator that returns consecutive blocks of a static array, and counts the bytes in use. It does not reuse
/// memory.
struct Bump {
    next: AtomicUsize,
    used: AtomicUsize,
    memory: UnsafeCell<[u8; SIZE]>,
}

const SIZE: usize = 8 << 20;

// SAFETY: no two blocks overlap, and the counters are atomic.
unsafe impl Sync for Bump {}

// SAFETY: each block is aligned, lies inside the array, and is returned only once.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let base = self.memory.get() as usize;
        let mut start = 0;
        let end = self.next.fetch_update(Relaxed, Relaxed, |next| {
            start = (base + next).next_multiple_of(layout.align()) - base;
            start.checked_add(layout.size()).filter(|&end| end <= SIZE)
        });
        if end.is_err() {
            return core::ptr::null_mut();
        }
        self.used.fetch_add(layout.size(), Relaxed);
        self.memory.get().cast::<u8>().wrapping_add(start)
    }

    unsafe fn dealloc(&self, _: *mut u8, layout: Layout) {
        self.used.fetch_sub(layout.size(), Relaxed);
    }
}

#[global_allocator]
static HEAP: Bump =
    Bump { next: AtomicUsize::new(0), used: AtomicUsize::new(0), memory: UnsafeCell::new([0; SIZE]) };

fn heap() -> usize {
    HEAP.used.load(Relaxed)
}

const NOW: Instant = Instant::ZERO;
const READ: usize = 4096;

struct Peer {
    name: &'static str,
    connection: Connection,
    message: VecMessage,
}

impl Peer {
    fn new(name: &'static str, connection: Connection) -> Self {
        Self { name, connection, message: VecMessage::new() }
    }

    /// Receives the bytes of one read. A server echoes texts. Returns the last whole text.
    fn receive(&mut self, bytes: &mut [u8]) -> Option<Message> {
        let mut whole = None;
        let mut input = Input::new(bytes, &mut self.message);
        while let Some(ready) = self.connection.poll(NOW, &mut input).unwrap() {
            match input.event(ready) {
                Event::Text(text) => {
                    say!("{}: text of {} bytes, {:?}…", self.name, text.len(), &text[..10]);
                    whole = Some(ready);
                    if self.name == "server" {
                        self.connection.send_text(text).unwrap();
                    }
                }
                Event::Binary(data) => say!("{}: {} bytes", self.name, data.len()),
                Event::Ping(payload) => say!("{}: ping \"{}\"", self.name, payload.escape_ascii()),
                Event::Pong(payload) => say!("{}: pong \"{}\"", self.name, payload.escape_ascii()),
                Event::CloseReceived { code, .. } => {
                    say!("{}: close {}", self.name, code.unwrap_or(CloseCode::NO_STATUS));
                }
                Event::Closed(outcome) => say!("{}: {outcome}", self.name),
                other => panic!("{}: {other:?}", self.name),
            }
        }
        self.message.take(whole?)
    }

    fn transmit(&mut self) -> Vec<u8> {
        let mut wire = Vec::new();
        loop {
            let mut slices = [&[][..]; 4];
            let count = self.connection.poll_transmit(&mut slices);
            let before = wire.len();
            slices[..count].iter().for_each(|slice| wire.extend_from_slice(slice));
            if wire.len() == before {
                return wire;
            }
            self.connection.transmitted(NOW, wire.len() - before);
        }
    }
}

/// Moves all output of `from` to `to`, in reads of [`READ`] bytes.
fn exchange(from: &mut Peer, to: &mut Peer) -> Option<Message> {
    let mut whole = None;
    for part in from.transmit().chunks_mut(READ) {
        whole = to.receive(part).or(whole);
    }
    whole
}

fn main() {
    handshake();
    tunnel();
    assert_eq!(heap(), 0);
    let mut server = Peer::new("server", Connection::server(NOW, Config::new(), Outbox::new()));
    let mut client = Peer::new("client", Connection::client(NOW, Config::new(), Outbox::new(), [7; 32]));
    say!("heap of two new connections: {}", heap());

    let text: String = (0u32..20_000).map(|n| char::from_u32('α' as u32 + n % 24).unwrap()).collect();
    client.connection.send_text(&text).unwrap();
    client.connection.ping(NOW, b"overtakes").unwrap();
    exchange(&mut client, &mut server);
    let Some(Message::Text(echo)) = exchange(&mut server, &mut client) else { panic!("no echo") };
    assert_eq!(&*echo, text.as_str());
    say!("client: the echo of a message of {} reads is right", text.len().div_ceil(READ));

    client.connection.send(Message::from(alloc::vec![0xa5; 100_000])).unwrap();
    exchange(&mut client, &mut server);
    drop((text, echo));

    for peer in [&mut server, &mut client] {
        peer.message.release_idle();
        peer.connection.release_idle();
    }
    say!("heap of two idle connections: {}", heap());

    client.connection.close(NOW, CloseCode::NORMAL, "done").unwrap();
    exchange(&mut client, &mut server);
    exchange(&mut server, &mut client);
    for peer in [&mut server, &mut client] {
        peer.connection.handle_eof();
        peer.receive(&mut []);
    }
}

fn handshake() {
    let request = ClientRequest::new("server.example.com", "/");
    let mut client = ClientHandshake::new(request, *b"the sample nonce", HeadLimits::new()).unwrap();
    let head = client.to_vec();
    let mut server = ServerHandshake::new(HeadLimits::new());
    let Some(Incoming::Upgrade(request)) = server.poll(&head).unwrap() else { panic!("not an upgrade") };
    let mut reply = [0; 256];
    let len = request.accept().write(&mut reply).unwrap();
    assert!(matches!(client.poll(&reply[..len]), Ok(Some(Reply::Open(_)))));
    say!("client: open");
}

/// Opens a tunnel through the proxy that the variables name.
fn tunnel() {
    let proxy =
        Proxy::from_variables(|name| (name == "ALL_PROXY").then(|| "socks5h://alice:secret@proxy".into()));
    let url = WsUrl::parse("wss://server.example.com/").unwrap();
    let proxy = proxy.for_url(&url).unwrap().unwrap();
    let mut handshake = ProxyHandshake::new(proxy, ProxyTarget::from_url(&url)).unwrap();
    let mut input = &b"\x05\x02\x01\x00\x05\x00\x00\x01\x7f\x00\x00\x01\x04\x38"[..];
    let mut sent = 0;
    while handshake.receive(&mut input).unwrap() == ProxyAction::Send {
        sent += handshake.bytes_to_send().len();
        handshake.transmitted(usize::MAX);
    }
    assert_eq!(handshake.action(), ProxyAction::Open);
    say!("client: a tunnel is open after {sent} bytes");
}
