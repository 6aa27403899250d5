//! The server's side of the opening handshake over blocking streams.
//!
//! [`Server`] has the settings, and is shared by all adapters (`handshake_driver/server.rs`). This file runs the first
//! phase of the handshake on a [`DeadlineStream`]. The result is a [`PendingRequest`], which runs the second phase
//! (`pending_request.rs`), or an [`HttpCall`], which the application answers (`http_call.rs`). Listening for connections
//! is the application's work.
//!
//! Invariant: the stream of a request that this side has rejected is closed. A plain HTTP request comes with its
//! stream.

use std::net::TcpStream;

use super::Blocking;
use super::deadline_stream::DeadlineStream;
use super::handshake;
use super::http_call::{AcceptError, HttpCall};
use super::pending_request::PendingRequest;
use super::stream::Over;
use super::websocket::WebSocket;
use crate::Instant;
use crate::adapters::handshake_driver;

/// A server for blocking streams: the settings that it uses for each connection.
///
/// # Blocking and timeouts
///
/// A call that accepts blocks until the handshake is done.
/// [`handshake_timeout`](handshake_driver::Server::handshake_timeout) bounds it. Over a stream without timeouts,
/// nothing interrupts a read that blocks. Accept each connection in a thread of its own, so that a silent client
/// delays no other client.
///
/// ```no_run
/// use hybi::adapters::net::Server;
///
/// # fn main() -> std::io::Result<()> {
/// let server = Server::new().subprotocols(["chat.v2", "chat.v1"]).origins(["https://example.com"]);
/// let listener = std::net::TcpListener::bind("127.0.0.1:9001")?;
/// for stream in listener.incoming() {
///     let (server, stream) = (server.clone(), stream?);
///     // A thread for each connection, so that a silent client delays no other client.
///     std::thread::spawn(move || match server.accept(stream) {
///         Ok(ws) => println!("open, speaking {:?}", ws.subprotocol()),
///         Err(error) => println!("refused: {error}"),
///     });
/// }
/// # Ok(())
/// # }
/// ```
pub type Server = handshake_driver::Server<Blocking>;

impl Server {
    /// Returns a server with the defaults: no subprotocols, any origin, ten seconds for the handshake, and the defaults
    /// of [`Config`](crate::Config) and [`HeadLimits`](crate::handshake::HeadLimits).
    #[must_use]
    pub fn new() -> Self {
        Self::with_runtime(Blocking)
    }

    /// Accepts a WebSocket on a connected socket, by the settings of this server. Blocks until the handshake is done.
    ///
    /// This is [`receive`](Self::receive) and [`PendingRequest::accept`] in one. The socket is put into blocking mode.
    ///
    /// # Errors
    ///
    /// - [`AcceptError::Io`](handshake_driver::AcceptError::Io): the stream failed or ended, or it did not take the
    ///   response in time.
    /// - [`AcceptError::Rejected`](handshake_driver::AcceptError::Rejected): the request broke a rule, was not complete
    ///   in time, or came from an origin that is not allowed. It was answered with the status of the rejection.
    /// - [`AcceptError::NotWebSocket`](handshake_driver::AcceptError::NotWebSocket): the request is plain HTTP.
    ///   Answer it through the [`HttpCall`].
    /// - [`AcceptError::Response`](handshake_driver::AcceptError::Response): a header of the 101 response cannot be
    ///   sent. The request was answered with 500.
    pub fn accept(&self, stream: TcpStream) -> Result<WebSocket<TcpStream>, AcceptError<TcpStream>> {
        self.receive(stream)?.accept_at_once()
    }

    /// Receives a request to open a WebSocket on a connected socket, which the application accepts or rejects whenever
    /// it knows. Blocks until the request has arrived.
    ///
    /// The request keeps the rules of RFC 6455 section 4.2.1, and comes from an [allowed origin](Self::origins). The
    /// socket is put into blocking mode.
    ///
    /// # Errors
    ///
    /// - [`AcceptError::Io`](handshake_driver::AcceptError::Io), [`AcceptError::Rejected`] and
    ///   [`AcceptError::NotWebSocket`] under the conditions that [`Self::accept`] lists.
    ///
    /// [`AcceptError::Rejected`]: handshake_driver::AcceptError::Rejected
    /// [`AcceptError::NotWebSocket`]: handshake_driver::AcceptError::NotWebSocket
    pub fn receive(&self, stream: TcpStream) -> Result<PendingRequest<TcpStream>, AcceptError<TcpStream>> {
        self.run(DeadlineStream::tcp(stream, false)?)
    }

    /// Accepts a WebSocket over any [`Stream`](super::Stream) or [`Over`], by the settings of this server.
    ///
    /// This is [`receive_stream`](Self::receive_stream) and [`PendingRequest::accept`] in one. The blocking mode of the
    /// stream is not changed. For a stream that reads and writes without being a [`Stream`](super::Stream), pass
    /// `Over::new(stream, |_| None)`. Nothing then interrupts a call that blocks.
    ///
    /// # Errors
    ///
    /// The variants of [`AcceptError`] under the conditions that [`Self::accept`] lists.
    pub fn accept_stream<S>(&self, stream: impl Into<Over<S>>) -> Result<WebSocket<S>, AcceptError<S>> {
        self.receive_stream(stream)?.accept_at_once()
    }

    /// Receives a request like [`receive`](Self::receive), over any [`Stream`](super::Stream) or [`Over`]. The blocking
    /// mode of the stream is not changed.
    ///
    /// # Errors
    ///
    /// The variants of [`AcceptError`] under the conditions that [`Self::receive`] lists.
    pub fn receive_stream<S>(&self, stream: impl Into<Over<S>>) -> Result<PendingRequest<S>, AcceptError<S>> {
        self.run(DeadlineStream::new(stream.into(), Instant::ZERO))
    }

    /// Runs the first phase of the handshake on a stream.
    fn run<S>(&self, mut link: DeadlineStream<S>) -> Result<PendingRequest<S>, AcceptError<S>> {
        let mut receiving = self.receiving(link.tick());
        handshake::run(&mut link, &mut receiving);
        match receiving.finish() {
            Ok(pending) => Ok(PendingRequest::new(link, pending)),
            Err(why) => Err(why.into_error(|request| HttpCall::new(link.into_over(), request))),
        }
    }
}
