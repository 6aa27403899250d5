//! Receiving: bytes in, events out.

use crate::arch::Memory;
use crate::close::CloseFrame;
use crate::error::ProtocolError;
use crate::frame::{Decoder, Header, Opcode, Role};
use crate::utf8::Validator;

use super::config::{Config, Delivery, SharedConfig};
use super::event::{ControlPayload, Counters, Cut, Kind, Place, Ready, ReadyMessage, What};
use super::input::Input;
use super::message::Gather;

/// So much of a payload, which came in many reads, still lies in the first-level cache.
const UNMASKED_AT_ONCE: usize = 16 << 10;

/// The receiving half of a connection: frames and messages out of bytes.
///
/// [`Machine`](crate::Machine) composes it with a [`Sender`](crate::Sender). Used on its own, in a task
/// that only receives, it hands what it owes to the wire to whoever sends, as a value: see
/// [`Ready::owes`].
///
/// It keeps no input but a header of which a part has arrived, 14 bytes at most, and the payload of a
/// control frame, 125 at most.
#[derive(Debug)]
// For the order see `Machine`.
#[repr(C)]
pub struct Receiver {
    pub(super) counters: Counters,
    pub(super) decoder: Decoder,
    #[cfg(feature = "deflate")]
    pub(super) inflater: Option<std::boxed::Box<crate::deflate::Inflater>>,
    /// One more than the largest payload that is handed out on the fast path; 0 for none.
    pub(super) fast_below: u16,
    /// Nothing is in progress that forbids the fast path.
    pub(super) fast: bool,
    /// The last poll took in some of a data frame.
    pub(super) saw_data: bool,
    frame: Frame,
    pub(super) message: Progress,
    pub(super) kind: Kind,
    /// Text that is handed out in chunks.
    pub(super) utf8: Validator,
    #[cfg(feature = "deflate")]
    pub(super) inflating: Inflating,
    // Up to here with each message.
    /// The payload of the control frame that is arriving. Once the peer has closed, the body of its Close: no frame is
    /// begun after that one, so nothing overwrites it.
    control: ControlPayload,
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
    Streaming { begun: bool },
    /// Not at all: it is a text that is no UTF-8, and the next poll says so.
    Refused,
    /// There is none, and will be none, as the peer has closed: what still comes in is discarded. The body of the Close is
    /// in `control`.
    Closed,
    /// The same, as the connection has failed or ended.
    // Two names and no flag: so all of this is one byte.
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
            control: ControlPayload::EMPTY,
            frame: Frame::Data,
            message: Progress::Untouched,
            kind: Kind::Binary,
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
    /// it. Hand it to [`Sender::settle`](crate::Sender::settle), which queues the Close.
    #[inline]
    pub fn poll(
        &mut self,
        input: &mut Input<impl Memory, impl Gather>,
    ) -> Result<Option<Ready>, ProtocolError> {
        match self.poll_message(input) {
            Some(ready) => Ok(Some(ready.into())),
            None => self.poll_any(input),
        }
    }

    /// Nothing is in progress and nothing has arrived: there is nothing to do.
    #[inline]
    pub(super) fn rests(&self, input: &Input<impl Memory, impl Gather>) -> bool {
        self.fast && input.remaining() == 0
    }

    #[inline]
    pub(super) fn poll_any(
        &mut self,
        input: &mut Input<impl Memory, impl Gather>,
    ) -> Result<Option<Ready>, ProtocolError> {
        self.saw_data = false;
        // In most reads of a large message that is all there is to ask.
        if self.message != Progress::InPlace {
            match self.frames(input) {
                Ok(None) if self.message == Progress::InPlace => {}
                // Where there is nothing, nothing is moved.
                Ok(None) => return Ok(None),
                ready => return ready,
            }
        }
        match self.in_place(input) {
            Some(message) => Ok(Some(message.into())),
            None if self.message == Progress::Refused => self.frames(input),
            None => Ok(None),
        }
    }

    /// As [`Self::poll_any`], up to the payload of a message that lies in the input.
    #[inline(never)]
    fn frames(
        &mut self,
        input: &mut Input<impl Memory, impl Gather>,
    ) -> Result<Option<Ready>, ProtocolError> {
        let before = input.at;
        let result = match self.message {
            // RFC 6455 8.1: text that is not UTF-8 fails the connection.
            Progress::Refused => Err(ProtocolError::InvalidUtf8),
            _ => self.run(input),
        };
        self.counters.bytes += (input.at - before) as u64;
        self.fast = !self.is_done() && self.decoder.is_between_frames() && !self.decoder.is_in_message();
        result.map_err(|error| self.fail(input, error))
    }

