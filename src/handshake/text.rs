//! Character classes and small readers that every part of the handshake shares.

/// RFC 9110 5.6.2: the characters of a token.
pub(crate) const fn is_tchar(byte: u8) -> bool {
    matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~'
        | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z')
}

/// RFC 9110 5.5: what may stand in a header value (or a reason phrase): tab, space, visible
/// characters and obs-text.
pub(crate) const fn is_value_byte(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

/// What may stand in a request target: RFC 3986 has still fewer characters, but browsers send some
/// of the others (`|`, `^`) unescaped. RFC 6455 3 and RFC 9112 3.2: no fragment.
pub(crate) const fn is_target_byte(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~') && byte != b'#'
}

/// A set of bytes, for runs of them: one bit of [`CLASSES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Class(u8);

impl Class {
    pub(crate) const TCHAR: Self = Self(1);
    pub(crate) const TARGET: Self = Self(2);
    pub(crate) const VALUE: Self = Self(4);

    /// How many bytes at the beginning of `bytes` are of this class.
    pub(crate) fn run(self, bytes: &[u8]) -> usize {
        // Values make up most of a head: eight bytes at once, as long as all are common ones.
        let common =
            if self == Self::VALUE { 8 * words(bytes).take_while(|&word| is_plain(word)).count() } else { 0 };
        let stays = |byte: &u8| CLASSES.get(usize::from(*byte)).is_some_and(|bits| bits & self.0 != 0);
        let rest = bytes.get(common..).unwrap_or_default();
        common + rest.iter().take_while(|byte| stays(byte)).count()
    }
}

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);

/// The whole words at the beginning of `bytes`.
fn words(bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes.chunks_exact(8).filter_map(|word| word.first_chunk().copied()).map(u64::from_ne_bytes)
}

/// Whether one of eight bytes is less than `least` (at most 128).
const fn any_below(word: u64, least: u8) -> bool {
    word.wrapping_sub(ONES.wrapping_mul(least as u64)) & !word & HIGHS != 0
}

/// Whether eight bytes are all of [`Class::VALUE`], and no tab among them.
const fn is_plain(word: u64) -> bool {
    !any_below(word, b' ') && !any_below(word ^ ONES.wrapping_mul(0x7f), 1)
}

/// Where the first `byte` is.
pub(crate) fn find(bytes: &[u8], byte: u8) -> Option<usize> {
    let pattern = ONES.wrapping_mul(u64::from(byte));
    let skip = 8 * words(bytes).take_while(|word| !any_below(word ^ pattern, 1)).count();
    let rest = bytes.get(skip..).unwrap_or_default();
    rest.iter().position(|&one| one == byte).map(|at| skip + at)
}

static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0_u8;
    loop {
        let mut bits = 0;
        if is_tchar(byte) {
            bits |= Class::TCHAR.0;
        }
        if is_target_byte(byte) {
            bits |= Class::TARGET.0;
        }
        if is_value_byte(byte) {
            bits |= Class::VALUE.0;
        }
        #[expect(clippy::indexing_slicing, reason = "a byte, at compile time")]
        {
            classes[byte as usize] = bits;
        }
        if byte == u8::MAX {
            break classes;
        }
        byte += 1;
    }
};

/// Whether `text` is a token.
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| is_tchar(byte))
}

/// Whether `byte` is optional whitespace (OWS).
pub(crate) const fn is_ows(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// RFC 9112 5: `value` without the optional whitespace around it.
pub(crate) const fn trim(mut value: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = value {
        if !is_ows(*first) {
            break;
        }
        value = rest;
    }
    while let [rest @ .., last] = value {
        if !is_ows(*last) {
            break;
        }
        value = rest;
    }
    value
}

/// RFC 9110 5.6.1: the elements of a comma-separated list. Empty elements count for nothing, as
/// 5.6.1.2 asks of a recipient and RFC 2616 2.1 says of the `#` rule that RFC 6455 uses.
pub(crate) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    value.split(|&byte| byte == b',').map(trim).filter(|element| !element.is_empty())
}

/// Whether the list holds `token`, in any case: a comparison of whole elements, never a substring.
pub(crate) fn list_has(value: &[u8], token: &[u8]) -> bool {
    elements(value).any(|element| element.eq_ignore_ascii_case(token))
}

/// `bytes` as text, if they are ASCII.
pub(crate) const fn ascii(bytes: &[u8]) -> Option<&str> {
    if !bytes.is_ascii() {
        return None;
    }
    match core::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn s9110_5_6_2_token_characters() {
        let tchars: Vec<u8> = (0..=255).filter(|&byte| is_tchar(byte)).collect();
        let mut want = Vec::from(*b"!#$%&'*+-.^_`|~");
        want.extend((0..128).filter(u8::is_ascii_alphanumeric));
        want.sort_unstable();
        assert_eq!(tchars, want);
    }

    #[test]
    fn runs_and_searches_by_words_are_those_by_bytes() {
        let mut bytes = [b'a'; 27];
        for at in 0..27 {
            for byte in 0..=255 {
                bytes[at] = byte;
                for from in 0..9 {
                    let part = &bytes[from..];
                    let by_bytes = |is: fn(u8) -> bool| part.iter().take_while(|&&byte| is(byte)).count();
                    assert_eq!(Class::VALUE.run(part), by_bytes(is_value_byte));
                    assert_eq!(Class::TCHAR.run(part), by_bytes(is_tchar));
                    assert_eq!(Class::TARGET.run(part), by_bytes(is_target_byte));
                    assert_eq!(find(part, byte), part.iter().position(|&one| one == byte));
                }
            }
            bytes[at] = b'a';
        }
    }

    #[test]
    fn s9110_5_6_1_lists_skip_empty_elements() {
        let all: Vec<_> = elements(b",a ,\t, b c,,").collect();
        assert_eq!(all, [&b"a"[..], b"b c"]);
        assert!(list_has(b"keep-alive, UPGRADE", b"upgrade"));
        assert!(!list_has(b"upgraded, x-upgrade, up grade, \"upgrade\"", b"upgrade"));
        assert_eq!(trim(b" \t "), b"");
    }
}
