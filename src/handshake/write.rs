//! Writing of a head into the caller's buffer, and checks of the headers that an application adds.
//!
//! [`HeadWriter`] appends to the buffer. When the buffer is full, the writer continues to count, so that the error
//! contains the required length. [`check_headers`] is the defence against header injection. It refuses names and values
//! that would change the meaning of the head, and headers that the handshake writes itself.

use core::fmt;

use super::text::{is_token, is_value_byte, trim_ows};

/// The error for an output buffer that is too small.
///
/// ```
/// use hybi::handshake::{DeflateParams, NoSpace};
///
/// let error = DeflateParams::default().write(&mut [0; 4]);
/// assert_eq!(error, Err(NoSpace { needed: "permessage-deflate".len() }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NoSpace {
    /// The required length in bytes.
    pub needed: usize,
}

impl fmt::Display for NoSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the output buffer is too small: pass one of at least {} bytes", self.needed)
    }
}

impl core::error::Error for NoSpace {}

/// The reason why a header of the application cannot be sent, with the name of the header.
///
/// ```
/// use hybi::handshake::{HeaderError, HeaderName, HttpResponse, ResponseError};
///
/// let token = "7f3a\n"; // read from a file, with the end of the line
/// let error = HttpResponse::new(401).headers(&[("X-Token", token)]).write(&mut [0; 256]);
/// assert_eq!(error, Err(ResponseError::Header(HeaderError::Value(HeaderName::new("X-Token")))));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeaderError {
    /// The name is not a token (RFC 9110 section 5.1).
    Name(HeaderName),
    /// The value has CR, LF, NUL or another control character except tab, or whitespace at an end (RFC 9110 section
    /// 5.5). With such a value an attacker could add more headers.
    Value(HeaderName),
    /// The handshake writes this header itself (RFC 6455 sections 4.1 and 4.2.2, RFC 9112 section 6). The
    /// text of the error names the setter to use instead, if there is one.
    Reserved(HeaderName),
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names are quoted and escaped, so that a name with line feeds cannot add lines to a log.
        match self {
            Self::Name(name) => {
                write!(
                    f,
                    "{name:?} is not a valid header name (RFC 9110 5.1): use letters, digits and hyphens"
                )
            }
            Self::Value(name) => write!(
                f,
                "the value of the header {name:?} has a control character or outer whitespace (RFC 9110 5.5): \
                 trim it, encode it, or do not send it"
            ),
            Self::Reserved(name) => {
                write!(f, "the header {name:?} is written by the handshake {}", name.why_reserved())
            }
        }
    }
}

/// The name of a header in an error, stored inline. A name of more than [`MAX_LEN`](Self::MAX_LEN) bytes is cut
/// between two characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct HeaderName {
    len: u8,
    bytes: [u8; Self::MAX_LEN],
}

impl HeaderName {
    /// The maximum length of a stored name, in bytes.
    pub const MAX_LEN: usize = 47;

    /// Returns `name`, cut to at most [`MAX_LEN`](Self::MAX_LEN) bytes.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let kept =
            (0..=name.len().min(Self::MAX_LEN)).rev().find_map(|len| name.get(..len)).unwrap_or_default();
        let mut bytes = [0; Self::MAX_LEN];
        for (to, from) in bytes.iter_mut().zip(kept.bytes()) {
            *to = from;
        }
        // The length is at most MAX_LEN, which fits into a byte.
        Self { len: u8::try_from(kept.len()).unwrap_or(0), bytes }
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        core::str::from_utf8(bytes).unwrap_or_default()
    }

    /// Returns the clause that reserves this header for the handshake, and the advice to the caller.
    fn why_reserved(&self) -> &'static str {
        let is = |name| self.as_str().eq_ignore_ascii_case(name);
        if is("Host") {
            "(RFC 6455 4.1 (4)): leave it out, and pass a URL with this host"
        } else if is("Origin") {
            "(RFC 6455 4.1 (8)): leave it out, and call `origin`"
        } else if is("Sec-WebSocket-Protocol") {
            "(RFC 6455 4.1 (10) and 4.2.2): leave it out, and call `subprotocols` on a client, or choose a \
             `subprotocol` on a server"
        } else if is("Sec-WebSocket-Extensions") {
            "(RFC 6455 4.1 (11) and 4.2.2): leave it out, and call `deflate`, or `extensions` for others"
        } else if is("Content-Type") {
            "(RFC 9110 8.3): leave it out, and pass the media type to `body`"
        } else if is("Content-Length") || is("Transfer-Encoding") {
            "(RFC 9112 6): leave it out, because it is computed from the body"
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

/// The headers that an application adds, each a name and a value.
#[derive(Clone, Copy, Default)]
pub(crate) struct ExtraHeaders<'a>(pub(crate) &'a [(&'a str, &'a str)]);

impl fmt::Debug for ExtraHeaders<'_> {
    /// Shows only names, because values can be cookies and credentials, which must not appear in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// Checks the headers that an application adds.
