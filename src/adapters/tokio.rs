//! Asynchronous WebSockets over tokio's streams: feature `tokio`.
//!
//! ```
//! use hybi::adapters::tokio as ws;
//! use hybi::{CloseCode, Event};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let url = format!("ws://{}/", listener.local_addr()?);
//! let server = tokio::spawn(async move {
//!     let (stream, _) = listener.accept().await.unwrap();
//!     stream.set_nodelay(true).unwrap();                  // `accept` does not set this option
//!     let mut ws = ws::accept(stream).await.unwrap();
//!     while let Some((event, mut answer)) = ws.next_event().await.unwrap() {
//!         if let Event::Text(text) = event {
//!             answer.send_text(text).await.unwrap();      // `text` is still borrowed from the read buffer
//!         }
//!     }
//! });
//!
//! let mut ws = ws::connect(&url).await?;
//! ws.send_text("grüezi").await?;
//! assert_eq!(ws.recv().await?, Some("grüezi".into()));
//! ws.close(CloseCode::NORMAL, "bye").await?;
//! assert!(ws.wait_closed().await?.is_clean());
//! server.await?;
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! [`Server`] and [`Client`] have the settings of the two roles. Call [`WebSocket::next_event`] in a loop to run a
//! connection. The module [`async_driver`] describes which frames are written together, the effect of dropped
//! futures, and the use of memory.
//!
//! The timers of a WebSocket are timers of tokio. Enable the time driver of the runtime: without it tokio panics when a
//! WebSocket waits for the first time.
//!
//! # TLS
//!
//! With the feature `rustls` or `native-tls`, [`connect`] takes `wss://` URLs. `Server::accept_tls` and
//! `Server::accept_native_tls` accept clients over TLS. The module `hybi::tls` lists the features that provide
//! cryptography and root certificates.
//!
//! To use another library, pass its TLS stream to [`Client::open`], or to [`Server::accept`] on a server. Any stream
//! that is `AsyncRead`, `AsyncWrite` and `Unpin` works.
//!
//! # Proxies
//!
//! [`Client::proxy`](handshake_driver::Client::proxy) sets an HTTP or SOCKS5 proxy, or the proxies that the environment
//! names. By default no proxy is used.
//!
//! This module adds three things to [`async_driver`]: the streams of tokio, its clock (see [`Tokio`]), and connecting
//! over TCP.

use core::fmt;
use core::future::Future;
use core::pin::{Pin, pin};
use std::io::{self, IoSlice};
use std::prelude::v1::*;
use std::task::{Context, Poll, Waker};

use ::tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use ::tokio::net::TcpStream;
use ::tokio::task::{self, coop};
use ::tokio::time::{self, Sleep};

pub use super::byte_stream::ByteStreamError;
pub use super::error::Error;
pub use super::handshake_driver::{
    Acceptance, ConnectError, ReceivedResponse, ReconnectStopped, ReconnectTarget,
};
use super::{async_driver, handshake_driver};
use crate::handshake::ClientRequest;
use crate::{Connection, Inbox, Instant};
pub use async_driver::Group;
#[cfg(any(feature = "rustls", feature = "native-tls"))]
#[cfg_attr(docsrs, doc(cfg(any(feature = "rustls", feature = "native-tls"))))]
pub use async_driver::TlsStream;
use async_driver::{Timer, Transport};
pub use connect::{ClientStream, connect};
pub use connections::Connections;

mod byte_stream;
mod client_stream;
mod connect;
mod connections;
#[cfg(any(feature = "rustls", feature = "native-tls"))]
mod tls_stream;

