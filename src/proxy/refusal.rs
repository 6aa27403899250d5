//! The response of an HTTP proxy that opens no tunnel: [`ProxyRefusal`].

use alloc::vec::Vec;
use core::fmt;

use crate::handshake::Headers;

/// The response of an HTTP proxy that opens no tunnel: status, headers, and the first bytes of the body.
///
/// The body is the part that arrived together with the head, at most [`MAX_BODY`](Self::MAX_BODY) bytes. Interim
/// responses (1xx) are left out.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyRefusal {
    status: u16,
    /// The head, and the first bytes of the body.
    bytes: Vec<u8>,
    /// The length of the reason phrase, at the end of the status line.
    reason_len: usize,
    /// The position in `bytes` at which the header lines begin.
    headers_start: usize,
    /// The position in `bytes` at which the body begins.
    head_len: usize,
    /// Whether the request had a user and a password.
    had_credentials: bool,
}

impl ProxyRefusal {
    /// The maximum number of bytes of the body that are kept.
    pub const MAX_BODY: usize = 8 << 10;

    /// Returns the response with this head. `headers_len` is the length of the header lines at the end of the head,
    /// `reason_len` that of the reason phrase before them. The body is cut to [`MAX_BODY`](Self::MAX_BODY) bytes.
    pub(super) fn new(
        status: u16,
        head: &[u8],
        (reason_len, headers_len): (usize, usize),
        body: &[u8],
        had_credentials: bool,
    ) -> Self {
        let body = body.get(..Self::MAX_BODY).unwrap_or(body);
        let headers_start = head.len().saturating_sub(headers_len);
        Self {
            status,
            bytes: [head, body].concat(),
            reason_len,
            headers_start,
            head_len: head.len(),
            had_credentials,
        }
    }

    /// Returns the status code: 300 to 999.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// Returns the reason phrase. The phrase can be empty, and it need not be UTF-8.
    #[must_use]
    pub fn reason(&self) -> &[u8] {
        // The status line ends with CR LF.
        let end = self.headers_start.saturating_sub(2);
        self.bytes.get(end.saturating_sub(self.reason_len)..end).unwrap_or_default()
    }

    /// Returns the headers, for example `Proxy-Authenticate`.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        Headers::from_lines(self.bytes.get(self.headers_start..self.head_len).unwrap_or_default())
    }

    /// Returns the head, from the status line to the empty line.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        self.bytes.get(..self.head_len).unwrap_or_default()
    }

    /// Returns the bytes of the body that arrived together with the head, at most [`MAX_BODY`](Self::MAX_BODY).
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.bytes.get(self.head_len..).unwrap_or_default()
    }

    /// Returns the advice for the status.
    const fn advice(&self) -> &'static str {
        match self.status {
            // Some proxies, such as tinyproxy, answer wrong credentials with 401 instead of 407.
            401 | 407 if self.had_credentials => {
                "(RFC 9110 11.7): check user and password in its URL, and whether Proxy-Authenticate lists Basic"
            }
            401 | 407 => {
                "(RFC 9110 11.7): write user and password in its URL, as http://user:password@host:port"
            }
            405 | 501 => "(RFC 9110 9.3.6): use a proxy that supports CONNECT",
            403 => "(RFC 9110 9.3.6): let the proxy allow CONNECT to this host and port",
            502..=504 => {
                "(RFC 9110 15.6): check the server's host and port, and whether the proxy reaches it"
            }
            _ => "(RFC 9110 9.3.6): read the reason in the response",
        }
    }
}

impl fmt::Display for ProxyRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the proxy refused the tunnel with status {} {}", self.status, self.advice())
    }
}

impl fmt::Debug for ProxyRefusal {
    /// Shows no header values and no body, which can be credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyRefusal")
            .field("status", &self.status)
            .field("headers", &self.headers())
            .field("body_len", &self.body().len())
            .finish_non_exhaustive()
    }
}
