//! What a connection holds while it waits.

use hybi::{Event, Role};

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
