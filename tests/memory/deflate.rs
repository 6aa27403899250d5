//! The heap of connections that compress: compressors, inflaters, histories, pools and inflated messages. A history
//! is the copy of recent data that later messages may refer to.
//!
//! The numbers equal those in the documentation. Another version of the compression library may differ a little, so
//! the comparison allows for some difference.

use hybi::deflate::{Compression, Deflater, Inflater, Pool};
use hybi::frame::{Header, MaskingKeys, Opcode};
use hybi::handshake::DeflateParams;
use hybi::{
    CloseCode, Config, Connection, Delivery, Event, Input, Instant, MessageKind, Outbox, Prepared,
    ProtocolError, Role, SharedConfig, VecMessage,
};
use zlib_rs::{Deflate, DeflateFlush};

use super::heap::{LIVE, MOVED, PEAK, live, measure};
use super::{KIB, write_all};

pub fn memory() {
    s7692_7_1_nothing_is_allocated_before_the_first_message();
    s7692_7_1_compressors_use_the_documented_memory();
    s7692_7_1_every_compressor_is_within_the_documented_bounds();
    s7692_7_1_inflaters_use_the_documented_memory();
    s7692_7_1_the_history_grows_with_received_data();
    s7692_7_1_1_without_takeover_no_memory_is_held_between_messages();
    s7692_7_1_a_pool_holds_at_most_its_limit();
    s7692_7_1_a_release_keeps_only_the_history();
    nothing_is_held_after_the_end();
    s10_4_a_bomb_is_stopped_at_the_limit();
    s10_4_capacity_follows_the_inflated_data();
    s10_4_inflating_byte_by_byte_moves_a_linear_number_of_bytes();
    s10_4_chunked_delivery_holds_at_most_one_chunk();
    s7692_7_prepared_messages_leave_no_memory_in_the_connection();
}

/// Bytes of heap of a compressor at memory levels 1, 5 (the default) and 9, for windows of 9 to 15 bits. A window
/// of 8 bits takes as much memory as a window of 9 bits. The compression level makes no difference.
const COMPRESSOR: [(u8, [isize; 3]); 7] = [
    (9, [137_216, 150_656, 365_696]),
    (10, [139_264, 152_704, 367_744]),
    (11, [143_360, 156_800, 371_840]),
    (12, [151_552, 164_992, 380_032]),
    (13, [167_936, 181_376, 396_416]),
    (14, [200_704, 214_144, 429_184]),
    (15, [266_240, 279_680, 494_720]),
];
/// Bytes of a compressor with a window of 15 bits at the default memory level.
const USUAL: isize = COMPRESSOR[6].1[1];
/// Bytes of an inflater without its history. They are the same for any window. In addition, the history takes at most
/// the size of the window. A window of 8 bits counts as a window of 9 bits.
const INFLATER: isize = 47_552;

/// Returns whether a size is as documented. Another version of the library may need up to a quarter less, or up to 1
/// KiB more.
fn is_as_documented(measured: isize, stated: isize) -> bool {
    (stated * 3 / 4..=stated + KIB).contains(&measured)
}

fn agreed(takeover: bool, bits: u8) -> DeflateParams {
    DeflateParams {
        server_no_context_takeover: !takeover,
        client_no_context_takeover: !takeover,
        server_max_window_bits: Some(bits),
        client_max_window_bits: Some(bits),
    }
}

fn open(config: Config, params: DeflateParams) -> Connection {
    Connection::client(Instant::ZERO, config, Outbox::new(), [1; 32]).with_deflate(params)
}

/// Encodes a frame of a server.
fn frame(rsv: u8, opcode: Opcode, fin: bool, payload: &[u8]) -> Vec<u8> {
    let header = Header { fin, rsv, opcode, masking_key: None, payload_len: payload.len() as u64 };
    let mut head = [0; 14];
    let len = header.encode(&mut head);
    [&head[..len], payload].concat()
}

fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x0123_4567_89AB_CDEF_u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// Returns a compressed message. The library frees its memory before anything is measured.
fn compressed(data: &[u8]) -> Vec<u8> {
    let mut zlib = Deflate::new(9, false, 15);
    let mut payload = vec![0; data.len() + data.len() / 4 + 100];
    zlib.compress(data, &mut payload, DeflateFlush::SyncFlush).unwrap();
    payload.truncate(zlib.total_out() as usize - 4);
    frame(4, Opcode::Binary, true, &payload)
}

