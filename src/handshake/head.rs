//! The parts of an HTTP/1.1 message head that both roles need: limits, errors and headers.
//!
//! [`Headers`] is a view of header lines in the caller's memory. Each iteration parses the lines again, because stored
//! offsets would need an allocator or a fixed maximum. A head is small, so parsing again is cheap. The scanner in
//! `scan` has checked the lines before, so an iteration needs no error handling.
//!
//! Invariants:
//! - `Debug` output never contains header values, which can be credentials.
//! - An iteration ends at bytes that are not a header line. Such bytes cause neither a panic nor a wrong header.

use core::fmt;

use crate::kernel::ascii;

use super::text::{self, trim_ows};

/// The maximum size of a head, in bytes and in headers.
///
/// Both limits are checked while the head arrives. A peer can therefore neither fill the memory nor keep the
/// parser busy (RFC 6455 section 10.4). A head that has exactly the maximum size is accepted.
///
/// ```
/// use hybi::handshake::HeadLimits;
///
/// let limits = HeadLimits::new().max_head(4096).max_headers(32);
/// assert_eq!((limits.max_head, limits.max_headers), (4096, 32));
/// assert_eq!((HeadLimits::new().max_head, HeadLimits::new().max_headers), (16384, 100));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeadLimits {
    /// The maximum number of bytes from the first received byte to the empty line, both included; 16384 by
    /// default.
    ///
    /// On a server the number includes an empty line before the request. On a client the number includes
    /// all interim responses (1xx).
    pub max_head: usize,
    /// The maximum number of header lines in a head; 100 by default. A value above [`HeadLimits::MAX_HEADERS`] counts
    /// as [`HeadLimits::MAX_HEADERS`].
    pub max_headers: usize,
}

impl HeadLimits {
    /// The upper bound of [`HeadLimits::max_headers`].
    pub const MAX_HEADERS: usize = 128;

    /// Returns the default limits: 16384 bytes and 100 headers.
    #[must_use]
    pub const fn new() -> Self {
        Self { max_head: 16384, max_headers: 100 }
    }

    /// Returns these limits with another [`max_head`](Self::max_head), in bytes.
    #[must_use]
    pub const fn max_head(mut self, bytes: usize) -> Self {
        self.max_head = bytes;
        self
    }

    /// Returns these limits with another [`max_headers`](Self::max_headers), at most
    /// [`MAX_HEADERS`](Self::MAX_HEADERS).
    #[must_use]
    pub const fn max_headers(mut self, lines: usize) -> Self {
        self.max_headers = if lines > Self::MAX_HEADERS { Self::MAX_HEADERS } else { lines };
        self
    }
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self::new()
    }
}

/// An error in the head of a request or a response.
///
/// The error is reported at the first byte that violates a rule. The error does not depend on how the input is split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeadError {
    /// The first line is neither a request line nor a status line (RFC 9112 sections 3 and 4).
    StartLine,
    /// The first line has no version of the form `HTTP/1.x` (RFC 9112 section 2.3).
    Version,
    /// The request target is empty or has a byte that no URI contains (RFC 9112 section 3.2).
    Target,
    /// A line does not end with CR LF: a CR or a LF stands alone (RFC 9112 section 2.2).
    LineEnd,
    /// A header value contains NUL or another control character except tab (RFC 9110 section 5.5).
    ControlByte,
    /// A header name is empty or not a token (RFC 9110 section 5.1).
    HeaderName,
    /// A header line has no colon (RFC 9112 section 5).
    NoColon,
    /// There is whitespace between a header name and the colon (RFC 9112 section 5.1).
    SpaceBeforeColon,
    /// A header value continues on a second line (RFC 9112 section 5.2).
    Fold,
    /// There is whitespace before the first header (RFC 9112 section 2.2).
    SpaceBeforeHeader,
    /// The first line is not complete within [`HeadLimits::max_head`] bytes (RFC 6455 section 10.4).
    StartLineTooLong,
    /// The head is not complete within [`HeadLimits::max_head`] bytes (RFC 6455 section 10.4).
    TooLarge,
    /// There are more than [`HeadLimits::max_headers`] header lines (RFC 6455 section 10.4).
    TooManyHeaders,
    /// The caller has changed bytes that were checked before, which is an error in the calling code.
    Changed,
}

