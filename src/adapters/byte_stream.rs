//! A WebSocket as a stream of bytes: the rules that the byte streams of all adapters share.
//!
//! A byte stream reads the data of binary messages and ignores the boundaries of messages. [`ByteInput`] decides what a
//! reader gets for each event: data, the end, or an error. [`ByteStreamError`] is the error inside the [`io::Error`]
//! that a byte stream returns.
//!
//! The core refuses text messages ([`Delivery::Bytes`](crate::Delivery::Bytes)). The adapters read from the stream,
//! answer the peer and write: `net/websocket/byte_stream.rs`, `net/byte_halves.rs` and
//! `async_driver/websocket/byte_stream.rs`.
//!
//! ```text
//!            Close without a code, or with 1000, between two messages
//!   Open ─────────────────────────────────────────────▶ Eof       a read returns 0 bytes
//!     │
//!     └─ any other Close, violation, or end ──────────▶ Failed    a read returns the same error each time
//! ```
//!
//! Invariants:
//! - Data is held until the reader has consumed it. Until then the adapter decodes no further event, because the data
//!   lies in the inbox.
//! - `Eof` and `Failed` are final. A connection that ended without a Close from the peer never leads to `Eof`.

use core::fmt;
use std::borrow::Cow;
use std::io::{self, ErrorKind, IoSlice};
use std::prelude::v1::*;

use super::error::Error;
use crate::{
    CloseCode, CloseFrame, CloseReason, EofPosition, Event, EventIndex, MessageKind, Outcome, ProtocolError,
    Receiver, SendError,
};

/// Maximum number of bytes that one write sends as a message.
///
/// The length of a frame with this payload is below the message limits of common WebSocket libraries. This maximum also
/// bounds the bytes that a write queues above the high-water mark.
pub(super) const MAX_WRITE: usize = 64 << 10;

/// The reason why a byte stream returned no more data: the inner error of an [`io::Error`] of a byte stream.
///
/// A read from a `ByteStream` returns this error. The last column has the kind of the [`io::Error`]:
///
/// | variant | when | kind |
/// | --- | --- | --- |
/// | [`Protocol`](Self::Protocol) | the peer sent a text message, or broke the protocol in another way | `InvalidData` |
/// | [`Closed`](Self::Closed) | the peer closed with another code than 1000 | `ConnectionAborted` |
/// | [`ClosedInMessage`](Self::ClosedInMessage) | the peer closed with 1000 or without a code, before the end of a message | `UnexpectedEof` |
/// | [`Ended`](Self::Ended) | the stream ended without a Close | `UnexpectedEof` |
/// | [`Ended`](Self::Ended) | a timer ended the connection | `ConnectionAborted` |
/// | [`Ended`](Self::Ended) | a violation had ended the connection before the WebSocket became a byte stream | `InvalidData` |
/// | [`AlreadyEnded`](Self::AlreadyEnded) | an earlier owner of the connection got the outcome | `NotConnected` |
///
/// ```
/// # #[cfg(feature = "net")] {
/// use hybi::adapters::net::{ByteStreamError, WebSocket};
/// use hybi::{CloseCode, Config, Connection, Inbox, Instant, Outbox};
/// use std::io::{ErrorKind, Read};
///
/// # let connection = Connection::client(Instant::ZERO, Config::new(), Outbox::new(), [1; 32]);
/// # let stream = std::io::Cursor::new(b"\x82\x03abc\x88\x06\x03\xf3full".to_vec());
/// // The server sends three bytes, and closes with 1011.
/// let mut bytes = WebSocket::from_parts(stream, |_| None, connection, Inbox::empty()).into_byte_stream();
/// let mut data = Vec::new();
/// let error = bytes.read_to_end(&mut data).unwrap_err();
/// assert_eq!((&data[..], error.kind()), (&b"abc"[..], ErrorKind::ConnectionAborted));
/// match error.get_ref().and_then(|error| error.downcast_ref()) {
///     Some(ByteStreamError::Closed(close)) => {
///         assert_eq!((close.code, close.reason.as_str()), (Some(CloseCode::INTERNAL_ERROR), "full"));
///     }
///     other => panic!("{other:?}"),
/// }
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ByteStreamError {
    /// The peer broke the protocol, or sent a text message ([`ProtocolError::TextNotAccepted`]). A Close with the code
    /// for this violation was queued.
    Protocol(ProtocolError),
    /// The peer closed with this code and reason. The code is neither 1000 nor absent.
    Closed(CloseFrame),
    /// The peer closed with 1000 or without a code, but it had sent only a part of a message. The rest of this message
    /// is missing.
    ClosedInMessage(CloseFrame),
    /// The connection ended without a Close from the peer. Data may be missing.
    Ended(Outcome),
    /// The connection had already ended when the WebSocket was created from it. The outcome was returned to an earlier
    /// owner of the connection.
    AlreadyEnded,
}

