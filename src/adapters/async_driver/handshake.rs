//! The methods of the asynchronous [`Server`] and [`Client`] that open a WebSocket over a stream.
//!
//! Each method creates a state machine from the settings, and runs it with `handshake_loop`. From the result it creates
//! a [`WebSocket`] or a [`PendingRequest`].
//!
//! `adapters::handshake_driver` has the builders and the state machines. `pending_request` and `http_call` have the
//! calls with which an application answers a request. `adapters::tokio` and `adapters::futures_io` connect sockets.
//!
//! Invariants:
//! - A handshake owns its stream. If it is dropped, the stream is closed.
//! - The futures are small, because a task reserves their memory for the whole time of its connection. Calls with
//!   several steps have their future on the heap, until the WebSocket is open.

use std::prelude::v1::*;
#[cfg(feature = "rustls")]
use std::sync::Arc;

#[cfg(any(feature = "tokio", feature = "async-io"))]
use super::client_stream::ClientStream;
use super::handshake_loop::open;
use super::http_call::{AcceptError, HttpCall};
use super::pending_request::PendingRequest;
#[cfg(any(feature = "rustls", feature = "native-tls"))]
use super::tls_stream::TlsStream;
use super::websocket::WebSocket;
use super::{Timer, Transport};
use crate::Instant;
#[cfg(doc)]
use crate::adapters::handshake_driver;
#[cfg(any(feature = "tokio", feature = "async-io"))]
use crate::adapters::handshake_driver::Route;
use crate::adapters::handshake_driver::{Client, ConnectError, Receiving, Server};
use crate::dial::{Progress, Stage};
use crate::handshake::{ClientRequest, WsUrl};
#[cfg(feature = "rustls")]
use crate::tls::ServerConfig;
#[cfg(any(feature = "rustls", feature = "native-tls"))]
use crate::tls::Session;
#[cfg(feature = "native-tls")]
use crate::tls::native_tls::TlsAcceptor;

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
        let opening = self.start_receiving(stream, self.runtime().now());
        let (stream, runtime, receiving) = opening.await;
        self.finish_receiving(stream, runtime, receiving)
    }

    /// Runs the TLS handshake over a connected stream, and then accepts a WebSocket like [`accept`](Self::accept).
    ///
    /// [`handshake_timeout`](Self::handshake_timeout) limits the TLS handshake and the receiving of the request
    /// together.
    ///
    /// # Errors
    ///
    /// * [`Tls`](handshake_driver::AcceptError::Tls): the configuration is not valid, or the TLS handshake has failed
    ///   or was not complete in time.
    /// * The errors of [`accept`](Self::accept).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the stream is closed.
    #[cfg(feature = "rustls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    pub async fn accept_tls<S>(
        &self,
        config: Arc<ServerConfig>,
        stream: S,
    ) -> Result<WebSocket<TlsStream<S>, R>, AcceptError<TlsStream<S>, R>>
    where
        R: Transport<S> + Transport<TlsStream<S>>,
    {
        let request = self.receive_tls(config, stream).await?;
        let accepting = request.start_accepting(None);
        accepting.await
    }

    /// Runs the TLS handshake over a connected stream, and then receives a request like [`receive`](Self::receive).
    ///
    /// [`handshake_timeout`](Self::handshake_timeout) limits the TLS handshake and the receiving of the request
    /// together.
    ///
    /// # Errors
    ///
    /// * [`Tls`](handshake_driver::AcceptError::Tls): the configuration is not valid, or the TLS handshake has failed
    ///   or was not complete in time.
    /// * The errors of [`receive`](Self::receive).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the stream is closed.
    #[cfg(feature = "rustls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    pub async fn receive_tls<S>(
        &self,
        config: Arc<ServerConfig>,
        stream: S,
    ) -> Result<PendingRequest<TlsStream<S>, R>, AcceptError<TlsStream<S>, R>>
    where
        R: Transport<S> + Transport<TlsStream<S>>,
    {
        Box::pin(self.receive_over_tls(Session::server(config)?, stream)).await
    }

    /// Runs the TLS handshake with native-tls over a connected stream, and then accepts a WebSocket like
    /// [`accept`](Self::accept).
    ///
    /// [`handshake_timeout`](Self::handshake_timeout) limits the TLS handshake and the receiving of the request
    /// together.
    ///
    /// # Errors
    ///
    /// * [`Tls`](handshake_driver::AcceptError::Tls): the library refuses the configuration, or the TLS handshake has
    ///   failed or was not complete in time.
    /// * The errors of [`accept`](Self::accept).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the stream is closed.
    #[cfg(feature = "native-tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "native-tls")))]
    pub async fn accept_native_tls<S>(
        &self,
        acceptor: &TlsAcceptor,
        stream: S,
    ) -> Result<WebSocket<TlsStream<S>, R>, AcceptError<TlsStream<S>, R>>
    where
        R: Transport<S> + Transport<TlsStream<S>>,
    {
        let request = self.receive_native_tls(acceptor, stream).await?;
        let accepting = request.start_accepting(None);
        accepting.await
    }

    /// Runs the TLS handshake with native-tls over a connected stream, and then receives a request like
    /// [`receive`](Self::receive).
    ///
    /// [`handshake_timeout`](Self::handshake_timeout) limits the TLS handshake and the receiving of the request
    /// together.
    ///
    /// # Errors
    ///
    /// * [`Tls`](handshake_driver::AcceptError::Tls): the library refuses the configuration, or the TLS handshake has
    ///   failed or was not complete in time.
    /// * The errors of [`receive`](Self::receive).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the stream is closed.
    #[cfg(feature = "native-tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "native-tls")))]
    pub async fn receive_native_tls<S>(
        &self,
        acceptor: &TlsAcceptor,
        stream: S,
    ) -> Result<PendingRequest<TlsStream<S>, R>, AcceptError<TlsStream<S>, R>>
    where
        R: Transport<S> + Transport<TlsStream<S>>,
    {
        Box::pin(self.receive_over_tls(Session::native_server(acceptor)?, stream)).await
    }

    /// Runs the TLS handshake, and receives a request.
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    async fn receive_over_tls<S>(
        &self,
        session: Session,
        stream: S,
    ) -> Result<PendingRequest<TlsStream<S>, R>, AcceptError<TlsStream<S>, R>>
    where
        R: Transport<S> + Transport<TlsStream<S>>,
    {
        let start = self.runtime().now();
        let securing = self.securing(start, session);
        let (stream, _, securing) = open(stream, self.runtime().clone(), securing).await;
        let opening = self.start_receiving(TlsStream::new(stream, securing.finish()?), start);
        let (stream, runtime, receiving) = opening.await;
        self.finish_receiving(stream, runtime, receiving)
    }

    /// Starts to receive a request. The time limit began at `start`.
    // This function and `finish_receiving` are two functions for a reason. If they were one asynchronous function, the
    // future of the caller would contain the future of that function, and reserve memory for the stream twice.
    fn start_receiving<S>(
        &self,
        stream: S,
        start: Instant,
    ) -> impl Future<Output = (S, R, Receiving)> + use<S, R>
    where
        R: Transport<S>,
    {
        open(stream, self.runtime().clone(), self.receiving(start))
    }

    /// Converts the output of the future of [`Self::start_receiving`] to a request or an error.
    fn finish_receiving<S>(
        &self,
        stream: S,
        runtime: R,
        receiving: Receiving,
    ) -> Result<PendingRequest<S, R>, AcceptError<S, R>> {
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
    /// * [`ConnectError::Deadline`]: the WebSocket was not open in time.
    /// * [`ConnectError::Io`]: the stream failed or ended during the handshake, or the system provides no entropy.
    /// * [`ConnectError::Handshake`]: the response is not valid for a WebSocket handshake.
    /// * [`ConnectError::Http`]: the server answered with a status other than 101.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the stream is closed.
    pub async fn open<S>(&self, stream: S, url: &str) -> Result<WebSocket<S, R>, ConnectError<S>>
    where
        R: Transport<S>,
    {
        Box::pin(async move {
            let url = WsUrl::parse(url)?;
            let (subprotocols, headers) = (self.offered_subprotocols(), self.more_headers());
            let progress = self.progress(self.runtime().now(), Stage::Handshake);
            self.run(stream, progress, self.request_for(&url, &subprotocols, &headers), Vec::new()).await
        })
        .await
    }

    /// Opens a WebSocket like [`Self::open`], but sends `request` instead of a request with the origin, subprotocols
    /// and headers of this client.
    ///
    /// # Errors
    ///
    /// * [`ConnectError::Request`]: a part of `request` cannot be sent.
    /// * [`ConnectError::Deadline`]: the WebSocket was not open in time.
    /// * [`ConnectError::Io`]: the stream failed or ended during the handshake, or the system provides no entropy.
    /// * [`ConnectError::Handshake`]: the response is not valid for a WebSocket handshake.
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
        let progress = self.progress(self.runtime().now(), Stage::Handshake);
        Box::pin(self.run(stream, progress, request, Vec::new())).await
    }

    /// Opens a WebSocket over a connected stream that has no TLS yet. Runs the TLS handshake for the host of `url` or
    /// for [`server_name`](Self::server_name), and then the WebSocket handshake.
    ///
    /// [`open_timeout`](Self::open_timeout) limits both handshakes together.
    ///
    /// # Errors
    ///
    /// * [`ConnectError::Url`]: the URL is invalid.
    /// * [`ConnectError::Tls`]: the TLS configuration or the certificate of the server is not valid, or the TLS
    ///   handshake has failed.
    /// * [`ConnectError::Request`]: a header, a subprotocol or the origin cannot be sent.
    /// * [`ConnectError::Deadline`]: the WebSocket was not open in time.
    /// * [`ConnectError::Io`]: the stream failed or ended during the handshake, or the system provides no entropy.
    /// * [`ConnectError::Handshake`]: the response is not valid for a WebSocket handshake.
    /// * [`ConnectError::Http`]: the server answered with a status other than 101.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the stream is closed.
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    #[cfg_attr(docsrs, doc(cfg(any(feature = "rustls", feature = "native-tls"))))]
    pub async fn open_tls<S>(
        &self,
        stream: S,
        url: &str,
    ) -> Result<WebSocket<TlsStream<S>, R>, ConnectError<TlsStream<S>>>
    where
        R: Transport<S> + Transport<TlsStream<S>>,
    {
        Box::pin(async move {
            let url = WsUrl::parse(url)?;
            let mut progress = self.progress(self.runtime().now(), Stage::Tls);
            let tls = self.secure(stream, &progress, &url).await?;
            progress.enter(Stage::Handshake);
            let (subprotocols, headers) = (self.offered_subprotocols(), self.more_headers());
            self.run(tls, progress, self.request_for(&url, &subprotocols, &headers), Vec::new()).await
        })
        .await
    }

    /// Runs the TLS handshake.
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    async fn secure<S, T>(
        &self,
        stream: S,
        progress: &Progress,
        url: &WsUrl<'_>,
    ) -> Result<TlsStream<S>, ConnectError<T>>
    where
        R: Transport<S>,
    {
        let securing = self.securing(progress, url)?;
        let (stream, _, securing) = open(stream, self.runtime().clone(), securing).await;
        let session = securing.finish().map_err(|why| why.into_error(progress))?;
        Ok(TlsStream::new(stream, session))
    }

    /// Runs the handshakes of a route over a connected socket.
    #[cfg(any(feature = "tokio", feature = "async-io"))]
    pub(in crate::adapters) async fn run_route<S>(
        &self,
        socket: S,
        mut route: Route<'_>,
    ) -> Result<WebSocket<ClientStream<S>, R>, ConnectError<ClientStream<S>>>
    where
        R: Transport<ClientStream<S>>,
    {
        let mut stream = ClientStream::from(socket);
        while let Some(layer) = route.next_layer()? {
            let (below, _, layer) = open(stream, self.runtime().clone(), layer).await;
            stream = match route.finish_layer(layer)? {
                Some(secured) => below.secure(secured),
                None => below,
            };
        }
        let (progress, arrived) = route.end();
        let (url, subprotocols, headers) = (route.url(), self.offered_subprotocols(), self.more_headers());
        let request = self.request_for(&url, &subprotocols, &headers);
        self.run(stream, progress, request, arrived).await.map_err(|error| route.name_proxy(error))
    }

    /// Runs the WebSocket handshake on a connected stream. `arrived` has the bytes that an earlier handshake has read
    /// and not used.
    async fn run<S>(
        &self,
        stream: S,
        progress: Progress,
        request: ClientRequest<'_>,
        arrived: Vec<u8>,
    ) -> Result<WebSocket<S, R>, ConnectError<S>>
    where
        R: Transport<S>,
    {
        let opening = match self.connecting(progress, request, arrived) {
            Ok(connecting) => open(stream, self.runtime().clone(), connecting),
            Err(why) => return Err(why.into_error(stream)),
        };
        let (stream, runtime, connecting) = opening.await;
        match connecting.finish() {
            Ok(opened) => Ok(WebSocket::opened(stream, runtime, opened)),
            Err(why) => Err(why.into_error(stream)),
        }
    }
}
