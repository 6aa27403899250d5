//! A connection on borrowed memory: `SliceOutbox` for output, `SliceMessage` for messages.
//!
//! The caller provides all memory, so nothing is allocated. These tests check what happens when that memory is too
//! small. With too little memory a message is delivered in chunks, and a send is refused. A Close still fits.
//! Compressed messages on borrowed memory are tested in `deflate.rs` and `deflate_send.rs`.

use hybi::frame::Opcode;
use hybi::{
    CloseCode, Config, Connection, ControlPayload, Delivery, Instant, MessageKind, ProtocolError, Role,
    SendError, SliceMessage, SliceOutbox, TransportAction,
};

use crate::pair::{End, Seen, frame, joined, secs, text};

const ROLES: [Role; 2] = [Role::Server, Role::Client];

fn end<'m>(
    role: Role,
    config: Config,
    out: &'m mut [u8],
    message: &'m mut [u8],
    control: &'m mut ([u8; 508], ControlPayload),
) -> End<SliceOutbox<'m>, SliceMessage<'m>> {
    let (out, message) = (SliceOutbox::new(out, &mut control.0), SliceMessage::new(message, &mut control.1));
    let conn = match role {
        Role::Server => Connection::server(Instant::ZERO, config, out),
        Role::Client => Connection::client(Instant::ZERO, config, out, [9; 32]),
    };
    End::new(conn, message)
}

