//! The server's side of the opening handshake over blocking streams.
//!
//! [`Server`] has the settings, and is shared by all adapters (`handshake_driver/server.rs`). This file runs the first
//! phase of the handshake on a [`DeadlineStream`]. The result is a [`PendingRequest`], which runs the second phase
//! (`pending_request.rs`), or an [`HttpCall`], which the application answers (`http_call.rs`). The application listens
//! for connections.
//!
//! Invariant: if the server rejects a request, it closes the stream. A plain HTTP request is returned with its stream.

use std::net::TcpStream;

use super::Blocking;
use super::deadline_stream::DeadlineStream;
use super::handshake;
use super::http_call::{AcceptError, HttpCall};
use super::pending_request::PendingRequest;
use super::websocket::WebSocket;
use super::wrapped_stream::WrappedStream;
use crate::Instant;
use crate::adapters::handshake_driver;

/// A server for blocking streams: the settings that it uses for each connection.
///
/// # Blocking and timeouts
///
/// The methods that accept or receive a request block.
/// [`handshake_timeout`](handshake_driver::Server::handshake_timeout) limits how long they block. If the stream
/// supports no timeouts, nothing interrupts a read that blocks. Accept each connection in its own thread, so that a
/// silent client delays no other client.
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

    /// Accepts a WebSocket on a connected socket, with the settings of this server. Blocks until the handshake is done.
    ///
    /// This call combines [`receive`](Self::receive) and [`PendingRequest::accept`]. It sets the socket to blocking
    /// mode.
    ///
    /// # Errors
    ///
    /// - [`AcceptError::Io`](handshake_driver::AcceptError::Io): the stream failed or ended, or the peer read the
    ///   response too slowly.
    /// - [`AcceptError::Rejected`](handshake_driver::AcceptError::Rejected): the request broke a rule, was not complete
    ///   in time, or came from an origin that is not allowed. The server has sent the response of the rejection.
    /// - [`AcceptError::NotWebSocket`](handshake_driver::AcceptError::NotWebSocket): the request is plain HTTP. No
    ///   response was sent. Answer the request with the [`HttpCall`] in the error.
    /// - [`AcceptError::Response`](handshake_driver::AcceptError::Response): a header of the 101 response cannot be
    ///   sent. The server has sent a response with status 500.
    pub fn accept(&self, stream: TcpStream) -> Result<WebSocket<TcpStream>, AcceptError<TcpStream>> {
        self.receive(stream)?.accept_at_once()
    }

    /// Receives a request to open a WebSocket on a connected socket. Blocks until the request has arrived. The
    /// application then accepts or rejects the request, at any later time.
    ///
    /// The request obeys the rules of RFC 6455 section 4.2.1, and comes from an [allowed origin](Self::origins). The
    /// socket is set to blocking mode.
    ///
    /// # Errors
    ///
    /// - [`AcceptError::Io`](handshake_driver::AcceptError::Io): the stream failed or ended, or the peer read the
    ///   response of a rejection too slowly.
    /// - [`AcceptError::Rejected`](handshake_driver::AcceptError::Rejected): the request broke a rule, was not complete
    ///   in time, or came from an origin that is not allowed. The server has sent the response of the rejection.
    /// - [`AcceptError::NotWebSocket`](handshake_driver::AcceptError::NotWebSocket): the request is plain HTTP. No
    ///   response was sent. Answer the request with the [`HttpCall`] in the error.
    pub fn receive(&self, stream: TcpStream) -> Result<PendingRequest<TcpStream>, AcceptError<TcpStream>> {
        self.run(DeadlineStream::tcp(stream, false)?)
    }

    /// Accepts a WebSocket over any [`Stream`](super::Stream) or [`WrappedStream`], with the settings of this server.
    /// Blocks until the handshake is done.
    ///
    /// This call combines [`receive_stream`](Self::receive_stream) and [`PendingRequest::accept`]. It does not change
    /// the blocking mode of the stream. If a type implements `Read` and `Write` but not [`Stream`](super::Stream), pass
    /// `WrappedStream::new(stream, |_| None)`. Nothing then interrupts a call that blocks.
    ///
    /// # Errors
    ///
    /// - [`AcceptError::Io`](handshake_driver::AcceptError::Io): the stream failed or ended, or the peer read the
    ///   response too slowly.
    /// - [`AcceptError::Rejected`](handshake_driver::AcceptError::Rejected): the request broke a rule, was not complete
    ///   in time, or came from an origin that is not allowed. The server has sent the response of the rejection.
    /// - [`AcceptError::NotWebSocket`](handshake_driver::AcceptError::NotWebSocket): the request is plain HTTP. No
    ///   response was sent. Answer the request with the [`HttpCall`] in the error.
    /// - [`AcceptError::Response`](handshake_driver::AcceptError::Response): a header of the 101 response cannot be
    ///   sent. The server has sent a response with status 500.
    pub fn accept_stream<S>(
        &self,
        stream: impl Into<WrappedStream<S>>,
    ) -> Result<WebSocket<S>, AcceptError<S>> {
        self.receive_stream(stream)?.accept_at_once()
    }

    /// Receives a request like [`receive`](Self::receive), over any [`Stream`](super::Stream) or [`WrappedStream`]. The
    /// blocking mode of the stream is not changed.
    ///
    /// # Errors
    ///
    /// - [`AcceptError::Io`](handshake_driver::AcceptError::Io): the stream failed or ended, or the peer read the
    ///   response of a rejection too slowly.
    /// - [`AcceptError::Rejected`](handshake_driver::AcceptError::Rejected): the request broke a rule, was not complete
    ///   in time, or came from an origin that is not allowed. The server has sent the response of the rejection.
    /// - [`AcceptError::NotWebSocket`](handshake_driver::AcceptError::NotWebSocket): the request is plain HTTP. No
    ///   response was sent. Answer the request with the [`HttpCall`] in the error.
    pub fn receive_stream<S>(
        &self,
        stream: impl Into<WrappedStream<S>>,
    ) -> Result<PendingRequest<S>, AcceptError<S>> {
        self.run(DeadlineStream::new(stream.into(), Instant::ZERO))
    }

    /// Runs the first phase of the handshake on a stream.
    fn run<S>(&self, mut link: DeadlineStream<S>) -> Result<PendingRequest<S>, AcceptError<S>> {
        let mut receiving = self.receiving(link.read_clock());
        handshake::run(&mut link, &mut receiving);
        match receiving.finish() {
            Ok(pending) => Ok(PendingRequest::new(link, pending)),
            Err(why) => Err(why.into_error(|request| HttpCall::new(link.into_wrapped(), request))),
        }
    }
}
