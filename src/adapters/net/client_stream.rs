//! The stream of a client: a socket, and TLS over it if TLS is needed.
//!
//! [`Client::connect`](super::Client::connect) takes `ws://` and `wss://` URLs, and its result has one type. So the
//! type of the stream must not depend on the URL, the proxy, or the features of this crate. [`ClientStream`] hides
//! which layers there are. Without a feature for TLS, a `ClientStream` is always the socket.
//!
//! Invariant: TLS over TLS occurs only through an `https` proxy. The inner session is the session with the server.

use core::fmt;
use core::time::Duration;
use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;
use std::prelude::v1::*;

use super::stream::Stream;
#[cfg(any(feature = "rustls", feature = "native-tls"))]
use super::tls_stream::TlsStream;
use crate::Instant;
use crate::adapters::handshake_driver::OpenedTls;
#[cfg(feature = "rustls")]
use crate::tls::rustls;

/// The stream of a WebSocket that [`Client::connect`](super::Client::connect) has opened: a socket `S` for `ws://`, and
/// TLS over the socket for `wss://`. The socket leads to the server or to a proxy. With an `https` proxy, the stream
/// also has a TLS session with the proxy.
///
/// ```
/// use hybi::adapters::net;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// let address = listener.local_addr()?;
/// let server = std::thread::spawn(move || net::accept(listener.accept().unwrap().0).unwrap());
/// let ws = net::connect(&format!("ws://{address}/"))?;
/// assert_eq!(ws.stream().socket().peer_addr()?, address);
/// # server.join().unwrap();
/// # Ok(())
/// # }
/// ```
pub struct ClientStream<S = TcpStream>(Layers<S>);

/// The socket with the TLS sessions over it.
enum Layers<S> {
    Plain(S),
    /// TLS to the server.
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    Tls(Box<TlsStream<S>>),
    /// TLS to a proxy, and a tunnel without TLS.
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    TlsToProxy(Box<TlsStream<S>>),
    /// TLS to the server in a tunnel over TLS to a proxy.
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    TlsInTls(Box<TlsStream<TlsStream<S>>>),
}

impl<S> ClientStream<S> {
    /// Returns the socket. If the stream uses TLS, the socket carries ciphertext: do not read from it or write to it.
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

    /// Calls `look` with the connection of rustls to the server, for example to read the version of TLS. Returns `None`
    /// for a `ws://` URL, and if the stream uses native-tls.
    ///
    /// Reads and writes on another handle to the stream block until `look` returns.
    #[cfg(feature = "rustls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    pub fn with_rustls<T>(&self, look: impl FnOnce(&rustls::Connection) -> T) -> Option<T> {
        match &self.0 {
            Layers::Plain(_) | Layers::TlsToProxy(_) => None,
            Layers::Tls(tls) => tls.with_rustls(look),
            Layers::TlsInTls(tls) => tls.with_rustls(look),
        }
    }

    /// Returns the socket of a stream without TLS.
    ///
    /// # Errors
    ///
    /// The stream itself, if it uses TLS to the server or to a proxy.
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
                Layers::TlsToProxy(Box::new(TlsStream::new(socket, session)))
            }
            (Layers::Plain(socket), OpenedTls::Server(session)) => {
                Layers::Tls(Box::new(TlsStream::new(socket, session)))
            }
            (Layers::TlsToProxy(proxy), OpenedTls::Server(session)) => {
                Layers::TlsInTls(Box::new(TlsStream::new(*proxy, session)))
            }
            // A route has at most one session with the proxy, and then at most one with the server.
            (tls, _) => tls,
        })
    }

    /// Is never called: without a feature for TLS, no value of [`OpenedTls`] exists.
    #[cfg(not(any(feature = "rustls", feature = "native-tls")))]
    pub(super) const fn secure(self, secured: OpenedTls) -> Self {
        match secured {}
    }
}

impl<S: Stream> ClientStream<S> {
    fn as_stream(&self) -> &dyn Stream {
        match &self.0 {
            Layers::Plain(socket) => socket,
            #[cfg(any(feature = "rustls", feature = "native-tls"))]
            Layers::Tls(tls) | Layers::TlsToProxy(tls) => &**tls,
            #[cfg(any(feature = "rustls", feature = "native-tls"))]
            Layers::TlsInTls(tls) => &**tls,
        }
    }

    fn as_stream_mut(&mut self) -> &mut dyn Stream {
        match &mut self.0 {
            Layers::Plain(socket) => socket,
            #[cfg(any(feature = "rustls", feature = "native-tls"))]
            Layers::Tls(tls) | Layers::TlsToProxy(tls) => &mut **tls,
            #[cfg(any(feature = "rustls", feature = "native-tls"))]
            Layers::TlsInTls(tls) => &mut **tls,
        }
    }
}

impl<S> From<S> for ClientStream<S> {
    fn from(socket: S) -> Self {
        Self(Layers::Plain(socket))
    }
}

impl<S: Stream> Read for ClientStream<S> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.as_stream_mut().read(to)
    }
}

impl<S: Stream> Write for ClientStream<S> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.as_stream_mut().write(from)
    }

    fn write_vectored(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        self.as_stream_mut().write_vectored(from)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.as_stream_mut().flush()
    }
}

impl<S: Stream> Stream for ClientStream<S> {
    fn close_write(&mut self) -> io::Result<()> {
        self.as_stream_mut().close_write()
    }

    fn abort(&mut self) {
        self.as_stream_mut().abort();
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        self.as_stream_mut().set_read_timeout(timeout)
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        self.as_stream_mut().set_write_timeout(timeout)
    }

    fn set_nonblocking(&mut self, on: bool) -> io::Result<bool> {
        self.as_stream_mut().set_nonblocking(on)
    }

    fn keeps_refused_bytes(&self) -> bool {
        self.as_stream().keeps_refused_bytes()
    }

    fn has_unflushed_bytes(&self) -> bool {
        self.as_stream().has_unflushed_bytes()
    }

    fn needs_flush_after_read(&self) -> bool {
        self.as_stream().needs_flush_after_read()
    }

    fn try_clone(&self) -> io::Result<Box<dyn Stream + Send>> {
        self.as_stream().try_clone()
    }

    fn clock(&self) -> Option<Instant> {
        self.as_stream().clock()
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
