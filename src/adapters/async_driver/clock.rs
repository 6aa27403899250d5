//! The clock of a connection, and its timer.
//!
//! [`Clock`] converts the time of the runtime's clock to the time of the connection. The clock is read once for each
//! read or write of the stream, not for each message. Between two readings, the connection uses the time of the last
//! reading.
//!
//! `Connection::poll_timeout` returns the next deadline, and the run loops act when a deadline has passed.
//!
//! Invariants:
//! - The time never goes back, even if the connection was used with another clock before.
//! - A message is reported to the timers when it arrives or later, never earlier. So no timer fires too early.
//! - Deadlines are absolute times. If a future is dropped and its method is called again, the deadline stays the same.

use core::time::Duration;
use std::task::{Context, Poll, ready};

use super::Timer;
use super::buffer_pool::InboxSlot;
use crate::{Instant, SendingHalf};

/// The clock of a connection. It reads the clock of the runtime `R`.
#[derive(Debug)]
pub(super) struct Clock<R> {
    runtime: R,
    /// The difference between the time of the connection and the time of the runtime. The difference is zero, except if
    /// the connection was used before with another clock that showed a later time.
    ahead: Duration,
    /// The time of the connection when the clock was last read.
    now: Instant,
    /// Whether bytes have arrived since the clock was last read.
    is_stale: bool,
}

impl<R: Timer> Clock<R> {
    /// Creates the clock of a connection. `latest` is the latest time that the timers of the connection have stored.
    pub(super) fn new(runtime: R, latest: Instant) -> Self {
        let ahead = latest.saturating_duration_since(runtime.now());
        let mut clock = Self { runtime, ahead, now: latest, is_stale: false };
        clock.read_clock();
        clock
    }

    /// Returns the time when the clock was last read.
    pub(super) const fn now(&self) -> Instant {
        self.now
    }

    /// Reads the clock, and returns the time.
    pub(super) fn read_clock(&mut self) -> Instant {
        self.now = self.runtime.now() + self.ahead;
        self.is_stale = false;
        self.now
    }

    /// Reads the clock if bytes have arrived since it was last read. Returns the time.
    pub(super) fn read_clock_if_stale(&mut self) -> Instant {
        if self.is_stale { self.read_clock() } else { self.now }
    }

    /// Records that bytes have arrived. The clock must be read before these bytes are decoded.
    pub(super) const fn bytes_came(&mut self) {
        self.is_stale = true;
    }

    /// Returns whether bytes have arrived since the clock was last read.
    pub(super) const fn is_stale(&self) -> bool {
        self.is_stale
    }

    /// Reads the clock, and reports messages that have arrived to the timers.
    pub(super) fn read_clock_for(&mut self, half: &mut impl SendingHalf) -> Instant {
        let now = self.read_clock();
        half.record_received(now);
        now
    }

    /// Reads the clock if messages have arrived that were not reported to the timers. Reports these messages as
    /// received now.
    pub(super) fn record_received(&mut self, half: &mut impl SendingHalf) {
        if half.sender().has_unrecorded_messages() {
            self.read_clock_for(half);
        }
    }

    /// Waits for the deadline `at`, and returns the time. If `at` is `None`, returns `Pending`, and the task is not
    /// woken.
    pub(super) fn poll_due(&mut self, cx: &mut Context<'_>, at: Option<Instant>) -> Poll<Instant> {
        let Some(at) = at else { return Poll::Pending };
        let ahead = Instant::ZERO + self.ahead;
        ready!(self.runtime.poll_at(cx, Instant::ZERO + at.saturating_duration_since(ahead)));
        Poll::Ready(self.read_clock().max(at))
    }

    /// Waits like [`Self::poll_due`], for a task that also waits for input. During the wait, frees the spare memory of
    /// `inbox` at the time that `InboxSlot::release_at` returns.
    ///
    /// `messages` is the number of messages that have been received. If this number has not changed since the last
    /// call, the inbox still waits for the rest of the same message.
    #[inline]
    pub(super) fn poll_due_reading(
        &mut self,
        cx: &mut Context<'_>,
        at: Option<Instant>,
        inbox: &mut InboxSlot,
        messages: u64,
    ) -> Poll<Instant> {
        if let Some(release) = inbox.release_at(self.now, messages) {
            // Do not set a timer for a time that has passed: it would wake the task for nothing.
            if release > self.now {
                let now = ready!(self.poll_due(cx, Some(at.map_or(release, |at| at.min(release)))));
                if at.is_some_and(|at| at <= now) {
                    return Poll::Ready(now);
                }
            }
            // The part of the message that has arrived is kept, with some free space. The inbox grows again when a read
            // needs more space.
            inbox.release_idle();
        }
        self.poll_due(cx, at)
    }
}
