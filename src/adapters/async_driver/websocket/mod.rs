//! The asynchronous WebSocket.
//!
//! [`WebSocket`] joins a [`Connection`], a stream and a runtime. Its calls poll the run loop, and nothing runs between
//! two calls.
//!
//! - `mod.rs`: the state, getters, taking a WebSocket apart, and the methods that receive.
//! - `sending.rs`: the methods that send.
//! - `run_loop.rs`: the loop that the methods poll.
//! - `stream_sink.rs`: the traits of the futures crates.
//!
//! Not here: the protocol (`Connection`), the writing itself (`write_driver`), the clock (`clock`), the wakers of two
//! tasks (`tasks`), and the two halves (`reader`, `writer`).
//!
//! Invariant: all state is in `Inner` and none in a future, so a dropped future loses nothing.

mod run_loop;
mod sending;
mod stream_sink;

use core::time::Duration;
use std::future::poll_fn;
use std::prelude::v1::*;
use std::task::{Context, Waker};

#[cfg(doc)]
use {crate::SendError, futures_core::Stream, futures_sink::Sink};

use super::buffer_pool::Borrowed;
use super::group::{Group, Membership};
use super::responder::Responder;
use super::tasks::Tasks;
use super::turn::{MOST_INFLATED, Turn};
use super::write_driver::WriteDriver;
use super::{Reader, Timer, Transport, Writer, split};
use crate::adapters::error::Error;
use crate::adapters::handshake_driver::Opened;
use crate::handshake::{HandshakeInfo, Headers};
use crate::{CloseFrame, Connection, Event, Inbox, Message, Outcome, ReadyState};

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
    handshake: HandshakeInfo,
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
        Self::opened(stream, runtime, Opened { connection, inbox, handshake: HandshakeInfo::default() })
    }

    /// Sets what [`target`](Self::target), [`subprotocol`](Self::subprotocol) and [`headers`](Self::headers) return, for
    /// a WebSocket that was made of parts.
    #[must_use]
    pub fn with_handshake(mut self, handshake: HandshakeInfo) -> Self {
        self.inner.handshake = handshake;
        self
    }

    /// Returns the facts about the handshake. They are empty if the WebSocket was made of parts, unless
    /// [`with_handshake`](Self::with_handshake) has set them.
    #[must_use]
    pub const fn handshake(&self) -> &HandshakeInfo {
        &self.inner.handshake
    }

    /// Returns the target of the request: path and query, or an absolute URI.
    #[must_use]
    pub fn target(&self) -> &str {
        self.inner.handshake.target()
    }

    /// Returns the subprotocol that the handshake agreed on.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.inner.handshake.subprotocol()
    }

    /// Returns the headers of the peer's handshake: those of the request on a server, those of the response on a
    /// client.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        self.inner.handshake.headers()
    }

    /// Frees the memory of [`headers`](Self::headers), which returns no headers from then on.
    pub fn forget_headers(&mut self) {
        self.inner.handshake.forget_headers();
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
    /// a part of a message. Queued frames are in the connection, and none is lost. The facts about the handshake are not
    /// among the parts: clone [`handshake`](Self::handshake) before, and pass it to
    /// [`with_handshake`](Self::with_handshake).
    ///
    /// The new clock starts at the [latest instant](Connection::latest_instant) that the connection knows. So its
    /// timers are late by at most the time that the connection had been silent.
    ///
    /// After a failed write the connection [records the failure](crate::Sender::has_write_failed). A WebSocket of these
    /// parts still receives, and its sends fail with
    /// [`ErrorKind::BrokenPipe`](std::io::ErrorKind::BrokenPipe).
    #[must_use]
    pub fn into_parts(self) -> (S, Connection, Inbox)
    where
        R: Timer,
    {
        let Inner { stream, mut wire, mut connection, inbox, .. } = *self.inner;
        wire.clock().catch_up(&mut connection);
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
        wire.clock().catch_up(&mut connection);
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
                return Ok(Some((inbox.message(message), Responder::new(stream, wire, connection))));
            }
            if let Some(polled) = inner.poll_event() {
                let cx = &mut Context::from_waker(Waker::noop());
                let Some(ready) = inner.filter_event(polled, cx)? else { continue };
                let Inner { stream, wire, connection, inbox, .. } = inner;
                return Ok(Some((inbox.event(ready), Responder::new(stream, wire, connection))));
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
        Responder::new(stream, wire, connection)
    }
}
