//! The second phase of a server's handshake: sending the 101 response.
//!
//! ```text
//!   ReadAhead ──▶ Respond ── 101 flushed ────────────▶ Done: Opened
//!    │               └─ too slow, stream failed ─────▶ Done: the error
//!    └── the peer has closed its direction ──────────▶ Done: the error
//!   Reject: 500, if the 101 is not valid ────────────▶ Done: the error
//! ```
//!
//! While the application decides, the peer may give up. The state `ReadAhead` reads from the stream without waiting, to
//! notice that the peer has closed its sending direction. The handshake starts with `Respond` instead of `ReadAhead` in
//! two cases: no time has passed since the request arrived, or bytes arrived after the head. In both cases the
//! connection notices the end of the input when it reads from the stream.
//!
//! Invariant: bytes that arrive before the 101 is sent go into the inbox of the connection, or stay in the stream.

use core::mem::replace;
use std::io;
use std::prelude::v1::*;

use super::accept_error::NotAccepted;
use super::receiving::Pending;
use super::rejecting::Rejecting;
use super::server::Acceptance;
use super::{HandshakeDriver, Opened, Outgoing, Received, Step, StepResult, unexpected_eof};
#[cfg(feature = "deflate")]
use crate::handshake::DeflateParams;
use crate::handshake::{HandshakeInfo, HttpResponse, ResponseError};
use crate::{Connection, Inbox, Instant, Outbox, SharedConfig};

/// The second phase of a server's handshake, which sends the 101 response, as a state machine without I/O.
pub(in crate::adapters) struct Accepting {
    state: State,
}

/// The states of [`Accepting`].
enum State {
    /// Reads without waiting, to notice that the peer has closed its sending direction.
    ReadAhead(Box<Response>),
    /// Writes the 101 response.
    Respond(Box<Response>),
    /// Sends a response with status 500, because the 101 response is not valid.
    Reject(Rejecting),
    Done(Result<Box<Opened>, NotAccepted>),
}

/// A 101 response, and the parts of the connection that is created after the response is sent.
struct Response {
    out: Outgoing,
    /// The time by which the response must be sent.
    deadline: Option<Instant>,
    /// The bytes that arrived after the head of the request.
    after_head: Received,
    handshake: HandshakeInfo,
    config: SharedConfig,
    #[cfg(feature = "deflate")]
    deflate: Option<DeflateParams>,
}

impl Pending {
    /// Starts to send the 101 response. `waited` says whether time has passed since the request arrived.
    pub(in crate::adapters) fn accepting(
        self,
        now: Instant,
        acceptance: &Acceptance,
        waited: bool,
    ) -> Accepting {
        let write_timeout = self.settings.write_timeout();
        let read_ahead = waited && self.after_head.is_empty();
        let state = match self.respond(now, acceptance) {
            Ok(response) if read_ahead => State::ReadAhead(response),
            Ok(response) => State::Respond(response),
            Err(NotAccepted::Response(error)) => {
                let (response, why) = (HttpResponse::new(500), NotAccepted::Response(error));
                match Rejecting::new(now, write_timeout, &response, why) {
                    Ok(rejecting) => State::Reject(rejecting),
                    Err(why) => State::Done(Err(why)),
                }
            }
            Err(why) => State::Done(Err(why)),
        };
        Accepting { state }
    }

    /// Creates the 101 response.
    fn respond(self, now: Instant, acceptance: &Acceptance) -> Result<Box<Response>, NotAccepted> {
        let Self { settings, head, after_head } = self;
        // The head was checked when it arrived. The check is repeated to get the view of the head that `accept` needs.
        // `Pending` cannot store this view, because the view borrows the bytes of the head.
        let request = head.check().map_err(NotAccepted::Rejected)?;
        let mut headers = settings.headers.borrowed();
        headers.extend(acceptance.headers.borrowed());
        let subprotocol = acceptance.subprotocol.as_deref();
        let response = request.accept().headers(&headers).subprotocol(subprotocol);
        #[cfg(feature = "deflate")]
        let deflate = settings.deflate_for(acceptance).and_then(|config| request.negotiate_deflate(&config));
        #[cfg(feature = "deflate")]
        let response = response.deflate(deflate);
        let out = Outgoing::new(response.to_vec()?);
        Ok(Box::new(Response {
            out,
            deadline: settings.timeout.map(|timeout| now + timeout),
            after_head: Received { len: after_head.len(), bytes: after_head },
            handshake: HandshakeInfo::new(head.target(), subprotocol, head.headers()),
            config: settings.config.clone(),
            #[cfg(feature = "deflate")]
            deflate,
        }))
    }
}

impl From<ResponseError> for NotAccepted {
    fn from(error: ResponseError) -> Self {
        Self::Response(error)
    }
}

impl HandshakeDriver for Accepting {
    fn poll_step(&mut self) -> Step<'_> {
        match &mut self.state {
            State::ReadAhead(response) => Step::ReadAhead(response.after_head.space()),
            State::Respond(response) => response.out.poll_step(),
            State::Reject(rejecting) => rejecting.poll_step(),
            State::Done(_) => Step::Done,
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::ReadAhead(response) | State::Respond(response) => response.deadline,
            State::Reject(rejecting) => rejecting.poll_timeout(),
            State::Done(_) => None,
        }
    }

    fn handle(&mut self, now: Instant, did: io::Result<StepResult>) {
        let state = replace(&mut self.state, State::Done(Err(NotAccepted::Io(unexpected_eof()))));
        self.state = match (state, did) {
            (State::Reject(mut rejecting), did) => match rejecting.handle(now, did) {
                Some(why) => State::Done(Err(why)),
                None => State::Reject(rejecting),
            },
            (State::ReadAhead(_) | State::Respond(_), Err(error)) => State::Done(Err(NotAccepted::Io(error))),
            (State::ReadAhead(_), Ok(StepResult::Read(0))) => State::Done(Err(NotAccepted::Io(peer_gone()))),
            (State::ReadAhead(mut response), Ok(did)) => {
                if let StepResult::Read(n) = did {
                    response.after_head.handle_read(n);
                }
                State::Respond(response)
            }
            (State::Respond(mut response), Ok(did)) => {
                response.out.handle(&did);
                if response.out.is_done() {
                    State::Done(Ok(Box::new(response.open(now))))
                } else if response.deadline.is_some_and(|deadline| deadline <= now) {
                    State::Done(Err(NotAccepted::Io(peer_too_slow())))
                } else {
                    State::Respond(response)
                }
            }
            (done @ State::Done(_), _) => done,
        };
    }
}

/// Returns the error for a peer that has closed its sending direction before its request was accepted.
fn peer_gone() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the peer closed its sending direction before its request was accepted",
    )
}

/// Returns the error for a peer that reads the 101 response too slowly.
fn peer_too_slow() -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        "the peer took too long to read the 101 response: raise handshake_timeout for slow peers",
    )
}

impl Accepting {
    /// Returns the result, after [`Step::Done`].
    pub(in crate::adapters) fn finish(self) -> Result<Opened, NotAccepted> {
        match self.state {
            State::Done(Ok(opened)) => Ok(*opened),
            State::Done(Err(why)) => Err(why),
            _ => Err(NotAccepted::Io(unexpected_eof())),
        }
    }
}

impl Response {
    /// Creates the connection.
    fn open(self, now: Instant) -> Opened {
        let connection = Connection::server(now, self.config, Outbox::new());
        #[cfg(feature = "deflate")]
        let connection = connection.with_deflate(self.deflate);
        let inbox = Inbox::with_bytes(self.after_head.bytes());
        Opened { connection, inbox, handshake: self.handshake }
    }
}
