//! XOR functions for long inputs, which process one block of [`BLOCK`] bytes at a time.
//!
//! The functions in `loops` are safe loops over arrays of fixed length, which the compiler turns into vector
//! instructions. These functions are compiled once for each instruction set:
//! - the instruction set that every machine of the target has (SSE2 on x86-64, NEON on ARM64),
//! - AVX2, which is chosen at run time with `std`, or always if the crate is compiled for AVX2,
//! - AVX-512, which is chosen at run time with the feature `avx512`. This feature needs Rust 1.89.
//!
//! `unsafe` is needed only to call a function that is compiled for another instruction set. Before each such call the
//! code checks that the processor has the instruction set. The check is one load of a cached value. Its cost is
//! negligible for an input of 128 bytes or more.
//!
//! The callers in `xor` pass whole blocks. Bytes after the last whole block are not changed.

/// The length of a block in bytes. Callers pass slices whose length is a multiple of this length.
pub(super) const BLOCK: usize = 128;

/// XORs `data`, which consists of whole blocks, with the bytes of `key`.
///
/// Returns whether the result is ASCII if `CHECK_ASCII` is true, and an unspecified value otherwise.
pub(super) fn in_place<const CHECK_ASCII: bool>(data: &mut [u8], key: u32) -> bool {
    #[cfg(all(feature = "avx512", target_arch = "x86_64"))]
    if std::arch::is_x86_feature_detected!("avx512bw") {
        // SAFETY: the line above has checked that the processor has AVX-512BW.
        return unsafe { avx512::in_place::<CHECK_ASCII>(data, key) };
    }
    #[cfg(all(feature = "std", target_arch = "x86_64", not(target_feature = "avx2")))]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the line above has checked that the processor has AVX2.
        return unsafe { avx2::in_place::<CHECK_ASCII>(data, key) };
    }
    loops::in_place::<CHECK_ASCII>(data, key)
}

/// XORs whole blocks while copying them from `from` to `to`, which have equal length.
pub(super) fn copy(from: &[u8], to: &mut [u8], key: u32) {
    #[cfg(all(feature = "avx512", target_arch = "x86_64"))]
    if std::arch::is_x86_feature_detected!("avx512bw") {
        // SAFETY: the line above has checked that the processor has AVX-512BW.
        return unsafe { avx512::copy(from, to, key) };
    }
    #[cfg(all(feature = "std", target_arch = "x86_64", not(target_feature = "avx2")))]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the line above has checked that the processor has AVX2.
        return unsafe { avx2::copy(from, to, key) };
    }
    loops::copy(from, to, key);
}

#[cfg(all(feature = "std", target_arch = "x86_64", not(target_feature = "avx2")))]
mod avx2 {
    use super::loops;

    /// # Safety
    ///
    /// The processor must have AVX2.
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn in_place<const CHECK_ASCII: bool>(data: &mut [u8], key: u32) -> bool {
        loops::in_place::<CHECK_ASCII>(data, key)
    }

    /// # Safety
    ///
    /// The processor must have AVX2.
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn copy(from: &[u8], to: &mut [u8], key: u32) {
        loops::copy(from, to, key);
    }
}

#[cfg(all(feature = "avx512", target_arch = "x86_64"))]
#[allow(clippy::incompatible_msrv, reason = "the feature is documented to need Rust 1.89")]
mod avx512 {
    use super::loops;

    /// # Safety
    ///
    /// The processor must have AVX-512BW.
    #[target_feature(enable = "avx512bw")]
    pub(super) unsafe fn in_place<const CHECK_ASCII: bool>(data: &mut [u8], key: u32) -> bool {
        loops::in_place::<CHECK_ASCII>(data, key)
    }

    /// # Safety
    ///
    /// The processor must have AVX-512BW.
    #[target_feature(enable = "avx512bw")]
    pub(super) unsafe fn copy(from: &[u8], to: &mut [u8], key: u32) {
        loops::copy(from, to, key);
    }
}

/// The loops, inlined into one function for each instruction set.
mod loops {
    use super::BLOCK;

    /// Returns the key repeated over a whole block, so that the inner loop does not need the position in the key.
    #[inline(always)]
    fn pattern(key: u32) -> [u8; BLOCK] {
        let mut pattern = [0; BLOCK];
        for word in pattern.chunks_exact_mut(4) {
            word.copy_from_slice(&key.to_le_bytes());
        }
        pattern
    }

    /// XORs whole blocks in place.
    ///
    /// With `CHECK_ASCII` the bytes of all blocks are combined with OR and tested once at the end. A test in each block
    /// would be a branch, and the compiler could not use vector instructions.
    #[inline(always)]
    pub(super) fn in_place<const CHECK_ASCII: bool>(data: &mut [u8], key: u32) -> bool {
        let (pattern, mut all) = (pattern(key), [0; BLOCK]);
        for block in data.chunks_exact_mut(BLOCK) {
            for ((byte, mask), all) in block.iter_mut().zip(&pattern).zip(&mut all) {
                *byte ^= mask;
                if CHECK_ASCII {
                    *all |= *byte;
                }
            }
        }
        all.is_ascii()
    }

