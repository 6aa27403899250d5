//! Receiving: decodes the bytes that arrived into events.
//!
//! [`Receiver`] decodes headers, checks the limits and decides how each message is delivered. It sends no reply. If an
//! event needs a reply, the receiver returns a [`PendingReply`](crate::PendingReply), and the sending half sends the
//! reply. The [`Input`] has the bytes and the read position, and `buffer/` has the types of memory.
//!
//! - `fast_path.rs` decodes a message in one frame, if no other frame or message is in progress.
//! - `mod.rs` decodes headers, checks the limits, and decodes messages that lie in the input. The state between two
//!   calls is a [`DeliveryState`].
//! - `payload.rs` decodes control frames, gathered messages and chunks.
//! - `delivery.rs` changes how the next messages are delivered.
//! - `inflate.rs` and `inflate_budget.rs` decode compressed messages.
//! - `read_space.rs` chooses the memory for the next read.
//!
//! A message is *gathered* if its parts are collected in a message buffer, because they do not lie in the input in one
//! piece.
//!
//! Invariants:
//! - A poll returns at most one event and decodes nothing beyond it.
//! - `fast` is true only between messages, while no frame is in progress and the peer may still send.
//! - After a failure or the peer's Close, `message` stays [`DeliveryState::Stopped`], and all input is discarded.

mod delivery;
mod fast_path;
#[cfg(feature = "deflate")]
mod inflate;
mod inflate_budget;
mod payload;
#[cfg(feature = "alloc")]
mod read_space;

#[cfg(feature = "alloc")]
use alloc::boxed::Box;

#[cfg(feature = "alloc")]
use crate::close::{CloseCode, CloseFrame, CloseReason};
use crate::connection::buffer::{Arrived, Input, MessageBuffer};
use crate::connection::config::{Delivery, SharedConfig};
use crate::connection::event::{Counters, EventIndex, MessageIndex, MessageKind, Place};
use crate::connection::outcome::EofPosition;
use crate::error::ProtocolError;
use crate::frame::{Decoder, Header, Opcode};
use crate::kernel::{ReadBuffer, Validator};
use crate::role::Role;

/// Binary payload that arrives in many reads is unmasked in pieces of at least this many bytes. A piece of this length
/// is still in the first-level cache.
const MIN_UNMASK_LEN: usize = 16 << 10;

/// The receiving half of a connection: decodes frames and messages.
///
/// A [`Connection`](crate::Connection) consists of a receiver and a [`Sender`](crate::Sender). A task that only
/// receives can use a receiver alone. This task passes each reply as a value to the task that sends: see
/// [`Input::reply`].
///
/// The only undecoded input that a receiver stores is a partial header of at most 14 bytes. The [`Input`] stores the
/// payload of a partial control frame, at most 125 bytes.
#[derive(Debug)]
// `Connection` explains the order of the fields.
#[repr(C)]
pub struct Receiver {
    counters: Counters,
    decoder: Decoder,
    #[cfg(feature = "deflate")]
    inflater: Option<Box<crate::deflate::Inflater>>,
    /// One more than the largest payload that the fast path delivers; 0 turns the fast path off.
    fast_below: u16,
    /// Whether the fast path may be taken: no frame and no message is in progress.
    fast: bool,
    /// Whether the last poll decoded a part of a data frame.
    last_poll_had_data: bool,
    frame: Frame,
    message: DeliveryState,
    kind: MessageKind,
    /// How the next messages are delivered.
    delivery: Delivery,
    // Every message uses the fields up to here.
    /// UTF-8 state of text that is delivered in chunks.
    utf8: Validator,
    #[cfg(feature = "deflate")]
    inflating: Inflating,
    /// The peer's Close, once it was received.
    #[cfg(feature = "alloc")]
    peer_close: PeerClose,
    fragments: u32,
    /// Number of bytes that may be inflated until the next pause; `u32::MAX` without a budget.
    #[cfg(feature = "deflate")]
    inflate_budget: u32,
    config: SharedConfig,
    /// Length of the message so far: the sum of the lengths in its headers, or the inflated length of a compressed
    /// message.
    message_len: u64,
}

/// The stored Close of the peer. It takes heap memory only if the Close has a reason.
#[cfg(feature = "alloc")]
#[derive(Debug)]
enum PeerClose {
    None,
    Code(Option<CloseCode>),
    Frame(Box<CloseFrame>),
}

/// The kind of the frame in progress.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Frame {
    Data,
    Ping,
    Pong,
    Close,
}

