//! The loop of an asynchronous handshake, and of a response other than 101.
//!
//! A [`HandshakeDriver`] is a handshake without I/O. It decides which step comes next: read, read ahead, write, flush
//! or half-close. [`poll_open`] performs the step on the stream, and reports the result to the `HandshakeDriver`.
//! Reading ahead never waits. If any other step cannot be performed yet, `poll_open` waits until the stream is ready or
//! the deadline has come.
//!
//! `adapters::handshake_driver` has the handshakes. `handshake.rs`, `pending_request.rs` and `http_call.rs` start them.
//!
//! Invariant: the state of a handshake is on the heap. This memory is freed after the handshake, and the task of the
//! connection reserves no memory for the handshake.

use core::future::Future;
use core::pin::Pin;
use std::future::poll_fn;
use std::io;
use std::prelude::v1::*;
use std::task::{Context, Poll, ready};

use super::Transport;
use super::stream::check_count;
use crate::adapters::handshake_driver::{HandshakeDriver, Responding, Step, StepResult};

/// Performs all steps of a handshake, and returns the handshake with its result.
pub(super) fn open<S, R: Transport<S>, O: HandshakeDriver>(
    stream: S,
    runtime: R,
    opening: O,
) -> impl Future<Output = (S, R, O)> {
    // The parts are on the heap, so that the task of a connection does not reserve memory for its handshake.
    let mut parts = Box::new((stream, runtime, opening));
    async move {
        let (stream, runtime, opening) = &mut *parts;
        poll_fn(|cx| poll_open(stream, runtime, opening, cx)).await;
        *parts
    }
}

/// Performs the steps of a handshake until it is done.
// Kept out of line: this code runs once per connection, and should not enlarge the code or the stack frame of the
// caller's task.
#[inline(never)]
fn poll_open<S, R: Transport<S>>(
    stream: &mut S,
    runtime: &mut R,
    opening: &mut impl HandshakeDriver,
    cx: &mut Context<'_>,
) -> Poll<()> {
    loop {
        let deadline = opening.poll_timeout();
        let did = match opening.poll_step() {
            Step::Read(space) => {
                let most = space.len();
                check_count(R::poll_read(stream, cx, space), most).map_ok(StepResult::Read)
            }
            Step::ReadAhead(space) => {
                let most = space.len();
                match check_count(R::poll_read(stream, cx, space), most) {
                    Poll::Ready(read) => Poll::Ready(read.map(StepResult::Read)),
                    Poll::Pending => Poll::Ready(Ok(StepResult::Waited)),
                }
            }
            Step::Write(bytes) => {
                match check_count(R::poll_write(stream, cx, &[io::IoSlice::new(bytes)]), bytes.len()) {
                    Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    written => written.map_ok(StepResult::Wrote),
                }
            }
            Step::Flush => R::poll_flush(stream, cx).map_ok(|()| StepResult::Flushed),
            Step::HalfClose => {
                R::poll_close_write(stream, cx).map(|done| Ok(StepResult::HalfClosed(done.is_ok())))
            }
            Step::Done => return Poll::Ready(()),
        };
        let (now, did) = match did {
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {
                (runtime.now(), Ok(StepResult::Waited))
            }
            Poll::Ready(did) => (runtime.now(), did),
            Poll::Pending => {
                let Some(at) = deadline else { return Poll::Pending };
                ready!(runtime.poll_at(cx, at));
                (runtime.now().max(at), Ok(StepResult::Waited))
            }
        };
        opening.handle(now, did);
    }
}

/// Sends a response with a status other than 101, and closes the stream.
///
/// The stream gets a lingering close. It is half-closed, then read until the peer closes or a limit is reached, and
/// then closed.
// The future is on the heap, so that the task of a connection does not reserve memory for it.
pub(super) fn respond<S, R: Transport<S>>(
    stream: S,
    runtime: R,
    responding: io::Result<Responding>,
) -> Pin<Box<impl Future<Output = io::Result<()>>>> {
    let sending = responding.map(|responding| open(stream, runtime, responding));
    Box::pin(async {
        let (_, _, responding) = sending?.await;
        responding.finish()
    })
}
