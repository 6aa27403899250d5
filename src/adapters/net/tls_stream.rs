//! TLS over a blocking stream: features `rustls` and `native-tls`.
//!
//! A [`TlsStream`] is a socket and a [`Session`], which encrypts and decrypts without I/O. Two handles to one stream
//! share the session, so one thread can read while another writes. Ciphertext is moved to and from the socket while the
//! session is not locked:
//!
//! ```text
//!   read:   socket ──▶ ciphertext ──▶ [ session: decrypt ] ──▶ plaintext
//!
//!   write:  { outgoing: the rest of earlier writes ──▶ socket }      if there is a rest
//!           { plaintext ──▶ [ session: encrypt ] ──▶ outgoing ──▶ socket }
//!
//!   [ ]: the session is locked      { }: the outgoing ciphertext is locked
//! ```
//!
//! The session produces ciphertext in the order in which the peer must get it. The lock of [`Outgoing`] keeps this
//! order until the ciphertext is in the socket. A thread that reads never waits for this lock.
//!
//! A read writes nothing, except an alert when the session fails. Other ciphertext that a read has produced, for
//! example the answer to a renegotiation, leaves with the next write or flush. `needs_flush_after_read` tells the
//! driver to flush, because the peer may wait for this answer.
//!
//! `handshake_driver/tls.rs` performs the TLS handshake before a `TlsStream` is created.
//!
//! Invariants:
//! - No thread holds the lock of the session while it calls the socket.
//! - A write that fails with `WouldBlock`, `TimedOut` or `Interrupted` has encrypted nothing. It has at most written
//!   the rest of earlier writes. So the next call can begin with other bytes, for example with a Ping.
//! - A read, a write or a flush makes at most one call of the socket that can block for its whole timeout.
//! - [`Outgoing`] has at most the ciphertext of one write. A write takes at most 64 KiB of plaintext.

use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::prelude::v1::*;
use std::sync::Arc;

use super::stream::Stream;
use super::wrapped_stream::{check_read, check_written};
use crate::Instant;
use crate::adapters::lock::{lock, try_lock};
use crate::adapters::sync::Mutex;
#[cfg(feature = "rustls")]
use crate::tls::rustls;
use crate::tls::{Session, TlsError};

/// Maximum number of bytes in one read from the socket. A longer read would move the ciphertext out of the processor's
/// first cache before it is decrypted.
const MAX_READ: usize = 16 << 10;
/// Buffers smaller than this are not used for ciphertext. A read into a small buffer would need many system calls.
const MIN_READ_BUFFER: usize = 2048;
/// The memory for outgoing ciphertext is kept after a write if it is at most this large, in bytes.
const MAX_KEPT_CAPACITY: usize = 4096;
/// The time for which a call sleeps if the session can encrypt nothing, because the peer renegotiates. After the pause
/// the caller repeats the call.
const RENEGOTIATION_PAUSE: Duration = Duration::from_millis(1);
/// The maximum time for which the thread that reads may block to send an alert after the session has failed.
const ALERT_TIMEOUT: Duration = Duration::from_millis(10);

/// A TLS session over a blocking stream `S`, for example a [`TcpStream`](std::net::TcpStream).
///
/// [`Client::connect`](super::Client::connect) creates this stream for a `wss://` URL. On a server,
/// `Server::accept_tls` and `Server::accept_native_tls` create it. The TLS handshake is complete.
///
/// [`try_clone`](Stream::try_clone) is supported, so [`WebSocket::split`](super::WebSocket::split) works: one thread
/// reads while another thread writes, and neither waits for a socket call of the other thread.
///
/// A call returns even if the socket has delivered or taken only a part of the data, so that the caller can check its
/// deadline. A read returns [`ErrorKind::Interrupted`] if there is no plaintext yet. A flush returns this error if
/// ciphertext is left. A write returns this error if it could only write ciphertext of earlier writes. Repeat the call,
/// as [`Read::read_exact`] and [`Write::write_all`] do.
///
/// A read may produce ciphertext that the peer waits for, for example in a renegotiation. A WebSocket flushes this
/// ciphertext. If you use the stream directly, flush the stream when
/// [`needs_flush_after_read`](Stream::needs_flush_after_read) returns `true`.
///
/// # The end of the stream
///
/// A read returns 0 after the peer has sent `close_notify`. If the stream ends without `close_notify`, the read fails
/// with [`ErrorKind::UnexpectedEof`] and [`TlsError::Truncated`](crate::tls::TlsError::Truncated).
/// [`close_write`](Stream::close_write) sends `close_notify`, and half-closes the stream below.
pub struct TlsStream<S> {
    socket: S,
    shared: Arc<Shared>,
}

