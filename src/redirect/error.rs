//! [`RedirectError`]: the reason why a client does not follow a redirect.
//!
//! Invariant: an error contains no part of a URL, because the query of a URL can be a credential.

use core::fmt;

use crate::handshake::UrlError;

/// The reason why a client that follows redirects does not follow a particular redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RedirectError {
    /// There were more redirects than the client follows.
    TooMany {
        /// The maximum number of redirects that the client follows.
        max: u32,
    },
    /// The response has no `Location` (RFC 9110 section 10.2.2).
    LocationMissing,
    /// The response has more than one `Location` (RFC 9110 section 5.3).
    LocationRepeated,
    /// `Location` does not lead to a WebSocket URL.
    Location(UrlError),
    /// The redirect leads from `wss` to `ws`.
    NotEncrypted,
    /// This redirect or an earlier one leads to another server. The server of the next URL would see the client
    /// certificate of the TLS configuration.
    ClientCertificate,
    /// The redirect leads to another server, which would see the subprotocols of the client.
    Subprotocols,
}

impl fmt::Display for RedirectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooMany { max } => {
                return write!(
                    f,
                    "the server redirects more than {max} times (RFC 9110 15.4): look for a loop, or raise the \
                     number of redirects"
                );
            }
            Self::Location(error) => return write!(f, "Location cannot be used: {error}"),
            Self::LocationMissing => {
                "the redirect has no Location (RFC 9110 10.2.2): correct the server, or read the body of the response"
            }
            Self::LocationRepeated => {
                "the redirect has more than one Location (RFC 9110 5.3): correct the server, or connect to one of them"
            }
            Self::NotEncrypted => {
                "the redirect leads from wss to ws, which is not encrypted (RFC 6455 10.6): correct the server"
            }
            Self::ClientCertificate => {
                "the redirect leads to another server, and the client has a certificate (RFC 9110 15.4): connect to \
                 that server with its own TLS configuration"
            }
            Self::Subprotocols => {
                "the redirect leads to another server, which would see the subprotocols (RFC 9110 15.4): connect to \
                 that server, or call Client::redirect_subprotocols if no subprotocol is a secret"
            }
        })
    }
}

impl core::error::Error for RedirectError {
    /// Returns the inner error, which [`Display`](fmt::Display) shows as well.
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Location(error) => Some(error),
            _ => None,
        }
    }
}

impl From<UrlError> for RedirectError {
    fn from(error: UrlError) -> Self {
        Self::Location(error)
    }
}
