//! All there is, where that is not too much: two-byte starts of headers in every state, sequences of what can happen
//! while closing, UTF-8 of up to four bytes. Every vector's two-way splits are run by `vectors.rs`. A debug build
//! takes telling bytes for all of them, and shorter sequences.
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
