//! Frames: reserved bits, opcodes, lengths and masks (RFC 6455 sections 5.1 to 5.3), and the rules of control
//! frames (section 5.5).
//!
//! Each refusal is checked at several sizes of reads: the connection fails once, sends one Close with the error's code,
//! and processes nothing afterwards. Limits are tested in `limits.rs`, and every start of a frame is tested in
//! `tests/exhaustive/headers.rs`.

use std::collections::HashSet;

use hybi::frame::{Header, MAX_PAYLOAD_LEN, Opcode};
use hybi::{CloseCode, Config, Delivery, MessageKind, ProtocolError, Role, SendError};

use crate::pair::{Scenario, Seen, frame, parse, text};

const ROLES: [Role; 2] = [Role::Server, Role::Client];

/// Asserts that `bytes` fail the connection at any size of reads: one error, one Close with its code, then
/// nothing.
fn fails(role: Role, config: &Config, bytes: &[u8], error: ProtocolError) {
    for size in [1, 2, 3, bytes.len()] {
        let mut end = Scenario::of(role).config(config.clone()).open();
        assert_eq!(end.feed_in(bytes, size), [Seen::Failed(error)], "{bytes:x?} in reads of {size}");
        let close = end.flush();
        assert_eq!(close.len(), 1);
        assert!(close[0].starts_with(&format!("close {} ", error.close_code())), "{close:?}");
        // RFC 6455 7.1.7: nothing is processed after the failure, not even a Close.
        assert_eq!(end.receive(Opcode::Text, "more"), []);
        assert_eq!(end.receive_close(1000, ""), []);
        assert_eq!(end.flush(), [""; 0]);
        assert_eq!(end.eof(), [Seen::Closed(hybi::Outcome::Failed(error))]);
    }
}

fn masked_bit(role: Role) -> u8 {
    if role == Role::Server { 0x80 } else { 0 }
}

#[test]
fn s5_2_reserved_bits_fail_the_connection() {
    for role in ROLES {
        for rsv in 1..8u8 {
            for opcode in [0x81, 0x82, 0x88, 0x89, 0x8A, 0x01] {
                let bytes = [opcode | rsv << 4, masked_bit(role)];
                // A first byte that is a printable character suggests plain text instead of a frame. 0x41 is printable
                // too, but a peer that compresses without negotiation begins a text fragment with 0x41.
                let error = match bytes[0] {
                    first @ (0x21 | 0x31 | 0x51 | 0x61 | 0x71) => ProtocolError::NotAFrame(first),
                    _ => ProtocolError::ReservedBits(rsv),
                };
                fails(role, &Config::new(), &bytes, error);
            }
        }
    }
}

#[test]
fn s5_2_plain_text_instead_of_a_frame_is_recognized_by_its_first_byte() {
    for role in ROLES {
        for first in 0..=0xFFu8 {
            let mut end = Scenario::of(role).open();
            let seen = end.feed(&[first]);
            let printable = matches!(first, b' '..=b'~');
            let error = match seen[..] {
                [] => None,
                [Seen::Failed(error)] => Some(error),
                _ => panic!("{seen:?}"),
            };
            match error {
                Some(ProtocolError::NotAFrame(byte)) => assert!(printable && byte == first),
                // These three bytes have RSV1 and the opcode Continuation, Text or Binary. A peer that compresses
                // without negotiation sends these bytes.
                Some(ProtocolError::ReservedBits(4)) if printable => assert!(b"@AB".contains(&first)),
                Some(ProtocolError::ReservedBits(bits)) => {
                    assert_eq!((bits, printable), (first >> 4 & 7, false))
                }
                _ => assert!(!printable, "{first:#x}"),
            }
        }
    }
}

