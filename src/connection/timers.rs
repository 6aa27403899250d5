//! The timers of a connection: the keepalive interval, and the timeouts for a Pong, for an idle connection and for
//! closing.
//!
//! [`Timers`] records when events happened, and computes the next deadline and the action that is due at this deadline.
//! It does not act itself: [`Sender::handle_timeout`](super::Sender::handle_timeout) carries out the action.
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
//! - No timer expires too early: each stored time is the time of its event or later.
//! - A received message costs two stores of a time and nothing else. The driver calls [`next`](Timers::next) once for
//!   many messages, and only that call computes the deadline.
//! - After the due action is carried out, its deadline lies in the future.
//! - Memory is constant, whatever the peer or the application does: at most [`TRACKED`] Pings are stored.

use core::time::Duration;

use crate::connection::config::Config;
use crate::connection::outcome::TimerKind;
use crate::time::{Instant, Term};

/// Shortest time between two keepalive Pings. Without it, an interval of zero would cause an endless loop.
const LEAST_INTERVAL: Term = Term::new(Some(Duration::from_millis(1)));

/// Time between the Close for a dead peer and the end of the connection: the shortest time that the clock can
/// represent. A driver writes the queued bytes before it reads the clock again. So the driver makes one attempt to
/// write the Close.
const ONE_WRITE: Term = Term::new(Some(Duration::from_nanos(1)));

/// Maximum number of additional `pong_timeout`s that the connection waits for a Pong while the peer reads.
const MAX_EXTENSIONS: u8 = 3;

/// Maximum number of unanswered Pings that are stored. The type [`Pings`] explains which Pings these are.
const TRACKED: usize = LAST_TRACKED as usize + 1;
/// Index of the newest stored Ping.
const LAST_TRACKED: u8 = 2;

/// The instants of past events from which deadlines are computed, and the unanswered Pings.
#[derive(Debug)]
// Each message stores a time in `received` and in `data`. The two fields are not adjacent. If they were, the compiler
// would combine the two stores into one store, and this store needs one instruction more.
#[repr(C)]
pub(super) struct Timers {
    /// When a byte was last received. The time is stored without a check, so it is [`Instant::NEVER`] if the clock has
    /// reached its end.
    received: Instant,
    /// Before closing: the last time at which a full transport accepted bytes again. While closing: when the connection
    /// ends at the latest. `is_closing` tells the two apart. One field for both keeps a connection small.
    progress_or_end: Instant,
    /// When data was last sent or received; [`Instant::NEVER`] if the clock has reached its end.
    data: Instant,
    /// Time from the last answered Ping to its Pong, stored as an instant that is this long after the origin;
    /// [`Instant::NEVER`] before the first Pong.
    round_trip: Instant,
    pings: Pings,
}

