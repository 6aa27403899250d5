//! permessage-deflate: a message that compression does not shorten is sent uncompressed.
//!
//! RFC 7692 section 6.1 lets a sender choose for each message whether to compress it. RSV1 of the first frame states
//! the choice. An uncompressed message does not enter the window of the peer's inflater (section 7.2.2), so later
//! messages must not refer to it. Two independent inflaters decode the output and check this rule. One is written for
//! the tests. The other is zlib-rs, with a window of its own.

use hybi::deflate::{Compression, Deflater, Pool};
use hybi::{
    Config, Connection, ControlPayload, Inbox, Instant, MessageKind, Outbox, Prepared, Role, SliceMessage,
    SliceOutbox,
};
use hybi::{Event, SendError, SendOptions};
use zlib_rs::{Inflate, InflateFlush, Status};

use crate::blocks::{Decoder, TAIL};
use crate::deflate::{ROLES, agreed, messages, noise, open};
use crate::pair::{Dice, End, Pair, RSV1, Scenario, Seen, Sent, parse};

/// Returns bytes that do not compress and share no content with those of another seed.
fn random(len: usize, seed: u64) -> Vec<u8> {
    let mut dice = Dice::new(seed + 1);
    (0..len).map(|_| dice.below(256) as u8).collect()
}

/// Returns bytes that compress.
fn text(len: usize) -> Vec<u8> {
    let mut text = crate::deflate::words(len + 8).into_bytes();
    text.truncate(len);
    text
}

fn config(level: u8, min_size: usize) -> Config {
    Config::new().compression(Compression::new().level(level).min_size(min_size))
}

/// The ways to send a whole message.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Way {
    Binary,
    Owned,
    Prepared,
    Fragment,
    /// Declines compression for this message.
    Plain,
    /// The transport accepts at most this many bytes of the immediate write.
    Transmit(usize),
    TransmitOwned(usize),
}

const WAYS: [Way; 10] = [
    Way::Binary,
    Way::Owned,
    Way::Prepared,
    Way::Fragment,
    Way::Transmit(usize::MAX),
    Way::Transmit(7),
    Way::Transmit(0),
    Way::TransmitOwned(usize::MAX),
    Way::TransmitOwned(7),
    Way::TransmitOwned(0),
];

/// Sends a binary message in one frame, and returns the frame.
fn sent(end: &mut End, way: Way, data: &[u8]) -> Sent {
    let start = end.wire.len();
    let mut written = Vec::new();
    let write = |most: usize, written: &mut Vec<u8>, slices: &[&[u8]]| {
        *written = slices.concat();
        written.truncate(most);
        written.len()
    };
    match way {
        Way::Binary => end.conn.send_binary(data).unwrap(),
        Way::Owned => end.conn.send(data.to_vec()).unwrap(),
        Way::Prepared => end.conn.send_prepared(&Prepared::new(data.to_vec())).unwrap(),
        Way::Fragment => end.conn.send_fragment(MessageKind::Binary, data, true).unwrap(),
        Way::Plain => end.conn.send_with(data, SendOptions::new().compress(false)).unwrap(),
        Way::Transmit(most) => {
            let now = end.now;
            end.conn.transmit_binary(now, data, |slices| write(most, &mut written, slices)).unwrap();
        }
        Way::TransmitOwned(most) => {
            let (now, message) = (end.now, data.to_vec().into());
            end.conn.transmit(now, &message, |slices| write(most, &mut written, slices)).unwrap();
        }
    }
    end.wire.extend_from_slice(&written);
    end.write_all();
    let mut frames = parse(end.role(), &end.wire[start..]);
    assert_eq!(frames.len(), 1, "{way:?}");
    frames.remove(0)
}

/// Two independent inflaters, which decode the same messages.
struct Inflaters {
    own: Decoder,
    zlib: Inflate,
    takeover: bool,
}

impl Inflaters {
    fn new(takeover: bool) -> Self {
        Self { own: Decoder::new(takeover), zlib: Inflate::new(false, 15), takeover }
    }

