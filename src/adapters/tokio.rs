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
//!     stream.set_nodelay(true).unwrap();                  // on any stream it is the caller's to set
//!     let mut ws = ws::accept(stream).await.unwrap();
//!     while let Some((event, mut answer)) = ws.next().await.unwrap() {
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
//! [`Server`] and [`Client`] hold what both ends can be told, [`WebSocket::next`] is the run loop, and
//! [`async_driver`] tells what holds of it: what is batched, what becomes of futures that are
//! dropped, where memory lies.
//!
//! Timers are tokio's: a runtime without its time driver panics when a WebSocket is first waited for.
//!
//! # TLS
//!
//! `connect` speaks plain TCP. For `wss` make the TLS stream with the library of your choice, and hand it to
//! [`Client::open`], or on the other end to [`Server::accept`]: any stream will do that is `AsyncRead`,
//! `AsyncWrite` and `Unpin`.

use core::fmt;
use core::future::Future;
use core::pin::{Pin, pin};
use std::io::{self, IoSlice};
use std::prelude::v1::*;
use std::task::{Context, Poll, Waker};

use ::tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use ::tokio::net::{TcpStream, lookup_host};
use ::tokio::task::{self, coop};
use ::tokio::time::{self, Sleep};

pub use super::error::Error;
pub use super::handshake_driver::{Acceptance, ConnectError, HttpAnswer, Refusal};
use super::{async_driver, handshake_driver};
use crate::handshake::{ClientRequest, WsUrl};
use crate::{Connection, Inbox, Instant};
pub use async_driver::Group;
use async_driver::{Timer, Transport};

/// A WebSocket over a stream of tokio's, TCP unless told otherwise.
pub type WebSocket<S = TcpStream> = async_driver::WebSocket<S, Tokio>;
/// The means to answer an event.
pub type Responder<'w, S = TcpStream> = async_driver::Responder<'w, S, Tokio>;
/// The half that receives.
pub type Reader<S = TcpStream> = async_driver::Reader<S, Tokio>;
/// The half that sends.
pub type Writer<S = TcpStream> = async_driver::Writer<S, Tokio>;
/// What a server is told once and uses for each connection.
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
/// What a client is told before it connects.
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
/// Why no WebSocket came of a connection.
pub type AcceptError<S = TcpStream> = async_driver::AcceptError<S, Tokio>;
/// A request that asks for no WebSocket, and its stream.
pub type HttpCall<S = TcpStream> = async_driver::HttpCall<S, Tokio>;

/// Accepts a WebSocket over any stream, with the defaults of [`Server`].
///
/// On TCP set `TCP_NODELAY` before: frames are written together as it is, and a small one that the system holds
/// back may wait for some 40 ms.
///
/// # Errors
///
/// As [`Server::accept`].
pub async fn accept<S>(stream: S) -> Result<WebSocket<S>, AcceptError<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    Server::new().accept(stream).await
}

/// Connects to a `ws://` URL, with the defaults of [`Client`].
///
/// # Errors
///
/// As [`Client::connect`].
pub async fn connect(url: &str) -> Result<WebSocket, ConnectError<TcpStream>> {
    Client::new().connect(url).await
}

/// Opens a WebSocket over any stream that is connected, with the defaults of [`Client`].
///
/// # Errors
///
/// As [`Client::request`].
pub async fn client<S>(stream: S, request: ClientRequest<'_>) -> Result<WebSocket<S>, ConnectError<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    Client::new().request(stream, request).await
}

impl Server {
    /// The defaults: no subprotocols, any origin, ten seconds for the handshake, and those of
    /// [`Config`](crate::Config) and [`Limits`](crate::handshake::HeadLimits).
    #[must_use]
    pub fn new() -> Self {
        Self::on(Tokio::new())
    }
}

impl Client {
    /// The defaults: no subprotocols, no origin, ten seconds for each address to connect and ten for the
    /// handshake, and those of [`Config`](crate::Config) and [`Limits`](crate::handshake::HeadLimits).
    #[must_use]
    pub fn new() -> Self {
        Self::on(Tokio::new())
    }

    /// Connects to a `ws://` URL over TCP, trying each address of its host in turn.
    ///
    /// # Errors
    ///
    /// [`ConnectError`]; [`ConnectError::NeedsTls`] for `wss`.
    pub async fn connect(&self, url: &str) -> Result<WebSocket, ConnectError<TcpStream>> {
        let parsed = WsUrl::parse(url)?;
        if parsed.secure() {
            return Err(ConnectError::NeedsTls);
        }
        self.check(&parsed)?;
        let mut tried = handshake_driver::Tried::default();
        let addresses = lookup_host((parsed.host_for_connect(), parsed.port())).await;
        for address in addresses.map_err(ConnectError::Connect)? {
            let connecting = TcpStream::connect(address);
            let stream = match self.connect_timeout {
                Some(timeout) => {
                    time::timeout(timeout, connecting).await.unwrap_or_else(|late| Err(late.into()))
                }
                None => connecting.await,
            };
            // A frame is handed over whole: to hold it back for more gains nothing.
            match stream.and_then(|stream| stream.set_nodelay(true).map(|()| stream)) {
                Ok(stream) => return self.open(stream, url).await,
                Err(error) => tried.failed(address, &error),
            }
        }
        Err(tried.into_error())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// A WebSocket on a stream that someone else has upgraded, with the bytes that were read behind the
    /// handshake in `inbox`.
    ///
    /// The clock begins with this call: make `connection` with [`Instant::ZERO`].
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
        Self::from_connection(stream, Tokio::new(), connection, inbox)
    }
}

/// What the types of this module run on: tokio's streams and clock.
pub struct Tokio {
    origin: time::Instant,
    alarm: Option<Alarm>,
}

/// An alarm that is set.
struct Alarm {
    at: Instant,
    sleep: Pin<Box<Sleep>>,
    /// Whom it is sure to wake, if anyone.
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
    /// The same clock, with no alarm.
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
        // One that goes off too early is set again then: a deadline moves with each message, an alarm that follows
        // it would cost more than it is worth. So would one that is told each time whom to wake.
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
            // A task whose budget is used up is woken, and the alarm is not asked.
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
    /// Whether it is still to go off, and will wake this task.
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

    fn may_keep(stream: &S) -> bool {
        // Those that take vectors are sockets, or rustls: they keep nothing.
        !stream.is_write_vectored()
    }

    fn poll_flush(stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(stream).poll_flush(cx)
    }

    fn poll_close_write(stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(stream).poll_shutdown(cx)
    }

    fn yield_turn(cx: &mut Context<'_>) {
        // To wake oneself puts the task into the queue, and the runtime may run all that is there several times before it
        // looks for input of others. This waker is called once it has.
        let yielded = pin!(task::yield_now());
        if yielded.poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }
}
