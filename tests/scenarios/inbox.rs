//! An [`Inbox`]: reading, delivering a message in place, taking it without a copy, and releasing memory.
//!
//! A message that fits the read buffer stays where it arrived, even while it is incomplete. Taking a message may take
//! the buffer as well. These tests check that reads of any size give the same messages, that memory is bounded and that
//! no partial message is lost. The tests in `tests/memory/` measure heap memory.

use std::time::Duration;

use hybi::frame::Opcode;
use hybi::{
    Config, Connection, ControlPayload, EofPosition, Event, Inbox, Instant, Message, Outcome, ProtocolError,
    Role, SliceInbox, SliceMessage,
};

use crate::pair::{connection, frame};

const ROLES: [Role; 2] = [Role::Server, Role::Client];
/// Lengths around each size at which the way of receiving a message changes. These sizes are the limits of the header
/// forms, the size of the read buffer, and the length of the largest message that stays in the read buffer.
const LENGTHS: [usize; 12] = [0, 1, 125, 126, 5000, 16_376, 16_384, 16_448, 40_000, 65_535, 65_537, 200_000];

fn payload(len: usize) -> Vec<u8> {
    let mut text = "plain text, κόσμε 𝄞 €; ".bytes().cycle().take(len).collect::<Vec<_>>();
    // If the length cuts the last code point, ASCII characters replace the bytes of this code point.
    let whole = std::str::from_utf8(&text).map_or_else(|error| error.valid_up_to(), str::len);
    text.truncate(whole);
    text.resize(len, b'!');
    text
}

/// Reads `wire` into the inbox in pieces of at most `most` bytes. After each piece, calls `see` until it returns false.
fn feed(
    conn: &mut Connection,
    inbox: &mut Inbox,
    mut wire: &[u8],
    most: usize,
    mut see: impl FnMut(&mut Connection, &mut Inbox) -> Result<bool, ProtocolError>,
) -> Result<(), ProtocolError> {
    while !wire.is_empty() {
        let space = conn.read_space(inbox);
        let len = space.len().min(most).min(wire.len());
        assert!(len > 0, "read_space is never empty");
        space[..len].copy_from_slice(&wire[..len]);
        wire = &wire[len..];
        inbox.handle_read(len);
        while see(conn, inbox)? {}
    }
    Ok(())
}

#[test]
fn s5_6_reads_of_any_length_give_the_same_messages() {
    for role in ROLES {
        let mut wire = Vec::new();
        for len in LENGTHS {
            wire.extend(frame(role.peer(), Opcode::Text, true, &payload(len)));
            wire.extend(frame(role.peer(), Opcode::Binary, true, &payload(len)));
        }
        for most in [97, 1500, 16_384, 16_440, 65_536, usize::MAX] {
            let (mut conn, mut inbox, mut seen) =
                (connection(role, Config::new()), Inbox::empty(), Vec::new());
            feed(&mut conn, &mut inbox, &wire, most, |conn, inbox| {
                match conn.poll_event(Instant::ZERO, inbox)? {
                    Some(Event::Text(text)) => seen.push((true, text.as_bytes().to_vec())),
                    Some(Event::Binary(data)) => seen.push((false, data.to_vec())),
                    other => {
                        assert_eq!(other, None);
                        return Ok(false);
                    }
                }
                Ok(true)
            })
            .unwrap();
            let (mut owning, mut inbox, mut owned) =
                (connection(role, Config::new()), Inbox::empty(), Vec::new());
            feed(&mut owning, &mut inbox, &wire, most, |conn, inbox| {
                let ready = conn.poll(Instant::ZERO, inbox)?;
                let message = ready.and_then(|ready| inbox.take_message(ready));
                owned.extend(message);
                Ok(ready.is_some())
            })
            .unwrap();
            assert_eq!(seen.len(), 2 * LENGTHS.len(), "reads of {most}");
            for (i, ((text, data), message)) in seen.iter().zip(&owned).enumerate() {
                assert_eq!(*data, payload(LENGTHS[i / 2]), "reads of {most}");
                assert_eq!((*text, &data[..]), (matches!(message, Message::Text(_)), message.as_bytes()));
            }
            assert_eq!(owned.len(), seen.len());
            let counters = conn.receiver().counters();
            assert_eq!((counters.messages, counters.bytes), (seen.len() as u64, wire.len() as u64));
        }
    }
}

