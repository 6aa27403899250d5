//! A message buffer that grows with the message in it.
//!
//! A [`VecMessage`] collects fragments, inflated output, and payload that was read directly into it. An owned message
//! is delivered together with the memory of the buffer. [`Reclaimable`] holds a reference to that memory. Once the
//! application has dropped the message, the memory is used again.
//!
//! The part of a message that has arrived, while the rest is missing, is called a *part* below.
//!
//! Invariants:
//! - `filled + direct_len <= memory.len()`, and all of `memory` is initialised.
//! - The size of the memory depends on the number of bytes that arrived, never on the length that a header announces.
//!   [`ALLOWANCE`] and [`MAX_OVERALLOCATION_INFLATED`] give the bounds.
//! - Each byte is moved a bounded number of times, however small the reads are: see [`space_end_for_read`] and
//!   [`worth_keeping`].

use alloc::vec::Vec;
use core::ops::{Range, RangeInclusive};

use bytes::Bytes;

use super::message_buffer::{accept, getters_of_memory, sealed};
use crate::connection::event::{ControlPayload, EventIndex, EventKind, MessageKind, Place};
use crate::connection::message::Message;
use crate::kernel::{Checked, InvalidUtf8, Mask, Validator};

/// Length of the pieces that are unmasked and validated, in bytes. A piece of this length stays in the first-level
/// cache.
const UNMASK_PIECE_LEN: usize = 16 << 10;
/// Maximum length of one direct read, in bytes. A read of this length is still in the second-level cache when it is
/// unmasked. The memory is initialised just before the read, so it is also still in the cache when the read fills it.
const LONGEST_READ: usize = 64 << 10;
/// An uncompressed message may get memory for twice the number of bytes that arrived, plus this number of bytes.
const ALLOWANCE: usize = 16 << 10;
/// A compressed message may get memory for twice the number of bytes that arrived or were inflated, plus this number of
/// bytes. [`VecMessage::spare`] uses this constant for uncompressed messages too.
const MAX_OVERALLOCATION_INFLATED: usize = 64 << 10;

/// Minimum free space for a read, in bytes.
pub(super) const MIN_READ: usize = 4 << 10;

/// Returns the offset at which the space for a read ends. The memory is filled up to `filled`.
///
/// Normally returns `next`. If the present capacity ends before `next` but leaves at least `min_space` bytes, returns
/// the end of the capacity instead. Without this rule each of many short reads would make the memory grow a little, and
/// each growth would move the message.
pub(super) fn space_end_for_read(capacity: usize, filled: usize, next: usize, min_space: usize) -> usize {
    let enough = next.min(filled.saturating_add(min_space));
    if capacity < enough { next } else { next.min(capacity) }
}

/// A part is moved to a smaller allocation only if its memory is larger than twice the part plus this number of bytes.
pub(super) const MIN_FREED_BY_MOVE: usize = 1 << 10;

/// Minimum and maximum free space after a part that was moved to a smaller allocation, in bytes.
const SPACE_AFTER_MOVE: RangeInclusive<usize> = MIN_FREED_BY_MOVE..=32 << 10;

/// Returns the size of the smaller allocation to which a part of `part` bytes is moved, in bytes. The part is not moved
/// if its memory is at most twice as large as the part, plus [`MIN_FREED_BY_MOVE`].
///
/// Some free space must be left, because otherwise the next read would move the part again. If the reads bring one byte
/// each, with pauses between them, each byte would cost two moves of all bytes before it. The memory would grow for the
/// byte, and shrink in the pause. So a small part gets free space of its own length, and has nearly doubled when it is
/// moved again. A large part gets less free space. When the memory grows next, it grows to about twice the part. Memory
/// of this size is kept while the rest of the message is missing.
///
/// `cargo bench --features tokio,futures-io,deflate --bench moved` counts at most 6 moved bytes for each byte that
/// arrives. With half as much free space, it counts 9.
pub(super) fn worth_keeping(part: usize) -> usize {
    part.saturating_add(part.clamp(*SPACE_AFTER_MOVE.start(), *SPACE_AFTER_MOVE.end()))
}

