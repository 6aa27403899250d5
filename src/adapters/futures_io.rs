//! Asynchronous WebSockets over the streams of futures-io, those of smol and async-std: feature `futures-io`.
//!
//! Such a stream comes with no clock. One is passed in as a [`Timer`]; with the feature `async-io` there is
//! `AsyncIo`, which is what smol runs on, and does unless another is named.
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
//!     while let Some((event, mut answer)) = ws.next().await.unwrap() {
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
//! [`Server`] and [`Client`] hold what both ends can be told, [`WebSocket::next`](async_driver::WebSocket::next) is
//! the run loop, and [`async_driver`] tells what holds of it: what is batched, what becomes of futures that are
//! dropped, where memory lies.
//!
//! Any stream will do that is `AsyncRead`, `AsyncWrite` and `Unpin`, of TLS too. What a stream was offered while a write was
//! pending it is offered again first, as streams over OpenSSL need it. To connect is left to the runtime's library.

use core::pin::Pin;
use std::io::{self, IoSlice};
use std::task::{Context, Poll};

use ::futures_io::{AsyncRead, AsyncWrite};

pub use super::error::Error;
pub use super::handshake_driver::{Acceptance, ConnectError, HttpAnswer, Refusal};
use super::{async_driver, handshake_driver};
#[cfg(feature = "async-io")]
use crate::handshake::ClientRequest;
use crate::{Connection, Inbox, Instant};
use async_driver::Transport;
pub use async_driver::{Group, Timer};

#[cfg(feature = "async-io")]
mod async_io;

#[cfg(feature = "async-io")]
#[cfg_attr(docsrs, doc(cfg(feature = "async-io")))]
pub use async_io::AsyncIo;

/// What runs where no timer is named, which without the feature `async-io` does not compile.
#[cfg(not(feature = "async-io"))]
type AsyncIo = core::convert::Infallible;

/// A WebSocket over a stream of futures-io.
pub type WebSocket<S, T = AsyncIo> = async_driver::WebSocket<S, FuturesIo<T>>;
/// The means to answer an event.
pub type Responder<'w, S, T = AsyncIo> = async_driver::Responder<'w, S, FuturesIo<T>>;
/// The half that receives.
pub type Reader<S, T = AsyncIo> = async_driver::Reader<S, FuturesIo<T>>;
/// The half that sends.
pub type Writer<S, T = AsyncIo> = async_driver::Writer<S, FuturesIo<T>>;
/// What a server is told once and uses for each connection. Made with `new` for `AsyncIo`, and for another
/// timer with [`with_timer`](handshake_driver::Server::with_timer).
pub type Server<T = AsyncIo> = handshake_driver::Server<FuturesIo<T>>;
/// What a client is told before it opens a WebSocket. Made with `new` for `AsyncIo`, and for another timer
/// with [`with_timer`](handshake_driver::Client::with_timer).
pub type Client<T = AsyncIo> = handshake_driver::Client<FuturesIo<T>>;
/// Why no WebSocket came of a connection.
pub type AcceptError<S, T = AsyncIo> = async_driver::AcceptError<S, FuturesIo<T>>;
/// A request that asks for no WebSocket, and its stream.
pub type HttpCall<S, T = AsyncIo> = async_driver::HttpCall<S, FuturesIo<T>>;

/// Accepts a WebSocket over any stream, with the defaults of [`Server`].
///
/// # Errors
///
/// As [`Server::accept`](handshake_driver::Server::accept).
#[cfg(feature = "async-io")]
#[cfg_attr(docsrs, doc(cfg(feature = "async-io")))]
pub async fn accept<S>(stream: S) -> Result<WebSocket<S>, AcceptError<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    Server::new().accept(stream).await
}

/// Opens a WebSocket over any stream that is connected, with the defaults of [`Client`].
///
/// # Errors
///
/// As [`Client::request`](handshake_driver::Client::request).
#[cfg(feature = "async-io")]
#[cfg_attr(docsrs, doc(cfg(feature = "async-io")))]
pub async fn client<S>(stream: S, request: ClientRequest<'_>) -> Result<WebSocket<S>, ConnectError<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    Client::new().request(stream, request).await
}

impl<T: Timer> handshake_driver::Server<FuturesIo<T>> {
    /// The defaults: no subprotocols, any origin, ten seconds for the handshake, and those of
    /// [`Config`](crate::Config) and [`Limits`](crate::handshake::HeadLimits). A clone of `timer` goes with each
    /// connection.
    #[must_use]
    pub fn with_timer(timer: T) -> Self {
        Self::on(FuturesIo(timer))
    }
}

impl<T: Timer> handshake_driver::Client<FuturesIo<T>> {
    /// The defaults: no subprotocols, no origin, ten seconds for the handshake, and those of
    /// [`Config`](crate::Config) and [`Limits`](crate::handshake::HeadLimits). A clone of `timer` goes with each
    /// connection.
    #[must_use]
    pub fn with_timer(timer: T) -> Self {
        Self::on(FuturesIo(timer))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, T: Timer> async_driver::WebSocket<S, FuturesIo<T>> {
    /// A WebSocket on a stream that someone else has upgraded, with the bytes that were read behind the
    /// handshake in `inbox`. Make `connection` with the time of `timer`.
    #[must_use]
    pub fn from_parts(stream: S, timer: T, connection: Connection, inbox: Inbox) -> Self {
        Self::from_connection(stream, FuturesIo(timer), connection, inbox)
    }
}

/// What the types of this module run on: the streams of futures-io, and a timer.
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

    fn may_keep(_: &S) -> bool {
        // A stream of futures-io cannot be asked.
        true
    }

    fn poll_flush(stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(stream).poll_flush(cx)
    }

    fn poll_close_write(stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(stream).poll_close(cx)
    }
}
