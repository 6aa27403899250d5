//! What goes to the transport, and what has gone.

use core::ops::ControlFlow;

use crate::time::Instant;

use crate::connection::send::write_queue::WriteQueue;
use crate::connection::send::{Congestion, Sender};

/// So much is offered at once to a transport that may keep it, unless one frame is longer: a record of TLS.
const MOST_OFFERED: usize = 16 << 10;

impl<O: WriteQueue> Sender<O> {
    /// The first `n` bytes of what [`Self::poll_transmit`] gave have been written; 0 where the transport
    /// takes nothing now.
    #[inline]
    pub fn transmitted(&mut self, now: Instant, n: usize) {
        match self.out.in_one_piece() {
            Some(all) if n >= all.len() => self.all_transmitted(now),
            _ => self.transmitted_from(now, n),
        }
    }

    /// All is written, the usual case: no need to look where frames end.
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

    #[inline(never)]
    fn transmitted_from(&mut self, now: Instant, n: usize) {
        if self.out.control().is_empty() && n >= self.out.len() {
            self.all_transmitted(now);
        } else {
            self.transmitted_in_part(now, n.min(self.buffered_amount()));
        }
    }

    fn transmitted_in_part(&mut self, now: Instant, n: usize) {
        self.counters.bytes += n as u64;
        let had_ping = n > 0 && self.out.control().has_ping();
        // As in poll_transmit: the frame that was begun, what is urgent, and the rest.
        let first = n.min(self.boundary);
        self.boundary = self.out.advance(first, self.boundary);
        let waits = !self.out.control().rest().is_empty();
        let second = if waits { self.out.control_mut().advance(n - first) } else { 0 };
        if n > first + second {
            self.boundary = self.out.advance(n - first - second, 0);
        }
        if self.fresh_data && n > second {
            // A message that takes long is not idle while it moves.
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

    /// The transport has taken some bytes.
    #[cold]
    #[inline(never)]
    fn write_progressed(&mut self, now: Instant) {
        // A write into a transport that had room proves nothing: its buffers took it, not the peer.
        if self.congestion == Congestion::Full {
            self.timers.write_progressed(now);
        }
        self.congestion = if self.buffered_amount() > 0 { Congestion::Partial } else { Congestion::None };
        self.await_end(now);
    }

    /// Fills `to` with what is to be written, in order, for one vectored write, and gives the number of
    /// slices; 0 means that nothing waits. Say with [`Self::transmitted`] how much was written; it may be
    /// less, and it is given again until it is said. Queue nothing and settle nothing in between: a control
    /// frame would change what comes first.
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

    /// As [`Self::poll_transmit`], for a transport that may keep what it was offered although it says that it takes
    /// nothing now: TLS libraries encrypt first and find out later that there is no room. Such a transport must be
    /// offered the same bytes again before any others.
    ///
    /// Gives less than [`Self::poll_transmit`] does: the rest of the frame that was begun and some control frames; or,
    /// without control frames, the first frame and what follows it up to 16 KiB. If the transport takes nothing, say so
    /// with [`Self::offered`].
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

    /// The transport was offered the first `n` bytes of what [`Self::poll_offer`] gave, and takes nothing now.
    ///
    /// The frames that these bytes belong to count as begun: nothing that is queued later goes out before them, and
    /// they are not dropped for a Close.
    pub fn offered(&mut self, now: Instant, n: usize) {
        let waits = self.out.len();
        if self.out.control().is_empty() {
            self.boundary = self.out.boundary_behind(n.min(waits), self.boundary);
        } else {
            let control = n.saturating_sub(self.boundary);
            self.out.control_mut().begin(control);
        }
        self.transmitted(now, 0);
    }

    /// As [`Self::poll_transmit`], where not all lies in one piece.
    #[inline(never)]
    fn poll_pieces<'a>(&'a self, to: &mut [&'a [u8]]) -> usize {
        let mut slices = Slices { to, len: 0 };
        if self.out.control().is_empty() {
            _ = self.out.pieces(|piece| slices.push(piece));
            return slices.len;
        }
        // A control frame goes ahead of the queue, but not into a frame that has been begun.
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

/// Collects slices that are not empty, as many as there is room for.
struct Slices<'s, 'a> {
    to: &'s mut [&'a [u8]],
    len: usize,
}

impl<'a> Slices<'_, 'a> {
    /// Breaks off where there is no room.
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
