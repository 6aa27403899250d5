//! Attacks with frames: false lengths, floods, invalid frames, and frames after a Close.
//!
//! Each test names the rule or limit that stops the attack, and checks the error, the Close and the cost.
//! Compressed messages are in `deflate.rs`, masking keys in `masks.rs`.

use hybi::frame::{MAX_PAYLOAD_LEN, Role};
use hybi::{CloseCode, Config, Delivery, Instant, Outcome, ProtocolError, TimerKind, TransportAction};

use crate::bench::{KIB, ROLES, Victim, key};
use crate::heap::{ASKED, MOVED};
use crate::support::wire;

/// The lengths are at the limits of integer types. Sums of lengths must not overflow, and an announced length must not
/// allocate memory, even without configured limits.
#[test]
fn s5_2_lengths_at_integer_limits_do_not_overflow() {
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
                        victim.assert_failed(ProtocolError::FrameTooBig);
                    } else {
                        assert_eq!(victim.error, None);
                    }
                }
            }
        }
        // The most significant bit of a length must be zero.
        for top in [0x80, 0xFF] {
            let mut victim = Victim::new(role, Config::new().max_frame(u64::MAX).max_message(u64::MAX));
            let mask = if role == Role::Server { 0x80 } else { 0 };
            victim.feed(&mut [0x82, 127 | mask, top]);
            victim.assert_failed(ProtocolError::LengthTopBit);
        }
    }
    // The sum of the lengths of these fragments does not fit into 63 bits.
    let mut victim = Victim::new(Role::Client, Config::new().delivery(Delivery::Chunks).max_frame(u64::MAX));
    victim.feed(&mut wire::encode(0x02, &[7; 1000], None));
    victim.feed(&mut wire::head(0x00, MAX_PAYLOAD_LEN, None));
    victim.assert_failed(ProtocolError::MessageTooBig);
}

/// An announced length allocates nothing. Memory depends only on the bytes that have arrived.
#[test]
fn s10_4_announced_payloads_allocate_nothing() {
    for role in ROLES {
        for fin in [0x80, 0] {
            let mut victim = Victim::new(role, Config::new());
            victim.feed(&mut wire::head(0x02 | fin, 16 << 20, key(role)));
            assert_eq!(victim.peak(), 0, "the header has allocated memory");
            let mut arrived = 0;
            for size in [1, 10, 1000, 10_000, 100_000] {
                victim.feed(&mut vec![0; size]);
                arrived += size;
                assert!(victim.peak() <= 2 * arrived + 16 * KIB, "{} for {arrived}", victim.peak());
            }
            assert_eq!((victim.error, victim.events), (None, 0));
        }
    }
    // A thousand connections that have received only a header hold no heap memory.
    let mut victims: Vec<_> = (0..1000).map(|_| Victim::new(Role::Server, Config::new())).collect();
    victims.iter_mut().for_each(|victim| victim.feed(&mut wire::head(0x82, 16 << 20, key(Role::Server))));
    assert!(victims.iter().all(|victim| victim.peak() == 0));
}

/// A control frame has a payload of at most 125 bytes. A longer payload needs an extended length. The second byte
/// announces the extended length, so the frame fails at this byte.
#[test]
fn s5_5_oversized_control_frames_fail_at_the_second_byte() {
    for role in ROLES {
        let mask = if role == Role::Server { 0x80 } else { 0 };
        for first in [wire::CLOSE, wire::PING, wire::PONG] {
            for len in [126, 127] {
                let mut victim = Victim::new(role, Config::new());
                victim.feed(&mut [first, len | mask]);
                assert!(victim.peak() < KIB, "{} bytes, although only the Close needs memory", victim.peak());
                victim.assert_failed(ProtocolError::ControlTooLong);
            }
        }
        // A control frame must not be fragmented, so a first byte without FIN is an error.
        for first in [0x08, 0x09, 0x0A] {
            let mut victim = Victim::new(role, Config::new());
            victim.feed(&mut [first]);
            victim.assert_failed(ProtocolError::ControlFragmented);
        }
    }
}

/// Empty fragments count as fragments, so a message with too many of them fails at the limit. Before the limit, the
/// fragments hold no memory.
#[test]
fn s10_4_floods_of_empty_fragments_end_at_the_limit() {
    for role in ROLES {
        let mut victim = Victim::new(role, Config::new());
        victim.feed(&mut wire::encode(0x01, b"", key(role)));
        let mut flood = wire::encode(0x00, b"", key(role)).repeat(70_000);
        victim.feed_in(&mut flood, 8192);
        assert!(victim.peak() < KIB, "{} bytes, although only the Close needs memory", victim.peak());
        assert_eq!(
            victim.steps,
            1 + flood.len().div_ceil(8192) + 1,
            "each read takes one step, and the error takes one more"
        );
        victim.assert_failed(ProtocolError::TooManyFragments);
    }
}

