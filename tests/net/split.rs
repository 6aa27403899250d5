//! The halves of a blocking WebSocket, each in a thread of its own.
//!
//! A reader answers Pings and Closes itself, also while a peer that does not read blocks a writer. These tests check
//! that neither half blocks the other one, and that both halves end in time. Halves on virtual time are tested in
//! `liveness.rs` and `end.rs`.

use std::io::Read;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Instant;

use hybi::adapters::net::{Client, Error, Server};
use hybi::{CloseCode, Config, Event, Message, Outcome, ProtocolError, SendError, TimerKind};

use crate::common::*;

const CLEAN: Outcome = Outcome::Clean { code: CloseCode::NORMAL };

#[test]
fn a_reader_and_two_writers_run_in_parallel() {
    timed(|| {
        let (mut server, client) = pair();
        let server = thread::spawn(move || {
            echo(&mut server);
            server.wait_closed().unwrap()
        });
        let (mut reader, mut writer) = client.split().unwrap();
        let writers: Vec<_> = ["a", "b"]
            .map(|name| {
                let mut writer = writer.clone();
                thread::spawn(move || {
                    for i in 0..500 {
                        match i % 3 {
                            0 => writer.send_text(&format!("{name}{i}")).unwrap(),
                            1 => writer.send(format!("{name}{i}")).unwrap(),
                            _ => writer.send_binary(format!("{name}{i}").as_bytes()).unwrap(),
                        }
                    }
                })
            })
            .into();
        let reader = thread::spawn(move || {
            let mut next = [0, 0];
            while let Some(message) = reader.recv().unwrap() {
                let text = std::str::from_utf8(message.as_bytes()).unwrap();
                let (name, number) = text.split_at(1);
                let next = &mut next[usize::from(name == "b")];
                // The messages of each writer arrive in order.
                assert_eq!(number.parse(), Ok(*next));
                *next += 1;
            }
            assert_eq!(next, [500, 500]);
            reader.outcome()
        });
        for writer in writers {
            writer.join().unwrap();
        }
        writer.close(CloseCode::NORMAL, "done").unwrap();
        assert_eq!(reader.join().unwrap(), Some(CLEAN));
        assert_eq!(server.join().unwrap(), CLEAN);
        assert!(matches!(writer.send_text("late"), Err(Error::Send(SendError::Closed))));
        assert!(matches!(writer.ping(b""), Err(Error::Send(SendError::Closed))));
    });
}

#[test]
fn a_reader_alone_answers_pings_and_closes() {
    timed(|| {
        let (address, thread) = serve(|stream| {
            let (mut reader, mut writer) = Server::new().accept(stream).unwrap().split().unwrap();
            assert!(matches!(reader.next_event().unwrap(), Some(Event::Ping(_))));
            match reader.next_event().unwrap() {
                Some(Event::CloseReceived { code, .. }) => assert_eq!(code, Some(CloseCode::NORMAL)),
                other => panic!("{other:?}"),
            }
            assert!(matches!(writer.send_text("late"), Err(Error::Send(SendError::Closed))));
            assert!(matches!(writer.close(None, ""), Err(Error::Send(SendError::Closed))));
            assert!(matches!(reader.next_event().unwrap(), Some(Event::Closed(CLEAN))));
            assert!(reader.next_event().unwrap().is_none());
            reader.outcome()
        });
        let mut raw = Raw::client(address);
        raw.send(0x89, b"?");
        assert_eq!(raw.frame(), (0x8A, b"?".to_vec()));
        raw.send(0x88, &close_body(1000, ""));
        assert_eq!(raw.frame(), (0x88, close_body(1000, "")));
        assert_eq!(raw.rest(), b"");
        drop(raw);
        assert_eq!(thread.join().unwrap(), Some(CLEAN));
    });
}

#[test]
fn the_round_trip_is_measured_across_halves() {
    timed(|| {
        let (mut server, client) = pair();
        let server = thread::spawn(move || server.wait_closed().unwrap());
        let (mut reader, mut writer) = client.split().unwrap();
        writer.ping(b"x").unwrap();
        assert!(matches!(reader.next_event().unwrap(), Some(Event::Pong(_))));
        // The round trip is measured before the event is delivered.
        assert!(writer.round_trip().unwrap() < ms(5000));
        writer.close(None, "").unwrap();
        while reader.next_event().unwrap().is_some() {}
        server.join().unwrap();
    });
}

