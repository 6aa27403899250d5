//! A plain HTTP request that arrived instead of a handshake.
//!
//! [`HttpCall`] owns the stream and the request. A server that also serves plain HTTP on its port answers the request
//! with this type, or takes the stream from it.
//!
//! `handshake_loop` writes the response. `adapters::handshake_driver` decides whether a request is plain HTTP.
//!
//! Invariant: a call owns its stream. If the call is dropped, the stream is closed without a response.

use core::fmt;
use std::io;
use std::prelude::v1::*;

use super::Transport;
use super::handshake_loop::respond;
use crate::adapters::handshake_driver::{self, PlainRequest, http_call_getters};
use crate::handshake::HttpResponse;

/// The reason why a connection did not become a WebSocket.
pub type AcceptError<S, R> = handshake_driver::AcceptError<HttpCall<S, R>>;

/// A plain HTTP request and its stream. With this type a server can serve plain HTTP on the same port.
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

    /// Answers the request: sends `response`, and closes the stream.
    ///
    /// The response to a HEAD request is sent without its body (RFC 9110 section 9.3.2). The response may have any
    /// size. The call fails if the stream accepts no byte of the response for as long as the
    /// [`write_timeout`](Self::write_timeout). The call also fails if the whole response takes longer than this timeout
    /// plus one second for each KiB.
    ///
    /// If a socket is closed while it has unread input, the response can get lost. Therefore input is read and
    /// discarded for one second after the end of the response, at most 64 KiB. The body of the request is discarded in
    /// this way.
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
    pub async fn respond(self, response: &HttpResponse<'_>) -> io::Result<()> {
        let Self { stream, runtime, request } = self;
        let responding = request.responding(runtime.now(), response);
        drop(request);
        respond(stream, runtime, responding).await
    }

    /// Answers with status 426 (RFC 9110 section 15.5.22), which says that this server only serves WebSockets. Then
    /// closes the stream, like [`respond`](Self::respond).
    ///
    /// # Errors
    ///
    /// * [`TimedOut`](io::ErrorKind::TimedOut): the peer read too slowly, and has not received the whole response.
    /// * Other kinds: the stream failed.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the stream is closed, and the response may be incomplete.
    pub async fn reject(self) -> io::Result<()> {
        self.respond(&PlainRequest::rejection()).await
    }

    /// Returns the stream, and the bytes that were read from it. No response was sent.
    #[must_use]
    pub fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream, self.request.received)
    }
}
