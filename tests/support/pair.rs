//! Endpoints under a virtual clock: one alone, or a client and a server joined by a stream of bytes.
//!
//! - [`Scenario`] builds an [`End`] in the state in which a test begins: open, closing, closed or failed.
//! - [`End`] feeds one connection, records its events, and writes its output.
//! - [`Pair`] joins a client and a server, and drives both until nothing happens any more.
//!
//! Time starts at zero and moves only when a test moves it. Nothing sleeps, and every loop has a bound.

use std::collections::VecDeque;
use std::time::Duration;

use hybi::CloseState;
use hybi::frame::{Header, Mask, Opcode};
#[cfg(feature = "deflate")]
use hybi::handshake::DeflateParams;
use hybi::{
    CloseCode, Config, Connection, Event, Input, Instant, MessageBuffer, MessageKind, Outbox, Outcome,
    ProtocolError, Role, SharedConfig, TransportAction, VecMessage, WriteQueue,
};

/// Maximum number of steps of an exchange. No test needs more.
const MAX_STEPS: usize = 200_000;

pub const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub fn at(since_start: Duration) -> Instant {
    Instant::from_origin(since_start)
}

// --- frames ---

/// Encodes a frame of an endpoint in role `from`. A client's masking key is not zero.
pub fn frame(from: Role, opcode: Opcode, fin: bool, payload: &[u8]) -> Vec<u8> {
    frame_with(from, 0, opcode, fin, payload)
}

/// Like [`frame`], with reserved bits.
pub fn frame_with(from: Role, rsv: u8, opcode: Opcode, fin: bool, payload: &[u8]) -> Vec<u8> {
    let masking_key = (from == Role::Client).then_some([0x37, 0xfa, 0x21, 0x3d]);
    let header = Header { fin, rsv, opcode, masking_key, payload_len: payload.len() as u64 };
    let mut bytes = [0; hybi::frame::MAX_HEADER_LEN];
    let len = header.encode(&mut bytes);
    let mut wire = bytes[..len].to_vec();
    wire.extend_from_slice(payload);
    header.mask().apply(&mut wire[len..]);
    wire
}

/// RSV1, which marks the first frame of a compressed message (RFC 7692 section 6).
pub const RSV1: u8 = 4;

/// A frame on the wire, with its payload unmasked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sent {
    pub header: Header,
    pub header_len: usize,
    pub payload: Vec<u8>,
}

/// Splits `wire`, written by an endpoint in role `from`, into frames. Panics if a frame is incomplete, or if its header
/// is not valid for this role. RSV1 is allowed. The order of the frames is not checked.
pub fn parse(from: Role, wire: &[u8]) -> Vec<Sent> {
    let (mut rest, mut frames) = (wire, Vec::new());
    while !rest.is_empty() {
        let (header, header_len) = Header::decode(rest)
            .expect("the endpoint wrote an invalid frame")
            .expect("the last header is incomplete");
        assert_eq!(
            header.masking_key.is_some(),
            from == Role::Client,
            "5.1: a client must mask its frames, and a server must not"
        );
        assert_eq!(header.rsv & !RSV1, 0);
        let end = header_len + usize::try_from(header.payload_len).unwrap();
        assert!(end <= rest.len(), "the last frame is incomplete: {header:?}");
        let mut payload = rest[header_len..end].to_vec();
        Mask::new(header.masking_key.unwrap_or_default()).apply(&mut payload);
        frames.push(Sent { header, header_len, payload });
        rest = &rest[end..];
    }
    frames
}

/// Returns a short form of the frames on the wire: `text Hello`, `text- Hel` for a fragment, `close 1000 bye`. A
/// long or compressed payload is replaced by its length, and a compressed frame begins with `~`: `~text [7]`.
pub fn shown(from: Role, wire: &[u8]) -> Vec<String> {
    parse(from, wire).iter().map(show).collect()
}

fn show(frame: &Sent) -> String {
    let name = match frame.header.opcode {
        Opcode::Continuation => "cont",
        Opcode::Text => "text",
        Opcode::Binary => "binary",
        Opcode::Close => "close",
        Opcode::Ping => "ping",
        Opcode::Pong => "pong",
    };
    let (fin, rsv) = (if frame.header.fin { "" } else { "-" }, frame.header.rsv == RSV1);
    let payload = &frame.payload;
    let body = match frame.header.opcode {
        Opcode::Close => match payload.split_first_chunk::<2>() {
            Some((code, reason)) => {
                format!("{} {}", u16::from_be_bytes(*code), String::from_utf8_lossy(reason))
            }
            None => String::new(),
        },
        _ if payload.len() > 64 || rsv => format!("[{}]", payload.len()),
        _ => String::from_utf8_lossy(payload).into_owned(),
    };
    let compressed = if rsv { "~" } else { "" };
    format!("{compressed}{name}{fin} {body}").trim_end().to_owned()
}

