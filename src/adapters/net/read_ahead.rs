//! Bytes that were read while a call had to write, kept for the next call that reads.
//!
//! A call that sends may wait for as long as the peer does not read. Meanwhile it looks for what the peer has sent: a
//! Pong that lies in the socket shows that the peer is alive, and a peer that must send before it reads can go on.
//! The call cannot decode the bytes, because the application may still hold an event that borrows from the inbox.
//!
//! Invariants:
//! - At most [`MOST`] bytes are kept, so a peer that is not listened to is held back by its own transport.
//! - Bytes, and the end or the failure behind them, come out in the order in which they came in.
//! - While nothing is kept no memory is held, once [`take`](ReadAhead::take) was called.

use core::fmt;
use std::io;
use std::prelude::v1::*;

/// At most so many bytes are kept.
pub(super) const MOST: usize = 64 << 10;
/// So much is read at once: what a record of TLS holds.
const AT_ONCE: usize = 16 << 10;

/// Bytes that were read too early, and what came behind them.
#[derive(Default)]
pub(super) struct ReadAhead {
    bytes: Vec<u8>,
    /// How many of them were taken.
    taken: usize,
    /// How the stream ended behind them.
    end: Option<io::Result<()>>,
}

impl ReadAhead {
    /// Whether there are bytes.
    pub(super) fn has_bytes(&self) -> bool {
        self.bytes.len() > self.taken
    }

    /// Whether nothing comes from the stream any more, and its end is all that is kept.
    pub(super) fn is_at_end(&self) -> bool {
        !self.has_bytes() && self.end.is_some()
    }

    /// Whether the end of the stream, or a failure, has shown behind what is kept.
    pub(super) const fn knows_end(&self) -> bool {
        self.end.is_some()
    }

    /// The stream has ended, and the next [`take`](Self::take) says so again.
    pub(super) fn keep_end(&mut self) {
        self.end = Some(Ok(()));
    }

    /// Whether more can be kept.
    pub(super) fn has_room(&self) -> bool {
        self.end.is_none() && self.bytes.len() - self.taken < MOST
    }

    /// Room to read to.
    pub(super) fn space(&mut self) -> &mut [u8] {
        // Bytes that were taken leave room for as many others.
        self.bytes.drain(..self.taken);
        self.taken = 0;
        let len = self.bytes.len();
        self.bytes.resize((len + AT_ONCE).min(MOST), 0);
        self.bytes.get_mut(len..).unwrap_or_default()
    }

    /// What came of a read to `room` bytes of [`space`](Self::space): so many bytes, none at the end of the stream,
    /// `None` where there was nothing to read.
    pub(super) fn handle_read(&mut self, room: usize, read: io::Result<Option<usize>>) {
        let before = self.bytes.len() - room;
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

    /// As a read from the stream: bytes, then 0 for the end or the error. `None` once there is nothing any more.
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
        // Not the bytes, which may be secret.
        f.debug_struct("ReadAhead").field("len", &(self.bytes.len() - self.taken)).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::vec;

    use super::*;

    /// Reads `bytes` ahead as far as there is room; gives how many.
    fn fill(ahead: &mut ReadAhead, bytes: &[u8]) -> usize {
        let mut at = 0;
        while ahead.has_room() && at < bytes.len() {
            let space = ahead.space();
            let (room, n) = (space.len(), space.len().min(bytes.len() - at));
            space[..n].copy_from_slice(&bytes[at..at + n]);
            ahead.handle_read(room, Ok(Some(n)));
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
    fn what_went_in_comes_out_in_order_and_at_most_64_kib_of_it() {
        let bytes: Vec<u8> = (0..100_000_u32).map(|i| (i % 251) as u8).collect();
        for step in [1, 100, 16 << 10, 1 << 20] {
            let mut ahead = ReadAhead::default();
            assert!(!ahead.has_bytes());
            assert_eq!(fill(&mut ahead, &bytes), MOST);
            assert!(!ahead.has_room() && ahead.has_bytes());
            assert_eq!(drain(&mut ahead, step), bytes[..MOST]);
            assert!(!ahead.has_bytes() && ahead.has_room());
            assert_eq!(ahead.bytes.capacity(), 0);
        }
    }

    #[test]
    fn what_was_taken_leaves_room() {
        let mut ahead = ReadAhead::default();
        let mut out = Vec::new();
        for n in 0..100_u8 {
            assert_eq!(fill(&mut ahead, &[n; 1000]), 1000);
            // All of it, or all but the last bytes.
            let mut to = [0; 2000];
            let most = if n % 3 == 0 { 2000 } else { 900 };
            if let Some(Ok(len)) = ahead.take(&mut to[..most]) {
                out.extend(&to[..len]);
            }
            assert!(ahead.has_room());
        }
        out.extend(drain(&mut ahead, 1000));
        assert!(out.chunks(1000).zip(0..).all(|(chunk, n)| chunk == [n; 1000]));
        assert_eq!(out.len(), 100_000);
    }

    #[test]
    fn a_look_that_finds_nothing_keeps_nothing() {
        let mut ahead = ReadAhead::default();
        let room = ahead.space().len();
        ahead.handle_read(room, Ok(None));
        assert!(!ahead.has_bytes() && !ahead.is_at_end());
        assert!(ahead.take(&mut [0]).is_none());
    }

    #[test]
    fn the_end_and_a_failure_come_behind_the_bytes_and_once() {
        for end in [Ok(Some(0)), Err(ErrorKind::ConnectionReset.into())] {
            let failed = end.is_err();
            let mut ahead = ReadAhead::default();
            fill(&mut ahead, b"abc");
            let room = ahead.space().len();
            ahead.handle_read(room, end);
            assert!(!ahead.has_room());
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