/// Returns `mib` MiB of zeros compressed to a thousandth. The blocks refer to no earlier data, so they can be
/// repeated.
fn bomb(mib: usize) -> Vec<u8> {
    let mut zlib = Deflate::new(9, false, 15);
    let zeros = vec![0; 1 << 20];
    let mut once = vec![0; 100_000];
    zlib.compress(&zeros, &mut once, DeflateFlush::FullFlush).unwrap();
    once.truncate(zlib.total_out() as usize);
    let mut payload = once.repeat(mib);
    payload.push(0);
    frame(4, Opcode::Binary, true, &payload)
}

/// Feeds `bytes`. Returns the bytes of delivered messages and chunks, and the error if there was one.
fn feed(conn: &mut Connection, message: &mut VecMessage, bytes: &mut [u8]) -> (usize, Option<ProtocolError>) {
    let (mut data_len, mut failed) = (0, None);
    let mut input = Input::new(bytes, message);
    loop {
        match conn.poll_event(Instant::ZERO, &mut input) {
            Ok(Some(Event::Binary(data) | Event::Chunk { data, .. })) => data_len += data.len(),
            Ok(Some(_)) => {}
            Ok(None) => return (data_len, failed),
            Err(error) => failed = Some(error),
        }
    }
}

fn s7692_7_1_nothing_is_allocated_before_the_first_message() {
    for takeover in [false, true] {
        for role in [Role::Server, Role::Client] {
            let (mut conn, kept, peak) = measure(|| {
                let conn = match role {
                    Role::Server => Connection::server(Instant::ZERO, Config::new(), Outbox::new()),
                    Role::Client => Connection::client(Instant::ZERO, Config::new(), Outbox::new(), [1; 32]),
                };
                conn.with_deflate(agreed(takeover, 15))
            });
            // Only a client has masking keys. They are on the heap.
            let keys = if role == Role::Client { size_of::<MaskingKeys>() as isize } else { 0 };
            assert_eq!((kept, peak), (keys, keys));
            // Uncompressed messages allocate neither a compressor nor an inflater.
            let mut message = VecMessage::new();
            let before = live();
            conn.send_text("short").unwrap();
            conn.send_with(&[0; 1000][..], hybi::SendOptions::new().compress(false)).unwrap();
            write_all(&mut conn);
            if role == Role::Client {
                assert_eq!(
                    feed(&mut conn, &mut message, &mut frame(0, Opcode::Binary, true, &[0; 1000])).0,
                    1000
                );
            }
            conn.release_idle();
            assert_eq!(live() - before, 0);
            assert!(!conn.sender().can_release_deflater() && !conn.receiver().can_release_inflater());
        }
    }
}

fn s7692_7_1_compressors_use_the_documented_memory() {
    for (bits, stated) in COMPRESSOR {
        for (memory_level, stated) in [1, 5, 9].into_iter().zip(stated) {
            for level in [1, 6, 9] {
                let compression = Compression::new().level(level).memory_level(memory_level);
                let (deflater, kept, peak) = measure(|| Deflater::new(bits, true, &compression));
                println!(
                    "compressor: {bits} bits, memory level {memory_level}, level {level}: {kept} ({peak})"
                );
                assert!(is_as_documented(kept, stated) && peak == kept, "{kept} for {stated}");
                drop(deflater);
                if level != 6 {
                    continue;
                }
                // A connection holds its compressor in a box, so the structure itself is on the heap too.
                let mut conn = open(Config::new().compression(compression), agreed(true, bits));
                let data = noise(40_000);
                let before = live();
                conn.send_binary(&data).unwrap();
                write_all(&mut conn);
                conn.release_idle();
                let held = live() - before;
                assert_eq!(held, kept + size_of::<Deflater>() as isize);
                conn.send_binary(&data).unwrap();
                write_all(&mut conn);
                conn.release_idle();
                assert_eq!(live() - before, held, "the second message allocated more memory");
                conn.release_compression();
                assert_eq!(live() - before, 0);
            }
        }
    }
}

fn s7692_7_1_every_compressor_is_within_the_documented_bounds() {
    for (bits, memory_level, stated) in [(8, 1, 137_216), (15, 9, 494_720)] {
        let compression = Compression::new().memory_level(memory_level);
        let (deflater, kept, _) = measure(|| Deflater::new(bits, true, &compression));
        drop(deflater);
        println!("compressor: {bits} bits, memory level {memory_level}: {kept}");
        assert!(is_as_documented(kept, stated), "{kept} for {stated}");
    }
}

