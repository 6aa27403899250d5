//! What both roles know of an HTTP/1.1 message head: its limits, its faults and its headers.

use core::fmt;

use crate::arch::ascii;

use super::text::{self, trim};

/// How large a head may grow, in bytes and in headers.
///
/// Both limits hold while the head arrives, not only when it is whole, so a peer can neither fill
/// memory nor keep a reader busy (RFC 6455 10.4). A head of exactly the limit is fine.
///
/// ```
/// use hybi::handshake::Limits;
///
/// let limits = Limits::new().max_head(4096).max_headers(32);
/// assert_eq!((limits.max_head, limits.max_headers), (4096, 32));
/// assert_eq!(Limits::default(), Limits { max_head: 16384, max_headers: 100 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes from the first that arrives to the empty line, both included; 16384 by default.
    ///
    /// On a server that takes in an empty line before the request, on a client all interim (1xx)
    /// responses.
    pub max_head: usize,
    /// Header lines in one head; 100 by default. More than [`Limits::MOST_HEADERS`] means that.
    pub max_headers: usize,
}

impl Limits {
    /// The upper bound of [`Limits::max_headers`].
    pub const MOST_HEADERS: usize = 128;

    /// The defaults: 16384 bytes, 100 headers.
    #[must_use]
    pub const fn new() -> Self {
        Self { max_head: 16384, max_headers: 100 }
    }

    /// These limits with another [`max_head`](Self::max_head), in bytes.
    #[must_use]
    pub const fn max_head(mut self, bytes: usize) -> Self {
        self.max_head = bytes;
        self
    }

    /// These limits with another [`max_headers`](Self::max_headers), at most
    /// [`MOST_HEADERS`](Self::MOST_HEADERS).
    #[must_use]
    pub const fn max_headers(mut self, lines: usize) -> Self {
        self.max_headers = if lines > Self::MOST_HEADERS { Self::MOST_HEADERS } else { lines };
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

/// What is wrong with the bytes of a head, in either direction.
///
/// Found at the first byte that cannot be right, whatever the split of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeadError {
    /// The first line is not a request line or a status line (RFC 9112 3, 4).
    StartLine,
    /// The first line does not carry a version of the form `HTTP/1.x` (RFC 9112 2.3).
    Version,
    /// The request target holds a byte that no URI has, or is empty (RFC 9112 3.2).
    Target,
    /// A line does not end in CR LF: a CR or a LF stands alone (RFC 9112 2.2).
    LineEnd,
    /// A header value holds NUL or another control character (RFC 9110 5.5).
    ControlByte,
    /// A header name is empty or not a token (RFC 9110 5.1).
    HeaderName,
    /// A header line has no colon (RFC 9112 5).
    NoColon,
    /// Whitespace stands between a header's name and the colon (RFC 9112 5.1).
    SpaceBeforeColon,
    /// A header value is folded onto a second line (RFC 9112 5.2).
    Fold,
    /// Whitespace stands before the first header (RFC 9112 2.2).
    SpaceBeforeHeader,
    /// [`Limits::max_head`] is reached inside the first line (RFC 6455 10.4).
    LineTooLong,
    /// [`Limits::max_head`] is reached (RFC 6455 10.4).
    TooLarge,
    /// More than [`Limits::max_headers`] header lines (RFC 6455 10.4).
    TooManyHeaders,
    /// The caller's memory no longer holds the bytes that were checked before.
    Changed,
}

impl HeadError {
    /// What to tell the peer or the developer: the fault, its clause, the remedy.
    const fn text(self) -> &'static str {
        match self {
            Self::StartLine => "malformed first line (RFC 9112 3 and 4): is the peer speaking HTTP/1.1 here?",
            Self::Version => "no HTTP/1.x version in the first line (RFC 9112 2.3): speak HTTP/1.1",
            Self::Target => "malformed request target (RFC 9112 3.2): percent-encode it",
            Self::LineEnd => "a CR or LF stands alone (RFC 9112 2.2): end lines with CR LF",
            Self::ControlByte => "control character in a header value (RFC 9110 5.5): remove it",
            Self::HeaderName => "a header name is not a token (RFC 9110 5.1): rename the header",
            Self::NoColon => "a header line has no colon (RFC 9112 5): write `Name: value`",
            Self::SpaceBeforeColon => "whitespace before a header's colon (RFC 9112 5.1): remove it",
            Self::Fold => "a header value is folded (RFC 9112 5.2): put it on one line",
            Self::SpaceBeforeHeader => "whitespace before the first header (RFC 9112 2.2): remove it",
            Self::LineTooLong => "the first line is too long (RFC 6455 10.4): shorten it or raise max_head",
            Self::TooLarge => "the head is too large (RFC 6455 10.4): send less or raise max_head",
            Self::TooManyHeaders => "too many header lines (RFC 6455 10.4): send fewer or raise max_headers",
            Self::Changed => "bytes that were already checked have changed: keep all of the head in place",
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
pub struct Header<'h> {
    /// The name as sent; compare it without regard to case (RFC 9110 5.1).
    pub name: &'h str,
    /// The value without the whitespace around it; may hold bytes from 0x80 up (RFC 9110 5.5).
    pub value: &'h [u8],
}

/// The headers of a head, in the order of arrival, in the caller's memory.
///
/// ```
/// use hybi::handshake::{Incoming, Limits, ServerHandshake};
///
/// let head = b"GET / HTTP/1.1\r\nHost: a\r\nCookie: k=1\r\ncookie: l=2\r\n\r\n";
/// let Ok(Some(Incoming::Http(request))) = ServerHandshake::new(Limits::new()).poll(head) else {
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
    /// The lines, each with its CR LF, checked by the scanner; with or without the empty line.
    block: &'h [u8],
}

impl<'h> Headers<'h> {
    pub(crate) const fn new(block: &'h [u8]) -> Self {
        Self { block }
    }

