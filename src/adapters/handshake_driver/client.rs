//! The builder [`Client`], and the client's side of the opening handshake.
//!
//! ```text
//!   Client ── request_for ──▶ ClientRequest ── connecting ──▶ Connecting ── finish ──▶ Opened or NotConnected
//! ```
//!
//! [`Connecting`] writes the request and reads until the response is complete. The adapter performs its steps, and
//! adds the stream to a [`NotConnected`] to make the public [`ConnectError`]. Resolving and connecting is the
//! adapter's work, and the rules for requests and responses are in `crate::handshake`.
//!
//! Invariant: the key and the masking seed of each connection come from the system's random source (RFC 6455 sections
//! 4.1 and 10.3).

use core::fmt;
use core::time::Duration;
use std::io;
use std::prelude::v1::*;

use super::{Did, Handshake, HandshakeDriver, Opened, Outgoing, Received, Step, borrowed, unexpected_eof};
#[cfg(feature = "deflate")]
use crate::handshake::DeflateOffer;
use crate::handshake::{
    ClientHandshake, ClientRequest, HandshakeError, HeadLimits, Headers, HttpResponse, Reply, RequestError,
    UrlError, WsUrl,
};
use crate::{Connection, Inbox, Instant, Outbox, SharedConfig};

/// The settings of a client's requests and connections. `R` is the runtime marker of the adapter.
///
/// The methods that connect are on the adapter's page: `net::Client` for example. Two rules are up to the caller. Only
/// one connection to a host should be connecting at a time (RFC 6455 section 4.1). Before connecting again after a
/// failure, a client should wait for a random time that grows (section 7.2.3).
#[derive(Clone, Debug)]
pub struct Client<R> {
    runtime: R,
    config: SharedConfig,
    limits: HeadLimits,
    pub(in crate::adapters) connect_timeout: Option<Duration>,
    handshake_timeout: Option<Duration>,
    origin: Option<String>,
    subprotocols: Vec<String>,
    headers: Vec<(String, String)>,
    #[cfg(feature = "deflate")]
    deflate: Option<DeflateOffer>,
}

impl<R: Default> Default for Client<R> {
    fn default() -> Self {
        Self::with_runtime(R::default())
    }
}

impl<R> Client<R> {
    /// Creates a client with the defaults on a runtime of the application: a clock, and the
    /// [`Transport`](crate::adapters::async_driver::Transport) of the application's own stream. Each connection gets a
    /// clone of `runtime`.
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
            headers: Vec::new(),
            #[cfg(feature = "deflate")]
            deflate: None,
        }
    }

    /// Returns the runtime marker.
    #[must_use]
    pub const fn runtime(&self) -> &R {
        &self.runtime
    }

    /// Sets the limits, timers and behaviour of the connection: a [`Config`](crate::Config), or a shared one.
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

    /// Sets how long the adapter may take to connect to each address of the host. `None` leaves it to the system.
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

    /// Sets the subprotocols to offer, the preferred ones first (RFC 6455 section 1.9).
    #[must_use]
    pub fn subprotocols<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.subprotocols = names.into_iter().map(Into::into).collect();
        self
    }

    /// Offers permessage-deflate (RFC 7692), off by default. If the server agrees, messages are compressed with the
    /// settings of [`Config::compression`](crate::Config::compression).
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(mut self, offer: impl Into<Option<DeflateOffer>>) -> Self {
        self.deflate = offer.into();
        self
    }

    /// Adds a header to the request.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Returns the subprotocols to offer.
    pub(in crate::adapters) fn offered(&self) -> Vec<&str> {
        self.subprotocols.iter().map(String::as_str).collect()
    }

    /// Returns the headers that were added to the request.
    pub(in crate::adapters) fn more_headers(&self) -> Vec<(&str, &str)> {
        borrowed(&self.headers)
    }

    /// Returns the request for `url`. `subprotocols` and `headers` are the results of [`offered`](Self::offered) and
    /// [`more_headers`](Self::more_headers), which the request borrows.
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

    /// Checks that the request for `url` can be sent, before a connection is made for it.
    #[cfg(any(feature = "net", feature = "tokio"))]
    pub(in crate::adapters) fn check(&self, url: &WsUrl<'_>) -> Result<(), RequestError> {
        let (subprotocols, headers) = (self.offered(), self.more_headers());
        let request = self.request_for(url, &subprotocols, &headers);
        ClientHandshake::new(request, [0; 16], self.limits).map(drop)
    }

    /// Starts the handshake for one connection, with `request`.
    pub(in crate::adapters) fn connecting<'r>(
        &self,
        now: Instant,
        request: ClientRequest<'r>,
    ) -> Result<Connecting<'r>, NotConnected> {
        let (mut nonce, mut seed) = ([0; 16], [0; 32]);
        entropy(&mut nonce)?;
        entropy(&mut seed)?;
        let mut handshake = ClientHandshake::new(request, nonce, self.limits)?;
        if let Some(timeout) = self.handshake_timeout {
            handshake = handshake.with_timeout(now, timeout);
        }
        Ok(Connecting {
            out: Outgoing::new(handshake.to_vec()),
            again: handshake.clone(),
            handshake,
            received: Received::default(),
            config: self.config.clone(),
            seed,
            result: None,
        })
    }
}

