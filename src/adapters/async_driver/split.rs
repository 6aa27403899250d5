//! The state that the two halves of a split WebSocket share.
//!
//! [`Shared`] holds the stream and the [`Sender`] with its queue and timers, under a [`SharedLock`]. Beside the lock
//! are two places where a half leaves something without taking it: replies of the reader, and messages of calls that never
//! wait.
//!
//! Not here: the loops of the halves (`reader`, `writer`), and the wakers (`shared_lock`).
//!
//! Invariants:
//! - Each poll under the lock first queues the messages that wait for the lock, and applies the stored replies. So a
//!   reply is late by one poll at most.
//! - The reader is woken when the writer has changed something that the reader must act on: bytes that were read ahead,
//!   the state of closing, or an earlier deadline.

use std::io;
use std::prelude::v1::*;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::shared_lock::{SharedLock, Side};
use super::write_driver::WriteDriver;
use super::{Timer, Transport, buffer_pool};
use crate::CloseState;
use crate::adapters::error::Error;
use crate::adapters::pending_replies::PendingReplies;
use crate::adapters::waiting_messages::{SenderStatus, WaitingMessages};
use crate::{Instant, Message, Outbox, SendError, Sender, UnsentMessage};

/// The shared state of the two halves.
#[derive(Debug)]
pub(super) struct Shared<S, R> {
    /// Replies to the peer that the reader has stored.
    pub(super) pending: PendingReplies,
    /// Messages that were accepted while the other half held the lock.
    messages: WaitingMessages,
    /// The state of the sender when the lock was released last.
    pub(super) status: SenderStatus,
    out: SharedLock<Out<S, R>>,
}

/// The stream and the sending state, used by one half at a time.
#[derive(Debug)]
pub(super) struct Out<S, R> {
    pub(super) stream: S,
    pub(super) wire: WriteDriver<R>,
    pub(super) sender: Sender<Outbox>,
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
        let (messages, status) = (WaitingMessages::new(), SenderStatus::new(&sender));
        let out = SharedLock::new(Out { stream, wire, sender });
        Arc::new(Self { pending, messages, status, out })
    }

    /// Wakes the task of `side`, if it waits.
    pub(super) fn wake(&self, side: Side) {
        self.out.wake(side);
    }

    /// Returns how many bytes are queued, or wait for the lock of the queue.
    pub(super) fn buffered_amount(&self) -> usize {
        self.status.buffered_amount().saturating_add(self.messages.bytes())
    }
}

impl<S, R: Timer> Shared<S, R> {
    /// Reads the clock, queues the messages that wait for the lock, and applies the stored replies.
    pub(super) fn apply(&self, out: &mut Out<S, R>) {
        let now = out.wire.clock().tick();
        self.apply_at(out, now);
    }

    /// Queues the messages that wait for the lock, and applies the stored replies, at the time `now`.
    fn apply_at(&self, out: &mut Out<S, R>, now: Instant) {
        // Before the replies: a message that was accepted goes out before the answer to a Close.
        self.apply_messages(&mut out.sender);
        self.pending.apply(&mut out.sender, now);
    }

    /// Queues messages that wait for the lock. Returns whether it did.
    fn apply_messages(&self, sender: &mut Sender<Outbox>) -> bool {
        if self.messages.is_empty() {
            return false;
        }
        buffer_pool::lend_outbox(sender);
        self.messages.apply(sender)
    }

    /// Applies the stored replies if the lock is free, without reading the clock if it was read since the last input.
    pub(super) fn try_apply(&self) {
        self.out.peek(Side::Reader, |out| {
            let now = out.wire.clock().tick_if_stale();
            self.apply_at(out, now);
            self.status.update(&out.sender);
        });
    }
}

impl<S, R: Transport<S>> Shared<S, R> {
    /// Calls `send` under the lock, and writes the queue while it is full; see [`WriteDriver::poll_feed`].
    pub(super) fn poll_feed(
        &self,
        cx: &mut Context<'_>,
        mut send: impl FnMut(&mut Sender<Outbox>, Instant) -> Result<(), SendError>,
    ) -> Poll<Result<(), Error>> {
        self.poll_out(cx, |Out { stream, wire, sender }, cx| {
            let now = wire.clock().now();
            let fed = wire.poll_feed(stream, sender, cx, |sender| {
                // A message that was accepted before is sent before.
                self.apply_messages(sender);
                if self.messages.need_room() { Err(SendError::Blocked) } else { send(sender, now) }
            });
            if let Poll::Ready(Err(_)) = fed {
                // The answer to a Close may be queued, and the reader may be gone. So it is written before the error
                // returns.
                let _ = wire.poll_write(stream, sender, cx);
            }
            fed
        })
    }

