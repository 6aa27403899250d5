//! What is known of one end while a run goes on: which calls are pending, when the peer was last alive, how it ended.

use hybi::Outcome;

/// So much is read ahead by calls that send and have to wait.
const MOST_READ_AHEAD: u64 = 64 << 10;

/// What an application was promised by the configuration of its end; times in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Promise {
    pub ping: Option<u64>,
    pub pong: Option<u64>,
    pub idle: Option<u64>,
    pub close: u64,
    /// How long a client waits for the end of the stream once both Closes have passed.
    pub end: Option<u64>,
    pub high_water: usize,
}

/// A call of the library that has not returned.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    pub kind: CallKind,
    pub since: u64,
    pub task: usize,
    /// How many bytes had been read when it began.
    pub read: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallKind {
    /// It waits for something from the peer, and writes what is queued.
    Receive,
    /// It waits until something is written, or until there is room in the queue.
    Send,
}

/// How the calls of an end are made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// In one task.
    Whole,
    /// Our halves, in two tasks.
    Halves,
    /// The halves of `futures_util`, in two tasks.
    FuturesHalves,
    /// The end is no WebSocket of the library.
    Scripted,
}

/// How the application has learnt that the connection is over.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Told {
    Outcome(Outcome),
    /// There is no outcome, but the end of all messages.
    End,
}

#[derive(Debug)]
pub struct Record {
    pub shape: Shape,
    pub promise: Promise,
    /// Those of the task or thread that receives, and of those that send where there are several.
    pub calls: [Option<Call>; 3],
    attentive_since: Option<u64>,
    attentive: u64,
    /// When a byte of the peer's last arrived.
    pub life: u64,
    /// For how long the end had been attentive then.
    pub life_mark: u64,
    /// When a call first followed one that handed something to the application: it counts as of then, which may be
    /// late and is never early.
    pub heard: u64,
    pub hears: bool,
    /// When a write last went on that had found no room.
    pub progress: Option<u64>,
    pub progress_mark: u64,
    /// For how long the end had been attentive when a Ping was first written after the peer's last byte.
    pub pinged: Option<u64>,
    /// When closing began, from either side, and for how long the end had been attentive then.
    pub closing: Option<(u64, u64)>,
    pub closing_exact: bool,
    /// The application has closed it, or its group was closed.
    pub told_to_close: bool,
    /// Its group was closed, which a call that receives learns when it waits.
    pub group_closed: bool,
    /// How many bytes were read while calls that send were pending, since one that receives was.
    read_ahead: u64,
    /// It was as much as there is room for: who does not receive may then give up a peer that lives.
    pub was_full: bool,
    /// When it was last taken apart: its clock goes on from the latest thing that had happened, so timers may be late.
    pub reassembled: u64,
    pub reassembled_mark: u64,
    /// When such a call last read something, which may have been data for all that it knows.
    pub ahead_at: u64,
    /// Nobody has received it. It counts once more when it is, which may be late and is never early.
    has_ahead: bool,
    pub told: Option<(u64, Told)>,
    /// A call that sends, or flushes, has said that something will not be written.
    pub loss_told: bool,
    /// What `dropped` gives at the end, where it can be asked.
    pub dropped: Option<u64>,
    pub round_trip: bool,
    /// An I/O error was told.
    pub io_error: bool,
    /// The application has dropped its end, or the half that receives, before the connection was over.
    pub abandoned: bool,
    /// A message in fragments was begun, and will not be ended.
    pub message_open: bool,
    /// So many of its tasks are not over.
    pub tasks: usize,
    /// The half that receives is gone, where there are two.
    pub reader_gone: bool,
    pub writer_gone: bool,
    /// The half that receives does something else from time to time.
    pub rests: bool,
    /// The last call that sends has written all that was accepted.
    pub flushed: bool,
}

impl Record {
    pub const fn new(shape: Shape, promise: Promise, tasks: usize) -> Self {
        Self {
            shape,
            promise,
            calls: [None; 3],
            attentive_since: None,
            attentive: 0,
            life: 0,
            life_mark: 0,
            heard: 0,
            hears: false,
            progress: None,
            progress_mark: 0,
            pinged: None,
            closing: None,
            closing_exact: false,
            told_to_close: false,
            group_closed: false,
            read_ahead: 0,
            was_full: false,
            reassembled: 0,
            reassembled_mark: 0,
            ahead_at: 0,
            has_ahead: false,
            told: None,
            loss_told: false,
            dropped: None,
            round_trip: false,
            io_error: false,
            abandoned: false,
            message_open: false,
            tasks,
            reader_gone: false,
            writer_gone: false,
            rests: false,
            flushed: true,
        }
    }

