//! The bytes that arrived, and how far they have been taken in.
//!
//! An [`Input`] owns the cursor: where the next byte to be taken in lies, how many bytes have arrived, where a message
//! begins of which a part lies here, and how much of that part is still masked. The receiving half moves the cursor
//! through the methods below, and never by itself.
//!
//! Invariants:
//! - `message_start <= at <= end <= window.len()`, where a message has begun.
//! - The last `masked` bytes before `at` are masked. All other bytes before `at` have been unmasked.
//! - Whatever index a caller brings, text is handed out only where the window or the message proves that it is UTF-8.

use core::mem::take;
#[cfg(feature = "deflate")]
use core::ops::Range;

use super::message_buffer::MessageBuffer;
use crate::close::CloseCode;
use crate::connection::event::{
    ControlPayload, Event, EventIndex, Memory, MessageIndex, MessageKind, PendingReply, Place, Reply, What,
};
use crate::kernel::{Checked, InvalidUtf8, Mask, ReadBuffer};

/// The bytes that arrived, and the memory for a message that they hold only a part of.
///
/// [`Input::new`] lends both for one batch of bytes: poll until nothing comes any more, and all bytes have been taken in.
/// Then the buffer is free for the next connection. A [`SliceInbox`](crate::SliceInbox) keeps lent memory from one batch to
/// the next, and with an allocator an `Inbox` owns memory that grows. Events borrow from the input.
#[derive(Debug)]
pub struct Input<B, M> {
    pub(super) window: Checked<B>,
    /// How many bytes of the window have been taken in.
    pub(super) at: usize,
    /// How many have arrived.
    pub(super) end: usize,
    /// Where the message begins of which a part lies in the window, and the rest will.
    pub(super) message_start: Option<usize>,
    /// How many of the bytes before `at` are still masked.
    masked: usize,
    pub(super) message: M,
}

/// What has arrived of a message in one frame that lies in the window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::connection) enum Arrived {
    /// All of it.
    Whole(Place),
    /// All of it, and it is a text that is not UTF-8.
    NotUtf8,
    /// A part of its payload. The rest will come behind that part.
    Part,
}

impl<'m, M: MessageBuffer> Input<&'m mut [u8], &'m mut M> {
    /// Lends `bytes`, which have just arrived and will be unmasked in place, and `message`, which must be
    /// the one that earlier calls for this connection had.
    #[inline]
    pub fn new(bytes: &'m mut [u8], message: &'m mut M) -> Self {
        let end = bytes.len();
        Self { end, ..Self::empty_over(Checked::new(bytes), message) }
    }
}

impl<B, M> Input<B, M> {
    /// Nothing has arrived.
    pub(super) const fn empty_over(window: Checked<B>, message: M) -> Self {
        Self { window, at: 0, end: 0, message_start: None, masked: 0, message }
    }
}

// --- what callers see ---

impl<B: ReadBuffer, M: MessageBuffer> Input<B, M> {
    /// Returns the event that `index`, from the last poll with this input, stands for.
    ///
    /// An index from another connection yields wrong or no data. It never yields invalid UTF-8.
    // An event that a call returns lies in memory, and whoever matches it reads it from there, small messages too.
    #[inline(always)]
    #[must_use]
    pub fn event(&self, index: EventIndex) -> Event<'_> {
        let place = index.place;
        match index.what {
            What::Message(kind) => self.message(MessageIndex { place, kind }),
            What::Chunk { kind, first, fin } => Event::Chunk { kind, data: self.data(place), first, fin },
            What::Ping => Event::Ping(self.data(place)),
            What::Pong => Event::Pong(self.data(place)),
            What::CloseReceived => {
                let (code, reason) = self.close(place);
                Event::CloseReceived { code, reason }
            }
            What::Writable => Event::Writable,
            What::Closed(outcome) => Event::Closed(outcome),
        }
    }

    /// Returns the event of a whole message, as [`Self::event`] does.
    #[inline]
    #[must_use]
    pub fn message(&self, index: MessageIndex) -> Event<'_> {
        let place = index.place;
        match index.kind {
            MessageKind::Text if place.memory == Memory::Window => Event::Text(self.text_in_place(place)),
            MessageKind::Text => Event::Text(self.message.text(place.end)),
            MessageKind::Binary => Event::Binary(self.data(place)),
        }
    }

    /// Returns what `index` means for the sending half, if it means anything: for callers that receive and send in two
    /// places. Hand the value to [`Sender::apply`](crate::Sender::apply). A [`Connection`](crate::Connection) does that by
    /// itself.
    #[must_use]
    pub fn reply(&self, index: EventIndex) -> Option<PendingReply> {
        self.borrow_reply(index).map(PendingReply::from)
    }

    /// Returns how many bytes have arrived and not been taken in yet.
    #[inline]
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.unread().len()
    }

    /// The code and the reason of a Close.
    #[cold]
    #[inline(never)]
    fn close(&self, place: Place) -> (Option<CloseCode>, &str) {
        let (code, reason) = match self.data(place).split_first_chunk() {
            Some((code, reason)) => (Some(u16::from_be_bytes(*code).into()), reason),
            None => (None, &[][..]),
        };
        // The reason was found valid when it came in. An index from elsewhere may point at anything.
        (code, core::str::from_utf8(reason).unwrap_or_default())
    }

    #[inline]
    pub(in crate::connection) fn data(&self, place: Place) -> &[u8] {
        match place.memory {
            Memory::Window => self.window.bytes().get(place.start..place.end).unwrap_or_default(),
            Memory::Message => self.message.bytes(place.end),
            Memory::Control => self.message.control().get(..place.end).unwrap_or_default(),
        }
    }
}

