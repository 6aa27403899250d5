//! The methods of the asynchronous [`Server`] and [`Client`] that open a WebSocket over a stream.
//!
//! Each method creates a state machine from the settings, and runs it with `handshake_loop`. From the result it creates
//! a [`WebSocket`] or a [`PendingRequest`].
//!
//! `adapters::handshake_driver` has the builders and the state machines. `pending_request` and `http_call` have the
//! calls with which an application answers a request. `adapters::tokio` connects sockets.
//!
//! Invariant: a handshake owns its stream. If it is dropped, the stream is closed.

use std::prelude::v1::*;

use super::handshake_loop::open;
use super::http_call::{AcceptError, HttpCall};
use super::pending_request::PendingRequest;
use super::websocket::WebSocket;
use super::{Timer, Transport};
#[cfg(doc)]
use crate::adapters::handshake_driver;
use crate::adapters::handshake_driver::{Client, ConnectError, Server};
use crate::handshake::{ClientRequest, WsUrl};

impl<R: Timer + Clone> Server<R> {
    /// Accepts a WebSocket over any stream, for example TCP or TLS, with the settings of this server.
    ///
    /// This call combines [`receive`](Self::receive) and [`PendingRequest::accept`]. Set `TCP_NODELAY` on a TCP stream
    /// before the call. Otherwise the system delays small writes to send them together. The delay saves nothing here,
    /// because queued frames are already written together.
    ///
    /// # Errors
    ///
    /// * [`Io`](handshake_driver::AcceptError::Io): the stream failed or ended, or the peer read the response too
    ///   slowly.
    /// * [`Rejected`](handshake_driver::AcceptError::Rejected): the request broke a rule, was not complete in time, or
    ///   came from an origin that is not allowed. The server has sent the response of the rejection.
    /// * [`NotWebSocket`](handshake_driver::AcceptError::NotWebSocket): the request is plain HTTP. No response was
    ///   sent. Answer the request with the [`HttpCall`] in the error.
    /// * [`Response`](handshake_driver::AcceptError::Response): a header of the 101 response cannot be sent. The server
    ///   has sent a response with status 500.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the stream is closed.
    pub async fn accept<S>(&self, stream: S) -> Result<WebSocket<S, R>, AcceptError<S, R>>
    where
        R: Transport<S>,
    {
        let request = self.receive(stream).await?;
        let accepting = request.start_accepting(None);
        accepting.await
    }

    /// Receives a request to open a WebSocket. The application then accepts or rejects the request, at any later time.
    ///
    /// The request obeys the rules of RFC 6455 section 4.2.1, and comes from an [allowed origin](Self::origins).
    /// Set `TCP_NODELAY` on a TCP stream before the call, as for [`accept`](Self::accept).
    ///
    /// # Errors
    ///
    /// * [`Io`](handshake_driver::AcceptError::Io): the stream failed or ended, or the peer read the response of a
    ///   rejection too slowly.
    /// * [`Rejected`](handshake_driver::AcceptError::Rejected): the request broke a rule, was not complete in time, or
    ///   came from an origin that is not allowed. The server has sent the response of the rejection.
    /// * [`NotWebSocket`](handshake_driver::AcceptError::NotWebSocket): the request is plain HTTP. No response was
    ///   sent. Answer the request with the [`HttpCall`] in the error.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the stream is closed.
    pub async fn receive<S>(&self, stream: S) -> Result<PendingRequest<S, R>, AcceptError<S, R>>
    where
        R: Transport<S>,
    {
        let opening = {
            let runtime = self.runtime().clone();
            let receiving = self.receiving(runtime.now());
            open(stream, runtime, receiving)
        };
        let (stream, runtime, receiving) = opening.await;
        match receiving.finish() {
            // The timer of `runtime` may still be set for the deadline of the handshake. It would wake the task while
            // the application decides. So the request gets a clone of the runtime, which has the same clock and a timer
            // that is not set.
            Ok(pending) => Ok(PendingRequest::new(stream, self.runtime().clone(), pending)),
            Err(why) => Err(why.into_error(|request| HttpCall::new(stream, runtime, request))),
        }
    }
}

impl<R: Timer + Clone> Client<R> {
    /// Opens a WebSocket over a connected stream. For a `wss://` URL pass a TLS stream.
    ///
    /// Set `TCP_NODELAY` on a TCP stream before the call. Otherwise the system delays small writes to send them
    /// together. The delay saves nothing here, because queued frames are already written together.
    ///
    /// # Errors
    ///
    /// * [`ConnectError::Url`]: the URL is invalid.
    /// * [`ConnectError::Request`]: a header, a subprotocol or the origin cannot be sent.
    /// * [`ConnectError::Io`]: the stream failed or ended during the handshake, or the system provides no entropy.
    /// * [`ConnectError::Handshake`]: the response is not valid for a WebSocket handshake, or did not arrive in time.
    /// * [`ConnectError::Http`]: the server answered with a status other than 101.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the stream is closed.
    pub async fn open<S>(&self, stream: S, url: &str) -> Result<WebSocket<S, R>, ConnectError<S>>
    where
        R: Transport<S>,
    {
        let url = WsUrl::parse(url)?;
        let (subprotocols, headers) = (self.offered_subprotocols(), self.more_headers());
        self.request(stream, self.request_for(&url, &subprotocols, &headers)).await
    }

    /// Opens a WebSocket like [`Self::open`], but sends `request` instead of a request with the origin, subprotocols
    /// and headers of this client.
    ///
    /// # Errors
    ///
    /// * [`ConnectError::Request`]: a part of `request` cannot be sent.
    /// * [`ConnectError::Io`]: the stream failed or ended during the handshake, or the system provides no entropy.
    /// * [`ConnectError::Handshake`]: the response is not valid for a WebSocket handshake, or did not arrive in time.
    /// * [`ConnectError::Http`]: the server answered with a status other than 101.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the stream is closed.
    pub async fn request<S>(
        &self,
        stream: S,
        request: ClientRequest<'_>,
    ) -> Result<WebSocket<S, R>, ConnectError<S>>
    where
        R: Transport<S>,
    {
        let opening = {
            let runtime = self.runtime().clone();
            match self.connecting(runtime.now(), request) {
                Ok(connecting) => open(stream, runtime, connecting),
                Err(why) => return Err(why.into_error(stream)),
            }
        };
        let (stream, runtime, connecting) = opening.await;
        match connecting.finish() {
            Ok(opened) => Ok(WebSocket::opened(stream, runtime, opened)),
            Err(why) => Err(why.into_error(stream)),
        }
    }
}
