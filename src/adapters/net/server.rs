//! The server's end of the handshake, blocking.

use core::fmt;
use core::time::Duration;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::prelude::v1::*;

use super::link::{Link, SocketOf};
use super::websocket::WebSocket;
#[cfg(feature = "deflate")]
use crate::handshake::DeflateConfig;
use crate::handshake::{Incoming, Limits, Reject, Rejection, Request, ResponseError, ServerHandshake};
use crate::{Config, Connection, Inbox, Instant, Outbox, SharedConfig};

/// How much more is read of a request that has been refused, so that no reset destroys the answer.
const MOST_DISCARDED: usize = 64 << 10;
/// And for how long.
const DISCARD_TIME: Duration = Duration::from_secs(1);

/// What a server is told once and uses for each connection.
///
/// ```no_run
/// use hybi::net::Server;
///
/// # fn main() -> std::io::Result<()> {
/// let server = Server::new().subprotocols(["chat.v2", "chat.v1"]).origins(["https://example.com"]);
/// let listener = std::net::TcpListener::bind("127.0.0.1:9001")?;
/// for stream in listener.incoming() {
///     match server.accept(stream?) {
///         Ok(ws) => println!("open, speaking {:?}", ws.subprotocol()),
///         Err(error) => println!("refused: {error}"),
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Server {
    config: SharedConfig,
    limits: Limits,
    timeout: Option<Duration>,
    subprotocols: Vec<String>,
    origins: Option<Vec<String>>,
    headers: Vec<(String, String)>,
    #[cfg(feature = "deflate")]
    deflate: Option<DeflateConfig>,
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

impl Server {
    /// The defaults: no subprotocols, any origin, ten seconds for the handshake, and those of [`Config`] and
    /// [`Limits`].
    #[must_use]
    pub fn new() -> Self {
        Self {
            config: SharedConfig::default(),
            limits: Limits::new(),
            timeout: Some(Duration::from_secs(10)),
            subprotocols: Vec::new(),
            origins: None,
            headers: Vec::new(),
            #[cfg(feature = "deflate")]
            deflate: None,
        }
    }

    /// Limits, timers and habits of the connections.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config.into();
        self
    }

    /// The limits on a request's head.
    #[must_use]
    pub fn head_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How long a handshake may take; `None` for ever.
    #[must_use]
    pub fn handshake_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.timeout = timeout;
        self
    }

    /// The subprotocols that are spoken here. The first that a client lists and that is among them is chosen.
    #[must_use]
    pub fn subprotocols<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.subprotocols = names.into_iter().map(Into::into).collect();
        self
    }

    /// The origins whose pages may connect; others get 403. A request without an `Origin` is not from a
    /// browser, and let pass (RFC 6455 section 10.2).
    #[must_use]
    pub fn origins<T: Into<String>>(mut self, origins: impl IntoIterator<Item = T>) -> Self {
        self.origins = Some(origins.into_iter().map(Into::into).collect());
        self
    }

    /// Compresses messages (RFC 7692) where a client offers that; not by default. How is in [`Config`].
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(mut self, config: impl Into<Option<DeflateConfig>>) -> Self {
        self.deflate = config.into();
        self
    }

    /// One more header of the 101 response.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Accepts a WebSocket.
    ///
    /// # Errors
    ///
    /// [`AcceptError`]. A request that was refused has been answered; one that is no upgrade comes out for
    /// the caller to answer.
    pub fn accept(&self, stream: TcpStream) -> Result<WebSocket<TcpStream>, AcceptError<TcpStream>> {
        self.accept_with(stream, |request| Ok(self.choose(request)))
    }

    /// As [`Self::accept`], with the request put before `decide`: it accepts with a subprotocol and headers,
    /// or refuses with any status.
    ///
    /// # Errors
    ///
    /// As [`Self::accept`].
    pub fn accept_with(
        &self,
        stream: TcpStream,
        decide: impl FnOnce(&Request<'_>) -> Result<Acceptance, Refusal>,
    ) -> Result<WebSocket<TcpStream>, AcceptError<TcpStream>> {
        self.run(Link::tcp(stream)?, decide)
    }

    /// As [`Self::accept_with`], over any stream. `socket` finds the TCP socket underneath; `|_| None` if
    /// there is none, but then nothing interrupts a call that blocks.
    ///
    /// # Errors
    ///
    /// As [`Self::accept`].
    pub fn accept_over<S: Read + Write>(
        &self,
        stream: S,
        socket: SocketOf<S>,
        decide: impl FnOnce(&Request<'_>) -> Result<Acceptance, Refusal>,
    ) -> Result<WebSocket<S>, AcceptError<S>> {
        self.run(Link::new(stream, socket), decide)
    }

    /// What [`Self::accept`] answers: the client's first subprotocol that is spoken here.
    #[must_use]
    pub fn choose(&self, request: &Request<'_>) -> Acceptance {
        let chosen = request.subprotocols().find(|name| self.subprotocols.iter().any(|own| own == name));
        Acceptance { subprotocol: chosen.map(Into::into), headers: Vec::new() }
    }

    fn run<S: Read + Write>(
        &self,
        mut link: Link<S>,
        decide: impl FnOnce(&Request<'_>) -> Result<Acceptance, Refusal>,
    ) -> Result<WebSocket<S>, AcceptError<S>> {
        let mut received = Vec::new();
        let deadline = self.timeout.map(|timeout| link.tick() + timeout);
        if let Err(rejection) = self.read_head(&mut link, &mut received)? {
            answer(&mut link, &rejection.response(), deadline)?;
            return Err(AcceptError::Rejected(rejection));
        }
        let request = match ServerHandshake::new(self.limits).poll(&received) {
            Ok(Some(Incoming::Upgrade(request))) => request,
            Ok(_) => {
                let (socket, limits) = (link.socket(), self.limits);
                let stream = link.into_stream();
                return Err(AcceptError::NotWebSocket(HttpCall { stream, socket, received, limits }));
            }
            Err(rejection) => return Err(AcceptError::Rejected(rejection)),
        };
        let allowed: Option<Vec<&str>> =
            self.origins.as_ref().map(|list| list.iter().map(|s| s.as_str()).collect());
        if let Some(Err(rejection)) = allowed.map(|allowed| request.check_origin(&allowed)) {
            answer(&mut link, &rejection.response(), deadline)?;
            return Err(AcceptError::Rejected(rejection));
        }
        let acceptance = match decide(&request) {
            Ok(acceptance) => acceptance,
            Err(refusal) => {
                let headers = borrowed(&refusal.headers);
                let reject = Reject::new(refusal.status).headers(&headers);
                let reject = match &refusal.body {
                    Some((content_type, body)) => reject.body(content_type, body),
                    None => reject,
                };
                answer(&mut link, &reject, deadline)?;
                return Err(AcceptError::Refused(refusal));
            }
        };
        let headers: Vec<_> =
            borrowed(&self.headers).into_iter().chain(borrowed(&acceptance.headers)).collect();
        let response = request.accept().headers(&headers).subprotocol(acceptance.subprotocol.as_deref());
        #[cfg(feature = "deflate")]
        let deflate = self.deflate.as_ref().and_then(|config| request.negotiate_deflate(config));
        #[cfg(feature = "deflate")]
        let response = response.deflate(deflate);
        if !link.write_all(&response.to_vec()?, deadline)? {
            return Err(io::Error::from(io::ErrorKind::TimedOut).into());
        }
        let connection = Connection::server(link.tick(), self.config.clone(), Outbox::new());
        #[cfg(feature = "deflate")]
        let connection = connection.with_deflate(deflate);
        let inbox = Inbox::with_bytes(received.get(request.head_len()..).unwrap_or_default());
        let ws = WebSocket::new(link, connection, inbox);
        Ok(ws.with_handshake(acceptance.subprotocol.as_deref(), request.headers().as_bytes()))
    }

    /// Reads until the head of the request is whole, or refused.
    fn read_head<S: Read>(
        &self,
        link: &mut Link<S>,
        received: &mut Vec<u8>,
    ) -> io::Result<Result<(), Rejection>> {
        let mut handshake = ServerHandshake::new(self.limits);
        if let Some(timeout) = self.timeout {
            handshake = handshake.with_timeout(link.tick(), timeout);
        }
        loop {
            let len = received.len();
            received.resize(len + 2048, 0);
            let read = link.read(received.get_mut(len..).unwrap_or_default(), handshake.poll_timeout());
            received.truncate(len + read.as_ref().map_or(0, |n| n.unwrap_or(0)));
            let polled = match read? {
                Some(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Some(_) => handshake.poll(received).map(|incoming| incoming.is_some()),
                None => Ok(false),
            };
            match polled {
                Ok(true) => return Ok(Ok(())),
                Ok(false) => {}
                Err(rejection) => return Ok(Err(rejection)),
            }
            if let Err(rejection) = handshake.handle_timeout(link.now()) {
                return Ok(Err(rejection));
            }
        }
    }
}

/// Sends an answer other than 101, and sees to it that it arrives.
fn answer<S: Read + Write>(
    link: &mut Link<S>,
    reject: &Reject<'_>,
    deadline: Option<Instant>,
) -> io::Result<()> {
    let bytes = reject.to_vec().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let until = link.tick() + DISCARD_TIME;
    link.write_all(&bytes, Some(deadline.map_or(until, |deadline| deadline.max(until))))?;
    if !link.half_close() {
        return Ok(());
    }
    let (mut left, mut scratch) = (MOST_DISCARDED, [0; 2048]);
    while left > 0 && link.now() < until {
        match link.read(&mut scratch, Some(until)) {
            Ok(Some(0)) | Err(_) => break,
            Ok(n) => left = left.saturating_sub(n.unwrap_or(0)),
        }
    }
    Ok(())
}

fn borrowed(headers: &[(String, String)]) -> Vec<(&str, &str)> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// How a request is accepted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Acceptance {
    /// The subprotocol, one of those that the client offered.
    pub subprotocol: Option<String>,
    /// Headers of the 101 response.
    pub headers: Vec<(String, String)>,
}

/// How a request is refused by the application.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The status, 200 to 599.
    pub status: u16,
    /// Headers of the response.
    pub headers: Vec<(String, String)>,
    /// Content type and body.
    pub body: Option<(String, Vec<u8>)>,
}

impl Refusal {
    /// A refusal without headers or a body.
    #[must_use]
    pub const fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: None }
    }
}