/// While a peer that does not read blocks a write, the peer's messages are still read. Otherwise two peers that both
/// send would wait for each other forever.
#[test]
fn two_peers_can_both_send_before_they_read() {
    const LEN: usize = 32 << 20;
    timed(|| {
        let config = || Config::new().max_frame(LEN as u64).max_message(LEN as u64);
        let halves = tcp_pair_of(Server::new().config(config()), &Client::new().config(config()));
        let ends = [halves.0, halves.1].map(|ws| {
            let (mut reader, mut writer) = ws.split().unwrap();
            let sender = thread::spawn(move || {
                writer.send(vec![1; LEN]).unwrap();
                writer.send_text("end").unwrap();
            });
            let receiver = thread::spawn(move || {
                assert_eq!(reader.recv().unwrap().unwrap().as_bytes().len(), LEN);
                assert_eq!(reader.recv().unwrap(), Some(Message::from("end")));
            });
            [sender, receiver]
        });
        for thread in ends.into_iter().flatten() {
            thread.join().unwrap();
        }
    });
}

/// The peer writes all its messages before it reads. Its Ping arrives while a frame of the server is partly written, so
/// the Pong can only follow this frame.
#[test]
fn a_peer_can_write_first_and_read_later() {
    const LEN: usize = 8 << 20;
    timed(|| {
        let (address, thread) = serve(|stream| {
            let (mut reader, mut writer) = Server::new().accept(stream).unwrap().split().unwrap();
            let writer = thread::spawn(move || writer.send_binary(&[2; LEN]).unwrap());
            assert!(matches!(reader.next_event().unwrap(), Some(Event::Ping(_))));
            assert_eq!(reader.recv().unwrap().unwrap().as_bytes().len(), LEN);
            writer.join().unwrap();
            while reader.next_event().unwrap().is_some() {}
            reader.outcome()
        });
        let mut raw = Raw::client(address);
        // When the first byte has arrived, the server has begun to write its large frame. A Pong cannot be written
        // inside this frame.
        raw.stream.peek(&mut [0]).unwrap();
        raw.send(0x89, b"?");
        raw.send(0x82, &vec![1; LEN]);
        let (first, payload) = raw.frame();
        assert_eq!((first, payload.len()), (0x82, LEN));
        assert_eq!(raw.frame(), (0x8A, b"?".to_vec()));
        raw.send(0x88, &close_body(1000, ""));
        assert_eq!(raw.frame().0, 0x88);
        assert_eq!(raw.rest(), b"");
        drop(raw);
        assert_eq!(thread.join().unwrap(), Some(CLEAN));
    });
}

#[test]
fn the_end_of_the_stream_unblocks_a_writer() {
    timed(|| {
        let (address, thread) = serve(|stream| {
            let config = patient().close_timeout(None);
            let (mut reader, mut writer) =
                Server::new().config(config).accept(stream).unwrap().split().unwrap();
            let writer = thread::spawn(move || writer.send_binary(&vec![2; 64 << 20]));
            while reader.next_event().unwrap().is_some() {}
            assert!(writer.join().unwrap().is_err());
            reader.outcome().unwrap()
        });
        let mut raw = Raw::client(address);
        raw.stream.peek(&mut [0]).unwrap();
        raw.half_close();
        assert!(matches!(thread.join().unwrap(), Outcome::Abnormal(_)));
        raw.gone();
    });
}

