//! Liveness: a silent peer is given up in time, and a slow peer is not.
//!
//! These tests cover keepalive Pings, sends that wait, halves, and streams that stall or hold bytes back. They
//! check the time of each outcome on the virtual clock. The rules themselves are tested on the core in
//! `tests/scenarios/timers.rs`.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_core::Stream;
use hybi::adapters::futures_io::{Error, Timer as _};
use hybi::{Config, Instant, Outcome, Role, SendError, TimerKind as Which};

use super::support::*;

const ROLES: [Role; 2] = [Role::Server, Role::Client];

/// Returns a configuration with a Ping after 500 ms of silence and 700 ms for its Pong.
fn impatient() -> Config {
    Config::new().ping_interval(Some(ms(500))).pong_timeout(Some(ms(700)))
}

/// Returns the time that has passed, in milliseconds.
fn millis(clock: &Clock) -> u128 {
    clock.now().since_origin().as_millis()
}

/// A dead peer does not answer a Close, so the connection ends without waiting for `close_timeout`.
#[test]
fn s7_1_1_a_dead_peer_is_reported_when_its_pong_is_overdue() {
    for role in ROLES {
        for keeps in [false, true] {
            let behavior = || Behavior { keeps, ..Behavior::default() };
            let start = || pair(role, behavior(), impatient());
            let in_time = |clock: &Clock| assert_eq!(millis(clock), 1200);

            let (clock, mut ws, _peer) = start();
            assert_eq!(block_on(&clock, ws.recv()).unwrap(), None);
            assert_eq!(ws.outcome(), Some(Outcome::TimedOut(Which::Pong)));
            in_time(&clock);

            let (clock, mut ws, _peer) = start();
            assert!(block_on(&clock, poll_fn(|cx| Pin::new(&mut ws).poll_next(cx))).is_none());
            in_time(&clock);

            let (clock, ws, mut peer) = start();
            let (mut reader, _writer) = ws.split();
            assert_eq!(block_on(&clock, reader.recv()).unwrap(), None);
            in_time(&clock);
            // The WebSocket has also written a Close, although it did not wait for the answer.
            peer.pump();
            assert_eq!(peer.heard[1], Heard::Close(1011));
        }
    }
}

#[test]
fn s7_1_1_a_dead_peer_ends_a_waiting_send() {
    for role in ROLES {
        for keeps in [false, true] {
            let behavior = || Behavior { capacity: 1000, keeps, ..Behavior::default() };
            let closed = |sent: Result<(), Error>| {
                assert!(matches!(sent, Err(Error::Send(SendError::Closed))), "{sent:?}");
            };
            let (clock, mut ws, _peer) = pair(role, behavior(), impatient());
            closed(block_on(&clock, ws.send(vec![0; 100_000])));
            assert_eq!(millis(&clock), 1200);
            assert_eq!(block_on(&clock, ws.wait_closed()).unwrap(), Outcome::TimedOut(Which::Pong));
            assert_eq!(millis(&clock), 1200);

            // One half waits in a send. The other half may also wait in a receive.
            for receives in [false, true] {
                let (clock, ws, _peer) = pair(role, behavior(), impatient());
                let (mut reader, mut writer) = ws.split();
                let mut sending = pin!(async { closed(writer.send(vec![0; 100_000]).await) });
                if receives {
                    let received = run(&clock, reader.recv(), &mut [sending.as_mut()]);
                    assert_eq!(received.unwrap(), None);
                    assert_eq!(millis(&clock), 1200);
                }
                block_on(&clock, sending);
                assert_eq!(millis(&clock), 1200);
                assert_eq!(block_on(&clock, reader.wait_closed()).unwrap(), Outcome::TimedOut(Which::Pong));
            }
        }
    }
}

/// Lets the peer read `piece` bytes again and again, each time after the interval `every`. At 40 s and at 75 s the
/// interval is 1.2 s.
async fn slow(clock: &Clock, peer: &mut Peer, piece: usize, every: Duration) {
    loop {
        let second = clock.seconds();
        let stalls = second == 40 || second == 75;
        sleep(clock, if stalls { ms(1200) } else { every }).await;
        peer.pump_some(piece);
    }
}

