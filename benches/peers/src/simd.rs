//! Vector code for the floor (`contenders/floor.rs`) and for the limits of the machine (`limits.rs`). The code is
//! written by hand for x86-64, and uses the largest vectors that the machine has.
use std::arch::x86_64::*;

/// Computes dst = src ^ key, in place if `src == dst`. With `ASCII`, returns whether every result is ASCII.
///
/// The function uses no masked stores, because the processor cannot forward them to a later load of the payload. The
/// last bytes are processed as a whole block, which overlaps the block before it. The last block is loaded before any
/// block is stored.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
#[inline]
unsafe fn xform<const ASCII: bool>(src: *const u8, dst: *mut u8, n: usize, key: u32) -> bool {
    unsafe {
        let k = _mm512_set1_epi32(key as i32);
        let r = _mm512_set1_epi32(key.rotate_right(8 * (n as u32 & 3)) as i32);
        let tail = _mm512_xor_si512(_mm512_loadu_si512(src.add(n - 64) as *const _), r);
        let mut seen = tail;
        let mut i = 0;
        while i + 256 <= n {
            for j in 0..4 {
                let v = _mm512_xor_si512(_mm512_loadu_si512(src.add(i + j * 64) as *const _), k);
                if ASCII {
                    seen = _mm512_or_si512(seen, v);
                }
                _mm512_storeu_si512(dst.add(i + j * 64) as *mut _, v);
            }
            i += 256;
        }
        while i + 64 <= n {
            let v = _mm512_xor_si512(_mm512_loadu_si512(src.add(i) as *const _), k);
            if ASCII {
                seen = _mm512_or_si512(seen, v);
            }
            _mm512_storeu_si512(dst.add(i) as *mut _, v);
            i += 64;
        }
        if i < n {
            _mm512_storeu_si512(dst.add(n - 64) as *mut _, tail);
        }
        !ASCII || _mm512_movepi8_mask(seen) == 0
    }
}

/// Does the same as `xform` with AVX2, for machines without AVX-512 and for valgrind.
#[target_feature(enable = "avx2")]
unsafe fn xform_avx2<const ASCII: bool>(src: *const u8, dst: *mut u8, n: usize, key: u32) -> bool {
    unsafe {
        let k = _mm256_set1_epi32(key as i32);
        let r = _mm256_set1_epi32(key.rotate_right(8 * (n as u32 & 3)) as i32);
        let tail = _mm256_xor_si256(_mm256_loadu_si256(src.add(n - 32) as *const _), r);
        let mut seen = tail;
        let mut i = 0;
        while i + 32 <= n {
            let v = _mm256_xor_si256(_mm256_loadu_si256(src.add(i) as *const _), k);
            if ASCII {
                seen = _mm256_or_si256(seen, v);
            }
            _mm256_storeu_si256(dst.add(i) as *mut _, v);
            i += 32;
        }
        if i < n {
            _mm256_storeu_si256(dst.add(n - 32) as *mut _, tail);
        }
        !ASCII || _mm256_movemask_epi8(seen) == 0
    }
}

/// Handles fewer than 64 bytes. It uses only baseline instructions, so that it can be inlined without a dispatch.
#[inline(always)]
unsafe fn small<const ASCII: bool>(src: *const u8, dst: *mut u8, n: usize, key: u32) -> bool {
    unsafe {
        let rot = |w: usize| key.rotate_right(8 * ((n - w) as u32 & 3));
        if n >= 16 {
            let (k, r) = (_mm_set1_epi32(key as i32), _mm_set1_epi32(rot(16) as i32));
            let ld = |p: *const u8, k| _mm_xor_si128(_mm_loadu_si128(p as *const _), k);
            let a = ld(src, k);
            let b = ld(src.add(n - 16), r);
            let mut seen = _mm_or_si128(a, b);
            if n >= 32 {
                let c = ld(src.add(16), k);
                let d = ld(src.add(n - 32), r);
                seen = _mm_or_si128(seen, _mm_or_si128(c, d));
                _mm_storeu_si128(dst.add(16) as *mut _, c);
                _mm_storeu_si128(dst.add(n - 32) as *mut _, d);
            }
            _mm_storeu_si128(dst as *mut _, a);
            _mm_storeu_si128(dst.add(n - 16) as *mut _, b);
            return !ASCII || _mm_movemask_epi8(seen) == 0;
        }
        if n >= 8 {
            let w = |k: u32| k as u64 | (k as u64) << 32;
            let a = (src as *const u64).read_unaligned() ^ w(key);
            let b = (src.add(n - 8) as *const u64).read_unaligned() ^ w(rot(8));
            (dst as *mut u64).write_unaligned(a);
            (dst.add(n - 8) as *mut u64).write_unaligned(b);
            return !ASCII || (a | b) & 0x8080_8080_8080_8080 == 0;
        }
        if n >= 4 {
            let a = (src as *const u32).read_unaligned() ^ key;
            let b = (src.add(n - 4) as *const u32).read_unaligned() ^ rot(4);
            (dst as *mut u32).write_unaligned(a);
            (dst.add(n - 4) as *mut u32).write_unaligned(b);
            return !ASCII || (a | b) & 0x8080_8080 == 0;
        }
        bytewise(src, dst, n, key) || !ASCII
    }
}

