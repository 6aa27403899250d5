//! The WebSocket of the asynchronous adapters, over a stream and a clock that the test controls.
//!
//! `support.rs` has the stream, the clock, an executor and the peer. Only `runtimes.rs`, `reconnect.rs`, `redirect.rs`,
//! and the module `over_tcp` of `bytes.rs` use sockets and real time. `runtimes.rs` tests the parts that belong to
//! tokio or async-io alone. The core is tested in `tests/scenarios/`. `tests/adapters_simulation/` runs the same
//! adapters in random conversations.
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

mod answers;
mod bytes;
mod cancel;
mod dropped;
mod end;
mod faults;
mod group;
mod halves;
mod idle;
#[cfg(feature = "tokio")]
mod late;
mod line;
mod liveness;
mod never_waits;
mod open;
mod parts;
mod receive;
#[cfg(feature = "tokio")]
mod reconnect;
#[cfg(any(feature = "tokio", feature = "async-io"))]
mod redirect;
mod runtimes;
mod support;
mod timers;
mod transports;
mod turns;
mod two_tasks;
