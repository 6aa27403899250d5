//! Validated text: bytes together with the range of them that is known to be valid UTF-8.
//!
//! Received text lies in a buffer, is unmasked in place, and is returned as `&str` without a copy and without a second
//! validation. The type [`Checked`] makes this safe. It holds the buffer (a [`ReadBuffer`]), performs every change of
//! its bytes, and stores one range that was validated.
//!
//! Every use of `from_utf8_unchecked` in the crate is in this file. The code does not know frames or messages. Callers
//! pass ranges of bytes, and get text only for a range that was validated.
//!
//! Invariants:
//! - The bytes in `Checked::valid` are valid UTF-8, except that the last code point may be incomplete.
//!   `Checked::validator` is the state of validation at the end of the range.
//! - Every method that changes a byte inside `valid` empties the range.
//! - [`Text`] only holds UTF-8, and its buffer never changes.
//!
//! The fast path of a received text is `unmask_text`. One pass unmasks the text and checks whether it is ASCII. If the
//! text is not ASCII, a second pass validates it.

use core::ops::Range;

use super::mask::Mask;
use super::read_buffer::ReadBuffer;
use super::utf8::Validator;
use super::xor_wide::BLOCK;

/// The length of a piece in bytes. A longer text is unmasked and validated piece by piece. So each piece is still in
/// the first-level cache when it is validated.
const PIECE_LEN: usize = 16 << 10;

/// Returns `bytes` as text if they are ASCII.
#[inline]
pub(crate) fn ascii(bytes: &[u8]) -> Option<&str> {
    if bytes.is_ascii() {
        // SAFETY: ASCII is UTF-8.
        Some(unsafe { core::str::from_utf8_unchecked(bytes) })
    } else {
        None
    }
}

/// Bytes, and the range of them that was validated as UTF-8.
///
/// The range is stored together with the bytes. [`Checked::text`] returns text only for exactly this range.
#[derive(Debug)]
pub(crate) struct Checked<M> {
    /// The bytes. Only methods of this type change them.
    memory: M,
    /// Invariant: the bytes in this range are UTF-8, except that the last code point may be incomplete. `validator`
    /// holds the state of that code point. Every method that changes bytes keeps the invariant or empties the range.
    valid: Range<usize>,
    /// The state of validation at the end of `valid`.
    validator: Validator,
}

impl<M: ReadBuffer> Checked<M> {
    /// Wraps the memory. No byte counts as validated.
    #[inline]
    pub(crate) const fn new(memory: M) -> Self {
        Self { memory, valid: 0..0, validator: Validator::new() }
    }

