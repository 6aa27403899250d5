//! Sending messages that own their data, and passing the queue's memory to another connection.
//!
//! A server does not copy a large owned payload. The queue holds a copied header and a reference to the payload. A
//! client copies every payload, because it masks the copy. `commands.rs` and `write_through.rs` send borrowed messages.
//!
//! Invariant: a message that is not sent is returned unchanged ([`UnsentMessage`]).

use crate::close::CloseCode;
use crate::error::SendError;
use crate::frame::{MAX_HEADER_LEN, Opcode, Role};
use crate::time::Instant;

use super::Outbox;
use super::write_queue::{LARGE, sealed::Queue as _};
use crate::connection::message::{Message, UnsentMessage};
use crate::connection::send::prepared::{Frame, Prepared};
use crate::connection::send::{SendOptions, Sender};

impl Sender<Outbox> {
    /// Sends an owned message in one frame. A server does not copy a payload of 4 KiB or more.
    ///
    /// # Errors
    ///
    /// [`SendError::Blocked`], [`TooLarge`](SendError::TooLarge), [`Closed`](SendError::Closed) or
    /// [`MessageOpen`](SendError::MessageOpen); nothing was sent. The error contains the message.
    pub fn send(&mut self, message: impl Into<Message>) -> Result<(), UnsentMessage> {
        self.send_message(message.into(), SendOptions::new())
    }

    /// Sends an owned message in one frame, with options: see [`send`](Self::send).
    ///
    /// # Errors
    ///
    /// [`SendError::Blocked`], [`TooLarge`](SendError::TooLarge), [`Closed`](SendError::Closed) or
    /// [`MessageOpen`](SendError::MessageOpen); nothing was sent. The error contains the message.
    pub fn send_with(
        &mut self,
        message: impl Into<Message>,
        options: SendOptions,
    ) -> Result<(), UnsentMessage> {
        self.send_message(message.into(), options)
    }

