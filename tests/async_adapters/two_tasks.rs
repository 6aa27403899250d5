//! Two tasks that share one WebSocket, through the crate's halves or those of `futures_util`.
//!
//! One task may do work that the other task waits for. Only in this case the first task must wake the other task. These
//! tests check that no wakeup is lost, that two tasks do not wake each other endlessly, and which result closing a sink
//! has. All interleavings are tested in `tests/loom/`.

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use futures_sink::Sink;
use futures_util::{SinkExt, StreamExt};
use hybi::adapters::futures_io::Error;
use hybi::{CloseCode, Config, Message, Role, SendError};

use super::support::*;

/// When the receiving task answers a Ping, it also writes what the sending task has queued. So the receiving task must
/// wake the sending task.
#[test]
fn both_halves_of_futures_util_progress() {
    for capacity in [10, 100, 1000, usize::MAX] {
        for piece in [7, usize::MAX] {
            let behavior = Behavior { capacity, piece, ..Behavior::default() };
            let (clock, ws, mut peer) = pair(Role::Server, behavior, Config::new());
            let (mut sink, mut stream) = ws.split_by_futures();
            let mut taking = pin!(async {
                loop {
                    sleep(&clock, ms(1)).await;
                    // The peer sends a Ping each time, so the receiving task always has a Pong to write.
                    let _ = peer.connection.ping(hybi::Instant::ZERO, b"asks");
                    peer.pump_some(50);
                }
            });
            let mut receiving = pin!(async { while stream.next().await.is_some() {} });
            let sending = async {
                for n in 0..50 {
                    sink.send(Message::from(letters(n * 10))).await.unwrap();
                }
            };
            run(&clock, sending, &mut [receiving.as_mut(), taking.as_mut()]);
        }
    }
}

/// The receiving task is polled before the sending task, and messages are sent in both directions.
#[test]
fn halves_of_futures_util_send_and_receive_over_a_narrow_pipe() {
    let behavior = Behavior { capacity: 64, piece: 13, ..Behavior::default() };
    let (clock, ws, mut peer) = pair(Role::Client, behavior, Config::new());
    let (mut sink, mut stream) = ws.split_by_futures();
    for n in 0..100 {
        peer.connection.send_text(&letters(n)).unwrap();
    }
    let mut pumping = pin!(async {
        loop {
            sleep(&clock, ms(1)).await;
            peer.pump_some(40);
        }
    });
    let mut sending = pin!(async {
        for n in 0..100 {
            sink.send(Message::from(letters(n))).await.unwrap();
        }
        sink.close().await.unwrap();
    });
    let receiving = async {
        let mut received = 0;
        while let Some(message) = stream.next().await {
            assert_eq!(message.unwrap(), Message::from(letters(received)));
            received += 1;
        }
        received
    };
    // The peer answers the Close but keeps its stream open. The client waits for the end of the stream, for at most two
    // seconds.
    assert_eq!(run(&clock, receiving, &mut [sending.as_mut(), pumping.as_mut()]), 100);
}

/// The sending and the receiving half run in one joined task. The half that is polled first must be polled again after
/// the other half has made progress.
#[test]
fn both_halves_in_one_task_progress() {
    let behavior = Behavior { capacity: 20, ..Behavior::default() };
    let (clock, ws, mut peer) = pair(Role::Server, behavior, patient());
    let (mut sink, mut stream) = ws.split_by_futures();
    let mut taking = pin!(async {
        for _ in 0..200 {
            sleep(&clock, ms(1)).await;
            peer.pump_some(20);
        }
        peer.end.end();
    });
    let joined = async {
        let sending = async {
            for _ in 0..20 {
                sink.send(Message::from("some text that is longer than the pipe")).await.unwrap();
            }
        };
        let receiving = async { while stream.next().await.is_some() {} };
        futures_util::future::join(sending, receiving).await;
    };
    run(&clock, joined, &mut [taking.as_mut()]);
}

trait SplitByFutures: Sized {
    type Sink;
    type Stream;
    fn split_by_futures(self) -> (Self::Sink, Self::Stream);
}

