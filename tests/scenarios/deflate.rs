//! Receiving with permessage-deflate (RFC 7692 sections 6 and 7.2.2).
//!
//! These tests cover RSV1, fragments, all kinds of DEFLATE blocks, windows and damaged data. They also cover limits,
//! UTF-8 validation, delivery in chunks, and the memory that a message needs. Other modules use the helpers of this
//! module.
//!
//! Sending is tested in `deflate_send.rs` and `deflate_fallback.rs`. The pauses of the inflate budget are tested in
//! `deflate_budget.rs`, and memory is measured in `tests/memory/deflate.rs`.

use hybi::frame::{Header, Opcode};
use hybi::handshake::DeflateParams;
use hybi::{
    Config, Connection, ControlPayload, Delivery, EofPosition, Inbox, Instant, Message, MessageKind, Outcome,
    ProtocolError, Role, SliceMessage, SliceOutbox, VecMessage,
};
use zlib_rs::{Deflate, DeflateFlush};

use crate::blocks::{Blocks, TAIL, Token};
use crate::pair::{End, RSV1, Scenario, Seen, frame, frame_with, joined, text};

pub const ROLES: [Role; 2] = [Role::Server, Role::Client];
pub const DELIVERIES: [Delivery; 2] = [Delivery::Whole, Delivery::Chunks];

/// "Hello" as RFC 7692 section 7.2.3.1 prints it.
pub const HELLO: [u8; 7] = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
/// The repetition of [`HELLO`] in section 7.2.3.2, which refers to the first message.
pub const HELLO_AGAIN: [u8; 5] = [0xf2, 0x00, 0x11, 0x00, 0x00];

const INVALID: Seen = Seen::Failed(ProtocolError::InvalidDeflate);
const TOO_BIG: Seen = Seen::Failed(ProtocolError::MessageTooBig);
const NOT_UTF8: Seen = Seen::Failed(ProtocolError::InvalidUtf8);

/// Returns parameters with the same takeover and window size in both directions.
pub fn agreed(takeover: bool, bits: u8) -> DeflateParams {
    DeflateParams {
        server_no_context_takeover: !takeover,
        client_no_context_takeover: !takeover,
        server_max_window_bits: Some(bits),
        client_max_window_bits: Some(bits),
    }
}

/// Returns a frame with RSV1 that holds a compressed message or its first fragment.
pub fn compressed(from: Role, opcode: Opcode, fin: bool, payload: &[u8]) -> Vec<u8> {
    frame_with(from, RSV1, opcode, fin, payload)
}

/// Compresses a message with zlib-rs, an independent implementation.
pub fn deflated(data: &[u8]) -> Vec<u8> {
    let mut payload = flushed(&mut Deflate::new(9, false, 15), data, DeflateFlush::SyncFlush);
    payload.truncate(payload.len() - TAIL.len());
    payload
}

/// Compresses the next data of a zlib stream, and flushes the stream.
fn flushed(zlib: &mut Deflate, data: &[u8], flush: DeflateFlush) -> Vec<u8> {
    let mut out = vec![0; data.len() + data.len() / 4 + 100];
    let before = zlib.total_out();
    zlib.compress(data, &mut out, flush).unwrap();
    out.truncate((zlib.total_out() - before) as usize);
    out
}

/// Returns an open connection whose peer compresses its messages.
pub fn open(role: Role, takeover: bool, config: Config) -> End {
    Scenario::of(role).config(config).deflate(agreed(takeover, 15)).open()
}

/// Returns whole messages, and joins chunks into messages.
pub fn messages(seen: Vec<Seen>) -> Vec<Seen> {
    let (mut whole, mut data) = (Vec::new(), Vec::new());
    for event in seen {
        match event {
            Seen::Chunk { kind, data: mut chunk, first, fin } => {
                assert_eq!(first, data.is_empty(), "only the first chunk has the flag `first`");
                assert!(fin || !chunk.is_empty(), "an empty chunk that is not the last");
                assert!(chunk.len() <= 16 << 10, "a chunk of {}", chunk.len());
                data.append(&mut chunk);
                if fin {
                    let data = std::mem::take(&mut data);
                    whole.push(match kind {
                        MessageKind::Text => Seen::Text(String::from_utf8(data).unwrap()),
                        MessageKind::Binary => Seen::Binary(data),
                    });
                }
            }
            // Chunks that came before a failure do not form a message.
            event => whole.push(event),
        }
    }
    whole
}

/// Returns at most `len` bytes of text that compresses and does not repeat with a fixed period.
pub fn words(len: usize) -> String {
    let all: String = (0..=len / 8).map(|n| format!("{} κόσμε ", n * n % 9973)).collect();
    let end = (0..=len).rev().find(|end| all.is_char_boundary(*end)).unwrap();
    all[..end].to_owned()
}

/// Returns bytes that do not compress.
pub fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x0123_4567_89AB_CDEF_u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

// --- RSV1 ---

#[test]
fn s7692_6_1_rsv1_is_accepted_on_the_first_data_frame_only_if_negotiated() {
    let failed = |rsv| [Seen::Failed(ProtocolError::ReservedBits(rsv))];
    for role in ROLES {
        let peer = role.peer();
        for opcode in [Opcode::Text, Opcode::Binary] {
            let hello = compressed(peer, opcode, true, &HELLO);
            let closed = ["close 1002 reserved bits are set that no extension defines"];
            let mut end = Scenario::of(role).open();
            assert_eq!(end.feed(&hello), failed(4));
            assert_eq!(end.flush(), closed);
            // `None` also leaves the connection without the extension.
            let mut end = Scenario::of(role).open();
            end.conn = end.conn.with_deflate(None);
            assert_eq!(end.feed_in(&hello, 1), failed(4));
            let mut end = open(role, true, Config::new());
            assert_eq!(end.feed(&hello).len(), 1);
            // RFC 7692 defines RSV1 only.
            for rsv in [1, 2, 3, 5, 6, 7] {
                let mut end = open(role, true, Config::new());
                assert_eq!(end.feed_in(&frame_with(peer, rsv, opcode, true, &HELLO), 1), failed(rsv));
            }
        }
        for opcode in [Opcode::Close, Opcode::Ping, Opcode::Pong] {
            let mut end = open(role, true, Config::new());
            assert_eq!(end.feed(&frame_with(peer, RSV1, opcode, true, b"")), failed(4));
        }
        // No continuation frame may have RSV1, whether its message is compressed or not.
        for rsv in [0, RSV1] {
            for fin in [false, true] {
                let mut end = open(role, true, Config::new());
                assert_eq!(end.feed(&frame_with(peer, rsv, Opcode::Binary, false, &HELLO[..3])), []);
                let rest = frame_with(peer, RSV1, Opcode::Continuation, fin, &HELLO[3..]);
                assert_eq!(end.feed(&rest), failed(4));
            }
        }
    }
}

