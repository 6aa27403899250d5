//! The interface between the sending half and the queue in which frames wait to be written.
//!
//! [`WriteQueue`] is sealed. `outbox.rs` has the queue that grows, `slice_outbox.rs` the one in lent memory. Both
//! hold encoded frames and a [`ControlQueue`]; neither knows the rules of the protocol.
//!
//! Invariants:
//! - Offsets are counted in bytes from the front, which moves with each write.
//! - Frames are contiguous: a frame begins where the one before it ends.

use core::fmt;
use core::ops::ControlFlow;

use super::control_queue::ControlQueue;

/// Messages of at least this many bytes are written without being copied into the queue. Below that, a copy costs
/// less than a slice of its own.
pub(super) const LARGE: usize = 4 << 10;

/// A queue of frames that wait to be written: [`SliceOutbox`](crate::SliceOutbox), or with an allocator `Outbox`,
/// which grows.
pub trait WriteQueue: fmt::Debug + sealed::Queue {}

impl<T: fmt::Debug + sealed::Queue> WriteQueue for T {}

pub(super) mod sealed {
    use core::borrow::BorrowMut;

    use super::{ControlFlow, ControlQueue};

    /// The operations that the sender needs. Offsets are counted in bytes from the front of the queue.
    pub trait Queue {
        /// The type of the memory for control frames.
        type Control: BorrowMut<[u8]>;
        /// Returns how many bytes wait, control frames not included.
        fn len(&self) -> usize;
        /// Returns how many more bytes fit.
        fn room(&self) -> usize;
        /// Returns how many bytes fit into an empty queue.
        fn capacity(&self) -> usize;
        /// Returns whether enough was written for a blocked sender to continue.
        fn has_drained(&self, high_water: usize) -> bool;
        /// Returns at least `len` bytes of space behind the waiting frames, or `None` if there is less. The caller
        /// encodes a frame there and then calls [`push`](Self::push).
        fn gap(&mut self, len: usize) -> Option<&mut [u8]>;
        /// Appends the first `len` bytes of the gap to the waiting bytes.
        fn push(&mut self, len: usize);
        /// Drops everything behind `at`, which is a frame boundary.
        fn truncate(&mut self, at: usize);
        /// Returns the first frame boundary at or behind offset `n`. `boundary` is an earlier boundary to start from.
        fn boundary_behind(&self, n: usize, boundary: usize) -> usize;
        /// Removes `n` bytes from the front. `boundary` is the first frame boundary; returns its new offset.
        fn advance(&mut self, n: usize, boundary: usize) -> usize;
        /// Removes all bytes, which were written. No control frame waits.
        fn clear(&mut self);
        /// Returns all waiting bytes if they lie in one piece and no control frame waits: the usual case.
        fn in_one_piece(&self) -> Option<&[u8]>;
        /// Passes the waiting bytes to `see` in order, until `see` breaks.
        fn pieces<'a>(&'a self, see: impl FnMut(&'a [u8]) -> ControlFlow<()>) -> ControlFlow<()>;
        /// Returns the control frames, which go out ahead of the queue.
        fn control(&self) -> &ControlQueue<Self::Control>;
        /// Returns the control frames for appending and removing.
        fn control_mut(&mut self) -> &mut ControlQueue<Self::Control>;
        /// Frees memory if nothing waits.
        fn release(&mut self);
    }
}
