//! The builders [`Server`] and [`Client`], and their opening handshakes, which all adapters share.
//!
//! Use the builders through an adapter, which exports them under its own name: `net::Server` for example.

// The handshakes are state machines without I/O. A `HandshakeDriver` says which step comes next, the adapter performs
// the step on its stream and reports the result:
//
//     adapter                              Connecting, Accepting or Answer
//        │ ──────── poll_step, poll_timeout ────────▶ │
//        │ ◀─────── Step: Read, Write, Flush … ────── │
//        │     performs it, or waits until then       │
//        │ ──────── handle(now, Did or error) ──────▶ │
//        │              … until Step::Done            │
//        │ ──────── finish ─────────────────────────▶ │ the connection, or the reason why there is none
//
// Parsing and writing of heads is the work of `crate::handshake`. Invariant: an I/O error ends a handshake.

use std::io;
use std::prelude::v1::*;

use crate::{Connection, Inbox, Instant};

mod client;
mod server;

#[cfg(any(feature = "net", feature = "tokio"))]
pub(super) use client::Tried;
pub use client::{Client, ConnectError, HttpAnswer};
pub(super) use server::PlainRequest;
pub use server::{AcceptError, Acceptance, Refusal, Server};

/// The next step that the adapter must perform on the stream.
pub(super) enum Step<'a> {
    /// Read into this space.
    Read(&'a mut [u8]),
    /// Write these bytes, or some of them.
    Write(&'a [u8]),
    /// Flush the bytes that were written.
    Flush,
    /// Close the sending direction.
    HalfClose,
    /// Perform no further step, and get the result.
    Done,
}

/// The step that the adapter has performed.
pub(super) enum Did {
    /// Read this number of bytes, 0 at the end of the stream.
    Read(usize),
    /// Wrote this number of bytes.
    Wrote(usize),
    /// Flushed.
    Flushed,
    /// Closed the sending direction if `true`. The stream has no half-close if `false`.
    HalfClosed(bool),
    /// Waited until the deadline, or for a while.
    Waited,
}

/// A handshake, or the sending of an answer other than 101, as a state machine without I/O.
pub(super) trait HandshakeDriver {
    /// Returns the next step.
    fn poll_step(&mut self) -> Step<'_>;
    /// Returns the deadline of that step, `None` if there is none.
    fn poll_timeout(&self) -> Option<Instant>;
    /// Handles the result of the step. An error ends the handshake.
    fn handle(&mut self, now: Instant, did: io::Result<Did>);
}

/// A connection whose handshake is done.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) connection: Connection,
    /// The bytes that arrived behind the handshake.
    pub(super) inbox: Inbox,
    pub(super) handshake: Handshake,
}

/// The parts of a handshake that a WebSocket keeps.
#[derive(Debug, Default)]
pub(super) struct Handshake {
    /// The negotiated subprotocol.
    pub(super) subprotocol: Option<Box<str>>,
    /// The header lines of the peer's handshake.
    pub(super) headers: Box<[u8]>,
}

impl Handshake {
    fn new(subprotocol: Option<&str>, headers: &[u8]) -> Self {
        Self { subprotocol: subprotocol.map(Into::into), headers: headers.into() }
    }
}

/// The bytes that were read during a handshake.
#[derive(Debug, Default)]
struct Received {
    bytes: Vec<u8>,
    /// The number of bytes at the start of `bytes` that were read. The rest is space.
    len: usize,
}

impl Received {
    /// Returns space to read into.
    fn space(&mut self) -> &mut [u8] {
        self.bytes.resize(self.len + 2048, 0);
        self.bytes.get_mut(self.len..).unwrap_or_default()
    }

    /// Takes over `n` bytes that were read into the space. Returns all bytes.
    fn handle_read(&mut self, n: usize) -> &[u8] {
        self.len = self.bytes.len().min(self.len + n);
        self.bytes()
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// Maximum number of bytes in one write.
const MOST_AT_ONCE: usize = 64 << 10;

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

    /// Returns whether all bytes were written, flushed or not.
    fn is_written(&self) -> bool {
        self.written >= self.bytes.len()
    }

    fn poll_step(&self) -> Step<'_> {
        match self.bytes.get(self.written..) {
            // A blocking socket returns when all bytes are written. One write of several megabytes would hide the
            // peer's progress for minutes, and the deadline would pass.
            Some(rest) if !rest.is_empty() => Step::Write(rest.get(..MOST_AT_ONCE).unwrap_or(rest)),
            _ => Step::Flush,
        }
    }

    fn handle(&mut self, did: &Did) {
        match did {
            Did::Wrote(n) => self.written += n,
            Did::Flushed => self.flushed = true,
            _ => {}
        }
    }
}

fn unexpected_eof() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}

/// Borrows the names and values of owned headers.
fn borrowed(headers: &[(String, String)]) -> Vec<(&str, &str)> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}
