//! Sixteen bytes in one register of the kind that each machine has.

/// How many bytes a [`Lane`] has.
pub(super) const LANE: usize = 16;

#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod register {
    use core::arch::x86_64::{__m128i, _mm_movemask_epi8, _mm_or_si128, _mm_xor_si128};
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
    pub(super) fn is_ascii(a: Register) -> bool {
        // SAFETY: what this is compiled for has SSE2.
        unsafe { _mm_movemask_epi8(a) == 0 }
    }
}

#[cfg(not(all(target_arch = "x86_64", target_feature = "sse2")))]
mod register {
    pub(super) type Register = u128;

    #[inline]
    pub(super) fn load(bytes: [u8; 16]) -> Register {
        Register::from_le_bytes(bytes)
    }

    #[inline]
    pub(super) fn store(a: Register) -> [u8; 16] {
        a.to_le_bytes()
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
    pub(super) fn is_ascii(a: Register) -> bool {
        a & (Register::MAX / 0xFF * 0x80) == 0
    }
}

/// Sixteen bytes.
#[derive(Clone, Copy)]
pub(super) struct Lane(register::Register);

impl Lane {
    /// The bytes of `key`, the lowest first, four times.
    #[inline]
    pub(super) fn splat(key: u32) -> Self {
        let key = u128::from(key) * 0x0000_0001_0000_0001_0000_0001_0000_0001;
        Self::load(&key.to_le_bytes())
    }

    #[inline]
    pub(super) fn load(bytes: &[u8; LANE]) -> Self {
        Self(register::load(*bytes))
    }

    #[inline]
    pub(super) fn store(self) -> [u8; LANE] {
        register::store(self.0)
    }

    #[inline]
    pub(super) fn xor(self, other: Self) -> Self {
        Self(register::xor(self.0, other.0))
    }

    #[inline]
    pub(super) fn or(self, other: Self) -> Self {
        Self(register::or(self.0, other.0))
    }

    #[inline]
    pub(super) fn is_ascii(self) -> bool {
        register::is_ascii(self.0)
    }
}
