//! The work that one connection does in one poll.
//!
//! A turn is the work of a connection until its input is used up or a limit is reached. At a limit the task must yield,
//! however much input is ready. These tests count bytes, frames, inflated bytes and readings of the clock per poll, and
//! measure no time. `line.rs` also tests many connections that take turns.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use futures_io::{AsyncRead, AsyncWrite};
use hybi::adapters::futures_io::{Timer, WebSocket};
use hybi::{Config, Inbox, Instant, Role};

use super::support::*;

/// The bytes that a [`Flood`] has moved.
#[derive(Debug, Default)]
pub struct Counts {
    pub read: usize,
    pub written: usize,
}

/// A stream with endless input, which repeats `frames`. The stream accepts all written bytes.
#[derive(Clone, Debug)]
pub struct Flood {
    pub frames: Arc<Vec<u8>>,
    /// The index of the next byte in `frames`.
    pub at: usize,
    pub counts: Arc<Mutex<Counts>>,
}

impl AsyncRead for Flood {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, to: &mut [u8]) -> Poll<io::Result<usize>> {
        let frames = Arc::clone(&self.frames);
        let mut rest = &mut *to;
        while !rest.is_empty() {
            let len = rest.len().min(frames.len() - self.at);
            let (now, then) = rest.split_at_mut(len);
            now.copy_from_slice(&frames[self.at..self.at + len]);
            self.at = (self.at + len) % frames.len();
            rest = then;
        }
        self.counts.lock().unwrap().read += to.len();
        Poll::Ready(Ok(to.len()))
    }
}

