//! A message encoded once for many connections.
//!
//! [`Prepared`] stores the uncompressed frame of a server. It also stores one compressed frame for each window size, as
//! soon as a connection needs this frame. `send_message.rs::send_prepared` queues these frames.
//!
//! Invariant: a compressed frame does not refer to earlier data. So every peer whose window is large enough can inflate
//! it.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::connection::message::Message;
use crate::connection::send::SendOptions;
use crate::connection::send::write_queue::LARGE;
use crate::frame::{Header, MAX_HEADER_LEN, Opcode};

/// A message for a broadcast: it is encoded once, in one frame, and any number of a server's connections send it.
///
/// A small frame is copied into each write queue. All write queues share the payload of a large frame. Connections with
/// compression share one compressed frame for each window size. The first connection that sends this frame
/// compresses it, with its own configuration. A client's connection can send the message too, but masks and
/// compresses it like any other message. Clones share the same frames.
///
/// ```
/// use hybi::{Config, Connection, Instant, Outbox, Prepared};
///
/// let news = Prepared::new("to all of you");
/// let mut room: Vec<_> =
///     (0..3).map(|_| Connection::server(Instant::ZERO, Config::new(), Outbox::new())).collect();
/// for connection in &mut room {
///     connection.send_prepared(&news).unwrap();
/// }
/// assert_eq!(room[2].buffered_amount(), 2 + 13);
/// ```
#[derive(Clone, Debug)]
pub struct Prepared {
    message: Message,
    options: SendOptions,
    frame: Frame,
    #[cfg(feature = "deflate")]
    compressed: compressed::Frames,
}

/// An encoded frame of a server.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// The header, followed by the payload if the payload is small.
    pub(super) encoded: Bytes,
    /// The payload if it is large.
    pub(super) shared: Option<Bytes>,
}

impl Frame {
    fn new(opcode: Opcode, rsv: u8, payload: &Bytes) -> Self {
        let header = Header { fin: true, rsv, opcode, masking_key: None, payload_len: payload.len() as u64 };
        let mut head = [0; MAX_HEADER_LEN];
        let len = header.encode(&mut head);
        let mut encoded = Vec::from(head.get(..len).unwrap_or_default());
        let large = payload.len() >= LARGE;
        if !large {
            encoded.extend_from_slice(payload);
        }
        Self { encoded: encoded.into(), shared: large.then(|| payload.clone()) }
    }
}

impl Prepared {
    /// Encodes `message`.
    #[must_use]
    pub fn new(message: impl Into<Message>) -> Self {
        Self::with_options(message, SendOptions::new())
    }

    /// Encodes `message`. The `options` apply on every connection that sends the message.
    #[must_use]
    pub fn with_options(message: impl Into<Message>, options: SendOptions) -> Self {
        let message = message.into();
        let frame = Frame::new(message.opcode(), 0, &message.clone().into_bytes());
        Self {
            message,
            options,
            frame,
            #[cfg(feature = "deflate")]
            compressed: compressed::Frames::default(),
        }
    }

    /// Returns the message.
    #[must_use]
    pub const fn message(&self) -> &Message {
        &self.message
    }

    pub(super) const fn opcode(&self) -> Opcode {
        self.message.opcode()
    }

    /// Returns the options of the message.
    pub(super) const fn options(&self) -> SendOptions {
        self.options
    }

    /// Returns the uncompressed frame.
    pub(super) const fn frame(&self) -> &Frame {
        &self.frame
    }
}

#[cfg(feature = "deflate")]
mod compressed {
    use alloc::vec::Vec;
    use std::sync::{Arc, OnceLock};

    use super::{Frame, Prepared};
    use crate::deflate::{Compression, Deflater, RSV1};

    /// Frames for windows of 9 to 15 bits. Each frame is compressed when it is first needed. `None` inside a cell means
    /// that compression does not make the message shorter.
    pub(super) type Frames = Arc<[OnceLock<Option<Frame>>; 7]>;

    impl Prepared {
        /// Returns the frame compressed for a window of `window_bits`; `None` if compression does not make the message
        /// shorter.
        pub(in crate::connection::send) fn compressed(
            &self,
            window_bits: u8,
            compression: &Compression,
        ) -> Option<&Frame> {
            // For an agreed window of 8 bits the compressor uses 9: see `Deflater`.
            let place = self.compressed.get(usize::from(window_bits.saturating_sub(9)))?;
            let make = || {
                let data = self.message.as_bytes();
                let mut payload = Vec::new();
                let shorter =
                    Deflater::new(window_bits, false, compression).deflate_if_shorter(data, &mut payload);
                shorter.then(|| Frame::new(self.opcode(), RSV1, &payload.into()))
            };
            place.get_or_init(make).as_ref()
        }
    }
}
