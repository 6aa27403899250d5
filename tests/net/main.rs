//! The blocking adapter: over loopback TCP, and over streams in memory that do anything a stream may do.
//!
//! Nothing sleeps. What waits, waits at a socket or a channel with a time out, and [`common::timed`] ends a
//! test that hangs.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests"
)]
#![cfg(feature = "net")]

mod common;
#[cfg(feature = "deflate")]
mod deflate;
mod end;
mod liveness;
mod memory;
mod open;
mod parts;
mod refusal;
mod split;
mod streams;
mod talk;
mod timers;
mod virtual_stream;
