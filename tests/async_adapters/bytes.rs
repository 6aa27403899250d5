//! A WebSocket as a stream of bytes, with the traits of futures-io and of tokio.
//!
//! The tests check that messages, reads and writes of any size leave the bytes unchanged. They check which ends of a
//! connection count as the end of the data, and which are errors. They also check backpressure, shutdown, and use by
//! two tasks. `tests/net/bytes.rs` has the tests of the blocking adapter, and `tests/memory/bytes.rs` measures memory.

use std::io::{ErrorKind, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use futures_io::{AsyncBufRead, AsyncRead, AsyncWrite};
use hybi::adapters::async_driver;
use hybi::adapters::futures_io::{ByteStreamError, FuturesIo, WebSocket};
use hybi::frame::Opcode;
use hybi::{
    CloseCode, Config, Inbox, Instant, MessageKind, Outcome, ProtocolError, ReadyState, Role, SendError,
    TimerKind,
};
use smol::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};

use super::parts::Liar;
use super::support::*;

type Bytes = async_driver::ByteStream<End, FuturesIo<Clock>>;

const ROLES: [Role; 2] = [Role::Server, Role::Client];

fn bytes_pair(role: Role, behavior: Behavior, config: Config) -> (Clock, Bytes, Peer) {
    let (clock, ws, peer) = pair(role, behavior, config);
    (clock, ws.into_byte_stream(), peer)
}

/// A generator of pseudo-random numbers (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n
    }

    /// Returns a length that is often 0 or small, and sometimes large.
    fn len(&mut self) -> usize {
        let most = [1, 2, 200, 3000, 40_000][self.below(5)];
        self.below(most)
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.below(256) as u8).collect()
    }
}

/// Sends `data` from the peer, in messages and fragments of random lengths, with Pings between them.
fn send_in_messages(peer: &mut Peer, mut data: &[u8], random: &mut Random) {
    while !data.is_empty() {
        let fin = random.below(3) > 0;
        let (now, later) = data.split_at(random.len().min(data.len()));
        peer.connection.send_fragment(MessageKind::Binary, now, fin || later.is_empty()).unwrap();
        if random.below(4) == 0 {
            peer.connection.ping(Instant::ZERO, b"alive?").unwrap();
            peer.say();
        }
        data = later;
    }
    peer.say();
}

/// Runs `first`, and `second` if there is one, while the peer reads at most `most` bytes in each millisecond. Returns
/// the result of `first`.
fn run_with_peer<T>(
    clock: &Clock,
    peer: &mut Peer,
    most: usize,
    first: impl Future<Output = T>,
    second: Option<Pin<&mut dyn Future<Output = ()>>>,
) -> T {
    let mut pumping = pin!(async {
        loop {
            sleep(clock, ms(1)).await;
            peer.pump_some(most);
        }
    });
    let mut nothing = pin!(async {});
    let second = second.unwrap_or(nothing.as_mut());
    run(clock, first, &mut [second, pumping.as_mut()])
}

fn received(peer: &Peer) -> Vec<u8> {
    let data = peer.messages().into_iter().map(|message| match message {
        Heard::Binary(data) => data,
        other => panic!("{other:?}"),
    });
    data.flatten().collect()
}

/// Reads all data with reads of random sizes. Each read copies data into a buffer, or takes data in place.
async fn read_all(stream: &mut (impl AsyncBufRead + Unpin), random: &mut Random) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let read = if random.below(2) == 0 {
            let mut to = vec![0; 1 + random.len()];
            let len = stream.read(&mut to).await.unwrap();
            all.extend(&to[..len]);
            len
        } else {
            let data = stream.fill_buf().await.unwrap();
            let len = if data.is_empty() { 0 } else { 1 + random.below(data.len()) };
            all.extend(&data[..len]);
            stream.consume(len);
            len
        };
        if read == 0 {
            return all;
        }
    }
}

#[test]
fn any_messages_and_any_reads_give_the_same_bytes() {
    for seed in 1..200 {
        let mut random = Random(seed);
        let behavior = Behavior {
            piece: [1, 100, usize::MAX][random.below(3)].max(random.len()),
            hesitant: random.below(2) == 0,
            ..Behavior::default()
        };
        let (clock, mut bytes, mut peer) = bytes_pair(ROLES[random.below(2)], behavior, patient());
        let len = random.len() * 2;
        let data = random.bytes(len);
        send_in_messages(&mut peer, &data, &mut random);
        peer.connection.close(Instant::ZERO, CloseCode::NORMAL, "").unwrap();
        peer.say();
        let read = block_on(&clock, read_all(&mut bytes, &mut random));
        assert!(read == data, "seed {seed}");
        // Each further read returns the end again.
        assert_eq!(block_on(&clock, bytes.read(&mut [0; 9])).unwrap(), 0);
        peer.end.end();
        block_on(&clock, bytes.close()).unwrap();
        peer.pump();
        assert!(peer.heard.contains(&Heard::Close(1000)), "seed {seed}: {:?}", peer.heard);
    }
}

