//! Where the next bytes are read to.
//!
//! The rest of a large payload is read straight to the place where it will be delivered. Everything else is read to the
//! window of the inbox.

use super::{Frame, Progress, Receiver};
use crate::connection::buffer::{Inbox, VecMessage, WORTH_A_READ};

impl Receiver {
    /// Where the next bytes may be read to instead of the buffer for input: the place in `message` where
    /// the rest of a large payload will be delivered. Empty where that does not pay or nothing is being
    /// gathered there.
    ///
    /// To be asked once poll has returned `None`: what is read here comes behind all other input. Read into
    /// it, say with [`handle_payload`](Self::handle_payload) how much came, and poll, with an empty input if
    /// there is none.
    pub fn payload_space<'m>(&self, message: &'m mut VecMessage) -> &'m mut [u8] {
        if self.wants_payload() && !message.has_direct_read() {
            message.space(self.decoder.payload_left(), self.fin())
        } else {
            Default::default()
        }
    }

    /// Where to read to: into `inbox`, or straight to the place where the rest of a large payload will be
    /// delivered. Never empty. Say with [`Inbox::handle_read`](crate::Inbox::handle_read) how much came.
    #[inline]
    pub fn read_space<'i>(&self, inbox: &'i mut Inbox) -> &'i mut [u8] {
        if self.fast { inbox.space() } else { self.read_space_for_rest(inbox) }
    }

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

    /// Whether so much of a payload is missing that it should be read to its place.
    fn wants_payload(&self) -> bool {
        let gathering = self.message == Progress::Gathering && self.frame == Frame::Data;
        let gathering = gathering && !self.is_compressed();
        gathering && self.decoder.payload_left() >= WORTH_A_READ
    }

    /// The first `len` bytes of what [`payload_space`](Self::payload_space) gave have been read. They are
    /// taken in by the next poll.
    pub fn handle_payload(&mut self, message: &mut VecMessage, len: usize) {
        message.handle_direct_read(len);
    }
}
