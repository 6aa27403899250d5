//! The timers of calls that send, and the input that is read ahead for them.

use super::{Output, WRITE_TIME_SLICE};
use crate::adapters::net::thread_replies::SHORTEST_NAP;
use crate::{CloseState, PendingReply, SendingHalf};

impl<S, H: SendingHalf> Output<'_, S, H> {
    /// Returns whether a timer is due.
    pub(in crate::adapters::net) fn is_due(&self) -> bool {
        self.half.sender().poll_timeout().is_some_and(|due| due <= self.link.now())
    }

    /// Runs the timers that are due. If this thread also reads, first reads ahead, because input shows that the peer is
    /// alive. The timers then run with the time of this read.
    ///
    /// If nobody reads, because the application does not receive, the expected Pong may lie in the stream. So the peer
    /// counts as alive if `stream_is_writable` is true: the stream takes what is written. The peer also counts as alive
    /// if the stream has taken bytes during the last Pong timeout. There are three cases in which nobody reads:
    ///
    /// - The read-ahead buffer is full. While it is full, no Ping is sent.
    /// - The stream cannot be read without blocking. Pings are still sent.
    /// - The reader of a split WebSocket does not read. Pings are still sent. If the reader has read a short time ago,
    ///   it will soon read again, and run the timers with the time of that read. So this call does nothing if
    ///   `stream_is_writable` is true. If this call counted the peer as alive each time, a peer that answers no Ping
    ///   would never count as dead.
    pub(super) fn handle_due(&mut self, stream_is_writable: bool) {
        self.apply();
        if !self.is_due() {
            return;
        }
        self.report_undecoded();
        let now = self.link.now();
        if let Some(pending) = self.pending {
            let unread_for = pending.unread_for(now);
            if unread_for > SHORTEST_NAP && self.half.sender().close_state() == CloseState::Open {
                if stream_is_writable && pending.max_block_time().is_some_and(|most| unread_for <= most) {
                    return;
                }
                if stream_is_writable || self.took_bytes_within_pong_timeout() {
                    self.half.apply(now, PendingReply::Undecoded);
                }
            }
            self.half.handle_send_timeout(now);
            return;
        }
        let read = self.read_ahead();
        match read {
            // The peer is alive. The new input must be decoded before a timer runs: it may contain the Pong that the
            // timer waits for.
            Some(1..) if self.half.sender().close_state() == CloseState::Open => {}
            Some(_) => self.half.handle_send_timeout(self.link.read_at()),
            None => {
                let now = self.link.now();
                if (stream_is_writable || self.took_bytes_within_pong_timeout()) && !self.link.knows_end() {
                    if self.link.is_ahead_full() {
                        self.half.apply(now, PendingReply::Received { data: false });
                    }
                    self.half.apply(now, PendingReply::Undecoded);
                }
                self.half.handle_send_timeout(now);
            }
        }
    }

    /// Returns whether the stream has taken bytes during the last Pong timeout.
    pub(super) fn took_bytes_within_pong_timeout(&self) -> bool {
        let taken_for = self.link.now().saturating_duration_since(self.link.took_at());
        self.half.sender().pong_timeout().is_some_and(|timeout| taken_for < timeout)
    }

    /// Reports to the timers that a receiving call has returned an event and has not decoded the rest of the input. The
    /// rest may contain the Pong that a timer waits for.
    pub(super) fn report_undecoded(&mut self) {
        let undecoded_since = match self.pending {
            Some(pending) => pending.take_undecoded_since(),
            None => self.link.take_undecoded_since(),
        };
        if let Some(at) = undecoded_since {
            self.half.apply(at, PendingReply::Undecoded);
        }
        // If the receiving thread has decoded the rest in the meantime, its replies are stored now.
        self.apply();
    }

    /// Queues the waiting messages and the replies that the receiving half has stored.
    pub(super) fn apply(&mut self) {
        if let Some(pending) = self.pending {
            pending.apply(self.half, self.link.now(), self.mark);
        }
    }

    /// Returns whether to read ahead now although the stream may take more bytes: once per [`WRITE_TIME_SLICE`].
    /// Otherwise, if the peer reads slowly and steadily, the call would read no input until the whole queue was
    /// written.
    pub(super) fn read_ahead_is_due(&self) -> bool {
        self.link.now().saturating_duration_since(self.link.read_at()) >= WRITE_TIME_SLICE
    }

    /// Reads ahead the input that has arrived, unless another thread reads.
    pub(super) fn read_ahead_unless_split(&mut self) {
        if self.pending.is_none() {
            self.read_ahead();
        }
    }

    /// Reads ahead the input that has arrived, and reports the input to the timers unless the caller decodes it next.
    /// Returns the result of [`DeadlineStream::read_ahead`].
    pub(super) fn read_ahead(&mut self) -> Option<usize> {
        let read = self.link.read_ahead();
        if read.is_some_and(|n| n > 0) {
            if !self.decodes_next {
                self.half.handle_undecoded(self.link.read_at());
            }
        } else if read.is_some() && self.link.knows_end() {
            // The end is reported without its position in the message, because the input before the end is not decoded
            // yet.
            self.half.handle_peer_half_closed(self.link.now());
        }
        read
    }
}
