//! The timers of the core, driven by the clock of the runtime.
//!
//! These tests check that a WebSocket waits for each deadline of its connection in every call that can wait. They also
//! check that unread input is processed before a timer fires. `liveness.rs` tests slow and dead peers, and `late.rs`
//! tests that no deadline is early.

use std::pin::pin;

use hybi::adapters::futures_io::Error;
use hybi::{CloseCode, Config, Event, Outcome, ProtocolError, Role, SendError, TimerKind as Which};

use super::halves::tick;
use super::support::*;

#[test]
fn a_silent_peer_is_pinged_and_then_given_up() {
    for halves in [false, true] {
        let (clock, mut ws, mut peer) = pair(Role::Server, Behavior::default(), Config::new());
        let outcome = if halves {
            let (mut reader, _writer) = ws.split();
            block_on(&clock, reader.wait_closed()).unwrap()
        } else {
            block_on(&clock, ws.wait_closed()).unwrap()
        };
        assert_eq!(outcome, Outcome::TimedOut(Which::Pong));
        // The Ping is sent after 30 seconds, and its Pong is due 30 seconds later. The connection then ends at once: it
        // does not wait for a Close of a dead peer.
        assert_eq!(clock.seconds(), 60);
        peer.pump();
        assert_eq!(peer.heard[..2], [Heard::Ping(vec![0, 0, 0, 1]), Heard::Close(1011)]);
    }
}

