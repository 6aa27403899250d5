//! Our own Close, and the end.

use core::ops::ControlFlow;

use crate::close::{CloseCode, CloseFrame, CloseReason};
use crate::connection::close_state::{CloseAction, CloseEvent, CloseState};
use crate::frame::{MAX_CONTROL_PAYLOAD, Opcode};
use crate::time::Instant;

use super::control_queue::MAX_CONTROL_FRAME;
use crate::connection::event::Outcome;
use crate::connection::send::write_queue::WriteQueue;
use crate::connection::send::{Congestion, OwnClose, Sender};

impl<O: WriteQueue> Sender<O> {
    /// Whether a Pong can still go out: no Close of ours was begun, and none was received.
    pub(super) fn may_answer(&self) -> bool {
        match self.closing.state() {
            CloseState::Open => true,
            CloseState::Sent => !self.close_is_begun(),
            _ => false,
        }
    }

    /// Whether our Close, which there is, is on its way and not only waiting behind data.
    pub(super) fn close_is_begun(&self) -> bool {
        // One that is queued is the last in the queue.
        self.own_close == OwnClose::URGENT || self.out.len() <= self.boundary
    }

    /// A Close behind everything that was accepted.
    pub(super) fn queue_close(&mut self, now: Instant, frame: &CloseFrame) {
        let mut body = [0; MAX_CONTROL_PAYLOAD];
        let len = frame.encode(&mut body);
        if self.out.room() < MAX_CONTROL_FRAME {
            // Less memory than was asked for: there is none to wait in.
            return self.queue_urgent_close(now, frame);
        }
        let header = self.encoder.checked_header(Opcode::Close, true, len as u64);
        self.push(&header, body.get(..len).unwrap_or_default());
        self.counters.frames += 1;
        self.own_close = OwnClose::queued(header.encoded_len() + len);
        self.start_closing(now);
    }

    /// A Close in the place of everything that is not begun.
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

    /// A Close is queued: no data follows it.
    fn start_closing(&mut self, now: Instant) {
        self.timers.close(now, &self.config);
        #[cfg(feature = "deflate")]
        self.release_window();
    }

    /// The Close that answers the peer or fails the connection. It follows what was accepted, a Close of the
    /// application's included, which then is the one. But where the transport has not taken all that it was
    /// given, what is not begun is dropped: a peer that does not read would keep the Close back behind it.
    pub(super) fn send_prompt_close(&mut self, now: Instant, frame: &CloseFrame) {
        if self.congestion != Congestion::None {
            self.queue_urgent_close(now, frame);
        } else if self.own_close == OwnClose::NO {
            self.queue_close(now, frame);
        }
    }

    /// Our own Close, which waits or is begun, answers the peer's. Where the transport has not taken all that it was
    /// given, it takes the place of what is not begun, as in [`Self::send_prompt_close`].
    pub(super) fn expedite_own_close(&mut self) {
        if self.close_is_begun() || self.congestion == Congestion::None {
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

    fn drop_queue(&mut self) {
        self.count_dropped(self.out.len().saturating_sub(self.boundary));
        self.out.truncate(self.boundary);
        self.fresh_data &= self.out.len() > 0;
    }

    /// The last `len` bytes of the queue are dropped: our Close, which is the last in it, is no message.
    fn count_dropped(&mut self, len: usize) {
        self.dropped += len.saturating_sub(self.own_close.queued_len()) as u64;
    }

    pub(super) fn fail(&mut self, now: Instant, outcome: Outcome, code: CloseCode, reason: CloseReason) {
        let frame = CloseFrame { code: Some(code), reason };
        match self.closing.handle(CloseEvent::Violation) {
            CloseAction::SendFailure => self.send_prompt_close(now, &frame),
            // RFC 6455 5.5.1: a Close is sent once.
            CloseAction::StopReading if !self.close_is_begun() => self.send_prompt_close(now, &frame),
            CloseAction::StopReading => {}
            _ => return,
        }
        self.outcome = outcome;
    }

    pub(super) fn end(&mut self) {
        self.count_dropped(self.out.len());
        self.out.truncate(0);
        self.boundary = 0;
        #[cfg(feature = "deflate")]
        self.release_window();
        if !self.out.control().rest().is_empty() {
            self.out.control_mut().clear();
        }
    }
}
