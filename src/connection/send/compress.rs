//! Sending compressed messages (RFC 7692 section 7.2.1).

use std::vec::Vec;

use crate::deflate::{Agreed, RSV1, longest_payload};
use crate::error::SendError;
use crate::frame::Opcode;
use crate::handshake::DeflateParams;
use crate::time::Instant;

use super::Outbox;
use crate::connection::send::Sender;
use crate::connection::send::prepared::Prepared;
use crate::connection::send::write_queue::WriteQueue;

impl<O: WriteQueue> Sender<O> {
    /// What was agreed on for the messages that are sent.
    pub(in crate::connection) const fn agreed(&self) -> Option<Agreed> {
        self.deflating.agreed
    }

    /// With permessage-deflate as agreed on in the handshake, if it was: messages are compressed as
    /// [`Config::compression`](crate::Config::compression) says.
    ///
    /// Nothing is allocated before the first one is sent.
    #[must_use]
    pub fn with_deflate(mut self, params: impl Into<Option<DeflateParams>>) -> Self {
        self.deflating.agreed = params.into().map(|params| Agreed::sent_by(self.role(), &params));
        self
    }

    /// Gives back what messages are compressed with: the next one begins with an empty window, and may come
    /// to more bytes for it.
    pub fn release_window(&mut self) {
        self.deflater = None;
    }

    /// Whether [`Self::release_window`] would give anything back.
    #[must_use]
    pub const fn holds_window(&self) -> bool {
        self.deflater.is_some()
    }

    /// When windows that are held are to be given back, if nothing happens before: done here in time, and for
    /// whoever receives in another place to do with
    /// [`Receiver::release_window`](crate::Receiver::release_window). `None` where compression was not agreed
    /// on, and as long as a message waits to be written.
    #[must_use]
    pub fn release_at(&self) -> Option<Instant> {
        self.deflating.agreed.filter(|_| !self.fresh_data)?;
        let after = self.config().compression.release_after?;
        let at = self.last_data() + after;
        (at != Instant::NEVER).then_some(at)
    }

    /// As what a frame with data is to be compressed, if it is.
    #[inline]
    pub(super) fn compresses(&self, opcode: Opcode, fin: bool, len: usize) -> Option<Agreed> {
        let agreed = self.deflating.agreed?;
        let compress = if opcode == Opcode::Continuation {
            // RFC 7692 6.1: all of a message is compressed or nothing of it.
            self.deflating.in_message
        } else {
            let compression = &self.config().compression;
            // How long a message will be that is sent in fragments, nobody knows. Level 0 makes none shorter.
            !self.deflating.declined && (!fin || len >= compression.min_size && compression.level > 0)
        };
        compress.then_some(agreed)
    }

    /// Sends a frame with compressed data, and returns whether it did. A whole message that would not be shorter for it
    /// is left to be sent uncompressed.
    pub(super) fn deflate(
        &mut self,
        agreed: Agreed,
        opcode: Opcode,
        fin: bool,
        data: &[u8],
    ) -> Result<bool, SendError> {
        let whole = fin && opcode != Opcode::Continuation;
        let longest = if whole {
            // It goes out compressed only where that is shorter.
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
            // RFC 7692 6.1: all of a message is compressed or nothing of it. So a fragment may become longer.
            deflater.deflate(data, fin, &mut payload);
            true
        };
        self.deflater =
            if fin { agreed.keep_deflater(deflater, config.pool.as_ref()) } else { Some(deflater) };
        if compressed {
            // RFC 7692 6.1: RSV1 is set on the first frame of a compressed message alone.
            let rsv = if opcode == Opcode::Continuation { 0 } else { RSV1 };
            self.push_data(opcode, fin, rsv, &payload);
            self.deflating.in_message = !fin;
        }
        Ok(compressed)
    }
}

impl Sender<Outbox> {
    /// Sends a server's frame that was compressed for many connections; whether there is one for this
    /// connection.
    pub(super) fn send_compressed(&mut self, prepared: &Prepared) -> Result<bool, SendError> {
        let (opcode, len) = (prepared.opcode(), prepared.message().as_bytes().len());
        let Some(agreed) = self.compresses(opcode, true, len) else { return Ok(false) };
        self.accept(opcode, true, len)?;
        let Some(frame) = prepared.compressed(agreed.window_bits(), &self.config().compression) else {
            return Ok(false);
        };
        self.push_frame(opcode, frame);
        // The peer's window has taken in what this connection's compressor does not know of: it must not refer to
        // anything before.
        if let Some(deflater) = &mut self.deflater {
            deflater.forget();
        }
        Ok(true)
    }
}
