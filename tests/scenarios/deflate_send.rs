//! Sending with permessage-deflate (RFC 7692 sections 6.1 and 7.2.1).
//!
//! An independent decoder reads the output. These tests cover RSV1, fragments, the tail that is removed, and the
//! window. They also cover prepared messages, compressors that connections share in a pool, and queues of fixed size.
//! Messages that compression does not shorten are tested in `deflate_fallback.rs`, and receiving is tested in
//! `deflate.rs`.

use hybi::deflate::{Compression, Deflater, Inflater, Pool};
use hybi::frame::Opcode;
use hybi::handshake::DeflateParams;
use hybi::{
    CloseCode, Config, Connection, ControlPayload, Delivery, Instant, Message, MessageKind, Prepared,
    ProtocolError, Role, SendError, SendOptions, SliceMessage, SliceOutbox,
};

use crate::blocks::{Blocks, Decoder, FIXED, TAIL, Token};
use crate::deflate::{HELLO, HELLO_AGAIN, ROLES, agreed, compressed, messages, noise, open, words};
use crate::pair::{End, Pair, RSV1, Scenario, Seen, Sent, parse, text};

/// Options of a message that is sent uncompressed.
const PLAIN: SendOptions = SendOptions::new().compress(false);

/// Returns a configuration that compresses every message, however short.
fn all() -> Config {
    Config::new().compression(Compression::new().min_size(0))
}

/// Writes the queued output, and returns its frames.
fn frames(end: &mut End) -> Vec<Sent> {
    let start = end.wire.len();
    end.write_all();
    parse(end.role(), &end.wire[start..])
}

/// Returns the payloads of the data messages in `sent`, and whether each was compressed.
fn decoded(sent: &[Sent], decoder: &mut Decoder) -> Vec<(Vec<u8>, bool)> {
    let mut all = Vec::new();
    let mut open: Option<(Vec<u8>, bool)> = None;
    for frame in sent.iter().filter(|frame| !frame.header.opcode.is_control()) {
        let first = frame.header.opcode != Opcode::Continuation;
        assert_eq!(first, open.is_none());
        assert!(first || frame.header.rsv == 0, "RSV1 is set on a later frame");
        let (mut payload, compressed) = open.take().unwrap_or((Vec::new(), frame.header.rsv == RSV1));
        payload.extend(&frame.payload);
        if frame.header.fin {
            let data =
                if compressed { decoder.message(&payload).expect("the payload is DEFLATE") } else { payload };
            all.push((data, compressed));
        } else {
            open = Some((payload, compressed));
        }
    }
    assert!(open.is_none());
    all
}

#[test]
fn s7692_7_2_1_messages_are_compressed_as_the_rfc_prints_them() {
    for takeover in [false, true] {
        let mut deflater = Deflater::new(15, takeover, &Compression::new());
        let mut decoder = Decoder::new(takeover);
        for round in 0..3 {
            let mut payload = Vec::new();
            deflater.deflate(b"Hello", true, &mut payload);
            // Several encodings of a reference to the first message are valid (RFC 7692 section 7.2.3.2).
            if round == 0 || !takeover {
                assert_eq!(payload, HELLO);
            } else {
                assert!(payload.len() <= HELLO_AGAIN.len(), "{payload:02x?}");
            }
            assert_eq!(decoder.message(&payload).unwrap(), b"Hello");
        }
        for _ in 0..2 {
            let mut payload = Vec::new();
            deflater.deflate(b"", true, &mut payload);
            assert_eq!(payload, [0], "7.2.3.6");
        }
    }
}

#[test]
fn s7692_6_1_rsv1_is_set_on_each_message_that_is_compressed() {
    let [one, other] = ["Hello, hello, hello, hello!", "Hello, hello, hello, hello?"];
    for role in ROLES {
        for takeover in [false, true] {
            let mut end = open(role, takeover, all());
            let mut decoder = Decoder::new(takeover);
            for opcode in [Opcode::Text, Opcode::Binary, Opcode::Text] {
                for data in [one, other] {
                    match opcode {
                        Opcode::Text => end.conn.send_text(data).unwrap(),
                        _ => end.conn.send_binary(data.as_bytes()).unwrap(),
                    }
                    let [sent] = &frames(&mut end)[..] else { panic!("one frame") };
                    assert_eq!((sent.header.opcode, sent.header.fin, sent.header.rsv), (opcode, true, RSV1));
                    assert_eq!(decoder.message(&sent.payload).unwrap(), data.as_bytes());
                }
            }
        }
    }
}

