//! The timeouts that are set on a blocking stream, one for reads and one for writes.
//!
//! A timeout is set by a system call. A timeout that is a little too short wakes the call early, which costs less than
//! setting another one. [`Timeouts`] therefore keeps a timeout for as long as it is short enough and not much too
//! short.
//!
//! Not here: deadlines that have passed, for which `deadline_stream.rs` switches the stream to non-blocking mode.
//!
//! Invariants:
//! - A timeout is never longer than the time until the deadline, except that it is at least [`SHORTEST`].
//! - A timeout is recorded only if the stream supports timeouts.

use core::time::Duration;
use std::io;

use super::stream::Over;

/// The shortest timeout that is set on a stream. Systems count in milliseconds.
pub(super) const SHORTEST: Duration = Duration::from_millis(1);
/// The longest timeout that is set on a stream. Some systems refuse longer ones.
const LONGEST: Duration = Duration::from_secs(3600);
/// Timeouts longer than this are shortened by a sixteenth, so that they can stay set for the next deadline.
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
    /// Returns the timeout that is set now. `None` means that the call has no timeout: no limit was wanted, or the
    /// stream does not support timeouts.
    pub(super) fn set<S>(
        &mut self,
        stream: &mut Over<S>,
        direction: Direction,
        left: Option<Duration>,
    ) -> io::Result<Option<Duration>> {
        let is_set = match direction {
            Direction::Read => &mut self.read,
            Direction::Write => &mut self.write,
        };
        if let Some(wanted) = replacement(*is_set, left) {
            let can = match direction {
                Direction::Read => stream.set_read_timeout(wanted)?,
                Direction::Write => stream.set_write_timeout(wanted)?,
            };
            *is_set = wanted.filter(|_| can);
        }
        Ok(*is_set)
    }

    /// Removes the timeouts from the stream.
    pub(super) fn remove<S>(&mut self, stream: &mut Over<S>) {
        // An error means that the socket is broken. Its next owner sees that too.
        let _ = self.set(stream, Direction::Read, None);
        let _ = self.set(stream, Direction::Write, None);
    }
}

/// Returns the timeout to set for a call that may block for `left`, on a stream whose timeout is `is_set`. Returns
/// `None` to keep that timeout.
fn replacement(is_set: Option<Duration>, left: Option<Duration>) -> Option<Option<Duration>> {
    let Some(left) = left else { return is_set.map(|_| None) };
    let left = left.clamp(SHORTEST, LONGEST);
    match is_set {
        // A timeout of less than a quarter would wake the call too often.
        Some(is_set) if is_set <= left && is_set >= left / 4 => None,
        _ if left > LONG => Some(Some(left - left / 16)),
        _ => Some(Some(left)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_kept_while_it_is_a_quarter_of_the_time_left_at_least() {
        let ms = Duration::from_millis;
        let cases = [
            // What is set, the time left, and the timeout to set instead.
            (None, None, None),
            (Some(16), None, Some(None)),
            (None, Some(16), Some(Some(16))),
            (Some(16), Some(16), None),
            (Some(16), Some(64), None),
            (Some(16), Some(80), Some(Some(75))),
            (Some(16), Some(15), Some(Some(15))),
            (Some(1), Some(0), None),
            (None, Some(0), Some(Some(1))),
        ];
        for (is_set, left, wanted) in cases {
            let found = replacement(is_set.map(ms), left.map(ms));
            let found = found.map(|timeout| timeout.map(|timeout| timeout.as_millis()));
            assert_eq!(found, wanted, "{is_set:?}, {left:?}");
        }
        assert_eq!(replacement(None, Some(Duration::MAX)), Some(Some(LONGEST - LONGEST / 16)));
    }
}
