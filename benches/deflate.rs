//! Compares the compression of hybi with zlib-rs alone, and prints compressed sizes: `cargo bench --features deflate
//! --bench deflate`.
//!
//! The messages resemble JSON, and each is different. The context is taken over from message to message. `hybi`
//! measures the whole path: from frames in memory to validated text, and from text to frames. `zlib-rs` measures one
//! call of the library, with memory that was allocated before. First the program prints a table of the sizes, which are
//! the same on every machine.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a bench"
)]

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use hybi::deflate::{Compression, Deflater};
use hybi::handshake::DeflateParams;
use hybi::{Config, Connection, Event, Inbox, Instant, Outbox};
use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Inflate, InflateFlush};

const SIZES: [(usize, &str); 2] = [(1024, "1KiB"), (64 << 10, "64KiB")];
/// Number of payload bytes in a batch. It is larger than the window of compression. So a batch that is repeated cannot
/// be compressed by references to the previous repetition.
const BATCH: usize = 256 << 10;
const NOW: Instant = Instant::ZERO;

/// Returns a batch of messages of `size` bytes: objects like those of a market feed.
fn messages(size: usize) -> Vec<String> {
    let mut random = 88_172_645_463_325_252_u64;
    let mut next = |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let mut message = || {
        let mut text = String::new();
        while text.len() < size {
            let (side, venue) = (["buy", "sell"], ["north", "south", "east", "west"]);
            text += &format!(
                r#"{{"id":{},"user":"user{}","side":"{}","venue":"{}","price":{}.{:02},"open":{},"at":17{:08}}},"#,
                next(100_000_000),
                next(5000),
                side[next(2) as usize],
                venue[next(4) as usize],
                next(300),
                next(100),
                next(2) == 0,
                next(100_000_000),
            );
        }
        text.truncate(size);
        text
    };
    (0..BATCH / size).map(|_| message()).collect()
}

fn connection(compression: Compression, params: DeflateParams) -> Connection {
    let config = Config::new().compression(compression).high_water(usize::MAX);
    Connection::server(NOW, config, Outbox::new()).with_deflate(params)
}

/// Discards the queued output. Returns its length.
fn drain(connection: &mut Connection) -> usize {
    let mut slices = [&[][..]; 4];
    let len = connection.poll_transmit(&mut slices);
    let total = slices[..len].iter().map(|slice| black_box(slice).len()).sum();
    connection.transmitted(NOW, total);
    total
}

/// Returns all messages as frames, and their payloads with the tail 00 00 FF FF that is not sent.
fn compressed(messages: &[String]) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let mut sender = connection(Compression::new(), DeflateParams::default());
    let mut deflater = Deflater::new(15, true, &Compression::new());
    let (mut frames, mut payloads) = (Vec::new(), Vec::new());
    for message in messages {
        sender.send_text(message).unwrap();
        let mut slices = [&[][..]; 4];
        let len = sender.poll_transmit(&mut slices);
        frames.push(slices[..len].concat());
        drain(&mut sender);
        let mut payload = Vec::new();
        deflater.deflate(message.as_bytes(), true, &mut payload);
        payload.extend([0, 0, 0xFF, 0xFF]);
        payloads.push(payload);
    }
    (frames, payloads)
}

fn inflate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("inflate");
    for (size, column) in SIZES {
        let messages = messages(size);
        let (frames, payloads) = compressed(&messages);
        group.throughput(Throughput::Bytes((messages.len() * size) as u64));
        let mut client = Connection::client(NOW, Config::new(), Outbox::new(), [1; 32])
            .with_deflate(DeflateParams::default());
        let mut inbox = Inbox::empty();
        group.bench_function(format!("{column}/hybi"), |bencher| {
            bencher.iter(|| {
                let (mut rest, mut seen) = (frames.iter().peekable(), 0);
                while rest.peek().is_some() {
                    // Fill the read space with as many whole frames as fit.
                    let (space, mut len) = (client.read_space(&mut inbox), 0);
                    while let Some(frame) = rest.next_if(|frame| len + frame.len() <= space.len()) {
                        space[len..len + frame.len()].copy_from_slice(frame);
                        len += frame.len();
                    }
                    inbox.handle_read(len);
                    while let Some(event) = client.poll_event(NOW, &mut inbox).unwrap() {
                        let Event::Text(text) = event else { panic!("only text was sent") };
                        seen += black_box(text).len();
                    }
                }
                assert_eq!(seen, messages.len() * size);
            });
        });
        let (mut zlib, mut space) = (Inflate::new(false, 15), vec![0; size + 512]);
        group.bench_function(format!("{column}/zlib-rs"), |bencher| {
            bencher.iter(|| {
                for payload in &payloads {
                    zlib.decompress(payload, &mut space, InflateFlush::SyncFlush).unwrap();
                    black_box(&space);
                }
            });
        });
    }
    group.finish();
}

