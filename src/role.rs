//! The role of an endpoint: client or server.

/// The role of one endpoint of a connection.
///
/// A client masks all frames that it sends, and a server masks none (RFC 6455 section 5.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Role {
    /// The endpoint that receives masked frames and sends unmasked frames.
    Server,
    /// The endpoint that receives unmasked frames and sends masked frames.
    Client,
}

impl Role {
    /// Returns the role of the peer.
    #[must_use]
    pub const fn peer(self) -> Self {
        match self {
            Self::Server => Self::Client,
            Self::Client => Self::Server,
        }
    }
}
