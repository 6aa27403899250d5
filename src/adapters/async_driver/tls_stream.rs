//! TLS over an asynchronous stream: features `rustls` and `native-tls`.
//!
//! A [`TlsStream`] is a stream and a [`Session`], which encrypts and decrypts without I/O. The functions of this file
//! move ciphertext between the two, with the [`Transport`] of a runtime. The modules `tokio` and `futures_io` implement
//! the traits of their runtimes with these functions.
//!
//! Ciphertext that the stream does not take stays in the session, which keeps the order of the ciphertext. A read also
//! writes the ciphertext that this read has caused: alerts, and answers to key updates and renegotiations, for which
//! the peer may wait.
//!
//! `handshake_driver/tls.rs` performs the TLS handshake before a `TlsStream` is created.
//!
//! Invariants:
//! - A write that returns `Pending` has encrypted nothing: it first writes the ciphertext of earlier writes, and only
//!   then encrypts. So the next write can begin with other bytes, for example with a Ping.
//! - The session has at most the ciphertext of 64 KiB of plaintext.

use core::cell::Cell;
use core::fmt;
use std::io::{self, ErrorKind, IoSlice};
use std::prelude::v1::*;
use std::task::{Context, Poll, Waker, ready};

use super::Transport;
use super::stream::check_count;
#[cfg(feature = "rustls")]
use crate::tls::rustls;
use crate::tls::{Session, TlsError};

/// Number of bytes in one read from the stream below: the longest record, and a little more.
const SPACE_LEN: usize = 17 << 10;
/// Maximum number of slices in each call of [`Session::encrypt`] after the first call in a write. The first call gets
/// all slices.
const MAX_REST_SLICES: usize = 8;
/// Maximum number of reads in one call that return no plaintext. The task then yields, because a peer could send empty
/// records without end.
const MAX_READS: usize = 8;

