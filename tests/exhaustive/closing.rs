//! Every sequence of events while a connection closes, compared with a model.
//!
//! [`Model`] states the rules of RFC 6455 section 7 in another form than the table in
//! `src/connection/close_state.rs`. After each event the test compares events, output, deadline and transport
//! request with the model.

use std::time::Duration;

use hybi::CloseState;
use hybi::frame::Role;
use hybi::{
    CloseCode, Config, Connection, EofPosition, Event, Input, Instant, Outbox, Outcome, ProtocolError,
    SharedConfig, TimerKind, TransportAction, VecMessage,
};

use crate::support::drive::machine;
use crate::support::wire;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Happens {
    AppCloses,
    CloseComes,
    ViolationComes,
    TextComes,
    PingComes,
    StreamEnds,
    TimePasses,
    AllIsWritten,
    HalfCloses,
}

const ALL: [Happens; 9] = [
    Happens::AppCloses,
    Happens::CloseComes,
    Happens::ViolationComes,
    Happens::TextComes,
    Happens::PingComes,
    Happens::StreamEnds,
    Happens::TimePasses,
    Happens::AllIsWritten,
    Happens::HalfCloses,
];

const DEPTH: u32 = if cfg!(debug_assertions) { 4 } else { 6 };
const TIMEOUT: Duration = Duration::from_secs(10);
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// The state that the RFC requires.
struct Model {
    role: Role,
    state: CloseState,
    /// Our Close is queued.
    queued: bool,
    /// Our Close was written.
    written: bool,
    /// Number of queued Pongs.
    pongs: usize,
    half_closed: bool,
    /// The outcome that the connection must report if the stream ends now.
    outcome: Outcome,
    over: bool,
    /// The time at which closing began, which is when the first Close was queued or received, or the connection failed.
    since: Option<Instant>,
}

impl Model {
    /// Returns whether received frames are still processed.
    fn is_receiving(&self) -> bool {
        matches!(self.state, CloseState::Open | CloseState::Sent)
    }

    fn closes(&mut self, to: CloseState, now: Instant) {
        self.queued |= !self.written;
        self.state = to;
        self.since.get_or_insert(now);
    }

    fn ends(&mut self, outcome: Outcome) {
        (self.state, self.over, self.queued, self.pongs) = (CloseState::Ended, true, false, 0);
        self.outcome = outcome;
    }

    /// Returns the deadline of closing. The test never moves time beyond this deadline.
    fn deadline(&self) -> Option<Instant> {
        let flushed = !self.queued && self.pongs == 0;
        let awaits_end = self.state == CloseState::Both && flushed && self.role == Role::Client;
        let since = self.since.filter(|_| !self.over)?;
        Some(since + if awaits_end { END_TIMEOUT } else { TIMEOUT })
    }

    fn transport(&self) -> Option<TransportAction> {
        let flushed = !self.queued && self.pongs == 0;
        match self.state {
            CloseState::Both if self.role == Role::Client => None,
            CloseState::Both | CloseState::Failed if flushed && !self.half_closed => {
                Some(TransportAction::HalfClose)
            }
            _ => None,
        }
    }
}

struct Bench {
    connection: Connection,
    message: VecMessage,
    now: Instant,
    model: Model,
    wire: Vec<u8>,
    closed: Option<Outcome>,
}

impl Bench {
    fn new(role: Role, config: &SharedConfig) -> Self {
        let model = Model {
            role,
            state: CloseState::Open,
            queued: false,
            written: false,
            pongs: 0,
            half_closed: false,
            outcome: Outcome::Abnormal(EofPosition::BetweenMessages),
            over: false,
            since: None,
        };
        let connection = machine(role, config, Outbox::new());
        Self {
            connection,
            message: VecMessage::new(),
            now: Instant::ZERO,
            model,
            wire: Vec::new(),
            closed: None,
        }
    }

