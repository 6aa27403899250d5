//! One TLS session, as a state machine without I/O.
//!
//! [`Session`] is a session of one of two libraries: rustls (`rustls_session.rs`) or native-tls (`native_session.rs`).
//! Both sessions accept any amount of ciphertext, and distinguish a close from a truncation. Both sessions report a
//! failure only after the caller has read the plaintext that arrived before the failure. This file describes their
//! common methods, and calls the library.
//!
//! ```text
//!   handshake ──▶ open ──▶ the peer has closed: poll_plaintext returns 0
//!       │           └────▶ truncated or failed: poll_plaintext returns the error
//!       └───────────────▶ truncated or failed
//! ```
//!
//! Invariants:
//! - Ciphertext leaves the session in the order in which it was produced: handshake, data, key updates and alerts.
//! - Plaintext that arrived before a close or a failure is returned before the close or the failure is reported.
//! - A failure is final: afterwards the session takes no plaintext, and produces no ciphertext except alerts. A
//!   truncation ends only the receiving direction, so a truncated session can still send.

use core::fmt;
use std::io::{self, IoSlice};
use std::prelude::v1::*;
#[cfg(feature = "rustls")]
use std::sync::Arc;

#[cfg(feature = "rustls")]
use rustls::pki_types::ServerName;
#[cfg(feature = "rustls")]
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};

use super::error::TlsError;
#[cfg(feature = "native-tls")]
use super::native_session::NativeSession;
#[cfg(feature = "rustls")]
use super::rustls_session::RustlsSession;

/// Maximum number of bytes that a session keeps. These bytes are plaintext that is not encrypted, and ciphertext that
/// has not left the session.
const MAX_KEPT: usize = 64 << 10;

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
pub struct Session(AnySession);

// The sessions are on the heap, because a session of rustls has more than a kilobyte, and streams are moved.
enum AnySession {
    #[cfg(feature = "rustls")]
    Rustls(Box<RustlsSession>),
    #[cfg(feature = "native-tls")]
    Native(Box<NativeSession>),
}

/// Calls the same method of the session of the library.
macro_rules! delegate {
    ($self:ident.$method:ident($($argument:expr),*)) => {
        match &$self.0 {
            #[cfg(feature = "rustls")]
            AnySession::Rustls(session) => session.$method($($argument),*),
            #[cfg(feature = "native-tls")]
            AnySession::Native(session) => session.$method($($argument),*),
        }
    };
    (mut $self:ident.$method:ident($($argument:expr),*)) => {
        match &mut $self.0 {
            #[cfg(feature = "rustls")]
            AnySession::Rustls(session) => session.$method($($argument),*),
            #[cfg(feature = "native-tls")]
            AnySession::Native(session) => session.$method($($argument),*),
        }
    };
}

#[cfg(feature = "rustls")]
impl Session {
    /// Returns a session of rustls for a client that connects to `host`, a DNS name or an IP address without brackets.
    ///
    /// # Errors
    ///
    /// - [`TlsError::HostName`]: `host` is neither a DNS name nor an IP address.
    /// - [`TlsError::InvalidConfig`]: rustls refuses the configuration.
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    pub fn client(config: Arc<ClientConfig>, host: &str) -> Result<Self, TlsError> {
        let name = server_name(host)?.to_owned();
        Ok(Self::new(ClientConnection::new(config, name).map_err(config_error)?))
    }

    /// Returns a session of rustls for a server.
    ///
    /// # Errors
    ///
    /// [`TlsError::InvalidConfig`]: rustls refuses the configuration, or `max_early_data_size` is not 0. A session does
    /// not return early data (0-RTT), which an attacker can replay (RFC 8446 section 8).
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    pub fn server(config: Arc<ServerConfig>) -> Result<Self, TlsError> {
        if config.max_early_data_size > 0 {
            let text = "early data is not supported: set max_early_data_size to 0";
            return Err(config_error(rustls::Error::General(text.into())));
        }
        Ok(Self::new(ServerConnection::new(config).map_err(config_error)?))
    }

