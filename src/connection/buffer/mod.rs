//! Memory of the receiving half: the bytes that arrived, and the message that is gathered.
//!
//! This folder owns the input cursor, the growth of memory and the proof that text is UTF-8. It knows nothing of
//! frames or limits; `receive/` decides what is consumed.
//!
//! | type | bytes that arrived | messages that do not lie there in one piece |
//! | --- | --- | --- |
//! | [`Input<&mut [u8], &mut M>`](Input) | lent for one call | `M`: a `VecMessage` or a [`SliceMessage`] |
//! | [`SliceInbox`] | lent, kept from one read to the next | [`SliceMessage`] |
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
pub(super) use inbox::WORTH_A_READ;
pub(super) use input::Arrived;
pub use input::Input;
pub use message_buffer::{MessageBuffer, SliceMessage};
pub use slice_inbox::SliceInbox;
#[cfg(feature = "alloc")]
pub use vec_message::VecMessage;
