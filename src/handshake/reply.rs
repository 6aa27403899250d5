//! The result of a client's handshake, and the checks of the server's response (RFC 6455 section 4.1, the last
//! numbered list).
//!
//! `check_response` checks a complete head, whose syntax the scanner in `scan` has checked before. The handshake in
//! `client` keeps the deadline. The status decides about the result:
//!
//! ```text
//!  status 101, rules obeyed    ─▶ Reply::Open
//!  status 101, a rule violated ─▶ HandshakeError
//!  other 1xx                   ─▶ skipped: the final response follows
//!  any other status            ─▶ Reply::Http
//! ```

use core::fmt;

use crate::kernel::ascii;

use super::client_request::{ClientRequest, all_offered_extensions};
use super::extensions::{EXTENSIONS, Extensions, Malformed};
use super::head::{HeadError, HeaderLines, Headers, Occurrence};
use super::key::accept_key;
use super::permessage_deflate::{DeflateParams, ExtensionError, check_chosen};
use super::scan::{Head, HeaderSink};
use super::text::{Subprotocol, eq_lowercase, list_contains};

/// The final response of a server.
#[derive(Clone, Copy, Debug)]
pub enum Reply<'h> {
    /// The connection is open.
    Open(Opened<'h>),
    /// The server answered with a status other than 101, and the connection does not open (RFC 6455 section 4.1 (1)).
    Http(HttpReply<'h>),
}

/// The response that opens the connection, with the choices of the server.
/// [`ClientHandshake`](super::ClientHandshake) has an example.
#[derive(Clone, Copy, Debug)]
pub struct Opened<'h> {
    subprotocol: Option<Subprotocol<&'h str>>,
    extensions: Extensions<'h>,
    deflate: Option<DeflateParams>,
    headers: Headers<'h>,
    head_len: usize,
}

impl<'h> Opened<'h> {
    /// Returns the subprotocol that the server chose among the offered ones, or `None`.
    #[must_use]
    pub const fn subprotocol(&self) -> Option<&'h str> {
        match self.subprotocol {
            Some(Subprotocol(subprotocol)) => Some(subprotocol),
            None => None,
        }
    }

    /// Returns the extensions in use. The client has offered each of them.
    #[must_use]
    pub const fn extensions(&self) -> Extensions<'h> {
        self.extensions
    }

    /// Returns the parameters of permessage-deflate, or `None` if it is not in use.
    #[must_use]
    pub const fn deflate(&self) -> Option<DeflateParams> {
        self.deflate
    }

    /// Returns all headers of the response.
    #[must_use]
    pub const fn headers(&self) -> Headers<'h> {
        self.headers
    }

    /// Returns the number of bytes up to the end of the head, including interim responses (1xx). The bytes after
    /// the head belong to the frame decoder.
    #[must_use]
    pub const fn head_len(&self) -> usize {
        self.head_len
    }
}

/// A well-formed response with a status other than 101, such as 401 or a redirect. The caller handles it.
///
/// The body of the response follows the head. The handshake does not read it.
///
/// ```
/// use hybi::handshake::{ClientHandshake, ClientRequest, HeadLimits, Reply};
///
/// let request = ClientRequest::new("example.com", "/");
/// let mut handshake = ClientHandshake::new(request, [7; 16], HeadLimits::new())?;
/// let reply = handshake.poll(b"HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n")?;
/// let Some(Reply::Http(response)) = reply else { panic!("not open") };
/// assert_eq!((response.status(), response.reason()), (302, &b"Found"[..]));
/// assert_eq!(response.headers().get("location"), Some(&b"/login"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct HttpReply<'h> {
    /// The minor version of HTTP.
    minor_version: u8,
    status: u16,
    reason: &'h [u8],
    headers: Headers<'h>,
    head_start: usize,
    head_len: usize,
}

impl<'h> HttpReply<'h> {
    /// Returns the minor version of the response: 0 for HTTP/1.0, and 1 for HTTP/1.1.
    #[must_use]
    pub const fn minor_version(&self) -> u8 {
        self.minor_version
    }

    /// Returns the status code, 200 to 999.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// Returns the reason phrase. The phrase can be empty, and it need not be UTF-8.
    #[must_use]
    pub const fn reason(&self) -> &'h [u8] {
        self.reason
    }

    /// Returns all headers of the response.
    #[must_use]
    pub const fn headers(&self) -> Headers<'h> {
        self.headers
    }

    /// Returns the offset at which this response begins in the received bytes. The offset is the end of the last
    /// interim response (1xx, RFC 9110 section 15.2), or 0 if there was none.
    #[must_use]
    pub const fn head_start(&self) -> usize {
        self.head_start
    }

    /// Returns the number of bytes up to the end of the head, including interim responses (1xx).
    #[must_use]
    pub const fn head_len(&self) -> usize {
        self.head_len
    }
}

