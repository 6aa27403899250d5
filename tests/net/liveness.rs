//! Liveness in the blocking adapter: dead peers are detected in time, and live peers are never given up.
//!
//! All tests run on the virtual time of `virtual_stream.rs`. They cover calls that only send, only receive or do both.
//! Streams are in blocking or non-blocking mode, and some WebSockets are split. `tests/async_adapters/liveness.rs` has
//! the same tests for the asynchronous adapters.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use hybi::adapters::net::{Error, Reader, Stream, WebSocket, Writer};
use hybi::{
    CloseCode, Config, Connection, Event, Inbox, Instant, Outbox, Outcome, ReadyState, SendError, TimerKind,
};

use crate::common::*;
use crate::virtual_stream::*;

const SECOND: Duration = Duration::from_secs(1);
const DEAD: Outcome = Outcome::TimedOut(TimerKind::Pong);

fn quick() -> Config {
    Config::new().ping_interval(Some(ms(500))).pong_timeout(Some(ms(700)))
}

/// Returns a stream whose peer reads everything and sends nothing.
fn silent() -> Virtual {
    Virtual::new(1 << 20, |peer| {
        peer.read(usize::MAX);
        peer.wake_at = Some(peer.now + ms(1));
    })
}

/// Returns a stream whose peer reads `n` bytes every `pause`, and answers Pings.
fn slow(n: usize, pause: Duration) -> Virtual {
    Virtual::new(64 << 10, move |peer| {
        peer.read(n);
        peer.answer_pings();
        peer.wake_at = Some(peer.now + pause);
    })
}

fn near(time: Duration, expected: Duration) {
    assert!(time >= expected && time <= expected + ms(40), "the time is {time:?}, expected {expected:?}");
}

fn is_closed<T>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::Send(SendError::Closed)))
}

#[test]
fn s7_1_1_a_silent_peer_is_reported_when_the_pong_is_overdue() {
    for (config, died) in [(quick(), ms(1200)), (Config::new(), 60 * SECOND)] {
        let stream = silent();
        let mut ws = stream.server(config.clone());
        assert!(matches!(ws.next_event().unwrap(), Some((Event::Closed(DEAD), _))));
        near(stream.now(), died);
        // The connection ended without waiting for the peer's Close, but our Close was written.
        let last = stream.peer(|peer| {
            peer.read(usize::MAX);
            peer.frames().pop().unwrap()
        });
        assert_eq!((last.0, &last.1[..2]), (0x88, &1011_u16.to_be_bytes()[..]));
        assert_eq!(stream.peer(|peer| peer.closed), Some(Closed::Both));

        let stream = silent();
        let (mut reader, mut writer) = stream.server(config).split().unwrap();
        assert_eq!(reader.recv().unwrap(), None);
        near(stream.now(), died);
        assert_eq!(reader.outcome(), Some(DEAD));
        assert!(is_closed(&writer.send_text("late")));
    }
}

#[test]
fn s7_1_1_a_dead_peer_is_reported_to_a_call_that_only_sends() {
    // The messages are so small that no write ever waits.
    let stream = silent();
    let mut ws = stream.server(quick());
    while ws.send_text("x").is_ok() {
        stream.pass(ms(10));
    }
    near(stream.now(), ms(1200));
    assert_eq!(ws.wait_closed().unwrap(), DEAD);
    near(stream.now(), ms(1200));

    let stream = silent();
    let (mut reader, mut writer) = stream.server(quick()).split().unwrap();
    while writer.send_text("x").is_ok() {
        let _ = reader.recv_timeout(Duration::ZERO);
        stream.pass(ms(10));
    }
    near(stream.now(), ms(1200));
    assert_eq!(reader.wait_closed().unwrap(), DEAD);
    near(stream.now(), ms(1200));
}

#[test]
fn s7_1_1_an_interrupted_call_does_not_delay_the_report_of_a_dead_peer() {
    // The peer shows that it lives when a full stream takes bytes again. An interrupted call does not mean that the
    // stream was full.
    for stream in [silent(), silent().that_may_keep(), silent().holding_back(), silent().keeping()] {
        let stream = stream.interrupted();
        let mut ws = stream.server(quick());
        while ws.send_text("x").is_ok() {
            stream.pass(ms(10));
        }
        near(stream.now(), ms(1200));
        assert_eq!(ws.wait_closed().unwrap(), DEAD);
    }
}

#[test]
fn the_timers_of_halves_count_from_the_time_when_input_was_read() {
    // The peer sends a message at once, and nothing more. The application then pauses for 400 ms. Our Ping is due
    // 500 ms after the message was read.
    for reads_again in [true, false] {
        let stream = Virtual::new(1 << 20, |peer| {
            if peer.now == Duration::ZERO {
                peer.send(&frame(0x81, true, b"?"));
            }
            peer.read(usize::MAX);
            peer.wake_at = Some(peer.now + ms(1));
        });
        let (mut reader, mut writer) = stream.server(quick()).split().unwrap();
        assert_eq!(reader.recv().unwrap(), Some("?".into()));
        stream.pass(ms(400));
        let pings = || stream.peer(|peer| peer.frames().iter().filter(|frame| frame.0 == 0x89).count());
        if reads_again {
            assert!(reader.next_event_timeout(ms(90)).is_err());
            assert_eq!(pings(), 0);
            assert!(reader.next_event_timeout(ms(40)).is_err());
        } else {
            writer.send_text("x").unwrap();
            stream.pass(ms(130));
            assert_eq!(pings(), 0);
            writer.send_text("x").unwrap();
            stream.pass(ms(2));
        }
        assert_eq!(pings(), 1, "{reads_again}");
    }
}

/// Returns a stream whose peer sends a Close after 10 ms, half-closes, and reads nothing. The stream has space for 100
/// bytes.
fn closing() -> Virtual {
    Virtual::new(100, |peer| {
        if peer.now >= ms(10) {
            peer.send(&frame(0x88, true, b""));
            peer.end();
        } else {
            peer.wake_at = Some(ms(10));
        }
    })
}

#[test]
fn s7_1_1_polling_gives_up_a_peer_that_has_half_closed_and_does_not_read() {
    // The answer to the Close waits behind a message for which the stream has no space.
    let config = Config::new().close_timeout(Some(ms(700)));
    for stream in [closing(), closing().blocking()] {
        let mut ws = stream.server(config.clone());
        ws.feed(vec![0; 1000]).unwrap();
        let outcome = loop {
            match ws.next_event_timeout(Duration::ZERO) {
                Ok(Some((Event::Closed(outcome), _))) => break outcome,
                Ok(_) => {}
                Err(error) => {
                    assert!(matches!(&error, Error::Io(error) if error.kind() == ErrorKind::TimedOut))
                }
            }
            stream.pass(ms(5));
        };
        assert!(!outcome.is_clean(), "{outcome}");
        near(stream.now(), ms(710));
    }
    for stream in [closing(), closing().blocking()] {
        let (mut reader, mut writer) = stream.server(config.clone()).split().unwrap();
        writer.feed(vec![0; 1000]).unwrap();
        let outcome = loop {
            match reader.next_event_timeout(Duration::ZERO) {
                Ok(Some(Event::Closed(outcome))) => break outcome,
                Ok(_) => {}
                Err(error) => {
                    assert!(matches!(&error, Error::Io(error) if error.kind() == ErrorKind::TimedOut))
                }
            }
            stream.pass(ms(5));
        };
        assert!(!outcome.is_clean(), "{outcome}");
        near(stream.now(), ms(710));
    }
}

