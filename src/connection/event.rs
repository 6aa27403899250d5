//! Events of a connection, the replies that they ask for, and how a connection ends.
//!
//! This file holds plain values. Receiving produces an [`EventIndex`], which says where the data of an event lies, and
//! [`Input::event`](crate::Input::event) turns it into an [`Event`] that borrows the data. A [`PendingReply`] carries
//! to the sending half what an event asks for.
//!
//! Invariants:
//! - An event borrows from the input, never from the connection. The connection can send while an event is held.
//! - An index is plain numbers: it stays in registers on the way of a small message ([`Place`]).
//! - At most one [`Event::Closed`] is produced, and nothing after it.

use core::fmt;
use core::ops::Deref;

use crate::close::{CloseCode, CloseFrame, CloseReason};
use crate::error::ProtocolError;
use crate::frame::{MAX_CONTROL_PAYLOAD, Mask};

/// The kind of a message: text or binary (RFC 6455 section 5.6).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum MessageKind {
    /// UTF-8 text.
    Text,
    /// Bytes.
    Binary,
}

/// An event of a connection.
///
/// Its data borrows from the memory that was lent to the call, never from the connection. So the connection can send
/// while the event is held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event<'i> {
    /// A whole text message.
    Text(&'i str),
    /// A whole binary message.
    Binary(&'i [u8]),
    /// A piece of a message. It comes with [`Delivery::Chunks`](crate::Delivery::Chunks), or if the message outgrew
    /// memory of fixed size.
    Chunk {
        /// The kind of the message.
        kind: MessageKind,
        /// The bytes. Text is valid UTF-8 so far, but the end of a chunk may cut a code point.
        data: &'i [u8],
        /// Whether the message begins here.
        first: bool,
        /// Whether the message ends here. The last chunk may be empty.
        fin: bool,
    },
    /// A Ping came in. Its Pong is queued unless [`Config::auto_pong`](crate::Config::auto_pong) is off or our Close is
    /// being written.
    Ping(&'i [u8]),
    /// A Pong came in, solicited or not. The Pong to a keepalive Ping has a counter of 4 bytes as its payload.
    Pong(&'i [u8]),
    /// The peer closes, and the answer is queued. No data comes after this event, and none can be sent.
    ///
    /// The answer is a Close with the same code and reason, or our own Close if one was queued before (RFC 6455 section
    /// 5.5.1). With an allocator, `Connection::peer_close` returns code and reason later, too.
    CloseReceived {
        /// The code; `None` if the frame has none.
        code: Option<CloseCode>,
        /// The reason; empty if the frame has none.
        reason: &'i str,
    },
    /// A message can be sent again, after a send failed with [`Blocked`](crate::SendError::Blocked).
    Writable,
    /// The connection has ended. This is the last event, and comes exactly once. The transport may be dropped.
    ///
    /// It comes after a Close, and also if the stream ended without one. [`Outcome::is_clean`] tells them apart.
    Closed(Outcome),
}

/// An [`Event`] without its borrow: the place of its data in the [`Input`](crate::Input) it came from.
///
/// [`Input::event`](crate::Input::event) turns it into the event. A loop that reads until it can return something holds
/// the index where the borrow checker does not let it hold the event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventIndex {
    /// The place of the data; an empty one if the event has none. It is not a part of `what`, because a field that is
    /// always in the same place stays in a register.
    pub(crate) place: Place,
    pub(crate) what: What,
}

/// The kind of an event, with everything but its data.
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

/// The [`EventIndex`] of a whole message.
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

/// The place of an event's data.
///
/// Two numbers and a flag instead of an enum with numbers inside, so that an index is returned in registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) memory: Memory,
}

/// The memory that a [`Place`] refers to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Memory {
    /// The window: the bytes that arrived.
    Window,
    /// The message that was gathered from several frames or reads.
    Message,
    /// The payload of a control frame that arrived in several reads.
    Control,
}

impl Place {
    /// Returns a place in the bytes that arrived.
    #[inline]
    pub(super) const fn arrived(start: usize, end: usize) -> Self {
        Self { start, end, memory: Memory::Window }
    }