#[test]
fn s7692_6_2_messages_without_rsv1_are_not_inflated_and_do_not_enter_the_window() {
    for role in ROLES {
        for delivery in DELIVERIES {
            let peer = role.peer();
            let mut wire = compressed(peer, Opcode::Text, true, &HELLO);
            wire.extend(frame(peer, Opcode::Text, true, b"plain, and longer than hello"));
            wire.extend(frame(peer, Opcode::Binary, false, &HELLO));
            wire.extend(frame(peer, Opcode::Continuation, true, &HELLO));
            wire.extend(compressed(peer, Opcode::Binary, true, &HELLO_AGAIN));
            for size in [1, 5, wire.len()] {
                let mut end = open(role, true, Config::new().delivery(delivery));
                let seen = messages(end.feed_in(&wire, size));
                let raw = Seen::Binary([HELLO, HELLO].concat());
                let hello = [text("Hello"), text("plain, and longer than hello"), raw];
                assert_eq!(seen[..3], hello);
                assert_eq!(seen[3..], [Seen::Binary(b"Hello".to_vec())]);
            }
        }
    }
}

// --- fragments ---

/// Returns the data and the payload of a message that contains every kind of block, final ones included.
fn of_all_kinds() -> (String, Vec<u8>) {
    let data = "stored é fixed κ fixed dynamic κ€ fixed stored é last";
    let payload = Blocks::new()
        .stored(false, "stored é ".as_bytes())
        .fixed(true, &[Token::Bytes("fixed κ ".as_bytes())])
        .dynamic(
            false,
            &[
                // This distance crosses the final block.
                Token::Back { distance: 9, len: 6 },
                Token::Bytes("dynamic κ".as_bytes()),
                Token::Bytes("€ ".as_bytes()),
            ],
        )
        .fixed(true, &[Token::Back { distance: 20, len: 6 }])
        .stored(true, b"")
        .dynamic(true, &[Token::Back { distance: 45, len: 10 }])
        .fixed(false, &[])
        .stored(true, b"last")
        .message();
    (data.to_owned(), payload)
}

#[test]
fn s7692_6_2_fragments_may_be_cut_anywhere_with_control_frames_between() {
    let (data, payload) = of_all_kinds();
    for role in ROLES {
        for delivery in DELIVERIES {
            for cut in 0..=payload.len() {
                let peer = role.peer();
                let (head, tail) = payload.split_at(cut);
                let mut wire = compressed(peer, Opcode::Text, false, head);
                wire.extend(frame(peer, Opcode::Ping, true, b"in"));
                wire.extend(frame(peer, Opcode::Continuation, false, b""));
                wire.extend(frame(peer, Opcode::Pong, true, b"between"));
                wire.extend(frame(peer, Opcode::Continuation, true, tail));
                let mut end = open(role, true, Config::new().delivery(delivery));
                for size in [wire.len(), 1, 7] {
                    let mut seen = messages(end.feed_in(&wire, size));
                    assert_eq!(seen.pop(), Some(text(&data)), "cut at {cut}");
                    assert_eq!(seen, [Seen::Ping(b"in".to_vec()), Seen::Pong(b"between".to_vec())]);
                    assert_eq!(end.flush(), ["pong in"]);
                }
            }
            // Each byte is a frame of its own.
            let mut end = open(role, false, Config::new().delivery(delivery));
            let mut seen = Vec::new();
            for (i, byte) in payload.iter().enumerate() {
                let (opcode, rsv) = if i == 0 { (Opcode::Text, RSV1) } else { (Opcode::Continuation, 0) };
                let fin = i + 1 == payload.len();
                seen.extend(end.feed(&frame_with(role.peer(), rsv, opcode, fin, &[*byte])));
            }
            assert_eq!(messages(seen), [text(&data)]);
            assert_eq!(end.conn.received().messages, 1);
        }
    }
}

#[test]
fn s7692_7_2_2_inflated_data_does_not_depend_on_the_size_of_reads() {
    let data = words(50_000);
    let payload = deflated(data.as_bytes());
    for delivery in DELIVERIES {
        for role in ROLES {
            let wire = compressed(role.peer(), Opcode::Text, true, &payload);
            let mut end = open(role, false, Config::new().delivery(delivery));
            for size in [1, 2, 3, 61, 4095, 4096, 4097, wire.len()] {
                assert!(messages(end.feed_in(&wire, size)) == [text(&data)], "reads of {size}");
            }
        }
    }
}

// --- blocks ---

#[test]
fn s7692_7_2_3_the_examples_of_the_rfc_are_inflated() {
    let examples: [(&[u8], &str); 6] = [
        (&HELLO, "Hello"),
        (&HELLO_AGAIN, "Hello"),
        // Section 7.2.3.3: a block that is not compressed.
        (&[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00], "Hello"),
        // Section 7.2.3.4: a final block.
        (&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00], "Hello"),
        // Section 7.2.3.5: two blocks.
        (&[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00], "Hello"),
        // Section 7.2.3.6: an empty message.
        (&[0x00], ""),
    ];
    for role in ROLES {
        let mut end = open(role, true, Config::new());
        for (payload, data) in examples.into_iter().chain(examples) {
            let wire = compressed(role.peer(), Opcode::Text, true, payload);
            assert_eq!(end.feed_in(&wire, 1), [text(data)], "{payload:02x?}");
            assert_eq!(end.feed(&wire), [text(data)], "{payload:02x?}");
        }
    }
}

