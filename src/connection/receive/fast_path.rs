//! Fast paths: whole messages in one frame, with nothing else in progress.
//!
//! What is not right, or not so simple, they leave to the slow path, which finds out what it is.

use super::{Progress, Receiver};
use crate::connection::buffer::{Input, MessageBuffer};
use crate::connection::event::{MessageIndex, MessageKind};
use crate::frame::{Header, Opcode};
use crate::kernel::{Mask, ReadBuffer};
use crate::role::Role;

impl Receiver {
    /// The fast path of [`Self::poll`]: a message in one frame that lies in the input, all of it or its rest. `None`
    /// says that there is no such message: go on with [`Self::poll`] before anything else is asked. It also says
    /// where the peer has broken a rule, of which nothing else tells before.
    // What small ones need is inlined to where the message is looked at, and knows nothing of the rest.
    #[inline(always)]
    pub fn poll_message(
        &mut self,
        input: &mut Input<impl ReadBuffer, impl MessageBuffer>,
    ) -> Option<MessageIndex> {
        if !self.fast {
            let ends =
                self.message == Progress::InPlace && input.remaining() as u64 >= self.decoder.payload_left();
            return if ends { self.finish_partial_message(input) } else { None };
        }
        let (kind, len, rest) = self.match_header(input.arrived())?;
        if len > 125 {
            return if len == 126 { self.poll_medium_message(input, kind) } else { None };
        }
        let (head, mask) = match self.decoder.role() {
            Role::Server => (6, Mask::new(*rest.first_chunk()?)),
            Role::Client => (2, Mask::new([0; 4])),
        };
        self.take_message(input, kind, head, u16::from(len), mask)
    }

    /// A message whose length has 16 bits.
    #[inline(never)]
    fn poll_medium_message(
        &mut self,
        input: &mut Input<impl ReadBuffer, impl MessageBuffer>,
        kind: MessageKind,
    ) -> Option<MessageIndex> {
        let &[_, _, high, low, ref rest @ ..] = input.arrived()? else { return None };
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

    /// The kind of a message whose header begins here, how its length is written, and what follows; `None`
    /// for all that is not right, which the slow path finds out.
    #[inline(always)]
    fn match_header<'i>(&self, input: Option<&'i [u8]>) -> Option<(MessageKind, u8, &'i [u8])> {
        let &[first, second, ref rest @ ..] = input? else { return None };
        let kind = match first {
            0x81 => MessageKind::Text,
            0x82 => MessageKind::Binary,
            _ => return None,
        };
        // Of a frame that is masked where it must not be, or not where it must, this makes a length over 127.
        let len = if self.decoder.role() == Role::Server { second ^ 0x80 } else { second };
        Some((kind, len, rest))
    }

    /// A message that lies in the input, if it does, behind `head` bytes of header.
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
        let Some(place) = input.message_behind(head, len.into()) else {
            if input.has_part_behind(head, len.into()) {
                self.begin_partial_message(input, kind, head, len, mask);
            }
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
        self.saw_data = true;
        Some(MessageIndex { place, kind })
    }

    /// The header of a message that will lie in the input, and of whose payload some does: [`Self::poll_any`] goes on
    /// with that.
    #[inline(never)]
    fn begin_partial_message(
        &mut self,
        input: &mut Input<impl ReadBuffer, impl MessageBuffer>,
        kind: MessageKind,
        head: usize,
        len: u16,
        mask: Mask,
    ) {
        let opcode = if kind == MessageKind::Text { Opcode::Text } else { Opcode::Binary };
        let header = Header { fin: true, rsv: 0, opcode, masking_key: None, payload_len: len.into() };
        self.decoder.begin(&header);
        *self.decoder.mask_mut() = mask;
        self.begin_frame(&header);
        self.counters.bytes += head as u64;
        input.advance(head);
        input.begin_message();
        (self.message, self.fast) = (Progress::InPlace, false);
    }

    /// The rest of a message that lies in the input and has arrived.
    #[inline(never)]
    fn finish_partial_message(
        &mut self,
        input: &mut Input<impl ReadBuffer, impl MessageBuffer>,
    ) -> Option<MessageIndex> {
        self.saw_data = true;
        self.continue_in_place(input)
    }

    /// The text is none. Here nobody is told: [`Self::poll_any`] does that, which comes next.
    #[cold]
    #[inline(never)]
    pub(super) const fn refuse_text(&mut self) -> Option<MessageIndex> {
        (self.message, self.fast) = (Progress::Refused, false);
        None
    }
}
