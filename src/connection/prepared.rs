//! One frame for many connections.

use alloc::vec::Vec;

use bytes::Bytes;

use super::event::Kind;
use super::message::Message;
use crate::frame::{Header, MAX_HEADER_LEN, Opcode};

/// A shared payload from here on is not copied.
pub(super) const LARGE: usize = 4 << 10;

/// A message in one frame, encoded once to be sent by any number of servers' connections: a broadcast.
///
/// A small frame lies in one piece and is appended to each queue as it is; the payload of a large one is
/// shared by all of them. A client's connection can send it too, and masks it as any other message.
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
    /// The header, and behind it the payload unless that is large.
    encoded: Bytes,
}

impl Prepared {
    /// Prepares `message`.
    #[must_use]
    pub fn new(message: impl Into<Message>) -> Self {
        let message = message.into();
        let payload = message.as_bytes();
        let opcode = if message.kind() == Kind::Text { Opcode::Text } else { Opcode::Binary };
        let payload_len = payload.len() as u64;
        let header = Header { fin: true, rsv: 0, opcode, masking_key: None, payload_len };
        let mut head = [0; MAX_HEADER_LEN];
        let len = header.encode(&mut head);
        let mut encoded = Vec::from(head.get(..len).unwrap_or_default());
        if payload.len() < LARGE {
            encoded.extend_from_slice(payload);
        }
        Self { message, encoded: encoded.into() }
    }

    /// The message.
    #[must_use]
    pub const fn message(&self) -> &Message {
        &self.message
    }

    /// What is appended to a queue, and the payload that is put behind it by reference.
    pub(super) fn parts(&self) -> (&[u8], Option<Bytes>) {
        let large = self.message.as_bytes().len() >= LARGE;
        (&self.encoded, large.then(|| self.message.clone().into_bytes()))
    }
}
