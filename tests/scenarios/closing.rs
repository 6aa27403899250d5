//! The closing handshake (RFC 6455 sections 5.5.1 and 7), observed from one endpoint or from a joined pair.
//!
//! These tests cover each way in which a connection ends. A connection ends by a Close from one side or from both at
//! once, by a protocol failure, by a timeout, or by the end of the stream. The tests check the frames on the wire, the
//! events, the [`Outcome`] and the requests to the transport. Close frames inside compressed messages are tested in
//! `deflate.rs`. Every order of closing steps is tested in `tests/exhaustive/closing.rs`.

use hybi::CloseState;
use hybi::frame::Opcode;
use hybi::{
    CloseCode, CloseFrame, CloseReason, Config, EofPosition, MessageKind, Outcome, ProtocolError, ReadyState,
    Role, SendError, TimerKind, TransportAction,
};

use crate::pair::{End, Pair, Scenario, Seen, at, closed_clean, frame, secs, text};

const ROLES: [Role; 2] = [Role::Server, Role::Client];

fn close(code: u16, reason: &str) -> Seen {
    Seen::Close(Some(code), reason.to_owned())
}

fn close_without_code() -> Seen {
    Seen::Close(None, String::new())
}

#[test]
fn s5_5_1_close_is_echoed() {
    for role in ROLES {
        let mut end = Scenario::of(role).open();
        assert_eq!(end.receive_close(4321, "over and out"), [close(4321, "over and out")]);
        assert_eq!(end.conn.ready_state(), ReadyState::Closing);
        assert_eq!(end.flush(), ["close 4321 over and out"]);
        assert_eq!(end.eof(), [closed_clean(4321)]);
        assert_eq!(end.conn.ready_state(), ReadyState::Closed);
    }
}

#[test]
fn s5_5_1_an_empty_close_is_answered_with_an_empty_one() {
    for role in ROLES {
        let mut end = Scenario::of(role).open();
        assert_eq!(end.receive(Opcode::Close, ""), [close_without_code()]);
        assert_eq!(end.flush(), ["close"]);
        // RFC 6455 7.1.5: a Close without a code is reported as 1005.
        assert_eq!(end.eof(), [closed_clean(1005)]);
    }
}

#[test]
fn s5_5_1_an_answer_echoes_the_reason_but_our_own_close_keeps_its_reason() {
    let longest = "€".repeat(41);
    for role in ROLES {
        // `waits` messages are in the queue, and the first of them is partly written. A server queues the buffer of a
        // message of this size, and does not copy the payload.
        for waits in [0, 1, 2] {
            for own in [None, Some("own"), Some(&*longest)] {
                let mut end = Scenario::of(role).open();
                for _ in 0..waits {
                    end.conn.send(vec![b'x'; 9000]).unwrap();
                }
                if let Some(reason) = own {
                    end.conn.close(end.now, CloseCode::GOING_AWAY, reason).unwrap();
                }
                if waits > 0 {
                    end.write(10);
                }
                assert_eq!(end.receive_close(4400, &longest), [close(4400, &longest)]);
                let expected = own
                    .map_or_else(|| format!("close 4400 {longest}"), |reason| format!("close 1001 {reason}"));
                let sent = [vec!["binary [9000]".to_owned(); waits.min(1)], vec![expected]].concat();
                end.write_all();
                assert_eq!(end.sent(), sent, "{role:?} {waits} {own:?}");
                assert_eq!(end.eof(), [closed_clean(4400)]);
            }
        }
    }
}

#[test]
fn s5_5_1_every_code_that_may_be_received_is_echoed_and_no_other() {
    for role in ROLES {
        for code in (0..=5100u16).chain([9999, 65535]) {
            let mut end = Scenario::of(role).open();
            let seen = end.receive_close(code, "");
            let fine = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
            if fine {
                assert_eq!(seen, [close(code, "")]);
                assert_eq!(end.flush(), [format!("close {code}")]);
            } else {
                assert_eq!(seen, [Seen::Failed(ProtocolError::CloseCodeNotAllowed(code))]);
                assert_eq!(end.flush(), [format!("close 1002 close code {code} must not be sent")]);
            }
        }
    }
}