#[test]
fn s7692_7_2_3_a_message_may_have_any_number_of_blocks_of_any_kind() {
    let mut blocks = Blocks::new();
    let mut data = Vec::new();
    for n in 0..1000_usize {
        let (byte, last) = ([n as u8], n % 7 == 0);
        blocks = match n % 4 {
            0 => blocks.stored(last, &byte),
            1 => blocks.fixed(last, &[Token::Bytes(&byte)]),
            2 => blocks.fixed(last, &[]),
            _ => blocks.stored(last, &[]),
        };
        if n % 4 < 2 {
            data.extend(byte);
        }
    }
    let blocks = blocks.dynamic(false, &[Token::Back { distance: data.len(), len: 258 }]);
    data.extend_from_within(..258);
    let payload = blocks.message();
    for takeover in [false, true] {
        for delivery in DELIVERIES {
            let mut end = open(Role::Server, takeover, Config::new().delivery(delivery));
            let wire = compressed(Role::Client, Opcode::Binary, true, &payload);
            for size in [wire.len(), 1, 100] {
                assert_eq!(messages(end.feed_in(&wire, size)), [Seen::Binary(data.clone())]);
            }
        }
    }
}

#[test]
fn s7692_7_2_3_4_references_may_cross_a_final_block() {
    // A reference crosses a final block of the same message or of an earlier message, also after memory was released.
    // One reference begins at the oldest byte of the window.
    let old = noise(40_000);
    for released in [false, true] {
        for delivery in DELIVERIES {
            for last in
                [Blocks::new().stored(true, b"end"), Blocks::new().fixed(true, &[Token::Bytes(b"end")])]
            {
                let mut end = open(Role::Client, true, Config::new().delivery(delivery));
                let mut receive = |payload: &[u8]| {
                    let wire = compressed(Role::Server, Opcode::Binary, true, payload);
                    let seen = messages(end.feed_in(&wire, 997));
                    if released {
                        end.conn.release_compression();
                        assert!(!end.conn.receiver().can_release_inflater());
                    }
                    let [Seen::Binary(data)] = &seen[..] else { panic!("{seen:?}") };
                    data.clone()
                };
                assert!(receive(&Blocks::new().stored(true, &old).message()) == old);
                assert_eq!(receive(&last.clone().message()), b"end");
                let back = |distance, len| [Token::Back { distance, len }];
                let far = receive(&Blocks::new().fixed(true, &back(32_768, 258)).message());
                assert!(far == old[40_003 - 32_768..][..258]);
                // Two final blocks follow each other, and a reference crosses both.
                let both =
                    last.clone().fixed(true, &back(3, 3)).dynamic(false, &back(6 + 258 + 3, 3)).message();
                // The last reference copies the "end" of the earlier message `last`.
                assert_eq!(receive(&both), b"endendend");
            }
        }
    }
}

#[test]
fn s7692_7_2_3_4_messages_that_each_end_with_a_final_block_are_inflated() {
    // The peer uses zlib's Z_FINISH for each message. The peer appends one byte so that the message ends with an empty
    // block.
    for takeover in [false, true] {
        let mut end = open(Role::Server, takeover, Config::new());
        for n in 0..20 {
            let data = words(n * 977);
            let mut zlib = Deflate::new(6, false, 15);
            let mut payload = flushed(&mut zlib, data.as_bytes(), DeflateFlush::Finish);
            payload.push(0);
            let wire = compressed(Role::Client, Opcode::Text, true, &payload);
            assert!(end.feed_in(&wire, 1000) == [text(&data)]);
            if n % 3 == 0 {
                end.conn.release_compression();
            }
        }
    }
}

#[test]
fn s7692_7_2_3_4_the_empty_block_at_the_end_may_be_final() {
    for bits in [9, 15] {
        for delivery in DELIVERIES {
            for size in [1, 7, 5000] {
                let config = Config::new().delivery(delivery);
                let mut end = Scenario::server().config(config).deflate(agreed(true, bits)).open();
                let mut receive = |payload: &[u8]| {
                    let wire = compressed(Role::Client, Opcode::Binary, true, payload);
                    messages(end.feed_in(&wire, size))
                };
                for len in [0, 1, 400, 3000] {
                    let data = noise(len);
                    let blocks = Blocks::new().stored(false, &data);
                    let mut payload = blocks.clone().raw();
                    payload.push(0x01);
                    assert!(receive(&payload) == [Seen::Binary(data)], "{len} in {size}");
                }
                // The next message may refer to data before the final block.
                let back = Blocks::new().fixed(false, &[Token::Back { distance: 300, len: 258 }]).message();
                assert_eq!(receive(&back), [Seen::Binary(noise(3000)[2700..2958].to_vec())]);
            }
        }
    }
}

#[test]
fn s7692_7_2_3_6_empty_messages_are_inflated() {
    let empty = [
        &[0x00][..],
        &[0x00, 0x00, 0x00, 0xFF, 0xFF, 0x00],
        // These payloads are a fixed block, a final fixed block followed by an empty block, and an empty final block.
        // All of them inflate to nothing.
        &[0x02, 0x00],
        &[0x03, 0x00, 0x00],
        &[0x01],
    ];
    for role in ROLES {
        for delivery in DELIVERIES {
            for takeover in [false, true] {
                let mut end = open(role, takeover, Config::new().delivery(delivery));
                let peer = role.peer();
                for payload in empty {
                    for opcode in [Opcode::Text, Opcode::Binary] {
                        let nothing = || match opcode {
                            Opcode::Text => text(""),
                            _ => Seen::Binary(Vec::new()),
                        };
                        let wire = compressed(peer, opcode, true, payload);
                        assert!(messages(end.feed(&wire)) == [nothing()], "{payload:02x?}");
                        assert!(messages(end.feed_in(&wire, 1)) == [nothing()]);
                        // The message is fragmented, with empty fragments before, between and after its bytes.
                        let mut wire = compressed(peer, opcode, false, b"");
                        for byte in payload {
                            wire.extend(frame(peer, Opcode::Continuation, false, &[*byte]));
                            wire.extend(frame(peer, Opcode::Continuation, false, b""));
                        }
                        wire.extend(frame(peer, Opcode::Continuation, true, b""));
                        assert_eq!(messages(end.feed(&wire)), [nothing()]);
                    }
                }
                assert_eq!(
                    messages(end.feed(&compressed(peer, Opcode::Text, true, &HELLO))),
                    [text("Hello")]
                );
            }
        }
    }
}

// --- windows ---

