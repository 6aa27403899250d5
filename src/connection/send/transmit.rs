//! Writing: selects the bytes to write next, and records how many of them the transport accepted.
//!
//! The order is: the rest of the frames that were started, then control frames, then the write queue. A frame is
//! started once a byte of it was written. A transport such as TLS may keep bytes of a write that it refused. For such a
//! transport, a frame is started once a byte of it was passed to a write. The functions here only read and advance the
//! queues. `commands.rs`, `close.rs`, `send_message.rs` and `write_through.rs` fill the queues.
//!
//! Invariants:
//! - A control frame is never written inside another frame: `boundary` is the end of the last started frame.
//! - [`Sender::poll_transmit`] returns the same bytes until [`Sender::transmitted`] or a command changes them.
//! - If a write accepts all bytes, which is the usual case, the code reads neither frame headers nor control frames.

use core::ops::ControlFlow;

use crate::time::Instant;

use crate::connection::send::write_queue::WriteQueue;
use crate::connection::send::{LastWriteResult, Sender};

/// Maximum number of bytes that [`Sender::poll_transmit_retryable`] returns if no control frame is queued. The started
/// frames, or the first frame if none is started, may be longer. The number equals the maximum payload of a TLS record.
const MAX_RETRYABLE: usize = 16 << 10;

impl<O: WriteQueue> Sender<O> {
    /// Removes the first `n` bytes that [`Self::poll_transmit`] returned, because they have been written. 0 means that
    /// the transport accepts no bytes now.
    #[inline]
    pub fn transmitted(&mut self, now: Instant, n: usize) {
        match self.out.in_one_piece() {
            Some(all) if n >= all.len() => self.all_transmitted(now),
            _ => self.transmitted_on_slow_path(now, n),
        }
    }

    /// Records that all bytes were written. In this usual case, the end of a frame need not be found.
    #[inline]
    fn all_transmitted(&mut self, now: Instant) {
        self.counters.bytes += self.out.len() as u64;
        self.out.clear();
        self.boundary = 0;
        if core::mem::take(&mut self.has_unwritten_data) {
            self.timers.sent_data(now);
        }
        if self.last_write != LastWriteResult::Complete {
            self.write_progressed(now);
        }
    }

    /// Records a write that is not the usual case. Control frames are queued, the queued bytes do not lie in one piece,
    /// or not all bytes were written.
    #[inline(never)]
    fn transmitted_on_slow_path(&mut self, now: Instant, n: usize) {
        if self.out.control().is_empty() && n >= self.out.len() {
            self.all_transmitted(now);
        } else {
            self.transmitted_in_part(now, n.min(self.buffered_amount()));
        }
    }

    /// Records a write of `n` bytes that was incomplete or included control frames.
    fn transmitted_in_part(&mut self, now: Instant, n: usize) {
        self.counters.bytes += n as u64;
        let had_ping = n > 0 && self.out.control().has_ping();
        // The order of `poll_transmit`: the started frames, control frames, the rest.
        let first = n.min(self.boundary);
        self.boundary = self.out.advance(first, self.boundary);
        let has_control = !self.out.control().rest().is_empty();
        let second = if has_control { self.out.control_mut().advance(n - first) } else { 0 };
        if n > first + second {
            self.boundary = self.out.advance(n - first - second, 0);
        }
        if self.has_unwritten_data && n > second {
            // A connection is not idle while a long message is being written.
            self.timers.sent_data(now);
            self.has_unwritten_data = self.out.len() > 0;
        }
        if had_ping {
            self.timers.pings_written(now, self.out.control().pings());
        }
        if n > 0 {
            self.write_progressed(now);
        } else if self.buffered_amount() > 0 {
            self.last_write = LastWriteResult::Full;
        }
    }

    /// Records that the transport has accepted bytes.
    #[cold]
    #[inline(never)]
    fn write_progressed(&mut self, now: Instant) {
        // If the transport had free space, the bytes may only be in its buffers, and the peer may have read nothing. If
        // it was full, the peer has read some bytes.
        if self.last_write == LastWriteResult::Full {
            self.timers.write_progressed(now);
        }
        self.last_write =
            if self.buffered_amount() > 0 { LastWriteResult::Partial } else { LastWriteResult::Complete };
        self.await_end(now);
    }

