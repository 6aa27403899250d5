//! A session of rustls: feature `rustls`.
//!
//! [`RustlsSession`] wraps a [`Connection`] of rustls, and has the methods of [`Session`](super::Session).
//!
//! The session uses the buffered interface of rustls, which encrypts up to 16 KiB from many slices as one record. The
//! unbuffered interface of rustls 0.23 has no advantage. It also allocates memory for each record, copies each
//! encrypted record once more, and encrypts only contiguous memory.

use std::io::{self, BufRead, ErrorKind, IoSlice, Read, Write};
use std::prelude::v1::*;

use rustls::{CertificateError, Connection, InvalidMessage};

use super::error::{AFTER_CLOSE, TlsError};

pub(super) struct RustlsSession {
    connection: Connection,
    /// Ciphertext that rustls has not accepted yet. rustls accepts none while it keeps too much unread plaintext.
    unprocessed: Vec<u8>,
    /// Whether `close_notify` of the peer has arrived.
    peer_closed: bool,
    /// Whether our `close_notify` was queued.
    has_closed: bool,
    /// Whether the stream has ended.
    has_ended: bool,
    /// The reason why the session can receive and send nothing more.
    failure: Option<TlsError>,
}

impl RustlsSession {
    /// Returns a session that keeps the ciphertext of at most `max_kept` bytes.
    pub(super) fn new(mut connection: Connection, max_kept: usize) -> Self {
        connection.set_buffer_limit(Some(max_kept));
        Self {
            connection,
            unprocessed: Vec::new(),
            peer_closed: false,
            has_closed: false,
            has_ended: false,
            failure: None,
        }
    }

    pub(super) const fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    pub(super) const fn failure(&self) -> Option<&TlsError> {
        self.failure.as_ref()
    }

    pub(super) fn alpn_protocol(&self) -> Option<Vec<u8>> {
        self.connection.alpn_protocol().map(<[u8]>::to_vec)
    }

    pub(super) fn peer_certificate(&self) -> Option<Vec<u8>> {
        self.connection.peer_certificates()?.first().map(|certificate| certificate.to_vec())
    }

    // --- receiving ---

    pub(super) fn handle_ciphertext(&mut self, bytes: &[u8]) {
        if !self.unprocessed.is_empty() {
            self.unprocessed.extend_from_slice(bytes);
            return;
        }
        let taken = self.process(bytes);
        self.unprocessed.extend_from_slice(bytes.get(taken..).unwrap_or_default());
    }

    pub(super) fn handle_eof(&mut self) {
        self.has_ended = true;
        self.check_end();
    }

    /// Fails the session if the stream has ended without `close_notify` of the peer. Does nothing while ciphertext
    /// is unprocessed, because this ciphertext may contain `close_notify`.
    fn check_end(&mut self) {
        if self.has_ended && self.unprocessed.is_empty() && !self.peer_closed {
            self.failure.get_or_insert(TlsError::Truncated);
        }
    }

    pub(super) fn poll_plaintext(&mut self, to: &mut [u8]) -> Result<Option<usize>, TlsError> {
        // A read into an empty slice returns 0 although there is plaintext. So with an empty slice, the loop below
        // would never end.
        if to.is_empty() {
            return Ok(None);
        }
        loop {
            match self.connection.reader().read(to) {
                Ok(n @ 1..) => return Ok(Some(n)),
                // No plaintext is left.
                Ok(_) | Err(_) if !self.unprocessed.is_empty() && self.failure.is_none() => {
                    let bytes = core::mem::take(&mut self.unprocessed);
                    self.handle_ciphertext(&bytes);
                    self.check_end();
                }
                Ok(_) | Err(_) => break,
            }
        }
        match &self.failure {
            Some(failure) => Err(failure.clone()),
            None if self.peer_closed => Ok(Some(0)),
            None => Ok(None),
        }
    }

    /// Passes ciphertext to rustls, and returns the number of bytes that are processed.
    fn process(&mut self, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        while !rest.is_empty() && self.failure.is_none() && !self.peer_closed {
            // One call takes 4 KiB at most. The call fails while rustls keeps more than 16 KiB of plaintext.
            if let Err(error) = self.connection.read_tls(&mut rest) {
                if matches!(self.connection.reader().fill_buf(), Ok([_, ..])) {
                    return bytes.len() - rest.len();
                }
                self.failure = Some(io_failure(&error));
                break;
            }
            self.process_records();
        }
        // After a close or a failure all further ciphertext is ignored.
        bytes.len()
    }

