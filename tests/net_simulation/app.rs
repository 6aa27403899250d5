//! The applications of the two endpoints, each in one to three threads: which calls of the library they make, and when.
//!
//! An application follows its plan in one thread, or in one thread that receives and one or two that send. It writes
//! everything that it learns into its journal and its record. `checks.rs` judges the connection from both.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use hybi::adapters::net::{Error, Interest, Reader, Responder, WebSocket, Writer};
use hybi::{CloseCode, Event, Inbox, Message, MessageKind, Prepared, SendError, SendOptions};

use crate::draw::{LAST, MS, Making, OVER, SECOND, length};
use crate::journal::{self, Fate};
use crate::record::{Call, CallKind, KnownEnd};
use crate::setup::{Ending, Item, LONGEST, Plan, Reading, Way};
use crate::sim::{Guard, Sim, me};
use crate::stream::SimStream;
use crate::support::cuts::Xorshift;
use crate::world::{Wait, fail};

/// Options of a message that is sent uncompressed.
const PLAIN: SendOptions = SendOptions::new().compress(false);

/// An application that has sent this many messages answers no further message.
const MAX_ANSWERS: usize = 300;

/// If the thread that receives makes no call for longer than this, the WebSocket has not run its timers in the
/// meantime. The end of the pause is recorded in `World::rested`.
const LONG_REST: u64 = 50 * MS;

pub type Ws = WebSocket<SimStream>;

/// The context of a thread: the run, the endpoint of the thread, and its random numbers.
pub struct Task {
    pub sim: Arc<Sim>,
    pub end: usize,
    /// Index of this thread's pending call in `Record::calls` of its endpoint.
    pub slot: usize,
    pub random: Xorshift,
    /// The stream is nonblocking.
    nonblocking: bool,
    /// The last receiving call may return the error of a write: no write had failed before, and the call writes the
    /// queue itself. Halves return this error only from calls that send.
    reports_write: bool,
}

