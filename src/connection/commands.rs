//! Commands of a connection. Each command for sending calls the method of the same name of the [`Sender`]. Each command
//! for receiving calls the method of the same name of the `Receiver`. This file also has the methods that free memory,
//! or pass it to another connection.
//!
//! This file contains no rule of the protocol. [`Sender`] documents how long a message may be, which frames overtake
//! others, and when each error occurs.

use super::{Connection, Delivery, MessageKind, SendOptions, WriteQueue};
#[cfg(feature = "alloc")]
use super::{Inbox, Message, Outbox, Prepared, UnsentMessage, VecMessage};
use crate::close::CloseCode;
use crate::error::SendError;
use crate::time::Instant;

impl<O: WriteQueue> Connection<O> {
    /// Sends a text message in one frame: see [`Sender::send_text`](super::Sender::send_text).
    ///
    /// # Errors
    ///
    /// [`SendError::Blocked`], [`TooLarge`](SendError::TooLarge), [`Closed`](SendError::Closed) or
    /// [`MessageOpen`](SendError::MessageOpen); nothing was sent.
    #[inline]
    pub fn send_text(&mut self, text: &str) -> Result<(), SendError> {
        self.sender.send_text(text)
    }

    /// Sends a binary message in one frame: see [`Sender::send_binary`](super::Sender::send_binary).
    ///
    /// # Errors
    ///
    /// [`SendError::Blocked`], [`TooLarge`](SendError::TooLarge), [`Closed`](SendError::Closed) or
    /// [`MessageOpen`](SendError::MessageOpen); nothing was sent.
    #[inline]
    pub fn send_binary(&mut self, data: &[u8]) -> Result<(), SendError> {
        self.sender.send_binary(data)
    }

    /// Sends a text message and writes it at once: see [`Sender::transmit_text`](super::Sender::transmit_text).
    ///
    /// # Errors
    ///
    /// [`SendError::Blocked`], [`TooLarge`](SendError::TooLarge), [`Closed`](SendError::Closed) or
    /// [`MessageOpen`](SendError::MessageOpen); nothing was sent, and `write` was not called.
    #[inline]
    pub fn transmit_text(
        &mut self,
        now: Instant,
        text: &str,
        write: impl FnOnce(&[&[u8]]) -> usize,
    ) -> Result<(), SendError> {
        self.sender.transmit_text(now, text, write)
    }

    /// Sends a binary message and writes it at once: see [`Sender::transmit_binary`](super::Sender::transmit_binary).
    ///
    /// # Errors
    ///
    /// [`SendError::Blocked`], [`TooLarge`](SendError::TooLarge), [`Closed`](SendError::Closed) or
    /// [`MessageOpen`](SendError::MessageOpen); nothing was sent, and `write` was not called.
    #[inline]
    pub fn transmit_binary(
        &mut self,
        now: Instant,
        data: &[u8],
        write: impl FnOnce(&[&[u8]]) -> usize,
    ) -> Result<(), SendError> {
        self.sender.transmit_binary(now, data, write)
    }

    /// Sends the next fragment of a message (RFC 6455 section 5.4): see
    /// [`Sender::send_fragment`](super::Sender::send_fragment).
    ///
    /// # Errors
    ///
    /// [`SendError::Blocked`], [`TooLarge`](SendError::TooLarge), [`Closed`](SendError::Closed), or
    /// [`MessageOpen`](SendError::MessageOpen) if a message of another kind is open; nothing was sent.
    pub fn send_fragment(&mut self, kind: MessageKind, data: &[u8], fin: bool) -> Result<(), SendError> {
        self.sender.send_fragment(kind, data, fin)
    }

    /// Sends the next fragment of a message, with options: see
    /// [`Sender::send_fragment_with`](super::Sender::send_fragment_with).
    ///
    /// # Errors
    ///
    /// [`SendError::Blocked`], [`TooLarge`](SendError::TooLarge), [`Closed`](SendError::Closed), or
    /// [`MessageOpen`](SendError::MessageOpen) if a message of another kind is open; nothing was sent.
    pub fn send_fragment_with(
        &mut self,
        kind: MessageKind,
        data: &[u8],
        fin: bool,
        options: SendOptions,
    ) -> Result<(), SendError> {
        self.sender.send_fragment_with(kind, data, fin, options)
    }

    /// Sends a Ping ahead of the messages in the write queue: see [`Sender::ping`](super::Sender::ping).
    ///
    /// # Errors
    ///
    /// [`SendError::ControlTooLong`], [`Blocked`](SendError::Blocked) or [`Closed`](SendError::Closed); nothing was
    /// sent.
    pub fn ping(&mut self, now: Instant, payload: &[u8]) -> Result<(), SendError> {
        self.sender.ping(now, payload)
    }

