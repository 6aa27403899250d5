//! Performs one run: starts the threads of both endpoints, and checks the world afterwards.
//!
//! `sim.rs` decides the order of the threads, and `setup.rs` creates the setup of a run.

use std::sync::Arc;
use std::thread::JoinHandle;

use hybi::Instant;

use crate::app::{self, Task};
use crate::draw::OVER;
use crate::record::{Record, Shape};
use crate::script::Peer;
use crate::setup::{self, End, Setup};
use crate::sim::Sim;
use crate::tally::Tally;
use crate::world::{Due, Thread, World};

/// Performs the run of a seed.
pub fn run(seed: u64, trace: bool) -> Tally {
    let setup = setup::setup(seed);
    if trace {
        eprintln!("{setup:#?}");
    }
    let sim = Sim::new(world(seed, &setup, trace));
    let mut threads = Vec::new();
    for end in 0..2 {
        start(&sim, end, &setup.ends[end], &mut threads);
    }
    sim.start();
    for thread in threads {
        let _ = thread.join();
    }
    let mut world = sim.lock();
    if let Some(failure) = world.failure.take() {
        drop(world);
        panic!("{failure}");
    }
    world.check_end();
    tally(&world)
}

fn world(seed: u64, setup: &Setup, trace: bool) -> World {
    let slots = |end: &End| match end.shape {
        Shape::Whole => 1,
        Shape::Halves => 1 + end.plan.writers,
        _ => 0,
    };
    let ends = setup.ends.each_ref();
    let records = ends.map(|end| {
        let mut record = Record::new(end.shape, end.promise, slots(end));
        record.rests = end.plan.reader_rests.is_some();
        record
    });
    let peers = ends.map(|end| {
        end.script
            .map(|script| Box::new(Peer::new(end.making.connection(Instant::ZERO), script, end.plan.seed)))
    });
    let threads = ends.map(slots).into_iter().flat_map(|slots| 0..slots);
    let threads = threads.map(|slot| Thread { slot, waits: None, done: false });
    let mut world = World::new(seed, setup, records, peers, threads.collect(), trace);
    let network_events = setup.network_events;
    for end in 0..2 {
        world.at(0, Due::Play(end));
        world.at(OVER, Due::Reset(end));
        if let Some(at) = network_events.reset {
            world.at(at, Due::Reset(end));
        }
        if let Some(at) = setup.ends[end].behavior.writes_fail_at {
            world.at(at, Due::FailWrites(end));
        }
    }
    if let Some(at) = network_events.cut {
        world.at(at, Due::Cut);
    }
    if let Some((at, _)) = network_events.stall {
        world.at(at, Due::Stall);
    }
    world
}

/// Starts the threads of an endpoint.
fn start(sim: &Arc<Sim>, end: usize, setup: &End, threads: &mut Vec<JoinHandle<()>>) {
    if setup.script.is_some() {
        return;
    }
    let ws = app::open(sim, end, &setup.making);
    let mut spawn = |body: Box<dyn FnOnce() + Send>| threads.push(sim.spawn(threads.len(), body));
    let (task, plan) = (|slot| Task::new(sim, end, slot, setup.plan.seed), &setup.plan);
    if setup.shape == Shape::Whole {
        let (task, plan) = (task(0), plan.clone());
        return spawn(Box::new(move || app::whole(task, ws, &plan)));
    }
    let (reader, writer) = ws.split().expect("the stream can be cloned");
    let (receives, its_plan) = (task(0), plan.clone());
    spawn(Box::new(move || app::receives(receives, reader, &its_plan)));
    for slot in 1..=plan.writers {
        let (sends, plan, writer) = (task(slot), plan.clone(), writer.clone());
        spawn(Box::new(move || app::sends(sends, writer, &plan)));
    }
}

fn tally(world: &World) -> Tally {
    let mut tally = Tally::default();
    tally.count("runs", 1);
    for end in 0..2 {
        tally.count_end(&world.ends[end]);
        tally.count("messages sent", world.journals[end].entries.len());
        tally.count("messages received", world.journals[end].received);
        tally.count("bytes moved", world.streams[end].moved as usize);
        tally.count("writes failed and reads go on", usize::from(world.streams[end].write_failed()));
    }
    tally.count("calls of streams", world.calls as usize);
    tally.count("deadlines", world.deadlines as usize);
    let happened = world.happened + world.deadlines + 10;
    tally.most("most stream calls per event, in percent", (world.calls * 100 / happened) as usize);
    tally.most("most deadlines in a second", (world.deadlines * 1_000_000_000 / (world.now() + 1)) as usize);
    tally
}
