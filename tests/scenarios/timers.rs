//! Timers: keepalive Pings, the pong timeout, the idle timeout, the close timeout and the end timeout.
//!
//! A timer must not fire early, must fire once, and must not leave a connection waiting forever. Time is virtual:
//! it starts at zero and moves from deadline to deadline. Timers under random input are tested in
//! `tests/properties/timers.rs`.

use std::time::Duration;

use hybi::frame::Opcode;
use hybi::{CloseCode, Config, Outcome, Role, SendError, TimerKind, TransportAction};

use crate::pair::{Pair, Scenario, Seen, at, secs, text};

const ROLES: [Role; 2] = [Role::Server, Role::Client];
const TICK: Duration = Duration::from_nanos(1);

fn quiet() -> Config {
    Config::new().ping_interval(None).pong_timeout(None).close_timeout(None)
}

#[test]
fn s5_5_2_a_silent_peer_is_pinged_after_the_interval_and_not_before() {
    for role in ROLES {
        let mut end = Scenario::of(role).open();
        assert_eq!(end.conn.poll_timeout(), Some(at(secs(30))));
        end.advance_to(at(secs(30) - TICK));
        assert_eq!(end.conn.buffered_amount(), 0);
        end.advance_to(at(secs(30)));
        assert_eq!(end.flush().len(), 1);
        // A second call at the same instant does nothing.
        end.conn.handle_timeout(at(secs(30)));
        assert_eq!(end.conn.buffered_amount(), 0);
        let ping = crate::pair::parse(role, &end.wire).remove(0);
        assert_eq!(ping.header.opcode, Opcode::Ping);
        end.advance(secs(1));
        end.receive(Opcode::Pong, &ping.payload);
        assert_eq!(end.conn.round_trip(), Some(secs(1)));
        assert_eq!(end.conn.poll_timeout(), Some(at(secs(61))));
    }
}

#[test]
fn s5_5_2_any_byte_from_the_peer_postpones_the_ping() {
    for role in ROLES {
        let mut end = Scenario::of(role).open();
        let bytes = crate::pair::frame(role.peer(), Opcode::Binary, true, &[7; 600]);
        for byte in bytes.chunks(60) {
            end.advance(secs(29));
            end.feed(byte);
            assert_eq!(end.conn.poll_timeout(), Some(end.now + secs(30)));
        }
        assert_eq!(end.conn.buffered_amount(), 0);
    }
}

#[test]
fn s7_2_1_a_peer_that_does_not_answer_a_ping_is_dead() {
    for role in ROLES {
        let mut end = Scenario::of(role).open();
        end.advance(secs(30));
        end.write_all();
        assert_eq!(end.advance(secs(30) - TICK), []);
        assert_eq!(end.conn.buffered_amount(), 0);
        end.advance(TICK);
        assert_eq!(end.flush(), ["close 1011 no answer to a ping"]);
        assert_eq!(end.conn.send_text("x"), Err(SendError::Closed));
        // RFC 6455 7.1.7: a failed connection stays failed, also when data arrives later.
        assert_eq!(end.receive(Opcode::Text, "I was away"), []);
        assert_eq!(end.receive_close(1000, ""), []);
        // The peer does not answer, so the connection ends after one attempt to write its Close.
        assert_eq!(end.advance(TICK), [Seen::Closed(Outcome::TimedOut(TimerKind::Pong))]);
        assert_eq!(end.conn.poll_transport(), Some(TransportAction::Abort));
        assert_eq!(end.conn.poll_timeout(), None);
    }
}

#[test]
fn s7_2_1_the_connection_to_a_dead_peer_that_does_not_read_is_aborted() {
    let mut end = Scenario::server().open();
    end.conn.send_text("unread").unwrap();
    end.advance(secs(60));
    assert_eq!(end.conn.sender().close_state(), hybi::CloseState::Failed);
    assert_eq!(end.conn.poll_transport(), None);
    assert_eq!(end.advance(TICK), [Seen::Closed(Outcome::TimedOut(TimerKind::Pong))]);
    assert_eq!(end.conn.poll_transport(), Some(TransportAction::Abort));
}

