//! Bytes that are known to be UTF-8.

use core::ops::Range;

use super::blocks::BLOCK;
use crate::frame::Mask;
use crate::utf8::Validator;

/// What is unmasked in one go before it is validated.
const PIECE: usize = 16 << 10;

/// `bytes` as text, if they are ASCII.
#[inline]
pub(crate) fn ascii(bytes: &[u8]) -> Option<&str> {
    if bytes.is_ascii() {
        // SAFETY: ASCII is UTF-8.
        Some(unsafe { core::str::from_utf8_unchecked(bytes) })
    } else {
        None
    }
}

/// Memory that a type owns or borrows for itself alone, so that nobody else can change it.
///
/// # Safety
///
/// As long as only shared references to it are used, [`bytes`](Self::bytes) must give the same bytes.
pub unsafe trait Memory {
    /// Whether what is in it stays until it is replaced, and more can be put behind.
    const STAYS: bool;
    /// The bytes.
    fn bytes(&self) -> &[u8];
    /// The bytes, to be changed.
    fn bytes_mut(&mut self) -> &mut [u8];
}

// SAFETY: an exclusive borrow: the bytes change through it alone.
unsafe impl Memory for &mut [u8] {
    const STAYS: bool = false;

    #[inline]
    fn bytes(&self) -> &[u8] {
        self
    }

    #[inline]
    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }
}

// SAFETY: a vector owns its bytes and has no interior mutability.
#[cfg(feature = "alloc")]
unsafe impl Memory for alloc::vec::Vec<u8> {
    const STAYS: bool = true;

    #[inline]
    fn bytes(&self) -> &[u8] {
        self
    }

    #[inline]
    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }
}

/// Bytes, and which of them have been found to be UTF-8.
///
/// The proof lives with the bytes: whoever has an index from elsewhere gets text if that part has been
/// validated in this memory, and nothing if it has not.
#[derive(Debug)]
pub(crate) struct Checked<M> {
    memory: M,
    /// Invariant: these bytes are UTF-8, but for a code point cut off at the end, of which `validator`
    /// knows. Every method that changes bytes keeps this or empties the range.
    valid: Range<usize>,
    validator: Validator,
}

impl<M: Memory> Checked<M> {
    #[inline]
    pub(crate) const fn new(memory: M) -> Self {
        Self { memory, valid: 0..0, validator: Validator::new() }
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        self.memory.bytes()
    }

    /// Bytes from `start` on, to be written to; what has been validated before `start` stays so.
    #[inline]
    pub(crate) fn bytes_from(&mut self, start: usize) -> &mut [u8] {
        if self.valid.end > start {
            self.forget();
        }
        self.memory.bytes_mut().get_mut(start..).unwrap_or_default()
    }

    /// Unmasks all of `range`.
    #[inline(always)]
    pub(crate) fn unmask(&mut self, range: Range<usize>, mask: &mut Mask) {
        // Where nothing is known, as among binary messages, there is nothing to forget.
        if self.valid.end > 0 {
            self.forget();
        }
        if let Some(bytes) = self.memory.bytes_mut().get_mut(range) {
            mask.apply(bytes);
        }
    }

    /// Unmasks all of `range`, and validates it as one text.
    #[inline(always)]
    pub(crate) fn unmask_text(&mut self, range: Range<usize>, mask: &mut Mask) -> bool {
        if range.len() < BLOCK {
            self.unmask_short_text(range, mask)
        } else {
            self.unmask_long_text(range, mask)
        }
    }

    #[inline(always)]
    fn unmask_short_text(&mut self, range: Range<usize>, mask: &mut Mask) -> bool {
        self.forget();
        let Some(bytes) = self.memory.bytes_mut().get_mut(range.clone()) else { return false };
        // Without a mask there is nothing to write, and so no pass that could look at the bytes on the way.
        let valid = (!mask.is_zero() && mask.apply_to_ascii(bytes)) || super::is_utf8(bytes);
        if valid {
            self.valid = range;
        }
        valid
    }

