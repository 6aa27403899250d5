//! All orders of events while a client connects to up to four addresses (RFC 8305 section 5).
//!
//! The search tries every order of polls, failures, successes and steps of time. [`Rules`] is a simple model of the
//! rules: it keeps the complete record of an order, and derives the expected action from this record. At each step, the
//! action of [`Dialing`] must be the expected one.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use hybi::Instant;
use hybi::dial::{Action, DialError, Dialing};

const STAGGER: u64 = 250;

fn at(millis: u64) -> Instant {
    Instant::from_origin(Duration::from_millis(millis))
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Happened {
    Started(usize),
    Failed(usize),
    Won(usize),
    TimedOut,
}

/// The model: the record of all events, each with its time in milliseconds.
#[derive(Clone, Debug)]
struct Rules {
    addresses: usize,
    deadline: Option<u64>,
    record: Vec<(u64, Happened)>,
}

impl Rules {
    fn happened(&self, what: Happened) -> bool {
        self.record.iter().any(|(_, happened)| *happened == what)
    }

    fn started(&self) -> usize {
        (0..self.addresses).filter(|index| self.happened(Happened::Started(*index))).count()
    }

    /// Returns the attempts that have started and have no result.
    fn running(&self) -> Vec<usize> {
        let ended = |index| self.happened(Happened::Failed(index)) || self.happened(Happened::Won(index));
        (0..self.addresses)
            .filter(|index| self.happened(Happened::Started(*index)) && !ended(*index))
            .collect()
    }

    /// Returns when the next attempt may start: at once after a failure, otherwise after the stagger.
    fn next_start(&self) -> u64 {
        let is_start = |happened: &Happened| matches!(happened, Happened::Started(_));
        let Some(last) = self.record.iter().rposition(|(_, happened)| is_start(happened)) else { return 0 };
        let after = &self.record[last + 1..];
        match after.iter().find(|(_, happened)| matches!(happened, Happened::Failed(_))) {
            Some((time, _)) => *time,
            None => self.record[last].0 + STAGGER,
        }
    }

    fn expected(&self, now: u64) -> Action {
        for (_, happened) in &self.record {
            match happened {
                Happened::Won(index) => return Action::Connected(*index),
                Happened::TimedOut => return Action::Failed(DialError::TimedOut),
                _ => {}
            }
        }
        if self.addresses == 0 {
            return Action::Failed(DialError::NoAddress);
        }
        if (0..self.addresses).all(|index| self.happened(Happened::Failed(index))) {
            return Action::Failed(DialError::AllFailed);
        }
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            return Action::Failed(DialError::TimedOut);
        }
        let next = (self.started() < self.addresses).then(|| self.next_start());
        match (next, self.deadline) {
            (Some(next), _) if next <= now => Action::Start(self.started()),
            (Some(next), Some(deadline)) => Action::Wait(Some(at(next.min(deadline)))),
            (next, deadline) => Action::Wait(next.or(deadline).map(at)),
        }
    }
}

/// The number of orders for each kind of end, and the number of steps of all orders.
#[derive(Default, Debug)]
struct Tally {
    connected: usize,
    all_failed: usize,
    timed_out: usize,
    /// All attempts hang, and there is no deadline.
    hangs: usize,
    steps: usize,
}

/// Tries every continuation. `wait` is the wait that the last poll has returned, or `None` if an event has happened
/// since that poll.
fn search(dialing: &Dialing, rules: &Rules, now: u64, wait: Option<Option<u64>>, tally: &mut Tally) {
    tally.steps += 1;
    assert_eq!(dialing.running().collect::<Vec<_>>(), rules.running());
    let mut moves = 0;
    // The attempts end in every order. Several may end between two polls.
    for index in rules.running() {
        for happened in [Happened::Failed(index), Happened::Won(index)] {
            let (mut dialing, mut rules) = (dialing.clone(), rules.clone());
            rules.record.push((now, happened));
            if happened == Happened::Failed(index) {
                dialing.failed(index);
                search(&dialing, &rules, now, None, tally);
            } else {
                assert!(dialing.succeeded(index));
                finish(&mut dialing, &rules, now, Action::Connected(index));
                tally.connected += 1;
            }
            moves += 1;
        }
    }
    match wait {
        // An event has happened since the last poll.
        None => poll(dialing, rules, now, tally),
        // Time passes, to the middle of the wait and to its end.
        Some(Some(until)) => {
            // Time stops in the middle only once after each event, so that the number of orders stays small.
            if rules.record.last().is_some_and(|(time, _)| *time == now) {
                search(dialing, rules, now.midpoint(until), None, tally);
            }
            search(dialing, rules, until, None, tally);
        }
        Some(None) => {
            assert!(moves > 0, "the client waits for nothing: {rules:?}");
            tally.hangs += 1;
        }
    }
}