#[test]
fn s5_5_3_a_silent_peer_that_reads_gets_three_more_pong_timeouts() {
    for role in ROLES {
        let mut end = Scenario::of(role).open();
        end.advance(secs(30));
        end.write_all();
        let mut died = None;
        for second in 30..300 {
            // The application always queues more than the transport accepts. Every seven seconds the transport accepts
            // a part of the queue, so the peer seems to read.
            while end.conn.send_binary(&[0; 1000]).is_ok() {}
            end.write(0);
            if second % 7 == 0 {
                end.write(1500);
            }
            end.advance(secs(1));
            if end.conn.sender().close_state() != hybi::CloseState::Open {
                died = Some(second + 1);
                break;
            }
        }
        // The Ping was written at 30 s, so its pong timeout ends at 60 s. Progress of writes extends this time by up to
        // three more timeouts.
        assert_eq!(died, Some(150));
    }
}

#[test]
fn s5_5_3_a_write_to_a_transport_that_is_not_full_is_no_sign_of_life() {
    let mut end = Scenario::server().open();
    end.advance(secs(30));
    end.write_all();
    for _ in 30..60 {
        assert_eq!(end.conn.sender().close_state(), hybi::CloseState::Open);
        end.conn.send_binary(&[0; 1000]).unwrap();
        // The transport accepts bytes in each write, so it was not full before. These writes do not show that the peer
        // reads, and they do not extend the pong timeout.
        end.write(300);
        end.write_all();
        end.advance(secs(1));
    }
    assert_eq!(end.conn.sender().close_state(), hybi::CloseState::Failed);
}

#[test]
fn s5_5_2_any_ping_that_is_answered_gives_the_round_trip() {
    // One Ping per second, with a round trip of one and a half seconds.
    let mut end = Scenario::server().open();
    for second in 0..20_u32 {
        end.conn.ping(end.now, &second.to_be_bytes()).unwrap();
        end.write_all();
        end.advance(secs(1) / 2);
        if let Some(answered) = second.checked_sub(1) {
            end.receive(Opcode::Pong, answered.to_be_bytes());
            assert_eq!(end.conn.round_trip(), Some(secs(3) / 2), "{second}");
        }
        end.advance(secs(1) / 2);
    }
}

#[test]
fn s5_5_3_bytes_from_a_pinged_peer_extend_but_do_not_end_the_pong_timeout() {
    let mut end = Scenario::server().open();
    end.advance(secs(30));
    end.write_all();
    for _ in 0..5 {
        end.advance(secs(29));
        assert_eq!(end.receive(Opcode::Text, "busy"), [text("busy")]);
    }
    assert_eq!(end.flush(), [""; 0], "a second Ping was sent while a Pong is awaited");
    end.advance(secs(30));
    assert_eq!(end.flush(), ["close 1011 no answer to a ping"]);
}

#[test]
fn s5_5_2_pings_of_the_application_do_not_extend_the_pong_timeout() {
    for writes in [false, true] {
        let mut end = Scenario::server().open();
        let mut died = None;
        for second in 0..200 {
            let _ = end.conn.ping(end.now, b"are you there?");
            if end.conn.sender().close_state() != hybi::CloseState::Open {
                died = Some(second);
                break;
            }
            if writes {
                end.write_all();
            }
            end.advance(secs(1));
        }
        assert_eq!(died, Some(30));
    }
}

#[test]
fn s5_5_2_a_peer_that_reads_a_large_frame_is_not_dead() {
    // 2 MiB at 16 KiB per second take over two minutes. The peer sends nothing during that time.
    for role in ROLES {
        let mut end = Scenario::of(role).open();
        end.conn.send_binary(&vec![0; 2 << 20]).unwrap();
        let mut seconds = 0;
        while end.conn.buffered_amount() > 0 {
            seconds += 1;
            assert_eq!(end.advance(secs(1)), []);
            assert_eq!(end.conn.sender().close_state(), hybi::CloseState::Open, "after {seconds} s");
            end.write(16 << 10);
        }
        assert!(seconds > 120);
        let frames = end.sent();
        assert_eq!(frames.len(), 2, "{frames:?}");
        assert!(frames[1].starts_with("ping"));
        // From now on the usual pong timeout applies.
        end.advance(secs(30) - TICK);
        assert_eq!(end.conn.buffered_amount(), 0);
        end.advance(TICK);
        assert_eq!(end.flush(), ["close 1011 no answer to a ping"]);
    }
}

