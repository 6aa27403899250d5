//! The blocking adapter, over loopback TCP and over streams in memory.
//!
//! - `virtual_stream.rs` has a stream on virtual time with a scripted peer. Most tests of timers and liveness use
//!   it.
//! - `memory.rs` has a stream that fails at any call.
//! - `streams.rs` has implementations of `Stream` by other kinds of transport.
//!
//! Nothing sleeps. A test that waits does so at a socket or channel with a timeout, and [`common::timed`] fails a
//! test that hangs. The real OpenSSL and rustls are tested in `tests/tls/`.
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
