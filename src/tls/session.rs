//! One TLS session, as a state machine without I/O.
//!
//! [`Session`] wraps a [`rustls::Connection`] and adds three things: it accepts any amount of ciphertext, it keeps the
//! failure of the session until the plaintext before it was read, and it distinguishes a close from a truncation.
//!
//! It uses the buffered interface of rustls. The unbuffered interface of rustls 0.23 allocates the same memory for each
//! record, copies each encrypted record once more, and encrypts only contiguous memory. The buffered interface encrypts
//! up to 16 KiB from many slices as one record.
//!
//! ```text
//!   handshake ──▶ open ──▶ the peer has closed: poll_plaintext returns 0
//!       │           └────▶ truncated or failed: poll_plaintext returns the error
//!       └───────────────▶ truncated or failed
//! ```
//!
//! Invariants:
//! - Ciphertext leaves the session in the order in which it was produced: handshake, data, key updates and alerts.
//! - Plaintext that arrived before a close or a failure is returned before it.
//! - A failure is final: after it nothing is encrypted, and only the alert that reports it leaves the session.

use core::fmt;
use std::io::{self, BufRead, IoSlice, Read, Write};
use std::prelude::v1::*;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};

use super::error::TlsError;

/// Maximum number of bytes that a session takes before their ciphertext has left it.
const MOST_KEPT: usize = 64 << 10;

/// A TLS session without I/O.
///
/// A driver moves ciphertext: it passes the bytes that it has read to [`handle_ciphertext`](Self::handle_ciphertext),
/// and writes the bytes that [`poll_ciphertext`](Self::poll_ciphertext) returns.
///
/// ```
/// # #[cfg(any(feature = "rustls-ring", feature = "rustls-aws-lc-rs"))] {
/// use std::io::IoSlice;
///
/// use hybi::tls::{Session, TlsError, rustls};
///
/// /// Moves all ciphertext of one session to the other.
/// fn transfer(from: &mut Session, to: &mut Session) {
///     let mut network = Vec::new();
///     while from.has_ciphertext() {
///         // A driver writes the slices to a socket. Here a part of them is taken.
///         let taken = from.poll_ciphertext(|slices| {
///             network.extend_from_slice(&slices[0]);
///             Ok(slices[0].len())
///         });
///         taken.unwrap();
///     }
///     to.handle_ciphertext(&network);
/// }
///
/// # fn configs() -> Option<(std::sync::Arc<rustls::ClientConfig>, std::sync::Arc<rustls::ServerConfig>)> { None }
/// # fn example() -> Result<(), TlsError> {
/// # let Some((client_config, server_config)) = configs() else { return Ok(()) };
/// let mut client = Session::client(client_config, "localhost")?;
/// let mut server = Session::server(server_config)?;
/// while client.is_handshaking() || server.is_handshaking() {
///     transfer(&mut client, &mut server);
///     transfer(&mut server, &mut client);
/// }
/// client.encrypt(&[IoSlice::new(b"hello "), IoSlice::new(b"world")])?;
/// transfer(&mut client, &mut server);
/// let mut plaintext = [0; 100];
/// assert_eq!(server.poll_plaintext(&mut plaintext)?, Some(11));
/// # Ok(())
/// # }
/// # }
/// ```
pub struct Session {
    connection: Connection,
    /// Ciphertext that rustls has not accepted yet, because it keeps little plaintext that nobody has read.
    unprocessed: Vec<u8>,
    /// Whether `close_notify` of the peer has arrived.
    peer_closed: bool,
    /// Whether the stream has ended.
    has_ended: bool,
    /// Why the session can receive and send nothing more.
    failure: Option<TlsError>,
}

impl Session {
    /// Returns a session of a client that connects to `host`, a DNS name or an IP address without brackets.
    ///
    /// # Errors
    ///
    /// - [`TlsError::HostName`]: `host` is neither a DNS name nor an IP address.
    /// - [`TlsError::Config`]: rustls refuses the configuration.
    pub fn client(config: Arc<ClientConfig>, host: &str) -> Result<Self, TlsError> {
        let name = server_name(host)?.to_owned();
        Ok(Self::new(ClientConnection::new(config, name).map_err(TlsError::Config)?))
    }

    /// Checks that a certificate can be for `host`, before a connection is made.
    ///
    /// # Errors
    ///
    /// [`TlsError::HostName`]: `host` is neither a DNS name nor an IP address.
    pub fn check_host(host: &str) -> Result<(), TlsError> {
        server_name(host).map(drop)
    }

    /// Returns a session of a server.
    ///
    /// # Errors
    ///
    /// [`TlsError::Config`]: rustls refuses the configuration.
    pub fn server(config: Arc<ServerConfig>) -> Result<Self, TlsError> {
        Ok(Self::new(ServerConnection::new(config).map_err(TlsError::Config)?))
    }

