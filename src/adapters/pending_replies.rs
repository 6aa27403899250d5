//! Replies to the peer that the receiving half of a split WebSocket stores for the sending half.
//!
//! The receiving half decodes a Ping or a Close, which must be answered, but it does not own the write queue. It stores
//! the reply here and continues to read. The task or thread that next holds the write queue applies all stored replies
//! with [`PendingReplies::apply`]. The receiving half also records here that input has arrived, because the sending
//! half owns the timers.
//!
//! Each adapter has its own lock for the write queue, and its own way to wake a thread or task that waits for this
//! lock.
//!
//! Invariants:
//! - The lock of the stored replies is held for a few instructions, and never during a call on a stream. So a slow
//!   write cannot delay the receiving half.
//! - At most [`MAX_REPLIES`] replies are stored. When the store is full the oldest Pong is dropped, which RFC 6455
//!   section 5.5.3 permits. A Close is never dropped while a Pong is stored.

use core::time::Duration;
use std::prelude::v1::*;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use super::lock::lock;
use super::sync::Mutex;
use crate::{Instant, Outbox, PendingReply, Sender, SendingHalf};

/// Maximum number of stored replies. If several Pings are unanswered, only the newest one must be answered (RFC 6455
/// section 5.5.3). So a small number is enough.
const MAX_REPLIES: usize = 8;

/// Replies to the peer, shared by the two halves of a split WebSocket.
#[derive(Debug)]
pub(super) struct PendingReplies {
    stored: Mutex<Stored>,
    /// True while `stored` contains replies. Lets the sending half skip the lock.
    non_empty: AtomicBool,
    /// The kind of input that has arrived since the sending half last applied the replies: [`NO_INPUT`], [`CONTROL`] or
    /// [`DATA`].
    new_input: AtomicU8,
    /// True if the receiving half has decoded everything that it has read, and has stored the replies.
    decoded_all: AtomicBool,
}

// Values of `PendingReplies::new_input`.
const NO_INPUT: u8 = 0;
const CONTROL: u8 = 1;
const DATA: u8 = 2;

/// The locked part of [`PendingReplies`].
#[derive(Debug, Default)]
struct Stored {
    replies: Vec<PendingReply>,
    /// The time from the last answered Ping to its Pong, as of the last [`apply`](PendingReplies::apply).
    round_trip: Option<Duration>,
}

impl PendingReplies {
    /// Creates an empty store for the halves of the connection that `sender` belongs to.
    pub(super) fn new(sender: &Sender<Outbox>) -> Self {
        let stored = Stored { round_trip: sender.round_trip(), ..Stored::default() };
        Self {
            stored: Mutex::new(stored),
            non_empty: AtomicBool::new(false),
            new_input: AtomicU8::new(NO_INPUT),
            decoded_all: AtomicBool::new(false),
        }
    }

    /// Records that input has arrived. `data` says whether the input contains data frames.
    ///
    /// The sending half owns the timers. Before the sending half handles timers, it calls [`apply`](Self::apply), which
    /// gets the time of the input.
    #[inline]
    pub(super) fn received(&self, data: bool) {
        if data {
            self.new_input.store(DATA, Ordering::Release);
        } else if self.new_input.load(Ordering::Relaxed) == NO_INPUT {
            self.new_input.store(CONTROL, Ordering::Release);
        }
    }

    /// Records whether the receiving half has decoded everything that it has read. Called after the replies to the
    /// decoded input were stored.
    pub(super) fn set_decoded_all(&self, decoded_all: bool) {
        self.decoded_all.store(decoded_all, Ordering::Release);
    }

    /// Returns whether the receiving half has decoded everything that it has read. If so, the next
    /// [`apply`](Self::apply) passes on the replies to all of this input.
    pub(super) fn decoded_all(&self) -> bool {
        self.decoded_all.load(Ordering::Acquire)
    }

    /// Stores a reply. If the store is full, drops the oldest Pong, or the oldest reply if no Pong is stored.
    pub(super) fn owe(&self, reply: PendingReply) {
        let mut stored = lock(&self.stored);
        if matches!(reply, PendingReply::PeerHalfClosed(_)) && stored.replies.contains(&reply) {
            // While a reader waits for the sending half, it stores this reply repeatedly. Only one copy is kept, so
            // that the copies do not displace a Close.
            return;
        }
        if stored.replies.len() == MAX_REPLIES {
            // RFC 6455 5.5.3: the Pong for an earlier Ping may be omitted. Another reply is dropped only if no Pong is
            // stored.
            let oldest = stored.replies.iter().position(|reply| matches!(reply, PendingReply::Pong(_)));
            stored.replies.remove(oldest.unwrap_or(0));
        }
        stored.replies.push(reply);
        self.non_empty.store(true, Ordering::Release);
    }

    /// Returns whether replies are stored.
    #[cfg(feature = "net")]
    pub(super) fn has_replies(&self) -> bool {
        self.non_empty.load(Ordering::Acquire)
    }

    /// Passes all stored replies to the sending half, and reports received input to its timers.
    ///
    /// `read_at` returns the time when input was last read. This time may be later than the real time of the read, up
    /// to `now`. If it were earlier, a timer would fire too soon.
    pub(super) fn apply(&self, half: &mut impl SendingHalf, now: Instant, read_at: impl Fn() -> Instant) {
        if self.new_input.load(Ordering::Relaxed) != NO_INPUT {
            let data = self.new_input.swap(NO_INPUT, Ordering::Acquire) == DATA;
            half.apply(read_at(), PendingReply::Received { data });
        }
        if !self.non_empty.load(Ordering::Acquire) {
            return;
        }
        let mut stored = lock(&self.stored);
        self.non_empty.store(false, Ordering::Release);
        for reply in stored.replies.drain(..) {
            let at = if matches!(reply, PendingReply::RoundTrip(_)) { read_at() } else { now };
            half.apply(at, reply);
        }
        stored.round_trip = half.sender().round_trip();
    }

    /// Returns the time from the last answered Ping to its Pong, as of the last [`apply`](Self::apply).
    pub(super) fn round_trip(&self) -> Option<Duration> {
        lock(&self.stored).round_trip
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CloseCode, CloseFrame, CloseReason, CloseState, Config, Connection, EofPosition};

    #[test]
    fn a_repeated_end_of_input_displaces_no_close() {
        let connection = Connection::server(Instant::ZERO, Config::new(), Outbox::new());
        let (_, mut sender) = connection.into_halves();
        let pending = PendingReplies::new(&sender);
        pending.owe(PendingReply::Close(CloseFrame {
            code: Some(CloseCode::NORMAL),
            reason: CloseReason::EMPTY,
        }));
        for _ in 0..2 * MAX_REPLIES {
            pending.owe(PendingReply::PeerHalfClosed(EofPosition::BetweenMessages));
        }
        pending.apply(&mut sender, Instant::ZERO, || Instant::ZERO);
        assert_eq!(sender.close_state(), CloseState::Both);
        assert!(sender.buffered_amount() > 0, "the answer to the Close is queued");
    }
}
