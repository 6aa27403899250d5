//! The URL of a proxy: scheme, user, password, host and port.
//!
//! [`ProxyUrl::parse`] decodes user and password, and checks that the scheme can transport them. So no later step has
//! to refuse a user or a password.
//!
//! Invariants:
//! - User and password appear in no `Debug` output, no `Display` output and no error.
//! - The user of a SOCKS proxy has 1 to 255 bytes, and the password 0 to 255. RFC 1929 section 2 requires a password of
//!   at least 1 byte. The password may be empty here, because some services use a token as the user, and proxies accept
//!   an empty password.
//! - The credentials of an HTTP proxy have no control character, and the user has no colon (RFC 7617 section 2).

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use crate::handshake::{UrlError, is_target_byte, split_authority};

/// The scheme of a proxy's URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProxyScheme {
    /// `http`: HTTP CONNECT (RFC 9110 section 9.3.6).
    Http,
    /// `https`: HTTP CONNECT over TLS to the proxy.
    Https,
    /// `socks5`: SOCKS5 (RFC 1928). The client resolves the name of the server.
    Socks5,
    /// `socks5h`: SOCKS5 (RFC 1928). The proxy resolves the name of the server. `socks` means the same.
    Socks5h,
}

impl ProxyScheme {
    /// Returns the name as written in a URL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Socks5 => "socks5",
            Self::Socks5h => "socks5h",
        }
    }

    /// Returns whether the proxy speaks SOCKS5.
    #[must_use]
    pub const fn is_socks(self) -> bool {
        matches!(self, Self::Socks5 | Self::Socks5h)
    }

    /// Returns the port of a URL without a port: 80 for `http`, 443 for `https`, 1080 for SOCKS (RFC 1928 section 3).
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
            Self::Socks5 | Self::Socks5h => 1080,
        }
    }

    /// Returns the scheme with this name. Upper and lower case make no difference.
    fn parse(name: &str) -> Result<Self, ProxyUrlError> {
        let is = |scheme: &str| name.eq_ignore_ascii_case(scheme);
        match () {
            () if is("http") => Ok(Self::Http),
            () if is("https") => Ok(Self::Https),
            () if is("socks5") => Ok(Self::Socks5),
            // Desktop environments export `socks://` for a proxy that speaks SOCKS5.
            () if is("socks5h") || is("socks") => Ok(Self::Socks5h),
            () if is("socks4") || is("socks4a") => Err(ProxyUrlError::Socks4),
            () => Err(ProxyUrlError::Scheme),
        }
    }
}

/// The URL of a proxy, such as `http://user:password@proxy.example:3128`.
///
/// User and password are percent-decoded. They are sent to the proxy, and no method returns them.
///
/// ```
/// use hybi::proxy::{ProxyScheme, ProxyUrl, ProxyUrlError};
///
/// let proxy = ProxyUrl::parse("socks5h://alice:pass%20word@[::1]")?;
/// assert_eq!(proxy.scheme(), ProxyScheme::Socks5h);
/// assert_eq!((proxy.host(), proxy.host_for_connect(), proxy.port()), ("[::1]", "::1", 1080));
/// assert_eq!(proxy.to_string(), "socks5h://[::1]:1080"); // without user and password
/// assert_eq!(ProxyUrl::parse("socks4://proxy.example"), Err(ProxyUrlError::Socks4));
/// # Ok::<(), ProxyUrlError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyUrl {
    scheme: ProxyScheme,
    /// The host as written in the URL, in ASCII. An IPv6 address is in brackets.
    host: String,
    port: u16,
    credentials: Option<Credentials>,
}

/// A user and a password, as bytes.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) user: Vec<u8>,
    pub(super) password: Vec<u8>,
}