fn deflate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("deflate");
    for (size, column) in SIZES {
        let messages = messages(size);
        group.throughput(Throughput::Bytes((messages.len() * size) as u64));
        let mut server = connection(Compression::new(), DeflateParams::default());
        group.bench_function(format!("{column}/hybi"), |bencher| {
            bencher.iter(|| {
                for message in &messages {
                    server.send_text(message).unwrap();
                    drain(&mut server);
                }
            });
        });
        let Compression { level, memory_level, .. } = Compression::new();
        let mut zlib = Deflate::new_with_config(DeflateConfig {
            level: level.into(),
            window_bits: -15,
            mem_level: memory_level.into(),
            ..DeflateConfig::default()
        });
        let mut space = vec![0; size + 512];
        group.bench_function(format!("{column}/zlib-rs"), |bencher| {
            bencher.iter(|| {
                for message in &messages {
                    zlib.compress(message.as_bytes(), &mut space, DeflateFlush::SyncFlush).unwrap();
                    black_box(&space);
                }
            });
        });
    }
    group.finish();
}

/// Measures the time of each setting.
fn cost(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("send-1KiB");
    let messages = messages(1024);
    group.throughput(Throughput::Bytes((messages.len() * 1024) as u64));
    let mut run = |name: String, mut server: Connection| {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for message in &messages {
                    server.send_text(message).unwrap();
                    drain(&mut server);
                }
            });
        });
    };
    run("uncompressed".into(), Connection::server(NOW, Config::new(), Outbox::new()));
    for (level, takeover) in SETTINGS {
        let params = DeflateParams { server_no_context_takeover: !takeover, ..DeflateParams::default() };
        let name = format!("level-{level}{}", if takeover { "" } else { "-no-takeover" });
        run(name, connection(Compression::new().level(level), params));
    }
    group.finish();
}

/// Compression levels, and whether the context is taken over.
const SETTINGS: [(u8, bool); 7] =
    [(1, true), (2, true), (3, true), (4, true), (6, true), (9, true), (6, false)];

/// Prints how many bytes are sent for 100 bytes of messages, headers included.
fn sizes() {
    println!("bytes sent for 100 bytes of messages of    180 B    1 KiB   64 KiB");
    let table = |name: &str, compression: Compression, params: DeflateParams| {
        print!("{name:38}");
        for size in [180, 1024, 64 << 10] {
            let mut server = connection(compression, params);
            let sent: usize = messages(size)
                .iter()
                .map(|message| {
                    server.send_text(message).unwrap();
                    drain(&mut server)
                })
                .sum();
            print!("{:9.1}", 100.0 * sent as f64 / (BATCH / size * size) as f64);
        }
        println!();
    };
    let (usual, params) = (Compression::new(), DeflateParams::default());
    for level in [1, 2, 3, 4, 6, 9] {
        table(&format!("level {level}"), usual.level(level), params);
    }
    for bits in 9..=15 {
        table(
            &format!("window of {bits} bits"),
            usual,
            DeflateParams { server_max_window_bits: Some(bits), ..params },
        );
    }
    for memory_level in [1, 3, 5, 8] {
        table(&format!("memory level {memory_level}"), usual.memory_level(memory_level), params);
    }
    for level in [1, 2, 4, 6] {
        table(
            &format!("level {level}, no context takeover"),
            usual.level(level),
            DeflateParams { server_no_context_takeover: true, ..params },
        );
    }
    noisy();
    println!();
}

/// Returns bytes that do not compress.
fn noise(len: usize) -> Vec<u8> {
    let mut random = 88_172_645_463_325_252_u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random.to_le_bytes()[4]
    };
    (0..len).map(|_| next()).collect()
}

/// Prints the table of [`sizes`] for messages that alternate with random bytes. The random bytes are not counted.
fn noisy() {
    for level in [1, 4, 6, 9] {
        print!("{:38}", format!("level {level}, 1 KiB noise between messages"));
        for size in [180, 1024, 64 << 10] {
            let mut server = connection(Compression::new().level(level), DeflateParams::default());
            let noise = noise(1 << 20);
            let mut sent = 0;
            for (message, noise) in messages(size).iter().zip(noise.chunks(1024).cycle()) {
                server.send_text(message).unwrap();
                sent += drain(&mut server);
                server.send_binary(noise).unwrap();
                assert_eq!(drain(&mut server), 4 + noise.len());
            }
            print!("{:9.1}", 100.0 * sent as f64 / (BATCH / size * size) as f64);
        }
        println!();
    }
}

/// Measures how long it takes to find that a message does not compress.
fn give_up(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("give-up");
    for (len, name) in [(1 << 10, "1KiB"), (64 << 10, "64KiB"), (16 << 20, "16MiB")] {
        let (mut server, noise) = (connection(Compression::new(), DeflateParams::default()), noise(len));
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                server.send_binary(&noise).unwrap();
                drain(&mut server);
            });
        });
    }
    group.finish();
}

fn main() {
    sizes();
    let mut criterion = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    inflate(&mut criterion);
    deflate(&mut criterion);
    cost(&mut criterion);
    give_up(&mut criterion);
    criterion.final_summary();
}