/// A request that asks for no WebSocket, and its stream, for whoever serves plain HTTP on the same port.
#[derive(Debug)]
pub struct HttpCall<S> {
    stream: S,
    socket: SocketOf<S>,
    received: Vec<u8>,
    limits: Limits,
}

impl<S: Read + Write> HttpCall<S> {
    /// The bytes that were read: the head, and what followed it.
    #[must_use]
    pub fn received(&self) -> &[u8] {
        &self.received
    }

    /// Answers that only WebSockets are spoken here (426).
    ///
    /// # Errors
    ///
    /// The stream failed.
    pub fn refuse(self) -> io::Result<()> {
        match ServerHandshake::new(self.limits).poll(&self.received) {
            Ok(Some(Incoming::Http(request))) => {
                let mut link = Link::new(self.stream, self.socket);
                answer(&mut link, &request.rejection().response(), None)
            }
            _ => Ok(()),
        }
    }

    /// The stream, and the bytes that were read from it.
    #[must_use]
    pub fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream, self.received)
    }
}

/// Why no WebSocket came of a connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum AcceptError<S> {
    /// The stream failed, or ended.
    Io(io::Error),
    /// The request broke a rule, and has been told which.
    Rejected(Rejection),
    /// The application refused the request, which has been answered.
    Refused(Refusal),
    /// The request is well formed and asks for no WebSocket. It has not been answered.
    NotWebSocket(HttpCall<S>),
    /// The 101 response cannot be sent as the application wants it; nothing was.
    Response(ResponseError),
}

impl<S> fmt::Display for AcceptError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the stream failed during the handshake: {error}"),
            Self::Rejected(rejection) => fmt::Display::fmt(rejection, f),
            Self::Refused(refusal) => write!(f, "refused by the application with status {}", refusal.status),
            Self::NotWebSocket(_) => f.write_str("a plain HTTP request, which asks for no WebSocket"),
            Self::Response(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl<S: fmt::Debug> core::error::Error for AcceptError<S> {}

impl<S> From<io::Error> for AcceptError<S> {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl<S> From<ResponseError> for AcceptError<S> {
    fn from(error: ResponseError) -> Self {
        Self::Response(error)
    }
}
