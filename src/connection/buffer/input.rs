//! The bytes that arrived, and the cursor over them.
//!
//! An [`Input`] has a read buffer, and owns the cursor over it. The cursor says where the next byte to decode lies, and
//! how many bytes have arrived. It also says where a partial message begins, and how many bytes of that message are
//! still masked. The receiving half moves the cursor only through the methods below. `inbox.rs` and `slice_inbox.rs`
//! return the memory for the next read.
//!
//! Invariants:
//! - `at <= end <= read_buffer.len()`. If `message_start` is `Some`, its value is at most `at`.
//! - The last `masked_len` bytes before `at` are masked. All other payload before `at` has been unmasked.
//! - Text is returned only if the read buffer or the message buffer proves that it is UTF-8, whatever index a caller
//!   passes.

use core::mem::take;
#[cfg(feature = "deflate")]
use core::ops::Range;

use super::message_buffer::MessageBuffer;
use crate::close::CloseCode;
use crate::connection::event::{
    ControlPayload, Event, EventIndex, EventKind, Memory, MessageIndex, MessageKind, PendingReply, Place,
    Reply,
};
use crate::kernel::{Checked, InvalidUtf8, Mask, ReadBuffer};

/// The input of a connection: a read buffer with the bytes that arrived, and a message buffer.
///
/// A message that lies in the read buffer in one piece is delivered from there. Any other message is collected in the
/// message buffer. Events borrow from the input.
///
/// [`Input::new`] takes both buffers for one batch of bytes. Poll until the result is `None`. At this point all bytes
/// have been decoded, and another connection can use the read buffer. A [`SliceInbox`](crate::SliceInbox) keeps the
/// caller's memory from one batch to the next. With an allocator, an `Inbox` owns memory that grows.
#[derive(Debug)]
pub struct Input<B, M> {
    pub(super) read_buffer: Checked<B>,
    /// Number of bytes of the read buffer that have been consumed.
    pub(super) at: usize,
    /// Number of bytes that have arrived.
    pub(super) end: usize,
    /// Start of a message that lies partly in the read buffer, if its missing part will arrive directly after the
    /// present part.
    pub(super) message_start: Option<usize>,
    /// Number of bytes directly before `at` that are still masked.
    masked_len: usize,
    pub(super) message: M,
}

/// How much has arrived of a message that lies in the read buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::connection) enum Arrived {
    /// The whole message.
    Whole(Place),
    /// Text that is not UTF-8.
    NotUtf8,
    /// A part of the message. The missing part will arrive directly after this part.
    Part,
}

impl<'m, M: MessageBuffer> Input<&'m mut [u8], &'m mut M> {
    /// Creates an input from `bytes`, which have just arrived, and the message buffer `message`. The bytes are unmasked
    /// in place. Pass the same `message` for each batch of one connection.
    #[inline]
    pub fn new(bytes: &'m mut [u8], message: &'m mut M) -> Self {
        let end = bytes.len();
        Self { end, ..Self::empty_over(Checked::new(bytes), message) }
    }
}

impl<B, M> Input<B, M> {
    /// Creates an input in which no bytes have arrived.
    pub(super) const fn empty_over(read_buffer: Checked<B>, message: M) -> Self {
        Self { read_buffer, at: 0, end: 0, message_start: None, masked_len: 0, message }
    }
}

// --- what callers see ---

impl<B: ReadBuffer, M: MessageBuffer> Input<B, M> {
    /// Returns the event of `index`, which the last poll with this input returned.
    ///
    /// An index from another connection yields wrong or no data. It never yields invalid UTF-8.
    // This method is inlined, because an event that a call returns is written to memory and read back.
    #[inline(always)]
    #[must_use]
    pub fn event(&self, index: EventIndex) -> Event<'_> {
        let place = index.place;
        match index.kind {
            EventKind::Message(kind) => self.message(MessageIndex { place, kind }),
            EventKind::Chunk { kind, first, fin } => {
                Event::Chunk { kind, data: self.data(place), first, fin }
            }
            EventKind::Ping => Event::Ping(self.data(place)),
            EventKind::Pong => Event::Pong(self.data(place)),
            EventKind::CloseReceived => {
                let (code, reason) = self.close_fields(place);
                Event::CloseReceived { code, reason }
            }
            EventKind::Writable => Event::Writable,
            EventKind::Closed(outcome) => Event::Closed(outcome),
        }
    }

    /// Returns the event of a whole message, as [`Self::event`] does.
    #[inline]
    #[must_use]
    pub fn message(&self, index: MessageIndex) -> Event<'_> {
        let place = index.place;
        match index.kind {
            MessageKind::Text if place.memory == Memory::ReadBuffer => {
                Event::Text(self.read_buffer.text(place.start..place.end).unwrap_or_default())
            }
            MessageKind::Text => Event::Text(self.message.text(place.end)),
            MessageKind::Binary => Event::Binary(self.data(place)),
        }
    }

    /// Returns the reply to the event of `index`; `None` if the event needs no reply.
    ///
    /// This method is for callers that receive and send in different tasks. Pass the reply to
    /// [`Sender::apply`](crate::Sender::apply). A [`Connection`](crate::Connection) applies its replies itself.
    #[must_use]
    pub fn reply(&self, index: EventIndex) -> Option<PendingReply> {
        self.borrow_reply(index).map(PendingReply::from)
    }

    /// Returns how many bytes have arrived and are not decoded yet.
    #[inline]
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.unread().len()
    }

    /// Returns the code and the reason of a Close.
    #[cold]
    #[inline(never)]
    fn close_fields(&self, place: Place) -> (Option<CloseCode>, &str) {
        let (code, reason) = match self.data(place).split_first_chunk() {
            Some((code, reason)) => (Some(u16::from_be_bytes(*code).into()), reason),
            None => (None, &[][..]),
        };
        // The reason was validated when it was received. But an index from another connection may point to any bytes.
        (code, core::str::from_utf8(reason).unwrap_or_default())
    }

    /// Returns the bytes at `place`, or an empty slice if there are no such bytes.
    #[inline]
    pub(in crate::connection) fn data(&self, place: Place) -> &[u8] {
        match place.memory {
            Memory::ReadBuffer => self.read_buffer.bytes().get(place.start..place.end).unwrap_or_default(),
            Memory::Message => self.message.bytes(place.end),
            Memory::Control => self.message.control().get(..place.end).unwrap_or_default(),
        }
    }
}

