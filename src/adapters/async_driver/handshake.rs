//! The asynchronous driver of opening handshakes, and of answers to requests that are no upgrade.
//!
//! [`poll_open`] carries out the steps of a [`HandshakeDriver`]: read, write, flush, half-close, or wait for the
//! deadline. The methods of [`Server`] and [`Client`] here start a handshake and make a [`WebSocket`] of its result.
//!
//! Not here: the steps themselves and the builders (`adapters::handshake_driver`), the syntax of requests and responses
//! (`handshake`), and connecting (`tokio`).
//!
//! Invariants:
//! - A handshake owns its stream. If its future is dropped, the stream is closed.
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
    self, Acceptance, Client, ConnectError, Did, HandshakeDriver, PlainRequest, Refusal, Server, Step,
};
use crate::handshake::{ClientRequest, Headers, Reject, Request, WsUrl};

/// The reason why a connection did not become a WebSocket.
pub type AcceptError<S, R> = handshake_driver::AcceptError<HttpCall<S, R>>;

impl<R: Timer + Clone> Server<R> {
    /// Accepts a WebSocket over any stream, of TCP or TLS for example.
    ///
    /// Set `TCP_NODELAY` on a TCP stream before: queued frames are written together, so a delay saves nothing.
    ///
    /// # Errors
    ///
    /// * [`Io`](handshake_driver::AcceptError::Io): the stream failed, ended, or took the response too slowly.
    /// * [`Rejected`](handshake_driver::AcceptError::Rejected): the request broke a rule or came too late. It was
    ///   answered.
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
        self.accept_with(stream, |request| Ok(self.choose(request))).await
    }

    /// Accepts a WebSocket like [`Self::accept`], and calls `decide` with the request. `decide` accepts with a
    /// subprotocol and headers, or refuses with any status.
    ///
    /// # Errors
    ///
    /// * [`Io`](handshake_driver::AcceptError::Io): the stream failed, ended, or took the response too slowly.
    /// * [`Rejected`](handshake_driver::AcceptError::Rejected): the request broke a rule or came too late. It was
    ///   answered.
    /// * [`Refused`](handshake_driver::AcceptError::Refused): `decide` refused the request, which was answered.
    /// * [`NotWebSocket`](handshake_driver::AcceptError::NotWebSocket): the request is plain HTTP, and was not
    ///   answered. The [`HttpCall`] inside answers it.
    /// * [`Response`](handshake_driver::AcceptError::Response): the response would have been invalid. The client was
    ///   answered with 500.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the stream is closed.
    pub async fn accept_with<S>(
        &self,
        stream: S,
        decide: impl FnOnce(&Request<'_>) -> Result<Acceptance, Refusal>,
    ) -> Result<WebSocket<S, R>, AcceptError<S, R>>
    where
        R: Transport<S>,
    {
        let opening = {
            let runtime = self.runtime().clone();
            let accepting = self.accepting(runtime.now(), decide);
            open(stream, runtime, accepting)
        };
        let (stream, runtime, accepting) = opening.await;
        match accepting.finish() {
            Ok(opened) => Ok(WebSocket::opened(stream, runtime, opened)),
            Err(why) => Err(why.into_error(|request| HttpCall { stream, runtime, request })),
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
        let PlainRequest { method, target, .. } = &*self.request;
        f.debug_struct("HttpCall").field("method", method).field("target", target).finish_non_exhaustive()
    }
}

impl<S, R: Transport<S>> HttpCall<S, R> {
    /// Returns the method of the request, which is case-sensitive.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.request.method
    }

    /// Returns the target of the request: path and query, or an absolute URI.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.request.target
    }

    /// Returns the headers of the request.
    #[must_use]
    pub const fn headers(&self) -> Headers<'_> {
        self.request.headers()
    }

    /// Returns the bytes that were read: the head of the request, and the bytes that followed it.
    #[must_use]
    pub fn received(&self) -> &[u8] {
        &self.request.received
    }

    /// Sets how long the stream may take nothing of the answer; 30 s by default. Each byte that it takes restarts this
    /// timeout.
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
    /// The answer to a HEAD request is sent without its body (RFC 9110 9.3.2). An answer of any size is sent completely
    /// if the peer takes some of it within each [`write_timeout`](Self::write_timeout), and 1 KiB a second on the
    /// whole. The body of the request is not needed. Input is discarded for a second from the end of the answer, 64 KiB
    /// at most.
    ///
    /// # Errors
    ///
    /// * [`TimedOut`](io::ErrorKind::TimedOut): the peer was slower, so it has not received the whole answer.
    /// * [`InvalidInput`](io::ErrorKind::InvalidInput): the answer cannot be sent as it is. Nothing was sent.
    /// * Other kinds: the stream failed.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the stream is closed, and the answer may be incomplete.
    pub async fn answer(self, answer: &Reject<'_>) -> io::Result<()> {
        self.send(answer).await
    }

    /// Answers that this server only speaks WebSocket, with status 426 (RFC 9110 section 15.5.22).
    ///
    /// # Errors
    ///
    /// * [`TimedOut`](io::ErrorKind::TimedOut): the peer was too slow, so it has not received the whole answer.
    /// * Other kinds: the stream failed.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the stream is closed, and the answer may be incomplete.
    pub async fn refuse(self) -> io::Result<()> {
        let sending = self.send(&PlainRequest::refusal());
        sending.await
    }

    /// Sends an answer, and closes the stream in a way that lets the answer arrive.
    fn send(self, answer: &Reject<'_>) -> Pin<Box<impl Future<Output = io::Result<()>> + use<S, R>>> {
        let Self { stream, runtime, request } = self;
        let sending = request.answer(runtime.now(), answer).map(|answer| open(stream, runtime, answer));
        Box::pin(async {
            let (_, _, answer) = sending?.await;
            answer.error.map_or(Ok(()), Err)
        })
    }

    /// Returns the stream, and the bytes that were read from it.
    #[must_use]
    pub fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream, self.request.received)
    }
}
