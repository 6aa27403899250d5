//! Random conversations with permessage-deflate, and damaged messages.
//!
//! Two endpoints send random messages in both directions at once. Windows have every size, and messages are cut into
//! random fragments and reads. All messages must arrive unchanged, and two independent inflaters must be able to read
//! the bytes on the wire. A damaged message must have the same result for every cut into reads. Single rules are tested
//! in `tests/scenarios/deflate*.rs`.
#![cfg(feature = "deflate")]
#![allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

use hybi::deflate::{Compression, Deflater, Pool};
use hybi::handshake::DeflateParams;
use hybi::{
    Config, Connection, Delivery, Event, Input, Instant, MessageKind, Outbox, Prepared, ProtocolError, Role,
    VecMessage,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::FileFailurePersistence;
use zlib_rs::{Inflate, InflateFlush};

use blocks::{Decoder, TAIL};
use support::cuts::{Cuts, Xorshift};
use support::wire;

#[allow(dead_code, reason = "each target uses a part of it")]
#[path = "support/deflate.rs"]
mod blocks;
mod support;

// --- messages and actions ---

#[derive(Clone, PartialEq, Eq)]
struct Message {
    kind: MessageKind,
    data: Vec<u8>,
}

/// Shows only the beginning of a long message, so that reports of failures stay short.
impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (len, data) = (self.data.len(), &self.data[..self.data.len().min(40)]);
        write!(f, "{:?} of {len} \"{}\"", self.kind, data.escape_ascii())
    }
}

/// An action of one endpoint.
#[derive(Clone, Debug)]
enum Action {
    Send(Message),
    /// Sends a message in fragments, with Pings between some of them.
    Fragments(Message, Vec<(Index, bool)>),
    Prepared(Message),
    /// Sends a message uncompressed.
    Uncompressed(Message),
    /// Writes a message directly to the transport, which accepts at most this number of bytes.
    Transmit(Message, usize),
    Release,
    Ping,
}

impl Action {
    fn message(&self) -> Option<&Message> {
        match self {
            Self::Send(message)
            | Self::Fragments(message, _)
            | Self::Prepared(message)
            | Self::Uncompressed(message)
            | Self::Transmit(message, _) => Some(message),
            Self::Release | Self::Ping => None,
        }
    }
}

#[derive(Clone, Debug)]
struct Side {
    compression: Compression,
    delivery: Delivery,
    pool: bool,
    /// The number of bytes that this endpoint may inflate in one turn.
    budget: Option<u32>,
    actions: Vec<Action>,
}

