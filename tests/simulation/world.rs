//! The whole simulation: two endpoints, the network between them, and the clock.
//!
//! A run performs random steps, and waits until both endpoints have nothing left to do. Then it closes them, and checks
//! that every message has arrived or that the outcome explains why not. Invariants are checked after each step.

use std::collections::BTreeMap;
use std::time::Duration;

use hybi::CloseState;
use hybi::{Config, Delivery, Instant, Outcome, Role};

use crate::end::{End, Memory, Reading, Setup};
use crate::network::Pipe;
use crate::support::cuts::Xorshift;

/// Maximum number of steps until both endpoints are at rest, and again until both connections have ended. No run needs
/// more.
const MAX_STEPS: usize = 100_000;

/// Number of times that each kind of event happened, in all runs and at both endpoints. The test fails if a kind never
/// happened, because such an event would not be tested.
#[derive(Default, Debug)]
pub struct Tally(BTreeMap<&'static str, usize>);

impl Tally {
    fn count(&mut self, what: &'static str, times: usize) {
        *self.0.entry(what).or_default() += times;
    }

    pub fn add(&mut self, other: &Self) {
        other.0.iter().for_each(|(what, times)| self.count(what, *times));
    }

    /// Asserts that each kind of event happened at least once.
    pub fn assert_broad(&self) {
        for (what, times) in &self.0 {
            assert!(*times > 0 || *what == "compressed" && !cfg!(feature = "deflate"), "{what}: none");
        }
    }
}

pub struct World<'m> {
    random: Xorshift,
    now: Instant,
    /// The client and the server.
    ends: [End<'m>; 2],
    /// The directions from the client and from the server.
    pipes: [Pipe; 2],
    setups: [Setup; 2],
    close_timeouts: [Duration; 2],
    /// When the tests saw each endpoint closing for the first time.
    closing_since: [Option<Instant>; 2],
    /// Maximum number of bytes in flight in one direction.
    window: usize,
    /// Minimum time that a byte is in flight.
    latency: Duration,
    /// Number of Pings and Pongs that the applications have sent. The payload of each contains the number at that time.
    count: u64,
    /// True after the network has reset both streams.
    reset: bool,
    /// True after the network has begun to lose everything silently.
    dead: bool,
    /// Whether each step is printed.
    trace: bool,
    /// Number of sends that failed with `SendError::Blocked`.
    held_back: usize,
}

fn millis(millis: usize) -> Duration {
    Duration::from_millis(millis as u64)
}

fn setup(random: &mut Xorshift, role: Role) -> (Setup, Duration) {
    let seconds = |random: &mut Xorshift| {
        let some = random.below(3) > 0;
        some.then(|| millis(500 + random.below(20_000)))
    };
    let close_timeout = millis(100 + random.below(10_000));
    let high_water = [1, 300, 5000, 64 << 10][random.below(4)];
    let delivery = if random.below(3) == 0 { Delivery::Chunks } else { Delivery::Whole };
    let config = Config::new()
        .delivery(delivery)
        .high_water(high_water)
        .ping_interval(seconds(random))
        .pong_timeout(seconds(random))
        .idle_timeout(seconds(random).map(|time| time * 4))
        .close_timeout(Some(close_timeout));
    let setup = Setup {
        role,
        config,
        high_water,
        delivery,
        #[cfg(feature = "deflate")]
        deflate: None,
        halves: random.below(3) == 0,
        reading: match random.below(4) {
            0 => Reading::Borrowed,
            1 => Reading::Landing,
            2 => Reading::Inbox,
            _ => slice_inbox(random),
        },
    };
    (setup, close_timeout)
}

/// Returns a [`Reading::SliceInbox`] whose memory has space for few of the messages, for some of them, or for all.
fn slice_inbox(random: &mut Xorshift) -> Reading {
    let read_buffer = [1 + random.below(20), 150, 5000, 100_000][random.below(4)];
    // Without a byte of memory, an inflated message could not be delivered.
    let message = [1 + random.below(20), 500, 400_000][random.below(3)];
    Reading::SliceInbox { read_buffer, message }
}

#[cfg(feature = "deflate")]
fn agree(random: &mut Xorshift, setups: [Setup; 2]) -> [Setup; 2] {
    use hybi::deflate::{Compression, Pool};
    use hybi::handshake::DeflateParams;

    // A compressor is expensive to create, so most runs have none.
    if random.below(4) > 0 {
        return setups;
    }
    let mut bits = || (random.below(2) == 0).then(|| 8 + random.below(8) as u8);
    let (server_max_window_bits, client_max_window_bits) = (bits(), bits());
    let agreed = DeflateParams {
        server_no_context_takeover: random.below(2) == 0,
        client_no_context_takeover: random.below(2) == 0,
        server_max_window_bits,
        client_max_window_bits,
    };
    setups.map(|setup| {
        let release_after = (random.below(2) == 0).then(|| millis(100 + random.below(3000)));
        let compression = Compression::new()
            .level(random.below(10) as u8)
            .memory_level(1 + random.below(4) as u8)
            .min_size(random.below(100))
            .release_after(release_after);
        let pool = (random.below(3) == 0).then(|| Pool::new(2));
        let config = setup.config.compression(compression).deflate_pool(pool);
        Setup { config, deflate: Some(agreed), ..setup }
    })
}

impl<'m> World<'m> {
    pub fn new(seed: u64, trace: bool, [client_memory, server_memory]: &'m mut [Memory; 2]) -> Self {
        let mut random = Xorshift::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let (client, client_close) = setup(&mut random, Role::Client);
        let (server, server_close) = setup(&mut random, Role::Server);
        let setups = [client, server];
        #[cfg(feature = "deflate")]
        let setups = agree(&mut random, setups);
        if trace {
            eprintln!("{setups:#?}");
        }
        Self {
            ends: [End::new(&setups[0], seed, client_memory), End::new(&setups[1], seed, server_memory)],
            pipes: Default::default(),
            setups,
            close_timeouts: [client_close, server_close],
            closing_since: [None; 2],
            now: Instant::ZERO,
            window: [200, 5000, 100_000][random.below(3)],
            latency: millis([0, 1, 40, 400][random.below(4)]),
            count: 0,
            reset: false,
            dead: false,
            trace,
            held_back: 0,
            random,
        }
    }

    pub fn run(mut self) -> Tally {
        let steps = 50 + self.random.below(250);
        for _ in 0..steps {
            self.step();
            self.check();
        }
        let quiet = self.come_to_rest();
        self.come_to_an_end();
        self.judge(quiet)
    }

    /// Prints a line if the run is traced.
    fn note(&self, what: impl FnOnce() -> String) {
        if self.trace {
            eprintln!("{:>12?} {}", self.now.since_origin(), what());
        }
    }

    /// Performs one random step.
    fn step(&mut self) {
        let side = self.random.below(2);
        match self.random.below(100) {
            0..=19 => self.say(side),
            20..=22 => {
                self.count += 1;
                self.note(|| format!("{side} pings"));
                self.ends[side].ping(self.now, self.count);
            }
            23 => {
                self.count += 1;
                self.ends[side].pong(self.count);
            }
            24 if self.random.below(12) == 0 => self.close(side),
            25 => {
                self.ends[side].release();
                #[cfg(feature = "deflate")]
                if self.random.below(2) == 0 {
                    self.ends[side].release_compression();
                }
            }
            26 if self.random.below(3) == 0 => {
                let by = millis(self.random.below(4000));
                self.note(|| format!("the network from {side} stalls for {by:?}"));
                self.pipes[side].stall(by);
            }
            27 if self.random.below(30) == 0 => {
                self.note(|| "the network resets".into());
                self.reset = true;
                let now = self.now;
                self.pipes.iter_mut().for_each(|pipe| pipe.reset(now));
            }
            28 if self.random.below(30) == 0 => {
                self.note(|| "the network dies".into());
                self.dead = true;
                self.pipes.iter_mut().for_each(Pipe::die);
            }
            29..=49 => drop(self.write(side)),
            50..=74 => drop(self.read(side)),
            75..=82 => drop(self.ends[side].apply_next(self.now)),
            83..=92 => {
                let by = millis(self.random.below(60));
                self.pass(self.now + by);
            }
            _ => drop(self.pass_to_next(Duration::from_secs(2))),
        }
        self.react(side);
    }

    fn say(&mut self, side: usize) {
        let before = self.ends[side].app.said.len();
        let (state, blocked) = (self.ends[side].state(), self.ends[side].app.blocked);
        self.ends[side].say(&mut self.random);
        let end = &self.ends[side];
        assert!(
            state == CloseState::Open || end.app.said.len() == before,
            "a message was accepted when closing"
        );
        self.held_back += usize::from(end.app.blocked && !blocked);
        self.note(|| format!("{side} has said {} messages, blocked {}", end.app.said.len(), end.app.blocked));
    }

    fn close(&mut self, side: usize) {
        let code = [1000, 1001, 3000, 4999][self.random.below(4)];
        self.note(|| format!("{side} closes with {code}"));
        self.ends[side].close(self.now, code);
    }

    /// Writes some of the queued output, at most as much as the network accepts.
    fn write(&mut self, side: usize) -> bool {
        let space = self.window.saturating_sub(self.pipes[side].in_flight());
        let most = [1 + self.random.below(20), 1400, usize::MAX][self.random.below(3)].min(space);
        let slots = [1, 3, 64][self.random.below(3)];
        let delay = self.latency + millis(self.random.below(20));
        let wrote = self.ends[side].write(self.now, &mut self.pipes[side], most, slots, delay);
        self.note(|| format!("{side} has written {} bytes", self.ends[side].watch.written));
        wrote
    }

    /// Reads some of the bytes that have arrived.
    fn read(&mut self, side: usize) -> bool {
        let most = [1 + self.random.below(20), 1400, 20_000, usize::MAX][self.random.below(4)];
        let now = self.now;
        let ([client, server], [from_client, from_server]) = (&mut self.ends, &mut self.pipes);
        let (end, other, pipe) =
            if side == 0 { (client, server, from_server) } else { (server, client, from_client) };
        let read = end.read(now, pipe, most, &other.app);
        let ended = pipe.has_ended(now);
        if ended {
            end.handle_end_of_stream();
        }
        self.note(|| format!("{side} has heard {} messages, ended {ended}", self.ends[side].app.heard));
        read
    }

    /// Does everything that a driver can do without waiting.
    fn react(&mut self, side: usize) -> bool {
        let now = self.now;
        let delay = self.latency;
        let ([client, server], [from_client, from_server]) = (&mut self.ends, &mut self.pipes);
        let (end, other, out, back) = if side == 0 {
            (client, server, from_client, from_server)
        } else {
            (server, client, from_server, from_client)
        };
        end.poll(now, &other.app);
        let acted = end.transport(now, out, back, delay);
        if acted {
            self.note(|| format!("{side} closes its half: {:?}", self.ends[side].app.outcome));
        }
        acted
    }

    /// Moves the clock to `now`, and handles due timers of both endpoints.
    fn pass(&mut self, now: Instant) {
        self.now = now;
        for side in 0..2 {
            let due = self.ends[side].deadline().is_some_and(|at| at <= now);
            // Some drivers call `handle_timeout` late, and some call it although no deadline is due.
            if due && self.random.below(5) > 0 || self.random.below(10) == 0 {
                self.note(|| format!("{side}: a timer, due {due}"));
                self.ends[side].handle_timeout(now);
            }
            self.react(side);
        }
    }

    /// Moves the clock to the next deadline or arrival, by at most `most`. Returns whether there was a deadline or
    /// arrival.
    fn pass_to_next(&mut self, most: Duration) -> bool {
        let arrivals = self.pipes.iter().filter_map(Pipe::next_arrival).filter(|at| *at > self.now);
        let deadlines = self.ends.iter().filter_map(End::deadline);
        let next = arrivals.chain(deadlines).min();
        self.pass(next.unwrap_or(self.now).clamp(self.now, self.now + most));
        next.is_some()
    }

    fn check(&mut self) {
        for side in 0..2 {
            let timeout = self.close_timeouts[side];
            self.ends[side].check(self.now, &self.ends[1 - side].app, timeout, &mut self.closing_since[side]);
        }
    }

    /// Does everything that needs no time. Returns whether anything was done.
    fn exchange(&mut self) -> bool {
        let mut busy = false;
        for side in 0..2 {
            busy |= self.write(side);
            busy |= self.read(side);
            while self.ends[side].apply_next(self.now) {
                busy = true;
            }
            busy |= self.react(side);
            self.check();
        }
        busy
    }

    /// Exchanges the remaining output until both endpoints have nothing left to do. Returns whether everything could be
    /// received.
    fn come_to_rest(&mut self) -> bool {
        for _ in 0..MAX_STEPS {
            if self.exchange() {
                continue;
            }
            let is_open = self.ends.iter().all(|end| end.state() == CloseState::Open);
            if !is_open || self.dead || self.reset {
                return false;
            }
            // Let the bytes in flight arrive.
            if let Some(next) = self.pipes.iter().filter_map(Pipe::next_arrival).min() {
                self.pass(next.max(self.now));
            } else if self.ends.iter().any(|end| end.app.is_open()) {
                self.ends.iter_mut().for_each(End::finish_message);
            } else {
                self.assert_quiet();
                return true;
            }
        }
        panic!("the endpoints exchange output without end");
    }

    /// Asserts that everything was written and read.
    fn assert_quiet(&self) {
        for (one, other) in [(0, 1), (1, 0)] {
            let (end, other) = (&self.ends[one], &self.ends[other]);
            self.note(|| format!("{one} is at rest"));
            assert_eq!(end.sender().buffered_amount(), 0);
            assert!(!end.app.blocked, "no Writable followed a blocked send");
            assert_eq!(end.app.heard, other.app.said.len(), "a message was not received");
            assert_eq!(end.app.heard, other.watch.messages);
            assert_eq!((end.app.pings, end.app.pongs), (other.watch.pings, other.watch.pongs));
            assert!(end.watch.own_pings.is_empty());
            // RFC 6455 5.5.2: at least the newest Ping was answered.
            assert_eq!(end.watch.unanswered.len(), 0, "a Ping was not answered");
            assert_eq!(end.sender().dropped(), 0);
        }
    }

    /// Closes both connections, unless they have ended before.
    fn come_to_an_end(&mut self) {
        let first = self.random.below(2);
        let both = self.dead || self.random.below(4) == 0;
        for side in if both { vec![first, 1 - first] } else { vec![first] } {
            if self.ends[side].state() == CloseState::Open {
                self.close(side);
            }
        }
        for _ in 0..MAX_STEPS {
            if self.exchange() {
                continue;
            }
            if self.ends.iter().all(End::is_over) && self.ends.iter().all(End::has_applied_all) {
                return;
            }
            // Sometimes only the end of the stream tells an endpoint that its peer has ended.
            assert!(
                self.pass_to_next(Duration::from_secs(3600)),
                "nothing is due, but the connections are not closed"
            );
        }
        panic!(
            "the connections do not close: {:?}",
            self.ends.each_ref().map(|end| (end.state(), end.app.outcome))
        );
    }

    /// Checks that every message was received, or that the outcome explains why not.
    fn judge(&self, quiet: bool) -> Tally {
        let mut tally = Tally::default();
        for (one, other) in [(0, 1), (1, 0)] {
            let (end, other) = (&self.ends[one], &self.ends[other]);
            let outcome = end.app.outcome.unwrap();
            self.note(|| format!("{one}: {outcome:?}, dropped {}", end.sender().dropped()));
            let (said, dropped) =
                (other.app.said.iter().filter(|said| said.whole).count(), other.sender().dropped());
            match outcome {
                Outcome::Clean { code } | Outcome::Unanswered { code } => {
                    // RFC 6455 7.1.4: a connection is closed cleanly only if both sides have sent a Close.
                    assert_eq!(outcome.is_clean(), end.watch.close.is_some(), "{outcome:?}");
                    let sent = other.watch.close.as_ref().expect("the peer sent no Close");
                    let sent = sent.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                    assert_eq!(code.get(), sent);
                    assert!(end.app.close_received.is_some());
                    assert!(
                        end.app.heard == said || dropped > 0,
                        "a message is missing, but the outcome hides that"
                    );
                }
                Outcome::Abnormal(_) => {
                    let gone = self.reset || matches!(other.app.outcome, Some(Outcome::TimedOut(_)));
                    // The end of the stream was reported before the peer's Close arrived.
                    assert!(
                        gone || other.sender().poll_transport().is_some(),
                        "the stream ended without a reason"
                    );
                }
                Outcome::TimedOut(_) => {}
                outcome => panic!("{outcome:?}: neither end breaks the protocol"),
            }
            let setup = &self.setups[one];
            tally.count("messages", end.app.heard);
            tally.count("pings", end.app.pings);
            tally.count("in chunks", usize::from(setup.delivery == Delivery::Chunks));
            tally.count("in halves", usize::from(setup.halves));
            let lent = matches!(setup.reading, Reading::SliceInbox { .. });
            tally.count("in a SliceInbox", usize::from(lent));
            tally.count("compressed", usize::from(setup.compressed()));
            tally.count("had messages dropped", usize::from(end.sender().dropped() > 0));
            for (name, is) in [
                ("ended clean", outcome.is_clean()),
                ("ended unanswered", matches!(outcome, Outcome::Unanswered { .. })),
                ("ended abnormally", matches!(outcome, Outcome::Abnormal(_))),
                ("timed out", matches!(outcome, Outcome::TimedOut(_))),
            ] {
                tally.count(name, usize::from(is));
            }
        }
        tally.count("sends held back", self.held_back);
        tally.count("came to rest", usize::from(quiet));
        tally.count("networks reset", usize::from(self.reset));
        tally.count("networks died", usize::from(self.dead));
        tally
    }
}
