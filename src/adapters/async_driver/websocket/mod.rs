//! The asynchronous WebSocket.
//!
//! [`WebSocket`] combines a [`Connection`], a stream and a runtime. Each call polls the run loop. Between two calls
//! nothing runs: there is no background task.
//!
//! - `mod.rs`: the state, the getters, the methods that receive, and the conversion into parts and halves.
//! - `sending.rs`: the methods that send.
//! - `run_loop.rs`: the loop that the methods poll.
//! - `stream_sink.rs`: the traits of the futures crates.
//! - `byte_stream.rs`: the WebSocket as a stream of bytes.
//!
//! Other files contain the protocol (`Connection`), the writing (`write_driver`) and the clock (`clock`). `tasks` has
//! the wakers of two tasks, and `reader` and `writer` are the halves of a split WebSocket.
//!
//! Invariant: the state of receiving and of the queue is in `Inner`, not in a future. So dropping a future loses no
//! event and no queued frame.

mod byte_stream;
mod run_loop;
mod sending;
mod stream_sink;

use core::time::Duration;
use std::future::poll_fn;
use std::prelude::v1::*;
use std::task::{Context, Waker};

#[cfg(doc)]
use {crate::SendError, futures_core::Stream, futures_sink::Sink};

use super::buffer_pool::InboxSlot;
use super::group::{Group, Membership};
use super::responder::Responder;
use super::tasks::Tasks;
use super::turn::{MAX_INFLATED, Turn};
use super::write_driver::WriteDriver;
use super::{Reader, Timer, Transport, Writer, split};
use crate::adapters::error::Error;
use crate::adapters::handshake_driver::Opened;
use crate::handshake::{HandshakeInfo, Headers};
use crate::{CloseFrame, Connection, Event, Inbox, Message, Outcome, ReadyState};

pub use byte_stream::ByteStream;

/// A WebSocket over a stream `S`, driven by a runtime `R`.
///
/// # The end of the connection
///
/// [`recv`](Self::recv), [`next_event`](Self::next_event) and the [`Stream`] return `None` after the end of the
/// connection. [`outcome`](Self::outcome) tells whether the peer closed or the stream broke off, see
/// [`Outcome::is_clean`]. [`peer_close`](Self::peer_close) returns the code and the reason of the peer. To get an error
/// at an abnormal end, turn on [`error_on_abnormal_end`](Self::error_on_abnormal_end).
///
/// # When frames are written
///
/// * Each `async` method of this type that sends writes the whole write queue before it returns: [`send`](Self::send),
///   [`ping`](Self::ping), [`close`](Self::close), [`flush`](Self::flush) and others.
/// * [`feed`](Self::feed) and the methods of a [`Responder`] queue their frames, and write the queue only if it is
///   full. A `Responder` writes a large borrowed message directly if the queue is empty. Queued frames are written
///   later: the next call that sends writes them. A call that receives also writes them, before that call waits.
///   Automatic Pongs and the answer to a Close are queued and written in the same way.
///
/// The timers of [`Config`](crate::Config) are checked while a call waits, and after a call has written. Without calls,
/// no timer runs.
///
/// # Two tasks
///
/// [`split`](Self::split) makes a half that receives and a half that sends, over any stream. `StreamExt::split` of the
/// futures crates works too. If both endpoints send much, let one task receive and another task send. Otherwise both
/// endpoints can wait in a call that sends, and neither reads what the other sends. A timer then ends the connection.
///
/// # Dropping
///
/// All futures can be dropped at any time. Each method states the effect, and [the module](super) has a table of the
/// effects. Dropping the `WebSocket` closes its stream without a Close, and the frames in its write queue are lost.
///
/// # Stream and Sink
///
/// The [`Stream`] yields the messages that [`recv`](Self::recv) returns. The [`Sink`] sends messages, and closing the
/// `Sink` sends a Close with code 1000.
#[derive(Debug)]
pub struct WebSocket<S, R> {
    inner: Box<Inner<S, R>>,
}

