//! `into_parts` and `from_stream` of the blocking adapter: nothing is lost, and timers continue.
//!
//! The tests run on virtual time. They check timers after a long pause, bytes that the stream holds back, input that
//! was read ahead, and failed writes. `tests/async_adapters/parts.rs` tests the parts of the asynchronous adapters.

use std::io::ErrorKind;
use std::time::Duration;

use hybi::adapters::net::{Error, Stream, WebSocket};
use hybi::{Config, Event, Outcome, TimerKind};

use crate::common::*;
use crate::virtual_stream::*;

const SECOND: Duration = Duration::from_secs(1);

/// Takes a WebSocket apart and joins its parts again.
fn rejoined(ws: WebSocket<Virtual>) -> WebSocket<Virtual> {
    let (stream, connection, inbox) = ws.into_parts();
    WebSocket::from_stream(stream, connection, inbox)
}

/// Returns a stream whose peer reads everything and answers Pings.
fn lively() -> Virtual {
    Virtual::new(1 << 20, |peer| {
        peer.read(usize::MAX);
        peer.answer_pings();
        peer.wake_at = Some(peer.now + ms(1));
    })
}

#[test]
fn pings_continue_after_the_parts_are_joined() {
    let stream = lively();
    let mut ws = stream.server(Config::new().ping_interval(Some(ms(300))));
    for _ in 0..10 {
        assert!(matches!(ws.next_event().unwrap(), Some((Event::Pong(_), _))));
    }
    for _ in 0..10 {
        let before = stream.now();
        ws = rejoined(ws);
        assert!(matches!(ws.next_event().unwrap(), Some((Event::Pong(_), _))));
        let waited = stream.now() - before;
        assert!(waited > ms(250) && waited < ms(350), "{waited:?}");
    }
}

#[test]
fn a_dead_peer_is_given_up_in_time_after_the_parts_are_joined() {
    let stream = Virtual::with_idle_peer(1 << 20);
    let mut ws = stream.server(Config::new());
    // The application makes no call for an hour.
    stream.pass(3600 * SECOND);
    ws = rejoined(ws);
    assert!(ws.recv_timeout(29 * SECOND).is_err());
    ws = rejoined(ws);
    let before = stream.now();
    assert_eq!(ws.wait_closed().unwrap(), Outcome::TimedOut(TimerKind::Pong));
    // A WebSocket does not know how much time passed before its parts were joined. After this moment it gives up the
    // peer in at most 60 seconds: the ping interval and the pong timeout are 30 seconds each.
    assert!(stream.now() - before <= 61 * SECOND, "{:?}", stream.now() - before);
}

#[test]
fn bytes_that_a_stream_holds_back_are_sent_after_the_parts_are_joined() {
    for stream in [
        Virtual::with_idle_peer(100),
        Virtual::with_idle_peer(100).keeping(),
        Virtual::with_idle_peer(100).holding_back(),
    ] {
        let mut ws = stream.server(patient());
        ws.stream_mut().set_nonblocking(true).unwrap();
        // The frame does not fit, so only a part of it is written.
        let error = ws.send_binary(&[1; 30_000]).unwrap_err();
        assert!(error.interest().is_some_and(|interest| interest.writable));
        ws.ping(b"?").unwrap_err();
        for _ in 0..3 {
            ws = rejoined(ws);
            ws.flush().unwrap_err();
        }
        stream.set_capacity(usize::MAX);
        ws.flush().unwrap();
        ws.send_text("behind").unwrap();
        let frames = stream.peer(|peer| {
            peer.read(usize::MAX);
            peer.frames()
        });
        let kinds: Vec<_> = frames.iter().map(|(first, payload)| (*first, payload.len())).collect();
        assert_eq!(kinds, [(0x82, 30_000), (0x89, 1), (0x81, 6)]);
    }
}

#[test]
fn input_that_was_read_ahead_is_in_the_inbox() {
    // The two messages together are larger than one read.
    let peer_bytes = [frame(0x82, true, &[5; 40_000]), frame(0x81, true, b"end")].concat();
    let stream = Virtual::new(1000, move |peer| {
        if peer.now == Duration::ZERO {
            peer.send(&peer_bytes);
        }
        // The peer reads after we have read its messages.
        if peer.unread_by_us() == 0 {
            peer.read(usize::MAX);
        }
        peer.wake_at = Some(peer.now + ms(10));
    });
    let mut ws = stream.server(patient());
    ws.send_binary(&[0; 5000]).unwrap();
    assert_eq!(stream.peer(|peer| peer.unread_by_us()), 0);
    let (stream, connection, inbox) = ws.into_parts();
    assert!(inbox.remaining() > 40_000);
    let mut ws = WebSocket::from_stream(stream, connection, inbox);
    assert_eq!(ws.recv().unwrap().unwrap().as_bytes(), [5; 40_000]);
    assert_eq!(ws.recv().unwrap(), Some("end".into()));

    // After a split the reader has the bytes that were read ahead.
    let peer_bytes = frame(0x81, true, b"early");
    let stream = Virtual::new(1000, move |peer| {
        if peer.now == Duration::ZERO {
            peer.send(&peer_bytes);
        } else {
            peer.read(usize::MAX);
        }
        peer.wake_at = Some(peer.now + ms(100));
    });
    let mut ws = stream.server(patient());
    ws.send_binary(&[0; 5000]).unwrap();
    let (mut reader, _writer) = ws.split().unwrap();
    assert_eq!(reader.recv().unwrap(), Some("early".into()));
}

#[test]
fn a_failed_write_is_remembered_in_the_parts() {
    for keeps in [false, true] {
        let stream = Virtual::with_idle_peer(1 << 20);
        let stream = if keeps { stream.keeping() } else { stream };
        let mut ws = stream.server(patient());
        stream.peer(|peer| peer.is_gone = true);
        assert!(matches!(ws.send_text("lost"), Err(Error::Io(_))));
        // The peer may have received any part of the message, so nothing may be written after it.
        stream.peer(|peer| peer.is_gone = false);
        stream.peer(|peer| peer.send(&frame(0x81, true, b"still there")));
        for _ in 0..2 {
            ws = rejoined(ws);
            let failed =
                |result| matches!(result, Err(Error::Io(error)) if error.kind() == ErrorKind::BrokenPipe);
            assert!(failed(ws.send_text("x")));
            assert!(failed(ws.flush()));
            assert!(ws.connection().sender().has_write_failed());
        }
        assert_eq!(ws.recv().unwrap(), Some("still there".into()));
        let (mut reader, mut writer) = rejoined(ws).split().unwrap();
        assert!(matches!(writer.send_text("x"), Err(Error::Io(_))));
        stream.peer(|peer| peer.end());
        assert!(!reader.wait_closed().unwrap().is_clean());
        assert!(stream.peer(|peer| std::mem::take(&mut peer.unread)).is_empty());
    }
}
