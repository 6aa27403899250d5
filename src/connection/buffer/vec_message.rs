//! A message that is gathered in memory that grows.

use alloc::vec::Vec;
use core::ops::{Range, RangeInclusive};

use bytes::Bytes;

use super::message_buffer::{accept, sealed};
use crate::connection::event::{ControlPayload, EventIndex, MessageKind, Place, What};
use crate::connection::message::Message;
use crate::kernel::{Checked, InvalidUtf8, Mask, Validator};

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
pub(super) const SCANT: usize = 4 << 10;

/// Up to where to make room for a read, of memory that is filled up to `filled` and has to follow what arrives: up
/// to `next`, or to the end of what there is, unless that is less than `scant`. So reads that bring little do not
/// make it grow, and move, by little each time.
pub(super) fn room_for_read(capacity: usize, filled: usize, next: usize, scant: usize) -> usize {
    let enough = next.min(filled.saturating_add(scant));
    if capacity < enough { next } else { next.min(capacity) }
}

/// A part of a message that waits for the rest is not moved to give back less than this.
pub(super) const SPARE: usize = 1 << 10;

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
pub(super) fn worth_keeping(part: usize) -> usize {
    part.saturating_add(part.clamp(*LEFT_BEHIND.start(), *LEFT_BEHIND.end()))
}

/// Memory that grows with the message gathered in it, and is empty before the first one.
///
/// Its capacity is at most twice what has arrived plus 16 KiB, whatever a header announces; for a compressed
/// message, twice what has arrived, or has been inflated, plus 64 KiB. It is kept for the next message;
/// [`release_idle`](Self::release_idle) gives it back, and [`take`](Self::take) hands it over with the message
/// in it, to come back for the next one if that is dropped before.
#[derive(Debug)]
pub struct VecMessage {
    /// All of it is initialised; what lies behind `filled` is waiting to be overwritten.
    memory: Checked<Vec<u8>>,
    filled: usize,
    /// Bytes behind `filled` that were read straight into their place and not taken in yet.
    direct_len: usize,
    /// Space for such bytes was given out.
    space_is_lent: bool,
    /// The message in here has been handed out.
    done: bool,
    /// The payload of a control frame that arrives in several reads. Inline, so that no flood of control frames allocates.
    control: ControlPayload,
    /// The rest of that control frame is still to come.
    control_waits: bool,
    given: Given,
}

/// Memory that was given away with a message. It is used again if by then nobody has it any more.
#[derive(Debug)]
pub(super) struct Given(Bytes);

impl Given {
    pub(super) const fn new() -> Self {
        Self(Bytes::new())
    }

    /// Gives away `memory` with the message in `range` of it.
    pub(super) fn give(
        &mut self,
        memory: &mut Checked<Vec<u8>>,
        kind: MessageKind,
        range: Range<usize>,
    ) -> Option<Message> {
        let (whole, message) = match kind {
            MessageKind::Text => {
                let (whole, text) = memory.share_text(range)?;
                (whole, Message::Text(text))
            }
            MessageKind::Binary => {
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
    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    /// The memory that was given away last, or none.
    pub(super) fn take_back(&mut self) -> Vec<u8> {
        let given = core::mem::take(&mut self.0);
        if given.is_unique() { given.into() } else { Vec::new() }
    }
}

impl Default for VecMessage {
    fn default() -> Self {
        Self::new()
    }
}

impl VecMessage {
    /// Empty memory, which owns no heap.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            memory: Checked::new(Vec::new()),
            filled: 0,
            direct_len: 0,
            space_is_lent: false,
            done: true,
            control: ControlPayload::EMPTY,
            control_waits: false,
            given: Given::new(),
        }
    }

    /// The memory that was given away with the last message.
    pub(super) const fn given_mut(&mut self) -> &mut Given {
        &mut self.given
    }

    /// How much memory was given away with the last message, and may come back.
    pub(super) const fn given_len(&self) -> usize {
        self.given.len()
    }

    /// The bytes of heap that are held.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.memory.capacity()
    }