fn s7692_7_1_inflaters_use_the_documented_memory() {
    for bits in 8..=15 {
        let (mut inflater, kept, _) = measure(|| Inflater::new(bits, true));
        assert_eq!(kept, 0);
        let wire = compressed(&noise(100_000));
        // The header has ten bytes if the payload is longer than 65,535 bytes, and four bytes otherwise.
        let payload = &wire[if wire.len() > 65_545 { 10 } else { 4 }..];
        let mut space = vec![0; 120_000];
        let (produced, kept, peak) = measure(|| {
            let step = inflater.inflate(payload, &mut space).unwrap();
            assert!(inflater.finish(&[], &mut space[step.produced..]).unwrap().done);
            step.produced
        });
        assert_eq!(produced, 100_000);
        let history = 1isize << bits.max(9);
        println!("inflater: {bits} bits: {} and a history of {history} ({peak})", kept - history);
        assert!(
            is_as_documented(kept - history, INFLATER) && peak == kept,
            "{kept} for {INFLATER} and {history}"
        );
        let before = live();
        inflater.release();
        assert_eq!(before - live(), kept - history);
    }
}

fn s7692_7_1_the_history_grows_with_received_data() {
    for bits in [8, 9, 12, 15] {
        let (mut conn, mut message) = (open(Config::new(), agreed(true, bits)), VecMessage::new());
        let window = 1isize << bits.max(9);
        let before = live();
        let mut arrived = 0;
        for len in [1, 10, 100, 1000, 3, 5000, 20_000, 40_000] {
            let mut wire = compressed(&noise(len));
            arrived += len as isize;
            assert_eq!(feed(&mut conn, &mut message, &mut wire), (len, None));
            drop(wire);
            message.release_idle();
            let history = live() - before - INFLATER - size_of::<Inflater>() as isize;
            assert!(history <= window.min(2 * arrived), "{history} after {arrived} for {bits} bits");
            assert!(history >= window.min(arrived), "{history} after {arrived} for {bits} bits");
        }
    }
}

fn s7692_7_1_1_without_takeover_no_memory_is_held_between_messages() {
    let (mut conn, mut message) = (open(Config::new(), agreed(false, 15)), VecMessage::new());
    let data = noise(5000);
    let wire = compressed(&data);
    let before = live();
    for _ in 0..3 {
        conn.send_binary(&data).unwrap();
        let mut bytes = wire.clone();
        assert_eq!(feed(&mut conn, &mut message, &mut bytes), (5000, None));
        drop(bytes);
        write_all(&mut conn);
        conn.release_idle();
        message.release_idle();
        assert_eq!(live() - before, 0);
    }
}

fn s7692_7_1_a_pool_holds_at_most_its_limit() {
    for most in [0, 1, 3] {
        let pool = Pool::new(most);
        let config: SharedConfig = Config::new().deflate_pool(pool.clone()).into();
        let wire = compressed(&noise(5000));
        let (head, tail) = (wire[4..2000].to_vec(), wire[2000..].to_vec());
        let before = live();
        let mut conns: Vec<_> = (0..5)
            .map(|_| {
                let conn = Connection::client(Instant::ZERO, config.clone(), Outbox::new(), [1; 32]);
                (conn.with_deflate(agreed(false, 15)), VecMessage::new())
            })
            .collect();
        // Each of the five connections has a message open, so none of them can use the compressor of another one.
        for (conn, message) in &mut conns {
            conn.send_fragment(MessageKind::Binary, &[1; 3000], false).unwrap();
            feed(conn, message, &mut frame(4, Opcode::Binary, false, &head));
        }
        for (conn, message) in &mut conns {
            conn.send_fragment(MessageKind::Binary, &[1; 3000], true).unwrap();
            let whole = feed(conn, message, &mut frame(0, Opcode::Continuation, true, &tail));
            assert_eq!(whole, (5000, None));
        }
        drop(conns);
        let held = live() - before;
        let inflater = INFLATER + 32 * KIB;
        let each = USUAL + inflater + (size_of::<Deflater>() + size_of::<Inflater>()) as isize;
        let most = most as isize;
        assert!(held <= most * each + KIB, "{held} for {most}");
        assert!(held >= most * (USUAL + INFLATER), "{held} for {most}");
        pool.clear();
        assert_eq!(live() - before, 0);
    }
}