    /// XORs whole blocks while copying them.
    #[inline(always)]
    pub(super) fn copy(from: &[u8], to: &mut [u8], key: u32) {
        let pattern = pattern(key);
        for (from, to) in from.chunks_exact(BLOCK).zip(to.chunks_exact_mut(BLOCK)) {
            for ((from, to), mask) in from.iter().zip(to).zip(&pattern) {
                *to = from ^ mask;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    type InPlace = fn(&mut [u8], u32) -> bool;
    type Copy = fn(&[u8], &mut [u8], u32);

    struct Path {
        name: &'static str,
        in_place: InPlace,
        to_ascii: InPlace,
        copy: Copy,
    }

    /// Returns every path that this machine can run.
    fn paths() -> Vec<Path> {
        #[allow(unused_mut, reason = "the rest needs std")]
        let mut paths = std::vec![
            Path {
                name: "compile target",
                in_place: loops::in_place::<false>,
                to_ascii: loops::in_place::<true>,
                copy: loops::copy
            },
            Path {
                name: "chosen at run time",
                in_place: in_place::<false>,
                to_ascii: in_place::<true>,
                copy
            },
        ];
        #[cfg(all(feature = "std", target_arch = "x86_64", not(target_feature = "avx2")))]
        if std::arch::is_x86_feature_detected!("avx2") {
            paths.push(Path {
                name: "AVX2",
                // SAFETY: the processor has AVX2.
                in_place: |data, key| unsafe { avx2::in_place::<false>(data, key) },
                // SAFETY: the processor has AVX2.
                to_ascii: |data, key| unsafe { avx2::in_place::<true>(data, key) },
                // SAFETY: the processor has AVX2.
                copy: |from, to, key| unsafe { avx2::copy(from, to, key) },
            });
        }
        #[cfg(all(feature = "avx512", target_arch = "x86_64"))]
        if std::arch::is_x86_feature_detected!("avx512bw") {
            paths.push(Path {
                name: "AVX-512",
                // SAFETY: the processor has AVX-512BW.
                in_place: |data, key| unsafe { avx512::in_place::<false>(data, key) },
                // SAFETY: the processor has AVX-512BW.
                to_ascii: |data, key| unsafe { avx512::in_place::<true>(data, key) },
                // SAFETY: the processor has AVX-512BW.
                copy: |from, to, key| unsafe { avx512::copy(from, to, key) },
            });
        }
        paths
    }

    #[test]
    fn every_path_matches_the_reference_at_every_alignment_and_key_position() {
        let source: Vec<u8> = (0..1200u32).map(|i| (i * 167 + 13) as u8).collect();
        for Path { name, in_place, to_ascii, copy } in paths() {
            std::println!("kernels: {name}");
            for phase in 0..4 {
                let key = 0x3d21_fa37u32.rotate_right(8 * phase);
                for start in 0..64 {
                    for blocks in 0..5 {
                        let range = start..start + blocks * BLOCK;
                        let keys = key.to_le_bytes().into_iter().cycle();
                        let expected: Vec<u8> =
                            source[range.clone()].iter().zip(keys).map(|(byte, mask)| byte ^ mask).collect();
                        for (kernel, checks) in [(in_place, false), (to_ascii, true)] {
                            let mut whole = source.clone();
                            let ascii = kernel(&mut whole[range.clone()], key);
                            assert!(!checks || ascii == expected.is_ascii(), "{name}");
                            assert_eq!(whole[range.clone()], expected, "{name}");
                            assert_eq!(whole[..range.start], source[..range.start]);
                            assert_eq!(whole[range.end..], source[range.end..]);
                        }
                        let mut to = [0; 1200];
                        copy(&source[range.clone()], &mut to[64 - start..][..range.len()], key);
                        assert_eq!(to[64 - start..][..range.len()], expected, "{name}");
                        assert!(to[64 - start + range.len()..].iter().all(|byte| *byte == 0));
                    }
                }
            }
        }
    }

    #[test]
    fn every_path_finds_a_single_byte_that_is_not_ascii() {
        for Path { name, to_ascii, .. } in paths() {
            for at in 0..3 * BLOCK {
                let mut data = [0x55; 3 * BLOCK];
                data[at] = 0xAA;
                assert!(!to_ascii(&mut data, 0x2A2A_2A2A), "{name}, {at}");
                let mut data = [0x55; 3 * BLOCK];
                assert!(to_ascii(&mut data, 0x2A2A_2A2A), "{name}");
            }
        }
    }
}
