//! Where frames wait to be written.

use core::fmt;

use super::urgent::Urgent;
use crate::frame::{Header, frame_len};

/// Where frames wait to be written: [`Outbox`], which grows, or [`Lent`], which does not.
pub trait Output: fmt::Debug + sealed::Queue {}

impl<T: fmt::Debug + sealed::Queue> Output for T {}

pub(super) mod sealed {
    use super::{Header, Urgent};

    /// What the sender does with the queue. Positions are counted in bytes from its front.
    pub trait Queue {
        /// Bytes that wait.
        fn len(&self) -> usize;
        /// Bytes that fit besides.
        fn room(&self) -> usize;
        /// Bytes that fit at all.
        fn capacity(&self) -> usize;
        /// Whether so much has drained that a sender which was held back should go on.
        fn has_drained(&self, high_water: usize) -> bool;
        /// Appends a frame, masking the payload on the way. Nothing happens where it does not fit.
        fn push(&mut self, header: &Header, payload: &[u8]);
        /// Drops all that is behind `at`, a frame boundary.
        fn truncate(&mut self, at: usize);
        /// Takes `n` bytes off the front. `boundary` is the first frame boundary; gives where it is now.
        fn advance(&mut self, n: usize, boundary: usize) -> usize;
        /// All has been written, urgent frames too.
        fn clear(&mut self);
        /// All that waits, urgent frames too, where it lies in one piece: the usual case.
        fn in_one_piece(&self) -> Option<&[u8]>;
        /// The bytes that wait, in order.
        fn pieces(&self) -> impl Iterator<Item = &[u8]>;
        /// The control frames that go out ahead of the queue.
        fn urgent(&self) -> &Urgent;
        /// The same, to be written to.
        fn urgent_mut(&mut self) -> &mut Urgent;
        /// Gives back memory if nothing waits.
        fn release(&mut self);
    }
}

/// A queue in memory that the caller lends, for connections without an allocator.
///
/// A part is kept free for control frames: of an array of `n` bytes, messages can use `n - 145`. One that is to
/// be compressed needs room for a quarter more and 64 bytes, as some grow by it. What does not fit yet is [`Blocked`](crate::SendError::Blocked), what never will is
/// [`TooLarge`](crate::SendError::TooLarge) and can be sent in fragments.
///
/// ```
/// use hybi::Lent;
///
/// let mut array = [0; 1024];
/// let out = Lent::new(&mut array);
/// # let _ = out;
/// ```
#[derive(Debug)]
pub struct Lent<'m> {
    memory: &'m mut [u8],
    start: usize,
    end: usize,
    urgent: Urgent,
}

impl<'m> Lent<'m> {
    /// Queues frames in `memory`.
    #[must_use]
    pub const fn new(memory: &'m mut [u8]) -> Self {
        Self { memory, start: 0, end: 0, urgent: Urgent::EMPTY }
    }

    /// Moves what waits to the front, and makes the gap behind it as long as it can be.
    fn compact(&mut self) {
        self.memory.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
    }
}

impl sealed::Queue for Lent<'_> {
    fn len(&self) -> usize {
        self.end - self.start
    }

    fn room(&self) -> usize {
        self.memory.len() - self.len()
    }

    fn capacity(&self) -> usize {
        self.memory.len()
    }

    fn has_drained(&self, _: usize) -> bool {
        self.len() == 0
    }

    fn push(&mut self, header: &Header, payload: &[u8]) {
        let head = header.encoded_len();
        if self.room() < head + payload.len() {
            return;
        }
        if self.memory.len() - self.end < head + payload.len() {
            self.compact();
        }
        let gap = self.memory.get_mut(self.end..).unwrap_or_default();
        let Some((head, body)) = gap.split_at_mut_checked(head) else { return };
        crate::frame::write_frame(header, payload, head, body);
        self.end += head.len() + payload.len();
    }

    fn truncate(&mut self, at: usize) {
        self.end = self.end.min(self.start + at);
    }

    fn advance(&mut self, n: usize, boundary: usize) -> usize {
        let n = n.min(self.len());
        let mut boundary = boundary;
        while boundary < n {
            let frame = self.memory.get(self.start + boundary..self.end).and_then(frame_len);
            boundary += frame.map_or(n, |(head, payload)| head + payload);
        }
        self.start += n;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        boundary - n
    }

    fn clear(&mut self) {
        (self.start, self.end, self.urgent) = (0, 0, Urgent::EMPTY);
    }

    fn in_one_piece(&self) -> Option<&[u8]> {
        if self.urgent.is_empty() { self.memory.get(self.start..self.end) } else { None }
    }

    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        self.memory.get(self.start..self.end).into_iter()
    }

    fn urgent(&self) -> &Urgent {
        &self.urgent
    }

    fn urgent_mut(&mut self) -> &mut Urgent {
        &mut self.urgent
    }

    fn release(&mut self) {}
}

