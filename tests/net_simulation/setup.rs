//! What a run is like, by chance: configurations, streams, the network, and what the applications do.

use std::io::ErrorKind;
use std::time::Duration;

use hybi::handshake::DeflateParams;
use hybi::{Config, Delivery, Role};

use crate::link;
use crate::record::{Promise, Shape};
use crate::script::{self, Script};
use crate::stream::Manner;
use crate::support::cuts::Xorshift;
use crate::world::{MS, SECOND};

/// The time by which every end closes, if it has not before.
pub const LAST: u64 = 40 * SECOND;
/// By then every connection has ended, or nothing will ever end it: both streams are reset.
pub const OVER: u64 = LAST + 30 * SECOND;

/// What can happen to the network.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// Nothing arrives any more from this time on.
    pub cut: Option<u64>,
    /// Nothing arrives between these times.
    pub stall: Option<(u64, u64)>,
    /// The streams of both ends are reset at this time.
    pub reset: Option<u64>,
    /// A reset takes along what has arrived and was not read.
    pub harsh: bool,
}

/// By which method a message is sent.
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
    /// Whether the message was not accepted where such a call fails.
    pub const fn only_feeds(self) -> bool {
        matches!(self, Self::Feed | Self::Respond)
    }
}

/// By which method messages are received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reading {
    Recv,
    Next,
    /// With a timeout of zero, again and again.
    Look,
    LookForMessage,
}

/// One thing that an application does.
#[derive(Clone, Debug)]
pub enum Item {
    Send(Way, usize),
    /// A message in pieces of these lengths.
    Fragments(Vec<usize>),
    Flush,
    Ping(Vec<u8>),
    Pong,
    /// It is busy for so long, and calls nothing.
    Sleep(u64),
    /// It takes its WebSocket apart and puts it together again.
    Reassemble,
    /// It sets its stream to block or not to.
    Blocking(bool),
}

/// How an application ends its connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ending {
    Close(Option<u16>, &'static str),
    /// It waits for its peer, but not beyond [`LAST`].
    Wait,
    /// It drops what it has, without a word.
    Abandon,
}

/// What an application does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What it does, and how long it receives, or waits, before.
    pub items: Vec<(u64, Item)>,
    pub readings: Vec<Reading>,
    /// Of a hundred messages, so many are answered.
    pub answers: usize,
    /// Of a hundred calls that receive, so many have a short timeout.
    pub short_calls: usize,
    pub ending: Ending,
    /// So many threads send, beside one that receives.
    pub writers: usize,
    /// The half that sends is kept until the other one is over.
    pub keeps_writer: bool,
    /// When the half that receives is dropped.
    pub drops_reader: Option<u64>,
    /// How often and for how long the half that receives does something else.
    pub reader_rests: Option<(u64, u64)>,
    pub seed: u64,
}

/// What a connection is made of.
#[derive(Clone, Debug)]
pub struct Making {
    pub role: Role,
    pub config: Config,
    pub delivery: Delivery,
    pub seed: u8,
    /// What was agreed on for compression, with that feature.
    #[cfg_attr(not(feature = "deflate"), allow(dead_code, reason = "nothing is compressed then"))]
    pub deflate: Option<DeflateParams>,
}

/// One end of a run.
#[derive(Clone, Debug)]
pub struct End {
    pub shape: Shape,
    pub manner: Manner,
    pub promise: Promise,
    pub making: Making,
    pub plan: Plan,
    /// What it does, where it is no WebSocket of the library.
    pub script: Option<Script>,
}

/// All that a run is.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Of a hundred calls on a stream, before so many the baton goes around.
    pub switches: usize,
    pub links: [link::Habits; 2],
    pub weather: Weather,
    pub ends: [End; 2],
}

/// The length of a message, mostly a short one.
pub fn length(random: &mut Xorshift) -> usize {
    match random.below(100) {
        0 => 60_000 + random.below(40_000),
        1 | 2 => 15_000 + random.below(3000),
        3..=7 => 4000 + random.below(200),
        8..=20 => 100 + random.below(400),
        _ => random.below(60),
    }
}

/// Draws from chance.
struct Draw(Xorshift);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0.below(bound)
    }

    /// One in so many times.
    fn one_in(&mut self, times: usize) -> bool {
        self.0.below(times) == 0
    }

    fn one_of<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.0.below(of.len())].clone()
    }

    /// A time between two.
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

    fn manner(&mut self) -> Manner {
        let piece = [usize::MAX, usize::MAX, usize::MAX, 20_000, 1400, 100];
        let flavour = self.below(8);
        Manner {
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

    fn plan(&mut self, shape: Shape, manner: &Manner) -> Plan {
        let count = self.one_of(&[0, 3, 10, 25]);
        let gaps = self.one_of(&[0, 10 * MS, 200 * MS, 2 * SECOND]);
        let blocks = shape == Shape::Whole && manner.nonblocking && self.one_in(3);
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

    /// How messages are compressed, if they are.
    fn deflate(&mut self) -> Option<DeflateParams> {
        self.one_in(8).then(|| DeflateParams {
            server_no_context_takeover: self.one_in(2),
            client_no_context_takeover: self.one_in(2),
            ..DeflateParams::default()
        })
    }

    fn weather(&mut self) -> Weather {
        let mut weather = Weather { harsh: self.one_in(2), ..Weather::default() };
        match self.below(12) {
            0 => weather.cut = Some(self.time(0, 6 * SECOND)),
            1 | 2 => {
                let at = self.time(0, 4 * SECOND);
                weather.stall = Some((at, at + self.time(0, 4 * SECOND)));
            }
            3 => weather.reset = Some(self.time(0, 6 * SECOND)),
            _ => {}
        }
        weather
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
        let (mut promise, mut manner) = (draw.promise(), draw.manner());
        if role == Role::Server {
            promise.end = None;
        }
        if draw.one_in(25) {
            // Nothing interrupts its calls: it promises nothing.
            (manner.timeouts, manner.nonblocking) = (false, false);
        }
        let making = draw.making(role, &promise, deflate);
        let mut plan = draw.plan(shape, &manner);
        if making.delivery == Delivery::Chunks {
            // Chunks are no messages: the methods that give messages pass them over.
            plan.readings = vec![draw.one_of(&[Reading::Next, Reading::Look])];
        }
        if plan.writers > 1 {
            // A message in fragments that one of them sends has those of the other refused.
            plan.items.retain(|(_, item)| !matches!(item, Item::Fragments(_)));
        }
        End { shape, manner, promise, making, plan, script: None }
    });
    let weather = draw.weather();
    let lies_at = draw.0.next() % 60;
    if draw.one_in(40) {
        ends[0].manner.lies_at = Some(lies_at);
        // After a failure nobody knows how much was written, and taken apart nobody knows of the failure.
        ends[0].plan.items.retain(|(_, item)| !matches!(item, Item::Reassemble));
    }
    if draw.one_in(3) {
        let end = &mut ends[1];
        end.script = Some(script::draw(|bound| draw.0.next() % bound));
        end.shape = Shape::Scripted;
        (end.manner.keeps, end.manner.lazy) = (false, 0);
        end.making.config =
            Config::new().ping_interval(None).pong_timeout(None).close_timeout(None).high_water(usize::MAX);
    }
    Setup { switches, links, weather, ends }
}
