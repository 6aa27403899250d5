//! Character classes and small readers that every part of the handshake shares.

use crate::arch::{LANE, Lane};

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

/// RFC 3986 3.2.2: what may stand in a registered name, percent-encoding aside, and no comma: no host
/// has one, and a `Host` with one is two that some proxy merged.
pub(crate) const fn is_reg_name_byte(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~'
        | b'!' | b'$' | b'&' | b'\'' | b'('..=b'+' | b';' | b'=')
}

/// RFC 4648 4: the alphabet, without the padding.
pub(crate) const fn is_base64_byte(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'+' | b'/')
}

/// A set of bytes, for runs of them: one bit of [`CLASSES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Class(u8);

impl Class {
    pub(crate) const TCHAR: Self = Self(1);
    pub(crate) const TARGET: Self = Self(2);
    pub(crate) const VALUE: Self = Self(4);
    pub(crate) const REG_NAME: Self = Self(8);
    pub(crate) const BASE64: Self = Self(16);

    /// How many bytes at the beginning of `bytes` are of this class.
    #[inline]
    pub(crate) fn run(self, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        while let Some((lane, behind)) = rest.split_first_chunk::<LANE>() {
            let common = self.common(Lane::load(lane)).flagged();
            if common == LANE {
                rest = behind;
                continue;
            }
            // What ends a run of common bytes ends the whole run nearly always.
            rest = rest.get(common..).unwrap_or_default();
            match rest.split_first() {
                Some((&byte, behind)) if self.has(byte) => rest = behind,
                _ => return bytes.len() - rest.len(),
            }
        }
        bytes.len() - rest.len() + rest.iter().take_while(|&&byte| self.has(byte)).count()
    }

    fn has(self, byte: u8) -> bool {
        CLASSES.get(usize::from(byte)).is_some_and(|bits| bits & self.0 != 0)
    }

    /// Flags bytes of this class: not all, where some are rare.
    fn common(self, lane: Lane) -> Lane {
        let alphanumeric = || lane.or(Lane::of(0x20)).between(b'a', b'z').or(lane.between(b'0', b'9'));
        match self {
            Self::TCHAR => alphanumeric().or(lane.between(b'-', b'-')).or(lane.between(b'_', b'_')),
            Self::REG_NAME => alphanumeric().or(lane.between(b'-', b'.')),
            Self::BASE64 => alphanumeric(),
            Self::TARGET => lane.between(b'$', b'~').or(lane.between(b'!', b'"')),
            // obs-text has that bit
            _ => lane.between(b' ', b'~').or(lane),
        }
    }
}

/// Where the first `byte` is.
pub(crate) fn find(bytes: &[u8], byte: u8) -> Option<usize> {
    let mut rest = bytes;
    while let Some((lane, behind)) = rest.split_first_chunk::<LANE>() {
        // Zero is what is left of `byte`.
        let others = Lane::load(lane).xor(Lane::of(byte)).between(0, 0).xor(Lane::of(0x80)).flagged();
        if others < LANE {
            return Some(bytes.len() - rest.len() + others);
        }
        rest = behind;
    }
    let at = rest.iter().position(|&one| one == byte)?;
    Some(bytes.len() - rest.len() + at)
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
        if is_base64_byte(byte) {
            bits |= Class::BASE64.0;
        }
        if is_reg_name_byte(byte) {
            bits |= Class::REG_NAME.0;
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

/// What stands before and behind the first `separator`, which is ASCII.
pub(crate) fn split_once(text: &str, separator: u8) -> Option<(&str, &str)> {
    let at = find(text.as_bytes(), separator)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// Whether `text` is a token.
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && Class::TCHAR.run(text) == text.len()
}

/// Whether `text`, a name or a part of a value, is `lower` in any case: lower-case letters and hyphens.
#[inline(always)]
pub(crate) fn is_word<const N: usize>(text: &[u8], lower: &[u8; N]) -> bool {
    // All bytes at once. The bit that is case in a letter is set in a hyphen too, and what a hyphen is
    // without it, CR, is neither in names nor in values.
    let Ok(text) = <&[u8; N]>::try_from(text) else { return false };
    text.iter().zip(lower).fold(0, |differs, (is, wanted)| differs | (is | 0x20) ^ wanted) == 0
}

/// Whether `byte` is optional whitespace (OWS).
pub(crate) const fn is_ows(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// RFC 9112 5: `value` without the optional whitespace around it.
pub(crate) const fn trim(mut value: &[u8]) -> &[u8] {
    // Nearly always one space stands in front, and that is all.
    if let [b' ', rest @ ..] = value {
        value = rest;
    }
    match value {
        [first, .., last] if *first > b' ' && *last > b' ' => return value,
        _ => {}
    }
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

/// Whether the list holds `lower`, as [`is_word`] has it: a comparison of whole elements, never a
/// substring.
pub(crate) fn list_has<const N: usize>(value: &[u8], lower: &[u8; N]) -> bool {
    // Nearly always it is the only element.
    is_word(value, lower) || elements(value).any(|element| is_word(element, lower))
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
    fn runs_and_searches_by_lanes_are_those_by_bytes() {
        // The second and the third are rare in some classes.
        for fill in [b'a', b'~', b'+', b'\t'] {
            let mut bytes = [fill; 43];
            for at in 0..43 {
                for byte in 0..=255 {
                    bytes[at] = byte;
                    for from in [0, 11] {
                        let part = &bytes[from..];
                        let by_bytes = |is: fn(u8) -> bool| part.iter().take_while(|&&byte| is(byte)).count();
                        assert_eq!(Class::VALUE.run(part), by_bytes(is_value_byte));
                        assert_eq!(Class::TCHAR.run(part), by_bytes(is_tchar));
                        assert_eq!(Class::TARGET.run(part), by_bytes(is_target_byte));
                        assert_eq!(Class::REG_NAME.run(part), by_bytes(is_reg_name_byte));
                        assert_eq!(Class::BASE64.run(part), by_bytes(is_base64_byte));
                        assert_eq!(find(part, byte), part.iter().position(|&one| one == byte));
                    }
                }
                bytes[at] = fill;
            }
        }
    }

    #[test]
    fn s9110_5_1_words_are_compared_without_regard_to_case() {
        let same = [&b"sec-websocket-key"[..], b"SEC-WEBSOCKET-KEY", b"Sec-WebSocket-Key"];
        assert!(same.iter().all(|name| is_word(name, b"sec-websocket-key")));
        for other in [&b""[..], b"sec-websocket-ke", b"sec-websocket-keys", b"sec_websocket-key"] {
            assert!(!is_word(other, b"sec-websocket-key"));
        }
        // Among all that stands in names and values, the two cases of a letter alone are one.
        for (byte, lower) in (0..=255)
            .filter(|&byte| is_value_byte(byte))
            .flat_map(|byte| (b'a'..=b'z').chain([b'-']).map(move |lower| (byte, lower)))
        {
            assert_eq!(is_word(&[byte], &[lower]), byte.eq_ignore_ascii_case(&lower));
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