#[cfg(feature = "alloc")]
pub use growable::Outbox;

#[cfg(feature = "alloc")]
mod growable {
    use alloc::boxed::Box;
    use alloc::collections::VecDeque;
    use alloc::vec::Vec;

    use bytes::{Buf, Bytes};

    use super::{Header, Urgent, frame_len, sealed};
    use crate::frame::{MAX_HEADER_LEN, Mask};

    /// A queue that grows: small frames lie one behind the other in one buffer, large shared payloads
    /// where they are.
    ///
    /// It owns no heap before its first use, and none after a `release_idle()` while it is empty. No more than
    /// one message above [`Config::high_water`](crate::Config::high_water) waits in it.
    #[derive(Debug, Default)]
    pub struct Outbox {
        /// Headers, and payloads that were copied.
        bytes: Vec<u8>,
        /// How many of them have been written.
        start: usize,
        /// What most connections never need, and none needs while it is idle.
        aside: Option<Box<Aside>>,
    }

    #[derive(Debug)]
    struct Aside {
        urgent: Urgent,
        /// Payloads that were not copied.
        queue: VecDeque<Payload>,
        /// The length of all of them.
        len: usize,
    }

    impl Default for Aside {
        fn default() -> Self {
            Self { urgent: Urgent::EMPTY, queue: VecDeque::new(), len: 0 }
        }
    }

    impl Aside {
        fn clear(&mut self) {
            self.urgent = Urgent::EMPTY;
            self.queue.clear();
            self.len = 0;
        }
    }

    static NOTHING: Urgent = Urgent::EMPTY;

    #[derive(Debug)]
    struct Payload {
        /// The place in `Outbox::bytes` that it stands before, behind its header.
        at: usize,
        data: Bytes,
    }

    /// A place in the queue: so many bytes, and so many shared payloads, are before it.
    #[derive(Clone, Copy)]
    struct Cursor {
        byte: usize,
        payload: usize,
    }

    impl Outbox {
        /// An empty queue.
        #[must_use]
        pub const fn new() -> Self {
            Self { bytes: Vec::new(), start: 0, aside: None }
        }

        /// Appends a frame whose payload is not copied. The header must have no masking key.
        pub(in super::super) fn push_shared(&mut self, header: &Header, payload: Bytes) {
            let mut encoded = [0; MAX_HEADER_LEN];
            let len = header.encode(&mut encoded);
            self.push_encoded(encoded.get(..len).unwrap_or_default(), Some(payload));
        }

        /// Appends what is encoded already: a frame, or a header and its payload, which is not copied.
        pub(in super::super) fn push_encoded(&mut self, encoded: &[u8], payload: Option<Bytes>) {
            self.make_room();
            self.bytes.extend_from_slice(encoded);
            if let Some(payload) = payload {
                let aside = self.aside.get_or_insert_default();
                aside.len += payload.len();
                aside.queue.push_back(Payload { at: self.bytes.len(), data: payload });
            }
        }

        /// Moves what waits to the front of the buffer once at least half of it is free.
        fn make_room(&mut self) {
            if self.start >= 4096 && self.start * 2 >= self.bytes.len() {
                let written = core::mem::take(&mut self.start);
                self.bytes.drain(..written);
                for payload in self.payloads_mut() {
                    payload.at -= written;
                }
            }
        }

        fn payloads_mut(&mut self) -> impl Iterator<Item = &mut Payload> {
            self.aside.iter_mut().flat_map(|aside| aside.queue.iter_mut())
        }

        fn shared(&self, index: usize) -> Option<&Payload> {
            self.aside.as_ref()?.queue.get(index)
        }

        /// The place `at` bytes from the front, a frame boundary or the front itself.
        fn locate(&self, at: usize) -> Cursor {
            let (mut left, mut cursor) = (at, Cursor { byte: self.start, payload: 0 });
            while let Some(payload) = self.shared(cursor.payload) {
                let before = payload.at - cursor.byte;
                if left < before + payload.data.len() {
                    break;
                }
                left -= before + payload.data.len();
                cursor = Cursor { byte: payload.at, payload: cursor.payload + 1 };
            }
            Cursor { byte: (cursor.byte + left).min(self.bytes.len()), ..cursor }
        }

