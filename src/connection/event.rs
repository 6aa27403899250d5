//! Events of a connection, and the replies that they ask for.
//!
//! This file contains plain values. The receiving half returns an [`EventIndex`], which says where the data of an event
//! lies. [`Input::event`](crate::Input::event) turns the index into an [`Event`] that borrows the data. Some events
//! require a reply to the peer. A [`PendingReply`] carries this reply to the sending half. `outcome.rs` describes how a
//! connection ended.
//!
//! Invariants:
//! - An event borrows from the input, never from the connection. The connection can send while an event is held.
//! - An index consists of numbers only, so that it can stay in registers ([`Place`]).
//! - At most one [`Event::Closed`] is produced, and no event follows it.

use core::fmt;
use core::ops::Deref;

use crate::close::{CloseCode, CloseFrame, CloseReason};
use crate::connection::outcome::{EofPosition, Outcome};
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
/// The data of an event borrows from the input that was passed to the call, never from the connection. So the
/// connection can send while the event is held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event<'i> {
    /// A whole text message.
    Text(&'i str),
    /// A whole binary message.
    Binary(&'i [u8]),
    /// A piece of a message. Messages are delivered in pieces with [`Delivery::Chunks`](crate::Delivery::Chunks), or if
    /// a message is longer than a message buffer of fixed size.
    Chunk {
        /// The kind of the message.
        kind: MessageKind,
        /// The bytes. The text of all chunks so far is valid UTF-8, but the end of this chunk may cut its last code
        /// point.
        data: &'i [u8],
        /// Whether the message begins here.
        first: bool,
        /// Whether the message ends here. The last chunk may be empty.
        fin: bool,
    },
    /// A Ping was received. The Pong is already queued. No Pong is queued if
    /// [`Config::auto_pong`](crate::Config::auto_pong) is off, or if our Close is being written.
    Ping(&'i [u8]),
    /// A Pong was received. It may be unsolicited. The Pong to a keepalive Ping has a counter of 4 bytes as its
    /// payload.
    Pong(&'i [u8]),
    /// The peer closes, and the answer is queued. After this event no data is received, and no data can be sent.
    ///
    /// The answer is a Close with the same code and reason, or our own Close if it was queued before (RFC 6455 section
    /// 5.5.1). With an allocator, `Connection::peer_close` also returns the code and the reason later.
    CloseReceived {
        /// The code; `None` if the frame has no code.
        code: Option<CloseCode>,
        /// The reason; empty if the frame has no reason.
        reason: &'i str,
    },
    /// Messages are accepted again, after a send failed with [`Blocked`](crate::SendError::Blocked).
    Writable,
    /// The connection has ended. This event is the last one, and it is returned exactly once. The transport may be
    /// dropped.
    ///
    /// The stream may have ended after a Close or without one. [`Outcome::is_clean`] tells the two apart.
    Closed(Outcome),
}

/// An [`Event`] without a borrow: the kind of the event, and the position of its data in the [`Input`](crate::Input).
///
/// [`Input::event`](crate::Input::event) turns the index into the event. A function that reads in a loop keeps the
/// index, because the borrow checker does not let the loop keep the event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventIndex {
    /// The position of the data; empty if the event has no data. The position is not a part of `kind`, because a field
    /// with a constant offset stays in a register.
    pub(crate) place: Place,
    pub(crate) kind: EventKind,
}

/// The kind of an event: all parts of an [`Event`] except the borrowed data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum EventKind {
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

impl From<EventKind> for EventIndex {
    fn from(kind: EventKind) -> Self {
        Self { place: Place::gathered(0), kind }
    }
}

/// The position of an event's data: a range of bytes in one of three memories.
///
/// The type consists of two numbers and a tag instead of an enum that contains numbers. So an index is returned in
/// registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) memory: Memory,
}

/// The memory that a [`Place`] refers to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Memory {
    /// The read buffer: the bytes that arrived.
    ReadBuffer,
    /// The message buffer: a message that was gathered from several frames or reads.
    Message,
    /// The payload of a control frame that arrived in several reads.
    Control,
}

impl Place {
    /// Returns the position of data in the read buffer.
    #[inline]
    pub(super) const fn arrived(start: usize, end: usize) -> Self {
        Self { start, end, memory: Memory::ReadBuffer }
    }

    /// Returns the position of the first `len` bytes of the gathered message.
    #[inline]
    pub(super) const fn gathered(len: usize) -> Self {
        Self { start: 0, end: len, memory: Memory::Message }
    }

    /// Returns the length of the gathered message; `None` if the data lies in other memory.
    #[cfg(feature = "alloc")]
    #[inline]
    pub(super) fn gathered_len(self) -> Option<usize> {
        (self.memory == Memory::Message).then_some(self.end)
    }

    /// Returns the position of the first `len` bytes of the gathered control payload.
    pub(super) const fn control(len: usize) -> Self {
        Self { start: 0, end: len, memory: Memory::Control }
    }
}

impl EventIndex {
    /// Creates the index of a whole message.
    #[inline]
    pub(crate) const fn message(place: Place, kind: MessageKind) -> Self {
        Self { place, kind: EventKind::Message(kind) }
    }

    /// Creates the index of one chunk of a message.
    pub(crate) const fn chunk(place: Place, kind: MessageKind, first: bool, fin: bool) -> Self {
        Self { place, kind: EventKind::Chunk { kind, first, fin } }
    }
}

