//! What is tried against WebSocket endpoints, a test for each kind: that it fails as it should, what it costs in
//! heap, by an allocator that counts, and in steps. SECURITY.md has the list.
//!
//! A step is a call of `poll` that a reader has to make: work that is out of proportion to what was sent shows as
//! steps that carry nothing, or as memory that is asked for or moved.
#![cfg(feature = "alloc")]
#![allow(
    unsafe_code,
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "tests, with an allocator that counts"
)]

#[path = "attacks/bench.rs"]
mod bench;
#[cfg(feature = "deflate")]
#[allow(dead_code, reason = "each target uses a part of it")]
#[path = "support/deflate.rs"]
mod blocks;
#[cfg(feature = "deflate")]
#[path = "attacks/deflate.rs"]
mod deflate;
#[path = "attacks/frames.rs"]
mod frames;
#[path = "attacks/handshake.rs"]
mod handshake;
#[allow(dead_code, reason = "each target uses a part of it")]
#[path = "support/heap.rs"]
mod heap;
#[path = "attacks/masks.rs"]
mod masks;
mod support;