impl HeadError {
    /// Returns the text: the error, the clause of the RFC, and the advice.
    const fn text(self) -> &'static str {
        match self {
            Self::StartLine => {
                "the first line is not valid HTTP (RFC 9112 3 and 4): check that the peer speaks HTTP/1.1 on this port"
            }
            Self::Version => "the first line has no HTTP/1.x version (RFC 9112 2.3): use HTTP/1.1",
            Self::Target => "the request target is malformed (RFC 9112 3.2): percent-encode it",
            Self::LineEnd => "a CR or LF stands alone (RFC 9112 2.2): end lines with CR LF",
            Self::ControlByte => "a header value has a control character (RFC 9110 5.5): remove it",
            Self::HeaderName => "a header name is not a token (RFC 9110 5.1): rename the header",
            Self::NoColon => "a header line has no colon (RFC 9112 5): write `Name: value`",
            Self::SpaceBeforeColon => "a header name is followed by whitespace (RFC 9112 5.1): remove it",
            Self::Fold => "a header value is folded (RFC 9112 5.2): write it on one line",
            Self::SpaceBeforeHeader => "the first header is preceded by whitespace (RFC 9112 2.2): remove it",
            Self::StartLineTooLong => {
                "the first line is too long (RFC 6455 10.4): shorten it or raise max_head"
            }
            Self::TooLarge => "the head is too large (RFC 6455 10.4): send less or raise max_head",
            Self::TooManyHeaders => {
                "the head has too many header lines (RFC 6455 10.4): send fewer or raise max_headers"
            }
            Self::Changed => {
                "bytes that were already checked have changed: keep all received bytes of the head unchanged"
            }
        }
    }
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for HeadError {}

/// One header line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderField<'h> {
    /// The name as the peer sent it. Names are not case-sensitive (RFC 9110 section 5.1).
    pub name: &'h str,
    /// The value without the whitespace around it. The value may contain bytes from 0x80 on (RFC 9110 section
    /// 5.5).
    pub value: &'h [u8],
}

/// The headers of a head, in the order in which they arrived. The bytes stay in the caller's memory.
///
/// ```
/// use hybi::handshake::{Incoming, HeadLimits, ServerHandshake};
///
/// let head = b"GET / HTTP/1.1\r\nHost: a\r\nCookie: k=1\r\ncookie: l=2\r\n\r\n";
/// let Ok(Some(Incoming::Http(request))) = ServerHandshake::new(HeadLimits::new()).poll(head) else {
///     panic!("plain HTTP");
/// };
/// let headers = request.headers();
/// assert_eq!(headers.get("COOKIE"), Some(&b"k=1"[..]));
/// assert_eq!(headers.get_all("Cookie").count(), 2);
/// assert_eq!(headers.get_only("Cookie"), None);
/// assert_eq!(headers.get_only("Host"), Some(&b"a"[..]));
/// assert_eq!(headers.iter().count(), 3);
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Headers<'h> {
    /// The header lines, each with its CR LF. The empty line at the end may be included. The scanner has checked
    /// the lines.
    block: &'h [u8],
}

impl<'h> Headers<'h> {
    /// Returns the headers in `block`.
    pub(crate) const fn new(block: &'h [u8]) -> Self {
        Self { block }
    }

    /// Returns whether the parser `httparse` finds the same headers. The result is a second check of the scanner.
    pub(crate) fn match_httparse(&self) -> bool {
        let mut slots = [httparse::EMPTY_HEADER; HeadLimits::MAX_HEADERS];
        match httparse::parse_headers(self.block, &mut slots) {
            Ok(httparse::Status::Complete((len, headers))) => {
                let theirs = headers.iter().map(|header| (header.name, trim_ows(header.value)));
                len == self.block.len() && self.iter().map(|header| (header.name, header.value)).eq(theirs)
            }
            _ => false,
        }
    }

    /// Returns the headers in `lines`, which an earlier call of [`as_bytes`](Self::as_bytes) returned. If `lines`
    /// contains other bytes, an iteration ends at the first line that is not a header.
    #[must_use]
    pub const fn from_lines(lines: &'h [u8]) -> Self {
        Self::new(lines)
    }