#[test]
fn a_peer_that_answers_is_kept() {
    let (clock, mut ws, mut peer) = pair(Role::Client, Behavior::default(), Config::new());
    let mut far = pin!(async {
        loop {
            peer.pump();
            if peer.heard.len() == 5 {
                peer.connection.close(hybi::Instant::ZERO, CloseCode::NORMAL, "").unwrap();
                peer.pump();
                peer.end.end();
                break;
            }
            // The peer reads again after the WebSocket has written bytes.
            let before = peer.end.state.lock().unwrap().writes_done;
            let state = peer.end.state.clone();
            std::future::poll_fn(|cx| {
                let written = state.lock().unwrap().writes_done > before;
                WRITTEN.with(|waker| *waker.borrow_mut() = Some(cx.waker().clone()));
                if written { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
            })
            .await;
        }
    });
    // The clock does not advance while a task can run. So the peer is woken after each poll of the WebSocket.
    let outcome = run(
        &clock,
        async {
            let mut waiting = pin!(ws.wait_closed());
            std::future::poll_fn(|cx| {
                let polled = waiting.as_mut().poll(cx);
                WRITTEN.with(|waker| waker.borrow_mut().take().map(std::task::Waker::wake));
                polled
            })
            .await
        },
        &mut [far.as_mut()],
    );
    assert!(outcome.unwrap().is_clean());
    assert_eq!(clock.seconds(), 150);
}

std::thread_local! {
    static WRITTEN: std::cell::RefCell<Option<std::task::Waker>> = const { std::cell::RefCell::new(None) };
}

#[test]
fn a_send_to_a_dead_peer_ends() {
    // No task receives, so the sending task must give up by itself.
    let behavior = Behavior { capacity: 10, ..Behavior::default() };
    let (clock, mut ws, _peer) = pair(Role::Server, behavior.clone(), Config::new());
    let sent = block_on(&clock, ws.send_text(&letters(1000)));
    assert!(matches!(sent, Err(Error::Send(SendError::Closed))), "{sent:?}");
    assert_eq!(clock.seconds(), 60);
    assert_eq!(block_on(&clock, ws.wait_closed()).unwrap(), Outcome::TimedOut(Which::Pong));

    let (clock, ws, _peer) = pair(Role::Server, behavior, Config::new());
    let (mut reader, mut writer) = ws.split();
    let sent = block_on(&clock, writer.send_text(&letters(1000)));
    assert!(matches!(sent, Err(Error::Send(SendError::Closed))), "{sent:?}");
    assert_eq!(block_on(&clock, reader.wait_closed()).unwrap(), Outcome::TimedOut(Which::Pong));
}

#[test]
fn the_reader_runs_timers_that_a_ping_of_the_writer_starts() {
    // No timer runs before the Ping, so the reader waits without a deadline.
    let config = patient().pong_timeout(Some(ms(3000))).close_timeout(Some(ms(1000)));
    let (clock, ws, mut peer) = pair(Role::Server, Behavior::default(), config);
    let (mut reader, mut writer) = ws.split();
    let mut pinging = pin!(async {
        tick().await;
        writer.ping(b"are you there?").await.unwrap();
    });
    let outcome = run(&clock, reader.wait_closed(), &mut [pinging.as_mut()]).unwrap();
    assert_eq!((outcome, clock.seconds()), (Outcome::TimedOut(Which::Pong), 3));
    peer.pump();
    assert_eq!(peer.heard[..2], [Heard::Ping(b"are you there?".to_vec()), Heard::Close(1011)]);
}

#[test]
fn a_write_that_progresses_is_not_given_up() {
    // The peer reads at most ten bytes every 90 ms. A Ping is sent after 100 ms of silence, and its Pong is due 100 ms
    // later.
    let config = Config::new().ping_interval(Some(ms(100))).pong_timeout(Some(ms(100)));
    let behavior = Behavior { capacity: 10, ..Behavior::default() };
    let (clock, mut ws, mut peer) = pair(Role::Server, behavior, config);
    let mut far = pin!(async {
        for _ in 0..200 {
            clock.advance(ms(90));
            peer.pump();
            tick().await;
        }
    });
    run(&clock, ws.send_text(&letters(1000)), &mut [far.as_mut()]).unwrap();
    assert!(clock.seconds() > 5, "{}", clock.seconds());
}

#[test]
fn closing_ends_at_the_close_timeout() {
    let (clock, mut ws, _peer) = pair(Role::Client, Behavior::default(), Config::new());
    block_on(&clock, ws.close(CloseCode::NORMAL, "")).unwrap();
    assert_eq!(block_on(&clock, ws.wait_closed()).unwrap(), Outcome::TimedOut(Which::Close));
    assert_eq!(clock.seconds(), 10);
    assert!(block_on(&clock, ws.next_event()).unwrap().is_none());
}

#[test]
fn unread_input_is_processed_before_a_timer_fires() {
    let (clock, mut ws, mut peer) = pair(Role::Server, Behavior::default(), Config::new());
    assert!(poll_once(ws.recv()).is_pending());
    peer.connection.send_text("in time").unwrap();
    peer.say();
    // The application was busy for an hour.
    clock.advance(ms(3_600_000));
    assert_eq!(block_on(&clock, ws.recv()).unwrap(), Some("in time".into()));
    peer.pump();
    assert!(peer.heard.is_empty());
}

#[test]
fn an_idle_connection_is_closed() {
    let config = patient().idle_timeout(Some(ms(60_000))).close_timeout(Some(ms(1000)));
    let (clock, mut ws, mut peer) = pair(Role::Server, Behavior::default(), config);
    let outcome = block_on(&clock, async {
        let mut outcome = None;
        while let Some((event, _)) = ws.next_event().await.unwrap() {
            if let Event::Closed(how) = event {
                outcome = Some(how);
            }
        }
        outcome
    });
    assert_eq!((outcome, clock.seconds()), (Some(Outcome::TimedOut(Which::Close)), 61));
    peer.pump();
    assert_eq!(peer.heard[0], Heard::Close(1001));
}

#[test]
fn timers_restart_when_input_arrives() {
    let config = || patient().idle_timeout(Some(ms(60_000))).close_timeout(Some(ms(10_000)));
    for halves in [false, true] {
        // After fifty seconds a valid message or invalid text arrives. Invalid text fails the connection, but the peer
        // keeps the stream open.
        for (bytes, ends_at, outcome) in [
            (&[0x81, 0x81, 0, 0, 0, 0, b'a'], 120, Outcome::TimedOut(Which::Close)),
            (&[0x81, 0x81, 0, 0, 0, 0, 0xFF], 60, Outcome::Failed(ProtocolError::InvalidUtf8)),
        ] {
            let (clock, mut ws, peer) = pair(Role::Server, Behavior::default(), config());
            assert!(poll_once(ws.next_event()).is_pending());
            clock.advance(ms(50_000));
            peer.end.arrive(bytes);
            let ended = if halves {
                let (mut reader, _writer) = ws.split();
                let _ = block_on(&clock, reader.next_event());
                block_on(&clock, reader.wait_closed())
            } else {
                let _ = block_on(&clock, ws.next_event());
                block_on(&clock, ws.wait_closed())
            };
            assert_eq!((ended.unwrap(), clock.seconds()), (outcome, ends_at), "halves: {halves}");
        }
    }
}

#[test]
fn received_input_extends_the_deadline_of_a_waiting_send() {
    let config = patient().idle_timeout(Some(ms(60_000))).close_timeout(Some(ms(10_000)));
    let (clock, mut ws, mut peer) =
        pair(Role::Server, Behavior { capacity: 10, ..Behavior::default() }, config);
    assert!(poll_once(ws.next_event()).is_pending());
    clock.advance(ms(50_000));
    peer.connection.send_text("here").unwrap();
    peer.say();
    assert_eq!(block_on(&clock, ws.recv()).unwrap(), Some("here".into()));
    // The peer reads nothing more. The send must not end before another minute has passed.
    let sent = block_on(&clock, ws.send_text(&letters(1000)));
    assert!(matches!(sent, Err(Error::Send(SendError::Closed))), "{sent:?}");
    assert!(clock.seconds() >= 110, "{}", clock.seconds());
}
