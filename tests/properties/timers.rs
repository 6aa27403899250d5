//! Properties of timers: no timer fires early or twice.
//!
//! [`Watch`] records from outside when bytes and data arrived, when a Ping was queued and when closing began. From
//! these times it decides whether an action of the connection was due.

use std::time::Duration;

use hybi::CloseState;
use hybi::frame::Role;
use hybi::{CloseCode, Config, Connection, Event, Input, Instant, Outbox, Outcome, VecMessage};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::support::drive::machine;
use crate::support::wire;

#[derive(Clone, Copy, Debug)]
struct Timeouts {
    ping: Option<u64>,
    pong: Option<u64>,
    close: Option<u64>,
    idle: Option<u64>,
    end: Option<u64>,
}

fn timeouts() -> impl Strategy<Value = Timeouts> {
    let millis = || option::weighted(0.8, 1..60_u64);
    (millis(), millis(), millis(), millis(), millis()).prop_map(|(ping, pong, close, idle, end)| Timeouts {
        ping,
        pong,
        close,
        idle,
        end,
    })
}

#[derive(Clone, Debug)]
enum Action {
    /// Time passes in one step, which may end before, at or after a deadline. So `handle_timeout` may be called late.
    Wait(u64),
    /// Time passes in steps that end at each deadline, so each `handle_timeout` is in time.
    Follow(u64),
    Receive(Received),
    SendText,
    Ping,
    Close,
    /// Writes at most this many bytes of the queue.
    Write(usize),
}

#[derive(Clone, Copy, Debug)]
enum Received {
    Text,
    Ping,
    /// Answers the newest Ping that was written.
    Pong,
    /// A Pong that answers no Ping.
    Stray,
    Close,
    /// The first part of a frame. The rest arrives with the next `Receive`.
    PartOfFrame,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let received = prop_oneof![
        1 => Just(Received::Text),
        1 => Just(Received::Ping),
        3 => Just(Received::Pong),
        1 => Just(Received::Stray),
        1 => Just(Received::PartOfFrame),
    ];
    let action = prop_oneof![
        4 => (0..30_u64).prop_map(Action::Wait),
        4 => (0..80_u64).prop_map(Action::Follow),
        6 => received.prop_map(Action::Receive),
        2 => Just(Action::SendText),
        1 => Just(Action::Ping),
        4 => prop_oneof![Just(usize::MAX), 0..20_usize].prop_map(Action::Write),
    ];
    let last = prop_oneof![2 => Just(None), 1 => Just(Some(Action::Close)), 1 => Just(Some(Action::Receive(Received::Close)))];
    (vec(action.clone(), 0..40), last, vec(action, 0..10)).prop_map(|(mut actions, last, rest)| {
        actions.extend(last);
        actions.extend(rest);
        actions
    })
}

/// A connection, and the times of everything that was observed from outside. Times are in milliseconds.
struct Watch {
    conn: Connection,
    message: VecMessage,
    now: u64,
    timeouts: Timeouts,
    /// When the last byte arrived.
    received: u64,
    /// When the last data arrived.
    received_data: u64,
    /// When the last Ping was queued.
    pinged: Option<u64>,
    /// When the first Close was queued or received.
    closing: Option<u64>,
    /// The peer did not answer a Ping, so the connection ends at once.
    dead: bool,
    /// The rest of a frame that has begun to arrive.
    pending: Vec<u8>,
    /// The last Ping that was written.
    ping: Option<Vec<u8>>,
    out: Vec<u8>,
    outcome: Option<Outcome>,
}

fn at(millis: u64) -> Instant {
    Instant::from_origin(Duration::from_millis(millis))
}

impl Watch {
    fn new(role: Role, timeouts: Timeouts) -> Self {
        let millis = |time: Option<u64>| time.map(Duration::from_millis);
        let config = Config::new()
            .ping_interval(millis(timeouts.ping))
            .pong_timeout(millis(timeouts.pong))
            .close_timeout(millis(timeouts.close))
            .idle_timeout(millis(timeouts.idle))
            .end_timeout(millis(timeouts.end));
        Self {
            conn: machine(role, &config.into(), Outbox::new()),
            message: VecMessage::new(),
            now: 0,
            timeouts,
            received: 0,
            received_data: 0,
            pinged: None,
            closing: None,
            dead: false,
            pending: Vec::new(),
            ping: None,
            out: Vec::new(),
            outcome: None,
        }
    }

