//! The checks of a request on a server. The result is an upgrade, plain HTTP, or the reason to reject the request.
//!
//! The scanner passes the header lines to [`RequestHeaders`]. The scanner has passed all of them when the head is
//! complete. [`check_request`] then applies the rules of RFC 6455 sections 4.1 and 4.2.1, and reports the first
//! violated rule.
//!
//! The order of the checks is the order of section 4.2.1, with two exceptions. The method and the HTTP version are
//! checked after `Upgrade`. A request without this header is plain HTTP, and may have any method and version. An
//! unsupported `Sec-WebSocket-Version` is reported before errors in the key, the origin, the subprotocols and the
//! extensions. Another version of the protocol may define these headers differently.
//!
//! Invariant: the time of a check grows at most with `n log n`, where `n` is the length of the head. This bound holds
//! even if an attacker writes the head.

use crate::kernel::ascii;

use super::extensions::{EXTENSIONS, Extensions, Malformed};
use super::head::{HeadError, HeaderLines, Headers, Occurrence};
use super::key::is_key;
use super::reason::Reason;
use super::scan::{Head, HeaderSink, VERSION};
use super::text::{TargetText, eq_lowercase, is_token, list_contains, split_once};
use super::url::split_authority;

use super::http_response::is_head;
use super::rejection::Rejection;
use super::request::{Request, SUBPROTOCOLS, Target, offers};

/// A complete request that a client sent.
#[derive(Clone, Copy, Debug)]
pub enum Incoming<'h> {
    /// A request to open a WebSocket connection, which obeys every rule of RFC 6455 section 4.2.1.
    Upgrade(Request<'h>),
    /// A well-formed HTTP request without an `Upgrade` header that lists `websocket`. A server can answer this
    /// request, to serve plain HTTP on the same port.
    Http(HttpRequest<'h>),
}

/// A well-formed HTTP request that does not ask for a WebSocket.
///
/// The body of the request, if there is one, follows the head. The handshake does not read the body.
///
/// ```
/// use hybi::handshake::{Incoming, HeadLimits, ServerHandshake};
///
/// let head = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n";
/// let Ok(Some(Incoming::Http(request))) = ServerHandshake::new(HeadLimits::new()).poll(head) else {
///     panic!("plain HTTP");
/// };
/// assert_eq!((request.method(), request.target()), ("GET", "/health"));
/// assert_eq!(request.rejection().status(), 426);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct HttpRequest<'h> {
    method: &'h str,
    target: TargetText<'h>,
    minor_version: u8,
    headers: Headers<'h>,
    head_len: usize,
}

impl<'h> HttpRequest<'h> {
    /// Returns the request with these parts.
    pub(crate) const fn new(line: RequestLine<'h>, headers: Headers<'h>, head_len: usize) -> Self {
        let RequestLine { method, target, minor_version } = line;
        Self { method, target: TargetText(target), minor_version, headers, head_len }
    }

    /// Returns the method. Methods are case-sensitive (RFC 9110 section 9.1).
    #[must_use]
    pub const fn method(&self) -> &'h str {
        self.method
    }

    /// Returns the request target: path and query, or an absolute URI.
    #[must_use]
    pub const fn target(&self) -> &'h str {
        self.target.0
    }

    /// Returns the minor version: the `x` of `HTTP/1.x`.
    #[must_use]
    pub const fn minor_version(&self) -> u8 {
        self.minor_version
    }

    /// Returns all headers.
    #[must_use]
    pub const fn headers(&self) -> Headers<'h> {
        self.headers
    }

    /// Returns the length of the head in bytes. If the client sent an empty line before the request line (RFC 9112
    /// section 2.2), the length includes this line.
    #[must_use]
    pub const fn head_len(&self) -> usize {
        self.head_len
    }

    /// Returns the rejection for a server that only serves WebSockets: status 426 with `Upgrade: websocket`.
    #[must_use]
    pub const fn rejection(&self) -> Rejection {
        Rejection::of(Reason::NotAnUpgrade, is_head(self.method))
    }
}

