//! A request to open a WebSocket that waits for the application's decision.
//!
//! [`PendingRequest`] owns the stream and the head of the request. The application reads the head, and accepts or
//! rejects the request whenever it knows. This file then runs the second phase of the handshake.
//!
//! Not here: how a request is received (`server.rs`), and the rules that it was checked against
//! (`handshake_driver/`).
//!
//! Invariants:
//! - No timeout runs, and nothing is read or written, between two calls.
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

/// A request to open a WebSocket that waits for the application's decision. [`Server::receive`](super::Server::receive) returns it.
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
    pub(super) const fn new(link: DeadlineStream<S>, pending: Box<Pending>) -> Self {
        Self { link, pending }
    }

    pending_request_getters!();

    /// Returns the stream, for its peer address for example. Do not read or write.
    #[must_use]
    pub fn stream(&self) -> &S {
        self.link.stream()
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
    pub(super) fn accept_at_once(self) -> Result<WebSocket<S>, AcceptError<S>> {
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
            Err(why) => Err(why.into_error(|request| HttpCall::new(link.into_over(), request))),
        }
    }
}
