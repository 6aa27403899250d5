//! The parts of an opening handshake that are kept after the handshake: target, subprotocol and headers.
//!
//! A connection does not store its handshake. [`HandshakeInfo`] stores the parts that an application may need later.
//! All parts are in a single allocation, because a server keeps a `HandshakeInfo` for each connection, even while the
//! connection is idle.
//!
//! Invariant: `Debug` output contains no header values and no query of the target, which can be credentials.

use core::fmt;

use alloc::boxed::Box;

use super::head::Headers;
use super::text::{Subprotocol, TargetText};

/// The target, the subprotocol and the peer's headers of an opening handshake. Each WebSocket of the adapters has a
/// value of this type.
///
/// The default value has an empty target, no subprotocol and no headers.
///
/// ```
/// use hybi::handshake::{HandshakeInfo, RequestHead};
///
/// let mut head = RequestHead::new("GET", "/chat");
/// head.add_header("User-Agent", b"hybi")?;
/// let mut info = HandshakeInfo::new(head.target(), Some("chat.v1"), head.headers());
/// assert_eq!((info.target(), info.subprotocol()), ("/chat", Some("chat.v1")));
/// assert_eq!(info.headers().get("user-agent"), Some(&b"hybi"[..]));
/// info.forget_headers();
/// assert_eq!((info.target(), info.headers().iter().count()), ("/chat", 0));
/// # Ok::<(), hybi::handshake::HeaderError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
pub struct HandshakeInfo {
    /// The target, the subprotocol, and the header lines.
    bytes: Box<[u8]>,
    /// The length of the target in bytes.
    target_len: usize,
    /// The length of the subprotocol in bytes; 0 if there is none, because a subprotocol is not empty.
    subprotocol_len: usize,
}

impl HandshakeInfo {
    /// Stores the parts of a handshake.
    ///
    /// `target` is the target of the request. `headers` are the headers that the peer sent: those of the request on a
    /// server, those of the response on a client.
    #[must_use]
    pub fn new(target: &str, subprotocol: Option<&str>, headers: Headers<'_>) -> Self {
        let subprotocol = subprotocol.unwrap_or_default();
        let bytes = [target.as_bytes(), subprotocol.as_bytes(), headers.lines()].concat();
        Self { bytes: bytes.into(), target_len: target.len(), subprotocol_len: subprotocol.len() }
    }

    /// Returns the target of the request: path and query, or an absolute URI.
    #[must_use]
    pub fn target(&self) -> &str {
        text(self.bytes.get(..self.target_len))
    }

    /// Returns the negotiated subprotocol, or `None` if there is none.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        let subprotocol = text(self.bytes.get(self.target_len..self.lines_start()));
        (!subprotocol.is_empty()).then_some(subprotocol)
    }

    /// Returns the headers that the peer sent.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        Headers::new(self.bytes.get(self.lines_start()..).unwrap_or_default())
    }

    /// Frees the memory of the headers. The target and the subprotocol are kept.
    pub fn forget_headers(&mut self) {
        self.bytes = self.bytes.get(..self.lines_start()).unwrap_or_default().into();
    }

    /// Returns the position in `bytes` at which the header lines start.
    const fn lines_start(&self) -> usize {
        self.target_len + self.subprotocol_len
    }
}

/// Returns `bytes` as text. The bytes were copied from a `&str`, so they are UTF-8.
fn text(bytes: Option<&[u8]>) -> &str {
    core::str::from_utf8(bytes.unwrap_or_default()).unwrap_or_default()
}

impl fmt::Debug for HandshakeInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandshakeInfo")
            .field("target", &TargetText(self.target()))
            .field("subprotocol", &self.subprotocol().map(Subprotocol))
            .field("headers", &self.headers())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_stored_without_the_empty_line_and_debug_hides_values() {
        let headers = Headers::new(b"Cookie: secret\r\nA: b\r\n\r\n");
        for (target, subprotocol) in [("/", None), ("/é", Some("x")), ("", None)] {
            let mut info = HandshakeInfo::new(target, subprotocol, headers);
            assert_eq!((info.target(), info.subprotocol()), (target, subprotocol));
            assert!(info.headers().iter().eq(headers.iter()));
            assert_eq!(info.headers().as_bytes().len() + 2, headers.as_bytes().len());
            let shown = std::format!("{info:?}");
            assert!(shown.contains("Cookie") && !shown.contains("secret"), "{shown}");
            assert_eq!(shown.contains("Some(..)"), subprotocol.is_some(), "{shown}");
            info.forget_headers();
            assert_eq!((info.target(), info.subprotocol()), (target, subprotocol));
            assert_eq!(info.bytes.len(), target.len() + subprotocol.map_or(0, str::len));
        }
        assert_eq!(HandshakeInfo::default(), HandshakeInfo::new("", None, Headers::new(b"")));
        // At most the size of two boxed slices.
        assert!(size_of::<HandshakeInfo>() <= 4 * size_of::<usize>());
    }
}