/// A value that the receiving half passes to the sending half: a reply to the peer, or a fact that the timers need.
///
/// [`Input::reply`](crate::Input::reply) creates the reply to an event. [`Sender::apply`](crate::Sender::apply) carries
/// out each value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum PendingReply {
    /// A Pong with the payload of a received Ping (RFC 6455 section 5.5.2).
    Pong(ControlPayload),
    /// A Close that answers the peer's Close (RFC 6455 section 5.5.1).
    Close(CloseFrame),
    /// A Close that fails the connection (RFC 6455 section 7.1.7).
    Failure(ProtocolError),
    /// A Pong was received. It may be the answer that the Pong timer waits for. No frame is sent.
    RoundTrip(ControlPayload),
    /// Input was received, so the peer is alive. No frame is sent.
    ///
    /// Apply this value after each poll of the receiving half that consumed input. Apply it before the reply to the
    /// event of the poll, and before [`Sender::handle_timeout`](crate::Sender::handle_timeout). Otherwise a timer may
    /// expire although input has arrived. If the time that is passed to [`Sender::apply`](crate::Sender::apply) is
    /// later than the arrival, the timers expire later.
    Received {
        /// Whether the input contained a part of a data frame:
        /// [`Receiver::last_poll_had_data`](crate::Receiver::last_poll_had_data).
        data: bool,
    },
    /// The receiving half has returned an event, and has not decoded the rest of the input. The rest may contain the
    /// answer to a Ping. No frame is sent.
    ///
    /// Apply this value with the time at which the input was received, before
    /// [`Sender::handle_timeout`](crate::Sender::handle_timeout). This value stops the Pong timeout of all Pings that
    /// were written before that time. The next keepalive Ping may be sent.
    Undecoded,
    /// The input has ended at this position in the protocol, and the peer may still read our output. No frame is sent.
    /// See [`Sender::handle_peer_half_closed`](crate::Sender::handle_peer_half_closed).
    PeerHalfClosed(EofPosition),
}

/// A [`PendingReply`] whose payload still lies in the input.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reply<'i> {
    Pong(&'i [u8]),
    Close(Option<CloseCode>, &'i str),
    Failure(ProtocolError),
    RoundTrip(&'i [u8]),
    Received { data: bool },
    Undecoded,
    PeerHalfClosed(EofPosition),
}

impl<'i> Reply<'i> {
    /// Returns the reply to `event`; `None` if the event needs no reply.
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
        // A received control payload has at most 125 bytes, so the fallback is never used.
        let payload = |bytes| ControlPayload::new(bytes).unwrap_or(ControlPayload::EMPTY);
        match reply {
            Reply::Pong(bytes) => Self::Pong(payload(bytes)),
            Reply::RoundTrip(bytes) => Self::RoundTrip(payload(bytes)),
            Reply::Close(code, reason) => {
                Self::Close(CloseFrame { code, reason: CloseReason::truncated(reason) })
            }
            Reply::Failure(error) => Self::Failure(error),
            Reply::Received { data } => Self::Received { data },
            Reply::Undecoded => Self::Undecoded,
            Reply::PeerHalfClosed(position) => Self::PeerHalfClosed(position),
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
            PendingReply::Undecoded => Self::Undecoded,
            PendingReply::PeerHalfClosed(position) => Self::PeerHalfClosed(*position),
        }
    }
}

impl From<ProtocolError> for PendingReply {
    fn from(error: ProtocolError) -> Self {
        Self::Failure(error)
    }
}

/// The payload of a Ping or Pong as a value of at most 125 bytes. It dereferences to the bytes.
#[derive(Clone, Copy)]
pub struct ControlPayload {
    len: u8,
    bytes: [u8; MAX_CONTROL_PAYLOAD],
}

impl ControlPayload {
    /// An empty payload.
    pub const EMPTY: Self = Self { len: 0, bytes: [0; MAX_CONTROL_PAYLOAD] };

    /// Copies `bytes`. Returns `None` if there are more than 125 bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut payload = Self::EMPTY;
        payload.len = u8::try_from(bytes.len()).ok()?;
        payload.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(payload)
    }

    /// Unmasks and appends as many bytes of `from` as fit. Returns the number of appended bytes.
    pub(super) fn push(&mut self, from: &[u8], mask: &mut Mask) -> usize {
        let space = self.bytes.get_mut(usize::from(self.len)..).unwrap_or_default();
        let taken = mask.copy(from, space);
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

/// An action that the driver must take on the transport, in addition to reading and writing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TransportAction {
    /// Close the sending half of the transport, call
    /// [`Connection::handle_half_closed`](crate::Connection::handle_half_closed), and read until the end of the stream.
    ///
    /// The connection discards the bytes that are read. If the driver did not read them, the operating system would
    /// send a reset, and the peer could lose our Close.
    HalfClose,
    /// Close the transport. Nothing is left to be written or read.
    Close,
    /// Drop the transport together with any unsent bytes in it, because the peer is dead, does not read, or did not
    /// answer our Close.
    Abort,
}

/// Counts of messages, frames and bytes in one direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Counters {
    /// The number of whole messages.
    pub messages: u64,
    /// The number of frames, including control frames.
    pub frames: u64,
    /// The number of bytes on the wire, including headers.
    pub bytes: u64,
}
