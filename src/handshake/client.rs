//! The client's half of the opening handshake: the state machine that writes the request (RFC 6455 section 4.1)
//! and reads the response.
//!
//! - [`ClientHandshake`] writes the request, reads the response and keeps the deadline.
//! - [`ClientRequest`] (in `client_request`) has the parts of the request. Its method `check` refuses parts
//!   that cannot be sent.
//! - `reply` checks the response.
//!
//! Invariants:
//! - A [`ClientHandshake`] exists only for a request that passed `check`.
//! - The first result of `poll` is final: later calls return the same result.
//!
//! ```text
//!  waiting ── poll: whole response ─▶ done
//!     ├────── poll: error ──────────▶ failed
//!     └────── handle_timeout ───────▶ failed (Timeout)
//! ```

use core::time::Duration;

use crate::Instant;

use super::client_request::{ClientRequest, RequestError};
use super::head::HeadLimits;
use super::key::encode_nonce;
use super::reply::{HandshakeError, Reply, ResponseHeaders, check_response};
use super::scan::Scanner;
use super::write::HeadWriter;
#[cfg(feature = "alloc")]
use super::write::NoSpace;

/// The client's half of the opening handshake: writes the request and reads the response.
///
/// After the request, send nothing until [`poll`](Self::poll) has returned the response (RFC 6455 section 4.1).
///
/// ```
/// use hybi::handshake::{ClientHandshake, ClientRequest, HeadLimits, Reply};
///
/// let request = ClientRequest::new("example.com", "/chat").subprotocols(&["chat"]);
/// let mut handshake = ClientHandshake::new(request, *b"the sample nonce", HeadLimits::new())?;
///
/// let arrived = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
///     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n\x81";
/// assert!(handshake.poll(&arrived[..50])?.is_none()); // read more and append it
/// let Some(Reply::Open(opened)) = handshake.poll(arrived)? else { panic!("open") };
/// assert_eq!(opened.subprotocol(), Some("chat"));
/// assert_eq!(opened.deflate(), None);
/// assert_eq!(&arrived[opened.head_len()..], b"\x81"); // belongs to the frame parser
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ClientHandshake<'a> {
    /// The checked request.
    request: ClientRequest<'a>,
    /// The `Sec-WebSocket-Key`.
    key: [u8; 24],
    /// The parser of the response head.
    scanner: Scanner,
    /// The deadline of the response; [`Instant::NEVER`] if there is none.
    deadline: Instant,
    /// Whether a response was returned.
    done: bool,
    /// The error that was returned.
    failed: Option<HandshakeError>,
}

impl<'a> ClientHandshake<'a> {
    /// Returns a handshake for `request`, with `limits` for the response.
    ///
    /// `nonce` must be fresh and unpredictable for each connection (RFC 6455 section 4.1 (7)).
    ///
    /// # Errors
    ///
    /// - [`RequestError::Host`]: the host is not `host` or `host:port`.
    /// - [`RequestError::Target`]: the target is not a path with an optional query.
    /// - [`RequestError::Origin`]: the origin is empty or has a character that no origin contains.
    /// - [`RequestError::Subprotocol`]: a subprotocol is not a token.
    /// - [`RequestError::SubprotocolRepeated`]: a subprotocol is offered twice.
    /// - [`RequestError::Extensions`]: the extensions are malformed, or window bits are not 8 to 15.
    /// - [`RequestError::Header`]: an additional header cannot be sent.
    pub fn new(
        request: ClientRequest<'a>,
        nonce: [u8; 16],
        limits: HeadLimits,
    ) -> Result<Self, RequestError> {
        request.check()?;
        let (key, scanner) = (encode_nonce(nonce), Scanner::response(limits));
        Ok(Self { request, key, scanner, deadline: Instant::NEVER, done: false, failed: None })
    }

    /// Sets the deadline of the whole response to `timeout` after `now`.
    #[must_use]
    pub fn with_timeout(mut self, now: Instant, timeout: Duration) -> Self {
        self.deadline = now + timeout;
        self
    }

    /// Returns the `Sec-WebSocket-Key` of the request.
    #[must_use]
    pub const fn key(&self) -> &[u8; 24] {
        &self.key
    }

    /// Writes the request into `out` and returns its length in bytes.
    ///
    /// # Errors
    ///
    /// [`RequestError::NoSpace`] if `out` is too small. The error contains the required length.
    pub fn write(&self, out: &mut [u8]) -> Result<usize, RequestError> {
        let request = &self.request;
        let mut to = HeadWriter::new(out);
        // RFC 6455 4.1 (2), (3): the resource name begins with "/", even if the path is empty.
        let target = request.target();
        to.text(if target.starts_with('/') { "GET " } else { "GET /" }).text(target);
        // RFC 6455 4.1 (4) to (6): `Host`, `Upgrade` and `Connection`.
        to.text(" HTTP/1.1\r\n").header("Host", &request.host);
        to.text("Connection: Upgrade\r\nUpgrade: websocket\r\n");
        if let Some(origin) = request.origin {
            to.header("Origin", &origin);
        }
        // RFC 6455 4.1 (7), (9): the key and the version.
        to.text("Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ").bytes(&self.key).text("\r\n");
        if let [first, others @ ..] = request.subprotocols.0 {
            to.text("Sec-WebSocket-Protocol: ").text(first);
            for other in others {
                to.text(", ").text(other);
            }
            to.text("\r\n");
        }
        match (request.deflate, request.extensions) {
            (Some(deflate), Some(others)) => {
                to.header("Sec-WebSocket-Extensions", &format_args!("{deflate}, {others}"))
            }
            (Some(deflate), None) => to.header("Sec-WebSocket-Extensions", &deflate),
            (None, Some(extensions)) => to.header("Sec-WebSocket-Extensions", &extensions),
            (None, None) => &mut to,
        };
        Ok(to.headers(request.headers).text("\r\n").finish()?)
    }

