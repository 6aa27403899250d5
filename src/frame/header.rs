//! Encoding and decoding of one frame header (RFC 6455 section 5.2).
//!
//! This file checks every rule that a header can break on its own. These rules concern the opcode, control frames, and
//! the shortest form of the length. [`Decoder`](super::Decoder) checks the rules that depend on the role, on extensions
//! or on earlier frames.
//!
//! ```text
//!  byte 0: FIN RSV1 RSV2 RSV3 opcode(4)
//!  byte 1: MASK length(7)        0 to 125: the length itself
//!                                126: a 16-bit length follows; 127: a 64-bit length follows
//!  0, 2 or 8 bytes: the extended length, big endian
//!  0 or 4 bytes:    the masking key, if MASK is set
//! ```

use super::{Mask, Opcode};
use crate::error::ProtocolError;

/// The length of the longest header in bytes: two bytes, a 64-bit length and a masking key.
pub const MAX_HEADER_LEN: usize = 14;
/// The longest payload of a control frame in bytes (RFC 6455 section 5.5).
pub const MAX_CONTROL_PAYLOAD: usize = 125;
/// The longest payload of any frame in bytes: 2^63 - 1 (RFC 6455 section 5.2).
pub const MAX_PAYLOAD_LEN: u64 = u64::MAX >> 1;

/// The FIN bit in the first byte.
const FIN: u8 = 0x80;
/// The MASK bit in the second byte.
const MASKED: u8 = 0x80;
/// The 7-bit length that announces a 16-bit length.
const LEN_16: u8 = 126;
/// The 7-bit length that announces a 64-bit length.
const LEN_64: u8 = 127;

/// A frame header (RFC 6455 section 5.2).
///
/// ```
/// use hybi::frame::{Header, Opcode};
///
/// // The masked "Hello" from section 5.7.
/// let bytes = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
/// let (header, len) = Header::decode(&bytes).unwrap().unwrap();
/// assert_eq!((header.opcode, header.fin, header.payload_len, len), (Opcode::Text, true, 5, 6));
///
/// let mut out = [0; hybi::frame::MAX_HEADER_LEN];
/// let written = header.encode(&mut out);
/// assert_eq!(out[..written], bytes[..6]);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Whether this frame is the last fragment of its message.
    pub fin: bool,
    /// The reserved bits: 4 is RSV1, 2 is RSV2, 1 is RSV3. The encoder ignores higher bits.
    pub rsv: u8,
    /// The type of the frame.
    pub opcode: Opcode,
    /// The masking key. Frames from a client have a key, and frames from a server have no key.
    pub masking_key: Option<[u8; 4]>,
    /// The length of the payload in bytes, at most [`MAX_PAYLOAD_LEN`].
    pub payload_len: u64,
}

impl Header {
    /// Decodes a header from the front of `bytes`.
    ///
    /// Returns the header and its length in bytes, or `None` if `bytes` end inside the header.
    ///
    /// Checks the rules that a header can break on its own. The caller or [`Decoder`](super::Decoder) checks masking
    /// and reserved bits, because these depend on the role and on extensions.
    ///
    /// # Errors
    ///
    /// Returns an error as soon as `bytes` contain the byte that breaks a rule. A 64-bit length that is not minimal is
    /// reported when `bytes` contain the whole length. After an error, the caller must fail the connection
    /// with [`close_code`](ProtocolError::close_code).
    ///
    /// - [`UnknownOpcode`](ProtocolError::UnknownOpcode): the opcode is reserved.
    /// - [`ControlFragmented`](ProtocolError::ControlFragmented): a control frame without FIN.
    /// - [`ControlTooLong`](ProtocolError::ControlTooLong): a control frame with more than
    ///   [`MAX_CONTROL_PAYLOAD`] bytes.
    /// - [`CloseBodyOfOneByte`](ProtocolError::CloseBodyOfOneByte): a Close frame with a payload of one byte.
    /// - [`LengthNotMinimal`](ProtocolError::LengthNotMinimal): the length is not in its shortest form.
    /// - [`LengthTopBit`](ProtocolError::LengthTopBit): the top bit of a 64-bit length is set.
    #[inline]
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, ProtocolError> {
        let &[first, ref rest @ ..] = bytes else { return Ok(None) };
        // RFC 6455 5.2: if an unknown opcode is received, the receiver fails the connection.
        let Some(opcode) = Opcode::from_bits(first) else {
            return Err(ProtocolError::UnknownOpcode(first & 0x0F));
        };
        let fin = first & FIN != 0;
        // RFC 6455 5.5: control frames must not be fragmented.
        if opcode.is_control() && !fin {
            return Err(ProtocolError::ControlFragmented);
        }
        let &[second, ref rest @ ..] = rest else { return Ok(None) };
        let short = second & !MASKED;
        // RFC 6455 5.5: control frames have a payload of at most 125 bytes.
        if opcode.is_control() && short >= LEN_16 {
            return Err(ProtocolError::ControlTooLong);
        }
        // RFC 6455 5.5.1: if there is a body, its first two bytes are the close code.
        if opcode == Opcode::Close && short == 1 {
            return Err(ProtocolError::CloseBodyOfOneByte);
        }
        let Some((payload_len, rest)) = extended_len(short, rest)? else { return Ok(None) };
        let (masking_key, rest) = if second & MASKED == 0 {
            (None, rest)
        } else {
            let Some((key, rest)) = rest.split_first_chunk() else { return Ok(None) };
            (Some(*key), rest)
        };
        let header = Self { fin, rsv: first >> 4 & 7, opcode, masking_key, payload_len };
        Ok(Some((header, bytes.len() - rest.len())))
    }

