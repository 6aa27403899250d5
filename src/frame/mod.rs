//! Frames (RFC 6455 section 5): headers, masking, and a streaming codec. Only [`Encoder::client`] allocates, for the
//! masking keys.
//!
//! - [`Header`] encodes and decodes one header.
//! - [`Decoder`] splits a byte stream into frames. The stream may arrive in pieces of any length. The decoder enforces
//!   all rules that concern single frames and their order.
//! - [`Encoder`] writes frames and enforces the same rules when sending.
//! - [`Mask`] and [`MaskingKeys`] mask payloads.
//!
//! Use this layer for your own connection logic, for fuzzing, or for benchmarks. [`Connection`](crate::Connection)
//! handles messages, UTF-8, closing and limits.
//!
//! ```
//! use hybi::frame::{Decoder, Encoder, Item, MaskingKeys, Opcode, Role};
//!
//! // A client sends "Hello" in two fragments.
//! let mut encoder = Encoder::client(MaskingKeys::from_seed([7; 32]));
//! let mut wire = [0; 64];
//! let mut len = 0;
//! for (opcode, fin, payload) in [(Opcode::Text, false, "Hel"), (Opcode::Continuation, true, "lo")] {
//!     len += encoder.encode_into(opcode, fin, payload.as_bytes(), &mut wire[len..]).unwrap();
//! }
//!
//! // A server reads them byte by byte.
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
mod masking_keys;
mod opcode;

pub use crate::kernel::Mask;
pub use crate::role::Role;
pub use decoder::{Decoder, Item};
pub use encoder::{EncodeError, Encoder};
pub use header::{Header, MAX_CONTROL_PAYLOAD, MAX_HEADER_LEN, MAX_PAYLOAD_LEN};
pub use masking_keys::MaskingKeys;
pub use opcode::Opcode;

pub(crate) use encoder::write_frame;
pub(crate) use header::frame_len;