#[test]
fn s5_5_2_a_peer_that_reads_a_large_frame_with_pongs_queued_after_it_is_not_dead() {
    // The control queue is full of Pongs. Our keepalive Ping must still be queued and sent.
    let mut end = Scenario::server().open();
    end.conn.send_binary(&vec![0; 2 << 20]).unwrap();
    end.write(1);
    for _ in 0..12 {
        end.receive(Opcode::Ping, [b'x'; 125]);
    }
    while end.conn.buffered_amount() > 0 {
        end.advance(secs(1));
        assert_eq!(end.conn.sender().close_state(), hybi::CloseState::Open);
        end.write(16 << 10);
    }
    assert!(end.sent().iter().any(|frame| frame.starts_with("ping")));
    assert_eq!(end.sent().iter().filter(|frame| frame.starts_with("pong")).count(), 1);
}

#[test]
fn s5_5_2_the_connection_to_a_peer_that_does_not_read_fails_at_any_queue_length() {
    for waits in [0, 1000, 60_000, 3 << 20] {
        let mut end = Scenario::server().open();
        end.conn.send_binary(&vec![0; waits]).unwrap();
        end.write(100);
        end.advance(secs(60));
        assert_eq!(end.conn.sender().close_state(), hybi::CloseState::Failed, "{waits}");
        // The refused Ping was an internal one, so the application gets no `Writable`.
        assert_eq!(end.poll(), []);
    }
}

#[test]
fn s5_5_2_a_keepalive_ping_that_waits_causes_no_writable_event() {
    let mut end = Scenario::server().open();
    end.conn.send_binary(&vec![0; 300_000]).unwrap();
    end.advance(secs(31));
    end.write_all();
    assert_eq!(end.poll(), [], "no send was refused");
}

#[test]
fn s5_5_2_keepalive_without_a_pong_timeout_continues_in_bounded_memory() {
    for role in ROLES {
        // The peer reads, and never answers.
        let mut end = Scenario::of(role).config(Config::new().pong_timeout(None)).open();
        for _ in 0..10 {
            end.advance(secs(30));
            assert_eq!(end.flush().len(), 1);
        }
        // The peer does not even read.
        for _ in 0..10_000 {
            end.advance(secs(30));
        }
        assert_eq!(end.conn.sender().close_state(), hybi::CloseState::Open);
        assert!(end.conn.buffered_amount() < 1000, "{} bytes wait", end.conn.buffered_amount());
    }
}

#[test]
fn s7_1_1_only_data_restarts_the_idle_timer() {
    let config = quiet().idle_timeout(Some(secs(10)));
    for role in ROLES {
        // Control frames do not restart the idle timer.
        let mut end = Scenario::of(role).config(config.clone()).open();
        end.advance(secs(9));
        end.receive(Opcode::Ping, "ping");
        end.receive(Opcode::Pong, "pong");
        end.conn.ping(end.now, b"ping").unwrap();
        end.write_all();
        end.advance(secs(1));
        assert_eq!(end.flush(), ["close 1001 idle for too long"]);

        // Messages in both directions, and parts of them, restart the idle timer.
        let mut end = Scenario::of(role).config(config.clone()).open();
        end.advance(secs(9));
        end.receive(Opcode::Text, "data");
        end.advance(secs(9));
        end.receive_part(Opcode::Text, false, "part");
        end.advance(secs(9));
        end.conn.send_text("data").unwrap();
        end.write_all();
        end.advance(secs(10) - TICK);
        assert_eq!(end.conn.buffered_amount(), 0);
        end.advance(TICK);
        assert_eq!(end.flush(), ["close 1001 idle for too long"]);
    }
}

