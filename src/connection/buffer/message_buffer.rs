//! Memory in which messages are gathered piece by piece, and its form in memory that the caller lends.
//!
//! A message that lies in one piece in the bytes that arrived is delivered from there. All others are unmasked while they
//! are copied to a [`MessageBuffer`]. It also keeps the payload of a control frame of which a part has arrived, because
//! the connection has no room for it, and the bytes that arrived belong to the caller once they have been taken in.
//!
//! Invariant: text is validated as it arrives, and the proof lies with the bytes ([`Checked`]).

use core::fmt;
use core::ops::RangeInclusive;

use crate::connection::event::{ControlPayload, MessageKind};
use crate::kernel::{Checked, InvalidUtf8, Mask, ReadBuffer, Validator};

/// Memory in which a message is gathered that does not lie in one piece in the bytes that arrived:
/// [`SliceMessage`], or with an allocator `VecMessage`, which grows.
pub trait MessageBuffer: fmt::Debug + sealed::Memory {}

impl<T: fmt::Debug + sealed::Memory> MessageBuffer for T {}

pub(in crate::connection) mod sealed {
    use super::{ControlPayload, InvalidUtf8, Mask, MessageKind, RangeInclusive, Validator};

    /// What the receiver does with the memory.
    pub trait Memory {
        /// Begins a new message.
        fn begin(&mut self);
        /// The message is whole, or given up: the memory may be given back once it has been looked at.
        fn finish(&mut self);
        /// Appends as much of `from` as there is room for, unmasked, and gives its length. Text is
        /// validated as the continuation of what came before. `expected` is the length of the message if
        /// it ends with this frame.
        fn push(
            &mut self,
            from: &[u8],
            mask: &mut Mask,
            kind: MessageKind,
            expected: Option<u64>,
        ) -> Result<usize, InvalidUtf8>;
        /// Takes in bytes that were read straight into this memory, `limit` at most.
        fn take_direct(
            &mut self,
            limit: u64,
            mask: &mut Mask,
            kind: MessageKind,
        ) -> Result<usize, InvalidUtf8>;
        /// Lets `produce` write behind what is there, as far as there is room and up to as many bytes as are
        /// `expected` of the `most` that may still come, and say how much it wrote. Room is made only where
        /// there is less than is expected at the least. The way in for a payload that is inflated and not
        /// found in the input.
        fn produce(
            &mut self,
            kind: MessageKind,
            expected: RangeInclusive<usize>,
            most: u64,
            produce: &mut dyn FnMut(&mut [u8]) -> usize,
        ) -> Result<usize, InvalidUtf8>;
        /// How validation stands.
        fn validator(&self) -> Validator;
        /// How much has been gathered.
        fn gathered(&self) -> usize;
        /// The first `len` bytes.
        fn bytes(&self, len: usize) -> &[u8];
        /// The first `len` bytes as text, if they are known to be one.
        fn text(&self, len: usize) -> &str;
        /// The payload of a control frame that arrives in several reads.
        fn control(&self) -> &[u8];
        /// The same, to be appended to.
        fn control_mut(&mut self) -> &mut ControlPayload;
        /// Whether a part of that payload `waits` for the rest, so that it must be kept.
        fn set_control_waits(&mut self, waits: bool);
        /// Whether it does.
        fn control_waits(&self) -> bool;
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

    fn set_control_waits(&mut self, waits: bool) {
        (**self).set_control_waits(waits);
    }

    fn control_waits(&self) -> bool {
        (**self).control_waits()
    }
}

/// Memory that the caller lends, for messages up to its length. Longer messages are delivered in chunks.
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
    control_waits: bool,
}

impl<'m> SliceMessage<'m> {
    /// Gathers messages in `memory`, and control frames that arrive in several reads in `control`.
    #[must_use]
    pub const fn new(memory: &'m mut [u8], control: &'m mut ControlPayload) -> Self {
        Self { memory: Checked::new(memory), filled: 0, control, control_waits: false }
    }

    /// Returns the length of the longest message that is delivered as a whole although it does not arrive in one piece.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.memory.bytes().len()
    }

    /// Gives the memory back. A part of a message that it holds is lost.
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
        let room = self.memory.bytes_from(self.filled);
        let len = room.len().min(*expected.end());
        let len = produce(room.get_mut(..len).unwrap_or_default());
        accept(&mut self.memory, &mut self.filled, len, kind)
    }

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
        self.control
    }

    fn control_mut(&mut self) -> &mut ControlPayload {
        self.control
    }

    fn set_control_waits(&mut self, waits: bool) {
        self.control_waits = waits;
    }

    fn control_waits(&self) -> bool {
        self.control_waits
    }
}

/// Counts `len` bytes behind `filled` as gathered, once text among them is validated.
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
