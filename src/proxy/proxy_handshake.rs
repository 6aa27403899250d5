//! The opening of a tunnel through any proxy: [`ProxyHandshake`].
//!
//! The two protocols are in `http_connect` and `socks5`. This file has the parts that both share: the bytes to
//! send, and the outcome.
//!
//! ```text
//!  Send ── transmitted: all sent ──▶ Receive ── receive: answer complete ──▶ Send or Open
//!    └───────────────┬──────────────┘
//!                    ├── handle_eof, an invalid answer, a refusal ──▶ failed
//! ```
//!
//! Invariants:
//! - No input is consumed while bytes wait to be sent. So the outcome does not depend on how the input is split, and
//!   the tunnel is open only when all bytes were sent.
//! - The first outcome is final: later calls return the same outcome.

use alloc::vec::Vec;
use core::fmt;

use super::error::ProxyError;
use super::http_connect::{self, HttpConnect};
use super::socks5::{Effect, Socks5};
use super::target::{ProxyTarget, TargetHost};
use super::url::ProxyUrl;
use crate::handshake::HeadLimits;

/// The next action of the driver of a [`ProxyHandshake`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProxyAction {
    /// Write [`bytes_to_send`](ProxyHandshake::bytes_to_send), and flush. Then call
    /// [`receive`](ProxyHandshake::receive) again with the rest of the input. If the rest is empty, first read from the
    /// stream.
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
        Ok(Self { protocol, out, sent: 0, state: State::Opening })
    }

    /// Sets the limits on the response of an HTTP proxy. Call this method before [`receive`](Self::receive).
    #[must_use]
    pub const fn with_head_limits(mut self, limits: HeadLimits) -> Self {
        if let Protocol::Http(connect) = &mut self.protocol {
            connect.set_limits(limits);
        }
        self
    }

    /// Returns the next action of the driver. After an error the result has no meaning.
    #[must_use]
    pub fn action(&self) -> ProxyAction {
        if !self.bytes_to_send().is_empty() {
            ProxyAction::Send
        } else if matches!(self.state, State::Open) {
            ProxyAction::Open
        } else {
            ProxyAction::Receive
        }
    }

    /// Returns the bytes to write to the proxy. They can contain user and password.
    #[must_use]
    pub fn bytes_to_send(&self) -> &[u8] {
        self.out.get(self.sent..).unwrap_or_default()
    }

    /// Records that the first `len` of the [`bytes_to_send`](Self::bytes_to_send) were written.
    pub fn transmitted(&mut self, len: usize) {
        self.sent = self.out.len().min(self.sent.saturating_add(len));
        if self.sent == self.out.len() {
            self.replace_message(Vec::new());
        }
    }

    /// Removes received bytes from the front of `input`, and returns the next action of the driver.
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
    /// - [`ProxyError::Refused`]: the status is not 2xx. The error is returned when the body is complete, or has
    ///   [`MAX_BODY`](super::ProxyRefusal::MAX_BODY) bytes.
    ///
    /// A SOCKS proxy can cause these errors:
    ///
    /// - [`ProxyError::NotSocks5`], [`ProxyError::MethodNotOffered`], [`ProxyError::LoginVersion`],
    ///   [`ProxyError::Reserved`], [`ProxyError::AddressType`]: an answer violates RFC 1928 or RFC 1929.
    /// - [`ProxyError::NoMethod`], [`ProxyError::LoginRefused`]: the proxy requires other credentials.
    /// - [`ProxyError::Socks`]: the proxy did not connect to the target.
    ///
    /// After an error of [`handle_eof`](Self::handle_eof), this method returns the same error.
    pub fn receive(&mut self, input: &mut &[u8]) -> Result<ProxyAction, ProxyError> {
        match &self.state {
            State::Failed(error) => return Err(error.clone()),
            State::Open => return Ok(ProxyAction::Open),
            State::Opening if !self.bytes_to_send().is_empty() => return Ok(ProxyAction::Send),
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
            Ok(Effect::Send(message)) => self.replace_message(message),
            Ok(Effect::Open) => self.state = State::Open,
            Err(error) => return Err(self.fail(error)),
        }
        Ok(self.action())
    }

    /// Returns whether an HTTP proxy has refused the tunnel, and the rest of the body is awaited.
    ///
    /// The body may never end, because a proxy can keep the connection open. Stop waiting after a short time, and call
    /// [`handle_eof`](Self::handle_eof), which returns the refusal.
    #[must_use]
    pub const fn awaits_body(&self) -> bool {
        matches!((&self.protocol, &self.state), (Protocol::Http(connect), State::Opening) if connect.awaits_body())
    }

    /// Handles the end of the stream. Does nothing if the tunnel is open, because the end then belongs to the tunnel.
    ///
    /// # Errors
    ///
    /// - [`ProxyError::LoginClosed`]: user and password were sent to the SOCKS proxy, and its answer is incomplete.
    /// - [`ProxyError::NoAnswer`]: the last message was another one, and no byte of its answer has arrived.
    /// - [`ProxyError::Truncated`]: the last message was another one, and its answer is incomplete.
    /// - [`ProxyError::Refused`]: the status is not 2xx. The error has the part of the body that has arrived.
    /// - The error with which the handshake failed before.
    pub fn handle_eof(&mut self) -> Result<(), ProxyError> {
        // While bytes of user and password wait to be sent, the proxy cannot have refused them.
        let is_sent = self.bytes_to_send().is_empty();
        let is_unanswered = match &mut self.protocol {
            Protocol::Socks(socks) if socks.awaits_login() && is_sent => {
                return self.fail_if_opening(ProxyError::LoginClosed);
            }
            Protocol::Http(connect) => match connect.take_refusal() {
                Some(refused) => return self.fail_if_opening(refused),
                None => connect.is_unanswered(),
            },
            Protocol::Socks(socks) => socks.is_unanswered(),
        };
        self.fail_if_opening(if is_unanswered { ProxyError::NoAnswer } else { ProxyError::Truncated })
    }

    /// Fails the handshake with `error`. A handshake that already has an outcome keeps it.
    fn fail_if_opening(&mut self, error: ProxyError) -> Result<(), ProxyError> {
        match &self.state {
            State::Open => Ok(()),
            State::Failed(error) => Err(error.clone()),
            State::Opening => Err(self.fail(error)),
        }
    }

    /// Records and returns the error. Nothing is sent afterwards.
    fn fail(&mut self, error: ProxyError) -> ProxyError {
        self.replace_message(Vec::new());
        self.state = State::Failed(error.clone());
        error
    }

    /// Replaces the message to send. The memory of the previous message, which can contain a password, is freed.
    fn replace_message(&mut self, message: Vec<u8>) {
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
            _ => debug.field("action", &self.action()),
        };
        debug.finish_non_exhaustive()
    }
}