    /// Returns the message in `frame`. If the message is compressed, both inflaters must give the same data.
    fn read(&mut self, frame: &Sent) -> Vec<u8> {
        if frame.header.rsv != RSV1 {
            return frame.payload.clone();
        }
        let message = self.own.message(&frame.payload).expect("the payload is DEFLATE");
        if !self.takeover {
            self.zlib.reset(false);
        }
        let mut space = vec![0; message.len() + 1];
        let before = self.zlib.total_out();
        let input = [&frame.payload[..], &TAIL].concat();
        let status = self.zlib.decompress(&input, &mut space, InflateFlush::SyncFlush).unwrap();
        assert_eq!(status, Status::Ok);
        space.truncate((self.zlib.total_out() - before) as usize);
        assert!(space == message, "the two inflaters disagree");
        message
    }
}

#[test]
fn s7692_6_1_a_message_that_compression_does_not_shorten_is_sent_uncompressed() {
    for role in ROLES {
        for takeover in [false, true] {
            for level in [0, 1, 4, 6, 9] {
                for way in WAYS {
                    let mut end = open(role, takeover, config(level, 0));
                    let mut inflaters = Inflaters::new(takeover);
                    for (i, len) in [0, 1, 2, 5, 63, 64, 65, 125, 126, 1000, 4096, 70_000].iter().enumerate()
                    {
                        let data = random(*len, i as u64);
                        let frame = sent(&mut end, way, &data);
                        let said = format!("{role:?} {takeover} level {level} {way:?}: {len}");
                        assert_eq!(frame.header.rsv, 0, "{said}");
                        assert!(frame.payload == data, "{said}");
                        // A text after the random data is still compressed. Level 0 is the exception, because it never
                        // shortens data.
                        let text = text(300 + len / 100);
                        let frame = sent(&mut end, way, &text);
                        assert_eq!(frame.header.rsv == RSV1, level > 0, "{said}");
                        assert!(inflaters.read(&frame) == text, "{said}");
                    }
                }
            }
        }
    }
}

#[test]
fn s7692_6_1_compression_never_makes_a_whole_message_longer() {
    let mut dice = Dice::new(7);
    for role in ROLES {
        for (takeover, bits) in [(true, 15), (true, 9), (false, 15), (true, 8)] {
            for level in 0..=9 {
                let pool = Pool::new(1);
                let config = config(level, 0).deflate_pool(pool.clone());
                let mut end = Scenario::of(role).config(config).deflate(agreed(takeover, bits)).open();
                let mut inflaters = Inflaters::new(takeover);
                for round in 0..60 {
                    // The data mixes few or many different byte values, and repeats some earlier data.
                    let values = [1, 2, 5, 16, 60, 128, 200, 256][dice.below(8)];
                    let len = [0, 1, 3, 8, 20, 64, 65, 300, 3000][dice.below(9)];
                    let mut data: Vec<u8> = (0..len).map(|_| dice.below(values) as u8).collect();
                    if dice.below(3) == 0 {
                        data.extend(noise(dice.below(200)));
                    }
                    let frame = sent(&mut end, WAYS[dice.below(WAYS.len())], &data);
                    let compressed = frame.header.rsv == RSV1;
                    assert!(frame.payload.len() + usize::from(compressed) <= data.len(), "{round}");
                    assert!(inflaters.read(&frame) == data, "level {level}, {round}");
                }
                assert!(inflaters.own.farthest <= 1 << bits);
            }
        }
    }
}

#[test]
fn s7692_6_1_a_message_is_compressed_if_that_makes_it_shorter() {
    // The expected payload is that of a compressor without earlier data. Compression shortens the long texts of this
    // test, but not the short ones.
    for level in [1, 4, 6, 9] {
        let mut compressed = 0;
        for len in 0..200 {
            let data = &text(200)[..len];
            let compression = Compression::new().level(level);
            let mut payload = Vec::new();
            Deflater::new(15, false, &compression).deflate(data, true, &mut payload);
            for takeover in [false, true] {
                let mut end = open(Role::Server, takeover, config(level, 0));
                let frame = sent(&mut end, Way::Binary, data);
                assert_eq!(frame.header.rsv == RSV1, payload.len() < len, "{len} at level {level}");
                assert!(frame.payload == if payload.len() < len { &payload[..] } else { data });
            }
            compressed += usize::from(payload.len() < len);
        }
        assert!((50..190).contains(&compressed), "{compressed} at level {level}");
    }
}

