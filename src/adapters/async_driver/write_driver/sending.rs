//! The calls of [`WriteDriver`] that send. They queue a message, and wait while the write queue is full or is being
//! written.
//!
//! Before a call waits, it reads ahead: it reads input, and keeps this input for the next call that receives. Input
//! shows that the peer is alive. Then the call waits for the stream and for the next deadline, and runs the timers that
//! are due.
//!
//! The writing is in `write_driver`, and the bytes that were read ahead are in `read_ahead`. Calls that receive wait in
//! their run loops.
//!
//! Invariant: before a timer declares the peer dead, the stream was polled for input. The only exception is a full
//! read-ahead buffer together with a stream that takes no bytes.

use std::prelude::v1::*;
use std::task::{Context, Poll, ready};

use super::WriteDriver;
use crate::CloseState;
use crate::adapters::async_driver::{Timer, Transport, buffer_pool};
use crate::adapters::error::Error;
use crate::{Instant, Message, PendingReply, SendError, SendingHalf, UnsentMessage};

impl<R: Timer> WriteDriver<R> {
    /// Calls `send`, which queues a frame. While the write queue is full, writes the queue and calls `send` again.
    // Kept out of line, because a send is rarely blocked. The code of the usual send stays small.
    #[inline(never)]
    pub(in crate::adapters::async_driver) fn poll_feed<S, H: SendingHalf>(
        &mut self,
        stream: &mut S,
        half: &mut H,
        cx: &mut Context<'_>,
        mut send: impl FnMut(&mut H) -> Result<(), SendError>,
    ) -> Poll<Result<(), Error>>
    where
        R: Transport<S>,
    {
        loop {
            buffer_pool::reuse_queue_memory(half);
            match send(half) {
                Err(SendError::Blocked) => {}
                sent => return Poll::Ready(sent.map_err(Error::from)),
            }
            let before = half.sender().buffered_amount();
            if let Poll::Ready(written) = self.poll_write(stream, half, cx) {
                written?;
            } else if half.sender().buffered_amount() == before {
                ready!(self.poll_wait(stream, half, cx));
            } else if self.is_due(half) {
                self.do_due(stream, half, cx);
            }
        }
    }

    /// Queues a message without waiting. If the write queue is full, writes as much as the stream takes now, and tries
    /// once more. After a failed write, refuses every message with [`SendError::Closed`], because nothing more can be
    /// sent.
    pub(in crate::adapters::async_driver) fn try_queue<S>(
        &mut self,
        stream: &mut S,
        half: &mut impl SendingHalf,
        cx: &mut Context<'_>,
        message: Message,
    ) -> Result<(), UnsentMessage>
    where
        R: Transport<S>,
    {
        if self.has_failed() {
            return Err(UnsentMessage { error: SendError::Closed, message });
        }
        buffer_pool::reuse_queue_memory(half);
        match half.send(message) {
            Err(UnsentMessage { error: SendError::Blocked, message }) => {
                // An error of this write is stored. The next write returns it.
                let _ = self.poll_write(stream, half, cx);
                if self.has_failed() {
                    return Err(UnsentMessage { error: SendError::Closed, message });
                }
                half.send(message)
            }
            sent => sent,
        }
    }

