//! `ws` and `wss` URLs (RFC 6455 section 3), and the authority in a URL and in `Host`. An authority is a host with an
//! optional port.
//!
//! [`WsUrl`] splits a URL into borrowed parts, without decoding or normalising them. A URL that needs percent-encoding
//! or punycode is refused, and the error names the missing encoding. The functions in this file also parse the target
//! of a received request.

use core::fmt;
use core::net::Ipv6Addr;

use super::text::{ByteClass, TargetText, is_target_byte};

/// A WebSocket URL, split into borrowed parts.
///
/// The schemes `http` and `https` mean the same as `ws` and `wss`, as in browsers. The parts are not decoded,
/// normalised or percent-encoded. A URL that needs percent-encoding is refused.
///
/// ```
/// use hybi::handshake::{UrlError, WsUrl};
///
/// let url = WsUrl::parse("wss://[::1]:9000/chat?room=1")?;
/// assert!(url.secure());
/// assert_eq!((url.host(), url.host_for_connect(), url.port()), ("[::1]", "::1", 9000));
/// assert_eq!((url.authority(), url.target()), ("[::1]:9000", "/chat?room=1"));
/// assert_eq!(WsUrl::parse("ws://example.com:80")?.authority(), "example.com");
/// assert_eq!(WsUrl::parse("ws://example.com/#top"), Err(UrlError::Fragment));
/// # Ok::<(), UrlError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WsUrl<'a> {
    secure: bool,
    host: &'a str,
    port: u16,
    authority: &'a str,
    target: TargetText<'a>,
}

impl<'a> WsUrl<'a> {
    /// Parses `url`.
    ///
    /// # Errors
    ///
    /// - [`UrlError::Scheme`]: the scheme is not `ws`, `wss`, `http` or `https`.
    /// - [`UrlError::UserInfo`]: the URL has a user name or a password.
    /// - [`UrlError::Host`]: the host is empty or invalid.
    /// - [`UrlError::HostNotAscii`]: the host is not ASCII.
    /// - [`UrlError::Port`]: the port is not a number from 1 to 65535, or has a leading zero.
    /// - [`UrlError::Fragment`]: the URL has a fragment.
    /// - [`UrlError::Character`]: the path or the query has a byte that no URL contains.
    pub fn parse(url: &'a str) -> Result<Self, UrlError> {
        if let Some(at) = url.bytes().position(|byte| !is_target_byte(byte)) {
            return Err(wrong_character(url, at));
        }
        let (secure, rest) = split_scheme(url).ok_or(UrlError::Scheme)?;
        let (authority, target) = split_target(rest);
        Self::from_parts(secure, authority, target)
    }

    /// Returns the URL that consists of these parts. The caller has checked the bytes of `target`.
    pub(super) fn from_parts(secure: bool, authority: &'a str, target: &'a str) -> Result<Self, UrlError> {
        if authority.contains('@') {
            return Err(UrlError::UserInfo);
        }
        let (host, port) = split_authority(authority)?;
        // A client resolves the host as it is written, and a resolver does not decode percent-encoding.
        if host.contains('%') {
            return Err(UrlError::Host);
        }
        let default = if secure { 443 } else { 80 };
        let port = match port {
            "" => default,
            // Without leading zeros each port has only one form, so the authority can be sent as it is written.
            _ if port.starts_with('0') => return Err(UrlError::Port),
            _ => port.parse().map_err(|_| UrlError::Port)?,
        };
        // RFC 6455 4.1 (4): the port is sent only if it is not the default.
        let authority = if port == default { host } else { authority };
        Ok(Self { secure, host, port, authority, target: TargetText(target) })
    }

    /// Returns whether the connection uses TLS.
    #[must_use]
    pub const fn secure(&self) -> bool {
        self.secure
    }

