//! `try_send`, `buffered_amount` and `ready_state`: calls that return at once. They wait neither for the stream nor for
//! another thread that is blocked in a write.
//!
//! Tests with one thread run on virtual time. Tests with several threads use TCP. `tests/async_adapters/never_waits.rs`
//! tests these calls of the asynchronous adapters.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use hybi::adapters::net::{Client, Error, Reader, Server, WebSocket, Writer};
use hybi::{CloseCode, Message, MessageKind, Prepared, ReadyState, SendError, SendOptions, UnsentMessage};

use crate::common::*;
use crate::virtual_stream::{Peer, Virtual};

/// The three types with a `try_send`: a WebSocket, its responder, and the writer of a split WebSocket.
enum Out {
    Whole(WebSocket<Virtual>),
    Answer(WebSocket<Virtual>),
    Half(Reader, Writer),
}

impl Out {
    fn all(stream: impl Fn() -> Virtual, config: &hybi::Config) -> [(Self, Virtual); 3] {
        let [(whole, a), (answer, b), (split, c)] = [(); 3].map(|()| {
            let stream = stream();
            (stream.server(config.clone()), stream)
        });
        let (reader, writer) = split.split().unwrap();
        [(Self::Whole(whole), a), (Self::Answer(answer), b), (Self::Half(reader, writer), c)]
    }

    fn try_send(&mut self, message: impl Into<Message>) -> Result<(), UnsentMessage> {
        match self {
            Self::Whole(ws) => ws.try_send(message),
            Self::Answer(ws) => ws.responder().try_send(message),
            Self::Half(_, writer) => writer.try_send(message),
        }
    }

    fn buffered_amount(&mut self) -> usize {
        match self {
            Self::Whole(ws) => ws.buffered_amount(),
            Self::Answer(ws) => ws.responder().buffered_amount(),
            Self::Half(_, writer) => writer.buffered_amount(),
        }
    }

    fn ready_state(&mut self) -> ReadyState {
        match self {
            Self::Whole(ws) => ws.ready_state(),
            Self::Answer(ws) => ws.responder().ready_state(),
            Self::Half(_, writer) => writer.ready_state(),
        }
    }

    fn flush(&mut self) -> Result<(), Error> {
        match self {
            Self::Whole(ws) | Self::Answer(ws) => ws.flush(),
            Self::Half(_, writer) => writer.flush(),
        }
    }

    fn close(&mut self) -> Result<(), Error> {
        match self {
            Self::Whole(ws) => ws.close(CloseCode::NORMAL, ""),
            Self::Answer(ws) => ws.responder().close(CloseCode::NORMAL, ""),
            Self::Half(_, writer) => writer.close(CloseCode::NORMAL, ""),
        }
    }
}

fn numbered(n: usize) -> String {
    format!("{n:0100}")
}

#[test]
fn s5_6_a_message_for_a_peer_that_does_not_read_is_handed_back() {
    let deaf = || Virtual::with_idle_peer(2000);
    for stream in
        [deaf, || Virtual::with_idle_peer(2000).keeping(), || Virtual::with_idle_peer(2000).holding_back()]
    {
        for (mut out, stream) in Out::all(stream, &patient().high_water(1000)) {
            let mut accepted = 0;
            let refused = loop {
                match out.try_send(numbered(accepted)) {
                    Ok(()) => accepted += 1,
                    Err(refused) => break refused,
                }
                assert!(accepted < 100, "the queue has no bound");
            };
            let expected = UnsentMessage { error: SendError::Blocked, message: numbered(accepted).into() };
            assert_eq!(refused, expected);
            assert_eq!(out.try_send("more").unwrap_err().error, SendError::Blocked);
            assert!(out.buffered_amount() < 1000 + 102 && out.buffered_amount() > 500);
            assert!(stream.now() < ms(20), "a call waited: {:?}", stream.now());
            // The peer reads what has arrived, so the next message is accepted.
            stream.peer(|peer| peer.read(usize::MAX));
            out.try_send(numbered(accepted)).unwrap();
            accepted += 1;
            stream.set_capacity(1 << 20);
            out.flush().unwrap();
            stream.peer(|peer| peer.read(usize::MAX));
            let frames = stream.peer(|peer| peer.frames());
            let got: Vec<_> = frames.into_iter().take(accepted).collect();
            let sent: Vec<_> = (0..accepted).map(|n| (0x81, numbered(n).into_bytes())).collect();
            assert_eq!(got, sent);
        }
    }
}