    fn run(&mut self, action: &Action) -> Result<(), TestCaseError> {
        match *action {
            Action::Wait(by) => {
                self.now += by;
                self.tick()?;
            }
            Action::Follow(by) => self.follow(by)?,
            Action::Receive(what) => self.receive(what)?,
            Action::SendText => drop(self.conn.send_text("text")),
            Action::Ping => {
                if self.conn.ping(at(self.now), b"own").is_ok() {
                    self.pinged = Some(self.now);
                }
            }
            Action::Close => {
                if self.conn.close(at(self.now), CloseCode::NORMAL, "").is_ok() {
                    self.closing = Some(self.now);
                }
            }
            Action::Write(most) => self.write(most),
        }
        Ok(())
    }

    fn deadline(&self) -> Option<u64> {
        self.conn
            .poll_timeout()
            .map(|at| u64::try_from(at.since_origin().as_nanos().div_ceil(1_000_000)).unwrap())
    }

    fn state(&self) -> CloseState {
        self.conn.sender().close_state()
    }

    /// Returns everything that can be observed.
    fn seen(&self) -> (CloseState, usize, u64, Option<Instant>) {
        let sender = self.conn.sender();
        (self.state(), sender.buffered_amount(), sender.counters().frames, sender.poll_timeout())
    }

    /// Calls `handle_timeout` at the current time.
    fn tick(&mut self) -> Result<(), TestCaseError> {
        let (before, due) = (self.seen(), self.deadline().is_some_and(|at| at <= self.now));
        self.conn.handle_timeout(at(self.now));
        let after = self.seen();
        if due {
            prop_assert_ne!(before, after, "handle_timeout had no effect at a deadline");
            self.judge(before.0, after.2 - before.2)?;
        } else {
            prop_assert_eq!(before, after, "handle_timeout had an effect before the deadline");
        }
        prop_assert!(
            self.deadline().is_none_or(|next| next > self.now),
            "handle_timeout left a deadline that is already due"
        );
        self.conn.handle_timeout(at(self.now));
        prop_assert_eq!(after, self.seen(), "a second handle_timeout at the same time had an effect");
        self.poll(&[])
    }

    /// Checks that an action of the connection was due.
    fn judge(&mut self, before: CloseState, frames: u64) -> Result<(), TestCaseError> {
        let (now, Timeouts { ping, pong, close, idle, end }) = (self.now, self.timeouts);
        let past = |since: u64, timeout: Option<u64>| timeout.is_some_and(|timeout| now >= since + timeout);
        match (before, self.state()) {
            (CloseState::Open, CloseState::Failed) => {
                let pinged = self.pinged.expect("the peer was given up without a Ping");
                prop_assert!(past(self.received, pong) && pinged <= now, "the peer was given up early");
                self.dead = true;
            }
            (CloseState::Open, CloseState::Sent) => {
                prop_assert!(past(self.received_data, idle), "the idle timer fired early")
            }
            (CloseState::Open, CloseState::Open) => {
                // At most one Ping is queued, because no Ping is added while another one is queued.
                prop_assert!(frames <= 1);
                prop_assert!(
                    past(self.received.max(self.pinged.unwrap_or(0)), ping),
                    "a Ping was sent early"
                );
                self.pinged = Some(now);
                return Ok(());
            }
            (before, CloseState::Ended) => {
                let closing = self.closing.unwrap();
                let client_waits = before == CloseState::Both && self.conn.role() == Role::Client;
                let in_time = past(closing, close) || client_waits && past(closing, end);
                prop_assert!(self.dead || in_time, "the connection ended early");
            }
            (before, after) => prop_assert!(false, "from {:?} to {:?}", before, after),
        }
        self.closing.get_or_insert(now);
        Ok(())
    }