/// A WebSocket over a stream of tokio, by default TCP.
pub type WebSocket<S = TcpStream> = async_driver::WebSocket<S, Tokio>;
/// Sends frames in answer to an event.
pub type Responder<'w, S = TcpStream> = async_driver::Responder<'w, S, Tokio>;
/// The receiving half of a WebSocket.
pub type Reader<S = TcpStream> = async_driver::Reader<S, Tokio>;
/// The sending half of a WebSocket.
pub type Writer<S = TcpStream> = async_driver::Writer<S, Tokio>;
/// A WebSocket as a stream of bytes.
pub type ByteStream<S = TcpStream> = async_driver::ByteStream<S, Tokio>;
/// The settings of a server, used for each connection.
///
/// ```no_run
/// use hybi::adapters::tokio::Server;
///
/// # async fn serve() -> std::io::Result<()> {
/// let server = Server::new().subprotocols(["chat.v2", "chat.v1"]).origins(["https://example.com"]);
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:9001").await?;
/// loop {
///     let (stream, peer) = listener.accept().await?;
///     stream.set_nodelay(true)?;
///     let server = server.clone();
///     tokio::spawn(async move {
///         match server.accept(stream).await {
///             Ok(ws) => println!("{peer}: open, speaking {:?}", ws.subprotocol()),
///             Err(error) => println!("{peer}: {error}"),
///         }
///     });
/// }
/// # }
/// ```
pub type Server = handshake_driver::Server<Tokio>;
/// The settings of a client.
///
/// ```no_run
/// use hybi::adapters::tokio::Client;
///
/// # async fn talk() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new().subprotocols(["chat.v2"]).header("Authorization", "Bearer 7f3a");
/// let ws = client.connect("ws://127.0.0.1:9001/chat").await?;
/// assert_eq!(ws.subprotocol(), Some("chat.v2"));
/// # Ok(())
/// # }
/// ```
pub type Client = handshake_driver::Client<Tokio>;
/// The reason why a connection did not become a WebSocket.
pub type AcceptError<S = TcpStream> = async_driver::AcceptError<S, Tokio>;
/// A request to open a WebSocket. The request waits for the application's decision.
pub type PendingRequest<S = TcpStream> = async_driver::PendingRequest<S, Tokio>;
/// A plain HTTP request and its stream.
pub type HttpCall<S = TcpStream> = async_driver::HttpCall<S, Tokio>;

/// Accepts a WebSocket over any stream, with the defaults of [`Server`].
///
/// Set `TCP_NODELAY` on a TCP stream before the call. Without this option the system can delay a small frame by about
/// 40 ms. The delay saves nothing, because queued frames are written together.
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
pub async fn client<S>(stream: S, request: ClientRequest<'_>) -> Result<WebSocket<S>, ConnectError<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    Client::new().request(stream, request).await
}

impl Server {
    /// Creates a server with the defaults: no subprotocols, any origin, ten seconds for the handshake, and the defaults
    /// of [`Config`](crate::Config) and [`HeadLimits`](crate::handshake::HeadLimits).
    #[must_use]
    pub fn new() -> Self {
        Self::with_runtime(Tokio::new())
    }
}

impl Client {
    /// Creates a client with the defaults: no subprotocols, no origin, no proxy, and ten seconds to open a WebSocket.
    /// All other settings are the defaults of [`Config`](crate::Config) and
    /// [`HeadLimits`](crate::handshake::HeadLimits).
    #[must_use]
    pub fn new() -> Self {
        Self::with_runtime(Tokio::new())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Creates a WebSocket on a stream after another library has performed the handshake. `inbox` has the bytes that
    /// the other library has read after the handshake.
    ///
    /// The clock starts with this call, at the time [`Connection::latest_instant`]. For a new connection this is the
    /// time that was passed to [`Connection::server`] or [`Connection::client`].
    ///
    /// ```
    /// use hybi::adapters::tokio::WebSocket;
    /// use hybi::{Config, Connection, Inbox, Instant, Outbox};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let (stream, _peer) = tokio::io::duplex(64);
    /// let connection = Connection::server(Instant::ZERO, Config::new(), Outbox::new());
    /// let arrived = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    /// let mut ws = WebSocket::from_parts(stream, connection, Inbox::with_bytes(&arrived));
    /// assert_eq!(ws.recv().await.unwrap(), Some("Hello".into()));
    /// # });
    /// ```
    #[must_use]
    pub fn from_parts(stream: S, connection: Connection, inbox: Inbox) -> Self {
        Self::with_runtime(stream, Tokio::new(), connection, inbox)
    }
}

/// The runtime of the types in this module: tokio's streams and clock.
pub struct Tokio {
    origin: time::Instant,
    alarm: Option<Alarm>,
}

/// A timer of tokio that is set.
struct Alarm {
    at: Instant,
    sleep: Pin<Box<Sleep>>,
    /// The waker that is registered with `sleep`. `None` if tokio may not have registered the waker.
    wakes: Option<Waker>,
}

impl Tokio {
    fn new() -> Self {
        Self { origin: time::Instant::now(), alarm: None }
    }
}

impl Default for Tokio {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for Tokio {
    /// Returns a runtime with the same clock. Its timer is not set.
    fn clone(&self) -> Self {
        Self { origin: self.origin, alarm: None }
    }
}

impl fmt::Debug for Tokio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokio").field("now", &self.now()).finish_non_exhaustive()
    }
}

