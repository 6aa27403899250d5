//! The server's end of the handshake, blocking.

use core::fmt;
use core::time::Duration;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::prelude::v1::*;

use super::Blocking;
use super::deadline_stream::{DeadlineStream, open};
use super::stream::{Over, SocketOf};
use super::websocket::WebSocket;
use crate::Instant;
use crate::adapters::handshake_driver::{self, Acceptance, PlainRequest, Refusal};
use crate::handshake::{Headers, Reject, Request};

/// What a server is told once and uses for each connection.
///
/// ```no_run
/// use hybi::adapters::net::Server;
///
/// # fn main() -> std::io::Result<()> {
/// let server = Server::new().subprotocols(["chat.v2", "chat.v1"]).origins(["https://example.com"]);
/// let listener = std::net::TcpListener::bind("127.0.0.1:9001")?;
/// for stream in listener.incoming() {
///     let (server, stream) = (server.clone(), stream?);
///     // A client that says nothing keeps nobody waiting but its own thread.
///     std::thread::spawn(move || match server.accept(stream) {
///         Ok(ws) => println!("open, speaking {:?}", ws.subprotocol()),
///         Err(error) => println!("refused: {error}"),
///     });
/// }
/// # Ok(())
/// # }
/// ```
pub type Server = handshake_driver::Server<Blocking>;

/// Why no WebSocket came of a connection.
pub type AcceptError<S> = handshake_driver::AcceptError<HttpCall<S>>;

impl Server {
    /// The defaults: no subprotocols, any origin, ten seconds for the handshake, and those of
    /// [`Config`](crate::Config) and [`Limits`](crate::handshake::HeadLimits).
    #[must_use]
    pub fn new() -> Self {
        Self::on(Blocking)
    }

    /// Accepts a WebSocket. The socket is put into blocking mode.
    ///
    /// # Errors
    ///
    /// [`AcceptError`]. A request that was refused has been answered; one that is no upgrade comes out for
    /// the caller to answer.
    pub fn accept(&self, stream: TcpStream) -> Result<WebSocket<TcpStream>, AcceptError<TcpStream>> {
        self.accept_with(stream, |request| Ok(self.choose(request)))
    }

    /// As [`Self::accept`], with the request put before `decide`: it accepts with a subprotocol and headers,
    /// or refuses with any status.
    ///
    /// # Errors
    ///
    /// As [`Self::accept`].
    pub fn accept_with(
        &self,
        stream: TcpStream,
        decide: impl FnOnce(&Request<'_>) -> Result<Acceptance, Refusal>,
    ) -> Result<WebSocket<TcpStream>, AcceptError<TcpStream>> {
        self.run(DeadlineStream::tcp(stream, false)?, decide)
    }

    /// As [`Self::accept_with`], over any stream. `socket` finds the TCP socket underneath; `|_| None` if
    /// there is none, but then nothing interrupts a call that blocks.
    ///
    /// # Errors
    ///
    /// As [`Self::accept`].
    pub fn accept_over<S: Read + Write>(
        &self,
        stream: S,
        socket: SocketOf<S>,
        decide: impl FnOnce(&Request<'_>) -> Result<Acceptance, Refusal>,
    ) -> Result<WebSocket<S>, AcceptError<S>> {
        self.accept_stream(Over::new(stream, socket), decide)
    }

    /// As [`Self::accept_over`], over any [`Stream`](super::Stream), or one that is [driven by functions](Over).
    ///
    /// # Errors
    ///
    /// As [`Self::accept`].
    pub fn accept_stream<S>(
        &self,
        stream: impl Into<Over<S>>,
        decide: impl FnOnce(&Request<'_>) -> Result<Acceptance, Refusal>,
    ) -> Result<WebSocket<S>, AcceptError<S>> {
        self.run(DeadlineStream::new(stream.into(), Instant::ZERO), decide)
    }

    fn run<S>(
        &self,
        mut link: DeadlineStream<S>,
        decide: impl FnOnce(&Request<'_>) -> Result<Acceptance, Refusal>,
    ) -> Result<WebSocket<S>, AcceptError<S>> {
        let mut accepting = self.accepting(link.tick(), decide);
        open(&mut link, &mut accepting);
        match accepting.finish() {
            Ok(opened) => Ok(WebSocket::opened(link, opened)),
            Err(why) => Err(why.into_error(|request| HttpCall { stream: link.into_over(), request })),
        }
    }
}

/// A request that asks for no WebSocket, and its stream, for whoever serves plain HTTP on the same port.
pub struct HttpCall<S> {
    stream: Over<S>,
    request: Box<PlainRequest>,
}

impl<S> fmt::Debug for HttpCall<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the headers, which may hold secrets.
        let PlainRequest { method, target, .. } = &*self.request;
        f.debug_struct("HttpCall").field("method", method).field("target", target).finish_non_exhaustive()
    }
}

impl<S> HttpCall<S> {
    /// The method of the request; its case matters.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.request.method
    }

    /// The target of the request: path and query, or an absolute URI.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.request.target
    }

    /// The headers of the request.
    #[must_use]
    pub const fn headers(&self) -> Headers<'_> {
        self.request.headers()
    }

    /// The bytes that were read: the head, and what followed it.
    #[must_use]
    pub fn received(&self) -> &[u8] {
        &self.request.received
    }

    /// Sets how long the stream may take nothing of the answer; 30 s by default. Each byte that it takes begins this time
    /// anew.
    ///
    /// A socket with a full send buffer takes nothing until a part of the buffer is free again. Of 4 MiB that part is
    /// 1.4 MiB, so a peer that reads less than 48 KiB/s can seem to have stopped reading for 30 s.
    #[must_use]
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.request.write_timeout = timeout;
        self
    }

    /// Answers the request, and closes the stream in a way that lets the answer arrive.
    ///
    /// The answer to a HEAD request is sent without its body (RFC 9110 9.3.2). However large the answer is, and however
    /// slowly it is read, all of it is sent, as long as the peer takes some of it within each
    /// [`write_timeout`](Self::write_timeout), and 1 KiB a second on the whole. A body that the request announces is
    /// not needed: what still comes is discarded, for a second from the end of the answer, 64 KiB at most.
    ///
    /// # Errors
    ///
    /// * [`TimedOut`](io::ErrorKind::TimedOut): the peer was slower than that, so it has not got the whole answer.
    /// * [`InvalidInput`](io::ErrorKind::InvalidInput): the answer cannot be sent as it is. Nothing was sent.
    /// * Others: the stream failed.
    pub fn answer(self, answer: &Reject<'_>) -> io::Result<()> {
        let mut link = DeadlineStream::new(self.stream, Instant::ZERO);
        let mut answer = self.request.answer(link.tick(), answer)?;
        open(&mut link, &mut answer);
        answer.error.map_or(Ok(()), Err)
    }

    /// Answers that only WebSockets are spoken here (426).
    ///
    /// # Errors
    ///
    /// As those of [`answer`](Self::answer), but for `InvalidInput`.
    pub fn refuse(self) -> io::Result<()> {
        self.answer(&PlainRequest::refusal())
    }

    /// The stream, and the bytes that were read from it.
    #[must_use]
    pub fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream.into_inner(), self.request.received)
    }
}