unsafe fn bytewise(src: *const u8, dst: *mut u8, n: usize, key: u32) -> bool {
    let k = key.to_le_bytes();
    let mut seen = 0;
    for i in 0..n {
        unsafe {
            let v = *src.add(i) ^ k[i & 3];
            seen |= v;
            *dst.add(i) = v;
        }
    }
    seen < 128
}

#[inline(always)]
unsafe fn dispatch<const ASCII: bool>(src: *const u8, dst: *mut u8, n: usize, key: u32) -> bool {
    unsafe {
        if n < 64 {
            small::<ASCII>(src, dst, n, key)
        } else if is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vl") {
            xform::<ASCII>(src, dst, n, key)
        } else if is_x86_feature_detected!("avx2") {
            xform_avx2::<ASCII>(src, dst, n, key)
        } else {
            bytewise(src, dst, n, key) || !ASCII
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,bmi2")]
fn ascii_avx512(data: &[u8]) -> bool {
    unsafe {
        let (mut p, mut n) = (data.as_ptr(), data.len());
        let mut seen = _mm512_setzero_si512();
        while n >= 256 {
            for j in 0..4 {
                seen = _mm512_or_si512(seen, _mm512_loadu_si512(p.add(j * 64) as *const _));
            }
            p = p.add(256);
            n -= 256;
        }
        while n >= 64 {
            seen = _mm512_or_si512(seen, _mm512_loadu_si512(p as *const _));
            p = p.add(64);
            n -= 64;
        }
        if n > 0 {
            seen = _mm512_or_si512(seen, _mm512_maskz_loadu_epi8(_bzhi_u64(!0, n as u32), p as *const i8));
        }
        _mm512_movepi8_mask(seen) == 0
    }
}

/// XORs in place.
#[inline]
pub fn xor(data: &mut [u8], key: u32) {
    unsafe { dispatch::<false>(data.as_ptr(), data.as_mut_ptr(), data.len(), key) };
}

/// XORs in place. Returns whether every result is ASCII.
#[inline]
pub fn xor_ascii(data: &mut [u8], key: u32) -> bool {
    unsafe { dispatch::<true>(data.as_ptr(), data.as_mut_ptr(), data.len(), key) }
}

/// Computes dst = src ^ key, so that a client copies and masks in one pass.
#[inline]
pub fn copy_xor(dst: &mut [u8], src: &[u8], key: u32) {
    assert!(dst.len() >= src.len());
    unsafe { dispatch::<false>(src.as_ptr(), dst.as_mut_ptr(), src.len(), key) };
}

/// Returns whether every byte is ASCII.
pub fn ascii(data: &[u8]) -> bool {
    let wide = is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("bmi2");
    if wide && is_x86_feature_detected!("avx512vl") { unsafe { ascii_avx512(data) } } else { data.is_ascii() }
}

#[test]
fn kernels_agree_with_a_plain_loop() {
    let key = 0x81fa_213d_u32;
    for n in 0..700 {
        for offset in 0..5 {
            let src: Vec<u8> = (0..n + offset).map(|i| (i * 7 + 3) as u8).collect();
            let masked = |(i, byte): (usize, &u8)| byte ^ key.to_le_bytes()[i & 3];
            let want: Vec<u8> = src[offset..].iter().enumerate().map(masked).collect();
            let mut inplace = src.clone();
            assert_eq!(xor_ascii(&mut inplace[offset..], key), want.is_ascii());
            assert_eq!(inplace[offset..], want[..]);
            assert_eq!(ascii(&want), want.is_ascii());
            let mut copy = vec![0; n];
            copy_xor(&mut copy, &src[offset..], key);
            assert_eq!(copy, want);
            if n >= 64 && is_x86_feature_detected!("avx2") {
                let mut inplace = src.clone();
                let at = inplace[offset..].as_mut_ptr();
                assert_eq!(unsafe { xform_avx2::<true>(at, at, n, key) }, want.is_ascii());
                assert_eq!(inplace[offset..], want[..]);
            }
        }
    }
}
