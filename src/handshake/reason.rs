//! The reasons for which a server rejects a request, each with its status code and its text.
//!
//! `incoming` checks requests and finds the reasons. `http_response` writes the response. The text of a reason is sent
//! to the client as the body of the response, so the text contains nothing about the server.

use core::fmt;

use super::head::HeadError;

/// The reason why a server rejects a request: the violated rule, and the header that violates it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The bytes are not a valid HTTP/1.1 head, or exceed a limit.
    Head(HeadError),
    /// The request was not complete before the deadline.
    Timeout,
    /// The version is HTTP/1.0.
    HttpVersion,
    /// The method is not GET.
    Method,
    /// The target is neither a path nor an absolute http, https, ws or wss URI.
    Target,
    /// `Host` is missing.
    HostMissing,
    /// `Host` is repeated.
    HostRepeated,
    /// `Host` is empty or not an authority.
    HostInvalid,
    /// No `Upgrade` header lists `websocket`, so the request is plain HTTP.
    NotAnUpgrade,
    /// `Connection` does not contain the token `upgrade`.
    Connection,
    /// `Content-Length` or `Transfer-Encoding` announces a body.
    Body,
    /// `Sec-WebSocket-Key` is missing.
    KeyMissing,
    /// `Sec-WebSocket-Key` is repeated.
    KeyRepeated,
    /// `Sec-WebSocket-Key` is not the base64 of 16 bytes.
    KeyInvalid,
    /// `Sec-WebSocket-Version` is missing.
    VersionMissing,
    /// `Sec-WebSocket-Version` is repeated.
    VersionRepeated,
    /// `Sec-WebSocket-Version` is not a number from 0 to 255.
    VersionInvalid,
    /// `Sec-WebSocket-Version` is not 13.
    VersionUnsupported,
    /// `Sec-WebSocket-Protocol` is not a list of tokens.
    SubprotocolInvalid,
    /// `Sec-WebSocket-Protocol` names a subprotocol twice.
    SubprotocolRepeated,
    /// `Sec-WebSocket-Protocol` names more subprotocols than
    /// [`Request::MAX_SUBPROTOCOLS`](super::Request::MAX_SUBPROTOCOLS).
    SubprotocolsTooMany,
    /// `Sec-WebSocket-Extensions` is malformed.
    Extensions,
    /// `Origin` is repeated.
    OriginRepeated,
    /// `Origin` is not ASCII.
    OriginInvalid,
    /// `Origin` is not in the list that the server allows.
    OriginNotAllowed,
}

impl Reason {
    /// Returns the status code of the response.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Head(HeadError::StartLineTooLong) => 414,
            Self::Head(HeadError::TooLarge | HeadError::TooManyHeaders) => 431,
            Self::Timeout => 408,
            Self::Method => 405,
            // RFC 6455 4.2.2 and 4.4, RFC 9110 15.5.22: the client must use another protocol or version.
            Self::NotAnUpgrade | Self::VersionUnsupported => 426,
            // RFC 6455 4.2.2 (1), 10.2: the status for an origin that is not allowed.
            Self::OriginNotAllowed => 403,
            _ => 400,
        }
    }
}

impl From<HeadError> for Reason {
    fn from(error: HeadError) -> Self {
        Self::Head(error)
    }
}

impl core::error::Error for Reason {
    /// Returns the error in the bytes of the head, which [`Display`](fmt::Display) shows as well.
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Head(error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Each text has three parts: the error, the clause of the RFC, and the advice.
        let [error, clause, advice] = match self {
            Self::Head(head) => return head.fmt(f),
            Self::Timeout => {
                ["the opening handshake took too long", "RFC 9110 15.5.9", "send the whole request at once"]
            }
            // Hardly any client sends HTTP/1.0, but nginx before 1.29.7 by default uses it to forward requests.
            Self::HttpVersion => [
                "the request is HTTP/1.0, probably because a proxy has converted it",
                "RFC 6455 4.2.1 (1)",
                "let the proxy before the server speak HTTP/1.1 (nginx: `proxy_http_version 1.1`)",
            ],
            Self::Method => ["the method is not GET", "RFC 6455 4.2.1 (1)", "use GET"],
            Self::Target => {
                ["the request target is malformed", "RFC 6455 4.2.1 (1)", "send a path or an absolute ws URI"]
            }
            Self::HostMissing => {
                ["Host is missing", "RFC 6455 4.2.1 (2)", "send `Host` with the name of the server"]
            }
            Self::HostRepeated => ["Host is repeated", "RFC 9112 3.2", "send it once"],
            Self::HostInvalid => ["Host is empty or invalid", "RFC 9112 3.2", "send host or host:port"],
            Self::NotAnUpgrade => [
                "Upgrade is missing or does not list websocket",
                "RFC 6455 4.2.1 (3)",
                "this is a WebSocket endpoint: send `Upgrade: websocket`, and let proxies on the way forward it",
            ],
            Self::Connection => [
                "Connection is missing or does not list Upgrade",
                "RFC 6455 4.2.1 (4)",
                "send `Connection: Upgrade`, and let proxies on the way forward it",
            ],
            Self::Body => [
                "Content-Length or Transfer-Encoding announces a body",
                "RFC 9112 6",
                "send no body with a handshake",
            ],
            Self::KeyMissing => {
                ["Sec-WebSocket-Key is missing", "RFC 6455 4.2.1 (5)", "send the base64 of 16 random bytes"]
            }
            Self::KeyRepeated => ["Sec-WebSocket-Key is repeated", "RFC 6455 11.3.1", "send it once"],
            Self::KeyInvalid => {
                ["Sec-WebSocket-Key is invalid", "RFC 6455 4.2.1 (5)", "send the base64 of 16 random bytes"]
            }
            Self::VersionMissing => ["Sec-WebSocket-Version is missing", "RFC 6455 4.2.1 (6)", "send 13"],
            Self::VersionRepeated => ["Sec-WebSocket-Version is repeated", "RFC 6455 11.3.5", "send 13 once"],
            Self::VersionInvalid => ["Sec-WebSocket-Version is invalid", "RFC 6455 4.1 (9)", "send 13"],
            Self::VersionUnsupported => ["Sec-WebSocket-Version is not supported", "RFC 6455 4.4", "send 13"],
            Self::SubprotocolInvalid => [
                "Sec-WebSocket-Protocol is malformed",
                "RFC 6455 4.1 (10)",
                "send tokens, separated by commas, or leave it out",
            ],
            Self::SubprotocolRepeated => {
                ["Sec-WebSocket-Protocol names a subprotocol twice", "RFC 6455 4.1 (10)", "send each once"]
            }
            Self::SubprotocolsTooMany => {
                ["Sec-WebSocket-Protocol names too many subprotocols", "RFC 6455 10.4", "send fewer"]
            }
            Self::Extensions => [
                "Sec-WebSocket-Extensions is malformed",
                "RFC 6455 9.1",
                "send `name; param=token`, separated by commas, or leave it out",
            ],
            Self::OriginRepeated => ["Origin is repeated", "RFC 6454 7.3", "send it once"],
            Self::OriginInvalid => ["Origin is not ASCII", "RFC 6454 6.2", "send its ASCII serialisation"],
            Self::OriginNotAllowed => {
                ["Origin is not allowed", "RFC 6455 4.2.2 and 10.2", "the server must allow this origin"]
            }
        };
        write!(f, "{error} ({clause}): {advice}")
    }
}
