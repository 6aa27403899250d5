//! The builder [`Client`], which has the settings of a client.
//!
//! ```text
//!   Client ── request_for ──▶ ClientRequest ── connecting ──▶ Connecting ── finish ──▶ Opened or NotConnected
//! ```
//!
//! This file creates requests from the settings. The handshake is in `connecting.rs`.

use core::time::Duration;
use std::prelude::v1::*;

use super::AddedHeaders;
use crate::SharedConfig;
#[cfg(feature = "deflate")]
use crate::handshake::DeflateOffer;
#[cfg(any(feature = "net", feature = "tokio"))]
use crate::handshake::{ClientHandshake, RequestError};
use crate::handshake::{ClientRequest, HeadLimits, WsUrl};

/// The settings of a client's requests and connections. `R` is the runtime of the adapter: its clock and its streams.
///
/// The methods that connect depend on the adapter. They are documented at the adapter's alias of this type, for example
/// `net::Client`. The caller must follow two rules. Only one connection to a host may be connecting at a time (RFC 6455
/// section 4.1 (2)). Before a client reconnects after a failure, it should wait for a random time that grows with each
/// failure (section 7.2.3).
#[derive(Clone, Debug)]
pub struct Client<R> {
    runtime: R,
    pub(super) config: SharedConfig,
    pub(super) limits: HeadLimits,
    pub(in crate::adapters) connect_timeout: Option<Duration>,
    pub(super) handshake_timeout: Option<Duration>,
    origin: Option<String>,
    subprotocols: Vec<String>,
    headers: AddedHeaders,
    #[cfg(feature = "deflate")]
    deflate: Option<DeflateOffer>,
}

impl<R: Default> Default for Client<R> {
    fn default() -> Self {
        Self::with_runtime(R::default())
    }
}

impl<R> Client<R> {
    /// Creates a client with the defaults, for a runtime of the application.
    ///
    /// The runtime is a clock and a [`Transport`](crate::adapters::async_driver::Transport) for the application's own
    /// streams. Each connection gets a clone of `runtime`.
    #[must_use]
    pub fn with_runtime(runtime: R) -> Self {
        Self {
            runtime,
            config: SharedConfig::default(),
            limits: HeadLimits::new(),
            connect_timeout: Some(Duration::from_secs(10)),
            handshake_timeout: Some(Duration::from_secs(10)),
            origin: None,
            subprotocols: Vec::new(),
            headers: AddedHeaders::default(),
            #[cfg(feature = "deflate")]
            deflate: None,
        }
    }

    /// Returns the runtime.
    #[must_use]
    pub const fn runtime(&self) -> &R {
        &self.runtime
    }

    /// Sets the limits, timers and behaviour of the connections: a [`Config`](crate::Config) or a [`SharedConfig`].
    #[must_use]
    pub fn config(mut self, config: impl Into<SharedConfig>) -> Self {
        self.config = config.into();
        self
    }

    /// Sets the limits on the head of a response.
    #[must_use]
    pub fn head_limits(mut self, limits: HeadLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets how long the adapter may take to connect to each address of the host. With `None` the system limits this
    /// time.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets how long the handshake may take, from the request to the end of the response. `None` sets no limit.
    #[must_use]
    pub fn handshake_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// Sets the value of the `Origin` header, which browsers send (RFC 6455 section 4.1).
    #[must_use]
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.origin = Some(origin.into());
        self
    }

    /// Sets the subprotocols to offer, in order of preference (RFC 6455 section 1.9).
    #[must_use]
    pub fn subprotocols<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.subprotocols = names.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the offer of permessage-deflate (RFC 7692); `None` by default. If the server agrees, messages are
    /// compressed with the settings of [`Config::compression`](crate::Config::compression).
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(mut self, offer: impl Into<Option<DeflateOffer>>) -> Self {
        self.deflate = offer.into();
        self
    }

    /// Adds a header to the request. Debug output shows its name only.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.add(name, value);
        self
    }

    /// Returns the subprotocols to offer, as slices.
    pub(in crate::adapters) fn offered_subprotocols(&self) -> Vec<&str> {
        self.subprotocols.iter().map(String::as_str).collect()
    }

    /// Returns the headers that were added with [`header`](Self::header), as slices.
    pub(in crate::adapters) fn more_headers(&self) -> Vec<(&str, &str)> {
        self.headers.borrowed()
    }

    /// Returns the request for `url`. `subprotocols` and `headers` are the results of
    /// [`offered_subprotocols`](Self::offered_subprotocols) and [`more_headers`](Self::more_headers), which the request
    /// borrows.
    pub(in crate::adapters) fn request_for<'r>(
        &'r self,
        url: &WsUrl<'r>,
        subprotocols: &'r [&'r str],
        headers: &'r [(&'r str, &'r str)],
    ) -> ClientRequest<'r> {
        let request = ClientRequest::from_url(url)
            .origin(self.origin.as_deref())
            .subprotocols(subprotocols)
            .headers(headers);
        #[cfg(feature = "deflate")]
        let request = request.deflate(self.deflate);
        request
    }

    /// Checks that the request for `url` can be sent. The adapter calls this method before it connects.
    #[cfg(any(feature = "net", feature = "tokio"))]
    pub(in crate::adapters) fn check(&self, url: &WsUrl<'_>) -> Result<(), RequestError> {
        let (subprotocols, headers) = (self.offered_subprotocols(), self.more_headers());
        let request = self.request_for(url, &subprotocols, &headers);
        ClientHandshake::new(request, [0; 16], self.limits).map(drop)
    }
}