#[test]
fn s7692_7_2_1_exactly_the_tail_is_removed() {
    for level in 0..=9 {
        for takeover in [false, true] {
            let config = all().compression(Compression::new().level(level).min_size(0));
            let mut end = open(Role::Server, takeover, config.high_water(usize::MAX));
            let mut decoder = Decoder::new(takeover);
            // The data is empty, or ends with the bytes of the tail, or has a size near the end of a block or buffer.
            let mut data = vec![Vec::new(), TAIL.to_vec(), vec![0; 70_000], noise(70_000), TAIL.repeat(500)];
            data.extend((0..40).map(noise));
            data.extend((100..140).map(|len| words(len).into_bytes()));
            data.push(words(20_000).into_bytes());
            for data in &data {
                end.conn.send_binary(data).unwrap();
            }
            let sent = frames(&mut end);
            let compressed = sent.iter().filter(|frame| frame.header.rsv == RSV1);
            assert!(compressed.clone().all(|frame| !frame.payload.ends_with(&TAIL)));
            assert_eq!(compressed.count() > 40, level > 0);
            // The decoder fails if more or less than the tail was removed.
            let decoded = decoded(&sent, &mut decoder);
            assert!(decoded.iter().zip(&data).all(|((out, _), data)| out == data), "level {level}");
            assert_eq!(decoded.len(), data.len());
            // A compressor also removes exactly the tail if a connection would send the data uncompressed.
            let compression = Compression::new().level(level);
            let mut deflater = Deflater::new(15, takeover, &compression);
            let mut decoder = Decoder::new(takeover);
            for data in &data {
                let mut payload = Vec::new();
                deflater.deflate(data, true, &mut payload);
                assert!(!payload.ends_with(&TAIL) && decoder.message(&payload).as_ref() == Some(data));
            }
        }
    }
}

#[test]
fn s7692_7_2_1_a_message_compressed_to_half_its_size_ends_with_one_empty_block() {
    // Digits need four bits each, so no block is stored.
    let digits: Vec<u8> =
        noise(4000).iter().map(|byte| b"0123456789abcdef"[usize::from(byte % 16)]).collect();
    for len in (64..4000).step_by(3) {
        let mut payload = Vec::new();
        Deflater::new(15, true, &Compression::new()).deflate(&digits[..len], true, &mut payload);
        assert!(!payload.ends_with(&[0x00, 0x00, 0xFF, 0xFF, 0x00]), "{len}");
    }
}

#[test]
fn s7692_7_1_2_no_message_refers_further_back_than_the_window() {
    // The same noise is repeated at distances around each window size. The compressor refers back as far as it
    // may.
    let levels = (1..=9).map(|level| (level, 8)).chain([(1, 1), (6, 1), (9, 9)]);
    for (level, memory_level) in levels {
        for bits in 8..=15u8 {
            let compression = Compression::new().level(level).memory_level(memory_level).min_size(0);
            let config = Config::new().compression(compression).high_water(usize::MAX);
            let mut end = Scenario::server().config(config).deflate(agreed(true, bits)).open();
            let mut decoder = Decoder::new(true);
            let window = 1usize << bits;
            let mut all = Vec::new();
            for distance in [100, window - 20, window + 1, window.saturating_sub(262)] {
                let mut data = noise(distance);
                data.extend(noise(30.min(distance)));
                end.conn.send_binary(&data).unwrap();
                all.push(data);
            }
            let decoded = decoded(&frames(&mut end), &mut decoder);
            assert!(decoded.iter().map(|(data, _)| data).eq(&all));
            let farthest = decoder.farthest;
            assert!((1..=window).contains(&farthest), "{farthest} of {window}, level {level}");
        }
    }
}

