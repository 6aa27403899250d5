//! One end of the simulation: a connection, whole or in halves, with its driver and its application.
//!
//! The driver reads, writes, handles timers and the transport as a program would, in whole connections or in two
//! halves that exchange messages. It checks bounds on memory and output after each step.

use std::collections::VecDeque;
use std::time::Duration;

use hybi::CloseState;
use hybi::{
    CloseCode, Config, Connection, Delivery, EofPosition, Event, Inbox, Input, Instant, MessageKind, Outbox,
    PendingReply, Receiver, Role, Sender, SendingHalf, SharedConfig, TransportAction, VecMessage,
};

use crate::app::{self, App};
use crate::network::Pipe;
use crate::support::cuts::Xorshift;
use crate::watch::{OWN, UNASKED, Watch};

/// The parameters of an end.
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
}

/// How the driver reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reading {
    /// Into a buffer that is borrowed for each read.
    SliceOutbox,
    /// Like `SliceOutbox`, and large payloads directly into their message.
    Landing,
    /// Into an inbox of the connection.
    Inbox,
}

#[derive(Debug)]
enum Ends {
    Whole(Connection),
    Halves { receiver: Receiver, sender: Sender<Outbox>, told: VecDeque<Told> },
}

/// A message from the receiving half to the sending half.
#[derive(Debug)]
enum Told {
    Owes(PendingReply),
    End(EofPosition),
}

#[derive(Debug)]
pub struct End {
    machine: Ends,
    reading: Reading,
    message: VecMessage,
    inbox: Inbox,
    pub app: App,
    pub watch: Watch,
    high_water: usize,
    /// Length of the longest message that arrived.
    longest: usize,
    read: u64,
    /// Messages are taken and borrowed alternately.
    turn: bool,
    told_of_end: bool,
    /// The write half of the transport is closed.
    finished: bool,
    /// Length of the longest message that was given to a send.
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
                Ends::Halves { receiver, told, .. } => match receiver.poll($input) {
                    Ok(Some(ready)) => {
                        let owed = $input.reply(ready);
                        let data = owed.is_none() || receiver.saw_data();
                        told.push_back(Told::Owes(PendingReply::Received { data }));
                        told.extend(owed.map(Told::Owes));
                        let event = $input.event(ready);
                        heard(&event, $watch);
                        $app.hear(&event, $other);
                    }
                    Ok(None) => {
                        let data = receiver.saw_data();
                        told.push_back(Told::Owes(PendingReply::Received { data }));
                        break;
                    }
                    Err(error) => panic!("{error}"),
                },
            }
        }
    };
}

fn heard(event: &Event<'_>, watch: &mut Watch) {
    if let Event::Ping(payload) = event {
        watch.unanswered.push_back(payload.to_vec());
    }
}