#[test]
fn s5_2_an_http_response_after_the_handshake_is_recognized() {
    let said = "the peer broke RFC 6455 section 5.2: plain text where a frame should begin ('H'): \
                the peer seems to speak HTTP; the connection is failed with close code 1002";
    for role in ROLES {
        let http = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n";
        fails(role, &Config::new(), http, ProtocolError::NotAFrame(b'H'));
        // The response follows a message, or comes where a continuation frame should begin.
        for (fin, events) in [(true, 1), (false, 0)] {
            for size in [1, 9, 1000] {
                let mut end = Scenario::of(role).open();
                let bytes = [&frame(role.peer(), Opcode::Text, fin, b"a"), &http[..]].concat();
                let seen = end.feed_in(&bytes, size);
                assert_eq!(seen.len(), events + 1);
                let Some(Seen::Failed(error)) = seen.last() else { panic!("{seen:?}") };
                assert_eq!((*error, error.to_string()), (ProtocolError::NotAFrame(b'H'), said.to_owned()));
                assert_eq!(end.flush(), ["close 1002 plain text where a frame should begin"]);
            }
        }
    }
    // Characters that need escaping are shown as Rust literals.
    assert!(ProtocolError::NotAFrame(b'\'').to_string().contains(r"('\'')"));
    assert!(ProtocolError::NotAFrame(b'<').to_string().contains("('<')"));
}

#[test]
fn s5_2_unknown_opcodes_fail_in_any_context() {
    for role in ROLES {
        for opcode in (3..8).chain(11..16u8) {
            for fin in [0, 0x80] {
                fails(
                    role,
                    &Config::new(),
                    &[fin | opcode, masked_bit(role)],
                    ProtocolError::UnknownOpcode(opcode),
                );
            }
            // Unknown opcodes also fail inside a fragmented message.
            let mut bytes = frame(role.peer(), Opcode::Text, false, b"a");
            bytes.extend([0x80 | opcode, masked_bit(role)]);
            fails(role, &Config::new(), &bytes, ProtocolError::UnknownOpcode(opcode));
        }
    }
}

#[test]
fn s5_2_a_sender_uses_the_shortest_length() {
    for role in ROLES {
        for (len, head) in [(0, 2), (125, 2), (126, 4), (127, 4), (0xFFFF, 4), (0x1_0000, 10), (200_000, 10)]
        {
            let mut end = Scenario::of(role).open();
            end.conn.send_binary(&vec![1; len]).unwrap();
            // `send` takes ownership of the message, and encodes the frame in another function.
            end.write_all();
            end.conn.send(vec![1; len]).unwrap();
            end.write_all();
            let frames = parse(role, &end.wire);
            let head = head + if role == Role::Client { 4 } else { 0 };
            assert_eq!(frames.len(), 2);
            for sent in frames {
                assert_eq!((sent.header_len, sent.payload), (head, vec![1; len]));
            }
        }
    }
}

#[test]
fn s5_2_a_longer_length_than_needed_is_refused() {
    for role in ROLES {
        let bit = masked_bit(role);
        for len in [0, 1, 125u16] {
            let bytes = [&[0x82, 126 | bit][..], &len.to_be_bytes()].concat();
            fails(role, &Config::new(), &bytes, ProtocolError::LengthNotMinimal);
        }
        for len in [0, 125, 126, 0xFFFFu64] {
            let bytes = [&[0x82, 127 | bit][..], &len.to_be_bytes()].concat();
            fails(role, &Config::new(), &bytes, ProtocolError::LengthNotMinimal);
        }
    }
}