#[test]
fn s7_1_1_a_send_to_a_dead_peer_that_does_not_read_ends_when_the_pong_is_overdue() {
    for halves in [false, true] {
        let stream = Virtual::with_idle_peer(1000);
        let ws = stream.server(quick());
        let outcome = if halves {
            let (mut reader, mut writer) = ws.split().unwrap();
            assert!(is_closed(&writer.send_binary(&[0; 10_000])));
            near(stream.now(), ms(1200));
            reader.wait_closed().unwrap()
        } else {
            let mut ws = ws;
            assert!(is_closed(&ws.send_binary(&[0; 10_000])));
            near(stream.now(), ms(1200));
            ws.wait_closed().unwrap()
        };
        assert_eq!(outcome, DEAD);
        near(stream.now(), ms(1200));
    }
}

#[test]
fn repeated_sends_over_a_nonblocking_stream_end_at_the_deadline() {
    let stream = Virtual::with_idle_peer(1000);
    let mut ws = stream.server(Config::new());
    Stream::set_nonblocking(ws.stream_mut(), true).unwrap();
    let mut tries = 0;
    loop {
        match ws.send_binary(&[0; 600]) {
            Ok(()) => {}
            Err(Error::Send(SendError::Closed)) => break,
            Err(error) => {
                let interest = error.interest().unwrap();
                assert!(interest.writable && interest.within.is_some_and(|within| within <= 30 * SECOND));
            }
        }
        tries += 1;
        stream.pass(ms(500));
    }
    assert!(tries >= 110, "{tries}");
    assert!(stream.now() <= 61 * SECOND, "{:?}", stream.now());
    assert_eq!(ws.wait_closed().unwrap(), DEAD);
}

/// Sends messages for two minutes and never receives.
fn push(stream: &Virtual, ws: &mut WebSocket<Virtual>) -> Result<(), Error> {
    while stream.now() < 120 * SECOND {
        ws.send_binary(&[7; 40 << 10])?;
    }
    Ok(())
}

#[test]
fn a_live_peer_that_stalls_is_kept_while_we_only_send() {
    // The peer reads 160 KiB per second, with two pauses of 1.2 seconds.
    let stream = Virtual::new(256 << 10, |peer| {
        peer.read(16 << 10);
        peer.answer_pings();
        let stalls = [40, 75].iter().any(|at| peer.now.as_millis() / 100 == at * 10);
        peer.wake_at = Some(peer.now + if stalls { ms(1200) } else { ms(100) });
    });
    let mut ws = stream.server(Config::new());
    push(&stream, &mut ws).unwrap();
    // The peer has answered the Pings that were sent between the messages. These Pongs are received only now.
    let mut pongs = 0;
    while let Ok(Some((event, _))) = ws.next_event_timeout(ms(1)) {
        pongs += usize::from(matches!(event, Event::Pong(_)));
    }
    assert!(pongs >= 3, "{pongs}");
}

#[test]
fn a_live_peer_whose_messages_are_never_received_is_kept() {
    // The peer sends 300 KiB, and answers each Ping. The application only sends, for ten minutes.
    for kind in [0, 1, 2] {
        let stream = Virtual::new(1 << 20, |peer| {
            if peer.now == Duration::ZERO {
                for _ in 0..300 {
                    peer.send(&frame(0x82, true, &[7; 1024]));
                }
            }
            peer.read(usize::MAX);
            peer.answer_pings();
            peer.wake_at = Some(peer.now + ms(10));
        });
        let stream = if kind == 1 { stream.blocking() } else { stream };
        let mut ws = stream.server(Config::new());
        while stream.now() < 600 * SECOND {
            let sent = if kind == 2 {
                ws.try_send("x").map_err(|refused| refused.error.into())
            } else {
                ws.send_text("x")
            };
            sent.unwrap_or_else(|error: Error| panic!("{kind}: {error} at {:?}", stream.now()));
            stream.pass(ms(1000));
        }
        // The sending calls have read only until the read-ahead buffer was full. All messages can still be received.
        let mut messages = 0;
        while let Ok(Some(_)) = ws.recv_timeout(ms(1)) {
            messages += 1;
        }
        assert_eq!(messages, 300);
    }
}

#[test]
fn a_peer_that_stops_reading_is_given_up_although_its_messages_were_never_received() {
    let stream = Virtual::new(64 << 10, |peer| {
        if peer.now == Duration::ZERO {
            peer.send(&frame(0x82, true, &[7; 100 << 10]));
        }
        if peer.now < 100 * SECOND {
            peer.read(usize::MAX);
            peer.wake_at = Some(peer.now + ms(10));
        }
    });
    let mut ws = stream.server(Config::new());
    while ws.send_binary(&[7; 4 << 10]).is_ok() {
        assert!(stream.now() < 300 * SECOND, "the dead peer is not given up");
        stream.pass(ms(1000));
    }
    assert!(stream.now() > 100 * SECOND);
    assert_eq!(ws.wait_closed().unwrap(), DEAD);
}

/// The behaviour of the thread that has the reader of a split WebSocket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ReadingThread {
    /// Receives the first message, and is then busy.
    Busy,
    /// Drops the reader at once.
    Dropped,
}

const READING_THREADS: [ReadingThread; 2] = [ReadingThread::Busy, ReadingThread::Dropped];

/// Splits a WebSocket, and performs the calls of the reading thread.
fn split_for(thread: ReadingThread, stream: &Virtual, config: Config) -> (Option<Reader>, Writer) {
    let (mut reader, writer) = stream.server(config).split().unwrap();
    if thread == ReadingThread::Dropped {
        return (None, writer);
    }
    assert_eq!(reader.recv().unwrap(), Some("?".into()));
    (Some(reader), writer)
}

#[test]
fn a_live_peer_is_kept_while_the_reading_thread_is_busy() {
    for thread in READING_THREADS {
        let stream = Virtual::new(1 << 20, |peer| {
            if peer.now == Duration::ZERO {
                peer.send(&frame(0x81, true, b"?"));
            }
            peer.read(usize::MAX);
            peer.answer_pings();
            peer.wake_at = Some(peer.now + ms(10));
        });
        let (reader, mut writer) = split_for(thread, &stream, Config::new());
        // The application also sends a Ping. The Pong to this Ping stays in the socket.
        writer.ping(b"own").unwrap();
        while stream.now() < 600 * SECOND {
            writer.send_text("x").unwrap_or_else(|error| panic!("{thread:?}: {error} at {:?}", stream.now()));
            stream.pass(ms(1000));
        }
        if let Some(mut reader) = reader {
            assert!(matches!(reader.next_event().unwrap(), Some(Event::Pong(_))));
            assert!(
                reader.next_event_timeout(60 * SECOND).is_ok_and(|event| event.is_some()),
                "a further Pong"
            );
            assert_eq!(reader.outcome(), None);
        }
    }
}

