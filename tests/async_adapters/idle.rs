//! Memory of a connection that waits.
//!
//! Buffers belong to a thread-local pool. A connection that waits returns its read buffer to the pool and keeps
//! only a partial message. These tests check capacities and the content of partial messages. The heap is measured
//! in `tests/memory/async_adapters.rs`.

use std::task::Poll;

use hybi::adapters::futures_io::Error;
use hybi::{Event, Message, MessageKind, Role};

use super::support::*;

#[test]
fn an_idle_connection_holds_no_buffers() {
    let (_, mut ws, mut peer) = pair(Role::Server, Behavior::default(), patient());
    for size in [0, 100, 20_000, 300_000] {
        peer.connection.send_text(&letters(size)).unwrap();
        peer.say();
        let mut echo = Box::pin(async {
            while let Some((event, mut answer)) = ws.next_event().await.unwrap() {
                if let Event::Text(text) = event {
                    answer.send_text(text).await.unwrap();
                }
            }
        });
        // A large message takes several turns.
        for _ in 0..10 {
            assert!(poll_once(echo.as_mut()).is_pending());
            peer.pump();
        }
        drop(echo);
        assert!(!ws.connection().sender().holds_memory());
    }
    assert_eq!(peer.messages().len(), 4);
    let (_, _, inbox) = ws.into_parts();
    assert_eq!(inbox.capacity(), 0);
}

#[test]
fn only_a_partial_message_is_kept() {
    let (_, mut ws, peer) = pair(Role::Server, Behavior::default(), patient());
    // The header announces 1000 bytes of payload, of which 50 arrive.
    peer.end.arrive(&[0x82, 0xFE, 0x03, 0xE8, 0, 0, 0, 0]);
    peer.end.arrive(&[7; 50]);
    assert!(poll_once(ws.recv()).is_pending());
    let (_, _, inbox) = ws.into_parts();
    assert!((50..=2000).contains(&inbox.capacity()), "{}", inbox.capacity());
}

#[test]
fn memory_for_the_rest_of_a_large_message_is_kept_for_a_second() {
    for waits in [0, 999, 1000] {
        let (clock, mut ws, mut peer) = pair(Role::Server, Behavior::default(), patient());
        let large = noise(300_000);
        peer.connection.send_binary(large.as_bytes()).unwrap();
        let wire = wire(&mut peer.connection);
        // After this message the thread-local pool holds memory for another message of this size.
        peer.end.arrive(&wire);
        assert!(matches!(block_on(&clock, ws.next_event()), Ok(Some((Event::Binary(_), _)))));
        assert!(poll_once(ws.next_event()).is_pending());

        // The first 14 bytes are the frame header and the masking key.
        peer.end.arrive(&wire[..100_000]);
        assert!(poll_once(ws.next_event()).is_pending());
        clock.advance(ms(waits));
        assert!(poll_once(ws.next_event()).is_pending());
        let (stream, connection, inbox) = ws.into_parts();
        if waits < 1000 {
            assert!(inbox.capacity() >= 300_000, "{}", inbox.capacity());
            // Some spare memory is kept, so that a short read does not move the partial message.
            assert_eq!(inbox.spare(), inbox.capacity() - 99_986 - (32 << 10));
        } else {
            assert!((99_986..=200_000).contains(&inbox.capacity()), "{}", inbox.capacity());
            assert_eq!(inbox.spare(), 0);
        }

        let mut ws = Ws::from_parts(stream, clock.clone(), connection, inbox);
        peer.end.arrive(&wire[100_000..]);
        assert_eq!(block_on(&clock, ws.recv()).unwrap(), Some(large.into_bytes().into()));
    }
}

#[test]
fn an_owned_message_leaves_no_buffer_in_the_websocket() {
    for size in [5, 20_000, 300_000] {
        let (clock, mut ws, mut peer) = pair(Role::Server, Behavior::default(), patient());
        peer.connection.send_binary(noise(size).as_bytes()).unwrap();
        peer.say();
        // The application may keep the message for a long time, so the WebSocket must not keep a buffer as well.
        assert!(block_on(&clock, ws.recv()).unwrap().is_some());
        assert_eq!(ws.into_parts().2.capacity(), 0);
    }
}

