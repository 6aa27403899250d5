//! The timeouts that are set on a blocking stream, one for reads and one for writes.
//!
//! Setting a timeout is a system call. If a timeout is a little too short, a call returns early and is repeated.
//! Repeating a call from time to time costs less than setting a new timeout before each call. So [`Timeouts`] keeps a
//! timeout that is at most as long as the time until the deadline, and at least half of this time. For a deadline that
//! is further away than [`LONGEST`], half of [`LONGEST`] is enough.
//!
//! For a deadline that has passed, `deadline_stream.rs` does not use a timeout: it switches the stream to non-blocking
//! mode.
//!
//! Invariants:
//! - A timeout is never longer than the time until the deadline. The only exception: if this time is below
//!   [`SHORTEST`], the timeout is [`SHORTEST`].
//! - A timeout is recorded only if the stream supports timeouts.

use core::time::Duration;
use std::io;

use super::wrapped_stream::WrappedStream;

/// The shortest timeout that is set on a stream. Many systems support only whole milliseconds.
pub(super) const SHORTEST: Duration = Duration::from_millis(1);
/// The longest timeout that is set on a stream. Some systems refuse longer timeouts.
const LONGEST: Duration = Duration::from_secs(3600);
/// Timeouts longer than this are shortened by a sixteenth. So they can stay set for later calls that have a little less
/// time until their deadline.
const LONG: Duration = Duration::from_millis(20);

/// The direction of a call on a stream.
#[derive(Clone, Copy, Debug)]
pub(super) enum Direction {
    Read,
    Write,
}

/// The timeouts that are set on a stream.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timeouts {
    read: Option<Duration>,
    write: Option<Duration>,
}

impl Timeouts {
    /// Sets a timeout on the stream for a call in `direction` that may block for `left`, `None` for no limit.
    ///
    /// Returns the timeout that is set now. `None` means that the call has no timeout, because `left` is `None` or the
    /// stream does not support timeouts.
    pub(super) fn set<S>(
        &mut self,
        stream: &mut WrappedStream<S>,
        direction: Direction,
        left: Option<Duration>,
    ) -> io::Result<Option<Duration>> {
        let is_set = match direction {
            Direction::Read => &mut self.read,
            Direction::Write => &mut self.write,
        };
        if let Some(wanted) = timeout_to_set(*is_set, left) {
            let can = match direction {
                Direction::Read => stream.set_read_timeout(wanted)?,
                Direction::Write => stream.set_write_timeout(wanted)?,
            };
            *is_set = wanted.filter(|_| can);
        }
        Ok(*is_set)
    }

    /// Removes the timeouts from the stream.
    pub(super) fn remove<S>(&mut self, stream: &mut WrappedStream<S>) {
        // An error means that the socket has failed. The next owner of the socket also gets this error.
        let _ = self.set(stream, Direction::Read, None);
        let _ = self.set(stream, Direction::Write, None);
    }
}

/// Returns the timeout to set for a call that may block for `left`, on a stream whose timeout is `is_set`. Returns
/// `None` to keep that timeout.
fn timeout_to_set(is_set: Option<Duration>, left: Option<Duration>) -> Option<Option<Duration>> {
    let Some(left) = left else { return is_set.map(|_| None) };
    let left = left.clamp(SHORTEST, LONGEST);
    match is_set {
        // A timeout of less than half of the time left would end too many calls early. For example, after one timer
        // that was due in 5 ms, writes to a full stream would return every 5 ms instead of every 20 ms.
        Some(is_set) if is_set <= left && is_set >= left / 2 => None,
        _ if left > LONG => Some(Some(left - left / 16)),
        _ => Some(Some(left)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_kept_if_it_is_between_half_and_all_of_the_time_left() {
        let ms = Duration::from_millis;
        let cases = [
            // The timeout that is set, the time until the deadline, and the new timeout.
            (None, None, None),
            (Some(16), None, Some(None)),
            (None, Some(16), Some(Some(16))),
            (Some(16), Some(16), None),
            (Some(16), Some(32), None),
            (Some(16), Some(64), Some(Some(60))),
            (Some(16), Some(15), Some(Some(15))),
            (Some(1), Some(0), None),
            (None, Some(0), Some(Some(1))),
        ];
        for (is_set, left, wanted) in cases {
            let found = timeout_to_set(is_set.map(ms), left.map(ms));
            let found = found.map(|timeout| timeout.map(|timeout| timeout.as_millis()));
            assert_eq!(found, wanted, "{is_set:?}, {left:?}");
        }
        assert_eq!(timeout_to_set(None, Some(Duration::MAX)), Some(Some(LONGEST - LONGEST / 16)));
    }
}