/// The server only sends. If the waiting send did not read, the peer's Pongs would stay unread.
#[test]
fn s5_5_2_a_peer_that_reads_and_answers_is_never_given_up() {
    for keeps in [false, true] {
        for halves in [false, true] {
            // The stream holds 512 KiB, as the socket buffers of both hosts may do together. The peer reads 160 KiB per
            // second.
            let behavior = Behavior { capacity: 512 << 10, keeps, ..Behavior::default() };
            let (clock, mut ws, mut peer) = pair(Role::Server, behavior, Config::new());
            let mut taking = pin!(slow(&clock, &mut peer, 8 << 10, ms(50)));
            let message = vec![0; 64 << 10];
            let sent = async {
                let sent = if halves {
                    let (_reader, mut writer) = ws.split();
                    let mut sent = Ok(());
                    while sent.is_ok() && clock.seconds() < 200 {
                        sent = writer.send(message.clone()).await;
                    }
                    sent
                } else {
                    let mut sent = Ok(());
                    while sent.is_ok() && clock.seconds() < 200 {
                        sent = ws.send(message.clone()).await;
                    }
                    sent
                };
                sent.unwrap();
            };
            run(&clock, sent, &mut [taking.as_mut()]);
            assert!(clock.seconds() >= 200);
        }
    }
}

#[test]
fn s5_5_2_a_peer_that_reads_slowly_within_one_send_is_never_given_up() {
    for keeps in [false, true] {
        for capacity in [16 << 10, 300 << 10] {
            let behavior = Behavior { capacity, keeps, ..Behavior::default() };
            let (clock, mut ws, mut peer) = pair(Role::Server, behavior, Config::new());
            let mut taking = pin!(slow(&clock, &mut peer, 8 << 10, ms(1500)));
            run(&clock, ws.send(vec![0; 1 << 20]), &mut [taking.as_mut()]).unwrap();
            assert!(clock.seconds() > 100, "{}", clock.seconds());
        }
    }
}

/// Progress of writes extends the pong timeout at most three times. So a peer that reads but never answers is given
/// up.
#[test]
fn s5_5_3_a_peer_that_only_reads_is_given_up_in_bounded_time() {
    let (clock, mut ws, peer) =
        pair(Role::Server, Behavior { capacity: 64 << 10, ..Behavior::default() }, Config::new());
    let end = peer.end.clone();
    let mut taking = pin!(async {
        loop {
            sleep(&clock, ms(500)).await;
            end.take_some(8 << 10);
        }
    });
    let pushing = async {
        while ws.send(vec![0; 1000]).await.is_ok() {}
        clock.seconds()
    };
    let died = run(&clock, pushing, &mut [taking.as_mut()]);
    assert!((30 + 30..=30 + 30 + 90 + 8).contains(&died), "{died}");
}

/// Pings are sent even while writes progress. Their Pongs are traffic in the other direction, so a proxy does not
/// consider the connection idle.
#[test]
fn s5_5_2_pings_are_sent_while_no_send_has_to_wait() {
    let (clock, mut ws, mut peer) = pair(Role::Server, Behavior::default(), Config::new());
    for _ in 0..100 {
        block_on(&clock, ws.send("news")).unwrap();
        clock.advance(ms(1000));
        peer.pump();
    }
    let pings = peer.heard.iter().filter(|heard| matches!(heard, Heard::Ping(_))).count();
    assert!((2..=4).contains(&pings), "{pings}");
}

/// If the application never receives, the Pongs of its peer may stay unread behind other messages.
#[test]
fn a_live_peer_whose_messages_are_never_received_is_kept() {
    // The halves of a split WebSocket: the task that owns the reader is busy, or has dropped the reader.
    for dropped in [false, true] {
        let (clock, ws, mut peer) = pair(Role::Server, Behavior::default(), Config::new());
        let (reader, mut writer) = ws.split();
        let reader = (!dropped).then_some(reader);
        for _ in 0..600 {
            peer.connection.send_binary(&[7; 1024]).unwrap();
            peer.say();
            block_on(&clock, writer.send("news")).unwrap();
            clock.advance(ms(1000));
            peer.pump();
        }
        drop(reader);
    }
    for tries in [false, true] {
        let (clock, mut ws, mut peer) = pair(Role::Server, Behavior::default(), Config::new());
        for n in 0..600 {
            if n < 300 {
                peer.connection.send_binary(&[7; 1024]).unwrap();
                peer.say();
            }
            if tries {
                ws.try_send("news").unwrap();
            } else {
                block_on(&clock, ws.send("news")).unwrap();
            }
            clock.advance(ms(1000));
            peer.pump();
        }
        let received = block_on(&clock, async {
            let mut received = 0;
            while received < 300 {
                ws.recv().await.unwrap().unwrap();
                received += 1;
            }
            received
        });
        assert_eq!(received, 300);
    }
}

