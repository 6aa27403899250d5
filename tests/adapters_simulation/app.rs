//! The applications of the two endpoints, each in one or two tasks: which calls of the library they make, and when.
//!
//! An application follows its [`Plan`]: it receives, answers, sends, asks for Pings or a Close, sleeps, and drops
//! calls. It writes everything that it learns into its journal and its record. `checks.rs` judges the connection from
//! the journal and the record.

use std::rc::Rc;

use hybi::adapters::futures_io::{Error, Group};
use hybi::{CloseCode, Event, MessageKind, SendError};

use crate::clock::Alarm;
use crate::draw::{LAST, OVER, length};
use crate::driver::{self, Answer, Ask, Got, Half, In, Out, Patience, ReadHalf, Reading, Task, Ws};
use crate::journal::{self, Fate};
use crate::plan::{Ending, Item, LONGEST, Plan};
use crate::record::KnownEnd;
use crate::support::cuts::Xorshift;
use crate::world::{World, fail};

/// An application that has sent this many messages answers no further message.
const MAX_ANSWERS: usize = 300;

impl Task {
    pub fn new(world: &Rc<World>, end: usize, slot: usize, seed: u64) -> Self {
        let (random, alarm) = (Xorshift::new(seed), Alarm::new(&world.clock));
        Self { world: Rc::clone(world), end, slot, random, alarm }
    }

    /// Decides whether and when a call is dropped early.
    fn patience(&mut self, drops: usize) -> Patience {
        if self.random.below(100) >= drops {
            // Without timers a call that sends to a dead peer would wait forever. This limit ends the call.
            return Patience::Until(LAST);
        }
        match self.random.below(2) {
            0 => Patience::Polls(1 + self.random.below(4)),
            _ => Patience::Until(self.now() + 1 + self.random.next() % (600 * crate::draw::MS)),
        }
    }

    /// Records a received event.
    fn hear(&self, event: &Event<'_>) {
        let mut journal = self.world.journals[1 - self.end].borrow_mut();
        match *event {
            Event::Text(text) => journal.receive(MessageKind::Text, text.as_bytes()),
            Event::Binary(data) => journal.receive(MessageKind::Binary, data),
            Event::Chunk { kind, data, first, fin } => journal.receive_chunk(kind, data, first, fin),
            Event::CloseReceived { code, reason } => {
                let sent = self.world.links[1 - self.end].borrow().sent.close_code();
                if sent != code.map(CloseCode::get) {
                    fail!(
                        "4 another Close",
                        "endpoint {} received {code:?} {reason:?}, but {sent:?} was sent",
                        self.end
                    );
                }
            }
            Event::Closed(outcome) => {
                drop(journal);
                self.learn(KnownEnd::Outcome(outcome));
            }
            Event::Ping(_) | Event::Pong(_) => {}
            event => fail!("3 strange event", "{event:?}"),
        }
        self.world.ends[self.end].borrow_mut().hears = true;
        self.world.note(|| format!("{} hears {}", self.end, brief(event)));
    }

    /// Records that the application has learned that the connection is over.
    fn learn(&self, known_end: KnownEnd) {
        let new = self.world.ends[self.end].borrow_mut().learn(self.now(), known_end);
        if let (true, KnownEnd::Outcome(outcome)) = (new, known_end) {
            self.world.note(|| format!("{} has the outcome {outcome:?}", self.end));
            self.world.check_outcome(self.end, outcome);
        }
    }

    /// Checks that an earlier event explains an error. A failed call also tells the application that its messages
    /// may be lost.
    fn judge(&self, doing: &str, error: &Error) {
        self.world.note(|| format!("{} {doing}: {error:?}", self.end));
        let mut record = self.world.ends[self.end].borrow_mut();
        record.loss_reported = true;
        let closed = self.world.links[1 - self.end].borrow().read.close.is_some();
        let ends = closed || record.closing.is_some() || record.known_end.is_some() || record.asked_to_close;
        let times_out = record.promise.pong.is_some() || record.promise.idle.is_some();
        let lied = self.world.streams.iter().any(|stream| stream.borrow().lied);
        let broken = self.world.reset.get() || lied;
        let explained = match error {
            Error::Send(SendError::MessageOpen) => record.message_open,
            Error::Send(SendError::Closed) => ends || times_out || broken,
            Error::Io(_) => {
                record.io_error = true;
                broken
            }
            Error::Protocol(_) => lied || self.world.links[1 - self.end].borrow().sent.garbled,
            _ => false,
        };
        drop(record);
        if !explained {
            driver::unexplained(self, doing, error);
        }
    }

