//! The observations about one endpoint during a run: pending calls, signs of life of the peer, closing, and the
//! outcome.
//!
//! The simulations of the blocking and of the asynchronous adapters use this file. The library can act on a timer only
//! while a call is pending. So some periods are measured in *attentive time*: the total time during which a call that
//! runs timers was pending. `checks.rs` compares the observations with the [`Promise`].

use hybi::Outcome;

/// Maximum number of bytes that sending calls read while they wait for space to write. The library stores these bytes
/// for the next receiving call.
const MAX_READ_AHEAD: u64 = 64 << 10;

/// The timeouts and limits in an endpoint's configuration, which the library must keep. Times are in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Promise {
    pub ping: Option<u64>,
    pub pong: Option<u64>,
    pub idle: Option<u64>,
    pub close: u64,
    /// Time that a client waits for the end of the stream after both Closes.
    pub end: Option<u64>,
    pub high_water: usize,
}

/// A pending call of the library.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    pub kind: CallKind,
    pub since: u64,
    pub task: usize,
    /// Number of bytes that had been read when the call began.
    pub read: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallKind {
    /// A call that waits for the peer, and writes the queue.
    Receive,
    /// A call that waits until its data is written, or until the queue has space.
    Send,
}

/// The form in which an endpoint uses the library.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// A whole WebSocket in one task.
    Whole,
    /// The crate's halves, in two tasks.
    Halves,
    /// The halves of `futures_util`, in two tasks.
    FuturesHalves,
    /// A scripted peer without a WebSocket of the library.
    Scripted,
}

/// How the application has learned that the connection is over.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum KnownEnd {
    Outcome(Outcome),
    /// A call has reported that no more messages follow, but it has not reported an outcome.
    End,
}

#[derive(Debug)]
pub struct Record {
    pub shape: Shape,
    pub promise: Promise,
    /// The pending calls. The first call belongs to the receiving task or thread, the other calls to sending tasks or
    /// threads.
    pub calls: [Option<Call>; 3],
    /// The time since which a call that runs timers has been pending.
    attentive_since: Option<u64>,
    /// The attentive time before `attentive_since`.
    attentive: u64,
    /// Time of arrival of the peer's last byte.
    pub life: u64,
    /// Attentive time of this endpoint when bytes of the peer last arrived or were read.
    pub life_mark: u64,
    /// After a call has delivered an event, each call that begins stores its time here, up to and including the next
    /// receiving call. The library counts the delivered traffic as received at this time at the latest.
    pub heard: u64,
    /// A call has delivered an event, and no receiving call has begun since.
    pub hears: bool,
    /// Time of the last write that progressed after the stream was full.
    pub progress: Option<u64>,
    /// Attentive time of the last write that progressed after the stream was full.
    pub progress_mark: u64,
    /// Attentive time of the last write that the stream accepted.
    pub wrote_mark: u64,
    /// Attentive time at which the first Ping after the peer's last byte was written.
    pub pinged: Option<u64>,
    /// Time at which either side began to close, and the attentive time at that moment.
    pub closing: Option<(u64, u64)>,
    /// Whether `closing` is exact. If not, closing may have begun earlier.
    pub closing_exact: bool,
    /// The value of `closing` that was discarded when a call was dropped. That call may have begun to close.
    pub closing_by_dropped_call: Option<(u64, u64)>,
    /// Attentive time at which the idle timeout had passed. The Close for idleness may wait behind queued output.
    pub idle_timeout_mark: Option<u64>,
    /// The application has closed the connection, or its group was closed.
    pub asked_to_close: bool,
    /// The group was closed. A waiting receiver notices this at once.
    pub group_closed: bool,
    /// Number of bytes that sending calls have read since a receiving call last read.
    read_ahead: u64,
    /// [`MAX_READ_AHEAD`] was reached, so sending calls read nothing more. Until a call receives, the library may give
    /// up a peer that is alive.
    pub was_full: bool,
    /// Time at which the WebSocket was last taken apart and put together. The clock of the new WebSocket continues from
    /// the latest event that the connection knew, so timers may be late.
    pub reassembled: u64,
    /// Attentive time at `reassembled`.
    pub reassembled_mark: u64,
    /// Time at which a sending call last read bytes. For the idle timeout, the library may count these bytes as data.
    pub ahead_at: u64,
    /// A sending call has read input, and no receiving call has taken this input yet. When a receiving call takes the
    /// input, the library counts it as received again, at the time of that call.
    has_ahead: bool,
    pub known_end: Option<(u64, KnownEnd)>,
    /// A call has failed, so the application knows that its messages may be lost.
    pub loss_reported: bool,
    /// The value of `Sender::dropped` at the end of the run, if it is available.
    pub dropped: Option<u64>,
    pub round_trip: bool,
    /// An I/O error was reported.
    pub io_error: bool,
    /// The application dropped its WebSocket, or the reader, before the connection was over.
    pub abandoned: bool,
    /// A fragmented message was begun, and will not be finished.
    pub message_open: bool,
    /// Number of tasks that have not ended.
    pub tasks: usize,
    /// The reader was dropped, if there are two halves.
    pub reader_gone: bool,
    pub writer_gone: bool,
    /// Whether the reader pauses from time to time.
    pub rests: bool,
    /// Whether the last send has written everything that was accepted.
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
            wrote_mark: 0,
            pinged: None,
            closing: None,
            closing_exact: false,
            closing_by_dropped_call: None,
            idle_timeout_mark: None,
            asked_to_close: false,
            group_closed: false,
            read_ahead: 0,
            was_full: false,
            reassembled: 0,
            reassembled_mark: 0,
            ahead_at: 0,
            has_ahead: false,
            known_end: None,
            loss_reported: false,
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

