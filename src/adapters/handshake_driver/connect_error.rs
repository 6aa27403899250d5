//! The reasons why a client's handshake did not open a WebSocket.
//!
//! The state machine [`Connecting`](super::connecting::Connecting) has no stream, so it ends with a [`NotConnected`].
//! The adapter adds the stream and creates the public [`ConnectError`]. A response other than 101 becomes a
//! [`ReceivedResponse`].

use core::error::Error;
use core::fmt;
use std::io;
use std::prelude::v1::*;
use std::sync::Arc;

use crate::dial::{DeadlineExceeded, Stage};
#[cfg(feature = "http")]
use crate::handshake::HttpRequestError;
use crate::handshake::{HandshakeError, Headers, HttpReply, RequestError, UrlError};
use crate::proxy::{ProxyError, ProxyVariableError};
use crate::redirect::RedirectError;
#[cfg(any(feature = "rustls", feature = "native-tls"))]
use crate::tls::TlsError;

/// The reason why no WebSocket was opened.
#[non_exhaustive]
pub enum ConnectError<S> {
    /// The URL is not a valid `ws://` or `wss://` URL.
    Url(UrlError),
    /// The URL is a `wss://` URL or the proxy is an `https` proxy, and no feature for TLS is on. Enable the features
    /// that the text of the error names, or create a TLS stream to the host and call `Client::open`.
    NeedsTls,
    /// TLS to the server could not be opened, for example because the certificate of the server is not valid.
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    #[cfg_attr(docsrs, doc(cfg(any(feature = "rustls", feature = "native-tls"))))]
    Tls(TlsError),
    /// TLS to the proxy could not be opened, or has failed before TLS to the server was open. If the server has TLS
    /// too, a later failure is [`Tls`](Self::Tls).
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    #[cfg_attr(docsrs, doc(cfg(any(feature = "rustls", feature = "native-tls"))))]
    ProxyTls(TlsError),
    /// The environment variable that names the proxy for this URL cannot be used. No connection was made.
    ProxyVariable(ProxyVariableError),
    /// The proxy opened no tunnel, or the client could not ask for one.
    Proxy(ProxyError),
    /// The request cannot be sent: a header, a subprotocol or the origin is invalid.
    Request(RequestError),
    /// The `http::Request` cannot be sent. An error in its URL is [`Url`](Self::Url) instead, and an error in a header
    /// is [`Request`](Self::Request).
    #[cfg(feature = "http")]
    #[cfg_attr(docsrs, doc(cfg(feature = "http")))]
    HttpRequest(HttpRequestError),
    /// The application had no target for this attempt of a reconnecting client. The error is that of the application.
    Target(Arc<dyn Error + Send + Sync>),
    /// No connection could be made. The error names the addresses that were tried.
    ///
    /// If several addresses were tried, the error has the kind of the last error with which a host refused or reset the
    /// connection. Other errors may only show that this machine cannot reach an address. The source of this error is
    /// the error of the system, with its [`raw_os_error`](io::Error::raw_os_error).
    Connect(io::Error),
    /// The WebSocket was not open in time. The error names the stage that was running, for example the name resolution.
    Deadline(DeadlineExceeded),
    /// The stream failed or ended during a handshake, or the system provides no entropy. The text of the error names
    /// the [`Stage`], for example the TLS handshake. The [`source`](Error::source) of this [`io::Error`] is the error
    /// of the stream.
    Io(io::Error),
    /// The response is not valid for a WebSocket handshake.
    Handshake(HandshakeError),
    /// The server answered with a status other than 101.
    Http(ReceivedResponse<S>),
    /// The server answered with a redirect that the client does not follow, although
    /// [redirects](super::Client::max_redirects) are turned on. The error has the reason and the response.
    Redirect(RedirectError, ReceivedResponse<S>),
    /// The client has followed redirects, and then the last request failed. [`response`](Self::response) and
    /// [`without_redirects`](Self::without_redirects) look into the error of that request.
    Redirected {
        /// The number of redirects that were followed; at least 1.
        redirects: u32,
        /// The server of the last request: the host, followed by the port if the port is not the default.
        server: String,
        /// The error of the last request. It is never another `Redirected`.
        error: Box<Self>,
    },
}

