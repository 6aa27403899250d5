//! Messages that own their data.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

use crate::connection::event::MessageKind;
use crate::error::SendError;
use crate::frame::Opcode;
use crate::kernel::Text;

/// A message that owns its data, in a shared buffer: to clone it costs a reference count.
///
/// ```
/// use hybi::{Message, Text};
///
/// let message = Message::from("what lives for ever, or is owned, is not copied");
/// assert_eq!(message.as_text().map(str::len), Some(message.len()));
/// let (name, borrowed) = ("grüezi".to_owned(), [1, 2, 3]);
/// assert_eq!(Message::from(Text::copied(&name)), name.into());
/// assert_eq!(Message::from(borrowed.to_vec()).as_text(), None);
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub enum Message {
    /// Text.
    Text(Text),
    /// Bytes.
    Binary(Bytes),
}

impl Message {
    /// Text or binary.
    #[must_use]
    pub const fn kind(&self) -> MessageKind {
        match self {
            Self::Text(_) => MessageKind::Text,
            Self::Binary(_) => MessageKind::Binary,
        }
    }

    /// The opcode of its first frame.
    pub(super) const fn opcode(&self) -> Opcode {
        match self {
            Self::Text(_) => Opcode::Text,
            Self::Binary(_) => Opcode::Binary,
        }
    }

    /// The payload.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// The text, if it is that.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }

    /// The length of the payload in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether the payload is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }

    /// The payload, without copying.
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

impl From<&'static str> for Message {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
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

/// An owned message that was not sent, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnsentMessage {
    /// Why it was refused.
    pub error: SendError,
    /// The message.
    pub message: Message,
}

impl fmt::Display for UnsentMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl core::error::Error for UnsentMessage {}
