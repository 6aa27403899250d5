//! Deadlines: the actions that the connection takes when a timer expires.
//!
//! [`Timers`](crate::connection::timers) computes the next deadline, but cannot act, because the actions queue frames
//! or end the connection. A timer can send a keepalive Ping, send a Close to a dead or idle peer, end the connection,
//! or free the compressor.
//!
//! Invariant: the loop in [`Sender::handle_timeout`] ends, because each action moves its deadline into the future or
//! ends the connection.

use super::{Sender, Transport, WriteQueue};
use crate::close::{CloseCode, CloseFrame, CloseReason};
use crate::connection::close_state::{CloseAction, CloseEvent, CloseState, Ending};
use crate::connection::outcome::{Outcome, TimerKind};
use crate::connection::timers::Due;
use crate::time::Instant;

impl<O: WriteQueue> Sender<O> {
    /// Carries out all actions of timers that are due at `now`. [`Self::poll_timeout`] returns when to call this next.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.record_received(now);
        while let Some((at, due)) = self.next_deadline() {
            if at > now {
                return;
            }
            match due {
                Due::Ping => {
                    if self.out.control().has_ping() {
                        self.timers.ping_waits(now);
                    } else {
                        let payload = self.timers.next_ping(now);
                        self.push_ping(&payload);
                    }
                }
                Due::Expired(TimerKind::Pong) => {
                    let reason = CloseReason::truncated("no answer to a ping");
                    self.fail(now, Outcome::TimedOut(TimerKind::Pong), CloseCode::INTERNAL_ERROR, reason);
                    // A dead peer neither answers the Close nor ends the stream, so the connection does not wait for
                    // the peer. The driver writes before it asks for the next deadline. So the driver makes one attempt
                    // to write the Close.
                    self.timers.end_after_one_write(now);
                    return;
                }
                Due::Expired(TimerKind::Idle) => {
                    let reason = CloseReason::truncated("idle for too long");
                    if self.closing.handle(CloseEvent::Close) == CloseAction::SendClose {
                        self.queue_close(now, &CloseFrame { code: Some(CloseCode::GOING_AWAY), reason });
                        self.outcome = Outcome::TimedOut(TimerKind::Idle);
                    }
                }
                Due::Expired(TimerKind::Close) => {
                    let flushed = self.is_flushed();
                    if let CloseAction::End(ending) = self.closing.handle(CloseEvent::Timeout) {
                        let unsent_answer = ending == Ending::Clean && !flushed;
                        if ending == Ending::TimedOut || unsent_answer {
                            self.outcome = Outcome::TimedOut(TimerKind::Close);
                        }
                        let dead = self.outcome == Outcome::TimedOut(TimerKind::Pong);
                        if !flushed || dead || ending == Ending::TimedOut {
                            self.transport = Transport::Aborted;
                        }
                        self.end();
                    }
                }
                #[cfg(feature = "deflate")]
                Due::Release => self.release_deflater(),
            }
        }
    }

    /// Returns the next deadline and the action that is due at this deadline; `None` if no timer runs.
    pub(super) fn next_deadline(&self) -> Option<(Instant, Due)> {
        if self.closing.state() == CloseState::Ended {
            return None;
        }
        let next = self.timers.next(&self.config);
        #[cfg(feature = "deflate")]
        let next = if self.deflating.agreed.is_some() { self.next_or_release(next) } else { next };
        (next.0 != Instant::NEVER).then_some(next)
    }

    /// Returns `next`, or the release of the compressor if there is a compressor and its release is due earlier.
    // This function is not inlined, so that a connection without compression does not load the fields that this
    // function reads.
    #[cfg(feature = "deflate")]
    #[inline(never)]
    fn next_or_release(&self, next: (Instant, Due)) -> (Instant, Due) {
        match self.release_at() {
            Some(at) if self.can_release_deflater() && at < next.0 => (at, Due::Release),
            _ => next,
        }
    }
}