    /// A message that lies in the input, or what is there of it.
    #[inline(always)]
    pub(super) fn in_place(&mut self, input: &mut Input<impl Memory, impl Gather>) -> Option<ReadyMessage> {
        let len = self.decoder.payload_in(input.remaining());
        let whole = self.decoder.consume(len);
        self.saw_data |= len > 0;
        self.counters.bytes += len as u64;
        input.at += len;
        input.masked += len;
        // Nothing in binary can be wrong: it is unmasked in large pieces, which still lie in the cache.
        if whole || self.kind == Kind::Text || input.masked >= UNMASKED_AT_ONCE {
            let masked = input.take_masked();
            let mask = self.decoder.mask_mut();
            match self.kind {
                Kind::Binary => input.window.unmask(masked, mask),
                Kind::Text => {
                    let valid = input.window.unmask_more_text(masked, mask);
                    if !valid || whole && !input.window.validator().is_complete() {
                        input.at -= len;
                        return self.refuse_text();
                    }
                }
            }
        }
        if !whole {
            return None;
        }
        self.message = Progress::Untouched;
        self.fast = true;
        self.counters.messages += 1;
        Some(ReadyMessage { place: input.end_message(), kind: self.kind })
    }

    fn fail(&mut self, input: &mut Input<impl Memory, impl Gather>, error: ProtocolError) -> ProtocolError {
        // RFC 6455 7.1.7: after failing the connection, nothing more is processed.
        self.handle_ended();
        input.discard();
        error
    }

    fn run(&mut self, input: &mut Input<impl Memory, impl Gather>) -> Result<Option<Ready>, ProtocolError> {
        loop {
            if self.is_done() {
                // RFC 6455 1.4: what follows a received Close is discarded.
                input.discard();
                return Ok(None);
            }
            if !self.decoder.is_in_frame() {
                let (used, header) = self.decoder.header(input.unread())?;
                input.at += used;
                let Some(header) = header else { return Ok(None) };
                self.begin_frame(&header);
                self.check_limits(&header)?;
            }
            let ready = match self.frame {
                Frame::Data => self.data(input)?,
                _ => self.control(input)?,
            };
            if ready.is_some() {
                return Ok(ready);
            }
            let waits = input.remaining() == 0 || self.message == Progress::InPlace || self.is_paused();
            if self.decoder.is_in_frame() && waits {
                return Ok(None);
            }
        }
    }