#[test]
fn s7_4_an_illegal_code_is_reported_before_an_invalid_reason() {
    for role in ROLES {
        for code in [0, 999, 1004, 1005, 1006, 1015, 5000, u16::MAX] {
            for reason in [&b"\xff"[..], b"ok\xc3", &[0xED, 0xA0, 0x80], &[0xFF; 123]] {
                let body = [&code.to_be_bytes(), reason].concat();
                let wire = frame(role.peer(), Opcode::Close, true, &body);
                for size in [1, 2, 7, wire.len()] {
                    let mut end = Scenario::of(role).open();
                    let seen = end.feed_in(&wire, size);
                    let [Seen::Failed(error)] = seen[..] else { panic!("{seen:?}") };
                    assert_eq!(error, ProtocolError::CloseCodeNotAllowed(code), "{reason:x?} by {size}");
                    assert!(error.to_string().contains(&format!("({code})")));
                    // The reason of our Close also contains the code.
                    assert_eq!(end.flush(), [format!("close 1002 close code {code} must not be sent")]);
                }
            }
        }
    }
}

#[test]
fn s5_5_1_a_body_of_one_byte_fails() {
    for role in ROLES {
        let mut end = Scenario::of(role).open();
        assert_eq!(end.receive(Opcode::Close, "x"), [Seen::Failed(ProtocolError::CloseBodyOfOneByte)]);
        assert!(end.flush()[0].starts_with("close 1002 "));
    }
}

#[test]
fn s5_5_1_a_reason_is_utf8() {
    for role in ROLES {
        for body in [&b"\x03\xe8\xff"[..], b"\x03\xe8ok\xc3", b"\x03\xe8\xed\xa0\x80", b"\x03\xe8\xf5"] {
            let wire = frame(role.peer(), Opcode::Close, true, body);
            for size in [1, 7, wire.len()] {
                let mut end = Scenario::of(role).open();
                assert_eq!(end.feed_in(&wire, size), [Seen::Failed(ProtocolError::CloseReasonNotUtf8)]);
                assert!(end.flush()[0].starts_with("close 1007 "));
            }
        }
        let longest = "€".repeat(41);
        let mut end = Scenario::of(role).open();
        assert_eq!(end.receive_close(1000, &longest), [close(1000, &longest)]);
    }
}

#[test]
fn s7_4_1_reserved_codes_are_never_sent() {
    for role in ROLES {
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535] {
            let mut end = Scenario::of(role).open();
            assert_eq!(end.conn.close(end.now, CloseCode::new(code), ""), Err(SendError::CodeNotAllowed));
            assert_eq!((end.conn.ready_state(), end.conn.buffered_amount()), (ReadyState::Open, 0));
            end.conn.send_text("still open").unwrap();
            end.conn.close(end.now, CloseCode::NORMAL, "").unwrap();
        }
        // A server never sends 1010: if it needs an extension, it refuses the handshake. Only clients send 1010.
        let mut end = Scenario::of(role).open();
        let sent = end.conn.close(end.now, CloseCode::MANDATORY_EXTENSION, "");
        assert_eq!(sent, if role == Role::Client { Ok(()) } else { Err(SendError::CodeNotAllowed) });
        // A proxy forwards the code of a Close in either direction, so both roles may send these codes.
        for code in 1011..=1014 {
            let mut end = Scenario::of(role).open();
            end.conn.close(end.now, CloseCode::new(code), "passed on").unwrap();
            assert_eq!(end.flush(), [format!("close {code} passed on")]);
        }
    }
}

#[test]
fn s5_5_a_reason_has_at_most_123_bytes() {
    for role in ROLES {
        let mut end = Scenario::of(role).open();
        assert_eq!(
            end.conn.close(end.now, CloseCode::NORMAL, "x".repeat(124)),
            Err(SendError::ReasonTooLong)
        );
        assert_eq!(end.conn.close(end.now, None, "no code"), Err(SendError::CodeNotAllowed));
        assert_eq!((end.conn.ready_state(), end.conn.buffered_amount()), (ReadyState::Open, 0));
        let cut = CloseReason::truncated(&"€".repeat(100));
        end.conn.close(end.now, CloseCode::NORMAL, cut.as_str()).unwrap();
        assert_eq!(end.flush(), [format!("close 1000 {}", "€".repeat(41))]);
    }
}

#[test]
fn s7_1_2_both_endpoints_send_a_close() {
    for (code, reason) in [(Some(1000), "bye"), (Some(3000), ""), (None, "")] {
        for server_first in [false, true] {
            for cap in [1, 3, usize::MAX] {
                let mut pair = Pair::new().cap(cap);
                let (now, code) = (pair.now(), code.map(CloseCode::new));
                let first = if server_first { &mut pair.server } else { &mut pair.client };
                first.conn.close(now, code, reason).unwrap();
                pair.drive();
                let (first, second) =
                    if server_first { (&pair.server, &pair.client) } else { (&pair.client, &pair.server) };
                let outcome = closed_clean(code.map_or(1005, CloseCode::get));
                let heard = Seen::Close(code.map(CloseCode::get), reason.to_owned());
                // The answer carries the same code and reason.
                assert_eq!(second.seen, [heard.clone(), outcome.clone()]);
                assert_eq!(first.seen, [heard, outcome]);
                assert_eq!((first.sent().len(), second.sent().len()), (1, 1));
                for end in [first, second] {
                    assert_eq!(end.conn.poll_transport(), Some(TransportAction::Close));
                    assert_eq!(end.conn.poll_timeout(), None);
                }
            }
        }
    }
}

