//! The receiving half of a split WebSocket.
//!
//! [`Reader`] owns the [`Receiver`] and the inbox, so it decodes messages without a lock. The two halves share the
//! stream, the [`WriteDriver`](super::write_driver::WriteDriver) and the [`Sender`](crate::Sender) under the lock in
//! [`Shared`]. The reader reads, writes the replies to Pings and Closes, and runs the timers.
//!
//! A turn is the work of the task until it yields or all input is decoded. One turn contains many calls of
//! `poll_read_or_drive`, and `turn` limits its length. The lock and its wakers are in `shared_lock`. `pending_replies`
//! stores the replies until a task takes the lock.
//!
//! The handling of the end of the input has three states ([`End`]):
//!
//! ```text
//!        end of stream, or read error            queue written, or failed
//!   No ------------------------------> Seen ---------------------------> Handled
//! ```
//!
//! Invariants:
//! - The reader stores replies while it decodes. They are queued before the reader waits or yields, or when the writer
//!   takes the lock.
//! - If a read is pending, the reader keeps the lock until it waits. If the reader released the lock earlier, the
//!   writer could read the next input ahead. A stream stores a waker only for its last read, and only if that read is
//!   pending. So after the writer's read the stream would hold no waker, and later input would wake no task.
//! - All state is in `Inner`, not in a future. So dropping a future loses no event.

mod parts;

use core::pin::Pin;
use std::future::poll_fn;
use std::io;
use std::prelude::v1::*;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use futures_core::{FusedStream, Stream};

use parts::{ReaderParts, Turned};

use super::Transport;
use super::buffer_pool::InboxSlot;
use super::group::Membership;
use super::shared_lock::Side;
use super::split::Shared;
use super::turn::{MAX_INFLATED, Next, Turn};
use crate::CloseState;
use crate::adapters::error::{Error, end_of_messages};
use crate::{
    CloseFrame, Event, EventIndex, Message, MessageIndex, Outcome, PendingReply, ProtocolError, Receiver,
    SendError,
};

/// The receiving half of a WebSocket, made by [`WebSocket::split`](super::WebSocket::split), for one task.
///
/// The `Reader` answers Pings and Closes and runs the timers. So its task must call methods that receive, one after the
/// other, until the connection has ended. The `Reader` takes the shared lock once for each read, not once for each
/// message.
///
/// Before the `Reader` waits for input, it writes the whole write queue, including messages that the
/// [`Writer`](super::Writer) has only queued.
///
/// If the `Reader` is dropped, the `Writer` can still send. But then the peer's Pings are not answered, and the peer's
/// Close is not received.
#[derive(Debug)]
pub struct Reader<S, R> {
    inner: Box<Inner<S, R>>,
}

#[derive(Debug)]
struct Inner<S, R> {
    receiver: Receiver,
    inbox: InboxSlot,
    shared: Arc<Shared<S, R>>,
    outcome: Option<Outcome>,
    turn: Turn,
    /// Whether an abnormal end must be reported as an error. Becomes false when the error was returned.
    error_on_abnormal_end: bool,
    end: End,
    group: Membership,
}

/// The progress of handling the end of the input.
#[derive(Debug)]
enum End {
    /// The input has not ended.
    No,
    /// A read has returned the end or an error. After the end, the write queue is written before the connection ends.
    /// After an error, the queue is not written.
    Seen(Option<io::Error>),
    /// `Sender::handle_eof` was called.
    Handled,
}

impl<S, R> Reader<S, R> {
    pub(super) fn new(
        receiver: Receiver,
        inbox: InboxSlot,
        shared: Arc<Shared<S, R>>,
        outcome: Option<Outcome>,
        eof: bool,
        group: Membership,
    ) -> Self {
        let end = if eof { End::Seen(None) } else { End::No };
        let turn = Turn::new(receiver.counters());
        let error_on_abnormal_end = false;
        let inner = Inner { receiver, inbox, shared, outcome, turn, error_on_abnormal_end, end, group };
        Self { inner: Box::new(inner) }
    }

    /// Returns how the connection ended, or `None` until a call that receives has reached the end.
    #[must_use]
    pub const fn outcome(&self) -> Option<Outcome> {
        self.inner.outcome
    }