#[test]
fn s7_1_1_data_before_a_control_frame_restarts_the_idle_timer() {
    let mut end = Scenario::server().config(quiet().idle_timeout(Some(secs(10)))).open();
    let mut wire = crate::pair::frame(Role::Client, Opcode::Text, false, b"part");
    wire.extend(crate::pair::frame(Role::Client, Opcode::Ping, true, b"p"));
    end.advance(secs(9));
    assert_eq!(end.feed(&wire), [Seen::Ping(b"p".to_vec())]);
    assert_eq!(end.conn.poll_timeout(), Some(at(secs(19))));

    // A control frame that arrives byte by byte does not count as data, even after a message.
    let mut end = Scenario::server().config(quiet().idle_timeout(Some(secs(10)))).open();
    end.receive(Opcode::Text, [b'x'; 200]);
    end.advance(secs(9));
    let ping = crate::pair::frame(Role::Client, Opcode::Ping, true, b"p");
    end.feed_in(&ping, 1);
    assert_eq!(end.conn.poll_timeout(), Some(at(secs(10))));
}

#[test]
fn s7_1_1_an_idle_close_without_an_answer_is_an_idle_timeout() {
    let mut end = Scenario::client().config(quiet().idle_timeout(Some(secs(10)))).open();
    end.advance(secs(10));
    assert_eq!(end.flush(), ["close 1001 idle for too long"]);
    assert_eq!(end.eof(), [Seen::Closed(Outcome::TimedOut(TimerKind::Idle))]);
}

#[test]
fn s7_1_1_a_connection_that_writes_a_message_is_not_idle() {
    for role in ROLES {
        let mut end = Scenario::of(role).config(quiet().idle_timeout(Some(secs(10)))).open();
        end.conn.send_binary(&[0; 6000]).unwrap();
        while end.conn.buffered_amount() > 0 {
            assert_eq!(end.conn.sender().close_state(), hybi::CloseState::Open);
            end.write(100);
            end.advance(secs(1));
        }
        end.advance(secs(9));
        assert_eq!(end.flush(), ["close 1001 idle for too long"]);
    }
}

#[test]
fn s7_1_1_an_idle_close_is_sent_after_accepted_messages() {
    let mut end = Scenario::server().config(quiet().idle_timeout(Some(secs(10)))).open();
    end.conn.send_text("stuck").unwrap();
    end.advance(secs(10));
    assert_eq!(end.conn.send_text("x"), Err(SendError::Closed));
    assert_eq!(end.flush(), ["text stuck", "close 1001 idle for too long"]);
    assert_eq!(end.conn.poll_timeout(), None, "no close timeout is configured");
}

#[test]
fn s7_1_1_the_close_timer_runs_from_the_first_close() {
    for role in ROLES {
        let mut end = Scenario::of(role).open();
        end.advance(secs(5));
        end.conn.close(end.now, CloseCode::NORMAL, "").unwrap();
        assert_eq!(end.conn.poll_timeout(), Some(at(secs(15))));
        end.advance(secs(5));
        end.write_all();
        end.receive(Opcode::Text, "bytes do not put it off");
        end.receive_close(1000, "");
        end.conn.handle_half_closed();
        // For a client the end timeout is shorter than the close timeout.
        let end_at = if role == Role::Client { secs(2) } else { secs(5) };
        assert_eq!(end.conn.poll_timeout(), Some(end.now + end_at));
        assert_eq!(end.advance(end_at - TICK), []);
        assert!(matches!(end.advance(TICK)[..], [Seen::Closed(Outcome::Clean { .. })]));
    }
}

#[test]
fn s7_1_1_without_timeouts_nothing_is_due() {
    for role in ROLES {
        let mut end = Scenario::of(role).config(quiet()).open();
        assert_eq!(end.conn.poll_timeout(), None);
        end.conn.ping(end.now, b"p").unwrap();
        end.write_all();
        assert_eq!(end.conn.poll_timeout(), None);
        end.conn.close(end.now, None, "").unwrap();
        assert_eq!(end.conn.poll_timeout(), None);
        assert_eq!(end.advance(Duration::MAX), []);
    }
}

