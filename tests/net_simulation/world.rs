//! The world of a run: threads, two ends, the links between their streams, what their applications have said, and the
//! clock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt::Display;
use std::time::Duration;

use hybi::Instant;

use crate::journal::Journal;
use crate::link::{self, Link};
use crate::record::{CallKind, Record};
use crate::script::Peer;
use crate::setup::{Setup, Weather};
use crate::stream;
use crate::support::cuts::Xorshift;

/// Nanoseconds in a millisecond.
pub const MS: u64 = 1_000_000;
/// Nanoseconds in a second.
pub const SECOND: u64 = 1000 * MS;

/// No run lasts longer than this.
const MOST_TIME: u64 = 600 * SECOND;
/// So many calls on streams there may be while no time passes and nothing is moved.
const MOST_IDLE_CALLS: u64 = 2000;
/// So many calls a run may have, and so many more for each thing that happens and for each deadline that passes, and one
/// for five bytes that are moved.
const MOST_CALLS: u64 = 500;
const MOST_CALLS_EACH: u64 = 16;
/// So many calls may find nothing to do and not wait, for each thing that happens and each deadline that passes: deadlines
/// closer than a millisecond are waited for by looking again and again.
const MOST_LOOKS_EACH: u64 = 60;
/// So many deadlines of calls may pass in a run, and one more for so much time and each thread.
const MOST_DEADLINES: u64 = 500;
const DEADLINE_EACH: u64 = 4 * MS;

/// Fails the run; the category comes first, so that a survey can count.
macro_rules! fail {
    ($category:literal, $($what:tt)*) => { panic!("[{}] {}", $category, format_args!($($what)*)) };
}
pub(crate) use fail;

/// What happens at a time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Due {
    /// Bytes, or the end, arrive at the far end of a link.
    Arrive(usize),
    /// The writer of a link learns that bytes were read.
    Room(usize),
    /// The stream of an end is reset.
    Reset(usize),
    /// The network is cut: nothing arrives any more.
    EofPosition,
    /// Nothing arrives for some time.
    Stall,
    /// A scripted peer does something.
    Play(usize),
}

/// What a thread waits for.
#[derive(Clone, Copy, Debug)]
pub enum Wait {
    /// For nothing but its turn.
    Turn,
    /// For bytes, or the end.
    Read(usize),
    /// For room.
    Write(usize),
    /// For either of them.
    Poll(usize, [bool; 2]),
    /// For the lock that the halves of an end share.
    Out(usize),
    /// Until the application of an end knows that it is over.
    Told(usize),
    /// For its time to be up.
    Time,
    /// For a moment, which is what a call takes that finds nothing to do.
    Moment,
}

/// A thread of a run.
#[derive(Debug)]
pub struct Thread {
    /// Which of the calls of its end are its own; the first is the one that receives.
    pub slot: usize,
    /// What it waits for, and until when; `None` while it runs.
    pub waits: Option<(Wait, Option<u64>)>,
    pub done: bool,
}

pub struct World {
    pub threads: Vec<Thread>,
    /// Who has the baton.
    pub running: usize,
    pub over: bool,
    pub failure: Option<String>,
    now: u64,
    /// What the clock shows at the beginning of a run.
    origin: u64,
    heap: BinaryHeap<Reverse<(u64, u64, Due)>>,
    /// The bytes from each end.
    pub links: [Link; 2],
    pub streams: [stream::State; 2],
    pub ends: [Record; 2],
    /// The messages of each end.
    pub journals: [Journal; 2],
    pub peers: [Option<Box<Peer>>; 2],
    /// Who has the lock that the halves of an end share, as far as that matters: a thread that sends, from before its
    /// call to after it, and the one that receives while it is inside a call on the handle that writes. Both are the
    /// only places where a thread gives the baton away while it has the lock.
    pub out_owner: [Option<usize>; 2],
    pub weather: Weather,
    /// Within what time a scripted end answers a Ping, if it does.
    pub answers_within: [Option<u64>; 2],
    /// Since when there has been something to read at an end.
    pub readable_since: [Option<u64>; 2],
    /// Since when there has been room to write.
    pub writable_since: [Option<u64>; 2],
    /// When the application of an end last began to receive again, after it had called nothing for a while.
    pub rested: [u64; 2],
    /// When an end last called something.
    pub called: [u64; 2],
    /// When bytes of an end last went on its link.
    pub put_at: [u64; 2],
    /// Since its peer last said something, a write of an end went on that had found no room. The library may not know: it
    /// sees only how long its calls take.
    pub went_on: [bool; 2],
    pub compresses: bool,
    /// The network was cut, or a stream reset.
    pub cut: bool,
    pub reset: bool,
    /// Of a hundred calls on a stream, before so many the baton goes around.
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
            streams: setup.ends.each_ref().map(|end| stream::State::new(end.manner.clone())),
            ends,
            journals: Default::default(),
            peers,
            out_owner: [None; 2],
            weather: setup.weather,
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

