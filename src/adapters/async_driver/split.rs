//! The state that the two halves of a split WebSocket share.
//!
//! [`Shared`] contains the stream and the [`Sender`], which has the write queue and the timers. Both are under a
//! [`SharedLock`]. Two more fields can be used without this lock: the replies of the reader ([`PendingReplies`]), and
//! the messages of calls that never wait ([`WaitingMessages`]).
//!
//! The loops of the halves are in `reader` and `writer`, and the wakers are in `shared_lock`.
//!
//! Invariants:
//! - Each poll under the lock first queues the waiting messages, and then applies the stored replies. The only
//!   exception is a poll of the reader that reads input. So a reply waits at most until a read is pending, the turn of
//!   the reader is over, the input ends, or the writer polls.
//! - If a message is stored while a half holds the lock, that half writes the message after it has released the lock
//!   ([`Shared::write_stored`]). So the message is written even if the reader is not polled again.
//! - The writer wakes the reader after a change that the reader must act on. Such a change is input that was read
//!   ahead, a new close state, or an earlier deadline.

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
use crate::{CloseCode, Instant, Message, Outbox, SendError, Sender, UnsentMessage};

/// Maximum number of times that a poll writes messages which were stored during the previous write.
const MAX_STORED_WRITES: u32 = 2;

/// The shared state of the two halves.
#[derive(Debug)]
pub(super) struct Shared<S, R> {
    /// Replies to the peer that the reader has stored.
    pub(super) pending: PendingReplies,
    /// Messages that wait because the other half held the lock when they were sent.
    messages: WaitingMessages,
    /// A copy of the state of the sender, from the last release of the lock.
    pub(super) status: SenderStatus,
    out: SharedLock<Out<S, R>>,
}

/// The stream and the sending side of the connection. The half that has the lock uses them.
#[derive(Debug)]
pub(super) struct Out<S, R> {
    pub(super) stream: S,
    pub(super) wire: WriteDriver<R>,
    pub(super) sender: Sender<Outbox>,
}

impl<S, R> Out<S, R> {
    /// Returns the next deadline of the timers, and the deadline for freeing the inflate window. The reader waits for
    /// the second deadline only while it has an inflate window.
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

    /// Wakes the task of `side` if it waits.
    pub(super) fn wake(&self, side: Side) {
        self.out.wake(side);
    }

    /// Returns the number of bytes in the write queue and in waiting messages.
    pub(super) fn buffered_amount(&self) -> usize {
        self.status.buffered_amount().saturating_add(self.messages.bytes())
    }
}

impl<S, R: Timer> Shared<S, R> {
    /// Reads the clock, queues the waiting messages, and applies the stored replies.
    pub(super) fn apply(&self, out: &mut Out<S, R>) {
        let now = out.wire.clock().read_clock();
        self.apply_at(out, now);
    }

    /// Queues the waiting messages, and applies the stored replies. `now` is the current time.
    fn apply_at(&self, out: &mut Out<S, R>, now: Instant) {
        if self.pending.decoded_all() {
            out.wire.decoded_all();
        }
        // The messages come first, because nothing can be sent after the answer to a Close.
        self.apply_messages(&mut out.sender, self.messages.mark());
        self.pending.apply(&mut out.sender, now, || now);
    }

    /// Queues the waiting messages that were stored before `mark`; see [`WaitingMessages::mark`]. Returns whether any
    /// message was queued.
    fn apply_messages(&self, sender: &mut Sender<Outbox>, mark: u64) -> bool {
        if self.messages.is_empty() {
            return false;
        }
        buffer_pool::reuse_queue_memory(sender);
        self.messages.apply(sender, mark)
    }

    /// Queues the waiting messages and a Close. The write queue always accepts them.
    #[cold]
    pub(super) fn close(
        &self,
        out: &mut Out<S, R>,
        code: Option<CloseCode>,
        reason: &str,
    ) -> Result<(), SendError> {
        buffer_pool::reuse_queue_memory(&mut out.sender);
        let now = out.wire.clock().now();
        let closed = self.messages.send_all_and_close(&mut out.sender, now, code, reason);
        // From now on no message may be stored, because it would be lost.
        self.status.update(&out.sender);
        closed
    }
}