#[test]
fn a_live_peer_that_reads_slowly_is_kept_while_the_reading_thread_is_busy() {
    for thread in READING_THREADS {
        let stream = Virtual::new(64 << 10, |peer| {
            if peer.now == Duration::ZERO {
                peer.send(&frame(0x81, true, b"?"));
            }
            peer.read(8 << 10);
            peer.answer_pings();
            peer.wake_at = Some(peer.now + ms(1500));
        });
        let (_reader, mut writer) = split_for(thread, &stream, Config::new().high_water(64 << 10));
        writer.send_binary(&vec![0; 4 << 20]).unwrap();
        assert!(stream.now() > 600 * SECOND, "{:?}", stream.now());
        writer.send_text("and on").unwrap();
    }
}

#[test]
fn a_peer_that_stops_reading_is_given_up_while_the_reading_thread_is_busy() {
    for thread in READING_THREADS {
        let stream = Virtual::new(64 << 10, |peer| {
            if peer.now == Duration::ZERO {
                peer.send(&frame(0x81, true, b"?"));
            }
            if peer.now < 100 * SECOND {
                peer.read(usize::MAX);
                peer.wake_at = Some(peer.now + ms(10));
            }
        });
        let (_reader, mut writer) = split_for(thread, &stream, Config::new());
        while writer.send_binary(&[7; 4 << 10]).is_ok() {
            assert!(stream.now() < 300 * SECOND, "{thread:?}: the dead peer is not given up");
            stream.pass(ms(1000));
        }
        assert!(stream.now() > 100 * SECOND && stream.now() < 220 * SECOND, "{:?}", stream.now());
    }
}

#[test]
fn a_peer_that_answers_no_ping_is_given_up_although_the_reader_polls_only_from_time_to_time() {
    // The peer reads everything. In turn, the application sends, polls for messages, and is busy for some time.
    for busy in [20, 100, 200, 600] {
        let stream = silent();
        let (mut reader, mut writer) = stream.server(quick()).split().unwrap();
        let mut is_open = true;
        while is_open {
            assert!(stream.now() < ms(3000), "{busy}: the peer is not given up");
            is_open = writer.send_text("x").is_ok();
            is_open &= !matches!(reader.recv_timeout(Duration::ZERO), Ok(None));
            stream.pass(ms(busy));
        }
        assert!(stream.now() >= ms(1200), "{busy}: {:?}", stream.now());
        assert_eq!(reader.wait_closed().unwrap(), DEAD);
    }
}

#[test]
fn a_dead_peer_that_had_been_reading_is_given_up_while_we_only_send() {
    let stream = Virtual::new(256 << 10, |peer| {
        peer.read(16 << 10);
        peer.answer_pings();
        peer.wake_at = (peer.now < 40 * SECOND).then(|| peer.now + ms(100));
    });
    let mut ws = stream.server(Config::new());
    assert!(is_closed(&push(&stream, &mut ws)));
    // The peer last read at 40 seconds. Before this moment it answered each Ping that it read.
    assert!(stream.now() > 60 * SECOND && stream.now() <= 101 * SECOND, "{:?}", stream.now());
    assert_eq!(ws.wait_closed().unwrap(), DEAD);
}

#[test]
fn a_live_peer_that_reads_in_small_steps_is_kept_within_one_send() {
    for stream in
        [slow(8 << 10, ms(1500)), slow(8 << 10, ms(1500)).keeping(), slow(8 << 10, ms(1500)).holding_back()]
    {
        let mut ws = stream.server(Config::new().high_water(64 << 10));
        ws.send_binary(&vec![0; 512 << 10]).unwrap();
        // The send waits until the peer has read 448 KiB, which takes 84 seconds. The socket holds the last 64 KiB.
        assert!(stream.now() >= 80 * SECOND, "{:?}", stream.now());
        ws.send_text("and on").unwrap();
    }
}

#[test]
fn a_live_peer_that_accepts_a_little_of_each_write_is_kept() {
    // The peer answers a Ping only after it has read all bytes before the Ping. Reading these bytes takes longer than
    // the pong timeout.
    let peer = || {
        Virtual::new(10_000, |peer| {
            peer.read(100);
            peer.answer_pings();
            peer.wake_at = Some(peer.now + ms(15));
        })
    };
    for stream in [peer(), peer().that_may_keep()] {
        let mut ws = stream.server(quick());
        for _ in 0..500 {
            ws.send_binary(&[7; 200]).unwrap();
        }
        assert!(stream.now() >= 12 * SECOND, "{:?}", stream.now());
    }
}

#[test]
fn a_peer_that_reads_but_answers_no_ping_is_given_up() {
    // The peer keeps reading, but answers no Ping. Progress of writes extends the pong timeout at most three times.
    let stream = Virtual::new(64 << 10, |peer| {
        peer.read(8 << 10);
        peer.wake_at = Some(peer.now + ms(1500));
    });
    let mut ws = stream.server(Config::new());
    while ws.send_binary(&[0; 16 << 10]).is_ok() {}
    assert_eq!(ws.wait_closed().unwrap(), DEAD);
    assert!(stream.now() > 60 * SECOND && stream.now() <= 155 * SECOND, "{:?}", stream.now());
}

#[test]
fn s5_5_3_an_unread_pong_is_processed_before_a_peer_is_given_up() {
    let stream = silent();
    let mut ws = stream.server(Config::new().ping_interval(None).pong_timeout(Some(10 * SECOND)));
    ws.ping(b"?").unwrap();
    stream.peer(|peer| peer.send(&frame(0x8A, true, b"?")));
    // The application is busy for a minute, and then sends before it receives.
    stream.pass(60 * SECOND);
    ws.send_text("busy").unwrap();
    stream.pass(60 * SECOND);
    ws.send_text("busy").unwrap();
    assert!(matches!(ws.next_event().unwrap(), Some((Event::Pong(_), _))));
    assert_eq!(ws.round_trip().map(|time| time >= 60 * SECOND), Some(true));
}

#[test]
fn messages_read_during_a_send_are_received_in_order() {
    // The peer sends twelve messages before it reads ours, and continues to send.
    let stream = Virtual::new(1000, |peer| {
        let n = peer.now.as_millis() / 100;
        peer.send(&frame(0x81, true, format!("message {n}").as_bytes()));
        if n > 10 {
            peer.read(usize::MAX);
        }
        peer.wake_at = (n < 20).then(|| peer.now + ms(100));
    });
    let mut ws = stream.server(patient());
    ws.send_binary(&[0; 5000]).unwrap();
    for n in 0..=20 {
        assert_eq!(ws.recv().unwrap(), Some(format!("message {n}").into()));
    }
}