#[test]
fn s5_2_a_length_has_63_bits_and_sums_do_not_overflow() {
    let open = Config::new().max_frame(u64::MAX).max_message(u64::MAX).delivery(Delivery::Chunks);
    for role in ROLES {
        let bit = masked_bit(role);
        let bytes = [&[0x82, 127 | bit][..], &(1u64 << 63).to_be_bytes()].concat();
        fails(role, &open, &bytes, ProtocolError::LengthTopBit);

        // The largest length is legal. Its payload is delivered in chunks as it arrives.
        let mut end = Scenario::of(role).config(open.clone()).open();
        let masking_key = (role == Role::Server).then_some([0; 4]);
        let mut header =
            Header { fin: false, rsv: 0, opcode: Opcode::Binary, masking_key, payload_len: MAX_PAYLOAD_LEN };
        let mut bytes = [0; 14];
        let len = header.encode(&mut bytes);
        assert_eq!(end.feed(&bytes[..len]), []);
        assert_eq!(end.conn.read_hint() as u64, MAX_PAYLOAD_LEN.min(usize::MAX as u64));
        let data = b"abc".to_vec();
        assert_eq!(
            end.feed(&data),
            [Seen::Chunk { kind: MessageKind::Binary, data, first: true, fin: false }]
        );

        // One byte and the largest length together exceed 63 bits.
        for limit in [MAX_PAYLOAD_LEN, u64::MAX] {
            let mut end = Scenario::of(role).config(open.clone().max_message(limit)).open();
            end.receive_part(Opcode::Binary, false, "x");
            (header.opcode, header.fin) = (Opcode::Continuation, true);
            let len = header.encode(&mut bytes);
            let expected = (limit == MAX_PAYLOAD_LEN).then_some(Seen::Failed(ProtocolError::MessageTooBig));
            assert_eq!(end.feed(&bytes[..len]), Vec::from_iter(expected));
        }
    }
}

#[test]
fn s5_1_a_server_refuses_frames_that_are_not_masked() {
    for opcode in [Opcode::Text, Opcode::Binary, Opcode::Ping, Opcode::Pong, Opcode::Close] {
        for payload in [&b""[..], b"\x03\xe8"] {
            let bytes = frame(Role::Server, opcode, true, payload);
            fails(Role::Server, &Config::new(), &bytes, ProtocolError::NotMasked);
        }
    }
}

#[test]
fn s5_1_a_client_refuses_frames_that_are_masked() {
    for opcode in [Opcode::Text, Opcode::Binary, Opcode::Ping, Opcode::Pong, Opcode::Close] {
        let bytes = frame(Role::Client, opcode, true, b"\x03\xe8");
        fails(Role::Client, &Config::new(), &bytes, ProtocolError::Masked);
    }
}

/// Returns the output of a connection that sends one frame of each kind, including both automatic replies.
fn one_of_each(role: Role, seed: [u8; 32]) -> Vec<u8> {
    let mut end = Scenario::of(role).open();
    if role == Role::Client {
        let conn = hybi::Connection::client(end.now, Config::new(), hybi::Outbox::new(), seed);
        end.conn = conn;
    }
    end.conn.send_text("text").unwrap();
    end.conn.send_binary(b"binary").unwrap();
    end.conn.send("owned").unwrap();
    end.conn.send(vec![5; 10_000]).unwrap();
    end.conn.send_prepared(&hybi::Prepared::new("prepared")).unwrap();
    for (part, fin) in [("one", false), ("two", false), ("three", true)] {
        end.conn.send_fragment(MessageKind::Text, part.as_bytes(), fin).unwrap();
    }
    end.conn.ping(end.now, b"ping").unwrap();
    end.conn.pong(b"pong").unwrap();
    end.write_all();
    end.receive(Opcode::Ping, "p");
    end.write_all();
    end.conn.close(end.now, CloseCode::NORMAL, "bye").unwrap();
    end.write_all();
    end.wire
}

#[test]
fn s5_3_every_frame_of_a_client_has_a_fresh_key() {
    let mut keys = HashSet::new();
    let mut frames = 0;
    for seed in 0..50 {
        for sent in parse(Role::Client, &one_of_each(Role::Client, [seed; 32])) {
            frames += 1;
            keys.insert(sent.header.masking_key.unwrap());
        }
    }
    assert_eq!((frames, keys.len()), (50 * 12, 50 * 12));

    // The keys of one connection look random: very few repeat, and they do not differ by a fixed step.
    let mut end = Scenario::client().open();
    for _ in 0..20_000 {
        end.conn.send_binary(b"").unwrap();
        end.write(usize::MAX);
    }
    let keys: Vec<u32> = parse(Role::Client, &end.wire)
        .iter()
        .map(|sent| u32::from_be_bytes(sent.header.masking_key.unwrap()))
        .collect();
    assert!(keys.iter().collect::<HashSet<_>>().len() > 19_990);
    let steps: HashSet<u32> = keys.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
    let flips: HashSet<u32> = keys.windows(2).map(|pair| pair[1] ^ pair[0]).collect();
    assert!(steps.len() > 19_900 && flips.len() > 19_900);
}