#[cfg(feature = "deflate")]
#[test]
fn s7692_7_compressed_messages_give_the_same_bytes() {
    for seed in 1..50 {
        let mut random = Random(seed);
        let role = ROLES[random.below(2)];
        let behavior = Behavior { piece: 1 + random.len(), ..Behavior::default() };
        let (clock, ws, mut peer) = pair_with(role, behavior, patient(), true);
        let mut bytes = ws.into_byte_stream();
        // Most of the data is one letter, so compression shortens the data.
        let len = random.len() * 3;
        let data: Vec<u8> =
            (0..len).map(|n| if n % 7 == 0 { random.below(256) as u8 } else { b'x' }).collect();
        let (first, second) = data.split_at(len / 2);
        send_in_messages(&mut peer, first, &mut random);
        peer.connection.send_binary(second).unwrap();
        peer.connection.close(Instant::ZERO, CloseCode::NORMAL, "").unwrap();
        peer.say();
        assert!(block_on(&clock, read_all(&mut bytes, &mut random)) == data, "seed {seed}");
    }
}

#[test]
fn any_writes_arrive_as_the_same_bytes() {
    for seed in 1..200 {
        let mut random = Random(seed);
        // A stream that hesitates wakes its task each time. If the stream were also full, its task would always be
        // awake, and the virtual time would not move.
        let hesitant = random.below(2) == 0;
        let behavior = Behavior {
            piece: [30 + random.len(), usize::MAX][random.below(2)],
            hesitant,
            capacity: if hesitant { usize::MAX } else { 50 + random.len() },
            keeps: random.below(3) == 0,
            ..Behavior::default()
        };
        let role = ROLES[random.below(2)];
        let (clock, mut bytes, mut peer) = bytes_pair(role, behavior, patient().high_water(random.len()));
        let len = random.len() * 3;
        let data = random.bytes(len);
        let writing = async {
            let mut rest = &data[..];
            while !rest.is_empty() {
                let (now, _) = rest.split_at((1 + random.len()).min(rest.len()));
                let len = if random.below(3) == 0 {
                    let (first, second) = now.split_at(random.below(now.len() + 1));
                    bytes.write_vectored(&[IoSlice::new(first), IoSlice::new(second)]).await
                } else {
                    bytes.write(now).await
                };
                rest = &rest[len.unwrap()..];
                if random.below(5) == 0 {
                    bytes.flush().await.unwrap();
                }
            }
            bytes.close().await.unwrap();
            // The peer has answered the Close, so the data ends.
            assert_eq!(bytes.read(&mut [0]).await.unwrap(), 0);
        };
        run_with_peer(&clock, &mut peer, 20_000, writing, None);
        assert!(received(&peer) == data, "seed {seed}");
        assert!(peer.heard.contains(&Heard::Close(1000)));
    }
}

#[test]
fn one_write_is_one_message_of_at_most_64_kib() {
    for role in ROLES {
        let (clock, mut bytes, mut peer) = bytes_pair(role, Behavior::default(), patient());
        block_on(&clock, async {
            assert_eq!(bytes.write(b"").await.unwrap(), 0);
            assert_eq!(bytes.write(b"one").await.unwrap(), 3);
            let slices = [&b"tw"[..], b"", b"o"].map(IoSlice::new);
            assert_eq!(bytes.write_vectored(&slices).await.unwrap(), 3);
            assert_eq!(bytes.write(&[5; 70_000]).await.unwrap(), 65_536);
            let halves = [&[1; 40_000][..], &[2; 40_000]].map(IoSlice::new);
            assert_eq!(bytes.write_vectored(&halves).await.unwrap(), 65_536);
        });
        peer.pump();
        let joined = [&[1; 40_000][..], &[2; 25_536]].concat();
        let expected = [b"one".to_vec(), b"two".to_vec(), vec![5; 65_536], joined];
        assert!(peer.messages() == expected.map(Heard::Binary));
    }
}

/// A program may never flush, so each write must reach the stream at once.
#[test]
fn a_write_reaches_the_stream_without_a_flush() {
    for role in ROLES {
        let (_, mut bytes, mut peer) = bytes_pair(role, Behavior::default(), patient());
        for n in 1..10 {
            assert!(poll_once(bytes.write(b"now")).is_ready());
            peer.pump();
            assert_eq!(received(&peer), b"now".repeat(n));
        }
    }
}