/// The reason why a client must drop the connection instead of opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The bytes are not a valid HTTP/1.1 head, or exceed a limit.
    Head(HeadError),
    /// The response did not arrive before the deadline.
    Timeout,
    /// The status is 101 but the version is HTTP/1.0, which cannot switch protocols.
    HttpVersion,
    /// `Upgrade` is missing or repeated, or its value is not `websocket`. Upper and lower case make no difference.
    Upgrade,
    /// `Connection` does not contain the token `upgrade`.
    Connection,
    /// `Sec-WebSocket-Accept` is missing.
    AcceptMissing,
    /// `Sec-WebSocket-Accept` is repeated.
    AcceptRepeated,
    /// `Sec-WebSocket-Accept` does not match the key.
    AcceptWrong,
    /// `Sec-WebSocket-Protocol` names a subprotocol that was not offered.
    SubprotocolNotOffered,
    /// `Sec-WebSocket-Protocol` is repeated.
    SubprotocolRepeated,
    /// The extensions in `Sec-WebSocket-Extensions` are malformed, or do not agree with the offers.
    Extensions(ExtensionError),
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Head(error) => return error.fmt(f),
            Self::Extensions(error) => return error.fmt(f),
            Self::Timeout => "the server did not answer the opening handshake in time (RFC 6455 4.1): try later",
            Self::HttpVersion => {
                "the response is a 101 in HTTP/1.0 (RFC 9110 15.2): let the proxy before the server speak HTTP/1.1"
            }
            Self::Upgrade => {
                "Upgrade in the response is not `websocket` (RFC 6455 4.1 (2)): check that this is a WebSocket server"
            }
            Self::Connection => {
                "Connection in the response does not list `Upgrade` (RFC 6455 4.1 (3)): let proxies on \
                 the way forward it"
            }
            Self::AcceptMissing => {
                "Sec-WebSocket-Accept is missing (RFC 6455 4.1 (4)): check that this is a WebSocket server"
            }
            Self::AcceptRepeated => {
                "Sec-WebSocket-Accept is repeated (RFC 6455 11.3.3): correct the server"
            }
            Self::AcceptWrong => {
                "Sec-WebSocket-Accept does not match the key (RFC 6455 4.1 (4)): look for a cache on the way, \
                 or a faulty server"
            }
            Self::SubprotocolNotOffered => {
                "Sec-WebSocket-Protocol names a subprotocol that was not offered (RFC 6455 4.1 (6)): offer it, or \
                 correct the server"
            }
            Self::SubprotocolRepeated => {
                "Sec-WebSocket-Protocol is repeated (RFC 6455 11.3.4): correct the server"
            }
        })
    }
}

impl core::error::Error for HandshakeError {
    /// Returns the inner error, which [`Display`](fmt::Display) shows as well.
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Head(error) => Some(error),
            Self::Extensions(error) => Some(error),
            _ => None,
        }
    }
}

impl From<HeadError> for HandshakeError {
    fn from(error: HeadError) -> Self {
        Self::Head(error)
    }
}

/// The headers that the handshake examines in a response.
#[derive(Default)]
pub(crate) struct ResponseHeaders<'h> {
    upgrade: Occurrence<'h>,
    connection: bool,
    accept: Occurrence<'h>,
    subprotocol: Occurrence<'h>,
    extensions: Occurrence<'h>,
}

impl<'h> HeaderSink<'h> for ResponseHeaders<'h> {
    fn add(&mut self, name: &'h [u8], value: &'h [u8]) {
        if eq_lowercase(name, b"upgrade") {
            self.upgrade.add(value);
        } else if eq_lowercase(name, b"connection") {
            self.connection |= list_contains(value, b"upgrade");
        } else if eq_lowercase(name, b"sec-websocket-accept") {
            self.accept.add(value);
        } else if eq_lowercase(name, b"sec-websocket-protocol") {
            self.subprotocol.add(value);
        } else if eq_lowercase(name, b"sec-websocket-extensions") {
            self.extensions.add(value);
        }
    }
}