    /// Returns a message that this endpoint has not sent before, and its index in the journal.
    fn compose(&mut self, len: usize) -> (usize, MessageKind, Vec<u8>) {
        let number = self.world.journals[self.end].borrow().entries.len();
        let (kind, data) = journal::message(&mut self.random, number, len);
        let place = self.world.journals[self.end].borrow_mut().offer(kind, data.clone());
        (place, kind, data)
    }

    fn apply(&self, place: usize, fate: Fate) {
        self.world.note(|| format!("{} message {place}: {fate:?}", self.end));
        self.world.journals[self.end].borrow_mut().apply(place, fate);
    }

    /// Makes one receiving call, and answers if the plan requires an answer. Returns whether the connection continues.
    async fn receive(&mut self, input: &mut In<'_>, plan: &Plan, patience: Patience) -> bool {
        let reading = plan.readings[self.random.below(plan.readings.len())];
        // Without this limit two applications would answer each other's answers endlessly.
        let few = self.world.journals[self.end].borrow().entries.len() < MAX_ANSWERS;
        let answers = self.random.below(100) < plan.answers && few;
        let (len, owned) = (length(&mut self.random, LONGEST), self.random.below(2) == 0);
        let answer_patience = self.patience(plan.drops);
        let mut random = Xorshift::new(self.random.next());
        let this = &*self;
        let mut hear = |event: &Event<'_>| {
            this.hear(event);
            let is_message = matches!(event, Event::Text(_) | Event::Binary(_));
            if !answers || !is_message || reading != Reading::Next || !matches!(this.slot, 0) {
                return None;
            }
            let mut journal = this.world.journals[this.end].borrow_mut();
            let (kind, data) = journal::message(&mut random, journal.entries.len(), len);
            let place = journal.offer(kind, data.clone());
            Some(Answer { place, kind, data, owned, patience: answer_patience })
        };
        let whole = matches!(input, In::Whole(_));
        let got = if whole {
            driver::receive(self, input, reading, patience, &mut hear).await
        } else {
            driver::receive(self, input, reading, patience, &mut |event| {
                this.hear(event);
                None
            })
            .await
        };
        match got {
            Got::Something | Got::Nothing => true,
            Got::Answered(place, fate, error) => {
                self.apply(place, fate);
                if let Some(error) = error {
                    self.judge("answers", &error);
                }
                true
            }
            Got::Failed(error) => {
                self.judge("receives", &error);
                true
            }
            Got::Ended => {
                self.world.note(|| format!("{} is at the end", self.end));
                self.learn(KnownEnd::End);
                false
            }
        }
    }

    /// Receives until `at`. Returns whether the connection continues.
    async fn receive_until(&mut self, input: &mut In<'_>, plan: &Plan, at: Option<u64>) -> bool {
        let mut failures = 0;
        let mut dropped = true;
        while at.is_none_or(|at| self.now() < at) {
            // After a dropped call the next call is not dropped at once. An application that drops every call would
            // never receive.
            let whole = at.map_or(Patience::Forever, Patience::Until);
            let patience = match (self.patience(plan.drops), at) {
                _ if dropped => whole,
                (Patience::Until(early), Some(at)) => Patience::Until(early.min(at)),
                (Patience::Until(LAST), None) => whole,
                (patience, _) => patience,
            };
            dropped = !dropped;
            failures += 1;
            if failures > 100_000 {
                fail!("5 no end", "endpoint {} receives endlessly", self.end);
            }
            if !self.receive(input, plan, patience).await {
                return false;
            }
        }
        true
    }

    /// Performs one action. Returns whether sending continues.
    async fn act(&mut self, out: &mut Out<'_>, plan: &Plan, item: &Item) -> bool {
        self.world.check_backlog(self.end);
        let patience = self.patience(plan.drops);
        match item {
            Item::Send(way, len) => {
                let (place, kind, data) = self.compose(*len);
                self.world.note(|| {
                    format!("{} sends {place}, {} bytes, by {way:?}, {patience:?}", self.end, data.len())
                });
                let (fate, error) = driver::send(self, out, *way, patience, (kind, &data)).await;
                self.apply(place, fate);
                self.world.ends[self.end].borrow_mut().flushed = fate == Fate::Accepted && !way.only_feeds();
                if let Some(error) = error {
                    self.judge("sends", &error);
                    return false;
                }
            }
            Item::Fragments(lens) => return self.send_fragments(out, lens).await,
            Item::Ask(ask) => {
                let (closing, asked_at) = (self.world.ends[self.end].borrow().closing, self.now());
                if matches!(ask, Ask::Close(..) | Ask::SinkClose) {
                    let now = self.now();
                    let mut record = self.world.ends[self.end].borrow_mut();
                    // The halves of `futures_util` first send the message that they hold, which may take any time.
                    if !matches!(out, Out::Futures(_)) {
                        // If the peer's Close was read, closing may have begun before this call.
                        let read = self.world.links[1 - self.end].borrow().read.close.is_some();
                        let earlier = read || self.world.may_close_for_idleness(self.end, &mut record);
                        record.closes(now, matches!(ask, Ask::Close(..)) && !earlier);
                    }
                    record.asked_to_close = true;
                }
                self.world.note(|| format!("{} asks for {ask:?}, {patience:?}", self.end));
                let asked = driver::ask(self, out, patience, ask).await;
                if !matches!(ask, Ask::Ping(_) | Ask::Pong(_)) {
                    self.world.ends[self.end].borrow_mut().flushed = matches!(asked, Some(Ok(())));
                }
                let written = self.world.links[self.end].borrow().sent.close.is_some();
                let unsure = matches!(ask, Ask::SinkClose) || matches!(out, Out::Futures(_));
                if asked.is_none() && unsure && !written {
                    // If the dropped call was still waiting for earlier output, closing did not begin.
                    let mut record = self.world.ends[self.end].borrow_mut();
                    record.closing_by_dropped_call = record.closing;
                    record.closing = closing;
                }
                if let Some(Err(error)) = asked {
                    let blocked = matches!(error, Error::Send(SendError::Blocked));
                    if !blocked {
                        self.judge("asks", &error);
                        if self.now() == asked_at {
                            // The call was refused, so closing did not begin.
                            self.world.ends[self.end].borrow_mut().closing = closing;
                        }
                        return false;
                    }
                }
            }
            Item::Sleep(time) => {
                let until = self.now() + time;
                self.sleep_until(until).await;
            }
            Item::Reassemble => {}
        }
        true
    }

    async fn send_fragments(&mut self, out: &mut Out<'_>, lens: &[usize]) -> bool {
        if matches!(out, Out::Futures(_)) {
            return true;
        }
        let (place, kind, data) = self.compose(lens.iter().sum());
        self.world.note(|| format!("{} sends {place} in pieces {lens:?}", self.end));
        let mut rest = &data[..];
        let mut lens = lens.iter().copied().peekable();
        while let Some(len) = lens.next() {
            let fin = lens.peek().is_none();
            let len = if fin { rest.len() } else { len.min(rest.len()) };
            let sent =
                driver::send_fragment(self, out, Patience::Until(LAST), (kind, &rest[..len], fin)).await;
            rest = &rest[len..];
            match sent {
                Some(Ok(())) => {}
                None => {
                    self.apply(place, Fate::Unknown);
                    self.world.ends[self.end].borrow_mut().message_open = true;
                    return false;
                }
                Some(Err(error)) => {
                    self.apply(place, Fate::Unknown);
                    self.world.ends[self.end].borrow_mut().message_open = true;
                    self.judge("sends a fragment", &error);
                    return false;
                }
            }
        }
        self.apply(place, Fate::Accepted);
        self.world.ends[self.end].borrow_mut().flushed = false;
        true
    }

    /// Closes the connection if the plan says so. If the plan has another ending, this method does nothing.
    async fn end_it(&mut self, out: &mut Out<'_>, plan: &Plan) {
        let ask = match &plan.ending {
            Ending::Close(code, reason) => Ask::Close(code.map(CloseCode::new), (*reason).to_owned()),
            Ending::SinkClose => Ask::SinkClose,
            Ending::Wait | Ending::Abandon => return,
        };
        self.act(out, plan, &Item::Ask(ask)).await;
    }

    /// Records that a task of this endpoint has ended.
    fn is_over(&self) {
        self.world.note(|| format!("a task of {} is over", self.end));
        self.world.ends[self.end].borrow_mut().tasks -= 1;
    }
}

