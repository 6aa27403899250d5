//! A session of native-tls, which uses the TLS library of the operating system: feature `native-tls`.
//!
//! native-tls reads and writes a stream. Here this stream is a [`Pipe`], which has the ciphertext in memory. So
//! [`NativeSession`] does no I/O, and has the methods of [`Session`](super::Session). The adapters do not know
//! whether a session uses rustls or native-tls.
//!
//! ```text
//!   handle_ciphertext ──▶ incoming ──▶ ┌────────────┐ ──▶ poll_plaintext
//!                         [  Pipe  ]   │ native-tls │
//!     poll_ciphertext ◀── outgoing ◀── └────────────┘ ◀── unencrypted ◀── encrypt
//! ```
//!
//! Invariants:
//! - The pipe never reports the end of the stream to the library: a read without ciphertext is `WouldBlock`. OpenSSL
//!   1.1 and Secure Transport report the end of a stream like `close_notify`. With this pipe, every end that they
//!   report is `close_notify`.
//! - The pipe takes all ciphertext that the library writes. So the library never has to repeat a write.
//! - `unencrypted` contains bytes only while the peer of a TLS 1.2 session renegotiates.
//! - `outgoing` has a limit. The library itself answers some messages of the peer, for example key updates. If the peer
//!   sends such messages and does not read the answers, the session fails.

use core::error::Error;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::prelude::v1::*;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use native_tls::{HandshakeError, MidHandshakeTlsStream, TlsAcceptor, TlsConnector, TlsStream};

use super::error::{AFTER_CLOSE, LibraryError, TlsError};

/// Maximum number of bytes in a TLS record.
const RECORD_LEN: usize = 16 << 10;
/// An empty buffer is kept if its memory is at most this large, in bytes.
const MAX_KEPT_CAPACITY: usize = 4096;

pub(super) struct NativeSession {
    state: State,
    /// The pipe of the stream in `state`. After a failed handshake the library has dropped its stream, and the alert is
    /// still in this pipe.
    pipe: Pipe,
    /// Plaintext that was taken, and that the library could not encrypt yet.
    unencrypted: Vec<u8>,
    /// `encrypt` takes no more plaintext when `unencrypted` and `outgoing` together hold this many bytes.
    max_kept: usize,
    /// The first bytes of the peer.
    start: FirstBytes,
    /// Whether `close_notify` of the peer has arrived.
    peer_closed: bool,
    /// Whether our `close_notify` was queued.
    has_closed: bool,
    /// Whether the stream has ended.
    has_ended: bool,
    /// The reason why the session can receive and send nothing more.
    failure: Option<TlsError>,
}

enum State {
    Handshaking(MidHandshakeTlsStream<Pipe>),
    Open(TlsStream<Pipe>),
    /// The handshake has failed.
    Failed,
}

impl NativeSession {
    pub(super) fn client(connector: &TlsConnector, host: &str, max_kept: usize) -> Result<Self, TlsError> {
        let pipe = Pipe::default();
        // A trailing dot makes a DNS name absolute. It belongs neither in the name that the client sends (RFC 6066
        // section 3) nor in a certificate. rustls removes it, and OpenSSL does not.
        let host = host.strip_suffix('.').unwrap_or(host);
        Self::new(connector.connect(host, pipe.clone()), pipe, max_kept)
    }

    pub(super) fn server(acceptor: &TlsAcceptor, max_kept: usize) -> Result<Self, TlsError> {
        let pipe = Pipe::default();
        Self::new(acceptor.accept(pipe.clone()), pipe, max_kept)
    }

    fn new(begun: HandshakeResult, pipe: Pipe, max_kept: usize) -> Result<Self, TlsError> {
        let state = match begun {
            Ok(stream) => State::Open(stream),
            Err(HandshakeError::WouldBlock(handshake)) => State::Handshaking(handshake),
            Err(HandshakeError::Failure(error)) => {
                return Err(TlsError::InvalidConfig(LibraryError::native(error)));
            }
        };
        Ok(Self {
            state,
            pipe,
            unencrypted: Vec::new(),
            max_kept,
            start: FirstBytes::default(),
            peer_closed: false,
            has_closed: false,
            has_ended: false,
            failure: None,
        })
    }

