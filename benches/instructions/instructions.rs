//! Counts the instructions for a message with valgrind. Other processes do not change the counts.
//!
//!     cargo install --locked gungraun-runner@0.20.0
//!     (cd benches/instructions && cargo bench)
//!
//! Each benchmark processes 10,000 messages. So the count for one message is the printed number without its last four
//! digits. The count of the previous run is printed beside it.
//!
//! The cases are those of `benches/peers/`, whose `targets.json` has the required (`must`) and desired (`aim`) counts
//! of some cases. The program fails if a count exceeds its `must`. `benches/peers/callgrind.sh` also counts other
//! libraries. valgrind has no AVX-512, so code that chooses vector instructions at run time uses AVX2.
#![allow(non_snake_case, reason = "the names of the columns are those of the harness")]

use std::hint::black_box;

use gungraun::prelude::*;
use gungraun::{Callgrind, EventKind};
use hybi::frame::{Encoder, MaskingKeys, Opcode, Role};
use hybi::handshake::{HeadLimits, Incoming, ServerHandshake};
use hybi::{Config, Connection, Event, Inbox, Instant, Outbox};

#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "other benches use the rest")]
mod support;
use support::{ascii, mixed};

const COUNT: u64 = 10_000;
const NOW: Instant = Instant::ZERO;

fn connection(role: Role) -> Connection {
    match role {
        Role::Server => Connection::server(NOW, Config::new(), Outbox::new()),
        Role::Client => Connection::client(NOW, Config::new(), Outbox::new(), [1; 32]),
    }
}

// --- receiving: each read fills the read buffer, and every message is inspected ---

struct Receiving {
    wire: Vec<u8>,
    connection: Connection,
    inbox: Inbox,
}

impl Receiving {
    fn new(role: Role, opcode: Opcode, payload: &[u8]) -> Self {
        let mut encoder = match role {
            Role::Server => Encoder::client(MaskingKeys::from_seed([1; 32])),
            Role::Client => Encoder::server(),
        };
        let mut wire = Vec::new();
        for _ in 0..COUNT {
            let at = wire.len();
            wire.resize(at + payload.len() + 14, 0);
            let len = encoder.encode_into(opcode, true, payload, &mut wire[at..]).unwrap();
            wire.truncate(at + len);
        }
        let mut receiving = Self { wire, connection: connection(role), inbox: Inbox::empty() };
        // The first run does all work that happens only once, such as allocating.
        receiving.run();
        receiving
    }

    // This function is kept out of line, so that the program has only one call of `poll_event`, as most programs have.
    // The compiler can then inline that call.
    #[inline(never)]
    fn run(&mut self) {
        let Self { wire, connection, inbox } = self;
        let mut rest = &wire[..];
        while !rest.is_empty() {
            let space = connection.read_space(inbox);
            let (new, later) = rest.split_at(space.len().min(64 << 10).min(rest.len()));
            space[..new.len()].copy_from_slice(new);
            inbox.handle_read(new.len());
            rest = later;
            while let Some(event) = connection.poll_event(NOW, inbox).unwrap() {
                match event {
                    Event::Text(text) => _ = black_box(text),
                    Event::Binary(data) => _ = black_box(data),
                    _ => panic!("the input has only messages"),
                }
            }
        }
    }
}

/// Receives messages that own their data.
struct Owning(Receiving);

impl Owning {
    #[inline(never)]
    fn run(&mut self) {
        let Receiving { wire, connection, inbox } = &mut self.0;
        let mut rest = &wire[..];
        while !rest.is_empty() {
            let space = connection.read_space(inbox);
            let (new, later) = rest.split_at(space.len().min(64 << 10).min(rest.len()));
            space[..new.len()].copy_from_slice(new);
            inbox.handle_read(new.len());
            rest = later;
            while let Some(index) = connection.poll(NOW, inbox).unwrap() {
                _ = black_box(inbox.take_message(index));
            }
        }
    }
}

fn server_owning(size: usize) -> Owning {
    let mut owning = Owning(server_binary(size));
    owning.run();
    owning
}

fn server_binary(size: usize) -> Receiving {
    Receiving::new(Role::Server, Opcode::Binary, &ascii(size))
}

fn server_ascii(size: usize) -> Receiving {
    Receiving::new(Role::Server, Opcode::Text, &ascii(size))
}

fn server_mixed(size: usize) -> Receiving {
    Receiving::new(Role::Server, Opcode::Text, &mixed(size))
}

fn client_binary(size: usize) -> Receiving {
    Receiving::new(Role::Client, Opcode::Binary, &ascii(size))
}

#[library_benchmark]
#[bench::_16B(args = (16), setup = server_binary, config = must(190))]
#[bench::_125B(args = (125), setup = server_binary)]
#[bench::_1KiB(args = (1 << 10), setup = server_binary)]
fn server_recv_binary(mut receiving: Receiving) -> Receiving {
    receiving.run();
    receiving
}

#[library_benchmark]
#[bench::_16B(args = (16), setup = server_ascii)]
#[bench::_1KiB(args = (1 << 10), setup = server_ascii)]
fn server_recv_text_ascii(mut receiving: Receiving) -> Receiving {
    receiving.run();
    receiving
}

#[library_benchmark]
#[bench::_1KiB(args = (1 << 10), setup = server_mixed)]
fn server_recv_text_mixed(mut receiving: Receiving) -> Receiving {
    receiving.run();
    receiving
}