impl SplitByFutures for Ws {
    type Sink = futures_util::stream::SplitSink<Self, Message>;
    type Stream = futures_util::stream::SplitStream<Self>;
    fn split_by_futures(self) -> (Self::Sink, Self::Stream) {
        StreamExt::split(self)
    }
}

/// The deadline of a waiting send ends the connection. The receiving task must learn that the connection has ended.
#[test]
fn halves_of_futures_util_learn_of_the_end_from_each_other() {
    for role in [Role::Server, Role::Client] {
        let behavior = Behavior { capacity: 100, ..Behavior::default() };
        let (clock, ws, _peer) = pair(role, behavior, Config::new());
        let (mut sink, mut stream) = ws.split_by_futures();
        let mut sending = pin!(async {
            let sent = sink.send(Message::from(vec![0; 1000])).await;
            assert!(matches!(sent, Err(Error::Send(SendError::Closed))), "{sent:?}");
        });
        let ended = run(&clock, stream.next(), &mut [sending.as_mut()]);
        assert!(ended.is_none());
        assert_eq!(clock.seconds(), 60);
        block_on(&clock, sending);
    }
}

#[test]
fn start_send_is_refused_while_the_queue_is_full() {
    let full = || Behavior { capacity: 10, ..Behavior::default() };
    let refused = |sent: Result<(), Error>| {
        assert!(matches!(sent, Err(Error::Send(SendError::Blocked))), "{sent:?}");
    };
    let (_, mut ws, _peer) = pair(Role::Server, full(), patient());
    let (_, other, _other_peer) = pair(Role::Server, full(), patient());
    let (_reader, mut writer) = other.split();
    for n in 0..3 {
        let (first, second) = (
            Pin::new(&mut ws).start_send(vec![n; 100_000].into()),
            Pin::new(&mut writer).start_send(vec![n; 100_000].into()),
        );
        if n == 0 {
            first.unwrap();
            second.unwrap();
        } else {
            refused(first);
            refused(second);
        }
    }
}

/// A writer feeds a message and is dropped. The waiting reader must write the message.
#[test]
fn s5_4_a_message_fed_before_the_writer_was_dropped_is_written() {
    let (clock, ws, mut peer) = pair(Role::Server, Behavior::default(), patient());
    let (mut reader, mut writer) = ws.split();
    let mut feeding = pin!(async move {
        writer.feed("left behind").await.unwrap();
        drop(writer);
        for _ in 0..10 {
            super::halves::tick().await;
        }
        peer.pump();
        assert_eq!(peer.messages(), [Heard::Text("left behind".into())]);
        peer.end.end();
    });
    run(&clock, async { while reader.recv().await.unwrap().is_some() {} }, &mut [feeding.as_mut()]);
}

