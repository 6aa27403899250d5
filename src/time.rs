//! The type for points in time: an [`Instant`], which the caller creates from its own clock.
//!
//! The core reads no clock. Every call that depends on time takes an [`Instant`]. A driver decides when to read its
//! clock, and a test can set any time. [`connection`](crate::connection) and [`handshake`](crate::handshake) have the
//! timers.
//!
//! Invariant: arithmetic saturates at both ends of the range, so no call panics or wraps.

use core::fmt;
use core::ops::Add;
use core::time::Duration;

/// A point in time, in nanoseconds from an origin that the caller chooses.
///
/// The core has no clock. The driver reads a monotonic clock once for each batch of input, and passes the value to the
/// core. A test can start at [`Instant::ZERO`] and add durations.
///
/// All instants that are passed to one connection must have the same origin. The range is 584 years.
/// Arithmetic saturates at its ends.
///
/// ```
/// use core::time::Duration;
/// use hybi::Instant;
///
/// let start = Instant::ZERO;
/// let later = start + Duration::from_millis(1500);
/// assert_eq!(later.saturating_duration_since(start), Duration::from_millis(1500));
/// assert_eq!(start.saturating_duration_since(later), Duration::ZERO);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

impl Instant {
    /// The origin of the caller's clock.
    pub const ZERO: Self = Self(0);
    /// An instant after all others. As a deadline it means that no deadline is set.
    pub(crate) const NEVER: Self = Self(u64::MAX);
    /// The last instant before [`Self::NEVER`].
    pub(crate) const LAST: Self = Self(u64::MAX - 1);

    /// Returns the instant that is `since_origin` after the origin, or the end of the range if that is earlier.
    #[must_use]
    pub const fn from_origin(since_origin: Duration) -> Self {
        Self(nanos(since_origin))
    }

    /// Returns the time since the origin.
    #[must_use]
    pub const fn since_origin(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// Returns the time from `earlier` to `self`, or zero if `earlier` is later than `self`.
    #[must_use]
    pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Instant {
    /// Returns the instant that is `term` before `self`, or the origin if that is later.
    pub(crate) const fn saturating_sub(self, term: Term) -> Self {
        Self(self.0.saturating_sub(term.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }
}

impl Add<Term> for Instant {
    type Output = Self;

    #[inline]
    fn add(self, term: Term) -> Self {
        Self(self.0.saturating_add(term.0))
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.since_origin(), f)
    }
}

/// A timeout in nanoseconds, or no timeout. A `Duration` is converted to a `Term` once, so that it is cheap to compute
/// a deadline for each message.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Term(u64);

impl Term {
    /// The timeout that never ends.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    /// Returns the timeout for `duration`. `None` never ends.
    pub(crate) const fn new(duration: Option<Duration>) -> Self {
        match duration {
            Some(duration) => Self(nanos(duration)),
            None => Self::NEVER,
        }
    }

    /// Returns the duration, or `None` if the timeout never ends.
    pub(crate) fn duration(self) -> Option<Duration> {
        (self != Self::NEVER).then(|| Duration::from_nanos(self.0))
    }
}

impl fmt::Debug for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.duration().fmt(f)
    }
}

/// Returns the duration in nanoseconds, limited to the range of `u64`.
pub(crate) const fn nanos(duration: Duration) -> u64 {
    let nanos = duration.as_nanos();
    if nanos > u64::MAX as u128 {
        u64::MAX
    } else {
        #[expect(clippy::cast_possible_truncation, reason = "compared with the bound above")]
        let nanos = nanos as u64;
        nanos
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_saturate_at_the_end_of_the_range() {
        assert_eq!(Instant::NEVER + Duration::MAX, Instant::NEVER);
        assert_eq!(Instant::from_origin(Duration::MAX), Instant::NEVER);
        assert_eq!((Instant::ZERO + Duration::from_secs(3)).since_origin(), Duration::from_secs(3));
    }

    #[test]
    fn a_term_keeps_its_duration() {
        let three = Some(Duration::from_secs(3));
        assert_eq!(Term::new(three).duration(), three);
        assert_eq!((Instant::ZERO + Term::new(three)).since_origin(), Duration::from_secs(3));
        assert_eq!(std::format!("{:?}", Term::new(three)), "Some(3s)");
        assert_eq!(Term::new(None), Term::NEVER);
        assert_eq!(Instant::ZERO + Term::NEVER, Instant::NEVER);
        // A timeout beyond the range of 584 years never ends.
        assert_eq!(Term::new(Some(Duration::MAX)).duration(), None);
    }
}