    /// Returns whether a pending call must handle the timers and read from the peer.
    fn is_attentive(&self) -> bool {
        match self.shape {
            // The reader runs the timers.
            Shape::Halves => self.calls[0].is_some(),
            _ => self.calls.iter().any(Option::is_some),
        }
    }

    /// Records that a call begins, returns, or is dropped.
    pub fn set_call(&mut self, now: u64, slot: usize, call: Option<Call>) {
        self.calls[slot] = call;
        if let Some(call) = call.filter(|_| self.hears) {
            self.heard = now;
            // A send may have no reason to read the clock.
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

    /// Returns the total time during which a call that runs timers was pending.
    pub fn attentive(&self, now: u64) -> u64 {
        self.attentive + self.attentive_since.map_or(0, |since| now - since)
    }

    /// Records that bytes of the peer have arrived.
    pub fn arrived(&mut self, now: u64) {
        (self.life, self.life_mark) = (now, self.attentive(now));
        (self.progress, self.pinged) = (None, None);
    }

    /// Records that bytes of the peer were read. They may have arrived earlier.
    pub fn read(&mut self, now: u64) {
        self.life_mark = self.attentive(now);
        if self.calls.iter().flatten().any(|call| call.kind == CallKind::Send) {
            (self.ahead_at, self.has_ahead) = (now, true);
            // The bytes may contain the Pongs for all earlier Pings.
            self.pinged = None;
        } else {
            // A receiving call reads from the stream only after all input that was read ahead is consumed.
            self.has_ahead = false;
        }
    }

    /// Records the end of a call during which this many bytes were read.
    pub fn read_ahead_by(&mut self, kind: CallKind, bytes: u64) {
        if kind == CallKind::Send {
            self.read_ahead += bytes;
            self.was_full |= self.read_ahead >= MAX_READ_AHEAD;
        } else if bytes > 0 {
            // A receiving call reads from the stream only after all input that was read ahead is consumed.
            self.read_ahead = 0;
        }
    }

    /// Returns whether sending calls read nothing more, because the library keeps no more input. `read` is the number of
    /// bytes that were read until now.
    pub fn is_read_ahead_full(&self, read: u64) -> bool {
        let sending = self.calls.iter().flatten().filter(|call| call.kind == CallKind::Send);
        self.read_ahead + sending.map(|call| read - call.read).sum::<u64>() >= MAX_READ_AHEAD
    }

    /// Records a write, and whether it contained a Ping. `blocked` means that the stream was full at the previous
    /// write. `shows` means that the library notices the progress.
    pub fn wrote(&mut self, now: u64, blocked: bool, shows: bool, pings: bool) {
        let attentive = self.attentive(now);
        self.wrote_mark = attentive;
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

    /// Records whether the idle timeout has passed, if data was last sent or received at `data_at`.
    pub fn idles(&mut self, now: u64, data_at: u64) {
        if self.promise.idle.is_some_and(|idle| now >= data_at + idle) {
            let attentive = self.attentive(now);
            self.idle_timeout_mark.get_or_insert(attentive);
        }
    }

    /// Records that closing begins, if it has not begun before. If `exact` is false, closing may have begun earlier.
    pub fn closes(&mut self, now: u64, exact: bool) {
        let attentive = self.attentive(now);
        if self.closing.is_none() {
            (self.closing, self.closing_exact) = (Some((now, attentive)), exact);
        }
    }

    /// Records that the application learns that the connection is over. Returns whether this is new information.
    pub fn learn(&mut self, now: u64, known_end: KnownEnd) -> bool {
        let since = match self.known_end {
            None => now,
            // The application asks for the outcome after it has learned of the end.
            Some((since, KnownEnd::End)) if known_end != KnownEnd::End => since,
            Some(_) => return false,
        };
        self.known_end = Some((since, known_end));
        true
    }

    /// Returns whether a receiving call is pending.
    pub fn receives(&self) -> bool {
        self.calls.iter().flatten().any(|call| call.kind == CallKind::Receive)
    }

    /// Returns whether there may have been no receiving call for a while.
    pub const fn reader_rests(&self) -> bool {
        self.rests || self.reader_gone
    }

    pub const fn outcome(&self) -> Option<Outcome> {
        match self.known_end {
            Some((_, KnownEnd::Outcome(outcome))) => Some(outcome),
            _ => None,
        }
    }
}
