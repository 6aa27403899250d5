//! Input in memory that grows with the message that arrives in it.
//!
//! An [`Inbox`] has a read buffer. This file chooses the space for the next read, decides how the read buffer grows,
//! and frees memory. `input.rs` has the cursor and the methods for decoding.
//!
//! The part of a message that has arrived, while the rest is missing, is called a *part* below.
//!
//! Invariants:
//! - The size of the memory depends on the number of bytes that arrived, never on the length that a header announces.
//! - A part is moved a bounded number of times, however small the reads are and however often memory is released.
//!   `cargo bench --features tokio,futures-io,deflate --bench moved` counts the moved bytes.
//! - An owned message can be delivered together with the memory of the read buffer. In this case the bytes after the
//!   message are kept in a new read buffer.

use alloc::vec::Vec;
use core::ops::Range;

use bytes::Bytes;

use super::input::Input;
use super::vec_message::{MIN_FREED_BY_MOVE, MIN_READ, VecMessage, space_end_for_read, worth_keeping};
use crate::connection::event::{EventIndex, EventKind, MessageKind, Place};
use crate::connection::message::Message;
use crate::kernel::Checked;

/// Initial length of the read buffer, in bytes, which is the size of one read. A read of this length stays in the
/// first-level cache while it is unmasked and validated. The read buffer has space for a message of 16 KiB, which is a
/// usual size, with its header. It also has space for sixteen messages of 1 KiB.
const READ_LEN: usize = (16 << 10) + 512;
/// Maximum length of one read after a part, in bytes. A read of this length stays in the second-level cache. With
/// shorter reads, the cost of the system calls is measurable.
const LONGEST_READ: usize = 256 << 10;
/// Maximum length of one read for which memory must be initialised, in bytes. It is less than [`LONGEST_READ`], because
/// an idle connection frees the memory that it does not use, and must initialise new memory later.
const LONGEST_NEW_READ: usize = 32 << 10;
/// Minimum growth of the read buffer after a part, in bytes. The growth is smaller if fewer bytes of the message are
/// missing, or if less than about 16 KiB has arrived.
const MIN_GROWTH: usize = 64 << 10;

/// If fewer bytes than this are missing from a payload, they are not read directly into the message.
pub(in crate::connection) const MIN_DIRECT_READ: u64 = 4 << 10;

/// An [`Input`] that owns its memory, for a function that reads and returns an event, such as an adapter's
/// `next_event()`.
///
/// Read into the space that [`Connection::read_space`](crate::Connection::read_space) returns, and report the length
/// with [`handle_read`](Self::handle_read). A new inbox owns no heap memory: about 16 KiB are allocated for the first
/// read. [`release_idle`](Self::release_idle) frees this memory.
pub type Inbox = Input<Vec<u8>, VecMessage>;

impl Default for Inbox {
    fn default() -> Self {
        Self::empty()
    }
}

impl Inbox {
    /// Creates an inbox in which no bytes have arrived.
    #[must_use]
    pub const fn empty() -> Self {
        Self::empty_over(Checked::new(Vec::new()), VecMessage::new())
    }

    /// Creates an inbox in which `bytes` have arrived already, for example together with the handshake.
    #[must_use]
    pub fn with_bytes(bytes: &[u8]) -> Self {
        let mut inbox = Self::empty();
        inbox.read_buffer.extend(bytes);
        inbox.end = bytes.len();
        inbox
    }

    /// Records that the first `len` bytes of the space were read.
    pub fn handle_read(&mut self, len: usize) {
        if self.message.is_space_lent() {
            self.message.handle_direct_read(len);
        } else {
            self.end = self.read_buffer.bytes().len().min(self.end.saturating_add(len));
        }
    }