/// A message buffer that grows with the message that is collected in it. It owns no heap memory before the first
/// message.
///
/// The capacity is at most twice what has arrived plus 16 KiB, whatever length a header announces. For a compressed
/// message it is at most twice what has arrived, or has been inflated, plus 64 KiB. The memory is kept for the next
/// message, and [`release_idle`](Self::release_idle) frees it. [`take`](Self::take) returns the message together with
/// the memory. Once that message is dropped, a later message uses the memory again.
#[derive(Debug)]
pub struct VecMessage {
    /// The memory. All of it is initialised. The bytes from `filled` on are free space, except the bytes of a direct
    /// read.
    memory: Checked<Vec<u8>>,
    filled: usize,
    /// Number of bytes after `filled` that were read directly into this memory and are not consumed yet.
    direct_len: usize,
    /// Whether space for a direct read was returned, and the length of that read has not been reported.
    space_is_lent: bool,
    /// Whether the message is complete, so that its memory may be freed or used for the next message.
    done: bool,
    /// The payload of a control frame that arrives in several reads. It is stored inline, so that control frames do not
    /// allocate, however many the peer sends.
    control: ControlPayload,
    /// Whether the payload in `control` is incomplete.
    control_incomplete: bool,
    reclaimable: Reclaimable,
}

/// A reference to memory that was delivered with a message. The memory is used again once no other reference exists.
#[derive(Debug)]
pub(super) struct Reclaimable(Bytes);

impl Reclaimable {
    pub(super) const fn new() -> Self {
        Self(Bytes::new())
    }

    /// Returns a message of the bytes of `memory` in `range`, without a copy, and keeps a reference to the memory.
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

