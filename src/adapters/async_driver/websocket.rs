//! The run loop of a whole WebSocket.

use core::pin::Pin;
use core::time::Duration;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::prelude::v1::*;
use std::task::{Context, Poll, Waker, ready};

use futures_core::{FusedStream, Stream};
use futures_sink::Sink;

use super::buffer_pool::Borrowed;
use super::group::{Group, Membership};
use super::responder::Responder;
use super::shared_lock::Side;
use super::tasks::{Tasks, UsedByTasks, poll_as};
use super::turn::{MOST_INFLATED, Next, Turn};
use super::write_driver::WriteDriver;
use super::{Reader, Timer, Transport, Writer, buffer_pool, split};
use crate::adapters::error::{Error, end_of_messages};
use crate::adapters::handshake_driver::{Handshake, Opened};
use crate::handshake::Headers;
use crate::{
    CloseCode, CloseFrame, Connection, Event, EventIndex, Inbox, Instant, Message, MessageIndex, MessageKind,
    Outcome, Prepared, ProtocolError, ReadyState, SendError,
};

/// A WebSocket over a stream `S`; `R` is what it runs on.
///
/// Two tasks can share one: [`split`](Self::split) makes a half that receives and a half that sends, over any stream, and
/// so does `StreamExt::split` of the futures crates.
///
/// `None` from [`recv`](Self::recv), [`next`](Self::next) or the [`Stream`] says only that there is no more. Whether the peer
/// has closed, or the stream broke off, is in [`outcome`](Self::outcome): [`Outcome::is_clean`]. What the peer gave as the
/// reason is in [`peer_close`](Self::peer_close). A loop that wants an error instead asks for it with
/// [`error_on_abnormal_end`](Self::error_on_abnormal_end).
///
/// What is sent through it is written before the call is ready; what is sent through a [`Responder`], or
/// fed, goes out before a call that receives waits, together with whatever else is queued by then. Timers
/// run while a call waits. What becomes of futures that are dropped is told in [the module](super), as is
/// what a dropped WebSocket does.
///
/// Two ends that each send much without ever receiving wait for each other until a timer ends it: have one
/// task receive and another one send.
///
/// As a [`Stream`] it gives messages, then errors and the end as [`recv`](Self::recv) does; as a [`Sink`] it takes
/// messages, and to close it sends a Close with 1000.
#[derive(Debug)]
pub struct WebSocket<S, R> {
    inner: Box<Inner<S, R>>,
}

#[derive(Debug)]
// The order is that of use: the first half with each turn of the loop, the last with none.
#[repr(C)]
struct Inner<S, R> {
    stream: S,
    wire: WriteDriver<R>,
    inbox: Borrowed,
    outcome: Option<Outcome>,
    turn: Turn,
    /// The stream has ended, and what is queued is still to be written.
    eof: bool,
    /// An end that is not clean is still to be told as an error.
    error_on_abnormal_end: bool,
    group: Membership,
    connection: Connection,
    tasks: Tasks,
    handshake: Handshake,
}

impl<S, R> WebSocket<S, R> {
    // A task has no room for it in its frame, and no need.
    #[inline(never)]
    pub(super) fn opened(stream: S, runtime: R, opened: Opened) -> Self
    where
        R: Timer,
    {
        let Opened { connection, inbox, handshake } = opened;
        let mut wire = WriteDriver::new(runtime, connection.latest_instant());
        if connection.sender().has_write_failed() {
            wire.fail_writes();
        }
        let mut connection = connection;
        connection.set_inflate_budget(Some(MOST_INFLATED));
        let inner = Inner {
            stream,
            wire,
            inbox: Borrowed::new(inbox),
            outcome: None,
            turn: Turn::new(connection.received()),
            eof: false,
            error_on_abnormal_end: false,
            group: Membership::default(),
            connection,
            tasks: Tasks::default(),
            handshake,
        };
        Self { inner: Box::new(inner) }
    }

    pub(in crate::adapters) fn from_connection(
        stream: S,
        runtime: R,
        connection: Connection,
        inbox: Inbox,
    ) -> Self
    where
        R: Timer,
    {
        Self::opened(stream, runtime, Opened { connection, inbox, handshake: Handshake::default() })
    }