/// The state that the handles to one stream share.
struct Shared {
    session: Mutex<Session>,
    outgoing: Mutex<Outgoing>,
    /// Whether there was ciphertext in `outgoing` or unencrypted plaintext after the last write.
    has_rest: AtomicBool,
    /// Whether a read has produced ciphertext that is still in the session.
    has_output_of_reads: AtomicBool,
}

/// Ciphertext that was taken from the session, and is not in the socket yet.
#[derive(Default)]
struct Outgoing {
    bytes: Vec<u8>,
    /// The number of bytes at the start of `bytes` that the socket has taken.
    written: usize,
}

impl<S> TlsStream<S> {
    /// Creates a stream from a session whose handshake is complete. `socket` is the stream below the session.
    pub(super) fn new(socket: S, session: Session) -> Self {
        let (session, outgoing) = (Mutex::new(session), Mutex::new(Outgoing::default()));
        let [has_rest, has_output_of_reads] = [(); 2].map(|()| AtomicBool::new(false));
        let shared = Shared { session, outgoing, has_rest, has_output_of_reads };
        Self { socket, shared: Arc::new(shared) }
    }

    /// Returns the stream below TLS. Do not read from it or write to it.
    pub const fn get_ref(&self) -> &S {
        &self.socket
    }

    /// Returns the certificate of the peer as DER. `None` if the peer has sent no certificate.
    #[must_use]
    pub fn peer_certificate(&self) -> Option<Vec<u8>> {
        lock(&self.shared.session).peer_certificate()
    }

    /// Calls `look` with the connection of rustls, for example to read the version of TLS. Returns `None` if the stream
    /// uses native-tls.
    ///
    /// Reads and writes on another handle to the stream block until `look` returns.
    #[cfg(feature = "rustls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    pub fn with_rustls<T>(&self, look: impl FnOnce(&rustls::Connection) -> T) -> Option<T> {
        lock(&self.shared.session).rustls().map(look)
    }
}

impl<S: Stream> TlsStream<S> {
    /// Moves plaintext of the session to `to`. Returns `None` if the session needs more ciphertext.
    fn read_plaintext(&mut self, to: &mut [u8]) -> io::Result<Option<usize>> {
        let polled = self.shared.poll_plaintext(&mut lock(&self.shared.session), to);
        polled.map_err(|error| {
            self.send_alert();
            error.into()
        })
    }

    /// Reads ciphertext once, and returns the plaintext in it.
    ///
    /// A peer can send a record in any number of pieces, and records without plaintext. The caller must run its timers
    /// between two pieces. So without plaintext the result is `Interrupted`, and the caller repeats the call unless its
    /// deadline has passed.
    ///
    /// The ciphertext is read into `buffer`. Without a buffer, it is read into `to`: the session copies the ciphertext,
    /// so the plaintext can overwrite it.
    fn read_ciphertext(&mut self, to: &mut [u8], buffer: Option<&mut [u8]>) -> io::Result<usize> {
        let space = buffer.unwrap_or(&mut *to);
        let most = space.len().min(MAX_READ);
        let space = space.get_mut(..most).unwrap_or_default();
        let n = check_read(self.socket.read(space)?, most)?;
        let polled = {
            let mut session = lock(&self.shared.session);
            match space.get(..n).unwrap_or_default() {
                [] => session.handle_eof(),
                ciphertext => session.handle_ciphertext(ciphertext),
            }
            self.shared.poll_plaintext(&mut session, to)
        };
        match polled {
            Ok(Some(n)) => Ok(n),
            Ok(None) => Err(ErrorKind::Interrupted.into()),
            Err(error) => {
                self.send_alert();
                Err(error.into())
            }
        }
    }