#[test]
fn s7692_7_1_1_without_takeover_a_message_cannot_refer_to_another() {
    for role in ROLES {
        for delivery in DELIVERIES {
            let again = compressed(role.peer(), Opcode::Text, true, &HELLO_AGAIN);
            let hello = compressed(role.peer(), Opcode::Text, true, &HELLO);
            let mut end = open(role, false, Config::new().delivery(delivery));
            assert_eq!(messages(end.feed(&hello)), [text("Hello")]);
            assert_eq!(messages(end.feed(&hello)), [text("Hello")]);
            assert_eq!(end.feed(&again), [INVALID]);
            // The parameter of the other direction must have no effect here: it applies to messages that we send.
            let other = match role {
                Role::Server => {
                    DeflateParams { server_no_context_takeover: true, ..DeflateParams::default() }
                }
                Role::Client => {
                    DeflateParams { client_no_context_takeover: true, ..DeflateParams::default() }
                }
            };
            let mut end = Scenario::of(role).deflate(other).open();
            assert_eq!(end.feed(&hello), [text("Hello")]);
            for _ in 0..3 {
                assert_eq!(end.feed(&again), [text("Hello")]);
                end.conn.release_compression();
            }
        }
    }
}

#[test]
fn s7692_7_1_2_references_reach_the_whole_negotiated_window() {
    for bits in 8..=15u8 {
        let size = 1usize << bits;
        for role in ROLES {
            for released in [false, true] {
                let old = noise(size + 100);
                let mut end = Scenario::of(role).deflate(agreed(true, bits)).open();
                let mut receive = |payload: &[u8]| {
                    let seen = end.feed_in(&compressed(role.peer(), Opcode::Binary, true, payload), 4001);
                    if released {
                        end.conn.release_compression();
                    }
                    seen
                };
                // The first message is longer than the window. The reference begins at the oldest byte of the window.
                assert!(receive(&Blocks::new().stored(false, &old).message()) == [Seen::Binary(old.clone())]);
                let far = Blocks::new().fixed(false, &[Token::Back { distance: size, len: 200 }]).message();
                assert!(receive(&far) == [Seen::Binary(old[100..300].to_vec())], "{bits} bits");
            }
        }
    }
}

// --- invalid data ---

/// Returns payloads that cannot be inflated, each with a description.
fn invalid() -> Vec<(&'static str, Vec<u8>)> {
    let back =
        |distance| Blocks::new().fixed(false, &[Token::Bytes(b"abc"), Token::Back { distance, len: 3 }]);
    let mut too_far_behind_a_final_block = Blocks::new().stored(true, b"abc").message();
    too_far_behind_a_final_block.pop();
    too_far_behind_a_final_block
        .extend(Blocks::new().fixed(false, &[Token::Back { distance: 4, len: 3 }]).message());
    vec![
        ("a reserved kind of block", vec![0x06]),
        ("lengths that do not agree", vec![0x00, 0x05, 0x00, 0xfb, 0xff, 1, 2, 3, 4, 5, 0x00]),
        ("a distance before the beginning", back(4).message()),
        ("a distance before the beginning, after a final block", too_far_behind_a_final_block),
        ("plain text", b"Hello".to_vec()),
        ("a zlib header (RFC 1950)", vec![0x78, 0x9c, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]),
        ("a block with too many distance codes", vec![0x04, 0xfe, 0xff, 0xff, 0xff]),
    ]
}

#[test]
fn s7692_7_2_2_invalid_deflate_data_fails_with_1007_and_is_not_delivered() {
    for role in ROLES {
        for takeover in [false, true] {
            for (why, payload) in invalid() {
                let mut wire = compressed(role.peer(), Opcode::Binary, true, &HELLO);
                let before = wire.len();
                wire.extend(compressed(role.peer(), Opcode::Binary, true, &payload));
                wire.extend(compressed(role.peer(), Opcode::Binary, true, &HELLO));
                wire.extend(frame(role.peer(), Opcode::Ping, true, b"late"));
                wire.extend(frame(role.peer(), Opcode::Close, true, b"\x03\xe8"));
                for cut in before..wire.len() {
                    let mut end = open(role, takeover, Config::new());
                    // With takeover the first message is omitted, because it would leave a window to which the invalid
                    // message may refer.
                    let (head, tail) =
                        if takeover { (&[][..], &wire[before..cut]) } else { wire.split_at(cut) };
                    let mut seen = end.feed(head);
                    seen.extend(end.feed(tail));
                    seen.extend(end.feed(if takeover { &wire[cut..] } else { &[] }));
                    seen.retain(|event| *event != Seen::Binary(b"Hello".to_vec()));
                    assert_eq!(seen, [INVALID], "{why}, cut at {cut}");
                    assert_eq!(end.flush(), ["close 1007 compressed data is not valid"]);
                    assert!(!end.conn.receiver().can_release_inflater());
                    assert_eq!(end.conn.received().messages, u64::from(!takeover));
                }
            }
        }
    }
}

#[test]
fn s7692_7_2_2_a_failing_message_in_chunks_has_no_last_chunk() {
    // A valid beginning, and then the reserved block type 3.
    let mut payload = Blocks::new().stored(false, &noise(40_000)).raw();
    payload.push(0x06);
    for size in [1, 1000, 50_000] {
        let mut end = open(Role::Server, true, Config::new().delivery(Delivery::Chunks));
        let wire = compressed(Role::Client, Opcode::Binary, true, &payload);
        let mut seen = end.feed_in(&wire, size);
        assert_eq!(seen.pop(), Some(INVALID));
        let (data, ended) = joined(&seen);
        assert!(noise(40_000).starts_with(&data) && !ended);
    }
}

#[test]
fn s7692_7_2_2_a_message_must_end_with_a_complete_block() {
    let cut = |payload: &[u8], by: usize| payload[..payload.len() - by].to_vec();
    let stored = Blocks::new().stored(false, &noise(20)).raw();
    let mut cases = vec![
        ("nothing at all", Vec::new()),
        ("no empty block at the end", stored.clone()),
        ("a final block alone", Blocks::new().fixed(true, &[Token::Bytes(b"Hello")]).raw()),
        ("a stored final block alone", Blocks::new().stored(true, b"Hello").raw()),
        ("the tail was not removed", [&HELLO[..], &TAIL].concat()),
        ("an empty block whose tail was not removed", [&[0x00][..], &TAIL].concat()),
        ("the fixed block has no end", vec![0xf2, 0x48, 0xcd, 0xc9, 0xc9]),
        ("the final block ends within the appended tail", vec![0x03]),
    ];
    // At least two bytes are kept, because the first byte alone is a valid empty message.
    for by in 1..stored.len() - 1 {
        cases.push(("a stored block is cut", cut(&stored, by)));
    }
    let dynamic = Blocks::new().dynamic(false, &[Token::Bytes(b"some text")]).raw();
    for by in 2..dynamic.len() {
        cases.push(("a dynamic block is cut", cut(&dynamic, by)));
    }
    for role in ROLES {
        for (why, payload) in &cases {
            for delivery in DELIVERIES {
                for size in [1, 1000] {
                    let mut end = open(role, true, Config::new().delivery(delivery));
                    let mut wire = compressed(role.peer(), Opcode::Binary, true, payload);
                    wire.extend(compressed(role.peer(), Opcode::Binary, true, &HELLO));
                    let mut seen = end.feed_in(&wire, size);
                    if delivery == Delivery::Chunks {
                        seen.retain(|event| !matches!(event, Seen::Chunk { fin: false, .. }));
                    }
                    assert_eq!(seen, [INVALID], "{why} {payload:02x?}");
                }
            }
        }
    }
}

