//! Program structures that a connection must support.
//!
//! The first program has two tasks with a half of the connection each. The second has a thousand connections that share
//! one read buffer. The third is a readiness loop whose reads and writes may stop anywhere.
//!
//! These tests use the core without an adapter. The halves of the adapters are tested in
//! `tests/async_adapters/halves.rs` and `tests/net/split.rs`.

use std::sync::{Arc, mpsc};

use hybi::CloseState;
use hybi::frame::Opcode;
use hybi::{
    CloseCode, Config, Event, Input, Instant, Message, MessageKind, Outcome, PendingReply, ProtocolError,
    Role, Sender, TimerKind, VecMessage,
};

use crate::pair::{Dice, End, Pair, Scenario, Seen, connection, frame, secs, shown, text};

/// A message from the receiving task to the sending task.
enum ToSender {
    Received { data: bool, owed: Option<PendingReply> },
    Echo(Message),
    Eof(hybi::EofPosition),
}

/// Runs the receiving task: reads pieces of `size` bytes, and forwards each message to the sending task.
fn receive(mut receiver: hybi::Receiver, wire: &[u8], size: usize, to: &mpsc::Sender<ToSender>) -> Vec<Seen> {
    let (mut message, mut seen) = (VecMessage::new(), Vec::new());
    for piece in wire.chunks(size) {
        let mut bytes = piece.to_vec();
        let mut input = Input::new(&mut bytes, &mut message);
        loop {
            match receiver.poll(&mut input) {
                Ok(Some(ready)) => {
                    let owed = input.reply(ready);
                    to.send(ToSender::Received { data: owed.is_none(), owed }).unwrap();
                    match input.event(ready) {
                        Event::Text(text) => to.send(ToSender::Echo(text.to_owned().into())).unwrap(),
                        Event::Binary(data) => to.send(ToSender::Echo(data.to_vec().into())).unwrap(),
                        _ => {}
                    }
                    seen.push(input.event(ready).into());
                }
                Ok(None) => break,
                Err(error) => {
                    to.send(ToSender::Received { data: false, owed: Some(error.into()) }).unwrap();
                    seen.push(Seen::Failed(error));
                }
            }
        }
    }
    to.send(ToSender::Eof(receiver.eof_position())).unwrap();
    seen
}

/// Runs the sending task: follows the messages of the receiving task, and writes in pieces of `size` bytes.
fn send(
    mut sender: Sender<hybi::Outbox>,
    from: &mpsc::Receiver<ToSender>,
    size: usize,
) -> (Vec<u8>, Outcome) {
    let (now, mut wire) = (Instant::ZERO, Vec::new());
    let write = |sender: &mut Sender<hybi::Outbox>, wire: &mut Vec<u8>| {
        let mut slices = [&[][..]; 8];
        let count = sender.poll_transmit(&mut slices);
        let mut bytes = slices[..count].concat();
        bytes.truncate(size);
        sender.transmitted(now, bytes.len());
        wire.extend_from_slice(&bytes);
        !bytes.is_empty()
    };
    for command in from {
        match command {
            ToSender::Received { data, owed } => {
                sender.apply(now, PendingReply::Received { data });
                if let Some(owed) = owed {
                    sender.apply(now, owed);
                }
            }
            ToSender::Echo(mut message) => {
                while let Err(refused) = sender.send(message) {
                    message = refused.message;
                    if !write(&mut sender, &mut wire) {
                        // The connection is closed, so the message cannot be echoed.
                        break;
                    }
                }
            }
            ToSender::Eof(cut) => {
                while write(&mut sender, &mut wire) {}
                sender.handle_eof(cut);
                let Some(ready) = sender.poll() else { panic!("no event at the end") };
                let mut message = VecMessage::new();
                let Event::Closed(outcome) = Input::new(&mut [], &mut message).event(ready) else {
                    panic!("the event is not `Closed`")
                };
                return (wire, outcome);
            }
        }
        write(&mut sender, &mut wire);
    }
    panic!("the receiving task ended without `Eof`");
}

#[test]
fn s5_5_halves_in_two_tasks_answer_pings_closes_and_errors_of_the_peer() {
    let mut wire = Vec::new();
    for i in 0..300usize {
        wire.extend(frame(Role::Client, Opcode::Text, false, format!("{i} ").as_bytes()));
        wire.extend(frame(Role::Client, Opcode::Ping, true, i.to_string().as_bytes()));
        wire.extend(frame(Role::Client, Opcode::Continuation, true, "long ".repeat(i).as_bytes()));
    }
    let close = frame(Role::Client, Opcode::Close, true, b"\x03\xe9");
    let clean = Outcome::Clean { code: CloseCode::GOING_AWAY };
    let failed = Outcome::Failed(ProtocolError::UnknownOpcode(3));
    for (ending, answer, expected) in
        [(close, "close 1001", clean), (vec![0x83], "close 1002 unknown opcode", failed)]
    {
        for size in [13, 1000, 100_000] {
            let mut wire = wire.clone();
            wire.extend(&ending);
            wire.extend(frame(Role::Client, Opcode::Text, true, b"late"));
            let (receiver, sender) = connection(Role::Server, Config::new()).into_halves();
            let (to, from) = mpsc::channel();
            let receiving = std::thread::spawn(move || receive(receiver, &wire, size, &to));
            let (sent, outcome) = send(sender, &from, size);
            let seen = receiving.join().unwrap();
            assert_eq!(outcome, expected);
            assert_eq!(seen.len(), 601);
            let sent = shown(Role::Server, &sent);
            assert_eq!(sent.last().unwrap(), answer);
            assert!(sent.iter().filter(|frame| frame.starts_with("text")).count() <= 300);
            assert!(sent.iter().filter(|frame| frame.starts_with("close")).count() == 1);
        }
    }
}

