//! The handle that answers an event while the event is borrowed.
//!
//! An event borrows from the inbox, so the application cannot use the whole WebSocket at the same time. A [`Responder`]
//! borrows the other parts: the connection and the stream.
//!
//! Its messages are queued. The run loop in `run_loop.rs` writes the queue before it blocks. If the queue is full, the
//! call on the `Responder` writes it first, and may block. `write_driver.rs` does the writing.
//!
//! Invariant: [`SendError::Blocked`] is never returned.

use std::prelude::v1::*;

use super::write_driver::Output;
#[cfg(doc)]
use crate::SendError;
use crate::adapters::error::Error;
use crate::{CloseCode, Connection, Message, MessageKind, Prepared, ReadyState, SendOptions, UnsentMessage};

/// A handle that answers an event. Its messages are queued, and written before
/// [`WebSocket::next_event`](super::WebSocket::next_event) blocks.
///
/// # Blocking
///
/// If the queue holds [`Config::high_water`](crate::Config::high_water) bytes or more, a call that sends writes the
/// whole queue first. It blocks until the stream has taken it. The timers of the connection bound the wait. In
/// non-blocking mode such a call returns [`Error::Io`] with [`WouldBlock`](std::io::ErrorKind::WouldBlock) instead,
/// and its message is not queued.
///
/// # Errors
///
/// Every method that sends returns
///
/// - [`Error::Send`] with [`SendError::Closed`] if closing has begun or the connection has ended;
/// - [`Error::Send`] with [`SendError::MessageOpen`] if a fragmented message is open, except for control frames;
/// - [`Error::Io`] if the queue was full and the stream failed while it was written.
///
/// After an error the message is not queued. [`SendError::Blocked`] is not returned, except by
/// [`try_send`](Self::try_send): the call waits instead.
#[derive(Debug)]
pub struct Responder<'w, S> {
    out: Output<'w, S, Connection>,
}

impl<'w, S> Responder<'w, S> {
    pub(super) const fn new(out: Output<'w, S, Connection>) -> Self {
        Self { out }
    }

    /// Queues a text message.
    ///
    /// # Errors
    ///
    /// [`Error::Send`] and [`Error::Io`] under the conditions that [`Responder`] lists.
    pub fn send_text(&mut self, text: &str) -> Result<(), Error> {
        self.out.queue(|connection| connection.send_text(text))
    }

    /// Queues a binary message.
    ///
    /// # Errors
    ///
    /// [`Error::Send`] and [`Error::Io`] under the conditions that [`Responder`] lists.
    pub fn send_binary(&mut self, data: &[u8]) -> Result<(), Error> {
        self.out.queue(|connection| connection.send_binary(data))
    }