#[test]
fn messages_read_before_a_send_are_received_after_the_peer_was_given_up() {
    // The peer sends two messages at once, and then neither reads nor sends.
    let stream = Virtual::new(1000, |peer| {
        peer.send(&[frame(0x82, true, b"one"), frame(0x82, true, b"two")].concat());
    });
    let mut ws = stream.server(quick());
    assert_eq!(ws.recv().unwrap(), Some(b"one".to_vec().into()));
    assert!(is_closed(&ws.send_binary(&[0; 10_000])));
    assert_eq!(ws.recv().unwrap(), Some(b"two".to_vec().into()));
    assert_eq!(ws.recv().unwrap(), None);
    assert_eq!(ws.outcome(), Some(DEAD));
}

#[test]
fn a_send_that_waits_reads_a_bounded_amount() {
    // The peer sends one megabyte per second.
    let stream = Virtual::new(1000, |peer| {
        peer.send(&frame(0x82, true, &[0; 10_000]));
        peer.wake_at = (peer.now < 20 * SECOND).then(|| peer.now + ms(10));
    });
    let mut ws = stream.server(Config::new());
    let unread = |stream: &Virtual| stream.peer(|peer| peer.unread_by_us());
    assert!(is_closed(&ws.send_binary(&[0; 5000])));
    let read = 2001 * frame(0x82, true, &[0; 10_000]).len() - unread(&stream);
    assert_eq!(read, 64 << 10);
}

#[test]
fn pings_are_sent_while_writes_make_progress() {
    // The peer reads each message at once, so no call waits.
    let stream = slow(usize::MAX, ms(1));
    let mut ws = stream.server(quick());
    while stream.now() < 10 * SECOND {
        ws.send_text("x").unwrap();
        stream.pass(ms(10));
    }
    let pongs = std::iter::from_fn(|| {
        ws.next_event_timeout(ms(1)).ok().flatten().map(|(event, _)| matches!(event, Event::Pong(_)))
    });
    assert!(pongs.filter(|pong| *pong).count() > 6);
    assert!(ws.round_trip().is_some());
}

#[test]
fn a_receive_continues_while_nothing_can_be_written() {
    // The peer sends Pings and messages, and reads nothing until it has sent all of them.
    fn peer() -> Virtual {
        Virtual::new(100, |peer| {
            let n = peer.now.as_millis() / 10;
            if n < 100 {
                peer.send(&frame(0x89, true, &[0; 100]));
                peer.send(&frame(0x81, true, format!("{n}").as_bytes()));
            } else {
                peer.read(usize::MAX);
            }
            peer.wake_at = (n < 120).then(|| peer.now + ms(10));
        })
    }
    let stream = peer();
    let (mut reader, _writer) = stream.server(patient()).split().unwrap();
    for n in 0..100 {
        assert_eq!(reader.recv().unwrap(), Some(format!("{n}").into()));
        assert!(stream.now() < ms(1000), "{:?}", stream.now());
    }
    // Now the peer reads, so our `Reader` can write the last Pongs.
    assert!(reader.recv_timeout(SECOND).is_err());
    let pongs = stream.peer(|peer| peer.frames());
    assert!(pongs.len() >= 2 && pongs.iter().all(|(first, _)| *first == 0x8A), "{pongs:?}");

    // The same check follows with a WebSocket that is not split.
    let stream = peer();
    let mut ws = stream.server(patient());
    for n in 0..100 {
        assert_eq!(ws.recv().unwrap(), Some(format!("{n}").into()));
        // A write that waits checks for input every twenty milliseconds.
        assert!(stream.now() < ms(1025), "{:?}", stream.now());
    }
}

#[test]
fn a_receive_with_a_timeout_of_zero_does_not_wait() {
    for capacity in [100, 1 << 20] {
        let stream = Virtual::with_idle_peer(capacity);
        let mut ws = stream.server(patient());
        // With a capacity of 100 bytes a part of the message stays queued. With 1 MiB the queue becomes empty.
        ws.feed(vec![0; 1000]).unwrap();
        // These calls may take time, because the WebSocket does not know yet whether the stream blocks.
        for _ in 0..3 {
            assert!(ws.recv_timeout(Duration::ZERO).is_err());
        }
        let before = stream.now();
        for _ in 0..100 {
            assert!(ws.recv_timeout(Duration::ZERO).is_err());
        }
        assert!(stream.now() - before < ms(3), "{:?}", stream.now() - before);
        let (mut reader, _writer) = ws.split().unwrap();
        let before = stream.now();
        for _ in 0..100 {
            assert!(reader.recv_timeout(Duration::ZERO).is_err());
        }
        assert!(stream.now() - before < ms(3), "{:?}", stream.now() - before);
        // A call with a longer timeout still waits.
        assert!(reader.recv_timeout(SECOND).is_err());
        near(stream.now() - before, SECOND);
    }
}

#[test]
fn a_nonblocking_stream_stays_nonblocking() {
    let stream = Virtual::with_idle_peer(100);
    let mut ws = stream.server(patient());
    assert!(ws.recv_timeout(SECOND).is_err());
    assert!(ws.recv_timeout(SECOND).is_err());
    Stream::set_nonblocking(&mut ws.stream().clone(), true).unwrap();
    for _ in 0..10 {
        assert!(ws.recv_timeout(Duration::ZERO).is_err());
    }
    let before = stream.now();
    let error = ws.recv().unwrap_err();
    assert!(error.interest().is_some_and(|interest| interest.readable && !interest.writable), "{error}");
    assert!(stream.now() - before < ms(1));
}

#[test]
fn a_nonblocking_stream_waits_for_space_to_half_close() {
    // The server has received and sent a Close, so it half-closes the stream. The peer reads the server's Close 100 ms
    // later.
    let stream = Virtual::new(100, |peer| {
        if peer.now == Duration::ZERO {
            peer.send(&frame(0x88, true, b""));
            peer.wake_at = Some(ms(100));
        } else {
            peer.read(usize::MAX);
        }
    });
    let stream = stream.closing_slowly();
    let mut ws = stream.server(patient());
    Stream::set_nonblocking(&mut ws.stream().clone(), true).unwrap();
    assert!(matches!(ws.next_event().unwrap(), Some((Event::CloseReceived { .. }, _))));
    let error = ws.next_event().err().unwrap();
    let interest = error.interest().unwrap();
    assert!(interest.writable && interest.readable, "{interest:?}");
    assert!(interest.within.is_some_and(|within| within <= ms(20)), "{interest:?}");
    let text = error.to_string();
    assert!(
        text.starts_with("the non-blocking stream is not ready: wait until it is readable or writable"),
        "{text}"
    );
    stream.pass(ms(200));
    assert!(ws.next_event().err().unwrap().interest().is_some_and(|interest| !interest.writable));
    assert_eq!(stream.peer(|peer| peer.closed), Some(Closed::Sending));
}