/// The headers of a request that the handshake examines.
#[derive(Default)]
pub(crate) struct RequestHeaders<'h> {
    host: Occurrence<'h>,
    origin: Occurrence<'h>,
    key: Occurrence<'h>,
    version: Occurrence<'h>,
    upgrade: bool,
    connection: bool,
    body: bool,
    subprotocols: Occurrence<'h>,
    extensions: Occurrence<'h>,
}

#[cfg(feature = "alloc")]
impl<'h> RequestHeaders<'h> {
    /// Collects the headers of a `RequestHead`, which another HTTP library may have parsed.
    pub(crate) fn of(headers: Headers<'h>) -> Self {
        let mut handshake_headers = Self::default();
        for header in headers {
            handshake_headers.add(header.name.as_bytes(), header.value);
        }
        handshake_headers
    }
}

impl<'h> HeaderSink<'h> for RequestHeaders<'h> {
    fn add(&mut self, name: &'h [u8], value: &'h [u8]) {
        if eq_lowercase(name, b"host") {
            self.host.add(value);
        } else if eq_lowercase(name, b"origin") {
            self.origin.add(value);
        } else if eq_lowercase(name, b"sec-websocket-key") {
            self.key.add(value);
        } else if eq_lowercase(name, b"sec-websocket-version") {
            self.version.add(value);
        } else if eq_lowercase(name, b"upgrade") {
            self.upgrade |= list_contains(value, b"websocket");
        } else if eq_lowercase(name, b"connection") {
            self.connection |= list_contains(value, b"upgrade");
        } else if eq_lowercase(name, b"content-length") {
            self.body |= value.is_empty() || value.iter().any(|&digit| digit != b'0');
        } else if eq_lowercase(name, b"transfer-encoding") {
            self.body = true;
        } else if eq_lowercase(name, b"sec-websocket-protocol") {
            self.subprotocols.add(value);
        } else if eq_lowercase(name, b"sec-websocket-extensions") {
            self.extensions.add(value);
        }
    }
}

/// Applies the rules of RFC 6455 to a complete head whose syntax the scanner has checked.
pub(crate) fn check_request<'h>(
    head: Head<'h>,
    handshake_headers: &RequestHeaders<'h>,
) -> Result<Incoming<'h>, Reason> {
    check_fields(RequestLine::parse(head.line)?, head.headers, head.len, handshake_headers)
}

/// Checks the fields of a request. The documentation at the top of this file explains the order of the checks.
pub(crate) fn check_fields<'h>(
    line: RequestLine<'h>,
    headers: Headers<'h>,
    head_len: usize,
    handshake_headers: &RequestHeaders<'h>,
) -> Result<Incoming<'h>, Reason> {
    let target = Target::parse(line.target).ok_or(Reason::Target)?;
    let host = match handshake_headers.host {
        // RFC 9112 3.2 requires Host since HTTP/1.1.
        Occurrence::Missing if line.minor_version == 0 => "",
        host => {
            // RFC 6455 4.2.1 (2): a Host header with the server's authority.
            let host = host.only(Reason::HostMissing, Reason::HostRepeated)?;
            let host = ascii(host).ok_or(Reason::HostInvalid)?;
            split_authority(host).map_err(|_| Reason::HostInvalid)?;
            host
        }
    };
    // RFC 6455 4.2.1 (3): an Upgrade header that contains "websocket". Without it the request is plain HTTP.
    if !handshake_headers.upgrade {
        return Ok(Incoming::Http(HttpRequest::new(line, headers, head_len)));
    }
    // RFC 6455 4.2.1 (1): an HTTP/1.1 or higher GET request.
    if line.method != "GET" {
        return Err(Reason::Method);
    }
    if line.minor_version == 0 {
        return Err(Reason::HttpVersion);
    }
    // RFC 9110 7.8, RFC 9112 6: the bytes of a body would be parsed as frames.
    if handshake_headers.body {
        return Err(Reason::Body);
    }
    // RFC 6455 4.2.1 (4): a Connection header that contains "Upgrade".
    if !handshake_headers.connection {
        return Err(Reason::Connection);
    }
    let version = handshake_headers
        .version
        .only(Reason::VersionMissing, Reason::VersionRepeated)
        .and_then(check_version);
    if version == Err(Reason::VersionUnsupported) {
        return Err(Reason::VersionUnsupported);
    }
    // RFC 6455 4.2.1 (5), 11.3.1: the key decodes to 16 bytes and appears once.
    let key = handshake_headers.key.only(Reason::KeyMissing, Reason::KeyRepeated)?;
    if !is_key(key) {
        return Err(Reason::KeyInvalid);
    }
    // RFC 6455 4.2.1 (6), 11.3.5: the version is 13 and appears once.
    version?;
    // RFC 6455 4.2.1 (7): an optional Origin header.
    let origin = match handshake_headers.origin {
        Occurrence::Missing => None,
        origin => {
            let origin = origin.only(Reason::OriginRepeated, Reason::OriginRepeated)?;
            Some(ascii(origin).ok_or(Reason::OriginInvalid)?)
        }
    };
    // RFC 6455 4.2.1 (8): an optional list of subprotocols.
    let subprotocols = match handshake_headers.subprotocols.list(SUBPROTOCOLS, headers) {
        Some(field) => check_subprotocols(field)?,
        None => HeaderLines::EMPTY,
    };
    // RFC 6455 4.2.1 (9), 9.1: malformed extensions fail the handshake, whatever the server supports.
    let extensions = match handshake_headers.extensions.list(EXTENSIONS, headers) {
        Some(field) => Extensions::from_lines(field).map_err(|Malformed| Reason::Extensions)?,
        None => Extensions::NONE,
    };
    Ok(Incoming::Upgrade(Request { target, host, origin, key, headers, subprotocols, extensions, head_len }))
}

