//! Sending without writing at once.

use core::future::Future;
use core::mem::replace;
use std::future::poll_fn;
use std::prelude::v1::*;
use std::task::{Context, Poll};

use super::write_driver::{Write, WriteDriver};
use super::{Transport, buffer_pool};
use crate::adapters::error::Error;
use crate::{CloseCode, Connection, Instant, Message, MessageKind, Outbox, Prepared, SendError, Sender};

/// From here on, in bytes, a message is large.
const LARGE: usize = 16 << 10;

/// The means to answer an event. What it sends is queued, and goes out before a call that receives waits,
/// with the next one that flushes, or earlier where much is queued: only then does it wait. Of a large message
/// that nothing waits before, what the stream takes at once is not even queued.
#[derive(Debug)]
pub struct Responder<'w, S, R> {
    pub(super) stream: &'w mut S,
    pub(super) wire: &'w mut WriteDriver<R>,
    pub(super) connection: &'w mut Connection,
}

impl<S, R: Transport<S>> Responder<'_, S, R> {
    /// Sends a text message.
    ///
    /// # Errors
    ///
    /// [`Error::Send`] where it is refused; never as [`SendError::Blocked`], as it is waited until there is
    /// room. [`Error::Io`] where the stream fails at that.
    pub async fn send_text(&mut self, text: &str) -> Result<(), Error> {
        let mut begun = false;
        poll_fn(|cx| {
            if self.goes_through(text.len()) {
                return self.send_through(cx, |sender, now, write| sender.transmit_text(now, text, write));
            }
            self.poll_feed(cx, &mut begun, |sender| sender.send_text(text))
        })
        .await
    }

    /// Sends a binary message.
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`].
    pub async fn send_binary(&mut self, data: &[u8]) -> Result<(), Error> {
        let mut begun = false;
        poll_fn(|cx| {
            if self.goes_through(data.len()) {
                return self.send_through(cx, |sender, now, write| sender.transmit_binary(now, data, write));
            }
            self.poll_feed(cx, &mut begun, |sender| sender.send_binary(data))
        })
        .await
    }

    /// Sends a fragment of a message; see [`Sender::send_fragment`].
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`].
    pub async fn send_fragment(&mut self, kind: MessageKind, data: &[u8], fin: bool) -> Result<(), Error> {
        self.feed(|sender| sender.send_fragment(kind, data, fin)).await
    }

    /// Sends a message that owns its data; see [`Sender::send`].
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`].
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        let mut waiting = Some(message.into());
        self.feed(|sender| send_waiting(sender, &mut waiting)).await
    }

    /// Sends a message prepared for many connections.
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`].
    pub async fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.feed(|sender| sender.send_prepared(prepared)).await
    }

    /// The next message goes out as it is, whatever was agreed on; see [`Sender::uncompressed`].
    pub const fn uncompressed(&mut self) -> &mut Self {
        self.connection.uncompressed();
        self
    }

    /// Sends a Ping; see [`Sender::ping`].
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`].
    pub async fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        let now = self.wire.tick();
        self.feed(|sender| sender.ping(now, payload)).await
    }

    /// Sends a Pong; see [`Sender::pong`].
    ///
    /// # Errors
    ///
    /// [`Error::Send`] where it is refused.
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), Error> {
        Ok(self.connection.pong(payload)?)
    }

    /// Closes the connection; see [`Sender::close`].
    ///
    /// # Errors
    ///
    /// [`Error::Send`] where it is refused.
    pub fn close(&mut self, code: impl Into<Option<CloseCode>>, reason: &str) -> Result<(), Error> {
        Ok(self.connection.close(self.wire.tick(), code, reason)?)
    }

    /// Whether a message of that size is written at once as far as it can be: to write it by itself is less work
    /// than to copy it to the others.
    fn goes_through(&self, len: usize) -> bool {
        len >= LARGE && self.connection.buffered_amount() == 0 && self.wire.lets_through()
    }

    /// Writes as much as the stream takes, and never waits.
    fn send_through(
        &mut self,
        cx: &mut Context<'_>,
        send: impl FnOnce(&mut Sender<Outbox>, Instant, Write<'_>) -> Result<(), SendError>,
    ) -> Poll<Result<(), Error>> {
        let sender = self.connection.sender_mut();
        Poll::Ready(self.wire.send_through(self.stream, sender, cx, send).map_err(Error::from))
    }

    fn feed(
        &mut self,
        mut send: impl FnMut(&mut Sender<Outbox>) -> Result<(), SendError>,
    ) -> impl Future<Output = Result<(), Error>> {
        let mut begun = false;
        poll_fn(move |cx| self.poll_feed(cx, &mut begun, &mut send))
    }

    /// Sends, or waits for room; the call has `begun` where it was polled before.
    #[inline]
    fn poll_feed(
        &mut self,
        cx: &mut Context<'_>,
        begun: &mut bool,
        mut send: impl FnMut(&mut Sender<Outbox>) -> Result<(), SendError>,
    ) -> Poll<Result<(), Error>> {
        if !replace(begun, true) {
            // Nearly always there is room, and nothing that could wait.
            buffer_pool::lend_outbox(self.connection.sender_mut());
            match send(self.connection.sender_mut()) {
                Err(SendError::Blocked) => {}
                sent => return Poll::Ready(sent.map_err(Error::from)),
            }
        }
        self.wire.poll_feed(self.stream, self.connection, cx, send)
    }
}

/// Sends `waiting`, which stays where it is as long as there is no room.
pub(super) fn send_waiting(
    sender: &mut Sender<Outbox>,
    waiting: &mut Option<Message>,
) -> Result<(), SendError> {
    let Some(message) = waiting.take() else { return Ok(()) };
    sender.send(message).map_err(|refused| {
        if refused.error == SendError::Blocked {
            *waiting = Some(refused.message);
        }
        refused.error
    })
}
