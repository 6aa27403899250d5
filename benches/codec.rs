//! Receiving and sending without a socket, compared with one other implementation: `cargo bench --bench codec`.
//!
//! The cases are those of `benches/peers/`, which compares more implementations. A contender is an implementation in
//! one configuration. When it receives, it reads the same frames from memory again and again, at most 64 KiB at a time,
//! and inspects every message. When it sends, it flushes each message. `hybi` delivers borrowed events, and
//! `hybi-owned` delivers messages that own their data.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a bench"
)]

use std::hint::black_box;
use std::io::{self, IoSlice, Read, Write};
use std::time::Duration;

use bytes::Bytes;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use hybi::frame::{Encoder, MaskingKeys, Opcode, Role};
use hybi::{Config, Connection, Event, Inbox, Instant, Outbox};
use tungstenite::protocol::{Role as PeerRole, WebSocket};

mod support;
use support::{ascii, column, mixed};

const SIZES: [usize; 6] = [16, 125, 1 << 10, 16 << 10, 64 << 10, 1 << 20];
/// Approximate number of payload bytes received in one iteration.
const BATCH: usize = 1 << 20;
/// A server does not copy `Bytes` of at least this many bytes.
const LARGE: usize = 4 << 10;
const NOW: Instant = Instant::ZERO;

/// A case of receiving: the role of the receiver, the kind of message, and how the messages arrive.
#[derive(Clone, Copy)]
struct Receive {
    group: &'static str,
    role: Role,
    opcode: Opcode,
    payload: fn(usize) -> Vec<u8>,
    /// Maximum length of a fragment.
    fragment: usize,
    /// Maximum number of bytes of one read.
    read: usize,
}

/// An endless stream of the same frames from memory, in reads of a fixed size. Written bytes are passed to
/// `black_box`.
struct Stream<'w> {
    wire: &'w [u8],
    at: usize,
    read: usize,
}

impl Read for Stream<'_> {
    #[inline]
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.at == self.wire.len() {
            self.at = 0;
        }
        let len = to.len().min(self.read).min(self.wire.len() - self.at);
        to[..len].copy_from_slice(&self.wire[self.at..self.at + len]);
        self.at += len;
        Ok(len)
    }
}