// --- what the receiving half calls ---

impl<B: ReadBuffer, M: MessageBuffer> Input<B, M> {
    /// Returns the reply to the event of `index`, with a borrowed payload.
    #[inline]
    pub(in crate::connection) fn borrow_reply(&self, index: EventIndex) -> Option<Reply<'_>> {
        match index.kind {
            EventKind::Ping | EventKind::Pong | EventKind::CloseReceived => Reply::to(&self.event(index)),
            _ => None,
        }
    }

    /// Returns the event of a message that lies in the read buffer, as every message of the fast path does. The result
    /// is never `None` for such a message. The caller handles `None`, which costs less than a default value here.
    #[inline(always)]
    pub(in crate::connection) fn event_in_place(&self, index: MessageIndex) -> Option<Event<'_>> {
        let Place { start, end, .. } = index.place;
        Some(match index.kind {
            MessageKind::Text => Event::Text(self.read_buffer.text(start..end)?),
            MessageKind::Binary => Event::Binary(self.read_buffer.bytes().get(start..end)?),
        })
    }

    /// Returns the bytes that have arrived and are not consumed. The range is always valid, because `at <= end` and
    /// `end <= read_buffer.len()`.
    #[inline]
    pub(in crate::connection) fn unread(&self) -> &[u8] {
        self.read_buffer.bytes().get(self.at..self.end).unwrap_or_default()
    }

    /// Returns the rest of the read buffer, which begins with the first byte that is not consumed. After the bytes that
    /// have arrived, the rest contains old bytes. So a header in the result is valid only if
    /// [`message_after_header`](Self::message_after_header) or
    /// [`has_part_after_header`](Self::has_part_after_header) finds bytes of the message after it.
    #[inline(always)]
    pub(in crate::connection) fn after_cursor(&self) -> Option<&[u8]> {
        self.read_buffer.bytes().get(self.at..)
    }

    /// Consumes `len` bytes that need no unmasking, such as a header.
    #[inline]
    pub(in crate::connection) fn advance(&mut self, len: usize) {
        self.at = self.end.min(self.at + len);
    }

    /// Drops all bytes that have arrived, and any partial message.
    pub(in crate::connection) fn discard(&mut self) {
        self.at = self.end;
        self.message_start = None;
        self.message.finish();
        self.message.set_control_incomplete(false);
    }

    /// Returns the memory for messages that do not lie in the read buffer.
    pub(in crate::connection) const fn message_mut(&mut self) -> &mut M {
        &mut self.message
    }

    // Messages in one frame, which stay in the read buffer.

    /// Returns whether a message that needs `left` more bytes will lie in the read buffer in one piece.
    pub(in crate::connection) fn will_hold(&self, left: u64) -> bool {
        left <= self.remaining() as u64 || self.can_hold(left)
    }

    /// Returns whether the read buffer is kept until the next poll and can hold `len` bytes in one piece.
    #[inline]
    fn can_hold(&self, len: u64) -> bool {
        B::PERSISTS && len <= self.read_buffer.longest() as u64
    }

    /// Returns the position of a message of `len` bytes after a header of `head` bytes, if the whole message has
    /// arrived.
    #[inline(always)]
    pub(in crate::connection) fn message_after_header(&self, head: usize, len: usize) -> Option<Place> {
        let start = self.at + head;
        let end = start + len;
        if end <= self.end { Some(Place::arrived(start, end)) } else { None }
    }

    /// Returns whether a part of a message has arrived, and the missing part will arrive directly after this part. The
    /// message has `len` bytes, after a header of `head` bytes.
    #[inline]
    pub(in crate::connection) fn has_part_after_header(&self, head: usize, len: usize) -> bool {
        self.at + head < self.end && self.can_hold(len as u64)
    }

    /// Unmasks a message that has arrived. Returns false if the message is text that is not UTF-8.
    #[inline(always)]
    pub(in crate::connection) fn unmask_message(
        &mut self,
        place: Place,
        kind: MessageKind,
        mask: &mut Mask,
    ) -> bool {
        let range = place.start..place.end;
        match kind {
            MessageKind::Binary => {
                self.read_buffer.unmask(range, mask);
                true
            }
            MessageKind::Text => self.read_buffer.unmask_text(range, mask),
        }
    }

    /// Consumes all bytes up to the end of a message that has arrived.
    #[inline(always)]
    pub(in crate::connection) const fn take_whole(&mut self, place: Place) {
        self.at = place.end;
    }

    /// Starts a message that [will lie in the read buffer](Self::will_hold), at the next byte.
    pub(in crate::connection) fn begin_message(&mut self) {
        (self.message_start, self.masked_len) = (Some(self.at), 0);
        self.read_buffer.forget();
    }

    /// Consumes the next `len` bytes of the message that [`Self::begin_message`] started. `whole` says whether
    /// these bytes complete the message.
    ///
    /// Binary payload cannot be invalid, so it is unmasked in pieces of at least `min_len` bytes, which still lie in
    /// the cache. Text is unmasked and validated as it arrives, because a wrong byte fails the connection.
    #[inline(always)]
    pub(in crate::connection) fn take_in_place(
        &mut self,
        len: usize,
        whole: bool,
        kind: MessageKind,
        mask: &mut Mask,
        min_len: usize,
    ) -> Arrived {
        self.at += len;
        self.masked_len += len;
        if whole || kind == MessageKind::Text || self.masked_len >= min_len {
            let masked = self.at.saturating_sub(take(&mut self.masked_len))..self.at;
            match kind {
                MessageKind::Binary => self.read_buffer.unmask(masked, mask),
                MessageKind::Text => {
                    let valid = self.read_buffer.unmask_more_text(masked, mask);
                    if !valid || whole && !self.read_buffer.validator().is_complete() {
                        self.at -= len;
                        return Arrived::NotUtf8;
                    }
                }
            }
        }
        if whole {
            Arrived::Whole(Place::arrived(self.message_start.take().unwrap_or(self.at), self.at))
        } else {
            Arrived::Part
        }
    }

    // Chunks and gathered messages.

    /// Consumes and unmasks `len` bytes of payload that are delivered as a chunk.
    pub(in crate::connection) fn take_chunk(&mut self, len: usize, mask: &mut Mask) -> Place {
        let (start, end) = (self.at, self.at + len);
        self.read_buffer.unmask(start..end, mask);
        self.at = end;
        Place::arrived(start, end)
    }

    /// Appends the next `len` bytes to the gathered message, as far as there is space. Returns how many bytes were
    /// appended. `expected` is the length of the message, if it ends with this frame.
    pub(in crate::connection) fn gather(
        &mut self,
        len: usize,
        mask: &mut Mask,
        kind: MessageKind,
        expected: Option<u64>,
    ) -> Result<usize, InvalidUtf8> {
        let from = self.read_buffer.bytes().get(self.at..self.at + len).unwrap_or_default();
        let taken = self.message.push(from, mask, kind, expected)?;
        self.at += taken;
        Ok(taken)
    }

    /// Unmasks, or masks again, `range` of the bytes that are not consumed.
    #[cfg(feature = "deflate")]
    pub(in crate::connection) fn unmask_ahead(&mut self, range: Range<usize>, mask: &mut Mask) {
        self.read_buffer.unmask(self.at + range.start..self.at + range.end, mask);
    }

    /// Returns the next `len` bytes, and the message buffer into which these bytes are inflated.
    #[cfg(feature = "deflate")]
    pub(in crate::connection) fn next_and_message(&mut self, len: usize) -> (&[u8], &mut M) {
        (self.read_buffer.bytes().get(self.at..self.at + len).unwrap_or_default(), &mut self.message)
    }

    // Control frames.

    /// Starts a control frame, whose header has been consumed.
    pub(in crate::connection) fn begin_control(&mut self) {
        self.message.set_control_incomplete(false);
    }

    /// Consumes `len` bytes of the payload of a control frame. `whole` says whether these bytes complete the payload.
    /// Returns the position of the payload that has arrived. A payload that arrives in one piece is not copied.
    pub(in crate::connection) fn take_control(&mut self, len: usize, whole: bool, mask: &mut Mask) -> Place {
        let has_part = self.message.control_incomplete();
        if whole && !has_part {
            return self.take_chunk(len, mask);
        }
        if len == 0 && !whole {
            return Place::control(if has_part { self.message.control().len() } else { 0 });
        }
        let from = self.read_buffer.bytes().get(self.at..self.at + len).unwrap_or_default();
        let control = self.message.control_mut();
        if !has_part {
            *control = ControlPayload::EMPTY;
        }
        control.push(from, mask);
        self.at += len;
        self.message.set_control_incomplete(!whole);
        Place::control(self.message.control().len())
    }
}
