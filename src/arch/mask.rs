//! XOR with a repeating four-byte key.

use super::blocks::{self, BLOCK};
use super::lane::{LANE, Lane};

/// The width of the widest registers.
const ALIGNMENT: usize = 64;
const WORTH_ALIGNING: usize = 4 << 10;

/// XORs `data` with the bytes of `key`, the lowest first, again and again.
#[inline]
pub(crate) fn xor_in_place(data: &mut [u8], key: u32) {
    xor::<false>(data, key);
}

/// As [`xor_in_place`]; whether what comes out is ASCII.
#[inline]
pub(crate) fn xor_to_ascii(data: &mut [u8], key: u32) -> bool {
    xor::<true>(data, key)
}

/// The answer is to be used where it is to be `CHECK`ed: it costs a fifth of the time of long data.
#[inline(always)]
fn xor<const CHECK: bool>(data: &mut [u8], key: u32) -> bool {
    match data.len() {
        BLOCK.. => xor_long::<CHECK>(data, key),
        33.. => xor_lanes(data, key),
        16.. => xor_two_lanes(data, key),
        8.. => xor_ends::<8>(data, key),
        4.. => xor_ends::<4>(data, key),
        _ => naive(data, key),
    }
}

/// From `N` bytes on, 4 or 8, up to twice as many: the first and the last `N`, which may overlap.
#[inline]
fn xor_ends<const N: usize>(data: &mut [u8], key: u32) -> bool {
    let (Some(head), Some(tail)) = (data.first_chunk::<N>(), data.last_chunk::<N>()) else { return false };
    // Both are loaded before either is stored.
    let (head, tail) = (load(head) ^ widen(key), load(tail) ^ widen(turn(key, data.len())));
    store::<N>(data.first_chunk_mut(), head);
    store::<N>(data.last_chunk_mut(), tail);
    let high_bits = (u64::MAX / 0xFF * 0x80) >> (8 * (8 - N));
    (head | tail) & high_bits == 0
}

/// From one lane to two: the first and the last, as in [`xor_ends`].
#[inline]
fn xor_two_lanes(data: &mut [u8], key: u32) -> bool {
    let (Some(head), Some(tail)) = (data.first_chunk(), data.last_chunk()) else { return false };
    let head = Lane::load(head).xor(Lane::splat(key));
    let tail = Lane::load(tail).xor(Lane::splat(turn(key, data.len())));
    if let Some(first) = data.first_chunk_mut() {
        *first = head.store();
    }
    if let Some(last) = data.last_chunk_mut() {
        *last = tail.store();
    }
    head.or(tail).is_ascii()
}

/// From one lane on.
#[inline]
fn xor_lanes(data: &mut [u8], key: u32) -> bool {
    let Some(tail) = data.last_chunk() else { return false };
    let tail = Lane::load(tail).xor(Lane::splat(turn(key, data.len())));
    let (key, mut all) = (Lane::splat(key), tail);
    for bytes in data.chunks_exact_mut(LANE) {
        if let Some(bytes) = bytes.first_chunk_mut() {
            let lane = Lane::load(bytes).xor(key);
            all = all.or(lane);
            *bytes = lane.store();
        }
    }
    // It may lie over a part of the lane before, which is overwritten with the same.
    if let Some(last) = data.last_chunk_mut() {
        *last = tail.store();
    }
    all.is_ascii()
}

/// From a block on.
#[inline(never)]
fn xor_long<const CHECK: bool>(data: &mut [u8], key: u32) -> bool {
    // A store that crosses cache lines costs two: worth some first bytes on their own where there are many.
    let head = if data.len() < WORTH_ALIGNING { 0 } else { data.as_ptr().align_offset(ALIGNMENT) };
    let (head, data) = data.split_at_mut_checked(head).unwrap_or_default();
    let key_behind = turn(key, head.len());
    let (blocks, rest) = data.split_at_mut_checked(data.len() - data.len() % BLOCK).unwrap_or_default();
    let ascii = xor_to_ascii(head, key) & blocks::in_place::<CHECK>(blocks, key_behind);
    // A block has whole keys: the phase is the same behind it.
    xor_to_ascii(rest, key_behind) && ascii
}

