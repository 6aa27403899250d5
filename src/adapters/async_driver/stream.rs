//! The operations that a stream offers to the asynchronous adapters: [`Transport`].
//!
//! The trait is implemented for a runtime and not for the stream, so streams of other crates need no wrapper. The
//! module `tokio` implements it for all types with tokio's `AsyncRead + AsyncWrite`, and `futures_io` for all types
//! with those of futures-io. TCP and Unix sockets, TLS streams, `Box<dyn …>` and streams of HTTP/2 are treated alike.
//! For a stream of another kind the application implements the trait for a runtime and that stream.
//!
//! Not here: the clock and its timer ([`Timer`]), and splitting a stream. Two halves share one stream under a lock.
//!
//! Invariant: a number of bytes that a stream returns is checked by [`check_count`] before it is used.

use std::io::{self, ErrorKind, IoSlice};
use std::task::{Context, Poll};

use super::Timer;

/// Reads, writes and ends a stream `S`.
///
/// One task at a time calls these functions. If two tasks share a WebSocket, the waker of `cx` wakes both.
///
/// ```
/// use std::collections::VecDeque;
/// use std::io::{self, IoSlice};
/// use std::task::{Context, Poll};
///
/// use hybi::adapters::async_driver::{Timer, Transport};
///
/// /// A stream of a protocol that multiplexes, with frames of its own.
/// struct Multiplexed {
///     incoming: VecDeque<u8>,
///     outgoing: Vec<u8>,
///     ended: bool,
/// }
///
/// /// A runtime with a clock of its own.
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
    /// Reads at least one byte into `to`, which is not empty, and returns the number of bytes. Returns 0 at the end of
    /// the stream.
    ///
    /// # Errors
    ///
    /// An error of the kind `Interrupted` repeats the call. After any other one the stream is not read again.
    fn poll_read(stream: &mut S, cx: &mut Context<'_>, to: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes at least one byte of `from`, in order, and returns the number of bytes. A stream without vectored writes
    /// may write from the first slice only.
    ///
    /// # Errors
    ///
    /// An error of the kind `Interrupted` repeats the call. After any other one the stream is not written again. A
    /// write of 0 bytes counts as the error `WriteZero`.
    fn poll_write(stream: &mut S, cx: &mut Context<'_>, from: &[IoSlice<'_>]) -> Poll<io::Result<usize>>;

    /// Whether the stream may keep bytes of a write that returned `Pending`. By default true.
    ///
    /// OpenSSL does so: it encrypts the bytes before it finds that there is no room. A stream of this kind is offered
    /// the same bytes again before any others. A socket keeps nothing, so a Ping or a Close can still overtake the
    /// queue there.
    fn may_keep(stream: &S) -> bool {
        let _ = stream;
        true
    }

    /// Writes all bytes that the stream holds in a buffer of its own.
    fn poll_flush(stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ends the sending half, and leaves the receiving half open: FIN on TCP, after `close_notify` with TLS,
    /// `END_STREAM` with HTTP/2.
    fn poll_close_write(stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ends both halves at once and discards unsent bytes, because the peer is dead or does not read.
    ///
    /// With HTTP/2 this sends `RST_STREAM` with `CANCEL` (RFC 8441 section 5). By default nothing happens here, and the
    /// stream ends when it is dropped.
    fn abort(stream: &mut S) {
        let _ = stream;
    }

    /// Yields: has the task polled again after other tasks and after the runtime has looked for input. By default the
    /// task wakes itself.
    fn yield_turn(cx: &mut Context<'_>) {
        cx.waker().wake_by_ref();
    }
}

/// Returns an error if a stream claims to have moved more than `most` bytes.
///
/// Without this check a faulty stream would make us deliver bytes that never came, or count bytes as written that were
/// not.
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
        std::format!("the stream claims to have moved {n} bytes of {most}: its implementation is at fault");
    io::Error::new(ErrorKind::InvalidData, text)
}
