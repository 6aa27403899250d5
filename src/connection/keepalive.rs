//! The timers of a connection.

use core::time::Duration;

use super::config::Config;
use super::event::Timer;
use crate::time::{Instant, Term};

/// Never twice in one moment, whatever the configuration says.
const LEAST_INTERVAL: Term = Term::new(Some(Duration::from_millis(1)));

/// When what happened, as far as a timer asks for it. [`Instant::NEVER`] where it has not.
#[derive(Debug)]
pub(super) struct Keepalive {
    /// The last byte came in.
    received: Instant,
    /// Data last went either way.
    data: Instant,
    /// The newest Ping was sent, or the connection began.
    ping: Instant,
    /// Since when a Pong is waited for: from the oldest Ping that none has come for. Once it is closing, when that
    /// began.
    waiting: Instant,
    /// Of the last Ping that was answered, counted from the origin; never if none was.
    round_trip: Instant,
    /// What the newest Ping carries.
    tag: u32,
    /// What the last one that was written carries.
    written: u32,
    /// How many of our Pings were keepalive ones.
    count: u32,
    /// No Pong has come for that.
    unanswered: bool,
    /// The newest Ping has not been written yet.
    unwritten: bool,
    closing: bool,
}

/// What a timer wants done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Due {
    Ping,
    Expired(Timer),
    /// Memory for compression has not been used for a while.
    #[cfg(feature = "deflate")]
    Release,
}

impl Keepalive {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            received: now,
            data: now,
            ping: now,
            waiting: Instant::NEVER,
            round_trip: Instant::NEVER,
            tag: 0,
            written: 0,
            unanswered: false,
            count: 0,
            unwritten: false,
            closing: false,
        }
    }

    /// Something came in.
    #[inline]
    pub(super) fn received(&mut self, now: Instant, data: bool) {
        let now = now.min(Instant::LAST);
        self.received = now;
        if data {
            self.data = now;
        }
    }

    /// Data went out.
    pub(super) fn sent_data(&mut self, now: Instant) {
        self.data = now.min(Instant::LAST);
    }

    /// A Ping is queued.
    pub(super) fn ping_queued(&mut self, now: Instant, payload: &[u8]) {
        (self.tag, self.unwritten) = (tag(payload), true);
        self.ping_waits(now);
    }

    /// A keepalive Ping is due while one of ours still waits to be written: no other is needed.
    pub(super) fn ping_waits(&mut self, now: Instant) {
        self.ping = now.min(Instant::LAST);
        // Another Ping does not give a silent peer another term.
        if self.waiting == Instant::NEVER {
            self.waiting = self.ping;
        }
    }

    /// As long as the Ping waits behind what is being written, its time has not begun.
    pub(super) fn ping_moved(&mut self, now: Instant) {
        if self.waiting != Instant::NEVER {
            self.ping = now.min(Instant::LAST);
            if !self.unanswered && !self.closing {
                self.waiting = self.ping;
            }
        }
    }

    /// The newest Ping is written.
    pub(super) fn ping_written(&mut self) {
        (self.written, self.unanswered, self.unwritten) = (self.tag, true, false);
    }

    /// A keepalive Ping is due; gives its payload.
    pub(super) fn next_ping(&mut self, now: Instant) -> [u8; 4] {
        self.count = self.count.wrapping_add(1);
        let payload = self.count.to_be_bytes();
        self.ping_queued(now, &payload);
        payload
    }

    /// A Pong came in.
    pub(super) fn pong(&mut self, now: Instant, payload: &[u8]) {
        // RFC 6455 5.5.3: a Pong may come unasked, and only the last of several Pings may be answered.
        // One that comes before its Ping is written answers nothing.
        if self.unanswered && tag(payload) == self.written {
            self.unanswered = false;
            // Where another one waits to be written, its time begins.
            let (sent, waiting) =
                if self.unwritten { (self.waiting, self.ping) } else { (self.ping, Instant::NEVER) };
            if !self.closing {
                self.waiting = waiting;
            } else if self.unwritten {
                return;
            }
            self.round_trip = Instant::from_origin(now.saturating_duration_since(sent));
        }
    }

    #[cfg(feature = "deflate")]
    pub(super) const fn data(&self) -> Instant {
        self.data
    }

    pub(super) fn round_trip(&self) -> Option<Duration> {
        (self.round_trip != Instant::NEVER).then(|| self.round_trip.since_origin())
    }

    /// Closing begins: from here on its timer alone runs. A Pong may still come.
    pub(super) fn close(&mut self, now: Instant) {
        if !self.closing {
            (self.closing, self.waiting) = (true, now.min(Instant::LAST));
        }
    }

    /// The next deadline, [`Instant::NEVER`] if there is none, and what is due then.
    #[inline]
    pub(super) fn next(&self, config: &Config) -> (Instant, Due) {
        if self.closing {
            return (self.waiting + config.close_timeout, Due::Expired(Timer::Close));
        }
        let alive = if self.waiting != Instant::NEVER && config.pong_timeout != Term::NEVER {
            (self.received.max(self.waiting) + config.pong_timeout, Due::Expired(Timer::Pong))
        } else {
            (self.received.max(self.ping) + config.ping_interval.max(LEAST_INTERVAL), Due::Ping)
        };
        let idle = self.data + config.idle_timeout;
        if idle <= alive.0 { (idle, Due::Expired(Timer::Idle)) } else { alive }
    }
}

/// Thirty-two bits of a payload, enough to tell our own Pings apart (FNV-1a).
fn tag(payload: &[u8]) -> u32 {
    payload.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
