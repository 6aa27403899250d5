//! Counts how often each byte of a message that arrives slowly is moved: `cargo bench --features
//! tokio,futures-io,deflate --bench moved`.
//!
//! Before each slow read two seconds of virtual time pass, so the adapter frees unused memory. The allocator always
//! moves a block that grows or shrinks, and counts the moved bytes. So the numbers are the same on every machine.
//! `tests/memory/moved.rs` asserts an upper bound on these numbers.
#![allow(
    unsafe_code,
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench, with an allocator that counts"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use trickle::{ADAPTERS, Form, Upload};

#[path = "support/trickle.rs"]
mod trickle;

struct Moving;

static MOVED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all blocks come from the system's allocator, and return to it with their own layout.
unsafe impl GlobalAlloc for Moving {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller upholds the same contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller upholds the same contract.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let len = layout.size().min(size);
        MOVED.fetch_add(len, Ordering::Relaxed);
        // SAFETY: the caller promises that the size is not 0, and that it does not overflow with this alignment.
        let layout_of_new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: the layout is valid, and its size is not 0.
        let new = unsafe { System.alloc(layout_of_new) };
        if !new.is_null() {
            // SAFETY: both blocks have at least `len` bytes, and they do not overlap.
            unsafe { memory.copy_to_nonoverlapping(new, len) };
            // SAFETY: the caller gives up the old block, which has this layout.
            unsafe { System.dealloc(memory, layout) };
        }
        new
    }
}

#[global_allocator]
static ALLOCATOR: Moving = Moving;

/// For each column: bytes that arrive before the first pause, bytes of each slow read, and the number of slow reads.
const COLUMNS: [(usize, usize, usize); 7] = [
    (0, 1, 20_000),
    (0, 100, 2000),
    (0, 1460, 500),
    (5_000_000, 1, 1000),
    (5_000_000, 100, 1000),
    (5_000_000, 1460, 1000),
    (7 << 20, 1, 1000),
];

fn main() {
    println!(
        "bytes moved for each byte that arrives, in reads of 1, 100 and 1460 bytes with pauses of two seconds"
    );
    println!("{:36}{:>21}{:>24}{:>16}", "", "from the first byte", "after 5 MB at once", "after 7 MiB");
    for form in [Form::OneFrame, Form::Fragments(1000), Form::Fragments(100_000), Form::Compressed] {
        for adapter in ADAPTERS {
            print!("{:38}", format!("{adapter:?}, {form:?}"));
            for (behind, read, reads) in COLUMNS {
                let upload = Upload { form, behind, slow: read * reads, read, missing: 8 << 20 };
                let moved = upload.run(adapter, || MOVED.load(Ordering::Relaxed));
                print!("{:8.1}", moved as f64 / upload.arrives() as f64);
            }
            println!();
        }
    }
}
