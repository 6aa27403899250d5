//! The preferences of a server for permessage-deflate (RFC 7692 section 7.1).
//!
//! `permessage_deflate.rs` answers the offer of a client with these preferences.

use super::setters::setters;

/// The preferences of a server for permessage-deflate. If an offer asks for a smaller window, or for no context
/// takeover, the server agrees to the wish of the client.
///
/// With context takeover, a message may refer to the data of earlier messages. Without it, each message starts with an
/// empty window.
///
/// ```
/// use hybi::handshake::{DeflateConfig, negotiate_offer};
///
/// let config = DeflateConfig::new().client_max_window_bits(10);
/// let offer: &[u8] = b"permessage-deflate; client_max_window_bits";
/// let agreed = negotiate_offer([offer], &config)?;
/// assert!(agreed.is_some_and(|params| params.client_max_window_bits == Some(10)));
/// # Ok::<(), hybi::handshake::Malformed>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct DeflateConfig {
    /// Whether the server starts each sent message with an empty window; false by default.
    pub server_no_context_takeover: bool,
    /// Whether the client is asked to start each message with an empty window; false by default.
    pub client_no_context_takeover: bool,
    /// The base-2 logarithm of the window size that the server compresses with, 8 to 15; 15 by default.
    ///
    /// A value outside this range counts as the nearest value in the range.
    pub server_max_window_bits: u8,
    /// The base-2 logarithm of the window size that the client is asked to compress with, 8 to 15; 15 by default.
    ///
    /// A value outside this range counts as the nearest value in the range. The server cannot limit the window of a
    /// client whose offer does not contain `client_max_window_bits`.
    pub client_max_window_bits: u8,
}

impl DeflateConfig {
    /// Returns the defaults: context takeover and windows of 15 bits (32 KiB) in both directions.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            server_max_window_bits: 15,
            client_max_window_bits: 15,
        }
    }

    setters! {
        "Returns this configuration",
        server_no_context_takeover: bool,
        client_no_context_takeover: bool,
        server_max_window_bits: u8,
        client_max_window_bits: u8
    }
}

impl Default for DeflateConfig {
    fn default() -> Self {
        Self::new()
    }
}