impl Timer for Tokio {
    fn now(&self) -> Instant {
        Instant::from_origin(self.origin.elapsed())
    }

    fn poll_at(&mut self, cx: &mut Context<'_>, at: Instant) -> Poll<()> {
        // If the timer is already set for `at` or an earlier time, it is not changed. When it fires before `at`, it is
        // set again. A deadline moves with each message, and changing the timer each time would cost more than a
        // spurious wakeup. For the same reason a waker that is already registered is not registered again.
        if self.alarm.as_ref().is_some_and(|alarm| alarm.at <= at && alarm.is_set_for(cx)) {
            return Poll::Pending;
        }
        let Some(when) = self.origin.checked_add(at.since_origin()) else { return Poll::Pending };
        let alarm = self.alarm.get_or_insert_with(|| {
            let sleep = Box::pin(time::sleep_until(when));
            Alarm { at, sleep, wakes: None }
        });
        loop {
            if alarm.at > at {
                alarm.at = at;
                alarm.sleep.as_mut().reset(when);
            }
            // tokio gives each task a budget of operations. When the budget is used up, `poll` only wakes the task. In
            // this case `poll` neither polls the timer nor registers the waker.
            let asked = coop::has_budget_remaining();
            if alarm.sleep.as_mut().poll(cx).is_pending() {
                alarm.wakes = asked.then(|| cx.waker().clone());
                return Poll::Pending;
            }
            if alarm.at == at {
                self.alarm = None;
                return Poll::Ready(());
            }
            alarm.at = at;
            alarm.sleep.as_mut().reset(when);
        }
    }
}

impl Alarm {
    /// Returns whether the timer has not fired yet and will wake the task of `cx`.
    fn is_set_for(&self, cx: &Context<'_>) -> bool {
        self.wakes.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) && !self.sleep.is_elapsed()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Transport<S> for Tokio {
    #[inline]
    fn poll_read(stream: &mut S, cx: &mut Context<'_>, to: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut to = ReadBuf::new(to);
        Pin::new(stream).poll_read(cx, &mut to).map_ok(|()| to.filled().len())
    }

    #[inline]
    fn poll_write(stream: &mut S, cx: &mut Context<'_>, from: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match from {
            [slice] => Pin::new(stream).poll_write(cx, slice),
            slices => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn keeps_refused_bytes(stream: &S) -> bool {
        // tokio has no method that tells whether a stream keeps bytes of a pending write. The known streams with
        // vectored writes are sockets and the streams of rustls, which keep no bytes.
        !stream.is_write_vectored()
    }

    fn poll_flush(stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(stream).poll_flush(cx)
    }

    fn poll_close_write(stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(stream).poll_shutdown(cx)
    }

    fn yield_turn(cx: &mut Context<'_>) {
        // A task that wakes itself goes into the run queue. The runtime may run that queue several times before it
        // looks for input of other tasks. `yield_now` wakes the task only after the runtime has looked.
        let yielded = pin!(task::yield_now());
        if yielded.poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }
}
