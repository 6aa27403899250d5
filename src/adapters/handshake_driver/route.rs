//! The way from a client to a server: which host to connect to, and which handshakes follow in which order.
//!
//! ```text
//!   name of the server ─▶ connect to a host ─▶ TLS to the proxy ─▶ tunnel ─▶ TLS to the server ─▶ WebSocket handshake
//!   `socks5`              proxy, or server     `https`             any proxy  `wss`
//! ```
//!
//! The second line names the proxy or the scheme of the URL for which a stage runs. [`Route`] contains this plan, and
//! the deadline over all stages. `Route` does no I/O: the adapter resolves, connects, runs each [`Layer`], and puts
//! TLS over its stream.
//!
//! Invariants:
//! - A setting that cannot be used is an error before a name is resolved.
//! - The stage in the [`Progress`] is that of the layer that runs.
//! - Bytes that a layer has read and not used go to the next layer.
//! - An error names the proxy if the stage concerns only the proxy, and not the server.

use core::net::{IpAddr, SocketAddr};
use std::io;
use std::prelude::v1::*;

use super::client::Client;
use super::connect_error::ConnectError;
use super::not_connected::explain;
#[cfg(any(feature = "rustls", feature = "native-tls"))]
use super::tls::{NotSecured, TlsHandshake};
use super::tunneling::{NotTunneled, Tunneling};
use super::{HandshakeDriver, Step, StepResult};
use crate::Instant;
use crate::dial::{Progress, Stage};
use crate::handshake::{ClientHandshake, HeadLimits, WsUrl};
use crate::proxy::{ProxyError, ProxyHandshake, ProxyTarget, ProxyUrl};
#[cfg(any(feature = "rustls", feature = "native-tls"))]
use crate::tls::{Connector, Session, TlsError};

/// The plan of one connection, and its progress.
pub(in crate::adapters) struct Route<'c> {
    url: WsUrl<'c>,
    proxy: Option<&'c ProxyUrl>,
    /// The address of the server, if the client has resolved its name for the proxy.
    address: Option<SocketAddr>,
    limits: HeadLimits,
    /// `None` for a `ws` URL.
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    tls: Option<Connector>,
    /// `None` unless the proxy is an `https` proxy.
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    proxy_tls: Option<Connector>,
    /// The name that the certificate of the server must have.
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    server_name: &'c str,
    progress: Progress,
    next: NextLayer,
    /// The bytes that arrived, and that no layer has used.
    arrived: Vec<u8>,
}

/// The layer that is considered next. A layer that the route does not need is skipped.
#[derive(Clone, Copy)]
enum NextLayer {
    ProxyTls,
    Tunnel,
    Tls,
    Nothing,
}

/// A handshake that runs before the WebSocket handshake: the opening of a tunnel, or TLS.
pub(in crate::adapters) enum Layer {
    Tunnel(Box<Tunneling>),
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    Tls(Box<TlsHandshake>),
}

/// A TLS session that the adapter must put over its stream. Without a feature for TLS, this type has no variants.
pub(in crate::adapters) enum OpenedTls {
    /// TLS to the proxy.
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    Proxy(Session),
    /// TLS to the server.
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    Server(Session),
}

impl<R> Client<R> {
    /// Returns the route to the server of `url`, through a proxy if the client has one for this URL.
    pub(in crate::adapters) fn route<'c, S>(
        &'c self,
        now: Instant,
        url: &'c str,
    ) -> Result<Route<'c>, ConnectError<S>> {
        let url = WsUrl::parse(url)?;
        let proxy = self.proxy.for_url(&url)?;
        self.checked_route(self.progress(now, Stage::Resolving), url, proxy)
    }

    /// Returns the route to the server of `url` over a connection that needs no name resolution and no proxy: a Unix
    /// socket.
    #[cfg(unix)]
    pub(in crate::adapters) fn direct_route<'c, S>(
        &'c self,
        now: Instant,
        url: &'c str,
    ) -> Result<Route<'c>, ConnectError<S>> {
        self.checked_route(self.progress(now, Stage::Connecting), WsUrl::parse(url)?, None)
    }

    /// Checks everything that can be checked before a connection is made.
    fn checked_route<'c, S>(
        &'c self,
        progress: Progress,
        url: WsUrl<'c>,
        proxy: Option<&'c ProxyUrl>,
    ) -> Result<Route<'c>, ConnectError<S>> {
        let needs_proxy_tls = proxy.is_some_and(ProxyUrl::secure);
        if (url.secure() || needs_proxy_tls) && cfg!(not(any(feature = "rustls", feature = "native-tls"))) {
            return Err(ConnectError::NeedsTls);
        }
        let (subprotocols, headers) = (self.offered_subprotocols(), self.more_headers());
        let request = self.request_for(&url, &subprotocols, &headers);
        ClientHandshake::new(request, [0; 16], self.limits)?;
        let route = Route {
            url,
            proxy,
            address: None,
            limits: self.limits,
            #[cfg(any(feature = "rustls", feature = "native-tls"))]
            tls: if url.secure() { Some(self.connector()?) } else { None },
            #[cfg(any(feature = "rustls", feature = "native-tls"))]
            proxy_tls: if needs_proxy_tls { Some(self.proxy_connector()?) } else { None },
            #[cfg(any(feature = "rustls", feature = "native-tls"))]
            server_name: self.name_for_tls(&url),
            progress,
            next: NextLayer::ProxyTls,
            arrived: Vec::new(),
        };
        if proxy.is_some() {
            // RFC 9110 11.7.2: this header is for the proxy. In the request of the handshake, the header would go
            // through the tunnel to the server.
            if headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("proxy-authorization")) {
                return Err(ProxyError::AuthorizationHeader.into());
            }
            // Checks the target. If the client must resolve the name first, the target becomes an address, which needs
            // no check.
            if route.server_to_resolve().is_none() {
                route.start_tunneling::<S>()?;
            }
        }
        #[cfg(any(feature = "rustls", feature = "native-tls"))]
        route.check_hosts()?;
        Ok(route)
    }
}

