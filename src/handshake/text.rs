//! Byte classes and small parsers that all files of the handshake share.
//!
//! A head consists mostly of long runs of bytes of one class: a name, a value, a target. [`ByteClass::run_len`]
//! measures such a run. The function examines nearly every byte of a head.
//!
//! `run_len` loads vectors of 16 bytes. Comparing a vector with every member of a class would be slow, so `flag_common`
//! flags only the frequent members. The frequent members of a token are letters, digits, `-` and `_`. The first byte
//! without a flag is looked up in a table. In nearly all cases this byte ends the run. Otherwise the search continues
//! after the byte. If fewer than 16 bytes remain, each of them is looked up.
//!
//! The result is correct because a flag is set only for members of the class, and the table decides about all other
//! bytes. The test `vector_searches_equal_searches_byte_by_byte` compares the result with a search byte by byte.

use core::fmt;

use crate::kernel::{LANES, U8x16};

/// Returns whether `byte` may appear in a token (RFC 9110 section 5.6.2).
pub(crate) const fn is_tchar(byte: u8) -> bool {
    matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~'
        | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z')
}

/// Returns whether `byte` may appear in a header value or a reason phrase (RFC 9110 section 5.5). These bytes are
/// tab, space, visible characters, and bytes from 0x80 on (obs-text).
pub(crate) const fn is_value_byte(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

/// Returns whether `byte` may appear in a request target.
///
/// RFC 3986 allows fewer characters, but browsers send some other characters (`|`, `^`) unescaped. RFC 6455
/// section 3 and RFC 9112 section 3.2 allow no fragment, so `#` is excluded.
pub(crate) const fn is_target_byte(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~') && byte != b'#'
}

/// A request target. `Debug` output replaces its query, which can contain a token and must not appear in a log.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TargetText<'a>(pub(crate) &'a str);

impl fmt::Debug for TargetText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match split_once(self.0, b'?') {
            Some((path, _)) => write!(f, "\"{}?…\"", path.escape_debug()),
            None => fmt::Debug::fmt(self.0, f),
        }
    }
}

/// A subprotocol that was chosen. `Debug` output hides it, because some applications put a token into a subprotocol.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Subprotocol<T>(pub(crate) T);

impl<T> fmt::Debug for Subprotocol<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

/// Returns whether `byte` may appear in a registered name (RFC 3986 section 3.2.2), apart from
/// percent-encoding.
///
/// The comma is excluded although the RFC allows it. No host name contains a comma. A `Host` header with a comma
/// consists of two headers that a proxy has merged.
pub(crate) const fn is_reg_name_byte(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~'
        | b'!' | b'$' | b'&' | b'\'' | b'('..=b'+' | b';' | b'=')
}

/// Returns whether `byte` is a base64 digit (RFC 4648 section 4), without the padding.
pub(crate) const fn is_base64_byte(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'+' | b'/')
}

/// A set of bytes: one bit in each entry of [`CLASSES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ByteClass(u8);

impl ByteClass {
    /// The bytes of a token; see [`is_tchar`].
    pub(crate) const TCHAR: Self = Self(1);
    /// The bytes of a request target; see [`is_target_byte`].
    pub(crate) const TARGET: Self = Self(2);
    /// The bytes of a header value; see [`is_value_byte`].
    pub(crate) const VALUE: Self = Self(4);
    /// The bytes of a registered name; see [`is_reg_name_byte`].
    pub(crate) const REG_NAME: Self = Self(8);
    /// The base64 digits; see [`is_base64_byte`].
    pub(crate) const BASE64: Self = Self(16);

    /// Returns the number of bytes at the start of `bytes` that belong to this class. The documentation at the top of
    /// this file explains the fast path.
    #[inline]
    pub(crate) fn run_len(self, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        while let Some((vector, after)) = rest.split_first_chunk::<LANES>() {
            let common = self.flag_common(U8x16::load(vector)).leading_flags();
            if common == LANES {
                rest = after;
                continue;
            }
            // The first byte of `rest` has no flag. Either it is a rare member of the class, or it ends the run.
            rest = rest.get(common..).unwrap_or_default();
            match rest.split_first() {
                Some((&byte, after)) if self.contains(byte) => rest = after,
                _ => return bytes.len() - rest.len(),
            }
        }
        bytes.len() - rest.len() + rest.iter().take_while(|&&byte| self.contains(byte)).count()
    }