#[test]
fn small_messages_that_have_arrived_are_returned_by_one_read() {
    let (clock, mut bytes, mut peer) = bytes_pair(Role::Server, Behavior::default(), patient());
    for message in ["a", "", "bc", "def"] {
        peer.connection.send_binary(message.as_bytes()).unwrap();
        peer.connection.ping(Instant::ZERO, b"").unwrap();
    }
    peer.say();
    let mut to = [0; 100];
    assert_eq!(block_on(&clock, bytes.read(&mut to)).unwrap(), 6);
    assert_eq!(&to[..6], b"abcdef");
    assert!(poll_once(bytes.read(&mut to)).is_pending());
    peer.pump();
    assert_eq!(peer.heard.iter().filter(|heard| matches!(heard, Heard::Pong(_))).count(), 4);
    // A read into an empty buffer returns at once.
    assert!(matches!(poll_once(bytes.read(&mut [])), Poll::Ready(Ok(0))));
}

#[test]
fn data_is_returned_before_its_message_has_arrived() {
    let (clock, mut bytes, peer) = bytes_pair(Role::Client, Behavior::default(), patient());
    // The header announces 16 MiB.
    peer.end.arrive(b"\x82\x7f\0\0\0\0\x01\0\0\0begin");
    let data = block_on(&clock, bytes.fill_buf()).unwrap();
    assert_eq!(data, b"begin");
    bytes.consume(2);
    assert_eq!(bytes.buffer(), b"gin");
    // A dropped read loses nothing.
    bytes.consume(3);
    assert!(poll_once(bytes.read(&mut [0; 10])).is_pending());
    peer.end.arrive(b"middle");
    assert!(matches!(poll_once(bytes.read(&mut [0; 2])), Poll::Ready(Ok(2))));
    assert_eq!(bytes.buffer(), b"ddle");
}

/// Returns the error of a read, and checks that each further read returns the same error.
fn end_of(clock: &Clock, bytes: &mut Bytes) -> (ErrorKind, ByteStreamError) {
    let error = |bytes: &mut Bytes| {
        let error = block_on(clock, bytes.read(&mut [0; 10])).unwrap_err();
        (error.kind(), error.get_ref().unwrap().downcast_ref::<ByteStreamError>().unwrap().clone())
    };
    let first = error(bytes);
    assert_eq!(error(bytes), first);
    assert_eq!(block_on(clock, bytes.fill_buf()).unwrap_err().kind(), first.0);
    first
}

