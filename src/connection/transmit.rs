//! What goes to the transport, and what has gone.

use crate::time::Instant;

use super::outbox::Output;
use super::send::Sender;

impl<O: Output> Sender<O> {
    /// The first `n` bytes of what [`Self::poll_transmit`] gave have been written; 0 where the transport
    /// takes nothing now.
    pub fn transmitted(&mut self, now: Instant, n: usize) {
        let waiting = self.buffered_amount();
        if n >= waiting && self.out.urgent().is_empty() {
            // All is written, the usual case: no need to look where frames end.
            self.counters.bytes += waiting as u64;
            self.out.clear();
            (self.boundary, self.congested) = (0, false);
            if core::mem::take(&mut self.fresh_data) {
                self.keepalive.sent_data(now);
            }
        } else {
            self.transmitted_in_part(now, n.min(waiting));
        }
    }

    fn transmitted_in_part(&mut self, now: Instant, n: usize) {
        self.counters.bytes += n as u64;
        let had_ping = !self.out.urgent().is_empty() && self.out.urgent().has_ping();
        // As in poll_transmit: the frame that was begun, what is urgent, and the rest.
        let first = n.min(self.boundary);
        self.boundary = self.out.advance(first, self.boundary);
        let waits = !self.out.urgent().rest().is_empty();
        let second = if waits { self.out.urgent_mut().advance(n - first) } else { 0 };
        if n > first + second {
            self.boundary = self.out.advance(n - first - second, 0);
        }
        self.congested = self.buffered_amount() > 0;
        if self.fresh_data && n > second {
            // A message that takes long is not idle while it moves.
            self.keepalive.sent_data(now);
            self.fresh_data = self.out.len() > 0;
        }
        if n > 0 && had_ping {
            self.keepalive.ping_moved(now);
            if !self.out.urgent().has_ping() {
                self.keepalive.ping_written();
            }
        }
    }

    /// Fills `to` with what is to be written, in order, for one vectored write, and gives the number of
    /// slices; 0 means that nothing waits. Say with [`Self::transmitted`] how much was written; it may be
    /// less, and it is given again until it is said. Queue nothing and settle nothing in between: a control
    /// frame would change what comes first.
    pub fn poll_transmit<'a>(&'a self, to: &mut [&'a [u8]]) -> usize {
        let mut slices = Slices { to, len: 0 };
        if let Some(all) = self.out.in_one_piece() {
            slices.push(all);
            return slices.len;
        }
        // A control frame goes ahead of the queue, but not into a frame that has been begun.
        let mut ahead = Some(self.boundary);
        for piece in self.out.pieces() {
            if slices.is_full() {
                return slices.len;
            }
            match ahead {
                Some(left) if left >= piece.len() && left > 0 => {
                    slices.push(piece);
                    ahead = Some(left - piece.len());
                }
                Some(left) => {
                    let (begun, rest) = piece.split_at_checked(left).unwrap_or_default();
                    slices.push(begun);
                    slices.push(self.out.urgent().rest());
                    slices.push(rest);
                    ahead = None;
                }
                None => slices.push(piece),
            }
        }
        if ahead.is_some() {
            slices.push(self.out.urgent().rest());
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
    fn is_full(&self) -> bool {
        self.len == self.to.len()
    }

    fn push(&mut self, slice: &'a [u8]) {
        if !slice.is_empty() {
            if let Some(place) = self.to.get_mut(self.len) {
                *place = slice;
                self.len += 1;
            }
        }
    }
}
