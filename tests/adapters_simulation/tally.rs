//! Counts how often each kind of event has happened, to show that the runs are broad.
//!
//! A simulation could pass although it never resets a stream or never drops a call. So the tally of all runs must
//! contain each kind of event.

use std::collections::BTreeMap;

use hybi::Outcome;

use crate::record::{KnownEnd, Record, Shape};

#[derive(Default, Debug)]
pub struct Tally(BTreeMap<&'static str, usize>);

impl Tally {
    pub fn count(&mut self, what: &'static str, times: usize) {
        *self.0.entry(what).or_default() += times;
    }

    /// Records the maximum over all runs.
    pub fn most(&mut self, what: &'static str, value: usize) {
        let most = self.0.entry(what).or_default();
        *most = value.max(*most);
    }

    pub fn add(&mut self, other: &Self) {
        for (what, times) in &other.0 {
            if what.starts_with("most ") { self.most(what, *times) } else { self.count(what, *times) }
        }
    }

    pub fn count_end(&mut self, record: &Record) {
        let known_end = record.known_end.map(|(_, known_end)| known_end);
        for (name, is) in [
            ("whole", record.shape == Shape::Whole),
            ("halves", record.shape == Shape::Halves),
            ("futures halves", record.shape == Shape::FuturesHalves),
            ("scripted", record.shape == Shape::Scripted),
            ("clean", matches!(known_end, Some(KnownEnd::Outcome(Outcome::Clean { .. })))),
            ("unanswered", matches!(known_end, Some(KnownEnd::Outcome(Outcome::Unanswered { .. })))),
            ("abnormal", matches!(known_end, Some(KnownEnd::Outcome(Outcome::Abnormal(_))))),
            ("timed out", matches!(known_end, Some(KnownEnd::Outcome(Outcome::TimedOut(_))))),
            ("abandoned", record.abandoned),
            ("had messages dropped", record.dropped.is_some_and(|dropped| dropped > 0)),
        ] {
            self.count(name, usize::from(is));
        }
    }

    /// Asserts that every kind of event has happened at least once, except those in `cannot`.
    pub fn is_broad(&self, cannot: &[&str]) {
        for (what, times) in &self.0 {
            let known = cannot.contains(what);
            // A maximum may be zero. For example, `run.rs` does not count the first MiB that a run reallocates.
            assert!(*times > 0 || known || what.starts_with("most "), "{what}: none");
        }
    }
}
