//! Getters of a connection: each returns a value of the half that owns it.
//!
//! No getter changes the connection. The half that owns the value, [`Sender`] or [`Receiver`], documents what the
//! value means and when it changes. Only [`Connection::deflate`] computes a value, from the parameters of both
//! directions.

use core::time::Duration;

use super::event::Counters;
use super::{Connection, ReadyState, Receiver, Sender, WriteQueue};
#[cfg(feature = "alloc")]
use crate::close::CloseFrame;
use crate::error::SendError;
use crate::frame::Role;
use crate::time::Instant;

impl<O: WriteQueue> Connection<O> {
    /// Returns the receiving half.
    #[must_use]
    pub const fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    /// Returns the sending half.
    #[must_use]
    pub const fn sender(&self) -> &Sender<O> {
        &self.sender
    }

    /// Returns the latest time that the timers have stored: see [`Sender::latest_instant`].
    #[must_use]
    pub fn latest_instant(&self) -> Instant {
        self.sender.latest_instant()
    }

    /// Returns the role of this endpoint.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.sender.role()
    }

    /// Returns whether the connection is open, closing or closed, like `readyState` in a browser.
    #[must_use]
    pub const fn ready_state(&self) -> ReadyState {
        self.sender.ready_state()
    }

    /// Returns the permessage-deflate parameters; `None` without compression. A window size that was not negotiated is
    /// returned as 15 bits, which is the default of RFC 7692.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(&self) -> Option<crate::handshake::DeflateParams> {
        let (sent, received) = (self.sender.agreed()?, self.receiver.agreed()?);
        let (server, client) = match self.role() {
            Role::Server => (sent, received),
            Role::Client => (received, sent),
        };
        Some(crate::handshake::DeflateParams {
            server_no_context_takeover: !server.takeover(),
            client_no_context_takeover: !client.takeover(),
            server_max_window_bits: Some(server.window_bits()),
            client_max_window_bits: Some(client.window_bits()),
        })
    }

    /// Returns how many bytes are queued and not written, including headers and control frames.
    #[must_use]
    pub fn buffered_amount(&self) -> usize {
        self.sender.buffered_amount()
    }

    /// Returns whether the inflate budget stopped the last poll: see [`Receiver::must_poll_again`].
    #[must_use]
    #[inline]
    pub const fn must_poll_again(&self) -> bool {
        self.receiver.must_poll_again()
    }

    /// Checks whether closing has begun, and whether the write queue has reached the high-water mark: see
    /// [`Sender::can_send`].
    ///
    /// # Errors
    ///
    /// [`SendError::Blocked`] if the high-water mark is reached, [`SendError::Closed`] once closing has begun.
    pub fn can_send(&self) -> Result<(), SendError> {
        self.sender.can_send()
    }

    /// Returns whether [`poll_message`](Self::poll_message) has returned messages that the timers do not count yet.
    /// [`record_received`](Self::record_received) counts them.
    #[inline]
    #[must_use]
    pub const fn has_unrecorded_messages(&self) -> bool {
        self.sender.has_unrecorded_messages()
    }

    /// Returns the minimum number of bytes that are missing from the current frame; 0 between frames.
    #[must_use]
    pub fn read_hint(&self) -> usize {
        self.receiver.read_hint()
    }

    /// Returns the time from the last answered Ping to its Pong; `None` before the first Pong.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.sender.round_trip()
    }

    /// Returns the peer's Close; `None` before a valid Close was received: see [`Receiver::peer_close`].
    #[cfg(feature = "alloc")]
    #[must_use]
    pub fn peer_close(&self) -> Option<CloseFrame> {
        self.receiver.peer_close()
    }

    /// Returns the counts of messages, frames and bytes that were received.
    #[must_use]
    pub const fn received(&self) -> Counters {
        self.receiver.counters()
    }

    /// Returns the counts of messages, frames and bytes that were sent: see [`Sender::counters`].
    #[must_use]
    pub const fn sent(&self) -> Counters {
        self.sender.counters()
    }
}
