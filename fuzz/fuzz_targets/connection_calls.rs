//! A fuzz target: any calls of a connection, in any order and at any time.
//!
//! The output must consist of valid frames in order. The frames must contain every accepted message, unless the
//! connection reports dropped messages. The connection must end exactly once, and heap memory must be bounded. After
//! `handle_timeout` the same deadline must not be due again.
#![no_main]

use arbitrary::Arbitrary;
use hybi::frame::{Opcode, Role};
use hybi::handshake::DeflateParams;
use hybi::{
    CloseCode, Config, Connection, Event, Input, Instant, Message, MessageKind, Outbox, Prepared, ReadyState,
    SendError, SendOptions, SharedConfig, SliceOutbox, VecMessage, WriteQueue,
};
use hybi_fuzz::memory::Meter;
use hybi_fuzz::model::Model;
use hybi_fuzz::script::Script;
use hybi_fuzz::support::drive::{Events, Seen, machine};
use hybi_fuzz::support::wire;
use hybi_fuzz::{bit, deflate_params, role};
use libfuzzer_sys::fuzz_target;
use std::time::Duration;

const KIB: usize = 1 << 10;
/// First bytes of frames. The script chooses one of these bytes, or any other byte.
const FIRST: [u8; 12] = [0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x88, 0x89, 0x8A, 0xC1, 0xC2, 0x41];
/// Close codes; 0 stands for a Close without a code. The script chooses one of these codes, or any other code.
const CODES: [u16; 8] = [0, 1000, 1001, 1005, 1010, 1011, 1012, 3000];

#[derive(Arbitrary, Debug)]
struct Case<'a> {
    /// Chooses the role, the type of output memory, and the timers.
    choice: u8,
    deflate: u8,
    limits: u8,
    calls: &'a [u8],
}

fuzz_target!(|case: Case<'_>| {
    let (role, deflate) = (role(bit(case.choice, 0)), deflate_params(case.deflate));
    let seconds = |n: u32, seconds| bit(case.choice, n).then_some(Duration::from_secs(seconds));
    let config: SharedConfig = Config::new()
        .max_message([64 << 10, 300][usize::from(case.limits & 1)])
        .max_fragments([1 << 16, 3][usize::from(case.limits >> 1 & 1)])
        .high_water([64 << 10, 1000, 100, 1][usize::from(case.limits >> 2 & 3)])
        .auto_pong(!bit(case.limits, 4))
        .ping_interval(seconds(3, 30))
        .pong_timeout(seconds(4, 10))
        .close_timeout(seconds(5, 5))
        .idle_timeout(seconds(6, 60))
        .into();
    let script = Script(case.calls);
    if bit(case.choice, 1) {
        let mut memory =
            vec![0; [0, 130, 145, 300, 1000, 6000, 20_000, 70_000][usize::from(case.limits >> 5)]];
        let mut control = [0; 508];
        let connection =
            machine(role, &config, SliceOutbox::new(&mut memory, &mut control)).with_deflate(deflate);
        Run::new(connection, deflate).all(script);
    } else {
        let connection: Connection = machine(role, &config, Outbox::new()).with_deflate(deflate);
        Run::new(connection, deflate).all(script);
    }
});

/// Operations that exist only for some types of output memory.
trait Memory: WriteQueue + Sized {
    fn send(
        connection: &mut Connection<Self>,
        message: Message,
        options: SendOptions,
        prepared: bool,
    ) -> Result<(), SendError>;

    /// Takes the memory of the write queue out of the connection and puts it back, if the kind of memory allows it.
    fn pass_around(_: &mut Connection<Self>) {}

    /// Reads bytes of `data` directly into the message, and returns their number. The last argument is the number of
    /// bytes that were not read, but are also reported to the connection as read.
    fn land(_: &mut Connection<Self>, _: &mut VecMessage, _: &[u8], _: usize) -> usize {
        0
    }
}

impl Memory for SliceOutbox<'_> {
    fn send(
        connection: &mut Connection<Self>,
        message: Message,
        options: SendOptions,
        _: bool,
    ) -> Result<(), SendError> {
        match message {
            // While a fragmented message is open, `send_fragment_with` would continue that message instead of being
            // refused. In this state the caller passes the default options, so `send_text` or `send_binary` is called.
            Message::Text(text) if options.compress => connection.send_text(&text),
            Message::Binary(data) if options.compress => connection.send_binary(&data),
            Message::Text(text) => {
                connection.send_fragment_with(MessageKind::Text, text.as_bytes(), true, options)
            }
            Message::Binary(data) => connection.send_fragment_with(MessageKind::Binary, &data, true, options),
        }
    }
}

