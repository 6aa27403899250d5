//! A simple receiver to compare hybi with. It gets the whole input at once, may read it several times, and allocates
//! freely.
//!
//! hybi must give the same result for every input, however the input is cut into reads. There is one exception: hybi
//! may find the error of an invalid compressed message earlier or later than the model. The model then marks the result
//! as open.

use hybi::frame::{Header, Opcode, Role};
use hybi::handshake::DeflateParams;
use hybi::{EofPosition, Outcome, ProtocolError};

use crate::support::deflate::Decoder;
use crate::support::drive::{Events, Run, Seen};

/// The receiver's parameters and limits.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    /// The role of the receiver.
    pub role: Role,
    /// The reserved bits that are permitted on the first frame of a message.
    pub rsv: u8,
    /// Whether the peer uses context takeover.
    pub takeover: bool,
    /// Maximum distance of references in a compressed message. A larger distance may be accepted or refused.
    pub window: usize,
    /// The limit [`hybi::Limits::max_frame`].
    pub max_frame: u64,
    /// The limit [`hybi::Limits::max_message`].
    pub max_message: u64,
    /// The limit [`hybi::Limits::max_fragments`].
    pub max_fragments: u32,
}

/// A frame, or the part of one that has arrived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// The header.
    pub header: Header,
    /// The part of the payload that has arrived, unmasked.
    pub payload: Vec<u8>,
}

impl Frame {
    /// Returns whether the frame is complete.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.payload.len() as u64 == self.header.payload_len
    }
}

/// The result of an input.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Received {
    /// All events, with whole messages.
    pub events: Events,
    /// The rule that was violated.
    pub error: Option<ProtocolError>,
    /// The position at which the input ends, if no rule was violated and no Close arrived.
    pub eof_position: EofPosition,
    /// Whether more events or an error may follow, because a compressed message is incomplete or invalid. The model
    /// does not know where hybi finds the error.
    pub is_open: bool,
}

impl Received {
    /// Panics if the connection gave another result.
    #[track_caller]
    pub fn assert_is(&self, run: &Run) {
        if self.is_open {
            let (all, sure): (Vec<_>, Vec<_>) = (run.events.iter().collect(), self.events.iter().collect());
            assert!(all.starts_with(&sure), "got {run:?}\nexpected {self:?}");
            return;
        }
        assert_eq!((&run.events, run.error), (&self.events, self.error));
        if let Outcome::Abnormal(position) = run.outcome {
            assert_eq!(position, self.eof_position);
        }
    }
}

impl Model {
    /// Returns a model of a receiver in `role`, without compression or limits.
    #[must_use]
    pub const fn new(role: Role) -> Self {
        let (max_frame, max_message, max_fragments) = (u64::MAX, u64::MAX, u32::MAX);
        Self { role, rsv: 0, takeover: true, window: 1 << 15, max_frame, max_message, max_fragments }
    }

    /// Adds the negotiated compression.
    #[must_use]
    pub fn with_deflate(mut self, params: Option<DeflateParams>) -> Self {
        if let Some(params) = params {
            self.rsv = 4;
            let (bits, no_takeover) = match self.role {
                Role::Server => (params.client_window_bits(), params.client_no_context_takeover),
                Role::Client => (params.server_window_bits(), params.server_no_context_takeover),
            };
            (self.window, self.takeover) = (1 << bits, !no_takeover);
        }
        self
    }

    /// Returns the frames in `bytes` up to an incomplete or invalid one, whether the last header is incomplete or
    /// invalid, and the violation of an invalid header.
    #[must_use]
    pub fn frames(&self, bytes: &[u8]) -> (Vec<Frame>, bool, Option<ProtocolError>) {
        let (mut frames, mut rest, mut in_message) = (Vec::new(), bytes, false);
        while !rest.is_empty() {
            let (header, len) = match self.header(rest, in_message) {
                Ok(Some(found)) => found,
                Ok(None) => return (frames, true, None),
                Err(error) => return (frames, true, Some(error)),
            };
            if !header.opcode.is_control() {
                in_message = !header.fin;
            }
            let there = usize::try_from(header.payload_len).unwrap_or(usize::MAX).min(rest.len() - len);
            let key = header.masking_key.unwrap_or_default();
            let masked = rest[len..len + there].iter();
            let payload = masked.zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
            rest = &rest[len + there..];
            frames.push(Frame { header, payload });
        }
        (frames, false, None)
    }