#[test]
fn s5_5_1_simultaneous_closes_are_not_answered() {
    for cap in [1, 2, 5, usize::MAX] {
        let mut pair = Pair::new().cap(cap);
        pair.client.conn.close(pair.now(), CloseCode::GOING_AWAY, "client").unwrap();
        pair.server.conn.close(pair.now(), CloseCode::NORMAL, "server").unwrap();
        pair.drive();
        assert_eq!(pair.client.sent(), ["close 1001 client"]);
        assert_eq!(pair.server.sent(), ["close 1000 server"]);
        assert_eq!(pair.client.seen, [close(1000, "server"), closed_clean(1000)]);
        assert_eq!(pair.server.seen, [close(1001, "client"), closed_clean(1001)]);
    }
}

#[test]
fn s5_5_1_no_data_follows_our_close() {
    for role in ROLES {
        let mut end = Scenario::of(role).open();
        end.conn.send_fragment(MessageKind::Text, b"open", false).unwrap();
        end.conn.close(end.now, CloseCode::NORMAL, "").unwrap();
        let waits = end.conn.buffered_amount();
        assert_eq!(end.conn.send_text("x"), Err(SendError::Closed));
        assert_eq!(end.conn.send_binary(b"x"), Err(SendError::Closed));
        assert_eq!(end.conn.send_fragment(MessageKind::Text, b"x", true), Err(SendError::Closed));
        assert_eq!(end.conn.ping(end.now, b"x"), Err(SendError::Closed));
        assert_eq!(end.conn.pong(b"x"), Err(SendError::Closed));
        assert_eq!(end.conn.send("x").unwrap_err().error, SendError::Closed);
        assert_eq!(end.conn.send(vec![0; 9000]).unwrap_err().error, SendError::Closed);
        assert_eq!(end.conn.close(end.now, CloseCode::NORMAL, ""), Err(SendError::Closed));
        assert_eq!(end.conn.buffered_amount(), waits);
        assert_eq!(end.flush(), ["text- open", "close 1000"]);
    }
}

#[test]
fn s7_1_3_messages_arrive_until_the_peers_close() {
    for role in ROLES {
        let mut end = Scenario::of(role).closing();
        assert_eq!(end.receive(Opcode::Text, "late"), [text("late")]);
        assert_eq!(end.receive_part(Opcode::Text, false, "in "), []);
        assert_eq!(end.receive_part(Opcode::Continuation, true, "parts"), [text("in parts")]);
        assert_eq!(end.receive_close(1000, ""), [close(1000, "")]);
        assert_eq!(end.receive(Opcode::Text, "too late"), []);
        assert_eq!(end.flush(), [""; 0]);
    }
}

#[test]
fn s1_4_input_after_a_received_close_is_discarded() {
    for role in ROLES {
        let mut wire = frame(role.peer(), Opcode::Close, true, b"\x03\xe8");
        let len = wire.len();
        wire.extend(frame(role.peer(), Opcode::Text, true, b"late"));
        wire.extend(frame(role.peer(), Opcode::Close, true, b""));
        wire.extend([0xFF; 100]);
        for size in [1, 2, len, len + 1, wire.len()] {
            let mut end = Scenario::of(role).open();
            assert_eq!(end.feed_in(&wire, size), [close(1000, "")]);
            assert_eq!(end.flush(), ["close 1000"]);
            // The bytes after the Close were discarded, so the position at which they end does not affect the
            // outcome.
            assert_eq!(end.eof(), [closed_clean(1000)]);
        }
    }
}

#[test]
fn s5_4_a_close_may_come_inside_a_fragmented_message() {
    for role in ROLES {
        let mut end = Scenario::of(role).open();
        end.receive_part(Opcode::Text, false, "never finished");
        assert_eq!(end.receive_close(1001, ""), [close(1001, "")]);
        assert_eq!(end.flush(), ["close 1001"]);
        assert_eq!(end.eof(), [closed_clean(1001)]);
        // The incomplete message can no longer be delivered, so its memory is freed on request.
        end.message.release_idle();
        assert_eq!(end.message.capacity(), 0);
    }
}

