//! Writing a head into lent memory, and checking what the application puts into one.

use core::fmt;

use super::text::{is_token, is_value_byte, trim};

/// The lent memory is too small.
///
/// ```
/// use hybi::handshake::{DeflateParams, NoRoom};
///
/// let error = DeflateParams::default().write(&mut [0; 4]);
/// assert_eq!(error, Err(NoRoom { needed: "permessage-deflate".len() }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NoRoom {
    /// Bytes that would have been enough.
    pub needed: usize,
}

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the memory lent is too small: {} bytes are needed", self.needed)
    }
}

impl core::error::Error for NoRoom {}

/// What is wrong with a header that the application wants to send along, and which header it is.
///
/// ```
/// use hybi::handshake::{HeaderError, HeaderName, Reject, ResponseError};
///
/// let token = "7f3a\n"; // read from a file, with the end of the line
/// let error = Reject::new(401).headers(&[("X-Token", token)]).write(&mut [0; 256]);
/// assert_eq!(error, Err(ResponseError::Header(HeaderError::Value(HeaderName::new("X-Token")))));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeaderError {
    /// The name is not a token (RFC 9110 5.1).
    Name(HeaderName),
    /// The value of this header holds CR, LF, NUL or another control character, or has whitespace at an end
    /// (RFC 9110 5.5): whoever could put one there could write headers of their own.
    Value(HeaderName),
    /// The handshake writes this header itself (RFC 6455 4.1, 4.2.2; RFC 9112 6). The text of the error says from what.
    Reserved(HeaderName),
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names are shown quoted and escaped, so that a name with line feeds cannot write lines into a log.
        match self {
            Self::Name(name) => {
                write!(f, "{name:?} is not a header name (RFC 9110 5.1): use letters, digits and hyphens")
            }
            Self::Value(name) => write!(
                f,
                "the value of the header {name:?} holds a control character or outer whitespace (RFC 9110 5.5): \
                 trim, encode or refuse what it was made of"
            ),
            Self::Reserved(name) => {
                write!(f, "the header {name:?} belongs to the handshake {}", name.why_reserved())
            }
        }
    }
}

/// The name of a header in an error, by value: its first [`MAX_LEN`](Self::MAX_LEN) bytes, cut between two characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct HeaderName {
    len: u8,
    bytes: [u8; Self::MAX_LEN],
}

impl HeaderName {
    /// The most bytes that are kept of a name.
    pub const MAX_LEN: usize = 47;

    /// Makes the name `name`, or as much of it as is kept.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let kept =
            (0..=name.len().min(Self::MAX_LEN)).rev().find_map(|len| name.get(..len)).unwrap_or_default();
        let mut bytes = [0; Self::MAX_LEN];
        for (to, from) in bytes.iter_mut().zip(kept.bytes()) {
            *to = from;
        }
        // It is at most MAX_LEN.
        Self { len: u8::try_from(kept.len()).unwrap_or(0), bytes }
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        core::str::from_utf8(bytes).unwrap_or_default()
    }

    /// Returns the clause by which the handshake writes this header, and what to do instead.
    fn why_reserved(&self) -> &'static str {
        let is = |name| self.as_str().eq_ignore_ascii_case(name);
        if is("Host") {
            "(RFC 6455 4.1 (4)): leave it out, and ask for a URL with this host"
        } else if is("Origin") {
            "(RFC 6455 4.1 (8)): leave it out, and call `origin`"
        } else if is("Sec-WebSocket-Protocol") {
            "(RFC 6455 4.1 (10) and 4.2.2): leave it out, and call `subprotocols` on a client, or choose a \
             `subprotocol` on a server"
        } else if is("Sec-WebSocket-Extensions") {
            "(RFC 6455 4.1 (11) and 4.2.2): leave it out, and call `deflate`, or `extensions` for others"
        } else if is("Content-Type") {
            "(RFC 9110 8.3): leave it out, and pass it to `body`"
        } else if is("Content-Length") || is("Transfer-Encoding") {
            "(RFC 9112 6): leave it out, as it follows from the body"
        } else {
            "(RFC 6455 4.1 and 4.2.2): leave it out"
        }
    }
}

impl fmt::Debug for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl core::error::Error for HeaderError {}

/// Headers that an application adds, each a name and a value.
#[derive(Clone, Copy, Default)]
pub(crate) struct Extra<'a>(pub(crate) &'a [(&'a str, &'a str)]);

impl fmt::Debug for Extra<'_> {
    /// Names only: values hold cookies and credentials, which do not belong in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// Checks the headers that an application adds. `reserved` are names besides those that no