/// A send that waits for space also reads a bounded number of bytes. The next receive delivers these bytes, in order.
#[test]
fn s5_4_messages_read_by_a_waiting_send_are_received_later() {
    for halves in [false, true] {
        let behavior = Behavior { capacity: 1000, ..Behavior::default() };
        let (clock, mut ws, mut peer) = pair(Role::Server, behavior, Config::new());
        for n in 0..200 {
            peer.connection.send_text(&format!("{n} {}", letters(n * 5))).unwrap();
        }
        peer.say();
        let end = peer.end.clone();
        let mut taking = pin!(async {
            loop {
                sleep(&clock, ms(10)).await;
                end.take_some(1000);
            }
        });
        let conversation = async {
            let mut expected = 0..200;
            let mut check = |message: Option<hybi::Message>| {
                let n = expected.next().unwrap();
                assert_eq!(message, Some(format!("{n} {}", letters(n * 5)).into()));
            };
            if halves {
                let (mut reader, mut writer) = ws.split();
                for _ in 0..20 {
                    writer.send(vec![0; 5000]).await.unwrap();
                    for _ in 0..10 {
                        check(reader.recv().await.unwrap());
                    }
                }
            } else {
                for _ in 0..20 {
                    ws.send(vec![0; 5000]).await.unwrap();
                    for _ in 0..10 {
                        check(ws.recv().await.unwrap());
                    }
                }
            }
        };
        run(&clock, conversation, &mut [taking.as_mut()]);
    }
}

#[test]
fn s10_4_a_waiting_send_reads_a_bounded_amount() {
    let behavior = Behavior { capacity: 10, ..Behavior::default() };
    let (_clock, mut ws, mut peer) = pair(Role::Server, behavior, patient());
    peer.connection.send(vec![0; 10 << 20]).unwrap();
    peer.say();
    {
        let mut sending = pin!(ws.send(vec![0; 1000]));
        for _ in 0..1000 {
            let polled = sending.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_pending());
        }
    }
    let unread = peer.end.unread();
    assert!(unread >= (10 << 20) - (64 << 10), "{unread} bytes are left of 10 MiB");
}

/// The caller drops each send after half a second and starts another. The dead peer must still be detected.
#[test]
fn s7_1_1_dropped_sends_do_not_postpone_the_end() {
    let behavior = || Behavior { capacity: 1000, ..Behavior::default() };
    let (clock, mut ws, _peer) = pair(Role::Server, behavior(), Config::new());
    let mut tries = 0;
    let ended = loop {
        let sent = block_on(&clock, first_of(ws.send(vec![0; 1000]), sleep(&clock, ms(500))));
        tries += 1;
        assert!(tries < 1000);
        if let Some(Err(error)) = sent {
            break error;
        }
    };
    assert!(matches!(ended, Error::Send(SendError::Closed)), "{ended}");
    assert_eq!(clock.seconds(), 60);

    let (clock, ws, _peer) = pair(Role::Server, behavior(), Config::new());
    let (_reader, mut writer) = ws.split();
    let mut tries = 0;
    let ended = loop {
        let sent = block_on(&clock, first_of(writer.send(vec![0; 1000]), sleep(&clock, ms(500))));
        tries += 1;
        assert!(tries < 1000);
        if let Some(Err(error)) = sent {
            break error;
        }
    };
    assert!(matches!(ended, Error::Send(SendError::Closed)), "{ended}");
    assert_eq!(clock.seconds(), 60);
}

