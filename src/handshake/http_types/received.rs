//! Converts received heads to the types of the crate `http`, and an `http::Request` to a [`RequestHead`].
//!
//! The crate `http` accepts each header that this crate accepts, within two limits. A `HeaderMap` has space for at
//! least 24,576 headers, and the name of a header has at most 65,535 bytes. Received heads are below both limits,
//! except if the application has raised [`HeadLimits::max_head`](crate::handshake::HeadLimits::max_head).
//!
//! Invariant: no conversion panics. `HeaderMap::append` panics if the map is full, so this file uses `try_append`.

use ::http::{
    Error, HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
};

use super::super::head::Headers;
use super::super::info::HandshakeInfo;
use super::super::reply::{HttpReply, Opened};
use super::super::request_head::RequestHead;
use super::super::write::HeaderError;

impl Headers<'_> {
    /// Returns the headers as a map. Repeated headers keep their order.
    ///
    /// Headers beyond the limits of the crate `http` are left out. These are headers whose name has more than 65,535
    /// bytes, and headers for which the map has no space. The map has space for at least 24,576 headers.
    ///
    /// ```
    /// use hybi::handshake::Headers;
    ///
    /// let headers = Headers::from_lines(b"Set-Cookie: a=1\r\nServer: s\r\nset-cookie: b=2\r\n").to_header_map();
    /// assert_eq!(headers["server"], "s");
    /// assert!(headers.get_all("Set-Cookie").iter().eq(["a=1", "b=2"]));
    /// ```
    #[must_use]
    pub fn to_header_map(&self) -> HeaderMap {
        let mut map = HeaderMap::new();
        for header in self {
            let name = HeaderName::from_bytes(header.name.as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(header.value)) {
                if map.try_append(name, value).is_err() {
                    break;
                }
            }
        }
        map
    }
}

/// Returns a response without a body.
fn response(status: StatusCode, version: Version, headers: Headers<'_>) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.version_mut() = version;
    *response.headers_mut() = headers.to_header_map();
    response
}

impl Opened<'_> {
    /// Returns the response that opened the connection: its status is 101.
    #[must_use]
    pub fn to_http_response(&self) -> Response<()> {
        response(StatusCode::SWITCHING_PROTOCOLS, Version::HTTP_11, self.headers())
    }
}

impl HttpReply<'_> {
    /// Returns the head of the response. The reason phrase is left out, because `http::Response` has none.
    ///
    /// ```
    /// use hybi::handshake::{ClientHandshake, ClientRequest, HeadLimits, Reply};
    ///
    /// let request = ClientRequest::new("example.com", "/");
    /// let mut handshake = ClientHandshake::new(request, [7; 16], HeadLimits::new())?;
    /// let reply = handshake.poll(b"HTTP/1.0 302 Found\r\nLocation: /login\r\n\r\n")?;
    /// let Some(Reply::Http(response)) = reply else { panic!("not open") };
    /// let response = response.to_http_response();
    /// assert_eq!((response.status(), response.version()), (http::StatusCode::FOUND, http::Version::HTTP_10));
    /// assert_eq!(response.headers()["location"], "/login");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn to_http_response(&self) -> Response<()> {
        // The status of a response is 200 to 999, so `from_u16` accepts it.
        let status = StatusCode::from_u16(self.status()).unwrap_or(StatusCode::BAD_GATEWAY);
        let version = if self.minor_version() == 0 { Version::HTTP_10 } else { Version::HTTP_11 };
        response(status, version, self.headers())
    }
}

impl HandshakeInfo {
    /// Returns the response that opened the connection of a client. Its status is 101.
    ///
    /// Returns `None` on a server, because a server keeps the headers of the request instead. Also returns `None` after
    /// [`forget_headers`](Self::forget_headers). The method recognizes the response by its header
    /// `Sec-WebSocket-Accept` (RFC 6455 section 4.2.2 (5)).
    ///
    /// ```
    /// use hybi::handshake::{HandshakeInfo, Headers};
    ///
    /// let headers = Headers::from_lines(b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nX-Region: eu\r\n");
    /// let response = HandshakeInfo::new("/chat", None, headers).to_http_response().ok_or("no response")?;
    /// assert_eq!(response.status(), http::StatusCode::SWITCHING_PROTOCOLS);
    /// assert_eq!(response.headers()["x-region"], "eu");
    ///
    /// let request = Headers::from_lines(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
    /// assert!(HandshakeInfo::new("/chat", None, request).to_http_response().is_none());
    /// # Ok::<(), &str>(())
    /// ```
    #[must_use]
    pub fn to_http_response(&self) -> Option<Response<()>> {
        let _accept = self.headers().get("sec-websocket-accept")?;
        Some(response(StatusCode::SWITCHING_PROTOCOLS, Version::HTTP_11, self.headers()))
    }
}

impl RequestHead {
    /// Returns the request as an `http::Request`. Its version is HTTP/1.1.
    ///
    /// # Errors
    ///
    /// [`http::Error`]: the crate `http` does not accept the method or the target. It refuses targets of more than
    /// 65,534 bytes, and targets with some characters, for example `<`.
    ///
    /// ```
    /// use hybi::handshake::RequestHead;
    ///
    /// let mut head = RequestHead::new("GET", "/chat?room=1");
    /// head.add_header("Host", b"example.com")?;
    /// let request = head.to_http_request()?;
    /// assert_eq!((request.uri().path(), request.uri().query()), ("/chat", Some("room=1")));
    /// assert_eq!(request.headers()["host"], "example.com");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_http_request(&self) -> Result<Request<()>, Error> {
        let mut request = Request::new(());
        *request.method_mut() = Method::from_bytes(self.method().as_bytes())?;
        *request.uri_mut() = Uri::try_from(self.target())?;
        *request.headers_mut() = self.headers().to_header_map();
        Ok(request)
    }
}

impl<B> TryFrom<&Request<B>> for RequestHead {
    type Error = HeaderError;

    /// Copies the method, the URI and the headers of a request that another HTTP library has received. The body and the
    /// version are not used.
    ///
    /// # Errors
    ///
    /// [`HeaderError::Name`], [`HeaderError::Value`]: a header is not valid in HTTP/1.1. The crate `http` already
    /// refuses such headers.
    ///
    /// ```
    /// use hybi::handshake::RequestHead;
    ///
    /// let request = http::Request::get("/chat?room=1").header("Host", "example.com").body(())?;
    /// let head = RequestHead::try_from(&request)?;
    /// assert_eq!((head.path(), head.query(), head.host()), ("/chat", Some("room=1"), Some("example.com")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn try_from(request: &Request<B>) -> Result<Self, HeaderError> {
        let mut head = Self::new(request.method().as_str(), &alloc::format!("{}", request.uri()));
        for (name, value) in request.headers() {
            head.add_header(name.as_str(), value.as_bytes())?;
        }
        Ok(head)
    }
}
