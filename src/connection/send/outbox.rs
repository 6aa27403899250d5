//! A write queue that grows.
//!
//! Small frames lie one after the other in one buffer. A large shared payload is not copied. The queue holds the header
//! in the buffer, a reference to the payload, and the position after the header. Most connections never queue a shared
//! payload or a control frame, so the state for these is in a box of its own ([`Rare`]).
//!
//! Invariants:
//! - `start <= end <= memory.len()`, and all of `memory` is initialised.
//! - The positions of payloads increase, and lie between `start` and `end`.
//! - The ends of frames are not stored. After an incomplete write, the end of the started frame is found by reading the
//!   headers of the frames. Control frames may be written at that position. Usually the transport accepts all bytes,
//!   and no header is read.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::ops::ControlFlow;

use bytes::{Buf, Bytes};

use super::control_queue::ControlQueue;
use super::write_queue::sealed::{self, Queue as _};
use crate::frame::{Header, MAX_HEADER_LEN, frame_len};

/// A write queue that grows.
///
/// Small frames are copied into one buffer. For a large shared payload the queue holds a reference. The queue owns no
/// heap memory before its first use, and none after `release_idle()` on an empty queue. The queue holds at most
/// [`Config::high_water`](crate::Config::high_water) bytes and one further message.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Headers and copied payloads. All of the memory is initialised, so that header and payload are written in one
    /// step.
    memory: Vec<u8>,
    /// End of the headers and copied payloads in `memory`.
    end: usize,
    /// State that most connections never need. An idle connection frees this state.
    rare: Option<Box<Rare>>,
}

/// The part of the queue that is needed only for control frames, shared payloads and incomplete writes.
#[derive(Debug)]
struct Rare {
    control: ControlQueue<Control>,
    /// Number of bytes at the front of `Outbox::memory` that have been written. It is stored in this box because
    /// incomplete writes are rare.
    start: usize,
    /// The shared payloads.
    queue: VecDeque<Payload>,
    /// Total length of the shared payloads.
    shared_len: usize,
}

impl Default for Rare {
    fn default() -> Self {
        Self { control: ControlQueue::new([0; CONTROL]), start: 0, queue: VecDeque::new(), shared_len: 0 }
    }
}

/// Maximum length of all queued control frames together, in bytes.
const CONTROL: usize = 508;
type Control = [u8; CONTROL];

/// The control queue of an outbox that has not allocated a control queue yet.
static EMPTY_CONTROL: ControlQueue<Control> = ControlQueue::new([0; CONTROL]);

/// A payload that is shared instead of copied.
#[derive(Debug)]
struct Payload {
    /// Position in `Outbox::memory` after the header of the payload. The payload is written after the bytes before this
    /// position, and before the bytes from this position on.
    at: usize,
    data: Bytes,
}

/// A position in the queue: an offset in `Outbox::memory`, and the number of shared payloads before the position.
#[derive(Clone, Copy)]
struct Cursor {
    byte: usize,
    payload_index: usize,
}

impl Outbox {
    /// Creates an empty queue.
    #[must_use]
    pub const fn new() -> Self {
        Self { memory: Vec::new(), end: 0, rare: None }
    }