#[test]
fn s5_3_the_payload_on_the_wire_is_masked() {
    let mut end = Scenario::client().open();
    end.conn.send_text("secret secret secret").unwrap();
    end.write_all();
    assert!(!end.wire.windows(6).any(|window| window == b"secret"));
    assert_eq!(end.sent(), ["text secret secret secret"]);
}

#[test]
fn s5_1_a_server_never_masks() {
    // `parse` refuses a masked frame of a server.
    assert_eq!(parse(Role::Server, &one_of_each(Role::Server, [0; 32])).len(), 12);
}

#[test]
fn s5_3_the_mask_restarts_with_each_frame_at_any_split() {
    let messages: Vec<Vec<u8>> =
        [0, 1, 2, 3, 4, 5, 31, 126, 300].map(|len| (0..len).map(|i| i as u8).collect()).into();
    let mut wire = Vec::new();
    for message in &messages {
        // Each message is sent twice: whole, and in two fragments. The first fragment has three bytes, which changes
        // the alignment of the mask.
        wire.extend(frame(Role::Client, Opcode::Binary, true, message));
        let (head, tail) = message.split_at(message.len().min(3));
        wire.extend(frame(Role::Client, Opcode::Binary, false, head));
        wire.extend(frame(Role::Client, Opcode::Continuation, true, tail));
    }
    let expected: Vec<Seen> =
        messages.iter().flat_map(|m| [Seen::Binary(m.clone()), Seen::Binary(m.clone())]).collect();
    for size in (1..40).chain([wire.len()]) {
        assert_eq!(Scenario::server().open().feed_in(&wire, size), expected, "in reads of {size}");
    }
    for cut in 0..wire.len() {
        let mut end = Scenario::server().open();
        let mut seen = end.feed(&wire[..cut]);
        seen.extend(end.feed(&wire[cut..]));
        assert_eq!(seen, expected, "cut at {cut}");
    }
}

#[test]
fn s5_5_control_frames_are_short_and_whole() {
    for role in ROLES {
        for opcode in [0x8u8, 0x9, 0xA] {
            fails(role, &Config::new(), &[opcode, masked_bit(role)], ProtocolError::ControlFragmented);
            for len in [126, 127] {
                fails(
                    role,
                    &Config::new(),
                    &[0x80 | opcode, len | masked_bit(role)],
                    ProtocolError::ControlTooLong,
                );
            }
        }
        // Control payloads of 125 bytes are accepted in both directions.
        let mut end = Scenario::of(role).open();
        let longest = vec![b'x'; 125];
        assert_eq!(end.receive(Opcode::Ping, &longest), [Seen::Ping(longest.clone())]);
        end.conn.ping(end.now, &longest).unwrap();
        end.write_all();
        let payloads: Vec<_> = parse(role, &end.wire).into_iter().map(|sent| sent.payload).collect();
        assert_eq!(payloads, [longest.clone(), longest]);
        assert_eq!(end.conn.ping(end.now, &[0; 126]), Err(SendError::ControlTooLong));
        assert_eq!(end.conn.pong(&[0; 126]), Err(SendError::ControlTooLong));
        assert_eq!(end.conn.buffered_amount(), 0);
    }
}

#[test]
fn s5_6_messages_before_an_error_are_delivered() {
    let mut wire = frame(Role::Client, Opcode::Text, true, b"before");
    wire.extend([0x83, 0x80]);
    wire.extend(frame(Role::Client, Opcode::Text, true, b"after"));
    for size in 1..=wire.len() {
        let mut end = Scenario::server().open();
        let expected = [text("before"), Seen::Failed(ProtocolError::UnknownOpcode(3))];
        assert_eq!(end.feed_in(&wire, size), expected);
        assert_eq!(end.flush(), ["close 1002 unknown opcode"]);
    }
}
