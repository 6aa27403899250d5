//! The timers of the core, driven by the timeouts of a socket.
//!
//! These tests use real time over TCP, with timeouts of milliseconds and generous bounds. They check that a
//! blocking call returns for each timer and does not use the processor while it waits. The times themselves are
//! tested on virtual time in `liveness.rs`.

use std::io::ErrorKind;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Instant;

use hybi::adapters::net::{Client, Error, Server};
use hybi::{CloseCode, Config, Event, Outcome, SendError, TimerKind};

use crate::common::*;

const CLEAN: Outcome = Outcome::Clean { code: CloseCode::NORMAL };

/// Runs a server with this configuration against `peer`. Returns the outcome of the server.
fn with(config: Config, peer: impl FnOnce(&mut Raw)) -> Outcome {
    let (address, thread) = serve(move |stream| {
        let mut ws = Server::new().config(config).accept(stream).unwrap();
        ws.wait_closed().unwrap()
    });
    let mut raw = Raw::client(address);
    peer(&mut raw);
    drop(raw);
    thread.join().unwrap()
}

#[test]
fn a_silent_peer_is_pinged_and_given_up() {
    timed(|| {
        let config = Config::new().ping_interval(Some(ms(30))).pong_timeout(Some(ms(300)));
        let outcome = with(config, |raw| {
            // While the peer answers each Ping, the server does not give up the peer.
            for _ in 0..5 {
                let (first, payload) = raw.frame();
                assert_eq!(first, 0x89);
                raw.send(0x8A, &payload);
            }
            let (first, _) = raw.frame();
            assert_eq!(first, 0x89);
            let before = Instant::now();
            let (first, body) = raw.frame();
            assert_eq!((first, &body[..2]), (0x88, &1011_u16.to_be_bytes()[..]));
            assert!(before.elapsed() > ms(200), "{:?}", before.elapsed());
            assert_eq!(raw.rest(), b"");
        });
        assert_eq!(outcome, Outcome::TimedOut(TimerKind::Pong));
    });
}

#[test]
fn an_idle_connection_is_closed() {
    timed(|| {
        let config = patient().idle_timeout(Some(ms(50)));
        let outcome = with(config, |raw| {
            // Control frames do not restart the idle timer.
            raw.send(0x89, b"");
            assert_eq!(raw.frame(), (0x8A, Vec::new()));
            let (first, body) = raw.frame();
            assert_eq!((first, &body[..2]), (0x88, &1001_u16.to_be_bytes()[..]));
            raw.send(0x88, &body);
            assert_eq!(raw.rest(), b"");
        });
        assert_eq!(outcome, Outcome::Clean { code: CloseCode::GOING_AWAY });
    });
}

#[test]
fn a_close_that_is_never_answered_times_out() {
    timed(|| {
        let (address, thread) = serve(|stream| {
            let config = patient().close_timeout(Some(ms(50)));
            let mut ws = Server::new().config(config).accept(stream).unwrap();
            ws.close(CloseCode::NORMAL, "").unwrap();
            ws.wait_closed().unwrap()
        });
        let mut raw = Raw::client(address);
        assert_eq!(raw.frame(), (0x88, close_body(1000, "")));
        raw.gone();
        assert_eq!(thread.join().unwrap(), Outcome::TimedOut(TimerKind::Close));
    });
}

#[test]
fn a_client_that_never_ends_the_stream_is_given_up() {
    timed(|| {
        // Both Closes were exchanged, so the end is clean although the client keeps its stream open.
        let outcome = with(patient().close_timeout(Some(ms(50))), |raw| {
            raw.send(0x88, &close_body(1000, ""));
            assert_eq!(raw.frame(), (0x88, close_body(1000, "")));
            assert_eq!(raw.rest(), b"");
        });
        assert_eq!(outcome, CLEAN);
    });
}

