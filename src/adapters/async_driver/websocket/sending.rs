//! The methods of a [`WebSocket`] that send.
//!
//! Each method queues one frame through a [`Responder`](super::super::Responder), and then writes the whole write
//! queue. The methods whose names begin with `feed` queue a message, and write the queue only if it is full. `try_send`
//! queues a message, and writes as much of the queue as the stream takes now.
//!
//! The wait while the queue is full is in `responder` and `write_driver`. The [`Sink`](futures_sink::Sink), which
//! queues and writes in separate calls, is in `stream_sink`.
//!
//! Invariant: a message is accepted as a whole in one poll, or not at all. If the future is dropped after that poll,
//! the message stays in the queue.

use std::future::poll_fn;
use std::prelude::v1::*;
use std::task::{Context, Poll, Waker};

use super::WebSocket;
use crate::adapters::async_driver::{Transport, buffer_pool};
use crate::adapters::error::Error;
use crate::{CloseCode, Message, MessageKind, Prepared, SendOptions, UnsentMessage};
#[cfg(doc)]
use {crate::SendError, futures_core::Stream};

impl<S, R: Transport<S>> WebSocket<S, R> {
    /// Sends a text message, and writes the whole write queue.
    ///
    /// # Errors
    ///
    /// The call does not return [`SendError::Blocked`]. It waits while the write queue is full.
    ///
    /// * [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message is open. Nothing was sent.
    /// * [`Error::Send`] with [`SendError::Closed`]: closing has begun, so this message was refused. Or a queued
    ///   message was dropped, because the peer closed or the connection ended.
    /// * [`Error::Io`]: the stream failed. Nothing more can be sent.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the message is sent either completely or not at all. A message that was not queued yet
    /// is never sent. A queued message stays in the queue, and the next call that writes or waits writes it. The first
    /// poll queues the message if the write queue is below [`Config::high_water`](crate::Config::high_water).
    pub async fn send_text(&mut self, text: &str) -> Result<(), Error> {
        self.responder().send_text(text).await?;
        self.flush().await
    }

    /// Sends a binary message, and writes the whole write queue.
    ///
    /// # Errors
    ///
    /// The call does not return [`SendError::Blocked`]. It waits while the write queue is full.
    ///
    /// * [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message is open. Nothing was sent.
    /// * [`Error::Send`] with [`SendError::Closed`]: closing has begun, or a queued message was dropped because the
    ///   peer closed or the connection ended.
    /// * [`Error::Io`]: the stream failed. Nothing more can be sent.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the message is sent either completely or not at all; see
    /// [`send_text`](Self::send_text).
    pub async fn send_binary(&mut self, data: &[u8]) -> Result<(), Error> {
        self.responder().send_binary(data).await?;
        self.flush().await
    }

