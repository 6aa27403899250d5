//! The client's side of the opening handshake over blocking streams.
//!
//! [`Client`] has the settings, and is shared by all adapters (`handshake_driver/client.rs`). This file connects TCP
//! sockets, runs the handshakes on a [`DeadlineStream`], and creates the [`WebSocket`]. For a `wss://` URL, it first
//! runs the TLS handshake, if the feature `rustls` is on. The application can also create a TLS stream with another
//! library, and pass it to [`Client::open`] or [`Client::open_stream`].
//!
//! Invariant: if the server answers with a status other than 101, [`ConnectError::Http`] contains the stream. After
//! every other error the stream is dropped.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::Blocking;
use super::client_stream::ClientStream;
use super::deadline_stream::DeadlineStream;
use super::dial;
use super::handshake;
#[cfg(feature = "rustls")]
use super::stream::Stream;
#[cfg(feature = "rustls")]
use super::tls_stream::TlsStream;
use super::websocket::WebSocket;
use super::wrapped_stream::{SocketOf, WrappedStream};
use crate::Instant;
use crate::adapters::handshake_driver::{self, ConnectError};
use crate::handshake::WsUrl;

/// A client for blocking streams: the settings of its requests and connections.
///
/// # Blocking and timeouts
///
/// [`Client::connect`], [`Client::open`] and [`Client::open_stream`] block until the handshake is done. Two timeouts
/// limit this time, each ten seconds by default.
/// [`connect_timeout`](handshake_driver::Client::connect_timeout) applies to name resolution and connecting, and
/// [`handshake_timeout`](handshake_driver::Client::handshake_timeout) to the handshake. If the stream supports no
/// timeouts, nothing interrupts a read that blocks.
///
/// # Threads
///
/// [`Client::connect`] starts helper threads, because name resolution and connecting block. One thread resolves the
/// name, and each attempt to connect has a thread, at most 8 at a time. There is no thread for a host that is an IP
/// address. Threads of attempts that have lost end by themselves, within the connect timeout. They close their
/// connections.
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
    /// Returns a client with the defaults: no subprotocols, no origin, ten seconds to connect and ten seconds for the
    /// handshake. All other settings are the defaults of [`Config`](crate::Config) and
    /// [`HeadLimits`](crate::handshake::HeadLimits).
    #[must_use]
    pub fn new() -> Self {
        Self::with_runtime(Blocking)
    }

    /// Connects to a `ws://` or `wss://` URL over TCP, and opens a WebSocket. The attempts to connect to the addresses
    /// of the host are staggered, and the first connection is used ([`dial`](crate::dial)).
    ///
    /// A `wss://` URL needs the feature `rustls`. The TLS configuration is that of [`tls`](handshake_driver::Client),
    /// or the default.
    ///
    /// Blocks until the handshakes are done.
    ///
    /// # Errors
    ///
    /// - [`ConnectError::Url`]: `url` cannot be parsed.
    /// - [`ConnectError::NeedsTls`]: `url` is a `wss://` URL, and the feature `rustls` is off.
    /// - [`ConnectError::Request`]: a header, a subprotocol or the origin cannot be sent. No connection was made.
    /// - [`ConnectError::Connect`]: the host has no address, or no connection to any of its addresses could be made.
    /// - [`ConnectError::Deadline`]: no connection was made in time.
    /// - `ConnectError::Tls`: the TLS configuration or the certificate of the server is not valid, or the TLS handshake
    ///   has failed or was not complete in time.
    /// - [`ConnectError::Io`]: the stream failed or ended during the handshake, or the system provides no entropy.
    /// - [`ConnectError::Handshake`]: the response is not valid for a WebSocket handshake, or did not arrive in time.
    /// - [`ConnectError::Http`]: the server answered with a status other than 101.
    pub fn connect(&self, url: &str) -> Result<WebSocket<ClientStream>, ConnectError<ClientStream>> {
        let parsed = WsUrl::parse(url)?;
        if parsed.secure() && cfg!(not(feature = "rustls")) {
            return Err(ConnectError::NeedsTls);
        }
        self.check(&parsed)?;
        #[cfg(feature = "rustls")]
        if parsed.secure() {
            self.check_tls(&parsed)?;
        }
        let stream = dial::connect(parsed.host_for_connect(), parsed.port(), self.connect_timeout)?;
        let link = DeadlineStream::tcp(stream, true).map_err(ConnectError::Connect)?;
        self.run_over_tcp(link, &parsed)
    }

    /// Runs the TLS handshake if the URL needs it, and then the WebSocket handshake.
    fn run_over_tcp(
        &self,
        link: DeadlineStream<TcpStream>,
        url: &WsUrl<'_>,
    ) -> Result<WebSocket<ClientStream>, ConnectError<ClientStream>> {
        let start = link.now();
        #[cfg(feature = "rustls")]
        if url.secure() {
            let (tls, now) = self.secure(link, url)?;
            return self.run(DeadlineStream::blocking(ClientStream::from(tls).into(), now), start, url);
        }
        self.run(DeadlineStream::blocking(ClientStream::from(link.into_stream()).into(), start), start, url)
    }

    /// Runs the TLS handshake. Returns the TLS stream and the time.
    #[cfg(feature = "rustls")]
    fn secure<S: Stream, T>(
        &self,
        mut link: DeadlineStream<S>,
        url: &WsUrl<'_>,
    ) -> Result<(TlsStream<S>, Instant), ConnectError<T>> {
        let mut securing = self.securing(link.read_clock(), url)?;
        handshake::run(&mut link, &mut securing);
        let (session, now) = (securing.finish()?, link.now());
        Ok((TlsStream::new(link.into_stream(), session), now))
    }

    /// Opens a WebSocket over a connected stream that has no TLS yet. Runs the TLS handshake with the host of `url`,
    /// and then the WebSocket handshake. Blocks until both are done.
    ///
    /// # Errors
    ///
    /// - [`ConnectError::Url`]: `url` cannot be parsed.
    /// - [`ConnectError::Tls`]: the TLS configuration or the certificate of the server is not valid, or the TLS
    ///   handshake has failed or was not complete in time.
    /// - [`ConnectError::Request`]: a header, a subprotocol or the origin cannot be sent.
    /// - [`ConnectError::Io`]: the stream failed or ended during the handshake, or the system provides no entropy.
    /// - [`ConnectError::Handshake`]: the response is not valid for a WebSocket handshake, or did not arrive in time.
    /// - [`ConnectError::Http`]: the server answered with a status other than 101.
    #[cfg(feature = "rustls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    pub fn open_tls<S: Stream>(
        &self,
        stream: S,
        url: &str,
    ) -> Result<WebSocket<TlsStream<S>>, ConnectError<TlsStream<S>>> {
        let url = WsUrl::parse(url)?;
        let link = DeadlineStream::new(stream.into(), Instant::ZERO);
        let start = link.now();
        let (tls, now) = self.secure(link, &url)?;
        self.run(DeadlineStream::new(tls.into(), now), start, &url)
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
        let link = DeadlineStream::new(stream.into(), Instant::ZERO);
        let start = link.now();
        self.run(link, start, &WsUrl::parse(url)?)
    }

    /// Runs the WebSocket handshake on a connected stream. The time limit began at `start`.
    fn run<S>(
        &self,
        mut link: DeadlineStream<S>,
        start: Instant,
        url: &WsUrl<'_>,
    ) -> Result<WebSocket<S>, ConnectError<S>> {
        let (subprotocols, headers) = (self.offered(), self.more_headers());
        let request = self.request_for(url, &subprotocols, &headers);
        link.read_clock();
        let opened = self.connecting(start, request).and_then(|mut connecting| {
            handshake::run(&mut link, &mut connecting);
            connecting.finish()
        });
        match opened {
            Ok(opened) => Ok(WebSocket::opened(link, opened)),
            Err(why) => Err(why.into_error(link.into_stream())),
        }
    }
}
