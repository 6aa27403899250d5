//! Counts the bytes that the library copies when an allocation grows or shrinks.
//!
//! The allocator counts the reallocations of the whole thread, which include those of the simulation. So this counter
//! runs only while a call of the library is polled. It pauses while the call is inside a stream of the simulation.

use std::cell::Cell;

use crate::heap::MOVED;

thread_local! {
    static TOTAL: Cell<usize> = const { Cell::new(0) };
    /// The allocator's count when this counter was last started; `None` while this counter pauses.
    static SINCE: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Restores the previous mode when it is dropped.
pub struct Guard {
    counted: bool,
}

impl Drop for Guard {
    fn drop(&mut self) {
        switch(self.counted);
    }
}

/// Starts or pauses counting. Returns whether the counter was running before.
fn switch(counts: bool) -> bool {
    let before = SINCE.replace(counts.then(|| MOVED.get()));
    if let Some(since) = before {
        TOTAL.set(TOTAL.get() + MOVED.get() - since);
    }
    before.is_some()
}

/// Counts until the guard is dropped.
pub fn count() -> Guard {
    Guard { counted: switch(true) }
}

/// Pauses until the guard is dropped.
pub fn pause() -> Guard {
    Guard { counted: switch(false) }
}

/// Returns the number of bytes moved since the last call.
pub fn take() -> usize {
    TOTAL.replace(0)
}
