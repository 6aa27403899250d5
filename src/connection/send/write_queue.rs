//! The interface between the sending half and its write queue, which holds the frames that are not written yet.
//!
//! [`WriteQueue`] is sealed. `outbox.rs` has a queue that grows, and `slice_outbox.rs` has a queue in memory that the
//! caller provides. Both hold encoded frames and a [`ControlQueue`]. Neither knows the rules of the protocol.
//!
//! Invariants:
//! - Offsets are counted in bytes from the front of the queue. The front moves with each write.
//! - Frames are contiguous: each frame begins where the frame before it ends.
//! - A frame is started once a byte of it was written, or was passed to a write that may have kept the byte. The
//!   started frames are the first frames of the queue.

use core::fmt;
use core::ops::ControlFlow;

use super::control_queue::ControlQueue;

/// Messages of at least this many bytes are written without being copied into the queue. For a shorter message, a copy
/// costs less than an additional slice in a vectored write.
pub(super) const LARGE: usize = 4 << 10;

/// A queue of frames that are not written yet. The implementations are [`SliceOutbox`](crate::SliceOutbox), and with an
/// allocator `Outbox`, which grows.
pub trait WriteQueue: fmt::Debug + sealed::Queue {}

impl<T: fmt::Debug + sealed::Queue> WriteQueue for T {}

pub(super) mod sealed {
    use core::borrow::BorrowMut;

    use super::{ControlFlow, ControlQueue};

    /// The operations that the sender needs. Offsets are counted in bytes from the front of the queue.
    pub trait Queue {
        /// The type of the memory for control frames.
        type Control: BorrowMut<[u8]>;
        /// Returns how many bytes are queued, without control frames.
        fn len(&self) -> usize;
        /// Returns whether neither data nor control frames are queued.
        fn is_idle(&self) -> bool;
        /// Returns how many more bytes fit.
        fn space_left(&self) -> usize;
        /// Returns how many bytes fit into an empty queue.
        fn max_len(&self) -> usize;
        /// Returns whether enough was written for a blocked sender to continue.
        fn has_drained(&self, high_water: usize) -> bool;
        /// Returns at least `len` bytes of space after the queued frames, or `None` if there is less. The caller
        /// encodes a frame in this space, and then calls [`commit`](Self::commit).
        fn write_space(&mut self, len: usize) -> Option<&mut [u8]>;
        /// Appends the first `len` bytes of the space to the queued bytes.
        fn commit(&mut self, len: usize);
        /// Drops all bytes from offset `at` on. This offset is a frame boundary.
        fn truncate(&mut self, at: usize);
        /// Returns the first frame boundary at or after both offset `n` and `boundary`. The search starts at
        /// `boundary`, which is a frame boundary or 0.
        fn boundary_behind(&self, n: usize, boundary: usize) -> usize;
        /// Removes `n` bytes from the front. `boundary` is the offset at which the last started frame ends, or 0 if no
        /// frame is started. Returns the offset at which the last started frame ends after the removal, or 0.
        fn advance(&mut self, n: usize, boundary: usize) -> usize;
        /// Removes all bytes, because all were written. The caller makes sure that no control frame is queued.
        fn clear(&mut self);
        /// Returns all queued bytes, if they lie in one piece and no control frame is queued. This is the usual case.
        fn in_one_piece(&self) -> Option<&[u8]>;
        /// Passes the queued bytes to `see` in order, until `see` breaks.
        fn pieces<'a>(&'a self, see: impl FnMut(&'a [u8]) -> ControlFlow<()>) -> ControlFlow<()>;
        /// Returns the control frames, which are sent ahead of the queue.
        fn control(&self) -> &ControlQueue<Self::Control>;
        /// Returns the control frames, to append or remove some.
        fn control_mut(&mut self) -> &mut ControlQueue<Self::Control>;
        /// Frees the memory, if the queue is empty.
        fn release(&mut self);
    }
}
