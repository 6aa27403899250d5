//! A plain HTTP request that arrived instead of a handshake.
//!
//! [`HttpCall`] owns the stream and the request. A server that also serves plain HTTP on its port answers the request
//! with [`HttpCall::respond`], or takes the stream with [`HttpCall::into_parts`].
//!
//! `handshake_driver/` decides whether a request is plain HTTP, and has the steps that send a response.
//!
//! Invariant: an [`HttpCall`] owns its stream. If the `HttpCall` is dropped, the stream is closed without a response.

use core::fmt;
use std::io;
use std::prelude::v1::*;

use super::deadline_stream::DeadlineStream;
use super::handshake;
use super::wrapped_stream::WrappedStream;
use crate::Instant;
use crate::adapters::handshake_driver::{self, PlainRequest, http_call_getters};
use crate::handshake::HttpResponse;

/// The reason why a connection did not become a WebSocket.
pub type AcceptError<S> = handshake_driver::AcceptError<HttpCall<S>>;

/// A plain HTTP request and its stream. With this type a server can serve plain HTTP on the same port.
pub struct HttpCall<S> {
    stream: WrappedStream<S>,
    request: Box<PlainRequest>,
}

impl<S> fmt::Debug for HttpCall<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.request.fmt_as("HttpCall", f)
    }
}

impl<S> HttpCall<S> {
    pub(super) const fn new(stream: WrappedStream<S>, request: Box<PlainRequest>) -> Self {
        Self { stream, request }
    }

    http_call_getters!();

    /// Answers the request: sends `response`, and closes the stream. Blocks until the stream is closed.
    ///
    /// The response to a HEAD request is sent without its body (RFC 9110 section 9.3.2). The response may have any
    /// size. The call fails if the stream accepts no byte of it for as long as the
    /// [`write_timeout`](Self::write_timeout). The call also fails if the whole response takes longer than this timeout
    /// plus one second for each KiB.
    ///
    /// If a socket is closed while it has unread input, the response can get lost. Therefore input is read and
    /// discarded for one second after the end of the response, at most 64 KiB. This input includes the body of the
    /// request.
    ///
    /// # Errors
    ///
    /// - [`TimedOut`](io::ErrorKind::TimedOut): the peer read too slowly, and has not received the whole response.
    /// - [`InvalidInput`](io::ErrorKind::InvalidInput): a part of the response is invalid. Nothing was sent.
    /// - Other kinds: the stream failed.
    pub fn respond(self, response: &HttpResponse<'_>) -> io::Result<()> {
        let mut link = DeadlineStream::new(self.stream, Instant::ZERO);
        let mut responding = self.request.responding(link.read_clock(), response)?;
        handshake::run(&mut link, &mut responding);
        responding.finish()
    }

    /// Answers with status 426 (RFC 9110 section 15.5.22), which says that this server only serves WebSockets. Then
    /// closes the stream, and blocks like [`respond`](Self::respond).
    ///
    /// # Errors
    ///
    /// - [`TimedOut`](io::ErrorKind::TimedOut): the peer read too slowly, and has not received the whole response.
    /// - Other kinds: the stream failed.
    pub fn reject(self) -> io::Result<()> {
        self.respond(&PlainRequest::rejection())
    }

    /// Returns the stream, and the bytes that were read from it. No response was sent.
    #[must_use]
    pub fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream.into_inner(), self.request.received)
    }
}
