//! Output: the order of frames under partial writes, the high-water mark, and payloads that are not copied.
//!
//! Control frames overtake queued data but never split a frame that is partly written. After a received Close or a
//! failure, our Close drops data that was not started if the transport is congested. Some of these tests make random
//! calls in random order, and compare the written bytes with a model. Writes that bypass the queue are tested in
//! `write_through.rs`.

use std::collections::VecDeque;

use hybi::frame::Opcode;
use hybi::{
    CloseCode, Config, Connection, Message, MessageKind, Outbox, Prepared, ProtocolError, Role, SendError,
    SliceOutbox, Text, VecMessage, WriteQueue,
};

use crate::pair::{Dice, End, Scenario, Seen, parse};

const ROLES: [Role; 2] = [Role::Server, Role::Client];

/// Writes pieces of at most `size` bytes until the queue is empty.
fn trickle(end: &mut End, size: usize) {
    while !end.write(size).is_empty() {}
}

#[test]
fn s5_4_output_is_the_same_for_any_size_of_writes() {
    for role in ROLES {
        let fill = || {
            let mut end = Scenario::of(role).config(Config::new().high_water(1 << 20)).open();
            for len in [0, 5, 125, 126, 4095] {
                end.conn.send_binary(&vec![1; len]).unwrap();
                end.conn.send(vec![2; len]).unwrap();
            }
            end.conn.send(vec![3; 4096]).unwrap();
            end.conn.send(vec![4; 70_000]).unwrap();
            end.conn.send_text("between").unwrap();
            end.conn.send(vec![5; 5000]).unwrap();
            end.conn.close(end.now, CloseCode::NORMAL, "").unwrap();
            end
        };
        let mut whole = fill();
        whole.write_all();
        assert_eq!(whole.sent().len(), 15);
        for size in [1, 2, 3, 7, 100, 4096, 4100, 10_000] {
            let mut end = fill();
            trickle(&mut end, size);
            assert!(end.wire == whole.wire, "in writes of {size}");
        }
    }
}

#[test]
fn s5_5_control_frames_overtake_queued_frames_but_not_a_partly_written_one() {
    for role in ROLES {
        for big in [10, 5000] {
            let probe = Scenario::of(role).open().role();
            let one = frame_len(probe, big);
            for begun in (0..=one + 3).filter(|begun| *begun < 40 || *begun + 40 > one) {
                let mut end = Scenario::of(role).open();
                end.conn.send(vec![b'1'; big]).unwrap();
                end.conn.send(vec![b'2'; big]).unwrap();
                end.write(begun);
                end.receive(Opcode::Ping, "asks");
                end.conn.ping(end.now, b"own").unwrap();
                trickle(&mut end, 11);
                let kinds: Vec<_> =
                    end.sent().iter().map(|f| f.split(' ').next().unwrap().to_owned()).collect();
                let expected = match begun {
                    0 => ["pong", "ping", "binary", "binary"],
                    _ if begun <= one => ["binary", "pong", "ping", "binary"],
                    _ => ["binary", "binary", "pong", "ping"],
                };
                assert_eq!(kinds, expected, "{role:?}, {begun} of {one} bytes written");
            }
        }
    }
}

/// Returns the length of a frame that we send with `payload` bytes of payload.
fn frame_len(role: Role, payload: usize) -> usize {
    let mut end = Scenario::of(role).open();
    end.conn.send(vec![0; payload]).unwrap();
    end.conn.buffered_amount()
}

