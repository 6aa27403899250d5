//! Simulates two applications over the blocking adapter, in threads and in virtual time.
//!
//! Each application uses a whole WebSocket or its halves. A scripted peer may replace one application. The streams and
//! the network delay bytes, cut them, hold them back, report wrong counts, stall, and fail. Only one thread runs at a
//! time. The seed decides which thread runs, and everything else. Many modules are shared with `adapters_simulation`.
//!
//! A failing run prints the command that replays it step by step:
//!
//! ```sh
//! HYBI_SIM_SEED=17 cargo test --release --features deflate --test net_simulation -- --nocapture
//! ```
//!
//! `HYBI_SIM_SECONDS`, `HYBI_SIM_RUNS` and `HYBI_SIM_SURVEY` have the same meaning as for `adapters_simulation`.
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
#[path = "adapters_simulation/draw.rs"]
mod draw;
#[path = "adapters_simulation/journal.rs"]
mod journal;
#[path = "adapters_simulation/link.rs"]
mod link;
#[path = "adapters_simulation/player.rs"]
mod player;
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
#[path = "adapters_simulation/view.rs"]
mod view;
#[path = "net_simulation/world.rs"]
mod world;

#[test]
fn accepted_messages_arrive_and_no_thread_waits_without_a_reason() {
    let few = if cfg!(debug_assertions) { 150 } else { 1000 };
    let simulation =
        runner::Simulation { name: "net_simulation", few, run: run::run, without: &["futures halves"] };
    simulation.run_all();
}
