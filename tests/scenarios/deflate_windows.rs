//! permessage-deflate: releasing the windows between messages.
//!
//! A connection with context takeover keeps a window for each direction. It releases the windows after a time without
//! data, on request, or when it ends. These tests check when the windows are released, and that the release changes no
//! message. `tests/memory/deflate.rs` measures how much memory is released.

use std::time::Duration;

use hybi::deflate::{Compression, Deflater, Inflater};
use hybi::frame::Opcode;
use hybi::{Config, Instant, MessageKind, Prepared, Role, VecMessage};

use crate::blocks::{Blocks, Decoder, Token};
use crate::deflate::{HELLO, HELLO_AGAIN, ROLES, agreed, compressed, noise, open, words};
use crate::pair::{End, Pair, Seen, at, frame, parse, secs, text};

/// Returns a configuration without Pings, so that only the release of windows causes a deadline.
fn quiet(release_after: Option<Duration>) -> Config {
    let compression = Compression::new().release_after(release_after);
    Config::new().ping_interval(None).compression(compression)
}

fn holds(end: &End) -> (bool, bool) {
    (end.conn.sender().can_release_deflater(), end.conn.receiver().can_release_inflater())
}

/// Returns an endpoint that has sent a message and received one.
fn used(role: Role, release_after: Option<Duration>) -> End {
    let mut end = open(role, true, quiet(release_after));
    assert_eq!(holds(&end), (false, false));
    assert_eq!(end.conn.poll_timeout(), None);
    end.conn.send_text(&words(1000)).unwrap();
    end.write_all();
    end.feed(&compressed(role.peer(), Opcode::Text, true, &HELLO));
    assert_eq!(holds(&end), (true, true));
    end
}

#[test]
fn s7692_7_1_windows_are_released_after_a_time_without_data() {
    for role in ROLES {
        let mut end = used(role, Some(secs(60)));
        assert_eq!(end.conn.poll_timeout(), Some(at(secs(60))));
        end.advance_to(at(secs(50)));
        end.advance(Duration::from_millis(9_999));
        assert_eq!(holds(&end), (true, true));
        end.advance_to(at(secs(60)));
        assert_eq!(holds(&end), (false, false));
        assert_eq!(end.conn.poll_timeout(), None);
        // The peer's next message may still refer to the peer's earlier data. Our next message refers to no earlier
        // data.
        let again = end.feed(&compressed(role.peer(), Opcode::Text, true, &HELLO_AGAIN));
        assert_eq!(again, [text("Hello")]);
        assert_eq!(holds(&end), (false, true));
        end.conn.send_text(&words(1000)).unwrap();
        let start = end.wire.len();
        end.write_all();
        let sent = parse(role, &end.wire[start..]);
        assert_eq!(Decoder::new(false).message(&sent[0].payload).unwrap(), words(1000).as_bytes());
        assert_eq!(end.conn.poll_timeout(), Some(at(secs(120))));
        end.advance_to(at(secs(120)));
        assert_eq!(holds(&end), (false, false));
    }
}

#[test]
fn s7692_7_1_data_postpones_the_release_and_control_frames_do_not() {
    for role in ROLES {
        for way in 0..4 {
            let mut end = used(role, Some(secs(60)));
            end.advance(secs(40));
            match way {
                0 => end.conn.send_text("short").unwrap(),
                1 => drop(end.receive(Opcode::Text, "plain")),
                2 => drop(end.receive_part(Opcode::Text, false, "a part")),
                _ => {
                    end.receive(Opcode::Ping, "alive");
                    end.conn.ping(end.now, b"alive too").unwrap();
                }
            }
            end.write_all();
            let data = way < 3;
            let due = at(secs(if data { 100 } else { 60 }));
            assert_eq!(end.conn.poll_timeout(), Some(due), "way {way}");
            end.advance_to(due);
            // An uncompressed message may still be open here. It does not delay the release, because it refers to no
            // earlier data.
            assert_eq!(holds(&end), (false, false));
        }
    }
}

#[test]
fn s7692_7_1_windows_are_kept_without_a_release_time() {
    let mut end = used(Role::Server, None);
    assert_eq!(end.conn.poll_timeout(), None);
    end.advance(secs(1_000_000));
    assert_eq!(holds(&end), (true, true));
    end.conn.release_compression();
    assert_eq!(holds(&end), (false, false));
    // With a delay of zero the windows are released between any two messages, and all messages still arrive.
    let config = || quiet(Some(Duration::ZERO));
    let mut pair = Pair::deflate(config(), config(), agreed(true, 15));
    for n in 1..10 {
        pair.client.conn.send_text(&words(100 * n)).unwrap();
        pair.server.conn.send_text(&words(100 * n)).unwrap();
        assert!(pair.drive_through(4) <= 2);
        assert_eq!((holds(&pair.client), holds(&pair.server)), ((false, false), (false, false)));
        assert!(
            pair.client.poll() == [text(&words(100 * n))] && pair.server.poll() == [text(&words(100 * n))]
        );
    }
}

