//! The random setup of a run: configurations, streams, the network, and the plans of the applications.
//!
//! Everything random about a run is drawn here from the seed, except the choices that an application makes while
//! it runs. Some combinations are excluded, each with its reason beside it.

use std::io::ErrorKind;
use std::time::Duration;

use hybi::handshake::DeflateParams;
use hybi::{Config, Delivery, Role};

use crate::link;
use crate::record::{Promise, Shape};
use crate::script::{self, Script};
use crate::stream::Behavior;
use crate::support::cuts::Xorshift;
use crate::world::{MS, SECOND};

/// Time by which every end closes.
pub const LAST: u64 = 40 * SECOND;
/// Time by which every connection has ended, or nothing will ever end it. Both streams are reset then.
pub const OVER: u64 = LAST + 30 * SECOND;

/// The events of the network.
#[derive(Clone, Copy, Debug, Default)]
pub struct NetworkEvents {
    /// From this time on nothing arrives.
    pub cut: Option<u64>,
    /// Nothing arrives between these times.
    pub stall: Option<(u64, u64)>,
    /// At this time the streams of both ends are reset.
    pub reset: Option<u64>,
    /// A reset discards bytes that have arrived and were not read.
    pub harsh: bool,
}

/// The method that sends a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    Borrowed,
    Owned,
    Prepared,
    Uncompressed,
    Feed,
    Respond,
}

const WAYS: [Way; 6] = [Way::Borrowed, Way::Owned, Way::Prepared, Way::Uncompressed, Way::Feed, Way::Respond];

impl Way {
    /// Returns whether a failed call of this kind has not accepted the message.
    pub const fn only_feeds(self) -> bool {
        matches!(self, Self::Feed | Self::Respond)
    }
}

/// The method that receives messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reading {
    Recv,
    Next,
    /// `next_event_timeout` with a timeout of zero, again and again.
    Look,
    LookForMessage,
}

/// One action of an application.
#[derive(Clone, Debug)]
pub enum Item {
    Send(Way, usize),
    /// A message in fragments of these lengths.
    Fragments(Vec<usize>),
    Flush,
    Ping(Vec<u8>),
    Pong,
    /// The application is busy for this long, and calls nothing.
    Sleep(u64),
    /// The application takes its WebSocket apart and continues from the parts.
    Reassemble,
    /// The application makes its stream blocking or nonblocking.
    Blocking(bool),
}

/// How an application ends its connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ending {
    Close(Option<u16>, &'static str),
    /// Waits for the peer, but not beyond [`LAST`].
    Wait,
    /// Drops its WebSocket without a Close.
    Abandon,
}

/// The plan of an application.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The actions, each after a time of receiving or waiting.
    pub items: Vec<(u64, Item)>,
    pub readings: Vec<Reading>,
    /// Percentage of messages that are answered.
    pub answers: usize,
    /// Percentage of receiving calls with a short timeout.
    pub short_calls: usize,
    pub ending: Ending,
    /// Number of threads that send, beside the one that receives.
    pub writers: usize,
    /// The writer is kept until the reader has ended.
    pub keeps_writer: bool,
    /// Time at which the reader is dropped.
    pub drops_reader: Option<u64>,
    /// Interval and duration of pauses of the reader.
    pub reader_rests: Option<(u64, u64)>,
    pub seed: u64,
}

/// The parameters of a connection.
#[derive(Clone, Debug)]
pub struct Making {
    pub role: Role,
    pub config: Config,
    pub delivery: Delivery,
    pub seed: u8,
    /// The negotiated compression, if that feature is enabled.
    #[cfg_attr(not(feature = "deflate"), allow(dead_code, reason = "nothing is compressed then"))]
    pub deflate: Option<DeflateParams>,
}

/// One end of a run.
#[derive(Clone, Debug)]
pub struct End {
    pub shape: Shape,
    pub behavior: Behavior,
    pub promise: Promise,
    pub making: Making,
    pub plan: Plan,
    /// The script, for a scripted peer.
    pub script: Option<Script>,
}

/// The setup of a run.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Percentage of calls on a stream before which the baton is passed.
    pub switches: usize,
    pub links: [link::Habits; 2],
    pub network_events: NetworkEvents,
    pub ends: [End; 2],
}