#[test]
fn s7_1_1_closing_ends_in_time_with_any_peer() {
    for stream in [
        silent(),
        Virtual::with_idle_peer(0),
        Virtual::with_idle_peer(0).keeping(),
        Virtual::with_idle_peer(0).holding_back(),
    ] {
        let mut ws = stream.server(Config::new());
        let _ = ws.close(CloseCode::NORMAL, "");
        assert_eq!(ws.wait_closed().unwrap(), Outcome::TimedOut(TimerKind::Close));
        near(stream.now(), 10 * SECOND);
    }
}

/// Closes with one writer while another writer is blocked in a send. The close timeout is the only timer. If `reads` is
/// true, the peer starts to read one second after the call of `close`. Otherwise it never reads. Returns the results of
/// the send and of the close, and the outcome.
fn closes_behind_a_blocked_writer(reads: bool) -> (Result<(), Error>, Result<(), Error>, Outcome) {
    let (calls, called) = channel();
    let mut reads_at = None;
    let stream = Virtual::new(1000, move |peer| {
        if called.try_recv().is_ok() && reads {
            reads_at = Some(peer.now + SECOND);
        }
        if reads_at.is_some_and(|at| at <= peer.now) {
            peer.read(usize::MAX);
            if peer.frames().iter().any(|(first, _)| *first == 0x88) {
                peer.send(&frame(0x88, true, &close_body(1000, "")));
                peer.end();
            }
        }
        peer.wake_at = Some(peer.now + ms(10));
    });
    let (mut reader, mut writer) = stream.server(patient()).split().unwrap();
    let mut other = writer.clone();
    let blocked = thread::spawn(move || other.send_binary(&[0; 10_000]));
    while stream.now() < SECOND {
        thread::yield_now();
    }
    calls.send(()).unwrap();
    let closed = writer.close(CloseCode::NORMAL, "");
    (blocked.join().unwrap(), closed, reader.wait_closed().unwrap())
}

#[test]
fn s7_1_1_a_close_behind_a_blocked_writer_ends_after_the_close_timeout() {
    timed(|| {
        let (sent, closed, outcome) = closes_behind_a_blocked_writer(false);
        assert!(is_closed(&sent) && is_closed(&closed), "{sent:?}, {closed:?}");
        assert_eq!(outcome, Outcome::TimedOut(TimerKind::Close));
    });
}

#[test]
fn s5_5_1_a_close_behind_a_blocked_writer_is_sent_after_the_blocked_message() {
    timed(|| {
        let (sent, closed, outcome) = closes_behind_a_blocked_writer(true);
        sent.unwrap();
        closed.unwrap();
        assert_eq!(outcome, Outcome::Clean { code: CloseCode::NORMAL });
    });
}

#[test]
fn timers_run_after_a_write_has_failed() {
    for (config, closes, expected, time) in [
        (patient(), true, Outcome::TimedOut(TimerKind::Close), 10 * SECOND),
        (quick(), false, DEAD, ms(1200)),
    ] {
        let stream = silent();
        let mut ws = stream.server(config);
        stream.peer(|peer| peer.breaks = true);
        let sent = if closes { ws.close(CloseCode::NORMAL, "") } else { ws.send_text("lost") };
        assert!(matches!(sent, Err(Error::Io(_))), "{sent:?}");
        assert_eq!(ws.wait_closed().unwrap(), expected);
        near(stream.now(), time);
    }
}

#[test]
fn timers_run_after_a_write_has_failed_although_every_read_finds_input() {
    let stream = Virtual::new(1 << 20, |peer| {
        if peer.unread_by_us() == 0 {
            peer.send(&frame(0x81, true, b"again"));
        }
        peer.wake_at = Some(peer.now + ms(1));
    });
    let mut ws = stream.server(patient().close_timeout(Some(SECOND)));
    stream.peer(|peer| peer.breaks = true);
    assert!(matches!(ws.close(CloseCode::NORMAL, ""), Err(Error::Io(_))));
    while ws.recv().unwrap().is_some() {
        stream.pass(ms(10));
        assert!(stream.now() < 2 * SECOND, "the close timeout does not end the connection");
    }
    assert_eq!(ws.outcome(), Some(Outcome::TimedOut(TimerKind::Close)));
}

/// A Ping is due when the application closes, and cannot be written. Without the close timeout, no timer would end the
/// connection.
#[test]
fn s7_1_1_a_close_starts_its_timeout_although_a_due_ping_cannot_be_written() {
    let config = || patient().ping_interval(Some(ms(500))).close_timeout(Some(SECOND));
    let broken = || {
        let stream = silent();
        let ws = stream.server(config());
        stream.peer(|peer| peer.breaks = true);
        stream.pass(ms(600));
        (stream, ws)
    };
    let is_io = |closed: Result<(), Error>| matches!(closed, Err(Error::Io(_)));

    let (stream, mut ws) = broken();
    assert!(is_io(ws.close(CloseCode::NORMAL, "")));
    assert_eq!(ws.wait_closed().unwrap(), Outcome::TimedOut(TimerKind::Close));
    near(stream.now(), ms(1600));

    let (stream, ws) = broken();
    let (mut reader, mut writer) = ws.split().unwrap();
    assert!(is_io(writer.close(CloseCode::NORMAL, "")));
    assert_eq!(reader.wait_closed().unwrap(), Outcome::TimedOut(TimerKind::Close));
    near(stream.now(), ms(1600));

    let (stream, ws) = broken();
    let mut bytes = ws.into_byte_stream();
    assert!(bytes.shutdown().is_err());
    let mut ws = bytes.into_inner();
    assert_eq!(ws.wait_closed().unwrap(), Outcome::TimedOut(TimerKind::Close));
    near(stream.now(), ms(1600));
}

#[test]
fn a_call_that_can_always_write_a_little_also_reads() {
    for receives in [false, true] {
        // The stream accepts some bytes every millisecond.
        let stream = Virtual::new(100, move |peer| {
            if peer.now.is_zero() {
                peer.send(&frame(0x81, true, b"in between"));
            }
            peer.read(100);
            let late = peer.now > ms(100) && peer.unread_by_us() > 0;
            assert!(!late, "nothing was read for 100 ms, receives: {receives}");
            peer.wake_at = Some(peer.now + ms(1));
        });
        let mut ws = stream.clone().taking_parts().server(patient());
        if receives {
            ws.feed(vec![1; 50_000]).unwrap();
        } else {
            ws.send_binary(&[1; 50_000]).unwrap();
        }
        assert_eq!(ws.recv().unwrap(), Some("in between".into()));
    }
}

#[test]
fn a_receive_reads_any_amount_while_nothing_can_be_written() {
    // The peer sends 400 KB, and reads nothing until it has sent all of it.
    let stream = Virtual::new(100, |peer| {
        let n = peer.now.as_millis() / 10;
        if n < 400 {
            peer.send(&frame(0x82, true, &[n as u8; 1000]));
        } else {
            peer.read(usize::MAX);
        }
        peer.wake_at = Some(peer.now + ms(10));
    });
    let mut ws = stream.server(patient());
    ws.feed(vec![7; 5000]).unwrap();
    for n in 0..400 {
        let message = ws.recv_timeout(SECOND).unwrap();
        assert_eq!(message, Some(vec![n as u8; 1000].into()));
        assert!(stream.now() < ms(10 * n + 50), "{:?}", stream.now());
    }
}

