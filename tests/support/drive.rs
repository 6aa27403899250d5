//! Drives a connection over one input, and records everything that it produces.
//!
//! [`drive`] passes the input in pieces, answers events, writes output and ends the stream. On the way it checks
//! rules that hold for every input. Two runs over the same input with different pieces must be equal, so a [`Run`]
//! contains only values that do not depend on the pieces.

use std::fmt;

use hybi::frame::Role;
use hybi::{
    Connection, ControlPayload, Event, Input, Instant, MessageBuffer, MessageKind, Outbox, Outcome,
    ProtocolError, ReadBuffer, SharedConfig, SliceInbox, SliceMessage, SliceOutbox, TransportAction,
    VecMessage, WriteQueue,
};

use super::cuts::Cuts;
use super::wire;

const NOW: Instant = Instant::ZERO;

/// Returns an endpoint. A client has the same masking keys in each run, so that output can be compared.
pub fn machine<O: WriteQueue>(role: Role, config: &SharedConfig, out: O) -> Connection<O> {
    match role {
        Role::Server => Connection::server(NOW, config.clone(), out),
        Role::Client => Connection::client(NOW, config.clone(), out, [0x5E; 32]),
    }
}

/// An event of a connection, with owned data.
#[derive(Clone, PartialEq, Eq)]
pub enum Seen {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, bytes) = match self {
            Self::Text(text) => ("text", text.as_bytes()),
            Self::Binary(bytes) => ("binary", &bytes[..]),
            Self::Ping(bytes) => ("ping", &bytes[..]),
            Self::Pong(bytes) => ("pong", &bytes[..]),
            Self::Close(code, reason) => return write!(f, "close {code:?} {reason:?}"),
        };
        let shown = &bytes[..bytes.len().min(48)];
        let more = if shown.len() < bytes.len() { "…" } else { "" };
        write!(f, "{name}[{}] \"{}{more}\"", bytes.len(), shown.escape_ascii())
    }
}

/// Events in order. Equal events in a row are stored once with a count.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Events(Vec<(Seen, u64)>);

impl Events {
    pub fn push(&mut self, seen: Seen, times: u64) {
        match self.0.last_mut() {
            Some((last, count)) if *last == seen => *count += times,
            _ => self.0.push((seen, times)),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Seen> {
        self.0.iter().flat_map(|(seen, times)| (0..*times).map(move |_| seen))
    }

    pub fn last(&self) -> Option<&Seen> {
        self.0.last().map(|(seen, _)| seen)
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(seen, times)| match times {
                1 => format!("{seen:?}"),
                _ => format!("{times} × {seen:?}"),
            }))
            .finish()
    }
}

/// The result of one run.
#[derive(Clone, PartialEq, Eq)]
pub struct Run {
    pub events: Events,
    pub error: Option<ProtocolError>,
    pub out: Vec<u8>,
    pub outcome: Outcome,
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sent = wire::decode(&self.out);
        let sent: Vec<_> = match &sent {
            Ok(sent) => sent.iter().take(8).map(|f| format!("{:02x} {:02x?}", f.first, f.payload)).collect(),
            Err(error) => vec![error.clone()],
        };
        write!(f, "{:?}, error {:?}, {} bytes sent: ", self.events, self.error, self.out.len())?;
        write!(f, "{sent:?}, outcome {:?}", self.outcome)
    }
}

/// The required form of delivered messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    Whole,
    Chunks,
    /// Messages that fit into the memory are delivered whole, and all others in chunks.
    AsFits,
}

/// The times at which output is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Drain {
    /// All output is written after each piece of input and at each event, except at chunks inside a message.
    Always,
    /// At most `bytes` bytes are written at each `every`th event, and the rest at the end.
    Sometimes { every: usize, bytes: usize },
    /// All output is written at the end.
    Late,
}

/// The behaviour of the application in a run.
pub trait Habits<O: WriteQueue, M: MessageBuffer> {
    /// Reads from the front of `bytes` directly into the message. Returns the number of bytes.
    fn land(&mut self, _: &mut Connection<O>, _: &mut M, _: &[u8]) -> usize {
        0
    }

    /// Returns the number of bytes to inflate before the connection pauses.
    fn budget(&mut self) -> Option<u32> {
        None
    }

    /// Answers an event.
    fn answer(&mut self, _: &mut Connection<O>, _: &Event<'_>) -> Result<(), String> {
        Ok(())
    }
}

/// An application that does nothing.
#[derive(Debug)]
pub struct Quiet;

impl<O: WriteQueue, M: MessageBuffer> Habits<O, M> for Quiet {}

/// Reads large payloads directly into their message.
#[derive(Debug)]
pub struct Landing;