#[test]
fn s7_1_1_a_server_half_closes_after_writing_its_close_and_waits_for_the_end() {
    for begins in [false, true] {
        let mut end = Scenario::server().open();
        if begins {
            end.conn.close(end.now, CloseCode::NORMAL, "").unwrap();
            end.flush();
            assert_eq!(end.conn.poll_transport(), None);
            end.receive_close(1000, "");
        } else {
            end.receive_close(1000, "");
            assert_eq!(end.conn.poll_transport(), None, "the Close is not written yet");
            end.write(1);
            assert_eq!(end.conn.poll_transport(), None, "the Close is not written yet");
            end.write_all();
        }
        assert_eq!(end.conn.poll_transport(), Some(TransportAction::HalfClose));
        assert_eq!(
            end.conn.poll_transport(),
            Some(TransportAction::HalfClose),
            "the request remains until it is done"
        );
        end.conn.handle_half_closed();
        assert_eq!(end.conn.poll_transport(), None);
        assert_eq!(end.feed(&[0x55; 1000]), []);
        assert_eq!(end.eof(), [closed_clean(1000)]);
        assert_eq!(end.conn.poll_transport(), Some(TransportAction::Close));
        assert_eq!(end.poll(), []);
    }
}

#[test]
fn s7_1_1_a_server_waits_for_the_end_with_a_deadline() {
    let mut end = Scenario::server().answered();
    end.conn.handle_half_closed();
    assert_eq!(end.advance(secs(10) - std::time::Duration::from_nanos(1)), []);
    assert_eq!(end.advance(std::time::Duration::from_nanos(1)), [closed_clean(1000)]);
    assert_eq!(end.conn.poll_transport(), Some(TransportAction::Close));
}

#[test]
fn s7_1_1_a_client_waits_for_the_server_to_close_with_a_deadline() {
    for ends in [false, true] {
        let mut end = Scenario::client().answered();
        assert_eq!(end.conn.poll_transport(), None, "the server closes first");
        if ends {
            assert_eq!(end.eof(), [closed_clean(1000)]);
        } else {
            let tick = std::time::Duration::from_nanos(1);
            assert_eq!(end.advance(secs(2) - tick), []);
            assert_eq!(end.advance(tick), [closed_clean(1000)]);
        }
        assert_eq!(end.conn.poll_transport(), Some(TransportAction::Close));
    }
}

#[test]
fn s7_1_1_the_end_timeout_of_a_client_starts_after_both_closes() {
    let wait = |end_timeout, close_timeout| {
        let config = Config::new().end_timeout(end_timeout).close_timeout(close_timeout);
        let mut end = Scenario::client().config(config).open();
        // Our Close is written, and the peer answers three seconds later.
        end.conn.close(end.now, CloseCode::NORMAL, "").unwrap();
        end.write_all();
        end.advance(secs(3));
        end.receive_close(1000, "");
        let answered = end.conn.poll_timeout();
        // The peer closes first, and our answer can be written only three seconds later.
        let config = Config::new().end_timeout(end_timeout).close_timeout(close_timeout);
        let mut end = Scenario::client().config(config).open();
        end.receive_close(1000, "");
        end.advance(secs(3));
        end.write_all();
        assert_eq!(end.conn.poll_timeout(), answered);
        answered
    };
    assert_eq!(wait(Some(secs(2)), Some(secs(10))), Some(at(secs(5))));
    assert_eq!(wait(Some(secs(2)), None), Some(at(secs(5))));
    // The wait never lasts longer than the close timeout.
    assert_eq!(wait(Some(secs(60)), Some(secs(10))), Some(at(secs(10))));
    assert_eq!(wait(None, Some(secs(10))), Some(at(secs(10))));
    assert_eq!(wait(None, None), None);
}

#[test]
fn s7_1_1_a_peer_that_does_not_answer_the_close_is_given_up() {
    for role in ROLES {
        let mut end = Scenario::of(role).closing();
        assert_eq!(end.advance(secs(9)), []);
        assert_eq!(end.conn.poll_transport(), None);
        assert_eq!(end.advance(secs(1)), [Seen::Closed(Outcome::TimedOut(TimerKind::Close))]);
        assert_eq!(end.conn.poll_transport(), Some(TransportAction::Abort));
        assert_eq!(end.conn.poll_timeout(), None);
        // Input after the timeout yields no event either.
        assert_eq!(end.receive(Opcode::Text, "late"), []);
        assert_eq!(end.receive_close(1000, ""), []);
        assert_eq!(end.eof(), []);
    }
}

