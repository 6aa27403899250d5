//! The sending half of a split WebSocket.
//!
//! [`Writer`] has only a reference to [`Shared`], the state of both halves. Each poll of a call takes the shared lock,
//! queues a frame, and writes the queue. If the receiving half holds the lock at that moment, the task is woken when
//! the lock is free.
//!
//! The steps that a call makes under the lock are in `split`, and the lock and its wakers are in `shared_lock`. While
//! no call sends, `reader` runs the timers and writes the replies.
//!
//! Invariants:
//! - A message is queued completely, in one poll. So a dropped future leaves no part of a message in the queue.
//! - A call that never waits stores its message in `WaitingMessages` if the lock is taken. The task that holds the lock
//!   queues and writes this message, before or directly after it releases the lock.
//! - After each change that the reader must act on, the writer wakes the reader.

use core::pin::Pin;
use core::time::Duration;
use std::future::poll_fn;
use std::prelude::v1::*;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_sink::Sink;

use super::Transport;
use super::responder::try_send_message;
use super::shared_lock::Side;
use super::split::Shared;
use crate::adapters::error::Error;
use crate::{
    CloseCode, Instant, Message, MessageKind, Outbox, Prepared, ReadyState, SendError, SendOptions, Sender,
    UnsentMessage,
};

/// The sending half of a WebSocket, made by [`WebSocket::split`](super::WebSocket::split), for one task.
///
/// A call waits for the [`Reader`](super::Reader) only while the `Reader` polls the stream, which takes a short time.
/// After the `Reader` has received a Close, a violation of the protocol, or the end of the stream, sends are refused
/// with [`SendError::Closed`].
///
/// An `async` method that sends writes the whole write queue before it returns. [`feed`](Self::feed) only queues a
/// message. The `Reader` writes queued messages before it waits for input the next time. If the `Writer` is dropped,
/// the `Reader` is woken and writes the rest of the queue.
#[derive(Debug)]
pub struct Writer<S, R> {
    shared: Arc<Shared<S, R>>,
}

impl<S, R> Writer<S, R> {
    pub(super) const fn new(shared: Arc<Shared<S, R>>) -> Self {
        Self { shared }
    }

    /// Returns how many bytes are queued and not written, including headers and control frames. Never waits.
    ///
    /// The value was stored when the shared lock was last released. Messages that wait for the lock are included.
    #[must_use]
    pub fn buffered_amount(&self) -> usize {
        self.shared.buffered_amount()
    }

    /// Returns the state of the connection, like `readyState` in a browser. Never waits.
    ///
    /// The value was stored when the shared lock was last released.
    #[must_use]
    pub fn ready_state(&self) -> ReadyState {
        self.shared.status.ready_state()
    }

    /// Returns the time from the last answered Ping to its Pong, or `None` before the first Pong.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.shared.pending.round_trip()
    }
}

impl<S, R> Drop for Writer<S, R> {
    fn drop(&mut self) {
        // The reader must now write the messages that are still in the queue.
        self.shared.wake(Side::Reader);
    }
}

impl<S, R: Transport<S>> Writer<S, R> {
    /// Sends a text message, and writes the whole write queue.
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
    /// If the future is dropped, the message is sent either completely or not at all. A message that was not queued yet
    /// is never sent. A queued message is written by the next call that sends, or by the [`Reader`](super::Reader)
    /// before it waits for input.
    pub async fn send_text(&mut self, text: &str) -> Result<(), Error> {
        self.queue_and_write(|sender, _| sender.send_text(text)).await
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
        self.queue_and_write(|sender, _| sender.send_binary(data)).await
    }