    /// Returns a session for a connection that the application has created.
    #[must_use]
    pub fn new(connection: impl Into<Connection>) -> Self {
        let mut connection = connection.into();
        connection.set_buffer_limit(Some(MOST_KEPT));
        Self { connection, unprocessed: Vec::new(), peer_closed: false, has_ended: false, failure: None }
    }

    /// Returns the connection of rustls, for example to read the certificates of the peer.
    #[must_use]
    pub const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Returns whether the TLS handshake is not complete.
    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Returns why the session has failed, or `None`.
    #[must_use]
    pub const fn failure(&self) -> Option<&TlsError> {
        self.failure.as_ref()
    }

    // --- receiving ---

    /// Handles ciphertext that has arrived. The next [`poll_plaintext`](Self::poll_plaintext) returns its content, or
    /// the failure that it caused.
    pub fn handle_ciphertext(&mut self, bytes: &[u8]) {
        if !self.unprocessed.is_empty() {
            self.unprocessed.extend_from_slice(bytes);
            return;
        }
        let taken = self.process(bytes);
        self.unprocessed.extend_from_slice(bytes.get(taken..).unwrap_or_default());
    }

    /// Handles the end of the stream. Without `close_notify` from the peer, the stream was truncated.
    pub fn handle_eof(&mut self) {
        self.has_ended = true;
        self.check_end();
    }

    /// Fails if the stream has ended without `close_notify`. Ciphertext that is not processed yet may contain it.
    fn check_end(&mut self) {
        if self.has_ended && self.unprocessed.is_empty() && !self.peer_closed {
            self.failure.get_or_insert(TlsError::Truncated);
        }
    }

    /// Moves plaintext to `to`, and returns the number of bytes. Returns 0 if the peer has sent `close_notify`, and
    /// `None` if more ciphertext is needed.
    ///
    /// # Errors
    ///
    /// The reason why the session has failed. The plaintext that arrived before the failure was returned before.
    pub fn poll_plaintext(&mut self, to: &mut [u8]) -> Result<Option<usize>, TlsError> {
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
            // rustls takes 4 KiB at most, and refuses more while it keeps more than 16 KiB of plaintext.
            if let Err(error) = self.connection.read_tls(&mut rest) {
                if matches!(self.connection.reader().fill_buf(), Ok([_, ..])) {
                    return bytes.len() - rest.len();
                }
                self.failure = Some(TlsError::Failed(rustls::Error::General(error.to_string())));
                break;
            }
            let is_first = self.connection.protocol_version().is_none();
            match self.connection.process_new_packets() {
                Ok(state) => self.peer_closed = state.peer_has_closed(),
                Err(error) => self.failure = Some(TlsError::from_rustls(error, is_first)),
            }
        }
        // After a close or a failure the rest is ignored.
        bytes.len()
    }

    // --- sending ---

    /// Encrypts the bytes of `slices`, and returns how many of them were taken. The bytes of one call share as few
    /// records as possible: up to 16 KiB in each.
    ///
    /// The session keeps at most 64 KiB. Before [`poll_ciphertext`](Self::poll_ciphertext) has returned enough of them,
    /// the result can be less than the number of bytes, or 0.
    ///
    /// # Errors
    ///
    /// - The reason why the session has failed.
    /// - [`TlsError::Failed`] with [`rustls::Error::HandshakeNotComplete`]: the TLS handshake is not complete.
    pub fn encrypt(&mut self, slices: &[IoSlice<'_>]) -> Result<usize, TlsError> {
        if let Some(failure) = self.failure.as_ref().filter(|failure| **failure != TlsError::Truncated) {
            return Err(failure.clone());
        }
        if self.is_handshaking() {
            return Err(TlsError::Failed(rustls::Error::HandshakeNotComplete));
        }
        let taken = self.connection.writer().write_vectored(slices);
        taken.map_err(|error| TlsError::Failed(rustls::Error::General(error.to_string())))
    }

    /// Queues `close_notify`: no data follows. Does nothing if it was queued before, or if the session has failed.
    pub fn close(&mut self) {
        self.connection.send_close_notify();
    }

    /// Returns whether there is ciphertext to write.
    #[must_use]
    pub fn has_ciphertext(&self) -> bool {
        self.connection.wants_write()
    }

    /// Calls `write` once with ciphertext, if there is any. `write` returns how many bytes it took. These bytes are
    /// removed from the session.
    ///
    /// # Errors
    ///
    /// The error of `write`. Nothing is removed.
    pub fn poll_ciphertext(
        &mut self,
        write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.connection.write_tls(&mut Sink(write))
    }
}

fn server_name(host: &str) -> Result<ServerName<'_>, TlsError> {
    ServerName::try_from(host).map_err(|_| TlsError::HostName(host.into()))
}

/// A closure as [`Write`], which rustls expects.
struct Sink<F>(F);

impl<F: FnMut(&[IoSlice<'_>]) -> io::Result<usize>> Write for Sink<F> {
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

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("is_handshaking", &self.is_handshaking())
            .field("peer_closed", &self.peer_closed)
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}
