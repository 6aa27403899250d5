//! What a connection has to say.

use core::fmt;
use core::ops::Deref;

use crate::close::{CloseCode, CloseFrame};
use crate::error::ProtocolError;
use crate::frame::MAX_CONTROL_PAYLOAD;

/// Text or binary (RFC 6455 section 5.6).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Kind {
    /// UTF-8 text.
    Text,
    /// Bytes.
    Binary,
}

/// Something that happened.
///
/// Data borrows from the memory that was lent to the call, never from the connection: while an event is
/// looked at, the connection is free to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event<'i> {
    /// A whole text message.
    Text(&'i str),
    /// A whole binary message.
    Binary(&'i [u8]),
    /// A piece of a message, where delivery is in chunks or the message outgrew memory of fixed size.
    Chunk {
        /// What message it is a piece of.
        kind: Kind,
        /// The bytes. Text is valid up to here, but a code point may be cut at the end.
        data: &'i [u8],
        /// Whether the message begins here.
        first: bool,
        /// Whether the message ends here. The last chunk may be empty.
        fin: bool,
    },
    /// A Ping came in. Unless that is turned off its Pong is queued, as long as no Close of ours is on its way.
    Ping(ControlPayload),
    /// A Pong came in, asked for or not. Those for keepalive Pings come too, with a counter of 4 bytes as payload.
    Pong(ControlPayload),
    /// The peer closes, and the answer is queued: a Close with the same code and reason, or our own Close if one was
    /// queued before (RFC 6455 section 5.5.1). No data comes after this event, and none can be sent.
    ///
    /// [`Machine::peer_close`](crate::Machine::peer_close) returns the frame later, too.
    CloseReceived(CloseFrame),
    /// A send was handed back as [`Blocked`](crate::SendError::Blocked), and there is room again.
    Writable,
    /// The connection has ended: the last event, exactly once. The transport may be dropped.
    ///
    /// It comes after a Close and after a stream that just stopped. [`Outcome::is_clean`] tells them apart.
    Closed(Outcome),
}

/// An [`Event`] without its borrow: where its data lies in the [`Input`](crate::Input) it came from.
///
/// [`Input::event`](crate::Input::event) turns it into the event. A loop that reads until there is
/// something to return can hold this where it cannot hold the event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ready {
    /// Where its data lies, if it has any. Not in `what`: in one place whatever it is, it stays in registers where it
    /// can.
    pub(crate) place: Place,
    pub(crate) what: What,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum What {
    Message(Kind),
    Chunk { kind: Kind, first: bool, fin: bool },
    Ping(ControlPayload),
    Pong(ControlPayload),
    CloseReceived(CloseFrame),
    Writable,
    Closed(Outcome),
}

/// A [`Ready`] that is a whole message. It has no room for a control frame, so it takes less time to hand on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadyMessage {
    pub(crate) place: Place,
    pub(crate) kind: Kind,
}

impl From<ReadyMessage> for Ready {
    #[inline]
    fn from(ready: ReadyMessage) -> Self {
        Self::message(ready.place, ready.kind)
    }
}

impl From<What> for Ready {
    fn from(what: What) -> Self {
        Self { place: Place::gathered(0), what }
    }
}

/// Where data lies: in the bytes that arrived, or in the message that was gathered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    // No enum: numbers that are always there stay in registers when this is handed on.
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) gathered: bool,
}

impl Place {
    /// In the bytes that arrived.
    #[inline]
    pub(crate) const fn arrived(start: usize, end: usize) -> Self {
        Self { start, end, gathered: false }
    }

    /// The first `len` bytes of what was gathered.
    #[inline]
    pub(crate) const fn gathered(len: usize) -> Self {
        Self { start: 0, end: len, gathered: true }
    }
}

impl Ready {
    /// A whole message.
    #[inline]
    pub(crate) const fn message(place: Place, kind: Kind) -> Self {
        Self { place, what: What::Message(kind) }
    }

    /// A chunk of one.
    pub(crate) const fn chunk(place: Place, kind: Kind, first: bool, fin: bool) -> Self {
        Self { place, what: What::Chunk { kind, first, fin } }
    }