    /// The time since the beginning of the run, in nanoseconds.
    pub const fn now(&self) -> u64 {
        self.now
    }

    /// The time as the library is told it.
    pub const fn instant(&self) -> Instant {
        Instant::from_origin(Duration::from_nanos(self.origin + self.now))
    }

    /// Prints what happens, where a run is replayed.
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

    /// Has something happen at a time.
    pub fn at(&mut self, time: u64, due: Due) {
        let order = self.random.next();
        self.heap.push(Reverse((time.max(self.now), order, due)));
    }

    // --- whose turn it is ---

    /// Whether a thread that waits for this can go on.
    pub fn holds(&self, wait: Wait) -> bool {
        let readable = |end: usize| self.links[1 - end].is_ready() || self.streams[end].aborted;
        let writable = |end: usize| self.links[end].is_writable() || self.streams[end].aborted;
        match wait {
            Wait::Turn => true,
            Wait::Read(end) => readable(end),
            Wait::Write(end) => writable(end),
            Wait::Poll(end, [read, write]) => read && readable(end) || write && writable(end),
            Wait::Out(end) => self.out_owner[end].is_none(),
            Wait::Told(end) => self.ends[end].told.is_some() || self.ends[end].reader_gone,
            Wait::Time | Wait::Moment => false,
        }
    }

    /// Whether the baton goes around before a call.
    pub fn switches(&mut self) -> bool {
        let switches = self.switches;
        self.chance(switches, 100)
    }

    /// A call on a stream begins.
    pub fn count_call(&mut self) {
        self.calls += 1;
        self.idle_calls += 1;
        if self.idle_calls > MOST_IDLE_CALLS {
            fail!("13 busy", "streams are called again and again, and nothing happens");
        }
        let moved: u64 = self.streams.iter().map(|stream| stream.moved).sum();
        let most =
            MOST_CALLS + MOST_CALLS_EACH * (self.happened + self.deadlines) + 5 * self.looks + moved / 5;
        if self.calls > most {
            fail!("13 calls", "{} calls, while {} things happened", self.calls, self.happened);
        }
        if self.looks > MOST_CALLS + MOST_LOOKS_EACH * (self.happened + self.deadlines) {
            fail!(
                "13 looks",
                "{} calls that found nothing, while {} things happened",
                self.looks,
                self.happened
            );
        }
        let most = MOST_DEADLINES + self.now / DEADLINE_EACH * self.threads.len() as u64;
        if self.deadlines > most {
            fail!("13 deadlines", "{} deadlines in {:?}", self.deadlines, Duration::from_nanos(self.now));
        }
    }

    /// Bytes were moved.
    pub const fn is_busy_for_a_reason(&mut self) {
        self.idle_calls = 0;
    }

    /// The thread that runs next. Moves the clock where all of them wait; `None` once all are done.
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

