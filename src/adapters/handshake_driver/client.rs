//! What a client is told, and its end of the handshake.

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

/// What a client is told before it connects. `R` is what it runs on, which each adapter names.
///
/// Of connections to one host only one should be connecting at a time (RFC 6455 section 4.1), and whoever
/// connects again after a failure should wait for a random time that grows (section 7.2.3): both are up to
/// the caller.
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
        Self::on(R::default())
    }
}

impl<R> Client<R> {
    pub(in crate::adapters) fn on(runtime: R) -> Self {
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

    /// What it runs on.
    #[must_use]
    pub const fn runtime(&self) -> &R {
        &self.runtime
    }

    /// Limits, timers and habits of the connection: a [`Config`](crate::Config), or one that is shared.
    #[must_use]
    pub fn config(mut self, config: impl Into<SharedConfig>) -> Self {
        self.config = config.into();
        self
    }

    /// The limits on a response's head.
    #[must_use]
    pub fn head_limits(mut self, limits: HeadLimits) -> Self {
        self.limits = limits;
        self
    }

    /// How long to wait for each address that the host has, where the adapter connects; `None` as long as the
    /// system does.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long the handshake may take; `None` for ever.
    #[must_use]
    pub fn handshake_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// The origin to send, as a browser does.
    #[must_use]
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.origin = Some(origin.into());
        self
    }

    /// The subprotocols to offer, the preferred ones first.
    #[must_use]
    pub fn subprotocols<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.subprotocols = names.into_iter().map(Into::into).collect();
        self
    }

    /// Offers to compress messages (RFC 7692), which is done if the server agrees; not by default. How is in
    /// [`Config`](crate::Config).
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(mut self, offer: impl Into<Option<DeflateOffer>>) -> Self {
        self.deflate = offer.into();
        self
    }

    /// One more header of the request.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The subprotocols that are offered.
    pub(in crate::adapters) fn offered(&self) -> Vec<&str> {
        self.subprotocols.iter().map(String::as_str).collect()
    }

    /// The headers of the request, besides those of the handshake.
    pub(in crate::adapters) fn more_headers(&self) -> Vec<(&str, &str)> {
        borrowed(&self.headers)
    }

    /// The request for `url`, which borrows what [`offered`](Self::offered) and
    /// [`more_headers`](Self::more_headers) gave.
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

    /// Whether the request for `url` can be sent: what is wrong with it will not be right once connected.
    #[cfg(any(feature = "net", feature = "tokio"))]
    pub(in crate::adapters) fn check(&self, url: &WsUrl<'_>) -> Result<(), RequestError> {
        let (subprotocols, headers) = (self.offered(), self.more_headers());
        let request = self.request_for(url, &subprotocols, &headers);
        ClientHandshake::new(request, [0; 16], self.limits).map(drop)
    }

    /// The handshake for one connection, with `request`.
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

/// The client's end of a handshake.
#[derive(Debug)]
pub(in crate::adapters) struct Connecting<'r> {
    out: Outgoing,
    handshake: ClientHandshake<'r>,
    /// Once the head is whole, a fresh machine reads it again, to lend what it finds.
    again: ClientHandshake<'r>,
    received: Received,
    config: SharedConfig,
    seed: [u8; 32],
    result: Option<Result<Opened, NotConnected>>,
}

/// The addresses of a host that were tried in vain.
#[cfg(any(feature = "net", feature = "tokio"))]
#[derive(Debug, Default)]
pub(in crate::adapters) struct Tried {
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

/// Why no connection was opened.
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
    /// What came of it, once there is nothing more to do.
    pub(in crate::adapters) fn finish(self) -> Result<Opened, NotConnected> {
        self.result.unwrap_or_else(|| Err(unexpected_eof().into()))
    }

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
    /// The error to return, with the stream.
    pub(in crate::adapters) fn into_error<S>(self, stream: S) -> ConnectError<S> {
        match self {
            Self::Request(error) => ConnectError::Request(error),
            Self::Io(error) => ConnectError::Io(error),
            Self::Handshake(error) => ConnectError::Handshake(error),
            Self::Http(answer) => ConnectError::Http(answer.with_stream(stream)),
        }
    }
}

/// A response that is not 101, and its stream: 401, a redirect, an error.
pub struct HttpAnswer<S> {
    /// The status code.
    pub status: u16,
    /// The bytes that were read: the head, and what followed it.
    pub received: Vec<u8>,
    /// How many bytes of `received` lie in front of the body: the head, and interim responses (1xx) in front of
    /// it.
    pub head_len: usize,
    /// The stream, from which the rest of a body can be read.
    pub stream: S,
    /// Where in `received` the final response begins. An interim response (RFC 9110 15.2) looks just like it, so
    /// only the machine that read the responses can tell where this is.
    head_start: usize,
    /// Where in `received` the header lines of the final response begin.
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

    /// Returns the headers of the response: `Location` or `WWW-Authenticate`, say. Those of interim responses (1xx)
    /// that came before the response are not among them.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        Headers::from_lines(self.received.get(self.headers_start..self.head_len).unwrap_or_default())
    }

    /// As much of the body as has been read with the head.
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

/// Why no WebSocket was opened.
#[non_exhaustive]
pub enum ConnectError<S> {
    /// The URL cannot be connected to.
    Url(UrlError),
    /// A `wss` URL, for which this crate brings no TLS. Make a TLS stream to the host and call
    /// `Client::open`.
    NeedsTls,
    /// The request cannot be sent as the application wants it.
    Request(RequestError),
    /// No connection could be made. The error names the addresses that were tried.
    Connect(io::Error),
    /// The stream failed, or ended, in the handshake.
    Io(io::Error),
    /// The response is none to a WebSocket handshake, or came too late.
    Handshake(HandshakeError),
    /// The server answered as an HTTP server.
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
    // The stream may have none.
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
    /// The same without the stream, which may be bound to a thread or borrow something.
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