#[test]
fn s8_1_text_is_refused_at_its_first_invalid_byte() {
    for role in ROLES {
        let mut data = payload(40_000);
        data[20_000] = 0xFF;
        let wire = frame(role.peer(), Opcode::Text, true, &data);
        let before = wire.len() - (40_000 - 20_000);
        let (mut conn, mut inbox) = (connection(role, Config::new()), Inbox::empty());
        let poll = |conn: &mut Connection, inbox: &mut Inbox| {
            assert_eq!(conn.poll(Instant::ZERO, inbox)?, None);
            Ok(false)
        };
        feed(&mut conn, &mut inbox, &wire[..before], 3000, poll).unwrap();
        let refused = feed(&mut conn, &mut inbox, &wire[before..=before], 1, poll);
        assert_eq!(refused, Err(ProtocolError::InvalidUtf8));
        // The rest of the input is discarded, and needs no memory.
        feed(&mut conn, &mut inbox, &wire[before + 1..], 3000, poll).unwrap();
        inbox.release_idle();
        assert_eq!(inbox.remaining(), 0);
    }
}

#[test]
fn s5_2_memory_after_the_bytes_that_arrived_is_not_decoded() {
    for role in ROLES {
        for len in [0, 1, 16, 125, 126, 300] {
            let data = payload(len);
            let wire = frame(role.peer(), Opcode::Binary, true, &data);
            for cut in 0..wire.len() {
                let (mut conn, mut inbox) = (connection(role, Config::new()), Inbox::empty());
                // The whole frame lies in the memory, but only the first bytes of it have arrived.
                conn.read_space(&mut inbox)[..wire.len()].copy_from_slice(&wire);
                inbox.handle_read(cut);
                assert_eq!(
                    conn.poll_event(Instant::ZERO, &mut inbox),
                    Ok(None),
                    "{len} bytes, {cut} arrived"
                );
                conn.read_space(&mut inbox)[..wire.len() - cut].copy_from_slice(&wire[cut..]);
                inbox.handle_read(wire.len() - cut);
                let event = conn.poll_event(Instant::ZERO, &mut inbox);
                assert_eq!(event, Ok(Some(Event::Binary(&data))), "{len} bytes, {cut} arrived first");
            }
        }
    }
}

#[test]
fn s8_1_poll_message_leaves_the_error_of_an_invalid_text_to_poll() {
    for role in ROLES {
        for len in [1, 125, 126, 5000, 16_376] {
            let mut data = payload(len);
            data[len - 1] = 0xFF;
            let mut wire = frame(role.peer(), Opcode::Text, true, &data);
            let frame_len = wire.len() as u64;
            wire.extend(frame(role.peer(), Opcode::Binary, true, b"never seen"));
            let (mut conn, mut inbox) = (connection(role, Config::new()), Inbox::with_bytes(&wire));
            // `poll_message` reports no error, however often it is called. It does not consume the error either.
            for _ in 0..3 {
                assert_eq!(conn.poll_message(&mut inbox), None);
                assert!(!conn.receiver().is_done());
            }
            assert_eq!(conn.poll(Instant::ZERO, &mut inbox), Err(ProtocolError::InvalidUtf8));
            assert_eq!(conn.poll(Instant::ZERO, &mut inbox), Ok(None));
            assert!(conn.receiver().is_done());
            let counters = conn.receiver().counters();
            assert_eq!((counters.messages, counters.frames, counters.bytes), (0, 1, frame_len));
            assert_eq!(inbox.remaining(), 0);
        }
    }
}

#[test]
fn s8_1_a_code_point_may_span_two_reads() {
    // A short message is validated when it is complete, and a long message is validated after each read.
    for spaces in [0, 20_000] {
        let spaces = vec![b' '; spaces];
        for (reads, valid) in [
            ([&b"caf\xc3\xa9"[..], b" au ", b"lait"], true),
            ([b"caf\xc3", b"\xa9 au ", b"lait"], true),
            // A continuation byte after ASCII is invalid.
            ([b"caf\xc3", b" au ", b"\xa9 lait"], false),
        ] {
            for role in ROLES {
                let reads = [[&spaces, reads[0]].concat(), [reads[1], &spaces].concat(), reads[2].to_vec()];
                let wire = frame(role.peer(), Opcode::Text, true, &reads.concat());
                let mut rest = &wire[..];
                let (mut conn, mut inbox, mut seen) = (connection(role, Config::new()), Inbox::empty(), None);
                let header = wire.len() - reads.concat().len();
                let outcome = [header].into_iter().chain(reads.iter().map(Vec::len)).try_for_each(|len| {
                    let (read, behind) = rest.split_at(len);
                    rest = behind;
                    feed(&mut conn, &mut inbox, read, len, |conn, inbox| {
                        if let Some(Event::Text(text)) = conn.poll_event(Instant::ZERO, inbox)? {
                            seen = Some(text.as_bytes().to_vec());
                        }
                        Ok(false)
                    })
                });
                assert_eq!(outcome, if valid { Ok(()) } else { Err(ProtocolError::InvalidUtf8) });
                assert_eq!(seen, valid.then(|| reads.concat()));
            }
        }
    }
}