impl ProxyUrl {
    /// Parses `url`, which has the form `scheme://user:password@host:port`. User, password and port may be missing.
    ///
    /// # Errors
    ///
    /// - [`ProxyUrlError::SchemeMissing`]: there is no `://`.
    /// - [`ProxyUrlError::Scheme`]: the scheme is not `http`, `https`, `socks5`, `socks5h` or `socks`.
    /// - [`ProxyUrlError::Socks4`]: the scheme is `socks4` or `socks4a`.
    /// - [`ProxyUrlError::Path`]: the URL has a path, a query or a fragment.
    /// - [`ProxyUrlError::Host`], [`ProxyUrlError::HostNotAscii`]: the host is empty, invalid, or not ASCII.
    /// - [`ProxyUrlError::Port`]: the port is not a number from 1 to 65535.
    /// - [`ProxyUrlError::Character`], [`ProxyUrlError::PercentEncoding`]: the user or the password is not
    ///   percent-encoded correctly.
    /// - [`ProxyUrlError::BasicUser`], [`ProxyUrlError::BasicControl`]: Basic authentication cannot transport the user
    ///   or the password.
    /// - [`ProxyUrlError::SocksUser`]: for SOCKS5, the user does not have 1 to 255 bytes.
    /// - [`ProxyUrlError::SocksPassword`]: for SOCKS5, the password has more than 255 bytes.
    pub fn parse(url: &str) -> Result<Self, ProxyUrlError> {
        let (scheme, rest) = url.split_once("://").ok_or(ProxyUrlError::SchemeMissing)?;
        let scheme = ProxyScheme::parse(scheme)?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
        if !matches!(path, "" | "/") {
            return Err(ProxyUrlError::Path);
        }
        // A password may contain "@", which should be percent-encoded but often is not. A host never contains "@".
        let (user_info, address) = match authority.rsplit_once('@') {
            Some((user_info, address)) => (user_info, address),
            None => ("", authority),
        };
        let credentials = Credentials::parse(user_info)?;
        if let Some(credentials) = &credentials {
            credentials.check(scheme)?;
        }
        let (host, port) = parse_address(address, scheme)?;
        Ok(Self { scheme, host: host.into(), port, credentials })
    }

    /// Returns this URL with another user and password. The two arguments are used as they are, without
    /// percent-decoding.
    ///
    /// ```
    /// use hybi::proxy::{ProxyUrl, ProxyUrlError};
    ///
    /// let proxy = ProxyUrl::parse("http://proxy.example:3128")?.credentials("alice", "50%@/")?;
    /// assert_eq!(proxy, ProxyUrl::parse("http://alice:50%25%40%2F@proxy.example:3128")?);
    /// # Ok::<(), ProxyUrlError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - [`ProxyUrlError::BasicUser`]: for HTTP, the user has a colon.
    /// - [`ProxyUrlError::BasicControl`]: for HTTP, the user or the password has a control character.
    /// - [`ProxyUrlError::SocksUser`]: for SOCKS5, the user does not have 1 to 255 bytes.
    /// - [`ProxyUrlError::SocksPassword`]: for SOCKS5, the password has more than 255 bytes.
    pub fn credentials(
        mut self,
        user: impl AsRef<[u8]>,
        password: impl AsRef<[u8]>,
    ) -> Result<Self, ProxyUrlError> {
        let credentials = Credentials { user: user.as_ref().into(), password: password.as_ref().into() };
        credentials.check(self.scheme)?;
        self.credentials = Some(credentials);
        Ok(self)
    }

    /// Returns the scheme.
    #[must_use]
    pub const fn scheme(&self) -> ProxyScheme {
        self.scheme
    }

    /// Returns whether the connection to the proxy uses TLS. This does not depend on the server: a `wss` URL always
    /// needs TLS inside the tunnel.
    #[must_use]
    pub const fn secure(&self) -> bool {
        matches!(self.scheme, ProxyScheme::Https)
    }

    /// Returns whether the client must resolve the name of the server, and pass an address as the
    /// [`ProxyTarget`](super::ProxyTarget). Only the scheme `socks5` requires an address.
    #[must_use]
    pub const fn needs_address(&self) -> bool {
        matches!(self.scheme, ProxyScheme::Socks5)
    }

