//! The clock of a connection over a blocking stream.
//!
//! The connection gets the time as an [`Instant`], which may have any origin. This clock starts at the latest instant
//! that the connection knows. Its source is the monotonic clock of the system, or the stream's own clock if the stream
//! has one. A simulated network has its own virtual time, so a test of timers takes no real time.
//!
//! `deadline_stream.rs` decides when the clock is read, and stores the time.
//!
//! Invariant: the source is chosen only once, when the clock starts. Two handles to one stream have the same clock.

use core::time::Duration;

use crate::Instant;

/// A clock that was started at a time of the connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// The time of the connection when the clock was started.
    start: Instant,
    source: Source,
}

/// The source of the time. The value is the time of the source when the clock was started.
#[derive(Clone, Copy, Debug)]
enum Source {
    System(std::time::Instant),
    Stream(Instant),
}

impl Clock {
    /// Starts a clock at `start`. `stream_time` is the time of the stream's own clock, or `None` if the stream has no
    /// clock.
    pub(super) fn start_at(start: Instant, stream_time: Option<Instant>) -> Self {
        let source = stream_time.map_or_else(|| Source::System(std::time::Instant::now()), Source::Stream);
        Self { start, source }
    }

    /// Returns the time. `stream_time` returns the time of the stream's own clock.
    ///
    /// If the source is the stream's clock and `stream_time` returns `None`, the result is the start time.
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
