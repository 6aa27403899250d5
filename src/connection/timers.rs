//! The timers of a connection: keepalive Pings, the wait for a Pong, idleness and closing.
//!
//! [`Timers`] is told what happened and when, and gives the next deadline with what is due then. It queues nothing
//! itself: [`Sender::handle_timeout`](super::Sender::handle_timeout) does what is due.
//!
//! ```text
//!             silence for ping_interval                      silence for pong_timeout
//!   (alive) ────────────────────────────▶ Ping, (waiting) ────────────────────────────▶ 1011, (closing)
//!      ▲                                       │   │ ▲
//!      └──────────────── Pong ─────────────────┘   └─┘ any byte from the peer: the wait begins again;
//!                                                      a write into a full transport: at most 3 × pong_timeout more
//! ```
//!
//! Invariants:
//! - No timer fires early: each instant that is kept is at or after the moment at which the thing happened.
//! - A deadline that [`next`](Timers::next) gives has moved into the future once what was due is done.
//! - Memory is constant, whatever the peer or the application does: at most [`TRACKED`] Pings are remembered.

use core::time::Duration;

use super::config::Config;
use super::event::Timer;
use crate::time::{Instant, Term};

/// Shortest time between two keepalive Pings, so that an interval of zero does not spin.
const LEAST_INTERVAL: Term = Term::new(Some(Duration::from_millis(1)));

/// The time between the Close for a dead peer and the end of the connection. It is as short as the clock allows: a
/// driver writes what was queued and only then looks at the clock again, so the Close gets one write.
const ONE_WRITE: Term = Term::new(Some(Duration::from_nanos(1)));

/// How many times `pong_timeout` a peer is waited for in addition, as long as it takes what is written.
const MOST_EXTENSIONS: u8 = 3;

/// Number of unanswered Pings that are remembered: the oldest, the one after it, and the newest.
const TRACKED: usize = 3;

/// When what happened, as far as a timer asks for it.
#[derive(Debug)]
pub(super) struct Timers {
    phase: Phase,
    /// When data last went either way.
    data: Instant,
    /// From the last Ping that was answered to its Pong, counted from the origin; [`Instant::NEVER`] if none was.
    round_trip: Instant,
    pings: Pings,
}