#[test]
fn s7_1_1_a_peer_that_does_not_read_the_close_is_given_up() {
    for role in ROLES {
        let mut end = Scenario::of(role).open();
        end.conn.send_text("unread").unwrap();
        end.write(2);
        end.receive_close(1000, "");
        assert_eq!(end.advance(secs(10)), [Seen::Closed(Outcome::TimedOut(TimerKind::Close))]);
        assert_eq!(end.conn.poll_transport(), Some(TransportAction::Abort));
        assert_eq!(end.conn.buffered_amount(), 0);
    }
}

#[test]
fn s7_1_7_after_a_failure_nothing_more_is_processed() {
    for role in ROLES {
        let mut end = Scenario::of(role).failed();
        assert_eq!(end.receive(Opcode::Text, "more"), []);
        assert_eq!(end.receive(Opcode::Ping, "ping"), []);
        assert_eq!(end.receive_close(1000, ""), []);
        assert_eq!(end.conn.send_text("x"), Err(SendError::Closed));
        assert_eq!(end.conn.close(end.now, CloseCode::NORMAL, ""), Err(SendError::Closed));
        assert_eq!(end.flush(), [""; 0]);
        // RFC 6455 7.1.7: the endpoint that fails the connection also closes it. Both roles half-close first, as a
        // server also does after a closing handshake.
        assert_eq!(end.conn.poll_transport(), Some(TransportAction::HalfClose));
        end.conn.handle_half_closed();
        assert_eq!(end.conn.poll_transport(), None);
        assert_eq!(end.eof(), [Seen::Closed(Outcome::Failed(ProtocolError::UnknownOpcode(3)))]);
    }
}

#[test]
fn s7_1_7_a_failed_connection_ends_at_the_deadline() {
    for role in ROLES {
        let mut end = Scenario::of(role).failed();
        assert_eq!(end.advance(secs(9)), []);
        let outcome = Outcome::Failed(ProtocolError::UnknownOpcode(3));
        assert_eq!(end.advance(secs(1)), [Seen::Closed(outcome)]);
        assert_eq!(outcome.code(), CloseCode::ABNORMAL);
        assert_eq!(end.conn.poll_transport(), Some(TransportAction::Close), "the Close was written");
    }
}

#[test]
fn s7_1_7_a_failure_after_our_close_sends_no_second_close() {
    for role in ROLES {
        let mut end = Scenario::of(role).closing();
        assert_eq!(end.feed(&[0x83]), [Seen::Failed(ProtocolError::UnknownOpcode(3))]);
        assert_eq!(end.flush(), [""; 0]);
        assert_eq!(end.sent(), ["close 1000"]);
        assert_eq!(end.eof(), [Seen::Closed(Outcome::Failed(ProtocolError::UnknownOpcode(3)))]);
    }
}

#[test]
fn s7_1_7_a_failure_replaces_our_close_while_it_is_queued() {
    for role in ROLES {
        for begun in 0..=40 {
            let mut end = Scenario::of(role).open();
            end.conn.send_text("one").unwrap();
            let one = end.conn.buffered_amount();
            end.conn.send_text("two").unwrap();
            let two = end.conn.buffered_amount();
            end.conn.close(end.now, CloseCode::NORMAL, "").unwrap();
            if end.conn.buffered_amount() < begun {
                break;
            }
            end.write(begun);
            assert_eq!(end.feed(&[0x83]), [Seen::Failed(ProtocolError::UnknownOpcode(3))]);
            end.write_all();
            let expected = match begun {
                0 => vec!["close 1002 unknown opcode"],
                _ if begun <= one => vec!["text one", "close 1002 unknown opcode"],
                _ if begun <= two => vec!["text one", "text two", "close 1002 unknown opcode"],
                _ => vec!["text one", "text two", "close 1000"],
            };
            assert_eq!(end.sent(), expected, "{begun} bytes written");
            assert_eq!(end.conn.poll_transport(), Some(TransportAction::HalfClose));
        }
    }
}