#[test]
fn s7692_7_2_2_uncompressed_messages_between_compressed_ones_keep_the_context() {
    for role in ROLES {
        for bits in [8, 9, 10, 12, 15] {
            for level in [1, 4, 6, 9] {
                let config = config(level, 64);
                let mut end = Scenario::of(role).config(config).deflate(agreed(true, bits)).open();
                let mut peer = Scenario::of(role.peer()).deflate(agreed(true, bits)).open();
                let mut inflaters = Inflaters::new(true);
                let mut lens = Vec::new();
                for round in 0..40 {
                    let text: String = ["alice", "bob", "carol"]
                        .map(|user| {
                            format!(
                                "{{\"id\":{round},\"user\":\"{user}\",\"side\":\"buy\",\"venue\":\"north\"}}"
                            )
                        })
                        .concat();
                    // The longest random message is longer than every window. Random messages are sent uncompressed,
                    // so they must not change the context.
                    let data = random([64, 100, 700, 40_000][round % 4], round as u64);
                    for (data, compresses) in [(text.as_bytes(), true), (&data[..], false)] {
                        let start = end.wire.len();
                        let frame = sent(&mut end, WAYS[round % WAYS.len()], data);
                        assert!(inflaters.read(&frame) == data);
                        if compresses {
                            lens.push(frame.payload.len());
                        } else {
                            assert_eq!(frame.header.rsv, 0);
                        }
                        let seen = messages(peer.feed_in(&end.wire[start..], 1000));
                        assert!(seen == [Seen::Binary(data.to_vec())]);
                    }
                }
                assert!(inflaters.own.farthest <= 1 << bits, "{} of 2^{bits}", inflaters.own.farthest);
                // A prepared message resets the context. All other messages keep the context.
                let (first, later): (usize, usize) = (lens[0], lens[20..].iter().sum::<usize>() / 20);
                assert!(
                    later <= first * 2 / 3,
                    "{first}, then {later} on average, level {level}, {bits} bits"
                );
            }
        }
    }
}

#[test]
fn s7692_7_2_1_messages_after_a_fallback_refer_only_to_data_of_the_peers_window() {
    // About every second message contains the beginning of the previous message, which was sent either compressed or
    // uncompressed.
    for level in 1..=9 {
        for bits in [9, 15] {
            let mut end = Scenario::server().config(config(level, 0)).deflate(agreed(true, bits)).open();
            let mut inflaters = Inflaters::new(true);
            let mut dice = Dice::new(level.into());
            let mut last = Vec::new();
            let (mut plain, mut compressed) = (0, 0);
            for round in 0..80 {
                let mut data = random(dice.below(600), round);
                if dice.below(2) == 0 {
                    data.extend(&last);
                }
                if dice.below(3) == 0 {
                    data.extend(text(dice.below(500)));
                }
                if dice.below(9) == 0 {
                    end.conn.release_compression();
                }
                let way = if dice.below(6) == 0 { Way::Prepared } else { Way::Owned };
                let frame = sent(&mut end, way, &data);
                assert!(inflaters.read(&frame) == data, "round {round}");
                *if frame.header.rsv == RSV1 { &mut compressed } else { &mut plain } += 1;
                data.truncate(400);
                last = data;
            }
            assert!(plain > 5 && compressed > 5, "{plain} and {compressed}");
        }
    }
}