    /// Queues a fragment of a message (RFC 6455 section 5.4).
    ///
    /// [`Sender::send_fragment`](crate::Sender::send_fragment) describes the arguments.
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::MessageOpen`]: a message of another kind is open.
    /// - [`Error::Send`] with [`SendError::Closed`], and [`Error::Io`], under the conditions that [`Responder`] lists.
    pub fn send_fragment(&mut self, kind: MessageKind, data: &[u8], fin: bool) -> Result<(), Error> {
        self.out.queue(|connection| connection.send_fragment(kind, data, fin))
    }

    /// Queues a fragment of a message, with options.
    ///
    /// [`Sender::send_fragment_with`](crate::Sender::send_fragment_with) describes the arguments.
    ///
    /// # Errors
    ///
    /// [`Error::Send`] and [`Error::Io`] under the conditions that [`Self::send_fragment`] lists.
    pub fn send_fragment_with(
        &mut self,
        kind: MessageKind,
        data: &[u8],
        fin: bool,
        options: SendOptions,
    ) -> Result<(), Error> {
        self.out.queue(|connection| connection.send_fragment_with(kind, data, fin, options))
    }

    /// Queues a message that owns its data.
    ///
    /// [`Sender::send`](crate::Sender::send) says which messages are queued without being copied.
    ///
    /// # Errors
    ///
    /// [`Error::Send`] and [`Error::Io`] under the conditions that [`Responder`] lists.
    pub fn send(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        self.send_with(message, SendOptions::new())
    }

    /// Queues a message that owns its data, with options.
    ///
    /// # Errors
    ///
    /// [`Error::Send`] and [`Error::Io`] under the conditions that [`Responder`] lists.
    pub fn send_with(&mut self, message: impl Into<Message>, options: SendOptions) -> Result<(), Error> {
        self.out.queue_message(message.into(), options)
    }

    /// Queues a message that was [prepared](Prepared) for many connections.
    ///
    /// # Errors
    ///
    /// [`Error::Send`] and [`Error::Io`] under the conditions that [`Responder`] lists.
    pub fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.out.queue(|connection| connection.send_prepared(prepared))
    }

    /// Queues a message without waiting.
    ///
    /// The message is written before [`WebSocket::next_event`](super::WebSocket::next_event) blocks.
    ///
    /// If the queue is full, what the stream takes now is written first. Timers do not run in this call. Over a stream
    /// without timeouts, such as one from [`from_parts`](super::WebSocket::from_parts) with `|_| None`, a write can block.
    ///
    /// # Errors
    ///
    /// [`UnsentMessage`] hands the message back, and nothing of it is sent. Its error is
    ///
    /// - [`SendError::Blocked`]: the queue is full, because the peer reads too slowly. Block in [`send`](Self::send),
    ///   or drop the message.
    /// - [`SendError::MessageOpen`]: a fragmented message is open.
    /// - [`SendError::Closed`]: closing has begun, or a write has failed before.
    pub fn try_send(&mut self, message: impl Into<Message>) -> Result<(), UnsentMessage> {
        self.out.try_queue(message.into())
    }

    /// Queues a Ping, ahead of queued messages (RFC 6455 section 5.5.2).
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::ControlTooLong`]: the payload has more than
    ///   [`MAX_CONTROL_PAYLOAD`](crate::frame::MAX_CONTROL_PAYLOAD) bytes.
    /// - [`Error::Send`] with [`SendError::Closed`], and [`Error::Io`], under the conditions that [`Responder`] lists.
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.out.queue_ping(payload)
    }

    /// Queues an unsolicited Pong, ahead of queued messages (RFC 6455 section 5.5.3).
    ///
    /// # Errors
    ///
    /// [`Error::Send`] and [`Error::Io`] under the conditions that [`Self::ping`] lists.
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.out.queue(|connection| connection.pong(payload))
    }

    /// Starts the closing handshake by queueing a Close (RFC 6455 section 7.1.2). Never blocks.
    ///
    /// [`Sender::close`](crate::Sender::close) describes the arguments.
    ///
    /// # Errors
    ///
    /// [`Error::Send`] with
    ///
    /// - [`SendError::Closed`]: closing has begun, or the connection has ended;
    /// - [`SendError::CodeNotAllowed`]: this role must not send `code`, or `reason` has no code;
    /// - [`SendError::ReasonTooLong`]: `reason` has more than
    ///   [`CloseReason::MAX_LEN`](crate::CloseReason::MAX_LEN) bytes.
    pub fn close(
        &mut self,
        code: impl Into<Option<CloseCode>>,
        reason: impl AsRef<str>,
    ) -> Result<(), Error> {
        self.out.queue_close(code.into(), reason.as_ref())
    }

    /// Returns the number of bytes in the write queue, frame headers included.
    #[must_use]
    pub fn buffered_amount(&self) -> usize {
        self.out.sender().buffered_amount()
    }

    /// Returns the state of the connection, with the values of the browser's `readyState`.
    #[must_use]
    pub fn ready_state(&self) -> ReadyState {
        self.out.sender().ready_state()
    }
}
