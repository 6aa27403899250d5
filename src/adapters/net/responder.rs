//! The means to answer an event while it is borrowed.
//!
//! Messages are queued here, and written by the run loop before it waits. Where the queue is full the call writes it
//! out first, so it may wait for the peer.

use std::prelude::v1::*;

use super::write_driver::Output;
use crate::adapters::error::Error;
use crate::{CloseCode, Message, MessageKind, Outbox, Prepared, SendError, Sender};

/// The means to answer an event. What it sends is queued, and goes out before
/// [`WebSocket::next`](super::WebSocket::next) blocks, or earlier where much is queued.
#[derive(Debug)]
pub struct Responder<'w, S> {
    pub(super) out: Output<'w, S>,
}

impl<S> Responder<'_, S> {
    /// Sends a text message.
    ///
    /// # Errors
    ///
    /// [`Error::Send`] where it is refused; never as [`SendError::Blocked`], as it is waited until there is
    /// room. [`Error::Io`] where the stream fails at that.
    pub fn send_text(&mut self, text: &str) -> Result<(), Error> {
        self.unblocked(|sender| sender.send_text(text))
    }

    /// Sends a binary message.
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`].
    pub fn send_binary(&mut self, data: &[u8]) -> Result<(), Error> {
        self.unblocked(|sender| sender.send_binary(data))
    }

    /// Sends a fragment of a message; see [`Sender::send_fragment`](crate::Sender::send_fragment).
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`].
    pub fn send_fragment(&mut self, kind: MessageKind, data: &[u8], fin: bool) -> Result<(), Error> {
        self.unblocked(|sender| sender.send_fragment(kind, data, fin))
    }

    /// Sends a message that owns its data; see [`Sender::send`](crate::Sender::send).
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`].
    pub fn send(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        let mut waiting = message.into();
        loop {
            match self.out.sender.send(waiting) {
                Ok(()) => return Ok(()),
                Err(refused) if refused.error == SendError::Blocked => {
                    self.out.write_out()?;
                    waiting = refused.message;
                }
                Err(refused) => return Err(refused.error.into()),
            }
        }
    }

    /// Sends a message prepared for many connections.
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`].
    pub fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.unblocked(|sender| sender.send_prepared(prepared))
    }

    /// The next message goes out as it is, whatever was agreed on; see [`Sender::uncompressed`](crate::Sender::uncompressed).
    pub const fn uncompressed(&mut self) -> &mut Self {
        self.out.sender.uncompressed();
        self
    }

    /// Sends a Ping; see [`Sender::ping`](crate::Sender::ping).
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`].
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        let now = self.out.link.tick();
        self.unblocked(|sender| sender.ping(now, payload))
    }

    /// Sends a Pong; see [`Sender::pong`](crate::Sender::pong).
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`].
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.unblocked(|sender| sender.pong(payload))
    }

    /// Closes the connection; see [`Sender::close`](crate::Sender::close).
    ///
    /// # Errors
    ///
    /// [`Error::Send`] where it is refused.
    pub fn close(&mut self, code: impl Into<Option<CloseCode>>, reason: &str) -> Result<(), Error> {
        Ok(self.out.sender.close(self.out.link.tick(), code, reason)?)
    }

    /// Sends, and where too much waits, writes it and sends again.
    fn unblocked(
        &mut self,
        mut send: impl FnMut(&mut Sender<Outbox>) -> Result<(), SendError>,
    ) -> Result<(), Error> {
        while let Err(error) = send(self.out.sender) {
            if error != SendError::Blocked {
                return Err(error.into());
            }
            self.out.write_out()?;
        }
        Ok(())
    }
}
