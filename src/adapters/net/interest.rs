//! The conditions to wait for after a call on a non-blocking stream has returned `WouldBlock`.
//!
//! An application can use many sockets in one thread: it sets the sockets to non-blocking mode, and waits in its own
//! poll loop. [`Interest`] tells the application which readiness to wait for, and for how long. The [`Error::Io`] that
//! the call returns contains the `Interest`, and [`Error::interest`] returns it.
//!
//! `write_driver.rs` and the loops in `run_loop.rs` and `reader.rs` decide which conditions apply.

use core::fmt;
use core::time::Duration;
use std::io::{self, ErrorKind};

use crate::adapters::error::Error;

/// The conditions to wait for if a call could not continue because a non-blocking stream was not ready.
/// [`Error::interest`] returns this type.
///
/// As soon as one of the three conditions is met, make the next call. After a call that receives, make the same call
/// again. After a call that sends, call `flush`. The application need not know which condition is met. A call that
/// receives checks all three.
///
/// ```
/// use hybi::adapters::net::{Client, Error, Server};
///
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// let url = format!("ws://{}/", listener.local_addr()?);
/// let server = std::thread::spawn(move || Server::new().accept(listener.accept().unwrap().0).unwrap());
/// let mut ws = Client::new().connect(&url)?;
/// ws.stream().socket().set_nonblocking(true)?;
/// match ws.next_event() {
///     Err(error) => {
///         // Pass this to mio, or to another library that waits for many sockets at once.
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
    /// This is `false` if the call cannot read more input. There are three possible reasons. The stream has ended, or a
    /// call that sends has filled the read-ahead buffer, or the other half of a split WebSocket reads.
    pub readable: bool,
    /// Wait until the stream is writable.
    pub writable: bool,
    /// Wait for this time at most. At its end a timer of the connection is due, or the call must be repeated for
    /// another reason. `None` sets no limit.
    pub within: Option<Duration>,
}

impl fmt::Display for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the non-blocking stream is not ready: wait until ")?;
        f.write_str(match (self.readable, self.writable) {
            (true, true) => "it is readable or writable",
            (true, false) => "it is readable",
            (false, true) => "it is writable",
            (false, false) => "a timer is due",
        })?;
        f.write_str(", then call again, or call `flush` if the call sends a message")
    }
}

impl core::error::Error for Interest {}

impl From<Interest> for Error {
    fn from(interest: Interest) -> Self {
        Self::Io(io::Error::new(ErrorKind::WouldBlock, interest))
    }
}

impl Error {
    /// Returns the conditions to wait for if a stream in non-blocking mode was not ready. Returns `None` for every
    /// other error.
    ///
    /// If the result is `Some`, nothing has failed. The method that returned the error documents the next call.
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