#[test]
fn s7692_7_1_the_release_does_not_disturb_other_timers() {
    let compression = Compression::new().release_after(Some(secs(45)));
    let config = Config::new().compression(compression).idle_timeout(Some(secs(80)));
    let mut end = open(Role::Server, true, config);
    end.conn.send_text(&words(100)).unwrap();
    end.flush();
    end.advance(secs(30));
    assert_eq!(end.flush(), ["ping \0\0\0\u{1}"]);
    end.receive(Opcode::Pong, [0, 0, 0, 1]);
    assert_eq!(end.conn.poll_timeout(), Some(at(secs(45))));
    end.advance(secs(15));
    assert_eq!(holds(&end), (false, false));
    end.advance_to(at(secs(60)));
    assert_eq!(end.flush(), ["ping \0\0\0\u{2}"]);
    end.receive(Opcode::Pong, [0, 0, 0, 2]);
    end.advance_to(at(secs(80)));
    assert_eq!(end.flush(), ["close 1001 idle for too long"]);
}

#[test]
fn s7692_7_1_inside_a_message_a_sender_releases_its_window_and_a_receiver_does_not() {
    for takeover in [false, true] {
        for by_time in [false, true] {
            let config = || quiet(Some(secs(60)));
            let mut pair = Pair::deflate(config(), config(), agreed(takeover, 15));
            let data = words(3000);
            let pieces: Vec<_> = data.as_bytes().chunks(700).collect();
            pair.client.conn.send_text(&data).unwrap();
            pair.drive();
            for (i, piece) in pieces.iter().enumerate() {
                let fin = i + 1 == pieces.len();
                pair.client.conn.send_fragment(MessageKind::Text, piece, fin).unwrap();
                pair.drive();
                if fin {
                    continue;
                }
                assert_eq!(holds(&pair.client), (true, false));
                if by_time {
                    pair.advance_to(pair.now() + secs(60));
                } else {
                    pair.client.conn.release_compression();
                    pair.server.conn.release_compression();
                }
                assert_eq!(holds(&pair.client), (false, false));
                // The receiver has no release due while the message is open.
                assert_eq!(pair.server.conn.poll_timeout(), None);
            }
            pair.client.conn.send_text(&data).unwrap();
            pair.drive();
            assert!(pair.server.poll() == [text(&data), text(&data), text(&data)], "{takeover}");
            assert_eq!(holds(&pair.server), (false, takeover));
        }
    }
}

#[test]
fn s7692_7_1_a_receiver_keeps_its_window_inside_a_frame() {
    for role in ROLES {
        let data = noise(5000);
        let wire =
            compressed(role.peer(), Opcode::Binary, true, &Blocks::new().stored(false, &data).message());
        for cut in [1, 2, 3, 8, 9, 2000, wire.len() - 1] {
            let mut end = open(role, true, quiet(Some(secs(1))));
            assert_eq!(end.feed(&wire[..cut]), []);
            end.conn.release_compression();
            end.advance(secs(1000));
            assert!(end.feed(&wire[cut..]) == [Seen::Binary(data.clone())], "cut at {cut}");
            end.conn.release_compression();
            let back = Blocks::new().fixed(true, &[Token::Back { distance: 5000, len: 9 }]).message();
            let seen = end.feed(&compressed(role.peer(), Opcode::Binary, true, &back));
            assert_eq!(seen, [Seen::Binary(data[..9].to_vec())]);
        }
    }
}

#[test]
fn s7692_7_1_1_without_takeover_no_window_is_kept_between_messages() {
    for role in ROLES {
        let mut end = open(role, false, quiet(Some(secs(60))));
        for _ in 0..3 {
            end.conn.send_text(&words(1000)).unwrap();
            assert_eq!(end.feed(&compressed(role.peer(), Opcode::Text, true, &HELLO)), [text("Hello")]);
            assert_eq!(holds(&end), (false, false));
            assert_eq!(end.conn.poll_timeout(), None);
        }
    }
}

#[test]
fn s7692_7_1_releasing_windows_changes_no_message() {
    // Each endpoint releases its windows in a different pattern. The delivered messages are the same.
    for bits in [8, 9, 11, 15] {
        for pattern in 0..16usize {
            let mut pair = Pair::deflate(quiet(None), quiet(None), agreed(true, bits));
            let news = Prepared::new(words(900));
            for n in 0..6usize {
                let data = words(400 * n + 70);
                pair.client.conn.send_text(&data).unwrap();
                pair.server.conn.send_text(&data).unwrap();
                pair.server.conn.send_prepared(&news).unwrap();
                pair.drive();
                assert!(pair.server.poll() == [text(&data)]);
                assert!(pair.client.poll() == [text(&data), text(&words(900))]);
                if pattern >> (n % 4) & 1 == 1 {
                    pair.client.conn.release_compression();
                }
                if pattern >> ((n + 1) % 4) & 1 == 1 {
                    pair.server.conn.release_compression();
                }
            }
        }
    }
}

// --- halves ---

