//! Asynchronous WebSockets over the streams of the crate futures-io, which smol and async-std use: feature
//! `futures-io`.
//!
//! The crate futures-io has no clock, so the application passes a [`Timer`]. With the feature `async-io` the default is
//! `AsyncIo`, the timer of smol.
//!
//! ```
//! # #[cfg(feature = "async-io")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use hybi::handshake::ClientRequest;
//! use hybi::adapters::futures_io as ws;
//! use hybi::{CloseCode, Event};
//! use smol::net::{TcpListener, TcpStream};
//!
//! # smol::block_on(async {
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! let address = listener.local_addr()?;
//! let server = smol::spawn(async move {
//!     let (stream, _) = listener.accept().await.unwrap();
//!     let mut ws = ws::accept(stream).await.unwrap();
//!     while let Some((event, mut answer)) = ws.next_event().await.unwrap() {
//!         if let Event::Text(text) = event {
//!             answer.send_text(text).await.unwrap();      // `text` is still borrowed from the read buffer
//!         }
//!     }
//! });
//!
//! let stream = TcpStream::connect(address).await?;
//! let mut ws = ws::client(stream, ClientRequest::new(&address.to_string(), "/")).await?;
//! ws.send_text("grüezi").await?;
//! assert_eq!(ws.recv().await?, Some("grüezi".into()));
//! ws.close(CloseCode::NORMAL, "bye").await?;
//! assert!(ws.wait_closed().await?.is_clean());
//! server.await;
//! # Ok(())
//! # })
//! # }
//! # #[cfg(not(feature = "async-io"))]
//! # fn main() {}
//! ```
//!
//! [`Server`] and [`Client`] have the settings of the two roles. Call
//! [`WebSocket::next_event`](async_driver::WebSocket::next_event) in a loop to run a connection. The module
//! [`async_driver`] describes which frames are written together, the effect of dropped futures, and the use of memory.
//!
//! Any stream that is `AsyncRead`, `AsyncWrite` and `Unpin` works, also a TLS stream. If a write is pending, the next
//! write begins with the same bytes, because streams over OpenSSL require them. The application connects the stream, or
//! uses `connect` of the feature `async-io`.
//!
//! # TLS
//!
//! With the feature `rustls` or `native-tls`, `connect` takes `wss://` URLs. `Client::open_tls`, `Server::accept_tls`
//! and `Server::accept_native_tls` run TLS over any stream. The module `hybi::tls` lists the features that provide
//! cryptography and root certificates.
//!
//! # Proxies
//!
//! `Client::proxy` sets an HTTP or SOCKS5 proxy, or the proxies that the environment names. By default no proxy is
//! used.
//!
//! This module adds the streams of futures-io and a timer to [`async_driver`]; see [`FuturesIo`].

use core::pin::Pin;
use std::io::{self, IoSlice};
use std::task::{Context, Poll};

use ::futures_io::{AsyncRead, AsyncWrite};

pub use super::byte_stream::ByteStreamError;
pub use super::error::Error;
pub use super::handshake_driver::{Acceptance, ConnectError, ReceivedResponse};
use super::{async_driver, handshake_driver};
#[cfg(feature = "async-io")]
use crate::handshake::ClientRequest;
use crate::{Connection, Inbox, Instant};
#[cfg(any(feature = "rustls", feature = "native-tls"))]
#[cfg_attr(docsrs, doc(cfg(any(feature = "rustls", feature = "native-tls"))))]
pub use async_driver::TlsStream;
use async_driver::Transport;
pub use async_driver::{Group, Timer};

#[cfg(feature = "async-io")]
mod async_io;
mod byte_stream;
#[cfg(any(feature = "tokio", feature = "async-io"))]
mod client_stream;
#[cfg(feature = "async-io")]
mod connect;
#[cfg(any(feature = "rustls", feature = "native-tls"))]
mod tls_stream;

#[cfg(feature = "async-io")]
#[cfg_attr(docsrs, doc(cfg(feature = "async-io")))]
pub use async_io::AsyncIo;
#[cfg(feature = "async-io")]
#[cfg_attr(docsrs, doc(cfg(feature = "async-io")))]
pub use connect::{ClientStream, connect};

/// The default timer without the feature `async-io`. It does not implement [`Timer`], so code that uses the default
/// does not compile.
#[cfg(not(feature = "async-io"))]
type AsyncIo = core::convert::Infallible;

/// A WebSocket over a stream of futures-io.
pub type WebSocket<S, T = AsyncIo> = async_driver::WebSocket<S, FuturesIo<T>>;
/// Sends frames in answer to an event.
pub type Responder<'w, S, T = AsyncIo> = async_driver::Responder<'w, S, FuturesIo<T>>;
/// The receiving half of a WebSocket.
pub type Reader<S, T = AsyncIo> = async_driver::Reader<S, FuturesIo<T>>;
/// The sending half of a WebSocket.
pub type Writer<S, T = AsyncIo> = async_driver::Writer<S, FuturesIo<T>>;
/// A WebSocket as a stream of bytes.
pub type ByteStream<S, T = AsyncIo> = async_driver::ByteStream<S, FuturesIo<T>>;
/// The settings of a server, used for each connection. Create a server with `new` for `AsyncIo`, and with
/// [`with_timer`](handshake_driver::Server::with_timer) for another timer.
pub type Server<T = AsyncIo> = handshake_driver::Server<FuturesIo<T>>;
/// The settings of a client. Create a client with `new` for `AsyncIo`, and with
/// [`with_timer`](handshake_driver::Client::with_timer) for another timer.
pub type Client<T = AsyncIo> = handshake_driver::Client<FuturesIo<T>>;
/// The reason why a connection did not become a WebSocket.
pub type AcceptError<S, T = AsyncIo> = async_driver::AcceptError<S, FuturesIo<T>>;
/// A request to open a WebSocket. The request waits for the application's decision.
pub type PendingRequest<S, T = AsyncIo> = async_driver::PendingRequest<S, FuturesIo<T>>;
/// A plain HTTP request and its stream.
pub type HttpCall<S, T = AsyncIo> = async_driver::HttpCall<S, FuturesIo<T>>;