#[test]
fn s7692_7_1_1_takeover_is_agreed_on_for_each_direction() {
    let long = words(3000);
    for role in ROLES {
        for (own, other) in [(false, false), (false, true), (true, false), (true, true)] {
            let (server, client) = if role == Role::Server { (own, other) } else { (other, own) };
            let params = DeflateParams {
                server_no_context_takeover: !server,
                client_no_context_takeover: !client,
                ..DeflateParams::default()
            };
            let mut end = Scenario::of(role).deflate(params).open();
            let mut lens = Vec::new();
            for _ in 0..3 {
                end.conn.send_text(&long).unwrap();
                let sent = frames(&mut end);
                lens.push(sent[0].payload.len());
                if !own {
                    // Each message is compressed on its own.
                    assert_eq!(decoded(&sent, &mut Decoder::new(false))[0].0, long.as_bytes());
                }
            }
            assert_eq!(lens[1] < lens[0] / 4, own, "{lens:?}");
            assert_eq!(end.conn.sender().can_release_deflater(), own);
        }
    }
}

#[test]
fn s7692_6_1_fragments_are_compressed_as_they_are_sent() {
    for role in ROLES {
        for takeover in [false, true] {
            let mut end = open(role, takeover, Config::new());
            let mut peer = open(role.peer(), takeover, Config::new().delivery(Delivery::Chunks));
            let mut decoder = Decoder::new(takeover);
            // Short fragments are compressed too, because the length of the message is not known yet.
            for pieces in [
                &["Hel", "lo"][..],
                &["", "a", "", "", "é"],
                &["", ""],
                &["one"],
                &[&words(20_000), "", "end"],
            ] {
                let (mut sent, mut arrived) = (Vec::new(), Vec::new());
                for (i, piece) in pieces.iter().enumerate() {
                    let fin = i + 1 == pieces.len();
                    end.conn.send_fragment(MessageKind::Text, piece.as_bytes(), fin).unwrap();
                    end.conn.ping(end.now, b"between").unwrap();
                    let start = end.wire.len();
                    end.write_all();
                    sent.extend(parse(role, &end.wire[start..]));
                    // The peer receives all data of a fragment before the next one is sent.
                    for event in peer.feed(&end.wire[start..]) {
                        if let Seen::Chunk { data, .. } = event {
                            arrived.extend(data);
                        }
                    }
                    assert_eq!(arrived, pieces[..=i].concat().as_bytes());
                }
                let single = pieces.len() == 1;
                assert_eq!(decoded(&sent, &mut decoder), [(pieces.concat().into_bytes(), !single)]);
                peer.poll();
                peer.write_all();
            }
        }
    }
}

#[test]
fn s7692_6_1_either_all_fragments_of_a_message_are_compressed_or_none() {
    let mut end = open(Role::Server, true, Config::new());
    let mut decoder = Decoder::new(true);
    end.conn.send_fragment_with(MessageKind::Binary, &[0; 100], false, PLAIN).unwrap();
    end.conn.send_fragment(MessageKind::Binary, &[0; 100], true).unwrap();
    end.conn.send_fragment(MessageKind::Binary, &[1; 100], false).unwrap();
    // The options of a later fragment are not used, because the message has begun.
    end.conn.send_fragment_with(MessageKind::Binary, &[1; 100], false, PLAIN).unwrap();
    end.conn.send_fragment(MessageKind::Binary, &[1; 100], true).unwrap();
    end.conn.send_with(&[2; 100][..], PLAIN).unwrap();
    end.conn.send_binary(&[3; 100]).unwrap();
    let expected = [(vec![0; 200], false), (vec![1; 300], true), (vec![2; 100], false), (vec![3; 100], true)];
    assert_eq!(decoded(&frames(&mut end), &mut decoder), expected);
}

#[test]
fn s7692_6_messages_below_the_minimum_size_are_not_compressed() {
    for min_size in [0, 1, 10, 64, 1000] {
        let config = Config::new().compression(Compression::new().min_size(min_size));
        for role in ROLES {
            let mut end = open(role, true, config.clone().high_water(usize::MAX));
            let mut decoder = Decoder::new(true);
            let lens = [0, 1, 9, 10, 63, 64, 999, 1000, 1001, 5000];
            for len in lens {
                end.conn.send_text(&"x".repeat(len)).unwrap();
                end.conn.send(vec![0; len]).unwrap();
                end.conn.send_prepared(&Prepared::new(vec![0; len])).unwrap();
            }
            let sent = decoded(&frames(&mut end), &mut decoder);
            assert_eq!(sent.len(), 3 * lens.len());
            for ((data, compressed), i) in sent.iter().zip(0..) {
                assert_eq!(data.len(), lens[i / 3]);
                // Whether compression shortens very short data depends on the window, so the test does not check these
                // messages.
                if data.len() > 20 || data.len() < min_size {
                    assert_eq!(*compressed, data.len() >= min_size, "{} of {min_size}", data.len());
                }
            }
        }
    }
}