/// Runs an application that has its WebSocket in one task.
pub async fn whole(mut task: Task, mut ws: Ws, plan: Plan, group: Option<Group>) {
    if let Some(group) = &group {
        ws.join(group);
    }
    let mut goes_on = true;
    for (wait, item) in &plan.items {
        let at = task.now() + wait;
        goes_on = task.receive_until(&mut In::Whole(&mut ws), &plan, Some(at)).await;
        if !goes_on {
            break;
        }
        if matches!(item, Item::Reassemble) {
            task.world.note(|| format!("{} is taken apart and put together", task.end));
            ws = driver::reassemble(&task.world, ws);
            let now = task.now();
            let mut record = task.world.ends[task.end].borrow_mut();
            (record.reassembled, record.reassembled_mark) = (now, record.attentive(now));
            drop(record);
            if let Some(group) = &group {
                ws.join(group);
            }
        } else if !task.act(&mut Out::Whole(&mut ws), &plan, item).await {
            break;
        }
        task.check_buffered(&ws);
    }
    if plan.ending == Ending::Abandon && goes_on {
        task.world.ends[task.end].borrow_mut().abandoned = true;
    } else if goes_on {
        task.end_it(&mut Out::Whole(&mut ws), &plan).await;
        task.receive_until(&mut In::Whole(&mut ws), &plan, None).await;
    }
    if let Some(outcome) = ws.outcome() {
        task.learn(KnownEnd::Outcome(outcome));
    }
    {
        let mut record = task.world.ends[task.end].borrow_mut();
        record.dropped = Some(ws.connection().sender().dropped());
        record.round_trip = ws.round_trip().is_some();
    }
    drop(ws);
    task.is_over();
}

