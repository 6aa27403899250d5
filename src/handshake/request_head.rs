//! The head of a request as an owned value: method, target and headers.
//!
//! A [`Request`] borrows the received bytes. An application that asks a database about a request must keep the request
//! for a longer time, so [`RequestHead`] owns its fields. A [`RequestHead`] is created from a received HTTP/1.1 head,
//! or from the fields that another HTTP library has parsed.
//!
//! [`RequestHead::check`] applies the rules of RFC 6455 section 4.2.1, which are in `incoming`. The syntax of HTTP/1.1
//! is in `scan`.
//!
//! Invariants:
//! - Each header line has a token as its name, and a value without control characters other than tabs.
//! - `Debug` output contains no header values, which can be credentials.

use core::fmt;

use alloc::vec::Vec;

use super::head::{HeadError, HeaderLines, Headers};
use super::http_response::is_head;
use super::incoming::{HttpRequest, Incoming, RequestHeaders, RequestLine, check_fields};
use super::reason::Reason;
use super::rejection::Rejection;
use super::request::{Request, SUBPROTOCOLS, Target, check_origin, offers};
use super::text::{TargetText, is_target_byte, is_token, is_value_byte, trim_ows};
use super::write::{HeaderError, HeaderName};
use crate::kernel::ascii;

/// The head of a request: method, target and headers, owned and independent of the HTTP version.
///
/// The `PendingRequest` of an adapter contains the head of a received request. If another HTTP library has parsed the
/// request, create a head from its fields, and [`check`](Self::check) the head:
///
/// ```
/// use hybi::handshake::RequestHead;
///
/// let mut head = RequestHead::new("GET", "/chat?room=1");
/// for (name, value) in [
///     ("host", "example.com"),
///     ("upgrade", "websocket"),
///     ("connection", "keep-alive, Upgrade"),
///     ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
///     ("sec-websocket-version", "13"),
///     ("sec-websocket-protocol", "chat.v2, chat.v1"),
/// ] {
///     head.add_header(name, value.as_bytes())?;
/// }
/// assert_eq!((head.path(), head.query(), head.host()), ("/chat", Some("room=1"), Some("example.com")));
/// assert!(head.subprotocols().eq(["chat.v2", "chat.v1"]));
/// assert_eq!(head.select_subprotocol(&["chat.v1"]), Some("chat.v1"));
/// assert!(head.check().is_ok());
/// # Ok::<(), hybi::handshake::HeaderError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct RequestHead {
    /// The method, the target, and the header lines, each with its CR LF.
    bytes: Vec<u8>,
    /// The length of the method in bytes.
    method_len: usize,
    /// The length of the target in bytes.
    target_len: usize,
}

impl RequestHead {
    /// Returns a head without headers. `target` is the path and the query, or an absolute URI.
    #[must_use]
    pub fn new(method: &str, target: &str) -> Self {
        Self::from_lines(method, target, b"")
    }

    /// Returns the head of a request. `lines` are complete header lines that the scanner has checked.
    pub(crate) fn from_lines(method: &str, target: &str, lines: &[u8]) -> Self {
        let bytes = [method.as_bytes(), target.as_bytes(), lines].concat();
        Self { bytes, method_len: method.len(), target_len: target.len() }
    }

    /// Adds a header at the end of the head. Whitespace around `value` is removed.
    ///
    /// # Errors
    ///
    /// - [`HeaderError::Name`]: `name` is not a token (RFC 9110 section 5.1).
    /// - [`HeaderError::Value`]: `value` has a control character other than a tab (RFC 9110 section 5.5).
    pub fn add_header(&mut self, name: &str, value: &[u8]) -> Result<(), HeaderError> {
        if !is_token(name.as_bytes()) {
            return Err(HeaderError::Name(HeaderName::new(name)));
        }
        if !value.iter().copied().all(is_value_byte) {
            return Err(HeaderError::Value(HeaderName::new(name)));
        }
        for part in [name.as_bytes(), b": ", trim_ows(value), b"\r\n"] {
            self.bytes.extend_from_slice(part);
        }
        Ok(())
    }

    /// Returns the method. Methods are case-sensitive (RFC 9110 section 9.1).
    #[must_use]
    pub fn method(&self) -> &str {
        self.text_at(0, self.method_len)
    }

    /// Returns the request target: path and query, or an absolute URI (RFC 9112 section 3.2).
    #[must_use]
    pub fn target(&self) -> &str {
        self.text_at(self.method_len, self.target_len)
    }

