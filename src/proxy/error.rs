//! The reasons why a proxy opened no tunnel.
//!
//! Invariant: no error contains a user or a password.

use alloc::boxed::Box;
use core::fmt;

use super::refusal::ProxyRefusal;
use crate::handshake::HeadError;

/// The reason why a tunnel cannot be requested, or was not opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyError {
    /// The host of the target is not a name or an IP address (RFC 3986 section 3.2.2).
    Target,
    /// The name of the target is longer than 255 bytes, which SOCKS5 cannot transport (RFC 1928 section 5).
    NameTooLong,
    /// The proxy's scheme is `socks5`, and the target is a name. The client must resolve this name.
    NeedsAddress,
    /// The opening handshake has the header `Proxy-Authorization`, which would go through the tunnel to the server (RFC
    /// 9110 section 11.7.2).
    AuthorizationHeader,
    /// The proxy is an `https` proxy, and could ask for the client certificate that is meant for the server (RFC 8446
    /// section 4.3.2).
    ClientCertificate,

    /// The answer does not begin with `HTTP/`.
    NotHttp,
    /// The response is not a valid HTTP/1.1 head, or exceeds a limit.
    Head(HeadError),
    /// The proxy answered CONNECT with status 101, although the request has no `Upgrade` header.
    SwitchedProtocols,
    /// The HTTP proxy answered with a status other than 2xx.
    Refused(Box<ProxyRefusal>),

    /// An answer of the SOCKS proxy begins with this byte instead of the version 5.
    NotSocks5(u8),
    /// The SOCKS proxy accepts none of the offered authentication methods.
    NoMethod {
        /// Whether user and password were offered.
        credentials: bool,
    },
    /// The SOCKS proxy chose this authentication method, which was not offered.
    MethodNotOffered(u8),
    /// The answer to user and password begins with this byte instead of the version 1.
    LoginVersion(u8),
    /// The SOCKS proxy does not accept user and password. The number is the status in its answer.
    LoginRefused(u8),
    /// The SOCKS proxy closed the connection instead of answering user and password, which it probably does not accept.
    LoginClosed,
    /// The SOCKS proxy could not or would not connect to the target.
    Socks(SocksFailure),
    /// The reserved byte in the reply of the SOCKS proxy has this value instead of 0.
    Reserved(u8),
    /// The reply of the SOCKS proxy has an address of this unknown type.
    AddressType(u8),

    /// The proxy closed the connection without an answer.
    NoAnswer,
    /// The proxy closed the connection in the middle of an answer.
    Truncated,
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Target => {
                "the host of the tunnel's target is invalid (RFC 3986 3.2.2): pass a name in ASCII or an IP address"
            }
            Self::NameTooLong => {
                "the name of the tunnel's target is longer than 255 bytes (RFC 1928 5): pass its IP address"
            }
            Self::NeedsAddress => {
                "a socks5 proxy gets the IP address of the target (RFC 1928 5): resolve the name, or write socks5h for \
                 a proxy that resolves names"
            }
            Self::AuthorizationHeader => {
                "the header Proxy-Authorization would go through the tunnel to the server (RFC 9110 11.7.2): remove \
                 it, and write user and password in the URL of the proxy"
            }
            Self::ClientCertificate => {
                "the https proxy could ask for the client certificate that is meant for the server (RFC 8446 4.3.2): \
                 call Client::proxy_tls or proxy_native_tls with the configuration for the proxy"
            }
            Self::NotHttp => {
                "the answer of the proxy is not HTTP (RFC 9112 4): check host and port of the proxy, and write \
                 https:// for a proxy that speaks TLS, or socks5h:// for a SOCKS5 proxy"
            }
            Self::Head(error) => return write!(f, "the response of the proxy is invalid: {error}"),
            Self::SwitchedProtocols => {
                "the proxy answered CONNECT with status 101 (RFC 9110 7.8): use a proxy that supports CONNECT"
            }
            Self::Refused(response) => return response.fmt(f),
            Self::NotSocks5(first) => return write_not_socks(f, *first),
            Self::NoMethod { credentials: true } => {
                "the SOCKS proxy accepts neither user and password nor clients without them (RFC 1928 3): allow one of \
                 these two methods in the proxy"
            }
            Self::NoMethod { credentials: false } => {
                "the SOCKS proxy requires authentication (RFC 1928 3): write user and password in its URL, as \
                 socks5h://user:password@host:port"
            }
            Self::MethodNotOffered(byte)
            | Self::LoginVersion(byte)
            | Self::LoginRefused(byte)
            | Self::Reserved(byte)
            | Self::AddressType(byte) => return self.write_with(f, *byte),
            Self::LoginClosed => {
                "the SOCKS proxy refused user and password by closing the connection (RFC 1929 2): check them in its \
                 URL, and look into the proxy's log"
            }
            Self::Socks(failure) => return failure.fmt(f),
            Self::NoAnswer => {
                "the proxy closed the connection without an answer: check scheme, host and port of the proxy, and \
                 whether it lets this client connect"
            }
            Self::Truncated => {
                "the proxy closed the connection in the middle of its answer: try again, and look into the proxy's log"
            }
        })
    }
}

