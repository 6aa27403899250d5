//! One endpoint of the simulation: a connection, whole or in halves, with its driver and its application.
//!
//! The driver reads, writes, and handles timers and the transport, as a program would. It drives a whole connection, or
//! two halves that exchange messages. After each step it checks bounds on memory and output.

use std::collections::VecDeque;
use std::time::Duration;

use hybi::CloseState;
use hybi::{
    CloseCode, Config, Connection, ControlPayload, Delivery, EofPosition, Event, EventIndex, Inbox, Input,
    Instant, MessageKind, Outbox, PendingReply, Receiver, Role, Sender, SendingHalf, SharedConfig,
    SliceInbox, SliceMessage, TransportAction, VecMessage,
};

use crate::app::{self, App};
use crate::network::Pipe;
use crate::support::cuts::Xorshift;
use crate::watch::{OWN, UNASKED, Watch};

/// The parameters of an endpoint.
#[derive(Clone, Debug)]
pub struct Setup {
    pub role: Role,
    pub config: Config,
    pub high_water: usize,
    pub delivery: Delivery,
    #[cfg(feature = "deflate")]
    pub deflate: Option<hybi::handshake::DeflateParams>,
    pub halves: bool,
    pub reading: Reading,
}

impl Setup {
    pub fn compressed(&self) -> bool {
        #[cfg(feature = "deflate")]
        let compressed = self.deflate.is_some();
        #[cfg(not(feature = "deflate"))]
        let compressed = false;
        compressed
    }

    /// Returns the minimum length of a message that may be delivered in chunks.
    fn min_chunked(&self) -> usize {
        match self.reading {
            _ if self.delivery == Delivery::Chunks => 0,
            // An inflated message that fills the memory exactly may still be delivered in chunks.
            Reading::SliceInbox { message, .. } => message,
            _ => usize::MAX,
        }
    }
}

/// The way in which the driver reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reading {
    /// The driver reads into a buffer that is borrowed for each read.
    Borrowed,
    /// Like `Borrowed`, but large payloads are read directly into their message.
    Landing,
    /// The driver reads into an inbox.
    Inbox,
    /// The driver reads into an inbox whose memory is borrowed for the whole run. Both lengths are in bytes.
    SliceInbox { read_buffer: usize, message: usize },
}

/// The memory that the `SliceInbox` of an endpoint borrows.
#[derive(Debug)]
pub struct Memory {
    read_buffer: Vec<u8>,
    message: Vec<u8>,
    control: ControlPayload,
}

impl Memory {
    pub const EMPTY: Self =
        Self { read_buffer: Vec::new(), message: Vec::new(), control: ControlPayload::EMPTY };

    /// Returns an inbox that borrows the memory. `reading` determines the lengths.
    fn lend(&mut self, reading: Reading) -> SliceInbox<'_> {
        if let Reading::SliceInbox { read_buffer, message } = reading {
            self.read_buffer.resize(read_buffer, 0xA5);
            self.message.resize(message, 0xA5);
        }
        let message = SliceMessage::new(&mut self.message, &mut self.control);
        SliceInbox::from_memory(&mut self.read_buffer, message)
    }
}

/// The connection of an endpoint, whole or in halves. `for_sender` has the messages from the receiving half.
#[derive(Debug)]
enum Ends {
    Whole(Connection),
    Halves { receiver: Receiver, sender: Sender<Outbox>, for_sender: VecDeque<ForSender> },
}

/// A message from the receiving half to the sending half.
#[derive(Debug)]
enum ForSender {
    Reply(PendingReply),
    End(EofPosition),
}

/// An endpoint: the connection, and the state of its driver and its application. Its `SliceInbox` borrows memory.
#[derive(Debug)]
pub struct End<'m> {
    machine: Ends,
    reading: Reading,
    message: VecMessage,
    inbox: Inbox,
    slice_inbox: SliceInbox<'m>,
    pub app: App,
    pub watch: Watch,
    high_water: usize,
    /// Length of the longest message that arrived.
    longest: usize,
    /// Number of bytes that were read.
    read: u64,
    /// Alternates at each message: the driver either takes the message out of the inbox, or borrows it.
    turn: bool,
    /// True after the driver has reported the end of the stream.
    knows_end: bool,
    /// True after the sending direction of the transport was closed.
    finished: bool,
    /// Length of the longest message that was passed to a send.
    largest: usize,
}

