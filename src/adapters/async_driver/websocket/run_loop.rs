//! The run loop of a WebSocket that is not split.
//!
//! The loop decodes the inbox, and then calls [`Inner::poll_read_or_drive`], which performs the other steps:
//!
//! ```text
//! decode the inbox --> read --(pending)--> write the queue --> half-close --> run due timers --> wait
//!        ^               |
//!        +---(bytes)-----+
//! ```
//!
//! A turn is the work of the task until it yields or all input is decoded. One turn contains many calls of
//! `poll_read_or_drive`, and `turn` limits its length. The writing is in `write_driver`, and the wakers of two tasks
//! are in `tasks`. `reader` has the loop of a split WebSocket.
//!
//! Invariants:
//! - The write queue is written before a task waits for input, and before the task yields.
//! - After a failed write the input is still read, up to the end of the connection.

use std::io::ErrorKind;
use std::prelude::v1::*;
use std::task::{Context, Poll, ready};

use super::Inner;
use crate::adapters::async_driver::tasks::{Tasks, UsedByTasks};
use crate::adapters::async_driver::turn::{MAX_INFLATED, Next};
use crate::adapters::async_driver::{Timer, Transport, buffer_pool};
use crate::adapters::error::{Error, end_of_messages};
use crate::{
    Event, EventIndex, Instant, Message, MessageIndex, Outcome, ProtocolError, ReadyState, SendError,
};

impl<S, R: Transport<S>> Inner<S, R> {
    /// Runs the loop until there is a message, and returns the message. Returns `None` after the end.
    pub(super) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, Error>> {
        loop {
            // A whole message is taken here, without `poll_next_event`. The result of `poll_next_event` is larger, and
            // would be copied for each message.
            let ready = match self.take_message() {
                Some(message) => message.into(),
                None => match ready!(self.poll_next_event(cx))? {
                    Some(ready) => ready,
                    None => {
                        return Poll::Ready(end_of_messages(self.outcome, &mut self.error_on_abnormal_end));
                    }
                },
            };
            let message = self.inbox.get().take_message(ready);
            if message.is_some() {
                // The next call of the application may come late or never. So an empty inbox returns to the pool now.
                self.inbox.give_back_idle();
                return Poll::Ready(Ok(message));
            }
        }
    }

