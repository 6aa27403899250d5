//! Receiving compressed messages (RFC 7692 section 7.2.2).

use super::{Coding, Progress, Receiver};
use crate::connection::buffer::{Input, MessageBuffer};
use crate::connection::config::Delivery;
use crate::connection::event::{EventIndex, MessageKind, Place};
use crate::deflate::{Agreed, Finished, RSV1, longest_payload};
use crate::error::ProtocolError;
use crate::handshake::DeflateParams;
use crate::kernel::ReadBuffer;

/// So much of a payload is unmasked and inflated in one go: what the inflater does not take, because there is
/// no room for more output, is masked again.
const PIECE: usize = 16 << 10;
/// The longest chunk.
const CHUNK: usize = 16 << 10;
/// The most room that is given to the inflater at once where messages are gathered.
const MOST: usize = (64 << 10) + SLACK;
/// The inflater is slow in the last 260 bytes of its room.
const SLACK: usize = 512;
/// How much of a budget a block takes, in bytes. An empty block with tables of its own takes up to 5 us, one behind which a
/// window of 32 KiB is copied 1 us; to inflate 2 KiB of text takes 3 us.
const BLOCK: u32 = 2 << 10;

/// What has become of a piece of payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Inflated {
    /// All that was given is taken in, and all that it gives is out.
    All,
    /// There may be more output.
    Full,
    /// There may be more output, and the memory has no room for it.
    NoRoom,
    /// The message has ended.
    End,
}

impl Receiver {
    /// What was agreed on for the messages that are received.
    pub(in crate::connection) const fn agreed(&self) -> Option<Agreed> {
        self.inflating.agreed
    }

    /// With permessage-deflate as agreed on in the handshake, if it was: compressed messages are inflated.
    ///
    /// Nothing is allocated before the first one comes.
    #[must_use]
    pub fn with_deflate(mut self, params: impl Into<Option<DeflateParams>>) -> Self {
        let peer = self.decoder.role().peer();
        self.inflating.agreed = params.into().map(|params| Agreed::sent_by(peer, &params));
        // RFC 7692 6: the extension defines RSV1.
        self.decoder = self.decoder.allow_rsv(if self.inflating.agreed.is_some() { RSV1 } else { 0 });
        self
    }

    /// Gives back what messages are inflated with, but for what the next one may refer to: up to 32 KiB, by
    /// what was agreed on and has come in, where context is taken over, else nothing. The next compressed
    /// message allocates again.
    pub fn release_window(&mut self) {
        if let Some(inflater) = &mut self.inflater {
            inflater.release();
        }
    }

    /// Whether [`Self::release_window`] would give anything back.
    #[must_use]
    pub fn holds_window(&self) -> bool {
        self.inflater.as_ref().is_some_and(|inflater| inflater.can_release())
    }

    /// A message begins, with these reserved bits.
    pub(super) const fn begin_message(&mut self, rsv: u8) {
        // RFC 7692 6.1: the bit on the first frame is for the whole message.
        self.inflating.coding = if rsv & RSV1 != 0 { Coding::Compressed } else { Coding::None };
    }

    pub(super) const fn is_compressed(&self) -> bool {
        !matches!(self.inflating.coding, Coding::None)
    }

    /// The longest payload of a frame of the message in progress, where `max_frame` is set.
    ///
    /// Data that does not compress becomes longer, and a fragment cannot be sent uncompressed where the ones before were
    /// not (RFC 7692 6.1). So there is room for what `max_frame` bytes may become. It costs no memory: a compressed
    /// payload is inflated as it arrives, and of what comes out `max_message` is the limit.
    pub(super) const fn longest_frame(&self, max_frame: u64) -> u64 {
        if self.is_compressed() { longest_payload(max_frame) } else { max_frame }
    }

