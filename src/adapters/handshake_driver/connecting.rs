//! The client's side of the opening handshake.
//!
//! [`Connecting`] writes the request and reads until the response is complete. The adapter resolves the host, connects,
//! and performs the steps of this machine. If the handshake fails, the adapter adds the stream to the [`NotConnected`],
//! and so creates the public [`ConnectError`](super::ConnectError). The rules for requests and responses are in
//! `crate::handshake`.
//!
//! Invariants:
//! - For each connection, the key of the handshake and the seed of the masking keys come from the system's random
//!   source (RFC 6455 sections 4.1 and 10.3).
//! - Bytes that arrived before the request was sent are examined once the request is sent, and before the first read.
//!   Such bytes can arrive together with the answer of a proxy. So a response that arrives before the request was sent
//!   has the same result as a later response.

use std::io;
use std::prelude::v1::*;

use super::client::Client;
use super::connect_error::{NotConnected, ReceivedResponse};
use super::{HandshakeDriver, Opened, Outgoing, Received, Step, StepResult, unexpected_eof};
use crate::dial::Progress;
use crate::handshake::{ClientHandshake, ClientRequest, HandshakeInfo, Reply};
use crate::{Connection, Inbox, Instant, Outbox, SharedConfig};

impl<R> Client<R> {
    /// Starts the handshake for one connection, with `request`. `arrived` has the bytes of the server that were read
    /// before the handshake.
    pub(in crate::adapters) fn connecting<'r>(
        &self,
        progress: Progress,
        request: ClientRequest<'r>,
        arrived: Vec<u8>,
    ) -> Result<Connecting<'r>, NotConnected> {
        let (mut nonce, mut seed) = ([0; 16], [0; 32]);
        fill_random(&mut nonce)?;
        fill_random(&mut seed)?;
        let handshake = ClientHandshake::new(request, nonce, self.limits)?;
        Ok(Connecting {
            out: Outgoing::new(handshake.to_vec()),
            target: sent_target(request.target()),
            handshake,
            progress,
            received: Received { len: arrived.len(), bytes: arrived },
            config: self.config.clone(),
            seed,
            result: None,
        })
    }
}

/// Returns `target` in the form in which it is sent. A "/" is added if `target` does not begin with "/" (RFC 6455
/// section 4.1 (3)).
fn sent_target(target: &str) -> String {
    let slash = if target.starts_with('/') { "" } else { "/" };
    std::format!("{slash}{target}")
}

/// Fills `to` with random bytes from the system.
fn fill_random(to: &mut [u8]) -> io::Result<()> {
    getrandom::fill(to).map_err(|error| io::Error::other(std::format!("no entropy from the system: {error}")))
}

/// The client's side of a handshake, as a state machine without I/O.
pub(in crate::adapters) struct Connecting<'r> {
    out: Outgoing,
    handshake: ClientHandshake<'r>,
    progress: Progress,
    received: Received,
    config: SharedConfig,
    /// The target of the request, as it is sent.
    target: String,
    /// The seed of the masking keys.
    seed: [u8; 32],
    result: Option<Result<Opened, NotConnected>>,
}

impl HandshakeDriver for Connecting<'_> {
    fn poll_step(&mut self) -> Step<'_> {
        if self.result.is_some() {
            Step::Done
        } else if self.out.is_done() {
            Step::Read(self.received.space())
        } else {
            self.out.poll_step()
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.progress.deadline()
    }

    fn handle(&mut self, now: Instant, did: io::Result<StepResult>) {
        match self.advance(now, did) {
            Ok(None) => {}
            Ok(Some(opened)) => self.result = Some(Ok(opened)),
            Err(why) => self.result = Some(Err(why)),
        }
    }
}

impl Connecting<'_> {
    /// Returns the result, after [`Step::Done`].
    pub(in crate::adapters) fn finish(self) -> Result<Opened, NotConnected> {
        self.result.unwrap_or_else(|| Err(unexpected_eof().into()))
    }

    /// Handles the result of a step. Returns the connection once the response is complete.
    fn advance(&mut self, now: Instant, did: io::Result<StepResult>) -> Result<Option<Opened>, NotConnected> {
        match did? {
            StepResult::Read(0) => return Err(unexpected_eof().into()),
            StepResult::Read(n) => self.received.handle_read(n),
            did => self.out.handle(&did),
        }
        if self.out.is_done() && !self.received.bytes().is_empty() {
            if let Some(reply) = self.handshake.poll(self.received.bytes())? {
                return self.open(now, reply).map(Some);
            }
        }
        self.progress.check(now)?;
        Ok(None)
    }

    /// Creates the connection, or the error for a response other than 101.
    fn open(&self, now: Instant, reply: Reply<'_>) -> Result<Opened, NotConnected> {
        let received = self.received.bytes();
        let opened = match reply {
            Reply::Open(opened) => opened,
            Reply::Http(response) => {
                return Err(NotConnected::Http(Box::new(ReceivedResponse::new(&response, received))));
            }
        };
        let connection = Connection::client(now, self.config.clone(), Outbox::new(), self.seed);
        #[cfg(feature = "deflate")]
        let connection = connection.with_deflate(opened.deflate());
        Ok(Opened {
            connection,
            inbox: Inbox::with_bytes(received.get(opened.head_len()..).unwrap_or_default()),
            handshake: HandshakeInfo::new(&self.target, opened.subprotocol(), opened.headers()),
        })
    }
}
