//! The WebSocket of runtimes that poll, over a stream and a clock that do as they are told: no socket, no
//! waiting. What only tokio or only async-io has is tested over sockets.
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
mod open;
mod parts;
mod runtimes;
mod support;
mod timers;
mod turns;
mod two_tasks;