    /// The payload of a frame of a compressed message, or what is there of it. The frame stays open until all
    /// that it inflates to is out.
    ///
    /// Pauses where the budget is used up and there is more: input, output that the inflater holds back, or the end of
    /// the message.
    pub(super) fn inflate(
        &mut self,
        input: &mut Input<impl ReadBuffer, impl MessageBuffer>,
    ) -> Result<Option<EventIndex>, ProtocolError> {
        if self.inflate_budget == 0 {
            // A payload of which nothing is left to come was empty, or did not end its frame when all of it was taken in.
            if input.remaining() > 0 || self.decoder.payload_left() == 0 {
                self.inflating.coding = Coding::Paused;
            }
            return Ok(None);
        }
        self.inflating.coding = Coding::Compressed;
        match (self.message, self.config.delivery) {
            (Progress::Untouched, Delivery::Whole) => {
                input.message_mut().begin();
                self.message = Progress::Gathering;
            }
            (Progress::Untouched, Delivery::Chunks) => self.message = Progress::Streaming { started: false },
            _ => {}
        }
        let streaming = self.message != Progress::Gathering;
        if streaming {
            input.message_mut().begin();
        }
        loop {
            match self.inflate_piece(input, streaming)? {
                Inflated::End => return self.end_inflated(input, streaming).map(Some),
                Inflated::NoRoom => return self.spill(input).map(Some),
                Inflated::Full if streaming && input.message_mut().gathered() >= CHUNK => break,
                Inflated::All if self.decoder.payload_left() == 0 && !self.fin() => {
                    self.decoder.consume(0);
                    break;
                }
                Inflated::All if input.remaining() == 0 => break,
                // There is more output, more input, or the end of the message to come.
                Inflated::Full | Inflated::All if self.inflate_budget == 0 => {
                    self.inflating.coding = Coding::Paused;
                    break;
                }
                Inflated::Full | Inflated::All => {}
            }
        }
        if !streaming {
            return Ok(None);
        }
        let len = input.message_mut().gathered();
        input.message_mut().finish();
        Ok((len > 0).then(|| self.inflated_chunk(len, false)))
    }

    /// Inflates some of what is there of a payload, or once all of it is taken in, what is left in the
    /// inflater.
    fn inflate_piece(
        &mut self,
        input: &mut Input<impl ReadBuffer, impl MessageBuffer>,
        streaming: bool,
    ) -> Result<Inflated, ProtocolError> {
        let Some(agreed) = self.inflating.agreed else { return Err(ProtocolError::ReservedBits(RSV1)) };
        let len = self.decoder.payload_in(input.remaining()).min(PIECE);
        let last = self.fin() && self.decoder.payload_left() == len as u64;
        let mut mask = *self.decoder.mask_mut();
        input.unmask_ahead(0..len, &mut mask);

        let inflater = self.inflater.get_or_insert_with(|| agreed.inflater(self.config.pool.as_ref()));
        let (from, message) = input.next_and_message(len);
        let (mut consumed, mut produced, mut outcome) = (0, 0, Ok(Inflated::NoRoom));
        let budget = self.inflate_budget;
        let most_blocks = (budget != u32::MAX).then(|| (budget / BLOCK).max(1));
        let mut blocks = 0;
        let mut work = |room: &mut [u8]| {
            let done = if last {
                inflater.finish_within(from, room, most_blocks)
            } else {
                let step = inflater.inflate_within(from, room, most_blocks);
                step.map(|step| Finished { step, done: false })
            };
            outcome = match done {
                Ok(Finished { step, done }) => {
                    (consumed, produced, blocks) = (step.consumed, step.produced, step.blocks);
                    let stopped = consumed < len && most_blocks.is_some_and(|most| blocks >= most);
                    // Without room, what was taken in without output may be all that there is.
                    let stuck = last || consumed < len;
                    Ok(match (done, room.len()) {
                        (true, _) => Inflated::End,
                        (false, _) if stopped => Inflated::All,
                        (false, 0) if stuck => Inflated::NoRoom,
                        (false, room) if produced == room && room > 0 => Inflated::Full,
                        (false, _) => Inflated::All,
                    })
                }
                Err(error) => {
                    produced = error.produced;
                    Err(ProtocolError::InvalidDeflate)
                }
            };
            produced
        };
        // RFC 6455 10.4: the limit is on what comes out, and no more than that is ever inflated. One byte shows
        // whether there is more.
        let limit = self.config.limits.max_message.saturating_sub(self.message_len);
        let gathered = message.gathered();
        if limit == 0 {
            if work(&mut [0]) > 0 {
                return Err(ProtocolError::MessageTooBig);
            }
        } else {
            let (least, expected) = match (streaming, len) {
                (true, _) => (CHUNK - gathered.min(CHUNK), CHUNK - gathered.min(CHUNK)),
                // What has been taken in already does not come to much.
                (false, 0) => (SLACK, SLACK),
                (false, _) => {
                    ((8 * len + SLACK).min(MOST), ((8 * len + SLACK).max(gathered) + SLACK).min(MOST))
                }
            };
            let most = limit.min(budget.into());
            let limited = |len| usize::try_from(most).map_or(len, |most| most.min(len));
            let expected = limited(least)..=limited(expected);
            let kind = if streaming { MessageKind::Binary } else { self.kind };
            message.produce(kind, expected, limit, &mut work).map_err(|_| ProtocolError::InvalidUtf8)?;
            self.message_len += produced as u64;
        }
        if budget != u32::MAX {
            let spent =
                u32::try_from(produced).unwrap_or(u32::MAX).saturating_add(blocks.saturating_mul(BLOCK));
            self.inflate_budget = budget.saturating_sub(spent);
        }
        if streaming && self.kind == MessageKind::Text {
            let bytes = message.bytes(message.gathered()).get(gathered..).unwrap_or_default();
            // RFC 7692 6 with RFC 6455 8.1: what is inflated must be UTF-8, which shows at the first byte that
            // cannot be right.
            self.utf8.push(bytes).map_err(|_| ProtocolError::InvalidUtf8)?;
        }
        let outcome = outcome?;

        // What was not taken is masked again.
        self.decoder.mask_mut().advance(consumed);
        let mut mask = *self.decoder.mask_mut();
        input.unmask_ahead(consumed..len, &mut mask);
        input.advance(consumed);
        self.decoder.pass(consumed);
        Ok(outcome)
    }

