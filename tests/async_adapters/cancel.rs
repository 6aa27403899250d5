//! Cancellation: futures that are dropped before they are done.
//!
//! A future may be dropped at any place where it waits. The peer must still receive an intact stream of bytes, and no
//! message may be lost or doubled. These tests drop futures after a given number of polls, over streams that move few
//! bytes per call. `dropped.rs` drops the future of every operation after every possible number of polls.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use futures_core::Stream;
use futures_sink::Sink;
use hybi::adapters::futures_io::Error;
use hybi::{CloseCode, Event, Message, MessageKind, Prepared, Role};

use super::support::*;

const ROLES: [Role; 2] = [Role::Server, Role::Client];

/// Returns behaviors of streams, each with a different maximum number of bytes per call. Each call first returns
/// `Pending` once.
fn behaviors() -> impl Iterator<Item = Behavior> {
    [1, 2, 3, 7, 64, 1000, usize::MAX].into_iter().map(|piece| Behavior {
        piece,
        hesitant: true,
        ..Behavior::default()
    })
}

/// Lets the peer send whole messages, fragmented messages and Pings alternately. Returns the messages. Messages of
/// different lengths need different frame headers or buffers.
fn say_much(peer: &mut Peer, behavior: &Behavior) -> Vec<Heard> {
    let mut said = Vec::new();
    // Over a stream that moves few bytes per call, the largest message is smaller.
    let large = if behavior.piece < 64 { 200 } else { 40_000 };
    for len in [0, 1, 125, 126, 1000, large] {
        let text = letters(len);
        peer.connection.send_text(&text).unwrap();
        peer.connection.ping(hybi::Instant::ZERO, text.as_bytes().get(..len.min(5)).unwrap()).unwrap();
        // A Ping overtakes queued messages. So the output is written after each Ping, and the Pings stay between the
        // messages.
        peer.say();
        peer.connection.send_fragment(MessageKind::Binary, text.as_bytes(), false).unwrap();
        peer.connection.send_fragment(MessageKind::Binary, b"end", true).unwrap();
        peer.say();
        said.push(Heard::Text(text.clone()));
        said.push(Heard::Binary([text.as_bytes(), b"end"].concat()));
    }
    said
}

#[test]
fn every_receiving_future_can_be_dropped_while_it_waits() {
    for role in ROLES {
        for behavior in behaviors() {
            for way in 0..3 {
                let (_, mut ws, mut peer) = pair(role, behavior.clone(), patient());
                let said = say_much(&mut peer, &behavior);
                let (mut got, mut pings) = (Vec::new(), 0);
                // Each future is polled once and dropped.
                for _ in 0..600_000 {
                    if got.len() == said.len() {
                        break;
                    }
                    match way {
                        0 => {
                            if let Poll::Ready(next) = poll_once(ws.next_event()) {
                                match heard(next.unwrap().unwrap().0) {
                                    Heard::Ping(_) => pings += 1,
                                    message => got.push(message),
                                }
                            }
                        }
                        1 => {
                            if let Poll::Ready(message) = poll_once(ws.recv()) {
                                got.push(of_message(message.unwrap().unwrap()));
                            }
                        }
                        _ => {
                            let next = poll_fn(|cx| Pin::new(&mut ws).poll_next(cx));
                            if let Poll::Ready(message) = poll_once(next) {
                                got.push(of_message(message.unwrap().unwrap()));
                            }
                        }
                    }
                }
                assert!(got == said, "{role:?} {behavior:?} {way}");
                assert!(way > 0 || pings == 6);
                // Any later call writes the pending replies.
                for _ in 0..100 {
                    assert!(poll_once(ws.recv()).is_pending());
                }
                peer.pump();
                let pongs = peer.heard.iter().filter(|heard| matches!(heard, Heard::Pong(_))).count();
                assert!((1..=6).contains(&pongs), "{pongs}");
            }
        }
    }
}