/// How the message in progress is delivered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum DeliveryState {
    /// No payload has been seen yet, or no message is in progress.
    Untouched,
    /// The message is delivered as a whole, from the read buffer of the input. The message is uncompressed, and all of
    /// it is in the frame in progress. The missing part will arrive in the read buffer, directly after the part that
    /// has arrived.
    InPlace,
    /// The message is delivered as a whole, from a message buffer in which its parts are gathered.
    Gathering,
    /// The message is delivered in chunks. `started` says whether the first chunk was delivered.
    Streaming { started: bool },
    /// The message is not delivered, because it is text that is not UTF-8, or text where only binary messages are
    /// accepted. The next poll returns the error.
    Refused,
    /// No further message is delivered, because the peer has closed or the connection has failed. Input is discarded.
    Stopped,
}

/// The state of compression in a receiver.
#[cfg(feature = "deflate")]
#[derive(Clone, Copy, Debug)]
struct Inflating {
    agreed: Option<crate::deflate::Agreed>,
    coding: Coding,
}

/// The coding of the message in progress.
#[cfg(feature = "deflate")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Coding {
    /// Uncompressed.
    None,
    Compressed,
    /// Compressed, and the last poll stopped because the budget was used up. More can be inflated.
    Paused,
}

impl Receiver {
    /// Creates the receiving half of an endpoint in `role`.
    #[must_use]
    pub fn new(role: Role, config: impl Into<SharedConfig>) -> Self {
        let config = config.into();
        let mut receiver = Self {
            decoder: Decoder::new(role),
            config,
            #[cfg(feature = "alloc")]
            peer_close: PeerClose::None,
            frame: Frame::Data,
            message: DeliveryState::Untouched,
            kind: MessageKind::Binary,
            delivery: Delivery::Whole,
            last_poll_had_data: false,
            utf8: Validator::new(),
            fast: true,
            fast_below: 0,
            fragments: 0,
            message_len: 0,
            counters: Counters::default(),
            #[cfg(feature = "deflate")]
            inflating: Inflating { agreed: None, coding: Coding::None },
            #[cfg(feature = "deflate")]
            inflate_budget: u32::MAX,
            #[cfg(feature = "deflate")]
            inflater: None,
        };
        receiver.set_delivery(receiver.config.delivery);
        receiver
    }

    /// Decodes up to the next event and no further, and returns the index of the event. Returns `None` once all of
    /// `input` has been decoded.
    ///
    /// With [a budget](Self::set_inflate_budget), `None` can also mean that the budget is used up: see
    /// [`must_poll_again`](Self::must_poll_again).
    ///
    /// # Errors
    ///
    /// Returns the protocol rule that the peer broke. All events before the violation have been returned. After the
    /// error, there are no more events and errors. Pass the error to [`Sender::apply`](crate::Sender::apply), which
    /// queues a Close.
    #[inline]
    pub fn poll(
        &mut self,
        input: &mut Input<impl ReadBuffer, impl MessageBuffer>,
    ) -> Result<Option<EventIndex>, ProtocolError> {
        match self.poll_message(input) {
            Some(index) => Ok(Some(index.into())),
            None => self.poll_any(input),
        }
    }

    /// Returns whether no message is in progress and all bytes that arrived are consumed, so that a poll has nothing to
    /// do.
    #[inline]
    pub(super) fn is_idle(&self, input: &Input<impl ReadBuffer, impl MessageBuffer>) -> bool {
        self.fast && input.remaining() == 0
    }

    /// Decodes up to the next event of any kind: the slow path of [`Self::poll`].
    #[inline]
    pub(super) fn poll_any(
        &mut self,
        input: &mut Input<impl ReadBuffer, impl MessageBuffer>,
    ) -> Result<Option<EventIndex>, ProtocolError> {
        self.last_poll_had_data = false;
        // `InPlace` is tested first: most reads of a large message only continue its payload.
        if self.message != DeliveryState::InPlace {
            match self.decode_frames(input) {
                Ok(None) if self.message == DeliveryState::InPlace => {}
                // Return before the large `Option<EventIndex>` is built and copied.
                Ok(None) => return Ok(None),
                index => return index,
            }
        }
        match self.continue_in_place(input) {
            Some(message) => Ok(Some(message.into())),
            None if self.message == DeliveryState::Refused => self.decode_frames(input),
            None => Ok(None),
        }
    }