#[test]
fn try_send_writes_what_the_stream_takes() {
    for (mut out, stream) in Out::all(|| Virtual::with_idle_peer(1000), &patient()) {
        out.try_send("hello").unwrap();
        if matches!(out, Out::Answer(_)) {
            assert_eq!(out.buffered_amount(), 7);
            out.flush().unwrap();
        }
        assert_eq!(out.buffered_amount(), 0);
        stream.peer(|peer| peer.read(usize::MAX));
        assert_eq!(stream.peer(|peer| peer.frames()), [(0x81, b"hello".to_vec())]);
    }
}

#[test]
fn s5_5_1_nothing_is_accepted_once_closing_has_begun() {
    for (mut out, _stream) in Out::all(|| Virtual::with_idle_peer(1000), &patient()) {
        assert_eq!(out.ready_state(), ReadyState::Open);
        out.close().unwrap();
        assert_eq!(out.ready_state(), ReadyState::Closing);
        let refused = out.try_send("late").unwrap_err();
        assert_eq!(refused, UnsentMessage { error: SendError::Closed, message: "late".into() });
        match &mut out {
            Out::Whole(ws) | Out::Answer(ws) => _ = ws.wait_closed().unwrap(),
            Out::Half(reader, _) => _ = reader.wait_closed().unwrap(),
        }
        assert_eq!(out.ready_state(), ReadyState::Closed);
        assert_eq!(out.try_send("late").unwrap_err().error, SendError::Closed);
    }
}

/// If `try_send` accepted messages after a failure, it would queue them for a stream that accepts nothing any more.
#[test]
fn s7_1_7_nothing_is_accepted_after_a_write_has_failed() {
    for (mut out, stream) in Out::all(|| Virtual::with_idle_peer(1000), &patient().high_water(100)) {
        stream.peer(|peer| peer.breaks = true);
        // These two messages may be accepted, because only an attempt to write shows the failure.
        let _ = out.try_send(numbered(0));
        let _ = out.try_send(numbered(1));
        let refused = out.try_send("lost").unwrap_err();
        assert_eq!(refused, UnsentMessage { error: SendError::Closed, message: "lost".into() });
        assert!(matches!(out.flush(), Err(Error::Io(_))));
    }
}

#[test]
fn s5_4_no_message_is_accepted_inside_a_fragmented_one() {
    for (mut out, _stream) in Out::all(|| Virtual::with_idle_peer(1000), &patient()) {
        let fragment = |out: &mut Out, fin| match out {
            Out::Whole(ws) => ws.send_fragment_with(MessageKind::Text, b"a", fin, SendOptions::new()),
            Out::Answer(ws) => {
                ws.responder().send_fragment_with(MessageKind::Text, b"a", fin, SendOptions::new())
            }
            Out::Half(_, writer) => {
                writer.send_fragment_with(MessageKind::Text, b"a", fin, SendOptions::new())
            }
        };
        fragment(&mut out, false).unwrap();
        assert_eq!(out.try_send("b").unwrap_err().error, SendError::MessageOpen);
        fragment(&mut out, true).unwrap();
        out.try_send("b").unwrap();
    }
}

#[test]
fn fed_messages_are_written_by_the_next_flush() {
    let stream = Virtual::with_idle_peer(1000);
    let mut ws = stream.server(patient());
    ws.feed("one").unwrap();
    ws.feed_prepared(&Prepared::new("two")).unwrap();
    assert_eq!(ws.buffered_amount(), 10);
    let (_reader, mut writer) = ws.split().unwrap();
    writer.feed("three").unwrap();
    writer.feed_prepared(&Prepared::new("four")).unwrap();
    assert_eq!(writer.buffered_amount(), 23);
    stream.peer(|peer| peer.read(usize::MAX));
    assert_eq!(stream.peer(|peer| peer.frames()), []);
    writer.flush().unwrap();
    writer.pong(b"alive").unwrap();
    let long = writer.pong(&[0; 126]);
    assert!(matches!(long, Err(Error::Send(SendError::ControlTooLong))), "{long:?}");
    assert_eq!(writer.buffered_amount(), 0);
    stream.peer(|peer| peer.read(usize::MAX));
    let mut sent: Vec<_> = ["one", "two", "three", "four"].map(|text| (0x81, text.into())).to_vec();
    sent.push((0x8A, b"alive".to_vec()));
    assert_eq!(stream.peer(|peer| peer.frames()), sent);
}