#[test]
fn s5_5_1_our_queued_close_answers_the_peers_close() {
    for role in ROLES {
        for begun in 0..=40 {
            let mut end = Scenario::of(role).open();
            end.conn.send_text("one").unwrap();
            let one = end.conn.buffered_amount();
            end.conn.send_text("two").unwrap();
            let two = end.conn.buffered_amount();
            end.conn.close(end.now, CloseCode::GOING_AWAY, "own").unwrap();
            let all = end.conn.buffered_amount();
            if all < begun {
                break;
            }
            end.write(begun);
            assert_eq!(end.receive_close(4000, "peer"), [close(4000, "peer")]);
            end.write_all();
            // Messages that were not started are dropped, because they would delay the Close.
            let expected = match begun {
                0 => vec!["close 1001 own"],
                _ if begun <= one => vec!["text one", "close 1001 own"],
                _ => vec!["text one", "text two", "close 1001 own"],
            };
            assert_eq!(end.sent(), expected, "{begun} bytes written");
            assert_eq!(end.conn.sent().frames, 3, "two messages and one Close");
            // The count of dropped bytes includes the messages that were not started. It does not include our Close,
            // which was written.
            let dropped = match begun {
                0 => two,
                _ if begun <= one => two - one,
                _ => 0,
            };
            assert_eq!(end.conn.sender().dropped(), dropped as u64);
            assert_eq!(end.eof(), [closed_clean(4000)]);
        }
    }
}

#[test]
fn s7_1_6_peer_close_keeps_the_first_close_even_after_closed() {
    let longest = "€".repeat(41);
    let said = [(Some(4400), "quota exceeded"), (Some(1000), ""), (Some(1001), &*longest), (None, "")];
    for role in ROLES {
        for (code, reason) in said {
            let mut body = code.map_or(Vec::new(), |code: u16| code.to_be_bytes().to_vec());
            body.extend_from_slice(reason.as_bytes());
            let wire = frame(role.peer(), Opcode::Close, true, &body);
            let frame =
                CloseFrame { code: code.map(CloseCode::new), reason: CloseReason::new(reason).unwrap() };
            for own in [None, Some(false), Some(true)] {
                for size in [1, wire.len()] {
                    let mut end = Scenario::of(role).open();
                    // The payload of an earlier control frame must not appear in the Close.
                    end.receive(
                        Opcode::Ping,
                        b"\x03\xe9longer than the reason, which is not what the peer closed with",
                    );
                    if let Some(written) = own {
                        end.conn.close(end.now, CloseCode::NORMAL, "own").unwrap();
                        if written {
                            end.flush();
                        }
                    }
                    for (at, piece) in wire.chunks(size).enumerate() {
                        assert_eq!(end.conn.peer_close(), None, "{at}");
                        end.feed(piece);
                    }
                    assert_eq!(end.conn.peer_close(), Some(frame));
                    assert_eq!(end.conn.receiver().peer_close(), Some(frame));
                    // Later frames do not replace the first Close.
                    end.receive(Opcode::Ping, b"\x03\xe9no");
                    end.receive_close(1001, "again");
                    end.feed(&[0x83; 50]);
                    end.flush();
                    assert_eq!(end.conn.peer_close(), Some(frame));
                    end.conn.handle_half_closed();
                    let seen = if size == 1 { end.eof() } else { end.advance(secs(10)) };
                    assert!(matches!(seen[..], [Seen::Closed(Outcome::Clean { .. })]), "{seen:?}");
                    end.conn.release_idle();
                    assert_eq!(end.conn.peer_close(), Some(frame), "after Closed");
                    end.receive_close(1001, "again");
                    assert_eq!((end.poll(), end.conn.peer_close()), (vec![], Some(frame)));
                }
            }
        }
    }
}

#[test]
fn s7_1_6_peer_close_returns_a_close_that_was_not_answered_in_time() {
    for role in ROLES {
        let mut end = Scenario::of(role).open();
        end.conn.send_text("unread").unwrap();
        end.write(2);
        end.receive_close(4400, "quota exceeded");
        assert_eq!(end.advance(secs(10)), [Seen::Closed(Outcome::TimedOut(TimerKind::Close))]);
        let close = end.conn.peer_close().unwrap();
        assert_eq!((close.code_seen(), close.reason.as_str()), (CloseCode::new(4400), "quota exceeded"));
    }
}

