//! What a connection has to say.

use core::fmt;
use core::ops::Deref;

use crate::close::{CloseCode, CloseFrame, CloseReason};
use crate::error::ProtocolError;
use crate::frame::{MAX_CONTROL_PAYLOAD, Mask};

/// Text or binary (RFC 6455 section 5.6).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum MessageKind {
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
        kind: MessageKind,
        /// The bytes. Text is valid up to here, but a code point may be cut at the end.
        data: &'i [u8],
        /// Whether the message begins here.
        first: bool,
        /// Whether the message ends here. The last chunk may be empty.
        fin: bool,
    },
    /// A Ping came in. Unless that is turned off its Pong is queued, as long as no Close of ours is on its way.
    Ping(&'i [u8]),
    /// A Pong came in, asked for or not. Those for keepalive Pings come too, with a counter of 4 bytes as payload.
    Pong(&'i [u8]),
    /// The peer closes, and the answer is queued: a Close with the same code and reason, or our own Close if one was
    /// queued before (RFC 6455 section 5.5.1). No data comes after this event, and none can be sent.
    ///
    /// With an allocator, `Connection::peer_close` returns code and reason later, too.
    CloseReceived {
        /// The code; `None` if the frame has none.
        code: Option<CloseCode>,
        /// The reason; empty if the frame has none.
        reason: &'i str,
    },
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
pub struct EventIndex {
    /// Where its data lies, if it has any. Not in `what`: in one place whatever it is, it stays in registers where it
    /// can.
    pub(crate) place: Place,
    pub(crate) what: What,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum What {
    Message(MessageKind),
    Chunk { kind: MessageKind, first: bool, fin: bool },
    Ping,
    Pong,
    CloseReceived,
    Writable,
    Closed(Outcome),
}

/// An [`EventIndex`] that is a whole message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MessageIndex {
    pub(crate) place: Place,
    pub(crate) kind: MessageKind,
}

impl From<MessageIndex> for EventIndex {
    #[inline]
    fn from(index: MessageIndex) -> Self {
        Self::message(index.place, index.kind)
    }
}

impl From<What> for EventIndex {
    fn from(what: What) -> Self {
        Self { place: Place::gathered(0), what }
    }
}

/// Where the data of an event lies.
///
/// Numbers that are always there, and not an enum with numbers inside: so they stay in registers when an index is
/// returned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) memory: Memory,
}

/// The memory that a [`Place`] is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Memory {
    /// The bytes that arrived.
    Window,
    /// The message that was gathered.
    Message,
    /// The control frame that arrived in several reads.
    Control,
}

impl Place {
    /// In the bytes that arrived.
    #[inline]
    pub(super) const fn arrived(start: usize, end: usize) -> Self {
        Self { start, end, memory: Memory::Window }
    }

    /// The first `len` bytes of the message that was gathered.
    #[inline]
    pub(super) const fn gathered(len: usize) -> Self {
        Self { start: 0, end: len, memory: Memory::Message }
    }

    /// Returns the length of the message that was gathered, if the place is that.
    #[cfg(feature = "alloc")]
    #[inline]
    pub(super) fn gathered_len(self) -> Option<usize> {
        (self.memory == Memory::Message).then_some(self.end)
    }

    /// The first `len` bytes of the control frame that was gathered.
    pub(super) const fn control(len: usize) -> Self {
        Self { start: 0, end: len, memory: Memory::Control }
    }
}

impl EventIndex {
    /// A whole message.
    #[inline]
    pub(crate) const fn message(place: Place, kind: MessageKind) -> Self {
        Self { place, what: What::Message(kind) }
    }

    /// A chunk of one.
    pub(crate) const fn chunk(place: Place, kind: MessageKind, first: bool, fin: bool) -> Self {
        Self { place, what: What::Chunk { kind, first, fin } }
    }
}

