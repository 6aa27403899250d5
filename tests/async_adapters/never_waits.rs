//! Calls that never wait: `try_send`, and getters such as `buffered_amount`. The peer reads slowly or not at all.
//!
//! `try_send` must return a message that cannot be queued, must keep the order of the messages, and must not lose a
//! message that it accepted. The other half may hold the lock that both halves share. To produce this case, a stream
//! calls a function of the test while the reader polls the stream. `tests/net/never_waits.rs` tests the calls of the
//! blocking adapter.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};
use futures_sink::Sink;
use hybi::adapters::futures_io::{Error, Group, Reader, WebSocket, Writer};
use hybi::{
    CloseCode, Config, Message, MessageKind, Prepared, ReadyState, Role, SendError, SendOptions,
    UnsentMessage,
};

use super::halves::tick;
use super::support::*;

/// The types with a `try_send`.
enum Out {
    Whole(Ws),
    Answer(Ws),
    Half(Reader<End, Clock>, Writer<End, Clock>),
}

impl Out {
    fn all(ws: impl Fn() -> (Ws, Peer)) -> [(Self, Peer); 3] {
        let halves = || {
            let (ws, peer) = ws();
            let (reader, writer) = ws.split();
            (Self::Half(reader, writer), peer)
        };
        let ((whole, peer), (answer, other)) = (ws(), ws());
        [(Self::Whole(whole), peer), (Self::Answer(answer), other), halves()]
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

    async fn close(&mut self) -> Result<(), Error> {
        match self {
            Self::Whole(ws) => ws.close(CloseCode::NORMAL, "").await,
            Self::Answer(ws) => ws.responder().close(CloseCode::NORMAL, ""),
            Self::Half(_, writer) => writer.close(CloseCode::NORMAL, "").await,
        }
    }

    async fn flush(&mut self) -> Result<(), Error> {
        match self {
            Self::Whole(ws) | Self::Answer(ws) => ws.flush().await,
            Self::Half(_, writer) => writer.flush().await,
        }
    }

    /// Receives until the connection waits, so that the queue is written.
    fn receive(&mut self) {
        match self {
            Self::Whole(ws) | Self::Answer(ws) => assert!(poll_once(ws.recv()).is_pending()),
            Self::Half(reader, _) => assert!(poll_once(reader.recv()).is_pending()),
        }
    }
}

fn numbered(n: usize) -> String {
    format!("{n:0100}")
}

#[test]
fn s5_6_try_send_returns_the_message_if_the_peer_does_not_read() {
    for role in [Role::Server, Role::Client] {
        let narrow = Behavior { capacity: 150, ..Behavior::default() };
        let outs = Out::all(|| {
            let (_, ws, peer) = pair(role, narrow.clone(), patient().high_water(1000));
            (ws, peer)
        });
        for (mut out, mut peer) in outs {
            let mut accepted = 0;
            let refused = loop {
                match out.try_send(numbered(accepted)) {
                    Ok(()) => accepted += 1,
                    Err(refused) => break refused,
                }
                assert!(accepted < 100, "the queue has no bound");
            };
            assert_eq!(
                refused,
                UnsentMessage { error: SendError::Blocked, message: numbered(accepted).into() }
            );
            // Nothing changes as long as the peer does not read.
            let calls = peer.end.state.lock().unwrap().calls;
            for _ in 0..10 {
                assert_eq!(out.try_send("more").unwrap_err().error, SendError::Blocked);
            }
            assert!(peer.end.state.lock().unwrap().calls <= calls + 10);
            assert!((1000..1000 + 108).contains(&out.buffered_amount()), "{}", out.buffered_amount());
            // The peer reads some bytes. The next call writes queued bytes into the free space and accepts the
            // message.
            peer.pump();
            out.try_send(numbered(accepted)).unwrap();
            accepted += 1;
            // The rest is written by a call that receives.
            for _ in 0..20 {
                out.receive();
                peer.pump();
            }
            assert_eq!(out.buffered_amount(), 0);
            let expected: Vec<_> = (0..accepted).map(|n| Heard::Text(numbered(n))).collect();
            assert_eq!(peer.messages(), expected);
        }
    }
}

/// If the stream accepts everything, `try_send` of a WebSocket or a Writer leaves nothing in the queue. A Responder
/// only queues the message.
#[test]
fn try_send_writes_as_much_as_the_stream_accepts() {
    let outs = Out::all(|| {
        let (_, ws, peer) = pair(Role::Server, Behavior::default(), patient());
        (ws, peer)
    });
    for (mut out, mut peer) in outs {
        out.try_send("hello").unwrap();
        if matches!(out, Out::Answer(_)) {
            assert_eq!(out.buffered_amount(), 7);
            out.receive();
        }
        assert_eq!(out.buffered_amount(), 0);
        peer.pump();
        assert_eq!(peer.messages(), [Heard::Text("hello".into())]);
    }
}

#[test]
fn s5_5_1_nothing_is_accepted_after_closing_has_begun() {
    let outs = Out::all(|| {
        let (_, ws, peer) = pair(Role::Server, Behavior::default(), patient());
        (ws, peer)
    });
    for (mut out, mut peer) in outs {
        assert_eq!(out.ready_state(), ReadyState::Open);
        let clock = Clock::default();
        block_on(&clock, out.close()).unwrap();
        assert_eq!(out.ready_state(), ReadyState::Closing);
        let refused = out.try_send("late").unwrap_err();
        assert_eq!(refused, UnsentMessage { error: SendError::Closed, message: "late".into() });
        block_on(&clock, out.flush()).unwrap();
        peer.pump();
        peer.end.end();
        match &mut out {
            Out::Whole(ws) | Out::Answer(ws) => assert!(block_on(&clock, ws.wait_closed()).is_ok()),
            Out::Half(reader, _) => assert!(block_on(&clock, reader.wait_closed()).is_ok()),
        }
        assert_eq!(out.ready_state(), ReadyState::Closed);
        assert_eq!(out.try_send("late").unwrap_err().error, SendError::Closed);
        assert_eq!(peer.messages(), []);
    }
}

/// If `try_send` did not return an error, messages would be queued for a stream that accepts nothing any more.
#[test]
fn s7_1_7_nothing_is_accepted_after_a_write_has_failed() {
    let outs = Out::all(|| {
        let (_, ws, peer) = pair(Role::Server, Behavior::default(), patient().high_water(100));
        (ws, peer)
    });
    for (mut out, peer) in outs {
        peer.end.reset();
        // These calls may be the first to find that the stream has failed.
        let _ = out.try_send(numbered(0));
        let _ = out.try_send(numbered(1));
        let refused = out.try_send("lost").unwrap_err();
        assert_eq!(refused, UnsentMessage { error: SendError::Closed, message: "lost".into() });
        assert!(matches!(block_on(&Clock::default(), out.flush()), Err(Error::Io(_))));
    }
}

#[test]
fn s5_4_no_message_is_accepted_inside_a_fragmented_one() {
    let (clock, mut ws, _peer) = pair(Role::Server, Behavior::default(), patient());
    block_on(&clock, ws.send_fragment_with(MessageKind::Text, b"a", false, SendOptions::new())).unwrap();
    assert_eq!(ws.try_send("b").unwrap_err().error, SendError::MessageOpen);
    assert_eq!(ws.responder().try_send("b").unwrap_err().error, SendError::MessageOpen);
    let (_reader, mut writer) = ws.split();
    assert_eq!(writer.try_send("b").unwrap_err().error, SendError::MessageOpen);
    block_on(&clock, writer.send_fragment(MessageKind::Text, b"c", true)).unwrap();
    writer.try_send("b").unwrap();
}

/// A waiting send is dropped, but its message was accepted. A later message of `try_send` must be sent after the
/// accepted message.
#[test]
fn messages_keep_their_order_after_a_dropped_future() {
    let narrow = Behavior { capacity: 50, ..Behavior::default() };
    let outs = Out::all(|| {
        let (_, ws, peer) = pair(Role::Server, narrow.clone(), patient());
        (ws, peer)
    });
    for (mut out, mut peer) in outs {
        match &mut out {
            Out::Whole(ws) | Out::Answer(ws) => {
                assert!(poll_once(ws.send_text(&numbered(0))).is_pending());
                assert!(poll_once(ws.feed_prepared(&Prepared::new(numbered(1)))).is_ready());
            }
            Out::Half(_, writer) => {
                assert!(poll_once(writer.send_text(&numbered(0))).is_pending());
                assert!(poll_once(writer.feed_prepared(&Prepared::new(numbered(1)))).is_ready());
            }
        }
        out.try_send(numbered(2)).unwrap();
        for _ in 0..20 {
            out.receive();
            peer.pump();
        }
        assert_eq!(peer.messages(), [0, 1, 2].map(|n| Heard::Text(numbered(n))));
    }
}

#[test]
fn s5_5_3_a_writer_sends_an_unsolicited_pong() {
    let (clock, ws, mut peer) = pair(Role::Client, Behavior::default(), patient());
    let (_reader, mut writer) = ws.split();
    block_on(&clock, writer.pong(b"alive")).unwrap();
    let long = block_on(&clock, writer.pong(&[0; 126]));
    assert!(matches!(long, Err(Error::Send(SendError::ControlTooLong))), "{long:?}");
    peer.pump();
    assert_eq!(peer.heard, [Heard::Pong(b"alive".to_vec())]);
    block_on(&clock, writer.close(CloseCode::NORMAL, "")).unwrap();
    assert!(matches!(block_on(&clock, writer.pong(b"")), Err(Error::Send(SendError::Closed))));
}

// --- while the other half holds the lock ---

type Hook = Arc<Mutex<Option<Box<dyn FnMut() + Send>>>>;

/// A stream that calls `hook` once, during a read, and `on_write` during each write. While these functions run, the
/// reader holds the shared lock.
#[derive(Clone)]
struct Hooked {
    end: End,
    hook: Hook,
    on_write: Hook,
}

impl AsyncRead for Hooked {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let hook = this.hook.lock().unwrap().take();
        if let Some(mut hook) = hook {
            hook();
        }
        Pin::new(&mut this.end).poll_read(cx, to)
    }
}