/// Which timers run.
#[derive(Debug)]
enum Phase {
    /// Keepalive and idle.
    Open {
        /// When a byte last came in.
        received: Instant,
        /// Time by which writes into a full transport have put off the death of the peer since the wait for a Pong
        /// began or a byte last came in.
        extension: Extension,
        /// How many of the oldest Pings may have been answered by bytes that are not decoded yet.
        presumed: u8,
    },
    /// Closing, until the connection ends at the latest.
    Closing { until: Instant },
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

impl Timers {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            phase: Phase::Open { received: now, extension: Extension::NONE, presumed: 0 },
            data: now,
            round_trip: Instant::NEVER,
            pings: Pings::NONE,
        }
    }

    // --- what happened ---

    /// Bytes came in, with `data` or with control frames alone.
    #[inline]
    pub(super) fn received(&mut self, now: Instant, data: bool) {
        let now = now.min(Instant::LAST);
        if let Phase::Open { received, extension, .. } = &mut self.phase {
            (*received, *extension) = (now, Extension::NONE);
        }
        if data {
            self.data = now;
        }
    }

    /// Bytes came in that nobody has decoded yet. There may be data among them, and the Pong that is waited for: no timer
    /// may run out for the want of it, and the next Ping may go out.
    pub(super) fn received_unread(&mut self, now: Instant) {
        self.received(now, true);
        if let Phase::Open { presumed, .. } = &mut self.phase {
            *presumed = u8::try_from(self.pings.written()).unwrap_or(u8::MAX);
        }
    }

    /// Data went out.
    pub(super) fn sent_data(&mut self, now: Instant) {
        self.data = now.min(Instant::LAST);
    }

    /// The transport, which had been full, has taken some bytes.
    ///
    /// The peer reads, so it is alive. But it is not known to answer: this puts off its death for a limited time only.
    pub(super) fn write_progressed(&mut self, now: Instant, config: &Config) {
        let oldest = self.oldest_ping();
        if let (Phase::Open { received, extension, .. }, Some(oldest)) = (&mut self.phase, oldest) {
            let silent = now.saturating_duration_since((*received).max(oldest));
            *extension = Extension::new(silent, config.pong_timeout);
        }
    }

    /// A Ping is queued.
    pub(super) fn ping_queued(&mut self, now: Instant, payload: &[u8]) {
        if self.pings.push(now.min(Instant::LAST), tag(payload)) {
            self.forget_presumed(TRACKED - 1);
        }
    }

    /// A keepalive Ping is due while one of ours still waits to be written: no other is needed.
    pub(super) fn ping_waits(&mut self, now: Instant) {
        self.pings.put_off(now.min(Instant::LAST), 1);
    }

    /// Bytes were written while Pings waited, of which `left` are still unwritten.
    ///
    /// As long as a Ping waits behind what is being written, its time has not begun.
    pub(super) fn pings_moved(&mut self, now: Instant, left: usize) {
        self.pings.put_off(now.min(Instant::LAST), left);
    }

    /// A keepalive Ping is due; gives its payload.
    pub(super) fn next_ping(&mut self, now: Instant) -> [u8; 4] {
        let payload = self.pings.next_payload();
        self.ping_queued(now, &payload);
        payload
    }

    /// A Pong came in.
    pub(super) fn pong(&mut self, now: Instant, payload: &[u8]) {
        // RFC 6455 5.5.3: a Pong may come unasked, and answers one of our Pings only if it carries its payload.
        if let Some((sent, answered)) = self.pings.answer(tag(payload)) {
            self.round_trip = Instant::from_origin(now.saturating_duration_since(sent));
            if let Phase::Open { presumed, .. } = &mut self.phase {
                *presumed = presumed.saturating_sub(answered);
            }
        }
    }

    /// Of the Pings that may have been answered, no more than `most` are still among those that are tracked.
    fn forget_presumed(&mut self, most: usize) {
        if let Phase::Open { presumed, .. } = &mut self.phase {
            *presumed = (*presumed).min(u8::try_from(most).unwrap_or(u8::MAX));
        }
    }

    /// When the oldest Ping was sent that cannot have been answered yet, for all that is known.
    #[inline]
    fn oldest_ping(&self) -> Option<Instant> {
        match self.phase {
            Phase::Open { presumed, .. } => self.pings.sent_at(presumed.into()),
            Phase::Closing { .. } => None,
        }
    }

    /// A Close is queued: from here on only the closing timer runs. A Pong may still come.
    pub(super) fn close(&mut self, now: Instant, config: &Config) {
        if matches!(self.phase, Phase::Open { .. }) {
            self.phase = Phase::Closing { until: now.min(Instant::LAST) + config.close_timeout };
        }
    }

    /// The peer is dead: there is nobody to close with.
    pub(super) fn end_after_one_write(&mut self, now: Instant) {
        self.phase = Phase::Closing { until: now.min(Instant::LAST) + ONE_WRITE };
    }

    /// Nothing is left but that the peer ends the stream.
    pub(super) fn await_end(&mut self, now: Instant, config: &Config) {
        if let Phase::Closing { until } = &mut self.phase {
            *until = (*until).min(now.min(Instant::LAST) + config.end_timeout);
        }
    }

    // --- getters ---

    /// The latest instant that is known to have passed: the clock of this connection has come at least so far.
    pub(super) fn latest(&self, config: &Config) -> Instant {
        let phase = match &self.phase {
            Phase::Open { received, .. } => *received,
            Phase::Closing { until } if *until == Instant::NEVER => Instant::ZERO,
            Phase::Closing { until } => until.saturating_sub(config.close_timeout),
        };
        // A Ping was queued or written by then, and data went one way or the other.
        phase.max(self.data).max(self.pings.newest().unwrap_or(Instant::ZERO))
    }

    #[cfg(feature = "deflate")]
    pub(super) const fn data(&self) -> Instant {
        self.data
    }

    pub(super) fn round_trip(&self) -> Option<Duration> {
        (self.round_trip != Instant::NEVER).then(|| self.round_trip.since_origin())
    }

    /// The next deadline, [`Instant::NEVER`] if there is none, and what is due then.
    #[inline]
    pub(super) fn next(&self, config: &Config) -> (Instant, Due) {
        let (received, extension) = match &self.phase {
            Phase::Open { received, extension, .. } => (*received, *extension),
            Phase::Closing { until } => return (*until, Due::Expired(Timer::Close)),
        };
        let alive = match self.oldest_ping() {
            Some(oldest) if config.pong_timeout != Term::NEVER => {
                let silent_from = received.max(oldest) + extension.duration();
                (silent_from + config.pong_timeout, Due::Expired(Timer::Pong))
            }
            _ => {
                let silent_from = self.pings.newest().map_or(received, |newest| newest.max(received));
                (silent_from + config.ping_interval.max(LEAST_INTERVAL), Due::Ping)
            }
        };
        let idle = self.data + config.idle_timeout;
        if idle <= alive.0 { (idle, Due::Expired(Timer::Idle)) } else { alive }
    }
}

