//! A request to open a WebSocket. The request waits for the application's decision.
//!
//! [`PendingRequest`] owns the stream and the head of the request. The application examines the head, and accepts or
//! rejects the request at any later time. To accept a request, this file runs the second phase of the handshake, which
//! sends the 101 response.
//!
//! `server.rs` runs the first phase, which receives the request. `handshake_driver/` checks the request.
//!
//! Invariants:
//! - While the application decides, no timeout applies, and nothing is read or written.
//! - A pending request owns its stream. If it is dropped, the stream is closed.

use core::fmt;
use std::io;
use std::prelude::v1::*;

use super::deadline_stream::DeadlineStream;
use super::handshake;
use super::http_call::{AcceptError, HttpCall};
use super::websocket::WebSocket;
#[cfg(doc)]
use crate::adapters::handshake_driver::{self, Server};
use crate::adapters::handshake_driver::{Acceptance, Pending, pending_request_getters};
use crate::handshake::{HttpResponse, RequestHead};

/// A request to open a WebSocket. The request waits for the application's decision.
/// [`Server::receive`](super::Server::receive) returns it.
///
/// No timeout applies while the application decides, so the application can for example query a database. During this
/// time nothing is read from the stream, and the peer's data is not lost. If this value is dropped, the stream is
/// closed without a response.
///
/// ```
/// use std::net::TcpStream;
///
/// use hybi::adapters::net::{AcceptError, Server, WebSocket};
/// use hybi::handshake::HttpResponse;
///
/// /// Accepts a client that has a ticket.
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
    pub(super) const fn new(link: DeadlineStream<S>, pending: Box<Pending>) -> Self {
        Self { link, pending }
    }

    pending_request_getters!();

    /// Returns the stream, for example to get the address of the peer. Do not read from the stream or write to it.
    #[must_use]
    pub fn stream(&self) -> &S {
        self.link.stream()
    }

    /// Accepts the request with the settings of the server, that is with the default
    /// [`acceptance`](Self::acceptance). Blocks until the response is sent.
    ///
    /// The [handshake timeout](Server::handshake_timeout) starts again with this call.
    ///
    /// # Errors
    ///
    /// - [`AcceptError::Io`](handshake_driver::AcceptError::Io): the stream failed, or the peer read the response too
    ///   slowly. The kind [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) means that the peer has closed its sending
    ///   direction since the request arrived. The call detects the closed direction only if the stream can be read
    ///   without blocking.
    /// - [`AcceptError::Response`](handshake_driver::AcceptError::Response): a header of the server cannot be sent. The
    ///   server has sent a response with status 500.
    pub fn accept(self) -> Result<WebSocket<S>, AcceptError<S>> {
        let acceptance = self.acceptance();
        self.run(&acceptance, true)
    }

    /// Accepts the request with the subprotocol and the headers in `acceptance`. The headers are sent in addition to
    /// those of the server. Blocks until the response is sent.
    ///
    /// The [handshake timeout](Server::handshake_timeout) starts again with this call.
    ///
    /// # Errors
    ///
    /// - [`AcceptError::Io`](handshake_driver::AcceptError::Io): the stream failed, or the peer read the response too
    ///   slowly. The kind [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) means that the peer has closed its sending
    ///   direction since the request arrived. The call detects the closed direction only if the stream can be read
    ///   without blocking.
    /// - [`AcceptError::Response`](handshake_driver::AcceptError::Response): a header cannot be sent, or the client did
    ///   not offer the subprotocol. The server has sent a response with status 500.
    pub fn accept_with(self, acceptance: &Acceptance) -> Result<WebSocket<S>, AcceptError<S>> {
        self.run(acceptance, true)
    }

    /// Rejects the request: sends `response`, and closes the stream. Blocks until the stream is closed.
    ///
    /// The response may have any size. The call fails if the stream accepts no byte of it for as long as the [handshake
    /// timeout](Server::handshake_timeout). The call also fails if the whole response takes longer than this timeout
    /// plus one second for each KiB. For both limits the timeout counts as at least 1 s and at most 30 s.
    ///
    /// If a socket is closed while it has unread input, the response can get lost. Therefore input is read and
    /// discarded for one second after the end of the response, at most 64 KiB.
    ///
    /// # Errors
    ///
    /// - [`TimedOut`](io::ErrorKind::TimedOut): the peer read too slowly, and has not received the whole response.
    /// - [`InvalidInput`](io::ErrorKind::InvalidInput): a part of the response is invalid. Nothing was sent.
    /// - Other kinds: the stream failed.
    pub fn reject(mut self, response: &HttpResponse<'_>) -> io::Result<()> {
        let mut responding = self.pending.rejecting(self.link.read_clock(), response)?;
        handshake::run(&mut self.link, &mut responding);
        responding.finish()
    }

    /// Returns the stream, the head, and the bytes after the head that were read from the stream. No response was sent.
    #[must_use]
    pub fn into_parts(self) -> (S, RequestHead, Vec<u8>) {
        let Pending { head, after_head, .. } = *self.pending;
        (self.link.into_stream(), head, after_head)
    }

    /// Accepts the request directly after it has arrived, with the settings of the server.
    pub(super) fn accept_at_once(self) -> Result<WebSocket<S>, AcceptError<S>> {
        let acceptance = self.acceptance();
        self.run(&acceptance, false)
    }

    /// Sends the 101 response: the second phase of the handshake. `waited` says whether time has passed since the
    /// request arrived.
    fn run(self, acceptance: &Acceptance, waited: bool) -> Result<WebSocket<S>, AcceptError<S>> {
        let Self { mut link, pending } = self;
        let mut accepting = pending.accepting(link.read_clock(), acceptance, waited);
        handshake::run(&mut link, &mut accepting);
        match accepting.finish() {
            Ok(opened) => Ok(WebSocket::opened(link, opened)),
            Err(why) => Err(why.into_error(|request| HttpCall::new(link.into_wrapped(), request))),
        }
    }
}
