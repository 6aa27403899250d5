//! The client's end of the handshake, blocking.

use core::fmt;
use core::time::Duration;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::prelude::v1::*;

use super::link::{Link, SocketOf};
use super::websocket::WebSocket;
#[cfg(feature = "deflate")]
use crate::handshake::DeflateOffer;
use crate::handshake::{
    ClientHandshake, ClientRequest, HandshakeError, Limits, Reply, RequestError, UrlError, WsUrl,
};
use crate::{Config, Connection, Inbox, Outbox, SharedConfig};

/// What a client is told before it connects.
///
/// Of connections to one host only one should be connecting at a time (RFC 6455 section 4.1), and whoever
/// connects again after a failure should wait for a random time that grows (section 7.2.3): both are up to
/// the caller.
///
/// ```no_run
/// use hybi::net::Client;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new().subprotocols(["chat.v2"]).header("Authorization", "Bearer 7f3a");
/// let ws = client.connect("ws://127.0.0.1:9001/chat")?;
/// assert_eq!(ws.subprotocol(), Some("chat.v2"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    config: SharedConfig,
    limits: Limits,
    connect_timeout: Option<Duration>,
    handshake_timeout: Option<Duration>,
    origin: Option<String>,
    subprotocols: Vec<String>,
    headers: Vec<(String, String)>,
    #[cfg(feature = "deflate")]
    deflate: Option<DeflateOffer>,
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Client {
    /// The defaults: no subprotocols, no origin, ten seconds for each address to connect and ten for the
    /// handshake, and those of [`Config`] and [`Limits`].
    #[must_use]
    pub fn new() -> Self {
        Self {
            config: SharedConfig::default(),
            limits: Limits::new(),
            connect_timeout: Some(Duration::from_secs(10)),
            handshake_timeout: Some(Duration::from_secs(10)),
            origin: None,
            subprotocols: Vec::new(),
            headers: Vec::new(),
            #[cfg(feature = "deflate")]
            deflate: None,
        }
    }

    /// Limits, timers and habits of the connection.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config.into();
        self
    }

    /// The limits on a response's head.
    #[must_use]
    pub fn head_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How long to wait for each address that the host has; `None` as long as the system does.
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
    /// [`Config`].
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

    /// Connects to a `ws://` URL over TCP, trying each address of its host in turn.
    ///
    /// # Errors
    ///
    /// [`ConnectError`]; [`ConnectError::NeedsTls`] for `wss`.
    pub fn connect(&self, url: &str) -> Result<WebSocket<TcpStream>, ConnectError<TcpStream>> {
        let parsed = WsUrl::parse(url)?;
        if parsed.secure() {
            return Err(ConnectError::NeedsTls);
        }
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for address in (parsed.host_for_connect(), parsed.port()).to_socket_addrs()? {
            let stream = match self.connect_timeout {
                Some(timeout) => TcpStream::connect_timeout(&address, timeout),
                None => TcpStream::connect(address),
            };
            match stream.and_then(Link::tcp) {
                Ok(link) => return self.run(link, &parsed),
                Err(error) => last = error,
            }
        }
        Err(last.into())
    }

    /// Opens a WebSocket over a stream that is connected already, through TLS for a `wss://` URL. `socket`
    /// finds the TCP socket underneath; `|_| None` if there is none, but then nothing interrupts a call that
    /// blocks.
    ///
    /// # Errors
    ///
    /// [`ConnectError`].
    pub fn open<S: Read + Write>(
        &self,
        stream: S,
        socket: SocketOf<S>,
        url: &str,
    ) -> Result<WebSocket<S>, ConnectError<S>> {
        self.run(Link::new(stream, socket), &WsUrl::parse(url)?)
    }

    fn run<S: Read + Write>(
        &self,
        mut link: Link<S>,
        url: &WsUrl<'_>,
    ) -> Result<WebSocket<S>, ConnectError<S>> {
        let subprotocols: Vec<_> = self.subprotocols.iter().map(|name| name.as_str()).collect();
        let headers: Vec<_> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let request = ClientRequest::from_url(url)
            .origin(self.origin.as_deref())
            .subprotocols(&subprotocols)
            .headers(&headers);
        #[cfg(feature = "deflate")]
        let request = request.deflate(self.deflate);
        let (mut nonce, mut seed) = ([0; 16], [0; 32]);
        entropy(&mut nonce)?;
        entropy(&mut seed)?;
        let mut handshake = ClientHandshake::new(request, nonce, self.limits)?;
        if let Some(timeout) = self.handshake_timeout {
            handshake = handshake.with_timeout(link.tick(), timeout);
        }
        if !link.write_all(&handshake.to_vec(), handshake.poll_timeout())? {
            return Err(HandshakeError::Timeout.into());
        }
        // Once the head is whole, a fresh machine reads it again, to lend what it finds.
        let again = handshake.clone();
        let mut received = Vec::new();
        read_head(&mut link, &mut received, &mut handshake)?;
        match again.clone().poll(&received)? {
            Some(Reply::Open(opened)) => {
                let connection = Connection::client(link.tick(), self.config.clone(), Outbox::new(), seed);
                #[cfg(feature = "deflate")]
                let connection = connection.with_deflate(opened.deflate());
                let inbox = Inbox::with_bytes(received.get(opened.head_len()..).unwrap_or_default());
                let ws = WebSocket::new(link, connection, inbox);
                Ok(ws.with_handshake(opened.subprotocol(), opened.headers().as_bytes()))
            }
            Some(Reply::Http(response)) => {
                let (status, head_len) = (response.status(), response.head_len());
                Err(ConnectError::Http(HttpAnswer { status, head_len, received, stream: link.into_stream() }))
            }
            None => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        }
    }
}