    /// Receives a frame. Returns its events.
    fn receive_frame(&mut self, first: u8, payload: &[u8]) -> Vec<&'static str> {
        let key = (self.model.role == Role::Server).then_some([1, 2, 3, 4]);
        self.poll_all(&mut wire::encode(first, payload, key))
    }

    fn poll_all(&mut self, bytes: &mut [u8]) -> Vec<&'static str> {
        let mut input = Input::new(bytes, &mut self.message);
        let mut seen = Vec::new();
        loop {
            seen.push(match self.connection.poll_event(self.now, &mut input) {
                Ok(Some(Event::Text(_))) => "text",
                Ok(Some(Event::Ping(_))) => "ping",
                Ok(Some(Event::CloseReceived { .. })) => "close",
                Ok(Some(Event::Closed(outcome))) => {
                    assert_eq!(self.closed.replace(outcome), None, "`Closed` was reported twice");
                    continue;
                }
                Ok(Some(event)) => panic!("{event:?}"),
                Ok(None) => return seen,
                Err(ProtocolError::UnknownOpcode(3)) => "failed",
                Err(error) => panic!("{error}"),
            });
        }
    }

    fn step(&mut self, what: Happens) {
        let is_receiving = self.model.is_receiving();
        let expected = |name| if is_receiving { vec![name] } else { vec![] };
        match what {
            Happens::AppCloses => {
                let closed = self.connection.close(self.now, CloseCode::NORMAL, "own");
                assert_eq!(closed.is_ok(), self.model.state == CloseState::Open);
                if closed.is_ok() {
                    self.model.closes(CloseState::Sent, self.now);
                }
            }
            Happens::CloseComes => {
                assert_eq!(self.receive_frame(wire::CLOSE, b"\x03\xe9"), expected("close"));
                if is_receiving {
                    self.model.closes(CloseState::Both, self.now);
                    self.model.outcome = Outcome::Clean { code: CloseCode::GOING_AWAY };
                }
            }
            Happens::ViolationComes => {
                assert_eq!(self.poll_all(&mut [0x83]), expected("failed"));
                if is_receiving {
                    self.model.closes(CloseState::Failed, self.now);
                    self.model.outcome = Outcome::Failed(ProtocolError::UnknownOpcode(3));
                }
            }
            Happens::TextComes => assert_eq!(self.receive_frame(wire::TEXT, b"text"), expected("text")),
            Happens::PingComes => {
                assert_eq!(self.receive_frame(wire::PING, b"ping"), expected("ping"));
                // RFC 6455 5.5.2: a Ping is answered, except after our own Close.
                if is_receiving && !self.model.written {
                    self.model.pongs += 1;
                }
            }
            Happens::StreamEnds => {
                self.connection.handle_eof();
                if !self.model.over {
                    let flushed = !self.model.queued && self.model.pongs == 0;
                    self.model.ends(match self.model.outcome {
                        // RFC 6455 7.1.4: for a clean end both sides have sent a Close.
                        Outcome::Clean { code } if !flushed => Outcome::Unanswered { code },
                        outcome => outcome,
                    });
                }
            }
            Happens::TimePasses => {
                let deadline = self.connection.poll_timeout();
                assert_eq!(deadline, self.model.deadline());
                if let Some(deadline) = deadline {
                    self.now = deadline;
                    let flushed = !self.model.queued && self.model.pongs == 0;
                    // The timeout becomes the outcome if the peer has not answered our Close, or if our answer to the
                    // peer's Close was not written.
                    let given_up = self.model.state == CloseState::Sent
                        || self.model.state == CloseState::Both && !flushed;
                    self.model.ends(if given_up {
                        Outcome::TimedOut(TimerKind::Close)
                    } else {
                        self.model.outcome
                    });
                }
                self.connection.handle_timeout(self.now);
            }
            Happens::AllIsWritten => {
                let mut slices = [&[][..]; 8];
                let count = self.connection.poll_transmit(&mut slices);
                let bytes = slices[..count].concat();
                self.connection.transmitted(self.now, bytes.len());
                let frames = wire::decode(&bytes).unwrap();
                let of = |first| frames.iter().filter(|frame| frame.first == first).count();
                assert_eq!(of(wire::PONG), self.model.pongs);
                assert_eq!(of(wire::CLOSE), usize::from(self.model.queued));
                assert_eq!(frames.len(), of(wire::PONG) + of(wire::CLOSE));
                // RFC 6455 5.5.1: nothing follows the Close.
                assert!(!self.model.queued || frames.last().unwrap().first == wire::CLOSE);
                self.model.written |= self.model.queued;
                (self.model.queued, self.model.pongs) = (false, 0);
                self.wire.extend(bytes);
            }
            Happens::HalfCloses => {
                if self.connection.poll_transport() == Some(TransportAction::HalfClose) {
                    self.connection.handle_half_closed();
                    self.model.half_closed = true;
                }
            }
        }
        self.check();
    }

    fn check(&mut self) {
        assert_eq!(self.poll_all(&mut []), Vec::<&str>::new());
        assert_eq!(self.connection.sender().close_state(), self.model.state);
        assert_eq!(self.closed, self.model.over.then_some(self.model.outcome));
        let action = self.connection.poll_transport();
        if self.model.over {
            assert!(matches!(action, Some(TransportAction::Close | TransportAction::Abort)));
            assert_eq!(self.connection.buffered_amount(), 0);
        } else {
            assert_eq!(action, self.model.transport());
        }
        // RFC 6455 5.5.1: data may be sent only before our own Close. The test sends no data, because the model has
        // no queue for data.
        assert_eq!(self.connection.sender().can_send().is_ok(), self.model.state == CloseState::Open);
    }
}

#[test]
fn s7_1_every_order_of_closing_events_matches_the_model() {
    let config =
        Config::new().ping_interval(None).close_timeout(Some(TIMEOUT)).end_timeout(Some(END_TIMEOUT)).into();
    for role in [Role::Server, Role::Client] {
        for number in 0..9_usize.pow(DEPTH) {
            let order = (0..DEPTH).map(|place| ALL[number / 9_usize.pow(place) % 9]);
            let mut bench = Bench::new(role, &config);
            let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                order.clone().for_each(|what| bench.step(what));
            }));
            assert!(caught.is_ok(), "{role:?}: {:?}", order.collect::<Vec<_>>());
        }
    }
}