#[library_benchmark]
#[bench::_16B(args = (16), setup = client_binary, config = must(150))]
#[bench::_1KiB(args = (1 << 10), setup = client_binary)]
fn client_recv_binary(mut receiving: Receiving) -> Receiving {
    receiving.run();
    receiving
}

#[library_benchmark]
#[bench::_16B(args = (16), setup = server_owning)]
#[bench::_1KiB(args = (1 << 10), setup = server_owning)]
fn server_recv_owned(mut owning: Owning) -> Owning {
    owning.run();
    owning
}

// --- sending: one write for each message ---

struct Sending {
    payload: Vec<u8>,
    connection: Connection,
}

impl Sending {
    fn new(role: Role, size: usize) -> Self {
        let mut sending = Self { payload: ascii(size), connection: connection(role) };
        sending.run();
        sending
    }

    #[inline(never)]
    fn run(&mut self) {
        for _ in 0..COUNT {
            self.connection.send_binary(&self.payload).unwrap();
            let mut slices = [&[][..]; 4];
            let len = self.connection.poll_transmit(&mut slices);
            let written = slices[..len].iter().map(|slice| black_box(slice).len()).sum();
            self.connection.transmitted(NOW, written);
        }
    }
}

/// Sends messages with `transmit`, which also writes them.
struct Transmitting(Sending);

impl Transmitting {
    fn new(role: Role, size: usize) -> Self {
        let mut transmitting = Self(Sending::new(role, size));
        transmitting.run();
        transmitting
    }

    #[inline(never)]
    fn run(&mut self) {
        let Sending { payload, connection } = &mut self.0;
        for _ in 0..COUNT {
            let write = |slices: &[&[u8]]| slices.iter().map(|slice| black_box(slice).len()).sum();
            connection.transmit_binary(NOW, payload, write).unwrap();
        }
    }
}

fn server(size: usize) -> Sending {
    Sending::new(Role::Server, size)
}

fn client(size: usize) -> Sending {
    Sending::new(Role::Client, size)
}

#[library_benchmark]
#[bench::_16B(args = (16), setup = server, config = must(130))]
#[bench::_1KiB(args = (1 << 10), setup = server)]
fn server_send_binary(mut sending: Sending) -> Sending {
    sending.run();
    sending
}

#[library_benchmark]
#[bench::_16B(args = (16), setup = client)]
#[bench::_1KiB(args = (1 << 10), setup = client)]
fn client_send_binary(mut sending: Sending) -> Sending {
    sending.run();
    sending
}

fn server_transmitting(size: usize) -> Transmitting {
    Transmitting::new(Role::Server, size)
}

fn client_transmitting(size: usize) -> Transmitting {
    Transmitting::new(Role::Client, size)
}

#[library_benchmark]
#[bench::_16B(args = (16), setup = server_transmitting)]
#[bench::_1KiB(args = (1 << 10), setup = server_transmitting)]
fn server_transmit_binary(mut transmitting: Transmitting) -> Transmitting {
    transmitting.run();
    transmitting
}

#[library_benchmark]
#[bench::_16B(args = (16), setup = client_transmitting)]
#[bench::_1KiB(args = (1 << 10), setup = client_transmitting)]
fn client_transmit_binary(mut transmitting: Transmitting) -> Transmitting {
    transmitting.run();
    transmitting
}

// --- the opening handshake ---

/// The request of a browser, 499 bytes.
const REQUEST: &[u8] = b"GET /chat HTTP/1.1\r\n\
    Host: server.example.com:8080\r\n\
    Connection: Upgrade\r\n\
    Pragma: no-cache\r\n\
    Cache-Control: no-cache\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/138.0.0.0 Safari/537.36\r\n\
    Upgrade: websocket\r\n\
    Origin: http://server.example.com:8080\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Accept-Encoding: gzip, deflate\r\n\
    Accept-Language: en-US,en;q=0.9\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";

#[library_benchmark]
#[bench::_499B(REQUEST)]
fn handshake_server(request: &[u8]) {
    for _ in 0..COUNT {
        let mut handshake = ServerHandshake::new(HeadLimits::new());
        let Ok(Some(Incoming::Upgrade(request))) = handshake.poll(black_box(request)) else {
            panic!("the request must be an upgrade");
        };
        let mut response = [0; 512];
        let len = request.accept().write(&mut response).unwrap();
        black_box(&response[..len]);
    }
}

// --- the runner ---

/// Returns a configuration with which a benchmark fails above this number of instructions for a message.
fn must(instructions: u64) -> LibraryBenchmarkConfig {
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(Callgrind::default().hard_limits([(EventKind::Ir, instructions * COUNT)]));
    config
}

library_benchmark_group!(
    name = receive,
    benchmarks = [
        server_recv_binary,
        server_recv_text_ascii,
        server_recv_text_mixed,
        client_recv_binary,
        server_recv_owned
    ]
);
library_benchmark_group!(
    name = send,
    benchmarks = [server_send_binary, client_send_binary, server_transmit_binary, client_transmit_binary]
);
library_benchmark_group!(name = handshake, benchmarks = [handshake_server]);
main!(
    config = LibraryBenchmarkConfig::default()
        // valgrind counts `rep movsb` as one instruction for each byte, so glibc must not use this instruction.
        .env("GLIBC_TUNABLES", "glibc.cpu.x86_rep_movsb_threshold=1000000000")
        .tool(Callgrind::with_args(["--cache-sim=no"]).format([EventKind::Ir])),
    library_benchmark_groups = [receive, send, handshake]
);