/// The parts of a request line.
pub(crate) struct RequestLine<'h> {
    pub(crate) method: &'h str,
    pub(crate) target: &'h str,
    pub(crate) minor_version: u8,
}

impl<'h> RequestLine<'h> {
    /// Splits a request line that the scanner has checked. The split fails only if the caller has changed the bytes.
    fn parse(line: &'h [u8]) -> Result<Self, HeadError> {
        Self::split(line).ok_or(HeadError::Changed)
    }

    /// Splits a request line.
    fn split(line: &'h [u8]) -> Option<Self> {
        let (line, version) = line.split_last_chunk::<8>()?;
        let [minor @ b'0'..=b'9'] = version.strip_prefix(VERSION)? else { return None };
        let (method, target) = split_once(ascii(line.strip_suffix(b" ")?)?, b' ')?;
        Some(Self { method, target, minor_version: minor - b'0' })
    }
}

/// Checks that the version is 13. Any other number from 0 to 255 is unsupported. All other text is invalid, for example
/// a number with leading zeros (RFC 6455 section 4.1 (9)).
const fn check_version(value: &[u8]) -> Result<(), Reason> {
    match value {
        b"13" => Ok(()),
        [b'0'..=b'9']
        | [b'1'..=b'9', b'0'..=b'9']
        | [b'1', b'0'..=b'9', b'0'..=b'9']
        | [b'2', b'0'..=b'4', b'0'..=b'9']
        | [b'2', b'5', b'0'..=b'5'] => Err(Reason::VersionUnsupported),
        _ => Err(Reason::VersionInvalid),
    }
}