/// The object that receives messages.
pub enum In<'a> {
    Whole(&'a mut Ws),
    Half(&'a mut Reader),
}

/// The object that sends messages.
pub enum Out<'a> {
    Whole(&'a mut Ws),
    Half(&'a mut Writer),
}

/// The result of a receiving call.
#[derive(Debug)]
enum Got {
    Something,
    /// A message arrived, and was answered through the responder. The number is the index of the answer in the journal.
    Answered(usize, Result<(), Error>),
    Ended,
    Failed(Error),
}

/// Returns a WebSocket over the stream of an endpoint.
pub fn open(sim: &Arc<Sim>, end: usize, making: &Making) -> Ws {
    let now = sim.lock().instant();
    WebSocket::from_stream(SimStream::new(sim, end), making.connection(now), Inbox::empty())
}

fn message(kind: MessageKind, data: &[u8]) -> Message {
    match kind {
        MessageKind::Text => String::from_utf8(data.to_vec()).unwrap().into(),
        MessageKind::Binary => data.to_vec().into(),
    }
}

fn would_block(error: &Error) -> Option<Interest> {
    let waits = matches!(error, Error::Io(error) if error.kind() == ErrorKind::WouldBlock);
    error.interest().filter(|_| waits)
}

fn timed_out(error: &Error) -> bool {
    matches!(error, Error::Io(error) if error.kind() == ErrorKind::TimedOut)
}

impl Task {
    pub fn new(sim: &Arc<Sim>, end: usize, slot: usize, seed: u64) -> Self {
        Self {
            sim: Arc::clone(sim),
            end,
            slot,
            random: Xorshift::new(seed + slot as u64),
            nonblocking: false,
            reports_write: false,
        }
    }

    fn now(&self) -> u64 {
        self.sim.lock().now()
    }

    fn world(&self) -> Guard<'_> {
        self.sim.lock()
    }

    fn note(&self, what: impl FnOnce() -> String) {
        self.sim.lock().note(|| format!("{}: {}", self.end, what()));
    }

    /// Waits without a call of the library.
    fn sleep_until(&self, at: u64) {
        drop(self.sim.wait(self.world(), Wait::Time, Some(at)));
    }

    /// Makes a call of the library, and registers it while it is pending. If a nonblocking stream is not ready, the
    /// call returns the readiness that it needs. When the stream is ready before `until`, the call is repeated.
    fn call<T>(
        &self,
        kind: CallKind,
        until: Option<u64>,
        mut call: impl FnMut() -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut world = self.world();
        let now = world.now();
        let read = world.links[1 - self.end].read.bytes;
        let pending = Call { kind, since: now, task: me(), read };
        if self.slot == 0 && now > world.called[self.end] + LONG_REST {
            world.rested[self.end] = now;
        }
        world.ends[self.end].set_call(now, self.slot, Some(pending));
        drop(world);
        let result = loop {
            let result = call();
            let interest = result.as_ref().err().and_then(would_block);
            let Some(interest) = interest.filter(|_| self.nonblocking) else { break result };
            if !self.wait_for(interest, until) {
                break result;
            }
        };
        let mut world = self.world();
        let (now, read) = (world.now(), world.links[1 - self.end].read.bytes);
        let record = &mut world.ends[self.end];
        if let Some(call) = record.calls[self.slot] {
            record.read_ahead_by(call.kind, read - call.read);
        }
        record.set_call(now, self.slot, None);
        if self.slot == 0 {
            world.called[self.end] = now;
        }
        result
    }

    /// Waits until the stream is ready for a call. Returns whether to repeat the call.
    fn wait_for(&self, interest: Interest, until: Option<u64>) -> bool {
        let world = self.world();
        let now = world.now();
        if until.is_some_and(|until| until <= now) {
            return false;
        }
        let due = interest.within.map(|within| now + within.as_nanos() as u64);
        let deadline = [due, until].into_iter().flatten().min();
        world.note(|| format!("{} waits for {interest:?}", self.end));
        let wait = Wait::Poll(self.end, [interest.readable, interest.writable]);
        drop(self.sim.wait(world, wait, deadline));
        true
    }

    /// Returns whether the error only means that a nonblocking stream was not ready.
    fn goes_on_after(&self, error: &Error) -> bool {
        self.nonblocking && would_block(error).is_some()
    }

    /// Runs a sending call with the simulation's model of the lock that halves share.
    fn locked<T>(&self, halves: bool, call: impl FnOnce() -> T) -> T {
        self.sim.with_lock(self.end, halves, call)
    }

    // --- received events ---

    /// Records a received event.
    fn hear(&self, event: &Event<'_>) {
        let mut world = self.world();
        let source = 1 - self.end;
        match *event {
            Event::Text(text) => world.journals[source].receive(MessageKind::Text, text.as_bytes()),
            Event::Binary(data) => world.journals[source].receive(MessageKind::Binary, data),
            Event::Chunk { kind, data, first, fin } => {
                world.journals[source].receive_chunk(kind, data, first, fin);
            }
            Event::CloseReceived { code, reason } => {
                let sent = world.links[source].sent.close_code();
                if sent != code.map(CloseCode::get) {
                    fail!(
                        "4 another Close",
                        "endpoint {} received {code:?} {reason:?}, but {sent:?} was sent",
                        self.end
                    );
                }
                let now = world.now();
                world.ends[self.end].closes(now, false);
            }
            Event::Closed(outcome) => {
                drop(world);
                self.learn(KnownEnd::Outcome(outcome));
                world = self.world();
            }
            Event::Ping(_) | Event::Pong(_) => {}
            event => fail!("3 strange event", "{event:?}"),
        }
        world.ends[self.end].hears = true;
        world.note(|| format!("{} hears {}", self.end, brief(event)));
    }

    /// Records that the application has learned that the connection is over.
    fn learn(&self, known_end: KnownEnd) {
        let mut world = self.world();
        let now = world.now();
        let new = world.ends[self.end].learn(now, known_end);
        if let (true, KnownEnd::Outcome(outcome)) = (new, known_end) {
            world.note(|| format!("{} has the outcome {outcome:?}", self.end));
            world.check_outcome(self.end, outcome);
        }
    }

    /// Checks that an earlier event explains an error. A failed call also tells the application that its messages
    /// may be lost.
    fn judge(&self, doing: &str, error: &Error) {
        self.note(|| format!("{doing}: {error:?}"));
        let mut world = self.world();
        let write_failed = world.streams[self.end].write_failed();
        let closed = world.links[1 - self.end].read.close.is_some();
        let lied = world.streams.iter().any(|stream| stream.lied);
        let broken = world.reset || lied;
        let garbled = lied || world.links[1 - self.end].sent.garbled;
        let ended = world.links[1 - self.end].knows_end();
        let record = &mut world.ends[self.end];
        record.loss_reported = true;
        let ends = closed || ended || record.closing.is_some() || record.known_end.is_some();
        let ends = ends || record.asked_to_close;
        let times_out = record.promise.pong.is_some() || record.promise.idle.is_some();
        let explained = match error {
            Error::Send(SendError::MessageOpen) => record.message_open,
            Error::Send(SendError::Closed) => ends || times_out || broken,
            Error::Io(_) => {
                record.io_error = true;
                let write = write_failed && (doing != "receives" || self.reports_write);
                broken || ended && doing != "receives" || write
            }
            Error::Protocol(_) => garbled,
            _ => false,
        };
        if !explained {
            fail!("3 strange error", "endpoint {} while it {doing}: {error:?}", self.end);
        }
    }

    // --- receiving ---

    /// Makes one receiving call, which ends at `at` at the latest, and answers if the plan requires an answer. Returns
    /// whether the connection continues.
    fn receive(&mut self, input: &mut In<'_>, plan: &Plan, at: Option<u64>) -> bool {
        let reading = plan.readings[self.random.below(plan.readings.len())];
        // Without this limit two applications would answer each other's answers endlessly.
        let few = self.world().journals[self.end].entries.len() < MAX_ANSWERS;
        let answers = self.random.below(100) < plan.answers && few;
        let (len, pause) = (length(&mut self.random, LONGEST), self.random.next() % (30 * MS));
        self.reports_write = matches!(input, In::Whole(_)) && !self.world().streams[self.end].write_failed();
        let timeout = match (at, reading) {
            (_, Reading::Look | Reading::LookForMessage) => Some(Duration::ZERO),
            (Some(at), _) => Some(Duration::from_nanos(at.saturating_sub(self.now()))),
            (None, _) => None,
        };
        let got = match (input, reading) {
            (In::Whole(ws), Reading::Recv | Reading::LookForMessage) => {
                let got = self.call(CallKind::Receive, at, || match timeout {
                    Some(timeout) => ws.recv_timeout(timeout),
                    None => ws.recv(),
                });
                self.got_message(got)
            }
            (In::Half(half), Reading::Recv | Reading::LookForMessage) => {
                let got = self.call(CallKind::Receive, at, || match timeout {
                    Some(timeout) => half.recv_timeout(timeout),
                    None => half.recv(),
                });
                self.got_message(got)
            }
            (In::Half(half), Reading::Next | Reading::Look) => {
                let got = self.call(CallKind::Receive, at, || {
                    let event = match timeout {
                        Some(timeout) => half.next_event_timeout(timeout),
                        None => half.next_event(),
                    };
                    Ok(event?.map(|event| self.hear(&event)))
                });
                got_event(got)
            }
            (In::Whole(ws), Reading::Next | Reading::Look) => {
                let mut heard = None;
                let got = self.call(CallKind::Receive, at, || {
                    let next = match timeout {
                        Some(timeout) => ws.next_event_timeout(timeout),
                        None => ws.next_event(),
                    };
                    let Some((event, mut responder)) = next? else { return Ok(None) };
                    self.hear(&event);
                    let is_message = matches!(event, Event::Text(_) | Event::Binary(_));
                    if answers && is_message {
                        heard = Some(self.answer(&mut responder, len));
                    }
                    Ok(Some(()))
                });
                match heard {
                    Some((place, result)) => Got::Answered(place, result),
                    None => got_event(got),
                }
            }
        };
        let zero = timeout == Some(Duration::ZERO);
        match got {
            Got::Something => true,
            Got::Answered(place, result) => {
                self.record_fate(place, Way::Respond, &result);
                match result {
                    Err(error) if !self.goes_on_after(&error) => self.judge("answers", &error),
                    _ => {}
                }
                true
            }
            Got::Failed(error) if timed_out(&error) && timeout.is_some() => {
                if zero {
                    let until = self.now() + 1 + pause;
                    self.sleep_until(at.map_or(until, |at| at.min(until)));
                } else if at.is_some_and(|at| at > self.now()) && !self.nonblocking {
                    fail!("3 early", "endpoint {}: a call ends before its timeout", self.end);
                }
                true
            }
            Got::Failed(error) if self.goes_on_after(&error) => true,
            Got::Failed(error) => {
                self.judge("receives", &error);
                true
            }
            Got::Ended => {
                self.note(|| "is at the end".to_owned());
                self.learn(KnownEnd::End);
                false
            }
        }
    }

    fn got_message(&self, got: Result<Option<Message>, Error>) -> Got {
        match got {
            Ok(Some(message)) => {
                match &message {
                    Message::Text(text) => self.hear(&Event::Text(text)),
                    Message::Binary(data) => self.hear(&Event::Binary(data)),
                }
                Got::Something
            }
            Ok(None) => Got::Ended,
            Err(error) => Got::Failed(error),
        }
    }

    /// Answers a message through its responder.
    fn answer(&self, responder: &mut Responder<'_, SimStream>, len: usize) -> (usize, Result<(), Error>) {
        let mut random = self.random.clone();
        let mut world = self.world();
        let journal = &mut world.journals[self.end];
        let (kind, data) = journal::message(&mut random, journal.entries.len(), len);
        let place = journal.offer(kind, data.clone());
        world.note(|| format!("{} answers with {place}, {} bytes", self.end, data.len()));
        // This endpoint receives nothing until this answer is sent.
        let now = world.now();
        let before = world.ends[self.end].calls[self.slot];
        let sends = before.map(|call| Call { kind: CallKind::Send, since: now, ..call });
        world.ends[self.end].set_call(now, self.slot, sends);
        drop(world);
        let sent = match kind {
            MessageKind::Text if len % 2 == 0 => responder.send_text(std::str::from_utf8(&data).unwrap()),
            MessageKind::Binary if len % 2 == 0 => responder.send_binary(&data),
            _ => responder.send(message(kind, &data)),
        };
        (place, sent)
    }

    /// Receives until `at`. Returns whether the connection continues.
    fn receive_until(&mut self, input: &mut In<'_>, plan: &Plan, at: Option<u64>) -> bool {
        let mut calls = 0;
        while at.is_none_or(|at| self.now() < at) {
            calls += 1;
            if calls > 300_000 {
                fail!("5 no end", "endpoint {} receives endlessly", self.end);
            }
            // Sometimes this endpoint waits in several short calls instead of one.
            let short = (self.random.below(100) < plan.short_calls)
                .then(|| self.now() + 1 + self.random.next() % (600 * MS));
            let at = [at, short].into_iter().flatten().min();
            if !self.receive(input, plan, at) {
                return false;
            }
        }
        true
    }

    // --- sending ---

    fn record_fate(&self, place: usize, way: Way, result: &Result<(), Error>) {
        let fate = match result {
            Ok(()) => Fate::Accepted,
            Err(_) if way.only_feeds() => Fate::Refused,
            Err(_) => Fate::Unknown,
        };
        let mut world = self.world();
        world.note(|| format!("{} message {place}: {fate:?}", self.end));
        world.journals[self.end].apply(place, fate);
        world.ends[self.end].flushed = fate == Fate::Accepted && !way.only_feeds();
    }

    /// Returns a message that this endpoint has not sent before, and its index in the journal.
    fn compose(&mut self, len: usize) -> (usize, MessageKind, Vec<u8>) {
        let random = &mut self.random;
        let mut world = self.sim.lock();
        let journal = &mut world.journals[self.end];
        let (kind, data) = journal::message(random, journal.entries.len(), len);
        let place = journal.offer(kind, data.clone());
        (place, kind, data)
    }

    fn send(&mut self, out: &mut Out<'_>, way: Way, len: usize) -> Result<(), Error> {
        // Over a nonblocking stream, a call that returns an error because it would block may have accepted the message.
        // If `feed` returns an error, it has not accepted the message.
        let way = if self.nonblocking { Way::Feed } else { way };
        let halves = matches!(out, Out::Half(_));
        let this = &mut *self;
        let (place, result) = Arc::clone(&this.sim).with_lock(this.end, halves, || {
            let (place, kind, data) = this.compose(len);
            let write_failed = this.world().streams[this.end].write_failed();
            this.note(|| format!("sends {place}, {} bytes, by {way:?}", data.len()));
            let result = this.call(CallKind::Send, Some(LAST), || {
                let text = std::str::from_utf8(&data).ok().filter(|_| kind == MessageKind::Text);
                match (&mut *out, way) {
                    (Out::Whole(ws), Way::Borrowed) => match text {
                        Some(text) => ws.send_text(text),
                        None => ws.send_binary(&data),
                    },
                    (Out::Whole(ws), Way::Owned) => ws.send(message(kind, &data)),
                    (Out::Whole(ws), Way::Prepared) => ws.send_prepared(&prepared(kind, &data)),
                    (Out::Whole(ws), Way::Uncompressed) => ws.send_with(message(kind, &data), PLAIN),
                    (Out::Whole(ws), Way::Feed) => ws.feed(message(kind, &data)),
                    (Out::Whole(ws), Way::Respond) => match text {
                        Some(text) => ws.responder().send_text(text),
                        None => ws.responder().send_binary(&data),
                    },
                    (Out::Half(half), Way::Prepared) => half.send_prepared(&prepared(kind, &data)),
                    (Out::Half(half), Way::Uncompressed) => half.send_with(message(kind, &data), PLAIN),
                    (Out::Half(half), Way::Owned) => half.send(message(kind, &data)),
                    (Out::Half(half), _) => match text {
                        Some(text) => half.send_text(text),
                        None => half.send_binary(&data),
                    },
                }
            });
            if write_failed && result.is_ok() && (halves || !way.only_feeds()) {
                fail!("3 sent", "endpoint {} sends message {place} after a write has failed", this.end);
            }
            (place, result)
        });
        let way = if halves { Way::Owned } else { way };
        self.record_fate(place, way, &result);
        result
    }

    fn send_fragments(&mut self, out: &mut Out<'_>, lens: &[usize]) -> Result<(), Error> {
        if self.nonblocking {
            return Ok(());
        }
        let halves = matches!(out, Out::Half(_));
        let (place, kind, data) = self.compose(lens.iter().sum());
        self.note(|| format!("sends {place} in pieces {lens:?}"));
        let mut rest = &data[..];
        let mut lens = lens.iter().copied().peekable();
        while let Some(len) = lens.next() {
            let fin = lens.peek().is_none();
            let len = if fin { rest.len() } else { len.min(rest.len()) };
            let sent = self.locked(halves, || {
                self.call(CallKind::Send, None, || match &mut *out {
                    Out::Whole(ws) => ws.send_fragment(kind, &rest[..len], fin),
                    Out::Half(half) => half.send_fragment(kind, &rest[..len], fin),
                })
            });
            rest = &rest[len..];
            if sent.is_err() {
                let mut world = self.world();
                world.journals[self.end].apply(place, Fate::Unknown);
                world.ends[self.end].message_open = true;
                return sent;
            }
        }
        self.record_fate(place, Way::Owned, &Ok(()));
        Ok(())
    }

    fn close(&self, out: &mut Out<'_>, code: Option<u16>, reason: &str) -> Result<(), Error> {
        let halves = matches!(out, Out::Half(_));
        let code = code.map(CloseCode::new);
        // Closing begins when this thread gets the lock. Another thread may hold the lock for a long time.
        self.locked(halves, || {
            let mut world = self.world();
            let now = world.now();
            // If the peer's Close was read, closing may have begun before this call.
            let exact =
                world.links[1 - self.end].read.close.is_none() && !world.may_close_for_idleness(self.end);
            let record = &mut world.ends[self.end];
            let before = record.closing;
            record.closes(now, exact);
            record.asked_to_close = true;
            world.note(|| format!("{} closes, {code:?}", self.end));
            drop(world);
            let closed = self.call(CallKind::Send, None, || match &mut *out {
                Out::Whole(ws) if self.nonblocking => ws.responder().close(code, reason),
                Out::Whole(ws) => ws.close(code, reason),
                Out::Half(half) => half.close(code, reason),
            });
            let mut world = self.world();
            if matches!(closed, Err(Error::Send(_))) && world.now() == now {
                // The call was refused, so closing did not begin. After a failed write, closing begins nevertheless.
                world.ends[self.end].closing = before;
            }
            closed
        })
    }

    /// Writes the queue. A nonblocking WebSocket also writes its queue when it receives.
    fn flush(&self, out: &mut Out<'_>) -> Result<(), Error> {
        let Out::Whole(ws) = out else { return Ok(()) };
        self.note(|| "flushes".to_owned());
        let flushed = self.call(CallKind::Send, Some(LAST), || ws.flush());
        self.world().ends[self.end].flushed = flushed.is_ok();
        flushed
    }

    /// Performs one action. Returns whether sending continues.
    fn act(&mut self, out: &mut Out<'_>, item: &Item) -> bool {
        self.world().check_backlog(self.end);
        let halves = matches!(out, Out::Half(_));
        let done = match item {
            Item::Send(way, len) => self.send(out, *way, *len),
            Item::Fragments(lens) => self.send_fragments(out, lens),
            Item::Flush => self.flush(out),
            Item::Ping(payload) => self.locked(halves, || {
                self.call(CallKind::Send, None, || match &mut *out {
                    Out::Whole(ws) if self.nonblocking => ws.responder().ping(payload),
                    Out::Whole(ws) => ws.ping(payload),
                    Out::Half(half) => half.ping(payload),
                })
            }),
            Item::Pong => match out {
                Out::Whole(ws) => self.call(CallKind::Send, None, || ws.responder().pong(b"unasked")),
                Out::Half(_) => Ok(()),
            },
            Item::Sleep(time) => {
                self.sleep_until(self.now() + time);
                Ok(())
            }
            Item::Blocking(blocks) => {
                if let Out::Whole(ws) = out {
                    ws.stream().set_blocking(*blocks);
                    self.note(|| format!("blocks: {blocks}"));
                    self.nonblocking = !blocks;
                }
                Ok(())
            }
            Item::Reassemble => Ok(()),
        };
        match done {
            Ok(()) => true,
            // The next call continues the write.
            Err(error) if self.goes_on_after(&error) => true,
            Err(error) => {
                self.judge("sends", &error);
                false
            }
        }
    }

    /// Closes the connection. If the plan drops the WebSocket without a Close, this method does nothing.
    fn end_it(&mut self, out: &mut Out<'_>, plan: &Plan) {
        let (code, reason) = match &plan.ending {
            Ending::Close(code, reason) => (*code, *reason),
            Ending::Wait => (Some(1001), "it is late"),
            Ending::Abandon => return,
        };
        match self.close(out, code, reason) {
            Err(error) if !self.goes_on_after(&error) => self.judge("closes", &error),
            _ => {}
        }
    }

    /// Checks that the queue is bounded by the high-water mark, one message above this mark, and the control frames.
    fn check_buffered(&self, ws: &Ws) {
        let world = self.world();
        let longest = world.journals[self.end].longest();
        let most = world.ends[self.end].promise.high_water + longest + longest / 8 + 14 + 600;
        let amount = ws.buffered_amount();
        if amount > most {
            fail!(
                "35 output",
                "endpoint {}: {amount} bytes are queued, at most {most} are allowed",
                self.end
            );
        }
    }

    fn is_over(&self) {
        let mut world = self.world();
        world.note(|| format!("a thread of {} is over", self.end));
        world.ends[self.end].tasks -= 1;
    }
}

impl Sim {
    /// Runs a call with the simulation's model of the lock that halves share.
    fn with_lock<T>(&self, end: usize, halves: bool, call: impl FnOnce() -> T) -> T {
        if halves {
            let mut world = self.lock();
            while !world.holds(Wait::Out(end)) {
                world = self.wait(world, Wait::Out(end), None).0;
            }
            world.out_owner[end] = Some(me());
        }
        let result = call();
        if halves {
            self.lock().out_owner[end] = None;
        }
        result
    }
}

fn prepared(kind: MessageKind, data: &[u8]) -> Prepared {
    Prepared::new(message(kind, data))
}

fn got_event(got: Result<Option<()>, Error>) -> Got {
    match got {
        Ok(Some(())) => Got::Something,
        Ok(None) => Got::Ended,
        Err(error) => Got::Failed(error),
    }
}

/// Runs an application that has its WebSocket in one thread.
pub fn whole(mut task: Task, mut ws: Ws, plan: &Plan) {
    let mut goes_on = true;
    for (wait, item) in &plan.items {
        let at = task.now() + wait;
        goes_on = task.receive_until(&mut In::Whole(&mut ws), plan, Some(at));
        if !goes_on {
            break;
        }
        if matches!(item, Item::Reassemble) {
            task.note(|| "is taken apart and put together".to_owned());
            let (stream, connection, inbox) = ws.into_parts();
            ws = WebSocket::from_stream(stream, connection, inbox);
            let mut world = task.world();
            let now = world.now();
            let record = &mut world.ends[task.end];
            (record.reassembled, record.reassembled_mark) = (now, record.attentive(now));
            drop(world);
        } else if !task.act(&mut Out::Whole(&mut ws), item) {
            break;
        }
        task.check_buffered(&ws);
    }
    if plan.ending == Ending::Abandon && goes_on {
        task.world().ends[task.end].abandoned = true;
    } else if goes_on {
        let waits = plan.ending == Ending::Wait;
        if !waits || task.receive_until(&mut In::Whole(&mut ws), plan, Some(LAST)) {
            task.end_it(&mut Out::Whole(&mut ws), plan);
            task.receive_until(&mut In::Whole(&mut ws), plan, None);
        }
    }
    if let Some(outcome) = ws.outcome() {
        task.learn(KnownEnd::Outcome(outcome));
    }
    {
        let mut world = task.world();
        let record = &mut world.ends[task.end];
        record.dropped = Some(ws.connection().sender().dropped());
        record.round_trip = ws.round_trip().is_some();
    }
    drop(ws);
    task.is_over();
}

/// Runs a sending thread of an application that has several threads.
pub fn sends(mut task: Task, mut writer: Writer, plan: &Plan) {
    let mut goes_on = true;
    // If there are two sending threads, each performs every second action.
    for (wait, item) in plan.items.iter().skip(task.slot - 1).step_by(plan.writers) {
        task.sleep_until(task.now() + wait);
        if !task.act(&mut Out::Half(&mut writer), item) {
            // If only writes fail, the reader goes on. So the application closes, which starts the close timeout.
            goes_on = task.world().streams[task.end].write_failed();
            break;
        }
    }
    if goes_on && task.slot == 1 {
        if plan.ending == Ending::Wait {
            drop(task.sim.wait(task.world(), Wait::KnownEnd(task.end), Some(LAST)));
        }
        task.end_it(&mut Out::Half(&mut writer), plan);
    }
    if plan.keeps_writer {
        drop(task.sim.wait(task.world(), Wait::KnownEnd(task.end), Some(LAST + 100 * SECOND)));
    }
    {
        let mut world = task.world();
        let record = &mut world.ends[task.end];
        record.round_trip |= writer.round_trip().is_some();
        record.writer_gone = record.tasks <= 2;
    }
    drop(writer);
    task.is_over();
}

/// Runs the receiving thread of an application that has several threads.
pub fn receives(mut task: Task, mut reader: Reader, plan: &Plan) {
    let mut goes_on = true;
    while goes_on {
        let now = task.now();
        // At this time a scripted peer stops, and only its last input is left to read. With pauses, an application that
        // reads in small pieces would need more time for this input than a run may take.
        let reader_rests = plan.reader_rests.filter(|_| now < OVER);
        let rest_at = reader_rests.map(|(every, _)| now + every);
        let until = [rest_at, plan.drops_reader].into_iter().flatten().min();
        goes_on = task.receive_until(&mut In::Half(&mut reader), plan, until);
        if plan.drops_reader.is_some_and(|at| at <= task.now()) && goes_on {
            task.note(|| "drops the half that receives".to_owned());
            task.world().ends[task.end].abandoned = true;
            break;
        }
        if let (true, Some((_, rest))) = (goes_on, reader_rests) {
            task.sleep_until(task.now() + rest);
        }
    }
    if let Some(outcome) = reader.outcome() {
        task.learn(KnownEnd::Outcome(outcome));
    }
    drop(reader);
    task.world().ends[task.end].reader_gone = true;
    task.is_over();
}

fn brief(event: &Event<'_>) -> String {
    match event {
        Event::Text(text) => format!("text of {} bytes", text.len()),
        Event::Binary(data) => format!("{} bytes", data.len()),
        Event::Chunk { data, first, fin, .. } => format!("a chunk of {} bytes, {first}, {fin}", data.len()),
        event => format!("{event:?}"),
    }
}
