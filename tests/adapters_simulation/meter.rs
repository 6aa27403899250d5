//! Counts the bytes that the library moves because memory grows or shrinks.
//!
//! The allocator counts for the whole thread. What streams and tasks of the simulation do themselves is left out.

use std::cell::Cell;

use crate::heap::MOVED;

thread_local! {
    static TOTAL: Cell<usize> = const { Cell::new(0) };
    /// The count at the last change, while the library is being polled.
    static SINCE: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Ends a pause, or a count.
pub struct Guard {
    counted: bool,
}

impl Drop for Guard {
    fn drop(&mut self) {
        switch(self.counted);
    }
}

/// Counts or pauses; gives whether it had counted before.
fn switch(counts: bool) -> bool {
    let before = SINCE.replace(counts.then(|| MOVED.get()));
    if let Some(since) = before {
        TOTAL.set(TOTAL.get() + MOVED.get() - since);
    }
    before.is_some()
}

/// From here on it counts, until the guard is dropped.
pub fn count() -> Guard {
    Guard { counted: switch(true) }
}

/// From here on it does not, until the guard is dropped.
pub fn pause() -> Guard {
    Guard { counted: switch(false) }
}

/// What was moved since this was asked last.
pub fn take() -> usize {
    TOTAL.replace(0)
}
