//! Messages that own their data.
//!
//! A [`Message`] holds text or bytes in a shared buffer. A receiver can return a `Message` instead of an event that
//! borrows from its input. A sender accepts a `Message` and does not copy a large payload. If a message could not be
//! sent, [`UnsentMessage`] returns it to the caller.
//!
//! Invariant: text in a [`Message`] is valid UTF-8, by its type.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

use crate::connection::event::MessageKind;
use crate::error::SendError;
use crate::frame::Opcode;
use crate::kernel::Text;

/// A message that owns its data in a shared buffer. A clone shares the buffer and only increments a reference count.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub enum Message {
    /// Text.
    Text(Text),
    /// Bytes.
    Binary(Bytes),
}

impl Message {
    /// Returns a text message of a `'static` string, without a copy.
    ///
    /// ```
    /// use hybi::Message;
    ///
    /// const GREETING: Message = Message::from_static("hello");
    /// assert_eq!(GREETING, Message::from("hello"));
    /// ```
    #[must_use]
    pub const fn from_static(text: &'static str) -> Self {
        Self::Text(Text::from_static(text))
    }

    /// Returns whether this is text or binary.
    #[must_use]
    pub const fn kind(&self) -> MessageKind {
        match self {
            Self::Text(_) => MessageKind::Text,
            Self::Binary(_) => MessageKind::Binary,
        }
    }

    /// Returns the opcode of the message's first frame.
    pub(super) const fn opcode(&self) -> Opcode {
        match self {
            Self::Text(_) => Opcode::Text,
            Self::Binary(_) => Opcode::Binary,
        }
    }

    /// Returns the payload.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// Returns the text; `None` for a binary message.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }

    /// Returns the length of the payload in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Returns whether the payload is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }

    /// Returns the payload without copying it.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

/// Copies the text.
impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

/// Copies the bytes, into a binary message.
impl From<&[u8]> for Message {
    fn from(bytes: &[u8]) -> Self {
        Self::Binary(Bytes::copy_from_slice(bytes))
    }
}

impl From<Text> for Message {
    fn from(text: Text) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes.into())
    }
}

impl From<Bytes> for Message {
    fn from(bytes: Bytes) -> Self {
        Self::Binary(bytes)
    }
}

/// An owned message that was not sent, with the reason.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnsentMessage {
    /// The reason why the message was not sent.
    pub error: SendError,
    /// The message, unchanged.
    pub message: Message,
}

impl fmt::Display for UnsentMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl core::error::Error for UnsentMessage {
    /// Returns the inner error, which [`Display`](fmt::Display) shows as well.
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&self.error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_made_of_text_and_bytes_whether_owned_or_borrowed() {
        let text = Message::Text(Text::from_static("grüezi"));
        let owned = String::from("grüezi");
        assert_eq!(
            [Message::from("grüezi"), Message::from(&*owned), Message::from(owned)],
            [text.clone(), text.clone(), text.clone()]
        );
        let data = Message::Binary(Bytes::from_static(b"\xff\x00"));
        let owned = Vec::from(*b"\xff\x00");
        assert_eq!(Message::from(&owned[..]), data);
        assert_eq!(Message::from(owned), data);
        assert_eq!(Message::from(data.clone().into_bytes()), data);
        assert_eq!((text.kind(), data.kind()), (MessageKind::Text, MessageKind::Binary));
    }

    #[test]
    fn a_static_text_and_owned_memory_are_not_copied() {
        const TEXT: &str = "never copied";
        assert_eq!(Message::from_static(TEXT).as_bytes().as_ptr(), TEXT.as_ptr());
        let (text, data) = (String::from("moved"), Vec::from(*b"moved"));
        let (text_at, data_at) = (text.as_ptr(), data.as_ptr());
        assert_eq!(Message::from(text).as_bytes().as_ptr(), text_at);
        assert_eq!(Message::from(data).as_bytes().as_ptr(), data_at);
    }
}
