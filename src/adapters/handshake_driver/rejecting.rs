//! The end of a server's handshake with a response other than 101.
//!
//! [`Rejecting`] sends the response, and then returns the error that ends the handshake. The first phase of a handshake
//! receives the request (`receiving.rs`). This phase ends with a `Rejecting` if the request is rejected. The second
//! phase sends the 101 response (`accepting.rs`). This phase ends with a `Rejecting` if the application's choices give
//! no valid 101 response. For example, a header is invalid, or a subprotocol was not offered. In these cases the client
//! gets a response with status 500.

use core::time::Duration;
use std::io;
use std::prelude::v1::*;

use super::accept_error::NotAccepted;
use super::responding::Responding;
use super::{HandshakeDriver, Step, StepResult};
use crate::Instant;
use crate::handshake::HttpResponse;

/// A response that ends a handshake, and the error with which the handshake ends.
pub(super) struct Rejecting {
    responding: Box<Responding>,
    /// The error. `None` after it was returned.
    why: Option<NotAccepted>,
}

impl Rejecting {
    /// Starts to send `response`. After the response the handshake ends with the error `why`. Fails if the response is
    /// invalid.
    pub(super) fn new(
        now: Instant,
        write_timeout: Duration,
        response: &HttpResponse<'_>,
        why: NotAccepted,
    ) -> Result<Self, NotAccepted> {
        let responding = Responding::new(now, write_timeout, response).map_err(NotAccepted::Io)?;
        Ok(Self { responding: Box::new(responding), why: Some(why) })
    }

    pub(super) fn poll_step(&mut self) -> Step<'_> {
        self.responding.poll_step()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.responding.poll_timeout()
    }

    /// Handles the result of a step. At the end, returns the error of the handshake. If the stream has failed, returns
    /// the error of the stream instead.
    pub(super) fn handle(&mut self, now: Instant, did: io::Result<StepResult>) -> Option<NotAccepted> {
        self.responding.handle(now, did);
        match self.responding.take_error() {
            Some(error) => Some(NotAccepted::Io(error)),
            None if self.responding.is_done() => self.why.take(),
            None => None,
        }
    }
}