#[test]
fn s5_5_1_a_received_close_drops_all_frames_but_the_partly_written_one() {
    for role in ROLES {
        for fails in [false, true] {
            for big in [10, 5000] {
                let one = frame_len(role, big);
                for begun in (0..=2 * one).filter(|begun| begun % one < 20 || begun % one + 20 > one) {
                    let mut end = Scenario::of(role).open();
                    end.conn.send(vec![b'1'; big]).unwrap();
                    end.conn.send(vec![b'2'; big]).unwrap();
                    end.conn.send(vec![b'3'; big]).unwrap();
                    end.write(begun);
                    end.conn.ping(end.now, b"own").unwrap();
                    end.receive(Opcode::Ping, "asks");
                    let waits = end.conn.buffered_amount();
                    if fails {
                        assert_eq!(end.feed(&[0x83]), [Seen::Failed(ProtocolError::UnknownOpcode(3))]);
                    } else {
                        end.receive_close(1001, "");
                    }
                    let finished = begun.next_multiple_of(one) - begun;
                    trickle(&mut end, 7);
                    let sent = end.sent();
                    let (close, data) = sent.split_last().unwrap();
                    assert_eq!(close, if fails { "close 1002 unknown opcode" } else { "close 1001" });
                    assert_eq!(data.len(), begun.div_ceil(one), "{sent:?}");
                    // The count excludes the automatic Pong and the Ping, which are not data of the application.
                    let mask = if role == Role::Client { 4 } else { 0 };
                    let control = 2 + 3 + mask + 2 + 4 + mask;
                    assert_eq!(end.conn.sender().dropped(), (waits - control - finished) as u64);
                }
            }
        }
    }
}

#[test]
fn s5_5_1_a_close_is_not_counted_as_dropped() {
    for role in ROLES {
        // Both endpoints close while the transport accepts nothing. The queued message is dropped, but our Close stays
        // queued.
        let mut end = Scenario::of(role).open();
        end.conn.send_text("not for you").unwrap();
        let message = end.conn.buffered_amount() as u64;
        end.write(0);
        end.conn.close(end.now, CloseCode::NORMAL, "bye").unwrap();
        end.receive_close(1000, "");
        assert_eq!(end.conn.sender().dropped(), message);
        // The stream ends before our Close is written.
        let mut end = Scenario::of(role).open();
        end.conn.close(end.now, CloseCode::NORMAL, "bye").unwrap();
        end.write(3);
        end.eof();
        assert_eq!(end.conn.sender().dropped(), 0);
    }
}

#[test]
fn s5_5_1_a_partly_written_pong_is_finished_before_the_close() {
    for role in ROLES {
        let pong = 2 + 5 + if role == Role::Client { 4 } else { 0 };
        for own in [false, true] {
            for begun in 0..=pong {
                let mut end = Scenario::of(role).open();
                end.receive(Opcode::Ping, "first");
                end.write(begun);
                end.conn.send_text("data").unwrap();
                end.receive(Opcode::Ping, "other");
                if own {
                    end.conn.close(end.now, CloseCode::NORMAL, "").unwrap();
                    end.receive(Opcode::Ping, "third");
                    trickle(&mut end, 3);
                    let expected = ["pong first", "pong other", "pong third", "text data", "close 1000"];
                    assert_eq!(end.sent(), expected, "{begun}");
                } else {
                    end.receive_close(1000, "");
                    trickle(&mut end, 3);
                    let expected: &[&str] = match begun {
                        0 => &["close 1000"],
                        _ if begun < pong => &["pong first", "close 1000"],
                        // The first Pong was written whole, so the transport is not congested, and the Close drops
                        // nothing.
                        _ => &["pong first", "pong other", "text data", "close 1000"],
                    };
                    assert_eq!(end.sent(), expected, "{begun}");
                }
            }
        }
    }
}

