//! Sixteen bytes in one register of the kind that each machine has.

/// How many bytes a [`Lane`] has.
pub(crate) const LANE: usize = 16;

#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod register {
    use core::arch::x86_64::{
        __m128i, _mm_add_epi8, _mm_cmplt_epi8, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi32, _mm_xor_si128,
    };
    use core::mem::transmute;

    pub(super) type Register = __m128i;

    #[inline]
    pub(super) fn load(bytes: [u8; 16]) -> Register {
        // SAFETY: both have 16 bytes, and any are a value of either.
        unsafe { transmute(bytes) }
    }

    #[inline]
    pub(super) fn store(a: Register) -> [u8; 16] {
        // SAFETY: both have 16 bytes, and any are a value of either.
        unsafe { transmute(a) }
    }

    #[inline]
    pub(super) fn splat(key: u32) -> Register {
        // SAFETY: what this is compiled for has SSE2.
        unsafe { _mm_set1_epi32(i32::from_ne_bytes(key.to_ne_bytes())) }
    }

    #[inline]
    pub(super) fn xor(a: Register, b: Register) -> Register {
        // SAFETY: what this is compiled for has SSE2.
        unsafe { _mm_xor_si128(a, b) }
    }

    #[inline]
    pub(super) fn or(a: Register, b: Register) -> Register {
        // SAFETY: what this is compiled for has SSE2.
        unsafe { _mm_or_si128(a, b) }
    }

    #[inline]
    pub(super) fn between(a: Register, first: u8, last: u8) -> Register {
        // There are comparisons of signed numbers alone: `first` becomes the least of them.
        let least = 0x80_u8;
        let end = load([least.wrapping_add(last - first + 1); 16]);
        let shift = load([least.wrapping_sub(first); 16]);
        // SAFETY: what this is compiled for has SSE2.
        let shifted = unsafe { _mm_add_epi8(a, shift) };
        // SAFETY: what this is compiled for has SSE2.
        unsafe { _mm_cmplt_epi8(shifted, end) }
    }

    #[inline]
    pub(super) fn is_ascii(a: Register) -> bool {
        high_bits(a) == 0
    }

    #[inline]
    pub(super) fn flagged(a: Register) -> u32 {
        high_bits(a).trailing_ones()
    }

    /// The highest bit of each byte, that of the first the lowest.
    #[inline]
    fn high_bits(a: Register) -> i32 {
        // SAFETY: what this is compiled for has SSE2.
        unsafe { _mm_movemask_epi8(a) }
    }
}

#[cfg(not(all(target_arch = "x86_64", target_feature = "sse2")))]
use portable as register;

#[cfg(any(test, not(all(target_arch = "x86_64", target_feature = "sse2"))))]
mod portable {
    pub(super) type Register = u128;

    const HIGH_BITS: Register = of(0x80);

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
    pub(super) fn between(a: Register, first: u8, last: u8) -> Register {
        // Seven bits and what is added stay below 256, so that no byte carries into the next.
        let low = a & !HIGH_BITS;
        let not_less = low + of(0x80 - first);
        let greater = low + of(0x7F - last);
        not_less & !greater & !a & HIGH_BITS
    }

    #[inline]
    pub(super) fn is_ascii(a: Register) -> bool {
        a & HIGH_BITS == 0
    }

    #[inline]
    pub(super) fn flagged(a: Register) -> u32 {
        (!a & HIGH_BITS).trailing_zeros() / 8
    }
}

/// Sixteen bytes.
#[derive(Clone, Copy)]
pub(crate) struct Lane(register::Register);

impl Lane {
    /// The bytes of `key`, the lowest first, four times.
    #[inline]
    pub(super) fn splat(key: u32) -> Self {
        Self(register::splat(key))
    }

    #[inline]
    pub(crate) fn load(bytes: &[u8; LANE]) -> Self {
        Self(register::load(*bytes))
    }

    #[inline]
    pub(super) fn store(self) -> [u8; LANE] {
        register::store(self.0)
    }

    #[inline]
    pub(crate) fn xor(self, other: Self) -> Self {
        Self(register::xor(self.0, other.0))
    }

    #[inline]
    pub(crate) fn or(self, other: Self) -> Self {
        Self(register::or(self.0, other.0))
    }

    /// Sixteen times this byte.
    #[inline]
    pub(crate) fn of(byte: u8) -> Self {
        Self::load(&[byte; LANE])
    }

    /// Flags each byte from `first` to `last`, which are ASCII: its highest bit is set, and that of the
    /// others is not. What becomes of the other bits differs from machine to machine.
    #[inline]
    pub(crate) fn between(self, first: u8, last: u8) -> Self {
        Self(register::between(self.0, first, last))
    }

    /// How many bytes at the beginning are flagged by their highest bit.
    #[inline]
    pub(crate) fn flagged(self) -> usize {
        register::flagged(self.0) as usize
    }

    #[inline]
    pub(super) fn is_ascii(self) -> bool {
        register::is_ascii(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each kind of register against the same on bytes.
    macro_rules! equals_its_naive_twin {
        ($register:ident) => {{
            let bytes = |from: usize| core::array::from_fn(|i| ((from + i) * 37 % 256) as u8);
            let prefix = |a: [u8; LANE], flag: fn(u8) -> bool| a.iter().take_while(|&&a| flag(a)).count();
            for from in (0..256).step_by(LANE) {
                let (a, b): ([u8; LANE], [u8; LANE]) = (bytes(from), bytes(3 * from + 100));
                let (lane, other) = ($register::load(a), $register::load(b));
                let twin = |op: fn(u8, u8) -> u8| core::array::from_fn(|i| op(a[i], b[i]));
                assert_eq!($register::store($register::xor(lane, other)), twin(|a, b| a ^ b));
                assert_eq!($register::store($register::or(lane, other)), twin(|a, b| a | b));
                let key = [a[0], a[1], a[2], a[3]];
                assert_eq!($register::store($register::splat(u32::from_le_bytes(key)))[..], key.repeat(4));
                assert_eq!($register::is_ascii(lane), a.is_ascii());
                assert_eq!($register::flagged(lane) as usize, prefix(a, |a| a >= 0x80));
                for first in 0..0x80 {
                    for last in first..0x80 {
                        let flags = $register::store($register::between(lane, first, last));
                        let twin = a.map(|a| (first..=last).contains(&a));
                        assert_eq!(flags.map(|flag| flag >= 0x80), twin, "{a:?}, {first} to {last}");
                    }
                }
            }
            for len in 0..=LANE {
                let flags = core::array::from_fn(|i| if i < len { 0xFF } else { 0x7F });
                assert_eq!($register::flagged($register::load(flags)) as usize, len);
            }
        }};
    }

    #[test]
    fn the_register_of_this_machine_equals_its_naive_twin() {
        equals_its_naive_twin!(register);
    }

    #[test]
    fn the_register_of_other_machines_equals_its_naive_twin() {
        equals_its_naive_twin!(portable);
    }
}
