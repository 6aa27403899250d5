//! The builder [`Client`], which has the settings of a client.
//!
//! ```text
//!   Client ── route ──▶ Route: TCP, proxy, TLS
//!     └── request_for ──▶ ClientRequest ── connecting ──▶ Connecting ── finish ──▶ Opened or NotConnected
//! ```
//!
//! This file creates requests from the settings. The handshake is in `connecting.rs`, and the stages before it are in
//! `route.rs`.

use core::fmt;
use core::time::Duration;
use std::prelude::v1::*;
#[cfg(feature = "rustls")]
use std::sync::Arc;

use super::AddedHeaders;
#[cfg(any(
    doc,
    all(
        any(feature = "rustls", feature = "native-tls"),
        any(feature = "net", feature = "tokio", feature = "async-io")
    )
))]
use super::ConnectError;
use crate::dial::{Progress, Stage};
#[cfg(feature = "deflate")]
use crate::handshake::DeflateOffer;
use crate::handshake::{ClientRequest, HeadLimits, WsUrl};
#[cfg(any(feature = "net", feature = "tokio", feature = "async-io"))]
use crate::proxy::Proxy;
#[cfg(all(
    any(feature = "rustls", feature = "native-tls"),
    any(feature = "net", feature = "tokio", feature = "async-io")
))]
use crate::proxy::ProxyError;
#[cfg(feature = "rustls")]
use crate::tls::ClientConfig;
#[cfg(any(feature = "rustls", feature = "native-tls"))]
use crate::tls::Connector;
#[cfg(feature = "native-tls")]
use crate::tls::native_tls::TlsConnector;
use crate::{Instant, SharedConfig};

/// The settings of a client's requests and connections. `R` is the runtime of the adapter: its clock and its streams.
///
/// The methods that connect depend on the adapter. They are documented at the adapter's alias of this type, for example
/// `net::Client`. The caller must follow two rules. Connections to the same host must be opened one after the other
/// (RFC 6455 section 4.1 (2)). Before a client reconnects after a failure, it should wait for a random time that grows
/// with each failure (section 7.2.3).
#[derive(Clone, Debug)]
pub struct Client<R> {
    runtime: R,
    pub(super) config: SharedConfig,
    pub(super) limits: HeadLimits,
    open_timeout: Option<Duration>,
    #[cfg(any(feature = "net", feature = "tokio", feature = "async-io"))]
    pub(super) proxy: Proxy,
    origin: Option<String>,
    subprotocols: Subprotocols,
    headers: AddedHeaders,
    /// The number of redirects to follow.
    pub(super) redirects: u32,
    /// Whether a redirect may send the subprotocols to another server.
    redirect_subprotocols: bool,
    #[cfg(feature = "deflate")]
    deflate: Option<DeflateOffer>,
    /// The TLS library and its configuration, or `None` for the default.
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    pub(super) tls: Option<Connector>,
    /// The TLS library and its configuration for `https` proxies. `None` selects the library and the configuration for
    /// the server.
    #[cfg(all(
        any(feature = "rustls", feature = "native-tls"),
        any(feature = "net", feature = "tokio", feature = "async-io")
    ))]
    proxy_tls: Option<Connector>,
    /// The name in the certificate of the server, or `None` for the host of the URL.
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    server_name: Option<String>,
}

/// The subprotocols to offer.
#[derive(Clone, Default)]
struct Subprotocols(Vec<String>);