    /// Sends a Pong ahead of the messages in the write queue: see [`Sender::pong`](super::Sender::pong).
    ///
    /// # Errors
    ///
    /// [`SendError::ControlTooLong`] or [`Closed`](SendError::Closed); nothing was sent.
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.sender.pong(payload)
    }

    /// Closes the connection after all messages that are already accepted: see [`Sender::close`](super::Sender::close).
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] if closing has begun, [`CodeNotAllowed`](SendError::CodeNotAllowed) if the code must not
    /// be sent, or [`ReasonTooLong`](SendError::ReasonTooLong); nothing has changed.
    pub fn close(
        &mut self,
        now: Instant,
        code: impl Into<Option<CloseCode>>,
        reason: impl AsRef<str>,
    ) -> Result<(), SendError> {
        self.sender.close(now, code, reason)
    }

    /// Sets how messages are delivered from the next message on: see
    /// [`Receiver::set_delivery`](super::Receiver::set_delivery).
    pub fn set_delivery(&mut self, delivery: Delivery) {
        self.receiver.set_delivery(delivery);
    }

    /// Frees the heap memory of the write queue, if the queue is empty. Message buffers have a `release_idle` of their
    /// own.
    pub fn release_idle(&mut self) {
        self.sender.release_idle();
    }

    /// Frees the memory for compression, except the recent data to which later messages of the peer may refer. The
    /// memory is freed automatically if no data is sent or received for the time
    /// [`Compression::release_after`](crate::deflate::Compression::release_after).
    #[cfg(feature = "deflate")]
    pub fn release_compression(&mut self) {
        self.sender.release_deflater();
        self.receiver.release_inflater();
    }
}

#[cfg(feature = "alloc")]
impl Connection {
    /// Sends an owned message in one frame: see [`Sender::send`](super::Sender::send).
    ///
    /// # Errors
    ///
    /// [`SendError::Blocked`], [`TooLarge`](SendError::TooLarge), [`Closed`](SendError::Closed) or
    /// [`MessageOpen`](SendError::MessageOpen); nothing was sent. The error contains the message.
    pub fn send(&mut self, message: impl Into<Message>) -> Result<(), UnsentMessage> {
        self.sender.send(message)
    }

    /// Sends an owned message in one frame, with options: see [`Sender::send_with`](super::Sender::send_with).
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
        self.sender.send_with(message, options)
    }

    /// Sends an owned message and writes it at once: see [`Sender::transmit`](super::Sender::transmit).
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
        self.sender.transmit(now, message, write)
    }

    /// Sends an owned message with options and writes it at once: see
    /// [`Sender::transmit_with`](super::Sender::transmit_with).
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
        self.sender.transmit_with(now, message, options, write)
    }

    /// Sends a message that was encoded once for many connections: see
    /// [`Sender::send_prepared`](super::Sender::send_prepared).
    ///
    /// # Errors
    ///
    /// [`SendError::Blocked`], [`TooLarge`](SendError::TooLarge), [`Closed`](SendError::Closed) or
    /// [`MessageOpen`](SendError::MessageOpen); nothing was sent.
    pub fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), SendError> {
        self.sender.send_prepared(prepared)
    }

    /// Closes the connection after `messages`, which are sent even if the high-water mark is reached: see
    /// [`Sender::close_after`](super::Sender::close_after).
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] if closing has begun, [`CodeNotAllowed`](SendError::CodeNotAllowed) if the code must not
    /// be sent, or [`ReasonTooLong`](SendError::ReasonTooLong); nothing has changed.
    pub fn close_after(
        &mut self,
        now: Instant,
        code: impl Into<Option<CloseCode>>,
        reason: impl AsRef<str>,
        messages: &mut dyn Iterator<Item = Message>,
    ) -> Result<(), SendError> {
        self.sender.close_after(now, code, reason, messages)
    }

    /// Returns the space for the next read: see [`Receiver::read_space`](super::Receiver::read_space).
    #[inline]
    pub fn read_space<'i>(&self, inbox: &'i mut Inbox) -> &'i mut [u8] {
        self.receiver.read_space(inbox)
    }

    /// Returns space in `message` into which the rest of a large payload can be read without a copy: see
    /// [`Receiver::payload_space`](super::Receiver::payload_space).
    pub fn payload_space<'m>(&self, message: &'m mut VecMessage) -> &'m mut [u8] {
        self.receiver.payload_space(message)
    }

    /// Records that `len` bytes were read into [`payload_space`](Self::payload_space): see
    /// [`Receiver::handle_payload`](super::Receiver::handle_payload).
    pub fn handle_payload(&mut self, message: &mut VecMessage, len: usize) {
        self.receiver.handle_payload(message, len);
    }

    /// Takes the memory of an empty write queue, so that another connection can use it: see
    /// [`Sender::take_queue_memory`](super::Sender::take_queue_memory).
    pub fn take_queue_memory(&mut self) -> Option<Outbox> {
        self.sender.take_queue_memory()
    }

    /// Lets the write queue use the memory that [`take_queue_memory`](Self::take_queue_memory) returned: see
    /// [`Sender::reuse_queue_memory`](super::Sender::reuse_queue_memory).
    #[inline]
    pub fn reuse_queue_memory(&mut self, memory: Outbox) {
        self.sender.reuse_queue_memory(memory);
    }
}