    /// Whether no part of a message is in it that is still to be handed out.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.done && !self.control_waits
    }

    /// Gives the memory back. If a part of a message is in it, gives back what is more than twice that part and 64
    /// KiB, which a larger message before may have left.
    pub fn release_idle(&mut self) {
        if self.done {
            self.memory = Checked::new(Vec::new());
            (self.filled, self.direct_len, self.space_is_lent) = (0, 0, false);
            self.given = Given::new();
        } else if self.spare() > 0 {
            let part = self.filled + self.direct_len;
            self.memory.resize(part);
            self.memory.shrink_to(worth_keeping(part));
        }
    }

    /// The bytes that [`Self::release_idle`] would give back around a part of a message.
    pub(super) fn spare(&self) -> usize {
        let part = self.filled + self.direct_len;
        let most = part.saturating_mul(2).saturating_add(LARGEST_ALLOWANCE + SPARE);
        let worth_it = !self.done && self.memory.capacity() > most;
        if worth_it { self.memory.capacity() - worth_keeping(part) } else { 0 }
    }

    /// The message that `index` stands for, if it was gathered here and is the last one, with its buffer
    /// and without a copy. `None` if it was handed out from the bytes that arrived, or is none.
    pub fn take(&mut self, index: EventIndex) -> Option<Message> {
        let What::Message(kind) = index.what else { return None };
        self.take_gathered(kind, index.place)
    }

    pub(super) fn take_gathered(&mut self, kind: MessageKind, place: Place) -> Option<Message> {
        let len = place.gathered_len()?;
        if !self.done || self.filled != len {
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
    pub(in crate::connection) fn space(&mut self, left: u64, last: bool) -> &mut [u8] {
        self.space_is_lent = true;
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
    pub(in crate::connection) fn handle_direct_read(&mut self, len: usize) {
        self.direct_len = len.min(self.memory.bytes().len().saturating_sub(self.filled));
        self.space_is_lent = false;
    }

    /// Whether something was read that no poll has taken in: what is read next comes behind it.
    pub(in crate::connection) const fn has_direct_read(&self) -> bool {
        self.direct_len > 0
    }

    /// The space was not used.
    pub(super) const fn cancel_space(&mut self) {
        self.space_is_lent = false;
    }

    /// Whether space was given out, and nothing was counted since.
    pub(super) const fn is_space_lent(&self) -> bool {
        self.space_is_lent
    }

    /// Makes room up to `end` as [`Self::reserve`] does, initialised.
    fn make_room(&mut self, end: usize, target: usize) {
        self.memory.reserve(end, target);
        if self.memory.bytes().len() < end {
            self.memory.resize(end);
        }
    }
}

impl sealed::Memory for VecMessage {
    fn begin(&mut self) {
        (self.filled, self.direct_len, self.space_is_lent, self.done) = (0, 0, false, false);
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
        kind: MessageKind,
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

    fn take_direct(&mut self, limit: u64, mask: &mut Mask, kind: MessageKind) -> Result<usize, InvalidUtf8> {
        let arrived = core::mem::take(&mut self.direct_len);
        let total = usize::try_from(limit).map_or(arrived, |limit| limit.min(arrived));
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
        kind: MessageKind,
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

    fn validator(&self) -> Validator {
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

    fn control(&self) -> &[u8] {
        &self.control
    }

    fn control_mut(&mut self) -> &mut ControlPayload {
        &mut self.control
    }

    fn set_control_waits(&mut self, waits: bool) {
        self.control_waits = waits;
    }

    fn control_waits(&self) -> bool {
        self.control_waits
    }
}

#[cfg(test)]
mod tests {
    use super::sealed::Memory as _;
    use super::*;
    use crate::connection::event::Place;
    use crate::connection::{Connection, Event, EventIndex, Input, Outbox, SliceMessage};
    use crate::{Config, Instant};

    /// Payload that the connection makes, by inflating, lies in the caller's memory like any other: the
    /// event that borrows it can be answered.
    #[test]
    fn a_payload_may_be_produced_and_not_found_in_the_input() {
        let mut message = VecMessage::new();
        message.begin();
        // "é" again and again, in pieces that cut it.
        let mut source = "é".repeat(50_000).into_bytes().into_iter();
        while source.len() > 0 {
            let produced = message.produce(MessageKind::Text, 16 << 10..=16 << 10, u64::MAX, &mut |room| {
                let taken = room.len().min(33);
                room.iter_mut().take(taken).zip(&mut source).map(|(to, from)| *to = from).count()
            });
            assert!(produced.unwrap() > 0);
            assert!(message.capacity() <= 2 * message.gathered() + (64 << 10));
        }
        message.finish();

        let input = Input::new(&mut [], &mut message);
        let mut connection = Connection::server(Instant::ZERO, Config::new(), Outbox::new());
        let index = EventIndex::message(Place::gathered(100_000), MessageKind::Text);
        let Event::Text(text) = input.event(index) else { panic!("text was produced") };
        connection.send_text(text).unwrap();
        assert_eq!(text, "é".repeat(50_000));
        // The proof is for what was validated, and nothing else.
        let other = EventIndex::message(Place::gathered(99_999), MessageKind::Text);
        assert_eq!(input.event(other), Event::Text(""));
    }

    #[test]
    fn s8_1_produced_text_is_validated_as_it_comes() {
        for kind in [MessageKind::Text, MessageKind::Binary] {
            let (mut message, mut array) = (VecMessage::new(), [0; 8]);
            let mut control = ControlPayload::EMPTY;
            let mut lent = SliceMessage::new(&mut array, &mut control);
            let mut bad =
                |room: &mut [u8]| room.iter_mut().zip([b'a', 0xFF]).map(|(to, byte)| *to = byte).count();
            message.begin();
            assert_eq!(message.produce(kind, 2..=2, u64::MAX, &mut bad).is_ok(), kind == MessageKind::Binary);
            lent.begin();
            assert_eq!(lent.produce(kind, 2..=2, u64::MAX, &mut bad).is_ok(), kind == MessageKind::Binary);
        }
    }
}
