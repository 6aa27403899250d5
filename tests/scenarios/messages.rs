//! Messages (RFC 6455 sections 5.4 and 5.6), text (section 8.1), and the ways to deliver them.
//!
//! A message may arrive in any number of fragments and reads. These tests check whole and chunked delivery, validation
//! of UTF-8, and the order of fragments. They also check that a gathered message is taken with its buffer, and that a
//! payload is read directly into its message. Some tests pass the memory of another connection. `inbox.rs` has
//! more tests of an [`Inbox`].

use hybi::frame::Opcode;
use hybi::{
    Config, Connection, Delivery, Event, Inbox, Input, Instant, Message, MessageKind, ProtocolError, Role,
    SendError, VecMessage,
};

use crate::pair::{End, Scenario, Seen, connection, frame, text};

const ROLES: [Role; 2] = [Role::Server, Role::Client];

fn chunks() -> Config {
    Config::new().delivery(Delivery::Chunks)
}

/// Joins chunks into messages, and checks that the text of each chunk is valid up to its end.
fn assemble(seen: &[Seen]) -> Vec<Seen> {
    let (mut whole, mut open) = (Vec::new(), None::<(MessageKind, Vec<u8>)>);
    for event in seen {
        let Seen::Chunk { kind, data, first, fin } = event else {
            whole.push(event.clone());
            continue;
        };
        assert_eq!(*first, open.is_none(), "only the first chunk has the flag `first`: {seen:?}");
        assert!(!data.is_empty() || *fin, "only the last chunk may be empty: {seen:?}");
        let (known, gathered) = open.get_or_insert((*kind, Vec::new()));
        assert_eq!(known, kind);
        gathered.extend(data);
        if *fin {
            let (kind, data) = open.take().unwrap();
            whole.push(match kind {
                MessageKind::Text => Seen::Text(String::from_utf8(data).unwrap()),
                MessageKind::Binary => Seen::Binary(data),
            });
        } else if *kind == MessageKind::Text {
            // Only the last code point may be incomplete, because the chunk may cut it.
            let error = std::str::from_utf8(gathered).err();
            assert!(error.is_none_or(|error| error.error_len().is_none()));
        }
    }
    whole
}

/// Returns the frames of many messages, and the expected events. The messages are empty, small or large, and
/// fragments cut them anywhere, also inside code points.
fn many(from: Role) -> (Vec<u8>, Vec<Seen>) {
    let long = "κόσμε 𝄞 €\u{0}\u{feff}\u{ffff} ".repeat(20);
    let (mut wire, mut expected) = (Vec::new(), Vec::new());
    let middle: String = long.chars().take(70).collect();
    for payload in ["", "a", "𝄞", "Grüße", &middle, &long] {
        for opcode in [Opcode::Text, Opcode::Binary] {
            for cuts in [&[][..], &[0], &[0, 0], &[1], &[1, 2, 3], &[2, 2, 77]] {
                let mut rest = payload.as_bytes();
                let mut next = opcode;
                for cut in cuts {
                    let (head, tail) = rest.split_at((*cut).min(rest.len()));
                    wire.extend(frame(from, next, false, head));
                    (next, rest) = (Opcode::Continuation, tail);
                }
                wire.extend(frame(from, next, true, rest));
                expected.push(match opcode {
                    Opcode::Text => text(payload),
                    _ => Seen::Binary(payload.into()),
                });
            }
        }
    }
    (wire, expected)
}

#[test]
fn s5_4_messages_are_whole_for_any_fragments_and_reads() {
    for role in ROLES {
        let (wire, expected) = many(role.peer());
        for size in (1..100).chain([1000, wire.len()]) {
            assert_eq!(Scenario::of(role).open().feed_in(&wire, size), expected, "in reads of {size}");
        }
    }
}

#[test]
fn s5_4_chunks_add_up_to_the_same_messages() {
    for role in ROLES {
        let (wire, expected) = many(role.peer());
        for size in (1..100).chain([1000, wire.len()]) {
            let mut end = Scenario::of(role).config(chunks()).open();
            let seen = end.feed_in(&wire, size);
            assert_eq!(assemble(&seen), expected, "in reads of {size}");
            // Chunks are delivered from the input, so no memory is allocated for messages.
            assert_eq!(end.message.capacity(), 0);
        }
    }
}

