//! Sending without writing at once: the [`Responder`].
//!
//! A [`Responder`] borrows the sending fields of a WebSocket while an event borrows the inbox. So an event can be
//! answered without being copied. The methods of `WebSocket` that send use it too, and flush afterwards.
//!
//! A large message takes another way than a small one if the queue is empty. It is offered to the stream directly, and
//! only the rest is copied into the queue. With frames in the queue it is queued behind them, so the order is kept.
//!
//! Invariants:
//! - A message is accepted or refused as a whole in one poll, and waits only for room in the queue.
//! - A call that is dropped while it waits has not queued anything.

use core::future::Future;
use core::mem::replace;
use std::future::poll_fn;
use std::prelude::v1::*;
use std::task::{Context, Poll, Waker};

use super::write_driver::{Write, WriteDriver};
use super::{Transport, buffer_pool};
use crate::adapters::error::Error;
use crate::{
    CloseCode, Connection, Instant, Message, MessageKind, Prepared, ReadyState, SendError, SendOptions,
    SendingHalf, UnsentMessage,
};

/// Messages of at least this many bytes are written without being copied into the queue.
const LARGE: usize = 16 << 10;

/// Sends frames in answer to an event, while the event is borrowed.
///
/// Frames are queued, and written by the next call that flushes, or before a call that receives waits. A method waits
/// only if the queue is full, and then it writes the queue until there is room. If the queue is empty, a large message
/// is written directly, and only the part that the stream does not take is queued.
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
    /// Never [`SendError::Blocked`]: the call waits until the write queue has room.
    ///
    /// * [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message is open. Nothing was queued.
    /// * [`Error::Send`] with [`SendError::Closed`]: closing has begun. Nothing was queued.
    /// * [`Error::Io`]: the stream failed while the queue was written to make room. Nothing more can be sent.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, nothing of the message is ever sent.
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
    /// Never [`SendError::Blocked`]: the call waits until the write queue has room.
    ///
    /// * [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message is open. Nothing was queued.
    /// * [`Error::Send`] with [`SendError::Closed`]: closing has begun. Nothing was queued.
    /// * [`Error::Io`]: the stream failed while the queue was written to make room. Nothing more can be sent.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, nothing of the message is ever sent.
    pub async fn send_binary(&mut self, data: &[u8]) -> Result<(), Error> {
        let mut begun = false;
        poll_fn(|cx| {
            if self.goes_through(data.len()) {
                return self
                    .send_through(cx, |connection, now, write| connection.transmit_binary(now, data, write));
            }
            self.poll_feed(cx, &mut begun, |connection| connection.send_binary(data))
        })
        .await
    }

    /// Queues a fragment of a message; see [`Sender::send_fragment`](crate::Sender::send_fragment).
    ///
    /// # Errors
    ///
    /// Never [`SendError::Blocked`]: the call waits until the write queue has room.
    ///
    /// * [`Error::Send`] with [`SendError::MessageOpen`]: a message of the other kind is open. Nothing was queued.
    /// * [`Error::Send`] with [`SendError::Closed`]: closing has begun. Nothing was queued.
    /// * [`Error::Io`]: the stream failed while the queue was written to make room. Nothing more can be sent.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, nothing of the fragment is ever sent.
    pub async fn send_fragment(&mut self, kind: MessageKind, data: &[u8], fin: bool) -> Result<(), Error> {
        self.feed(|connection| connection.send_fragment(kind, data, fin)).await
    }

    /// Queues a fragment of a message, with options; see [`Sender::send_fragment_with`](crate::Sender::send_fragment_with).
    ///
    /// # Errors
    ///
    /// Never [`SendError::Blocked`]: the call waits until the write queue has room.
    ///
    /// * [`Error::Send`] with [`SendError::MessageOpen`]: a message of the other kind is open. Nothing was queued.
    /// * [`Error::Send`] with [`SendError::Closed`]: closing has begun. Nothing was queued.
    /// * [`Error::Io`]: the stream failed while the queue was written to make room. Nothing more can be sent.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, nothing of the fragment is ever sent.
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
    /// Never [`SendError::Blocked`]: the call waits until the write queue has room.
    ///
    /// * [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message is open. Nothing was queued.
    /// * [`Error::Send`] with [`SendError::Closed`]: closing has begun. Nothing was queued.
    /// * [`Error::Io`]: the stream failed while the queue was written to make room. Nothing more can be sent.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, nothing of the message is ever sent.
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        let mut waiting = Some(message.into());
        self.feed(|connection| send_waiting(connection, &mut waiting, SendOptions::new())).await
    }

    /// Queues a message that owns its data, with options; see [`Sender::send_with`](crate::Sender::send_with).
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
    pub async fn send_with(
        &mut self,
        message: impl Into<Message>,
        options: SendOptions,
    ) -> Result<(), Error> {
        let mut waiting = Some(message.into());
        self.feed(|connection| send_waiting(connection, &mut waiting, options)).await
    }

    /// Queues a message prepared for many connections; see [`Prepared`].
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
    pub async fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.feed(|connection| connection.send_prepared(prepared)).await
    }

    /// Queues a message without waiting.
    ///
    /// The message is written by the next call that flushes, or before a call that receives waits.
    ///
    /// If the write queue is full, what the stream takes now is written first. Timers do not run in this call.
    ///
    /// # Errors
    ///
    /// [`UnsentMessage`] hands the message back, and nothing of it is sent. Its error is
    ///
    /// * [`SendError::Blocked`]: the write queue is full, because the peer reads too slowly. Wait with
    ///   [`send`](Self::send), or drop the message.
    /// * [`SendError::MessageOpen`]: a fragmented message is open.
    /// * [`SendError::Closed`]: closing has begun, or a write has failed before.
    pub fn try_send(&mut self, message: impl Into<Message>) -> Result<(), UnsentMessage> {
        let cx = &mut Context::from_waker(Waker::noop());
        self.wire.try_feed(self.stream, self.connection, cx, message.into())
    }

    /// Queues a Ping; see [`Sender::ping`](crate::Sender::ping).
    ///
    /// # Errors
    ///
    /// Never [`SendError::Blocked`]: the call waits until there is room for another Ping.
    ///
    /// * [`Error::Send`] with [`SendError::ControlTooLong`]: the payload is longer than
    ///   [`MAX_CONTROL_PAYLOAD`](crate::frame::MAX_CONTROL_PAYLOAD). Nothing was queued.
    /// * [`Error::Send`] with [`SendError::Closed`]: closing has begun. Nothing was queued.
    /// * [`Error::Io`]: the stream failed while the queue was written to make room. Nothing more can be sent.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, the Ping is never sent.
    pub async fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        let now = self.wire.clock().tick();
        self.feed(|connection| connection.ping(now, payload)).await
    }

    /// Queues an unsolicited Pong (RFC 6455 section 5.5.3), and never waits; see [`Sender::pong`](crate::Sender::pong).
    ///
    /// # Errors
    ///
    /// * [`Error::Send`] with [`SendError::ControlTooLong`]: the payload is longer than
    ///   [`MAX_CONTROL_PAYLOAD`](crate::frame::MAX_CONTROL_PAYLOAD). Nothing was queued.
    /// * [`Error::Send`] with [`SendError::Closed`]: closing has begun. Nothing was queued.
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), Error> {
        Ok(self.connection.pong(payload)?)
    }

    /// Queues a Close, and never waits; see [`Sender::close`](crate::Sender::close).
    ///
    /// # Errors
    ///
    /// * [`Error::Send`] with [`SendError::CodeNotAllowed`]: this role must not send `code`, or `reason` has no code.
    ///   Nothing was queued.
    /// * [`Error::Send`] with [`SendError::ReasonTooLong`]: `reason` is longer than
    ///   [`CloseReason::MAX_LEN`](crate::CloseReason::MAX_LEN). Nothing was queued.
    /// * [`Error::Send`] with [`SendError::Closed`]: closing had begun before.
    pub fn close(
        &mut self,
        code: impl Into<Option<CloseCode>>,
        reason: impl AsRef<str>,
    ) -> Result<(), Error> {
        Ok(self.connection.close(self.wire.clock().tick(), code, reason)?)
    }

    /// Returns the length of the write queue in bytes.
    #[must_use]
    pub fn buffered_amount(&self) -> usize {
        self.connection.buffered_amount()
    }

    /// Returns the state of the connection, like `readyState` in a browser.
    #[must_use]
    pub const fn ready_state(&self) -> ReadyState {
        self.connection.ready_state()
    }

    /// Whether a message of `len` bytes is written directly. For a large message a write of its own costs less than a
    /// copy into the queue.
    fn goes_through(&self, len: usize) -> bool {
        len >= LARGE && self.connection.buffered_amount() == 0 && self.wire.lets_through()
    }

    /// Writes a message directly as far as the stream takes it, and queues the rest. Never waits.
    fn send_through(
        &mut self,
        cx: &mut Context<'_>,
        send: impl FnOnce(&mut Connection, Instant, Write<'_>) -> Result<(), SendError>,
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

    /// Queues a message, or waits for room. `begun` tells whether the call was polled before.
    #[inline]
    fn poll_feed(
        &mut self,
        cx: &mut Context<'_>,
        begun: &mut bool,
        mut send: impl FnMut(&mut Connection) -> Result<(), SendError>,
    ) -> Poll<Result<(), Error>> {
        if !replace(begun, true) {
            // Fast path: the queue nearly always has room, so the first poll does not enter `WriteDriver::poll_feed`.
            buffer_pool::lend_outbox(self.connection);
            match send(self.connection) {
                Err(SendError::Blocked) => {}
                sent => return Poll::Ready(sent.map_err(Error::from)),
            }
        }
        self.wire.poll_feed(self.stream, self.connection, cx, send)
    }
}

/// Queues the message in `waiting`. Leaves it there if the write queue is full.
pub(super) fn send_waiting(
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