    /// Returns the length of the memory that may be used again.
    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the memory of the last message if the message was dropped, and otherwise empty memory.
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
    /// Creates an empty buffer, which owns no heap memory.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            memory: Checked::new(Vec::new()),
            filled: 0,
            direct_len: 0,
            space_is_lent: false,
            done: true,
            control: ControlPayload::EMPTY,
            control_incomplete: false,
            reclaimable: Reclaimable::new(),
        }
    }

    /// Returns the reference to the memory that was delivered with the last message.
    pub(super) const fn reclaimable_mut(&mut self) -> &mut Reclaimable {
        &mut self.reclaimable
    }

    /// Returns how many bytes of memory were delivered with the last message and may be used again.
    pub(super) const fn reclaimable_len(&self) -> usize {
        self.reclaimable.len()
    }

    /// Returns how many bytes of heap memory the buffer owns.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.memory.capacity()
    }

    /// Returns whether the buffer holds no partial message and no partial control frame.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.done && !self.control_incomplete
    }

    /// Frees the memory. If a part of a message has arrived, the part and some free space are kept. In this case memory
    /// is freed only if the capacity is more than twice the length of the part, plus 65 KiB.
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

    /// If a message is incomplete, returns how many bytes [`Self::release_idle`] would free. Otherwise returns 0.
    pub(super) fn spare(&self) -> usize {
        let part = self.filled + self.direct_len;
        let most = part.saturating_mul(2).saturating_add(MAX_OVERALLOCATION_INFLATED + MIN_FREED_BY_MOVE);
        let worth_it = !self.done && self.memory.capacity() > most;
        if worth_it { self.memory.capacity() - worth_keeping(part) } else { 0 }
    }

    /// Returns the message of `index` together with the memory of this buffer, without a copy.
    ///
    /// Returns `None` if the event is not a message, or if the message does not lie in this buffer. The message may
    /// have been delivered from the read buffer, or another message may have replaced it.
    pub fn take(&mut self, index: EventIndex) -> Option<Message> {
        let EventKind::Message(kind) = index.kind else { return None };
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
            // The memory was allocated for an earlier, larger message. A smaller message must not keep all of it
            // allocated.
            self.memory.shrink();
        }
        self.reclaimable.share(&mut self.memory, kind, 0..len)
    }

    /// Returns space for the next bytes of the message. `left` bytes of the current frame are missing. The space may be
    /// shorter, because [`ALLOWANCE`] and [`LONGEST_READ`] limit it. `last` says whether the message ends with this
    /// frame.
    pub(in crate::connection) fn space(&mut self, left: u64, last: bool) -> &mut [u8] {
        self.space_is_lent = true;
        let bound = self.filled.saturating_mul(2).saturating_add(ALLOWANCE);
        let end = usize::try_from(left).unwrap_or(usize::MAX).saturating_add(self.filled).min(bound);
        let next = end.min(self.filled.saturating_add(LONGEST_READ));
        let next = if self.memory.bytes().len().min(next) >= self.filled.saturating_add(LONGEST_READ / 2) {
            // Most of the space is still free, because the last read brought few bytes. So no more memory is
            // initialised yet.
            self.memory.bytes().len().min(next)
        } else {
            let next = space_end_for_read(self.memory.capacity(), self.filled, next, MIN_READ);
            self.make_space(next, if last { end } else { bound });
            next
        };
        self.memory.bytes_from(self.filled).get_mut(..next - self.filled).unwrap_or_default()
    }

    /// Records that `len` bytes were read into the space.
    pub(in crate::connection) fn handle_direct_read(&mut self, len: usize) {
        self.direct_len = len.min(self.memory.bytes().len().saturating_sub(self.filled));
        self.space_is_lent = false;
    }

    /// Returns whether a direct read is not consumed yet. Bytes that arrive later must be decoded after the bytes of
    /// this read.
    pub(in crate::connection) const fn has_direct_bytes(&self) -> bool {
        self.direct_len > 0
    }

    /// Records that the returned space will not be used.
    pub(super) const fn cancel_space(&mut self) {
        self.space_is_lent = false;
    }

    /// Returns whether space for a direct read was returned and the length of the read has not been reported.
    pub(super) const fn is_space_lent(&self) -> bool {
        self.space_is_lent
    }

    /// Makes initialised space up to `end`. If the memory must grow for this, it grows up to `target`.
    fn make_space(&mut self, end: usize, target: usize) {
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
        // If the length of the message is known, the memory grows to this length, or to `bound` if it is less.
        // Otherwise the memory doubles, so that many small fragments cost no more than one large frame.
        let target = match expected {
            Some(expected) => {
                let bound = end.saturating_mul(2).saturating_add(ALLOWANCE);
                bound.min(usize::try_from(expected).unwrap_or(usize::MAX))
            }
            None => end.saturating_mul(2).max(64),
        };
        self.memory.reserve(end, target);
        for piece in from.chunks(UNMASK_PIECE_LEN) {
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
            let len = left.min(UNMASK_PIECE_LEN);
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
        // Without the minimum `least`, each byte that arrives would make the memory grow a little.
        if self.memory.bytes().len().saturating_sub(self.filled) < least {
            let end = self.filled.saturating_add(expected);
            let most = usize::try_from(most).unwrap_or(usize::MAX).saturating_add(self.filled);
            self.make_space(end, most.min(self.filled.saturating_mul(2)));
        }
        let space = self.memory.bytes_from(self.filled);
        let len = space.len().min(expected);
        let len = produce(space.get_mut(..len).unwrap_or_default());
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

    /// Inflated payload lies in the caller's memory, as all payload does. So an event can borrow it while the
    /// connection sends an answer.
    #[test]
    fn an_event_can_borrow_inflated_payload() {
        let mut message = VecMessage::new();
        message.begin();
        // Many "é", written in pieces that end inside a code point.
        let mut source = "é".repeat(50_000).into_bytes().into_iter();
        while source.len() > 0 {
            let produced = message.produce(MessageKind::Text, 16 << 10..=16 << 10, u64::MAX, &mut |space| {
                let taken = space.len().min(33);
                space.iter_mut().take(taken).zip(&mut source).map(|(to, from)| *to = from).count()
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
        // If the index has another length than the validated text, no text is returned.
        let other = EventIndex::message(Place::gathered(99_999), MessageKind::Text);
        assert_eq!(input.event(other), Event::Text(""));
    }

    #[test]
    fn s8_1_inflated_text_is_validated_while_it_is_written() {
        for kind in [MessageKind::Text, MessageKind::Binary] {
            let (mut message, mut array) = (VecMessage::new(), [0; 8]);
            let mut control = ControlPayload::EMPTY;
            let mut lent = SliceMessage::new(&mut array, &mut control);
            let mut bad =
                |space: &mut [u8]| space.iter_mut().zip([b'a', 0xFF]).map(|(to, byte)| *to = byte).count();
            message.begin();
            assert_eq!(message.produce(kind, 2..=2, u64::MAX, &mut bad).is_ok(), kind == MessageKind::Binary);
            lent.begin();
            assert_eq!(lent.produce(kind, 2..=2, u64::MAX, &mut bad).is_ok(), kind == MessageKind::Binary);
        }
    }
}
