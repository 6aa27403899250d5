//! The trait [`Transport`]: the operations on a stream that the asynchronous adapters use.
//!
//! The trait is implemented for a runtime, not for the stream. So streams of other crates need no wrapper. The module
//! `tokio` implements the trait for all types with tokio's `AsyncRead + AsyncWrite`. The module `futures_io` implements
//! it for all types with the traits of futures-io. These include TCP and Unix sockets, TLS streams, `Box<dyn …>` and
//! streams of HTTP/2. For any other stream, the application implements the trait for its own runtime type.
//!
//! The clock and the timer are in the trait [`Timer`]. A stream is never split: the two halves of a WebSocket share one
//! stream under a lock.
//!
//! Invariant: [`check_count`] checks the number of bytes that a stream returns, before the number is used.

use std::io::{self, ErrorKind, IoSlice};
use std::task::{Context, Poll};

use super::Timer;

/// The operations of a runtime on a stream `S`: read, write, flush and close.
///
/// Only one task at a time calls these functions. If two tasks share a WebSocket, the waker of `cx` wakes both tasks.
///
/// ```
/// use std::collections::VecDeque;
/// use std::io::{self, IoSlice};
/// use std::task::{Context, Poll};
///
/// use hybi::adapters::async_driver::{Timer, Transport};
///
/// /// One stream of a protocol that sends many streams over one connection, for example HTTP/2.
/// struct Multiplexed {
///     incoming: VecDeque<u8>,
///     outgoing: Vec<u8>,
///     ended: bool,
/// }
///
/// /// A runtime that uses the clock of `T`.
/// struct Runtime<T>(T);
///
/// impl<T: Timer> Timer for Runtime<T> {
///     fn now(&self) -> hybi::Instant {
///         self.0.now()
///     }
///     fn poll_at(&mut self, cx: &mut Context<'_>, at: hybi::Instant) -> Poll<()> {
///         self.0.poll_at(cx, at)
///     }
/// }
///
/// impl<T: Timer> Transport<Multiplexed> for Runtime<T> {
///     fn poll_read(stream: &mut Multiplexed, _: &mut Context<'_>, to: &mut [u8]) -> Poll<io::Result<usize>> {
///         Poll::Ready(io::Read::read(&mut stream.incoming, to))
///     }
///     fn poll_write(stream: &mut Multiplexed, _: &mut Context<'_>, from: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
///         Poll::Ready(io::Write::write_vectored(&mut stream.outgoing, from))
///     }
///     fn poll_flush(_: &mut Multiplexed, _: &mut Context<'_>) -> Poll<io::Result<()>> {
///         Poll::Ready(Ok(()))
///     }
///     fn poll_close_write(stream: &mut Multiplexed, _: &mut Context<'_>) -> Poll<io::Result<()>> {
///         stream.ended = true; // END_STREAM
///         Poll::Ready(Ok(()))
///     }
/// }
/// # fn _is<T: Timer>(r: Runtime<T>) -> impl Transport<Multiplexed> { r }
/// ```
pub trait Transport<S>: Timer {
    /// Reads at least one byte into `to`, and returns the number of bytes. Returns 0 at the end of the stream. `to` is
    /// never empty.
    ///
    /// # Errors
    ///
    /// The call is repeated after an error of the kind `Interrupted`. After any other error the stream is not read
    /// again.
    fn poll_read(stream: &mut S, cx: &mut Context<'_>, to: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes at least one byte of `from`, in order, and returns the number of bytes. A stream without vectored writes
    /// may write only bytes of the first slice.
    ///
    /// # Errors
    ///
    /// The call is repeated after an error of the kind `Interrupted`. After any other error the stream is not written
    /// again. A write of 0 bytes counts as the error `WriteZero`.
    fn poll_write(stream: &mut S, cx: &mut Context<'_>, from: &[IoSlice<'_>]) -> Poll<io::Result<usize>>;

    /// Returns whether the stream may keep bytes of a write that returned `Pending`. The default `true` is safe for
    /// every stream.
    ///
    /// A stream over OpenSSL keeps bytes: it encrypts the bytes of a write, and only then finds that the socket is
    /// full. OpenSSL assumes that the next write begins with the same bytes, and does not check this. So after a
    /// pending write to such a stream, the next write begins with the same bytes.
    ///
    /// A socket keeps nothing of a pending write. If this function returns `false`, the next write can begin with other
    /// bytes. So a Ping or a Close can be sent before queued messages.
    fn keeps_refused_bytes(stream: &S) -> bool {
        let _ = stream;
        true
    }

    /// Writes all bytes that the stream still has in its own buffer.
    ///
    /// # Errors
    ///
    /// The call is repeated after an error of the kind `Interrupted`. After any other error the stream is not written
    /// again.
    fn poll_flush(stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Closes the sending direction, and leaves the receiving direction open. TCP sends FIN, TLS sends `close_notify`
    /// before the FIN, and HTTP/2 sends `END_STREAM`. The function is called once more at the end of the connection,
    /// even if it has returned `Ready` before.
    ///
    /// # Errors
    ///
    /// An error is ignored: it means that the peer is gone, which the next read reports.
    fn poll_close_write(stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Closes both directions at once and discards unsent bytes. Called if the peer is dead or does not read.
    ///
    /// With HTTP/2 this sends `RST_STREAM` with `CANCEL` (RFC 8441 section 5). The default does nothing, so the stream
    /// is closed when it is dropped.
    fn abort(stream: &mut S) {
        let _ = stream;
    }

    /// Yields to other tasks. The implementation must wake the task of `cx`, if possible only after other tasks have
    /// run and the runtime has checked for input. The default wakes the task at once.
    fn yield_turn(cx: &mut Context<'_>) {
        cx.waker().wake_by_ref();
    }
}

/// Returns an error if a stream claims to have read or written more than `most` bytes.
///
/// Without this check, a faulty stream could cause two errors. The application would receive bytes that never arrived,
/// or bytes that were not written would be removed from the queue.
#[inline]
pub(super) fn check_count(polled: Poll<io::Result<usize>>, most: usize) -> Poll<io::Result<usize>> {
    match polled {
        Poll::Ready(Ok(n)) if n > most => Poll::Ready(Err(wrong_count(n, most))),
        polled => polled,
    }
}

#[cold]
#[inline(never)]
fn wrong_count(n: usize, most: usize) -> io::Error {
    let text =
        std::format!("the stream reported {n} bytes for a buffer of {most}: its implementation has a bug");
    io::Error::new(ErrorKind::InvalidData, text)
}
