//! Attacks with compressed messages: bombs, empty blocks, and data that is not DEFLATE.
//!
//! A peer that negotiated compression can make a small message expensive. These tests check where such a message
//! fails, and that its cost is in proportion to the received bytes or to the configured limit.

use hybi::frame::Role;
use hybi::handshake::DeflateParams;
use hybi::{Config, Delivery, Outbox, ProtocolError, SharedConfig};

use crate::bench::{KIB, ROLES, Victim, key};
use crate::blocks::{Blocks, Token};
use crate::support::drive::machine;
use crate::support::wire;

const RSV1: u8 = 0x40;
/// An upper bound of the heap of an inflater. `memory/deflate.rs` measures the exact size.
const INFLATER: usize = 80 * KIB;

fn victim(role: Role, config: Config) -> Victim {
    let config: SharedConfig = config.into();
    Victim::of(machine(role, &config, Outbox::new()).with_deflate(DeflateParams::default()))
}

/// Returns a payload of `count` matches of 258 zeros. It inflates to about 160 times its size.
fn bomb(count: usize) -> Vec<u8> {
    let mut tokens = vec![Token::Bytes(&[0])];
    tokens.resize(count + 1, Token::Back { distance: 1, len: 258 });
    Blocks::new().fixed(false, &tokens).message()
}

/// A message that would inflate to more than the limit fails at the limit, before the rest is inflated. If messages are
/// delivered in chunks, no part of this message is kept.
#[test]
fn s10_4_decompression_bombs_stop_at_the_limit() {
    let payload = bomb(200_000); // 51 MB
    for role in ROLES {
        let frame = wire::encode(wire::BINARY | RSV1, &payload, key(role));
        assert!(frame.len() < 600 * KIB);
        for limit in [100 * KIB, 1 << 20] {
            for read in [100, 16 * KIB] {
                let mut bytes = frame.clone();
                let mut victim = victim(role, Config::new().max_message(limit as u64));
                victim.feed_in(&mut bytes, read);
                assert_eq!((victim.events, victim.delivered), (0, 0));
                assert!(victim.peak() <= 2 * limit + 64 * KIB + INFLATER, "{} for {limit}", victim.peak());
                assert!(victim.steps <= 1 + frame.len().div_ceil(read));
                victim.assert_failed(ProtocolError::MessageTooBig);

                let mut bytes = frame.clone();
                let config = Config::new().max_message(limit as u64).delivery(Delivery::Chunks);
                let mut victim = self::victim(role, config);
                victim.feed_in(&mut bytes, read);
                assert!(victim.delivered <= limit && victim.largest <= 64 * KIB);
                assert!(victim.peak() <= 130 * KIB + INFLATER, "{}", victim.peak());
                victim.assert_failed(ProtocolError::MessageTooBig);
            }
        }
    }
    // Messages below the limit are delivered, although they inflate to many times their length. They reuse the same
    // memory, one after another.
    let small = bomb(300);
    let mut flood = wire::encode(wire::BINARY | RSV1, &small, key(Role::Server)).repeat(200);
    let mut victim = victim(Role::Server, Config::new().max_message(100_000));
    victim.feed_in(&mut flood, 1460);
    assert_eq!((victim.events, victim.delivered, victim.error), (200, 200 * (1 + 300 * 258), None));
    assert!(victim.peak() <= 2 * 100_000 + 64 * KIB + INFLATER, "{}", victim.peak());
}

/// Blocks without data cost a number of steps that is proportional to their length on the wire.
#[test]
fn s7692_7_2_2_floods_of_empty_blocks_cost_steps_in_proportion_to_their_bytes() {
    for last in [false, true] {
        let mut blocks = Blocks::new();
        for _ in 0..20_000 {
            blocks = blocks.stored(last, b"");
        }
        let payload = blocks.stored(false, b"x").message();
        for fragment in [1000, payload.len()] {
            let mut wire = Vec::new();
            let pieces: Vec<_> = payload.chunks(fragment).collect();
            for (n, piece) in pieces.iter().enumerate() {
                let first =
                    if n == 0 { 0x02 | RSV1 } else { 0 } | if n + 1 == pieces.len() { 0x80 } else { 0 };
                wire.extend(wire::encode(first, piece, key(Role::Server)));
            }
            let mut victim = victim(Role::Server, Config::new());
            victim.feed_in(&mut wire, 1460);
            assert_eq!((victim.events, victim.delivered, victim.error), (1, 1, None));
            assert!(victim.steps <= 2 * wire.len().div_ceil(1460) + 2, "{}", victim.steps);
            assert!(victim.peak() <= 64 * KIB + INFLATER, "{}", victim.peak());
        }
    }
}

/// Control frames are never compressed. Between the fragments of a compressed message they are delivered
/// unchanged.
#[test]
fn s7692_6_1_control_frames_inside_compressed_messages_are_not_inflated() {
    let payload = Blocks::new().fixed(false, &[Token::Bytes(b"Hello, Hello")]).message();
    let (head, tail) = payload.split_at(5);
    for role in ROLES {
        let begun = wire::encode(0x01 | RSV1, head, key(role));
        for control in [wire::PING, wire::PONG, wire::CLOSE] {
            let mut victim = victim(role, Config::new());
            victim.feed(&mut begun.clone());
            victim.feed(&mut wire::encode(control | RSV1, &[], key(role)));
            assert_eq!(victim.events, 0);
            victim.assert_failed(ProtocolError::ReservedBits(4));
        }
        // The payload of a Ping is not inflated, even if it is valid DEFLATE.
        let mut victim = victim(role, Config::new());
        victim.feed(&mut begun.clone());
        victim.feed(&mut wire::encode(wire::PING, tail, key(role)));
        victim.feed(&mut wire::encode(0x80, tail, key(role)));
        assert_eq!((victim.events, victim.delivered, victim.error), (2, 12, None));
        let frames = wire::decode(&victim.write()).unwrap();
        assert_eq!((frames[0].first, &frames[0].payload[..]), (wire::PONG, tail));
        // RSV1 on a later fragment fails.
        let mut victim = self::victim(role, Config::new());
        victim.feed(&mut begun.clone());
        victim.feed(&mut wire::encode(0x80 | RSV1, tail, key(role)));
        victim.assert_failed(ProtocolError::ReservedBits(4));
    }
}

/// Data that is not DEFLATE fails the connection, and no part of it is delivered.
#[test]
fn s7692_7_2_2_invalid_deflate_data_is_not_delivered() {
    let before_the_window = Blocks::new().fixed(false, &[Token::Back { distance: 1, len: 3 }]).message();
    for payload in [vec![0x07], vec![0xFF; 100], vec![], before_the_window] {
        let mut victim = victim(Role::Server, Config::new());
        victim.feed(&mut wire::encode(wire::BINARY | RSV1, &payload, key(Role::Server)));
        assert_eq!((victim.events, victim.delivered), (0, 0), "{payload:02x?}");
        victim.assert_failed(ProtocolError::InvalidDeflate);
    }
}

/// The inflated text is validated, not the compressed bytes.
#[test]
fn s8_1_inflated_text_that_is_not_utf8_fails() {
    let payload = Blocks::new().fixed(false, &[Token::Bytes(b"fine until \xED\xA0\x80")]).message();
    let mut victim = victim(Role::Server, Config::new());
    victim.feed(&mut wire::encode(wire::TEXT | RSV1, &payload, key(Role::Server)));
    assert_eq!(victim.delivered, 0);
    victim.assert_failed(ProtocolError::InvalidUtf8);
}
