//! Properties of whole streams: any split of the input gives the same result.
//!
//! A stream consists of random messages in random fragments, with control frames between them. It may end with a
//! Close or with one violation of the protocol. These tests compare events, errors and output across splits,
//! deliveries, memories and roles.

use hybi::frame::Role;
use hybi::{
    CloseCode, Config, Connection, Delivery, Event, Inbox, Instant, Message, MessageKind, Outbox, Prepared,
    ProtocolError, ReadyState, SendError, SharedConfig, VecMessage,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::support::cuts::{Cuts, Xorshift};
use crate::support::drive::{
    Drain, Echo, Events, Form, Habits, Landing, Quiet, Run, Seen, drive, drive_lent, machine,
};
use crate::support::wire;

const MAX_FRAME: u64 = 40_000;
const MAX_MESSAGE: u64 = 60_000;
const MAX_FRAGMENTS: u32 = 10;

// --- streams ---

#[derive(Clone, Debug)]
struct Stream {
    /// The role of the receiver.
    role: Role,
    items: Vec<Item>,
    end: End,
    /// Seed of the masking keys.
    seed: u64,
}

#[derive(Clone, Debug)]
enum Item {
    Control(Control),
    /// A message, and the places at which it is cut into fragments. Each place has the control frames that are sent
    /// there.
    Message(Seen, Vec<(Index, Vec<Control>)>),
}

#[derive(Clone, Debug)]
enum Control {
    Ping(Vec<u8>),
    Pong(Vec<u8>),
}

#[derive(Clone, Debug)]
enum End {
    /// The stream continues.
    Open,
    /// The stream ends inside a frame that announces this many bytes.
    InsideFrame(u16),
    Close(Option<(u16, String)>),
    Violation(Violation),
}

/// The violations of the protocol. They cause each `ProtocolError` except `NotAFrame`, `InvalidDeflate` and
/// `TextNotAccepted`.
#[derive(Clone, Copy, Debug)]
enum Violation {
    ReservedBits,
    UnknownOpcode,
    WrongMasking,
    /// The length has 16 bits (64 bits in the next variant) although a shorter form exists.
    Length16NotMinimal,
    Length64NotMinimal,
    LengthTopBit,
    ControlFragmented,
    ControlTooLong,
    NothingToContinue,
    MessageInterleaved,
    TextInvalid,
    TextCutOff,
    CloseBodyOfOneByte,
    CloseCodeNotAllowed,
    CloseReasonNotUtf8,
    FrameTooBig,
    MessageTooBig,
    TooManyFragments,
}

const VIOLATIONS: [Violation; 18] = [
    Violation::ReservedBits,
    Violation::UnknownOpcode,
    Violation::WrongMasking,
    Violation::Length16NotMinimal,
    Violation::Length64NotMinimal,
    Violation::LengthTopBit,
    Violation::ControlFragmented,
    Violation::ControlTooLong,
    Violation::NothingToContinue,
    Violation::MessageInterleaved,
    Violation::TextInvalid,
    Violation::TextCutOff,
    Violation::CloseBodyOfOneByte,
    Violation::CloseCodeNotAllowed,
    Violation::CloseReasonNotUtf8,
    Violation::FrameTooBig,
    Violation::MessageTooBig,
    Violation::TooManyFragments,
];

fn streams() -> impl Strategy<Value = Stream> {
    streams_that_end(end())
}

fn violations() -> impl Strategy<Value = Stream> {
    streams_that_end(violation())
}

fn streams_that_end(end: impl Strategy<Value = End>) -> impl Strategy<Value = Stream> {
    let role = prop_oneof![Just(Role::Client), Just(Role::Server)];
    let parts = (role, vec(item(), 0..8), end, any::<u64>());
    parts.prop_map(|(role, items, end, seed)| Stream { role, items, end, seed })
}

fn item() -> impl Strategy<Value = Item> {
    let cuts = vec((any::<Index>(), vec(control(), 0..3)), 0..5);
    prop_oneof![
        1 => control().prop_map(Item::Control),
        3 => (message(), cuts).prop_map(|(message, cuts)| Item::Message(message, cuts)),
    ]
}

/// Generates text with code points of one to four bytes, and binary data. The lengths are on both sides of 125 bytes,
/// above which the frame header is longer. Some messages are so long that they are read directly into the message
/// buffer.
fn message() -> impl Strategy<Value = Seen> {
    prop_oneof![
        8 => vec(any::<char>(), 0..40).prop_map(|text| Seen::Text(text.into_iter().collect())),
        2 => "[aä€🦀]{0,200}".prop_map(Seen::Text),
        4 => vec(any::<u8>(), 0..150).prop_map(Seen::Binary),
        1 => (300..40_000_usize, any::<u8>()).prop_map(|(len, byte)| Seen::Binary(vec![byte; len])),
        1 => (300..13_000_usize).prop_map(|len| Seen::Text("é€".repeat(len / 2))),
    ]
}

fn control() -> impl Strategy<Value = Control> {
    let payload = || prop_oneof![vec(any::<u8>(), 0..8), vec(any::<u8>(), 0..=125)];
    prop_oneof![payload().prop_map(Control::Ping), payload().prop_map(Control::Pong)]
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![Just(End::Open), (0..300_u16).prop_map(End::InsideFrame), close(), violation()]
}

fn close() -> impl Strategy<Value = End> {
    let code = prop_oneof![1000..=1003_u16, 1007..=1014_u16, 3000..=4999_u16];
    proptest::option::of((code, "[a-zäß€]{0,40}")).prop_map(End::Close)
}

fn violation() -> impl Strategy<Value = End> {
    select(&VIOLATIONS[..]).prop_map(End::Violation)
}

impl Stream {
    fn encode(&self) -> Vec<u8> {
        self.encode_and_mark().0
    }

    /// Returns the bytes, and the position after the byte that shows a violation.
    fn encode_and_mark(&self) -> (Vec<u8>, Option<usize>) {
        let mut mark = None;
        let mut out = Encoder { bytes: Vec::new(), role: self.role, random: Xorshift::new(self.seed) };
        for item in &self.items {
            match item {
                Item::Control(control) => out.control(control),
                Item::Message(message, cuts) => out.message(message, cuts),
            }
        }
        match &self.end {
            End::Open => {}
            End::InsideFrame(len) => {
                let mut frame = out.one(wire::BINARY, &vec![0x2A; usize::from(*len) + 1]);
                frame.pop();
                out.bytes.append(&mut frame);
            }
            End::Close(body) => {
                out.frame(wire::CLOSE, &close_body(body.as_ref()));
                // Bytes after a Close are discarded.
                out.bytes.extend([0xFF; 9]);
            }
            End::Violation(violation) => {
                mark = Some(out.violation(*violation));
                out.frame(wire::TEXT, b"not to be seen");
            }
        }
        (out.bytes, mark)
    }

    /// Returns the expected events with whole delivery.
    fn events(&self) -> Events {
        let mut events = Events::default();
        for item in &self.items {
            match item {
                Item::Control(control) => events.push(control.seen(), 1),
                Item::Message(message, cuts) => {
                    for control in cuts.iter().flat_map(|(_, controls)| controls) {
                        events.push(control.seen(), 1);
                    }
                    events.push(message.clone(), 1);
                }
            }
        }
        if let End::Close(body) = &self.end {
            let (code, reason) = body.clone().unzip();
            events.push(Seen::Close(code, reason.unwrap_or_default()), 1);
        }
        events
    }

    fn error(&self) -> Option<ProtocolError> {
        let End::Violation(violation) = self.end else { return None };
        Some(match violation {
            Violation::ReservedBits => ProtocolError::ReservedBits(4),
            Violation::UnknownOpcode => ProtocolError::UnknownOpcode(3),
            Violation::WrongMasking if self.role == Role::Server => ProtocolError::NotMasked,
            Violation::WrongMasking => ProtocolError::Masked,
            Violation::Length16NotMinimal | Violation::Length64NotMinimal => ProtocolError::LengthNotMinimal,
            Violation::LengthTopBit => ProtocolError::LengthTopBit,
            Violation::ControlFragmented => ProtocolError::ControlFragmented,
            Violation::ControlTooLong => ProtocolError::ControlTooLong,
            Violation::NothingToContinue => ProtocolError::NothingToContinue,
            Violation::MessageInterleaved => ProtocolError::MessageInterleaved,
            Violation::TextInvalid | Violation::TextCutOff => ProtocolError::InvalidUtf8,
            Violation::CloseBodyOfOneByte => ProtocolError::CloseBodyOfOneByte,
            Violation::CloseCodeNotAllowed => ProtocolError::CloseCodeNotAllowed(1005),
            Violation::CloseReasonNotUtf8 => ProtocolError::CloseReasonNotUtf8,
            Violation::FrameTooBig => ProtocolError::FrameTooBig,
            Violation::MessageTooBig => ProtocolError::MessageTooBig,
            Violation::TooManyFragments => ProtocolError::TooManyFragments,
        })
    }

    /// Returns the first byte and payload of each expected frame of an application that echoes each message.
    fn answers(&self) -> Vec<(u8, Vec<u8>)> {
        let mut answers = Vec::new();
        for seen in self.events().iter() {
            match seen {
                Seen::Text(text) => answers.push((wire::TEXT, text.clone().into_bytes())),
                Seen::Binary(data) => answers.push((wire::BINARY, data.clone())),
                Seen::Ping(payload) => answers.push((wire::PONG, payload.clone())),
                Seen::Pong(_) => {}
                // RFC 6455 5.5.1: the answer echoes the code, and here also the reason.
                Seen::Close(code, reason) => {
                    answers.push((wire::CLOSE, close_body(code.map(|code| (code, reason.clone())).as_ref())));
                }
            }
        }
        answers
    }
}

impl Control {
    fn seen(&self) -> Seen {
        match self {
            Self::Ping(payload) => Seen::Ping(payload.clone()),
            Self::Pong(payload) => Seen::Pong(payload.clone()),
        }
    }
}

fn close_body(body: Option<&(u16, String)>) -> Vec<u8> {
    body.map_or(Vec::new(), |(code, reason)| [&code.to_be_bytes(), reason.as_bytes()].concat())
}

/// Encodes the frames of the peer.
struct Encoder {
    bytes: Vec<u8>,
    /// The role of the receiver.
    role: Role,
    random: Xorshift,
}

impl Encoder {
    fn key(&mut self) -> Option<[u8; 4]> {
        let [a, b, c, d, ..] = self.random.next().to_be_bytes();
        (self.role == Role::Server).then_some([a, b, c, d])
    }

    fn one(&mut self, first: u8, payload: &[u8]) -> Vec<u8> {
        wire::encode(first, payload, self.key())
    }

    fn frame(&mut self, first: u8, payload: &[u8]) {
        let mut frame = self.one(first, payload);
        self.bytes.append(&mut frame);
    }

    fn head(&mut self, first: u8, len: u64) {
        let key = self.key();
        self.bytes.extend(wire::head(first, len, key));
    }

    fn control(&mut self, control: &Control) {
        match control {
            Control::Ping(payload) => self.frame(wire::PING, payload),
            Control::Pong(payload) => self.frame(wire::PONG, payload),
        }
    }

    fn message(&mut self, message: &Seen, cuts: &[(Index, Vec<Control>)]) {
        let (opcode, payload) = match message {
            Seen::Text(text) => (1, text.as_bytes()),
            Seen::Binary(data) => (2, &data[..]),
            other => panic!("no message: {other:?}"),
        };
        let mut places: Vec<_> = cuts.iter().map(|(place, _)| place.index(payload.len() + 1)).collect();
        places.sort_unstable();
        let (mut start, mut first) = (0, opcode);
        for (place, (_, controls)) in places.into_iter().zip(cuts) {
            self.frame(first, &payload[start..place]);
            (start, first) = (place, 0);
            for control in controls {
                self.control(control);
            }
        }
        self.frame(first | 0x80, &payload[start..]);
    }

    /// Writes a violation. Returns the position after the byte that shows the violation.
    fn violation(&mut self, violation: Violation) -> usize {
        let head = if self.role == Role::Server { 6 } else { 2 };
        let begin = |out: &mut Self, first, payload: &[u8]| {
            out.frame(first, payload);
            out.bytes.len()
        };
        let at = self.bytes.len();
        match violation {
            Violation::ReservedBits => {
                self.frame(wire::TEXT | 0x40, b"bits");
                at + 1
            }
            Violation::UnknownOpcode => {
                self.frame(0x83, b"opcode");
                at + 1
            }
            Violation::WrongMasking => {
                let key = if self.key().is_some() { None } else { Some([1, 2, 3, 4]) };
                self.bytes.extend(wire::encode(wire::TEXT, b"masking", key));
                at + 2
            }
            Violation::Length16NotMinimal => {
                self.length(126, &[0, 125]);
                at + 4
            }
            Violation::Length64NotMinimal => {
                self.length(127, &0xFFFF_u64.to_be_bytes());
                at + 10
            }
            Violation::LengthTopBit => {
                self.length(127, &(1_u64 << 63 | 1).to_be_bytes());
                at + 3
            }
            Violation::ControlFragmented => {
                self.frame(0x09, b"part");
                at + 1
            }
            Violation::ControlTooLong => {
                self.frame(wire::PING, &[b'p'; 126]);
                at + 2
            }
            Violation::NothingToContinue => {
                self.frame(0x80, b"more");
                at + 1
            }
            Violation::MessageInterleaved => {
                let at = begin(self, 0x01, b"one");
                self.frame(wire::BINARY, b"another");
                at + 1
            }
            Violation::TextInvalid => {
                self.frame(wire::TEXT, b"text \xED\xA0\x80 surrogate");
                at + head + 7
            }
            Violation::TextCutOff => {
                let at = begin(self, 0x01, b"cut \xF0\x9F");
                self.frame(0x80, b"\xA6");
                at + head + 1
            }
            Violation::CloseBodyOfOneByte => {
                self.frame(wire::CLOSE, &[3]);
                at + 2
            }
            Violation::CloseCodeNotAllowed => {
                self.frame(wire::CLOSE, b"\x03\xEDnot allowed");
                at + head + 2
            }
            Violation::CloseReasonNotUtf8 => {
                self.frame(wire::CLOSE, b"\x03\xE8why \xFF not");
                at + head + 7
            }
            Violation::FrameTooBig => {
                self.head(wire::BINARY, MAX_FRAME + 1);
                self.bytes.len()
            }
            Violation::MessageTooBig => {
                self.frame(0x02, &vec![0; usize::try_from(MAX_FRAME).unwrap()]);
                self.head(0x80, MAX_MESSAGE - MAX_FRAME + 1);
                self.bytes.len()
            }
            Violation::TooManyFragments => {
                self.frame(0x01, b"f");
                for _ in 0..MAX_FRAGMENTS {
                    self.frame(0x00, b"");
                }
                self.bytes.len()
            }
        }
    }

    /// Writes a header with the 7-bit length `short` and the extended length `long`.
    fn length(&mut self, short: u8, long: &[u8]) {
        let key = self.key();
        self.bytes.extend([wire::BINARY, short | if key.is_some() { 0x80 } else { 0 }]);
        self.bytes.extend(long);
        self.bytes.extend(key.into_iter().flatten());
    }
}

// --- ways to receive a stream ---

fn config(delivery: Delivery) -> SharedConfig {
    Config::new()
        .max_frame(MAX_FRAME)
        .max_message(MAX_MESSAGE)
        .max_fragments(MAX_FRAGMENTS)
        .delivery(delivery)
        // With a limit, the places of the splits would decide which sends are refused as `Blocked`.
        .high_water(usize::MAX)
        .into()
}

fn receive(
    role: Role,
    input: &[u8],
    cuts: &Cuts,
    (form, drain): (Form, Drain),
    habits: &mut impl Habits<Outbox, VecMessage>,
) -> Result<Run, String> {
    let delivery = if form == Form::Chunks { Delivery::Chunks } else { Delivery::Whole };
    let mut connection = machine(role, &config(delivery), Outbox::new());
    drive(&mut connection, &mut VecMessage::new(), input, cuts, (form, drain), habits)
}

/// Receives `input` through an inbox, with reads and polls in random order. So the connection may read more input
/// before earlier events are polled.
pub fn through_inbox(
    role: Role,
    config: &SharedConfig,
    mut input: &[u8],
    seed: u64,
) -> (Events, Option<ProtocolError>) {
    let (mut random, mut inbox) = (Xorshift::new(seed), Inbox::empty());
    let mut connection = machine(role, config, Outbox::new());
    let (mut events, mut error) = (Events::default(), None);
    let most = [1, 20, 3000, 50_000][random.below(4)];
    loop {
        match random.below(5) {
            0 | 1 if !input.is_empty() => {
                let space = connection.read_space(&mut inbox);
                assert!(!space.is_empty(), "read_space is never empty");
                let len = space.len().min(1 + random.below(most)).min(input.len());
                space[..len].copy_from_slice(&input[..len]);
                input = &input[len..];
                inbox.handle_read(len);
            }
            2 if most > 20 => inbox.release_idle(),
            _ => match connection.poll(Instant::ZERO, &mut inbox) {
                Ok(Some(ready)) if random.below(2) == 0 => match inbox.take_message(ready) {
                    Some(Message::Text(text)) => events.push(Seen::Text(text.as_str().to_owned()), 1),
                    Some(Message::Binary(data)) => events.push(Seen::Binary(data.to_vec()), 1),
                    None => events.push(seen(inbox.event(ready)), 1),
                },
                Ok(Some(ready)) => events.push(seen(inbox.event(ready)), 1),
                Ok(None) if input.is_empty() => {
                    assert_eq!(inbox.remaining(), 0);
                    return (events, error);
                }
                Ok(None) => {}
                Err(found) => assert_eq!(error.replace(found), None),
            },
        }
    }
}

fn seen(event: Event<'_>) -> Seen {
    match event {
        Event::Text(text) => Seen::Text(text.to_owned()),
        Event::Binary(data) => Seen::Binary(data.to_vec()),
        Event::Ping(payload) => Seen::Ping(payload.to_vec()),
        Event::Pong(payload) => Seen::Pong(payload.to_vec()),
        Event::CloseReceived { code, reason } => Seen::Close(code.map(CloseCode::get), reason.to_owned()),
        event => panic!("{event:?}"),
    }
}

/// Returns the frames in `out`. Panics if their masking does not match the role.
fn sent(role: Role, out: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let frames = wire::decode(out).unwrap();
    assert!(frames.iter().all(|frame| frame.masked == (role == Role::Client)));
    frames.into_iter().map(|frame| (frame.first, frame.payload)).collect()
}

/// Returns whether a correct connection may produce this output if its writes are partial. Some Pongs may be missing,
/// and Pongs may overtake messages. If the stream ends with a Close or a violation, the last messages may be
/// missing.
fn may_be_sent(stream: &Stream, run: &Run) -> bool {
    let (mut sent, answers) = (sent(stream.role, &run.out), stream.answers());
    let ended = matches!(stream.end, End::Close(_) | End::Violation(_));
    let closed = sent.last().is_some_and(|(first, _)| *first == wire::CLOSE);
    sent.truncate(sent.len() - usize::from(closed));
    let of = |frames: &[(u8, Vec<u8>)], is_pong: bool| -> Vec<_> {
        let kind = |first: u8| first != wire::CLOSE && (first == wire::PONG) == is_pong;
        frames.iter().filter(|(first, _)| kind(*first)).cloned().collect()
    };
    let (pongs, data) = (of(&sent, true), of(&sent, false));
    let (all_pongs, all_data) = (of(&answers, true), of(&answers, false));
    let mut pings = all_pongs.iter();
    closed == ended
        && pongs.len() + data.len() == sent.len()
        && pongs.iter().all(|pong| pings.any(|ping| ping == pong))
        && all_data.starts_with(&data)
        && (ended || data.len() == all_data.len() && pongs.last() == all_pongs.last())
}

/// Returns two ways to split a stream: at random places, and at other random places or byte by byte.
fn two_cuts(seed: u64, len: usize) -> [Cuts; 2] {
    let mut random = Xorshift::new(seed);
    let first = Cuts::random(&mut random, len);
    let second = if random.below(4) == 0 { Cuts::EachByte } else { Cuts::random(&mut random, len) };
    [first, second]
}

/// An application that tries to send in eight ways after the peer has closed or has broken a rule.
#[derive(Debug, Default)]
struct Late {
    closed: bool,
}

impl Habits<Outbox, VecMessage> for Late {
    fn land(&mut self, connection: &mut Connection, _: &mut VecMessage, _: &[u8]) -> usize {
        self.closed |= connection.ready_state() != ReadyState::Open;
        if self.closed {
            let now = Instant::ZERO;
            let refused = [
                connection.send_text("late"),
                connection.send_binary(b"late"),
                connection.send_fragment(MessageKind::Text, b"late", false),
                connection.send_prepared(&Prepared::new("late")),
                connection.send("late").map_err(|refused| refused.error),
                connection.ping(now, b"late"),
                connection.pong(b"late"),
                connection.close(now, CloseCode::NORMAL, "late"),
            ];
            assert_eq!(refused, [Err(SendError::Closed); 8]);
        }
        0
    }
}

fn drains() -> impl Strategy<Value = Drain> {
    let sometimes = (1..5_usize, prop_oneof![1..20_usize, Just(usize::MAX)])
        .prop_map(|(every, bytes)| Drain::Sometimes { every, bytes });
    prop_oneof![Just(Drain::Always), sometimes, Just(Drain::Late)]
}

proptest! {
    #![proptest_config(crate::cases())]

    /// The events equal the encoded stream, and the answers are in order.
    #[test]
    fn events_equal_the_encoded_stream(stream in streams(), seed: u64) {
        let input = stream.encode();
        for cuts in two_cuts(seed, input.len()) {
            let run = receive(stream.role, &input, &cuts, (Form::Whole, Drain::Always), &mut Echo).unwrap();
            prop_assert_eq!(&run.events, &stream.events(), "{}", cuts);
            prop_assert_eq!(run.error, stream.error(), "{}", cuts);
            let mut sent = sent(stream.role, &run.out);
            if let Some(error) = stream.error() {
                let (first, body) = sent.pop().unwrap();
                prop_assert_eq!((first, &body[..2]), (wire::CLOSE, &error.close_code().get().to_be_bytes()[..]));
            }
            prop_assert_eq!(sent, stream.answers(), "{}", cuts);
        }
    }

    /// If output is written at the same events, the result is the same for any split.
    #[test]
    fn any_split_gives_the_same_result(stream in streams(), seed: u64, drain in drains()) {
        let input = stream.encode();
        let [first, second] = two_cuts(seed, input.len());
        for form in [Form::Whole, Form::Chunks] {
            let one = receive(stream.role, &input, &first, (form, drain), &mut Echo);
            let other = receive(stream.role, &input, &second, (form, drain), &mut Echo);
            let one = one.unwrap();
            prop_assert_eq!(&one, &other.unwrap(), "{:?} {} / {}", form, first, second);
            if form == Form::Whole {
                prop_assert!(may_be_sent(&stream, &one), "{:?}", one);
            }
        }
    }

    /// A violation is found at the byte that shows it, and not before.
    #[test]
    fn a_violation_is_found_at_the_byte_that_shows_it(stream in violations(), seed: u64) {
        let (input, mark) = stream.encode_and_mark();
        let mark = mark.unwrap();
        for form in [Form::Whole, Form::Chunks] {
            for cuts in two_cuts(seed, mark) {
                let plan = (form, Drain::Always);
                let before = receive(stream.role, &input[..mark - 1], &cuts, plan, &mut Quiet).unwrap();
                prop_assert_eq!(before.error, None, "{:?} {}", form, cuts);
                let at = receive(stream.role, &input[..mark], &cuts, plan, &mut Quiet).unwrap();
                prop_assert_eq!(at.error, stream.error(), "{:?} {}", form, cuts);
            }
        }
    }

    /// Each delivery and each kind of memory gives the same messages.
    #[test]
    fn any_delivery_gives_the_same_messages(stream in streams(), seed: u64, space in 0..300_usize) {
        let (input, role) = (stream.encode(), stream.role);
        let [first, second] = two_cuts(seed, input.len());
        let drain = Drain::Always;
        let whole = receive(role, &input, &first, (Form::Whole, drain), &mut Quiet).unwrap();
        let chunks = receive(role, &input, &second, (Form::Chunks, drain), &mut Quiet).unwrap();
        prop_assert_eq!(&whole, &chunks, "chunks, {} / {}", first, second);
        let landing = receive(role, &input, &second, (Form::Whole, drain), &mut Landing).unwrap();
        prop_assert_eq!(&whole, &landing, "read directly into the message, {} / {}", first, second);
        let config = config(Delivery::Whole);
        let lent = drive_lent(|out| machine(role, &config, out), space, &input, &second, Form::AsFits).unwrap();
        prop_assert_eq!(&whole, &lent, "borrowed memory of {}, {} / {}", space, first, second);
    }

    /// An inbox gives the same events for any order of reads and polls.
    #[test]
    fn an_inbox_gives_the_same_events(stream in streams(), seed: u64) {
        let (events, error) = through_inbox(stream.role, &config(Delivery::Whole), &stream.encode(), seed);
        prop_assert_eq!(events, stream.events());
        prop_assert_eq!(error, stream.error());
    }

    /// The same stream gives the same result to a server and to a client.
    #[test]
    fn s5_1_both_roles_give_the_same_result(stream in streams(), seed: u64, form in select(&[Form::Whole, Form::Chunks][..])) {
        let run = |role| {
            let stream = Stream { role, ..stream.clone() };
            let input = stream.encode();
            let [cuts, _] = two_cuts(seed, input.len());
            let run = receive(role, &input, &cuts, (form, Drain::Always), &mut Echo).unwrap();
            (run.events, run.error, sent(role, &run.out))
        };
        let (server, mut client) = (run(Role::Server), run(Role::Client));
        if client.1 == Some(ProtocolError::Masked) {
            // Masking is the only rule that depends on the role. The Close contains the text of the error, so the
            // Closes differ too.
            prop_assert_eq!(server.1, Some(ProtocolError::NotMasked));
            client.1 = server.1;
            let (was, is) = (client.2.pop().unwrap(), server.2.last().unwrap().clone());
            prop_assert_eq!(&was.1[..2], &is.1[..2]);
            client.2.push(is);
        }
        prop_assert_eq!(server, client);
    }

    /// More input only adds events. Earlier events do not change.
    #[test]
    fn s5_4_more_input_only_adds_events(stream in streams(), at: Index, seed: u64) {
        let input = stream.encode();
        let end = at.index(input.len() + 1);
        let [cuts, _] = two_cuts(seed, end);
        for form in [Form::Whole, Form::Chunks] {
            let plan = (form, Drain::Always);
            let all = receive(stream.role, &input, &Cuts::Whole, plan, &mut Echo).unwrap();
            let part = receive(stream.role, &input[..end], &cuts, plan, &mut Echo).unwrap();
            let (mut all_events, mut part_events) = (all.events.iter(), part.events.iter());
            prop_assert!(part_events.all(|event| all_events.next() == Some(event)), "{:?} of {:?}", part, all);
            prop_assert!(all.out.starts_with(&part.out));
            prop_assert!(part.error.is_none() || part.error == all.error && part == all);
        }
    }

    /// After a Close or a violation no input causes an event, and nothing can be sent.
    #[test]
    fn s7_1_7_no_event_follows_the_end(
        items in vec(item(), 0..4),
        end in prop_oneof![close(), violation()],
        more in streams(),
        noise in vec(any::<u8>(), 0..60),
        seed: u64,
    ) {
        let stream = Stream { items, end, ..more.clone() };
        let mut input = stream.encode();
        let [cuts, _] = two_cuts(seed, input.len());
        let expected = receive(stream.role, &input, &cuts, (Form::Whole, Drain::Always), &mut Quiet).unwrap();
        input.extend(more.encode());
        input.extend(noise);
        let [cuts, _] = two_cuts(seed, input.len());
        for (form, drain) in [(Form::Whole, Drain::Always), (Form::Chunks, Drain::Always)] {
            let run = receive(stream.role, &input, &cuts, (form, drain), &mut Late::default()).unwrap();
            prop_assert_eq!(&run, &expected, "{:?} {}", form, cuts);
        }
    }
}
