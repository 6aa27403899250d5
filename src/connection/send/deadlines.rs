//! What happens when time has passed.
//!
//! [`Timers`](crate::connection::timers) knows which deadline is next. The rules for what follows from each deadline are
//! here, because they queue frames and end the connection.

use super::{Sender, Transport, WriteQueue};
use crate::close::{CloseCode, CloseFrame, CloseReason};
use crate::connection::close_state::{CloseAction, CloseEvent, CloseState, Ending};
use crate::connection::event::{Outcome, TimerKind};
use crate::connection::timers::Due;
use crate::time::Instant;

impl<O: WriteQueue> Sender<O> {
    /// Time has passed: does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
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
                    // RFC 6455 7.1.1: nobody is there who would answer or end the stream. The driver tries to write
                    // the Close before it asks for the next deadline.
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
                Due::Release => self.release_window(),
            }
        }
    }

    pub(super) fn next_deadline(&self) -> Option<(Instant, Due)> {
        if self.closing.state() == CloseState::Ended {
            return None;
        }
        let next = self.timers.next(&self.config);
        #[cfg(feature = "deflate")]
        let next = if self.deflating.agreed.is_some() { self.next_or_release(next) } else { next };
        (next.0 != Instant::NEVER).then_some(next)
    }

    /// The sooner one of what is `next` and the release of a window that is held.
    // Kept out of line: a connection without compression does not touch what this looks at.
    #[cfg(feature = "deflate")]
    #[inline(never)]
    fn next_or_release(&self, next: (Instant, Due)) -> (Instant, Due) {
        match self.release_at() {
            Some(at) if self.holds_window() && at < next.0 => (at, Due::Release),
            _ => next,
        }
    }
}
