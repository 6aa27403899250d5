//! The half that sends.

use core::mem::replace;
use core::pin::Pin;
use core::time::Duration;
use std::future::poll_fn;
use std::prelude::v1::*;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_sink::Sink;

use super::Transport;
use super::responder::send_waiting;
use super::shared_lock::Side;
use super::split::Shared;
use crate::adapters::error::Error;
use crate::adapters::lock::lock;
use crate::{CloseCode, Instant, Message, MessageKind, Outbox, Prepared, SendError, Sender};

/// The half that sends, of [`WebSocket::split`](super::WebSocket::split), for one task.
///
/// It never waits for the half that receives, but for the moment in which that one is at the stream. Once that
/// one has seen a Close, a violation or the end of the stream, whatever is sent here is refused with
/// [`SendError::Closed`].
///
/// What is fed and not flushed goes out when the half that receives would wait for input next. Dropped, it
/// leaves what it has queued to that half, which then writes it if it waits already.
#[derive(Debug)]
pub struct Writer<S, R> {
    shared: Arc<Shared<S, R>>,
    /// [`Sink::poll_ready`] has found room for a message.
    is_ready: bool,
}

impl<S, R> Writer<S, R> {
    pub(super) const fn new(shared: Arc<Shared<S, R>>) -> Self {
        Self { shared, is_ready: false }
    }

    /// The time from the last Ping that was answered to its Pong.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.shared.pending.round_trip()
    }
}

impl<S, R> Drop for Writer<S, R> {
    fn drop(&mut self) {
        // What it has fed is for the other half to write now.
        self.shared.out.wake(Side::Reader);
    }
}

impl<S, R: Transport<S>> Writer<S, R> {
    /// Sends a text message.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send_text`](super::WebSocket::send_text).
    pub async fn send_text(&mut self, text: &str) -> Result<(), Error> {
        self.send_with(|sender, _| sender.send_text(text)).await
    }

    /// Sends a binary message.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send_text`](super::WebSocket::send_text).
    pub async fn send_binary(&mut self, data: &[u8]) -> Result<(), Error> {
        self.send_with(|sender, _| sender.send_binary(data)).await
    }

    /// Sends a fragment of a message; see [`Sender::send_fragment`].
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send_text`](super::WebSocket::send_text).
    pub async fn send_fragment(&mut self, kind: MessageKind, data: &[u8], fin: bool) -> Result<(), Error> {
        self.send_with(|sender, _| sender.send_fragment(kind, data, fin)).await
    }

    /// Sends a message that owns its data.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send_text`](super::WebSocket::send_text).
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        let mut waiting = Some(message.into());
        self.send_with(|sender, _| send_waiting(sender, &mut waiting)).await
    }

    /// Sends a message as it is, whatever was agreed on; see [`Sender::uncompressed`].
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send_text`](super::WebSocket::send_text).
    pub async fn send_uncompressed(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        let mut waiting = Some(message.into());
        self.send_with(|sender, _| send_waiting(sender.uncompressed(), &mut waiting)).await
    }

    /// Sends a message prepared for many connections.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send_text`](super::WebSocket::send_text).
    pub async fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.send_with(|sender, _| sender.send_prepared(prepared)).await
    }

    /// Queues a message that owns its data, to be written by [`flush`](Self::flush) or with what is sent
    /// next. Waits only where too much is queued.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send_text`](super::WebSocket::send_text).
    pub async fn feed(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        let mut waiting = Some(message.into());
        self.feed_with(|sender, _| send_waiting(sender, &mut waiting)).await
    }

    /// As [`feed`](Self::feed), for a message prepared for many connections.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send_text`](super::WebSocket::send_text).
    pub async fn feed_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.feed_with(|sender, _| sender.send_prepared(prepared)).await
    }

    /// Sends a Ping.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send_text`](super::WebSocket::send_text).
    pub async fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.send_with(|sender, now| sender.ping(now, payload)).await
    }

    /// Closes the connection. The half that receives goes on to its end.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send_text`](super::WebSocket::send_text).
    pub async fn close(&mut self, code: impl Into<Option<CloseCode>>, reason: &str) -> Result<(), Error> {
        let code = code.into();
        self.send_with(|sender, now| sender.close(now, code, reason)).await
    }

    /// Writes what is queued.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::flush`](super::WebSocket::flush).
    pub async fn flush(&mut self) -> Result<(), Error> {
        self.send_with(|_, _| Ok(())).await
    }

    async fn feed_with(
        &mut self,
        mut send: impl FnMut(&mut Sender<Outbox>, Instant) -> Result<(), SendError>,
    ) -> Result<(), Error> {
        poll_fn(|cx| self.poll_feed(cx, &mut send)).await
    }

    async fn send_with(
        &mut self,
        send: impl FnMut(&mut Sender<Outbox>, Instant) -> Result<(), SendError>,
    ) -> Result<(), Error> {
        self.feed_with(send).await?;
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

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.poll_feed(cx, |sender, _| sender.can_send()))?;
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    /// Queues a message. Where too much waits, or [`poll_ready`](Sink::poll_ready) was not asked and it cannot be known, it
    /// is refused with [`SendError::Blocked`], and lost.
    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        let was_ready = replace(&mut self.is_ready, false);
        let mut waiting = Some(message);
        match self.shared.try_feed(|sender| send_waiting(sender, &mut waiting)) {
            Some(sent) => Ok(sent?),
            // The other half is at the stream, and queues the message before it leaves, or when it comes again.
            None if was_ready => {
                let before = replace(&mut *lock(&self.shared.handed_over), waiting);
                drop(before);
                self.shared.out.wake(Side::Reader);
                Ok(())
            }
            None => Err(SendError::Blocked.into()),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.shared.poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.poll_feed(cx, |sender, now| match sender.close(now, CloseCode::NORMAL, "") {
            Err(SendError::Closed) => Ok(()),
            closed => closed,
        }))?;
        self.as_mut().poll_flush(cx)
    }
}