    /// Whether `httparse` reads the same headers, as a second opinion on what the scanner let pass.
    pub(crate) fn are_read_by_others(&self) -> bool {
        let mut slots = [httparse::EMPTY_HEADER; Limits::MOST_HEADERS];
        match httparse::parse_headers(self.block, &mut slots) {
            Ok(httparse::Status::Complete((len, headers))) => {
                let theirs = headers.iter().map(|header| (header.name, trim(header.value)));
                len == self.block.len() && self.iter().map(|header| (header.name, header.value)).eq(theirs)
            }
            _ => false,
        }
    }

    /// The headers in `lines`, which [`as_bytes`](Self::as_bytes) gave and someone has kept. Other bytes give
    /// what can be made of them.
    #[must_use]
    pub const fn from_lines(lines: &'h [u8]) -> Self {
        Self::new(lines)
    }

    /// The lines as they arrived, each with its CR LF, to be kept and read again with
    /// [`from_lines`](Self::from_lines).
    #[must_use]
    pub const fn as_bytes(&self) -> &'h [u8] {
        self.block
    }

    /// The headers, one a line.
    #[must_use]
    pub const fn iter(&self) -> HeaderIter<'h> {
        HeaderIter(Lines(self.block))
    }

    /// The value of the first header called `name`, in any case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'h [u8]> {
        self.get_all(name).next()
    }

    /// The value of the first header called `name`, in any case, if it is UTF-8.
    #[must_use]
    pub fn get_str(&self, name: &str) -> Option<&'h str> {
        core::str::from_utf8(self.get(name)?).ok()
    }

    /// The values of all headers called `name`, in any case.
    #[must_use]
    pub const fn get_all<'n>(&self, name: &'n str) -> HeaderValues<'h, 'n> {
        HeaderValues { lines: Lines(self.block), name }
    }

    /// The value of the header called `name` if there is exactly one such line.
    #[must_use]
    pub fn get_only(&self, name: &str) -> Option<&'h [u8]> {
        let mut values = self.get_all(name);
        let value = values.next()?;
        values.next().is_none().then_some(value)
    }

    /// The lines from the first to the last header called `name`: what is left to walk through for
    /// whoever looks for no other.
    pub(crate) fn narrow(&self, name: &str) -> Self {
        let mut lines = Lines(self.block);
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

/// What was found of one header in a whole head.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Found<'h> {
    #[default]
    Missing,
    Once(&'h [u8]),
    Repeated,
}

impl<'h> Found<'h> {
    pub(crate) const fn add(&mut self, value: &'h [u8]) {
        *self = match self {
            Self::Missing => Self::Once(value),
            _ => Self::Repeated,
        };
    }

    /// The value of a header that must stand there once.
    pub(crate) fn only<E>(self, missing: E, repeated: E) -> Result<&'h [u8], E> {
        match self {
            Self::Missing => Err(missing),
            Self::Once(value) => Ok(value),
            Self::Repeated => Err(repeated),
        }
    }

    /// The list in a header that may be repeated, the one called `name` among `headers`.
    pub(crate) fn list(self, name: &str, headers: Headers<'h>) -> Option<Field<'h>> {
        match self {
            Self::Missing => None,
            Self::Once(value) => Some(Field::Line(value)),
            Self::Repeated => Some(Field::Lines(headers.narrow(name))),
        }
    }
}

/// A header that may be spread over several lines, which together are one list (RFC 9110 5.3).
#[derive(Clone, Copy)]
pub(crate) enum Field<'h> {
    /// The value of its only line.
    Line(&'h [u8]),
    /// All its lines, among others.
    Lines(Headers<'h>),
}

impl<'h> Field<'h> {
    pub(crate) const EMPTY: Self = Self::Line(b"");

    /// The values of its lines, if it is called `name`.
    pub(crate) const fn values(self, name: &'static str) -> FieldValues<'h> {
        let (line, lines) = match self {
            Self::Line(value) => (Some(value), Headers::new(b"")),
            Self::Lines(headers) => (None, headers),
        };
        FieldValues { line, lines: lines.get_all(name) }
    }
}

impl fmt::Debug for Field<'_> {
    /// No values: subprotocols may hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Line(_) => "Line",
            Self::Lines(_) => "Lines",
        })
    }
}

