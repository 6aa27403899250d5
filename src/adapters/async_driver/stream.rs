//! What a stream must be able to do for the asynchronous adapters: [`Transport`].
//!
//! The trait is implemented for a runtime and not for the stream, so that streams of other crates need no wrapper: `tokio`
//! implements it for all that is `AsyncRead + AsyncWrite` of tokio's, `futures_io` for all that is so of futures-io's. TCP,
//! Unix sockets, TLS streams, `Box<dyn …>` and a stream of HTTP/2 are equals here. Whoever has a stream of another kind
//! implements the trait for a runtime and that stream.
//!
//! Not here: the time, which is the [`Timer`]'s; and taking a stream apart, as two halves share it under a lock.

use std::io::{self, ErrorKind, IoSlice};
use std::task::{Context, Poll};

use super::Timer;

/// How a stream `S` is read, written and ended. All calls are those of one task at a time; of two tasks that share a
/// WebSocket the waker that is passed in wakes both.
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
    /// Reads at least one byte, or 0 at the end of the stream. `to` is not empty.
    fn poll_read(stream: &mut S, cx: &mut Context<'_>, to: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes at least one byte of `from`, in order. A stream that takes no vectors writes of the first one.
    fn poll_write(stream: &mut S, cx: &mut Context<'_>, from: &[IoSlice<'_>]) -> Poll<io::Result<usize>>;

    /// Whether the stream may have kept what a write offered that then was pending, as OpenSSL does: it encrypts the
    /// bytes before it finds out that there is no room. Such a stream is offered the same bytes again before any others.
    /// A socket keeps nothing: there a Ping or a Close can still go ahead of what waits.
    fn may_keep(stream: &S) -> bool {
        let _ = stream;
        true
    }

    /// Writes what the stream itself holds back.
    fn poll_flush(stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ends the sending half: FIN, with TLS `close_notify` before it, with HTTP/2 `END_STREAM`. Reading goes on.
    fn poll_close_write(stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ends both halves at once, with what may still lie unsent: the peer is dead or does not read. With HTTP/2 that is
    /// `RST_STREAM` with `CANCEL` (RFC 8441 section 5). By default nothing: dropping the stream does it.
    fn abort(stream: &mut S) {
        let _ = stream;
    }

    /// Lets other tasks, and the runtime's own work, go before this task is polled again. By default it is woken.
    fn yield_turn(cx: &mut Context<'_>) {
        cx.waker().wake_by_ref();
    }
}

/// Checks what a stream says about a call that had room for `most` bytes.
///
/// A stream that claims more than that would have us hand out bytes that never came, or count as written what was not.
#[inline]
pub(super) fn check_count(polled: Poll<io::Result<usize>>, most: usize) -> Poll<io::Result<usize>> {
    match polled {
        Poll::Ready(Ok(n)) if n > most => Poll::Ready(Err(lied(n, most))),
        polled => polled,
    }
}

#[cold]
#[inline(never)]
fn lied(n: usize, most: usize) -> io::Error {
    let text =
        std::format!("the stream claims to have moved {n} bytes of {most}: its implementation is at fault");
    io::Error::new(ErrorKind::InvalidData, text)
}