impl AsyncWrite for Hooked {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some(hook) = &mut *this.on_write.lock().unwrap() {
            hook();
        }
        Pin::new(&mut this.end).poll_write(cx, from)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().end).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().end).poll_close(cx)
    }
}

/// A split server, its peer, and the functions that run while the reader holds the lock.
struct Locked {
    clock: Clock,
    reader: Reader<Hooked, Clock>,
    writer: Arc<Mutex<Writer<Hooked, Clock>>>,
    peer: Peer,
    hook: Hook,
    on_write: Hook,
    group: Group,
}

impl Locked {
    fn new(behavior: Behavior, config: Config) -> Self {
        let (clock, ws, peer) = pair(Role::Server, behavior, config);
        let (end, connection, inbox) = ws.into_parts();
        let (hook, on_write) = (Hook::default(), Hook::default());
        let stream = Hooked { end, hook: Arc::clone(&hook), on_write: Arc::clone(&on_write) };
        let mut ws = WebSocket::from_parts(stream, clock.clone(), connection, inbox);
        let group = Group::new();
        ws.join(&group);
        let (reader, writer) = ws.split();
        Self { clock, reader, writer: Arc::new(Mutex::new(writer)), peer, hook, on_write, group }
    }

    /// Polls the reader once. While the reader reads, `call` runs.
    fn while_reading(&mut self, mut call: impl FnMut(&mut Writer<Hooked, Clock>) + Send + 'static) {
        let writer = Arc::clone(&self.writer);
        *self.hook.lock().unwrap() = Some(Box::new(move || call(&mut writer.lock().unwrap())));
        assert!(poll_once(self.reader.recv()).is_pending());
        assert!(self.hook.lock().unwrap().is_none());
    }
}