#[test]
fn s5_4_fragments_out_of_order_are_refused() {
    for role in ROLES {
        for config in [Config::new(), chunks()] {
            let open = || Scenario::of(role).config(config.clone()).open();
            let failed = |error| Seen::Failed(error);
            let interleaved = ProtocolError::MessageInterleaved;
            assert_eq!(open().receive(Opcode::Continuation, "x"), [failed(ProtocolError::NothingToContinue)]);
            let mut end = open();
            end.receive_part(Opcode::Text, false, "x");
            assert_eq!(end.receive(Opcode::Text, "y"), [failed(interleaved)]);
            let mut end = open();
            end.receive_part(Opcode::Text, false, "");
            assert_eq!(end.receive_part(Opcode::Binary, false, ""), [failed(interleaved)]);
            assert_eq!(end.flush(), ["close 1002 new message inside a fragmented one"]);
            let mut end = open();
            end.receive_part(Opcode::Text, false, "x");
            end.receive(Opcode::Continuation, "y");
            assert_eq!(end.receive(Opcode::Continuation, "z"), [failed(ProtocolError::NothingToContinue)]);
        }
    }
}

#[test]
fn s5_4_our_fragments_are_not_interleaved_and_misuse_has_no_effect() {
    for role in ROLES {
        let mut end = Scenario::of(role).open();
        end.conn.send_fragment(MessageKind::Text, b"a", false).unwrap();
        let before = (end.conn.buffered_amount(), end.conn.sent());
        assert_eq!(end.conn.send_text("x"), Err(SendError::MessageOpen));
        assert_eq!(end.conn.send_binary(b"x"), Err(SendError::MessageOpen));
        assert_eq!(end.conn.send_fragment(MessageKind::Binary, b"x", true), Err(SendError::MessageOpen));
        let refused = end.conn.send("owned").unwrap_err();
        assert_eq!((refused.error, refused.message), (SendError::MessageOpen, Message::from("owned")));
        let refused = end.conn.send(vec![1; 10_000]).unwrap_err();
        assert_eq!(
            (refused.error, refused.message),
            (SendError::MessageOpen, Message::from(vec![1; 10_000]))
        );
        assert_eq!((end.conn.buffered_amount(), end.conn.sent()), before);
        end.conn.send_fragment(MessageKind::Text, b"", false).unwrap();
        end.conn.send_fragment(MessageKind::Text, b"b", true).unwrap();
        end.conn.send_fragment(MessageKind::Binary, b"c", true).unwrap();
        end.conn.send_text("d").unwrap();
        assert_eq!(end.flush(), ["text- a", "cont-", "cont b", "binary c", "text d"]);
        assert_eq!((end.conn.sent().messages, end.conn.sent().frames), (3, 5));
    }
}

#[test]
fn s5_6_empty_messages_are_sent_and_delivered() {
    for role in ROLES {
        for config in [Config::new(), chunks()] {
            for opcode in [Opcode::Text, Opcode::Binary] {
                let mut end = Scenario::of(role).config(config.clone()).open();
                let mut seen = end.receive(opcode, "");
                seen.extend(end.receive_part(opcode, false, ""));
                seen.extend(end.receive_part(Opcode::Continuation, false, ""));
                seen.extend(end.receive_part(Opcode::Continuation, true, ""));
                let empty = if opcode == Opcode::Text { text("") } else { Seen::Binary(vec![]) };
                assert_eq!(assemble(&seen), [empty.clone(), empty]);
                assert_eq!(end.conn.received().messages, 2);
            }
        }
        let mut end = Scenario::of(role).open();
        end.conn.send_text("").unwrap();
        end.conn.send_binary(b"").unwrap();
        end.conn.send("").unwrap();
        end.conn.send(Vec::new()).unwrap();
        assert_eq!(end.flush(), ["text", "binary", "text", "binary"]);
    }
}

