//! The builders [`Server`] and [`Client`], and their opening handshakes, which all adapters share.
//!
//! Use the builders through an adapter. Each adapter exports them for its own streams, for example as `net::Server`.

// Each handshake is a state machine without I/O, and implements `HandshakeDriver`. It decides which step comes next.
// The adapter performs the step on its stream and reports the result:
//
//     adapter                  Tunneling, TlsHandshake, Connecting, Receiving, Accepting or Responding
//        │ ──────── poll_step, poll_timeout ────────▶ │
//        │ ◀─────── Step: Read, Write, Flush … ────── │
//        │  performs the step, until the deadline     │
//        │ ──────── handle(now, StepResult or error) ──────▶ │
//        │              … until Step::Done            │
//        │ ──────── finish ─────────────────────────▶ │ returns the result or the error
//
// A server's handshake has two phases: `Receiving` receives the request, and `Accepting` sends the 101 response.
// Between the two phases the application decides whether to accept the request. A client with a proxy or TLS performs
// several handshakes, in the order of its `Route`: for example `Tunneling`, `TlsHandshake`, `Connecting`.
// `crate::handshake` parses and writes heads. Invariant: an I/O error ends a handshake.

use core::fmt;
use std::io;
use std::prelude::v1::*;

use crate::handshake::HandshakeInfo;
use crate::{Connection, Inbox, Instant};

mod accept_error;
mod accepting;
#[cfg(any(feature = "net", feature = "tokio"))]
mod attempts;
mod client;
mod connect_error;
mod connecting;
#[cfg(any(feature = "net", feature = "tokio", feature = "async-io"))]
mod hops;
#[cfg(feature = "http")]
mod http_request;
#[cfg(any(feature = "net", feature = "tokio", feature = "async-io"))]
mod not_connected;
mod plain_request;
mod receiving;
mod rejecting;
mod request_getters;
mod responding;
#[cfg(any(feature = "net", feature = "tokio", feature = "async-io"))]
mod route;
mod server;
#[cfg(all(test, any(feature = "net", feature = "tokio", feature = "async-io")))]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod silence;
#[cfg(all(test, any(feature = "net", feature = "tokio", feature = "async-io")))]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod test_peer;
#[cfg(any(feature = "rustls", feature = "native-tls"))]
mod tls;
#[cfg(any(feature = "net", feature = "tokio", feature = "async-io"))]
mod tunneling;

pub use accept_error::AcceptError;
#[cfg(any(feature = "net", feature = "tokio"))]
pub(super) use attempts::Attempts;
#[cfg(any(feature = "net", feature = "tokio"))]
pub use attempts::{ReconnectStopped, ReconnectTarget};
pub use client::Client;
pub use connect_error::{ConnectError, ReceivedResponse};
#[cfg(any(feature = "net", feature = "tokio", feature = "async-io"))]
pub(super) use not_connected::FailedAddresses;
#[cfg(all(unix, any(feature = "net", feature = "tokio", feature = "async-io")))]
pub(super) use not_connected::name_path;
pub(super) use plain_request::PlainRequest;
pub(super) use receiving::Pending;
#[cfg(any(feature = "tokio", feature = "futures-io"))]
pub(super) use receiving::Receiving;
pub(super) use request_getters::{http_call_getters, pending_request_getters};
#[cfg(any(feature = "tokio", feature = "futures-io"))]
pub(super) use responding::Responding;
#[cfg(any(feature = "net", feature = "tokio", feature = "async-io"))]
pub(super) use route::{OpenedTls, Route};
pub use server::{Acceptance, Server};
#[cfg(all(test, any(feature = "net", feature = "tokio", feature = "async-io")))]
pub(super) use silence::Silence;
#[cfg(all(test, any(feature = "net", feature = "tokio", feature = "async-io")))]
pub(super) use test_peer::TestPeer;