fn poll(dialing: &Dialing, rules: &Rules, now: u64, tally: &mut Tally) {
    let (mut dialing, mut rules) = (dialing.clone(), rules.clone());
    let action = dialing.poll(at(now));
    assert_eq!(action, rules.expected(now), "at {now}: {rules:?}");
    match action {
        Action::Start(index) => {
            rules.record.push((now, Happened::Started(index)));
            search(&dialing, &rules, now, None, tally);
        }
        Action::Wait(until) => {
            let until = until.map(|until| u64::try_from(until.since_origin().as_millis()).unwrap());
            assert!(until.is_none_or(|until| until > now), "a wait that is over: {rules:?}");
            search(&dialing, &rules, now, Some(until), tally);
        }
        Action::Connected(_) => panic!("no attempt has succeeded: {rules:?}"),
        Action::Failed(error) => {
            match error {
                DialError::AllFailed => tally.all_failed += 1,
                DialError::TimedOut => tally.timed_out += 1,
                error => assert_eq!((error, rules.addresses), (DialError::NoAddress, 0)),
            }
            if error == DialError::TimedOut {
                rules.record.push((now, Happened::TimedOut));
            }
            finish(&mut dialing, &rules, now, action);
        }
    }
}

/// Checks the end of an order: the action does not change, `running` returns all attempts that lost, and a late success
/// does not win.
fn finish(dialing: &mut Dialing, rules: &Rules, now: u64, last: Action) {
    assert_eq!(dialing.running().collect::<Vec<_>>(), rules.running());
    for later in [now, now + 1, now + 10_000] {
        assert_eq!(dialing.poll(at(later)), last);
    }
    for index in rules.running() {
        assert!(!dialing.succeeded(index), "a second winner: {rules:?}");
    }
    assert_eq!(dialing.running().next(), None);
    assert_eq!(dialing.poll(at(now)), last);

    let starts: Vec<(usize, u64)> = rules
        .record
        .iter()
        .enumerate()
        .filter(|(_, (_, happened))| matches!(happened, Happened::Started(_)))
        .map(|(place, (time, _))| (place, *time))
        .collect();
    for pair in starts.windows(2) {
        let between = &rules.record[pair[0].0..pair[1].0];
        let failed = between.iter().any(|(_, happened)| matches!(happened, Happened::Failed(_)));
        assert!(failed || pair[1].1 - pair[0].1 >= STAGGER, "two starts within the stagger: {rules:?}");
    }
    if last == Action::Failed(DialError::AllFailed) {
        assert_eq!(starts.len(), rules.addresses, "an address was not tried: {rules:?}");
    }
}

#[test]
fn s8305_5_every_order_of_results_and_polls_follows_the_rules() {
    for deadline in [None, Some(0), Some(250), Some(300), Some(600)] {
        for count in 0..=4 {
            let mut addresses: Vec<SocketAddr> =
                (0..count).map(|port| SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)).collect();
            let dialing = Dialing::new(&mut addresses).deadline(deadline.map(at));
            let rules = Rules { addresses: addresses.len(), deadline, record: Vec::new() };
            let mut tally = Tally::default();
            search(&dialing, &rules, 0, None, &mut tally);
            println!("{count} addresses, deadline {deadline:?}: {tally:?}");
            // The search includes each order in which all attempts fail.
            let factorial: usize = (1..=addresses.len()).product();
            let enough_time = deadline.is_none_or(|deadline| deadline > 600);
            assert!(count == 0 || !enough_time || tally.all_failed >= factorial, "{tally:?}");
        }
    }
}
