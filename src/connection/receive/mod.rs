//! Receiving: bytes in, events out.

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
use crate::close::CloseFrame;
use crate::connection::buffer::{Arrived, Input, MessageBuffer};
use crate::connection::config::{Config, Delivery, SharedConfig};
use crate::connection::event::{Counters, EofPosition, EventIndex, MessageIndex, MessageKind, Place};
use crate::error::ProtocolError;
use crate::frame::{Decoder, Header, Opcode};
use crate::kernel::{ReadBuffer, Validator};
use crate::role::Role;

/// So much of a payload, which came in many reads, still lies in the first-level cache.
const UNMASKED_AT_ONCE: usize = 16 << 10;

/// The receiving half of a connection: frames and messages out of bytes.
///
/// [`Connection`](crate::Connection) composes it with a [`Sender`](crate::Sender). Used on its own, in a task
/// that only receives, it hands what it owes to the wire to whoever sends, as a value: see
/// [`Input::reply`].
///
/// It keeps no input but a header of which a part has arrived, 14 bytes at most, and the payload of a
/// control frame, 125 at most.
#[derive(Debug)]
// For the order see `Connection`.
#[repr(C)]
pub struct Receiver {
    pub(super) counters: Counters,
    pub(super) decoder: Decoder,
    #[cfg(feature = "deflate")]
    pub(super) inflater: Option<Box<crate::deflate::Inflater>>,
    /// One more than the largest payload that is handed out on the fast path; 0 for none.
    pub(super) fast_below: u16,
    /// Nothing is in progress that forbids the fast path.
    pub(super) fast: bool,
    /// The last poll took in some of a data frame.
    pub(super) saw_data: bool,
    frame: Frame,
    pub(super) message: Progress,
    pub(super) kind: MessageKind,
    /// Text that is handed out in chunks.
    pub(super) utf8: Validator,
    #[cfg(feature = "deflate")]
    pub(super) inflating: Inflating,
    // Up to here with each message.
    /// The Close of the peer, once it has come.
    #[cfg(feature = "alloc")]
    peer_close: Option<Box<CloseFrame>>,
    fragments: u32,
    /// How many bytes may be inflated until the next pause; `u32::MAX` where there is no budget.
    #[cfg(feature = "deflate")]
    pub(super) inflate_budget: u32,
    pub(super) config: SharedConfig,
    /// The length of the message so far: as its headers tell, or as it was inflated.
    pub(super) message_len: u64,
}

/// What the frame in progress is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Frame {
    Data,
    Ping,
    Pong,
    Close,
}

/// How the message in progress is handed out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Progress {
    /// No payload of it was seen yet.
    Untouched,
    /// As a whole, from the input: all of it lies there, or will, as the input stays. It is in one frame and not
    /// compressed, and the frame in progress is its.
    InPlace,
    /// As a whole, and a part is gathered.
    Gathering,
    /// In chunks; whether the first one is out.
    Streaming { started: bool },
    /// Not at all: it is a text that is no UTF-8, and the next poll says so.
    Refused,
    /// There is none, and will be none, as the peer has closed or the connection has failed: what still comes in is
    /// discarded.
    Stopped,
}

/// What a receiver knows of compression.
#[cfg(feature = "deflate")]
#[derive(Clone, Copy, Debug)]
pub(super) struct Inflating {
    pub(super) agreed: Option<crate::deflate::Agreed>,
    pub(super) coding: Coding,
}

/// How the message in progress is coded.
#[cfg(feature = "deflate")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Coding {
    /// As it is.
    None,
    Compressed,
    /// The same, and the last poll stopped because the budget was used up: there is more to inflate.
    Paused,
}

