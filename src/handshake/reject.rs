//! A server's answers that are not 101.

use core::fmt;

use super::head::HeadError;
use super::write::{Extra, HeaderError, HeaderName, NoRoom, Writer, check_headers, display_len, is_value};

/// Why a server refuses a request: which rule it breaks and which header is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The bytes are no HTTP/1.1 head, or too many.
    Head(HeadError),
    /// The handshake did not arrive in time.
    Timeout,
    /// The version is HTTP/1.0.
    HttpVersion,
    /// The method is not GET.
    Method,
    /// The target is neither a path nor an absolute http, https, ws or wss URI.
    Target,
    /// `Host` is missing.
    HostMissing,
    /// `Host` is repeated.
    HostRepeated,
    /// `Host` is empty or not an authority.
    HostInvalid,
    /// No `Upgrade` header names `websocket`: a plain HTTP request.
    NotAnUpgrade,
    /// `Connection` does not hold the token `upgrade`.
    Connection,
    /// `Content-Length` or `Transfer-Encoding` announces a body.
    Body,
    /// `Sec-WebSocket-Key` is missing.
    KeyMissing,
    /// `Sec-WebSocket-Key` is repeated.
    KeyRepeated,
    /// `Sec-WebSocket-Key` is not the base64 of 16 bytes.
    KeyInvalid,
    /// `Sec-WebSocket-Version` is missing.
    VersionMissing,
    /// `Sec-WebSocket-Version` is repeated.
    VersionRepeated,
    /// `Sec-WebSocket-Version` is not a number from 0 to 255.
    VersionInvalid,
    /// `Sec-WebSocket-Version` is not 13.
    VersionUnsupported,
    /// `Sec-WebSocket-Protocol` is not a list of tokens.
    SubprotocolInvalid,
    /// `Sec-WebSocket-Protocol` names a subprotocol twice.
    SubprotocolRepeated,
    /// `Sec-WebSocket-Protocol` names more than [`Request::MOST_SUBPROTOCOLS`](super::Request::MOST_SUBPROTOCOLS).
    SubprotocolsTooMany,
    /// `Sec-WebSocket-Extensions` is malformed.
    Extensions,
    /// `Origin` is repeated.
    OriginRepeated,
    /// `Origin` is not ASCII.
    OriginInvalid,
    /// `Origin` is not among those that the server allows.
    OriginNotAllowed,
}

impl Reason {
    /// The status code that answers it best.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Head(HeadError::LineTooLong) => 414,
            Self::Head(HeadError::TooLarge | HeadError::TooManyHeaders) => 431,
            Self::Timeout => 408,
            Self::Method => 405,
            // RFC 6455 4.2.2 and 4.4; RFC 9110 15.5.22
            Self::NotAnUpgrade | Self::VersionUnsupported => 426,
            // RFC 6455 4.2.2 (1), 10.2
            Self::OriginNotAllowed => 403,
            _ => 400,
        }
    }
}

