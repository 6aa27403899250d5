//! Performs one run, and fails if the run needs too many polls, too many copied bytes, or too much time.
//!
//! The loop polls woken tasks in random order until all of them wait. Then it checks that each task has a reason to
//! wait, and moves the clock to the next event. The checks themselves are in `checks.rs`.

use std::rc::Rc;

use hybi::adapters::futures_io::Group;

use crate::app::{self, OwnedIn, OwnedOut};
use crate::clock::{Clock, Due};
use crate::draw::SECOND;
use crate::driver::{self, Task as AppTask};
use crate::executor::Task;
use crate::meter;
use crate::record::{Record, Shape};
use crate::script;
use crate::setup::{self, Setup};
use crate::support::cuts::Xorshift;
use crate::tally::Tally;
use crate::world::{World, fail};

/// Maximum number of polls in a row during which no stream moves a byte and no time passes.
const MAX_IDLE_POLLS: u64 = 2000;
/// Maximum number of polls of a run. The maximum is the sum of this constant, [`MAX_POLLS_EACH`] for each event, and
/// one for each hundred bytes that the streams move.
const MAX_POLLS: u64 = 300;
const MAX_POLLS_EACH: u64 = 5;
/// Maximum number of bytes that are copied because allocations grow or shrink. The maximum is the sum of this constant,
/// [`MAX_COPIED_EACH`] for each byte that the streams move, and [`MAX_COPIED_BY_CALL`] for each call of a stream. If a
/// part of a small message has arrived, the read buffer keeps 1 KiB of free space. The buffer shrinks to this size
/// before a wait, and grows with the next read.
const MAX_COPIED: u64 = 1 << 20;
const MAX_COPIED_EACH: u64 = 4;
const MAX_COPIED_BY_CALL: u64 = 1 << 10;
/// Maximum virtual time of a run.
const MAX_TIME: u64 = 600 * SECOND;

struct Run {
    world: Rc<World>,
    tasks: Vec<Task>,
    groups: [Group; 2],
    codes: [Option<u16>; 2],
    random: Xorshift,
    setup: Setup,
    /// Numbers of polls, events, and moved bytes.
    counts: [u64; 3],
}

/// Performs the run of a seed.
pub fn run(seed: u64, trace: bool) -> Tally {
    let setup = setup::setup(seed);
    if trace {
        eprintln!("{setup:#?}");
    }
    meter::take();
    let mut run = Run::new(seed, setup, trace);
    run.run_to_the_end();
    run.world.check_end();
    let tally = run.tally();
    // The streams own the world, and wakers of the library own streams. So tasks and wakers are released here.
    run.tasks.clear();
    run.world.wakes.clear();
    tally
}

impl Run {
    fn new(seed: u64, setup: Setup, trace: bool) -> Self {
        let clock = Clock::new(seed ^ 0x5EED, [0, 3600 * SECOND][seed as usize % 2]);
        let records = setup.ends.each_ref().map(|end| {
            let tasks = if end.shape == Shape::Whole { 1 } else { 2 };
            let mut record = Record::new(end.shape, end.promise, tasks);
            record.rests = end.plan.reader_rests.is_some();
            record
        });
        let world = World::new(seed, clock, &setup, records, trace);
        let groups = [Group::new(), Group::new()];
        let codes = setup.ends.each_ref().map(|end| end.group.and_then(|(_, code)| code));
        let random = Xorshift::new(seed ^ 0xDECADE);
        let mut run = Self { world, tasks: Vec::new(), groups, codes, random, setup, counts: [0; 3] };
        run.schedule();
        for end in 0..2 {
            run.start(end);
        }
        run
    }

    fn schedule(&self) {
        let (clock, network_events) = (&self.world.clock, self.setup.network_events);
        for (end, setup) in self.setup.ends.iter().enumerate() {
            if let Some((at, _)) = setup.group {
                clock.at(at, Due::Group(end));
            }
            if let Some(at) = network_events.reset {
                clock.at(at, Due::Reset(end));
            }
        }
        if let Some(at) = network_events.cut {
            clock.at(at, Due::Cut);
        }
        if let Some((at, _)) = network_events.stall {
            clock.at(at, Due::Stall);
        }
    }

    /// Starts the tasks of an endpoint.
    fn start(&mut self, end: usize) {
        let setup = self.setup.ends[end].clone();
        let (world, plan) = (Rc::clone(&self.world), setup.plan);
        let task = |slot| AppTask::new(&world, end, slot, plan.seed + slot as u64);
        if let Some(script) = setup.script {
            let play = script::play(task(0), setup.making, script);
            return self.tasks.push(Task::new(play, false, self.setup.habits));
        }
        let mut ws = driver::open(&world, end, &setup.making);
        let group = setup.group.is_some().then(|| self.groups[end].clone());
        match setup.shape {
            Shape::Whole => self.spawn(app::whole(task(0), ws, plan.clone(), group)),
            Shape::Halves => {
                group.iter().for_each(|group| ws.join(group));
                let (reader, writer) = driver::split(ws);
                self.spawn(app::receives(task(0), OwnedIn::Half(reader), plan.clone()));
                self.spawn(app::sends(task(1), OwnedOut::Half(writer), plan.clone()));
            }
            Shape::FuturesHalves => {
                group.iter().for_each(|group| ws.join(group));
                let (sink, stream) = driver::futures_split(ws);
                self.spawn(app::receives(task(0), OwnedIn::Futures(stream), plan.clone()));
                self.spawn(app::sends(task(1), OwnedOut::Futures(sink), plan.clone()));
            }
            Shape::Scripted => {}
        }
    }

