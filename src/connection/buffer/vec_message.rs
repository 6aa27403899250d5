//! A message buffer that grows with the message in it.
//!
//! [`VecMessage`] gathers fragments, inflated output, and payload that was read directly to its place. [`Reclaimable`]
//! holds a reference to memory that left with a message, to use the memory again once the application has dropped the
//! message.
//!
//! Invariants:
//! - `filled + direct_len <= memory.len()`, and all of `memory` is initialised.
//! - Memory follows what has arrived, never what a header announces: see [`ALLOWANCE`] and [`LARGEST_ALLOWANCE`].
//! - Each byte is moved a bounded number of times, however small the reads are: see [`room_for_read`] and
//!   [`worth_keeping`].

use alloc::vec::Vec;
use core::ops::{Range, RangeInclusive};

use bytes::Bytes;

use super::message_buffer::{accept, getters_of_memory, sealed};
use crate::connection::event::{ControlPayload, EventIndex, MessageKind, Place, What};
use crate::connection::message::Message;
use crate::kernel::{Checked, InvalidUtf8, Mask, Validator};

/// Length of the pieces that are unmasked and validated, in bytes. They lie in the first-level cache meanwhile.
const PIECE: usize = 16 << 10;
/// Maximum length of one direct read, in bytes. It is still in the second-level cache when it is unmasked, and so is
/// the memory that was initialised for it.
const AT_ONCE: usize = 64 << 10;
/// Memory that may be allocated beyond twice what has arrived, in bytes.
const ALLOWANCE: usize = 16 << 10;
/// Memory that may be allocated beyond twice what has arrived or was inflated, in bytes. Inflated messages get more
/// than [`ALLOWANCE`].
const LARGEST_ALLOWANCE: usize = 64 << 10;

/// Space that is too small for a read of its own, in bytes.
pub(super) const SCANT: usize = 4 << 10;

/// Returns up to where to make space for a read, in memory that is filled up to `filled`.
///
/// Returns `next`, or the end of the present capacity if that leaves at least `scant` bytes. So reads that bring
/// little do not make the memory grow, and move, by little each time.
pub(super) fn room_for_read(capacity: usize, filled: usize, next: usize, scant: usize) -> usize {
    let enough = next.min(filled.saturating_add(scant));
    if capacity < enough { next } else { next.min(capacity) }
}

/// Least memory that is freed by moving the part of a message that waits for the rest, in bytes.
pub(super) const SPARE: usize = 1 << 10;

/// The least and the most space that is left behind the part of a message when the part is moved to free memory, in
/// bytes.
const LEFT_BEHIND: RangeInclusive<usize> = SPARE..=32 << 10;

/// Returns how much memory stays around `part` bytes of a message that wait for the rest, if they are moved to free
/// memory. They are not moved if the memory is at most twice as large, plus [`SPARE`].
///
/// If no space were left, the next read would have to move the part again. With pauses between reads of one byte,
/// each byte would cost two moves of all bytes before it. So a small part keeps as much space as its own length, and
/// has nearly doubled when it is moved again. A large part keeps less: the next growth doubles it, and that memory is
/// kept.
///
/// `cargo bench --all-features --bench moved` counts at most 6 moved bytes for each byte that arrives. With half as
/// much space left, it counts 9.
pub(super) fn worth_keeping(part: usize) -> usize {
    part.saturating_add(part.clamp(*LEFT_BEHIND.start(), *LEFT_BEHIND.end()))
}

/// A message buffer that grows with the message gathered in it. It owns no heap before the first one.
///
/// Its capacity is at most twice what has arrived plus 16 KiB, whatever a header announces. For a compressed message
/// it is at most twice what has arrived, or has been inflated, plus 64 KiB. The memory is kept for the next message.
/// [`release_idle`](Self::release_idle) frees it. [`take`](Self::take) returns it with the message, and it comes back
/// for the next message if that one has been dropped.
#[derive(Debug)]
pub struct VecMessage {
    /// The memory. All of it is initialised; bytes behind `filled` will be overwritten.
    memory: Checked<Vec<u8>>,
    filled: usize,
    /// Number of bytes behind `filled` that were read directly to their place, and are not consumed yet.
    direct_len: usize,
    /// Whether space for a direct read was returned, and its length has not been reported.
    space_is_lent: bool,
    /// Whether the message is complete, so that its memory may be freed or used for the next one.
    done: bool,
    /// The payload of a control frame that arrives in several reads. Inline, so that no flood of control frames
    /// allocates.
    control: ControlPayload,
    /// Whether the rest of that control frame is still to come.
    control_waits: bool,
    reclaimable: Reclaimable,
}

/// A reference to memory that left with a message. The memory is used again once no other reference exists.
#[derive(Debug)]
pub(super) struct Reclaimable(Bytes);

impl Reclaimable {
    pub(super) const fn new() -> Self {
        Self(Bytes::new())
    }

