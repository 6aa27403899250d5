//! [`Progress`]: the deadline over all stages of opening a WebSocket, and the stage that is running.
//!
//! Opening takes several steps: name resolution, TCP, perhaps a proxy and TLS, and the opening handshake. One deadline
//! limits all of them together. If it passes, the error names the stage, so that a user can tell a slow resolver from a
//! server that does not answer.
//!
//! Invariant: entering a stage never moves the deadline.

use core::fmt;
use core::time::Duration;

use crate::time::{Instant, Term};

/// A stage of opening a WebSocket.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// The name of the host is being resolved.
    Resolving,
    /// TCP connections to the addresses of the host are being made.
    Connecting,
    /// The TLS handshake with an `https` proxy is running.
    ProxyTls,
    /// The proxy has not opened the tunnel yet.
    Proxy,
    /// The TLS handshake with the server is running.
    Tls,
    /// The opening handshake of the WebSocket is running (RFC 6455 section 4.1).
    Handshake,
}

/// The stage that is running, and the deadline over all stages.
///
/// ```
/// use core::time::Duration;
/// use hybi::Instant;
/// use hybi::dial::{Progress, Stage};
///
/// let at = |seconds| Instant::from_origin(Duration::from_secs(seconds));
/// let mut progress = Progress::new(at(0), Some(Duration::from_secs(10)));
/// progress.enter(Stage::Connecting);
/// assert!(progress.check(at(9)).is_ok());
/// progress.enter(Stage::Tls);
/// let error = progress.check(at(10)).unwrap_err();
/// assert_eq!(error.stage(), Stage::Tls);
/// assert_eq!(error.to_string(), "the connection was not open after 10s: the TLS handshake was still running");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    stage: Stage,
    started: Instant,
    limit: Term,
}

impl Progress {
    /// Starts with the stage [`Stage::Resolving`]. `limit` is the longest time for all stages together; `None` sets no
    /// limit.
    #[must_use]
    pub const fn new(now: Instant, limit: Option<Duration>) -> Self {
        Self { stage: Stage::Resolving, started: now, limit: Term::new(limit) }
    }

    /// Records that a stage begins. A stage can begin more than once: for a `socks5` proxy, the names of the server and
    /// of the proxy are resolved.
    pub const fn enter(&mut self, stage: Stage) {
        self.stage = stage;
    }

    /// Returns the stage that is running.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        self.stage
    }

    /// Returns the deadline over all stages, or `None` without a limit.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let deadline = self.started + self.limit;
        (deadline != Instant::NEVER).then_some(deadline)
    }

    /// Returns the time that is left: zero after the deadline, and `None` without a limit.
    #[must_use]
    pub fn remaining(&self, now: Instant) -> Option<Duration> {
        Some(self.deadline()?.saturating_duration_since(now))
    }

    /// Checks that the deadline has not passed.
    ///
    /// # Errors
    ///
    /// [`DeadlineExceeded`]: `now` is the deadline or later. The error names the stage that is running.
    pub fn check(&self, now: Instant) -> Result<(), DeadlineExceeded> {
        match self.deadline() {
            Some(deadline) if deadline <= now => Err(self.exceeded()),
            _ => Ok(()),
        }
    }

    /// Returns the error that names the stage that is running. Call this if a wait until the deadline has ended.
    #[must_use]
    pub fn exceeded(&self) -> DeadlineExceeded {
        DeadlineExceeded { stage: self.stage, limit: self.limit.duration().unwrap_or(Duration::MAX) }
    }
}

/// The deadline has passed before the WebSocket was open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeadlineExceeded {
    stage: Stage,
    limit: Duration,
}

impl DeadlineExceeded {
    /// Returns the stage that was running.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        self.stage
    }

    /// Returns the limit that all stages had together.
    #[must_use]
    pub const fn limit(&self) -> Duration {
        self.limit
    }
}

impl fmt::Display for Stage {
    /// Names the stage as the subject of a sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolving => "the name resolution",
            Self::Connecting => "the TCP connection",
            Self::ProxyTls => "the TLS handshake with the proxy",
            Self::Proxy => "the request to the proxy",
            Self::Tls => "the TLS handshake",
            Self::Handshake => "the opening handshake",
        })
    }
}

impl fmt::Display for DeadlineExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stage, limit } = self;
        write!(f, "the connection was not open after {limit:?}: {stage} was still running")
    }
}

impl core::error::Error for DeadlineExceeded {}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const STAGES: [Stage; 6] =
        [Stage::Resolving, Stage::Connecting, Stage::ProxyTls, Stage::Proxy, Stage::Tls, Stage::Handshake];

    fn at(seconds: u32) -> Instant {
        Instant::ZERO + SECOND * seconds
    }

    #[test]
    fn the_deadline_is_over_all_stages_and_its_error_names_the_stage() {
        let mut progress = Progress::new(at(5), Some(SECOND * 10));
        assert_eq!(progress.stage(), Stage::Resolving);
        for stage in STAGES {
            progress.enter(stage);
            assert_eq!((progress.stage(), progress.deadline()), (stage, Some(at(15))));
            assert_eq!(progress.remaining(at(8)), Some(SECOND * 7));
            assert_eq!(progress.remaining(at(16)), Some(Duration::ZERO));
            assert_eq!(progress.check(Instant::ZERO + Duration::from_nanos(14_999_999_999)), Ok(()));
            for now in [at(15), at(16), Instant::NEVER] {
                let error = progress.check(now).unwrap_err();
                assert_eq!((error.stage(), error.limit()), (stage, SECOND * 10));
            }
        }
    }

    #[test]
    fn without_a_limit_no_time_is_too_late() {
        for limit in [None, Some(Duration::MAX)] {
            let progress = Progress::new(at(5), limit);
            assert_eq!((progress.deadline(), progress.remaining(at(9))), (None, None));
            assert_eq!(progress.check(Instant::NEVER), Ok(()));
        }
    }
}
