//! An allocator that counts the heap memory of the current thread.
//!
//! A [`Meter`] counts only inside [`Meter::run`], so memory of the fuzz target itself does not count. The code under
//! test may allocate memory in one call of `run` and free it in another.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(change: isize) {
    let _ = LIVE.try_with(|live| {
        live.set(live.get() + change);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(live.get())));
    });
}

// SAFETY: each request is passed unchanged to the system's allocator, and counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller upholds the same contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller upholds the same contract.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: the caller upholds the same contract.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Counts the heap memory of the code under test, without that of the fuzz target.
#[derive(Clone, Copy, Default, Debug)]
pub struct Meter {
    held: isize,
    most: isize,
}

impl Meter {
    /// Runs `run`, and counts what it allocates and frees.
    pub fn run<T>(&mut self, run: impl FnOnce() -> T) -> T {
        let before = LIVE.get();
        PEAK.set(before);
        let result = run();
        self.most = self.most.max(self.held + PEAK.get() - before);
        self.held += LIVE.get() - before;
        result
    }

    /// Returns the number of bytes that are allocated now.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.try_into().unwrap_or(0)
    }

    /// Returns the maximum number of bytes that were allocated at once.
    #[must_use]
    pub fn most(&self) -> usize {
        self.most.try_into().unwrap_or(0)
    }

    /// Panics if more than `bytes` bytes were ever allocated at once.
    #[track_caller]
    pub fn assert_within(&self, bytes: usize) {
        assert!(self.most() <= bytes, "{} bytes of heap were used, {bytes} are allowed", self.most());
    }
}

/// Runs code, and panics if it allocates.
#[track_caller]
pub fn no_heap<T>(run: impl FnOnce() -> T) -> T {
    let mut meter = Meter::default();
    let result = meter.run(run);
    meter.assert_within(0);
    result
}