    /// Moves the clock to what comes next.
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
        if self.now > MOST_TIME {
            fail!("7 no end", "the run does not end");
        }
        self.idle_calls = 0;
        if event.is_some_and(|at| at <= self.now) {
            let Some(Reverse((_, _, due))) = self.heap.pop() else { return };
            self.happened += 1;
            self.happen(due);
        } else {
            self.deadlines += u64::from(counts == Some(true));
        }
        self.look_at_links();
    }

    /// Notes since when links can be read and written.
    pub fn look_at_links(&mut self) {
        for end in 0..2 {
            let (readable, writable) = (self.links[1 - end].is_readable(), self.links[end].is_writable());
            let since = |since: Option<u64>, is: bool| is.then(|| since.unwrap_or(self.now));
            self.readable_since[end] = since(self.readable_since[end], readable);
            self.writable_since[end] = since(self.writable_since[end], writable);
        }
    }

    // --- what happens ---

    fn happen(&mut self, due: Due) {
        let now = self.now;
        self.note(|| format!("{due:?}"));
        match due {
            Due::Arrive(source) => self.arrive(source),
            Due::Room(end) => {
                self.links[end].acknowledge();
                self.play(end);
            }
            Due::Reset(end) => self.reset_stream(end),
            Due::EofPosition => {
                self.cut = true;
                self.links.iter_mut().for_each(Link::die);
            }
            Due::Stall => {
                let until = self.weather.stall.map_or(now, |(_, until)| until);
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
            // What arrives where nobody reads is answered with a reset.
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

    /// The stream of an end learns of a reset.
    fn reset_stream(&mut self, end: usize) {
        self.note(|| format!("the stream of {end} is reset"));
        if self.cut && self.peers[end].is_none() && self.now < crate::setup::OVER {
            return;
        }
        self.reset = true;
        let harsh = self.weather.harsh;
        self.links[1 - end].break_reader(harsh);
        self.links[end].broken = true;
        self.play(end);
    }

    /// The stream of an end is shut down.
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

    /// The stream of an end is dropped.
    pub fn close_stream(&mut self, end: usize) {
        self.note(|| format!("{end} drops its stream"));
        let unread = self.links[1 - end].readable() > 0;
        self.links[1 - end].reader_gone = true;
        if unread && !self.links[end].broken {
            // As TCP does it: the peer of one that has not read everything is told so by a reset.
            let now = self.now;
            let at = self.links[end].arrival(now, 0);
            self.at(at, Due::Reset(1 - end));
        } else {
            self.finish(end);
        }
    }

    /// Puts bytes on the link of an end, as far as there is room; gives how many. `shows` says that the library sees what
    /// becomes of them.
    pub fn put(&mut self, end: usize, bytes: &[u8], shows: bool) -> usize {
        let now = self.now;
        let len = bytes.len().min(self.links[end].room());
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

    /// Takes bytes from the link to an end; gives how many.
    pub fn take(&mut self, end: usize, to: &mut [u8]) -> usize {
        let now = self.now;
        let link = &mut self.links[1 - end];
        let len = link.read(now, to);
        let at = now + link.habits.acknowledged;
        if len > 0 {
            self.at(at, Due::Room(1 - end));
            self.readable_since[end] = None;
            self.look_at_links();
        }
        len
    }

    /// The Close of an end is on the link as a whole.
    fn close_written(&mut self, end: usize) {
        let now = self.now;
        let code = self.links[end].sent.close_code();
        self.note(|| format!("{end} has written its Close: {code:?}"));
        // 1011 is what follows a missing Pong, and no reason to wait for longer.
        if code != Some(1011) {
            self.ends[end].closes(now, false);
        }
        self.check_close(end);
    }

    /// Has a scripted peer do what it can do now.
    pub fn play(&mut self, end: usize) {
        if let Some(mut peer) = self.peers[end].take() {
            peer.play(self, end);
            self.peers[end] = Some(peer);
        }
    }

    /// Whether a call of that kind is pending at an end.
    pub fn is_in(&self, end: usize, kind: CallKind) -> bool {
        self.ends[end].calls.iter().flatten().any(|call| call.kind == kind)
    }
}
