//! The world of a run: threads, two endpoints, the links between their streams, the journals of their applications,
//! and the clock.
//!
//! The world also decides which thread runs next, and moves the clock when all threads wait. It limits
//! the calls, the deadlines and the time of a run, so a busy loop or a hang becomes a failure.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt::Display;
use std::time::Duration;

use hybi::Instant;

use crate::draw::{MS, NetworkEvents, OVER, SECOND};
use crate::journal::Journal;
use crate::link::{self, Link};
use crate::record::{CallKind, Record};
use crate::script::Peer;
use crate::setup::Setup;
use crate::stream;
use crate::support::cuts::Xorshift;

/// Maximum virtual time of a run.
const MAX_TIME: u64 = 600 * SECOND;
/// Maximum number of calls on streams in a row during which no time passes and no byte is moved.
const MAX_IDLE_CALLS: u64 = 2000;
/// Maximum number of calls on streams in a run. The maximum is the sum of this constant, [`MAX_CALLS_EACH`] for each
/// event and passed deadline, one for each five bytes moved, and five for each call that finds nothing to do.
const MAX_CALLS: u64 = 500;
const MAX_CALLS_EACH: u64 = 16;
/// Maximum number of calls in a run that find nothing to do and do not wait. The maximum is the sum of [`MAX_CALLS`],
/// and this constant for each event and each passed deadline. These calls are frequent, because a call that waits for a
/// deadline within a millisecond polls its stream repeatedly.
const MAX_LOOKS_EACH: u64 = 60;
/// Maximum number of deadlines that pass in a run. The maximum is the sum of this constant, and one for each thread in
/// each [`DEADLINE_EACH`] of time. If a stream has no nonblocking mode, the library looks for input with waits of a
/// millisecond, so twice as many deadlines may pass.
const MAX_DEADLINES: u64 = 500;
const DEADLINE_EACH: u64 = 4 * MS;

/// Fails the run. The category comes first, so that a survey can count it.
macro_rules! fail {
    ($category:literal, $($what:tt)*) => { panic!("[{}] {}", $category, format_args!($($what)*)) };
}
pub(crate) use fail;

/// An event of the simulation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Due {
    /// Bytes or the end of the stream arrive at the reader of a link.
    Arrive(usize),
    /// The writer of a link learns that bytes were read.
    Space(usize),
    /// The stream of an endpoint is reset.
    Reset(usize),
    /// From now on all writes to the stream of an endpoint fail, and its reads go on.
    FailWrites(usize),
    /// The network is cut. From now on nothing arrives.
    Cut,
    /// The network stalls: for some time nothing arrives.
    Stall,
    /// A scripted peer acts.
    Play(usize),
}

/// The condition that a thread waits for.
#[derive(Clone, Copy, Debug)]
pub enum Wait {
    /// The thread can run, and only waits for the baton.
    Turn,
    /// Input of an endpoint: bytes or the end of the stream.
    Read(usize),
    /// Space to write at an endpoint.
    Write(usize),
    /// Input or space to write. The flags tell which of them the thread waits for.
    Poll(usize, [bool; 2]),
    /// The lock that the halves of an endpoint share.
    Out(usize),
    /// The application of an endpoint has learned that the connection is over.
    KnownEnd(usize),
    /// Only the deadline of the thread.
    Time,
    /// The short time that a call takes if it finds nothing to do.
    Moment,
}

/// A thread of a run.
#[derive(Debug)]
pub struct Thread {
    /// Index of this thread's pending call in `Record::calls` of its endpoint. The thread with index 0 receives.
    pub slot: usize,
    /// The condition and the deadline for which the thread waits; `None` while the thread runs.
    pub waits: Option<(Wait, Option<u64>)>,
    pub done: bool,
}

