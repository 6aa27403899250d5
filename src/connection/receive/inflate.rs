//! Receiving compressed messages (RFC 7692 section 7.2.2).
//!
//! Payload is inflated as it arrives, into the message buffer of the input. This file calls the inflater and applies
//! the limits. `deflate/inflater.rs` inflates the data.
//!
//! Invariants:
//! - At most `max_message` bytes of a message are inflated, and one more byte to find out whether the message is
//!   longer.
//! - A frame stays in progress until the whole output of its payload was delivered. The next header is decoded only
//!   after that.
//! - Payload that the inflater did not consume is masked again, so that the next poll sees the bytes as they arrived.
//! - A poll inflates at most as much as the budget allows, and then pauses ([`Coding::Paused`]).

use super::{Coding, DeliveryState, Receiver};
use crate::connection::buffer::{Input, MessageBuffer};
use crate::connection::config::Delivery;
use crate::connection::event::{EventIndex, MessageKind, Place};
use crate::deflate::{Agreed, Finished, RSV1, longest_payload};
use crate::error::ProtocolError;
use crate::handshake::DeflateParams;
use crate::kernel::ReadBuffer;

/// Maximum number of payload bytes that are unmasked and inflated in one step. If the output space is full, the bytes
/// that the inflater did not consume are masked again.
const PIECE: usize = 16 << 10;
/// Maximum length of a delivered chunk, in bytes.
const CHUNK: usize = 16 << 10;
/// Maximum output space of the inflater in one step, in bytes, if the message is gathered.
const MAX_OUTPUT: usize = (64 << 10) + OUTPUT_PADDING;
/// Output space beyond the expected length, in bytes. The inflater is slow in the last 260 bytes of its output space.
const OUTPUT_PADDING: usize = 512;
/// Cost of one DEFLATE block against the budget, in bytes of output. The cost must cover the time for a block without
/// output. An empty block with its own tables takes up to 5 µs. A block after which a window of 32 KiB is copied takes
/// 1 µs. Inflating 2 KiB of text takes 3 µs.
const BLOCK_COST: u32 = 2 << 10;

/// The result of one step of inflation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Inflated {
    /// The payload is consumed, and all of its output is written. This value is also returned if the limit on blocks
    /// has stopped the step earlier.
    All,
    /// The output space is full, and there may be more output for the same payload.
    Full,
    /// There may be more output, but the message buffer has no space left.
    NoSpace,
    /// The message has ended.
    End,
}

impl Receiver {
    /// Returns the compression parameters that the handshake agreed on for received messages.
    pub(in crate::connection) const fn agreed(&self) -> Option<Agreed> {
        self.inflating.agreed
    }

    /// Sets the permessage-deflate parameters that the handshake agreed on; `None` for no compression. The memory for
    /// the inflater is allocated with the first compressed message.
    #[must_use]
    pub fn with_deflate(mut self, params: impl Into<Option<DeflateParams>>) -> Self {
        let peer = self.decoder.role().peer();
        self.inflating.agreed = params.into().map(|params| Agreed::sent_by(peer, &params));
        // RFC 7692 6: the extension defines RSV1.
        self.decoder = self.decoder.allow_rsv(if self.inflating.agreed.is_some() { RSV1 } else { 0 });
        self
    }

    /// Frees the inflater, except recent data that the next message may refer to.
    ///
    /// With context takeover, the recent data takes up to 32 KiB. The length depends on the window size, and on how
    /// much data was received. Without context takeover all of the memory is freed. The next compressed message
    /// allocates the inflater again.
    pub fn release_inflater(&mut self) {
        if let Some(inflater) = &mut self.inflater {
            inflater.release();
        }
    }

    /// Returns whether [`Self::release_inflater`] would free anything.
    #[must_use]
    pub fn can_release_inflater(&self) -> bool {
        self.inflater.as_ref().is_some_and(|inflater| inflater.can_release())
    }

    /// Starts a message whose first frame has the reserved bits `rsv`.
    pub(super) const fn begin_message(&mut self, rsv: u8) {
        // RFC 7692 6.1: RSV1 on the first frame applies to the whole message.
        self.inflating.coding = if rsv & RSV1 != 0 { Coding::Compressed } else { Coding::None };
    }

