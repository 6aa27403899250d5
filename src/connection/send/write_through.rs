//! Messages that are written to the transport at once, without being queued first.
//!
//! `transmit_*` calls a `write` function of the caller once. It tries these three ways in this order, and the first way
//! is the fastest:
//!
//! 1. A server's uncompressed message is written directly from the caller's memory, after a header on the stack. This
//!    requires that the message is large or that the queue is empty.
//! 2. A client's uncompressed message is masked into the queue's memory and written from this memory. This requires
//!    that the queue is empty.
//! 3. Every other message is queued first, and then the queue is written.
//!
//! Invariants:
//! - No byte of a refused message is written: `write` is called only after the message is accepted.
//! - Bytes that `write` did not accept are queued, after all bytes that were queued before.
//! - Messages, frames and bytes are counted as if the message had been queued and transmitted.

use crate::error::SendError;
use crate::frame::{Header, MAX_HEADER_LEN, Opcode, Role, write_frame};
use crate::time::Instant;

use crate::connection::send::write_queue::{LARGE, WriteQueue};
use crate::connection::send::{SendOptions, Sender};

/// Maximum number of slices for one write: the slices of queued bytes and of the message together.
const MAX_SLICES: usize = 16;

/// How a message is written directly from the caller's memory.
#[derive(Clone, Copy, Debug)]
pub(super) enum DirectRoute {
    /// The queue is empty, so only the message is written.
    QueueIsEmpty,
    /// The queued bytes are written before the message.
    AfterQueue,
}

impl<O: WriteQueue> Sender<O> {
    /// Sends a text message and writes it at once, for a caller whose transport can probably accept it.
    ///
    /// `write` is called once with the bytes to write, in order, for one vectored write. It returns how many bytes it
    /// wrote, or 0 if the transport accepts nothing now or has failed. The rest is queued. The next
    /// [`poll_transmit`](Self::poll_transmit) returns the rest.
    ///
    /// This method avoids copies. A server's message is not copied if the queue is empty, or if the message is of 4 KiB
    /// or more. In both cases the last two slices are a header and `text` itself. A client's message is copied once,
    /// because it is masked. In all other cases this method has the same effect as [`send_text`](Self::send_text), a
    /// write, and [`transmitted`](Self::transmitted).
    ///
    /// ```
    /// # #[cfg(feature = "alloc")] {
    /// # use hybi::{Config, Connection, Instant, Outbox};
    /// let mut connection = Connection::server(Instant::ZERO, Config::new(), Outbox::new());
    /// let (text, mut wire) = ("Hello", Vec::new());
    /// connection.transmit_text(Instant::ZERO, text, |slices| {
    ///     assert_eq!(slices[1].as_ptr(), text.as_ptr());
    ///     wire = slices.concat();
    ///     wire.truncate(4); // the transport is full
    ///     4
    /// })?;
    /// assert_eq!(wire, *b"\x81\x05He");
    /// assert_eq!(connection.buffered_amount(), 3);
    /// # }
    /// # Ok::<(), hybi::SendError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`SendError::Blocked`], [`TooLarge`](SendError::TooLarge), [`Closed`](SendError::Closed) or
    /// [`MessageOpen`](SendError::MessageOpen); nothing was sent, and `write` was not called.
    #[inline]
    pub fn transmit_text(
        &mut self,
        now: Instant,
        text: &str,
        write: impl FnOnce(&[&[u8]]) -> usize,
    ) -> Result<(), SendError> {
        self.transmit_data(now, Opcode::Text, text.as_bytes(), write)
    }

    /// Sends a binary message and writes it at once: see [`transmit_text`](Self::transmit_text).
    ///
    /// # Errors
    ///
    /// [`SendError::Blocked`], [`TooLarge`](SendError::TooLarge), [`Closed`](SendError::Closed) or
    /// [`MessageOpen`](SendError::MessageOpen); nothing was sent, and `write` was not called.
    #[inline]
    pub fn transmit_binary(
        &mut self,
        now: Instant,
        data: &[u8],
        write: impl FnOnce(&[&[u8]]) -> usize,
    ) -> Result<(), SendError> {
        self.transmit_data(now, Opcode::Binary, data, write)
    }

