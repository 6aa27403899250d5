//! A request to open a WebSocket connection, and the rules by which it is judged (RFC 6455 4.2.1).

use crate::arch::ascii;

use super::accept::Response;
use super::extensions::{EXTENSIONS, Extensions, Malformed};
use super::head::{Field, Found, HeadError, Headers};
use super::key::is_key;
use super::permessage_deflate::{DeflateConfig, DeflateParams, choose};
use super::reject::{Reason, Rejection};
use super::scan::{Gather, Head, VERSION};
use super::server::{HttpRequest, Incoming};
use super::text::{elements, is_token, is_word, list_has, split_once};
use super::url::{split_authority, split_scheme, split_target};

const SUBPROTOCOLS: &str = "Sec-WebSocket-Protocol";

/// A request to open a WebSocket connection (RFC 6455 4.2.1), checked.
///
/// ```
/// use hybi::handshake::{Incoming, Limits, Reason, ServerHandshake};
///
/// let head = b"GET /chat?room=1 HTTP/1.1\r\nHost: a:9000\r\nOrigin: https://evil.example\r\n\
///     Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
///     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: v2, v1\r\n\r\n";
/// let Ok(Some(Incoming::Upgrade(request))) = ServerHandshake::new(Limits::new()).poll(head) else {
///     panic!("an upgrade");
/// };
/// assert_eq!((request.path(), request.query(), request.host()), ("/chat", Some("room=1"), "a:9000"));
/// assert!(request.offers_subprotocol("v1"));
/// assert_eq!(request.select_subprotocol(&["v1", "v2"]), Some("v2")); // the client prefers it
/// let refused = request.check_origin(&["https://a.example"]);
/// assert!(refused.is_err_and(|rejection| rejection.reason() == Reason::OriginNotAllowed));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Request<'h> {
    target: Target<'h>,
    host: &'h str,
    origin: Option<&'h str>,
    key: &'h [u8],
    headers: Headers<'h>,
    subprotocols: Field<'h>,
    extensions: Extensions<'h>,
    head_len: usize,
}

impl<'h> Request<'h> {
    /// How many subprotocols a client may offer; more are refused, as it takes memory
    /// to find a duplicate among them.
    pub const MOST_SUBPROTOCOLS: usize = 512;