/// A receiver appends the tail 00 00 FF FF to each message (RFC 7692 section 7.2.2). The tail must not complete a block
/// that the message has left incomplete.
#[test]
fn s7692_7_2_2_the_appended_tail_does_not_complete_a_match_or_a_code() {
    // A dynamic block with its own codes, eight bytes, and the first bit of a match. The tail would complete this match
    // of 227 bytes at distance 24,569.
    let mut in_a_match = vec![0xec, 0xdd, 0x01, 0x08, 0x00, 0x20, 0x08, 0x00, 0x20];
    in_a_match.extend([0x00; 24]);
    in_a_match.extend([0x04, 0x00, 0xe0, 0xff, 0xff, 0x07]);
    in_a_match.extend([0x00; 33]);
    in_a_match.extend([0x80, 0x01, 0, 0, 0, 0, 0, 0x80, 0xfa, 255, 255, 255, 255, 255, 255, 0x2f, 0x80]);
    // A block header without the code lengths for distances. The tail would supply these lengths and end the block.
    let in_codes: Vec<u8> = {
        let mut bits: Vec<bool> = Vec::new();
        let mut put = |value: u32, count: u32| bits.extend((0..count).map(|bit| value >> bit & 1 == 1));
        put(0b100, 3);
        put(4, 5);
        put(23, 5);
        put(10, 4);
        for place in 0..14 {
            put(u32::from(place == 3 || place == 13), 3);
        }
        for symbol in 0..261 {
            put(u32::from(symbol < 7 || symbol == 256), 1);
        }
        let byte = |bits: &[bool]| bits.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
        bits.chunks(8).map(byte).collect()
    };
    for payload in [in_a_match, in_codes] {
        for delivery in DELIVERIES {
            for size in [1, 1000] {
                let mut end = open(Role::Server, true, Config::new().delivery(delivery));
                let before = Blocks::new().stored(false, &noise(30_000)).message();
                assert_eq!(
                    messages(end.feed(&compressed(Role::Client, Opcode::Binary, true, &before))).len(),
                    1
                );
                let mut wire = compressed(Role::Client, Opcode::Binary, true, &payload);
                // If the tail completed the match, the data of the match would appear in this second message.
                wire.extend(compressed(Role::Client, Opcode::Binary, true, &[0x00, 0x00]));
                let mut seen = end.feed_in(&wire, size);
                seen.retain(|event| !matches!(event, Seen::Chunk { fin: false, .. }));
                assert_eq!(seen, [INVALID]);
            }
        }
    }
}

// --- limits ---

#[test]
fn s10_4_the_message_limit_applies_to_inflated_bytes() {
    for limit in [0, 1, 2, 100, 511, 512, 513, 4096, 16_383, 16_384, 16_385, 40_000usize] {
        for (kind, fill) in [(Opcode::Text, b'x'), (Opcode::Binary, 0)] {
            for delivery in DELIVERIES {
                let config = Config::new().max_message(limit as u64).delivery(delivery);
                let wire = |len: usize| compressed(Role::Client, kind, true, &deflated(&vec![fill; len]));
                let (fits, too_big) = (wire(limit), wire(limit + 1));
                let mut end = open(Role::Server, true, config.clone());
                for size in [1, 2, 1000] {
                    let seen = messages(end.feed_in(&fits, size));
                    let whole = vec![fill; limit];
                    let whole = if kind == Opcode::Text {
                        Seen::Text(String::from_utf8(whole).unwrap())
                    } else {
                        Seen::Binary(whole)
                    };
                    assert!(seen == [whole], "{limit} allowed, reads of {size}");
                }
                for cut in 0..too_big.len() {
                    let mut end = open(Role::Server, true, config.clone());
                    let mut seen = end.feed(&too_big[..cut]);
                    seen.extend(end.feed(&too_big[cut..]));
                    assert_eq!(seen.pop(), Some(TOO_BIG), "{} at {cut}", limit + 1);
                    // The output stays within the limit, and none of it is delivered as a message.
                    assert!(joined(&seen).0.len() <= limit && !joined(&seen).1);
                    assert_eq!(end.flush(), ["close 1009 message over the size limit"]);
                    assert_eq!(end.feed(&fits), []);
                    assert!(!end.conn.receiver().can_release_inflater());
                }
            }
        }
    }
}

#[test]
fn s10_4_the_message_limit_counts_all_fragments_and_restarts_per_message() {
    for delivery in DELIVERIES {
        let config = Config::new().max_message(1000).delivery(delivery);
        let mut end = open(Role::Client, true, config);
        let payload = Blocks::new().stored(false, &[1; 500]).stored(false, &[2; 500]).message();
        let more = Blocks::new().stored(false, &[1; 500]).stored(false, &[2; 501]).message();
        let in_two = |payload: &[u8]| {
            let (head, tail) = payload.split_at(505);
            let mut wire = compressed(Role::Server, Opcode::Binary, false, head);
            wire.extend(frame(Role::Server, Opcode::Continuation, true, tail));
            wire
        };
        for _ in 0..3 {
            assert_eq!(messages(end.feed(&in_two(&payload))).len(), 1);
            let plain = frame(Role::Server, Opcode::Binary, true, &[3; 1000]);
            assert_eq!(messages(end.feed(&plain)).len(), 1);
        }
        assert_eq!(end.feed_in(&in_two(&more), 100).pop(), Some(TOO_BIG));
    }
}

