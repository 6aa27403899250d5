//! The asynchronous WebSocket and its run loop.
//!
//! [`WebSocket`] joins a [`Connection`], a stream and a runtime. Its calls poll the run loop, and nothing runs between
//! two calls. One turn of the loop is:
//!
//! ```text
//! decode the inbox --> read --(pending)--> write the queue --> half-close --> run due timers --> wait
//!        ^               |
//!        +---(bytes)-----+
//! ```
//!
//! Not here: the protocol (`Connection`), the writing itself and the clock (`write_driver`), the length of a turn
//! (`turn`), the wakers of two tasks (`tasks`), and the two halves (`reader`, `writer`).
//!
//! Invariants:
//! - All state is in `Inner` and none in a future, so a dropped future loses nothing.
//! - The write queue is written before a task waits for input, and before it yields.
//! - A failed write does not stop reading: the connection is received to its end.

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
    Outcome, Prepared, ProtocolError, ReadyState, SendError, SendOptions, UnsentMessage,
};

/// A WebSocket over a stream `S`, driven by a runtime `R`.
///
/// # The end of the connection
///
/// `None` from [`recv`](Self::recv), [`next_event`](Self::next_event) or the [`Stream`] means that no more events come.
/// [`outcome`](Self::outcome) tells whether the peer closed or the stream broke off, see [`Outcome::is_clean`].
/// [`peer_close`](Self::peer_close) returns the code and the reason of the peer. A loop that wants an error for an
/// abnormal end asks for it with [`error_on_abnormal_end`](Self::error_on_abnormal_end).
///
/// # When frames are written
///
/// * A call that sends writes the whole write queue before it is ready: [`send`](Self::send), [`ping`](Self::ping),
///   [`close`](Self::close), [`flush`](Self::flush) and the others of this type.
/// * [`feed`](Self::feed) and a [`Responder`] queue their frames. These are written by the next call that sends, or
///   before a call that receives waits. Pongs and the answer to a Close are written at the same time.
///
/// Timers run while a call waits, and after a call has written.
///
/// # Two tasks
///
/// [`split`](Self::split) makes a half that receives and a half that sends, over any stream. `StreamExt::split` of the
/// futures crates works too. Let one task receive and another one send if both ends send much: two ends that only send
/// wait for each other until a timer ends the connection.
///
/// # Dropping
///
/// All futures can be dropped at any time, and each method states the effect. [The module](super) has a table of them.
/// A dropped `WebSocket` closes its stream without a Close, and its write queue is lost.
///
/// # Stream and Sink
///
/// The [`Stream`] yields the items that [`recv`](Self::recv) returns. The [`Sink`] takes messages, and closing it sends
/// a Close with code 1000.
#[derive(Debug)]
pub struct WebSocket<S, R> {
    inner: Box<Inner<S, R>>,
}

#[derive(Debug)]
// The fields are ordered by use: each turn of the loop uses the first half, and no turn uses the last fields.
#[repr(C)]
struct Inner<S, R> {
    stream: S,
    wire: WriteDriver<R>,
    inbox: Borrowed,
    outcome: Option<Outcome>,
    turn: Turn,
    /// Whether the input has ended while the write queue is still to be written.
    eof: bool,
    /// Whether an abnormal end is still to be reported as an error.
    error_on_abnormal_end: bool,
    group: Membership,
    connection: Connection,
    tasks: Tasks,
    handshake: Handshake,
}

impl<S, R> WebSocket<S, R> {
    // Kept out of line: this runs once per connection, and must not enlarge the stack frame of the caller's task.
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

    /// Creates a WebSocket on a runtime of the application and a stream that is open already. `inbox` has the bytes
    /// that were read after the handshake. Make `connection` with the time of `runtime`.
    #[must_use]
    pub fn with_runtime(stream: S, runtime: R, connection: Connection, inbox: Inbox) -> Self
    where
        R: Timer,
    {
        Self::opened(stream, runtime, Opened { connection, inbox, handshake: Handshake::default() })
    }

