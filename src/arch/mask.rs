//! XOR with a repeating four-byte key.

use super::blocks::{self, BLOCK};

/// XORs `data` with the bytes of `key`, the lowest first, again and again.
#[inline]
pub(crate) fn xor_in_place(data: &mut [u8], key: u32) {
    if key == 0 {
        return;
    }
    match data.len() {
        0..=3 => naive(data, key),
        4..=7 => {
            let (head, tail) = (data.first_chunk().copied(), data.last_chunk().copied());
            let turned = turn(key, data.len());
            if let (Some(head), Some(tail)) = (head, tail) {
                // Head and tail overlap: both are loaded before either is stored.
                store(data.first_chunk_mut(), (u32::from_le_bytes(head) ^ key).to_le_bytes());
                store(data.last_chunk_mut(), (u32::from_le_bytes(tail) ^ turned).to_le_bytes());
            }
        }
        len if len < BLOCK => xor_short(data, key),
        _ => _ = xor_long(data, key),
    }
}

/// From eight bytes on.
#[inline]
fn xor_short(data: &mut [u8], key: u32) {
    let (len, tail, wide) = (data.len(), data.last_chunk().copied(), widen(key));
    xor_words(xor_lanes(data, wide), wide);
    if let Some(tail) = tail {
        // The last eight bytes are written as one word, over some that are done already.
        let done = (u64::from_le_bytes(tail) ^ widen(turn(key, len))).to_le_bytes();
        store(data.last_chunk_mut(), done);
    }
}

/// From a block on; whether what comes out is ASCII.
#[inline(never)]
fn xor_long(data: &mut [u8], key: u32) -> bool {
    let (blocks, rest) = data.split_at_mut_checked(data.len() - data.len() % BLOCK).unwrap_or_default();
    let ascii = blocks::in_place(blocks, key);
    // A block has whole keys: the phase is the same behind it.
    xor_in_place(rest, key);
    ascii && rest.is_ascii()
}

/// As [`xor_in_place`]; whether what comes out is known to be ASCII. Where that costs a pass of its own nobody
/// looks.
#[inline]
pub(crate) fn xor_to_ascii(data: &mut [u8], key: u32) -> bool {
    if key == 0 || data.len() < BLOCK {
        xor_in_place(data, key);
        return false;
    }
    xor_long(data, key)
}

/// The part that is a multiple of 32 bytes, as vectors; gives the rest.
#[inline]
fn xor_lanes(data: &mut [u8], wide: u64) -> &mut [u8] {
    let mut pattern = [0; 32];
    for word in pattern.chunks_exact_mut(8) {
        word.copy_from_slice(&wide.to_le_bytes());
    }
    let mut lanes = data.chunks_exact_mut(pattern.len());
    for lane in &mut lanes {
        for (byte, mask) in lane.iter_mut().zip(&pattern) {
            *byte ^= mask;
        }
    }
    lanes.into_remainder()
}

/// The part that is a multiple of eight bytes.
#[inline]
fn xor_words(data: &mut [u8], wide: u64) {
    for word in data.chunks_exact_mut(8) {
        if let Some(bytes) = word.first_chunk_mut() {
            *bytes = (u64::from_le_bytes(*bytes) ^ wide).to_le_bytes();
        }
    }
}

/// As [`xor_in_place`], from `from` to the front of `to`; gives the number of bytes, that of the
/// shorter of the two.
#[inline]
pub(crate) fn xor_copy(from: &[u8], to: &mut [u8], key: u32) -> usize {
    let len = from.len().min(to.len());
    let (Some(from), Some(to)) = (from.get(..len), to.get_mut(..len)) else { return 0 };
    let whole = if key == 0 { 0 } else { len - len % BLOCK };
    let (blocks, from) = from.split_at_checked(whole).unwrap_or_default();
    let (to_blocks, to) = to.split_at_mut_checked(whole).unwrap_or_default();
    if whole > 0 {
        blocks::copy(blocks, to_blocks, key);
    }
    // A block has whole keys: the phase is the same behind it.
    to.copy_from_slice(from);
    xor_in_place(to, key);
    len
}

/// One byte at a time: short inputs, and what the tests hold the rest against.
#[inline]
fn naive(data: &mut [u8], key: u32) {
    for (byte, mask) in data.iter_mut().zip(key.to_le_bytes().iter().cycle()) {
        *byte ^= mask;
    }
}

/// The key as it falls on what comes after `len` bytes, and on the last four or eight of them.
#[inline]
pub(crate) const fn turn(key: u32, len: usize) -> u32 {
    match len % 4 {
        0 => key,
        1 => key.rotate_right(8),
        2 => key.rotate_right(16),
        _ => key.rotate_right(24),
    }
}

#[inline]
fn widen(key: u32) -> u64 {
    u64::from(key) << 32 | u64::from(key)
}

#[inline]
fn store<const N: usize>(to: Option<&mut [u8; N]>, bytes: [u8; N]) {
    if let Some(to) = to {
        *to = bytes;
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
                    xor_in_place(&mut whole[start..start + len], key);
                    assert_eq!(whole[start..start + len], expected);
                    assert_eq!(whole[..start], source[..start]);
                    assert_eq!(whole[start + len..], source[start + len..]);
                    let mut copy = [0; 520];
                    assert_eq!(xor_copy(&source[start..start + len], &mut copy[start % 8..], key), len);
                    assert_eq!(copy[start % 8..start % 8 + len], expected);
                }
            }
        }
    }
}
