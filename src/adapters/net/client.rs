//! The client's end of the handshake, blocking.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};

use super::Blocking;
use super::deadline_stream::{DeadlineStream, open};
use super::stream::{Over, SocketOf};
use super::websocket::WebSocket;
use crate::Instant;
use crate::adapters::handshake_driver::{self, ConnectError, Tried};
use crate::handshake::WsUrl;

/// What a client is told before it connects.
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
    /// The defaults: no subprotocols, no origin, ten seconds for each address to connect and ten for the
    /// handshake, and those of [`Config`](crate::Config) and [`Limits`](crate::handshake::HeadLimits).
    #[must_use]
    pub fn new() -> Self {
        Self::on(Blocking)
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
        self.open_stream(Over::new(stream, socket), url)
    }

    /// As [`Self::open`], over any [`Stream`](super::Stream), or one that is [driven by functions](Over).
    ///
    /// # Errors
    ///
    /// [`ConnectError`].
    pub fn open_stream<S>(
        &self,
        stream: impl Into<Over<S>>,
        url: &str,
    ) -> Result<WebSocket<S>, ConnectError<S>> {
        self.run(DeadlineStream::new(stream.into(), Instant::ZERO), &WsUrl::parse(url)?)
    }

    fn run<S>(&self, mut link: DeadlineStream<S>, url: &WsUrl<'_>) -> Result<WebSocket<S>, ConnectError<S>> {
        let (subprotocols, headers) = (self.offered(), self.more_headers());
        let request = self.request_for(url, &subprotocols, &headers);
        let opened = self.connecting(link.tick(), request).and_then(|mut connecting| {
            open(&mut link, &mut connecting);
            connecting.finish()
        });
        match opened {
            Ok(opened) => Ok(WebSocket::opened(link, opened)),
            Err(why) => Err(why.into_error(link.into_stream())),
        }
    }
}
