//! A vector of sixteen bytes, in the register type that the target machine has.
//!
//! [`U8x16`] is the only type that other files use. Its methods document the operations. The methods call the functions
//! of one of two modules. Each module has its own type `Register`:
//! - `register` uses an SSE2 register. It is compiled for x86-64 targets with SSE2, so no check at run time is needed.
//! - `portable` uses a `u128`. It is compiled for all other targets, and for the tests on x86-64.
//!
//! Invariants:
//! - Both modules return the same results, as far as the documentation defines the results. The tests compare both with
//!   byte-by-byte code.
//! - `unsafe` is needed for two purposes. The code calls SSE2 intrinsics, which the `cfg` makes available. The code
//!   also converts between 16 bytes and a register of the same size.

/// The number of bytes in a [`U8x16`].
pub(crate) const LANES: usize = 16;

#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod register {
    use core::arch::x86_64::{
        __m128i, _mm_add_epi8, _mm_cmplt_epi8, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi32, _mm_xor_si128,
    };
    use core::mem::transmute;

    pub(super) type Register = __m128i;

    #[inline]
    pub(super) fn load(bytes: [u8; 16]) -> Register {
        // SAFETY: both types have 16 bytes, and every bit pattern is valid for both.
        unsafe { transmute(bytes) }
    }

    #[inline]
    pub(super) fn store(a: Register) -> [u8; 16] {
        // SAFETY: both types have 16 bytes, and every bit pattern is valid for both.
        unsafe { transmute(a) }
    }

    #[inline]
    pub(super) fn splat(key: u32) -> Register {
        // SAFETY: the `cfg` of this module guarantees SSE2.
        unsafe { _mm_set1_epi32(i32::from_ne_bytes(key.to_ne_bytes())) }
    }

    #[inline]
    pub(super) fn xor(a: Register, b: Register) -> Register {
        // SAFETY: the `cfg` of this module guarantees SSE2.
        unsafe { _mm_xor_si128(a, b) }
    }

    #[inline]
    pub(super) fn or(a: Register, b: Register) -> Register {
        // SAFETY: the `cfg` of this module guarantees SSE2.
        unsafe { _mm_or_si128(a, b) }
    }

    #[inline]
    pub(super) fn in_range(a: Register, first: u8, last: u8) -> Register {
        // SSE2 can compare only signed bytes. The values are shifted so that `first` becomes the smallest signed value.
        // Then one comparison with the end of the range is enough.
        let smallest = 0x80_u8;
        let end = load([smallest.wrapping_add(last - first + 1); 16]);
        let shift = load([smallest.wrapping_sub(first); 16]);
        // SAFETY: the `cfg` of this module guarantees SSE2.
        let shifted = unsafe { _mm_add_epi8(a, shift) };
        // SAFETY: the `cfg` of this module guarantees SSE2.
        unsafe { _mm_cmplt_epi8(shifted, end) }
    }

    #[inline]
    pub(super) fn is_ascii(a: Register) -> bool {
        high_bits(a) == 0
    }

    #[inline]
    pub(super) fn leading_flags(a: Register) -> u32 {
        high_bits(a).trailing_ones()
    }

    /// Returns the highest bit of each byte. The bit of the first byte is the lowest bit of the result.
    #[inline]
    fn high_bits(a: Register) -> i32 {
        // SAFETY: the `cfg` of this module guarantees SSE2.
        unsafe { _mm_movemask_epi8(a) }
    }
}

#[cfg(not(all(target_arch = "x86_64", target_feature = "sse2")))]
use portable as register;

#[cfg(any(test, not(all(target_arch = "x86_64", target_feature = "sse2"))))]
mod portable {
    pub(super) type Register = u128;

    /// The highest bit of each byte.
    const HIGH_BITS: Register = of(0x80);

    /// Returns sixteen copies of `byte`.
    const fn of(byte: u8) -> Register {
        Register::MAX / 0xFF * byte as Register
    }

    #[inline]
    pub(super) fn load(bytes: [u8; 16]) -> Register {
        Register::from_le_bytes(bytes)
    }

    #[inline]
    pub(super) fn store(a: Register) -> [u8; 16] {
        a.to_le_bytes()
    }

    #[inline]
    pub(super) fn splat(key: u32) -> Register {
        Register::MAX / Register::from(u32::MAX) * Register::from(key)
    }

    #[inline]
    pub(super) fn xor(a: Register, b: Register) -> Register {
        a ^ b
    }

    #[inline]
    pub(super) fn or(a: Register, b: Register) -> Register {
        a | b
    }