/// Checks that subprotocols are tokens and unique (RFC 6455 sections 4.1 (10) and 4.3).
///
/// The grammar requires at least one name. An empty list counts as absent here, because Tornado's client sends
/// the header with an empty value if no subprotocol is requested.
fn check_subprotocols(subprotocols: HeaderLines<'_>) -> Result<HeaderLines<'_>, Reason> {
    // The array has space for one name more than allowed, so that a longer list is noticed. If one of these names
    // is repeated or is not a token, that error is reported first.
    let mut names = [None; Request::MAX_SUBPROTOCOLS + 1];
    let (mut len, mut tokens) = (0, true);
    for (name, offer) in names.iter_mut().zip(offers(subprotocols)) {
        tokens = is_token(offer);
        if !tokens {
            break;
        }
        *name = Some(offer);
        len += 1;
    }
    // After sorting, equal names are neighbours. A hash table would take less time, but the client chooses the names.
    // Without a secret hash function, the client could make all names collide.
    let names = names.get_mut(..len).unwrap_or_default();
    names.sort_unstable();
    if !names.is_sorted_by(|name, next| name < next) {
        Err(Reason::SubprotocolRepeated)
    } else if !tokens {
        Err(Reason::SubprotocolInvalid)
    } else if len > Request::MAX_SUBPROTOCOLS {
        Err(Reason::SubprotocolsTooMany)
    } else {
        Ok(subprotocols)
    }
}

#[cfg(test)]
mod tests {
    use std::string::String;
    use std::vec::Vec;

    use super::*;

    #[test]
    fn s4_2_1_1_a_target_is_a_path_or_an_absolute_uri() {
        let parts = |whole| Target::parse(whole).map(|t| (t.authority, t.path, t.query));
        assert_eq!(parts("/"), Some((None, "/", None)));
        assert_eq!(parts("//a/b?c?d"), Some((None, "//a/b", Some("c?d"))));
        assert_eq!(parts("/?"), Some((None, "/", Some(""))));
        assert_eq!(parts("wss://a:1"), Some((Some("a:1"), "/", None)));
        assert_eq!(parts("HTTP://[::1]?q"), Some((Some("[::1]"), "/", Some("q"))));
        for bad in ["", "*", "chat", "?q", "a:80", "ws:/a", "ws:///", "ftp://a/", "ws://u@a/", "ws://a:x/"] {
            assert_eq!(parts(bad), None, "{bad}");
        }
    }

    #[test]
    fn s4_1_9_a_version_is_a_number_from_0_to_255() {
        for n in 0..300_u32 {
            let want = match n {
                13 => Ok(()),
                0..=255 => Err(Reason::VersionUnsupported),
                _ => Err(Reason::VersionInvalid),
            };
            assert_eq!(check_version(std::format!("{n}").as_bytes()), want, "{n}");
        }
        for bad in ["", "013", "00", "+13", "-1", "13,", "13, 8", "1 3", "0x0d", "1000"] {
            assert_eq!(check_version(bad.as_bytes()), Err(Reason::VersionInvalid), "{bad}");
        }
    }

    #[test]
    fn s4_1_10_subprotocols_are_unique_tokens() {
        let check =
            |names: &[&str]| check_subprotocols(HeaderLines::One(names.join(",").as_bytes())).map(drop);
        let numbered: Vec<String> = (0..514).map(|n| std::format!("p{n}")).collect();
        let mut names: Vec<&str> = numbered.iter().map(String::as_str).collect();
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(check(&["", "  ", "\t"]), Ok(()));
        assert_eq!(check(&names[..512]), Ok(()));
        assert_eq!(check(&names), Err(Reason::SubprotocolsTooMany));
        // The first names differ in case or in length. The other two names have the same 64-bit FNV-1a hash.
        assert_eq!(check(&["a", "A", "aa"]), Ok(()));
        assert_eq!(check(&["8yn0iYCKYHlIj4-BwPqk", "GReLUrM4wMqfg9yzV3KQ"]), Ok(()));
        // A repeated name is found at any two positions.
        for (first, second) in [(0, 1), (0, 511), (100, 300), (510, 511)] {
            let kept = core::mem::replace(&mut names[second], numbered[first].as_str());
            assert_eq!(check(&names[..512]), Err(Reason::SubprotocolRepeated), "{first}, {second}");
            names[second] = kept;
        }
        // Names after an invalid name are not examined. Among the names before it, a repeated name is reported first. A
        // list that is too long is reported only if its first 513 names have neither error.
        assert_eq!(check(&["a", "a", "b c"]), Err(Reason::SubprotocolRepeated));
        assert_eq!(check(&["a", "b c", "a"]), Err(Reason::SubprotocolInvalid));
        names[512] = "p0";
        assert_eq!(check(&names), Err(Reason::SubprotocolRepeated));
        names[512] = "b c";
        assert_eq!(check(&names), Err(Reason::SubprotocolInvalid));
        names[512] = "p512";
        names[513] = "p0";
        assert_eq!(check(&names), Err(Reason::SubprotocolsTooMany));
    }
}
