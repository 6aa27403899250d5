//! The error of calls on an open WebSocket, shared by all adapters.
//!
//! [`Error`] tells four causes apart: the stream, the peer, the call itself, and an end without a Close. Errors of a
//! handshake are in `handshake_driver/`.
//!
//! Invariant: no error is fatal for the value. After each one the WebSocket can be called again, up to its end.

use core::fmt;
use std::io;

use crate::{Outcome, ProtocolError, SendError};

/// The reason why a call on an open WebSocket failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// Reading from the stream or writing to it failed. The connection is lost, but `next_event` still returns the
    /// input that had arrived.
    ///
    /// Two kinds are no failures, and the call can be made again:
    ///
    /// - [`io::ErrorKind::WouldBlock`]: the application has set the stream to non-blocking mode, and the stream is not
    ///   ready. `interest` returns the conditions to wait for.
    /// - [`io::ErrorKind::TimedOut`]: a call with a timeout had no result in time.
    Io(io::Error),
    /// The peer broke the protocol, and a Close was sent to it. Further calls of `next_event` lead to the end of the
    /// connection.
    Protocol(ProtocolError),
    /// The call was refused. No part of its message was sent, and nothing else has changed.
    ///
    /// [`SendError::Closed`] has two more meanings. A call that writes returns it if messages were accepted, by this
    /// call or an earlier one, and then dropped: the connection closed, failed or ended before they were written. A
    /// part of them may have been sent. `wait_closed` returns it if the end was reported elsewhere.
    Send(SendError),
    /// The connection ended without a Close from the peer, so messages may be missing.
    ///
    /// Returned only after a call of `error_on_abnormal_end`, and once.
    Ended(Outcome),
}

/// Returns the result of a call that receives, after the last message.
///
/// If `tells` is true and the peer has not closed, the result is an error. `tells` becomes false, so the error is
/// returned once.
pub(super) fn end_of_messages<M>(outcome: Option<Outcome>, tells: &mut bool) -> Result<Option<M>, Error> {
    let tells = core::mem::take(tells);
    match outcome {
        None | Some(Outcome::Clean { .. } | Outcome::Unanswered { .. }) => Ok(None),
        Some(outcome) if tells => Err(Error::Ended(outcome)),
        Some(_) => Ok(None),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the stream failed: {error}"),
            Self::Protocol(error) => fmt::Display::fmt(error, f),
            Self::Send(error) => fmt::Display::fmt(error, f),
            Self::Ended(outcome) => write!(f, "messages may be missing: {outcome}"),
        }
    }
}

impl core::error::Error for Error {
    /// Returns the inner error, which [`Display`](fmt::Display) shows as well.
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Protocol(error) => Some(error),
            Self::Send(error) => Some(error),
            Self::Ended(_) => None,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ProtocolError> for Error {
    fn from(error: ProtocolError) -> Self {
        Self::Protocol(error)
    }
}

impl From<SendError> for Error {
    fn from(error: SendError) -> Self {
        Self::Send(error)
    }
}
