//! The generator of masking keys (RFC 6455 sections 5.3 and 10.3).
//!
//! [`MaskingKeys`] is the key stream of `ChaCha8`, seeded once per connection. `ChaCha8` computes a block of sixteen
//! keys at a time, so most calls of [`MaskingKeys::next_key`] only load a word. The seed is the only entropy. The
//! operating system or the caller provides the seed.
//!
//! Invariants:
//! - No key is derived from another key: an observer who has seen all earlier keys cannot predict the next
//!   one.
//! - The `Debug` output shows neither the seed nor keys.

use core::fmt;
use core::num::NonZeroU8;

/// The number of keys in a block.
const WORDS: usize = 16;
/// The number of ChaCha rounds. The best known attack breaks seven rounds. Eight are enough here, because a masking key
/// has no value after its frame was sent.
const ROUNDS: usize = 8;

/// An endless, unpredictable sequence of masking keys: the key stream of `ChaCha8`.
///
/// RFC 6455 section 5.3 requires a key that is fresh for each frame, unpredictable, and derived from a strong
/// source of entropy. Section 10.3 explains why.
///
/// The seed is the only entropy. Each connection needs a new seed from the operating system or a similar source. A
/// fixed seed gives a fixed sequence, which is useful only in tests.
///
/// ```
/// use hybi::frame::MaskingKeys;
///
/// let mut keys = MaskingKeys::from_seed([1; 32]);
/// let mut again = MaskingKeys::from_seed([1; 32]);
/// let first = keys.next_key();
/// assert_eq!(first, again.next_key());
/// assert_ne!(first, keys.next_key());
/// ```
pub struct MaskingKeys {
    /// The ChaCha key.
    seed: [u32; 8],
    /// The current block of keys.
    block: [u32; WORDS],
    /// The number of the next block, with the lower half first. A `u64` would need a larger alignment, which would cost
    /// space.
    next: [u32; 2],
    /// One more than the number of keys that were taken from the block; [`NonZeroU8::MAX`] before the first block is
    /// computed.
    at: NonZeroU8,
}

impl MaskingKeys {
    /// Returns the sequence for `seed`.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let mut words = [0; 8];
        for (word, bytes) in words.iter_mut().zip(seed.chunks_exact(4)) {
            *word = bytes.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte));
        }
        // `at` is after the end of the block, so the first call of `next_key` computes a block.
        Self { seed: words, block: [0; WORDS], next: [0; 2], at: NonZeroU8::MAX }
    }

    /// Returns a sequence that is seeded by the operating system.
    ///
    /// # Errors
    ///
    /// Returns a `getrandom::Error` if the system provides no entropy. Do not use another kind of seed in this case,
    /// because a client is not secure without unpredictable keys.
    #[cfg(feature = "getrandom")]
    pub fn from_os() -> Result<Self, getrandom::Error> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        Ok(Self::from_seed(seed))
    }

    /// Returns the next key.
    #[inline]
    pub fn next_key(&mut self) -> [u8; 4] {
        loop {
            if let Some(key) = self.block.get(usize::from(self.at.get()) - 1) {
                self.at = self.at.saturating_add(1);
                return key.to_le_bytes();
            }
            self.refill();
        }
    }

    /// Computes the next block of keys. This function is not inlined, because it runs only once for sixteen keys.
    #[cold]
    #[inline(never)]
    fn refill(&mut self) {
        self.block = chacha::<ROUNDS>(&self.seed, self.next, [0; 2]);
        let [low, high] = &mut self.next;
        *low = low.wrapping_add(1);
        *high = high.wrapping_add(u32::from(*low == 0));
        self.at = NonZeroU8::MIN;
    }
}

/// Converts a seed with [`MaskingKeys::from_seed`].
impl From<[u8; 32]> for MaskingKeys {
    fn from(seed: [u8; 32]) -> Self {
        Self::from_seed(seed)
    }
}

/// Shows neither the seed nor keys.
impl fmt::Debug for MaskingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MaskingKeys").finish_non_exhaustive()
    }
}