#[test]
fn try_send_keeps_a_message_while_the_other_half_holds_the_lock() {
    let mut locked = Locked::new(Behavior::default(), patient());
    locked.while_reading(|writer| {
        for n in 0..3 {
            writer.try_send(numbered(n)).unwrap();
        }
        assert!(writer.buffered_amount() >= 3 * 102);
    });
    // The reader has already written the messages, or was woken so that it writes them.
    block_on(&locked.clock, locked.writer.lock().unwrap().send("next")).unwrap();
    assert_eq!(locked.writer.lock().unwrap().buffered_amount(), 0);
    locked.peer.pump();
    let mut expected = [0, 1, 2].map(|n| Heard::Text(numbered(n))).to_vec();
    expected.push(Heard::Text("next".into()));
    assert_eq!(locked.peer.messages(), expected);
}

/// The writing task makes no further call. So the reader must be woken, and must write the message.
#[test]
fn a_reader_writes_the_messages_that_waited_for_its_lock() {
    let Locked { clock, mut reader, writer, mut peer, hook, .. } =
        Locked::new(Behavior::default(), patient());
    let keeper = Arc::clone(&writer);
    *hook.lock().unwrap() = Some(Box::new(move || writer.lock().unwrap().try_send("kept").unwrap()));
    let mut far = pin!(async {
        for _ in 0..10 {
            tick().await;
        }
        peer.pump();
        assert_eq!(peer.messages(), [Heard::Text("kept".into())]);
        peer.end.end();
    });
    let outcome = run(&clock, reader.wait_closed(), &mut [far.as_mut()]);
    assert!(!outcome.unwrap().is_clean());
    drop(keeper);
}