#[test]
fn s10_4_the_frame_limit_counts_bytes_on_the_wire() {
    for delivery in DELIVERIES {
        let data: Vec<u8> = noise(500).iter().flat_map(|byte| [*byte; 200]).collect();
        let payload = deflated(&data);
        let config = |limit: usize| Config::new().max_frame(limit as u64).delivery(delivery);
        // Incompressible data grows when it is compressed. The limit of a compressed frame includes that growth.
        let limit = (0..).find(|limit| limit + limit / 4 + 64 >= payload.len()).unwrap();
        let wire = compressed(Role::Client, Opcode::Binary, true, &payload);
        let mut end = open(Role::Server, true, config(limit));
        assert!(messages(end.feed(&wire)) == [Seen::Binary(data)]);
        // The header alone exceeds the limit, so the frame fails before its payload arrives.
        let mut end = open(Role::Server, true, config(limit - 1));
        let header_len = wire.len() - payload.len();
        assert_eq!(end.feed(&wire[..header_len]), [Seen::Failed(ProtocolError::FrameTooBig)]);
        // The higher limit applies to each fragment of a compressed message. Uncompressed frames have the lower limit.
        let empty_blocks = [0, 0, 0, 0xFF, 0xFF].repeat(37);
        for (first, rsv, next, fails) in [(185, RSV1, 185, false), (5, RSV1, 190, true), (5, 0, 101, true)] {
            let mut end = open(Role::Server, true, config(100));
            let mut wire = frame_with(Role::Client, rsv, Opcode::Binary, false, &empty_blocks[..first]);
            let next = [&empty_blocks[..], &[0, 0, 0, 0xFF, 0xFF]].concat()[..next].to_vec();
            wire.extend(frame(Role::Client, Opcode::Continuation, false, &next));
            let failed = end.feed(&wire).contains(&Seen::Failed(ProtocolError::FrameTooBig));
            assert_eq!(failed, fails, "{first} and {}", next.len());
        }
        // A frame may be longer than the data that it inflates to, and longer than the limit of messages.
        let mut payload = [0, 0, 0, 0xFF, 0xFF].repeat(300);
        payload.push(0);
        let mut end = open(Role::Server, true, Config::new().max_message(10).delivery(delivery));
        let wire = compressed(Role::Client, Opcode::Text, true, &payload);
        assert_eq!(messages(end.feed_in(&wire, 13)), [text("")]);
    }
}

#[test]
fn s10_4_fragments_of_compressed_messages_are_counted_too() {
    let mut end = open(Role::Server, true, Config::new().max_fragments(3));
    let mut wire = compressed(Role::Client, Opcode::Text, false, &HELLO);
    for _ in 0..2 {
        wire.extend(frame(Role::Client, Opcode::Continuation, false, b""));
    }
    assert_eq!(end.feed(&wire), []);
    let one_more = end.receive_part(Opcode::Continuation, true, b"");
    assert_eq!(one_more, [Seen::Failed(ProtocolError::TooManyFragments)]);
    let mut end = open(Role::Server, true, Config::new().max_fragments(0));
    let none = end.feed(&compressed(Role::Client, Opcode::Text, true, &HELLO));
    assert_eq!(none, [Seen::Failed(ProtocolError::TooManyFragments)]);
}

/// RFC 7692 leaves open whether a reference beyond the window fails. The result must not depend on how the bytes
/// are split.
#[test]
fn s7692_7_2_1_a_reference_beyond_the_window_gives_the_same_result_at_every_split() {
    let invalid = Blocks::new().stored(false, &[&[0xFF; 10][..], &[b'x'; 590]].concat()).message();
    // The reference copies three bytes that are not UTF-8. The reserved block type 3 follows it.
    let mut far = Blocks::new().fixed(false, &[Token::Back { distance: 600, len: 3 }]).raw();
    far.push(0x06);
    far.push(0x06);
    let mut wire = compressed(Role::Client, Opcode::Binary, true, &invalid);
    wire.extend(compressed(Role::Client, Opcode::Text, true, &far));
    let seen = |size| {
        let mut end = Scenario::server().deflate(agreed(true, 9)).open();
        end.feed_in(&wire, size).pop()
    };
    assert_eq!(seen(1), seen(10_000));
}

// --- UTF-8 ---

#[test]
fn s8_1_text_is_validated_as_it_is_inflated() {
    // The text is in a stored block, so the position of the invalid byte on the wire is known.
    let bad: [(&[u8], usize); 4] =
        [(b"ok \xFF and more", 4), (b"\xED\xA0\x80", 2), (b"12345678\xF0\x9Fx", 11), (b"\xC3", 1)];
    for role in ROLES {
        for delivery in DELIVERIES {
            for (data, shows) in bad {
                let payload = Blocks::new().stored(false, data).message();
                let wire = compressed(role.peer(), Opcode::Text, true, &payload);
                let payload_at = wire.len() - payload.len();
                let shows_at = if data.len() == shows && data == b"\xC3" {
                    // The end of the message cuts the code point.
                    wire.len()
                } else {
                    payload_at + 5 + shows
                };
                for size in [1, 2, 3] {
                    let mut end = open(role, true, Config::new().delivery(delivery));
                    let before = end.feed_in(&wire[..shows_at - 1], size);
                    assert!(!before.contains(&NOT_UTF8), "{data:02x?}");
                    let seen = end.feed(&wire[shows_at - 1..shows_at]);
                    assert_eq!(seen.last(), Some(&NOT_UTF8), "{data:02x?}");
                    assert_eq!(end.flush(), ["close 1007 text is not UTF-8"]);
                }
                // In a single read the result is the same, and no part of the text is delivered.
                let mut end = open(role, true, Config::new().delivery(delivery));
                assert_eq!(end.feed(&wire), [NOT_UTF8]);
                // Binary messages are not validated.
                let mut end = open(role, true, Config::new().delivery(delivery));
                let wire = compressed(role.peer(), Opcode::Binary, true, &payload);
                assert_eq!(messages(end.feed(&wire)), [Seen::Binary(data.to_vec())]);
            }
        }
    }
}

