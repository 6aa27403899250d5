//! [`ReconnectState`]: the state machine that counts failures and says when to connect again.
//!
//! The state is two counters and the time at which the current connection was opened. `policy.rs` computes the delays,
//! and `failure.rs` classifies failures. The caller has the clock, the random numbers and the connection.
//!
//! Invariants:
//! - Both counters saturate, so any number of failures is possible.
//! - The state machine has no final state. After [`Decision::GiveUp`] the caller may make another attempt and report
//!   its result.

use core::fmt;

use super::failure::Failure;
use super::policy::{ReconnectPolicy, after};
use crate::connection::Outcome;
use crate::time::Instant;

/// The state of a client that reconnects. The module [`reconnect`](super) has an example.
///
/// Make the first attempt at once. Report each failed attempt with [`failed`](Self::failed), each opened connection
/// with [`connected`](Self::connected), and its end with [`closed`](Self::closed). The instants of all calls must have
/// the same origin.
///
/// The argument `random` must be 64 uniformly distributed bits that differ between clients. The bits need not be
/// secret.
#[derive(Clone, Debug)]
pub struct ReconnectState {
    policy: ReconnectPolicy,
    /// The number of attempts in a row that led to no lasting connection.
    failed_attempts: u32,
    /// The number of delays since a lasting connection ended, including the delay after this end. This end is not a
    /// failed attempt, so this number can be one more than `failed_attempts`.
    delays: u32,
    /// When the current connection was opened; `None` without a connection.
    opened_at: Option<Instant>,
}

/// What the client does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Decision {
    /// Connect again at this instant, not before it.
    RetryAt(Instant),
    /// Do not connect again.
    GiveUp(GiveUp),
}

/// The reason why a client does not connect again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum GiveUp {
    /// [`ReconnectPolicy::retry_if`] does not retry this failure.
    NotRetried(Failure),
    /// [`ReconnectPolicy::max_attempts`] attempts in a row have failed.
    TooManyAttempts {
        /// The number of failed attempts.
        attempts: u32,
        /// The failure of the last attempt.
        last: Failure,
    },
}

impl ReconnectState {
    /// Creates the state of a client that has not connected yet.
    #[must_use]
    pub const fn new(policy: ReconnectPolicy) -> Self {
        Self { policy, failed_attempts: 0, delays: 0, opened_at: None }
    }

    /// Returns the settings.
    #[must_use]
    pub const fn policy(&self) -> &ReconnectPolicy {
        &self.policy
    }

    /// Returns how many attempts in a row have failed: 0 before the first attempt and after a connection that lasted.
    #[must_use]
    pub const fn failed_attempts(&self) -> u32 {
        self.failed_attempts
    }

    /// Records that a connection is open.
    pub const fn connected(&mut self, now: Instant) {
        self.opened_at = Some(now);
    }

    /// Records that an open connection has ended, and returns what to do next.
    ///
    /// This method calls [`failed`](Self::failed) with the [`Failure`] that `outcome` converts to. A receiving call can
    /// also fail with an I/O error and without an outcome. In this case, call `failed` with [`Failure::Network`].
    pub fn closed(&mut self, now: Instant, outcome: Outcome, random: u64) -> Decision {
        self.failed(now, &outcome.into(), random)
    }

    /// Records that an attempt has failed or that an open connection has ended, and returns what to do next.
    pub fn failed(&mut self, now: Instant, failure: &Failure, random: u64) -> Decision {
        let min_uptime = self.policy.min_uptime;
        let opened_at = self.opened_at.take();
        if opened_at.is_some_and(|opened_at| now.saturating_duration_since(opened_at) >= min_uptime) {
            self.reset();
        } else {
            self.failed_attempts = self.failed_attempts.saturating_add(1);
        }
        if !(self.policy.retry_if)(failure) {
            return Decision::GiveUp(GiveUp::NotRetried(*failure));
        }
        let attempts = self.failed_attempts;
        // 0 counts as 1. Without `max`, the end of a lasting connection would end the client.
        if self.policy.max_attempts.is_some_and(|most| attempts >= most.max(1)) {
            return Decision::GiveUp(GiveUp::TooManyAttempts { attempts, last: *failure });
        }
        let delay = self.policy.delay(failure, self.delays, random);
        self.delays = self.delays.saturating_add(1);
        Decision::RetryAt(after(now, delay))
    }

