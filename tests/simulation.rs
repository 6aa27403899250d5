//! Simulates a client and a server under a virtual clock. The network between them delays, cuts and merges writes,
//! stalls, and fails.
//!
//! The seed alone determines a run. A failing run prints the command that replays it step by step:
//!
//! ```sh
//! HYBI_SIM_SEED=17 cargo test --release --features deflate --test simulation -- --nocapture
//! ```
//!
//! With `HYBI_SIM_SECONDS=30` the test runs new seeds for 30 seconds. The first seed is `HYBI_SIM_SEED`. Without this
//! variable, it is the current time in microseconds. Without either variable the test always runs the same seeds: 300
//! in a debug build, and 3000 in a release build.
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

use std::time::{Duration, Instant, SystemTime};

#[path = "simulation/app.rs"]
mod app;
#[path = "simulation/end.rs"]
mod end;
#[path = "simulation/network.rs"]
mod network;
mod support;
#[path = "simulation/watch.rs"]
mod watch;
#[path = "simulation/world.rs"]
mod world;

/// The number of runs if the environment sets neither a seed nor a time.
const DEFAULT_RUNS: u64 = if cfg!(debug_assertions) { 300 } else { 3000 };

/// Prints the seed if the run panics.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("\nto replay this run step by step:");
            eprintln!(
                "HYBI_SIM_SEED={} cargo test --features deflate --test simulation -- --nocapture\n",
                self.0
            );
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|value| value.parse().expect("the variable must be a number"))
}

fn run(seed: u64, trace: bool) -> world::Tally {
    let replay = Replay(seed);
    let mut memory = [const { end::Memory::EMPTY }; 2];
    let tally = world::World::new(seed, trace, &mut memory).run();
    drop(replay);
    tally
}

#[test]
fn every_message_arrives_or_the_outcome_says_why_not() {
    let (seed, seconds) = (number("HYBI_SIM_SEED"), number("HYBI_SIM_SECONDS"));
    if let (Some(seed), None) = (seed, seconds) {
        run(seed, true);
        return;
    }
    let mut all = world::Tally::default();
    let started = Instant::now();
    if let Some(seconds) = seconds {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let first = seed.unwrap_or(since_1970.as_micros() as u64);
        let mut seed = first;
        while started.elapsed() < Duration::from_secs(seconds) {
            all.add(&run(seed, false));
            seed += 1;
        }
        println!("{} runs, seeds from {first} on", seed - first);
    } else {
        (0..DEFAULT_RUNS).for_each(|seed| all.add(&run(seed, false)));
    }
    println!("{all:?} in {:?}", started.elapsed());
    // Together the runs must have covered everything that the network and the application can do.
    all.assert_broad();
}