#[test]
fn s8_1_a_code_point_may_span_chunks_and_blocks_but_not_messages() {
    // Each code point has three bytes, and 16 KiB is not a multiple of three. So with each prefix a chunk ends inside a
    // code point.
    for front in 0..3 {
        let data = "x".repeat(front) + &"€".repeat(20_000);
        for (kept, ok) in [(data.len(), true), (data.len() - 1, false), (data.len() - 2, false)] {
            for delivery in DELIVERIES {
                for payload in [
                    deflated(&data.as_bytes()[..kept]),
                    data.as_bytes()[..kept]
                        .chunks(10_000)
                        .fold(Blocks::new(), |blocks, piece| blocks.stored(true, piece))
                        .message(),
                ] {
                    let wire = compressed(Role::Server, Opcode::Text, true, &payload);
                    for size in [1001, wire.len()] {
                        let mut end = open(Role::Client, true, Config::new().delivery(delivery));
                        let mut seen = end.feed_in(&wire, size);
                        if ok {
                            assert!(messages(seen) == [text(&data)]);
                        } else {
                            assert_eq!(seen.pop(), Some(NOT_UTF8));
                            assert!(!joined(&seen).1);
                        }
                    }
                }
            }
        }
    }
    // An invalid byte is directly at the border of a chunk.
    for at in [16_383, 16_384, 16_385, 32_768] {
        for delivery in DELIVERIES {
            let mut data = vec![b'x'; 50_000];
            data[at - 1..at + 1].copy_from_slice(b"\xE2x");
            let mut end = open(Role::Server, true, Config::new().delivery(delivery));
            let wire = compressed(Role::Client, Opcode::Text, true, &deflated(&data));
            let mut seen = end.feed(&wire);
            assert_eq!(seen.pop(), Some(NOT_UTF8));
            assert!(joined(&seen).0.len() <= at);
        }
    }
}

// --- chunks, and memory of fixed size ---

#[test]
fn s7692_6_2_a_huge_message_streams_in_chunks_through_little_memory() {
    const MIB: usize = 1 << 20;
    // The data is 64 MiB of zeros. After a full flush, data refers only to itself. So the same compressed MiB can be
    // sent 64 times.
    let mut zlib = Deflate::new(9, false, 15);
    let once = flushed(&mut zlib, &vec![0; MIB], DeflateFlush::FullFlush);
    let payload_len = 64 * once.len() as u64 + 1;
    let header = Header { fin: true, rsv: RSV1, opcode: Opcode::Binary, masking_key: None, payload_len };
    let mut head = [0; 14];
    let head_len = header.encode(&mut head);
    let config = Config::new().max_message(u64::MAX).delivery(Delivery::Chunks);
    let mut conn: Connection = open(Role::Client, true, config).conn;
    let mut message = VecMessage::new();
    let (mut total, mut ended) = (0, 0);
    let pieces =
        std::iter::once(&head[..head_len]).chain(std::iter::repeat_n(&once[..], 64)).chain([&[0][..]]);
    for piece in pieces {
        let mut bytes = piece.to_vec();
        let mut input = hybi::Input::new(&mut bytes, &mut message);
        while let Some(event) = conn.poll_event(Instant::ZERO, &mut input).unwrap() {
            let hybi::Event::Chunk { data, first, fin, .. } = event else { panic!("{event:?}") };
            assert!(data.len() <= 16 << 10 && data.iter().all(|byte| *byte == 0));
            assert_eq!(first, total == 0);
            total += data.len();
            ended += usize::from(fin);
        }
        assert!(message.capacity() <= 16 << 10, "{}", message.capacity());
    }
    assert_eq!((total, ended), (64 * MIB, 1));
    assert_eq!(conn.received().messages, 1);
}

fn lent<'m>(
    role: Role,
    config: Config,
    out: &'m mut [u8],
    memory: &'m mut [u8],
    control: &'m mut ([u8; 508], ControlPayload),
) -> End<SliceOutbox<'m>, SliceMessage<'m>> {
    let (out, message) = (SliceOutbox::new(out, &mut control.0), SliceMessage::new(memory, &mut control.1));
    let conn = match role {
        Role::Server => Connection::server(Instant::ZERO, config, out),
        Role::Client => Connection::client(Instant::ZERO, config, out, [9; 32]),
    };
    End::new(conn.with_deflate(agreed(true, 15)), message)
}

#[test]
fn s5_4_an_inflated_message_larger_than_its_memory_is_delivered_in_chunks() {
    let data = words(2000);
    let payload = deflated(data.as_bytes());
    for role in ROLES {
        for capacity in [1, 2, 3, 64, 511, 512, 513, 1999] {
            for size in [1, 10, 63, 10_000] {
                let (mut out, mut memory) = ([0; 512], vec![0; capacity]);
                let mut control = ([0; 508], ControlPayload::EMPTY);
                let mut end = lent(role, Config::new(), &mut out, &mut memory, &mut control);
                let peer = role.peer();
                let mut wire = compressed(peer, Opcode::Text, false, &payload[..99]);
                wire.extend(frame(peer, Opcode::Ping, true, b"p"));
                wire.extend(frame(peer, Opcode::Continuation, true, &payload[99..]));
                let mut seen = end.feed_in(&wire, size);
                seen.retain(|event| *event != Seen::Ping(b"p".to_vec()));
                assert!(joined(&seen) == (data.clone().into_bytes(), true), "{capacity} {size}");
                // The next message that fits is delivered whole.
                let small = "x".repeat(capacity - 1);
                let wire = compressed(
                    peer,
                    Opcode::Text,
                    true,
                    &Blocks::new().stored(true, small.as_bytes()).message(),
                );
                assert_eq!(end.feed_in(&wire, size), [text(&small)], "{capacity} {size}");
            }
        }
    }
}

#[test]
fn s5_4_an_inflated_message_that_fills_its_memory_is_delivered_whole() {
    for len in [1, 2, 100, 512, 600] {
        for size in [1, 50, 1000] {
            let (mut out, mut memory) = ([0; 512], vec![0; len]);
            let mut control = ([0; 508], ControlPayload::EMPTY);
            let mut end = lent(Role::Server, Config::new(), &mut out, &mut memory, &mut control);
            let words = "x".repeat(len);
            for payload in
                [deflated(words.as_bytes()), Blocks::new().stored(false, words.as_bytes()).message()]
            {
                let wire = compressed(Role::Client, Opcode::Text, true, &payload);
                assert_eq!(end.feed_in(&wire, size), [text(&words)], "{len} {size}");
            }
        }
    }
}