fn s7692_7_1_a_release_keeps_only_the_history() {
    for bits in 8..=15 {
        for len in [10, 700, 50_000] {
            let (mut conn, mut message) = (open(Config::new(), agreed(true, bits)), VecMessage::new());
            let data = noise(len);
            let before = live();
            conn.send_fragment(MessageKind::Binary, &data, false).unwrap();
            feed(&mut conn, &mut message, &mut compressed(&data));
            write_all(&mut conn);
            conn.release_idle();
            message.release_idle();
            conn.release_compression();
            let held = live() - before - size_of::<Inflater>() as isize;
            // The history has exactly the data that the peer may refer to. A window of 8 bits counts as a
            // window of 9 bits.
            assert_eq!(held, (len as isize).min(1 << bits.max(9)));
        }
    }
}

fn nothing_is_held_after_the_end() {
    type Way = fn(&mut Connection, &mut VecMessage) -> Option<ProtocolError>;
    fn later(conn: &mut Connection, seconds: u64) {
        conn.handle_timeout(Instant::ZERO + core::time::Duration::from_secs(seconds));
        write_all(conn);
    }
    let ways: [(&str, Option<ProtocolError>, Way); 7] = [
        ("the stream ends", None, |conn, _| {
            conn.handle_eof();
            None
        }),
        ("a Ping is not answered", None, |conn, _| {
            for seconds in [30, 100, 1000] {
                later(conn, seconds);
            }
            None
        }),
        ("a Close is not answered", None, |conn, _| {
            conn.close(Instant::ZERO, CloseCode::NORMAL, "").unwrap();
            later(conn, 1000);
            None
        }),
        ("a Close is answered", None, |conn, message| {
            conn.close(Instant::ZERO, CloseCode::NORMAL, "").unwrap();
            feed(conn, message, &mut frame(0, Opcode::Close, true, b"\x03\xe8")).1
        }),
        ("the peer closes", None, |conn, message| {
            feed(conn, message, &mut frame(0, Opcode::Close, true, b"\x03\xe8")).1
        }),
        ("not DEFLATE", Some(ProtocolError::InvalidDeflate), |conn, message| {
            feed(conn, message, &mut frame(0, Opcode::Continuation, true, &[6])).1
        }),
        ("too much", Some(ProtocolError::MessageTooBig), |conn, message| {
            // Skips the header of two bytes.
            let more = &compressed(&[0; 5000])[2..];
            feed(conn, message, &mut frame(0, Opcode::Continuation, true, more)).1
        }),
    ];
    let config: SharedConfig = Config::new().max_message(5000).into();
    for (why, error, way) in ways {
        let mut message = VecMessage::new();
        // A client keeps its masking keys on the heap until it is dropped.
        let mut conn = Connection::client(Instant::ZERO, config.clone(), Outbox::new(), [1; 32])
            .with_deflate(agreed(true, 15));
        let before = live();
        // A message is open in each direction. Some complete blocks of the received message have arrived.
        conn.send_fragment(MessageKind::Binary, &[1; 1000], false).unwrap();
        let whole = compressed(&noise(1000));
        feed(&mut conn, &mut message, &mut whole.clone());
        let part = [&whole[4..], &[0, 0, 0xFF, 0xFF]].concat();
        feed(&mut conn, &mut message, &mut frame(4, Opcode::Binary, false, &part));
        drop((whole, part));
        assert!(live() - before > USUAL + INFLATER);

        assert_eq!(way(&mut conn, &mut message), error, "{why}");
        feed(&mut conn, &mut message, &mut []);
        write_all(&mut conn);
        conn.release_idle();
        message.release_idle();
        assert_eq!(live() - before, 0, "{why}");
    }
}