    /// Returns the path without decoding it.
    ///
    /// If the target is an absolute URI without a path, the result is "/". If the target is neither a path nor an
    /// absolute URI, the result is the whole target.
    #[must_use]
    pub fn path(&self) -> &str {
        Target::parse(self.target()).map_or(self.target(), |target| target.path)
    }

    /// Returns the query, without the "?" and without decoding it, or `None` if there is no "?".
    ///
    /// If the target is neither a path nor an absolute URI, the result is also `None`.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        Target::parse(self.target())?.query
    }

    /// Returns the requested host, with its port if the request names one.
    ///
    /// The authority of an absolute target takes precedence over `Host` (RFC 9112 section 3.2.2). The result is `None`
    /// if there is no such authority, and `Host` is missing, repeated or not ASCII.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        let authority = Target::parse(self.target()).and_then(|target| target.authority);
        authority.or_else(|| ascii(self.headers().get_only("Host")?))
    }

    /// Returns the origin of the page that opens the connection, or `None` if `Origin` is missing, repeated or not
    /// ASCII.
    ///
    /// Browsers always send an origin. A client without an origin is not a browser (RFC 6455 section 4.2.1 (7)).
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        ascii(self.headers().get_only("Origin")?)
    }

    /// Returns the subprotocols that the client offers, in its order of preference.
    pub fn subprotocols(&self) -> impl Iterator<Item = &str> + Clone {
        offers(HeaderLines::Several(self.headers().lines_named(SUBPROTOCOLS))).filter_map(ascii)
    }

    /// Returns the first subprotocol in the client's list that is also in `supported`. The client's order of
    /// preference decides (RFC 6455 section 4.1 (10)).
    ///
    /// Returns `None` if there is no common subprotocol. The connection may still be accepted.
    #[must_use]
    pub fn select_subprotocol<'a>(&self, supported: &[&'a str]) -> Option<&'a str> {
        self.subprotocols().find_map(|offer| supported.iter().copied().find(|&name| name == offer))
    }

    /// Returns all headers.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        Headers::new(self.bytes.get(self.method_len + self.target_len..).unwrap_or_default())
    }

    /// Checks that the origin is in `allowed`, compared without regard to case. A client that sends no origin is
    /// allowed.
    ///
    /// This check is the defence against cross-site WebSocket hijacking (RFC 6455 section 10.2).
    ///
    /// # Errors
    ///
    /// [`Rejection`] with [`Reason::OriginNotAllowed`] (403) if the origin is not in `allowed`, is repeated or is not
    /// ASCII.
    pub fn check_origin(&self, allowed: &[&str]) -> Result<(), Rejection> {
        match self.origin() {
            // `origin` also returns `None` for an origin that is repeated or not ASCII. That origin is not allowed.
            None if self.headers().get("Origin").is_some() => Err(Rejection::new(Reason::OriginNotAllowed)),
            origin => check_origin(origin, allowed),
        }
    }

    /// Checks the rules of RFC 6455 section 4.2.1, which apply to a request of HTTP/1.1.
    ///
    /// [`Request::head_len`] of the result is 0, because a [`RequestHead`] does not refer to received bytes.
    ///
    /// # Errors
    ///
    /// [`Rejection`] with the [`Reason`] that names the first violated rule. A request without an `Upgrade` header that
    /// lists `websocket` is rejected with [`Reason::NotAnUpgrade`] (426).
    pub fn check(&self) -> Result<Request<'_>, Rejection> {
        let (method, target, headers) = (self.method(), self.target(), self.headers());
        let line = RequestLine { method, target, minor_version: 1 };
        let checked = match target.bytes().all(is_target_byte) {
            true => check_fields(line, headers, 0, &RequestHeaders::of(headers)),
            false => Err(Reason::Head(HeadError::Target)),
        };
        match checked {
            Ok(Incoming::Upgrade(request)) => Ok(request),
            Ok(Incoming::Http(_)) => Err(Rejection::of(Reason::NotAnUpgrade, is_head(method))),
            Err(reason) => Err(Rejection::of(reason, is_head(method))),
        }
    }

    /// Returns the `len` bytes from `start` as text. The bytes were copied from a `&str`, so they are UTF-8.
    fn text_at(&self, start: usize, len: usize) -> &str {
        let bytes = self.bytes.get(start..).and_then(|bytes| bytes.get(..len)).unwrap_or_default();
        core::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl From<Request<'_>> for RequestHead {
    fn from(request: Request<'_>) -> Self {
        // RFC 6455 4.2.1 (1): only a GET becomes a `Request`.
        Self::from_lines("GET", request.target(), request.headers().lines())
    }
}