/// Polls until the input is used up.
macro_rules! drain {
    ($machine:expr, $input:expr, $now:expr, $app:expr, $watch:expr, $other:expr, $owned:expr) => {
        loop {
            match $machine {
                Ends::Whole(connection) => match connection.poll($now, $input) {
                    Ok(Some(ready)) => {
                        if let Some(message) = $owned(&mut *$input, ready) {
                            $app.hear_whole(message.kind(), message.as_bytes(), $other);
                            continue;
                        }
                        let event = $input.event(ready);
                        heard(&event, $watch);
                        $app.hear(&event, $other);
                    }
                    Ok(None) => break,
                    Err(error) => panic!("{error}"),
                },
                Ends::Halves { receiver, for_sender, .. } => match receiver.poll($input) {
                    Ok(Some(ready)) => {
                        let owed = $input.reply(ready);
                        let data = owed.is_none() || receiver.last_poll_had_data();
                        for_sender.push_back(ForSender::Reply(PendingReply::Received { data }));
                        for_sender.extend(owed.map(ForSender::Reply));
                        let event = $input.event(ready);
                        heard(&event, $watch);
                        $app.hear(&event, $other);
                    }
                    Ok(None) => {
                        let data = receiver.last_poll_had_data();
                        for_sender.push_back(ForSender::Reply(PendingReply::Received { data }));
                        break;
                    }
                    Err(error) => panic!("{error}"),
                },
            }
        }
    };
}

/// Takes no message out of the input, so that the application borrows each message.
fn borrow<I>(_: &mut I, _: EventIndex) -> Option<hybi::Message> {
    None
}

/// Records a received Ping, which the endpoint must answer.
fn heard(event: &Event<'_>, watch: &mut Watch) {
    if let Event::Ping(payload) = event {
        watch.unanswered.push_back(payload.to_vec());
    }
}

impl<'m> End<'m> {
    pub fn new(setup: &Setup, seed: u64, memory: &'m mut Memory) -> Self {
        let config: SharedConfig = setup.config.clone().into();
        let connection = match setup.role {
            Role::Server => Connection::server(Instant::ZERO, config, Outbox::new()),
            Role::Client => Connection::client(Instant::ZERO, config, Outbox::new(), [seed as u8; 32]),
        };
        #[cfg(feature = "deflate")]
        let connection = connection.with_deflate(setup.deflate);
        let machine = if setup.halves {
            let (receiver, sender) = connection.into_halves();
            Ends::Halves { receiver, sender, for_sender: VecDeque::new() }
        } else {
            Ends::Whole(connection)
        };
        Self {
            machine,
            reading: setup.reading,
            message: VecMessage::new(),
            inbox: Inbox::empty(),
            slice_inbox: memory.lend(setup.reading),
            app: App::new(setup.min_chunked()),
            watch: Watch::new(setup.role, setup.compressed()),
            high_water: setup.high_water,
            longest: 0,
            read: 0,
            turn: false,
            knows_end: false,
            finished: false,
            largest: 0,
        }
    }

    pub fn sender(&self) -> &Sender<Outbox> {
        match &self.machine {
            Ends::Whole(connection) => connection.sender(),
            Ends::Halves { sender, .. } => sender,
        }
    }

    fn half(&mut self) -> &mut dyn SendingHalf {
        match &mut self.machine {
            Ends::Whole(connection) => connection,
            Ends::Halves { sender, .. } => sender,
        }
    }

    pub fn receiver(&self) -> &Receiver {
        match &self.machine {
            Ends::Whole(connection) => connection.receiver(),
            Ends::Halves { receiver, .. } => receiver,
        }
    }

    pub fn state(&self) -> CloseState {
        self.sender().close_state()
    }

    pub fn deadline(&self) -> Option<Instant> {
        match &self.machine {
            Ends::Whole(connection) => connection.poll_timeout(),
            Ends::Halves { sender, .. } => sender.poll_timeout(),
        }
    }