impl From<HeadError> for Reason {
    fn from(error: HeadError) -> Self {
        Self::Head(error)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is to blame, where in the RFCs that is written, and what to do about it.
        let [blame, clause, advice] = match self {
            Self::Head(error) => return error.fmt(f),
            Self::Timeout => ["the opening handshake took too long", "RFC 9110 15.5.9", "send it at once"],
            // By default nginx speaks HTTP/1.0 to what is behind it; hardly any client does.
            Self::HttpVersion => [
                "the request is HTTP/1.0, which a proxy has probably made of it",
                "RFC 6455 4.2.1 (1)",
                "let the proxy in front speak HTTP/1.1 (nginx: `proxy_http_version 1.1`)",
            ],
            Self::Method => ["the method is not GET", "RFC 6455 4.2.1 (1)", "use GET"],
            Self::Target => {
                ["malformed request target", "RFC 6455 4.2.1 (1)", "send a path or an absolute ws URI"]
            }
            Self::HostMissing => ["Host is missing", "RFC 6455 4.2.1 (2)", "name the server in it"],
            Self::HostRepeated => ["Host is repeated", "RFC 9112 3.2", "send it once"],
            Self::HostInvalid => ["Host is empty or invalid", "RFC 9112 3.2", "send host or host:port"],
            Self::NotAnUpgrade => [
                "Upgrade is missing or does not list websocket",
                "RFC 6455 4.2.1 (3)",
                "this is a WebSocket endpoint: send `Upgrade: websocket`, and let proxies on the way forward it",
            ],
            Self::Connection => [
                "Connection is missing or does not list Upgrade",
                "RFC 6455 4.2.1 (4)",
                "send `Connection: Upgrade`, and let proxies on the way forward it",
            ],
            Self::Body => [
                "Content-Length or Transfer-Encoding announces a body",
                "RFC 9112 6",
                "send none: a handshake has no body",
            ],
            Self::KeyMissing => {
                ["Sec-WebSocket-Key is missing", "RFC 6455 4.2.1 (5)", "send the base64 of 16 random bytes"]
            }
            Self::KeyRepeated => ["Sec-WebSocket-Key is repeated", "RFC 6455 11.3.1", "send it once"],
            Self::KeyInvalid => {
                ["Sec-WebSocket-Key is invalid", "RFC 6455 4.2.1 (5)", "send the base64 of 16 random bytes"]
            }
            Self::VersionMissing => ["Sec-WebSocket-Version is missing", "RFC 6455 4.2.1 (6)", "send 13"],
            Self::VersionRepeated => ["Sec-WebSocket-Version is repeated", "RFC 6455 11.3.5", "send 13 once"],
            Self::VersionInvalid => ["Sec-WebSocket-Version is invalid", "RFC 6455 4.1 (9)", "send 13"],
            Self::VersionUnsupported => ["Sec-WebSocket-Version is not supported", "RFC 6455 4.4", "send 13"],
            Self::SubprotocolInvalid => [
                "Sec-WebSocket-Protocol is malformed",
                "RFC 6455 4.1 (10)",
                "send tokens, separated by commas, or leave it out",
            ],
            Self::SubprotocolRepeated => {
                ["Sec-WebSocket-Protocol names a subprotocol twice", "RFC 6455 4.1 (10)", "send each once"]
            }
            Self::SubprotocolsTooMany => {
                ["Sec-WebSocket-Protocol names too many subprotocols", "RFC 6455 10.4", "send fewer"]
            }
            Self::Extensions => [
                "Sec-WebSocket-Extensions is malformed",
                "RFC 6455 9.1",
                "send `name; param=token`, separated by commas, or leave it out",
            ],
            Self::OriginRepeated => ["Origin is repeated", "RFC 6454 7.3", "send it once"],
            Self::OriginInvalid => ["Origin is not ASCII", "RFC 6454 6.2", "send its serialisation"],
            Self::OriginNotAllowed => {
                ["Origin is not allowed here", "RFC 6455 4.2.2 and 10.2", "add it to the server's list"]
            }
        };
        write!(f, "{blame} ({clause}): {advice}")
    }
}

/// A request that was refused. The server answers with [`response`](Self::response) and closes.
///
/// ```
/// use hybi::handshake::{Limits, Reason, ServerHandshake};
///
/// let head = b"GET /\r\n";
/// let Err(rejection) = ServerHandshake::new(Limits::new()).poll(head) else { panic!("HTTP/0.9") };
/// assert_eq!(rejection.status(), 400);
/// let mut out = [0; 512];
/// let len = rejection.response().write(&mut out)?;
/// assert!(out[..len].starts_with(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n"));
/// # Ok::<(), hybi::handshake::ResponseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rejection {
    reason: Reason,
    /// The method of the request is HEAD.
    is_head: bool,
}

impl Rejection {
    /// The refusal for `reason`.
    #[must_use]
    pub const fn new(reason: Reason) -> Self {
        Self::of(reason, false)
    }

    /// Makes the refusal for `reason` of a request whose method is HEAD, or is another one or unknown.
    pub(crate) const fn of(reason: Reason, is_head: bool) -> Self {
        Self { reason, is_head }
    }

    /// Why the request is refused.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// The status code of the answer.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.reason.status()
    }

    /// Returns the answer. Its body is one line that names what was wrong; the answer to a HEAD request is sent
    /// without this body (RFC 9110 9.3.2). Where the request broke off before its method was whole, the answer has
    /// a body.
    #[must_use]
    pub const fn response(&self) -> Reject<'static> {
        let mut reject = Reject::new(self.reason.status());
        reject.body = Body::Reason(self.reason);
        reject.is_head = self.is_head;
        reject
    }
}

