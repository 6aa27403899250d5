//! The client's side: the request it sends (RFC 6455 4.1), and the machine that reads the answer.

use core::fmt;
use core::time::Duration;

use crate::Instant;
use crate::arch::ascii;

use super::extensions::{Extension, ExtensionIter, Extensions};
use super::head::Limits;
use super::key::encode_nonce;
use super::permessage_deflate::{DeflateOffer, DeflateParams};
use super::reply::{HandshakeError, Known, Reply, judge};
use super::scan::Scanner;
use super::text::{is_target_byte, is_token};
use super::url::{WsUrl, split_authority};
use super::write::{Extra, HeaderError, NoRoom, Writer, check_headers};

/// What a client asks for: the parts of its request.
///
/// ```
/// use hybi::handshake::{ClientHandshake, ClientRequest, DeflateOffer, Limits, WsUrl};
///
/// let url = WsUrl::parse("ws://example.com?room=1")?;
/// let request = ClientRequest::from_url(&url)
///     .origin("http://example.com")
///     .subprotocols(&["chat.v2", "chat.v1"])
///     .deflate(DeflateOffer::default())
///     .headers(&[("User-Agent", "hybi")]);
/// // 16 bytes that nobody can guess, fresh for each connection
/// let handshake = ClientHandshake::new(request, *b"the sample nonce", Limits::new())?;
/// let mut out = [0; 512];
/// let len = handshake.write(&mut out)?;
/// assert_eq!(
///     core::str::from_utf8(&out[..len])?,
///     "GET /?room=1 HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
///      Origin: http://example.com\r\nSec-WebSocket-Version: 13\r\n\
///      Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
///      Sec-WebSocket-Protocol: chat.v2, chat.v1\r\n\
///      Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\
///      User-Agent: hybi\r\n\r\n",
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ClientRequest<'a> {
    host: &'a str,
    target: &'a str,
    origin: Option<&'a str>,
    subprotocols: &'a [&'a str],
    deflate: Option<DeflateOffer>,
    extensions: Option<&'a str>,
    headers: Extra<'a>,
}

impl<'a> ClientRequest<'a> {
    /// A request to `host` (with `:port` unless that is the default, as
    /// [`WsUrl::authority`] gives it) for `target` (path and query; empty means "/").
    #[must_use]
    pub const fn new(host: &'a str, target: &'a str) -> Self {
        Self {
            host,
            target,
            origin: None,
            subprotocols: &[],
            deflate: None,
            extensions: None,
            headers: Extra(&[]),
        }
    }

    /// A request for what `url` names.
    #[must_use]
    pub const fn from_url(url: &WsUrl<'a>) -> Self {
        Self::new(url.authority(), url.target())
    }

    /// The `Origin`, which only browsers have to send (RFC 6455 4.1 (8)).
    #[must_use]
    pub fn origin(mut self, origin: impl Into<Option<&'a str>>) -> Self {
        self.origin = origin.into();
        self
    }

    /// The subprotocols to offer, the preferred ones first: tokens, each once.
    #[must_use]
    pub const fn subprotocols(mut self, subprotocols: &'a [&'a str]) -> Self {
        self.subprotocols = subprotocols;
        self
    }

    /// Offers permessage-deflate, before the other extensions.
    #[must_use]
    pub fn deflate(mut self, offer: impl Into<Option<DeflateOffer>>) -> Self {
        self.deflate = offer.into();
        self
    }

    /// Extensions to offer, as the header's text; may hold several offers of permessage-deflate.
    #[must_use]
    pub fn extensions(mut self, extensions: impl Into<Option<&'a str>>) -> Self {
        self.extensions = extensions.into();
        self
    }

    /// More headers, each a name and a value. Those of the handshake itself, `Host` and `Origin`
    /// among them, are refused.
    #[must_use]
    pub const fn headers(mut self, headers: &'a [(&'a str, &'a str)]) -> Self {
        self.headers = Extra(headers);
        self
    }

    pub(crate) const fn offered_subprotocols(&self) -> &'a [&'a str] {
        self.subprotocols
    }

    pub(crate) const fn offered_deflate(&self) -> Option<DeflateOffer> {
        self.deflate
    }

    /// The extensions that are offered as text.
    pub(crate) fn offered_extensions(&self) -> impl Iterator<Item = Extension<'a>> + Clone + use<'a> {
        let text = self.extensions.and_then(|text| Extensions::parse(text.as_bytes()).ok());
        text.map(|extensions| -> ExtensionIter<'a> { extensions.iter() }).into_iter().flatten()
    }

    fn check(&self) -> Result<(), RequestError> {
        // RFC 6455 4.1 (4)
        split_authority(self.host).map_err(|_| RequestError::Host)?;
        // RFC 6455 4.1 (3), 3: no fragment; an absolute form is for proxies.
        if !(self.target.is_empty() || self.target.starts_with(['/', '?']))
            || !self.target.bytes().all(is_target_byte)
        {
            return Err(RequestError::Target);
        }
        let visible = |text: &str| !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'!'..=b'~'));
        if self.origin.is_some_and(|origin| !visible(origin)) {
            return Err(RequestError::Origin);
        }
        // RFC 6455 4.1 (10)
        let mut rest = self.subprotocols;
        while let [subprotocol, others @ ..] = rest {
            if !is_token(subprotocol.as_bytes()) {
                return Err(RequestError::Subprotocol);
            }
            if others.contains(subprotocol) {
                return Err(RequestError::SubprotocolRepeated);
            }
            rest = others;
        }
        if let Some(text) = self.extensions {
            // RFC 6455 9.1
            ascii(text.as_bytes()).ok_or(RequestError::Extensions)?;
            Extensions::parse(text.as_bytes()).map_err(|_| RequestError::Extensions)?;
        }
        if let Some(offer) = self.deflate {
            let mut text = [0; DeflateParams::MAX_LEN];
            let len = offer.write(&mut text)?;
            // RFC 7692 7.1.2: the numbers are the caller's.
            let valid = Extensions::parse(text.get(..len).unwrap_or_default())
                .is_ok_and(|list| list.iter().all(|one| DeflateOffer::from_extension(&one).is_some()));
            if !valid {
                return Err(RequestError::Extensions);
            }
        }
        Ok(check_headers(self.headers, &["Host", "Origin"])?)
    }
}

