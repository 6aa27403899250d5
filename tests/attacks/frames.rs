//! Frames that lie, flood or come too late.

use hybi::frame::{MAX_PAYLOAD_LEN, Role};
use hybi::{CloseCode, Config, Delivery, Instant, Outcome, ProtocolError, TimerKind, TransportAction};

use crate::bench::{KIB, ROLES, Victim, key};
use crate::heap::{ASKED, MOVED};
use crate::support::wire;

/// Lengths at the ends of all integers there are, alone and as the rest of a message: sums do not overflow, and
/// where there are no limits nothing is believed.
#[test]
fn s5_2_lengths_that_overflow() {
    let edges = [0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0x1_0000_0000, MAX_PAYLOAD_LEN - 1, MAX_PAYLOAD_LEN];
    for role in ROLES {
        for len in edges {
            let limits =
                [(Config::new(), true), (Config::new().max_frame(u64::MAX).max_message(u64::MAX), false)];
            for (config, limited) in limits {
                for delivery in [Delivery::Whole, Delivery::Chunks] {
                    let mut victim = Victim::new(role, config.clone().delivery(delivery));
                    victim.feed(&mut wire::encode(0x02, b"begun", key(role)));
                    let mut head = wire::head(0x80, len, key(role));
                    head.extend([0; 100]);
                    victim.feed(&mut head);
                    assert!(victim.peak() <= 20 * KIB, "{} bytes", victim.peak());
                    assert!(victim.connection.read_hint() > 0 || limited);
                    if limited {
                        victim.has_failed(ProtocolError::FrameTooBig);
                    } else {
                        assert_eq!(victim.error, None);
                    }
                }
            }
        }
        // The top bit is no part of a length.
        for top in [0x80, 0xFF] {
            let mut victim = Victim::new(role, Config::new().max_frame(u64::MAX).max_message(u64::MAX));
            let mask = if role == Role::Server { 0x80 } else { 0 };
            victim.feed(&mut [0x82, 127 | mask, top]);
            victim.has_failed(ProtocolError::LengthTopBit);
        }
    }
    // Fragments whose lengths add up to more than there is.
    let mut victim = Victim::new(Role::Client, Config::new().delivery(Delivery::Chunks).max_frame(u64::MAX));
    victim.feed(&mut wire::encode(0x02, &[7; 1000], None));
    victim.feed(&mut wire::head(0x00, MAX_PAYLOAD_LEN, None));
    victim.has_failed(ProtocolError::MessageTooBig);
}

/// What is announced costs nothing: memory follows what has arrived.
#[test]
fn s10_4_allocation_by_announcement() {
    for role in ROLES {
        for fin in [0x80, 0] {
            let mut victim = Victim::new(role, Config::new());
            victim.feed(&mut wire::head(0x02 | fin, 16 << 20, key(role)));
            assert_eq!(victim.peak(), 0, "for a header");
            let mut arrived = 0;
            for size in [1, 10, 1000, 10_000, 100_000] {
                victim.feed(&mut vec![0; size]);
                arrived += size;
                assert!(victim.peak() <= 2 * arrived + 16 * KIB, "{} for {arrived}", victim.peak());
            }
            assert_eq!((victim.error, victim.events), (None, 0));
        }
    }
    // A thousand of them: none holds anything.
    let mut victims: Vec<_> = (0..1000).map(|_| Victim::new(Role::Server, Config::new())).collect();
    victims.iter_mut().for_each(|victim| victim.feed(&mut wire::head(0x82, 16 << 20, key(Role::Server))));
    assert!(victims.iter().all(|victim| victim.peak() == 0));
}

/// Control frames are 125 bytes at most: one that is longer fails with its second byte, and one whose length
/// takes more bytes as well.
#[test]
fn s5_5_oversized_control_frames() {
    for role in ROLES {
        let mask = if role == Role::Server { 0x80 } else { 0 };
        for first in [wire::CLOSE, wire::PING, wire::PONG] {
            for len in [126, 127] {
                let mut victim = Victim::new(role, Config::new());
                victim.feed(&mut [first, len | mask]);
                assert!(victim.peak() < KIB, "{} bytes, for the Close", victim.peak());
                victim.has_failed(ProtocolError::ControlTooLong);
            }
        }
        // In fragments they would have no bound.
        for first in [0x08, 0x09, 0x0A] {
            let mut victim = Victim::new(role, Config::new());
            victim.feed(&mut [first]);
            victim.has_failed(ProtocolError::ControlFragmented);
        }
    }
}

/// Fragments of no bytes are counted: they end at the limit, and hold nothing until then.
#[test]
fn s10_4_floods_of_empty_fragments() {
    for role in ROLES {
        let mut victim = Victim::new(role, Config::new());
        victim.feed(&mut wire::encode(0x01, b"", key(role)));
        let mut flood = wire::encode(0x00, b"", key(role)).repeat(70_000);
        victim.feed_in(&mut flood, 8192);
        assert!(victim.peak() < KIB, "{} bytes, for the Close", victim.peak());
        assert_eq!(
            victim.steps,
            1 + flood.len().div_ceil(8192) + 1,
            "a read is one step, and the error one more"
        );
        victim.has_failed(ProtocolError::TooManyFragments);
    }
}