/// The reader holds the lock and reads a message, so it does not look at the write queue again. Its task then makes no
/// further call.
#[test]
fn a_message_that_waited_for_the_lock_is_written_although_no_half_is_polled_again() {
    let mut locked = Locked::new(Behavior::default(), patient());
    locked.peer.connection.send_text("event").unwrap();
    locked.peer.say();
    let writer = Arc::clone(&locked.writer);
    *locked.hook.lock().unwrap() = Some(Box::new(move || {
        writer.lock().unwrap().try_send("stored").unwrap();
    }));
    assert!(poll_once(locked.reader.recv()).is_ready());
    assert_eq!(locked.writer.lock().unwrap().buffered_amount(), 0);
    locked.peer.pump();
    assert_eq!(locked.peer.messages(), [Heard::Text("stored".into())]);
}

/// During each write of the reader, a message is stored, as if the writer were in another thread. The reader must
/// yield, and must be woken for the other messages.
#[test]
fn a_reader_writes_a_bounded_number_of_stored_messages_in_one_poll() {
    const ALL: usize = 50;
    let Locked { clock, mut reader, writer, mut peer, on_write, .. } =
        Locked::new(Behavior::default(), patient());
    block_on(&clock, writer.lock().unwrap().feed(numbered(0))).unwrap();
    let (counted, keeper) = (Arc::new(Mutex::new(1)), Arc::clone(&writer));
    let count = Arc::clone(&counted);
    *on_write.lock().unwrap() = Some(Box::new(move || {
        let mut count = count.lock().unwrap();
        if *count < ALL {
            writer.lock().unwrap().try_send(numbered(*count)).unwrap();
            *count += 1;
        }
    }));
    assert!(poll_once(reader.recv()).is_pending());
    assert!(*counted.lock().unwrap() < 10, "the poll does not end");
    let mut far = pin!(async {
        while peer.messages().len() < ALL {
            tick().await;
            peer.pump();
        }
        assert_eq!(peer.messages(), (0..ALL).map(|n| Heard::Text(numbered(n))).collect::<Vec<_>>());
        peer.end.end();
    });
    assert!(!run(&clock, reader.wait_closed(), &mut [far.as_mut()]).unwrap().is_clean());
    // The function holds the writer, whose stream holds the function. Removing the function breaks this cycle.
    *on_write.lock().unwrap() = None;
    drop(keeper);
}

/// When the reader is dropped, it has written the messages that were stored while it held the lock.
#[test]
fn a_message_that_waited_for_the_lock_of_a_dropped_reader_is_written() {
    let mut locked = Locked::new(Behavior::default(), patient());
    locked.while_reading(|writer| writer.try_send(numbered(0)).unwrap());
    let Locked { reader, writer, mut peer, .. } = locked;
    drop(reader);
    let mut writer = writer.lock().unwrap();
    writer.try_send(numbered(1)).unwrap();
    assert_eq!(writer.buffered_amount(), 0);
    peer.pump();
    assert_eq!(peer.messages(), [0, 1].map(|n| Heard::Text(numbered(n))));
}

