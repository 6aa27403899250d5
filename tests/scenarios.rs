//! Scenarios: tests of a connection through its public API, under a virtual clock.
//!
//! Each module covers one theme. Endpoints and pairs come from `support/pair.rs`. No test sleeps, and every loop has a
//! bound. The name of a test begins with the section of RFC 6455 whose rule it checks, or with `s7692_` and a section
//! of RFC 7692. `tests/README.md` lists the tests of each rule.
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
    clippy::cast_sign_loss,
    clippy::collapsible_match,
    reason = "tests"
)]

#[cfg(feature = "deflate")]
#[allow(dead_code, reason = "each target uses a part of it")]
#[path = "support/deflate.rs"]
mod blocks;
#[path = "support/pair.rs"]
mod pair;

#[path = "scenarios/closing.rs"]
mod closing;
#[path = "scenarios/control.rs"]
mod control;
#[cfg(feature = "deflate")]
#[path = "scenarios/deflate.rs"]
mod deflate;
#[cfg(feature = "deflate")]
#[path = "scenarios/deflate_budget.rs"]
mod deflate_budget;
#[cfg(feature = "deflate")]
#[path = "scenarios/deflate_fallback.rs"]
mod deflate_fallback;
#[cfg(feature = "deflate")]
#[path = "scenarios/deflate_send.rs"]
mod deflate_send;
#[cfg(feature = "deflate")]
#[path = "scenarios/deflate_windows.rs"]
mod deflate_windows;
#[path = "scenarios/framing.rs"]
mod framing;
#[path = "scenarios/halves.rs"]
mod halves;
#[path = "scenarios/inbox.rs"]
mod inbox;
#[path = "scenarios/limits.rs"]
mod limits;
#[path = "scenarios/messages.rs"]
mod messages;
#[path = "scenarios/no_alloc.rs"]
mod no_alloc;
#[path = "scenarios/output.rs"]
mod output;
#[path = "scenarios/refusals.rs"]
mod refusals;
#[path = "scenarios/timers.rs"]
mod timers;
#[path = "scenarios/write_through.rs"]
mod write_through;