    /// Sends a fragment of a message, and writes the whole write queue; see
    /// [`Sender::send_fragment`](crate::Sender::send_fragment).
    ///
    /// # Errors
    ///
    /// The call does not return [`SendError::Blocked`]. It waits while the write queue is full.
    ///
    /// * [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message of the other kind is open. Nothing was
    ///   sent.
    /// * [`Error::Send`] with [`SendError::Closed`]: closing has begun, or a queued message was dropped because the
    ///   peer closed or the connection ended.
    /// * [`Error::Io`]: the stream failed. Nothing more can be sent.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the fragment is sent either completely or not at all; see
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
    /// The call does not return [`SendError::Blocked`]. It waits while the write queue is full.
    ///
    /// * [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message of the other kind is open. Nothing was
    ///   sent.
    /// * [`Error::Send`] with [`SendError::Closed`]: closing has begun, or a queued message was dropped because the
    ///   peer closed or the connection ended.
    /// * [`Error::Io`]: the stream failed. Nothing more can be sent.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the fragment is sent either completely or not at all; see
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
    /// The call does not return [`SendError::Blocked`]. It waits while the write queue is full.
    ///
    /// * [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message is open. Nothing was sent.
    /// * [`Error::Send`] with [`SendError::Closed`]: closing has begun, or a queued message was dropped because the
    ///   peer closed or the connection ended.
    /// * [`Error::Io`]: the stream failed. Nothing more can be sent.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the message is sent either completely or not at all; see
    /// [`send_text`](Self::send_text).
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        self.feed(message).await?;
        self.flush().await
    }

    /// Sends a message that owns its data with options, and writes the whole write queue; see
    /// [`Sender::send_with`](crate::Sender::send_with).
    ///
    /// # Errors
    ///
    /// The call does not return [`SendError::Blocked`]. It waits while the write queue is full.
    ///
    /// * [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message is open. Nothing was sent.
    /// * [`Error::Send`] with [`SendError::Closed`]: closing has begun, or a queued message was dropped because the
    ///   peer closed or the connection ended.
    /// * [`Error::Io`]: the stream failed. Nothing more can be sent.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the message is sent either completely or not at all; see
    /// [`send_text`](Self::send_text).
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
    /// The call does not return [`SendError::Blocked`]. It waits while the write queue is full.
    ///
    /// * [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message is open. Nothing was sent.
    /// * [`Error::Send`] with [`SendError::Closed`]: closing has begun, or a queued message was dropped because the
    ///   peer closed or the connection ended.
    /// * [`Error::Io`]: the stream failed. Nothing more can be sent.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the message is sent either completely or not at all; see
    /// [`send_text`](Self::send_text).
    pub async fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.responder().send_prepared(prepared).await?;
        self.flush().await
    }

    /// Queues a message that owns its data.
    ///
    /// The next call that sends, or [`flush`](Self::flush), writes the message. A call that receives also writes the
    /// message, before that call waits. If the write queue is full, this call writes the queue, and waits until the
    /// queue accepts the message.
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
    pub async fn feed(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        self.responder().send(message).await
    }

    /// Queues a message prepared for many connections; see [`Prepared`].
    ///
    /// [`feed`](Self::feed) describes when the message is written. If the write queue is full, this call writes the
    /// queue, and waits until the queue accepts the message.
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
    pub async fn feed_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.responder().send_prepared(prepared).await
    }

    /// Queues a message without waiting, and writes as much of the write queue as the stream takes now.
    ///
    /// The next call that sends writes the rest. A call that receives also writes the rest, before that call waits. A
    /// task that polls this WebSocket as a [`Stream`] must poll the `Stream` again after `try_send`. Without this poll,
    /// the task is not woken when the transport can take the rest.
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
    /// // If the peer reads nothing, the queue grows to the high-water mark plus one message.
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
        // The driver stores an error of this write. The next write returns it.
        let written = inner.wire.poll_write(&mut inner.stream, &mut inner.connection, cx);
        if let Poll::Ready(Ok(())) = written {
            buffer_pool::return_queue_memory(&mut inner.connection);
        }
        Ok(())
    }

    /// Sends a Ping, and writes the whole write queue; see [`Sender::ping`](crate::Sender::ping).
    ///
    /// # Errors
    ///
    /// The call does not return [`SendError::Blocked`]. It waits while no further Ping can be queued.
    ///
    /// * [`Error::Send`] with [`SendError::ControlTooLong`]: the payload is longer than
    ///   [`MAX_CONTROL_PAYLOAD`](crate::frame::MAX_CONTROL_PAYLOAD). Nothing was sent.
    /// * [`Error::Send`] with [`SendError::Closed`]: closing has begun, or a queued message was dropped because the
    ///   peer closed or the connection ended.
    /// * [`Error::Io`]: the stream failed. Nothing more can be sent.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the Ping is sent either completely or not at all.
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
    /// * [`Error::Send`] with [`SendError::Closed`]: closing has begun, or a queued message was dropped because the
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
    /// This call does not wait for the peer's Close. To wait, call [`wait_closed`](Self::wait_closed), or call
    /// [`next_event`](Self::next_event) until it returns `None`.
    ///
    /// # Errors
    ///
    /// * [`Error::Send`] with [`SendError::CodeNotAllowed`]: this role must not send `code`, or there is a reason but
    ///   no code. Nothing was sent.
    /// * [`Error::Send`] with [`SendError::ReasonTooLong`]: `reason` is longer than
    ///   [`CloseReason::MAX_LEN`](crate::CloseReason::MAX_LEN). Nothing was sent.
    /// * [`Error::Send`] with [`SendError::Closed`]: closing had already begun, or a queued message was dropped because
    ///   the peer closed or the connection ended.
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
    /// * [`Error::Send`] with [`SendError::Closed`]: a queued message was dropped because the peer closed or the
    ///   connection ended.
    /// * [`Error::Io`]: the stream failed. Nothing more can be sent.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the next call that writes or waits writes the rest of the queue. If queued messages
    /// are lost meanwhile, the next flush returns [`SendError::Closed`].
    pub async fn flush(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.inner.poll_flush(cx)).await
    }
}