    /// Whether a call is pending that must look after the timers and the peer.
    fn is_attentive(&self) -> bool {
        match self.shape {
            // The half that receives runs the timers.
            Shape::Halves => self.calls[0].is_some(),
            _ => self.calls.iter().any(Option::is_some),
        }
    }

    /// A call begins, returns, or is dropped.
    pub fn set_call(&mut self, now: u64, slot: usize, call: Option<Call>) {
        self.calls[slot] = call;
        if let Some(call) = call.filter(|_| self.hears) {
            self.heard = now;
            // A call that sends may find no reason to look at the clock.
            self.hears = call.kind != CallKind::Receive;
        }
        if call.is_some_and(|call| call.kind == CallKind::Receive) && self.has_ahead {
            (self.heard, self.life_mark) = (now, self.attentive(now));
        }
        match (self.is_attentive(), self.attentive_since) {
            (true, None) => self.attentive_since = Some(now),
            (false, Some(since)) => {
                self.attentive += now - since;
                self.attentive_since = None;
            }
            _ => {}
        }
    }

    /// For how long in all a call has been pending that looks after the timers.
    pub fn attentive(&self, now: u64) -> u64 {
        self.attentive + self.attentive_since.map_or(0, |since| now - since)
    }

    /// Bytes of the peer's have arrived.
    pub fn arrived(&mut self, now: u64) {
        (self.life, self.life_mark) = (now, self.attentive(now));
        (self.progress, self.pinged) = (None, None);
    }

    /// Bytes of the peer's were read, which may have waited for some time.
    pub fn read(&mut self, now: u64) {
        self.life_mark = self.attentive(now);
        if self.calls.iter().flatten().any(|call| call.kind == CallKind::Send) {
            (self.ahead_at, self.has_ahead) = (now, true);
            // It may hold the Pongs to all that was written before.
            self.pinged = None;
        } else {
            // What was read ahead has been taken before.
            self.has_ahead = false;
        }
    }

    /// A call is over, while which so many bytes were read.
    pub fn read_ahead_by(&mut self, kind: CallKind, bytes: u64) {
        if kind == CallKind::Send {
            self.read_ahead += bytes;
            self.was_full |= self.read_ahead >= MOST_READ_AHEAD;
        } else {
            self.read_ahead = 0;
        }
    }

    /// Bytes were written, and a Ping among them; `blocked` says that the write before had found no room, and `shows` that
    /// the library sees that it goes on.
    pub fn wrote(&mut self, now: u64, blocked: bool, shows: bool, pings: bool) {
        let attentive = self.attentive(now);
        if blocked {
            self.progress_mark = attentive;
        }
        if blocked && shows {
            self.progress = Some(now);
        }
        if pings {
            self.pinged.get_or_insert(attentive);
        }
    }

    /// Closing begins, unless it has. It may have begun some time ago, where that is not `exact`.
    pub fn closes(&mut self, now: u64, exact: bool) {
        let attentive = self.attentive(now);
        if self.closing.is_none() {
            (self.closing, self.closing_exact) = (Some((now, attentive)), exact);
        }
    }

    /// The application learns that the connection is over; whether that is new.
    pub fn tell(&mut self, now: u64, told: Told) -> bool {
        let since = match self.told {
            None => now,
            // How it ended is asked for when it is known that it has.
            Some((since, Told::End)) if told != Told::End => since,
            Some(_) => return false,
        };
        self.told = Some((since, told));
        true
    }

    /// Whether a call that receives is pending.
    pub fn receives(&self) -> bool {
        self.calls.iter().flatten().any(|call| call.kind == CallKind::Receive)
    }

    /// Whether nobody may have read for a while.
    pub const fn reader_rests(&self) -> bool {
        self.rests || self.reader_gone
    }

    pub const fn outcome(&self) -> Option<Outcome> {
        match self.told {
            Some((_, Told::Outcome(outcome))) => Some(outcome),
            _ => None,
        }
    }
}
