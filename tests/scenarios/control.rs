//! Pings and Pongs (RFC 6455 sections 5.5.2 and 5.5.3).
//!
//! These tests cover automatic Pongs, Pings of the application, and their order relative to data. They also cover the
//! bound on queued control frames, and the measurement of round trips. Keepalive Pings and their timers are tested in
//! `timers.rs`.

use std::time::Duration;

use hybi::frame::Opcode;
use hybi::{CloseCode, Config, ControlPayload, Event, Input, MessageKind, ReadyState, Role, SendError};

use crate::pair::{End, Pair, Scenario, Seen, frame, secs, text};

const ROLES: [Role; 2] = [Role::Server, Role::Client];

fn ping(payload: &str) -> Seen {
    Seen::Ping(payload.into())
}

fn pong(payload: &str) -> Seen {
    Seen::Pong(payload.into())
}

#[test]
fn s5_4_control_frames_inside_a_fragmented_message_are_handled_at_once() {
    for role in ROLES {
        let mut end = Scenario::of(role).open();
        assert_eq!(end.receive_part(Opcode::Text, false, "Hel"), []);
        assert_eq!(end.receive(Opcode::Ping, "now"), [ping("now")]);
        assert_eq!(end.flush(), ["pong now"]);
        assert_eq!(end.receive(Opcode::Pong, "un"), [pong("un")]);
        assert_eq!(end.receive_part(Opcode::Continuation, false, ""), []);
        assert_eq!(end.receive(Opcode::Ping, ""), [ping("")]);
        assert_eq!(end.receive_part(Opcode::Continuation, true, "lo"), [text("Hello")]);
        assert_eq!(end.flush(), ["pong"]);
    }
}

#[test]
fn s5_4_control_frames_between_fragments_survive_every_split() {
    let mut wire = Vec::new();
    for part in [
        frame(Role::Client, Opcode::Text, false, "Grü".as_bytes()),
        frame(Role::Client, Opcode::Ping, true, b"1"),
        frame(Role::Client, Opcode::Continuation, false, b""),
        frame(Role::Client, Opcode::Pong, true, b"2"),
        frame(Role::Client, Opcode::Ping, true, &[3; 125]),
        frame(Role::Client, Opcode::Continuation, true, "ße".as_bytes()),
    ] {
        wire.extend(part);
    }
    let expected = [ping("1"), pong("2"), Seen::Ping(vec![3; 125]), text("Grüße")];
    for cut in 0..=wire.len() {
        let mut end = Scenario::server().open();
        let mut seen = end.feed(&wire[..cut]);
        seen.extend(end.feed(&wire[cut..]));
        assert_eq!(seen, expected);
    }
    assert_eq!(Scenario::server().open().feed_in(&wire, 1), expected);
}

#[test]
fn s5_4_our_control_frames_are_sent_between_our_fragments() {
    for role in ROLES {
        let mut end = Scenario::of(role).open();
        end.conn.send_fragment(MessageKind::Text, b"a", false).unwrap();
        end.write_all();
        end.conn.ping(end.now, b"p").unwrap();
        end.receive(Opcode::Ping, "q");
        end.write_all();
        end.conn.send_fragment(MessageKind::Text, b"b", true).unwrap();
        end.write_all();
        assert_eq!(end.sent(), ["text- a", "ping p", "pong q", "cont b"]);
    }
}

#[test]
fn s5_5_2_a_ping_is_answered_with_its_payload() {
    for role in ROLES {
        for len in [0, 1, 4, 124, 125] {
            let payload: Vec<u8> = (0..len).map(|i| 255 - i).collect();
            let mut end = Scenario::of(role).open();
            assert_eq!(end.receive(Opcode::Ping, &payload), [Seen::Ping(payload.clone())]);
            end.write_all();
            let frames = crate::pair::parse(role, &end.wire);
            assert_eq!(frames.len(), 1);
            assert_eq!((frames[0].header.opcode, &frames[0].payload), (Opcode::Pong, &payload));
        }
    }
}

#[test]
fn s5_5_3_the_newest_of_several_pings_is_answered() {
    for role in ROLES {
        let mut end = Scenario::of(role).open();
        for i in 0..1000 {
            end.receive(Opcode::Ping, i.to_string());
        }
        // RFC 6455 5.5.3 permits answering only the newest Ping. The queue keeps as many of the newest Pongs as
        // fit.
        assert!(end.conn.buffered_amount() <= 512);
        let sent = end.flush();
        let newest: Vec<_> = (1000 - sent.len()..1000).map(|i| format!("pong {i}")).collect();
        assert_eq!(sent, newest);
    }
}