// --- events ---

/// An event with owned data, or the error that ended the events.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Seen {
    Text(String),
    Binary(Vec<u8>),
    Chunk { kind: MessageKind, data: Vec<u8>, first: bool, fin: bool },
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
    Writable,
    Closed(Outcome),
    Failed(ProtocolError),
}

impl From<Event<'_>> for Seen {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Text(text) => Self::Text(text.to_owned()),
            Event::Binary(data) => Self::Binary(data.to_vec()),
            Event::Chunk { kind, data, first, fin } => Self::Chunk { kind, data: data.to_vec(), first, fin },
            Event::Ping(payload) => Self::Ping(payload.to_vec()),
            Event::Pong(payload) => Self::Pong(payload.to_vec()),
            Event::CloseReceived { code, reason } => Self::Close(code.map(CloseCode::get), reason.to_owned()),
            Event::Writable => Self::Writable,
            Event::Closed(outcome) => Self::Closed(outcome),
            _ => panic!("an event that these tests do not know: {event:?}"),
        }
    }
}

pub fn text(text: &str) -> Seen {
    Seen::Text(text.to_owned())
}

pub fn closed_clean(code: u16) -> Seen {
    Seen::Closed(Outcome::Clean { code: CloseCode::new(code) })
}

/// Joins chunks of one message. Returns its data, and whether the last chunk has FIN.
pub fn joined(seen: &[Seen]) -> (Vec<u8>, bool) {
    let (mut all, mut ended) = (Vec::new(), false);
    for (i, event) in seen.iter().enumerate() {
        let Seen::Chunk { data, first, fin, .. } = event else { panic!("{event:?}") };
        assert_eq!((*first, ended), (i == 0, false));
        all.extend(data);
        ended = *fin;
    }
    (all, ended)
}

// --- one endpoint ---

/// One endpoint with its clock, its events and its output.
#[derive(Debug)]
pub struct End<O = Outbox, M = VecMessage> {
    pub conn: Connection<O>,
    pub message: M,
    pub now: Instant,
    /// Events since the last call that returned them.
    pub seen: Vec<Seen>,
    /// All bytes that were ever written.
    pub wire: Vec<u8>,
}

impl<O: WriteQueue, M: MessageBuffer> End<O, M> {
    pub fn new(conn: Connection<O>, message: M) -> Self {
        Self { conn, message, now: Instant::ZERO, seen: Vec::new(), wire: Vec::new() }
    }

    pub fn role(&self) -> Role {
        self.conn.role()
    }

    /// Receives a frame of the peer.
    pub fn receive(&mut self, opcode: Opcode, payload: impl AsRef<[u8]>) -> Vec<Seen> {
        self.receive_part(opcode, true, payload)
    }

    /// Receives a fragment of the peer.
    pub fn receive_part(&mut self, opcode: Opcode, fin: bool, payload: impl AsRef<[u8]>) -> Vec<Seen> {
        let bytes = frame(self.role().peer(), opcode, fin, payload.as_ref());
        self.feed(&bytes)
    }

    /// Receives a Close of the peer.
    pub fn receive_close(&mut self, code: u16, reason: &str) -> Vec<Seen> {
        let mut body = code.to_be_bytes().to_vec();
        body.extend_from_slice(reason.as_bytes());
        self.receive(Opcode::Close, body)
    }

