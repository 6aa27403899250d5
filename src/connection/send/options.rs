//! Options of a single message.
//!
//! [`SendOptions`] is passed by value to the methods whose names end in `_with`. A connection does not store the
//! options, so an option cannot apply to a later message by accident. `commands.rs`, `send_message.rs` and
//! `write_through.rs` apply the options.

/// Options of one message. Methods without options use the defaults.
///
/// The options apply only to the message with which they are passed. If the message is refused, they have no effect.
///
/// ```
/// # #[cfg(feature = "alloc")] {
/// # use hybi::{Config, Connection, Instant, Outbox};
/// use hybi::SendOptions;
///
/// const SECRET: SendOptions = SendOptions::new().compress(false);
///
/// let mut connection = Connection::server(Instant::ZERO, Config::new(), Outbox::new());
/// connection.send_with("the token is 3GOEp6qX", SECRET)?;
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SendOptions {
    /// See [`SendOptions::compress`].
    pub compress: bool,
}

impl SendOptions {
    /// Returns the defaults. Each setter names its default.
    #[must_use]
    pub const fn new() -> Self {
        Self { compress: true }
    }

    /// Sets whether the message may be compressed. On by default.
    ///
    /// If this option is off, the message is sent uncompressed, even if the handshake agreed on compression. Turn the
    /// option off for a message that contains a secret (RFC 7692 section 8): see
    /// [`manual::security`](crate::manual::security). If the option is on, `Config::compression` determines how the
    /// message is compressed.
    #[must_use]
    pub const fn compress(self, on: bool) -> Self {
        Self { compress: on }
    }
}

impl Default for SendOptions {
    fn default() -> Self {
        Self::new()
    }
}
