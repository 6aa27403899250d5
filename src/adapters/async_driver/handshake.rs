//! The asynchronous driver of opening handshakes, and of responses other than 101.
//!
//! [`poll_open`] carries out the steps of a [`HandshakeDriver`]: read, write, flush, half-close, or wait for the
//! deadline. The methods of [`Server`], [`PendingRequest`] and [`Client`] here start a handshake and make a
//! [`WebSocket`] of its result.
//!
//! Not here: the steps themselves and the builders (`adapters::handshake_driver`), the syntax of requests and responses
//! (`handshake`), and connecting (`tokio`).
//!
//! Invariants:
//! - A handshake and a pending request own their stream. If one of them is dropped, the stream is closed.
//! - The state of a handshake is on the heap, so the task of a connection does not carry it after the handshake.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::time::Duration;
use std::future::poll_fn;
use std::io;
use std::prelude::v1::*;
use std::task::{Context, Poll, ready};

use super::stream::check_count;
use super::websocket::WebSocket;
use super::{Timer, Transport};
use crate::adapters::handshake_driver::{
    self, Acceptance, Client, ConnectError, Did, HandshakeDriver, Pending, PlainRequest, Responding, Server,
    Step,
};
use crate::handshake::{ClientRequest, Headers, HttpResponse, RequestHead, WsUrl};

/// The reason why a connection did not become a WebSocket.
pub type AcceptError<S, R> = handshake_driver::AcceptError<HttpCall<S, R>>;

impl<R: Timer + Clone> Server<R> {
    /// Accepts a WebSocket over any stream, of TCP or TLS for example, by the settings of this server.
    ///
    /// This is [`receive`](Self::receive) and [`PendingRequest::accept`] in one. Set `TCP_NODELAY` on a TCP stream
    /// before: queued frames are written together, so a delay saves nothing.
    ///
    /// # Errors
    ///
    /// * [`Io`](handshake_driver::AcceptError::Io): the stream failed, ended, or took the response too slowly.
    /// * [`Rejected`](handshake_driver::AcceptError::Rejected): the request broke a rule, came too late, or came from
    ///   an origin that is not allowed. It was answered.
    /// * [`NotWebSocket`](handshake_driver::AcceptError::NotWebSocket): the request is plain HTTP, and was not
    ///   answered. The [`HttpCall`] inside answers it.
    /// * [`Response`](handshake_driver::AcceptError::Response): the response would have been invalid. The client was
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

    /// Receives a request to open a WebSocket, which the application accepts or rejects whenever it knows.
    ///
    /// The request keeps the rules of RFC 6455 section 4.2.1, and comes from an [allowed origin](Self::origins).
    /// Set `TCP_NODELAY` on a TCP stream before, as for [`accept`](Self::accept).
    ///
    /// # Errors
    ///
    /// * [`Io`](handshake_driver::AcceptError::Io): the stream failed or ended.
    /// * [`Rejected`](handshake_driver::AcceptError::Rejected): the request broke a rule, came too late, or came from
    ///   an origin that is not allowed. It was answered.
    /// * [`NotWebSocket`](handshake_driver::AcceptError::NotWebSocket): the request is plain HTTP, and was not
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
            Ok(pending) => Ok(PendingRequest { stream, runtime: self.runtime().clone(), pending }),
            Err(why) => Err(why.into_error(|request| HttpCall { stream, runtime, request })),
        }
    }
}

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

impl<S, R: Transport<S>> PendingRequest<S, R> {
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

    /// Returns the stream, for its peer address for example. It must be neither read nor written.
    #[must_use]
    pub const fn stream(&self) -> &S {
        &self.stream
    }

    /// Returns the server's own decision: the first subprotocol in the client's list that the server
    /// [supports](Server::subprotocols). The application may change it, for [`accept_with`](Self::accept_with).
    #[must_use]
    pub fn acceptance(&self) -> Acceptance {
        self.pending.acceptance()
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
    fn start_accepting(
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
                Err(why) => Err(why.into_error(|request| HttpCall { stream, runtime, request })),
            }
        }
    }
}

impl<R: Timer + Clone> Client<R> {
    /// Opens a WebSocket over a stream that is connected already, through TLS for a `wss://` URL.
    ///
    /// Set `TCP_NODELAY` on a TCP stream before: queued frames are written together, so a delay saves nothing.
    ///
    /// # Errors
    ///
    /// * [`ConnectError::Url`]: the URL is invalid.
    /// * [`ConnectError::Request`]: the request cannot be sent as it is.
    /// * [`ConnectError::Io`]: the stream failed or ended in the handshake.
    /// * [`ConnectError::Handshake`]: the response is no valid answer to a WebSocket handshake, or came too late.
    /// * [`ConnectError::Http`]: the server answered with another status than 101.
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