impl<'c> Route<'c> {
    /// Checks that a certificate can be valid for each host to which TLS is needed.
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    fn check_hosts<S>(&self) -> Result<(), ConnectError<S>> {
        if let Some(connector) = &self.tls {
            connector.check_host(self.server_name)?;
        }
        match (self.proxy, &self.proxy_tls) {
            (Some(proxy), Some(connector)) => {
                connector.check_host(proxy.host_for_connect()).map_err(ConnectError::ProxyTls)
            }
            _ => Ok(()),
        }
    }

    // --- connecting ---

    /// Returns host and port of the server, if the client must resolve the name for the proxy.
    pub(in crate::adapters) fn server_to_resolve(&self) -> Option<(&'c str, u16)> {
        let host = self.url.host_for_connect();
        let needs_address =
            self.proxy.is_some_and(ProxyUrl::needs_address) && host.parse::<IpAddr>().is_err();
        needs_address.then_some((host, self.url.port()))
    }

    /// Records the addresses of the server. The proxy gets the first of them, which the resolver prefers.
    pub(in crate::adapters) fn handle_addresses<S>(
        &mut self,
        addresses: &[SocketAddr],
    ) -> Result<(), ConnectError<S>> {
        self.address = addresses.first().copied();
        match self.address {
            Some(_) => Ok(()),
            None => {
                Err(ConnectError::Connect(io::Error::new(io::ErrorKind::NotFound, "the host has no address")))
            }
        }
    }

    /// Returns host and port to connect to.
    pub(in crate::adapters) fn first_hop(&self) -> (&'c str, u16) {
        self.proxy.map_or((self.url.host_for_connect(), self.url.port()), |proxy| {
            (proxy.host_for_connect(), proxy.port())
        })
    }

