//! Fast path of receiving: a complete message in one frame, while no other frame or message is in progress.
//!
//! Most messages are small, unfragmented and uncompressed, and lie in the read buffer together with their header. For
//! these messages, [`Receiver::poll_message`] does in a few branches what `mod.rs` does step by step. The method
//! compares the first byte with the two values that the fast path accepts, reads the length, and computes the position
//! of the payload. Then it unmasks the payload in place, and validates text in the same pass.
//!
//! Some checks of the slow path are simplified here. The simplified checks are safe for these reasons:
//! - *FIN, reserved bits and opcode* are checked by one comparison. `0x81` and `0x82` are the first bytes of a final
//!   text or binary frame without reserved bits. Every other first byte takes the slow path.
//! - *The MASK bit* is checked together with the length. A wrong MASK bit makes the length larger than 127, and no
//!   branch accepts such a length.
//! - *The shortest form of the length* is checked for lengths of 16 bits. Lengths of 64 bits take the slow path.
//! - *The end of the bytes that arrived* is checked once, for the whole message. Before this check, the code may read
//!   old bytes after that end as a header. No message is taken or begun because of such a header.
//! - *No other frame or message is in progress*, because `fast` is false from the first byte of a frame or message
//!   until its end.
//! - *The limits* are checked by one comparison with `fast_below`, which is 0 if messages are delivered in chunks or if
//!   no fragment is allowed.
//!
//! If a function of this file returns `None`, the slow path starts. Normally no byte has been consumed at this point,
//! so the slow path sees the same bytes. There are two exceptions, and the field `message` records them. In the first,
//! the header of a message is consumed, and the rest of the message will arrive after it ([`DeliveryState::InPlace`]).
//! In the second, a text is not UTF-8 ([`DeliveryState::Refused`]). Only the slow path reports violations.
//!
//! Measured: a masked message of 16 bytes took 187 instructions on the slow path and takes 148 on this path. Both
//! numbers include a copy that simulates the read. `docs/decisions/0003-small-messages-take-a-fast-path.md` has the
//! details. `0006-payload-is-unmasked-in-large-pieces.md` has the details for messages that arrive in parts.

use super::{DeliveryState, Receiver};
use crate::connection::buffer::{Input, MessageBuffer};
use crate::connection::event::{MessageIndex, MessageKind};
use crate::frame::{Header, Opcode};
use crate::kernel::{Mask, ReadBuffer};
use crate::role::Role;

impl Receiver {
    /// Returns the next message if the message is in one frame and the input contains its end. This method is the fast
    /// path of [`Self::poll`].
    ///
    /// `None` means only that there is no such message. Call [`Self::poll`] next, before any other method. `poll`
    /// decodes all other input, and returns an error if the peer broke a rule.
    // This function is inlined into the caller, so that the index of a small message stays in registers. Only payloads
    // of up to 125 bytes are decoded inline. For longer payloads, functions are called.
    #[inline(always)]
    pub fn poll_message(
        &mut self,
        input: &mut Input<impl ReadBuffer, impl MessageBuffer>,
    ) -> Option<MessageIndex> {
        if !self.fast {
            let ends = self.message == DeliveryState::InPlace
                && input.remaining() as u64 >= self.decoder.payload_left();
            return if ends { self.finish_partial_message(input) } else { None };
        }
        let (kind, len, rest) = self.match_header(input.after_cursor())?;
        if len > 125 {
            return if len == 126 { self.poll_medium_message(input, kind) } else { None };
        }
        let (head, mask) = match self.decoder.role() {
            Role::Server => (6, Mask::new(*rest.first_chunk()?)),
            Role::Client => (2, Mask::new([0; 4])),
        };
        self.take_message(input, kind, head, u16::from(len), mask)
    }

    /// Returns a message whose length has 16 bits, as [`Self::poll_message`] does.
    #[inline(never)]
    fn poll_medium_message(
        &mut self,
        input: &mut Input<impl ReadBuffer, impl MessageBuffer>,
        kind: MessageKind,
    ) -> Option<MessageIndex> {
        let &[_, _, high, low, ref rest @ ..] = input.after_cursor()? else { return None };
        let len = u16::from_be_bytes([high, low]);
        if len < 126 {
            return None;
        }
        let (head, mask) = match self.decoder.role() {
            Role::Server => (8, Mask::new(*rest.first_chunk()?)),
            Role::Client => (4, Mask::new([0; 4])),
        };
        self.take_message(input, kind, head, len, mask)
    }

