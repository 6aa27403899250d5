//! A fuzz target: tungstenite, fastwebsockets and hybi read the same bytes. hybi also reads the output of the other two
//! libraries, and they read the output of hybi.
//!
//! The three libraries must behave in the same way, except for known differences of tungstenite and fastwebsockets.
//! These differences are listed here and in `fuzz/README.md`.
#![no_main]

use arbitrary::Arbitrary;
use hybi::frame::Role;
use hybi::handshake::{HeadLimits, Incoming, Request, ServerHandshake};
use hybi::{
    Config, Connection, Event, Input, Instant, MessageKind, Outbox, ProtocolError, SharedConfig, VecMessage,
};
use hybi_fuzz::others::{
    End, MAX_FRAME, Reading, fastwebsockets_reads, fastwebsockets_writes, tungstenite_accepts,
    tungstenite_reads, tungstenite_writes,
};
use hybi_fuzz::script::Script;
use hybi_fuzz::support::drive::{Seen, machine};
use hybi_fuzz::{bit, role};
use libfuzzer_sys::fuzz_target;

const NOW: Instant = Instant::ZERO;
/// Maximum number of bytes of one read.
const PIECE: usize = 5000;

#[derive(Arbitrary, Debug)]
struct Case<'a> {
    /// Chooses the role, and what the bytes are: frames, a request, or a script of messages.
    choice: u8,
    bytes: &'a [u8],
}

fuzz_target!(|case: Case<'_>| {
    let role = role(bit(case.choice, 0));
    match case.choice >> 1 & 3 {
        0 | 3 => frames(role, case.bytes),
        1 => request(case.bytes),
        _ => messages(role, Script(case.bytes)),
    }
});

// --- frames ---

fn frames(role: Role, bytes: &[u8]) {
    let ours = Ours::read(role, bytes, 1);
    compare(&ours, bytes, &tungstenite_reads(role, bytes), tungstenite_differs);
    compare(&ours, bytes, &fastwebsockets_reads(role, bytes), fastwebsockets_differs);
}

/// The result of hybi for an input.
#[derive(Debug)]
struct Ours {
    events: Vec<Seen>,
    /// The error, and the position of the byte that shows the error.
    error: Option<(ProtocolError, usize)>,
}

impl Ours {
    /// Reads in pieces of `size` bytes. With pieces of one byte, the byte that shows an error is known.
    fn read(role: Role, bytes: &[u8], size: usize) -> Self {
        let config: SharedConfig = Config::new().max_frame(MAX_FRAME as u64).max_message(u64::MAX).into();
        let mut connection: Connection = machine(role, &config, Outbox::new());
        let (mut message, mut ours) = (VecMessage::new(), Self { events: Vec::new(), error: None });
        for (at, piece) in bytes.chunks(size).enumerate() {
            let mut piece = piece.to_vec();
            let mut input = Input::new(&mut piece, &mut message);
            loop {
                match connection.poll_event(NOW, &mut input) {
                    Ok(Some(event)) => ours.events.push(seen(event)),
                    Ok(None) => break,
                    Err(error) => {
                        ours.error = Some((error, at));
                        return ours;
                    }
                }
            }
            connection.transmitted(NOW, usize::MAX);
        }
        ours
    }
}

fn seen(event: Event<'_>) -> Seen {
    match event {
        Event::Text(text) => Seen::Text(text.to_owned()),
        Event::Binary(data) => Seen::Binary(data.to_vec()),
        Event::Ping(payload) => Seen::Ping(payload.to_vec()),
        Event::Pong(payload) => Seen::Pong(payload.to_vec()),
        Event::CloseReceived { code, reason } => {
            Seen::Close(code.map(hybi::CloseCode::get), reason.to_owned())
        }
        other => panic!("{other:?}"),
    }
}

/// How another library is known to differ from hybi at the byte where hybi fails, or at a Close.
enum Difference {
    /// The library does not differ.
    None,
    /// The library continues or fails, with any result.
    Other,
}