/// Waits until one of two futures is ready. Returns `None` if the second one is ready earlier.
async fn first_of<T>(first: impl Future<Output = T>, second: impl Future<Output = ()>) -> Option<T> {
    let (mut first, mut second) = (pin!(first), pin!(second));
    poll_fn(|cx| {
        if let Poll::Ready(value) = first.as_mut().poll(cx) {
            return Poll::Ready(Some(value));
        }
        second.as_mut().poll(cx).map(|()| None)
    })
    .await
}

/// The payload of a large fragment is read directly into its message and bypasses the read buffer.
#[test]
fn s5_5_2_a_slow_large_fragment_counts_as_traffic_and_as_data() {
    let configs = [Config::new(), patient().idle_timeout(Some(ms(20_000)))];
    for (config, halves) in configs.into_iter().flat_map(|config| [(config.clone(), false), (config, true)]) {
        let (clock, mut ws, mut peer) = pair(Role::Server, Behavior::default(), config);
        peer.connection.send_fragment(hybi::MessageKind::Binary, &vec![7; 1 << 20], false).unwrap();
        let bytes = wire(&mut peer.connection);
        let end = peer.end.clone();
        let mut arriving = pin!(async {
            for piece in bytes.chunks(bytes.len() / 100) {
                end.arrive(piece);
                sleep(&clock, ms(1500)).await;
                // The peer cannot answer Pings in the middle of its frame.
            }
            peer.connection.send_fragment(hybi::MessageKind::Binary, b"end", true).unwrap();
            end.arrive(&wire(&mut peer.connection));
        });
        let received = if halves {
            let (mut reader, _writer) = ws.split();
            run(&clock, reader.recv(), &mut [arriving.as_mut()])
        } else {
            run(&clock, ws.recv(), &mut [arriving.as_mut()])
        };
        assert_eq!(received.unwrap().unwrap().as_bytes().len(), (1 << 20) + 3);
        assert!(clock.seconds() >= 150);
    }
}

/// The close timeout is the only timer. It must end the connection even if the peer has sent its FIN and does not read.
#[test]
fn s7_1_1_a_peer_that_half_closed_and_does_not_read_is_given_up() {
    for halves in [false, true] {
        let config = patient().close_timeout(Some(ms(10_000)));
        let (clock, mut ws, peer) =
            pair(Role::Server, Behavior { capacity: 10, ..Behavior::default() }, config);
        assert!(poll_once(ws.send(vec![0; 1000])).is_pending());
        peer.end.end();
        let outcome = if halves {
            let (mut reader, _writer) = ws.split();
            block_on(&clock, reader.wait_closed())
        } else {
            block_on(&clock, ws.wait_closed())
        };
        assert!(matches!(outcome.unwrap(), Outcome::Abnormal(_)));
        assert_eq!(millis(&clock), 10_000);
    }
}

/// The stream accepts all bytes and never flushes them, and the write queue is empty. The close timeout must still
/// end the connection.
#[test]
fn s7_1_1_a_flush_that_never_completes_does_not_delay_the_end() {
    for (halves, ends) in [(false, false), (false, true), (true, false), (true, true)] {
        let config = patient().close_timeout(Some(ms(10_000)));
        let behavior = Behavior { never_flushed: true, ..Behavior::default() };
        let (clock, mut ws, mut peer) = pair(Role::Server, behavior, config);
        assert!(poll_once(ws.send("held back")).is_pending());
        if ends {
            peer.end.end();
        } else {
            peer.connection.close(Instant::ZERO, hybi::CloseCode::NORMAL, "").unwrap();
            peer.say();
        }
        let outcome = if halves {
            let (mut reader, _writer) = ws.split();
            block_on(&clock, reader.wait_closed())
        } else {
            block_on(&clock, ws.wait_closed())
        };
        outcome.unwrap();
        assert_eq!(millis(&clock), 10_000);
    }
}

#[test]
fn the_clock_of_a_fresh_connection_begins_at_zero() {
    let (clock, _ws, _peer) = pair(Role::Server, Behavior::default(), Config::new());
    assert_eq!(clock.now(), Instant::ZERO);
}