    /// What receiving this owes to the wire, for whoever receives and sends in two places: hand it to
    /// [`Sender::settle`](crate::Sender::settle). [`Machine`](crate::Machine) does that by itself.
    #[must_use]
    pub fn owes(&self) -> Option<Owed> {
        match self.what {
            What::Ping(payload) => Some(Owed::Pong(payload)),
            What::CloseReceived(frame) => Some(Owed::Close(frame)),
            What::Pong(payload) => Some(Owed::RoundTrip(payload)),
            _ => None,
        }
    }
}

/// What receiving owes to sending.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Owed {
    /// A Pong with the payload of a Ping that came in (RFC 6455 section 5.5.2).
    Pong(ControlPayload),
    /// The answer to a Close that came in (RFC 6455 section 5.5.1).
    Close(CloseFrame),
    /// The Close that fails the connection (RFC 6455 section 7.1.7).
    Failure(ProtocolError),
    /// Nothing on the wire: a Pong came in, which ends the wait for one.
    RoundTrip(ControlPayload),
}

impl From<ProtocolError> for Owed {
    fn from(error: ProtocolError) -> Self {
        Self::Failure(error)
    }
}

/// The payload of a Ping or Pong: at most 125 bytes, by value. Dereferences to the bytes.
#[derive(Clone, Copy)]
pub struct ControlPayload {
    len: u8,
    bytes: [u8; MAX_CONTROL_PAYLOAD],
}

impl ControlPayload {
    /// No payload.
    pub const EMPTY: Self = Self { len: 0, bytes: [0; MAX_CONTROL_PAYLOAD] };

    /// The payload `bytes`, or `None` if they are more than 125.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut payload = Self::EMPTY;
        payload.len = u8::try_from(bytes.len()).ok()?;
        payload.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(payload)
    }

    /// The unused part, to be filled.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        self.bytes.get_mut(usize::from(self.len)..).unwrap_or_default()
    }

    /// Counts `len` bytes of the room as used.
    pub(crate) fn fill(&mut self, len: usize) {
        let total = (usize::from(self.len) + len).min(MAX_CONTROL_PAYLOAD);
        self.len = u8::try_from(total).unwrap_or(u8::MAX);
    }

    pub(crate) const fn clear(&mut self) {
        self.len = 0;
    }
}

impl Deref for ControlPayload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl AsRef<[u8]> for ControlPayload {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl PartialEq for ControlPayload {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for ControlPayload {}

impl fmt::Debug for ControlPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.escape_ascii())
    }
}

/// How a connection ended.
///
/// A loop over messages sees no difference between a peer that closed and a stream that stopped between two messages:
/// in both cases no further message comes. Check [`is_clean`](Self::is_clean) before the messages count as complete. It
/// is true where both sides sent a Close: that of the peer follows all that the peer had to say. With
/// [`Abnormal`](Self::Abnormal) the last messages may be missing: the peer crashed, or somebody on the way cut the
/// stream. RFC 6455 section 7.1.5 gives such an end the code 1006.
///
/// The outcome has the code of the peer's Close. [`Machine::peer_close`](crate::Machine::peer_close) returns the code
/// with the reason, and also where the outcome is [`TimedOut`](Self::TimedOut) because the peer did not take our answer.
/// Where it returns a frame, the messages of the peer are complete, whatever the outcome.
///
/// ```
/// # #[cfg(feature = "alloc")] {
/// use hybi::{Config, Connection, Event, Inbox, Instant, Outbox};
///
/// /// Everything that the server sent, or why it is not complete.
/// fn download(connection: &mut Connection, inbox: &mut Inbox) -> Result<Vec<u8>, String> {
///     let mut data = Vec::new();
///     loop {
///         match connection.poll_event(Instant::ZERO, inbox).map_err(|error| error.to_string())? {
///             Some(Event::Binary(part)) => data.extend_from_slice(part),
///             Some(Event::Closed(outcome)) if outcome.is_clean() => return Ok(data),
///             Some(Event::Closed(outcome)) => return Err(outcome.to_string()),
///             Some(_) => {}
///             None => {
///                 // A real driver writes here, and reads.
///                 let written = connection.buffered_amount();
///                 connection.transmitted(Instant::ZERO, written);
///                 connection.handle_eof();
///             }
///         }
///     }
/// }
///
/// let client = || Connection::client(Instant::ZERO, Config::new(), Outbox::new(), [1; 32]);
/// let mut complete = Inbox::with_bytes(b"\x82\x03abc\x88\x02\x03\xe8");
/// assert_eq!(download(&mut client(), &mut complete), Ok(b"abc".to_vec()));
/// let mut cut = Inbox::with_bytes(b"\x82\x03abc");
/// assert_eq!(
///     download(&mut client(), &mut cut),
///     Err("the stream ended without a Close frame".to_string())
/// );
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// Both sides sent a Close, and the peer's came in before the end of the stream (RFC 6455 section 7.1.4).
    Clean {
        /// What the peer's Close said; 1005 if it had no code (RFC 6455 section 7.1.5).
        code: CloseCode,
    },
    /// The peer closed, but the stream ended or failed before our Close was written. The peer did not wait for the answer.
    /// Its messages are complete. Of ours, the last may be lost.
    Unanswered {
        /// As in [`Clean`](Self::Clean).
        code: CloseCode,
    },
    /// The stream ended without a Close from the peer (1006): a crash, a broken network, or a proxy.
    Abnormal(Cut),
    /// The peer broke the protocol.
    Failed(ProtocolError),
    /// A timer of the connection ran out before both Closes were done.
    TimedOut(Timer),
}

