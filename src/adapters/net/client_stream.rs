//! The stream of a client: TCP, or TLS over TCP.
//!
//! [`Client::connect`](super::Client::connect) takes `ws://` and `wss://` URLs, and its result has one type. So the
//! type of the stream must not depend on the URL, nor on the features of this crate. [`ClientStream`] hides which of
//! the two it is. Without the feature `rustls` it is always TCP.

use core::fmt;
use core::time::Duration;
use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;
use std::prelude::v1::*;

use super::stream::Stream;
#[cfg(feature = "rustls")]
use super::tls_stream::TlsStream;
use crate::Instant;

/// The stream of a WebSocket that [`Client::connect`](super::Client::connect) has opened: TCP for `ws://`, and TLS over
/// TCP for `wss://`.
pub struct ClientStream(Kind);

enum Kind {
    Tcp(TcpStream),
    #[cfg(feature = "rustls")]
    Tls(Box<TlsStream<TcpStream>>),
}

impl ClientStream {
    /// Returns the TCP socket. Over TLS it carries ciphertext: do not read from it or write to it.
    #[must_use]
    pub const fn socket(&self) -> &TcpStream {
        match &self.0 {
            Kind::Tcp(socket) => socket,
            #[cfg(feature = "rustls")]
            Kind::Tls(tls) => tls.get_ref(),
        }
    }

    /// Returns the TLS stream, or `None` over plain TCP.
    #[cfg(feature = "rustls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    #[must_use]
    pub fn tls(&self) -> Option<&TlsStream<TcpStream>> {
        match &self.0 {
            Kind::Tcp(_) => None,
            Kind::Tls(tls) => Some(tls),
        }
    }

    /// Returns the TCP socket of a stream without TLS.
    ///
    /// # Errors
    ///
    /// The stream itself, if it is a TLS stream.
    pub fn into_tcp(self) -> Result<TcpStream, Self> {
        match self.0 {
            Kind::Tcp(socket) => Ok(socket),
            #[cfg(feature = "rustls")]
            tls @ Kind::Tls(_) => Err(Self(tls)),
        }
    }

    fn get(&self) -> &dyn Stream {
        match &self.0 {
            Kind::Tcp(socket) => socket,
            #[cfg(feature = "rustls")]
            Kind::Tls(tls) => &**tls,
        }
    }

    fn get_mut(&mut self) -> &mut dyn Stream {
        match &mut self.0 {
            Kind::Tcp(socket) => socket,
            #[cfg(feature = "rustls")]
            Kind::Tls(tls) => &mut **tls,
        }
    }
}

impl From<TcpStream> for ClientStream {
    fn from(socket: TcpStream) -> Self {
        Self(Kind::Tcp(socket))
    }
}

#[cfg(feature = "rustls")]
impl From<TlsStream<TcpStream>> for ClientStream {
    fn from(tls: TlsStream<TcpStream>) -> Self {
        Self(Kind::Tls(Box::new(tls)))
    }
}

impl Read for ClientStream {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.get_mut().read(to)
    }
}

impl Write for ClientStream {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.get_mut().write(from)
    }

    fn write_vectored(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        self.get_mut().write_vectored(from)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.get_mut().flush()
    }
}

impl Stream for ClientStream {
    fn close_write(&mut self) -> io::Result<()> {
        self.get_mut().close_write()
    }

    fn abort(&mut self) {
        self.get_mut().abort();
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        self.get_mut().set_read_timeout(timeout)
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        self.get_mut().set_write_timeout(timeout)
    }

    fn set_nonblocking(&mut self, on: bool) -> io::Result<bool> {
        self.get_mut().set_nonblocking(on)
    }

    fn keeps_refused_bytes(&self) -> bool {
        self.get().keeps_refused_bytes()
    }

    fn has_unflushed_bytes(&self) -> bool {
        self.get().has_unflushed_bytes()
    }

    fn try_clone(&self) -> io::Result<Box<dyn Stream + Send>> {
        self.get().try_clone()
    }

    fn clock(&self) -> Option<Instant> {
        self.get().clock()
    }
}

impl fmt::Debug for ClientStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Tcp(socket) => fmt::Debug::fmt(socket, f),
            #[cfg(feature = "rustls")]
            Kind::Tls(tls) => fmt::Debug::fmt(tls, f),
        }
    }
}