/// The action that is due at a deadline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Due {
    Ping,
    Expired(TimerKind),
    /// Free the memory for compression, because it was not used for `Compression::release_after`.
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

    /// Records that bytes were received. `data` says whether the bytes contained a part of a data frame.
    #[inline]
    pub(super) fn received(&mut self, now: Instant, data: bool) {
        self.received = now;
        if data {
            self.data = now;
        }
    }

    /// Records that bytes were received at `at`. Later events may already have been recorded.
    pub(super) fn received_earlier(&mut self, at: Instant, data: bool) {
        self.received = self.received.max(at);
        if data {
            self.data = self.data.max(at);
        }
    }

    /// Records that data was received. A later call of [`record_received`](Self::record_received) supplies the time.
    #[inline]
    pub(super) const fn defer_received(&mut self) {
        self.pings.marks.set_unrecorded(true);
    }

    /// Records that the data of [`defer_received`](Self::defer_received), if any, was received at `now` or before.
    #[inline]
    pub(super) fn record_received(&mut self, now: Instant) {
        if self.has_unrecorded_messages() {
            self.pings.marks.set_unrecorded(false);
            self.received(now, true);
        }
    }

    /// Records that bytes were received that are not decoded yet.
    ///
    /// The bytes may contain data and the expected Pong. So until all bytes are decoded, they count as data, and all
    /// Pings that were written earlier count as possibly answered. The Pong timeout of these Pings stops, and the next
    /// keepalive Ping may be sent.
    pub(super) fn received_undecoded(&mut self, now: Instant) {
        self.received(now, false);
        self.pings.marks.set_maybe_data(true);
        self.pings.presume_answered(now);
    }

    /// Records that a part of the bytes that were received at `at` is not decoded yet.
    ///
    /// This part may contain the expected Pong. So the Pong timeout of all Pings that were written before `at` stops,
    /// and the next keepalive Ping may be sent. The times of received bytes and of data do not change, because the
    /// decoded part has set these times.
    pub(super) fn received_undecoded_rest(&mut self, at: Instant) {
        self.pings.presume_answered(at);
    }

    /// Records that everything that was received is decoded, and that nothing else has arrived.
    ///
    /// So no undecoded bytes can contain a Pong. Pings that counted as possibly answered are unanswered again, and
    /// their Pong timeout continues. Received bytes that contained no data do not count as data any more.
    pub(super) fn all_decoded(&mut self) {
        self.pings.marks.set_maybe_answered_count(0);
        self.pings.marks.set_maybe_data(false);
    }

    /// Records that data was sent.
    pub(super) fn sent_data(&mut self, now: Instant) {
        self.data = now;
    }

    /// Records that a full transport has accepted bytes again.
    ///
    /// The write shows that the peer reads, but not that the peer answers. So the wait for a Pong is extended only by a
    /// limited time.
    pub(super) fn write_progressed(&mut self, now: Instant) {
        if !self.pings.marks.is_closing() {
            self.progress_or_end = now.min(Instant::LAST);
        }
    }

    /// Records that a Ping is queued.
    pub(super) fn ping_queued(&mut self, now: Instant, payload: &[u8]) {
        self.pings.push(now.min(Instant::LAST), hash_payload(payload));
    }

    /// Records that a keepalive Ping is due while another Ping is still queued. The queued Ping serves as the keepalive
    /// Ping.
    pub(super) fn ping_waits(&mut self, now: Instant) {
        self.pings.mark_sent(now.min(Instant::LAST), 1);
    }

    /// Records a write at a time when Pings were queued. `left` of them are still unwritten.
    ///
    /// The wait for a Pong begins when its Ping is written. So all Pings that were queued count as sent now.
    pub(super) fn pings_written(&mut self, now: Instant, left: usize) {
        self.pings.mark_sent(now.min(Instant::LAST), left);
    }

    /// Records that a keepalive Ping is queued, and returns its payload.
    pub(super) fn next_ping(&mut self, now: Instant) -> [u8; 4] {
        let payload = self.pings.next_payload();
        self.ping_queued(now, &payload);
        payload
    }

    /// Records that a Pong was received, and measures the round trip if the Pong answers a Ping.
    pub(super) fn pong(&mut self, now: Instant, payload: &[u8]) {
        // RFC 6455 5.5.3: a Pong may be unsolicited. A Pong answers a Ping only if it has the same payload.
        if let Some(sent) = self.pings.answer(hash_payload(payload)) {
            self.round_trip = Instant::from_origin(now.saturating_duration_since(sent));
        }
    }

    /// Records that a Close is queued. From now on only the close timeout runs. A Pong may still be received.
    pub(super) fn close(&mut self, now: Instant, config: &Config) {
        if !self.pings.marks.is_closing() {
            self.end_at(now.min(Instant::LAST) + config.close_timeout);
        }
    }

    /// Ends the connection after one write, because a dead peer does not answer the Close.
    pub(super) fn end_after_one_write(&mut self, now: Instant) {
        self.end_at(now.min(Instant::LAST) + ONE_WRITE);
    }

    /// Shortens the close timeout to `end_timeout`, because only the end of the stream is missing.
    pub(super) fn await_end(&mut self, now: Instant, config: &Config) {
        if self.pings.marks.is_closing() {
            let end = now.min(Instant::LAST) + config.end_timeout;
            self.progress_or_end = self.progress_or_end.min(end);
        }
    }

    /// Starts closing, which ends at `end` at the latest.
    fn end_at(&mut self, end: Instant) {
        self.pings.marks.set_closing();
        self.progress_or_end = end;
    }

    // --- getters ---

    /// Returns the latest stored time, which is not later than the latest time that was passed to this connection.
    pub(super) fn latest(&self, config: &Config) -> Instant {
        let progress_or_close = match self.progress_or_end {
            Instant::NEVER if self.pings.marks.is_closing() => Instant::ZERO,
            end if self.pings.marks.is_closing() => end.saturating_sub(config.close_timeout),
            progress => progress,
        };
        // Each of these instants is the current time of a call or earlier.
        let latest = progress_or_close
            .max(self.received)
            .max(self.data)
            .max(self.pings.newest().unwrap_or(Instant::ZERO));
        latest.min(Instant::LAST)
    }

    /// Returns whether data was received whose time is not known yet.
    #[inline]
    pub(super) const fn has_unrecorded_messages(&self) -> bool {
        self.pings.marks.has_unrecorded_messages()
    }

    #[cfg(feature = "deflate")]
    pub(super) const fn data(&self) -> Instant {
        self.data
    }

    pub(super) fn round_trip(&self) -> Option<Duration> {
        (self.round_trip != Instant::NEVER).then(|| self.round_trip.since_origin())
    }

    /// Returns the next deadline and the action that is due at this deadline. The deadline is [`Instant::NEVER`] if no
    /// timer runs.
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
        let data = if self.pings.marks.is_maybe_data() { self.data.max(self.received) } else { self.data };
        let idle = data.min(Instant::LAST) + config.idle_timeout;
        if idle <= alive.0 { (idle, Due::Expired(TimerKind::Idle)) } else { alive }
    }

    /// Returns the time from which the Pong timeout is counted. No byte was received since `silent_from`. If a full
    /// transport has accepted bytes since `silent_from`, the returned time is later than `silent_from`, by at most
    /// [`MAX_EXTENSIONS`] timeouts.
    #[inline]
    fn extended(&self, silent_from: Instant, config: &Config) -> Instant {
        if self.progress_or_end <= silent_from {
            return silent_from;
        }
        let latest = (0..MAX_EXTENSIONS).fold(silent_from, |at, _| at + config.pong_timeout);
        self.progress_or_end.min(latest)
    }
}