#[test]
fn a_partial_message_restarts_the_idle_timer_and_is_not_released() {
    let config = Config::new().idle_timeout(Some(Duration::from_secs(10))).ping_interval(None);
    let mut conn = Connection::server(Instant::ZERO, config, hybi::Outbox::new());
    let (mut inbox, data) = (Inbox::empty(), payload(30_000));
    let wire = frame(Role::Client, Opcode::Binary, true, &data);
    let mut now = Instant::ZERO;
    let mut whole = false;
    for piece in wire.chunks(3001) {
        now = now + Duration::from_secs(9);
        conn.handle_timeout(now);
        inbox.release_idle();
        let mut rest = piece;
        while !rest.is_empty() {
            let space = conn.read_space(&mut inbox);
            let (now_read, later) = rest.split_at(space.len().min(rest.len()));
            space[..now_read.len()].copy_from_slice(now_read);
            inbox.handle_read(now_read.len());
            rest = later;
            match conn.poll_event(now, &mut inbox).unwrap() {
                Some(Event::Binary(bytes)) => whole = bytes == data,
                other => assert_eq!(other, None),
            }
        }
    }
    assert!(whole);
    now = now + Duration::from_secs(10);
    conn.handle_timeout(now);
    assert!(conn.buffered_amount() > 0, "the idle connection was not closed");
}

/// Receives a message in two parts. After each part, the inbox releases its unused memory. In one of the runs, an empty
/// inbox is first replaced by an inbox that another connection has used.
fn in_two(role: Role, opcode: Opcode, data: &[u8], cut: usize) {
    let wire = frame(role.peer(), opcode, true, data);
    let what = format!("{role:?} {opcode:?} {} cut at {cut} of {}", data.len(), wire.len());
    let head = wire.len() - data.len();
    // Another message comes first, so this message does not begin at the start of the buffer.
    let mut first = frame(role.peer(), Opcode::Binary, true, &[1; 40]);
    first.extend(&wire[..cut]);
    for (owned, swap) in [(false, false), (true, false), (false, true)] {
        let (mut conn, mut inbox) = (connection(role, Config::new()), Inbox::empty());
        let mut got = Vec::new();
        for (part, begun) in [(&first[..], (head..wire.len()).contains(&cut)), (&wire[cut..], false)] {
            feed(&mut conn, &mut inbox, part, usize::MAX, |conn, inbox| {
                let Some(ready) = conn.poll(Instant::ZERO, inbox)? else { return Ok(false) };
                let message = match inbox.event(ready) {
                    Event::Text(text) => (Opcode::Text, text.as_bytes().to_vec()),
                    Event::Binary(data) => (Opcode::Binary, data.to_vec()),
                    other => panic!("{other:?}"),
                };
                if owned {
                    let taken = inbox.take_message(ready).unwrap();
                    assert_eq!(
                        (&message.1[..], message.0 == Opcode::Text),
                        (taken.as_bytes(), matches!(taken, Message::Text(_)))
                    );
                }
                got.push(message);
                Ok(true)
            })
            .unwrap();
            assert_eq!(inbox.is_idle(), !begun, "{what}");
            if swap && inbox.is_idle() {
                inbox = used();
            }
            let (before, spare) = (inbox.capacity(), inbox.spare());
            inbox.release_idle();
            let held = inbox.capacity();
            // Memory of a gathered message may be released in addition.
            assert!(before - held >= spare && inbox.spare() == 0, "{what}: of {before}, {spare}");
            assert!(held == 0 || begun && held <= 2 * cut + (17 << 10), "{what}: {held} bytes are held");
        }
        assert!(got == [(Opcode::Binary, vec![1; 40]), (opcode, data.to_vec())], "{what}");
    }
}