    #[inline(never)]
    fn unmask_long_text(&mut self, range: Range<usize>, mask: &mut Mask) -> bool {
        if range.len() <= PIECE {
            return self.unmask_short_text(range, mask);
        }
        self.forget();
        self.unmask_more_text(range, mask) && self.validator.is_complete()
    }

    /// Unmasks all of `range`, and validates it as [`Self::check_more`] does.
    pub(crate) fn unmask_more_text(&mut self, range: Range<usize>, mask: &mut Mask) -> bool {
        // Each piece is validated while it lies in the first-level cache.
        let mut start = range.start;
        while start < range.end {
            let end = range.end.min(start + PIECE);
            let Some(piece) = self.memory.bytes_mut().get_mut(start..end) else { return false };
            let ascii = !mask.is_zero() && mask.apply_to_ascii(piece);
            self.begin_or_go_on(start);
            if ascii && self.validator.is_complete() {
                // Nothing is cut off before it: ASCII goes on any text.
                self.valid.end = end;
            } else if !self.check_more(start..end) {
                return false;
            }
            start = end;
        }
        true
    }

    /// Where what was validated does not end at `start`, a new text begins there.
    fn begin_or_go_on(&mut self, start: usize) {
        if self.valid.end != start || self.valid.is_empty() {
            self.forget();
            self.valid = start..start;
        }
    }

    /// Validates `range` as the continuation of what was validated up to its start, or as the beginning
    /// of a text if nothing was.
    #[inline]
    pub(crate) fn check_more(&mut self, range: Range<usize>) -> bool {
        self.begin_or_go_on(range.start);
        let Some(bytes) = self.memory.bytes().get(range.clone()) else { return false };
        if self.validator.push(bytes).is_ok() {
            self.valid.end = range.end;
            true
        } else {
            self.forget();
            false
        }
    }

    /// How validation stands at the end of what [`Self::check_more`] has seen.
    #[inline]
    pub(crate) fn validator(&self) -> &Validator {
        &self.validator
    }

    /// The text in `range`, if it is known to be one.
    #[inline]
    pub(crate) fn text(&self, range: Range<usize>) -> Option<&str> {
        let proven = (self.valid == range && self.validator.is_complete()) || range.is_empty();
        let bytes = self.memory.bytes().get(range)?;
        if proven {
            // SAFETY: exactly these bytes were validated as one text without a cut at the end, and by the
            // invariant of `valid` they have not changed since; or there are none.
            Some(unsafe { core::str::from_utf8_unchecked(bytes) })
        } else {
            None
        }
    }

    /// Forgets what was validated.
    #[inline]
    pub(crate) fn forget(&mut self) {
        self.valid = 0..0;
        self.validator = Validator::new();
    }
}

#[cfg(feature = "alloc")]
impl Checked<alloc::vec::Vec<u8>> {
    /// The bytes that the memory can hold before it has to grow.
    pub(crate) fn capacity(&self) -> usize {
        self.memory.capacity()
    }

    /// Makes room up to `end`, and if the memory has to grow for that, up to `target`, which is no less.
    pub(crate) fn reserve(&mut self, end: usize, target: usize) {
        if end > self.memory.capacity() {
            let target = target.min(isize::MAX.unsigned_abs()).max(end);
            self.memory.reserve_exact(target - self.memory.len());
        }
    }

    /// Gives back memory behind the bytes.
    pub(crate) fn shrink(&mut self) {
        self.shrink_to(0);
    }

    /// Gives back memory behind the bytes and behind `capacity`.
    pub(crate) fn shrink_to(&mut self, capacity: usize) {
        self.memory.shrink_to(capacity);
    }

