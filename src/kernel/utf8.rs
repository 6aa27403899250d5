//! An incremental UTF-8 validator (RFC 6455 section 8.1, RFC 3629).
//!
//! Text arrives in pieces that may end inside a code point. [`Validator`] keeps one byte of state between pieces, and
//! reports the first byte that is not valid at its position.
//!
//! The common case is a piece that begins and ends with whole code points. One call of `is_utf8`, which uses vector
//! instructions, checks such a piece. Only the bytes of an incomplete code point are checked byte by byte (`walk`). If
//! `is_utf8` rejects a piece, `walk` checks the piece again to find the position of the error.
//!
//! The states, and the bytes that lead from one state to the next. An ASCII byte leaves the state `First` unchanged:
//!
//! ```text
//!  First ── C2..DF ──────────────────────────────▶ Last ── 80..BF ──▶ First
//!    ├──── E0 ─▶ AfterE0 ── A0..BF ──▶ Last
//!    ├──── ED ─▶ AfterEd ── 80..9F ──▶ Last
//!    ├──── other E1..EF ─▶ LastTwo ── 80..BF ──▶ Last
//!    ├──── F0 ─▶ AfterF0 ── 90..BF ──▶ LastTwo
//!    ├──── F4 ─▶ AfterF4 ── 80..8F ──▶ LastTwo
//!    └──── F1..F3 ─▶ LastThree ── 80..BF ──▶ LastTwo
//! ```

use core::fmt;

/// The error for a byte that is not valid UTF-8 at its position.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InvalidUtf8 {
    /// The position of the byte in the last piece that was passed to [`Validator::push`].
    pub offset: usize,
}

impl fmt::Display for InvalidUtf8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "byte {} of the piece is not valid UTF-8 (RFC 3629 section 3): reject the text",
            self.offset
        )
    }
}

impl core::error::Error for InvalidUtf8 {}

/// Validates text that arrives in pieces. A piece may end inside a code point.
///
/// Validation fails at the first byte that is not valid at its position. Overlong forms, surrogates and values above
/// U+10FFFF fail at their second byte at the latest. The validator keeps one byte of state. It never examines the bytes
/// of an earlier piece again.
///
/// ```
/// use hybi::utf8::Validator;
///
/// let mut validator = Validator::new();
/// validator.push(b"caf\xc3").unwrap();
/// assert!(!validator.is_complete());      // the "é" is cut in two
/// validator.push(b"\xa9").unwrap();
/// assert!(validator.is_complete());
/// assert_eq!(validator.push(b"ab\xed\xa0").unwrap_err().offset, 3); // a surrogate, before its third byte
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Validator {
    next: Next,
}

/// The bytes that are valid next. The type has a size of one byte, because each connection has several validators and
/// should stay small.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Next {
    /// The first byte of a code point.
    First,
    /// The last continuation byte of a code point.
    Last,
    /// The first of two continuation bytes.
    LastTwo,
    /// The first of three continuation bytes.
    LastThree,
    /// The second byte after E0.
    AfterE0,
    /// The second byte after ED.
    AfterEd,
    /// The second byte after F0.
    AfterF0,
    /// The second byte after F4.
    AfterF4,
}

impl Default for Validator {
    fn default() -> Self {
        Self::new()
    }
}

impl Validator {
    /// Returns a validator for the start of a text.
    #[must_use]
    #[inline]
    pub const fn new() -> Self {
        Self { next: Next::First }
    }

    /// Validates the next piece of the text.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidUtf8`] with the position of the first byte that is not valid. The whole text is then invalid,
    /// and the results of later calls have no meaning.
    #[inline]
    pub fn push(&mut self, piece: &[u8]) -> Result<(), InvalidUtf8> {
        let mut rest = piece;
        while !self.is_complete() {
            let Some((&byte, after)) = rest.split_first() else { return Ok(()) };
            if !self.step(byte) {
                return Err(InvalidUtf8 { offset: piece.len() - rest.len() });
            }
            rest = after;
        }
        // If the text is valid, `body` ends with a whole code point. `tail` is an incomplete code point, which is
        // validated byte by byte.
        let (body, tail) = rest.split_at_checked(whole_len(rest)).unwrap_or((rest, &[]));
        if !crate::kernel::is_utf8(body) {
            // Walk over `rest` instead of `body`. If `body` ends inside a code point, the first invalid byte is the
            // first byte of `tail`.
            return self.walk(rest, piece.len() - rest.len());
        }
        self.walk(tail, piece.len() - tail.len())
    }

    /// Returns whether the text may end here, because no code point is incomplete.
    #[must_use]
    #[inline]
    pub const fn is_complete(&self) -> bool {
        matches!(self.next, Next::First)
    }

    /// Validates `bytes` one by one. `offset` is their position in the piece.
    fn walk(&mut self, bytes: &[u8], offset: usize) -> Result<(), InvalidUtf8> {
        match bytes.iter().position(|&byte| !self.step(byte)) {
            Some(at) => Err(InvalidUtf8 { offset: offset + at }),
            None => Ok(()),
        }
    }