/// application may set: the handshake's own and the ones that announce a body.
pub(crate) fn check_headers(headers: Extra<'_>, reserved: &[&str]) -> Result<(), HeaderError> {
    const ALWAYS: [&str; 4] = ["Connection", "Upgrade", "Content-Length", "Transfer-Encoding"];
    for (name, value) in headers.0 {
        if !is_token(name.as_bytes()) {
            return Err(HeaderError::Name(HeaderName::new(name)));
        }
        if !is_value(value) {
            return Err(HeaderError::Value(HeaderName::new(name)));
        }
        let prefix = name.get(..14).unwrap_or_default();
        // RFC 6455 11.3: none of them twice
        if prefix.eq_ignore_ascii_case("Sec-WebSocket-")
            || ALWAYS.iter().chain(reserved).any(|own| own.eq_ignore_ascii_case(name))
        {
            return Err(HeaderError::Reserved(HeaderName::new(name)));
        }
    }
    Ok(())
}

/// Whether `value` can be sent as a header value as it is.
pub(crate) fn is_value(value: &str) -> bool {
    value.bytes().all(is_value_byte) && trim(value.as_bytes()).len() == value.len()
}

/// Appends to lent memory, and counts on when it is full.
#[derive(Debug)]
pub(crate) struct Writer<'o> {
    out: &'o mut [u8],
    len: usize,
}

impl<'o> Writer<'o> {
    pub(crate) const fn new(out: &'o mut [u8]) -> Self {
        Self { out, len: 0 }
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        let end = self.len.saturating_add(bytes.len());
        if let Some(room) = self.out.get_mut(self.len..end) {
            room.copy_from_slice(bytes);
        }
        self.len = end;
        self
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    pub(crate) fn display(&mut self, value: &dyn fmt::Display) -> &mut Self {
        // Writing here never fails; what does not fit is counted.
        let _ = fmt::write(self, format_args!("{value}"));
        self
    }

    /// One header line; the value was checked.
    pub(crate) fn header(&mut self, name: &str, value: &dyn fmt::Display) -> &mut Self {
        self.text(name).text(": ").display(value).text("\r\n")
    }

    pub(crate) fn headers(&mut self, headers: Extra<'_>) -> &mut Self {
        for (name, value) in headers.0 {
            self.header(name, value);
        }
        self
    }

    /// The number of bytes written, if all of them fit.
    pub(crate) const fn finish(&self) -> Result<usize, NoRoom> {
        if self.len <= self.out.len() { Ok(self.len) } else { Err(NoRoom { needed: self.len }) }
    }
}

impl fmt::Write for Writer<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.text(text);
        Ok(())
    }
}

/// How many bytes `value` is as text.
pub(crate) fn display_len(value: &dyn fmt::Display) -> usize {
    let mut count = Writer::new(&mut []);
    count.display(value);
    count.len
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writer_counts_what_does_not_fit() {
        let mut out = [0; 5];
        let mut writer = Writer::new(&mut out);
        assert_eq!(writer.text("abc").finish(), Ok(3));
        assert_eq!(writer.text("def").finish(), Err(NoRoom { needed: 6 }));
        assert_eq!(writer.text("g").finish(), Err(NoRoom { needed: 7 }));
        assert_eq!(&out, b"abc\0\0");
        assert_eq!(display_len(&123), 3);
    }

    #[test]
    fn s9110_5_5_injected_headers_are_refused() {
        let ok = [("X-A", "b c"), ("x-empty", ""), ("Set-Cookie", "a=\u{e9}")];
        assert_eq!(check_headers(Extra(&ok), &["Host"]), Ok(()));
        for value in ["a\r\nB: c", "a\rb", "a\nb", "a\0", "\x7f", " a", "a\t"] {
            let named = HeaderError::Value(HeaderName::new("X"));
            assert_eq!(check_headers(Extra(&[("X", value)]), &[]), Err(named), "{value:?}");
        }
        for name in ["", "X ", "X:", "X\r\nY", "\u{e9}", "a b"] {
            let named = HeaderError::Name(HeaderName::new(name));
            assert_eq!(check_headers(Extra(&[(name, "v")]), &[]), Err(named), "{name:?}");
        }
        for name in ["upgrade", "CONNECTION", "Sec-WebSocket-Accept", "sec-websocket-x", "host"] {
            let named = HeaderError::Reserved(HeaderName::new(name));
            assert_eq!(check_headers(Extra(&[(name, "v")]), &["Host"]), Err(named), "{name:?}");
        }
    }

    #[test]
    fn names_that_are_too_long_to_keep_are_cut() {
        let name = |len| HeaderName::new(&"x".repeat(len)).as_str().len();
        let most = HeaderName::MAX_LEN;
        assert_eq!([0, 1, most, most + 1, 1000].map(name), [0, 1, most, most, most]);
        // Between two characters.
        assert_eq!(HeaderName::new(&"€".repeat(100)).as_str(), "€".repeat(most / 3));
        assert!(size_of::<HeaderError>() <= 56);
    }
}
