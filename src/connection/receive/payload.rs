//! Payload that does not take the fast path: control frames, gathered messages and chunks.
//!
//! The functions here consume the payload that has arrived, and return an event once it is complete. `mod.rs` decodes
//! headers and checks limits, and `inflate.rs` decodes compressed payload. The state between two calls is in `message`
//! and in the decoder.
//!
//! Invariants:
//! - Text is validated as it arrives, because RFC 6455 section 8.1 requires the receiver to fail the connection for
//!   text that is not UTF-8.
//! - If a message that must be gathered is longer than a message buffer of fixed size, the message is delivered in
//!   chunks. No byte is lost or repeated.

#[cfg(feature = "alloc")]
use alloc::boxed::Box;

#[cfg(feature = "alloc")]
use super::PeerClose;
use super::{DeliveryState, Frame, Receiver};
use crate::close::CloseFrame;
use crate::connection::buffer::{Input, MessageBuffer};
use crate::connection::config::Delivery;
use crate::connection::event::{EventIndex, EventKind, MessageKind, Place};
use crate::error::ProtocolError;
use crate::kernel::ReadBuffer;

impl Receiver {
    /// Consumes payload of a control frame. Returns the event once the frame is complete.
    pub(super) fn control(
        &mut self,
        input: &mut Input<impl ReadBuffer, impl MessageBuffer>,
    ) -> Result<Option<EventIndex>, ProtocolError> {
        let len = self.decoder.payload_in(input.remaining());
        let whole = self.decoder.consume(len);
        let place = input.take_control(len, whole, self.decoder.mask_mut());
        if self.frame == Frame::Close {
            // A wrong code or reason fails the connection at once, even if the rest of the body is still missing.
            let frame = CloseFrame::decode_partial(input.data(place), whole)?;
            if let Some(frame) = frame {
                self.handle_ended();
                self.remember_close(frame);
                input.discard();
                return Ok(Some(EventIndex { place, kind: EventKind::CloseReceived }));
            }
        }
        let kind = if self.frame == Frame::Ping { EventKind::Ping } else { EventKind::Pong };
        Ok(whole.then_some(EventIndex { place, kind }))
    }

    /// Stores the peer's Close for [`peer_close`](Self::peer_close).
    #[cfg(feature = "alloc")]
    fn remember_close(&mut self, frame: CloseFrame) {
        self.peer_close = if frame.reason.as_str().is_empty() {
            PeerClose::Code(frame.code)
        } else {
            PeerClose::Frame(Box::new(frame))
        };
    }

    #[cfg(not(feature = "alloc"))]
    #[expect(clippy::unused_self, reason = "the signature is the same as with an allocator")]
    fn remember_close(&mut self, _: CloseFrame) {}

    /// Consumes payload of a data frame. Returns an event once a message or a chunk is complete.
    pub(super) fn data(
        &mut self,
        input: &mut Input<impl ReadBuffer, impl MessageBuffer>,
    ) -> Result<Option<EventIndex>, ProtocolError> {
        self.last_poll_had_data |= input.remaining() > 0;
        #[cfg(feature = "deflate")]
        if self.is_compressed() {
            return self.inflate(input);
        }
        if self.message == DeliveryState::Untouched {
            self.message = match self.delivery {
                // No payload of the message has been seen yet, so the frame in progress is the first one of the
                // message. If `fin` is true, the message has no other frame.
                Delivery::Whole if self.fin() && input.will_hold(self.decoder.payload_left()) => {
                    input.begin_message();
                    DeliveryState::InPlace
                }
                Delivery::Whole => {
                    input.message_mut().begin();
                    DeliveryState::Gathering
                }
                Delivery::Chunks | Delivery::Bytes => DeliveryState::Streaming { started: false },
            };
        }
        match self.message {
            DeliveryState::Streaming { started } => self.chunk(input, started),
            DeliveryState::InPlace => Ok(None),
            _ => self.gather(input),
        }
    }

    /// Consumes payload of a message that is delivered in chunks. Returns the chunk. An empty chunk is returned only as
    /// the last chunk of a message.
    fn chunk(
        &mut self,
        input: &mut Input<impl ReadBuffer, impl MessageBuffer>,
        started: bool,
    ) -> Result<Option<EventIndex>, ProtocolError> {
        let len = self.decoder.payload_in(input.remaining());
        let fin = self.decoder.consume(len) && self.fin();
        let place = input.take_chunk(len, self.decoder.mask_mut());
        if self.kind == MessageKind::Text {
            // RFC 6455 8.1: text must be UTF-8. A wrong byte is found at once. An incomplete code point is found at the
            // end of the message.
            if self.utf8.push(input.data(place)).is_err() || fin && !self.utf8.is_complete() {
                return Err(ProtocolError::InvalidUtf8);
            }
        }
        if len == 0 && !fin {
            return Ok(None);
        }
        self.message = DeliveryState::Streaming { started: true };
        if fin {
            self.finish_message(place);
        }
        Ok(Some(EventIndex::chunk(place, self.kind, !started, fin)))
    }

    /// Consumes payload of a message that is gathered. Returns the message once it is complete.
    fn gather(
        &mut self,
        input: &mut Input<impl ReadBuffer, impl MessageBuffer>,
    ) -> Result<Option<EventIndex>, ProtocolError> {
        let left = self.decoder.payload_left();
        let direct = input
            .message_mut()
            .take_direct(left, self.decoder.mask_mut(), self.kind)
            .map_err(|_| ProtocolError::InvalidUtf8)?;
        self.counters.bytes += direct as u64;
        self.last_poll_had_data |= direct > 0;
        let mut end = self.decoder.consume(direct);
        let len = self.decoder.payload_in(input.remaining());
        if !end {
            let gathered = input.message_mut().gathered() as u64;
            let expected = self.fin().then(|| gathered + self.decoder.payload_left());
            let taken = input
                .gather(len, self.decoder.mask_mut(), self.kind, expected)
                .map_err(|_| ProtocolError::InvalidUtf8)?;
            end = self.decoder.consume(taken);
            if taken < len {
                // The memory is full. Deliver the gathered bytes as a chunk, and the rest of the message in further
                // chunks.
                let message = input.message_mut();
                let len = message.gathered();
                self.utf8 = message.validator();
                message.finish();
                self.message = DeliveryState::Streaming { started: len > 0 };
                let place = Place::gathered(len);
                return Ok((len > 0).then_some(EventIndex::chunk(place, self.kind, true, false)));
            }
        }
        if !(end && self.fin()) {
            return Ok(None);
        }
        let message = input.message_mut();
        // RFC 6455 8.1: the end of the message must not cut a code point.
        if self.kind == MessageKind::Text && !message.validator().is_complete() {
            return Err(ProtocolError::InvalidUtf8);
        }
        message.finish();
        let place = Place::gathered(message.gathered());
        self.message = DeliveryState::Untouched;
        Ok(Some(self.finish_message(place).into()))
    }
}
