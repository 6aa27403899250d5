//! A copy of the window of zlib. The window is the last part of the uncompressed data, to which later data may refer.
//!
//! The safe functions of zlib-rs do not return its window, and zlib-rs clears the window after a final block.
//! [`WindowCopy`] stores the same bytes, so that the window can be restored.
//!
//! Invariants:
//! - The copy holds the last bytes that were pushed, but at most as many as the window.
//! - The memory grows with the data and is never larger than the window.

use std::vec::Vec;

/// The last bytes of the data, at most as many as the window holds.
#[derive(Debug)]
pub(super) struct WindowCopy {
    /// The bytes. The vector grows up to `size`, and is then used as a ring buffer.
    bytes: Vec<u8>,
    /// The index of the oldest byte in the ring buffer.
    at: usize,
    /// The size of the window in bytes.
    size: usize,
}

impl WindowCopy {
    /// Returns an empty copy of a window of `window_bits`.
    pub(super) const fn new(window_bits: u8) -> Self {
        // zlib does not support 8 bits, so a peer may compress with 9 bits instead. So the smallest copy has 512 bytes.
        // This size costs little, and holds all data to which such a peer can refer.
        let bits = if window_bits < 9 { 9 } else { window_bits };
        Self { bytes: Vec::new(), at: 0, size: 1 << bits }
    }

    /// Appends `data`.
    pub(super) fn push(&mut self, data: &[u8]) {
        let data = data.get(data.len().saturating_sub(self.size)..).unwrap_or_default();
        let have = self.bytes.len();
        let (fill, ring) = data.split_at_checked(self.size.saturating_sub(have)).unwrap_or((data, &[]));
        if !fill.is_empty() {
            let need = have + fill.len();
            if need > self.bytes.capacity() {
                self.bytes.reserve_exact(need.max(have.saturating_mul(2)).min(self.size) - have);
            }
            self.bytes.extend_from_slice(fill);
        }
        // `data` is at most as long as the ring buffer, so it wraps at most once.
        let (to_end, from_start) = ring.split_at_checked(self.size - self.at).unwrap_or((ring, &[]));
        self.put(to_end);
        self.put(from_start);
    }

    /// Overwrites the oldest bytes. `data` must fit before the end of the ring buffer.
    fn put(&mut self, data: &[u8]) {
        if let Some(place) = self.bytes.get_mut(self.at..self.at + data.len()) {
            place.copy_from_slice(data);
            self.at = (self.at + data.len()) % self.size;
        }
    }

    /// Returns the bytes in two parts, the older bytes first.
    pub(super) fn parts(&self) -> [&[u8]; 2] {
        let (new, old) = self.bytes.split_at_checked(self.at).unwrap_or_default();
        [old, new]
    }

    /// Returns whether this window has the largest size of DEFLATE, 32 KiB.
    pub(super) const fn is_largest(&self) -> bool {
        self.size == 1 << 15
    }

    /// Removes all bytes and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.at = 0;
    }

    /// Changes the size of the window, and removes all bytes if the size differs. The caller does this only between
    /// messages without context takeover, when the copy is empty.
    pub(super) fn resize(&mut self, window_bits: u8) {
        let changed = Self::new(window_bits);
        if changed.size != self.size {
            *self = changed;
        }
    }

    /// Frees unused memory.
    pub(super) fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bytes_are_kept_in_no_more_memory_than_the_window() {
        let data: Vec<u8> = (0..40_000u32).map(|n| (n * 7 % 251) as u8).collect();
        for bits in [8, 9, 10, 15] {
            let size = 1 << bits.max(9);
            for step in [1, 3, 100, 511, 512, 513, 1023, 5000, 40_000] {
                let mut copy = WindowCopy::new(bits);
                let mut end = 0;
                for piece in data.chunks(step) {
                    copy.push(piece);
                    end += piece.len();
                    if end % 7 == 0 || step > 100 {
                        assert_eq!(copy.parts().concat(), data[end.saturating_sub(size)..end]);
                    }
                    assert!(copy.bytes.capacity() <= size.min(2 * end));
                }
                assert_eq!(copy.parts().concat(), data[end.saturating_sub(size)..]);
                copy.clear();
                copy.push(b"again");
                assert_eq!(copy.parts().concat(), b"again");
            }
        }
    }
}
