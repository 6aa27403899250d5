//! A write queue in memory that the caller provides.
//!
//! All frames, including their payloads, lie one after the other in one slice. If there is not enough space after the
//! queued frames, these frames are moved to the front. `outbox.rs` has the queue that grows.
//!
//! Invariants:
//! - `start <= end <= memory.len()`.
//! - The queue never allocates. `send/commands.rs::accept` keeps space free for a Close.

use core::ops::ControlFlow;

use super::control_queue::{ControlQueue, LEAST};
use super::write_queue::sealed;
use crate::frame::frame_len;

/// A write queue in memory that the caller provides, for connections without an allocator.
///
/// A part of the memory is kept free for a header and a Close. So messages can use `n - 145` bytes of an array of `n`
/// bytes. Compression needs no additional space for a whole message. A fragment of `len` bytes that is to be compressed
/// needs space for `len + len / 4` plus 64 bytes, because compression can make data this much longer.
///
/// If a message does not fit yet, sending it fails with [`Blocked`](crate::SendError::Blocked). If it never fits,
/// sending it fails with [`TooLarge`](crate::SendError::TooLarge), and the message can be sent in fragments.
///
/// ```
/// use hybi::SliceOutbox;
///
/// let (mut array, mut control) = ([0; 1024], [0; 508]);
/// let out = SliceOutbox::new(&mut array, &mut control);
/// assert_eq!(out.into_memory().0.len(), 1024);
/// ```
#[derive(Debug)]
pub struct SliceOutbox<'m> {
    memory: &'m mut [u8],
    start: usize,
    end: usize,
    control: ControlQueue<&'m mut [u8]>,
}

impl<'m> SliceOutbox<'m> {
    /// Minimum memory for control frames, in bytes: three times the longest control frame.
    pub const LEAST_CONTROL: usize = LEAST;

    /// Creates a queue with `memory` for messages and `control` for control frames.
    ///
    /// `memory` should have at least 146 bytes. With 145 bytes, only empty messages and empty uncompressed fragments
    /// fit. With fewer bytes, no message fits. A message that can never fit is refused as
    /// [`TooLarge`](crate::SendError::TooLarge).
    ///
    /// `control` must have at least [`LEAST_CONTROL`](Self::LEAST_CONTROL) bytes and at most 65,535 bytes, or the call
    /// does not compile. An `Outbox` uses 508 bytes. So it can queue ten Pongs at once, each with a payload of 40
    /// bytes.
    #[must_use]
    pub const fn new<const N: usize>(memory: &'m mut [u8], control: &'m mut [u8; N]) -> Self {
        const { assert!(N >= LEAST && N <= 0xFFFF, "the memory for control frames is too small or too large") };
        Self { memory, start: 0, end: 0, control: ControlQueue::new(control) }
    }

    /// Returns the memory for messages and the memory for control frames. Queued frames are lost.
    #[must_use]
    pub fn into_memory(self) -> (&'m mut [u8], &'m mut [u8]) {
        (self.memory, self.control.into_memory())
    }

    /// Moves the queued frames to the front, so that all free space lies after them.
    fn compact(&mut self) {
        self.memory.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
    }
}

impl<'m> sealed::Queue for SliceOutbox<'m> {
    type Control = &'m mut [u8];

    fn len(&self) -> usize {
        self.end - self.start
    }

    fn is_idle(&self) -> bool {
        self.start == self.end && self.control.is_empty()
    }

    fn space_left(&self) -> usize {
        self.memory.len() - self.len()
    }

    fn max_len(&self) -> usize {
        self.memory.len()
    }

    fn has_drained(&self, _: usize) -> bool {
        self.len() == 0
    }

    fn write_space(&mut self, len: usize) -> Option<&mut [u8]> {
        if self.memory.len() - self.end < len {
            self.compact();
        }
        self.memory.get_mut(self.end..).filter(|write_space| write_space.len() >= len)
    }

    fn commit(&mut self, len: usize) {
        self.end += len;
    }

    fn truncate(&mut self, at: usize) {
        self.end = self.end.min(self.start + at);
    }

    fn boundary_behind(&self, n: usize, boundary: usize) -> usize {
        let mut boundary = boundary;
        while boundary < n {
            let frame = self.memory.get(self.start + boundary..self.end).and_then(frame_len);
            boundary += frame.map_or(n, |(head, payload)| head + payload);
        }
        boundary
    }

    fn advance(&mut self, n: usize, boundary: usize) -> usize {
        let n = n.min(self.len());
        let boundary = self.boundary_behind(n, boundary);
        self.start += n;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        boundary - n
    }

    fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    fn in_one_piece(&self) -> Option<&[u8]> {
        if self.control.is_empty() { self.memory.get(self.start..self.end) } else { None }
    }

    fn pieces<'a>(&'a self, mut see: impl FnMut(&'a [u8]) -> ControlFlow<()>) -> ControlFlow<()> {
        see(self.memory.get(self.start..self.end).unwrap_or_default())
    }

    fn control(&self) -> &ControlQueue<&'m mut [u8]> {
        &self.control
    }

    fn control_mut(&mut self) -> &mut ControlQueue<&'m mut [u8]> {
        &mut self.control
    }

    fn release(&mut self) {}
}