    /// Turns `memory` into a message of its bytes in `range`, and remembers the memory.
    pub(super) fn share(
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

    /// Returns the length of the memory that may come back.
    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the memory that left last if the message was dropped, or empty memory.
    pub(super) fn take_back(&mut self) -> Vec<u8> {
        let memory = core::mem::take(&mut self.0);
        if memory.is_unique() { memory.into() } else { Vec::new() }
    }
}

impl Default for VecMessage {
    fn default() -> Self {
        Self::new()
    }
}

impl VecMessage {
    /// Creates an empty buffer, which owns no heap.
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
            reclaimable: Reclaimable::new(),
        }
    }

    /// Returns the reference to the memory that left with the last message.
    pub(super) const fn reclaimable_mut(&mut self) -> &mut Reclaimable {
        &mut self.reclaimable
    }

    /// Returns how much memory left with the last message and may come back.
    pub(super) const fn reclaimable_len(&self) -> usize {
        self.reclaimable.len()
    }

    /// Returns how many bytes of heap are held.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.memory.capacity()
    }

    /// Returns whether the buffer holds no partial message and no partial control frame.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.done && !self.control_waits
    }

    /// Frees the memory. If the buffer holds a part of a message, frees what is more than twice that part and 64 KiB,
    /// which a larger message before may have left.
    pub fn release_idle(&mut self) {
        if self.done {
            self.memory = Checked::new(Vec::new());
            (self.filled, self.direct_len, self.space_is_lent) = (0, 0, false);
            self.reclaimable = Reclaimable::new();
        } else if self.spare() > 0 {
            let part = self.filled + self.direct_len;
            self.memory.resize(part);
            self.memory.shrink_to(worth_keeping(part));
        }
    }

    /// Returns how many bytes [`Self::release_idle`] would free around a part of a message.
    pub(super) fn spare(&self) -> usize {
        let part = self.filled + self.direct_len;
        let most = part.saturating_mul(2).saturating_add(LARGEST_ALLOWANCE + SPARE);
        let worth_it = !self.done && self.memory.capacity() > most;
        if worth_it { self.memory.capacity() - worth_keeping(part) } else { 0 }
    }

    /// Returns the message of `index` with its buffer and without a copy. Returns `None` if the event is not a
    /// message, if the message was delivered from the bytes that arrived, or if another message has been gathered
    /// since.
    pub fn take(&mut self, index: EventIndex) -> Option<Message> {
        let What::Message(kind) = index.what else { return None };
        self.take_gathered(kind, index.place)
    }

    /// Returns the gathered message at `place`, as [`Self::take`] does.
    pub(super) fn take_gathered(&mut self, kind: MessageKind, place: Place) -> Option<Message> {
        let len = place.gathered_len()?;
        if !self.done || self.filled != len {
            return None;
        }
        self.memory.resize(len);
        self.filled = 0;
        if self.memory.capacity() / 2 > len {
            // A larger message was here before. This message must not pin its memory.
            self.memory.shrink();
        }
        self.reclaimable.share(&mut self.memory, kind, 0..len)
    }

    /// Returns space for some of the next `left` bytes of the message, as far as memory may grow. `last` says that
    /// the message ends with them.
    pub(in crate::connection) fn space(&mut self, left: u64, last: bool) -> &mut [u8] {
        self.space_is_lent = true;
        let bound = self.filled.saturating_mul(2).saturating_add(ALLOWANCE);
        let end = usize::try_from(left).unwrap_or(usize::MAX).saturating_add(self.filled).min(bound);
        let next = end.min(self.filled.saturating_add(AT_ONCE));
        let next = if self.memory.bytes().len().min(next) >= self.filled.saturating_add(AT_ONCE / 2) {
            // After a read of a few bytes nearly all of the space is left, so no more is initialised yet.
            self.memory.bytes().len().min(next)
        } else {
            let next = room_for_read(self.memory.capacity(), self.filled, next, SCANT);
            self.make_room(next, if last { end } else { bound });
            next
        };
        self.memory.bytes_from(self.filled).get_mut(..next - self.filled).unwrap_or_default()
    }

    /// Records that `len` bytes were read to the space.
    pub(in crate::connection) fn handle_direct_read(&mut self, len: usize) {
        self.direct_len = len.min(self.memory.bytes().len().saturating_sub(self.filled));
        self.space_is_lent = false;
    }

    /// Returns whether a direct read was not consumed yet. Bytes that are read next come behind it.
    pub(in crate::connection) const fn has_direct_read(&self) -> bool {
        self.direct_len > 0
    }

    /// Records that the space will not be used.
    pub(super) const fn cancel_space(&mut self) {
        self.space_is_lent = false;
    }

    /// Returns whether space was returned and its length has not been reported.
    pub(super) const fn is_space_lent(&self) -> bool {
        self.space_is_lent
    }

    /// Makes space up to `end`, initialised. If the memory has to grow for that, it grows up to `target`.
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
            self.memory = Checked::new(self.reclaimable.take_back());
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
        // If the end of the message is known, the memory fits it. Otherwise the memory doubles, so that many small
        // fragments cost no more than one large frame.
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
        // Without a minimum, each byte that comes would make the memory grow a little.
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

    getters_of_memory!();
}

#[cfg(test)]
mod tests {
    use super::sealed::Memory as _;
    use super::*;
    use crate::connection::event::Place;
    use crate::connection::{Connection, Event, EventIndex, Input, Outbox, SliceMessage};
    use crate::{Config, Instant};

    /// Inflated payload lies in the caller's memory like any other, so an event that borrows it can be answered.
    #[test]
    fn an_event_can_borrow_inflated_payload() {
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
        // The proof holds for the validated length only.
        let other = EventIndex::message(Place::gathered(99_999), MessageKind::Text);
        assert_eq!(input.event(other), Event::Text(""));
    }

    #[test]
    fn s8_1_inflated_text_is_validated_as_it_comes() {
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
