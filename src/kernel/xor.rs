//! XOR of a payload with a repeating four-byte key, for inputs of any length.
//!
//! Most messages are short, so there is separate code for several ranges of lengths. At most 3 consecutive bytes are
//! masked one by one: a whole input, or the bytes before or after the blocks of a long input.
//!
//! | bytes | in place | copy | how |
//! | --- | --- | --- | --- |
//! | 0 to 3 | `reference` | `reference` | byte by byte |
//! | 4 to 15 | `xor_overlapping` | `copy_overlapping` | two words, which may overlap |
//! | 16 to 32 | `xor_two_vectors` | `copy_two_vectors` | two vectors, which may overlap |
//! | 33 to 127 | `xor_vectors` | `copy_vectors` | vectors, the last of which may overlap |
//! | 128 and more | `xor_blocks` | `copy_blocks` | blocks of `xor_wide`; code of the other rows masks the bytes before and after the blocks |
//!
//! Overlapping words and vectors handle the bytes that do not fill a whole word. The first `N` bytes and the last `N`
//! bytes together cover an input of `N` to `2 * N` bytes. The last word is masked with the key rotated by the length of
//! the input. So a byte in the overlap is masked with the same key byte in both words, and gets the same value twice.
//!
//! This file has no `unsafe` code. `first_chunk` and `last_chunk` convert the slices to arrays. The compiler removes
//! their length checks if the length is already known to be large enough.

use super::simd128::{LANES, U8x16};
use super::xor_wide::{self, BLOCK};

/// The alignment of blocks in long inputs, in bytes: the width of the widest registers (AVX-512).
const ALIGNMENT: usize = 64;
/// If an input of at least this many bytes is masked in place, its blocks are aligned.
const ALIGNED_FROM: usize = 4 << 10;

/// XORs `data` with the bytes of `key`, beginning with the lowest byte. The key is repeated as often as needed.
#[inline]
pub(crate) fn xor_in_place(data: &mut [u8], key: u32) {
    xor::<false>(data, key);
}

/// XORs `data` like [`xor_in_place`], and returns whether the result is ASCII.
#[inline]
pub(crate) fn xor_to_ascii(data: &mut [u8], key: u32) -> bool {
    xor::<true>(data, key)
}

/// Selects the code for the length of `data`.
///
/// The returned value is only meaningful if `CHECK_ASCII` is true. Without `CHECK_ASCII`, long inputs skip the ASCII
/// check, which takes about a fifth of the time.
#[inline(always)]
fn xor<const CHECK_ASCII: bool>(data: &mut [u8], key: u32) -> bool {
    match data.len() {
        BLOCK.. => xor_blocks::<CHECK_ASCII>(data, key),
        33.. => xor_vectors(data, key),
        16.. => xor_two_vectors(data, key),
        8.. => xor_overlapping::<8>(data, key),
        4.. => xor_overlapping::<4>(data, key),
        _ => reference(data, key),
    }
}

/// XORs `N` to `2 * N` bytes, where `N` is 4 or 8, as two words: the first `N` bytes and the last `N` bytes. The words
/// may overlap.
#[inline]
fn xor_overlapping<const N: usize>(data: &mut [u8], key: u32) -> bool {
    let (Some(head), Some(tail)) = (data.first_chunk::<N>(), data.last_chunk::<N>()) else { return false };
    // Load both words before storing one of them. Otherwise the second load would read masked bytes in the overlap.
    let (head, tail) = (load(head) ^ repeat_key(key), load(tail) ^ repeat_key(rotate_key(key, data.len())));
    store::<N>(data.first_chunk_mut(), head);
    store::<N>(data.last_chunk_mut(), tail);
    let high_bits = (u64::MAX / 0xFF * 0x80) >> (8 * (8 - N));
    (head | tail) & high_bits == 0
}

/// XORs 16 to 32 bytes as two vectors, which may overlap. Both are loaded before one of them is stored.
#[inline]
fn xor_two_vectors(data: &mut [u8], key: u32) -> bool {
    let (Some(head), Some(tail)) = (data.first_chunk(), data.last_chunk()) else { return false };
    let head = U8x16::load(head).xor(U8x16::splat_u32(key));
    let tail = U8x16::load(tail).xor(U8x16::splat_u32(rotate_key(key, data.len())));
    if let Some(first) = data.first_chunk_mut() {
        *first = head.store();
    }
    if let Some(last) = data.last_chunk_mut() {
        *last = tail.store();
    }
    head.or(tail).is_ascii()
}