impl ByteStreamError {
    /// Returns the kind of the [`io::Error`] that contains this error.
    const fn kind(&self) -> ErrorKind {
        match self {
            Self::Protocol(_) | Self::Ended(Outcome::Failed(_)) => ErrorKind::InvalidData,
            Self::Ended(Outcome::Abnormal(_)) | Self::ClosedInMessage(_) => ErrorKind::UnexpectedEof,
            // A read that returned `TimedOut` can be repeated. So a final end has another kind.
            Self::Closed(_) | Self::Ended(_) => ErrorKind::ConnectionAborted,
            Self::AlreadyEnded => ErrorKind::NotConnected,
        }
    }
}

impl fmt::Display for ByteStreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(error) => fmt::Display::fmt(error, f),
            Self::Closed(CloseFrame { code, reason }) => {
                let code = code.unwrap_or(CloseCode::NO_STATUS);
                write!(f, "data may be missing: the peer closed with code {code} ({})", code.meaning())?;
                match reason.as_str() {
                    "" => Ok(()),
                    // The `Debug` format escapes control characters, because the peer chooses the text.
                    reason => write!(f, " and the reason {reason:?}"),
                }
            }
            Self::ClosedInMessage(_) => {
                f.write_str("data is missing: the peer closed before the end of a message (RFC 6455 5.4)")
            }
            Self::Ended(outcome) => write!(f, "data may be missing: {outcome}"),
            Self::AlreadyEnded => f.write_str(
                "the connection had ended before it became a byte stream: open a new connection to receive data",
            ),
        }
    }
}

impl core::error::Error for ByteStreamError {
    /// Returns the inner error, which [`Display`](fmt::Display) shows as well.
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Protocol(error) => Some(error),
            _ => None,
        }
    }
}

impl From<ByteStreamError> for io::Error {
    fn from(error: ByteStreamError) -> Self {
        Self::new(error.kind(), error)
    }
}

/// The receiving side of a byte stream: the data that the reader has not consumed, and the end.
#[derive(Debug)]
pub(super) struct ByteInput {
    /// The event whose data is being read, and the number of its bytes that are not consumed. This number is
    /// never 0.
    held: Option<(EventIndex, usize)>,
    end: End,
}

/// The end of the data. The diagram is at the top of this file.
#[derive(Debug)]
enum End {
    Open,
    Eof,
    Failed(Box<ByteStreamError>),
}

impl ByteInput {
    /// Creates the input of a WebSocket with this receiving half, which may have received a Close already.
    pub(super) fn new(receiver: &Receiver) -> Self {
        let mut input = Self { held: None, end: End::Open };
        if let Some(close) = receiver.peer_close() {
            input.handle_close(close, receiver.eof_position());
        }
        input
    }

    /// Returns the result of a read if no further event is needed: `Ok` if data is held or the end is `Eof`, and the
    /// error if the end is `Failed`. Returns `None` if the adapter must decode the next event.
    pub(super) fn ready(&self) -> Option<io::Result<()>> {
        match &self.end {
            _ if self.held.is_some() => Some(Ok(())),
            End::Open => None,
            End::Eof => Some(Ok(())),
            End::Failed(error) => Some(Err((**error).clone().into())),
        }
    }