/// The client's half of the opening handshake: it writes the request and reads the response.
///
/// Nothing may be sent behind the request before the response was read (RFC 6455 4.1).
///
/// ```
/// use hybi::handshake::{ClientHandshake, ClientRequest, Limits, Reply};
///
/// let request = ClientRequest::new("example.com", "/chat").subprotocols(&["chat"]);
/// let mut handshake = ClientHandshake::new(request, *b"the sample nonce", Limits::new())?;
///
/// let arrived = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
///     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n\x81";
/// assert!(handshake.poll(&arrived[..50])?.is_none()); // read more, behind what is there
/// let Some(Reply::Open(opened)) = handshake.poll(arrived)? else { panic!("open") };
/// assert_eq!(opened.subprotocol(), Some("chat"));
/// assert_eq!(opened.deflate(), None);
/// assert_eq!(&arrived[opened.head_len()..], b"\x81"); // belongs to the frame parser
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ClientHandshake<'a> {
    request: ClientRequest<'a>,
    key: [u8; 24],
    scanner: Scanner,
    /// [`Instant::NEVER`] if there is none.
    deadline: Instant,
    done: bool,
    failed: Option<HandshakeError>,
}

impl<'a> ClientHandshake<'a> {
    /// A handshake for `request`. `nonce` must be fresh and unpredictable for each connection
    /// (RFC 6455 4.1 (7)). `limits` hold for the response.
    ///
    /// # Errors
    ///
    /// [`RequestError`] if the request cannot be sent so.
    pub fn new(request: ClientRequest<'a>, nonce: [u8; 16], limits: Limits) -> Result<Self, RequestError> {
        request.check()?;
        let (key, scanner) = (encode_nonce(nonce), Scanner::response(limits));
        Ok(Self { request, key, scanner, deadline: Instant::NEVER, done: false, failed: None })
    }

    /// Gives the whole response until `timeout` after `now` to arrive.
    #[must_use]
    pub fn with_timeout(mut self, now: Instant, timeout: Duration) -> Self {
        self.deadline = now + timeout;
        self
    }

    /// The `Sec-WebSocket-Key` that is sent.
    #[must_use]
    pub const fn key(&self) -> &[u8; 24] {
        &self.key
    }

    /// Writes the request into `out`; returns its length in bytes.
    ///
    /// # Errors
    ///
    /// [`RequestError::NoRoom`] if `out` is too small; it says how much is needed.
    pub fn write(&self, out: &mut [u8]) -> Result<usize, RequestError> {
        let request = &self.request;
        let mut to = Writer::new(out);
        // RFC 6455 4.1 (2), (3): the resource name is "/" and the query if the path is empty.
        to.text(if request.target.starts_with('/') { "GET " } else { "GET /" }).text(request.target);
        // RFC 6455 4.1 (4) to (6)
        to.text(" HTTP/1.1\r\n").header("Host", &request.host);
        to.text("Connection: Upgrade\r\nUpgrade: websocket\r\n");
        if let Some(origin) = request.origin {
            to.header("Origin", &origin);
        }
        // RFC 6455 4.1 (7), (9)
        to.text("Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ").bytes(&self.key).text("\r\n");
        if let [first, others @ ..] = request.subprotocols {
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

    /// The whole request.
    #[cfg(feature = "alloc")]
    #[cfg_attr(docsrs, doc(cfg(feature = "alloc")))]
    #[must_use]
    pub fn to_vec(&self) -> alloc::vec::Vec<u8> {
        let needed = match self.write(&mut []) {
            Err(RequestError::NoRoom(NoRoom { needed })) => needed,
            // The request was checked when the handshake was made.
            _ => 0,
        };
        let mut out = alloc::vec![0; needed];
        let len = self.write(&mut out).unwrap_or(0);
        out.truncate(len);
        out
    }

    /// Reads the response in `head`: all bytes since the connection began, in the caller's memory,
    /// those of earlier calls unchanged in front. `None`: read more.
    ///
    /// Interim responses (1xx other than 101) are read over; they count towards
    /// [`Limits::max_head`]. Once there is a result, further calls give the same one.
    ///
    /// # Errors
    ///
    /// [`HandshakeError`] if the server's answer is no HTTP or breaks a rule of RFC 6455 4.1: drop
    /// the connection.
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
    /// [`HandshakeError::Timeout`] once the deadline has come and the response has not.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), HandshakeError> {
        match self.poll_timeout() {
            Some(deadline) if deadline <= now => {
                self.failed = Some(HandshakeError::Timeout);
                Err(HandshakeError::Timeout)
            }
            _ => Ok(()),
        }
    }

    fn advance<'h>(&mut self, bytes: &'h [u8]) -> Result<Option<Reply<'h>>, HandshakeError> {
        loop {
            let mut known = Known::default();
            let Some(head) = self.scanner.scan(bytes, &mut known)? else { return Ok(None) };
            match judge(head, &known, &self.request, &self.key)? {
                Some(reply) => return Ok(Some(reply)),
                // RFC 9110 15.2: an interim response; the final one follows.
                None => self.scanner.next_response(),
            }
        }
    }
}

