//! The server's side of the opening handshake over blocking streams.
//!
//! [`Server`] has the settings, and is shared by all adapters (`handshake_driver/server.rs`). This file runs the two
//! phases of the handshake on a [`DeadlineStream`], with the [`PendingRequest`] in between, and makes the
//! [`WebSocket`]. A plain HTTP request becomes an [`HttpCall`], which the application answers. Listening for connections
//! is the application's work.
//!
//! Invariant: the stream of a request that this side has rejected is closed. A plain HTTP request comes with its
//! stream.

use core::fmt;
use core::time::Duration;
use std::io;
use std::net::TcpStream;
use std::prelude::v1::*;

use super::Blocking;
use super::deadline_stream::DeadlineStream;
use super::handshake;
use super::stream::Over;
use super::websocket::WebSocket;
use crate::Instant;
use crate::adapters::handshake_driver::{self, Acceptance, Pending, PlainRequest};
use crate::handshake::{Headers, HttpResponse, RequestHead};

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
            Ok(pending) => Ok(PendingRequest { link, pending }),
            Err(why) => Err(why.into_error(|request| HttpCall { stream: link.into_over(), request })),
        }
    }
}

/// A request to open a WebSocket that waits for the application's decision. [`Server::receive`] returns it.
///
/// The application may take its time, to ask a database for example: no timeout runs. Nothing is read meanwhile, and
/// what the peer sends is not lost. Dropping this value closes the stream without a response.
///
/// ```
/// use std::net::TcpStream;
///
/// use hybi::adapters::net::{AcceptError, Server, WebSocket};
/// use hybi::handshake::HttpResponse;
///
/// /// Accepts whoever has a ticket.
/// fn accept(
///     server: &Server,
///     stream: TcpStream,
/// ) -> Result<Option<WebSocket<TcpStream>>, AcceptError<TcpStream>> {
///     let request = server.receive(stream)?;
///     match guest_with(request.head().query()) {
///         Some(name) => {
///             let acceptance = request.acceptance().header("X-Guest", name);
///             Ok(Some(request.accept_with(&acceptance)?))
///         }
///         None => {
///             request.reject(&HttpResponse::new(401))?;
///             Ok(None)
///         }
///     }
/// }
///
/// # fn guest_with(ticket: Option<&str>) -> Option<&'static str> {
/// #     (ticket == Some("ticket=7")).then_some("ann")
/// # }
/// ```
pub struct PendingRequest<S> {
    link: DeadlineStream<S>,
    pending: Box<Pending>,
}

impl<S> fmt::Debug for PendingRequest<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingRequest").field("head", &self.pending.head).finish_non_exhaustive()
    }
}

impl<S> PendingRequest<S> {
    /// Returns the head of the request: method, target, headers, and what follows from them.
    #[must_use]
    pub const fn head(&self) -> &RequestHead {
        &self.pending.head
    }

    /// Returns the target of the request: path and query, or an absolute URI.
    #[must_use]
    pub fn target(&self) -> &str {
        self.pending.head.target()
    }

