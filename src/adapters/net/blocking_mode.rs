//! Concludes from the results of calls whether a stream is in blocking mode.
//!
//! `std` can set the blocking mode of a socket but cannot query it. To read input without blocking, the adapter
//! switches the socket to non-blocking mode, reads, and switches back. The alternative is a read with the shortest
//! timeout. On Linux such a read takes four to eight milliseconds, which are one or two ticks of the system's timer.
//!
//! If the application has set its socket to non-blocking mode, the socket must stay in this mode. So the adapter
//! switches the mode only if the mode is known to be blocking.
//!
//! This file stores what is known about the mode. `deadline_stream.rs` switches the mode, and reports the results of
//! calls.
//!
//! ```text
//!              two calls blocked until their timeouts
//!   (unknown) ────────────────────────────────────────▶ (blocking)
//!      │  ▲                                                 │
//!      │  └───── the application got the stream ────────────┤
//!      │                                                    │
//!      └───── a call returned `WouldBlock` at once ─────────┴──▶ (non-blocking)
//! ```
//!
//! If the state is non-blocking and a call blocks until its timeout, the state becomes unknown. This call counts as the
//! first of the two calls that lead to blocking.

use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::Arc;

/// The number of calls that must block until their timeout before the mode counts as blocking. One call is not enough,
/// because the system may also delay a call in non-blocking mode.
const BLOCKED_CALLS_AS_PROOF: u8 = 2;
/// The value of `waited` for a stream that is known to be in non-blocking mode.
const NONBLOCKING: u8 = u8::MAX;

/// The knowledge about the mode of a stream.
#[derive(Debug, Default)]
pub(super) struct BlockingMode {
    /// The number of calls that blocked until their timeout, up to [`BLOCKED_CALLS_AS_PROOF`]; or [`NONBLOCKING`].
    waited: AtomicU8,
    /// The number of switches of the mode, shared by two handles to one stream. This number is odd while the stream is
    /// switched to non-blocking mode. `None` if there is only one handle.
    switches: Option<Arc<AtomicUsize>>,
}

impl BlockingMode {
    /// Returns the state for a stream that is known to be in blocking mode.
    pub(super) const fn blocking() -> Self {
        Self { waited: AtomicU8::new(BLOCKED_CALLS_AS_PROOF), switches: None }
    }

    /// Returns the states for two handles to one stream. The two states share the number of switches.
    pub(super) fn into_shared(self) -> [Self; 2] {
        let (waited, switches) = (self.waited.into_inner(), Arc::new(AtomicUsize::new(0)));
        [(); 2].map(|()| Self { waited: AtomicU8::new(waited), switches: Some(Arc::clone(&switches)) })
    }

    /// Returns whether the stream is known to be in blocking mode, so that the mode may be switched.
    pub(super) fn is_blocking(&self) -> bool {
        self.waited.load(Ordering::Relaxed) == BLOCKED_CALLS_AS_PROOF
    }

    /// Returns whether the stream is known to be in non-blocking mode.
    pub(super) fn is_nonblocking(&self) -> bool {
        self.waited.load(Ordering::Relaxed) == NONBLOCKING
    }

    /// Sets the mode to unknown, because the application may change it.
    pub(super) fn forget(&self) {
        self.waited.store(0, Ordering::Relaxed);
    }

    /// Counts a switch of the mode. Call this before switching to non-blocking mode, and after switching back to
    /// blocking mode.
    pub(super) fn switched(&self) {
        if let Some(switches) = &self.switches {
            switches.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Returns the number of switches. After the next call on the stream, pass this number to
    /// [`may_have_been_switched`](Self::may_have_been_switched).
    pub(super) fn switches(&self) -> usize {
        self.switches.as_ref().map_or(0, |switches| switches.load(Ordering::SeqCst))
    }

    /// Returns whether the other handle may have switched the stream to non-blocking mode during a call. `before` is
    /// the result of [`switches`](Self::switches) before the call.
    pub(super) fn may_have_been_switched(&self, before: usize) -> bool {
        before % 2 == 1 || self.switches() != before
    }

    /// Updates the state after a call that failed because no input had arrived or the stream was full. `waited` is true
    /// if the call blocked until its timeout.
    pub(super) fn learn(&self, waited: bool) {
        let now_known = match (waited, self.waited.load(Ordering::Relaxed)) {
            (true, NONBLOCKING) => 1,
            (true, known) => (known + 1).min(BLOCKED_CALLS_AS_PROOF),
            (false, _) => NONBLOCKING,
        };
        self.waited.store(now_known, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_calls_that_block_until_their_timeout_show_blocking_mode() {
        let mode = BlockingMode::default();
        mode.learn(true);
        assert!(!mode.is_blocking() && !mode.is_nonblocking());
        mode.learn(true);
        assert!(mode.is_blocking());
        mode.forget();
        assert!(!mode.is_blocking() && !mode.is_nonblocking());
    }

    #[test]
    fn a_call_that_returns_at_once_shows_non_blocking_mode() {
        for mode in [BlockingMode::default(), BlockingMode::blocking()] {
            mode.learn(false);
            assert!(mode.is_nonblocking() && !mode.is_blocking());
            // The application has set the stream to blocking mode again.
            mode.learn(true);
            assert!(!mode.is_nonblocking() && !mode.is_blocking());
        }
    }

    #[test]
    fn a_switch_by_the_other_handle_is_noticed() {
        let [one, other] = BlockingMode::blocking().into_shared();
        let before = other.switches();
        assert!(!other.may_have_been_switched(before));
        one.switched();
        assert!(other.may_have_been_switched(before));
        let during = other.switches();
        assert!(other.may_have_been_switched(during));
        one.switched();
        assert!(other.may_have_been_switched(before) && other.may_have_been_switched(during));
        let after = other.switches();
        assert!(!other.may_have_been_switched(after));
    }
}