#[test]
fn s7_4_the_code_of_the_peer_decides_whether_the_data_is_complete() {
    for role in ROLES {
        for (code, reason) in [
            (None, ""),
            (Some(1000), "done"),
            (Some(1001), ""),
            (Some(1011), "upstream is gone"),
            (Some(1003), ""),
            (Some(4000), "\u{1b}"),
        ] {
            let (clock, mut bytes, mut peer) = bytes_pair(role, Behavior::default(), patient());
            peer.connection.send_binary(b"data").unwrap();
            peer.connection.close(Instant::ZERO, code.map(CloseCode::new), reason).unwrap();
            peer.say();
            let mut data = [0; 4];
            block_on(&clock, bytes.read_exact(&mut data)).unwrap();
            assert_eq!(&data, b"data");
            if code.is_none_or(|code| code == 1000) {
                assert_eq!(block_on(&clock, bytes.read(&mut data)).unwrap(), 0);
            } else {
                let (kind, error) = end_of(&clock, &mut bytes);
                assert_eq!(kind, ErrorKind::ConnectionAborted);
                let ByteStreamError::Closed(close) = &error else { panic!("{error:?}") };
                assert_eq!((close.code, close.reason.as_str()), (code.map(CloseCode::new), reason));
                let text = error.to_string();
                assert!(text.contains(&code.unwrap().to_string()), "{text}");
                assert!(!text.contains('\u{1b}') && text.contains(reason) == (reason != "\u{1b}"), "{text}");
            }
            // The answer was written when the Close arrived.
            peer.pump();
            assert_eq!(peer.heard.first(), Some(&Heard::Close(code.unwrap_or(1005))));
            // RFC 6455 5.5.1: nothing can be sent after the answer.
            let error = block_on(&clock, bytes.write(b"late")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
            assert_eq!(error.get_ref().unwrap().downcast_ref(), Some(&SendError::Closed));
            assert_eq!(bytes.get_ref().ready_state(), ReadyState::Closing);
        }
    }
}

#[test]
fn s7_1_5_an_end_without_a_close_is_an_error_and_never_the_end_of_the_data() {
    for role in ROLES {
        let len = if role == Role::Server { 0x83 } else { 3 };
        for wire in [&[][..], &[2], &[2, len]] {
            for resets in [false, true] {
                let (clock, mut bytes, peer) = bytes_pair(role, Behavior::default(), patient());
                peer.end.arrive(wire);
                assert!(poll_once(bytes.read(&mut [0; 10])).is_pending());
                if resets {
                    peer.end.reset();
                    // The first read returns the error of the stream.
                    let error = block_on(&clock, bytes.read(&mut [0; 10])).unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
                } else {
                    peer.end.end();
                }
                let (kind, error) = end_of(&clock, &mut bytes);
                assert_eq!(kind, ErrorKind::UnexpectedEof);
                assert!(matches!(error, ByteStreamError::Ended(Outcome::Abnormal(_))), "{error}");
            }
        }
    }
}

#[test]
fn s5_4_a_close_after_an_empty_first_fragment_is_not_the_end_of_the_data() {
    for role in ROLES {
        let wire = match role {
            Role::Server => &[2, 0x80, 0, 0, 0, 0, 0x88, 0x82, 0, 0, 0, 0, 3, 232][..],
            Role::Client => &[2, 0, 0x88, 2, 3, 232],
        };
        let (clock, mut bytes, peer) = bytes_pair(role, Behavior::default(), patient());
        peer.end.arrive(wire);
        let (kind, error) = end_of(&clock, &mut bytes);
        assert_eq!(kind, ErrorKind::UnexpectedEof);
        assert!(matches!(error, ByteStreamError::ClosedInMessage(_)), "{error}");
    }
}

#[test]
fn data_before_an_abnormal_end_is_returned() {
    let (clock, mut bytes, mut peer) = bytes_pair(Role::Server, Behavior::default(), patient());
    peer.connection.send_fragment(MessageKind::Binary, b"half", false).unwrap();
    peer.say();
    peer.end.end();
    let mut all = Vec::new();
    let error = block_on(&clock, bytes.read_to_end(&mut all)).unwrap_err();
    assert_eq!((&all[..], error.kind()), (&b"half"[..], ErrorKind::UnexpectedEof));
}

#[test]
fn s5_5_2_a_read_from_a_silent_peer_fails_as_aborted_and_not_as_timed_out() {
    let (clock, mut bytes, _peer) = bytes_pair(Role::Server, Behavior::default(), Config::new());
    let (kind, error) = end_of(&clock, &mut bytes);
    assert_eq!(kind, ErrorKind::ConnectionAborted);
    assert_eq!(error, ByteStreamError::Ended(Outcome::TimedOut(TimerKind::Pong)));
}

#[test]
fn s7_4_1_text_is_refused_once_the_data_before_it_was_read() {
    for role in ROLES {
        let (clock, mut bytes, mut peer) = bytes_pair(role, Behavior::default(), patient());
        peer.connection.send_binary(b"data").unwrap();
        peer.connection.send_text("hello").unwrap();
        peer.connection.send_binary(b"more").unwrap();
        peer.say();
        let mut data = [0; 100];
        assert_eq!(block_on(&clock, bytes.read(&mut data)).unwrap(), 4);
        let (kind, error) = end_of(&clock, &mut bytes);
        assert_eq!(
            (kind, error),
            (ErrorKind::InvalidData, ByteStreamError::Protocol(ProtocolError::TextNotAccepted))
        );
        peer.pump();
        assert_eq!(peer.heard, [Heard::Close(1003)]);
    }
}

#[test]
fn s5_2_a_violation_is_an_error_of_invalid_data() {
    let (clock, mut bytes, mut peer) = bytes_pair(Role::Client, Behavior::default(), patient());
    peer.end.arrive(b"\x82\x01a\x83\x00");
    let mut data = [0; 100];
    assert_eq!(block_on(&clock, bytes.read(&mut data)).unwrap(), 1);
    let (kind, error) = end_of(&clock, &mut bytes);
    assert_eq!(
        (kind, error),
        (ErrorKind::InvalidData, ByteStreamError::Protocol(ProtocolError::UnknownOpcode(3)))
    );
    peer.pump();
    assert_eq!(peer.heard, [Heard::Close(1002)]);
    // The shutdown waits until the peer ends the stream.
    peer.end.end();
    block_on(&clock, bytes.close()).unwrap();
    assert!(matches!(bytes.get_ref().outcome(), Some(Outcome::Failed(_))));
}

#[test]
fn s5_5_2_pings_are_answered_while_data_is_read() {
    let (clock, mut bytes, mut peer) = bytes_pair(Role::Server, Behavior::default(), patient());
    let part = |fin, opcode: Opcode, payload: &[u8]| {
        let first = if fin { 0x80 } else { 0 } | opcode as u8;
        [&[first, 0x80 | payload.len() as u8, 0, 0, 0, 0], payload].concat()
    };
    peer.end.arrive(&part(false, Opcode::Binary, b"a"));
    peer.end.arrive(&part(true, Opcode::Ping, b"middle"));
    let mut to = [0; 10];
    assert_eq!(block_on(&clock, bytes.read(&mut to)).unwrap(), 1);
    assert!(poll_once(bytes.read(&mut to)).is_pending());
    peer.pump();
    assert_eq!(peer.heard, [Heard::Pong(b"middle".into())]);
}

#[test]
fn a_peer_that_does_not_read_stops_the_writer_at_the_high_water_mark() {
    for role in ROLES {
        let behavior = Behavior { capacity: 1000, ..Behavior::default() };
        let (clock, mut bytes, mut peer) = bytes_pair(role, behavior, patient().high_water(10_000));
        let mut sent = 0;
        while let Poll::Ready(written) = poll_once(bytes.write(&[7; 3000])) {
            sent += written.unwrap();
            assert!(sent < 1 << 20, "the writer is never stopped");
        }
        let buffered = bytes.get_ref().buffered_amount();
        assert!((10_000..13_100).contains(&buffered), "{buffered}");
        assert!(poll_once(bytes.flush()).is_pending());
        // The pending write has queued nothing.
        assert_eq!(bytes.get_ref().buffered_amount(), buffered);
        run_with_peer(&clock, &mut peer, usize::MAX, bytes.flush(), None).unwrap();
        peer.pump();
        assert_eq!(received(&peer).len(), sent);
    }
}

/// RFC 6455 1.4: data is received until the peer's Close.
#[test]
fn s1_4_data_is_read_after_the_shutdown_until_the_peer_closes() {
    for role in ROLES {
        let (clock, mut bytes, mut peer) = bytes_pair(role, Behavior::default(), patient());
        assert!(poll_once(bytes.read(&mut [0; 10])).is_pending());
        // The shutdown does not wait for the peer, because there may be data to read.
        assert!(matches!(poll_once(bytes.close()), Poll::Ready(Ok(()))));
        assert!(matches!(poll_once(bytes.close()), Poll::Ready(Ok(()))));
        assert_eq!(block_on(&clock, bytes.write(b"late")).unwrap_err().kind(), ErrorKind::BrokenPipe);
        peer.connection.send_binary(b"before the answer").unwrap();
        peer.say();
        let mut to = [0; 100];
        assert_eq!(block_on(&clock, bytes.read(&mut to)).unwrap(), 17);
        assert!(poll_once(bytes.read(&mut to)).is_pending());
        peer.pump();
        assert_eq!(peer.heard, [Heard::Close(1000)]);
        assert_eq!(block_on(&clock, bytes.read(&mut to)).unwrap(), 0);
        peer.end.end();
        block_on(&clock, bytes.close()).unwrap();
        assert!(bytes.get_ref().outcome().unwrap().is_clean());
    }
}

#[test]
fn s7_1_1_a_shutdown_after_the_close_of_the_peer_waits_for_the_end() {
    let (clock, mut bytes, mut peer) = bytes_pair(Role::Server, Behavior::default(), Config::new());
    peer.connection.close(Instant::ZERO, CloseCode::NORMAL, "").unwrap();
    peer.say();
    assert_eq!(block_on(&clock, bytes.read(&mut [0; 10])).unwrap(), 0);
    assert!(peer.end.state.lock().unwrap().shut_down, "the server has not closed its sending direction");
    assert!(poll_once(bytes.close()).is_pending());
    peer.end.end();
    block_on(&clock, bytes.close()).unwrap();
    assert!(bytes.get_ref().outcome().unwrap().is_clean());
    // The close timeout bounds the wait for a client that does not end the stream.
    let (clock, mut bytes, mut peer) = bytes_pair(Role::Server, Behavior::default(), Config::new());
    peer.connection.close(Instant::ZERO, CloseCode::NORMAL, "").unwrap();
    peer.say();
    assert_eq!(block_on(&clock, bytes.read(&mut [0; 10])).unwrap(), 0);
    block_on(&clock, bytes.close()).unwrap();
    assert_eq!(clock.seconds(), 10);
}

/// The peer closes and does not read. At the end of the connection our queue is dropped, and the next calls of the
/// writer return an error.
#[test]
fn s5_5_1_data_that_is_dropped_because_the_peer_closes_is_reported() {
    let behavior = Behavior { capacity: 100, ..Behavior::default() };
    let (clock, mut bytes, mut peer) = bytes_pair(Role::Server, behavior, Config::new());
    for _ in 0..3 {
        assert!(poll_once(bytes.write(&[1; 1000])).is_ready());
    }
    assert!(poll_once(bytes.flush()).is_pending());
    peer.connection.close(Instant::ZERO, CloseCode::NORMAL, "").unwrap();
    peer.say();
    assert_eq!(block_on(&clock, bytes.read(&mut [0; 10])).unwrap(), 0);
    assert_eq!(block_on(&clock, bytes.flush()).unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert_eq!(clock.seconds(), 10);
    assert_eq!(block_on(&clock, bytes.close()).unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[test]
fn two_tasks_read_and_write_over_a_narrow_pipe() {
    for role in ROLES {
        for by_tokio in [false, true] {
            let behavior = Behavior { capacity: 64, piece: 13, ..Behavior::default() };
            let (clock, bytes, mut peer) = bytes_pair(role, behavior, Config::new().high_water(200));
            let (to_send, to_receive) = (letters(5000), letters(3000));
            for piece in to_receive.as_bytes().chunks(100) {
                peer.connection.send_binary(piece).unwrap();
            }
            let read = if by_tokio {
                with_tokio_halves(&clock, bytes, &to_send, &mut peer)
            } else {
                let (mut reading, mut writing) = smol::io::split(bytes);
                let mut sending = pin!(async {
                    for piece in to_send.as_bytes().chunks(70) {
                        writing.write_all(piece).await.unwrap();
                    }
                    writing.close().await.unwrap();
                });
                let receiving = async {
                    let mut all = Vec::new();
                    reading.read_to_end(&mut all).await.unwrap();
                    all
                };
                run_with_peer(&clock, &mut peer, 40, receiving, Some(sending.as_mut()))
            };
            assert!(read == to_receive.as_bytes(), "{role:?}, tokio {by_tokio}");
            assert!(received(&peer) == to_send.as_bytes(), "{role:?}, tokio {by_tokio}");
        }
    }
}

/// Sends `to_send` and reads to the end, with the halves of `tokio::io::split`.
#[cfg(feature = "tokio")]
fn with_tokio_halves(clock: &Clock, bytes: Bytes, to_send: &str, peer: &mut Peer) -> Vec<u8> {
    let (mut reading, mut writing) = tokio::io::split(bytes);
    let mut sending = pin!(async {
        use tokio::io::AsyncWriteExt;
        for piece in to_send.as_bytes().chunks(70) {
            writing.write_all(piece).await.unwrap();
        }
        writing.shutdown().await.unwrap();
    });
    let receiving = async {
        let mut all = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut reading, &mut all).await.unwrap();
        all
    };
    run_with_peer(clock, peer, 40, receiving, Some(sending.as_mut()))
}

#[cfg(not(feature = "tokio"))]
fn with_tokio_halves(clock: &Clock, mut bytes: Bytes, to_send: &str, peer: &mut Peer) -> Vec<u8> {
    let both = async {
        bytes.write_all(to_send.as_bytes()).await.unwrap();
        bytes.close().await.unwrap();
        let mut all = Vec::new();
        bytes.read_to_end(&mut all).await.unwrap();
        all
    };
    run_with_peer(clock, peer, 40, both, None)
}

async fn write_until_error(stream: &mut (impl AsyncWrite + Unpin)) -> ErrorKind {
    for _ in 0..1000 {
        if let Err(error) = stream.write_all(&[0; 100]).await {
            return error.kind();
        }
    }
    panic!("the stream takes everything")
}

/// The reading task sees the peer's Close, and the waiting write then fails. In the second part a timer of the waiting
/// write ends the connection, and the waiting read then fails.
#[test]
fn two_tasks_learn_of_the_end_from_each_other() {
    for role in ROLES {
        let behavior = Behavior { capacity: 100, ..Behavior::default() };
        let (clock, bytes, mut peer) = bytes_pair(role, behavior.clone(), patient().high_water(100));
        let (mut reading, mut writing) = smol::io::split(bytes);
        let mut closing = pin!(async {
            sleep(&clock, ms(5)).await;
            peer.connection.close(Instant::ZERO, CloseCode::NORMAL, "").unwrap();
            peer.say();
            std::future::pending().await
        });
        let mut receiving = pin!(async {
            assert_eq!(reading.read(&mut [0; 10]).await.unwrap(), 0);
        });
        let sending = async { write_until_error(&mut writing).await };
        let error = run(&clock, sending, &mut [receiving.as_mut(), closing.as_mut()]);
        assert_eq!(error, ErrorKind::BrokenPipe);

        // The peer is silent, so the Pong timer ends the connection.
        let (clock, bytes, _peer) = bytes_pair(role, behavior, Config::new().high_water(100));
        let (mut reading, mut writing) = smol::io::split(bytes);
        let mut sending = pin!(async {
            write_until_error(&mut writing).await;
        });
        let receiving = async { reading.read(&mut [0; 10]).await.unwrap_err().kind() };
        assert_eq!(run(&clock, receiving, &mut [sending.as_mut()]), ErrorKind::ConnectionAborted);
    }
}

/// A stream whose writes fail, although it still has input.
#[derive(Debug)]
struct BrokenOutput(End);

impl AsyncRead for BrokenOutput {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut [u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(cx, to)
    }
}

impl AsyncWrite for BrokenOutput {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Err(ErrorKind::BrokenPipe.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn a_failed_write_does_not_end_the_reading() {
    let (clock, end) = (Clock::default(), End::new(Behavior::default()));
    let ws = WebSocket::from_parts(
        BrokenOutput(end.clone()),
        clock.clone(),
        connection(Role::Client, patient()),
        Inbox::empty(),
    );
    let mut bytes = ws.into_byte_stream();
    // The Pong cannot be written. The read then waits for more data.
    end.arrive(b"\x89\x00");
    assert!(poll_once(bytes.read(&mut [0; 10])).is_pending());
    end.arrive(b"\x82\x04data\x88\x02\x03\xe8");
    let mut all = Vec::new();
    block_on(&clock, bytes.read_to_end(&mut all)).unwrap();
    assert_eq!(all, b"data");
    assert_eq!(block_on(&clock, bytes.write(b"x")).unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[test]
fn a_stream_that_reports_too_many_bytes_causes_an_error_of_the_half_that_called_it() {
    let has_bug =
        |error: &std::io::Error| error.kind() == ErrorKind::InvalidData && error.to_string().contains("bug");
    for role in ROLES {
        for reads in [true, false] {
            let clock = Clock::default();
            let connection = connection(role, patient());
            let ws = WebSocket::from_parts(Liar { reads }, clock.clone(), connection, Inbox::empty());
            let (mut reading, mut writing) = smol::io::split(ws.into_byte_stream());
            if reads {
                let error = block_on(&clock, reading.read(&mut [0; 10])).unwrap_err();
                assert!(has_bug(&error), "{error}");
                let error = block_on(&clock, reading.read(&mut [0; 10])).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
                // The result depends on whether the connection has ended. The stream itself takes all bytes.
                let _ = block_on(&clock, writing.write(b"late"));
            } else {
                // Large data is written without a copy.
                let data = vec![1; 10 + 100_000 * usize::from(role == Role::Server)];
                let error = block_on(&clock, async {
                    loop {
                        if let Err(error) = writing.write(&data).await {
                            break error;
                        }
                    }
                });
                assert!(has_bug(&error), "{error}");
                block_on(&clock, writing.write(&data)).unwrap_err();
                assert!(poll_once(reading.read(&mut [0; 10])).is_pending());
            }
        }
    }
}

#[test]
fn into_inner_returns_a_websocket_that_works() {
    let (clock, bytes, mut peer) = bytes_pair(Role::Server, Behavior::default(), patient());
    peer.connection.send_text("text").unwrap();
    peer.connection.send_binary(b"bytes").unwrap();
    peer.connection.send_text("text").unwrap();
    peer.say();
    let mut ws = bytes.into_inner();
    assert_eq!(block_on(&clock, ws.recv()).unwrap(), Some("text".into()));
    let mut bytes = ws.into_byte_stream();
    assert_eq!(block_on(&clock, bytes.read(&mut [0; 10])).unwrap(), 5);
    // The text that follows was decoded together with the data, so it is refused.
    let mut ws = bytes.into_inner();
    peer.end.end();
    assert!(!block_on(&clock, ws.wait_closed()).unwrap().is_clean());
}

#[test]
fn a_byte_stream_of_an_ended_websocket_returns_its_end() {
    let end = |close: Option<u16>| {
        let (clock, mut ws, mut peer) = pair(Role::Client, Behavior::default(), patient());
        if let Some(code) = close {
            peer.connection.close(Instant::ZERO, CloseCode::new(code), "").unwrap();
            peer.say();
        }
        peer.end.end();
        assert_eq!(block_on(&clock, ws.recv()).unwrap(), None);
        let mut bytes = ws.into_byte_stream();
        block_on(&clock, bytes.read(&mut [0; 10])).map_err(|error| error.kind())
    };
    assert_eq!(end(Some(1000)), Ok(0));
    assert_eq!(end(Some(1011)), Err(ErrorKind::ConnectionAborted));
    assert_eq!(end(None), Err(ErrorKind::UnexpectedEof));
}

/// A task that reads and writes at the same time must be woken for both.
#[test]
fn one_task_can_read_and_write_at_the_same_time() {
    let behavior = Behavior { capacity: 20, ..Behavior::default() };
    let (clock, bytes, mut peer) = bytes_pair(Role::Server, behavior, patient().high_water(100));
    let (mut reading, mut writing) = smol::io::split(bytes);
    let mut pumping = pin!(async {
        for _ in 0..1000 {
            sleep(&clock, ms(1)).await;
            let _ = peer.connection.ping(Instant::ZERO, b"?");
            peer.pump_some(20);
        }
    });
    let joined = async {
        let sending = async {
            writing.write_all(&[1; 2000]).await.unwrap();
            writing.close().await.unwrap();
        };
        let receiving = async { while reading.read(&mut [0; 10]).await.unwrap() > 0 {} };
        futures_util::future::join(receiving, sending).await;
    };
    run(&clock, joined, &mut [pumping.as_mut()]);
}

#[test]
fn a_read_does_not_poll_the_stream_while_data_is_left() {
    let (_, mut bytes, mut peer) = bytes_pair(Role::Server, Behavior::default(), patient());
    peer.connection.send_binary(&[1; 1000]).unwrap();
    peer.say();
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut bytes).poll_fill_buf(cx).is_ready());
    let calls = peer.end.state.lock().unwrap().calls;
    for left in (1..=10).rev() {
        let Poll::Ready(Ok(data)) = Pin::new(&mut bytes).poll_fill_buf(cx) else { panic!() };
        assert_eq!(data.len(), 100 * left);
        Pin::new(&mut bytes).consume(100);
    }
    assert_eq!(peer.end.state.lock().unwrap().calls, calls);
}

/// Tunnels over TCP: an application speaks TCP to a tunnel, which speaks to another tunnel through a WebSocket.
#[cfg(feature = "tokio")]
mod over_tcp {
    use std::io::ErrorKind;
    use std::time::Duration;

    use hybi::CloseCode;
    use hybi::adapters::tokio::{ByteStreamError, accept, connect};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    use super::Random;

    const TIME: Duration = Duration::from_secs(30);

    async fn listen() -> (TcpListener, std::net::SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    #[tokio::test]
    async fn an_application_talks_to_an_echo_server_through_two_tunnels() {
        let (echo, echo_address) = listen().await;
        let (server, server_address) = listen().await;
        let (client, client_address) = listen().await;
        let echoing = tokio::spawn(async move {
            let (mut from, mut to) = echo.accept().await.unwrap().0.into_split();
            tokio::io::copy(&mut from, &mut to).await.unwrap()
        });
        let serving = tokio::spawn(async move {
            let mut bytes = accept(server.accept().await.unwrap().0).await.unwrap().into_byte_stream();
            let mut tcp = TcpStream::connect(echo_address).await.unwrap();
            copy_bidirectional(&mut bytes, &mut tcp).await.unwrap()
        });
        let tunnelling = tokio::spawn(async move {
            let mut tcp = client.accept().await.unwrap().0;
            let mut bytes = connect(&format!("ws://{server_address}/")).await.unwrap().into_byte_stream();
            copy_bidirectional(&mut tcp, &mut bytes).await.unwrap()
        });
        let (mut from, mut to) = TcpStream::connect(client_address).await.unwrap().into_split();
        let data = Random(3).bytes(3_000_000);
        let sent = data.clone();
        // The application reads all answers before it ends its sending direction, because a WebSocket has no
        // half-close.
        let sending = tokio::spawn(async move {
            to.write_all(&sent).await.unwrap();
            to
        });
        let mut received = vec![0; data.len()];
        timeout(TIME, from.read_exact(&mut received)).await.unwrap().unwrap();
        assert!(received == data);
        sending.await.unwrap().shutdown().await.unwrap();
        assert_eq!(timeout(TIME, from.read(&mut [0])).await.unwrap().unwrap(), 0);
        let len = data.len() as u64;
        for task in [serving, tunnelling] {
            assert_eq!(timeout(TIME, task).await.unwrap().unwrap(), (len, len));
        }
        assert_eq!(timeout(TIME, echoing).await.unwrap().unwrap(), len);
    }

    #[tokio::test]
    async fn a_tunnel_whose_peer_vanishes_returns_an_error() {
        let (server, address) = listen().await;
        let serving = tokio::spawn(async move {
            let mut bytes = accept(server.accept().await.unwrap().0).await.unwrap().into_byte_stream();
            let (mut application, mut tunnel) = tokio::io::duplex(100);
            let tunnelling = async { copy_bidirectional(&mut bytes, &mut tunnel).await };
            let talking = async {
                let mut data = [0; 4];
                application.read_exact(&mut data).await.unwrap();
                data
            };
            tokio::join!(tunnelling, talking)
        });
        let mut ws = connect(&format!("ws://{address}/")).await.unwrap();
        ws.send_binary(b"data").await.unwrap();
        drop(ws);
        let (ended, data) = timeout(TIME, serving).await.unwrap().unwrap();
        assert_eq!((ended.unwrap_err().kind(), &data), (ErrorKind::UnexpectedEof, b"data"));
    }

    #[tokio::test]
    async fn a_tunnel_that_the_peer_closes_with_an_error_returns_the_code() {
        let (server, address) = listen().await;
        let serving = tokio::spawn(async move {
            let mut bytes = accept(server.accept().await.unwrap().0).await.unwrap().into_byte_stream();
            let mut all = Vec::new();
            let error = bytes.read_to_end(&mut all).await.unwrap_err();
            bytes.shutdown().await.unwrap();
            (all, error, bytes.into_inner())
        });
        let mut ws = connect(&format!("ws://{address}/")).await.unwrap();
        ws.send_binary(b"data").await.unwrap();
        ws.close(CloseCode::BAD_GATEWAY, "no such host").await.unwrap();
        ws.wait_closed().await.unwrap();
        drop(ws);
        let (all, error, ws) = timeout(TIME, serving).await.unwrap().unwrap();
        assert_eq!(all, b"data");
        let inner = error.get_ref().unwrap().downcast_ref();
        let Some(ByteStreamError::Closed(close)) = inner else { panic!("{error}") };
        assert_eq!((close.code, close.reason.as_str()), (Some(CloseCode::BAD_GATEWAY), "no such host"));
        assert!(ws.outcome().unwrap().is_clean());
    }
}