    /// Returns whether the sending half has done everything that the receiving half asked for.
    pub fn has_applied_all(&self) -> bool {
        !matches!(&self.machine, Ends::Halves { for_sender, .. } if !for_sender.is_empty())
    }

    /// Returns whether the application knows that the connection has ended.
    pub fn is_over(&self) -> bool {
        self.app.outcome.is_some()
    }

    // --- actions of the application ---

    pub fn say(&mut self, random: &mut Xorshift) {
        let (kind, data) = app::message(random);
        self.largest = self.largest.max(data.len());
        match random.below(6) {
            0 => {
                let fin = random.below(3) == 0;
                // Lossy conversion to text makes the data up to three times as long.
                self.largest = self.largest.max(3 * data.len());
                self.say_part((kind, data), fin);
            }
            _ => {
                let way = random.below(12);
                match &mut self.machine {
                    Ends::Whole(connection) => self.app.say(connection, way, (kind, data)),
                    Ends::Halves { sender, .. } => self.app.say(sender, way, (kind, data)),
                }
            }
        }
    }

    /// Sends the last fragment of the open message.
    pub fn finish_message(&mut self) {
        if self.app.is_open() {
            self.say_part((MessageKind::Binary, Vec::new()), true);
        }
    }

    fn say_part(&mut self, part: (MessageKind, Vec<u8>), fin: bool) {
        match &mut self.machine {
            Ends::Whole(connection) => self.app.say_part(connection, part, fin),
            Ends::Halves { sender, .. } => self.app.say_part(sender, part, fin),
        }
    }

    pub fn ping(&mut self, now: Instant, count: u64) {
        let payload = [OWN, &count.to_be_bytes()].concat();
        match self.half().ping(now, &payload) {
            Ok(()) => self.watch.own_pings.push_back(payload),
            Err(hybi::SendError::Blocked) => self.app.blocked = true,
            Err(error) => assert_eq!(error, hybi::SendError::Closed),
        }
    }

    pub fn pong(&mut self, count: u64) {
        let payload = [UNASKED, &count.to_be_bytes()].concat();
        if let Err(error) = self.half().pong(&payload) {
            assert_eq!(error, hybi::SendError::Closed);
        }
    }

    pub fn close(&mut self, now: Instant, code: u16) {
        let was = self.state();
        let closed = self.half().close(now, Some(CloseCode::new(code)), "that is all");
        assert_eq!(closed.is_ok(), was == CloseState::Open);
        assert!(self.state() != CloseState::Open);
    }

    /// Releases unused memory.
    pub fn release(&mut self) {
        match &mut self.machine {
            Ends::Whole(connection) => connection.release_idle(),
            Ends::Halves { sender, .. } => sender.release_idle(),
        }
        self.message.release_idle();
        self.inbox.release_idle();
    }

    #[cfg(feature = "deflate")]
    pub fn release_compression(&mut self) {
        match &mut self.machine {
            Ends::Whole(connection) => connection.release_compression(),
            Ends::Halves { receiver, sender, .. } => {
                sender.release_deflater();
                receiver.release_inflater();
            }
        }
    }

    // --- actions of the driver ---