/// Returns text with code points of every length.
fn wide(len: usize) -> String {
    "a§€𝄞".chars().cycle().take(len).collect()
}

#[test]
fn s5_6_partial_messages_of_connections_on_one_thread_do_not_mix() {
    for role in [Role::Server, Role::Client] {
        for halves in [false, true] {
            for len in [4, 50, 5000, 17_000, 30_000] {
                let text = wide(len);
                let wire = |kind| {
                    let mut peer = connection(role.peer(), patient());
                    match kind {
                        MessageKind::Text => peer.send_text(&text).unwrap(),
                        MessageKind::Binary => peer.send_binary(text.as_bytes()).unwrap(),
                    }
                    wire(&mut peer)
                };
                let wires = [wire(MessageKind::Text), wire(MessageKind::Binary)];
                let step = if len < 100 { 1 } else { wires[0].len() / 6 };
                // Short messages are cut at every place, and long messages at a few places and inside the last code
                // point.
                let last = wires[0].len() - 3..wires[0].len();
                for cut in (1..wires[0].len()).step_by(step).chain(last) {
                    let arrived = receive_by_turns(role, halves, &wires, cut);
                    let expected = [Heard::Text(text.clone()), Heard::Binary(text.clone().into_bytes())];
                    assert!(arrived == expected, "{role:?}, halves {halves}, {len} cut at {cut}");
                }
            }
        }
    }
}

/// Receives one message on each of two connections, alternately. Each message arrives in two parts.
fn receive_by_turns(role: Role, halves: bool, wires: &[Vec<u8>; 2], cut: usize) -> Vec<Heard> {
    let mut all: Vec<_> = wires
        .iter()
        .map(|wire| {
            let (_, ws, peer) = pair(role, Behavior::default(), patient());
            let (ws, reader) = if halves { (None, Some(ws.split())) } else { (Some(ws), None) };
            (ws, reader, peer, wire.split_at(cut))
        })
        .collect();
    let mut got = Vec::new();
    for first in [true, false] {
        for (ws, halves, peer, parts) in &mut all {
            peer.end.arrive(if first { parts.0 } else { parts.1 });
            let polled = match (ws, halves) {
                (Some(ws), _) => poll_once(ws.recv()),
                (_, Some((reader, _))) => poll_once(reader.recv()),
                _ => panic!("neither"),
            };
            if let Poll::Ready(message) = polled {
                got.push(of_message(message.unwrap().unwrap()));
            }
        }
    }
    got
}

#[test]
fn a_websocket_is_as_small_as_a_pointer() {
    assert_eq!(size_of::<Ws>(), size_of::<usize>());
}

#[test]
fn a_large_message_is_written_at_once_and_its_rest_is_queued() {
    for role in [Role::Server, Role::Client] {
        // The frame consists of the header, for a client also a masking key, and the payload.
        let len = if role == Role::Server { 70_010 } else { 70_014 };
        for piece in [usize::MAX, 1000, 3] {
            let (clock, mut ws, mut peer) = pair(role, Behavior { piece, ..Behavior::default() }, patient());
            let text = letters(70_000);
            block_on(&clock, ws.responder().send_text(&text)).unwrap();
            assert_eq!(ws.buffered_amount(), len - piece.min(len));
            block_on(&clock, ws.send_text("and more")).unwrap();
            assert_eq!(ws.buffered_amount(), 0);
            peer.pump();
            let expected = [Message::from(text), Message::from("and more")].map(of_message);
            assert_eq!(peer.messages(), expected);
        }
    }
}

#[test]
fn a_large_message_to_a_failed_stream_is_an_error() {
    let behavior = Behavior { fault: Some((0, Fault::Reset)), ..Behavior::default() };
    let (clock, mut ws, _peer) = pair(Role::Server, behavior, patient());
    block_on(&clock, ws.responder().send_binary(&[7; 20_000])).unwrap();
    assert!(matches!(block_on(&clock, ws.flush()), Err(Error::Io(_))));
}
