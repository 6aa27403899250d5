//! The work of the receiving half while it has the lock.

use std::task::{Context, Poll, ready};

use crate::adapters::async_driver::Transport;
use crate::adapters::async_driver::buffer_pool::{self, InboxSlot};
use crate::adapters::async_driver::group::Membership;
use crate::adapters::async_driver::split::{Out, Shared};
use crate::{CloseState, Event, Outcome, Receiver};

/// The fields of the receiving half that are used under the lock.
pub(super) struct ReaderParts<'r> {
    pub(super) receiver: &'r mut Receiver,
    pub(super) inbox: &'r mut InboxSlot,
    pub(super) outcome: &'r mut Option<Outcome>,
    /// The membership of a group, if the group has closed.
    pub(super) group: Option<&'r mut Membership>,
}

impl ReaderParts<'_> {
    /// Writes the queue, half-closes the stream if the connection asks for it, waits for the next deadline, and runs
    /// the timers that are due. Returns `Ready` when the caller should poll for an event, or when the connection has
    /// ended.
    ///
    /// `has_read` is true if the caller has just tried to read, and the read was pending. If `has_read` is false and a
    /// timer is due, the input that has arrived is first read ahead. This input shows that the peer is alive.
    pub(super) fn poll_drive<S, R: Transport<S>>(
        &mut self,
        shared: &Shared<S, R>,
        out: &mut Out<S, R>,
        cx: &mut Context<'_>,
        wake_other: &mut bool,
        has_read: bool,
    ) -> Poll<Turned> {
        let before = out.sender.close_state();
        shared.apply(out);
        if let Some(group) = &mut self.group {
            group.close(|code, reason| shared.close(out, code, reason));
        }
        let waited = out.sender.buffered_amount();
        if !out.wire.has_failed() {
            // An error is ignored here. The next read and the next call of the writer report the broken stream.
            let written = shared.poll_write(out, cx);
            if let Poll::Ready(Ok(())) = written {
                buffer_pool::return_queue_memory(&mut out.sender);
            }
        }
        out.wire.poll_half_close(&mut out.stream, &mut out.sender, cx);
        if out.sender.close_state() == CloseState::Failed {
            self.receiver.handle_ended();
        }
        *wake_other = out.sender.buffered_amount() != waited
            || out.sender.close_state() != before
            || out.wire.has_failed();
        while let Some(ready) = out.sender.poll() {
            if let Event::Closed(how) = self.inbox.event(ready) {
                *self.outcome = Some(how);
                out.wire.end(&mut out.stream, &out.sender, cx);
                return Poll::Ready(Turned::Closed(how));
            }
            // The only other event is `Writable`. It is not needed, because `wake_other` wakes a writer that waits for
            // space in the queue.
        }
        if out.sender.close_state() == CloseState::Ended {
            return Poll::Ready(Turned::Over);
        }
        let at = out.sender.poll_timeout();
        #[cfg(feature = "deflate")]
        let at = [at, out.sender.release_at().filter(|_| self.receiver.can_release_inflater())]
            .into_iter()
            .flatten()
            .min();
        let messages = self.receiver.counters().messages;
        let now = ready!(out.wire.clock().poll_due_reading(cx, at, self.inbox, messages));
        #[cfg(feature = "deflate")]
        if out.sender.release_at().is_some_and(|at| at <= now) {
            self.receiver.release_inflater();
        }
        if !has_read {
            out.wire.do_due(&mut out.stream, &mut out.sender, cx);
        }
        out.wire.handle_timeout(&mut out.sender, now);
        Poll::Ready(Turned::Again)
    }
}

/// The result of one call of `poll_read_or_drive`.
pub(super) enum Turned {
    /// The caller polls for an event, and then calls `poll_read_or_drive` again.
    Again,
    /// The connection has ended.
    Closed(Outcome),
    /// The connection had already ended, and its outcome was reported earlier.
    Over,
}
