//! Runs a WebSocket server and a client without an allocator. All their memory is borrowed arrays.
//!
//! First the server and the client each receive fixed bytes. Then a server and a client exchange messages with each
//! other.
#![no_std]
#![no_main]

mod rt;

use core::time::Duration;

use hybi::handshake::{ClientHandshake, ClientRequest, HeadLimits, Incoming, Reply, ServerHandshake};
use hybi::{
    CloseCode, Config, Connection, ControlPayload, Event, Input, Instant, MessageKind, SharedConfig,
    SliceMessage, SliceOutbox, TransportAction,
};

fn main() {
    server();
    client();
    both();
}

const NOW: Instant = Instant::ZERO;
/// The seed of the masking keys. It is fixed, so that the output is always the same. A real program must draw it from a
/// source of entropy.
const SEED: [u8; 32] = *b"thirty-two bytes, known to all !";

/// Memory for control frames: for those that wait to be written, and for one that arrives in several reads.
type Control = ([u8; 508], ControlPayload);

const CONTROL: Control = ([0; 508], ControlPayload::EMPTY);

/// One endpoint of a connection, with the memory that it borrows.
struct Peer<'m> {
    name: &'static str,
    machine: Connection<SliceOutbox<'m>>,
    message: SliceMessage<'m>,
    echoes: bool,
}

impl<'m> Peer<'m> {
    fn server(out: &'m mut [u8], message: &'m mut [u8], control: &'m mut Control) -> Self {
        let machine = Connection::server(NOW, SharedConfig::default(), SliceOutbox::new(out, &mut control.0));
        Self { name: "server", machine, message: SliceMessage::new(message, &mut control.1), echoes: true }
    }

    fn client(out: &'m mut [u8], message: &'m mut [u8], control: &'m mut Control) -> Self {
        static PATIENT: Config = Config::new().close_timeout(Some(Duration::from_secs(60)));
        let machine = Connection::client(NOW, &PATIENT, SliceOutbox::new(out, &mut control.0), SEED);
        Self { name: "client", machine, message: SliceMessage::new(message, &mut control.1), echoes: false }
    }

    /// Receives `bytes`, prints all events, and echoes messages.
    fn receive(&mut self, bytes: &mut [u8]) {
        let mut input = Input::new(bytes, &mut self.message);
        loop {
            let event = match self.machine.poll_event(NOW, &mut input) {
                Ok(Some(event)) => event,
                Ok(None) => return,
                Err(error) => {
                    say!("{}: {error}", self.name);
                    continue;
                }
            };
            match event {
                Event::Text(text) => {
                    say!("{}: text {text:?}", self.name);
                    if self.echoes {
                        self.machine.send_text(text).unwrap();
                    }
                }
                Event::Chunk { kind, data, first, fin } => {
                    say!("{}: {} bytes of {kind:?}, first {first}, fin {fin}", self.name, data.len());
                    if self.echoes {
                        self.machine.send_fragment(kind, data, fin).unwrap();
                    }
                }
                Event::Ping(payload) => say!("{}: ping \"{}\"", self.name, payload.escape_ascii()),
                Event::Pong(payload) => say!("{}: pong \"{}\"", self.name, payload.escape_ascii()),
                Event::CloseReceived { code, reason } => {
                    say!("{}: close {} {reason:?}", self.name, code.unwrap_or(CloseCode::NO_STATUS));
                }
                Event::Closed(outcome) => say!("{}: {outcome}", self.name),
                other => panic!("{}: {other:?}", self.name),
            }
        }
    }

    /// Moves the whole write queue to `wire`, and returns its length.
    fn transmit(&mut self, wire: &mut [u8]) -> usize {
        let mut len = 0;
        loop {
            let mut slices = [&[][..]; 2];
            let count = self.machine.poll_transmit(&mut slices);
            let mut moved = 0;
            for slice in &slices[..count] {
                wire[len + moved..][..slice.len()].copy_from_slice(slice);
                moved += slice.len();
            }
            if moved == 0 {
                return len;
            }
            self.machine.transmitted(NOW, moved);
            len += moved;
        }
    }