/// Reads until the head of the response is whole.
fn read_head<S: Read>(
    link: &mut Link<S>,
    received: &mut Vec<u8>,
    handshake: &mut ClientHandshake<'_>,
) -> Result<(), ConnectError<S>> {
    loop {
        let len = received.len();
        received.resize(len + 2048, 0);
        let read = link.read(received.get_mut(len..).unwrap_or_default(), handshake.poll_timeout());
        received.truncate(len + read.as_ref().map_or(0, |n| n.unwrap_or(0)));
        match read? {
            Some(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Some(_) if handshake.poll(received)?.is_some() => return Ok(()),
            _ => {}
        }
        handshake.handle_timeout(link.now())?;
    }
}

fn entropy(to: &mut [u8]) -> io::Result<()> {
    getrandom::fill(to).map_err(|error| io::Error::other(std::format!("no entropy from the system: {error}")))
}

/// A response that is not 101, and its stream: 401, a redirect, an error.
#[derive(Debug)]
pub struct HttpAnswer<S> {
    /// The status code.
    pub status: u16,
    /// The bytes that were read: the head, and what followed it.
    pub received: Vec<u8>,
    /// How many of them are the head.
    pub head_len: usize,
    /// The stream, from which the rest of a body can be read.
    pub stream: S,
}

/// Why no WebSocket was opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError<S> {
    /// The URL cannot be connected to.
    Url(UrlError),
    /// A `wss` URL, for which this crate brings no TLS. Make a TLS stream to the host and call
    /// [`Client::open`].
    NeedsTls,
    /// The request cannot be sent as the application wants it.
    Request(RequestError),
    /// No connection could be made, or it failed.
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
                 net::Client::open",
            ),
            Self::Request(error) => fmt::Display::fmt(error, f),
            Self::Io(error) => write!(f, "the stream failed during the handshake: {error}"),
            Self::Handshake(error) => fmt::Display::fmt(error, f),
            Self::Http(answer) => write!(f, "the server answered with status {} instead of 101", answer.status),
        }
    }
}

impl<S: fmt::Debug> core::error::Error for ConnectError<S> {}

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