    /// Fills `to` with the bytes to write, in order, for one vectored write. Returns the number of slices; 0 means that
    /// nothing is queued.
    ///
    /// Report with [`Self::transmitted`] how many of the returned bytes were written. Until this report, the method
    /// returns the same bytes again. Queue nothing and apply no reply before the report, because a control frame would
    /// change the order.
    #[inline]
    pub fn poll_transmit<'a>(&'a self, to: &mut [&'a [u8]]) -> usize {
        match (self.out.in_one_piece(), to.first_mut()) {
            (Some([]), _) => 0,
            (Some(all), Some(to)) => {
                *to = all;
                1
            }
            _ => self.poll_pieces(to),
        }
    }

    /// Fills `to` as [`Self::poll_transmit`] does, for a transport that may keep bytes of a refused write.
    ///
    /// Some TLS libraries encrypt the bytes first, and find out afterwards that the socket is full. These libraries
    /// report that they accepted nothing, but the next write must begin with the same bytes.
    ///
    /// This method may return fewer bytes than [`Self::poll_transmit`]. If control frames are queued, it returns the
    /// rest of the started frames and some control frames. Otherwise it returns the rest of the started frames, or the
    /// first frame if none is started. If these bytes are fewer than 16 KiB, it also returns further bytes up to 16 KiB
    /// in total. If the transport accepts nothing, call [`Self::transmit_refused`]. If the transport is full, also call
    /// [`Self::transmitted`] with 0 afterwards.
    pub fn poll_transmit_retryable<'a>(&'a self, to: &mut [&'a [u8]]) -> usize {
        let len = self.poll_transmit(to);
        let control = self.out.control();
        let mut left = if control.is_empty() {
            MAX_RETRYABLE.max(if self.boundary > 0 { self.boundary } else { self.out.boundary_behind(1, 0) })
        } else {
            self.boundary + control.retryable_len()
        };
        let mut count = 0;
        for slice in to.iter_mut().take(len) {
            if left == 0 {
                break;
            }
            *slice = slice.get(..left).unwrap_or(slice);
            left -= slice.len();
            count += 1;
        }
        count
    }

    /// Records that the first `n` bytes of [`Self::poll_transmit_retryable`] were passed to the transport, which
    /// accepted nothing.
    ///
    /// The frames of these bytes count as started. No frame that is queued later is written before these frames, and a
    /// Close does not drop them.
    ///
    /// This call does not mean that the transport is full: a signal may have interrupted the write. If the transport is
    /// full, also call [`Self::transmitted`] with 0.
    pub fn transmit_refused(&mut self, n: usize) {
        let waiting = self.out.len();
        if self.out.control().is_empty() {
            self.boundary = self.out.boundary_behind(n.min(waiting), self.boundary);
        } else {
            let control = n.saturating_sub(self.boundary);
            self.out.control_mut().begin(control);
        }
    }

    /// Fills `to` if the bytes do not lie in one piece.
    #[inline(never)]
    fn poll_pieces<'a>(&'a self, to: &mut [&'a [u8]]) -> usize {
        let mut slices = Slices { to, len: 0 };
        if self.out.control().is_empty() {
            _ = self.out.pieces(|piece| slices.push(piece));
            return slices.len;
        }
        // Control frames are written after the frames that were started, and before the rest of the queue.
        let (control, mut ahead) = (self.out.control().rest(), Some(self.boundary));
        _ = self.out.pieces(|piece| match ahead {
            None => slices.push(piece),
            Some(left) if left >= piece.len() && left > 0 => {
                ahead = Some(left - piece.len());
                slices.push(piece)
            }
            Some(left) => {
                ahead = None;
                let (started, rest) = piece.split_at_checked(left).unwrap_or_default();
                slices.push(started)?;
                slices.push(control)?;
                slices.push(rest)
            }
        });
        if ahead.is_some() {
            _ = slices.push(control);
        }
        slices.len
    }
}

/// A list of slices. No slice is empty, and the list has space for `to.len()` slices.
struct Slices<'s, 'a> {
    to: &'s mut [&'a [u8]],
    len: usize,
}

impl<'a> Slices<'_, 'a> {
    /// Appends `slice` unless it is empty. Breaks if the list is full.
    #[inline(always)]
    fn push(&mut self, slice: &'a [u8]) -> ControlFlow<()> {
        if !slice.is_empty() {
            let Some(place) = self.to.get_mut(self.len) else { return ControlFlow::Break(()) };
            *place = slice;
            self.len += 1;
        }
        ControlFlow::Continue(())
    }
}