#[test]
fn s7692_6_nothing_is_compressed_without_negotiation() {
    for role in ROLES {
        let mut end = Scenario::of(role).config(all()).open();
        end.conn.send_text("Hello").unwrap();
        end.conn.send_with("Hello", PLAIN).unwrap();
        end.conn.send_prepared(&Prepared::new("Hello")).unwrap();
        end.conn.send_fragment(MessageKind::Text, b"Hel", false).unwrap();
        end.conn.send_fragment(MessageKind::Text, b"lo", true).unwrap();
        assert_eq!(end.flush(), ["text Hello", "text Hello", "text Hello", "text- Hel", "cont lo"]);
    }
}

#[test]
fn s7692_8_options_apply_to_one_message() {
    const TOKENS: &str = "token token token token token token";
    for role in ROLES {
        for way in 0..5 {
            let mut end = open(role, true, all());
            let mut send = |declined: bool| {
                let conn = &mut end.conn;
                match way {
                    0 if declined => conn.send_with(TOKENS, PLAIN).map_err(|refused| refused.error),
                    0 => conn.send_text(TOKENS),
                    1 if declined => {
                        conn.send_fragment_with(MessageKind::Binary, TOKENS.as_bytes(), true, PLAIN)
                    }
                    1 => conn.send_binary(TOKENS.as_bytes()),
                    2 if declined => {
                        conn.send_with(TOKENS.as_bytes(), PLAIN).map_err(|refused| refused.error)
                    }
                    2 => conn.send(TOKENS).map_err(|refused| refused.error),
                    3 if declined => conn.send_prepared(&Prepared::with_options(TOKENS, PLAIN)),
                    3 => conn.send_prepared(&Prepared::new(TOKENS)),
                    _ if declined => {
                        conn.send_fragment_with(MessageKind::Text, TOKENS.as_bytes(), true, PLAIN)
                    }
                    _ => conn.send_fragment(MessageKind::Text, TOKENS.as_bytes(), true),
                }
                .unwrap();
                let sent = frames(&mut end);
                assert_eq!(sent.len(), 1);
                sent[0].header.rsv == RSV1
            };
            assert_eq!([true, false, true, false].map(&mut send), [false, true, false, true], "way {way}");
        }
    }
}

#[test]
fn s7692_8_options_of_a_refused_message_do_not_apply_to_later_messages() {
    for role in ROLES {
        let mut end = open(role, true, all().high_water(10));
        end.conn.send_text("fill the queue, fill it up to the mark").unwrap();
        let refused = end.conn.send_with("secret", PLAIN).unwrap_err();
        assert_eq!((refused.error, refused.message), (SendError::Blocked, Message::from("secret")));
        let plain = Prepared::with_options("secret", PLAIN);
        assert_eq!(end.conn.send_prepared(&plain), Err(SendError::Blocked));
        let sent = end.conn.send_fragment_with(MessageKind::Text, b"secret", true, PLAIN);
        assert_eq!(sent, Err(SendError::Blocked));
        end.conn.ping(end.now, b"").unwrap();
        end.conn.pong(b"").unwrap();
        end.write_all();
        assert_eq!(end.poll(), [Seen::Writable]);
        // The options of the refused messages do not apply to later messages.
        end.conn.send_text(&"no secret, ".repeat(9)).unwrap();
        assert!(end.flush()[0].starts_with("~text"));
        end.conn.send_with("secret", PLAIN).unwrap();
        assert_eq!(end.flush(), ["text secret"]);
        // A message is also refused while a fragmented message is open. The options of the refused message do not apply
        // to later messages either.
        end.conn.send_fragment(MessageKind::Text, b"open", false).unwrap();
        let refused = end.conn.send_with(&b"secret"[..], PLAIN).unwrap_err();
        assert_eq!(refused.error, SendError::MessageOpen);
        end.flush();
        end.conn.send_fragment(MessageKind::Text, b"", true).unwrap();
        end.flush();
        end.conn.send_binary(&b"no secret, ".repeat(9)).unwrap();
        assert!(end.flush()[0].starts_with("~binary"));
    }
}