impl<S, R: Transport<S>> Shared<S, R> {
    /// Applies the stored replies if the lock is free. Reads the clock only if input has arrived since the last reading
    /// of the clock.
    pub(super) fn try_apply(&self) {
        self.out.try_lock_with(Side::Reader, |out| {
            let now = out.wire.clock().read_clock_if_stale();
            self.apply_at(out, now);
            self.status.update(&out.sender);
        });
        if self.messages.came_meanwhile() {
            self.write_stored(Side::Reader);
        }
    }

    /// Queues a frame ("feeds") with `send`, under the lock. While the queue is full, writes the queue and calls `send`
    /// again; see [`WriteDriver::poll_feed`].
    pub(super) fn poll_feed(
        &self,
        cx: &mut Context<'_>,
        mut send: impl FnMut(&mut Sender<Outbox>, Instant) -> Result<(), SendError>,
    ) -> Poll<Result<(), Error>> {
        // Stored messages were sent before this frame. If the queue has no space for them, this frame must wait too.
        let in_order = |sender: &mut Sender<Outbox>, now| {
            if self.messages.need_space(u64::MAX) { Err(SendError::Blocked) } else { send(sender, now) }
        };
        self.poll_feed_control(cx, in_order)
    }

    /// Queues a Ping or Pong like [`Self::poll_feed`], without waiting for stored messages. Pings and Pongs overtake
    /// messages anyway.
    pub(super) fn poll_feed_control(
        &self,
        cx: &mut Context<'_>,
        mut send: impl FnMut(&mut Sender<Outbox>, Instant) -> Result<(), SendError>,
    ) -> Poll<Result<(), Error>> {
        self.poll_out(cx, |Out { stream, wire, sender }, cx| {
            let now = wire.clock().now();
            let fed = wire.poll_feed(stream, sender, cx, |sender| {
                self.apply_messages(sender, u64::MAX);
                send(sender, now)
            });
            if let Poll::Ready(Err(_)) = fed {
                // The answer to a Close may be in the queue, and the reader may have been dropped. So the queue is
                // written before the error is returned.
                let _ = wire.poll_write(stream, sender, cx);
            }
            fed
        })
    }

    /// Queues the waiting messages and a Close under the lock.
    pub(super) fn poll_close(
        &self,
        cx: &mut Context<'_>,
        code: Option<CloseCode>,
        reason: &str,
    ) -> Poll<Result<(), SendError>> {
        self.poll_out(cx, |out, cx| {
            let closed = self.close(out, code, reason);
            if closed.is_err() {
                // The answer to a Close may be in the queue, and the reader may have been dropped. So the queue is
                // written before the error is returned.
                let _ = self.poll_write(out, cx);
            }
            Poll::Ready(closed)
        })
    }

    /// Queues a message ("feeds" it) without waiting and without writing. If the other half holds the lock, the message
    /// is stored, and [`Self::write_stored`] writes it: in this call if the lock is free by then, or in the other half
    /// after that half has released the lock.
    pub(super) fn try_feed(&self, message: Message) -> Result<(), UnsentMessage> {
        self.try_out(message, |out, message, _| {
            if self.messages.need_space(u64::MAX) {
                return Err(UnsentMessage { error: SendError::Blocked, message });
            }
            buffer_pool::reuse_queue_memory(&mut out.sender);
            out.sender.send(message)
        })
    }

    /// Queues a message without waiting, and writes as much as the stream takes now. If the queue is full, writes
    /// before it queues the message.
    pub(super) fn try_send(&self, message: Message) -> Result<(), UnsentMessage> {
        self.try_out(message, |out, message, cx| {
            if self.messages.need_space(u64::MAX) {
                // The driver stores an error of this write. The next write returns it.
                let _ = self.poll_write(out, cx);
                if self.messages.need_space(u64::MAX) && !out.wire.has_failed() {
                    return Err(UnsentMessage { error: SendError::Blocked, message });
                }
            }
            let sent = out.wire.try_queue(&mut out.stream, &mut out.sender, cx, message);
            // A reply of the reader, such as the answer to a Close, is written even if the message is refused. If the
            // message is refused because the queue is full, the call has already written.
            if !sent.as_ref().is_err_and(|refused| refused.error == SendError::Blocked) {
                let _ = self.poll_write(out, cx);
            }
            sent
        })
    }

