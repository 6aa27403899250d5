//! The memory for the next read.
//!
//! If the rest of a large message is missing, the next bytes are read directly into the message buffer, which saves a
//! copy. All other bytes are read into the read buffer of the inbox. The functions here choose one of these buffers.
//! `buffer/inbox.rs` and `buffer/vec_message.rs` decide how much space there is and how the memory grows.
//!
//! Invariant: bytes are read directly into a message only after all bytes in the read buffer have been decoded.
//! Otherwise the receiver would decode the bytes in the wrong order.

use super::{DeliveryState, Frame, Receiver};
use crate::connection::buffer::{Inbox, MIN_DIRECT_READ, VecMessage};

impl Receiver {
    /// Returns space in `message` into which the rest of a large payload can be read without a copy. The space is empty
    /// if no uncompressed message is being gathered in `message`, or if only a small part of its current frame is
    /// missing.
    ///
    /// Call this only after poll has returned `None`, because bytes in this space are decoded after all other input.
    /// Read into the space, and report the length with [`handle_payload`](Self::handle_payload). Poll after that. If
    /// there is no other input, pass an empty input.
    pub fn payload_space<'m>(&self, message: &'m mut VecMessage) -> &'m mut [u8] {
        if self.expects_direct_read() && !message.has_direct_bytes() {
            message.space(self.decoder.payload_left(), self.fin())
        } else {
            Default::default()
        }
    }

    /// Returns the space for the next read. The space lies in the read buffer of `inbox`, or in its message buffer if
    /// [`payload_space`](Self::payload_space) would return space. The space is never empty. Report the length of the
    /// read with [`Inbox::handle_read`](crate::Inbox::handle_read).
    #[inline]
    pub fn read_space<'i>(&self, inbox: &'i mut Inbox) -> &'i mut [u8] {
        if self.fast { inbox.space() } else { self.read_space_for_rest(inbox) }
    }

    /// Returns the space for the next read while a frame or message is in progress.
    #[inline(never)]
    fn read_space_for_rest<'i>(&self, inbox: &'i mut Inbox) -> &'i mut [u8] {
        if self.message == DeliveryState::InPlace {
            inbox.space_behind(self.decoder.payload_left())
        } else if inbox.remaining() == 0
            && self.expects_direct_read()
            && !inbox.message_mut().has_direct_bytes()
        {
            self.payload_space(inbox.message_mut())
        } else {
            inbox.space()
        }
    }

    /// Returns whether a large part of a gathered payload is missing, so that a direct read into the message saves
    /// time.
    fn expects_direct_read(&self) -> bool {
        let gathering = self.message == DeliveryState::Gathering && self.frame == Frame::Data;
        let gathering = gathering && !self.is_compressed();
        gathering && self.decoder.payload_left() >= MIN_DIRECT_READ
    }

    /// Records that the first `len` bytes of [`payload_space`](Self::payload_space) were read. The next poll decodes
    /// these bytes.
    pub fn handle_payload(&mut self, message: &mut VecMessage, len: usize) {
        message.handle_direct_read(len);
    }
}