/// This waker calls another waker when it is dropped. The WebSocket must hold no lock at that moment.
#[test]
fn a_waker_that_wakes_when_it_is_dropped_causes_no_deadlock() {
    struct WakesWhenDropped(Arc<Mutex<Option<Waker>>>);
    impl Wake for WakesWhenDropped {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for WakesWhenDropped {
        fn drop(&mut self) {
            if let Some(waker) = self.0.lock().unwrap().take() {
                waker.wake();
            }
        }
    }
    let (_, ws, peer) = pair(Role::Server, Behavior { capacity: 10, ..Behavior::default() }, patient());
    let (mut reader, mut writer) = ws.split();
    for _ in 0..3 {
        let slot = Arc::new(Mutex::new(None));
        let waker: Waker = Arc::new(WakesWhenDropped(Arc::clone(&slot))).into();
        {
            let mut cx = Context::from_waker(&waker);
            assert!(pin!(reader.recv()).poll(&mut cx).is_pending());
            assert!(pin!(writer.send(vec![0; 100])).poll(&mut cx).is_pending());
        }
        // This waker of the stream wakes both halves.
        *slot.lock().unwrap() = peer.end.reader_waker();
        drop(waker);
        // When another task polls, the WebSocket drops its last clone of this waker.
        assert!(poll_once(reader.recv()).is_pending());
        assert!(poll_once(writer.send(vec![0; 100])).is_pending());
    }
}

#[test]
fn a_writer_ended_by_a_timer_writes_nothing_to_a_closed_stream() {
    // The stream asserts that nothing is written after its end. It keeps the bytes of a write that returned
    // `Pending`.
    let behavior = Behavior { capacity: 1000, keeps: true, ..Behavior::default() };
    let (clock, ws, peer) = pair(Role::Server, behavior, Config::new());
    let (mut reader, mut writer) = ws.split();
    assert!(poll_once(writer.send(vec![0; 50_000])).is_pending());
    assert!(matches!(block_on(&clock, reader.wait_closed()).unwrap(), hybi::Outcome::TimedOut(_)));
    peer.end.take_written();
    for _ in 0..3 {
        let sent = poll_once(writer.send("more"));
        assert!(matches!(sent, Poll::Ready(Err(Error::Send(SendError::Closed)))), "{sent:?}");
        let _ = poll_once(writer.flush());
        let _ = poll_once(writer.close(CloseCode::NORMAL, ""));
    }
}

/// A task polls the `Stream` once, drops that future, and sends through the `Sink`. While the send waits, input for
/// the receiving side arrives. The task must be woken once for this input, and not again and again.
#[test]
fn a_send_behind_unread_input_does_not_wake_its_task_endlessly() {
    struct Counts(AtomicUsize);
    impl Wake for Counts {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let (_, mut ws, mut peer) =
        pair(Role::Server, Behavior { capacity: 10, ..Behavior::default() }, patient());
    let wakes = Arc::new(Counts(AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&wakes));
    let cx = &mut Context::from_waker(&waker);
    assert!(ws.poll_next_unpin(cx).is_pending());
    let mut sending = pin!(SinkExt::send(&mut ws, Message::from(vec![0; 1000])));
    assert!(sending.as_mut().poll(cx).is_pending());
    peer.connection.send_text("unread").unwrap();
    peer.say();
    for _ in 0..10 {
        assert!(sending.as_mut().poll(cx).is_pending());
    }
    // One wakeup is for the bytes that arrived, and one for the receiving side.
    let times = wakes.0.load(Ordering::Relaxed);
    assert!(times <= 2, "woken {times} times");
}

/// Both tasks have seen the end of the stream, and both wait for space to write. So neither may wake the other.
#[test]
fn halves_of_futures_util_do_not_wake_each_other_endlessly_at_the_end() {
    let (clock, ws, peer) = pair(Role::Server, Behavior { capacity: 10, ..Behavior::default() }, patient());
    let (mut sink, mut stream) = ws.split_by_futures();
    let mut sending = pin!(async {
        let _ = sink.send(Message::from(vec![0; 1000])).await;
    });
    let mut ending = pin!(async {
        sleep(&clock, ms(1)).await;
        peer.end.end();
        for _ in 0..200 {
            sleep(&clock, ms(1)).await;
            peer.end.take_some(10);
        }
    });
    run(&clock, async { while stream.next().await.is_some() {} }, &mut [sending.as_mut(), ending.as_mut()]);
}

/// An event on the other half or the stream while a sink holds an unsent message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Meanwhile {
    /// A write fails.
    StreamFails,
    /// The receiving half has read a Close, and the answer to the Close does not fit into the stream.
    PeerCloses,
    /// The receiving half has reported the end of the connection.
    PeerEnds,
    /// The receiving half was dropped.
    ReaderGoes,
    /// Nothing happens, and the peer does not read.
    Nothing,
}

/// Closes a sink that holds a message, while a second task receives from the other half. Returns the results of two
/// calls that close the sink.
fn close_of(
    sink: &mut (impl Sink<Message, Error = Error> + Unpin),
    stream: impl futures_core::Stream<Item = Result<Message, Error>> + Unpin,
    clock: &Clock,
    peer: &mut Peer,
    meanwhile: Meanwhile,
) -> [Result<(), Error>; 2] {
    let mut stream = Some(stream);
    let noop = &mut Context::from_waker(Waker::noop());
    let mut look = |times| {
        for _ in 0..times {
            let _ = stream.as_mut().map(|stream| stream.poll_next_unpin(noop));
        }
    };
    look(1);
    // The first message fills the pipe, and the second message fills the write queue. The third message waits in the
    // sink, if the sink can hold a message.
    for n in 0..3 {
        let noop = &mut Context::from_waker(Waker::noop());
        if Pin::new(&mut *sink).poll_ready(noop).is_ready() {
            let _ = Pin::new(&mut *sink).start_send(vec![n; 1000].into());
        }
        let _ = Pin::new(&mut *sink).poll_flush(noop);
    }
    match meanwhile {
        Meanwhile::StreamFails => peer.end.reset(),
        Meanwhile::PeerCloses => {
            peer.connection.close(hybi::Instant::ZERO, CloseCode::NORMAL, "").unwrap();
            peer.say();
            look(3);
        }
        Meanwhile::PeerEnds => {
            peer.end.end();
            peer.end.take_some(10);
            look(3);
        }
        Meanwhile::ReaderGoes => stream = None,
        Meanwhile::Nothing => {}
    }
    let mut receiving = pin!(async {
        if let Some(stream) = &mut stream {
            while stream.next().await.is_some() {}
        }
    });
    let first = run(clock, SinkExt::close(sink), &mut [receiving.as_mut()]);
    let second = run(clock, SinkExt::close(sink), &mut []);
    [first, second]
}

#[test]
fn s7_1_1_closing_a_sink_completes_in_any_state_of_the_other_half() {
    for role in [Role::Server, Role::Client] {
        for meanwhile in [
            Meanwhile::StreamFails,
            Meanwhile::PeerCloses,
            Meanwhile::PeerEnds,
            Meanwhile::ReaderGoes,
            Meanwhile::Nothing,
        ] {
            for by_futures in [false, true] {
                let behavior = Behavior { capacity: 100, ..Behavior::default() };
                let config = Config::new().high_water(500);
                let (clock, ws, mut peer) = pair(role, behavior, config);
                let closed = if by_futures {
                    let (mut sink, stream) = ws.split_by_futures();
                    close_of(&mut sink, stream, &clock, &mut peer, meanwhile)
                } else {
                    let (reader, mut writer) = ws.split();
                    close_of(&mut writer, reader, &clock, &mut peer, meanwhile)
                };
                let what = format!("{role:?}, {meanwhile:?}, by futures {by_futures}: {closed:?}");
                // Messages are lost in each case, and closing reports the loss.
                for closed in &closed {
                    assert!(matches!(closed, Err(Error::Send(SendError::Closed) | Error::Io(_))), "{what}");
                }
                // Together, the calls wait at most for the ping interval, the pong timeout and the close timeout: 30,
                // 30 and 10 seconds.
                assert!(clock.seconds() <= 70, "{what}");
            }
        }
    }
}

type Close = dyn FnMut(&mut Context<'_>) -> Poll<Result<(), Error>>;

/// The answer to a Close waits for the stream, and no task receives any more. Closing the sink writes the answer.
#[test]
fn s5_5_1_closing_a_sink_with_a_message_writes_the_answer_to_a_close() {
    for by_futures in [false, true] {
        let behavior = Behavior { capacity: 8, ..Behavior::default() };
        let (_clock, ws, mut peer) = pair(Role::Server, behavior, patient());
        let closes = |peer: &mut Peer| {
            peer.connection.close(hybi::Instant::ZERO, CloseCode::NORMAL, "").unwrap();
            peer.say();
        };
        let noop = &mut Context::from_waker(Waker::noop());
        let mut close: Box<Close> = if by_futures {
            let (mut sink, mut stream) = ws.split_by_futures();
            assert!(poll_once(sink.send("12345678".into())).is_pending());
            assert!(poll_once(sink.feed("slot".into())).is_ready());
            closes(&mut peer);
            assert!(stream.poll_next_unpin(noop).is_pending());
            Box::new(move |cx| (Pin::new(&mut sink).poll_close(cx), &stream).0)
        } else {
            let (mut reader, mut writer) = ws.split();
            assert!(poll_once(SinkExt::send(&mut writer, "12345678".into())).is_pending());
            closes(&mut peer);
            assert!(reader.poll_next_unpin(noop).is_pending());
            Box::new(move |cx| (Pin::new(&mut writer).poll_close(cx), &reader).0)
        };
        for _ in 0..5 {
            let _ = close(noop);
            peer.pump();
        }
        assert!(peer.heard.contains(&Heard::Close(1000)), "by futures {by_futures}: {:?}", peer.heard);
    }
}