    /// Calls `send` under the lock if the lock is free. Otherwise stores the message for the task that holds the lock.
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
        self.messages.push(message, &self.status)?;
        self.write_stored(Side::Writer);
        Ok(())
    }

    /// Writes the messages that were stored while the task of `side` held the lock, or while it tried to take the lock.
    /// The reader may never be polled again, so this call itself writes the messages.
    #[cold]
    fn write_stored(&self, side: Side) {
        for _ in 0..MAX_STORED_WRITES {
            if !self.messages.came_meanwhile() {
                return;
            }
            let written = self.out.try_poll(side, |out, cx, wake_other| {
                let mut wake_reader = false;
                // The driver stores an error of this write. The next write returns it.
                let _ = self.run(out, cx, &mut wake_reader, |out, cx| self.poll_write(out, cx));
                *wake_other = side == Side::Reader || wake_reader;
            });
            if written.is_none() {
                // The other half holds the lock. That half calls this method after it has released the lock.
                return;
            }
            if side == Side::Reader {
                // The reader may already have looked at its deadline, which this write can change. So the reader must
                // look again.
                self.out.wake(Side::Reader);
            }
        }
        // After all rounds, the writer may have stored further messages from another thread. These messages are written
        // when the reader is polled.
        self.out.wake(Side::Reader);
    }

    /// Writes the whole write queue and the messages that wait now, and flushes the stream. Messages that are stored
    /// during this call are written by [`Self::write_stored`], after this half has released the lock. So a writer in
    /// another thread that stores messages without end does not keep this task busy.
    pub(super) fn poll_write(&self, out: &mut Out<S, R>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mark = self.messages.mark();
        loop {
            let written = ready!(out.wire.poll_write(&mut out.stream, &mut out.sender, cx));
            if written.is_err() || !self.apply_messages(&mut out.sender, mark) {
                return Poll::Ready(written);
            }
        }
    }

    /// Writes the whole write queue and the waiting messages under the lock; see [`WriteDriver::poll_flush`].
    pub(super) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_out(cx, |Out { stream, wire, sender }, cx| {
            loop {
                let flushed = ready!(wire.poll_flush(stream, sender, cx));
                // No message is stored during this loop: only the writer stores messages, and the writer is in this
                // call.
                if flushed.is_ok() && self.apply_messages(sender, u64::MAX) {
                    continue;
                }
                let refused = self.messages.has_lost_messages();
                return Poll::Ready(if refused {
                    flushed.and(Err(SendError::Closed.into()))
                } else {
                    flushed
                });
            }
        })
    }

    /// Calls `poll` under the lock for the reader. If `poll` sets its last argument to true, the writer is woken.
    #[inline]
    pub(super) fn poll_reader<T>(
        &self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Out<S, R>, &mut Context<'_>, &mut bool) -> Poll<T>,
    ) -> Poll<T> {
        let polled = self.out.poll(Side::Reader, cx, |out, cx, wake_other| {
            let polled = poll(out, cx, wake_other);
            self.status.update(&out.sender);
            polled
        });
        if self.messages.came_meanwhile() {
            self.write_stored(Side::Reader);
        }
        polled
    }

    /// Calls `poll` under the lock for the writer. Then half-closes the stream if the connection asks for it, and wakes
    /// the reader if the reader must act. During this call no message is stored, because only the writer stores
    /// messages, and the writer makes this call.
    fn poll_out<T>(
        &self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Out<S, R>, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.out.poll(Side::Writer, cx, |out, cx, wake_other| self.run(out, cx, wake_other, &mut poll))
    }

    /// Calls `poll` for the half that holds the lock, as [`Self::poll_out`] describes for the writer.
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
        // The reader must act on input that was read ahead, on a changed close state, and on the end. It must also act
        // on a deadline that is earlier than its current deadline.
        let mut both = out.deadlines().into_iter().zip(deadlines);
        let sooner = both.any(|(now, before)| now.is_some_and(|at| before.is_none_or(|before| at < before)));
        *wake_other =
            out.wire.read_ahead_len() > ahead || after != before || after == CloseState::Ended || sooner;
        self.status.update(&out.sender);
        polled
    }
}
