//! What a stream that does not block is to be waited for.

use core::fmt;
use core::time::Duration;
use std::io::{self, ErrorKind};

use crate::adapters::error::Error;

/// What to wait for before a call is made again that could not go on, over a stream that the application has set not
/// to block. [`Error::interest`] gives it.
///
/// Whichever of the three comes first is the time for the next call, of whatever kind: the call finds out itself.
///
/// ```
/// use hybi::adapters::net::{Client, Error, Server};
///
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// let url = format!("ws://{}/", listener.local_addr()?);
/// let server = std::thread::spawn(move || Server::new().accept(listener.accept().unwrap().0).unwrap());
/// let mut ws = Client::new().connect(&url)?;
/// ws.stream().set_nonblocking(true)?;
/// match ws.next() {
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
    /// Until there is something to read. `false` where the call can take in no more: the stream has ended, a call that
    /// sends has read ahead all that is kept for the next one that receives, or another half receives.
    pub readable: bool,
    /// Until there is room to write.
    pub writable: bool,
    /// For so long at most: then a timer of the connection is due. `None` where none runs.
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
    /// What to wait for, if nothing has failed and the stream merely does not block.
    #[must_use]
    pub fn interest(&self) -> Option<Interest> {
        match self {
            Self::Io(error) => error.get_ref()?.downcast_ref().copied(),
            _ => None,
        }
    }
}

pub(super) fn would_block(error: &Error) -> bool {
    matches!(error, Error::Io(error) if error.kind() == ErrorKind::WouldBlock)
}
