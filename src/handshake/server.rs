//! The server's side of the opening handshake: the state machine that reads a request (RFC 6455 section
//! 4.2.1).
//!
//! [`ServerHandshake`] connects the scanner, the rules in `incoming` and the deadline. `Request::accept` creates the
//! response that accepts a request. [`Rejection::response`] creates the response that rejects a request.
//!
//! Invariant: the first result of `poll` is final. Later calls return the same result.
//!
//! ```text
//!  waiting ── poll: whole request ─▶ done (Upgrade or Http)
//!     ├────── poll: error ─────────▶ failed
//!     └────── handle_timeout ──────▶ failed (408)
//! ```

use core::time::Duration;

use crate::Instant;

use super::head::HeadLimits;
use super::incoming::{Incoming, RequestHeaders, check_request};
use super::reason::Reason;
use super::rejection::Rejection;
use super::scan::Scanner;

/// The first part of a server's opening handshake: reads the head of a request.
///
/// The bytes stay in the caller's memory. The handshake keeps an offset and examines each byte once as it arrives. If
/// header lines arrive in several calls, all header lines are parsed once more when the head is complete.
///
/// ```
/// use hybi::handshake::{Incoming, HeadLimits, ServerHandshake};
///
/// let arrived = b"GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n\
///     Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
///     Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Version: 13\r\n\r\n\x81";
///
/// let mut handshake = ServerHandshake::new(HeadLimits::new());
/// assert!(handshake.poll(&arrived[..100])?.is_none()); // read more and append it
/// let Some(Incoming::Upgrade(request)) = handshake.poll(arrived)? else { panic!("an upgrade") };
/// assert_eq!((request.path(), request.host()), ("/chat", "server.example.com"));
///
/// let mut out = [0; 512];
/// let chosen = request.select_subprotocol(&["superchat"]);
/// let len = request.accept().subprotocol(chosen).write(&mut out)?;
/// assert!(out[..len].starts_with(b"HTTP/1.1 101 "));
/// assert_eq!(&arrived[request.head_len()..], b"\x81"); // belongs to the frame parser
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ServerHandshake {
    /// The parser of the request head.
    scanner: Scanner,
    /// The deadline of the request; [`Instant::NEVER`] if there is none.
    deadline: Instant,
    /// Whether a request was returned.
    done: bool,
    /// Whether the request begins with the method HEAD and a space. A response to HEAD has no body.
    /// [`handle_timeout`](Self::handle_timeout) needs this flag, because its caller passes no bytes.
    is_head: bool,
    /// The rejection that was returned.
    failed: Option<Rejection>,
}

impl ServerHandshake {
    /// Returns a handshake that has received no bytes.
    #[must_use]
    pub const fn new(limits: HeadLimits) -> Self {
        let scanner = Scanner::request(limits);
        Self { scanner, deadline: Instant::NEVER, done: false, is_head: false, failed: None }
    }

    /// Sets the deadline of the whole request to `timeout` after `now`.
    #[must_use]
    pub fn with_timeout(mut self, now: Instant, timeout: Duration) -> Self {
        self.deadline = now + timeout;
        self
    }

    /// Parses the request in `head`, which contains all bytes since the connection began. Returns `None` if
    /// more bytes are needed.
    ///
    /// `head` must begin with the bytes of the earlier calls, unchanged. After the first result, further calls
    /// return the same result.
    ///
    /// # Errors
    ///
    /// [`Rejection`] for a request that cannot be accepted. [`Rejection::reason`] names the violated rule. A syntax
    /// error or an exceeded limit is reported at the byte that causes it. Any other error is reported when the head is
    /// complete. Send [`Rejection::response`] and close the connection.
    pub fn poll<'h>(&mut self, head: &'h [u8]) -> Result<Option<Incoming<'h>>, Rejection> {
        if let Some(rejection) = self.failed {
            return Err(rejection);
        }
        let mut handshake_headers = RequestHeaders::default();
        let scanned = self.scanner.scan(head, &mut handshake_headers);
        self.is_head |= self.scanner.first_line_starts_with(head, b"HEAD ");
        let checked = match scanned {
            Ok(Some(head)) => check_request(head, &handshake_headers),
            Ok(None) => return Ok(None),
            Err(error) => Err(Reason::from(error)),
        };
        match checked {
            Ok(incoming) => {
                self.done = true;
                Ok(Some(incoming))
            }
            Err(reason) => Err(self.refuse(reason)),
        }
    }

    /// Returns the time at which to call [`handle_timeout`](Self::handle_timeout), or `None` if no call is needed.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let waiting = !self.done && self.failed.is_none() && self.deadline != Instant::NEVER;
        waiting.then_some(self.deadline)
    }

    /// Rejects the request if its deadline has passed. Does nothing before the deadline.
    ///
    /// # Errors
    ///
    /// [`Rejection`] with [`Reason::Timeout`] (408) if the deadline has passed and the request is not complete.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), Rejection> {
        match self.poll_timeout() {
            Some(deadline) if deadline <= now => Err(self.refuse(Reason::Timeout)),
            _ => Ok(()),
        }
    }

    /// Stores and returns the rejection for `reason`.
    fn refuse(&mut self, reason: Reason) -> Rejection {
        let rejection = Rejection::of(reason, self.is_head);
        self.failed = Some(rejection);
        rejection
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_handshake_is_at_most_96_bytes() {
        assert!(size_of::<ServerHandshake>() <= 96, "{}", size_of::<ServerHandshake>());
    }

    #[test]
    fn s4_2_1_a_result_is_final() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let mut handshake = ServerHandshake::new(HeadLimits::new());
        for _ in 0..2 {
            assert!(matches!(handshake.poll(head), Ok(Some(Incoming::Http(_)))));
        }
        // The caller violates the contract and overwrites its memory. `poll` must neither panic nor return an
        // upgrade.
        let mut other = *head;
        for at in 0..other.len() {
            other[at] = b'\n';
            assert!(!matches!(handshake.clone().poll(&other), Ok(Some(Incoming::Upgrade(_)))));
        }
        let mut refused = ServerHandshake::new(HeadLimits::new());
        let rejection = refused.poll(b"\0").unwrap_err();
        assert_eq!(refused.poll(head).unwrap_err(), rejection);
    }
}
