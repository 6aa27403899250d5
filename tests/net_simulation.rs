//! Two applications over the blocking adapter, in threads and in virtual time: whole WebSockets and halves, over streams
//! and a network that delay, cut, hold back, stall, lie and die; scripted peers.
//!
//! One thread runs at a time, and which one follows from the seed, as all of a run does. A run that fails says how to
//! replay it:
//!
//! ```sh
//! HYBI_SIM_SEED=17 cargo test --release --all-features --test net_simulation -- --nocapture
//! ```
//!
//! prints what happened step by step. `HYBI_SIM_SECONDS`, `HYBI_SIM_RUNS` and `HYBI_SIM_SURVEY` do what they do for
//! `adapters_simulation`, with which this shares links, journals and records.
#![allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "tests"
)]

#[path = "net_simulation/app.rs"]
mod app;
#[path = "net_simulation/checks.rs"]
mod checks;
#[path = "adapters_simulation/journal.rs"]
mod journal;
#[path = "adapters_simulation/link.rs"]
mod link;
#[allow(dead_code, reason = "shared with the simulation of the asynchronous adapters")]
#[path = "adapters_simulation/record.rs"]
mod record;
#[path = "net_simulation/run.rs"]
mod run;
#[path = "adapters_simulation/runner.rs"]
mod runner;
#[path = "net_simulation/script.rs"]
mod script;
#[path = "net_simulation/setup.rs"]
mod setup;
#[path = "net_simulation/sim.rs"]
mod sim;
#[path = "net_simulation/stream.rs"]
mod stream;
mod support;
#[path = "adapters_simulation/tally.rs"]
mod tally;
#[path = "adapters_simulation/tap.rs"]
mod tap;
#[path = "net_simulation/world.rs"]
mod world;

#[test]
fn what_is_accepted_arrives_and_no_thread_waits_for_nothing() {
    let few = if cfg!(debug_assertions) { 150 } else { 1000 };
    let simulation =
        runner::Simulation { name: "net_simulation", few, run: run::run, without: &["futures halves"] };
    simulation.run_all();
}