    /// Advances by one byte. Returns whether the byte is valid at this position.
    fn step(&mut self, byte: u8) -> bool {
        // RFC 3629 section 4 defines the valid first bytes, and the second bytes that may follow each of
        // them.
        let (next, range) = match self.next {
            Next::First => {
                self.next = match byte {
                    0x00..=0x7F => Next::First,
                    0xC2..=0xDF => Next::Last,
                    0xE0 => Next::AfterE0,
                    0xED => Next::AfterEd,
                    0xE1..=0xEF => Next::LastTwo,
                    0xF0 => Next::AfterF0,
                    0xF1..=0xF3 => Next::LastThree,
                    0xF4 => Next::AfterF4,
                    _ => return false,
                };
                return true;
            }
            Next::Last => (Next::First, 0x80..=0xBF),
            Next::LastTwo => (Next::Last, 0x80..=0xBF),
            Next::LastThree => (Next::LastTwo, 0x80..=0xBF),
            Next::AfterE0 => (Next::Last, 0xA0..=0xBF),
            Next::AfterEd => (Next::Last, 0x80..=0x9F),
            Next::AfterF0 => (Next::LastTwo, 0x90..=0xBF),
            Next::AfterF4 => (Next::LastTwo, 0x80..=0x8F),
        };
        self.next = next;
        range.contains(&byte)
    }
}

/// Returns the length of `bytes` without an incomplete code point at the end. The bytes need not be valid UTF-8.
///
/// Only the first byte of a code point gives its length. So this function searches the last three bytes for a byte that
/// is not a continuation byte.
#[inline]
fn whole_len(bytes: &[u8]) -> usize {
    for (len, &byte) in (1..=3).zip(bytes.iter().rev()) {
        let need = match byte {
            0x80..=0xBF => continue,
            0x00..=0x7F => 1,
            0xC0..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xFF => 4,
        };
        return if need > len { bytes.len() - len } else { bytes.len() };
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// Returns the result of `core::str::from_utf8`: whether the text is complete, or the position of the first wrong
    /// byte.
    fn std_verdict(bytes: &[u8]) -> Result<bool, usize> {
        match core::str::from_utf8(bytes) {
            Ok(_) => Ok(true),
            Err(e) => match e.error_len() {
                None => Ok(false),
                // `std` reports the position of the code point. If its first byte is valid, the wrong byte comes after
                // the `len` valid bytes.
                Some(len) => {
                    let lead = bytes[e.valid_up_to()];
                    let lead_is_fine = (0xC2..=0xF4).contains(&lead);
                    Err(e.valid_up_to() + if lead_is_fine { len } else { 0 })
                }
            },
        }
    }

    fn verdict(pieces: &[&[u8]]) -> Result<bool, usize> {
        let mut validator = Validator::new();
        let mut before = 0;
        for piece in pieces {
            validator.push(piece).map_err(|e| before + e.offset)?;
            before += piece.len();
        }
        Ok(validator.is_complete())
    }

    #[test]
    fn s8_1_every_sequence_of_three_bytes_is_validated_as_by_std() {
        for word in 0..1u32 << 24 {
            let [_, a, b, c] = word.to_be_bytes();
            // The validator treats all continuation bytes of a group in the same way: 80..8F, 90..9F and A0..BF. So the
            // test uses only the first and the last byte of each group.
            let is_representative =
                |byte: u8| byte >= 0xC0 || matches!(byte & 0x3F, 0 | 0x0F | 0x10 | 0x1F | 0x20 | 0x3F);
            if is_representative(b) && is_representative(c) {
                let bytes = [a, b, c];
                assert_eq!(verdict(&[&bytes]), std_verdict(&bytes), "{bytes:x?}");
                assert_eq!(verdict(&[&[a], &[b], &[c]]), std_verdict(&bytes), "{bytes:x?}");
            }
        }
    }

    #[test]
    fn s8_1_four_byte_forms_are_validated_as_by_std_at_every_split() {
        let edges =
            [0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC2, 0xE0, 0xED, 0xF0, 0xF4, 0xF5, 0xFF];
        for lead in [0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF] {
            for b in edges {
                for c in edges {
                    for d in edges {
                        for around in [0, 70] {
                            let mut bytes: Vec<u8> = std::vec![b'x'; around];
                            bytes.extend([lead, b, c, d]);
                            bytes.extend(std::vec![b'y'; around]);
                            let expected = std_verdict(&bytes);
                            assert_eq!(verdict(&[&bytes]), expected, "{bytes:x?}");
                            for cut in around..=around + 4 {
                                let (head, tail) = bytes.split_at(cut);
                                assert_eq!(verdict(&[head, tail]), expected, "{bytes:x?} at {cut}");
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn s8_1_long_text_is_valid_at_every_split() {
        let text = "κόσμε 𝄞 plain € \u{10ffff}\u{d7ff}\u{e000}\0 ".repeat(9);
        for cut in 0..=text.len() {
            let (head, tail) = text.as_bytes().split_at(cut);
            assert_eq!(verdict(&[head, tail]), Ok(true));
            assert_eq!(verdict(&[head]), Ok(text.is_char_boundary(cut)));
        }
    }

    #[test]
    fn s8_1_whole_len_excludes_only_an_incomplete_last_code_point() {
        let text = "a\u{7f}é\u{7ff}€\u{ffff}𝄞\u{10ffff}z";
        for cut in 0..=text.len() {
            let whole = (0..=cut).rev().find(|&at| text.is_char_boundary(at)).unwrap();
            assert_eq!(whole_len(&text.as_bytes()[..cut]), whole, "cut at {cut}");
        }
    }
}