impl Task {
    /// Checks that the queue is bounded by the high-water mark, one message above this mark, and the control frames.
    fn check_buffered(&self, ws: &Ws) {
        let record = self.world.ends[self.end].borrow();
        let longest = self.world.journals[self.end].borrow().longest();
        let most = record.promise.high_water + longest + longest / 8 + 14 + 600;
        let amount = ws.buffered_amount();
        if amount > most {
            fail!(
                "35 output",
                "endpoint {}: {amount} bytes are queued, at most {most} are allowed",
                self.end
            );
        }
    }
}

/// Runs the sending task of an application that has its WebSocket in two tasks.
pub async fn sends(mut task: Task, mut out: OwnedOut, plan: Plan) {
    let mut goes_on = true;
    for (wait, item) in &plan.items {
        let at = task.now() + wait;
        task.sleep_until(at).await;
        if !task.act(&mut out.borrow(), &plan, item).await {
            goes_on = false;
            break;
        }
    }
    if goes_on {
        task.end_it(&mut out.borrow(), &plan).await;
    }
    if plan.keeps_writer {
        while task.world.ends[task.end].borrow().known_end.is_none()
            && !task.world.ends[task.end].borrow().reader_gone
        {
            let at = task.now() + crate::draw::SECOND;
            task.sleep_until(at).await;
        }
    }
    if let OwnedOut::Half(half) = &out {
        task.world.ends[task.end].borrow_mut().round_trip |= half.round_trip().is_some();
    }
    task.world.ends[task.end].borrow_mut().writer_gone = true;
    drop(out);
    task.is_over();
}

/// The sending part of a WebSocket in two tasks.
pub enum OwnedOut {
    Half(Half),
    Futures(futures_util::stream::SplitSink<Ws, hybi::Message>),
}

impl OwnedOut {
    const fn borrow(&mut self) -> Out<'_> {
        match self {
            Self::Half(half) => Out::Half(half),
            Self::Futures(sink) => Out::Futures(sink),
        }
    }
}

/// The receiving part of a WebSocket in two tasks.
pub enum OwnedIn {
    Half(ReadHalf),
    Futures(futures_util::stream::SplitStream<Ws>),
}

/// Runs the receiving task of an application that has its WebSocket in two tasks.
pub async fn receives(mut task: Task, mut input: OwnedIn, plan: Plan) {
    let mut goes_on = true;
    while goes_on {
        let mut borrowed = match &mut input {
            OwnedIn::Half(half) => In::Half(half),
            OwnedIn::Futures(stream) => In::Futures(stream),
        };
        let now = task.now();
        // At this time a scripted peer stops, and only its last input is left to read. With pauses, an application that
        // reads in small pieces would need more time for this input than a run may take.
        let reader_rests = plan.reader_rests.filter(|_| now < OVER);
        let rest_at = reader_rests.map(|(every, _)| now + every);
        let until = [rest_at, plan.drops_reader].into_iter().flatten().min();
        goes_on = task.receive_until(&mut borrowed, &plan, until).await;
        if plan.drops_reader.is_some_and(|at| at <= task.now()) && goes_on {
            task.world.note(|| format!("{} drops the half that receives", task.end));
            task.world.ends[task.end].borrow_mut().abandoned = true;
            break;
        }
        if let (true, Some((_, rest))) = (goes_on, reader_rests) {
            let until = task.now() + rest;
            task.sleep_until(until).await;
        }
    }
    task.world.ends[task.end].borrow_mut().reader_gone = true;
    if let OwnedIn::Half(half) = &input {
        if let Some(outcome) = half.outcome() {
            task.learn(KnownEnd::Outcome(outcome));
        }
    }
    drop(input);
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