    /// The subprotocol that was agreed on.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.inner.handshake.subprotocol.as_deref()
    }

    /// The headers of the peer's handshake: of the request on a server, of the response on a client.
    #[must_use]
    pub const fn headers(&self) -> Headers<'_> {
        Headers::from_lines(&self.inner.handshake.headers)
    }

    /// Gives back the memory of [`headers`](Self::headers), which are empty from here on.
    pub fn forget_headers(&mut self) {
        self.inner.handshake.headers = Box::default();
    }

    /// As the browser's `readyState`.
    #[must_use]
    pub const fn ready_state(&self) -> ReadyState {
        self.inner.connection.ready_state()
    }

    /// How the connection ended, once [`Event::Closed`] was handed out.
    #[must_use]
    pub const fn outcome(&self) -> Option<Outcome> {
        self.inner.outcome
    }

    /// The Close that the peer sent, with its code and reason, once it has come: also after the end. `None` says that the
    /// stream ended without one, or that the peer's was not valid.
    #[must_use]
    pub fn peer_close(&self) -> Option<CloseFrame> {
        self.inner.connection.peer_close()
    }

    /// Whether [`recv`](Self::recv) and the [`Stream`] give [`Error::Ended`] once where the messages end and the peer has not
    /// closed; by default they give `None` for every end. A loop over messages then sees the difference
    /// between a peer that has closed and a connection that broke.
    pub fn error_on_abnormal_end(&mut self, on: bool) {
        self.inner.error_on_abnormal_end = on;
    }

    /// The bytes that wait to be written.
    #[must_use]
    pub fn buffered_amount(&self) -> usize {
        self.inner.connection.buffered_amount()
    }

    /// The time from the last Ping that was answered to its Pong.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.inner.connection.round_trip()
    }

    /// The connection, for its getters.
    #[must_use]
    pub const fn connection(&self) -> &Connection {
        &self.inner.connection
    }

    /// The stream.
    #[must_use]
    pub const fn stream(&self) -> &S {
        &self.inner.stream
    }

    /// The stream, to be changed but neither read nor written.
    #[must_use]
    pub const fn stream_mut(&mut self) -> &mut S {
        &mut self.inner.stream
    }

    /// The stream, the connection, and what has arrived and not been taken in: go on with this inbox, as a part of a
    /// message may lie in it.
    ///
    /// Nothing that was accepted is lost: what is not written yet waits in the connection. A WebSocket that is made of
    /// these parts goes on where this one was. Its clock starts at the [latest
    /// instant](Connection::latest_instant) that the connection knows, so its timers are late by no more than the
    /// connection had been silent.
    ///
    /// Where a write has failed, the connection [says so](crate::Sender::has_write_failed): what is made of the parts still
    /// receives, and refuses to send with [`ErrorKind::BrokenPipe`].
    #[must_use]
    pub fn into_parts(self) -> (S, Connection, Inbox)
    where
        R: Timer,
    {
        let Inner { stream, mut wire, mut connection, inbox, .. } = *self.inner;
        wire.catch_up(connection.sender_mut());
        connection.set_inflate_budget(None);
        if wire.has_failed() {
            connection.sender_mut().handle_write_failed();
        }
        let mut inbox = inbox.into_inbox();
        wire.hand_over_ahead(&connection, &mut inbox);
        (stream, connection, inbox)
    }

    /// Joins a group, to be closed with it; leaves the one that it was in. Of two halves the one that receives is in it.
    pub fn join(&mut self, group: &Group) {
        self.inner.group.join(group);
    }

    /// The next message goes out as it is, whatever was agreed on; see
    /// [`Sender::uncompressed`](crate::Sender::uncompressed).
    pub const fn uncompressed(&mut self) -> &mut Self {
        self.inner.connection.uncompressed();
        self
    }

    /// Makes two halves of the WebSocket, one that receives and one that sends, for two tasks. It means the same for
    /// every stream: both halves share the stream under a lock that is held for one call of it at a time, and neither
    /// waits for the other.
    #[must_use]
    pub fn split(self) -> (Reader<S, R>, Writer<S, R>)
    where
        R: Timer,
    {
        let Inner {
            stream, mut wire, mut connection, inbox, outcome, eof, group, error_on_abnormal_end, ..
        } = *self.inner;
        wire.catch_up(connection.sender_mut());
        let (receiver, sender) = connection.into_halves();
        let shared = split::Shared::new(stream, wire, sender);
        let writer = Writer::new(shared.clone());
        let mut reader = Reader::new(receiver, inbox, shared, outcome, eof, group);
        reader.error_on_abnormal_end(error_on_abnormal_end);
        (reader, writer)
    }
}

