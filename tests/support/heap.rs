//! An allocator that counts, for the thread that asks: the other threads of the test harness do not disturb it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    pub static LIVE: Cell<isize> = const { Cell::new(0) };
    pub static PEAK: Cell<isize> = const { Cell::new(0) };
    /// Blocks that were asked for.
    pub static ASKED: Cell<usize> = const { Cell::new(0) };
    /// Bytes in blocks that grew or shrank: as many as an allocator copies that always moves them.
    pub static MOVED: Cell<usize> = const { Cell::new(0) };
}

fn count(change: isize) {
    let _ = LIVE.try_with(|live| {
        live.set(live.get() + change);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(live.get())));
    });
}

// SAFETY: all requests go to the system's allocator as they come; counting touches no heap.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ASKED.try_with(|asked| asked.set(asked.get() + 1));
        count(layout.size() as isize);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        let _ = MOVED.try_with(|moved| moved.set(moved.get() + layout.size().min(size)));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

pub fn live() -> isize {
    LIVE.get()
}

/// What `run` leaves allocated, with what it gives still alive, and the most that it held on the way.
pub fn measure<T>(run: impl FnOnce() -> T) -> (T, isize, isize) {
    let before = live();
    PEAK.set(before);
    let kept = run();
    (kept, live() - before, PEAK.get() - before)
}
