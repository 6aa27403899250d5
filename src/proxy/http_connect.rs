//! HTTP CONNECT (RFC 9110 section 9.3.6): the request, and the state machine that reads the response.
//!
//! The scanner of the handshake reads the head of the response, so the same rules and limits apply. Interim responses
//! (1xx) are skipped. Any 2xx opens the tunnel, even if its headers announce a body.
//!
//! Invariants:
//! - No byte after the head of a 2xx is consumed, because it belongs to the tunnel.
//! - At most [`HeadLimits::max_head`] bytes of heads are kept.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::error::ProxyError;
use super::refusal::{ProxyRefusal, ReceivingRefusal};
use super::target::ProxyTarget;
use super::url::{Credentials, ProxyUrl};
use crate::handshake::{HeadError, HeadLimits, HeaderSink, Scanner, split_status_line};

/// Returns the request for a tunnel to `target`.
pub(super) fn request(proxy: &ProxyUrl, target: &ProxyTarget<'_>) -> Vec<u8> {
    // RFC 9110 9.3.6: the target is host and port, and the port is never left out. RFC 9112 3.2.3: `Host` is sent too.
    let target = target.to_string();
    let mut request = ["CONNECT ", &target, " HTTP/1.1\r\nHost: ", &target, "\r\n"].concat();
    if let Some(credentials) = proxy.user_and_password() {
        // RFC 9110 11.7.2: this header is for the proxy. Only this request contains the header.
        request += "Proxy-Authorization: Basic ";
        request += &basic(credentials);
        request += "\r\n";
    }
    request += "\r\n";
    request.into_bytes()
}

/// Returns the base64 of user and password, for Basic authentication (RFC 7617 section 2).
fn basic(credentials: &Credentials) -> String {
    let plain = [&credentials.user[..], b":", &credentials.password].concat();
    let mut text = alloc::vec![0; base64::encoded_len(plain.len(), true).unwrap_or(0)];
    // `text` has exactly the length of the encoded bytes, so encoding cannot fail.
    let written = STANDARD.encode_slice(&plain, &mut text);
    debug_assert_eq!(written, Ok(text.len()));
    String::from_utf8(text).unwrap_or_default()
}

/// The state machine that reads the response.
pub(super) struct HttpConnect {
    scanner: Scanner,
    max_head: usize,
    /// The received bytes, up to the limit: interim responses, and the head of the final response. Bytes that follow
    /// this head are not used.
    heads: Vec<u8>,
    /// Whether the request has user and password.
    has_credentials: bool,
    /// The refusal, after its head has arrived.
    refusal: Option<ReceivingRefusal>,
}

/// A receiver that ignores all header lines. The headers of a refusal are read later, from the bytes of its head.
#[derive(Default)]
struct IgnoreHeaders;

impl<'h> HeaderSink<'h> for IgnoreHeaders {
    fn add(&mut self, _: &'h [u8], _: &'h [u8]) {}
}

impl HttpConnect {
    pub(super) const fn new(has_credentials: bool) -> Self {
        let limits = HeadLimits::new();
        Self {
            scanner: Scanner::response(limits),
            max_head: limits.max_head,
            heads: Vec::new(),
            has_credentials,
            refusal: None,
        }
    }

    /// Sets the limits on the heads. The caller does this before it passes the first bytes.
    pub(super) const fn set_limits(&mut self, limits: HeadLimits) {
        self.scanner = Scanner::response(limits);
        self.max_head = limits.max_head;
    }

    /// Returns whether no byte of the response has arrived.
    pub(super) fn is_unanswered(&self) -> bool {
        self.heads.is_empty()
    }

    /// Returns whether the head of a refusal has arrived, and its body is awaited.
    pub(super) const fn awaits_body(&self) -> bool {
        self.refusal.is_some()
    }

    /// Returns the refusal with the part of the body that has arrived. Returns `None` if there is no refusal.
    pub(super) fn take_refusal(&mut self) -> Option<ProxyError> {
        self.refusal.take().map(|refusal| ProxyError::Refused(refusal.into_refusal().into()))
    }

    /// Removes the bytes of the response from the front of `input`. Returns whether the tunnel is open.
    pub(super) fn receive(&mut self, input: &mut &[u8]) -> Result<bool, ProxyError> {
        if self.awaits_body() {
            return self.receive_body(input);
        }
        let before = self.heads.len();
        let space = self.max_head.saturating_sub(before);
        self.heads.extend_from_slice(input.get(..space).unwrap_or(input));
        loop {
            let Some(head) = self.scanner.scan(&self.heads, &mut IgnoreHeaders).map_err(head_error)? else {
                skip(input, self.heads.len().saturating_sub(before));
                return Ok(false);
            };
            let (_, status, reason) =
                split_status_line(head.line).ok_or(HeadError::Changed).map_err(head_error)?;
            match status {
                // RFC 9110 7.8: a server MUST NOT switch to a protocol that the client did not ask for.
                101 => return Err(ProxyError::SwitchedProtocols),
                // RFC 9110 15.2: this is an interim response; the final one follows.
                100..=199 => self.scanner.next_response(),
                _ => {
                    skip(input, head.len.saturating_sub(before));
                    // RFC 9110 9.3.6: any 2xx opens the tunnel, directly after its head. Content-Length and
                    // Transfer-Encoding MUST be ignored. RFC 9110 2.5: this also holds for HTTP/1.0, which tinyproxy
                    // and other proxies send.
                    if (200..300).contains(&status) {
                        return Ok(true);
                    }
                    let bytes = self.heads.get(head.start..head.len).unwrap_or_default();
                    let lens = (reason.len(), head.headers.as_bytes().len());
                    let refusal = ProxyRefusal::new(status, bytes, lens, self.has_credentials);
                    self.refusal = Some(ReceivingRefusal::new(refusal));
                    return self.receive_body(input);
                }
            }
        }
    }

    /// Removes the bytes of a refusal's body from the front of `input`. Returns the refusal as an error if the body has
    /// ended.
    fn receive_body(&mut self, input: &mut &[u8]) -> Result<bool, ProxyError> {
        match self.refusal.as_mut().is_some_and(|refusal| refusal.receive(input)) {
            true => self.take_refusal().map_or(Ok(false), Err),
            false => Ok(false),
        }
    }
}

/// Removes `len` bytes from the front of `input`.
fn skip(input: &mut &[u8], len: usize) {
    *input = input.get(len..).unwrap_or_default();
}

/// Returns the error of the scanner as an error of the proxy.
const fn head_error(error: HeadError) -> ProxyError {
    match error {
        HeadError::StartLine => ProxyError::NotHttp,
        error => ProxyError::Head(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s6455_10_4_no_more_than_the_limit_is_kept() {
        let long = alloc::vec![b'x'; 1 << 20];
        for start in [&b"HTTP/1.1 200 "[..], b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 502 x\r\n\r\n", b"x"] {
            let mut connect = HttpConnect::new(false);
            connect.set_limits(HeadLimits::new().max_head(100));
            let input = [start, &long].concat();
            let _ = connect.receive(&mut &input[..]);
            assert_eq!(connect.heads.len(), 100);
        }
    }
}