    /// Returns all bytes.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        self.memory.bytes()
    }

    /// Returns how many bytes the memory can hold.
    #[inline]
    pub(crate) fn longest(&self) -> usize {
        self.memory.longest()
    }

    /// Returns the memory, without the validated range.
    pub(crate) fn into_memory(self) -> M {
        self.memory
    }

    /// Returns the bytes from `start` to the end, for writing. The validated range is kept if it ends at or before
    /// `start`, and emptied otherwise.
    #[inline]
    pub(crate) fn bytes_from(&mut self, start: usize) -> &mut [u8] {
        if self.valid.end > start {
            self.forget();
        }
        self.memory.bytes_mut().get_mut(start..).unwrap_or_default()
    }

    /// Unmasks the bytes in `range`.
    #[inline(always)]
    pub(crate) fn unmask(&mut self, range: Range<usize>, mask: &mut Mask) {
        // Binary messages are not validated, so the range is usually empty already.
        if self.valid.end > 0 {
            self.forget();
        }
        if let Some(bytes) = self.memory.bytes_mut().get_mut(range) {
            mask.apply(bytes);
        }
    }

    /// Unmasks the bytes in `range` and validates them as one complete text. Returns whether they are valid.
    ///
    /// The common case is a short ASCII text with a mask. The code for this case is inlined: one pass unmasks the text
    /// and checks whether it is ASCII. A text of at least [`BLOCK`] bytes is passed to a function that is not inlined.
    #[inline(always)]
    pub(crate) fn unmask_text(&mut self, range: Range<usize>, mask: &mut Mask) -> bool {
        if range.len() < BLOCK {
            self.unmask_short_text(range, mask)
        } else {
            self.unmask_long_text(range, mask)
        }
    }

    /// Unmasks and validates a text of at most [`PIECE_LEN`] bytes, as one piece.
    #[inline(always)]
    fn unmask_short_text(&mut self, range: Range<usize>, mask: &mut Mask) -> bool {
        self.forget();
        let Some(bytes) = self.memory.bytes_mut().get_mut(range.clone()) else { return false };
        // Without a mask no pass over the bytes is needed for unmasking, so `is_utf8` is the only pass.
        let valid = (!mask.is_zero() && mask.apply_to_ascii(bytes)) || super::is_utf8(bytes);
        if valid {
            self.valid = range;
        }
        valid
    }

    /// Unmasks and validates a text of at least [`BLOCK`] bytes, in pieces of [`PIECE_LEN`].
    #[inline(never)]
    fn unmask_long_text(&mut self, range: Range<usize>, mask: &mut Mask) -> bool {
        if range.len() <= PIECE_LEN {
            return self.unmask_short_text(range, mask);
        }
        self.forget();
        self.unmask_more_text(range, mask) && self.validator.is_complete()
    }

    /// Unmasks the bytes in `range` and validates them as the next part of a text. Returns whether they are
    /// valid so far.
    ///
    /// [`Self::check_more`] is the same operation for bytes that are not masked.
    pub(crate) fn unmask_more_text(&mut self, range: Range<usize>, mask: &mut Mask) -> bool {
        // Validate each piece while it is still in the first-level cache.
        let mut start = range.start;
        while start < range.end {
            let end = range.end.min(start + PIECE_LEN);
            let Some(piece) = self.memory.bytes_mut().get_mut(start..end) else { return false };
            let ascii = !mask.is_zero() && mask.apply_to_ascii(piece);
            self.continue_or_begin(start);
            if ascii && self.validator.is_complete() {
                // The text before this piece ends with a whole code point. So the ASCII piece is valid without a call
                // of the validator.
                self.valid.end = end;
            } else if !self.check_more(start..end) {
                return false;
            }
            start = end;
        }
        true
    }

    /// Starts a new text at `start` if the validated range ends at another position.
    fn continue_or_begin(&mut self, start: usize) {
        if self.valid.end != start || self.valid.is_empty() {
            self.forget();
            self.valid = start..start;
        }
    }

    /// Validates the bytes in `range`. If the validated range ends at the start of `range`, the bytes continue its
    /// text. Otherwise they begin a new text.
    ///
    /// Returns whether the bytes are valid so far. The last code point may be incomplete.
    #[inline]
    pub(crate) fn check_more(&mut self, range: Range<usize>) -> bool {
        self.continue_or_begin(range.start);
        let Some(bytes) = self.memory.bytes().get(range.clone()) else { return false };
        if self.validator.push(bytes).is_ok() {
            self.valid.end = range.end;
            true
        } else {
            self.forget();
            false
        }
    }

    /// Returns the state of validation at the end of the validated range.
    #[inline]
    pub(crate) fn validator(&self) -> &Validator {
        &self.validator
    }

    /// Returns the text in `range` if exactly this range was validated as a complete text, or if the range is empty.
    #[inline]
    pub(crate) fn text(&self, range: Range<usize>) -> Option<&str> {
        let proven = (self.valid == range && self.validator.is_complete()) || range.is_empty();
        let bytes = self.memory.bytes().get(range)?;
        if proven {
            // SAFETY: exactly these bytes were validated as one text whose last code point is complete. By the
            // invariant of `valid` they have not changed since. An empty range is always text.
            Some(unsafe { core::str::from_utf8_unchecked(bytes) })
        } else {
            None
        }
    }

    /// Moves the bytes in `range` to the front. The validated range moves with them if it lies inside `range`, and is
    /// emptied otherwise.
    pub(crate) fn move_to_front(&mut self, range: Range<usize>) {
        let len = self.bytes().len();
        let (start, end) = (range.start.min(len), range.end.min(len));
        self.memory.bytes_mut().copy_within(start.min(end)..end, 0);
        if self.valid.start < start || self.valid.end > end {
            self.forget();
        } else {
            self.valid = self.valid.start - start..self.valid.end - start;
        }
    }

    /// Forgets which bytes were validated.
    #[inline]
    pub(crate) fn forget(&mut self) {
        self.valid = 0..0;
        self.validator = Validator::new();
    }
}