    /// Sends a message and writes it at once, in the fastest way that is possible for the message.
    #[inline]
    pub(super) fn transmit_data(
        &mut self,
        now: Instant,
        opcode: Opcode,
        payload: &[u8],
        write: impl FnOnce(&[&[u8]]) -> usize,
    ) -> Result<(), SendError> {
        match self.direct_route(payload.len()) {
            Some(route) if self.is_uncompressed(opcode, payload.len(), SendOptions::new()) => {
                self.accept_for(route, opcode, payload.len())?;
                if let Some(written) = self.write_through(now, opcode, payload, route, write) {
                    self.queue_rest(now, opcode, payload, written);
                }
                Ok(())
            }
            _ => self.transmit_otherwise(now, opcode, payload, write),
        }
    }

    /// Sends a message that is compressed, masked, or must be written after queued bytes.
    ///
    /// This function is not inlined. So [`Self::transmit_data`] is small enough to be inlined, and a client's message
    /// costs one call.
    #[inline(never)]
    fn transmit_otherwise(
        &mut self,
        now: Instant,
        opcode: Opcode,
        payload: &[u8],
        write: impl FnOnce(&[&[u8]]) -> usize,
    ) -> Result<(), SendError> {
        if self.queue_compressed(opcode, payload, SendOptions::new())? {
            self.write_queued(now, write);
        } else if let Some(route) = self.direct_route(payload.len()) {
            // Compression did not make the message shorter, so it is sent uncompressed. It has been accepted already.
            if let Some(written) = self.write_through(now, opcode, payload, route, write) {
                self.queue_rest(now, opcode, payload, written);
            }
        } else {
            return self.transmit_through_queue(now, opcode, payload, write);
        }
        Ok(())
    }

    /// Sends a message that is neither compressed nor written directly from the caller's memory.
    #[inline(always)]
    pub(super) fn transmit_through_queue(
        &mut self,
        now: Instant,
        opcode: Opcode,
        payload: &[u8],
        write: impl FnOnce(&[&[u8]]) -> usize,
    ) -> Result<(), SendError> {
        if self.out.is_idle() {
            self.accept_for_empty_queue(opcode, payload.len())?;
            self.write_masked(now, opcode, payload, write);
        } else {
            self.queue_uncompressed(opcode, true, payload)?;
            self.write_queued(now, write);
        }
        Ok(())
    }

