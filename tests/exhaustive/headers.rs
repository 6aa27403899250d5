//! All 65,536 two-byte starts of a frame, for both roles, in every state in which a frame can begin.
//!
//! For each byte the test lists the rules that this byte breaks. The code for this list is independent of the decoder.
//! A start that breaks no rule must be accepted. After such a start, the read hint must be the number of missing bytes.

use hybi::frame::Role;
use hybi::{CloseCode, Config, Connection, Input, Instant, Outbox, ProtocolError, SharedConfig, VecMessage};

use crate::support::drive::machine;
use crate::support::wire;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Open,
    InText,
    InBinary,
    /// Our Close was written.
    Sent,
    /// Our Close was written, and the peer has sent a part of a message.
    SentInMessage,
    /// The peer's Close was answered. All input is discarded.
    Answered,
    /// The peer has broken a rule. All input is discarded.
    Failed,
    /// The stream has ended. All input is discarded.
    Ended,
}

const STATES: [State; 8] = [
    State::Open,
    State::InText,
    State::InBinary,
    State::Sent,
    State::SentInMessage,
    State::Answered,
    State::Failed,
    State::Ended,
];

impl State {
    const fn in_message(self) -> bool {
        matches!(self, Self::InText | Self::InBinary | Self::SentInMessage)
    }

    const fn is_over(self) -> bool {
        matches!(self, Self::Answered | Self::Failed | Self::Ended)
    }
}

/// Passes bytes to the connection. Returns the number of events and the error.
fn feed(connection: &mut Connection, bytes: &[u8]) -> (usize, Option<ProtocolError>) {
    let (mut bytes, mut message) = (bytes.to_vec(), VecMessage::new());
    let mut input = Input::new(&mut bytes, &mut message);
    let (mut events, mut error) = (0, None);
    loop {
        match connection.poll(Instant::ZERO, &mut input) {
            Ok(Some(_)) => events += 1,
            Ok(None) => return (events, error),
            Err(found) => {
                assert_eq!(error.replace(found), None, "the connection has reported a second error")
            }
        }
    }
}

fn endpoint(role: Role, state: State, deflate: bool, config: &SharedConfig) -> Connection {
    let connection = machine(role, config, Outbox::new());
    #[cfg(feature = "deflate")]
    let connection = connection.with_deflate(deflate.then(hybi::handshake::DeflateParams::default));
    let mut connection = connection;
    assert!(!deflate || cfg!(feature = "deflate"));
    let key = (role == Role::Server).then_some([1, 2, 3, 4]);
    let begun = match state {
        State::InText | State::SentInMessage => wire::encode(0x01, b"", key),
        State::InBinary => wire::encode(0x02, b"begun", key),
        State::Answered => wire::encode(wire::CLOSE, b"", key),
        State::Failed => vec![0x83],
        State::Open | State::Sent | State::Ended => Vec::new(),
    };
    feed(&mut connection, &begun);
    match state {
        State::Sent | State::SentInMessage => {
            connection.close(Instant::ZERO, CloseCode::NORMAL, "").unwrap();
            connection.transmitted(Instant::ZERO, usize::MAX);
        }
        State::Ended => {
            connection.handle_eof();
            feed(&mut connection, &[]);
        }
        _ => {}
    }
    connection
}

/// Returns the errors for the rules that the first byte breaks.
fn broken_by_first(state: State, deflate: bool, first: u8) -> Vec<ProtocolError> {
    let (fin, rsv, opcode) = (first & 0x80 != 0, first >> 4 & 7, first & 0x0F);
    let mut broken = Vec::new();
    // RFC 6455 5.2 and RFC 7692 6.1: RSV1 is valid on the first frame of a message if compression was negotiated.
    if rsv != 0 && !(deflate && rsv == 4 && matches!(opcode, 1 | 2)) {
        // Printable ASCII is reported as `NotAFrame`, except the bytes that begin a compressed fragment.
        let is_text = (0x20..0x7F).contains(&first) && !(0x40..=0x42).contains(&first);
        broken.push(if is_text { ProtocolError::NotAFrame(first) } else { ProtocolError::ReservedBits(rsv) });
    }
    match opcode {
        // RFC 6455 5.4
        0 if !state.in_message() => broken.push(ProtocolError::NothingToContinue),
        1 | 2 if state.in_message() => broken.push(ProtocolError::MessageInterleaved),
        0..=2 => {}
        // RFC 6455 5.5
        8..=10 if !fin => broken.push(ProtocolError::ControlFragmented),
        8..=10 => {}
        // RFC 6455 5.2
        _ => broken.push(ProtocolError::UnknownOpcode(opcode)),
    }
    broken
}