/// Checks a complete head, for the client that sent `request` and `key`. Returns `None` for an interim response.
pub(crate) fn check_response<'h>(
    head: Head<'h>,
    handshake_headers: &ResponseHeaders<'h>,
    request: &ClientRequest<'_>,
    key: &[u8; 24],
) -> Result<Option<Reply<'h>>, HandshakeError> {
    let Head { line, headers, start: head_start, len: head_len } = head;
    let (minor_version, status, reason) = split_status_line(line).ok_or(HeadError::Changed)?;
    match status {
        101 => {}
        100..=199 => return Ok(None),
        // RFC 6455 4.1 (1): any other status is handled as HTTP, never as an open connection.
        _ => {
            // The scanner has checked that the minor version is a digit.
            let minor_version = minor_version.wrapping_sub(b'0');
            let reply = HttpReply { minor_version, status, reason, headers, head_start, head_len };
            return Ok(Some(Reply::Http(reply)));
        }
    }
    if minor_version == b'0' {
        // RFC 9110 15.2: HTTP/1.0 has no status 1xx.
        return Err(HandshakeError::HttpVersion);
    }
    // RFC 6455 4.1 (2): the whole value must match. A list that contains the token is not accepted.
    let upgrade = handshake_headers.upgrade.only(HandshakeError::Upgrade, HandshakeError::Upgrade)?;
    if !upgrade.eq_ignore_ascii_case(b"websocket") {
        return Err(HandshakeError::Upgrade);
    }
    // RFC 6455 4.1 (3): `Connection` contains the token "upgrade".
    if !handshake_headers.connection {
        return Err(HandshakeError::Connection);
    }
    // RFC 6455 4.1 (4), 11.3.3: the accept value matches the key and appears once.
    let accept =
        handshake_headers.accept.only(HandshakeError::AcceptMissing, HandshakeError::AcceptRepeated)?;
    if accept != accept_key(key) {
        return Err(HandshakeError::AcceptWrong);
    }
    // RFC 6455 4.1 (5): only offered extensions are in use.
    let (extensions, deflate) =
        check_extensions(handshake_headers.extensions.list(EXTENSIONS, headers), request)
            .map_err(HandshakeError::Extensions)?;
    // RFC 6455 4.1 (6), 11.3.4: the subprotocol was offered and appears once.
    let subprotocol = match handshake_headers.subprotocol {
        Occurrence::Missing => None,
        Occurrence::Repeated => return Err(HandshakeError::SubprotocolRepeated),
        Occurrence::Once(chosen) => {
            let was_offered = request.offered_subprotocols().iter().any(|offer| offer.as_bytes() == chosen);
            let chosen = ascii(chosen).filter(|_| was_offered);
            Some(chosen.ok_or(HandshakeError::SubprotocolNotOffered)?)
        }
    };
    Ok(Some(Reply::Open(Opened {
        subprotocol: subprotocol.map(Subprotocol),
        extensions,
        deflate,
        headers,
        head_len,
    })))
}

/// Checks the extensions of a response. Returns the extensions, and the parameters of permessage-deflate if it is
/// in use.
fn check_extensions<'h>(
    field: Option<HeaderLines<'h>>,
    request: &ClientRequest<'_>,
) -> Result<(Extensions<'h>, Option<DeflateParams>), ExtensionError> {
    let Some(field) = field else { return Ok((Extensions::NONE, None)) };
    let extensions = Extensions::from_lines(field).map_err(|Malformed| ExtensionError::Malformed)?;
    let mut text = [0; DeflateParams::MAX_LEN];
    // `MAX_LEN` bytes are enough for every offer.
    let len = request.offered_deflate().and_then(|offer| offer.write(&mut text).ok()).unwrap_or(0);
    let text = text.get(..len).unwrap_or_default();
    let mut deflate = None;
    check_chosen(extensions, || all_offered_extensions(request, text), &mut deflate)?;
    Ok((extensions, deflate))
}

/// Splits a status line that the scanner has checked into minor version (a digit), status and reason phrase.
pub(crate) fn split_status_line(line: &[u8]) -> Option<(u8, u16, &[u8])> {
    let (version, rest) = line.split_first_chunk::<9>()?;
    let (status, reason) = rest.split_first_chunk::<3>()?;
    let status = status.iter().fold(0, |status, &digit| status * 10 + u16::from(digit.wrapping_sub(b'0')));
    let [.., minor_version, _] = *version;
    // The scanner allows the space to be missing if there is no phrase.
    let reason = if reason.is_empty() { reason } else { reason.strip_prefix(b" ")? };
    Some((minor_version, status, reason))
}
