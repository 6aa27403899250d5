//! A budget for inflating (`set_inflate_budget`).
//!
//! A driver sets the budget, and then polls one connection. These calls are a turn, and the budget bounds how much a
//! turn inflates. These tests check the bound. They also check that the delivered data and errors are the same as
//! without a budget, and that `must_poll_again` is true exactly while work remains. `deflate.rs` has the other tests of
//! receiving compressed messages.

use hybi::frame::Opcode;
use hybi::handshake::DeflateParams;
use hybi::{
    Config, Connection, ControlPayload, Delivery, EofPosition, Event, EventIndex, Inbox, Input, Instant,
    MessageKind, Outcome, ProtocolError, Receiver, Role, SliceMessage, VecMessage,
};

use crate::blocks::{Blocks, Token};
use crate::deflate::{DELIVERIES, ROLES, agreed, compressed, deflated, noise, words};
use crate::pair::{connection, frame};

/// Budget that one DEFLATE block costs, as documented at `set_inflate_budget`.
const BLOCK: usize = 2 << 10;

fn open(role: Role, config: Config) -> Connection {
    connection(role, config).with_deflate(agreed(true, 15))
}

/// The data that a connection has delivered from one input, in total and in each turn.
#[derive(Default, Debug)]
struct Turns {
    /// Number of bytes that each turn delivered.
    data: Vec<usize>,
    whole: Vec<u8>,
    messages: usize,
    error: Option<ProtocolError>,
}

