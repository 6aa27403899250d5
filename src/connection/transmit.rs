//! What goes to the transport, and what has gone.

use core::ops::ControlFlow;

use crate::error::SendError;
use crate::frame::{MAX_HEADER_LEN, Opcode, Role};
use crate::time::Instant;

use super::event::Kind;
use super::outbox::Output;
use super::send::Sender;

impl<O: Output> Sender<O> {
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
        (self.boundary, self.congested) = (0, false);
        if core::mem::take(&mut self.fresh_data) {
            self.keepalive.sent_data(now);
        }
    }

    #[inline(never)]
    fn transmitted_from(&mut self, now: Instant, n: usize) {
        if self.out.urgent().is_empty() && n >= self.out.len() {
            self.all_transmitted(now);
        } else {
            self.transmitted_in_part(now, n.min(self.buffered_amount()));
        }
    }

    /// Sends a message past the queue, so that a large one need not be copied where the transport takes it:
    /// `write` is shown the header and the payload, writes what it can at once, and says how many bytes that
    /// were. What is left is queued. It is the caller's duty that text is UTF-8.
    ///
    /// Where something waits already, and where messages are masked or this one is compressed, it is queued as
    /// a whole, and `write` is not called.
    ///
    /// ```
    /// # #[cfg(feature = "alloc")] {
    /// # use hybi::{Config, Connection, Instant, Kind, Outbox};
    /// let mut connection = Connection::server(Instant::ZERO, Config::new(), Outbox::new());
    /// let mut wire = Vec::new();
    /// connection.sender_mut().send_through(Instant::ZERO, Kind::Binary, &[7; 50_000], |slices| {
    ///     wire.extend(slices.concat());
    ///     wire.len()
    /// })?;
    /// assert_eq!((wire.len(), connection.buffered_amount()), (4 + 50_000, 0));
    /// # }
    /// # Ok::<(), hybi::SendError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`send_text`](Self::send_text).
    pub fn send_through(
        &mut self,
        now: Instant,
        kind: Kind,
        data: &[u8],
        write: impl FnOnce(&[&[u8]]) -> usize,
    ) -> Result<(), SendError> {
        let opcode = if kind == Kind::Text { Opcode::Text } else { Opcode::Binary };
        let queues = self.encoder.role() == Role::Client || self.buffered_amount() > 0;
        #[cfg(feature = "deflate")]
        let queues = queues || self.compresses(opcode, true, data.len()).is_some();
        if queues {
            return self.data(opcode, true, data);
        }
        self.accept(opcode, true, data.len())?;
        let mut head = [0; MAX_HEADER_LEN];
        let len = self.encoder.checked_header(opcode, true, data.len() as u64).encode(&mut head);
        let head = head.get(..len).unwrap_or_default();
        self.count(opcode, true);
        let total = len + data.len();
        let written = write(&[head, data]).min(total);
        self.counters.bytes += written as u64;
        if written > 0 {
            self.keepalive.sent_data(now);
        }
        self.fresh_data = written < total;
        self.congested = written < total;
        if written == total {
            return Ok(());
        }
        // The frame that was begun ends where the rest of it does.
        self.boundary = if written > 0 { total - written } else { 0 };
        for part in [head.get(written..), data.get(written.saturating_sub(len)..)].into_iter().flatten() {
            if let Some(to) = self.out.gap(part.len()).and_then(|gap| gap.get_mut(..part.len())) {
                to.copy_from_slice(part);
                self.out.push(part.len());
            }
        }
        Ok(())
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

    /// As [`Self::poll_transmit`], where not all lies in one piece.
    #[inline(never)]
    fn poll_pieces<'a>(&'a self, to: &mut [&'a [u8]]) -> usize {
        let mut slices = Slices { to, len: 0 };
        if self.out.urgent().is_empty() {
            _ = self.out.pieces(|piece| slices.push(piece));
            return slices.len;
        }
        // A control frame goes ahead of the queue, but not into a frame that has been begun.
        let (urgent, mut ahead) = (self.out.urgent().rest(), Some(self.boundary));
        _ = self.out.pieces(|piece| match ahead {
            None => slices.push(piece),
            Some(left) if left >= piece.len() && left > 0 => {
                ahead = Some(left - piece.len());
                slices.push(piece)
            }
            Some(left) => {
                ahead = None;
                let (begun, rest) = piece.split_at_checked(left).unwrap_or_default();
                slices.push(begun)?;
                slices.push(urgent)?;
                slices.push(rest)
            }
        });
        if ahead.is_some() {
            _ = slices.push(urgent);
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