#[test]
fn s5_5_3_a_partly_written_pong_is_finished_before_the_next() {
    for role in ROLES {
        let one = Scenario::of(role).open().role();
        let len = frame(one, Opcode::Pong, true, b"first").len();
        for begun in 0..=len {
            let mut end = Scenario::of(role).open();
            end.conn.send_text("queued").unwrap();
            end.receive(Opcode::Ping, "first");
            assert_eq!(end.write(begun).len(), begun);
            // Ten Pongs do not fit into the control queue, so newer ones replace older ones.
            for _ in 0..10 {
                end.receive(Opcode::Ping, [b'x'; 125]);
            }
            end.receive(Opcode::Ping, "last");
            end.write_all();
            let sent = end.sent();
            assert_eq!(sent[0] == "pong first", begun > 0, "{begun} bytes of the first Pong written");
            assert_eq!(sent[sent.len() - 2..], ["pong last", "text queued"]);
            assert!(sent.len() <= 6);
        }
    }
}

#[test]
fn s5_5_3_an_unsolicited_pong_is_ignored() {
    for role in ROLES {
        let mut end = Scenario::of(role).open();
        assert_eq!(end.receive(Opcode::Pong, "hello?"), [pong("hello?")]);
        assert_eq!(end.flush(), [""; 0]);
        assert_eq!(end.conn.round_trip(), None);
    }
}

#[test]
fn s5_5_2_automatic_pongs_can_be_turned_off() {
    let mut end = Scenario::server().config(Config::new().auto_pong(false)).open();
    assert_eq!(end.receive(Opcode::Ping, "a"), [ping("a")]);
    assert_eq!(end.conn.buffered_amount(), 0);
    end.conn.pong(b"a").unwrap();
    assert_eq!(end.flush(), ["pong a"]);
}

#[test]
fn s5_5_2_no_pong_follows_a_received_close() {
    for role in ROLES {
        let mut end = Scenario::of(role).open();
        let mut wire = frame(role.peer(), Opcode::Close, true, b"");
        wire.extend(frame(role.peer(), Opcode::Ping, true, b"late"));
        assert_eq!(end.feed(&wire), [Seen::Close(None, String::new())]);
        assert_eq!(end.flush(), ["close"]);
        assert_eq!(end.conn.pong(b""), Err(SendError::Closed));
        assert_eq!(end.conn.ping(end.now, b""), Err(SendError::Closed));
    }
}

#[test]
fn s5_5_2_a_ping_is_answered_while_our_close_is_queued() {
    for role in ROLES {
        let mut end = Scenario::of(role).open();
        end.conn.send_text("data").unwrap();
        end.conn.close(end.now, CloseCode::NORMAL, "").unwrap();
        assert_eq!(end.receive(Opcode::Ping, "p"), [ping("p")]);
        assert_eq!(end.flush(), ["pong p", "text data", "close 1000"]);
        // Nothing follows a Close that was written.
        assert_eq!(end.receive(Opcode::Ping, "q"), [ping("q")]);
        assert_eq!(end.flush(), [""; 0]);
    }
}

#[test]
fn s5_5_2_pings_keep_their_order() {
    for role in ROLES {
        let mut end = Scenario::of(role).open();
        end.conn.send_text("queued").unwrap();
        for payload in ["1", "2", "3"] {
            end.conn.ping(end.now, payload.as_bytes()).unwrap();
        }
        end.conn.pong(b"4").unwrap();
        end.conn.ping(end.now, b"5").unwrap();
        assert_eq!(end.flush(), ["ping 1", "ping 2", "ping 3", "pong 4", "ping 5", "text queued"]);
    }
}

#[test]
fn s5_5_2_pings_keep_their_order_after_a_partly_written_frame() {
    for role in ROLES {
        for begun in 1..8 {
            let mut end = Scenario::of(role).open();
            end.conn.send_text("begun").unwrap();
            end.conn.send_text("queued").unwrap();
            end.write(begun);
            end.conn.ping(end.now, b"1").unwrap();
            end.write(1);
            end.conn.ping(end.now, b"2").unwrap();
            end.receive(Opcode::Ping, "p");
            end.conn.pong(b"3").unwrap();
            end.write_all();
            assert_eq!(end.sent()[0], "text begun");
            let rest: Vec<_> =
                end.sent().into_iter().filter(|f| f.starts_with("pi") || f == "pong 3").collect();
            assert_eq!(rest, ["ping 1", "ping 2", "pong 3"], "{begun}");
            assert_eq!(end.sent().last().unwrap(), "text queued");
        }
    }
}

