//! The opening of a tunnel through any proxy: [`ProxyHandshake`].
//!
//! The two protocols are in `http_connect` and `socks5`. This file has what both share: the bytes to send, the
//! deadline, and the outcome.
//!
//! ```text
//!  Send ── advance: all sent ──▶ Receive ── receive: answer complete ──▶ Send or Open
//!    └───────────────┬──────────────┘
//!                    ├── handle_eof, handle_timeout, an invalid answer ──▶ failed
//! ```
//!
//! Invariants:
//! - No input is consumed while bytes wait to be sent. So the outcome does not depend on how the input is split, and
//!   the tunnel is open only when all bytes were sent.
//! - The first outcome is final: later calls return the same one.

use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use super::error::ProxyError;
use super::http_connect::{self, HttpConnect};
use super::socks5::{Effect, Socks5};
use super::target::{ProxyTarget, TargetHost};
use super::url::ProxyUrl;
use crate::Instant;
use crate::handshake::HeadLimits;

/// What the driver of a [`ProxyHandshake`] must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProxyProgress {
    /// Write [`bytes_to_send`](ProxyHandshake::bytes_to_send), flush, and call [`receive`](ProxyHandshake::receive)
    /// again with the rest of the input. Read only if the rest is empty.
    Send,
    /// Read from the stream. All input was consumed.
    Receive,
    /// The tunnel is open. The rest of the input belongs to the tunnel.
    Open,
}

/// The opening of a tunnel through a proxy, with HTTP CONNECT or SOCKS5, as a state machine without I/O.
///
/// The [module](super) has an example. User and password are part of the bytes to send, but not of `Debug` output.
pub struct ProxyHandshake {
    protocol: Protocol,
    /// The bytes of the current message.
    out: Vec<u8>,
    /// The number of bytes of `out` that were sent.
    sent: usize,
    /// The deadline of the whole handshake; [`Instant::NEVER`] if there is none.
    deadline: Instant,
    state: State,
}

enum Protocol {
    Http(HttpConnect),
    Socks(Socks5),
}

enum State {
    Opening,
    Open,
    Failed(ProxyError),
}

impl ProxyHandshake {
    /// Returns the handshake for a tunnel to `target`, over a connection to `proxy`.
    ///
    /// # Errors
    ///
    /// - [`ProxyError::NeedsAddress`]: the proxy's scheme is `socks5`, and the target is a name.
    /// - [`ProxyError::NameTooLong`]: the proxy's scheme is `socks5h`, and the target is a name of more than 255 bytes.
    pub fn new(proxy: &ProxyUrl, target: ProxyTarget<'_>) -> Result<Self, ProxyError> {
        let (protocol, out) = if proxy.scheme().is_socks() {
            if proxy.needs_address() && matches!(target.host, TargetHost::Name(_)) {
                return Err(ProxyError::NeedsAddress);
            }
            let (socks, greeting) = Socks5::new(proxy.user_and_password(), &target)?;
            (Protocol::Socks(socks), greeting)
        } else {
            let connect = HttpConnect::new(proxy.has_credentials());
            (Protocol::Http(connect), http_connect::request(proxy, &target))
        };
        Ok(Self { protocol, out, sent: 0, deadline: Instant::NEVER, state: State::Opening })
    }

    /// Sets the limits on the response of an HTTP proxy. Call this method before [`receive`](Self::receive).
    #[must_use]
    pub const fn with_head_limits(mut self, limits: HeadLimits) -> Self {
        if let Protocol::Http(connect) = &mut self.protocol {
            connect.set_limits(limits);
        }
        self
    }

    /// Sets the deadline of the whole handshake to `timeout` after `now`.
    #[must_use]
    pub fn with_timeout(mut self, now: Instant, timeout: Duration) -> Self {
        self.deadline = now + timeout;
        self
    }

    /// Returns what the driver must do next. After an error the result has no meaning.
    #[must_use]
    pub fn progress(&self) -> ProxyProgress {
        if !self.bytes_to_send().is_empty() {
            ProxyProgress::Send
        } else if matches!(self.state, State::Open) {
            ProxyProgress::Open
        } else {
            ProxyProgress::Receive
        }
    }

    /// Returns the bytes to write to the proxy. They can contain user and password.
    #[must_use]
    pub fn bytes_to_send(&self) -> &[u8] {
        self.out.get(self.sent..).unwrap_or_default()
    }

    /// Records that the first `len` of the [`bytes_to_send`](Self::bytes_to_send) were written.
    pub fn advance(&mut self, len: usize) {
        self.sent = self.out.len().min(self.sent.saturating_add(len));
        if self.sent == self.out.len() {
            self.send(Vec::new());
        }
    }

