//! The clock of a connection, and its timer.
//!
//! [`Clock`] turns the runtime's clock into that of the connection. The clock is read once for each read or write, and
//! not for each message. In between, the connection sees the time of the last reading.
//!
//! Not here: which deadline is next (`Connection::poll_timeout`), and what is done when it has passed (the run loops).
//!
//! Invariants:
//! - The time does not go back, also for a connection that another clock has driven before.
//! - Messages are reported to the timers later than they came, or at the same time. So no timer fires too early.
//! - Deadlines are absolute. Dropping a call and making it again does not extend a deadline.

use core::time::Duration;
use std::task::{Context, Poll, ready};

use super::Timer;
use super::buffer_pool::Borrowed;
use crate::{Instant, SendingHalf};

/// The clock of a connection, read from that of the runtime `R`.
#[derive(Debug)]
pub(super) struct Clock<R> {
    runtime: R,
    /// How far the connection's clock is ahead of the runtime's. A connection that another clock drove before continues
    /// with the time of that clock.
    ahead: Duration,
    /// The time when the clock was read last.
    now: Instant,
    /// Whether bytes have come in since the clock was read.
    is_stale: bool,
}

impl<R: Timer> Clock<R> {
    /// Creates the clock of a connection that has seen the time `latest`.
    pub(super) fn new(runtime: R, latest: Instant) -> Self {
        let ahead = latest.saturating_duration_since(runtime.now());
        let mut clock = Self { runtime, ahead, now: latest, is_stale: false };
        clock.tick();
        clock
    }

    /// Returns the time when the clock was read last.
    pub(super) const fn now(&self) -> Instant {
        self.now
    }

    /// Reads the clock, and returns the time.
    pub(super) fn tick(&mut self) -> Instant {
        self.now = self.runtime.now() + self.ahead;
        self.is_stale = false;
        self.now
    }

    /// Reads the clock if bytes have come in since it was read, and returns the time.
    pub(super) fn tick_if_stale(&mut self) -> Instant {
        if self.is_stale { self.tick() } else { self.now }
    }

    /// Records that bytes have come in, so the clock must be read before they are decoded.
    pub(super) const fn bytes_came(&mut self) {
        self.is_stale = true;
    }

    /// Whether bytes have come in since the clock was read.
    pub(super) const fn is_stale(&self) -> bool {
        self.is_stale
    }

    /// Reads the clock, and reports messages that have come in to the timers.
    pub(super) fn tick_for(&mut self, half: &mut impl SendingHalf) -> Instant {
        let now = self.tick();
        half.catch_up(now);
        now
    }

    /// Reads the clock if messages have come in that the timers do not know of, and reports them as received now.
    pub(super) fn catch_up(&mut self, half: &mut impl SendingHalf) {
        if half.sender().is_behind() {
            self.tick_for(half);
        }
    }

    /// Waits for the deadline `at`, and returns the time. Pending for ever if there is no deadline.
    pub(super) fn poll_due(&mut self, cx: &mut Context<'_>, at: Option<Instant>) -> Poll<Instant> {
        let Some(at) = at else { return Poll::Pending };
        let ahead = Instant::ZERO + self.ahead;
        ready!(self.runtime.poll_at(cx, Instant::ZERO + at.saturating_duration_since(ahead)));
        Poll::Ready(self.tick().max(at))
    }

    /// Waits like [`Self::poll_due`] for a task that also waits for input, and frees unused memory of `inbox`
    /// meanwhile.
    ///
    /// `messages` is the number of messages that have been received. It tells whether the inbox still waits for the
    /// rest of the same message.
    #[inline]
    pub(super) fn poll_due_reading(
        &mut self,
        cx: &mut Context<'_>,
        at: Option<Instant>,
        inbox: &mut Borrowed,
        messages: u64,
    ) -> Poll<Instant> {
        if let Some(release) = inbox.release_at(self.now, messages) {
            // A timer for a time that has passed would wake the task needlessly.
            if release > self.now {
                let now = ready!(self.poll_due(cx, Some(at.map_or(release, |at| at.min(release)))));
                if at.is_some_and(|at| at <= now) {
                    return Poll::Ready(now);
                }
            }
            // The caller is about to return `Pending`, so the next read allocates again. It happens only once there is
            // input.
            inbox.release_idle();
        }
        self.poll_due(cx, at)
    }
}