    /// Encodes the header into the front of `out`, with the length in its minimal form. Returns the number of
    /// bytes written.
    ///
    /// A length above [`MAX_PAYLOAD_LEN`] loses its top bit. Bytes of `out` after the header may be overwritten
    /// with zeros.
    #[inline]
    pub fn encode(&self, out: &mut [u8; MAX_HEADER_LEN]) -> usize {
        let masked = if self.masking_key.is_some() { MASKED } else { 0 };
        // The header is built in a 128-bit integer, with the first byte as the highest, and stored with one write. The
        // bytes after the header are overwritten by the payload, or are never sent.
        let first = u128::from(Self::first_byte(self.fin, self.rsv, self.opcode)) << 120;
        // RFC 6455 5.2: the length must be encoded in the minimal number of bytes.
        let (mut word, len) = if let Ok(len @ 0..=125) = u8::try_from(self.payload_len) {
            (first | u128::from(masked | len) << 112, 2)
        } else if let Ok(len) = u16::try_from(self.payload_len) {
            (first | u128::from(masked | LEN_16) << 112 | u128::from(len) << 96, 4)
        } else {
            (
                first
                    | u128::from(masked | LEN_64) << 112
                    | u128::from(self.payload_len & MAX_PAYLOAD_LEN) << 48,
                10,
            )
        };
        let mut total = len;
        if let Some(key) = self.masking_key {
            word |= u128::from(u32::from_be_bytes(key)) << (80 - 8 * (len - 2));
            total += 4;
        }
        if let Some((head, _)) = word.to_be_bytes().split_first_chunk() {
            *out = *head;
        }
        total
    }

    /// Returns the length of this header in bytes, 2 to [`MAX_HEADER_LEN`].
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        let len = match self.payload_len {
            0..=125 => 2,
            126..=0xFFFF => 4,
            _ => 10,
        };
        if self.masking_key.is_some() { len + 4 } else { len }
    }

    /// Returns the mask for this header's payload. Without a masking key the mask consists of zeros and changes
    /// nothing.
    #[must_use]
    #[inline]
    pub fn mask(&self) -> Mask {
        Mask::new(self.masking_key.unwrap_or_default())
    }

    /// Returns the first byte of a header.
    #[inline]
    pub(crate) const fn first_byte(fin: bool, rsv: u8, opcode: Opcode) -> u8 {
        (if fin { FIN } else { 0 }) | (rsv & 7) << 4 | opcode.bits()
    }
}