    /// Removes received bytes from the front of `input`, and returns what the driver must do next.
    ///
    /// While bytes wait to be sent, nothing is removed. Keep the rest of `input` and pass it again. After the first
    /// outcome, further calls remove nothing and return the same outcome.
    ///
    /// # Errors
    ///
    /// Drop the connection after an error.
    ///
    /// An HTTP proxy can cause these errors:
    ///
    /// - [`ProxyError::NotHttp`], [`ProxyError::Head`]: the bytes are not an HTTP/1.x head, or exceed a limit.
    /// - [`ProxyError::SwitchedProtocols`]: the status is 101.
    /// - [`ProxyError::Refused`]: the status is not 2xx.
    ///
    /// A SOCKS proxy can cause these errors:
    ///
    /// - [`ProxyError::NotSocks5`], [`ProxyError::MethodNotOffered`], [`ProxyError::LoginVersion`],
    ///   [`ProxyError::Reserved`], [`ProxyError::AddressType`]: an answer violates RFC 1928 or RFC 1929.
    /// - [`ProxyError::NoMethod`], [`ProxyError::LoginRefused`]: the proxy requires other credentials.
    /// - [`ProxyError::Socks`]: the proxy did not connect to the target.
    ///
    /// [`handle_eof`](Self::handle_eof) and [`handle_timeout`](Self::handle_timeout) have other errors, which later
    /// calls of this method repeat.
    pub fn receive(&mut self, input: &mut &[u8]) -> Result<ProxyProgress, ProxyError> {
        match &self.state {
            State::Failed(error) => return Err(error.clone()),
            State::Open => return Ok(ProxyProgress::Open),
            State::Opening if !self.bytes_to_send().is_empty() => return Ok(ProxyProgress::Send),
            State::Opening => {}
        }
        let effect = match &mut self.protocol {
            Protocol::Http(connect) => {
                connect.receive(input).map(|open| if open { Effect::Open } else { Effect::Receive })
            }
            Protocol::Socks(socks) => socks.receive(input),
        };
        match effect {
            Ok(Effect::Receive) => {}
            Ok(Effect::Send(message)) => self.send(message),
            Ok(Effect::Open) => self.state = State::Open,
            Err(error) => return Err(self.fail(error)),
        }
        Ok(self.progress())
    }

    /// Handles the end of the stream. Does nothing if the tunnel is open, because the end then belongs to the tunnel.
    ///
    /// # Errors
    ///
    /// - [`ProxyError::LoginClosed`]: the SOCKS proxy has not answered user and password.
    /// - [`ProxyError::NoAnswer`]: the proxy has not answered another message.
    /// - [`ProxyError::Truncated`]: an answer is incomplete.
    /// - The error with which the handshake failed before.
    pub fn handle_eof(&mut self) -> Result<(), ProxyError> {
        // A part of user and password that waits to be sent has not reached the proxy.
        let is_sent = self.bytes_to_send().is_empty();
        let is_unanswered = match &self.protocol {
            Protocol::Socks(socks) if socks.awaits_login() && is_sent => {
                return self.end(ProxyError::LoginClosed);
            }
            Protocol::Http(connect) => connect.is_unanswered(),
            Protocol::Socks(socks) => socks.is_unanswered(),
        };
        self.end(if is_unanswered { ProxyError::NoAnswer } else { ProxyError::Truncated })
    }

    /// Returns the time at which to call [`handle_timeout`](Self::handle_timeout), or `None` if no call is needed.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let waiting = matches!(self.state, State::Opening) && self.deadline != Instant::NEVER;
        waiting.then_some(self.deadline)
    }

    /// Fails the handshake if its deadline has passed. Does nothing before the deadline, and if the tunnel is open.
    ///
    /// # Errors
    ///
    /// - [`ProxyError::Timeout`]: the deadline has passed.
    /// - The error with which the handshake failed before.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), ProxyError> {
        if matches!(self.state, State::Opening) && (self.deadline == Instant::NEVER || now < self.deadline) {
            return Ok(());
        }
        self.end(ProxyError::Timeout)
    }

    /// Fails the handshake with `error`, unless it has an outcome.
    fn end(&mut self, error: ProxyError) -> Result<(), ProxyError> {
        match &self.state {
            State::Open => Ok(()),
            State::Failed(error) => Err(error.clone()),
            State::Opening => Err(self.fail(error)),
        }
    }

    /// Records and returns the error. Nothing is sent afterwards.
    fn fail(&mut self, error: ProxyError) -> ProxyError {
        self.send(Vec::new());
        self.state = State::Failed(error.clone());
        error
    }

    /// Replaces the message that is sent. The memory of the previous one, which can contain a password, is freed.
    fn send(&mut self, message: Vec<u8>) {
        self.out = message;
        self.sent = 0;
    }
}

impl fmt::Debug for ProxyHandshake {
    /// Shows neither the bytes to send nor the received bytes, which can contain credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Http(_) => "HTTP CONNECT",
            Protocol::Socks(_) => "SOCKS5",
        };
        let mut debug = f.debug_struct("ProxyHandshake");
        debug.field("protocol", &protocol);
        match &self.state {
            State::Failed(error) => debug.field("failed", error),
            _ => debug.field("progress", &self.progress()),
        };
        debug.finish_non_exhaustive()
    }
}