impl Write for Stream<'_> {
    #[inline]
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        Ok(black_box(from).len())
    }

    #[inline]
    fn write_vectored(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(from.iter().map(|slice| black_box(slice).len()).sum())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn connection(role: Role) -> Connection {
    match role {
        Role::Server => Connection::server(NOW, Config::new(), Outbox::new()),
        Role::Client => Connection::client(NOW, Config::new(), Outbox::new(), [1; 32]),
    }
}

fn peer(role: Role, stream: Stream<'_>) -> WebSocket<Stream<'_>> {
    let role = match role {
        Role::Server => PeerRole::Server,
        Role::Client => PeerRole::Client,
    };
    WebSocket::from_raw_socket(stream, role, None)
}

fn throughput(group: &mut BenchmarkGroup<'_, WallTime>, messages: usize, size: usize) {
    let (elements, bytes) = (messages as u64, (messages * size) as u64);
    group.throughput(Throughput::ElementsAndBytes { elements, bytes });
}

/// Returns the frames of `count` messages, as the peer of the receiver sends them.
fn frames(cell: &Receive, size: usize, count: usize) -> Vec<u8> {
    let mut encoder = match cell.role {
        Role::Server => Encoder::client(MaskingKeys::from_seed([1; 32])),
        Role::Client => Encoder::server(),
    };
    let payload = (cell.payload)(size);
    let (mut wire, last) = (Vec::new(), size.div_ceil(cell.fragment) - 1);
    for _ in 0..count {
        for (at, fragment) in payload.chunks(cell.fragment).enumerate() {
            let opcode = if at == 0 { cell.opcode } else { Opcode::Continuation };
            let start = wire.len();
            wire.resize(start + fragment.len() + 14, 0);
            let len = encoder.encode_into(opcode, at == last, fragment, &mut wire[start..]).unwrap();
            wire.truncate(start + len);
        }
    }
    wire
}

fn receive(criterion: &mut Criterion, cell: Receive, sizes: &[usize]) {
    let mut group = criterion.benchmark_group(cell.group);
    for &size in sizes {
        let (count, column) = ((BATCH / size).max(1), column(size));
        let wire = frames(&cell, size, count);
        let stream = || Stream { wire: &wire, at: 0, read: cell.read };
        throughput(&mut group, count, size);
        group.bench_function(format!("{column}/hybi"), |bencher| {
            let (mut stream, mut connection) = (stream(), connection(cell.role));
            let mut inbox = Inbox::empty();
            bencher.iter(|| {
                let mut seen = 0;
                while seen < count {
                    let len = stream.read(connection.read_space(&mut inbox)).unwrap();
                    inbox.handle_read(len);
                    while let Some(event) = connection.poll_event(NOW, &mut inbox).unwrap() {
                        match event {
                            Event::Text(text) => _ = black_box(text),
                            Event::Binary(data) => _ = black_box(data),
                            _ => continue,
                        }
                        seen += 1;
                    }
                }
            });
        });
        group.bench_function(format!("{column}/hybi-owned"), |bencher| {
            let (mut stream, mut connection) = (stream(), connection(cell.role));
            let mut inbox = Inbox::empty();
            bencher.iter(|| {
                let mut seen = 0;
                while seen < count {
                    let len = stream.read(connection.read_space(&mut inbox)).unwrap();
                    inbox.handle_read(len);
                    while let Some(ready) = connection.poll(NOW, &mut inbox).unwrap() {
                        black_box(inbox.take_message(ready).unwrap());
                        seen += 1;
                    }
                }
            });
        });
        group.bench_function(format!("{column}/tungstenite"), |bencher| {
            let mut socket = peer(cell.role, stream());
            bencher.iter(|| {
                for _ in 0..count {
                    black_box(socket.read().unwrap());
                }
            });
        });
    }
    group.finish();
}

fn send(criterion: &mut Criterion, group: &str, role: Role, sizes: &[usize]) {
    let mut group = criterion.benchmark_group(group);
    for &size in sizes {
        let (payload, column) = (Bytes::from(ascii(size)), column(size));
        let stream = || Stream { wire: &[], at: 0, read: 0 };
        let flush = |connection: &mut Connection, stream: &mut Stream<'_>| {
            let mut slices = [&[][..]; 4];
            let len = connection.poll_transmit(&mut slices);
            let vectors = slices.map(IoSlice::new);
            let written = stream.write_vectored(&vectors[..len]).unwrap();
            connection.transmitted(NOW, written);
        };
        throughput(&mut group, 1, size);
        group.bench_function(format!("{column}/hybi"), |bencher| {
            let (mut stream, mut connection) = (stream(), connection(role));
            let shared = role == Role::Server && size >= LARGE;
            bencher.iter(|| {
                if shared {
                    connection.send(payload.clone()).unwrap();
                } else {
                    connection.send_binary(&payload).unwrap();
                }
                flush(&mut connection, &mut stream);
            });
        });
        group.bench_function(format!("{column}/hybi-owned"), |bencher| {
            let (mut stream, mut connection) = (stream(), connection(role));
            bencher.iter(|| {
                connection.send(payload.clone()).unwrap();
                flush(&mut connection, &mut stream);
            });
        });
        group.bench_function(format!("{column}/tungstenite"), |bencher| {
            let mut socket = peer(role, stream());
            bencher.iter(|| socket.send(tungstenite::Message::Binary(payload.clone())).unwrap());
        });
    }
    group.finish();
}

fn all(criterion: &mut Criterion) {
    let binary = Receive {
        group: "server-recv-binary",
        role: Role::Server,
        opcode: Opcode::Binary,
        payload: ascii,
        fragment: usize::MAX,
        read: 64 << 10,
    };
    let text = Receive { group: "server-recv-text-ascii", opcode: Opcode::Text, ..binary };
    receive(criterion, binary, &SIZES);
    receive(criterion, text, &SIZES);
    let cell = Receive { group: "server-recv-text-mixed", payload: mixed, ..text };
    receive(criterion, cell, &[1 << 10, 64 << 10, 1 << 20]);
    receive(criterion, Receive { group: "client-recv-binary", role: Role::Client, ..binary }, &SIZES);
    let group = "server-recv-text-64KiB-in-1KiB-fragments";
    receive(criterion, Receive { group, fragment: 1 << 10, ..text }, &[64 << 10]);
    let cell = Receive { group: "server-recv-binary-1500B-reads", read: 1500, ..binary };
    receive(criterion, cell, &[16, 1 << 10, 64 << 10]);
    send(criterion, "server-send-binary", Role::Server, &SIZES);
    send(criterion, "client-send-binary", Role::Client, &SIZES);
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20);
    targets = all
}
criterion_main!(benches);