    /// Sends the alert that tells the peer why the session has failed. Does nothing if another thread writes, or if the
    /// socket was full at the last write. In these cases a later write or flush sends the alert.
    ///
    /// The session has failed, so no later write needs the timeout that this method changes.
    #[cold]
    fn send_alert(&mut self) {
        let Some(mut outgoing) = try_lock(&self.shared.outgoing) else { return };
        if outgoing.is_empty() && lock(&self.shared.session).has_ciphertext() {
            // The caller gets the error of the session. So an error of this write is ignored.
            let _ = self.socket.set_write_timeout(Some(ALERT_TIMEOUT));
            outgoing.fill(&mut lock(&self.shared.session));
            self.shared.has_output_of_reads.store(false, Ordering::Relaxed);
            let _ = outgoing.write_to(&mut self.socket);
        }
    }
}

impl<S: Stream> Read for TlsStream<S> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if to.is_empty() {
            return Ok(0);
        }
        if let Some(n) = self.read_plaintext(to)? {
            return Ok(n);
        }
        if to.len() >= MIN_READ_BUFFER {
            return self.read_ciphertext(to, None);
        }
        self.read_ciphertext(to, Some(&mut [0; MIN_READ_BUFFER]))
    }
}

impl<S: Stream> Write for TlsStream<S> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(from)])
    }

    /// Encrypts up to 64 KiB. Bytes of several slices share records of up to 16 KiB.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::WouldBlock`], [`ErrorKind::TimedOut`] or [`ErrorKind::Interrupted`]: the call has written bytes
    ///   of earlier writes, as many as the socket takes at once. Nothing of `from` was taken. Repeat the call.
    /// - Any other kind: the socket or the session has failed.
    fn write_vectored(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        let shared = &*self.shared;
        let mut outgoing = lock(&shared.outgoing);
        if !outgoing.is_empty() {
            outgoing.write_to(&mut self.socket)?;
            // The socket may have blocked for its whole timeout, and a second write may do so again.
            return Err(ErrorKind::Interrupted.into());
        }
        let (taken, waits) = {
            let mut session = lock(&shared.session);
            let taken = session.encrypt(from);
            (taken, shared.take_ciphertext(&mut session, &mut outgoing))
        };
        let written = outgoing.write_to(&mut self.socket);
        shared.has_rest.store(waits || !outgoing.is_empty(), Ordering::Relaxed);
        match (taken, written) {
            (Err(failure), _) => Err(failure.into()),
            (Ok(_), Err(error)) if !is_retryable(&error) => Err(error),
            (Ok(0), _) if from.iter().any(|slice| !slice.is_empty()) => Err(pause_for_peer()),
            (Ok(n), _) => Ok(n),
        }
    }

    /// Writes the ciphertext of earlier writes, and flushes the stream below.
    fn flush(&mut self) -> io::Result<()> {
        let shared = &*self.shared;
        let mut outgoing = lock(&shared.outgoing);
        let had_rest = !outgoing.is_empty();
        outgoing.write_to(&mut self.socket)?;
        let (waits, failure) = {
            let mut session = lock(&shared.session);
            (shared.take_ciphertext(&mut session, &mut outgoing), session.failure().cloned())
        };
        let has_output = !outgoing.is_empty();
        let written = match had_rest && has_output {
            // The socket may have blocked for its whole timeout, and a second write may do so again.
            true => Err(ErrorKind::Interrupted.into()),
            false => outgoing.write_to(&mut self.socket),
        };
        shared.has_rest.store(waits || !outgoing.is_empty(), Ordering::Relaxed);
        written?;
        match failure {
            Some(failure) if waits => return Err(failure.into()),
            None if waits => return Err(pause_for_peer()),
            _ => {}
        }
        match self.socket.has_unflushed_bytes() {
            // The flush of the socket can block too, for example if the socket is itself a TLS stream.
            true if had_rest || has_output => Err(ErrorKind::Interrupted.into()),
            true => self.socket.flush(),
            false => Ok(()),
        }
    }
}

/// Sleeps for a moment, and returns the error of a call that cannot continue before a read has received ciphertext.
///
/// The call does not wait for the socket, so no timeout of the socket would limit a longer wait. The error is not
/// `WouldBlock`, because this kind would mean that the stream is in non-blocking mode.
#[cold]
fn pause_for_peer() -> io::Error {
    std::thread::sleep(RENEGOTIATION_PAUSE);
    ErrorKind::Interrupted.into()
}

