//! The virtual clock of a run: the time, the future events, and the alarms that tasks have set.
//!
//! The clock is the only source of time in a run. It does not advance while a task is polled. When no task is woken,
//! the clock moves to the next entry of a heap of future events. Entries with the same time fire in random order.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hybi::Instant;
use hybi::adapters::futures_io::Timer;

use crate::support::cuts::Xorshift;

/// An event of the simulation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Due {
    /// The alarm with this index.
    Alarm(usize),
    /// Bytes or the end of the stream arrive at the reader of a link.
    Arrive(usize),
    /// The writer of a link learns that bytes were read.
    Space(usize),
    /// A stream that hesitated continues. The fields are the endpoint and the direction.
    Resume(usize, usize),
    /// The stream of an endpoint is reset.
    Reset(usize),
    /// The network is cut. From now on nothing arrives.
    Cut,
    /// The network stalls: for some time nothing arrives.
    Stall,
    /// A delayed wakeup reaches its task.
    Wake(usize),
    /// The group of an endpoint is closed.
    Group(usize),
}

/// The clock and its heap of events.
#[derive(Debug)]
pub struct Clock {
    now: Cell<u64>,
    /// The time that the library sees at the start of a run, in nanoseconds.
    origin: u64,
    heap: RefCell<BinaryHeap<Reverse<(u64, u64, Due)>>>,
    random: RefCell<Xorshift>,
    alarms: RefCell<Vec<Slot>>,
    free: RefCell<Vec<usize>>,
}

#[derive(Debug, Default)]
struct Slot {
    set: Option<(u64, Waker)>,
    /// The time of this alarm's entry in the heap; `None` without an entry.
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

    /// Returns the time since the start of the run, in nanoseconds.
    pub fn now(&self) -> u64 {
        self.now.get()
    }

    /// Returns the time that the library sees.
    pub fn instant(&self) -> Instant {
        Instant::from_origin(Duration::from_nanos(self.origin + self.now()))
    }

    /// Schedules an event. A time in the past counts as now.
    pub fn at(&self, time: u64, due: Due) {
        let order = self.random.borrow_mut().next();
        self.heap.borrow_mut().push(Reverse((time.max(self.now()), order, due)));
    }

    /// Moves the clock to the next event, and returns the event.
    pub fn advance(&self) -> Option<Due> {
        let Reverse((time, _, due)) = self.heap.borrow_mut().pop()?;
        self.now.set(time);
        Some(due)
    }

    /// Fires the alarm with this index if it is due. If the alarm was set to a later time, it gets a new
    /// entry in the heap.
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

/// An alarm on the clock of a run. Each clone has its own alarm.
#[derive(Debug)]
pub struct Alarm {
    clock: Rc<Clock>,
    place: usize,
    /// The value of [`Clock::instant`], in nanoseconds, at which the clock of this alarm is zero.
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

    /// Returns an alarm whose clock starts at zero now, as if a new runtime had been started.
    pub fn from_zero(clock: &Rc<Clock>) -> Self {
        let mut alarm = Self::new(clock);
        alarm.zero = clock.origin + clock.now();
        alarm
    }

    /// Returns `Ready` when the run's clock reaches `at`, in nanoseconds since the start of the run.
    pub fn poll(&self, cx: &Context<'_>, at: u64) -> Poll<()> {
        self.clock.poll_at(self.place, cx, at)
    }

    /// Cancels the alarm.
    pub fn cancel(&self) {
        let old = self.clock.alarms.borrow_mut()[self.place].set.take();
        drop(old);
    }

    /// Waits until the run's clock reaches `at`.
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
        // An entry that is still in the heap would fire for the next owner of the index.
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