    /// Returns the host as written in the URL. An IPv6 address is in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the host without brackets. Use this name to resolve the host of the proxy, and to verify its
    /// certificate.
    #[must_use]
    pub fn host_for_connect(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// Returns the port of the proxy.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Returns whether the URL has a user and a password.
    #[must_use]
    pub const fn has_credentials(&self) -> bool {
        self.credentials.is_some()
    }

    /// Returns user and password.
    pub(super) const fn user_and_password(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }
}

impl FromStr for ProxyUrl {
    type Err = ProxyUrlError;

    /// Parses a URL in the same way as [`ProxyUrl::parse`].
    fn from_str(url: &str) -> Result<Self, ProxyUrlError> {
        Self::parse(url)
    }
}

impl fmt::Display for ProxyUrl {
    /// Writes scheme, host and port. User and password are left out, so that the text can be logged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.scheme.as_str(), self.host, self.port)
    }
}

impl fmt::Debug for ProxyUrl {
    /// Shows neither user nor password, which must not appear in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let credentials = if self.has_credentials() { " with credentials" } else { "" };
        write!(f, "ProxyUrl({self}{credentials})")
    }
}

impl Credentials {
    /// Decodes the part of a URL before the "@". Returns `None` if this part has no user and no password.
    fn parse(user_info: &str) -> Result<Option<Self>, ProxyUrlError> {
        let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
        if user.is_empty() && password.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self { user: percent_decode(user)?, password: percent_decode(password)? }))
    }

    /// Checks that the credentials can be sent to a proxy with this scheme.
    fn check(&self, scheme: ProxyScheme) -> Result<(), ProxyUrlError> {
        if scheme.is_socks() {
            // RFC 1929 2: the lengths are 1 to 255. An empty password is allowed here, because some proxies accept it.
            return match (self.user.len(), self.password.len()) {
                (1..=255, 0..=255) => Ok(()),
                (1..=255, _) => Err(ProxyUrlError::SocksPassword),
                _ => Err(ProxyUrlError::SocksUser),
            };
        }
        // RFC 7617 2: the first colon separates user and password, so the user must not contain one.
        if self.user.contains(&b':') {
            return Err(ProxyUrlError::BasicUser);
        }
        // RFC 7617 2: user and password MUST NOT contain control characters.
        if self.user.iter().chain(&self.password).any(u8::is_ascii_control) {
            return Err(ProxyUrlError::BasicControl);
        }
        Ok(())
    }
}

/// Parses host and port.
fn parse_address(address: &str, scheme: ProxyScheme) -> Result<(&str, u16), ProxyUrlError> {
    if !address.is_ascii() {
        return Err(ProxyUrlError::HostNotAscii);
    }
    let (host, port) = split_authority(address).map_err(|error| match error {
        UrlError::Port => ProxyUrlError::Port,
        _ => ProxyUrlError::Host,
    })?;
    // A client resolves the host as it is written, and a resolver does not decode percent-encoding.
    if host.contains('%') {
        return Err(ProxyUrlError::Host);
    }
    let port = match port {
        "" => scheme.default_port(),
        _ => port.parse().ok().filter(|port| *port != 0).ok_or(ProxyUrlError::Port)?,
    };
    Ok((host, port))
}

/// Decodes `%` and two hexadecimal digits to one byte (RFC 3986 section 2.1).
fn percent_decode(text: &str) -> Result<Vec<u8>, ProxyUrlError> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        if !is_target_byte(*byte) {
            return Err(ProxyUrlError::Character);
        }
        if *byte != b'%' {
            decoded.push(*byte);
            continue;
        }
        let [high, low, after @ ..] = rest else { return Err(ProxyUrlError::PercentEncoding) };
        let (Some(high), Some(low)) = (hex_digit(*high), hex_digit(*low)) else {
            return Err(ProxyUrlError::PercentEncoding);
        };
        decoded.push(high << 4 | low);
        rest = after;
    }
    Ok(decoded)
}

