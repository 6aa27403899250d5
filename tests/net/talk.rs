//! Messages in both directions over the blocking adapter: whole, fragmented, prepared, in chunks, and with Pings.
//!
//! These are conversations without faults over TCP. Streams that split or fail calls are in `memory.rs`,
//! compression is in `deflate.rs`, and halves are in `split.rs`.

use std::thread;

use hybi::adapters::net::{Client, Error, Server};
use hybi::{
    CloseCode, Config, Delivery, Event, Message, MessageKind, Outcome, Prepared, ProtocolError, SendError,
};

use crate::common::*;

#[test]
fn messages_are_echoed() {
    timed(|| {
        let (mut server, mut client) = pair();
        let server = thread::spawn(move || echo(&mut server));
        let mebibyte: String = "größer ".repeat((1 << 20) / 9);
        for text in ["", "a", "Hellö", &"x".repeat(125), &"x".repeat(126), &"x".repeat(65536), &mebibyte] {
            client.send_text(text).unwrap();
            match client.next_event().unwrap() {
                Some((Event::Text(got), _)) => assert!(got == text, "{} bytes", text.len()),
                other => panic!("{other:?}"),
            }
            client.send_binary(text.as_bytes()).unwrap();
            assert!(client.recv().unwrap() == Some(Message::from(text.as_bytes().to_vec())));
            client.send(text.to_owned()).unwrap();
            assert!(client.recv().unwrap() == Some(Message::from(text.to_owned())));
        }
        assert_eq!(client.buffered_amount(), 0);
        client.close(CloseCode::NORMAL, "").unwrap();
        assert!(client.wait_closed().unwrap().is_clean());
        server.join().unwrap();
    });
}

