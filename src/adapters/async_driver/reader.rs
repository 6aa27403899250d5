//! The half that receives.

use core::pin::Pin;
use std::future::poll_fn;
use std::io;
use std::prelude::v1::*;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use futures_core::{FusedStream, Stream};

use super::buffer_pool::Borrowed;
use super::group::Membership;
use super::shared_lock::Side;
use super::split::{Out, Shared};
use super::turn::{MOST_INFLATED, Next, Turn};
use super::{Transport, buffer_pool};
use crate::CloseState;
use crate::adapters::error::{Error, end_of_messages};
use crate::{
    CloseFrame, Event, EventIndex, Message, MessageIndex, Outcome, PendingReply, ProtocolError, Receiver,
    SendError,
};

/// The half that receives, of [`WebSocket::split`](super::WebSocket::split), for one task.
///
/// Messages are received without a lock, which is taken for each read and not for each message. It answers Pings and Closes and runs the timers, so it must be kept
/// in a call that receives. It never waits for the half that sends; what that has fed goes out when this one
/// waits for input. Dropped, it leaves a half that can still send, but nobody to answer a Ping or to see a
/// Close.
#[derive(Debug)]
pub struct Reader<S, R> {
    inner: Box<Inner<S, R>>,
}

#[derive(Debug)]
struct Inner<S, R> {
    receiver: Receiver,
    inbox: Borrowed,
    shared: Arc<Shared<S, R>>,
    outcome: Option<Outcome>,
    turn: Turn,
    /// An end that is not clean is still to be told as an error.
    error_on_abnormal_end: bool,
    end: End,
    group: Membership,
}

/// How far the end of the stream has come.
#[derive(Debug)]
enum End {
    No,
    /// It was read, and what is queued is still to be written.
    Seen(Option<io::Error>),
    Told,
}

