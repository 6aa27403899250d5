//! One frame for many connections.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::connection::message::Message;
use crate::connection::send::write_queue::LARGE;
use crate::frame::{Header, MAX_HEADER_LEN, Opcode};

/// A message in one frame, encoded once to be sent by any number of servers' connections: a broadcast.
///
/// A small frame lies in one piece and is appended to each queue as it is; the payload of a large one is
/// shared by all of them. Where connections have agreed on compression, it is compressed when the first of
/// them sends it, as that one is configured, once for each size of window. A client's connection can send it
/// too, and masks and compresses it as any other message. Clones are handles to the same frames.
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
    frame: Frame,
    #[cfg(feature = "deflate")]
    compressed: compressed::Frames,
}

/// A server's frame, to be queued.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// The header, and behind it the payload unless that is large.
    pub(super) encoded: Bytes,
    /// The payload, if it is large.
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
    /// Prepares `message`.
    #[must_use]
    pub fn new(message: impl Into<Message>) -> Self {
        let message = message.into();
        let frame = Frame::new(message.opcode(), 0, &message.clone().into_bytes());
        Self {
            message,
            frame,
            #[cfg(feature = "deflate")]
            compressed: compressed::Frames::default(),
        }
    }

    /// The message.
    #[must_use]
    pub const fn message(&self) -> &Message {
        &self.message
    }

    pub(super) const fn opcode(&self) -> Opcode {
        self.message.opcode()
    }

    /// The frame with the message as it is.
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

    /// Frames for windows of 9 to 15 bits, as they come to be asked for; none where compression gains
    /// nothing.
    pub(super) type Frames = Arc<[OnceLock<Option<Frame>>; 7]>;

    impl Prepared {
        /// The frame with the message compressed for a window of that size, which refers to nothing before
        /// it; `None` where it would not be shorter than the message as it is.
        pub(in crate::connection::send) fn compressed(
            &self,
            window_bits: u8,
            compression: &Compression,
        ) -> Option<&Frame> {
            // With 8 agreed on, 9 is what a compressor can do: see Deflater.
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
