//! Runs the test vectors. The input of each case is cut in many ways, and the outcome must always be the same.
//!
//! `tests/vectors/README.md` describes the format, and the rules that apply to all cases. If the environment variable
//! `HYBI_VECTORS` names a directory, the files of that directory run instead.
#![cfg(feature = "alloc")]
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::collections::{BTreeMap, HashSet};
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, fs, io, thread};

use serde_json::Value;

use support::case::{Judged, Verdict};
use support::{frames, handshake};

mod support;

type Judge = fn(&Value) -> Judged;

/// The function that judges the cases of each file.
const RUNNERS: [(&str, Judge); 4] = [
    ("deflate.jsonl", handshake::judge_deflate),
    ("frames.jsonl", frames::judge),
    ("handshake_client.jsonl", handshake::judge_client),
    ("handshake_server.jsonl", handshake::judge_server),
];

/// The cases in which this crate deliberately has an alternative outcome (`alt`), which the RFCs also permit.
///
/// An entry is the file, the id of the case, and the reason. A `*` at the end of an id stands for any further
/// characters. Each entry must match a case in `tests/vectors`.
const DELIBERATE_ALTERNATIVES: [(&str, &str, &str); 1] = [(
    "frames.jsonl",
    "pmd-window9-exceeded*",
    "the inflater always has a window of 32 KiB, and does not report how far back a match refers",
)];

#[test]
fn each_vector_has_the_same_expected_outcome_at_every_cut() {
    let dir = env::var_os("HYBI_VECTORS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors"), PathBuf::from);
    let mut tallies = BTreeMap::new();
    let mut todo = Vec::new();
    for file in files(&dir) {
        let Some((file, judge)) = RUNNERS.iter().find(|(name, _)| *name == file) else {
            panic!("there is no function that judges {file} in {}", dir.display());
        };
        tallies.insert(*file, Tally::default());
        let cases = cases(file, &fs::read_to_string(dir.join(file)).unwrap());
        todo.extend(cases.into_iter().map(|case| (*file, case, *judge)));
    }
    if env::var_os("HYBI_VECTORS").is_none() {
        // Another directory (`HYBI_VECTORS`) need not contain every case.
        for (file, pattern, _) in &DELIBERATE_ALTERNATIVES {
            let names = |of: &str, case: &Value| {
                of == *file && matches_pattern(pattern, case["id"].as_str().unwrap())
            };
            let known = todo.iter().any(|(of, case, _)| names(of, case));
            assert!(known, "DELIBERATE_ALTERNATIVES names {pattern} in {file}, but no case has such an id");
        }
    }
    for (file, case, judged) in judge_all(&todo) {
        tallies.get_mut(file).unwrap().count(file, case, judged);
    }
    let report: String = tallies.iter().map(|(file, tally)| tally.report(file)).collect();
    // The test harness hides what passing tests print, except for direct writes to stderr. Skipped cases must be
    // visible.
    writeln!(io::stderr(), "\n{report}").unwrap();
    assert!(tallies.values().all(|tally| tally.failed.is_empty()), "cases failed");
}

/// Judges all cases, with one thread for each core. Returns the verdicts in the order of the cases.
fn judge_all<'a>(todo: &'a [(&'a str, Value, Judge)]) -> Vec<(&'a str, &'a Value, Judged)> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some((file, case, judge)) = todo.get(at) else { return done };
            let judged = catch_unwind(AssertUnwindSafe(|| judge(case)));
            let judged = judged.unwrap_or_else(|_| Err("the case panicked, see above".into()));
            done.push((at, (*file, case, judged)));
        }
    };
    let mut done: Vec<_> = thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, judged)| judged).collect()
}

/// Returns the names of the files with test vectors.
fn files(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.ends_with(".jsonl")).collect();
    names.sort();
    assert!(!names.is_empty(), "no vectors in {}", dir.display());
    names
}

fn cases(file: &str, text: &str) -> Vec<Value> {
    let mut ids = HashSet::new();
    let lines = text.lines().enumerate().filter(|(_, json)| !json.trim().is_empty());
    lines
        .map(|(line, json)| {
            let case: Value =
                serde_json::from_str(json).unwrap_or_else(|error| panic!("{file}:{}: {error}", line + 1));
            let id = case["id"].as_str().unwrap_or_else(|| panic!("{file}:{}: the case has no id", line + 1));
            assert!(ids.insert(id.to_owned()), "{file}: the id {id} is used twice");
            case
        })
        .collect()
}

#[derive(Default)]
struct Tally {
    passed: usize,
    alt: Vec<String>,
    skipped: BTreeMap<&'static str, usize>,
    failed: Vec<String>,
}

impl Tally {
    fn count(&mut self, file: &str, case: &Value, judged: Judged) {
        let id = case["id"].as_str().unwrap_or_default();
        match judged {
            Ok(Verdict::Passed) => self.passed += 1,
            Ok(Verdict::Skipped(why)) => *self.skipped.entry(why).or_default() += 1,
            Ok(Verdict::Alt(index)) => match reason(file, id) {
                Some(reason) => self.alt.push(format!("{id}: alt {index}: {reason}")),
                None => self.failed.push(format!(
                    "{id}: the outcome is alt {index}, but DELIBERATE_ALTERNATIVES has no entry for it"
                )),
            },
            Err(what) => self.failed.push(format!("{id} ({}, {}): {what}", case["rfc"], case["why"])),
        }
    }

    fn report(&self, file: &str) -> String {
        let (alt, skipped, failed) =
            (self.alt.len(), self.skipped.values().sum::<usize>(), self.failed.len());
        let mut report =
            format!("{file}: {} passed, {alt} alt, {skipped} skipped, {failed} failed\n", self.passed);
        for (why, count) in &self.skipped {
            report += &format!("  skipped {count}: {why}\n");
        }
        for line in &self.alt {
            report += &format!("  {line}\n");
        }
        for line in &self.failed {
            report += &format!("  FAILED {line}\n");
        }
        report
    }
}

/// Returns the reason in [`DELIBERATE_ALTERNATIVES`] for this case, if there is an entry.
fn reason(file: &str, id: &str) -> Option<&'static str> {
    DELIBERATE_ALTERNATIVES
        .iter()
        .find(|(of, pattern, _)| *of == file && matches_pattern(pattern, id))
        .map(|(.., reason)| *reason)
}

/// Returns whether the pattern of an entry in [`DELIBERATE_ALTERNATIVES`] matches `id`.
fn matches_pattern(pattern: &str, id: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == id, |start| id.starts_with(start))
}