pub struct World {
    pub threads: Vec<Thread>,
    /// The thread that holds the baton.
    pub running: usize,
    pub over: bool,
    pub failure: Option<String>,
    now: u64,
    /// The time that the library sees at the start of a run, in nanoseconds.
    origin: u64,
    heap: BinaryHeap<Reverse<(u64, u64, Due)>>,
    /// The bytes sent by each endpoint.
    pub links: [Link; 2],
    pub streams: [stream::State; 2],
    pub ends: [Record; 2],
    /// The messages of each endpoint.
    pub journals: [Journal; 2],
    pub peers: [Option<Box<Peer>>; 2],
    /// The thread that owns the lock that the halves of an endpoint share. In this model, a sending thread owns the
    /// lock during its whole call. The reader owns the lock during a call on the writing handle. Only in these two
    /// cases does a thread pass the baton while it holds the real lock.
    pub out_owner: [Option<usize>; 2],
    pub network_events: NetworkEvents,
    /// The time within which a scripted peer answers a Ping, in nanoseconds. `None` if there is no such time.
    pub answers_within: [Option<u64>; 2],
    /// The time since which an endpoint has had input to read.
    pub readable_since: [Option<u64>; 2],
    /// The time since which an endpoint has had space to write.
    pub writable_since: [Option<u64>; 2],
    /// The time at which the application of an endpoint last received again after a pause.
    pub rested: [u64; 2],
    /// The time of the last call of an endpoint.
    pub called: [u64; 2],
    /// The time at which bytes of an endpoint were last put on its link.
    pub put_at: [u64; 2],
    /// Since bytes of the peer last arrived, the stream of an endpoint was full and a later write progressed. The
    /// library may not notice this, because it sees only how long its calls take.
    pub went_on: [bool; 2],
    pub compresses: bool,
    /// The network was cut.
    pub cut: bool,
    /// A stream was reset.
    pub reset: bool,
    /// Percentage of the calls on a stream that first pass the baton.
    switches: usize,
    random: Xorshift,
    trace: bool,
    pub calls: u64,
    pub happened: u64,
    pub deadlines: u64,
    pub looks: u64,
    idle_calls: u64,
}

impl World {
    pub fn new(
        seed: u64,
        setup: &Setup,
        ends: [Record; 2],
        peers: [Option<Box<Peer>>; 2],
        threads: Vec<Thread>,
        trace: bool,
    ) -> Self {
        let latency = |link: link::Habits| link.latency + link.jitter + link.acknowledged;
        let there_and_back = setup.links.map(latency).iter().sum::<u64>();
        let answers_within = setup.ends.each_ref().map(|end| {
            let answers = end.script.is_some_and(|script| script.answers_at_once());
            answers.then_some(there_and_back)
        });
        Self {
            threads,
            running: usize::MAX,
            over: false,
            failure: None,
            now: 0,
            origin: [0, 3600 * SECOND][seed as usize % 2],
            heap: BinaryHeap::new(),
            links: setup.links.map(|habits| Link::new(habits, false)),
            streams: setup.ends.each_ref().map(|end| stream::State::new(end.behavior.clone())),
            ends,
            journals: Default::default(),
            peers,
            out_owner: [None; 2],
            network_events: setup.network_events,
            answers_within,
            readable_since: [None; 2],
            writable_since: [Some(0); 2],
            rested: [0; 2],
            called: [0; 2],
            put_at: [0; 2],
            went_on: [false; 2],
            compresses: setup.ends[0].making.deflate.is_some(),
            cut: false,
            reset: false,
            switches: setup.switches,
            random: Xorshift::new(seed ^ 0xDECADE),
            trace,
            calls: 0,
            happened: 0,
            deadlines: 0,
            looks: 0,
            idle_calls: 0,
        }
    }

    /// Returns the time since the start of the run, in nanoseconds.
    pub const fn now(&self) -> u64 {
        self.now
    }

    /// Returns the time that the library sees.
    pub const fn instant(&self) -> Instant {
        Instant::from_origin(Duration::from_nanos(self.origin + self.now))
    }