/// A way to send a message, polled at most a given number of times.
type Send = fn(&mut Ws, &str, usize) -> Poll<Result<(), Error>>;

const SENDS: [(&str, Send); 8] = [
    ("send_text", |ws, text, times| polled(poll_times(times, ws.send_text(text)))),
    ("send_binary", |ws, text, times| polled(poll_times(times, ws.send_binary(text.as_bytes())))),
    ("send", |ws, text, times| polled(poll_times(times, ws.send(text.to_owned())))),
    ("send_fragment", |ws, text, times| {
        polled(poll_times(times, ws.send_fragment(MessageKind::Text, text.as_bytes(), true)))
    }),
    ("send_prepared", |ws, text, times| {
        polled(poll_times(times, ws.send_prepared(&Prepared::new(text.to_owned()))))
    }),
    ("feed and flush", |ws, text, times| {
        polled(poll_times(times, async {
            ws.feed(text.to_owned()).await?;
            ws.flush().await
        }))
    }),
    ("respond and flush", |ws, text, times| {
        polled(poll_times(times, async {
            ws.responder().send_text(text).await?;
            ws.flush().await
        }))
    }),
    ("sink", |ws, text, times| {
        polled(poll_times(times, async {
            poll_fn(|cx| Pin::new(&mut *ws).poll_ready(cx)).await?;
            Pin::new(&mut *ws).start_send(Message::from(text.to_owned()))?;
            poll_fn(|cx| Pin::new(&mut *ws).poll_flush(cx)).await
        }))
    }),
];

fn polled(result: Option<Result<(), Error>>) -> Poll<Result<(), Error>> {
    result.map_or(Poll::Pending, Poll::Ready)
}

/// Returns the payload of a received message.
fn payload(heard: &Heard) -> &[u8] {
    match heard {
        Heard::Text(text) => text.as_bytes(),
        Heard::Binary(data) => data,
        other => panic!("{other:?}"),
    }
}

/// Sends messages. Each future is dropped after `times` polls, and a message that was not accepted is sent again.
fn send_all(role: Role, behavior: &Behavior, (name, send): (&str, Send), times: usize) {
    let texts: Vec<String> = [0, 5, 200, 17, 5000, 1, 130].into_iter().map(letters).collect();
    // The high-water mark is low, so most messages have to wait.
    let (_, mut ws, mut peer) = pair(role, behavior.clone(), patient().high_water(64));
    for text in &texts {
        let before = ws.connection().sent().messages;
        for tries in 0.. {
            assert!(tries < 100_000, "{name}: never accepted");
            let polled = send(&mut ws, text, times);
            let accepted = ws.connection().sent().messages > before;
            if let Poll::Ready(result) = polled {
                result.unwrap();
                assert!(accepted);
            }
            if accepted {
                // The connection has accepted the whole message.
                break;
            }
            peer.pump();
        }
        peer.pump();
    }
    for _ in 0..100_000 {
        if poll_once(ws.flush()).is_ready() {
            break;
        }
        peer.pump();
    }
    peer.pump();
    let got = peer.messages();
    assert_eq!(got.len(), texts.len(), "{name} {role:?} {behavior:?} {times}");
    for (got, sent) in got.iter().zip(&texts) {
        assert!(payload(got) == sent.as_bytes(), "{name} {role:?} {behavior:?} {times}");
    }
}

#[test]
fn every_sending_future_can_be_dropped_while_it_waits() {
    for role in ROLES {
        for send in SENDS {
            for behavior in behaviors() {
                send_all(role, &behavior, send, 1);
            }
            // Each future is also dropped at every single place where it can wait.
            let behavior = Behavior { piece: 40, hesitant: true, capacity: 90, ..Behavior::default() };
            for times in 2..=40 {
                send_all(role, &behavior, send, times);
            }
        }
    }
}