/// Messages of no bytes are messages: each is a step, and none holds anything.
#[test]
fn s10_4_floods_of_empty_messages() {
    for role in ROLES {
        let mut victim = Victim::new(role, Config::new());
        let mut flood =
            [wire::encode(wire::TEXT, b"", key(role)), wire::encode(wire::BINARY, b"", key(role))]
                .concat()
                .repeat(50_000);
        ASKED.set(0);
        victim.feed_in(&mut flood, 8192);
        assert_eq!((victim.events, victim.error, ASKED.get()), (100_000, None, 0));
        assert!(victim.steps <= 100_000 + 2 * flood.len().div_ceil(8192));
    }
}

/// Text in fragments of a byte: each byte is looked at once, and moved a bounded number of times.
#[test]
fn s8_1_long_text_in_tiny_fragments() {
    const LEN: usize = 60_000;
    for role in ROLES {
        let mut flood = wire::encode(0x01, b"x", key(role));
        for _ in 0..LEN {
            flood.extend(wire::encode(0x00, b"x", key(role)));
        }
        flood.extend(wire::encode(0x80, "é".as_bytes(), key(role)));
        let mut victim = Victim::new(role, Config::new());
        victim.feed_in(&mut flood, 1000);
        assert_eq!((victim.events, victim.delivered, victim.error), (1, LEN + 3, None));
        assert!(MOVED.get() <= 2 * LEN, "{} bytes were moved", MOVED.get());
        assert!(victim.peak() <= 3 * LEN + 16 * KIB, "{}", victim.peak());
        assert!(victim.steps <= 2 + flood.len().div_ceil(1000));
    }
}

/// A code point that never ends is no text, whether it lies in one frame, is gathered, or comes in chunks.
#[test]
fn s8_1_text_that_is_cut_off_at_its_end() {
    for role in ROLES {
        for delivery in [Delivery::Whole, Delivery::Chunks] {
            for cut in [&b"cut \xC3"[..], b"cut \xE2\x82", b"cut \xF0\x9F\xA6", b"\xF0"] {
                for at in 0..=cut.len() {
                    let (head, tail) = cut.split_at(at);
                    let fragments =
                        [wire::encode(0x01, head, key(role)), wire::encode(0x80, tail, key(role))].concat();
                    for bytes in [wire::encode(wire::TEXT, cut, key(role)), fragments] {
                        for read in [1, 3, 100] {
                            let mut victim = Victim::new(role, Config::new().delivery(delivery));
                            victim.feed_in(&mut bytes.clone(), read);
                            assert!(delivery == Delivery::Chunks || victim.events == 0);
                            victim.has_failed(ProtocolError::InvalidUtf8);
                        }
                    }
                }
            }
        }
    }
}

/// Pings, while what answers them is not read: few Pongs wait, the newest among them, and messages are still
/// accepted.
#[test]
fn s5_5_3_floods_of_pings_from_a_peer_that_does_not_read() {
    for role in ROLES {
        let mut victim = Victim::new(role, Config::new());
        let mut flood = Vec::new();
        for count in 0..20_000_u32 {
            let mut payload = [b'p'; 125];
            payload[..4].copy_from_slice(&count.to_be_bytes());
            flood.extend(wire::encode(wire::PING, &payload, key(role)));
        }
        victim.feed_in(&mut flood, 8192);
        assert!(victim.peak() < KIB, "{}", victim.peak());
        assert!(victim.connection.buffered_amount() <= 520);
        assert_eq!((victim.events, victim.error), (20_000, None));
        victim.connection.send_text("still here").unwrap();
        let frames = wire::decode(&victim.write()).unwrap();
        let pongs: Vec<_> = frames.iter().filter(|frame| frame.first == wire::PONG).collect();
        assert!((1..=4).contains(&pongs.len()), "{}", pongs.len());
        assert_eq!(pongs.last().unwrap().payload[..4], 19_999_u32.to_be_bytes());
        assert_eq!(frames.last().unwrap().payload, b"still here");
    }
}

/// Pongs that nobody asked for, and Closes behind the first, do nothing.
#[test]
fn s5_5_3_floods_of_pongs_and_closes() {
    for role in ROLES {
        let mut victim = Victim::new(role, Config::new());
        let mut flood = wire::encode(wire::PONG, &[b'p'; 125], key(role)).repeat(10_000);
        ASKED.set(0);
        victim.feed_in(&mut flood, 8192);
        assert_eq!((victim.events, victim.connection.buffered_amount(), ASKED.get()), (10_000, 0, 0));
        victim.feed(&mut wire::encode(wire::CLOSE, b"\x03\xe8", key(role)).repeat(1000));
        assert_eq!((victim.events, victim.error), (10_001, None));
        assert_eq!(wire::decode(&victim.write()).unwrap().len(), 1, "a Close is answered once");
    }
}

