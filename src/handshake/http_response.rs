//! A server's responses with a status other than 101, and the error for a response that cannot be sent.
//!
//! [`HttpResponse`] is the answer to a request for which no connection opens. An application or a
//! [`Rejection`](super::Rejection) creates it. `incoming` and the application decide whether the connection opens.
//!
//! Invariant: everything that the application adds is checked before the first byte is written. An invalid response
//! is not written at all.

use core::fmt;

use super::reason::Reason;
use super::write::{
    ExtraHeaders, HeadWriter, HeaderError, HeaderName, NoSpace, check_headers, display_len, is_value,
};

/// An HTTP response with a status other than 101, which a server sends instead of opening a connection.
///
/// The response contains `Connection: close`. It contains the correct `Content-Length`, unless the status is 204 or
/// 304. By default a 405 also contains `Allow: GET`. If the application adds its own `Allow` header, only this header
/// is sent. A 426 also contains `Upgrade: websocket` and `Sec-WebSocket-Version: 13`.
///
/// ```
/// use hybi::handshake::HttpResponse;
///
/// let mut out = [0; 256];
/// let reject = HttpResponse::new(401)
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
pub struct HttpResponse<'a> {
    /// The status code.
    status: u16,
    /// The reason phrase that the application has set. `None` means the usual phrase of the status.
    phrase: Option<&'a str>,
    /// The additional headers.
    headers: ExtraHeaders<'a>,
    /// The body.
    body: Body<'a>,
    /// Whether this response answers a HEAD request. If it does, the headers describe the body, but the body is not
    /// sent.
    is_head: bool,
}

/// The body of a response.
#[derive(Clone, Copy, Debug)]
enum Body<'a> {
    /// No body.
    None,
    /// A body that the application has set.
    Bytes { content_type: &'a str, bytes: &'a [u8] },
    /// One line that names the reason of a rejection.
    Reason(Reason),
}

impl HttpResponse<'static> {
    /// Returns the response for `reason`. `is_head` says whether the method of the request is HEAD.
    pub(super) const fn of_reason(reason: Reason, is_head: bool) -> Self {
        Self { body: Body::Reason(reason), is_head, ..Self::new(reason.status()) }
    }
}

impl<'a> HttpResponse<'a> {
    /// Returns a response with an empty body. `status` must be 200 to 599.
    #[must_use]
    pub const fn new(status: u16) -> Self {
        Self { status, phrase: None, headers: ExtraHeaders(&[]), body: Body::None, is_head: false }
    }

    /// Sets the reason phrase. By default the phrase is the usual phrase of the status, such as `Not Found`.
    #[must_use]
    pub const fn reason_phrase(mut self, phrase: &'a str) -> Self {
        self.phrase = Some(phrase);
        self
    }

    /// Sets additional headers, each a name and a value.
    ///
    /// [`write`](Self::write) refuses these headers: `Connection`, `Upgrade`, `Content-Type`, `Content-Length`,
    /// `Transfer-Encoding`, and names that begin with `Sec-WebSocket-`.
    #[must_use]
    pub const fn headers(mut self, headers: &'a [(&'a str, &'a str)]) -> Self {
        self.headers = ExtraHeaders(headers);
        self
    }

    /// Sets the body and its `Content-Type`. A response with status 204 or 304 has no body.
    #[must_use]
    pub const fn body(mut self, content_type: &'a str, bytes: &'a [u8]) -> Self {
        self.body = Body::Bytes { content_type, bytes };
        self
    }

    /// Sets the method of the request that this response answers. Methods are case-sensitive.
    ///
    /// The response to `HEAD` has the headers of the response to `GET`, including `Content-Length`. Its body is
    /// not written (RFC 9110 section 9.3.2).
    ///
    /// ```
    /// use hybi::handshake::HttpResponse;
    ///
    /// let page = HttpResponse::new(404).body("text/plain", b"nobody is here\n");
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

