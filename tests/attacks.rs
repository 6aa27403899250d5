//! Known attacks on WebSocket endpoints, one test for each. `SECURITY.md` lists them.
//!
//! Each test checks that the attack fails as specified, and what it costs: heap, by a counting allocator, and
//! steps. A step is a call of `poll` that a reader has to make. Work out of proportion to the input would show as
//! steps without events, or as memory that is allocated or moved.
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