    /// Decodes frames up to the next event, or up to the payload of a message that will lie in the input.
    #[inline(never)]
    fn decode_frames(
        &mut self,
        input: &mut Input<impl ReadBuffer, impl MessageBuffer>,
    ) -> Result<Option<EventIndex>, ProtocolError> {
        let before = input.remaining();
        let result = match self.message {
            DeliveryState::Refused if self.refuses_text() => Err(ProtocolError::TextNotAccepted),
            // RFC 6455 8.1: text that is not UTF-8 fails the connection.
            DeliveryState::Refused => Err(ProtocolError::InvalidUtf8),
            _ => self.run(input),
        };
        self.counters.bytes += (before - input.remaining()) as u64;
        self.fast = !self.is_done() && self.decoder.is_between_frames() && !self.decoder.is_in_message();
        result.map_err(|error| self.fail(input, error))
    }

    /// Consumes payload of a message that lies in the input. Returns the message once it is complete.
    #[inline(always)]
    fn continue_in_place(
        &mut self,
        input: &mut Input<impl ReadBuffer, impl MessageBuffer>,
    ) -> Option<MessageIndex> {
        let len = self.decoder.payload_in(input.remaining());
        let whole = self.decoder.consume(len);
        self.last_poll_had_data |= len > 0;
        self.counters.bytes += len as u64;
        let mask = self.decoder.mask_mut();
        match input.take_in_place(len, whole, self.kind, mask, MIN_UNMASK_LEN) {
            Arrived::Whole(place) => {
                self.message = DeliveryState::Untouched;
                self.fast = true;
                Some(self.finish_message(place))
            }
            Arrived::NotUtf8 => self.refuse_text(),
            Arrived::Part => None,
        }
    }

    /// Counts a complete message and returns its index.
    #[inline(always)]
    fn finish_message(&mut self, place: Place) -> MessageIndex {
        self.counters.messages += 1;
        MessageIndex { place, kind: self.kind }
    }

    /// Stops receiving because of `error`.
    fn fail(
        &mut self,
        input: &mut Input<impl ReadBuffer, impl MessageBuffer>,
        error: ProtocolError,
    ) -> ProtocolError {
        // RFC 6455 7.1.7: after the connection has failed, no more input is processed.
        self.handle_ended();
        input.discard();
        error
    }

    /// Decodes headers and payload until there is an event or the input is consumed.
    fn run(
        &mut self,
        input: &mut Input<impl ReadBuffer, impl MessageBuffer>,
    ) -> Result<Option<EventIndex>, ProtocolError> {
        loop {
            if self.is_done() {
                // RFC 6455 1.4: bytes after a received Close are discarded.
                input.discard();
                return Ok(None);
            }
            if !self.decoder.is_in_frame() {
                let (used, header) = self.decoder.header(input.unread())?;
                input.advance(used);
                let Some(header) = header else { return Ok(None) };
                self.begin_frame(&header);
                if self.frame != Frame::Data {
                    input.begin_control();
                }
                self.check_limits(&header)?;
            }
            let result = match self.frame {
                Frame::Data => self.data(input),
                _ => self.control(input),
            };
            if !matches!(result, Ok(None)) {
                return result;
            }
            let waits =
                input.remaining() == 0 || self.message == DeliveryState::InPlace || self.must_poll_again();
            if self.decoder.is_in_frame() && waits {
                return Ok(None);
            }
        }
    }

    /// Starts a frame. If the frame is the first fragment of a message, also starts the message.
    fn begin_frame(&mut self, header: &Header) {
        self.counters.frames += 1;
        self.frame = match header.opcode {
            Opcode::Ping => Frame::Ping,
            Opcode::Pong => Frame::Pong,
            Opcode::Close => Frame::Close,
            Opcode::Text | Opcode::Binary | Opcode::Continuation => Frame::Data,
        };
        if self.frame != Frame::Data {
            return;
        }
        self.last_poll_had_data = true;
        // RFC 6455 5.4: the opcode of the first fragment is the type of the message.
        if header.opcode == Opcode::Continuation {
            self.fragments = self.fragments.saturating_add(1);
        } else {
            self.kind = if header.opcode == Opcode::Text { MessageKind::Text } else { MessageKind::Binary };
            self.message = DeliveryState::Untouched;
            (self.fragments, self.message_len) = (1, 0);
            self.utf8 = Validator::new();
            self.begin_message(header.rsv);
        }
    }

    /// Returns whether the data frame in progress ends its message.
    const fn fin(&self) -> bool {
        !self.decoder.is_in_message()
    }