    /// Returns a session for a connection of rustls that the application has created.
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    #[must_use]
    pub fn new(connection: impl Into<Connection>) -> Self {
        Self(AnySession::Rustls(Box::new(RustlsSession::new(connection.into(), MAX_KEPT))))
    }

    /// Returns the connection of rustls, for example to read the version of TLS. Returns `None` for a session of
    /// native-tls.
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    #[must_use]
    pub const fn rustls(&self) -> Option<&Connection> {
        match &self.0 {
            AnySession::Rustls(session) => Some(session.connection()),
            #[cfg(feature = "native-tls")]
            AnySession::Native(_) => None,
        }
    }
}

#[cfg(feature = "native-tls")]
impl Session {
    /// Returns a session of native-tls for a client that connects to `host`, a DNS name or an IP address without
    /// brackets.
    ///
    /// # Errors
    ///
    /// - [`TlsError::HostName`]: `host` is empty, or has white space or control characters.
    /// - [`TlsError::InvalidConfig`]: the library refuses the configuration.
    #[cfg_attr(docsrs, doc(cfg(feature = "native-tls")))]
    pub fn native_client(connector: &native_tls::TlsConnector, host: &str) -> Result<Self, TlsError> {
        check_characters(host)?;
        Ok(Self(AnySession::Native(Box::new(NativeSession::client(connector, host, MAX_KEPT)?))))
    }

    /// Returns a session of native-tls for a server.
    ///
    /// # Errors
    ///
    /// [`TlsError::InvalidConfig`]: the library refuses the configuration.
    #[cfg_attr(docsrs, doc(cfg(feature = "native-tls")))]
    pub fn native_server(acceptor: &native_tls::TlsAcceptor) -> Result<Self, TlsError> {
        Ok(Self(AnySession::Native(Box::new(NativeSession::server(acceptor, MAX_KEPT)?))))
    }
}