#[test]
fn a_timer_fires_while_the_peer_sends_without_a_pause() {
    timed(|| {
        let (address, thread) = serve(|stream| {
            let config = patient().close_timeout(Some(ms(50)));
            let mut ws = Server::new().config(config).accept(stream).unwrap();
            ws.close(CloseCode::NORMAL, "").unwrap();
            ws.wait_closed().unwrap()
        });
        let mut raw = Raw::client(address);
        let messages = frame(0x81, true, b"more").repeat(1000);
        while std::io::Write::write_all(&mut raw.stream, &messages).is_ok() {}
        assert_eq!(thread.join().unwrap(), Outcome::TimedOut(TimerKind::Close));
    });
}

#[test]
fn a_peer_that_does_not_read_is_given_up() {
    timed(|| {
        let (address, thread) = serve(|stream| {
            let config = Config::new()
                .ping_interval(Some(ms(30)))
                .pong_timeout(Some(ms(30)))
                .close_timeout(Some(ms(30)));
            let mut ws = Server::new().config(config).accept(stream).unwrap();
            // The message is larger than the buffers of the system. The call must not block forever, and must
            // report that the message is lost.
            let sent = ws.send_binary(&vec![0; 64 << 20]);
            assert!(matches!(sent, Err(Error::Send(SendError::Closed))), "{sent:?}");
            assert!(matches!(ws.send_text("late"), Err(Error::Send(SendError::Closed))));
            ws.wait_closed().unwrap()
        });
        let raw = Raw::client(address);
        assert_eq!(thread.join().unwrap(), Outcome::TimedOut(TimerKind::Pong));
        drop(raw);
    });
}

/// Input that arrived before a timer was due counts as received in time, even if the application reads the input later.
#[test]
fn a_pong_that_arrived_in_time_counts_if_it_is_read_late() {
    timed(|| {
        let (answered, wait) = channel();
        let (address, thread) = serve(move |stream| {
            // With a timeout of zero, the Pong is overdue as soon as the Ping is sent.
            let config = Config::new().ping_interval(None).pong_timeout(Some(ms(0)));
            let mut ws = Server::new().config(config).accept(stream).unwrap();
            ws.ping(b"?").unwrap();
            wait.recv().unwrap();
            // By the clock that this call reads, the Pong is overdue. But the Pong has arrived, so the call must not
            // end the connection.
            ws.send_text("busy").unwrap();
            assert!(matches!(ws.next_event().unwrap(), Some((Event::Pong(_), _))));
            ws.wait_closed().unwrap()
        });
        let mut raw = Raw::client(address);
        assert_eq!(raw.frame(), (0x89, b"?".to_vec()));
        raw.send(0x8A, b"?");
        answered.send(()).unwrap();
        assert_eq!(raw.frame(), (0x81, b"busy".to_vec()));
        raw.send(0x88, &close_body(1000, ""));
        raw.frame();
        raw.half_close();
        assert_eq!(raw.rest(), b"");
        assert_eq!(thread.join().unwrap(), CLEAN);
    });
}

/// The close timeout starts when the application calls `close`, however much time passed since its last call.
#[test]
fn the_close_timeout_starts_when_the_application_closes() {
    timed(|| {
        let (address, thread) = serve(move |stream| {
            let config = patient().close_timeout(Some(ms(400)));
            let mut ws = Server::new().config(config).accept(stream).unwrap();
            let started = Instant::now();
            let (_, mut answer) = ws.next_event().unwrap().unwrap();
            // No thread ever sends on this channel, so the wait ends by its timeout.
            let (_never, wait) = channel::<()>();
            assert!(wait.recv_timeout(ms(500)).is_err());
            answer.close(CloseCode::NORMAL, "").unwrap();
            let outcome = ws.wait_closed().unwrap();
            assert!(started.elapsed() >= ms(500));
            outcome
        });
        let mut raw = Raw::client(address);
        raw.send(0x81, b"");
        assert_eq!(raw.frame(), (0x88, close_body(1000, "")));
        raw.send(0x88, &close_body(1000, ""));
        assert_eq!(raw.rest(), b"");
        drop(raw);
        assert_eq!(thread.join().unwrap(), CLEAN);
    });
}

