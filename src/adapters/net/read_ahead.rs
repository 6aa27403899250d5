//! A buffer for input that was read during a write. The next call that reads takes the input from it.
//!
//! A call that sends must wait while the peer does not read. During the wait the call reads the input that has arrived,
//! for two reasons. Input shows that the peer is alive. And some peers read only after they have sent their own data.
//! The call cannot decode the bytes, because the application may still have an event that borrows from the inbox.
//!
//! `deadline_stream.rs` performs the reads. This file only stores their results.
//!
//! Invariants:
//! - At most [`MAX_READ_AHEAD`] bytes are kept. Further input stays in the transport, whose backpressure stops the
//!   peer.
//! - The bytes are returned in the order in which they arrived. The end or the error of the stream is returned after
//!   the bytes.
//! - When all bytes were taken, the next [`take`](ReadAhead::take) frees the memory.

use core::fmt;
use std::io;
use std::prelude::v1::*;

/// Maximum number of bytes that are kept.
pub(super) const MAX_READ_AHEAD: usize = 64 << 10;
/// Maximum number of bytes in one read. This is the maximum payload of a TLS record.
const AT_ONCE: usize = 16 << 10;

/// Bytes that were read ahead, and the end or the error that followed in the stream.
#[derive(Default)]
pub(super) struct ReadAhead {
    bytes: Vec<u8>,
    /// The number of bytes at the start of `bytes` that were taken.
    taken: usize,
    /// The end or the error that followed the bytes in the stream. `None` if neither is known.
    end: Option<io::Result<()>>,
}

impl ReadAhead {
    /// Returns whether there are bytes to take.
    pub(super) fn has_bytes(&self) -> bool {
        self.bytes.len() > self.taken
    }

    /// Returns whether the next [`take`](Self::take) returns the end or an error of the stream.
    pub(super) fn is_at_end(&self) -> bool {
        !self.has_bytes() && self.end.is_some()
    }

    /// Returns whether the end or an error of the stream is known.
    pub(super) const fn knows_end(&self) -> bool {
        self.end.is_some()
    }

    /// Makes the next [`take`](Self::take) return the end of the stream again.
    pub(super) fn keep_end(&mut self) {
        self.end = Some(Ok(()));
    }

    /// Returns whether more bytes can be kept.
    pub(super) fn has_space(&self) -> bool {
        self.end.is_none() && self.bytes.len() - self.taken < MAX_READ_AHEAD
    }

    /// Returns whether [`MAX_READ_AHEAD`] bytes are kept, and neither the end nor an error of the stream is known.
    pub(super) fn is_full(&self) -> bool {
        self.end.is_none() && !self.has_space()
    }

    /// Returns space to read into. Call [`Self::handle_read`] after the read.
    pub(super) fn space(&mut self) -> &mut [u8] {
        // Remove the bytes that were taken, to use their space again.
        self.bytes.drain(..self.taken);
        self.taken = 0;
        let len = self.bytes.len();
        self.bytes.resize((len + AT_ONCE).min(MAX_READ_AHEAD), 0);
        self.bytes.get_mut(len..).unwrap_or_default()
    }

    /// Stores the result of a read into [`space`](Self::space), which had `space_len` bytes.
    ///
    /// `read` is the number of bytes, 0 at the end of the stream, or `None` if no input has arrived.
    pub(super) fn handle_read(&mut self, space_len: usize, read: io::Result<Option<usize>>) {
        let before = self.bytes.len() - space_len;
        let n = match read {
            Ok(Some(0)) => {
                self.end = Some(Ok(()));
                0
            }
            Ok(n) => n.unwrap_or(0),
            Err(error) => {
                self.end = Some(Err(error));
                0
            }
        };
        self.bytes.truncate(before + n);
    }

    /// Moves bytes to `to`, and returns the result that a read from the stream would have. The result is the number of
    /// bytes. When all bytes were taken, the next call returns the end of the stream as 0, or the error. Returns `None`
    /// if nothing is kept.
    pub(super) fn take(&mut self, to: &mut [u8]) -> Option<io::Result<usize>> {
        let rest = self.bytes.get(self.taken..).unwrap_or_default();
        if rest.is_empty() {
            *self = Self { end: self.end.take(), ..Self::default() };
            return self.end.take().map(|end| end.map(|()| 0));
        }
        let n = rest.len().min(to.len());
        if let (Some(to), Some(from)) = (to.get_mut(..n), rest.get(..n)) {
            to.copy_from_slice(from);
        }
        self.taken += n;
        Some(Ok(n))
    }
}

