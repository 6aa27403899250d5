//! The parts of a client's request (RFC 6455 section 4.1), and the error for a request that cannot be sent.
//!
//! [`ClientRequest`] is a builder that borrows the parts. `ClientRequest::check` decides whether they can be sent, and
//! a `ClientHandshake` exists only for a request that passed this check. `ClientHandshake::write` in `client` writes
//! the request.

use core::fmt;

use crate::kernel::ascii;

use super::extensions::{Extension, ExtensionIter, Extensions};
use super::permessage_deflate::{DeflateOffer, DeflateParams};
use super::text::{TargetText, is_target_byte, is_token};
use super::url::{WsUrl, split_authority};
use super::write::{ExtraHeaders, HeaderError, NoSpace, check_headers};

/// The parts of a client's request.
///
/// ```
/// use hybi::handshake::{ClientHandshake, ClientRequest, DeflateOffer, HeadLimits, WsUrl};
///
/// let url = WsUrl::parse("ws://example.com?room=1")?;
/// let request = ClientRequest::from_url(&url)
///     .origin("http://example.com")
///     .subprotocols(&["chat.v2", "chat.v1"])
///     .deflate(DeflateOffer::default())
///     .headers(&[("User-Agent", "hybi")]);
/// // 16 bytes that nobody can guess, fresh for each connection
/// let handshake = ClientHandshake::new(request, *b"the sample nonce", HeadLimits::new())?;
/// let mut out = [0; 512];
/// let len = handshake.write(&mut out)?;
/// assert_eq!(
///     core::str::from_utf8(&out[..len])?,
///     "GET /?room=1 HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
///      Origin: http://example.com\r\nSec-WebSocket-Version: 13\r\n\
///      Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
///      Sec-WebSocket-Protocol: chat.v2, chat.v1\r\n\
///      Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\
///      User-Agent: hybi\r\n\r\n",
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ClientRequest<'a> {
    pub(super) host: &'a str,
    pub(super) target: TargetText<'a>,
    pub(super) origin: Option<&'a str>,
    pub(super) subprotocols: Subprotocols<'a>,
    pub(super) deflate: Option<DeflateOffer>,
    pub(super) extensions: Option<&'a str>,
    pub(super) headers: ExtraHeaders<'a>,
}

/// The subprotocols of a request.
#[derive(Clone, Copy)]
pub(super) struct Subprotocols<'a>(pub(super) &'a [&'a str]);

impl fmt::Debug for Subprotocols<'_> {
    /// Shows only the number of subprotocols, because a subprotocol can be a credential, which must not appear in a
    /// log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subprotocols").field("len", &self.0.len()).finish_non_exhaustive()
    }
}

impl<'a> ClientRequest<'a> {
    /// Returns a request to `host` for `target`.
    ///
    /// `host` has the form `host`, or `host:port` if the port is not the default. [`WsUrl::authority`] returns
    /// this form. `target` is the path and the query. An empty target means "/".
    #[must_use]
    pub const fn new(host: &'a str, target: &'a str) -> Self {
        Self {
            host,
            target: TargetText(target),
            origin: None,
            subprotocols: Subprotocols(&[]),
            deflate: None,
            extensions: None,
            headers: ExtraHeaders(&[]),
        }
    }

    /// Returns a request to the host of `url`, for the target of `url`.
    #[must_use]
    pub const fn from_url(url: &WsUrl<'a>) -> Self {
        Self::new(url.authority(), url.target())
    }

    /// Sets the `Origin` header. Browsers must send it, and other clients may (RFC 6455 section 4.1 (8)).
    #[must_use]
    pub fn origin(mut self, origin: impl Into<Option<&'a str>>) -> Self {
        self.origin = origin.into();
        self
    }