/// A peer that does not read blocks one thread in a send. The calls of another thread return at once.
#[test]
fn s5_6_a_writer_does_not_wait_for_another_writer_that_is_blocked() {
    const LEN: usize = 16 << 20;
    timed(|| {
        let (begin, may_read) = channel();
        let (address, thread) = serve(|stream| Server::new().accept(stream).unwrap().split().unwrap());
        let peer = thread::spawn(move || {
            let mut raw = Raw::client(address);
            may_read.recv().unwrap();
            let first = raw.frame();
            assert_eq!((first.0, first.1.len()), (0x82, LEN));
            let mut texts = Vec::new();
            loop {
                match raw.frame() {
                    (0x81, text) => texts.push(String::from_utf8(text).unwrap()),
                    (0x8A, payload) => assert_eq!(payload, b"alive"),
                    (first, payload) => {
                        assert_eq!((first, payload), (0x88, close_body(1000, "")));
                        raw.send(0x88, &close_body(1000, ""));
                        return texts;
                    }
                }
            }
        });
        let (mut reader, mut one) = thread.join().unwrap();
        let reader = thread::spawn(move || reader.wait_closed().unwrap());
        let mut two = one.clone();
        let blocked = thread::spawn(move || {
            one.send_binary(&vec![7; LEN]).unwrap();
            one
        });
        // When the queue is not empty, the first thread has begun to write.
        while two.buffered_amount() == 0 {
            thread::yield_now();
        }
        let mut accepted = 0;
        let refused = loop {
            match two.try_send(numbered(accepted)) {
                Ok(()) => accepted += 1,
                Err(refused) => break refused,
            }
        };
        assert_eq!(refused, UnsentMessage { error: SendError::Blocked, message: numbered(accepted).into() });
        // The first thread holds the lock. Meanwhile accepted messages are stored outside the write queue, with a
        // separate limit.
        assert!((100..1000).contains(&accepted), "{accepted}");
        assert!(two.buffered_amount() > accepted * 102);
        assert_eq!(two.ready_state(), ReadyState::Open);
        begin.send(()).unwrap();
        let mut one = blocked.join().unwrap();
        // This call first writes the messages that were accepted before it.
        two.send_text("behind").unwrap();
        two.pong(b"alive").unwrap();
        one.close(CloseCode::NORMAL, "").unwrap();
        assert!(reader.join().unwrap().is_clean());
        let texts = peer.join().unwrap();
        let mut sent: Vec<_> = (0..accepted).map(numbered).collect();
        sent.push("behind".into());
        assert_eq!(texts, sent);
        assert_eq!((two.ready_state(), two.buffered_amount()), (ReadyState::Closed, 0));
    });
}

/// A split server over a virtual stream, and a writer that the script of the peer can use. The script runs during a
/// call on the stream, so the lock is taken at this moment.
fn with_script(
    capacity: usize,
    config: &hybi::Config,
    mut script: impl FnMut(&mut Peer, &mut Writer) + Send + 'static,
) -> (Virtual, Reader, Writer) {
    let slot = Arc::new(Mutex::new(None));
    let writer_of_script = Arc::clone(&slot);
    let stream = Virtual::new(capacity, move |peer| {
        if let Some(writer) = &mut *writer_of_script.lock().unwrap() {
            script(peer, writer);
        }
    });
    let (reader, writer) = stream.server(config.clone()).split().unwrap();
    *slot.lock().unwrap() = Some(writer.clone());
    (stream, reader, writer)
}

/// Fills the queue. Returns the number of accepted messages.
fn fill(writer: &mut Writer) -> usize {
    (0..).take_while(|n| writer.try_send(numbered(*n)).is_ok()).count()
}

fn texts(messages: impl IntoIterator<Item = String>) -> Vec<(u8, Vec<u8>)> {
    messages.into_iter().map(|text| (0x81, text.into_bytes())).collect()
}

#[test]
fn s5_5_1_a_close_follows_a_message_that_was_stored_outside_the_full_queue() {
    let (begins, mut stored) = (Arc::new(AtomicBool::new(false)), false);
    let reads = Arc::clone(&begins);
    let (stream, _reader, mut writer) = with_script(100, &patient().high_water(1000), move |peer, writer| {
        if !reads.load(Ordering::Relaxed) {
            return;
        }
        if stored {
            peer.read(100);
        } else {
            writer.try_send("stored").unwrap();
            stored = true;
        }
        peer.wake_at = Some(peer.now + ms(100));
    });
    let accepted = fill(&mut writer);
    begins.store(true, Ordering::Relaxed);
    stream.peer(|peer| peer.wake_at = Some(peer.now));
    // The script stores its message while this call writes.
    assert_eq!(writer.try_send(numbered(0)).unwrap_err().error, SendError::Blocked);
    writer.close(CloseCode::NORMAL, "").unwrap();
    stream.peer(|peer| peer.read(usize::MAX));
    let mut frames = stream.peer(Peer::frames);
    assert_eq!(frames.pop(), Some((0x88, close_body(1000, ""))));
    assert!(frames.contains(&(0x81, b"stored".to_vec())), "the Close has overtaken a message");
    assert_eq!(frames[..accepted], texts((0..accepted).map(numbered)));
    stream.drop_script();
}