impl<S, R> Reader<S, R> {
    pub(super) fn new(
        receiver: Receiver,
        inbox: Borrowed,
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

    /// How the connection ended, once it has.
    #[must_use]
    pub const fn outcome(&self) -> Option<Outcome> {
        self.inner.outcome
    }

    /// The Close that the peer sent, with its code and reason: see [`WebSocket::peer_close`](super::WebSocket::peer_close).
    #[must_use]
    pub fn peer_close(&self) -> Option<CloseFrame> {
        self.inner.receiver.peer_close()
    }

    /// Whether an end that is not clean is an error: see
    /// [`WebSocket::error_on_abnormal_end`](super::WebSocket::error_on_abnormal_end).
    pub fn error_on_abnormal_end(&mut self, on: bool) {
        self.inner.error_on_abnormal_end = on;
    }
}

impl<S, R: Transport<S>> Reader<S, R> {
    /// The next event; `None` after [`Event::Closed`].
    ///
    /// # Errors
    ///
    /// As [`WebSocket::next`](super::WebSocket::next).
    pub async fn next(&mut self) -> Result<Option<Event<'_>>, Error> {
        let inner = &mut *self.inner;
        // No future of its own gives the event, as in a whole WebSocket.
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
            match poll_fn(|cx| inner.poll_turn(cx)).await? {
                Turned::Again => {}
                Turned::Closed(outcome) => return Ok(Some(Event::Closed(outcome))),
                Turned::Over => break,
            }
        }
        Ok(None)
    }

    /// The next message, as one that owns its data; `None` after the end.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::next`](super::WebSocket::next).
    pub async fn recv(&mut self) -> Result<Option<Message>, Error> {
        poll_fn(|cx| self.inner.poll_recv(cx)).await
    }

    /// Reads on, passing over messages, until the connection has ended, and says how.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::next`](super::WebSocket::next).
    pub async fn wait_closed(&mut self) -> Result<Outcome, Error> {
        loop {
            if let Some(outcome) = self.inner.outcome {
                return Ok(outcome);
            }
            if self.next().await?.is_none() && self.inner.outcome.is_none() {
                // It had ended before it came here, which was told elsewhere.
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
                match ready!(self.poll_turn(cx))? {
                    Turned::Again => continue,
                    Turned::Closed(_) | Turned::Over => break,
                }
            };
            let message = self.inbox.get().take_message(ready);
            if message.is_some() {
                // Who knows when the next call comes.
                self.inbox.give_back_idle();
                return Poll::Ready(Ok(message));
            }
        }
        Poll::Ready(end_of_messages(self.outcome, &mut self.error_on_abnormal_end))
    }

    /// A message that has come in, the usual case.
    fn take_message(&mut self) -> Option<MessageIndex> {
        let message = self.receiver.poll_message(self.inbox.here()?)?;
        self.shared.pending.received(true);
        Some(message)
    }

    /// An event of what has come in.
    fn take_event(&mut self) -> Result<Option<EventIndex>, Error> {
        let polled = self.receiver.poll(self.inbox.get());
        if self.receiver.saw_data() {
            self.shared.pending.received(true);
        }
        let ready = polled.map_err(|error| self.violated(error))?;
        if let Some(owed) = ready.and_then(|ready| self.inbox.get().reply(ready)) {
            self.owe(owed);
        }
        Ok(ready)
    }

    /// Leaves what is owed for whoever sends next.
    fn owe(&self, owed: PendingReply) {
        self.shared.pending.owe(owed);
        if matches!(owed, PendingReply::RoundTrip(_)) {
            // Only the sender knows which Pong it waits for: others that come behind it must not push it off the desk.
            // By the time of the read that it came with: the clock is not read for each one.
            self.shared.out.peek(Side::Reader, |out| {
                let now = if out.wire.clock_is_stale() { out.wire.tick() } else { out.wire.now() };
                self.shared.settle_at(out, now);
            });
        }
        if matches!(owed, PendingReply::Close(_) | PendingReply::Failure(_)) {
            // Whoever waits to send will never.
            self.shared.out.wake(Side::Writer);
        }
    }

    /// The peer has broken the protocol, and is told as far as it can be now.
    fn violated(&self, error: ProtocolError) -> Error {
        self.owe(error.into());
        let (shared, cx) = (&*self.shared, &mut Context::from_waker(Waker::noop()));
        let _ = shared.out.poll(Side::Reader, cx, |out, cx, _| {
            shared.apply(out);
            out.wire.poll_write(&mut out.stream, &mut out.sender, cx)
        });
        error.into()
    }

    /// All input has been taken in: reads more. Where there is none, writes, does what is due, and waits.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Result<Turned, Error>> {
        match self.end {
            End::No => {}
            End::Seen(_) => return self.poll_end(cx),
            End::Told => return self.poll_drive(cx).map(Ok),
        }
        if self.turn.has_read_enough(self.receiver.counters()) || self.receiver.is_paused() {
            return self.poll_yield(cx).map(|end| Ok(end.unwrap_or(Turned::Again)));
        }
        let told = self.group.is_told(cx);
        let Self { receiver, shared, inbox, turn, outcome, group, .. } = self;
        let mut rest = Rest { receiver, inbox, outcome, group: told.then_some(group) };
        // Reading and what follows where there is nothing to read are one turn at the stream: in between, the other half
        // could take the turn, and nobody would wait for input.
        let turned = shared.out.poll(Side::Reader, cx, |out, cx, news| {
            let space = rest.receiver.read_space(rest.inbox.get());
            if let Poll::Ready(read) = out.wire.poll_read(&mut out.stream, cx, space) {
                out.wire.bytes_came();
                return Poll::Ready(Err(read));
            }
            turn.renew(rest.receiver.counters());
            rest.receiver.set_inflate_budget(Some(MOST_INFLATED));
            rest.inbox.give_back();
            rest.poll_drive(shared, out, cx, news).map(Ok)
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

    /// The turn is over though there may be more to read: other tasks have theirs. Gives the end, if it has come.
    #[cold]
    #[inline(never)]
    fn poll_yield(&mut self, cx: &mut Context<'_>) -> Poll<Option<Turned>> {
        match self.turn.next() {
            Next::Begins => {
                self.turn.renew(self.receiver.counters());
                self.receiver.set_inflate_budget(Some(MOST_INFLATED));
                return Poll::Ready(None);
            }
            Next::Waits => {
                R::yield_turn(cx);
                return Poll::Pending;
            }
            Next::Yields => {}
        }
        if let Poll::Ready(end @ (Turned::Closed(_) | Turned::Over)) = self.poll_drive(cx) {
            return Poll::Ready(Some(end));
        }
        R::yield_turn(cx);
        Poll::Pending
    }

    /// Writes, does what the transport needs, and waits for what is due.
    fn poll_drive(&mut self, cx: &mut Context<'_>) -> Poll<Turned> {
        let told = self.group.is_told(cx);
        let Self { receiver, shared, inbox, outcome, group, .. } = self;
        let mut rest = Rest { receiver, inbox, outcome, group: told.then_some(group) };
        shared.out.poll(Side::Reader, cx, |out, cx, news| rest.poll_drive(shared, out, cx, news))
    }

    /// The stream has ended. What was queued meanwhile goes out before.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<Turned, Error>> {
        let Self { receiver, shared, end, .. } = self;
        let failed = matches!(end, End::Seen(Some(_)));
        let before = ready!(shared.out.poll(Side::Reader, cx, |out, cx, news| {
            shared.apply(out);
            if !failed {
                // Once the connection has ended no deadline comes any more, and a flush of the stream may wait for ever.
                while out.sender.close_state() != CloseState::Ended
                    && out.wire.poll_write(&mut out.stream, &mut out.sender, cx).is_pending()
                {
                    out.sender.handle_input_ended(out.wire.now(), receiver.cut());
                    let now = ready!(out.wire.poll_due(cx, out.sender.poll_timeout()));
                    out.sender.handle_timeout(now);
                }
            }
            let before = out.sender.close_state();
            out.sender.handle_eof(receiver.cut());
            *news = true;
            Poll::Ready(before)
        }));
        match core::mem::replace(end, End::Told) {
            // At the end, a reset is as good an end as any.
            End::Seen(Some(error)) if before == CloseState::Open => Poll::Ready(Err(error.into())),
            _ => Poll::Ready(Ok(Turned::Again)),
        }
    }
}