impl<S, R: Transport<S>> WebSocket<S, R> {
    /// The next event, and the means to answer it while it is borrowed; `None` after [`Event::Closed`].
    ///
    /// # Errors
    ///
    /// [`Error::Protocol`] once, after the peer was told; [`Error::Io`]. Calling again goes on to
    /// [`Event::Closed`].
    pub async fn next(&mut self) -> Result<Option<(Event<'_>, Responder<'_, S, R>)>, Error> {
        let inner = &mut *self.inner;
        // No future of its own gives the event: it has room for a control frame, and would be moved out of there.
        while inner.outcome.is_none() {
            if inner.turn.is_over(inner.connection.received()) {
                poll_fn(|cx| inner.poll_yield(cx)).await?;
            }
            if let Some(message) = inner.take_message() {
                let Inner { stream, wire, connection, inbox, .. } = inner;
                return Ok(Some((inbox.message(message), Responder { stream, wire, connection })));
            }
            if let Some(polled) = inner.poll_event() {
                let cx = &mut Context::from_waker(Waker::noop());
                let Some(ready) = inner.judge(polled, cx)? else { continue };
                let Inner { stream, wire, connection, inbox, .. } = inner;
                return Ok(Some((inbox.event(ready), Responder { stream, wire, connection })));
            }
            if inner.has_ended() {
                break;
            }
            poll_fn(|cx| inner.poll_turn(cx)).await?;
        }
        Ok(None)
    }

    /// The next message, as one that owns its data; `None` after the end. A large one is not copied. Control
    /// frames are passed over, having been answered; and with [`Delivery::Chunks`](crate::Delivery::Chunks) there are
    /// no messages: use [`next`](Self::next).
    ///
    /// # Errors
    ///
    /// As [`Self::next`].
    pub async fn recv(&mut self) -> Result<Option<Message>, Error> {
        poll_fn(|cx| self.inner.poll_recv(cx)).await
    }

    /// Reads on, passing over messages, until the connection has ended, and says how.
    ///
    /// # Errors
    ///
    /// As [`Self::next`].
    pub async fn wait_closed(&mut self) -> Result<Outcome, Error> {
        poll_fn(|cx| self.inner.poll_closed(cx)).await
    }