/// Reserved bits fail with the first byte, on every frame.
#[test]
fn s5_2_reserved_bits() {
    for role in ROLES {
        for rsv in 1..8_u8 {
            for first in [0x01, wire::TEXT, wire::BINARY, wire::CLOSE, wire::PING, wire::PONG] {
                let mut victim = Victim::new(role, Config::new());
                victim.feed(&mut [first | rsv << 4]);
                // Without FIN it is a letter, unless RSV1 stands alone.
                victim.has_failed(match first | rsv << 4 {
                    letter @ (0x21 | 0x31 | 0x51 | 0x61 | 0x71) => ProtocolError::NotAFrame(letter),
                    _ => ProtocolError::ReservedBits(rsv),
                });
            }
        }
    }
}

/// Behind a Close, received or failed with, everything is discarded: no event, no answer, no memory.
#[test]
fn s1_4_data_after_close() {
    for role in ROLES {
        for end in [wire::encode(wire::CLOSE, b"\x03\xe8", key(role)), vec![0x83]] {
            let mut victim = Victim::new(role, Config::new());
            victim.feed(&mut end.clone());
            let (events, error) = (victim.events, victim.error);
            victim.write();
            let mut flood = [
                wire::encode(wire::TEXT, b"late", key(role)),
                wire::encode(wire::PING, b"late", key(role)),
                wire::encode(wire::CLOSE, b"\x03\xe9", key(role)),
                wire::head(wire::BINARY, 1 << 40, key(role)),
                vec![0xFF; 100],
            ]
            .concat()
            .repeat(1000);
            ASKED.set(0);
            let steps = victim.steps;
            victim.feed_in(&mut flood, 8192);
            assert_eq!((victim.events, victim.error, ASKED.get()), (events, error, 0));
            assert_eq!(victim.steps - steps, flood.len().div_ceil(8192), "a read is one step");
            assert_eq!(victim.connection.buffered_amount(), 0);
        }
        // And behind an own Close no message is accepted, nor a Ping answered.
        let mut victim = Victim::new(role, Config::new());
        victim.connection.close(Instant::ZERO, CloseCode::NORMAL, "").unwrap();
        victim.write();
        victim.feed(&mut wire::encode(wire::PING, b"late", key(role)));
        assert_eq!(victim.connection.buffered_amount(), 0);
        assert!(victim.connection.send_text("late").is_err());
    }
}

/// A peer that does not answer the Close, or does not read it, is given up at the deadline.
#[test]
fn s7_1_1_a_peer_that_does_not_let_go() {
    for role in ROLES {
        for reads in [false, true] {
            let mut victim = Victim::new(role, Config::new());
            victim.connection.send_binary(&[7; 10_000]).unwrap();
            victim.connection.close(Instant::ZERO, CloseCode::NORMAL, "").unwrap();
            let deadline = victim.connection.poll_timeout().unwrap();
            if reads {
                victim.write();
            }
            // However much it sends.
            for _ in 0..1000 {
                victim.feed(&mut wire::encode(wire::TEXT, b"and another thing", key(role)));
            }
            assert_eq!(victim.connection.poll_timeout(), Some(deadline));
            victim.connection.handle_timeout(deadline);
            victim.feed(&mut []);
            assert_eq!(victim.outcome, Some(Outcome::TimedOut(TimerKind::Close)));
            assert_eq!(victim.connection.poll_transport(), Some(TransportAction::Abort));
            assert_eq!(victim.connection.buffered_amount(), 0);
        }
    }
}

/// Unmasked frames could be anything that a page made a browser's proxy believe.
#[test]
fn s5_1_frames_without_a_mask() {
    let mut victim = Victim::new(Role::Server, Config::new());
    victim.feed(&mut wire::encode(wire::TEXT, b"GET / HTTP/1.1", None));
    assert_eq!((victim.events, victim.delivered), (0, 0));
    victim.has_failed(ProtocolError::NotMasked);
    let mut victim = Victim::new(Role::Client, Config::new());
    victim.feed(&mut wire::encode(wire::TEXT, b"text", Some([1, 2, 3, 4])));
    assert_eq!(victim.events, 0);
    victim.has_failed(ProtocolError::Masked);
}

/// A limit of messages is not one of frames: fragments below the one do not pass the other.
#[test]
fn s10_4_messages_in_fragments_that_are_small() {
    for role in ROLES {
        for delivery in [Delivery::Whole, Delivery::Chunks] {
            let config = Config::new().max_frame(1000).max_message(2500).delivery(delivery);
            let mut victim = Victim::new(role, config);
            let mut first = 0x02;
            for _ in 0..2 {
                victim.feed(&mut wire::encode(first, &[7; 1000], key(role)));
                first = 0;
            }
            assert_eq!(victim.error, None);
            victim.feed(&mut wire::head(0x00, 1000, key(role)));
            victim.has_failed(ProtocolError::MessageTooBig);
        }
    }
}