#[test]
fn s7692_6_1_the_beginning_of_a_large_message_alone_does_not_decide_about_compression() {
    for level in [1, 4, 9] {
        for (what, data, compresses) in [
            ("noise", random(300_000, 1), false),
            ("noise that repeats within the window", random(20_000, 2).repeat(10), true),
            ("noise that repeats beyond the window", random(34_000, 3).repeat(4), false),
            ("text after noise", [random(40_000, 4), text(200_000)].concat(), true),
            ("noise after text", [text(40_000), random(200_000, 5)].concat(), true),
            ("noise and text in turns", [random(5_000, 6), text(5_000)].concat().repeat(8), true),
        ] {
            let mut end = open(Role::Server, true, config(level, 0));
            let mut inflaters = Inflaters::new(true);
            for _ in 0..2 {
                let frame = sent(&mut end, Way::Owned, &data);
                assert_eq!(frame.header.rsv == RSV1, compresses, "{what}, level {level}");
                assert!(inflaters.read(&frame) == data, "{what}, level {level}");
                let frame = sent(&mut end, Way::Owned, &text(1000));
                assert!(frame.header.rsv == RSV1 && inflaters.read(&frame) == text(1000));
            }
        }
        // The attempt to compress random data ends early. It must not allocate memory for the whole output.
        let mut out = Vec::new();
        let mut deflater = Deflater::new(15, true, &Compression::new().level(level));
        assert!(!deflater.deflate_if_shorter(&random(1 << 20, 7), &mut out));
        assert!(out.is_empty() && out.capacity() < 100_000, "{}", out.capacity());
    }
}

#[test]
fn s7692_6_1_messages_below_the_minimum_size_are_sent_uncompressed() {
    for min_size in [0, 1, 64, 1000] {
        for role in ROLES {
            let mut end = open(role, true, config(4, min_size));
            let mut inflaters = Inflaters::new(true);
            for len in [min_size.saturating_sub(1), min_size, min_size + 1] {
                for data in [vec![b'a'; len], random(len, len as u64)] {
                    let compresses = len >= min_size && len > 20 && data[0] == data[1];
                    for way in [Way::Binary, Way::Owned, Way::Fragment, Way::Transmit(3)] {
                        let frame = sent(&mut end, way, &data);
                        if compresses || len < min_size {
                            assert_eq!(frame.header.rsv == RSV1, compresses, "{len} of {min_size}");
                        }
                        assert!(frame.payload.len() <= len);
                        assert!(inflaters.read(&frame) == data);
                    }
                }
            }
        }
    }
}

#[test]
fn s7692_8_declining_compression_affects_one_message_only() {
    let mut end = open(Role::Server, true, config(4, 0));
    let text = text(300);
    assert_eq!(sent(&mut end, Way::Plain, &text).header.rsv, 0);
    assert_eq!(sent(&mut end, Way::Binary, &text).header.rsv, RSV1);
    assert_eq!(sent(&mut end, Way::Binary, &random(100, 2)).header.rsv, 0);
    assert_eq!(sent(&mut end, Way::Binary, &text).header.rsv, RSV1);
    let counted = end.conn.sent();
    assert_eq!((counted.messages, counted.frames, counted.bytes), (4, 4, end.wire.len() as u64));
}

// --- limits ---

/// Sends `data` between two endpoints with this configuration. Returns whether it arrives as one unchanged message.
fn arrives(role: Role, config: &Config, takeover: bool, data: &[u8], fragments: &[usize]) -> bool {
    let (client, server) = (config.clone(), config.clone());
    let mut pair = Pair::deflate(client, server, agreed(takeover, 15));
    let sender = if role == Role::Client { &mut pair.client } else { &mut pair.server };
    let mut rest = data;
    for len in fragments {
        let (piece, behind) = rest.split_at(*len);
        sender.conn.send_fragment(MessageKind::Binary, piece, false).unwrap();
        rest = behind;
    }
    if fragments.is_empty() {
        sender.conn.send_binary(rest).unwrap();
    } else {
        sender.conn.send_fragment(MessageKind::Binary, rest, true).unwrap();
    }
    pair.drive();
    let receiver = if role == Role::Client { &mut pair.server } else { &mut pair.client };
    messages(receiver.poll()) == [Seen::Binary(data.to_vec())]
}