impl ProxyError {
    /// Writes the text of an error that contains a byte of the answer of a SOCKS proxy.
    fn write_with(&self, f: &mut fmt::Formatter<'_>, byte: u8) -> fmt::Result {
        let [before, after] = match self {
            Self::MethodNotOffered(_) => [
                "the SOCKS proxy chose the authentication method ",
                ", which was not offered (RFC 1928 3): check that this is a SOCKS5 proxy",
            ],
            Self::LoginVersion(_) => [
                "the SOCKS proxy answered user and password with version ",
                " instead of 1 (RFC 1929 2): check that this is a SOCKS5 proxy",
            ],
            Self::LoginRefused(_) => [
                "the SOCKS proxy refused user and password with status ",
                " (RFC 1929 2): check them in its URL",
            ],
            Self::Reserved(_) => [
                "the reserved byte in the reply of the SOCKS proxy is ",
                " instead of 0 (RFC 1928 6): check that this is a SOCKS5 proxy",
            ],
            Self::AddressType(_) => [
                "the reply of the SOCKS proxy has the unknown address type ",
                " (RFC 1928 6): check that this is a SOCKS5 proxy",
            ],
            _ => ["", ""],
        };
        write!(f, "{before}{byte}{after}")
    }
}

/// Writes the text of [`ProxyError::NotSocks5`].
fn write_not_socks(f: &mut fmt::Formatter<'_>, first: u8) -> fmt::Result {
    let advice = match first {
        // SOCKS4 replies begin with the version 0.
        0 | 4 => "it may speak SOCKS4, which this crate does not support, so use a SOCKS5 proxy",
        b'H' => "it seems to speak HTTP, so write http:// in its URL",
        0x15 | 0x16 => "it seems to speak TLS, so write https:// in the URL if it is an HTTP proxy",
        _ => "check host and port of the proxy, and write http:// if it is an HTTP proxy",
    };
    write!(f, "the answer of the proxy begins with byte {first} and is not SOCKS5 (RFC 1928 3): {advice}")
}

impl core::error::Error for ProxyError {
    /// Returns the inner error, which [`Display`](fmt::Display) shows as well.
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Head(error) => Some(error),
            Self::Socks(failure) => Some(failure),
            _ => None,
        }
    }
}

/// The reason that a SOCKS proxy gives for not connecting to the target (RFC 1928 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SocksFailure {
    /// 1: general SOCKS server failure.
    General,
    /// 2: connection not allowed by ruleset.
    NotAllowed,
    /// 3: network unreachable.
    NetworkUnreachable,
    /// 4: host unreachable.
    HostUnreachable,
    /// 5: connection refused.
    ConnectionRefused,
    /// 6: TTL expired.
    TtlExpired,
    /// 7: command not supported.
    CommandNotSupported,
    /// 8: address type not supported.
    AddressTypeNotSupported,
    /// Another code, which RFC 1928 does not assign.
    Unassigned(u8),
}

impl SocksFailure {
    /// Returns the failure with this reply code, or `None` for 0, which is success.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => return None,
            1 => Self::General,
            2 => Self::NotAllowed,
            3 => Self::NetworkUnreachable,
            4 => Self::HostUnreachable,
            5 => Self::ConnectionRefused,
            6 => Self::TtlExpired,
            7 => Self::CommandNotSupported,
            8 => Self::AddressTypeNotSupported,
            code => Self::Unassigned(code),
        })
    }

    /// Returns the reply code.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::General => 1,
            Self::NotAllowed => 2,
            Self::NetworkUnreachable => 3,
            Self::HostUnreachable => 4,
            Self::ConnectionRefused => 5,
            Self::TtlExpired => 6,
            Self::CommandNotSupported => 7,
            Self::AddressTypeNotSupported => 8,
            Self::Unassigned(code) => code,
        }
    }
}

impl fmt::Display for SocksFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [why, advice] = match self {
            Self::General => {
                ["because of a general failure", "check the server's name, and look into the proxy's log"]
            }
            Self::NotAllowed => {
                ["because its rules do not allow it", "let the rules allow the server and its port"]
            }
            Self::NetworkUnreachable => [
                "because the server's network is unreachable",
                "check the server's address, and the network of the proxy",
            ],
            Self::HostUnreachable => [
                "because the server's host is unreachable",
                "check the server's name, and whether the proxy can resolve it",
            ],
            Self::ConnectionRefused => [
                "because the server refused the connection",
                "check the server's port, and whether the server runs",
            ],
            Self::TtlExpired => {
                ["because packets to the server expired on the way", "check the routes of the proxy"]
            }
            Self::CommandNotSupported => ["because it does not support CONNECT", "use another proxy"],
            Self::AddressTypeNotSupported => [
                "because it does not support this type of address",
                "write socks5h to pass names, socks5 to pass addresses, or use an IPv4 address",
            ],
            Self::Unassigned(_) => ["for a reason that no RFC defines", "look into the proxy's log"],
        };
        let code = self.code();
        write!(f, "the SOCKS proxy opened no tunnel {why}, reply code {code} (RFC 1928 6): {advice}")
    }
}

impl core::error::Error for SocksFailure {}
