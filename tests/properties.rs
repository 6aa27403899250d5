//! Properties: what holds for anything made up at random. `PROPTEST_CASES` says for how many of each.
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

#[path = "properties/frames.rs"]
mod frames;
#[path = "properties/handshake.rs"]
mod handshake;
#[path = "properties/streams.rs"]
mod streams;
mod support;
#[path = "properties/timers.rs"]
mod timers;
#[path = "properties/utf8.rs"]
mod utf8;

/// As many cases as the environment asks for; what fails is kept beside the source, and is run again first.
fn cases() -> Config {
    Config {
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..Config::default()
    }
}