    /// Reads up to `most` bytes that have arrived. Returns whether there were any.
    pub fn read(&mut self, now: Instant, pipe: &mut Pipe, most: usize, other: &App) -> bool {
        if self.is_over() && matches!(self.machine, Ends::Halves { .. }) {
            // The sending half has ended, so the reading task discards the input. A whole connection discards its input
            // itself.
            return !pipe.read(now, most).is_empty();
        }
        let Self { machine, app, watch, .. } = self;
        let heard_before = app.heard;
        let mut len = 0;
        if self.reading == Reading::Inbox {
            let receiver = match machine {
                Ends::Whole(connection) => connection.receiver(),
                Ends::Halves { receiver, .. } => receiver,
            };
            let space = receiver.read_space(&mut self.inbox);
            let bytes = pipe.read(now, most.min(space.len()));
            len += bytes.len();
            space[..bytes.len()].copy_from_slice(&bytes);
            self.inbox.handle_read(bytes.len());
            if len > 0 {
                let turn = &mut self.turn;
                let mut owned = |inbox: &mut Inbox, ready| {
                    *turn ^= true;
                    if *turn { inbox.take_message(ready) } else { None }
                };
                drain!(machine, &mut self.inbox, now, app, watch, other, owned);
            }
        } else if let Reading::SliceInbox { .. } = self.reading {
            let inbox = &mut self.slice_inbox;
            // A read buffer can be as short as one byte. With one read in each step, a long message would take more
            // steps than a run may have.
            while len < most {
                let space = inbox.read_space();
                assert!(!space.is_empty(), "the inbox has no space, but all input is decoded");
                let bytes = pipe.read(now, (most - len).min(space.len()));
                if bytes.is_empty() {
                    break;
                }
                len += bytes.len();
                space[..bytes.len()].copy_from_slice(&bytes);
                inbox.handle_read(bytes.len());
                drain!(machine, inbox, now, app, watch, other, borrow);
                assert_eq!(inbox.remaining(), 0, "poll returned None before it consumed all input");
            }
        } else {
            if self.reading == Reading::Landing {
                let receiver = match machine {
                    Ends::Whole(connection) => connection.receiver(),
                    Ends::Halves { receiver, .. } => receiver,
                };
                let space = receiver.payload_space(&mut self.message);
                let bytes = pipe.read(now, most.min(space.len()));
                len += bytes.len();
                space[..bytes.len()].copy_from_slice(&bytes);
                match machine {
                    Ends::Whole(connection) => connection.handle_payload(&mut self.message, bytes.len()),
                    Ends::Halves { receiver, .. } => receiver.handle_payload(&mut self.message, bytes.len()),
                }
            }
            let mut bytes = pipe.read(now, most - len);
            len += bytes.len();
            if len > 0 {
                let mut input = Input::new(&mut bytes, &mut self.message);
                drain!(machine, &mut input, now, app, watch, other, borrow);
                assert_eq!(input.remaining(), 0, "poll returned None before it consumed all input");
            }
        }
        self.read += len as u64;
        for said in &other.said[heard_before..self.app.heard] {
            self.longest = self.longest.max(said.data.len());
        }
        if !self.receiver().is_done() {
            assert_eq!(
                self.receiver().counters().bytes,
                self.read,
                "the counter differs from the bytes that were read"
            );
        }
        len > 0
    }

    /// Handles the events that need no input.
    pub fn poll(&mut self, now: Instant, other: &App) {
        let Self { machine, app, watch, message, .. } = self;
        if let Ends::Halves { sender, .. } = machine {
            while let Some(ready) = sender.poll() {
                app.hear(&Input::new(&mut [], message).event(ready), other);
            }
            return;
        }
        match self.reading {
            Reading::Inbox => drain!(machine, &mut self.inbox, now, app, watch, other, borrow),
            Reading::SliceInbox { .. } => {
                drain!(machine, &mut self.slice_inbox, now, app, watch, other, borrow);
            }
            Reading::Borrowed | Reading::Landing => {
                let mut input = Input::new(&mut [], message);
                drain!(machine, &mut input, now, app, watch, other, borrow);
            }
        }
    }

    /// Handles the end of the stream, after all of its bytes were read.
    pub fn handle_end_of_stream(&mut self) {
        if !std::mem::replace(&mut self.knows_end, true) {
            match &mut self.machine {
                Ends::Whole(connection) => connection.handle_eof(),
                Ends::Halves { receiver, for_sender, .. } => {
                    for_sender.push_back(ForSender::End(receiver.eof_position()))
                }
            }
        }
    }

    /// Lets the sending half process the next message of the receiving half, and returns whether there was one. If a
    /// timer has ended the connection, the receiving half learns that the connection has ended.
    pub fn apply_next(&mut self, now: Instant) -> bool {
        let Ends::Halves { receiver, sender, for_sender } = &mut self.machine else { return false };
        if matches!(sender.close_state(), CloseState::Failed | CloseState::Ended) {
            receiver.handle_ended();
        }
        match for_sender.pop_front() {
            Some(ForSender::Reply(owed)) => sender.apply(now, owed),
            Some(ForSender::End(cut)) => sender.handle_eof(cut),
            None => return false,
        }
        true
    }