    fn spawn(&mut self, future: impl Future<Output = ()> + 'static) {
        self.tasks.push(Task::new(future, true, self.setup.habits));
    }

    fn run_to_the_end(&mut self) {
        let mut idle_polls = 0;
        let mut moved = 0;
        let (mut polls, mut happened) = (0, 0);
        loop {
            self.take_woken();
            let woken: Vec<_> = (0..self.tasks.len()).filter(|task| self.tasks[*task].woken).collect();
            if woken.is_empty() {
                if self.tasks.iter().all(|task| task.is_done() || !task.essential) {
                    self.counts = [polls, happened, moved];
                    return;
                }
                self.world.check_waiting(&self.tasks);
                let Some(due) = self.world.clock.advance() else {
                    fail!("8 hang", "all tasks wait, and nothing will wake them");
                };
                if self.world.clock.now() > MAX_TIME {
                    fail!("7 no end", "the run does not end");
                }
                // A delayed wakeup does not count as an event.
                happened += u64::from(!matches!(due, Due::Wake(_)));
                self.happen(due);
                idle_polls = 0;
                continue;
            }
            let task = woken[self.random.below(woken.len())];
            self.poll(task);
            let now_moved: u64 = self.world.streams.iter().map(|stream| stream.borrow().moved).sum();
            if now_moved > moved {
                (moved, idle_polls) = (now_moved, 0);
            }
            idle_polls += 1;
            polls += 1;
            if polls > MAX_POLLS + MAX_POLLS_EACH * happened + moved / 100 {
                fail!("13 polls", "{polls} polls for {happened} events and {moved} moved bytes");
            }
            if idle_polls > MAX_IDLE_POLLS {
                fail!("13 busy", "tasks are polled endlessly, and nothing happens");
            }
        }
    }

    fn poll(&mut self, task: usize) {
        self.world.task.set(task);
        self.world.note(|| format!("task {task} is polled"));
        self.tasks[task].poll(task, &self.world.wakes);
        if self.setup.habits.spurious > self.random.below(100) {
            let other = self.random.below(self.tasks.len());
            self.tasks[other].woken = !self.tasks[other].is_done();
        }
    }

    /// Delivers wakeups to their tasks, or delays them.
    fn take_woken(&mut self) {
        for (task, poll) in self.world.wakes.take_woken() {
            let known = &mut self.tasks[task];
            if !known.hears(poll) {
                continue;
            }
            if self.setup.habits.delayed > self.random.below(100) {
                known.held_back += 1;
                let until = self.world.clock.now() + self.random.next() % self.setup.habits.delay;
                self.world.clock.at(until, Due::Wake(task));
            } else {
                known.woken = true;
            }
        }
    }

    fn happen(&mut self, due: Due) {
        self.world.note(|| format!("{due:?}"));
        match due {
            Due::Alarm(place) => self.world.clock.ring(place),
            Due::Wake(task) => {
                self.tasks[task].held_back -= 1;
                self.tasks[task].woken = !self.tasks[task].is_done();
            }
            Due::Group(end) => {
                self.world.note(|| format!("the group of {end} is closed"));
                let mut record = self.world.ends[end].borrow_mut();
                record.group_closed = true;
                record.asked_to_close |= record.known_end.is_none();
                drop(record);
                self.groups[end].close(setup::code(self.codes[end]), "").unwrap();
            }
            due => self.world.happen(due),
        }
    }

    fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        tally.count("runs", 1);
        for (end, record) in self.world.ends.iter().enumerate() {
            let record = record.borrow();
            tally.count_end(&record);
            let journal = self.world.journals[end].borrow();
            tally.count("messages sent", journal.entries.len());
            tally.count("messages received", journal.received);
            let stream = self.world.streams[end].borrow();
            tally.count("calls of streams", stream.calls as usize);
            tally.count("bytes moved", stream.moved as usize);
        }
        let [polls, happened, moved] = self.counts;
        let reallocated = meter::take();
        let calls: u64 = self.world.streams.iter().map(|stream| stream.borrow().calls).sum();
        if reallocated as u64 > MAX_COPIED + MAX_COPIED_EACH * moved + MAX_COPIED_BY_CALL * calls {
            fail!(
                "13 copied",
                "{reallocated} bytes were copied to grow or shrink memory, for {moved} moved bytes"
            );
        }
        tally.count("polls", polls as usize);
        tally.most("most polls per event, in percent", (polls * 100 / (happened + 10)) as usize);
        tally.most(
            "most bytes reallocated for a byte",
            reallocated.saturating_sub(1 << 20) / (moved as usize + 1),
        );
        tally.count("bytes reallocated", reallocated);
        tally
    }
}
