//! [`ReconnectPolicy`]: the settings of reconnecting, and the delays that follow from them.
//!
//! This file computes the window of a delay and chooses a delay from the window. The state machine in `state.rs`
//! counts the failures.
//!
//! Invariant: no value of a setting causes a panic or an overflow. A result that is too large becomes the largest
//! possible value.

use core::fmt;
use core::time::Duration;

use super::failure::Failure;
use crate::time::{Instant, nanos};

/// The settings of reconnecting: delays, the maximum number of attempts, and which failures to retry.
///
/// The value has no state. One policy can serve many clients, and it can be a `static`.
///
/// ```
/// use core::time::Duration;
/// use hybi::reconnect::{Failure, ReconnectPolicy};
///
/// /// Retries the default failures, and an application code that asks for a new login.
/// static POLICY: ReconnectPolicy = ReconnectPolicy::new()
///     .max_delay(Duration::from_secs(30))
///     .max_attempts(Some(8))
///     .retry_if(|failure| match failure {
///         Failure::Closed(code) if code.get() == 4001 => true,
///         failure => failure.is_transient(),
///     });
/// assert_eq!(POLICY.window(0), Duration::from_secs(5));
/// assert_eq!(POLICY.window(1), Duration::from_secs(10));
/// assert_eq!(POLICY.window(9), Duration::from_secs(30));
/// ```
#[derive(Clone, Copy)]
pub struct ReconnectPolicy {
    first_delay: Duration,
    max_delay: Duration,
    max_retry_after: Duration,
    pub(super) min_uptime: Duration,
    pub(super) max_attempts: Option<u32>,
    pub(super) retry_if: fn(&Failure) -> bool,
}

impl Default for ReconnectPolicy {
    fn default() -> Self {
        Self::new()
    }
}

impl ReconnectPolicy {
    /// Creates a policy with the defaults. Each setter names its default.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            first_delay: Duration::from_secs(5),
            max_delay: Duration::from_secs(60),
            max_retry_after: Duration::from_secs(3600),
            min_uptime: Duration::from_secs(30),
            max_attempts: None,
            retry_if: Failure::is_transient,
        }
    }

    /// Sets the longest delay after the first failure; 5 seconds by default, as RFC 6455 section 7.2.3 suggests. The
    /// longest delay doubles with each further failure.
    ///
    /// The delay is chosen at random between zero and the longest delay. So the mean delay is half of the longest
    /// delay. If `delay` is zero, every attempt follows at once. Set zero only in tests.
    #[must_use]
    pub const fn first_delay(mut self, delay: Duration) -> Self {
        self.first_delay = delay;
        self
    }

    /// Sets the limit at which the longest delay stops doubling; 60 seconds by default.
    #[must_use]
    pub const fn max_delay(mut self, delay: Duration) -> Self {
        self.max_delay = delay;
        self
    }

    /// Sets the limit for the time that a server can ask for with `Retry-After`; 3600 seconds by default. If a server
    /// asks for more, `limit` is used instead.
    ///
    /// The client obeys the header of responses with status 429 or 503. It adds the random delay to the time that the
    /// header asks for. Otherwise all clients that received the same header would come back at the same moment.
    #[must_use]
    pub const fn max_retry_after(mut self, limit: Duration) -> Self {
        self.max_retry_after = limit;
        self
    }

    /// Sets how long a connection must last before earlier failures are forgotten; 30 seconds by default.
    ///
    /// A connection that ends earlier counts as one more failure.
    #[must_use]
    pub const fn min_uptime(mut self, uptime: Duration) -> Self {
        self.min_uptime = uptime;
        self
    }

    /// Sets how many attempts in a row may fail; `None` by default, which sets no limit.
    ///
    /// The first attempt counts. A connection that does not last counts as a failed attempt. 0 counts as 1.
    #[must_use]
    pub const fn max_attempts(mut self, attempts: Option<u32>) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// Sets the function that decides which failures to retry; [`Failure::is_transient`] by default.
    ///
    /// The function decides about every failure, including responses with any status and close codes of the
    /// application.
    #[must_use]
    pub const fn retry_if(mut self, choose: fn(&Failure) -> bool) -> Self {
        self.retry_if = choose;
        self
    }

    /// Returns the longest possible delay after `delays` earlier delays.
    ///
    /// This is the value of [`first_delay`](Self::first_delay), doubled for each earlier delay, and at most the value
    /// of [`max_delay`](Self::max_delay).
    #[must_use]
    pub fn window(&self, delays: u32) -> Duration {
        let first = nanos(self.first_delay);
        let factor = 1_u64.checked_shl(delays).unwrap_or(u64::MAX);
        Duration::from_nanos(first.saturating_mul(factor).min(nanos(self.max_delay)))
    }

    /// Returns the delay after `failure`. `random` selects the delay from the window.
    pub(super) fn delay(&self, failure: &Failure, delays: u32, random: u64) -> Duration {
        let wait = failure.requested_wait().min(self.max_retry_after);
        wait.saturating_add(select(self.window(delays), random))
    }
}

/// Returns a duration from zero to `window`. If `random` is uniformly distributed, the result is too.
fn select(window: Duration, random: u64) -> Duration {
    let window = nanos(window);
    // Multiply, because a remainder (`random % window`) would make short delays more likely.
    let product = u128::from(random) * (u128::from(window) + 1);
    Duration::from_nanos(u64::try_from(product >> 64).unwrap_or(window))
}

impl fmt::Debug for ReconnectPolicy {
    // Written by hand, because `Debug` of a function is an address, which differs in each run.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReconnectPolicy")
            .field("first_delay", &self.first_delay)
            .field("max_delay", &self.max_delay)
            .field("max_retry_after", &self.max_retry_after)
            .field("min_uptime", &self.min_uptime)
            .field("max_attempts", &self.max_attempts)
            .finish_non_exhaustive()
    }
}

/// Returns the instant `delay` after `now`. The result is never [`Instant::NEVER`], which means that no deadline is
/// set.
pub(super) fn after(now: Instant, delay: Duration) -> Instant {
    (now + delay).min(Instant::LAST)
}
