//! [`Dialing`]: the state machine that decides when to start an attempt, which attempt wins, and which attempts are
//! cancelled (RFC 8305 section 5).
//!
//! ```text
//!                  ┌──── Start(index): stagger or a failure ────┐
//!                  ▼                                            │
//!   (started, running) ── failed(index) ──▶ next one at once ───┘
//!          │        └──── all failed, or the deadline ──▶ Failed
//!          └── succeeded(index) ──▶ Connected(index), all others are cancelled
//! ```
//!
//! The stagger is the time between the starts of two attempts.
//!
//! Invariants:
//! - Each address is tried at most once, in the order of the list.
//! - Two starts are at least the stagger apart, except if an attempt has failed between them.
//! - After [`Action::Connected`] or [`Action::Failed`], every call of [`Dialing::poll`] returns the same action.
//! - The state is a few numbers, whatever the number of addresses. One bit for each address tells whether its attempt
//!   has ended.

use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

use super::interleave::interleave;
use crate::time::Instant;

/// The attempts to connect to the addresses of a host. The module [`dial`](super) has an example.
///
/// Call [`poll`](Self::poll) in a loop, and carry out each [`Action`]. Report the result of each attempt with
/// [`failed`](Self::failed) or [`succeeded`](Self::succeeded), and then poll again.
#[derive(Clone, Debug)]
pub struct Dialing {
    /// The number of addresses.
    count: usize,
    /// The number of attempts that have started. It is also the index of the next address.
    started: usize,
    /// The attempts with a result, including the winner: one bit for each index.
    ended: u64,
    /// The time between the starts of two attempts.
    stagger: Duration,
    /// When the next attempt starts at the latest. [`Instant::ZERO`] after a failure.
    next_start: Instant,
    /// The deadline over all attempts; [`Instant::NEVER`] if there is none.
    deadline: Instant,
    result: Option<Result<usize, DialError>>,
}

/// The next action of the caller. An index is a position in the list of addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Action {
    /// Start an attempt to connect to the address with this index, and poll again.
    Start(usize),
    /// Wait for the result of an attempt, but at most until this instant; `None` means without a limit. Then poll
    /// again.
    Wait(Option<Instant>),
    /// The attempt with this index has won. Cancel all attempts that are still [running](Dialing::running).
    Connected(usize),
    /// No connection was made. Cancel all attempts that are still [running](Dialing::running).
    Failed(DialError),
}

/// The reason why no connection was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[non_exhaustive]
pub enum DialError {
    /// The list of addresses is empty.
    NoAddress,
    /// Every attempt has failed.
    AllFailed,
    /// The deadline has passed.
    TimedOut,
}

impl Dialing {
    /// The maximum number of addresses that are tried. Further addresses are ignored.
    pub const MAX_ADDRESSES: usize = 64;

    /// The stagger by default: 250 ms (RFC 8305 section 8).
    pub const DEFAULT_STAGGER: Duration = Duration::from_millis(250);

    /// The shortest stagger: 10 ms (RFC 8305 section 8). A shorter one would burden servers and networks.
    pub const MIN_STAGGER: Duration = Duration::from_millis(10);

    /// Creates the state before the first attempt, and [interleaves](interleave) the addresses. The indexes of all
    /// actions refer to the new order.
    ///
    /// Only the first [`MAX_ADDRESSES`](Self::MAX_ADDRESSES) of the interleaved addresses are tried.
    #[must_use]
    pub fn new(addresses: &mut [SocketAddr]) -> Self {
        interleave(addresses);
        Self {
            count: addresses.len().min(Self::MAX_ADDRESSES),
            started: 0,
            ended: 0,
            stagger: Self::DEFAULT_STAGGER,
            next_start: Instant::ZERO,
            deadline: Instant::NEVER,
            result: None,
        }
    }

    /// Sets the time between the starts of two attempts; [`DEFAULT_STAGGER`](Self::DEFAULT_STAGGER) by default. A
    /// shorter time than [`MIN_STAGGER`](Self::MIN_STAGGER) counts as `MIN_STAGGER`.
    #[must_use]
    pub fn stagger(mut self, stagger: Duration) -> Self {
        self.stagger = stagger.max(Self::MIN_STAGGER);
        self
    }

    /// Sets the deadline over all attempts; `None` by default.
    #[must_use]
    pub const fn deadline(mut self, deadline: Option<Instant>) -> Self {
        self.deadline = match deadline {
            Some(deadline) => deadline,
            None => Instant::NEVER,
        };
        self
    }