#[test]
fn fragments_and_prepared_messages_arrive() {
    timed(|| {
        let (mut server, mut client) = pair();
        client.send_text("go").unwrap();
        {
            let (_, mut answer) = server.next_event().unwrap().unwrap();
            answer.send_fragment(MessageKind::Text, "gr\u{f6}".as_bytes().split_at(3).0, false).unwrap();
            answer.ping(b"between").unwrap();
            answer.send_fragment(MessageKind::Text, "\u{f6}".as_bytes().split_at(1).1, false).unwrap();
            let refused = answer.send_text("not now").unwrap_err();
            assert!(matches!(refused, Error::Send(SendError::MessageOpen)), "{refused}");
            answer.send_fragment(MessageKind::Text, b"\xc3\x9f", true).unwrap();
            answer.send_prepared(&Prepared::new("news")).unwrap();
            answer.send(vec![1; 10_000]).unwrap();
            answer.pong(b"unasked").unwrap();
        }
        server.flush().unwrap();
        let mut pings = 0;
        let mut messages = Vec::new();
        while messages.len() < 3 {
            match client.next_event().unwrap().unwrap().0 {
                Event::Text(text) => messages.push(text.to_owned()),
                Event::Binary(data) => messages.push(format!("{} bytes", data.len())),
                Event::Ping(payload) => {
                    assert_eq!(*payload, *b"between");
                    pings += 1;
                }
                Event::Pong(payload) => assert_eq!(*payload, *b"unasked"),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(messages, ["gr\u{f6}\u{df}", "news", "10000 bytes"]);
        assert_eq!(pings, 1);
    });
}

#[test]
fn messages_are_delivered_in_chunks() {
    timed(|| {
        let config = patient().delivery(Delivery::Chunks).max_message(u64::MAX).max_frame(u64::MAX);
        let (mut server, mut client) = pair_of(Server::new().config(config), &Client::new());
        let client = thread::spawn(move || {
            client.send_binary(&vec![5; 20 << 20]).unwrap();
            client
        });
        let (mut total, mut largest) = (0, 0);
        loop {
            match server.next_event().unwrap().unwrap().0 {
                Event::Chunk { kind: MessageKind::Binary, data, first, fin } => {
                    assert_eq!(first, total == 0);
                    assert!(data.iter().all(|&byte| byte == 5));
                    total += data.len();
                    largest = largest.max(data.len());
                    if fin {
                        break;
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(total, 20 << 20);
        assert!(largest <= 1 << 20, "{largest}");
        client.join().unwrap();
    });
}

#[test]
fn a_message_over_the_limit_is_refused() {
    timed(|| {
        let (mut server, mut client) = pair();
        let server = thread::spawn(move || {
            let error = server.recv().unwrap_err();
            assert!(matches!(error, Error::Protocol(ProtocolError::FrameTooBig)), "{error}");
            assert!(error.to_string().contains("1009"), "{error}");
            server.wait_closed().unwrap()
        });
        // The server discards the whole message without storing it. If the server did not read the message, a reset
        // would destroy the server's Close.
        client.send_binary(&vec![0; 20 << 20]).unwrap();
        match client.next_event().unwrap() {
            Some((Event::CloseReceived { code, reason }, _)) => {
                assert_eq!(code, Some(CloseCode::MESSAGE_TOO_BIG));
                assert!(reason.contains("limit"));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(client.wait_closed().unwrap(), Outcome::Clean { code: CloseCode::MESSAGE_TOO_BIG });
        assert_eq!(server.join().unwrap(), Outcome::Failed(ProtocolError::FrameTooBig));
    });
}

#[test]
fn pings_are_answered() {
    timed(|| {
        let (mut server, mut client) = pair();
        assert_eq!(client.round_trip(), None);
        let server = thread::spawn(move || {
            match server.next_event().unwrap() {
                Some((Event::Ping(payload), _)) => assert_eq!(*payload, *b"are you there?"),
                other => panic!("{other:?}"),
            }
            server.wait_closed().unwrap();
        });
        let too_long = client.ping(&[0; 126]).unwrap_err();
        assert!(matches!(too_long, Error::Send(SendError::ControlTooLong)));
        client.ping(b"are you there?").unwrap();
        match client.next_event().unwrap() {
            Some((Event::Pong(payload), _)) => assert_eq!(*payload, *b"are you there?"),
            other => panic!("{other:?}"),
        }
        assert!(client.round_trip().unwrap() < ms(5000));
        client.close(None, "").unwrap();
        client.wait_closed().unwrap();
        server.join().unwrap();
    });
}

#[test]
fn many_answers_can_be_sent_while_the_event_is_borrowed() {
    timed(|| {
        // The high-water mark permits one queued message, or a few, or many.
        for high_water in [0, 1, 1000, 64 << 10] {
            let config = Config::new().high_water(high_water);
            let (mut server, mut client) = pair_of(Server::new().config(config), &Client::new());
            let server = thread::spawn(move || {
                while let Some((event, mut answer)) = server.next_event().unwrap() {
                    match event {
                        Event::Text(text) => {
                            for i in 0..2000 {
                                answer.send_text(&format!("{text} {i}")).unwrap();
                            }
                            for i in 0..20 {
                                answer.send(vec![i; 100_000]).unwrap();
                            }
                            answer.close(CloseCode::NORMAL, "that is all").unwrap();
                        }
                        // These calls wait for space, so none of them hands its message back.
                        Event::Writable => panic!("nothing was blocked"),
                        _ => {}
                    }
                }
            });
            client.send_text("no").unwrap();
            for i in 0..2000 {
                assert_eq!(client.recv().unwrap(), Some(format!("no {i}").into()));
            }
            for i in 0..20 {
                assert_eq!(client.recv().unwrap().unwrap().as_bytes(), vec![i; 100_000]);
            }
            match client.next_event().unwrap() {
                Some((Event::CloseReceived { reason, .. }, _)) => assert_eq!(reason, "that is all"),
                other => panic!("{other:?}"),
            }
            client.wait_closed().unwrap();
            server.join().unwrap();
        }
    });
}

#[test]
fn recv_skips_control_frames() {
    timed(|| {
        let (mut server, mut client) = pair();
        server.ping(b"1").unwrap();
        server.send_text("a").unwrap();
        server.ping(b"2").unwrap();
        server.close(CloseCode::NORMAL, "").unwrap();
        let server = thread::spawn(move || {
            // Both Pings are answered.
            assert!(matches!(server.next_event().unwrap(), Some((Event::Pong(_), _))));
            assert!(matches!(server.next_event().unwrap(), Some((Event::Pong(_), _))));
            assert!(server.wait_closed().unwrap().is_clean());
        });
        assert_eq!(client.recv().unwrap(), Some("a".into()));
        assert_eq!(client.recv().unwrap(), None);
        assert_eq!(client.recv().unwrap(), None);
        assert!(client.next_event().unwrap().is_none());
        server.join().unwrap();
    });
}
