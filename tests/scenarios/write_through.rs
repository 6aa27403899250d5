//! Messages that are written directly to the transport instead of being queued.
//!
//! The transport may accept any number of bytes, and the remaining bytes are queued. The written bytes must be the same
//! as with queued messages. These tests also check that a server's payload is not copied, and that queued frames are
//! written first.

use hybi::frame::Opcode;
use hybi::{CloseCode, Config, Message, MessageKind, Role, SendError};

use crate::pair::{End, Scenario};

const ROLES: [Role; 2] = [Role::Server, Role::Client];

/// Sends a message with one of the three methods that write at once. Each write accepts at most `most` bytes. Returns
/// the number of slices that the write received.
fn transmit(end: &mut End, way: usize, data: &[u8], most: usize) -> usize {
    let (now, mut count, mut wire) = (end.now, 0, Vec::new());
    let write = |slices: &[&[u8]]| {
        count = slices.len();
        wire = slices.concat();
        wire.truncate(most);
        wire.len()
    };
    match way {
        0 => end.conn.transmit_binary(now, data, write).unwrap(),
        1 => end.conn.transmit_text(now, std::str::from_utf8(data).unwrap(), write).unwrap(),
        _ => end.conn.transmit(now, &Message::from(data.to_vec()), write).unwrap(),
    }
    end.wire.extend_from_slice(&wire);
    count
}

fn queue(end: &mut End, way: usize, data: &[u8]) {
    match way {
        0 => end.conn.send_binary(data).unwrap(),
        1 => end.conn.send_text(std::str::from_utf8(data).unwrap()).unwrap(),
        _ => end.conn.send(data.to_vec()).unwrap(),
    }
}

#[test]
fn s5_4_the_wire_equals_that_of_queued_messages_for_any_partial_write() {
    for role in ROLES {
        for way in 0..3 {
            for len in [0, 1, 125, 126, 5000, 70_000] {
                for most in [0, 1, 2, 3, 4, 9, 10, 11, 100, len, len + 4, usize::MAX] {
                    let scenario = || Scenario::of(role).config(Config::new().high_water(1 << 20)).open();
                    let (mut direct, mut queued) = (scenario(), scenario());
                    for round in 0..3 {
                        let data = vec![b'a' + round; len];
                        transmit(&mut direct, way, &data, most);
                        queue(&mut queued, way, &data);
                    }
                    direct.write_all();
                    queued.write_all();
                    assert!(direct.wire == queued.wire, "{role:?}, {way}, {len} bytes, {most} at most");
                    assert_eq!(direct.conn.sender().counters(), queued.conn.sender().counters());
                    assert_eq!(direct.conn.buffered_amount(), 0);
                }
            }
        }
    }
}

#[test]
fn a_servers_payload_is_written_without_a_copy() {
    let mut end = Scenario::server().open();
    let data = vec![b'x'; 10_000];
    assert_eq!(transmit(&mut end, 0, &data, usize::MAX), 2);
    assert_eq!(end.conn.buffered_amount(), 0);

    let message = Message::from(data);
    end.conn.transmit(end.now, &message, |slices| slices[0].len() + 100).unwrap();
    let mut slices = [&[][..]; 4];
    assert_eq!(end.conn.poll_transmit(&mut slices), 1);
    assert_eq!(slices[0].as_ptr(), message.as_bytes()[100..].as_ptr());
}

#[test]
fn control_frames_and_queued_messages_are_written_first() {
    for role in ROLES {
        let mut end = Scenario::of(role).open();
        end.conn.send_text("first").unwrap();
        end.receive(Opcode::Ping, "asks");
        transmit(&mut end, 1, b"second", usize::MAX);
        assert_eq!(end.sent(), ["pong asks", "text first", "text second"]);
    }
}