impl End {
    pub fn new(setup: &Setup, seed: u64) -> Self {
        let config: SharedConfig = setup.config.clone().into();
        let connection = match setup.role {
            Role::Server => Connection::server(Instant::ZERO, config, Outbox::new()),
            Role::Client => Connection::client(Instant::ZERO, config, Outbox::new(), [seed as u8; 32]),
        };
        #[cfg(feature = "deflate")]
        let connection = connection.with_deflate(setup.deflate);
        let machine = if setup.halves {
            let (receiver, sender) = connection.into_halves();
            Ends::Halves { receiver, sender, told: VecDeque::new() }
        } else {
            Ends::Whole(connection)
        };
        Self {
            machine,
            reading: setup.reading,
            message: VecMessage::new(),
            inbox: Inbox::empty(),
            app: App::default(),
            watch: Watch::new(setup.role, setup.compressed()),
            high_water: setup.high_water,
            longest: 0,
            read: 0,
            turn: false,
            told_of_end: false,
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
    pub fn is_told(&self) -> bool {
        !matches!(&self.machine, Ends::Halves { told, .. } if !told.is_empty())
    }

    /// Returns whether the application has seen the end.
    pub fn is_over(&self) -> bool {
        self.app.outcome.is_some()
    }

    // --- what the application does ---

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

    /// Ends the open message.
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
    pub fn release_windows(&mut self) {
        match &mut self.machine {
            Ends::Whole(connection) => connection.release_windows(),
            Ends::Halves { receiver, sender, .. } => {
                sender.release_window();
                receiver.release_window();
            }
        }
    }

    // --- what the driver does ---

    /// Reads up to `most` bytes that have arrived.
    pub fn read(&mut self, now: Instant, pipe: &mut Pipe, most: usize, other: &App) -> bool {
        if self.is_over() && matches!(self.machine, Ends::Halves { .. }) {
            // The sending half has ended, so the reading task ends too. A whole connection knows its own end.
            return !pipe.read(now, most).is_empty();
        }
        let Self { machine, app, watch, .. } = self;
        let heard_before = app.heard;
        let nothing = |_: &mut _, _| None::<hybi::Message>;
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
                drain!(machine, &mut input, now, app, watch, other, nothing);
                assert_eq!(input.remaining(), 0, "None comes once all is taken in");
            }
        }
        self.read += len as u64;
        for said in &other.said[heard_before..self.app.heard] {
            self.longest = self.longest.max(said.data.len());
        }
        if !self.receiver().is_done() {
            assert_eq!(self.receiver().counters().bytes, self.read, "all that came in is counted");
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
        let nothing = |_: &mut _, _| None::<hybi::Message>;
        if self.reading == Reading::Inbox {
            drain!(
                machine,
                &mut self.inbox,
                now,
                app,
                watch,
                other,
                |_: &mut Inbox, _| None::<hybi::Message>
            );
        } else {
            let mut input = Input::new(&mut [], message);
            drain!(machine, &mut input, now, app, watch, other, nothing);
        }
    }

    /// The stream has ended, and all of it was read.
    pub fn hear_of_end(&mut self) {
        if !std::mem::replace(&mut self.told_of_end, true) {
            match &mut self.machine {
                Ends::Whole(connection) => connection.handle_eof(),
                Ends::Halves { receiver, told, .. } => told.push_back(Told::End(receiver.cut())),
            }
        }
    }

    /// Lets the sending half process the next message of the receiving half. Tells the receiving half about an
    /// end by a timer.
    pub fn tell(&mut self, now: Instant) -> bool {
        let Ends::Halves { receiver, sender, told } = &mut self.machine else { return false };
        if matches!(sender.close_state(), CloseState::Failed | CloseState::Ended) {
            receiver.handle_ended();
        }
        match told.pop_front() {
            Some(Told::Owes(owed)) => sender.apply(now, owed),
            Some(Told::End(cut)) => sender.handle_eof(cut),
            None => return false,
        }
        true
    }

    /// Writes at most `most` bytes.
    pub fn write(
        &mut self,
        now: Instant,
        pipe: &mut Pipe,
        most: usize,
        slots: usize,
        delay: Duration,
    ) -> bool {
        let waits = self.sender().buffered_amount();
        // RFC 6455 5.5.2, 10.4: one message above the mark, control frames, and a Close.
        let bound = self.high_water + self.largest + self.largest / 4 + 64 + 14 + 508 + 131;
        assert!(waits <= bound, "{waits} bytes wait, and {bound} may");
        let mut slices = [&[][..]; 64];
        let count = self.sender().poll_transmit(&mut slices[..slots]);
        let given: usize = slices[..count].iter().map(|slice| slice.len()).sum();
        assert!(count > 0 || waits == 0, "{waits} bytes wait, and nothing is to be written");
        assert!(given <= waits && (count == slots || given == waits), "buffered_amount is true");
        let mut bytes = Vec::new();
        for slice in &slices[..count] {
            bytes.extend_from_slice(&slice[..slice.len().min(most - bytes.len())]);
        }
        let len = bytes.len();
        self.watch.write(&bytes);
        self.half().transmitted(now, len);
        assert_eq!(self.sender().buffered_amount(), waits - len, "and stays true");
        assert_eq!(self.sender().counters().bytes, self.watch.written);
        if !self.finished {
            pipe.send(now, bytes, delay);
        }
        len > 0
    }

    /// Handles the request to the transport.
    pub fn transport(&mut self, now: Instant, out: &mut Pipe, back: &mut Pipe, delay: Duration) -> bool {
        match self.sender().poll_transport() {
            Some(TransportAction::HalfClose) => {
                assert_eq!(self.sender().buffered_amount(), 0, "the Close is out before the stream ends");
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
        assert!(self.deadline().is_none_or(|next| next > now), "what was due is done");
    }

    /// Checks what must hold at any time.
    pub fn check(&self, now: Instant, other: &App, close_timeout: Duration, since: &mut Option<Instant>) {
        // Memory is bounded by the longest message. An inbox may hold the longest message of its read buffer and
        // one more read.
        let longest = self.longest.max(other.said.get(self.app.heard).map_or(0, |said| said.data.len()));
        let (message, window) = (2 * longest + (64 << 10), 2 * ((64 << 10) + (17 << 10)));
        let held = (self.message.capacity(), self.inbox.capacity());
        assert!(held.0 <= message && held.1 <= message + window, "{held:?} bytes are held for {longest}");
        // RFC 6455 7.1.1: closing takes a bounded time.
        if matches!(self.state(), CloseState::Open | CloseState::Ended) {
            *since = None;
        } else {
            let since = *since.get_or_insert(now);
            let end = self.deadline().expect("closing has a deadline");
            assert!(end <= since + close_timeout, "the deadline of closing was put off");
        }
        let dropped = self.sender().dropped();
        assert!(dropped == 0 || self.state() != CloseState::Open, "{dropped} bytes were dropped while open");
    }
}