impl fmt::Debug for ReadAhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The bytes are not shown, because they may be secret.
        f.debug_struct("ReadAhead").field("len", &(self.bytes.len() - self.taken)).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::vec;

    use super::*;

    /// Reads ahead as much of `bytes` as can be kept. Returns the number of bytes.
    fn fill(ahead: &mut ReadAhead, bytes: &[u8]) -> usize {
        let mut at = 0;
        while ahead.has_space() && at < bytes.len() {
            let space = ahead.space();
            let (space_len, n) = (space.len(), space.len().min(bytes.len() - at));
            space[..n].copy_from_slice(&bytes[at..at + n]);
            ahead.handle_read(space_len, Ok(Some(n)));
            at += n;
        }
        at
    }

    fn drain(ahead: &mut ReadAhead, step: usize) -> Vec<u8> {
        let (mut all, mut to) = (Vec::new(), vec![0; step]);
        while let Some(Ok(n @ 1..)) = ahead.take(&mut to) {
            all.extend(&to[..n]);
        }
        all
    }

    #[test]
    fn at_most_64_kib_are_kept_and_returned_in_order() {
        let bytes: Vec<u8> = (0..100_000_u32).map(|i| (i % 251) as u8).collect();
        for step in [1, 100, 16 << 10, 1 << 20] {
            let mut ahead = ReadAhead::default();
            assert!(!ahead.has_bytes());
            assert_eq!(fill(&mut ahead, &bytes), MAX_READ_AHEAD);
            assert!(!ahead.has_space() && ahead.has_bytes());
            assert_eq!(drain(&mut ahead, step), bytes[..MAX_READ_AHEAD]);
            assert!(!ahead.has_bytes() && ahead.has_space());
            assert_eq!(ahead.bytes.capacity(), 0);
        }
    }

    #[test]
    fn taken_bytes_make_space_for_more() {
        let mut ahead = ReadAhead::default();
        let mut out = Vec::new();
        for n in 0..100_u8 {
            assert_eq!(fill(&mut ahead, &[n; 1000]), 1000);
            // Takes all bytes, or all but the last ones.
            let mut to = [0; 2000];
            let most = if n % 3 == 0 { 2000 } else { 900 };
            if let Some(Ok(len)) = ahead.take(&mut to[..most]) {
                out.extend(&to[..len]);
            }
            assert!(ahead.has_space());
        }
        out.extend(drain(&mut ahead, 1000));
        assert!(out.chunks(1000).zip(0..).all(|(chunk, n)| chunk == [n; 1000]));
        assert_eq!(out.len(), 100_000);
    }

    #[test]
    fn a_read_without_input_keeps_nothing() {
        let mut ahead = ReadAhead::default();
        let space_len = ahead.space().len();
        ahead.handle_read(space_len, Ok(None));
        assert!(!ahead.has_bytes() && !ahead.is_at_end());
        assert!(ahead.take(&mut [0]).is_none());
    }

    #[test]
    fn the_end_or_failure_is_returned_once_after_the_bytes() {
        for end in [Ok(Some(0)), Err(ErrorKind::ConnectionReset.into())] {
            let failed = end.is_err();
            let mut ahead = ReadAhead::default();
            fill(&mut ahead, b"abc");
            let space_len = ahead.space().len();
            ahead.handle_read(space_len, end);
            assert!(!ahead.has_space());
            let mut to = [0; 8];
            assert!(matches!(ahead.take(&mut to), Some(Ok(3))));
            assert!(ahead.is_at_end());
            match ahead.take(&mut to) {
                Some(Ok(0)) => assert!(!failed),
                Some(Err(error)) => assert!(failed && error.kind() == ErrorKind::ConnectionReset),
                other => std::panic!("{other:?}"),
            }
            assert!(ahead.take(&mut to).is_none());
            ahead.keep_end();
            assert!(ahead.is_at_end());
            assert!(matches!(ahead.take(&mut to), Some(Ok(0))));
        }
    }
}