/// Returns an inbox that was used by another connection.
fn used() -> Inbox {
    let (mut conn, mut inbox) = (connection(Role::Client, Config::new()), Inbox::empty());
    let wire = frame(Role::Server, Opcode::Text, true, &payload(3000));
    feed(&mut conn, &mut inbox, &wire, usize::MAX, |conn, inbox| {
        Ok(conn.poll(Instant::ZERO, inbox)?.is_some())
    })
    .unwrap();
    inbox
}

#[test]
fn s5_6_releasing_memory_keeps_a_partial_message() {
    for role in ROLES {
        for opcode in [Opcode::Text, Opcode::Binary] {
            for len in LENGTHS.into_iter().filter(|len| *len < 100_000) {
                let data = payload(len);
                let whole = frame(role.peer(), opcode, true, &data).len();
                // Short messages are cut at every byte. Long ones are cut at each byte of their beginning and
                // end, and at a few places between.
                let (step, edge) = if whole < 300 { (1, 0) } else { (whole / 5, 15) };
                let edges = (0..edge).chain(whole - edge..whole);
                for cut in edges.chain((0..=whole).step_by(step)) {
                    in_two(role, opcode, &data, cut);
                }
            }
        }
    }
}

#[test]
fn s7_1_5_the_end_of_the_stream_cuts_a_message_that_is_arriving() {
    for role in ROLES {
        let wire = frame(role.peer(), Opcode::Binary, true, &payload(20_000));
        let (mut conn, mut inbox) = (connection(role, Config::new()), Inbox::empty());
        feed(&mut conn, &mut inbox, &wire[..10_000], 4000, |conn, inbox| {
            Ok(conn.poll(Instant::ZERO, inbox)?.is_some())
        })
        .unwrap();
        conn.handle_eof();
        let closed = conn.poll_event(Instant::ZERO, &mut inbox);
        assert_eq!(closed, Ok(Some(Event::Closed(Outcome::Abnormal(EofPosition::InFrame)))));
    }
}

#[test]
fn taking_a_message_leaves_the_next_one_in_place() {
    for role in [Role::Server, Role::Client] {
        let (mut conn, mut inbox) = (connection(role, Config::new()), Inbox::empty());
        let peer = if role == Role::Server { Role::Client } else { Role::Server };
        let wire = [
            frame(peer, Opcode::Binary, true, &payload(16_000)),
            frame(peer, Opcode::Binary, true, &payload(2000)),
        ]
        .concat();
        let (first, rest) = wire.split_at(16_400);
        conn.read_space(&mut inbox)[..first.len()].copy_from_slice(first);
        inbox.handle_read(first.len());
        let mut ready = conn.poll(Instant::ZERO, &mut inbox).unwrap();
        // A part of the second message has arrived already.
        assert!(conn.poll(Instant::ZERO, &mut inbox).unwrap().is_none());
        let message = inbox.take_message(ready.take().unwrap()).unwrap();
        assert!(message.as_bytes() == payload(16_000));
        let mut rest = rest;
        let second = loop {
            let space = conn.read_space(&mut inbox);
            let len = space.len().min(rest.len());
            space[..len].copy_from_slice(&rest[..len]);
            inbox.handle_read(len);
            rest = &rest[len..];
            if let Some(ready) = conn.poll(Instant::ZERO, &mut inbox).unwrap() {
                break inbox.take_message(ready).unwrap();
            }
            assert!(!rest.is_empty());
        };
        assert!(second.as_bytes() == payload(2000));
    }
}

#[test]
fn a_buffer_is_reused_after_all_its_messages_are_dropped() {
    // Messages of the first length are delivered from the read buffer. Messages of the second length are gathered.
    for len in [20_000, 200_000] {
        let (mut conn, mut inbox) = (connection(Role::Server, Config::new()), Inbox::empty());
        let wire = frame(Role::Client, Opcode::Binary, true, &payload(len));
        let mut receive = || {
            let mut message = None;
            feed(&mut conn, &mut inbox, &wire, usize::MAX, |conn, inbox| {
                let ready = conn.poll(Instant::ZERO, inbox)?;
                message = ready.and_then(|ready| inbox.take_message(ready)).or(message.take());
                Ok(ready.is_some())
            })
            .unwrap();
            message.unwrap()
        };
        let places: Vec<_> = (0..8).map(|_| receive().as_bytes().as_ptr()).collect();
        assert!(places[4..].iter().all(|place| places[..4].contains(place)), "{len}");
        // A message that the application keeps does not change when later messages arrive.
        let kept: Vec<_> = (0..3).map(|_| receive()).collect();
        drop(receive());
        assert!(kept.iter().all(|message| message.as_bytes() == payload(len)), "{len}");
    }
}

