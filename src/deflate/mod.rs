//! Compression of messages: permessage-deflate (RFC 7692), with the feature `deflate`.
//!
//! A connection compresses once [`Machine::with_deflate`](crate::Machine::with_deflate) has told it what the
//! handshake agreed on, and not before. This module holds the two machines it does that with, for those who
//! bring frames of their own, what can be set, and the [`Pool`] that connections may share. How the
//! parameters are negotiated is in [`handshake`](crate::handshake); what it costs, and when it pays, in
//! [`manual::compression`](crate::manual::compression).
//!
//! ```
//! use hybi::deflate::{Compression, Deflater, Inflater};
//!
//! let mut payload = Vec::new();
//! Deflater::new(15, true, &Compression::new()).deflate(b"Hello", true, &mut payload);
//! assert_eq!(payload, [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]); // RFC 7692 section 7.2.3.1
//!
//! let (mut inflater, mut room) = (Inflater::new(15, true), [0; 64]);
//! let end = inflater.finish(&payload, &mut room)?;
//! assert!(end.done);
//! assert_eq!(&room[..end.step.produced], b"Hello");
//! # Ok::<(), hybi::deflate::InvalidDeflate>(())
//! ```

#[expect(
    clippy::module_inception,
    reason = "the extension, and the one of its two directions that bears its name"
)]
mod deflate;
mod history;
mod inflate;
mod pool;

use core::num::NonZeroU8;

use crate::frame::Role;
use crate::handshake::DeflateParams;

pub use deflate::{Compression, Deflater};
pub use inflate::{Finished, Inflater, InvalidDeflate, Step};
pub use pool::Pool;

/// What a message ends with before it is sent, and without which it is sent (RFC 7692 section 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];

/// RSV1, which on the first frame of a message says that it is compressed (RFC 7692 section 6).
pub(crate) const RSV1: u8 = 4;

/// The longest payload that `len` bytes which do not compress become: a quarter and 64 bytes longer.
///
/// zlib comes nearest to it with little memory, where blocks are short, and with bytes that the fixed code has nine bits
/// for.
pub(crate) const fn longest_payload(len: u64) -> u64 {
    len.saturating_add(len / 4).saturating_add(64)
}

/// What was agreed on for one direction, in one byte: bits of the window, and whether context is taken over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Agreed(NonZeroU8);

impl Agreed {
    const TAKEOVER: u8 = 0x80;

    /// For what an endpoint in `role` sends.
    pub(crate) fn sent_by(role: Role, params: &DeflateParams) -> Self {
        let (bits, no_takeover) = match role {
            Role::Server => (params.server_window_bits(), params.server_no_context_takeover),
            Role::Client => (params.client_window_bits(), params.client_no_context_takeover),
        };
        let bits = NonZeroU8::MIN.saturating_add(bits.clamp(8, 15) - 1);
        Self(if no_takeover { bits } else { bits | Self::TAKEOVER })
    }

    pub(crate) const fn window_bits(self) -> u8 {
        self.0.get() & !Self::TAKEOVER
    }

    pub(crate) const fn takeover(self) -> bool {
        self.0.get() & Self::TAKEOVER != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s7_1_each_direction_has_parameters_of_its_own() {
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