    pub(in crate::adapters) const fn url(&self) -> WsUrl<'c> {
        self.url
    }

    /// Returns the deadline and the current stage.
    pub(in crate::adapters) const fn progress(&mut self) -> &mut Progress {
        &mut self.progress
    }

    // --- the layers ---

    /// Starts the next handshake on the stream, or returns `None` if only the WebSocket handshake is left.
    pub(in crate::adapters) fn next_layer<S>(&mut self) -> Result<Option<Layer>, ConnectError<S>> {
        loop {
            let next = self.next;
            match next {
                NextLayer::ProxyTls => {
                    self.next = NextLayer::Tunnel;
                    #[cfg(any(feature = "rustls", feature = "native-tls"))]
                    if let (Some(proxy), Some(connector)) = (self.proxy, self.proxy_tls.clone()) {
                        self.progress.enter(Stage::ProxyTls);
                        return self
                            .start_tls(&connector, proxy.host_for_connect())
                            .map_err(ConnectError::ProxyTls);
                    }
                }
                NextLayer::Tunnel => {
                    self.next = NextLayer::Tls;
                    if self.proxy.is_some() {
                        self.progress.enter(Stage::Proxy);
                        return Ok(Some(Layer::Tunnel(Box::new(self.start_tunneling()?))));
                    }
                }
                NextLayer::Tls => {
                    self.next = NextLayer::Nothing;
                    #[cfg(any(feature = "rustls", feature = "native-tls"))]
                    if let Some(connector) = self.tls.clone() {
                        self.progress.enter(Stage::Tls);
                        return Ok(self.start_tls(&connector, self.server_name)?);
                    }
                }
                NextLayer::Nothing => {
                    self.progress.enter(Stage::Handshake);
                    return Ok(None);
                }
            }
        }
    }

    /// Starts a TLS handshake.
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    fn start_tls(&mut self, connector: &Connector, host: &str) -> Result<Option<Layer>, TlsError> {
        let arrived = core::mem::take(&mut self.arrived);
        let handshake = TlsHandshake::client(connector, host, &self.progress, &arrived)?;
        Ok(Some(Layer::Tls(Box::new(handshake))))
    }

    /// Starts the opening of the tunnel.
    fn start_tunneling<S>(&self) -> Result<Tunneling, ConnectError<S>> {
        let proxy = self.proxy.ok_or(ProxyError::Target)?;
        let target = self.address.map_or_else(|| ProxyTarget::from_url(&self.url), ProxyTarget::from);
        let handshake = ProxyHandshake::new(proxy, target)?.with_head_limits(self.limits);
        Ok(Tunneling::new(handshake, self.progress))
    }

    /// Handles the result of a layer. Returns the TLS session that it has opened.
    pub(in crate::adapters) fn finish_layer<S>(
        &mut self,
        layer: Layer,
    ) -> Result<Option<OpenedTls>, ConnectError<S>> {
        match layer {
            Layer::Tunnel(tunneling) => {
                self.arrived = tunneling.finish().map_err(|why| self.not_tunneled(why))?;
                Ok(None)
            }
            #[cfg(any(feature = "rustls", feature = "native-tls"))]
            Layer::Tls(handshake) => {
                let is_proxy = self.progress.stage() == Stage::ProxyTls;
                match handshake.finish() {
                    Ok(session) if is_proxy => Ok(Some(OpenedTls::Proxy(session))),
                    Ok(session) => Ok(Some(OpenedTls::Server(session))),
                    Err(why) => Err(self.not_secured(why, is_proxy)),
                }
            }
        }
    }

    /// Returns the deadline, and the bytes that arrived before the WebSocket handshake.
    pub(in crate::adapters) fn end(&mut self) -> (Progress, Vec<u8>) {
        (self.progress, core::mem::take(&mut self.arrived))
    }

    // --- errors ---

    fn not_tunneled<S>(&self, why: NotTunneled) -> ConnectError<S> {
        match why {
            NotTunneled::Io(error) => self.proxy_failed(error),
            NotTunneled::Proxy(error) => error.into(),
            NotTunneled::Deadline(error) => error.into(),
        }
    }

    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    fn not_secured<S>(&self, why: NotSecured, is_proxy: bool) -> ConnectError<S> {
        match why {
            // The stream below TLS is the connection to the proxy. If this connection is a TLS stream, its error is a
            // TLS error.
            NotSecured::Io(error) if self.proxy.is_some() => self.proxy_failed(error),
            why => match why.into_error(&self.progress) {
                ConnectError::Tls(error) if is_proxy => ConnectError::ProxyTls(error),
                error => error,
            },
        }
    }

    /// Returns the error for a stream that has failed before the tunnel or TLS to the server was open.
    fn proxy_failed<S>(&self, error: io::Error) -> ConnectError<S> {
        match (self.progress.stage(), error.into()) {
            #[cfg(any(feature = "rustls", feature = "native-tls"))]
            (_, ConnectError::Tls(error)) => ConnectError::ProxyTls(error),
            (Stage::Tls, ConnectError::Io(error)) => {
                let text = std::format!("the connection to the proxy has failed: {error}");
                ConnectError::from_io(Stage::Tls, explain(error, text))
            }
            // The name of the stage, which the error shows, contains the word "proxy" already.
            (stage, ConnectError::Io(error)) => ConnectError::from_io(stage, error),
            (_, error) => error,
        }
    }

    /// Returns the error for the application. If the proxy could not be reached, the error has the name of the proxy.
    /// If TLS to the proxy has failed, the error is `ProxyTls`.
    pub(in crate::adapters) fn name_proxy<S>(&self, error: ConnectError<S>) -> ConnectError<S> {
        let Some(proxy) = self.proxy else { return error };
        match error {
            ConnectError::Connect(error) if self.address.is_some() || self.server_to_resolve().is_none() => {
                let text = std::format!("the proxy {proxy} cannot be reached: {error}");
                ConnectError::Connect(explain(error, text))
            }
            #[cfg(any(feature = "rustls", feature = "native-tls"))]
            ConnectError::Tls(error) if !self.url.secure() => ConnectError::ProxyTls(error),
            error => error,
        }
    }
}

impl HandshakeDriver for Layer {
    fn poll_step(&mut self) -> Step<'_> {
        match self {
            Self::Tunnel(tunneling) => tunneling.poll_step(),
            #[cfg(any(feature = "rustls", feature = "native-tls"))]
            Self::Tls(handshake) => handshake.poll_step(),
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Tunnel(tunneling) => tunneling.poll_timeout(),
            #[cfg(any(feature = "rustls", feature = "native-tls"))]
            Self::Tls(handshake) => handshake.poll_timeout(),
        }
    }

    fn handle(&mut self, now: Instant, did: io::Result<StepResult>) {
        match self {
            Self::Tunnel(tunneling) => tunneling.handle(now, did),
            #[cfg(any(feature = "rustls", feature = "native-tls"))]
            Self::Tls(handshake) => handshake.handle(now, did),
        }
    }
}
