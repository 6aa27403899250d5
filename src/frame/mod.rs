//! Frames (RFC 6455 section 5): headers, masking, and a streaming codec, without an allocator.
//!
//! This is the layer for those who bring their own connection logic, and for fuzzing and
//! benchmarks. [`Header`] reads and writes the header alone; [`Decoder`] walks a byte stream that
//! may be cut anywhere and enforces what can be judged by frames; [`Encoder`] is its counterpart;
//! [`Mask`] and [`MaskingKeys`] do the masking. Messages, UTF-8, closing and limits on messages are
//! the business of [`connection`](crate::connection).
//!
//! ```
//! use hybi::frame::{Decoder, Encoder, Item, MaskingKeys, Opcode, Role};
//!
//! // A client sends "Hello" in two fragments ...
//! let mut encoder = Encoder::client(MaskingKeys::from_seed([7; 32]));
//! let mut wire = [0; 64];
//! let mut len = 0;
//! for (opcode, fin, payload) in [(Opcode::Text, false, "Hel"), (Opcode::Continuation, true, "lo")] {
//!     len += encoder.encode_into(opcode, fin, payload.as_bytes(), &mut wire[len..]).unwrap();
//! }
//!
//! // ... and a server reads them byte by byte.
//! let mut decoder = Decoder::new(Role::Server);
//! let mut text = String::new();
//! for byte in wire[..len].chunks_mut(1) {
//!     let mut input = byte;
//!     while let Some(item) = decoder.decode(&mut input).unwrap() {
//!         if let Item::Payload { data, .. } = item {
//!             text.push_str(core::str::from_utf8(data).unwrap());
//!         }
//!     }
//! }
//! assert_eq!(text, "Hello");
//! ```

mod decoder;
mod encoder;
mod header;
mod mask;
mod masking_keys;
mod opcode;

pub use decoder::{Decoder, Item};
pub use encoder::{EncodeError, Encoder};
pub use header::{Header, MAX_CONTROL_PAYLOAD, MAX_HEADER_LEN, MAX_PAYLOAD_LEN};
pub use mask::Mask;
pub use masking_keys::MaskingKeys;
pub use opcode::Opcode;

pub(crate) use encoder::write_frame;
pub(crate) use header::frame_len;

/// Which end of the connection this is. RFC 6455 section 5.1: a client masks all that it sends, a
/// server nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Role {
    /// Receives masked frames and sends unmasked ones.
    Server,
    /// Receives unmasked frames and sends masked ones.
    Client,
}

impl Role {
    /// The role of the other end.
    #[must_use]
    pub const fn peer(self) -> Self {
        match self {
            Self::Server => Self::Client,
            Self::Client => Self::Server,
        }
    }
}