#[test]
fn s7692_7_2_1_a_refused_message_does_not_enter_the_window() {
    let long = words(3000);
    let mut end = open(Role::Server, true, Config::new().high_water(100));
    let mut decoder = Decoder::new(true);
    end.conn.send_binary(&noise(200)).unwrap();
    assert_eq!(end.conn.send_text(&long), Err(SendError::Blocked));
    let mut sent = frames(&mut end);
    end.conn.send_text(&long).unwrap();
    sent.extend(frames(&mut end));
    let decoded = decoded(&sent, &mut decoder);
    assert_eq!(decoded[1], (long.into_bytes(), true));
}

// --- prepared messages ---

#[test]
fn s7692_7_2_1_a_prepared_message_is_valid_on_each_connection() {
    let long = words(6000);
    let news = Prepared::new(long.clone());
    let plain = Prepared::with_options(long.clone(), PLAIN);
    let own = words(2000);
    for role in ROLES {
        for bits in 8..=15 {
            for takeover in [false, true] {
                let mut end = Scenario::of(role).deflate(agreed(takeover, bits)).open();
                end.conn.send_text("already open").unwrap();
                let mut decoder = Decoder::new(takeover);
                let mut peer = Scenario::of(role.peer()).deflate(agreed(takeover, bits)).open();
                let mut expected = vec![(b"already open".to_vec(), false)];
                // The connection sends messages of its own before and after the prepared messages. In the second round
                // it releases its windows between two messages.
                for round in 0..4 {
                    end.conn.send_text(&own).unwrap();
                    end.conn.send_prepared(&news).unwrap();
                    if round == 1 {
                        end.conn.release_compression();
                    }
                    end.conn.send_prepared(&news.clone()).unwrap();
                    end.conn.send_prepared(&plain).unwrap();
                    end.conn.send_text(&own).unwrap();
                    for (data, compressed) in
                        [(&own, true), (&long, true), (&long, true), (&long, false), (&own, true)]
                    {
                        expected.push((data.clone().into_bytes(), compressed));
                    }
                }
                let start = end.wire.len();
                let sent = frames(&mut end);
                let seen = peer.feed_in(&end.wire[start..], 5000);
                assert!(decoded(&sent, &mut decoder) == expected, "{bits} {takeover}");
                assert!(decoder.farthest <= 1 << bits);
                assert!(seen.iter().zip(&expected).all(|(seen, (data, _))| {
                    matches!(seen, Seen::Text(text) if text.as_bytes() == data)
                }));
                assert_eq!(seen.len(), expected.len());
            }
        }
    }
}

#[test]
fn s7692_7_2_1_a_prepared_message_is_compressed_once_per_window_size() {
    // The first connection compresses with its configuration. The other connections send the same bytes.
    let news = Prepared::new(words(6000));
    let mut payloads = Vec::new();
    for level in [9, 1, 4] {
        let config = Config::new().compression(Compression::new().level(level));
        let mut end = open(Role::Server, true, config);
        end.conn.send_prepared(&news).unwrap();
        payloads.push(frames(&mut end).remove(0).payload);
        assert!(!end.conn.sender().can_release_deflater(), "the connection has a compressor of its own");
    }
    assert!(payloads[0].len() < 3000 && payloads.iter().all(|payload| *payload == payloads[0]));
    // Level 0 never shortens a message, so a connection at level 0 sends the prepared message uncompressed.
    for news in [news, Prepared::new(words(6000))] {
        let config = Config::new().compression(Compression::new().level(0));
        let mut end = open(Role::Server, true, config);
        end.conn.send_prepared(&news).unwrap();
        assert_eq!(frames(&mut end)[0].header.rsv, 0);
        let mut end = open(Role::Server, true, Config::new());
        end.conn.send_prepared(&news).unwrap();
        assert_eq!(
            frames(&mut end)[0].header.rsv,
            RSV1,
            "a connection at level 0 does not decide for others"
        );
    }
}

#[test]
fn s7692_6_a_prepared_message_that_does_not_shrink_is_sent_uncompressed() {
    for len in [100, 5000] {
        let news = Prepared::new(noise(len));
        for takeover in [false, true] {
            let mut end = open(Role::Server, takeover, Config::new());
            let mut decoder = Decoder::new(takeover);
            end.conn.send_text(&words(500)).unwrap();
            end.conn.send_prepared(&news).unwrap();
            // The prepared message did not enter the window, so the next text refers to the text before the prepared
            // message.
            end.conn.send_text(&words(500)).unwrap();
            let sent = frames(&mut end);
            assert_eq!(sent[2].payload.len() < sent[0].payload.len() / 4, takeover);
            let same = (words(500).into_bytes(), true);
            assert_eq!(decoded(&sent, &mut decoder), [same.clone(), (noise(len), false), same]);
        }
    }
}