    #[inline]
    fn send_message(&mut self, message: Message, options: SendOptions) -> Result<(), UnsentMessage> {
        let opcode = message.opcode();
        let len = message.as_bytes().len();
        #[cfg(not(feature = "deflate"))]
        let _ = options;
        #[cfg(feature = "deflate")]
        if let Some(agreed) = self.compression_for(opcode, true, len, options) {
            match self.deflate(agreed, opcode, true, message.as_bytes()) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => return Err(UnsentMessage { error, message }),
            }
        }
        if let Err(error) = self.accept(opcode, true, len) {
            return Err(UnsentMessage { error, message });
        }
        if self.role() == Role::Client {
            self.push_data(opcode, true, 0, message.as_bytes());
        } else {
            self.push_message(opcode, message);
        }
        Ok(())
    }

    /// Sends an owned message and writes it at once: see [`transmit_text`](Self::transmit_text).
    ///
    /// If a server's large payload is written only in part, the rest is not copied. The queue keeps a clone of
    /// `message`, which shares the payload.
    ///
    /// # Errors
    ///
    /// [`SendError::Blocked`], [`TooLarge`](SendError::TooLarge), [`Closed`](SendError::Closed) or
    /// [`MessageOpen`](SendError::MessageOpen); nothing was sent, and `write` was not called.
    #[inline]
    pub fn transmit(
        &mut self,
        now: Instant,
        message: &Message,
        write: impl FnOnce(&[&[u8]]) -> usize,
    ) -> Result<(), SendError> {
        self.transmit_with(now, message, SendOptions::new(), write)
    }

    /// Sends an owned message with options and writes it at once: see [`transmit`](Self::transmit).
    ///
    /// # Errors
    ///
    /// [`SendError::Blocked`], [`TooLarge`](SendError::TooLarge), [`Closed`](SendError::Closed) or
    /// [`MessageOpen`](SendError::MessageOpen); nothing was sent, and `write` was not called.
    #[inline]
    pub fn transmit_with(
        &mut self,
        now: Instant,
        message: &Message,
        options: SendOptions,
        write: impl FnOnce(&[&[u8]]) -> usize,
    ) -> Result<(), SendError> {
        let (opcode, payload) = (message.opcode(), message.as_bytes());
        let route = self.direct_route(payload.len());
        match route {
            Some(route) if self.is_uncompressed(opcode, payload.len(), options) => {
                self.accept_for(route, opcode, payload.len())?;
            }
            _ if self.queue_compressed(opcode, payload, options)? => {
                self.write_queued(now, write);
                return Ok(());
            }
            _ => {}
        }
        let Some(route) = route else { return self.transmit_through_queue(now, opcode, payload, write) };
        if let Some(written) = self.write_through(now, opcode, payload, route, write) {
            self.push_message(opcode, message.clone());
            self.transmitted(now, written);
        }
        Ok(())
    }

    /// Closes the connection like [`close`](Self::close), and sends `messages` before the Close. They are sent even if
    /// the high-water mark is reached.
    ///
    /// Call this instead of `close` if the caller has accepted messages that wait for space in the write queue. The
    /// caller must bound their total length. A message that cannot be sent, for example because a fragmented message is
    /// open, is counted by [`dropped`](Self::dropped).
    ///
    /// ```
    /// use hybi::{CloseCode, Config, Instant, Message, Outbox, SendError, Sender};
    ///
    /// let mut sender = Sender::server(Instant::ZERO, Config::new().high_water(1), Outbox::new());
    /// sender.send_text("first")?;
    /// let waits = sender.send("second").unwrap_err();
    /// assert_eq!(waits.error, SendError::Blocked);
    /// sender.close_after(Instant::ZERO, CloseCode::NORMAL, "", &mut [waits.message].into_iter())?;
    /// assert_eq!(sender.buffered_amount(), 7 + 8 + 4);
    /// # Ok::<(), SendError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] if closing has begun, [`CodeNotAllowed`](SendError::CodeNotAllowed) if the code must not
    /// be sent, or [`ReasonTooLong`](SendError::ReasonTooLong). Nothing has changed, and no message was taken from
    /// `messages`.
    pub fn close_after(
        &mut self,
        now: Instant,
        code: impl Into<Option<CloseCode>>,
        reason: impl AsRef<str>,
        messages: &mut dyn Iterator<Item = Message>,
    ) -> Result<(), SendError> {
        let frame = self.check_close(code.into(), reason.as_ref())?;
        self.ignores_high_water = true;
        for message in messages {
            if let Err(unsent) = self.send(message) {
                self.dropped += (unsent.message.len() + MAX_HEADER_LEN) as u64;
            }
        }
        self.ignores_high_water = false;
        self.start_close(now, &frame)
    }

    /// Queues an accepted message of a server without compression.
    fn push_message(&mut self, opcode: Opcode, message: Message) {
        let len = message.as_bytes().len();
        if len < LARGE {
            self.push_data(opcode, true, 0, message.as_bytes());
        } else {
            let header = self.encoder.checked_header(opcode, true, len as u64);
            self.out.push_shared(&header, message.into_bytes());
            self.count(true);
        }
    }

    /// Sends a message that was prepared for many connections. A server does not copy a payload of 4 KiB or more.
    ///
    /// # Errors
    ///
    /// [`SendError::Blocked`], [`TooLarge`](SendError::TooLarge), [`Closed`](SendError::Closed) or
    /// [`MessageOpen`](SendError::MessageOpen); nothing was sent.
    pub fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), SendError> {
        let (payload, opcode) = (prepared.message().as_bytes(), prepared.opcode());
        if self.role() == Role::Client {
            return self.data(opcode, true, payload, prepared.options());
        }
        #[cfg(feature = "deflate")]
        if self.send_compressed(prepared)? {
            return Ok(());
        }
        self.accept(opcode, true, payload.len())?;
        self.push_frame(prepared.frame());
        Ok(())
    }

    /// Takes the memory of an empty queue, so that another connection can [use](Self::reuse_queue_memory) it. Returns
    /// `None` if the queue is not empty or has no memory.
    pub fn take_queue_memory(&mut self) -> Option<Outbox> {
        (self.buffered_amount() == 0 && self.holds_memory()).then(|| core::mem::take(&mut self.out))
    }

    /// Lets the queue use the memory that [`take_queue_memory`](Self::take_queue_memory) returned. Does nothing if the
    /// queue has memory already, or if `memory` contains queued bytes.
    #[inline]
    pub fn reuse_queue_memory(&mut self, memory: Outbox) {
        if !self.holds_memory() && memory.is_idle() {
            self.out = memory;
        }
    }

    /// Returns whether the queue owns memory.
    #[inline]
    #[must_use]
    pub fn holds_memory(&self) -> bool {
        self.out.holds_memory()
    }

    /// Queues an accepted frame that is already encoded.
    pub(super) fn push_frame(&mut self, frame: &Frame) {
        self.out.push_encoded(&frame.encoded, frame.shared.clone());
        self.count(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Instant, SendError};

    fn sender() -> Sender<Outbox> {
        Sender::server(Instant::ZERO, Config::new().high_water(4), Outbox::new())
    }

    #[test]
    fn the_memory_of_an_empty_queue_can_be_given_to_another_queue() {
        let (mut one, mut two) = (sender(), sender());
        assert!(one.take_queue_memory().is_none());
        one.send_text("hello").unwrap();
        assert_eq!(one.can_send(), Err(SendError::Blocked));
        assert!(one.take_queue_memory().is_none());
        one.transmitted(Instant::ZERO, one.buffered_amount());
        assert_eq!(one.can_send(), Ok(()));
        let memory = one.take_queue_memory().unwrap();
        let capacity = memory.capacity();
        two.reuse_queue_memory(memory);
        assert!(two.holds_memory());
        assert!(!one.holds_memory());
        // A queue that has memory keeps it.
        two.ping(Instant::ZERO, b"").unwrap();
        two.reuse_queue_memory(Outbox::new());
        assert_eq!(two.buffered_amount(), 2);
        two.transmitted(Instant::ZERO, 2);
        let mut memory = two.take_queue_memory().unwrap();
        assert_eq!(memory.capacity(), capacity);
        // Frames that were queued for another connection must not be sent to this peer.
        memory.push_encoded(b"not for you", None);
        two.reuse_queue_memory(memory);
        assert_eq!((two.buffered_amount(), two.holds_memory()), (0, false));
        two.close(Instant::ZERO, None, "").unwrap();
        assert_eq!(two.can_send(), Err(SendError::Closed));
    }

    #[test]
    fn no_timer_that_starts_now_expires_before_the_shortest_timeout() {
        let config = Config::new().ping_interval(None).pong_timeout(None);
        let shortest = |config| Sender::server(Instant::ZERO, config, Outbox::new()).shortest_timeout();
        assert_eq!(shortest(config.clone()), Some(core::time::Duration::from_secs(10)));
        assert_eq!(shortest(config.close_timeout(None)), None);
    }
}