        /// The length of the frame at `cursor`, which is moved behind it.
        fn skip_frame(&self, cursor: &mut Cursor) -> Option<usize> {
            let (head, payload) = frame_len(self.bytes.get(cursor.byte..)?)?;
            cursor.byte += head;
            match self.shared(cursor.payload) {
                Some(shared) if shared.at == cursor.byte => cursor.payload += 1,
                _ => cursor.byte += payload,
            }
            Some(head + payload)
        }
    }

    impl sealed::Queue for Outbox {
        #[inline]
        fn len(&self) -> usize {
            self.bytes.len() - self.start + self.aside.as_ref().map_or(0, |aside| aside.len)
        }

        #[inline]
        fn room(&self) -> usize {
            usize::MAX
        }

        #[inline]
        fn capacity(&self) -> usize {
            usize::MAX
        }

        fn has_drained(&self, high_water: usize) -> bool {
            self.len() <= high_water / 2
        }

        #[inline]
        fn push(&mut self, header: &Header, payload: &[u8]) {
            let mut encoded = [0; MAX_HEADER_LEN];
            let len = header.encode(&mut encoded);
            self.push_encoded(encoded.get(..len).unwrap_or_default(), None);
            let at = self.bytes.len();
            match header.masking_key {
                None => self.bytes.extend_from_slice(payload),
                Some(key) => {
                    let mut mask = Mask::new(key);
                    self.bytes.reserve(payload.len());
                    // Copied and masked piece by piece, while it lies in the first-level cache.
                    for piece in payload.chunks(16 << 10) {
                        let at = self.bytes.len();
                        self.bytes.extend_from_slice(piece);
                        mask.apply(self.bytes.get_mut(at..).unwrap_or_default());
                    }
                }
            }
            debug_assert_eq!(self.bytes.len(), at + payload.len());
        }

        fn truncate(&mut self, at: usize) {
            let cursor = self.locate(at);
            self.bytes.truncate(cursor.byte);
            if let Some(aside) = &mut self.aside {
                aside.queue.truncate(cursor.payload);
                aside.len = aside.queue.iter().map(|payload| payload.data.len()).sum();
            }
        }

        fn advance(&mut self, n: usize, boundary: usize) -> usize {
            let n = n.min(self.len());
            let mut boundary = boundary;
            if n == self.len() {
                // All is written: no need to look where frames end.
                boundary = n;
            } else if boundary < n {
                let mut cursor = self.locate(boundary);
                while boundary < n {
                    boundary += self.skip_frame(&mut cursor).unwrap_or(n);
                }
            }
            let mut left = n;
            while left > 0 {
                let next = self.shared(0).map_or(self.bytes.len(), |payload| payload.at);
                let taken = left.min(next - self.start);
                self.start += taken;
                left -= taken;
                let Some(aside) = &mut self.aside else { break };
                let Some(payload) = aside.queue.front_mut() else { continue };
                let taken = left.min(payload.data.len());
                payload.data.advance(taken);
                left -= taken;
                aside.len -= taken;
                if payload.data.is_empty() && self.start == payload.at {
                    aside.queue.pop_front();
                }
            }
            if self.start == self.bytes.len() {
                self.bytes.clear();
                // A payload of which the rest waits stands before what will be pushed next.
                for payload in self.payloads_mut() {
                    payload.at = 0;
                }
                self.start = 0;
            }
            boundary - n
        }

        #[inline]
        fn clear(&mut self) {
            self.bytes.clear();
            self.start = 0;
            if let Some(aside) = &mut self.aside {
                aside.clear();
            }
        }

        #[inline]
        fn in_one_piece(&self) -> Option<&[u8]> {
            match &self.aside {
                Some(aside) if !(aside.queue.is_empty() && aside.urgent.is_empty()) => None,
                _ => self.bytes.get(self.start..),
            }
        }

        fn pieces(&self) -> impl Iterator<Item = &[u8]> {
            let queue = || self.aside.iter().flat_map(|aside| aside.queue.iter());
            let starts = core::iter::once(self.start).chain(queue().map(|payload| payload.at));
            let ends = queue().map(|payload| payload.at).chain(core::iter::once(self.bytes.len()));
            let copied = starts.zip(ends).map(|(start, end)| self.bytes.get(start..end).unwrap_or_default());
            let shared = queue().map(|payload| &payload.data[..]).chain(core::iter::once(&[][..]));
            copied.zip(shared).flat_map(|(copied, shared)| [copied, shared])
        }

        fn urgent(&self) -> &Urgent {
            self.aside.as_ref().map_or(&NOTHING, |aside| &aside.urgent)
        }

        fn urgent_mut(&mut self) -> &mut Urgent {
            &mut self.aside.get_or_insert_default().urgent
        }

        fn release(&mut self) {
            if self.len() == 0 && self.urgent().rest().is_empty() {
                *self = Self::new();
            }
        }
    }
}
