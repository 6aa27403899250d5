//! The virtual clock of a run: the time, what is due next, and the alarms that tasks have set.
//!
//! Nothing else in a run knows the time. It stands still while a task is polled, and moves only when no task is woken,
//! to the next entry of the heap. Entries that are due at one time fire in random order.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hybi::Instant;
use hybi::adapters::futures_io::Timer;

use crate::support::cuts::Xorshift;

/// Nanoseconds in a millisecond.
pub const MS: u64 = 1_000_000;
/// Nanoseconds in a second.
pub const SECOND: u64 = 1000 * MS;

/// What happens at a time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Due {
    /// The alarm in this place.
    Alarm(usize),
    /// Bytes, or the end, arrive at the far end of a link.
    Arrive(usize),
    /// The writer of a link learns that bytes were read.
    Room(usize),
    /// A stream that had hesitated goes on: the end, and the way.
    Resume(usize, usize),
    /// The stream of an end is reset.
    Reset(usize),
    /// The network is cut: nothing arrives any more.
    EofPosition,
    /// Nothing arrives for some time.
    Stall,
    /// A wake-up that was held back reaches its task.
    Wake(usize),
    /// The group of an end is closed.
    Group(usize),
}

/// The clock and its heap.
#[derive(Debug)]
pub struct Clock {
    now: Cell<u64>,
    /// What the clock shows at the beginning of a run.
    origin: u64,
    heap: RefCell<BinaryHeap<Reverse<(u64, u64, Due)>>>,
    random: RefCell<Xorshift>,
    alarms: RefCell<Vec<Slot>>,
    free: RefCell<Vec<usize>>,
}

#[derive(Debug, Default)]
struct Slot {
    set: Option<(u64, Waker)>,
    /// The heap has an entry for this time.
    in_heap: Option<u64>,
}

impl Clock {
    pub fn new(seed: u64, origin: u64) -> Rc<Self> {
        Rc::new(Self {
            now: Cell::new(0),
            origin,
            heap: RefCell::default(),
            random: RefCell::new(Xorshift::new(seed)),
            alarms: RefCell::default(),
            free: RefCell::default(),
        })
    }

    /// The time since the beginning of the run, in nanoseconds.
    pub fn now(&self) -> u64 {
        self.now.get()
    }

    /// The time as the library is told it.
    pub fn instant(&self) -> Instant {
        Instant::from_origin(Duration::from_nanos(self.origin + self.now()))
    }

    /// Has something happen at a time.
    pub fn at(&self, time: u64, due: Due) {
        let order = self.random.borrow_mut().next();
        self.heap.borrow_mut().push(Reverse((time.max(self.now()), order, due)));
    }

    /// Moves on to what is due next.
    pub fn advance(&self) -> Option<Due> {
        let Reverse((time, _, due)) = self.heap.borrow_mut().pop()?;
        self.now.set(time);
        Some(due)
    }

    /// The alarm in a place rings, unless it was set to another time.
    pub fn ring(&self, place: usize) {
        let now = self.now();
        let mut alarms = self.alarms.borrow_mut();
        let slot = &mut alarms[place];
        slot.in_heap.take_if(|at| *at <= now);
        let rings = slot.set.take_if(|(at, _)| *at <= now);
        let later = slot.set.as_ref().map(|(at, _)| *at).filter(|_| slot.in_heap.is_none());
        slot.in_heap = slot.in_heap.or(later);
        drop(alarms);
        if let Some(at) = later {
            self.at(at, Due::Alarm(place));
        }
        if let Some((_, waker)) = rings {
            waker.wake();
        }
    }

    fn poll_at(&self, place: usize, cx: &Context<'_>, at: u64) -> Poll<()> {
        let mut alarms = self.alarms.borrow_mut();
        let slot = &mut alarms[place];
        let ready = at <= self.now();
        let old = if ready { slot.set.take() } else { slot.set.replace((at, cx.waker().clone())) };
        let enters = !ready && slot.in_heap.is_none_or(|entered| entered > at);
        if enters {
            slot.in_heap = Some(at);
        }
        drop(alarms);
        drop(old);
        if enters {
            self.at(at, Due::Alarm(place));
        }
        if ready { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// An alarm on the clock of a run. Each clone has an alarm of its own.
#[derive(Debug)]
pub struct Alarm {
    clock: Rc<Clock>,
    place: usize,
    /// What the clock of the run showed when this one showed zero, in nanoseconds.
    zero: u64,
}

impl Alarm {
    pub fn new(clock: &Rc<Clock>) -> Self {
        let place = clock.free.borrow_mut().pop().unwrap_or_else(|| {
            let mut alarms = clock.alarms.borrow_mut();
            alarms.push(Slot::default());
            alarms.len() - 1
        });
        Self { clock: Rc::clone(clock), place, zero: 0 }
    }

    /// One whose clock begins now, as that of another runtime does.
    pub fn from_zero(clock: &Rc<Clock>) -> Self {
        let mut alarm = Self::new(clock);
        alarm.zero = clock.origin + clock.now();
        alarm
    }

    /// Ready at a time of the run.
    pub fn poll(&self, cx: &Context<'_>, at: u64) -> Poll<()> {
        self.clock.poll_at(self.place, cx, at)
    }

    /// Does not ring any more.
    pub fn cancel(&self) {
        let old = self.clock.alarms.borrow_mut()[self.place].set.take();
        drop(old);
    }

    /// Waits until a time of the run.
    pub async fn until(&self, at: u64) {
        std::future::poll_fn(|cx| self.poll(cx, at)).await;
    }
}

impl Clone for Alarm {
    fn clone(&self) -> Self {
        let mut alarm = Self::new(&self.clock);
        alarm.zero = self.zero;
        alarm
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.cancel();
        // An entry that is still in the heap would ring for whoever has the place next.
        if self.clock.alarms.borrow()[self.place].in_heap.is_none() {
            self.clock.free.borrow_mut().push(self.place);
        }
    }
}

impl Timer for Alarm {
    fn now(&self) -> Instant {
        Instant::from_origin(self.clock.instant().since_origin() - Duration::from_nanos(self.zero))
    }

    fn poll_at(&mut self, cx: &mut Context<'_>, at: Instant) -> Poll<()> {
        let nanos = u64::try_from(at.since_origin().as_nanos()).unwrap();
        self.poll(cx, (nanos + self.zero).saturating_sub(self.clock.origin))
    }
}
