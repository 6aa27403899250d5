//! The crate's clock: an instant that the caller makes, from whatever clock there is.

use core::fmt;
use core::ops::Add;
use core::time::Duration;

/// A point in time, in nanoseconds from an origin of the caller's choice.
///
/// The core has no clock. Whoever drives it reads one, once per batch of input, and passes the
/// reading in; any monotonic clock will do, and a test counts up from [`Instant::ZERO`]. Instants
/// that are given to one machine must share their origin. The range is 584 years; arithmetic
/// saturates at its ends.
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
    /// Later than any instant that is ever reached: a deadline that is not set.
    pub(crate) const NEVER: Self = Self(u64::MAX);
    /// The last instant that can be told from [`Self::NEVER`].
    pub(crate) const LAST: Self = Self(u64::MAX - 1);

    /// The instant `since_origin` after the origin, or the end of the range if that is nearer.
    #[must_use]
    pub const fn from_origin(since_origin: Duration) -> Self {
        Self(nanos(since_origin))
    }

    /// The time since the origin.
    #[must_use]
    pub const fn since_origin(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// The time from `earlier` to `self`; zero if `earlier` is the later one.
    #[must_use]
    pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Instant {
    /// The instant `term` earlier, or the origin if that is later.
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

/// How long after something a timer runs out, in nanoseconds: added up with each message, and made once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Term(u64);

impl Term {
    /// It does not run out.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    pub(crate) const fn new(duration: Option<Duration>) -> Self {
        match duration {
            Some(duration) => Self(nanos(duration)),
            None => Self::NEVER,
        }
    }

    /// The duration, unless it is never over.
    pub(crate) fn duration(self) -> Option<Duration> {
        (self != Self::NEVER).then(|| Duration::from_nanos(self.0))
    }
}

impl fmt::Debug for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.duration().fmt(f)
    }
}

const fn nanos(duration: Duration) -> u64 {
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
    fn arithmetic_saturates() {
        assert_eq!(Instant::NEVER + Duration::MAX, Instant::NEVER);
        assert_eq!(Instant::from_origin(Duration::MAX), Instant::NEVER);
        assert_eq!((Instant::ZERO + Duration::from_secs(3)).since_origin(), Duration::from_secs(3));
    }

    #[test]
    fn a_term_is_what_it_was_made_of() {
        let three = Some(Duration::from_secs(3));
        assert_eq!(Term::new(three).duration(), three);
        assert_eq!((Instant::ZERO + Term::new(three)).since_origin(), Duration::from_secs(3));
        assert_eq!(std::format!("{:?}", Term::new(three)), "Some(3s)");
        assert_eq!(Term::new(None), Term::NEVER);
        assert_eq!(Instant::ZERO + Term::NEVER, Instant::NEVER);
        // Five centuries are for ever.
        assert_eq!(Term::new(Some(Duration::MAX)).duration(), None);
    }
}