/// The unanswered Pings, in the order in which they were queued.
///
/// Where there are more than [`TRACKED`], the newest takes the place of the one before. So the oldest, which decides
/// whether the peer is dead, and the newest, which alone must be answered (RFC 6455 section 5.5.3), are always known.
#[derive(Debug)]
struct Pings {
    /// When each was written, or queued if it waits; [`Instant::NEVER`] behind the last one.
    sent: [Instant; TRACKED],
    /// A hash of what each carries.
    tags: [u16; TRACKED],
    /// How many of the last ones are not written.
    unwritten: u8,
    /// Number of keepalive Pings so far, modulo 256. It tells apart more of them than are tracked.
    count: u8,
}

impl Pings {
    const NONE: Self = Self { sent: [Instant::NEVER; TRACKED], tags: [0; TRACKED], unwritten: 0, count: 0 };

    fn len(&self) -> usize {
        self.sent.iter().take_while(|sent| **sent != Instant::NEVER).count()
    }

    /// Number of those that are written.
    fn written(&self) -> usize {
        self.len().saturating_sub(usize::from(self.unwritten))
    }

    /// When the one at `place`, counted from the oldest, was sent.
    #[inline]
    fn sent_at(&self, place: usize) -> Option<Instant> {
        self.sent.get(place).copied().filter(|sent| *sent != Instant::NEVER)
    }

    /// When the newest one was sent.
    fn newest(&self) -> Option<Instant> {
        self.sent.iter().copied().take_while(|sent| *sent != Instant::NEVER).last()
    }

    /// The payload of the next keepalive Ping.
    fn next_payload(&mut self) -> [u8; 4] {
        self.count = self.count.wrapping_add(1);
        u32::from(self.count).to_be_bytes()
    }

    /// A Ping is queued; whether it takes the place of another.
    fn push(&mut self, now: Instant, tag: u16) -> bool {
        let is_full = self.len() == TRACKED;
        let at = if is_full {
            self.unwritten -= self.unwritten.min(1);
            TRACKED - 1
        } else {
            self.len()
        };
        if let (Some(sent), Some(place)) = (self.sent.get_mut(at), self.tags.get_mut(at)) {
            (*sent, *place) = (now, tag);
            self.unwritten += 1;
        }
        is_full
    }

    /// Those that were unwritten until now have been sent now; the last `left` of them still wait.
    fn put_off(&mut self, now: Instant, left: usize) {
        let waiting = self.written()..self.len();
        self.sent.get_mut(waiting).unwrap_or_default().fill(now);
        self.unwritten = self.unwritten.min(u8::try_from(left).unwrap_or(u8::MAX));
    }

    /// A Pong came in; gives when the Ping that it answers was sent, and how many it answers.
    fn answer(&mut self, tag: u16) -> Option<(Instant, u8)> {
        // A Ping that is not written yet cannot have been answered.
        let at = self.tags.get(..self.written())?.iter().position(|known| *known == tag)?;
        let sent = *self.sent.get(at)?;
        // RFC 6455 5.5.3: the answer to a Ping stands for those before it.
        self.sent.get_mut(..=at)?.fill(Instant::NEVER);
        self.sent.rotate_left(at + 1);
        self.tags.rotate_left(at + 1);
        Some((sent, u8::try_from(at + 1).unwrap_or(u8::MAX)))
    }
}

/// A time span in units of 2^16 ns, about 66 µs, rounded down: four bytes that last for 78 hours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Extension(u32);

impl Extension {
    const NONE: Self = Self(0);
    const UNIT: u32 = 16;

    /// `silent`, but at most [`MOST_EXTENSIONS`] times `timeout`.
    fn new(silent: Duration, timeout: Term) -> Self {
        let most = timeout
            .duration()
            .map_or(Duration::MAX, |timeout| timeout.saturating_mul(u32::from(MOST_EXTENSIONS)));
        Self(u32::try_from(silent.min(most).as_nanos() >> Self::UNIT).unwrap_or(u32::MAX))
    }

    fn duration(self) -> Duration {
        Duration::from_nanos(u64::from(self.0) << Self::UNIT)
    }
}