    /// Returns the host as written in the URL. An IPv6 address is in brackets.
    #[must_use]
    pub const fn host(&self) -> &'a str {
        self.host
    }

    /// Returns the host without brackets. Use this name to resolve the host, and to verify its certificate.
    #[must_use]
    pub fn host_for_connect(&self) -> &'a str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// Returns the port. If the URL has no port, the result is 443 for a [secure](Self::secure) URL, and 80 for
    /// another URL.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Returns the value of the `Host` header: the host, and the port if it is not the default.
    #[must_use]
    pub const fn authority(&self) -> &'a str {
        self.authority
    }

    /// Returns the path and the query, or "/" if both are empty.
    ///
    /// If only the path is empty, the target begins with "?". [`ClientRequest`](super::ClientRequest) then
    /// writes "/" before it.
    #[must_use]
    pub const fn target(&self) -> &'a str {
        if self.target.0.is_empty() { "/" } else { self.target.0 }
    }

    /// Returns the path, or "/" if it is empty.
    #[must_use]
    pub fn path(&self) -> &'a str {
        let path = self.target.0.split('?').next().unwrap_or_default();
        if path.is_empty() { "/" } else { path }
    }

    /// Returns the query without the "?", or `None` if there is no "?".
    #[must_use]
    pub fn query(&self) -> Option<&'a str> {
        self.target.0.split_once('?').map(|(_, query)| query)
    }
}

/// The reason why a text is not a WebSocket URL (RFC 6455 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UrlError {
    /// The path or the query has a byte that no URL contains: whitespace, a control character or a byte that
    /// is not ASCII.
    Character,
    /// The scheme is not `ws`, `wss`, `http` or `https`, or `://` is missing.
    Scheme,
    /// The URL has a user name or a password.
    UserInfo,
    /// The host is empty or invalid.
    Host,
    /// The host is not ASCII. Such a name must be written in its `xn--` form (punycode, RFC 3492), which this
    /// crate does not compute.
    HostNotAscii,
    /// The port is not a number from 1 to 65535, or has a leading zero.
    Port,
    /// The URL has a fragment.
    Fragment,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Character => "the path or query has a character that no URL contains (RFC 3986 2): percent-encode it",
            Self::Scheme => {
                "the URL does not begin with ws:// or wss:// (RFC 6455 3): write ws://host:port/path"
            }
            Self::UserInfo => "the URL has a user name or password (RFC 6455 3): send an Authorization header instead",
            Self::Host => "the host of the URL is empty or invalid (RFC 6455 3): write ws://host:port/path",
            Self::HostNotAscii => {
                "the host of the URL is not ASCII (RFC 3986 3.2.2): write it in punycode, as xn--mnchen-3ya.de for \
                 m\u{fc}nchen.de"
            }
            Self::Port => {
                "the port of the URL is not a number from 1 to 65535 without leading zeros (RFC 6455 3): write \
                 ws://host:port/path"
            }
            Self::Fragment => "the URL has a fragment (RFC 6455 3): remove it, or write %23 for #",
        })
    }
}

impl core::error::Error for UrlError {}

/// Returns the error for `url`. `at` is the position of the first byte that a WebSocket URL may not contain. This byte
/// can be a `#`.
///
/// The error depends on the part of the URL that contains this byte, because percent-encoding helps only in the
/// path and the query.
fn wrong_character(url: &str, at: usize) -> UrlError {
    let after = url.get(at..).unwrap_or_default();
    // RFC 6455 3: fragment identifiers MUST NOT be used.
    if after.starts_with('#') {
        return UrlError::Fragment;
    }
    let Some((_, rest)) = split_scheme(url) else { return UrlError::Scheme };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if url.len() - rest.len() + authority.len() <= at {
        UrlError::Character
    } else if authority.contains('@') {
        UrlError::UserInfo
    } else if after.starts_with(|first: char| first.is_ascii()) {
        UrlError::Host
    } else {
        UrlError::HostNotAscii
    }
}