/// XORs at least 16 bytes, vector by vector.
///
/// The last vector may overlap the vector before it. The loop masks the bytes in the overlap. So the last vector is
/// loaded before the loop, and stored after the loop. The bytes in the overlap are written twice with the same value.
#[inline]
fn xor_vectors(data: &mut [u8], key: u32) -> bool {
    let Some(tail) = data.last_chunk() else { return false };
    let tail = U8x16::load(tail).xor(U8x16::splat_u32(rotate_key(key, data.len())));
    let (key, mut all) = (U8x16::splat_u32(key), tail);
    for bytes in data.chunks_exact_mut(LANES) {
        if let Some(bytes) = bytes.first_chunk_mut() {
            let vector = U8x16::load(bytes).xor(key);
            all = all.or(vector);
            *bytes = vector.store();
        }
    }
    if let Some(last) = data.last_chunk_mut() {
        *last = tail.store();
    }
    all.is_ascii()
}

/// XORs at least [`BLOCK`] bytes. This function is not inlined, so that the inlined code for short inputs stays small.
#[inline(never)]
fn xor_blocks<const CHECK_ASCII: bool>(data: &mut [u8], key: u32) -> bool {
    // A store that crosses the boundary of a cache line costs as much as two stores. So the first bytes of a long input
    // are masked separately, and all blocks after them are aligned.
    let head = if data.len() < ALIGNED_FROM { 0 } else { data.as_ptr().align_offset(ALIGNMENT) };
    let (head, data) = data.split_at_mut_checked(head).unwrap_or_default();
    let key_after_head = rotate_key(key, head.len());
    let (blocks, rest) = data.split_at_mut_checked(data.len() - data.len() % BLOCK).unwrap_or_default();
    let ascii = xor_to_ascii(head, key) & xor_wide::in_place::<CHECK_ASCII>(blocks, key_after_head);
    // The length of a block is a multiple of four. So the position in the key is the same before and after the blocks.
    xor_to_ascii(rest, key_after_head) && ascii
}

/// XORs bytes while copying them from `from` to the front of `to`.
///
/// Copies as many bytes as the shorter of the two slices holds, and returns their number.
#[inline]
pub(crate) fn xor_copy(from: &[u8], to: &mut [u8], key: u32) -> usize {
    let len = from.len().min(to.len());
    let (Some(from), Some(to)) = (from.get(..len), to.get_mut(..len)) else { return 0 };
    if key == 0 {
        to.copy_from_slice(from);
    } else {
        match len {
            0..4 => {
                to.copy_from_slice(from);
                reference(to, key);
            }
            4..8 => copy_overlapping::<4>(from, to, key),
            8..16 => copy_overlapping::<8>(from, to, key),
            16..=32 => copy_two_vectors(from, to, key),
            33..BLOCK => copy_vectors(from, to, key),
            _ => copy_blocks(from, to, key),
        }
    }
    len
}

/// Copies and XORs `N` to `2 * N` bytes between slices of equal length. See [`xor_overlapping`].
#[inline]
fn copy_overlapping<const N: usize>(from: &[u8], to: &mut [u8], key: u32) {
    let (Some(head), Some(tail)) = (from.first_chunk::<N>(), from.last_chunk::<N>()) else { return };
    store::<N>(to.first_chunk_mut(), load(head) ^ repeat_key(key));
    store::<N>(to.last_chunk_mut(), load(tail) ^ repeat_key(rotate_key(key, from.len())));
}

/// Copies and XORs 16 to 32 bytes between slices of equal length. See [`xor_two_vectors`].
#[inline]
fn copy_two_vectors(from: &[u8], to: &mut [u8], key: u32) {
    if let (Some(head), Some(to)) = (from.first_chunk(), to.first_chunk_mut()) {
        *to = U8x16::load(head).xor(U8x16::splat_u32(key)).store();
    }
    if let (Some(tail), Some(to)) = (from.last_chunk(), to.last_chunk_mut()) {
        *to = U8x16::load(tail).xor(U8x16::splat_u32(rotate_key(key, from.len()))).store();
    }
}

/// Copies and XORs at least 16 bytes between slices of equal length. See [`xor_vectors`].
#[inline]
fn copy_vectors(from: &[u8], to: &mut [u8], key: u32) {
    let vector = U8x16::splat_u32(key);
    for (from, to) in from.chunks_exact(LANES).zip(to.chunks_exact_mut(LANES)) {
        if let (Some(from), Some(to)) = (from.first_chunk(), to.first_chunk_mut()) {
            *to = U8x16::load(from).xor(vector).store();
        }
    }
    if let (Some(tail), Some(to)) = (from.last_chunk(), to.last_chunk_mut()) {
        *to = U8x16::load(tail).xor(U8x16::splat_u32(rotate_key(key, from.len()))).store();
    }
}