#[test]
fn s5_5_1_after_a_half_close_a_partly_written_frame_is_finished_before_our_close() {
    timed(|| {
        let (address, thread) = serve(|stream| {
            let (mut reader, mut writer) =
                Server::new().config(patient()).accept(stream).unwrap().split().unwrap();
            let writer = thread::spawn(move || writer.send_binary(&vec![2; 16 << 20]));
            while reader.next_event().unwrap().is_some() {}
            writer.join().unwrap().unwrap();
            reader.outcome().unwrap()
        });
        let mut raw = Raw::client(address);
        raw.stream.peek(&mut [0]).unwrap();
        raw.send(0x88, &1000_u16.to_be_bytes());
        raw.half_close();
        let (first, payload) = raw.frame();
        assert_eq!((first, payload.len()), (0x82, 16 << 20));
        assert_eq!(raw.frame(), (0x88, 1000_u16.to_be_bytes().to_vec()));
        raw.gone();
        assert_eq!(thread.join().unwrap(), CLEAN);
    });
}

#[test]
fn a_protocol_error_ends_both_halves() {
    timed(|| {
        let (address, thread) = serve(|stream| {
            let (mut reader, mut writer) = Server::new().accept(stream).unwrap().split().unwrap();
            let error = reader.next_event().unwrap_err();
            assert!(matches!(error, Error::Protocol(ProtocolError::NotMasked)), "{error}");
            assert!(matches!(writer.send_text("late"), Err(Error::Send(SendError::Closed))));
            assert!(matches!(reader.next_event().unwrap(), Some(Event::Closed(_))));
            reader.outcome().unwrap()
        });
        let mut raw = Raw::client(address);
        raw.write(&frame(0x81, false, b"x"));
        let (first, body) = raw.frame();
        assert_eq!((first, &body[..2]), (0x88, &1002_u16.to_be_bytes()[..]));
        assert_eq!(raw.rest(), b"");
        drop(raw);
        assert_eq!(thread.join().unwrap(), Outcome::Failed(ProtocolError::NotMasked));
    });
}

/// The reader reads the bytes that arrived before the reset. Then it reports the end of the connection.
#[test]
fn a_reader_ends_after_its_peer_has_disconnected() {
    timed(|| {
        let (address, thread) = serve(|stream| {
            let ws = Server::new().config(patient()).accept(stream).unwrap();
            let (mut reader, mut writer) = ws.split().unwrap();
            writer.send_text("never read").unwrap();
            let mut errors = 0;
            loop {
                match reader.next_event() {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => errors += 1,
                }
            }
            assert!(errors <= 1, "{errors}");
            reader.outcome().unwrap()
        });
        let mut raw = Raw::client(address);
        raw.stream.peek(&mut [0]).unwrap();
        for _ in 0..100 {
            raw.send(0x89, b"who answers?");
        }
        drop(raw);
        assert!(matches!(thread.join().unwrap(), Outcome::Abnormal(_)));
    });
}

#[test]
fn a_reader_runs_a_timer_that_the_writer_starts() {
    timed(|| {
        // The reader already waits without a timer when the writer sends a Ping or a Close.
        for ping in [true, false] {
            let (address, thread) = serve(move |stream| {
                let config =
                    Config::new().ping_interval(None).pong_timeout(Some(ms(80))).close_timeout(Some(ms(80)));
                let ws = Server::new().config(config).accept(stream).unwrap();
                let (mut reader, mut writer) = ws.split().unwrap();
                let (waits, wait) = channel();
                let writer = thread::spawn(move || {
                    wait.recv().unwrap();
                    if ping {
                        writer.ping(b"?").unwrap();
                    } else {
                        writer.close(CloseCode::NORMAL, "").unwrap();
                    }
                });
                waits.send(()).unwrap();
                while reader.next_event().unwrap().is_some() {}
                writer.join().unwrap();
                reader.outcome().unwrap()
            });
            let mut raw = Raw::client(address);
            raw.gone();
            let timer = if ping { TimerKind::Pong } else { TimerKind::Close };
            assert_eq!(thread.join().unwrap(), Outcome::TimedOut(timer));
        }
    });
}

/// Both endpoints close at almost the same time. Each of the 200 connections must end without waiting for a timeout.
#[test]
fn simultaneous_closes_of_split_websockets_end_clean() {
    timed(|| {
        for round in 0..200 {
            let (server, client) = tcp_pair_of(Server::new(), &Client::new());
            let threads = [server, client].map(|ws| {
                thread::spawn(move || {
                    let (mut reader, mut writer) = ws.split().unwrap();
                    let writer = thread::spawn(move || {
                        for _ in 0..round % 7 {
                            let _ = writer.send_text("x");
                        }
                        let _ = writer.close(CloseCode::NORMAL, "");
                    });
                    while reader.next_event().unwrap().is_some() {}
                    writer.join().unwrap();
                    assert_eq!(reader.outcome(), Some(CLEAN));
                })
            });
            for thread in threads {
                thread.join().unwrap();
            }
        }
    });
}

