//! A request to open a WebSocket. The request waits for the application's decision.
//!
//! [`PendingRequest`] owns the stream and the head of the request. The application examines the head, and accepts or
//! rejects the request at any later time. This file then runs the second phase of the handshake, which sends the
//! response.
//!
//! `async_driver/handshake.rs` runs the first phase, which receives the request. `adapters::handshake_driver` checks
//! the request.
//!
//! Invariants:
//! - While the application decides, no timeout applies, and nothing is read or written.
//! - A pending request owns its stream. If it is dropped, the stream is closed.

use core::fmt;
use core::future::Future;
use std::io;
use std::prelude::v1::*;

use super::Transport;
use super::handshake_loop::{open, respond};
use super::http_call::{AcceptError, HttpCall};
use super::websocket::WebSocket;
#[cfg(doc)]
use crate::adapters::handshake_driver::{self, Server};
use crate::adapters::handshake_driver::{Acceptance, Pending, pending_request_getters};
use crate::handshake::{HttpResponse, RequestHead};

/// A request to open a WebSocket. The request waits for the application's decision. [`Server::receive`] returns it.
///
/// No timeout applies while the application decides. So the application can ask a database, for example. During this
/// time nothing is read from the stream, and the peer's data is not lost. If this value is dropped, the stream is
/// closed without a response.
///
/// ```
/// # #[cfg(feature = "tokio")] {
/// use hybi::adapters::tokio::{Acceptance, AcceptError, Server, WebSocket};
/// use hybi::handshake::HttpResponse;
/// use tokio::io::{AsyncRead, AsyncWrite};
///
/// /// Accepts a client that has a ticket.
/// async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
///     server: &Server,
///     stream: S,
/// ) -> Result<Option<WebSocket<S>>, AcceptError<S>> {
///     let request = server.receive(stream).await?;
///     match guest_with(request.head().query()).await {
///         Some(name) => {
///             let acceptance = request.acceptance().header("X-Guest", name);
///             Ok(Some(request.accept_with(&acceptance).await?))
///         }
///         None => {
///             request.reject(&HttpResponse::new(401)).await?;
///             Ok(None)
///         }
///     }
/// }
///
/// # async fn guest_with(ticket: Option<&str>) -> Option<&'static str> {
/// #     (ticket == Some("ticket=7")).then_some("ann")
/// # }
/// # }
/// ```
pub struct PendingRequest<S, R> {
    stream: S,
    runtime: R,
    pending: Box<Pending>,
}

impl<S, R> fmt::Debug for PendingRequest<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingRequest").field("head", &self.pending.head).finish_non_exhaustive()
    }
}

impl<S, R> PendingRequest<S, R> {
    pub(super) const fn new(stream: S, runtime: R, pending: Box<Pending>) -> Self {
        Self { stream, runtime, pending }
    }
}

impl<S, R: Transport<S>> PendingRequest<S, R> {
    pending_request_getters!();

    /// Returns the stream, for example to get the address of the peer. Do not read from the stream or write to it.
    #[must_use]
    pub const fn stream(&self) -> &S {
        &self.stream
    }

    /// Accepts the request with the settings of the server, that is with the default
    /// [`acceptance`](Self::acceptance).
    ///
    /// The [handshake timeout](Server::handshake_timeout) starts again with this call.
    ///
    /// # Errors
    ///
    /// * [`Io`](handshake_driver::AcceptError::Io): the stream failed, or the peer read the response too slowly. The
    ///   kind [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) means that the peer has closed its sending direction
    ///   since the request arrived.
    /// * [`Response`](handshake_driver::AcceptError::Response): a header of the server cannot be sent. The server has
    ///   sent a response with status 500.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the stream is closed, and the response may be incomplete.
    pub async fn accept(self) -> Result<WebSocket<S, R>, AcceptError<S, R>> {
        let acceptance = self.acceptance();
        let accepting = self.start_accepting(Some(&acceptance));
        accepting.await
    }

    /// Accepts the request with the subprotocol and the headers in `acceptance`. The headers are sent in addition to
    /// those of the server.
    ///
    /// The [handshake timeout](Server::handshake_timeout) starts again with this call.
    ///
    /// # Errors
    ///
    /// * [`Io`](handshake_driver::AcceptError::Io): the stream failed, or the peer read the response too slowly. The
    ///   kind [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) means that the peer has closed its sending direction
    ///   since the request arrived.
    /// * [`Response`](handshake_driver::AcceptError::Response): a header cannot be sent, or the client did not offer
    ///   the subprotocol. The server has sent a response with status 500.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the stream is closed, and the response may be incomplete.
    pub async fn accept_with(self, acceptance: &Acceptance) -> Result<WebSocket<S, R>, AcceptError<S, R>> {
        let accepting = self.start_accepting(Some(acceptance));
        accepting.await
    }

    /// Rejects the request: sends `response`, and closes the stream.
    ///
    /// The response may have any size. The call fails if the stream accepts no byte of the response for as long as the
    /// [handshake timeout](Server::handshake_timeout). The call also fails if the whole response takes longer than this
    /// timeout plus one second for each KiB. For both limits the timeout counts as at least 1 s and at most 30 s.
    ///
    /// If a socket is closed while it has unread input, the response can get lost. Therefore input is read and
    /// discarded for one second after the end of the response, at most 64 KiB.
    ///
    /// # Errors
    ///
    /// * [`TimedOut`](io::ErrorKind::TimedOut): the peer read too slowly, and has not received the whole response.
    /// * [`InvalidInput`](io::ErrorKind::InvalidInput): a part of the response is invalid. Nothing was sent.
    /// * Other kinds: the stream failed.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the stream is closed, and the response may be incomplete.
    pub async fn reject(self, response: &HttpResponse<'_>) -> io::Result<()> {
        let Self { stream, runtime, pending } = self;
        let responding = pending.rejecting(runtime.now(), response);
        drop(pending);
        respond(stream, runtime, responding).await
    }

    /// Returns the stream, the head, and the bytes after the head that were read from the stream. No response was sent.
    #[must_use]
    pub fn into_parts(self) -> (S, RequestHead, Vec<u8>) {
        let Pending { head, after_head, .. } = *self.pending;
        (self.stream, head, after_head)
    }

    /// Starts to send the 101 response. `None` means that the settings of the server decide, and that the request has
    /// just arrived. In this case the handshake does not check whether the peer has closed its sending direction.
    // The future owns its state on the heap, and borrows nothing.
    pub(super) fn start_accepting(
        self,
        acceptance: Option<&Acceptance>,
    ) -> impl Future<Output = Result<WebSocket<S, R>, AcceptError<S, R>>> + use<S, R> {
        let Self { stream, runtime, pending } = self;
        let accepting = match acceptance {
            Some(acceptance) => pending.accepting(runtime.now(), acceptance, true),
            None => {
                let acceptance = pending.acceptance();
                pending.accepting(runtime.now(), &acceptance, false)
            }
        };
        let opening = open(stream, runtime, accepting);
        async {
            let (stream, runtime, accepting) = opening.await;
            match accepting.finish() {
                Ok(opened) => Ok(WebSocket::opened(stream, runtime, opened)),
                Err(why) => Err(why.into_error(|request| HttpCall::new(stream, runtime, request))),
            }
        }
    }
}