#[test]
fn s5_6_a_send_is_refused_above_the_high_water_mark() {
    for role in ROLES {
        let mut end = Scenario::of(role).config(Config::new().high_water(1000)).open();
        // Fewer bytes than the mark are queued, so one message of any size is accepted.
        end.conn.send_binary(&[0; 900]).unwrap();
        end.conn.send_binary(&[0; 200_000]).unwrap();
        let waits = end.conn.buffered_amount();
        let counters = end.conn.sent();
        assert_eq!(end.conn.send_text("x"), Err(SendError::Blocked));
        assert_eq!(end.conn.send_fragment(MessageKind::Text, b"x", false), Err(SendError::Blocked));
        let refused = end.conn.send("handed back").unwrap_err();
        assert_eq!((refused.error, refused.message), (SendError::Blocked, Message::from("handed back")));
        assert_eq!(end.conn.send_prepared(&Prepared::new(vec![0; 9000])), Err(SendError::Blocked));
        assert_eq!((end.conn.buffered_amount(), end.conn.sent()), (waits, counters));
        assert_eq!(end.poll(), []);
        end.write(150_000);
        assert_eq!(end.poll(), [], "Writable came too early");
        end.write_all();
        assert_eq!(end.poll(), [Seen::Writable]);
        assert_eq!(end.poll(), [], "Writable came twice");
        end.conn.send_text("x").unwrap();
        end.write_all();
        assert_eq!(end.poll(), [], "no send was refused");
        assert_eq!(end.conn.sender().dropped(), 0);
    }
}

#[test]
fn s5_6_a_close_is_accepted_above_the_high_water_mark() {
    for role in ROLES {
        let mut end = Scenario::of(role).config(Config::new().high_water(0)).open();
        end.conn.send_binary(&[0; 200]).unwrap();
        assert_eq!(end.conn.send_text("x"), Err(SendError::Blocked));
        end.conn.close(end.now, CloseCode::NORMAL, "").unwrap();
        assert_eq!(end.flush(), ["binary [200]", "close 1000"]);
        assert_eq!(end.poll(), [], "a closing connection is not writable");
    }
}

#[test]
fn s5_5_1_a_close_follows_messages_that_wait_above_the_high_water_mark() {
    let waiting = || ["one", "two"].map(Message::from).into_iter();
    for role in ROLES {
        let mut end = Scenario::of(role).config(Config::new().high_water(0)).open();
        end.conn.send_binary(&[0; 200]).unwrap();
        let mut messages = waiting();
        let refused = end.conn.close_after(end.now, CloseCode::NO_STATUS, "", &mut messages);
        assert_eq!((refused, messages.len()), (Err(SendError::CodeNotAllowed), 2));
        end.conn.close_after(end.now, CloseCode::NORMAL, "", &mut messages).unwrap();
        let again = end.conn.close_after(end.now, CloseCode::NORMAL, "", &mut waiting());
        assert_eq!(again, Err(SendError::Closed));
        assert_eq!(end.flush(), ["binary [200]", "text one", "text two", "close 1000"]);
        assert_eq!(end.conn.sender().dropped(), 0);
        assert_eq!(end.poll(), [], "a closing connection is not writable");
    }
}

#[test]
fn s5_4_a_message_that_waits_for_the_end_of_a_fragmented_one_is_dropped_by_a_close() {
    let mut end = Scenario::server().open();
    end.conn.send_fragment(MessageKind::Text, b"a", false).unwrap();
    end.conn.close_after(end.now, CloseCode::NORMAL, "", &mut [Message::from("b")].into_iter()).unwrap();
    assert!(end.conn.sender().dropped() > 0);
    assert_eq!(end.flush().last().unwrap(), "close 1000");
}

#[test]
fn s5_6_a_writable_connection_accepts_a_message() {
    for high_water in [0, 1, 2, 3, 10, 1000] {
        let mut end = Scenario::server().config(Config::new().high_water(high_water)).open();
        for _ in 0..100 {
            while end.conn.send_text("12345").is_ok() {}
            while end.poll() != [Seen::Writable] {
                assert!(!end.write(1).is_empty(), "a send is blocked, but nothing is queued");
            }
            end.conn.send_text("12345").unwrap();
        }
    }
}