#[test]
fn s7_1_6_peer_close_is_none_without_a_valid_close() {
    for role in ROLES {
        let close = |body: &[u8]| frame(role.peer(), Opcode::Close, true, body);
        let whole = close(b"\x03\xe8bye");
        let cut = whole[..whole.len() - 1].to_vec();
        // After the input the connection ends in one of three ways: by the end of the stream, by timers, or by our own
        // Close.
        let eof = |mut end: End| (end.eof(), end);
        let silence = |mut end: End| (end.advance(secs(100)), end);
        let own = |mut end: End| {
            end.conn.close(end.now, CloseCode::NORMAL, "own").unwrap();
            (end.advance(secs(10)), end)
        };
        let endings: [&dyn Fn(End) -> (Vec<Seen>, End); 3] = [&eof, &silence, &own];
        for wire in [
            vec![],
            cut,
            whole[..2].to_vec(),
            // Pings and Pongs with the payload of a Close must not be recorded as a Close.
            frame(role.peer(), Opcode::Ping, true, b"\x03\xe8bye"),
            frame(role.peer(), Opcode::Pong, true, b"\x03\xe8bye"),
        ] {
            for ending in endings {
                let mut end = Scenario::of(role).open();
                end.feed(&wire);
                let (seen, mut end) = ending(end);
                assert!(matches!(seen[..], [Seen::Closed(_)]), "{seen:?}");
                assert_eq!(end.conn.peer_close(), None, "{wire:x?}");
                // A Close that arrives after the end is not recorded either.
                end.feed(&whole);
                end.feed(&whole[2..]);
                assert_eq!(end.conn.peer_close(), None, "{wire:x?}");
            }
        }
        for broken in [close(b"\x03\xedbye"), close(b"\x03\xe8\xff"), close(b"x"), vec![0x83]] {
            let mut end = Scenario::of(role).open();
            assert!(matches!(end.feed(&[&broken[..], &whole].concat())[..], [Seen::Failed(_)]));
            assert_eq!(end.conn.peer_close(), None, "{broken:x?}");
            end.eof();
            assert_eq!(end.conn.peer_close(), None, "{broken:x?}");
        }
    }
}

#[test]
fn s7_1_5_an_end_without_a_close_is_abnormal_and_reports_its_position() {
    let part = |opcode, fin| frame(Role::Client, opcode, fin, b"Hello");
    let cases = [
        (vec![], EofPosition::BetweenMessages),
        (part(Opcode::Text, true), EofPosition::BetweenMessages),
        (part(Opcode::Ping, true), EofPosition::BetweenMessages),
        (part(Opcode::Text, false), EofPosition::InMessage),
        ([part(Opcode::Text, false), part(Opcode::Ping, true)].concat(), EofPosition::InMessage),
        (
            [part(Opcode::Text, false), part(Opcode::Continuation, true)].concat(),
            EofPosition::BetweenMessages,
        ),
        (vec![0x81], EofPosition::InFrame),
        (part(Opcode::Text, true)[..6].to_vec(), EofPosition::InFrame),
        (part(Opcode::Text, true)[..10].to_vec(), EofPosition::InFrame),
        (part(Opcode::Close, true)[..7].to_vec(), EofPosition::InFrame),
        ([part(Opcode::Text, false), vec![0x80]].concat(), EofPosition::InFrame),
    ];
    for (wire, cut) in cases {
        let mut end = Scenario::server().open();
        end.feed(&wire);
        let outcome = Outcome::Abnormal(cut);
        assert_eq!(end.eof(), [Seen::Closed(outcome)], "{wire:x?}");
        assert_eq!((outcome.code(), outcome.is_clean()), (CloseCode::ABNORMAL, false));
        assert_eq!(end.conn.poll_transport(), Some(TransportAction::Close));
    }
    // If only our Close was sent, the end is not clean either.
    let mut end = Scenario::server().closing();
    assert_eq!(end.eof(), [Seen::Closed(Outcome::Abnormal(EofPosition::BetweenMessages))]);
}

#[test]
fn s7_1_4_closed_is_the_last_event_and_comes_once() {
    for role in ROLES {
        let ended = || {
            let mut abnormal = Scenario::of(role).open();
            abnormal.conn.handle_eof();
            let mut clean = Scenario::of(role).answered();
            clean.conn.handle_eof();
            let mut failed = Scenario::of(role).failed();
            failed.conn.handle_eof();
            let mut late = Scenario::of(role).closing();
            late.conn.handle_timeout(late.now + secs(10));
            [abnormal, clean, failed, late]
        };
        for mut end in ended() {
            assert!(matches!(end.poll()[..], [Seen::Closed(_)]));
            assert_eq!(end.conn.ready_state(), ReadyState::Closed);
            for _ in 0..3 {
                assert_eq!(end.poll(), []);
                assert_eq!(end.receive(Opcode::Text, "late"), []);
                assert_eq!(end.receive(Opcode::Ping, "late"), []);
                assert_eq!(end.receive_close(1000, ""), []);
                assert_eq!(end.feed(&[0x83]), []);
                assert_eq!(end.eof(), []);
                assert_eq!(end.advance(secs(1000)), []);
                end.conn.handle_half_closed();
                assert_eq!(end.conn.send_text("x"), Err(SendError::Closed));
                assert_eq!(end.conn.close(end.now, CloseCode::NORMAL, ""), Err(SendError::Closed));
                assert_eq!(end.flush(), [""; 0]);
                assert_eq!(end.conn.poll_timeout(), None);
            }
        }
    }
}