impl fmt::Debug for Subprotocols {
    /// Shows only the number of subprotocols, because a subprotocol can be a token, which must not appear in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subprotocols").field("len", &self.0.len()).finish_non_exhaustive()
    }
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
            open_timeout: Some(Duration::from_secs(10)),
            #[cfg(any(feature = "net", feature = "tokio", feature = "async-io"))]
            proxy: Proxy::none(),
            origin: None,
            subprotocols: Subprotocols::default(),
            headers: AddedHeaders::default(),
            redirects: 0,
            redirect_subprotocols: false,
            #[cfg(feature = "deflate")]
            deflate: None,
            #[cfg(any(feature = "rustls", feature = "native-tls"))]
            tls: None,
            #[cfg(all(
                any(feature = "rustls", feature = "native-tls"),
                any(feature = "net", feature = "tokio", feature = "async-io")
            ))]
            proxy_tls: None,
            #[cfg(any(feature = "rustls", feature = "native-tls"))]
            server_name: None,
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

    /// Sets how long opening a WebSocket may take; ten seconds by default. With `None`, only the timeouts of the
    /// operating system apply.
    ///
    /// One deadline limits all stages together: name resolution, TCP, the proxy, TLS, and the opening handshake. When
    /// it passes, [`ConnectError::Deadline`] names the stage that was running. A call that takes a connected stream has
    /// the same limit for the stages that it performs.
    #[must_use]
    pub fn open_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.open_timeout = timeout;
        self
    }

    /// Sets the proxy: a [`Proxy`], or the [`ProxyUrl`](crate::proxy::ProxyUrl) of one proxy. By default the client
    /// uses no proxy, and does not read the environment.
    ///
    /// The calls that connect to a URL use the proxy. Calls that take a connected stream, or the path of a Unix socket,
    /// ignore it. User and password are sent to the proxy only.
    ///
    /// TLS to an `https` proxy uses the configuration of `proxy_tls` or `proxy_native_tls`. Without such a
    /// configuration, TLS to the proxy uses the configuration for the server. If the configuration for the server may
    /// have a client certificate, the call fails with [`ProxyError::ClientCertificate`](crate::proxy::ProxyError).
    ///
    /// A `socks5` proxy gets the first address that the system finds for the server. With `socks5h` the proxy resolves
    /// the name, and can choose among all addresses.
    ///
    /// ```
    /// # #[cfg(feature = "net")] {
    /// use hybi::adapters::net::Client;
    /// use hybi::proxy::Proxy;
    ///
    /// # fn main() -> Result<(), hybi::proxy::ProxyUrlError> {
    /// let client = Client::new().proxy(Proxy::url("http://user:secret@proxy.example:3128")?);
    /// assert!(!format!("{client:?}").contains("secret"));
    /// # Ok(())
    /// # }
    /// # main().unwrap();
    /// # }
    /// ```
    #[cfg(any(feature = "net", feature = "tokio", feature = "async-io"))]
    #[cfg_attr(docsrs, doc(cfg(any(feature = "net", feature = "tokio", feature = "async-io"))))]
    #[must_use]
    pub fn proxy(mut self, proxy: impl Into<Proxy>) -> Self {
        self.proxy = proxy.into();
        self
    }

    /// Sets the value of the `Origin` header, which browsers send (RFC 6455 section 4.1).
    #[must_use]
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.origin = Some(origin.into());
        self
    }

    /// Sets the subprotocols to offer, in order of preference (RFC 6455 section 1.9). Debug output shows only their
    /// number, because some applications put a token into a subprotocol.
    #[must_use]
    pub fn subprotocols<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.subprotocols.0 = names.into_iter().map(Into::into).collect();
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

    /// Sets the TLS configuration for `wss://` URLs, for example with the roots of a private authority or with a client
    /// certificate. The default is [`default_client_config`](crate::tls::default_client_config). Without a client
    /// certificate, the configuration is also used for `https` proxies, unless `proxy_tls` sets another configuration.
    ///
    /// The configuration is used as it is. Leave [`ClientConfig::alpn_protocols`] empty, or set it to `http/1.1`.
    #[cfg(feature = "rustls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    #[must_use]
    pub fn tls(mut self, config: Arc<ClientConfig>) -> Self {
        self.tls = Some(Connector::Rustls(config));
        self
    }

    /// Uses native-tls with this connector for `wss://` URLs. The default is
    /// [`Connector::by_default`](crate::tls::Connector::by_default), which prefers rustls. An `https` proxy also needs
    /// `proxy_tls` or `proxy_native_tls`, because a connector does not tell whether it has a client certificate.
    ///
    /// The last call of this method or of `tls` decides. The connector must request no application protocol (ALPN), or
    /// only `http/1.1`.
    #[cfg(feature = "native-tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "native-tls")))]
    #[must_use]
    pub fn native_tls(mut self, connector: TlsConnector) -> Self {
        self.tls = Some(Connector::Native(connector));
        self
    }

    /// Sets the TLS configuration for `https` proxies. The default is the configuration for the server, if this
    /// configuration has no client certificate.
    ///
    /// A proxy can ask for a certificate in the same way as a server. It must not get the certificate that is meant for
    /// the server. To use the same certificate for the proxy and the server, pass the same configuration to this method
    /// and to `tls`.
    ///
    /// ```
    /// # #[cfg(all(feature = "net", feature = "rustls-ring", feature = "webpki-roots"))] {
    /// use hybi::adapters::net::Client;
    /// use hybi::proxy::Proxy;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::new()
    ///     .proxy(Proxy::url("https://user:password@proxy.example")?)
    ///     .proxy_tls(hybi::tls::default_client_config()?);
    /// # drop(client);
    /// # Ok(())
    /// # }
    /// # main().unwrap();
    /// # }
    /// ```
    #[cfg(all(feature = "rustls", any(feature = "net", feature = "tokio", feature = "async-io")))]
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    #[must_use]
    pub fn proxy_tls(mut self, config: Arc<ClientConfig>) -> Self {
        self.proxy_tls = Some(Connector::Rustls(config));
        self
    }

    /// Uses native-tls with this connector for `https` proxies. The last call of this method or of `proxy_tls` decides.
    ///
    /// If the connector has a client certificate, the proxy receives this certificate on request.
    #[cfg(all(feature = "native-tls", any(feature = "net", feature = "tokio", feature = "async-io")))]
    #[cfg_attr(docsrs, doc(cfg(feature = "native-tls")))]
    #[must_use]
    pub fn proxy_native_tls(mut self, connector: TlsConnector) -> Self {
        self.proxy_tls = Some(Connector::Native(connector));
        self
    }

    /// Sets the name that the certificate of the server must have: a DNS name, or an IP address without brackets. The
    /// default is the host of the URL.
    ///
    /// The client also sends this name in the TLS handshake (RFC 6066 section 3). Set the name to connect to an IP
    /// address or a forwarded port of a server whose certificate has another name. The `Host` header still has the host
    /// of the URL. The name is not used for TLS to a proxy, or for TLS to another server after a
    /// [redirect](Self::max_redirects).
    ///
    /// ```
    /// # #[cfg(feature = "net")] {
    /// use hybi::adapters::net::Client;
    ///
    /// let client = Client::new().server_name("chat.example.com");
    /// // let ws = client.connect("wss://127.0.0.1:8443/")?;
    /// # drop(client);
    /// # }
    /// ```
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    #[cfg_attr(docsrs, doc(cfg(any(feature = "rustls", feature = "native-tls"))))]
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Returns the name that the certificate of the server must have.
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    pub(super) fn name_for_tls<'n>(&'n self, url: &WsUrl<'n>) -> &'n str {
        self.server_name.as_deref().unwrap_or_else(|| url.host_for_connect())
    }

    /// Removes the name that the certificate of the first server must have.
    #[cfg(all(
        any(feature = "rustls", feature = "native-tls"),
        any(feature = "net", feature = "tokio", feature = "async-io")
    ))]
    pub(super) fn forget_server_name(&mut self) {
        self.server_name = None;
    }

    /// Returns whether a name for the certificate of the server is set.
    #[cfg(all(
        any(feature = "rustls", feature = "native-tls"),
        any(feature = "net", feature = "tokio", feature = "async-io")
    ))]
    pub(super) const fn has_server_name(&self) -> bool {
        self.server_name.is_some()
    }

    /// Adds a header to the request. Debug output shows its name only.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.add(name, value);
        self
    }

    /// Sets how many redirects `connect` follows; 0 by default. Browsers follow no redirects for a WebSocket.
    ///
    /// With 0, a redirect is an error like every response other than 101: [`Http`](super::ConnectError::Http).
    /// Otherwise a redirect that is not followed is a [`Redirect`](super::ConnectError::Redirect) with the reason.
    ///
    /// A redirect is never followed from `wss` to `ws`. Another server gets only a [few
    /// headers](crate::redirect::Redirects::may_send) of the application, which contain no credentials. This server
    /// also gets the origin, and the URL that the first server has chosen. If the client offers subprotocols, a
    /// redirect to another server is refused, unless [`redirect_subprotocols`](Self::redirect_subprotocols) allows it.
    /// If the TLS configuration has a client certificate, a redirect to another server over TLS is refused. A connector
    /// of native-tls does not tell whether it has a certificate, so the client assumes a certificate. The module
    /// [`redirect`](crate::redirect) has all rules.
    ///
    /// An error after a followed redirect is a [`Redirected`](super::ConnectError::Redirected), which names the server.
    ///
    /// The [`open_timeout`](Self::open_timeout) limits all requests together.
    #[must_use]
    pub fn max_redirects(mut self, most: u32) -> Self {
        self.redirects = most;
        self
    }

    /// Sets whether a redirect may send the subprotocols to another server; `false` by default.
    ///
    /// Call this with `true` only if no subprotocol is a secret. With `false`, a redirect to another server is refused
    /// if the client offers subprotocols:
    /// [`RedirectError::Subprotocols`](crate::redirect::RedirectError::Subprotocols).
    #[must_use]
    pub fn redirect_subprotocols(mut self, allowed: bool) -> Self {
        self.redirect_subprotocols = allowed;
        self
    }

    /// Returns whether the client offers subprotocols that no other server may see.
    #[cfg(any(feature = "net", feature = "tokio", feature = "async-io"))]
    pub(super) fn has_private_subprotocols(&self) -> bool {
        !self.redirect_subprotocols && !self.subprotocols.0.is_empty()
    }

    /// Returns whether `may_send` is true for the names of all headers that were added.
    #[cfg(any(feature = "net", feature = "tokio", feature = "async-io"))]
    pub(super) fn has_only_headers(&self, may_send: impl Fn(&str) -> bool) -> bool {
        self.headers.0.iter().all(|(name, _)| may_send(name))
    }

    /// Removes the headers for whose name `keep` is false.
    #[cfg(any(feature = "net", feature = "tokio", feature = "async-io", feature = "http"))]
    pub(super) fn keep_headers(&mut self, keep: impl Fn(&str) -> bool) {
        self.headers.0.retain(|(name, _)| keep(name));
    }

    /// Returns whether the TLS configuration may have a certificate of the client.
    #[cfg(all(
        any(feature = "rustls", feature = "native-tls"),
        any(feature = "net", feature = "tokio", feature = "async-io")
    ))]
    pub(super) fn has_certificate(&self) -> bool {
        self.tls.as_ref().is_some_and(Connector::may_have_client_certificate)
    }

    /// Returns the TLS library and its configuration for an `https` proxy.
    #[cfg(all(
        any(feature = "rustls", feature = "native-tls"),
        any(feature = "net", feature = "tokio", feature = "async-io")
    ))]
    pub(super) fn proxy_connector<S>(&self) -> Result<Connector, ConnectError<S>> {
        match &self.proxy_tls {
            Some(connector) => Ok(connector.clone()),
            // RFC 8446 4.3.2: every endpoint that accepts TLS may ask for a certificate.
            None if self.has_certificate() => Err(ProxyError::ClientCertificate.into()),
            None => self.connector().map_err(ConnectError::ProxyTls),
        }
    }

    /// Returns the subprotocols to offer, as slices.
    pub(in crate::adapters) fn offered_subprotocols(&self) -> Vec<&str> {
        self.subprotocols.0.iter().map(String::as_str).collect()
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

    /// Returns the deadline of a call that begins now with `stage`.
    pub(in crate::adapters) fn progress(&self, now: Instant, stage: Stage) -> Progress {
        let mut progress = Progress::new(now, self.open_timeout);
        progress.enter(stage);
        progress
    }
}
