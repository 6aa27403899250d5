//! Input in memory that the caller lends, and that stays from one read to the next.

use super::input::Input;
use super::message_buffer::SliceMessage;
use crate::kernel::{Checked, SliceWindow};

/// An [`Input`] in memory that the caller lends: for connections without an allocator that keep what they read.
///
/// Read to [`read_space`](Self::read_space) and say with [`handle_read`](Self::handle_read) how many bytes came. A message in one
/// frame that fits in the window is delivered from there, in whatever pieces it arrives. A longer one, or one in several
/// frames, is gathered in the [`SliceMessage`].
///
/// ```
/// use hybi::{Config, Connection, ControlPayload, Event, Instant, Role, SliceInbox, SliceMessage, SliceOutbox};
///
/// let (mut window, mut gathered, mut control) = ([0; 64], [0; 128], ControlPayload::EMPTY);
/// let (mut queue, mut control_queue) = ([0; 256], [0; 508]);
/// let out = SliceOutbox::new(&mut queue, &mut control_queue);
/// let mut connection = Connection::client(Instant::ZERO, Config::new(), out, [7; 32]);
/// let mut inbox = SliceInbox::from_memory(&mut window, SliceMessage::new(&mut gathered, &mut control));
///
/// // A message arrives in two reads.
/// for bytes in [&b"\x81\x05He"[..], b"llo"] {
///     inbox.read_space()[..bytes.len()].copy_from_slice(bytes);
///     inbox.handle_read(bytes.len());
///     while let Some(event) = connection.poll_event(Instant::ZERO, &mut inbox)? {
///         assert_eq!(event, Event::Text("Hello"));
///     }
/// }
/// let (window, _) = inbox.into_memory();
/// assert_eq!(window.len(), 64);
/// # Ok::<(), hybi::ProtocolError>(())
/// ```
pub type SliceInbox<'m> = Input<SliceWindow<'m>, SliceMessage<'m>>;

impl<'m> SliceInbox<'m> {
    /// Reads to `window`, and gathers in `message` what does not fit there.
    #[must_use]
    pub const fn from_memory(window: &'m mut [u8], message: SliceMessage<'m>) -> Self {
        Self::empty_over(Checked::new(SliceWindow::new(window)), message)
    }

    /// Returns where to read to: never empty once a poll has returned `None`, unless the window is.
    ///
    /// Moves what is still needed to the front, if less than a quarter of the window is free behind it.
    pub fn read_space(&mut self) -> &mut [u8] {
        let (start, len) = (self.message_start.unwrap_or(self.at), self.window.bytes().len());
        if start == self.end {
            (self.at, self.end) = (0, 0);
        } else if start > 0 && len - self.end < len / 4 {
            self.window.move_to_front(start..self.end);
            self.message_start = self.message_start.map(|message_start| message_start - start);
            (self.at, self.end) = (self.at - start, self.end - start);
        }
        self.window.bytes_from(self.end)
    }

    /// The first `len` bytes of the space have been read.
    pub fn handle_read(&mut self, len: usize) {
        self.end = self.window.bytes().len().min(self.end.saturating_add(len));
    }

    /// Gives the memory back: the window, and what messages were gathered in. What has arrived and was not taken in is
    /// lost.
    #[must_use]
    pub fn into_memory(self) -> (&'m mut [u8], SliceMessage<'m>) {
        (self.window.into_memory().into_slice(), self.message)
    }
}