impl From<Reason> for Rejection {
    fn from(reason: Reason) -> Self {
        Self::new(reason)
    }
}

impl From<HeadError> for Rejection {
    fn from(error: HeadError) -> Self {
        Self::new(Reason::Head(error))
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "handshake refused with {}: {}", self.status(), self.reason)
    }
}

impl core::error::Error for Rejection {}

/// An HTTP answer that is not 101: what the application says instead of opening a connection.
///
/// It carries `Connection: close` and the right `Content-Length`; a 405 also `Allow: GET`, a 426
/// also `Upgrade: websocket` and `Sec-WebSocket-Version: 13`.
///
/// ```
/// use hybi::handshake::Reject;
///
/// let mut out = [0; 256];
/// let reject = Reject::new(401)
///     .headers(&[("WWW-Authenticate", "Basic realm=\"chat\"")])
///     .body("text/plain", b"who are you?\n");
/// let len = reject.write(&mut out)?;
/// assert_eq!(
///     out[..len],
///     b"HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nWWW-Authenticate: Basic realm=\"chat\"\r\n\
///       Content-Type: text/plain\r\nContent-Length: 13\r\n\r\nwho are you?\n"[..],
/// );
/// # Ok::<(), hybi::handshake::ResponseError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Reject<'a> {
    status: u16,
    phrase: Option<&'a str>,
    headers: Extra<'a>,
    body: Body<'a>,
    /// The answer is to a HEAD request: the body is described, and not sent.
    is_head: bool,
}

#[derive(Clone, Copy, Debug)]
enum Body<'a> {
    None,
    Bytes { content_type: &'a str, bytes: &'a [u8] },
    Reason(Reason),
}

impl<'a> Reject<'a> {
    /// An answer of this status, 200 to 599, with an empty body.
    #[must_use]
    pub const fn new(status: u16) -> Self {
        Self { status, phrase: None, headers: Extra(&[]), body: Body::None, is_head: false }
    }

    /// The text behind the status code, instead of the usual one.
    #[must_use]
    pub const fn reason_phrase(mut self, phrase: &'a str) -> Self {
        self.phrase = Some(phrase);
        self
    }

    /// More headers, each a name and a value.
    #[must_use]
    pub const fn headers(mut self, headers: &'a [(&'a str, &'a str)]) -> Self {
        self.headers = Extra(headers);
        self
    }

    /// A body and its `Content-Type`.
    #[must_use]
    pub const fn body(mut self, content_type: &'a str, bytes: &'a [u8]) -> Self {
        self.body = Body::Bytes { content_type, bytes };
        self
    }

    /// Tells the method of the request, whose case matters. An answer to `HEAD` has the headers that the answer to
    /// `GET` would have, `Content-Length` among them, and is written without its body (RFC 9110 9.3.2).
    ///
    /// ```
    /// use hybi::handshake::Reject;
    ///
    /// let page = Reject::new(404).body("text/plain", b"nobody is here\n");
    /// let mut out = [0; 256];
    /// let len = page.in_reply_to("HEAD").write(&mut out)?;
    /// assert!(out[..len].ends_with(b"\r\nContent-Length: 15\r\n\r\n"));
    /// # Ok::<(), hybi::handshake::ResponseError>(())
    /// ```
    #[must_use]
    pub const fn in_reply_to(mut self, method: &str) -> Self {
        self.is_head = is_head(method);
        self
    }