#[test]
fn s5_5_halves_can_be_joined_again() {
    let mut end = Scenario::client().open();
    end.conn.send_text("before").unwrap();
    end.receive_part(Opcode::Text, false, "cut ");
    let (receiver, mut sender) = end.conn.into_halves();
    assert_eq!(receiver.eof_position(), hybi::EofPosition::InMessage);
    sender.send_fragment(MessageKind::Text, b"apart", true).unwrap();
    end.conn = hybi::Connection::from_halves(receiver, sender);
    assert_eq!(end.receive(Opcode::Continuation, "here"), [text("cut here")]);
    assert_eq!(end.flush(), ["text before", "text apart"]);
}

#[test]
fn s5_5_2_a_round_trip_is_measured_across_halves() {
    let (mut receiver, mut sender) = connection(Role::Server, Config::new()).into_halves();
    sender.ping(Instant::ZERO, b"rtt").unwrap();
    sender.transmitted(Instant::ZERO, usize::MAX);
    let mut bytes = frame(Role::Client, Opcode::Pong, true, b"rtt");
    let mut message = VecMessage::new();
    let mut input = Input::new(&mut bytes, &mut message);
    let ready = receiver.poll(&mut input).unwrap().unwrap();
    sender.apply(Instant::ZERO + secs(3), PendingReply::Received { data: false });
    sender.apply(Instant::ZERO + secs(3), input.reply(ready).unwrap());
    assert_eq!(sender.round_trip(), Some(secs(3)));
}

#[test]
fn s7_1_7_a_failure_by_a_timer_reaches_the_other_half() {
    let (mut receiver, mut sender) = connection(Role::Server, Config::new()).into_halves();
    sender.handle_timeout(Instant::ZERO + secs(30));
    sender.handle_timeout(Instant::ZERO + secs(60));
    assert_eq!(sender.close_state(), CloseState::Failed);
    receiver.handle_ended();
    let mut bytes = frame(Role::Client, Opcode::Text, true, b"late");
    let mut message = VecMessage::new();
    assert_eq!(receiver.poll(&mut Input::new(&mut bytes, &mut message)), Ok(None));
    assert!(receiver.is_done());
}

#[test]
fn s5_4_a_thousand_connections_share_one_read_buffer() {
    const CONNECTIONS: usize = 1000;
    let mut dice = Dice::new(1);
    let mut buffer = vec![0; 16 << 10];
    // Each connection has its own stream: messages of many sizes with Pings inside them.
    let mut peers: Vec<Peer> = (0..CONNECTIONS)
        .map(|i| {
            let (mut wire, mut expected) = (Vec::new(), Vec::new());
            for j in 0..4 {
                let words = format!("{i}:{j} κόσμε ").repeat(1 + (i * 7 + j * 13) % 90);
                let (head, tail) = words.as_bytes().split_at(words.len() / 3);
                wire.extend(frame(Role::Client, Opcode::Text, false, head));
                wire.extend(frame(Role::Client, Opcode::Ping, true, &[j as u8]));
                wire.extend(frame(Role::Client, Opcode::Continuation, true, tail));
                expected.extend([Seen::Ping(vec![j as u8]), text(&words)]);
            }
            Peer { end: Scenario::server().open(), wire, at: 0, expected }
        })
        .collect();
    // The next connection and the number of bytes that it reads are random.
    let mut waiting: Vec<usize> = (0..CONNECTIONS).collect();
    while !waiting.is_empty() {
        let turn = dice.below(waiting.len());
        let peer = &mut peers[waiting[turn]];
        let len = (1 + dice.below(700)).min(peer.wire.len() - peer.at);
        buffer[..len].copy_from_slice(&peer.wire[peer.at..peer.at + len]);
        poll_shared(&mut peer.end, &mut buffer[..len]);
        peer.at += len;
        if peer.at == peer.wire.len() {
            waiting.swap_remove(turn);
        }
        // The other connections overwrite the shared buffer. So no connection may need bytes that it left in the
        // buffer.
        buffer.fill(0xEE);
    }
    for Peer { mut end, expected, .. } in peers {
        assert_eq!(end.seen, expected);
        end.write_all();
        assert_eq!(end.sent(), ["pong \u{0}", "pong \u{1}", "pong \u{2}", "pong \u{3}"]);
        end.message.release_idle();
        assert_eq!(end.message.capacity(), 0);
    }
}