impl Session {
    /// Returns whether the TLS handshake is not complete.
    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        delegate!(self.is_handshaking())
    }

    /// Returns why the session has failed, or `None`.
    #[must_use]
    pub const fn failure(&self) -> Option<&TlsError> {
        delegate!(self.failure())
    }

    /// Returns the application protocol that the endpoints have agreed on (RFC 7301), after the TLS handshake.
    #[must_use]
    pub fn alpn_protocol(&self) -> Option<Vec<u8>> {
        delegate!(self.alpn_protocol())
    }

    /// Returns the certificate of the peer as DER, after the TLS handshake. `None` if the peer has sent no certificate.
    #[must_use]
    pub fn peer_certificate(&self) -> Option<Vec<u8>> {
        delegate!(self.peer_certificate())
    }

    // --- receiving ---

    /// Handles ciphertext that has arrived. The next [`poll_plaintext`](Self::poll_plaintext) returns its content, or
    /// the failure that it caused.
    pub fn handle_ciphertext(&mut self, bytes: &[u8]) {
        delegate!(mut self.handle_ciphertext(bytes));
    }

    /// Calls `read` once with memory of the session, and handles the ciphertext that `read` has written to this memory.
    /// `read` returns how many bytes it has written, or 0 at the end of the stream. This method returns the same
    /// number.
    ///
    /// In contrast to [`handle_ciphertext`](Self::handle_ciphertext), the session copies no ciphertext. This is faster
    /// for long records. For many short records it is slower, because the memory may be as short as 4 KiB.
    ///
    /// Returns `None` if `read` was not called, because the session has no memory for ciphertext at this moment. A
    /// session of native-tls never has such memory. A session of rustls has none while there is plaintext to read, and
    /// after a close or a failure.
    ///
    /// # Errors
    ///
    /// - The error of `read`. The session has not changed.
    /// - [`ErrorKind::InvalidData`](io::ErrorKind::InvalidData): `read` returned a number above the length of its
    ///   memory.
    pub fn read_ciphertext(
        &mut self,
        read: impl FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<Option<usize>> {
        delegate!(mut self.read_ciphertext(read))
    }

    /// Handles the end of the stream. Without `close_notify` from the peer, the stream was truncated.
    pub fn handle_eof(&mut self) {
        delegate!(mut self.handle_eof());
    }

    /// Moves plaintext to `to`, and returns the number of bytes. Returns 0 if the peer has sent `close_notify`, and
    /// `None` if more ciphertext is needed. The result is also `None` if `to` is empty.
    ///
    /// # Errors
    ///
    /// The reason why the session has failed. Earlier calls have returned the plaintext that arrived before the
    /// failure.
    pub fn poll_plaintext(&mut self, to: &mut [u8]) -> Result<Option<usize>, TlsError> {
        delegate!(mut self.poll_plaintext(to))
    }

    // --- sending ---

    /// Encrypts the bytes of `slices`, and returns how many of them were taken. The bytes of one call share as few
    /// records as possible: up to 16 KiB in each.
    ///
    /// The session keeps at most 64 KiB. If it is full, this call takes only a part of the bytes, or none, until
    /// [`poll_ciphertext`](Self::poll_ciphertext) has removed ciphertext.
    ///
    /// # Errors
    ///
    /// - The reason why the session has failed. After [`TlsError::Truncated`] the session can still encrypt.
    /// - [`TlsError::Failed`]: the TLS handshake is not complete, or [`close`](Self::close) was called. The session has
    ///   not failed, so it can still receive.
    pub fn encrypt(&mut self, slices: &[IoSlice<'_>]) -> Result<usize, TlsError> {
        delegate!(mut self.encrypt(slices))
    }

    /// Queues `close_notify`: no data follows. Does nothing if `close_notify` was queued before, or if the session has
    /// failed. A truncated session can still close. A session of rustls that has failed without sending an alert, for
    /// example after an alert of the peer, still queues `close_notify`. After the call the session can still receive
    /// (RFC 8446 section 6.1).
    ///
    /// # Debug assertions
    ///
    /// A peer can violate a debug assertion of rustls 0.23. If rustls is compiled with debug assertions, a bad record
    /// after our `close_notify` causes a panic. Without debug assertions, as in the release profile by default, the
    /// session fails as usual. For other profiles, add this to the `Cargo.toml` of the program:
    ///
    /// ```toml
    /// [profile.dev.package.rustls]
    /// debug-assertions = false
    /// ```
    pub fn close(&mut self) {
        delegate!(mut self.close());
    }

    /// Returns whether the session keeps plaintext that [`encrypt`](Self::encrypt) has taken and not encrypted yet. The
    /// session must first receive more ciphertext. Only a TLS 1.2 session of native-tls keeps plaintext, while its peer
    /// renegotiates. Once the result is `false`, this plaintext is encrypted.
    #[must_use]
    pub fn has_pending_plaintext(&self) -> bool {
        delegate!(self.has_pending_plaintext())
    }

    /// Returns whether there is ciphertext to write.
    ///
    /// Receiving can also produce ciphertext: the session answers a renegotiation or a request for a key update, and
    /// the peer may wait for this answer. So call this method after each read, too.
    #[must_use]
    pub fn has_ciphertext(&self) -> bool {
        delegate!(self.has_ciphertext())
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
        delegate!(mut self.poll_ciphertext(write))
    }
}

#[cfg(feature = "rustls")]
fn config_error(error: rustls::Error) -> TlsError {
    TlsError::InvalidConfig(error.into())
}

/// Returns the name that a certificate for `host` must have.
#[cfg(feature = "rustls")]
pub(super) fn server_name(host: &str) -> Result<ServerName<'_>, TlsError> {
    ServerName::try_from(host).map_err(|_| TlsError::HostName(host.into()))
}

/// Checks that `host` has only characters that native-tls accepts. Its bindings of OpenSSL panic at a NUL character.
#[cfg(feature = "native-tls")]
pub(super) fn check_characters(host: &str) -> Result<(), TlsError> {
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.is_empty() || host.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(TlsError::HostName(host.into()));
    }
    Ok(())
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("is_handshaking", &self.is_handshaking())
            .field("failure", &self.failure())
            .finish_non_exhaustive()
    }
}
