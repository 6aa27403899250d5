//! A request to open a WebSocket that waits for the application's decision.
//!
//! [`PendingRequest`] owns the stream and the head of the request. The application reads the head, and accepts or rejects
//! the request whenever it knows.
//!
//! Not here: how a request is received (`handshake`), and the rules that it was checked against
//! (`adapters::handshake_driver`).
//!
//! Invariants:
//! - No timeout runs, and nothing is read or written, between two calls.
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

/// A request to open a WebSocket that waits for the application's decision. [`Server::receive`] returns it.
///
/// The application may take its time, to ask a database for example: no timeout runs. Nothing is read meanwhile, and
/// what the peer sends is not lost. Dropping this value closes the stream without a response.
///
/// ```
/// # #[cfg(feature = "tokio")] {
/// use hybi::adapters::tokio::{Acceptance, AcceptError, Server, WebSocket};
/// use hybi::handshake::HttpResponse;
/// use tokio::io::{AsyncRead, AsyncWrite};
///
/// /// Accepts whoever has a ticket.
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

    /// Returns the stream, for its peer address for example. It must be neither read nor written.
    #[must_use]
    pub const fn stream(&self) -> &S {
        &self.stream
    }

    /// Accepts the request by the settings of the server: with its own [`acceptance`](Self::acceptance).
    ///
    /// The [handshake timeout](Server::handshake_timeout) starts again with this call.
    ///
    /// # Errors
    ///
    /// * [`Io`](handshake_driver::AcceptError::Io): the stream failed, or took the response too slowly. With
    ///   [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) the peer has closed its sending direction since the request
    ///   arrived.
    /// * [`Response`](handshake_driver::AcceptError::Response): a header of the server cannot be sent. The client was
    ///   answered with 500.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the stream is closed, and the response may be incomplete.
    pub async fn accept(self) -> Result<WebSocket<S, R>, AcceptError<S, R>> {
        let acceptance = self.acceptance();
        let accepting = self.start_accepting(Some(&acceptance));
        accepting.await
    }

    /// Accepts the request with a subprotocol and headers of the application's choice.
    ///
    /// The [handshake timeout](Server::handshake_timeout) starts again with this call.
    ///
    /// # Errors
    ///
    /// * [`Io`](handshake_driver::AcceptError::Io): the stream failed, or took the response too slowly. With
    ///   [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) the peer has closed its sending direction since the request
    ///   arrived.
    /// * [`Response`](handshake_driver::AcceptError::Response): a header cannot be sent, or the subprotocol was not
    ///   offered. The client was answered with 500.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the stream is closed, and the response may be incomplete.
    pub async fn accept_with(self, acceptance: &Acceptance) -> Result<WebSocket<S, R>, AcceptError<S, R>> {
        let accepting = self.start_accepting(Some(acceptance));
        accepting.await
    }

    /// Rejects the request with `response`, and closes the stream in a way that lets the response arrive.
    ///
    /// A response of any size is sent completely if the peer takes some of it within each
    /// [handshake timeout](Server::handshake_timeout), which counts as 1 s at least and 30 s at most here, and 1 KiB a
    /// second on the whole. Input is discarded for a second from the end of the response, 64 KiB at most.
    ///
    /// # Errors
    ///
    /// * [`TimedOut`](io::ErrorKind::TimedOut): the peer was slower, so it has not received the whole response.
    /// * [`InvalidInput`](io::ErrorKind::InvalidInput): the response cannot be sent as it is. Nothing was sent.
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

    /// Returns the stream, the head, and the bytes that were read from the stream behind the head. Nothing was sent.
    #[must_use]
    pub fn into_parts(self) -> (S, RequestHead, Vec<u8>) {
        let Pending { head, behind, .. } = *self.pending;
        (self.stream, head, behind)
    }

    /// Starts to send the 101 response. Without an acceptance it is that of the server, and no time has passed since
    /// the request arrived.
    // The future owns what it needs on the heap, and borrows nothing.
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
