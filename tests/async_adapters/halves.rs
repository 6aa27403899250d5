//! The halves [`Reader`] and [`Writer`] of a WebSocket.
//!
//! Each half must work while the other one is not polled: the reader answers Pings and Closes, and the writer sends.
//! These tests also check what one half learns from the other: a Close, the end of the stream, or a failed write.
//! Wakeups between two tasks are tested in `two_tasks.rs`, and in all interleavings in `tests/loom/`.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

use futures_sink::Sink;
use hybi::adapters::futures_io::Error;
use hybi::{CloseCode, Config, Event, Outcome, Role, SendError, TimerKind as Which};

use super::support::*;

fn refused(result: Poll<Result<(), Error>>) -> SendError {
    match result {
        Poll::Ready(Err(Error::Send(error))) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn pings_are_answered_while_only_the_reader_is_polled() {
    // The stream accepts at most `capacity` bytes at a time.
    for capacity in [1, 5, usize::MAX] {
        let (_, ws, mut peer) = pair(Role::Server, Behavior { capacity, ..Behavior::default() }, patient());
        let (mut reader, _writer) = ws.split();
        for n in 0..20_u8 {
            peer.connection.ping(hybi::Instant::ZERO, &[n]).unwrap();
            peer.pump();
            for _ in 0..20 {
                assert!(poll_once(reader.recv()).is_pending());
                peer.pump();
            }
            assert_eq!(peer.heard.last(), Some(&Heard::Pong(vec![n])));
        }
        assert_eq!(peer.heard.len(), 20);
    }
}

#[test]
fn a_close_is_answered_while_only_the_reader_is_polled() {
    let (clock, ws, mut peer) = pair(Role::Server, Behavior { piece: 1, ..Behavior::default() }, patient());
    let (mut reader, mut writer) = ws.split();
    peer.connection.close(hybi::Instant::ZERO, CloseCode::NORMAL, "").unwrap();
    peer.pump();
    let Poll::Ready(event) = poll_once(reader.next_event()) else { panic!("no event") };
    assert_eq!(heard(event.unwrap().unwrap()), Heard::Close(1000));
    // The writer learns of the Close at once, even if the reader is not polled again.
    assert_eq!(refused(poll_once(writer.send_text("too late"))), SendError::Closed);
    assert!(poll_once(reader.next_event()).is_pending());
    peer.pump();
    peer.end.end();
    assert!(block_on(&clock, reader.wait_closed()).unwrap().is_clean());
    assert_eq!(peer.heard, [Heard::Close(1000), Heard::Closed(true)]);
    assert_eq!(refused(poll_once(writer.send_text("too late"))), SendError::Closed);
}

#[test]
fn a_close_is_answered_while_only_the_writer_is_polled() {
    let (_, ws, mut peer) = pair(Role::Client, Behavior::default(), patient());
    let (mut reader, mut writer) = ws.split();
    peer.connection.close(hybi::Instant::ZERO, CloseCode::NORMAL, "").unwrap();
    peer.pump();
    assert!(poll_once(reader.next_event()).is_ready());
    drop(reader);
    assert_eq!(refused(poll_once(writer.send_text("too late"))), SendError::Closed);
    peer.pump();
    assert_eq!(peer.heard[0], Heard::Close(1000));
}

#[test]
fn a_waiting_writer_learns_of_a_close() {
    let behavior = Behavior { capacity: 4, ..Behavior::default() };
    let (clock, ws, mut peer) = pair(Role::Server, behavior, patient());
    let (mut reader, mut writer) = ws.split();
    peer.connection.close(hybi::Instant::ZERO, CloseCode::NORMAL, "").unwrap();
    peer.say();
    // The pipe holds four bytes, so most of the message waits in the queue.
    let mut receiving = pin!(async {
        assert!(matches!(reader.next_event().await, Ok(Some(Event::CloseReceived { .. }))));
    });
    let end = peer.end.clone();
    let mut taking = pin!(async move {
        for _ in 0..1000 {
            tick().await;
            end.take_written();
        }
    });
    let sent = run(&clock, writer.send_text(&letters(1000)), &mut [receiving.as_mut(), taking.as_mut()]);
    // One frame was partly written, so the connection still completed this frame, and its send succeeds. The next send
    // is refused.
    sent.unwrap();
    assert_eq!(refused(poll_once(writer.send_text("no"))), SendError::Closed);
}

/// Yields to the other tasks once.
pub async fn tick() {
    let mut waited = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[test]
fn a_message_dropped_for_a_close_is_not_reported_as_sent() {
    let behavior = Behavior { capacity: 400, ..Behavior::default() };
    let (clock, ws, mut peer) = pair(Role::Server, behavior, patient());
    let (mut reader, mut writer) = ws.split();
    // This message is partly written, and longer than one write can pass to the stream. So the stream has received no
    // byte of the next message.
    assert!(poll_once(writer.send_text(&letters(20_000))).is_pending());
    peer.connection.close(hybi::Instant::ZERO, CloseCode::NORMAL, "").unwrap();
    peer.say();
    let mut receiving = pin!(async {
        tick().await;
        assert!(matches!(reader.next_event().await, Ok(Some(Event::CloseReceived { .. }))));
    });
    let end = peer.end.clone();
    let mut taking = pin!(async move {
        for _ in 0..1000 {
            tick().await;
            tick().await;
            end.take_written();
        }
    });
    let sent = run(&clock, writer.send_text("dropped"), &mut [receiving.as_mut(), taking.as_mut()]);
    assert_eq!(refused(Poll::Ready(sent)), SendError::Closed);
}

#[test]
fn a_send_fails_after_the_stream_ended() {
    let (_, ws, peer) = pair(Role::Server, Behavior::default(), patient());
    let (mut reader, mut writer) = ws.split();
    peer.end.reset();
    match poll_once(writer.send_text("hello")) {
        Poll::Ready(Err(Error::Io(error))) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        other => panic!("{other:?}"),
    }
    // Only the reader has seen the end.
    let (_, ws, peer) = pair(Role::Server, Behavior::default(), patient());
    let (mut other_reader, mut writer) = ws.split();
    peer.end.end();
    let Poll::Ready(event) = poll_once(other_reader.next_event()) else { panic!("no event") };
    assert_eq!(heard(event.unwrap().unwrap()), Heard::Closed(false));
    assert_eq!(refused(poll_once(writer.send_text("hello"))), SendError::Closed);
    let Poll::Ready(Err(Error::Io(_))) = poll_once(reader.next_event()) else { panic!("no error") };
    let Poll::Ready(event) = poll_once(reader.next_event()) else { panic!("no event") };
    assert_eq!(heard(event.unwrap().unwrap()), Heard::Closed(false));
    assert!(matches!(poll_once(reader.next_event()), Poll::Ready(Ok(None))));
}

#[test]
fn a_waiting_writer_learns_of_the_end() {
    let (clock, ws, peer) = pair(Role::Server, Behavior { capacity: 4, ..Behavior::default() }, patient());
    let (mut reader, mut writer) = ws.split();
    let mut receiving = pin!(async {
        tick().await;
        peer.end.reset();
        assert!(reader.next_event().await.is_err());
    });
    let sent = run(&clock, writer.send_text(&letters(1000)), &mut [receiving.as_mut()]);
    assert!(matches!(sent, Err(Error::Io(_) | Error::Send(SendError::Closed))), "{sent:?}");
}

#[test]
fn both_halves_can_wait_to_write() {
    for capacity in [1, 2, 3, 10, 100] {
        let behavior = Behavior { capacity, ..Behavior::default() };
        let (clock, ws, mut peer) = pair(Role::Server, behavior, patient().high_water(8));
        let (mut reader, mut writer) = ws.split();
        let end = peer.end.clone();
        let mut receiving = pin!(async { while reader.recv().await.unwrap().is_some() {} });
        let peer = &mut peer;
        let mut far = pin!(async move {
            for n in 0..200_u8 {
                peer.connection.ping(hybi::Instant::ZERO, &[n]).unwrap();
                peer.pump();
                tick().await;
            }
            while peer.messages().len() < 20 || !peer.heard.contains(&Heard::Pong(vec![199])) {
                peer.pump();
                tick().await;
            }
            let texts = peer.messages();
            assert!(texts.iter().enumerate().all(|(n, text)| *text == Heard::Text(letters(n * 10))));
            let last = peer.heard.iter().rfind(|heard| matches!(heard, Heard::Pong(_)));
            assert_eq!(last, Some(&Heard::Pong(vec![199])));
            peer.end.end();
        });
        let sending = async {
            for n in 0..20 {
                writer.send_text(&letters(n * 10)).await.unwrap();
            }
            while !end.state.lock().unwrap().shut_down {
                tick().await;
            }
        };
        run(&clock, sending, &mut [receiving.as_mut(), far.as_mut()]);
    }
}

#[test]
fn a_fed_message_is_written_while_the_reader_waits() {
    let (_, ws, mut peer) = pair(Role::Server, Behavior::default(), patient());
    let (mut reader, mut writer) = ws.split();
    for text in ["one", "two", "three"] {
        assert!(matches!(poll_once(writer.feed(text)), Poll::Ready(Ok(()))));
    }
    peer.pump();
    assert!(peer.heard.is_empty());
    assert!(poll_once(reader.recv()).is_pending());
    assert_eq!(peer.end.state.lock().unwrap().writes_done, 1);
    peer.pump();
    assert_eq!(peer.heard.len(), 3);
}

#[test]
fn a_message_in_a_sink_is_written_while_the_reader_waits() {
    let (_, ws, mut peer) = pair(Role::Server, Behavior::default(), patient());
    let (mut reader, mut writer) = ws.split();
    assert!(poll_once(poll_fn(|cx| Pin::new(&mut writer).poll_ready(cx))).is_ready());
    Pin::new(&mut writer).start_send("taken".into()).unwrap();
    drop(writer);
    assert!(poll_once(reader.recv()).is_pending());
    peer.pump();
    assert_eq!(peer.heard, [Heard::Text("taken".into())]);
}

#[test]
fn the_reader_runs_timers_that_the_writer_starts() {
    let config = Config::new().ping_interval(None).close_timeout(Some(ms(5000)));
    let (clock, ws, peer) = pair(Role::Server, Behavior::default(), config);
    let (mut reader, mut writer) = ws.split();
    let closing = async { writer.close(CloseCode::NORMAL, "").await.unwrap() };
    let mut closing = pin!(closing);
    let outcome = run(&clock, reader.wait_closed(), &mut [closing.as_mut()]).unwrap();
    assert_eq!((outcome, clock.seconds()), (Outcome::TimedOut(Which::Close), 5));
    drop(peer);
}

#[test]
fn a_protocol_error_is_answered_while_only_the_reader_is_polled() {
    let (_, ws, mut peer) = pair(Role::Server, Behavior::default(), patient());
    let (mut reader, mut writer) = ws.split();
    peer.end.arrive(&[0xFF, 0x80, 0, 0, 0, 0]);
    assert!(matches!(poll_once(reader.next_event()), Poll::Ready(Err(Error::Protocol(_)))));
    peer.pump();
    assert_eq!(peer.heard[0], Heard::Close(1002));
    assert_eq!(refused(poll_once(writer.send_text("hello"))), SendError::Closed);
}