    /// Queues a message without waiting. If the other half holds the lock, it queues the message when it takes the lock
    /// the next time, at the latest after a wakeup.
    pub(super) fn try_feed(&self, message: Message) -> Result<(), UnsentMessage> {
        self.try_out(message, |out, message, _| {
            if self.messages.need_room() {
                return Err(UnsentMessage { error: SendError::Blocked, message });
            }
            buffer_pool::lend_outbox(&mut out.sender);
            out.sender.send(message)
        })
    }

    /// Queues a message without waiting, and writes as much as the stream takes now. Writes first if the queue is full.
    pub(super) fn try_send(&self, message: Message) -> Result<(), UnsentMessage> {
        self.try_out(message, |out, message, cx| {
            if self.messages.need_room() {
                // The driver keeps the error of a write, and returns it with the next write.
                let _ = self.poll_write(out, cx);
                if self.messages.need_room() && !out.wire.has_failed() {
                    return Err(UnsentMessage { error: SendError::Blocked, message });
                }
            }
            out.wire.try_feed(&mut out.stream, &mut out.sender, cx, message)?;
            let _ = self.poll_write(out, cx);
            Ok(())
        })
    }

    /// Calls `send` under the lock if the lock is free. Otherwise keeps the message for the task that holds the lock.
    fn try_out(
        &self,
        message: Message,
        send: impl FnOnce(&mut Out<S, R>, Message, &mut Context<'_>) -> Result<(), UnsentMessage>,
    ) -> Result<(), UnsentMessage> {
        let mut waiting = Some(message);
        let sent = self.out.try_poll(Side::Writer, |out, cx, wake_other| {
            self.run(out, cx, wake_other, |out, cx| {
                waiting.take().map_or(Ok(()), |message| send(out, message, cx))
            })
        });
        let (None, Some(message)) = (&sent, waiting) else { return sent.unwrap_or(Ok(())) };
        self.messages.push(message)?;
        self.out.wake(Side::Reader);
        Ok(())
    }

    /// Writes the whole write queue and the messages that wait for room in it, and flushes the stream.
    pub(super) fn poll_write(&self, out: &mut Out<S, R>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let written = ready!(out.wire.poll_write(&mut out.stream, &mut out.sender, cx));
            if written.is_err() || !self.apply_messages(&mut out.sender) {
                return Poll::Ready(written);
            }
        }
    }

    /// Writes the whole write queue under the lock; see [`WriteDriver::poll_flush`].
    pub(super) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_out(cx, |Out { stream, wire, sender }, cx| {
            loop {
                let flushed = ready!(wire.poll_flush(stream, sender, cx));
                if flushed.is_ok() && self.apply_messages(sender) {
                    continue;
                }
                let refused = self.messages.take_refused();
                return Poll::Ready(if refused {
                    flushed.and(Err(SendError::Closed.into()))
                } else {
                    flushed
                });
            }
        })
    }

    /// Calls `poll` under the lock for the reader. `poll` sets its last argument to have the writer woken.
    #[inline]
    pub(super) fn poll_reader<T>(
        &self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Out<S, R>, &mut Context<'_>, &mut bool) -> Poll<T>,
    ) -> Poll<T> {
        self.out.poll(Side::Reader, cx, |out, cx, wake_other| {
            let polled = poll(out, cx, wake_other);
            self.status.update(&out.sender);
            polled
        })
    }

    /// Calls `poll` under the lock for the writer, half-closes the stream if that is due, and wakes the reader if it
    /// must act.
    fn poll_out<T>(
        &self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Out<S, R>, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.out.poll(Side::Writer, cx, |out, cx, wake_other| self.run(out, cx, wake_other, &mut poll))
    }

    /// Calls `poll` for the writer, which holds the lock.
    fn run<T>(
        &self,
        out: &mut Out<S, R>,
        cx: &mut Context<'_>,
        wake_other: &mut bool,
        poll: impl FnOnce(&mut Out<S, R>, &mut Context<'_>) -> T,
    ) -> T {
        let (before, deadlines, ahead) =
            (out.sender.close_state(), out.deadlines(), out.wire.read_ahead_len());
        self.apply(out);
        let polled = poll(out, cx);
        out.wire.poll_half_close(&mut out.stream, &mut out.sender, cx);
        let after = out.sender.close_state();
        // The reader must act on input that was read ahead, on an end, and on a deadline before the one it waits
        // for.
        let mut both = out.deadlines().into_iter().zip(deadlines);
        let sooner = both.any(|(now, before)| now.is_some_and(|at| before.is_none_or(|before| at < before)));
        *wake_other =
            out.wire.read_ahead_len() > ahead || after != before || after == CloseState::Ended || sooner;
        self.status.update(&out.sender);
        polled
    }
}