fn entropy(to: &mut [u8]) -> io::Result<()> {
    getrandom::fill(to).map_err(|error| io::Error::other(std::format!("no entropy from the system: {error}")))
}

/// The client's side of a handshake, as a state machine without I/O.
#[derive(Debug)]
pub(in crate::adapters) struct Connecting<'r> {
    out: Outgoing,
    handshake: ClientHandshake<'r>,
    /// A handshake that has read nothing. It reads the complete head again, and returns values that borrow from it.
    again: ClientHandshake<'r>,
    received: Received,
    config: SharedConfig,
    /// The seed of the masking keys.
    seed: [u8; 32],
    result: Option<Result<Opened, NotConnected>>,
}

/// The addresses of a host that could not be connected to, with the errors.
#[cfg(any(feature = "net", feature = "tokio"))]
#[derive(Debug, Default)]
pub(in crate::adapters) struct Tried {
    /// Each address with its error, separated by commas.
    why: String,
    kind: Option<io::ErrorKind>,
}

#[cfg(any(feature = "net", feature = "tokio"))]
impl Tried {
    pub(in crate::adapters) fn failed(&mut self, address: core::net::SocketAddr, error: &io::Error) {
        let comma = if self.why.is_empty() { "" } else { ", " };
        self.why += &std::format!("{comma}{address}: {error}");
        self.kind = Some(error.kind());
    }

    pub(in crate::adapters) fn into_error<S>(self) -> ConnectError<S> {
        let Self { why, kind } = self;
        ConnectError::Connect(match kind {
            Some(kind) => io::Error::new(kind, why),
            None => io::Error::new(io::ErrorKind::NotFound, "the host has no address"),
        })
    }
}

/// The reason why a handshake failed: [`ConnectError`] without the stream.
#[derive(Debug)]
pub(in crate::adapters) enum NotConnected {
    Request(RequestError),
    Io(io::Error),
    Handshake(HandshakeError),
    Http(Box<HttpAnswer<()>>),
}

impl HandshakeDriver for Connecting<'_> {
    fn poll_step(&mut self) -> Step<'_> {
        if self.result.is_some() {
            Step::Done
        } else if self.out.is_done() {
            Step::Read(self.received.space())
        } else {
            self.out.poll_step()
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.handshake.poll_timeout()
    }

    fn handle(&mut self, now: Instant, did: io::Result<Did>) {
        match self.advance(now, did) {
            Ok(None) => {}
            Ok(Some(opened)) => self.result = Some(Ok(opened)),
            Err(why) => self.result = Some(Err(why)),
        }
    }
}

impl Connecting<'_> {
    /// Returns the result, after [`Step::Done`].
    pub(in crate::adapters) fn finish(self) -> Result<Opened, NotConnected> {
        self.result.unwrap_or_else(|| Err(unexpected_eof().into()))
    }

    /// Handles a step. Returns the connection once the response is complete.
    fn advance(&mut self, now: Instant, did: io::Result<Did>) -> Result<Option<Opened>, NotConnected> {
        match did? {
            Did::Read(0) => return Err(unexpected_eof().into()),
            Did::Read(n) => {
                if self.handshake.poll(self.received.handle_read(n))?.is_some() {
                    return self.open(now).map(Some);
                }
            }
            did => self.out.handle(&did),
        }
        self.handshake.handle_timeout(now)?;
        Ok(None)
    }

    fn open(&mut self, now: Instant) -> Result<Opened, NotConnected> {
        let received = self.received.bytes();
        let opened = match self.again.poll(received)? {
            Some(Reply::Open(opened)) => opened,
            Some(Reply::Http(response)) => {
                return Err(NotConnected::Http(Box::new(HttpAnswer::new(&response, received))));
            }
            None => return Err(unexpected_eof().into()),
        };
        let connection = Connection::client(now, self.config.clone(), Outbox::new(), self.seed);
        #[cfg(feature = "deflate")]
        let connection = connection.with_deflate(opened.deflate());
        Ok(Opened {
            connection,
            inbox: Inbox::with_bytes(received.get(opened.head_len()..).unwrap_or_default()),
            handshake: Handshake::new(opened.subprotocol(), opened.headers().as_bytes()),
        })
    }
}

impl From<RequestError> for NotConnected {
    fn from(error: RequestError) -> Self {
        Self::Request(error)
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
            Self::Io(error) => ConnectError::Io(error),
            Self::Handshake(error) => ConnectError::Handshake(error),
            Self::Http(answer) => ConnectError::Http(answer.with_stream(stream)),
        }
    }
}