/// The unanswered Pings, in the order in which they were queued.
///
/// If there are more than [`TRACKED`] Pings, a new Ping replaces the newest stored Ping. But if all other stored Pings
/// count as possibly answered, the Ping before the newest stored Ping is dropped instead. So these Pings stay stored:
/// the oldest, the Ping that decides whether the peer is dead, and the newest. The deciding Ping is the oldest Ping
/// that does not count as possibly answered. The peer must answer only the newest Ping (RFC 6455 section 5.5.3).
#[derive(Debug)]
struct Pings {
    /// When each Ping was written, or when it was queued if it is not written yet. [`Instant::NEVER`] in entries that
    /// are not used.
    sent: [Instant; TRACKED],
    /// A hash of each Ping's payload.
    payload_hashes: [u16; TRACKED],
    marks: Marks,
    /// Number of keepalive Pings so far, modulo 256. This number is the payload of each keepalive Ping, so that a Pong
    /// can be matched with its Ping.
    count: u8,
}

/// Two counts of Pings and three flags in one byte, which keeps a connection small.
#[derive(Clone, Copy, Debug)]
struct Marks(u8);

impl Marks {
    const NONE: Self = Self(0);
    /// Number of bits that hold a count up to [`TRACKED`].
    const BITS: u8 = 2;
    /// Mask of one count.
    const NUMBER: u8 = (1 << Self::BITS) - 1;
    const CLOSING: u8 = 1 << (2 * Self::BITS);
    const UNRECORDED: u8 = Self::CLOSING << 1;
    const MAYBE_DATA: u8 = Self::UNRECORDED << 1;

    /// Returns how many of the newest Pings are not written yet.
    const fn unwritten_count(self) -> u8 {
        self.0 & Self::NUMBER
    }

    /// Returns how many of the oldest Pings may have been answered by bytes that are not decoded yet.
    const fn maybe_answered_count(self) -> u8 {
        (self.0 >> Self::BITS) & Self::NUMBER
    }

    /// Returns whether a Close was queued, so that only the close timeout runs.
    const fn is_closing(self) -> bool {
        self.0 & Self::CLOSING != 0
    }

    /// Returns whether data was received whose time is not known yet.
    const fn has_unrecorded_messages(self) -> bool {
        self.0 & Self::UNRECORDED != 0
    }

    /// Returns whether the last bytes that were received are not decoded yet, and may contain data.
    const fn is_maybe_data(self) -> bool {
        self.0 & Self::MAYBE_DATA != 0
    }

    fn set_unwritten_count(&mut self, number: u8) {
        self.0 = self.0 & !Self::NUMBER | number.min(Self::NUMBER);
    }