/// Accepts a WebSocket over any stream, with the defaults of [`Server`].
///
/// # Errors
///
/// * [`Io`](handshake_driver::AcceptError::Io): the stream failed or ended, or the peer read the response too slowly.
/// * [`Rejected`](handshake_driver::AcceptError::Rejected): the request broke a rule, or was not complete in time. The
///   server has sent the response of the rejection.
/// * [`NotWebSocket`](handshake_driver::AcceptError::NotWebSocket): the request is plain HTTP. No response was sent.
///   Answer the request with the [`HttpCall`] in the error.
///
/// # Cancel safety
///
/// If the future is dropped, the stream is closed.
#[cfg(feature = "async-io")]
#[cfg_attr(docsrs, doc(cfg(feature = "async-io")))]
pub async fn accept<S>(stream: S) -> Result<WebSocket<S>, AcceptError<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    Server::new().accept(stream).await
}

/// Opens a WebSocket over any connected stream. Sends `request`, and otherwise uses the defaults of [`Client`].
///
/// # Errors
///
/// * [`ConnectError::Request`]: a part of `request` cannot be sent.
/// * [`ConnectError::Deadline`]: the WebSocket was not open in time.
/// * [`ConnectError::Io`]: the stream failed or ended during the handshake, or the system provides no entropy.
/// * [`ConnectError::Handshake`]: the response is not valid for a WebSocket handshake.
/// * [`ConnectError::Http`]: the server answered with a status other than 101.
///
/// # Cancel safety
///
/// If the future is dropped, the stream is closed.
#[cfg(feature = "async-io")]
#[cfg_attr(docsrs, doc(cfg(feature = "async-io")))]
pub async fn client<S>(stream: S, request: ClientRequest<'_>) -> Result<WebSocket<S>, ConnectError<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    Client::new().request(stream, request).await
}

impl<T: Timer> handshake_driver::Server<FuturesIo<T>> {
    /// Creates a server with the defaults: no subprotocols, any origin, ten seconds for the handshake, and the defaults
    /// of [`Config`](crate::Config) and [`HeadLimits`](crate::handshake::HeadLimits). Each connection gets a clone of
    /// `timer`.
    #[must_use]
    pub fn with_timer(timer: T) -> Self {
        Self::with_runtime(FuturesIo(timer))
    }
}

impl<T: Timer> handshake_driver::Client<FuturesIo<T>> {
    /// Creates a client with the defaults: no subprotocols, no origin, ten seconds to open a WebSocket, and the
    /// defaults of [`Config`](crate::Config) and [`HeadLimits`](crate::handshake::HeadLimits). Each connection gets a
    /// clone of `timer`.
    #[must_use]
    pub fn with_timer(timer: T) -> Self {
        Self::with_runtime(FuturesIo(timer))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, T: Timer> async_driver::WebSocket<S, FuturesIo<T>> {
    /// Creates a WebSocket on a stream after another library has performed the handshake.
    ///
    /// `inbox` has the bytes that the other library has read after the handshake. Create `connection` with the current
    /// time of `timer`, because the WebSocket continues with the clock of `timer`.
    #[must_use]
    pub fn from_parts(stream: S, timer: T, connection: Connection, inbox: Inbox) -> Self {
        Self::with_runtime(stream, FuturesIo(timer), connection, inbox)
    }
}

/// The runtime of the types in this module: the streams of futures-io, and a timer.
#[derive(Clone, Debug, Default)]
pub struct FuturesIo<T>(T);

impl<T: Timer> Timer for FuturesIo<T> {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn poll_at(&mut self, cx: &mut Context<'_>, at: Instant) -> Poll<()> {
        self.0.poll_at(cx, at)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, T: Timer> Transport<S> for FuturesIo<T> {
    #[inline]
    fn poll_read(stream: &mut S, cx: &mut Context<'_>, to: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(stream).poll_read(cx, to)
    }

    #[inline]
    fn poll_write(stream: &mut S, cx: &mut Context<'_>, from: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match from {
            [slice] => Pin::new(stream).poll_write(cx, slice),
            slices => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn keeps_refused_bytes(_: &S) -> bool {
        // The traits of futures-io do not tell whether a stream keeps bytes of a pending write. Assume that every
        // stream keeps them.
        true
    }

    fn poll_flush(stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(stream).poll_flush(cx)
    }

    fn poll_close_write(stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(stream).poll_close(cx)
    }
}