    /// Returns the Close that the peer sent, with its code and reason; see
    /// [`WebSocket::peer_close`](super::WebSocket::peer_close).
    #[must_use]
    pub fn peer_close(&self) -> Option<CloseFrame> {
        self.inner.receiver.peer_close()
    }

    /// Sets whether [`recv`](Self::recv) and the [`Stream`] report an abnormal end as [`Error::Ended`]. This is off by
    /// default; see [`WebSocket::error_on_abnormal_end`](super::WebSocket::error_on_abnormal_end).
    pub fn error_on_abnormal_end(&mut self, on: bool) {
        self.inner.error_on_abnormal_end = on;
    }
}

impl<S, R: Transport<S>> Reader<S, R> {
    /// Returns the next event, or `None` after [`Event::Closed`].
    ///
    /// The write queue is written before the call waits for input.
    ///
    /// # Errors
    ///
    /// After each error, further calls return the events that follow, up to [`Event::Closed`].
    ///
    /// * [`Error::Protocol`]: the peer broke the protocol. A Close with the code of the violation is queued. The call
    ///   writes this Close if the stream takes it at once. This error is returned once.
    /// * [`Error::Io`]: a read failed while the connection was open. This error is returned once. A failed write is
    ///   reported by the next call of the [`Writer`](super::Writer), not here.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, no event is lost. The next call continues.
    pub async fn next_event(&mut self) -> Result<Option<Event<'_>>, Error> {
        let inner = &mut *self.inner;
        // This loop repeats the code of `poll_recv`. If it awaited an inner future instead, the result of this future,
        // an `Event`, would be copied.
        while inner.outcome.is_none() {
            if inner.turn.is_over(inner.receiver.counters()) {
                match poll_fn(|cx| inner.poll_yield(cx)).await {
                    Some(Turned::Closed(outcome)) => return Ok(Some(Event::Closed(outcome))),
                    Some(_) => break,
                    None => {}
                }
            }
            if let Some(message) = inner.take_message() {
                return Ok(Some(inner.inbox.message(message)));
            }
            if let Some(ready) = inner.take_event()? {
                return Ok(Some(inner.inbox.event(ready)));
            }
            match poll_fn(|cx| inner.poll_read_or_drive(cx)).await? {
                Turned::Again => {}
                Turned::Closed(outcome) => return Ok(Some(Event::Closed(outcome))),
                Turned::Over => break,
            }
        }
        Ok(None)
    }

    /// Returns the next message, which owns its data, or `None` after the end. A large message is not copied.
    ///
    /// The write queue is written before the call waits for input.
    ///
    /// # Errors
    ///
    /// After [`Error::Protocol`] and [`Error::Io`], further calls return the messages that follow, and then `None`.
    ///
    /// * [`Error::Protocol`]: the peer broke the protocol. A Close with the code of the violation is queued. The call
    ///   writes this Close if the stream takes it at once. This error is returned once.
    /// * [`Error::Io`]: a read failed while the connection was open. This error is returned once. A failed write is
    ///   reported by the next call of the [`Writer`](super::Writer), not here.
    /// * [`Error::Ended`]: the messages ended without a Close from the peer, and
    ///   [`error_on_abnormal_end`](Self::error_on_abnormal_end) is on. This error is returned once.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, no message is lost. The next call continues.
    pub async fn recv(&mut self) -> Result<Option<Message>, Error> {
        poll_fn(|cx| self.inner.poll_recv(cx)).await
    }

    /// Reads until the connection has ended, and returns how it ended. Messages are discarded.
    ///
    /// The write queue is written before the call waits for input.
    ///
    /// # Errors
    ///
    /// After [`Error::Protocol`] and [`Error::Io`], call this method again. The further call continues to the end.
    ///
    /// * [`Error::Protocol`]: the peer broke the protocol. A Close with the code of the violation is queued. The call
    ///   writes this Close if the stream takes it at once. This error is returned once.
    /// * [`Error::Io`]: a read failed while the connection was open. This error is returned once. A failed write is
    ///   reported by the next call of the [`Writer`](super::Writer), not here.
    /// * [`Error::Send`] with [`SendError::Closed`]: the connection had already ended when the WebSocket was created
    ///   from it. The outcome was returned to an earlier owner of the connection.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the next call continues.
    pub async fn wait_closed(&mut self) -> Result<Outcome, Error> {
        loop {
            if let Some(outcome) = self.inner.outcome {
                return Ok(outcome);
            }
            if self.next_event().await?.is_none() && self.inner.outcome.is_none() {
                // The connection had ended before the WebSocket was created. Its outcome was reported to an earlier
                // owner.
                return Err(SendError::Closed.into());
            }
        }
    }
}

