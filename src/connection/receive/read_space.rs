//! Space for the next read.
//!
//! The rest of a large payload is read to the place where it will be delivered, which saves a copy. Everything else
//! is read to the window of the inbox. The functions here choose between the two; `buffer/inbox.rs` and
//! `buffer/vec_message.rs` decide how much space there is and how the memory grows.
//!
//! Invariant: bytes that are read to their place come behind all other input, so the window has been decoded by then.

use super::{Frame, Progress, Receiver};
use crate::connection::buffer::{Inbox, VecMessage, WORTH_A_READ};

impl Receiver {
    /// Returns the space in `message` where the rest of a large payload will be delivered, for the next read. Returns
    /// an empty slice if no large payload is being gathered there.
    ///
    /// Call it once poll has returned `None`, because bytes that are read here come behind all other input. Read into
    /// the space, report the length with [`handle_payload`](Self::handle_payload), and poll, with an empty input if
    /// there is none.
    pub fn payload_space<'m>(&self, message: &'m mut VecMessage) -> &'m mut [u8] {
        if self.wants_payload() && !message.has_direct_read() {
            message.space(self.decoder.payload_left(), self.fin())
        } else {
            Default::default()
        }
    }

    /// Returns the space for the next read: in the window of `inbox`, or where the rest of a large payload will be
    /// delivered. It is never empty. Report the length of the read with
    /// [`Inbox::handle_read`](crate::Inbox::handle_read).
    #[inline]
    pub fn read_space<'i>(&self, inbox: &'i mut Inbox) -> &'i mut [u8] {
        if self.fast { inbox.space() } else { self.read_space_for_rest(inbox) }
    }

    /// Returns the space for the next read while a frame or message is in progress.
    #[inline(never)]
    fn read_space_for_rest<'i>(&self, inbox: &'i mut Inbox) -> &'i mut [u8] {
        if self.message == Progress::InPlace {
            inbox.space_behind(self.decoder.payload_left())
        } else if inbox.remaining() == 0 && self.wants_payload() && !inbox.message_mut().has_direct_read() {
            self.payload_space(inbox.message_mut())
        } else {
            inbox.space()
        }
    }

    /// Returns whether enough of a gathered payload is missing to read it to its place.
    fn wants_payload(&self) -> bool {
        let gathering = self.message == Progress::Gathering && self.frame == Frame::Data;
        let gathering = gathering && !self.is_compressed();
        gathering && self.decoder.payload_left() >= WORTH_A_READ
    }

    /// Records that the first `len` bytes of [`payload_space`](Self::payload_space) were read. The next poll decodes
    /// them.
    pub fn handle_payload(&mut self, message: &mut VecMessage, len: usize) {
        message.handle_direct_read(len);
    }
}
