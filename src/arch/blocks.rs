//! Kernels for long data: whole blocks at a time.
//!
//! Their bodies are safe loops that the compiler turns into vector instructions: those that every machine of the
//! kind has (SSE2 on x86-64, NEON on ARM64), and once more with AVX2, which is chosen when it runs, under `std`,
//! or when it is compiled. With the feature `avx512`, which needs Rust 1.89, a third time with AVX-512.

/// Data comes in multiples of this.
pub(super) const BLOCK: usize = 128;

/// XORs `data`, whole blocks, with the bytes of `key`; if that is to be `CHECK`ed, whether what comes out is ASCII.
pub(super) fn in_place<const CHECK: bool>(data: &mut [u8], key: u32) -> bool {
    #[cfg(all(feature = "avx512", target_arch = "x86_64"))]
    if std::arch::is_x86_feature_detected!("avx512bw") {
        // SAFETY: the processor has AVX-512BW.
        return unsafe { avx512::in_place::<CHECK>(data, key) };
    }
    #[cfg(all(feature = "std", target_arch = "x86_64", not(target_feature = "avx2")))]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        return unsafe { avx2::in_place::<CHECK>(data, key) };
    }
    body::in_place::<CHECK>(data, key)
}

/// As [`in_place`], from `from` to `to`, which have the same length.
pub(super) fn copy(from: &[u8], to: &mut [u8], key: u32) {
    #[cfg(all(feature = "avx512", target_arch = "x86_64"))]
    if std::arch::is_x86_feature_detected!("avx512bw") {
        // SAFETY: the processor has AVX-512BW.
        return unsafe { avx512::copy(from, to, key) };
    }
    #[cfg(all(feature = "std", target_arch = "x86_64", not(target_feature = "avx2")))]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        return unsafe { avx2::copy(from, to, key) };
    }
    body::copy(from, to, key);
}

#[cfg(all(feature = "std", target_arch = "x86_64", not(target_feature = "avx2")))]
mod avx2 {
    use super::body;

    /// # Safety
    ///
    /// The processor must have AVX2.
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn in_place<const CHECK: bool>(data: &mut [u8], key: u32) -> bool {
        body::in_place::<CHECK>(data, key)
    }

    /// # Safety
    ///
    /// The processor must have AVX2.
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn copy(from: &[u8], to: &mut [u8], key: u32) {
        body::copy(from, to, key);
    }
}

#[cfg(all(feature = "avx512", target_arch = "x86_64"))]
#[allow(clippy::incompatible_msrv, reason = "the feature needs Rust 1.89, and says so")]
mod avx512 {
    use super::body;

    /// # Safety
    ///
    /// The processor must have AVX-512BW.
    #[target_feature(enable = "avx512bw")]
    pub(super) unsafe fn in_place<const CHECK: bool>(data: &mut [u8], key: u32) -> bool {
        body::in_place::<CHECK>(data, key)
    }

    /// # Safety
    ///
    /// The processor must have AVX-512BW.
    #[target_feature(enable = "avx512bw")]
    pub(super) unsafe fn copy(from: &[u8], to: &mut [u8], key: u32) {
        body::copy(from, to, key);
    }
}

/// The loops, for whatever they are inlined to.
mod body {
    use super::BLOCK;

    #[inline(always)]
    fn pattern(key: u32) -> [u8; BLOCK] {
        let mut pattern = [0; BLOCK];
        for word in pattern.chunks_exact_mut(4) {
            word.copy_from_slice(&key.to_le_bytes());
        }
        pattern
    }

    #[inline(always)]
    pub(super) fn in_place<const CHECK: bool>(data: &mut [u8], key: u32) -> bool {
        let (pattern, mut all) = (pattern(key), [0; BLOCK]);
        for block in data.chunks_exact_mut(BLOCK) {
            for ((byte, mask), all) in block.iter_mut().zip(&pattern).zip(&mut all) {
                *byte ^= mask;
                if CHECK {
                    *all |= *byte;
                }
            }
        }
        all.is_ascii()
    }

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

    /// Every path that this machine has.
    fn paths() -> Vec<Path> {
        #[allow(unused_mut, reason = "the rest needs std")]
        let mut paths = std::vec![
            Path {
                name: "compiled for",
                in_place: body::in_place::<false>,
                to_ascii: body::in_place::<true>,
                copy: body::copy
            },
            Path { name: "chosen", in_place: in_place::<false>, to_ascii: in_place::<true>, copy },
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
    fn every_path_equals_its_naive_twin_at_every_alignment_and_phase() {
        let source: Vec<u8> = (0..1200u32).map(|i| (i * 167 + 13) as u8).collect();
        for Path { name, in_place, to_ascii, copy } in paths() {
            std::println!("kernels: {name}");
            for phase in 0..4 {
                let key = 0x3d21_fa37u32.rotate_right(8 * phase);
                for start in 0..64 {
                    for blocks in 0..5 {
                        let range = start..start + blocks * BLOCK;
                        let keys = key.to_le_bytes().into_iter().cycle();
                        let twin: Vec<u8> =
                            source[range.clone()].iter().zip(keys).map(|(byte, mask)| byte ^ mask).collect();
                        for (kernel, checks) in [(in_place, false), (to_ascii, true)] {
                            let mut whole = source.clone();
                            let ascii = kernel(&mut whole[range.clone()], key);
                            assert!(!checks || ascii == twin.is_ascii(), "{name}");
                            assert_eq!(whole[range.clone()], twin, "{name}");
                            assert_eq!(whole[..range.start], source[..range.start]);
                            assert_eq!(whole[range.end..], source[range.end..]);
                        }
                        let mut to = [0; 1200];
                        copy(&source[range.clone()], &mut to[64 - start..][..range.len()], key);
                        assert_eq!(to[64 - start..][..range.len()], twin, "{name}");
                        assert!(to[64 - start + range.len()..].iter().all(|byte| *byte == 0));
                    }
                }
            }
        }
    }

    #[test]
    fn every_path_finds_the_one_byte_that_is_not_ascii() {
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
