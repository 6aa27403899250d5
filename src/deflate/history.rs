//! What has been inflated last.

use std::vec::Vec;

/// The last bytes of what a peer has sent, as many as its window holds: a copy of the window that the
/// inflater keeps, which it neither gives out nor takes over a final block.
#[derive(Debug)]
pub(super) struct History {
    /// Grows with what has come, up to `size`; then a ring.
    bytes: Vec<u8>,
    /// Where the oldest byte of the ring is.
    at: usize,
    size: usize,
}

impl History {
    pub(super) const fn new(window_bits: u8) -> Self {
        // A peer that cannot do 8 bits uses 9, and must not reach further back than 256 bytes; it costs little
        // to let it.
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
        // At most once around, as there is no more than the size.
        let (to_end, from_start) = ring.split_at_checked(self.size - self.at).unwrap_or((ring, &[]));
        self.put(to_end);
        self.put(from_start);
    }

    /// Overwrites the oldest bytes, which do not wrap.
    fn put(&mut self, data: &[u8]) {
        if let Some(place) = self.bytes.get_mut(self.at..self.at + data.len()) {
            place.copy_from_slice(data);
            self.at = (self.at + data.len()) % self.size;
        }
    }

    /// The bytes in order, in two parts.
    pub(super) fn parts(&self) -> [&[u8]; 2] {
        let (new, old) = self.bytes.split_at_checked(self.at).unwrap_or_default();
        [old, new]
    }

    /// Whether it holds as much as any window does.
    pub(super) const fn is_largest(&self) -> bool {
        self.size == 1 << 15
    }

    /// Forgets everything, and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.at = 0;
    }

    /// Between messages without context takeover: changes the size.
    pub(super) fn resize(&mut self, window_bits: u8) {
        let changed = Self::new(window_bits);
        if changed.size != self.size {
            *self = changed;
        }
    }

    /// Gives back memory that holds nothing.
    pub(super) fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_the_last_bytes_and_no_more_memory_than_the_window() {
        let data: Vec<u8> = (0..40_000u32).map(|n| (n * 7 % 251) as u8).collect();
        for bits in [8, 9, 10, 15] {
            let size = 1 << bits.max(9);
            for step in [1, 3, 100, 511, 512, 513, 1023, 5000, 40_000] {
                let mut history = History::new(bits);
                let mut end = 0;
                for piece in data.chunks(step) {
                    history.push(piece);
                    end += piece.len();
                    if end % 7 == 0 || step > 100 {
                        assert_eq!(history.parts().concat(), data[end.saturating_sub(size)..end]);
                    }
                    assert!(history.bytes.capacity() <= size.min(2 * end));
                }
                assert_eq!(history.parts().concat(), data[end.saturating_sub(size)..]);
                history.clear();
                history.push(b"again");
                assert_eq!(history.parts().concat(), b"again");
            }
        }
    }
}
