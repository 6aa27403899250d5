//! Tests of every value of a small domain. The domains are the first two bytes of a frame in every state, and UTF-8 of
//! up to four bytes. Other domains are the orders of events while a connection closes, and while a client connects to
//! several addresses.
//!
//! A debug build uses only representative bytes, and shorter sequences. `tests/vectors.rs` cuts each test vector in two
//! at every place.
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
#[path = "exhaustive/dial.rs"]
mod dial;
#[path = "exhaustive/headers.rs"]
mod headers;
mod support;
#[path = "exhaustive/utf8.rs"]
mod utf8;
