//! What the sending half needs of a queue of frames.

use core::fmt;
use core::ops::ControlFlow;

use super::control_queue::ControlQueue;

/// A payload of this many bytes costs less in a slice of its own than to be copied.
pub(super) const LARGE: usize = 4 << 10;

/// Where frames wait to be written: [`SliceOutbox`](crate::SliceOutbox), or with an allocator `Outbox`, which grows.
pub trait WriteQueue: fmt::Debug + sealed::Queue {}

impl<T: fmt::Debug + sealed::Queue> WriteQueue for T {}

pub(super) mod sealed {
    use core::borrow::BorrowMut;

    use super::{ControlFlow, ControlQueue};

    /// What the sender does with the queue. Positions are counted in bytes from its front.
    pub trait Queue {
        /// The memory for control frames.
        type Control: BorrowMut<[u8]>;
        /// Bytes that wait.
        fn len(&self) -> usize;
        /// Bytes that fit besides.
        fn room(&self) -> usize;
        /// Bytes that fit at all.
        fn capacity(&self) -> usize;
        /// Whether so much has drained that a sender which was held back should go on.
        fn has_drained(&self, high_water: usize) -> bool;
        /// `len` bytes or more behind what waits, if there is room: to be written to, and then
        /// [counted](Self::push).
        fn gap(&mut self, len: usize) -> Option<&mut [u8]>;
        /// The first `len` bytes of the gap wait from now on.
        fn push(&mut self, len: usize);
        /// Drops all that is behind `at`, a frame boundary.
        fn truncate(&mut self, at: usize);
        /// The first frame boundary at or behind `n` bytes from the front; `boundary` is one before that, or the first
        /// of all.
        fn boundary_behind(&self, n: usize, boundary: usize) -> usize;
        /// Takes `n` bytes off the front. `boundary` is the first frame boundary; gives where it is now.
        fn advance(&mut self, n: usize, boundary: usize) -> usize;
        /// All has been written, and nothing is urgent.
        fn clear(&mut self);
        /// All that waits, urgent frames too, where it lies in one piece: the usual case.
        fn in_one_piece(&self) -> Option<&[u8]>;
        /// Shows the bytes that wait, in order, until `see` breaks off.
        fn pieces<'a>(&'a self, see: impl FnMut(&'a [u8]) -> ControlFlow<()>) -> ControlFlow<()>;
        /// The control frames that go out ahead of the queue.
        fn control(&self) -> &ControlQueue<Self::Control>;
        /// The same, to be written to.
        fn control_mut(&mut self) -> &mut ControlQueue<Self::Control>;
        /// Gives back memory if nothing waits.
        fn release(&mut self);
    }
}