    /// Returns the whole request.
    #[cfg(feature = "alloc")]
    #[cfg_attr(docsrs, doc(cfg(feature = "alloc")))]
    #[must_use]
    pub fn to_vec(&self) -> alloc::vec::Vec<u8> {
        let needed = match self.write(&mut []) {
            Err(RequestError::NoSpace(NoSpace { needed })) => needed,
            // The request was checked by `new`, so `NoSpace` is the only possible error.
            _ => 0,
        };
        let mut out = alloc::vec![0; needed];
        let len = self.write(&mut out).unwrap_or(0);
        out.truncate(len);
        out
    }

    /// Parses the response in `head`, which contains all bytes since the connection began. Returns `None` if
    /// more bytes are needed.
    ///
    /// `head` must begin with the bytes of the earlier calls, unchanged. Interim responses (1xx other than 101)
    /// are skipped, and their bytes count towards [`HeadLimits::max_head`]. After the first result, further
    /// calls return the same result.
    ///
    /// # Errors
    ///
    /// Drop the connection after an error.
    ///
    /// - [`HandshakeError::Head`]: the bytes are not a valid HTTP/1.1 head, or exceed a limit.
    /// - [`HandshakeError::HttpVersion`]: the response has status 101 and the version HTTP/1.0.
    /// - [`HandshakeError::Upgrade`], [`HandshakeError::Connection`]: the header of this name in the 101 response is
    ///   missing or wrong.
    /// - [`HandshakeError::AcceptMissing`], [`HandshakeError::AcceptRepeated`], [`HandshakeError::AcceptWrong`]:
    ///   `Sec-WebSocket-Accept` is missing, repeated, or does not match the key.
    /// - [`HandshakeError::SubprotocolNotOffered`], [`HandshakeError::SubprotocolRepeated`]: the server chose a
    ///   subprotocol that was not offered, or the header with its choice is repeated.
    /// - [`HandshakeError::Extensions`]: the extensions of the response are malformed or were not offered.
    /// - [`HandshakeError::Timeout`]: an earlier call of [`handle_timeout`](Self::handle_timeout) has failed the
    ///   handshake.
    pub fn poll<'h>(&mut self, head: &'h [u8]) -> Result<Option<Reply<'h>>, HandshakeError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let outcome = self.advance(head);
        match outcome {
            Ok(None) => {}
            Ok(Some(_)) => self.done = true,
            Err(error) => self.failed = Some(error),
        }
        outcome
    }

    /// Returns the time at which to call [`handle_timeout`](Self::handle_timeout), or `None` if no call is needed.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let waiting = !self.done && self.failed.is_none() && self.deadline != Instant::NEVER;
        waiting.then_some(self.deadline)
    }

    /// Fails the handshake if its deadline has passed. Does nothing before the deadline.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Timeout`] if the deadline has passed and the response is not complete.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), HandshakeError> {
        match self.poll_timeout() {
            Some(deadline) if deadline <= now => {
                self.failed = Some(HandshakeError::Timeout);
                Err(HandshakeError::Timeout)
            }
            _ => Ok(()),
        }
    }

    /// Parses heads until a final response is complete.
    fn advance<'h>(&mut self, bytes: &'h [u8]) -> Result<Option<Reply<'h>>, HandshakeError> {
        loop {
            let mut handshake_headers = ResponseHeaders::default();
            let Some(head) = self.scanner.scan(bytes, &mut handshake_headers)? else { return Ok(None) };
            match check_response(head, &handshake_headers, &self.request, &self.key)? {
                Some(reply) => return Ok(Some(reply)),
                // RFC 9110 15.2: the response is an interim response, and the final response follows.
                None => self.scanner.next_response(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handshake::WsUrl;
    use std::string::String;
    use std::vec::Vec;

    fn written_request(url: &str, nonce: [u8; 16]) -> String {
        let url = WsUrl::parse(url).unwrap();
        let handshake =
            ClientHandshake::new(ClientRequest::from_url(&url), nonce, HeadLimits::new()).unwrap();
        let mut out = [0; 512];
        let len = handshake.write(&mut out).unwrap();
        String::from_utf8(out[..len].to_vec()).unwrap()
    }

    #[test]
    fn s4_1_the_request_has_exactly_the_required_headers() {
        for (url, target, host) in [
            ("ws://a", "/", "a"),
            ("ws://a:80/x?y=z", "/x?y=z", "a"),
            ("ws://a:81?y", "/?y", "a:81"),
            ("wss://[::1]:443/", "/", "[::1]"),
            ("wss://[::1]:80/", "/", "[::1]:80"),
        ] {
            let text = written_request(url, [0; 16]);
            let mut lines: Vec<&str> = text.split("\r\n").collect();
            assert_eq!(lines.remove(0), std::format!("GET {target} HTTP/1.1"));
            lines.sort_unstable();
            let host = std::format!("Host: {host}");
            // The head has exactly these lines. The two empty strings are the empty line at its end.
            let expected = [
                "",
                "",
                "Connection: Upgrade",
                &host,
                "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
                "Sec-WebSocket-Version: 13",
                "Upgrade: websocket",
            ];
            assert_eq!(lines, expected);
        }
        assert_ne!(written_request("ws://a", [1; 16]), written_request("ws://a", [2; 16]));
    }
}