/// The whole message is written at the instant when a Ping is due. Input has arrived, so the Ping is unnecessary, and
/// the send has nothing left to wait for.
#[test]
fn a_send_that_wrote_everything_returns_although_a_timer_was_due() {
    let config = || Config::new().ping_interval(Some(ms(500))).pong_timeout(Some(ms(500)));
    let (clock, mut ws, mut peer) = pair(Role::Server, Behavior::default(), config());
    clock.advance(ms(1000));
    peer.connection.send_text("unread").unwrap();
    peer.say();
    assert!(poll_once(ws.send("now")).is_ready());

    let (clock, ws, mut peer) = pair(Role::Client, Behavior::default(), config());
    let (_reader, mut writer) = ws.split();
    clock.advance(ms(1000));
    peer.connection.send_text("unread").unwrap();
    peer.say();
    assert!(poll_once(writer.send("now")).is_ready());
}

/// The stream accepts only a part of the queue. The rest of the queue is below the high-water mark.
#[test]
fn a_feed_below_the_high_water_mark_returns_although_a_timer_was_due() {
    let config = Config::new().ping_interval(Some(ms(500))).pong_timeout(Some(ms(500))).high_water(100);
    let (clock, mut ws, mut peer) =
        pair(Role::Server, Behavior { capacity: 150, ..Behavior::default() }, config);
    assert!(poll_once(ws.feed(vec![0; 200])).is_ready());
    clock.advance(ms(1000));
    peer.connection.send_text("unread").unwrap();
    peer.say();
    assert!(poll_once(ws.feed("now")).is_ready());
}

/// The sending half must release compression memory before the Pong is due. So the next deadline of the sending half is
/// not the deadline of the Pong. The receiving half has no such memory, and would wait without a deadline. So the
/// receiving half must learn that the sending half has written a Ping.
#[cfg(feature = "deflate")]
#[test]
fn s5_5_3_the_reader_waits_for_the_pong_of_the_writers_ping() {
    let compression = hybi::deflate::Compression::default().release_after(Some(ms(500)));
    let config = Config::new().pong_timeout(Some(ms(1000))).compression(compression);
    let (clock, ws, _peer) = pair_with(Role::Server, Behavior::default(), config, true);
    let (mut reader, mut writer) = ws.split();
    let mut pinging = pin!(async {
        sleep(&clock, ms(100)).await;
        writer.ping(b"").await.unwrap();
    });
    let outcome = run(&clock, reader.wait_closed(), &mut [pinging.as_mut()]);
    assert_eq!(outcome.unwrap(), Outcome::TimedOut(Which::Pong));
    assert_eq!(clock.now(), Instant::ZERO + ms(1100) + Duration::from_nanos(1));
}

#[test]
fn s5_5_2_a_pong_that_waits_behind_a_message_counts_as_received() {
    // A Ping is sent after 500 ms. One read returns a message and, behind it, the Pong. Then the peer reads nothing for
    // one second, and after that it reads everything.
    for way in ["whole", "split first", "split later", "parts"] {
        let behavior = Behavior { capacity: 16 << 10, ..Behavior::default() };
        let (clock, mut ws, mut peer) = pair(Role::Client, behavior, impatient());
        let mut answering = pin!(async {
            sleep(&clock, ms(510)).await;
            assert!(!peer.end.take_some(usize::MAX).is_empty());
            peer.end.arrive(b"\x81\x01?\x8A\x04\0\0\0\x01");
            sleep(&clock, ms(1000)).await;
            loop {
                peer.pump();
                sleep(&clock, ms(1)).await;
            }
        });
        let talk = async {
            if way == "split first" {
                let (mut reader, mut writer) = ws.split();
                assert_eq!(reader.recv().await.unwrap(), Some("?".into()));
                writer.send(vec![0; 1 << 20]).await.unwrap();
                return;
            }
            assert_eq!(ws.recv().await.unwrap(), Some("?".into()));
            if way == "split later" {
                let (_reader, mut writer) = ws.split();
                writer.send(vec![0; 1 << 20]).await.unwrap();
                return;
            }
            if way == "parts" {
                let (stream, connection, inbox) = ws.into_parts();
                ws = hybi::adapters::futures_io::WebSocket::from_parts(
                    stream,
                    clock.clone(),
                    connection,
                    inbox,
                );
            }
            ws.send(vec![0; 1 << 20]).await.unwrap();
        };
        run(&clock, talk, &mut [answering.as_mut()]);
        assert!(millis(&clock) >= 1510);
    }
}