    /// Returns whether `byte` belongs to this class.
    fn contains(self, byte: u8) -> bool {
        CLASSES.get(usize::from(byte)).is_some_and(|bits| bits & self.0 != 0)
    }

    /// Flags the frequent members of this class. A rare member may get no flag. A byte that is not a member never
    /// gets a flag.
    fn flag_common(self, vector: U8x16) -> U8x16 {
        let alphanumeric =
            || vector.or(U8x16::splat(0x20)).in_range(b'a', b'z').or(vector.in_range(b'0', b'9'));
        match self {
            Self::TCHAR => alphanumeric().or(vector.in_range(b'-', b'-')).or(vector.in_range(b'_', b'_')),
            Self::REG_NAME => alphanumeric().or(vector.in_range(b'-', b'.')),
            Self::BASE64 => alphanumeric(),
            Self::TARGET => vector.in_range(b'$', b'~').or(vector.in_range(b'!', b'"')),
            // The flag of a byte is its highest bit, which is set in every byte of obs-text.
            _ => vector.in_range(b' ', b'~').or(vector),
        }
    }
}

/// Returns the position of the first `byte`.
pub(crate) fn find_byte(bytes: &[u8], byte: u8) -> Option<usize> {
    let mut rest = bytes;
    while let Some((vector, after)) = rest.split_first_chunk::<LANES>() {
        // The XOR turns each `byte` into zero, and `in_range` flags the zeros. The flags are then inverted, so that
        // the number of leading flags is the number of bytes before the first `byte`.
        let others = U8x16::load(vector)
            .xor(U8x16::splat(byte))
            .in_range(0, 0)
            .xor(U8x16::splat(0x80))
            .leading_flags();
        if others < LANES {
            return Some(bytes.len() - rest.len() + others);
        }
        rest = after;
    }
    let at = rest.iter().position(|&one| one == byte)?;
    Some(bytes.len() - rest.len() + at)
}