impl AsyncWrite for Flood {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        self.counts.lock().unwrap().written += from.len();
        Poll::Ready(Ok(from.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A clock that counts how often it is read.
#[derive(Clone, Debug, Default)]
struct CountingClock(Arc<AtomicUsize>);

impl Timer for CountingClock {
    fn now(&self) -> Instant {
        self.0.fetch_add(1, Ordering::Relaxed);
        Instant::ZERO
    }

    fn poll_at(&mut self, _: &mut Context<'_>, _: Instant) -> Poll<()> {
        Poll::Pending
    }
}

/// Counts the wakeups of a task.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The work of one poll of a task.
#[derive(Debug)]
struct Work {
    read: usize,
    clock: usize,
    woken: usize,
}

/// Polls a task 200 times. The task receives everything and sends nothing. Returns the largest number of bytes and of
/// clock readings in one poll.
fn most_work(frames: Vec<u8>, deflate: bool, halves: bool) -> Work {
    let counts = Arc::<Mutex<Counts>>::default();
    let stream = Flood { frames: Arc::new(frames), at: 0, counts: Arc::clone(&counts) };
    let clock = CountingClock::default();
    let connection = connection(Role::Client, Config::new());
    #[cfg(feature = "deflate")]
    let connection = connection.with_deflate(deflate.then(hybi::handshake::DeflateParams::default));
    let _ = deflate;
    let mut ws = WebSocket::from_parts(stream, clock.clone(), connection, Inbox::empty());
    let woken = Arc::new(Woken::default());
    let waker: Waker = Arc::clone(&woken).into();
    let mut cx = Context::from_waker(&waker);
    let mut most = Work { read: 0, clock: 0, woken: 0 };
    let mut measure = |task: &mut dyn FnMut(&mut Context<'_>) -> Poll<()>| {
        for _ in 0..200 {
            let before = (counts.lock().unwrap().read, clock.0.load(Ordering::Relaxed));
            woken.0.store(0, Ordering::Relaxed);
            assert!(task(&mut cx).is_pending(), "the input is endless, so the task must not complete");
            most.read = most.read.max(counts.lock().unwrap().read - before.0);
            most.clock = most.clock.max(clock.0.load(Ordering::Relaxed) - before.1);
            most.woken = woken.0.load(Ordering::Relaxed);
            assert!(most.woken >= 1, "the task has not woken itself");
        }
    };
    if halves {
        let (mut reader, _writer) = ws.split();
        let mut task = pin!(async move { while reader.recv().await.unwrap().is_some() {} });
        measure(&mut |cx| task.as_mut().poll(cx));
    } else {
        let mut task = pin!(async move { while ws.recv().await.unwrap().is_some() {} });
        measure(&mut |cx| task.as_mut().poll(cx));
    }
    most
}

/// A turn may contain sixteen reads of 16 KiB, which can hold 130,000 empty frames. So a limit on bytes is not enough,
/// and the number of frames is limited too.
#[test]
fn s5_5_2_a_turn_is_bounded_by_the_number_of_small_frames() {
    let floods: [&[u8]; 4] = [
        b"\x89\x00",         // empty Pings
        b"\x8a\x00",         // empty Pongs
        b"\x82\x01x",        // tiny messages
        b"\x02\x00\x80\x00", // empty fragments
    ];
    for frames in floods {
        for halves in [false, true] {
            let work = most_work(frames.repeat(1000), false, halves);
            // A turn ends after 1024 frames. Its reads may return more bytes than these frames have.
            assert!(work.read <= 40 << 10, "{frames:?}, halves: {halves}: {work:?}");
            assert!(work.clock <= 40, "{frames:?}, halves: {halves}: {work:?}");
        }
    }
}

#[test]
fn s5_2_a_turn_is_bounded_by_the_bytes_of_large_messages() {
    for halves in [false, true] {
        let mut frame = b"\x82\x7f\x00\x00\x00\x00\x00\x10\x00\x00".to_vec();
        frame.resize(10 + (1 << 20), 7);
        let work = most_work(frame, false, halves);
        assert!(work.read <= 4 << 20, "halves: {halves}: {work:?}");
    }
}

/// A payload of 16 KiB can inflate to 16 MiB. Each turn inflates a part of it.
#[cfg(feature = "deflate")]
#[test]
fn s7692_a_turn_is_bounded_by_the_number_of_inflated_bytes() {
    let mut sender =
        connection(Role::Server, Config::new()).with_deflate(hybi::handshake::DeflateParams::default());
    sender.send_binary(&vec![0; 15 << 20]).unwrap();
    let bomb = wire(&mut sender);
    assert!(bomb.len() < 20_000);
    for halves in [false, true] {
        let counts = Arc::<Mutex<Counts>>::default();
        let stream = Flood { frames: Arc::new(bomb.clone()), at: 0, counts: Arc::clone(&counts) };
        let connection =
            connection(Role::Client, Config::new()).with_deflate(hybi::handshake::DeflateParams::default());
        let mut ws = WebSocket::from_parts(stream, CountingClock::default(), connection, Inbox::empty());
        // 15 MiB in turns of 256 KiB are 60 turns. The test allows some deviation.
        let cx = &mut Context::from_waker(Waker::noop());
        let mut polls = 1;
        if halves {
            let (mut reader, _writer) = ws.split();
            let mut receiving = pin!(reader.recv());
            while receiving.as_mut().poll(cx).is_pending() {
                polls += 1;
            }
        } else {
            let mut receiving = pin!(ws.recv());
            while receiving.as_mut().poll(cx).is_pending() {
                polls += 1;
            }
        }
        assert!((55..100).contains(&polls), "halves: {halves}: {polls} turns");
    }
}

/// Receives one compressed message, and returns the number of turns that this took.
#[cfg(feature = "deflate")]
fn turns_of_a_message(frame: &[u8], halves: bool) -> usize {
    let stream = Flood { frames: Arc::new(frame.to_vec()), at: 0, counts: Arc::default() };
    let connection =
        connection(Role::Client, Config::new()).with_deflate(hybi::handshake::DeflateParams::default());
    let mut ws = WebSocket::from_parts(stream, CountingClock::default(), connection, Inbox::empty());
    let cx = &mut Context::from_waker(Waker::noop());
    let mut polls = 1;
    let mut count = |mut receiving: Pin<&mut dyn Future<Output = ()>>| {
        while receiving.as_mut().poll(cx).is_pending() {
            polls += 1;
        }
    };
    if halves {
        let (mut reader, _writer) = ws.split();
        count(pin!(async move { drop(reader.recv().await.unwrap().unwrap()) }));
    } else {
        count(pin!(async move { drop(ws.recv().await.unwrap().unwrap()) }));
    }
    polls
}

/// A block that inflates to nothing also costs time. 16 KiB of such blocks take longer than 16 KiB that inflate to 16
/// MiB.
#[cfg(feature = "deflate")]
#[test]
fn s7692_a_turn_is_bounded_by_the_number_of_empty_blocks() {
    const BLOCKS: u16 = 8000;
    // Each block is a final block with fixed codes that ends at once. The last byte begins the empty stored block at
    // the end of a message. The sender removed the other four bytes of that block (RFC 7692 section 7.2.1).
    let mut payload = [0x03, 0x00].repeat(BLOCKS.into());
    payload.push(0);
    let mut frame = vec![0xC2, 126];
    frame.extend((2 * BLOCKS + 1).to_be_bytes());
    frame.extend(payload);
    for halves in [false, true] {
        // A block costs 2 KiB of the budget of 256 KiB, so a turn inflates 128 blocks.
        let turns = turns_of_a_message(&frame, halves);
        assert!((usize::from(BLOCKS) / 128..usize::from(BLOCKS) / 100).contains(&turns), "{halves}: {turns}");
    }
}

/// Each message has at least one block. A block uses up a part of the budget even if it inflates to little data.
#[cfg(feature = "deflate")]
#[test]
fn s7692_a_turn_is_bounded_by_the_blocks_of_small_compressed_messages() {
    let payload = [0xAA, 0x00, 0x00]; // "x"
    let frame = [&[0xC2, 3][..], &payload].concat();
    let stream = Flood { frames: Arc::new(frame.repeat(1000)), at: 0, counts: Arc::default() };
    let connection =
        connection(Role::Client, Config::new()).with_deflate(hybi::handshake::DeflateParams::default());
    let mut ws = WebSocket::from_parts(stream, CountingClock::default(), connection, Inbox::empty());
    let received = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&received);
    let mut task = pin!(async move {
        while let Some(message) = ws.recv().await.unwrap() {
            assert_eq!(message.as_bytes(), b"x");
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    for _ in 0..100 {
        let before = received.load(Ordering::Relaxed);
        assert!(task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let messages = received.load(Ordering::Relaxed) - before;
        assert!((100..=130).contains(&messages), "{messages} messages in a turn");
    }
}

/// Even if 100 connections have endless input, another connection does not wait until each of them had a turn. In each
/// round only a few connections have a turn, in the order of a queue.
#[test]
fn s5_5_2_only_a_few_connections_with_endless_input_progress_in_each_round() {
    // In each round a sixteenth of the waiting connections have a turn, but never fewer than four.
    for (floods, turns) in [(1, 1), (4, 4), (20, 4), (100, 6)] {
        for halves in [false, true] {
            let counts: Vec<_> = (0..floods).map(|_| Arc::<Mutex<Counts>>::default()).collect();
            let frames = Arc::new(b"\x89\x00".repeat(1000));
            let mut tasks: Vec<Pin<Box<dyn Future<Output = ()>>>> = Vec::new();
            for counts in &counts {
                let stream = Flood { frames: Arc::clone(&frames), at: 0, counts: Arc::clone(counts) };
                let connection = connection(Role::Client, Config::new());
                let mut ws =
                    WebSocket::from_parts(stream, CountingClock::default(), connection, Inbox::empty());
                if halves {
                    let (mut reader, writer) = ws.split();
                    tasks.push(Box::pin(async move {
                        while reader.recv().await.unwrap().is_some() {}
                        drop(writer);
                    }));
                } else {
                    tasks.push(Box::pin(async move { while ws.recv().await.unwrap().is_some() {} }));
                }
            }
            let woken = Arc::new(Woken::default());
            let waker: Waker = Arc::clone(&woken).into();
            for round in 0..80 {
                woken.0.store(0, Ordering::Relaxed);
                let mut began = 0;
                for (task, counts) in tasks.iter_mut().zip(&counts) {
                    let before = counts.lock().unwrap().written;
                    assert!(task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
                    began += usize::from(counts.lock().unwrap().written > before);
                }
                assert!(woken.0.load(Ordering::Relaxed) >= floods, "a task has not woken itself");
                // Connections of earlier iterations were dropped, but their positions are still in the queue of this
                // thread. These positions use up the first rounds, so the first rounds are not checked.
                if round > 40 {
                    assert!((1..=turns).contains(&began), "{began} of {floods}, halves: {halves}");
                }
            }
            for counts in &counts {
                assert!(counts.lock().unwrap().read > 0);
            }
        }
    }
}
