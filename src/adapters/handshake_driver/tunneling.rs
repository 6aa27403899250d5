//! The opening of a tunnel through a proxy, as a state machine without I/O.
//!
//! ```text
//!   write what the handshake has ──▶ flush ──▶ examine what has arrived ──▶ Done: the tunnel, or the error
//!      ▲                                          │           ▲  │
//!      └───────── a further message ──────────────┘           └──┴── read
//! ```
//!
//! If the proxy refuses the tunnel, the body of its response is read too, for at most [`BODY_LIMIT`].
//!
//! [`Tunneling`] drives a [`ProxyHandshake`], which speaks HTTP CONNECT or SOCKS5. `Tunneling` runs on the stream to
//! the proxy, before TLS to the server and before the WebSocket handshake. `route.rs` decides whether there is a
//! tunnel.
//!
//! Invariants:
//! - The bytes that arrived after the answer of the proxy are kept for the next handshake, because they belong to the
//!   tunnel.
//! - User and password are in the [`ProxyHandshake`] only, which forgets them once they are written.

use core::time::Duration;
use std::io::{self, ErrorKind};
use std::prelude::v1::*;

use super::{HandshakeDriver, Step, StepResult};
use crate::Instant;
use crate::dial::{DeadlineExceeded, Progress};
use crate::proxy::{ProxyAction, ProxyError, ProxyHandshake};

/// Number of bytes in one read. The answer of a proxy has a few hundred bytes, and a refusal contains a page for a
/// browser.
const READ_LEN: usize = 4096;

/// Maximum time for the body of a refusal, after its head has arrived.
///
/// The deadline of opening is too late for a body without an end: the application would wait for an error that is known
/// already. A proxy sends the body together with the head, or directly after it.
pub(super) const BODY_LIMIT: Duration = Duration::from_secs(1);

/// The reason why no tunnel was opened.
#[derive(Debug)]
pub(super) enum NotTunneled {
    Io(io::Error),
    Proxy(ProxyError),
    Deadline(DeadlineExceeded),
}

/// The opening of one tunnel.
pub(in crate::adapters) struct Tunneling {
    handshake: ProxyHandshake,
    progress: Progress,
    space: Vec<u8>,
    /// The bytes that arrived, and that the handshake has not taken.
    arrived: Vec<u8>,
    /// Whether all bytes that were written were flushed.
    flushed: bool,
    /// The time until which the client waits for the body of a refusal.
    body_deadline: Option<Instant>,
    result: Option<Result<(), NotTunneled>>,
}

impl Tunneling {
    pub(super) const fn new(handshake: ProxyHandshake, progress: Progress) -> Self {
        Self {
            handshake,
            progress,
            space: Vec::new(),
            arrived: Vec::new(),
            flushed: true,
            body_deadline: None,
            result: None,
        }
    }

    /// Returns the bytes that arrived through the tunnel. Call this after [`Step::Done`].
    pub(super) fn finish(self) -> Result<Vec<u8>, NotTunneled> {
        match self.result {
            Some(result) => result.map(|()| self.arrived),
            None => Err(NotTunneled::Proxy(ProxyError::Truncated)),
        }
    }

    /// Handles the result of a step. Returns whether the tunnel is open.
    fn advance(&mut self, now: Instant, did: io::Result<StepResult>) -> Result<bool, NotTunneled> {
        match did {
            Ok(StepResult::Read(0)) => self.handshake.handle_eof()?,
            Ok(StepResult::Read(n)) => {
                self.arrived.extend_from_slice(self.space.get(..n).unwrap_or_default())
            }
            Ok(StepResult::Wrote(n)) => {
                self.handshake.transmitted(n);
                self.flushed = false;
            }
            Ok(StepResult::Flushed) => self.flushed = true,
            Ok(StepResult::HalfClosed(_) | StepResult::Waited) => {}
            // The proxy has closed the connection before it has read everything. This error counts as the end of the
            // stream. After a refusal, every error only ends the body, because the refusal is the error to report.
            Err(error) if is_closed(error.kind()) || self.handshake.awaits_body() => {
                self.handshake.handle_eof()?;
            }
            Err(error) => return Err(NotTunneled::Io(error)),
        }
        if self.flushed {
            let mut rest = &self.arrived[..];
            let action = self.handshake.receive(&mut rest)?;
            let taken = self.arrived.len() - rest.len();
            self.arrived.drain(..taken);
            if action == ProxyAction::Open {
                return Ok(true);
            }
        }
        if self.handshake.awaits_body() {
            let limit = *self.body_deadline.get_or_insert(now + BODY_LIMIT);
            if limit <= now || self.progress.check(now).is_err() {
                self.handshake.handle_eof()?;
            }
        }
        self.progress.check(now)?;
        Ok(false)
    }
}

/// Returns whether an error of this kind means that the peer has closed the connection.
const fn is_closed(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe)
}

impl HandshakeDriver for Tunneling {
    fn poll_step(&mut self) -> Step<'_> {
        if self.result.is_some() {
            Step::Done
        } else if !self.handshake.bytes_to_send().is_empty() {
            Step::Write(self.handshake.bytes_to_send())
        } else if !self.flushed {
            Step::Flush
        } else {
            self.space.resize(READ_LEN, 0);
            Step::Read(&mut self.space)
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match (self.progress.deadline(), self.body_deadline) {
            (Some(deadline), Some(limit)) => Some(deadline.min(limit)),
            (deadline, limit) => deadline.or(limit),
        }
    }

    fn handle(&mut self, now: Instant, did: io::Result<StepResult>) {
        match self.advance(now, did) {
            Ok(false) => {}
            Ok(true) => self.result = Some(Ok(())),
            Err(why) => self.result = Some(Err(why)),
        }
    }
}

impl From<ProxyError> for NotTunneled {
    fn from(error: ProxyError) -> Self {
        Self::Proxy(error)
    }
}

impl From<DeadlineExceeded> for NotTunneled {
    fn from(error: DeadlineExceeded) -> Self {
        Self::Deadline(error)
    }
}