    /// Receives bytes in one read. Returns all events since the last call that returned them.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Seen> {
        self.read(bytes);
        std::mem::take(&mut self.seen)
    }

    /// Receives bytes in reads of at most `size` bytes.
    pub fn feed_in(&mut self, bytes: &[u8], size: usize) -> Vec<Seen> {
        for piece in bytes.chunks(size) {
            self.read(piece);
        }
        std::mem::take(&mut self.seen)
    }

    /// Returns the events that need no input.
    pub fn poll(&mut self) -> Vec<Seen> {
        self.feed(&[])
    }

    fn read(&mut self, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        let mut input = Input::new(&mut bytes, &mut self.message);
        for _ in 0..MAX_STEPS {
            match self.conn.poll_event(self.now, &mut input) {
                Ok(Some(event)) => self.seen.push(event.into()),
                Ok(None) => {
                    assert_eq!(input.remaining(), 0, "poll_event returned None before it consumed all input");
                    return;
                }
                Err(error) => self.seen.push(Seen::Failed(error)),
            }
        }
        panic!("poll_event returns events without end");
    }

    /// Writes at most `max` bytes, and returns them.
    pub fn write(&mut self, max: usize) -> Vec<u8> {
        let waits = self.conn.buffered_amount();
        let mut slices = [&[][..]; 64];
        let count = self.conn.poll_transmit(&mut slices);
        let mut bytes = slices[..count].concat();
        if count < slices.len() {
            assert_eq!(bytes.len(), waits, "buffered_amount differs from the bytes of poll_transmit");
        }
        assert!(slices[..count].iter().all(|slice| !slice.is_empty()));
        bytes.truncate(max);
        self.conn.transmitted(self.now, bytes.len());
        // Writing may have freed space for a keepalive Ping.
        assert!(self.conn.buffered_amount() >= waits - bytes.len());
        self.wire.extend_from_slice(&bytes);
        bytes
    }

    /// Writes all queued output, and returns its frames in short form.
    pub fn flush(&mut self) -> Vec<String> {
        let start = self.wire.len();
        self.write_all();
        shown(self.role(), &self.wire[start..])
    }

    /// Writes all queued output.
    pub fn write_all(&mut self) {
        for _ in 0..MAX_STEPS {
            if self.write(usize::MAX).is_empty() {
                return;
            }
        }
        panic!("poll_transmit returns output without end");
    }

    /// Returns all frames that were ever written, in short form.
    pub fn sent(&self) -> Vec<String> {
        shown(self.role(), &self.wire)
    }

    /// Ends the input, and returns the events.
    pub fn eof(&mut self) -> Vec<Seen> {
        self.conn.handle_eof();
        self.poll()
    }

    /// Lets time pass, and returns the events.
    pub fn advance(&mut self, by: Duration) -> Vec<Seen> {
        self.advance_to(self.now + by)
    }

    /// Moves the time to `now`, and stops at each deadline before that, as a driver does.
    pub fn advance_to(&mut self, now: Instant) -> Vec<Seen> {
        for _ in 0..MAX_STEPS {
            let Some(deadline) = self.conn.poll_timeout().filter(|deadline| *deadline <= now) else {
                self.now = now;
                self.conn.handle_timeout(now);
                return self.poll();
            };
            self.now = deadline.max(self.now);
            self.conn.handle_timeout(self.now);
            assert!(
                self.conn.poll_timeout().is_none_or(|next| next > self.now),
                "handle_timeout left a deadline that is already due"
            );
            self.read(&[]);
        }
        panic!("a handled deadline is always followed by another one");
    }
}

/// Builds an endpoint in the state in which a test begins.
#[derive(Debug)]
pub struct Scenario {
    role: Role,
    config: Config,
    #[cfg(feature = "deflate")]
    agreed: Option<DeflateParams>,
}

impl Scenario {
    pub fn of(role: Role) -> Self {
        Self {
            role,
            config: Config::new(),
            #[cfg(feature = "deflate")]
            agreed: None,
        }
    }

    pub fn server() -> Self {
        Self::of(Role::Server)
    }

    pub fn client() -> Self {
        Self::of(Role::Client)
    }

    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Enables permessage-deflate with the negotiated parameters.
    #[cfg(feature = "deflate")]
    pub fn deflate(mut self, agreed: DeflateParams) -> Self {
        self.agreed = Some(agreed);
        self
    }

    /// Returns an endpoint whose handshake is done.
    pub fn open(self) -> End {
        let conn = connection(self.role, self.config);
        #[cfg(feature = "deflate")]
        let conn = conn.with_deflate(self.agreed);
        End::new(conn, VecMessage::new())
    }

    /// Returns an endpoint that has sent a Close with code 1000 and waits for the peer's Close.
    pub fn closing(self) -> End {
        let mut end = self.open();
        end.conn.close(end.now, CloseCode::NORMAL, "").unwrap();
        end.flush();
        assert_eq!(end.conn.sender().close_state(), CloseState::Sent);
        end
    }

    /// Returns an endpoint that has received a Close with code 1000 and has answered it.
    pub fn answered(self) -> End {
        let mut end = self.open();
        assert_eq!(end.receive_close(1000, ""), [Seen::Close(Some(1000), String::new())]);
        end.flush();
        assert_eq!(end.conn.sender().close_state(), CloseState::Both);
        end
    }

    /// Returns an endpoint that has failed the connection and written its Close.
    pub fn failed(self) -> End {
        let mut end = self.open();
        assert_eq!(end.feed(&[0x83]), [Seen::Failed(ProtocolError::UnknownOpcode(3))]);
        end.flush();
        assert_eq!(end.conn.sender().close_state(), CloseState::Failed);
        end
    }
}

/// Returns a connection in `role`. Its masking keys are the same in each run.
pub fn connection(role: Role, config: impl Into<SharedConfig>) -> Connection {
    match role {
        Role::Server => Connection::server(Instant::ZERO, config, Outbox::new()),
        Role::Client => Connection::client(Instant::ZERO, config, Outbox::new(), [7; 32]),
    }
}

// --- two endpoints ---