#[test]
fn s5_5_3_the_pong_for_the_last_ping_answers_all_earlier_pings() {
    // RFC 6455 5.5.3: the peer may answer only the newest Ping.
    for role in ROLES {
        let mut end = Scenario::of(role).open();
        end.conn.ping(end.now, b"one").unwrap();
        end.conn.ping(end.now, b"two").unwrap();
        assert_eq!(end.flush(), ["ping one", "ping two"]);
        end.advance(secs(2));
        end.receive(Opcode::Pong, "two");
        assert_eq!(end.conn.round_trip(), Some(secs(2)));
        assert_eq!(end.conn.poll_timeout(), Some(end.now + secs(30)), "a Pong is still awaited");
    }
    let mut pair = Pair::new();
    pair.server.conn.ping(pair.now(), b"one").unwrap();
    pair.server.conn.ping(pair.now(), b"two").unwrap();
    pair.drive();
    assert_eq!(pair.client.seen, [ping("one"), ping("two")]);
    assert_eq!(pair.server.seen, [pong("one"), pong("two")]);
    assert!(pair.server.conn.round_trip().is_some());
}

#[test]
fn s5_5_2_round_trip_is_from_ping_to_pong() {
    for role in ROLES {
        let mut end = Scenario::of(role).open();
        assert_eq!(end.conn.round_trip(), None);
        end.conn.ping(end.now, b"rtt").unwrap();
        end.write_all();
        end.advance(Duration::from_millis(40));
        // A Pong with another payload does not answer our Ping.
        end.receive(Opcode::Pong, "other");
        assert_eq!(end.conn.round_trip(), None);
        end.advance(Duration::from_millis(5));
        end.receive(Opcode::Pong, "rtt");
        assert_eq!(end.conn.round_trip(), Some(Duration::from_millis(45)));
        // A second Pong for the same Ping does not change the measurement.
        end.advance(secs(9));
        end.receive(Opcode::Pong, "rtt");
        assert_eq!(end.conn.round_trip(), Some(Duration::from_millis(45)));
    }
}

#[test]
fn s5_5_2_a_round_trip_is_measured_while_closing() {
    for role in ROLES {
        let mut end = Scenario::of(role).open();
        end.conn.ping(end.now, b"rtt").unwrap();
        end.write_all();
        end.advance(secs(1));
        end.conn.close(end.now, CloseCode::NORMAL, "").unwrap();
        end.write_all();
        end.advance(secs(2));
        end.receive(Opcode::Pong, "rtt");
        assert_eq!(end.conn.round_trip(), Some(secs(3)));
        // The Pong does not extend the close timeout, which ends ten seconds after our Close.
        end.advance(secs(8));
        assert_eq!(end.conn.ready_state(), ReadyState::Closed);
    }
}

/// Returns a connection that has written one Ping and has a second Ping queued after a partly written frame.
fn two_pings() -> End {
    let config = Config::new().ping_interval(None).pong_timeout(Some(secs(30)));
    let mut end = Scenario::server().config(config.high_water(usize::MAX)).open();
    end.conn.ping(end.now, b"A").unwrap();
    end.write_all();
    end.advance(secs(1));
    end.conn.send_binary(&[0; 1000]).unwrap();
    end.write(10);
    end.conn.ping(end.now, b"B").unwrap();
    end
}

#[test]
fn s5_5_3_a_pong_answers_only_a_ping_that_was_written() {
    let mut end = two_pings();
    end.advance(secs(1));
    end.receive(Opcode::Pong, "B");
    assert_eq!(end.conn.round_trip(), None);
    end.receive(Opcode::Pong, "A");
    assert_eq!(end.conn.round_trip(), Some(secs(2)));
    // The frame before the queued Ping is still being written, and the peer takes some of its bytes. Meanwhile the pong
    // timeout of this Ping does not run.
    for _ in 0..60 {
        end.advance(secs(1));
        end.write(10);
        assert_eq!(end.conn.ready_state(), ReadyState::Open);
    }
    end.write_all();
    end.advance(secs(3));
    end.receive(Opcode::Pong, "B");
    assert_eq!(end.conn.round_trip(), Some(secs(3)));
    end.advance(secs(60));
    assert_eq!(end.conn.ready_state(), ReadyState::Open);
}

