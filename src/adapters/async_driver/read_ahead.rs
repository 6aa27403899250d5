//! A buffer for input that was read during a call that sends. The next call that receives takes the input from this
//! buffer.
//!
//! A call that sends must wait while the peer does not read. Before this wait, the call reads the input that has
//! arrived. There are two reasons: input shows that the peer is alive, and some peers read nothing until they have sent
//! their own data. The call cannot decode the bytes, because the application may still have an event that borrows from
//! the inbox.
//!
//! `write_driver` decides when to read ahead, and reports the input to the timers.
//!
//! Invariants:
//! - At most [`MAX_READ_AHEAD`] bytes are kept. Further input stays in the transport, whose backpressure stops the
//!   peer.
//! - The bytes are returned in the order in which they arrived. The end or the error of the stream is returned after
//!   the bytes.
//! - An empty buffer has no memory.

use std::io::{self, ErrorKind};
use std::prelude::v1::*;
use std::task::{Context, Poll};

use super::Transport;
use super::stream::check_count;
use crate::{Connection, Inbox};

/// Maximum number of bytes that are read ahead while a call waits to send.
const MAX_READ_AHEAD: usize = 64 << 10;

/// Maximum number of bytes in one read. Each read goes into an array of this size on the stack.
const READ_AHEAD_AT_ONCE: usize = 4 << 10;

/// Bytes that were read ahead, and the end or the error that followed in the stream. `None` if nothing is kept.
#[derive(Debug, Default)]
pub(super) struct ReadAhead(Option<Box<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    bytes: Vec<u8>,
    /// The number of bytes at the start of `bytes` that were already returned.
    taken: usize,
    /// The end of the stream (`Ok`) or the read error that came after `bytes`, if any.
    end: Option<io::Result<()>>,
}

impl Kept {
    /// Returns how many more bytes may be read.
    fn space_left(&self) -> usize {
        if self.end.is_some() { 0 } else { MAX_READ_AHEAD.saturating_sub(self.bytes.len()) }
    }

    /// Moves bytes to `to`. When all bytes were moved, returns 0 or the read error.
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

    /// Returns whether nothing is kept. If so, the caller reads from the stream.
    #[inline(always)]
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Returns whether no more bytes can be kept until all kept bytes were taken. Returns false if the end or an error
    /// of the stream was read, because nothing follows it.
    pub(super) fn is_full(&self) -> bool {
        self.0.as_ref().is_some_and(|kept| kept.end.is_none() && kept.space_left() == 0)
    }

    /// Returns how many bytes were read ahead, and whether the end or an error of the stream followed.
    ///
    /// The task that receives is woken when this value grows. Bytes that stay in the buffer do not wake the task again
    /// while it waits for its next turn.
    pub(super) fn len(&self) -> (usize, bool) {
        self.0.as_ref().map_or((0, false), |kept| (kept.bytes.len(), kept.end.is_some()))
    }

    /// Moves bytes to `to`, and returns the result that a read from the stream would have.
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

    /// Moves all bytes to `inbox`. Called when the WebSocket is taken apart.
    pub(super) fn hand_over(&mut self, connection: &Connection, inbox: &mut Inbox) {
        while let Some(kept) = &mut self.0 {
            let taken = kept.take(connection.read_space(inbox));
            match taken {
                Ok(n) if n > 0 => inbox.handle_read(n),
                // The end is discarded, because the next read from the stream reports it again.
                _ => self.0 = None,
            }
        }
    }

    /// Reads the input that has arrived, until the buffer is full. Returns whether any byte was read.
    #[inline(never)]
    pub(super) fn fill<S, R: Transport<S>>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> bool {
        let mut space = [0; READ_AHEAD_AT_ONCE];
        let mut has_read = false;
        loop {
            let space_left = self.0.as_ref().map_or(MAX_READ_AHEAD, |kept| kept.space_left());
            let most = space_left.min(READ_AHEAD_AT_ONCE);
            if most == 0 {
                return has_read;
            }
            let to = space.get_mut(..most).unwrap_or_default();
            let read = match check_count(R::poll_read(stream, cx, to), most) {
                Poll::Pending => return has_read,
                Poll::Ready(Err(error)) if error.kind() == ErrorKind::Interrupted => continue,
                Poll::Ready(read) => read,
            };
            let kept = self.0.get_or_insert_default();
            match read {
                Ok(n) if n > 0 => {
                    kept.bytes.extend_from_slice(space.get(..n).unwrap_or_default());
                    has_read = true;
                }
                read => kept.end = Some(read.map(|_| ())),
            }
        }
    }
}
