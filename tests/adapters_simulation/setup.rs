//! The random setup of a run: configurations, streams, the network, and the plans of the applications.
//!
//! Everything random about a run is drawn here from the seed, except the choices that an application makes while
//! it runs. Some combinations are excluded, each with its reason beside it.

use std::time::Duration;

use hybi::handshake::DeflateParams;
use hybi::{CloseCode, Config, Delivery, Role};

use crate::clock::{MS, SECOND};
use crate::driver::{Ask, Making, Reading, WAYS, Way};
use crate::executor::Habits;
use crate::link;
use crate::plan::{Ending, Item, Plan, length};
use crate::record::{Promise, Shape};
use crate::script::{self, Script};
use crate::stream::Behavior;
use crate::support::cuts::Xorshift;
use crate::world::NetworkEvents;

/// The setup of a run.
#[derive(Clone, Debug)]
pub struct Setup {
    pub habits: Habits,
    pub links: [link::Habits; 2],
    pub network_events: NetworkEvents,
    pub ends: [End; 2],
}

/// One end of a run.
#[derive(Clone, Debug)]
pub struct End {
    pub shape: Shape,
    pub behavior: Behavior,
    pub promise: Promise,
    pub making: Making,
    pub plan: Plan,
    /// The time at which its group is closed, and the code.
    pub group: Option<(u64, Option<u16>)>,
    /// The script, for a scripted peer.
    pub script: Option<Script>,
}

/// A source of random choices.
struct Draw(Xorshift);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0.below(bound)
    }

    /// Returns true once in `times` times.
    fn one_in(&mut self, times: usize) -> bool {
        self.0.below(times) == 0
    }

    fn one_of<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.0.below(of.len())].clone()
    }

    /// Returns a time between two.
    fn time(&mut self, from: u64, to: u64) -> u64 {
        from + self.0.next() % (to - from)
    }

    fn maybe_time(&mut self, one_in: usize, from: u64, to: u64) -> Option<u64> {
        let time = self.time(from, to);
        (self.below(one_in) == 0).then_some(time)
    }

    fn link(&mut self) -> link::Habits {
        let capacity = self.one_of(&[200, 2000, 20_000, 64 << 10, 256 << 10]);
        let latency = self.one_of(&[0, 200_000, 5 * MS, 40 * MS]);
        link::Habits {
            capacity,
            latency,
            jitter: self.one_of(&[0, 0, 3 * MS, 20 * MS]),
            acknowledged: self.one_of(&[0, latency, 2 * MS]),
            low_water: self.one_of(&[1, 1, capacity / 3]),
        }
    }

    fn behavior(&mut self) -> Behavior {
        let piece = [usize::MAX, usize::MAX, usize::MAX, 20_000, 1400, 100];
        let flavour = self.below(10);
        Behavior {
            piece: [self.one_of(&piece), self.one_of(&piece)],
            hesitates: self.one_of(&[0, 0, 0, 5, 20]),
            hesitation: self.one_of(&[MS, 20 * MS]),
            vectored: self.below(3) > 0 && flavour > 1,
            keeps: flavour == 0,
            lazy: if flavour == 1 { self.one_of(&[100, 8000]) } else { 0 },
            interrupts: self.one_of(&[0, 0, 0, 10]),
            lies_at: None,
        }
    }

    fn promise(&mut self) -> Promise {
        Promise {
            ping: self.maybe_time(2, 200 * MS, 4 * SECOND),
            pong: self.maybe_time(2, 200 * MS, 3 * SECOND),
            idle: self.maybe_time(5, SECOND, 12 * SECOND),
            close: self.time(300 * MS, 8 * SECOND),
            end: self.maybe_time(3, 50 * MS, 3 * SECOND),
            high_water: self.one_of(&[1, 300, 5000, 64 << 10]),
        }
    }

    fn making(
        &mut self,
        shape: Shape,
        role: Role,
        promise: &Promise,
        deflate: Option<DeflateParams>,
    ) -> Making {
        let time = |nanos: Option<u64>| nanos.map(Duration::from_nanos);
        let delivery =
            if shape != Shape::FuturesHalves && self.one_in(4) { Delivery::Chunks } else { Delivery::Whole };
        let config = Config::new()
            .delivery(delivery)
            .high_water(promise.high_water)
            .ping_interval(time(promise.ping))
            .pong_timeout(time(promise.pong))
            .idle_timeout(time(promise.idle))
            .close_timeout(time(Some(promise.close)))
            .end_timeout(time(promise.end));
        #[cfg(feature = "deflate")]
        let config = if deflate.is_some() {
            config.compression(hybi::deflate::Compression {
                level: 1 + self.below(3) as u8,
                memory_level: 1 + self.below(3) as u8,
                min_size: self.below(100),
                release_after: self.maybe_time(2, 100 * MS, 3 * SECOND).map(Duration::from_nanos),
            })
        } else {
            config
        };
        Making { role, config, delivery, seed: self.below(256) as u8, deflate }
    }

    fn way(&mut self) -> Way {
        self.one_of(&WAYS)
    }

    fn item(&mut self, number: usize) -> Item {
        match self.below(20) {
            0 => Item::Fragments((0..1 + self.below(4)).map(|_| length(&mut self.0)).collect()),
            1 => Item::Ask(Ask::Flush),
            2 | 3 => Item::Ask(Ask::Ping(format!("own {number}").into())),
            4 => Item::Ask(Ask::Pong(b"unasked".to_vec())),
            5 if self.one_in(2) => Item::Sleep(self.time(1, 3 * SECOND)),
            6 if self.one_in(2) => Item::Reassemble,
            _ => Item::Send(self.way(), length(&mut self.0)),
        }
    }

    /// Returns the plan of an application.
    fn plan(&mut self, shape: Shape) -> Plan {
        let count = self.one_of(&[0, 3, 10, 25]);
        let gaps = self.one_of(&[0, 10 * MS, 200 * MS, 2 * SECOND]);
        let items = (0..self.below(count + 1)).map(|number| {
            let wait = if gaps == 0 || self.one_in(3) { 0 } else { self.time(0, gaps) };
            (wait, self.item(number))
        });
        let items = items.collect();
        let readings = match self.below(4) {
            0 => vec![Reading::Recv],
            1 => vec![Reading::Next],
            2 => vec![Reading::Stream],
            _ => vec![Reading::Recv, Reading::Next, Reading::Stream],
        };
        let code = self.one_of(&[Some(1000), Some(1001), Some(3000), Some(4999), None]);
        let reason = if code.is_some() { self.one_of(&["", "bye", "it is over, goodbye"]) } else { "" };
        let ending = match self.below(12) {
            0..=5 => Ending::Close(code, reason),
            6 | 7 => Ending::SinkClose,
            8..=10 => Ending::Wait,
            _ => Ending::Abandon,
        };
        let halves = shape != Shape::Whole;
        Plan {
            items,
            readings,
            answers: if shape == Shape::Whole { self.one_of(&[0, 0, 50, 100]) } else { 0 },
            drops: self.one_of(&[0, 0, 10, 40]),
            ending,
            keeps_writer: self.one_in(2),
            drops_reader: if halves { self.maybe_time(12, 0, 5 * SECOND) } else { None },
            reader_rests: (halves && self.one_in(6))
                .then(|| (self.time(MS, SECOND), self.time(MS, 2 * SECOND))),
            seed: self.0.next(),
        }
    }

    /// Returns the parameters of compression, in some runs.
    fn deflate(&mut self) -> Option<DeflateParams> {
        self.one_in(8).then(|| DeflateParams {
            server_no_context_takeover: self.one_in(2),
            client_no_context_takeover: self.one_in(2),
            ..DeflateParams::default()
        })
    }
}

