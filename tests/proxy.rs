//! The URLs of proxies, and the proxy variables of the environment. Only one test needs an environment.
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

#[path = "proxy/environment.rs"]
mod environment;
#[path = "proxy/urls.rs"]
mod urls;
