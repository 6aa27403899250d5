//! The random setup of a run: configurations, streams, the network, and the plans of the applications.
//!
//! This file makes all random choices of a run from the seed, except those that an application makes while it runs.
//! Some combinations are excluded, and a comment gives each reason.

use std::io::ErrorKind;

use hybi::{Delivery, Role};

use crate::draw::{Draw, MS, Making, NetworkEvents, SECOND, length};
use crate::link;
use crate::player::{Says, Script};
use crate::record::{Promise, Shape};
use crate::stream::{Behavior, READ};

/// Each unfragmented message and each fragment is shorter than this, in bytes.
pub const LONGEST: usize = 100_000;

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
    /// Returns whether a failed call of this kind has certainly not accepted the message.
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
    /// `recv_timeout` with a timeout of zero, again and again.
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
    /// For this many nanoseconds the application makes no call.
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
    /// Waits until the peer closes, or until `draw::LAST`.
    Wait,
    /// Drops its WebSocket without a Close.
    Abandon,
}

/// The plan of an application.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The actions. Before each action the application receives or waits for this many nanoseconds.
    pub items: Vec<(u64, Item)>,
    pub readings: Vec<Reading>,
    /// Percentage of messages that are answered.
    pub answers: usize,
    /// Percentage of receiving calls with a short timeout.
    pub short_calls: usize,
    pub ending: Ending,
    /// Number of sending threads, in addition to the receiving one.
    pub writers: usize,
    /// The writer is kept until the reader has ended.
    pub keeps_writer: bool,
    /// Time at which the reader is dropped.
    pub drops_reader: Option<u64>,
    /// Interval and duration of pauses of the reader.
    pub reader_rests: Option<(u64, u64)>,
    pub seed: u64,
}

/// One endpoint of a run.
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
    /// Percentage of the calls on a stream that let another thread run first.
    pub switches: usize,
    pub links: [link::Habits; 2],
    pub network_events: NetworkEvents,
    pub ends: [End; 2],
}

impl Draw {
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
            keeps_refused_bytes: self.one_in(2),
            keeps: flavour <= 1,
            lazy: if flavour == 2 { self.one_of(&[100, 8000]) } else { 0 },
            half_closes: !self.one_in(5),
            close_waits: self.one_in(4),
            interrupts: self.one_of(&[0, 0, 0, 10]),
            lies_at: None,
            writes_fail_at: None,
            read_takes: 0,
        }
    }

    /// In one run of thirty, makes the writes of the first endpoint fail from some time on. In half of these runs, the
    /// reads of a whole WebSocket take time, and a scripted peer sends faster than this endpoint reads. So no read
    /// finds the stream empty, and the timers must run nevertheless.
    ///
    /// This function is called last, so that the rest of the setup of a seed does not depend on it.
    fn failing_writes(&mut self, ends: &mut [End; 2]) {
        let within = self.one_of(&[20 * MS, 4 * SECOND]);
        let writes_fail_at = self.maybe_time(30, 0, within);
        let read_takes = self.one_of(&[0, MS, 0, 5 * MS, 0, 20 * MS]);
        let (piece, pause) = (self.one_of(&[100, 1400]), self.time(MS, 20 * MS));
        let [End { behavior, shape, .. }, peer] = ends;
        // A stream that lies fails in another way.
        if writes_fail_at.is_none() || behavior.lies_at.is_some() {
            return;
        }
        behavior.writes_fail_at = writes_fail_at;
        // Halves share the blocking mode of their stream. During a slow read in nonblocking mode, a write of the other
        // half would poll.
        if read_takes > 0 && *shape == Shape::Whole {
            (behavior.read_takes, behavior.piece[READ]) = (read_takes, piece);
            if let Some(script) = &mut peer.script {
                script.says = Says::Messages(pause, 1000);
            }
        }
    }

    /// In one run of thirty, gives the first endpoint two more actions: a message that is only queued, and a pause after
    /// which a Ping is due. If the peer does not read, the stream is full when the application closes.
    ///
    /// This function is called last, for the same reason as `failing_writes`.
    fn pause_before_close(&mut self, plan: &mut Plan, ping_interval: Option<u64>) {
        let pause = self.maybe_time(30, MS, SECOND);
        if let (Some(interval), Some(pause)) = (ping_interval, pause) {
            plan.items.push((0, Item::Send(Way::Feed, LONGEST - 1)));
            plan.items.push((0, Item::Sleep(interval + pause)));
        }
    }

    fn item(&mut self, number: usize, blocks: bool) -> Item {
        match self.below(20) {
            0 => Item::Fragments((0..1 + self.below(4)).map(|_| length(&mut self.0, LONGEST)).collect()),
            1 => Item::Flush,
            2 | 3 => Item::Ping(format!("own {number}").into()),
            4 => Item::Pong,
            5 if self.one_in(2) => Item::Sleep(self.time(1, 3 * SECOND)),
            6 if self.one_in(2) => Item::Reassemble,
            7 if blocks => Item::Blocking(self.one_in(2)),
            _ => Item::Send(self.one_of(&WAYS), length(&mut self.0, LONGEST)),
        }
    }

    fn plan(&mut self, shape: Shape, behavior: &Behavior) -> Plan {
        let count = self.one_of(&[0, 3, 10, 25]);
        let gaps = self.one_of(&[0, 10 * MS, 200 * MS, 2 * SECOND]);
        let blocks = shape == Shape::Whole && behavior.nonblocking && self.one_in(3);
        let items = self.items(count, gaps, |draw, number| draw.item(number, blocks));
        let readings = match self.below(5) {
            0 => vec![Reading::Recv],
            1 => vec![Reading::Next],
            2 => vec![Reading::Look],
            3 => vec![Reading::Recv, Reading::Next],
            _ => vec![Reading::Recv, Reading::Next, Reading::Look, Reading::LookForMessage],
        };
        let (code, reason) = self.close();
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
}