#[test]
fn s5_5_2_a_queued_ping_gives_a_silent_peer_no_more_time() {
    let mut end = two_pings();
    for at in 2..40 {
        end.advance(secs(1));
        end.write(10);
        let open = end.conn.ready_state() == ReadyState::Open;
        assert_eq!(open, at < 30, "after {at} s");
    }
}

#[test]
fn s5_5_2_a_round_trip_excludes_the_time_in_the_queue() {
    let mut end = Scenario::server().open();
    end.conn.send_text("a frame that takes its time").unwrap();
    end.write(3);
    end.conn.ping(end.now, b"rtt").unwrap();
    // A Pong is queued behind our Ping.
    end.receive(Opcode::Ping, [7; 125]);
    end.advance(secs(5));
    end.write(30);
    end.advance(secs(5));
    end.write_all();
    end.advance(Duration::from_millis(20));
    end.receive(Opcode::Pong, "rtt");
    assert_eq!(end.conn.round_trip(), Some(Duration::from_millis(20)));
}

#[test]
fn s5_5_2_round_trip_is_right_when_a_shorter_pong_replaces_a_longer_one() {
    let mut end = Scenario::server().open();
    end.receive(Opcode::Ping, [7; 125]);
    end.conn.ping(end.now, b"rtt").unwrap();
    // A short Pong replaces the long one, so our Ping now ends at a lower offset of the output.
    end.receive(Opcode::Ping, "");
    end.write_all();
    end.advance(secs(1));
    end.conn.send_text("more").unwrap();
    end.write_all();
    end.receive(Opcode::Pong, "rtt");
    assert_eq!(end.conn.round_trip(), Some(secs(1)));
}

#[test]
fn s5_5_2_pings_are_refused_while_the_control_queue_is_full() {
    for role in ROLES {
        let mut end = Scenario::of(role).config(Config::new().high_water(1000)).open();
        let mut accepted = 0;
        let refused = loop {
            match end.conn.ping(end.now, &[0; 10]) {
                Ok(()) => accepted += 1,
                Err(error) => break error,
            }
            assert!(accepted < 100, "the control queue has no bound");
        };
        assert_eq!(refused, SendError::Blocked);
        assert!(accepted >= 8);
        end.write_all();
        assert_eq!(end.poll(), [Seen::Writable]);
        end.conn.ping(end.now, b"again").unwrap();
    }
}

#[test]
fn s5_5_2_pongs_do_not_keep_a_connection_from_becoming_writable() {
    let mut end = Scenario::server().config(Config::new().high_water(100)).open();
    end.conn.send_binary(&[0; 200]).unwrap();
    assert_eq!(end.conn.send_text("x"), Err(SendError::Blocked));
    // The driver reads another Ping in each turn before it writes.
    let writable = (0..10).any(|_| {
        let seen = end.receive(Opcode::Ping, "again");
        end.write_all();
        seen.contains(&Seen::Writable)
    });
    assert!(writable);
}

#[test]
fn s5_5_2_a_ping_is_accepted_while_pongs_fill_the_control_queue() {
    for role in ROLES {
        let mut end = Scenario::of(role).open();
        for i in 0..20 {
            end.receive(Opcode::Ping, vec![b'a' + i; 125]);
        }
        end.conn.ping(end.now, b"own").unwrap();
        end.receive(Opcode::Ping, "last");
        let sent = end.flush();
        assert!(sent.contains(&"ping own".to_owned()), "{sent:?}");
        assert_eq!(sent.last().unwrap(), "pong last");
    }
}

#[test]
fn s5_5_2_payloads_are_equal_if_their_bytes_are_equal() {
    let mut end = Scenario::server().open();
    let mut wire = frame(Role::Client, Opcode::Ping, true, b"a long one");
    wire.extend(frame(Role::Client, Opcode::Ping, true, b"ab"));
    let mut input = Input::new(&mut wire, &mut end.message);
    let mut next = || {
        let index = end.conn.poll(end.now, &mut input).unwrap().unwrap();
        match input.event(index) {
            Event::Ping(payload) => ControlPayload::new(payload).unwrap(),
            other => panic!("{other:?}"),
        }
    };
    let (long, short) = (next(), next());
    // The buffer of the second payload still contains the end of the longer first one. The comparison must ignore these
    // bytes.
    assert_eq!(short, ControlPayload::new(b"ab").unwrap());
    assert_eq!(short.as_ref(), b"ab");
    assert_ne!(short, long);
    assert_ne!(short, ControlPayload::new(b"ac").unwrap());
}