    /// Prints an event when a run is replayed.
    pub fn note<T: Display>(&self, what: impl FnOnce() -> T) {
        if self.trace {
            eprintln!("{:>12.6} ms  {}", self.now as f64 / 1e6, what());
        }
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.random.next() % bound }
    }

    pub fn chance(&mut self, of: usize, out_of: u64) -> bool {
        of > 0 && (self.below(out_of) as usize) < of
    }

    /// Schedules an event.
    pub fn at(&mut self, time: u64, due: Due) {
        let order = self.random.next();
        self.heap.push(Reverse((time.max(self.now), order, due)));
    }

    // --- choosing the next thread ---

    /// Returns whether this condition holds.
    pub fn holds(&self, wait: Wait) -> bool {
        let readable = |end: usize| self.links[1 - end].is_ready() || self.streams[end].is_aborted();
        let writable = |end: usize| {
            let stream = &self.streams[end];
            self.links[end].is_writable() || stream.is_aborted() || stream.writes_fail
        };
        match wait {
            Wait::Turn => true,
            Wait::Read(end) => readable(end),
            Wait::Write(end) => writable(end),
            Wait::Poll(end, [read, write]) => read && readable(end) || write && writable(end),
            Wait::Out(end) => self.out_owner[end].is_none(),
            Wait::KnownEnd(end) => self.ends[end].known_end.is_some() || self.ends[end].reader_gone,
            Wait::Time | Wait::Moment => false,
        }
    }

    /// Decides whether the baton is passed before a call.
    pub fn switches(&mut self) -> bool {
        let switches = self.switches;
        self.chance(switches, 100)
    }

    /// Counts a call on a stream.
    pub fn count_call(&mut self) {
        self.calls += 1;
        self.idle_calls += 1;
        if self.idle_calls > MAX_IDLE_CALLS {
            fail!("13 busy", "streams are called endlessly, and nothing happens");
        }
        let moved: u64 = self.streams.iter().map(|stream| stream.moved).sum();
        let most = MAX_CALLS + MAX_CALLS_EACH * (self.happened + self.deadlines) + 5 * self.looks + moved / 5;
        if self.calls > most {
            fail!("13 calls", "{} calls for {} events", self.calls, self.happened);
        }
        if self.looks > MAX_CALLS + MAX_LOOKS_EACH * (self.happened + self.deadlines) {
            fail!("13 looks", "{} calls found nothing to do, for {} events", self.looks, self.happened);
        }
        let can_look = self.streams.iter().all(|stream| stream.behavior.nonblocking);
        let each = if can_look { DEADLINE_EACH } else { DEADLINE_EACH / 2 };
        let most = MAX_DEADLINES + self.now / each * self.threads.len() as u64;
        if self.deadlines > most {
            fail!("13 deadlines", "{} deadlines in {:?}", self.deadlines, Duration::from_nanos(self.now));
        }
    }

    /// Records that bytes were moved.
    pub const fn is_busy_for_a_reason(&mut self) {
        self.idle_calls = 0;
    }

    /// Chooses the next thread. Moves the clock if all threads wait. Returns `None` if all threads have ended.
    pub fn choose(&mut self) -> Option<usize> {
        loop {
            let can_run = |thread: &Thread| match thread.waits {
                _ if thread.done => false,
                Some((wait, deadline)) => self.holds(wait) || deadline.is_some_and(|at| at <= self.now),
                None => true,
            };
            let ready: Vec<_> =
                (0..self.threads.len()).filter(|place| can_run(&self.threads[*place])).collect();
            if !ready.is_empty() {
                let chosen = self.random.below(ready.len());
                return Some(ready[chosen]);
            }
            if self.threads.iter().all(|thread| thread.done) {
                return None;
            }
            self.check_waiting();
            self.move_on();
        }
    }

    /// Moves the clock to the next event or deadline.
    fn move_on(&mut self) {
        let waiting = self.threads.iter().filter(|thread| !thread.done);
        let (deadline, counts) = waiting
            .filter_map(|thread| {
                thread.waits.and_then(|(wait, at)| Some((at?, !matches!(wait, Wait::Moment))))
            })
            .min()
            .unzip();
        let event = self.heap.peek().map(|Reverse((at, ..))| *at);
        let Some(next) = [deadline, event].into_iter().flatten().min() else {
            fail!("8 hang", "all threads wait, and nothing will wake them");
        };
        self.now = next.max(self.now);
        if self.now > MAX_TIME {
            fail!("7 no end", "the run does not end");
        }
        self.idle_calls = 0;
        for end in 0..2 {
            self.record_idleness(end);
        }
        if event.is_some_and(|at| at <= self.now) {
            let Some(Reverse((_, _, due))) = self.heap.pop() else { return };
            self.happened += 1;
            self.happen(due);
        } else {
            self.deadlines += u64::from(counts == Some(true));
        }
        self.look_at_links();
    }

    /// Records the times since which links can be read and written.
    pub fn look_at_links(&mut self) {
        for end in 0..2 {
            let (readable, writable) = (self.links[1 - end].is_readable(), self.links[end].is_writable());
            let since = |since: Option<u64>, is: bool| is.then(|| since.unwrap_or(self.now));
            self.readable_since[end] = since(self.readable_since[end], readable);
            self.writable_since[end] = since(self.writable_since[end], writable);
        }
    }

    // --- events ---

    fn happen(&mut self, due: Due) {
        let now = self.now;
        self.note(|| format!("{due:?}"));
        match due {
            Due::Arrive(source) => self.arrive(source),
            Due::Space(end) => {
                self.links[end].acknowledge();
                self.play(end);
            }
            Due::Reset(end) => self.reset_stream(end),
            Due::FailWrites(end) => self.streams[end].writes_fail = true,
            Due::Cut => {
                self.cut = true;
                self.links.iter_mut().for_each(Link::die);
            }
            Due::Stall => {
                let until = self.network_events.stall.map_or(now, |(_, until)| until);
                for end in 0..2 {
                    if let Some(at) = self.links[end].stall(until) {
                        self.at(at, Due::Arrive(end));
                    }
                }
            }
            Due::Play(end) => self.play(end),
        }
    }

    fn arrive(&mut self, source: usize) {
        let now = self.now;
        let end = 1 - source;
        let (len, ended) = self.links[source].arrive(now);
        let (gone, latency) = (self.links[source].reader_gone, self.links[source].habits.latency);
        if len == 0 && !ended {
            return;
        }
        if gone {
            // Bytes that arrive after the reader is gone cause a reset.
            if len > 0 {
                self.at(now + latency, Due::Reset(source));
            }
            return;
        }
        self.note(|| format!("{len} bytes arrive at {end}, ended {ended}"));
        if len > 0 {
            self.ends[end].arrived(now);
            self.went_on[end] = false;
        }
        self.play(end);
    }

    /// Delivers a reset to the stream of an endpoint.
    fn reset_stream(&mut self, end: usize) {
        self.note(|| format!("the stream of {end} is reset"));
        if self.cut && self.peers[end].is_none() && self.now < OVER {
            return;
        }
        self.reset = true;
        let harsh = self.network_events.harsh;
        self.links[1 - end].break_reader(harsh);
        self.links[end].broken = true;
        self.play(end);
    }

    /// Shuts down the stream of an endpoint for writing.
    pub fn finish(&mut self, end: usize) {
        self.links[end].shut_down = true;
        let jitter = self.links[end].habits.jitter;
        let jitter = self.below(jitter);
        let now = self.now;
        if let Some(at) = self.links[end].finish(now, jitter) {
            self.note(|| format!("{end} closes its half"));
            self.at(at, Due::Arrive(end));
        }
    }

    /// Handles the drop of an endpoint's stream.
    pub fn close_stream(&mut self, end: usize) {
        self.note(|| format!("{end} drops its stream"));
        let unread = self.links[1 - end].readable() > 0;
        self.links[1 - end].reader_gone = true;
        if unread && !self.links[end].broken {
            // As in TCP, a stream that is closed with unread input resets its peer.
            let now = self.now;
            let at = self.links[end].arrival(now, 0);
            self.at(at, Due::Reset(1 - end));
        } else {
            self.finish(end);
        }
    }

    /// Puts as many bytes on the link of an endpoint as there is space for. Returns their number. `shows` means that
    /// the library notices the progress.
    pub fn put(&mut self, end: usize, bytes: &[u8], shows: bool) -> usize {
        let now = self.now;
        let len = bytes.len().min(self.links[end].space_left());
        let jitter = self.links[end].habits.jitter;
        let jitter = self.below(jitter);
        let link = &mut self.links[end];
        let (before, pings) = (link.sent.close.is_some(), link.sent.pings.len());
        let arrives = (len > 0).then(|| link.write(now, jitter, &bytes[..len])).flatten();
        let closes = !before && link.sent.close.is_some();
        let pings = link.sent.pings.len() > pings;
        if let Some(at) = arrives {
            self.at(at, Due::Arrive(end));
        }
        let state = &mut self.streams[end];
        let blocked = std::mem::replace(&mut state.blocked, len < bytes.len());
        if len > 0 || state.blocked_since.is_none() {
            state.blocked_since = state.blocked.then_some(now);
        }
        if len > 0 {
            self.ends[end].wrote(now, blocked, shows && !closes, pings);
            self.put_at[end] = now;
            self.went_on[end] |= blocked;
            self.writable_since[end] = None;
            self.look_at_links();
        }
        if closes {
            self.close_written(end);
        }
        len
    }

    /// Reads bytes from the link to an endpoint. Returns their number.
    pub fn take(&mut self, end: usize, to: &mut [u8]) -> usize {
        let now = self.now;
        let link = &mut self.links[1 - end];
        let len = link.read(now, to);
        let at = now + link.habits.acknowledged;
        if len > 0 {
            self.at(at, Due::Space(1 - end));
            self.readable_since[end] = None;
            self.look_at_links();
        }
        len
    }

    /// Records that the Close of an endpoint was written completely to the link.
    fn close_written(&mut self, end: usize) {
        let now = self.now;
        let code = self.links[end].sent.close_code();
        self.note(|| format!("{end} has written its Close: {code:?}"));
        // A Close with code 1011 is sent because a Pong is missing. After this Close, the connection does not wait for
        // an answer.
        if code != Some(1011) {
            self.ends[end].closes(now, false);
        }
        self.check_close(end);
    }

    /// Lets a scripted peer do everything that is possible now.
    pub fn play(&mut self, end: usize) {
        if let Some(mut peer) = self.peers[end].take() {
            peer.play(self, end);
            self.peers[end] = Some(peer);
        }
    }

    /// Returns whether a call of this kind is pending at an endpoint.
    pub fn is_in(&self, end: usize, kind: CallKind) -> bool {
        self.ends[end].calls.iter().flatten().any(|call| call.kind == kind)
    }
}