/// The reader may be blocked in a read, so it cannot write the rest of a message. The next call of any writer writes
/// the rest, even a call of `feed`.
#[test]
fn the_next_call_of_any_writer_writes_the_rest_of_a_message() {
    let stream = Virtual::with_idle_peer(50);
    let (_reader, mut writer) = stream.server(patient()).split().unwrap();
    writer.try_send(numbered(0)).unwrap();
    assert_eq!(writer.buffered_amount(), 52);
    stream.set_capacity(1000);
    writer.clone().feed(numbered(1)).unwrap();
    assert_eq!(writer.buffered_amount(), 0);
    // There is no rest, so this message is only queued.
    writer.feed(numbered(2)).unwrap();
    assert_eq!(writer.buffered_amount(), 102);
    stream.peer(|peer| peer.read(usize::MAX));
    assert_eq!(stream.peer(Peer::frames), texts([0, 1].map(numbered)));
}

/// The peer's script stores a message during each call on the stream. This stands for a thread that sends without end.
#[test]
fn a_call_writes_a_bounded_number_of_messages_of_other_threads() {
    for how in 0..3 {
        let (begins, mut stored) = (Arc::new(AtomicBool::new(false)), 0);
        let stores = Arc::clone(&begins);
        let (stream, _reader, mut writer) = with_script(1 << 30, &patient(), move |peer, writer| {
            if stores.load(Ordering::Relaxed) {
                assert!(stored < 200, "the call does not return");
                writer.try_send(numbered(stored)).unwrap();
                stored += 1;
                peer.wake_at = Some(peer.now + Duration::from_micros(1));
            }
        });
        begins.store(true, Ordering::Relaxed);
        stream.peer(|peer| peer.wake_at = Some(peer.now));
        match how {
            0 => writer.send_text("own").unwrap(),
            1 => writer.try_send("own").unwrap(),
            _ => writer.feed("own").unwrap(),
        }
        begins.store(false, Ordering::Relaxed);
        // The rest is written by the next call.
        writer.flush().unwrap();
        stream.peer(|peer| peer.read(usize::MAX));
        let mut frames = stream.peer(Peer::frames);
        frames.retain(|frame| frame.1 != b"own");
        assert_eq!(frames, texts((0..frames.len()).map(numbered)), "{how}");
        assert_eq!(writer.buffered_amount(), 0);
        stream.drop_script();
    }
}

/// A thread that sends without end does not keep another thread writing.
#[test]
fn a_thread_that_sends_without_end_does_not_keep_another_thread_writing() {
    timed(|| {
        let (server, mut client) =
            pair_of(Server::new().config(patient().high_water(2000)), &Client::new().config(patient()));
        let (mut reader, mut writer) = server.split().unwrap();
        let reader = thread::spawn(move || reader.wait_closed().unwrap());
        let ends = Arc::new(AtomicBool::new(false));
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let (mut writer, ends) = (writer.clone(), Arc::clone(&ends));
                thread::spawn(move || {
                    while !ends.load(Ordering::Relaxed) {
                        let _ = writer.try_send("x");
                    }
                })
            })
            .collect();
        let client = thread::spawn(move || {
            let mut own = 0;
            while let Some(message) = client.recv().unwrap() {
                own += usize::from(message.as_text() != Some("x"));
            }
            own
        });
        for _ in 0..100 {
            writer.send_text("own").unwrap();
        }
        ends.store(true, Ordering::Relaxed);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        writer.close(CloseCode::NORMAL, "").unwrap();
        assert!(reader.join().unwrap().is_clean());
        assert_eq!(client.join().unwrap(), 100);
    });
}