///
/// `Connection`, `Upgrade`, all headers that begin with `Sec-WebSocket-`, and the two headers that announce a body are
/// always refused. `reserved` names the other headers that the caller writes itself.
pub(crate) fn check_headers(headers: ExtraHeaders<'_>, reserved: &[&str]) -> Result<(), HeaderError> {
    const ALWAYS: [&str; 4] = ["Connection", "Upgrade", "Content-Length", "Transfer-Encoding"];
    for (name, value) in headers.0 {
        if !is_token(name.as_bytes()) {
            return Err(HeaderError::Name(HeaderName::new(name)));
        }
        if !is_value(value) {
            return Err(HeaderError::Value(HeaderName::new(name)));
        }
        let prefix = name.get(..14).unwrap_or_default();
        // RFC 6455 11.3: none of the handshake's headers may appear twice.
        if prefix.eq_ignore_ascii_case("Sec-WebSocket-")
            || ALWAYS.iter().chain(reserved).any(|own| own.eq_ignore_ascii_case(name))
        {
            return Err(HeaderError::Reserved(HeaderName::new(name)));
        }
    }
    Ok(())
}

/// Returns whether `value` can be sent unchanged as a header value.
pub(crate) fn is_value(value: &str) -> bool {
    value.bytes().all(is_value_byte) && trim_ows(value.as_bytes()).len() == value.len()
}

/// A writer that appends to the caller's buffer, and continues to count when the buffer is full.
#[derive(Debug)]
pub(crate) struct HeadWriter<'o> {
    /// The caller's buffer.
    out: &'o mut [u8],
    /// The number of bytes appended so far, including those that did not fit.
    len: usize,
}

impl<'o> HeadWriter<'o> {
    /// Returns a writer at the start of `out`.
    pub(crate) const fn new(out: &'o mut [u8]) -> Self {
        Self { out, len: 0 }
    }

    /// Appends bytes.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        let end = self.len.saturating_add(bytes.len());
        if let Some(space) = self.out.get_mut(self.len..end) {
            space.copy_from_slice(bytes);
        }
        self.len = end;
        self
    }

    /// Appends text.
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// Appends the text of a value.
    pub(crate) fn display(&mut self, value: &dyn fmt::Display) -> &mut Self {
        // `write_str` never fails, because it counts the bytes that do not fit.
        let _ = fmt::write(self, format_args!("{value}"));
        self
    }

    /// Appends one header line. The caller has checked the name and the value.
    pub(crate) fn header(&mut self, name: &str, value: &dyn fmt::Display) -> &mut Self {
        self.text(name).text(": ").display(value).text("\r\n")
    }

    /// Appends the headers of the application. [`check_headers`] has checked them.
    pub(crate) fn headers(&mut self, headers: ExtraHeaders<'_>) -> &mut Self {
        for (name, value) in headers.0 {
            self.header(name, value);
        }
        self
    }

    /// Returns the number of bytes written, or the required length if they did not fit.
    pub(crate) const fn finish(&self) -> Result<usize, NoSpace> {
        if self.len <= self.out.len() { Ok(self.len) } else { Err(NoSpace { needed: self.len }) }
    }
}

impl fmt::Write for HeadWriter<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.text(text);
        Ok(())
    }
}

/// Returns the length of the text of `value` in bytes.
pub(crate) fn display_len(value: &dyn fmt::Display) -> usize {
    let mut count = HeadWriter::new(&mut []);
    count.display(value);
    count.len
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_writer_counts_bytes_that_do_not_fit() {
        let mut out = [0; 5];
        let mut writer = HeadWriter::new(&mut out);
        assert_eq!(writer.text("abc").finish(), Ok(3));
        assert_eq!(writer.text("def").finish(), Err(NoSpace { needed: 6 }));
        assert_eq!(writer.text("g").finish(), Err(NoSpace { needed: 7 }));
        assert_eq!(&out, b"abc\0\0");
        assert_eq!(display_len(&123), 3);
    }

    #[test]
    fn s9110_5_5_injected_headers_are_refused() {
        let ok = [("X-A", "b c"), ("x-empty", ""), ("Set-Cookie", "a=\u{e9}")];
        assert_eq!(check_headers(ExtraHeaders(&ok), &["Host"]), Ok(()));
        for value in ["a\r\nB: c", "a\rb", "a\nb", "a\0", "\x7f", " a", "a\t"] {
            let named = HeaderError::Value(HeaderName::new("X"));
            assert_eq!(check_headers(ExtraHeaders(&[("X", value)]), &[]), Err(named), "{value:?}");
        }
        for name in ["", "X ", "X:", "X\r\nY", "\u{e9}", "a b"] {
            let named = HeaderError::Name(HeaderName::new(name));
            assert_eq!(check_headers(ExtraHeaders(&[(name, "v")]), &[]), Err(named), "{name:?}");
        }
        for name in ["upgrade", "CONNECTION", "Sec-WebSocket-Accept", "sec-websocket-x", "host"] {
            let named = HeaderError::Reserved(HeaderName::new(name));
            assert_eq!(check_headers(ExtraHeaders(&[(name, "v")]), &["Host"]), Err(named), "{name:?}");
        }
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        let name = |len| HeaderName::new(&"x".repeat(len)).as_str().len();
        let most = HeaderName::MAX_LEN;
        assert_eq!([0, 1, most, most + 1, 1000].map(name), [0, 1, most, most, most]);
        // Each of these characters has three bytes.
        assert_eq!(HeaderName::new(&"€".repeat(100)).as_str(), "€".repeat(most / 3));
        assert!(size_of::<HeaderError>() <= 56);
    }
}
