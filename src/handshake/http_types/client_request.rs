//! Converts an `http::Request` to a [`ClientRequest`].
//!
//! The handshake writes some headers itself, so [`HttpClientRequest`] sorts the headers of the `http::Request`:
//!
//! - Subprotocols and the origin become settings of the [`ClientRequest`].
//! - A header that the handshake writes itself is left out if its value agrees with the value that the handshake
//!   writes. Otherwise the request is refused. A key is always left out.
//! - All other headers are sent unchanged, in their order, also if they are repeated.
//!
//! Invariant: an [`HttpClientRequest`] exists only for a request that `ClientRequest::check` accepts.

use core::fmt;

use alloc::vec::Vec;

use ::http::{Method, Request, Version};

use super::super::client_request::{ClientRequest, RequestError, Subprotocols};
use super::super::text::{is_target_byte, list_elements};
use super::super::url::{UrlError, WsUrl, is_secure};
use super::super::write::{HeaderError, HeaderName};

/// The parts of an `http::Request` that a client's handshake needs.
///
/// | header of the request | effect |
/// | --- | --- |
/// | `Sec-WebSocket-Protocol` | the subprotocols to offer |
/// | `Origin` | the origin |
/// | `Host`, `Connection`, `Upgrade`, `Sec-WebSocket-Version` | none: the handshake writes these headers itself; a different value is an error |
/// | `Sec-WebSocket-Key` | none: each handshake has a fresh key |
/// | `Sec-WebSocket-Extensions`, other names that begin with `Sec-WebSocket-`, `Content-Length`, `Transfer-Encoding` | an error |
/// | any other header | sent unchanged; repeated headers keep their order |
///
/// So a request that was built for tungstenite, with a key and all headers of the handshake, works unchanged.
///
/// The names of headers are sent in lower case, as the crate `http` stores them. `Debug` output shows the origin, but
/// not the values of other headers.
///
/// ```
/// use hybi::handshake::{ClientHandshake, HeadLimits, HttpClientRequest};
///
/// let request = http::Request::get("ws://example.com/chat")
///     .header("Authorization", "Bearer 7f3a")
///     .header("Sec-WebSocket-Protocol", "chat.v2, chat.v1")
///     .body(())?;
/// let request = HttpClientRequest::try_from(&request)?;
/// assert_eq!(request.subprotocols(), ["chat.v2", "chat.v1"]);
/// assert_eq!(request.headers(), [("authorization", "Bearer 7f3a")]);
///
/// let nonce = *b"the sample nonce"; // 16 random bytes, fresh for each connection
/// let handshake = ClientHandshake::new(request.client_request(), nonce, HeadLimits::new())?;
/// assert!(handshake.to_vec().starts_with(b"GET /chat HTTP/1.1\r\nHost: example.com\r\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct HttpClientRequest<'r> {
    url: WsUrl<'r>,
    origin: Option<&'r str>,
    subprotocols: Vec<&'r str>,
    headers: HeaderList<'r>,
}

impl fmt::Debug for HttpClientRequest<'_> {
    /// Shows the number of subprotocols, and only the names of headers, because subprotocols and values can be
    /// credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClientRequest")
            .field("url", &self.url)
            .field("origin", &self.origin)
            .field("subprotocols", &Subprotocols(&self.subprotocols))
            .field("headers", &self.headers)
            .finish()
    }
}

/// The headers to send.
#[derive(Clone)]
struct HeaderList<'r>(Vec<(&'r str, &'r str)>);

impl fmt::Debug for HeaderList<'_> {
    /// Shows only names, because values can be cookies and credentials, which must not appear in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl<'r> HttpClientRequest<'r> {
    /// Returns the URL.
    #[must_use]
    pub const fn url(&self) -> WsUrl<'r> {
        self.url
    }

    /// Returns the value of `Origin`.
    #[must_use]
    pub const fn origin(&self) -> Option<&'r str> {
        self.origin
    }

    /// Returns the subprotocols to offer, in order of preference.
    #[must_use]
    pub fn subprotocols(&self) -> &[&'r str] {
        &self.subprotocols
    }

    /// Returns the headers to send in addition to those of the handshake, each a name and a value.
    #[must_use]
    pub fn headers(&self) -> &[(&'r str, &'r str)] {
        &self.headers.0
    }

    /// Returns the request for [`ClientHandshake::new`](crate::handshake::ClientHandshake::new).
    #[must_use]
    pub fn client_request(&self) -> ClientRequest<'_> {
        ClientRequest::from_url(&self.url)
            .origin(self.origin)
            .subprotocols(&self.subprotocols)
            .headers(&self.headers.0)
    }

    /// Adds a header of the `http::Request`. `name` is in lower case.
    fn add(&mut self, name: &'r str, value: &'r str) -> Result<(), HttpRequestError> {
        let written_by_handshake = match name {
            "host" => self.is_host(value),
            "connection" => is_upgrade(value),
            "upgrade" => value.eq_ignore_ascii_case("websocket"),
            "sec-websocket-version" => value == "13",
            "sec-websocket-key" => true,
            "origin" => {
                return match self.origin.replace(value) {
                    None => Ok(()),
                    Some(_) => Err(HttpRequestError::OriginRepeated),
                };
            }
            "sec-websocket-protocol" => {
                let offers =
                    list_elements(value.as_bytes()).filter_map(|offer| core::str::from_utf8(offer).ok());
                self.subprotocols.extend(offers);
                return Ok(());
            }
            _ => {
                self.headers.0.push((name, value));
                return Ok(());
            }
        };
        match written_by_handshake {
            true => Ok(()),
            false => Err(HeaderError::Reserved(HeaderName::new(name)).into()),
        }
    }

    /// Returns whether `value` is the host of the URL, with or without the default port.
    fn is_host(&self, value: &str) -> bool {
        WsUrl::from_parts(self.url.secure(), value, "")
            .is_ok_and(|host| host.authority().eq_ignore_ascii_case(self.url.authority()))
    }
}