    /// The request target as sent: path and query, or an absolute URI (RFC 9112 3.2).
    #[must_use]
    pub const fn target(&self) -> &'h str {
        self.target.whole
    }

    /// The path, not decoded; "/" if an absolute URI has none.
    #[must_use]
    pub const fn path(&self) -> &'h str {
        self.target.path
    }

    /// The query without its "?", not decoded, if there is one.
    #[must_use]
    pub const fn query(&self) -> Option<&'h str> {
        self.target.query
    }

    /// The host that was asked for, with its port if that was named. In front of `Host` goes the
    /// authority of an absolute target (RFC 9112 3.2.2).
    #[must_use]
    pub const fn host(&self) -> &'h str {
        match self.target.authority {
            Some(authority) => authority,
            None => self.host,
        }
    }

    /// The origin of the page that opens the connection. Browsers always send one; who sends none
    /// is not a browser (RFC 6455 4.2.1 (7)).
    #[must_use]
    pub const fn origin(&self) -> Option<&'h str> {
        self.origin
    }

    /// The `Sec-WebSocket-Key`, the base64 of 16 bytes.
    #[must_use]
    pub const fn key(&self) -> &'h [u8] {
        self.key
    }

    /// The subprotocols that the client offers, in its order of preference.
    pub fn subprotocols(&self) -> impl Iterator<Item = &'h str> + Clone + use<'h> {
        offers(self.subprotocols).filter_map(ascii)
    }

    /// Whether the client offers `subprotocol`; its case matters.
    #[must_use]
    pub fn offers_subprotocol(&self, subprotocol: &str) -> bool {
        self.subprotocols().any(|offer| offer == subprotocol)
    }

    /// The first of the client's subprotocols that is among `supported`: the client's preference
    /// decides (RFC 6455 4.1 (10)). `None` if none is; the connection may still be accepted.
    #[must_use]
    pub fn select_subprotocol<'a>(&self, supported: &[&'a str]) -> Option<&'a str> {
        self.subprotocols().find_map(|offer| supported.iter().copied().find(|&name| name == offer))
    }

    /// The extensions that the client offers, in its order of preference.
    #[must_use]
    pub const fn extensions(&self) -> Extensions<'h> {
        self.extensions
    }

    /// The parameters of permessage-deflate for the first offer of it that can be accepted, for
    /// [`Response::deflate`]; `None` if there is no such offer.
    #[must_use]
    pub fn negotiate_deflate(&self, config: &DeflateConfig) -> Option<DeflateParams> {
        choose(self.extensions, config)
    }

    /// All headers.
    #[must_use]
    pub const fn headers(&self) -> Headers<'h> {
        self.headers
    }

    /// Bytes of the head, with an empty line in front of it: what follows them belongs to the frame
    /// parser (RFC 6455 4.1).
    #[must_use]
    pub const fn head_len(&self) -> usize {
        self.head_len
    }

    /// Allows only these origins, compared without regard to case, and whoever sends none: the
    /// defence against cross-site WebSocket hijacking (RFC 6455 10.2).
    ///
    /// # Errors
    ///
    /// [`Rejection`] with [`Reason::OriginNotAllowed`] (403).
    pub fn check_origin(&self, allowed: &[&str]) -> Result<(), Rejection> {
        match self.origin {
            Some(origin) if !allowed.iter().any(|one| one.eq_ignore_ascii_case(origin)) => {
                Err(Rejection::new(Reason::OriginNotAllowed))
            }
            _ => Ok(()),
        }
    }

    /// The 101 that opens the connection.
    #[must_use]
    pub const fn accept(&self) -> Response<'h> {
        Response::new(*self)
    }
}

#[derive(Clone, Copy, Debug)]
struct Target<'h> {
    whole: &'h str,
    authority: Option<&'h str>,
    path: &'h str,
    query: Option<&'h str>,
}

impl<'h> Target<'h> {
    fn parse(whole: &'h str) -> Option<Self> {
        let (authority, rest) = if whole.starts_with('/') {
            (None, whole)
        } else {
            // RFC 6455 4.2.1 (1): or an absolute HTTP/HTTPS URI; the ws form is what tutorials print.
            // The asterisk and the authority form are for other methods (RFC 9112 3.2.3, 3.2.4).
            let (_, rest) = split_scheme(whole)?;
            let (authority, rest) = split_target(rest);
            split_authority(authority).ok()?;
            (Some(authority), rest)
        };
        let (path, query) = match split_once(rest, b'?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        Some(Self { whole, authority, path: if path.is_empty() { "/" } else { path }, query })
    }
}

/// The headers that decide.
#[derive(Default)]
pub(crate) struct Known<'h> {
    host: Found<'h>,
    origin: Found<'h>,
    key: Found<'h>,
    version: Found<'h>,
    upgrade: bool,
    connection: bool,
    body: bool,
    subprotocols: Found<'h>,
    extensions: Found<'h>,
}

impl<'h> Gather<'h> for Known<'h> {
    fn add(&mut self, name: &'h [u8], value: &'h [u8]) {
        if is_word(name, b"host") {
            self.host.add(value);
        } else if is_word(name, b"origin") {
            self.origin.add(value);
        } else if is_word(name, b"sec-websocket-key") {
            self.key.add(value);
        } else if is_word(name, b"sec-websocket-version") {
            self.version.add(value);
        } else if is_word(name, b"upgrade") {
            self.upgrade |= list_has(value, b"websocket");
        } else if is_word(name, b"connection") {
            self.connection |= list_has(value, b"upgrade");
        } else if is_word(name, b"content-length") {
            self.body |= value.is_empty() || value.iter().any(|&digit| digit != b'0');
        } else if is_word(name, b"transfer-encoding") {
            self.body = true;
        } else if is_word(name, b"sec-websocket-protocol") {
            self.subprotocols.add(value);
        } else if is_word(name, b"sec-websocket-extensions") {
            self.extensions.add(value);
        }
    }
}