// --- shared compressors ---

#[test]
fn s7692_7_1_1_a_pool_serves_connections_of_all_kinds() {
    let pool = Pool::new(3);
    let mut ends = Vec::new();
    // The data begins with the same 1000 digits three times. A reference beyond the connection's own window would show
    // that the compressor has a wrong window.
    let digits = |len| -> String { noise(len).iter().map(|byte| char::from(b'0' + byte % 10)).collect() };
    let far = digits(1000).repeat(2) + &digits(5000);
    for (level, memory_level) in [(1, 1), (6, 8), (9, 9)] {
        for bits in [15, 12, 9, 8] {
            for takeover in [false, true] {
                for role in ROLES {
                    let compression = Compression::new().level(level).memory_level(memory_level).min_size(0);
                    let config = Config::new().compression(compression).deflate_pool(pool.clone());
                    let scenario =
                        |role| Scenario::of(role).config(config.clone()).deflate(agreed(takeover, bits));
                    let decoder = Decoder::new(takeover);
                    ends.push((scenario(role).open(), scenario(role.peer()).open(), decoder, bits));
                }
            }
        }
    }
    for round in 0..4 {
        for (i, (end, peer, decoder, bits)) in ends.iter_mut().enumerate() {
            let data = if round == 1 { far.clone() } else { words(300 + 700 * round + 11 * i) };
            // Every second connection sends its message in two fragments.
            if (i + round) % 2 == 0 {
                end.conn.send_fragment(MessageKind::Text, &data.as_bytes()[..100], false).unwrap();
                end.conn.send_fragment(MessageKind::Text, &data.as_bytes()[100..], true).unwrap();
            } else {
                end.conn.send_text(&data).unwrap();
            }
            let start = end.wire.len();
            let sent = frames(end);
            assert!(decoded(&sent, decoder) == [(data.clone().into_bytes(), true)]);
            assert!(decoder.farthest <= 1 << *bits, "{} for {bits}", decoder.farthest);
            assert!(peer.feed_in(&end.wire[start..], 1000) == [text(&data)]);
        }
        if round == 2 {
            pool.clear();
        }
    }
}

#[test]
fn s7692_7_1_2_a_pooled_inflater_has_the_window_of_its_connection() {
    // An inflater from the pool resolves references to the start of this connection's window, also after a final block.
    let config = Config::new().deflate_pool(Pool::new(1));
    for bits in [8, 15, 9, 15, 12, 8, 13] {
        let mut end = Scenario::server().config(config.clone()).deflate(agreed(false, bits)).open();
        let size = 1 << bits;
        let data = noise(size);
        let payload = Blocks::new()
            .stored(true, &data)
            .fixed(true, &[Token::Back { distance: size, len: 100 }])
            .fixed(false, &[Token::Back { distance: size, len: 100 }]);
        let seen = end.feed(&compressed(Role::Client, Opcode::Binary, true, &payload.message()));
        let whole = [&data[..], &data[..200]].concat();
        assert!(seen == [Seen::Binary(whole)], "{bits} bits");
    }
}

#[test]
fn s7692_7_1_1_a_pool_leaks_no_data_between_connections() {
    let config = Config::new().deflate_pool(Pool::new(1));
    let connection = || Scenario::server().config(config.clone()).deflate(agreed(false, 15)).open();
    let receive =
        |payload: &[u8]| connection().feed(&compressed(Role::Client, Opcode::Binary, true, payload));
    // Each payload refers to data before the connection's own data. The reference comes first, after a stored block, or
    // after a final block.
    let back = [Token::Back { distance: 10, len: 5 }];
    for thief in [
        Blocks::new().fixed(false, &back),
        Blocks::new().stored(false, b"own").fixed(false, &back),
        Blocks::new().stored(true, b"own").fixed(false, &back),
        Blocks::new().stored(true, b"").fixed(true, &back),
    ] {
        let secret = Blocks::new().stored(true, b"the secret of another").stored(false, b"!");
        assert_eq!(receive(&secret.message()).len(), 1);
        assert_eq!(receive(&thief.message()), [Seen::Failed(ProtocolError::InvalidDeflate)]);
    }
    // Sent messages do not refer to another connection's data either.
    let secret = words(1000);
    for _ in 0..2 {
        let mut end = connection();
        end.conn.send_text(&secret).unwrap();
        assert!(decoded(&frames(&mut end), &mut Decoder::new(false))[0].0 == secret.as_bytes());
    }
}