    pub(super) const fn is_handshaking(&self) -> bool {
        !matches!(self.state, State::Open(_))
    }

    pub(super) const fn failure(&self) -> Option<&TlsError> {
        self.failure.as_ref()
    }

    pub(super) fn alpn_protocol(&self) -> Option<Vec<u8>> {
        let State::Open(stream) = &self.state else { return None };
        stream.negotiated_alpn().ok().flatten()
    }

    pub(super) fn peer_certificate(&self) -> Option<Vec<u8>> {
        let State::Open(stream) = &self.state else { return None };
        stream.peer_certificate().ok().flatten()?.to_der().ok()
    }

    // --- receiving ---

    pub(super) fn handle_ciphertext(&mut self, bytes: &[u8]) {
        // After a close or a failure all further ciphertext is ignored.
        if self.failure.is_some() || self.peer_closed {
            return;
        }
        self.start.extend(bytes);
        self.pipe.lock().incoming.push(bytes);
        if self.is_handshaking() {
            self.continue_handshake();
        }
    }

    /// Continues the handshake with the ciphertext in the pipe.
    fn continue_handshake(&mut self) {
        self.state = match core::mem::replace(&mut self.state, State::Failed) {
            State::Handshaking(handshake) => match handshake.handshake() {
                Ok(stream) => State::Open(stream),
                Err(HandshakeError::WouldBlock(handshake)) => State::Handshaking(handshake),
                Err(HandshakeError::Failure(error)) => {
                    self.failure = Some(classify(error, self.start.is_tls()));
                    State::Failed
                }
            },
            state => state,
        };
    }

