//! Bytes to the transport: which ones to write next, and the record of what was written.
//!
//! The order is: the rest of the frame that was started, then control frames, then the write queue. The functions
//! here only read and advance the queues. `commands.rs` and `close.rs` fill them.
//!
//! Invariants:
//! - A control frame is never written inside another frame: `boundary` is the end of the frame that was started.
//! - [`Sender::poll_transmit`] returns the same bytes until [`Sender::transmitted`] or a command changes them.
//! - The usual case, a write that takes everything, looks neither at frames nor at control frames.

use core::ops::ControlFlow;

use crate::time::Instant;

use crate::connection::send::write_queue::WriteQueue;
use crate::connection::send::{Congestion, Sender};

/// Maximum length of one offer to a transport that may keep what it refuses, in bytes, unless one frame is longer. A
/// TLS record has this length.
const MOST_OFFERED: usize = 16 << 10;

impl<O: WriteQueue> Sender<O> {
    /// Removes the first `n` bytes of [`Self::poll_transmit`], which were written. 0 says that the transport takes
    /// nothing now.
    #[inline]
    pub fn transmitted(&mut self, now: Instant, n: usize) {
        match self.out.in_one_piece() {
            Some(all) if n >= all.len() => self.all_transmitted(now),
            _ => self.transmitted_from(now, n),
        }
    }

    /// Records that everything was written: the usual case, which need not find the end of a frame.
    #[inline]
    fn all_transmitted(&mut self, now: Instant) {
        self.counters.bytes += self.out.len() as u64;
        self.out.clear();
        self.boundary = 0;
        if core::mem::take(&mut self.fresh_data) {
            self.timers.sent_data(now);
        }
        if self.congestion != Congestion::None {
            self.write_progressed(now);
        }
    }

    /// Records a write that is not the usual case: control frames wait, or not everything was written.
    #[inline(never)]
    fn transmitted_from(&mut self, now: Instant, n: usize) {
        if self.out.control().is_empty() && n >= self.out.len() {
            self.all_transmitted(now);
        } else {
            self.transmitted_in_part(now, n.min(self.buffered_amount()));
        }
    }

    /// Records a write of `n` bytes that left some, or that included control frames.
    fn transmitted_in_part(&mut self, now: Instant, n: usize) {
        self.counters.bytes += n as u64;
        let had_ping = n > 0 && self.out.control().has_ping();
        // The order of `poll_transmit`: the started frame, control frames, the rest.
        let first = n.min(self.boundary);
        self.boundary = self.out.advance(first, self.boundary);
        let has_control = !self.out.control().rest().is_empty();
        let second = if has_control { self.out.control_mut().advance(n - first) } else { 0 };
        if n > first + second {
            self.boundary = self.out.advance(n - first - second, 0);
        }
        if self.fresh_data && n > second {
            // A long message keeps the connection from being idle while it moves.
            self.timers.sent_data(now);
            self.fresh_data = self.out.len() > 0;
        }
        if had_ping {
            self.timers.pings_moved(now, self.out.control().pings());
        }
        if n > 0 {
            self.write_progressed(now);
        } else if self.buffered_amount() > 0 {
            self.congestion = Congestion::Full;
        }
    }

    /// Records that the transport has taken bytes.
    #[cold]
    #[inline(never)]
    fn write_progressed(&mut self, now: Instant) {
        // Bytes that went into a transport with free space prove nothing: its buffers took them, not the peer.
        if self.congestion == Congestion::Full {
            self.timers.write_progressed(now);
        }
        self.congestion = if self.buffered_amount() > 0 { Congestion::Partial } else { Congestion::None };
        self.await_end(now);
    }

    /// Fills `to` with the bytes to write, in order, for one vectored write. Returns the number of slices; 0 says
    /// that nothing waits.
    ///
    /// Report with [`Self::transmitted`] how much was written, which may be less. Until then the same bytes are
    /// returned again. Queue nothing and apply no reply in between, because a control frame would change the order.
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

    /// Fills `to` as [`Self::poll_transmit`] does, for a transport that may keep bytes although it says that it takes
    /// nothing.
    ///
    /// TLS libraries encrypt first and find out later that there is no space. Such a transport must be offered the
    /// same bytes again before any others.
    ///
    /// Returns less than [`Self::poll_transmit`]. With control frames: the rest of the started frame, and some
    /// control frames. Without: the first frame, and the bytes behind it up to 16 KiB. If the transport takes
    /// nothing, call [`Self::offered`].
    pub fn poll_offer<'a>(&'a self, to: &mut [&'a [u8]]) -> usize {
        let len = self.poll_transmit(to);
        let control = self.out.control();
        let mut left = if control.is_empty() {
            MOST_OFFERED.max(if self.boundary > 0 { self.boundary } else { self.out.boundary_behind(1, 0) })
        } else {
            self.boundary + control.offer_len()
        };
        let mut offered = 0;
        for slice in to.iter_mut().take(len) {
            if left == 0 {
                break;
            }
            *slice = slice.get(..left).unwrap_or(slice);
            left -= slice.len();
            offered += 1;
        }
        offered
    }

    /// Records that the transport was offered the first `n` bytes of [`Self::poll_offer`] and takes nothing now.
    ///
    /// The frames of these bytes count as started: no frame that is queued later goes out before them, and a Close
    /// does not drop them.
    pub fn offered(&mut self, now: Instant, n: usize) {
        let waiting = self.out.len();
        if self.out.control().is_empty() {
            self.boundary = self.out.boundary_behind(n.min(waiting), self.boundary);
        } else {
            let control = n.saturating_sub(self.boundary);
            self.out.control_mut().begin(control);
        }
        self.transmitted(now, 0);
    }

    /// Fills `to` if the bytes do not lie in one piece.
    #[inline(never)]
    fn poll_pieces<'a>(&'a self, to: &mut [&'a [u8]]) -> usize {
        let mut slices = Slices { to, len: 0 };
        if self.out.control().is_empty() {
            _ = self.out.pieces(|piece| slices.push(piece));
            return slices.len;
        }
        // Control frames go ahead of the queue, but behind the frame that was started.
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

/// A list of non-empty slices of bounded length.
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
