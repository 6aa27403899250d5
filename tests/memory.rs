//! Measures the heap memory that a connection holds. This memory may depend on the received bytes, but never on a
//! length that the peer only announces.
//!
//! A counting allocator (`support/heap.rs`) measures only the current thread, so other threads of the test harness do
//! not disturb the measurement. All measurements run in one test function, one after the other. The files in `memory/`
//! measure compression, the adapters, and how many bytes are moved while a message arrives slowly.
#![cfg(feature = "alloc")]
#![allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "tests, with an allocator that counts"
)]

use hybi::frame::{Header, MaskingKeys, Opcode};
use hybi::{
    CloseCode, Config, Connection, Event, Inbox, Input, Instant, Outbox, Prepared, ProtocolError, Role,
    SharedConfig, VecMessage,
};

use heap::{MOVED, PEAK, live, measure};

#[allow(dead_code, reason = "each target uses a part of it")]
#[path = "support/heap.rs"]
mod heap;

const KIB: isize = 1 << 10;

fn server() -> Connection {
    Connection::server(Instant::ZERO, SharedConfig::default(), Outbox::new())
}

fn client() -> Connection {
    Connection::client(Instant::ZERO, SharedConfig::default(), Outbox::new(), [1; 32])
}

fn header(opcode: Opcode, fin: bool, payload_len: u64, to: &mut [u8; 14]) -> usize {
    Header { fin, rsv: 0, opcode, masking_key: Some([0; 4]), payload_len }.encode(to)
}

/// Feeds `bytes`. Returns the number of events, and the error if there was one.
fn feed(conn: &mut Connection, message: &mut VecMessage, bytes: &mut [u8]) -> (usize, Option<ProtocolError>) {
    let (mut events, mut failed) = (0, None);
    let mut input = Input::new(bytes, message);
    loop {
        match conn.poll(Instant::ZERO, &mut input) {
            Ok(Some(_)) => events += 1,
            Ok(None) => return (events, failed),
            Err(error) => failed = Some(error),
        }
    }
}

fn write_all(conn: &mut Connection) {
    while conn.buffered_amount() > 0 {
        conn.transmitted(Instant::ZERO, 100_000);
    }
}

/// Runs all measurements one after the other, so that no two of them run at the same time.
#[test]
fn connections_and_adapters_hold_bounded_memory() {
    a_connection_is_small();
    a_connection_owns_no_heap_before_use_and_after_release();
    s10_4_pongs_that_the_peer_does_not_read_are_bounded();
    s10_4_an_announced_length_allocates_nothing();
    s10_4_empty_fragments_hold_no_memory();
    s10_4_capacity_follows_the_arrived_bytes();
    s10_4_gathering_a_message_moves_few_bytes();
    s10_4_a_buffer_that_grows_during_small_reads_is_rarely_moved();
    a_small_message_does_not_pin_the_memory_of_a_large_one();
    nothing_is_held_after_the_end();
    large_payloads_are_shared_and_not_copied();
    #[cfg(all(feature = "net", feature = "tokio", feature = "futures-io", feature = "deflate"))]
    moved::s10_4_each_byte_of_a_slow_message_is_moved_a_few_times();
    #[cfg(feature = "deflate")]
    deflate::memory();
    #[cfg(feature = "net")]
    net::memory();
    #[cfg(all(feature = "net", feature = "tokio"))]
    // This measurement runs in a separate thread, so that the thread-local pool of this thread stays empty.
    std::thread::spawn(bytes::memory).join().unwrap();
    #[cfg(feature = "tokio")]
    async_adapters::memory();
}

