//! Between the halves of a WebSocket: where receiving leaves what it has to tell.

use core::time::Duration;
use std::prelude::v1::*;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use super::lock::lock;
use super::sync::Mutex;
#[cfg(feature = "net")]
use crate::EofPosition;
use crate::{Instant, Outbox, PendingReply, Sender};

/// The most answers that wait while nobody sends. Of several Pongs the newest alone must be sent (RFC 6455
/// section 5.5.3).
const MOST_OWED: usize = 8;

/// Where receiving leaves what it has to tell, for whoever sends next, and where it is never kept waiting:
/// what is locked here is locked for a few instructions.
#[derive(Debug)]
pub(super) struct PendingReplies {
    owing: Mutex<Owing>,
    /// Something lies here.
    taken: AtomicBool,
    /// Whether something came in: [`NOTHING`], [`CONTROL`] or [`DATA`].
    came: AtomicU8,
}

const NOTHING: u8 = 0;
const CONTROL: u8 = 1;
const DATA: u8 = 2;

#[derive(Debug, Default)]
struct Owing {
    owed: Vec<PendingReply>,
    round_trip: Option<Duration>,
    /// No more input will come, which the sending half does not know yet.
    #[cfg(feature = "net")]
    input_ended: Option<EofPosition>,
}

impl PendingReplies {
    pub(super) fn new(sender: &Sender<Outbox>) -> Self {
        let owing = Owing { round_trip: sender.round_trip(), ..Owing::default() };
        Self { owing: Mutex::new(owing), taken: AtomicBool::new(false), came: AtomicU8::new(NOTHING) }
    }

    /// Something came in, and whether there was data in it. It counts as of the time when the desk is cleared, which
    /// is later than it came, so that no timer is early; and whoever looks after timers clears the desk before.
    #[inline]
    pub(super) fn received(&self, data: bool) {
        if data {
            self.came.store(DATA, Ordering::Release);
        } else if self.came.load(Ordering::Relaxed) == NOTHING {
            self.came.store(CONTROL, Ordering::Release);
        }
    }

    /// Something is owed to the peer.
    pub(super) fn owe(&self, owed: PendingReply) {
        let mut owing = lock(&self.owing);
        if owing.owed.len() == MOST_OWED {
            // The oldest Pong; anything else only where there is none.
            let oldest = owing.owed.iter().position(|owed| matches!(owed, PendingReply::Pong(_)));
            owing.owed.remove(oldest.unwrap_or(0));
        }
        owing.owed.push(owed);
        self.taken.store(true, Ordering::Release);
    }

    /// No more input will come, and somebody is writing. What is queued is still written, for as long as the close timeout
    /// allows.
    #[cfg(feature = "net")]
    pub(super) fn end_input(&self, cut: EofPosition) {
        lock(&self.owing).input_ended = Some(cut);
        self.taken.store(true, Ordering::Release);
    }

    /// Whether something is owed to the peer.
    #[cfg(feature = "net")]
    pub(super) fn is_owing(&self) -> bool {
        self.taken.load(Ordering::Acquire) && !lock(&self.owing).owed.is_empty()
    }

    /// Clears the desk.
    pub(super) fn apply(&self, sender: &mut Sender<Outbox>, now: Instant) {
        if self.came.load(Ordering::Relaxed) != NOTHING {
            sender.handle_received(now, self.came.swap(NOTHING, Ordering::Acquire) == DATA);
        }
        if !self.taken.load(Ordering::Acquire) {
            return;
        }
        let mut owing = lock(&self.owing);
        self.taken.store(false, Ordering::Release);
        for owed in owing.owed.drain(..) {
            sender.apply(now, owed);
        }
        #[cfg(feature = "net")]
        if let Some(cut) = owing.input_ended.take() {
            sender.handle_input_ended(now, cut);
        }
        owing.round_trip = sender.round_trip();
    }

    /// The time from the last Ping that was answered to its Pong, as known when this was cleared last.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        lock(&self.owing).round_trip
    }
}