/// Splits off the scheme. Returns whether the scheme uses TLS, and the text after `://`.
pub(crate) fn split_scheme(url: &str) -> Option<(bool, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    Some((is_secure(scheme)?, rest))
}

/// Returns whether `scheme` uses TLS, or `None` if `scheme` is not `ws`, `wss`, `http` or `https`.
pub(super) fn is_secure(scheme: &str) -> Option<bool> {
    let is = |name| scheme.eq_ignore_ascii_case(name);
    match () {
        () if is("ws") || is("http") => Some(false),
        () if is("wss") || is("https") => Some(true),
        () => None,
    }
}

/// Splits `rest`, the text after `://`, into the authority and the path with the query. The second part may be empty.
pub(crate) fn split_target(rest: &str) -> (&str, &str) {
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    rest.split_at_checked(end).unwrap_or((rest, ""))
}

/// Splits an authority (RFC 3986 section 3.2, without user information) into host and port.
///
/// An IPv6 address keeps its brackets. If the authority has no port, the second text is empty.
///
/// # Errors
///
/// - [`UrlError::Host`]: the host is empty or invalid.
/// - [`UrlError::Port`]: the port is not a number up to 65535.
pub(crate) fn split_authority(authority: &str) -> Result<(&str, &str), UrlError> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (address, _) = rest.split_once(']').ok_or(UrlError::Host)?;
        address.parse::<Ipv6Addr>().map_err(|_| UrlError::Host)?;
        authority.split_at_checked(address.len() + 2).ok_or(UrlError::Host)?
    } else {
        let (host, port) =
            authority.split_at_checked(reg_name_len(authority.as_bytes())).ok_or(UrlError::Host)?;
        if host.is_empty() {
            return Err(UrlError::Host);
        }
        (host, port)
    };
    let port = match port {
        "" => "",
        _ => port.strip_prefix(':').ok_or(UrlError::Host)?,
    };
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    if port.is_empty() || digits && port.parse::<u16>().is_ok() {
        Ok((host, port))
    } else {
        Err(UrlError::Port)
    }
}

