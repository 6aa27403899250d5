//! The server's side: the machine that reads a request (RFC 6455 4.2.1).

use core::time::Duration;

use crate::Instant;

use super::head::{Headers, Limits};
use super::reject::{Reason, Rejection, is_head};
use super::request::{Known, Request, RequestLine, judge};
use super::scan::{Head, Scanner};

/// The server's half of the opening handshake, up to the whole request.
///
/// The bytes lie in the caller's memory; the machine keeps an offset and looks at each byte once.
///
/// ```
/// use hybi::handshake::{Incoming, Limits, ServerHandshake};
///
/// let arrived = b"GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n\
///     Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
///     Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Version: 13\r\n\r\n\x81";
///
/// let mut handshake = ServerHandshake::new(Limits::new());
/// assert!(handshake.poll(&arrived[..100])?.is_none()); // read more, behind what is there
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
    scanner: Scanner,
    /// [`Instant::NEVER`] if there is none.
    deadline: Instant,
    done: bool,
    /// The method is HEAD, and was followed by its space. It is kept for [`handle_timeout`](Self::handle_timeout),
    /// which does not see the bytes.
    is_head: bool,
    failed: Option<Rejection>,
}

impl ServerHandshake {
    /// A handshake of which nothing has arrived yet.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        let scanner = Scanner::request(limits);
        Self { scanner, deadline: Instant::NEVER, done: false, is_head: false, failed: None }
    }

    /// Gives the whole request until `timeout` after `now` to arrive.
    #[must_use]
    pub fn with_timeout(mut self, now: Instant, timeout: Duration) -> Self {
        self.deadline = now + timeout;
        self
    }

    /// Reads the request in `head`: all bytes since the connection began, in the caller's memory,
    /// those of earlier calls unchanged in front. `None`: read more.
    ///
    /// Once there is a result, further calls give the same one.
    ///
    /// # Errors
    ///
    /// [`Rejection`] for a request that cannot be accepted: a syntax error as soon as its first
    /// byte is there, all others when the head is whole. Answer with
    /// [`Rejection::response`] and close.
    pub fn poll<'h>(&mut self, head: &'h [u8]) -> Result<Option<Incoming<'h>>, Rejection> {
        if let Some(rejection) = self.failed {
            return Err(rejection);
        }
        let mut known = Known::default();
        let scanned = self.scanner.scan(head, &mut known);
        self.is_head |= self.scanner.first_line_starts_with(head, b"HEAD ");
        let outcome = match scanned {
            Ok(Some(head)) => judge(head, &known).map(Some),
            Ok(None) => Ok(None),
            Err(error) => Err(Reason::from(error)),
        };
        match outcome {
            Ok(None) => {}
            Ok(Some(_)) => self.done = true,
            Err(reason) => return Err(self.refuse(reason)),
        }
        outcome.map_err(Rejection::new)
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; `None` if it need not be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let waiting = !self.done && self.failed.is_none() && self.deadline != Instant::NEVER;
        waiting.then_some(self.deadline)
    }

    /// Tells the time. Does nothing before the deadline.
    ///
    /// # Errors
    ///
    /// [`Rejection`] with [`Reason::Timeout`] (408) once the deadline has come and the request has
    /// not.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), Rejection> {
        match self.poll_timeout() {
            Some(deadline) if deadline <= now => Err(self.refuse(Reason::Timeout)),
            _ => Ok(()),
        }
    }

    fn refuse(&mut self, reason: Reason) -> Rejection {
        let rejection = Rejection::of(reason, self.is_head);
        self.failed = Some(rejection);
        rejection
    }
}

/// What a client sent.
#[derive(Clone, Copy, Debug)]
pub enum Incoming<'h> {
    /// A request to open a WebSocket connection that keeps every rule of RFC 6455 4.2.1.
    Upgrade(Request<'h>),
    /// A well-formed HTTP request that does not ask for a WebSocket: it has no `Upgrade` header, or
    /// one that does not list `websocket`. So plain HTTP can live on the same port.
    Http(HttpRequest<'h>),
}

/// A well-formed HTTP request that asks for no WebSocket.
///
/// Its body, if it announces one, follows the head and is not read here.
///
/// ```
/// use hybi::handshake::{Incoming, Limits, ServerHandshake};
///
/// let head = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n";
/// let Ok(Some(Incoming::Http(request))) = ServerHandshake::new(Limits::new()).poll(head) else {
///     panic!("plain HTTP");
/// };
/// assert_eq!((request.method(), request.target()), ("GET", "/health"));
/// assert_eq!(request.rejection().status(), 426);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct HttpRequest<'h> {
    method: &'h str,
    target: &'h str,
    minor_version: u8,
    headers: Headers<'h>,
    head_len: usize,
}

impl<'h> HttpRequest<'h> {
    pub(crate) const fn new(line: RequestLine<'h>, head: Head<'h>) -> Self {
        let RequestLine { method, target, minor_version } = line;
        Self { method, target, minor_version, headers: head.headers, head_len: head.len }
    }

    /// The method; its case matters.
    #[must_use]
    pub const fn method(&self) -> &'h str {
        self.method
    }

    /// The request target: path and query, or an absolute URI.
    #[must_use]
    pub const fn target(&self) -> &'h str {
        self.target
    }

    /// The `x` of `HTTP/1.x`.
    #[must_use]
    pub const fn minor_version(&self) -> u8 {
        self.minor_version
    }

    /// All headers.
    #[must_use]
    pub const fn headers(&self) -> Headers<'h> {
        self.headers
    }

    /// Bytes of the head, with an empty line in front of it.
    #[must_use]
    pub const fn head_len(&self) -> usize {
        self.head_len
    }

    /// The answer of a server that speaks nothing but WebSocket: 426 with `Upgrade: websocket`.
    #[must_use]
    pub const fn rejection(&self) -> Rejection {
        Rejection::of(Reason::NotAnUpgrade, is_head(self.method))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_small() {
        assert!(size_of::<ServerHandshake>() <= 96, "{}", size_of::<ServerHandshake>());
    }

    #[test]
    fn s4_2_1_a_result_is_final() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let mut handshake = ServerHandshake::new(Limits::new());
        for _ in 0..2 {
            assert!(matches!(handshake.poll(head), Ok(Some(Incoming::Http(_)))));
        }
        // The caller has reused its memory: whatever comes of it, no panic and no upgrade.
        let mut other = *head;
        for at in 0..other.len() {
            other[at] = b'\n';
            assert!(!matches!(handshake.clone().poll(&other), Ok(Some(Incoming::Upgrade(_)))));
        }
        let mut refused = ServerHandshake::new(Limits::new());
        let rejection = refused.poll(b"\0").unwrap_err();
        assert_eq!(refused.poll(head).unwrap_err(), rejection);
    }
}