pub fn setup(seed: u64) -> Setup {
    let mut draw = Draw::new(seed);
    let switches = draw.one_of(&[0, 5, 30, 100]);
    let deflate = draw.deflate();
    let first = draw.one_of(&[Role::Server, Role::Client]);
    let links = [draw.link(), draw.link()];
    let mut ends = [first, first.peer()].map(|role| {
        let shape = if draw.one_in(2) { Shape::Whole } else { Shape::Halves };
        let (mut promise, mut behavior) = (draw.promise(), draw.behavior());
        if role == Role::Server {
            promise.end = None;
        }
        if draw.one_in(25) {
            // Without timeouts and nonblocking mode, a call of this stream can wait forever. So no deadline is checked.
            (behavior.timeouts, behavior.nonblocking) = (false, false);
        }
        let delivery = if draw.one_in(5) { Delivery::Chunks } else { Delivery::Whole };
        let making = draw.making(role, delivery, &promise, deflate);
        let mut plan = draw.plan(shape, &behavior);
        if making.delivery == Delivery::Chunks {
            // Methods that return messages skip chunks.
            plan.readings = vec![draw.one_of(&[Reading::Next, Reading::Look])];
        }
        if plan.writers > 1 {
            // While one writer sends a fragmented message, the messages of the other writer are refused.
            plan.items.retain(|(_, item)| !matches!(item, Item::Fragments(_)));
        }
        End { shape, behavior, promise, making, plan, script: None }
    });
    let network_events = draw.network_events();
    let lies_at = draw.0.next() % 60;
    if draw.one_in(40) {
        ends[0].behavior.lies_at = Some(lies_at);
        // The stream of this endpoint once reports more bytes than it moved. If that call is a write, the WebSocket
        // fails, because the number of written bytes is unknown. A WebSocket that is made from the parts would not know
        // of the failure.
        ends[0].plan.items.retain(|(_, item)| !matches!(item, Item::Reassemble));
    }
    if draw.one_in(3) {
        let end = &mut ends[1];
        end.script = Some(Script::draw(&mut draw, true));
        end.shape = Shape::Scripted;
        (end.behavior.keeps, end.behavior.lazy) = (false, 0);
        end.making.play();
    }
    draw.failing_writes(&mut ends);
    let [End { plan, promise, .. }, _] = &mut ends;
    draw.pause_before_close(plan, promise.ping);
    Setup { switches, links, network_events, ends }
}
