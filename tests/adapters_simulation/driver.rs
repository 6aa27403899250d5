//! All calls of the library. If a method of the adapters is added or renamed, only this file changes.
//!
//! Each call is registered while it is pending. A call may be dropped after a number of polls, or at a given time.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use futures_util::stream::{SplitSink, SplitStream};
use hybi::adapters::futures_io::{Error, Reader, WebSocket, Writer};
use hybi::{CloseCode, Event, Inbox, Message, MessageKind, Prepared, SendError, SendOptions};

use crate::clock::Alarm;
use crate::draw::{LAST, Making};
use crate::journal::Fate;
use crate::meter;
use crate::record::{Call, CallKind};
use crate::stream::SimStream;
use crate::support::cuts::Xorshift;
use crate::world::{World, fail};

/// Options of a message that is sent uncompressed.
const PLAIN: SendOptions = SendOptions::new().compress(false);

pub type Ws = WebSocket<SimStream, Alarm>;
pub type Half = Writer<SimStream, Alarm>;
pub type ReadHalf = Reader<SimStream, Alarm>;

/// The context of a task: the world, the endpoint of the task, and its random numbers.
pub struct Task {
    pub world: Rc<World>,
    pub end: usize,
    /// Index of this task's pending call in `Record::calls` of its endpoint.
    pub slot: usize,
    pub random: Xorshift,
    pub alarm: Alarm,
}

/// How long a call may take before it is dropped.
#[derive(Clone, Copy, Debug)]
pub enum Patience {
    Forever,
    /// The call is dropped after this number of polls, and at [`LAST`] at the latest.
    Polls(usize),
    Until(u64),
}

impl Task {
    pub fn now(&self) -> u64 {
        self.world.clock.now()
    }

    /// Polls a call of the library until it returns. Drops it and returns `None` when `patience` is over.
    pub async fn call<T>(
        &self,
        kind: CallKind,
        patience: Patience,
        call: impl Future<Output = T>,
    ) -> Option<T> {
        let mut call = pin!(call);
        let _pending = Pending { world: &self.world, end: self.end, slot: self.slot };
        let read = self.world.links[1 - self.end].borrow().read.bytes;
        let pending = Call { kind, since: self.now(), task: self.world.task.get(), read };
        self.world.ends[self.end].borrow_mut().set_call(self.now(), self.slot, Some(pending));
        let mut polls = 0;
        let value = poll_fn(|cx| {
            let polled = {
                let _meter = meter::count();
                call.as_mut().poll(cx)
            };
            if let Poll::Ready(value) = polled {
                return Poll::Ready(Some(value));
            }
            polls += 1;
            let gives_up = match patience {
                Patience::Forever => false,
                Patience::Polls(most) => polls >= most || self.alarm.poll(cx, LAST).is_ready(),
                Patience::Until(at) => self.alarm.poll(cx, at).is_ready(),
            };
            if gives_up { Poll::Ready(None) } else { Poll::Pending }
        })
        .await;
        self.alarm.cancel();
        value
    }

    /// Waits without a call of the library.
    pub async fn sleep_until(&self, at: u64) {
        self.alarm.until(at).await;
    }
}

/// A registered call.
struct Pending<'a> {
    world: &'a World,
    end: usize,
    slot: usize,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let now = self.world.clock.now();
            let read = self.world.links[1 - self.end].borrow().read.bytes;
            let record = &mut *self.world.ends[self.end].borrow_mut();
            if let Some(call) = record.calls[self.slot] {
                record.read_ahead_by(call.kind, read - call.read);
            }
            record.set_call(now, self.slot, None);
        }
    }
}

/// Returns a WebSocket over the stream of an endpoint.
pub fn open(world: &Rc<World>, end: usize, making: &Making) -> Ws {
    let connection = making.connection(world.clock.instant());
    WebSocket::from_parts(SimStream::new(world, end), Alarm::new(&world.clock), connection, Inbox::empty())
}