    /// Returns the lines as they arrived, each with its CR LF. A copy of them can be parsed again with
    /// [`from_lines`](Self::from_lines).
    #[must_use]
    pub const fn as_bytes(&self) -> &'h [u8] {
        self.block
    }

    /// Returns the header lines without the empty line after them.
    #[cfg(feature = "alloc")]
    pub(crate) fn lines(&self) -> &'h [u8] {
        match self.block.strip_suffix(b"\r\n") {
            Some(lines) if lines.is_empty() || lines.ends_with(b"\r\n") => lines,
            _ => self.block,
        }
    }

    /// Returns an iterator over the headers, one per line.
    #[must_use]
    pub const fn iter(&self) -> HeaderIter<'h> {
        HeaderIter(LineIter(self.block))
    }

    /// Returns the value of the first header named `name`. Upper and lower case make no difference.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'h [u8]> {
        self.get_all(name).next()
    }

    /// Returns the value of the first header named `name`, if this value is UTF-8. Upper and lower case of the name
    /// make no difference.
    #[must_use]
    pub fn get_str(&self, name: &str) -> Option<&'h str> {
        core::str::from_utf8(self.get(name)?).ok()
    }

    /// Returns an iterator over the values of all headers named `name`. Upper and lower case make no difference.
    #[must_use]
    pub const fn get_all<'n>(&self, name: &'n str) -> HeaderValues<'h, 'n> {
        HeaderValues { lines: LineIter(self.block), name }
    }

    /// Returns the value of the header named `name`, if there is exactly one. Upper and lower case of the name make
    /// no difference.
    #[must_use]
    pub fn get_only(&self, name: &str) -> Option<&'h [u8]> {
        let mut values = self.get_all(name);
        let value = values.next()?;
        values.next().is_none().then_some(value)
    }

    /// Returns the lines from the first to the last header named `name`. Lines with other names may be between them.
    /// A search for this name in the result examines fewer lines than a search in all headers.
    pub(crate) fn lines_named(&self, name: &str) -> Self {
        let mut lines = LineIter(self.block);
        let mut found: Option<(&'h [u8], usize)> = None;
        loop {
            let from = lines.0;
            let Some((is, _)) = lines.next() else { break };
            if is.eq_ignore_ascii_case(name.as_bytes()) {
                let (from, _) = found.unwrap_or((from, 0));
                found = Some((from, from.len() - lines.0.len()));
            }
        }
        Self { block: found.and_then(|(from, len)| from.get(..len)).unwrap_or_default() }
    }
}

/// How often a header appears in a head.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Occurrence<'h> {
    /// The header is absent.
    #[default]
    Missing,
    /// The header appears once, with this value.
    Once(&'h [u8]),
    /// The header appears more than once.
    Repeated,
}

impl<'h> Occurrence<'h> {
    /// Records another line of this header.
    pub(crate) const fn add(&mut self, value: &'h [u8]) {
        *self = match self {
            Self::Missing => Self::Once(value),
            _ => Self::Repeated,
        };
    }

    /// Returns the value of a header that must appear exactly once.
    pub(crate) fn only<E>(self, missing: E, repeated: E) -> Result<&'h [u8], E> {
        match self {
            Self::Missing => Err(missing),
            Self::Once(value) => Ok(value),
            Self::Repeated => Err(repeated),
        }
    }

    /// Returns the lines of a header that may be repeated, or `None` if the header is absent. `name` is the name of the
    /// header, and `headers` are all headers of the head.
    pub(crate) fn list(self, name: &str, headers: Headers<'h>) -> Option<HeaderLines<'h>> {
        match self {
            Self::Missing => None,
            Self::Once(value) => Some(HeaderLines::One(value)),
            Self::Repeated => Some(HeaderLines::Several(headers.lines_named(name))),
        }
    }
}

/// The lines of a header that may be repeated. Together they are one list (RFC 9110 section 5.3).
#[derive(Clone, Copy)]
pub(crate) enum HeaderLines<'h> {
    /// The value of the only line.
    One(&'h [u8]),
    /// Header lines that include all lines of this header.
    Several(Headers<'h>),
}

impl<'h> HeaderLines<'h> {
    /// No line.
    pub(crate) const EMPTY: Self = Self::One(b"");

    /// Returns an iterator over the values of the lines. `name` is the name of the header.
    pub(crate) const fn values(self, name: &'static str) -> HeaderLineValues<'h> {
        let (line, lines) = match self {
            Self::One(value) => (Some(value), Headers::new(b"")),
            Self::Several(headers) => (None, headers),
        };
        HeaderLineValues { line, lines: lines.get_all(name) }
    }
}

impl fmt::Debug for HeaderLines<'_> {
    /// Shows no values, because subprotocols can be credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::One(_) => "One",
            Self::Several(_) => "Several",
        })
    }
}

