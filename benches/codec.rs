//! Receiving and sending without a socket, beside one other implementation: `cargo bench --bench codec`.
//!
//! Each reads the same frames from memory, 16 KiB at a time, and looks at every message. `hybi` hands out
//! borrowed events, `hybi-owned` messages that own their data.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench")]

use std::hint::black_box;
use std::io::{self, Read, Write};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hybi::frame::{Encoder, MaskingKeys, Opcode};
use hybi::{Config, Connection, Event, Inbox, Instant, Outbox};
use tungstenite::protocol::{Role as PeerRole, WebSocket};

const SIZES: [(usize, &str); 4] = [(16, "16B"), (125, "125B"), (1024, "1KiB"), (64 << 10, "64KiB")];
/// About this many bytes of payload are received in one iteration.
const BATCH: usize = 1 << 20;

/// Frames from memory, one read after the other, over and over.
struct Source<'w> {
    wire: &'w [u8],
    at: usize,
}

impl Read for Source<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.at == self.wire.len() {
            self.at = 0;
        }
        let len = to.len().min(16 << 10).min(self.wire.len() - self.at);
        to[..len].copy_from_slice(&self.wire[self.at..self.at + len]);
        self.at += len;
        Ok(len)
    }
}

impl Write for Source<'_> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        Ok(from.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn frames(opcode: Opcode, size: usize, count: usize) -> Vec<u8> {
    let mut encoder = Encoder::client(MaskingKeys::from_seed([1; 32]));
    let payload: Vec<u8> = (b'a'..=b'z').cycle().take(size).collect();
    let mut wire = vec![0; count * (size + 14)];
    let mut len = 0;
    for _ in 0..count {
        len += encoder.encode_into(opcode, true, &payload, &mut wire[len..]).unwrap();
    }
    wire.truncate(len);
    wire
}

fn receive(criterion: &mut Criterion, group: &str, opcode: Opcode) {
    let mut group = criterion.benchmark_group(group);
    for (size, column) in SIZES {
        let count = BATCH / size;
        let wire = frames(opcode, size, count);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(format!("{column}/hybi"), |bencher| {
            bencher.iter(|| {
                let mut source = Source { wire: &wire, at: 0 };
                let mut connection = Connection::server(Instant::ZERO, Config::new(), Outbox::new());
                let (mut inbox, mut seen) = (Inbox::empty(), 0);
                while seen < count {
                    let len = source.read(connection.read_space(&mut inbox)).unwrap();
                    inbox.handle_read(len);
                    while let Some(event) = connection.poll_event(Instant::ZERO, &mut inbox).unwrap() {
                        match event {
                            Event::Text(text) => _ = black_box(text),
                            Event::Binary(data) => _ = black_box(data),
                            _ => {}
                        }
                        seen += 1;
                    }
                }
            });
        });
        group.bench_function(format!("{column}/hybi-owned"), |bencher| {
            bencher.iter(|| {
                let mut source = Source { wire: &wire, at: 0 };
                let mut connection = Connection::server(Instant::ZERO, Config::new(), Outbox::new());
                let (mut inbox, mut seen) = (Inbox::empty(), 0);
                while seen < count {
                    let len = source.read(connection.read_space(&mut inbox)).unwrap();
                    inbox.handle_read(len);
                    while let Some(ready) = connection.poll(Instant::ZERO, &mut inbox).unwrap() {
                        black_box(inbox.take_message(ready));
                        seen += 1;
                    }
                }
            });
        });
        group.bench_function(format!("{column}/tungstenite"), |bencher| {
            bencher.iter(|| {
                let mut socket =
                    WebSocket::from_raw_socket(Source { wire: &wire, at: 0 }, PeerRole::Server, None);
                for _ in 0..count {
                    black_box(socket.read().unwrap());
                }
            });
        });
    }
    group.finish();
}

fn send(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("client-send-binary");
    for (size, column) in SIZES {
        let payload = vec![7; size];
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("{column}/hybi"), |bencher| {
            let mut connection = Connection::client(Instant::ZERO, Config::new(), Outbox::new(), [1; 32]);
            bencher.iter(|| {
                connection.send_binary(&payload).unwrap();
                let mut slices = [&[][..]; 4];
                let len = connection.poll_transmit(&mut slices);
                let total = slices[..len].iter().map(|slice| black_box(slice).len()).sum();
                connection.transmitted(Instant::ZERO, total);
            });
        });
        group.bench_function(format!("{column}/tungstenite"), |bencher| {
            let mut socket = WebSocket::from_raw_socket(Source { wire: &[], at: 0 }, PeerRole::Client, None);
            bencher.iter(|| socket.send(tungstenite::Message::binary(payload.clone())).unwrap());
        });
    }
    group.finish();
}

fn all(criterion: &mut Criterion) {
    receive(criterion, "server-recv-binary", Opcode::Binary);
    receive(criterion, "server-recv-text-ascii", Opcode::Text);
    send(criterion);
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_secs(1))
        .sample_size(20);
    targets = all
}
criterion_main!(benches);