    fn show_output(&mut self) {
        let mut wire = [0; 1024];
        let len = self.transmit(&mut wire);
        say!("{} writes {:02x?}", self.name, &wire[..len]);
    }

    /// Reports the end of the stream, and checks that the connection ends.
    fn end(&mut self) {
        self.machine.handle_eof();
        self.receive(&mut []);
        assert_eq!(self.machine.poll_transport(), Some(TransportAction::Close));
    }
}

/// Runs a server that receives fixed bytes, among them the examples of RFC 6455 sections 1.2 and 5.7.
fn server() {
    say!("--- server");
    let head = b"GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Origin: http://example.com\r\nSec-WebSocket-Protocol: chat, superchat\r\n\
        Sec-WebSocket-Version: 13\r\n\r\n";
    let mut reply = [0; 256];
    let len = answer(head, 10, &mut reply);
    say!("{}", reply[..len].escape_ascii());

    let (mut out, mut message, mut control) = ([0; 512], [0; 16], CONTROL);
    let mut server = Peer::server(&mut out, &mut message, &mut control);
    // The text "Hello", first in one frame, then in the two fragments of section 5.7 with a Ping between them.
    server.receive(&mut [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
    server.receive(&mut [0x01, 0x83, 0, 0, 0, 0, b'H', b'e']);
    server.receive(&mut [b'l', 0x89, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
    server.receive(&mut [0x80, 0x82, 0, 0, 0, 0, b'l', b'o']);
    server.show_output();
    // This message has two fragments with 24 bytes together. The memory has 16 bytes, so the message is delivered in
    // chunks.
    let mut long = *b"\x02\x8c\0\0\0\0abcdefghijkl\x80\x8c\0\0\0\0mnopqrstuvwx";
    server.receive(&mut long);
    server.show_output();
    // This is a Close with 1000 and "bye".
    server.receive(&mut [0x88, 0x85, 0, 0, 0, 0, 0x03, 0xe8, b'b', b'y', b'e']);
    server.show_output();
    server.end();

    let (mut out, mut message, mut control) = ([0; 512], [0; 16], CONTROL);
    let mut server = Peer::server(&mut out, &mut message, &mut control);
    // This frame is not masked, which is a violation.
    server.receive(&mut [0x81, 0x05, b'H', b'e', b'l', b'l', b'o']);
    server.show_output();
    server.end();
}

/// Answers a request that arrives in pieces, as a server. Writes the response to `reply`, and returns its length.
fn answer(head: &[u8], piece: usize, reply: &mut [u8]) -> usize {
    let mut handshake = ServerHandshake::new(HeadLimits::new());
    for end in (piece..head.len()).step_by(piece) {
        assert!(handshake.poll(&head[..end]).unwrap().is_none());
    }
    let Some(Incoming::Upgrade(request)) = handshake.poll(head).unwrap() else { panic!("not an upgrade") };
    say!("server: request for {} at {}", request.path(), request.host());
    assert_eq!(request.head_len(), head.len());
    request.accept().subprotocol(request.select_subprotocol(&["superchat"])).write(reply).unwrap()
}

/// Runs a client that receives a fixed response and fixed frames.
fn client() {
    say!("--- client");
    let request = ClientRequest::new("server.example.com", "/chat").subprotocols(&["chat"]);
    let mut handshake = ClientHandshake::new(request, *b"the sample nonce", HeadLimits::new()).unwrap();
    let mut out = [0; 256];
    let len = handshake.write(&mut out).unwrap();
    say!("{}", out[..len].escape_ascii());

    let reply = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n\
        \x81\x05Hello";
    let mut forged = ClientHandshake::new(request, *b"another one's...", HeadLimits::new()).unwrap();
    say!("client: forged: {}", forged.poll(reply).unwrap_err());
    assert!(handshake.poll(&reply[..100]).unwrap().is_none());
    let Some(Reply::Open(opened)) = handshake.poll(reply).unwrap() else { panic!("not open") };
    say!("client: open, subprotocol {:?}", opened.subprotocol());

    let (mut out, mut message, mut control) = ([0; 512], [0; 64], CONTROL);
    let mut client = Peer::client(&mut out, &mut message, &mut control);
    let mut first_frame = [0; 7];
    first_frame.copy_from_slice(&reply[opened.head_len()..]);
    client.receive(&mut first_frame);

    client.machine.send_text("Hello").unwrap();
    let mut wire = [0; 64];
    let len = client.transmit(&mut wire);
    let (header, rest) = wire[..len].split_at_mut(2);
    let (key, payload) = rest.split_at_mut(4);
    assert_ne!(key, [0; 4]);
    assert_ne!(payload, b"Hello");
    payload.iter_mut().zip(key.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
    let text = core::str::from_utf8(payload).unwrap();
    say!("client writes {header:02x?}, a masking key, and {text:?} masked with it");

    client.machine.close(NOW, CloseCode::NORMAL, "").unwrap();
    let len = client.transmit(&mut wire);
    assert_eq!((len, &wire[..2]), (8, &[0x88, 0x82][..]));
    client.receive(&mut [0x88, 0x02, 0x03, 0xe8]);
    client.end();
}

/// Runs a server and a client against each other. All bytes arrive in pieces.
fn both() {
    say!("--- both");
    let request = ClientRequest::new("server.example.com", "/both").subprotocols(&["superchat"]);
    let mut handshake = ClientHandshake::new(request, *b"sixteen bytes...", HeadLimits::new()).unwrap();
    let (mut head, mut reply) = ([0; 512], [0; 512]);
    let len = handshake.write(&mut head).unwrap();
    let len = answer(&head[..len], 1, &mut reply);
    let Some(Reply::Open(opened)) = handshake.poll(&reply[..len]).unwrap() else { panic!("not open") };
    say!("client: open, subprotocol {:?}", opened.subprotocol());

    let (mut a, mut b, mut c, mut d) = ([0; 512], [0; 64], [0; 512], [0; 64]);
    let (mut e, mut f) = (CONTROL, CONTROL);
    let (mut server, mut client) =
        (Peer::server(&mut a, &mut b, &mut e), Peer::client(&mut c, &mut d, &mut f));
    for piece in [1, 3, 1000] {
        say!("in pieces of {piece}");
        client.machine.send_text("Grüße, κόσμε").unwrap();
        client.machine.ping(NOW, b"there?").unwrap();
        client.machine.send_fragment(MessageKind::Text, b"two ", false).unwrap();
        client.machine.send_fragment(MessageKind::Text, b"fragments", true).unwrap();
        exchange(&mut client, &mut server, piece);
        exchange(&mut server, &mut client, piece);
    }
    // No byte arrives until the next deadline, so the client sends a keepalive Ping.
    let later = client.machine.poll_timeout().unwrap();
    say!("at {later:?}");
    client.machine.handle_timeout(later);
    exchange(&mut client, &mut server, 4);
    exchange(&mut server, &mut client, 4);

    client.machine.close(NOW, CloseCode::GOING_AWAY, "the end").unwrap();
    exchange(&mut client, &mut server, 2);
    exchange(&mut server, &mut client, 2);
    say!("server: {:?}", server.machine.poll_transport());
    client.end();
    server.end();
    let received = client.machine.received();
    say!("client: {} messages in {} frames", received.messages, received.frames);
}

/// Moves all output of `from` to `to`, in pieces of `piece` bytes.
fn exchange(from: &mut Peer<'_>, to: &mut Peer<'_>, piece: usize) {
    let mut wire = [0; 1024];
    let len = from.transmit(&mut wire);
    for part in wire[..len].chunks_mut(piece) {
        to.receive(part);
    }
}