/// A client and a server, the bytes between them, and one clock for both.
#[derive(Debug)]
pub struct Pair {
    pub client: End,
    pub server: End,
    /// Maximum number of bytes that each endpoint writes and reads in a step.
    pub cap: usize,
    to_server: Stream,
    to_client: Stream,
}

/// One direction of the transport.
#[derive(Debug, Default)]
struct Stream {
    bytes: VecDeque<u8>,
    /// True after the writer has ended this direction, or after the connection was cut.
    ended: bool,
    /// True after the reader has handled the end of the stream.
    eof_handled: bool,
}

impl Pair {
    pub fn new() -> Self {
        Self::with(Config::new(), Config::new())
    }

    pub fn with(client: Config, server: Config) -> Self {
        Self::of(Scenario::client().config(client), Scenario::server().config(server))
    }

    /// Returns a pair that has negotiated permessage-deflate.
    #[cfg(feature = "deflate")]
    pub fn deflate(client: Config, server: Config, agreed: DeflateParams) -> Self {
        Self::of(
            Scenario::client().config(client).deflate(agreed),
            Scenario::server().config(server).deflate(agreed),
        )
    }

    fn of(client: Scenario, server: Scenario) -> Self {
        Self {
            client: client.open(),
            server: server.open(),
            cap: usize::MAX,
            to_server: Stream::default(),
            to_client: Stream::default(),
        }
    }

    /// Limits each step to `cap` bytes in each direction.
    pub fn cap(mut self, cap: usize) -> Self {
        self.cap = cap;
        self
    }

    pub fn now(&self) -> Instant {
        self.client.now
    }

    /// Lets each endpoint write, perform the action of `poll_transport`, and read once. Returns whether anything
    /// happened.
    pub fn step(&mut self) -> bool {
        let cap = self.cap;
        let client = act(&mut self.client, &mut self.to_server, cap);
        let server = act(&mut self.server, &mut self.to_client, cap);
        let server_read = hear(&mut self.server, &mut self.to_server, cap);
        let client_read = hear(&mut self.client, &mut self.to_client, cap);
        client | server | server_read | client_read
    }

    /// Steps until nothing happens any more.
    pub fn drive(&mut self) {
        for _ in 0..MAX_STEPS {
            if !self.step() {
                return;
            }
        }
        panic!("the endpoints exchange output without end");
    }

    /// Steps until nothing happens, and then moves time to the next deadline. Does this for at most `limit` deadlines,
    /// and returns their number.
    pub fn drive_through(&mut self, limit: usize) -> usize {
        for passed in 0..limit {
            self.drive();
            let deadlines = [self.client.conn.poll_timeout(), self.server.conn.poll_timeout()];
            let Some(next) = deadlines.into_iter().flatten().min() else { return passed };
            self.advance_to(next);
        }
        self.drive();
        limit
    }

    /// Moves the time of both endpoints, and handles due timers.
    pub fn advance_to(&mut self, now: Instant) {
        for end in [&mut self.client, &mut self.server] {
            let mut seen = std::mem::take(&mut end.seen);
            seen.extend(end.advance_to(now));
            end.seen = seen;
        }
    }

    /// Cuts the connection: nothing more arrives in either direction.
    pub fn cut(&mut self) {
        for stream in [&mut self.to_client, &mut self.to_server] {
            stream.bytes.clear();
            stream.ended = true;
        }
    }
}

/// Does the work of a driver for one endpoint, except reading.
fn act(end: &mut End, stream: &mut Stream, cap: usize) -> bool {
    let mut busy = false;
    if !stream.ended {
        let bytes = end.write(cap);
        busy |= !bytes.is_empty();
        stream.bytes.extend(bytes);
    }
    match end.conn.poll_transport() {
        Some(TransportAction::HalfClose) => {
            assert_eq!(end.conn.buffered_amount(), 0, "the stream ends before the queue is written");
            stream.ended = true;
            end.conn.handle_half_closed();
            busy = true;
        }
        Some(TransportAction::Close | TransportAction::Abort) if !stream.ended => {
            stream.ended = true;
            busy = true;
        }
        _ => {}
    }
    busy
}

/// Reads once, or handles the end of the stream. Returns false if there was neither.
fn hear(end: &mut End, stream: &mut Stream, cap: usize) -> bool {
    let len = stream.bytes.len().min(cap);
    if len > 0 {
        let bytes: Vec<u8> = stream.bytes.drain(..len).collect();
        end.read(&bytes);
        return true;
    }
    if stream.ended && !stream.eof_handled {
        stream.eof_handled = true;
        end.conn.handle_eof();
        end.read(&[]);
        return true;
    }
    false
}

/// A generator of small pseudo-random numbers, which are the same in each run.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// Returns a number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n
    }
}
