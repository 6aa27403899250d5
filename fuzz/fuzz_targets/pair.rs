//! A fuzz target: two connections over a pipe that delays, cuts, merges, stalls and dies. Every message must arrive
//! intact and in order, or one endpoint must report the reason.
//!
//! The script decides which endpoint sends, reads or writes, and when time passes. Heap memory of both endpoints must
//! stay bounded. `tests/simulation/` does the same with random applications instead of a script.
#![no_main]

use std::collections::VecDeque;
use std::time::Duration;

use arbitrary::Arbitrary;
use hybi::frame::Role;
use hybi::{
    CloseCode, Config, Connection, Delivery, Event, Inbox, Instant, MessageKind, Outbox, Outcome, SendError,
    SharedConfig, TransportAction,
};
use hybi_fuzz::memory::Meter;
use hybi_fuzz::script::Script;
use hybi_fuzz::support::drive::{Seen, machine};
use hybi_fuzz::{bit, deflate_params};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Case<'a> {
    /// Chooses the delivery and the timers.
    choice: u8,
    deflate: u8,
    limits: u8,
    steps: &'a [u8],
}

fuzz_target!(|case: Case<'_>| {
    let deflate = deflate_params(case.deflate);
    let config = |client: u32| {
        let chunks = bit(case.choice, client);
        let config: SharedConfig = Config::new()
            .delivery(if chunks { Delivery::Chunks } else { Delivery::Whole })
            .high_water([64 << 10, 3000, 100, 1][usize::from(case.limits >> 2 & 3)])
            .ping_interval(bit(case.choice, 2).then_some(Duration::from_secs(30)))
            .pong_timeout(bit(case.choice, 3).then_some(Duration::from_secs(10)))
            .idle_timeout(bit(case.choice, 4).then_some(Duration::from_secs(90)))
            .close_timeout(Some(Duration::from_secs(5)))
            .into();
        config
    };
    let end = |role, client| End::new(machine(role, &config(client), Outbox::new()).with_deflate(deflate));
    let mut pair = Pair { ends: [end(Role::Client, 0), end(Role::Server, 1)], now: Instant::ZERO };
    let mut script = Script(case.steps);
    while let Some(step) = script.step() {
        pair.step(step, &mut script);
    }
    pair.finish(bit(case.choice, 5));
});

/// A connection, the bytes in flight to it, and its messages.
struct End {
    connection: Connection,
    inbox: Inbox,
    meter: Meter,
    /// Bytes in flight to this endpoint.
    pipe: VecDeque<u8>,
    /// Whether the peer has closed its sending direction, or the pipe is dead.
    pipe_ended: bool,
    eof_handled: bool,
    /// Messages of this endpoint that were accepted.
    sent: Vec<Seen>,
    /// The fragmented message of this endpoint that is not finished.
    open: Option<(MessageKind, Vec<u8>)>,
    /// Received messages.
    received: Vec<Seen>,
    /// The received part of a message that arrives in chunks.
    chunks: Vec<u8>,
    /// Length of the longest message or fragment that was passed to the connection.
    most: usize,
    outcome: Option<Outcome>,
}

impl End {
    fn new(connection: Connection) -> Self {
        Self {
            connection,
            inbox: Inbox::empty(),
            meter: Meter::default(),
            pipe: VecDeque::new(),
            pipe_ended: false,
            eof_handled: false,
            sent: Vec::new(),
            open: None,
            received: Vec::new(),
            chunks: Vec::new(),
            most: 0,
            outcome: None,
        }
    }

    /// Reads at most `most` bytes, in pieces of at most `size`.
    fn read(&mut self, now: Instant, most: usize, size: usize) -> bool {
        let mut left = most.min(self.pipe.len());
        let busy = left > 0;
        while left > 0 {
            let space = self.meter.run(|| self.connection.read_space(&mut self.inbox));
            let len = space.len().min(left).min(size.max(1));
            space.iter_mut().zip(self.pipe.drain(..len)).for_each(|(to, byte)| *to = byte);
            self.inbox.handle_read(len);
            left -= len;
            self.poll(now);
        }
        if self.pipe.is_empty() && self.pipe_ended && !self.eof_handled {
            self.eof_handled = true;
            self.connection.handle_eof();
            self.poll(now);
            return true;
        }
        busy
    }

