//! The stream of a client: a stream of the runtime, and TLS over it if TLS is needed.
//!
//! `Client::connect` takes `ws://` and `wss://` URLs, and its result has one type. So the type of the stream must not
//! depend on the URL, the proxy, or the features of this crate. [`ClientStream`] hides which layers there are. Without
//! a feature for TLS, a `ClientStream` is always the stream of the runtime.
//!
//! Invariant: TLS over TLS occurs only through an `https` proxy. The session with the proxy then carries the session
//! with the server.

use core::fmt;
use std::prelude::v1::*;

#[cfg(any(feature = "rustls", feature = "native-tls"))]
use super::tls_stream::TlsStream;
use crate::adapters::handshake_driver::OpenedTls;
#[cfg(feature = "rustls")]
use crate::tls::rustls;

/// The stream of a WebSocket that `Client::connect` has opened: a socket `S` for `ws://`, and TLS over the socket for
/// `wss://`. The socket leads to the server or to a proxy. With an `https` proxy, the stream also has a TLS session
/// with the proxy.
///
/// ```
/// # #[cfg(feature = "tokio")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use hybi::adapters::tokio::{accept, connect};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// let address = listener.local_addr()?;
/// let url = format!("ws://{address}/");
/// let server = async { accept(listener.accept().await.unwrap().0).await };
/// let (ws, _server) = tokio::join!(connect(&url), server);
/// assert_eq!(ws?.stream().socket().peer_addr()?, address);
/// # Ok(())
/// # })
/// # }
/// # #[cfg(not(feature = "tokio"))]
/// # fn main() {}
/// ```
pub struct ClientStream<S>(pub(in crate::adapters) Layers<S>);

/// The socket with the TLS sessions over it. The adapters of the runtimes match on this type to implement the stream
/// traits.
pub(in crate::adapters) enum Layers<S> {
    Plain(S),
    /// TLS to the server.
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    Tls(TlsStream<S>),
    /// TLS to a proxy, and a tunnel without TLS.
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    TlsToProxy(TlsStream<S>),
    /// TLS to the server in a tunnel over TLS to a proxy. Both sessions are on the heap, because otherwise they would
    /// enlarge every [`ClientStream`].
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    TlsInTls(Box<TlsStream<TlsStream<S>>>),
}

impl<S> ClientStream<S> {
    /// Returns the socket. If the stream uses TLS, the socket carries ciphertext: do not read from the socket or write
    /// to it.
    #[must_use]
    pub const fn socket(&self) -> &S {
        match &self.0 {
            Layers::Plain(socket) => socket,
            #[cfg(any(feature = "rustls", feature = "native-tls"))]
            Layers::Tls(tls) | Layers::TlsToProxy(tls) => tls.get_ref(),
            #[cfg(any(feature = "rustls", feature = "native-tls"))]
            Layers::TlsInTls(tls) => tls.get_ref().get_ref(),
        }
    }

    /// Returns the certificate of the server as DER. Returns `None` for a `ws://` URL.
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    #[cfg_attr(docsrs, doc(cfg(any(feature = "rustls", feature = "native-tls"))))]
    #[must_use]
    pub fn peer_certificate(&self) -> Option<Vec<u8>> {
        match &self.0 {
            Layers::Plain(_) | Layers::TlsToProxy(_) => None,
            Layers::Tls(tls) => tls.peer_certificate(),
            Layers::TlsInTls(tls) => tls.peer_certificate(),
        }
    }

    /// Returns the connection of rustls to the server, for example to read the version of TLS. Returns `None` for a
    /// `ws://` URL, and if the stream uses native-tls.
    #[cfg(feature = "rustls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    #[must_use]
    pub fn rustls(&self) -> Option<&rustls::Connection> {
        match &self.0 {
            Layers::Plain(_) | Layers::TlsToProxy(_) => None,
            Layers::Tls(tls) => tls.rustls(),
            Layers::TlsInTls(tls) => tls.rustls(),
        }
    }

    /// Returns the socket of a stream without TLS.
    ///
    /// # Errors
    ///
    /// Returns the stream itself, if this stream uses TLS to the server or to a proxy.
    pub fn into_socket(self) -> Result<S, Self> {
        match self.0 {
            Layers::Plain(socket) => Ok(socket),
            #[cfg(any(feature = "rustls", feature = "native-tls"))]
            tls => Err(Self(tls)),
        }
    }

    /// Returns the stream with a TLS session over it.
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    pub(super) fn secure(self, secured: OpenedTls) -> Self {
        Self(match (self.0, secured) {
            (Layers::Plain(socket), OpenedTls::Proxy(session)) => {
                Layers::TlsToProxy(TlsStream::new(socket, session))
            }
            (Layers::Plain(socket), OpenedTls::Server(session)) => {
                Layers::Tls(TlsStream::new(socket, session))
            }
            (Layers::TlsToProxy(proxy), OpenedTls::Server(session)) => {
                Layers::TlsInTls(Box::new(TlsStream::new(proxy, session)))
            }
            // A route has at most one session with the proxy, and then at most one with the server.
            (tls, _) => tls,
        })
    }

    /// Is never called: without a feature for TLS, no value of [`OpenedTls`] exists.
    #[cfg(not(any(feature = "rustls", feature = "native-tls")))]
    pub(super) fn secure(self, secured: OpenedTls) -> Self {
        match secured {}
    }
}

impl<S> From<S> for ClientStream<S> {
    fn from(socket: S) -> Self {
        Self(Layers::Plain(socket))
    }
}

impl<S: fmt::Debug> fmt::Debug for ClientStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Layers::Plain(socket) => fmt::Debug::fmt(socket, f),
            #[cfg(any(feature = "rustls", feature = "native-tls"))]
            Layers::Tls(tls) | Layers::TlsToProxy(tls) => fmt::Debug::fmt(tls, f),
            #[cfg(any(feature = "rustls", feature = "native-tls"))]
            Layers::TlsInTls(tls) => fmt::Debug::fmt(tls, f),
        }
    }
}
