//! The stream of a client: a stream of the runtime, or TLS over it.
//!
//! `Client::connect` takes `ws://` and `wss://` URLs, and its result has one type. So the type of the stream must not
//! depend on the URL, nor on the features of this crate. [`ClientStream`] hides which of the two it is. Without the
//! feature `rustls` it is always the stream of the runtime.

use core::fmt;
use std::prelude::v1::*;

#[cfg(feature = "rustls")]
use super::tls_stream::TlsStream;

/// The stream of a WebSocket that `Client::connect` has opened: `S`, which is a TCP stream, for `ws://`, and TLS over
/// `S` for `wss://`.
pub struct ClientStream<S>(pub(in crate::adapters) Kind<S>);

/// The two kinds of streams. The adapters of the runtimes read and write them.
pub(in crate::adapters) enum Kind<S> {
    Plain(S),
    #[cfg(feature = "rustls")]
    Tls(TlsStream<S>),
}

impl<S> ClientStream<S> {
    /// Returns the TCP stream. Over TLS it carries ciphertext: do not read from it or write to it.
    #[must_use]
    pub const fn socket(&self) -> &S {
        match &self.0 {
            Kind::Plain(stream) => stream,
            #[cfg(feature = "rustls")]
            Kind::Tls(tls) => tls.get_ref(),
        }
    }

    /// Returns the TLS stream, or `None` over plain TCP.
    #[cfg(feature = "rustls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    #[must_use]
    pub const fn tls(&self) -> Option<&TlsStream<S>> {
        match &self.0 {
            Kind::Plain(_) => None,
            Kind::Tls(tls) => Some(tls),
        }
    }

    /// Returns the TCP stream of a stream without TLS.
    ///
    /// # Errors
    ///
    /// The stream itself, if it is a TLS stream.
    pub fn into_tcp(self) -> Result<S, Self> {
        match self.0 {
            Kind::Plain(stream) => Ok(stream),
            #[cfg(feature = "rustls")]
            tls @ Kind::Tls(_) => Err(Self(tls)),
        }
    }
}

impl<S> From<S> for ClientStream<S> {
    fn from(stream: S) -> Self {
        Self(Kind::Plain(stream))
    }
}

#[cfg(feature = "rustls")]
impl<S> ClientStream<S> {
    /// Returns the stream of a client over TLS.
    pub(super) const fn over_tls(tls: TlsStream<S>) -> Self {
        Self(Kind::Tls(tls))
    }
}

impl<S: fmt::Debug> fmt::Debug for ClientStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Plain(stream) => fmt::Debug::fmt(stream, f),
            #[cfg(feature = "rustls")]
            Kind::Tls(tls) => fmt::Debug::fmt(tls, f),
        }
    }
}
