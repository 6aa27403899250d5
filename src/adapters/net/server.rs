//! The server's end of the handshake, blocking.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::prelude::v1::*;

use super::Blocking;
use super::link::{Link, SocketOf, open};
use super::websocket::WebSocket;
use crate::adapters::opening::{self, Acceptance, Answer, Refusal};
use crate::handshake::{Incoming, Limits, Request, ServerHandshake};

/// What a server is told once and uses for each connection.
///
/// ```no_run
/// use hybi::net::Server;
///
/// # fn main() -> std::io::Result<()> {
/// let server = Server::new().subprotocols(["chat.v2", "chat.v1"]).origins(["https://example.com"]);
/// let listener = std::net::TcpListener::bind("127.0.0.1:9001")?;
/// for stream in listener.incoming() {
///     match server.accept(stream?) {
///         Ok(ws) => println!("open, speaking {:?}", ws.subprotocol()),
///         Err(error) => println!("refused: {error}"),
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub type Server = opening::Server<Blocking>;

/// Why no WebSocket came of a connection.
pub type AcceptError<S> = opening::AcceptError<HttpCall<S>>;

impl Server {
    /// The defaults: no subprotocols, any origin, ten seconds for the handshake, and those of
    /// [`Config`](crate::Config) and [`Limits`].
    #[must_use]
    pub fn new() -> Self {
        Self::on(Blocking)
    }

    /// Accepts a WebSocket.
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
        self.run(Link::tcp(stream)?, decide)
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
        self.run(Link::new(stream, socket), decide)
    }

    fn run<S: Read + Write>(
        &self,
        mut link: Link<S>,
        decide: impl FnOnce(&Request<'_>) -> Result<Acceptance, Refusal>,
    ) -> Result<WebSocket<S>, AcceptError<S>> {
        let mut accepting = self.accepting(link.tick(), decide);
        open(&mut link, &mut accepting);
        match accepting.finish() {
            Ok(opened) => Ok(WebSocket::opened(link, opened)),
            Err(why) => Err(why.into_error(|received| {
                let (socket, limits) = (link.socket(), self.limits());
                HttpCall { stream: link.into_stream(), socket, received, limits }
            })),
        }
    }
}

/// A request that asks for no WebSocket, and its stream, for whoever serves plain HTTP on the same port.
#[derive(Debug)]
pub struct HttpCall<S> {
    stream: S,
    socket: SocketOf<S>,
    received: Vec<u8>,
    limits: Limits,
}

impl<S: Read + Write> HttpCall<S> {
    /// The bytes that were read: the head, and what followed it.
    #[must_use]
    pub fn received(&self) -> &[u8] {
        &self.received
    }

    /// Answers that only WebSockets are spoken here (426).
    ///
    /// # Errors
    ///
    /// The stream failed.
    pub fn refuse(self) -> io::Result<()> {
        match ServerHandshake::new(self.limits).poll(&self.received) {
            Ok(Some(Incoming::Http(request))) => {
                let mut link = Link::new(self.stream, self.socket);
                let mut answer = Answer::new(link.tick(), None, &request.rejection().response())?;
                open(&mut link, &mut answer);
                answer.error.map_or(Ok(()), Err)
            }
            _ => Ok(()),
        }
    }

    /// The stream, and the bytes that were read from it.
    #[must_use]
    pub fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream, self.received)
    }
}