    /// Returns the subprotocol that the handshake agreed on.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.inner.handshake.subprotocol.as_deref()
    }

    /// Returns the headers of the peer's handshake: those of the request on a server, those of the response on a
    /// client.
    #[must_use]
    pub const fn headers(&self) -> Headers<'_> {
        Headers::from_lines(&self.inner.handshake.headers)
    }

    /// Frees the memory of [`headers`](Self::headers), which returns no headers from then on.
    pub fn forget_headers(&mut self) {
        self.inner.handshake.headers = Box::default();
    }

    /// Returns the state of the connection, like `readyState` in a browser.
    #[must_use]
    pub const fn ready_state(&self) -> ReadyState {
        self.inner.connection.ready_state()
    }

    /// Returns how the connection ended, or `None` until a call that receives has reached the end.
    #[must_use]
    pub const fn outcome(&self) -> Option<Outcome> {
        self.inner.outcome
    }

    /// Returns the Close that the peer sent, with its code and reason, from its arrival on. Returns `None` after the
    /// end if the stream ended without a Close, or if the Close was not valid.
    #[must_use]
    pub fn peer_close(&self) -> Option<CloseFrame> {
        self.inner.connection.peer_close()
    }

    /// Sets whether [`recv`](Self::recv) and the [`Stream`] report an abnormal end as [`Error::Ended`], off by default.
    ///
    /// The error comes once, where the messages end without a Close from the peer. By default `None` is returned for
    /// every end. With the error a loop over messages can tell a peer that closed from a connection that broke.
    pub fn error_on_abnormal_end(&mut self, on: bool) {
        self.inner.error_on_abnormal_end = on;
    }

    /// Returns the length of the write queue in bytes.
    #[must_use]
    pub fn buffered_amount(&self) -> usize {
        self.inner.connection.buffered_amount()
    }

    /// Returns the time from the last answered Ping to its Pong, or `None` before the first Pong.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.inner.connection.round_trip()
    }

    /// Returns the connection, for its getters.
    #[must_use]
    pub const fn connection(&self) -> &Connection {
        &self.inner.connection
    }

    /// Returns the stream.
    #[must_use]
    pub const fn stream(&self) -> &S {
        &self.inner.stream
    }

    /// Returns the stream, for example to set its options. It must be neither read nor written.
    #[must_use]
    pub const fn stream_mut(&mut self) -> &mut S {
        &mut self.inner.stream
    }

    /// Returns the stream, the connection, and the inbox with the input that has not been decoded.
    ///
    /// A WebSocket that is made of these parts continues where this one stopped. Pass on this inbox, since it can hold
    /// a part of a message. Queued frames are in the connection, and none is lost.
    ///
    /// The new clock starts at the [latest instant](Connection::latest_instant) that the connection knows. So its
    /// timers are late by at most the time that the connection had been silent.
    ///
    /// After a failed write the connection [records the failure](crate::Sender::has_write_failed). A WebSocket of these
    /// parts still receives, and its sends fail with [`ErrorKind::BrokenPipe`].
    #[must_use]
    pub fn into_parts(self) -> (S, Connection, Inbox)
    where
        R: Timer,
    {
        let Inner { stream, mut wire, mut connection, inbox, .. } = *self.inner;
        wire.catch_up(&mut connection);
        connection.set_inflate_budget(None);
        if wire.has_failed() {
            connection.handle_write_failed();
        }
        let mut inbox = inbox.into_inbox();
        wire.hand_over_ahead(&connection, &mut inbox);
        (stream, connection, inbox)
    }

    /// Joins `group`, which can close all of its members at once. Leaves the group that this WebSocket was in. After
    /// [`split`](Self::split) the half that receives is the member.
    pub fn join(&mut self, group: &Group) {
        self.inner.group.join(group);
    }

    /// Splits the WebSocket into a half that receives and a half that sends, for two tasks.
    ///
    /// This works for every stream. Both halves share the stream under a lock, which is held during one poll and never
    /// while a task waits for the peer.
    #[must_use]
    pub fn split(self) -> (Reader<S, R>, Writer<S, R>)
    where
        R: Timer,
    {
        let Inner {
            stream, mut wire, mut connection, inbox, outcome, eof, group, error_on_abnormal_end, ..
        } = *self.inner;
        wire.catch_up(&mut connection);
        let (receiver, sender) = connection.into_halves();
        let shared = split::Shared::new(stream, wire, sender);
        let writer = Writer::new(shared.clone());
        let mut reader = Reader::new(receiver, inbox, shared, outcome, eof, group);
        reader.error_on_abnormal_end(error_on_abnormal_end);
        (reader, writer)
    }
}