/// The future of a send is dropped while the stream is full. Messages that were stored before or after this send are
/// sent in order, and a Close follows them.
#[test]
fn s5_5_1_messages_stored_around_a_dropped_future_keep_their_order_before_a_close() {
    let narrow = Behavior { capacity: 150, ..Behavior::default() };
    let mut locked = Locked::new(narrow, patient().high_water(1));
    locked.while_reading(|writer| writer.try_send(numbered(0)).unwrap());
    locked.while_reading(|writer| writer.try_send(numbered(1)).unwrap());
    // This message was not queued, so it is never sent.
    assert!(poll_once(locked.writer.lock().unwrap().send("never sent")).is_pending());
    locked.while_reading(|writer| writer.try_send(numbered(2)).unwrap());
    assert!(poll_once(locked.writer.lock().unwrap().close(CloseCode::NORMAL, "")).is_pending());
    while !locked.peer.heard.contains(&Heard::Close(1000)) {
        assert!(poll_once(locked.reader.recv()).is_pending());
        locked.peer.pump();
    }
    assert_eq!(locked.peer.messages(), [0, 1, 2].map(|n| Heard::Text(numbered(n))));
}

#[test]
fn messages_that_wait_for_the_lock_are_bounded() {
    let narrow = Behavior { capacity: 100, ..Behavior::default() };
    let mut locked = Locked::new(narrow, patient().high_water(1000));
    // The queue is full, so the messages that wait for the lock cannot be queued.
    {
        let mut writer = locked.writer.lock().unwrap();
        while writer.try_send(numbered(0)).is_ok() {}
    }
    locked.while_reading(|writer| {
        let mut accepted = 0;
        let refused = loop {
            match writer.try_send(vec![0; 1000]) {
                Ok(()) => accepted += 1,
                Err(refused) => break refused,
            }
        };
        assert_eq!((refused.error, refused.message.len()), (SendError::Blocked, 1000));
        assert!((10..=20).contains(&accepted), "{accepted}");
    });
    // The messages still wait for space in the queue. Later messages and a Close do not overtake them.
    assert_eq!(locked.writer.lock().unwrap().try_send("early").unwrap_err().error, SendError::Blocked);
    let Locked { clock, mut reader, writer, mut peer, .. } = locked;
    let mut writer = writer.lock().unwrap();
    let mut far = pin!(async {
        while !peer.heard.contains(&Heard::Close(1000)) {
            tick().await;
            peer.pump();
        }
        peer.heard.clone()
    });
    let mut near = pin!(async {
        writer.send("behind them").await.unwrap();
        writer.close(CloseCode::NORMAL, "").await.unwrap();
        let _ = reader.wait_closed().await;
    });
    let heard = run(&clock, far.as_mut(), &mut [near.as_mut()]);
    let last: Vec<_> = heard.iter().rev().take(3).collect();
    assert_eq!(last[0], &Heard::Close(1000));
    assert_eq!(last[1], &Heard::Text("behind them".into()));
    assert_eq!(last[2], &Heard::Binary(vec![0; 1000]));
}

/// A peer that does not read must not keep the Close out of the queue, because the close timeout starts when the Close
/// is queued.
#[test]
fn s7_1_1_a_close_does_not_wait_for_messages_that_find_no_space() {
    let narrow = Behavior { capacity: 100, ..Behavior::default() };
    let mut locked = Locked::new(narrow, patient().high_water(1000));
    {
        let mut writer = locked.writer.lock().unwrap();
        while writer.try_send(numbered(0)).is_ok() {}
    }
    locked.while_reading(|writer| writer.try_send("stored").unwrap());
    let mut writer = locked.writer.lock().unwrap();
    assert!(poll_once(writer.close(CloseCode::NORMAL, "")).is_pending());
    assert_eq!(writer.ready_state(), ReadyState::Closing);
}