#[test]
fn s5_4_a_message_larger_than_its_memory_is_delivered_in_chunks() {
    let payload = "κόσμε €𝄞 ".repeat(20);
    for role in ROLES {
        for capacity in [0, 1, 2, 3, 7, 64, 100] {
            for opcode in [Opcode::Text, Opcode::Binary] {
                for cut in [0, 1, 5, 50, capacity, payload.len() - 1] {
                    let (head, tail) = payload.as_bytes().split_at(cut);
                    let mut wire = frame(role.peer(), opcode, false, head);
                    wire.extend(frame(role.peer(), Opcode::Ping, true, b"p"));
                    wire.extend(frame(role.peer(), Opcode::Continuation, true, tail));
                    for size in [1, 2, 3, 10, 63, wire.len()] {
                        let (mut out, mut memory) = ([0; 512], vec![0; capacity]);
                        let mut control = ([0; 508], ControlPayload::EMPTY);
                        let mut end = end(role, Config::new(), &mut out, &mut memory, &mut control);
                        let mut seen = end.feed_in(&wire, size);
                        seen.retain(|event| *event != Seen::Ping(b"p".to_vec()));
                        let (all, ended) = joined(&seen);
                        assert!(all == payload.as_bytes() && ended, "{capacity} {cut} {size}");
                        // The next message that fits is delivered whole.
                        let small = "x".repeat(capacity);
                        let wire = frame(role.peer(), Opcode::Text, true, small.as_bytes());
                        let seen = end.feed_in(&wire, 1);
                        if capacity > 0 {
                            assert_eq!(seen, [text(&small)]);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn s5_4_a_message_that_fills_its_memory_is_delivered_whole() {
    let (mut out, mut memory) = ([0; 512], [0; 100]);
    let mut control = ([0; 508], ControlPayload::EMPTY);
    let mut end = end(Role::Server, Config::new(), &mut out, &mut memory, &mut control);
    for len in [0, 1, 99, 100] {
        let words = "x".repeat(len);
        let wire = frame(Role::Client, Opcode::Text, true, words.as_bytes());
        for size in [1, 50, 1000] {
            assert_eq!(end.feed_in(&wire, size), [text(&words)]);
        }
        let (head, tail) = words.as_bytes().split_at(len / 2);
        assert_eq!(end.receive_part(Opcode::Text, false, head), []);
        assert_eq!(end.receive_part(Opcode::Continuation, false, tail), []);
        assert_eq!(end.receive_part(Opcode::Continuation, true, ""), [text(&words)]);
    }
    // A message that is complete in the input is delivered from the input, and needs no memory.
    assert_eq!(end.receive(Opcode::Text, [b'x'; 300]), [text(&"x".repeat(300))]);
}

#[test]
fn s8_1_text_larger_than_its_memory_is_validated_across_chunks() {
    for capacity in [0, 1, 4, 5, 6, 30] {
        for (payload, fin) in [
            (&b"1234\xe2\x82 more text"[..], false),
            (b"123456789\xf0\x9d\x84", true),
            (b"1234\xe2\x82", true),
        ] {
            for size in [1, 2, 7, 100] {
                let (mut out, mut memory) = ([0; 512], vec![0; capacity]);
                let mut control = ([0; 508], ControlPayload::EMPTY);
                let mut end = end(Role::Client, Config::new(), &mut out, &mut memory, &mut control);
                let seen = end.feed_in(&frame(Role::Server, Opcode::Text, fin, payload), size);
                assert_eq!(seen.last(), Some(&Seen::Failed(ProtocolError::InvalidUtf8)), "{capacity} {size}");
                assert_eq!(end.flush(), ["close 1007 text is not UTF-8"]);
            }
        }
    }
}

#[test]
fn s5_4_chunks_need_no_memory() {
    let (mut out, mut memory) = ([0; 512], [0; 0]);
    let mut control = ([0; 508], ControlPayload::EMPTY);
    let mut end =
        end(Role::Server, Config::new().delivery(Delivery::Chunks), &mut out, &mut memory, &mut control);
    let seen = end.feed_in(&frame(Role::Client, Opcode::Text, true, "κόσμε".repeat(100).as_bytes()), 7);
    assert_eq!(joined(&seen), ("κόσμε".repeat(100).into_bytes(), true));
}

#[test]
fn s5_6_a_message_that_does_not_fit_is_blocked_or_too_large() {
    for role in ROLES {
        for space in [0, 1, 144, 145, 146, 261, 300, 1000] {
            let (mut out, mut memory) = (vec![0; space], [0; 8]);
            let mut control = ([0; 508], ControlPayload::EMPTY);
            let mut end = end(role, Config::new(), &mut out, &mut memory, &mut control);
            let largest = space.checked_sub(131 + 14);
            let Some(largest) = largest else {
                assert_eq!(end.conn.send_text(""), Err(SendError::TooLarge));
                assert_eq!(end.conn.buffered_amount(), 0);
                continue;
            };
            assert_eq!(end.conn.send_binary(&vec![1; largest + 1]), Err(SendError::TooLarge));
            end.conn.send_binary(&vec![1; largest]).unwrap();
            let waits = end.conn.buffered_amount();
            assert_eq!(end.conn.send_binary(&vec![1; largest]), Err(SendError::Blocked));
            assert_eq!(
                end.conn.send_fragment(MessageKind::Text, &vec![1; largest], false),
                Err(SendError::Blocked)
            );
            assert_eq!(end.conn.buffered_amount(), waits);
            end.write(1);
            assert_eq!(end.poll(), []);
            end.write_all();
            assert_eq!(end.poll(), [Seen::Writable]);
            end.conn.send_fragment(MessageKind::Binary, &vec![1; largest], true).unwrap();
            end.write_all();
            assert_eq!(end.sent().len(), 2);
        }
    }
}

#[test]
fn s5_5_1_a_close_always_fits_into_the_output() {
    let longest = "r".repeat(123);
    for role in ROLES {
        for space in [131, 145, 146, 262, 300, 500] {
            // The output is full. It holds data, our Pings, a partly written Pong, and another Pong.
            for begun in 0..140 {
                for by_peer in [false, true] {
                    let (mut out, mut memory) = (vec![0; space], [0; 8]);
                    let mut control = ([0; 508], ControlPayload::EMPTY);
                    let mut end = end(role, Config::new(), &mut out, &mut memory, &mut control);
                    end.receive(Opcode::Ping, [1; 125]);
                    end.write(begun);
                    while end.conn.send_text("").is_ok() {}
                    while end.conn.ping(end.now, &[2; 125]).is_ok() {}
                    end.receive(Opcode::Ping, [3; 125]);
                    if by_peer {
                        end.receive_close(4000, &longest);
                    } else {
                        end.conn.close(end.now, CloseCode::NORMAL, &longest).unwrap();
                        end.receive(Opcode::Ping, [4; 125]);
                    }
                    while !end.write(5).is_empty() {}
                    let code = if by_peer { 4000 } else { 1000 };
                    assert_eq!(end.sent().pop().unwrap(), format!("close {code} {longest}"));
                }
            }
        }
    }
}

#[test]
fn s5_5_1_our_queued_close_in_borrowed_memory_answers_the_peers_close() {
    let longest = "r".repeat(123);
    for role in ROLES {
        for begun in 0..220 {
            let (mut out, mut memory) = ([0; 345], [0; 8]);
            let mut control = ([0; 508], ControlPayload::EMPTY);
            let mut end = end(role, Config::new(), &mut out, &mut memory, &mut control);
            end.conn.send_text(&"a".repeat(70)).unwrap();
            end.conn.send_text(&"b".repeat(70)).unwrap();
            end.conn.close(end.now, CloseCode::GOING_AWAY, &longest).unwrap();
            end.write(begun);
            end.receive_close(4000, &longest);
            end.write_all();
            let sent = end.sent();
            assert_eq!(*sent.last().unwrap(), format!("close 1001 {longest}"), "{role:?} {begun}");
            assert!(sent.iter().filter(|frame| frame.starts_with("close")).count() == 1);
            assert_eq!(end.eof(), [crate::pair::closed_clean(4000)]);
        }
    }
}

#[test]
fn s5_5_1_a_connection_with_too_little_memory_closes_and_never_cuts_a_frame() {
    for role in ROLES {
        for space in [0, 1, 60, 130, 131, 200, 261] {
            for begun in [0, 1, 50, 130] {
                let (mut out, mut memory) = (vec![0; space], [0; 0]);
                let mut control = ([0; 508], ControlPayload::EMPTY);
                let mut end = end(role, Config::new(), &mut out, &mut memory, &mut control);
                end.receive(Opcode::Ping, [1; 125]);
                end.write(begun);
                end.receive(Opcode::Ping, [2; 125]);
                end.write(begun);
                end.conn.close(end.now, CloseCode::NORMAL, "reason").unwrap();
                end.write_all();
                // Each frame is whole, and nothing follows the Close.
                let sent = end.sent();
                assert!(sent.iter().rev().skip(1).all(|frame| frame.starts_with("pong")), "{sent:?}");
                if begun == 0 {
                    assert!(sent.last().unwrap().starts_with("close 1000"), "{space} {sent:?}");
                }
                end.receive_close(1000, "");
                end.advance(secs(20));
                assert!(end.conn.poll_transport().is_some());
            }
        }
    }
}

#[test]
fn s5_5_2_a_keepalive_ping_waits_for_space_in_the_output() {
    let (mut out, mut memory) = ([0; 700], [0; 8]);
    let mut control = ([0; 508], ControlPayload::EMPTY);
    let mut end = end(Role::Server, Config::new(), &mut out, &mut memory, &mut control);
    end.conn.send_binary(&[0; 400]).unwrap();
    end.write(1);
    end.advance(secs(30));
    // The frame is written slowly. As soon as the output has space, the Ping is queued after the frame.
    for _ in 0..10 {
        end.write(10);
        end.advance(secs(20));
    }
    end.write_all();
    end.advance(secs(10));
    end.write_all();
    let sent = end.sent();
    assert_eq!(sent.len(), 2, "{sent:?}");
    assert!(sent[1].starts_with("ping"));
    assert_eq!(end.poll(), [], "no send was refused");
    end.advance(secs(20));
    assert_eq!(end.flush(), ["close 1011 no answer to a ping"]);
}

#[test]
fn s7_1_2_both_endpoints_send_a_close_without_an_allocator() {
    let (mut out, mut memory) = ([0; 400], [0; 16]);
    let mut control = ([0; 508], ControlPayload::EMPTY);
    let mut server = end(Role::Server, Config::new(), &mut out, &mut memory, &mut control);
    let (mut out, mut memory) = ([0; 400], [0; 16]);
    let mut control = ([0; 508], ControlPayload::EMPTY);
    let mut client = end(Role::Client, Config::new(), &mut out, &mut memory, &mut control);
    assert_eq!(client.message.capacity(), 16);
    client.conn.send_text("hello").unwrap();
    client.conn.close(client.now, CloseCode::NORMAL, "bye").unwrap();
    // `release_idle` keeps borrowed memory and the output queued in it.
    client.conn.release_idle();
    let heard = server.feed(&client.write(usize::MAX));
    assert_eq!(heard, [text("hello"), Seen::Close(Some(1000), "bye".into())]);
    let heard = client.feed(&server.write(usize::MAX));
    assert_eq!(heard, [Seen::Close(Some(1000), "bye".into())]);
    assert_eq!(server.conn.poll_transport(), Some(TransportAction::HalfClose));
    assert_eq!(client.conn.poll_transport(), None);
    assert_eq!(client.eof(), [crate::pair::closed_clean(1000)]);
    assert_eq!(server.eof(), [crate::pair::closed_clean(1000)]);
}
