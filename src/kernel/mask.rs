//! Masking of payloads (RFC 6455 section 5.3).
//!
//! [`Mask`] holds a masking key together with the position in the key for the next payload byte. A mask does not know
//! where a payload ends, so its owner creates a new mask for each frame.

use super::xor;

/// A masking key, and the position in the key for the next payload byte (RFC 6455 section 5.3).
///
/// A payload can be masked or unmasked in pieces of any length, because the mask keeps the position from one piece to
/// the next. Masking and unmasking are the same operation.
///
/// ```
/// use hybi::frame::Mask;
///
/// let mut data = *b"Hello";
/// let mut mask = Mask::new([0x37, 0xfa, 0x21, 0x3d]);
/// let (head, tail) = data.split_at_mut(3);
/// mask.apply(head);
/// mask.apply(tail);
/// assert_eq!(data, [0x7f, 0x9f, 0x4d, 0x51, 0x58]);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mask(
    /// The key, rotated so that its lowest byte masks the next payload byte.
    u32,
);

impl Mask {
    /// Returns the mask for the start of a payload.
    #[must_use]
    #[inline]
    pub const fn new(key: [u8; 4]) -> Self {
        Self(u32::from_le_bytes(key))
    }

    /// Masks or unmasks the next `data.len()` bytes of the payload in place.
    #[inline]
    pub fn apply(&mut self, data: &mut [u8]) {
        if !self.is_zero() {
            xor::xor_in_place(data, self.0);
            self.advance(data.len());
        }
    }

    /// Masks or unmasks the next `data.len()` bytes in place, and returns whether the result is ASCII.
    #[inline]
    pub(crate) fn apply_to_ascii(&mut self, data: &mut [u8]) -> bool {
        let ascii = xor::xor_to_ascii(data, self.0);
        self.advance(data.len());
        ascii
    }

    /// Returns whether the key is zero, so that this mask changes no byte. Nearly all such masks belong to frames
    /// without a masking key.
    #[inline]
    pub(crate) const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Masks or unmasks the next bytes of the payload while copying them from `from` to the front of `to`.
    ///
    /// Copies as many bytes as the shorter of the two slices holds, and returns their number.
    #[inline]
    pub fn copy(&mut self, from: &[u8], to: &mut [u8]) -> usize {
        let len = xor::xor_copy(from, to, self.0);
        self.advance(len);
        len
    }

    /// Skips `len` bytes of the payload.
    #[inline]
    pub(crate) fn advance(&mut self, len: usize) {
        // RFC 6455 5.3: octet i of the payload is masked with octet i modulo 4 of the key.
        self.0 = xor::rotate_key(self.0, len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s5_3_masking_in_pieces_equals_masking_at_once() {
        let key = [1, 2, 4, 8];
        let plain: std::vec::Vec<u8> = (0..100).collect();
        let masked: std::vec::Vec<u8> = plain.iter().enumerate().map(|(i, b)| b ^ key[i % 4]).collect();
        for first in 0..=100usize {
            for second in [first, first.div_ceil(2) + 50] {
                let second = second.clamp(first, 100);
                let (mut mask, mut data) = (Mask::new(key), masked.clone());
                mask.apply(&mut data[..first]);
                mask.apply(&mut data[first..second]);
                mask.apply(&mut data[second..]);
                assert_eq!(data, plain);

                let (mut mask, mut copy) = (Mask::new(key), [0; 100]);
                assert_eq!(mask.copy(&masked[..first], &mut copy), first);
                assert_eq!(mask.copy(&masked[first..], &mut copy[first..second]), second - first);
                assert_eq!(mask.copy(&masked[second..], &mut copy[second..]), 100 - second);
                assert_eq!(copy, plain[..]);
            }
        }
    }

    #[test]
    fn s5_3_unmasking_reports_whether_the_result_is_ascii() {
        for plain in ["Hello", "Grüße", "\u{7f}", "\u{80}", ""] {
            let mut mask = Mask::new([0x37, 0xfa, 0x21, 0x3d]);
            let (mut unmask, mut data) = (mask, plain.as_bytes().to_vec());
            mask.apply(&mut data);
            assert_eq!(unmask.apply_to_ascii(&mut data), plain.is_ascii(), "{plain:?}");
            assert_eq!((data.as_slice(), unmask), (plain.as_bytes(), mask));
        }
    }

    #[test]
    fn s5_1_only_the_zero_key_changes_nothing() {
        assert!(Mask::new([0; 4]).is_zero());
        for key in [[1, 0, 0, 0], [0, 0, 0, 1]] {
            assert!(!Mask::new(key).is_zero());
        }
    }
}