#[test]
fn s10_4_an_inbox_holds_at_most_twice_the_arrived_bytes_and_64_kib() {
    let announced = Config::new().limits().max_message;
    for len in [100, 20_000, 1_000_000] {
        for most in [100, 1500, 16_384, usize::MAX] {
            let (mut conn, mut inbox) = (connection(Role::Server, Config::new()), Inbox::empty());
            let wire = frame(Role::Client, Opcode::Binary, true, &payload(len));
            // The header announces far more bytes than arrive.
            let wire =
                [&wire[..1], &[0xFF], &announced.to_be_bytes(), &wire[wire.len() - len - 4..]].concat();
            let mut arrived = 0;
            while arrived < wire.len() {
                let space = conn.read_space(&mut inbox);
                let n = space.len().min(most).min(wire.len() - arrived);
                space[..n].copy_from_slice(&wire[arrived..][..n]);
                inbox.handle_read(n);
                arrived += n;
                assert_eq!(conn.poll(Instant::ZERO, &mut inbox), Ok(None));
                let held = inbox.capacity();
                assert!(held <= 2 * arrived + (64 << 10), "{held} bytes for {arrived}, reads of {most}");
            }
            // After `release_idle`, an incomplete message holds less memory.
            inbox.release_idle();
            assert!(inbox.capacity() <= 2 * arrived + 1024, "{} bytes for {arrived}", inbox.capacity());
        }
    }
}

/// An application may read until nothing is left and then poll. No message is lost.
#[test]
fn s5_4_reads_may_run_ahead_of_polls() {
    let large = payload(50_000);
    let mut wire = frame(Role::Server, Opcode::Binary, false, b"");
    wire.extend(frame(Role::Server, Opcode::Continuation, true, &large));
    wire.extend(frame(Role::Server, Opcode::Text, true, b"behind it"));
    for reads in [1, 2, 3, 100] {
        for most in [3000, 20_000] {
            let (mut conn, mut inbox) = (connection(Role::Client, Config::new()), Inbox::empty());
            let (mut rest, mut seen) = (&wire[..], Vec::new());
            while !rest.is_empty() {
                for _ in 0..reads {
                    let space = conn.read_space(&mut inbox);
                    let len = space.len().min(most).min(rest.len());
                    space[..len].copy_from_slice(&rest[..len]);
                    rest = &rest[len..];
                    inbox.handle_read(len);
                }
                while let Some(event) = conn.poll_event(Instant::ZERO, &mut inbox).unwrap() {
                    match event {
                        Event::Binary(data) => seen.push(data.to_vec()),
                        Event::Text(text) => seen.push(text.as_bytes().to_vec()),
                        event => panic!("{event:?}"),
                    }
                }
            }
            assert!(seen == [&large[..], b"behind it"], "{reads} reads of {most}");
        }
    }
}

/// The inbox reuses the memory of a large message for the next message. If only a part of the next message has arrived,
/// `release_idle` must free the memory that this part does not need.
#[test]
fn s10_4_a_partial_message_does_not_keep_the_memory_of_a_larger_one() {
    for role in ROLES {
        let (mut conn, mut inbox) = (connection(role, Config::new()), Inbox::empty());
        let fragment = |opcode, fin, len: usize| frame(role.peer(), opcode, fin, &payload(len));
        let mut wire = fragment(Opcode::Binary, false, 10);
        wire.extend(fragment(Opcode::Continuation, true, 4 << 20));
        wire.extend(fragment(Opcode::Binary, false, 1000));
        let mut whole = 0;
        feed(&mut conn, &mut inbox, &wire, usize::MAX, |conn, inbox| {
            let ready = conn.poll(Instant::ZERO, inbox)?;
            whole += usize::from(ready.is_some());
            Ok(ready.is_some())
        })
        .unwrap();
        assert_eq!(whole, 1);
        let (before, spare) = (inbox.capacity(), inbox.spare());
        assert!(before >= 4 << 20 && !inbox.is_idle());
        inbox.release_idle();
        let held = inbox.capacity();
        assert!(held <= 2 * 1000 + 1024 && inbox.spare() == 0, "{held} bytes are held");
        assert_eq!(before - held, spare);
        // A second release frees nothing more, and keeps the partial message.
        inbox.release_idle();
        assert_eq!(inbox.capacity(), held);
        let rest = fragment(Opcode::Continuation, true, 100_000);
        feed(&mut conn, &mut inbox, &rest, 1000, |conn, inbox| {
            let Some(ready) = conn.poll(Instant::ZERO, inbox)? else { return Ok(false) };
            let message = inbox.event(ready);
            assert!(message == Event::Binary(&[payload(1000), payload(100_000)].concat()));
            whole += 1;
            Ok(true)
        })
        .unwrap();
        assert_eq!(whole, 2);
    }
}