    /// Returns the data that is not consumed. `event` must return the event of an index. The data is empty at the end,
    /// and before the first event.
    pub(super) fn unread<'i>(&self, event: impl FnOnce(EventIndex) -> Event<'i>) -> &'i [u8] {
        let Some((index, left)) = self.held else { return &[] };
        let (Event::Binary(data) | Event::Chunk { data, .. }) = event(index) else { return &[] };
        data.get(data.len().saturating_sub(left)..).unwrap_or_default()
    }

    /// Removes `len` bytes from the data. Returns whether no data is left.
    pub(super) const fn consume(&mut self, len: usize) -> bool {
        if let Some((index, left)) = self.held {
            self.held = match left.saturating_sub(len) {
                0 => None,
                left => Some((index, left)),
            };
        }
        self.held.is_none()
    }

    /// Handles the event that was decoded last. `position` tells whether, after this event, the decoder is between two
    /// messages or inside a message. Returns whether the event is the peer's Close. In this case the adapter should
    /// write the answer.
    pub(super) fn handle(&mut self, index: EventIndex, event: Event<'_>, position: EofPosition) -> bool {
        match event {
            Event::Binary(data) | Event::Chunk { kind: MessageKind::Binary, data, .. } => {
                self.held = (!data.is_empty()).then_some((index, data.len()));
            }
            // The core refuses text, so these events do not occur. If such an event occurred, its data must not be lost
            // silently.
            Event::Text(_) | Event::Chunk { .. } => self.fail(ProtocolError::TextNotAccepted),
            Event::CloseReceived { code, reason } => {
                self.handle_close(CloseFrame { code, reason: CloseReason::truncated(reason) }, position);
                return true;
            }
            Event::Closed(outcome) => self.end(Some(outcome)),
            _ => {}
        }
        false
    }

    /// Handles the peer's Close. A message that the Close has cut off may have had no event yet, for example if its
    /// first fragment is empty or compressed. So only `position` tells whether a message is complete.
    fn handle_close(&mut self, close: CloseFrame, position: EofPosition) {
        self.store_end(match close.code {
            None | Some(CloseCode::NORMAL | CloseCode::NO_STATUS)
                if position != EofPosition::BetweenMessages =>
            {
                End::Failed(Box::new(ByteStreamError::ClosedInMessage(close)))
            }
            // `close()` in a browser sends a Close without a code.
            None | Some(CloseCode::NORMAL | CloseCode::NO_STATUS) => End::Eof,
            Some(_) => End::Failed(Box::new(ByteStreamError::Closed(close))),
        });
    }

    /// Handles a violation of the protocol.
    pub(super) fn fail(&mut self, error: ProtocolError) {
        self.store_end(End::Failed(Box::new(ByteStreamError::Protocol(error))));
    }

    /// Handles the end of the connection. `outcome` is `None` if an earlier owner of the connection got the outcome.
    pub(super) fn end(&mut self, outcome: Option<Outcome>) {
        self.store_end(End::Failed(Box::new(
            outcome.map_or(ByteStreamError::AlreadyEnded, ByteStreamError::Ended),
        )));
    }

    /// Stores the end if no end was stored before.
    fn store_end(&mut self, end: End) {
        if matches!(self.end, End::Open) {
            self.end = end;
        }
    }
}

/// Converts the error of a call that sends to the error that a write returns.
pub(super) fn write_error(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::Send(error @ SendError::Closed) => io::Error::new(ErrorKind::BrokenPipe, error),
        error => io::Error::other(error),
    }
}

/// Returns the bytes that a write of `from` sends as one message: at most [`MAX_WRITE`] bytes. Copies the bytes only if
/// they lie in several slices.
pub(super) fn message_of<'b>(from: &'b [IoSlice<'b>]) -> Cow<'b, [u8]> {
    let mut slices = from.iter().filter(|slice| !slice.is_empty());
    let first: &[u8] = slices.next().map_or(&[], |slice| slice);
    let mut message = Cow::Borrowed(first.get(..MAX_WRITE).unwrap_or(first));
    for slice in slices {
        let space = MAX_WRITE - message.len();
        if space == 0 {
            break;
        }
        message.to_mut().extend_from_slice(slice.get(..space).unwrap_or(slice));
    }
    message
}
