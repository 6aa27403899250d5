//! What a client makes of the server's response (RFC 6455 4.1, the list after the request's).

use core::fmt;

use crate::arch::ascii;

use super::client::{ClientRequest, offered};
use super::extensions::{EXTENSIONS, Extensions, Malformed};
use super::head::{Field, Found, HeadError, Headers};
use super::key::accept_key;
use super::permessage_deflate::{DeflateParams, ExtensionError, judge as judge_extensions};
use super::scan::{Gather, Head};
use super::text::{is_word, list_has};

/// A server's final response.
#[derive(Clone, Copy, Debug)]
pub enum Reply<'h> {
    /// The connection is open.
    Open(Opened<'h>),
    /// The server answered as an HTTP server does; the connection never opens (RFC 6455 4.1 (1)).
    Http(HttpResponse<'h>),
}

/// An open connection, and what the server chose for it. See
/// [`ClientHandshake`](super::ClientHandshake) for an example.
#[derive(Clone, Copy, Debug)]
pub struct Opened<'h> {
    subprotocol: Option<&'h str>,
    extensions: Extensions<'h>,
    deflate: Option<DeflateParams>,
    headers: Headers<'h>,
    head_len: usize,
}

impl<'h> Opened<'h> {
    /// The subprotocol: one of those that were offered, or none.
    #[must_use]
    pub const fn subprotocol(&self) -> Option<&'h str> {
        self.subprotocol
    }

    /// The extensions in use, each of which was offered.
    #[must_use]
    pub const fn extensions(&self) -> Extensions<'h> {
        self.extensions
    }

    /// The parameters of permessage-deflate, if it is in use.
    #[must_use]
    pub const fn deflate(&self) -> Option<DeflateParams> {
        self.deflate
    }

    /// All headers of the response.
    #[must_use]
    pub const fn headers(&self) -> Headers<'h> {
        self.headers
    }

    /// Bytes up to the end of the head, interim responses included: what follows them belongs to
    /// the frame parser.
    #[must_use]
    pub const fn head_len(&self) -> usize {
        self.head_len
    }
}

/// A well-formed response that is not 101, for the caller to deal with: 401, a redirect, an error.
///
/// Its body follows the head and is not read here.
///
/// ```
/// use hybi::handshake::{ClientHandshake, ClientRequest, Limits, Reply};
///
/// let request = ClientRequest::new("example.com", "/");
/// let mut handshake = ClientHandshake::new(request, [7; 16], Limits::new())?;
/// let reply = handshake.poll(b"HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n")?;
/// let Some(Reply::Http(response)) = reply else { panic!("not open") };
/// assert_eq!((response.status(), response.reason()), (302, &b"Found"[..]));
/// assert_eq!(response.headers().get("location"), Some(&b"/login"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct HttpResponse<'h> {
    status: u16,
    reason: &'h [u8],
    headers: Headers<'h>,
    head_start: usize,
    head_len: usize,
}

impl<'h> HttpResponse<'h> {
    /// The status code, 200 to 999.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The reason phrase, which may be empty and need not be UTF-8.
    #[must_use]
    pub const fn reason(&self) -> &'h [u8] {
        self.reason
    }

    /// All headers of the response.
    #[must_use]
    pub const fn headers(&self) -> Headers<'h> {
        self.headers
    }

    /// Returns where the head of this response begins, in bytes: 0, or the end of the last interim response
    /// (1xx, RFC 9110 15.2) that arrived in front of this response.
    #[must_use]
    pub const fn head_start(&self) -> usize {
        self.head_start
    }

    /// Bytes up to the end of the head, interim responses included.
    #[must_use]
    pub const fn head_len(&self) -> usize {
        self.head_len
    }
}

/// Why a client must drop the connection instead of opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The bytes are no HTTP/1.1 head, or too many.
    Head(HeadError),
    /// The response did not arrive in time.
    Timeout,
    /// The status is 101, but the version is HTTP/1.0, which cannot switch protocols.
    HttpVersion,
    /// `Upgrade` is not exactly `websocket`, once.
    Upgrade,
    /// `Connection` does not hold the token `upgrade`.
    Connection,
    /// `Sec-WebSocket-Accept` is missing.
    AcceptMissing,
    /// `Sec-WebSocket-Accept` is repeated.
    AcceptRepeated,
    /// `Sec-WebSocket-Accept` does not belong to the key.
    AcceptWrong,
    /// `Sec-WebSocket-Protocol` is not one of those that were offered.
    SubprotocolNotOffered,
    /// `Sec-WebSocket-Protocol` is repeated.
    SubprotocolRepeated,
    /// `Sec-WebSocket-Extensions` is wrong.
    Extensions(ExtensionError),
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Head(error) => return error.fmt(f),
            Self::Extensions(error) => return error.fmt(f),
            Self::Timeout => "no response to the opening handshake in time (RFC 6455 4.1): try later",
            Self::HttpVersion => {
                "101 in an HTTP/1.0 response (RFC 9110 15.2): let the proxy in front speak HTTP/1.1"
            }
            Self::Upgrade => {
                "Upgrade in the response is not `websocket` (RFC 6455 4.1 (2)): is this a WebSocket server?"
            }
            Self::Connection => {
                "Connection in the response does not list `Upgrade` (RFC 6455 4.1 (3)): let proxies on \
                 the way forward it"
            }
            Self::AcceptMissing => {
                "Sec-WebSocket-Accept is missing (RFC 6455 4.1 (4)): is this a WebSocket server?"
            }
            Self::AcceptRepeated => {
                "Sec-WebSocket-Accept is repeated (RFC 6455 11.3.3): the server is at fault"
            }
            Self::AcceptWrong => {
                "Sec-WebSocket-Accept does not belong to the key (RFC 6455 4.1 (4)): a cache on the way, \
                 or a faulty server"
            }
            Self::SubprotocolNotOffered => {
                "Sec-WebSocket-Protocol is not one of those offered (RFC 6455 4.1 (6)): offer it, or \
                 correct the server"
            }
            Self::SubprotocolRepeated => {
                "Sec-WebSocket-Protocol is repeated (RFC 6455 11.3.4): the server is at fault"
            }
        })
    }
}