    pub(super) fn begin_frame(&mut self, header: &Header) {
        self.counters.frames += 1;
        self.control.clear();
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
            self.kind = if header.opcode == Opcode::Text { Kind::Text } else { Kind::Binary };
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

    /// The payload of a control frame, or what is there of it.
    fn control(
        &mut self,
        input: &mut Input<impl Memory, impl Gather>,
    ) -> Result<Option<Ready>, ProtocolError> {
        let len = self.decoder.payload_in(input.remaining());
        let from = input.unread().get(..len).unwrap_or_default();
        let taken = self.decoder.mask_mut().copy(from, self.control.room());
        self.control.fill(taken);
        input.at += len;
        let whole = self.decoder.consume(len);
        if self.frame == Frame::Close {
            // What is there of the body can show already that it is wrong.
            let frame = CloseFrame::decode_partial(&self.control, whole)?;
            if let Some(frame) = frame {
                self.handle_ended();
                self.message = Progress::Closed;
                input.discard();
                return Ok(Some(What::CloseReceived(frame).into()));
            }
        }
        Ok(whole.then(|| {
            if self.frame == Frame::Ping {
                What::Ping(self.control).into()
            } else {
                What::Pong(self.control).into()
            }
        }))
    }

    /// The payload of a data frame, or what is there of it.
    fn data(&mut self, input: &mut Input<impl Memory, impl Gather>) -> Result<Option<Ready>, ProtocolError> {
        self.saw_data |= input.remaining() > 0;
        #[cfg(feature = "deflate")]
        if self.is_compressed() {
            return self.inflate(input);
        }
        if self.message == Progress::Untouched {
            self.message = match self.config.delivery {
                // One that is untouched is in its first fragment.
                Delivery::Whole if self.fin() && input.will_hold(self.decoder.payload_left()) => {
                    input.begin_message();
                    Progress::InPlace
                }
                Delivery::Whole => {
                    input.message.begin();
                    Progress::Gathering
                }
                Delivery::Chunks => Progress::Streaming { begun: false },
            };
        }
        match self.message {
            Progress::Streaming { begun } => self.chunk(input, begun),
            Progress::InPlace => Ok(None),
            _ => self.gather(input),
        }
    }

    /// A piece of a message that is handed out in chunks.
    fn chunk(
        &mut self,
        input: &mut Input<impl Memory, impl Gather>,
        begun: bool,
    ) -> Result<Option<Ready>, ProtocolError> {
        let len = self.decoder.payload_in(input.remaining());
        let (start, end) = (input.at, input.at + len);
        input.at = end;
        input.window.unmask(start..end, self.decoder.mask_mut());
        let fin = self.decoder.consume(len) && self.fin();
        if self.kind == Kind::Text {
            let bytes = input.window.bytes().get(start..end).unwrap_or_default();
            // RFC 6455 8.1: found at the first byte that cannot be right, or at the end of the message.
            if self.utf8.push(bytes).is_err() || fin && !self.utf8.is_complete() {
                return Err(ProtocolError::InvalidUtf8);
            }
        }
        if len == 0 && !fin {
            return Ok(None);
        }
        self.message = Progress::Streaming { begun: true };
        self.counters.messages += u64::from(fin);
        let place = Place::arrived(start, end);
        Ok(Some(Ready::chunk(place, self.kind, !begun, fin)))
    }

    /// A piece of a message that is gathered.
    fn gather(
        &mut self,
        input: &mut Input<impl Memory, impl Gather>,
    ) -> Result<Option<Ready>, ProtocolError> {
        let message = &mut input.message;
        let left = self.decoder.payload_left();
        let landed =
            message.land(left, self.decoder.mask_mut(), self.kind).map_err(|_| ProtocolError::InvalidUtf8)?;
        self.counters.bytes += landed as u64;
        self.saw_data |= landed > 0;
        let mut end = self.decoder.consume(landed);
        let len = self.decoder.payload_in(input.end.saturating_sub(input.at));
        if !end {
            let from = input.window.bytes().get(input.at..input.at + len).unwrap_or_default();
            let expected = self.fin().then(|| message.gathered() as u64 + self.decoder.payload_left());
            let taken = message
                .push(from, self.decoder.mask_mut(), self.kind, expected)
                .map_err(|_| ProtocolError::InvalidUtf8)?;
            input.at += taken;
            end = self.decoder.consume(taken);
            if taken < len {
                // The memory is full: what is gathered goes out as a chunk, the rest in chunks behind it.
                let len = message.gathered();
                self.utf8 = message.validator();
                message.finish();
                self.message = Progress::Streaming { begun: len > 0 };
                let place = Place::gathered(len);
                return Ok((len > 0).then_some(Ready::chunk(place, self.kind, true, false)));
            }
        }
        if !(end && self.fin()) {
            return Ok(None);
        }
        // RFC 6455 8.1: nor may a code point be cut off by the end of the message.
        if self.kind == Kind::Text && !message.validator().is_complete() {
            return Err(ProtocolError::InvalidUtf8);
        }
        message.finish();
        self.message = Progress::Untouched;
        self.counters.messages += 1;
        let place = Place::gathered(message.gathered());
        Ok(Some(Ready::message(place, self.kind)))
    }

    /// Where the next bytes may be read to instead of the buffer for input: the place in `message` where
    /// the rest of a large payload will be delivered. Empty where that does not pay or nothing is being
    /// gathered there.
    ///
    /// To be asked once poll has returned `None`: what is read here comes behind all other input. Read into
    /// it, say with [`handle_payload`](Self::handle_payload) how much came, and poll, with an empty input if
    /// there is none.
    #[cfg(feature = "alloc")]
    pub fn payload_space<'m>(&self, message: &'m mut super::MessageBuf) -> &'m mut [u8] {
        if self.wants_payload() && !message.has_landed() {
            message.space(self.decoder.payload_left(), self.fin())
        } else {
            Default::default()
        }
    }

    /// Where to read to: into `inbox`, or straight to the place where the rest of a large payload will be
    /// delivered. Never empty. Say with [`Inbox::handle_read`](super::Inbox::handle_read) how much came.
    #[cfg(feature = "alloc")]
    #[inline]
    pub fn read_space<'i>(&self, inbox: &'i mut super::Inbox) -> &'i mut [u8] {
        if self.fast { inbox.space() } else { self.read_space_for_rest(inbox) }
    }

    #[cfg(feature = "alloc")]
    #[inline(never)]
    fn read_space_for_rest<'i>(&self, inbox: &'i mut super::Inbox) -> &'i mut [u8] {
        if self.message == Progress::InPlace {
            inbox.space_behind(self.decoder.payload_left())
        } else if inbox.remaining() == 0 && self.wants_payload() && !inbox.message.has_landed() {
            self.payload_space(&mut inbox.message)
        } else {
            inbox.space()
        }
    }

    /// Whether so much of a payload is missing that it should be read to its place.
    #[cfg(feature = "alloc")]
    fn wants_payload(&self) -> bool {
        let gathering = self.message == Progress::Gathering && self.frame == Frame::Data;
        let gathering = gathering && !self.is_compressed();
        gathering && self.decoder.payload_left() >= super::input::WORTH_A_READ
    }

    /// The first `len` bytes of what [`payload_space`](Self::payload_space) gave have been read. They are
    /// taken in by the next poll.
    #[cfg(feature = "alloc")]
    pub fn handle_payload(&mut self, message: &mut super::MessageBuf, len: usize) {
        message.landed(len);
    }

    /// How many more bytes the frame in progress needs at the least; 0 between frames.
    #[must_use]
    pub fn read_hint(&self) -> usize {
        let left = usize::try_from(self.decoder.payload_left()).unwrap_or(usize::MAX);
        if left > 0 { left } else { self.decoder.header_left() }
    }

    /// Where the stream would be cut if it ended here.
    #[must_use]
    pub const fn cut(&self) -> Cut {
        if !self.decoder.is_between_frames() {
            Cut::InFrame
        } else if self.decoder.is_in_message() {
            Cut::InMessage
        } else {
            Cut::BetweenMessages
        }
    }

    /// Whether a Close or a violation has ended what is received: further input is discarded.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self.message, Progress::Closed | Progress::Stopped)
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
    #[must_use]
    pub fn peer_close(&self) -> Option<CloseFrame> {
        // The body was found valid when it came in.
        if self.message == Progress::Closed { CloseFrame::decode(&self.control).ok() } else { None }
    }

    /// The sending half has failed the connection because a timer ran out, or has told its end: what
    /// still comes in is discarded.
    pub fn handle_ended(&mut self) {
        self.fast = false;
        if !self.is_done() {
            self.message = Progress::Stopped;
        }
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

    // --- compressed messages, which inflate.rs is about; there are none without the feature ---

    #[cfg(not(feature = "deflate"))]
    #[expect(clippy::unused_self, reason = "as with the feature")]
    const fn longest_frame(&self, max_frame: u64) -> u64 {
        max_frame
    }

    #[cfg(not(feature = "deflate"))]
    #[expect(clippy::unused_self, reason = "as with the feature")]
    const fn is_compressed(&self) -> bool {
        false
    }

    #[cfg(not(feature = "deflate"))]
    #[expect(clippy::unused_self, reason = "as with the feature")]
    const fn begin_message(&mut self, _rsv: u8) {}

    /// Sets how many bytes of compressed messages may be inflated until the next call, `None` for any number, which
    /// is the default. 0 counts as 1.
    ///
    /// Sixteen KiB on the wire can inflate to 16 MiB, which takes milliseconds: who serves many connections sets a budget
    /// at the beginning of each connection's turn. Once it is used up, [`poll`](Self::poll) returns `None` with a part of
    /// the input unread, and [`is_paused`](Self::is_paused) says so. Keep that input, set the next budget, and poll again.
    /// Events, errors and output are those of a connection without a budget, but for where chunks are cut.
    ///
    /// Each DEFLATE block counts as 2 KiB, as an empty block takes time too.
    ///
    /// Without the feature `deflate` it does nothing.
    ///
    /// ```
    /// use hybi::{Config, Input, MessageBuf, Receiver, Role};
    ///
    /// let mut receiver = Receiver::new(Role::Client, Config::new());
    /// let (mut bytes, mut message) = (*b"\x82\x02hi", MessageBuf::new());
    /// let mut input = Input::new(&mut bytes, &mut message);
    /// loop {
    ///     receiver.set_inflate_budget(Some(256 << 10));
    ///     while let Some(ready) = receiver.poll(&mut input)? {
    ///         println!("{:?}", input.event(ready));
    ///     }
    ///     if !receiver.is_paused() {
    ///         break;
    ///     }
    ///     // Others have their turn here.
    /// }
    /// # Ok::<(), hybi::ProtocolError>(())
    /// ```
    pub const fn set_inflate_budget(&mut self, bytes: Option<u32>) {
        #[cfg(feature = "deflate")]
        {
            self.inflate_budget = match bytes {
                Some(0) => 1,
                Some(bytes) => bytes,
                None => u32::MAX,
            };
        }
        #[cfg(not(feature = "deflate"))]
        let _ = bytes;
    }

    /// Whether the last poll returned `None` because [the budget](Self::set_inflate_budget) is used up. Then there is more
    /// to do without reading, and [`handle_eof`](crate::Machine::handle_eof) would lose it: poll first until this is `false`.
    #[must_use]
    #[inline]
    pub const fn is_paused(&self) -> bool {
        #[cfg(feature = "deflate")]
        return matches!(self.inflating.coding, Coding::Paused);
        #[cfg(not(feature = "deflate"))]
        false
    }
}