impl Habits<Outbox, VecMessage> for Landing {
    fn land(&mut self, machine: &mut Connection<Outbox>, message: &mut VecMessage, bytes: &[u8]) -> usize {
        let space = machine.payload_space(message);
        let len = space.len().min(bytes.len());
        space[..len].copy_from_slice(&bytes[..len]);
        machine.handle_payload(message, len);
        len
    }
}

/// Sends each whole message back.
#[derive(Debug)]
pub struct Echo;

impl<O: WriteQueue, M: MessageBuffer> Habits<O, M> for Echo {
    fn answer(&mut self, machine: &mut Connection<O>, event: &Event<'_>) -> Result<(), String> {
        let sent = match event {
            Event::Text(text) => machine.send_text(text),
            Event::Binary(data) => machine.send_binary(data),
            _ => Ok(()),
        };
        sent.map_err(|error| format!("the echo was refused: {error}"))
    }
}

/// Runs `machine` over `input`, split by `cuts`, to the end of the stream.
///
/// Checks rules that must hold for every input. If a rule is violated, the error describes the violation. The rules
/// are: no event follows a Close or a failure, chunks form messages, all input is consumed, and the events end with one
/// `Closed`. The connection must also request the right actions of the transport.
pub fn drive<O: WriteQueue, M: MessageBuffer>(
    machine: &mut Connection<O>,
    message: &mut M,
    input: &[u8],
    cuts: &Cuts,
    (form, drain): (Form, Drain),
    habits: &mut impl Habits<O, M>,
) -> Result<Run, String> {
    let mut recorder = Recorder::new(form, drain);
    recorder.feed_all(machine, &mut Borrowed { message, habits }, input, cuts)?;
    recorder.end(machine, &mut Borrowed { message, habits: &mut Quiet })
}

/// Like [`drive`], but the connection uses borrowed memory for messages of at most `space` bytes.
pub fn drive_lent(
    new: impl for<'m> FnOnce(SliceOutbox<'m>) -> Connection<SliceOutbox<'m>>,
    space: usize,
    input: &[u8],
    cuts: &Cuts,
    form: Form,
) -> Result<Run, String> {
    // The application sends nothing, so the output has only control frames. They have a buffer of their own, `queue`,
    // and the buffer for data is empty.
    let (mut queue, mut control) = ([0; 508], ControlPayload::EMPTY);
    let mut machine = new(SliceOutbox::new(&mut [], &mut queue));
    let mut memory = vec![0xA5; space];
    let mut message = SliceMessage::new(&mut memory, &mut control);
    drive(&mut machine, &mut message, input, cuts, (form, Drain::Always), &mut Quiet)
}

/// Like [`drive_lent`], but the bytes are read into a [`SliceInbox`] with a read buffer of `read_buffer` bytes.
pub fn drive_slice_inbox(
    new: impl for<'m> FnOnce(SliceOutbox<'m>) -> Connection<SliceOutbox<'m>>,
    (read_buffer, space): (usize, usize),
    input: &[u8],
    cuts: &Cuts,
    form: Form,
) -> Result<Run, String> {
    let (mut queue, mut control) = ([0; 508], ControlPayload::EMPTY);
    let mut machine = new(SliceOutbox::new(&mut [], &mut queue));
    let (mut read_buffer, mut memory) = (vec![0xA5; read_buffer], vec![0xA5; space]);
    let mut inbox = SliceInbox::from_memory(&mut read_buffer, SliceMessage::new(&mut memory, &mut control));
    let mut recorder = Recorder::new(form, Drain::Always);
    recorder.feed_all(&mut machine, &mut inbox, input, cuts)?;
    recorder.end(&mut machine, &mut inbox)
}

/// The memory into which a run reads.
trait Feed<O> {
    /// Reads `piece` and records its events.
    fn feed(
        &mut self,
        recorder: &mut Recorder,
        machine: &mut Connection<O>,
        piece: &mut [u8],
    ) -> Result<(), String>;

    /// Polls after the end of the stream, and returns the outcome.
    fn outcome(&mut self, machine: &mut Connection<O>) -> Result<Outcome, String>;
}

/// Memory that is borrowed for each read, and a message buffer.
struct Borrowed<'a, M, H> {
    message: &'a mut M,
    habits: &'a mut H,
}

impl<O: WriteQueue, M: MessageBuffer, H: Habits<O, M>> Feed<O> for Borrowed<'_, M, H> {
    fn feed(
        &mut self,
        recorder: &mut Recorder,
        machine: &mut Connection<O>,
        piece: &mut [u8],
    ) -> Result<(), String> {
        let landed = self.habits.land(machine, self.message, piece);
        let mut input = Input::new(&mut piece[landed..], self.message);
        recorder.poll(machine, &mut input, self.habits)
    }

    fn outcome(&mut self, machine: &mut Connection<O>) -> Result<Outcome, String> {
        outcome(machine, &mut Input::new(&mut [], self.message))
    }
}