/// Sixteen bits of a payload, enough to tell our own Pings apart (FNV-1a, folded).
fn tag(payload: &[u8]) -> u16 {
    let hash = payload
        .iter()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    let [a, b, c, d] = hash.to_be_bytes();
    u16::from_be_bytes([a ^ c, b ^ d])
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u32) -> Instant {
        Instant::ZERO + SECOND * seconds
    }

    /// Timers whose first Ping went out at `at(30)`.
    fn waiting() -> Timers {
        let mut timers = Timers::new(Instant::ZERO);
        let payload = timers.next_ping(at(30));
        assert_eq!(payload, [0, 0, 0, 1]);
        timers.pings_moved(at(30), 0);
        timers
    }

    #[test]
    fn s5_5_3_a_pong_for_any_unanswered_ping_gives_the_round_trip() {
        // One Ping a second, and a round trip of a second and a half.
        let mut timers = Timers::new(Instant::ZERO);
        for second in 0..100 {
            if second >= 2 {
                timers.pong(at(second) + SECOND / 2, &u32::to_be_bytes(second - 1));
                assert_eq!(timers.round_trip(), Some(SECOND + SECOND / 2), "{second}");
            }
            timers.ping_queued(at(second + 1), &u32::to_be_bytes(second + 1));
            timers.pings_moved(at(second + 1), 0);
        }
    }

    #[test]
    fn s5_5_3_a_thousand_pings_on_the_way_take_constant_memory_and_still_give_a_round_trip() {
        let mut timers = Timers::new(Instant::ZERO);
        for n in 0..1000_u32 {
            timers.ping_queued(at(n), &n.to_be_bytes());
            timers.pings_moved(at(n), 0);
        }
        timers.pong(at(1000), &0_u32.to_be_bytes());
        assert_eq!(timers.round_trip(), Some(SECOND * 1000));
        // Only the newest is answered.
        timers.pong(at(1001), &999_u32.to_be_bytes());
        assert_eq!(timers.round_trip(), Some(SECOND * 2));
        assert_eq!(timers.oldest_ping(), None);
    }

    #[test]
    fn writes_into_a_full_transport_extend_the_wait_by_at_most_three_timeouts() {
        let config = Config::new();
        let mut timers = waiting();
        let mut died = None;
        for second in 31..1000 {
            let (deadline, due) = timers.next(&config);
            assert_eq!(due, Due::Expired(Timer::Pong));
            if deadline <= at(second) {
                died = Some(second);
                break;
            }
            timers.write_progressed(at(second), &config);
        }
        // Sent at 30, 30 of its own, three times 30 more; what is rounded down is less than a second.
        assert_eq!(died, Some(30 + 30 + 3 * 30));
    }

    #[test]
    fn bytes_from_the_peer_begin_the_wait_and_its_extension_again() {
        let config = Config::new();
        let mut timers = waiting();
        timers.write_progressed(at(59), &config);
        timers.received(at(60), false);
        assert_eq!(timers.next(&config), (at(90), Due::Expired(Timer::Pong)));
        timers.write_progressed(at(65), &config);
        let (deadline, _) = timers.next(&config);
        assert!(deadline > at(94) && deadline <= at(95), "{deadline:?}");
    }

    #[test]
    fn s5_5_3_bytes_that_are_not_decoded_yet_may_hold_the_pong() {
        let config = Config::new();
        let mut timers = waiting();
        // They came just before the peer would have been given up, and hold the Pong.
        timers.received_unread(at(59));
        assert_eq!(timers.next(&config), (at(89), Due::Ping));
        // The next Ping is not answered: that is known by what has not come since.
        timers.next_ping(at(89));
        timers.pings_moved(at(89), 0);
        assert_eq!(timers.next(&config), (at(119), Due::Expired(Timer::Pong)));
        // Once they are decoded, the round trip is that of the first one, and the second is still waited for.
        timers.pong(at(100), &[0, 0, 0, 1]);
        assert_eq!(timers.round_trip(), Some(SECOND * 70));
        assert_eq!(timers.next(&config), (at(119), Due::Expired(Timer::Pong)));
    }

    #[test]
    fn a_write_without_a_ping_on_the_way_extends_nothing() {
        let config = Config::new();
        let mut timers = Timers::new(Instant::ZERO);
        timers.write_progressed(at(20), &config);
        assert_eq!(timers.next(&config), (at(30), Due::Ping));
    }

    #[test]
    fn the_wait_for_the_end_is_never_longer_than_the_one_for_closing() {
        let config = Config::new().close_timeout(Some(SECOND * 10)).end_timeout(Some(SECOND * 2));
        let mut timers = Timers::new(Instant::ZERO);
        timers.close(at(5), &config);
        assert_eq!(timers.next(&config).0, at(15));
        timers.await_end(at(14), &config);
        assert_eq!(timers.next(&config).0, at(15));
        timers.await_end(at(6), &config);
        assert_eq!(timers.next(&config).0, at(8));
    }

    #[test]
    fn the_latest_instant_is_never_later_than_what_happened_and_close_to_it() {
        let config = Config::new();
        let mut timers = Timers::new(at(5));
        assert_eq!(timers.latest(&config), at(5));
        timers.received(at(7), false);
        assert_eq!(timers.latest(&config), at(7));
        timers.ping_queued(at(9), b"");
        assert_eq!(timers.latest(&config), at(9));
        timers.close(at(3600), &config);
        assert_eq!(timers.latest(&config), at(3600));
        timers.await_end(at(3601), &config);
        let latest = timers.latest(&config);
        assert!(latest <= at(3601) && latest >= at(3601 - 10), "{latest:?}");
    }

    #[test]
    fn only_so_many_bytes() {
        assert!(size_of::<Timers>() <= 64, "{}", size_of::<Timers>());
    }
}