    /// Opens a WebSocket like [`Self::open`], with `request` instead of the subprotocols and headers of this client.
    ///
    /// # Errors
    ///
    /// * [`ConnectError::Request`]: the request cannot be sent as it is.
    /// * [`ConnectError::Io`]: the stream failed or ended in the handshake.
    /// * [`ConnectError::Handshake`]: the response is no valid answer to a WebSocket handshake, or came too late.
    /// * [`ConnectError::Http`]: the server answered with another status than 101.
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

/// Drives a handshake to its end.
fn open<S, R: Transport<S>, O: HandshakeDriver>(
    stream: S,
    runtime: R,
    opening: O,
) -> impl Future<Output = (S, R, O)> {
    // On the heap, so that the task of a connection does not reserve memory for its handshake.
    let mut parts = Box::new((stream, runtime, opening));
    async move {
        let (stream, runtime, opening) = &mut *parts;
        poll_fn(|cx| poll_open(stream, runtime, opening, cx)).await;
        *parts
    }
}

/// Carries out the steps of a handshake until it is done.
// Kept out of line: this runs once per connection, and must not enlarge the code or the stack frame of the caller's
// task.
#[inline(never)]
fn poll_open<S, R: Transport<S>>(
    stream: &mut S,
    runtime: &mut R,
    opening: &mut impl HandshakeDriver,
    cx: &mut Context<'_>,
) -> Poll<()> {
    loop {
        let deadline = opening.poll_timeout();
        let did = match opening.poll_step() {
            Step::Read(space) => {
                let most = space.len();
                check_count(R::poll_read(stream, cx, space), most).map_ok(Did::Read)
            }
            Step::Look(space) => {
                let most = space.len();
                match check_count(R::poll_read(stream, cx, space), most) {
                    Poll::Ready(read) => Poll::Ready(read.map(Did::Read)),
                    Poll::Pending => Poll::Ready(Ok(Did::Waited)),
                }
            }
            Step::Write(bytes) => {
                match check_count(R::poll_write(stream, cx, &[io::IoSlice::new(bytes)]), bytes.len()) {
                    Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    written => written.map_ok(Did::Wrote),
                }
            }
            Step::Flush => R::poll_flush(stream, cx).map_ok(|()| Did::Flushed),
            Step::HalfClose => R::poll_close_write(stream, cx).map(|done| Ok(Did::HalfClosed(done.is_ok()))),
            Step::Done => return Poll::Ready(()),
        };
        let (now, did) = match did {
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {
                (runtime.now(), Ok(Did::Waited))
            }
            Poll::Ready(did) => (runtime.now(), did),
            Poll::Pending => {
                let Some(at) = deadline else { return Poll::Pending };
                ready!(runtime.poll_at(cx, at));
                (runtime.now().max(at), Ok(Did::Waited))
            }
        };
        opening.handle(now, did);
    }
}

/// A request that asks for no WebSocket, with its stream. For servers that speak plain HTTP on the same port.
pub struct HttpCall<S, R> {
    stream: S,
    runtime: R,
    request: Box<PlainRequest>,
}

impl<S, R> fmt::Debug for HttpCall<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Headers are left out, because they may hold secrets.
        let head = &self.request.head;
        f.debug_struct("HttpCall")
            .field("method", &head.method())
            .field("target", &head.target())
            .finish_non_exhaustive()
    }
}

impl<S, R: Transport<S>> HttpCall<S, R> {
    /// Returns the method of the request, which is case-sensitive.
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

    /// Returns the bytes that were read: the head of the request, and the bytes that followed it.
    #[must_use]
    pub fn received(&self) -> &[u8] {
        &self.request.received
    }

    /// Sets how long the stream may take nothing of the response; 30 s by default. Each byte that it takes restarts this
    /// timeout.
    ///
    /// A socket with a full send buffer takes nothing until a part of the buffer is free again. Of 4 MiB that part is
    /// 1.4 MiB, so a peer that reads less than 48 KiB/s can seem to have stopped reading for 30 s.
    #[must_use]
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.request.write_timeout = timeout;
        self
    }

    /// Answers the request with `response`, and closes the stream in a way that lets the response arrive.
    ///
    /// The response to a HEAD request is sent without its body (RFC 9110 9.3.2). A response of any size is sent
    /// completely if the peer takes some of it within each [`write_timeout`](Self::write_timeout), and 1 KiB a second on
    /// the whole. The body of the request is not needed. Input is discarded for a second from the end of the response,
    /// 64 KiB at most.
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
    pub async fn respond(self, response: &HttpResponse<'_>) -> io::Result<()> {
        let Self { stream, runtime, request } = self;
        let responding = request.responding(runtime.now(), response);
        drop(request);
        respond(stream, runtime, responding).await
    }

    /// Answers that this server only speaks WebSocket, with status 426 (RFC 9110 section 15.5.22).
    ///
    /// # Errors
    ///
    /// * [`TimedOut`](io::ErrorKind::TimedOut): the peer was too slow, so it has not received the whole response.
    /// * Other kinds: the stream failed.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the stream is closed, and the response may be incomplete.
    pub async fn reject(self) -> io::Result<()> {
        self.respond(&PlainRequest::rejection()).await
    }

    /// Returns the stream, and the bytes that were read from it.
    #[must_use]
    pub fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream, self.request.received)
    }
}

/// Sends a response other than 101, and closes the stream in a way that lets the response arrive.
// On the heap, so that the task of a connection does not reserve memory for it.
fn respond<S, R: Transport<S>>(
    stream: S,
    runtime: R,
    responding: io::Result<Responding>,
) -> Pin<Box<impl Future<Output = io::Result<()>>>> {
    let sending = responding.map(|responding| open(stream, runtime, responding));
    Box::pin(async {
        let (_, _, responding) = sending?.await;
        responding.finish()
    })
}