    /// Parses a header (RFC 6455 5.2) byte by byte, because each byte may be the first invalid one.
    fn header(&self, bytes: &[u8], in_message: bool) -> Result<Option<(Header, usize)>, ProtocolError> {
        let first = bytes[0];
        let (fin, rsv, bits) = (first & 0x80 != 0, first >> 4 & 7, first & 0x0F);
        let is_start = matches!(bits, 1 | 2);
        if rsv & !(if is_start { self.rsv } else { 0 }) != 0 {
            // A first byte of printable ASCII is probably text and not a frame, except for the first bytes of
            // compressed fragments.
            let is_text = first.is_ascii_graphic() || first == b' ';
            return Err(if is_text && !b"@AB".contains(&first) {
                ProtocolError::NotAFrame(first)
            } else {
                ProtocolError::ReservedBits(rsv)
            });
        }
        let opcode = match bits {
            0 if !in_message => return Err(ProtocolError::NothingToContinue),
            1 | 2 if in_message => return Err(ProtocolError::MessageInterleaved),
            0 => Opcode::Continuation,
            1 => Opcode::Text,
            2 => Opcode::Binary,
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            _ => return Err(ProtocolError::UnknownOpcode(bits)),
        };
        let is_control = bits >= 8;
        if is_control && !fin {
            return Err(ProtocolError::ControlFragmented);
        }
        let Some(second) = bytes.get(1) else { return Ok(None) };
        match (self.role, second & 0x80 != 0) {
            (Role::Server, false) => return Err(ProtocolError::NotMasked),
            (Role::Client, true) => return Err(ProtocolError::Masked),
            _ => {}
        }
        let short = second & 0x7F;
        if is_control && short > 125 {
            return Err(ProtocolError::ControlTooLong);
        }
        if opcode == Opcode::Close && short == 1 {
            return Err(ProtocolError::CloseBodyOfOneByte);
        }
        let len_bytes = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if short == 127 && bytes.get(2).is_some_and(|byte| byte & 0x80 != 0) {
            return Err(ProtocolError::LengthTopBit);
        }
        let Some(len) = bytes.get(2..2 + len_bytes) else { return Ok(None) };
        let payload_len = match short {
            126 | 127 => len.iter().fold(0, |len, byte| len << 8 | u64::from(*byte)),
            _ => short.into(),
        };
        if short == 126 && payload_len < 126 || short == 127 && payload_len < 1 << 16 {
            return Err(ProtocolError::LengthNotMinimal);
        }
        let mut at = 2 + len_bytes;
        let mut masking_key = None;
        if second & 0x80 != 0 {
            let Some(key) = bytes.get(at..at + 4) else { return Ok(None) };
            masking_key = key.first_chunk().copied();
            at += 4;
        }
        Ok(Some((Header { fin, rsv, opcode, masking_key, payload_len }, at)))
    }

    /// Returns the events in `bytes`, and the error that ends them.
    #[must_use]
    pub fn receive(&self, bytes: &[u8]) -> Received {
        let (frames, in_header, error) = self.frames(bytes);
        let events = Events::default();
        let mut received =
            Received { events, error: None, eof_position: EofPosition::BetweenMessages, is_open: false };
        let mut inflater = Decoder::new(self.takeover);
        let mut message = Message::default();
        let mut is_over = false;
        for frame in &frames {
            is_over = match frame.header.opcode {
                opcode if opcode.is_control() => self.control(frame, &mut received),
                _ => self.data(frame, &mut message, &mut inflater, &mut received),
            };
            if is_over {
                break;
            }
        }
        if !is_over {
            received.error = error;
        }
        received.eof_position = if in_header || frames.last().is_some_and(|frame| !frame.is_whole()) {
            EofPosition::InFrame
        } else if message.fragments > 0 {
            EofPosition::InMessage
        } else {
            EofPosition::BetweenMessages
        };
        if let Some(events) = message.before {
            (received.events, received.is_open) = (events, true);
        }
        received
    }

