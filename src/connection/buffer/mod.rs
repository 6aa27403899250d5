//! Memory of the receiving half: the read buffer and the message buffer.
//!
//! The read buffer holds the bytes that arrived. A message that lies in the read buffer in one piece is delivered from
//! there. The parts of any other message are gathered in the message buffer.
//!
//! This folder owns the input cursor, the growth of memory and the proof that text is UTF-8. It does not know frames or
//! limits: `receive/` decides how many bytes are consumed.
//!
//! | type | read buffer | message buffer |
//! | --- | --- | --- |
//! | [`Input<&mut [u8], &mut M>`](Input) | the caller's memory, for one batch of bytes | `M`: a `VecMessage` or a [`SliceMessage`] |
//! | [`SliceInbox`] | the caller's memory, for many reads | [`SliceMessage`] |
//! | `Inbox` | owned, grows | `VecMessage` |

#[cfg(feature = "alloc")]
mod inbox;
mod input;
mod message_buffer;
mod slice_inbox;
#[cfg(feature = "alloc")]
mod vec_message;

#[cfg(feature = "alloc")]
pub use inbox::Inbox;
#[cfg(feature = "alloc")]
pub(super) use inbox::MIN_DIRECT_READ;
pub(super) use input::Arrived;
pub use input::Input;
pub use message_buffer::{MessageBuffer, SliceMessage};
pub use slice_inbox::SliceInbox;
#[cfg(feature = "alloc")]
pub use vec_message::VecMessage;
