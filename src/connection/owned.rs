//! Sending messages that own their data.

use crate::error::SendError;
use crate::frame::{Opcode, Role};

use super::event::Kind;
use super::message::{Message, Refused};
use super::outbox::Outbox;
use super::prepared::{Frame, LARGE, Prepared};
use super::send::Sender;

impl Sender<Outbox> {
    /// Sends an owned message in one frame. A server does not copy a payload of 4 KiB or more.
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`], with the message handed back.
    pub fn send(&mut self, message: impl Into<Message>) -> Result<(), Refused> {
        let message = message.into();
        let opcode = if message.kind() == Kind::Text { Opcode::Text } else { Opcode::Binary };
        let len = message.as_bytes().len();
        #[cfg(feature = "deflate")]
        if let Some(agreed) = self.compresses(opcode, true, len) {
            let sent = self.deflate(agreed, opcode, true, message.as_bytes());
            return sent.map_err(|error| Refused { error, message });
        }
        if self.role() == Role::Client || len < LARGE {
            return self.plain(opcode, true, message.as_bytes()).map_err(|error| Refused { error, message });
        }
        if let Err(error) = self.accept(opcode, true, len) {
            return Err(Refused { error, message });
        }
        let header = self.encoder.checked_header(opcode, true, len as u64);
        self.out.push_shared(&header, message.into_bytes());
        self.count(opcode, true);
        Ok(())
    }

    /// Sends a message that was prepared for many connections. A server does not copy a payload of 4 KiB or
    /// more.
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`].
    pub fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), SendError> {
        let (payload, opcode) = (prepared.message().as_bytes(), prepared.opcode());
        if self.role() == Role::Client {
            return self.data(opcode, true, payload);
        }
        #[cfg(feature = "deflate")]
        if self.send_compressed(prepared)? {
            return Ok(());
        }
        self.accept(opcode, true, payload.len())?;
        self.push_frame(opcode, prepared.frame());
        Ok(())
    }

    /// Queues a frame that was accepted.
    pub(super) fn push_frame(&mut self, opcode: Opcode, frame: &Frame) {
        self.out.push_encoded(&frame.encoded, frame.shared.clone());
        self.count(opcode, true);
    }
}
