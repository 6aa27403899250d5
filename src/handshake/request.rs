//! A request to open a WebSocket connection, as the application sees it.
//!
//! [`Request`] is a view of a received head: target, host, origin, subprotocols, extensions, headers. This file also
//! splits request targets and checks origins. `incoming` checks the rules of RFC 6455 section 4.2.1, and `scan` checks
//! the syntax of the head.
//!
//! Invariant: a [`Request`] exists only if the head obeys every rule of section 4.2.1.

use core::fmt;

use crate::kernel::ascii;

use super::deflate_config::DeflateConfig;
use super::extensions::Extensions;
use super::head::{HeaderLines, Headers};
use super::permessage_deflate::{DeflateParams, choose_offer};
use super::reason::Reason;
use super::rejection::Rejection;
use super::text::{TargetText, list_elements, split_once};
use super::url::{split_authority, split_scheme, split_target};

/// The name of the header with the offered subprotocols.
pub(super) const SUBPROTOCOLS: &str = "Sec-WebSocket-Protocol";

/// A request to open a WebSocket connection. The request obeys all rules of RFC 6455 section 4.2.1.
///
/// ```
/// use hybi::handshake::{Incoming, HeadLimits, Reason, ServerHandshake};
///
/// let head = b"GET /chat?room=1 HTTP/1.1\r\nHost: a:9000\r\nOrigin: https://evil.example\r\n\
///     Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
///     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: v2, v1\r\n\r\n";
/// let Ok(Some(Incoming::Upgrade(request))) = ServerHandshake::new(HeadLimits::new()).poll(head) else {
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
    pub(super) target: Target<'h>,
    pub(super) host: &'h str,
    pub(super) origin: Option<&'h str>,
    pub(super) key: &'h [u8],
    pub(super) headers: Headers<'h>,
    pub(super) subprotocols: HeaderLines<'h>,
    pub(super) extensions: Extensions<'h>,
    pub(super) head_len: usize,
}

impl<'h> Request<'h> {
    /// The maximum number of subprotocols in a request. A request with more subprotocols is rejected, because
    /// the search for a repeated name needs memory for all names.
    pub const MAX_SUBPROTOCOLS: usize = 512;

    /// Returns the request target as sent: path and query, or an absolute URI (RFC 9112 section 3.2).
    #[must_use]
    pub const fn target(&self) -> &'h str {
        self.target.whole
    }

    /// Returns the path without decoding it. If the target is an absolute URI without a path, the result is "/".
    #[must_use]
    pub const fn path(&self) -> &'h str {
        self.target.path
    }

    /// Returns the query, without the "?" and without decoding it, or `None` if there is no "?".
    #[must_use]
    pub const fn query(&self) -> Option<&'h str> {
        self.target.query
    }

    /// Returns the requested host, with its port if the request names one.
    ///
    /// The authority of an absolute target takes precedence over `Host` (RFC 9112 section 3.2.2).
    #[must_use]
    pub const fn host(&self) -> &'h str {
        match self.target.authority {
            Some(authority) => authority,
            None => self.host,
        }
    }

    /// Returns the origin of the page that opens the connection.
    ///
    /// Browsers always send an origin. A client without an origin is not a browser (RFC 6455 section 4.2.1 (7)).
    #[must_use]
    pub const fn origin(&self) -> Option<&'h str> {
        self.origin
    }

    /// Returns the `Sec-WebSocket-Key`, the base64 of 16 bytes.
    #[must_use]
    pub const fn key(&self) -> &'h [u8] {
        self.key
    }

    /// Returns the subprotocols that the client offers, in its order of preference.
    pub fn subprotocols(&self) -> impl Iterator<Item = &'h str> + Clone + use<'h> {
        offers(self.subprotocols).filter_map(ascii)
    }

    /// Returns whether the client offers `subprotocol`. Names are case-sensitive.
    #[must_use]
    pub fn offers_subprotocol(&self, subprotocol: &str) -> bool {
        self.subprotocols().any(|offer| offer == subprotocol)
    }

    /// Returns the first subprotocol in the client's list that is also in `supported`. The client's order of
    /// preference decides (RFC 6455 section 4.1 (10)).
    ///
    /// Returns `None` if there is no common subprotocol. The connection may still be accepted.
    #[must_use]
    pub fn select_subprotocol<'a>(&self, supported: &[&'a str]) -> Option<&'a str> {
        self.subprotocols().find_map(|offer| supported.iter().copied().find(|&name| name == offer))
    }

    /// Returns the extensions that the client offers, in its order of preference.
    #[must_use]
    pub const fn extensions(&self) -> Extensions<'h> {
        self.extensions
    }

    /// Returns the parameters that answer the first acceptable offer of permessage-deflate, or `None` if
    /// there is no such offer. Pass them to [`Response::deflate`](super::Response::deflate).
    #[must_use]
    pub fn negotiate_deflate(&self, config: &DeflateConfig) -> Option<DeflateParams> {
        choose_offer(self.extensions, config)
    }

    /// Returns all headers.
    #[must_use]
    pub const fn headers(&self) -> Headers<'h> {
        self.headers
    }

    /// Returns the length of the head in bytes. If the client sent an empty line before the request line (RFC 9112
    /// section 2.2), the length includes this line. The bytes after the head belong to the frame decoder (RFC 6455
    /// section 4.1).
    #[must_use]
    pub const fn head_len(&self) -> usize {
        self.head_len
    }

    /// Checks that the origin is in `allowed`, compared without regard to case. A client that sends no origin is
    /// allowed.
    ///
    /// This check is the defence against cross-site WebSocket hijacking (RFC 6455 section 10.2).
    ///
    /// # Errors
    ///
    /// [`Rejection`] with [`Reason::OriginNotAllowed`] (403) if the origin is not in `allowed`.
    pub fn check_origin(&self, allowed: &[&str]) -> Result<(), Rejection> {
        check_origin(self.origin, allowed)
    }
}

/// Checks that `origin` is in `allowed`, compared without regard to case. A client without an origin is allowed.
pub(super) fn check_origin(origin: Option<&str>, allowed: &[&str]) -> Result<(), Rejection> {
    match origin {
        Some(origin) if !allowed.iter().any(|one| one.eq_ignore_ascii_case(origin)) => {
            Err(Rejection::new(Reason::OriginNotAllowed))
        }
        _ => Ok(()),
    }
}

/// The parts of a request target.
#[derive(Clone, Copy)]
pub(super) struct Target<'h> {
    pub(super) whole: &'h str,
    pub(super) authority: Option<&'h str>,
    pub(super) path: &'h str,
    pub(super) query: Option<&'h str>,
}

impl fmt::Debug for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        TargetText(self.whole).fmt(f)
    }
}

impl<'h> Target<'h> {
    /// Splits a request target. Returns `None` if it is neither a path nor an absolute URI.
    pub(super) fn parse(whole: &'h str) -> Option<Self> {
        let (authority, rest) = if whole.starts_with('/') {
            (None, whole)
        } else {
            // RFC 6455 4.2.1 (1): the target may be an absolute HTTP or HTTPS URI. Some tutorials show a ws URI,
            // which is accepted too. A target of the asterisk form or the authority form belongs to a method other than
            // GET, and is refused (RFC 9112 3.2.3, 3.2.4).
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

/// Returns the offered subprotocols.
pub(super) fn offers(subprotocols: HeaderLines<'_>) -> impl Iterator<Item = &[u8]> + Clone {
    subprotocols.values(SUBPROTOCOLS).flat_map(list_elements)
}