#[test]
fn s8_1_text_that_is_not_utf8_fails_at_its_first_invalid_byte() {
    let bad: [&[u8]; 10] = [
        b"\xff",
        b"\x80",
        b"abc\xc0",
        b"\xc1\x80",
        b"\xe0\x80",
        b"\xed\xa0",
        b"\xf0\x80",
        b"\xf4\x90",
        b"\xf8\x88\x80\x80\x80",
        b"\xe2\x82x",
    ];
    for role in ROLES {
        for config in [Config::new(), chunks()] {
            for bytes in bad {
                for prefix in ["", "κόσμε", &"long ".repeat(40)] {
                    // The text is sent in three ways: as a whole message, as a first fragment, and in fragments of one
                    // byte.
                    let mut payload = prefix.as_bytes().to_vec();
                    payload.extend(bytes);
                    let whole = frame(role.peer(), Opcode::Text, true, &payload);
                    let part = frame(role.peer(), Opcode::Text, false, &payload);
                    let mut bits = frame(role.peer(), Opcode::Text, false, &[]);
                    for byte in &payload {
                        bits.extend(frame(role.peer(), Opcode::Continuation, false, &[*byte]));
                    }
                    for wire in [whole, part, bits] {
                        for size in [1, 2, 3, 5, 64, wire.len()] {
                            let mut end = Scenario::of(role).config(config.clone()).open();
                            let seen = end.feed_in(&wire, size);
                            let (last, before) = seen.split_last().unwrap();
                            assert_eq!(last, &Seen::Failed(ProtocolError::InvalidUtf8));
                            assert!(before.iter().all(|event| matches!(event, Seen::Chunk { .. })));
                            assert_eq!(end.flush(), ["close 1007 text is not UTF-8"]);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn s8_1_a_code_point_cut_off_by_the_end_of_a_message_fails() {
    for role in ROLES {
        for config in [Config::new(), chunks()] {
            for cut in [&b"\xc3"[..], b"\xe2\x82", b"\xf0\x9d\x84", b"ok \xf0"] {
                for size in [1, 100] {
                    let mut end = Scenario::of(role).config(config.clone()).open();
                    let wire = frame(role.peer(), Opcode::Text, true, cut);
                    assert_eq!(
                        end.feed_in(&wire, size).last(),
                        Some(&Seen::Failed(ProtocolError::InvalidUtf8))
                    );

                    // An empty last fragment cuts the code point. The next message does not complete it.
                    let mut end = Scenario::of(role).config(config.clone()).open();
                    let mut wire = frame(role.peer(), Opcode::Text, false, cut);
                    wire.extend(frame(role.peer(), Opcode::Continuation, true, b""));
                    wire.extend(frame(role.peer(), Opcode::Text, true, b"\xa9"));
                    assert_eq!(
                        end.feed_in(&wire, size).last(),
                        Some(&Seen::Failed(ProtocolError::InvalidUtf8))
                    );
                }
            }
        }
    }
}

#[test]
fn s8_1_binary_messages_and_control_payloads_are_not_validated() {
    for role in ROLES {
        let mut end = Scenario::of(role).open();
        assert_eq!(end.receive(Opcode::Binary, b"\xff\xc0"), [Seen::Binary(b"\xff\xc0".to_vec())]);
        assert_eq!(end.receive(Opcode::Ping, b"\xff"), [Seen::Ping(b"\xff".to_vec())]);
        assert_eq!(end.receive(Opcode::Pong, b"\xff"), [Seen::Pong(b"\xff".to_vec())]);
        // A binary message leaves no state in the validator of the next text.
        end.receive_part(Opcode::Binary, false, b"\xe2\x82");
        assert_eq!(end.receive(Opcode::Continuation, b""), [Seen::Binary(b"\xe2\x82".to_vec())]);
        assert_eq!(end.receive_part(Opcode::Text, false, b"ok"), []);
        assert_eq!(end.receive(Opcode::Continuation, b"!"), [text("ok!")]);
    }
}

#[test]
fn s8_1_noncharacters_nul_and_bom_are_kept() {
    for role in ROLES {
        let kept = "\u{feff}\0\u{fdd0}\u{ffff}\u{10ffff}\u{d7ff}\u{e000}";
        assert_eq!(Scenario::of(role).open().receive(Opcode::Text, kept), [text(kept)]);
        let mut end = Scenario::of(role).open();
        end.conn.send_text(kept).unwrap();
        assert_eq!(end.flush(), [format!("text {kept}")]);
    }
}

/// Polls once with `bytes` as input, and returns the event index.
fn poll(end: &mut End, bytes: &mut [u8]) -> Option<hybi::EventIndex> {
    end.conn.poll(end.now, &mut Input::new(bytes, &mut end.message)).unwrap()
}

#[test]
fn s5_6_a_gathered_message_is_taken_with_its_buffer() {
    for (opcode, payload) in [(Opcode::Text, "Grüße ".repeat(9000)), (Opcode::Binary, "x".repeat(100_000))]
    {
        let mut end = Scenario::server().open();
        let mut wire = frame(Role::Client, opcode, true, payload.as_bytes());
        let (head, tail) = wire.split_at_mut(50_000);
        assert_eq!(poll(&mut end, head), None);
        let mut input = Input::new(tail, &mut end.message);
        let ready = end.conn.poll(Instant::ZERO, &mut input).unwrap().unwrap();
        let at = match input.event(ready) {
            Event::Text(text) => text.as_ptr(),
            Event::Binary(data) => data.as_ptr(),
            other => panic!("{other:?}"),
        };
        let message = end.message.take(ready).unwrap();
        assert_eq!(message.as_bytes(), payload.as_bytes());
        assert_eq!(message.as_bytes().as_ptr(), at, "the message was copied");
        assert_eq!(matches!(message, Message::Text(_)), opcode == Opcode::Text);
        assert_eq!(end.message.capacity(), 0);
        assert_eq!(end.message.take(ready), None, "the message was taken twice");
        // The taken message owns its buffer, so the next message is received in a new buffer.
        assert_eq!(end.feed_in(&frame(Role::Client, Opcode::Text, true, b"next"), 7), [text("next")]);
    }
}

#[test]
fn s5_6_only_a_gathered_message_can_be_taken() {
    let mut end = Scenario::server().open();
    // The application does not take the gathered message. The next message is delivered in place, so its index must not
    // give the earlier message.
    let mut first = frame(Role::Client, Opcode::Text, false, b"gathered");
    first.extend(frame(Role::Client, Opcode::Continuation, true, b""));
    assert!(poll(&mut end, &mut first).is_some());
    let ready = poll(&mut end, &mut frame(Role::Client, Opcode::Text, true, b"in place")).unwrap();
    assert_eq!(end.message.take(ready), None, "the message before was taken");

    // An incomplete message cannot be taken either.
    for ending in [frame(Role::Client, Opcode::Close, true, b""), vec![0x83]] {
        let mut end = Scenario::server().open();
        let gathered = poll(&mut end, &mut first.clone()).unwrap();
        end.receive_part(Opcode::Text, false, "gathered");
        assert_eq!(end.message.take(gathered), None, "an incomplete message was taken");
        end.feed(&ending);
        end.message.release_idle();
        assert_eq!(end.message.capacity(), 0);
    }
}

#[test]
fn s5_6_an_empty_gathered_message_can_be_taken() {
    let mut end = Scenario::server().open();
    for (opcode, empty) in [(Opcode::Text, Message::from("")), (Opcode::Binary, Message::from(vec![]))] {
        end.receive_part(opcode, false, "");
        let ready = poll(&mut end, &mut frame(Role::Client, Opcode::Continuation, true, b"")).unwrap();
        assert_eq!(end.message.take(ready), Some(empty));
    }
}

#[test]
fn s5_6_memory_for_messages_is_kept_until_it_is_released() {
    let mut end = Scenario::server().open();
    assert_eq!(end.message.capacity(), 0);
    let wire = frame(Role::Client, Opcode::Binary, true, &[1; 5000]);
    end.feed_in(&wire, 1000);
    let held = end.message.capacity();
    assert!(held >= 5000);
    end.feed_in(&wire, 1000);
    assert_eq!(end.message.capacity(), held, "the memory was not reused");
    end.feed(&wire[..3000]);
    end.message.release_idle();
    assert!(end.message.capacity() > 0, "the memory of a partial message was released");
    assert_eq!(end.feed(&wire[3000..]), [Seen::Binary(vec![1; 5000])]);
    end.message.release_idle();
    assert_eq!(end.message.capacity(), 0);
    assert_eq!(end.feed_in(&wire, 1000), [Seen::Binary(vec![1; 5000])]);
}

#[test]
fn s5_3_a_large_payload_is_read_directly_into_its_message() {
    let plain: String = "Grüße, 𝄞! ".repeat(30_000);
    for role in ROLES {
        for opcode in [Opcode::Text, Opcode::Binary] {
            for reads in [1000, 4093, 100_000] {
                for first in [2, 5, 20, 9000] {
                    let mut wire = frame(role.peer(), opcode, false, b"head ");
                    wire.extend(frame(role.peer(), opcode, true, plain.as_bytes()));
                    let at = frame(role.peer(), opcode, false, b"head ").len();
                    wire[at] = 0x80;
                    wire.extend(frame(role.peer(), Opcode::Text, true, b"behind it"));
                    let mut end = Scenario::of(role).open();
                    let mut seen = end.feed(&wire[..at + first]);
                    let mut rest = &wire[at + first..];
                    let mut direct = 0;
                    while !rest.is_empty() {
                        let space = end.conn.payload_space(&mut end.message);
                        let len = if space.is_empty() {
                            let len = rest.len().min(reads);
                            seen.extend(end.feed(&rest[..len]));
                            len
                        } else {
                            let len = rest.len().min(reads).min(space.len());
                            space[..len].copy_from_slice(&rest[..len]);
                            end.conn.handle_payload(&mut end.message, len);
                            seen.extend(end.poll());
                            direct += len;
                            len
                        };
                        rest = &rest[len..];
                    }
                    let whole = format!("head {plain}");
                    let expected =
                        if opcode == Opcode::Text { text(&whole) } else { Seen::Binary(whole.into()) };
                    assert!(seen == [expected, text("behind it")], "{role:?} {opcode:?} {reads} {first}");
                    assert!(
                        direct + reads + (16 << 10) + first > plain.len(),
                        "{direct} bytes were read directly into the message"
                    );
                    assert_eq!(end.conn.received().bytes, wire.len() as u64);
                }
            }
        }
    }
}

#[test]
fn s8_1_text_read_directly_into_its_message_is_validated() {
    let mut end = Scenario::server().open();
    let mut payload = vec![b'x'; 100_000];
    payload[60_000] = 0xFF;
    let wire = frame(Role::Client, Opcode::Text, true, &payload);
    end.feed(&wire[..5000]);
    let mut rest = &wire[5000..];
    let mut seen = Vec::new();
    while seen.is_empty() {
        let space = end.conn.payload_space(&mut end.message);
        assert!(!space.is_empty(), "the invalid byte was not found");
        let len = space.len().min(rest.len()).min(7000);
        space[..len].copy_from_slice(&rest[..len]);
        rest = &rest[len..];
        end.conn.handle_payload(&mut end.message, len);
        seen = end.poll();
    }
    assert_eq!(seen, [Seen::Failed(ProtocolError::InvalidUtf8)]);
    assert!(end.conn.payload_space(&mut end.message).is_empty());
}

#[test]
fn s5_4_bytes_read_directly_are_not_overwritten_before_a_poll() {
    let mut end = Scenario::server().open();
    let payload: Vec<u8> = (0..50_000u32).map(|n| (n * 7 % 251) as u8).collect();
    let wire = frame(Role::Client, Opcode::Binary, true, &payload);
    end.feed(&wire[..5000]);
    end.conn.payload_space(&mut end.message)[..100].copy_from_slice(&wire[5000..5100]);
    end.conn.handle_payload(&mut end.message, 100);
    assert!(end.conn.payload_space(&mut end.message).is_empty());
    assert_eq!(end.poll(), []);
    assert!(!end.conn.payload_space(&mut end.message).is_empty());
    assert!(end.feed(&wire[5100..]) == [Seen::Binary(payload)]);
}

#[test]
fn s5_4_payload_space_is_empty_while_nothing_is_gathered() {
    let mut end = Scenario::server().config(Config::new()).open();
    assert!(end.conn.payload_space(&mut end.message).is_empty());
    // A Ping arrives inside a large message, so the next bytes belong to the Ping.
    end.receive_part(Opcode::Binary, false, vec![0; 20_000]);
    end.feed(&frame(Role::Client, Opcode::Ping, true, b"ping")[..7]);
    assert!(end.conn.payload_space(&mut end.message).is_empty());

    let mut end = Scenario::server().config(chunks()).open();
    end.feed(&frame(Role::Client, Opcode::Binary, true, &[0; 100_000])[..50]);
    assert!(end.conn.payload_space(&mut end.message).is_empty());
}

#[test]
fn s5_4_misuse_of_direct_reads_gives_no_panic() {
    for len in [1, 20_000, usize::MAX] {
        let mut end = Scenario::server().open();
        end.conn.handle_payload(&mut end.message, len);
        end.poll();
        let wire = frame(Role::Client, Opcode::Text, true, &[b'x'; 50_000]);
        end.feed(&wire[..100]);
        end.conn.handle_payload(&mut end.message, len);
        end.poll();
        end.conn.handle_payload(&mut end.message, len);
        end.feed(&wire[100..]);
        end.conn.handle_payload(&mut end.message, len);
        end.eof();
        end.message.release_idle();
    }
}

#[test]
fn s5_6_the_wrong_memory_gives_no_panic_and_no_invalid_text() {
    // Each of two connections gets the other's memory on every second read.
    let wires = [frame(Role::Client, Opcode::Text, true, "Grüße".repeat(99).as_bytes()), {
        let mut wire = frame(Role::Client, Opcode::Binary, false, &[0xFF; 300]);
        wire.extend(frame(Role::Client, Opcode::Continuation, true, &[0xC3; 300]));
        wire
    }];
    let mut ends = [connection(Role::Server, Config::new()), connection(Role::Server, Config::new())];
    let mut memory = [VecMessage::new(), VecMessage::new()];
    let mut readies = Vec::new();
    for round in 0..100 {
        for which in 0..2 {
            let wire = &wires[which];
            let at = round * 37 % wire.len();
            let mut bytes = wire[at..wire.len().min(at + 37)].to_vec();
            let mut input = Input::new(&mut bytes, &mut memory[(which + round) % 2]);
            while let Ok(Some(ready)) = ends[which].poll(Instant::ZERO, &mut input) {
                readies.push(ready);
            }
            for ready in &readies {
                if let Event::Text(text) = input.event(*ready) {
                    assert!(std::str::from_utf8(text.as_bytes()).is_ok());
                }
            }
            for ready in &readies {
                let taken = memory[which].take(*ready);
                if let Some(Message::Text(text)) = taken {
                    assert!(std::str::from_utf8(text.as_bytes()).is_ok());
                }
            }
        }
    }
}

#[test]
fn s5_6_the_wrong_inbox_gives_no_panic() {
    let read = |conn: &mut Connection, inbox: &mut Inbox, wire: &mut &[u8]| {
        let space = conn.read_space(inbox);
        let (new, behind) = wire.split_at(space.len().min(wire.len()));
        space[..new.len()].copy_from_slice(new);
        *wire = behind;
        inbox.handle_read(new.len());
    };
    // The first connection leaves a partial message that begins after a complete one.
    let mut left = frame(Role::Client, Opcode::Binary, true, &[1; 5000]);
    left.extend(&frame(Role::Client, Opcode::Binary, true, &[2; 100_000])[..8000]);
    // The second connection receives complete messages.
    let other = frame(Role::Client, Opcode::Binary, true, &[3; 1000]).repeat(100);
    for polls in 0..40 {
        let (mut one, mut two) =
            (connection(Role::Server, Config::new()), connection(Role::Server, Config::new()));
        let (mut inbox, mut left, mut other) = (Inbox::empty(), &left[..], &other[..]);
        read(&mut one, &mut inbox, &mut left);
        while one.poll(Instant::ZERO, &mut inbox).unwrap().is_some() {}
        // The second connection makes one poll for each read, which leaves bytes in the inbox. So the inbox must move
        // the remaining bytes.
        for _ in 0..polls {
            read(&mut two, &mut inbox, &mut other);
            let _ = two.poll(Instant::ZERO, &mut inbox);
        }
        // Afterwards the first connection uses the inbox again, although the second connection has changed it.
        assert!(!two.read_space(&mut inbox).is_empty());
        assert!(!one.read_space(&mut inbox).is_empty());
        inbox.handle_read(10);
        let _ = one.poll(Instant::ZERO, &mut inbox);
        inbox.release_idle();
    }
}

#[test]
fn s5_4_an_inbox_gives_the_same_messages() {
    for role in ROLES {
        let (mut wire, mut expected) = many(role.peer());
        wire.extend(frame(role.peer(), Opcode::Text, true, "κόσμε".repeat(20_000).as_bytes()));
        expected.push(text(&"κόσμε".repeat(20_000)));
        let (more, others) = many(role.peer());
        wire.extend(more);
        expected.extend(others);
        for size in [1, 7, 1000, 30_000] {
            let (mut conn, mut inbox) = (connection(role, Config::new()), Inbox::default());
            let mut rest = &wire[..];
            let (mut seen, mut taken) = (Vec::new(), Vec::new());
            while !rest.is_empty() {
                let space = conn.read_space(&mut inbox);
                let len = space.len().min(size).min(rest.len());
                space[..len].copy_from_slice(&rest[..len]);
                rest = &rest[len..];
                inbox.handle_read(len);
                while let Some(ready) = conn.poll(Instant::ZERO, &mut inbox).unwrap() {
                    seen.push(Seen::from(inbox.event(ready)));
                    taken.push(match inbox.take_message(ready).unwrap() {
                        Message::Text(taken) => text(&taken),
                        Message::Binary(taken) => Seen::Binary(taken.to_vec()),
                    });
                }
                assert_eq!(inbox.remaining(), 0);
            }
            assert!(seen == expected, "in reads of {size}");
            assert!(taken == expected, "taken, in reads of {size}");
        }
    }
}

#[test]
fn s5_4_counters_count_messages_frames_and_bytes() {
    for role in ROLES {
        let (wire, expected) = many(role.peer());
        for size in [1, 50, wire.len()] {
            for config in [Config::new(), chunks()] {
                let mut end = Scenario::of(role).config(config).open();
                end.feed_in(&wire, size);
                let frames = crate::pair::parse(role.peer(), &wire).len();
                let counters = end.conn.received();
                assert_eq!(counters.messages, expected.len() as u64);
                assert_eq!(counters.frames, frames as u64);
                assert_eq!(counters.bytes, wire.len() as u64);
                assert_eq!(end.conn.sent().bytes, 0);
            }
        }
    }
}

/// Passes `wire` to a connection through an inbox, in reads of at most `size` bytes. Returns the events.
fn through_inbox(conn: &mut Connection, inbox: &mut Inbox, mut wire: &[u8], size: usize) -> Vec<Seen> {
    let mut seen = Vec::new();
    loop {
        loop {
            match conn.poll_event(Instant::ZERO, inbox) {
                Ok(Some(event)) => seen.push(event.into()),
                Ok(None) => break,
                Err(error) => seen.push(Seen::Failed(error)),
            }
        }
        if wire.is_empty() {
            return seen;
        }
        let space = conn.read_space(inbox);
        let len = space.len().min(size).min(wire.len());
        space[..len].copy_from_slice(&wire[..len]);
        wire = &wire[len..];
        inbox.handle_read(len);
    }
}

/// Returns the binary data of messages and chunks.
fn bytes_of(seen: &[Seen]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for event in seen {
        match event {
            Seen::Binary(data) | Seen::Chunk { kind: MessageKind::Binary, data, .. } => bytes.extend(data),
            other => panic!("{other:?}"),
        }
    }
    bytes
}

#[test]
fn s7_4_1_delivery_of_bytes_refuses_a_text_message_at_its_header() {
    for role in ROLES {
        let open = || Scenario::of(role).config(Config::new().delivery(Delivery::Bytes)).open();
        for (fin, payload) in [(true, ""), (true, "text"), (false, "te"), (true, &"x".repeat(70_000))] {
            let mut end = open();
            let data = end.receive(Opcode::Binary, "data");
            assert_eq!(bytes_of(&data), b"data");
            let wire = frame(role.peer(), Opcode::Text, fin, payload.as_bytes());
            let header = wire.len() - payload.len();
            assert_eq!(end.feed(&wire[..header]), [Seen::Failed(ProtocolError::TextNotAccepted)]);
            assert_eq!(end.feed(&wire[header..]), []);
            let reason = "a text message arrived where only binary messages are accepted";
            assert_eq!(end.flush(), [format!("close 1003 {reason}")]);
            assert_eq!(end.receive(Opcode::Binary, "more"), []);
        }
        // The text in the payload of a Ping is no text message.
        let mut end = open();
        end.receive_part(Opcode::Binary, false, "a");
        assert_eq!(end.receive(Opcode::Ping, "text"), [Seen::Ping(b"text".into())]);
        assert_eq!(bytes_of(&end.receive(Opcode::Continuation, "b")), b"b");
        assert_eq!(end.message.capacity(), 0);
    }
}

#[test]
fn s5_4_the_delivery_can_change_at_any_byte() {
    let parts = |role: Role, opcode, parts: &[&[u8]]| {
        let mut wire = Vec::new();
        for (n, part) in parts.iter().enumerate() {
            let opcode = if n == 0 { opcode } else { Opcode::Continuation };
            wire.extend(frame(role.peer(), opcode, n + 1 == parts.len(), part));
        }
        wire
    };
    for role in ROLES {
        for opcode in [Opcode::Binary, Opcode::Text] {
            for shape in [&[&b"whole"[..]] as &[&[u8]], &[b"", b"b", b"", b"cd"], &[&[b'x'; 300]]] {
                let one = parts(role, opcode, shape);
                let next = frame(role.peer(), Opcode::Binary, true, b"next");
                for cut in 0..=one.len() {
                    for size in [1, usize::MAX] {
                        let (mut conn, mut inbox) = (connection(role, Config::new()), Inbox::default());
                        let mut seen = through_inbox(&mut conn, &mut inbox, &one[..cut], size);
                        conn.set_delivery(Delivery::Bytes);
                        seen.extend(through_inbox(&mut conn, &mut inbox, &one[cut..], size));
                        seen.extend(through_inbox(&mut conn, &mut inbox, &next, size));
                        let what = format!("{role:?}, {opcode:?}, {} bytes: {seen:?}", cut);
                        if opcode == Opcode::Text && cut < one.len() {
                            assert_eq!(seen, [Seen::Failed(ProtocolError::TextNotAccepted)], "{what}");
                            continue;
                        }
                        if opcode == Opcode::Text {
                            assert_eq!(seen.remove(0), text(&String::from_utf8(shape.concat()).unwrap()));
                            assert_eq!(bytes_of(&seen), b"next", "{what}");
                        } else {
                            assert_eq!(bytes_of(&seen), [&shape.concat(), &b"next"[..]].concat(), "{what}");
                        }
                        conn.set_delivery(Delivery::Whole);
                        let wire = frame(role.peer(), Opcode::Text, true, b"again");
                        assert_eq!(through_inbox(&mut conn, &mut inbox, &wire, size), [text("again")]);
                    }
                }
            }
        }
    }
}