impl<O: WriteQueue> Feed<O> for SliceInbox<'_> {
    fn feed(
        &mut self,
        recorder: &mut Recorder,
        machine: &mut Connection<O>,
        piece: &mut [u8],
    ) -> Result<(), String> {
        let mut rest = &piece[..];
        loop {
            let space = self.read_space();
            if space.is_empty() {
                return Err("the inbox has no space, although all its input is decoded".into());
            }
            let len = space.len().min(rest.len());
            space[..len].copy_from_slice(&rest[..len]);
            self.handle_read(len);
            rest = &rest[len..];
            recorder.poll::<O, SliceMessage<'_>>(machine, self, &mut Quiet)?;
            if rest.is_empty() {
                return Ok(());
            }
        }
    }

    fn outcome(&mut self, machine: &mut Connection<O>) -> Result<Outcome, String> {
        outcome(machine, self)
    }
}

/// Polls after the end of the stream. Exactly one event must follow, and this event has the outcome.
fn outcome<O: WriteQueue>(
    machine: &mut Connection<O>,
    input: &mut Input<impl ReadBuffer, impl MessageBuffer>,
) -> Result<Outcome, String> {
    let outcome = match machine.poll_event(NOW, input) {
        Ok(Some(Event::Closed(outcome))) => outcome,
        other => return Err(format!("at the end of the stream {other:?} instead of Closed")),
    };
    match machine.poll_event(NOW, input) {
        Ok(None) => Ok(outcome),
        other => Err(format!("{other:?} after Closed")),
    }
}

struct Recorder {
    form: Form,
    drain: Drain,
    /// Number of events. Chunks inside a message are not counted, because their number depends on the splits.
    count: usize,
    events: Events,
    error: Option<ProtocolError>,
    out: Vec<u8>,
    /// The message that is arriving in chunks.
    open: Option<(MessageKind, Vec<u8>)>,
}

impl Recorder {
    fn new(form: Form, drain: Drain) -> Self {
        Self { form, drain, count: 0, events: Events::default(), error: None, out: Vec::new(), open: None }
    }

    fn is_closed(&self) -> bool {
        matches!(self.events.last(), Some(Seen::Close(..)))
    }

    /// Reads the pieces of `input`, and records their events.
    fn feed_all<O>(
        &mut self,
        machine: &mut Connection<O>,
        memory: &mut impl Feed<O>,
        input: &[u8],
        cuts: &Cuts,
    ) -> Result<(), String> {
        let mut input = input.to_vec();
        let mut rest = &mut input[..];
        for len in cuts.pieces(rest.len()) {
            let (piece, behind) = rest.split_at_mut(len);
            rest = behind;
            memory.feed(self, machine, piece)?;
        }
        Ok(())
    }

    /// Polls until `input` is decoded, and records the events.
    fn poll<O: WriteQueue, M: MessageBuffer>(
        &mut self,
        machine: &mut Connection<O>,
        input: &mut Input<impl ReadBuffer, impl MessageBuffer>,
        habits: &mut impl Habits<O, M>,
    ) -> Result<(), String> {
        machine.set_inflate_budget(habits.budget());
        loop {
            match machine.poll_event(NOW, input) {
                Ok(Some(event)) => {
                    let is_whole = self.record(&event)?;
                    habits.answer(machine, &event)?;
                    if !is_whole {
                        continue;
                    }
                }
                Ok(None) if machine.must_poll_again() => {
                    machine.set_inflate_budget(habits.budget());
                    continue;
                }
                Ok(None) => break,
                Err(error) => {
                    if let Some(first) = self.error.replace(error) {
                        return Err(format!("a second error: {error:?} after {first:?}"));
                    }
                    if self.is_closed() {
                        return Err(format!("{error:?} after a Close"));
                    }
                }
            }
            self.count += 1;
            match self.drain {
                Drain::Always => self.write(machine, usize::MAX),
                Drain::Sometimes { every, bytes } if self.count % every == 0 => self.write(machine, bytes),
                _ => {}
            }
        }
        if input.remaining() > 0 {
            return Err(format!(
                "poll_event returned None, but {} bytes of input are left",
                input.remaining()
            ));
        }
        if self.drain == Drain::Always {
            self.write(machine, usize::MAX);
        }
        Ok(())
    }