    /// Moves `range` to the front, with what is known of it.
    pub(crate) fn move_to_front(&mut self, range: Range<usize>) {
        let (start, end) = (range.start.min(self.memory.len()), range.end.min(self.memory.len()));
        self.memory.copy_within(start.min(end)..end, 0);
        if self.valid.start < start || self.valid.end > end {
            self.forget();
        } else {
            self.valid = self.valid.start - start..self.valid.end - start;
        }
    }

    /// Moves all bytes to the front of `memory`, with what is known of them.
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

    /// Appends zeros up to `len` bytes, or cuts what is behind them.
    pub(crate) fn resize(&mut self, len: usize) {
        if self.valid.end > len {
            self.forget();
        }
        self.memory.resize(len, 0);
    }

    /// The memory, of which nothing is known any more.
    pub(crate) fn take(&mut self) -> alloc::vec::Vec<u8> {
        self.forget();
        core::mem::take(&mut self.memory)
    }

    /// The memory, shared from now on, and the text that `range` of it is, if it is known to be one.
    pub(crate) fn share_text(&mut self, range: Range<usize>) -> Option<(bytes::Bytes, Text)> {
        self.text(range.clone())?;
        let whole = bytes::Bytes::from(self.take());
        let text = Text::proven(whole.slice(range));
        Some((whole, text))
    }
}

#[cfg(feature = "alloc")]
pub use owned::Text;

#[cfg(feature = "alloc")]
mod owned {
    use alloc::string::String;
    use core::fmt;
    use core::ops::Deref;

    use bytes::Bytes;

    /// Text in a shared, immutable buffer: [`Bytes`] that are known to be UTF-8.
    ///
    /// To clone it costs a reference count.
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
        /// The text.
        #[must_use]
        #[inline]
        pub fn as_str(&self) -> &str {
            // SAFETY: every constructor takes or checks for UTF-8, and `Bytes` are immutable.
            unsafe { core::str::from_utf8_unchecked(&self.0) }
        }

        /// The bytes of the text, without copying.
        #[must_use]
        pub fn into_bytes(self) -> Bytes {
            self.0
        }

        /// A copy of `text`.
        #[must_use]
        pub fn copied(text: &str) -> Self {
            Self(Bytes::copy_from_slice(text.as_bytes()))
        }

        /// For bytes that were just shown to be UTF-8.
        pub(super) fn proven(bytes: Bytes) -> Self {
            Self(bytes)
        }
    }

    impl TryFrom<Bytes> for Text {
        type Error = core::str::Utf8Error;

        fn try_from(bytes: Bytes) -> Result<Self, Self::Error> {
            if !crate::arch::is_utf8(&bytes) {
                // Says where as well.
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

    impl From<&'static str> for Text {
        fn from(text: &'static str) -> Self {
            Self(Bytes::from_static(text.as_bytes()))
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

    /// What `unsafe` rests on: whatever is called in whatever order, with ranges however wrong, what is given out as
    /// text is text. Nor does anything panic.
    #[test]
    fn no_order_of_calls_makes_text_of_what_is_none() {
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
                // A cut that was validated up to is gone on from, as often as not.
                let start = if below(2) == 0 { checked.valid.end } else { below(len + 3) };
                let range = if below(9) == 0 { start..below(len + 3) } else { start..start + below(len + 3) };
                // With a key like the last one ASCII stays ASCII.
                let key = [[0; 4], [0xFF, 0, 7, 0x80], [1, 2, 3, 4]][below(3)];
                let mut known = None;
                match below(12) {
                    0 => {
                        let room = checked.bytes_from(start);
                        let len = room.len().min(words.len());
                        room[..len].copy_from_slice(&words[..len]);
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
                    // Shown as text it might be undefined behaviour, so as bytes.
                    assert_eq!(text.as_bytes(), &checked.bytes()[range.clone()]);
                    assert!(core::str::from_utf8(text.as_bytes()).is_ok(), "{range:?} is no text");
                    proven += 1;
                }
            }
        }
        assert!(proven > 10_000 && unproven > 10_000, "{proven} proven, {unproven} not");
    }
}