/// An iterator over the values of [`HeaderLines`].
#[derive(Clone, Debug)]
pub(crate) struct HeaderLineValues<'h> {
    line: Option<&'h [u8]>,
    lines: HeaderValues<'h, 'static>,
}

impl<'h> Iterator for HeaderLineValues<'h> {
    type Item = &'h [u8];

    fn next(&mut self) -> Option<&'h [u8]> {
        self.line.take().or_else(|| self.lines.next())
    }
}

impl<'h> IntoIterator for Headers<'h> {
    type Item = HeaderField<'h>;
    type IntoIter = HeaderIter<'h>;

    fn into_iter(self) -> HeaderIter<'h> {
        self.iter()
    }
}

impl<'h> IntoIterator for &Headers<'h> {
    type Item = HeaderField<'h>;
    type IntoIter = HeaderIter<'h>;

    fn into_iter(self) -> HeaderIter<'h> {
        self.iter()
    }
}

impl fmt::Debug for Headers<'_> {
    /// Shows only names, because values can be cookies and credentials, which must not appear in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|header| header.name)).finish()
    }
}

/// An iterator over the lines of [`Headers`].
#[derive(Clone, Debug)]
pub struct HeaderIter<'h>(LineIter<'h>);

impl<'h> Iterator for HeaderIter<'h> {
    type Item = HeaderField<'h>;

    fn next(&mut self) -> Option<HeaderField<'h>> {
        let (name, value) = self.0.next()?;
        Some(HeaderField { name: ascii(name)?, value })
    }
}

/// An iterator over the values of all headers of one name. [`Headers::get_all`] returns this iterator.
#[derive(Clone, Debug)]
pub struct HeaderValues<'h, 'n> {
    lines: LineIter<'h>,
    name: &'n str,
}

impl<'h> Iterator for HeaderValues<'h, '_> {
    type Item = &'h [u8];

    fn next(&mut self) -> Option<&'h [u8]> {
        let name = self.name.as_bytes();
        self.lines.find(|(is, _)| is.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// An iterator over header lines, each split into name and value. The field has the lines that were not returned yet.
#[derive(Clone)]
struct LineIter<'h>(&'h [u8]);

impl<'h> Iterator for LineIter<'h> {
    type Item = (&'h [u8], &'h [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        // The scanner has checked that each LF follows a CR, and that each line has a name and a colon. So the first LF
        // ends the line, and the first colon ends the name.
        let end = text::find_byte(self.0, b'\n')?;
        let (line, rest) = self.0.split_at_checked(end + 1)?;
        self.0 = rest;
        let colon = text::find_byte(line, b':')?;
        let (name, value) = line.split_at_checked(colon)?;
        Some((name, trim_ows(value.get(1..)?.strip_suffix(b"\r\n")?)))
    }
}

impl fmt::Debug for LineIter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s9112_5_iteration_and_httparse_find_the_same_headers() {
        let blocks: [&[u8]; 5] = [
            b"\r\n",
            b"A:\r\n\r\n",
            b"A:b\r\nC: \t d e\t \r\n\r\n",
            b"!#$%&'*+-.^_`|~09azAZ: \x80\xff:\"\r\nX:::\r\n\r\n",
            b"Host: a\r\nHost: b\r\nhOsT:\t\r\n\r\n",
        ];
        for block in blocks {
            assert!(Headers::new(block).match_httparse(), "{block:?}");
        }
    }

    #[test]
    fn lines_named_contain_all_headers_of_the_name() {
        let headers = Headers::new(b"A: 1\r\nB: 2\r\nC: 3\r\nb: 4\r\nD: 5\r\n\r\n");
        for (name, lines, values) in [("b", 3, 2), ("A", 1, 1), ("D", 1, 1), ("x", 0, 0)] {
            let lines_named = headers.lines_named(name);
            assert_eq!(
                (lines_named.iter().count(), lines_named.get_all(name).count()),
                (lines, values),
                "{name}"
            );
        }
    }

    #[test]
    fn bytes_that_are_no_headers_end_the_iteration() {
        for block in [&b"abc"[..], b"abc\n", b"abc:\n", b"\xff: a\r\n", b"\n", b""] {
            assert_eq!(Headers::new(block).iter().count(), 0, "{block:?}");
        }
    }
}