#[test]
fn s5_2_a_large_payload_of_a_server_is_not_copied() {
    let mut end = Scenario::server().config(Config::new().high_water(1 << 20)).open();
    let large = bytes::Bytes::from(vec![1; 100_000]);
    let words = Text::from("text ".repeat(20_000));
    end.conn.send_text("small").unwrap();
    end.conn.send(large.clone()).unwrap();
    end.conn.send(words.clone()).unwrap();
    end.conn.send_prepared(&Prepared::new(large.clone())).unwrap();
    let mut slices = [&[][..]; 16];
    let count = end.conn.poll_transmit(&mut slices);
    let at: Vec<_> = slices[..count].iter().map(|slice| slice.as_ptr()).collect();
    assert_eq!(at.iter().filter(|at| **at == large.as_ptr()).count(), 2);
    assert!(at.contains(&words.as_ptr()));
    assert_eq!(end.conn.buffered_amount(), 7 + 3 * (10 + 100_000));
    // After a partial write the rest is still not copied.
    end.write(7 + 10 + 4321);
    let mut slices = [&[][..]; 16];
    let _ = end.conn.poll_transmit(&mut slices);
    assert_eq!(slices[0].as_ptr(), large[4321..].as_ptr());
    trickle(&mut end, 1021);
    let payloads: Vec<_> = parse(Role::Server, &end.wire).into_iter().map(|sent| sent.payload).collect();
    assert!(payloads == [b"small".to_vec(), large.to_vec(), words.as_bytes().to_vec(), large.to_vec()]);
    // The connection drops its references to the payload when the payload is written.
    drop(large.clone());
    assert!(large.is_unique());
}

#[test]
fn s5_2_a_prepared_message_is_the_same_on_the_wire() {
    for role in ROLES {
        for size in [0, 1, 125, 126, 4095, 4096, 70_000] {
            for message in [Message::from("x".repeat(size)), Message::from(vec![7; size])] {
                let (mut one, mut other) = (Scenario::of(role).open(), Scenario::of(role).open());
                let prepared = Prepared::new(message.clone());
                for _ in 0..2 {
                    one.conn.send(message.clone()).unwrap();
                    other.conn.send_prepared(&prepared).unwrap();
                    assert_eq!(one.write(usize::MAX), other.write(usize::MAX));
                }
                assert_eq!(one.conn.sent(), other.conn.sent());
                assert_eq!(one.conn.sent().messages, 2);
            }
        }
    }
}

#[test]
fn s5_2_poll_transmit_fills_few_slices_with_the_first_bytes_of_the_output() {
    for space in 1..6 {
        let mut end = Scenario::server().config(Config::new().high_water(1 << 20)).open();
        for i in 0..5 {
            end.conn.send(vec![i; 5000]).unwrap();
            end.conn.send_text("between").unwrap();
        }
        end.write(2000);
        end.receive(Opcode::Ping, "p");
        let mut wire = end.wire.clone();
        while end.conn.buffered_amount() > 0 {
            let mut slices = vec![&[][..]; space];
            let count = end.conn.poll_transmit(&mut slices);
            let bytes = slices[..count].concat();
            assert!(!bytes.is_empty() && count <= space);
            end.conn.transmitted(end.now, bytes.len());
            wire.extend(bytes);
        }
        let sent = crate::pair::shown(Role::Server, &wire);
        assert_eq!((sent.len(), sent[1].as_str()), (11, "pong p"));
    }
}

#[test]
fn s5_2_a_write_count_above_the_queued_bytes_counts_as_all_queued_bytes() {
    for role in ROLES {
        let mut end = Scenario::of(role).open();
        end.conn.transmitted(end.now, usize::MAX);
        end.conn.send_text("x").unwrap();
        end.receive(Opcode::Ping, "p");
        end.conn.transmitted(end.now, usize::MAX);
        assert_eq!(end.conn.buffered_amount(), 0);
        end.conn.send_text("y").unwrap();
        assert_eq!(end.flush(), ["text y"]);
    }
}

#[test]
fn s5_6_a_prepared_message_can_be_sent_to_many_peers() {
    for payload in [10, 10_000] {
        let news = Prepared::new(vec![9; payload]);
        for role in ROLES {
            for _ in 0..3 {
                let mut end = Scenario::of(role).open();
                end.conn.send_prepared(&news).unwrap();
                end.write_all();
                assert_eq!(parse(role, &end.wire)[0].payload, news.message().as_bytes());
                assert_eq!(end.conn.sent().messages, 1);
            }
        }
    }
}