#[test]
fn s5_5_3_a_ping_that_was_sent_after_the_last_input_times_out() {
    // The peer sends two messages and then nothing, and reads nothing. Only the application sends a Ping. The input
    // that was read before the Ping cannot contain the Pong.
    for halves in [false, true] {
        let behavior = Behavior { capacity: 1000, ..Behavior::default() };
        let config = patient().pong_timeout(Some(ms(700)));
        let (clock, mut ws, peer) = pair(Role::Client, behavior, config);
        peer.end.arrive(b"\x81\x01?\x81\x01!");
        block_on(&clock, async {
            let sent = if halves {
                let (mut reader, mut writer) = ws.split();
                assert_eq!(reader.recv().await.unwrap(), Some("?".into()));
                sleep(&clock, ms(1)).await;
                writer.ping(b"Are you alive?").await.unwrap();
                writer.send(vec![0; 1 << 20]).await
            } else {
                assert_eq!(ws.recv().await.unwrap(), Some("?".into()));
                sleep(&clock, ms(1)).await;
                ws.ping(b"Are you alive?").await.unwrap();
                ws.send(vec![0; 1 << 20]).await
            };
            assert!(matches!(sent, Err(Error::Send(SendError::Closed))), "{sent:?}");
        });
        assert_eq!(millis(&clock), 701);
    }
}

#[test]
fn s5_5_3_input_that_is_decoded_completely_does_not_hide_a_missing_pong() {
    // The application sends a Ping. The peer answers with a message instead of a Pong, and then does nothing.
    for way in ["recv", "next_event", "halves", "parts"] {
        let behavior = Behavior { capacity: 1000, ..Behavior::default() };
        let config = patient().pong_timeout(Some(ms(700)));
        let (clock, mut ws, peer) = pair(Role::Client, behavior, config);
        let mut talking = pin!(async {
            sleep(&clock, ms(10)).await;
            peer.end.arrive(b"\x81\x01?");
        });
        let talk = async {
            if way == "halves" {
                let (mut reader, mut writer) = ws.split();
                writer.ping(b"Are you alive?").await.unwrap();
                assert_eq!(reader.recv().await.unwrap(), Some("?".into()));
                return writer.send(vec![0; 1 << 20]).await;
            }
            ws.ping(b"Are you alive?").await.unwrap();
            if way == "next_event" {
                assert!(ws.next_event().await.unwrap().is_some());
            } else {
                assert_eq!(ws.recv().await.unwrap(), Some("?".into()));
            }
            if way == "parts" {
                let (stream, connection, inbox) = ws.into_parts();
                ws = hybi::adapters::futures_io::WebSocket::from_parts(
                    stream,
                    clock.clone(),
                    connection,
                    inbox,
                );
            }
            ws.send(vec![0; 1 << 20]).await
        };
        let sent = run(&clock, talk, &mut [talking.as_mut()]);
        assert!(matches!(sent, Err(Error::Send(SendError::Closed))), "{way}: {sent:?}");
        assert_eq!(millis(&clock), 710, "{way}");
    }
}

#[test]
fn s5_5_3_input_that_was_decoded_later_does_not_hide_a_missing_pong() {
    // The application sends a Ping. While it sends more, a message of the peer is read ahead. The peer takes
    // everything, and then does nothing.
    for halves in [false, true] {
        let behavior = Behavior { capacity: 1000, ..Behavior::default() };
        let config = patient().pong_timeout(Some(ms(700)));
        let (clock, mut ws, peer) = pair(Role::Client, behavior, config);
        let mut talking = pin!(async {
            sleep(&clock, ms(10)).await;
            peer.end.arrive(b"\x81\x01?");
            sleep(&clock, ms(10)).await;
            peer.end.take_some(usize::MAX);
        });
        let talk = async {
            let (received, end) = if halves {
                let (mut reader, mut writer) = ws.split();
                writer.ping(b"Are you alive?").await.unwrap();
                writer.send(vec![0; 1500]).await.unwrap();
                (reader.recv().await.unwrap(), reader.wait_closed().await.unwrap())
            } else {
                ws.ping(b"Are you alive?").await.unwrap();
                ws.send(vec![0; 1500]).await.unwrap();
                (ws.recv().await.unwrap(), ws.wait_closed().await.unwrap())
            };
            assert_eq!((received, end), (Some("?".into()), Outcome::TimedOut(Which::Pong)));
        };
        run(&clock, talk, &mut [talking.as_mut()]);
        assert!(millis(&clock) <= 720, "{}", millis(&clock));
    }
}

