//! Masking of payloads (RFC 6455 section 5.3).

use crate::arch;

/// A masking key and how far into it a payload has come (RFC 6455 section 5.3).
///
/// A payload may be masked or unmasked in pieces of any length; the phase is carried from one to the
/// next. Masking and unmasking are the same operation.
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
pub struct Mask(u32);

impl Mask {
    /// A mask at the start of a payload.
    #[must_use]
    #[inline]
    pub const fn new(key: [u8; 4]) -> Self {
        Self(u32::from_le_bytes(key))
    }

    /// Masks or unmasks the next `data.len()` bytes of the payload where they lie.
    #[inline]
    pub fn apply(&mut self, data: &mut [u8]) {
        if !self.is_zero() {
            arch::xor_in_place(data, self.0);
            self.advance(data.len());
        }
    }

    /// As [`Self::apply`]; whether what comes out is ASCII.
    #[inline]
    pub(crate) fn apply_to_ascii(&mut self, data: &mut [u8]) -> bool {
        let ascii = arch::xor_to_ascii(data, self.0);
        self.advance(data.len());
        ascii
    }

    /// Whether this mask changes nothing: that of a frame without a masking key, nearly always.
    #[inline]
    pub(crate) const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Masks or unmasks the next bytes of the payload from `from` to the front of `to`, as many as the
    /// shorter of the two holds, and gives their number.
    #[inline]
    pub fn copy(&mut self, from: &[u8], to: &mut [u8]) -> usize {
        let len = arch::xor_copy(from, to, self.0);
        self.advance(len);
        len
    }

    /// Passes over `len` bytes of the payload.
    #[inline]
    pub(crate) fn advance(&mut self, len: usize) {
        // RFC 6455 5.3: octet i of the payload is masked with octet i modulo 4 of the key.
        self.0 = arch::turn(self.0, len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s5_3_phase_is_carried_over_any_cut() {
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
    fn s5_3_what_comes_out_is_known_to_be_ascii_or_not() {
        for plain in ["Hello", "Grüße", "\u{7f}", "\u{80}", ""] {
            let mut mask = Mask::new([0x37, 0xfa, 0x21, 0x3d]);
            let (mut unmask, mut data) = (mask, plain.as_bytes().to_vec());
            mask.apply(&mut data);
            assert_eq!(unmask.apply_to_ascii(&mut data), plain.is_ascii(), "{plain:?}");
            assert_eq!((data.as_slice(), unmask), (plain.as_bytes(), mask));
        }
    }

    #[test]
    fn s5_1_a_frame_without_a_key_needs_no_pass() {
        assert!(Mask::new([0; 4]).is_zero());
        for key in [[1, 0, 0, 0], [0, 0, 0, 1]] {
            assert!(!Mask::new(key).is_zero());
        }
    }
}
