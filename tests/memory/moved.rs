//! The number of times that the bytes of a slow message are moved in memory. This number must be bounded, whatever the
//! pauses.
//!
//! The message arrives through each adapter with pauses between short reads. An adapter releases unused memory in a
//! pause. This release must not copy the partial message again and again. `benches/moved.rs` prints the numbers.

use super::MOVED;
use trickle::{ADAPTERS, Form, Upload};

#[path = "../../benches/support/trickle.rs"]
mod trickle;

/// Each entry has three numbers of bytes: the bytes that arrive at once, the bytes that arrive slowly, and the bytes of
/// each slow read.
const UPLOADS: [(usize, usize, usize); 6] = [
    (0, 2000, 1),
    (0, 60_000, 100),
    (0, 300_000, 1460),
    (50_000, 500, 1),
    (60_000, 50_000, 100),
    (500_000, 300_000, 1460),
];

pub fn s10_4_each_byte_of_a_slow_message_is_moved_a_few_times() {
    // The slow bytes come after `behind` bytes that arrive at once. Some of these numbers are just above a size at
    // which the buffer grows.
    for behind in (1..=18).map(|n| n * 31_000).chain([7 << 20]) {
        uploaded(Upload { form: Form::OneFrame, behind, slow: 30, read: 1, missing: 8 << 20 });
    }
    for form in [Form::OneFrame, Form::Fragments(1000), Form::Fragments(100_000), Form::Compressed] {
        for (behind, slow, read) in UPLOADS {
            for missing in [0, 4 << 20] {
                uploaded(Upload { form, behind, slow, read, missing });
            }
        }
    }
}

fn uploaded(upload: Upload) {
    for adapter in ADAPTERS {
        let (moved, arrived) = (upload.run(adapter, || MOVED.get()), upload.arrives());
        assert!(moved <= 7 * arrived + (64 << 10), "{adapter:?}, {upload:?}: {moved} moved for {arrived}");
    }
}
