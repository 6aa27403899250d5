//! The clock of a connection over a blocking stream.
//!
//! The core takes the time as an [`Instant`] from an origin of the caller's choice. This clock counts from the latest
//! instant that the connection knows. Its source is the system's monotonic clock, or the clock of the stream if the
//! stream has one: a simulated network returns its virtual time, so that a test of timers takes no real time.
//!
//! `deadline_stream.rs` decides when the clock is read, and keeps the result.
//!
//! Invariant: the source is chosen once, when the clock starts. Two handles to one stream have the same clock.

use core::time::Duration;

use crate::Instant;

/// A clock that was started at a time of the connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// The time of the connection when the clock was started.
    start: Instant,
    source: Source,
}

/// The source of the time, with its own time at the start.
#[derive(Clone, Copy, Debug)]
enum Source {
    System(std::time::Instant),
    Stream(Instant),
}

impl Clock {
    /// Starts a clock at `start`. `stream_time` is the time of the stream's own clock, if it has one.
    pub(super) fn start_at(start: Instant, stream_time: Option<Instant>) -> Self {
        let source = stream_time.map_or_else(|| Source::System(std::time::Instant::now()), Source::Stream);
        Self { start, source }
    }

    /// Returns the time. `stream_time` returns the time of the stream's own clock. Without one, the clock stands still
    /// if it was started with one.
    pub(super) fn now(&self, stream_time: impl FnOnce() -> Option<Instant>) -> Instant {
        let elapsed = match self.source {
            Source::System(origin) => origin.elapsed(),
            Source::Stream(origin) => {
                stream_time().map_or(Duration::ZERO, |now| now.saturating_duration_since(origin))
            }
        };
        self.start + elapsed
    }
}
