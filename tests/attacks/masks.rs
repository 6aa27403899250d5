//! Attacks on masking: keys that can be predicted, or that are used again (RFC 6455 section 10.3).
//!
//! A web page must not be able to choose the bytes that a proxy between the browser and the server sees. So the keys
//! must be fresh for each frame and each connection.

use std::collections::HashSet;

use hybi::frame::MaskingKeys;
use hybi::{CloseCode, Config, Connection, Instant, MessageKind, Outbox, Prepared};

use crate::bench::Victim;

/// Returns the masking keys of the frames on the wire, in order.
fn keys(mut wire: &[u8]) -> Vec<[u8; 4]> {
    let mut keys = Vec::new();
    while let Some((head, rest)) = wire.split_first_chunk::<2>() {
        assert_eq!(head[1] & 0x80, 0x80, "the frame has no mask");
        let (len, rest) = match head[1] & 0x7F {
            126 => (usize::from(u16::from_be_bytes(*rest.first_chunk().unwrap())), &rest[2..]),
            127 => (u64::from_be_bytes(*rest.first_chunk().unwrap()) as usize, &rest[8..]),
            len => (usize::from(len), rest),
        };
        keys.push(*rest.first_chunk().unwrap());
        wire = &rest[4 + len..];
    }
    keys
}

/// Sends eight frames, with the methods for messages, fragments, Pings and Pongs.
fn send_all(connection: &mut Connection, prepared: &Prepared) {
    connection.send_text("text").unwrap();
    connection.send_binary(&[0; 300]).unwrap();
    connection.send(vec![0; 70_000]).unwrap();
    connection.send_prepared(prepared).unwrap();
    connection.send_fragment(MessageKind::Binary, b"a fragment", false).unwrap();
    connection.ping(Instant::ZERO, b"ping").unwrap();
    connection.pong(b"pong").unwrap();
    connection.send_fragment(MessageKind::Binary, b"", true).unwrap();
}

/// No key is used twice for any kind of message. A message that was prepared for many connections gets fresh keys too.
#[test]
fn s10_3_masking_keys_are_not_reused() {
    let prepared = Prepared::new("to all of you");
    let mut seen = HashSet::new();
    for seed in 1..=50_u8 {
        let config = Config::new().high_water(usize::MAX);
        let connection = Connection::client(Instant::ZERO, config, Outbox::new(), [seed; 32]);
        let mut victim = Victim::of(connection);
        for _ in 0..20 {
            send_all(&mut victim.connection, &prepared);
            let found = keys(&victim.write());
            assert_eq!(found.len(), 8);
            // Among 8,000 random keys a collision has a probability of about one percent. These seeds have none.
            found.into_iter().for_each(|key| assert!(seen.insert(key), "{key:02x?} is used twice"));
        }
        victim.connection.close(Instant::ZERO, CloseCode::NORMAL, "").unwrap();
        assert_eq!(keys(&victim.write()).len(), 1);
    }
}

/// Each bit is set in half of the keys. In half of the keys, the bit equals the same bit of the previous key.
#[test]
fn s5_3_masking_keys_are_unpredictable() {
    const COUNT: usize = 100_000;
    let mut keys = MaskingKeys::from_seed([5; 32]);
    let (mut ones, mut same, mut last) = ([0; 32], [0; 32], 0);
    for _ in 0..COUNT {
        let key = u32::from_be_bytes(keys.next_key());
        for bit in 0..32 {
            ones[bit] += key >> bit & 1;
            same[bit] += !(key ^ last) >> bit & 1;
        }
        last = key;
    }
    // The bounds are six standard deviations from the mean.
    let bound = COUNT as u32 / 2 - 950..COUNT as u32 / 2 + 950;
    assert!(ones.iter().chain(&same).all(|count| bound.contains(count)), "{ones:?} {same:?}");
}

/// Seeds from the operating system differ.
#[cfg(feature = "getrandom")]
#[test]
fn s10_3_seeds_from_the_system_differ() {
    let first = |_| MaskingKeys::from_os().unwrap().next_key();
    let all: HashSet<_> = (0..16).map(first).collect();
    assert!(all.len() > 14, "{all:?}");
}