fn s10_4_a_bomb_is_stopped_at_the_limit() {
    let bomb = bomb(64);
    assert!(bomb.len() <= 70 << 10, "{}", bomb.len());
    for limit in [KIB, 64 * KIB, 1024 * KIB] {
        for delivery in [Delivery::Whole, Delivery::Chunks] {
            for size in [bomb.len(), 1000] {
                let config = Config::new().max_message(limit as u64).delivery(delivery);
                let (mut conn, mut message) = (open(config, agreed(true, 15)), VecMessage::new());
                let mut wire = bomb.clone();
                let before = live();
                PEAK.set(before);
                let (mut out, mut failed) = (0, None);
                for piece in wire.chunks_mut(size) {
                    let (data, error) = feed(&mut conn, &mut message, piece);
                    out += data as isize;
                    failed = failed.or(error);
                }
                assert_eq!(failed, Some(ProtocolError::MessageTooBig));
                // The output stays within the limit, and no message is delivered.
                assert!(out <= if delivery == Delivery::Chunks { limit } else { 0 });
                let inflater = INFLATER + 32 * KIB + size_of::<Inflater>() as isize;
                let peak = PEAK.get() - before - inflater;
                let space = if delivery == Delivery::Chunks { 0 } else { limit };
                println!("bomb: limit {limit}, {delivery:?}: {peak} beside the inflater");
                assert!(peak <= space + 64 * KIB, "{peak} for a limit of {limit}");
                message.release_idle();
                conn.release_idle();
                write_all(&mut conn);
            }
        }
    }
}

fn s10_4_capacity_follows_the_inflated_data() {
    // The data compresses well or not at all, and arrives in one read or in many.
    for data in [vec![0; 3 << 20], noise(1 << 20)] {
        let mut wire = compressed(&data);
        let data_len = data.len();
        drop(data);
        for size in [wire.len(), 5, 1000] {
            let (mut conn, mut message) = (open(Config::new(), agreed(false, 15)), VecMessage::new());
            let mut original = wire.clone();
            let mut done = 0;
            for piece in wire.chunks_mut(size) {
                let before = live();
                PEAK.set(before);
                let whole = feed(&mut conn, &mut message, piece).0;
                done += piece.len();
                // DEFLATE inflates one byte to at most 1032 bytes. This gives an upper bound of the inflated data.
                let inflated = (1032 * done).min(data_len);
                assert!(message.capacity() <= 2 * inflated + (64 << 10), "{} for {done}", message.capacity());
                assert!(whole == 0 || whole == data_len);
            }
            assert_eq!(conn.received().messages, 1);
            assert!(message.capacity() <= 2 * data_len + (64 << 10));
            wire.copy_from_slice(&original);
            original.clear();
        }
    }
}

fn s10_4_inflating_byte_by_byte_moves_a_linear_number_of_bytes() {
    for len in [20_000, 60_000, 200_000] {
        let mut wire = compressed(&noise(len));
        let (mut conn, mut message) = (open(Config::new(), agreed(false, 15)), VecMessage::new());
        MOVED.set(0);
        for byte in wire.chunks_mut(1) {
            feed(&mut conn, &mut message, byte);
        }
        assert_eq!(conn.received().messages, 1);
        // The window holds a second copy of the data. It also grows, so its bytes are moved too.
        assert!(MOVED.get() <= 4 * len + (128 << 10), "{} moved for {len}", MOVED.get());
    }
}

fn s10_4_chunked_delivery_holds_at_most_one_chunk() {
    let mut wire = bomb(16);
    let config = Config::new().max_message(u64::MAX).delivery(Delivery::Chunks);
    let (mut conn, mut message) = (open(config, agreed(true, 15)), VecMessage::new());
    let before = live();
    PEAK.set(before);
    assert_eq!(feed(&mut conn, &mut message, &mut wire), (16 << 20, None));
    let inflater = INFLATER + 32 * KIB + size_of::<Inflater>() as isize;
    let peak = PEAK.get() - before;
    assert!(peak <= inflater + 16 * KIB, "{peak}");
    assert_eq!(LIVE.get() - before, peak);
}

fn s7692_7_prepared_messages_leave_no_memory_in_the_connection() {
    let news = Prepared::new(noise(4000).repeat(4));
    let mut conns: Vec<Connection> = (0..100)
        .map(|_| {
            Connection::server(Instant::ZERO, SharedConfig::default(), Outbox::new())
                .with_deflate(agreed(true, 15))
        })
        .collect();
    conns[0].send_prepared(&news).unwrap();
    let (_, kept, peak) = measure(|| {
        for conn in &mut conns {
            conn.send_prepared(&news).unwrap();
        }
    });
    println!("prepared: {kept} for a hundred, {peak} at the most");
    assert!(kept < 100 * 2 * KIB && peak < 100 * 2 * KIB, "each connection allocated memory for the message");
    assert!(conns.iter().all(|conn| !conn.sender().can_release_deflater()));
}