#[test]
fn s5_6_release_idle_keeps_queued_output() {
    for role in ROLES {
        let mut end = Scenario::of(role).open();
        end.conn.release_idle();
        end.conn.send_text("one").unwrap();
        end.conn.release_idle();
        end.write(2);
        end.conn.release_idle();
        end.receive(Opcode::Ping, "p");
        end.conn.release_idle();
        end.write_all();
        end.conn.release_idle();
        end.receive(Opcode::Ping, "q");
        end.write(1);
        end.conn.release_idle();
        end.receive(Opcode::Ping, "r");
        end.conn.release_idle();
        end.conn.send(vec![0; 5000]).unwrap();
        end.write_all();
        end.conn.release_idle();
        assert_eq!(end.sent(), ["text one", "pong p", "pong q", "pong r", "binary [5000]"]);
        assert_eq!(end.conn.sent().bytes, end.wire.len() as u64);
    }
}

// --- random calls ---

/// The data frames that the output must contain, and the control frames that it may contain.
#[derive(Default)]
struct Model {
    /// Data frames in order, with their FIN bit.
    data: Vec<(Vec<u8>, bool)>,
    /// Control frames in order: Pings and Pongs of the application, and automatic Pongs.
    control: VecDeque<(Opcode, Vec<u8>)>,
    /// True until the peer has closed or the connection has failed.
    open: bool,
}

/// Calls random methods of a connection, writes in pieces of random length, and compares the written bytes with a
/// model.
fn torture<O: WriteQueue>(
    seed: u64,
    conn: Connection<O>,
    send: fn(&mut Connection<O>, Vec<u8>) -> Result<(), SendError>,
) {
    let mut dice = Dice::new(seed);
    let mut end = End::new(conn, VecMessage::new());
    let mut model = Model { open: true, ..Model::default() };
    let (mut in_message, mut closed_by) = (false, "");
    let mut count = 0u32;
    for _ in 0..60 {
        count += 1;
        let len = [0, 3, 30, 130, 5000][dice.below(5)] + 4;
        let mut payload = count.to_be_bytes().to_vec();
        payload.resize(len, b'.');
        let control = payload[..len.min(125)].to_vec();
        match dice.below(14) {
            0..=3 => {
                let most = [3, 20, 200, 9000][dice.below(4)];
                end.write(dice.below(most));
            }
            4 if !in_message => {
                if end.conn.send_binary(&payload).is_ok() {
                    model.data.push((payload, true));
                }
            }
            5 if !in_message => {
                if send(&mut end.conn, payload.clone()).is_ok() {
                    model.data.push((payload, true));
                }
            }
            6 | 7 => {
                let fin = dice.below(2) == 0;
                if end.conn.send_fragment(MessageKind::Binary, &payload, fin).is_ok() {
                    in_message = !fin;
                    model.data.push((payload, fin));
                }
            }
            8 | 9 => {
                end.receive(Opcode::Ping, &control);
                if model.open {
                    model.control.push_back((Opcode::Pong, control));
                }
            }
            10 => {
                if end.conn.ping(end.now, &control).is_ok() {
                    model.control.push_back((Opcode::Ping, control));
                }
            }
            11 => {
                if end.conn.pong(&control).is_ok() {
                    model.control.push_back((Opcode::Pong, control));
                }
            }
            12 if dice.below(6) == 0 && closed_by.is_empty() => {
                end.conn.close(end.now, CloseCode::NORMAL, "own").unwrap();
                closed_by = "own";
            }
            13 if dice.below(6) == 0 && model.open => {
                if dice.below(2) == 0 {
                    end.receive_close(1001, "");
                } else {
                    end.feed(&[0x83]);
                }
                model.open = false;
                closed_by = "peer";
            }
            _ => {}
        }
    }
    let waits = end.conn.buffered_amount() as u64;
    let written = end.wire.len() as u64;
    end.write_all();
    assert_eq!(end.wire.len() as u64, waits + written);
    assert_eq!(end.conn.sent().bytes, end.wire.len() as u64);

    let frames = parse(end.role(), &end.wire);
    let close_at = frames.iter().position(|sent| sent.header.opcode == Opcode::Close);
    assert_eq!(close_at.is_some(), !closed_by.is_empty(), "seed {seed}");
    assert!(close_at.is_none_or(|at| at == frames.len() - 1), "seed {seed}: the Close is the last frame");
    let mut data = model.data.iter();
    let mut first = true;
    for sent in &frames {
        match sent.header.opcode {
            Opcode::Close => {}
            Opcode::Binary | Opcode::Continuation => {
                let expected = data.next().expect("more data than was accepted");
                assert!(
                    (&sent.payload, sent.header.fin) == (&expected.0, expected.1),
                    "seed {seed}: data out of order"
                );
                assert_eq!(sent.header.opcode == Opcode::Binary, first);
                first = sent.header.fin;
            }
            opcode => {
                // Control frames keep their order. Newer Pongs may have replaced older ones.
                loop {
                    let next =
                        model.control.pop_front().expect("a control frame out of order, or that nobody sent");
                    if next == (opcode, sent.payload.clone()) {
                        break;
                    }
                    assert_eq!(next.0, Opcode::Pong, "seed {seed}: a Ping was lost");
                }
            }
        }
    }
    if closed_by != "peer" {
        // The wire contains all accepted data.
        assert_eq!(data.next(), None, "seed {seed}");
        assert_eq!(end.conn.sender().dropped(), 0);
        assert!(
            model.control.iter().all(|(opcode, _)| *opcode == Opcode::Pong),
            "seed {seed}: a Ping was lost"
        );
    } else if end.conn.sender().dropped() == 0 {
        assert_eq!(data.next(), None, "seed {seed}: data is missing, but nothing was dropped");
    }
    if closed_by.is_empty() {
        assert!(model.control.is_empty(), "seed {seed}: the last Ping was not answered");
    }
}