impl<S, R: Transport<S>> WebSocket<S, R> {
    /// Returns the next event, with a [`Responder`] to answer it while the event is borrowed. Returns `None` after
    /// [`Event::Closed`].
    ///
    /// The write queue is written before the call waits for input.
    ///
    /// # Errors
    ///
    /// After each error, call again: the calls continue to [`Event::Closed`].
    ///
    /// * [`Error::Protocol`]: the peer broke the protocol. The Close that reports it is queued, and written if the
    ///   stream takes it at once. Returned once.
    /// * [`Error::Io`]: the stream failed while the connection was not closing. Returned once for a read, and once for
    ///   a write.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, no event was consumed. The next call continues.
    pub async fn next_event(&mut self) -> Result<Option<(Event<'_>, Responder<'_, S, R>)>, Error> {
        let inner = &mut *self.inner;
        // `poll_ready` is repeated here instead of being awaited. An `Event` has room for a control frame, and
        // returning it from an inner future would move it once more.
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
                let Some(ready) = inner.filter_event(polled, cx)? else { continue };
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

    /// Returns the next message, which owns its data, or `None` after the end. A large message is not copied.
    ///
    /// Control frames are answered and passed over. With [`Delivery::Chunks`](crate::Delivery::Chunks) there are no
    /// whole messages, so use [`next_event`](Self::next_event) there. The write queue is written before the call waits for input.
    ///
    /// # Errors
    ///
    /// After [`Error::Protocol`] and [`Error::Io`], call again: the calls continue to `None`.
    ///
    /// * [`Error::Protocol`]: the peer broke the protocol. The Close that reports it is queued, and written if the
    ///   stream takes it at once. Returned once.
    /// * [`Error::Io`]: the stream failed while the connection was not closing. Returned once for a read, and once for
    ///   a write.
    /// * [`Error::Ended`]: the messages ended without a Close from the peer, and
    ///   [`error_on_abnormal_end`](Self::error_on_abnormal_end) is on. Returned once.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, no message was consumed. The next call continues.
    pub async fn recv(&mut self) -> Result<Option<Message>, Error> {
        poll_fn(|cx| self.inner.poll_recv(cx)).await
    }

    /// Reads until the connection has ended, and returns how it ended. Messages are discarded.
    ///
    /// The write queue is written before the call waits for input.
    ///
    /// # Errors
    ///
    /// After [`Error::Protocol`] and [`Error::Io`], call again: the calls continue to the end.
    ///
    /// * [`Error::Protocol`]: the peer broke the protocol. The Close that reports it is queued, and written if the
    ///   stream takes it at once. Returned once.
    /// * [`Error::Io`]: the stream failed while the connection was not closing. Returned once for a read, and once for
    ///   a write.
    /// * [`Error::Send`] with [`SendError::Closed`]: the connection had ended before this WebSocket was made of it, so
    ///   its outcome was reported elsewhere.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the next call continues.
    pub async fn wait_closed(&mut self) -> Result<Outcome, Error> {
        poll_fn(|cx| self.inner.poll_closed(cx)).await
    }

    /// Returns a [`Responder`], which queues frames without writing them at once.
    pub fn responder(&mut self) -> Responder<'_, S, R> {
        let Inner { stream, wire, connection, .. } = &mut *self.inner;
        Responder { stream, wire, connection }
    }

