//! An allocator that counts the heap memory of the current thread. Other threads of the test harness do not affect the
//! counts.
//!
//! [`measure`] returns how many bytes a closure leaves allocated, and the peak while it runs. A target that includes
//! this file gets the allocator as its global allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    /// Number of bytes that are allocated now.
    pub static LIVE: Cell<isize> = const { Cell::new(0) };
    /// Maximum of [`LIVE`] since the last reset.
    pub static PEAK: Cell<isize> = const { Cell::new(0) };
    /// Number of allocations.
    pub static ASKED: Cell<usize> = const { Cell::new(0) };
    /// Number of bytes that reallocations would copy if each of them moved its block.
    pub static MOVED: Cell<usize> = const { Cell::new(0) };
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
        let _ = ASKED.try_with(|asked| asked.set(asked.get() + 1));
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
        let _ = MOVED.try_with(|moved| moved.set(moved.get() + layout.size().min(size)));
        // SAFETY: the caller upholds the same contract.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

pub fn live() -> isize {
    LIVE.get()
}

/// Runs `run`. Returns its result, the bytes that stay allocated while the result lives, and the peak.
pub fn measure<T>(run: impl FnOnce() -> T) -> (T, isize, isize) {
    let before = live();
    PEAK.set(before);
    let kept = run();
    (kept, live() - before, PEAK.get() - before)
}