/// A stream with unread input is always readable. If a call told the application to wait for input that the call cannot
/// read, the application would be woken again and again.
#[test]
fn no_call_that_sends_waits_for_input_that_it_cannot_read() {
    let nonblocking = |stream: &Virtual| {
        let mut ws = stream.server(patient());
        Stream::set_nonblocking(ws.stream_mut(), true).unwrap();
        ws.feed(vec![7; 5000]).unwrap();
        ws
    };
    let interest = |result: Result<(), Error>| result.unwrap_err().interest().unwrap();

    // The stream has ended.
    let stream = Virtual::new(100, |peer| peer.end());
    let mut ws = nonblocking(&stream);
    let waits = interest(ws.flush());
    assert!(waits.writable && !waits.readable, "{waits:?}");
    let waits = interest(ws.recv().map(drop));
    assert!(waits.writable && !waits.readable, "{waits:?}");

    // More input is ready than the limit up to which a sending call reads ahead.
    let stream = Virtual::new(100, |peer| peer.send(&frame(0x82, true, &vec![1; 200_000])));
    let mut ws = nonblocking(&stream);
    let first = interest(ws.flush());
    assert!(first.writable && first.readable, "{first:?}");
    for _ in 0..4 {
        let _ = ws.flush();
    }
    let waits = interest(ws.flush());
    assert!(waits.writable && !waits.readable, "{waits:?}");
    assert!(stream.peer(|peer| peer.unread_by_us()) > 100_000);
    // `recv` reads this input.
    assert_eq!(ws.recv().unwrap(), Some(vec![1; 200_000].into()));
    let waits = interest(ws.flush());
    assert!(waits.writable && waits.readable, "{waits:?}");

    // After a split the writer does not read. The reader has read everything, and waits only to write its Pong.
    let stream = Virtual::new(50, |peer| {
        peer.send(&frame(0x89, true, &[7; 100]));
        peer.end();
    });
    let mut ws = stream.server(patient());
    Stream::set_nonblocking(ws.stream_mut(), true).unwrap();
    let (mut reader, mut writer) = ws.split().unwrap();
    let waits = interest(writer.send_binary(&[7; 1000]));
    assert!(waits.writable && !waits.readable, "{waits:?}");
    assert!(matches!(reader.next_event().unwrap(), Some(Event::Ping(_))));
    let waits = interest(reader.next_event().map(drop));
    assert!(waits.writable && !waits.readable, "{waits:?}");
}

#[test]
fn s7_1_1_the_close_timeout_starts_when_close_is_called_although_a_ping_waits() {
    // The peer reads nothing, so the due Ping cannot be sent before the Close.
    let config = || patient().ping_interval(Some(ms(500))).close_timeout(Some(2 * SECOND));
    let stream = || {
        Virtual::new(0, |peer| {
            assert!(peer.now < 10 * SECOND, "the WebSocket is still closing after 10 seconds");
            peer.wake_at = Some(peer.now + SECOND);
        })
    };
    let late = stream();
    let mut ws = late.server(config());
    late.pass(ms(600));
    let _ = ws.close(CloseCode::NORMAL, "");
    near(late.now(), ms(2600));
    assert_eq!(ws.wait_closed().unwrap(), Outcome::TimedOut(TimerKind::Close));

    let late = stream();
    let (mut reader, mut writer) = late.server(config()).split().unwrap();
    late.pass(ms(600));
    let _ = writer.close(CloseCode::NORMAL, "");
    near(late.now(), ms(2600));
    assert_eq!(reader.wait_closed().unwrap(), Outcome::TimedOut(TimerKind::Close));
}

#[test]
fn no_call_waits_for_space_to_write_after_a_write_has_failed() {
    let stream = Virtual::new(100, |_| {});
    let mut ws = stream.server(patient());
    Stream::set_nonblocking(ws.stream_mut(), true).unwrap();
    stream.peer(|peer| peer.breaks = true);
    assert!(matches!(ws.send_text("lost"), Err(Error::Io(error)) if error.kind() == ErrorKind::BrokenPipe));
    let waits = ws.recv().unwrap_err().interest().unwrap();
    assert!(waits.readable && !waits.writable, "{waits:?}");
}

#[test]
fn s5_5_3_a_flood_of_pings_is_read_without_an_attempt_to_write_for_each_ping() {
    // Each attempt to write takes at least a millisecond, because this stream cannot switch to non-blocking mode.
    let stream = Virtual::new(0, |peer| {
        peer.send(&frame(0x89, true, b"flood").repeat(1000));
        peer.send(&frame(0x81, true, b"at last"));
    });
    let (mut reader, _writer) = stream.clone().blocking().server(patient()).split().unwrap();
    assert_eq!(reader.recv().unwrap(), Some("at last".into()));
    assert!(stream.now() < ms(200), "{:?}", stream.now());
}

/// Each small message restarts the idle timer, also if control frames arrive before or after it.
#[test]
fn small_messages_restart_the_idle_timer() {
    for halves in [false, true] {
        let mut left = 10;
        let stream = Virtual::new(1 << 20, move |peer| {
            peer.read(usize::MAX);
            if let Some((_, close)) = peer.frames().into_iter().find(|(first, _)| *first == 0x88) {
                peer.send(&frame(0x88, true, &close));
                peer.end();
            } else if left > 0 {
                left -= 1;
                let frames = [frame(0x89, true, b""), frame(0x81, true, b"x"), frame(0x8A, true, b"")];
                peer.send(&frames.concat());
            }
            peer.wake_at = Some(peer.now + ms(190));
        });
        let ws = stream.server(patient().idle_timeout(Some(ms(200))));
        let mut texts = 0;
        let mut count = |event: &Event<'_>| texts += usize::from(matches!(event, Event::Text(_)));
        let outcome = if halves {
            let (mut reader, _writer) = ws.split().unwrap();
            while let Some(event) = reader.next_event().unwrap() {
                count(&event);
            }
            reader.outcome().unwrap()
        } else {
            let mut ws = ws;
            while let Some((event, _)) = ws.next_event().unwrap() {
                count(&event);
            }
            ws.outcome().unwrap()
        };
        assert_eq!((texts, outcome), (10, Outcome::Clean { code: CloseCode::GOING_AWAY }));
        // The idle timer started at the last message. The peer answered the Close in the next call of its script.
        assert!((ms(9 * 190 + 200)..=ms(9 * 190 + 400)).contains(&stream.now()), "{:?}", stream.now());
    }
}