/// Reads `wire` into an inbox with `memory` bytes, and returns the events. `next` returns the maximum length of each
/// read.
fn events_of_slices(
    role: Role,
    memory: usize,
    mut wire: &[u8],
    mut next: impl FnMut() -> usize,
) -> Result<Vec<String>, ProtocolError> {
    let (mut memory, mut gathered, mut control) = (vec![0; memory], [0; 1000], ControlPayload::EMPTY);
    let mut inbox = SliceInbox::from_memory(&mut memory, SliceMessage::new(&mut gathered, &mut control));
    let (mut conn, mut seen) = (connection(role, Config::new()), Vec::new());
    while !wire.is_empty() {
        let space = inbox.read_space();
        assert!(!space.is_empty(), "the inbox has no space, but all input is decoded");
        let len = next().min(space.len()).min(wire.len());
        space[..len].copy_from_slice(&wire[..len]);
        wire = &wire[len..];
        inbox.handle_read(len);
        while let Some(event) = conn.poll_event(Instant::ZERO, &mut inbox)? {
            seen.push(format!("{event:?}"));
        }
    }
    Ok(seen)
}

#[test]
fn s5_6_slices_of_any_length_and_reads_of_any_length_give_the_same_events() {
    for role in ROLES {
        let mut wire = Vec::new();
        for (opcode, fin, len) in [
            (Opcode::Text, true, 5),
            (Opcode::Binary, true, 0),
            (Opcode::Ping, true, 3),
            (Opcode::Text, false, 7),
            (Opcode::Ping, true, 0),
            (Opcode::Continuation, false, 0),
            (Opcode::Continuation, true, 90),
            (Opcode::Binary, true, 130),
            (Opcode::Text, true, 40),
            (Opcode::Pong, true, 125),
            (Opcode::Text, true, 300),
            (Opcode::Binary, true, 1),
        ] {
            wire.extend(frame(role.peer(), opcode, fin, &payload(len)));
        }
        let expected = events_of_slices(role, 4096, &wire, || usize::MAX).unwrap();
        assert_eq!(expected.len(), 10);
        // The longest header has 14 bytes, and a control payload has at most 125.
        for memory in [1, 2, 3, 4, 5, 14, 15, 16, 64, 139, 140, 200, 1000] {
            for most in 1..=20 {
                let found = events_of_slices(role, memory, &wire, || most).unwrap();
                assert_eq!(found, expected, "{role:?}, {memory} bytes, reads of {most}");
            }
        }
        for first in 0..wire.len() {
            // The first read has at most `first` bytes. Each later read has as many bytes as fit.
            let (mut lengths, mut random) = ([first.max(1)].into_iter(), 7_usize);
            let found = events_of_slices(role, 200, &wire, || lengths.next().unwrap_or(usize::MAX)).unwrap();
            assert_eq!(found, expected, "{role:?}, the first read has {first} bytes");
            let found = events_of_slices(role, 64, &wire, || {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(first);
                1 + (random >> 40) % 30
            });
            assert_eq!(found.unwrap(), expected, "{role:?}, random reads {first}");
        }
    }
}

#[test]
fn s5_2_a_message_is_delivered_whole_if_its_header_was_read_alone() {
    for role in ROLES {
        let wire = frame(role.peer(), Opcode::Text, true, b"Hello");
        let header = wire.len() - 5;
        let mut lengths = [header, 5].into_iter();
        let found = events_of_slices(role, 64, &wire, || lengths.next().unwrap()).unwrap();
        assert_eq!(found, ["Text(\"Hello\")"]);
    }
}