#[test]
fn s7_1_1_timeouts_of_zero_end_at_once_without_spinning() {
    let zero = Some(Duration::ZERO);
    for role in ROLES {
        let mut end = Scenario::of(role).config(Config::new().close_timeout(zero)).open();
        end.conn.close(end.now, CloseCode::NORMAL, "").unwrap();
        assert_eq!(end.advance(Duration::ZERO), [Seen::Closed(Outcome::TimedOut(TimerKind::Close))]);

        let mut end = Scenario::of(role).config(Config::new().idle_timeout(zero)).open();
        assert_eq!(end.advance(Duration::ZERO), []);
        assert_eq!(end.flush(), ["close 1001 idle for too long"]);

        let mut end = Scenario::of(role).config(Config::new().pong_timeout(zero)).open();
        end.advance(secs(30));
        assert_eq!(end.conn.sender().close_state(), hybi::CloseState::Failed);

        let everything =
            Config::new().ping_interval(zero).pong_timeout(None).close_timeout(zero).idle_timeout(None);
        let mut end = Scenario::of(role).config(everything).open();
        end.advance(Duration::from_millis(100));
        assert!(end.conn.buffered_amount() < 1000);
        end.conn.close(end.now, CloseCode::NORMAL, "").unwrap();
        assert_eq!(end.advance(TICK), [Seen::Closed(Outcome::TimedOut(TimerKind::Close))]);
    }
}

#[test]
fn s7_1_1_a_clock_at_the_end_of_its_range_causes_no_panic() {
    let timers = [None, Some(Duration::ZERO), Some(secs(1)), Some(Duration::MAX)];
    for start in
        [Duration::MAX, Duration::from_nanos(u64::MAX - 1), Duration::from_nanos(u64::MAX) - secs(31)]
    {
        for ping in timers {
            for other in timers {
                let config = Config::new()
                    .ping_interval(ping)
                    .pong_timeout(other)
                    .idle_timeout(other)
                    .close_timeout(other);
                let mut conn = hybi::Connection::server(at(start), config.clone(), hybi::Outbox::new());
                for now in [start, Duration::MAX] {
                    let _ = conn.poll_timeout();
                    conn.handle_timeout(at(now));
                    let _ = conn.ping(at(now), b"x");
                    conn.handle_timeout(at(now));
                    let _ = conn.close(at(now), None, "");
                    conn.handle_timeout(at(now));
                }
                // The clock moves from zero to its maximum in one step.
                let mut end = Scenario::server().config(config).open();
                end.conn.handle_timeout(at(Duration::MAX));
                end.conn.handle_timeout(at(Duration::MAX));
                end.now = at(Duration::MAX);
                end.receive(Opcode::Text, "x");
                end.conn.handle_timeout(at(Duration::MAX));
            }
        }
    }
}

#[test]
fn s7_1_1_a_driver_that_wakes_late_does_not_give_up_the_peer() {
    let mut end = Scenario::server().open();
    // The driver did not run for a day, for example because the computer was suspended.
    end.now = at(secs(86_400));
    end.conn.handle_timeout(end.now);
    assert_eq!(end.conn.sender().close_state(), hybi::CloseState::Open);
    assert_eq!(end.flush().len(), 1);
    assert_eq!(end.conn.poll_timeout(), Some(end.now + secs(30)));
}

#[test]
fn s5_5_2_keepalive_keeps_an_idle_pair_open() {
    for cap in [1, 3, usize::MAX] {
        let mut pair = Pair::new().cap(cap);
        assert_eq!(pair.drive_through(1000), 1000);
        assert!(pair.now() > at(secs(30 * 400)));
        for end in [&pair.client, &pair.server] {
            assert_eq!(end.conn.sender().close_state(), hybi::CloseState::Open);
        }
        // The network between the endpoints is cut.
        pair.cut();
        pair.drive();
        assert!(matches!(pair.server.seen.last(), Some(Seen::Closed(Outcome::Abnormal(_)))));
    }
}

