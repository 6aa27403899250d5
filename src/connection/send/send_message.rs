//! Sending messages that own their data.

use crate::error::SendError;
use crate::frame::{Opcode, Role};

use crate::time::Instant;

use super::Outbox;
use super::write_queue::LARGE;
use crate::connection::message::{Message, UnsentMessage};
use crate::connection::send::Sender;
use crate::connection::send::prepared::{Frame, Prepared};

impl Sender<Outbox> {
    /// Sends an owned message in one frame. A server does not copy a payload of 4 KiB or more.
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`], with the message handed back.
    pub fn send(&mut self, message: impl Into<Message>) -> Result<(), UnsentMessage> {
        let message = message.into();
        let opcode = message.opcode();
        let len = message.as_bytes().len();
        #[cfg(feature = "deflate")]
        if let Some(agreed) = self.compresses(opcode, true, len) {
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

    /// Sends an owned message, and writes it at once: see [`transmit_text`](Self::transmit_text). If not all of a
    /// server's large payload is written, `message` is cloned for the rest, which is not copied.
    ///
    /// # Errors
    ///
    /// As [`send_text`](Self::send_text): nothing was sent, and `write` was not called.
    #[inline]
    pub fn transmit(
        &mut self,
        now: Instant,
        message: &Message,
        write: impl FnOnce(&[&[u8]]) -> usize,
    ) -> Result<(), SendError> {
        let (opcode, payload) = (message.opcode(), message.as_bytes());
        if self.skips_queue(opcode, payload.len()) {
            self.accept(opcode, true, payload.len())?;
        } else if self.queue_compressed(opcode, payload)? {
            self.write_queued(now, write);
            return Ok(());
        } else if !self.may_skip_queue(payload.len()) {
            return self.transmit_through_queue(now, opcode, payload, write);
        }
        if let Some(written) = self.write_through(now, opcode, payload, write) {
            self.push_message(opcode, message.clone());
            self.transmitted(now, written);
        }
        Ok(())
    }

    /// Queues a message of a server that was accepted, and is not to be compressed.
    fn push_message(&mut self, opcode: Opcode, message: Message) {
        let len = message.as_bytes().len();
        if len < LARGE {
            self.push_data(opcode, true, 0, message.as_bytes());
        } else {
            let header = self.encoder.checked_header(opcode, true, len as u64);
            self.out.push_shared(&header, message.into_bytes());
            self.count(opcode, true);
        }
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

    /// Gives the memory of the queue away where nothing waits in it, for another connection to
    /// [borrow](Self::lend); `None` where something waits, or there is none.
    pub fn reclaim(&mut self) -> Option<Outbox> {
        (self.buffered_amount() == 0 && self.holds_memory()).then(|| core::mem::take(&mut self.out))
    }

    /// Lends memory for the queue, which [`reclaim`](Self::reclaim) gave. Where the queue has some already,
    /// or something waits in `memory`, nothing changes.
    #[inline]
    pub fn lend(&mut self, memory: Outbox) {
        if !self.holds_memory() && memory.is_idle() {
            self.out = memory;
        }
    }

    /// Whether the queue owns memory.
    #[inline]
    #[must_use]
    pub fn holds_memory(&self) -> bool {
        self.out.holds_memory()
    }

    /// Queues a frame that was accepted.
    pub(super) fn push_frame(&mut self, opcode: Opcode, frame: &Frame) {
        self.out.push_encoded(&frame.encoded, frame.shared.clone());
        self.count(opcode, true);
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
    fn the_memory_of_a_queue_goes_from_one_to_another_when_it_is_empty() {
        let (mut one, mut two) = (sender(), sender());
        assert!(one.reclaim().is_none());
        one.send_text("hello").unwrap();
        assert_eq!(one.can_send(), Err(SendError::Blocked));
        assert!(one.reclaim().is_none());
        one.transmitted(Instant::ZERO, one.buffered_amount());
        assert_eq!(one.can_send(), Ok(()));
        let memory = one.reclaim().unwrap();
        let capacity = memory.capacity();
        two.lend(memory);
        assert!(two.holds_memory());
        assert!(!one.holds_memory());
        // What there is already stays.
        two.ping(Instant::ZERO, b"").unwrap();
        two.lend(Outbox::new());
        assert_eq!(two.buffered_amount(), 2);
        two.transmitted(Instant::ZERO, 2);
        let mut memory = two.reclaim().unwrap();
        assert_eq!(memory.capacity(), capacity);
        // What waits in another queue is not for this peer.
        memory.push_encoded(b"not for you", None);
        two.lend(memory);
        assert_eq!((two.buffered_amount(), two.holds_memory()), (0, false));
        two.close(Instant::ZERO, None, "").unwrap();
        assert_eq!(two.can_send(), Err(SendError::Closed));
    }

    #[test]
    fn no_timer_that_starts_now_runs_out_before_the_shortest() {
        let config = Config::new().ping_interval(None).pong_timeout(None);
        let shortest = |config| Sender::server(Instant::ZERO, config, Outbox::new()).shortest_timeout();
        assert_eq!(shortest(config.clone()), Some(core::time::Duration::from_secs(10)));
        assert_eq!(shortest(config.close_timeout(None)), None);
    }
}