/// Returns whether the value of `Connection` has the option "upgrade", and no other option than "keep-alive". HTTP/1.1
/// connections are kept alive without the option "keep-alive", and the handshake does not send it.
fn is_upgrade(connection: &str) -> bool {
    let is = |option: &[u8], name: &str| option.eq_ignore_ascii_case(name.as_bytes());
    let mut options = list_elements(connection.as_bytes());
    options.clone().any(|option| is(option, "upgrade"))
        && options.all(|option| is(option, "upgrade") || is(option, "keep-alive"))
}

impl<'r, B> TryFrom<&'r Request<B>> for HttpClientRequest<'r> {
    type Error = HttpRequestError;

    /// Checks a request. Its body is ignored.
    ///
    /// # Errors
    ///
    /// - [`HttpRequestError::Method`]: the method is not GET.
    /// - [`HttpRequestError::Version`]: the version is not HTTP/1.1.
    /// - [`HttpRequestError::NotAbsolute`]: the URI has no scheme or no host.
    /// - [`HttpRequestError::Url`]: the URI is not a WebSocket URL.
    /// - [`HttpRequestError::NotUtf8`]: the value of a header is not UTF-8.
    /// - [`HttpRequestError::OriginRepeated`]: there is more than one `Origin`.
    /// - [`HttpRequestError::Request`]: a header, a subprotocol or the origin cannot be sent, or a header differs from
    ///   the header that the handshake writes.
    fn try_from(request: &'r Request<B>) -> Result<Self, HttpRequestError> {
        // RFC 6455 4.1 (2): the method is GET, and the version at least 1.1. RFC 8441 has other rules for HTTP/2.
        if request.method() != Method::GET {
            return Err(HttpRequestError::Method);
        }
        if request.version() != Version::HTTP_11 {
            return Err(HttpRequestError::Version);
        }
        let mut converted = Self {
            url: url_of(request.uri())?,
            origin: None,
            subprotocols: Vec::new(),
            headers: HeaderList(Vec::with_capacity(request.headers().len())),
        };
        for (name, value) in request.headers() {
            let name = name.as_str();
            let value = core::str::from_utf8(value.as_bytes())
                .map_err(|_| HttpRequestError::NotUtf8(HeaderName::new(name)))?;
            converted.add(name, value)?;
        }
        converted.client_request().check()?;
        Ok(converted)
    }
}

/// Creates a WebSocket URL from the parts of `uri`.
fn url_of(uri: &::http::Uri) -> Result<WsUrl<'_>, HttpRequestError> {
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(HttpRequestError::NotAbsolute);
    };
    let secure = is_secure(scheme).ok_or(UrlError::Scheme)?;
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    if !target.bytes().all(is_target_byte) {
        return Err(UrlError::Character.into());
    }
    Ok(WsUrl::from_parts(secure, authority.as_str(), target)?)
}

/// The reason why a client cannot send an `http::Request`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HttpRequestError {
    /// The method is not GET (RFC 6455 section 4.1 (2)).
    Method,
    /// The version is not HTTP/1.1.
    Version,
    /// The URI has no scheme or no host.
    NotAbsolute,
    /// The URI is not a WebSocket URL.
    Url(UrlError),
    /// `Origin` appears more than once (RFC 6454 section 7.3).
    OriginRepeated,
    /// The value of a header is not UTF-8.
    NotUtf8(HeaderName),
    /// A header, a subprotocol or the origin cannot be sent. A header for which the handshake writes another value is a
    /// [`HeaderError::Reserved`].
    Request(RequestError),
}

impl fmt::Display for HttpRequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Url(error) => return error.fmt(f),
            Self::Request(error) => return error.fmt(f),
            Self::NotUtf8(name) => {
                return write!(
                    f,
                    "the value of the header {name:?} is not UTF-8 (RFC 9110 5.5): percent-encode it, or write it in \
                     base64"
                );
            }
            Self::Method => "the method of the request is not GET (RFC 6455 4.1 (2)): create it with `Request::get`",
            Self::Version => {
                "the version of the request is not HTTP/1.1 (RFC 6455 4.1 (2)): leave it at its default"
            }
            Self::NotAbsolute => {
                "the URI of the request has no scheme or no host (RFC 6455 3): write ws://host:port/path"
            }
            Self::OriginRepeated => "the request has more than one Origin (RFC 6454 7.3): leave one",
        })
    }
}

impl core::error::Error for HttpRequestError {
    /// Returns the inner error, which [`Display`](fmt::Display) shows as well.
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Url(error) => Some(error),
            Self::Request(error) => Some(error),
            _ => None,
        }
    }
}

impl From<UrlError> for HttpRequestError {
    fn from(error: UrlError) -> Self {
        Self::Url(error)
    }
}

impl From<RequestError> for HttpRequestError {
    fn from(error: RequestError) -> Self {
        Self::Request(error)
    }
}

impl From<HeaderError> for HttpRequestError {
    fn from(error: HeaderError) -> Self {
        Self::Request(error.into())
    }
}