#[test]
fn s7692_7_1_1_messages_that_are_open_at_once_do_not_share_a_compressor() {
    let pool = Pool::new(1);
    let config = Config::new().deflate_pool(pool);
    let mut pairs: Vec<_> =
        (0..5).map(|_| Pair::deflate(config.clone(), config.clone(), agreed(false, 15))).collect();
    let data = words(1000);
    for piece in data.as_bytes().chunks(300) {
        for pair in &mut pairs {
            pair.client.conn.send_fragment(MessageKind::Text, piece, false).unwrap();
            pair.server.conn.send_fragment(MessageKind::Text, piece, false).unwrap();
            pair.drive();
        }
    }
    // One message is abandoned. Its compressor must not return to the pool.
    let mut given_up = pairs.pop().unwrap();
    given_up.client.conn.close(given_up.now(), CloseCode::NORMAL, "").unwrap();
    given_up.drive_through(5);
    for pair in &mut pairs {
        pair.client.conn.send_fragment(MessageKind::Text, b"", true).unwrap();
        pair.server.conn.send_fragment(MessageKind::Text, b"", true).unwrap();
        pair.drive();
        assert!(pair.server.poll() == [text(&data)] && pair.client.poll() == [text(&data)]);
        pair.client.conn.send_text(&data).unwrap();
        pair.drive();
        assert!(pair.server.poll() == [text(&data)]);
    }
}

// --- queues of fixed size ---

fn lent<'m>(role: Role, out: &'m mut [u8], control: &'m mut [u8; 508]) -> Connection<SliceOutbox<'m>> {
    let (config, out) = (Config::new(), SliceOutbox::new(out, control));
    let conn = match role {
        Role::Server => Connection::server(Instant::ZERO, config, out),
        Role::Client => Connection::client(Instant::ZERO, config, out, [9; 32]),
    };
    conn.with_deflate(agreed(true, 15))
}

#[test]
fn s5_6_a_message_that_does_not_fit_borrowed_memory_is_refused_without_effect() {
    for role in ROLES {
        for space in [0, 100, 146, 200, 300, 1000, 3000] {
            let (mut out, mut memory) = (vec![0; space], [0; 1]);
            let (mut queue, mut control) = ([0; 508], ControlPayload::EMPTY);
            let message = SliceMessage::new(&mut memory, &mut control);
            let mut end = End::new(lent(role, &mut out, &mut queue), message);
            let mut decoder = Decoder::new(true);
            let mut expected = Vec::new();
            for round in 0..6 {
                for len in [0, 10, 63, 64, 100, 500, 1000, 2500, 5000] {
                    let data = if round % 2 == 0 { noise(len) } else { words(len).into_bytes() };
                    match end.conn.send_binary(&data) {
                        Ok(()) => expected.push(data.clone()),
                        // A blocked message is accepted after all output was written.
                        Err(SendError::Blocked) => {
                            end.write_all();
                            end.conn.send_binary(&data).unwrap();
                            expected.push(data.clone());
                        }
                        Err(error) => {
                            assert_eq!(error, SendError::TooLarge);
                            assert!(len + 145 > space, "{len} in {space}");
                        }
                    }
                    // A fragment may be refused in the same way. If it is accepted, an empty fragment ends the message.
                    let fragment = end.conn.send_fragment(MessageKind::Binary, &data, false);
                    if fragment.is_ok() {
                        end.write_all();
                        end.conn.send_fragment(MessageKind::Binary, b"", true).unwrap();
                        expected.push(data);
                    }
                }
                end.write_all();
                end.poll();
            }
            let sent = parse(role, &end.wire);
            let decoded = decoded(&sent, &mut decoder);
            assert!(decoded.iter().map(|(data, _)| data).eq(&expected), "{space}");
            assert_eq!(expected.is_empty(), space < 145);
        }
    }
}

