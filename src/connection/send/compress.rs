//! Sending compressed messages (RFC 7692 section 7.2.1).
//!
//! This file decides which messages are compressed, and queues their frames. `deflate/deflater.rs` compresses the
//! data.
//!
//! Invariants:
//! - Either all fragments of a message are compressed or none of them (RFC 7692 section 6.1).
//! - A whole message is sent compressed only if compression makes it shorter.
//! - The compressor refers only to data that it compressed itself. Another compressor produced the frame of a prepared
//!   message. So after such a frame, the compressor forgets all earlier data.

use std::vec::Vec;

use crate::deflate::{Agreed, RSV1, longest_payload};
use crate::error::SendError;
use crate::frame::Opcode;
use crate::handshake::DeflateParams;
use crate::time::Instant;

use super::Outbox;
use crate::connection::send::prepared::Prepared;
use crate::connection::send::write_queue::WriteQueue;
use crate::connection::send::{SendOptions, Sender};

impl<O: WriteQueue> Sender<O> {
    /// Returns the compression parameters that the handshake agreed on for sent messages.
    pub(in crate::connection) const fn agreed(&self) -> Option<Agreed> {
        self.deflating.agreed
    }

    /// Sets the permessage-deflate parameters that the handshake agreed on; `None` for no compression.
    /// [`Config::compression`](crate::Config::compression) sets how messages are compressed. The memory for the
    /// compressor is allocated with the first compressed message.
    #[must_use]
    pub fn with_deflate(mut self, params: impl Into<Option<DeflateParams>>) -> Self {
        self.deflating.agreed = params.into().map(|params| Agreed::sent_by(self.role(), &params));
        self
    }

    /// Frees the compressor. The next message cannot refer to earlier messages, so it may become longer.
    pub fn release_deflater(&mut self) {
        self.deflater = None;
    }

    /// Returns whether [`Self::release_deflater`] would free anything.
    #[must_use]
    pub const fn can_release_deflater(&self) -> bool {
        self.deflater.is_some()
    }

    /// Returns the time at which the memory for compression is released, if no data is sent or received before. Returns
    /// `None` without compression, if [`Compression::release_after`](crate::deflate::Compression::release_after) is
    /// `None`, and while data is queued.
    ///
    /// The sending half frees its own memory in [`handle_timeout`](Self::handle_timeout). If another task has the
    /// receiving half, that task calls [`Receiver::release_inflater`](crate::Receiver::release_inflater) at this time.
    #[must_use]
    pub fn release_at(&self) -> Option<Instant> {
        self.deflating.agreed.filter(|_| !self.has_unwritten_data)?;
        let after = self.config().compression.release_after?;
        let at = self.last_data() + after;
        (at != Instant::NEVER).then_some(at)
    }

    /// Returns the parameters for the compression of a data frame; `None` if the frame is sent uncompressed.
    #[inline]
    pub(super) fn compression_for(
        &self,
        opcode: Opcode,
        fin: bool,
        len: usize,
        options: SendOptions,
    ) -> Option<Agreed> {
        let agreed = self.deflating.agreed?;
        let compress = if opcode == Opcode::Continuation {
            // RFC 7692 6.1: either all of a message is compressed or nothing of it.
            self.deflating.open_message_compressed
        } else {
            let compression = &self.config().compression;
            // The length of a fragmented message is unknown, so `min_size` does not apply to it. A whole message is not
            // compressed with level 0, because level 0 makes no message shorter.
            options.compress && (!fin || len >= compression.min_size && compression.level > 0)
        };
        compress.then_some(agreed)
    }

    /// Compresses and queues a frame, and returns true. Returns false for a whole message that compression does not
    /// make shorter. Such a message has passed the checks of `accept`, but is not queued. The caller sends it
    /// uncompressed.
    ///
    /// # Errors
    ///
    /// [`SendError::Blocked`], [`TooLarge`](SendError::TooLarge), [`Closed`](SendError::Closed) or
    /// [`MessageOpen`](SendError::MessageOpen); nothing was sent.
    pub(super) fn deflate(
        &mut self,
        agreed: Agreed,
        opcode: Opcode,
        fin: bool,
        data: &[u8],
    ) -> Result<bool, SendError> {
        let whole = fin && opcode != Opcode::Continuation;
        let longest = if whole {
            // The compressed form is used only if it is shorter than the message.
            data.len()
        } else {
            usize::try_from(longest_payload(data.len() as u64)).unwrap_or(usize::MAX)
        };
        self.accept(opcode, fin, longest)?;
        let held = self.deflater.take();
        let config = self.config();
        let mut deflater = held.unwrap_or_else(|| agreed.deflater(&config.compression, config.pool.as_ref()));
        let mut payload = Vec::new();
        let compressed = if whole {
            deflater.deflate_if_shorter(data, &mut payload)
        } else {
            // RFC 7692 6.1: either all of a message is compressed or nothing of it. So a fragment is compressed even if
            // it becomes longer.
            deflater.deflate(data, fin, &mut payload);
            true
        };
        self.deflater =
            if fin { agreed.keep_deflater(deflater, config.pool.as_ref()) } else { Some(deflater) };
        if compressed {
            // RFC 7692 6.1: RSV1 is set only on the first frame of a compressed message.
            let rsv = if opcode == Opcode::Continuation { 0 } else { RSV1 };
            self.push_data(opcode, fin, rsv, &payload);
            self.deflating.open_message_compressed = !fin;
        }
        Ok(compressed)
    }
}

impl Sender<Outbox> {
    /// Queues the compressed frame of a prepared message, and returns true. Returns false if this connection sends the
    /// message uncompressed.
    pub(super) fn send_compressed(&mut self, prepared: &Prepared) -> Result<bool, SendError> {
        let (opcode, len) = (prepared.opcode(), prepared.message().as_bytes().len());
        let Some(agreed) = self.compression_for(opcode, true, len, prepared.options()) else {
            return Ok(false);
        };
        self.accept(opcode, true, len)?;
        let Some(frame) = prepared.compressed(agreed.window_bits(), &self.config().compression) else {
            return Ok(false);
        };
        self.push_frame(frame);
        // The peer's inflater will see data that this connection's compressor has not seen. So the compressor must not
        // refer to any data before this frame.
        if let Some(deflater) = &mut self.deflater {
            deflater.forget();
        }
        Ok(true)
    }
}