impl core::error::Error for HandshakeError {}

impl From<HeadError> for HandshakeError {
    fn from(error: HeadError) -> Self {
        Self::Head(error)
    }
}

/// The headers of a 101 that decide.
#[derive(Default)]
pub(crate) struct Known<'h> {
    upgrade: Found<'h>,
    connection: bool,
    accept: Found<'h>,
    subprotocol: Found<'h>,
    extensions: Found<'h>,
}

impl<'h> Gather<'h> for Known<'h> {
    fn add(&mut self, name: &'h [u8], value: &'h [u8]) {
        if is_word(name, b"upgrade") {
            self.upgrade.add(value);
        } else if is_word(name, b"connection") {
            self.connection |= list_has(value, b"upgrade");
        } else if is_word(name, b"sec-websocket-accept") {
            self.accept.add(value);
        } else if is_word(name, b"sec-websocket-protocol") {
            self.subprotocol.add(value);
        } else if is_word(name, b"sec-websocket-extensions") {
            self.extensions.add(value);
        }
    }
}

/// Judges a whole head; `None` for an interim response.
pub(crate) fn judge<'h>(
    head: Head<'h>,
    known: &Known<'h>,
    request: &ClientRequest<'_>,
    key: &[u8; 24],
) -> Result<Option<Reply<'h>>, HandshakeError> {
    let Head { line, headers, start: head_start, len: head_len } = head;
    let (minor_version, status, reason) = split_status_line(line).ok_or(HeadError::Changed)?;
    match status {
        101 => {}
        100..=199 => return Ok(None),
        // RFC 6455 4.1 (1): handled as HTTP, never as an open connection.
        _ => return Ok(Some(Reply::Http(HttpResponse { status, reason, headers, head_start, head_len }))),
    }
    if minor_version == b'0' {
        // RFC 9110 15.2: HTTP/1.0 has no 1xx.
        return Err(HandshakeError::HttpVersion);
    }
    // RFC 6455 4.1 (2): an exact match, not a list that holds it
    let upgrade = known.upgrade.only(HandshakeError::Upgrade, HandshakeError::Upgrade)?;
    if !upgrade.eq_ignore_ascii_case(b"websocket") {
        return Err(HandshakeError::Upgrade);
    }
    // RFC 6455 4.1 (3)
    if !known.connection {
        return Err(HandshakeError::Connection);
    }
    // RFC 6455 4.1 (4), 11.3.3
    let accept = known.accept.only(HandshakeError::AcceptMissing, HandshakeError::AcceptRepeated)?;
    if accept != accept_key(key) {
        return Err(HandshakeError::AcceptWrong);
    }
    // RFC 6455 4.1 (5)
    let (extensions, deflate) =
        agreed(known.extensions.list(EXTENSIONS, headers), request).map_err(HandshakeError::Extensions)?;
    // RFC 6455 4.1 (6), 11.3.4
    let subprotocol = match known.subprotocol {
        Found::Missing => None,
        Found::Repeated => return Err(HandshakeError::SubprotocolRepeated),
        Found::Once(chosen) => {
            let was_offered = request.offered_subprotocols().iter().any(|offer| offer.as_bytes() == chosen);
            let chosen = ascii(chosen).filter(|_| was_offered);
            Some(chosen.ok_or(HandshakeError::SubprotocolNotOffered)?)
        }
    };
    Ok(Some(Reply::Open(Opened { subprotocol, extensions, deflate, headers, head_len })))
}

fn agreed<'h>(
    field: Option<Field<'h>>,
    request: &ClientRequest<'_>,
) -> Result<(Extensions<'h>, Option<DeflateParams>), ExtensionError> {
    let Some(field) = field else { return Ok((Extensions::NONE, None)) };
    let extensions = Extensions::of(field).map_err(|Malformed| ExtensionError::Malformed)?;
    let mut text = [0; DeflateParams::MAX_LEN];
    // An offer always fits; it was checked when the handshake was made.
    let len = request.offered_deflate().and_then(|offer| offer.write(&mut text).ok()).unwrap_or(0);
    let text = text.get(..len).unwrap_or_default();
    let mut deflate = None;
    judge_extensions(extensions, || offered(request, text), &mut deflate)?;
    Ok((extensions, deflate))
}

/// Minor version (as a digit), status and reason phrase of a status line that the scanner checked.
fn split_status_line(line: &[u8]) -> Option<(u8, u16, &[u8])> {
    let (version, rest) = line.split_first_chunk::<9>()?;
    let (status, reason) = rest.split_first_chunk::<3>()?;
    let status = status.iter().fold(0, |status, &digit| status * 10 + u16::from(digit.wrapping_sub(b'0')));
    let [.., minor_version, _] = *version;
    // The scanner lets the space be missing where there is no phrase.
    let reason = if reason.is_empty() { reason } else { reason.strip_prefix(b" ")? };
    Some((minor_version, status, reason))
}
