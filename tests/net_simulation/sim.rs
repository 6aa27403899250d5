//! Runs real threads one at a time, in an order that chance decides, on virtual time.
//!
//! The thread that may run holds the baton. Each call on a stream of the simulation is a place where the baton may go
//! to another thread; a call that would block gives it away and comes back when its condition holds or its time is
//! up. Whoever gives the baton away chooses the next thread. Where no thread can go on, the clock moves to the next
//! event or deadline; where there is none, the run hangs, which is known at once.
//!
//! The halves of a WebSocket share a lock that the simulation does not see. So it keeps a model of that lock: see
//! [`World::out_owner`](crate::world::World::out_owner). A thread that waits for the real one while it has the baton would stop the run, and the
//! watchdog of the test ends it.
//!
//! Invariants:
//! - All that a run does follows from its seed: no thread runs without the baton, and no real time is looked at.
//! - Once a run has failed, every thread unwinds at its next call.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

use crate::world::{Wait, World};

thread_local! {
    /// The place of this thread in the run.
    static ME: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Unwinds a thread of a run that is over.
struct Over;

pub type Guard<'a> = MutexGuard<'a, World>;

/// A run: its world, and whose turn it is.
pub struct Sim {
    world: Mutex<World>,
    turns: Vec<Condvar>,
}

/// The place of the calling thread.
pub fn me() -> usize {
    ME.get()
}

impl Sim {
    pub fn new(world: World) -> Arc<Self> {
        let turns = world.threads.iter().map(|_| Condvar::new()).collect();
        Arc::new(Self { world: Mutex::new(world), turns })
    }

    /// The world. A thread that failed left it as it was at the failure.
    pub fn lock(&self) -> Guard<'_> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the thread of a place, which waits for the baton first.
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

    /// Waits until a condition holds or the time is up; gives whether it holds.
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

    /// Chooses the thread that runs next.
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

    /// A thread has failed: all others end as well.
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
