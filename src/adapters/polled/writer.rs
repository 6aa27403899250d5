//! The half that sends.

use core::pin::Pin;
use core::time::Duration;
use std::future::poll_fn;
use std::prelude::v1::*;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_sink::Sink;

use super::Writes;
use super::responder::send_waiting;
use super::split::Shared;
use crate::adapters::error::Error;
use crate::{CloseCode, Instant, Kind, Message, Outbox, Prepared, SendError, Sender};

/// The half that sends, of [`WebSocket::split_with`](super::WebSocket::split_with), for one task.
///
/// It never waits for the half that receives, but for the moment in which that writes an answer. Once that
/// one has seen a Close, a violation or the end of the stream, whatever is sent here is refused with
/// [`SendError::Closed`].
///
/// What is fed and not flushed goes out when the half that receives would wait for input next. Dropped, it
/// leaves what it has queued to that half; but a message that [`start_send`](Sink::start_send) took while that half was
/// sending is queued by the call that comes next, of which there is none then.
#[derive(Debug)]
pub struct Writer<O, R> {
    shared: Arc<Shared<O, R>>,
    /// Taken by [`Sink::start_send`], which found the other half sending, and not queued yet.
    waiting: Option<Message>,
}

impl<O, R> Writer<O, R> {
    pub(super) const fn new(shared: Arc<Shared<O, R>>) -> Self {
        Self { shared, waiting: None }
    }
}

impl<O, R> Writer<O, R> {
    /// The time from the last Ping that was answered to its Pong.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.shared.desk.round_trip()
    }
}

impl<O, R: Writes<O>> Writer<O, R> {
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
    pub async fn send_fragment(&mut self, kind: Kind, data: &[u8], fin: bool) -> Result<(), Error> {
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
        &mut self,
        cx: &mut Context<'_>,
        mut send: impl FnMut(&mut Sender<Outbox>, Instant) -> Result<(), SendError>,
    ) -> Poll<Result<(), Error>> {
        let Self { shared, waiting } = self;
        shared.poll_feed(cx, |sender, now| {
            send_waiting(sender, waiting)?;
            send(sender, now)
        })
    }
}

impl<O, R: Writes<O>> Sink<Message> for Writer<O, R> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_feed(cx, |sender, _| sender.can_send())
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        let Self { shared, waiting } = &mut *self;
        *waiting = Some(message);
        match shared.try_feed(|sender| send_waiting(sender, waiting)) {
            // It waits here for its turn.
            None | Some(Err(SendError::Blocked)) => Ok(()),
            Some(sent) => Ok(sent?),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.poll_feed(cx, |_, _| Ok(())))?;
        self.shared.poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.poll_feed(cx, |sender, now| match sender.close(now, CloseCode::NORMAL, "") {
            Err(SendError::Closed) => Ok(()),
            closed => closed,
        }))?;
        self.poll_flush(cx)
    }
}