/// Decodes `wire` in turns with this budget until the input is used up and nothing is paused.
fn turns(conn: &mut Connection, wire: &[u8], budget: u32) -> Turns {
    let (mut bytes, mut message, mut turns) = (wire.to_vec(), VecMessage::new(), Turns::default());
    let mut input = Input::new(&mut bytes, &mut message);
    loop {
        conn.set_inflate_budget(Some(budget));
        let mut data = 0;
        let failed = loop {
            match conn.poll_event(Instant::ZERO, &mut input) {
                Ok(Some(Event::Binary(part))) => {
                    (turns.messages, data) = (turns.messages + 1, data + part.len());
                    turns.whole.extend(part);
                }
                Ok(Some(Event::Chunk { data: part, fin, .. })) => {
                    (turns.messages, data) = (turns.messages + usize::from(fin), data + part.len());
                    turns.whole.extend(part);
                }
                Ok(Some(other)) => panic!("{other:?}"),
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        turns.data.push(data);
        turns.error = turns.error.or(failed);
        assert!(turns.data.len() < 100_000, "the input is never used up");
        if !conn.must_poll_again() {
            assert_eq!(input.remaining(), 0);
            return turns;
        }
    }
}

#[test]
fn s10_4_a_turn_inflates_no_more_than_its_budget() {
    let data = vec![0; 3_000_000];
    for role in ROLES {
        let wire = compressed(role.peer(), Opcode::Binary, true, &deflated(&data));
        assert!(wire.len() < 4000, "the message does not fit a single read");
        for budget in [1000, 16_384, 100_000, 2_999_999] {
            let mut conn = open(role, Config::new().delivery(Delivery::Chunks));
            let turns = turns(&mut conn, &wire, budget);
            assert!(turns.whole == data && turns.messages == 1);
            assert!(turns.data.iter().all(|len| *len <= budget as usize), "{budget}");

            // A message that is delivered whole arrives in the last turn. It needs about as many turns as the same
            // message in chunks.
            let mut conn = open(role, Config::new());
            let whole = self::turns(&mut conn, &wire, budget);
            assert!(whole.whole == data);
            let least = data.len().div_ceil(budget as usize);
            assert!((least..=2 * least + 1).contains(&whole.data.len()), "{budget}: {}", whole.data.len());
        }
        // One turn is enough with a budget above the length of the data, and with the largest possible budget.
        for budget in [4_000_000, u32::MAX] {
            assert_eq!(turns(&mut open(role, Config::new()), &wire, budget).data, [data.len()]);
        }
    }
}

/// Blocks without data also use up the budget, because the inflater copies the window or builds code tables for them.
#[test]
fn s7692_7_2_2_empty_blocks_cost_budget() {
    let empty = |kind, last| {
        let blocks = (0..1000).fold(Blocks::new().stored(false, &noise(40_000)), |blocks, _| match kind {
            0 => blocks.stored(last, b""),
            1 => blocks.fixed(last, &[]),
            _ => blocks.dynamic(last, &[]),
        });
        blocks.message()
    };
    for (kind, last) in [(0, false), (1, false), (2, false), (0, true), (1, true), (2, true)] {
        let wire = compressed(Role::Client, Opcode::Binary, true, &empty(kind, last));
        for delivery in DELIVERIES {
            let mut conn = open(Role::Server, Config::new().delivery(delivery));
            let budget = 64 << 10;
            let turns = turns(&mut conn, &wire, budget);
            assert!(turns.whole == noise(40_000));
            let least = 1000 * BLOCK / budget as usize;
            assert!((least..=2 * least).contains(&turns.data.len()), "{kind} {last}: {}", turns.data.len());
        }
    }
}

/// All messages of a turn share one budget. A small message costs at least the price of its block, so many small
/// messages also use up the budget.
#[test]
fn s10_4_all_messages_of_a_turn_share_the_budget() {
    for (data, final_block) in [(&b"x"[..], false), (b"x", true), (&[7; 900], false)] {
        let payload = Blocks::new().fixed(final_block, &[Token::Bytes(data)]).message();
        let wire = compressed(Role::Client, Opcode::Binary, true, &payload).repeat(1000);
        let turns = turns(&mut open(Role::Server, Config::new()), &wire, 64 << 10);
        assert_eq!((turns.messages, turns.whole.len()), (1000, 1000 * data.len()));
        let most = (64 << 10) / (BLOCK + data.len()) + 1;
        assert!(turns.data.iter().all(|len| len / data.len() <= most), "{:?}", turns.data);
    }
    // Uncompressed data costs no budget.
    let mut wire = frame(Role::Client, Opcode::Binary, true, &[1; 100_000]);
    wire.extend(frame(Role::Client, Opcode::Binary, false, &[2; 50_000]));
    wire.extend(frame(Role::Client, Opcode::Continuation, true, &[3; 50_000]));
    assert_eq!(turns(&mut open(Role::Server, Config::new()), &wire, 1).data, [200_000]);
}

/// A budget may pause the connection anywhere: in fragments, between Pings, inside text, and in borrowed memory.
#[test]
fn s7692_7_2_2_any_budget_gives_the_same_events() {
    let text = words(3000);
    let payload = deflated(text.as_bytes());
    for role in ROLES {
        let peer = role.peer();
        let (head, rest) = payload.split_at(payload.len() / 2);
        let mut wire = compressed(peer, Opcode::Text, false, b"");
        for (opcode, fin, part) in [
            (Opcode::Continuation, false, head),
            (Opcode::Ping, true, b"p"),
            (Opcode::Continuation, false, rest),
        ] {
            wire.extend(frame(peer, opcode, fin, part));
        }
        wire.extend(frame(peer, Opcode::Continuation, true, b""));
        wire.extend(compressed(peer, Opcode::Text, true, &deflated("after".as_bytes())));
        wire.extend(frame(peer, Opcode::Ping, true, b"q"));
        for budget in [0, 1, 2, 3, 100, 2047, 2048, 2049, 5000] {
            let expected = ["ping p", &text, "ping q"];
            let mut memory = vec![0; 4000];
            let mut control = ControlPayload::EMPTY;
            let mut lent = SliceMessage::new(&mut memory, &mut control);
            let mut conn = open(role, Config::new());
            assert_eq!(seen(&mut conn, &mut wire.clone(), &mut lent, budget), expected, "{budget}");
            for delivery in DELIVERIES {
                let mut conn = open(role, Config::new().delivery(delivery));
                let seen = seen(&mut conn, &mut wire.clone(), &mut VecMessage::new(), budget);
                assert_eq!(seen, expected, "{budget}");
            }
        }
    }
}

/// Memory of exactly the size of a message is enough to deliver the whole message. Empty blocks after the data need no
/// additional memory, and neither do pauses.
#[test]
fn s7692_7_2_2_a_budget_needs_no_additional_memory() {
    let payload = (0..20).fold(Blocks::new().fixed(false, &[Token::Bytes(&[5; 300])]), |blocks, n| {
        if n % 2 == 0 { blocks.fixed(n % 4 == 0, &[]) } else { blocks.stored(false, b"") }
    });
    let wire = compressed(Role::Client, Opcode::Binary, true, &payload.message());
    for (space, whole) in [(300, true), (301, true), (299, false)] {
        for budget in [None, Some(1), Some(2048), Some(5000)] {
            let mut memory = vec![0; space];
            let mut control = ControlPayload::EMPTY;
            let mut lent = SliceMessage::new(&mut memory, &mut control);
            let mut bytes = wire.clone();
            let mut input = Input::new(&mut bytes, &mut lent);
            let mut conn = open(Role::Server, Config::new());
            let (mut wholes, mut data) = (0, Vec::new());
            loop {
                conn.set_inflate_budget(budget);
                while let Some(event) = conn.poll_event(Instant::ZERO, &mut input).unwrap() {
                    match event {
                        Event::Binary(all) => (wholes, data) = (wholes + 1, all.to_vec()),
                        Event::Chunk { data: part, .. } => data.extend(part),
                        other => panic!("{other:?}"),
                    }
                }
                if !conn.must_poll_again() {
                    break;
                }
            }
            assert_eq!((wholes, data), (usize::from(whole), vec![5; 300]), "{space} {budget:?}");
        }
    }
}

/// Returns all events from turns with this budget, with text chunks joined.
fn seen(
    conn: &mut Connection,
    bytes: &mut [u8],
    message: &mut impl hybi::MessageBuffer,
    budget: u32,
) -> [String; 3] {
    let mut input = Input::new(bytes, message);
    let mut all = [String::new(), String::new(), String::new()];
    let mut data = Vec::new();
    loop {
        conn.set_inflate_budget(Some(budget));
        while let Some(event) = conn.poll_event(Instant::ZERO, &mut input).unwrap() {
            match event {
                Event::Text(text) => data.extend(text.as_bytes()),
                Event::Chunk { data: part, kind: MessageKind::Text, .. } => data.extend(part),
                Event::Ping(payload) if payload == b"p" => all[0] = "ping p".into(),
                Event::Ping(_) => {
                    assert!(data.ends_with(b"after"), "the Ping came before the end of the message");
                    data.truncate(data.len() - 5);
                    all[2] = "ping q".into();
                }
                other => panic!("{other:?}"),
            }
        }
        if !conn.must_poll_again() {
            all[1] = String::from_utf8(data).unwrap();
            return all;
        }
    }
}

/// A connection is paused only while it can progress without reading.
#[test]
fn s7692_7_2_2_a_connection_is_paused_only_while_polling_makes_progress() {
    let wire = compressed(Role::Client, Opcode::Binary, true, &deflated(&noise(5000)));
    let mut conn = open(Role::Server, Config::new());
    assert!(!conn.must_poll_again());
    let (mut bytes, mut message) = (wire.clone(), VecMessage::new());
    let (head, rest) = bytes.split_at_mut(2000);
    // This loop finds the budget that the first part of the input uses up exactly. With this budget, a second poll
    // could do nothing without more input. So the connection is not paused.
    let mut budget = 1;
    loop {
        let mut probe = open(Role::Server, Config::new());
        probe.set_inflate_budget(Some(budget));
        let (mut bytes, mut message) = (wire[..2000].to_vec(), VecMessage::new());
        let mut input = Input::new(&mut bytes, &mut message);
        assert_eq!(probe.poll(Instant::ZERO, &mut input), Ok(None));
        if !probe.must_poll_again() {
            assert_eq!(input.remaining(), 0);
            break;
        }
        budget += 1;
    }
    conn.set_inflate_budget(Some(budget));
    assert_eq!(conn.poll(Instant::ZERO, &mut Input::new(head, &mut message)), Ok(None));
    assert!(!conn.must_poll_again());
    assert_eq!(conn.poll(Instant::ZERO, &mut Input::new(&mut [], &mut message)), Ok(None));
    assert!(!conn.must_poll_again());
    // The budget is used up, so input that arrives now is not inflated.
    let mut input = Input::new(rest, &mut message);
    for _ in 0..3 {
        assert_eq!(conn.poll(Instant::ZERO, &mut input), Ok(None));
        assert!(conn.must_poll_again() && input.remaining() > 0);
    }
    // Changing the budget does not end the pause. The next poll ends the pause.
    conn.set_inflate_budget(None);
    assert!(conn.must_poll_again());
    assert!(
        matches!(conn.poll_event(Instant::ZERO, &mut input), Ok(Some(Event::Binary(data))) if data == noise(5000))
    );
    assert!(!conn.must_poll_again());
}

/// Bytes that are read during a pause are decoded after the paused data.
#[test]
fn s7692_7_2_2_bytes_read_while_paused_are_decoded_later() {
    let data = words(300_000).into_bytes();
    let mut wire = compressed(Role::Client, Opcode::Binary, true, &deflated(&data));
    wire.extend(compressed(Role::Client, Opcode::Binary, true, &deflated(b"second")));
    wire.extend(frame(Role::Client, Opcode::Binary, true, b"third"));
    for most in [1, 1000, usize::MAX] {
        for budget in [500, 20_000] {
            let mut conn = open(Role::Server, Config::new());
            let (mut inbox, mut rest, mut got) = (Inbox::empty(), &wire[..], Vec::new());
            let mut turns = 0;
            while !rest.is_empty() || conn.must_poll_again() {
                turns += 1;
                assert!(turns < 200_000);
                let space = conn.read_space(&mut inbox);
                assert!(!space.is_empty());
                let len = space.len().min(most).min(rest.len());
                space[..len].copy_from_slice(&rest[..len]);
                rest = &rest[len..];
                inbox.handle_read(len);
                // Memory that the paused message needs is kept.
                inbox.release_idle();
                conn.set_inflate_budget(Some(budget));
                while let Some(ready) = conn.poll(Instant::ZERO, &mut inbox).unwrap() {
                    got.push(inbox.take_message(ready).unwrap().into_bytes());
                }
            }
            assert!(got == [&data[..], b"second", b"third"], "{most} {budget}");
        }
    }
}

/// A driver must report the end of the stream after the pause. During the pause, the report would lose the paused data.
#[test]
fn s7_1_5_the_end_of_the_stream_is_reported_after_the_pause() {
    let wire = compressed(Role::Client, Opcode::Binary, true, &deflated(&[0; 100_000]));
    let (mut bytes, mut message) = (wire.clone(), VecMessage::new());
    let mut input = Input::new(&mut bytes, &mut message);
    let mut conn = open(Role::Server, Config::new());
    conn.set_inflate_budget(Some(1000));
    assert_eq!(conn.poll(Instant::ZERO, &mut input), Ok(None));
    let mut polls = 0;
    while conn.must_poll_again() {
        conn.set_inflate_budget(Some(1000));
        polls += usize::from(conn.poll(Instant::ZERO, &mut input).unwrap().is_some());
    }
    assert_eq!(polls, 1);
    conn.handle_eof();
    let closed = conn.poll_event(Instant::ZERO, &mut input).unwrap();
    assert_eq!(closed, Some(Event::Closed(Outcome::Abnormal(EofPosition::BetweenMessages))));

    // If the end of the stream is reported during the pause, it counts as an end inside a frame, and ends the pause.
    let (mut bytes, mut message) = (wire, VecMessage::new());
    let mut input = Input::new(&mut bytes, &mut message);
    let mut conn = open(Role::Server, Config::new());
    conn.set_inflate_budget(Some(1000));
    assert_eq!(conn.poll(Instant::ZERO, &mut input), Ok(None));
    conn.handle_eof();
    let closed = conn.poll_event(Instant::ZERO, &mut input).unwrap();
    assert_eq!(closed, Some(Event::Closed(Outcome::Abnormal(EofPosition::InFrame))));
    assert!(!conn.must_poll_again());
    assert_eq!(input.remaining(), 0);
}

/// With a budget the same error is reported, and only once. At least the same data is delivered before the error.
#[test]
fn s7692_7_2_2_errors_are_the_same_with_a_budget() {
    let bad = Blocks::new().stored(false, &noise(9000)).fixed(false, &[Token::Bytes(b"so far")]).raw();
    let bad = [&bad[..], &[0xFF; 9]].concat();
    for (config, wire, error) in [
        (Config::new(), bad, ProtocolError::InvalidDeflate),
        (Config::new().max_message(50_000), deflated(&[9; 50_001]), ProtocolError::MessageTooBig),
        (Config::new().max_message(0), deflated(b"x"), ProtocolError::MessageTooBig),
    ] {
        let wire = compressed(Role::Client, Opcode::Binary, true, &wire);
        let config = config.delivery(Delivery::Chunks);
        let without = turns(&mut open(Role::Server, config.clone()), &wire, u32::MAX);
        assert_eq!(without.error, Some(error));
        for budget in [1, 700, 5000, 60_000] {
            let with = turns(&mut open(Role::Server, config.clone()), &wire, budget);
            assert_eq!(with.error, Some(error));
            // With a budget chunks are smaller, so more of them are delivered before the error.
            assert!(with.whole.starts_with(&without.whole) && with.messages == 0, "{budget}");
        }
    }
}

/// A `Receiver` without a connection has a budget too.
#[test]
fn s7692_7_2_2_a_receiving_half_pauses_at_its_budget() {
    let mut receiver = Receiver::new(Role::Server, Config::new()).with_deflate(DeflateParams::default());
    let mut bytes = compressed(Role::Client, Opcode::Binary, true, &deflated(&[1; 100_000]));
    let mut message = VecMessage::new();
    let mut input = Input::new(&mut bytes, &mut message);
    let mut turns = 0;
    let ready: EventIndex = loop {
        receiver.set_inflate_budget(Some(10_000));
        turns += 1;
        if let Some(ready) = receiver.poll(&mut input).unwrap() {
            break ready;
        }
        assert!(receiver.must_poll_again());
    };
    assert!((10..=12).contains(&turns), "{turns}");
    assert_eq!(input.event(ready), Event::Binary(&[1; 100_000]));
    // A timer that fails the connection ends the pause.
    let mut bytes = compressed(Role::Client, Opcode::Binary, true, &deflated(&[1; 100_000]));
    let mut input = Input::new(&mut bytes, &mut message);
    receiver.set_inflate_budget(Some(1));
    assert_eq!(receiver.poll(&mut input), Ok(None));
    assert!(receiver.must_poll_again());
    receiver.handle_ended();
    assert!(!receiver.must_poll_again());
    assert_eq!(receiver.poll(&mut input), Ok(None));
}
