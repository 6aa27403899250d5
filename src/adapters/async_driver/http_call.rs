//! A request of plain HTTP that came instead of a handshake.
//!
//! [`HttpCall`] owns the stream and the request. A server that also speaks plain HTTP on its port answers it here, or
//! takes the stream out.
//!
//! Not here: how the answer is written (`handshake_loop`), and what is received as plain HTTP
//! (`adapters::handshake_driver`).
//!
//! Invariant: a call owns its stream. If it is dropped, the stream is closed without an answer.

use core::fmt;
use std::io;
use std::prelude::v1::*;

use super::Transport;
use super::handshake_loop::respond;
use crate::adapters::handshake_driver::{self, PlainRequest, http_call_getters};
use crate::handshake::HttpResponse;

/// The reason why a connection did not become a WebSocket.
pub type AcceptError<S, R> = handshake_driver::AcceptError<HttpCall<S, R>>;

/// A request that asks for no WebSocket, with its stream. For servers that speak plain HTTP on the same port.
pub struct HttpCall<S, R> {
    stream: S,
    runtime: R,
    request: Box<PlainRequest>,
}

impl<S, R> fmt::Debug for HttpCall<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.request.fmt_as("HttpCall", f)
    }
}

impl<S, R> HttpCall<S, R> {
    pub(super) const fn new(stream: S, runtime: R, request: Box<PlainRequest>) -> Self {
        Self { stream, runtime, request }
    }
}

impl<S, R: Transport<S>> HttpCall<S, R> {
    http_call_getters!();

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