    /// Returns the headers of the request.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        self.pending.head.headers()
    }

    /// Returns the origin of the page that opens the connection, if there is one.
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        self.pending.head.origin()
    }

    /// Returns the subprotocols that the client offers, in its order of preference.
    pub fn subprotocols(&self) -> impl Iterator<Item = &str> + Clone {
        self.pending.head.subprotocols()
    }

    /// Returns the stream, for its peer address for example. Do not read or write.
    #[must_use]
    pub fn stream(&self) -> &S {
        self.link.stream()
    }

    /// Returns the server's own decision: the first subprotocol in the client's list that the server
    /// [supports](Server::subprotocols). The application may change it, for [`accept_with`](Self::accept_with).
    #[must_use]
    pub fn acceptance(&self) -> Acceptance {
        self.pending.acceptance()
    }

    /// Accepts the request by the settings of the server: with its own [`acceptance`](Self::acceptance). Blocks until
    /// the response is sent.
    ///
    /// The [handshake timeout](Server::handshake_timeout) starts again with this call.
    ///
    /// # Errors
    ///
    /// - [`AcceptError::Io`](handshake_driver::AcceptError::Io): the stream failed, or did not take the response in
    ///   time. With [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) the peer has closed its sending direction since the
    ///   request arrived. A stream that cannot be read without blocking does not show that.
    /// - [`AcceptError::Response`](handshake_driver::AcceptError::Response): a header of the server cannot be sent. The
    ///   request was answered with 500.
    pub fn accept(self) -> Result<WebSocket<S>, AcceptError<S>> {
        let acceptance = self.acceptance();
        self.run(&acceptance, true)
    }

    /// Accepts the request with a subprotocol and headers of the application's choice. Blocks until the response is
    /// sent.
    ///
    /// # Errors
    ///
    /// - [`AcceptError::Io`](handshake_driver::AcceptError::Io) under the conditions that [`Self::accept`] lists.
    /// - [`AcceptError::Response`](handshake_driver::AcceptError::Response): a header cannot be sent, or the
    ///   subprotocol was not offered. The request was answered with 500.
    pub fn accept_with(self, acceptance: &Acceptance) -> Result<WebSocket<S>, AcceptError<S>> {
        self.run(acceptance, true)
    }

    /// Rejects the request with `response`, and closes the stream so that the response arrives. Blocks until then.
    ///
    /// The response may have any size. The peer must take some of it within each
    /// [handshake timeout](Server::handshake_timeout), which counts as 1 s at least and 30 s at most here, and 1 KiB a
    /// second on the whole. Further input is discarded for a second from the end of the response, 64 KiB at most.
    ///
    /// # Errors
    ///
    /// - [`TimedOut`](io::ErrorKind::TimedOut): the peer was slower than that, and did not get the whole response.
    /// - [`InvalidInput`](io::ErrorKind::InvalidInput): the response has an invalid status or header. Nothing was sent.
    /// - Other kinds: the stream failed.
    pub fn reject(mut self, response: &HttpResponse<'_>) -> io::Result<()> {
        let mut responding = self.pending.rejecting(self.link.tick(), response)?;
        handshake::run(&mut self.link, &mut responding);
        responding.finish()
    }

    /// Returns the stream, the head, and the bytes that were read from the stream behind the head. Nothing was sent.
    #[must_use]
    pub fn into_parts(self) -> (S, RequestHead, Vec<u8>) {
        let Pending { head, behind, .. } = *self.pending;
        (self.link.into_stream(), head, behind)
    }

    /// Accepts the request as soon as it has arrived, by the settings of the server.
    fn accept_at_once(self) -> Result<WebSocket<S>, AcceptError<S>> {
        let acceptance = self.acceptance();
        self.run(&acceptance, false)
    }

    /// Runs the second phase of the handshake. `waited` says whether time has passed since the request arrived.
    fn run(self, acceptance: &Acceptance, waited: bool) -> Result<WebSocket<S>, AcceptError<S>> {
        let Self { mut link, pending } = self;
        let mut accepting = pending.accepting(link.tick(), acceptance, waited);
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
        let head = &self.request.head;
        f.debug_struct("HttpCall")
            .field("method", &head.method())
            .field("target", &head.target())
            .finish_non_exhaustive()
    }
}

impl<S> HttpCall<S> {
    /// Returns the method of the request. Methods are case-sensitive (RFC 9110 section 9.1).
    #[must_use]
    pub fn method(&self) -> &str {
        self.request.head.method()
    }

    /// Returns the target of the request: path and query, or an absolute URI.
    #[must_use]
    pub fn target(&self) -> &str {
        self.request.head.target()
    }

    /// Returns the headers of the request.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        self.request.head.headers()
    }

    /// Returns the bytes that were read from the stream: the head, and the bytes behind it.
    #[must_use]
    pub fn received(&self) -> &[u8] {
        &self.request.received
    }

    /// Sets how long the stream may take nothing of the response; 30 s by default. Each byte that the stream takes
    /// restarts this time.
    ///
    /// A socket with a full send buffer takes nothing until a part of the buffer is free again. For a buffer of 4 MiB
    /// that part is 1.4 MiB. A peer that reads less than 48 KiB/s can therefore seem to have stopped for 30 s.
    #[must_use]
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.request.write_timeout = timeout;
        self
    }

    /// Answers the request with `response`, and closes the stream so that the response arrives. Blocks until then.
    ///
    /// The response to a HEAD request is sent without its body (RFC 9110 section 9.3.2). The response may have any size.
    /// The peer must take some of it within each [`write_timeout`](Self::write_timeout), and 1 KiB a second on the
    /// whole. Further input, such as the body of the request, is discarded for a second from the end of the response,
    /// 64 KiB at most.
    ///
    /// # Errors
    ///
    /// - [`TimedOut`](io::ErrorKind::TimedOut): the peer was slower than that, and did not get the whole response.
    /// - [`InvalidInput`](io::ErrorKind::InvalidInput): the response has an invalid status or header. Nothing was sent.
    /// - Other kinds: the stream failed.
    pub fn respond(self, response: &HttpResponse<'_>) -> io::Result<()> {
        let mut link = DeadlineStream::new(self.stream, Instant::ZERO);
        let mut responding = self.request.responding(link.tick(), response)?;
        handshake::run(&mut link, &mut responding);
        responding.finish()
    }

    /// Answers that this port only serves WebSockets: status 426. Blocks like [`respond`](Self::respond).
    ///
    /// # Errors
    ///
    /// - [`TimedOut`](io::ErrorKind::TimedOut): the peer took too long to read the response, and did not get all of it.
    /// - Other kinds: the stream failed.
    pub fn reject(self) -> io::Result<()> {
        self.respond(&PlainRequest::rejection())
    }

    /// Returns the stream, and the bytes that were read from it.
    #[must_use]
    pub fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream.into_inner(), self.request.received)
    }
}