impl<S, R: Transport<S>> Inner<S, R> {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, Error>> {
        while self.outcome.is_none() {
            if self.turn.is_over(self.receiver.counters()) && ready!(self.poll_yield(cx)).is_some() {
                break;
            }
            let ready = match self.take_message() {
                Some(message) => Some(message.into()),
                None => self.take_event()?,
            };
            let Some(ready) = ready else {
                match ready!(self.poll_read_or_drive(cx))? {
                    Turned::Again => continue,
                    Turned::Closed(_) | Turned::Over => break,
                }
            };
            let message = self.inbox.get().take_message(ready);
            if message.is_some() {
                // The next call of the application may come late or never. So an empty inbox returns to the pool now.
                self.inbox.give_back_idle();
                return Poll::Ready(Ok(message));
            }
        }
        Poll::Ready(end_of_messages(self.outcome, &mut self.error_on_abnormal_end))
    }

    /// Returns a message that is completely in the inbox. This is the fast path: it takes no lock and does not read the
    /// clock.
    fn take_message(&mut self) -> Option<MessageIndex> {
        let inbox = self.inbox.get_if_present()?;
        let message = self.receiver.poll_message(inbox)?;
        self.shared.pending.received(true);
        if inbox.remaining() == 0 {
            self.shared.pending.set_decoded_all(true);
        }
        Some(message)
    }

    /// Decodes the next event, and stores the reply that the event needs.
    fn take_event(&mut self) -> Result<Option<EventIndex>, Error> {
        let polled = self.receiver.poll(self.inbox.get());
        if self.receiver.last_poll_had_data() {
            self.shared.pending.received(true);
        }
        let ready = polled.map_err(|error| self.handle_violation(error))?;
        if let Some(reply) = ready.and_then(|ready| self.inbox.get().reply(ready)) {
            self.store_reply(reply);
        }
        if self.inbox.get().remaining() == 0 {
            self.shared.pending.set_decoded_all(true);
        }
        Ok(ready)
    }

    /// Stores a reply. It is queued before the reader waits or yields, or when the writer takes the lock.
    fn store_reply(&self, reply: PendingReply) {
        self.shared.pending.owe(reply);
        if matches!(reply, PendingReply::RoundTrip(_)) {
            // The Pong must reach the sender, because only the sender knows which Pong it waits for. The store of
            // replies is bounded, so later Pongs could remove this Pong. Therefore apply the Pong now if the lock is
            // free. Applying a Pong is cheap: the clock is read once for each read of the stream, not for each Pong.
            self.shared.try_apply();
        }
        if matches!(reply, PendingReply::Close(_) | PendingReply::Failure(_)) {
            // A writer that waits because the queue is full must return: nothing more can be sent.
            self.shared.wake(Side::Writer);
        }
    }

    /// Fails the connection after a violation of the protocol, and writes as much of the Close as the stream takes now.
    /// Returns the error.
    fn handle_violation(&self, error: ProtocolError) -> Error {
        self.store_reply(error.into());
        let (shared, cx) = (&*self.shared, &mut Context::from_waker(Waker::noop()));
        let _ = shared.poll_reader(cx, |out, cx, _| {
            shared.apply(out);
            shared.poll_write(out, cx)
        });
        error.into()
    }

