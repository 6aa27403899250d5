//! The protocol between two threads: one stores something without waiting for a lock, and the other holds this lock.
//!
//! The holder of the lock collects what is stored. The thread that stores makes an announcement, and then tries to
//! take the lock. The holder checks for an announcement after it has released the lock. So at least one of the two
//! threads collects what was stored:
//!
//! ```text
//!   thread that stores    store ──▶ announce ──▶ try the lock: if it is free, collect
//!   holder of the lock    collect ──▶ release the lock ──▶ is_announced: if true, try the lock and collect again
//! ```
//!
//! `waiting_messages.rs` has the stored messages. Each adapter has its own lock.
//!
//! Invariants:
//! - After an announcement, either the lock is free, or its holder sees the announcement after the release. The same is
//!   true for all later holders, because each of them checks for an announcement after its release.
//! - Only the holder of the lock withdraws an announcement, and only before it reads the store. So a later announcement
//!   is not lost.
//! - A model in `tests/loom` runs this file in all interleavings.

use super::sync::{AtomicBool, Ordering, fence};

/// Whether something was stored after the holder of the lock last collected.
#[derive(Debug)]
pub(super) struct LockHandover {
    announced: AtomicBool,
}

impl LockHandover {
    /// Creates a protocol without an announcement.
    pub(super) fn new() -> Self {
        Self { announced: AtomicBool::new(false) }
    }

    /// Announces that something was stored. Afterwards the caller must try the lock, and collect if the lock is free.
    pub(super) fn announce(&self) {
        self.announced.store(true, Ordering::Release);
        // This fence orders the announcement before the caller's attempt to take the lock. The fence in `is_announced`
        // orders the release of the lock before the load. So either the attempt succeeds, or the thread that held the
        // lock sees the announcement.
        fence(Ordering::SeqCst);
    }

    /// Withdraws the announcement. The holder of the lock calls this before it reads the store.
    pub(super) fn collect(&self) {
        self.announced.store(false, Ordering::Relaxed);
    }

    /// Announces again, because the holder of the lock leaves something in the store. The holder itself sees this
    /// announcement after it has released the lock.
    pub(super) fn leave(&self) {
        self.announced.store(true, Ordering::Relaxed);
    }

    /// Returns whether something was stored that was not collected. Each holder calls this after it has released the
    /// lock. If the result is true, the caller must try the lock again.
    #[inline]
    pub(super) fn is_announced(&self) -> bool {
        fence(Ordering::SeqCst);
        self.announced.load(Ordering::Relaxed)
    }
}