#[test]
fn without_timers_the_socket_has_no_read_timeout() {
    timed(|| {
        let config = patient();
        let (mut server, mut client) = pair_of(
            Server::new().config(config.clone()).handshake_timeout(Some(ms(2000))),
            &Client::new().config(config).open_timeout(Some(ms(2000))),
        );
        client.send_text("a").unwrap();
        server.recv().unwrap();
        server.send_text("b").unwrap();
        client.recv().unwrap();
        for socket in [client.stream().socket(), server.stream()] {
            // If the handshake left its timeout on the socket, each read would return after this timeout.
            assert_eq!(socket.read_timeout().unwrap(), None);
        }
    });
}

#[test]
fn very_long_intervals_are_accepted() {
    timed(|| {
        for interval in [std::time::Duration::MAX, std::time::Duration::from_secs(1 << 40)] {
            let config = Config::new().ping_interval(Some(interval)).close_timeout(Some(interval));
            let (mut server, mut client) = pair_of(Server::new().config(config), &Client::new());
            client.send_text("a").unwrap();
            assert_eq!(server.recv().unwrap(), Some("a".into()));
        }
    });
}

#[test]
fn a_read_ends_at_its_timeout() {
    fn assert_timed_out<T: std::fmt::Debug>(received: Result<T, Error>) {
        match received {
            Err(error @ Error::Io(_)) => {
                assert_eq!(error.to_string(), "the timeout of the call has passed: call again");
            }
            other => panic!("{other:?}"),
        }
    }
    timed(|| {
        let (mut server, mut client) = pair();
        let started = Instant::now();
        assert_timed_out(client.recv_timeout(ms(0)));
        assert_timed_out(client.recv_timeout(ms(30)));
        assert!(started.elapsed() >= ms(30));
        assert!(client.next_event_timeout(ms(1)).is_err());
        server.send_text("a").unwrap();
        assert_eq!(client.recv_timeout(std::time::Duration::MAX).unwrap(), Some("a".into()));
        // Input that has arrived is returned even with a timeout of zero.
        server.send_text("b").unwrap();
        let text = loop {
            match client.recv_timeout(ms(0)) {
                Ok(message) => break message,
                received => assert_timed_out(received),
            }
        };
        assert_eq!(text, Some("b".into()));

        // The same checks follow with the reader of a split WebSocket.
        let (mut reader, mut writer) = client.split().unwrap();
        assert_timed_out(reader.recv_timeout(ms(0)));
        assert_timed_out(reader.next_event_timeout(ms(20)).map(drop));
        server.send_text("c").unwrap();
        assert_eq!(reader.recv_timeout(ms(20_000)).unwrap(), Some("c".into()));
        let server = thread::spawn(move || server.wait_closed().unwrap());
        writer.close(CloseCode::NORMAL, "").unwrap();
        assert_eq!(reader.wait_closed().unwrap(), CLEAN);
        assert_eq!(reader.recv_timeout(ms(0)).unwrap(), None);
        assert_eq!(server.join().unwrap(), CLEAN);
    });
}

#[test]
fn a_nonblocking_socket_returns_would_block() {
    timed(|| {
        let (mut server, mut client) = pair();
        server.stream().set_nonblocking(true).unwrap();
        // A Ping timer runs. The call must return at once. A call that repeated the read until the timer is due would
        // keep the processor busy.
        let started = Instant::now();
        match server.next_event() {
            Err(Error::Io(error)) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            other => panic!("{other:?}"),
        }
        assert!(started.elapsed() < ms(5000));
        client.send_text("a").unwrap();
        let client = thread::spawn(move || {
            client.close(CloseCode::NORMAL, "").unwrap();
            client.wait_closed().unwrap()
        });
        let mut texts = 0;
        loop {
            match server.next_event() {
                Err(Error::Io(error)) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    thread::yield_now();
                }
                Ok(Some((Event::Text("a"), _))) => texts += 1,
                Ok(Some((Event::Closed(outcome), _))) => break assert_eq!(outcome, CLEAN),
                Ok(Some((Event::CloseReceived { .. }, _))) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(texts, 1);
        assert_eq!(client.join().unwrap(), CLEAN);
    });
}