/// Returns the length of the registered name at the start of `authority` (RFC 3986 section 3.2.2).
fn reg_name_len(authority: &[u8]) -> usize {
    let mut rest = authority;
    loop {
        rest = rest.get(ByteClass::REG_NAME.run_len(rest)..).unwrap_or_default();
        match rest {
            [b'%', high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                rest = after;
            }
            _ => return authority.len() - rest.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::string::String;

    use super::*;

    #[test]
    fn s3_valid_urls_are_split_as_by_the_url_crate() {
        let urls = [
            "ws://example.com",
            "wss://example.com",
            "WS://example.com/",
            "http://a/b",
            "HTTPS://a/b?c",
            "ws://example.com:80/",
            "wss://example.com:443/x",
            "ws://example.com:443/x",
            "wss://a:80",
            "ws://a:1/",
            "ws://a:65535/",
            "ws://a:/p",
            "ws://a?q",
            "ws://a?",
            "ws://a/?",
            "ws://a/b?c?d/e",
            "ws://a:8080?q=/x",
            "ws://127.0.0.1:9001/getCaseCount",
            "ws://[::1]/",
            "wss://[::1]:443/a",
            "ws://[2001:db8::1]:8080",
            "ws://a_b.c-d.example/",
            "ws://a/%20%zz",
            "ws://a//b",
            "ws://a/b:c@d",
            "ws://xn--bcher-kva.example/",
            "ws://a/b/../c",
        ];
        for text in urls {
            let ours = WsUrl::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let theirs = url::Url::parse(text).unwrap();
            assert_eq!(ours.secure(), matches!(theirs.scheme(), "wss" | "https"), "{text}");
            assert_eq!(ours.host(), theirs.host_str().unwrap(), "{text}");
            assert_eq!(Some(ours.port()), theirs.port_or_known_default(), "{text}");
            let authority = match theirs.port() {
                Some(port) => format!("{}:{port}", ours.host()),
                None => String::from(ours.host()),
            };
            assert_eq!(ours.authority(), authority, "{text}");
            assert_eq!(ours.query(), theirs.query(), "{text}");
            if !text.contains("..") {
                assert_eq!(ours.path(), theirs.path(), "{text}");
            }
            let slash = if ours.target().starts_with('?') { "/" } else { "" };
            let target =
                format!("{}{}", ours.path(), ours.query().map_or(String::new(), |q| format!("?{q}")));
            assert_eq!(format!("{slash}{}", ours.target()), target, "{text}");
        }
    }

    #[test]
    fn s3_invalid_urls_are_refused() {
        use UrlError::*;
        // The second column says whether the `url` crate refuses the text as well.
        let urls = [
            ("", true, Scheme),
            ("a", true, Scheme),
            ("/chat", true, Scheme),
            ("ws:a", false, Scheme),
            ("ftp://a/", false, Scheme),
            ("wsx://a/", false, Scheme),
            ("://a/", true, Scheme),
            ("ws://", true, Host),
            ("ws:///a", false, Host),
            ("ws://:80/", true, Host),
            ("ws://a:99999/", true, Port),
            ("ws://a:65536/", true, Port),
            ("ws://a:x/", true, Port),
            ("ws://a:-1/", true, Port),
            ("ws://a:0/", false, Port),
            ("ws://a:080/", false, Port),
            ("ws://[::1/", true, Host),
            ("ws://::1/", true, Host),
            ("ws://[::g]/", true, Host),
            ("ws://[::1]x/", true, Host),
            ("ws://[]/", true, Host),
            ("ws://a%41/", false, Host),
            ("ws://a,b/", false, Host),
            ("ws://a<b/", true, Host),
            ("ws://a\\b/", false, Host),
            ("ws://u@a/", false, UserInfo),
            ("ws://u:p@a/", false, UserInfo),
            ("ws://@a/", false, UserInfo),
            ("ws://a/#", false, Fragment),
            ("ws://a#b", false, Fragment),
            ("ws://a/b c", false, Character),
            (" ws://a/", false, Scheme),
            ("ws://a/\r\nX: y", false, Character),
            ("ws://a/\u{e9}", false, Character),
            ("ws://a?b\u{e9}", false, Character),
            ("ws://b\u{fc}cher/", false, HostNotAscii),
            ("ws://b\u{fc}cher?q", false, HostNotAscii),
            ("ws://b\u{fc}cher#f", false, HostNotAscii),
            ("ws://[::1\u{fc}]/", true, HostNotAscii),
            ("ws://u\u{fc}@a/", false, UserInfo),
            ("u\u{fc}", true, Scheme),
            ("ws:\u{fc}//a", false, Scheme),
            ("\u{fc}://a", true, Scheme),
            ("ws ://a", true, Scheme),
            ("ws://a\n/", false, Host),
            ("ws://a/\0", false, Character),
            ("ws://a b/", true, Host),
        ];
        for (text, theirs, error) in urls {
            assert_eq!(WsUrl::parse(text), Err(error), "{text:?}");
            assert_eq!(url::Url::parse(text).is_err(), theirs, "{text:?}");
        }
    }

    #[test]
    fn s9110_7_2_host_values_are_accepted_or_refused() {
        for good in ["a", "a:", "a:80", "A.B-c_d:65535", "127.0.0.1", "[::1]", "[::ffff:1.2.3.4]:9", "a%2Db"]
        {
            assert!(split_authority(good).is_ok(), "{good}");
        }
        for bad in [
            "", ":80", "a b", "a/b", "u@a", "a,b", "a:b", "a:1:2", "a:65536", "[::1", "[::1]80", "::1",
            "a%2", "a%zz", "[v1.a]", "a?b", "a#b", "\"a\"", "a\u{e9}", "[::1]:x", "a:+1",
        ] {
            assert!(split_authority(bad).is_err(), "{bad}");
        }
    }
}
