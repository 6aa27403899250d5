//! Memory for messages: gathered piece by piece, and owned.

use core::fmt;
use core::ops::RangeInclusive;

use crate::arch::Checked;
use crate::frame::Mask;
use crate::utf8::InvalidUtf8;

use super::event::Kind;

/// Memory in which a message is gathered that does not lie in one piece in the bytes that arrived:
/// [`MessageBuf`], which grows, or [`LentMessage`], which does not.
#[cfg_attr(not(feature = "alloc"), doc = "", doc = "[`MessageBuf`]: Gather")]
pub trait Gather: fmt::Debug + sealed::Memory {}

impl<T: fmt::Debug + sealed::Memory> Gather for T {}

pub(super) mod sealed {
    use super::{InvalidUtf8, Kind, Mask, RangeInclusive};

    /// What the receiver does with the memory.
    pub trait Memory {
        /// Begins a new message.
        fn begin(&mut self);
        /// The message is whole, or given up: the memory may be given back once it has been looked at.
        fn finish(&mut self);
        /// Appends as much of `from` as there is room for, unmasked, and gives its length. Text is
        /// validated as the continuation of what came before. `expected` is the length of the message if
        /// it ends with this frame.
        fn push(
            &mut self,
            from: &[u8],
            mask: &mut Mask,
            kind: Kind,
            expected: Option<u64>,
        ) -> Result<usize, InvalidUtf8>;
        /// Takes in bytes that were read straight into this memory, `limit` at most.
        fn land(&mut self, limit: u64, mask: &mut Mask, kind: Kind) -> Result<usize, InvalidUtf8>;
        /// Lets `produce` write behind what is there, as far as there is room and up to as many bytes as are
        /// `expected` of the `most` that may still come, and say how much it wrote. Room is made only where
        /// there is less than is expected at the least. The way in for a payload that is inflated and not
        /// found in the input.
        fn produce(
            &mut self,
            kind: Kind,
            expected: RangeInclusive<usize>,
            most: u64,
            produce: &mut dyn FnMut(&mut [u8]) -> usize,
        ) -> Result<usize, InvalidUtf8>;
        /// How validation stands.
        fn validator(&self) -> crate::utf8::Validator;
        /// How much has been gathered.
        fn gathered(&self) -> usize;
        /// The first `len` bytes.
        fn bytes(&self, len: usize) -> &[u8];
        /// The first `len` bytes as text, if they are known to be one.
        fn text(&self, len: usize) -> &str;
    }
}

impl<T: sealed::Memory> sealed::Memory for &mut T {
    fn begin(&mut self) {
        (**self).begin();
    }

    fn finish(&mut self) {
        (**self).finish();
    }

    fn push(
        &mut self,
        from: &[u8],
        mask: &mut Mask,
        kind: Kind,
        expected: Option<u64>,
    ) -> Result<usize, InvalidUtf8> {
        (**self).push(from, mask, kind, expected)
    }

    fn land(&mut self, limit: u64, mask: &mut Mask, kind: Kind) -> Result<usize, InvalidUtf8> {
        (**self).land(limit, mask, kind)
    }

    fn produce(
        &mut self,
        kind: Kind,
        expected: RangeInclusive<usize>,
        most: u64,
        produce: &mut dyn FnMut(&mut [u8]) -> usize,
    ) -> Result<usize, InvalidUtf8> {
        (**self).produce(kind, expected, most, produce)
    }

    fn validator(&self) -> crate::utf8::Validator {
        (**self).validator()
    }

    fn gathered(&self) -> usize {
        (**self).gathered()
    }

    fn bytes(&self, len: usize) -> &[u8] {
        (**self).bytes(len)
    }

    fn text(&self, len: usize) -> &str {
        (**self).text(len)
    }
}

/// Memory lent by the caller, an array for example, for messages up to its length. What is longer is
/// handed out in chunks.
///
/// ```
/// use hybi::LentMessage;
///
/// let mut array = [0; 256];
/// let message = LentMessage::new(&mut array);
/// assert_eq!(message.capacity(), 256);
/// ```
#[derive(Debug)]
pub struct LentMessage<'m> {
    memory: Checked<&'m mut [u8]>,
    filled: usize,
}