    /// Writes at most `most` bytes, from at most `slots` slices. Returns whether a byte was written.
    pub fn write(
        &mut self,
        now: Instant,
        pipe: &mut Pipe,
        most: usize,
        slots: usize,
        delay: Duration,
    ) -> bool {
        let waits = self.sender().buffered_amount();
        // RFC 6455 5.5.2, 10.4: the queue holds at most one message above the high-water mark, control frames, and a
        // Close.
        let bound = self.high_water + self.largest + self.largest / 4 + 64 + 14 + 508 + 131;
        assert!(waits <= bound, "{waits} bytes are queued, and at most {bound} are allowed");
        let mut slices = [&[][..]; 64];
        let count = self.sender().poll_transmit(&mut slices[..slots]);
        let given: usize = slices[..count].iter().map(|slice| slice.len()).sum();
        assert!(count > 0 || waits == 0, "{waits} bytes are queued, but poll_transmit returns none");
        assert!(
            given <= waits && (count == slots || given == waits),
            "buffered_amount differs from the bytes of poll_transmit"
        );
        let mut bytes = Vec::new();
        for slice in &slices[..count] {
            bytes.extend_from_slice(&slice[..slice.len().min(most - bytes.len())]);
        }
        let len = bytes.len();
        self.watch.write(&bytes);
        self.half().transmitted(now, len);
        assert_eq!(self.sender().buffered_amount(), waits - len, "buffered_amount is wrong after a write");
        assert_eq!(self.sender().counters().bytes, self.watch.written);
        if !self.finished {
            pipe.send(now, bytes, delay);
        }
        len > 0
    }

    /// Performs the action that the connection requests of the transport. Returns whether there was one.
    pub fn transport(&mut self, now: Instant, out: &mut Pipe, back: &mut Pipe, delay: Duration) -> bool {
        match self.sender().poll_transport() {
            Some(TransportAction::HalfClose) => {
                assert_eq!(self.sender().buffered_amount(), 0, "the stream ends before the queue is written");
                assert!(self.watch.is_between_frames() && self.watch.close.is_some());
                out.finish(now, delay);
                self.finished = true;
                self.half().handle_half_closed();
            }
            Some(TransportAction::Close) if !self.finished => {
                out.finish(now, delay);
                self.finished = true;
            }
            Some(TransportAction::Abort) if !self.finished => {
                out.reset(now);
                back.reset(now);
                self.finished = true;
            }
            _ => return false,
        }
        true
    }

    /// Calls `handle_timeout` at the current time.
    pub fn handle_timeout(&mut self, now: Instant) {
        match &mut self.machine {
            Ends::Whole(connection) => connection.handle_timeout(now),
            Ends::Halves { sender, .. } => sender.handle_timeout(now),
        }
        assert!(
            self.deadline().is_none_or(|next| next > now),
            "handle_timeout left a deadline that is already due"
        );
    }

    /// Checks the bounds that must hold at any time.
    pub fn check(&self, now: Instant, other: &App, close_timeout: Duration, since: &mut Option<Instant>) {
        // Memory is bounded by the longest message. The read buffer of an inbox may hold this message and one more
        // read.
        let longest = self.longest.max(other.said.get(self.app.heard).map_or(0, |said| said.data.len()));
        let (message, window) = (2 * longest + (64 << 10), 2 * ((64 << 10) + (17 << 10)));
        let held = (self.message.capacity(), self.inbox.capacity());
        assert!(held.0 <= message && held.1 <= message + window, "{held:?} bytes are held for {longest}");
        // RFC 6455 7.1.1: closing takes a bounded time.
        if matches!(self.state(), CloseState::Open | CloseState::Ended) {
            *since = None;
        } else {
            let since = *since.get_or_insert(now);
            let end = self.deadline().expect("a connection that is closing has no deadline");
            assert!(end <= since + close_timeout, "the deadline of closing was postponed");
        }
        let dropped = self.sender().dropped();
        assert!(dropped == 0 || self.state() != CloseState::Open, "{dropped} bytes were dropped while open");
    }
}