/// Computes one block of the ChaCha key stream, with the 64-bit counter and nonce of the original design.
#[inline]
fn chacha<const ROUNDS: usize>(key: &[u32; 8], [low, high]: [u32; 2], [n0, n1]: [u32; 2]) -> [u32; WORDS] {
    let [k0, k1, k2, k3, k4, k5, k6, k7] = *key;
    let start = [
        // "expand 32-byte k"
        [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574],
        [k0, k1, k2, k3],
        [k4, k5, k6, k7],
        [low, high, n0, n1],
    ];
    // The words are separate variables, so they stay in registers. The compiler would split and rebuild arrays in each
    // round.
    let [[mut a0, mut a1, mut a2, mut a3], [mut b0, mut b1, mut b2, mut b3], c, d] = start;
    let ([mut c0, mut c1, mut c2, mut c3], [mut d0, mut d1, mut d2, mut d3]) = (c, d);
    for _ in 0..ROUNDS / 2 {
        // Columns.
        (a0, b0, c0, d0) = quarter_round(a0, b0, c0, d0);
        (a1, b1, c1, d1) = quarter_round(a1, b1, c1, d1);
        (a2, b2, c2, d2) = quarter_round(a2, b2, c2, d2);
        (a3, b3, c3, d3) = quarter_round(a3, b3, c3, d3);
        // Diagonals.
        (a0, b1, c2, d3) = quarter_round(a0, b1, c2, d3);
        (a1, b2, c3, d0) = quarter_round(a1, b2, c3, d0);
        (a2, b3, c0, d1) = quarter_round(a2, b3, c0, d1);
        (a3, b0, c1, d2) = quarter_round(a3, b0, c1, d2);
    }
    let mut block = [a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3];
    for (word, first) in block.iter_mut().zip(start.as_flattened()) {
        *word = word.wrapping_add(*first);
    }
    block
}

/// Computes the quarter round of ChaCha (RFC 8439 section 2.1).
#[inline]
const fn quarter_round(a: u32, b: u32, c: u32, d: u32) -> (u32, u32, u32, u32) {
    let a = a.wrapping_add(b);
    let d = (d ^ a).rotate_left(16);
    let c = c.wrapping_add(d);
    let b = (b ^ c).rotate_left(12);
    let a = a.wrapping_add(b);
    let d = (d ^ a).rotate_left(8);
    let c = c.wrapping_add(d);
    let b = (b ^ c).rotate_left(7);
    (a, b, c, d)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// The test vector of RFC 8439 section 2.3.2. The 32-bit counter and 96-bit nonce of the RFC fill the
    /// same words as our 64-bit counter and nonce.
    #[test]
    fn chacha20_block_equals_the_vector_of_rfc_8439() {
        let key: [u32; 8] =
            core::array::from_fn(|i| u32::from_le_bytes(core::array::from_fn(|j| (4 * i + j) as u8)));
        let block = chacha::<20>(&key, [1, 0x0900_0000], [0x4a00_0000, 0]);
        assert_eq!(block[..4], [0xe4e7_f110, 0x1559_3bd1, 0x1fdd_0f50, 0xc471_20a3]);
        assert_eq!(block[12..], [0xd19c_12b5, 0xb94e_16de, 0xe883_d0cb, 0x4e3c_50a2]);
    }

    /// The first block of the eight-round variant for a key of zeros, as published by the author of ChaCha.
    #[test]
    fn chacha8_block_equals_the_published_vector() {
        let block = chacha::<8>(&[0; 8], [0; 2], [0; 2]);
        let bytes: std::vec::Vec<u8> = block.iter().flat_map(|w| w.to_le_bytes()).take(16).collect();
        assert_eq!(
            bytes,
            [0x3e, 0x00, 0xef, 0x2f, 0x89, 0x5f, 0x40, 0xd6, 0x7f, 0x5b, 0xb8, 0xe8, 0x1f, 0x09, 0xa5, 0xa1]
        );
    }

    #[test]
    fn the_block_counter_has_64_bits() {
        let mut keys = MaskingKeys { next: [u32::MAX, 7], ..MaskingKeys::from_seed([3; 32]) };
        for block in [[u32::MAX, 7], [0, 8], [1, 8]] {
            let block = chacha::<8>(&keys.seed, block, [0; 2]);
            assert!(block.iter().all(|key| keys.next_key() == key.to_le_bytes()));
        }
    }

    #[test]
    fn s10_3_every_bit_of_the_seed_changes_the_keys() {
        let seeds = (0..=256).map(|bit: usize| {
            let mut seed = [0x5A; 32];
            if let Some(byte) = seed.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
            seed
        });
        let first: HashSet<_> = seeds.map(|seed| MaskingKeys::from_seed(seed).next_key()).collect();
        assert_eq!(first.len(), 257);
    }

    #[test]
    fn s5_3_keys_are_fresh_and_balanced() {
        let mut keys = MaskingKeys::from_seed([42; 32]);
        let (mut seen, mut ones) = (HashSet::new(), [0u32; 32]);
        for _ in 0..20_000 {
            let key = u32::from_le_bytes(keys.next_key());
            seen.insert(key);
            for (bit, count) in ones.iter_mut().enumerate() {
                *count += key >> bit & 1;
            }
        }
        // Among 20,000 random words there are 0.05 collisions on average.
        assert!(seen.len() >= 19_998);
        // The bounds are seven standard deviations from one half.
        assert!(ones.iter().all(|count| (9_500..10_500).contains(count)), "{ones:?}");
    }
}
