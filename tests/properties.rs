//! Properties that must hold for random input. The crate proptest generates the input.
//!
//! The environment variable `PROPTEST_CASES` sets the number of cases of each property. A failing case is stored in a
//! `*.regressions` file beside the source, and runs first from then on. `tests/exhaustive.rs` has tests that try every
//! value of a small domain.
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

use proptest::test_runner::{Config, FileFailurePersistence};

#[path = "properties/dial.rs"]
mod dial;
#[path = "properties/frames.rs"]
mod frames;
#[path = "properties/handshake.rs"]
mod handshake;
#[path = "properties/reconnect.rs"]
mod reconnect;
#[path = "properties/redirect.rs"]
mod redirect;
#[path = "properties/streams.rs"]
mod streams;
mod support;
#[path = "properties/timers.rs"]
mod timers;
#[path = "properties/utf8.rs"]
mod utf8;

/// Returns a configuration that stores failing cases beside the source, and runs them first.
fn cases() -> Config {
    Config {
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..Config::default()
    }
}