    /// Sends a fragment of a message, and writes the whole write queue; see [`Sender::send_fragment`].
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
        self.queue_and_write(|sender, _| sender.send_fragment(kind, data, fin)).await
    }

    /// Sends a fragment of a message with options, and writes the whole write queue; see
    /// [`Sender::send_fragment_with`].
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
        self.queue_and_write(|sender, _| sender.send_fragment_with(kind, data, fin, options)).await
    }

    /// Sends a message that owns its data, and writes the whole write queue.
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
        let mut waiting = Some(message.into());
        self.queue_and_write(|sender, _| try_send_message(sender, &mut waiting, SendOptions::new())).await
    }

    /// Sends a message that owns its data with options, and writes the whole write queue; see [`Sender::send_with`].
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
        let mut waiting = Some(message.into());
        self.queue_and_write(|sender, _| try_send_message(sender, &mut waiting, options)).await
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
        self.queue_and_write(|sender, _| sender.send_prepared(prepared)).await
    }

    /// Queues a message that owns its data.
    ///
    /// The message is written by the next call that sends, by [`flush`](Self::flush), or by the
    /// [`Reader`](super::Reader) before it waits for input. If the write queue is full, this call writes the queue, and
    /// waits until the queue accepts the message.
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
        let mut waiting = Some(message.into());
        self.queue(|sender, _| try_send_message(sender, &mut waiting, SendOptions::new())).await
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
        self.queue(|sender, _| sender.send_prepared(prepared)).await
    }

    /// Queues a message without waiting, and writes as much of the write queue as the stream takes now.
    ///
    /// The rest is written by the next call that sends, or by the [`Reader`](super::Reader) before it waits for input.
    /// If the `Reader` holds the shared lock at this moment, the call stores the message. The `Reader` queues and
    /// writes the message in the same poll, before or after this poll releases the lock.
    ///
    /// If the write queue is full, the call first writes as much of the queue as the stream takes now. This call does
    /// not run timers.
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
    pub fn try_send(&mut self, message: impl Into<Message>) -> Result<(), UnsentMessage> {
        self.shared.try_send(message.into())
    }

    /// Sends a Ping, and writes the whole write queue; see [`Sender::ping`].
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
        self.queue_control(|sender, now| sender.ping(now, payload)).await
    }

    /// Sends an unsolicited Pong (RFC 6455 section 5.5.3), and writes the whole write queue; see [`Sender::pong`].
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
    /// If the future is dropped, the Pong is sent either completely or not at all.
    pub async fn pong(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.queue_control(|sender, _| sender.pong(payload)).await
    }

    /// Sends a Close, and writes the whole write queue; see [`Sender::close`]. The [`Reader`](super::Reader) receives
    /// the peer's Close and the end of the connection.
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
    /// If the future is dropped, the Close is sent either completely or not at all. A queued Close is written by the
    /// next call that sends, or by the `Reader`.
    pub async fn close(
        &mut self,
        code: impl Into<Option<CloseCode>>,
        reason: impl AsRef<str>,
    ) -> Result<(), Error> {
        let code = code.into();
        poll_fn(|cx| self.shared.poll_close(cx, code, reason.as_ref())).await?;
        poll_fn(|cx| self.shared.poll_flush(cx)).await
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
    /// If the future is dropped, the rest of the queue is written by the next call that sends, or by the
    /// [`Reader`](super::Reader). If queued messages are lost meanwhile, the next flush returns [`SendError::Closed`].
    pub async fn flush(&mut self) -> Result<(), Error> {
        self.queue_and_write(|_, _| Ok(())).await
    }

    async fn queue(
        &mut self,
        mut send: impl FnMut(&mut Sender<Outbox>, Instant) -> Result<(), SendError>,
    ) -> Result<(), Error> {
        poll_fn(|cx| self.poll_feed(cx, &mut send)).await
    }

    async fn queue_control(
        &mut self,
        mut send: impl FnMut(&mut Sender<Outbox>, Instant) -> Result<(), SendError>,
    ) -> Result<(), Error> {
        poll_fn(|cx| self.shared.poll_feed_control(cx, &mut send)).await?;
        poll_fn(|cx| self.shared.poll_flush(cx)).await
    }

    async fn queue_and_write(
        &mut self,
        send: impl FnMut(&mut Sender<Outbox>, Instant) -> Result<(), SendError>,
    ) -> Result<(), Error> {
        self.queue(send).await?;
        poll_fn(|cx| self.shared.poll_flush(cx)).await
    }

    fn poll_feed(
        &self,
        cx: &mut Context<'_>,
        send: impl FnMut(&mut Sender<Outbox>, Instant) -> Result<(), SendError>,
    ) -> Poll<Result<(), Error>> {
        self.shared.poll_feed(cx, send)
    }
}

impl<S, R: Transport<S>> Sink<Message> for Writer<S, R> {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_feed(cx, |sender, _| sender.can_send())
    }

    /// Queues a message.
    ///
    /// Before each call, [`poll_ready`](Sink::poll_ready) must have returned `Ready(Ok(()))`.
    ///
    /// # Errors
    ///
    /// * [`Error::Send`] with [`SendError::Blocked`]: the queue is full, because `poll_ready` was not called before.
    ///   The message is lost.
    /// * [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message is open. The message is lost.
    /// * [`Error::Send`] with [`SendError::Closed`]: closing has begun. The message is lost.
    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        Ok(self.shared.try_feed(message).map_err(|refused| refused.error)?)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.shared.poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        match ready!(self.shared.poll_close(cx, Some(CloseCode::NORMAL), "")) {
            Err(SendError::Closed) => {}
            closed => closed?,
        }
        self.as_mut().poll_flush(cx)
    }
}
