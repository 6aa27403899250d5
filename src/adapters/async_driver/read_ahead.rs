//! Bytes that were read by a call that sends, kept for the next call that receives.
//!
//! A call that sends may wait for as long as the peer does not read. Before it waits it reads the input that has
//! arrived. A Pong among it shows that the peer is alive, and a peer that must send before it reads can continue. The
//! call cannot decode the bytes: the application may still hold an event that borrows from the inbox.
//!
//! Not here: what the timers learn of the input (`write_driver`).
//!
//! Invariants:
//! - At most [`MOST_READ_AHEAD`] bytes are kept. Further input stays in the transport, whose backpressure stops the
//!   peer.
//! - Bytes are returned in the order in which they arrived, and the end or the failure of the stream after them.
//! - There is no memory while there are no bytes.

use std::io::{self, ErrorKind};
use std::prelude::v1::*;
use std::task::{Context, Poll};

use super::Transport;
use super::stream::check_count;
use crate::{Connection, Inbox};

/// Maximum number of bytes that are read ahead while a call waits to send.
const MOST_READ_AHEAD: usize = 64 << 10;

/// Maximum number of bytes in one read ahead.
const READ_AHEAD_AT_ONCE: usize = 4 << 10;

/// Bytes that were read ahead, and the end of the stream behind them.
#[derive(Debug, Default)]
pub(super) struct ReadAhead(Option<Box<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    bytes: Vec<u8>,
    /// How many of `bytes` have been taken.
    taken: usize,
    /// The end of the stream or the read error that came after `bytes`, if any.
    end: Option<io::Result<()>>,
}

impl Kept {
    /// Returns how many more bytes may be read.
    fn room(&self) -> usize {
        if self.end.is_some() { 0 } else { MOST_READ_AHEAD.saturating_sub(self.bytes.len()) }
    }

    /// Moves bytes to `to`. Behind the last one, returns 0 or the read error.
    fn take(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let rest = self.bytes.get(self.taken..).unwrap_or_default();
        if rest.is_empty() {
            return self.end.take().unwrap_or(Ok(())).map(|()| 0);
        }
        let len = rest.len().min(to.len());
        if let (Some(to), Some(from)) = (to.get_mut(..len), rest.get(..len)) {
            to.copy_from_slice(from);
        }
        self.taken += len;
        Ok(len)
    }

    fn is_empty(&self) -> bool {
        self.taken == self.bytes.len() && self.end.is_none()
    }
}

impl ReadAhead {
    pub(super) const fn new() -> Self {
        Self(None)
    }

    /// Whether nothing was read ahead, so that the stream itself is read.
    #[inline(always)]
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Returns how many bytes were read ahead, and whether the end of the stream was.
    ///
    /// The task that receives is woken when this value grows. It must not be woken merely because bytes are there: the
    /// task may be waiting for its next turn, and would spin.
    pub(super) fn len(&self) -> (usize, bool) {
        self.0.as_ref().map_or((0, false), |kept| (kept.bytes.len(), kept.end.is_some()))
    }

    /// Moves bytes to `to`, like a read from the stream.
    #[cold]
    #[inline(never)]
    pub(super) fn take(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let Some(kept) = &mut self.0 else { return Ok(0) };
        let taken = kept.take(to);
        if kept.is_empty() {
            self.0 = None;
        }
        taken
    }

    /// Moves all bytes to `inbox`, when the WebSocket is taken apart.
    pub(super) fn hand_over(&mut self, connection: &Connection, inbox: &mut Inbox) {
        while let Some(kept) = &mut self.0 {
            let taken = kept.take(connection.read_space(inbox));
            match taken {
                Ok(n) if n > 0 => inbox.handle_read(n),
                // The stream will report its end again.
                _ => self.0 = None,
            }
        }
    }

    /// Reads what has arrived, as far as there is room for it. Returns whether any byte came.
    #[inline(never)]
    pub(super) fn fill<S, R: Transport<S>>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> bool {
        let mut space = [0; READ_AHEAD_AT_ONCE];
        let mut came = false;
        loop {
            let room = self.0.as_ref().map_or(MOST_READ_AHEAD, |kept| kept.room());
            let most = room.min(READ_AHEAD_AT_ONCE);
            if most == 0 {
                return came;
            }
            let to = space.get_mut(..most).unwrap_or_default();
            let read = match check_count(R::poll_read(stream, cx, to), most) {
                Poll::Pending => return came,
                Poll::Ready(Err(error)) if error.kind() == ErrorKind::Interrupted => continue,
                Poll::Ready(read) => read,
            };
            let kept = self.0.get_or_insert_default();
            match read {
                Ok(n) if n > 0 => {
                    kept.bytes.extend_from_slice(space.get(..n).unwrap_or_default());
                    came = true;
                }
                read => kept.end = Some(read.map(|_| ())),
            }
        }
    }
}