    /// Runs the loop until there is an event, and returns the event. Returns `None` after the end.
    // Kept out of line so that its callers share one copy of the code. The whole step of the loop is inlined into this
    // function.
    #[inline(never)]
    pub(super) fn poll_next_event(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<EventIndex>, Error>> {
        while self.outcome.is_none() {
            if self.turn.is_over(self.connection.received()) {
                ready!(self.poll_yield(cx))?;
            }
            if let Some(message) = self.take_message() {
                return Poll::Ready(Ok(Some(message.into())));
            }
            if let Some(polled) = self.poll_event() {
                let Some(ready) = self.filter_event(polled, cx)? else { continue };
                return Poll::Ready(Ok(Some(ready)));
            }
            if self.has_ended() {
                break;
            }
            ready!(self.poll_read_or_drive(cx))?;
        }
        Poll::Ready(Ok(None))
    }

    /// Runs the loop until the connection has ended, and returns the outcome.
    // Kept out of line, because it runs only once per connection and would make the code for messages larger.
    #[inline(never)]
    pub(super) fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<Result<Outcome, Error>> {
        loop {
            if let Some(outcome) = self.outcome {
                return Poll::Ready(Ok(outcome));
            }
            if ready!(self.poll_next_event(cx))?.is_none() && self.outcome.is_none() {
                // The connection had ended before this WebSocket was created. Its outcome was reported to an earlier
                // owner.
                return Poll::Ready(Err(SendError::Closed.into()));
            }
        }
    }

    /// Returns whether the connection has ended. Its outcome may have been returned to an earlier owner of the
    /// connection.
    pub(super) const fn has_ended(&self) -> bool {
        matches!(self.connection.ready_state(), ReadyState::Closed)
    }

    /// Returns a message that is completely in the inbox.
    ///
    /// This is the fast path: it skips the run loop and does not read the clock. When the clock is next read, the
    /// timers count the message as received at that time.
    #[inline(always)]
    pub(super) fn take_message(&mut self) -> Option<MessageIndex> {
        let inbox = self.inbox.get_if_present()?;
        let message = self.connection.poll_message(inbox)?;
        if inbox.remaining() == 0 {
            self.wire.decoded_all();
        }
        Some(message)
    }

    /// Decodes the next event. The caller must pass the event to [`Self::filter_event`], which handles internal events.
    // Inlined so that the frequent result `None` (once after each read) is not copied through memory.
    #[inline(always)]
    pub(super) fn poll_event(&mut self) -> Option<Result<EventIndex, ProtocolError>> {
        let inbox = self.inbox.get();
        // The clock is read once for each read of the stream, not for each event. While a large message is read
        // directly into its own buffer, the inbox is not idle, so the clock is read in this case too.
        if self.wire.clock().is_stale() && !inbox.is_idle() {
            self.wire.clock().read_clock_for(&mut self.connection);
        }
        let polled = self.connection.poll(self.wire.clock().now(), inbox);
        if inbox.remaining() == 0 {
            self.wire.decoded_all();
        }
        polled.transpose()
    }

    /// Filters internal events (`Writable`), records the outcome, and returns the rest to the caller.
    pub(super) fn filter_event(
        &mut self,
        polled: Result<EventIndex, ProtocolError>,
        cx: &mut Context<'_>,
    ) -> Result<Option<EventIndex>, Error> {
        let ready = polled.map_err(|error| self.handle_violation(error, cx))?;
        match self.inbox.event(ready) {
            // `Writable` is not needed: a call that finds the queue full waits in `WriteDriver::poll_feed`.
            Event::Writable => return Ok(None),
            Event::Closed(outcome) => {
                self.outcome = Some(outcome);
                self.wire.end(&mut self.stream, &self.connection, cx);
            }
            _ => {}
        }
        Ok(Some(ready))
    }

    /// After a violation of the protocol, writes as much of our Close as the stream takes now. Returns the error.
    fn handle_violation(&mut self, error: ProtocolError, cx: &mut Context<'_>) -> Error {
        // An error of this write is ignored, because the caller must get the violation. If the write is pending, the
        // next call writes the rest.
        let _ = self.wire.poll_write(&mut self.stream, &mut self.connection, cx);
        error.into()
    }

    /// Reads from the stream. If the read is pending, writes the queue, runs the timers that are due, and waits. The
    /// loop calls this function when all input in the inbox is decoded, many times in one turn.
    // Inlined into its callers, and `poll_drive` is inlined into this function. `WriteDriver::poll_write_inlined`
    // explains why.
    #[inline(always)]
    pub(super) fn poll_read_or_drive(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.eof {
            return self.poll_eof(cx).map(Ok);
        }
        if self.turn.has_read_enough(self.connection.received()) || self.connection.must_poll_again() {
            return self.poll_yield(cx);
        }
        let space = self.connection.read_space(self.inbox.get());
        if let Poll::Ready(read) = self.wire.poll_read(&mut self.stream, cx, space) {
            self.turn.count_read();
            return Poll::Ready(self.handle_read(read));
        }
        // All input is decoded, and the stream has no more.
        self.connection.handle_all_decoded();
        self.inbox.give_back();
        self.begin_turn();
        self.poll_drive(cx, true)
    }

    /// Begins a new turn. Called when all input was decoded, and when the task has yielded.
    #[inline(always)]
    fn begin_turn(&mut self) {
        self.turn.renew(self.connection.received());
        self.connection.set_inflate_budget(Some(MAX_INFLATED));
    }

    /// Ends a turn although there may be more to read. Writes the queue, runs the timers that are due, and yields to
    /// other tasks.
    #[cold]
    #[inline(never)]
    pub(super) fn poll_yield(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        match self.turn.next() {
            Next::Begins => {
                self.begin_turn();
                return Poll::Ready(Ok(()));
            }
            Next::Waits => {
                R::yield_turn(cx);
                return Poll::Pending;
            }
            Next::Yields => {}
        }
        // Events that `poll_drive` causes are polled in the next turn. An error is returned at once, and the next call
        // begins a new turn.
        if let Poll::Ready(Err(error)) = self.poll_drive(cx, false) {
            self.begin_turn();
            return Poll::Ready(Err(error));
        }
        R::yield_turn(cx);
        Poll::Pending
    }

    fn handle_read(&mut self, read: std::io::Result<usize>) -> Result<(), Error> {
        match read {
            Ok(0) => self.eof = true,
            Ok(n) => {
                self.inbox.get().handle_read(n);
                self.wire.clock().bytes_came();
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => {
                // While the connection is closing, a read error counts as the end of the stream. If the peer closes the
                // stream without waiting for our bytes, our read fails.
                let closing = self.connection.ready_state() == ReadyState::Closing;
                self.connection.handle_eof();
                if !closing {
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }

    /// Writes the queue, and then handles the end of the input. A peer that has closed its sending direction may still
    /// read.
    fn poll_eof(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let written = self.wire.poll_write(&mut self.stream, &mut self.connection, cx);
        let now = self.wire.clock().read_clock_for(&mut self.connection);
        if written.is_pending() {
            self.connection.handle_peer_half_closed(now);
            let now = ready!(self.wire.clock().poll_due(cx, self.connection.poll_timeout()));
            self.connection.handle_timeout(now);
        } else {
            self.eof = false;
            self.connection.handle_eof();
        }
        Poll::Ready(())
    }

    /// Writes the queue, half-closes the stream if the connection asks for it, runs the timers that are due, and waits.
    /// Returns `Ready` when the caller should poll for an event.
    ///
    /// `has_read` is true if the caller has just tried to read, and the read was pending. If `has_read` is false and a
    /// timer is due, the input that has arrived is first read ahead. This input shows that the peer is alive.
    #[inline(always)]
    fn poll_drive(&mut self, cx: &mut Context<'_>, has_read: bool) -> Poll<Result<(), Error>> {
        if self.group.must_close(cx) {
            let now = self.wire.clock().read_clock();
            self.group.close(|code, reason| self.connection.close(now, code, reason));
        }
        // After a failed write nothing is written, but the input is still read.
        if !self.wire.has_failed() {
            match self.wire.poll_write_inlined(&mut self.stream, &mut self.connection, cx) {
                Poll::Ready(Ok(())) => buffer_pool::return_queue_memory(&mut self.connection),
                Poll::Ready(Err(error)) if self.connection.ready_state() != ReadyState::Closing => {
                    return Poll::Ready(Err(error.into()));
                }
                _ => {}
            }
        }
        self.wire.poll_half_close(&mut self.stream, &mut self.connection, cx);
        self.wire.clock().record_received(&mut self.connection);
        let (at, messages) = (self.connection.poll_timeout(), self.connection.received().messages);
        let now = ready!(self.wire.clock().poll_due_reading(cx, at, &mut self.inbox, messages));
        if !has_read {
            self.wire.do_due(&mut self.stream, &mut self.connection, cx);
        }
        self.wire.handle_timeout(&mut self.connection, now);
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.wire.poll_flush(&mut self.stream, &mut self.connection, cx)
    }
}

impl<S, R: Timer> UsedByTasks for Inner<S, R> {
    type Snapshot = Snapshot;

    fn tasks(&mut self) -> &mut Tasks {
        &mut self.tasks
    }

    fn snapshot(&self) -> Snapshot {
        let connection = &self.connection;
        Snapshot {
            buffered: connection.buffered_amount(),
            state: connection.ready_state(),
            deadline: connection.poll_timeout(),
            has_failed: self.wire.has_failed(),
            read_ahead: self.wire.read_ahead_len(),
        }
    }
}

/// A copy of the state that one task can change while another task waits for a change.
///
/// Two copies are compared: one from before a poll, and one from after the poll. If the copies differ, the other task
/// is woken. The other task may wait for a shorter queue, a new ready state, or another deadline. It may also wait for
/// a failure of the stream, or for input that was read ahead.
#[derive(PartialEq, Eq)]
pub(super) struct Snapshot {
    buffered: usize,
    state: ReadyState,
    deadline: Option<Instant>,
    has_failed: bool,
    read_ahead: (usize, bool),
}