impl Memory for Outbox {
    fn send(
        connection: &mut Connection<Self>,
        message: Message,
        options: SendOptions,
        prepared: bool,
    ) -> Result<(), SendError> {
        if prepared {
            return connection.send_prepared(&Prepared::with_options(message, options));
        }
        connection.send_with(message.clone(), options).map_err(|refused| {
            assert_eq!(refused.message, message, "a refused message must be returned unchanged");
            refused.error
        })
    }

    fn pass_around(connection: &mut Connection<Self>) {
        if let Some(memory) = connection.take_queue_memory() {
            connection.reuse_queue_memory(memory);
        }
    }

    fn land(connection: &mut Connection, message: &mut VecMessage, data: &[u8], more: usize) -> usize {
        let space = connection.payload_space(message);
        let len = space.len().min(data.len());
        space[..len].copy_from_slice(&data[..len]);
        connection.handle_payload(message, len + more);
        len
    }
}

struct Run<O> {
    connection: Connection<O>,
    deflate: Option<DeflateParams>,
    message: VecMessage,
    meter: Meter,
    now: Instant,
    /// All bytes that were written.
    wire: Vec<u8>,
    /// Accepted messages in order.
    accepted: Vec<Seen>,
    /// The fragmented message that is not finished.
    open: Option<(MessageKind, Vec<u8>)>,
    /// Options of the next owned message or fragment.
    options: SendOptions,
    /// Payloads that a Pong may have.
    pongs: Vec<Vec<u8>>,
    fed: usize,
    largest: usize,
    failed: bool,
    closed: bool,
}

impl<O: Memory> Run<O> {
    fn new(connection: Connection<O>, deflate: Option<DeflateParams>) -> Self {
        Self {
            connection,
            deflate,
            message: VecMessage::new(),
            meter: Meter::default(),
            now: Instant::ZERO,
            wire: Vec::new(),
            accepted: Vec::new(),
            open: None,
            options: SendOptions::new(),
            pongs: Vec::new(),
            fed: 0,
            largest: 0,
            failed: false,
            closed: false,
        }
    }

    fn all(mut self, mut script: Script<'_>) {
        let mut state = self.state();
        while let Some(call) = script.step() {
            self.call(call, &mut script);
            let next = self.state();
            assert!(next >= state, "the ready state went back from {state} to {next}");
            state = next;
            self.check_heap();
        }
        self.write(usize::MAX, 64);
        self.check_output();
        // After any calls, the connection must end when the stream ends.
        self.connection.handle_eof();
        self.feed(Vec::new());
        assert!(self.closed);
    }

