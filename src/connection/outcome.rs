//! How a connection ended: its [`Outcome`], and the values that the outcome contains.
//!
//! This file contains plain values. `close_state.rs` decides how the closing handshake ends, and the sending half turns
//! this decision into an outcome. [`Event::Closed`](crate::Event::Closed) reports the outcome.
//!
//! Invariant: an outcome is clean only if both sides sent a Close.

use core::fmt;

use crate::close::CloseCode;
use crate::error::ProtocolError;

/// How a connection ended.
///
/// Check [`is_clean`](Self::is_clean) before you treat the received messages as complete. In a loop over messages, a
/// peer that closed and a stream that broke off look the same: no further message is returned.
///
/// A clean end means that both sides sent a Close, and a peer sends its Close after all its messages. After
/// [`Abnormal`](Self::Abnormal) the last messages may be missing, because the peer crashed or the network cut the
/// stream. The code of such an end is 1006 (RFC 6455 section 7.1.5).
///
/// `Connection::peer_close` returns the code and the reason of the peer's Close. It also returns them after
/// [`TimedOut`](Self::TimedOut), if the peer closed but did not read our answer. If `peer_close` returns a Close, the
/// peer's messages are complete.
///
/// ```
/// # #[cfg(feature = "alloc")] {
/// use hybi::{Config, Connection, Event, Inbox, Instant, Outbox};
///
/// /// Returns all data that the server sent, or the reason why the data is not complete.
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
    /// Both sides sent a Close, and the peer's Close was received before the stream ended (RFC 6455 section 7.1.4).
    Clean {
        /// The code of the peer's Close; 1005 if the Close had no code (RFC 6455 section 7.1.5).
        code: CloseCode,
    },
    /// The peer closed, but the stream ended or failed before our Close was written. The peer's messages are complete.
    /// The last messages that we sent may be lost.
    Unanswered {
        /// The code of the peer's Close; 1005 if the Close had no code.
        code: CloseCode,
    },
    /// The stream ended without a Close from the peer (1006), for instance because of a crash, a broken network or a
    /// proxy.
    Abnormal(EofPosition),
    /// The peer broke a rule of the protocol.
    Failed(ProtocolError),
    /// A timer of the connection expired before the closing handshake was complete.
    TimedOut(TimerKind),
}

impl Outcome {
    /// Returns the close code of RFC 6455 section 7.1.5.
    ///
    /// After [`Clean`](Self::Clean) and [`Unanswered`](Self::Unanswered), the result is the code of the peer's Close,
    /// or 1005 if that Close had no code. After every other outcome the result is 1006. 1005 and 1006 are never sent in
    /// a frame.
    ///
    /// In one case the result differs from the RFC. After [`TimedOut`](Self::TimedOut) the result is 1006, even if the
    /// peer's Close was received before. In this case `Connection::peer_close` returns the code of this Close.
    #[must_use]
    pub const fn code(&self) -> CloseCode {
        match self {
            Self::Clean { code } | Self::Unanswered { code } => *code,
            _ => CloseCode::ABNORMAL,
        }
    }

    /// Returns whether the closing handshake was completed (RFC 6455 section 7.1.4): the peer's Close was received, and
    /// our Close was written.
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
    /// The stream ended outside of messages and frames, so that only the Close is missing.
    BetweenMessages,
    /// The stream ended between two fragments of a message.
    InMessage,
    /// The stream ended inside a frame.
    InFrame,
}

/// The timers that can end a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TimerKind {
    /// Runs from a Ping until its Pong. Each received byte restarts the timer. When it expires, the connection fails
    /// with 1011.
    Pong,
    /// Runs from the first Close in either direction until the end of the stream. When it expires, the connection ends.
    Close,
    /// Runs from the last data in either direction. When it expires, the connection is closed with 1001.
    Idle,
}

impl fmt::Display for TimerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pong => "the peer was silent for too long after a Ping",
            Self::Close => "closing took too long: the peer did not answer, or did not read",
            Self::Idle => "no data was sent or received for too long",
        })
    }
}