    fn poll(&mut self, now: Instant) {
        for _ in 0..100_000 {
            let Self { connection, inbox, .. } = self;
            let event = match self.meter.run(|| connection.poll_event(now, inbox)) {
                Ok(Some(event)) => event,
                Ok(None) => return,
                Err(error) => panic!("a connection refused the frames of the other one: {error}"),
            };
            assert_eq!(self.outcome, None, "{event:?} after the last event");
            match event {
                Event::Text(text) => self.received.push(Seen::Text(text.to_owned())),
                Event::Binary(data) => self.received.push(Seen::Binary(data.to_vec())),
                Event::Chunk { kind, data, first, fin } => {
                    assert!(!first || self.chunks.is_empty());
                    self.chunks.extend_from_slice(data);
                    if fin {
                        let data = std::mem::take(&mut self.chunks);
                        self.received.push(match kind {
                            MessageKind::Text => Seen::Text(
                                String::from_utf8(data).expect("the chunks of a text must form valid text"),
                            ),
                            MessageKind::Binary => Seen::Binary(data),
                        });
                    }
                }
                Event::Closed(outcome) => self.outcome = Some(outcome),
                _ => {}
            }
        }
        panic!("the connection returns events without end");
    }

    fn send(&mut self, message: Seen) {
        let connection = &mut self.connection;
        let (len, sent) = match &message {
            Seen::Text(text) => (text.len(), self.meter.run(|| connection.send_text(text))),
            Seen::Binary(data) => (
                data.len(),
                self.meter.run(|| connection.send(data.clone()).map_err(|refused| refused.error)),
            ),
            _ => return,
        };
        self.most = self.most.max(len);
        match sent {
            Ok(()) => self.sent.push(message),
            Err(SendError::Blocked | SendError::Closed | SendError::MessageOpen) => {}
            Err(error) => panic!("{error}"),
        }
    }

    fn fragment(&mut self, kind: MessageKind, mut data: Vec<u8>, fin: bool) {
        // Change the text to ASCII, so that it may be cut anywhere.
        if kind == MessageKind::Text {
            data.iter_mut().for_each(|byte| *byte &= 0x7F);
        }
        self.most = self.most.max(data.len());
        let connection = &mut self.connection;
        if self.meter.run(|| connection.send_fragment(kind, &data, fin)).is_err() {
            return;
        }
        let (_, all) = self.open.get_or_insert((kind, Vec::new()));
        all.extend(data);
        if fin {
            let all = std::mem::take(all);
            self.open = None;
            self.sent.push(match kind {
                MessageKind::Text => Seen::Text(String::from_utf8(all).unwrap()),
                MessageKind::Binary => Seen::Binary(all),
            });
        }
    }
}

struct Pair {
    /// The client and the server.
    ends: [End; 2],
    now: Instant,
}

impl Pair {
    /// Returns the endpoint that acts, and its peer.
    fn of(&mut self, step: u8) -> (&mut End, &mut End) {
        let [client, server] = &mut self.ends;
        if bit(step, 7) { (server, client) } else { (client, server) }
    }

    fn step(&mut self, step: u8, script: &mut Script<'_>) {
        let now = self.now;
        match step & 15 {
            0 | 1 => self.of(step).0.send(Seen::Text(script.text())),
            2 => self.of(step).0.send(Seen::Binary(script.data())),
            3 => {
                let kind = if bit(step, 4) { MessageKind::Text } else { MessageKind::Binary };
                self.of(step).0.fragment(kind, script.data(), bit(step, 5));
            }
            4 => {
                let _ = self.of(step).0.connection.ping(now, script.bytes());
            }
            5 => {
                let code = CloseCode::new(1000 + script.number() % 2);
                let _ = self.of(step).0.connection.close(now, code, "a reason");
            }
            6 | 7 => {
                self.write(step, script.number().into());
            }
            8 | 9 => {
                let (most, size) = (script.number().into(), script.byte().into());
                self.of(step).0.read(now, most, size);
            }
            10 => self.both(),
            11 => self.time(Duration::from_millis(script.number().into())),
            12 => self.next_deadline(),
            // One direction of the pipe dies, and some of the bytes in flight are lost.
            13 if bit(step, 4) && bit(step, 5) => {
                let end = self.of(step).0;
                let lost = usize::from(script.number()).min(end.pipe.len());
                end.pipe.truncate(end.pipe.len() - lost);
                end.pipe_ended = true;
            }
            14 => {
                let end = self.of(step).0;
                end.connection.release_idle();
                end.connection.release_compression();
                end.inbox.release_idle();
            }
            _ => {
                self.write(step, usize::MAX);
            }
        }
        for end in &self.ends {
            // The bound covers the write queue, the partial message, and the memory of compression.
            let bound =
                6 * end.most + 3 * (64 << 10) + 8 * self.ends.iter().map(|end| end.most).max().unwrap_or(0);
            end.meter.assert_within(bound + (1200 << 10));
        }
    }