    /// Returns the status code.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// Writes the whole response into `out` and returns its length in bytes.
    ///
    /// # Errors
    ///
    /// - [`ResponseError::NoSpace`]: `out` is too small. The error contains the required length.
    /// - [`ResponseError::Status`]: the status code is not 200 to 599.
    /// - [`ResponseError::ReasonPhrase`]: the reason phrase contains a control character other than a tab, or outer
    ///   whitespace.
    /// - [`ResponseError::Body`]: the status is 204 or 304, and a body was set.
    /// - [`ResponseError::Header`]: an additional header or the `Content-Type` cannot be sent.
    pub fn write(&self, out: &mut [u8]) -> Result<usize, ResponseError> {
        self.check()?;
        let mut to = HeadWriter::new(out);
        let phrase = self.phrase.unwrap_or(usual_phrase(self.status));
        to.text("HTTP/1.1 ").display(&self.status).text(" ").text(phrase).text("\r\n");
        let version_named = matches!(
            self.body,
            Body::Reason(Reason::VersionMissing | Reason::VersionRepeated | Reason::VersionInvalid)
        );
        match self.status {
            // RFC 9110 7.8: a sender of Upgrade also sends the connection option "upgrade".
            426 => to.text("Connection: Upgrade, close\r\n").text("Upgrade: websocket\r\n"),
            _ => to.text("Connection: close\r\n"),
        };
        if self.status == 426 || version_named {
            // RFC 6455 4.4: the response names the supported version.
            to.text("Sec-WebSocket-Version: 13\r\n");
        }
        if self.status == 405 && !self.headers.0.iter().any(|(name, _)| name.eq_ignore_ascii_case("Allow")) {
            // RFC 9110 15.5.6: a 405 must contain Allow.
            to.text("Allow: GET\r\n");
        }
        to.headers(self.headers);
        match self.body {
            // RFC 9110 8.6: these statuses have no content, so no Content-Length is sent.
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

    /// Returns the whole response.
    ///
    /// # Errors
    ///
    /// - [`ResponseError::Status`]: the status code is not 200 to 599.
    /// - [`ResponseError::ReasonPhrase`]: the reason phrase contains a control character other than a tab, or outer
    ///   whitespace.
    /// - [`ResponseError::Body`]: the status is 204 or 304, and a body was set.
    /// - [`ResponseError::Header`]: an additional header or the `Content-Type` cannot be sent.
    #[cfg(feature = "alloc")]
    #[cfg_attr(docsrs, doc(cfg(feature = "alloc")))]
    pub fn to_vec(&self) -> Result<alloc::vec::Vec<u8>, ResponseError> {
        to_vec(|out| self.write(out))
    }

    /// Checks everything that the application has set.
    fn check(&self) -> Result<(), ResponseError> {
        if !(200..=599).contains(&self.status) {
            return Err(ResponseError::Status);
        }
        if self.phrase.is_some_and(|phrase| !is_value(phrase)) {
            return Err(ResponseError::ReasonPhrase);
        }
        if let Body::Bytes { content_type, .. } = self.body {
            // RFC 9110 15.3.5, 15.4.5: a 204 and a 304 never have a body.
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

/// The reason why a server's response cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResponseError {
    /// The output buffer is too small.
    NoSpace(NoSpace),
    /// An additional header cannot be sent.
    Header(HeaderError),
    /// The client did not offer the subprotocol (RFC 6455 section 4.2.2).
    SubprotocolNotOffered,
    /// The client did not offer the extension or the parameters of permessage-deflate (RFC 6455 section 9.1), or
    /// permessage-deflate was set twice (RFC 7692 section 5).
    ExtensionNotOffered,
    /// The extensions do not match the grammar (RFC 6455 section 9.1).
    ExtensionsMalformed,
    /// The status code is not 200 to 599 (RFC 9110 section 15).
    Status,
    /// The reason phrase contains a control character other than a tab, or whitespace at an end (RFC 9112 section 4).
    ReasonPhrase,
    /// A body was set, but a response with status 204 or 304 has no body (RFC 9110 section 6.4.1).
    Body,
}

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSpace(error) => return error.fmt(f),
            Self::Header(error) => return error.fmt(f),
            Self::SubprotocolNotOffered => {
                "the client did not offer the subprotocol (RFC 6455 4.2.2): choose it with select_subprotocol"
            }
            Self::ExtensionNotOffered => {
                "the client did not offer the extension with these parameters (RFC 6455 9.1): choose one of its offers"
            }
            Self::ExtensionsMalformed => {
                "the extensions are malformed (RFC 6455 9.1): write `name; param=token`, separated by commas"
            }
            Self::Status => "the status is not from 200 to 599 (RFC 9110 15): pass another one, or call Request::accept for a 101",
            Self::ReasonPhrase => {
                "the reason phrase has a control character or outer whitespace (RFC 9112 4): remove it"
            }
            Self::Body => "a response with status 204 or 304 has a body (RFC 9110 6.4.1): leave it out",
        })
    }
}

impl core::error::Error for ResponseError {
    /// Returns the inner error, which [`Display`](fmt::Display) shows as well.
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::NoSpace(error) => Some(error),
            Self::Header(error) => Some(error),
            _ => None,
        }
    }
}

