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
//! - A message that came in costs two stores of an instant and nothing else. What they mean is decided in
//!   [`next`](Timers::next), once a turn of the driver.
//! - A deadline that [`next`](Timers::next) gives has moved into the future once what was due is done.
//! - Memory is constant, whatever the peer or the application does: at most [`TRACKED`] Pings are remembered.

use core::time::Duration;

use crate::connection::config::Config;
use crate::connection::event::TimerKind;
use crate::time::{Instant, Term};

/// Shortest time between two keepalive Pings, so that an interval of zero does not spin.
const LEAST_INTERVAL: Term = Term::new(Some(Duration::from_millis(1)));

/// The time between the Close for a dead peer and the end of the connection. It is as short as the clock allows: a
/// driver writes what was queued and only then looks at the clock again, so the Close gets one write.
const ONE_WRITE: Term = Term::new(Some(Duration::from_nanos(1)));

/// How many times `pong_timeout` a peer is waited for in addition, as long as it takes what is written.
const MOST_EXTENSIONS: u8 = 3;

/// Number of unanswered Pings that are remembered: the oldest, the one after it, and the newest.
const TRACKED: usize = LAST_TRACKED as usize + 1;
/// The place of the newest of them.
const LAST_TRACKED: u8 = 2;

/// When what happened, as far as a timer asks for it.
#[derive(Debug)]
// What is stored with each message does not lie side by side: a compiler makes one store of two, and needs an instruction
// more to put the two together.
#[repr(C)]
pub(super) struct Timers {
    /// When a byte last came in. [`Instant::NEVER`] if the clock had come to its end, as it is not asked with each message.
    received: Instant,
    /// While keepalive and idle timers run: when a transport that had been full last took bytes. While the connection
    /// closes: when it ends at the latest.
    progress_or_end: Instant,
    /// When data last went either way; [`Instant::NEVER`] as above.
    data: Instant,
    /// From the last Ping that was answered to its Pong, counted from the origin; [`Instant::NEVER`] if none was.
    round_trip: Instant,
    pings: Pings,
}

/// What a timer wants done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Due {
    Ping,
    Expired(TimerKind),
    /// Memory for compression has not been used for a while.
    #[cfg(feature = "deflate")]
    Release,
}

