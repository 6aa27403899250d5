//! Tests of the blocking adapter, over loopback TCP and over streams in memory.
//!
//! - `virtual_stream.rs` has a stream on virtual time with a scripted peer. Most tests that depend on time use this
//!   stream.
//! - `memory.rs` has a stream that can fail at any call.
//! - `streams.rs` implements `Stream` for other kinds of transport.
//!
//! No test sleeps. A test that must wait reads from a socket or a channel with a timeout. [`common::timed`] fails a
//! test that does not end. The real OpenSSL and rustls are tested in `tests/tls/`.
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

mod bytes;
mod common;
#[cfg(feature = "deflate")]
mod deflate;
mod end;
#[cfg(feature = "http")]
mod http_types;
mod liveness;
mod memory;
mod never_waits;
mod open;
mod parts;
mod receive;
mod reconnect;
mod redirect;
mod refusal;
mod split;
mod streams;
mod talk;
mod timers;
mod virtual_stream;