impl From<NoSpace> for ResponseError {
    fn from(error: NoSpace) -> Self {
        Self::NoSpace(error)
    }
}

impl From<HeaderError> for ResponseError {
    fn from(error: HeaderError) -> Self {
        Self::Header(error)
    }
}

/// Returns whether `method` is HEAD. A response to HEAD has no body (RFC 9110 section 9.3.2). Methods are
/// case-sensitive (RFC 9110 section 9.1).
pub(crate) const fn is_head(method: &str) -> bool {
    matches!(method.as_bytes(), b"HEAD")
}

/// Calls `write` with a buffer that is large enough for most responses. If the buffer is too small, calls `write`
/// again with a buffer of the required length.
#[cfg(feature = "alloc")]
pub(crate) fn to_vec(
    write: impl Fn(&mut [u8]) -> Result<usize, ResponseError>,
) -> Result<alloc::vec::Vec<u8>, ResponseError> {
    let mut out = alloc::vec![0; 256];
    let len = match write(&mut out) {
        Err(ResponseError::NoSpace(NoSpace { needed })) => {
            out.resize(needed, 0);
            write(&mut out)?
        }
        written => written?,
    };
    out.truncate(len);
    Ok(out)
}

/// Returns the usual reason phrase of a status that ends a handshake (RFC 9110 section 15). Other statuses
/// have an empty phrase.
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

    use super::super::head::HeadError;
    use super::super::rejection::Rejection;
    use super::*;

    fn text(reject: HttpResponse<'_>) -> String {
        let mut out = [0; 1024];
        let len = reject.write(&mut out).unwrap();
        String::from_utf8(out[..len].to_vec()).unwrap()
    }

    #[test]
    fn s4_2_2_the_body_of_a_rejection_names_the_header() {
        let got = text(Rejection::new(Reason::KeyMissing).response());
        let body = "Sec-WebSocket-Key is missing (RFC 6455 4.2.1 (5)): send the base64 of 16 random bytes\n";
        let head = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\
                    Content-Type: text/plain; charset=utf-8\r\n";
        assert_eq!(got, std::format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()));
        assert!(Rejection::new(Reason::Head(HeadError::Fold)).to_string().contains("RFC 9112 5.2"));
    }

    #[test]
    fn s4_4_a_426_names_version_and_upgrade() {
        let got = text(Rejection::new(Reason::VersionUnsupported).response());
        assert!(got.contains("\r\nSec-WebSocket-Version: 13\r\n"));
        assert!(got.contains("\r\nUpgrade: websocket\r\n"));
        assert!(
            text(Rejection::new(Reason::VersionInvalid).response()).contains("Sec-WebSocket-Version: 13")
        );
        assert!(text(HttpResponse::new(405)).contains("\r\nAllow: GET\r\n"));
        assert!(!text(HttpResponse::new(405).headers(&[("allow", "GET, POST")])).contains("Allow: GET\r\n"));
    }

    #[test]
    fn s9110_invalid_responses_are_refused() {
        let error = |reject: HttpResponse<'_>| reject.write(&mut [0; 1024]).unwrap_err();
        for status in [0, 101, 199, 600, u16::MAX] {
            assert_eq!(error(HttpResponse::new(status)), ResponseError::Status);
        }
        assert_eq!(error(HttpResponse::new(400).reason_phrase("a\r\nb")), ResponseError::ReasonPhrase);
        assert_eq!(error(HttpResponse::new(204).body("a/b", b"")), ResponseError::Body);
        let value = |name| ResponseError::Header(HeaderError::Value(HeaderName::new(name)));
        assert_eq!(error(HttpResponse::new(400).body("a\nb", b"")), value("Content-Type"));
        assert_eq!(error(HttpResponse::new(400).headers(&[("Location", "/\r\nX: y")])), value("Location"));
        for name in ["Content-Length", "transfer-encoding", "Content-Type", "Connection"] {
            let reserved = ResponseError::Header(HeaderError::Reserved(HeaderName::new(name)));
            assert_eq!(error(HttpResponse::new(400).headers(&[(name, "0")])), reserved);
        }
        assert!(!text(HttpResponse::new(304)).contains("Content-Length"));
        let full = Rejection::new(Reason::Timeout).response();
        let len = text(full).len();
        assert_eq!(full.write(&mut [0; 8]), Err(ResponseError::NoSpace(NoSpace { needed: len })));
        #[cfg(feature = "alloc")]
        assert_eq!(full.to_vec().unwrap(), text(full).into_bytes());
    }
}