#[test]
fn s5_6_a_compressed_message_grows_by_at_most_the_reserved_space() {
    // The queue drops bytes that do not fit, so an accepted message must fit at any level.
    for level in 0..=9 {
        for memory_level in [1, 2, 8] {
            for bits in [9, 15] {
                let compression = Compression::new().level(level).memory_level(memory_level).min_size(0);
                let mut deflater = Deflater::new(bits, true, &compression);
                for len in [0, 1, 2, 63, 64, 65, 127, 128, 129, 500, 1000, 4000, 20_000] {
                    // In the fixed code, bytes of 144 and above have the longest codes, with nine bits.
                    let high: Vec<u8> = noise(len).iter().map(|byte| 144 + byte % 112).collect();
                    for data in [noise(len), high] {
                        for fin in [false, false, true] {
                            let mut payload = Vec::new();
                            deflater.deflate(&data, fin, &mut payload);
                            assert!(payload.len() <= len + len / 4 + 64, "{} for {len}", payload.len());
                        }
                    }
                }
            }
        }
    }
}

// --- closing ---

#[test]
fn s5_5_1_nothing_is_compressed_after_a_close() {
    for role in ROLES {
        for by_peer in [false, true] {
            let mut end = open(role, true, Config::new());
            end.conn.send_fragment(MessageKind::Text, b"an open message", false).unwrap();
            assert!(end.conn.sender().can_release_deflater());
            if by_peer {
                end.receive_close(1000, "");
            } else {
                end.conn.close(end.now, CloseCode::NORMAL, "").unwrap();
            }
            assert!(!end.conn.sender().can_release_deflater());
            assert_eq!(end.conn.send_fragment(MessageKind::Text, b"more", true), Err(SendError::Closed));
            assert_eq!(end.conn.send_binary(&[0; 1000]), Err(SendError::Closed));
            assert_eq!(end.conn.send_prepared(&Prepared::new(vec![0; 1000])), Err(SendError::Closed));
            assert!(end.conn.send(vec![0; 1000]).is_err());
            assert!(!end.conn.sender().can_release_deflater(), "a refused message allocates a window");
            let sent = end.flush();
            assert_eq!(sent.len(), 2);
            assert!(sent[0].starts_with("~text-") && sent[1].starts_with("close 1000"), "{sent:?}");
        }
    }
}

// --- both endpoints ---

#[test]
fn s7692_7_messages_of_all_sizes_arrive() {
    for cap in [7, 1000, usize::MAX] {
        for params in [DeflateParams::default(), agreed(false, 15), agreed(true, 9), agreed(false, 8)] {
            let mut pair = Pair::deflate(all(), all(), params).cap(cap);
            for n in 0..12_usize {
                let (data, more) = (words(n * n * 19), noise(n * 100));
                pair.client.conn.send_text(&data).unwrap();
                pair.server.conn.send_binary(&more).unwrap();
                pair.client.conn.ping(pair.now(), &[1]).unwrap();
                pair.server.conn.send_text(&data).unwrap();
                pair.drive();
                let mut at_server = messages(pair.server.poll());
                at_server.retain(|event| !matches!(event, Seen::Ping(_)));
                assert!(at_server == [text(&data)]);
                let mut at_client = messages(pair.client.poll());
                at_client.retain(|event| !matches!(event, Seen::Pong(_)));
                assert!(at_client == [Seen::Binary(more), text(&data)]);
            }
            pair.client.conn.close(pair.now(), CloseCode::NORMAL, "").unwrap();
            pair.drive_through(4);
            for end in [&pair.client, &pair.server] {
                assert!(
                    !end.conn.sender().can_release_deflater() && !end.conn.receiver().can_release_inflater()
                );
            }
        }
    }
}

#[test]
fn s7692_7_2_1_short_text_is_compressed_with_the_fixed_code() {
    // The decoder must report the kind of block. Other tests rely on this report.
    let (mut payload, mut decoder) = (Vec::new(), Decoder::new(false));
    Deflater::new(15, false, &Compression::new()).deflate(b"Hello", true, &mut payload);
    decoder.message(&payload).unwrap();
    assert_eq!(decoder.blocks[0], (FIXED, false));
}

#[test]
fn a_connection_with_compression_implements_send_sync_and_unpin() {
    // Enabling the feature must not remove auto traits that programs rely on.
    fn anywhere<T: Send + Sync + Unpin>() {}
    anywhere::<Connection>();
    anywhere::<Config>();
    anywhere::<Prepared>();
    anywhere::<Pool>();
    anywhere::<(Deflater, Inflater)>();
}
