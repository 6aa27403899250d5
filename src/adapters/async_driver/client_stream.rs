//! The stream of a client: a stream of the runtime, and TLS over it if it is needed.
//!
//! `Client::connect` takes `ws://` and `wss://` URLs, and its result has one type. So the type of the stream must not
//! depend on the URL, on the proxy, nor on the features of this crate. [`ClientStream`] hides which layers there are.
//! Without the feature `rustls` it is always the stream of the runtime.
//!
//! Invariant: TLS over TLS occurs only through an `https` proxy. The inner session is the one with the server.

use core::fmt;
use std::prelude::v1::*;

#[cfg(feature = "rustls")]
use super::tls_stream::TlsStream;
use crate::adapters::handshake_driver::Secured;
#[cfg(feature = "rustls")]
use crate::tls::rustls;

/// The stream of a WebSocket that `Client::connect` has opened: a socket `S` for `ws://`, and TLS over the socket for
/// `wss://`. The socket leads to the server or to a proxy.
pub struct ClientStream<S>(pub(in crate::adapters) Kind<S>);

/// The kinds of streams. The adapters of the runtimes read and write them.
pub(in crate::adapters) enum Kind<S> {
    Plain(S),
    /// TLS to the server.
    #[cfg(feature = "rustls")]
    Tls(TlsStream<S>),
    /// TLS to a proxy, and a tunnel without TLS.
    #[cfg(feature = "rustls")]
    TlsToProxy(TlsStream<S>),
    /// TLS to the server in a tunnel over TLS to a proxy. On the heap, so that the other kinds are not larger.
    #[cfg(feature = "rustls")]
    TlsInTls(Box<TlsStream<TlsStream<S>>>),
}

impl<S> ClientStream<S> {
    /// Returns the socket. Over TLS it carries ciphertext: do not read from it or write to it.
    #[must_use]
    pub const fn socket(&self) -> &S {
        match &self.0 {
            Kind::Plain(socket) => socket,
            #[cfg(feature = "rustls")]
            Kind::Tls(tls) | Kind::TlsToProxy(tls) => tls.get_ref(),
            #[cfg(feature = "rustls")]
            Kind::TlsInTls(tls) => tls.get_ref().get_ref(),
        }
    }

    /// Returns the TLS connection to the server, for example to read its certificates. Returns `None` for a `ws://` URL.
    #[cfg(feature = "rustls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    #[must_use]
    pub fn rustls(&self) -> Option<&rustls::Connection> {
        match &self.0 {
            Kind::Plain(_) | Kind::TlsToProxy(_) => None,
            Kind::Tls(tls) => Some(tls.rustls()),
            Kind::TlsInTls(tls) => Some(tls.rustls()),
        }
    }

    /// Returns the socket of a stream without TLS.
    ///
    /// # Errors
    ///
    /// The stream itself, if it uses TLS to the server or to a proxy.
    pub fn into_socket(self) -> Result<S, Self> {
        match self.0 {
            Kind::Plain(socket) => Ok(socket),
            #[cfg(feature = "rustls")]
            tls => Err(Self(tls)),
        }
    }

    /// Returns the stream with a TLS session over it.
    #[cfg(feature = "rustls")]
    pub(super) fn secure(self, secured: Secured) -> Self {
        Self(match (self.0, secured) {
            (Kind::Plain(socket), Secured::Proxy(session)) => {
                Kind::TlsToProxy(TlsStream::new(socket, session))
            }
            (Kind::Plain(socket), Secured::Server(session)) => Kind::Tls(TlsStream::new(socket, session)),
            (Kind::TlsToProxy(proxy), Secured::Server(session)) => {
                Kind::TlsInTls(Box::new(TlsStream::new(proxy, session)))
            }
            // A route has each session once at most, and that of the proxy first.
            (tls, _) => tls,
        })
    }

    /// Returns the stream with a TLS session over it.
    #[cfg(not(feature = "rustls"))]
    pub(super) fn secure(self, secured: Secured) -> Self {
        match secured {}
    }
}

impl<S> From<S> for ClientStream<S> {
    fn from(socket: S) -> Self {
        Self(Kind::Plain(socket))
    }
}

impl<S: fmt::Debug> fmt::Debug for ClientStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Plain(socket) => fmt::Debug::fmt(socket, f),
            #[cfg(feature = "rustls")]
            Kind::Tls(tls) | Kind::TlsToProxy(tls) => fmt::Debug::fmt(tls, f),
            #[cfg(feature = "rustls")]
            Kind::TlsInTls(tls) => fmt::Debug::fmt(tls, f),
        }
    }
}