#[test]
fn s5_5_3_input_that_was_read_ahead_before_a_ping_does_not_hide_a_missing_pong() {
    // Two messages are read ahead while the application sends. Then it sends a Ping, and the peer does nothing more.
    let behavior = Behavior { capacity: 1000, ..Behavior::default() };
    let (clock, mut ws, peer) = pair(Role::Client, behavior, patient().pong_timeout(Some(ms(700))));
    let mut talking = pin!(async {
        sleep(&clock, ms(5)).await;
        peer.end.arrive(b"\x81\x01?\x81\x01!");
        sleep(&clock, ms(5)).await;
        peer.end.take_some(usize::MAX);
    });
    let talk = async {
        ws.send(vec![0; 1500]).await.unwrap();
        sleep(&clock, ms(10)).await;
        ws.ping(b"Are you alive?").await.unwrap();
        sleep(&clock, ms(10)).await;
        assert_eq!(ws.recv().await.unwrap(), Some("?".into()));
        ws.send(vec![0; 1 << 20]).await
    };
    let sent = run(&clock, talk, &mut [talking.as_mut()]);
    assert!(matches!(sent, Err(Error::Send(SendError::Closed))), "{sent:?}");
    // The message counts as received when it is decoded, at 30 ms.
    assert_eq!(millis(&clock), 730);
    // The second message is not lost.
    assert_eq!(block_on(&clock, ws.recv()).unwrap(), Some("!".into()));
}

#[cfg(feature = "deflate")]
#[test]
fn s5_5_2_a_peer_whose_messages_never_pause_is_not_given_up() {
    // There is always more input than one turn reads, and the application is slower than the timers. The peer answers
    // no Ping, but each byte shows that it is alive. Each read returns one message, the compressed "Hello" of RFC 7692
    // section 7.2.3.1.
    const MESSAGE: &[u8] = b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00";
    for halves in [false, true] {
        let behavior = Behavior { piece: MESSAGE.len(), ..Behavior::default() };
        let (clock, mut ws, peer) = pair_with(Role::Client, behavior, impatient(), true);
        peer.end.arrive(&MESSAGE.repeat(102));
        block_on(&clock, async {
            let (mut reader, _writer);
            if halves {
                (reader, _writer) = ws.split();
                for n in 0..100 {
                    assert_eq!(reader.recv().await.unwrap(), Some("Hello".into()), "{n}");
                    clock.advance(ms(800));
                }
            } else {
                for n in 0..100 {
                    assert_eq!(ws.recv().await.unwrap(), Some("Hello".into()), "{n}");
                    clock.advance(ms(800));
                }
            }
        });
    }
}

#[test]
fn a_live_peer_that_stalls_is_kept_although_its_messages_fill_the_read_ahead_buffer() {
    let behavior = Behavior { capacity: 64 << 10, ..Behavior::default() };
    let (clock, mut ws, mut peer) = pair(Role::Server, behavior, Config::new());
    peer.connection.send_binary(&vec![7; 2 << 20]).unwrap();
    peer.say();
    let mut living = pin!(async {
        // The peer answers each Ping, but the Pongs wait behind the long message. The peer stalls for 20 seconds.
        loop {
            sleep(&clock, ms(100)).await;
            if !(59_000..79_000).contains(&millis(&clock)) {
                peer.pump();
            }
        }
    });
    let talk = async {
        while millis(&clock) < 59_000 {
            ws.send("x").await.unwrap();
            sleep(&clock, ms(1000)).await;
        }
        ws.send(vec![0; 128 << 10]).await.unwrap();
        ws.send("x").await.unwrap();
    };
    run(&clock, talk, &mut [living.as_mut()]);
    assert!(millis(&clock) >= 79_000);
}
