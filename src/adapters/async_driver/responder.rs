//! The [`Responder`], whose methods queue frames that a later call writes.
//!
//! An event borrows from the inbox of a WebSocket. A [`Responder`] borrows the other fields: the stream, the write
//! driver and the connection. So the application can answer an event without copying it. The methods of `WebSocket`
//! that send also use a `Responder`, and then flush.
//!
//! `send_text` and `send_binary` write a message of [`LARGE`] bytes or more directly to the stream if the queue is
//! empty. Only the part that the stream does not take is copied into the queue. If there are frames in the queue, the
//! message is queued behind these frames, so the order is kept.
//!
//! Invariants:
//! - A message is queued completely or refused in one poll. A call waits only while the queue is full.
//! - A call that is dropped while it waits has queued nothing.

use core::future::Future;
use core::mem::replace;
use std::future::poll_fn;
use std::prelude::v1::*;
use std::task::{Context, Poll, Waker};

use super::write_driver::{WriteDriver, WriteFn};
use super::{Transport, buffer_pool};
use crate::adapters::error::Error;
use crate::{
    CloseCode, Connection, Instant, Message, MessageKind, Prepared, ReadyState, SendError, SendOptions,
    SendingHalf, UnsentMessage,
};

/// Borrowed messages of at least this many bytes are written directly if the queue is empty. For such a message, a
/// separate write costs less than a copy into the queue.
const LARGE: usize = 16 << 10;

/// Sends frames in answer to an event, while the event is borrowed.
///
/// The methods queue frames. The next call that flushes writes them, or a call that receives writes them before it
/// waits. A method waits only if the queue is full. While it waits, it writes the queue, until the queue accepts the
/// frame.
///
/// [`send_text`](Self::send_text) and [`send_binary`](Self::send_binary) write a large message directly if the queue is
/// empty. They queue only the part that the stream does not take at once, and do not wait.
#[derive(Debug)]
pub struct Responder<'w, S, R> {
    stream: &'w mut S,
    wire: &'w mut WriteDriver<R>,
    connection: &'w mut Connection,
}

impl<'w, S, R> Responder<'w, S, R> {
    pub(super) const fn new(
        stream: &'w mut S,
        wire: &'w mut WriteDriver<R>,
        connection: &'w mut Connection,
    ) -> Self {
        Self { stream, wire, connection }
    }
}