    /// Decrypts the complete records that rustls has in its memory.
    fn process_records(&mut self) {
        let is_first = self.connection.protocol_version().is_none();
        match self.connection.process_new_packets() {
            Ok(state) => self.peer_closed = state.peer_has_closed(),
            Err(error) => self.failure = Some(classify(error, is_first)),
        }
    }

    pub(super) fn read_ciphertext(
        &mut self,
        read: impl FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<Option<usize>> {
        let has_plaintext = matches!(self.connection.reader().fill_buf(), Ok([_, ..]));
        if has_plaintext || !self.unprocessed.is_empty() || self.peer_closed || self.failure.is_some() {
            return Ok(None);
        }
        let mut reader = ClosureReader { read, was_called: false };
        match self.connection.read_tls(&mut reader) {
            Ok(n) => {
                match n {
                    0 => self.handle_eof(),
                    _ => self.process_records(),
                }
                Ok(Some(n))
            }
            Err(error) if reader.was_called => Err(error),
            Err(error) => {
                self.failure = Some(io_failure(&error));
                Ok(None)
            }
        }
    }

    // --- sending ---

    pub(super) fn encrypt(&mut self, slices: &[IoSlice<'_>]) -> Result<usize, TlsError> {
        if let Some(failure) = self.failure.as_ref().filter(|failure| **failure != TlsError::Truncated) {
            return Err(failure.clone());
        }
        if self.is_handshaking() {
            return Err(TlsError::Failed(rustls::Error::HandshakeNotComplete.into()));
        }
        if self.has_closed {
            return Err(TlsError::Failed(rustls::Error::General(AFTER_CLOSE.into()).into()));
        }
        self.connection.writer().write_vectored(slices).map_err(|error| io_failure(&error))
    }

    pub(super) fn close(&mut self) {
        self.has_closed = true;
        self.connection.send_close_notify();
    }

    /// Returns false, because rustls refuses renegotiations. So it encrypts all plaintext at once.
    #[allow(
        clippy::unused_self,
        clippy::missing_const_for_fn,
        reason = "sessions of both libraries have the same methods"
    )]
    pub(super) fn has_pending_plaintext(&self) -> bool {
        false
    }

    pub(super) fn has_ciphertext(&self) -> bool {
        self.connection.wants_write()
    }

    pub(super) fn poll_ciphertext(
        &mut self,
        write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.connection.write_tls(&mut ClosureWriter(write))
    }
}

/// Returns the failure for an error that rustls reports as an I/O error, although it does no I/O here.
fn io_failure(error: &io::Error) -> TlsError {
    TlsError::Failed(rustls::Error::General(error.to_string()).into())
}

/// Returns the failure for `error`. `first` is true if rustls has accepted no message of the peer yet.
fn classify(error: rustls::Error, first: bool) -> TlsError {
    let variant = match &error {
        rustls::Error::InvalidCertificate(why) => match why {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsError::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                TlsError::NotValidYet
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                TlsError::OtherHost
            }
            CertificateError::UnknownIssuer => TlsError::UnknownIssuer,
            // webpki uses this text for a self-signed certificate that claims to be an authority.
            CertificateError::Other(other) if std::format!("{other:?}").contains("CaUsedAsEndEntity") => {
                TlsError::UnknownIssuer
            }
            _ => TlsError::InvalidCertificate,
        },
        rustls::Error::AlertReceived(_) => TlsError::Alert,
        rustls::Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        ) if first => TlsError::NotTls,
        _ => TlsError::Failed,
    };
    variant(error.into())
}

/// A closure that implements [`Read`], because rustls reads from a [`Read`].
struct ClosureReader<F> {
    read: F,
    was_called: bool,
}

impl<F: FnMut(&mut [u8]) -> io::Result<usize>> Read for ClosureReader<F> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.was_called = true;
        let n = (self.read)(to)?;
        // rustls does not check the number that `read` returns.
        if n > to.len() { Err(ErrorKind::InvalidData.into()) } else { Ok(n) }
    }
}

/// A closure that implements [`Write`], because rustls writes to a [`Write`].
struct ClosureWriter<F>(F);

impl<F: FnMut(&[IoSlice<'_>]) -> io::Result<usize>> Write for ClosureWriter<F> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        (self.0)(&[IoSlice::new(from)])
    }

    fn write_vectored(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        (self.0)(from)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
