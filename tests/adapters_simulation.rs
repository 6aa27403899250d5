//! Simulates two applications, or an application and a scripted peer, over the adapter for futures-io, in virtual time.
//!
//! Each application uses a whole WebSocket or its halves. The streams and the network delay bytes, cut them, hold them
//! back, stall, and fail. Wakeups can be late, and futures can be dropped. `tests/README.md` lists the rules that must
//! hold, and `adapters_simulation/checks.rs` checks them.
//!
//! The seed alone determines a run. A failing run prints the command that replays it step by step:
//!
//! ```sh
//! HYBI_SIM_SEED=17 cargo test --release --features futures-io,deflate --test adapters_simulation -- --nocapture
//! ```
//!
//! - `HYBI_SIM_SECONDS=30` runs new seeds for 30 seconds. The first seed is `HYBI_SIM_SEED`, or comes from the
//!   time of day.
//! - `HYBI_SIM_RUNS=1000` runs this many seeds.
//! - `HYBI_SIM_SURVEY=1` continues after a failure. At the end a table shows each kind of failure, the number of such
//!   failures, and their first seed.
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

#[path = "adapters_simulation/app.rs"]
mod app;
#[path = "adapters_simulation/checks.rs"]
mod checks;
#[path = "adapters_simulation/clock.rs"]
mod clock;
#[path = "adapters_simulation/draw.rs"]
mod draw;
#[path = "adapters_simulation/driver.rs"]
mod driver;
#[path = "adapters_simulation/executor.rs"]
mod executor;
#[allow(unsafe_code, dead_code, unreachable_pub, reason = "the allocator that counts")]
#[path = "support/heap.rs"]
mod heap;
#[path = "adapters_simulation/journal.rs"]
mod journal;
#[path = "adapters_simulation/link.rs"]
mod link;
#[path = "adapters_simulation/meter.rs"]
mod meter;
#[path = "adapters_simulation/plan.rs"]
mod plan;
#[path = "adapters_simulation/player.rs"]
mod player;
#[path = "adapters_simulation/record.rs"]
mod record;
#[path = "adapters_simulation/run.rs"]
mod run;
#[path = "adapters_simulation/runner.rs"]
mod runner;
#[path = "adapters_simulation/script.rs"]
mod script;
#[path = "adapters_simulation/setup.rs"]
mod setup;
#[path = "adapters_simulation/stream.rs"]
mod stream;
mod support;
#[path = "adapters_simulation/tally.rs"]
mod tally;
#[path = "adapters_simulation/tap.rs"]
mod tap;
#[path = "adapters_simulation/view.rs"]
mod view;
#[path = "adapters_simulation/world.rs"]
mod world;

#[test]
fn accepted_messages_arrive_and_no_task_waits_without_a_reason() {
    let few = if cfg!(debug_assertions) { 200 } else { 4000 };
    let simulation = runner::Simulation { name: "adapters_simulation", few, run: run::run, without: &[] };
    simulation.run_all();
}