    /// The means to send without writing at once.
    pub fn responder(&mut self) -> Responder<'_, S, R> {
        let Inner { stream, wire, connection, .. } = &mut *self.inner;
        Responder { stream, wire, connection }
    }

    /// Sends a text message.
    ///
    /// # Errors
    ///
    /// [`Error::Send`] where it is refused, never as [`SendError::Blocked`], as it is waited until there is
    /// room; also as [`SendError::Closed`] where it was accepted and then dropped, because the connection
    /// ended or the peer closed. [`Error::Io`] where the stream fails.
    pub async fn send_text(&mut self, text: &str) -> Result<(), Error> {
        self.responder().send_text(text).await?;
        self.flush().await
    }

    /// Sends a binary message.
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`].
    pub async fn send_binary(&mut self, data: &[u8]) -> Result<(), Error> {
        self.responder().send_binary(data).await?;
        self.flush().await
    }

    /// Sends a fragment of a message; see [`Sender::send_fragment`](crate::Sender::send_fragment).
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`].
    pub async fn send_fragment(&mut self, kind: MessageKind, data: &[u8], fin: bool) -> Result<(), Error> {
        self.responder().send_fragment(kind, data, fin).await?;
        self.flush().await
    }

    /// Sends a message that owns its data; see [`Sender::send`](crate::Sender::send).
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`].
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        self.feed(message).await?;
        self.flush().await
    }

    /// Sends a message prepared for many connections; see [`Prepared`].
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`].
    pub async fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.responder().send_prepared(prepared).await?;
        self.flush().await
    }

    /// Queues a message that owns its data, to be written with what follows: by [`flush`](Self::flush), or
    /// before a call that receives waits. Waits itself only where too much is queued.
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`].
    pub async fn feed(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        self.responder().send(message).await
    }

    /// Sends a Ping; see [`Sender::ping`](crate::Sender::ping).
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`].
    pub async fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.responder().ping(payload).await?;
        self.flush().await
    }

    /// Sends a Pong that no Ping asked for; see [`Sender::pong`](crate::Sender::pong).
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`].
    pub async fn pong(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.responder().pong(payload)?;
        self.flush().await
    }

    /// Closes the connection; see [`Sender::close`](crate::Sender::close). Go on with [`next`](Self::next)
    /// or [`wait_closed`](Self::wait_closed) to its end.
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`].
    pub async fn close(&mut self, code: impl Into<Option<CloseCode>>, reason: &str) -> Result<(), Error> {
        self.responder().close(code, reason)?;
        self.flush().await
    }

    /// Writes what is queued.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the stream fails; [`Error::Send`], as [`SendError::Closed`], where some of what was
    /// accepted will not be written any more, because the peer closed or the connection ended.
    pub async fn flush(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.inner.poll_flush(cx)).await
    }
}

impl<S, R: Transport<S>> Inner<S, R> {
    /// Runs until a message is there.
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, Error>> {
        loop {
            // A message by itself: what may be any event is large, and would be moved.
            let ready = match self.take_message() {
                Some(message) => message.into(),
                None => match ready!(self.poll_ready(cx))? {
                    Some(ready) => ready,
                    None => {
                        return Poll::Ready(end_of_messages(self.outcome, &mut self.error_on_abnormal_end));
                    }
                },
            };
            let message = self.inbox.get().take_message(ready);
            if message.is_some() {
                // Who knows when the next call comes.
                self.inbox.give_back_idle();
                return Poll::Ready(Ok(message));
            }
        }
    }