/// Returns the length of a message, usually a short one.
pub fn length(random: &mut Xorshift) -> usize {
    match random.below(100) {
        0 => 60_000 + random.below(40_000),
        1 | 2 => 15_000 + random.below(3000),
        3..=7 => 4000 + random.below(200),
        8..=20 => 100 + random.below(400),
        _ => random.below(60),
    }
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
        let flavour = self.below(8);
        Behavior {
            piece: [self.one_of(&piece), self.one_of(&piece)],
            takes_all: self.one_in(2),
            timeouts: true,
            nonblocking: !self.one_in(4),
            times_out_with: self.one_of(&[ErrorKind::WouldBlock, ErrorKind::TimedOut]),
            late: self.one_of(&[1, 1, 4 * MS, 10 * MS]),
            early: self.one_in(6),
            vectored: self.one_in(2),
            may_keep: self.one_in(2),
            keeps: flavour <= 1,
            lazy: if flavour == 2 { self.one_of(&[100, 8000]) } else { 0 },
            half_closes: !self.one_in(5),
            close_waits: self.one_in(4),
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

    fn making(&mut self, role: Role, promise: &Promise, deflate: Option<DeflateParams>) -> Making {
        let time = |nanos: Option<u64>| nanos.map(Duration::from_nanos);
        let delivery = if self.one_in(5) { Delivery::Chunks } else { Delivery::Whole };
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

    fn item(&mut self, number: usize, blocks: bool) -> Item {
        match self.below(20) {
            0 => Item::Fragments((0..1 + self.below(4)).map(|_| length(&mut self.0)).collect()),
            1 => Item::Flush,
            2 | 3 => Item::Ping(format!("own {number}").into()),
            4 => Item::Pong,
            5 if self.one_in(2) => Item::Sleep(self.time(1, 3 * SECOND)),
            6 if self.one_in(2) => Item::Reassemble,
            7 if blocks => Item::Blocking(self.one_in(2)),
            _ => Item::Send(self.one_of(&WAYS), length(&mut self.0)),
        }
    }

    fn plan(&mut self, shape: Shape, behavior: &Behavior) -> Plan {
        let count = self.one_of(&[0, 3, 10, 25]);
        let gaps = self.one_of(&[0, 10 * MS, 200 * MS, 2 * SECOND]);
        let blocks = shape == Shape::Whole && behavior.nonblocking && self.one_in(3);
        let items = (0..self.below(count + 1)).map(|number| {
            let wait = if gaps == 0 || self.one_in(3) { 0 } else { self.time(0, gaps) };
            (wait, self.item(number, blocks))
        });
        let items = items.collect();
        let readings = match self.below(5) {
            0 => vec![Reading::Recv],
            1 => vec![Reading::Next],
            2 => vec![Reading::Look],
            3 => vec![Reading::Recv, Reading::Next],
            _ => vec![Reading::Recv, Reading::Next, Reading::Look, Reading::LookForMessage],
        };
        let code = self.one_of(&[Some(1000), Some(1001), Some(3000), Some(4999), None]);
        let reason = if code.is_some() { self.one_of(&["", "bye", "it is over, goodbye"]) } else { "" };
        let ending = match self.below(10) {
            0..=5 => Ending::Close(code, reason),
            6..=8 => Ending::Wait,
            _ => Ending::Abandon,
        };
        let halves = shape == Shape::Halves;
        Plan {
            items,
            readings,
            answers: if halves { 0 } else { self.one_of(&[0, 0, 50, 100]) },
            short_calls: self.one_of(&[0, 0, 20, 80]),
            ending,
            writers: 1 + usize::from(halves && self.one_in(3)),
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

    fn network_events(&mut self) -> NetworkEvents {
        let mut network_events = NetworkEvents { harsh: self.one_in(2), ..NetworkEvents::default() };
        match self.below(12) {
            0 => network_events.cut = Some(self.time(0, 6 * SECOND)),
            1 | 2 => {
                let at = self.time(0, 4 * SECOND);
                network_events.stall = Some((at, at + self.time(0, 4 * SECOND)));
            }
            3 => network_events.reset = Some(self.time(0, 6 * SECOND)),
            _ => {}
        }
        network_events
    }
}

pub fn setup(seed: u64) -> Setup {
    let mut draw = Draw(Xorshift::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
    let switches = draw.one_of(&[0, 5, 30, 100]);
    let deflate = if cfg!(feature = "deflate") { draw.deflate() } else { None };
    let first = draw.one_of(&[Role::Server, Role::Client]);
    let links = [draw.link(), draw.link()];
    let mut ends = [first, first.peer()].map(|role| {
        let shape = if draw.one_in(2) { Shape::Whole } else { Shape::Halves };
        let (mut promise, mut behavior) = (draw.promise(), draw.behavior());
        if role == Role::Server {
            promise.end = None;
        }
        if draw.one_in(25) {
            // Nothing interrupts the calls of this stream, so no deadline is promised.
            (behavior.timeouts, behavior.nonblocking) = (false, false);
        }
        let making = draw.making(role, &promise, deflate);
        let mut plan = draw.plan(shape, &behavior);
        if making.delivery == Delivery::Chunks {
            // Methods that return messages skip chunks.
            plan.readings = vec![draw.one_of(&[Reading::Next, Reading::Look])];
        }
        if plan.writers > 1 {
            // While one writer sends a fragmented message, the messages of the other are refused.
            plan.items.retain(|(_, item)| !matches!(item, Item::Fragments(_)));
        }
        End { shape, behavior, promise, making, plan, script: None }
    });
    let network_events = draw.network_events();
    let lies_at = draw.0.next() % 60;
    if draw.one_in(40) {
        ends[0].behavior.lies_at = Some(lies_at);
        // After a failed write the number of written bytes is unknown, and reassembly would lose the failure.
        ends[0].plan.items.retain(|(_, item)| !matches!(item, Item::Reassemble));
    }
    if draw.one_in(3) {
        let end = &mut ends[1];
        end.script = Some(script::draw(|bound| draw.0.next() % bound));
        end.shape = Shape::Scripted;
        (end.behavior.keeps, end.behavior.lazy) = (false, 0);
        end.making.config =
            Config::new().ping_interval(None).pong_timeout(None).close_timeout(None).high_water(usize::MAX);
    }
    Setup { switches, links, network_events, ends }
}
