//! Our own Close: where it is queued, which frames it replaces, and what is dropped when the connection ends.
//!
//! `close_state.rs` decides when a Close is sent. This file decides the position of the Close in the queue. Deadlines
//! are in `deadlines.rs`, and the answer to the peer's Close is in `mod.rs::answer_close`.
//!
//! ```text
//!   reason of the Close        if the transport accepts all     if the transport is full
//!   the application closes     after all accepted messages      after all accepted messages
//!   the peer closed            after all accepted messages      in place of the frames that are not started
//!   the connection fails       after all accepted messages      in place of the frames that are not started
//! ```
//!
//! A frame is started once a byte of it was written. A transport such as TLS may keep bytes of a write that it refused.
//! For such a transport, a frame is started once a byte of it was passed to a write.
//!
//! Invariants:
//! - Only one Close is written (RFC 6455 section 5.5.1). A second Close may replace a first Close that is not started.
//!   Otherwise the second Close is not queued.
//! - A started frame is never dropped.

use core::ops::ControlFlow;

use crate::close::{CloseCode, CloseFrame, CloseReason};
use crate::connection::close_state::{CloseAction, CloseEvent, CloseState};
use crate::frame::{MAX_CONTROL_PAYLOAD, Opcode};
use crate::time::Instant;

use super::control_queue::MAX_CONTROL_FRAME;
use crate::connection::outcome::Outcome;
use crate::connection::send::write_queue::WriteQueue;
use crate::connection::send::{LastWriteResult, OwnClose, Sender};

impl<O: WriteQueue> Sender<O> {
    /// Returns whether a Pong can still be sent: no byte of our Close was written, and no Close was received.
    pub(super) fn may_answer(&self) -> bool {
        match self.closing.state() {
            CloseState::Open => true,
            CloseState::Sent => !self.close_is_begun(),
            _ => false,
        }
    }

    /// Returns whether our Close is the next frame to write, is being written, or has been written. This function is
    /// called only after our Close was queued.
    pub(super) fn close_is_begun(&self) -> bool {
        // A queued Close is the last frame in the queue. So the Close is started if `boundary` is the end of the queue.
        // It has been written if the queue is empty.
        self.own_close == OwnClose::URGENT || self.out.len() <= self.boundary
    }

    /// Queues a Close after all accepted messages.
    pub(super) fn queue_close(&mut self, now: Instant, frame: &CloseFrame) {
        let mut body = [0; MAX_CONTROL_PAYLOAD];
        let len = frame.encode(&mut body);
        if self.out.space_left() < MAX_CONTROL_FRAME {
            // The caller's memory is smaller than required, so the Close does not fit into the write queue.
            return self.queue_urgent_close(now, frame);
        }
        let header = self.encoder.checked_header(Opcode::Close, true, len as u64);
        self.push(&header, body.get(..len).unwrap_or_default());
        self.counters.frames += 1;
        self.own_close = OwnClose::queued(header.encoded_len() + len);
        self.start_closing(now);
    }

    /// Queues a Close in place of all frames that are not started.
    fn queue_urgent_close(&mut self, now: Instant, frame: &CloseFrame) {
        self.drop_queue();
        let (mut body, mut bytes) = ([0; MAX_CONTROL_PAYLOAD], [0; MAX_CONTROL_FRAME]);
        let len = frame.encode(&mut body);
        let len = self.control_frame(Opcode::Close, body.get(..len).unwrap_or_default(), &mut bytes);
        self.out.control_mut().push_close(bytes.get(..len).unwrap_or_default());
        self.counters.frames += 1;
        self.own_close = OwnClose::URGENT;
        self.start_closing(now);
    }

    /// Starts the closing timer, and frees the compressor, because no data follows a Close.
    fn start_closing(&mut self, now: Instant) {
        self.timers.close(now, &self.config);
        #[cfg(feature = "deflate")]
        self.release_deflater();
    }

    /// Queues the Close that answers the peer or fails the connection.
    ///
    /// Normally this Close follows the accepted messages. If a Close of the application is already queued, that Close
    /// is sent instead. But if the transport did not accept all bytes, the frames that are not started are dropped, and
    /// `frame` replaces them. Otherwise a peer that does not read would delay the Close.
    pub(super) fn close_at_once(&mut self, now: Instant, frame: &CloseFrame) {
        if self.last_write != LastWriteResult::Complete {
            self.queue_urgent_close(now, frame);
        } else if self.own_close == OwnClose::NO {
            self.queue_close(now, frame);
        }
    }

    /// Makes our queued Close the answer to the peer's Close. If the transport did not accept all bytes, our Close
    /// replaces the frames that are not started, as in [`Self::close_at_once`].
    pub(super) fn expedite_own_close(&mut self) {
        if self.close_is_begun() || self.last_write == LastWriteResult::Complete {
            return;
        }
        let (mut bytes, mut len) = ([0; MAX_CONTROL_FRAME], 0);
        let mut ahead = self.out.len().saturating_sub(self.own_close.queued_len());
        _ = self.out.pieces(|piece| {
            let (before, close) = piece.split_at_checked(ahead).unwrap_or((piece, &[]));
            ahead -= before.len();
            for (to, from) in bytes.iter_mut().skip(len).zip(close) {
                *to = *from;
            }
            len += close.len();
            ControlFlow::Continue(())
        });
        self.drop_queue();
        self.out.control_mut().push_close(bytes.get(..len).unwrap_or_default());
        self.own_close = OwnClose::URGENT;
    }

    /// Drops the frames that are not started.
    fn drop_queue(&mut self) {
        self.count_dropped(self.out.len().saturating_sub(self.boundary));
        self.out.truncate(self.boundary);
        self.has_unwritten_data &= self.out.len() > 0;
    }

    /// Counts the last `len` bytes of the queue as dropped. Our Close, which is the last frame, is not counted, because
    /// it is not a message.
    fn count_dropped(&mut self, len: usize) {
        self.dropped += len.saturating_sub(self.own_close.queued_len()) as u64;
    }

    /// Fails the connection (RFC 6455 section 7.1.7): sends a Close with `code` if none was sent, and records
    /// `outcome`.
    pub(super) fn fail(&mut self, now: Instant, outcome: Outcome, code: CloseCode, reason: CloseReason) {
        let frame = CloseFrame { code: Some(code), reason };
        match self.closing.handle(CloseEvent::Violation) {
            CloseAction::SendFailure => self.close_at_once(now, &frame),
            // RFC 6455 5.5.1: a Close is sent once.
            CloseAction::StopReading if !self.close_is_begun() => self.close_at_once(now, &frame),
            CloseAction::StopReading => {}
            _ => return,
        }
        self.outcome = outcome;
    }

    /// Ends the connection, and drops all queued frames.
    pub(super) fn end(&mut self) {
        self.count_dropped(self.out.len());
        self.out.truncate(0);
        self.boundary = 0;
        #[cfg(feature = "deflate")]
        self.release_deflater();
        if !self.out.control().rest().is_empty() {
            self.out.control_mut().clear();
        }
    }
}
