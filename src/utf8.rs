//! UTF-8 as it arrives (RFC 6455 section 8.1, RFC 3629).

use core::fmt;

/// A byte that cannot stand where it stands in UTF-8.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InvalidUtf8 {
    /// Where the byte is, counted from the start of the piece that was pushed last.
    pub offset: usize,
}

impl fmt::Display for InvalidUtf8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not UTF-8 at byte {} of the piece (RFC 3629 section 3)", self.offset)
    }
}

impl core::error::Error for InvalidUtf8 {}

/// Validates a text that comes in pieces, cut anywhere, and fails at the first byte that cannot be
/// right: overlong forms, surrogates and values over U+10FFFF already at their second byte.
///
/// It keeps one byte of state and looks at each byte of the text once.
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

/// What the next byte has to be. Each connection has a few validators, so that this is one byte and not a range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Next {
    /// The first byte of a code point.
    First,
    /// One of the last continuation bytes, of which one to three are missing.
    Last,
    LastTwo,
    LastThree,
    /// The second byte behind this first byte.
    AfterE0,
    AfterEd,
    AfterF0,
    AfterF4,
}

impl Default for Validator {
    fn default() -> Self {
        Self::new()
    }
}

impl Validator {
    /// A validator at the start of a text.
    #[must_use]
    #[inline]
    pub const fn new() -> Self {
        Self { next: Next::First }
    }

    /// Takes the next piece.
    ///
    /// # Errors
    ///
    /// [`InvalidUtf8`] with the place of the first byte that cannot be right. The text has failed; what
    /// is pushed later is judged from a state that means nothing.
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
        // What may be cut off at the end goes through the slow path; the body is whole.
        let (body, tail) = rest.split_at_checked(whole_len(rest)).unwrap_or((rest, &[]));
        if !crate::arch::is_utf8(body) {
            // What was cut off may be what breaks the body's last code point.
            return self.walk(rest, piece.len() - rest.len());
        }
        self.walk(tail, piece.len() - tail.len())
    }

    /// Whether the text may end here: no code point is cut.
    #[must_use]
    #[inline]
    pub const fn is_complete(&self) -> bool {
        matches!(self.next, Next::First)
    }

    /// One byte at a time, from `offset` on.
    fn walk(&mut self, bytes: &[u8], offset: usize) -> Result<(), InvalidUtf8> {
        match bytes.iter().position(|&byte| !self.step(byte)) {
            Some(at) => Err(InvalidUtf8 { offset: offset + at }),
            None => Ok(()),
        }
    }

    /// One byte: whether it may stand here.
    fn step(&mut self, byte: u8) -> bool {
        // RFC 3629 section 4: which first bytes there are, and which second bytes may follow them.
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

/// How many bytes at the front of `bytes` are whole code points: all of them, less those at the end that
/// begin one that goes on behind them, or look like it.
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

    /// Where std finds the first byte that cannot be right, or what it thinks of the end.
    fn std_verdict(bytes: &[u8]) -> Result<bool, usize> {
        match core::str::from_utf8(bytes) {
            Ok(_) => Ok(true),
            Err(e) => match e.error_len() {
                None => Ok(false),
                // The first `len` bytes begin a code point, the next one does not go on with it; or the first
                // byte itself is none.
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
    fn s8_1_every_sequence_of_three_bytes_is_judged_as_by_std() {
        for word in 0..1u32 << 24 {
            let [_, a, b, c] = word.to_be_bytes();
            // Most continuations are alike: a few of each kind stand for all.
            let kinds =
                |byte: u8| byte >= 0xC0 || matches!(byte & 0x3F, 0 | 0x0F | 0x10 | 0x1F | 0x20 | 0x3F);
            if kinds(b) && kinds(c) {
                let bytes = [a, b, c];
                assert_eq!(verdict(&[&bytes]), std_verdict(&bytes), "{bytes:x?}");
                assert_eq!(verdict(&[&[a], &[b], &[c]]), std_verdict(&bytes), "{bytes:x?}");
            }
        }
    }

    #[test]
    fn s8_1_four_byte_forms_are_judged_as_by_std_at_every_split() {
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
    fn s8_1_what_is_cut_off_begins_with_the_last_code_point() {
        let text = "a\u{7f}é\u{7ff}€\u{ffff}𝄞\u{10ffff}z";
        for cut in 0..=text.len() {
            let whole = (0..=cut).rev().find(|&at| text.is_char_boundary(at)).unwrap();
            assert_eq!(whole_len(&text.as_bytes()[..cut]), whole, "cut at {cut}");
        }
    }
}