/// Iterates over the values of a [`Field`].
#[derive(Clone, Debug)]
pub(crate) struct FieldValues<'h> {
    line: Option<&'h [u8]>,
    lines: HeaderValues<'h, 'static>,
}

impl<'h> Iterator for FieldValues<'h> {
    type Item = &'h [u8];

    fn next(&mut self) -> Option<&'h [u8]> {
        self.line.take().or_else(|| self.lines.next())
    }
}

impl<'h> IntoIterator for Headers<'h> {
    type Item = Header<'h>;
    type IntoIter = HeaderIter<'h>;

    fn into_iter(self) -> HeaderIter<'h> {
        self.iter()
    }
}

impl<'h> IntoIterator for &Headers<'h> {
    type Item = Header<'h>;
    type IntoIter = HeaderIter<'h>;

    fn into_iter(self) -> HeaderIter<'h> {
        self.iter()
    }
}

impl fmt::Debug for Headers<'_> {
    /// Names only: values hold cookies and credentials, which do not belong in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|header| header.name)).finish()
    }
}

/// Iterates over the lines of [`Headers`].
#[derive(Clone, Debug)]
pub struct HeaderIter<'h>(Lines<'h>);

impl<'h> Iterator for HeaderIter<'h> {
    type Item = Header<'h>;

    fn next(&mut self) -> Option<Header<'h>> {
        let (name, value) = self.0.next()?;
        Some(Header { name: ascii(name)?, value })
    }
}

/// Iterates over the values of the headers of one name; from [`Headers::get_all`].
#[derive(Clone, Debug)]
pub struct HeaderValues<'h, 'n> {
    lines: Lines<'h>,
    name: &'n str,
}

impl<'h> Iterator for HeaderValues<'h, '_> {
    type Item = &'h [u8];

    fn next(&mut self) -> Option<&'h [u8]> {
        let name = self.name.as_bytes();
        self.lines.find(|(is, _)| is.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// What is left of the lines, each split into name and value.
#[derive(Clone)]
struct Lines<'h>(&'h [u8]);

impl<'h> Iterator for Lines<'h> {
    type Item = (&'h [u8], &'h [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        // The scanner let a LF pass only behind a CR, and a line only with a token and a colon.
        let end = text::find(self.0, b'\n')?;
        let (line, rest) = self.0.split_at_checked(end + 1)?;
        self.0 = rest;
        let colon = text::find(line, b':')?;
        let (name, value) = line.split_at_checked(colon)?;
        Some((name, trim(value.get(1..)?.strip_suffix(b"\r\n")?)))
    }
}

impl fmt::Debug for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn s9112_5_the_line_walk_and_httparse_see_the_same_headers() {
        let blocks: [&[u8]; 5] = [
            b"\r\n",
            b"A:\r\n\r\n",
            b"A:b\r\nC: \t d e\t \r\n\r\n",
            b"!#$%&'*+-.^_`|~09azAZ: \x80\xff:\"\r\nX:::\r\n\r\n",
            b"Host: a\r\nHost: b\r\nhOsT:\t\r\n\r\n",
        ];
        for block in blocks {
            assert!(Headers::new(block).are_read_by_others(), "{block:?}");
        }
    }

    #[test]
    fn narrowed_headers_hold_all_of_one_name() {
        let headers = Headers::new(b"A: 1\r\nB: 2\r\nC: 3\r\nb: 4\r\nD: 5\r\n\r\n");
        for (name, lines, values) in [("b", 3, 2), ("A", 1, 1), ("D", 1, 1), ("x", 0, 0)] {
            let narrow = headers.narrow(name);
            assert_eq!((narrow.iter().count(), narrow.get_all(name).count()), (lines, values), "{name}");
        }
    }

    #[test]
    fn bytes_that_are_no_headers_end_the_walk() {
        for block in [&b"abc"[..], b"abc\n", b"abc:\n", b"\xff: a\r\n", b"\n", b""] {
            assert_eq!(Headers::new(block).iter().count(), 0, "{block:?}");
        }
    }
}