    /// Sends a text message, and writes the whole write queue.
    ///
    /// # Errors
    ///
    /// Never [`SendError::Blocked`]: the call waits until the write queue has room.
    ///
    /// * [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message is open. Nothing was sent.
    /// * [`Error::Send`] with [`SendError::Closed`]: closing has begun, so the message was refused; or a message that
    ///   had been accepted was dropped, because the peer closed or the connection ended.
    /// * [`Error::Io`]: the stream failed. Nothing more can be sent.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the message is sent as a whole or not at all. Not at all if it was not accepted yet.
    /// An accepted message stays queued, and the next call that writes or waits writes it. The first poll accepts the
    /// message if the write queue is below [`Config::high_water`](crate::Config::high_water).
    pub async fn send_text(&mut self, text: &str) -> Result<(), Error> {
        self.responder().send_text(text).await?;
        self.flush().await
    }

    /// Sends a binary message, and writes the whole write queue.
    ///
    /// # Errors
    ///
    /// Never [`SendError::Blocked`]: the call waits until the write queue has room.
    ///
    /// * [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message is open. Nothing was sent.
    /// * [`Error::Send`] with [`SendError::Closed`]: closing has begun, or an accepted message was dropped because the
    ///   peer closed or the connection ended.
    /// * [`Error::Io`]: the stream failed. Nothing more can be sent.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the message is sent as a whole or not at all, as with [`send_text`](Self::send_text).
    pub async fn send_binary(&mut self, data: &[u8]) -> Result<(), Error> {
        self.responder().send_binary(data).await?;
        self.flush().await
    }

    /// Sends a fragment of a message, and writes the whole write queue; see
    /// [`Sender::send_fragment`](crate::Sender::send_fragment).
    ///
    /// # Errors
    ///
    /// Never [`SendError::Blocked`]: the call waits until the write queue has room.
    ///
    /// * [`Error::Send`] with [`SendError::MessageOpen`]: a message of the other kind is open. Nothing was sent.
    /// * [`Error::Send`] with [`SendError::Closed`]: closing has begun, or an accepted message was dropped because the
    ///   peer closed or the connection ended.
    /// * [`Error::Io`]: the stream failed. Nothing more can be sent.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the fragment is sent as a whole or not at all, as a message is with
    /// [`send_text`](Self::send_text).
    pub async fn send_fragment(&mut self, kind: MessageKind, data: &[u8], fin: bool) -> Result<(), Error> {
        self.responder().send_fragment(kind, data, fin).await?;
        self.flush().await
    }

    /// Sends a fragment of a message with options, and writes the whole write queue; see
    /// [`Sender::send_fragment_with`](crate::Sender::send_fragment_with).
    ///
    /// # Errors
    ///
    /// Never [`SendError::Blocked`]: the call waits until the write queue has room.
    ///
    /// * [`Error::Send`] with [`SendError::MessageOpen`]: a message of the other kind is open. Nothing was sent.
    /// * [`Error::Send`] with [`SendError::Closed`]: closing has begun, or an accepted message was dropped because the
    ///   peer closed or the connection ended.
    /// * [`Error::Io`]: the stream failed. Nothing more can be sent.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the fragment is sent as a whole or not at all, as a message is with
    /// [`send_text`](Self::send_text).
    pub async fn send_fragment_with(
        &mut self,
        kind: MessageKind,
        data: &[u8],
        fin: bool,
        options: SendOptions,
    ) -> Result<(), Error> {
        self.responder().send_fragment_with(kind, data, fin, options).await?;
        self.flush().await
    }