struct Peer {
    end: End,
    wire: Vec<u8>,
    at: usize,
    expected: Vec<Seen>,
}

fn poll_shared(end: &mut End, bytes: &mut [u8]) {
    let mut input = Input::new(bytes, &mut end.message);
    while let Some(event) = end.conn.poll_event(end.now, &mut input).unwrap() {
        end.seen.push(event.into());
    }
}

#[test]
fn s5_4_a_readiness_loop_may_read_and_write_partially() {
    for seed in 0..200 {
        let mut dice = Dice::new(seed);
        let mut pair = Pair::new();
        let mut expected = [Vec::new(), Vec::new()];
        for i in 0..60usize {
            let words = format!("{i} ").repeat(dice.below(400));
            let first = dice.below(2);
            let (one, other) = match first {
                0 => (&mut pair.client, &mut pair.server),
                _ => (&mut pair.server, &mut pair.client),
            };
            let _ = other;
            match dice.below(3) {
                0 => one.conn.send_text(&words).unwrap(),
                1 => one.conn.send(words.clone()).unwrap(),
                _ => {
                    let (head, tail) = words.split_at(words.len() / 2);
                    one.conn.send_fragment(MessageKind::Text, head.as_bytes(), false).unwrap();
                    one.conn.ping(one.now, b"inside").unwrap();
                    one.conn.send_fragment(MessageKind::Text, tail.as_bytes(), true).unwrap();
                }
            }
            expected[first].push(text(&words));
            for _ in 0..dice.below(20) {
                pair.cap = 1 + dice.below(500);
                pair.step();
            }
        }
        pair.client.conn.close(pair.client.now, CloseCode::NORMAL, "done").unwrap();
        // If the Close arrives before the server has sent everything, the remaining messages are dropped and counted.
        for _ in 0..100_000 {
            pair.cap = 1 + dice.below(300);
            if !pair.step() {
                break;
            }
        }
        let texts = |seen: &[Seen]| {
            seen.iter().filter(|event| matches!(event, Seen::Text(_))).cloned().collect::<Vec<_>>()
        };
        assert_eq!(texts(&pair.server.seen), expected[0], "seed {seed}");
        let heard = texts(&pair.client.seen);
        assert_eq!(heard, expected[1][..heard.len()], "seed {seed}");
        assert_eq!(heard.len() < expected[1].len(), pair.server.conn.sender().dropped() > 0, "seed {seed}");
        for end in [&pair.client, &pair.server] {
            let closed: Vec<_> = end.seen.iter().filter(|event| matches!(event, Seen::Closed(_))).collect();
            assert_eq!(closed, [&crate::pair::closed_clean(1000)]);
            assert_eq!(end.seen.last(), Some(closed[0]));
        }
    }
}

#[test]
fn s7_1_7_an_error_after_a_timer_failed_the_connection_changes_nothing() {
    let config = Config::new().ping_interval(Some(secs(1))).pong_timeout(Some(secs(1)));
    let (receiver, mut sender) = connection(Role::Server, config).into_halves();
    let (mut wire, mut now) = (Vec::new(), Instant::ZERO);
    for _ in 0..2 {
        now = sender.poll_timeout().unwrap();
        sender.handle_timeout(now);
        let mut slices = [&[][..]; 8];
        let count = sender.poll_transmit(&mut slices);
        wire.extend(slices[..count].concat());
        sender.transmitted(now, sender.buffered_amount());
    }
    assert_eq!(sender.close_state(), CloseState::Failed);
    // The receiving task does not know about the failure yet, and reports another error.
    let masked = ProtocolError::Masked;
    sender.apply(now, masked);
    assert_eq!((sender.buffered_amount(), sender.close_state()), (0, CloseState::Failed));
    let sent = shown(Role::Server, &wire);
    assert!(sent[0].starts_with("ping") && sent[1..] == ["close 1011 no answer to a ping"], "{sent:?}");
    sender.handle_eof(receiver.eof_position());
    sender.apply(now, masked);
    let mut message = VecMessage::new();
    let ended = sender.poll().map(|ready| Seen::from(Input::new(&mut [], &mut message).event(ready)));
    assert_eq!(ended, Some(Seen::Closed(Outcome::TimedOut(TimerKind::Pong))));
}

#[test]
fn many_connections_share_one_configuration() {
    let config = Arc::new(Config::new().max_message(3));
    for role in [Role::Server, Role::Client] {
        let mut end = End::new(connection(role, Arc::clone(&config)), VecMessage::new());
        assert_eq!(end.receive(Opcode::Text, "abc"), [text("abc")]);
        assert!(std::ptr::eq(end.conn.sender().config(), &*config));
        assert_eq!(end.receive(Opcode::Text, "abcd"), [Seen::Failed(ProtocolError::MessageTooBig)]);
    }
}