    /// Forgets all failures, so that the next delay is short again.
    ///
    /// Call this when the cause of the failures has gone, for example when the device has a network again.
    pub const fn reset(&mut self) {
        self.failed_attempts = 0;
        self.delays = 0;
    }
}

impl fmt::Display for GiveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRetried(failure) => {
                write!(f, "{failure}: the policy of reconnecting does not retry this")
            }
            Self::TooManyAttempts { attempts, last } => {
                let counted = if *attempts == 1 { "attempt is" } else { "attempts are" };
                write!(f, "{last}: {attempts} failed {counted} the most that the policy allows")
            }
        }
    }
}

impl core::error::Error for GiveUp {}

#[cfg(test)]
mod tests {
    use core::time::Duration;
    use std::collections::BTreeSet;
    use std::vec::Vec;

    use super::*;
    use crate::close::CloseCode;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u32) -> Instant {
        Instant::ZERO + SECOND * seconds
    }

    fn reconnecting() -> ReconnectState {
        ReconnectState::new(ReconnectPolicy::new())
    }

    /// Returns the time until the next attempt.
    #[track_caller]
    fn delay(now: Instant, next: Decision) -> Duration {
        match next {
            Decision::RetryAt(instant) => instant.saturating_duration_since(now),
            Decision::GiveUp(reason) => panic!("gave up: {reason}"),
        }
    }

    /// A small random number generator, `SplitMix64`. It makes the figures of the tests the same in each run.
    struct Random(u64);

    impl Random {
        fn draw(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut bits = self.0;
            bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            bits ^ (bits >> 31)
        }
    }

    #[test]
    fn s7_2_3_the_longest_delay_doubles_up_to_max_delay() {
        let mut reconnecting = reconnecting();
        for seconds in [5, 10, 20, 40, 60, 60, 60] {
            let failed = reconnecting.clone().failed(at(3), &Failure::Network, 0);
            assert_eq!(delay(at(3), failed), Duration::ZERO);
            let failed = reconnecting.failed(at(3), &Failure::Network, u64::MAX);
            assert_eq!(delay(at(3), failed), SECOND * seconds);
        }
        assert_eq!(reconnecting.failed_attempts(), 7);
    }

    #[test]
    fn only_a_connection_that_lasted_shortens_the_delay() {
        let policy = ReconnectPolicy::new().min_uptime(SECOND * 30);
        let closed = Outcome::Clean { code: CloseCode::GOING_AWAY };
        let mut reconnecting = ReconnectState::new(policy);
        assert_eq!(delay(at(0), reconnecting.failed(at(0), &Failure::Network, u64::MAX)), SECOND * 5);
        // The connection ends a nanosecond too early, so it counts as one more failure.
        reconnecting.connected(at(10) + Duration::from_nanos(1));
        assert_eq!(delay(at(40), reconnecting.closed(at(40), closed, u64::MAX)), SECOND * 10);
        assert_eq!(reconnecting.failed_attempts(), 2);
        // This connection lasts exactly long enough.
        reconnecting.connected(at(50));
        assert_eq!(delay(at(80), reconnecting.closed(at(80), closed, u64::MAX)), SECOND * 5);
        assert_eq!(reconnecting.failed_attempts(), 0);
        // The up-time of an earlier connection does not count again.
        assert_eq!(delay(at(90), reconnecting.failed(at(90), &Failure::Network, u64::MAX)), SECOND * 10);
        assert_eq!(reconnecting.failed_attempts(), 1);
        // An I/O error of an open connection has no outcome.
        reconnecting.connected(at(100));
        assert_eq!(delay(at(200), reconnecting.failed(at(200), &Failure::Network, u64::MAX)), SECOND * 5);
    }

    #[test]
    fn a_clock_that_runs_backwards_counts_as_no_uptime() {
        let mut reconnecting = reconnecting();
        reconnecting.connected(at(1000));
        assert_eq!(delay(at(5), reconnecting.failed(at(5), &Failure::Network, u64::MAX)), SECOND * 5);
        assert_eq!(reconnecting.failed_attempts(), 1);
    }

    #[test]
    fn s9110_10_2_3_the_wait_that_a_server_asks_for_is_a_lower_bound() {
        let policy = ReconnectPolicy::new().max_retry_after(SECOND * 100);
        for (status, asked, least) in
            [(503, 30, 30), (429, 30, 30), (503, 1000, 100), (500, 30, 0), (502, 30, 0)]
        {
            let failure = Failure::Response { status, retry_after: Some(SECOND * asked) };
            for (random, more) in [(0, 0), (u64::MAX, 5)] {
                let next = ReconnectState::new(policy).failed(at(7), &failure, random);
                assert_eq!(delay(at(7), next), SECOND * (least + more), "{status} {asked}");
            }
        }
    }

    #[test]
    fn the_client_gives_up_after_the_maximum_number_of_attempts_in_a_row() {
        for most in 0..5_u32 {
            let policy = ReconnectPolicy::new().max_attempts(Some(most)).min_uptime(SECOND);
            let mut reconnecting = ReconnectState::new(policy);
            // A lasting connection sets the count to zero, so the client gets all attempts again.
            for round in 0..3 {
                for _ in 1..most {
                    let _: Duration = delay(at(round), reconnecting.failed(at(round), &Failure::Network, 0));
                }
                let mut last = reconnecting.clone();
                let attempts = most.max(1);
                let gave_up = Decision::GiveUp(GiveUp::TooManyAttempts { attempts, last: Failure::Network });
                assert_eq!(last.failed(at(round), &Failure::Network, 0), gave_up);
                reconnecting.connected(at(round));
                let closed = Outcome::Clean { code: CloseCode::GOING_AWAY };
                let _: Duration = delay(at(round + 1), reconnecting.closed(at(round + 1), closed, 0));
            }
        }
    }

    #[test]
    fn a_failure_that_is_not_retried_ends_the_client_and_names_the_reason() {
        for failure in [
            Failure::Request,
            Failure::Handshake,
            Failure::Response { status: 404, retry_after: Some(SECOND) },
            Failure::Closed(CloseCode::NORMAL),
            Failure::Closed(CloseCode::new(4000)),
        ] {
            let next = reconnecting().failed(at(0), &failure, 0);
            assert_eq!(next, Decision::GiveUp(GiveUp::NotRetried(failure)));
        }
    }

    #[test]
    fn the_application_chooses_which_failures_to_retry() {
        let policy = ReconnectPolicy::new().retry_if(|failure| match failure {
            Failure::Closed(code) => code.get() == 4001,
            Failure::Response { status, .. } => *status == 401,
            _ => false,
        });
        for (failure, retried) in [
            (Failure::Closed(CloseCode::new(4001)), true),
            (Failure::Closed(CloseCode::GOING_AWAY), false),
            (Failure::Response { status: 401, retry_after: None }, true),
            (Failure::Response { status: 503, retry_after: None }, false),
            (Failure::Network, false),
        ] {
            let next = ReconnectState::new(policy).failed(at(0), &failure, 0);
            assert_eq!(matches!(next, Decision::RetryAt(_)), retried, "{failure}");
        }
    }

    #[test]
    fn reset_forgets_all_failures() {
        let mut reconnecting = ReconnectState::new(ReconnectPolicy::new().max_attempts(Some(3)));
        for _ in 0..2 {
            let _: Duration = delay(at(0), reconnecting.failed(at(0), &Failure::Network, 0));
        }
        reconnecting.reset();
        assert_eq!(delay(at(0), reconnecting.failed(at(0), &Failure::Network, u64::MAX)), SECOND * 5);
        assert_eq!(reconnecting.failed_attempts(), 1);
    }

    #[test]
    fn no_setting_and_no_time_overflows() {
        let largest = ReconnectPolicy::new()
            .first_delay(Duration::MAX)
            .max_delay(Duration::MAX)
            .max_retry_after(Duration::MAX)
            .min_uptime(Duration::MAX)
            .max_attempts(Some(u32::MAX));
        let failure = Failure::Response { status: 503, retry_after: Some(Duration::MAX) };
        let mut reconnecting = ReconnectState::new(largest);
        for now in [Instant::ZERO, Instant::LAST, Instant::NEVER] {
            // The result is never `Instant::NEVER`, which would mean that no attempt follows.
            assert_eq!(reconnecting.failed(now, &failure, u64::MAX), Decision::RetryAt(Instant::LAST));
        }
        let mut reconnecting = ReconnectState::new(ReconnectPolicy::new().first_delay(Duration::ZERO));
        assert_eq!(reconnecting.failed(at(1), &Failure::Network, u64::MAX), Decision::RetryAt(at(1)));
        let tiny = ReconnectPolicy::new().first_delay(Duration::from_nanos(1));
        assert_eq!(tiny.window(34), Duration::from_nanos(1 << 34));
        assert_eq!(
            (tiny.window(63), tiny.window(64), tiny.window(u32::MAX)),
            (SECOND * 60, SECOND * 60, SECOND * 60)
        );
    }

    /// Returns mean and standard deviation in seconds.
    fn mean_and_deviation(delays: &[Duration]) -> (f64, f64) {
        let count = f64::from(u32::try_from(delays.len()).unwrap());
        let mean = delays.iter().map(Duration::as_secs_f64).sum::<f64>() / count;
        let variance = delays.iter().map(|delay| (delay.as_secs_f64() - mean).powi(2)).sum::<f64>() / count;
        (mean, variance.sqrt())
    }

    /// Prints and checks the figures of `docs/decisions/0047-delays-have-full-jitter.md`.
    #[test]
    fn s7_2_3_delays_are_spread_evenly_over_the_window() {
        let (mut random, mut reconnecting) = (Random(1), reconnecting());
        for window in [5.0, 10.0, 20.0, 40.0, 60.0, 60.0] {
            let delays: Vec<Duration> = (0..100_000)
                .map(|_| delay(at(0), reconnecting.clone().failed(at(0), &Failure::Network, random.draw())))
                .collect();
            let _: Duration = delay(at(0), reconnecting.failed(at(0), &Failure::Network, 0));
            let failures = reconnecting.failed_attempts();
            let (mean, deviation) = mean_and_deviation(&delays);
            std::println!("failure {failures}: mean {mean:.2} s, standard deviation {deviation:.2} s");
            // A uniform distribution has the mean w/2 and the standard deviation w/√12. The bounds are five standard
            // errors of the mean away.
            let expected = (window / 2.0, window / 12.0_f64.sqrt());
            assert!((mean / expected.0 - 1.0).abs() < 0.01, "mean {mean} s instead of {} s", expected.0);
            assert!((deviation / expected.1 - 1.0).abs() < 0.01, "{deviation} s instead of {} s", expected.1);
        }
    }

    /// Returns how many of the instants lie in each of `bins` equal parts of the time from `start` to `end`.
    fn histogram(instants: &[Instant], start: Instant, end: Instant, bins: usize) -> Vec<usize> {
        let bin = end.saturating_duration_since(start) / u32::try_from(bins).unwrap();
        let mut counts = std::vec![0; bins];
        for instant in instants {
            let since = instant.saturating_duration_since(start);
            let number = usize::try_from(since.as_nanos() / bin.as_nanos()).unwrap();
            // The end of the range belongs to the last bin.
            counts[number.min(bins - 1)] += 1;
        }
        counts
    }

    #[test]
    fn ten_thousand_clients_come_back_spread_over_the_window() {
        const CLIENTS: usize = 10_000;
        let mut random = Random(2);
        let restart = Failure::Closed(CloseCode::SERVICE_RESTART);
        let busy = Failure::Response { status: 503, retry_after: Some(SECOND * 30) };
        // The server fails at 100 s. In the second case it also asks all clients to wait for 30 s.
        for (failure, start) in [(restart, 100), (busy, 130)] {
            let attempts: Vec<Instant> = (0..CLIENTS)
                .map(|_| match reconnecting().failed(at(100), &failure, random.draw()) {
                    Decision::RetryAt(instant) => instant,
                    Decision::GiveUp(reason) => panic!("gave up: {reason}"),
                })
                .collect();
            assert!(attempts.iter().all(|instant| (at(start)..=at(start + 5)).contains(instant)));
            let counts = histogram(&attempts, at(start), at(start + 5), 50);
            let (least, most) = (*counts.iter().min().unwrap(), *counts.iter().max().unwrap());
            std::println!("10,000 clients in 50 bins of 100 ms: from {least} to {most} in each");
            // The mean is 200 with a standard deviation of 14. The bounds are five deviations away.
            assert!(least >= 130 && most <= 270, "{counts:?}");
        }
    }

    /// The server is down for a minute. Then it accepts 200 clients in each second, and answers the others with 503.
    #[test]
    fn ten_thousand_clients_do_not_overload_a_server_that_comes_back() {
        const CLIENTS: usize = 10_000;
        const DOWN: u32 = 60;
        const ACCEPTED: u32 = 200;
        let mut random = Random(3);
        let mut clients: Vec<ReconnectState> = (0..CLIENTS).map(|_| reconnecting()).collect();
        // The next attempt of each client, the earliest first.
        let mut attempts = BTreeSet::new();
        let mut retry = |attempts: &mut BTreeSet<_>, client: usize, now, failure| match clients[client]
            .failed(now, &failure, random.draw())
        {
            Decision::RetryAt(instant) => attempts.insert((instant, client)),
            Decision::GiveUp(reason) => panic!("gave up: {reason}"),
        };
        for client in 0..CLIENTS {
            retry(&mut attempts, client, at(0), Failure::Closed(CloseCode::ABNORMAL));
        }
        // The time at which the server can accept the next client, and the times of all attempts while it is up.
        let (mut free_at, mut seen) = (at(DOWN), Vec::new());
        while let Some((now, client)) = attempts.pop_first() {
            if now < at(DOWN) {
                retry(&mut attempts, client, now, Failure::Network);
                continue;
            }
            seen.push(now);
            if free_at <= now {
                free_at = now.max(free_at) + SECOND / ACCEPTED;
            } else {
                retry(&mut attempts, client, now, Failure::Response { status: 503, retry_after: None });
            }
        }
        let last = seen.last().unwrap().saturating_duration_since(at(DOWN));
        let busiest = *histogram(&seen, at(DOWN), at(DOWN + 600), 6000).iter().max().unwrap();
        std::println!("{} attempts, at most {busiest} in 100 ms, all open after {last:?}", seen.len());
        // Without jitter, all 10,000 attempts would lie in one bin.
        assert!(busiest <= 60, "{busiest}");
        // 10,000 clients need 50 seconds if the server is never idle.
        assert!(last <= SECOND * 300, "{last:?}");
        assert!(seen.len() <= 3 * CLIENTS, "{}", seen.len());
    }
}
