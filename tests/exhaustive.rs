//! Small domains in full: all two-byte starts of frames in every state, all orders of events while closing, and
//! UTF-8 of up to four bytes.
//!
//! A debug build uses representative bytes instead of all, and shorter sequences. `tests/vectors.rs` runs every
//! split of each vector in two.
#![cfg(feature = "alloc")]
#![allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

#[path = "exhaustive/closing.rs"]
mod closing;
#[path = "exhaustive/headers.rs"]
mod headers;
mod support;
#[path = "exhaustive/utf8.rs"]
mod utf8;
