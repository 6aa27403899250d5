//! Runs a simulation by seed: a fixed number of seeds, fresh seeds for some seconds, one seed step by step, or a
//! survey of failures.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crate::tally::Tally;

/// One of the simulations.
pub struct Simulation {
    /// The name of the test file.
    pub name: &'static str,
    /// Number of runs if no environment variable asks for another number.
    pub few: u64,
    /// A function that performs the run of one seed. If the flag is true, it prints each step.
    pub run: fn(u64, bool) -> Tally,
    /// Shapes of a WebSocket that this simulation does not have.
    pub without: &'static [&'static str],
}

/// Maximum real time of a run. If a run takes longer, some call of the library probably never returns. Virtual time
/// cannot detect such a call.
const STUCK: Duration = Duration::from_secs(20);

fn replay(name: &str, seed: u64) -> String {
    format!("HYBI_SIM_SEED={seed} cargo test --features futures-io,deflate --test {name} -- --nocapture")
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|value| value.parse().expect("the variable must be a number"))
}

/// The current seed, for the watchdog.
static RUNNING: AtomicU64 = AtomicU64::new(u64::MAX);

/// Starts the watchdog. It ends the process if a run never ends, for example because a lock is taken twice.
fn watch(name: &'static str) {
    std::thread::spawn(move || {
        let mut before = u64::MAX;
        loop {
            std::thread::sleep(STUCK);
            let seed = RUNNING.load(Ordering::Relaxed);
            if seed == before && seed != u64::MAX {
                eprintln!("\n[11 stuck] a run does not end. To replay it:\n{}\n", replay(name, seed));
                std::process::exit(101);
            }
            before = seed;
        }
    });
}

/// Counts failed runs by category.
#[derive(Default)]
struct Survey(BTreeMap<String, (usize, u64, String)>);

impl Survey {
    fn run(&mut self, simulation: &Simulation, seed: u64, all: &mut Tally) {
        match catch_unwind(AssertUnwindSafe(|| (simulation.run)(seed, false))) {
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

impl Simulation {
    /// Runs the seeds that the environment asks for: see `tests/adapters_simulation.rs`.
    pub fn run_all(&self) {
        let (seed, seconds) = (number("HYBI_SIM_SEED"), number("HYBI_SIM_SECONDS"));
        let survey = number("HYBI_SIM_SURVEY").is_some();
        if let (Some(seed), None, None) = (seed, seconds, number("HYBI_SIM_RUNS")) {
            (self.run)(seed, true);
            return;
        }
        watch(self.name);
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let first = match (seed, seconds) {
            (Some(seed), _) => seed,
            (None, Some(_)) => since_1970.as_micros() as u64,
            (None, None) => 0,
        };
        if survey {
            std::panic::set_hook(Box::new(|_| {}));
        }
        let (mut all, mut failed) = (Tally::default(), Survey::default());
        let runs = number("HYBI_SIM_RUNS").unwrap_or(self.few);
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
                failed.run(self, seed, &mut all);
            } else if let Err(panic) = catch_unwind(AssertUnwindSafe(|| all.add(&(self.run)(seed, false)))) {
                eprintln!("\nTo replay the run step by step:\n{}\n", replay(self.name, seed));
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
            all.is_broad(self.without);
        }
    }
}