fn compare(ours: &Ours, bytes: &[u8], theirs: &Reading, differs: fn(&Ours, bytes: &[u8]) -> Difference) {
    let (events, what) = (&ours.events, || format!("{ours:?}\n{theirs:?}"));
    if let Difference::Other = differs(ours, bytes) {
        // The events before the difference are equal. Only a Close at the end may differ.
        let sure = events.len() - usize::from(matches!(events.last(), Some(Seen::Close(..))));
        return assert!(theirs.events.starts_with(&events[..sure]), "{}", what());
    }
    assert_eq!(*events, theirs.events, "{}", what());
    match (&ours.error, &theirs.end) {
        (None, End::Closed) => assert!(matches!(events.last(), Some(Seen::Close(..)))),
        (None, End::Waits) | (Some(_), End::Failed(_)) => {}
        // The other libraries check a frame only when it is complete, and text only when its frame is complete.
        (Some((error, at)), End::Waits) => {
            let frame = Frame::around(bytes, *at);
            let is_late = *error == ProtocolError::InvalidUtf8 && !frame.fin;
            assert!(!frame.is_whole || is_late, "{}", what());
        }
        _ => panic!("{}", what()),
    }
}

/// A frame, as found by a parser that makes no checks.
struct Frame {
    fin: bool,
    is_whole: bool,
    /// Length of header and payload, if the header is complete.
    len: Option<usize>,
}

impl Frame {
    fn around(bytes: &[u8], at: usize) -> Self {
        let mut start = 0;
        loop {
            let rest = &bytes[start..];
            let fin = rest[0] & 0x80 != 0;
            match frame_len(rest) {
                Some(len) if at >= start + len && len <= rest.len() => start += len,
                len => return Self { fin, is_whole: len.is_some_and(|len| len <= rest.len()), len },
            }
        }
    }
}

fn frame_len(bytes: &[u8]) -> Option<usize> {
    let second = bytes.get(1)?;
    let (head, payload) = match second & 0x7F {
        126 => (4, u64::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?))),
        127 => (10, u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?)),
        len => (2, len.into()),
    };
    let key = if second & 0x80 != 0 { 4 } else { 0 };
    usize::try_from(payload).ok()?.checked_add(head + key)
}

fn tungstenite_differs(ours: &Ours, bytes: &[u8]) -> Difference {
    match (&ours.error, ours.events.last()) {
        // tungstenite accepts lengths that are not minimal, also of control frames.
        (Some((ProtocolError::ControlTooLong, at)), _)
            if Frame::around(bytes, *at).len.is_none_or(|len| len <= 14 + 125) =>
        {
            Difference::Other
        }
        (Some((ProtocolError::LengthNotMinimal, _)), _)
        // tungstenite treats a Close with 1014, or with a code that must not be sent, as a Close with 1002.
        | (Some((ProtocolError::CloseCodeNotAllowed(_), _)), _)
        | (None, Some(Seen::Close(Some(1014), _))) => Difference::Other,
        _ => Difference::None,
    }
}

fn fastwebsockets_differs(ours: &Ours, bytes: &[u8]) -> Difference {
    let Some((error, at)) = &ours.error else {
        // fastwebsockets refuses 1014.
        let is_1014 = matches!(ours.events.last(), Some(Seen::Close(Some(1014), _)));
        return if is_1014 { Difference::Other } else { Difference::None };
    };
    match error {
        // fastwebsockets does not check masks, the form of lengths, or the length of a Pong or a Close.
        ProtocolError::NotMasked
        | ProtocolError::Masked
        | ProtocolError::LengthNotMinimal
        | ProtocolError::ControlTooLong => Difference::Other,
        // fastwebsockets allows a fragmented message to begin inside another one.
        ProtocolError::MessageInterleaved if !Frame::around(bytes, *at).fin => Difference::Other,
        // fastwebsockets drops an incomplete code point at the end of a fragmented text.
        ProtocolError::InvalidUtf8 => Difference::Other,
        _ => Difference::None,
    }
}

// --- requests ---

fn request(bytes: &[u8]) {
    let Ok(Some(Incoming::Upgrade(request))) = ServerHandshake::new(HeadLimits::new()).poll(bytes) else {
        return;
    };
    match tungstenite_accepts(&bytes[..request.head_len()]) {
        Ok(answer) => {
            let mut slots = [httparse::EMPTY_HEADER; 8];
            let mut head = httparse::Response::new(&mut slots);
            assert!(head.parse(&answer).is_ok_and(|status| status.is_complete()));
            let accept =
                head.headers.iter().find(|header| header.name.eq_ignore_ascii_case("Sec-WebSocket-Accept"));
            assert_eq!(
                accept.map(|accept| accept.value),
                Some(&hybi::handshake::accept_key(request.key())[..])
            );
        }
        Err(error) => assert!(!is_known_to_tungstenite(bytes, &request), "{error}"),
    }
}