/// What receiving owes to sending.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum PendingReply {
    /// A Pong with the payload of a Ping that came in (RFC 6455 section 5.5.2).
    Pong(ControlPayload),
    /// The answer to a Close that came in (RFC 6455 section 5.5.1).
    Close(CloseFrame),
    /// The Close that fails the connection (RFC 6455 section 7.1.7).
    Failure(ProtocolError),
    /// Nothing on the wire: a Pong came in, which ends the wait for one.
    RoundTrip(ControlPayload),
}

/// A [`PendingReply`] whose payload still lies in the input.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reply<'i> {
    Pong(&'i [u8]),
    Close(Option<CloseCode>, &'i str),
    Failure(ProtocolError),
    RoundTrip(&'i [u8]),
}

impl<'i> Reply<'i> {
    /// Returns what the event means for the sending half, if it means anything.
    pub(super) const fn to(event: &Event<'i>) -> Option<Self> {
        match *event {
            Event::Ping(payload) => Some(Self::Pong(payload)),
            Event::Pong(payload) => Some(Self::RoundTrip(payload)),
            Event::CloseReceived { code, reason } => Some(Self::Close(code, reason)),
            _ => None,
        }
    }
}

impl From<Reply<'_>> for PendingReply {
    fn from(reply: Reply<'_>) -> Self {
        // A payload that was received is not too long, so none becomes empty here.
        let payload = |bytes| ControlPayload::new(bytes).unwrap_or(ControlPayload::EMPTY);
        match reply {
            Reply::Pong(bytes) => Self::Pong(payload(bytes)),
            Reply::RoundTrip(bytes) => Self::RoundTrip(payload(bytes)),
            Reply::Close(code, reason) => {
                Self::Close(CloseFrame { code, reason: CloseReason::truncated(reason) })
            }
            Reply::Failure(error) => Self::Failure(error),
        }
    }
}

impl<'r> From<&'r PendingReply> for Reply<'r> {
    fn from(reply: &'r PendingReply) -> Self {
        match reply {
            PendingReply::Pong(payload) => Self::Pong(payload),
            PendingReply::RoundTrip(payload) => Self::RoundTrip(payload),
            PendingReply::Close(frame) => Self::Close(frame.code, frame.reason.as_str()),
            PendingReply::Failure(error) => Self::Failure(*error),
        }
    }
}

impl From<ProtocolError> for PendingReply {
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

    /// Appends bytes of `from`, unmasked, as many as there is room for, and returns their number.
    pub(super) fn push(&mut self, from: &[u8], mask: &mut Mask) -> usize {
        let room = self.bytes.get_mut(usize::from(self.len)..).unwrap_or_default();
        let taken = mask.copy(from, room);
        self.len = u8::try_from(usize::from(self.len) + taken).unwrap_or(self.len);
        taken
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
/// The outcome has the code of the peer's Close. `Connection::peer_close` returns the code
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
    Abnormal(EofPosition),
    /// The peer broke the protocol.
    Failed(ProtocolError),
    /// A timer of the connection ran out before both Closes were done.
    TimedOut(TimerKind),
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
            Self::Abnormal(EofPosition::BetweenMessages) => {
                f.write_str("the stream ended without a Close frame")
            }
            Self::Abnormal(EofPosition::InMessage) => {
                f.write_str("the stream ended without a Close frame, inside a fragmented message")
            }
            Self::Abnormal(EofPosition::InFrame) => {
                f.write_str("the stream ended without a Close frame, inside a frame")
            }
            Self::Failed(error) => fmt::Display::fmt(error, f),
            Self::TimedOut(timer) => write!(f, "{timer}"),
        }
    }
}

/// Where an abnormal end of the stream cut it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EofPosition {
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
pub enum TimerKind {
    /// From a Ping, or the last byte after it, until a Pong. Firing fails the connection with 1011.
    Pong,
    /// From the first Close in either direction until the end of the stream. Firing ends the connection.
    Close,
    /// From the last data in either direction. Firing closes with 1001.
    Idle,
}

impl fmt::Display for TimerKind {
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
    /// [`Connection::handle_half_closed`](crate::Connection::handle_half_closed). What is still on its way in is
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
