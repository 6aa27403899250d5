//! A [`Group`]: WebSockets that the server closes together.
//!
//! Closing a group wakes each member that waits to receive. The member then queues a Close, and its closing
//! handshake proceeds as usual. These tests check when a member notices the close, what it still sends and
//! receives, and which wakers are called. Interleavings of threads are tested in `tests/loom/`.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_core::Stream;
use hybi::adapters::futures_io::{Error, Group};
use hybi::{CloseCode, Event, Role, SendError};

use super::halves::tick;
use super::support::*;

const AWAY: &str = "the server is shutting down";

/// Returns a WebSocket that is the only member of a new group.
fn member(role: Role) -> (Group, Clock, Ws, Peer) {
    let (clock, mut ws, peer) = pair(role, Behavior::default(), patient());
    let group = Group::new();
    ws.join(&group);
    (group, clock, ws, peer)
}

/// Asserts that the next receive of the WebSocket sends a Close with `code`, and that the peer receives nothing before
/// the Close.
fn closes_with(ws: &mut Ws, peer: &mut Peer, code: u16) {
    assert!(poll_once(ws.recv()).is_pending());
    peer.pump();
    assert_eq!(peer.heard[0], Heard::Close(code));
}

/// Counts the wakeups of a task.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Woken {
    fn times(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

#[test]
fn a_member_that_waits_to_receive_closes_at_once() {
    for role in [Role::Server, Role::Client] {
        for how in 0..4 {
            let (group, clock, mut ws, mut peer) = member(role);
            let mut receiving = pin!(async {
                match how {
                    0 => assert!(matches!(ws.next_event().await, Ok(Some((Event::CloseReceived { .. }, _))))),
                    1 => assert!(matches!(ws.recv().await, Ok(None))),
                    2 => assert!(ws.wait_closed().await.unwrap().is_clean()),
                    _ => assert!(poll_fn(|cx| Pin::new(&mut ws).poll_next(cx)).await.is_none()),
                }
                assert!(ws.wait_closed().await.unwrap().is_clean());
            });
            let heard = run(
                &clock,
                async {
                    tick().await;
                    assert!(peer.heard.is_empty());
                    group.close(CloseCode::GOING_AWAY, AWAY).unwrap();
                    // The other task needs two polls: one to write the Close, and one to read the answer.
                    for _ in 0..4 {
                        tick().await;
                        peer.pump();
                    }
                    if role == Role::Client {
                        peer.end.end();
                    }
                    tick().await;
                    peer.heard
                },
                &mut [receiving.as_mut()],
            );
            assert_eq!(heard.first(), Some(&Heard::Close(1001)), "{role:?} {how}");
        }
    }
}

#[test]
fn queued_messages_are_sent_before_the_close() {
    let (group, _, mut ws, mut peer) = member(Role::Server);
    block_on(&Clock::default(), ws.feed("first")).unwrap();
    group.close(CloseCode::GOING_AWAY, AWAY).unwrap();
    // Only a receiving call checks the group. A send still succeeds.
    block_on(&Clock::default(), ws.send("second")).unwrap();
    assert!(poll_once(ws.next_event()).is_pending());
    assert!(matches!(poll_once(ws.send("third")), Poll::Ready(Err(Error::Send(SendError::Closed)))));
    peer.pump();
    assert_eq!(peer.heard[..2], [Heard::Text("first".into()), Heard::Text("second".into())]);
    assert_eq!(peer.heard[2], Heard::Close(1001));
}

#[test]
fn a_message_that_arrives_while_closing_is_delivered_and_not_answered() {
    let (group, clock, mut ws, mut peer) = member(Role::Server);
    group.close(CloseCode::GOING_AWAY, AWAY).unwrap();
    assert!(poll_once(ws.next_event()).is_pending());
    // The peer sends this message before it reads the Close.
    peer.connection.send_text("on its way").unwrap();
    peer.say();
    let Poll::Ready(Ok(Some((Event::Text(text), mut answer)))) = poll_once(ws.next_event()) else {
        panic!("no message")
    };
    assert_eq!(text, "on its way");
    assert!(matches!(poll_once(answer.send_text(text)), Poll::Ready(Err(Error::Send(SendError::Closed)))));
    peer.pump();
    assert!(poll_once(ws.wait_closed()).is_pending());
    peer.pump();
    assert!(block_on(&clock, ws.wait_closed()).unwrap().is_clean());
    assert_eq!(peer.heard, [Heard::Close(1001), Heard::Closed(true)]);
}

#[test]
fn a_websocket_that_joins_a_closed_group_is_closed() {
    let (_, mut ws, mut peer) = pair(Role::Server, Behavior::default(), patient());
    let group = Group::new();
    group.close(CloseCode::SERVICE_RESTART, "").unwrap();
    ws.join(&group.clone());
    closes_with(&mut ws, &mut peer, 1012);
}

#[test]
fn a_websocket_that_left_the_group_is_not_closed() {
    let (first, _, mut ws, mut peer) = member(Role::Server);
    assert!(poll_once(ws.recv()).is_pending());
    let second = Group::new();
    ws.join(&second);
    first.close(CloseCode::GOING_AWAY, AWAY).unwrap();
    assert!(poll_once(ws.recv()).is_pending());
    peer.pump();
    assert_eq!(peer.heard, []);
    second.close(CloseCode::NORMAL, "").unwrap();
    closes_with(&mut ws, &mut peer, 1000);
}

#[test]
fn a_member_whose_peer_always_sends_is_closed_too() {
    let (group, _, mut ws, mut peer) = member(Role::Server);
    group.close(CloseCode::GOING_AWAY, AWAY).unwrap();
    for n in 0..40 {
        // There is always input to read.
        peer.connection.send_text(&n.to_string()).unwrap();
        peer.say();
        let Poll::Ready(Ok(Some((Event::Text(text), _)))) = poll_once(ws.next_event()) else {
            // The WebSocket checks its group before it waits, or at the end of a turn. A turn has at most 16 reads.
            assert!((16..20).contains(&n), "{n}");
            peer.pump();
            assert_eq!(peer.heard[0], Heard::Close(1001));
            return;
        };
        assert_eq!(text, n.to_string());
    }
    panic!("the WebSocket did not notice that its group was closed");
}

#[test]
fn a_member_that_is_already_closing_keeps_its_close() {
    let (group, _, mut ws, mut peer) = member(Role::Server);
    assert!(poll_once(ws.close(CloseCode::NORMAL, "done")).is_ready());
    group.close(CloseCode::GOING_AWAY, AWAY).unwrap();
    for _ in 0..3 {
        assert!(poll_once(ws.wait_closed()).is_pending() || ws.outcome().is_some());
        peer.pump();
    }
    let closes = peer.heard.iter().filter(|heard| matches!(heard, Heard::Close(_))).collect::<Vec<_>>();
    assert_eq!(closes, [&Heard::Close(1000)]);
}

#[test]
fn a_code_that_only_the_other_role_may_send_is_replaced_by_going_away() {
    let (group, _, mut ws, mut peer) = member(Role::Server);
    group.close(CloseCode::MANDATORY_EXTENSION, "it is missing").unwrap();
    closes_with(&mut ws, &mut peer, 1001);
    // Code 1010 is for clients only. Both roles may send every other code that is allowed in a Close.
    let (group, _, mut ws, mut peer) = member(Role::Client);
    group.close(CloseCode::TRY_AGAIN_LATER, "full").unwrap();
    closes_with(&mut ws, &mut peer, 1013);
}

#[test]
fn a_group_is_closed_once_with_valid_arguments() {
    let (group, _, mut ws, mut peer) = member(Role::Server);
    assert_eq!(group.close(CloseCode::new(1005), ""), Err(SendError::CodeNotAllowed));
    assert_eq!(group.close(None, "a reason without a code"), Err(SendError::CodeNotAllowed));
    assert_eq!(group.close(CloseCode::NORMAL, letters(124)), Err(SendError::ReasonTooLong));
    assert!(poll_once(ws.recv()).is_pending());
    peer.pump();
    assert_eq!(peer.heard, []);
    assert_eq!(group.close(None, ""), Ok(()));
    assert_eq!(group.close(CloseCode::NORMAL, ""), Err(SendError::Closed));
    // After the group was closed, the error is `Closed` even if the arguments are invalid.
    assert_eq!(group.close(CloseCode::new(1005), ""), Err(SendError::Closed));
    assert_eq!(group.close(CloseCode::NORMAL, letters(124)), Err(SendError::Closed));
    closes_with(&mut ws, &mut peer, 1005);
}

#[test]
fn only_the_last_waiting_task_of_a_member_is_woken() {
    let (group, _, mut ws, _peer) = member(Role::Server);
    let (_, mut other, its_peer) = pair(Role::Server, Behavior::default(), patient());
    other.join(&group);
    let tasks = [(); 3].map(|()| Arc::new(Woken::default()));
    let wait = |ws: &mut Ws, task: &Arc<Woken>| {
        let waker = Waker::from(Arc::clone(task));
        assert!(pin!(ws.recv()).poll(&mut Context::from_waker(&waker)).is_pending());
    };
    wait(&mut ws, &tasks[0]);
    wait(&mut ws, &tasks[1]);
    wait(&mut other, &tasks[2]);
    // The stream and the group held wakers of this task. The drop of the WebSocket must also drop these wakers.
    drop((other, its_peer));
    assert_eq!(Arc::strong_count(&tasks[2]), 1);
    group.close(CloseCode::GOING_AWAY, AWAY).unwrap();
    assert_eq!(tasks.map(|task| task.times()), [0, 1, 0]);
}

#[test]
fn a_receiving_half_closes_both_halves() {
    let (group, clock, ws, mut peer) = member(Role::Server);
    let (mut reader, mut writer) = ws.split();
    let mut receiving = pin!(async {
        assert!(reader.recv().await.unwrap().is_none());
        assert!(reader.outcome().unwrap().is_clean());
    });
    let heard = run(
        &clock,
        async {
            writer.feed("before").await.unwrap();
            tick().await;
            group.close(CloseCode::GOING_AWAY, AWAY).unwrap();
            for _ in 0..4 {
                tick().await;
                peer.pump();
            }
            assert!(matches!(writer.send("after").await, Err(Error::Send(SendError::Closed))));
            peer.heard
        },
        &mut [receiving.as_mut()],
    );
    assert_eq!(heard, [Heard::Text("before".into()), Heard::Close(1001), Heard::Closed(true)]);
}

#[test]
fn a_receiving_half_closes_after_the_message_of_the_sending_half() {
    let (_, mut ws, mut peer) =
        pair(Role::Server, Behavior { capacity: 4, ..Behavior::default() }, patient());
    let group = Group::new();
    ws.join(&group);
    let (mut reader, mut writer) = ws.split();
    assert!(poll_once(reader.recv()).is_pending());
    let mut sending = pin!(writer.send("more than the stream takes"));
    assert!(poll_once(sending.as_mut()).is_pending());
    group.close(CloseCode::GOING_AWAY, AWAY).unwrap();
    for _ in 0..100 {
        assert!(poll_once(reader.recv()).is_pending() || reader.outcome().is_some());
        peer.pump();
    }
    assert_eq!(peer.heard[..2], [Heard::Text("more than the stream takes".into()), Heard::Close(1001)]);
    assert!(matches!(poll_once(sending), Poll::Ready(Ok(()))));
}