/// A Pong with the right payload counts only after its Ping was written. Otherwise a peer could stop the pong timeout
/// without reading our Pings.
#[test]
fn s5_5_3_a_pong_before_its_ping_was_written_answers_nothing() {
    let mut end = Scenario::server().open();
    end.conn.send_binary(&[0; 1000]).unwrap();
    end.write(10);
    // The keepalive Ping is queued after a partly written frame. A peer can guess the payload of the Ping.
    end.advance(secs(30));
    end.advance(secs(1));
    assert_eq!(end.receive(Opcode::Pong, "\0\0\0\u{1}"), [Seen::Pong(vec![0, 0, 0, 1])]);
    assert_eq!(end.conn.round_trip(), None);
    for _ in 0..10 {
        end.advance(secs(30));
    }
    assert_ne!(end.conn.sender().close_state(), hybi::CloseState::Open);
}

#[test]
fn s5_5_3_a_pong_for_the_first_of_two_equal_pings_does_not_stop_the_timer() {
    let mut end = Scenario::server().open();
    end.conn.ping(end.now, b"").unwrap();
    end.write_all();
    end.conn.send_binary(&[0; 1000]).unwrap();
    end.write(10);
    end.advance(secs(1));
    end.conn.ping(end.now, b"").unwrap();
    assert_eq!(end.receive(Opcode::Pong, ""), [Seen::Pong(vec![])]);
    for _ in 0..10 {
        end.advance(secs(31));
    }
    assert_ne!(end.conn.sender().close_state(), hybi::CloseState::Open);
}

#[test]
fn a_small_message_after_a_pong_restarts_the_idle_timer() {
    let config = Config::new().idle_timeout(Some(secs(60))).ping_interval(None);
    let end = Scenario::server().config(config).open();
    let (mut receiver, mut sender) = end.conn.into_halves();
    let mut wire = crate::pair::frame(Role::Client, Opcode::Pong, true, b"");
    wire.extend(crate::pair::frame(Role::Client, Opcode::Text, true, b"data"));
    let mut inbox = hybi::Inbox::with_bytes(&wire);
    let mut now = hybi::Instant::ZERO + secs(50);
    while let Some(ready) = receiver.poll(&mut inbox).unwrap() {
        assert_eq!(inbox.reply(ready).is_none(), receiver.last_poll_had_data());
        sender.apply(now, hybi::PendingReply::Received { data: receiver.last_poll_had_data() });
    }
    now = now + secs(59);
    sender.handle_timeout(now);
    assert_eq!(sender.close_state(), hybi::CloseState::Open);
}

#[test]
fn a_message_polled_without_a_time_counts_from_the_next_call_with_a_time() {
    let config = Config::new().idle_timeout(Some(secs(60))).ping_interval(None);
    let wire = crate::pair::frame(Role::Client, Opcode::Text, true, b"data");
    let at = |seconds| hybi::Instant::ZERO + secs(seconds);
    // `handle_timeout` also tells the connection the time. The message is counted before the timer is checked.
    for caught_up in [true, false] {
        let mut conn = Scenario::server().config(config.clone()).open().conn;
        let mut inbox = hybi::Inbox::with_bytes(&wire);
        assert!(conn.poll_message(&mut inbox).is_some() && conn.has_unrecorded_messages());
        assert_eq!(conn.poll_timeout(), Some(at(60)));
        if caught_up {
            conn.record_received(at(50));
            assert_eq!((conn.has_unrecorded_messages(), conn.poll_timeout()), (false, Some(at(110))));
            conn.record_received(at(51));
            assert_eq!(conn.poll_timeout(), Some(at(110)));
        } else {
            conn.handle_timeout(at(60));
            assert_eq!((conn.has_unrecorded_messages(), conn.poll_timeout()), (false, Some(at(120))));
        }
        assert_eq!(conn.ready_state(), hybi::ReadyState::Open);
    }
}
