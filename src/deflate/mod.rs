//! Compression of messages: permessage-deflate (RFC 7692), with the feature `deflate`.
//!
//! A connection compresses messages if [`Connection::with_deflate`](crate::Connection::with_deflate) was called with
//! the parameters that the handshake agreed on. This module contains:
//!
//! - [`Deflater`] and [`Inflater`], which a connection uses. Code that handles frames itself can use them directly.
//! - [`Compression`], the settings.
//! - [`Pool`], a pool of compressors and decompressors for many connections.
//!
//! The parameters are negotiated in [`handshake`](crate::handshake).
//! [`manual::compression`](crate::manual::compression) describes the costs and benefits.
//!
//! ```
//! use hybi::deflate::{Compression, Deflater, Inflater};
//!
//! let mut payload = Vec::new();
//! Deflater::new(15, true, &Compression::new()).deflate(b"Hello", true, &mut payload);
//! assert_eq!(payload, [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]); // RFC 7692 section 7.2.3.1
//!
//! let (mut inflater, mut space) = (Inflater::new(15, true), [0; 64]);
//! let end = inflater.finish(&payload, &mut space)?;
//! assert!(end.done);
//! assert_eq!(&space[..end.step.produced], b"Hello");
//! # Ok::<(), hybi::deflate::InvalidDeflate>(())
//! ```

mod deflater;
mod inflater;
mod pool;
mod window_copy;

use core::num::NonZeroU8;

use crate::frame::Role;
use crate::handshake::DeflateParams;

pub use deflater::{Compression, Deflater};
pub use inflater::{Finished, Inflater, InvalidDeflate, Step};
pub use pool::Pool;

/// The last four bytes of each compressed message. The sender removes them, and the receiver appends them again (RFC
/// 7692 sections 7.2.1 and 7.2.2).
const TAIL: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];

/// The reserved bit RSV1 in the notation of [`Header::rsv`](crate::frame::Header::rsv). On the first frame of a
/// message, RSV1 means that the message is compressed (RFC 7692 section 6).
pub(crate) const RSV1: u8 = 4;

/// Returns the maximum payload length of a compressed message of `len` bytes: a quarter more, plus 64 bytes.
///
/// Compression makes some data longer. The output of zlib comes closest to this bound if two conditions are true. The
/// memory level is low, so that blocks are short. The fixed Huffman code needs nine bits for each byte of the data.
pub(crate) const fn longest_payload(len: u64) -> u64 {
    len.saturating_add(len / 4).saturating_add(64)
}

/// The agreed parameters of one direction in one byte: the window bits, and whether there is context takeover.
///
/// The window bits are the base-2 logarithm of the window size. With context takeover a message may refer to the data
/// of earlier messages (RFC 7692 section 7.1.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Agreed(NonZeroU8);

impl Agreed {
    /// The bit that means context takeover.
    const TAKEOVER: u8 = 0x80;

    /// Returns the parameters for the messages that an endpoint in `role` sends.
    pub(crate) fn sent_by(role: Role, params: &DeflateParams) -> Self {
        let (bits, no_takeover) = match role {
            Role::Server => (params.server_window_bits(), params.server_no_context_takeover),
            Role::Client => (params.client_window_bits(), params.client_no_context_takeover),
        };
        let bits = NonZeroU8::MIN.saturating_add(bits.clamp(8, 15) - 1);
        Self(if no_takeover { bits } else { bits | Self::TAKEOVER })
    }

    /// Returns the base-2 logarithm of the window size.
    pub(crate) const fn window_bits(self) -> u8 {
        self.0.get() & !Self::TAKEOVER
    }

    /// Returns whether a message may refer to earlier messages.
    pub(crate) const fn takeover(self) -> bool {
        self.0.get() & Self::TAKEOVER != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s7692_7_1_each_direction_has_its_own_parameters() {
        let params = DeflateParams {
            server_no_context_takeover: true,
            client_no_context_takeover: false,
            server_max_window_bits: Some(8),
            client_max_window_bits: None,
        };
        let (server, client) =
            (Agreed::sent_by(Role::Server, &params), Agreed::sent_by(Role::Client, &params));
        assert_eq!((server.window_bits(), server.takeover()), (8, false));
        assert_eq!((client.window_bits(), client.takeover()), (15, true));
    }
}
