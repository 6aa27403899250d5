//! The methods of a connection that a driver needs for writing: the trait [`SendingHalf`].
//!
//! The driver of a whole WebSocket has a [`Connection`]. The driver that writes for a split WebSocket has only its
//! [`Sender`]. Both drivers write the queue, wait for deadlines and close in the same way. With this trait, one generic
//! driver serves both.
//!
//! The trait has no methods for receiving. A few calls do more on a [`Connection`]. For example, if a timer fails or
//! ends the connection, `handle_timeout` also stops the receiving half. A [`Sender`] cannot do this, because another
//! task has the receiving half.
//!
//! Invariant: a method of the trait only calls a method of the type, or of its sending half. The trait adds no protocol
//! rule, and a call through the trait costs as much as a direct call.

use super::event::{MessageKind, PendingReply, TransportAction};
use super::outcome::EofPosition;
use super::{Connection, Message, Outbox, Prepared, SendOptions, Sender, UnsentMessage};
use crate::close::CloseCode;
use crate::error::SendError;
use crate::time::Instant;

/// A sending half, alone or as part of its connection, with the methods that a driver needs for writing.
///
/// [`Connection`] and [`Sender`] implement this trait, and no other type can. Code that knows which of the two types it
/// has should call the methods of the type. These methods have the same names and more detailed documentation.
///
/// ```
/// use hybi::{Config, Connection, Instant, Outbox, SendingHalf};
///
/// /// Writes all queued bytes to a transport that accepts every byte.
/// fn write_all(half: &mut impl SendingHalf, now: Instant, to: &mut Vec<u8>) {
///     let mut slices = [&[][..]; 8];
///     let len = half.poll_transmit(&mut slices);
///     let before = to.len();
///     to.extend(slices[..len].concat());
///     half.transmitted(now, to.len() - before);
/// }
///
/// let mut connection = Connection::server(Instant::ZERO, Config::new(), Outbox::new());
/// let mut written = Vec::new();
/// connection.send_text("whole")?;
/// write_all(&mut connection, Instant::ZERO, &mut written);
///
/// let (_receiver, mut sender) = connection.into_halves();
/// sender.send_text("split")?;
/// write_all(&mut sender, Instant::ZERO, &mut written);
/// assert_eq!(written, b"\x81\x05whole\x81\x05split");
/// # Ok::<(), hybi::SendError>(())
/// ```
pub trait SendingHalf: sealed::Sealed {
    // --- what happened ---

    /// Counts `now` as the time when the messages of [`Connection::poll_message`] were received: see
    /// [`Connection::record_received`].
    fn record_received(&mut self, now: Instant);

    /// Applies a [`PendingReply`] of a receiving half: see [`Sender::apply`]. A whole connection applies each
    /// [`PendingReply`] of its own receiving half by itself.
    fn apply(&mut self, now: Instant, reply: PendingReply);

    /// Records that input was received that will be decoded later: see [`Sender::handle_undecoded`].
    fn handle_undecoded(&mut self, now: Instant);

    /// Records that all input is decoded, and that a later read found no more input: see
    /// [`Sender::handle_all_decoded`].
    fn handle_all_decoded(&mut self);

    /// Handles the end of the input when the peer may still read our output: see [`Sender::handle_peer_half_closed`].
    ///
    /// A sending half alone does not know at which position in the protocol the input ended. It learns the position
    /// later, from [`PendingReply::PeerHalfClosed`] or from the end of the stream.
    fn handle_peer_half_closed(&mut self, now: Instant);

    /// Records whether the transport holds back bytes that it has accepted: see [`Sender::set_unflushed`].
    fn set_unflushed(&mut self, now: Instant, held_back: bool);

    /// Records that a write to the transport has failed: see [`Sender::handle_write_failed`].
    fn handle_write_failed(&mut self);

    /// Records that the sending half of the transport is closed: see [`Sender::handle_half_closed`].
    fn handle_half_closed(&mut self);