std::thread_local! {
    /// Space for ciphertext, used during one call. This memory is small and stays in the processor's cache, unlike the
    /// memory of a large message. Connections that wait hold no such memory.
    static SPACE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A TLS session over an asynchronous stream `S`.
///
/// `Client::connect` creates a `TlsStream` for a `wss://` URL. On a server,
/// [`Server::accept_tls`](crate::adapters::handshake_driver::Server) and `Server::accept_native_tls` create a
/// `TlsStream`. The TLS handshake is complete. The type implements the stream traits of tokio and of futures-io if `S`
/// implements them.
///
/// # The end of the stream
///
/// A read returns 0 after the peer has sent `close_notify`. If the stream ends without `close_notify`, the read fails
/// with [`ErrorKind::UnexpectedEof`] and [`TlsError::Truncated`]. Closing the stream sends `close_notify`.
pub struct TlsStream<S> {
    stream: S,
    session: Session,
    /// Whether a read has produced ciphertext, and the stream has not taken all of it yet.
    has_output_of_reads: bool,
    /// Whether the stream has taken ciphertext that a read produced, and was not flushed afterwards.
    must_flush_output_of_reads: bool,
    /// Whether the last read from the stream filled the whole buffer. If so, more ciphertext has probably arrived.
    has_filled_memory: bool,
    /// The waker of the task that writes. `Some` while the session can encrypt nothing, because the peer renegotiates.
    waits_for_peer: Option<Waker>,
}

impl<S> TlsStream<S> {
    /// Creates a stream from a session whose handshake is complete. `stream` is the stream below the session.
    pub(super) const fn new(stream: S, session: Session) -> Self {
        Self {
            stream,
            session,
            has_output_of_reads: false,
            must_flush_output_of_reads: false,
            has_filled_memory: false,
            waits_for_peer: None,
        }
    }

    /// Returns the stream below TLS. Do not read from it or write to it.
    pub const fn get_ref(&self) -> &S {
        &self.stream
    }

    /// Returns the certificate of the peer as DER. `None` if the peer has sent no certificate.
    #[must_use]
    pub fn peer_certificate(&self) -> Option<Vec<u8>> {
        self.session.peer_certificate()
    }

    /// Returns the connection of rustls, for example to read the version of TLS. `None` if the stream uses native-tls.
    #[cfg(feature = "rustls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    #[must_use]
    pub const fn rustls(&self) -> Option<&rustls::Connection> {
        self.session.rustls()
    }

    /// Reads plaintext: see [`Transport::poll_read`].
    pub(in crate::adapters) fn poll_read<R: Transport<S>>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if to.is_empty() {
            return Poll::Ready(Ok(0));
        }
        match self.poll_plaintext::<R>(cx, to) {
            Ok(Some(n)) => Poll::Ready(Ok(n)),
            Ok(None) => {
                // The thread-local space is not available during thread shutdown, and while a TLS stream below this
                // stream uses it.
                let mut space = SPACE.try_with(Cell::take).unwrap_or_default();
                space.resize(SPACE_LEN, 0);
                let polled = self.poll_ciphertext::<R>(cx, to, &mut space);
                let _ = SPACE.try_with(|kept| kept.set(space));
                polled
            }
            Err(failure) => Poll::Ready(Err(self.fail_with_alert::<R>(cx, failure))),
        }
    }

    /// Reads ciphertext until the session has plaintext, and moves the plaintext to `to`. The ciphertext is read into
    /// `space`, or directly into memory of the session.
    fn poll_ciphertext<R: Transport<S>>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut [u8],
        space: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        for _ in 0..MAX_READS {
            let had_output = self.session.has_ciphertext();
            ready!(self.poll_read_once::<R>(cx, space))?;
            self.has_output_of_reads |= !had_output && self.session.has_ciphertext();
            match self.poll_plaintext::<R>(cx, to) {
                Ok(Some(n)) => return Poll::Ready(Ok(n)),
                Ok(None) => {}
                Err(failure) => return Poll::Ready(Err(self.fail_with_alert::<R>(cx, failure))),
            }
        }
        R::yield_turn(cx);
        Poll::Pending
    }

    /// Reads ciphertext once, and passes it to the session.
    ///
    /// Short records are read into `space`, many of them at a time. A peer that sends long records fills this space.
    /// After that, the session reads into its own memory, which saves a copy. For an echo of 1 MiB this copy cost a
    /// tenth of the time.
    fn poll_read_once<R: Transport<S>>(
        &mut self,
        cx: &mut Context<'_>,
        space: &mut [u8],
    ) -> Poll<io::Result<()>> {
        if self.has_filled_memory && ready!(self.poll_read_to_session::<R>(cx))?.is_some() {
            return Poll::Ready(Ok(()));
        }
        let n = ready!(check_count(R::poll_read(&mut self.stream, cx, space), space.len()))?;
        self.has_filled_memory = n == space.len();
        match space.get(..n).unwrap_or_default() {
            [] => self.session.handle_eof(),
            ciphertext => self.session.handle_ciphertext(ciphertext),
        }
        Poll::Ready(Ok(()))
    }

    /// Reads ciphertext once into memory of the session. Returns `None` if the session has no such memory.
    fn poll_read_to_session<R: Transport<S>>(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Option<usize>>> {
        let Self { stream, session, has_filled_memory, .. } = self;
        let mut pending = false;
        let read = session.read_ciphertext(|to| match check_count(R::poll_read(stream, cx, to), to.len()) {
            Poll::Ready(read) => {
                *has_filled_memory = matches!(read, Ok(n) if n == to.len());
                read
            }
            Poll::Pending => {
                (pending, *has_filled_memory) = (true, false);
                Err(ErrorKind::WouldBlock.into())
            }
        });
        if pending { Poll::Pending } else { Poll::Ready(read) }
    }

    /// Moves plaintext of the session to `to`. Writes the ciphertext that reading has produced.
    fn poll_plaintext<R: Transport<S>>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut [u8],
    ) -> Result<Option<usize>, TlsError> {
        let had_output = self.session.has_ciphertext();
        let polled = self.session.poll_plaintext(to);
        self.has_output_of_reads |= !had_output && self.session.has_ciphertext();
        if !self.session.has_pending_plaintext() || polled.is_err() {
            self.waits_for_peer.take().into_iter().for_each(Waker::wake);
        }
        self.write_output_of_reads::<R>(cx);
        polled
    }

    /// Writes the ciphertext that a read has produced, for example the answer to a renegotiation. The peer may wait for
    /// this answer. If the stream is full, the stream wakes the task when it has space, and the next read writes the
    /// rest.
    fn write_output_of_reads<R: Transport<S>>(&mut self, cx: &mut Context<'_>) {
        // If the stream has failed, the next write or the next read returns the error.
        if self.has_output_of_reads && self.poll_drain::<R>(cx).is_ready() {
            (self.has_output_of_reads, self.must_flush_output_of_reads) = (false, true);
        }
        if self.must_flush_output_of_reads {
            self.must_flush_output_of_reads = R::poll_flush(&mut self.stream, cx).is_pending();
        }
    }

    /// Returns `Pending` while the session keeps plaintext that it cannot encrypt, because the peer renegotiates.
    fn poll_encrypted(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        if !self.session.has_pending_plaintext() {
            return Poll::Ready(Ok(()));
        }
        if let Some(failure) = self.session.failure() {
            return Poll::Ready(Err(failure.clone().into()));
        }
        self.waits_for_peer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Writes the alert that tells the peer why the session has failed, if the stream takes it now. Returns the error.
    #[cold]
    fn fail_with_alert<R: Transport<S>>(&mut self, cx: &mut Context<'_>, failure: TlsError) -> io::Error {
        let _ = self.poll_drain::<R>(cx);
        failure.into()
    }

    /// Encrypts bytes of `from`, and writes as much ciphertext as the stream takes. Bytes of several slices share
    /// records of up to 16 KiB. See [`Transport::poll_write`].
    ///
    /// The session takes 64 KiB at a time. While the stream takes all ciphertext, further bytes follow in the same
    /// call. The caller often has to copy bytes that a call does not take. For an echo of 1 MiB this copy cost an
    /// eighth of the time.
    pub(in crate::adapters) fn poll_write<R: Transport<S>>(
        &mut self,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_drain::<R>(cx))?;
        let mut taken = self.session.encrypt(from)?;
        if taken == 0 && from.iter().any(|slice| !slice.is_empty()) {
            ready!(self.poll_encrypted(cx))?;
        }
        loop {
            match self.poll_drain::<R>(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) if error.kind() != ErrorKind::Interrupted => {
                    return Poll::Ready(Err(error));
                }
                // The session keeps the rest. The next call or a flush writes it.
                _ => return Poll::Ready(Ok(taken)),
            }
            let mut space = [IoSlice::new(&[]); MAX_REST_SLICES];
            match self.session.encrypt(rest_of_slices(from, taken, &mut space)) {
                Ok(n @ 1..) => taken += n,
                _ => return Poll::Ready(Ok(taken)),
            }
        }
    }

    /// Writes the ciphertext of earlier writes, and flushes the stream below.
    pub(in crate::adapters) fn poll_flush<R: Transport<S>>(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_drain::<R>(cx))?;
        ready!(R::poll_flush(&mut self.stream, cx))?;
        self.poll_encrypted(cx)
    }

    /// Sends `close_notify`, and closes the sending direction of the stream below.
    pub(in crate::adapters) fn poll_close<R: Transport<S>>(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_drain::<R>(cx))?;
        // The library sends no `close_notify` during a renegotiation, so wait for the end of the renegotiation. A
        // failed session would never reach this end.
        if self.session.failure().is_none() {
            ready!(self.poll_encrypted(cx))?;
        }
        self.session.close();
        ready!(self.poll_drain::<R>(cx))?;
        ready!(R::poll_flush(&mut self.stream, cx))?;
        R::poll_close_write(&mut self.stream, cx)
    }

    /// Writes all ciphertext of the session.
    fn poll_drain<R: Transport<S>>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, session, has_output_of_reads, must_flush_output_of_reads, .. } = self;
        while session.has_ciphertext() {
            let mut pending = false;
            let written = session.poll_ciphertext(|slices| {
                let most = slices.iter().map(|slice| slice.len()).sum();
                match check_count(R::poll_write(stream, cx, slices), most) {
                    Poll::Ready(Ok(0)) => Err(ErrorKind::WriteZero.into()),
                    Poll::Ready(written) => written,
                    Poll::Pending => {
                        pending = true;
                        Err(ErrorKind::WouldBlock.into())
                    }
                }
            });
            match written {
                Err(_) if pending => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
                Ok(_) => {}
            }
        }
        // Clear `has_output_of_reads`. Otherwise a later read would write the ciphertext of another task. The stream
        // would then wake the task that reads instead of the task that writes.
        if core::mem::take(has_output_of_reads) {
            *must_flush_output_of_reads = true;
        }
        Poll::Ready(Ok(()))
    }
}