/// Returns the length of the payload, and the bytes after the length. `short` is the 7-bit length. If it announces an
/// extended length, that length is read from `rest`. Returns `None` if `rest` is too short for the extended length.
#[inline]
fn extended_len(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, ProtocolError> {
    match short {
        LEN_16 => {
            let Some((len, rest)) = rest.split_first_chunk() else { return Ok(None) };
            let len = u16::from_be_bytes(*len);
            // RFC 6455 5.2: the length must be encoded in the minimal number of bytes.
            if len < 126 {
                return Err(ProtocolError::LengthNotMinimal);
            }
            Ok(Some((len.into(), rest)))
        }
        LEN_64 => {
            // RFC 6455 5.2: the most significant bit of a 64-bit length must be 0.
            if rest.first().is_some_and(|byte| byte & 0x80 != 0) {
                return Err(ProtocolError::LengthTopBit);
            }
            let Some((len, rest)) = rest.split_first_chunk() else { return Ok(None) };
            let len = u64::from_be_bytes(*len);
            if len <= 0xFFFF {
                return Err(ProtocolError::LengthNotMinimal);
            }
            Ok(Some((len, rest)))
        }
        _ => Ok(Some((short.into(), rest))),
    }
}

/// Returns the lengths of header and payload of a frame that this crate encoded, or `None` if `bytes` end
/// inside the header.
pub(crate) fn frame_len(bytes: &[u8]) -> Option<(usize, usize)> {
    let (header, len) = Header::decode(bytes).ok()??;
    Some((len, usize::try_from(header.payload_len).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTHS: [u64; 10] = [0, 1, 125, 126, 127, 0xFFFF, 0x1_0000, 0xFFFF_FFFF, 1 << 40, MAX_PAYLOAD_LEN];

    fn all_headers() -> impl Iterator<Item = Header> {
        let opcodes =
            [Opcode::Continuation, Opcode::Text, Opcode::Binary, Opcode::Close, Opcode::Ping, Opcode::Pong];
        opcodes.into_iter().flat_map(|opcode| {
            LENGTHS.into_iter().flat_map(move |payload_len| {
                (0..32).map(move |bits: u8| Header {
                    fin: bits & 1 != 0,
                    rsv: bits >> 1 & 7,
                    opcode,
                    masking_key: (bits & 16 != 0).then_some([0x37, 0xfa, 0x21, 0x3d]),
                    payload_len,
                })
            })
        })
    }

    #[test]
    fn s5_2_a_decoded_header_equals_the_encoded_one_and_a_cut_header_is_incomplete() {
        for header in all_headers() {
            let mut out = [0; MAX_HEADER_LEN];
            let len = header.encode(&mut out);
            assert_eq!(len, header.encoded_len());
            let legal = !header.opcode.is_control()
                || header.fin
                    && header.payload_len <= 125
                    && (header.opcode, header.payload_len) != (Opcode::Close, 1);
            if legal {
                for cut in 0..len {
                    assert_eq!(Header::decode(&out[..cut]), Ok(None), "{header:?} cut at {cut}");
                }
                assert_eq!(Header::decode(&out[..len]), Ok(Some((header, len))));
            } else {
                assert!(Header::decode(&out[..len]).is_err(), "{header:?}");
            }
        }
    }

    #[test]
    fn s5_2_a_length_that_is_not_minimal_fails() {
        for bytes in [&[0x82, 126, 0, 0][..], &[0x82, 126, 0, 125]] {
            assert_eq!(Header::decode(bytes), Err(ProtocolError::LengthNotMinimal));
        }
        for len in [0, 125, 126, 0xFFFFu64] {
            let mut bytes = std::vec![0x82, 127];
            bytes.extend(len.to_be_bytes());
            assert_eq!(Header::decode(&bytes), Err(ProtocolError::LengthNotMinimal));
            assert_eq!(Header::decode(&bytes[..9]), Ok(None));
        }
    }

    #[test]
    fn s5_2_a_length_with_its_top_bit_set_fails_at_the_first_byte_of_the_length() {
        assert_eq!(Header::decode(&[0x82, 127, 0x80]), Err(ProtocolError::LengthTopBit));
        assert_eq!(Header::decode(&[0x82, 127, 0x7f]), Ok(None));
    }

    #[test]
    fn s5_2_a_reserved_opcode_fails_at_the_first_byte() {
        for bits in (3..8).chain(11..16u8) {
            assert_eq!(Header::decode(&[0x80 | bits]), Err(ProtocolError::UnknownOpcode(bits)));
            assert_eq!(Header::decode(&[bits]), Err(ProtocolError::UnknownOpcode(bits)));
        }
    }

    #[test]
    fn s5_5_long_or_fragmented_control_frames_fail() {
        for opcode in [0x8, 0x9, 0xA] {
            assert_eq!(Header::decode(&[opcode]), Err(ProtocolError::ControlFragmented));
            for len in [126, 127, 254, 255] {
                assert_eq!(Header::decode(&[0x80 | opcode, len]), Err(ProtocolError::ControlTooLong));
            }
        }
    }

    #[test]
    fn s5_5_1_a_close_body_of_one_byte_fails() {
        assert_eq!(Header::decode(&[0x88, 1]), Err(ProtocolError::CloseBodyOfOneByte));
        assert_eq!(Header::decode(&[0x88, 0x81]), Err(ProtocolError::CloseBodyOfOneByte));
    }

    #[test]
    fn frame_len_returns_the_lengths_of_header_and_payload() {
        let mut out = [0; MAX_HEADER_LEN];
        for header in all_headers().filter(|h| !h.opcode.is_control() && h.payload_len <= 0xFFFF_FFFF) {
            let len = header.encode(&mut out);
            assert_eq!(frame_len(&out), Some((len, header.payload_len as usize)));
        }
        assert_eq!(frame_len(&[]), None);
    }
}
