//! The server's side of the opening handshake over blocking streams.
//!
//! [`Server`] has the settings, and is shared by all adapters (`handshake_driver/server.rs`). This file runs the
//! handshake on a [`DeadlineStream`] and makes the [`WebSocket`]. A plain HTTP request becomes an [`HttpCall`], which
//! the application answers. Listening for connections is the application's work.
//!
//! Invariant: the stream of a request that this side has answered is closed. A plain HTTP request comes with its
//! stream.

use core::fmt;
use core::time::Duration;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::prelude::v1::*;

use super::Blocking;
use super::deadline_stream::DeadlineStream;
use super::handshake;
use super::stream::{Over, SocketOf};
use super::websocket::WebSocket;
use crate::Instant;
use crate::adapters::handshake_driver::{self, Acceptance, PlainRequest, Refusal};
use crate::handshake::{Headers, Reject, Request};

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

/// The reason why a connection did not become a WebSocket.
pub type AcceptError<S> = handshake_driver::AcceptError<HttpCall<S>>;

impl Server {
    /// Returns a server with the defaults: no subprotocols, any origin, ten seconds for the handshake, and the defaults
    /// of [`Config`](crate::Config) and [`HeadLimits`](crate::handshake::HeadLimits).
    #[must_use]
    pub fn new() -> Self {
        Self::with_runtime(Blocking)
    }

    /// Accepts a WebSocket on a connected socket, which is put into blocking mode. Blocks until the handshake is done.
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
        self.accept_with(stream, |request| Ok(self.choose(request)))
    }

    /// Accepts a WebSocket if `decide` accepts the request. Blocks until the handshake is done.
    ///
    /// `decide` gets the request, and returns an [`Acceptance`] with a subprotocol and headers, or a [`Refusal`] with a
    /// status. The socket is put into blocking mode.
    ///
    /// # Errors
    ///
    /// - [`AcceptError::Refused`](handshake_driver::AcceptError::Refused): `decide` refused the request. It was
    ///   answered with the [`Refusal`].
    /// - The other variants of [`AcceptError`] under the conditions that [`Self::accept`] lists.
    pub fn accept_with(
        &self,
        stream: TcpStream,
        decide: impl FnOnce(&Request<'_>) -> Result<Acceptance, Refusal>,
    ) -> Result<WebSocket<TcpStream>, AcceptError<TcpStream>> {
        self.run(DeadlineStream::tcp(stream, false)?, decide)
    }

    /// Accepts a WebSocket over any stream that reads and writes, if `decide` accepts the request.
    ///
    /// `socket` returns the TCP socket below the stream. With `|_| None` there is no socket, and nothing interrupts a
    /// call that blocks. The blocking mode of the stream is not changed.
    ///
    /// # Errors
    ///
    /// The variants of [`AcceptError`] under the conditions that [`Self::accept`] and [`Self::accept_with`] list.
    pub fn accept_over<S: Read + Write>(
        &self,
        stream: S,
        socket: SocketOf<S>,
        decide: impl FnOnce(&Request<'_>) -> Result<Acceptance, Refusal>,
    ) -> Result<WebSocket<S>, AcceptError<S>> {
        self.accept_stream(Over::new(stream, socket), decide)
    }

    /// Accepts a WebSocket over any [`Stream`](super::Stream) or [`Over`], if `decide` accepts the request.
    ///
    /// The blocking mode of the stream is not changed.
    ///
    /// # Errors
    ///
    /// The variants of [`AcceptError`] under the conditions that [`Self::accept`] and [`Self::accept_with`] list.
    pub fn accept_stream<S>(
        &self,
        stream: impl Into<Over<S>>,
        decide: impl FnOnce(&Request<'_>) -> Result<Acceptance, Refusal>,
    ) -> Result<WebSocket<S>, AcceptError<S>> {
        self.run(DeadlineStream::new(stream.into(), Instant::ZERO), decide)
    }

    /// Runs the handshake on a stream.
    fn run<S>(
        &self,
        mut link: DeadlineStream<S>,
        decide: impl FnOnce(&Request<'_>) -> Result<Acceptance, Refusal>,
    ) -> Result<WebSocket<S>, AcceptError<S>> {
        let mut accepting = self.accepting(link.tick(), decide);
        handshake::run(&mut link, &mut accepting);
        match accepting.finish() {
            Ok(opened) => Ok(WebSocket::opened(link, opened)),
            Err(why) => Err(why.into_error(|request| HttpCall { stream: link.into_over(), request })),
        }
    }
}

/// A plain HTTP request with its stream, for an application that serves HTTP on the same port.
pub struct HttpCall<S> {
    stream: Over<S>,
    request: Box<PlainRequest>,
}

impl<S> fmt::Debug for HttpCall<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The headers are not shown: they may have secrets.
        let PlainRequest { method, target, .. } = &*self.request;
        f.debug_struct("HttpCall").field("method", method).field("target", target).finish_non_exhaustive()
    }
}

impl<S> HttpCall<S> {
    /// Returns the method of the request. Methods are case-sensitive (RFC 9110 section 9.1).
    #[must_use]
    pub fn method(&self) -> &str {
        &self.request.method
    }

    /// Returns the target of the request: path and query, or an absolute URI.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.request.target
    }

    /// Returns the headers of the request.
    #[must_use]
    pub const fn headers(&self) -> Headers<'_> {
        self.request.headers()
    }

    /// Returns the bytes that were read from the stream: the head, and the bytes behind it.
    #[must_use]
    pub fn received(&self) -> &[u8] {
        &self.request.received
    }

    /// Sets how long the stream may take nothing of the answer; 30 s by default. Each byte that the stream takes
    /// restarts this time.
    ///
    /// A socket with a full send buffer takes nothing until a part of the buffer is free again. For a buffer of 4 MiB
    /// that part is 1.4 MiB. A peer that reads less than 48 KiB/s can therefore seem to have stopped for 30 s.
    #[must_use]
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.request.write_timeout = timeout;
        self
    }

    /// Answers the request, and closes the stream so that the answer arrives. Blocks until then.
    ///
    /// The answer to a HEAD request is sent without its body (RFC 9110 section 9.3.2). The answer may have any size.
    /// The peer must take some of it within each [`write_timeout`](Self::write_timeout), and 1 KiB a second on the
    /// whole. Further input, such as the body of the request, is discarded for a second from the end of the answer,
    /// 64 KiB at most.
    ///
    /// # Errors
    ///
    /// - [`TimedOut`](io::ErrorKind::TimedOut): the peer was slower than that, and did not get the whole answer.
    /// - [`InvalidInput`](io::ErrorKind::InvalidInput): the answer has an invalid status or header. Nothing was sent.
    /// - Other kinds: the stream failed.
    pub fn answer(self, answer: &Reject<'_>) -> io::Result<()> {
        let mut link = DeadlineStream::new(self.stream, Instant::ZERO);
        let mut answer = self.request.answer(link.tick(), answer)?;
        handshake::run(&mut link, &mut answer);
        answer.error.map_or(Ok(()), Err)
    }

    /// Answers that this port only serves WebSockets: status 426. Blocks like [`answer`](Self::answer).
    ///
    /// # Errors
    ///
    /// - [`TimedOut`](io::ErrorKind::TimedOut): the peer took too long to read the answer, and did not get all of it.
    /// - Other kinds: the stream failed.
    pub fn refuse(self) -> io::Result<()> {
        self.answer(&PlainRequest::refusal())
    }

    /// Returns the stream, and the bytes that were read from it.
    #[must_use]
    pub fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream.into_inner(), self.request.received)
    }
}