// --- what the receiving half does with it ---

impl<B: ReadBuffer, M: MessageBuffer> Input<B, M> {
    /// Returns what `index` means for the sending half.
    #[inline]
    pub(in crate::connection) fn borrow_reply(&self, index: EventIndex) -> Option<Reply<'_>> {
        match index.what {
            What::Ping | What::Pong | What::CloseReceived => Reply::to(&self.event(index)),
            _ => None,
        }
    }

    /// A text message that lies in the window, as those do that the fast path finds.
    #[inline(always)]
    pub(in crate::connection) fn text_in_place(&self, place: Place) -> &str {
        self.window.text(place.start..place.end).unwrap_or_default()
    }

    /// A binary message that lies in the window, as those do that the fast path finds.
    #[inline(always)]
    pub(in crate::connection) fn binary_in_place(&self, place: Place) -> &[u8] {
        self.window.bytes().get(place.start..place.end).unwrap_or_default()
    }

    /// The bytes that have arrived and not been taken in yet.
    #[inline]
    pub(in crate::connection) fn unread(&self) -> &[u8] {
        self.arrived().unwrap_or_default()
    }

    /// The bytes that have arrived and not been taken in yet. By the invariant there always are some, if none at the
    /// least; here nobody has to show it.
    #[inline]
    pub(in crate::connection) fn arrived(&self) -> Option<&[u8]> {
        self.window.bytes().get(self.at..self.end)
    }

    /// Takes in `len` bytes that need no unmasking, such as those of a header.
    #[inline]
    pub(in crate::connection) fn advance(&mut self, len: usize) {
        self.at = self.end.min(self.at + len);
    }

    /// Drops all that has arrived, and what has come of a message.
    pub(in crate::connection) fn discard(&mut self) {
        self.at = self.end;
        self.message_start = None;
        self.message.finish();
        self.message.set_control_waits(false);
    }

    /// The memory for a message that does not lie in the window.
    pub(in crate::connection) const fn message_mut(&mut self) -> &mut M {
        &mut self.message
    }

    // Messages in one frame, in place.

    /// Whether a message of which `left` bytes are to come will lie in the window in one piece.
    pub(in crate::connection) fn will_hold(&self, left: u64) -> bool {
        left <= self.remaining() as u64 || self.can_hold(left)
    }

    /// Whether the window stays until the next poll, with room for `len` bytes in one piece.
    #[inline]
    fn can_hold(&self, len: u64) -> bool {
        B::STAYS && len <= self.window.longest() as u64
    }

    /// Where a message of `len` bytes lies behind a header of `head` bytes, if all of it has arrived.
    #[inline(always)]
    pub(in crate::connection) fn message_behind(&self, head: usize, len: usize) -> Option<Place> {
        let start = self.at + head;
        let end = start + len;
        if end <= self.end { Some(Place::arrived(start, end)) } else { None }
    }

    /// Whether a part of that message has arrived, and the rest will come behind it.
    #[inline]
    pub(in crate::connection) fn has_part_behind(&self, head: usize, len: usize) -> bool {
        self.at + head < self.end && self.can_hold(len as u64)
    }

    /// Unmasks a message that has arrived, and returns whether it is what it says: binary always is.
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
                self.window.unmask(range, mask);
                true
            }
            MessageKind::Text => self.window.unmask_text(range, mask),
        }
    }

    /// Takes in all bytes up to the end of a message that has arrived.
    #[inline(always)]
    pub(in crate::connection) const fn take_whole(&mut self, place: Place) {
        self.at = place.end;
    }

    /// Begins a message here that [will lie in the window](Self::will_hold).
    pub(in crate::connection) fn begin_message(&mut self) {
        (self.message_start, self.masked) = (Some(self.at), 0);
        self.window.forget();
    }

    /// Takes in the next `len` bytes of that message, which are the last if it is `whole` then.
    ///
    /// Nothing in binary can be wrong: it is unmasked in pieces of `at_once` bytes, which still lie in the cache.
    #[inline(always)]
    pub(in crate::connection) fn take_in_place(
        &mut self,
        len: usize,
        whole: bool,
        kind: MessageKind,
        mask: &mut Mask,
        at_once: usize,
    ) -> Arrived {
        self.at += len;
        self.masked += len;
        if whole || kind == MessageKind::Text || self.masked >= at_once {
            let masked = self.at.saturating_sub(take(&mut self.masked))..self.at;
            match kind {
                MessageKind::Binary => self.window.unmask(masked, mask),
                MessageKind::Text => {
                    let valid = self.window.unmask_more_text(masked, mask);
                    if !valid || whole && !self.window.validator().is_complete() {
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

    // Messages in pieces.

    /// Takes in `len` bytes of a payload that are handed out by themselves.
    pub(in crate::connection) fn take_chunk(&mut self, len: usize, mask: &mut Mask) -> Place {
        let (start, end) = (self.at, self.at + len);
        self.window.unmask(start..end, mask);
        self.at = end;
        Place::arrived(start, end)
    }

    /// Appends the next `len` bytes to the message that is gathered, as far as there is room, and returns how many that
    /// were. `expected` is the length of the message if it ends with this frame.
    pub(in crate::connection) fn gather(
        &mut self,
        len: usize,
        mask: &mut Mask,
        kind: MessageKind,
        expected: Option<u64>,
    ) -> Result<usize, InvalidUtf8> {
        let from = self.window.bytes().get(self.at..self.at + len).unwrap_or_default();
        let taken = self.message.push(from, mask, kind, expected)?;
        self.at += taken;
        Ok(taken)
    }

    /// Unmasks, or masks again, `range` of the bytes that have not been taken in.
    #[cfg(feature = "deflate")]
    pub(in crate::connection) fn unmask_ahead(&mut self, range: Range<usize>, mask: &mut Mask) {
        self.window.unmask(self.at + range.start..self.at + range.end, mask);
    }

    /// The next `len` bytes that have not been taken in, and the message that they are inflated to.
    #[cfg(feature = "deflate")]
    pub(in crate::connection) fn next_and_message(&mut self, len: usize) -> (&[u8], &mut M) {
        (self.window.bytes().get(self.at..self.at + len).unwrap_or_default(), &mut self.message)
    }

    // Control frames.

    /// Begins a control frame, behind its header.
    pub(in crate::connection) fn begin_control(&mut self) {
        self.message.set_control_waits(false);
    }

    /// Takes in `len` bytes of the payload of a control frame, which are the last if it is `whole` then, and returns where
    /// all of it lies that has come. A payload that arrives at once stays where it is.
    pub(in crate::connection) fn take_control(&mut self, len: usize, whole: bool, mask: &mut Mask) -> Place {
        let has_part = self.message.control_waits();
        if whole && !has_part {
            return self.take_chunk(len, mask);
        }
        if len == 0 && !whole {
            return Place::control(if has_part { self.message.control().len() } else { 0 });
        }
        let from = self.window.bytes().get(self.at..self.at + len).unwrap_or_default();
        let control = self.message.control_mut();
        if !has_part {
            *control = ControlPayload::EMPTY;
        }
        control.push(from, mask);
        self.at += len;
        self.message.set_control_waits(!whole);
        Place::control(self.message.control().len())
    }
}