    /// Returns whether all bytes in the inbox have been decoded and no message is incomplete. In this case another
    /// connection can use the inbox.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.at == self.end && self.message_start.is_none() && self.message.is_idle()
    }

    /// Returns how many bytes of heap memory the inbox owns. The number includes memory that was delivered with the
    /// last message and may be used again.
    #[inline]
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.read_buffer.capacity() + self.message.capacity() + self.message.reclaimable_len()
    }

    /// Returns how many bytes of heap memory [`release_idle`](Self::release_idle) would free. The memory of a delivered
    /// message in the message buffer does not count.
    ///
    /// Allocating memory again takes time. So if the rest of a large message will arrive soon, keep the memory for a
    /// while.
    #[must_use]
    pub fn spare(&self) -> usize {
        self.spare_in_read_buffer() + self.message.spare()
    }

    /// Returns the part of [`Self::spare`] that lies in the read buffer.
    fn spare_in_read_buffer(&self) -> usize {
        if self.at < self.end {
            return 0;
        }
        match (self.needed_len(), self.read_buffer.capacity()) {
            (0, capacity) => capacity,
            (part, capacity) if capacity > 2 * part + MIN_FREED_BY_MOVE => capacity - worth_keeping(part),
            _ => 0,
        }
    }

    /// Returns how many bytes of the read buffer are needed, because they are a part of a message or are not consumed.
    fn needed_len(&self) -> usize {
        self.end.saturating_sub(self.message_start.unwrap_or(self.at))
    }

    /// Frees heap memory that is not needed.
    ///
    /// If a part of a message has arrived, some free space is kept for the rest. The free space is at most as many
    /// bytes as the part has, plus 1 KiB. Without free space, a peer that sends a few bytes at a time would cause the
    /// part to be copied at each read.
    pub fn release_idle(&mut self) {
        if self.spare_in_read_buffer() > 0 {
            self.keep_from(self.message_start.unwrap_or(self.end));
            if self.end == 0 {
                drop(self.read_buffer.take());
            } else {
                self.read_buffer.resize(self.end);
                self.read_buffer.shrink_to(worth_keeping(self.end));
            }
        }
        self.message.release_idle();
    }

    /// Returns the message of `index` as an owned message. The last poll with this input must have returned `index`.
    /// Returns `None` if the event is not a whole message.
    ///
    /// A message in the message buffer is returned together with the buffer, without a copy. A message that fills most
    /// of the read buffer is returned together with the read buffer, also without a copy. Any other message is copied.
    #[inline]
    pub fn take_message(&mut self, index: EventIndex) -> Option<Message> {
        let EventKind::Message(kind) = index.kind else { return None };
        self.owned_message(kind, index.place)
    }

    /// Returns the message at `place` as an owned message.
    fn owned_message(&mut self, kind: MessageKind, place: Place) -> Option<Message> {
        let (start, end) = (place.start, place.end);
        if place.gathered_len().is_some() {
            self.message.take_gathered(kind, place)
        } else if self.is_filled_by(start, end) {
            self.share_read_buffer(kind, start..end)
        } else {
            match kind {
                MessageKind::Text => self.read_buffer.text(start..end).map(Message::from),
                MessageKind::Binary => {
                    self.read_buffer.bytes().get(start..end).map(|bytes| Bytes::copy_from_slice(bytes).into())
                }
            }
        }
    }

    /// Returns whether a message fills most of the read buffer. If so, the message is returned with the read buffer's
    /// memory instead of being copied.
    fn is_filled_by(&self, start: usize, end: usize) -> bool {
        let (len, rest) = (end.saturating_sub(start), self.end - self.at);
        // A partial message after this message must stay in the read buffer.
        self.message_start.is_none()
            && len >= READ_LEN / 4
            && len >= self.read_buffer.bytes().len() / 2
            && rest <= len / 8
    }

    /// Returns the message in `range` with the read buffer's memory. The bytes after the message are copied to a new
    /// read buffer.
    fn share_read_buffer(&mut self, kind: MessageKind, range: Range<usize>) -> Option<Message> {
        let rest = self.unread().to_vec();
        (self.at, self.end) = (0, rest.len());
        let message = self.message.reclaimable_mut().share(&mut self.read_buffer, kind, range);
        self.read_buffer = Checked::new(rest);
        message
    }

    /// Returns space for the next read.
    #[inline]
    pub(in crate::connection) fn space(&mut self) -> &mut [u8] {
        self.message.cancel_space();
        if self.at == self.end {
            (self.at, self.end) = (0, 0);
        } else if self.at >= READ_LEN {
            self.keep_from(self.at);
        }
        let needed = if self.read_buffer.bytes().len() < self.end + READ_LEN / 4 { READ_LEN } else { 0 };
        self.space_to(self.end + needed, self.end + READ_LEN)
    }

    /// Returns space for the rest of a message that lies in the read buffer. `left` bytes of the message are missing.
    pub(in crate::connection) fn space_behind(&mut self, left: u64) -> &mut [u8] {
        self.message.cancel_space();
        let (small, left) = (left < MIN_DIRECT_READ, usize::try_from(left).unwrap_or(usize::MAX));
        let space_left = self.read_buffer.bytes().len() - self.end;
        let next = if space_left < left { self.make_space(space_left, left) } else { left.min(LONGEST_READ) };
        // Read no more than the rest of a large message, so that the next message begins at the front of the read
        // buffer.
        let most = if small { READ_LEN } else { next };
        let space = self.read_buffer.bytes_from(self.end);
        let most = most.min(space.len());
        space.get_mut(..most).unwrap_or_default()
    }

    /// Makes space for some of the `left` missing bytes of a message, if the free space of `space_left` bytes is too
    /// small. Returns the number of bytes for which there is space afterwards.
    #[inline(never)]
    fn make_space(&mut self, space_left: usize, left: usize) -> usize {
        let (start, part) = (self.message_start.unwrap_or(self.at), self.needed_len());
        if start >= part {
            // At least as many bytes become free as are moved.
            self.keep_from(start);
        } else if space_left >= LONGEST_NEW_READ / 2 {
            // Most of the space is still free, because the last read brought few bytes. So no more memory is
            // initialised yet.
            return space_left.min(LONGEST_READ);
        }
        // The memory grows in proportion to the bytes that arrived. A large part gets at least as much space as
        // `release_idle` would leave, so that the part is not moved again before its length has doubled.
        let more = part.max(MIN_GROWTH).saturating_add(MIN_FREED_BY_MOVE);
        let bound = left.min(more).min(self.end.saturating_mul(3).saturating_add(READ_LEN));
        let next = self.end.saturating_add(bound.min(LONGEST_NEW_READ));
        // The space that `release_idle` leaves after a small part must be used before the memory grows.
        let min_space = MIN_READ.min(part / 8).max(1);
        let next = space_end_for_read(self.read_buffer.capacity(), self.end, next, min_space);
        self.reserve(next, self.end.saturating_add(bound));
        self.space_to(next, next).len()
    }

    /// Moves the bytes from `start` on to the front.
    fn keep_from(&mut self, start: usize) {
        self.read_buffer.move_to_front(start..self.end);
        // The subtraction saturates, because a caller may wrongly poll with the inbox of another connection.
        self.message_start = self.message_start.map(|message_start| message_start.saturating_sub(start));
        (self.at, self.end) = (self.at.saturating_sub(start), self.end.saturating_sub(start));
    }

    /// Makes space up to `end`. If the memory must grow for this, it grows up to `target`.
    fn reserve(&mut self, end: usize, target: usize) {
        if self.read_buffer.capacity() < end {
            // If the last message that was returned with the read buffer's memory has been dropped, this memory is used
            // again.
            let back = self.message.reclaimable_mut().take_back();
            if back.capacity() >= end {
                self.read_buffer.move_to(back);
            }
            self.read_buffer.reserve(end, target);
        }
    }

    /// Makes initialised space up to `end`.
    #[inline(never)]
    fn grow(&mut self, end: usize) {
        self.reserve(end, end);
        // Memory that was used before may be longer, and is initialised already.
        if self.read_buffer.bytes().len() < end {
            self.read_buffer.resize(end);
        }
    }

    /// Returns space after the bytes that arrived: up to `end` at least, and up to `most` if the read buffer is long
    /// enough.
    #[inline]
    fn space_to(&mut self, end: usize, most: usize) -> &mut [u8] {
        if self.read_buffer.bytes().len() < end {
            self.grow(end);
        }
        let most = most.min(self.read_buffer.bytes().len()).saturating_sub(self.end);
        self.read_buffer.bytes_from(self.end).get_mut(..most).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::{Connection, Outbox};
    use crate::frame::{Header, Opcode};
    use crate::{Config, Instant};

    #[test]
    fn memory_that_is_used_again_is_not_initialised_again() {
        let mut inbox = Inbox::empty();
        inbox.read_buffer.resize(2 * READ_LEN);
        (inbox.at, inbox.end) = (2 * READ_LEN, 2 * READ_LEN);
        let place = Place::arrived(10, 2 * READ_LEN);
        let message = inbox.take_message(EventIndex::message(place, MessageKind::Binary));
        assert!(inbox.read_buffer.bytes().is_empty());
        drop(message);
        assert_eq!(inbox.space().len(), READ_LEN);
        // The memory of the dropped message is used again.
        assert_eq!(inbox.read_buffer.bytes().len(), 2 * READ_LEN);
    }

    /// Returns how many bytes a step has moved, within the read buffer or to another read buffer.
    fn moved(inbox: &mut Inbox, step: impl FnOnce(&mut Inbox)) -> usize {
        let (capacity, message_start, part) =
            (inbox.read_buffer.capacity(), inbox.message_start, inbox.needed_len());
        step(inbox);
        let within = if inbox.message_start < message_start { part } else { 0 };
        let other = if inbox.read_buffer.capacity() == capacity {
            0
        } else {
            capacity.min(inbox.read_buffer.capacity())
        };
        within + other
    }

    /// Receives a message of `first` bytes and then a large message. The first `behind` bytes of the large message
    /// arrive together with the first message. More bytes arrive in `reads` reads of `read` bytes each.
    fn receive_in_small_reads(first: usize, behind: usize, read: usize, reads: usize) {
        let header = |payload_len, to: &mut Vec<u8>| {
            let masking_key = Some([0; 4]);
            let mut head = [0; 14];
            let header = Header { fin: true, rsv: 0, opcode: Opcode::Binary, masking_key, payload_len };
            let len = header.encode(&mut head);
            to.extend_from_slice(&head[..len]);
        };
        let mut wire = Vec::new();
        header(first as u64, &mut wire);
        wire.resize(wire.len() + first, 1);
        header(16 << 20, &mut wire);
        let behind = wire.len() + behind;
        wire.resize(behind + read * reads, 1);

        let mut connection = Connection::server(Instant::ZERO, Config::new(), Outbox::new());
        let (mut inbox, mut at, mut all) = (Inbox::empty(), 0, 0);
        while at < wire.len() {
            // The connection is also polled when nothing was read.
            for waits in [true, true, false] {
                let slow = at >= behind;
                let most = if slow { read } else { behind - at };
                all += moved(&mut inbox, |inbox| {
                    let space = connection.read_space(inbox);
                    let len = most.min(space.len()).min(wire.len() - at);
                    if !waits || !slow {
                        space[..len].copy_from_slice(&wire[at..at + len]);
                        inbox.handle_read(len);
                        at += len;
                    }
                });
                all += moved(
                    &mut inbox,
                    |inbox| {
                        while connection.poll(Instant::ZERO, inbox).unwrap().is_some() {}
                    },
                );
                let held = inbox.capacity();
                assert!(held <= 2 * at + (64 << 10), "{held} for {at}");
                if slow {
                    all += moved(&mut inbox, Inbox::release_idle);
                    let (held, part) = (inbox.capacity(), inbox.needed_len());
                    assert!(held <= 2 * part + MIN_FREED_BY_MOVE && inbox.spare() == 0, "{held} for {part}");
                }
            }
        }
        assert!(
            all <= 8 * wire.len() + (64 << 10),
            "{first}, {behind}, reads of {read}: {all} moved for {at}"
        );
    }

    #[test]
    fn s10_4_a_partial_message_is_moved_a_bounded_number_of_times() {
        for first in [0, 100, 16_000, 40_000] {
            for behind in [0, 1, 1000, 30_000] {
                for (read, reads) in [(1, 1500), (7, 700), (100, 600), (1460, 200), (20_000, 15)] {
                    receive_in_small_reads(first, behind, read, reads);
                }
            }
        }
        // The memory grows at some of these lengths.
        for behind in (0..40).map(|n| n * 33_000) {
            receive_in_small_reads(100, behind, 1, 8);
        }
    }
}