/// Returns the value of a hexadecimal digit.
const fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// The reason why a text is not the URL of a proxy. The error does not contain the URL, which may have a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProxyUrlError {
    /// The URL has no `://`.
    SchemeMissing,
    /// The scheme is not `http`, `https`, `socks5`, `socks5h` or `socks`.
    Scheme,
    /// The scheme is `socks4` or `socks4a`. SOCKS4 has no passwords and no IPv6.
    Socks4,
    /// The URL has a path, a query or a fragment. This also happens if a password contains `/`, `?` or `#`.
    Path,
    /// The host is empty or invalid.
    Host,
    /// The host is not ASCII.
    HostNotAscii,
    /// The port is not a number from 1 to 65535.
    Port,
    /// The user or the password has a byte that no URL contains (RFC 3986 section 2).
    Character,
    /// The user or the password has a `%` without two hexadecimal digits (RFC 3986 section 2.1).
    PercentEncoding,
    /// The decoded user contains a colon, which Basic authentication cannot transport (RFC 7617 section 2).
    BasicUser,
    /// The decoded user or password contains a control character (RFC 7617 section 2).
    BasicControl,
    /// The user for a SOCKS proxy does not have 1 to 255 bytes (RFC 1929 section 2).
    SocksUser,
    /// The password for a SOCKS proxy has more than 255 bytes (RFC 1929 section 2).
    SocksPassword,
}

impl fmt::Display for ProxyUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SchemeMissing => {
                "the URL of the proxy has no scheme (RFC 3986 3.1): write http://host:port or socks5h://host:port"
            }
            Self::Scheme => {
                "the scheme of the proxy's URL is unknown (RFC 3986 3.1): write http, https, socks5 or socks5h"
            }
            Self::Socks4 => {
                "the URL names a SOCKS4 proxy, and this crate speaks SOCKS5 (RFC 1928): write socks5h://host:port if \
                 the proxy speaks SOCKS5, otherwise use another proxy"
            }
            Self::Path => {
                "the URL of the proxy has a path, query or fragment (RFC 3986 3): write scheme://host:port, and in \
                 user and password %2F for /, %3F for ? and %23 for #"
            }
            Self::Host => {
                "the host of the proxy's URL is empty or invalid (RFC 3986 3.2.2): write scheme://host:port, and an \
                 IPv6 address in brackets"
            }
            Self::HostNotAscii => {
                "the host of the proxy's URL is not ASCII (RFC 3986 3.2.2): write it in punycode, as xn--mnchen-3ya.de \
                 for m\u{fc}nchen.de"
            }
            Self::Port => {
                "the port of the proxy's URL is not a number from 1 to 65535 (RFC 3986 3.2.3): write scheme://host:port"
            }
            Self::Character => {
                "the user or password of the proxy's URL has a character that no URL contains (RFC 3986 2): \
                 percent-encode it, as %20 for a space"
            }
            Self::PercentEncoding => {
                "the user or password of the proxy's URL has a % without two hexadecimal digits (RFC 3986 2.1): write \
                 %25 for %"
            }
            Self::BasicUser => {
                "the user of the proxy's URL has a colon (RFC 7617 2): use another user, because Basic authentication \
                 cannot transport this one"
            }
            Self::BasicControl => {
                "the user or password of the proxy's URL has a control character (RFC 7617 2): remove it"
            }
            Self::SocksUser => {
                "the user of the SOCKS proxy's URL does not have 1 to 255 bytes (RFC 1929 2): write \
                 socks5h://user:password@host:port"
            }
            Self::SocksPassword => {
                "the password of the SOCKS proxy's URL has more than 255 bytes (RFC 1929 2): use a shorter password"
            }
        })
    }
}

impl core::error::Error for ProxyUrlError {}