/// Returns whether tungstenite supports everything in the request.
fn is_known_to_tungstenite(bytes: &[u8], request: &Request<'_>) -> bool {
    let line = bytes.split(|byte| *byte == b'\r').find(|line| !line.is_empty()).unwrap_or_default();
    let once = |name| request.headers().get_only(name).unwrap_or_default();
    let is_usual = |byte: u8| byte.is_ascii_alphanumeric() || b"/?.:=&-_~%".contains(&byte);
    let (upgrade, connection) = (once("Upgrade"), once("Connection"));
    let mut options = connection.split(|byte| matches!(byte, b' ' | b','));
    // tungstenite supports only version 1.1 of HTTP/1.x.
    line.ends_with(b"HTTP/1.1")
        // tungstenite supports no absolute target, and none of the characters that some browsers send unescaped.
        && request.target().starts_with('/')
        && request.target().bytes().all(is_usual)
        // tungstenite refuses a key whose four unused bits, the last ones of its last digit, are not zero. `hybi`
        // accepts the key, because RFC 6455 4.1 has such a key in its example.
        && matches!(request.key().get(21), Some(b'A' | b'Q' | b'g' | b'w'))
        // tungstenite supports no list of protocols, and no `Connection` options in several lines or after tabs.
        && upgrade.eq_ignore_ascii_case(b"websocket")
        && options.any(|one| one.eq_ignore_ascii_case(b"upgrade"))
        && connection.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ')
}

// --- messages ---

/// Lets tungstenite and fastwebsockets read the messages that hybi sends, and lets hybi read theirs.
fn messages(role: Role, mut script: Script<'_>) {
    let (mut all, mut bytes) = (Vec::new(), Vec::new());
    let config: SharedConfig = Config::new().high_water(usize::MAX).into();
    let mut connection: Connection = machine(role, &config, Outbox::new());
    while let Some(step) = script.step() {
        let message = match step & 3 {
            0 => Seen::Text(script.text()),
            1 => Seen::Binary(script.data()),
            2 => Seen::Ping(script.bytes().iter().copied().take(125).collect()),
            _ => Seen::Pong(script.bytes().iter().copied().take(125).collect()),
        };
        let sent = match &message {
            Seen::Text(text) if bit(step, 2) => {
                fragments(&mut connection, MessageKind::Text, text.as_bytes(), step)
            }
            Seen::Binary(data) if bit(step, 2) => fragments(&mut connection, MessageKind::Binary, data, step),
            Seen::Text(text) => connection.send_text(text),
            Seen::Binary(data) => connection.send_binary(data),
            Seen::Ping(payload) => connection.ping(NOW, payload),
            Seen::Pong(payload) => connection.pong(payload),
            Seen::Close(..) => Ok(()),
        };
        sent.unwrap();
        let mut slices = [&[][..]; 8];
        let count = connection.poll_transmit(&mut slices);
        bytes.extend(slices[..count].concat());
        connection.transmitted(NOW, usize::MAX);
        assert_eq!(connection.buffered_amount(), 0);
        all.push(message);
    }
    let expected = Reading { events: all.clone(), end: End::Waits };
    assert_eq!(tungstenite_reads(role.peer(), &bytes), expected);
    assert_eq!(fastwebsockets_reads(role.peer(), &bytes), expected);
    // tungstenite stores a Pong of the application in its place for an automatic Pong, where another Pong may replace
    // it. So this test gives tungstenite no Pongs to send.
    let no_pongs: Vec<_> = all.iter().filter(|message| !matches!(message, Seen::Pong(_))).cloned().collect();
    let ours = Ours::read(role.peer(), &tungstenite_writes(role, &no_pongs), PIECE);
    assert_eq!((ours.events, ours.error), (no_pongs, None));
    let ours = Ours::read(role.peer(), &fastwebsockets_writes(role, &all), PIECE);
    assert_eq!((ours.events, ours.error), (all, None));
}

fn fragments(
    connection: &mut Connection,
    kind: MessageKind,
    data: &[u8],
    step: u8,
) -> Result<(), hybi::SendError> {
    let size = usize::from(step >> 3).max(data.len() / 64) + 1;
    let mut pieces = data.chunks(size).peekable();
    loop {
        let piece = pieces.next().unwrap_or_default();
        let fin = pieces.peek().is_none();
        connection.send_fragment(kind, piece, fin)?;
        if fin {
            return Ok(());
        }
    }
}
