//! The default configuration of clients with rustls: feature `rustls`.
//!
//! The configuration is created once and shared by all clients that use it. So they also share the sessions that can be
//! resumed, and the root certificates are loaded once.
//!
//! Invariant: the provider is the default provider of the process if there is one. rustls panics if it has to choose a
//! provider and cannot. This module always passes a provider, so this panic is impossible.

use std::prelude::v1::*;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;
#[cfg(any(feature = "webpki-roots", feature = "platform-verifier"))]
use rustls::{ConfigBuilder, WantsVerifier};

use super::error::TlsError;

/// The configuration that was created last. If the process installs a default provider afterwards, the next call
/// creates another configuration.
static SHARED: Mutex<Option<Arc<ClientConfig>>> = Mutex::new(None);

/// Returns the configuration that clients use by default. All calls share one configuration.
///
/// - The provider of cryptography is the [default of the process](CryptoProvider::get_default), otherwise that of the
///   feature `rustls-aws-lc-rs` or `rustls-ring`.
/// - The trusted roots are those of the feature `platform-verifier`, otherwise those of `webpki-roots`. If both
///   features are enabled, and the system has no roots, the client uses those of `webpki-roots`. A container without
///   the files of `ca-certificates` is an example.
/// - The client has no certificate, and offers the application protocol `http/1.1` (RFC 7301).
///
/// To change a setting, clone the configuration and pass the clone to `Client::tls`.
///
/// # Errors
///
/// - [`TlsError::NoProvider`]: the process has no default provider, and no feature selects a provider.
/// - [`TlsError::NoRoots`]: no feature selects roots, or the roots of the operating system cannot be loaded and
///   `webpki-roots` is not enabled.
/// - [`TlsError::InvalidConfig`]: the provider supports no version of TLS that rustls allows by default.
pub fn default_client_config() -> Result<Arc<ClientConfig>, TlsError> {
    let provider = crypto_provider()?;
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(config) = shared.as_ref().filter(|config| Arc::ptr_eq(config.crypto_provider(), &provider)) {
        return Ok(Arc::clone(config));
    }
    let config = Arc::new(create_config(provider)?);
    *shared = Some(Arc::clone(&config));
    Ok(config)
}

/// Returns the provider of cryptography for rustls: the [default of the process](CryptoProvider::get_default),
/// otherwise that of the feature `rustls-aws-lc-rs` or `rustls-ring`.
///
/// Pass it to `builder_with_provider` of a configuration. In contrast, `ClientConfig::builder` and
/// `ServerConfig::builder` of rustls panic if the process has no default provider, and the program contains both
/// providers or none. An update of another crate can add the second provider to the program.
///
/// ```
/// use hybi::tls::rustls::{ClientConfig, RootCertStore};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # if cfg!(not(any(feature = "rustls-ring", feature = "rustls-aws-lc-rs"))) { return Ok(()) }
/// let config = ClientConfig::builder_with_provider(hybi::tls::crypto_provider()?)
///     .with_safe_default_protocol_versions()?
///     .with_root_certificates(RootCertStore::empty())
///     .with_no_client_auth();
/// assert!(config.alpn_protocols.is_empty());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`TlsError::NoProvider`]: the process has no default provider, and no feature selects one.
pub fn crypto_provider() -> Result<Arc<CryptoProvider>, TlsError> {
    if let Some(provider) = CryptoProvider::get_default() {
        return Ok(Arc::clone(provider));
    }
    feature_provider().ok_or(TlsError::NoProvider)
}

/// Returns the provider of a feature. All calls return the same provider.
#[cfg(any(feature = "rustls-ring", feature = "rustls-aws-lc-rs"))]
#[allow(clippy::unnecessary_wraps, reason = "without the features there is no provider")]
fn feature_provider() -> Option<Arc<CryptoProvider>> {
    #[cfg(feature = "rustls-aws-lc-rs")]
    use rustls::crypto::aws_lc_rs as selected;
    #[cfg(not(feature = "rustls-aws-lc-rs"))]
    use rustls::crypto::ring as selected;
    use std::sync::OnceLock;

    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Some(Arc::clone(PROVIDER.get_or_init(|| Arc::new(selected::default_provider()))))
}

#[cfg(not(any(feature = "rustls-ring", feature = "rustls-aws-lc-rs")))]
const fn feature_provider() -> Option<Arc<CryptoProvider>> {
    None
}

/// Creates a configuration with the roots of a feature.
#[cfg(any(feature = "webpki-roots", feature = "platform-verifier"))]
fn create_config(provider: Arc<CryptoProvider>) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = with_roots(builder.map_err(|error| TlsError::InvalidConfig(error.into()))?)?;
    config.alpn_protocols = Vec::from([b"http/1.1".to_vec()]);
    Ok(config)
}

#[cfg(not(any(feature = "webpki-roots", feature = "platform-verifier")))]
fn create_config(_: Arc<CryptoProvider>) -> Result<ClientConfig, TlsError> {
    Err(TlsError::NoRoots(None))
}

#[cfg(feature = "platform-verifier")]
fn with_roots(builder: ConfigBuilder<ClientConfig, WantsVerifier>) -> Result<ClientConfig, TlsError> {
    use rustls_platform_verifier::BuilderVerifierExt;

    // A failure consumes the builder. The fallback to the roots of `webpki-roots` needs another builder.
    #[cfg(feature = "webpki-roots")]
    let fallback = builder.clone();
    match builder.with_platform_verifier() {
        Ok(builder) => Ok(builder.with_no_client_auth()),
        #[cfg(feature = "webpki-roots")]
        Err(_) => Ok(with_webpki_roots(fallback)),
        #[cfg(not(feature = "webpki-roots"))]
        Err(error) => Err(TlsError::NoRoots(Some(error.into()))),
    }
}

#[cfg(all(feature = "webpki-roots", not(feature = "platform-verifier")))]
#[allow(clippy::unnecessary_wraps, reason = "the roots of the system may be missing")]
fn with_roots(builder: ConfigBuilder<ClientConfig, WantsVerifier>) -> Result<ClientConfig, TlsError> {
    Ok(with_webpki_roots(builder))
}

#[cfg(feature = "webpki-roots")]
fn with_webpki_roots(builder: ConfigBuilder<ClientConfig, WantsVerifier>) -> ClientConfig {
    let roots: rustls::RootCertStore = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
    builder.with_root_certificates(roots).with_no_client_auth()
}