    /// The status code.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// Writes the whole answer into `out`; returns its length in bytes.
    ///
    /// # Errors
    ///
    /// [`ResponseError`] if `out` is too small (it says how much is needed), or if something the
    /// application gave cannot be sent.
    pub fn write(&self, out: &mut [u8]) -> Result<usize, ResponseError> {
        self.check()?;
        let mut to = Writer::new(out);
        let phrase = self.phrase.unwrap_or(usual_phrase(self.status));
        to.text("HTTP/1.1 ").display(&self.status).text(" ").text(phrase).text("\r\n");
        let version_named = matches!(
            self.body,
            Body::Reason(Reason::VersionMissing | Reason::VersionRepeated | Reason::VersionInvalid)
        );
        match self.status {
            // RFC 9110 7.8: who sends Upgrade sends the connection option too.
            426 => to.text("Connection: Upgrade, close\r\n").text("Upgrade: websocket\r\n"),
            _ => to.text("Connection: close\r\n"),
        };
        if self.status == 426 || version_named {
            // RFC 6455 4.4
            to.text("Sec-WebSocket-Version: 13\r\n");
        }
        if self.status == 405 && !self.headers.0.iter().any(|(name, _)| name.eq_ignore_ascii_case("Allow")) {
            // RFC 9110 15.5.6
            to.text("Allow: GET\r\n");
        }
        to.headers(self.headers);
        match self.body {
            // RFC 9110 8.6
            Body::None if matches!(self.status, 204 | 304) => to.text("\r\n"),
            Body::None => to.text("Content-Length: 0\r\n\r\n"),
            Body::Bytes { content_type, bytes } => to
                .header("Content-Type", &content_type)
                .header("Content-Length", &bytes.len())
                .text("\r\n")
                // RFC 9110 9.3.2: a response to HEAD has no content.
                .bytes(if self.is_head { b"" } else { bytes }),
            Body::Reason(reason) => to
                .text("Content-Type: text/plain; charset=utf-8\r\n")
                .header("Content-Length", &(display_len(&reason) + 1))
                .text("\r\n")
                .display(if self.is_head { &"" } else { &reason })
                .text(if self.is_head { "" } else { "\n" }),
        };
        Ok(to.finish()?)
    }

    /// The whole answer.
    ///
    /// # Errors
    ///
    /// [`ResponseError`] if something the application gave cannot be sent.
    #[cfg(feature = "alloc")]
    #[cfg_attr(docsrs, doc(cfg(feature = "alloc")))]
    pub fn to_vec(&self) -> Result<alloc::vec::Vec<u8>, ResponseError> {
        to_vec(|out| self.write(out))
    }

    fn check(&self) -> Result<(), ResponseError> {
        if !(200..=599).contains(&self.status) {
            return Err(ResponseError::Status);
        }
        if self.phrase.is_some_and(|phrase| !is_value(phrase)) {
            return Err(ResponseError::ReasonPhrase);
        }
        if let Body::Bytes { content_type, .. } = self.body {
            // RFC 9110 15.3.5, 15.4.5: these never have a body.
            if matches!(self.status, 204 | 304) {
                return Err(ResponseError::Body);
            }
            if !is_value(content_type) {
                return Err(HeaderError::Value(HeaderName::new("Content-Type")).into());
            }
        }
        Ok(check_headers(self.headers, &["Content-Type"])?)
    }
}

/// Why an answer of a server cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResponseError {
    /// The memory lent is too small.
    NoRoom(NoRoom),
    /// A header of the application's.
    Header(HeaderError),
    /// The subprotocol was not offered by the client (RFC 6455 4.2.2).
    SubprotocolNotOffered,
    /// An extension was not offered by the client, or not with these parameters (RFC 6455 9.1).
    ExtensionNotOffered,
    /// The extensions do not match the grammar (RFC 6455 9.1).
    ExtensionsMalformed,
    /// The status code is not one from 200 to 599 (RFC 9110 15).
    Status,
    /// The reason phrase holds a control character (RFC 9112 4).
    ReasonPhrase,
    /// A response of this status has no body (RFC 9110 6.4.1).
    Body,
}

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRoom(error) => return error.fmt(f),
            Self::Header(error) => return error.fmt(f),
            Self::SubprotocolNotOffered => {
                "the client did not offer this subprotocol (RFC 6455 4.2.2): choose with select_subprotocol"
            }
            Self::ExtensionNotOffered => {
                "the client did not offer this extension so (RFC 6455 9.1): choose among its offers"
            }
            Self::ExtensionsMalformed => {
                "malformed extensions (RFC 6455 9.1): write `name; param=token`, separated by commas"
            }
            Self::Status => "no status from 200 to 599 (RFC 9110 15): 101 is what Request::accept is for",
            Self::ReasonPhrase => "control character in the reason phrase (RFC 9112 4): remove it",
            Self::Body => "a 204 or 304 has no body (RFC 9110 6.4.1): leave it out",
        })
    }
}

impl core::error::Error for ResponseError {}