    /// Returns what to do next. An attempt counts as started when this call returns [`Action::Start`].
    pub fn poll(&mut self, now: Instant) -> Action {
        if self.result.is_none() {
            self.result = self.error(now).map(Err);
        }
        match self.result {
            Some(Ok(index)) => return Action::Connected(index),
            Some(Err(error)) => return Action::Failed(error),
            None => {}
        }
        if self.started == self.count {
            return self.wait_until(Instant::NEVER);
        }
        if now < self.next_start {
            return self.wait_until(self.next_start);
        }
        let index = self.started;
        self.started += 1;
        self.next_start = now + self.stagger;
        Action::Start(index)
    }

    /// Returns the reason to give up, if there is one.
    fn error(&self, now: Instant) -> Option<DialError> {
        if self.count == 0 {
            Some(DialError::NoAddress)
        } else if self.started == self.count && self.running().next().is_none() {
            Some(DialError::AllFailed)
        } else if self.deadline <= now {
            // Without a deadline, `deadline` is `NEVER`, and this branch is reached only if `now` is `NEVER` too.
            (self.deadline != Instant::NEVER).then_some(DialError::TimedOut)
        } else {
            None
        }
    }

    fn wait_until(&self, until: Instant) -> Action {
        let until = until.min(self.deadline);
        Action::Wait((until != Instant::NEVER).then_some(until))
    }

    /// Records that the attempt with this index has failed. The next attempt starts at once.
    ///
    /// A second report of the same attempt, and a report of an attempt that has not started, have no effect.
    pub fn failed(&mut self, index: usize) {
        if self.record_end(index) {
            self.next_start = Instant::ZERO;
        }
    }

    /// Records that the attempt with this index has succeeded. Returns whether this attempt has won.
    ///
    /// `false` means that another attempt was faster, or that [`poll`](Self::poll) has returned [`Action::Failed`]. It
    /// also means that this attempt has ended already or was not started. In these cases, close the connection.
    #[must_use]
    pub fn succeeded(&mut self, index: usize) -> bool {
        let wins = self.record_end(index) && self.result.is_none();
        if wins {
            self.result = Some(Ok(index));
        }
        wins
    }

    /// Returns the indexes of the attempts that have started and have no result yet, in ascending order.
    ///
    /// After [`Action::Connected`] and [`Action::Failed`], and when the caller gives up, these are the attempts to
    /// cancel.
    pub fn running(&self) -> impl Iterator<Item = usize> + use<> {
        let ended = self.ended;
        (0..self.started).filter(move |index| ended & bit(*index) == 0)
    }

    /// Records that the attempt with this index has ended. Returns whether this attempt was running.
    fn record_end(&mut self, index: usize) -> bool {
        let is_running = index < self.started && self.ended & bit(index) == 0;
        if is_running {
            self.ended |= bit(index);
        }
        is_running
    }
}

/// Returns the bit of an index. An index from 64 on has no bit, so the result is 0.
fn bit(index: usize) -> u64 {
    u32::try_from(index).ok().and_then(|index| 1_u64.checked_shl(index)).unwrap_or(0)
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoAddress => "the host has no address: check its name",
            Self::AllFailed => {
                "every attempt to connect has failed: check that the server is running and can be reached"
            }
            Self::TimedOut => "no connection to the host was made in time: try later, or allow more time",
        })
    }
}