impl<S, R: Transport<S>> Responder<'_, S, R> {
    /// Queues a text message.
    ///
    /// # Errors
    ///
    /// The call does not return [`SendError::Blocked`]. It waits while the write queue is full.
    ///
    /// * [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message is open. Nothing was queued.
    /// * [`Error::Send`] with [`SendError::Closed`]: closing has begun. Nothing was queued.
    /// * [`Error::Io`]: the write queue was full, and the stream failed while the call wrote the queue. Nothing more
    ///   can be sent.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, no part of the message is ever sent.
    pub async fn send_text(&mut self, text: &str) -> Result<(), Error> {
        let mut begun = false;
        poll_fn(|cx| {
            if self.goes_through(text.len()) {
                return self
                    .send_through(cx, |connection, now, write| connection.transmit_text(now, text, write));
            }
            self.poll_feed(cx, &mut begun, |connection| connection.send_text(text))
        })
        .await
    }

    /// Queues a binary message.
    ///
    /// # Errors
    ///
    /// The call does not return [`SendError::Blocked`]. It waits while the write queue is full.
    ///
    /// * [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message is open. Nothing was queued.
    /// * [`Error::Send`] with [`SendError::Closed`]: closing has begun. Nothing was queued.
    /// * [`Error::Io`]: the write queue was full, and the stream failed while the call wrote the queue. Nothing more
    ///   can be sent.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, no part of the message is ever sent.
    pub async fn send_binary(&mut self, data: &[u8]) -> Result<(), Error> {
        let mut begun = false;
        poll_fn(|cx| self.poll_send_binary(cx, &mut begun, data)).await
    }

    /// Queues a binary message: one poll of [`send_binary`](Self::send_binary). `begun` is false in the first poll.
    pub(super) fn poll_send_binary(
        &mut self,
        cx: &mut Context<'_>,
        begun: &mut bool,
        data: &[u8],
    ) -> Poll<Result<(), Error>> {
        if self.goes_through(data.len()) {
            return self
                .send_through(cx, |connection, now, write| connection.transmit_binary(now, data, write));
        }
        self.poll_feed(cx, begun, |connection| connection.send_binary(data))
    }

    /// Queues a fragment of a message; see [`Sender::send_fragment`](crate::Sender::send_fragment).
    ///
    /// # Errors
    ///
    /// The call does not return [`SendError::Blocked`]. It waits while the write queue is full.
    ///
    /// * [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message of the other kind is open. Nothing was
    ///   queued.
    /// * [`Error::Send`] with [`SendError::Closed`]: closing has begun. Nothing was queued.
    /// * [`Error::Io`]: the write queue was full, and the stream failed while the call wrote the queue. Nothing more
    ///   can be sent.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, no part of the fragment is ever sent.
    pub async fn send_fragment(&mut self, kind: MessageKind, data: &[u8], fin: bool) -> Result<(), Error> {
        self.feed(|connection| connection.send_fragment(kind, data, fin)).await
    }

    /// Queues a fragment of a message, with options; see
    /// [`Sender::send_fragment_with`](crate::Sender::send_fragment_with).
    ///
    /// # Errors
    ///
    /// The call does not return [`SendError::Blocked`]. It waits while the write queue is full.
    ///
    /// * [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message of the other kind is open. Nothing was
    ///   queued.
    /// * [`Error::Send`] with [`SendError::Closed`]: closing has begun. Nothing was queued.
    /// * [`Error::Io`]: the write queue was full, and the stream failed while the call wrote the queue. Nothing more
    ///   can be sent.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, no part of the fragment is ever sent.
    pub async fn send_fragment_with(
        &mut self,
        kind: MessageKind,
        data: &[u8],
        fin: bool,
        options: SendOptions,
    ) -> Result<(), Error> {
        self.feed(|connection| connection.send_fragment_with(kind, data, fin, options)).await
    }

    /// Queues a message that owns its data; see [`Sender::send`](crate::Sender::send).
    ///
    /// # Errors
    ///
    /// The call does not return [`SendError::Blocked`]. It waits while the write queue is full.
    ///
    /// * [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message is open. Nothing was queued.
    /// * [`Error::Send`] with [`SendError::Closed`]: closing has begun. Nothing was queued.
    /// * [`Error::Io`]: the write queue was full, and the stream failed while the call wrote the queue. Nothing more
    ///   can be sent.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, no part of the message is ever sent.
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        let mut waiting = Some(message.into());
        self.feed(|connection| try_send_message(connection, &mut waiting, SendOptions::new())).await
    }

    /// Queues a message that owns its data, with options; see [`Sender::send_with`](crate::Sender::send_with).
    ///
    /// # Errors
    ///
    /// The call does not return [`SendError::Blocked`]. It waits while the write queue is full.
    ///
    /// * [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message is open. Nothing was queued.
    /// * [`Error::Send`] with [`SendError::Closed`]: closing has begun. Nothing was queued.
    /// * [`Error::Io`]: the write queue was full, and the stream failed while the call wrote the queue. Nothing more
    ///   can be sent.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, no part of the message is ever sent.
    pub async fn send_with(
        &mut self,
        message: impl Into<Message>,
        options: SendOptions,
    ) -> Result<(), Error> {
        let mut waiting = Some(message.into());
        self.feed(|connection| try_send_message(connection, &mut waiting, options)).await
    }

    /// Queues a message prepared for many connections; see [`Prepared`].
    ///
    /// # Errors
    ///
    /// The call does not return [`SendError::Blocked`]. It waits while the write queue is full.
    ///
    /// * [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message is open. Nothing was queued.
    /// * [`Error::Send`] with [`SendError::Closed`]: closing has begun. Nothing was queued.
    /// * [`Error::Io`]: the write queue was full, and the stream failed while the call wrote the queue. Nothing more
    ///   can be sent.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, no part of the message is ever sent.
    pub async fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.feed(|connection| connection.send_prepared(prepared)).await
    }

    /// Queues a message without waiting.
    ///
    /// The next call that flushes writes the message. A call that receives also writes the message, before that call
    /// waits.
    ///
    /// If the write queue is full, `try_send` first writes as much of the queue as the stream takes now. `try_send`
    /// does not run timers.
    ///
    /// # Errors
    ///
    /// The error is an [`UnsentMessage`], which returns the message. No part of the message was sent. The field `error`
    /// is one of:
    ///
    /// * [`SendError::Blocked`]: the write queue is full, because the peer reads too slowly. Wait for space with
    ///   [`send`](Self::send), or drop the message.
    /// * [`SendError::MessageOpen`]: a fragmented message is open.
    /// * [`SendError::Closed`]: closing has begun, or a write has failed before.
    pub fn try_send(&mut self, message: impl Into<Message>) -> Result<(), UnsentMessage> {
        let cx = &mut Context::from_waker(Waker::noop());
        self.wire.try_queue(self.stream, self.connection, cx, message.into())
    }

    /// Queues a Ping; see [`Sender::ping`](crate::Sender::ping).
    ///
    /// # Errors
    ///
    /// The call does not return [`SendError::Blocked`]. It waits while no further Ping can be queued.
    ///
    /// * [`Error::Send`] with [`SendError::ControlTooLong`]: the payload is longer than
    ///   [`MAX_CONTROL_PAYLOAD`](crate::frame::MAX_CONTROL_PAYLOAD). Nothing was queued.
    /// * [`Error::Send`] with [`SendError::Closed`]: closing has begun. Nothing was queued.
    /// * [`Error::Io`]: the write queue was full, and the stream failed while the call wrote the queue. Nothing more
    ///   can be sent.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, the Ping is never sent.
    pub async fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        let now = self.wire.clock().read_clock();
        self.feed(|connection| connection.ping(now, payload)).await
    }

    /// Queues an unsolicited Pong (RFC 6455 section 5.5.3). Never waits; see [`Sender::pong`](crate::Sender::pong).
    ///
    /// # Errors
    ///
    /// * [`Error::Send`] with [`SendError::ControlTooLong`]: the payload is longer than
    ///   [`MAX_CONTROL_PAYLOAD`](crate::frame::MAX_CONTROL_PAYLOAD). Nothing was queued.
    /// * [`Error::Send`] with [`SendError::Closed`]: closing has begun. Nothing was queued.
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), Error> {
        Ok(self.connection.pong(payload)?)
    }

    /// Queues a Close. Never waits; see [`Sender::close`](crate::Sender::close).
    ///
    /// # Errors
    ///
    /// * [`Error::Send`] with [`SendError::CodeNotAllowed`]: this role must not send `code`, or there is a reason but
    ///   no code. Nothing was queued.
    /// * [`Error::Send`] with [`SendError::ReasonTooLong`]: `reason` is longer than
    ///   [`CloseReason::MAX_LEN`](crate::CloseReason::MAX_LEN). Nothing was queued.
    /// * [`Error::Send`] with [`SendError::Closed`]: closing had already begun.
    pub fn close(
        &mut self,
        code: impl Into<Option<CloseCode>>,
        reason: impl AsRef<str>,
    ) -> Result<(), Error> {
        Ok(self.connection.close(self.wire.clock().read_clock(), code, reason)?)
    }

    /// Returns how many bytes are queued and not written, including headers and control frames.
    #[must_use]
    pub fn buffered_amount(&self) -> usize {
        self.connection.buffered_amount()
    }

    /// Returns the state of the connection, like `readyState` in a browser.
    #[must_use]
    pub const fn ready_state(&self) -> ReadyState {
        self.connection.ready_state()
    }

    /// Returns whether a message of `len` bytes is written directly to the stream; see [`LARGE`].
    fn goes_through(&self, len: usize) -> bool {
        len >= LARGE && self.connection.buffered_amount() == 0 && !self.wire.has_failed()
    }

    /// Writes as much of a message as the stream takes now, and queues the rest. Never waits.
    fn send_through(
        &mut self,
        cx: &mut Context<'_>,
        send: impl FnOnce(&mut Connection, Instant, WriteFn<'_>) -> Result<(), SendError>,
    ) -> Poll<Result<(), Error>> {
        Poll::Ready(self.wire.send_through(self.stream, self.connection, cx, send).map_err(Error::from))
    }

    fn feed(
        &mut self,
        mut send: impl FnMut(&mut Connection) -> Result<(), SendError>,
    ) -> impl Future<Output = Result<(), Error>> {
        let mut begun = false;
        poll_fn(move |cx| self.poll_feed(cx, &mut begun, &mut send))
    }

    /// Queues a message, or waits while the queue is full. `begun` tells whether the call was polled before.
    #[inline]
    fn poll_feed(
        &mut self,
        cx: &mut Context<'_>,
        begun: &mut bool,
        mut send: impl FnMut(&mut Connection) -> Result<(), SendError>,
    ) -> Poll<Result<(), Error>> {
        if !replace(begun, true) {
            // Fast path: the queue is rarely full, so the first poll tries to queue the message without entering
            // `WriteDriver::poll_feed`.
            buffer_pool::reuse_queue_memory(self.connection);
            match send(self.connection) {
                Err(SendError::Blocked) => {}
                sent => return Poll::Ready(sent.map_err(Error::from)),
            }
        }
        self.wire.poll_feed(self.stream, self.connection, cx, send)
    }
}

/// Queues the message in `waiting`. Leaves the message in `waiting` if the write queue is full.
pub(super) fn try_send_message(
    half: &mut impl SendingHalf,
    waiting: &mut Option<Message>,
    options: SendOptions,
) -> Result<(), SendError> {
    let Some(message) = waiting.take() else { return Ok(()) };
    half.send_with(message, options).map_err(|refused| {
        if refused.error == SendError::Blocked {
            *waiting = Some(refused.message);
        }
        refused.error
    })
}
