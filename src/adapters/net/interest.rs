//! The conditions to wait for after a call on a non-blocking stream returned `WouldBlock`.
//!
//! An application with many sockets in one thread sets them to non-blocking mode and waits with its own poll loop.
//! [`Interest`] tells it which readiness to wait for, and for how long. The value travels inside the [`Error::Io`] that
//! the call returns, and [`Error::interest`] takes it out.
//!
//! `write_driver.rs` and the loops in `run_loop.rs` and `reader.rs` decide which conditions apply.

use core::fmt;
use core::time::Duration;
use std::io::{self, ErrorKind};

use crate::adapters::error::Error;

/// The conditions to wait for after a call on a non-blocking stream could not continue. [`Error::interest`] returns it.
///
/// Make the next call when the first of the three conditions holds. Any call is suitable: it finds out which
/// condition holds.
///
/// ```
/// use hybi::adapters::net::{Client, Error, Server};
///
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// let url = format!("ws://{}/", listener.local_addr()?);
/// let server = std::thread::spawn(move || Server::new().accept(listener.accept().unwrap().0).unwrap());
/// let mut ws = Client::new().connect(&url)?;
/// ws.stream().set_nonblocking(true)?;
/// match ws.next_event() {
///     Err(error) => {
///         // Give this to mio, or to whatever waits for many sockets at once.
///         let interest = error.interest().expect("nothing has failed");
///         assert!(interest.readable && !interest.writable);
///     }
///     other => panic!("nobody has sent anything: {other:?}"),
/// }
/// # drop(server.join());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Interest {
    /// Wait until the stream is readable.
    ///
    /// `false` if the call cannot take more input. Either the stream has ended, or a call that sends has filled the
    /// read-ahead buffer, or the other half of a split WebSocket reads.
    pub readable: bool,
    /// Wait until the stream is writable.
    pub writable: bool,
    /// Wait for this time at most: then a timer of the connection is due. `None` if no timer runs.
    pub within: Option<Duration>,
}

impl fmt::Display for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self { writable: true, .. } => {
                "the stream does not block: call again once it can be read or written"
            }
            _ => "the stream does not block: call again once it can be read",
        })
    }
}

impl core::error::Error for Interest {}

impl From<Interest> for Error {
    fn from(interest: Interest) -> Self {
        Self::Io(io::Error::new(ErrorKind::WouldBlock, interest))
    }
}

impl Error {
    /// Returns the conditions to wait for, if the error is a `WouldBlock` of a non-blocking stream. Nothing has failed
    /// then, and the call can be made again.
    #[must_use]
    pub fn interest(&self) -> Option<Interest> {
        match self {
            Self::Io(error) => error.get_ref()?.downcast_ref().copied(),
            _ => None,
        }
    }
}

/// Returns whether `error` means that a non-blocking stream is not ready.
pub(super) fn would_block(error: &Error) -> bool {
    matches!(error, Error::Io(error) if error.kind() == ErrorKind::WouldBlock)
}