impl<S> fmt::Display for ConnectError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(error) => fmt::Display::fmt(error, f),
            Self::NeedsTls => f.write_str(
                "the URL is a wss URL or the proxy an https proxy, and TLS is not enabled: enable the features \
                 rustls-ring and webpki-roots of hybi (or rustls-aws-lc-rs, platform-verifier), or native-tls, or pass \
                 a TLS stream to Client::open",
            ),
            #[cfg(any(feature = "rustls", feature = "native-tls"))]
            Self::Tls(error) => fmt::Display::fmt(error, f),
            #[cfg(any(feature = "rustls", feature = "native-tls"))]
            Self::ProxyTls(error) => write!(f, "TLS to the proxy has failed: {error}"),
            Self::ProxyVariable(error) => fmt::Display::fmt(error, f),
            Self::Proxy(error) => fmt::Display::fmt(error, f),
            Self::Request(error) => fmt::Display::fmt(error, f),
            #[cfg(feature = "http")]
            Self::HttpRequest(error) => fmt::Display::fmt(error, f),
            Self::Target(error) => write!(f, "the application has no target for this attempt: {error}"),
            Self::Connect(error) => write!(f, "cannot connect: {error}"),
            Self::Deadline(error) => fmt::Display::fmt(error, f),
            Self::Io(error) => write!(f, "no WebSocket was opened: {error}"),
            Self::Handshake(error) => fmt::Display::fmt(error, f),
            Self::Redirect(reason, _) => fmt::Display::fmt(reason, f),
            Self::Redirected { redirects: 1, server, error } => {
                write!(f, "after a redirect to {server}: {error}")
            }
            Self::Redirected { redirects, server, error } => {
                write!(f, "after {redirects} redirects, the last one to {server}: {error}")
            }
            Self::Http(response) => write!(
                    f,
                    "the server answered with status {} instead of 101 (RFC 6455 4.1 (1)): read the reason in the \
                     response",
                    response.status
                ),
        }
    }
}

impl<S> fmt::Debug for ConnectError<S> {
    // Written by hand, because `S` need not implement `Debug`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(error) => f.debug_tuple("Url").field(error).finish(),
            Self::NeedsTls => f.write_str("NeedsTls"),
            #[cfg(any(feature = "rustls", feature = "native-tls"))]
            Self::Tls(error) => f.debug_tuple("Tls").field(error).finish(),
            #[cfg(any(feature = "rustls", feature = "native-tls"))]
            Self::ProxyTls(error) => f.debug_tuple("ProxyTls").field(error).finish(),
            Self::ProxyVariable(error) => f.debug_tuple("ProxyVariable").field(error).finish(),
            Self::Proxy(error) => f.debug_tuple("Proxy").field(error).finish(),
            Self::Request(error) => f.debug_tuple("Request").field(error).finish(),
            #[cfg(feature = "http")]
            Self::HttpRequest(error) => f.debug_tuple("HttpRequest").field(error).finish(),
            Self::Target(error) => f.debug_tuple("Target").field(error).finish(),
            Self::Connect(error) => f.debug_tuple("Connect").field(error).finish(),
            Self::Deadline(error) => f.debug_tuple("Deadline").field(error).finish(),
            Self::Io(error) => f.debug_tuple("Io").field(error).finish(),
            Self::Handshake(error) => f.debug_tuple("Handshake").field(error).finish(),
            Self::Http(response) => f.debug_tuple("Http").field(response).finish(),
            Self::Redirect(reason, response) => {
                f.debug_tuple("Redirect").field(reason).field(response).finish()
            }
            Self::Redirected { redirects, server, error } => f
                .debug_struct("Redirected")
                .field("redirects", redirects)
                .field("server", server)
                .field("error", error)
                .finish(),
        }
    }
}

impl<S> Error for ConnectError<S> {
    /// Returns the inner error, which [`Display`](fmt::Display) shows as well.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Url(error) => Some(error),
            Self::Request(error) => Some(error),
            #[cfg(feature = "http")]
            Self::HttpRequest(error) => Some(error),
            Self::Redirect(reason, _) => Some(reason),
            Self::Target(error) => Some(&**error),
            Self::Connect(error) | Self::Io(error) => Some(error),
            Self::Deadline(error) => Some(error),
            Self::Handshake(error) => Some(error),
            #[cfg(any(feature = "rustls", feature = "native-tls"))]
            Self::Tls(error) | Self::ProxyTls(error) => Some(error),
            Self::ProxyVariable(error) => Some(error),
            Self::Proxy(error) => Some(error),
            // The error of the last request contains a stream, which need not be `'static`.
            Self::Redirected { error, .. } => error.source(),
            Self::NeedsTls | Self::Http(_) => None,
        }
    }
}