    fn call(&mut self, call: u8, script: &mut Script<'_>) {
        let Self { connection, meter, .. } = self;
        match call % 20 {
            0 => self.feed(script.bytes().to_vec()),
            1 | 2 => {
                let (first, data) = (script.byte(), script.data());
                let first = FIRST.get(usize::from(first)).copied().unwrap_or(first);
                let key = (self.connection.role() == Role::Server).then_some([call, first, 7, 9]);
                self.feed(wire::encode(first, &data, key));
            }
            3 => {
                let text = script.text();
                let sent = meter.run(|| connection.send_text(&text));
                self.sent(sent, Seen::Text(text));
            }
            4 => {
                let data = script.data();
                let sent = meter.run(|| connection.send_binary(&data));
                self.sent(sent, Seen::Binary(data));
            }
            5 | 6 => {
                let prepared = call % 20 == 6;
                let seen = match script.byte() & 1 {
                    0 => Seen::Binary(script.data()),
                    _ => Seen::Text(script.text()),
                };
                let mut options = SendOptions::new();
                if self.open.is_none() {
                    options = core::mem::take(&mut self.options);
                }
                let sent = meter.run(|| O::send(connection, message(&seen), options, prepared));
                self.sent(sent, seen);
            }
            7 | 8 => self.fragment(script),
            9 => {
                let payload = script.bytes();
                let sent = meter.run(|| connection.ping(self.now, payload));
                assert_eq!(sent == Err(SendError::ControlTooLong), payload.len() > 125 && self.is_open());
            }
            10 => {
                let payload = script.bytes();
                if meter.run(|| connection.pong(payload)).is_ok() {
                    self.pongs.push(payload.to_vec());
                }
            }
            11 => {
                let (code, reason) = (script.number(), script.text());
                let code = CODES.get(usize::from(code)).copied().unwrap_or(code);
                let code = (code > 0).then_some(CloseCode::new(code));
                let was_open = connection.ready_state() == ReadyState::Open;
                let closed = meter.run(|| connection.close(self.now, code, &reason));
                assert!(was_open || closed.is_err());
                assert_eq!(was_open && closed.is_err(), self.is_open());
            }
            12 => {
                let (most, slices) = (usize::from(script.number()), usize::from(script.byte() % 8));
                self.write(most, slices);
            }
            13 => self.write(usize::MAX, 64),
            14 => {
                // Move to the next deadline, or one nanosecond before it.
                if let Some(at) = connection.poll_timeout() {
                    let early = Duration::from_nanos(u64::from(script.byte() & 1));
                    self.now = Instant::from_origin(at.since_origin().saturating_sub(early));
                }
                self.time();
            }
            15 => {
                // Move to any time. It may be earlier than the current time.
                let at = u64::from(script.number()) << (script.byte() % 49);
                self.now = Instant::from_origin(Duration::from_nanos(at));
                self.time();
            }
            16 => {
                connection.handle_eof();
                self.feed(Vec::new());
            }
            17 => connection.handle_half_closed(),
            18 => match script.byte() % 5 {
                0 => meter.run(|| connection.release_idle()),
                1 => meter.run(|| connection.release_compression()),
                2 => meter.run(|| self.message.release_idle()),
                3 => meter.run(|| O::pass_around(connection)),
                _ => self.options = SendOptions::new().compress(false),
            },
            _ => {
                let (data, more) = (script.data(), usize::from(script.byte() & 1));
                self.fed += meter.run(|| O::land(connection, &mut self.message, &data, more));
                self.feed(Vec::new());
            }
        }
    }

    fn is_open(&self) -> bool {
        self.connection.ready_state() == ReadyState::Open
    }

    fn state(&self) -> u8 {
        match self.connection.ready_state() {
            ReadyState::Open => 0,
            ReadyState::Closing => 1,
            ReadyState::Closed => 2,
        }
    }

    fn fragment(&mut self, script: &mut Script<'_>) {
        let choice = script.byte();
        let kind = if bit(choice, 0) { MessageKind::Text } else { MessageKind::Binary };
        let mut data = script.data();
        if kind == MessageKind::Text {
            data.iter_mut().for_each(|byte| *byte &= 0x7F);
        }
        let (connection, fin) = (&mut self.connection, bit(choice, 1));
        let options = core::mem::take(&mut self.options);
        let sent = self.meter.run(|| connection.send_fragment_with(kind, &data, fin, options));
        self.largest = self.largest.max(data.len());
        if sent.is_err() {
            return;
        }
        let (begun_as, all) = self.open.get_or_insert((kind, Vec::new()));
        assert_eq!(*begun_as, kind);
        all.extend(data);
        if fin {
            let all = std::mem::take(all);
            self.open = None;
            self.accepted.push(match kind {
                MessageKind::Text => Seen::Text(String::from_utf8(all).unwrap()),
                MessageKind::Binary => Seen::Binary(all),
            });
        }
    }

    fn sent(&mut self, sent: Result<(), SendError>, message: Seen) {
        self.largest = self.largest.max(match &message {
            Seen::Text(text) => text.len(),
            Seen::Binary(data) => data.len(),
            _ => 0,
        });
        match sent {
            Ok(()) => {
                assert!(self.open.is_none() && self.is_open());
                self.accepted.push(message);
            }
            Err(SendError::Closed) => assert!(!self.is_open()),
            Err(SendError::MessageOpen) => assert!(self.open.is_some()),
            Err(SendError::Blocked | SendError::TooLarge) => assert!(self.is_open()),
            Err(error) => panic!("{error}"),
        }
    }