impl<'m> LentMessage<'m> {
    /// Gathers messages in `memory`.
    #[must_use]
    pub const fn new(memory: &'m mut [u8]) -> Self {
        Self { memory: Checked::new(memory), filled: 0 }
    }

    /// The longest message that is handed out as a whole where it does not arrive in one piece.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.memory.bytes().len()
    }
}

impl sealed::Memory for LentMessage<'_> {
    fn begin(&mut self) {
        self.filled = 0;
        self.memory.forget();
    }

    fn finish(&mut self) {}

    fn push(
        &mut self,
        from: &[u8],
        mask: &mut Mask,
        kind: Kind,
        _: Option<u64>,
    ) -> Result<usize, InvalidUtf8> {
        let len = mask.copy(from, self.memory.bytes_from(self.filled));
        accept(&mut self.memory, &mut self.filled, len, kind)
    }

    fn land(&mut self, _: u64, _: &mut Mask, _: Kind) -> Result<usize, InvalidUtf8> {
        Ok(0)
    }

    fn produce(
        &mut self,
        kind: Kind,
        expected: RangeInclusive<usize>,
        _: u64,
        produce: &mut dyn FnMut(&mut [u8]) -> usize,
    ) -> Result<usize, InvalidUtf8> {
        let room = self.memory.bytes_from(self.filled);
        let len = room.len().min(*expected.end());
        let len = produce(room.get_mut(..len).unwrap_or_default());
        accept(&mut self.memory, &mut self.filled, len, kind)
    }

    fn validator(&self) -> crate::utf8::Validator {
        *self.memory.validator()
    }

    fn gathered(&self) -> usize {
        self.filled
    }

    fn bytes(&self, len: usize) -> &[u8] {
        self.memory.bytes().get(..len).unwrap_or_default()
    }

    fn text(&self, len: usize) -> &str {
        self.memory.text(0..len).unwrap_or_default()
    }
}

/// Counts `len` bytes behind `filled` as gathered, once text among them is validated.
fn accept<M: crate::arch::Memory>(
    memory: &mut Checked<M>,
    filled: &mut usize,
    len: usize,
    kind: Kind,
) -> Result<usize, InvalidUtf8> {
    let len = len.min(memory.bytes().len().saturating_sub(*filled));
    let end = *filled + len;
    if kind == Kind::Text && !memory.check_more(*filled..end) {
        return Err(InvalidUtf8 { offset: 0 });
    }
    *filled = end;
    Ok(len)
}

#[cfg(feature = "alloc")]
pub use growable::{Message, MessageBuf, Refused};
#[cfg(feature = "alloc")]
pub(super) use growable::{SCANT, SPARE, room_for_read, worth_keeping};

#[cfg(feature = "alloc")]
mod growable {
    use alloc::string::String;
    use alloc::vec::Vec;
    use core::fmt;
    use core::ops::Range;

    use bytes::Bytes;

    use super::super::event::{Place, Ready, What};
    use super::{Checked, InvalidUtf8, Kind, Mask, RangeInclusive, accept, sealed};
    use crate::arch::Text;
    use crate::error::SendError;
    use crate::frame::Opcode;

    /// A message that owns its data, in a shared buffer: to clone it costs a reference count.
    ///
    /// ```
    /// use hybi::{Message, Text};
    ///
    /// let message = Message::from("what lives for ever, or is owned, is not copied");
    /// assert_eq!(message.as_text().map(str::len), Some(message.len()));
    /// let (name, borrowed) = ("grüezi".to_owned(), [1, 2, 3]);
    /// assert_eq!(Message::from(Text::copied(&name)), name.into());
    /// assert_eq!(Message::from(borrowed.to_vec()).as_text(), None);
    /// ```
    #[derive(Clone, PartialEq, Eq, Debug, Hash)]
    pub enum Message {
        /// Text.
        Text(Text),
        /// Bytes.
        Binary(Bytes),
    }

    impl Message {
        /// Text or binary.
        #[must_use]
        pub const fn kind(&self) -> Kind {
            match self {
                Self::Text(_) => Kind::Text,
                Self::Binary(_) => Kind::Binary,
            }
        }