#[test]
fn s10_4_a_message_of_the_maximum_size_arrives_with_any_content() {
    for role in ROLES {
        for level in 0..=9 {
            for takeover in [false, true] {
                let config = config(level, 0).max_message(1000).max_frame(1000).high_water(usize::MAX);
                for data in [random(1000, 1), vec![7; 1000], text(1000)] {
                    assert!(arrives(role, &config, takeover, &data, &[]), "{role:?} level {level}");
                    // If the first fragment is compressed, all later ones are compressed too, even if this makes them
                    // longer.
                    for first in [1000, 999, 500, 1, 0] {
                        let arrives = arrives(role, &config, takeover, &data, &[first]);
                        assert!(arrives, "{role:?} level {level}, {first} of 1000 first");
                    }
                }
            }
        }
    }
}

#[test]
fn s10_4_sixteen_mebibytes_of_noise_arrive_with_the_default_limits() {
    let data = random(16 << 20, 3);
    for level in [1, 6, 9] {
        let config = config(level, 64).high_water(usize::MAX);
        let mut server =
            Connection::server(Instant::ZERO, config, Outbox::new()).with_deflate(agreed(true, 15));
        let mut client = Connection::client(Instant::ZERO, Config::new(), Outbox::new(), [1; 32])
            .with_deflate(agreed(true, 15));
        server.send_binary(&data).unwrap();
        assert_eq!(server.buffered_amount(), 10 + data.len());
        carry(&mut server, &mut client, &data);
        // The next message has two fragments. The first is the largest that the limits allow, and an empty one ends the
        // message.
        server.send_fragment(MessageKind::Binary, &data, false).unwrap();
        server.send_fragment(MessageKind::Binary, b"", true).unwrap();
        carry(&mut server, &mut client, &data);
    }
}

/// Moves all output to `client`, which must receive exactly one message.
fn carry(server: &mut Connection, client: &mut Connection, data: &[u8]) {
    let mut inbox = Inbox::empty();
    let mut seen = false;
    while server.buffered_amount() > 0 {
        let mut slices = [&[][..]; 4];
        let space = client.read_space(&mut inbox);
        let count = server.poll_transmit(&mut slices);
        let mut len = 0;
        for slice in &slices[..count] {
            let part = &slice[..slice.len().min(space.len() - len)];
            space[len..len + part.len()].copy_from_slice(part);
            len += part.len();
        }
        server.transmitted(Instant::ZERO, len);
        inbox.handle_read(len);
        while let Some(event) = client.poll_event(Instant::ZERO, &mut inbox).unwrap() {
            assert!(event == Event::Binary(data) && !seen);
            seen = true;
        }
    }
    assert!(seen);
}

// --- queues of fixed size ---

#[test]
fn s7692_6_1_a_queue_of_fixed_size_needs_no_spare_space_for_whole_messages() {
    for role in ROLES {
        for level in [0, 1, 4, 9] {
            let (mut out, mut memory) = ([0; 1145], [0; 1]);
            let (mut queue, mut control) = ([0; 508], ControlPayload::EMPTY);
            let conn = match role {
                Role::Server => Connection::server(
                    Instant::ZERO,
                    config(level, 64),
                    SliceOutbox::new(&mut out, &mut queue),
                ),
                Role::Client => Connection::client(
                    Instant::ZERO,
                    config(level, 64),
                    SliceOutbox::new(&mut out, &mut queue),
                    [9; 32],
                ),
            };
            let mut end =
                End::new(conn.with_deflate(agreed(true, 15)), SliceMessage::new(&mut memory, &mut control));
            let mut inflaters = Inflaters::new(true);
            for (round, data) in [random(1000, 1), text(1000), random(1000, 2)].iter().enumerate() {
                let start = end.wire.len();
                end.conn.send_binary(&data[..data.len().min(1000)]).unwrap();
                end.write_all();
                let frames = parse(role, &end.wire[start..]);
                assert!(inflaters.read(&frames[0]) == *data, "{role:?} level {level}, {round}");
            }
            assert_eq!(end.conn.send_binary(&random(1001, 3)), Err(SendError::TooLarge));
            // A compressed fragment may become longer than its data, so it needs more space.
            assert_eq!(
                end.conn.send_fragment(MessageKind::Binary, &random(1000, 4), false),
                Err(SendError::TooLarge)
            );
            end.conn.send_fragment(MessageKind::Binary, &random(740, 4), false).unwrap();
        }
    }
}