/// Runs a server whose writer is blocked by a large message when the peer sends `last` and half-closes the stream. The
/// peer starts to read after the half-close, or never reads. Returns the outcome, the writer's result, and the frames
/// that the peer received, each as first byte and length.
fn half_closes_while_a_writer_is_blocked(
    config: Config,
    last: &[u8],
    reads: bool,
) -> (Outcome, Result<(), Error>, Vec<(u8, usize)>) {
    const LEN: usize = 16 << 20;
    let (seen, wait) = channel();
    let (address, thread) = serve(move |stream| {
        let (mut reader, mut writer) = Server::new().config(config).accept(stream).unwrap().split().unwrap();
        let writer = thread::spawn(move || writer.send_binary(&vec![2; LEN]));
        while !matches!(reader.next_event(), Ok(Some(Event::Text(_)))) {}
        // The end of the stream is ready to be read. Each call with a timeout returns in time.
        for _ in 0..5 {
            let began = Instant::now();
            let _ = reader.next_event_timeout(ms(20));
            assert!(began.elapsed() < ms(5_000));
        }
        seen.send(()).unwrap();
        let outcome = reader.wait_closed().unwrap();
        (outcome, writer.join().unwrap())
    });
    let mut raw = Raw::client(address);
    raw.stream.peek(&mut [0]).unwrap();
    raw.write(&[&frame(0x81, true, b"last words"), last].concat());
    raw.half_close();
    wait.recv().unwrap();
    let mut got = Vec::new();
    if reads {
        let mut rest = Vec::new();
        // If the connection did not end cleanly, the server may reset the stream. So an error is ignored here.
        let _ = raw.stream.read_to_end(&mut rest);
        let mut rest = &rest[..];
        while let [first, len, ..] = *rest {
            let (head, len) = match len {
                127 => (10, u64::from_be_bytes(rest[2..10].try_into().unwrap()) as usize),
                len => (2, usize::from(len)),
            };
            got.push((first, len.min(rest.len() - head)));
            rest = &rest[head + got.last().unwrap().1..];
        }
    }
    let (outcome, sent) = thread.join().unwrap();
    assert!(got.iter().all(|(first, len)| *first != 0x82 || *len == LEN), "{got:?}");
    (outcome, sent, got)
}

#[test]
fn s5_5_1_a_peer_that_closes_and_half_closes_gets_the_rest_of_a_frame_and_our_close() {
    timed(|| {
        let close = frame(0x88, true, &close_body(1000, ""));
        let (outcome, sent, got) = half_closes_while_a_writer_is_blocked(patient(), &close, true);
        assert_eq!((outcome, got), (CLEAN, vec![(0x82, 16 << 20), (0x88, 2)]));
        sent.unwrap();
    });
}

#[test]
fn s7_1_7_an_end_without_a_close_unblocks_a_writer_at_once() {
    timed(|| {
        let (outcome, sent, _) = half_closes_while_a_writer_is_blocked(patient(), b"", false);
        assert_eq!(outcome, Outcome::Abnormal(hybi::EofPosition::BetweenMessages));
        sent.unwrap_err();
    });
}

#[test]
fn s7_1_1_a_peer_that_closes_and_does_not_read_is_given_up_in_time() {
    timed(|| {
        let close = frame(0x88, true, &close_body(1000, ""));
        let began = Instant::now();
        let config = patient().close_timeout(Some(ms(300)));
        let (outcome, sent, _) = half_closes_while_a_writer_is_blocked(config, &close, false);
        assert!(began.elapsed() >= ms(300));
        assert!(matches!(sent, Err(Error::Send(SendError::Closed))), "{sent:?}");
        assert_eq!(outcome, Outcome::TimedOut(TimerKind::Close));
    });
}