/// What of the half that receives is needed at the stream.
struct Rest<'r> {
    receiver: &'r mut Receiver,
    inbox: &'r mut Borrowed,
    outcome: &'r mut Option<Outcome>,
    /// The group, if it is told to close.
    group: Option<&'r mut Membership>,
}

impl Rest<'_> {
    /// Writes, does what the transport needs, and waits for what is due.
    fn poll_drive<S, R: Transport<S>>(
        &mut self,
        shared: &Shared<S, R>,
        out: &mut Out<S, R>,
        cx: &mut Context<'_>,
        news: &mut bool,
    ) -> Poll<Turned> {
        let before = out.sender.close_state();
        shared.apply(out);
        if let Some(group) = &mut self.group {
            group.close(out.wire.now(), &mut out.sender);
        }
        let waited = out.sender.buffered_amount();
        if !out.wire.has_failed() {
            // A stream that fails shows when it is read, or to whoever sends.
            let written = out.wire.poll_write(&mut out.stream, &mut out.sender, cx);
            if let Poll::Ready(Ok(())) = written {
                buffer_pool::reclaim_outbox(&mut out.sender);
            }
        }
        out.wire.poll_half_close(&mut out.stream, &mut out.sender, cx);
        if out.sender.close_state() == CloseState::Failed {
            self.receiver.handle_ended();
        }
        *news = out.sender.buffered_amount() != waited
            || out.sender.close_state() != before
            || out.wire.has_failed();
        while let Some(ready) = out.sender.poll() {
            if let Event::Closed(how) = self.inbox.event(ready) {
                *self.outcome = Some(how);
                out.wire.end(&mut out.stream, &out.sender, cx);
                return Poll::Ready(Turned::Closed(how));
            }
            // What was blocked has been written by whoever sent it.
        }
        if out.sender.close_state() == CloseState::Ended {
            return Poll::Ready(Turned::Over);
        }
        let at = out.sender.poll_timeout();
        #[cfg(feature = "deflate")]
        let at = [at, out.sender.release_at().filter(|_| self.receiver.holds_window())]
            .into_iter()
            .flatten()
            .min();
        let messages = self.receiver.counters().messages;
        let now = ready!(out.wire.poll_due_reading(cx, at, self.inbox, messages));
        #[cfg(feature = "deflate")]
        if out.sender.release_at().is_some_and(|at| at <= now) {
            self.receiver.release_window();
        }
        out.sender.handle_timeout(now);
        Poll::Ready(Turned::Again)
    }
}

/// What came of a turn.
enum Turned {
    Again,
    Closed(Outcome),
    /// The end was told before.
    Over,
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