/// Each empty message is delivered. It takes one step and holds no memory.
#[test]
fn s10_4_floods_of_empty_messages_hold_no_memory() {
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

/// The text arrives in fragments of one byte. Each byte is validated once, and moved at most twice.
#[test]
fn s8_1_long_text_in_tiny_fragments_is_examined_once() {
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

/// Text that ends inside a code point is invalid. The text has one frame or two, and is delivered as a whole or in
/// chunks.
#[test]
fn s8_1_text_cut_off_at_its_end_fails() {
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
                            victim.assert_failed(ProtocolError::InvalidUtf8);
                        }
                    }
                }
            }
        }
    }
}

/// The peer sends Pings and does not read the Pongs. Few Pongs are queued, the newest among them, and messages
/// are still accepted.
#[test]
fn s5_5_3_floods_of_pings_from_a_peer_that_does_not_read_use_little_memory() {
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

/// Unsolicited Pongs are reported as events, and have no other effect. Closes after the first have no effect.
#[test]
fn s5_5_3_floods_of_pongs_and_closes_have_no_effect() {
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

/// A frame with a reserved bit fails at its first byte.
#[test]
fn s5_2_reserved_bits_fail_at_the_first_byte() {
    for role in ROLES {
        for rsv in 1..8_u8 {
            for first in [0x01, wire::TEXT, wire::BINARY, wire::CLOSE, wire::PING, wire::PONG] {
                let mut victim = Victim::new(role, Config::new());
                victim.feed(&mut [first | rsv << 4]);
                // Some first bytes without FIN are printable characters. They are reported as `NotAFrame`.
                victim.assert_failed(match first | rsv << 4 {
                    letter @ (0x21 | 0x31 | 0x51 | 0x61 | 0x71) => ProtocolError::NotAFrame(letter),
                    _ => ProtocolError::ReservedBits(rsv),
                });
            }
        }
    }
}

/// After the peer's Close, or after a failure, input is discarded. It causes no event, no answer, and no allocation.
#[test]
fn s1_4_data_after_a_close_is_discarded() {
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
            assert_eq!(victim.steps - steps, flood.len().div_ceil(8192), "each read takes one step");
            assert_eq!(victim.connection.buffered_amount(), 0);
        }
        // After our own Close no message is accepted and no Ping is answered.
        let mut victim = Victim::new(role, Config::new());
        victim.connection.close(Instant::ZERO, CloseCode::NORMAL, "").unwrap();
        victim.write();
        victim.feed(&mut wire::encode(wire::PING, b"late", key(role)));
        assert_eq!(victim.connection.buffered_amount(), 0);
        assert!(victim.connection.send_text("late").is_err());
    }
}

/// If the peer does not answer our Close, or does not read it, the connection ends at the deadline.
#[test]
fn s7_1_1_a_peer_that_does_not_end_is_given_up() {
    for role in ROLES {
        for reads in [false, true] {
            let mut victim = Victim::new(role, Config::new());
            victim.connection.send_binary(&[7; 10_000]).unwrap();
            victim.connection.close(Instant::ZERO, CloseCode::NORMAL, "").unwrap();
            let deadline = victim.connection.poll_timeout().unwrap();
            if reads {
                victim.write();
            }
            // Further input does not extend the deadline.
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

/// Without masking, a web page could choose the bytes that a proxy between the browser and the server sees (RFC 6455
/// 10.3).
#[test]
fn s5_1_frames_without_a_mask_are_refused() {
    let mut victim = Victim::new(Role::Server, Config::new());
    victim.feed(&mut wire::encode(wire::TEXT, b"GET / HTTP/1.1", None));
    assert_eq!((victim.events, victim.delivered), (0, 0));
    victim.assert_failed(ProtocolError::NotMasked);
    let mut victim = Victim::new(Role::Client, Config::new());
    victim.feed(&mut wire::encode(wire::TEXT, b"text", Some([1, 2, 3, 4])));
    assert_eq!(victim.events, 0);
    victim.assert_failed(ProtocolError::Masked);
}

/// Fragments below the frame limit do not evade the message limit.
#[test]
fn s10_4_small_fragments_do_not_evade_the_message_limit() {
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
            victim.assert_failed(ProtocolError::MessageTooBig);
        }
    }
}