impl Timers {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            received: now,
            progress_or_end: Instant::ZERO,
            data: now,
            round_trip: Instant::NEVER,
            pings: Pings::NONE,
        }
    }

    // --- what happened ---

    /// Bytes came in, with `data` or with control frames alone.
    #[inline]
    pub(super) fn received(&mut self, now: Instant, data: bool) {
        self.received = now;
        if data {
            self.data = now;
        }
    }

    /// Bytes came in that nobody has decoded yet. There may be data among them, and the Pong that is waited for: no timer
    /// may run out for the want of it, and the next Ping may go out.
    pub(super) fn received_unread(&mut self, now: Instant) {
        self.received(now, true);
        self.pings.presume_answered();
    }

    /// Data went out.
    pub(super) fn sent_data(&mut self, now: Instant) {
        self.data = now;
    }

    /// The transport, which had been full, has taken some bytes.
    ///
    /// The peer reads, so it is alive. But it is not known to answer: this puts off its death for a limited time only.
    pub(super) fn write_progressed(&mut self, now: Instant) {
        if !self.pings.marks.is_closing() {
            self.progress_or_end = now.min(Instant::LAST);
        }
    }

    /// A Ping is queued.
    pub(super) fn ping_queued(&mut self, now: Instant, payload: &[u8]) {
        self.pings.push(now.min(Instant::LAST), tag(payload));
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
        if let Some(sent) = self.pings.answer(tag(payload)) {
            self.round_trip = Instant::from_origin(now.saturating_duration_since(sent));
        }
    }

    /// A Close is queued: from here on only the closing timer runs. A Pong may still come.
    pub(super) fn close(&mut self, now: Instant, config: &Config) {
        if !self.pings.marks.is_closing() {
            self.end_at(now.min(Instant::LAST) + config.close_timeout);
        }
    }

    /// The peer is dead: there is nobody to close with.
    pub(super) fn end_after_one_write(&mut self, now: Instant) {
        self.end_at(now.min(Instant::LAST) + ONE_WRITE);
    }

    /// Nothing is left but that the peer ends the stream.
    pub(super) fn await_end(&mut self, now: Instant, config: &Config) {
        if self.pings.marks.is_closing() {
            let end = now.min(Instant::LAST) + config.end_timeout;
            self.progress_or_end = self.progress_or_end.min(end);
        }
    }

    fn end_at(&mut self, end: Instant) {
        self.pings.marks.set_closing();
        self.progress_or_end = end;
    }

    // --- getters ---

    /// The latest instant that is known to have passed: the clock of this connection has come at least so far.
    pub(super) fn latest(&self, config: &Config) -> Instant {
        let phase = match self.progress_or_end {
            Instant::NEVER if self.pings.marks.is_closing() => Instant::ZERO,
            end if self.pings.marks.is_closing() => end.saturating_sub(config.close_timeout),
            progress => progress,
        };
        // A Ping was queued or written by then, bytes came in, and data went one way or the other.
        let latest =
            phase.max(self.received).max(self.data).max(self.pings.newest().unwrap_or(Instant::ZERO));
        latest.min(Instant::LAST)
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
        if self.pings.marks.is_closing() {
            return (self.progress_or_end, Due::Expired(TimerKind::Close));
        }
        let received = self.received.min(Instant::LAST);
        let alive = match self.pings.oldest() {
            Some(oldest) if config.pong_timeout != Term::NEVER => {
                let silent_from = self.extended(received.max(oldest), config);
                (silent_from + config.pong_timeout, Due::Expired(TimerKind::Pong))
            }
            _ => {
                let silent_from = self.pings.newest().map_or(received, |newest| newest.max(received));
                (silent_from + config.ping_interval.max(LEAST_INTERVAL), Due::Ping)
            }
        };
        let idle = self.data.min(Instant::LAST) + config.idle_timeout;
        if idle <= alive.0 { (idle, Due::Expired(TimerKind::Idle)) } else { alive }
    }

    /// From when on the peer counts as silent, where no byte has come in since `silent_from`. The last write into a full
    /// transport puts it off.
    #[inline]
    fn extended(&self, silent_from: Instant, config: &Config) -> Instant {
        if self.progress_or_end <= silent_from {
            return silent_from;
        }
        let latest = (0..MOST_EXTENSIONS).fold(silent_from, |at, _| at + config.pong_timeout);
        self.progress_or_end.min(latest)
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
    marks: Marks,
    /// Number of keepalive Pings so far, modulo 256. It tells apart more of them than are tracked.
    count: u8,
}

/// Two numbers and a flag in a byte, because a connection is to stay small.
#[derive(Clone, Copy, Debug)]
struct Marks(u8);

impl Marks {
    const NONE: Self = Self(0);
    /// [`TRACKED`] fits into so many bits.
    const BITS: u8 = 2;
    const NUMBER: u8 = (1 << Self::BITS) - 1;
    const CLOSING: u8 = 1 << (2 * Self::BITS);

    /// Number of the last Pings that are not written.
    const fn unwritten(self) -> u8 {
        self.0 & Self::NUMBER
    }

    /// Number of the oldest Pings that may have been answered by bytes that are not decoded yet.
    const fn presumed(self) -> u8 {
        (self.0 >> Self::BITS) & Self::NUMBER
    }

    /// A Close is queued: only the closing timer runs.
    const fn is_closing(self) -> bool {
        self.0 & Self::CLOSING != 0
    }

    fn set_unwritten(&mut self, number: u8) {
        self.0 = self.0 & !Self::NUMBER | number.min(Self::NUMBER);
    }

    fn set_presumed(&mut self, number: u8) {
        self.0 = self.0 & !(Self::NUMBER << Self::BITS) | number.min(Self::NUMBER) << Self::BITS;
    }

    const fn set_closing(&mut self) {
        self.0 |= Self::CLOSING;
    }
}

impl Pings {
    const NONE: Self =
        Self { sent: [Instant::NEVER; TRACKED], tags: [0; TRACKED], marks: Marks::NONE, count: 0 };

    fn len(&self) -> usize {
        self.sent.iter().take_while(|sent| **sent != Instant::NEVER).count()
    }

    /// Number of those that are written.
    fn written(&self) -> usize {
        self.len().saturating_sub(usize::from(self.marks.unwritten()))
    }