/// Returns the errors for the rules that the second byte breaks.
fn broken_by_second(role: Role, first: u8, second: u8) -> Vec<ProtocolError> {
    // RFC 7692 7.2.3.6: a compressed empty message has at least one byte.
    if role == Role::Client && first & 0xC8 == 0xC0 && second == 0 {
        return vec![ProtocolError::InvalidDeflate];
    }
    let (control, len) = (first & 8 != 0, second & 0x7F);
    let mut broken = Vec::new();
    // RFC 6455 5.1
    match (role, second & 0x80 != 0) {
        (Role::Server, false) => broken.push(ProtocolError::NotMasked),
        (Role::Client, true) => broken.push(ProtocolError::Masked),
        _ => {}
    }
    // RFC 6455 5.5
    if control && len > 125 {
        broken.push(ProtocolError::ControlTooLong);
    }
    // RFC 6455 5.5.1
    if first & 0x0F == 8 && len == 1 {
        broken.push(ProtocolError::CloseBodyOfOneByte);
    }
    broken
}

/// Returns all values of the second byte. A debug build uses only the lengths near 0, and near 125, where the form of
/// the length changes.
fn second_bytes() -> impl Iterator<Item = u8> {
    (0..=255_u8).filter(|second| {
        cfg!(not(debug_assertions)) || matches!(second & 0x7F, 0 | 1 | 2 | 3 | 124 | 125 | 126 | 127)
    })
}

/// Compares the connection with the expectation for all starts of a frame.
fn check_all_starts(role: Role, state: State, deflate: bool) {
    let config = Config::new().into();
    for first in 0..=255_u8 {
        let by_first = if state.is_over() { Vec::new() } else { broken_by_first(state, deflate, first) };
        let mut connection = endpoint(role, state, deflate, &config);
        let (events, error) = feed(&mut connection, &[first]);
        let what = |second| format!("{role:?} {state:?} {deflate} {first:02x} {second:02x?}");
        assert_eq!((events, error.is_some()), (0, !by_first.is_empty()), "{}", what(None));
        assert!(error.is_none_or(|error| by_first.contains(&error)), "{error:?}: {}", what(None));
        for second in second_bytes() {
            let mut broken = by_first.clone();
            if broken.is_empty() && !state.is_over() {
                broken = broken_by_second(role, first, second);
            }
            // The two bytes arrive in one read here, and in two reads below.
            let mut whole = endpoint(role, state, deflate, &config);
            let (events, error) = feed(&mut whole, &[first, second]);
            assert_eq!(
                error.is_some(),
                !broken.is_empty(),
                "{error:?} of {broken:?}: {}",
                what(Some(second))
            );
            assert!(error.is_none_or(|error| broken.contains(&error)), "{error:?}: {}", what(Some(second)));
            // For a client, two bytes can be a complete empty frame. Such a frame causes an event, unless it is a
            // fragment that is not the last. A server needs the masking key first.
            let part = first & 0x88 == 0;
            let empty = role == Role::Client && second == 0 && !state.is_over() && broken.is_empty();
            assert_eq!(events, usize::from(empty && !part), "{}", what(Some(second)));
            if !state.is_over() && broken.is_empty() && events == 0 && !(second == 0 && part) {
                // The read hint is the length of the rest of the header, or the length of the payload if the header is
                // complete.
                let key = if role == Role::Server { 4 } else { 0 };
                let header = key + [0, 2, 8][usize::from(second & 0x7F).saturating_sub(125)];
                let missing = if header == 0 { usize::from(second & 0x7F) } else { header };
                assert_eq!(whole.read_hint(), missing, "{}", what(Some(second)));
            }
            if by_first.is_empty() {
                let mut cut = endpoint(role, state, deflate, &config);
                assert_eq!(feed(&mut cut, &[first]), (0, None));
                assert_eq!(feed(&mut cut, &[second]), (events, error), "{}", what(Some(second)));
            }
        }
    }
}

#[test]
fn s5_2_every_start_of_a_frame_gets_the_right_verdict_in_every_state() {
    for role in [Role::Server, Role::Client] {
        for state in STATES {
            check_all_starts(role, state, false);
        }
    }
}

#[cfg(feature = "deflate")]
#[test]
fn s7692_6_1_every_start_of_a_frame_gets_the_right_verdict_with_compression() {
    for role in [Role::Server, Role::Client] {
        for state in [State::Open, State::InText, State::InBinary, State::Sent, State::Answered] {
            check_all_starts(role, state, true);
        }
    }
}