    /// Carries out all actions of timers that are due at `now`: see [`Connection::handle_timeout`] and
    /// [`Sender::handle_timeout`].
    fn handle_timeout(&mut self, now: Instant);

    /// Carries out the actions of timers that are due at `now`, but only in the sending half: see
    /// [`Sender::handle_timeout`].
    ///
    /// The receiving half of a [`Connection`] keeps its input and its memory until the next
    /// [`handle_timeout`](Self::handle_timeout). So a call that only sends discards no message that has arrived.
    fn handle_send_timeout(&mut self, now: Instant);

    /// Removes the first `n` bytes that [`poll_transmit`](Self::poll_transmit) returned, because they have been
    /// written: see [`Sender::transmitted`].
    fn transmitted(&mut self, now: Instant, n: usize);

    /// Records that the transport did not accept the first `n` bytes of
    /// [`poll_transmit_retryable`](Self::poll_transmit_retryable): see [`Sender::transmit_refused`].
    fn transmit_refused(&mut self, n: usize);

    // --- commands ---

    /// Sends a text message in one frame: see [`Sender::send_text`].
    ///
    /// # Errors
    ///
    /// [`SendError::Blocked`], [`TooLarge`](SendError::TooLarge), [`Closed`](SendError::Closed) or
    /// [`MessageOpen`](SendError::MessageOpen); nothing was sent.
    fn send_text(&mut self, text: &str) -> Result<(), SendError>;

    /// Sends a binary message in one frame: see [`Sender::send_binary`].
    ///
    /// # Errors
    ///
    /// [`SendError::Blocked`], [`TooLarge`](SendError::TooLarge), [`Closed`](SendError::Closed) or
    /// [`MessageOpen`](SendError::MessageOpen); nothing was sent.
    fn send_binary(&mut self, data: &[u8]) -> Result<(), SendError>;

    /// Sends the next fragment of a message: see [`Sender::send_fragment`].
    ///
    /// # Errors
    ///
    /// [`SendError::Blocked`], [`TooLarge`](SendError::TooLarge), [`Closed`](SendError::Closed), or
    /// [`MessageOpen`](SendError::MessageOpen) if a message of another kind is open; nothing was sent.
    fn send_fragment(&mut self, kind: MessageKind, data: &[u8], fin: bool) -> Result<(), SendError>;

    /// Sends the next fragment of a message, with options: see [`Sender::send_fragment_with`].
    ///
    /// # Errors
    ///
    /// [`SendError::Blocked`], [`TooLarge`](SendError::TooLarge), [`Closed`](SendError::Closed), or
    /// [`MessageOpen`](SendError::MessageOpen) if a message of another kind is open; nothing was sent.
    fn send_fragment_with(
        &mut self,
        kind: MessageKind,
        data: &[u8],
        fin: bool,
        options: SendOptions,
    ) -> Result<(), SendError>;

    /// Sends an owned message in one frame: see [`Sender::send`].
    ///
    /// # Errors
    ///
    /// [`SendError::Blocked`], [`TooLarge`](SendError::TooLarge), [`Closed`](SendError::Closed) or
    /// [`MessageOpen`](SendError::MessageOpen); nothing was sent. The error contains the message.
    fn send(&mut self, message: Message) -> Result<(), UnsentMessage>;

    /// Sends an owned message in one frame, with options: see [`Sender::send_with`].
    ///
    /// # Errors
    ///
    /// [`SendError::Blocked`], [`TooLarge`](SendError::TooLarge), [`Closed`](SendError::Closed) or
    /// [`MessageOpen`](SendError::MessageOpen); nothing was sent. The error contains the message.
    fn send_with(&mut self, message: Message, options: SendOptions) -> Result<(), UnsentMessage>;