impl From<NoRoom> for ResponseError {
    fn from(error: NoRoom) -> Self {
        Self::NoRoom(error)
    }
}

impl From<HeaderError> for ResponseError {
    fn from(error: HeaderError) -> Self {
        Self::Header(error)
    }
}

/// Returns whether a request of this method is answered without a body (RFC 9110 9.3.2). The case of a method
/// matters (RFC 9110 9.1).
pub(crate) const fn is_head(method: &str) -> bool {
    matches!(method.as_bytes(), b"HEAD")
}

/// Gives `write` as much as most answers need, or else what it asks for.
#[cfg(feature = "alloc")]
pub(crate) fn to_vec(
    write: impl Fn(&mut [u8]) -> Result<usize, ResponseError>,
) -> Result<alloc::vec::Vec<u8>, ResponseError> {
    let mut out = alloc::vec![0; 256];
    let len = match write(&mut out) {
        Err(ResponseError::NoRoom(NoRoom { needed })) => {
            out.resize(needed, 0);
            write(&mut out)?
        }
        written => written?,
    };
    out.truncate(len);
    Ok(out)
}

/// RFC 9110 15: the usual text of a status that a handshake ends with; it may be empty.
const fn usual_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        410 => "Gone",
        414 => "URI Too Long",
        421 => "Misdirected Request",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use std::string::{String, ToString};

    use super::*;

    fn text(reject: Reject<'_>) -> String {
        let mut out = [0; 1024];
        let len = reject.write(&mut out).unwrap();
        String::from_utf8(out[..len].to_vec()).unwrap()
    }

    #[test]
    fn s4_2_2_the_default_answer_names_the_header() {
        let got = text(Rejection::new(Reason::KeyMissing).response());
        let body = "Sec-WebSocket-Key is missing (RFC 6455 4.2.1 (5)): send the base64 of 16 random bytes\n";
        let head = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\
                    Content-Type: text/plain; charset=utf-8\r\n";
        assert_eq!(got, std::format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()));
        assert!(Rejection::new(Reason::Head(HeadError::Fold)).to_string().contains("RFC 9112 5.2"));
    }

    #[test]
    fn s4_4_version_and_upgrade_in_a_426() {
        let got = text(Rejection::new(Reason::VersionUnsupported).response());
        assert!(got.contains("\r\nSec-WebSocket-Version: 13\r\n"));
        assert!(got.contains("\r\nUpgrade: websocket\r\n"));
        assert!(
            text(Rejection::new(Reason::VersionInvalid).response()).contains("Sec-WebSocket-Version: 13")
        );
        assert!(text(Reject::new(405)).contains("\r\nAllow: GET\r\n"));
        assert!(!text(Reject::new(405).headers(&[("allow", "GET, POST")])).contains("Allow: GET\r\n"));
    }

    #[test]
    fn s9110_what_cannot_be_sent() {
        let error = |reject: Reject<'_>| reject.write(&mut [0; 1024]).unwrap_err();
        for status in [0, 101, 199, 600, u16::MAX] {
            assert_eq!(error(Reject::new(status)), ResponseError::Status);
        }
        assert_eq!(error(Reject::new(400).reason_phrase("a\r\nb")), ResponseError::ReasonPhrase);
        assert_eq!(error(Reject::new(204).body("a/b", b"")), ResponseError::Body);
        let value = |name| ResponseError::Header(HeaderError::Value(HeaderName::new(name)));
        assert_eq!(error(Reject::new(400).body("a\nb", b"")), value("Content-Type"));
        assert_eq!(error(Reject::new(400).headers(&[("Location", "/\r\nX: y")])), value("Location"));
        for name in ["Content-Length", "transfer-encoding", "Content-Type", "Connection"] {
            let reserved = ResponseError::Header(HeaderError::Reserved(HeaderName::new(name)));
            assert_eq!(error(Reject::new(400).headers(&[(name, "0")])), reserved);
        }
        assert!(!text(Reject::new(304)).contains("Content-Length"));
        let full = Rejection::new(Reason::Timeout).response();
        let len = text(full).len();
        assert_eq!(full.write(&mut [0; 8]), Err(ResponseError::NoRoom(NoRoom { needed: len })));
        #[cfg(feature = "alloc")]
        assert_eq!(full.to_vec().unwrap(), text(full).into_bytes());
    }
}