#[cfg(feature = "alloc")]
impl Checked<alloc::vec::Vec<u8>> {
    /// Returns the number of bytes that the memory holds before it must grow.
    pub(crate) fn capacity(&self) -> usize {
        self.memory.capacity()
    }

    /// Reserves capacity for `end` bytes. If the memory must grow for this, it grows to `target` bytes, or to `end`
    /// bytes if `end` is larger.
    pub(crate) fn reserve(&mut self, end: usize, target: usize) {
        if end > self.memory.capacity() {
            let target = target.min(isize::MAX.unsigned_abs()).max(end);
            self.memory.reserve_exact(target - self.memory.len());
        }
    }

    /// Frees the capacity after the bytes.
    pub(crate) fn shrink(&mut self) {
        self.shrink_to(0);
    }

    /// Frees unused capacity. The capacity that remains is at least `capacity` and at least the number of bytes.
    pub(crate) fn shrink_to(&mut self, capacity: usize) {
        self.memory.shrink_to(capacity);
    }

    /// Copies all bytes to the front of `memory`, and replaces the old memory with `memory`. The validated range is
    /// kept.
    pub(crate) fn move_to(&mut self, mut memory: alloc::vec::Vec<u8>) {
        let len = self.memory.len();
        if memory.len() < len {
            memory.resize(len, 0);
        }
        if let Some(front) = memory.get_mut(..len) {
            front.copy_from_slice(&self.memory);
            self.memory = memory;
        }
    }

    /// Appends bytes.
    #[inline]
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.memory.extend_from_slice(bytes);
    }

    /// Changes the number of bytes to `len`, by appending zeros or by removing bytes from the end.
    pub(crate) fn resize(&mut self, len: usize) {
        if self.valid.end > len {
            self.forget();
        }
        self.memory.resize(len, 0);
    }

    /// Returns the memory and leaves an empty vector, in which no byte is validated.
    pub(crate) fn take(&mut self) -> alloc::vec::Vec<u8> {
        self.forget();
        core::mem::take(&mut self.memory)
    }

    /// Converts the memory into shared `Bytes`, and returns them with the text in `range`. Returns `None` and
    /// changes nothing if `range` was not validated.
    pub(crate) fn share_text(&mut self, range: Range<usize>) -> Option<(bytes::Bytes, Text)> {
        self.text(range.clone())?;
        let whole = bytes::Bytes::from(self.take());
        let text = Text::proven(whole.slice(range));
        Some((whole, text))
    }
}

#[cfg(feature = "alloc")]
pub use shared_text::Text;

#[cfg(feature = "alloc")]
mod shared_text {
    use alloc::string::String;
    use core::fmt;
    use core::ops::Deref;

    use bytes::Bytes;