    /// Sends a message that owns its data, and writes the whole write queue; see [`Sender::send`](crate::Sender::send).
    ///
    /// # Errors
    ///
    /// Never [`SendError::Blocked`]: the call waits until the write queue has room.
    ///
    /// * [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message is open. Nothing was sent.
    /// * [`Error::Send`] with [`SendError::Closed`]: closing has begun, or an accepted message was dropped because the
    ///   peer closed or the connection ended.
    /// * [`Error::Io`]: the stream failed. Nothing more can be sent.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the message is sent as a whole or not at all, as with [`send_text`](Self::send_text).
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        self.feed(message).await?;
        self.flush().await
    }

    /// Sends a message that owns its data with options, and writes the whole write queue; see
    /// [`Sender::send_with`](crate::Sender::send_with).
    ///
    /// # Errors
    ///
    /// Never [`SendError::Blocked`]: the call waits until the write queue has room.
    ///
    /// * [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message is open. Nothing was sent.
    /// * [`Error::Send`] with [`SendError::Closed`]: closing has begun, or an accepted message was dropped because the
    ///   peer closed or the connection ended.
    /// * [`Error::Io`]: the stream failed. Nothing more can be sent.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the message is sent as a whole or not at all, as with [`send_text`](Self::send_text).
    pub async fn send_with(
        &mut self,
        message: impl Into<Message>,
        options: SendOptions,
    ) -> Result<(), Error> {
        self.responder().send_with(message, options).await?;
        self.flush().await
    }

    /// Sends a message prepared for many connections, and writes the whole write queue; see [`Prepared`].
    ///
    /// # Errors
    ///
    /// Never [`SendError::Blocked`]: the call waits until the write queue has room.
    ///
    /// * [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message is open. Nothing was sent.
    /// * [`Error::Send`] with [`SendError::Closed`]: closing has begun, or an accepted message was dropped because the
    ///   peer closed or the connection ended.
    /// * [`Error::Io`]: the stream failed. Nothing more can be sent.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the message is sent as a whole or not at all, as with [`send_text`](Self::send_text).
    pub async fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.responder().send_prepared(prepared).await?;
        self.flush().await
    }

    /// Queues a message that owns its data.
    ///
    /// The message is written by the next call that sends, by [`flush`](Self::flush), or before a call that receives
    /// waits. If the write queue is full, this call writes it, and waits until it has room.
    ///
    /// # Errors
    ///
    /// Never [`SendError::Blocked`]: the call waits until the write queue has room.
    ///
    /// * [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message is open. Nothing was queued.
    /// * [`Error::Send`] with [`SendError::Closed`]: closing has begun. Nothing was queued.
    /// * [`Error::Io`]: the stream failed while the queue was written to make room. Nothing more can be sent.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, nothing of the message is ever sent.
    pub async fn feed(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        self.responder().send(message).await
    }

    /// Queues a message prepared for many connections; see [`Prepared`].
    ///
    /// The message is written when a message of [`feed`](Self::feed) is. If the write queue is full, this call writes
    /// it, and waits until it has room.
    ///
    /// # Errors
    ///
    /// Never [`SendError::Blocked`]: the call waits until the write queue has room.
    ///
    /// * [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message is open. Nothing was queued.
    /// * [`Error::Send`] with [`SendError::Closed`]: closing has begun. Nothing was queued.
    /// * [`Error::Io`]: the stream failed while the queue was written to make room. Nothing more can be sent.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, nothing of the message is ever sent.
    pub async fn feed_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.responder().send_prepared(prepared).await
    }

    /// Queues a message without waiting, and writes as much of the write queue as the stream takes now.
    ///
    /// The rest is written by the next call that sends, or before a call that receives waits. A task that polls this
    /// WebSocket as a [`Stream`] must poll it again afterwards, to be woken when the stream takes the rest.
    ///
    /// If the write queue is full, what the stream takes now is written first. Timers do not run in this call.
    ///
    /// # Errors
    ///
    /// [`UnsentMessage`] hands the message back, and nothing of it is sent. Its error is
    ///
    /// * [`SendError::Blocked`]: the write queue is full, because the peer reads too slowly. Wait with
    ///   [`feed`](Self::feed) or [`flush`](Self::flush), or drop the message.
    /// * [`SendError::MessageOpen`]: a fragmented message is open.
    /// * [`SendError::Closed`]: closing has begun, or a write has failed before.
    ///
    /// ```
    /// # #[cfg(feature = "tokio")] {
    /// # use hybi::{Config, Connection, Inbox, Instant, Outbox, SendError};
    /// # use hybi::adapters::tokio::WebSocket;
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let (near, far) = tokio::io::duplex(64);
    /// # let connection = Connection::server(Instant::ZERO, Config::new(), Outbox::new());
    /// # let mut ws = WebSocket::from_parts(near, connection, Inbox::empty());
    /// // A peer that reads nothing costs the high-water mark and one message, and no time.
    /// let refused = loop {
    ///     if let Err(refused) = ws.try_send(vec![7; 1000]) {
    ///         break refused;
    ///     }
    /// };
    /// assert_eq!((refused.error, refused.message.len()), (SendError::Blocked, 1000));
    /// assert!(ws.buffered_amount() < (64 << 10) + 1010);
    /// # drop(far);
    /// # });
    /// # }
    /// ```
    pub fn try_send(&mut self, message: impl Into<Message>) -> Result<(), UnsentMessage> {
        self.responder().try_send(message)?;
        let (inner, cx) = (&mut *self.inner, &mut Context::from_waker(Waker::noop()));
        // The driver keeps the error of this write, and returns it with the next write.
        let written = inner.wire.poll_write(&mut inner.stream, &mut inner.connection, cx);
        if let Poll::Ready(Ok(())) = written {
            buffer_pool::reclaim_outbox(&mut inner.connection);
        }
        Ok(())
    }

    /// Sends a Ping, and writes the whole write queue; see [`Sender::ping`](crate::Sender::ping).
    ///
    /// # Errors
    ///
    /// Never [`SendError::Blocked`]: the call waits until there is room for another Ping.
    ///
    /// * [`Error::Send`] with [`SendError::ControlTooLong`]: the payload is longer than
    ///   [`MAX_CONTROL_PAYLOAD`](crate::frame::MAX_CONTROL_PAYLOAD). Nothing was sent.
    /// * [`Error::Send`] with [`SendError::Closed`]: closing has begun, or an accepted message was dropped because the
    ///   peer closed or the connection ended.
    /// * [`Error::Io`]: the stream failed. Nothing more can be sent.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the Ping is sent as a whole or not at all.
    pub async fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.responder().ping(payload).await?;
        self.flush().await
    }

    /// Sends an unsolicited Pong (RFC 6455 section 5.5.3), and writes the whole write queue; see
    /// [`Sender::pong`](crate::Sender::pong).
    ///
    /// # Errors
    ///
    /// * [`Error::Send`] with [`SendError::ControlTooLong`]: the payload is longer than
    ///   [`MAX_CONTROL_PAYLOAD`](crate::frame::MAX_CONTROL_PAYLOAD). Nothing was sent.
    /// * [`Error::Send`] with [`SendError::Closed`]: closing has begun, or an accepted message was dropped because the
    ///   peer closed or the connection ended.
    /// * [`Error::Io`]: the stream failed. Nothing more can be sent.
    ///
    /// # Cancel safety
    ///
    /// The first poll queues the Pong. If the future is dropped later, the next call that writes or waits writes it.
    pub async fn pong(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.responder().pong(payload)?;
        self.flush().await
    }

    /// Sends a Close, and writes the whole write queue; see [`Sender::close`](crate::Sender::close).
    ///
    /// This does not wait for the peer's Close: call [`wait_closed`](Self::wait_closed), or [`next_event`](Self::next_event) until
    /// `None`.
    ///
    /// # Errors
    ///
    /// * [`Error::Send`] with [`SendError::CodeNotAllowed`]: this role must not send `code`, or `reason` has no code.
    ///   Nothing was sent.
    /// * [`Error::Send`] with [`SendError::ReasonTooLong`]: `reason` is longer than
    ///   [`CloseReason::MAX_LEN`](crate::CloseReason::MAX_LEN). Nothing was sent.
    /// * [`Error::Send`] with [`SendError::Closed`]: closing had begun before, or an accepted message was dropped
    ///   because the peer closed or the connection ended.
    /// * [`Error::Io`]: the stream failed. Nothing more can be sent.
    ///
    /// # Cancel safety
    ///
    /// The first poll queues the Close. If the future is dropped later, the next call that writes or waits writes it.
    pub async fn close(
        &mut self,
        code: impl Into<Option<CloseCode>>,
        reason: impl AsRef<str>,
    ) -> Result<(), Error> {
        self.responder().close(code, reason)?;
        self.flush().await
    }

    /// Writes the whole write queue, and flushes the stream.
    ///
    /// # Errors
    ///
    /// * [`Error::Send`] with [`SendError::Closed`]: an accepted message was dropped because the peer closed or the
    ///   connection ended.
    /// * [`Error::Io`]: the stream failed. Nothing more can be sent.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the rest of the queue is written by the next call that writes or waits. The next flush
    /// reports messages that were dropped.
    pub async fn flush(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.inner.poll_flush(cx)).await
    }
}