#[test]
fn s10_4_without_memory_only_an_empty_message_can_be_inflated() {
    for delivery in DELIVERIES {
        let (mut out, mut memory) = ([0; 512], [0; 0]);
        let mut control = ([0; 508], ControlPayload::EMPTY);
        let mut end =
            lent(Role::Client, Config::new().delivery(delivery), &mut out, &mut memory, &mut control);
        let empty = compressed(Role::Server, Opcode::Text, true, &[0]);
        assert_eq!(messages(end.feed_in(&empty, 1)), [text("")]);
        // Any sequence of empty blocks is accepted, in one read or byte by byte.
        for payload in [&[0x00][..], &[0x03, 0x00, 0x00], &[0x02, 0x00], &[0, 0, 0, 0xFF, 0xFF, 0]] {
            for size in [1, 1000] {
                let empty = compressed(Role::Server, Opcode::Text, true, payload);
                assert_eq!(messages(end.feed_in(&empty, size)), [text("")], "{payload:02x?} {size}");
            }
        }
        // An uncompressed message is delivered from the input and needs no memory.
        assert_eq!(messages(end.receive(Opcode::Text, "plain")), [text("plain")]);
        assert_eq!(end.feed(&compressed(Role::Server, Opcode::Text, true, &HELLO)), [TOO_BIG]);
        assert_eq!(end.flush(), ["close 1009 message over the size limit"]);
    }
}

#[test]
fn s8_1_inflated_text_larger_than_its_memory_is_validated_across_chunks() {
    for capacity in [1, 4, 5, 6, 30] {
        for (data, fin) in [
            (&b"1234\xe2\x82 more text"[..], false),
            (b"123456789\xf0\x9d\x84", true),
            (b"1234\xe2\x82", true),
        ] {
            for size in [1, 2, 7, 100] {
                let (mut out, mut memory) = ([0; 512], vec![0; capacity]);
                let mut control = ([0; 508], ControlPayload::EMPTY);
                let mut end = lent(Role::Client, Config::new(), &mut out, &mut memory, &mut control);
                let wire = compressed(Role::Server, Opcode::Text, fin, &deflated(data));
                let seen = end.feed_in(&wire, size);
                assert_eq!(seen.last(), Some(&NOT_UTF8), "{capacity} {size}");
                assert_eq!(end.flush(), ["close 1007 text is not UTF-8"]);
            }
        }
    }
}

#[test]
fn s5_6_an_inflated_message_is_taken_with_its_buffer() {
    let (mut inbox, mut conn) = (Inbox::empty(), open(Role::Client, true, Config::new()).conn);
    let long = words(30_000);
    let again = [&long[..], "and more"].concat();
    let mut all = Vec::new();
    for (data, opcode) in [(&long, Opcode::Text), (&again, Opcode::Binary), (&long, Opcode::Text)] {
        let mut wire = compressed(Role::Server, opcode, true, &deflated(data.as_bytes()));
        wire.extend(frame(Role::Server, Opcode::Text, true, b"plain"));
        let mut rest = &wire[..];
        while !rest.is_empty() {
            let space = conn.read_space(&mut inbox);
            let len = rest.len().min(space.len()).min(1000);
            space[..len].copy_from_slice(&rest[..len]);
            inbox.handle_read(len);
            rest = &rest[len..];
            while let Some(ready) = conn.poll(Instant::ZERO, &mut inbox).unwrap() {
                all.extend(inbox.take_message(ready));
            }
        }
    }
    let plain = || Message::from("plain");
    let binary = Message::from(again.into_bytes());
    assert!(all == [long.clone().into(), plain(), binary, plain(), long.into(), plain()]);
}

#[test]
fn s7692_6_counters_count_frames_and_bytes_as_they_are_on_the_wire() {
    for delivery in DELIVERIES {
        for size in [1, 100, 100_000] {
            let mut end = open(Role::Server, true, Config::new().delivery(delivery));
            let (head, tail) = (deflated(&[0; 100_000]), [0]);
            let mut wire = compressed(Role::Client, Opcode::Binary, false, &[&head[..], &TAIL].concat());
            wire.extend(frame(Role::Client, Opcode::Continuation, true, &tail));
            end.feed_in(&wire, size);
            let received = end.conn.received();
            assert_eq!((received.messages, received.frames, received.bytes), (1, 2, wire.len() as u64));
            assert_eq!(end.conn.receiver().eof_position(), EofPosition::BetweenMessages);
            assert_eq!(end.conn.read_hint(), 0);
            // After nine bytes the input ends inside a frame.
            end.feed(&wire[..9]);
            assert_eq!(end.conn.receiver().eof_position(), EofPosition::InFrame);
            end.feed(&wire[9..wire.len() - 7]);
            assert_eq!(end.conn.receiver().eof_position(), EofPosition::InMessage);
            assert_eq!(end.eof(), [Seen::Closed(Outcome::Abnormal(EofPosition::InMessage))]);
            assert!(!end.conn.receiver().can_release_inflater());
        }
    }
}

// --- closing ---

#[test]
fn s5_5_1_a_close_inside_a_compressed_message_discards_the_message() {
    for role in ROLES {
        for delivery in DELIVERIES {
            let mut end = open(role, true, Config::new().delivery(delivery));
            let mut wire = compressed(role.peer(), Opcode::Text, false, &HELLO[..4]);
            wire.extend(frame(role.peer(), Opcode::Close, true, b"\x03\xe9"));
            wire.extend(frame(role.peer(), Opcode::Continuation, true, &HELLO[4..]));
            let seen = end.feed_in(&wire, 3);
            assert_eq!(seen.last(), Some(&Seen::Close(Some(1001), String::new())));
            assert!(messages(seen).len() == 1, "a message was delivered");
            assert_eq!(end.flush(), ["close 1001"]);
            assert!(!end.conn.receiver().can_release_inflater());
        }
    }
}

#[test]
fn s5_5_1_compressed_messages_arrive_until_the_peers_close() {
    for role in ROLES {
        let mut end = open(role, true, Config::new());
        end.feed(&compressed(role.peer(), Opcode::Text, false, &HELLO[..4]));
        end.conn.close(end.now, hybi::CloseCode::NORMAL, "").unwrap();
        end.flush();
        assert_eq!(end.receive(Opcode::Continuation, &HELLO[4..]), [text("Hello")]);
        let again = end.feed(&compressed(role.peer(), Opcode::Text, true, &HELLO_AGAIN));
        assert_eq!(again, [text("Hello")]);
        assert_eq!(end.receive_close(1000, ""), [Seen::Close(Some(1000), String::new())]);
        assert!(!end.conn.receiver().can_release_inflater());
    }
}
