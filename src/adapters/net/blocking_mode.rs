//! Whether calls on a stream wait, as far as that can be known.
//!
//! `std` can set the blocking mode of a socket and cannot ask for it. The adapter wants to look for input without
//! waiting, by switching the mode off and on again around a read. The shortest timeout of a socket would cost four
//! to eight milliseconds instead, one or two ticks of Linux' timer. But an application that has set its socket not to
//! block must find it so afterwards. So the mode is only switched where it is known to be blocking.
//!
//! ```text
//!              two calls waited for their timeouts
//!   (unknown) ─────────────────────────────────────▶ (blocking)
//!      │  ▲                                              │
//!      │  └───── the application got at the stream ──────┤
//!      │                                                 │
//!      └───── a call ended at once: would block ─────────┴──▶ (non-blocking)
//! ```

use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::Arc;

/// So many calls must have waited before a stream counts as one that blocks. One of a stream that does not may be
/// held up for a moment by the system.
const ENOUGH: u8 = 2;
const NONBLOCKING: u8 = u8::MAX;

/// What is known of the mode of a stream.
#[derive(Debug, Default)]
pub(super) struct BlockingMode {
    /// How many calls have waited, up to [`ENOUGH`]; or [`NONBLOCKING`].
    waited: AtomicU8,
    /// Shared by two handles to one stream: odd while one of them has switched the mode off, and different afterwards.
    switches: Option<Arc<AtomicUsize>>,
}

impl BlockingMode {
    /// The mode of a stream that is known to block.
    pub(super) const fn blocking() -> Self {
        Self { waited: AtomicU8::new(ENOUGH), switches: None }
    }

    /// The mode for two handles to the stream.
    pub(super) fn into_shared(self) -> [Self; 2] {
        let (waited, switches) = (self.waited.into_inner(), Arc::new(AtomicUsize::new(0)));
        [(); 2].map(|()| Self { waited: AtomicU8::new(waited), switches: Some(Arc::clone(&switches)) })
    }

    /// Whether the mode can be switched off and on again.
    pub(super) fn is_blocking(&self) -> bool {
        self.waited.load(Ordering::Relaxed) == ENOUGH
    }

    /// Whether no call waits.
    pub(super) fn is_nonblocking(&self) -> bool {
        self.waited.load(Ordering::Relaxed) == NONBLOCKING
    }

    /// The application may have changed the mode.
    pub(super) fn forget(&self) {
        self.waited.store(0, Ordering::Relaxed);
    }

    /// The mode is about to be switched off for one call, or is switched on again.
    pub(super) fn switched(&self) {
        if let Some(switches) = &self.switches {
            switches.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// What is to be given to [`may_have_been_switched`](Self::may_have_been_switched) after a call.
    pub(super) fn switches(&self) -> usize {
        self.switches.as_ref().map_or(0, |switches| switches.load(Ordering::SeqCst))
    }

    /// Whether the other handle may have switched the mode off during a call.
    pub(super) fn may_have_been_switched(&self, before: usize) -> bool {
        before % 2 == 1 || self.switches() != before
    }

    /// A call on the stream found nothing to read, or no room. `waited` says whether its timeout was up.
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
    fn a_stream_that_waited_twice_blocks() {
        let mode = BlockingMode::default();
        mode.learn(true);
        assert!(!mode.is_blocking() && !mode.is_nonblocking());
        mode.learn(true);
        assert!(mode.is_blocking());
        mode.forget();
        assert!(!mode.is_blocking() && !mode.is_nonblocking());
    }

    #[test]
    fn a_stream_that_ended_a_call_at_once_does_not_block() {
        for mode in [BlockingMode::default(), BlockingMode::blocking()] {
            mode.learn(false);
            assert!(mode.is_nonblocking() && !mode.is_blocking());
            // The application has changed its mind.
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