impl Outcome {
    /// The close code as RFC 6455 section 7.1.5 defines it: that of the first Close that came in, 1005 if
    /// it had none, 1006 if there was no Close. The last two never were on the wire.
    #[must_use]
    pub const fn code(&self) -> CloseCode {
        match self {
            Self::Clean { code } | Self::Unanswered { code } => *code,
            _ => CloseCode::ABNORMAL,
        }
    }

    /// Whether the closing handshake was completed before the end (RFC 6455 section 7.1.4): the peer's Close came in, and
    /// ours was written.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        matches!(self, Self::Clean { .. })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clean { code } => write!(f, "closed by both sides with code {code} ({})", code.meaning()),
            Self::Unanswered { code } => {
                let meaning = code.meaning();
                write!(f, "the peer closed with code {code} ({meaning}), and did not wait for the answer")
            }
            Self::Abnormal(Cut::BetweenMessages) => f.write_str("the stream ended without a Close frame"),
            Self::Abnormal(Cut::InMessage) => {
                f.write_str("the stream ended without a Close frame, inside a fragmented message")
            }
            Self::Abnormal(Cut::InFrame) => {
                f.write_str("the stream ended without a Close frame, inside a frame")
            }
            Self::Failed(error) => fmt::Display::fmt(error, f),
            Self::TimedOut(timer) => write!(f, "{timer}"),
        }
    }
}

/// Where an abnormal end of the stream cut it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// After a whole message: nothing but the Close is missing.
    BetweenMessages,
    /// Between two fragments of a message.
    InMessage,
    /// Inside a frame.
    InFrame,
}

/// The timers of a connection. Each starts, fires and stops as its line says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Timer {
    /// From a Ping, or the last byte after it, until a Pong. Firing fails the connection with 1011.
    Pong,
    /// From the first Close in either direction until the end of the stream. Firing ends the connection.
    Close,
    /// From the last data in either direction. Firing closes with 1001.
    Idle,
}

impl fmt::Display for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pong => "the peer was silent for too long after a Ping",
            Self::Close => "closing took too long: the peer did not answer, or did not read",
            Self::Idle => "no data went either way for too long",
        })
    }
}

/// What the driver has to do with the transport, besides reading and writing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TransportAction {
    /// Close the sending half, go on reading until the end, and say that it is done with
    /// [`Machine::handle_half_closed`](crate::Machine::handle_half_closed). What is still on its way in is
    /// discarded, so that no reset destroys the Close on its way out.
    HalfClose,
    /// Close it: nothing is left to be written or read.
    Close,
    /// Drop it with what may still lie unsent: the peer is dead or does not read.
    Abort,
}

/// What has passed in one direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Counters {
    /// Whole messages.
    pub messages: u64,
    /// Frames, control frames too.
    pub frames: u64,
    /// Bytes on the wire, headers too.
    pub bytes: u64,
}