/// Judges a whole head. The order of the checks is that of RFC 6455 4.2.1, but for an unsupported
/// version, which goes before all that another version may have changed.
pub(crate) fn judge<'h>(head: Head<'h>, known: &Known<'h>) -> Result<Incoming<'h>, Reason> {
    let line = RequestLine::parse(head.line)?;
    let target = Target::parse(line.target).ok_or(Reason::Target)?;
    let host = match known.host {
        // RFC 9112 3.2 asks for a Host since HTTP/1.1.
        Found::Missing if line.minor_version == 0 => "",
        host => {
            // RFC 6455 4.2.1 (2)
            let host = host.only(Reason::HostMissing, Reason::HostRepeated)?;
            let host = ascii(host).ok_or(Reason::HostInvalid)?;
            split_authority(host).map_err(|_| Reason::HostInvalid)?;
            host
        }
    };
    // RFC 6455 4.2.1 (3)
    if !known.upgrade {
        return Ok(Incoming::Http(HttpRequest::new(line, head)));
    }
    // RFC 6455 4.2.1 (1): an HTTP/1.1 or higher GET request
    if line.method != "GET" {
        return Err(Reason::Method);
    }
    if line.minor_version == 0 {
        return Err(Reason::HttpVersion);
    }
    // RFC 9110 7.8, 9112 6: a body would lie where the frames begin.
    if known.body {
        return Err(Reason::Body);
    }
    // RFC 6455 4.2.1 (4)
    if !known.connection {
        return Err(Reason::Connection);
    }
    let version = known.version.only(Reason::VersionMissing, Reason::VersionRepeated).and_then(check_version);
    if version == Err(Reason::VersionUnsupported) {
        return Err(Reason::VersionUnsupported);
    }
    // RFC 6455 4.2.1 (5), 11.3.1
    let key = known.key.only(Reason::KeyMissing, Reason::KeyRepeated)?;
    if !is_key(key) {
        return Err(Reason::KeyInvalid);
    }
    // RFC 6455 4.2.1 (6), 11.3.5
    version?;
    // RFC 6455 4.2.1 (7)
    let origin = match known.origin {
        Found::Missing => None,
        origin => {
            let origin = origin.only(Reason::OriginRepeated, Reason::OriginRepeated)?;
            Some(ascii(origin).ok_or(Reason::OriginInvalid)?)
        }
    };
    let Head { headers, len: head_len, .. } = head;
    // RFC 6455 4.2.1 (8)
    let subprotocols = match known.subprotocols.list(SUBPROTOCOLS, headers) {
        Some(field) => check_subprotocols(field)?,
        None => Field::EMPTY,
    };
    // RFC 6455 4.2.1 (9), 9.1: malformed fails the handshake, whatever the server supports.
    let extensions = match known.extensions.list(EXTENSIONS, headers) {
        Some(field) => Extensions::of(field).map_err(|Malformed| Reason::Extensions)?,
        None => Extensions::NONE,
    };
    Ok(Incoming::Upgrade(Request { target, host, origin, key, headers, subprotocols, extensions, head_len }))
}

pub(crate) struct RequestLine<'h> {
    pub(crate) method: &'h str,
    pub(crate) target: &'h str,
    pub(crate) minor_version: u8,
}

impl<'h> RequestLine<'h> {
    /// The scanner has checked the line.
    fn parse(line: &'h [u8]) -> Result<Self, HeadError> {
        Self::split(line).ok_or(HeadError::Changed)
    }