#[test]
fn a_send_is_accepted_at_its_first_poll_below_the_high_water_mark() {
    let (_, mut ws, mut peer) =
        pair(Role::Server, Behavior { capacity: 3, ..Behavior::default() }, patient());
    assert!(poll_once(ws.send_text("one")).is_pending());
    assert!(poll_once(ws.send_text("two")).is_pending());
    assert_eq!(ws.connection().sent().messages, 2);
    // Any later call writes the message.
    for _ in 0..10 {
        assert!(poll_once(ws.recv()).is_pending());
        peer.pump();
    }
    assert_eq!(peer.messages(), [Heard::Text("one".into()), Heard::Text("two".into())]);
}

#[test]
fn a_dropped_send_above_the_high_water_mark_queues_nothing() {
    let behavior = Behavior { capacity: 3, ..Behavior::default() };
    let (_, mut ws, mut peer) = pair(Role::Server, behavior, patient().high_water(1));
    assert!(poll_once(ws.send_text("one")).is_pending());
    for _ in 0..5 {
        assert!(poll_once(ws.send_text("never")).is_pending());
        assert!(poll_once(ws.ping(b"a ping does not wait for messages")).is_pending());
    }
    for _ in 0..2000 {
        let _ = poll_once(ws.flush());
        peer.pump();
    }
    assert_eq!(peer.messages(), [Heard::Text("one".into())]);
}

#[test]
fn pings_and_a_close_can_be_dropped_while_they_wait() {
    for role in ROLES {
        for behavior in behaviors() {
            let (clock, mut ws, mut peer) = pair(role, behavior, patient());
            for n in 0..3_u8 {
                let before = ws.connection().sent().frames;
                while ws.connection().sent().frames == before {
                    let _ = poll_once(ws.ping(&[n]));
                }
                while poll_once(ws.flush()).is_pending() {}
                peer.pump();
            }
            let mut closed = false;
            while !closed {
                // The first poll queued the Close, so a second attempt is refused.
                closed = !matches!(poll_once(ws.close(CloseCode::GOING_AWAY, "enough")), Poll::Ready(Ok(())));
            }
            let mut outcome = None;
            while outcome.is_none() {
                peer.pump();
                if let Poll::Ready(next) = poll_once(ws.next_event()) {
                    if let Event::Closed(how) = next.unwrap().unwrap().0 {
                        outcome = Some(how);
                    }
                }
            }
            peer.pump();
            assert_eq!(outcome.unwrap().code(), CloseCode::GOING_AWAY);
            let pings: Vec<_> = (0..3).map(|n| Heard::Ping(vec![n])).collect();
            assert_eq!(peer.heard[..4], [&pings[..], &[Heard::Close(1001)]].concat());
            assert!(block_on(&clock, ws.next_event()).unwrap().is_none());
        }
    }
}

#[test]
fn futures_of_both_halves_can_be_dropped_while_they_wait() {
    for role in ROLES {
        for behavior in behaviors() {
            let (_, ws, mut peer) = pair(role, behavior.clone(), patient().high_water(64));
            let (mut reader, mut writer) = ws.split();
            let said = say_much(&mut peer, &behavior);
            let texts: Vec<String> = [5, 200, 17, 1, 130, 3].into_iter().map(letters).collect();
            let (mut got, mut sent) = (Vec::new(), 0);
            let mut fed = false;
            for _ in 0..1_000_000 {
                if let Poll::Ready(message) = poll_once(reader.recv()) {
                    got.push(of_message(message.unwrap().unwrap()));
                }
                if let Some(text) = texts.get(sent) {
                    // `feed` has accepted the message if and only if its future is ready.
                    if !fed {
                        fed = poll_once(writer.feed(text.clone())).is_ready();
                    } else if poll_once(writer.flush()).is_ready() {
                        fed = false;
                        sent += 1;
                    }
                }
                peer.pump();
                if got.len() == said.len() && sent == texts.len() {
                    break;
                }
            }
            assert!(got == said);
            let texts: Vec<_> = texts.into_iter().map(Heard::Text).collect();
            assert!(peer.messages() == texts);
        }
    }
}
