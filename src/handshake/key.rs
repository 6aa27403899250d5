//! `Sec-WebSocket-Key` and `Sec-WebSocket-Accept` (RFC 6455 sections 4.1 (7) and 4.2.2 (5.4)).
//!
//! This file computes both values and checks the form of a received key. The caller generates the nonce, which is the
//! 16 random bytes of a key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::text::ByteClass;

/// RFC 6455 1.3: the constant that a server appends to the key before hashing. The hash proves that the server
/// speaks the WebSocket protocol.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Returns the `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key` (RFC 6455 section 4.2.2 (5.4)).
///
/// The result is the base64 of the SHA-1 of the key followed by a constant. Pass the key as it was sent, without
/// whitespace around it.
///
/// ```
/// use hybi::handshake::accept_key;
///
/// assert_eq!(&accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
#[must_use]
pub fn accept_key(key: &[u8]) -> [u8; 28] {
    let mut sha1 = sha1_smol::Sha1::new();
    sha1.update(key);
    sha1.update(GUID);
    encode(&sha1.digest().bytes())
}

/// Returns the `Sec-WebSocket-Key` for `nonce`: 16 random bytes, which must be fresh for each connection (RFC
/// 6455 section 4.1 (7)).
///
/// ```
/// use hybi::handshake::encode_nonce;
///
/// assert_eq!(&encode_nonce(*b"the sample nonce"), b"dGhlIHNhbXBsZSBub25jZQ==");
/// ```
#[must_use]
pub fn encode_nonce(nonce: [u8; 16]) -> [u8; 24] {
    encode(&nonce)
}

/// Returns whether `key` decodes to 16 bytes (RFC 6455 section 4.2.1 (5)): 22 base64 digits and two `=`.
///
/// The last digit has four bits that belong to no byte. RFC 4648 section 3.5 allows a decoder to refuse keys
/// in which these bits are set. This function accepts such keys, because the key in the example of RFC 6455 section 4.1
/// (7) has such bits. The bits have no effect: the accept value is computed from the text of the key.
pub(crate) fn is_key(key: &[u8]) -> bool {
    match key {
        [digits @ .., b'=', b'='] => digits.len() == 22 && ByteClass::BASE64.run_len(digits) == 22,
        _ => false,
    }
}

/// Returns the base64 of `bytes`. The base64 must have exactly `N` characters.
fn encode<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut text = [b'='; N];
    // Both callers provide exactly the required space, so there is no error to report.
    let written = STANDARD.encode_slice(bytes, &mut text);
    debug_assert_eq!(written, Ok(N));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s1_3_the_accept_value_equals_the_example() {
        assert_eq!(&accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn s4_2_1_5_a_key_decodes_to_16_bytes() {
        assert!(is_key(b"dGhlIHNhbXBsZSBub25jZQ=="));
        assert!(is_key(b"AAAAAAAAAAAAAAAAAAAAAA=="));
        assert!(is_key(&encode_nonce([0xff; 16])));
        // The example of section 4.1 (7), whose last digit has bits that belong to none of the 16 bytes.
        assert!(is_key(b"AQIDBAUGBwgJCgsMDQ4PEC=="));
        assert!(is_key(b"dGhlIHNhbXBsZSBub25jZR=="));
        assert!(is_key(b"/////////////////////+=="));
        let bad: [&[u8]; 13] = [
            b"",
            b"AAAAAAAAAAAAAAAAAAAAAAA=",
            b"AAAAAAAAAAAAAAAAAAAAAAAA",
            b"AAAAAAAAAAAAAAAAAAAA",
            b"AAAAAAAAAAAAAAAAAAAAAA",
            b"dGhlIHNhbXBs ZSBub25jZQ=",
            b"dGhlIHNhbXBsZSBub25jZ===",
            b"dGhlIHNhbXBsZSBub25jZR=R",
            b"dGhlIHNhbXBsZSBub25jZR",
            b"AdGhlIHNhbXBsZSBub25jZR==",
            b"dGhlIHNhbXBsZSBub25j_-==",
            b"dGhlIHNhbXBsZSBub25jZ\xd1==",
            b"========================",
        ];
        for key in bad {
            assert!(!is_key(key), "{key:?}");
        }
    }
}