/// Puts the bytes after the first `taken` bytes of `from` in `to`, as far as `to` has space. Returns the filled part.
fn rest_of_slices<'a, 't>(
    from: &'a [IoSlice<'a>],
    mut taken: usize,
    to: &'t mut [IoSlice<'a>; MAX_REST_SLICES],
) -> &'t [IoSlice<'a>] {
    let rests = from.iter().filter_map(|slice| {
        let rest = slice.get(taken..).unwrap_or_default();
        taken -= slice.len() - rest.len();
        (!rest.is_empty()).then_some(rest)
    });
    let mut len = 0;
    for (space, rest) in to.iter_mut().zip(rests) {
        *space = IoSlice::new(rest);
        len += 1;
    }
    to.get(..len).unwrap_or_default()
}

impl<S: fmt::Debug> fmt::Debug for TlsStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream")
            .field("stream", &self.stream)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes `taken` bytes from slices of 0, 3, 2 and 4 bytes, and returns the rest.
    fn rest_after(taken: usize) -> Vec<Vec<u8>> {
        let from = [&b""[..], b"abc", b"de", b"fghi"].map(IoSlice::new);
        let mut space = [IoSlice::new(&[]); MAX_REST_SLICES];
        rest_of_slices(&from, taken, &mut space).iter().map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn the_rest_of_slices_begins_after_the_bytes_that_were_taken() {
        assert_eq!(rest_after(0), [&b"abc"[..], b"de", b"fghi"]);
        assert_eq!(rest_after(2), [&b"c"[..], b"de", b"fghi"]);
        assert_eq!(rest_after(3), [&b"de"[..], b"fghi"]);
        assert_eq!(rest_after(4), [&b"e"[..], b"fghi"]);
        assert_eq!(rest_after(5), [b"fghi"]);
        assert_eq!(rest_after(8), [b"i"]);
        assert_eq!(rest_after(9), [] as [&[u8]; 0]);
        assert_eq!(rest_after(100), [] as [&[u8]; 0]);
    }

    #[test]
    fn the_rest_of_many_slices_is_cut_to_the_available_space() {
        let from = [IoSlice::new(b"ab"); MAX_REST_SLICES + 3];
        let mut space = [IoSlice::new(&[]); MAX_REST_SLICES];
        let rest = rest_of_slices(&from, 3, &mut space);
        assert_eq!(rest.len(), MAX_REST_SLICES);
        assert_eq!((&*rest[0], &*rest[1]), (&b"b"[..], &b"ab"[..]));
    }
}