/// Takes a WebSocket apart, and returns a new WebSocket made from these parts.
pub fn reassemble(world: &Rc<World>, ws: Ws) -> Ws {
    let (stream, connection, inbox) = ws.into_parts();
    WebSocket::from_parts(stream, Alarm::from_zero(&world.clock), connection, inbox)
}

pub fn split(ws: Ws) -> (ReadHalf, Half) {
    ws.split()
}

pub fn futures_split(ws: Ws) -> (SplitSink<Ws, Message>, SplitStream<Ws>) {
    futures_util::StreamExt::split(ws)
}

/// The object that sends messages.
pub enum Out<'a> {
    Whole(&'a mut Ws),
    Half(&'a mut Half),
    Futures(&'a mut SplitSink<Ws, Message>),
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
    RespondOwned,
    Sink,
    SinkFeed,
    /// `Sink::start_send` without `poll_ready`.
    Start,
}

pub const WAYS: [Way; 10] = [
    Way::Borrowed,
    Way::Owned,
    Way::Prepared,
    Way::Uncompressed,
    Way::Feed,
    Way::Respond,
    Way::RespondOwned,
    Way::Sink,
    Way::SinkFeed,
    Way::Start,
];

impl Way {
    /// Returns whether the message of a dropped or failed call was certainly not accepted.
    pub const fn only_feeds(self) -> bool {
        matches!(self, Self::Feed | Self::Respond | Self::RespondOwned | Self::SinkFeed | Self::Start)
    }
}

pub fn to_message(kind: MessageKind, data: &[u8]) -> Message {
    match kind {
        MessageKind::Text => Message::from(String::from_utf8(data.to_vec()).unwrap()),
        MessageKind::Binary => Message::from(data.to_vec()),
    }
}

/// Sends a message. Returns what the application knows about the message, and the error if there was one.
pub async fn send(
    task: &Task,
    out: &mut Out<'_>,
    way: Way,
    patience: Patience,
    (kind, data): (MessageKind, &[u8]),
) -> (Fate, Option<Error>) {
    let message = || to_message(kind, data);
    let text = if kind == MessageKind::Text { std::str::from_utf8(data).unwrap() } else { "" };
    let is_text = kind == MessageKind::Text;
    let send = async {
        match (out, way) {
            (Out::Whole(ws), Way::Borrowed) if is_text => ws.send_text(text).await,
            (Out::Whole(ws), Way::Borrowed) => ws.send_binary(data).await,
            (Out::Whole(ws), Way::Owned) => ws.send(message()).await,
            (Out::Whole(ws), Way::Prepared) => ws.send_prepared(&Prepared::new(message())).await,
            (Out::Whole(ws), Way::Uncompressed) => ws.send_with(message(), PLAIN).await,
            (Out::Whole(ws), Way::Feed) => ws.feed(message()).await,
            (Out::Whole(ws), Way::Respond) if is_text => ws.responder().send_text(text).await,
            (Out::Whole(ws), Way::Respond) => ws.responder().send_binary(data).await,
            (Out::Whole(ws), Way::RespondOwned) => ws.responder().send(message()).await,
            (Out::Whole(ws), Way::Sink) => futures_util::SinkExt::send(&mut **ws, message()).await,
            (Out::Whole(ws), Way::SinkFeed) => futures_util::SinkExt::feed(&mut **ws, message()).await,
            (Out::Whole(ws), Way::Start) => futures_util::SinkExt::start_send_unpin(&mut **ws, message()),
            (Out::Half(half), Way::Borrowed) if is_text => half.send_text(text).await,
            (Out::Half(half), Way::Borrowed) => half.send_binary(data).await,
            (Out::Half(half), Way::Owned) => half.send(message()).await,
            (Out::Half(half), Way::Prepared) => half.send_prepared(&Prepared::new(message())).await,
            (Out::Half(half), Way::Uncompressed) => half.send_with(message(), PLAIN).await,
            (Out::Half(half), Way::Feed | Way::Respond) => half.feed(message()).await,
            (Out::Half(half), Way::RespondOwned) => half.feed_prepared(&Prepared::new(message())).await,
            (Out::Half(half), Way::Sink) => futures_util::SinkExt::send(&mut **half, message()).await,
            (Out::Half(half), Way::SinkFeed) => futures_util::SinkExt::feed(&mut **half, message()).await,
            (Out::Half(half), Way::Start) => futures_util::SinkExt::start_send_unpin(&mut **half, message()),
            (Out::Futures(sink), way) if way.only_feeds() => {
                futures_util::SinkExt::feed(&mut **sink, message()).await
            }
            (Out::Futures(sink), _) => futures_util::SinkExt::send(&mut **sink, message()).await,
        }
    };
    let sent = task.call(CallKind::Send, patience, send).await;
    let unsure = if way.only_feeds() { Fate::Refused } else { Fate::Unknown };
    match sent {
        None => (unsure, None),
        Some(Ok(())) => (Fate::Accepted, None),
        Some(Err(Error::Send(SendError::Blocked))) if way == Way::Start => (Fate::Refused, None),
        Some(Err(error)) => (unsure, Some(error)),
    }
}

/// A request other than sending a message.
#[derive(Clone, Debug)]
pub enum Ask {
    Flush,
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<CloseCode>, String),
    /// `Sink::poll_close`.
    SinkClose,
}

/// Makes a request. Returns `None` if the call was dropped. If `out` has no such method, does nothing and returns `Ok`.
pub async fn ask(task: &Task, out: &mut Out<'_>, patience: Patience, ask: &Ask) -> Option<Result<(), Error>> {
    let asked = async {
        match (out, ask) {
            (Out::Whole(ws), Ask::Flush) => ws.flush().await,
            (Out::Whole(ws), Ask::Ping(payload)) => ws.ping(payload).await,
            (Out::Whole(ws), Ask::Pong(payload)) => ws.pong(payload).await,
            (Out::Whole(ws), Ask::Close(code, reason)) => ws.close(*code, reason).await,
            (Out::Whole(ws), Ask::SinkClose) => futures_util::SinkExt::<Message>::close(&mut **ws).await,
            (Out::Half(half), Ask::Flush) => half.flush().await,
            (Out::Half(half), Ask::Ping(payload)) => half.ping(payload).await,
            (Out::Half(half), Ask::Close(code, reason)) => half.close(*code, reason).await,
            (Out::Half(half), Ask::SinkClose) => futures_util::SinkExt::<Message>::close(&mut **half).await,
            (Out::Futures(sink), Ask::Flush) => futures_util::SinkExt::<Message>::flush(&mut **sink).await,
            (Out::Futures(sink), Ask::Close(..) | Ask::SinkClose) => {
                futures_util::SinkExt::<Message>::close(&mut **sink).await
            }
            (Out::Half(_) | Out::Futures(_), Ask::Ping(_) | Ask::Pong(_)) => Ok(()),
        }
    };
    task.call(CallKind::Send, patience, asked).await
}

/// Sends a fragment. If the call is dropped, no part of the fragment was accepted.
pub async fn send_fragment(
    task: &Task,
    out: &mut Out<'_>,
    patience: Patience,
    (kind, data, fin): (MessageKind, &[u8], bool),
) -> Option<Result<(), Error>> {
    let sent = async {
        match out {
            Out::Whole(ws) => ws.responder().send_fragment(kind, data, fin).await,
            Out::Half(half) => half.send_fragment(kind, data, fin).await,
            Out::Futures(_) => Ok(()),
        }
    };
    task.call(CallKind::Send, patience, sent).await
}

/// The object that receives messages.
pub enum In<'a> {
    Whole(&'a mut Ws),
    Half(&'a mut ReadHalf),
    Futures(&'a mut SplitStream<Ws>),
}

/// The method that receives messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reading {
    Recv,
    Next,
    Stream,
}

/// An answer to a message, with the index of the answer in the journal.
pub struct Answer {
    pub place: usize,
    pub kind: MessageKind,
    pub data: Vec<u8>,
    pub owned: bool,
    pub patience: Patience,
}

/// The result of a receiving call.
#[derive(Debug)]
pub enum Got {
    Something,
    /// A message arrived, and was answered through the responder. The number is the index of the answer in the journal.
    Answered(usize, Fate, Option<Error>),
    Ended,
    Failed(Error),
    /// The call was dropped.
    Nothing,
}

/// A function that records an event, and may return an answer to a message.
pub type Hear<'h> = &'h mut dyn FnMut(&Event<'_>) -> Option<Answer>;

/// Makes one receiving call.
pub async fn receive(
    task: &Task,
    input: &mut In<'_>,
    reading: Reading,
    patience: Patience,
    hear: Hear<'_>,
) -> Got {
    let kind = CallKind::Receive;
    let message = match (input, reading) {
        (In::Whole(ws), Reading::Next) => return next(task, ws, patience, hear).await,
        (In::Half(half), Reading::Next) => {
            let next = task.call(kind, patience, half.next_event()).await;
            return got(next, |event| drop(hear(&event)));
        }
        (In::Whole(ws), Reading::Recv) => task.call(kind, patience, ws.recv()).await,
        (In::Half(half), Reading::Recv) => task.call(kind, patience, half.recv()).await,
        (In::Whole(ws), Reading::Stream) => {
            let next = async { futures_util::StreamExt::next(&mut **ws).await.transpose() };
            task.call(kind, patience, next).await
        }
        (In::Half(half), Reading::Stream) => {
            let next = async { futures_util::StreamExt::next(&mut **half).await.transpose() };
            task.call(kind, patience, next).await
        }
        (In::Futures(stream), _) => {
            let next = async { futures_util::StreamExt::next(&mut **stream).await.transpose() };
            task.call(kind, patience, next).await
        }
    };
    got(message, |message| {
        let answer = match &message {
            Message::Text(text) => hear(&Event::Text(text)),
            Message::Binary(data) => hear(&Event::Binary(data)),
        };
        drop(answer);
    })
}

fn got<T>(received: Option<Result<Option<T>, Error>>, hear: impl FnOnce(T)) -> Got {
    match received {
        None => Got::Nothing,
        Some(Ok(None)) => Got::Ended,
        Some(Err(error)) => Got::Failed(error),
        Some(Ok(Some(what))) => {
            hear(what);
            Got::Something
        }
    }
}

/// Receives the next event of a whole WebSocket, and may answer through its responder.
async fn next(task: &Task, ws: &mut Ws, patience: Patience, hear: Hear<'_>) -> Got {
    let (event, mut responder) = match task.call(CallKind::Receive, patience, ws.next_event()).await {
        None => return Got::Nothing,
        Some(Ok(None)) => return Got::Ended,
        Some(Err(error)) => return Got::Failed(error),
        Some(Ok(Some(next))) => next,
    };
    let Some(Answer { place, kind, data, owned, patience }) = hear(&event) else { return Got::Something };
    let send = async {
        match kind {
            _ if owned => responder.send(to_message(kind, &data)).await,
            MessageKind::Text => responder.send_text(std::str::from_utf8(&data).unwrap()).await,
            MessageKind::Binary => responder.send_binary(&data).await,
        }
    };
    match task.call(CallKind::Send, patience, send).await {
        None => Got::Answered(place, Fate::Refused, None),
        Some(Ok(())) => Got::Answered(place, Fate::Accepted, None),
        Some(Err(error)) => Got::Answered(place, Fate::Refused, Some(error)),
    }
}

/// Fails the run because nothing in the run explains this error.
pub fn unexplained(task: &Task, doing: &str, error: &Error) -> ! {
    fail!("3 strange error", "endpoint {} while it {doing}: {error:?}", task.end)
}
