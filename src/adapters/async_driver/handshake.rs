//! The methods of the asynchronous [`Server`] and [`Client`] that open a WebSocket over a stream.
//!
//! Each method makes a state machine of the settings, runs it with `handshake_loop`, and makes a [`WebSocket`] or a
//! [`PendingRequest`] of the result.
//!
//! Not here: the builders and the state machines (`adapters::handshake_driver`), what an application does with a request
//! (`pending_request`, `http_call`), and connecting (`tokio`).
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
    /// before the call. Queued frames are written together, so a delay by the system saves nothing.
    ///
    /// # Errors
    ///
    /// * [`Io`](crate::adapters::handshake_driver::AcceptError::Io): the stream failed, ended, or took the response too slowly.
    /// * [`Rejected`](crate::adapters::handshake_driver::AcceptError::Rejected): the request broke a rule, came too late, or came from
    ///   an origin that is not allowed. It was answered.
    /// * [`NotWebSocket`](crate::adapters::handshake_driver::AcceptError::NotWebSocket): the request is plain HTTP, and was not
    ///   answered. The [`HttpCall`] inside answers it.
    /// * [`Response`](crate::adapters::handshake_driver::AcceptError::Response): the response would have been invalid. The client was
    ///   answered with 500.
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
    /// * [`Io`](crate::adapters::handshake_driver::AcceptError::Io): the stream failed or ended.
    /// * [`Rejected`](crate::adapters::handshake_driver::AcceptError::Rejected): the request broke a rule, came too late, or came from
    ///   an origin that is not allowed. It was answered.
    /// * [`NotWebSocket`](crate::adapters::handshake_driver::AcceptError::NotWebSocket): the request is plain HTTP, and was not
    ///   answered. The [`HttpCall`] inside answers it.
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
            // A clone has the same clock and no timer that is set, so nothing wakes the task while the application decides.
            Ok(pending) => Ok(PendingRequest::new(stream, self.runtime().clone(), pending)),
            Err(why) => Err(why.into_error(|request| HttpCall::new(stream, runtime, request))),
        }
    }
}

impl<R: Timer + Clone> Client<R> {
    /// Opens a WebSocket over a connected stream. For a `wss://` URL pass a TLS stream.
    ///
    /// Set `TCP_NODELAY` on a TCP stream before the call. Queued frames are written together, so a delay by the system
    /// saves nothing.
    ///
    /// # Errors
    ///
    /// * [`ConnectError::Url`]: the URL is invalid.
    /// * [`ConnectError::Request`]: a header, a subprotocol or the origin cannot be sent.
    /// * [`ConnectError::Io`]: the stream failed or ended during the handshake, or the system has no random numbers.
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
        let (subprotocols, headers) = (self.offered(), self.more_headers());
        self.request(stream, self.request_for(&url, &subprotocols, &headers)).await
    }

    /// Opens a WebSocket like [`Self::open`], but sends `request` instead of a request with the origin, subprotocols
    /// and headers of this client.
    ///
    /// # Errors
    ///
    /// * [`ConnectError::Request`]: a part of `request` cannot be sent.
    /// * [`ConnectError::Io`]: the stream failed or ended during the handshake, or the system has no random numbers.
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