    /// Returns how many bytes of heap memory the buffer for small frames has.
    #[inline]
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.memory.capacity()
    }

    /// Returns how many bytes at the front of `memory` have been written.
    #[inline]
    fn start(&self) -> usize {
        self.rare.as_ref().map_or(0, |rare| rare.start)
    }

    /// Sets how many bytes at the front of `memory` have been written.
    fn set_start(&mut self, start: usize) {
        match &mut self.rare {
            Some(rare) => rare.start = start,
            None if start == 0 => {}
            None => self.rare = Some(Box::new(Rare { start, ..Rare::default() })),
        }
    }

    /// Returns whether the queue owns heap memory.
    pub(super) fn holds_memory(&self) -> bool {
        self.memory.capacity() > 0 || self.rare.is_some()
    }

    /// Appends a frame whose payload is shared. The header must have no masking key.
    #[inline]
    pub(super) fn push_shared(&mut self, header: &Header, payload: Bytes) {
        if let Some(head) = self.write_space(0).and_then(<[u8]>::first_chunk_mut) {
            self.end += header.encode(head);
            self.push_payload(payload);
        }
    }

    /// Appends an encoded frame, or an encoded header with a shared `payload`.
    pub(super) fn push_encoded(&mut self, encoded: &[u8], payload: Option<Bytes>) {
        if let Some(to) =
            self.write_space(encoded.len()).and_then(|write_space| write_space.get_mut(..encoded.len()))
        {
            to.copy_from_slice(encoded);
            self.end += encoded.len();
        }
        if let Some(payload) = payload {
            self.push_payload(payload);
        }
    }

    /// Appends a shared payload, whose header has just been appended.
    #[inline]
    fn push_payload(&mut self, payload: Bytes) {
        let rare = self.rare.get_or_insert_default();
        rare.shared_len += payload.len();
        rare.queue.push_back(Payload { at: self.end, data: payload });
    }

    /// Makes space for `len` bytes after `end`: reuses the space of written bytes at the front, or grows.
    #[cold]
    #[inline(never)]
    fn make_space(&mut self, len: usize) {
        let written = self.start();
        if written >= 4096 && written * 2 >= self.end {
            // At least half of the bytes before `end` have been written. So at most one byte is moved for each byte
            // that was written.
            self.memory.copy_within(written..self.end, 0);
            self.set_start(0);
            self.end -= written;
            for payload in self.payloads_mut() {
                payload.at -= written;
            }
        }
        if self.memory.len() - self.end < len {
            self.memory.reserve(self.end + len - self.memory.len());
            self.memory.resize(self.memory.capacity(), 0);
        }
    }

    fn payloads_mut(&mut self) -> impl Iterator<Item = &mut Payload> {
        self.rare.iter_mut().flat_map(|rare| rare.queue.iter_mut())
    }

    fn shared(&self, index: usize) -> Option<&Payload> {
        self.rare.as_ref()?.queue.get(index)
    }

    /// Returns the position that is `at` bytes from the front. `at` must be 0 or a frame boundary.
    fn locate(&self, at: usize) -> Cursor {
        let (mut left, mut cursor) = (at, Cursor { byte: self.start(), payload_index: 0 });
        while let Some(payload) = self.shared(cursor.payload_index) {
            let before = payload.at - cursor.byte;
            if left < before + payload.data.len() {
                break;
            }
            left -= before + payload.data.len();
            cursor = Cursor { byte: payload.at, payload_index: cursor.payload_index + 1 };
        }
        Cursor { byte: (cursor.byte + left).min(self.end), ..cursor }
    }

    /// Moves `cursor` from the beginning of a frame to the end of this frame, and returns the length of the frame.
    fn skip_frame(&self, cursor: &mut Cursor) -> Option<usize> {
        let (head, payload) = frame_len(self.memory.get(cursor.byte..self.end)?)?;
        cursor.byte += head;
        match self.shared(cursor.payload_index) {
            Some(shared) if shared.at == cursor.byte => cursor.payload_index += 1,
            _ => cursor.byte += payload,
        }
        Some(head + payload)
    }
}

impl sealed::Queue for Outbox {
    type Control = Control;

    #[inline]
    fn len(&self) -> usize {
        self.end + self.rare.as_ref().map_or(0, |rare| rare.shared_len) - self.start()
    }

    #[inline]
    fn is_idle(&self) -> bool {
        match &self.rare {
            None => self.end == 0,
            Some(rare) => rare.start == self.end && rare.queue.is_empty() && rare.control.is_empty(),
        }
    }

    #[inline]
    fn space_left(&self) -> usize {
        usize::MAX
    }

