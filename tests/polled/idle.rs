//! What a connection holds while it waits.

use hybi::futures_io::Error;
use hybi::{Event, Message, Role};

use super::support::*;

#[test]
fn a_connection_that_waits_holds_no_buffers() {
    let (_, mut ws, mut peer) = pair(Role::Server, Manner::default(), patient());
    for size in [0, 100, 20_000, 300_000] {
        peer.connection.send_text(&letters(size)).unwrap();
        peer.say();
        let mut echo = Box::pin(async {
            while let Some((event, mut answer)) = ws.next().await.unwrap() {
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
fn a_part_of_a_message_is_kept_and_no_more() {
    let (_, mut ws, peer) = pair(Role::Server, Manner::default(), patient());
    // Fifty bytes of a thousand.
    peer.end.arrive(&[0x82, 0xFE, 0x03, 0xE8, 0, 0, 0, 0]);
    peer.end.arrive(&[7; 50]);
    assert!(poll_once(ws.recv()).is_pending());
    let (_, _, inbox) = ws.into_parts();
    assert!((50..=2000).contains(&inbox.capacity()), "{}", inbox.capacity());
}

#[test]
fn a_handle_is_as_small_as_a_pointer() {
    assert_eq!(size_of::<Ws>(), size_of::<usize>());
}

#[test]
fn a_large_message_is_written_at_once_and_what_is_not_taken_is_queued() {
    for role in [Role::Server, Role::Client] {
        for (piece, at_once) in [(usize::MAX, 70_010), (1000, 1000), (3, 3)] {
            let (clock, mut ws, mut peer) = pair(role, Manner { piece, ..Manner::default() }, patient());
            let text = letters(70_000);
            block_on(&clock, ws.responder().send_text(&text)).unwrap();
            // A client masks what it sends, so it is queued like any other.
            let queued = if role == Role::Server { 70_010 - at_once } else { 70_014 };
            assert_eq!(ws.buffered_amount(), queued);
            block_on(&clock, ws.send_text("and more")).unwrap();
            assert_eq!(ws.buffered_amount(), 0);
            peer.pump();
            let expected = [Message::from(text), Message::from("and more")].map(of_message);
            assert_eq!(peer.messages(), expected);
        }
    }
}

#[test]
fn a_large_message_into_a_stream_that_fails_is_an_error_of_the_next_write() {
    let manner = Manner { fault: Some((0, Fault::Reset)), ..Manner::default() };
    let (clock, mut ws, _peer) = pair(Role::Server, manner, patient());
    block_on(&clock, ws.responder().send_binary(&[7; 20_000])).unwrap();
    assert!(matches!(block_on(&clock, ws.flush()), Err(Error::Io(_))));
}
