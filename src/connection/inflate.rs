//! Receiving compressed messages (RFC 7692 section 7.2.2).

use crate::arch::Memory;
use crate::deflate::{Agreed, InvalidDeflate, RSV1};
use crate::error::ProtocolError;
use crate::frame::Role;
use crate::handshake::DeflateParams;

use super::config::Delivery;
use super::event::{Inner, Kind, Place, Ready};
use super::input::Input;
use super::message::Gather;
use super::recv::{Progress, Receiver};

/// So much of a payload is unmasked and inflated in one go: what the inflater does not take, because there is no room for
/// more output, is masked again.
const PIECE: usize = 4 << 10;
/// What is inflated in one go, and the longest chunk: it is validated while it lies in the first-level cache.
const CHUNK: usize = 16 << 10;
/// The inflater is slow near the end of its room.
const SLACK: usize = 512;

/// What a receiver knows of compression.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Inflating {
    agreed: Option<Agreed>,
    /// The message in progress is compressed.
    compressed: bool,
    /// A byte for which the memory had no room: without it, nobody would know whether the message goes on.
    ahead: Option<u8>,
}

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
    /// With permessage-deflate as agreed on in the handshake, if it was: compressed messages are inflated.
    ///
    /// Nothing is allocated before the first one comes.
    #[must_use]
    pub fn with_deflate(mut self, params: impl Into<Option<DeflateParams>>) -> Self {
        let peer = match self.decoder.role() {
            Role::Server => Role::Client,
            Role::Client => Role::Server,
        };
        self.inflating.agreed = params.into().map(|params| Agreed::sent_by(peer, &params));
        // RFC 7692 6: the extension defines RSV1.
        self.decoder = self.decoder.allow_rsv(if self.inflating.agreed.is_some() { RSV1 } else { 0 });
        self
    }

    /// Gives back what messages are inflated with, but for what the next one may refer to: up to 32 KiB, by what
    /// was agreed on and has come in, where context is taken over, else nothing. The next compressed message
    /// allocates again.
    pub fn release_window(&mut self) {
        if self.holds_window() {
            if let Some(inflater) = &mut self.inflater {
                inflater.release();
            }
        }
    }

    /// Whether [`Self::release_window`] would give anything back.
    #[must_use]
    pub fn holds_window(&self) -> bool {
        // Within a message all of it is needed.
        let between = !self.decoder.is_in_frame() && !self.decoder.is_in_message();
        between && self.inflater.as_ref().is_some_and(|inflater| !inflater.is_released())
    }

    /// A message begins, with these reserved bits.
    pub(super) const fn begin_message(&mut self, rsv: u8) {
        // RFC 7692 6.1: the bit on the first frame is for the whole message.
        self.inflating.compressed = rsv & RSV1 != 0;
    }

    pub(super) const fn is_compressed(&self) -> bool {
        self.inflating.compressed
    }

    /// The payload of a frame of a compressed message, or what is there of it. The frame stays open until all
    /// that it inflates to is out.
    pub(super) fn inflate(
        &mut self,
        input: &mut Input<impl Memory, impl Gather>,
    ) -> Result<Option<Ready>, ProtocolError> {
        match (self.message, self.config.delivery) {
            (Progress::Untouched, Delivery::Whole) => {
                input.message.begin();
                self.message = Progress::Gathering;
            }
            (Progress::Untouched, Delivery::Chunks) => self.message = Progress::Streaming { begun: false },
            _ => {}
        }
        let streaming = self.message != Progress::Gathering;
        if streaming {
            input.message.begin();
        }
        loop {
            match self.inflate_piece(input, streaming)? {
                Inflated::End => return self.end_inflated(input, streaming).map(Some),
                Inflated::NoRoom => return self.spill(input).map(Some),
                Inflated::Full if streaming && input.message.gathered() >= CHUNK => break,
                Inflated::All if self.decoder.payload_left() == 0 && !self.fin => {
                    self.decoder.consume(0);
                    break;
                }
                Inflated::All if self.decoder.payload_left() > 0 && input.remaining() == 0 => break,
                // There is more output, more input, or the end of the message to come.
                Inflated::Full | Inflated::All => {}
            }
        }
        if !streaming {
            return Ok(None);
        }
        let len = input.message.gathered();
        input.message.finish();
        Ok((len > 0).then(|| self.inflated_chunk(len, false)))
    }

    /// Inflates some of what is there of a payload, or once all of it is taken in, what is left in the inflater.
    fn inflate_piece(
        &mut self,
        input: &mut Input<impl Memory, impl Gather>,
        streaming: bool,
    ) -> Result<Inflated, ProtocolError> {
        let Some(agreed) = self.inflating.agreed else { return Err(ProtocolError::ReservedBits(RSV1)) };
        let finishing = self.decoder.payload_left() == 0 && self.fin;
        let len = self.decoder.payload_in(input.remaining()).min(PIECE);
        let (start, end) = (input.at, input.at + len);
        let mut mask = *self.decoder.mask_mut();
        input.window.unmask(start..end, &mut mask);

        let inflater = self.inflater.get_or_insert_with(|| agreed.inflater(self.config.pool.as_ref()));
        let more = inflater.is_full();
        let Input { window, message, .. } = input;
        let from = window.bytes().get(start..end).unwrap_or_default();
        let (mut consumed, mut produced, mut outcome) = (0, 0, Ok(Inflated::NoRoom));
        let ahead = &mut self.inflating.ahead;
        let mut step = |room: &mut [u8]| {
            let step = if finishing {
                inflater.finish(room).map(|end| (0, end.produced, end.done))
            } else {
                inflater.inflate(from, room).map(|step| (step.consumed, step.produced, false))
            };
            match step {
                Ok((taken, made, done)) => {
                    consumed = taken;
                    let more = if made == room.len() { Inflated::Full } else { Inflated::All };
                    (made, Ok(if done { Inflated::End } else { more }))
                }
                Err(InvalidDeflate { produced }) => (produced, Err(ProtocolError::InvalidDeflate)),
            }
        };
        let mut work = |room: &mut [u8]| {
            (produced, outcome) = match (ahead.take(), room) {
                (None, []) => {
                    let mut byte = [0];
                    match step(&mut byte) {
                        (1.., Ok(_)) => {
                            *ahead = byte.first().copied();
                            (0, Ok(Inflated::NoRoom))
                        }
                        (_, end) => (0, end),
                    }
                }
                (None, room) => step(room),
                (held, []) => {
                    *ahead = held;
                    (0, Ok(Inflated::NoRoom))
                }
                (Some(held), [first, rest @ ..]) => {
                    *first = held;
                    let (made, end) = if rest.is_empty() { (0, Ok(Inflated::Full)) } else { step(rest) };
                    (1 + made, end)
                }
            };
            produced
        };
        // RFC 6455 10.4: the limit is on what comes out, and no more than that is ever inflated. One byte shows
        // whether there is more.
        let limit = self.config.limits.max_message.saturating_sub(self.message_len);
        let gathered = message.gathered();
        if limit == 0 || finishing && !more {
            if work(&mut [0]) > 0 {
                return Err(ProtocolError::MessageTooBig);
            }
        } else {
            let expected = if streaming {
                CHUNK - gathered.min(CHUNK)
            } else {
                (4 * len + SLACK).max(gathered).min(CHUNK)
            };
            let expected = usize::try_from(limit).map_or(expected, |limit| limit.min(expected));
            let kind = if streaming { Kind::Binary } else { self.kind };
            message.produce(kind, expected, &mut work).map_err(|_| ProtocolError::InvalidUtf8)?;
            self.message_len += produced as u64;
        }
        if streaming && self.kind == Kind::Text {
            let bytes = message.bytes(message.gathered()).get(gathered..).unwrap_or_default();
            // RFC 7692 6 with RFC 6455 8.1: what is inflated must be UTF-8, which shows at the first byte that
            // cannot be right.
            self.utf8.push(bytes).map_err(|_| ProtocolError::InvalidUtf8)?;
        }
        let outcome = outcome?;

        // What was not taken is masked again.
        self.decoder.mask_mut().advance(consumed);
        let mut mask = *self.decoder.mask_mut();
        input.window.unmask(start + consumed..end, &mut mask);
        input.at += consumed;
        self.decoder.pass(consumed);
        Ok(outcome)
    }

    /// A compressed message has ended.
    fn end_inflated(
        &mut self,
        input: &mut Input<impl Memory, impl Gather>,
        streaming: bool,
    ) -> Result<Ready, ProtocolError> {
        let utf8 = if streaming { self.utf8 } else { input.message.validator() };
        // RFC 6455 8.1: nor may a code point be cut off by the end of the message.
        if self.kind == Kind::Text && !utf8.is_complete() {
            return Err(ProtocolError::InvalidUtf8);
        }
        self.decoder.consume(0);
        if let (Some(agreed), Some(inflater)) = (self.inflating.agreed, self.inflater.take()) {
            self.inflater = agreed.keep_inflater(inflater, self.config.pool.as_ref());
        }
        input.message.finish();
        self.counters.messages += 1;
        let len = input.message.gathered();
        if streaming {
            return Ok(self.inflated_chunk(len, true));
        }
        self.message = Progress::Untouched;
        Ok(Ready::message(Place::Gathered { len }, self.kind))
    }

    /// The memory is full: what is in it goes out as a chunk, and the rest in chunks behind it.
    fn spill(&mut self, input: &mut Input<impl Memory, impl Gather>) -> Result<Ready, ProtocolError> {
        let len = input.message.gathered();
        if len == 0 {
            // There is no memory at all: no message is small enough.
            return Err(ProtocolError::MessageTooBig);
        }
        if self.message == Progress::Gathering {
            self.utf8 = input.message.validator();
            self.message = Progress::Streaming { begun: false };
        }
        input.message.finish();
        Ok(self.inflated_chunk(len, false))
    }

    fn inflated_chunk(&mut self, len: usize, fin: bool) -> Ready {
        let first = self.message != Progress::Streaming { begun: true };
        self.message = Progress::Streaming { begun: true };
        Ready(Inner::Chunk { kind: self.kind, place: Place::Gathered { len }, first, fin })
    }
}
