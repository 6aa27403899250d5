//! The proxy setting of a client: [`Proxy`].

use alloc::string::String;
use alloc::sync::Arc;

use super::environment::{Environment, ProxyVariableError};
use super::url::{ProxyUrl, ProxyUrlError};
use crate::handshake::WsUrl;

/// The proxy setting of a client: no proxy, one proxy, or the proxies that the environment names.
///
/// The default is no proxy. A clone is cheap.
///
/// ```
/// use hybi::handshake::WsUrl;
/// use hybi::proxy::Proxy;
///
/// let variables = [("https_proxy", "http://proxy.example:3128"), ("NO_PROXY", "localhost, .internal")];
/// let proxy = Proxy::from_variables(|name| {
///     variables.iter().find(|(is, _)| *is == name).map(|(_, value)| value.to_string())
/// });
/// let server = WsUrl::parse("wss://example.com/")?;
/// assert_eq!(proxy.for_url(&server)?.unwrap().to_string(), "http://proxy.example:3128");
/// assert_eq!(proxy.for_url(&WsUrl::parse("wss://db.internal/")?)?, None);
/// assert_eq!(Proxy::none().for_url(&server)?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Proxy(Setting);

#[derive(Clone, Debug, Default)]
enum Setting {
    #[default]
    None,
    Url(Arc<ProxyUrl>),
    Environment(Arc<Environment>),
}

impl Proxy {
    /// Returns the setting without a proxy. The client connects to every server directly.
    #[must_use]
    pub const fn none() -> Self {
        Self(Setting::None)
    }

    /// Returns the setting with one proxy for every server. The environment is not read, and `no_proxy` has no effect.
    ///
    /// # Errors
    ///
    /// The errors of [`ProxyUrl::parse`].
    pub fn url(url: &str) -> Result<Self, ProxyUrlError> {
        ProxyUrl::parse(url).map(Self::from)
    }

    /// Reads the environment variables of this process, and returns the setting that they describe. Later changes of
    /// the environment have no effect.
    ///
    /// [`from_variables`](Self::from_variables) lists the variables and their rules.
    #[cfg(feature = "std")]
    #[cfg_attr(docsrs, doc(cfg(feature = "std")))]
    #[must_use]
    pub fn from_env() -> Self {
        use std::env::var_os;
        // On Windows the names of variables are not case-sensitive. A look-up of http_proxy would find the HTTP_PROXY
        // that a CGI server has set.
        let ignores_http = cfg!(windows) && var_os("REQUEST_METHOD").is_some();
        Self::from_variables(|name| {
            let value = var_os(name).filter(|_| !(ignores_http && name == "http_proxy"));
            // A value that is not UTF-8 becomes an invalid URL, and then an error.
            value.map(|value| value.to_string_lossy().into_owned())
        })
    }

    /// Returns the setting that environment variables describe. `lookup` returns the value of a variable, or `None` if
    /// the variable is not set.
    ///
    /// The first of these variables that is set and not empty names the proxy:
    ///
    /// 1. `wss_proxy` for a `wss` URL, `ws_proxy` for a `ws` URL;
    /// 2. `socks_proxy`;
    /// 3. `https_proxy`;
    /// 4. `http_proxy`, for a `ws` URL only;
    /// 5. `all_proxy`.
    ///
    /// Each name can also be written in upper case. The variable in upper case is ignored if the one in lower case is
    /// set, even to an empty value. `HTTP_PROXY` is also ignored if `REQUEST_METHOD` is set: the process is then a CGI
    /// program, and its client chooses the value of `HTTP_PROXY`.
    ///
    /// A value is a URL for [`ProxyUrl::parse`], or `host:port`. In `socks_proxy`, `host:port` names a SOCKS proxy. In
    /// the other variables it names an HTTP proxy.
    ///
    /// `no_proxy` lists the servers that need no proxy, separated by commas or spaces:
    ///
    /// - `example.com`, `.example.com` and `*.example.com` match this name and all names below it.
    /// - `10.0.0.1` and `::1` match an address. `10.0.0.0/8` and `fd00::/8` match a block of addresses. Names are not
    ///   resolved. `::ffff:10.0.0.0/104` means `10.0.0.0/8`.
    /// - `example.com:8443`, `10.0.0.1:80` and `[::1]:80` match only this port.
    /// - `*` matches every server.
    ///
    /// Loopback names and addresses are reached through the proxy unless `no_proxy` lists them.
    #[must_use]
    pub fn from_variables(lookup: impl FnMut(&'static str) -> Option<String>) -> Self {
        Self(Setting::Environment(Arc::new(Environment::read(lookup))))
    }

    /// Returns the proxy for `url`, or `None` if the client connects to the server directly.
    ///
    /// # Errors
    ///
    /// [`ProxyVariableError`] if the value of the environment variable for `url` is not the URL of a proxy.
    pub fn for_url(&self, url: &WsUrl<'_>) -> Result<Option<&ProxyUrl>, ProxyVariableError> {
        match &self.0 {
            Setting::None => Ok(None),
            Setting::Url(proxy) => Ok(Some(proxy)),
            Setting::Environment(environment) => environment.proxy_for(url),
        }
    }
}

impl From<ProxyUrl> for Proxy {
    fn from(url: ProxyUrl) -> Self {
        Self(Setting::Url(Arc::new(url)))
    }
}
