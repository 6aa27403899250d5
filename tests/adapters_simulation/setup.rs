//! The random setup of a run: configurations, streams, the network, and the plans of the applications.
//!
//! This file makes all random choices of a run from the seed, except those that an application makes while it runs.
//! Some combinations are excluded, and a comment gives each reason.

use hybi::{CloseCode, Delivery, Role};

use crate::draw::{Draw, LAST, MS, Making, NetworkEvents, SECOND, length};
use crate::driver::{Ask, Reading, WAYS, Way};
use crate::executor::Habits;
use crate::link;
use crate::plan::{Ending, Item, LONGEST, Plan};
use crate::player::Script;
use crate::record::{Promise, Shape};
use crate::stream::Behavior;

/// The setup of a run.
#[derive(Clone, Debug)]
pub struct Setup {
    pub habits: Habits,
    pub links: [link::Habits; 2],
    pub network_events: NetworkEvents,
    pub ends: [End; 2],
}

/// One endpoint of a run.
#[derive(Clone, Debug)]
pub struct End {
    pub shape: Shape,
    pub behavior: Behavior,
    pub promise: Promise,
    pub making: Making,
    pub plan: Plan,
    /// The time at which the group of this endpoint is closed, and the code of the Close.
    pub group: Option<(u64, Option<u16>)>,
    /// The script, for a scripted peer.
    pub script: Option<Script>,
}

impl Draw {
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

    fn delivery(&mut self, shape: Shape) -> Delivery {
        // The halves of `futures_util` return messages, and no chunks.
        if shape != Shape::FuturesHalves && self.one_in(4) { Delivery::Chunks } else { Delivery::Whole }
    }

    fn way(&mut self) -> Way {
        self.one_of(&WAYS)
    }

    fn item(&mut self, number: usize) -> Item {
        match self.below(20) {
            0 => Item::Fragments((0..1 + self.below(4)).map(|_| length(&mut self.0, LONGEST)).collect()),
            1 => Item::Ask(Ask::Flush),
            2 | 3 => Item::Ask(Ask::Ping(format!("own {number}").into())),
            4 => Item::Ask(Ask::Pong(b"unasked".to_vec())),
            5 if self.one_in(2) => Item::Sleep(self.time(1, 3 * SECOND)),
            6 if self.one_in(2) => Item::Reassemble,
            _ => Item::Send(self.way(), length(&mut self.0, LONGEST)),
        }
    }

    /// Returns the plan of an application.
    fn plan(&mut self, shape: Shape) -> Plan {
        let count = self.one_of(&[0, 3, 10, 25]);
        let gaps = self.one_of(&[0, 10 * MS, 200 * MS, 2 * SECOND]);
        let items = self.items(count, gaps, Self::item);
        let readings = match self.below(4) {
            0 => vec![Reading::Recv],
            1 => vec![Reading::Next],
            2 => vec![Reading::Stream],
            _ => vec![Reading::Recv, Reading::Next, Reading::Stream],
        };
        let (code, reason) = self.close();
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
}

pub fn setup(seed: u64) -> Setup {
    let mut draw = Draw::new(seed);
    let habits = Habits {
        delayed: draw.one_of(&[0, 0, 10, 40]),
        delay: draw.one_of(&[MS, 5 * MS]),
        spurious: draw.one_of(&[0, 0, 0, 5]),
        fresh: draw.one_in(2),
        drop_wakes: draw.one_in(4),
    };
    let deflate = draw.deflate();
    let first = draw.one_of(&[Role::Server, Role::Client]);
    let links = [draw.link(), draw.link()];
    let ends = [first, first.peer()].map(|role| {
        let shape = match draw.below(5) {
            0 | 1 => Shape::Whole,
            2 | 3 => Shape::Halves,
            _ => Shape::FuturesHalves,
        };
        let (mut promise, behavior) = (draw.promise(), draw.behavior());
        if role == Role::Server {
            promise.end = None;
        }
        let delivery = draw.delivery(shape);
        let making = draw.making(role, delivery, &promise, deflate);
        let mut plan = draw.plan(shape);
        if behavior.lazy > 0 && shape == Shape::Whole {
            // A stream with `lazy` holds bytes back. To check that a new WebSocket flushes these bytes, the WebSocket
            // is taken apart and put together more often.
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
    let network_events = draw.network_events();
    let mut ends = ends;
    let lies_at = draw.0.next() % 60;
    if draw.one_in(40) {
        ends[0].behavior.lies_at = Some(lies_at);
        // In one call, the stream of this endpoint reports more bytes than it was given. If that call is a write, the
        // WebSocket fails, because the number of written bytes is unknown. A WebSocket that is made from the parts
        // would not know of the failure.
        ends[0].plan.items.retain(|(_, item)| !matches!(item, Item::Reassemble));
    }
    if draw.one_in(6) {
        let script = Script::draw(&mut draw, false);
        let end = &mut ends[1];
        (end.behavior.keeps, end.behavior.lazy) = (false, 0);
        (end.shape, end.script, end.group) = (Shape::Scripted, Some(script), None);
        end.making.play();
    }
    Setup { habits, links, network_events, ends }
}

/// Returns the code with which a group is closed.
pub fn code(code: Option<u16>) -> Option<CloseCode> {
    code.map(CloseCode::new)
}