#[derive(Debug)]
// The fields that each turn of the loop uses follow each other, so that they are close together in memory. The last
// fields are used rarely.
#[repr(C)]
struct Inner<S, R> {
    stream: S,
    wire: WriteDriver<R>,
    inbox: InboxSlot,
    outcome: Option<Outcome>,
    turn: Turn,
    /// Whether the input has ended and the write queue must still be written before the connection ends.
    eof: bool,
    /// Whether an abnormal end must be reported as an error. Becomes false when the error was returned.
    error_on_abnormal_end: bool,
    group: Membership,
    connection: Connection,
    tasks: Tasks,
    handshake: HandshakeInfo,
}

impl<S, R> WebSocket<S, R> {
    // Kept out of line, because it runs only once per connection. Inlined, it would enlarge the stack frame of the
    // caller.
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
        connection.set_inflate_budget(Some(MAX_INFLATED));
        let inner = Inner {
            stream,
            wire,
            inbox: InboxSlot::new(inbox),
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

    /// Creates a WebSocket from a stream whose handshake is done, and a runtime of the application.
    ///
    /// `inbox` has the bytes that were already read and follow the handshake. Create `connection` with the time of
    /// [`runtime.now()`](Timer::now): if the time of the connection is earlier, the difference counts as silence of the
    /// peer.
    #[must_use]
    pub fn with_runtime(stream: S, runtime: R, connection: Connection, inbox: Inbox) -> Self
    where
        R: Timer,
    {
        Self::opened(stream, runtime, Opened { connection, inbox, handshake: HandshakeInfo::default() })
    }

    /// Sets the values that [`target`](Self::target), [`subprotocol`](Self::subprotocol) and [`headers`](Self::headers)
    /// return. They are empty in a WebSocket that was created from parts.
    #[must_use]
    pub fn with_handshake(mut self, handshake: HandshakeInfo) -> Self {
        self.inner.handshake = handshake;
        self
    }

    /// Returns the target, the subprotocol and the headers of the handshake. They are empty if the WebSocket was
    /// created from parts and [`with_handshake`](Self::with_handshake) was not called.
    #[must_use]
    pub const fn handshake(&self) -> &HandshakeInfo {
        &self.inner.handshake
    }

    /// Returns the target of the request: path and query, or an absolute URI.
    #[must_use]
    pub fn target(&self) -> &str {
        self.inner.handshake.target()
    }

    /// Returns the subprotocol that the handshake agreed on, or `None` if it agreed on none.
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

    /// Returns the Close that the peer sent, with its code and reason. The Close stays available after the end.
    ///
    /// Returns `None` if no Close has arrived, or if the peer's Close was not valid.
    #[must_use]
    pub fn peer_close(&self) -> Option<CloseFrame> {
        self.inner.connection.peer_close()
    }

    /// Sets whether [`recv`](Self::recv) and the [`Stream`] report an abnormal end as [`Error::Ended`]. This is off by
    /// default.
    ///
    /// If `on` is true and the messages end without a Close from the peer, the error is returned once, before `None`.
    /// If `on` is false, `None` is returned at every end. With the error, a loop over messages can distinguish a peer
    /// that closed from a connection that broke.
    pub fn error_on_abnormal_end(&mut self, on: bool) {
        self.inner.error_on_abnormal_end = on;
    }

    /// Returns how many bytes are queued and not written, including headers and control frames.
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

    /// Returns the stream, for example to set its options. Do not read from the stream or write to it: bytes would be
    /// lost, or sent in the wrong order.
    #[must_use]
    pub const fn stream_mut(&mut self) -> &mut S {
        &mut self.inner.stream
    }

    /// Returns the stream, the connection, and the inbox with the input that has not been decoded.
    ///
    /// A new WebSocket that is created from these parts continues where this WebSocket stopped. Use all three: the
    /// inbox can hold a part of a message, and the connection holds the queued frames. The facts about the handshake
    /// are not among the parts. To keep them, first clone [`handshake`](Self::handshake), and later pass the clone to
    /// [`with_handshake`](Self::with_handshake).
    ///
    /// The clock of the new WebSocket starts at the [latest instant](Connection::latest_instant) that the connection
    /// knows. The timers do not count the time between that instant and the start of the new clock.
    ///
    /// If a write has failed, the connection [records the failure](crate::Sender::has_write_failed). A WebSocket that
    /// is created from these parts can still receive. Its calls that send fail with
    /// [`ErrorKind::BrokenPipe`](std::io::ErrorKind::BrokenPipe).
    #[must_use]
    pub fn into_parts(self) -> (S, Connection, Inbox)
    where
        R: Timer,
    {
        let Inner { stream, mut wire, mut connection, inbox, .. } = *self.inner;
        wire.clock().record_received(&mut connection);
        wire.report_undecoded(&mut connection);
        connection.set_inflate_budget(None);
        if wire.has_failed() {
            connection.handle_write_failed();
        }
        let mut inbox = inbox.into_inbox();
        wire.hand_over_ahead(&connection, &mut inbox);
        (stream, connection, inbox)
    }

    /// Joins `group`, which can close all of its members at once.
    ///
    /// A WebSocket is in one group at most. If it was in another group, it leaves that group. After
    /// [`split`](Self::split) the [`Reader`] is the member.
    pub fn join(&mut self, group: &Group) {
        self.inner.group.join(group);
    }

    /// Splits the WebSocket into a half that receives and a half that sends, for two tasks.
    ///
    /// `split` works for every stream. The halves share the stream under a lock. The lock is held only during one poll,
    /// never while a task waits for the peer.
    #[must_use]
    pub fn split(self) -> (Reader<S, R>, Writer<S, R>)
    where
        R: Timer,
    {
        let Inner {
            stream, mut wire, mut connection, inbox, outcome, eof, group, error_on_abnormal_end, ..
        } = *self.inner;
        wire.clock().record_received(&mut connection);
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
    /// After each error, further calls return the events that follow, up to [`Event::Closed`].
    ///
    /// * [`Error::Protocol`]: the peer broke the protocol. A Close with the code of the violation is queued. The call
    ///   writes this Close if the stream takes it at once. This error is returned once.
    /// * [`Error::Io`]: a read or a write of this call failed, and the connection was not closing. The error of the
    ///   read and that of the write are each returned once.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, no event is lost. The next call continues.
    pub async fn next_event(&mut self) -> Result<Option<(Event<'_>, Responder<'_, S, R>)>, Error> {
        let inner = &mut *self.inner;
        // This loop repeats the code of `poll_next_event`. If it awaited an inner future instead, this future would
        // store its result in memory, and this function would copy the result once more for each event.
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
            poll_fn(|cx| inner.poll_read_or_drive(cx)).await?;
        }
        Ok(None)
    }

    /// Returns the next message, which owns its data, or `None` after the end. A large message is not copied.
    ///
    /// Control frames are answered and not returned. [`Delivery::Chunks`](crate::Delivery::Chunks) delivers no whole
    /// messages: use [`next_event`](Self::next_event) with that setting. The write queue is written before the call
    /// waits for input.
    ///
    /// # Errors
    ///
    /// After [`Error::Protocol`] and [`Error::Io`], further calls return the messages that follow, and then `None`.
    ///
    /// * [`Error::Protocol`]: the peer broke the protocol. A Close with the code of the violation is queued. The call
    ///   writes this Close if the stream takes it at once. This error is returned once.
    /// * [`Error::Io`]: a read or a write of this call failed, and the connection was not closing. The error of the
    ///   read and that of the write are each returned once.
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
    /// * [`Error::Io`]: a read or a write of this call failed, and the connection was not closing. The error of the
    ///   read and that of the write are each returned once.
    /// * [`Error::Send`] with [`SendError::Closed`]: the connection had already ended when this WebSocket was created
    ///   from it. The outcome was returned to an earlier owner of the connection.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the next call continues.
    pub async fn wait_closed(&mut self) -> Result<Outcome, Error> {
        poll_fn(|cx| self.inner.poll_closed(cx)).await
    }

    /// Returns a [`Responder`], which queues frames that a later call writes.
    pub fn responder(&mut self) -> Responder<'_, S, R> {
        let Inner { stream, wire, connection, .. } = &mut *self.inner;
        Responder::new(stream, wire, connection)
    }
}
