//! The client's side of the opening handshake over blocking streams.
//!
//! [`Client`] has the settings, and is shared by all adapters (`handshake_driver/client.rs`). This file connects TCP
//! sockets, runs the handshake on a [`DeadlineStream`], and creates the [`WebSocket`]. This crate has no TLS: the
//! application creates a TLS stream and passes it to [`Client::open`] or [`Client::open_stream`].
//!
//! Invariant: if the server answers with a status other than 101, [`ConnectError::Http`] contains the stream. After
//! every other error the stream is dropped.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};

use super::Blocking;
use super::deadline_stream::DeadlineStream;
use super::handshake;
use super::websocket::WebSocket;
use super::wrapped_stream::{SocketOf, WrappedStream};
use crate::Instant;
use crate::adapters::handshake_driver::{self, ConnectError, Tried};
use crate::handshake::WsUrl;

/// A client for blocking streams: the settings of its requests and connections.
///
/// # Blocking and timeouts
///
/// [`Client::connect`], [`Client::open`] and [`Client::open_stream`] block until the handshake is done. Two timeouts
/// limit this time, each ten seconds by default.
/// [`connect_timeout`](handshake_driver::Client::connect_timeout) applies to each address of the host, and
/// [`handshake_timeout`](handshake_driver::Client::handshake_timeout) to the handshake. The name lookup has no timeout.
/// If the stream supports no timeouts, nothing interrupts a read that blocks.
///
/// ```no_run
/// use hybi::adapters::net::Client;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new().subprotocols(["chat.v2"]).header("Authorization", "Bearer 7f3a");
/// let ws = client.connect("ws://127.0.0.1:9001/chat")?;
/// assert_eq!(ws.subprotocol(), Some("chat.v2"));
/// # Ok(())
/// # }
/// ```
pub type Client = handshake_driver::Client<Blocking>;

impl Client {
    /// Returns a client with the defaults: no subprotocols, no origin, ten seconds for each address to connect and ten
    /// for the handshake. All other settings are the defaults of [`Config`](crate::Config) and
    /// [`HeadLimits`](crate::handshake::HeadLimits).
    #[must_use]
    pub fn new() -> Self {
        Self::with_runtime(Blocking)
    }

    /// Connects to a `ws://` URL over TCP, and opens a WebSocket. Tries each address of the host in turn.
    ///
    /// Blocks until the handshake is done.
    ///
    /// # Errors
    ///
    /// - [`ConnectError::Url`]: `url` cannot be parsed.
    /// - [`ConnectError::NeedsTls`]: `url` is a `wss://` URL.
    /// - [`ConnectError::Request`]: a header, a subprotocol or the origin cannot be sent. No connection was made.
    /// - [`ConnectError::Connect`]: the host has no address, or no connection to any of its addresses could be made.
    /// - [`ConnectError::Io`]: the stream failed or ended during the handshake, or the system provides no entropy.
    /// - [`ConnectError::Handshake`]: the response is not valid for a WebSocket handshake, or did not arrive in time.
    /// - [`ConnectError::Http`]: the server answered with a status other than 101.
    pub fn connect(&self, url: &str) -> Result<WebSocket<TcpStream>, ConnectError<TcpStream>> {
        let parsed = WsUrl::parse(url)?;
        if parsed.secure() {
            return Err(ConnectError::NeedsTls);
        }
        self.check(&parsed)?;
        let mut tried = Tried::default();
        let addresses = (parsed.host_for_connect(), parsed.port()).to_socket_addrs();
        for address in addresses.map_err(ConnectError::Connect)? {
            let stream = match self.connect_timeout {
                Some(timeout) => TcpStream::connect_timeout(&address, timeout),
                None => TcpStream::connect(address),
            };
            match stream.and_then(|stream| DeadlineStream::tcp(stream, true)) {
                Ok(link) => return self.run(link, &parsed),
                Err(error) => tried.failed(address, &error),
            }
        }
        Err(tried.into_error())
    }

    /// Opens a WebSocket over a connected stream. Blocks until the handshake is done. For a `wss://` URL pass a TLS
    /// stream.
    ///
    /// `socket` is a function that returns the TCP socket below the stream. The adapter sets timeouts on this socket,
    /// and the timeouts interrupt calls that block. With `|_| None` nothing interrupts a call that blocks.
    ///
    /// # Errors
    ///
    /// - [`ConnectError::Url`]: `url` cannot be parsed.
    /// - [`ConnectError::Request`]: a header, a subprotocol or the origin cannot be sent.
    /// - [`ConnectError::Io`]: the stream failed or ended during the handshake, or the system provides no entropy.
    /// - [`ConnectError::Handshake`]: the response is not valid for a WebSocket handshake, or did not arrive in time.
    /// - [`ConnectError::Http`]: the server answered with a status other than 101.
    pub fn open<S: Read + Write>(
        &self,
        stream: S,
        socket: SocketOf<S>,
        url: &str,
    ) -> Result<WebSocket<S>, ConnectError<S>> {
        self.open_stream(WrappedStream::new(stream, socket), url)
    }

    /// Opens a WebSocket over any [`Stream`](super::Stream) or [`WrappedStream`] that is connected already. Blocks
    /// until the handshake is done.
    ///
    /// # Errors
    ///
    /// - [`ConnectError::Url`]: `url` cannot be parsed.
    /// - [`ConnectError::Request`]: a header, a subprotocol or the origin cannot be sent.
    /// - [`ConnectError::Io`]: the stream failed or ended during the handshake, or the system provides no entropy.
    /// - [`ConnectError::Handshake`]: the response is not valid for a WebSocket handshake, or did not arrive in time.
    /// - [`ConnectError::Http`]: the server answered with a status other than 101.
    pub fn open_stream<S>(
        &self,
        stream: impl Into<WrappedStream<S>>,
        url: &str,
    ) -> Result<WebSocket<S>, ConnectError<S>> {
        self.run(DeadlineStream::new(stream.into(), Instant::ZERO), &WsUrl::parse(url)?)
    }

    /// Runs the handshake on a connected stream.
    fn run<S>(&self, mut link: DeadlineStream<S>, url: &WsUrl<'_>) -> Result<WebSocket<S>, ConnectError<S>> {
        let (subprotocols, headers) = (self.offered_subprotocols(), self.more_headers());
        let request = self.request_for(url, &subprotocols, &headers);
        let opened = self.connecting(link.read_clock(), request).and_then(|mut connecting| {
            handshake::run(&mut link, &mut connecting);
            connecting.finish()
        });
        match opened {
            Ok(opened) => Ok(WebSocket::opened(link, opened)),
            Err(why) => Err(why.into_error(link.into_stream())),
        }
    }
}
