//! How often the bytes of a message are moved that arrives slowly: a fixed number of times, whatever the pauses.

use super::MOVED;
use trickle::{ADAPTERS, Form, Upload};

#[path = "../../benches/support/trickle.rs"]
mod trickle;

/// Bytes that come at once, bytes that come slowly, and how many of these a read brings.
const UPLOADS: [(usize, usize, usize); 6] = [
    (0, 2000, 1),
    (0, 60_000, 100),
    (0, 300_000, 1460),
    (50_000, 500, 1),
    (60_000, 50_000, 100),
    (500_000, 300_000, 1460),
];

pub fn s10_4_each_byte_is_moved_a_few_times_however_slowly_it_comes() {
    // Behind a part of a message that may be as long as any. Among these are some at which memory has just grown.
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