    /// Runs until an event is there.
    // Once, for all who do: all of a turn is in it.
    #[inline(never)]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<EventIndex>, Error>> {
        while self.outcome.is_none() {
            if self.turn.is_over(self.connection.received()) {
                ready!(self.poll_yield(cx))?;
            }
            if let Some(message) = self.take_message() {
                return Poll::Ready(Ok(Some(message.into())));
            }
            if let Some(polled) = self.poll_event() {
                let Some(ready) = self.judge(polled, cx)? else { continue };
                return Poll::Ready(Ok(Some(ready)));
            }
            if self.has_ended() {
                break;
            }
            ready!(self.poll_turn(cx))?;
        }
        Poll::Ready(Ok(None))
    }

    /// Runs until the connection has ended.
    // Once a connection: not in the way of what a task does with each message.
    #[inline(never)]
    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<Result<Outcome, Error>> {
        loop {
            if let Some(outcome) = self.outcome {
                return Poll::Ready(Ok(outcome));
            }
            if ready!(self.poll_ready(cx))?.is_none() && self.outcome.is_none() {
                // It had ended before it came here, which was told elsewhere.
                return Poll::Ready(Err(SendError::Closed.into()));
            }
        }
    }

    /// Whether the connection has ended, which may have been told elsewhere.
    const fn has_ended(&self) -> bool {
        matches!(self.connection.ready_state(), ReadyState::Closed)
    }

    /// A message that has come in, the usual case: not worth a way through the run loop, nor a look at the clock.
    #[inline(always)]
    fn take_message(&mut self) -> Option<MessageIndex> {
        let message = self.connection.receiver_mut().poll_message(self.inbox.here()?)?;
        self.wire.received();
        Some(message)
    }

    /// An event of what has come in, or of what was done, which is still to be [judged](Self::judge).
    // That there is none is seen where this is called, once for each read, and nothing is moved for it.
    #[inline(always)]
    fn poll_event(&mut self) -> Option<Result<EventIndex, ProtocolError>> {
        let inbox = self.inbox.get();
        // Once for all that came in with one read. What was read straight to its place lies in the inbox's message.
        if self.wire.clock_is_stale() && !inbox.is_idle() {
            self.wire.tick_for(self.connection.sender_mut());
        }
        self.connection.poll(self.wire.now(), inbox).transpose()
    }

    /// What has been polled, unless it is nothing to the caller.
    fn judge(
        &mut self,
        polled: Result<EventIndex, ProtocolError>,
        cx: &mut Context<'_>,
    ) -> Result<Option<EventIndex>, Error> {
        let ready = polled.map_err(|error| self.violated(error, cx))?;
        match self.inbox.event(ready) {
            // Whoever was held back has waited, and has sent.
            Event::Writable => return Ok(None),
            Event::Closed(outcome) => {
                self.outcome = Some(outcome);
                self.wire.end(&mut self.stream, self.connection.sender(), cx);
            }
            _ => {}
        }
        Ok(Some(ready))
    }

    /// The peer has broken the protocol, and is told.
    fn violated(&mut self, error: ProtocolError, cx: &mut Context<'_>) -> Error {
        // The violation is what the caller must know. What cannot be written now, whoever calls next will write.
        let _ = self.wire.poll_write(&mut self.stream, self.connection.sender_mut(), cx);
        error.into()
    }

    /// All input has been taken in: reads more. Where there is none, writes, does what is due, and waits.
    // Part of whoever calls, and so is what it does last: see `WriteDriver::poll_write_within`.
    #[inline(always)]
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.eof {
            return self.poll_eof(cx).map(Ok);
        }
        if self.turn.has_read_enough(self.connection.received()) || self.connection.is_paused() {
            return self.poll_yield(cx);
        }
        let space = self.connection.read_space(self.inbox.get());
        if let Poll::Ready(read) = self.wire.poll_read(&mut self.stream, cx, space) {
            self.turn.count_read();
            return Poll::Ready(self.handle_read(read));
        }
        self.inbox.give_back();
        self.begin_turn();
        self.poll_drive(cx)
    }

    /// All input has been taken in, or the task has yielded: a new turn begins.
    #[inline(always)]
    fn begin_turn(&mut self) {
        self.turn.renew(self.connection.received());
        self.connection.set_inflate_budget(Some(MOST_INFLATED));
    }

    /// The turn is over though there may be more to read: writes and does what is due, then other tasks have theirs.
    #[cold]
    #[inline(never)]
    fn poll_yield(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        match self.turn.next() {
            Next::Begins => {
                self.begin_turn();
                return Poll::Ready(Ok(()));
            }
            Next::Waits => {
                R::yield_turn(cx);
                return Poll::Pending;
            }
            Next::Yields => {}
        }
        // What was done shows in the next turn. An error is told now, and this has been a turn in any case.
        if let Poll::Ready(Err(error)) = self.poll_drive(cx) {
            self.begin_turn();
            return Poll::Ready(Err(error));
        }
        R::yield_turn(cx);
        Poll::Pending
    }

    fn handle_read(&mut self, read: std::io::Result<usize>) -> Result<(), Error> {
        match read {
            Ok(0) => self.eof = true,
            Ok(n) => {
                self.inbox.get().handle_read(n);
                self.wire.bytes_came();
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => {
                // At the end, a reset is as good an end as any.
                let closing = self.connection.ready_state() == ReadyState::Closing;
                self.connection.handle_eof();
                if !closing {
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }

    /// The stream has ended. What was queued meanwhile goes out before: that the peer sends no more does not
    /// say that it reads no more.
    fn poll_eof(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let written = self.wire.poll_write(&mut self.stream, self.connection.sender_mut(), cx);
        let now = self.wire.tick_for(self.connection.sender_mut());
        if written.is_pending() {
            self.connection.handle_input_ended(now);
            let now = ready!(self.wire.poll_due(cx, self.connection.poll_timeout()));
            self.connection.handle_timeout(now);
        } else {
            self.eof = false;
            self.connection.handle_eof();
        }
        Poll::Ready(())
    }

    /// Writes, does what the transport needs, and waits for what is due; ready when something has been done
    /// that may be an event.
    #[inline(always)]
    fn poll_drive(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.group.is_told(cx) {
            self.group.close(self.wire.tick(), self.connection.sender_mut());
        }
        // Where nothing can be written, what has come in can still be read.
        if !self.wire.has_failed() {
            match self.wire.poll_write_within(&mut self.stream, self.connection.sender_mut(), cx) {
                Poll::Ready(Ok(())) => buffer_pool::reclaim_outbox(self.connection.sender_mut()),
                Poll::Ready(Err(error)) if self.connection.ready_state() != ReadyState::Closing => {
                    return Poll::Ready(Err(error.into()));
                }
                _ => {}
            }
        }
        self.wire.poll_half_close(&mut self.stream, self.connection.sender_mut(), cx);
        self.wire.catch_up(self.connection.sender_mut());
        let (at, messages) = (self.connection.poll_timeout(), self.connection.receiver().counters().messages);
        let now = ready!(self.wire.poll_due_reading(cx, at, &mut self.inbox, messages));
        self.connection.handle_timeout(now);
        Poll::Ready(Ok(()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.wire.poll_flush(&mut self.stream, &mut self.connection, cx)
    }
}

impl<S, R: Timer> UsedByTasks for Inner<S, R> {
    type Watched = Watched;

    fn tasks(&mut self) -> &mut Tasks {
        &mut self.tasks
    }

    fn watched(&self) -> Watched {
        let connection = &self.connection;
        Watched {
            buffered: connection.buffered_amount(),
            state: connection.ready_state(),
            deadline: connection.poll_timeout(),
            has_failed: self.wire.has_failed(),
            read_ahead: self.wire.read_ahead_len(),
        }
    }
}

/// What a task may wait for that the other one does: room, the end, a deadline, a failure, or input.
#[derive(PartialEq, Eq)]
struct Watched {
    buffered: usize,
    state: ReadyState,
    deadline: Option<Instant>,
    has_failed: bool,
    read_ahead: (usize, bool),
}

impl<S, R: Transport<S>> Stream for WebSocket<S, R> {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        poll_as(&mut *self.inner, Side::Reader, cx, Inner::poll_recv).map(Result::transpose)
    }
}

impl<S, R: Transport<S>> FusedStream for WebSocket<S, R> {
    fn is_terminated(&self) -> bool {
        self.inner.outcome.is_some() && !self.inner.error_on_abnormal_end
    }
}

impl<S, R: Transport<S>> Sink<Message> for WebSocket<S, R> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        poll_as(&mut *self.inner, Side::Writer, cx, |inner, cx| {
            let Inner { stream, wire, connection, .. } = inner;
            let ready = wire.poll_feed(stream, connection, cx, |sender| sender.can_send());
            if let Poll::Ready(Err(_)) = ready {
                // The half of futures that has a message comes no further, also where it is closed: what answers the
                // peer's Close may wait here, and nobody else may come.
                let _ = wire.poll_write(stream, connection.sender_mut(), cx);
            }
            ready
        })
    }

    /// Queues a message. Where too much waits, because [`poll_ready`](Sink::poll_ready) was not asked, it is refused with
    /// [`SendError::Blocked`], and lost.
    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        buffer_pool::lend_outbox(self.inner.connection.sender_mut());
        Ok(self.inner.connection.send(message).map_err(|refused| refused.error)?)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        poll_as(&mut *self.inner, Side::Writer, cx, Inner::poll_flush)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        poll_as(&mut *self.inner, Side::Writer, cx, |inner, cx| {
            if inner.connection.ready_state() == ReadyState::Open {
                let now = inner.wire.tick();
                inner.connection.close(now, CloseCode::NORMAL, "")?;
            }
            inner.poll_flush(cx)
        })
    }
}