    /// Sends a message that was encoded once for many connections: see [`Sender::send_prepared`].
    ///
    /// # Errors
    ///
    /// [`SendError::Blocked`], [`TooLarge`](SendError::TooLarge), [`Closed`](SendError::Closed) or
    /// [`MessageOpen`](SendError::MessageOpen); nothing was sent.
    fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), SendError>;

    /// Sends a Ping ahead of the messages in the write queue: see [`Sender::ping`].
    ///
    /// # Errors
    ///
    /// [`SendError::ControlTooLong`], [`Blocked`](SendError::Blocked) or [`Closed`](SendError::Closed); nothing was
    /// sent.
    fn ping(&mut self, now: Instant, payload: &[u8]) -> Result<(), SendError>;

    /// Sends a Pong ahead of the messages in the write queue: see [`Sender::pong`].
    ///
    /// # Errors
    ///
    /// [`SendError::ControlTooLong`] or [`Closed`](SendError::Closed); nothing was sent.
    fn pong(&mut self, payload: &[u8]) -> Result<(), SendError>;

    /// Closes the connection after all messages that are already accepted: see [`Sender::close`].
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] if closing has begun, [`CodeNotAllowed`](SendError::CodeNotAllowed) if the code must not
    /// be sent, or [`ReasonTooLong`](SendError::ReasonTooLong); nothing has changed.
    fn close(&mut self, now: Instant, code: Option<CloseCode>, reason: &str) -> Result<(), SendError>;

    /// Closes the connection after `messages`, which are sent even if the high-water mark is reached: see
    /// [`Sender::close_after`].
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] if closing has begun, [`CodeNotAllowed`](SendError::CodeNotAllowed) if the code must not
    /// be sent, or [`ReasonTooLong`](SendError::ReasonTooLong); nothing has changed.
    fn close_after(
        &mut self,
        now: Instant,
        code: Option<CloseCode>,
        reason: &str,
        messages: &mut dyn Iterator<Item = Message>,
    ) -> Result<(), SendError>;

    /// Takes the memory of an empty write queue: see [`Sender::take_queue_memory`].
    fn take_queue_memory(&mut self) -> Option<Outbox>;

    /// Lets the write queue use the memory that [`take_queue_memory`](Self::take_queue_memory) returned: see
    /// [`Sender::reuse_queue_memory`].
    fn reuse_queue_memory(&mut self, memory: Outbox);

    // --- what the driver must do ---

    /// Fills `to` with the bytes to write, and returns the number of slices: see [`Sender::poll_transmit`].
    fn poll_transmit<'a>(&'a self, to: &mut [&'a [u8]]) -> usize;

    /// Fills `to` with bytes for a transport that may keep bytes of a refused write, as TLS does: see
    /// [`Sender::poll_transmit_retryable`].
    fn poll_transmit_retryable<'a>(&'a self, to: &mut [&'a [u8]]) -> usize;

    /// Returns when to call [`handle_timeout`](Self::handle_timeout) next; `None` if no timer runs.
    fn poll_timeout(&self) -> Option<Instant>;

    /// Returns what the driver must do with the transport now: see [`Sender::poll_transport`].
    fn poll_transport(&self) -> Option<TransportAction>;

    // --- getters ---

    /// Returns the sending half, for its getters.
    fn sender(&self) -> &Sender<Outbox>;
}

/// Implements [`SendingHalf`] with the methods of the same names, and with the four methods that are passed in.
macro_rules! implement {
    ($type:ty, $($other:tt)*) => {
        impl sealed::Sealed for $type {}

        impl SendingHalf for $type {
            $($other)*

            #[inline]
            fn record_received(&mut self, now: Instant) {
                self.record_received(now);
            }
            fn handle_undecoded(&mut self, now: Instant) {
                self.handle_undecoded(now);
            }
            fn handle_all_decoded(&mut self) {
                self.handle_all_decoded();
            }
            fn set_unflushed(&mut self, now: Instant, held_back: bool) {
                self.set_unflushed(now, held_back);
            }
            fn handle_write_failed(&mut self) {
                self.handle_write_failed();
            }
            fn handle_half_closed(&mut self) {
                self.handle_half_closed();
            }
            fn handle_timeout(&mut self, now: Instant) {
                self.handle_timeout(now);
            }
            #[inline]
            fn transmitted(&mut self, now: Instant, n: usize) {
                self.transmitted(now, n);
            }
            fn transmit_refused(&mut self, n: usize) {
                self.transmit_refused(n);
            }

            #[inline]
            fn send_text(&mut self, text: &str) -> Result<(), SendError> {
                self.send_text(text)
            }
            #[inline]
            fn send_binary(&mut self, data: &[u8]) -> Result<(), SendError> {
                self.send_binary(data)
            }
            fn send_fragment(&mut self, kind: MessageKind, data: &[u8], fin: bool) -> Result<(), SendError> {
                self.send_fragment(kind, data, fin)
            }
            fn send_fragment_with(
                &mut self,
                kind: MessageKind,
                data: &[u8],
                fin: bool,
                options: SendOptions,
            ) -> Result<(), SendError> {
                self.send_fragment_with(kind, data, fin, options)
            }
            fn send(&mut self, message: Message) -> Result<(), UnsentMessage> {
                self.send(message)
            }
            fn send_with(&mut self, message: Message, options: SendOptions) -> Result<(), UnsentMessage> {
                self.send_with(message, options)
            }
            fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), SendError> {
                self.send_prepared(prepared)
            }
            fn ping(&mut self, now: Instant, payload: &[u8]) -> Result<(), SendError> {
                self.ping(now, payload)
            }
            fn pong(&mut self, payload: &[u8]) -> Result<(), SendError> {
                self.pong(payload)
            }
            fn close(&mut self, now: Instant, code: Option<CloseCode>, reason: &str) -> Result<(), SendError> {
                self.close(now, code, reason)
            }
            fn close_after(
                &mut self,
                now: Instant,
                code: Option<CloseCode>,
                reason: &str,
                messages: &mut dyn Iterator<Item = Message>,
            ) -> Result<(), SendError> {
                self.close_after(now, code, reason, messages)
            }
            fn take_queue_memory(&mut self) -> Option<Outbox> {
                self.take_queue_memory()
            }
            #[inline]
            fn reuse_queue_memory(&mut self, memory: Outbox) {
                self.reuse_queue_memory(memory);
            }

            #[inline]
            fn poll_transmit<'a>(&'a self, to: &mut [&'a [u8]]) -> usize {
                self.poll_transmit(to)
            }
            fn poll_transmit_retryable<'a>(&'a self, to: &mut [&'a [u8]]) -> usize {
                self.poll_transmit_retryable(to)
            }
            fn poll_timeout(&self) -> Option<Instant> {
                self.poll_timeout()
            }
            fn poll_transport(&self) -> Option<TransportAction> {
                self.poll_transport()
            }
        }
    };
}

implement! { Connection,
    fn apply(&mut self, now: Instant, reply: PendingReply) {
        self.sender.apply(now, reply);
    }
    fn handle_send_timeout(&mut self, now: Instant) {
        self.sender.handle_timeout(now);
    }
    fn handle_peer_half_closed(&mut self, now: Instant) {
        self.handle_peer_half_closed(now);
    }
    #[inline]
    fn sender(&self) -> &Sender<Outbox> {
        &self.sender
    }
}

implement! { Sender<Outbox>,
    fn apply(&mut self, now: Instant, reply: PendingReply) {
        self.apply(now, reply);
    }
    fn handle_send_timeout(&mut self, now: Instant) {
        self.handle_timeout(now);
    }
    fn handle_peer_half_closed(&mut self, now: Instant) {
        self.handle_peer_half_closed(now, EofPosition::BetweenMessages);
    }
    #[inline]
    fn sender(&self) -> &Self {
        self
    }
}

mod sealed {
    /// Only the two types of this crate implement [`SendingHalf`](super::SendingHalf).
    pub trait Sealed {}
}
