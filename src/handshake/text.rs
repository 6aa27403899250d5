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
    fn s9110_5_6_1_lists_skip_empty_elements() {
        let all: Vec<_> = elements(b",a ,\t, b c,,").collect();
        assert_eq!(all, [&b"a"[..], b"b c"]);
        assert!(list_has(b"keep-alive, UPGRADE", b"upgrade"));
        assert!(!list_has(b"upgraded, x-upgrade, up grade, \"upgrade\"", b"upgrade"));
        assert_eq!(trim(b" \t "), b"");
    }
}
