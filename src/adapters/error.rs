//! What can go wrong once a WebSocket is open.

use core::fmt;
use std::io;

use crate::{Outcome, ProtocolError, SendError};

/// Why a call on an open WebSocket failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// Reading or writing failed. The connection is as good as ended; `next` still gives what had come in. Two kinds are
    /// no failures, and the call can be made again:
    ///
    /// * [`io::ErrorKind::WouldBlock`], from a stream that the application has set not to block. `interest` says what to
    ///   wait for.
    /// * [`io::ErrorKind::TimedOut`], from a call that was given so long.
    Io(io::Error),
    /// The peer broke the protocol, and has been told so. `next` goes on to the end of the connection.
    Protocol(ProtocolError),
    /// The call was refused. Nothing of its message was sent, and nothing has changed, with one exception.
    ///
    /// [`SendError::Closed`] may also follow acceptance. A call of an adapter that writes returns it where messages that had been accepted, by this call or by an earlier one, were dropped: the connection closed, failed or
    /// ended before they were written. A part of them may have been sent. `wait_closed` returns it where the end was told
    /// elsewhere.
    Send(SendError),
    /// The messages have ended, but not because the peer closed: what it wanted to send may be missing. Only for those
    /// who ask for it with `error_on_abnormal_end`.
    Ended(Outcome),
}

/// What a call that receives messages gives behind the last one; `tells` says whether an end without a Close from the peer
/// is to be told as an error, which is done once.
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
    /// What lies behind the error inside, which is told by [`Display`](fmt::Display) already.
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Io(error) => error.source(),
            Self::Protocol(error) => error.source(),
            Self::Send(error) => error.source(),
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