    fn set_maybe_answered_count(&mut self, number: u8) {
        self.0 = self.0 & !(Self::NUMBER << Self::BITS) | number.min(Self::NUMBER) << Self::BITS;
    }

    const fn set_closing(&mut self) {
        self.0 |= Self::CLOSING;
    }

    const fn set_unrecorded(&mut self, behind: bool) {
        self.0 = if behind { self.0 | Self::UNRECORDED } else { self.0 & !Self::UNRECORDED };
    }

    const fn set_maybe_data(&mut self, maybe: bool) {
        self.0 = if maybe { self.0 | Self::MAYBE_DATA } else { self.0 & !Self::MAYBE_DATA };
    }
}

impl Pings {
    const NONE: Self =
        Self { sent: [Instant::NEVER; TRACKED], payload_hashes: [0; TRACKED], marks: Marks::NONE, count: 0 };

    fn len(&self) -> usize {
        self.sent.iter().take_while(|sent| **sent != Instant::NEVER).count()
    }

    /// Returns how many Pings have been written.
    fn written(&self) -> usize {
        self.len().saturating_sub(usize::from(self.marks.unwritten_count()))
    }

    /// Returns the time at which the oldest Ping that does not count as possibly answered was sent.
    #[inline]
    fn oldest(&self) -> Option<Instant> {
        let first = usize::from(self.marks.maybe_answered_count());
        self.sent.get(first).copied().filter(|sent| *sent != Instant::NEVER)
    }

    /// Returns when the newest Ping was sent.
    fn newest(&self) -> Option<Instant> {
        self.sent.iter().copied().take_while(|sent| *sent != Instant::NEVER).last()
    }

    /// Returns the payload of the next keepalive Ping.
    fn next_payload(&mut self) -> [u8; 4] {
        self.count = self.count.wrapping_add(1);
        u32::from(self.count).to_be_bytes()
    }

    /// Adds a queued Ping.
    fn push(&mut self, now: Instant, payload_hash: u16) {
        let at = if self.len() < TRACKED {
            self.len()
        } else {
            // The two counts must not include the Ping that is dropped.
            let maybe_answered = self.marks.maybe_answered_count();
            if maybe_answered == LAST_TRACKED && maybe_answered > 0 {
                self.marks.set_maybe_answered_count(maybe_answered - 1);
                // Only the newest Ping does not count as possibly answered, so it must be kept.
                let [_, sent @ ..] = &mut self.sent;
                let [_, payload_hashes @ ..] = &mut self.payload_hashes;
                sent.rotate_left(1);
                payload_hashes.rotate_left(1);
            } else {
                self.marks.set_unwritten_count(self.marks.unwritten_count().saturating_sub(1));
                self.marks.set_maybe_answered_count(self.marks.maybe_answered_count().min(LAST_TRACKED));
            }
            LAST_TRACKED.into()
        };
        if let (Some(sent), Some(place)) = (self.sent.get_mut(at), self.payload_hashes.get_mut(at)) {
            (*sent, *place) = (now, payload_hash);
            self.marks.set_unwritten_count(self.marks.unwritten_count() + 1);
        }
    }

    /// Sets the time of all unwritten Pings to `now`. The last `left` Pings stay unwritten, and the other Pings count
    /// as written.
    fn mark_sent(&mut self, now: Instant, left: usize) {
        let waiting = self.written()..self.len();
        self.sent.get_mut(waiting).unwrap_or_default().fill(now);
        let left = u8::try_from(left).unwrap_or(u8::MAX);
        self.marks.set_unwritten_count(self.marks.unwritten_count().min(left));
    }

    /// Marks all Pings that were written at `at` or before as possibly answered by bytes that are not decoded yet.
    fn presume_answered(&mut self, at: Instant) {
        let written = self.sent.get(..self.written()).unwrap_or_default();
        let count = written.iter().take_while(|sent| **sent <= at).count();
        let count = u8::try_from(count).unwrap_or(u8::MAX).max(self.marks.maybe_answered_count());
        self.marks.set_maybe_answered_count(count);
    }

