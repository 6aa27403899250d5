//! The TLS library that a client uses, with its configuration.
//!
//! [`Connector`] creates the sessions of a client. Without a configuration of the application,
//! [`Connector::by_default`] chooses the library.

use std::prelude::v1::*;
#[cfg(feature = "rustls")]
use std::sync::Arc;
#[cfg(feature = "native-tls")]
use std::sync::{Mutex, PoisonError};

#[cfg(feature = "native-tls")]
use native_tls::TlsConnector;
#[cfg(feature = "rustls")]
use rustls::ClientConfig;

#[cfg(feature = "rustls")]
use super::config::default_client_config;
use super::error::TlsError;
use super::session::Session;

/// The TLS library of a client, with its configuration.
///
/// ```
/// # #[cfg(all(feature = "rustls-ring", feature = "webpki-roots", not(feature = "platform-verifier")))] {
/// use hybi::tls::{Connector, TlsError};
///
/// # fn main() -> Result<(), TlsError> {
/// let connector = Connector::by_default()?;
/// assert!(connector.session("server.example")?.is_handshaking());
/// assert!(matches!(connector.check_host("not a host"), Err(TlsError::HostName(_))));
/// # Ok(())
/// # }
/// # main().unwrap();
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Connector {
    /// rustls, with this configuration.
    #[cfg(feature = "rustls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    Rustls(Arc<ClientConfig>),
    /// native-tls, with the configuration of this connector.
    #[cfg(feature = "native-tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "native-tls")))]
    Native(TlsConnector),
}

impl Connector {
    /// Returns the connector that clients use by default.
    ///
    /// This connector uses rustls with `default_client_config`. If the features for that configuration are missing, and
    /// the feature `native-tls` is enabled, it uses native-tls with `default_native_connector`.
    ///
    /// # Errors
    ///
    /// - [`TlsError::NoProvider`]: rustls has no provider, and the feature `native-tls` is not enabled.
    /// - [`TlsError::NoRoots`]: no feature selects roots for rustls, and the feature `native-tls` is not enabled. The
    ///   error is also returned if the roots of the operating system cannot be loaded.
    /// - [`TlsError::InvalidConfig`]: the library refuses the default configuration.
    pub fn by_default() -> Result<Self, TlsError> {
        default_connector()
    }

    /// Checks that a certificate can be valid for `host`. The check needs no connection.
    ///
    /// # Errors
    ///
    /// [`TlsError::HostName`]: `host` is neither a DNS name nor an IP address. With native-tls, this call refuses only
    /// an empty host, white space and control characters.
    pub fn check_host(&self, host: &str) -> Result<(), TlsError> {
        match self {
            #[cfg(feature = "rustls")]
            Self::Rustls(_) => super::session::server_name(host).map(drop),
            #[cfg(feature = "native-tls")]
            Self::Native(_) => super::session::check_characters(host),
        }
    }

    /// Returns whether the client may have a certificate. The result is `true` for every connector of native-tls,
    /// because a connector does not tell whether it has a certificate.
    #[must_use]
    pub fn may_have_client_certificate(&self) -> bool {
        match self {
            #[cfg(feature = "rustls")]
            Self::Rustls(config) => config.client_auth_cert_resolver.has_certs(),
            #[cfg(feature = "native-tls")]
            Self::Native(_) => true,
        }
    }

    /// Returns a session of a client that connects to `host`, a DNS name or an IP address without brackets.
    ///
    /// # Errors
    ///
    /// - [`TlsError::HostName`]: [`check_host`](Self::check_host) refuses `host`.
    /// - [`TlsError::InvalidConfig`]: the library refuses the configuration.
    pub fn session(&self, host: &str) -> Result<Session, TlsError> {
        match self {
            #[cfg(feature = "rustls")]
            Self::Rustls(config) => Session::client(Arc::clone(config), host),
            #[cfg(feature = "native-tls")]
            Self::Native(connector) => Session::native_client(connector, host),
        }
    }
}

#[cfg(feature = "rustls")]
fn default_connector() -> Result<Connector, TlsError> {
    match default_client_config() {
        // Another crate in the program may enable `rustls` for its own configuration. The default of a crate that
        // enables only `native-tls` must still work.
        #[cfg(feature = "native-tls")]
        Err(TlsError::NoProvider | TlsError::NoRoots(None)) => {
            default_native_connector().map(Connector::Native)
        }
        config => config.map(Connector::Rustls),
    }
}

#[cfg(not(feature = "rustls"))]
fn default_connector() -> Result<Connector, TlsError> {
    default_native_connector().map(Connector::Native)
}

/// Returns the connector of native-tls that clients use by default. All calls share one connector.
///
/// - The trusted roots are those of the operating system. OpenSSL also reads the environment variables `SSL_CERT_FILE`
///   and `SSL_CERT_DIR`.
/// - The oldest version of TLS is 1.2.
/// - The client has no certificate, and offers the application protocol `http/1.1` (RFC 7301).
///
/// To change a setting, build another connector, and pass it to `Client::native_tls`.
///
/// # Errors
///
/// [`TlsError::InvalidConfig`]: the library refuses this configuration.
#[cfg(feature = "native-tls")]
#[cfg_attr(docsrs, doc(cfg(feature = "native-tls")))]
pub fn default_native_connector() -> Result<TlsConnector, TlsError> {
    use super::error::LibraryError;

    static SHARED: Mutex<Option<TlsConnector>> = Mutex::new(None);

    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(connector) = &*shared {
        return Ok(connector.clone());
    }
    let connector = TlsConnector::builder().request_alpns(&["http/1.1"]).build();
    let connector = connector.map_err(|error| TlsError::InvalidConfig(LibraryError::native(error)))?;
    *shared = Some(connector.clone());
    Ok(connector)
}