    fn split(line: &'h [u8]) -> Option<Self> {
        let (line, version) = line.split_last_chunk::<8>()?;
        let [minor @ b'0'..=b'9'] = version.strip_prefix(VERSION)? else { return None };
        let (method, target) = split_once(ascii(line.strip_suffix(b" ")?)?, b' ')?;
        Some(Self { method, target, minor_version: minor - b'0' })
    }
}

/// RFC 6455 4.1 (9): a decimal from 0 to 255 without leading zeros, and 13.
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

fn offers(subprotocols: Field<'_>) -> impl Iterator<Item = &[u8]> + Clone {
    subprotocols.values(SUBPROTOCOLS).flat_map(elements)
}

/// RFC 6455 4.1 (10), 4.3: all tokens, all different.
///
/// The grammar asks for one at least. A list without any counts as absent: clients of Tornado send the header with an
/// empty value where no subprotocol is asked for, and to offer nothing is what both mean.
fn check_subprotocols(subprotocols: Field<'_>) -> Result<Field<'_>, Reason> {
    // One more than are allowed, as a name that is repeated is told before one too many.
    let mut names = [None; Request::MOST_SUBPROTOCOLS + 1];
    let (mut len, mut tokens) = (0, true);
    for (name, offer) in names.iter_mut().zip(offers(subprotocols)) {
        tokens = is_token(offer);
        if !tokens {
            break;
        }
        *name = Some(offer);
        len += 1;
    }
    // Sorted, equal names stand side by side. A table of hashes would take less time, but the client chooses the
    // names: without a secret it can find as many of one hash as it likes.
    let names = names.get_mut(..len).unwrap_or_default();
    names.sort_unstable();
    if !names.is_sorted_by(|name, next| name < next) {
        Err(Reason::SubprotocolRepeated)
    } else if !tokens {
        Err(Reason::SubprotocolInvalid)
    } else if len > Request::MOST_SUBPROTOCOLS {
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
    fn s4_2_1_1_target_forms() {
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
    fn s4_1_9_version_is_0_to_255() {
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
    fn s4_1_10_subprotocols_are_different_tokens() {
        let judge = |names: &[&str]| check_subprotocols(Field::Line(names.join(",").as_bytes())).map(drop);
        let numbered: Vec<String> = (0..514).map(|n| std::format!("p{n}")).collect();
        let mut names: Vec<&str> = numbered.iter().map(String::as_str).collect();
        assert_eq!(judge(&[]), Ok(()));
        assert_eq!(judge(&["", "  ", "\t"]), Ok(()));
        assert_eq!(judge(&names[..512]), Ok(()));
        assert_eq!(judge(&names), Err(Reason::SubprotocolsTooMany));
        // Names that differ in case, in length, or in anything but a common hash (64-bit FNV-1a).
        assert_eq!(judge(&["a", "A", "aa"]), Ok(()));
        assert_eq!(judge(&["8yn0iYCKYHlIj4-BwPqk", "GReLUrM4wMqfg9yzV3KQ"]), Ok(()));
        // Wherever the two stand.
        for (first, second) in [(0, 1), (0, 511), (100, 300), (510, 511)] {
            let kept = core::mem::replace(&mut names[second], numbered[first].as_str());
            assert_eq!(judge(&names[..512]), Err(Reason::SubprotocolRepeated), "{first}, {second}");
            names[second] = kept;
        }
        // The first that is wrong counts, and of that what it repeats before that it is one too many.
        assert_eq!(judge(&["a", "a", "b c"]), Err(Reason::SubprotocolRepeated));
        assert_eq!(judge(&["a", "b c", "a"]), Err(Reason::SubprotocolInvalid));
        names[512] = "p0";
        assert_eq!(judge(&names), Err(Reason::SubprotocolRepeated));
        names[512] = "b c";
        assert_eq!(judge(&names), Err(Reason::SubprotocolInvalid));
        names[512] = "p512";
        names[513] = "p0";
        assert_eq!(judge(&names), Err(Reason::SubprotocolsTooMany));
    }
}