    /// Text in a shared, immutable buffer: [`Bytes`] that are known to be valid UTF-8.
    ///
    /// A clone only increments a reference count.
    ///
    /// ```
    /// use hybi::Text;
    ///
    /// let text = Text::from("grüezi");
    /// assert_eq!(text.len(), 7);
    /// assert_eq!(Text::try_from(bytes::Bytes::from_static(b"\xff")).is_err(), true);
    /// ```
    #[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct Text(
        /// Invariant: UTF-8.
        Bytes,
    );

    impl Text {
        /// Returns the text.
        #[must_use]
        #[inline]
        pub fn as_str(&self) -> &str {
            // SAFETY: every constructor takes text or validates its bytes, and `Bytes` are immutable.
            unsafe { core::str::from_utf8_unchecked(&self.0) }
        }

        /// Returns the bytes of the text without copying.
        #[must_use]
        pub fn into_bytes(self) -> Bytes {
            self.0
        }

        /// Returns a text of a `'static` string, without a copy.
        #[must_use]
        pub const fn from_static(text: &'static str) -> Self {
            Self(Bytes::from_static(text.as_bytes()))
        }

        /// Wraps bytes that the caller has just validated as UTF-8.
        pub(super) fn proven(bytes: Bytes) -> Self {
            Self(bytes)
        }
    }

    impl TryFrom<Bytes> for Text {
        type Error = core::str::Utf8Error;

        fn try_from(bytes: Bytes) -> Result<Self, Self::Error> {
            if !crate::kernel::is_utf8(&bytes) {
                // Validate again to find the position of the error.
                core::str::from_utf8(&bytes)?;
            }
            Ok(Self(bytes))
        }
    }

    impl From<String> for Text {
        fn from(text: String) -> Self {
            Self(text.into())
        }
    }

    /// Copies the text.
    impl From<&str> for Text {
        fn from(text: &str) -> Self {
            Self(Bytes::copy_from_slice(text.as_bytes()))
        }
    }

    impl Deref for Text {
        type Target = str;

        fn deref(&self) -> &str {
            self.as_str()
        }
    }

    impl AsRef<str> for Text {
        fn as_ref(&self) -> &str {
            self
        }
    }

    impl PartialEq<str> for Text {
        fn eq(&self, other: &str) -> bool {
            self.as_str() == other
        }
    }

    impl PartialEq<&str> for Text {
        fn eq(&self, other: &&str) -> bool {
            self.as_str() == *other
        }
    }

    impl fmt::Debug for Text {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            fmt::Debug::fmt(self.as_str(), f)
        }
    }

    impl fmt::Display for Text {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self)
        }
    }
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::*;

    /// Checks the property on which the `unsafe` code relies. The test calls methods in random order with random
    /// ranges, including wrong ranges. All returned text must be valid UTF-8, and no call may panic.
    #[test]
    fn no_sequence_of_calls_returns_invalid_bytes_as_text() {
        let mut random = 1_u64;
        let mut below = |bound: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as usize % bound
        };
        let (mut proven, mut unproven) = (0, 0);
        for _ in 0..3000 {
            let mut words = "plain, é, €, 𝄞. ".repeat(1 + below(20)).into_bytes();
            words.truncate(1 + below(words.len()));
            let mut checked = Checked::new(words.clone());
            for _ in 0..12 {
                let len = checked.bytes().len();
                // Half of the ranges start at the end of the validated range.
                let start = if below(2) == 0 { checked.valid.end } else { below(len + 3) };
                let range = if below(9) == 0 { start..below(len + 3) } else { start..start + below(len + 3) };
                // With the last key, ASCII stays ASCII.
                let key = [[0; 4], [0xFF, 0, 7, 0x80], [1, 2, 3, 4]][below(3)];
                let mut known = None;
                match below(12) {
                    0 => {
                        let space = checked.bytes_from(start);
                        let len = space.len().min(words.len());
                        space[..len].copy_from_slice(&words[..len]);
                    }
                    1 => checked.unmask(range, &mut Mask::new(key)),
                    2 if checked.unmask_text(range.clone(), &mut Mask::new(key)) => known = Some(range),
                    3 => drop(checked.unmask_more_text(range, &mut Mask::new(key))),
                    4..=6 => drop(checked.check_more(range)),
                    7 => checked.resize(below(2 * len + 1)),
                    8 => checked.move_to_front(range),
                    9 => checked.move_to(std::vec![0xFF; below(2 * len + 1)]),
                    10 => checked.extend(&words[..below(words.len())]),
                    11 if below(4) == 0 => {
                        let whole = checked.bytes().to_vec();
                        if let Some((memory, text)) = checked.share_text(range.clone()) {
                            assert_eq!((&memory[..], text.as_bytes()), (&whole[..], &whole[range]));
                            assert!(checked.bytes().is_empty() && checked.valid.is_empty());
                        }
                    }
                    _ => {}
                }
                if checked.validator.is_complete() && checked.valid.end <= checked.bytes().len() {
                    known = known.or(Some(checked.valid.clone()));
                }
                let len = checked.bytes().len();
                let any = [checked.valid.clone(), below(len + 3)..below(len + 3), 0..len];
                for range in any.into_iter().chain(known.clone()) {
                    let text = checked.text(range.clone());
                    assert!(text.is_some() || known.as_ref() != Some(&range), "{range:?} was validated");
                    let Some(text) = text.filter(|text| !text.is_empty()) else {
                        unproven += 1;
                        continue;
                    };
                    // Compare bytes: formatting invalid UTF-8 as text would be undefined behaviour.
                    assert_eq!(text.as_bytes(), &checked.bytes()[range.clone()]);
                    assert!(core::str::from_utf8(text.as_bytes()).is_ok(), "{range:?} is not UTF-8");
                    proven += 1;
                }
            }
        }
        assert!(proven > 10_000 && unproven > 10_000, "{proven} proven, {unproven} not");
    }
}
