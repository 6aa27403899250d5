//! A plain HTTP request, which the application answers.
//!
//! An adapter creates the public `HttpCall` from a [`PlainRequest`], its stream and its clock.

use core::fmt;
use core::time::Duration;
use std::io;
use std::prelude::v1::*;

use super::Received;
use super::responding::{Responding, WRITE_STALL_TIMEOUT};
use crate::Instant;
use crate::handshake::{HttpRequest, HttpResponse, Reason, Rejection, RequestHead};

/// A plain HTTP request.
#[derive(Debug)]
pub(in crate::adapters) struct PlainRequest {
    pub(in crate::adapters) head: RequestHead,
    /// The bytes that were read from the stream: the head, and the bytes after the head.
    pub(in crate::adapters) received: Vec<u8>,
    /// The sending of the response fails if the stream accepts no byte for this time.
    pub(in crate::adapters) write_timeout: Duration,
}

impl PlainRequest {
    pub(super) fn new(request: HttpRequest<'_>, received: &Received) -> Self {
        let received = received.bytes().into();
        Self { head: request.into(), received, write_timeout: WRITE_STALL_TIMEOUT }
    }

    /// Starts to send `response`, without its body if the method of the request is HEAD.
    pub(in crate::adapters) fn responding(
        &self,
        now: Instant,
        response: &HttpResponse<'_>,
    ) -> io::Result<Responding> {
        Responding::new(now, self.write_timeout, &response.in_reply_to(self.head.method()))
    }

    /// Formats a value of the type `name`, which contains this request. Headers and the query are left out, because
    /// they may contain secrets.
    pub(in crate::adapters) fn fmt_as(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name).field("request", &self.head).finish_non_exhaustive()
    }

    /// Returns the response of an endpoint that only serves WebSockets.
    pub(in crate::adapters) const fn rejection() -> HttpResponse<'static> {
        Rejection::new(Reason::NotAnUpgrade).response()
    }
}
