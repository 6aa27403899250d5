//! Tracks whether a stream is in blocking mode, as far as its calls show it.
//!
//! `std` can set the blocking mode of a socket but cannot query it. The adapter reads input without blocking by
//! switching to non-blocking mode and back around the read. The alternative, the shortest timeout of a socket, costs
//! four to eight milliseconds: one or two ticks of Linux' timer. But an application that has set its socket to
//! non-blocking mode must find it in that mode afterwards. Therefore the mode is switched only when it is known to be
//! blocking.
//!
//! This file stores what is known. `deadline_stream.rs` switches the mode, and reports how calls ended.
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
//! From non-blocking, one call that blocks until its timeout leads back to unknown, with one of the two calls counted.

use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::Arc;

/// Number of calls that must block until their timeout before the mode counts as blocking. A single call proves
/// nothing: the system may delay a call in non-blocking mode for a moment.
const ENOUGH: u8 = 2;
/// The value of `waited` for a stream that is known to be in non-blocking mode.
const NONBLOCKING: u8 = u8::MAX;

/// The knowledge about the mode of a stream.
#[derive(Debug, Default)]
pub(super) struct BlockingMode {
    /// The number of calls that blocked until their timeout, up to [`ENOUGH`]; or [`NONBLOCKING`].
    waited: AtomicU8,
    /// The number of switches, shared by two handles to one stream. Odd while one handle has switched the mode.
    switches: Option<Arc<AtomicUsize>>,
}

impl BlockingMode {
    /// Returns the state for a stream that is known to be in blocking mode.
    pub(super) const fn blocking() -> Self {
        Self { waited: AtomicU8::new(ENOUGH), switches: None }
    }

    /// Makes the states for two handles to the stream, which see each other's switches.
    pub(super) fn into_shared(self) -> [Self; 2] {
        let (waited, switches) = (self.waited.into_inner(), Arc::new(AtomicUsize::new(0)));
        [(); 2].map(|()| Self { waited: AtomicU8::new(waited), switches: Some(Arc::clone(&switches)) })
    }

    /// Returns whether the stream is known to be in blocking mode, so that the mode may be switched.
    pub(super) fn is_blocking(&self) -> bool {
        self.waited.load(Ordering::Relaxed) == ENOUGH
    }

    /// Returns whether the stream is known to be in non-blocking mode.
    pub(super) fn is_nonblocking(&self) -> bool {
        self.waited.load(Ordering::Relaxed) == NONBLOCKING
    }

    /// Makes the mode unknown, because the application may change it.
    pub(super) fn forget(&self) {
        self.waited.store(0, Ordering::Relaxed);
    }

    /// Counts a switch. Call it before blocking mode is left, and after it is restored.
    pub(super) fn switched(&self) {
        if let Some(switches) = &self.switches {
            switches.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Returns the number of switches, for [`may_have_been_switched`](Self::may_have_been_switched) after a call.
    pub(super) fn switches(&self) -> usize {
        self.switches.as_ref().map_or(0, |switches| switches.load(Ordering::SeqCst))
    }

    /// Returns whether the other handle may have left blocking mode during a call. `before` is the result of
    /// [`switches`](Self::switches) before the call.
    pub(super) fn may_have_been_switched(&self, before: usize) -> bool {
        before % 2 == 1 || self.switches() != before
    }

    /// Learns from a call that found no input or a full stream. `waited` is true if the call blocked until its timeout.
    pub(super) fn learn(&self, waited: bool) {
        let now_known = match (waited, self.waited.load(Ordering::Relaxed)) {
            (true, NONBLOCKING) => 1,
            (true, known) => (known + 1).min(ENOUGH),
            (false, _) => NONBLOCKING,
        };
        self.waited.store(now_known, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_calls_that_wait_make_the_mode_blocking() {
        let mode = BlockingMode::default();
        mode.learn(true);
        assert!(!mode.is_blocking() && !mode.is_nonblocking());
        mode.learn(true);
        assert!(mode.is_blocking());
        mode.forget();
        assert!(!mode.is_blocking() && !mode.is_nonblocking());
    }

    #[test]
    fn a_call_that_returns_at_once_makes_the_mode_non_blocking() {
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
