//! Control frames that are written ahead of the write queue.
//!
//! A peer may send any number of Pings while it reads nothing. If each Pong joined the write queue, the queue would
//! grow without bound. RFC 6455 section 5.5.3 allows answering only the most recent Ping. So Pongs are queued here, in
//! memory of fixed size. Our own Pings are queued here too, and so is a Close that must be written before queued data.
//! `transmit.rs` decides when the frames are written.
//!
//! A frame is *started* once a byte of it was written. A transport such as TLS may keep bytes of a write that it
//! refused. For such a transport, a frame is started once a byte of it was passed to a write.
//!
//! Invariants:
//! - There is always space for a started frame, for one more Pong or Close, and for a Ping. So the memory is at least
//!   as long as three control frames of maximum length ([`LEAST`]).
//! - A started frame is never dropped or overtaken.
//! - When the memory is full, Pongs that are not started are dropped first. A Close replaces every frame that is not
//!   started.

use core::borrow::{Borrow, BorrowMut};

use crate::frame::{MAX_CONTROL_PAYLOAD, Opcode, frame_len};

/// Length of the longest control frame, in bytes: a header of two bytes, a masking key and the payload.
pub(super) const MAX_CONTROL_FRAME: usize = 2 + 4 + MAX_CONTROL_PAYLOAD;

/// The minimum memory of a control queue, in bytes.
pub(super) const LEAST: usize = 3 * MAX_CONTROL_FRAME;

/// A queue of control frames in the memory `B`, which has a fixed size.
#[derive(Clone, Debug)]
pub struct ControlQueue<B> {
    /// Total length of all frames. The first frame begins at offset 0.
    len: u16,
    /// Number of bytes of the first frame that have been written. It is less than the length of the frame.
    written: u16,
    /// All frames that begin before this offset are started.
    started: u16,
    bytes: B,
}

impl<B> ControlQueue<B> {
    /// Creates an empty queue in `bytes`, whose length must be at least [`LEAST`] and at most `u16::MAX`.
    pub(super) const fn new(bytes: B) -> Self {
        Self { len: 0, written: 0, started: 0, bytes }
    }

    /// Returns whether no frame is queued.
    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Drops all frames, including started ones.
    pub(super) const fn clear(&mut self) {
        (self.len, self.written, self.started) = (0, 0, 0);
    }

    /// Returns the memory.
    pub(super) fn into_memory(self) -> B {
        self.bytes
    }
}

impl<B: Borrow<[u8]>> ControlQueue<B> {
    /// Returns the bytes that are not written yet.
    pub(super) fn rest(&self) -> &[u8] {
        self.bytes.borrow().get(usize::from(self.written)..usize::from(self.len)).unwrap_or_default()
    }

    /// Returns how many bytes [`poll_transmit_retryable`](super::Sender::poll_transmit_retryable) may return now.
    ///
    /// The result covers whole frames from the front. Their total length is at most that of the longest control frame.
    /// So when these frames are started, there is still space for a Close.
    pub(super) fn retryable_len(&self) -> usize {
        let ends = self.frames().map(|(at, len, _)| at + len);
        let fits = ends.take_while(|end| *end <= MAX_CONTROL_FRAME).last().unwrap_or(0);
        fits.saturating_sub(self.written.into())
    }

    /// Returns whether a Ping is queued or being written.
    pub(super) fn has_ping(&self) -> bool {
        self.frames().any(|(_, _, opcode)| opcode == Opcode::Ping)
    }

    /// Returns how many Pings are queued or being written.
    pub(super) fn pings(&self) -> usize {
        self.frames().filter(|(_, _, opcode)| *opcode == Opcode::Ping).count()
    }

    /// Returns offset, length and opcode of each frame.
    fn frames(&self) -> impl Iterator<Item = (usize, usize, Opcode)> {
        let mut at = 0;
        core::iter::from_fn(move || {
            let bytes = self.bytes.borrow().get(at..usize::from(self.len))?;
            let opcode = Opcode::from_bits(*bytes.first()?)?;
            let (head, payload) = frame_len(bytes)?;
            at += head + payload;
            Some((at - head - payload, head + payload, opcode))
        })
    }
}