/// One call of an action, with the data that the call sends.
#[derive(Clone, Copy)]
enum Step<'a> {
    Whole(&'a Message),
    Fragment(MessageKind, &'a [u8], bool),
    Prepared(&'a Message),
    Uncompressed(&'a Message),
    Transmit(&'a Message, usize),
    Release,
    Ping,
}

impl Side {
    fn steps(&self) -> Vec<Step<'_>> {
        let mut steps = Vec::new();
        for action in &self.actions {
            match action {
                Action::Send(message) => steps.push(Step::Whole(message)),
                Action::Prepared(message) => steps.push(Step::Prepared(message)),
                Action::Uncompressed(message) => steps.push(Step::Uncompressed(message)),
                Action::Transmit(message, most) => steps.push(Step::Transmit(message, *most)),
                Action::Release => steps.push(Step::Release),
                Action::Ping => steps.push(Step::Ping),
                Action::Fragments(Message { kind, data }, cuts) => {
                    let mut cuts: Vec<_> =
                        cuts.iter().map(|(at, ping)| (at.index(data.len() + 1), *ping)).collect();
                    cuts.sort_unstable();
                    let mut start = 0;
                    for (at, ping) in cuts {
                        steps.push(Step::Fragment(*kind, &data[start..at], false));
                        // Memory may also be released inside a message.
                        steps.push(if ping { Step::Ping } else { Step::Release });
                        start = at;
                    }
                    steps.push(Step::Fragment(*kind, &data[start..], true));
                }
            }
        }
        steps
    }

    fn messages(&self) -> Vec<&Message> {
        self.actions.iter().filter_map(Action::message).collect()
    }

    fn config(&self, pool: &Pool) -> Config {
        Config::new()
            .compression(self.compression)
            .delivery(self.delivery)
            .high_water(usize::MAX)
            .deflate_pool(self.pool.then(|| pool.clone()))
    }
}

// --- the two endpoints ---

struct End {
    conn: Connection,
    message: VecMessage,
    /// All bytes that were sent to this endpoint. The endpoint has consumed the first `read` bytes.
    incoming: Vec<u8>,
    read: usize,
    /// All bytes that this endpoint wrote.
    wire: Vec<u8>,
    got: Vec<Message>,
    partial: Option<Message>,
    pings: usize,
    budget: Option<u32>,
}

impl End {
    fn new(conn: Connection, params: DeflateParams, budget: Option<u32>) -> Self {
        Self {
            conn: conn.with_deflate(params),
            message: VecMessage::new(),
            incoming: Vec::new(),
            read: 0,
            wire: Vec::new(),
            got: Vec::new(),
            partial: None,
            pings: 0,
            budget,
        }
    }

    /// Performs a step. Returns the bytes that the step wrote directly.
    fn step(&mut self, step: Step<'_>) -> Vec<u8> {
        let mut written = Vec::new();
        match step {
            Step::Whole(Message { kind: MessageKind::Text, data }) => {
                self.conn.send_text(std::str::from_utf8(data).unwrap()).unwrap();
            }
            Step::Whole(Message { data, .. }) => self.conn.send(data.clone()).unwrap(),
            Step::Fragment(kind, data, fin) => self.conn.send_fragment(kind, data, fin).unwrap(),
            Step::Prepared(message) => self.conn.send_prepared(&prepared(message)).unwrap(),
            Step::Uncompressed(Message { kind, data }) => {
                self.conn
                    .send_fragment_with(*kind, data, true, hybi::SendOptions::new().compress(false))
                    .unwrap();
            }
            Step::Transmit(message, most) => {
                let message = owned(message);
                let write = |slices: &[&[u8]]| {
                    written = slices.concat();
                    written.truncate(most);
                    written.len()
                };
                match (&message, most % 2) {
                    (hybi::Message::Text(text), 0) => self.conn.transmit_text(Instant::ZERO, text, write),
                    (hybi::Message::Binary(data), 0) => self.conn.transmit_binary(Instant::ZERO, data, write),
                    (message, _) => self.conn.transmit(Instant::ZERO, message, write),
                }
                .unwrap();
            }
            Step::Release => self.conn.release_compression(),
            // The Ping is refused if the control queue is full.
            Step::Ping => drop(self.conn.ping(Instant::ZERO, b"ping")),
        }
        written
    }

    /// Returns whether polling can make progress.
    fn has_more(&self) -> bool {
        self.read < self.incoming.len() || self.conn.must_poll_again()
    }

    /// Reads the next `len` bytes, or as many as the budget of one turn allows.
    fn take(&mut self, len: usize) -> Result<(), ProtocolError> {
        let len = len.min(self.incoming.len() - self.read);
        let mut bytes = self.incoming[self.read..self.read + len].to_vec();
        let start = self.read;
        self.conn.set_inflate_budget(self.budget);
        let mut input = Input::new(&mut bytes, &mut self.message);
        while let Some(event) = self.conn.poll_event(Instant::ZERO, &mut input)? {
            match event {
                Event::Text(text) => {
                    self.got.push(Message { kind: MessageKind::Text, data: text.as_bytes().to_vec() });
                }
                Event::Binary(data) => {
                    self.got.push(Message { kind: MessageKind::Binary, data: data.to_vec() })
                }
                Event::Chunk { kind, data, first, fin } => {
                    assert_eq!(first, self.partial.is_none());
                    let mut message = self.partial.take().unwrap_or(Message { kind, data: Vec::new() });
                    message.data.extend(data);
                    if fin {
                        self.got.push(message);
                    } else {
                        self.partial = Some(message);
                    }
                }
                Event::Ping(payload) => {
                    assert_eq!(payload, b"ping");
                    self.pings += 1;
                }
                Event::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
        let left = input.remaining();
        self.read += len - left;
        if self.conn.must_poll_again() {
            assert!(self.budget.is_some());
        } else {
            assert_eq!(left, 0);
        }
        // Bytes that were not consumed must be unchanged, because the caller may move them to another buffer.
        assert!(bytes[len - left..] == self.incoming[self.read..start + len]);
        Ok(())
    }
}

fn prepared(message: &Message) -> Prepared {
    Prepared::new(owned(message))
}

fn owned(Message { kind, data }: &Message) -> hybi::Message {
    match kind {
        MessageKind::Text => String::from_utf8(data.clone()).unwrap().into(),
        MessageKind::Binary => data.clone().into(),
    }
}

/// Writes at most `len` bytes of one endpoint to the other.
fn transmit(from: &mut End, to: &mut End, len: usize) {
    let mut slices = [&[][..]; 16];
    let count = from.conn.poll_transmit(&mut slices);
    let mut bytes = slices[..count].concat();
    bytes.truncate(len);
    from.conn.transmitted(Instant::ZERO, bytes.len());
    written(from, to, &bytes);
}

/// Records the bytes that `from` has written, and passes them to `to`.
fn written(from: &mut End, to: &mut End, bytes: &[u8]) {
    to.incoming.extend(bytes);
    from.wire.extend(bytes);
}

/// Runs all actions of both endpoints, with reads and writes of any length between them, and checks the result.
fn talk(params: DeflateParams, sides: [&Side; 2], seed: u64) {
    let pool = Pool::new(1);
    let [client, server] = sides.map(|side| side.config(&pool));
    let mut ends = [
        End::new(Connection::client(Instant::ZERO, client, Outbox::new(), [7; 32]), params, sides[0].budget),
        End::new(Connection::server(Instant::ZERO, server, Outbox::new()), params, sides[1].budget),
    ];
    let mut steps = sides.map(|side| side.steps().into_iter());
    let mut random = Xorshift::new(seed);
    // In half of the runs reads and writes are short.
    let most = if random.below(2) == 0 { 100 } else { 50_000 };
    loop {
        let who = random.below(2);
        let [one, other] = &mut ends;
        let (from, to) = if who == 0 { (one, other) } else { (other, one) };
        match steps[who].next() {
            Some(step) => {
                let bytes = from.step(step);
                written(from, to, &bytes);
            }
            None if steps[1 - who].len() == 0 => break,
            None => {}
        }
        transmit(from, to, random.below(most));
        to.take(random.below(most)).unwrap();
    }
    let [client, server] = &mut ends;
    for _ in 0..4 {
        transmit(client, server, usize::MAX);
        transmit(server, client, usize::MAX);
        while client.has_more() || server.has_more() {
            client.take(1 + random.below(most)).unwrap();
            server.take(1 + random.below(most)).unwrap();
        }
    }
    for (end, side) in [(&*server, sides[0]), (&*client, sides[1])] {
        assert_eq!(end.got.iter().collect::<Vec<_>>(), side.messages());
        let pings = side.steps().iter().filter(|step| matches!(step, Step::Ping)).count();
        // A Ping may have been refused because the control queue was full.
        assert!(end.pings <= pings && (end.pings > 0) == (pings > 0));
    }
    check_wire(client, sides[0], params.client_window_bits(), !params.client_no_context_takeover);
    check_wire(server, sides[1], params.server_window_bits(), !params.server_no_context_takeover);
}

/// Inflates a message with zlib-rs, which keeps its window.
fn inflated(zlib: &mut Inflate, payload: &[u8], len: usize) -> Vec<u8> {
    let mut output = vec![0; len + 1];
    let before = zlib.total_out();
    zlib.decompress(&[payload, &TAIL].concat(), &mut output, InflateFlush::SyncFlush).unwrap();
    output.truncate((zlib.total_out() - before) as usize);
    output
}

/// Inflates the written messages with two inflaters that are independent of the crate.
fn check_wire(end: &End, side: &Side, bits: u8, takeover: bool) {
    let mut decoder = Decoder::new(takeover);
    let mut zlib = Inflate::new(false, 15);
    let mut payload = Vec::new();
    let mut compressed = false;
    let mut messages = side.messages().into_iter();
    for frame in wire::decode(&end.wire).unwrap() {
        assert_eq!(frame.masked, end.conn.role() == Role::Client);
        if frame.first & 0x08 != 0 {
            assert_eq!(frame.first & 0x70, 0);
            continue;
        }
        match frame.first & 0x0F {
            0 => assert_eq!(frame.first & 0x70, 0, "a later frame of a message has RSV1"),
            _ => compressed = frame.first & 0x40 != 0,
        }
        let (fin, whole) = (frame.first & 0x80 != 0, frame.first & 0x8F > 0x80);
        payload.extend(frame.payload);
        if fin {
            let (data, message) = (std::mem::take(&mut payload), messages.next().unwrap());
            if compressed {
                // RFC 7692 6.1: an unfragmented message is sent uncompressed if compression does not shorten it.
                assert!(!whole || data.len() < message.data.len(), "{} bytes for {message:?}", data.len());
                if !takeover {
                    zlib.reset(false);
                }
                assert!(inflated(&mut zlib, &data, message.data.len()) == message.data);
                assert!(decoder.message(&data).expect("the payload is valid DEFLATE data") == message.data);
            } else {
                assert!(data == message.data);
            }
        }
    }
    assert!(messages.next().is_none());
    assert!(decoder.farthest <= 1 << bits, "{} of 2^{bits}", decoder.farthest);
}

// --- random values ---

fn message() -> impl Strategy<Value = Message> {
    let text = prop_oneof![
        vec(any::<char>(), 0..60).prop_map(|text| text.into_iter().collect()),
        "[a-f é€🦀]{0,400}",
        // Long text that repeats earlier data.
        (0..400_usize, "[a-z]{1,9}").prop_map(|(times, word)| {
            (0..times).map(|n| format!("{word} {} ", n * n % 257)).collect::<String>()
        }),
    ];
    let binary = prop_oneof![
        8 => vec(any::<u8>(), 0..600),
        4 => (0..3000_usize, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
        1 => (0..40_000_usize, any::<u64>()).prop_map(|(len, seed)| {
            let mut random = Xorshift::new(seed);
            (0..len).map(|_| random.next() as u8).collect()
        }),
        1 => (0..100_000_usize).prop_map(|len| (0..len).map(|n| (n / 300) as u8).collect()),
        1 => mixture(),
    ];
    prop_oneof![
        text.prop_map(|text| Message { kind: MessageKind::Text, data: text.into_bytes() }),
        binary.prop_map(|data| Message { kind: MessageKind::Binary, data }),
    ]
}

/// Generates data with compressible and incompressible parts. The compressor decides from the beginning of long data
/// whether to compress the data.
fn mixture() -> impl Strategy<Value = Vec<u8>> {
    vec((any::<bool>(), 0..60_000_usize, any::<u64>()), 1..5).prop_map(|parts| {
        let mut data = Vec::new();
        for (compresses, len, seed) in parts {
            let mut random = Xorshift::new(seed);
            data.extend((0..len).map(|n| if compresses { (n / 50) as u8 } else { random.next() as u8 }));
        }
        data
    })
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => message().prop_map(Action::Send),
        3 => (message(), vec(any::<(Index, bool)>(), 0..6)).prop_map(|(m, cuts)| Action::Fragments(m, cuts)),
        1 => message().prop_map(Action::Prepared),
        1 => message().prop_map(Action::Uncompressed),
        2 => (message(), prop_oneof![Just(usize::MAX), Just(0), 0..2000_usize])
            .prop_map(|(message, most)| Action::Transmit(message, most)),
        1 => Just(Action::Release),
        1 => Just(Action::Ping),
    ]
}

fn side() -> impl Strategy<Value = Side> {
    let compression = (0..=9u8, 1..=9u8, prop_oneof![Just(0), Just(64), 0..1000_usize]).prop_map(
        |(level, memory_level, min_size)| {
            Compression::new().level(level).memory_level(memory_level).min_size(min_size)
        },
    );
    let delivery = prop_oneof![Just(Delivery::Whole), Just(Delivery::Chunks)];
    (compression, delivery, any::<bool>(), budget(), vec(action(), 0..12)).prop_map(
        |(compression, delivery, pool, budget, actions)| Side {
            compression,
            delivery,
            pool,
            budget,
            actions,
        },
    )
}

/// Generates a budget of at least one byte, or no budget.
fn budget() -> impl Strategy<Value = Option<u32>> {
    prop_oneof![2 => Just(None), 1 => (1..40_u32).prop_map(Some), 2 => (1..100_000_u32).prop_map(Some)]
}

fn params() -> impl Strategy<Value = DeflateParams> {
    let bits = || proptest::option::of(8..=15u8);
    (any::<(bool, bool)>(), bits(), bits()).prop_map(|((server, client), server_bits, client_bits)| {
        DeflateParams {
            server_no_context_takeover: server,
            client_no_context_takeover: client,
            server_max_window_bits: server_bits,
            client_max_window_bits: client_bits,
        }
    })
}

/// Returns a configuration that stores failing cases beside the source.
fn config_with_files() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config_with_files())]

    #[test]
    fn s7692_7_random_conversations_arrive(params in params(), client in side(), server in side(), seed: u64) {
        talk(params, [&client, &server], seed);
    }

    /// A damaged message causes the same error for every cut into reads. If the message is still valid, its content is
    /// within the limit and equals that of an independent decoder.
    #[test]
    fn s7692_7_2_2_a_damaged_message_fails_the_same_at_any_split(
        message in message(),
        damage in vec((any::<Index>(), any::<u8>()), 0..4),
        cut: Option<Index>,
        level in 0..=9u8,
        limit in prop_oneof![Just(1 << 20), 0..5000_u64],
        budget in budget(),
        seed: u64,
    ) {
        let mut payload = Vec::new();
        let compression = Compression::new().level(level);
        Deflater::new(15, true, &compression).deflate(&message.data, true, &mut payload);
        for (at, byte) in &damage {
            *at.get_mut(&mut payload) = *byte;
        }
        if let Some(cut) = cut {
            payload.truncate(cut.index(payload.len() + 1));
        }
        let first = if message.kind == MessageKind::Text { wire::TEXT } else { wire::BINARY };
        let bytes = wire::encode(first | 0x40, &payload, None);
        let mut random = Xorshift::new(seed);
        let whole = receive(&bytes, &Cuts::Whole, Delivery::Whole, limit, None);
        for cuts in [Cuts::EachByte, Cuts::random(&mut random, bytes.len())] {
            let cut = receive(&bytes, &cuts, Delivery::Whole, limit, budget);
            prop_assert_eq!(&whole, &cut, "{}", cuts);
            let chunks = receive(&bytes, &cuts, Delivery::Chunks, limit, budget);
            prop_assert_eq!(&whole, &chunks, "in chunks, {}", cuts);
        }
        if let Ok(got) = whole {
            let read = Decoder::new(false).message(&payload);
            prop_assert_eq!(read.as_ref(), Some(&got.data));
            prop_assert!(got.data.len() as u64 <= limit);
            prop_assert_eq!(got.kind, message.kind);
        }
    }
}

/// Returns the message that a client receives, or its error.
fn receive(
    bytes: &[u8],
    cuts: &Cuts,
    delivery: Delivery,
    limit: u64,
    budget: Option<u32>,
) -> Result<Message, ProtocolError> {
    let config = Config::new().delivery(delivery).max_message(limit);
    let conn = Connection::client(Instant::ZERO, config, Outbox::new(), [7; 32]);
    let mut end = End::new(conn, DeflateParams::default(), budget);
    end.incoming = bytes.to_vec();
    let mut arrived = 0;
    for len in cuts.pieces(bytes.len()) {
        arrived += len;
        while end.read < arrived || end.conn.must_poll_again() {
            end.take(arrived - end.read)?;
        }
    }
    assert!(end.got.len() == 1 && end.partial.is_none());
    Ok(end.got.remove(0))
}

/// Tests every pair of window sizes, with and without context takeover in each direction.
#[test]
fn s7692_7_1_every_negotiable_combination_works() {
    let mut random = Xorshift::from_name("all that can be agreed on");
    for combination in 0..256usize {
        let [server_bits, client_bits] = [combination % 8, combination / 8 % 8].map(|bits| 8 + bits as u8);
        let params = DeflateParams {
            server_no_context_takeover: combination & 64 != 0,
            client_no_context_takeover: combination & 128 != 0,
            server_max_window_bits: Some(server_bits),
            client_max_window_bits: Some(client_bits),
        };
        let sides = [client_bits, server_bits].map(|bits| some_side(&mut random, bits));
        talk(params, [&sides[0], &sides[1]], random.next());
    }
}

/// Returns an endpoint whose messages repeat data, some of it from inside the window and some from before the window.
fn some_side(random: &mut Xorshift, bits: u8) -> Side {
    let window = (1_usize << bits).min(2000);
    let noise: Vec<u8> = (0..window + 400).map(|_| random.next() as u8).collect();
    let message = |data: &[u8]| Message { kind: MessageKind::Binary, data: data.to_vec() };
    let actions = vec![
        Action::Send(message(&noise[..300])),
        Action::Send(message(&noise)),
        Action::Release,
        Action::Send(message(&noise[100..400])),
        Action::Prepared(message(&[&noise[..200], &noise[..200]].concat())),
        Action::Send(message(&noise[..300])),
        Action::Fragments(message(&noise[..300]), vec![]),
        Action::Uncompressed(message(&noise[..50])),
        Action::Send(message(&[])),
    ];
    let compression =
        Compression::new().level(random.below(10) as u8).memory_level(1 + random.below(9) as u8).min_size(0);
    let delivery = if random.below(2) == 0 { Delivery::Whole } else { Delivery::Chunks };
    let budget = (random.below(2) == 0).then(|| 1 + random.below(3000) as u32);
    Side { compression, delivery, pool: random.below(2) == 0, budget, actions }
}