#[test]
fn s5_4_anything_in_any_order_gives_whole_frames_in_order() {
    for seed in 0..1000 {
        for role in ROLES {
            let config = Config::new().high_water([100, 5000, 1 << 20][seed as usize % 3]);
            torture(seed, crate::pair::connection(role, config), |conn: &mut Connection, payload| {
                conn.send(payload).map_err(|refused| refused.error)
            });
        }
    }
}

#[test]
fn s5_4_anything_in_any_order_gives_whole_frames_in_borrowed_memory() {
    for seed in 0..1000 {
        for role in ROLES {
            let mut memory = vec![0; [131, 145, 163, 420, 6000][seed as usize % 5]];
            let mut control = [0; 508];
            let (now, out) = (hybi::Instant::ZERO, SliceOutbox::new(&mut memory, &mut control));
            let conn = match role {
                Role::Server => Connection::server(now, Config::new(), out),
                Role::Client => Connection::client(now, Config::new(), out, [1; 32]),
            };
            torture(seed, conn, |conn, payload| conn.send_binary(&payload));
        }
    }
}

#[test]
fn s5_4_halves_give_whole_frames_in_order() {
    let (_, mut sender) = crate::pair::connection(Role::Server, Config::new()).into_halves();
    sender.send_text("x").unwrap();
    let mut slices = [&[][..]; 2];
    assert_eq!(sender.poll_transmit(&mut slices), 1);
    assert_eq!(slices[0], b"\x81\x01x");
    let _: Outbox = Outbox::default();
}

#[test]
fn s5_5_1_a_close_follows_all_data_while_the_transport_accepts_everything() {
    for role in ROLES {
        for fails in [false, true] {
            let mut end = Scenario::of(role).open();
            end.conn.send_text("one").unwrap();
            end.write_all();
            end.conn.send_text("two").unwrap();
            end.conn.send_fragment(MessageKind::Text, b"three", false).unwrap();
            end.conn.ping(end.now, b"p").unwrap();
            if fails {
                end.feed(&[0x83]);
            } else {
                end.receive_close(1000, "");
            }
            assert_eq!(end.conn.sender().dropped(), 0);
            assert_eq!(end.conn.poll_transport(), None);
            let close = if fails { "close 1002 unknown opcode" } else { "close 1000" };
            assert_eq!(end.flush(), ["ping p", "text two", "text- three", close]);
        }
    }
}