impl From<HttpRequest<'_>> for RequestHead {
    fn from(request: HttpRequest<'_>) -> Self {
        Self::from_lines(request.method(), request.target(), request.headers().lines())
    }
}

impl fmt::Debug for RequestHead {
    /// Shows only the names of headers, and no query. Header values and queries can be credentials, which must not
    /// appear in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", &self.method())
            .field("target", &TargetText(self.target()))
            .field("headers", &self.headers())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handshake::{HeadLimits, ServerHandshake};

    const HEAD: &[u8] = b"GET http://a:1/b?c HTTP/1.1\r\nHost: b\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Protocol: one\r\nOrigin: null\r\nSec-WebSocket-Protocol:two , three\r\n\
        Cookie: secret\r\nSec-WebSocket-Version: 13\r\n\r\n";

    #[test]
    fn s4_2_1_a_received_head_equals_a_head_made_of_its_fields() {
        let Ok(Some(Incoming::Upgrade(request))) = ServerHandshake::new(HeadLimits::new()).poll(HEAD) else {
            panic!("an upgrade");
        };
        let read = RequestHead::from(request);
        let mut made = RequestHead::new("GET", "http://a:1/b?c");
        for header in request.headers() {
            made.add_header(header.name, header.value).unwrap();
        }
        for head in [&read, &made] {
            assert_eq!((head.method(), head.target()), ("GET", request.target()));
            assert_eq!((head.path(), head.query(), head.host()), ("/b", Some("c"), Some("a:1")));
            assert_eq!(head.origin(), Some("null"));
            assert!(head.subprotocols().eq(["one", "two", "three"]));
            assert_eq!(head.select_subprotocol(&["three", "two"]), Some("two"));
            assert!(head.headers().iter().eq(request.headers().iter()));
            assert!(head.check_origin(&["NULL"]).is_ok() && head.check_origin(&["https://a"]).is_err());
            let checked = head.check().unwrap();
            assert_eq!((checked.key(), checked.head_len()), (request.key(), 0));
            assert!(checked.subprotocols().eq(request.subprotocols()));
        }
        let shown = std::format!("{read:?}");
        assert!(shown.contains("Cookie") && !shown.contains("secret"), "{shown}");
    }

    #[test]
    fn s4_2_1_a_head_is_checked_like_received_bytes() {
        let without = |name: &str| {
            let Ok(Some(Incoming::Upgrade(request))) = ServerHandshake::new(HeadLimits::new()).poll(HEAD)
            else {
                panic!("an upgrade");
            };
            let mut head = RequestHead::new("GET", request.target());
            for header in request.headers().iter().filter(|header| header.name != name) {
                head.add_header(header.name, header.value).unwrap();
            }
            head
        };
        for (name, reason) in [
            ("Host", Reason::HostMissing),
            ("Upgrade", Reason::NotAnUpgrade),
            ("Connection", Reason::Connection),
            ("Sec-WebSocket-Key", Reason::KeyMissing),
            ("Sec-WebSocket-Version", Reason::VersionMissing),
        ] {
            assert_eq!(without(name).check().unwrap_err().reason(), reason, "{name}");
        }
        let mut head = without("");
        head.add_header("Origin", b"https://a").unwrap();
        assert_eq!((head.origin(), head.check().unwrap_err().reason()), (None, Reason::OriginRepeated));
        assert!(head.check_origin(&["https://a", "null"]).is_err());
        for (target, reason) in
            [("", Reason::Target), ("*", Reason::Target), ("/a b", Reason::Head(HeadError::Target))]
        {
            assert_eq!(RequestHead::new("GET", target).check().unwrap_err().reason(), reason, "{target:?}");
        }
        assert_eq!(RequestHead::new("POST", "/").check().unwrap_err().reason(), Reason::HostMissing);
    }

    #[test]
    fn s9110_5_5_fields_cannot_add_lines() {
        let mut head = RequestHead::new("GET", "/");
        for name in ["", "a b", ":path", "a\r\nb"] {
            assert_eq!(head.add_header(name, b"v"), Err(HeaderError::Name(HeaderName::new(name))));
        }
        for value in [&b"a\r\nb: c"[..], b"a\nb", b"a\0"] {
            assert_eq!(head.add_header("x", value), Err(HeaderError::Value(HeaderName::new("x"))));
        }
        assert_eq!(head.headers().iter().count(), 0);
        head.add_header("x", b" \xff\t").unwrap();
        assert_eq!(head.headers().get("X"), Some(&b"\xff"[..]));
    }
}