    /// Sets the subprotocols to offer, in order of preference. Each name must be a token and appear once.
    #[must_use]
    pub const fn subprotocols(mut self, subprotocols: &'a [&'a str]) -> Self {
        self.subprotocols = Subprotocols(subprotocols);
        self
    }

    /// Sets the offer of permessage-deflate, which is sent before the other extensions. `None` removes the offer.
    #[must_use]
    pub fn deflate(mut self, offer: impl Into<Option<DeflateOffer>>) -> Self {
        self.deflate = offer.into();
        self
    }

    /// Sets further extensions to offer, as the text of the `Sec-WebSocket-Extensions` header. The text may
    /// contain more offers of permessage-deflate.
    #[must_use]
    pub fn extensions(mut self, extensions: impl Into<Option<&'a str>>) -> Self {
        self.extensions = extensions.into();
        self
    }

    /// Sets additional headers, each a name and a value.
    ///
    /// The handshake refuses the headers that it writes itself, and those that announce a body: `Host`,
    /// `Origin`, `Connection`, `Upgrade`, `Content-Length`, `Transfer-Encoding`, and names that begin with
    /// `Sec-WebSocket-`.
    #[must_use]
    pub const fn headers(mut self, headers: &'a [(&'a str, &'a str)]) -> Self {
        self.headers = ExtraHeaders(headers);
        self
    }

    /// Returns the target: path and query. If the target is empty or begins with "?", a "/" is sent before it.
    #[must_use]
    pub const fn target(&self) -> &'a str {
        self.target.0
    }

    /// Returns the offered subprotocols.
    pub(crate) const fn offered_subprotocols(&self) -> &'a [&'a str] {
        self.subprotocols.0
    }

    /// Returns the offer that [`deflate`](Self::deflate) has set.
    pub(crate) const fn offered_deflate(&self) -> Option<DeflateOffer> {
        self.deflate
    }

    /// Returns the extensions that [`extensions`](Self::extensions) has set.
    pub(crate) fn offered_extensions(&self) -> impl Iterator<Item = Extension<'a>> + Clone + use<'a> {
        let text = self.extensions.and_then(|text| Extensions::parse(text.as_bytes()).ok());
        text.map(|extensions| -> ExtensionIter<'a> { extensions.iter() }).into_iter().flatten()
    }

    /// Checks that every part can be sent.
    pub(super) fn check(&self) -> Result<(), RequestError> {
        // RFC 6455 4.1 (4): `Host` is a host with an optional port.
        split_authority(self.host).map_err(|_| RequestError::Host)?;
        // RFC 6455 3 and 4.1 (3): the target has no fragment. Only a request to a proxy has an absolute URI.
        let TargetText(target) = self.target;
        if !(target.is_empty() || target.starts_with(['/', '?'])) || !target.bytes().all(is_target_byte) {
            return Err(RequestError::Target);
        }
        let visible = |text: &str| !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'!'..=b'~'));
        if self.origin.is_some_and(|origin| !visible(origin)) {
            return Err(RequestError::Origin);
        }
        // RFC 6455 4.1 (10): subprotocols are tokens and unique.
        let mut rest = self.subprotocols.0;
        while let [subprotocol, others @ ..] = rest {
            if !is_token(subprotocol.as_bytes()) {
                return Err(RequestError::Subprotocol);
            }
            if others.contains(subprotocol) {
                return Err(RequestError::SubprotocolRepeated);
            }
            rest = others;
        }
        if let Some(text) = self.extensions {
            // RFC 6455 9.1: the grammar of extensions.
            ascii(text.as_bytes()).ok_or(RequestError::Extensions)?;
            Extensions::parse(text.as_bytes()).map_err(|_| RequestError::Extensions)?;
        }
        if let Some(offer) = self.deflate {
            let mut text = [0; DeflateParams::MAX_LEN];
            let len = offer.write(&mut text)?;
            // RFC 7692 7.1.2: window bits are 8 to 15. The caller may have set other numbers in the public fields of
            // the offer. Parse the text of the offer, because the parser refuses such numbers.
            let valid = Extensions::parse(text.get(..len).unwrap_or_default())
                .is_ok_and(|list| list.iter().all(|one| DeflateOffer::from_extension(&one).is_some()));
            if !valid {
                return Err(RequestError::Extensions);
            }
        }
        Ok(check_headers(self.headers, &["Host", "Origin"])?)
    }
}

/// The reason why a client's request cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestError {
    /// The output buffer is too small.
    NoSpace(NoSpace),
    /// The host is not `host` or `host:port` (RFC 6455 section 4.1 (4)).
    Host,
    /// The target is not a path with an optional query (RFC 6455 section 4.1 (3)).
    Target,
    /// The origin is empty or has a character that no origin contains (RFC 6454 section 6.2).
    Origin,
    /// A subprotocol is empty or not a token (RFC 6455 section 4.1 (10)).
    Subprotocol,
    /// A subprotocol is offered twice (RFC 6455 section 4.1 (10)).
    SubprotocolRepeated,
    /// The extensions do not match the grammar (RFC 6455 section 9.1), or window bits are not 8 to 15 (RFC
    /// 7692 section 7.1.2).
    Extensions,
    /// An additional header cannot be sent.
    Header(HeaderError),
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSpace(error) => return error.fmt(f),
            Self::Header(error) => return error.fmt(f),
            Self::Host => {
                "the host is invalid (RFC 6455 4.1 (4)): pass WsUrl::authority, `host` or `host:port`, and write a \
                 name that is not ASCII in its xn-- form"
            }
            Self::Target => {
                "the target is invalid (RFC 6455 4.1 (3)): pass `/path?query`, percent-encoded, without a fragment"
            }
            Self::Origin => "the origin is invalid (RFC 6454 6.2): pass `scheme://host:port` or `null`",
            Self::Subprotocol => {
                "a subprotocol is not a token (RFC 6455 4.1 (10)): use letters, digits, `.` and `-`"
            }
            Self::SubprotocolRepeated => "a subprotocol is offered twice (RFC 6455 4.1 (10)): offer it once",
            Self::Extensions => {
                "the extensions are malformed (RFC 6455 9.1, RFC 7692 7.1): write `name; param=token`, with \
                 window bits from 8 to 15"
            }
        })
    }
}

impl core::error::Error for RequestError {
    /// Returns the inner error, which [`Display`](fmt::Display) shows as well.
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::NoSpace(error) => Some(error),
            Self::Header(error) => Some(error),
            _ => None,
        }
    }
}

impl From<NoSpace> for RequestError {
    fn from(error: NoSpace) -> Self {
        Self::NoSpace(error)
    }
}

impl From<HeaderError> for RequestError {
    fn from(error: HeaderError) -> Self {
        Self::Header(error)
    }
}

/// Returns all offered extensions as one list: first the offer of [`ClientRequest::deflate`], then the
/// extensions of [`ClientRequest::extensions`].
///
/// `deflate_offer` is the text of the offer of [`ClientRequest::deflate`]. It is empty if there is no such offer.
pub(crate) fn all_offered_extensions<'t>(
    request: &ClientRequest<'t>,
    deflate_offer: &'t [u8],
) -> impl Iterator<Item = Extension<'t>> + Clone + use<'t> {
    let deflate = Extensions::parse(deflate_offer).ok().map(|list| -> ExtensionIter<'t> { list.iter() });
    deflate.into_iter().flatten().chain(request.offered_extensions())
}
