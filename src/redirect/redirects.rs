//! [`Redirects`]: the state machine that decides about the redirects of one call.
//!
//! `reference.rs` resolves `Location`. This file decides whether the client may connect to the resolved URL.
//!
//! Invariants:
//! - The URL that `follow` returns is a valid WebSocket URL with the scheme `ws` or `wss`.
//! - Once the client has left the first server, `may_send` is false for all headers that can be credentials.

use alloc::format;
use alloc::string::String;

use super::error::RedirectError;
use super::reference::resolve;
use crate::handshake::{Headers, UrlError, WsUrl};

/// The redirects of one call that connects. The documentation of the [module](super) has the rules and an example.
///
/// The type is not `Clone`, because an old copy would not know that a later redirect has led to another server.
#[derive(PartialEq, Eq, Debug)]
pub struct Redirects {
    /// The maximum number of redirects to follow.
    max: u32,
    /// The number of redirects that were followed so far.
    followed: u32,
    /// Whether the client has a TLS client certificate.
    client_certificate: bool,
    /// Whether the client offers subprotocols that no other server may see.
    subprotocols: bool,
    /// Whether a redirect has led to another server.
    left_server: bool,
}

impl Redirects {
    /// Returns the state before the first response. At most `max` redirects are followed. With 0, a redirect is handled
    /// like any other response.
    #[must_use]
    pub const fn new(max: u32) -> Self {
        Self { max, followed: 0, client_certificate: false, subprotocols: false, left_server: false }
    }

    /// Sets whether the client has a TLS client certificate; `false` by default.
    #[must_use]
    pub const fn client_certificate(mut self, client_certificate: bool) -> Self {
        self.client_certificate = client_certificate;
        self
    }

    /// Sets whether the client offers subprotocols that no other server may see; `false` by default.
    #[must_use]
    pub const fn subprotocols(mut self, subprotocols: bool) -> Self {
        self.subprotocols = subprotocols;
        self
    }

    /// Returns the number of redirects that were followed.
    #[must_use]
    pub const fn followed(&self) -> u32 {
        self.followed
    }

    /// Handles a response with a status other than 101. `url` is the URL of the request.
    ///
    /// Returns the URL to connect to next. Its scheme is `ws` or `wss`, and it has no fragment. Returns `None` if the
    /// response is not a redirect, or if the client follows no redirects.
    ///
    /// # Errors
    ///
    /// - [`RedirectError::LocationMissing`], [`RedirectError::LocationRepeated`]: there is not exactly one `Location`.
    /// - [`RedirectError::Location`]: `Location` does not lead to a WebSocket URL.
    /// - [`RedirectError::NotEncrypted`]: the redirect leads from `wss` to `ws`.
    /// - [`RedirectError::ClientCertificate`]: the client has a certificate, and the next URL is a `wss` URL. This
    ///   redirect or an earlier one leads to another server.
    /// - [`RedirectError::Subprotocols`]: the client offers subprotocols that no other server may see. This redirect or
    ///   an earlier one leads to another server.
    /// - [`RedirectError::TooMany`]: the client has followed as many redirects as it may.
    pub fn follow(
        &mut self,
        url: &WsUrl<'_>,
        status: u16,
        headers: Headers<'_>,
    ) -> Result<Option<String>, RedirectError> {
        // RFC 9110 15.4: 300 offers a choice, 304 belongs to a cache, and 305 and 306 are no longer used.
        if self.max == 0 || !matches!(status, 301 | 302 | 303 | 307 | 308) {
            return Ok(None);
        }
        let mut locations = headers.get_all("Location");
        let location = locations.next().ok_or(RedirectError::LocationMissing)?;
        if locations.next().is_some() {
            return Err(RedirectError::LocationRepeated);
        }
        // This check finds only bytes that are not UTF-8. `WsUrl::parse` below refuses characters that are not ASCII.
        let location = core::str::from_utf8(location).map_err(|_| UrlError::Character)?;
        let resolved = resolve(url, location)?;
        let next = WsUrl::parse(&resolved)?;
        if url.secure() && !next.secure() {
            return Err(RedirectError::NotEncrypted);
        }
        let left_server = self.left_server || !is_same_server(url, &next);
        // A server without TLS sees no certificate. Once the client has left the first server, another server has
        // chosen all further URLs. So no later server with TLS may see the certificate, not even the first server.
        if left_server && self.client_certificate && next.secure() {
            return Err(RedirectError::ClientCertificate);
        }
        if left_server && self.subprotocols {
            return Err(RedirectError::Subprotocols);
        }
        if self.followed >= self.max {
            return Err(RedirectError::TooMany { max: self.max });
        }
        self.followed += 1;
        self.left_server = left_server;
        let scheme = if next.secure() { "wss" } else { "ws" };
        Ok(Some(format!("{scheme}://{}{}", next.authority(), next.target())))
    }

    /// Returns whether one of the followed redirects has led to another server.
    #[must_use]
    pub const fn has_left_server(&self) -> bool {
        self.left_server
    }

    /// Returns whether a header that the application has added may be in the next request.
    ///
    /// All headers may be sent until a redirect leads to another server. From this redirect on, only these headers may
    /// be sent, which contain no credentials: `Accept`, `Accept-Encoding`, `Accept-Language`, `Cache-Control`, `Pragma`
    /// and `User-Agent` (RFC 9110 section 15.4).
    #[must_use]
    pub fn may_send(&self, name: &str) -> bool {
        const HARMLESS: [&str; 6] =
            ["Accept", "Accept-Encoding", "Accept-Language", "Cache-Control", "Pragma", "User-Agent"];
        !self.left_server || HARMLESS.iter().any(|harmless| harmless.eq_ignore_ascii_case(name))
    }
}

/// Returns whether headers for the server of `from` may be sent to the server of `to`.
fn is_same_server(from: &WsUrl<'_>, to: &WsUrl<'_>) -> bool {
    let unchanged = (from.secure(), from.port()) == (to.secure(), to.port());
    // The headers were sent to port 80 of this host without encryption. An attacker who can change the redirect could
    // already see these headers.
    let now_encrypted = !from.secure() && from.port() == 80 && to.secure() && to.port() == 443;
    from.host().eq_ignore_ascii_case(to.host()) && (unchanged || now_encrypted)
}