/// Time by which every end closes.
pub const LAST: u64 = 40 * SECOND;

pub fn setup(seed: u64) -> Setup {
    let mut draw = Draw(Xorshift::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
    let habits = Habits {
        delayed: draw.one_of(&[0, 0, 10, 40]),
        delay: draw.one_of(&[MS, 5 * MS]),
        spurious: draw.one_of(&[0, 0, 0, 5]),
        fresh: draw.one_in(2),
        drop_wakes: draw.one_in(4),
    };
    let deflate = if cfg!(feature = "deflate") { draw.deflate() } else { None };
    let first = draw.one_of(&[Role::Server, Role::Client]);
    let links = [draw.link(), draw.link()];
    let ends = [first, first.peer()].map(|role| {
        let shape = match draw.below(5) {
            0 | 1 => Shape::Whole,
            2 | 3 => Shape::Halves,
            // The halves of `futures_util` return messages, and no chunks.
            _ => Shape::FuturesHalves,
        };
        let (mut promise, behavior) = (draw.promise(), draw.behavior());
        if role == Role::Server {
            promise.end = None;
        }
        let making = draw.making(shape, role, &promise, deflate);
        let mut plan = draw.plan(shape);
        if behavior.lazy > 0 && shape == Shape::Whole {
            // Such a stream holds bytes back, and a dropped call has not flushed them. Extra flushes write them.
            let mut items = Vec::new();
            for item in plan.items {
                items.push(item);
                if draw.one_in(3) {
                    items.push((draw.time(0, 5 * MS), Item::Reassemble));
                }
            }
            plan.items = items;
        }
        if making.delivery == Delivery::Chunks {
            // Methods that return messages skip chunks.
            plan.readings = vec![Reading::Next];
        }
        let code = draw.one_of(&[Some(1001), Some(1000), Some(4000), None]);
        let at = if draw.one_in(4) { draw.time(0, 8 * SECOND) } else { LAST };
        End { shape, behavior, promise, making, plan, group: Some((at, code)), script: None }
    });
    let network_events = network_events(&mut draw);
    let mut ends = ends;
    let lies_at = draw.0.next() % 60;
    if draw.one_in(40) {
        ends[0].behavior.lies_at = Some(lies_at);
        // After a failed write the number of written bytes is unknown, and reassembly would lose the failure.
        ends[0].plan.items.retain(|(_, item)| !matches!(item, Item::Reassemble));
    }
    if draw.one_in(6) {
        let script = script::draw(|bound| draw.0.next() % bound);
        let end = &mut ends[1];
        (end.behavior.keeps, end.behavior.lazy) = (false, 0);
        (end.shape, end.script, end.group) = (Shape::Scripted, Some(script), None);
        end.making.config =
            Config::new().ping_interval(None).pong_timeout(None).close_timeout(None).high_water(usize::MAX);
    }
    Setup { habits, links, network_events, ends }
}

fn network_events(draw: &mut Draw) -> NetworkEvents {
    let mut network_events = NetworkEvents { harsh: draw.one_in(2), ..NetworkEvents::default() };
    match draw.below(12) {
        0 => network_events.cut = Some(draw.time(0, 6 * SECOND)),
        1 | 2 => {
            let at = draw.time(0, 4 * SECOND);
            network_events.stall = Some((at, at + draw.time(0, 4 * SECOND)));
        }
        3 => network_events.reset = Some(draw.time(0, 6 * SECOND)),
        _ => {}
    }
    network_events
}

/// Returns the code with which a group is closed.
pub fn code(code: Option<u16>) -> Option<CloseCode> {
    code.map(CloseCode::new)
}