    /// Records an event. Returns false for a chunk inside a message.
    fn record(&mut self, event: &Event<'_>) -> Result<bool, String> {
        if let Some(error) = self.error {
            return Err(format!("{event:?} after {error:?}"));
        }
        if self.is_closed() {
            return Err(format!("{event:?} after a Close"));
        }
        let seen = match *event {
            Event::Text(_) | Event::Binary(_) if self.form == Form::Chunks || self.open.is_some() => {
                return Err(format!("a whole message instead of chunks: {event:?}"));
            }
            Event::Text(text) => Seen::Text(text.to_owned()),
            Event::Binary(data) => Seen::Binary(data.to_owned()),
            Event::Chunk { kind, data, first, fin } if self.form != Form::Whole => {
                match self.chunk(kind, data, first, fin)? {
                    Some(seen) => seen,
                    None => return Ok(false),
                }
            }
            Event::Ping(payload) => Seen::Ping(payload.to_vec()),
            Event::Pong(payload) => Seen::Pong(payload.to_vec()),
            Event::CloseReceived { code, reason } => {
                Seen::Close(code.map(hybi::CloseCode::get), reason.to_owned())
            }
            _ => return Err(format!("unexpected event: {event:?}")),
        };
        self.events.push(seen, 1);
        Ok(true)
    }

    fn chunk(
        &mut self,
        kind: MessageKind,
        data: &[u8],
        first: bool,
        fin: bool,
    ) -> Result<Option<Seen>, String> {
        if first != self.open.is_none() || data.is_empty() && !fin {
            return Err(format!("a wrong chunk: first {first}, fin {fin}, {} bytes", data.len()));
        }
        let (begun_as, gathered) = self.open.get_or_insert((kind, Vec::new()));
        if *begun_as != kind {
            return Err(format!("a chunk of {kind:?} in a message of {begun_as:?}"));
        }
        gathered.extend_from_slice(data);
        if !fin {
            return Ok(None);
        }
        let gathered = std::mem::take(gathered);
        self.open = None;
        Ok(Some(match kind {
            MessageKind::Text => {
                Seen::Text(String::from_utf8(gathered).map_err(|_| "the text chunks are not UTF-8")?)
            }
            MessageKind::Binary => Seen::Binary(gathered),
        }))
    }

    /// Writes at most `bytes` of the queued output.
    fn write<O: WriteQueue>(&mut self, machine: &mut Connection<O>, bytes: usize) {
        let end = self.out.len().saturating_add(bytes);
        while machine.buffered_amount() > 0 && self.out.len() < end {
            let mut slices = [&[][..]; 4];
            let count = machine.poll_transmit(&mut slices);
            assert!(
                count > 0,
                "{} bytes are queued, but poll_transmit returns none",
                machine.buffered_amount()
            );
            let before = self.out.len();
            for slice in &slices[..count] {
                let len = slice.len().min(end - self.out.len());
                self.out.extend_from_slice(&slice[..len]);
            }
            machine.transmitted(NOW, self.out.len() - before);
        }
    }

    fn end<O: WriteQueue>(
        mut self,
        machine: &mut Connection<O>,
        memory: &mut impl Feed<O>,
    ) -> Result<Run, String> {
        self.write(machine, usize::MAX);
        let done = self.error.is_some() || self.is_closed();
        if done {
            // RFC 6455 1.4, 7.1.7: the connection discards all further input, valid frames and garbage alike.
            let key = (machine.role() == Role::Server).then_some([0x37, 0xfa, 0x21, 0x3d]);
            let mut more = wire::encode(wire::PING, b"late", key);
            more.extend(wire::encode(wire::TEXT, b"late", key));
            more.extend([0xFF; 20]);
            let before = (self.events.clone(), self.error, self.out.len());
            for piece in more.chunks_mut(7) {
                memory.feed(&mut self, machine, piece)?;
            }
            self.write(machine, usize::MAX);
            if before != (self.events.clone(), self.error, self.out.len()) {
                return Err("input after the end had an effect".into());
            }
        }
        if machine.poll_transmit(&mut [&[]]) > 0 {
            return Err("the queue is empty, but poll_transmit returns bytes".into());
        }
        let due = match machine.role() {
            // RFC 6455 7.1.1: after a Close, a client waits for the server to close the transport.
            Role::Client if self.error.is_none() => None,
            _ => done.then_some(TransportAction::HalfClose),
        };
        if machine.poll_transport() != due {
            return Err(format!("poll_transport returned {:?} instead of {due:?}", machine.poll_transport()));
        }
        machine.handle_eof();
        let outcome = memory.outcome(machine)?;
        let right = match (self.error, self.events.last(), outcome) {
            (Some(error), _, Outcome::Failed(why)) => error == why,
            (None, Some(Seen::Close(code, _)), Outcome::Clean { code: seen }) => {
                code.unwrap_or(1005) == seen.get()
            }
            (None, last, Outcome::Abnormal(_)) => !matches!(last, Some(Seen::Close(..))),
            _ => false,
        };
        if !right {
            return Err(format!("the outcome does not match the events: {outcome:?}"));
        }
        Ok(Run { events: self.events, error: self.error, out: self.out, outcome })
    }
}