impl Receiver {
    /// The receiving half of an endpoint in `role`.
    #[must_use]
    pub fn new(role: Role, config: impl Into<SharedConfig>) -> Self {
        let config = config.into();
        let mut receiver = Self {
            decoder: Decoder::new(role),
            config,
            #[cfg(feature = "alloc")]
            peer_close: None,
            frame: Frame::Data,
            message: Progress::Untouched,
            kind: MessageKind::Binary,
            saw_data: false,
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
        let Config { limits, delivery, .. } = &*receiver.config;
        // Where one fragment is one too many the slow path says so.
        if *delivery == Delivery::Whole && limits.max_fragments > 0 {
            let most = limits.max_frame.min(limits.max_message);
            receiver.fast_below = u16::try_from(most).unwrap_or(u16::MAX).saturating_add(1);
        }
        receiver
    }

    /// Decodes up to the next event, and no further; `None` once all of `input` has been taken in.
    ///
    /// With [a budget](Self::set_inflate_budget) `None` also says that the budget is used up: ask
    /// [`is_paused`](Self::is_paused).
    ///
    /// # Errors
    ///
    /// The rule that the peer broke, once. Events before it have been given out, and nothing comes after
    /// it. Hand it to [`Sender::apply`](crate::Sender::apply), which queues the Close.
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

    /// Nothing is in progress and nothing has arrived: there is nothing to do.
    #[inline]
    pub(super) fn is_idle(&self, input: &Input<impl ReadBuffer, impl MessageBuffer>) -> bool {
        self.fast && input.remaining() == 0
    }

    #[inline]
    pub(super) fn poll_any(
        &mut self,
        input: &mut Input<impl ReadBuffer, impl MessageBuffer>,
    ) -> Result<Option<EventIndex>, ProtocolError> {
        self.saw_data = false;
        // In most reads of a large message that is all there is to ask.
        if self.message != Progress::InPlace {
            match self.decode_frames(input) {
                Ok(None) if self.message == Progress::InPlace => {}
                // Where there is nothing, nothing is moved.
                Ok(None) => return Ok(None),
                index => return index,
            }
        }
        match self.continue_in_place(input) {
            Some(message) => Ok(Some(message.into())),
            None if self.message == Progress::Refused => self.decode_frames(input),
            None => Ok(None),
        }
    }

    /// As [`Self::poll_any`], up to the payload of a message that lies in the input.
    #[inline(never)]
    fn decode_frames(
        &mut self,
        input: &mut Input<impl ReadBuffer, impl MessageBuffer>,
    ) -> Result<Option<EventIndex>, ProtocolError> {
        let before = input.remaining();
        let result = match self.message {
            // RFC 6455 8.1: text that is not UTF-8 fails the connection.
            Progress::Refused => Err(ProtocolError::InvalidUtf8),
            _ => self.run(input),
        };
        self.counters.bytes += (before - input.remaining()) as u64;
        self.fast = !self.is_done() && self.decoder.is_between_frames() && !self.decoder.is_in_message();
        result.map_err(|error| self.fail(input, error))
    }

    /// A message that lies in the input, or what is there of it.
    #[inline(always)]
    pub(super) fn continue_in_place(
        &mut self,
        input: &mut Input<impl ReadBuffer, impl MessageBuffer>,
    ) -> Option<MessageIndex> {
        let len = self.decoder.payload_in(input.remaining());
        let whole = self.decoder.consume(len);
        self.saw_data |= len > 0;
        self.counters.bytes += len as u64;
        let mask = self.decoder.mask_mut();
        match input.take_in_place(len, whole, self.kind, mask, UNMASKED_AT_ONCE) {
            Arrived::Whole(place) => {
                self.message = Progress::Untouched;
                self.fast = true;
                Some(self.finish_message(place))
            }
            Arrived::NotUtf8 => self.refuse_text(),
            Arrived::Part => None,
        }
    }

    /// A message is whole and lies at `place`.
    #[inline(always)]
    fn finish_message(&mut self, place: Place) -> MessageIndex {
        self.counters.messages += 1;
        MessageIndex { place, kind: self.kind }
    }

    fn fail(
        &mut self,
        input: &mut Input<impl ReadBuffer, impl MessageBuffer>,
        error: ProtocolError,
    ) -> ProtocolError {
        // RFC 6455 7.1.7: after failing the connection, nothing more is processed.
        self.handle_ended();
        input.discard();
        error
    }

    fn run(
        &mut self,
        input: &mut Input<impl ReadBuffer, impl MessageBuffer>,
    ) -> Result<Option<EventIndex>, ProtocolError> {
        loop {
            if self.is_done() {
                // RFC 6455 1.4: what follows a received Close is discarded.
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
            let index = match self.frame {
                Frame::Data => self.data(input)?,
                _ => self.control(input)?,
            };
            if index.is_some() {
                return Ok(index);
            }
            let waits = input.remaining() == 0 || self.message == Progress::InPlace || self.is_paused();
            if self.decoder.is_in_frame() && waits {
                return Ok(None);
            }
        }
    }

    pub(super) fn begin_frame(&mut self, header: &Header) {
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
        self.saw_data = true;
        // RFC 6455 5.4: the opcode of the first fragment says what the message is.
        if header.opcode == Opcode::Continuation {
            self.fragments = self.fragments.saturating_add(1);
        } else {
            self.kind = if header.opcode == Opcode::Text { MessageKind::Text } else { MessageKind::Binary };
            self.message = Progress::Untouched;
            (self.fragments, self.message_len) = (1, 0);
            self.utf8 = Validator::new();
            self.begin_message(header.rsv);
        }
    }

    /// Whether the data frame in progress ends its message.
    pub(super) const fn fin(&self) -> bool {
        !self.decoder.is_in_message()
    }

    /// RFC 6455 10.4: limits on the size of frames and of messages, judged by the header.
    fn check_limits(&mut self, header: &Header) -> Result<(), ProtocolError> {
        if self.frame != Frame::Data {
            return Ok(());
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
        // An empty fragment costs the peer two bytes, and could cost the receiver without end.
        if self.fragments > limits.max_fragments {
            return Err(ProtocolError::TooManyFragments);
        }
        Ok(())
    }

    /// How many more bytes the frame in progress needs at the least; 0 between frames.
    #[must_use]
    pub fn read_hint(&self) -> usize {
        let left = usize::try_from(self.decoder.payload_left()).unwrap_or(usize::MAX);
        if left > 0 { left } else { self.decoder.header_left() }
    }

    /// Where the stream would be cut if it ended here.
    #[must_use]
    pub const fn cut(&self) -> EofPosition {
        if !self.decoder.is_between_frames() {
            EofPosition::InFrame
        } else if self.decoder.is_in_message() {
            EofPosition::InMessage
        } else {
            EofPosition::BetweenMessages
        }
    }

    /// Whether a Close or a violation has ended what is received: further input is discarded.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self.message, Progress::Stopped)
    }

    /// Returns the peer's Close, with its code and its reason (RFC 6455 section 7.1.6); `None` as long as no valid one
    /// has come in.
    ///
    /// The answer is there from [`Event::CloseReceived`](super::Event::CloseReceived) on, and stays the same after
    /// [`Event::Closed`](super::Event::Closed): for callers that see messages alone, and ask once they have ended.
    /// At the end, `None` means that the peer has not said why: the stream ended without a Close, the peer broke a
    /// rule, or a timer ran out.
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
        self.peer_close.as_deref().copied()
    }

    /// The sending half has failed the connection because a timer ran out, or has told its end: what
    /// still comes in is discarded.
    pub fn handle_ended(&mut self) {
        self.fast = false;
        self.message = Progress::Stopped;
        #[cfg(feature = "deflate")]
        {
            self.inflater = None;
            self.inflating.coding = Coding::None;
        }
    }

    /// Whether the last poll took in some of a data frame, for
    /// [`Sender::handle_received`](crate::Sender::handle_received): to be asked after each, as the next one forgets it.
    /// A poll that gives a Ping may have taken in data before that.
    #[must_use]
    pub const fn saw_data(&self) -> bool {
        self.saw_data
    }

    /// What has come in.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }
}

/// Where the fields end that each message touches.
#[cfg(all(test, feature = "alloc", target_pointer_width = "64"))]
pub(super) const USED_TO: usize = core::mem::offset_of!(Receiver, utf8);