/// The error of a stream, with the stage in which it occurred.
#[derive(Debug)]
struct FailedStage {
    stage: Stage,
    error: io::Error,
}

impl fmt::Display for FailedStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed: {}", self.stage, self.error)
    }
}

impl Error for FailedStage {
    /// Returns the inner error, which [`Display`](fmt::Display) shows as well.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

impl<S> ConnectError<S> {
    /// Returns the error for a stream that has failed in `stage`.
    pub(super) fn from_io(stage: Stage, error: io::Error) -> Self {
        match error.into() {
            Self::Io(error) => Self::Io(io::Error::new(error.kind(), FailedStage { stage, error })),
            error => error,
        }
    }

    /// Returns the error without the stream. The result can be stored or passed to another thread, whatever the type of
    /// the stream is.
    #[must_use]
    pub fn without_stream(self) -> ConnectError<()> {
        match self {
            Self::Url(error) => ConnectError::Url(error),
            Self::NeedsTls => ConnectError::NeedsTls,
            #[cfg(any(feature = "rustls", feature = "native-tls"))]
            Self::Tls(error) => ConnectError::Tls(error),
            #[cfg(any(feature = "rustls", feature = "native-tls"))]
            Self::ProxyTls(error) => ConnectError::ProxyTls(error),
            Self::ProxyVariable(error) => ConnectError::ProxyVariable(error),
            Self::Proxy(error) => ConnectError::Proxy(error),
            Self::Request(error) => ConnectError::Request(error),
            #[cfg(feature = "http")]
            Self::HttpRequest(error) => ConnectError::HttpRequest(error),
            Self::Target(error) => ConnectError::Target(error),
            Self::Connect(error) => ConnectError::Connect(error),
            Self::Deadline(error) => ConnectError::Deadline(error),
            Self::Io(error) => ConnectError::Io(error),
            Self::Handshake(error) => ConnectError::Handshake(error),
            Self::Http(response) => ConnectError::Http(response.with_stream(())),
            Self::Redirect(reason, response) => ConnectError::Redirect(reason, response.with_stream(())),
            Self::Redirected { redirects, server, error } => {
                ConnectError::Redirected { redirects, server, error: Box::new(error.without_stream()) }
            }
        }
    }

    /// Returns the error of the last request: the inner error of [`Redirected`](Self::Redirected), and every other
    /// error unchanged.
    #[must_use]
    pub fn without_redirects(self) -> Self {
        match self {
            Self::Redirected { error, .. } => *error,
            error => error,
        }
    }