impl core::error::Error for DialError {}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_origin(Duration::from_millis(millis))
    }

    fn dialing(count: u16) -> Dialing {
        let mut addresses: Vec<SocketAddr> =
            (0..count).map(|port| SocketAddr::new("192.0.2.1".parse().unwrap(), port)).collect();
        Dialing::new(&mut addresses)
    }

    #[test]
    fn s8305_5_attempts_start_250_ms_apart() {
        let mut dialing = dialing(3);
        for (index, now) in [(0, 0), (1, 250), (2, 500)] {
            assert_eq!(dialing.poll(at(now)), Action::Start(index));
            let until = if index < 2 { Some(at(now + 250)) } else { None };
            assert_eq!(dialing.poll(at(now)), Action::Wait(until));
            assert_eq!(dialing.poll(at(now + 249)), Action::Wait(until));
        }
        assert!(dialing.running().eq([0, 1, 2]));
    }

    #[test]
    fn a_start_that_comes_late_delays_the_next_one() {
        let mut dialing = dialing(3);
        assert_eq!(dialing.poll(at(0)), Action::Start(0));
        assert_eq!(dialing.poll(at(400)), Action::Start(1));
        assert_eq!(dialing.poll(at(500)), Action::Wait(Some(at(650))));
    }

    #[test]
    fn s8305_8_the_stagger_is_at_least_10_ms() {
        for (stagger, expected) in [(0, 10), (9, 10), (10, 10), (11, 11), (2000, 2000)] {
            let mut dialing = dialing(2).stagger(Duration::from_millis(stagger));
            assert_eq!(dialing.poll(at(0)), Action::Start(0));
            assert_eq!(dialing.poll(at(0)), Action::Wait(Some(at(expected))));
        }
        assert_eq!(
            (Dialing::MIN_STAGGER, Dialing::DEFAULT_STAGGER),
            (Duration::from_millis(10), Duration::from_millis(250))
        );
    }

    #[test]
    fn one_failure_starts_one_attempt() {
        let mut dialing = dialing(4);
        assert_eq!(dialing.poll(at(0)), Action::Start(0));
        assert_eq!(dialing.poll(at(250)), Action::Start(1));
        // Both attempts fail between two polls.
        dialing.failed(0);
        dialing.failed(1);
        assert_eq!(dialing.poll(at(260)), Action::Start(2));
        assert_eq!(dialing.poll(at(260)), Action::Wait(Some(at(510))));
        // A second report of the same failure starts nothing.
        dialing.failed(0);
        assert_eq!(dialing.poll(at(261)), Action::Wait(Some(at(510))));
    }

    #[test]
    fn the_first_success_wins_and_later_ones_lose() {
        let mut dialing = dialing(4);
        for (index, now) in [(0, 0), (1, 250), (2, 500)] {
            assert_eq!(dialing.poll(at(now)), Action::Start(index));
        }
        dialing.failed(0);
        assert!(dialing.succeeded(2));
        assert_eq!(dialing.poll(at(510)), Action::Connected(2));
        assert!(dialing.running().eq([1]));
        assert!(!dialing.succeeded(1));
        assert_eq!(dialing.running().next(), None);
        assert_eq!(dialing.poll(at(9999)), Action::Connected(2));
    }

    #[test]
    fn after_the_deadline_nothing_wins_and_nothing_starts() {
        let mut dialing = dialing(3).deadline(Some(at(250)));
        assert_eq!(dialing.poll(at(0)), Action::Start(0));
        assert_eq!(dialing.poll(at(1)), Action::Wait(Some(at(250))));
        assert_eq!(dialing.poll(at(250)), Action::Failed(DialError::TimedOut));
        assert!(dialing.running().eq([0]));
        assert!(!dialing.succeeded(0));
        dialing.failed(0);
        assert_eq!(dialing.poll(at(251)), Action::Failed(DialError::TimedOut));
    }

    #[test]
    fn a_success_that_is_reported_before_the_deadline_is_seen_wins() {
        let mut dialing = dialing(1).deadline(Some(at(100)));
        assert_eq!(dialing.poll(at(0)), Action::Start(0));
        assert!(dialing.succeeded(0));
        assert_eq!(dialing.poll(at(200)), Action::Connected(0));
    }

    #[test]
    fn a_host_without_addresses_and_a_host_that_refuses_are_told_apart() {
        assert_eq!(dialing(0).poll(at(0)), Action::Failed(DialError::NoAddress));
        let mut dialing = dialing(2);
        for index in 0..2 {
            assert_eq!(dialing.poll(at(5)), Action::Start(index));
            dialing.failed(index);
        }
        assert_eq!(dialing.poll(at(5)), Action::Failed(DialError::AllFailed));
    }

    #[test]
    fn reports_of_attempts_that_have_not_started_have_no_effect() {
        let mut dialing = dialing(2);
        for index in [0, 1, 2, 63, 64, usize::MAX] {
            dialing.failed(index);
            assert!(!dialing.succeeded(index));
        }
        assert_eq!(dialing.poll(at(0)), Action::Start(0));
        dialing.failed(1);
        assert!(!dialing.succeeded(1));
        assert_eq!(dialing.poll(at(0)), Action::Wait(Some(at(250))));
    }

    #[test]
    fn the_first_64_addresses_are_tried_and_no_others() {
        for (count, tried) in [(63, 63), (64, 64), (65, 64), (1000, 64)] {
            let mut dialing = dialing(count);
            for index in 0..tried {
                assert_eq!(dialing.poll(at(0)), Action::Start(index));
                dialing.failed(index);
            }
            assert_eq!(dialing.poll(at(0)), Action::Failed(DialError::AllFailed));
        }
        assert_eq!(Dialing::MAX_ADDRESSES, 64);
    }

    #[test]
    fn the_end_of_the_clock_is_no_deadline() {
        let mut dialing = dialing(2);
        assert_eq!(dialing.poll(Instant::NEVER), Action::Start(0));
        dialing.failed(0);
        assert_eq!(dialing.poll(Instant::NEVER), Action::Start(1));
        assert_eq!(dialing.poll(Instant::NEVER), Action::Wait(None));
    }
}
