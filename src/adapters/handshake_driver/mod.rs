//! What servers and clients are told, and their opening handshakes: what all adapters share.
//!
//! [`Server`] and [`Client`] are used through the adapter that runs them, which has them under its own name:
//! `net::Server` for example.

// Below that, without I/O: machines that say what is to be read and written next, and at last what came of it.

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

/// What the driver of a handshake must do next.
pub(super) enum Step<'a> {
    /// Read to here.
    Read(&'a mut [u8]),
    /// Write this.
    Write(&'a [u8]),
    /// Flush what was written.
    Flush,
    /// Close the sending half.
    HalfClose,
    /// Nothing: ask what came of it.
    Done,
}

/// What the driver did.
pub(super) enum Did {
    /// Read so many bytes; 0 at the end of the stream.
    Read(usize),
    /// Wrote so many bytes.
    Wrote(usize),
    /// Flushed.
    Flushed,
    /// Closed the sending half; or it could not be closed.
    HalfClosed(bool),
    /// Waited.
    Waited,
}

/// A handshake, or a part of one.
pub(super) trait HandshakeDriver {
    /// What to do next.
    fn poll_step(&mut self) -> Step<'_>;
    /// How long to wait for it.
    fn poll_timeout(&self) -> Option<Instant>;
    /// What came of it. Of an error nothing more than its kind is known to be wrong: it ends the handshake.
    fn handle(&mut self, now: Instant, did: io::Result<Did>);
}

/// A connection whose handshake is done.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) connection: Connection,
    /// What arrived behind the handshake.
    pub(super) inbox: Inbox,
    pub(super) handshake: Handshake,
}

/// What is kept of a handshake.
#[derive(Debug, Default)]
pub(super) struct Handshake {
    pub(super) subprotocol: Option<Box<str>>,
    /// The lines of headers that the peer's handshake had.
    pub(super) headers: Box<[u8]>,
}

impl Handshake {
    fn new(subprotocol: Option<&str>, headers: &[u8]) -> Self {
        Self { subprotocol: subprotocol.map(Into::into), headers: headers.into() }
    }
}

/// The bytes that have been read.
#[derive(Debug, Default)]
struct Received {
    bytes: Vec<u8>,
    len: usize,
}

impl Received {
    fn space(&mut self) -> &mut [u8] {
        self.bytes.resize(self.len + 2048, 0);
        self.bytes.get_mut(self.len..).unwrap_or_default()
    }

    /// `n` bytes of the space have been read; gives all.
    fn handle_read(&mut self, n: usize) -> &[u8] {
        self.len = self.bytes.len().min(self.len + n);
        self.bytes()
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// The most bytes that go into one write.
const MOST_AT_ONCE: usize = 64 << 10;

/// The bytes that are to be written, and flushed.
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

    const fn is_done(&self) -> bool {
        self.flushed
    }

    /// Whether all is written, flushed or not.
    fn is_written(&self) -> bool {
        self.written >= self.bytes.len()
    }

    fn poll_step(&self) -> Step<'_> {
        match self.bytes.get(self.written..) {
            // A blocking socket returns when all of it is written: a write of several megabytes would hide for minutes
            // that the peer reads.
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

fn borrowed(headers: &[(String, String)]) -> Vec<(&str, &str)> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}
