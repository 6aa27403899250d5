//! Calls on a stream that end at a deadline: by a timeout of the stream, or in non-blocking mode.

use core::time::Duration;
use std::io::{self, ErrorKind};

use super::DeadlineStream;
use crate::Instant;
use crate::adapters::net::timeouts::{Direction, SHORTEST};
use crate::adapters::net::wrapped_stream::WrappedStream;

/// How long a call on the stream can block.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// The call does not block, because the stream is in non-blocking mode during the call.
    Not,
    /// The call blocks for this time at most, because a timeout is set.
    For(Duration),
    /// The call has no timeout. It blocks without limit, or not at all if the application has set non-blocking mode.
    AsTheStreamDoes,
}

/// The result of a call on the stream.
pub(super) enum CallResult<T> {
    Done(T),
    /// The call must be made again: a signal interrupted it, or another handle had switched the blocking mode.
    Interrupted,
    /// The timeout ran out, or a non-blocking call found the stream not ready.
    Waited,
}

impl<S> DeadlineStream<S> {
    /// Prepares the stream so that the next call in `direction` ends at `deadline`. If less than [`SHORTEST`] is left,
    /// and the stream is known to be in blocking mode, switches to non-blocking mode. Otherwise sets a timeout.
    pub(super) fn arrange(&mut self, direction: Direction, deadline: Option<Instant>) -> io::Result<Wait> {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(self.now));
        if left.is_some_and(|left| left < SHORTEST) && self.mode.is_blocking() {
            self.mode.switched();
            if self.stream.set_nonblocking(true)? {
                return Ok(Wait::Not);
            }
            self.mode.switched();
        }
        let time = self.timeouts.set(&mut self.stream, direction, left)?;
        Ok(time.map_or(Wait::AsTheStreamDoes, Wait::For))
    }

    /// Performs a call that [`arrange`](Self::arrange) has prepared, restores the blocking mode, and reads the clock.
    pub(super) fn call<T>(
        &mut self,
        wait: Wait,
        deadline: Option<Instant>,
        call: impl FnOnce(&mut WrappedStream<S>) -> io::Result<T>,
    ) -> io::Result<CallResult<T>> {
        let (began, switches) = (self.now, self.mode.switches());
        let result = call(&mut self.stream);
        if wait == Wait::Not {
            self.stream.set_nonblocking(false)?;
            self.mode.switched();
        }
        let now = self.read_clock();
        match result {
            Ok(done) => Ok(CallResult::Done(done)),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(CallResult::Interrupted),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if wait == Wait::Not {
                    return Ok(CallResult::Waited);
                }
                if self.mode.may_have_been_switched(switches) {
                    // The other handle may have switched the stream to non-blocking mode during the call. The call may
                    // have failed only for this reason.
                    return Ok(CallResult::Interrupted);
                }
                // Either the timeout ran out, or the stream is in non-blocking mode. The elapsed time tells which. Some
                // systems return early, so a quarter of the timeout is enough. If the stream is in non-blocking mode,
                // the caller must get the error. Otherwise a loop that repeats the call would keep the processor busy.
                let waited = self.has_waited(wait, began);
                if waited || error.kind() == ErrorKind::WouldBlock {
                    self.mode.learn(waited);
                }
                let due = deadline.is_some_and(|deadline| deadline <= now);
                if waited || due { Ok(CallResult::Waited) } else { Err(error) }
            }
            Err(error) => Err(error),
        }
    }

    /// Returns whether a call that began at `began` has blocked. Call this after the call has ended.
    ///
    /// A call that blocked found the stream not ready, even if it was then interrupted.
    pub(super) fn has_waited(&self, wait: Wait, began: Instant) -> bool {
        let took = self.now.saturating_duration_since(began);
        matches!(wait, Wait::For(time) if took >= time / 4)
    }

    /// Stores the error of a failed write, and returns `result`. `WouldBlock` is not a failure.
    pub(super) fn store_write_error<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result {
            if error.kind() != ErrorKind::WouldBlock {
                self.write_error = Some(error.kind());
            }
        }
        result
    }
}