/// For each byte, the classes that contain it.
static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0_u8;
    loop {
        let mut bits = 0;
        if is_tchar(byte) {
            bits |= ByteClass::TCHAR.0;
        }
        if is_target_byte(byte) {
            bits |= ByteClass::TARGET.0;
        }
        if is_value_byte(byte) {
            bits |= ByteClass::VALUE.0;
        }
        if is_base64_byte(byte) {
            bits |= ByteClass::BASE64.0;
        }
        if is_reg_name_byte(byte) {
            bits |= ByteClass::REG_NAME.0;
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

/// Splits `text` at the first `separator`, which must be ASCII.
pub(crate) fn split_once(text: &str, separator: u8) -> Option<(&str, &str)> {
    let at = find_byte(text.as_bytes(), separator)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// Returns whether `text` is a token.
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && ByteClass::TCHAR.run_len(text) == text.len()
}

/// Returns whether `text` equals `lower` without regard to case. `lower` must consist of lower-case letters and
/// hyphens. `text` must be a header name or a part of a value.
#[inline(always)]
pub(crate) fn eq_lowercase<const N: usize>(text: &[u8], lower: &[u8; N]) -> bool {
    // All bytes are compared at once, without a branch for each. Setting bit 0x20 changes a letter to lower case
    // and leaves a hyphen unchanged. CR is the only other byte that becomes a hyphen, and neither a name nor a
    // value contains CR.
    let Ok(text) = <&[u8; N]>::try_from(text) else { return false };
    text.iter().zip(lower).fold(0, |differs, (is, wanted)| differs | (is | 0x20) ^ wanted) == 0
}

/// Returns whether `byte` is optional whitespace (OWS).
pub(crate) const fn is_ows(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Returns `value` without the optional whitespace around it (RFC 9112 section 5).
pub(crate) const fn trim_ows(mut value: &[u8]) -> &[u8] {
    // The common case is one space before the value, and no other whitespace.
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

/// Returns the elements of a comma-separated list (RFC 9110 section 5.6.1).
///
/// Empty elements are skipped, as RFC 9110 section 5.6.1.2 requires of a recipient. RFC 2616 section 2.1 requires the
/// same for the `#` rule, the notation for lists in RFC 6455.
pub(crate) fn list_elements(value: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    value.split(|&byte| byte == b',').map(trim_ows).filter(|element| !element.is_empty())
}

/// Returns whether an element of the comma-separated list `value` equals `lower`, compared with [`eq_lowercase`]. A
/// part of an element is not enough.
pub(crate) fn list_contains<const N: usize>(value: &[u8], lower: &[u8; N]) -> bool {
    // The common case is a list of one element.
    eq_lowercase(value, lower) || list_elements(value).any(|element| eq_lowercase(element, lower))
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn s9110_5_6_2_tchars_are_those_of_the_rfc() {
        let tchars: Vec<u8> = (0..=255).filter(|&byte| is_tchar(byte)).collect();
        let mut want = Vec::from(*b"!#$%&'*+-.^_`|~");
        want.extend((0..128).filter(u8::is_ascii_alphanumeric));
        want.sort_unstable();
        assert_eq!(tchars, want);
    }

    #[test]
    fn vector_searches_equal_searches_byte_by_byte() {
        // The last three of these bytes are rare members of some classes.
        for fill in [b'a', b'~', b'+', b'\t'] {
            let mut bytes = [fill; 43];
            for at in 0..43 {
                for byte in 0..=255 {
                    bytes[at] = byte;
                    for from in [0, 11] {
                        let part = &bytes[from..];
                        let by_bytes = |is: fn(u8) -> bool| part.iter().take_while(|&&byte| is(byte)).count();
                        assert_eq!(ByteClass::VALUE.run_len(part), by_bytes(is_value_byte));
                        assert_eq!(ByteClass::TCHAR.run_len(part), by_bytes(is_tchar));
                        assert_eq!(ByteClass::TARGET.run_len(part), by_bytes(is_target_byte));
                        assert_eq!(ByteClass::REG_NAME.run_len(part), by_bytes(is_reg_name_byte));
                        assert_eq!(ByteClass::BASE64.run_len(part), by_bytes(is_base64_byte));
                        assert_eq!(find_byte(part, byte), part.iter().position(|&one| one == byte));
                    }
                }
                bytes[at] = fill;
            }
        }
    }

    #[test]
    fn s9110_5_1_names_are_compared_without_regard_to_case() {
        let same = [&b"sec-websocket-key"[..], b"SEC-WEBSOCKET-KEY", b"Sec-WebSocket-Key"];
        assert!(same.iter().all(|name| eq_lowercase(name, b"sec-websocket-key")));
        for other in [&b""[..], b"sec-websocket-ke", b"sec-websocket-keys", b"sec_websocket-key"] {
            assert!(!eq_lowercase(other, b"sec-websocket-key"));
        }
        // Among all bytes in names and values, only the two cases of a letter are equal.
        for (byte, lower) in (0..=255)
            .filter(|&byte| is_value_byte(byte))
            .flat_map(|byte| (b'a'..=b'z').chain([b'-']).map(move |lower| (byte, lower)))
        {
            assert_eq!(eq_lowercase(&[byte], &[lower]), byte.eq_ignore_ascii_case(&lower));
        }
    }

    #[test]
    fn s9110_5_6_1_lists_skip_empty_elements() {
        let all: Vec<_> = list_elements(b",a ,\t, b c,,").collect();
        assert_eq!(all, [&b"a"[..], b"b c"]);
        assert!(list_contains(b"keep-alive, UPGRADE", b"upgrade"));
        assert!(!list_contains(b"upgraded, x-upgrade, up grade, \"upgrade\"", b"upgrade"));
        assert_eq!(trim_ows(b" \t "), b"");
    }
}
