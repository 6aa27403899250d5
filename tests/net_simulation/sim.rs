//! Runs real threads one at a time, in random order, on virtual time.
//!
//! The *baton* is the permission to run, and one thread holds it. Each call on a stream of the simulation may pass the
//! baton to another thread. A call that would block passes the baton, and gets it back when its condition holds or its
//! deadline has passed. The thread that passes the baton chooses the next thread. If no thread can run, the clock moves
//! to the next event or deadline. If there is no event and no deadline, the run hangs, and the test fails at once.
//!
//! The halves of a WebSocket share a lock that the simulation cannot see. So the simulation keeps a model of that lock:
//! [`World::out_owner`](crate::world::World::out_owner). If a thread waited for the real lock while it held the baton,
//! the run would stop. The watchdog of the test ends such a run.
//!
//! Invariants:
//! - The seed alone determines a run: no thread runs without the baton, and no thread reads the real time.
//! - After a failure every thread unwinds at its next call.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

use crate::world::{Wait, World};

thread_local! {
    /// Index of this thread in the run.
    static ME: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// The panic payload that unwinds a thread of a run that is over.
struct Over;

pub type Guard<'a> = MutexGuard<'a, World>;

/// A run: its world, and a condition variable for each thread.
pub struct Sim {
    world: Mutex<World>,
    turns: Vec<Condvar>,
}

/// Returns the index of the calling thread.
pub fn me() -> usize {
    ME.get()
}

impl Sim {
    pub fn new(world: World) -> Arc<Self> {
        let turns = world.threads.iter().map(|_| Condvar::new()).collect();
        Arc::new(Self { world: Mutex::new(world), turns })
    }

    /// Locks the world. If a thread has failed, the world still has its state at the failure.
    pub fn lock(&self) -> Guard<'_> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the thread with this index. The thread first waits for the baton.
    pub fn spawn(self: &Arc<Self>, place: usize, body: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
        let sim = Arc::clone(self);
        let builder = Builder::new().name(format!("{place}")).stack_size(512 << 10);
        let thread = builder.spawn(move || {
            ME.set(place);
            let ended = catch_unwind(AssertUnwindSafe(|| {
                drop(sim.await_turn(sim.lock()));
                body();
                let mut world = sim.lock();
                world.threads[place].done = true;
                sim.pass(&mut world);
            }));
            if let Err(panic) = ended {
                sim.fail(&*panic);
            }
        });
        thread.expect("a thread")
    }

    /// Gives the baton to the first thread.
    pub fn start(&self) {
        self.pass(&mut self.lock());
    }

    /// Waits until a condition holds or the deadline has passed. Returns whether the condition holds.
    pub fn wait<'a>(&'a self, mut world: Guard<'a>, wait: Wait, deadline: Option<u64>) -> (Guard<'a>, bool) {
        world.threads[me()].waits = Some((wait, deadline));
        self.pass(&mut world);
        let mut world = self.await_turn(world);
        world.threads[me()].waits = None;
        let holds = world.holds(wait);
        (world, holds)
    }

    fn await_turn<'a>(&'a self, mut world: Guard<'a>) -> Guard<'a> {
        loop {
            if world.over {
                drop(world);
                resume_unwind(Box::new(Over));
            }
            if world.running == me() {
                return world;
            }
            world = self.turns[me()].wait(world).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Chooses the next thread, and gives it the baton.
    fn pass(&self, world: &mut World) {
        match world.choose() {
            Some(next) => {
                world.running = next;
                if next != me() {
                    self.turns[next].notify_one();
                }
            }
            None => world.over = true,
        }
    }

    /// Records that a thread has failed, and makes all other threads end.
    fn fail(&self, panic: &(dyn Any + Send)) {
        let mut world = self.lock();
        if !panic.is::<Over>() {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            world.failure.get_or_insert(text.unwrap_or_default());
        }
        world.over = true;
        drop(world);
        self.turns.iter().for_each(Condvar::notify_one);
    }
}