impl<B: BorrowMut<[u8]>> ControlQueue<B> {
    /// Marks the frames of the next `n` bytes as started.
    pub(super) fn begin(&mut self, n: usize) {
        let end = usize::from(self.written).saturating_add(n);
        self.started = self.started.max(u16::try_from(end).unwrap_or(self.len));
    }

    /// Appends a Ping if the memory has space for all Pings, a started frame and a Pong. Returns whether the Ping was
    /// appended. If the free space is too small, drops the Pongs that are not started, except the newest Pong.
    pub(super) fn push_ping(&mut self, frame: &[u8]) -> bool {
        let pings = self.frames().filter(|(_, _, opcode)| *opcode == Opcode::Ping).map(|(_, len, _)| len);
        let fits = pings.sum::<usize>() + frame.len()
            <= self.bytes.borrow().len().saturating_sub(2 * MAX_CONTROL_FRAME);
        if fits && !self.push(frame) {
            let pongs = self.frames().filter(|(_, _, opcode)| *opcode == Opcode::Pong);
            let newest = pongs.last().map(|(at, len, _)| usize::from(self.len) - at - len);
            self.drop_unstarted_if(|behind, opcode| opcode == Opcode::Pong && Some(behind) != newest);
            return self.push(frame);
        }
        fits
    }

    /// Appends a Pong. If there is no free space, the Pong replaces all Pongs that are not started.
    pub(super) fn push_pong(&mut self, frame: &[u8]) {
        if !self.push(frame) {
            self.drop_unstarted_if(|_, opcode| opcode == Opcode::Pong);
            self.push(frame);
        }
    }

    /// Appends a Close in place of all frames that are not started.
    pub(super) fn push_close(&mut self, frame: &[u8]) {
        self.drop_unstarted_if(|_, _| true);
        self.push(frame);
    }

    /// Removes up to `n` written bytes, and returns their number.
    pub(super) fn advance(&mut self, n: usize) -> usize {
        let taken = n.min(self.rest().len());
        let written = usize::from(self.written) + taken;
        let whole =
            self.frames().map(|(at, len, _)| at + len).take_while(|end| *end <= written).last().unwrap_or(0);
        self.remove(0, whole);
        self.written = u16::try_from(written - whole).unwrap_or(0);
        self.started =
            self.started.saturating_sub(u16::try_from(whole).unwrap_or(u16::MAX)).max(self.written);
        taken
    }

    /// Appends a frame, and returns whether there was space for it.
    fn push(&mut self, frame: &[u8]) -> bool {
        let space = self
            .bytes
            .borrow_mut()
            .get_mut(usize::from(self.len)..)
            .and_then(|space| space.get_mut(..frame.len()));
        let (Some(space), Ok(len)) = (space, u16::try_from(frame.len())) else { return false };
        space.copy_from_slice(frame);
        self.len += len;
        true
    }

    /// Drops the frames that `drop` selects, except started frames. The arguments of `drop` are the number of bytes
    /// that follow the frame, and the opcode of the frame.
    fn drop_unstarted_if(&mut self, drop: impl Fn(usize, Opcode) -> bool) {
        let next = |queue: &Self| {
            queue
                .frames()
                .skip_while(|(at, ..)| *at < usize::from(queue.started))
                .find(|(at, len, opcode)| drop(usize::from(queue.len) - at - len, *opcode))
                .map(|(at, len, _)| (at, len))
        };
        while let Some((at, len)) = next(self) {
            self.remove(at, len);
        }
    }

    /// Removes `len` bytes at offset `at`.
    fn remove(&mut self, at: usize, len: usize) {
        self.bytes.borrow_mut().copy_within(at + len..usize::from(self.len), at);
        self.len -= u16::try_from(len).unwrap_or(self.len);
    }
}