/// As [`xor_in_place`], from `from` to the front of `to`; gives the number of bytes, that of the
/// shorter of the two.
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
                naive(to, key);
            }
            4..8 => copy_ends::<4>(from, to, key),
            8..16 => copy_ends::<8>(from, to, key),
            16..=32 => copy_two_lanes(from, to, key),
            33..BLOCK => copy_lanes(from, to, key),
            _ => copy_long(from, to, key),
        }
    }
    len
}

/// As [`xor_ends`], between slices of the same length.
#[inline]
fn copy_ends<const N: usize>(from: &[u8], to: &mut [u8], key: u32) {
    let (Some(head), Some(tail)) = (from.first_chunk::<N>(), from.last_chunk::<N>()) else { return };
    store::<N>(to.first_chunk_mut(), load(head) ^ widen(key));
    store::<N>(to.last_chunk_mut(), load(tail) ^ widen(turn(key, from.len())));
}

/// As [`xor_two_lanes`], between slices of the same length.
#[inline]
fn copy_two_lanes(from: &[u8], to: &mut [u8], key: u32) {
    if let (Some(head), Some(to)) = (from.first_chunk(), to.first_chunk_mut()) {
        *to = Lane::load(head).xor(Lane::splat(key)).store();
    }
    if let (Some(tail), Some(to)) = (from.last_chunk(), to.last_chunk_mut()) {
        *to = Lane::load(tail).xor(Lane::splat(turn(key, from.len()))).store();
    }
}

/// As [`xor_lanes`], between slices of the same length.
#[inline]
fn copy_lanes(from: &[u8], to: &mut [u8], key: u32) {
    let lane = Lane::splat(key);
    for (from, to) in from.chunks_exact(LANE).zip(to.chunks_exact_mut(LANE)) {
        if let (Some(from), Some(to)) = (from.first_chunk(), to.first_chunk_mut()) {
            *to = Lane::load(from).xor(lane).store();
        }
    }
    if let (Some(tail), Some(to)) = (from.last_chunk(), to.last_chunk_mut()) {
        *to = Lane::load(tail).xor(Lane::splat(turn(key, from.len()))).store();
    }
}

/// As [`xor_long`], between slices of the same length.
#[inline(never)]
fn copy_long(from: &[u8], to: &mut [u8], key: u32) {
    let whole = from.len() - from.len() % BLOCK;
    let (blocks, from) = from.split_at_checked(whole).unwrap_or_default();
    let (to_blocks, to) = to.split_at_mut_checked(whole).unwrap_or_default();
    blocks::copy(blocks, to_blocks, key);
    xor_copy(from, to, key);
}

/// Whether all of `data` is ASCII, for short inputs.
#[inline]
pub(super) fn is_ascii(data: &[u8]) -> bool {
    let Some(tail) = data.last_chunk() else { return data.is_ascii() };
    let mut all = Lane::load(tail);
    for bytes in data.chunks_exact(LANE) {
        if let Some(bytes) = bytes.first_chunk() {
            all = all.or(Lane::load(bytes));
        }
    }
    all.is_ascii()
}

/// One byte at a time: short inputs, and what the tests hold the rest against.
#[inline]
fn naive(data: &mut [u8], key: u32) -> bool {
    for (byte, mask) in data.iter_mut().zip(key.to_le_bytes().iter().cycle()) {
        *byte ^= mask;
    }
    data.is_ascii()
}

/// The key as it falls on what comes after `len` bytes, and on the last bytes of them, a multiple of four.
#[inline]
pub(crate) fn turn(key: u32, len: usize) -> u32 {
    // Four bytes are a whole turn.
    let [low, ..] = len.to_le_bytes();
    key.rotate_right(8 * u32::from(low))
}

/// The key twice.
#[inline]
fn widen(key: u32) -> u64 {
    u64::from(key) << 32 | u64::from(key)
}

/// Up to eight bytes, the first one lowest.
#[inline]
fn load<const N: usize>(bytes: &[u8; N]) -> u64 {
    let mut word = [0; 8];
    for (to, from) in word.iter_mut().zip(bytes) {
        *to = *from;
    }
    u64::from_le_bytes(word)
}

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
    fn equals_the_naive_twin_at_every_length_alignment_and_phase() {
        let source: Vec<u8> = (0..600u32).map(|i| (i * 167 + 13) as u8).collect();
        for phase in 0..4 {
            let key = 0x3d21_fa37u32.rotate_right(8 * phase);
            for start in 0..16 {
                for len in 0..=512 {
                    let mut expected = source[start..start + len].to_vec();
                    naive(&mut expected, key);
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