    /// Reads from the stream. If the read is pending, writes the queue, runs the timers that are due, and waits. The
    /// loop calls this function when all input in the inbox is decoded, many times in one turn.
    fn poll_read_or_drive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Turned, Error>> {
        match self.end {
            End::No => {}
            End::Seen(_) => return self.poll_end(cx),
            End::Handled => return self.poll_drive(cx, true).map(Ok),
        }
        if self.turn.has_read_enough(self.receiver.counters()) || self.receiver.must_poll_again() {
            return self.poll_yield(cx).map(|end| Ok(end.unwrap_or(Turned::Again)));
        }
        let must_close = self.group.must_close(cx);
        let Self { receiver, shared, inbox, turn, outcome, group, .. } = self;
        let mut parts = ReaderParts { receiver, inbox, outcome, group: must_close.then_some(group) };
        // If the read is pending, the lock is held until the task waits. Otherwise the writer could read the next input
        // ahead, and this task would not be woken for further input.
        let turned = shared.poll_reader(cx, |out, cx, wake_other| {
            let space = parts.receiver.read_space(parts.inbox.get());
            if let Poll::Ready(read) = out.wire.poll_read(&mut out.stream, cx, space) {
                out.wire.clock().bytes_came();
                shared.pending.set_decoded_all(false);
                return Poll::Ready(Err(read));
            }
            turn.renew(parts.receiver.counters());
            parts.receiver.set_inflate_budget(Some(MAX_INFLATED));
            parts.inbox.give_back();
            // All input is decoded, and the stream has no more.
            out.sender.handle_all_decoded();
            parts.poll_drive(shared, out, cx, wake_other, true).map(Ok)
        });
        let read = match ready!(turned) {
            Ok(turned) => return Poll::Ready(Ok(turned)),
            Err(read) => read,
        };
        self.turn.count_read();
        match read {
            Ok(0) => self.end = End::Seen(None),
            Ok(n) => {
                self.inbox.get().handle_read(n);
                self.shared.pending.received(false);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => self.end = End::Seen(Some(error)),
        }
        Poll::Ready(Ok(Turned::Again))
    }

    /// Ends a turn although there may be more to read, and yields to other tasks. Returns `Closed` or `Over` if the
    /// connection has ended.
    #[cold]
    #[inline(never)]
    fn poll_yield(&mut self, cx: &mut Context<'_>) -> Poll<Option<Turned>> {
        match self.turn.next() {
            Next::Begins => {
                self.turn.renew(self.receiver.counters());
                self.receiver.set_inflate_budget(Some(MAX_INFLATED));
                return Poll::Ready(None);
            }
            Next::Waits => {
                R::yield_turn(cx);
                return Poll::Pending;
            }
            Next::Yields => {}
        }
        if let Poll::Ready(end @ (Turned::Closed(_) | Turned::Over)) = self.poll_drive(cx, false) {
            return Poll::Ready(Some(end));
        }
        R::yield_turn(cx);
        Poll::Pending
    }

    /// Takes the lock, and calls [`ReaderParts::poll_drive`].
    fn poll_drive(&mut self, cx: &mut Context<'_>, has_read: bool) -> Poll<Turned> {
        let must_close = self.group.must_close(cx);
        let Self { receiver, shared, inbox, outcome, group, .. } = self;
        let mut parts = ReaderParts { receiver, inbox, outcome, group: must_close.then_some(group) };
        shared.poll_reader(cx, |out, cx, wake_other| parts.poll_drive(shared, out, cx, wake_other, has_read))
    }

    /// Writes the queue, and then handles the end of the input. After a read error the queue is not written.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<Turned, Error>> {
        let Self { receiver, shared, end, .. } = self;
        let failed = matches!(end, End::Seen(Some(_)));
        let before = ready!(shared.poll_reader(cx, |out, cx, wake_other| {
            shared.apply(out);
            if !failed {
                // Stop when the connection has ended. An ended connection has no deadline, so a flush of the stream
                // could be pending forever.
                while out.sender.close_state() != CloseState::Ended && shared.poll_write(out, cx).is_pending()
                {
                    out.sender.handle_peer_half_closed(out.wire.clock().now(), receiver.eof_position());
                    let now = ready!(out.wire.clock().poll_due(cx, out.sender.poll_timeout()));
                    out.sender.handle_timeout(now);
                }
            }
            let before = out.sender.close_state();
            out.sender.handle_eof(receiver.eof_position());
            *wake_other = true;
            Poll::Ready(before)
        }));
        match core::mem::replace(end, End::Handled) {
            // While the connection is closing, a read error counts as the end of the stream. If the peer closes the
            // stream without waiting for our bytes, our read fails.
            End::Seen(Some(error)) if before == CloseState::Open => Poll::Ready(Err(error.into())),
            _ => Poll::Ready(Ok(Turned::Again)),
        }
    }
}

impl<S, R: Transport<S>> Stream for Reader<S, R> {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.inner.poll_recv(cx).map(Result::transpose)
    }
}

impl<S, R: Transport<S>> FusedStream for Reader<S, R> {
    fn is_terminated(&self) -> bool {
        self.inner.outcome.is_some() && !self.inner.error_on_abnormal_end
    }
}
