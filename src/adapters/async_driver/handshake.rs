//! The driver of handshakes.

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

/// Why no WebSocket came of a connection.
pub type AcceptError<S, R> = handshake_driver::AcceptError<HttpCall<S, R>>;

impl<R: Timer + Clone> Server<R> {
    /// Accepts a WebSocket over any stream, of TCP or TLS for example. A TCP stream should not delay what is
    /// small (`TCP_NODELAY`): frames are handed to it as many at a time as there are.
    ///
    /// # Errors
    ///
    /// [`AcceptError`]. A request that was refused has been answered; one that is no upgrade comes out for
    /// the caller to answer.
    pub async fn accept<S>(&self, stream: S) -> Result<WebSocket<S, R>, AcceptError<S, R>>
    where
        R: Transport<S>,
    {
        self.accept_with(stream, |request| Ok(self.choose(request))).await
    }

    /// As [`Self::accept`], with the request put before `decide`: it accepts with a subprotocol and headers,
    /// or refuses with any status.
    ///
    /// # Errors
    ///
    /// As [`Self::accept`].
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
    /// Opens a WebSocket over a stream that is connected already, through TLS for a `wss://` URL. A TCP
    /// stream should not delay what is small (`TCP_NODELAY`).
    ///
    /// # Errors
    ///
    /// [`ConnectError`].
    pub async fn open<S>(&self, stream: S, url: &str) -> Result<WebSocket<S, R>, ConnectError<S>>
    where
        R: Transport<S>,
    {
        let url = WsUrl::parse(url)?;
        let (subprotocols, headers) = (self.offered(), self.more_headers());
        self.request(stream, self.request_for(&url, &subprotocols, &headers)).await
    }

    /// As [`Self::open`], with a request of the caller's, in which all that this client would ask for is
    /// replaced.
    ///
    /// # Errors
    ///
    /// [`ConnectError`].
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
    // On the heap, so that a task is no larger for what is over soon.
    let mut parts = Box::new((stream, runtime, opening));
    async move {
        let (stream, runtime, opening) = &mut *parts;
        poll_fn(|cx| poll_open(stream, runtime, opening, cx)).await;
        *parts
    }
}

// Once a connection: not in the way of what a task goes on with, nor in its frame.
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

/// A request that asks for no WebSocket, and its stream, for whoever serves plain HTTP on the same port.
pub struct HttpCall<S, R> {
    stream: S,
    runtime: R,
    request: Box<PlainRequest>,
}

impl<S, R> fmt::Debug for HttpCall<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the headers, which may hold secrets.
        let PlainRequest { method, target, .. } = &*self.request;
        f.debug_struct("HttpCall").field("method", method).field("target", target).finish_non_exhaustive()
    }
}

impl<S, R: Transport<S>> HttpCall<S, R> {
    /// The method of the request; its case matters.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.request.method
    }

    /// The target of the request: path and query, or an absolute URI.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.request.target
    }

    /// The headers of the request.
    #[must_use]
    pub const fn headers(&self) -> Headers<'_> {
        self.request.headers()
    }

    /// The bytes that were read: the head, and what followed it.
    #[must_use]
    pub fn received(&self) -> &[u8] {
        &self.request.received
    }

    /// Sets how long the stream may take nothing of the answer; 30 s by default. Each byte that it takes begins this time
    /// anew.
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
    /// The answer to a HEAD request is sent without its body (RFC 9110 9.3.2). However large the answer is, and however
    /// slowly it is read, all of it is sent, as long as the peer takes some of it within each
    /// [`write_timeout`](Self::write_timeout), and 1 KiB a second on the whole. A body that the request announces is
    /// not needed: what still comes is discarded, for a second from the end of the answer, 64 KiB at most.
    ///
    /// # Errors
    ///
    /// * [`TimedOut`](io::ErrorKind::TimedOut): the peer was slower than that, so it has not got the whole answer.
    /// * [`InvalidInput`](io::ErrorKind::InvalidInput): the answer cannot be sent as it is. Nothing was sent.
    /// * Others: the stream failed.
    pub async fn answer(self, answer: &Reject<'_>) -> io::Result<()> {
        self.send(answer).await
    }

    /// Answers that only WebSockets are spoken here (426).
    ///
    /// # Errors
    ///
    /// As those of [`answer`](Self::answer), but for `InvalidInput`.
    pub async fn refuse(self) -> io::Result<()> {
        let sending = self.send(&PlainRequest::refusal());
        sending.await
    }

    /// Sees to it that an answer arrives.
    fn send(self, answer: &Reject<'_>) -> Pin<Box<impl Future<Output = io::Result<()>> + use<S, R>>> {
        let Self { stream, runtime, request } = self;
        let sending = request.answer(runtime.now(), answer).map(|answer| open(stream, runtime, answer));
        Box::pin(async {
            let (_, _, answer) = sending?.await;
            answer.error.map_or(Ok(()), Err)
        })
    }

    /// The stream, and the bytes that were read from it.
    #[must_use]
    pub fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream, self.request.received)
    }
}