/// The next step that the adapter must perform on the stream.
pub(super) enum Step<'a> {
    /// Read into this space.
    Read(&'a mut [u8]),
    /// Read into this space if input or the end of the stream has arrived, but do not wait.
    ReadAhead(&'a mut [u8]),
    /// Write these bytes, or some of them.
    Write(&'a [u8]),
    /// Flush the bytes that were written.
    Flush,
    /// Close the sending direction.
    HalfClose,
    /// Perform no further step, and call `finish`.
    Done,
}

/// The result of a step that the adapter has performed.
pub(super) enum StepResult {
    /// This number of bytes was read. 0 is the end of the stream.
    Read(usize),
    /// This number of bytes was written.
    Wrote(usize),
    /// The written bytes were flushed.
    Flushed,
    /// `true` if the sending direction was closed, `false` if the stream has no half-close.
    HalfClosed(bool),
    /// Time has passed and the step was not performed. After [`Step::ReadAhead`], this result means that nothing has
    /// arrived.
    Waited,
}

/// A handshake, or the sending of a response other than 101, as a state machine without I/O.
pub(super) trait HandshakeDriver {
    /// Returns the next step.
    fn poll_step(&mut self) -> Step<'_>;
    /// Returns the deadline of the next step, or `None` if the step has no deadline.
    fn poll_timeout(&self) -> Option<Instant>;
    /// Handles the result of the step. An error ends the handshake.
    fn handle(&mut self, now: Instant, did: io::Result<StepResult>);
}

/// A connection whose handshake is done.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) connection: Connection,
    /// The bytes that arrived after the head of the peer's request or response.
    pub(super) inbox: Inbox,
    pub(super) handshake: HandshakeInfo,
}

/// The bytes that were read during a handshake.
#[derive(Debug, Default)]
struct Received {
    bytes: Vec<u8>,
    /// The number of bytes at the start of `bytes` that were read. The rest is space for the next read.
    len: usize,
}

impl Received {
    /// Returns space to read into.
    fn space(&mut self) -> &mut [u8] {
        self.bytes.resize(self.len + 2048, 0);
        self.bytes.get_mut(self.len..).unwrap_or_default()
    }

    /// Records that `n` bytes were read into the space.
    fn handle_read(&mut self, n: usize) {
        self.len = self.bytes.len().min(self.len + n);
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// Maximum number of bytes in one write.
const MAX_WRITE: usize = 64 << 10;

/// The bytes of a request or a response, and how many of them were written.
#[derive(Debug, Default)]
struct Outgoing {
    bytes: Vec<u8>,
    written: usize,
    flushed: bool,
}

impl Outgoing {
    const fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, written: 0, flushed: false }
    }

    /// Returns whether all bytes were written and flushed.
    const fn is_done(&self) -> bool {
        self.flushed
    }

    /// Returns whether all bytes were written. They may still need a flush.
    fn is_written(&self) -> bool {
        self.written >= self.bytes.len()
    }

    fn poll_step(&self) -> Step<'_> {
        match self.bytes.get(self.written..) {
            // One write gets at most `MAX_WRITE` bytes. A write to a blocking socket returns only when all its bytes
            // are written, or at the deadline. A slow peer needs minutes for several megabytes. As one write, these
            // bytes would show no progress before the deadline, which `Responding` extends after each write.
            Some(rest) if !rest.is_empty() => Step::Write(rest.get(..MAX_WRITE).unwrap_or(rest)),
            _ => Step::Flush,
        }
    }

    fn handle(&mut self, did: &StepResult) {
        match did {
            StepResult::Wrote(n) => self.written += n,
            StepResult::Flushed => self.flushed = true,
            _ => {}
        }
    }
}

fn unexpected_eof() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}

/// The names and values of the headers that an application adds.
#[derive(Clone, PartialEq, Eq, Default)]
struct AddedHeaders(Vec<(String, String)>);

impl AddedHeaders {
    fn add(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    /// Returns the names and values as slices.
    fn borrowed(&self) -> Vec<(&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

impl fmt::Debug for AddedHeaders {
    /// Shows only names, because values can be cookies and credentials, which must not appear in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}