    /// Handles a control frame. Returns whether it is the last frame.
    fn control(&self, frame: &Frame, received: &mut Received) -> bool {
        let payload = &frame.payload;
        let seen = match frame.header.opcode {
            Opcode::Ping => Seen::Ping(payload.clone()),
            Opcode::Pong => Seen::Pong(payload.clone()),
            _ => {
                let (code, reason) = match payload.split_first_chunk() {
                    Some((code, reason)) => (Some(u16::from_be_bytes(*code)), reason),
                    None => (None, &[][..]),
                };
                // These codes may be sent, by RFC 6455 7.4 and the registry of close codes.
                let is_code = |code| matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
                if let Some(code) = code.filter(|code| !is_code(*code)) {
                    received.error = Some(ProtocolError::CloseCodeNotAllowed(code));
                    return true;
                }
                if is_wrong(reason, frame.is_whole()) {
                    received.error = Some(ProtocolError::CloseReasonNotUtf8);
                    return true;
                }
                Seen::Close(code, String::from_utf8_lossy(reason).into_owned())
            }
        };
        if frame.is_whole() {
            received.events.push(seen, 1);
        }
        frame.is_whole() && frame.header.opcode == Opcode::Close
    }

    /// Handles a data frame. Returns whether it is the last frame.
    fn data(
        &self,
        frame: &Frame,
        message: &mut Message,
        inflater: &mut Decoder,
        received: &mut Received,
    ) -> bool {
        let header = &frame.header;
        if header.opcode != Opcode::Continuation {
            *message = Message { is_text: header.opcode == Opcode::Text, ..Message::default() };
            message.before = (header.rsv != 0).then(|| received.events.clone());
        }
        let is_compressed = message.before.is_some();
        message.fragments += 1;
        message.announced = message.announced.saturating_add(header.payload_len);
        // The limits (RFC 6455 10.4) are checked in the same order as in hybi. A compressed frame has a higher limit,
        // because incompressible data becomes longer when it is compressed.
        let longer = if is_compressed { (self.max_frame / 4).saturating_add(64) } else { 0 };
        let over = if header.payload_len > self.max_frame.saturating_add(longer) {
            Some(ProtocolError::FrameTooBig)
        } else if !is_compressed && message.announced > self.max_message {
            Some(ProtocolError::MessageTooBig)
        } else if message.fragments > self.max_fragments {
            Some(ProtocolError::TooManyFragments)
        } else {
            None
        };
        if over.is_some() {
            received.error = over;
            return true;
        }
        message.data.extend(&frame.payload);
        let is_end = frame.is_whole() && header.fin;
        if is_compressed {
            if !is_end {
                return false;
            }
            inflater.farthest = 0;
            match inflater.message(&message.data) {
                Some(data) if data.len() as u64 <= self.max_message && inflater.farthest <= self.window => {
                    message.data = data;
                }
                _ => return true,
            }
            if message.is_text && is_wrong(&message.data, true) {
                return true;
            }
        }
        if message.is_text && is_wrong(&message.data, is_end) {
            received.error = Some(ProtocolError::InvalidUtf8);
            return true;
        }
        if is_end {
            let Message { data, is_text, .. } = std::mem::take(message);
            let text = |data: &[u8]| String::from_utf8_lossy(data).into_owned();
            received.events.push(if is_text { Seen::Text(text(&data)) } else { Seen::Binary(data) }, 1);
        }
        false
    }
}

/// The message in progress.
#[derive(Default)]
struct Message {
    is_text: bool,
    data: Vec<u8>,
    announced: u64,
    fragments: u32,
    /// The events before the message, if it is compressed.
    before: Option<Events>,
}

/// Returns whether the text is invalid. If `is_whole` is false, it is the beginning of a text and may end inside a code
/// point.
#[must_use]
pub fn is_wrong(text: &[u8], is_whole: bool) -> bool {
    std::str::from_utf8(text).is_err_and(|error| is_whole || error.error_len().is_some())
}
