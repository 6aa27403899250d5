//! The server to which a tunnel leads: [`ProxyTarget`].
//!
//! Invariant: the name in a [`ProxyTarget`] is a registered name in ASCII without percent-encoding. So it can be
//! written into a request head without a further check.

use core::fmt;
use core::net::{IpAddr, SocketAddr};

use super::error::ProxyError;
use crate::handshake::{WsUrl, split_authority};

/// The server to which a tunnel leads: a name or an IP address, and a port.
///
/// ```
/// use hybi::handshake::WsUrl;
/// use hybi::proxy::{ProxyError, ProxyTarget};
///
/// let url = WsUrl::parse("wss://example.com/chat")?;
/// assert_eq!(ProxyTarget::from_url(&url).to_string(), "example.com:443");
/// assert_eq!(ProxyTarget::new("::1", 80)?.to_string(), "[::1]:80");
/// assert_eq!(ProxyTarget::new("a\r\nHost: b", 80), Err(ProxyError::Target));
/// let resolved: core::net::SocketAddr = "192.0.2.1:443".parse()?; // for a `socks5` proxy
/// assert_eq!(ProxyTarget::from(resolved).to_string(), "192.0.2.1:443");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProxyTarget<'a> {
    pub(super) host: TargetHost<'a>,
    pub(super) port: u16,
}

/// The host of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum TargetHost<'a> {
    Name(&'a str),
    Address(IpAddr),
}

impl<'a> ProxyTarget<'a> {
    /// Returns the target `host` at `port`. The host is a name or an IP address. Brackets around an IPv6 address may be
    /// missing.
    ///
    /// # Errors
    ///
    /// [`ProxyError::Target`] if the host is empty, not ASCII, or has a character that no host contains.
    pub fn new(host: &'a str, port: u16) -> Result<Self, ProxyError> {
        let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        if let Ok(address) = address.parse() {
            return Ok(Self { host: TargetHost::Address(address), port });
        }
        match split_authority(host) {
            Ok((name, "")) if name == host && !name.contains('%') => {
                Ok(Self { host: TargetHost::Name(host), port })
            }
            _ => Err(ProxyError::Target),
        }
    }

    /// Returns the server of `url`.
    #[must_use]
    pub fn from_url(url: &WsUrl<'a>) -> Self {
        let host = url.host_for_connect();
        // `WsUrl` has checked the host.
        let host = host.parse().map_or(TargetHost::Name(host), TargetHost::Address);
        Self { host, port: url.port() }
    }
}

impl From<SocketAddr> for ProxyTarget<'_> {
    /// Returns the target with this address. The scope of an IPv6 address is left out, because it has no meaning on
    /// another host.
    fn from(address: SocketAddr) -> Self {
        Self { host: TargetHost::Address(address.ip()), port: address.port() }
    }
}

impl fmt::Display for ProxyTarget<'_> {
    /// Writes host and port in authority form (RFC 9112 section 3.2.3). An IPv6 address is in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host {
            TargetHost::Name(name) => write!(f, "{name}:{}", self.port),
            TargetHost::Address(address) => write!(f, "{}", SocketAddr::new(address, self.port)),
        }
    }
}