/// Why a client's request cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestError {
    /// The memory lent is too small.
    NoRoom(NoRoom),
    /// The host is not `host` or `host:port` (RFC 6455 4.1 (4)).
    Host,
    /// The target is not a path with an optional query (RFC 6455 4.1 (3)).
    Target,
    /// The origin is empty or has a character that no origin has (RFC 6454 6.2).
    Origin,
    /// A subprotocol is empty or not a token (RFC 6455 4.1 (10)).
    Subprotocol,
    /// A subprotocol is offered twice (RFC 6455 4.1 (10)).
    SubprotocolRepeated,
    /// The extensions do not match the grammar (RFC 6455 9.1), or window bits are not 8 to 15
    /// (RFC 7692 7.1.2).
    Extensions,
    /// A header of the application's.
    Header(HeaderError),
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRoom(error) => return error.fmt(f),
            Self::Header(error) => return error.fmt(f),
            Self::Host => {
                "invalid host (RFC 6455 4.1 (4)): pass WsUrl::authority, `host` or `host:port`, and a name that is \
                 not ASCII in its xn-- form"
            }
            Self::Target => {
                "invalid target (RFC 6455 4.1 (3)): pass `/path?query`, percent-encoded, without a fragment"
            }
            Self::Origin => "invalid origin (RFC 6454 6.2): pass `scheme://host:port` or `null`",
            Self::Subprotocol => {
                "a subprotocol is not a token (RFC 6455 4.1 (10)): use letters, digits, `.` and `-`"
            }
            Self::SubprotocolRepeated => "a subprotocol is offered twice (RFC 6455 4.1 (10)): offer it once",
            Self::Extensions => {
                "malformed extensions (RFC 6455 9.1, RFC 7692 7.1): write `name; param=token`, window \
                 bits 8 to 15"
            }
        })
    }
}

impl core::error::Error for RequestError {}

impl From<NoRoom> for RequestError {
    fn from(error: NoRoom) -> Self {
        Self::NoRoom(error)
    }
}

impl From<HeaderError> for RequestError {
    fn from(error: HeaderError) -> Self {
        Self::Header(error)
    }
}

/// The extensions of a request as one list: those of [`ClientRequest::deflate`] first. `text` is
/// where that offer is written to.
pub(crate) fn offered<'t>(
    request: &ClientRequest<'t>,
    text: &'t [u8],
) -> impl Iterator<Item = Extension<'t>> + Clone + use<'t> {
    let deflate = Extensions::parse(text).ok().map(|list| -> ExtensionIter<'t> { list.iter() });
    deflate.into_iter().flatten().chain(request.offered_extensions())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec::Vec;

    fn sent(url: &str, nonce: [u8; 16]) -> String {
        let url = WsUrl::parse(url).unwrap();
        let handshake = ClientHandshake::new(ClientRequest::from_url(&url), nonce, Limits::new()).unwrap();
        let mut out = [0; 512];
        let len = handshake.write(&mut out).unwrap();
        String::from_utf8(out[..len].to_vec()).unwrap()
    }

    #[test]
    fn s4_1_the_request_as_sent() {
        for (url, target, host) in [
            ("ws://a", "/", "a"),
            ("ws://a:80/x?y=z", "/x?y=z", "a"),
            ("ws://a:81?y", "/?y", "a:81"),
            ("wss://[::1]:443/", "/", "[::1]"),
            ("wss://[::1]:80/", "/", "[::1]:80"),
        ] {
            let text = sent(url, [0; 16]);
            let mut lines: Vec<&str> = text.split("\r\n").collect();
            assert_eq!(lines.remove(0), std::format!("GET {target} HTTP/1.1"));
            lines.sort_unstable();
            let host = std::format!("Host: {host}");
            // Nothing twice, nothing more, and an empty line at the end.
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
        assert_ne!(sent("ws://a", [1; 16]), sent("ws://a", [2; 16]));
    }
}