/// Copies and XORs at least [`BLOCK`] bytes between slices of equal length.
#[inline(never)]
fn copy_blocks(from: &[u8], to: &mut [u8], key: u32) {
    let whole = from.len() - from.len() % BLOCK;
    let (blocks, from) = from.split_at_checked(whole).unwrap_or_default();
    let (to_blocks, to) = to.split_at_mut_checked(whole).unwrap_or_default();
    xor_wide::copy(blocks, to_blocks, key);
    xor_copy(from, to, key);
}

/// Returns whether all of `data` is ASCII. This function is for short inputs, because it does not stop at the first
/// byte that is not ASCII.
#[inline]
pub(super) fn is_ascii(data: &[u8]) -> bool {
    let Some(tail) = data.last_chunk() else { return data.is_ascii() };
    let mut all = U8x16::load(tail);
    for bytes in data.chunks_exact(LANES) {
        if let Some(bytes) = bytes.first_chunk() {
            all = all.or(U8x16::load(bytes));
        }
    }
    all.is_ascii()
}

/// XORs byte by byte, and returns whether the result is ASCII. The functions of this file use this code for up to three
/// bytes. The tests compare all other code with this code.
#[inline]
fn reference(data: &mut [u8], key: u32) -> bool {
    for (byte, mask) in data.iter_mut().zip(key.to_le_bytes().iter().cycle()) {
        *byte ^= mask;
    }
    data.is_ascii()
}

/// Returns the key for the bytes after the first `len` bytes of a payload.
///
/// The key repeats every four bytes. So the returned key also masks the last `N` of these `len` bytes, if `N` is a
/// multiple of four.
#[inline]
pub(crate) fn rotate_key(key: u32, len: usize) -> u32 {
    // Rotating by four bytes changes nothing, so the low byte of `len` is enough.
    let [low, ..] = len.to_le_bytes();
    key.rotate_right(8 * u32::from(low))
}

/// Returns the key twice in a row.
#[inline]
fn repeat_key(key: u32) -> u64 {
    u64::from(key) << 32 | u64::from(key)
}

/// Loads up to eight bytes. The first byte becomes the lowest.
#[inline]
fn load<const N: usize>(bytes: &[u8; N]) -> u64 {
    let mut word = [0; 8];
    for (to, from) in word.iter_mut().zip(bytes) {
        *to = *from;
    }
    u64::from_le_bytes(word)
}

/// Stores the low `N` bytes of `word`.
#[inline]
fn store<const N: usize>(to: Option<&mut [u8; N]>, word: u64) {
    if let (Some(to), Some(bytes)) = (to, word.to_le_bytes().first_chunk()) {
        *to = *bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn all_code_matches_the_reference_at_every_length_alignment_and_key_position() {
        let source: Vec<u8> = (0..600u32).map(|i| (i * 167 + 13) as u8).collect();
        for phase in 0..4 {
            let key = 0x3d21_fa37u32.rotate_right(8 * phase);
            for start in 0..16 {
                for len in 0..=512 {
                    let mut expected = source[start..start + len].to_vec();
                    reference(&mut expected, key);
                    let mut whole = source.clone();
                    assert_eq!(xor_to_ascii(&mut whole[start..start + len], key), expected.is_ascii());
                    assert_eq!(whole[start..start + len], expected);
                    xor_in_place(&mut whole[start..start + len], key);
                    assert_eq!(whole[..], source[..]);
                    xor_in_place(&mut whole[start..start + len], key);
                    assert_eq!(whole[start..start + len], expected);
                    assert_eq!(whole[..start], source[..start]);
                    assert_eq!(whole[start + len..], source[start + len..]);
                    let mut copy = [0; 520];
                    assert_eq!(xor_copy(&source[start..start + len], &mut copy[start % 8..], key), len);
                    assert_eq!(copy[start % 8..start % 8 + len], expected);
                    assert_eq!(is_ascii(&expected), expected.is_ascii());
                    for byte in &mut expected {
                        *byte &= 0x7F;
                    }
                    assert!(is_ascii(&expected));
                    for at in [0, len / 3, len.saturating_sub(1)].into_iter().filter(|at| *at < len) {
                        expected[at] |= 0x80;
                        assert!(!is_ascii(&expected));
                        expected[at] &= 0x7F;
                    }
                }
            }
        }
    }
}