        /// The opcode of its first frame.
        pub(in super::super) const fn opcode(&self) -> Opcode {
            match self {
                Self::Text(_) => Opcode::Text,
                Self::Binary(_) => Opcode::Binary,
            }
        }

        /// The payload.
        #[must_use]
        pub fn as_bytes(&self) -> &[u8] {
            match self {
                Self::Text(text) => text.as_bytes(),
                Self::Binary(bytes) => bytes,
            }
        }

        /// The text, if it is that.
        #[must_use]
        pub fn as_text(&self) -> Option<&str> {
            match self {
                Self::Text(text) => Some(text),
                Self::Binary(_) => None,
            }
        }

        /// The length of the payload in bytes.
        #[must_use]
        pub fn len(&self) -> usize {
            self.as_bytes().len()
        }

        /// Whether the payload is empty.
        #[must_use]
        pub fn is_empty(&self) -> bool {
            self.as_bytes().is_empty()
        }

        /// The payload, without copying.
        #[must_use]
        pub fn into_bytes(self) -> Bytes {
            match self {
                Self::Text(text) => text.into_bytes(),
                Self::Binary(bytes) => bytes,
            }
        }
    }

    impl From<String> for Message {
        fn from(text: String) -> Self {
            Self::Text(text.into())
        }
    }

