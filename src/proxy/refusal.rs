//! The response of an HTTP proxy that opens no tunnel: [`ProxyRefusal`], and [`ReceivingRefusal`], which receives its
//! body.
//!
//! The body ends where `Content-Length` or the last chunk says, at the end of the stream, or at
//! [`ProxyRefusal::MAX_BODY`] bytes, whichever is first. The driver may stop earlier.
//!
//! Invariant: no byte after the end of the body is consumed. So the refusal does not depend on how the input is split.

use alloc::vec::Vec;
use core::fmt;

use crate::handshake::Headers;

/// The response of an HTTP proxy that opens no tunnel: status, headers, and the body.
///
/// The body has at most [`MAX_BODY`](Self::MAX_BODY) bytes. Interim responses (1xx) are left out.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyRefusal {
    status: u16,
    /// The head, and the body.
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

    /// Returns the response with this head. `headers_len` is the length of the header lines at the end of the head.
    /// `reason_len` is the length of the reason phrase before these lines. The body is empty.
    pub(super) fn new(
        status: u16,
        head: &[u8],
        (reason_len, headers_len): (usize, usize),
        had_credentials: bool,
    ) -> Self {
        let headers_start = head.len().saturating_sub(headers_len);
        Self {
            status,
            bytes: head.to_vec(),
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

    /// Returns the body: at most [`MAX_BODY`](Self::MAX_BODY) bytes, and fewer if the driver has not waited for the
    /// rest. A chunked body is not decoded.
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
    /// Shows no header values and no body, because they can contain credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyRefusal")
            .field("status", &self.status)
            .field("headers", &self.headers())
            .field("body_len", &self.body().len())
            .finish_non_exhaustive()
    }
}

/// A refusal whose body is being received.
pub(super) struct ReceivingRefusal {
    refusal: ProxyRefusal,
    /// The maximum number of bytes that are still received.
    left: usize,
    /// Whether the body consists of chunks (RFC 9112 section 7.1).
    is_chunked: bool,
}

impl ReceivingRefusal {
    pub(super) fn new(refusal: ProxyRefusal) -> Self {
        let headers = refusal.headers();
        // RFC 9112 6.3: Transfer-Encoding overrides Content-Length. Without both, the body ends with the stream.
        let is_chunked = headers.get("Transfer-Encoding").is_some();
        let left = match refusal.status {
            // RFC 9112 6.3: a response with status 304 has no body, even if its headers announce one.
            304 => 0,
            _ if is_chunked => ProxyRefusal::MAX_BODY,
            _ => {
                content_length(headers).map_or(ProxyRefusal::MAX_BODY, |len| len.min(ProxyRefusal::MAX_BODY))
            }
        };
        Self { refusal, left, is_chunked }
    }

    /// Removes bytes of the body from the front of `input`. Returns whether the body has ended.
    pub(super) fn receive(&mut self, input: &mut &[u8]) -> bool {
        while self.left > 0 {
            let Some((byte, rest)) = input.split_first() else { return false };
            *input = rest;
            self.left -= 1;
            self.refusal.bytes.push(*byte);
            if self.is_chunked && self.ends_with_last_chunk() {
                break;
            }
        }
        true
    }

    /// Returns whether the body ends with a chunk of length 0 and no trailers. Data that looks like this chunk cuts the
    /// body. A cut body does no harm, because the body is only shown to a person.
    fn ends_with_last_chunk(&self) -> bool {
        const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
        let body = self.refusal.body();
        body.strip_suffix(LAST_CHUNK).is_some_and(|before| before.is_empty() || before.ends_with(b"\r\n"))
    }

    pub(super) fn into_refusal(self) -> ProxyRefusal {
        self.refusal
    }
}

/// Returns the value of `Content-Length`, or `None` if it is missing, repeated, or not a number.
fn content_length(headers: Headers<'_>) -> Option<usize> {
    let mut values = headers.get_all("Content-Length");
    let value = values.next().filter(|value| value.iter().all(u8::is_ascii_digit))?;
    match values.next() {
        Some(_) => None,
        // A number that is too large for `usize` exceeds `MAX_BODY` as well.
        None => Some(core::str::from_utf8(value).ok()?.parse().unwrap_or(usize::MAX)),
    }
}
