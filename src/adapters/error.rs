//! The error of calls on an open WebSocket, shared by all adapters.
//!
//! [`Error`] distinguishes four causes: the stream, the peer, the call itself, and an end without a Close. The errors
//! of handshakes are in `handshake_driver/`.
//!
//! Invariant: after each error the WebSocket can be called again, until it has reported its end.

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
    /// Two kinds of I/O errors are not failures. After them the WebSocket can be used further, and the method that
    /// returned the error documents the next call:
    ///
    /// - [`io::ErrorKind::WouldBlock`]: the application has set the stream to non-blocking mode, and the stream is not
    ///   ready. `interest` returns the conditions to wait for.
    /// - [`io::ErrorKind::TimedOut`]: a call with a timeout had no result in time.
    Io(io::Error),
    /// The peer violated the protocol. A Close with the code of the violation was queued. Call `next_event` again until
    /// the connection has ended.
    Protocol(ProtocolError),
    /// The call was refused. No part of its message was sent, and nothing else has changed.
    ///
    /// [`SendError::Closed`] has two more meanings:
    ///
    /// - A call that writes returns this error if the connection closed, failed or ended before all accepted messages
    ///   were written. In this case the call was not refused, and its own message may have been accepted. The bytes
    ///   that were not written were dropped.
    /// - `wait_closed` returns this error if the connection had already ended when the WebSocket was created from it.
    Send(SendError),
    /// The connection ended without a Close from the peer, so messages may be missing.
    ///
    /// A call returns this error only if `error_on_abnormal_end` was called before. The error is returned once.
    Ended(Outcome),
}

/// Returns the result of a call that receives messages, when no further message follows.
///
/// The result is an error if the connection ended without a Close from the peer, and `reports` is true. Sets `reports`
/// to false, so that the error is returned only once.
pub(super) fn end_of_messages<M>(outcome: Option<Outcome>, reports: &mut bool) -> Result<Option<M>, Error> {
    let reports = core::mem::take(reports);
    match outcome {
        None | Some(Outcome::Clean { .. } | Outcome::Unanswered { .. }) => Ok(None),
        Some(outcome) if reports => Err(Error::Ended(outcome)),
        Some(_) => Ok(None),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The two kinds below are not failures. But an error of the operating system, which has a number, is always
            // a failure of the stream.
            Self::Io(error) if error.raw_os_error().is_none() => match error.kind() {
                io::ErrorKind::WouldBlock => fmt::Display::fmt(error, f),
                io::ErrorKind::TimedOut => f.write_str("the timeout of the call has passed: call again"),
                _ => write!(f, "the stream failed: {error}"),
            },
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