/// Each way to close waits neither for space nor for the lock, and still sends the stored messages before the Close.
#[test]
fn s5_5_1_a_close_follows_stored_messages_that_find_no_space() {
    for how in 0..3 {
        let narrow = Behavior { capacity: 100, ..Behavior::default() };
        let mut locked = Locked::new(narrow, patient().high_water(1000));
        let mut accepted = 0;
        while locked.writer.lock().unwrap().try_send(numbered(accepted)).is_ok() {
            accepted += 1;
        }
        locked.while_reading(|writer| writer.try_send("stored").unwrap());
        match how {
            0 => assert!(poll_once(locked.writer.lock().unwrap().close(CloseCode::NORMAL, "")).is_pending()),
            1 => {
                let mut writer = locked.writer.lock().unwrap();
                assert!(poll_once(poll_fn(|cx| Pin::new(&mut *writer).poll_close(cx))).is_pending());
            }
            _ => {
                locked.group.close(CloseCode::NORMAL, "").unwrap();
                assert!(poll_once(locked.reader.recv()).is_pending());
            }
        }
        assert_eq!(locked.writer.lock().unwrap().ready_state(), ReadyState::Closing);
        while !locked.peer.heard.contains(&Heard::Close(1000)) {
            assert!(poll_once(locked.reader.recv()).is_pending());
            locked.peer.pump_some(100);
        }
        let mut expected: Vec<_> = (0..accepted).map(|n| Heard::Text(numbered(n))).collect();
        expected.push(Heard::Text("stored".into()));
        assert_eq!(locked.peer.messages(), expected, "{how}");
        // No message was lost, so no error is reported.
        assert!(matches!(poll_once(locked.writer.lock().unwrap().flush()), Poll::Ready(Ok(()))));
    }
}

#[test]
fn s5_5_1_no_message_is_stored_once_closing_has_begun() {
    let mut locked = Locked::new(Behavior::default(), patient());
    block_on(&locked.clock, locked.writer.lock().unwrap().close(CloseCode::NORMAL, "")).unwrap();
    locked.while_reading(|writer| {
        let refused = writer.try_send("late").unwrap_err();
        assert_eq!(refused, UnsentMessage { error: SendError::Closed, message: "late".into() });
    });
}

#[test]
fn s5_5_1_a_message_that_waits_for_the_lock_is_sent_before_the_answer_to_a_close() {
    let mut locked = Locked::new(Behavior::default(), patient());
    locked.peer.connection.close(hybi::Instant::ZERO, CloseCode::NORMAL, "").unwrap();
    locked.peer.say();
    // `try_send` is called during the poll that reads the Close.
    let writer = Arc::clone(&locked.writer);
    *locked.hook.lock().unwrap() = Some(Box::new(move || {
        writer.lock().unwrap().try_send("in time").unwrap();
    }));
    assert!(poll_once(locked.reader.next_event()).is_ready());
    block_on(&locked.clock, locked.writer.lock().unwrap().flush()).unwrap();
    locked.peer.pump();
    assert_eq!(locked.peer.messages(), [Heard::Text("in time".into())]);
    assert_eq!(locked.writer.lock().unwrap().try_send("late").unwrap_err().error, SendError::Closed);
}

#[test]
fn s5_5_1_a_refused_message_that_waited_for_the_lock_is_reported_by_the_next_flush() {
    let mut locked = Locked::new(Behavior { capacity: 10, ..Behavior::default() }, patient().high_water(1));
    // Only one frame is queued, and the stream has accepted a part of this frame.
    locked.writer.lock().unwrap().try_send(numbered(0)).unwrap();
    locked.while_reading(|writer| writer.try_send("kept").unwrap());
    locked.peer.connection.close(hybi::Instant::ZERO, CloseCode::NORMAL, "").unwrap();
    locked.peer.say();
    assert!(poll_once(locked.reader.next_event()).is_ready());
    for _ in 0..20 {
        let _ = poll_once(locked.reader.next_event());
        locked.peer.pump();
    }
    let flushed = block_on(&locked.clock, locked.writer.lock().unwrap().flush());
    assert!(matches!(flushed, Err(Error::Send(SendError::Closed))), "{flushed:?}");
    // The partly written frame was completed, and the other message was not sent.
    assert_eq!(locked.peer.messages(), [Heard::Text(numbered(0))]);
    assert_eq!(locked.writer.lock().unwrap().buffered_amount(), 0);
}

#[test]
fn s5_5_1_a_refused_try_send_writes_the_answer_to_a_close() {
    let (clock, ws, mut peer) = pair(Role::Server, Behavior::default(), Config::new());
    let (mut reader, mut writer) = ws.split();
    peer.connection.close(hybi::Instant::ZERO, CloseCode::new(4000), "").unwrap();
    peer.say();
    assert_eq!(heard(block_on(&clock, reader.next_event()).unwrap().unwrap()), Heard::Close(4000));
    drop(reader);
    assert_eq!(writer.try_send("x").unwrap_err().error, SendError::Closed);
    drop(writer);
    peer.pump();
    assert_eq!(peer.heard[0], Heard::Close(4000));
}