    /// A compressed message has ended.
    fn end_inflated(
        &mut self,
        input: &mut Input<impl ReadBuffer, impl MessageBuffer>,
        streaming: bool,
    ) -> Result<EventIndex, ProtocolError> {
        let utf8 = if streaming { self.utf8 } else { input.message_mut().validator() };
        // RFC 6455 8.1: nor may a code point be cut off by the end of the message.
        if self.kind == MessageKind::Text && !utf8.is_complete() {
            return Err(ProtocolError::InvalidUtf8);
        }
        self.decoder.consume(0);
        if let (Some(agreed), Some(inflater)) = (self.inflating.agreed, self.inflater.take()) {
            self.inflater = agreed.keep_inflater(inflater, self.config.pool.as_ref());
        }
        input.message_mut().finish();
        let len = input.message_mut().gathered();
        let message = self.finish_message(Place::gathered(len));
        if streaming {
            return Ok(self.inflated_chunk(len, true));
        }
        self.message = Progress::Untouched;
        Ok(message.into())
    }

    /// The memory is full: what is in it goes out as a chunk, and the rest in chunks behind it.
    fn spill(
        &mut self,
        input: &mut Input<impl ReadBuffer, impl MessageBuffer>,
    ) -> Result<EventIndex, ProtocolError> {
        let len = input.message_mut().gathered();
        if len == 0 {
            // There is no memory at all: no message is small enough.
            return Err(ProtocolError::MessageTooBig);
        }
        if self.message == Progress::Gathering {
            self.utf8 = input.message_mut().validator();
            self.message = Progress::Streaming { started: false };
        }
        input.message_mut().finish();
        Ok(self.inflated_chunk(len, false))
    }

    fn inflated_chunk(&mut self, len: usize, fin: bool) -> EventIndex {
        let first = self.message != Progress::Streaming { started: true };
        self.message = Progress::Streaming { started: true };
        EventIndex::chunk(Place::gathered(len), self.kind, first, fin)
    }
}