/// Threads send without waiting while another thread closes. Each accepted message arrives before the Close, unless a
/// flush reports a loss. The reader of the server is dropped in half of the rounds.
#[test]
fn s5_5_1_no_accepted_message_is_lost_silently_when_another_thread_closes() {
    timed(|| {
        for round in 0..30 {
            let (server, mut client) =
                pair_of(Server::new().config(patient().high_water(500)), &Client::new().config(patient()));
            let (reader, mut writer) = server.split().unwrap();
            let reader = (round % 2 == 0).then_some(reader);
            let threads: Vec<_> = (0..3)
                .map(|_| {
                    let mut writer = writer.clone();
                    thread::spawn(move || {
                        let mut accepted = 0_usize;
                        loop {
                            match writer.try_send(numbered(accepted)) {
                                Ok(()) => accepted += 1,
                                Err(refused) if refused.error == SendError::Blocked => thread::yield_now(),
                                Err(_) => return accepted,
                            }
                        }
                    })
                })
                .collect();
            let client = thread::spawn(move || {
                let mut received = 0;
                while let Ok(Some(_)) = client.recv() {
                    received += 1;
                }
                received
            });
            writer.send_text("begin").unwrap();
            let closed = writer.close(CloseCode::NORMAL, "");
            let accepted: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
            let lost = closed.is_err() || writer.flush().is_err();
            drop((reader, writer));
            let received = client.join().unwrap();
            assert!(received <= accepted + 1, "a message arrived twice");
            assert!(lost || received == accepted + 1, "{received} of {accepted} messages, without an error");
        }
    });
}

/// A thread blocks in a send. A second thread stores messages, and a third one closes.
#[test]
fn s5_5_1_a_close_follows_the_messages_that_wait_for_a_blocked_writer() {
    timed(|| {
        let (begin, may_read) = channel();
        let (address, thread) = serve(|stream| Server::new().accept(stream).unwrap().split().unwrap());
        let peer = thread::spawn(move || {
            let mut raw = Raw::client(address);
            may_read.recv().unwrap();
            let mut frames = Vec::new();
            loop {
                let frame = raw.frame();
                if frame.0 == 0x88 {
                    raw.send(0x88, &frame.1);
                    return frames;
                }
                frames.push(frame);
            }
        });
        let (mut reader, mut one) = thread.join().unwrap();
        let reader = thread::spawn(move || reader.wait_closed().unwrap());
        let (mut two, mut three) = (one.clone(), one.clone());
        let blocked = thread::spawn(move || one.send_binary(&vec![7; 16 << 20]));
        while two.buffered_amount() == 0 {
            thread::yield_now();
        }
        let accepted = fill(&mut two);
        let closing = thread::spawn(move || three.close(CloseCode::NORMAL, ""));
        // One write blocks for a `WRITE_TIME_SLICE` at most. After it, the writing thread queues the requested Close,
        // although the peer reads nothing.
        while two.ready_state() == ReadyState::Open {
            thread::yield_now();
        }
        assert_eq!(two.try_send("late").unwrap_err().error, SendError::Closed);
        begin.send(()).unwrap();
        closing.join().unwrap().unwrap();
        blocked.join().unwrap().unwrap();
        let frames = peer.join().unwrap();
        assert_eq!(frames[1..], texts((0..accepted).map(numbered)));
        assert!(reader.join().unwrap().is_clean());
    });
}

/// Several threads send without waiting, while the reader takes the lock for its replies. Each accepted message arrives
/// once. The messages of one thread arrive in order.
#[test]
fn accepted_messages_of_many_threads_arrive_once_and_in_order() {
    const EACH: usize = 500;
    timed(|| {
        let (server, mut client) =
            pair_of(Server::new().config(patient().high_water(2000)), &Client::new().config(patient()));
        let (mut reader, writer) = server.split().unwrap();
        let reader = thread::spawn(move || reader.wait_closed().unwrap());
        let threads: Vec<_> = (0..4)
            .map(|name| {
                let mut writer = writer.clone();
                thread::spawn(move || {
                    for n in 0..EACH {
                        let mut message = Message::from(format!("{name} {n}"));
                        while let Err(refused) = writer.try_send(message) {
                            assert_eq!(refused.error, SendError::Blocked);
                            message = refused.message;
                            thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        let mut next = [0; 4];
        while next.iter().sum::<usize>() < 4 * EACH {
            // A Pong of the reader competes for the lock.
            client.ping(b"").unwrap();
            let message = client.recv().unwrap().unwrap();
            let (name, n) = message.as_text().unwrap().split_once(' ').unwrap();
            let next = &mut next[name.parse::<usize>().unwrap()];
            assert_eq!(n.parse::<usize>().unwrap(), *next);
            *next += 1;
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        client.close(CloseCode::NORMAL, "").unwrap();
        assert!(client.wait_closed().unwrap().is_clean());
        assert!(reader.join().unwrap().is_clean());
        drop(writer);
    });
}