/// A response with a status other than 101, and its stream. Examples are 401, a redirect, and an error.
pub struct HttpAnswer<S> {
    /// The status code.
    pub status: u16,
    /// The bytes that were read: interim responses (1xx), the head, and the first bytes of the body.
    pub received: Vec<u8>,
    /// The number of bytes of `received` before the body: interim responses (1xx) and the head.
    pub head_len: usize,
    /// The stream, from which the rest of a body can be read.
    pub stream: S,
    /// The position in `received` where the final response begins. An interim response (RFC 9110 section 15.2) has the
    /// same form, so only the parser can tell this position.
    head_start: usize,
    /// The position in `received` where the header lines of the final response begin.
    headers_start: usize,
}

impl HttpAnswer<()> {
    fn new(response: &HttpResponse<'_>, received: &[u8]) -> Self {
        let (head_start, head_len) = (response.head_start(), response.head_len());
        Self {
            status: response.status(),
            received: received.to_vec(),
            head_len,
            stream: (),
            head_start,
            // The header lines are the end of the head.
            headers_start: head_len.saturating_sub(response.headers().as_bytes().len()),
        }
    }
}

impl<S> HttpAnswer<S> {
    fn with_stream<T>(self, stream: T) -> HttpAnswer<T> {
        let Self { status, received, head_len, head_start, headers_start, .. } = self;
        HttpAnswer { status, received, head_len, stream, head_start, headers_start }
    }

    /// Returns the head of the response, from the status line to the empty line. Interim responses (1xx) that came
    /// before the response are not part of it.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        self.received.get(self.head_start..self.head_len).unwrap_or_default()
    }

    /// Returns the headers of the response, such as `Location`, without those of interim responses (1xx).
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

impl<S> fmt::Debug for HttpAnswer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, head_len, .. } = self;
        f.debug_struct("HttpAnswer")
            .field("status", status)
            .field("head_len", head_len)
            .finish_non_exhaustive()
    }
}

/// The reason why no WebSocket was opened.
#[non_exhaustive]
pub enum ConnectError<S> {
    /// The URL is not a valid `ws://` or `wss://` URL.
    Url(UrlError),
    /// The URL is a `wss` URL, and this crate has no TLS. Make a TLS stream to the host and call `Client::open`.
    NeedsTls,
    /// The request cannot be sent: a header, a subprotocol or the origin is invalid.
    Request(RequestError),
    /// No connection could be made. The error names the addresses that were tried.
    Connect(io::Error),
    /// The stream failed or ended during the handshake.
    Io(io::Error),
    /// The response is not valid for a WebSocket handshake, or it came too late.
    Handshake(HandshakeError),
    /// The server answered with a status other than 101.
    Http(HttpAnswer<S>),
}

impl<S> fmt::Display for ConnectError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(error) => fmt::Display::fmt(error, f),
            Self::NeedsTls => f.write_str(
                "wss needs TLS, which this crate leaves to others: connect with a TLS library and pass its stream to \
                 Client::open",
            ),
            Self::Request(error) => fmt::Display::fmt(error, f),
            Self::Connect(error) => write!(f, "cannot connect: {error}"),
            Self::Io(error) => write!(f, "the stream failed during the handshake: {error}"),
            Self::Handshake(error) => fmt::Display::fmt(error, f),
            Self::Http(answer) => write!(f, "the server answered with status {} instead of 101", answer.status),
        }
    }
}

impl<S> fmt::Debug for ConnectError<S> {
    // Written by hand because `S` may have no `Debug`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(error) => f.debug_tuple("Url").field(error).finish(),
            Self::NeedsTls => f.write_str("NeedsTls"),
            Self::Request(error) => f.debug_tuple("Request").field(error).finish(),
            Self::Connect(error) => f.debug_tuple("Connect").field(error).finish(),
            Self::Io(error) => f.debug_tuple("Io").field(error).finish(),
            Self::Handshake(error) => f.debug_tuple("Handshake").field(error).finish(),
            Self::Http(answer) => f.debug_tuple("Http").field(answer).finish(),
        }
    }
}

impl<S> core::error::Error for ConnectError<S> {}

impl<S> ConnectError<S> {
    /// Returns the error without the stream. The stream may be bound to a thread or borrow a value.
    #[must_use]
    pub fn without_stream(self) -> ConnectError<()> {
        match self {
            Self::Url(error) => ConnectError::Url(error),
            Self::NeedsTls => ConnectError::NeedsTls,
            Self::Request(error) => ConnectError::Request(error),
            Self::Connect(error) => ConnectError::Connect(error),
            Self::Io(error) => ConnectError::Io(error),
            Self::Handshake(error) => ConnectError::Handshake(error),
            Self::Http(answer) => ConnectError::Http(answer.with_stream(())),
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

impl<S> From<io::Error> for ConnectError<S> {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl<S> From<HandshakeError> for ConnectError<S> {
    fn from(error: HandshakeError) -> Self {
        Self::Handshake(error)
    }
}