#[test]
fn control_frames_do_not_postpone_the_idle_timeout_of_a_call_whose_output_waits() {
    // The peer reads nothing, and sends a Ping every 50 ms. The Pongs fill the stream, so the call that receives also
    // waits to write.
    for stream in [|stream: Virtual| stream, Virtual::that_may_keep, Virtual::holding_back, Virtual::keeping]
    {
        for split in [false, true] {
            let stream = stream(Virtual::new(64, |peer| {
                peer.send(&frame(0x89, true, b"a Ping of some length"));
                peer.wake_at = Some(peer.now + ms(50));
            }));
            let config = patient().idle_timeout(Some(SECOND)).close_timeout(Some(ms(100)));
            let mut ws = stream.server(config);
            let outcome = if split {
                let (mut reader, _writer) = ws.split().unwrap();
                reader.wait_closed().unwrap()
            } else {
                ws.wait_closed().unwrap()
            };
            assert!(matches!(outcome, Outcome::TimedOut(_)), "{outcome:?}");
            near(stream.now(), SECOND + ms(100));
        }
    }
}

#[test]
fn s5_5_2_a_pong_that_waits_behind_a_message_counts_as_received() {
    // A Ping is sent after 500 ms. The peer answers with a message and a Pong, which arrive together in this order.
    // Then the peer reads nothing for one second. After this second it is as fast as before.
    let stalling = || {
        Virtual::new(16 << 10, |peer| {
            if peer.now <= ms(510) || peer.now >= ms(1510) {
                peer.read(usize::MAX);
                for (first, payload) in peer.frames() {
                    if first == 0x89 {
                        peer.send(&[frame(0x81, true, b"?"), frame(0x8A, true, &payload)].concat());
                    }
                }
            }
            peer.wake_at = Some(peer.now + ms(1));
        })
    };
    let stream = stalling();
    let mut ws = stream.server(quick());
    assert_eq!(ws.recv().unwrap(), Some("?".into()));
    near(stream.now(), ms(500));
    ws.send_binary(&vec![0; 1 << 20]).unwrap();
    assert_eq!(ws.recv().unwrap(), Some("?".into()));

    for splits_first in [true, false] {
        let stream = stalling();
        let mut ws = stream.server(quick());
        let first = if splits_first { None } else { ws.recv().unwrap() };
        let (mut reader, mut writer) = ws.split().unwrap();
        let first = if splits_first { reader.recv().unwrap() } else { first };
        assert_eq!(first, Some("?".into()));
        writer.send_binary(&vec![0; 1 << 20]).unwrap();
        assert_eq!(reader.recv().unwrap(), Some("?".into()));
    }

    // A WebSocket is made from the parts of another one. The Pong is still undecoded in the inbox.
    let stream = stalling();
    let mut ws = stream.server(quick());
    assert_eq!(ws.recv().unwrap(), Some("?".into()));
    let (stream, connection, inbox) = ws.into_parts();
    let mut ws = WebSocket::from_stream(stream, connection, inbox);
    ws.send_binary(&vec![0; 1 << 20]).unwrap();
}

#[test]
fn s5_5_3_input_that_was_read_before_a_ping_does_not_hide_a_missing_pong() {
    // The peer sends two messages at once, and then neither sends nor reads. Only the application sends a Ping. The
    // input that was read before the Ping cannot contain the Pong.
    let config = || patient().pong_timeout(Some(ms(700))).close_timeout(Some(ms(100)));
    let peer = || {
        Virtual::new(1000, |peer| {
            if peer.now == Duration::ZERO {
                peer.send(&[frame(0x81, true, b"?"), frame(0x81, true, b"!")].concat());
            }
        })
    };
    let stream = peer();
    let mut ws = stream.server(config());
    assert_eq!(ws.recv().unwrap(), Some("?".into()));
    ws.ping(b"Are you alive?").unwrap();
    assert!(is_closed(&ws.send_binary(&vec![0; 1 << 20])));
    near(stream.now(), ms(700));

    let stream = peer();
    let (mut reader, mut writer) = stream.server(config()).split().unwrap();
    assert_eq!(reader.recv().unwrap(), Some("?".into()));
    writer.ping(b"Are you alive?").unwrap();
    assert!(is_closed(&writer.send_binary(&vec![0; 1 << 20])));
    near(stream.now(), ms(700));
}

#[test]
fn s5_5_3_input_that_is_decoded_completely_does_not_hide_a_missing_pong() {
    // The application sends a Ping. The peer answers with a message instead of a Pong, and then does nothing.
    let config = || patient().pong_timeout(Some(ms(700))).close_timeout(Some(ms(100)));
    let peer = || {
        Virtual::new(1000, |peer| {
            if peer.now == Duration::ZERO {
                peer.wake_at = Some(ms(10));
            } else {
                peer.send(&frame(0x81, true, b"?"));
            }
        })
    };
    for parts in [false, true] {
        let stream = peer();
        let mut ws = stream.server(config());
        ws.ping(b"Are you alive?").unwrap();
        assert_eq!(ws.recv().unwrap(), Some("?".into()));
        if parts {
            let (stream, connection, inbox) = ws.into_parts();
            ws = WebSocket::from_stream(stream, connection, inbox);
        }
        assert!(is_closed(&ws.send_binary(&vec![0; 1 << 20])));
        near(stream.now(), ms(710));
    }

    let stream = peer();
    let (mut reader, mut writer) = stream.server(config()).split().unwrap();
    writer.ping(b"Are you alive?").unwrap();
    assert_eq!(reader.recv().unwrap(), Some("?".into()));
    assert!(is_closed(&writer.send_binary(&vec![0; 1 << 20])));
    near(stream.now(), ms(710));
}

#[test]
fn s5_5_3_pings_of_the_application_do_not_hide_a_dead_peer() {
    // The application sends a Ping every 5 seconds, and does not receive. The peer answers the Pings of the first 31
    // seconds.
    let stream = Virtual::new(64 << 10, |peer| {
        peer.read(usize::MAX);
        if peer.now < 31 * SECOND {
            peer.answer_pings();
        }
        peer.wake_at = (peer.now < 31 * SECOND).then(|| peer.now + ms(100));
    });
    let mut ws = stream.server(Config::new());
    while ws.ping(b"").is_ok() {
        assert!(stream.now() < 100 * SECOND, "the peer is not given up");
        stream.pass(5 * SECOND);
    }
    // A timer is due after 30 and after 60 seconds. Each time the Pongs that have arrived are read.
    assert!(stream.now() > 90 * SECOND, "{:?}", stream.now());
    assert_eq!(ws.wait_closed().unwrap(), DEAD);
}

/// Returns a stream whose peer reads everything and answers each Ping, except from `from` until `to`. With two equal
/// times the peer never stalls. After 200 seconds the peer does nothing more.
fn stalled_between(from: Duration, to: Duration) -> Virtual {
    Virtual::new(64 << 10, move |peer| {
        if !(from..to).contains(&peer.now) {
            peer.read(usize::MAX);
            peer.answer_pings();
        }
        peer.wake_at = (peer.now < 200 * SECOND).then(|| peer.now + ms(100));
    })
}

