//! Message buffers: the interface, and a buffer in memory that the caller provides.
//!
//! A message that lies in the read buffer in one piece is delivered from there. Every other message is unmasked while
//! it is copied into a [`MessageBuffer`]. A message buffer also stores the payload of a partial control frame. The
//! connection has no space for this payload, and the caller may use the read buffer for other input before the rest
//! arrives. `vec_message.rs` has the buffer that grows.
//!
//! Invariants:
//! - Text is validated as it arrives, and the validated range is stored together with the bytes ([`Checked`]).
//! - The content of a delivered message stays until the next message begins, so that the caller can read it.

use core::fmt;
use core::ops::RangeInclusive;

use crate::connection::event::{ControlPayload, MessageKind};
use crate::kernel::{Checked, InvalidUtf8, Mask, ReadBuffer, Validator};

/// Memory for messages that do not lie in the read buffer in one piece. The implementations are [`SliceMessage`], and
/// with an allocator `VecMessage`, which grows.
pub trait MessageBuffer: fmt::Debug + sealed::Memory {}

impl<T: fmt::Debug + sealed::Memory> MessageBuffer for T {}

pub(in crate::connection) mod sealed {
    use super::{ControlPayload, InvalidUtf8, Mask, MessageKind, RangeInclusive, Validator};

    /// The operations that the receiver needs.
    pub trait Memory {
        /// Starts a message, and drops the previous message.
        fn begin(&mut self);
        /// Ends the message, because it is complete or was abandoned. Its content stays until the next message
        /// starts.
        fn finish(&mut self);
        /// Unmasks and appends as many bytes of `from` as fit. Returns the number of appended bytes. Text is validated
        /// as the continuation of the text so far. `expected` is the length of the message, if it ends with this frame.
        fn push(
            &mut self,
            from: &[u8],
            mask: &mut Mask,
            kind: MessageKind,
            expected: Option<u64>,
        ) -> Result<usize, InvalidUtf8>;
        /// Consumes bytes that were read directly into this memory, at most `limit`. Returns the number of bytes.
        fn take_direct(
            &mut self,
            limit: u64,
            mask: &mut Mask,
            kind: MessageKind,
        ) -> Result<usize, InvalidUtf8>;
        /// Calls `produce`, which writes inflated payload after the content. Returns the number of bytes written.
        ///
        /// `produce` gets the free space, but at most `expected.end()` bytes of it, and returns how many bytes it
        /// wrote. The memory grows only if less than `expected.start()` bytes are free. `most` is the maximum number
        /// of bytes that the message may still need.
        fn produce(
            &mut self,
            kind: MessageKind,
            expected: RangeInclusive<usize>,
            most: u64,
            produce: &mut dyn FnMut(&mut [u8]) -> usize,
        ) -> Result<usize, InvalidUtf8>;
        /// Returns the state of the validation.
        fn validator(&self) -> Validator;
        /// Returns the number of bytes that have been gathered.
        fn gathered(&self) -> usize;
        /// Returns the first `len` bytes.
        fn bytes(&self, len: usize) -> &[u8];
        /// Returns the first `len` bytes as text, or an empty text if they were not validated.
        fn text(&self, len: usize) -> &str;
        /// Returns the payload of a control frame that arrives in several reads.
        fn control(&self) -> &[u8];
        /// Returns the payload of the partial control frame, so that bytes can be appended.
        fn control_mut(&mut self) -> &mut ControlPayload;
        /// Sets whether the control payload is incomplete, so that it must be kept.
        fn set_control_incomplete(&mut self, incomplete: bool);
        /// Returns whether the control payload is incomplete.
        fn control_incomplete(&self) -> bool;
    }
}

impl<T: sealed::Memory> sealed::Memory for &mut T {
    fn begin(&mut self) {
        (**self).begin();
    }

    fn finish(&mut self) {
        (**self).finish();
    }

    fn push(
        &mut self,
        from: &[u8],
        mask: &mut Mask,
        kind: MessageKind,
        expected: Option<u64>,
    ) -> Result<usize, InvalidUtf8> {
        (**self).push(from, mask, kind, expected)
    }

    fn take_direct(&mut self, limit: u64, mask: &mut Mask, kind: MessageKind) -> Result<usize, InvalidUtf8> {
        (**self).take_direct(limit, mask, kind)
    }

    fn produce(
        &mut self,
        kind: MessageKind,
        expected: RangeInclusive<usize>,
        most: u64,
        produce: &mut dyn FnMut(&mut [u8]) -> usize,
    ) -> Result<usize, InvalidUtf8> {
        (**self).produce(kind, expected, most, produce)
    }

    fn validator(&self) -> Validator {
        (**self).validator()
    }

    fn gathered(&self) -> usize {
        (**self).gathered()
    }