    impl From<&'static str> for Message {
        fn from(text: &'static str) -> Self {
            Self::Text(text.into())
        }
    }

    impl From<Text> for Message {
        fn from(text: Text) -> Self {
            Self::Text(text)
        }
    }

    impl From<Vec<u8>> for Message {
        fn from(bytes: Vec<u8>) -> Self {
            Self::Binary(bytes.into())
        }
    }

    impl From<Bytes> for Message {
        fn from(bytes: Bytes) -> Self {
            Self::Binary(bytes)
        }
    }

    /// An owned message that was not sent, and why.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct Refused {
        /// Why it was refused.
        pub error: SendError,
        /// The message.
        pub message: Message,
    }

    impl fmt::Display for Refused {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            fmt::Display::fmt(&self.error, f)
        }
    }

    impl core::error::Error for Refused {}

    /// Pieces of this size are unmasked and validated while they lie in the first-level cache.
    const PIECE: usize = 16 << 10;
    /// What is read to its place at once is still in the second-level cache when it is unmasked, and so is what
    /// was initialised for it.
    const AT_ONCE: usize = 64 << 10;
    /// What may be allocated beyond twice what has arrived.
    const ALLOWANCE: usize = 16 << 10;
    /// The same, whatever is gathered: inflated messages get more.
    const LARGEST_ALLOWANCE: usize = 64 << 10;

    /// Room that is not worth a read of its own.
    pub(in super::super) const SCANT: usize = 4 << 10;

    /// Up to where to make room for a read, of memory that is filled up to `filled` and has to follow what arrives: up
    /// to `next`, or to the end of what there is, unless that is less than `scant`. So reads that bring little do not
    /// make it grow, and move, by little each time.
    pub(in super::super) fn room_for_read(
        capacity: usize,
        filled: usize,
        next: usize,
        scant: usize,
    ) -> usize {
        let enough = next.min(filled.saturating_add(scant));
        if capacity < enough { next } else { next.min(capacity) }
    }

    /// A part of a message that waits for the rest is not moved to give back less than this.
    pub(in super::super) const SPARE: usize = 1 << 10;

    /// The least room that is left behind a part of a message that has to be moved to give back memory, and the most.
    const LEFT_BEHIND: RangeInclusive<usize> = SPARE..=32 << 10;

    /// How much memory stays around `part` bytes of a message that wait for the rest, if they are moved for it. With up to
    /// twice as much and [`SPARE`] they are not moved.
    ///
    /// If nothing were left but the part, the next read would have to move it to have room. With pauses between reads of a
    /// byte, each byte would cost two moves of all that came before. So as much again is left behind a small part, which
    /// has nearly doubled when it is moved again. A large part keeps less: the next growth doubles it, and that is not
    /// taken back. `cargo bench --all-features --bench moved` counts 6 bytes moved for one that arrives at the most; with
    /// half as much left behind, 9.
    pub(in super::super) fn worth_keeping(part: usize) -> usize {
        part.saturating_add(part.clamp(*LEFT_BEHIND.start(), *LEFT_BEHIND.end()))
    }

    /// Memory that grows with the message gathered in it, and is empty before the first one.
    ///
    /// Its capacity is at most twice what has arrived plus 16 KiB, whatever a header announces; for a compressed
    /// message, twice what has arrived, or has been inflated, plus 64 KiB. It is kept for the next message;
    /// [`release_idle`](Self::release_idle) gives it back, and [`take`](Self::take) hands it over with the message
    /// in it, to come back for the next one if that is dropped before.
    #[derive(Debug)]
    pub struct MessageBuf {
        /// All of it is initialised; what lies behind `filled` is waiting to be overwritten.
        memory: Checked<Vec<u8>>,
        filled: usize,
        /// Bytes behind `filled` that were read straight into their place and not taken in yet.
        landed: usize,
        /// Space for such bytes was given out.
        spread: bool,
        /// The message in here has been handed out.
        done: bool,
        pub(in super::super) given: Given,
    }

    /// Memory that was given away with a message. It is used again if by then nobody has it any more.
    #[derive(Debug)]
    pub(in super::super) struct Given(Bytes);

    impl Given {
        pub(in super::super) const fn new() -> Self {
            Self(Bytes::new())
        }

        /// Gives away `memory` with the message in `range` of it.
        pub(in super::super) fn give(
            &mut self,
            memory: &mut Checked<Vec<u8>>,
            kind: Kind,
            range: Range<usize>,
        ) -> Option<Message> {
            let (whole, message) = match kind {
                Kind::Text => {
                    let (whole, text) = memory.share_text(range)?;
                    (whole, Message::Text(text))
                }
                Kind::Binary => {
                    memory.bytes().get(range.clone())?;
                    let whole = Bytes::from(memory.take());
                    let bytes = whole.slice(range);
                    (whole, Message::Binary(bytes))
                }
            };
            self.0 = whole;
            Some(message)
        }

        /// How much was given away and may come back.
        pub(in super::super) const fn len(&self) -> usize {
            self.0.len()
        }

        /// The memory that was given away last, or none.
        pub(in super::super) fn take_back(&mut self) -> Vec<u8> {
            let given = core::mem::take(&mut self.0);
            if given.is_unique() { given.into() } else { Vec::new() }
        }
    }

    impl Default for MessageBuf {
        fn default() -> Self {
            Self::new()
        }
    }

    impl MessageBuf {
        /// Empty memory, which owns no heap.
        #[must_use]
        pub const fn new() -> Self {
            Self {
                memory: Checked::new(Vec::new()),
                filled: 0,
                landed: 0,
                spread: false,
                done: true,
                given: Given::new(),
            }
        }

        /// The bytes of heap that are held.
        #[must_use]
        pub fn capacity(&self) -> usize {
            self.memory.capacity()
        }

        /// Whether no part of a message is in it that is still to be handed out.
        #[must_use]
        pub const fn is_idle(&self) -> bool {
            self.done
        }

        /// Gives the memory back. If a part of a message is in it, gives back what is more than twice that part and 64
        /// KiB, which a larger message before may have left.
        pub fn release_idle(&mut self) {
            if self.done {
                *self = Self::new();
            } else if self.spare() > 0 {
                let part = self.filled + self.landed;
                self.memory.resize(part);
                self.memory.shrink_to(worth_keeping(part));
            }
        }

        /// The bytes that [`Self::release_idle`] would give back around a part of a message.
        pub(in super::super) fn spare(&self) -> usize {
            let part = self.filled + self.landed;
            let most = part.saturating_mul(2).saturating_add(LARGEST_ALLOWANCE + SPARE);
            let worth_it = !self.done && self.memory.capacity() > most;
            if worth_it { self.memory.capacity() - worth_keeping(part) } else { 0 }
        }

        /// The message that `ready` stands for, if it was gathered here and is the last one, with its buffer
        /// and without a copy. `None` if it was handed out from the bytes that arrived, or is none.
        pub fn take(&mut self, ready: Ready) -> Option<Message> {
            let What::Message(kind) = ready.what else { return None };
            let Place { end: len, gathered, .. } = ready.place;
            if !gathered || !self.done || self.filled != len {
                return None;
            }
            self.memory.resize(len);
            self.filled = 0;
            if self.memory.capacity() / 2 > len {
                // A larger message was here before: its memory is not pinned by this one.
                self.memory.shrink();
            }
            self.given.give(&mut self.memory, kind, 0..len)
        }

        /// Room for some of the next `left` bytes of the message, as far as the rule for growth allows.
        ///
        /// `last` says that the message ends with them, so that no more will be needed.
        pub(in super::super) fn space(&mut self, left: u64, last: bool) -> &mut [u8] {
            self.spread = true;
            let bound = self.filled.saturating_mul(2).saturating_add(ALLOWANCE);
            let end = usize::try_from(left).unwrap_or(usize::MAX).saturating_add(self.filled).min(bound);
            let next = end.min(self.filled.saturating_add(AT_ONCE));
            let next = if self.memory.bytes().len().min(next) >= self.filled.saturating_add(AT_ONCE / 2) {
                // After a read of a few bytes nearly all of the room is left: no more is initialised yet.
                self.memory.bytes().len().min(next)
            } else {
                let next = room_for_read(self.memory.capacity(), self.filled, next, SCANT);
                self.make_room(next, if last { end } else { bound });
                next
            };
            self.memory.bytes_from(self.filled).get_mut(..next - self.filled).unwrap_or_default()
        }

        /// Counts `len` bytes of the space as read.
        pub(in super::super) fn landed(&mut self, len: usize) {
            self.landed = len.min(self.memory.bytes().len().saturating_sub(self.filled));
            self.spread = false;
        }

        /// Whether something was read that no poll has taken in: what is read next comes behind it.
        pub(in super::super) const fn has_landed(&self) -> bool {
            self.landed > 0
        }

        /// The space was not used.
        pub(in super::super) const fn withdraw(&mut self) {
            self.spread = false;
        }

        /// Whether space was given out, and nothing was counted since.
        pub(in super::super) const fn is_spread(&self) -> bool {
            self.spread
        }

        /// Makes room up to `end` as [`Self::reserve`] does, initialised.
        fn make_room(&mut self, end: usize, target: usize) {
            self.memory.reserve(end, target);
            if self.memory.bytes().len() < end {
                self.memory.resize(end);
            }
        }
    }

    impl sealed::Memory for MessageBuf {
        fn begin(&mut self) {
            (self.filled, self.landed, self.spread, self.done) = (0, 0, false, false);
            self.memory.forget();
            if self.memory.capacity() == 0 {
                self.memory = Checked::new(self.given.take_back());
            }
        }

        fn finish(&mut self) {
            self.done = true;
        }

        fn push(
            &mut self,
            from: &[u8],
            mask: &mut Mask,
            kind: Kind,
            expected: Option<u64>,
        ) -> Result<usize, InvalidUtf8> {
            let end = self.filled + from.len();
            // Where the end of the message is in sight the memory fits it; else it doubles, so that many small
            // fragments cost no more than one large one.
            let target = match expected {
                Some(expected) => {
                    let bound = end.saturating_mul(2).saturating_add(ALLOWANCE);
                    bound.min(usize::try_from(expected).unwrap_or(usize::MAX))
                }
                None => end.saturating_mul(2).max(64),
            };
            self.memory.reserve(end, target);
            for piece in from.chunks(PIECE) {
                let end = self.filled + piece.len();
                if end <= self.memory.bytes().len() {
                    mask.copy(piece, self.memory.bytes_from(self.filled));
                } else {
                    self.memory.resize(self.filled);
                    self.memory.extend(piece);
                    mask.apply(self.memory.bytes_from(self.filled));
                }
                accept(&mut self.memory, &mut self.filled, piece.len(), kind)?;
            }
            Ok(from.len())
        }

        fn land(&mut self, limit: u64, mask: &mut Mask, kind: Kind) -> Result<usize, InvalidUtf8> {
            let landed = core::mem::take(&mut self.landed);
            let total = usize::try_from(limit).map_or(landed, |limit| limit.min(landed));
            let mut left = total;
            while left > 0 {
                let len = left.min(PIECE);
                let piece = self.memory.bytes_from(self.filled);
                mask.apply(piece.get_mut(..len).unwrap_or_default());
                accept(&mut self.memory, &mut self.filled, len, kind)?;
                left -= len;
            }
            Ok(total)
        }

        fn produce(
            &mut self,
            kind: Kind,
            expected: RangeInclusive<usize>,
            most: u64,
            produce: &mut dyn FnMut(&mut [u8]) -> usize,
        ) -> Result<usize, InvalidUtf8> {
            let (least, expected) = expected.into_inner();
            // Else each byte that comes would make the memory grow a little.
            if self.memory.bytes().len().saturating_sub(self.filled) < least {
                let end = self.filled.saturating_add(expected);
                let most = usize::try_from(most).unwrap_or(usize::MAX).saturating_add(self.filled);
                self.make_room(end, most.min(self.filled.saturating_mul(2)));
            }
            let room = self.memory.bytes_from(self.filled);
            let len = room.len().min(expected);
            let len = produce(room.get_mut(..len).unwrap_or_default());
            accept(&mut self.memory, &mut self.filled, len, kind)
        }

        fn validator(&self) -> crate::utf8::Validator {
            *self.memory.validator()
        }

        fn gathered(&self) -> usize {
            self.filled
        }

        fn bytes(&self, len: usize) -> &[u8] {
            self.memory.bytes().get(..len).unwrap_or_default()
        }

        fn text(&self, len: usize) -> &str {
            self.memory.text(0..len).unwrap_or_default()
        }
    }
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::sealed::Memory;
    use super::*;
    use crate::connection::event::Place;
    use crate::connection::{Event, Input, Machine, Outbox, Ready};
    use crate::{Config, Instant};

    /// Payload that the connection makes, by inflating, lies in the caller's memory like any other: the
    /// event that borrows it can be answered.
    #[test]
    fn a_payload_may_be_produced_and_not_found_in_the_input() {
        let mut message = MessageBuf::new();
        message.begin();
        // "é" again and again, in pieces that cut it.
        let mut source = "é".repeat(50_000).into_bytes().into_iter();
        while source.len() > 0 {
            let produced = message.produce(Kind::Text, 16 << 10..=16 << 10, u64::MAX, &mut |room| {
                let taken = room.len().min(33);
                room.iter_mut().take(taken).zip(&mut source).map(|(to, from)| *to = from).count()
            });
            assert!(produced.unwrap() > 0);
            assert!(message.capacity() <= 2 * message.gathered() + (64 << 10));
        }
        message.finish();

        let input = Input::new(&mut [], &mut message);
        let mut connection = Machine::server(Instant::ZERO, Config::new(), Outbox::new());
        let ready = Ready::message(Place::gathered(100_000), Kind::Text);
        let Event::Text(text) = input.event(ready) else { panic!("text was produced") };
        connection.send_text(text).unwrap();
        assert_eq!(text, "é".repeat(50_000));
        // The proof is for what was validated, and nothing else.
        let other = Ready::message(Place::gathered(99_999), Kind::Text);
        assert_eq!(input.event(other), Event::Text(""));
    }

    #[test]
    fn s8_1_produced_text_is_validated_as_it_comes() {
        for kind in [Kind::Text, Kind::Binary] {
            let (mut message, mut array) = (MessageBuf::new(), [0; 8]);
            let mut lent = LentMessage::new(&mut array);
            let mut bad =
                |room: &mut [u8]| room.iter_mut().zip([b'a', 0xFF]).map(|(to, byte)| *to = byte).count();
            message.begin();
            assert_eq!(message.produce(kind, 2..=2, u64::MAX, &mut bad).is_ok(), kind == Kind::Binary);
            lent.begin();
            assert_eq!(lent.produce(kind, 2..=2, u64::MAX, &mut bad).is_ok(), kind == Kind::Binary);
        }
    }
}
