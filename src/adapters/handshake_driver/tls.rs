//! The TLS handshake, as a state machine without I/O: features `rustls` and `native-tls`.
//!
//! ```text
//!   write what the session has ──▶ flush ──▶ read ──▶ complete: Done, the session
//!      ▲                                      │ └───▶ failed: write and flush the alert ──▶ Done, the error
//!      └──────────────────────────────────────┘
//! ```
//!
//! [`TlsHandshake`] runs on the stream below TLS, before the WebSocket handshake. The adapter then creates its TLS
//! stream from the [`Session`] and the stream.
//!
//! Invariants:
//! - The deadline limits the whole TLS handshake, and also the sending of an alert.
//! - Plaintext that arrives together with the last bytes of the TLS handshake stays in the session.

use std::io;
use std::prelude::v1::*;

use super::client::Client;
use super::connect_error::ConnectError;
use super::server::Server;
use super::{HandshakeDriver, Outgoing, Step, StepResult};
use crate::Instant;
use crate::dial::Progress;
use crate::handshake::WsUrl;
use crate::tls::{Connector, Session, TlsError};

/// Number of bytes in one read. The first flight of a server often has 2 to 5 KiB.
const READ_LEN: usize = 4096;

/// The reason why a TLS handshake has failed.
#[derive(Debug)]
pub(in crate::adapters) enum NotSecured {
    Io(io::Error),
    Tls(TlsError),
}

impl NotSecured {
    /// Returns the public error of a client. The stage of `progress` must be that of the TLS handshake.
    pub(in crate::adapters) fn into_error<S>(self, progress: &Progress) -> ConnectError<S> {
        match self {
            Self::Tls(TlsError::Timeout) => progress.exceeded().into(),
            Self::Tls(error) => error.into(),
            Self::Io(error) => ConnectError::from_io(progress.stage(), error),
        }
    }
}

/// A TLS handshake of a client or a server.
pub(in crate::adapters) struct TlsHandshake {
    session: Session,
    deadline: Option<Instant>,
    space: Vec<u8>,
    out: Outgoing,
    /// The reason why the handshake has failed, until the alert is sent.
    failed: Option<TlsError>,
    result: Option<Result<(), NotSecured>>,
}

impl<R> Client<R> {
    /// Returns the TLS library and its configuration.
    pub(super) fn connector(&self) -> Result<Connector, TlsError> {
        self.tls.clone().map_or_else(Connector::by_default, Ok)
    }

    /// Starts the TLS handshake with the server of `url`.
    pub(in crate::adapters) fn securing(
        &self,
        progress: &Progress,
        url: &WsUrl<'_>,
    ) -> Result<TlsHandshake, TlsError> {
        TlsHandshake::client(&self.connector()?, self.name_for_tls(url), progress, &[])
    }
}

impl<R> Server<R> {
    /// Starts the TLS handshake with a client.
    pub(in crate::adapters) fn securing(&self, now: Instant, session: Session) -> TlsHandshake {
        TlsHandshake::new(session, self.settings.timeout.map(|timeout| now + timeout))
    }
}

impl TlsHandshake {
    /// Starts the TLS handshake of a client with `host`. `arrived` has the bytes of the server that were read before
    /// the handshake.
    pub(super) fn client(
        connector: &Connector,
        host: &str,
        progress: &Progress,
        arrived: &[u8],
    ) -> Result<Self, TlsError> {
        let mut handshake = Self::new(connector.session(host)?, progress.deadline());
        if !arrived.is_empty() {
            handshake.receive(arrived);
        }
        Ok(handshake)
    }

    fn new(session: Session, deadline: Option<Instant>) -> Self {
        let mut handshake = Self {
            session,
            deadline,
            space: Vec::new(),
            out: Outgoing { flushed: true, ..Outgoing::default() },
            failed: None,
            result: None,
        };
        handshake.advance();
        handshake
    }

    /// Returns the session, after [`Step::Done`].
    pub(in crate::adapters) fn finish(self) -> Result<Session, NotSecured> {
        match self.result {
            Some(Ok(())) => Ok(self.session),
            Some(Err(error)) => Err(error),
            None => Err(NotSecured::Tls(TlsError::Truncated)),
        }
    }

    /// Handles ciphertext that has arrived. An empty slice means that the stream has ended.
    fn receive(&mut self, ciphertext: &[u8]) {
        match ciphertext {
            [] => self.session.handle_eof(),
            ciphertext => self.session.handle_ciphertext(ciphertext),
        }
        // A complete handshake does not fail here, even if bytes of the same read made the session fail. The first read
        // of the open TLS stream returns that failure.
        if self.session.is_handshaking() {
            self.failed = self.session.failure().cloned();
        }
    }

    /// Returns the application protocol that the peers have agreed on, if no WebSocket is possible over it.
    fn other_protocol(&self) -> Option<Vec<u8>> {
        let is_open = !self.session.is_handshaking() && self.failed.is_none();
        let name = if is_open { self.session.alpn_protocol() } else { None };
        name.filter(|name| name != b"http/1.1")
    }

    /// Collects the ciphertext to write. If there is none, and all was flushed, checks whether the handshake is done.
    fn advance(&mut self) {
        if !self.out.is_done() || self.result.is_some() {
            return;
        }
        if let Some(name) = self.other_protocol() {
            // The peer may wait for our last message of the TLS handshake, so this message is sent first. After it,
            // `close_notify` tells the peer that the session ends on purpose.
            self.session.close();
            self.failed = Some(TlsError::AlpnProtocol(name));
        }
        let mut bytes = Vec::new();
        while self.session.has_ciphertext() {
            let polled = self.session.poll_ciphertext(|slices| {
                slices.iter().for_each(|slice| bytes.extend_from_slice(slice));
                Ok(slices.iter().map(|slice| slice.len()).sum())
            });
            if polled.is_err() {
                break;
            }
        }
        if !bytes.is_empty() {
            self.out = Outgoing::new(bytes);
        } else if let Some(error) = self.failed.take() {
            self.result = Some(Err(NotSecured::Tls(error)));
        } else if !self.session.is_handshaking() {
            self.result = Some(Ok(()));
        }
    }
}

impl HandshakeDriver for TlsHandshake {
    fn poll_step(&mut self) -> Step<'_> {
        if self.result.is_some() {
            Step::Done
        } else if self.out.is_done() {
            self.space.resize(READ_LEN, 0);
            Step::Read(&mut self.space)
        } else {
            self.out.poll_step()
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    fn handle(&mut self, now: Instant, did: io::Result<StepResult>) {
        match did {
            Ok(StepResult::Read(n)) => {
                let space = core::mem::take(&mut self.space);
                self.receive(space.get(..n).unwrap_or_default());
                self.space = space;
            }
            Ok(did) => self.out.handle(&did),
            // If the alert could not be sent, the error of the session explains more than that of the stream.
            Err(error) => {
                let error = self.failed.take().map_or(NotSecured::Io(error), NotSecured::Tls);
                self.result = Some(Err(error));
            }
        }
        self.advance();
        if self.result.is_none() && self.deadline.is_some_and(|deadline| deadline <= now) {
            let error = self.failed.take().unwrap_or(TlsError::Timeout);
            self.result = Some(Err(NotSecured::Tls(error)));
        }
    }
}
