//! The blocking loop of opening handshakes, and of responses other than 101.
//!
//! A [`HandshakeDriver`] is a handshake without I/O. It decides which step comes next: read, read ahead, write, flush
//! or half-close. Reading ahead does not wait. [`run`] performs the step on a [`DeadlineStream`], and reports the
//! result and the time to the `HandshakeDriver`, until the handshake is done.
//!
//! `handshake_driver/` has the handshakes. `client.rs` and `server.rs` have the methods that start a handshake.
//!
//! Invariant: if the stream supports timeouts, each call on it ends at the deadline of the handshake at the latest.

use super::deadline_stream::{DeadlineStream, Flush, HalfClose};
use crate::adapters::handshake_driver::{HandshakeDriver, Step, StepResult};

/// Runs a handshake on the stream until it is done.
pub(super) fn run<S>(link: &mut DeadlineStream<S>, handshake: &mut impl HandshakeDriver) {
    loop {
        let deadline = handshake.poll_timeout();
        let did = match handshake.poll_step() {
            Step::Read(space) => {
                // TLS may have to answer before the peer sends more.
                let flushed =
                    if link.check_output_of_reads() { link.flush(deadline).map(drop) } else { Ok(()) };
                flushed.and_then(|()| link.read(space, deadline)).map(|read| read.map(StepResult::Read))
            }
            Step::ReadAhead(space) => {
                link.read_ahead();
                if link.has_read_ahead() || link.input_has_ended() {
                    link.read(space, deadline).map(|read| read.map(StepResult::Read))
                } else {
                    Ok(None)
                }
            }
            Step::Write(bytes) => link
                .write(&[bytes], deadline)
                .map(|written| (written.n > 0).then_some(StepResult::Wrote(written.n))),
            Step::Flush => {
                link.flush(deadline).map(|flush| (flush != Flush::Waits).then_some(StepResult::Flushed))
            }
            Step::HalfClose => Ok(match link.half_close(deadline) {
                HalfClose::Done => Some(StepResult::HalfClosed(true)),
                HalfClose::Impossible => Some(StepResult::HalfClosed(false)),
                HalfClose::Waits => None,
            }),
            Step::Done => return,
        };
        handshake.handle(link.now(), did.map(|did| did.unwrap_or(StepResult::Waited)));
    }
}