    #[inline]
    fn max_len(&self) -> usize {
        usize::MAX
    }

    fn has_drained(&self, high_water: usize) -> bool {
        self.len() <= high_water / 2
    }

    #[inline]
    fn write_space(&mut self, len: usize) -> Option<&mut [u8]> {
        // The returned space always fits the longest header as well, so that any header can be written with one store.
        let len = len + MAX_HEADER_LEN;
        if self.memory.len() - self.end < len {
            self.make_space(len);
        }
        let write_space = self.end..self.end + len;
        self.memory.get_mut(write_space)
    }

    #[inline]
    fn commit(&mut self, len: usize) {
        self.end += len;
    }

    fn truncate(&mut self, at: usize) {
        let cursor = self.locate(at);
        self.end = cursor.byte;
        if let Some(rare) = &mut self.rare {
            rare.queue.truncate(cursor.payload_index);
            rare.shared_len = rare.queue.iter().map(|payload| payload.data.len()).sum();
        }
    }

    fn boundary_behind(&self, n: usize, boundary: usize) -> usize {
        let mut boundary = boundary;
        if n == self.len() {
            // The end of the queue is a frame boundary.
            boundary = n;
        } else if boundary < n {
            let mut cursor = self.locate(boundary);
            while boundary < n {
                boundary += self.skip_frame(&mut cursor).unwrap_or(n);
            }
        }
        boundary
    }

    fn advance(&mut self, n: usize, boundary: usize) -> usize {
        let n = n.min(self.len());
        let boundary = self.boundary_behind(n, boundary);
        let (mut left, mut start) = (n, self.start());
        while left > 0 {
            let next = self.shared(0).map_or(self.end, |payload| payload.at);
            let taken = left.min(next - start);
            start += taken;
            left -= taken;
            let Some(rare) = &mut self.rare else { break };
            let Some(payload) = rare.queue.front_mut() else { continue };
            let taken = left.min(payload.data.len());
            payload.data.advance(taken);
            left -= taken;
            rare.shared_len -= taken;
            if payload.data.is_empty() {
                rare.queue.pop_front();
            }
        }
        if start == self.end {
            // The rest of a payload may still be queued. This rest is written before the bytes that are pushed next.
            for payload in self.payloads_mut() {
                payload.at = 0;
            }
            (start, self.end) = (0, 0);
        }
        self.set_start(start);
        boundary - n
    }

    #[inline]
    fn clear(&mut self) {
        self.end = 0;
        if let Some(rare) = &mut self.rare {
            rare.start = 0;
            // Usually there is one payload, and removing it costs less than `VecDeque::clear`.
            while rare.queue.pop_front().is_some() {}
            rare.shared_len = 0;
        }
    }

    #[inline]
    fn in_one_piece(&self) -> Option<&[u8]> {
        match &self.rare {
            None => self.memory.get(..self.end),
            Some(rare) if rare.queue.is_empty() && rare.control.is_empty() => {
                self.memory.get(rare.start..self.end)
            }
            Some(_) => None,
        }
    }

    #[inline]
    fn pieces<'a>(&'a self, mut see: impl FnMut(&'a [u8]) -> ControlFlow<()>) -> ControlFlow<()> {
        let mut at = self.start();
        if let Some(rare) = &self.rare {
            for payload in &rare.queue {
                see(self.memory.get(at..payload.at).unwrap_or_default())?;
                see(&payload.data)?;
                at = payload.at;
            }
        }
        see(self.memory.get(at..self.end).unwrap_or_default())
    }

    fn control(&self) -> &ControlQueue<Control> {
        self.rare.as_ref().map_or(&EMPTY_CONTROL, |rare| &rare.control)
    }

    fn control_mut(&mut self) -> &mut ControlQueue<Control> {
        &mut self.rare.get_or_insert_default().control
    }

    fn release(&mut self) {
        if self.len() == 0 && self.control().rest().is_empty() {
            *self = Self::new();
        }
    }
}