/// Writes to a transport that may keep the bytes of a refused write, as OpenSSL does. The next write must begin with
/// the kept bytes.
fn write_to_a_transport_that_keeps<O: WriteQueue, M: hybi::MessageBuffer>(
    end: &mut End<O, M>,
    dice: &mut Dice,
    kept: &mut Vec<u8>,
) {
    let mut slices = [&[][..]; 32];
    let count = end.conn.poll_transmit_retryable(&mut slices);
    let offered = slices[..count].concat();
    assert_eq!(offered.is_empty(), end.conn.buffered_amount() == 0);
    assert!(offered.starts_with(kept), "the write does not begin with the kept bytes");
    if offered.is_empty() {
        return;
    }
    if dice.below(3) == 0 {
        end.conn.transmit_refused(offered.len());
        end.conn.transmitted(end.now, 0);
        *kept = offered;
    } else {
        let taken = kept.len().max(1 + dice.below(offered.len()));
        end.conn.transmitted(end.now, taken);
        end.wire.extend_from_slice(&offered[..taken]);
        kept.clear();
    }
}

#[test]
fn s5_4_bytes_that_a_transport_keeps_come_first_in_the_next_write() {
    for seed in 0..2000 {
        let mut dice = Dice::new(seed);
        let role = ROLES[dice.below(2)];
        let mut end = Scenario::of(role).open();
        let (mut kept, mut messages, mut closed) = (Vec::new(), 0, false);
        for step in 0..60 {
            match dice.below(10) {
                0..=2 => {
                    let len = [0, 7, 200, 5000, 40_000][dice.below(5)];
                    messages += u64::from(end.conn.send(vec![b'm'; len]).is_ok());
                }
                3 => drop(end.receive(Opcode::Ping, vec![b'p'; dice.below(126)])),
                4 => drop(end.conn.ping(end.now, &vec![b'q'; dice.below(126)])),
                5 if step > 40 && !closed => {
                    closed = true;
                    match dice.below(3) {
                        0 => drop(end.conn.close(end.now, CloseCode::NORMAL, "bye")),
                        1 => drop(end.receive_close(1001, "away")),
                        _ => drop(end.feed(&[0x83])),
                    }
                }
                _ => write_to_a_transport_that_keeps(&mut end, &mut dice, &mut kept),
            }
        }
        while end.conn.buffered_amount() > 0 {
            write_to_a_transport_that_keeps(&mut end, &mut dice, &mut kept);
        }
        // All frames are whole, no message is sent twice, and missing messages were counted as dropped.
        let sent = parse(role, &end.wire);
        let data = sent.iter().filter(|frame| frame.header.opcode == Opcode::Binary).count() as u64;
        assert!(data == messages || data < messages && end.conn.sender().dropped() > 0, "seed {seed}");
        let close = sent.iter().position(|frame| frame.header.opcode == Opcode::Close);
        assert_eq!(close, closed.then(|| sent.len() - 1), "seed {seed}");
    }
}

#[test]
fn s5_5_1_a_close_replaces_control_frames_that_were_not_passed_to_a_write() {
    let mut end = Scenario::server().open();
    // Ten Pongs of 125 bytes do not fit, so the control queue is full.
    for _ in 0..10 {
        end.receive(Opcode::Ping, [b'p'; 125]);
    }
    let mut slices = [&[][..]; 8];
    let count = end.conn.poll_transmit_retryable(&mut slices);
    let offered = slices[..count].concat();
    assert_eq!(offered.len(), 127, "a write offers more than one frame of the largest size");
    end.conn.transmit_refused(offered.len());
    end.conn.transmitted(end.now, 0);
    end.receive_close(1000, "");
    assert_eq!(end.flush().len(), 2, "one Pong and the Close");
    assert!(end.wire.starts_with(&offered));
}