    /// Returns `None`, because the session has no memory for ciphertext: `handle_ciphertext` copies it into the pipe.
    #[allow(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        clippy::missing_const_for_fn,
        reason = "sessions of both libraries have the same methods"
    )]
    pub(super) fn read_ciphertext(
        &mut self,
        _: impl FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<Option<usize>> {
        Ok(None)
    }

    pub(super) fn handle_eof(&mut self) {
        self.has_ended = true;
        // An open session may have ciphertext that the library has not read yet, which may contain `close_notify`.
        if self.is_handshaking() {
            self.failure.get_or_insert(TlsError::Truncated);
        }
    }

    pub(super) fn poll_plaintext(&mut self, to: &mut [u8]) -> Result<Option<usize>, TlsError> {
        // A read into an empty slice returns 0, which here means `close_notify`.
        if to.is_empty() {
            return Ok(None);
        }
        if let (State::Open(stream), None, false) = (&mut self.state, &self.failure, self.peer_closed) {
            match stream.read(to) {
                Ok(0) => self.peer_closed = true,
                Ok(n) => {
                    self.check_output();
                    return Ok(Some(n));
                }
                Err(error) if is_waiting(&error) => {
                    if self.has_ended {
                        self.failure = Some(TlsError::Truncated);
                    }
                }
                Err(error) => self.failure = Some(classify(error, true)),
            }
            self.encrypt_all();
            self.check_output();
        }
        match &self.failure {
            Some(failure) => Err(failure.clone()),
            None if self.peer_closed => Ok(Some(0)),
            None => Ok(None),
        }
    }

    /// Fails the session if it has more output than it may keep, or plaintext that it can never encrypt. This method is
    /// called after each read.
    fn check_output(&mut self) {
        // Ciphertext is a little longer than its plaintext, so the limit is increased by `RECORD_LEN`.
        let text = if self.pipe.lock().outgoing.rest().len() > self.max_kept + RECORD_LEN {
            "the peer requests key updates and does not read the answers"
        } else if self.peer_closed && self.has_pending_plaintext() {
            "the peer has closed the session during a renegotiation"
        } else {
            return;
        };
        let error = io::Error::new(ErrorKind::InvalidData, text);
        self.failure.get_or_insert(TlsError::Failed(LibraryError::native(error)));
    }

    // --- sending ---

    pub(super) fn has_pending_plaintext(&self) -> bool {
        !self.unencrypted.is_empty()
    }

    pub(super) fn encrypt(&mut self, slices: &[IoSlice<'_>]) -> Result<usize, TlsError> {
        if let Some(failure) = self.failure.as_ref().filter(|failure| **failure != TlsError::Truncated) {
            return Err(failure.clone());
        }
        if self.is_handshaking() {
            let error = io::Error::new(ErrorKind::NotConnected, "the TLS handshake is not complete");
            return Err(TlsError::Failed(LibraryError::native(error)));
        }
        if self.has_closed {
            let error = io::Error::new(ErrorKind::BrokenPipe, AFTER_CLOSE);
            return Err(TlsError::Failed(LibraryError::native(error)));
        }
        let kept = self.unencrypted.len() + self.pipe.lock().outgoing.rest().len();
        let (mut space, mut taken) = (self.max_kept.saturating_sub(kept), 0);
        for slice in slices {
            let part = slice.get(..space.min(slice.len())).unwrap_or_default();
            self.unencrypted.extend_from_slice(part);
            space -= part.len();
            taken += part.len();
        }
        self.encrypt_all();
        match &self.failure {
            Some(failure) if *failure != TlsError::Truncated => Err(failure.clone()),
            _ => Ok(taken),
        }
    }

    /// Encrypts as much of `unencrypted` as the library takes.
    fn encrypt_all(&mut self) {
        let State::Open(stream) = &mut self.state else { return };
        let mut encrypted = 0;
        while let Some(rest @ [_, ..]) = self.unencrypted.get(encrypted..) {
            match stream.write(rest.get(..RECORD_LEN).unwrap_or(rest)) {
                Ok(n @ 1..) => encrypted += n,
                Err(error) if !is_waiting(&error) => {
                    self.failure.get_or_insert(classify(error, true));
                    break;
                }
                // During a renegotiation the library first needs a message of the peer.
                Ok(_) | Err(_) => break,
            }
        }
        self.unencrypted.drain(..encrypted.min(self.unencrypted.len()));
        free(&mut self.unencrypted);
    }

    pub(super) fn close(&mut self) {
        let has_failed = self.failure.as_ref().is_some_and(|failure| *failure != TlsError::Truncated);
        if let (State::Open(stream), false, false) = (&mut self.state, self.has_closed, has_failed) {
            self.has_closed = true;
            // The library queues `close_notify`. After that, it may try to read `close_notify` of the peer. If the peer
            // has not sent it, the result is `WouldBlock`, which is not a failure.
            let _ = stream.shutdown();
        }
    }

    pub(super) fn has_ciphertext(&self) -> bool {
        !self.pipe.lock().outgoing.rest().is_empty()
    }

    pub(super) fn poll_ciphertext(
        &mut self,
        mut write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut pipe = self.pipe.lock();
        let rest = pipe.outgoing.rest();
        if rest.is_empty() {
            return Ok(0);
        }
        let n = write(&[IoSlice::new(rest)])?.min(rest.len());
        pipe.outgoing.advance(n);
        Ok(n)
    }
}

/// The result of a call that continues a handshake.
type HandshakeResult = Result<TlsStream<Pipe>, HandshakeError<Pipe>>;

/// Returns whether the library needs more ciphertext of the peer.
fn is_waiting(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// A variant of [`TlsError`].
type Variant = fn(LibraryError) -> TlsError;

/// Texts by which errors are recognized, because native-tls has no kinds of errors. The texts are in lower case. The
/// first match in this order counts.
///
/// - OpenSSL: a text of OpenSSL itself, or the result of the verification. native-tls appends this result in brackets.
///   In OpenSSL 1.1, some of these texts begin with a capital letter, or have no hyphen.
/// - Windows: the number of the error (`CERT_E_EXPIRED`, `SEC_E_CERT_EXPIRED`, `CERT_E_CN_NO_MATCH`,
///   `SEC_E_WRONG_PRINCIPAL`, `CERT_E_UNTRUSTEDROOT`, `CERT_E_CHAINING`, `SEC_E_UNTRUSTED_ROOT`), because its text is
///   translated.
const ERROR_TEXTS: &[(&str, Variant)] = &[
    // This text comes first, because the result of a verification can follow it in the same error.
    ("ssl alert number", TlsError::Alert),
    ("certificate has expired", TlsError::Expired),
    ("certificate is not yet valid", TlsError::NotValidYet),
    ("hostname mismatch", TlsError::OtherHost),
    ("ip address mismatch", TlsError::OtherHost),
    ("self-signed certificate", TlsError::UnknownIssuer),
    ("self signed certificate", TlsError::UnknownIssuer),
    ("issuer certificate", TlsError::UnknownIssuer),
    ("unable to verify the first certificate", TlsError::UnknownIssuer),
    ("certificate verify failed", TlsError::InvalidCertificate),
    ("os error -2146762495", TlsError::Expired),
    ("os error -2146893016", TlsError::Expired),
    ("os error -2146762481", TlsError::OtherHost),
    ("os error -2146893022", TlsError::OtherHost),
    ("os error -2146762487", TlsError::UnknownIssuer),
    ("os error -2146762486", TlsError::UnknownIssuer),
    ("os error -2146893019", TlsError::UnknownIssuer),
];

/// Returns the failure for an error of the library. `is_tls` is false if the peer does not speak TLS.
fn classify(error: impl Error + Send + Sync + 'static, is_tls: bool) -> TlsError {
    let text = error.to_string().to_lowercase();
    let error = LibraryError::native(error);
    if !is_tls {
        return TlsError::NotTls(error);
    }
    let variant = ERROR_TEXTS.iter().find(|(part, _)| text.contains(part)).map(|(_, variant)| *variant);
    variant.unwrap_or(TlsError::Failed)(error)
}

/// The first two bytes that the peer has sent: the content type and the major version of its first record.
#[derive(Default)]
struct FirstBytes {
    bytes: [Option<u8>; 2],
}

impl FirstBytes {
    fn extend(&mut self, bytes: &[u8]) {
        let mut bytes = bytes.iter();
        for place in self.bytes.iter_mut().filter(|place| place.is_none()) {
            *place = bytes.next().copied();
        }
    }

    /// Returns whether the bytes can begin a TLS record (RFC 8446 section 5.1). The type of a record is a number from
    /// 20 (`change_cipher_spec`) to 23 (`application_data`), and its major version is 3.
    const fn is_tls(&self) -> bool {
        matches!(self.bytes, [None | Some(20..=23), None | Some(3)])
    }
}

/// The stream of the library. All clones have the same content.
#[derive(Clone, Debug, Default)]
struct Pipe(Arc<Mutex<Ciphertext>>);

#[derive(Debug, Default)]
struct Ciphertext {
    incoming: Queue,
    outgoing: Queue,
}

impl Pipe {
    /// Locks the content. No thread waits for this lock, because the library uses its clone only while the session
    /// calls the library.
    fn lock(&self) -> MutexGuard<'_, Ciphertext> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Read for Pipe {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let mut pipe = self.lock();
        let n = pipe.incoming.rest().read(to)?;
        if n == 0 && !to.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        pipe.incoming.advance(n);
        Ok(n)
    }
}

impl Write for Pipe {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.lock().outgoing.push(from);
        Ok(from.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes that are taken in the order in which they came.
#[derive(Default)]
struct Queue {
    bytes: Vec<u8>,
    /// The number of bytes at the start of `bytes` that were taken.
    taken: usize,
}

impl Queue {
    fn rest(&self) -> &[u8] {
        self.bytes.get(self.taken..).unwrap_or_default()
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn advance(&mut self, n: usize) {
        self.taken += n;
        if self.rest().is_empty() {
            self.taken = 0;
            self.bytes.clear();
            free(&mut self.bytes);
        }
    }
}

impl core::fmt::Debug for Queue {
    // Written by hand, because the bytes must not appear in a log.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Queue").field("len", &self.rest().len()).finish()
    }
}

/// Frees the memory of an empty buffer if it is large.
fn free(buffer: &mut Vec<u8>) {
    if buffer.is_empty() && buffer.capacity() > MAX_KEPT_CAPACITY {
        *buffer = Vec::new();
    }
}
