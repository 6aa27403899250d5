//! The [`Responder`]: sends frames while the application borrows an event.
//!
//! An event borrows from the inbox, so the application cannot use the whole WebSocket at the same time. A [`Responder`]
//! borrows the other parts, the connection and the stream. So the application can answer an event without copying it.
//!
//! A `Responder` queues its frames. The run loop in `run_loop.rs` writes the queue before it blocks. If the queue is
//! full, a call on the `Responder` first writes the queue, and may block. The writing is in `write_driver.rs`.
//!
//! Invariant: only [`Responder::try_send`] returns [`SendError::Blocked`].

use std::prelude::v1::*;

use super::write_driver::Output;
#[cfg(doc)]
use crate::SendError;
use crate::adapters::error::Error;
use crate::{CloseCode, Connection, Message, MessageKind, Prepared, ReadyState, SendOptions, UnsentMessage};

/// Sends frames in answer to an event, while the event is borrowed.
///
/// The methods queue frames. [`WebSocket::next_event`](super::WebSocket::next_event) writes the queue before it blocks,
/// and each call of the WebSocket that sends also writes the queue.
///
/// # Blocking
///
/// If the queue holds [`Config::high_water`](crate::Config::high_water) bytes or more, a call that sends must first
/// write the whole queue. The call blocks until the stream has taken the whole queue. The timers of the connection
/// bound the wait. In non-blocking mode such a call returns [`Error::Io`] with
/// [`WouldBlock`](std::io::ErrorKind::WouldBlock) instead, and its message is not queued.
///
/// Only [`try_send`](Self::try_send) returns [`SendError::Blocked`]. [`pong`](Self::pong) and [`close`](Self::close)
/// never block.
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
    /// - [`Error::Send`] with [`SendError::Closed`]: closing has begun, or the connection has ended. Nothing was
    ///   queued.
    /// - [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message is open. Nothing was queued.
    /// - [`Error::Io`] with [`WouldBlock`](std::io::ErrorKind::WouldBlock): the queue is full, and the stream is in
    ///   non-blocking mode and full. Nothing was queued.
    /// - [`Error::Io`] with another kind: the queue was full, and the stream failed while the call wrote the queue.
    ///   Nothing more can be sent.
    pub fn send_text(&mut self, text: &str) -> Result<(), Error> {
        self.out.queue(|connection| connection.send_text(text))
    }

    /// Queues a binary message.
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::Closed`]: closing has begun, or the connection has ended. Nothing was
    ///   queued.
    /// - [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message is open. Nothing was queued.
    /// - [`Error::Io`] with [`WouldBlock`](std::io::ErrorKind::WouldBlock): the queue is full, and the stream is in
    ///   non-blocking mode and full. Nothing was queued.
    /// - [`Error::Io`] with another kind: the queue was full, and the stream failed while the call wrote the queue.
    ///   Nothing more can be sent.
    pub fn send_binary(&mut self, data: &[u8]) -> Result<(), Error> {
        self.out.queue(|connection| connection.send_binary(data))
    }

    /// Queues a fragment of a message (RFC 6455 section 5.4).
    ///
    /// [`Sender::send_fragment`](crate::Sender::send_fragment) describes the arguments.
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message of the other kind is open. Nothing was
    ///   queued.
    /// - [`Error::Send`] with [`SendError::Closed`]: closing has begun, or the connection has ended. Nothing was
    ///   queued.
    /// - [`Error::Io`] with [`WouldBlock`](std::io::ErrorKind::WouldBlock): the queue is full, and the stream is in
    ///   non-blocking mode and full. Nothing was queued.
    /// - [`Error::Io`] with another kind: the queue was full, and the stream failed while the call wrote the queue.
    ///   Nothing more can be sent.
    pub fn send_fragment(&mut self, kind: MessageKind, data: &[u8], fin: bool) -> Result<(), Error> {
        self.out.queue(|connection| connection.send_fragment(kind, data, fin))
    }

    /// Queues a fragment of a message, with options.
    ///
    /// [`Sender::send_fragment_with`](crate::Sender::send_fragment_with) describes the arguments.
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message of the other kind is open. Nothing was
    ///   queued.
    /// - [`Error::Send`] with [`SendError::Closed`]: closing has begun, or the connection has ended. Nothing was
    ///   queued.
    /// - [`Error::Io`] with [`WouldBlock`](std::io::ErrorKind::WouldBlock): the queue is full, and the stream is in
    ///   non-blocking mode and full. Nothing was queued.
    /// - [`Error::Io`] with another kind: the queue was full, and the stream failed while the call wrote the queue.
    ///   Nothing more can be sent.
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
    /// [`Sender::send`](crate::Sender::send) tells which messages are not copied.
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::Closed`]: closing has begun, or the connection has ended. Nothing was
    ///   queued.
    /// - [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message is open. Nothing was queued.
    /// - [`Error::Io`] with [`WouldBlock`](std::io::ErrorKind::WouldBlock): the queue is full, and the stream is in
    ///   non-blocking mode and full. Nothing was queued.
    /// - [`Error::Io`] with another kind: the queue was full, and the stream failed while the call wrote the queue.
    ///   Nothing more can be sent.
    pub fn send(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        self.send_with(message, SendOptions::new())
    }

    /// Queues a message that owns its data, with options.
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::Closed`]: closing has begun, or the connection has ended. Nothing was
    ///   queued.
    /// - [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message is open. Nothing was queued.
    /// - [`Error::Io`] with [`WouldBlock`](std::io::ErrorKind::WouldBlock): the queue is full, and the stream is in
    ///   non-blocking mode and full. Nothing was queued.
    /// - [`Error::Io`] with another kind: the queue was full, and the stream failed while the call wrote the queue.
    ///   Nothing more can be sent.
    pub fn send_with(&mut self, message: impl Into<Message>, options: SendOptions) -> Result<(), Error> {
        self.out.queue_message(message.into(), options)
    }

    /// Queues a message that was [prepared](Prepared) once for many connections.
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::Closed`]: closing has begun, or the connection has ended. Nothing was
    ///   queued.
    /// - [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message is open. Nothing was queued.
    /// - [`Error::Io`] with [`WouldBlock`](std::io::ErrorKind::WouldBlock): the queue is full, and the stream is in
    ///   non-blocking mode and full. Nothing was queued.
    /// - [`Error::Io`] with another kind: the queue was full, and the stream failed while the call wrote the queue.
    ///   Nothing more can be sent.
    pub fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.out.queue(|connection| connection.send_prepared(prepared))
    }

    /// Queues a message without waiting.
    ///
    /// The message is written before [`WebSocket::next_event`](super::WebSocket::next_event) blocks.
    ///
    /// If the queue is full, the call first writes as much of the queue as the stream takes now. This call does not run
    /// timers. Over a stream without timeouts, such as one from [`from_parts`](super::WebSocket::from_parts) with
    /// `|_| None`, the write can block.
    ///
    /// # Errors
    ///
    /// The error is an [`UnsentMessage`], which returns the message. No part of the message was sent. The field `error`
    /// is one of:
    ///
    /// - [`SendError::Blocked`]: the queue is full, because the peer reads too slowly. Wait for space with
    ///   [`send`](Self::send), or drop the message.
    /// - [`SendError::MessageOpen`]: a fragmented message is open.
    /// - [`SendError::Closed`]: closing has begun, or a write has failed before.
    pub fn try_send(&mut self, message: impl Into<Message>) -> Result<(), UnsentMessage> {
        self.out.try_queue(message.into())
    }

    /// Queues a Ping, ahead of queued messages (RFC 6455 section 5.5.2).
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::ControlTooLong`]: the payload is longer than
    ///   [`MAX_CONTROL_PAYLOAD`](crate::frame::MAX_CONTROL_PAYLOAD). Nothing was queued.
    /// - [`Error::Send`] with [`SendError::Closed`]: closing has begun, or the connection has ended. Nothing was
    ///   queued.
    /// - [`Error::Io`] with [`WouldBlock`](std::io::ErrorKind::WouldBlock): no further Ping can be queued, and the
    ///   stream is in non-blocking mode and full. Nothing was queued.
    /// - [`Error::Io`] with another kind: no further Ping could be queued, and the stream failed while the call wrote
    ///   the queue. Nothing more can be sent.
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.out.queue_ping(payload)
    }

    /// Queues an unsolicited Pong, ahead of queued messages (RFC 6455 section 5.5.3). Never blocks.
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::ControlTooLong`]: the payload is longer than
    ///   [`MAX_CONTROL_PAYLOAD`](crate::frame::MAX_CONTROL_PAYLOAD). Nothing was queued.
    /// - [`Error::Send`] with [`SendError::Closed`]: closing has begun, or the connection has ended. Nothing was
    ///   queued.
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.out.queue(|connection| connection.pong(payload))
    }

    /// Starts the closing handshake by queueing a Close (RFC 6455 section 7.1.2). Never blocks.
    ///
    /// [`Sender::close`](crate::Sender::close) describes the arguments.
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::CodeNotAllowed`]: this role must not send `code`, or there is a reason but
    ///   no code. The connection stays open.
    /// - [`Error::Send`] with [`SendError::ReasonTooLong`]: `reason` is longer than
    ///   [`CloseReason::MAX_LEN`](crate::CloseReason::MAX_LEN). The connection stays open.
    /// - [`Error::Send`] with [`SendError::Closed`]: closing has already begun, or the connection has ended.
    pub fn close(
        &mut self,
        code: impl Into<Option<CloseCode>>,
        reason: impl AsRef<str>,
    ) -> Result<(), Error> {
        self.out.queue_close(code.into(), reason.as_ref())
    }

    /// Returns how many bytes are queued and not written, including headers and control frames.
    #[must_use]
    pub fn buffered_amount(&self) -> usize {
        self.out.sender().buffered_amount()
    }

    /// Returns the state of the connection, like `readyState` in a browser.
    #[must_use]
    pub fn ready_state(&self) -> ReadyState {
        self.out.sender().ready_state()
    }
}