#[test]
fn a_live_peer_that_stalls_is_kept_while_the_reading_thread_is_busy() {
    let stream = stalled_between(59 * SECOND, 79 * SECOND);
    let (reader, mut writer) = stream.server(Config::new()).split().unwrap();
    while stream.now() < 59 * SECOND {
        writer.send_text("x").unwrap();
        stream.pass(SECOND);
    }
    // The stream takes a part of this message at once, and the rest after 20 seconds.
    writer.send_binary(&[0; 128 << 10]).unwrap();
    assert!(stream.now() >= 79 * SECOND);
    writer.send_text("x").unwrap();
    drop(reader);
}

#[test]
fn a_live_peer_is_kept_although_the_application_seldom_sends_and_does_not_receive() {
    // For 200 seconds the peer answers each Ping within 100 ms. The application does not receive the Pongs. After this
    // time the peer does nothing more. The peer counts as alive, because the stream still takes each message at once.
    let answering = || stalled_between(SECOND, SECOND);
    let stream = answering();
    let (reader, mut writer) = stream.server(Config::new()).split().unwrap();
    for _ in 0..10 {
        stream.pass(40 * SECOND);
        writer.send_text("x").unwrap();
    }
    drop(reader);
    // At the start the peer sends more input than the read-ahead buffer holds.
    let stream = answering();
    stream.peer(|peer| peer.send(&frame(0x82, true, &[7; 60_000]).repeat(5)));
    let mut ws = stream.server(Config::new());
    for _ in 0..10 {
        stream.pass(40 * SECOND);
        ws.send_text("x").unwrap();
    }
}

#[test]
fn an_idle_peer_that_stalls_is_given_up_without_a_pong_timeout() {
    // The peer sends more than the read-ahead buffer holds, and then reads nothing.
    let stream = Virtual::new(1000, |_| {});
    stream.peer(|peer| peer.send(&frame(0x82, true, &[7; 60_000]).repeat(5)));
    let config = Config::new().ping_interval(None).pong_timeout(None).idle_timeout(Some(60 * SECOND));
    let mut ws = stream.server(config);
    assert!(is_closed(&ws.send_binary(&[0; 100_000])));
    assert!(stream.now() < 80 * SECOND, "{:?}", stream.now());
}

#[test]
fn s5_5_3_a_ping_that_a_receiving_call_has_caused_is_written_by_this_call() {
    let stream = stalled_between(SECOND, SECOND);
    let mut ws = stream.server(Config::new());
    stream.pass(60 * SECOND);
    assert!(ws.recv_timeout(Duration::ZERO).is_err());
    stream.pass(60 * SECOND);
    ws.send_text("x").unwrap();

    let stream = stalled_between(SECOND, SECOND);
    let (mut reader, mut writer) = stream.server(Config::new()).split().unwrap();
    stream.pass(60 * SECOND);
    assert!(reader.recv_timeout(Duration::ZERO).is_err());
    stream.pass(60 * SECOND);
    writer.send_text("x").unwrap();
}

#[test]
fn s7_1_5_the_end_of_the_stream_is_reported_although_a_pong_is_overdue() {
    let stream = silent();
    let (mut reader, _writer) = stream.server(quick()).split().unwrap();
    assert!(reader.recv_timeout(ms(600)).is_err());
    stream.pass(ms(10));
    stream.peer(Peer::end);
    stream.pass(ms(5000));
    assert_eq!(reader.recv().unwrap(), None);
    assert!(matches!(reader.wait_closed().unwrap(), Outcome::Abnormal(_)));
}

/// A stream without timeouts.
struct NoTimeouts(Virtual);

impl Read for NoTimeouts {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.0.read(to)
    }
}

impl Write for NoTimeouts {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.0.write(from)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Stream for NoTimeouts {
    fn clock(&self) -> Option<Instant> {
        self.0.clock()
    }
}

#[test]
fn a_live_peer_is_kept_on_a_stream_that_cannot_be_read_without_blocking() {
    let stream = stalled_between(SECOND, SECOND);
    let connection = Connection::server(Instant::ZERO, Config::new(), Outbox::new());
    let mut ws = WebSocket::from_stream(NoTimeouts(stream.clone()), connection, Inbox::default());
    while stream.now() < 150 * SECOND {
        ws.send_text("x").unwrap();
        stream.pass(SECOND);
    }
}

#[test]
fn s5_5_3_input_that_was_decoded_later_does_not_hide_a_missing_pong() {
    // The application sends a Ping. While it sends a message, a message of the peer is read ahead. The peer then reads
    // everything once, and does nothing more.
    let config = || patient().pong_timeout(Some(ms(700)));
    let peer = || {
        Virtual::new(1000, |peer| match peer.now.as_millis() {
            0 => peer.wake_at = Some(ms(10)),
            10 => {
                peer.send(&frame(0x81, true, b"?"));
                peer.wake_at = Some(ms(100));
            }
            _ => peer.read(usize::MAX),
        })
    };
    let stream = peer();
    let mut ws = stream.server(config());
    ws.ping(b"Are you alive?").unwrap();
    ws.send_binary(&[0; 1500]).unwrap();
    assert_eq!(ws.recv().unwrap(), Some("?".into()));
    assert_eq!(ws.recv().unwrap(), None);
    assert_eq!(ws.outcome(), Some(DEAD));
    // The wait for the Pong begins again when the peer takes bytes, and when the message is decoded.
    near(stream.now(), ms(800));

    let stream = peer();
    let (mut reader, mut writer) = stream.server(config()).split().unwrap();
    writer.ping(b"Are you alive?").unwrap();
    writer.send_binary(&[0; 1500]).unwrap();
    assert_eq!(reader.recv().unwrap(), Some("?".into()));
    assert_eq!(reader.recv().unwrap(), None);
    assert_eq!(reader.wait_closed().unwrap(), DEAD);
    near(stream.now(), ms(800));
}

/// A responder only queues a Ping. If the application makes no call for longer than the Pong timeout, the next call must
/// write the Ping before it judges the peer.
#[test]
fn s5_5_3_a_queued_ping_is_written_before_its_peer_can_count_as_dead() {
    type Use = fn(&mut WebSocket<Virtual>) -> Result<(), Error>;
    let uses: [Use; 3] =
        [|ws| ws.flush(), |ws| ws.send_text("after a while"), |ws| ws.next_event_timeout(ms(10)).map(drop)];
    for next_call in uses {
        let stream = slow(usize::MAX, ms(1));
        let mut ws = stream.server(patient().pong_timeout(Some(SECOND)));
        ws.responder().ping(b"queued").unwrap();
        stream.pass(SECOND * 2);
        next_call(&mut ws).unwrap();
        // Receives the Pong, unless the call above has received it.
        let _ = ws.next_event_timeout(ms(10));
        assert_eq!(ws.ready_state(), ReadyState::Open);
        assert!(ws.round_trip().is_some_and(|time| time < ms(10)), "{:?}", ws.round_trip());
    }
}