    /// Removes the Ping that a Pong answers, and all Pings before it. Returns when the answered Ping was sent.
    fn answer(&mut self, payload_hash: u16) -> Option<Instant> {
        // A Ping that is not written cannot have been answered.
        let at =
            self.payload_hashes.get(..self.written())?.iter().position(|known| *known == payload_hash)?;
        let sent = *self.sent.get(at)?;
        // RFC 6455 5.5.3: the answer to a Ping also answers the Pings before it.
        self.sent.get_mut(..=at)?.fill(Instant::NEVER);
        self.sent.rotate_left(at + 1);
        self.payload_hashes.rotate_left(at + 1);
        let answered = u8::try_from(at + 1).unwrap_or(u8::MAX);
        self.marks.set_maybe_answered_count(self.marks.maybe_answered_count().saturating_sub(answered));
        Some(sent)
    }
}

/// Hashes a payload to 16 bits (FNV-1a, folded). 16 bits are enough to tell our own Pings apart.
fn hash_payload(payload: &[u8]) -> u16 {
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

    /// Returns timers whose first Ping was sent at `at(30)`.
    fn timers_with_a_ping_sent() -> Timers {
        let mut timers = Timers::new(Instant::ZERO);
        let payload = timers.next_ping(at(30));
        assert_eq!(payload, [0, 0, 0, 1]);
        timers.pings_written(at(30), 0);
        timers
    }

    #[test]
    fn s5_5_3_a_pong_for_any_unanswered_ping_gives_the_round_trip() {
        // A Ping is sent every second, and the round trip takes 1.5 seconds.
        let mut timers = Timers::new(Instant::ZERO);
        for second in 0..100 {
            if second >= 2 {
                timers.pong(at(second) + SECOND / 2, &u32::to_be_bytes(second - 1));
                assert_eq!(timers.round_trip(), Some(SECOND + SECOND / 2), "{second}");
            }
            timers.ping_queued(at(second + 1), &u32::to_be_bytes(second + 1));
            timers.pings_written(at(second + 1), 0);
        }
    }

    #[test]
    fn s5_5_3_pings_after_undecoded_input_do_not_move_the_deadline_of_the_first_of_them() {
        let config = Config::new();
        let mut timers = Timers::new(Instant::ZERO);
        let ping = |timers: &mut Timers, second: u32| {
            timers.ping_queued(at(second), &second.to_be_bytes());
            timers.pings_written(at(second), 0);
        };
        for second in [0, 5, 10] {
            ping(&mut timers, second);
        }
        timers.received_undecoded(at(10));
        for second in [30, 35, 40, 45] {
            ping(&mut timers, second);
            assert_eq!(timers.next(&config), (at(60), Due::Expired(TimerKind::Pong)), "{second}");
        }
        // The input contained no Pong.
        timers.all_decoded();
        assert!(timers.next(&config).0 <= at(60));
        // The oldest Ping is still known.
        timers.pong(at(46), &[0; 4]);
        assert_eq!(timers.round_trip(), Some(SECOND * 46));
    }

    #[test]
    fn s5_5_3_a_thousand_unanswered_pings_take_constant_memory_and_give_a_round_trip() {
        let mut timers = Timers::new(Instant::ZERO);
        for n in 0..1000_u32 {
            timers.ping_queued(at(n), &n.to_be_bytes());
            timers.pings_written(at(n), 0);
        }
        timers.pong(at(1000), &0_u32.to_be_bytes());
        assert_eq!(timers.round_trip(), Some(SECOND * 1000));
        // After that, only the newest Ping is answered.
        timers.pong(at(1001), &999_u32.to_be_bytes());
        assert_eq!(timers.round_trip(), Some(SECOND * 2));
        assert_eq!(timers.pings.oldest(), None);
    }

    #[test]
    fn writes_into_a_full_transport_extend_the_wait_by_at_most_three_timeouts() {
        let config = Config::new();
        let mut timers = timers_with_a_ping_sent();
        let mut died_at = None;
        for second in 31..1000 {
            let (deadline, due) = timers.next(&config);
            assert_eq!(due, Due::Expired(TimerKind::Pong));
            if deadline <= at(second) {
                died_at = Some(second);
                break;
            }
            timers.write_progressed(at(second));
        }
        // The Ping was sent at 30 s. The timeout is 30 s, and the wait is extended by at most three more timeouts.
        assert_eq!(died_at, Some(30 + 30 + 3 * 30));
    }

    #[test]
    fn bytes_from_the_peer_restart_the_wait_and_its_extension() {
        let config = Config::new();
        let mut timers = timers_with_a_ping_sent();
        timers.write_progressed(at(59));
        timers.received(at(60), false);
        assert_eq!(timers.next(&config), (at(90), Due::Expired(TimerKind::Pong)));
        timers.write_progressed(at(65));
        assert_eq!(timers.next(&config), (at(95), Due::Expired(TimerKind::Pong)));
    }

    #[test]
    fn s5_5_3_bytes_that_are_not_decoded_yet_may_hold_the_pong() {
        let config = Config::new();
        let mut timers = timers_with_a_ping_sent();
        // The bytes are received just before the timeout, and may contain the Pong.
        timers.received_undecoded(at(59));
        assert_eq!(timers.next(&config), (at(89), Due::Ping));
        // Nothing was received since the next Ping was sent, so this Ping is unanswered.
        timers.next_ping(at(89));
        timers.pings_written(at(89), 0);
        assert_eq!(timers.next(&config), (at(119), Due::Expired(TimerKind::Pong)));
        // When the bytes are decoded, the Pong to the first Ping gives the round trip. The second Ping is unanswered.
        timers.pong(at(100), &[0, 0, 0, 1]);
        assert_eq!(timers.round_trip(), Some(SECOND * 70));
        assert_eq!(timers.next(&config), (at(119), Due::Expired(TimerKind::Pong)));
    }

    #[test]
    fn bytes_that_are_not_decoded_yet_may_hold_data() {
        let config = Config::new().idle_timeout(Some(SECOND * 20)).ping_interval(None);
        let mut timers = Timers::new(Instant::ZERO);
        let idle = |second| (at(second), Due::Expired(TimerKind::Idle));
        timers.received_undecoded(at(10));
        assert_eq!(timers.next(&config), idle(30));
        timers.received_undecoded(at(15));
        assert_eq!(timers.next(&config), idle(35));
        // The bytes held no data.
        timers.all_decoded();
        assert_eq!(timers.next(&config), idle(20));
        // The bytes held data, which counts from the time when it was decoded.
        timers.received_undecoded(at(16));
        timers.received(at(17), true);
        timers.all_decoded();
        assert_eq!(timers.next(&config), idle(37));
    }

    #[test]
    fn s5_5_3_undecoded_bytes_behind_others_may_hold_the_pong() {
        let config = Config::new().idle_timeout(Some(SECOND * 100));
        let mut timers = timers_with_a_ping_sent();
        timers.received(at(59), false);
        // A rest that was received before the Ping was written cannot contain its Pong.
        timers.received_undecoded_rest(at(29));
        assert_eq!(timers.next(&config), (at(89), Due::Expired(TimerKind::Pong)));
        // A rest that was received after the Ping may contain the Pong, but does not count as data.
        timers.received_undecoded_rest(at(59));
        assert_eq!(timers.next(&config), (at(89), Due::Ping));
        assert_eq!(timers.data, Instant::ZERO);
        // The next Ping is written after the rest was received, so the rest cannot contain its Pong.
        timers.next_ping(at(89));
        timers.pings_written(at(89), 0);
        timers.received_undecoded_rest(at(59));
        assert_eq!(timers.next(&config), (at(100), Due::Expired(TimerKind::Idle)));
        assert_eq!(timers.next(&Config::new()), (at(119), Due::Expired(TimerKind::Pong)));
    }

    #[test]
    fn a_write_without_an_unanswered_ping_extends_nothing() {
        let config = Config::new();
        let mut timers = Timers::new(Instant::ZERO);
        timers.write_progressed(at(20));
        assert_eq!(timers.next(&config), (at(30), Due::Ping));
        // The write also does not extend the wait for a Ping that is sent later.
        timers.next_ping(at(30));
        timers.pings_written(at(30), 0);
        assert_eq!(timers.next(&config), (at(60), Due::Expired(TimerKind::Pong)));
    }

    #[test]
    fn timers_expire_at_the_end_of_the_clock() {
        let config = Config::new().pong_timeout(Some(Duration::ZERO)).idle_timeout(Some(Duration::ZERO));
        let mut timers = timers_with_a_ping_sent();
        timers.received(Instant::NEVER, true);
        assert_eq!(timers.next(&config), (Instant::LAST, Due::Expired(TimerKind::Idle)));
        assert_eq!(timers.latest(&config), Instant::LAST);
    }

    #[test]
    fn the_end_timeout_never_extends_the_close_timeout() {
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
    fn the_latest_instant_is_not_in_the_future_and_lags_by_at_most_the_close_timeout() {
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
    fn timers_take_at_most_64_bytes() {
        assert!(size_of::<Timers>() <= 64, "{}", size_of::<Timers>());
    }
}