    /// Moves at most `most` bytes of the queue into the pipe. Then closes the pipe if the connection asks for it.
    fn write(&mut self, step: u8, most: usize) -> bool {
        let now = self.now;
        let (end, other) = self.of(step);
        let mut slices = [&[][..]; 16];
        let count = end.connection.poll_transmit(&mut slices);
        let mut bytes = slices[..count].concat();
        bytes.truncate(most);
        end.connection.transmitted(now, bytes.len());
        let mut busy = !bytes.is_empty();
        if !other.pipe_ended {
            other.pipe.extend(bytes);
        }
        match end.connection.poll_transport() {
            Some(TransportAction::HalfClose) => {
                assert_eq!(end.connection.buffered_amount(), 0);
                other.pipe_ended = true;
                end.connection.handle_half_closed();
                busy = true;
            }
            Some(TransportAction::Close | TransportAction::Abort) => {
                busy |= !other.pipe_ended;
                other.pipe_ended = true;
            }
            _ => {}
        }
        busy
    }

    /// Lets both endpoints read and write until nothing is left to do.
    fn both(&mut self) {
        for _ in 0..1000 {
            let now = self.now;
            let mut busy = self.write(0, usize::MAX) | self.write(0x80, usize::MAX);
            for end in &mut self.ends {
                busy |= end.read(now, usize::MAX, usize::MAX);
            }
            if !busy {
                return;
            }
        }
        panic!("the two connections exchange bytes without end");
    }

    fn time(&mut self, by: Duration) {
        self.now = self.now + by;
        for end in &mut self.ends {
            end.connection.handle_timeout(self.now);
            assert!(end.connection.poll_timeout().is_none_or(|next| next > self.now));
            end.poll(self.now);
        }
    }

    fn next_deadline(&mut self) {
        let deadlines = self.ends.iter().filter_map(|end| end.connection.poll_timeout());
        if let Some(next) = deadlines.min() {
            self.time(next.saturating_duration_since(self.now));
        }
    }

    /// Runs both connections until they end, over a pipe that works from now on. Checks that every message has arrived,
    /// or that the reason is known.
    fn finish(mut self, close: bool) {
        let was_dead = self.ends.iter().any(|end| end.pipe_ended && end.outcome.is_none());
        self.both();
        if close {
            let _ = self.ends[0].connection.close(self.now, CloseCode::NORMAL, "");
        }
        for _ in 0..20 {
            self.both();
            if self.ends.iter().all(|end| end.outcome.is_some()) {
                break;
            }
            self.next_deadline();
        }
        let [client, server] = &self.ends;
        check_arrival(client, server);
        check_arrival(server, client);
        if close && !was_dead {
            assert!(client.outcome.is_some() && server.outcome.is_some());
        }
    }
}

/// Checks that one endpoint has received all messages of the other, or that the reason for missing messages is known.
fn check_arrival(from: &End, to: &End) {
    assert!(from.sent.starts_with(&to.received), "received {:?}, sent {:?}", to.received, from.sent);
    let all_arrived = from.sent.len() == to.received.len();
    let said = from.connection.sender().dropped() > 0
        || !matches!(from.outcome, None | Some(Outcome::Clean { .. }))
        || !matches!(to.outcome, None | Some(Outcome::Clean { .. }));
    assert!(
        all_arrived || said,
        "{:?} of {:?}: {:?}, {:?}",
        to.received,
        from.sent,
        from.outcome,
        to.outcome
    );
}