    /// Returns the response that the server sent instead of a 101, or `None` if it sent no such response.
    #[must_use]
    pub fn response(&self) -> Option<&ReceivedResponse<S>> {
        match self {
            Self::Http(response) | Self::Redirect(_, response) => Some(response),
            Self::Redirected { error, .. } => error.response(),
            _ => None,
        }
    }
}

impl<S> From<UrlError> for ConnectError<S> {
    fn from(error: UrlError) -> Self {
        Self::Url(error)
    }
}

impl<S> From<RequestError> for ConnectError<S> {
    fn from(error: RequestError) -> Self {
        Self::Request(error)
    }
}

#[cfg(feature = "http")]
impl<S> From<HttpRequestError> for ConnectError<S> {
    fn from(error: HttpRequestError) -> Self {
        match error {
            HttpRequestError::Url(error) => Self::Url(error),
            HttpRequestError::Request(error) => Self::Request(error),
            error => Self::HttpRequest(error),
        }
    }
}

impl<S> From<DeadlineExceeded> for ConnectError<S> {
    fn from(error: DeadlineExceeded) -> Self {
        Self::Deadline(error)
    }
}

impl<S> From<ProxyVariableError> for ConnectError<S> {
    fn from(error: ProxyVariableError) -> Self {
        Self::ProxyVariable(error)
    }
}

impl<S> From<ProxyError> for ConnectError<S> {
    fn from(error: ProxyError) -> Self {
        Self::Proxy(error)
    }
}

#[cfg(any(feature = "rustls", feature = "native-tls"))]
impl<S> From<TlsError> for ConnectError<S> {
    fn from(error: TlsError) -> Self {
        Self::Tls(error)
    }
}

impl<S> From<io::Error> for ConnectError<S> {
    /// Returns `Tls` for the error of a TLS stream, and `Io` for any other error.
    fn from(error: io::Error) -> Self {
        #[cfg(any(feature = "rustls", feature = "native-tls"))]
        if let Some(error) = error.get_ref().and_then(|error| error.downcast_ref::<TlsError>()) {
            return Self::Tls(error.clone());
        }
        Self::Io(error)
    }
}

impl<S> From<HandshakeError> for ConnectError<S> {
    fn from(error: HandshakeError) -> Self {
        Self::Handshake(error)
    }
}

/// A response with a status other than 101, such as 401 or a redirect, and its stream.
pub struct ReceivedResponse<S> {
    /// The status code.
    pub status: u16,
    /// The bytes that were read: interim responses (1xx), the head, and the first bytes of the body.
    pub received: Vec<u8>,
    /// The number of bytes of `received` before the body: interim responses (1xx) and the head.
    pub head_len: usize,
    /// The stream. The rest of the body can be read from it.
    pub stream: S,
    /// The position in `received` at which the final response begins.
    ///
    /// Interim responses (RFC 9110 section 15.2) come first and look like the final response. A parser would be needed
    /// to find this position again, so the position is stored.
    head_start: usize,
    /// The position in `received` at which the header lines of the final response begin.
    headers_start: usize,
}

impl ReceivedResponse<()> {
    pub(super) fn new(response: &HttpReply<'_>, received: &[u8]) -> Self {
        let (head_start, head_len) = (response.head_start(), response.head_len());
        Self {
            status: response.status(),
            received: received.to_vec(),
            head_len,
            stream: (),
            head_start,
            // The header lines are the last part of the head.
            headers_start: head_len.saturating_sub(response.headers().as_bytes().len()),
        }
    }
}

impl<S> ReceivedResponse<S> {
    fn with_stream<T>(self, stream: T) -> ReceivedResponse<T> {
        let Self { status, received, head_len, head_start, headers_start, .. } = self;
        ReceivedResponse { status, received, head_len, stream, head_start, headers_start }
    }

    /// Returns the head of the response, from the status line to the empty line. The head does not include interim
    /// responses (1xx).
    #[must_use]
    pub fn head(&self) -> &[u8] {
        self.received.get(self.head_start..self.head_len).unwrap_or_default()
    }

    /// Returns the headers of the response, for example `Location`. They do not include the headers of interim
    /// responses (1xx).
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        Headers::from_lines(self.received.get(self.headers_start..self.head_len).unwrap_or_default())
    }

    /// Returns the part of the body that was read together with the head. The rest can be read from `stream`.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.received.get(self.head_len..).unwrap_or_default()
    }
}

impl<S> fmt::Debug for ReceivedResponse<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, head_len, .. } = self;
        f.debug_struct("ReceivedResponse")
            .field("status", status)
            .field("head_len", head_len)
            .finish_non_exhaustive()
    }
}

/// The reason why a handshake failed: [`ConnectError`] without the stream.
#[derive(Debug)]
pub(in crate::adapters) enum NotConnected {
    Request(RequestError),
    Deadline(DeadlineExceeded),
    Io(io::Error),
    Handshake(HandshakeError),
    Http(Box<ReceivedResponse<()>>),
}

impl From<RequestError> for NotConnected {
    fn from(error: RequestError) -> Self {
        Self::Request(error)
    }
}

impl From<DeadlineExceeded> for NotConnected {
    fn from(error: DeadlineExceeded) -> Self {
        Self::Deadline(error)
    }
}

impl From<io::Error> for NotConnected {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<HandshakeError> for NotConnected {
    fn from(error: HandshakeError) -> Self {
        Self::Handshake(error)
    }
}

impl NotConnected {
    /// Returns the public error, with the stream.
    pub(in crate::adapters) fn into_error<S>(self, stream: S) -> ConnectError<S> {
        match self {
            Self::Request(error) => ConnectError::Request(error),
            Self::Deadline(error) => ConnectError::Deadline(error),
            Self::Io(error) => ConnectError::from_io(Stage::Handshake, error),
            Self::Handshake(error) => ConnectError::Handshake(error),
            Self::Http(response) => ConnectError::Http(response.with_stream(stream)),
        }
    }
}