#[test]
fn s7_1_4_events_before_the_end_come_before_closed() {
    let mut end = Scenario::server().open();
    end.conn.send_binary(&[0; 70_000]).unwrap();
    assert_eq!(end.conn.send_text("x"), Err(SendError::Blocked));
    // The end of the stream is known before the last bytes are decoded. Their events still come before `Closed`.
    end.conn.handle_eof();
    let seen = end.receive(Opcode::Text, "last words");
    assert_eq!(seen, [text("last words"), Seen::Closed(Outcome::Abnormal(EofPosition::BetweenMessages))]);
}

#[test]
fn s5_5_1_output_of_an_ended_connection_is_dropped_and_counted() {
    let mut end = Scenario::server().open();
    end.conn.send_text("12345678").unwrap();
    end.write(3);
    end.eof();
    assert_eq!(end.conn.buffered_amount(), 0);
    assert_eq!(end.conn.sender().dropped(), 7);
    assert_eq!(end.conn.sender().close_state(), CloseState::Ended);
}

#[test]
fn s7_1_6_an_idle_close_that_is_answered_is_clean() {
    let config = Config::new().idle_timeout(Some(secs(5)));
    let mut end = Scenario::server().config(config).open();
    assert_eq!(end.advance(secs(5)), []);
    assert_eq!(end.flush(), ["close 1001 idle for too long"]);
    assert_eq!(end.receive_close(1001, ""), [close(1001, "")]);
    assert_eq!(end.eof(), [Seen::Closed(Outcome::Clean { code: CloseCode::GOING_AWAY })]);
}

#[test]
fn s7_1_1_our_close_counts_as_sent_after_the_transport_forwarded_it() {
    for role in ROLES {
        // The transport accepts our answer to the peer's Close but holds it back.
        let mut held = Scenario::of(role).open();
        held.receive_close(1000, "");
        held.conn.set_unflushed(held.now, true);
        held.write_all();
        assert_eq!(held.conn.poll_transport(), None);
        assert_eq!(held.advance(secs(9)), []);
        assert_eq!(held.advance(secs(1)), [Seen::Closed(Outcome::TimedOut(TimerKind::Close))]);
        assert_eq!(held.conn.poll_transport(), Some(TransportAction::Abort));

        // The transport forwards the held bytes after five seconds.
        let mut late = Scenario::of(role).open();
        late.receive_close(1000, "");
        late.conn.set_unflushed(late.now, true);
        late.write_all();
        assert_eq!(late.advance(secs(5)), []);
        late.conn.set_unflushed(late.now, false);
        let wait = match role {
            Role::Server => {
                assert_eq!(late.conn.poll_transport(), Some(TransportAction::HalfClose));
                secs(5)
            }
            // The end timeout of a client starts when the transport has forwarded our Close.
            Role::Client => secs(2),
        };
        assert_eq!(late.conn.poll_timeout(), Some(late.now + wait));
        assert_eq!(late.advance(wait), [closed_clean(1000)]);
    }
}

#[test]
fn s7_1_4_an_end_before_our_close_is_written_is_not_clean() {
    let unanswered = Outcome::Unanswered { code: CloseCode::new(4400) };
    assert_eq!((unanswered.code(), unanswered.is_clean()), (CloseCode::new(4400), false));
    for role in ROLES {
        for own in [false, true] {
            // When the stream ends, our Close is in one of four states. It is not written, partly written, written but
            // held back by the transport, or sent completely.
            for (written, held_back, clean) in
                [(0, false, false), (1, false, false), (200, true, false), (200, false, true)]
            {
                let mut end = Scenario::of(role).open();
                if own {
                    end.conn.close(end.now, CloseCode::NORMAL, "own").unwrap();
                }
                assert_eq!(end.receive_close(4400, "bye"), [close(4400, "bye")]);
                end.conn.set_unflushed(end.now, held_back);
                end.write(written);
                let expected = if clean { closed_clean(4400) } else { Seen::Closed(unanswered) };
                assert_eq!(end.eof(), [expected], "{role:?}, {own}, {written}");
                let said = end.conn.peer_close().map(|close| close.code_seen());
                assert_eq!(said, Some(CloseCode::new(4400)));
                assert_eq!(end.conn.poll_transport(), Some(TransportAction::Close));
            }
        }
    }
}