    /// Returns the place of the first `len` bytes of the gathered message.
    #[inline]
    pub(super) const fn gathered(len: usize) -> Self {
        Self { start: 0, end: len, memory: Memory::Message }
    }

    /// Returns the length of the gathered message; `None` for a place in other memory.
    #[cfg(feature = "alloc")]
    #[inline]
    pub(super) fn gathered_len(self) -> Option<usize> {
        (self.memory == Memory::Message).then_some(self.end)
    }

    /// Returns the place of the first `len` bytes of the gathered control payload.
    pub(super) const fn control(len: usize) -> Self {
        Self { start: 0, end: len, memory: Memory::Control }
    }
}

impl EventIndex {
    /// Creates the index of a whole message.
    #[inline]
    pub(crate) const fn message(place: Place, kind: MessageKind) -> Self {
        Self { place, what: What::Message(kind) }
    }

    /// Creates the index of one chunk of a message.
    pub(crate) const fn chunk(place: Place, kind: MessageKind, first: bool, fin: bool) -> Self {
        Self { place, what: What::Chunk { kind, first, fin } }
    }
}

/// A value that the receiving half hands to the sending half: a reply to the peer, or what the timers must know.
///
/// [`Input::reply`](crate::Input::reply) creates the reply to an event. [`Sender::apply`](crate::Sender::apply) carries
/// out every value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum PendingReply {
    /// A Pong with the payload of a Ping that came in (RFC 6455 section 5.5.2).
    Pong(ControlPayload),
    /// A Close that answers the peer's (RFC 6455 section 5.5.1).
    Close(CloseFrame),
    /// A Close that fails the connection (RFC 6455 section 7.1.7).
    Failure(ProtocolError),
    /// No frame: a Pong came in, which ends the wait for it.
    RoundTrip(ControlPayload),
    /// No frame: input came in, so the peer is alive.
    ///
    /// Apply it after each poll of the receiving half that took input in, and before the reply to its event. Applying
    /// it late is harmless: timers then run longer, and none fires too soon.
    Received {
        /// Whether a part of a data frame was among the input: [`Receiver::saw_data`](crate::Receiver::saw_data).
        data: bool,
    },
    /// No frame: the input has ended at this position, and the peer may still read. See
    /// [`Sender::handle_input_ended`](crate::Sender::handle_input_ended).
    InputEnded(EofPosition),
}