#[test]
fn s7692_7_halves_compress_and_inflate_on_their_own() {
    for role in ROLES {
        let mut peer = open(role.peer(), true, quiet(None));
        let (mut receiver, mut sender) = open(role, true, quiet(Some(secs(60)))).conn.into_halves();
        let mut message = VecMessage::new();
        for n in 1..6 {
            let data = words(n * 500);
            sender.send_text(&data).unwrap();
            let mut slices = [&[][..]; 4];
            let count = sender.poll_transmit(&mut slices);
            let bytes = slices[..count].concat();
            sender.transmitted(at(secs(n as u64)), bytes.len());
            assert!(peer.feed(&bytes) == [text(&data)]);

            peer.conn.send_text(&data).unwrap();
            let mut bytes = peer.write(usize::MAX);
            let mut input = hybi::Input::new(&mut bytes, &mut message);
            let ready = receiver.poll(&mut input).unwrap().unwrap();
            assert!(Seen::from(input.event(ready)) == text(&data));
            assert_eq!(receiver.poll(&mut input), Ok(None));
            let received = hybi::PendingReply::Received { data: receiver.last_poll_had_data() };
            sender.apply(at(secs(n as u64)), received);

            assert!(sender.can_release_deflater() && receiver.can_release_inflater());
            match n {
                // Each half releases its window on its own, or both halves do so at the sender's deadline.
                1 => sender.release_deflater(),
                2 => receiver.release_inflater(),
                3 => {
                    let due = sender.release_at().unwrap();
                    assert_eq!(due, at(secs(63)));
                    assert!(sender.poll_timeout().is_some_and(|at| at <= due));
                    sender.handle_timeout(due);
                    receiver.release_inflater();
                    assert!(!sender.can_release_deflater() && !receiver.can_release_inflater());
                }
                _ => {}
            }
        }
        // The joined connection keeps the windows of its halves.
        let mut end = open(role, true, quiet(None));
        end.conn = hybi::Connection::from_halves(receiver, sender);
        assert_eq!(holds(&end), (true, true));
        peer.conn.send_text(&words(2500)).unwrap();
        let bytes = peer.write(usize::MAX);
        assert!(bytes.len() < 100, "the message does not refer to the data that the half has received");
        assert!(end.feed(&bytes) == [text(&words(2500))]);
    }
}

#[test]
fn s7692_7_2_2_a_half_that_fails_or_ends_keeps_no_window() {
    let (mut receiver, mut sender) = open(Role::Server, true, quiet(None)).conn.into_halves();
    let mut message = VecMessage::new();
    sender.send_text(&words(1000)).unwrap();
    let mut bytes = compressed(Role::Client, Opcode::Text, true, &HELLO);
    bytes.extend(compressed(Role::Client, Opcode::Text, true, &[0x06]));
    bytes.extend(frame(Role::Client, Opcode::Ping, true, b"late"));
    let mut input = hybi::Input::new(&mut bytes, &mut message);
    assert!(receiver.poll(&mut input).unwrap().is_some());
    let error = receiver.poll(&mut input).unwrap_err();
    assert!(!receiver.can_release_inflater() && receiver.is_done());
    assert_eq!(receiver.poll(&mut input), Ok(None));
    assert!(sender.can_release_deflater());
    sender.apply(Instant::ZERO, error);
    assert!(!sender.can_release_deflater());

    let (mut receiver, mut sender) = open(Role::Client, true, quiet(None)).conn.into_halves();
    sender.send_text(&words(1000)).unwrap();
    let mut bytes = compressed(Role::Server, Opcode::Text, true, &HELLO);
    assert!(receiver.poll(&mut hybi::Input::new(&mut bytes, &mut message)).unwrap().is_some());
    sender.handle_eof(receiver.eof_position());
    receiver.handle_ended();
    assert!(!sender.can_release_deflater() && !receiver.can_release_inflater());
}

#[test]
fn s7692_7_1_no_window_is_released_while_a_message_is_queued() {
    for role in ROLES {
        let mut end = open(role, true, quiet(Some(secs(60))));
        // The last data was long ago. The release still has to wait until the message is written.
        end.advance_to(at(secs(100)));
        end.conn.send_text(&words(1000)).unwrap();
        assert_eq!(end.conn.poll_timeout(), None);
        end.advance_to(at(secs(200)));
        assert_eq!(holds(&end), (true, false));
        end.write_all();
        assert_eq!(end.conn.poll_timeout(), Some(at(secs(260))));
        end.advance_to(at(secs(260)));
        assert_eq!(holds(&end), (false, false));
    }
}

#[test]
fn s7692_7_1_2_an_invalid_window_size_is_clamped_to_the_nearest_valid_one() {
    // The data repeats at the far end of the largest window.
    let data = [noise(32 << 10), noise(200)].concat();
    let compressed = |bits| {
        let mut payload = Vec::new();
        Deflater::new(bits, true, &Compression::new()).deflate(&data, true, &mut payload);
        payload
    };
    for (bits, nearest) in [(0, 8), (7, 8), (16, 15), (255, 15)] {
        let payload = compressed(bits);
        assert_eq!(payload, compressed(nearest), "{bits} bits");
        let mut space = vec![0; data.len() + 1];
        let end = Inflater::new(bits, true).finish(&payload, &mut space).unwrap();
        assert!(end.done && space[..end.step.produced] == data, "{bits} bits");
    }
}