    pub(super) const fn is_compressed(&self) -> bool {
        !matches!(self.inflating.coding, Coding::None)
    }

    /// Returns the longest allowed payload of a frame, given `max_frame`.
    ///
    /// Compression makes some data longer. A fragment of a compressed message must be compressed even if it becomes
    /// longer (RFC 7692 section 6.1). So a compressed frame may be as long as `max_frame` bytes can become. A long
    /// frame costs no memory, because payload is inflated as it arrives, and `max_message` limits the output.
    pub(super) const fn longest_frame(&self, max_frame: u64) -> u64 {
        if self.is_compressed() { longest_payload(max_frame) } else { max_frame }
    }

    /// Consumes payload of a compressed message. Returns an event once a message or a chunk is complete.
    ///
    /// Pauses if the budget is used up but the work is not done. There may be more input, the inflater may hold more
    /// output, or only the end of the message may be missing.
    pub(super) fn inflate(
        &mut self,
        input: &mut Input<impl ReadBuffer, impl MessageBuffer>,
    ) -> Result<Option<EventIndex>, ProtocolError> {
        if self.inflate_budget == 0 {
            // If all payload is consumed but the frame is still in progress, the frame was empty or its output is not
            // complete.
            if input.remaining() > 0 || self.decoder.payload_left() == 0 {
                self.inflating.coding = Coding::Paused;
            }
            return Ok(None);
        }
        self.inflating.coding = Coding::Compressed;
        match (self.message, self.delivery) {
            (DeliveryState::Untouched, Delivery::Whole) => {
                input.message_mut().begin();
                self.message = DeliveryState::Gathering;
            }
            (DeliveryState::Untouched, Delivery::Chunks | Delivery::Bytes) => {
                self.message = DeliveryState::Streaming { started: false }
            }
            _ => {}
        }
        let streaming = self.message != DeliveryState::Gathering;
        if streaming {
            input.message_mut().begin();
        }
        loop {
            match self.inflate_piece(input, streaming)? {
                Inflated::End => return self.end_inflated(input, streaming).map(Some),
                Inflated::NoSpace => return self.deliver_full_buffer(input).map(Some),
                Inflated::Full if streaming && input.message_mut().gathered() >= CHUNK => break,
                Inflated::All if self.decoder.payload_left() == 0 && !self.fin() => {
                    self.decoder.consume(0);
                    break;
                }
                Inflated::All if input.remaining() == 0 => break,
                // More output, more input, or the end of the message follows.
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

    /// Inflates one piece of the payload that has arrived. If all payload is consumed, writes the output that the
    /// inflater still holds.
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
        let (mut consumed, mut produced, mut outcome) = (0, 0, Ok(Inflated::NoSpace));
        let budget = self.inflate_budget;
        let most_blocks = (budget != u32::MAX).then(|| (budget / BLOCK_COST).max(1));
        let mut blocks = 0;
        let mut work = |space: &mut [u8]| {
            let done = if last {
                inflater.finish_within(from, space, most_blocks)
            } else {
                let step = inflater.inflate_within(from, space, most_blocks);
                step.map(|step| Finished { step, done: false })
            };
            outcome = match done {
                Ok(Finished { step, done }) => {
                    (consumed, produced, blocks) = (step.consumed, step.produced, step.blocks);
                    let stopped = consumed < len && most_blocks.is_some_and(|most| blocks >= most);
                    // Without output space the inflater cannot continue if bytes are left, or if no more payload
                    // follows.
                    let stuck = last || consumed < len;
                    Ok(match (done, space.len()) {
                        (true, _) => Inflated::End,
                        (false, _) if stopped => Inflated::All,
                        (false, 0) if stuck => Inflated::NoSpace,
                        (false, space) if produced == space && space > 0 => Inflated::Full,
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
        // RFC 6455 10.4: the limit applies to the output, and no more than the limit is delivered. At the limit, the
        // inflater gets space for one further byte. If it writes this byte, the message is too big.
        let limit = self.config.limits.max_message.saturating_sub(self.message_len);
        let gathered = message.gathered();
        if limit == 0 {
            if work(&mut [0]) > 0 {
                return Err(ProtocolError::MessageTooBig);
            }
        } else {
            let (least, expected) = output_space(streaming, len, gathered);
            let most = limit.min(budget.into());
            let limited = |len| usize::try_from(most).map_or(len, |most| most.min(len));
            let expected = limited(least)..=limited(expected);
            let kind = if streaming { MessageKind::Binary } else { self.kind };
            message.produce(kind, expected, limit, &mut work).map_err(|_| ProtocolError::InvalidUtf8)?;
            self.message_len += produced as u64;
        }
        self.spend(produced, blocks);
        if streaming && self.kind == MessageKind::Text {
            let bytes = message.bytes(message.gathered()).get(gathered..).unwrap_or_default();
            // RFC 7692 6 and RFC 6455 8.1: the inflated text must be UTF-8.
            self.utf8.push(bytes).map_err(|_| ProtocolError::InvalidUtf8)?;
        }
        let outcome = outcome?;

        // Mask the unconsumed bytes again, so that the next poll finds them as they arrived.
        self.decoder.mask_mut().advance(consumed);
        let mut mask = *self.decoder.mask_mut();
        input.unmask_ahead(consumed..len, &mut mask);
        input.advance(consumed);
        self.decoder.pass(consumed);
        Ok(outcome)
    }

    /// Subtracts the cost of one step from the budget, if a budget is set.
    #[inline]
    fn spend(&mut self, produced: usize, blocks: u32) {
        if self.inflate_budget != u32::MAX {
            let spent =
                u32::try_from(produced).unwrap_or(u32::MAX).saturating_add(blocks.saturating_mul(BLOCK_COST));
            self.inflate_budget = self.inflate_budget.saturating_sub(spent);
        }
    }

    /// Finishes a compressed message and returns its event.
    fn end_inflated(
        &mut self,
        input: &mut Input<impl ReadBuffer, impl MessageBuffer>,
        streaming: bool,
    ) -> Result<EventIndex, ProtocolError> {
        let utf8 = if streaming { self.utf8 } else { input.message_mut().validator() };
        // RFC 6455 8.1: the end of the message must not cut a code point.
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
        self.message = DeliveryState::Untouched;
        Ok(message.into())
    }

    /// Delivers the content of a full message buffer as a chunk. The rest of the message follows in chunks.
    fn deliver_full_buffer(
        &mut self,
        input: &mut Input<impl ReadBuffer, impl MessageBuffer>,
    ) -> Result<EventIndex, ProtocolError> {
        let len = input.message_mut().gathered();
        if len == 0 {
            // The buffer is full although nothing was gathered. So the buffer has no memory, and every message is too
            // big.
            return Err(ProtocolError::MessageTooBig);
        }
        if self.message == DeliveryState::Gathering {
            self.utf8 = input.message_mut().validator();
            self.message = DeliveryState::Streaming { started: false };
        }
        input.message_mut().finish();
        Ok(self.inflated_chunk(len, false))
    }

    /// Returns the index of a chunk of `len` inflated bytes, and records that the first chunk was delivered.
    fn inflated_chunk(&mut self, len: usize, fin: bool) -> EventIndex {
        let first = self.message != DeliveryState::Streaming { started: true };
        self.message = DeliveryState::Streaming { started: true };
        EventIndex::chunk(Place::gathered(len), self.kind, first, fin)
    }
}

/// Returns the minimum output space for `len` bytes of payload, and the expected length of the output, in bytes.
/// `gathered` bytes of the message are in the buffer already.
#[inline]
fn output_space(streaming: bool, len: usize, gathered: usize) -> (usize, usize) {
    match (streaming, len) {
        (true, _) => (CHUNK - gathered.min(CHUNK), CHUNK - gathered.min(CHUNK)),
        // All payload was consumed before, so little output is left.
        (false, 0) => (OUTPUT_PADDING, OUTPUT_PADDING),
        (false, _) => (
            (8 * len + OUTPUT_PADDING).min(MAX_OUTPUT),
            ((8 * len + OUTPUT_PADDING).max(gathered) + OUTPUT_PADDING).min(MAX_OUTPUT),
        ),
    }
}
