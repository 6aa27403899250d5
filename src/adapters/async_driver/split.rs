//! The state that the two halves of a split WebSocket share.
//!
//! [`Shared`] holds the stream and the [`Sender`] with its queue and timers, under a [`SharedLock`]. Beside the lock
//! are two places where a half leaves something without taking it: replies of the reader, and one message of a sink.
//!
//! Not here: the loops of the halves (`reader`, `writer`), and the wakers (`shared_lock`).
//!
//! Invariants:
//! - Each poll under the lock first applies the stored replies and queues the message that was handed over. So a reply
//!   is late by one poll at most.
//! - The reader is woken when the writer has changed something that the reader must act on: bytes that were read ahead,
//!   the state of closing, or an earlier deadline.

use std::prelude::v1::*;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::shared_lock::{SharedLock, Side};
use super::write_driver::WriteDriver;
use super::{Timer, Transport, buffer_pool};
use crate::CloseState;
use crate::adapters::error::Error;
use crate::adapters::lock::lock;
use crate::adapters::pending_replies::PendingReplies;
use crate::adapters::sync::Mutex;
use crate::{Instant, Message, Outbox, SendError, Sender};

/// The shared state of the two halves.
#[derive(Debug)]
pub(super) struct Shared<S, R> {
    /// Replies to the peer that the reader has stored.
    pub(super) pending: PendingReplies,
    /// A message that [`Sink::start_send`](futures_sink::Sink::start_send) accepted while the other half held the lock.
    /// The task that holds the lock next queues it.
    pub(super) handed_over: Mutex<Option<Message>>,
    pub(super) out: SharedLock<Out<S, R>>,
}

/// The stream and the sending state, used by one half at a time.
#[derive(Debug)]
pub(super) struct Out<S, R> {
    pub(super) stream: S,
    pub(super) wire: WriteDriver<R>,
    pub(super) sender: Sender<Outbox>,
    /// Whether a message that was handed over was refused because closing had begun. The next flush reports it.
    refused: bool,
}

impl<S, R> Out<S, R> {
    /// Returns the next deadline of the timers, and the one for releasing the inflate window. They are separate because
    /// the reader waits for the second one only while it holds a window.
    fn deadlines(&self) -> [Option<Instant>; 2] {
        #[cfg(feature = "deflate")]
        let release = self.sender.release_at();
        #[cfg(not(feature = "deflate"))]
        let release = None;
        [self.sender.poll_timeout(), release]
    }
}

impl<S, R> Shared<S, R> {
    pub(super) fn new(stream: S, wire: WriteDriver<R>, sender: Sender<Outbox>) -> Arc<Self> {
        let pending = PendingReplies::new(&sender);
        let out = SharedLock::new(Out { stream, wire, sender, refused: false });
        Arc::new(Self { pending, handed_over: Mutex::new(None), out })
    }
}

impl<S, R: Timer> Shared<S, R> {
    /// Reads the clock, queues a message that was handed over, and applies the stored replies.
    pub(super) fn apply(&self, out: &mut Out<S, R>) {
        let now = out.wire.tick();
        self.apply_at(out, now);
    }

    /// Queues a message that was handed over, and applies the stored replies, at the time `now`.
    pub(super) fn apply_at(&self, out: &mut Out<S, R>, now: Instant) {
        // Before the replies: a message that was accepted goes out before the answer to a Close.
        let message = lock(&self.handed_over).take();
        if let Some(message) = message {
            buffer_pool::lend_outbox(&mut out.sender);
            // `poll_ready` found room, and only the writer sends messages. So a refusal means that closing has begun.
            out.refused |= out.sender.send(message).is_err();
        }
        self.pending.apply(&mut out.sender, now);
    }
}

impl<S, R: Transport<S>> Shared<S, R> {
    /// Calls `send` under the lock, and writes the queue while it is full; see [`WriteDriver::poll_feed`].
    pub(super) fn poll_feed(
        &self,
        cx: &mut Context<'_>,
        mut send: impl FnMut(&mut Sender<Outbox>, Instant) -> Result<(), SendError>,
    ) -> Poll<Result<(), Error>> {
        self.poll_out(cx, |Out { stream, wire, sender, .. }, cx| {
            let now = wire.now();
            let fed = wire.poll_feed(stream, sender, cx, |sender| send(sender, now));
            if let Poll::Ready(Err(_)) = fed {
                // The answer to a Close may be queued, and the reader may be gone. So it is written before the error
                // returns.
                let _ = wire.poll_write(stream, sender, cx);
            }
            fed
        })
    }

    /// Calls `send` without waiting. Returns `None` if the other half holds the lock.
    pub(super) fn try_feed(
        &self,
        send: impl FnOnce(&mut Sender<Outbox>) -> Result<(), SendError>,
    ) -> Option<Result<(), SendError>> {
        self.out.peek(Side::Writer, |out| {
            self.apply(out);
            buffer_pool::lend_outbox(&mut out.sender);
            send(&mut out.sender)
        })
    }

    /// Writes the whole write queue under the lock; see [`WriteDriver::poll_flush`].
    pub(super) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_out(cx, |Out { stream, wire, sender, refused }, cx| {
            let flushed = ready!(wire.poll_flush(stream, sender, cx));
            let refused = core::mem::take(refused);
            Poll::Ready(if refused { flushed.and(Err(SendError::Closed.into())) } else { flushed })
        })
    }

    /// Calls `poll` under the lock for the writer, half-closes the stream if that is due, and wakes the reader if it
    /// must act.
    fn poll_out<T>(
        &self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Out<S, R>, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.out.poll(Side::Writer, cx, |out, cx, wake_other| {
            let (before, deadlines, ahead) =
                (out.sender.close_state(), out.deadlines(), out.wire.read_ahead_len());
            self.apply(out);
            let polled = poll(out, cx);
            out.wire.poll_half_close(&mut out.stream, &mut out.sender, cx);
            let after = out.sender.close_state();
            // The reader must act on input that was read ahead, on an end, and on a deadline before the one it waits
            // for.
            let mut both = out.deadlines().into_iter().zip(deadlines);
            let sooner =
                both.any(|(now, before)| now.is_some_and(|at| before.is_none_or(|before| at < before)));
            *wake_other =
                out.wire.read_ahead_len() > ahead || after != before || after == CloseState::Ended || sooner;
            polled
        })
    }
}