    /// Checks the limits on frames and messages (RFC 6455 section 10.4), and whether the type of the message is
    /// accepted. The checks need only the header, so a payload that is too long is never received.
    fn check_limits(&mut self, header: &Header) -> Result<(), ProtocolError> {
        if self.frame != Frame::Data {
            return Ok(());
        }
        // RFC 6455 7.4.1: an endpoint may refuse a type of data with 1003. The header is enough to refuse text.
        if self.refuses_text() {
            return Err(ProtocolError::TextNotAccepted);
        }
        let limits = self.config.limits;
        if header.payload_len > self.longest_frame(limits.max_frame) {
            return Err(ProtocolError::FrameTooBig);
        }
        if !self.is_compressed() {
            self.message_len = self.message_len.saturating_add(header.payload_len);
            if self.message_len > limits.max_message {
                return Err(ProtocolError::MessageTooBig);
            }
        }
        // Empty fragments do not count against `max_message`. Without `max_fragments`, a peer could send them without
        // end.
        if self.fragments > limits.max_fragments {
            return Err(ProtocolError::TooManyFragments);
        }
        Ok(())
    }

    /// Returns the minimum number of bytes that are missing from the current frame; 0 between frames.
    #[must_use]
    pub fn read_hint(&self) -> usize {
        let left = usize::try_from(self.decoder.payload_left()).unwrap_or(usize::MAX);
        if left > 0 { left } else { self.decoder.header_left() }
    }

    /// Returns whether decoding is inside a frame, inside a message or between messages. If the stream ends now, it
    /// ends at this position.
    #[must_use]
    pub const fn eof_position(&self) -> EofPosition {
        if !self.decoder.is_between_frames() {
            EofPosition::InFrame
        } else if self.decoder.is_in_message() {
            EofPosition::InMessage
        } else {
            EofPosition::BetweenMessages
        }
    }

    /// Returns whether a Close, a violation, or [`handle_ended`](Self::handle_ended) has ended receiving. If so,
    /// further input is discarded.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self.message, DeliveryState::Stopped)
    }

    /// Returns the peer's Close, with its code and its reason (RFC 6455 section 7.1.6); `None` before a valid Close was
    /// received.
    ///
    /// The Close is available after [`Event::CloseReceived`](super::Event::CloseReceived), and also after
    /// [`Event::Closed`](super::Event::Closed). So a caller that sees only messages can call this after the last
    /// message. If the result is `None` after the end of the connection, no valid Close was received. The stream ended
    /// without a Close, the peer broke a rule, or a timer expired.
    ///
    /// ```
    /// # #[cfg(feature = "alloc")] {
    /// use hybi::{CloseCode, Config, Connection, Inbox, Instant, Outbox};
    ///
    /// let mut connection = Connection::client(Instant::ZERO, Config::new(), Outbox::new(), [1; 32]);
    /// let mut inbox = Inbox::with_bytes(b"\x88\x10\x11\x30quota exceeded");
    /// while connection.poll_event(Instant::ZERO, &mut inbox).unwrap().is_some() {}
    ///
    /// let close = connection.peer_close().unwrap();
    /// assert_eq!(close.code, Some(CloseCode::new(4400)));
    /// assert_eq!(close.reason, "quota exceeded");
    /// # }
    /// ```
    #[cfg(feature = "alloc")]
    #[must_use]
    pub fn peer_close(&self) -> Option<CloseFrame> {
        match &self.peer_close {
            PeerClose::None => None,
            PeerClose::Code(code) => Some(CloseFrame { code: *code, reason: CloseReason::EMPTY }),
            PeerClose::Frame(frame) => Some(**frame),
        }
    }

    /// Stops receiving, because the sending half has failed or ended the connection. Further input is discarded.
    pub fn handle_ended(&mut self) {
        self.fast = false;
        self.message = DeliveryState::Stopped;
        #[cfg(feature = "deflate")]
        {
            self.inflater = None;
            self.inflating.coding = Coding::None;
        }
    }

    /// Returns whether the last poll decoded a part of a data frame, for
    /// [`PendingReply::Received`](crate::PendingReply::Received).
    ///
    /// Call this after each poll, because the next poll resets the value. A poll that returns a Ping may have decoded
    /// data before the Ping.
    #[must_use]
    pub const fn last_poll_had_data(&self) -> bool {
        self.last_poll_had_data
    }

    /// Returns the counts of messages, frames and bytes that were received.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }
}

/// Offset after the last field that every message uses.
#[cfg(all(test, feature = "alloc", target_pointer_width = "64"))]
pub(super) const USED_TO: usize = core::mem::offset_of!(Receiver, utf8);
