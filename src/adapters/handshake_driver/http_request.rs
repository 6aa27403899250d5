//! Clients that take an `http::Request`, and responses as `http::Response`: feature `http`.
//!
//! [`HttpClientRequest`] checks the headers of a request, and separates the origin and the subprotocols from the other
//! headers. This file copies the result into the settings of a client.
//!
//! Invariant: a setting of the request replaces the setting of the client. So a header that both have is sent once.

use std::prelude::v1::*;

use ::http::{Request, Response, StatusCode, Version};

use super::AddedHeaders;
use super::client::Client;
use super::connect_error::ReceivedResponse;
use crate::handshake::{HttpClientRequest, HttpRequestError};

/// The settings in an `http::Request`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct RequestSettings {
    pub(super) url: String,
    origin: Option<String>,
    subprotocols: Vec<String>,
    headers: AddedHeaders,
}

impl<B> TryFrom<&Request<B>> for RequestSettings {
    type Error = HttpRequestError;

    fn try_from(request: &Request<B>) -> Result<Self, HttpRequestError> {
        let parts = HttpClientRequest::try_from(request)?;
        let mut headers = AddedHeaders::default();
        for (name, value) in parts.headers() {
            headers.add(*name, *value);
        }
        Ok(Self {
            url: request.uri().to_string(),
            origin: parts.origin().map(Into::into),
            subprotocols: parts.subprotocols().iter().copied().map(Into::into).collect(),
            headers,
        })
    }
}

impl<R> Client<R> {
    /// Returns this client with the settings of a request.
    pub(super) fn with_settings(mut self, settings: RequestSettings) -> Self {
        let RequestSettings { origin, subprotocols, headers, .. } = settings;
        self.keep_headers(|own| !headers.0.iter().any(|(name, _)| name.eq_ignore_ascii_case(own)));
        if let Some(origin) = origin {
            self = self.origin(origin);
        }
        if !subprotocols.is_empty() {
            self = self.subprotocols(subprotocols);
        }
        headers.0.into_iter().fold(self, |client, (name, value)| client.header(name, value))
    }
}

impl<R: Clone> Client<R> {
    /// Returns this client with the headers of `request`, and the URL of `request`. Pass both to a method that opens a
    /// WebSocket over a stream. The methods `connect_request` of the adapters do the same and connect.
    ///
    /// The body of the request is ignored. A header of the request replaces headers of the client with the same
    /// name. If the request has subprotocols or an origin, they replace those of the client.
    /// [`HttpClientRequest`] lists the headers that the handshake writes itself.
    ///
    /// # Errors
    ///
    /// - [`HttpRequestError::Method`]: the method is not GET.
    /// - [`HttpRequestError::Version`]: the version is not HTTP/1.1.
    /// - [`HttpRequestError::NotAbsolute`]: the URI has no scheme or no host.
    /// - [`HttpRequestError::Url`]: the URI is not a WebSocket URL.
    /// - [`HttpRequestError::NotUtf8`]: the value of a header is not UTF-8.
    /// - [`HttpRequestError::OriginRepeated`]: there is more than one `Origin`.
    /// - [`HttpRequestError::Request`]: a header, a subprotocol or the origin cannot be sent, or a header has another
    ///   value than the one that the handshake writes.
    #[cfg_attr(docsrs, doc(cfg(feature = "http")))]
    pub fn with_request<B>(&self, request: &Request<B>) -> Result<(Self, String), HttpRequestError> {
        let mut settings = RequestSettings::try_from(request)?;
        let url = core::mem::take(&mut settings.url);
        Ok((self.clone().with_settings(settings), url))
    }
}

impl<S> ReceivedResponse<S> {
    /// Returns the response, with the part of its body that was read together with the head. The rest can be read from
    /// [`stream`](Self::stream).
    ///
    /// The reason phrase is left out, because `http::Response` has none.
    #[cfg_attr(docsrs, doc(cfg(feature = "http")))]
    #[must_use]
    pub fn to_http_response(&self) -> Response<Vec<u8>> {
        let mut response = Response::new(self.body().to_vec());
        // A received status has three digits, the first of which is not 0.
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_GATEWAY);
        if self.head().starts_with(b"HTTP/1.0") {
            *response.version_mut() = Version::HTTP_10;
        }
        *response.headers_mut() = self.headers().to_header_map();
        response
    }
}