fn a_connection_is_small() {
    assert!(size_of::<Connection>() <= 312, "{} bytes", size_of::<Connection>());
    let lent = size_of::<Connection<hybi::SliceOutbox<'_>>>();
    assert!(lent <= 328, "{lent} bytes");
    assert!(size_of::<Event<'_>>() <= 24 && size_of::<hybi::EventIndex>() <= 32);
}

fn a_connection_owns_no_heap_before_use_and_after_release() {
    for make in [server, client] {
        // Only a client has masking keys. They are on the heap, so that a server does not reserve space for them.
        let (conn, kept, peak) = measure(make);
        let keys = if conn.role() == Role::Client { size_of::<MaskingKeys>() } else { 0 };
        assert_eq!((kept, peak), (keys as isize, keys as isize));
        drop(conn);

        let (mut conn, mut message) = (make(), VecMessage::new());
        let before = live();
        conn.send_text("hello").unwrap();
        conn.send(vec![1; 100_000]).unwrap();
        conn.ping(Instant::ZERO, b"ping").unwrap();
        write_all(&mut conn);
        if conn.role() == Role::Server {
            let mut bytes = [0; 14];
            let len = header(Opcode::Ping, true, 0, &mut bytes);
            assert_eq!(feed(&mut conn, &mut message, &mut bytes[..len]).0, 1);
            let len = header(Opcode::Binary, true, 30_000, &mut bytes);
            feed(&mut conn, &mut message, &mut bytes[..len]);
            assert_eq!(feed(&mut conn, &mut message, &mut vec![0; 30_000]).0, 1);
        }
        write_all(&mut conn);
        assert!(live() > before);
        conn.release_idle();
        message.release_idle();
        assert_eq!(live() - before, 0, "{:?}", conn.role());
        // After the release the connection still works.
        conn.send_text("again").unwrap();
        conn.close(Instant::ZERO, CloseCode::NORMAL, "").unwrap();
        write_all(&mut conn);
        conn.release_idle();
        assert_eq!(live() - before, 0);
    }
    // Connections can share one configuration, so that they allocate no memory for it.
    let config: SharedConfig = Config::new().max_message(1000).into();
    let (all, kept, _) = measure(|| {
        let mut all = Vec::with_capacity(1000);
        all.resize_with(1000, || Connection::server(Instant::ZERO, config.clone(), Outbox::new()));
        all
    });
    assert_eq!(kept, (1000 * size_of::<Connection>()) as isize);
    drop(all);
}

fn s10_4_pongs_that_the_peer_does_not_read_are_bounded() {
    // After each Ping the peer reads nothing, or one byte. If `stuck` is true, a partly written message blocks the
    // Pongs.
    for writes in [0, 1] {
        for stuck in [false, true] {
            let (mut conn, mut message) = (server(), VecMessage::new());
            if stuck {
                conn.send_text("stuck").unwrap();
                conn.transmitted(Instant::ZERO, 3);
            }
            let mut ping = [0; 6 + 125];
            ping[..2].copy_from_slice(&[0x89, 0x80 | 125]);
            let before = live();
            PEAK.set(before);
            for _ in 0..200_000 {
                let mut bytes = ping;
                assert_eq!(feed(&mut conn, &mut message, &mut bytes).0, 1);
                conn.transmitted(Instant::ZERO, writes);
            }
            assert!(PEAK.get() - before < KIB, "{} bytes", PEAK.get() - before);
            assert!(conn.buffered_amount() <= 520);
        }
    }
}

fn s10_4_an_announced_length_allocates_nothing() {
    for opcode in [Opcode::Text, Opcode::Binary] {
        for fragmented in [false, true] {
            let limit = Config::new().limits().max_message;
            let (mut conn, mut message) = (server(), VecMessage::new());
            let mut bytes = [0; 14];
            let before = live();
            PEAK.set(before);
            let mut announced = limit;
            if fragmented {
                let len = header(opcode, false, 1, &mut bytes);
                feed(&mut conn, &mut message, &mut bytes[..len]);
                feed(&mut conn, &mut message, &mut [b'x']);
                announced -= 1;
            }
            let opcode = if fragmented { Opcode::Continuation } else { opcode };
            let len = header(opcode, true, announced, &mut bytes);
            assert_eq!(feed(&mut conn, &mut message, &mut bytes[..len]), (0, None));
            assert!(
                PEAK.get() - before <= 64 * KIB,
                "{} bytes after a header was received",
                PEAK.get() - before
            );
            assert_eq!(feed(&mut conn, &mut message, &mut [b'x']), (0, None));
            assert!(
                PEAK.get() - before <= 64 * KIB,
                "{} bytes after one byte of payload was received",
                PEAK.get() - before
            );
            assert!(!conn.payload_space(&mut message).is_empty());
            assert!(
                PEAK.get() - before <= 64 * KIB,
                "{} bytes after space for more payload was requested",
                PEAK.get() - before
            );

            // The same check follows with an inbox. Its read buffer counts too.
            let (mut conn, mut inbox) = (server(), Inbox::default());
            let before = live();
            PEAK.set(before);
            let len = header(Opcode::Binary, true, limit, &mut bytes);
            for piece in [&bytes[..len], b"x", b"y", b"z"] {
                conn.read_space(&mut inbox)[..piece.len()].copy_from_slice(piece);
                inbox.handle_read(piece.len());
                assert_eq!(conn.poll(Instant::ZERO, &mut inbox), Ok(None));
            }
            assert!(!conn.read_space(&mut inbox).is_empty());
            assert!(PEAK.get() - before <= 64 * KIB, "{} bytes in an inbox", PEAK.get() - before);
        }
    }
}

fn s10_4_empty_fragments_hold_no_memory() {
    let (mut conn, mut message) = (server(), VecMessage::new());
    let mut first = [0; 14];
    let len = header(Opcode::Text, false, 0, &mut first);
    let mut next = [0; 14];
    let next_len = header(Opcode::Continuation, false, 0, &mut next);
    let before = live();
    PEAK.set(before);
    assert_eq!(feed(&mut conn, &mut message, &mut first[..len]), (0, None));
    let mut failed_at = None;
    for i in 2..=1_000_000u64 {
        let mut bytes = next;
        if let (_, Some(error)) = feed(&mut conn, &mut message, &mut bytes[..next_len]) {
            assert_eq!((error, failed_at), (ProtocolError::TooManyFragments, None));
            failed_at = Some(i);
        }
    }
    assert_eq!(failed_at, Some(u64::from(Config::new().limits().max_fragments) + 1));
    assert!(PEAK.get() - before < KIB, "{} bytes", PEAK.get() - before);
    let mut slices = [&[][..]; 2];
    assert_eq!(conn.poll_transmit(&mut slices), 1);
    assert_eq!(slices[0][2..4], 1008u16.to_be_bytes());
}

fn s10_4_capacity_follows_the_arrived_bytes() {
    const TOTAL: usize = 6 << 20;
    let payload = vec![b'x'; TOTAL];
    // The message is one frame, or has fragments of 1 MiB or 100 bytes. It arrives in reads of many sizes, in a buffer
    // or directly in the memory of the message.
    for (fragment, reads) in
        [(TOTAL, 1000), (TOTAL, 16 << 10), (TOTAL, 300_000), (1 << 20, 5000), (100, 16 << 10)]
    {
        for direct in [false, true] {
            let config = Config::new().max_fragments(u32::MAX);
            let mut conn = Connection::server(Instant::ZERO, config, Outbox::new());
            let mut message = VecMessage::new();
            let mut wire = Vec::with_capacity(TOTAL * 2);
            for (i, piece) in payload.chunks(fragment).enumerate() {
                let mut head = [0; 14];
                let opcode = if i == 0 { Opcode::Text } else { Opcode::Continuation };
                let len = header(opcode, (i + 1) * fragment >= TOTAL, piece.len() as u64, &mut head);
                wire.extend_from_slice(&head[..len]);
                wire.extend_from_slice(piece);
            }
            let before = live();
            PEAK.set(before);
            let (mut rest, mut arrived, mut events) = (&mut wire[..], 0, 0);
            while !rest.is_empty() {
                let space = if direct { conn.payload_space(&mut message) } else { &mut [] };
                let len = reads.min(rest.len());
                let len = if space.is_empty() { len } else { len.min(space.len()) };
                let (now, later) = rest.split_at_mut(len);
                arrived += len as isize;
                if space.is_empty() {
                    events += feed(&mut conn, &mut message, now).0;
                } else {
                    space[..len].copy_from_slice(now);
                    conn.handle_payload(&mut message, len);
                    events += feed(&mut conn, &mut message, &mut []).0;
                }
                rest = later;
                let held = live() - before;
                assert_eq!(held, message.capacity() as isize);
                assert!(held <= 2 * arrived + 64 * KIB, "{held} bytes held after {arrived}");
            }
            assert_eq!(events, 1);
            let peak = PEAK.get() - before;
            assert!(peak <= 2 * arrived + 64 * KIB, "the peak is {peak} bytes");
            if fragment == TOTAL {
                assert!(
                    peak <= TOTAL as isize + 64 * KIB,
                    "the last growth goes beyond the message: the peak is {peak} bytes"
                );
            }
        }
    }
}

fn s10_4_gathering_a_message_moves_few_bytes() {
    for (size, count) in [(256usize, 65_536u32), (20 << 10, 800), (70_000, 200)] {
        for large_reads in [false, true] {
            let mut conn = server();
            let mut inbox = Inbox::empty();
            MOVED.set(0);
            for n in 0..count {
                let opcode = if n == 0 { Opcode::Binary } else { Opcode::Continuation };
                let mut frame = vec![0; size + 14];
                let mut head = [0; 14];
                let len = header(opcode, n + 1 == count, size as u64, &mut head);
                frame[..len].copy_from_slice(&head[..len]);
                let mut rest = &frame[..len + size];
                while !rest.is_empty() {
                    let space = conn.read_space(&mut inbox);
                    let read = rest.len().min(space.len()).min(if large_reads { usize::MAX } else { 1500 });
                    space[..read].copy_from_slice(&rest[..read]);
                    inbox.handle_read(read);
                    rest = &rest[read..];
                    while conn.poll(Instant::ZERO, &mut inbox).unwrap().is_some() {}
                }
            }
            let total = size * count as usize;
            assert_eq!(conn.received().messages, 1);
            assert!(MOVED.get() <= 4 * total, "{} bytes were moved for {total}", MOVED.get());
        }
    }
}

fn s10_4_a_buffer_that_grows_during_small_reads_is_rarely_moved() {
    for (fragments, size) in [(1, 20_000), (1, 40_000), (1, 100_000), (1, 1 << 20), (2, 50_000), (2, 500_000)]
    {
        let (mut wire, total) = (Vec::new(), fragments * size);
        for n in 0..fragments {
            let mut head = [0; 14];
            let opcode = if n == 0 { Opcode::Binary } else { Opcode::Continuation };
            let len = header(opcode, n + 1 == fragments, size as u64, &mut head);
            wire.extend_from_slice(&head[..len]);
            wire.resize(wire.len() + size, 0);
        }
        let bound = 4 * total + 32 * 1024;
        for reads in [1, 7, 1000, 1500, 17_000] {
            let (mut conn, mut inbox) = (server(), Inbox::empty());
            let mut rest = &wire[..];
            MOVED.set(0);
            while !rest.is_empty() {
                let space = conn.read_space(&mut inbox);
                let read = rest.len().min(space.len()).min(reads);
                space[..read].copy_from_slice(&rest[..read]);
                inbox.handle_read(read);
                rest = &rest[read..];
                while conn.poll(Instant::ZERO, &mut inbox).unwrap().is_some() {}
            }
            assert_eq!(conn.received().messages, 1);
            assert!(MOVED.get() <= bound, "{} bytes were moved for {total} in reads of {reads}", MOVED.get());

            let (mut conn, mut message) = (server(), VecMessage::new());
            MOVED.set(0);
            for piece in wire.clone().chunks_mut(reads) {
                feed(&mut conn, &mut message, piece);
            }
            assert_eq!(conn.received().messages, 1);
            assert!(MOVED.get() <= bound, "{} bytes were moved for {total} in reads of {reads}", MOVED.get());
        }
    }
}

fn a_small_message_does_not_pin_the_memory_of_a_large_one() {
    let (mut conn, mut inbox) = (client(), Inbox::empty());
    for size in [8usize << 20, 2] {
        // The message has two fragments, so it is assembled in memory outside of the read buffer.
        let mut wire = Vec::new();
        for (opcode, fin, len) in [(Opcode::Binary, false, 1), (Opcode::Continuation, true, size - 1)] {
            let mut head = [0; 14];
            let header = Header { fin, rsv: 0, opcode, masking_key: None, payload_len: len as u64 };
            let head_len = header.encode(&mut head);
            wire.extend_from_slice(&head[..head_len]);
            wire.resize(wire.len() + len, 7);
        }
        let mut rest = &wire[..];
        let mut taken = None;
        while !rest.is_empty() {
            let space = conn.read_space(&mut inbox);
            let read = rest.len().min(space.len());
            space[..read].copy_from_slice(&rest[..read]);
            inbox.handle_read(read);
            rest = &rest[read..];
            while let Some(ready) = conn.poll(Instant::ZERO, &mut inbox).unwrap() {
                let before = live();
                if size > 2 {
                    // The message is read in the inbox and not moved out of it.
                    assert!(matches!(inbox.event(ready), Event::Binary(data) if data.len() == size));
                } else {
                    taken = inbox.take_message(ready);
                    assert!(before - live() > 4 << 20, "{} bytes were freed", before - live());
                }
            }
        }
        drop(taken);
    }
}

fn nothing_is_held_after_the_end() {
    // A client holds its masking keys until it is dropped, so the measurement starts after they were allocated.
    let mut conn = client();
    let before = live();
    let mut inbox = Inbox::with_bytes(&[0x82, 126, 0xFF, 0xFF]);
    while conn.poll(Instant::ZERO, &mut inbox).unwrap().is_some() {}
    let part = vec![7; 30_000];
    let mut rest = &part[..];
    while !rest.is_empty() {
        let space = conn.read_space(&mut inbox);
        let read = rest.len().min(space.len());
        space[..read].copy_from_slice(&rest[..read]);
        inbox.handle_read(read);
        rest = &rest[read..];
        while conn.poll(Instant::ZERO, &mut inbox).unwrap().is_some() {}
    }
    drop(part);
    conn.handle_eof();
    while conn.poll(Instant::ZERO, &mut inbox).unwrap().is_some() {}
    conn.release_idle();
    inbox.release_idle();
    assert_eq!(live(), before);
}

fn large_payloads_are_shared_and_not_copied() {
    let message = Prepared::new(vec![7; 1 << 20]);
    let (connections, kept, _) = measure(|| {
        let mut connections: Vec<Connection> = (0..100).map(|_| server()).collect();
        for conn in &mut connections {
            conn.send_prepared(&message).unwrap();
        }
        connections
    });
    assert!(kept < 100 * 2 * KIB, "{kept} bytes for 100 connections");
    drop(connections);

    // A message that is complete in the input is received without an allocation.
    let (mut conn, mut message) = (server(), VecMessage::new());
    let mut wire = vec![0; 14];
    let mut head = [0; 14];
    let len = header(Opcode::Binary, true, 1 << 20, &mut head);
    wire.truncate(0);
    wire.extend_from_slice(&head[..len]);
    wire.resize(len + (1 << 20), 5);
    let before = live();
    PEAK.set(before);
    let mut input = Input::new(&mut wire, &mut message);
    assert!(
        matches!(conn.poll_event(Instant::ZERO, &mut input), Ok(Some(Event::Binary(data))) if data.len() == 1 << 20)
    );
    assert_eq!(PEAK.get() - before, 0);
}

/// Memory of compression (RFC 7692 section 7.1). The documentation states the same numbers.
#[cfg(feature = "deflate")]
#[path = "memory/deflate.rs"]
mod deflate;

/// Memory of WebSockets of the blocking adapter.
#[cfg(feature = "net")]
#[path = "memory/net.rs"]
mod net;

#[cfg(feature = "tokio")]
#[path = "memory/async_adapters.rs"]
mod async_adapters;

/// Memory of byte streams.
#[cfg(all(feature = "net", feature = "tokio"))]
#[path = "memory/bytes.rs"]
mod bytes;

#[cfg(all(feature = "net", feature = "tokio", feature = "futures-io", feature = "deflate"))]
#[path = "memory/moved.rs"]
mod moved;