impl Shared {
    /// Returns plaintext of the session. Records whether the session has produced ciphertext.
    fn poll_plaintext(&self, session: &mut Session, to: &mut [u8]) -> Result<Option<usize>, TlsError> {
        let polled = session.poll_plaintext(to);
        if session.has_ciphertext() {
            self.has_output_of_reads.store(true, Ordering::Relaxed);
        }
        polled
    }

    /// Moves all ciphertext of the session to `outgoing`, which must be empty. Returns whether the session keeps
    /// plaintext that it cannot encrypt now.
    fn take_ciphertext(&self, session: &mut Session, outgoing: &mut Outgoing) -> bool {
        outgoing.fill(session);
        self.has_output_of_reads.store(false, Ordering::Relaxed);
        session.has_pending_plaintext()
    }
}

/// Returns whether `error` means that the socket is full, or that a signal has interrupted the call.
fn is_retryable(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

impl<S: Stream> Stream for TlsStream<S> {
    fn close_write(&mut self) -> io::Result<()> {
        // `Outgoing` has space for one write only. So the rest of earlier writes must leave before `close_notify`.
        self.flush()?;
        lock(&self.shared.session).close();
        self.flush()?;
        self.socket.close_write()
    }

    fn abort(&mut self) {
        self.socket.abort();
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        self.socket.set_read_timeout(timeout)
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        self.socket.set_write_timeout(timeout)
    }

    fn set_nonblocking(&mut self, on: bool) -> io::Result<bool> {
        self.socket.set_nonblocking(on)
    }

    /// Returns `false`: a refused write has encrypted nothing.
    fn keeps_refused_bytes(&self) -> bool {
        false
    }

    /// Returns whether the ciphertext of a write or a read is not in the socket yet.
    fn has_unflushed_bytes(&self) -> bool {
        let shared = &*self.shared;
        shared.has_rest.load(Ordering::Relaxed)
            || shared.has_output_of_reads.load(Ordering::Relaxed)
            || self.socket.has_unflushed_bytes()
    }

    /// Returns whether a read has produced ciphertext that is not in the socket yet.
    fn needs_flush_after_read(&self) -> bool {
        self.shared.has_output_of_reads.load(Ordering::Relaxed) || self.socket.needs_flush_after_read()
    }

    fn try_clone(&self) -> io::Result<Box<dyn Stream + Send>> {
        let socket = self.socket.try_clone()?;
        Ok(Box::new(TlsStream { socket, shared: Arc::clone(&self.shared) }))
    }

    fn clock(&self) -> Option<Instant> {
        self.socket.clock()
    }
}

impl Outgoing {
    fn is_empty(&self) -> bool {
        self.written == self.bytes.len()
    }

    /// Takes all ciphertext of the session. Call this only while `self` is empty.
    fn fill(&mut self, session: &mut Session) {
        while session.has_ciphertext() {
            let taken = session.poll_ciphertext(|slices| {
                let before = self.bytes.len();
                self.bytes.reserve(slices.iter().map(|slice| slice.len()).sum());
                slices.iter().for_each(|slice| self.bytes.extend_from_slice(slice));
                Ok(self.bytes.len() - before)
            });
            if taken.is_err() {
                return;
            }
        }
    }

    /// Writes all bytes to the socket. Keeps the rest if the socket returns an error, or takes only a part.
    ///
    /// Each write to the socket can block for its whole timeout. So if the socket takes only a part, the result is
    /// `Interrupted`, and the caller repeats the call unless its deadline has passed.
    fn write_to(&mut self, socket: &mut impl Stream) -> io::Result<()> {
        if let Some(rest @ [_, ..]) = self.bytes.get(self.written..) {
            match check_written(socket.write(rest)?, rest.len())? {
                0 => return Err(ErrorKind::WriteZero.into()),
                n if n < rest.len() => {
                    self.written += n;
                    return Err(ErrorKind::Interrupted.into());
                }
                _ => {}
            }
        }
        self.written = 0;
        if self.bytes.capacity() > MAX_KEPT_CAPACITY {
            self.bytes = Vec::new();
        }
        self.bytes.clear();
        Ok(())
    }
}

impl<S: fmt::Debug> fmt::Debug for TlsStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream").field("socket", &self.socket).finish_non_exhaustive()
    }
}
