//! A request of plain HTTP that came instead of a handshake.
//!
//! [`HttpCall`] owns the stream and the request. A server that also speaks plain HTTP on its port answers it here, or
//! takes the stream out.
//!
//! Not here: what is received as plain HTTP, and how a response is sent (`handshake_driver/`).
//!
//! Invariant: a call owns its stream. If it is dropped, the stream is closed without an answer.

use core::fmt;
use std::io;
use std::prelude::v1::*;

use super::deadline_stream::DeadlineStream;
use super::handshake;
use super::stream::Over;
use crate::Instant;
use crate::adapters::handshake_driver::{self, PlainRequest, http_call_getters};
use crate::handshake::HttpResponse;

/// The reason why a connection did not become a WebSocket.
pub type AcceptError<S> = handshake_driver::AcceptError<HttpCall<S>>;

/// A plain HTTP request with its stream, for an application that serves HTTP on the same port.
pub struct HttpCall<S> {
    stream: Over<S>,
    request: Box<PlainRequest>,
}

impl<S> fmt::Debug for HttpCall<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.request.fmt_as("HttpCall", f)
    }
}

impl<S> HttpCall<S> {
    pub(super) const fn new(stream: Over<S>, request: Box<PlainRequest>) -> Self {
        Self { stream, request }
    }

    http_call_getters!();

    /// Answers the request with `response`, and closes the stream so that the response arrives. Blocks until then.
    ///
    /// The response to a HEAD request is sent without its body (RFC 9110 section 9.3.2). The response may have any size.
    /// The peer must take some of it within each [`write_timeout`](Self::write_timeout), and 1 KiB a second on the
    /// whole. Further input, such as the body of the request, is discarded for a second from the end of the response,
    /// 64 KiB at most.
    ///
    /// # Errors
    ///
    /// - [`TimedOut`](io::ErrorKind::TimedOut): the peer was slower than that, and did not get the whole response.
    /// - [`InvalidInput`](io::ErrorKind::InvalidInput): the response has an invalid status or header. Nothing was sent.
    /// - Other kinds: the stream failed.
    pub fn respond(self, response: &HttpResponse<'_>) -> io::Result<()> {
        let mut link = DeadlineStream::new(self.stream, Instant::ZERO);
        let mut responding = self.request.responding(link.tick(), response)?;
        handshake::run(&mut link, &mut responding);
        responding.finish()
    }

    /// Answers that this port only serves WebSockets: status 426. Blocks like [`respond`](Self::respond).
    ///
    /// # Errors
    ///
    /// - [`TimedOut`](io::ErrorKind::TimedOut): the peer took too long to read the response, and did not get all of it.
    /// - Other kinds: the stream failed.
    pub fn reject(self) -> io::Result<()> {
        self.respond(&PlainRequest::rejection())
    }

    /// Returns the stream, and the bytes that were read from it.
    #[must_use]
    pub fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream.into_inner(), self.request.received)
    }
}