impl<S, R: Transport<S>> Inner<S, R> {
    /// Runs until there is a message, and returns it, or `None` after the end.
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, Error>> {
        loop {
            // Whole messages have a path of their own, so that the larger result of `poll_ready` is not moved for each.
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
                // The next call may come late or never, so an empty inbox returns to the pool now.
                self.inbox.give_back_idle();
                return Poll::Ready(Ok(message));
            }
        }
    }

    /// Runs until there is an event, and returns it, or `None` after the end.
    // Kept out of line so that its callers share one copy: a whole turn is inlined into it.
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
                let Some(ready) = self.filter_event(polled, cx)? else { continue };
                return Poll::Ready(Ok(Some(ready)));
            }
            if self.has_ended() {
                break;
            }
            ready!(self.poll_turn(cx))?;
        }
        Poll::Ready(Ok(None))
    }

    /// Runs until the connection has ended, and returns its outcome.
    // Kept out of line: this runs once per connection, and the caller's path for messages must not pay for it.
    #[inline(never)]
    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<Result<Outcome, Error>> {
        loop {
            if let Some(outcome) = self.outcome {
                return Poll::Ready(Ok(outcome));
            }
            if ready!(self.poll_ready(cx))?.is_none() && self.outcome.is_none() {
                // The connection had ended before this WebSocket was made, so its outcome was reported elsewhere.
                return Poll::Ready(Err(SendError::Closed.into()));
            }
        }
    }

    /// Whether the connection has ended. Its outcome may have been reported before this WebSocket was made.
    const fn has_ended(&self) -> bool {
        matches!(self.connection.ready_state(), ReadyState::Closed)
    }

    /// Returns a whole message that is in the inbox.
    ///
    /// This is the fast path: it skips the run loop and does not read the clock. The timers count the message as
    /// received when the clock is read next.
    #[inline(always)]
    fn take_message(&mut self) -> Option<MessageIndex> {
        self.connection.poll_message(self.inbox.here()?)
    }

    /// Decodes the next event. Pass it to [`Self::filter_event`], which handles internal events.
    // Inlined so that the caller sees the `None` after each read without a result being moved.
    #[inline(always)]
    fn poll_event(&mut self) -> Option<Result<EventIndex, ProtocolError>> {
        let inbox = self.inbox.get();
        // The clock is read once for each read, and not for each event. An inbox is not idle either while a large
        // message is read directly into its buffer.
        if self.wire.clock_is_stale() && !inbox.is_idle() {
            self.wire.tick_for(&mut self.connection);
        }
        self.connection.poll(self.wire.now(), inbox).transpose()
    }

    /// Filters internal events (`Writable`), records the outcome, and returns the rest to the caller.
    fn filter_event(
        &mut self,
        polled: Result<EventIndex, ProtocolError>,
        cx: &mut Context<'_>,
    ) -> Result<Option<EventIndex>, Error> {
        let ready = polled.map_err(|error| self.handle_violation(error, cx))?;
        match self.inbox.event(ready) {
            // `Writable` is internal: a call that was blocked has waited in `WriteDriver::poll_feed`, and has sent.
            Event::Writable => return Ok(None),
            Event::Closed(outcome) => {
                self.outcome = Some(outcome);
                self.wire.end(&mut self.stream, &self.connection, cx);
            }
            _ => {}
        }
        Ok(Some(ready))
    }

    /// Writes the Close for a violation of the protocol, as far as the stream takes it now. Returns the error.
    fn handle_violation(&mut self, error: ProtocolError, cx: &mut Context<'_>) -> Error {
        // An error of the write is dropped: the caller must learn of the violation. A pending rest is written by the
        // next call.
        let _ = self.wire.poll_write(&mut self.stream, &mut self.connection, cx);
        error.into()
    }

    /// Reads more input, once the inbox is decoded. If the stream has none, writes the queue, runs due timers, and
    /// waits.
    // Inlined into its callers, as `poll_drive` is at its end: `WriteDriver::poll_write_within` gives the reason.
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

    /// Begins a new turn, after all input was decoded or the task has yielded.
    #[inline(always)]
    fn begin_turn(&mut self) {
        self.turn.renew(self.connection.received());
        self.connection.set_inflate_budget(Some(MOST_INFLATED));
    }

    /// Ends a turn although there may be more to read: writes the queue, runs due timers, and yields to other tasks.
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
        // Events of this write are polled in the next turn. An error returns at once, and the next call begins a new
        // turn.
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
                // While the connection is closing, a reset counts as the end of the stream: the peer need not wait for
                // us.
                let closing = self.connection.ready_state() == ReadyState::Closing;
                self.connection.handle_eof();
                if !closing {
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }

    /// Handles the end of the input, once the write queue is written. A peer that has closed its sending half may still
    /// read.
    fn poll_eof(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let written = self.wire.poll_write(&mut self.stream, &mut self.connection, cx);
        let now = self.wire.tick_for(&mut self.connection);
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

    /// Writes the queue, half-closes the stream if that is due, runs due timers, and waits. Ready when the caller
    /// should poll for an event.
    #[inline(always)]
    fn poll_drive(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.group.must_close(cx) {
            self.group.close(self.wire.tick(), &mut self.connection);
        }
        // After a failed write the input is still read.
        if !self.wire.has_failed() {
            match self.wire.poll_write_within(&mut self.stream, &mut self.connection, cx) {
                Poll::Ready(Ok(())) => buffer_pool::reclaim_outbox(&mut self.connection),
                Poll::Ready(Err(error)) if self.connection.ready_state() != ReadyState::Closing => {
                    return Poll::Ready(Err(error.into()));
                }
                _ => {}
            }
        }
        self.wire.poll_half_close(&mut self.stream, &mut self.connection, cx);
        self.wire.catch_up(&mut self.connection);
        let (at, messages) = (self.connection.poll_timeout(), self.connection.received().messages);
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

/// The state that one task can change while another one waits for it.
///
/// It is compared before and after each poll. The other task is woken if there is room, an end, an earlier deadline, a
/// failure, or input.
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
            let ready = wire.poll_feed(stream, connection, cx, |connection| connection.can_send());
            if let Poll::Ready(Err(_)) = ready {
                // `SplitSink` of the futures crates stops at this error while it holds a message, even when it is
                // closed. The answer to the peer's Close may still be queued, so it is written now.
                let _ = wire.poll_write(stream, connection, cx);
            }
            ready
        })
    }

    /// Queues a message.
    ///
    /// If [`poll_ready`](Sink::poll_ready) was not called before and the queue is full, the message is refused with
    /// [`SendError::Blocked`], and lost.
    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        buffer_pool::lend_outbox(&mut self.inner.connection);
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