    /// Matches the first two bytes of a header. Returns the kind of the message, its 7-bit length, and the bytes after
    /// the first two. Returns `None` if fewer than two bytes have arrived, or if the first byte needs the slow path.
    #[inline(always)]
    fn match_header<'i>(&self, input: Option<&'i [u8]>) -> Option<(MessageKind, u8, &'i [u8])> {
        let &[first, second, ref rest @ ..] = input? else { return None };
        let kind = match first {
            0x81 => MessageKind::Text,
            0x82 => MessageKind::Binary,
            _ => return None,
        };
        // RFC 6455 5.1: a client masks and a server does not. On a server, the XOR removes the MASK bit. A wrong MASK
        // bit results in a length of 128 or more, which the caller does not accept.
        let len = if self.decoder.role() == Role::Server { second ^ 0x80 } else { second };
        Some((kind, len, rest))
    }

    /// Takes a message of `len` bytes after a header of `head` bytes, if all of the message has arrived.
    ///
    /// If only a part has arrived, returns `None`. If the rest will arrive directly after the part, also starts the
    /// message.
    #[inline(always)]
    fn take_message(
        &mut self,
        input: &mut Input<impl ReadBuffer, impl MessageBuffer>,
        kind: MessageKind,
        head: usize,
        len: u16,
        mut mask: Mask,
    ) -> Option<MessageIndex> {
        if len >= self.fast_below {
            return None;
        }
        let Some(place) = input.message_after_header(head, len.into()) else {
            self.begin_partial_message(input, kind, head, len, mask);
            return None;
        };
        let valid = input.unmask_message(place, kind, &mut mask);
        self.counters.messages += u64::from(valid);
        self.counters.frames += 1;
        self.counters.bytes += (usize::from(len) + head) as u64;
        if !valid {
            return self.refuse_text();
        }
        input.take_whole(place);
        self.last_poll_had_data = true;
        Some(MessageIndex { place, kind })
    }

    /// Starts a message of which only a part has arrived: consumes the header. Does so only if the rest will arrive
    /// directly after the part. [`Self::poll_any`] continues with the payload.
    // This function is marked cold, so that the compiler expects complete messages, and places their instructions one
    // after the other without jumps.
    #[cold]
    #[inline(never)]
    fn begin_partial_message(
        &mut self,
        input: &mut Input<impl ReadBuffer, impl MessageBuffer>,
        kind: MessageKind,
        head: usize,
        len: u16,
        mask: Mask,
    ) {
        if !input.has_part_after_header(head, len.into()) {
            return;
        }
        let opcode = if kind == MessageKind::Text { Opcode::Text } else { Opcode::Binary };
        let header = Header { fin: true, rsv: 0, opcode, masking_key: None, payload_len: len.into() };
        self.decoder.begin(&header);
        *self.decoder.mask_mut() = mask;
        self.begin_frame(&header);
        self.counters.bytes += head as u64;
        input.advance(head);
        input.begin_message();
        (self.message, self.fast) = (DeliveryState::InPlace, false);
    }

    /// Takes a message that lies in the input, once all of its missing bytes have arrived.
    // This function is marked cold for the same reason as `begin_partial_message`.
    #[cold]
    #[inline(never)]
    fn finish_partial_message(
        &mut self,
        input: &mut Input<impl ReadBuffer, impl MessageBuffer>,
    ) -> Option<MessageIndex> {
        self.last_poll_had_data = true;
        self.continue_in_place(input)
    }

    /// Records that a text is not UTF-8. [`Self::poll_any`], which the caller calls next, returns the error.
    // The fast path does not return a `Result`. With a `Result`, every returned value would have space for an error,
    // and moving the value would cost more.
    #[cold]
    #[inline(never)]
    pub(super) const fn refuse_text(&mut self) -> Option<MessageIndex> {
        (self.message, self.fast) = (DeliveryState::Refused, false);
        None
    }
}