    /// When the oldest one was sent that cannot have been answered yet, for all that is known.
    #[inline]
    fn oldest(&self) -> Option<Instant> {
        let place = usize::from(self.marks.presumed());
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

    /// A Ping is queued.
    fn push(&mut self, now: Instant, tag: u16) {
        let is_full = self.len() == TRACKED;
        let at = if is_full {
            // It takes the place of the newest, which was not written or may have been answered.
            self.marks.set_unwritten(self.marks.unwritten().saturating_sub(1));
            self.marks.set_presumed(self.marks.presumed().min(LAST_TRACKED));
            LAST_TRACKED.into()
        } else {
            self.len()
        };
        if let (Some(sent), Some(place)) = (self.sent.get_mut(at), self.tags.get_mut(at)) {
            (*sent, *place) = (now, tag);
            self.marks.set_unwritten(self.marks.unwritten() + 1);
        }
    }

    /// Those that were unwritten until now have been sent now; the last `left` of them still wait.
    fn put_off(&mut self, now: Instant, left: usize) {
        let waiting = self.written()..self.len();
        self.sent.get_mut(waiting).unwrap_or_default().fill(now);
        let left = u8::try_from(left).unwrap_or(u8::MAX);
        self.marks.set_unwritten(self.marks.unwritten().min(left));
    }

    /// All that are written may have been answered by bytes that are not decoded yet.
    fn presume_answered(&mut self) {
        self.marks.set_presumed(u8::try_from(self.written()).unwrap_or(u8::MAX));
    }

    /// A Pong came in; gives when the Ping that it answers was sent.
    fn answer(&mut self, tag: u16) -> Option<Instant> {
        // A Ping that is not written yet cannot have been answered.
        let at = self.tags.get(..self.written())?.iter().position(|known| *known == tag)?;
        let sent = *self.sent.get(at)?;
        // RFC 6455 5.5.3: the answer to a Ping stands for those before it.
        self.sent.get_mut(..=at)?.fill(Instant::NEVER);
        self.sent.rotate_left(at + 1);
        self.tags.rotate_left(at + 1);
        let answered = u8::try_from(at + 1).unwrap_or(u8::MAX);
        self.marks.set_presumed(self.marks.presumed().saturating_sub(answered));
        Some(sent)
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
        assert_eq!(timers.pings.oldest(), None);
    }

    #[test]
    fn writes_into_a_full_transport_extend_the_wait_by_at_most_three_timeouts() {
        let config = Config::new();
        let mut timers = waiting();
        let mut died = None;
        for second in 31..1000 {
            let (deadline, due) = timers.next(&config);
            assert_eq!(due, Due::Expired(TimerKind::Pong));
            if deadline <= at(second) {
                died = Some(second);
                break;
            }
            timers.write_progressed(at(second));
        }
        // Sent at 30, 30 of its own, three times 30 more.
        assert_eq!(died, Some(30 + 30 + 3 * 30));
    }

    #[test]
    fn bytes_from_the_peer_begin_the_wait_and_its_extension_again() {
        let config = Config::new();
        let mut timers = waiting();
        timers.write_progressed(at(59));
        timers.received(at(60), false);
        assert_eq!(timers.next(&config), (at(90), Due::Expired(TimerKind::Pong)));
        timers.write_progressed(at(65));
        assert_eq!(timers.next(&config), (at(95), Due::Expired(TimerKind::Pong)));
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
        assert_eq!(timers.next(&config), (at(119), Due::Expired(TimerKind::Pong)));
        // Once they are decoded, the round trip is that of the first one, and the second is still waited for.
        timers.pong(at(100), &[0, 0, 0, 1]);
        assert_eq!(timers.round_trip(), Some(SECOND * 70));
        assert_eq!(timers.next(&config), (at(119), Due::Expired(TimerKind::Pong)));
    }

    #[test]
    fn a_write_without_a_ping_on_the_way_extends_nothing() {
        let config = Config::new();
        let mut timers = Timers::new(Instant::ZERO);
        timers.write_progressed(at(20));
        assert_eq!(timers.next(&config), (at(30), Due::Ping));
        // Nor does it count for the Ping that goes out later.
        timers.next_ping(at(30));
        timers.pings_moved(at(30), 0);
        assert_eq!(timers.next(&config), (at(60), Due::Expired(TimerKind::Pong)));
    }

    #[test]
    fn a_clock_at_its_end_stops_no_timer() {
        let config = Config::new().pong_timeout(Some(Duration::ZERO)).idle_timeout(Some(Duration::ZERO));
        let mut timers = waiting();
        timers.received(Instant::NEVER, true);
        assert_eq!(timers.next(&config), (Instant::LAST, Due::Expired(TimerKind::Idle)));
        assert_eq!(timers.latest(&config), Instant::LAST);
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