    /// Writes the whole write queue, and flushes the stream.
    ///
    /// Returns [`SendError::Closed`] if queued messages were dropped because of a Close or the end of the connection.
    pub(in crate::adapters::async_driver) fn poll_flush<S>(
        &mut self,
        stream: &mut S,
        half: &mut impl SendingHalf,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>>
    where
        R: Transport<S>,
    {
        while half.sender().close_state() != CloseState::Ended {
            if let Poll::Ready(written) = self.poll_write_inlined(stream, half, cx) {
                written?;
                // A program that only sends and never waits runs its timers here. Otherwise such a program would never
                // send a Ping.
                if !self.is_due(half) {
                    buffer_pool::return_queue_memory(half);
                    break;
                }
                self.do_due(stream, half, cx);
            } else {
                ready!(self.poll_wait(stream, half, cx));
            }
        }
        Poll::Ready(if half.sender().dropped() > 0 { Err(SendError::Closed.into()) } else { Ok(()) })
    }

    /// Returns whether a timer is due at the time when the clock was last read.
    fn is_due(&self, half: &impl SendingHalf) -> bool {
        half.sender().poll_timeout().is_some_and(|at| at <= self.clock.now())
    }

    /// Reads ahead. Any input shows that the peer is alive, so it restarts the timers that detect a dead peer.
    fn read_ahead<S>(&mut self, stream: &mut S, half: &mut impl SendingHalf, cx: &mut Context<'_>)
    where
        R: Transport<S>,
    {
        if self.read_ahead.fill::<S, R>(stream, cx) {
            self.ahead_at = self.clock.now();
            half.handle_undecoded(self.ahead_at);
        }
    }

    /// Runs the timers that are due at `now`. First reports undecoded input to the timers, because this input may
    /// contain the Pong that a timer waits for.
    pub(in crate::adapters::async_driver) fn handle_timeout(
        &mut self,
        half: &mut impl SendingHalf,
        now: Instant,
    ) {
        self.report_undecoded(half);
        half.handle_timeout(now);
    }

    /// Does the same as [`handle_timeout`](Self::handle_timeout) for a call that sends. If the connection fails,
    /// messages in the inbox can still be received.
    fn handle_send_timeout(&mut self, half: &mut impl SendingHalf, now: Instant) {
        self.report_undecoded(half);
        half.handle_send_timeout(now);
    }

    /// Reads ahead for a call that waits to send. Then waits for the next deadline, and runs the timers that are due.
    ///
    /// If the read-ahead buffer is full, because the application does not receive, the expected Pong may lie in the
    /// stream. So the peer counts as alive if the stream has taken bytes during the last Pong timeout.
    fn poll_wait<S>(&mut self, stream: &mut S, half: &mut impl SendingHalf, cx: &mut Context<'_>) -> Poll<()>
    where
        R: Transport<S>,
    {
        self.clock.read_clock_for(half);
        self.read_ahead(stream, half, cx);
        let now = ready!(self.clock.poll_due(cx, half.sender().poll_timeout()));
        let taken_for = now.saturating_duration_since(self.took_at);
        if half.sender().pong_timeout().is_some_and(|timeout| taken_for < timeout) {
            self.count_as_alive_if_full(half, now);
        }
        self.handle_send_timeout(half, now);
        Poll::Ready(())
    }

    /// Reads ahead, and then runs the timers that are due now. If the input has moved the deadline into the future, no
    /// timer is due. Called if the stream takes bytes, or at the end of a turn.
    ///
    /// If the read-ahead buffer is full, because the application does not receive, the expected Pong may lie in the
    /// stream. In this case no Ping is sent, and the peer counts as alive.
    pub(in crate::adapters::async_driver) fn do_due<S>(
        &mut self,
        stream: &mut S,
        half: &mut impl SendingHalf,
        cx: &mut Context<'_>,
    ) where
        R: Transport<S>,
    {
        self.clock.read_clock_for(half);
        self.read_ahead(stream, half, cx);
        self.count_as_alive_if_full(half, self.clock.now());
        self.handle_send_timeout(half, self.clock.now());
    }

    /// If the read-ahead buffer is full, reports two facts to the timers. The peer is alive at `now`, and its Pongs may
    /// not be read yet. No data was received, so the idle timer is not changed.
    fn count_as_alive_if_full(&self, half: &mut impl SendingHalf, now: Instant) {
        if self.read_ahead.is_full() {
            half.apply(now, PendingReply::Received { data: false });
            half.apply(now, PendingReply::Undecoded);
        }
    }
}