    /// Compresses and queues a message, if this connection compresses the message and the message becomes shorter.
    /// Returns whether the message was queued.
    ///
    /// If compression did not make the message shorter, the message has been accepted, but is not queued.
    #[inline]
    #[cfg_attr(
        not(feature = "deflate"),
        expect(
            clippy::unused_self,
            clippy::unnecessary_wraps,
            reason = "the signature is the same as with the feature"
        )
    )]
    pub(super) fn queue_compressed(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        options: SendOptions,
    ) -> Result<bool, SendError> {
        #[cfg(feature = "deflate")]
        if let Some(agreed) = self.compression_for(opcode, true, payload.len(), options) {
            return self.deflate(agreed, opcode, true, payload);
        }
        let _ = (opcode, payload, options);
        Ok(false)
    }

    /// Returns how an uncompressed message is written directly from the caller's memory. Returns `None` for a message
    /// that must be masked, and for a small message behind queued bytes.
    #[inline]
    pub(super) fn direct_route(&self, len: usize) -> Option<DirectRoute> {
        if self.encoder.role() != Role::Server {
            None
        } else if self.out.is_idle() {
            Some(DirectRoute::QueueIsEmpty)
        } else {
            (len >= LARGE).then_some(DirectRoute::AfterQueue)
        }
    }

    /// Checks whether a message that is written directly may be sent now, as [`accept`](Self::accept) does.
    #[inline]
    pub(super) fn accept_for(
        &mut self,
        route: DirectRoute,
        opcode: Opcode,
        len: usize,
    ) -> Result<(), SendError> {
        match route {
            DirectRoute::QueueIsEmpty => self.accept_for_empty_queue(opcode, len),
            DirectRoute::AfterQueue => self.accept(opcode, true, len),
        }
    }

    /// Returns whether a message is sent uncompressed.
    #[inline]
    #[cfg_attr(
        not(feature = "deflate"),
        expect(clippy::unused_self, reason = "the signature is the same as with the feature")
    )]
    pub(super) fn is_uncompressed(&self, opcode: Opcode, len: usize, options: SendOptions) -> bool {
        #[cfg(feature = "deflate")]
        return self.compression_for(opcode, true, len, options).is_none();
        #[cfg(not(feature = "deflate"))]
        {
            let _ = (opcode, len, options);
            true
        }
    }

    /// Writes the queued bytes and an accepted message. Returns `None` if the whole message was written. Otherwise
    /// returns how many bytes of its frame were written, and the caller queues the message.
    #[inline(always)]
    pub(super) fn write_through(
        &mut self,
        now: Instant,
        opcode: Opcode,
        payload: &[u8],
        route: DirectRoute,
        write: impl FnOnce(&[&[u8]]) -> usize,
    ) -> Option<usize> {
        let mut head = [0; MAX_HEADER_LEN];
        let len = Header { fin: true, rsv: 0, opcode, masking_key: None, payload_len: payload.len() as u64 }
            .encode(&mut head);
        let head = head.get(..len).unwrap_or_default();
        let all = len.saturating_add(payload.len());
        let written = match route {
            DirectRoute::QueueIsEmpty => write(&[head, payload]),
            DirectRoute::AfterQueue => self.write_after_queue(now, head, payload, write),
        };
        if written < all {
            return Some(written);
        }
        self.count_message(true);
        self.counters.bytes += all as u64;
        self.timers.sent_data(now);
        None
    }

    /// Masks an accepted message into the memory of the queue and writes it. Adds only the unwritten bytes to the
    /// queue.
    #[inline(always)]
    fn write_masked(
        &mut self,
        now: Instant,
        opcode: Opcode,
        payload: &[u8],
        write: impl FnOnce(&[&[u8]]) -> usize,
    ) {
        let header = self.encoder.checked_header(opcode, true, payload.len() as u64);
        // The message was accepted, so the queue has space for it.
        let Some(write_space) = self.out.write_space(header.encoded_len() + payload.len()) else { return };
        let len = write_frame(&header, payload, write_space);
        let written = write(&[write_space.get(..len).unwrap_or_default()]);
        if written >= len {
            self.count_message(true);
            self.counters.bytes += len as u64;
            self.timers.sent_data(now);
        } else {
            self.out.commit(len);
            self.count(true);
            self.transmitted(now, written);
        }
    }

    /// Writes the queued bytes and then a frame. Returns how many bytes of the frame were written.
    #[inline(never)]
    fn write_after_queue(
        &mut self,
        now: Instant,
        head: &[u8],
        payload: &[u8],
        write: impl FnOnce(&[&[u8]]) -> usize,
    ) -> usize {
        let mut slices = [&[][..]; MAX_SLICES];
        let len = self.poll_transmit(slices.get_mut(..MAX_SLICES - 2).unwrap_or_default());
        let waiting = self.buffered_amount();
        let (queued, frame) = slices.split_at_mut_checked(len).unwrap_or_default();
        let all_fit = queued.iter().map(|slice| slice.len()).sum::<usize>() == waiting;
        let frame_slices = match frame {
            [first, second, ..] if all_fit => {
                (*first, *second) = (head, payload);
                2
            }
            _ => 0,
        };
        let written = call_write(slices.get(..len + frame_slices).unwrap_or_default(), write);
        self.transmitted(now, written.min(waiting));
        written.saturating_sub(waiting)
    }

    /// Queues a message. The first `written` bytes of its frame have been written already.
    #[cold]
    #[inline(never)]
    fn queue_rest(&mut self, now: Instant, opcode: Opcode, payload: &[u8], written: usize) {
        self.push_data(opcode, true, 0, payload);
        self.transmitted(now, written);
    }

    /// Writes the queue with one call of `write`.
    #[inline(never)]
    pub(super) fn write_queued(&mut self, now: Instant, write: impl FnOnce(&[&[u8]]) -> usize) {
        let mut slices = [&[][..]; MAX_SLICES];
        let len = self.poll_transmit(&mut slices);
        let written = call_write(slices.get(..len).unwrap_or_default(), write);
        self.transmitted(now, written);
    }
}

/// Calls `write` and returns the number of bytes written. The number is limited to the length of `slices`, because a
/// wrong `write` could return more.
fn call_write(slices: &[&[u8]], write: impl FnOnce(&[&[u8]]) -> usize) -> usize {
    write(slices).min(slices.iter().map(|slice| slice.len()).sum())
}