    fn bytes(&self, len: usize) -> &[u8] {
        (**self).bytes(len)
    }

    fn text(&self, len: usize) -> &str {
        (**self).text(len)
    }

    fn control(&self) -> &[u8] {
        (**self).control()
    }

    fn control_mut(&mut self) -> &mut ControlPayload {
        (**self).control_mut()
    }

    fn set_control_incomplete(&mut self, incomplete: bool) {
        (**self).set_control_incomplete(incomplete);
    }

    fn control_incomplete(&self) -> bool {
        (**self).control_incomplete()
    }
}

/// The getters of [`sealed::Memory`] for a type with the fields `memory`, `filled`, `control` and `control_incomplete`.
macro_rules! getters_of_memory {
    () => {
        fn validator(&self) -> Validator {
            *self.memory.validator()
        }

        fn gathered(&self) -> usize {
            self.filled
        }

        fn bytes(&self, len: usize) -> &[u8] {
            self.memory.bytes().get(..len).unwrap_or_default()
        }

        fn text(&self, len: usize) -> &str {
            self.memory.text(0..len).unwrap_or_default()
        }

        fn control(&self) -> &[u8] {
            &self.control
        }

        fn control_mut(&mut self) -> &mut ControlPayload {
            &mut self.control
        }

        fn set_control_incomplete(&mut self, incomplete: bool) {
            self.control_incomplete = incomplete;
        }

        fn control_incomplete(&self) -> bool {
            self.control_incomplete
        }
    };
}
#[cfg(feature = "alloc")]
pub(super) use getters_of_memory;

/// A message buffer in memory that the caller provides. If a message that must be collected is longer than the memory,
/// it is delivered in chunks.
///
/// ```
/// use hybi::{ControlPayload, SliceMessage};
///
/// let (mut array, mut control) = ([0; 256], ControlPayload::EMPTY);
/// let message = SliceMessage::new(&mut array, &mut control);
/// assert_eq!(message.capacity(), 256);
/// assert_eq!(message.into_memory().0.len(), 256);
/// ```
#[derive(Debug)]
pub struct SliceMessage<'m> {
    memory: Checked<&'m mut [u8]>,
    filled: usize,
    control: &'m mut ControlPayload,
    control_incomplete: bool,
}

impl<'m> SliceMessage<'m> {
    /// Creates a buffer. Messages are collected in `memory`, and the payload of a control frame that arrives in several
    /// reads is collected in `control`.
    #[must_use]
    pub const fn new(memory: &'m mut [u8], control: &'m mut ControlPayload) -> Self {
        Self { memory: Checked::new(memory), filled: 0, control, control_incomplete: false }
    }

    /// Returns the length of the memory, in bytes. A longer message is delivered in chunks, unless it lies in the read
    /// buffer in one piece.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.memory.bytes().len()
    }

    /// Returns the memory. A partial message in it is lost.
    #[must_use]
    pub fn into_memory(self) -> (&'m mut [u8], &'m mut ControlPayload) {
        (self.memory.into_memory(), self.control)
    }
}

impl sealed::Memory for SliceMessage<'_> {
    fn begin(&mut self) {
        self.filled = 0;
        self.memory.forget();
    }

    fn finish(&mut self) {}

    fn push(
        &mut self,
        from: &[u8],
        mask: &mut Mask,
        kind: MessageKind,
        _: Option<u64>,
    ) -> Result<usize, InvalidUtf8> {
        let len = mask.copy(from, self.memory.bytes_from(self.filled));
        accept(&mut self.memory, &mut self.filled, len, kind)
    }

    fn take_direct(&mut self, _: u64, _: &mut Mask, _: MessageKind) -> Result<usize, InvalidUtf8> {
        Ok(0)
    }

    fn produce(
        &mut self,
        kind: MessageKind,
        expected: RangeInclusive<usize>,
        _: u64,
        produce: &mut dyn FnMut(&mut [u8]) -> usize,
    ) -> Result<usize, InvalidUtf8> {
        let space = self.memory.bytes_from(self.filled);
        let len = space.len().min(*expected.end());
        let len = produce(space.get_mut(..len).unwrap_or_default());
        accept(&mut self.memory, &mut self.filled, len, kind)
    }

    getters_of_memory!();
}

/// Appends the `len` bytes after `filled` to the message. If the message is text, the bytes are validated first.
pub(super) fn accept<M: ReadBuffer>(
    memory: &mut Checked<M>,
    filled: &mut usize,
    len: usize,
    kind: MessageKind,
) -> Result<usize, InvalidUtf8> {
    let len = len.min(memory.bytes().len().saturating_sub(*filled));
    let end = *filled + len;
    if kind == MessageKind::Text && !memory.check_more(*filled..end) {
        return Err(InvalidUtf8 { offset: 0 });
    }
    *filled = end;
    Ok(len)
}
