//! Opening a WebSocket from a URL in all adapters: through proxies, with one deadline, and over Unix sockets.
//!
//! Most tests run with the clients of `net`, `tokio` and `futures_io` against the same scripted proxy on loopback.
//! `tests/proxy.rs` tests the tunnel without an adapter, and `tests/tls` tests proxies with TLS. The deadline in each
//! stage is tested in virtual time in the modules of the adapters.
#![cfg(all(feature = "net", feature = "tokio", feature = "async-io"))]
#![allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

#[path = "connect/adapters.rs"]
mod adapters;
#[path = "connect/deadline.rs"]
mod deadline;
#[path = "connect/dropped.rs"]
mod dropped;
#[path = "connect/faults.rs"]
mod faults;
#[path = "connect/refusals.rs"]
mod refusals;
#[path = "connect/script.rs"]
mod script;
#[path = "connect/secrets.rs"]
mod secrets;
#[path = "connect/tunnels.rs"]
mod tunnels;
#[cfg(unix)]
#[path = "connect/unix.rs"]
mod unix;
