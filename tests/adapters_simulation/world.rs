//! The world of a run: two endpoints, the links between their streams, the journals of their applications, and the
//! clock.
//!
//! The world performs the events of the network: arrivals, resets, cuts and stalls. It has no tasks of its own,
//! and makes no call of the library.

use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::rc::Rc;
use std::sync::Arc;

use crate::clock::{Clock, Due};
use crate::draw::NetworkEvents;
use crate::executor::Wakes;
use crate::journal::Journal;
use crate::link::{self, Link};
use crate::record::Record;
use crate::setup::Setup;
use crate::stream::{self, READ, WRITE};
use crate::support::cuts::Xorshift;

/// Fails the run. The category comes first, so that a survey can count it.
macro_rules! fail {
    ($category:literal, $($what:tt)*) => { panic!("[{}] {}", $category, format_args!($($what)*)) };
}
pub(crate) use fail;

pub struct World {
    pub clock: Rc<Clock>,
    pub wakes: Arc<Wakes>,
    /// The bytes sent by each endpoint.
    pub links: [RefCell<Link>; 2],
    pub streams: [RefCell<stream::State>; 2],
    pub ends: [RefCell<Record>; 2],
    /// The messages of each endpoint.
    pub journals: [RefCell<Journal>; 2],
    pub network_events: NetworkEvents,
    /// The time within which a scripted peer answers a Ping, in nanoseconds. `None` if there is no such time.
    pub answers_within: [Option<u64>; 2],
    /// Messages are compressed.
    pub compresses: bool,
    /// The network was cut.
    pub cut: Cell<bool>,
    /// A stream was reset.
    pub reset: Cell<bool>,
    /// The task that is being polled.
    pub task: Cell<usize>,
    random: RefCell<Xorshift>,
    trace: bool,
}

impl World {
    pub fn new(seed: u64, clock: Rc<Clock>, setup: &Setup, records: [Record; 2], trace: bool) -> Rc<Self> {
        let latency = |link: link::Habits| link.latency + link.jitter + link.acknowledged;
        let there_and_back = setup.links.map(latency).iter().sum::<u64>();
        let answers_within = setup.ends.each_ref().map(|end| {
            let answers = end.script.is_some_and(|script| script.answers_at_once());
            (answers && end.behavior.hides_nothing()).then_some(there_and_back)
        });
        Rc::new(Self {
            clock,
            wakes: Arc::default(),
            links: setup.links.map(|habits| RefCell::new(Link::new(habits, false))),
            streams: setup.ends.each_ref().map(|end| RefCell::new(stream::State::new(end.behavior.clone()))),
            ends: records.map(RefCell::new),
            journals: Default::default(),
            network_events: setup.network_events,
            answers_within,
            compresses: setup.ends[0].making.deflate.is_some(),
            cut: Cell::new(false),
            reset: Cell::new(false),
            task: Cell::new(0),
            random: RefCell::new(Xorshift::new(seed)),
            trace,
        })
    }

    /// Prints an event when a run is replayed.
    pub fn note<T: Display>(&self, what: impl FnOnce() -> T) {
        if self.trace {
            eprintln!("{:>12.6} ms  {}", self.clock.now() as f64 / 1e6, what());
        }
    }

    pub fn below(&self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.random.borrow_mut().next() % bound }
    }

    pub fn chance(&self, of: usize, out_of: u64) -> bool {
        of > 0 && (self.below(out_of) as usize) < of
    }

    /// Performs an event, except wakeups and alarms of tasks.
    pub fn happen(&self, due: Due) {
        let now = self.clock.now();
        match due {
            Due::Arrive(source) => self.arrive(source),
            Due::Space(end) => {
                let mut link = self.links[end].borrow_mut();
                link.acknowledge();
                let writable = link.is_writable();
                drop(link);
                if writable {
                    self.wakes.wake(end, WRITE);
                }
            }
            Due::Resume(end, way) => {
                self.streams[end].borrow_mut().hesitating[way] = false;
                self.wakes.wake(end, way);
            }
            Due::Reset(end) => self.reset_stream(end),
            Due::Cut => {
                self.note(|| "the network is cut");
                self.cut.set(true);
                self.links.iter().for_each(|link| link.borrow_mut().die());
            }
            Due::Stall => {
                let until = self.network_events.stall.map_or(now, |(_, until)| until);
                self.note(|| format!("nothing arrives before {until}"));
                for (end, link) in self.links.iter().enumerate() {
                    if let Some(at) = link.borrow_mut().stall(until) {
                        self.clock.at(at, Due::Arrive(end));
                    }
                }
            }
            Due::Alarm(_) | Due::Wake(_) | Due::Group(_) => {}
        }
    }

    fn arrive(&self, source: usize) {
        let now = self.clock.now();
        let (end, mut link) = (1 - source, self.links[source].borrow_mut());
        let (len, ended) = link.arrive(now);
        let gone = link.reader_gone;
        let latency = link.habits.latency;
        drop(link);
        if len == 0 && !ended {
            return;
        }
        if gone {
            // Bytes that arrive after the reader is gone cause a reset.
            if len > 0 {
                self.clock.at(now + latency, Due::Reset(source));
            }
            return;
        }
        self.note(|| format!("{len} bytes arrive at {end}, ended {ended}"));
        if len > 0 {
            self.ends[end].borrow_mut().arrived(now);
        }
        self.wakes.wake(end, READ);
    }

    /// Delivers a reset to the stream of an endpoint.
    fn reset_stream(&self, end: usize) {
        self.note(|| format!("the stream of {end} is reset"));
        if self.cut.get() {
            return;
        }
        self.reset.set(true);
        self.links[1 - end].borrow_mut().break_reader(self.network_events.harsh);
        self.links[end].borrow_mut().broken = true;
        self.wakes.wake(end, READ);
        self.wakes.wake(end, WRITE);
    }

    /// Shuts down the stream of an endpoint for writing.
    pub fn finish(&self, end: usize) {
        let mut link = self.links[end].borrow_mut();
        link.shut_down = true;
        let jitter = self.below(link.habits.jitter);
        if let Some(at) = link.finish(self.clock.now(), jitter) {
            self.note(|| format!("{end} closes its half"));
            self.clock.at(at, Due::Arrive(end));
        }
    }

    /// Handles the drop of an endpoint's stream.
    pub fn close_stream(&self, end: usize) {
        self.note(|| format!("{end} drops its stream"));
        let mut link = self.links[1 - end].borrow_mut();
        let unread = link.readable() > 0;
        link.reader_gone = true;
        drop(link);
        if unread && !self.links[end].borrow().broken {
            // As in TCP, a stream that is closed with unread input resets its peer.
            let at = self.links[end].borrow_mut().arrival(self.clock.now(), 0);
            self.clock.at(at, Due::Reset(1 - end));
        } else {
            self.finish(end);
        }
    }

    /// Records that the Close of an endpoint was written completely to the link.
    pub fn close_written(&self, end: usize) {
        let now = self.clock.now();
        let code = self.links[end].borrow().sent.close_code();
        self.note(|| format!("{end} has written its Close: {code:?}"));
        // A Close with code 1011 is sent because a Pong is missing. After this Close, the connection does not wait for
        // an answer.
        if code != Some(1011) {
            self.ends[end].borrow_mut().closes(now, false);
        }
        self.check_close(end);
    }
}
