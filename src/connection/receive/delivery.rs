//! Changes how messages are delivered, while the connection is open.
//!
//! [`Config::delivery`] sets the delivery of a new connection. A driver may learn only after the handshake that
//! messages must be delivered in another way. The functions here change the delivery from the next message on.
//! `mod.rs`, `payload.rs` and `inflate.rs` read the delivery when a message begins.
//!
//! Invariants:
//! - The delivery of a message does not change after its first payload byte, so no memory is moved.
//! - The fast path is on only if messages are delivered as a whole, because the fast path delivers no chunks.

use super::{DeliveryState, Frame, Receiver};
use crate::connection::config::{Config, Delivery};
use crate::connection::event::MessageKind;
#[cfg(doc)]
use crate::error::ProtocolError;

impl Receiver {
    /// Sets how messages are delivered, instead of the value of [`Config::delivery`].
    ///
    /// The value applies from the next message on. If a part of a message has arrived already, this message is still
    /// delivered in the previous way. There is one exception: if this message is text and `delivery` is
    /// [`Delivery::Bytes`], the next poll returns [`ProtocolError::TextNotAccepted`].
    ///
    /// ```
    /// # #[cfg(feature = "alloc")] {
    /// use hybi::{Config, Connection, Delivery, Event, Inbox, Instant, Outbox, ProtocolError};
    ///
    /// let mut connection = Connection::client(Instant::ZERO, Config::new(), Outbox::new(), [1; 32]);
    /// connection.set_delivery(Delivery::Bytes);
    /// let mut inbox = Inbox::with_bytes(b"\x82\x02ok\x81\x02no");
    /// let event = connection.poll_event(Instant::ZERO, &mut inbox).unwrap();
    /// assert!(matches!(event, Some(Event::Chunk { data: b"ok", fin: true, .. })));
    /// let error = connection.poll_event(Instant::ZERO, &mut inbox).unwrap_err();
    /// assert_eq!(error, ProtocolError::TextNotAccepted);
    /// # }
    /// ```
    pub fn set_delivery(&mut self, delivery: Delivery) {
        self.delivery = delivery;
        let Config { limits, .. } = &*self.config;
        // The fast path does not count fragments. If no fragment is allowed at all, the fast path is off, so that the
        // slow path reports the violation.
        self.fast_below = if delivery == Delivery::Whole && limits.max_fragments > 0 {
            let most = limits.max_frame.min(limits.max_message);
            u16::try_from(most).unwrap_or(u16::MAX).saturating_add(1)
        } else {
            0
        };
        let in_data_frame = self.decoder.is_in_frame() && self.frame == Frame::Data;
        let in_message = self.decoder.is_in_message() || in_data_frame;
        if in_message && self.refuses_text() && !self.is_done() {
            (self.message, self.fast) = (DeliveryState::Refused, false);
        }
    }

    /// Returns how messages are delivered from the next message on.
    #[must_use]
    pub const fn delivery(&self) -> Delivery {
        self.delivery
    }

    /// Returns whether the message in progress is refused because it is text.
    pub(super) fn refuses_text(&self) -> bool {
        self.delivery == Delivery::Bytes && self.kind == MessageKind::Text
    }
}