    /// Lets time pass, and calls `handle_timeout` one millisecond before each deadline and at the deadline.
    fn follow(&mut self, by: u64) -> Result<(), TestCaseError> {
        let end = self.now + by;
        while let Some(next) = self.deadline().filter(|next| *next <= end) {
            if next > self.now + 1 {
                // One millisecond before the deadline the call must have no effect.
                self.now = next - 1;
                self.tick()?;
            }
            self.now = self.now.max(next);
            self.tick()?;
        }
        self.now = end;
        self.tick()
    }

    fn poll(&mut self, bytes: &[u8]) -> Result<(), TestCaseError> {
        let mut bytes = bytes.to_vec();
        let mut input = Input::new(&mut bytes, &mut self.message);
        loop {
            match self.conn.poll_event(at(self.now), &mut input) {
                Ok(Some(Event::Closed(outcome))) => prop_assert_eq!(self.outcome.replace(outcome), None),
                Ok(Some(_)) => prop_assert_eq!(self.outcome, None, "an event after the end"),
                Ok(None) => return Ok(()),
                Err(error) => prop_assert!(false, "{}", error),
            }
        }
    }

    fn receive(&mut self, what: Received) -> Result<(), TestCaseError> {
        let key = (self.conn.role() == Role::Server).then_some([1, 2, 3, 4]);
        let listens = matches!(self.state(), CloseState::Open | CloseState::Sent);
        let mut bytes = std::mem::take(&mut self.pending);
        let mut data = !bytes.is_empty();
        match what {
            Received::Text => bytes.extend(wire::encode(wire::TEXT, b"text", key)),
            Received::Ping => bytes.extend(wire::encode(wire::PING, b"ping", key)),
            Received::Pong => {
                bytes.extend(wire::encode(wire::PONG, &self.ping.take().unwrap_or_default(), key))
            }
            Received::Stray => bytes.extend(wire::encode(wire::PONG, b"stray", key)),
            Received::Close => bytes.extend(wire::encode(wire::CLOSE, b"\x03\xe8", key)),
            Received::PartOfFrame => {
                let mut frame = wire::encode(wire::BINARY, b"a frame that comes in two parts", key);
                self.pending = frame.split_off(12);
                bytes.extend(frame);
            }
        }
        data |= matches!(what, Received::Text | Received::PartOfFrame);
        self.poll(&bytes)?;
        if listens {
            self.received = self.now;
            self.received_data = if data { self.now } else { self.received_data };
        }
        if !matches!(self.state(), CloseState::Open) {
            self.closing.get_or_insert(self.now);
        }
        Ok(())
    }

    fn write(&mut self, most: usize) {
        let mut slices = [&[][..]; 8];
        let count = self.conn.poll_transmit(&mut slices);
        let mut bytes = slices[..count].concat();
        bytes.truncate(most);
        self.conn.transmitted(at(self.now), bytes.len());
        self.out.extend_from_slice(&bytes);
        if let Ok(frames) = wire::decode(&self.out) {
            self.out.clear();
            self.ping =
                frames.into_iter().rfind(|frame| frame.first == wire::PING).map(|frame| frame.payload);
        }
        if self.conn.poll_transport().is_some() {
            self.conn.handle_half_closed();
        }
    }
}

proptest! {
    #![proptest_config(crate::cases())]

    /// A timer acts at its deadline, not before, and once.
    #[test]
    fn s5_5_timers_fire_once_and_never_early(
        client: bool,
        timeouts in timeouts(),
        actions in actions(),
    ) {
        let mut watch = Watch::new(if client { Role::Client } else { Role::Server }, timeouts);
        for action in &actions {
            watch.run(action)?;
        }
        // From now on the peer is silent. The connection must end if one of its timers can end it.
        watch.write(usize::MAX);
        watch.follow(1_000)?;
        let Timeouts { ping, pong, close, idle, .. } = timeouts;
        if watch.dead || watch.closing.is_some() && close.is_some() {
            prop_assert!(watch.outcome.is_some(), "closing did not end");
        } else if idle.is_some() || ping.is_some() && pong.is_some() {
            prop_assert_ne!(watch.state(), CloseState::Open, "a silent peer was not given up");
        }
    }
}
