//! What the caller lends to one call.

use super::event::{Event, Inner, Place, Ready};
use super::message::Gather;
use crate::arch::Checked;

/// The bytes that arrived, and the memory for a message that they hold only a part of.
///
/// Made anew for each batch of bytes, and polled until nothing comes any more: then all bytes have been
/// taken in, and the buffer is free for the next connection. Events borrow from both.
#[derive(Debug)]
pub struct Input<'m> {
    pub(super) window: Checked<&'m mut [u8]>,
    /// How many bytes of the window have been taken in.
    pub(super) at: usize,
    pub(super) message: &'m mut dyn Gather,
}

impl<'m> Input<'m> {
    /// Lends `bytes`, which have just arrived and will be unmasked in place, and `message`, which must be
    /// the one that earlier calls for this connection had.
    #[inline]
    pub fn new(bytes: &'m mut [u8], message: &'m mut impl Gather) -> Self {
        Self { window: Checked::new(bytes), at: 0, message }
    }

    /// The event that `ready`, from a poll with this input, stands for.
    ///
    /// One from elsewhere gives wrong data, or none; text is text in any case.
    #[inline]
    #[must_use]
    pub fn event(&self, ready: Ready) -> Event<'_> {
        match ready.0 {
            Inner::Text(Place::Bytes { start, end }) => Event::Text(self.window.text(start..end).unwrap_or_default()),
            Inner::Text(Place::Gathered { len }) => Event::Text(self.message.text(len)),
            Inner::Binary(place) => Event::Binary(self.data(place)),
            Inner::Chunk { kind, place, first, fin } => Event::Chunk { kind, data: self.data(place), first, fin },
            Inner::Ping(payload) => Event::Ping(payload),
            Inner::Pong(payload) => Event::Pong(payload),
            Inner::CloseReceived(frame) => Event::CloseReceived(frame),
            Inner::Writable => Event::Writable,
            Inner::Closed(outcome) => Event::Closed(outcome),
        }
    }

    /// How many bytes have not been taken in yet.
    #[inline]
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.window.bytes().len().saturating_sub(self.at)
    }

    #[inline]
    fn data(&self, place: Place) -> &[u8] {
        match place {
            Place::Bytes { start, end } => self.window.bytes().get(start..end).unwrap_or_default(),
            Place::Gathered { len } => self.message.bytes(len),
        }
    }

    /// The bytes that have not been taken in yet.
    #[inline]
    pub(super) fn unread(&self) -> &[u8] {
        self.window.bytes().get(self.at..).unwrap_or_default()
    }

    pub(super) fn discard(&mut self) {
        self.at = self.window.bytes().len();
    }
}