    fn feed(&mut self, mut bytes: Vec<u8>) {
        self.fed += bytes.len();
        let most = bytes.len() + 70_000;
        let mut input = Input::new(&mut bytes, &mut self.message);
        for _ in 0..most {
            let connection = &mut self.connection;
            let event = match self.meter.run(|| connection.poll_event(self.now, &mut input)) {
                Ok(None) => return assert_eq!(input.remaining(), 0),
                Err(_) => {
                    assert!(!self.failed && !self.closed);
                    self.failed = true;
                    continue;
                }
                Ok(Some(event)) => event,
            };
            assert!(!self.closed, "{event:?} after the last event");
            match event {
                Event::Closed(_) => self.closed = true,
                Event::Writable => {}
                event => {
                    assert!(!self.failed, "{event:?} after an error");
                    if let Event::Ping(payload) = event {
                        self.pongs.push(payload.to_vec());
                    }
                }
            }
        }
        panic!("the connection returns events without end");
    }

    /// Calls `handle_timeout` at the current time.
    fn time(&mut self) {
        let (connection, now) = (&mut self.connection, self.now);
        self.meter.run(|| connection.handle_timeout(now));
        assert!(connection.poll_timeout().is_none_or(|next| next > now));
        self.feed(Vec::new());
    }

    /// Writes at most `most` bytes, from at most `slices` slices.
    fn write(&mut self, most: usize, slices: usize) {
        let mut place = [&[][..]; 64];
        let all = self.connection.poll_transmit(&mut place);
        let waits: usize = place[..all].iter().map(|slice| slice.len()).sum();
        let buffered = self.connection.buffered_amount();
        assert!(if all < place.len() { waits == buffered } else { waits <= buffered });
        let few = self.connection.poll_transmit(&mut place[..slices]);
        let mut bytes = place[..few].concat();
        bytes.truncate(most);
        let (connection, now) = (&mut self.connection, self.now);
        self.meter.run(|| connection.transmitted(now, bytes.len()));
        assert_eq!(connection.buffered_amount(), buffered - bytes.len());
        self.wire.extend(bytes);
        if most == usize::MAX && self.connection.buffered_amount() > 0 && slices > 0 {
            self.write(most, slices);
        }
    }

    /// Checks that the written bytes are frames of this role, and that the frames contain the accepted messages.
    fn check_output(&self) {
        let model = Model::new(self.connection.role().peer()).with_deflate(self.deflate);
        let (frames, in_header, error) = model.frames(&self.wire);
        assert_eq!(error, None);
        let close = frames.iter().position(|frame| frame.header.opcode == Opcode::Close);
        assert!(close.is_none_or(|at| at + 1 == frames.len()), "a frame follows a Close");
        let ended = self.connection.ready_state() == ReadyState::Closed;
        let whole = !in_header && frames.last().is_none_or(|frame| frame.is_whole());
        assert!(whole || ended);

        let received = model.receive(&self.wire);
        let mut messages = Events::default();
        for seen in received.events.iter() {
            match seen {
                Seen::Pong(payload) => assert!(self.pongs.contains(payload)),
                Seen::Text(_) | Seen::Binary(_) => messages.push(seen.clone(), 1),
                Seen::Ping(_) | Seen::Close(..) => {}
            }
        }
        let messages: Vec<_> = messages.iter().collect();
        let accepted: Vec<_> = self.accepted.iter().collect();
        assert!(accepted.starts_with(&messages), "{messages:?} of {accepted:?}");
        if self.connection.sender().dropped() == 0 && !received.is_open {
            assert_eq!(messages, accepted);
        }
    }

    /// Checks that heap memory stays in proportion to the bytes that have arrived and to the write queue. The memory of
    /// compression is added to the bound.
    fn check_heap(&self) {
        let compression = if self.deflate.is_some() { 484 + 96 + 3 * 64 } else { 0 };
        let queue = 64 * KIB + 2 * self.largest;
        self.meter.assert_within(2 * self.fed + 3 * queue + (24 + 2 * compression) * KIB);
    }
}

/// Returns an owned message.
fn message(seen: &Seen) -> Message {
    match seen {
        Seen::Text(text) => text.clone().into(),
        Seen::Binary(data) => data.clone().into(),
        _ => panic!("{seen:?} is not a message"),
    }
}
