//! The reasons why a server's handshake did not open a WebSocket.
//!
//! The state machines of a server have no stream, so they end with a [`NotAccepted`]. The adapter adds the stream and
//! creates the public [`AcceptError`].

use core::error::Error;
use core::fmt;
use std::io;
use std::prelude::v1::*;

use super::plain_request::PlainRequest;
#[cfg(any(feature = "rustls", feature = "native-tls"))]
use super::tls::NotSecured;
use crate::handshake::{Rejection, ResponseError};
#[cfg(any(feature = "rustls", feature = "native-tls"))]
use crate::tls::TlsError;

/// The reason why a connection did not become a WebSocket. `C` is the type of a plain HTTP request with its stream.
#[derive(Debug)]
#[non_exhaustive]
pub enum AcceptError<C> {
    /// The stream failed or ended, or the peer read the response too slowly.
    Io(io::Error),
    /// The request broke a rule, came from an origin that is not allowed, or was not complete in time. The server has
    /// sent the response of the rejection.
    Rejected(Rejection),
    /// The request is plain HTTP. No response was sent.
    NotWebSocket(C),
    /// The 101 response cannot be sent, because a header or the subprotocol is invalid. The server has sent a response
    /// with status 500.
    Response(ResponseError),
    /// TLS could not be opened, for example because the client does not accept the certificate of the server.
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    #[cfg_attr(docsrs, doc(cfg(any(feature = "rustls", feature = "native-tls"))))]
    Tls(TlsError),
}

impl<C> fmt::Display for AcceptError<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the handshake failed: {error}"),
            Self::Rejected(rejection) => fmt::Display::fmt(rejection, f),
            Self::NotWebSocket(_) => f.write_str(
                "the request is plain HTTP and asks for no WebSocket (RFC 6455 4.2.1 (3)): answer it with \
                 HttpCall::respond",
            ),
            Self::Response(error) => fmt::Display::fmt(error, f),
            #[cfg(any(feature = "rustls", feature = "native-tls"))]
            Self::Tls(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl<C: fmt::Debug> Error for AcceptError<C> {
    /// Returns the inner error, which [`Display`](fmt::Display) shows as well.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Rejected(rejection) => Some(rejection),
            Self::NotWebSocket(_) => None,
            Self::Response(error) => Some(error),
            #[cfg(any(feature = "rustls", feature = "native-tls"))]
            Self::Tls(error) => Some(error),
        }
    }
}

impl<C> AcceptError<C> {
    /// Returns the error without the stream. The result can be stored or passed to another thread, whatever the type of
    /// the stream is.
    #[must_use]
    pub fn without_stream(self) -> AcceptError<()> {
        match self {
            Self::Io(error) => AcceptError::Io(error),
            Self::Rejected(rejection) => AcceptError::Rejected(rejection),
            Self::NotWebSocket(_) => AcceptError::NotWebSocket(()),
            Self::Response(error) => AcceptError::Response(error),
            #[cfg(any(feature = "rustls", feature = "native-tls"))]
            Self::Tls(error) => AcceptError::Tls(error),
        }
    }
}

#[cfg(any(feature = "rustls", feature = "native-tls"))]
impl<C> From<TlsError> for AcceptError<C> {
    fn from(error: TlsError) -> Self {
        Self::Tls(error)
    }
}

#[cfg(any(feature = "rustls", feature = "native-tls"))]
impl<C> From<NotSecured> for AcceptError<C> {
    fn from(why: NotSecured) -> Self {
        match why {
            NotSecured::Io(error) => error.into(),
            NotSecured::Tls(error) => Self::Tls(error),
        }
    }
}

impl<C> From<io::Error> for AcceptError<C> {
    /// Returns `Tls` for the error of a TLS stream, and `Io` for any other error.
    fn from(error: io::Error) -> Self {
        #[cfg(any(feature = "rustls", feature = "native-tls"))]
        if let Some(error) = error.get_ref().and_then(|error| error.downcast_ref::<TlsError>()) {
            return Self::Tls(error.clone());
        }
        Self::Io(error)
    }
}

impl<C> From<ResponseError> for AcceptError<C> {
    fn from(error: ResponseError) -> Self {
        Self::Response(error)
    }
}

/// The reason why a handshake failed: [`AcceptError`] without the stream.
#[derive(Debug)]
pub(in crate::adapters) enum NotAccepted {
    Io(io::Error),
    Rejected(Rejection),
    Http(Box<PlainRequest>),
    Response(ResponseError),
}

impl NotAccepted {
    /// Returns the public error. `call` adds the stream to a plain HTTP request.
    pub(in crate::adapters) fn into_error<C>(
        self,
        call: impl FnOnce(Box<PlainRequest>) -> C,
    ) -> AcceptError<C> {
        match self {
            Self::Io(error) => error.into(),
            Self::Rejected(rejection) => AcceptError::Rejected(rejection),
            Self::Http(request) => AcceptError::NotWebSocket(call(request)),
            Self::Response(error) => AcceptError::Response(error),
        }
    }
}
