//! Input in memory that the caller provides for many reads.
//!
//! [`SliceInbox`] is the [`Input`] for connections without an allocator. Its read buffer has a fixed
//! length. To use the space of consumed bytes again, the other bytes are moved to the front. `inbox.rs` has the input
//! that grows.
//!
//! Invariant: bytes that are not consumed are kept, and so is the part of a message that lies in the read buffer.

use super::input::Input;
use super::message_buffer::SliceMessage;
use crate::kernel::{Checked, SliceWindow};

/// An [`Input`] in memory that the caller provides for many reads, for connections without an allocator.
///
/// Read into [`read_space`](Self::read_space) and report the length with [`handle_read`](Self::handle_read). A message
/// in one frame is delivered from the read buffer if the message fits into this buffer, even if the message arrives in
/// several reads. A longer message, or a message in several frames, is collected in the [`SliceMessage`].
///
/// ```
/// use hybi::{Config, Connection, ControlPayload, Event, Instant, Role, SliceInbox, SliceMessage, SliceOutbox};
///
/// let (mut memory, mut gathered, mut control) = ([0; 64], [0; 128], ControlPayload::EMPTY);
/// let (mut queue, mut control_queue) = ([0; 256], [0; 508]);
/// let out = SliceOutbox::new(&mut queue, &mut control_queue);
/// let mut connection = Connection::client(Instant::ZERO, Config::new(), out, [7; 32]);
/// let mut inbox = SliceInbox::from_memory(&mut memory, SliceMessage::new(&mut gathered, &mut control));
///
/// // A message arrives in two reads.
/// for bytes in [&b"\x81\x05He"[..], b"llo"] {
///     inbox.read_space()[..bytes.len()].copy_from_slice(bytes);
///     inbox.handle_read(bytes.len());
///     while let Some(event) = connection.poll_event(Instant::ZERO, &mut inbox)? {
///         assert_eq!(event, Event::Text("Hello"));
///     }
/// }
/// let (memory, _) = inbox.into_memory();
/// assert_eq!(memory.len(), 64);
/// # Ok::<(), hybi::ProtocolError>(())
/// ```
pub type SliceInbox<'m> = Input<SliceWindow<'m>, SliceMessage<'m>>;

impl<'m> SliceInbox<'m> {
    /// Creates an input with the read buffer `memory` and the message buffer `message`.
    #[must_use]
    pub const fn from_memory(memory: &'m mut [u8], message: SliceMessage<'m>) -> Self {
        Self::empty_over(Checked::new(SliceWindow::new(memory)), message)
    }

    /// Returns the space for the next read. After a poll that returned `None` there is space, if the read buffer has at
    /// least one byte.
    ///
    /// If at most a quarter of the read buffer is free at its end, the bytes that are still needed are moved to the
    /// front.
    pub fn read_space(&mut self) -> &mut [u8] {
        let (start, len) = (self.message_start.unwrap_or(self.at), self.read_buffer.bytes().len());
        if start == self.end {
            // A message starts here if the last read ended directly after the header of this message. From now on, its
            // payload starts at the front of the read buffer.
            self.message_start = self.message_start.map(|_| 0);
            (self.at, self.end) = (0, 0);
        } else if start > 0 && len - self.end <= len / 4 {
            self.read_buffer.move_to_front(start..self.end);
            self.message_start = self.message_start.map(|message_start| message_start - start);
            (self.at, self.end) = (self.at - start, self.end - start);
        }
        self.read_buffer.bytes_from(self.end)
    }

    /// Records that the first `len` bytes of the space were read.
    pub fn handle_read(&mut self, len: usize) {
        self.end = self.read_buffer.bytes().len().min(self.end.saturating_add(len));
    }

    /// Returns the memory: the read buffer and the message buffer. Bytes that are not decoded yet are lost.
    #[must_use]
    pub fn into_memory(self) -> (&'m mut [u8], SliceMessage<'m>) {
        (self.read_buffer.into_memory().into_slice(), self.message)
    }
}