    #[inline]
    pub(super) fn in_range(a: Register, first: u8, last: u8) -> Register {
        // Each byte of `low` has seven bits, and the addends are at most 0x80. So no sum carries into the next byte.
        // The high bit of the first sum means `low >= first`, and that of the second sum means `low > last`. Bytes that
        // are not ASCII are excluded with `!a`.
        let low = a & !HIGH_BITS;
        let at_least_first = low + of(0x80 - first);
        let above_last = low + of(0x7F - last);
        at_least_first & !above_last & !a & HIGH_BITS
    }

    #[inline]
    pub(super) fn is_ascii(a: Register) -> bool {
        a & HIGH_BITS == 0
    }

    #[inline]
    pub(super) fn leading_flags(a: Register) -> u32 {
        (!a & HIGH_BITS).trailing_zeros() / 8
    }
}

/// Sixteen bytes that are processed together.
#[derive(Clone, Copy)]
pub(crate) struct U8x16(register::Register);

impl U8x16 {
    /// Returns a vector that repeats the four bytes of `key` four times, with the lowest byte first.
    #[inline]
    pub(super) fn splat_u32(key: u32) -> Self {
        Self(register::splat(key))
    }

    /// Returns a vector with these bytes.
    #[inline]
    pub(crate) fn load(bytes: &[u8; LANES]) -> Self {
        Self(register::load(*bytes))
    }

    /// Returns the bytes of the vector.
    #[inline]
    pub(super) fn store(self) -> [u8; LANES] {
        register::store(self.0)
    }

    /// Returns the bitwise XOR of both vectors.
    #[inline]
    pub(crate) fn xor(self, other: Self) -> Self {
        Self(register::xor(self.0, other.0))
    }

    /// Returns the bitwise OR of both vectors.
    #[inline]
    pub(crate) fn or(self, other: Self) -> Self {
        Self(register::or(self.0, other.0))
    }

    /// Returns a vector of sixteen copies of `byte`.
    #[inline]
    pub(crate) fn splat(byte: u8) -> Self {
        Self::load(&[byte; LANES])
    }

    /// Flags each byte whose value is in the range from `first` to `last`. Both bounds must be ASCII.
    ///
    /// The highest bit of a flagged byte is set, and the highest bit of any other byte is clear. The lower seven bits
    /// are unspecified, because they differ between the implementations.
    #[inline]
    pub(crate) fn in_range(self, first: u8, last: u8) -> Self {
        Self(register::in_range(self.0, first, last))
    }

    /// Returns the number of flagged bytes before the first byte that is not flagged. A byte is flagged if
    /// its highest bit is set.
    #[inline]
    pub(crate) fn leading_flags(self) -> usize {
        register::leading_flags(self.0) as usize
    }

    /// Returns whether all sixteen bytes are ASCII.
    #[inline]
    pub(super) fn is_ascii(self) -> bool {
        register::is_ascii(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares one register implementation with the same operations on single bytes.
    macro_rules! matches_the_reference {
        ($register:ident) => {{
            let bytes = |from: usize| core::array::from_fn(|i| ((from + i) * 37 % 256) as u8);
            let prefix = |a: [u8; LANES], flag: fn(u8) -> bool| a.iter().take_while(|&&a| flag(a)).count();
            for from in (0..256).step_by(LANES) {
                let (a, b): ([u8; LANES], [u8; LANES]) = (bytes(from), bytes(3 * from + 100));
                let (vector, other) = ($register::load(a), $register::load(b));
                let expected = |op: fn(u8, u8) -> u8| core::array::from_fn(|i| op(a[i], b[i]));
                assert_eq!($register::store($register::xor(vector, other)), expected(|a, b| a ^ b));
                assert_eq!($register::store($register::or(vector, other)), expected(|a, b| a | b));
                let key = [a[0], a[1], a[2], a[3]];
                assert_eq!($register::store($register::splat(u32::from_le_bytes(key)))[..], key.repeat(4));
                assert_eq!($register::is_ascii(vector), a.is_ascii());
                assert_eq!($register::leading_flags(vector) as usize, prefix(a, |a| a >= 0x80));
                for first in 0..0x80 {
                    for last in first..0x80 {
                        let flags = $register::store($register::in_range(vector, first, last));
                        let expected = a.map(|a| (first..=last).contains(&a));
                        assert_eq!(flags.map(|flag| flag >= 0x80), expected, "{a:?}, {first} to {last}");
                    }
                }
            }
            for len in 0..=LANES {
                let flags = core::array::from_fn(|i| if i < len { 0xFF } else { 0x7F });
                assert_eq!($register::leading_flags($register::load(flags)) as usize, len);
            }
        }};
    }

    #[test]
    fn the_target_register_matches_the_reference() {
        matches_the_reference!(register);
    }

    #[test]
    fn the_portable_register_matches_the_reference() {
        matches_the_reference!(portable);
    }
}
