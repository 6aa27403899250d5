//! The first phase of a server's handshake: receiving the head of a request.
//!
//! ```text
//!   Head ── upgrade ──────────────────────────────▶ Done: Pending
//!     ├──── broken rule, timeout ─────▶ Reject ───▶ Done: the error
//!     └──── plain HTTP, stream failed ────────────▶ Done: the error
//! ```
//!
//! [`Receiving`] is this state machine. Its result is a [`Pending`] request, which borrows nothing. So the application
//! can accept or reject the request at any later time. A plain HTTP request becomes a [`PlainRequest`].
//!
//! The second phase, which sends the 101 response, is in `accepting.rs`. The sending of other responses is in
//! `responding.rs`.
//!
//! Invariants:
//! - A pending request obeys the rules of RFC 6455 section 4.2.1, and comes from an allowed origin.
//! - If the head is complete and the request is not rejected, this phase reads nothing more. Later input stays in the
//!   stream.

use core::mem::replace;
use std::io;
use std::prelude::v1::*;
use std::sync::Arc;

use super::accept_error::NotAccepted;
use super::plain_request::PlainRequest;
use super::rejecting::Rejecting;
use super::responding::Responding;
use super::server::{Acceptance, Server, Settings};
use super::{HandshakeDriver, Received, Step, StepResult, unexpected_eof};
use crate::Instant;
use crate::handshake::{HttpResponse, Incoming, Rejection, Request, RequestHead, ServerHandshake};

impl<R> Server<R> {
    /// Starts the handshake for one connection.
    pub(in crate::adapters) fn receiving(&self, now: Instant) -> Receiving {
        let settings = Arc::clone(&self.settings);
        let mut handshake = ServerHandshake::new(settings.limits);
        if let Some(timeout) = settings.timeout {
            handshake = handshake.with_timeout(now, timeout);
        }
        Receiving { settings, state: State::Head { handshake, received: Received::default() } }
    }
}

/// The first phase of a server's handshake, which receives the request, as a state machine without I/O.
pub(in crate::adapters) struct Receiving {
    settings: Arc<Settings>,
    state: State,
}

/// The states of [`Receiving`].
enum State {
    /// Reads the head of the request.
    Head {
        handshake: ServerHandshake,
        received: Received,
    },
    /// Sends the response for a request that broke a rule.
    Reject(Rejecting),
    Done(Result<Box<Pending>, NotAccepted>),
}

/// A request to open a WebSocket. The request waits for the application's decision.
pub(in crate::adapters) struct Pending {
    pub(super) settings: Arc<Settings>,
    pub(in crate::adapters) head: RequestHead,
    /// The bytes after the head that were read together with the head.
    pub(in crate::adapters) after_head: Vec<u8>,
}

impl Pending {
    /// Returns the default acceptance, which follows from the settings of the server.
    pub(in crate::adapters) fn acceptance(&self) -> Acceptance {
        self.settings.acceptance(&self.head)
    }

    /// Starts to send `response`, which rejects the request.
    pub(in crate::adapters) fn rejecting(
        &self,
        now: Instant,
        response: &HttpResponse<'_>,
    ) -> io::Result<Responding> {
        let response = response.in_reply_to(self.head.method());
        Responding::new(now, self.settings.write_timeout(), &response)
    }
}

impl HandshakeDriver for Receiving {
    fn poll_step(&mut self) -> Step<'_> {
        match &mut self.state {
            State::Head { received, .. } => Step::Read(received.space()),
            State::Reject(rejecting) => rejecting.poll_step(),
            State::Done(_) => Step::Done,
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Head { handshake, .. } => handshake.poll_timeout(),
            State::Reject(rejecting) => rejecting.poll_timeout(),
            State::Done(_) => None,
        }
    }

    fn handle(&mut self, now: Instant, did: io::Result<StepResult>) {
        let state = replace(&mut self.state, State::Done(Err(NotAccepted::Io(unexpected_eof()))));
        self.state = match (state, did) {
            (State::Head { handshake, received }, Ok(did)) => {
                self.handle_head(now, handshake, received, &did)
            }
            (State::Head { .. }, Err(error)) => State::Done(Err(NotAccepted::Io(error))),
            (State::Reject(mut rejecting), did) => match rejecting.handle(now, did) {
                Some(why) => State::Done(Err(why)),
                None => State::Reject(rejecting),
            },
            (done @ State::Done(_), _) => done,
        };
    }
}

impl Receiving {
    /// Returns the result, after [`Step::Done`].
    pub(in crate::adapters) fn finish(self) -> Result<Box<Pending>, NotAccepted> {
        match self.state {
            State::Done(result) => result,
            _ => Err(NotAccepted::Io(unexpected_eof())),
        }
    }

    /// Handles the result of a step in [`State::Head`]: a part of the request was read, or time has passed.
    fn handle_head(
        &self,
        now: Instant,
        mut handshake: ServerHandshake,
        mut received: Received,
        did: &StepResult,
    ) -> State {
        let polled = match did {
            StepResult::Read(0) => return State::Done(Err(NotAccepted::Io(unexpected_eof()))),
            StepResult::Read(n) => {
                received.handle_read(*n);
                handshake.poll(received.bytes())
            }
            _ => Ok(None),
        };
        let rejection = match polled {
            Ok(Some(Incoming::Upgrade(request))) => return self.check_origin(now, request, &received),
            Ok(Some(Incoming::Http(request))) => {
                let request = PlainRequest::new(request, &received);
                return State::Done(Err(NotAccepted::Http(Box::new(request))));
            }
            Ok(None) => handshake.handle_timeout(now).err(),
            Err(rejection) => Some(rejection),
        };
        match rejection {
            Some(rejection) => self.reject(now, rejection),
            None => State::Head { handshake, received },
        }
    }

    /// Checks the origin of a complete request, and returns the next state.
    fn check_origin(&self, now: Instant, request: Request<'_>, received: &Received) -> State {
        if let Some(allowed) = self.settings.allowed_origins() {
            if let Err(rejection) = request.check_origin(&allowed) {
                return self.reject(now, rejection);
            }
        }
        let after_head = received.bytes().get(request.head_len()..).unwrap_or_default().to_vec();
        let settings = Arc::clone(&self.settings);
        State::Done(Ok(Box::new(Pending { settings, head: request.into(), after_head })))
    }

    /// Starts to send the response for a request that broke a rule.
    fn reject(&self, now: Instant, rejection: Rejection) -> State {
        let write_timeout = self.settings.write_timeout();
        match Rejecting::new(now, write_timeout, &rejection.response(), NotAccepted::Rejected(rejection)) {
            Ok(rejecting) => State::Reject(rejecting),
            Err(why) => State::Done(Err(why)),
        }
    }
}
