//! The proxy that the environment names for a URL.
//!
//! The variables are read once, and each value is parsed at that time. An invalid value is an error only for the URLs
//! to which the variable applies. For these URLs the client connects neither directly nor through the proxy of another
//! variable. A direct connection or another proxy could bypass a proxy that the user relies on.
//!
//! The order of the variables is that of Python's websockets, and of RFC 6455 section 4.1 (3). The variable for
//! WebSockets comes first, and `socks_proxy`, `https_proxy` and `http_proxy` follow. `all_proxy` is added at the end,
//! as in curl. The record "Proxies from the environment" in `docs/decisions/` has the reasons.
//!
//! Invariant: a variable in upper case is used only if the variable in lower case is not set.

use alloc::format;
use alloc::string::String;
use core::fmt;

use super::no_proxy;
use super::url::{ProxyUrl, ProxyUrlError};
use crate::handshake::WsUrl;

/// The proxy variables of an environment.
#[derive(Clone)]
pub(super) struct Environment {
    ws: Option<Variable>,
    wss: Option<Variable>,
    socks: Option<Variable>,
    https: Option<Variable>,
    http: Option<Variable>,
    all: Option<Variable>,
    /// The value of `no_proxy`.
    no_proxy: Option<String>,
}

/// A variable that is set and not empty.
#[derive(Clone)]
struct Variable {
    name: &'static str,
    url: Result<ProxyUrl, ProxyUrlError>,
}

/// The error for an environment variable whose value is not the URL of a proxy. The error does not contain the value,
/// which may have a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProxyVariableError {
    variable: &'static str,
    error: ProxyUrlError,
}

impl ProxyVariableError {
    /// Returns the name of the variable.
    #[must_use]
    pub const fn variable(&self) -> &'static str {
        self.variable
    }

    /// Returns the reason why the value is not the URL of a proxy.
    #[must_use]
    pub const fn reason(&self) -> ProxyUrlError {
        self.error
    }
}

impl fmt::Display for ProxyVariableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the environment variable {} cannot be used: {}", self.variable, self.error)
    }
}

impl core::error::Error for ProxyVariableError {
    /// Returns the inner error, which [`Display`](fmt::Display) shows as well.
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl Environment {
    /// Reads the variables. `lookup` returns the value of a variable, or `None` if it is not set.
    pub(super) fn read(mut lookup: impl FnMut(&'static str) -> Option<String>) -> Self {
        // CGI servers set REQUEST_METHOD, and set HTTP_PROXY to the `Proxy` header of the client's request (httpoxy,
        // CVE-2016-1000110). So the client could choose the proxy. The name in lower case cannot come from a header.
        let is_cgi = lookup("REQUEST_METHOD").is_some();
        let mut get = |lower, upper| {
            let (name, value) = match lookup(lower) {
                Some(value) => (lower, value),
                None if is_cgi && upper == "HTTP_PROXY" => return None,
                None => (upper, lookup(upper)?),
            };
            // An empty variable in lower case hides the variable in upper case. The empty variable itself names no
            // proxy.
            (!value.trim().is_empty()).then_some((name, value))
        };
        Self {
            ws: get("ws_proxy", "WS_PROXY").map(Variable::http),
            wss: get("wss_proxy", "WSS_PROXY").map(Variable::http),
            socks: get("socks_proxy", "SOCKS_PROXY").map(Variable::socks),
            https: get("https_proxy", "HTTPS_PROXY").map(Variable::http),
            http: get("http_proxy", "HTTP_PROXY").map(Variable::http),
            all: get("all_proxy", "ALL_PROXY").map(Variable::http),
            no_proxy: get("no_proxy", "NO_PROXY").map(|(_, value)| value),
        }
    }

    /// Returns the proxy for `url`, or `None` if the client connects to the server directly.
    pub(super) fn proxy_for(&self, url: &WsUrl<'_>) -> Result<Option<&ProxyUrl>, ProxyVariableError> {
        let is_exception = |list: &str| no_proxy::contains(list, url.host_for_connect(), url.port());
        if self.no_proxy.as_deref().is_some_and(is_exception) {
            return Ok(None);
        }
        let (websocket, http) = if url.secure() { (&self.wss, &None) } else { (&self.ws, &self.http) };
        // RFC 6455 4.1 (3): prefer a SOCKS5 proxy, then the proxy for HTTPS, then the one for HTTP.
        let variable = websocket
            .as_ref()
            .or(self.socks.as_ref())
            .or(self.https.as_ref())
            .or(http.as_ref())
            .or(self.all.as_ref());
        match variable {
            None => Ok(None),
            Some(Variable { url: Ok(url), .. }) => Ok(Some(url)),
            Some(Variable { name, url: Err(error), .. }) => {
                Err(ProxyVariableError { variable: name, error: *error })
            }
        }
    }

    /// Returns the variables that name a proxy.
    fn variables(&self) -> impl Iterator<Item = &Variable> {
        [&self.ws, &self.wss, &self.socks, &self.https, &self.http, &self.all].into_iter().flatten()
    }
}

impl fmt::Debug for Environment {
    /// Shows the proxies without user and password, which must not appear in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        map.entries(self.variables().map(|variable| (variable.name, &variable.url)));
        if let Some(list) = &self.no_proxy {
            map.entry(&"no_proxy", list);
        }
        map.finish()
    }
}

impl Variable {
    /// Parses a value, which is a URL or `host:port` of an HTTP proxy.
    fn http((name, value): (&'static str, String)) -> Self {
        Self::parse(name, value.trim(), "http")
    }

    /// Parses a value, which is a URL or `host:port` of a SOCKS proxy.
    fn socks((name, value): (&'static str, String)) -> Self {
        Self::parse(name, value.trim(), "socks5h")
    }

    /// Parses a value. A value without a scheme has the scheme `default`, as in curl and Go.
    fn parse(name: &'static str, value: &str, default: &str) -> Self {
        let url = if value.contains("://") {
            ProxyUrl::parse(value)
        } else {
            ProxyUrl::parse(&format!("{default}://{value}"))
        };
        Self { name, url }
    }
}
