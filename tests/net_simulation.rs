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

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

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

/// So many runs there are where nobody asks for more.
const FEW: u64 = if cfg!(debug_assertions) { 150 } else { 1000 };

/// A run that takes longer than this, in real time, is stuck inside the library: no virtual time finds that.
const STUCK: Duration = Duration::from_secs(20);

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|value| value.parse().expect("a number"))
}

fn replay(seed: u64) -> String {
    format!("HYBI_SIM_SEED={seed} cargo test --all-features --test net_simulation -- --nocapture")
}

/// The seed that is being run, for the watchdog.
static RUNNING: AtomicU64 = AtomicU64::new(u64::MAX);

/// Ends the process where one run never ends, as a lock that is taken twice does not.
fn watch() {
    std::thread::spawn(|| {
        let mut before = u64::MAX;
        loop {
            std::thread::sleep(STUCK);
            let seed = RUNNING.load(Ordering::Relaxed);
            if seed == before && seed != u64::MAX {
                eprintln!("\n[11 stuck] a run does not go on; to replay it:\n{}\n", replay(seed));
                std::process::exit(101);
            }
            before = seed;
        }
    });
}

/// Counts runs that failed, by category.
#[derive(Default)]
struct Survey(BTreeMap<String, (usize, u64, String)>);

impl Survey {
    fn run(&mut self, seed: u64, all: &mut tally::Tally) {
        match catch_unwind(AssertUnwindSafe(|| run::run(seed, false))) {
            Ok(tally) => all.add(&tally),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                let text = text.unwrap_or_default();
                let category = text.split(']').next().unwrap_or_default();
                let entry = self.0.entry(category.to_owned()).or_insert((0, seed, text.clone()));
                entry.0 += 1;
            }
        }
    }

    fn print(&self) {
        for (times, seed, text) in self.0.values() {
            println!("{times:>6}  seed {seed:<8} {text}");
        }
    }
}

#[test]
fn what_is_accepted_arrives_and_no_thread_waits_for_nothing() {
    let (seed, seconds) = (number("HYBI_SIM_SEED"), number("HYBI_SIM_SECONDS"));
    let survey = number("HYBI_SIM_SURVEY").is_some();
    if let (Some(seed), None, None) = (seed, seconds, number("HYBI_SIM_RUNS")) {
        run::run(seed, true);
        return;
    }
    watch();
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let first = match (seed, seconds) {
        (Some(seed), _) => seed,
        (None, Some(_)) => since_1970.as_micros() as u64,
        (None, None) => 0,
    };
    if survey {
        std::panic::set_hook(Box::new(|_| {}));
    }
    let (mut all, mut failed) = (tally::Tally::default(), Survey::default());
    let runs = number("HYBI_SIM_RUNS").unwrap_or(FEW);
    let (started, mut seed) = (Instant::now(), first);
    let goes_on = |seed| match seconds {
        Some(seconds) => started.elapsed() < Duration::from_secs(seconds),
        None => seed - first < runs,
    };
    let mut slowest = (Duration::ZERO, 0);
    while goes_on(seed) {
        let began = Instant::now();
        RUNNING.store(seed, Ordering::Relaxed);
        if survey {
            failed.run(seed, &mut all);
        } else if let Err(panic) = catch_unwind(AssertUnwindSafe(|| all.add(&run::run(seed, false)))) {
            eprintln!("\nto replay it step by step:\n{}\n", replay(seed));
            std::panic::resume_unwind(panic);
        }
        slowest = slowest.max((began.elapsed(), seed));
        seed += 1;
    }
    println!("the slowest run took {:?}, seed {}", slowest.0, slowest.1);
    RUNNING.store(u64::MAX, Ordering::Relaxed);
    println!("{} runs, seeds from {first} on, in {:?}", seed - first, started.elapsed());
    println!("{all:#?}");
    failed.print();
    if !survey {
        all.is_broad(&["futures halves"]);
    }
}
