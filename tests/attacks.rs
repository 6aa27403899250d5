//! Known attacks on WebSocket endpoints, one test for each. `SECURITY.md` lists them.
//!
//! Each test checks how the crate reacts. Many tests also check what the attack costs: heap memory, which a counting
//! allocator measures, and steps. A step is one call of `poll`. The limits on steps, and on memory that is allocated or
//! moved, are in proportion to the input.
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