/// A [`PendingReply`] whose payload still lies in the input.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reply<'i> {
    Pong(&'i [u8]),
    Close(Option<CloseCode>, &'i str),
    Failure(ProtocolError),
    RoundTrip(&'i [u8]),
    Received { data: bool },
    InputEnded(EofPosition),
}

impl<'i> Reply<'i> {
    /// Returns the reply that `event` asks for, if any.
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
        // A control payload that was received fits, so the fallback is never taken.
        let payload = |bytes| ControlPayload::new(bytes).unwrap_or(ControlPayload::EMPTY);
        match reply {
            Reply::Pong(bytes) => Self::Pong(payload(bytes)),
            Reply::RoundTrip(bytes) => Self::RoundTrip(payload(bytes)),
            Reply::Close(code, reason) => {
                Self::Close(CloseFrame { code, reason: CloseReason::truncated(reason) })
            }
            Reply::Failure(error) => Self::Failure(error),
            Reply::Received { data } => Self::Received { data },
            Reply::InputEnded(position) => Self::InputEnded(position),
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
            PendingReply::Received { data } => Self::Received { data: *data },
            PendingReply::InputEnded(position) => Self::InputEnded(*position),
        }
    }
}

impl From<ProtocolError> for PendingReply {
    fn from(error: ProtocolError) -> Self {
        Self::Failure(error)
    }
}

/// The payload of a Ping or Pong by value, at most 125 bytes. Dereferences to the bytes.
#[derive(Clone, Copy)]
pub struct ControlPayload {
    len: u8,
    bytes: [u8; MAX_CONTROL_PAYLOAD],
}

impl ControlPayload {
    /// An empty payload.
    pub const EMPTY: Self = Self { len: 0, bytes: [0; MAX_CONTROL_PAYLOAD] };

    /// Copies `bytes`; returns `None` if they are more than 125.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut payload = Self::EMPTY;
        payload.len = u8::try_from(bytes.len()).ok()?;
        payload.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(payload)
    }

    /// Unmasks bytes of `from` and appends as many as fit. Returns their number.
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
/// A loop over messages sees no difference between a peer that closed and a stream that stopped between two messages.
/// In both cases no further message comes. So check [`is_clean`](Self::is_clean) before you treat the messages as
/// complete: it is true if both sides sent a Close, and a peer sends its Close last. After [`Abnormal`](Self::Abnormal)
/// the last messages may be missing, because the peer crashed or the network cut the stream. RFC 6455 section 7.1.5
/// gives such an end the code 1006.
///
/// `Connection::peer_close` returns the code of the peer's Close with its reason. It
/// returns them also after [`TimedOut`](Self::TimedOut), if the peer closed but did not take our answer. Whenever it
/// returns a Close, the messages of the peer are complete.
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
    /// Both sides sent a Close, and the peer's came in before the stream ended (RFC 6455 section 7.1.4).
    Clean {
        /// The code of the peer's Close; 1005 if it had none (RFC 6455 section 7.1.5).
        code: CloseCode,
    },
    /// The peer closed, but the stream ended or failed before our Close was written. The messages of the peer are
    /// complete. The last of ours may be lost.
    Unanswered {
        /// The code of the peer's Close; 1005 if it had none.
        code: CloseCode,
    },
    /// The stream ended without a Close from the peer (1006), for instance because of a crash, a broken network or a
    /// proxy.
    Abnormal(EofPosition),
    /// The peer broke a rule of the protocol.
    Failed(ProtocolError),
    /// A timer of the connection ran out before both Closes were done.
    TimedOut(TimerKind),
}

impl Outcome {
    /// Returns the close code as RFC 6455 section 7.1.5 defines it.
    ///
    /// This is the code of the first Close that came in, 1005 if that Close had none, and 1006 if no Close came in.
    /// 1005 and 1006 never appear on the wire.
    #[must_use]
    pub const fn code(&self) -> CloseCode {
        match self {
            Self::Clean { code } | Self::Unanswered { code } => *code,
            _ => CloseCode::ABNORMAL,
        }
    }

    /// Returns whether the closing handshake was completed (RFC 6455 section 7.1.4): the peer's Close came in, and ours
    /// was written.
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

/// The position in the protocol at which the stream ended abnormally.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EofPosition {
    /// After a whole message: only the Close is missing.
    BetweenMessages,
    /// Between two fragments of a message.
    InMessage,
    /// Inside a frame.
    InFrame,
}

/// The timers of a connection that can end it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TimerKind {
    /// Runs from a Ping, or from the last byte after it, until a Pong. When it fires, the connection fails with 1011.
    Pong,
    /// Runs from the first Close in either direction until the end of the stream. When it fires, the connection ends.
    Close,
    /// Runs from the last data in either direction. When it fires, the connection is closed with 1001.
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

/// An action that the driver takes on the transport, besides reading and writing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TransportAction {
    /// Close the sending half, report it with
    /// [`Connection::handle_half_closed`](crate::Connection::handle_half_closed), and read until the end of the stream.
    ///
    /// Bytes that are still on their way in are discarded. If they were left unread, the system would send a reset,
    /// which can destroy our Close on its way out.
    HalfClose,
    /// Close the transport: nothing is left to be written or read.
    Close,
    /// Drop the transport with the bytes that may lie unsent in it: the peer is dead or does not read.
    Abort,
}

/// Counts of what has passed in one direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Counters {
    /// Whole messages.
    pub messages: u64,
    /// Frames, control frames included.
    pub frames: u64,
    /// Bytes on the wire, headers included.
    pub bytes: u64,
}