#[test]
fn a_large_message_of_a_server_is_written_directly_after_the_queue() {
    for waiting in [1, 40, 5000] {
        let scenario = || Scenario::server().config(Config::new().high_water(1 << 20)).open();
        let mut queued = scenario();
        let fill = |end: &mut End| {
            end.conn.send(vec![b'w'; waiting]).unwrap();
            end.conn.send_text("small").unwrap();
            end.receive(Opcode::Ping, "asks");
        };
        fill(&mut queued);
        queue(&mut queued, 0, &[b'x'; 4096]);
        queue(&mut queued, 1, b"behind");
        queued.write_all();
        for most in 0..=queued.wire.len() {
            let mut end = scenario();
            fill(&mut end);
            let slices = transmit(&mut end, 0, &[b'x'; 4096], most);
            assert!(slices > 2, "{slices}");
            queue(&mut end, 1, b"behind");
            end.write_all();
            assert!(end.wire == queued.wire, "{most} of {}", queued.wire.len());
            assert_eq!(end.conn.sender().counters(), queued.conn.sender().counters());
        }
    }
}

#[test]
fn a_message_after_a_long_queue_is_queued() {
    let mut end = Scenario::server().config(Config::new().high_water(1 << 20)).open();
    for _ in 0..20 {
        end.conn.send(vec![b'w'; 5000]).unwrap();
    }
    transmit(&mut end, 0, &[b'x'; 4096], usize::MAX);
    assert!(end.conn.buffered_amount() > 4096);
    end.write_all();
    assert_eq!(end.sent().len(), 21);
}

#[test]
fn a_write_count_above_the_passed_bytes_counts_as_all_passed_bytes() {
    let mut end = Scenario::server().config(Config::new().high_water(usize::MAX)).open();
    for n in 0..20 {
        end.conn.send(vec![n; 5000]).unwrap();
    }
    // The large message is written directly after the queue. The small one is copied into the queue.
    for len in [5000, 100] {
        let (mut offered, before) = (0, end.conn.buffered_amount());
        let write = |slices: &[&[u8]]| {
            offered = slices.concat().len();
            usize::MAX
        };
        end.conn.transmit_binary(end.now, &vec![7; len], write).unwrap();
        let head = if len > 125 { 4 } else { 2 };
        assert_eq!(end.conn.buffered_amount(), before + head + len - offered);
    }
}

#[test]
fn a_message_that_is_refused_is_not_written() {
    for role in ROLES {
        let mut end = Scenario::of(role).config(Config::new().high_water(4)).open();
        let never = |_: &[&[u8]]| panic!("written");
        end.conn.send_text("enough").unwrap();
        assert_eq!(end.conn.transmit_text(end.now, "more", never), Err(SendError::Blocked));
        end.write_all();

        end.conn.send_fragment(MessageKind::Text, b"open", false).unwrap();
        end.write_all();
        assert_eq!(end.conn.transmit_binary(end.now, b"between", never), Err(SendError::MessageOpen));
        end.conn.send_fragment(MessageKind::Text, b"", true).unwrap();

        end.conn.close(end.now, CloseCode::NORMAL, "").unwrap();
        // RFC 6455 5.5.1: no data follows a Close, whether or not the Close was written.
        for _ in 0..2 {
            assert_eq!(end.conn.transmit(end.now, &"late".into(), never), Err(SendError::Closed));
            end.write_all();
        }
    }
}

#[test]
#[cfg(feature = "deflate")]
fn s7692_6_messages_written_directly_are_compressed() {
    for way in 0..3 {
        let scenario = || Scenario::server().deflate(hybi::handshake::DeflateParams::default()).open();
        let (mut direct, mut queued) = (scenario(), scenario());
        for round in 0..3 {
            let data = vec![b'a' + round; 1000];
            transmit(&mut direct, way, &data, 7);
            queue(&mut queued, way, &data);
        }
        direct.write_all();
        queued.write_all();
        assert!(direct.wire == queued.wire && queued.wire.len() < 300, "{way}");
        // A message that the application excludes from compression is written without a copy, as two slices.
        let (secret, mut pieces) = (Message::from(vec![b'x'; 1000]), 0);
        let plain = hybi::SendOptions::new().compress(false);
        let write = |slices: &[&[u8]]| {
            pieces = slices.len();
            slices.concat().len()
        };
        direct.conn.transmit_with(direct.now, &secret, plain, write).unwrap();
        assert_eq!(pieces, 2);
        assert_ne!(transmit(&mut direct, way, &[b'x'; 1000], usize::MAX), 2);
    }
}
