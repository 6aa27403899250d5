//! The reasons why TLS fails, as a typed error with advice.
//!
//! A TLS library has about a hundred errors. [`TlsError`] names those that an application or its user can act on,
//! mainly problems of the peer's certificate. If the library has reported the problem, the variant contains the error
//! of the library as a [`LibraryError`].
//!
//! `rustls_session.rs` and `native_session.rs` choose the variant for an error of their library.

use core::error::Error;
use core::fmt;
use std::io;
use std::prelude::v1::*;
#[cfg(feature = "native-tls")]
use std::sync::Arc;

/// The text of the error for data that is sent after our `close_notify`.
#[cfg(any(feature = "rustls", feature = "native-tls"))]
pub(super) const AFTER_CLOSE: &str = "no data can be sent after close_notify";

/// The reason why a TLS session could not be opened, or has failed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum TlsError {
    /// There is no provider of cryptography: the process has no default provider, and no feature selects a provider.
    NoProvider,
    /// A client with rustls has no root certificates, because neither the feature `webpki-roots` nor
    /// `platform-verifier` is enabled. The error is also returned if the roots of the operating system could not be
    /// loaded, and `webpki-roots` is not enabled.
    NoRoots(Option<LibraryError>),
    /// The configuration is not valid, for example because the provider supports no version of TLS.
    InvalidConfig(LibraryError),
    /// The host of the URL is neither a DNS name nor an IP address, so no certificate can be for this host.
    HostName(String),
    /// The certificate of the peer, or another certificate in its chain, has expired.
    Expired(LibraryError),
    /// The certificate of the peer is not valid yet. The local clock may be wrong.
    NotValidYet(LibraryError),
    /// The certificate of the peer is for another host.
    OtherHost(LibraryError),
    /// The certificate of the peer was not issued by a trusted authority. It may be self-signed.
    UnknownIssuer(LibraryError),
    /// The certificate of the peer is invalid for another reason, for example because it was revoked.
    InvalidCertificate(LibraryError),
    /// The peer has sent a fatal alert, for example because it requires a certificate.
    Alert(LibraryError),
    /// The peer does not speak TLS.
    NotTls(LibraryError),
    /// The peer has selected an application protocol (ALPN) over which no WebSocket handshake is possible.
    AlpnProtocol(Vec<u8>),
    /// The peer broke the rules of TLS, or has no parameters in common with this endpoint.
    Failed(LibraryError),
    /// The stream ended without `close_notify`. An attacker may have cut off data.
    Truncated,
    /// The peer did not complete the TLS handshake in time.
    Timeout,
}

impl TlsError {
    /// Returns the error of rustls, if there is one.
    #[cfg(feature = "rustls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    #[must_use]
    pub fn rustls_error(&self) -> Option<&rustls::Error> {
        self.library_error()?.rustls()
    }

    /// Returns the error of the TLS library, if there is one.
    #[must_use]
    pub const fn library_error(&self) -> Option<&LibraryError> {
        match self {
            Self::InvalidConfig(error)
            | Self::Expired(error)
            | Self::NotValidYet(error)
            | Self::OtherHost(error)
            | Self::UnknownIssuer(error)
            | Self::InvalidCertificate(error)
            | Self::Alert(error)
            | Self::NotTls(error)
            | Self::Failed(error) => Some(error),
            Self::NoRoots(error) => error.as_ref(),
            Self::NoProvider
            | Self::HostName(_)
            | Self::AlpnProtocol(_)
            | Self::Truncated
            | Self::Timeout => None,
        }
    }

    const fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Truncated => io::ErrorKind::UnexpectedEof,
            Self::Timeout => io::ErrorKind::TimedOut,
            Self::NoProvider | Self::NoRoots(_) | Self::InvalidConfig(_) | Self::HostName(_) => {
                io::ErrorKind::InvalidInput
            }
            _ => io::ErrorKind::InvalidData,
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoProvider => f.write_str(
                "TLS has no provider of cryptography: enable the feature rustls-ring or rustls-aws-lc-rs of hybi, or \
                 install a default provider of rustls",
            ),
            Self::NoRoots(None) => f.write_str(
                "the client trusts no certificates: enable the feature webpki-roots or platform-verifier of hybi, or \
                 pass a configuration to Client::tls",
            ),
            Self::NoRoots(Some(error)) => {
                write!(
                    f,
                    "the root certificates of the system cannot be loaded: {error}: install them, enable the feature \
                     webpki-roots of hybi, or pass a configuration to Client::tls"
                )
            }
            Self::InvalidConfig(error) => write!(f, "the TLS configuration is not valid: {error}"),
            Self::HostName(host) => {
                write!(f, "no certificate can be for the host {host:?}: use a DNS name or an IP address")
            }
            Self::Expired(error) => {
                write!(f, "the certificate of the peer has expired: renew it, or check the local clock: {error}")
            }
            Self::NotValidYet(error) => {
                write!(f, "the certificate of the peer is not valid yet: check the local clock: {error}")
            }
            Self::OtherHost(error) => {
                write!(
                    f,
                    "the certificate of the peer is for another host: connect to a host that it names: {error}"
                )
            }
            Self::UnknownIssuer(error) => write!(
                f,
                "the certificate of the peer was issued by an unknown authority: if it is a private one, add its \
                 certificate to the roots of the configuration for Client::tls: {error}"
            ),
            Self::InvalidCertificate(error) => write!(f, "the certificate of the peer is not accepted: {error}"),
            Self::Alert(error) => match error.alert().and_then(alert_advice) {
                Some(advice) => write!(f, "the peer has ended TLS: {advice}: {error}"),
                None => write!(f, "the peer has ended TLS: {error}"),
            },
            Self::NotTls(error) => write!(
                f,
                "the peer does not speak TLS: check the port, or use ws:// instead of wss://: {error}"
            ),
            Self::AlpnProtocol(name) => write!(
                f,
                "the peer selected the application protocol {:?}: offer only http/1.1 with ALPN",
                String::from_utf8_lossy(name)
            ),
            Self::Failed(error) => write!(f, "TLS has failed: {error}"),
            Self::Truncated => f.write_str(
                "the stream ended without close_notify (RFC 8446 6.1): the connection was cut, so data may be missing",
            ),
            Self::Timeout => f.write_str("the peer did not complete the TLS handshake in time: try later"),
        }
    }
}

/// Returns what to do after a fatal alert of the peer. The numbers are those of RFC 8446 section 6, and of RFC 7301 for
/// application protocols.
const fn alert_advice(alert: u8) -> Option<&'static str> {
    Some(match alert {
        // handshake_failure, protocol_version, insufficient_security
        40 | 70 | 71 => "it supports no version or cipher suite of the configuration",
        // bad_certificate, certificate_unknown
        42 | 46 => "it does not accept our certificate",
        // certificate_expired
        45 => "our certificate has expired, or the clock of the peer is wrong",
        // unknown_ca
        48 => "it does not know the issuer of our certificate",
        // unrecognized_name
        112 => "it does not serve this host",
        // certificate_required
        116 => "add a client certificate to the configuration",
        // no_application_protocol
        120 => "offer an application protocol that it supports",
        _ => return None,
    })
}

impl Error for TlsError {
    /// Returns the error of the library, for example a `rustls::Error`. [`Display`](fmt::Display) shows it as well.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.library_error().map(LibraryError::as_error)
    }
}

/// The error of a TLS library: of rustls, or of native-tls.
#[derive(Clone)]
pub struct LibraryError(AnyError);

#[derive(Clone)]
enum AnyError {
    #[cfg(feature = "rustls")]
    Rustls(rustls::Error),
    /// An error of native-tls, or an I/O error that one of its streams has returned.
    #[cfg(feature = "native-tls")]
    Native(Arc<dyn Error + Send + Sync>),
}

impl LibraryError {
    #[cfg(feature = "native-tls")]
    pub(super) fn native(error: impl Error + Send + Sync + 'static) -> Self {
        Self(AnyError::Native(Arc::new(error)))
    }

    /// Returns the error of rustls, or `None` for an error of another library.
    #[cfg(feature = "rustls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    #[must_use]
    pub const fn rustls(&self) -> Option<&rustls::Error> {
        match &self.0 {
            AnyError::Rustls(error) => Some(error),
            #[cfg(feature = "native-tls")]
            AnyError::Native(_) => None,
        }
    }

    /// Returns the error with the type that the library gave it.
    #[must_use]
    pub fn as_error(&self) -> &(dyn Error + 'static) {
        match &self.0 {
            #[cfg(feature = "rustls")]
            AnyError::Rustls(error) => error,
            #[cfg(feature = "native-tls")]
            AnyError::Native(error) => &**error,
        }
    }

    /// Returns the number of the alert that the peer has sent, if the error is about an alert.
    fn alert(&self) -> Option<u8> {
        match &self.0 {
            #[cfg(feature = "rustls")]
            AnyError::Rustls(rustls::Error::AlertReceived(alert)) => Some(u8::from(*alert)),
            #[cfg(feature = "rustls")]
            AnyError::Rustls(_) => None,
            // The text of OpenSSL ends with this number. The other libraries of native-tls do not report the number.
            #[cfg(feature = "native-tls")]
            AnyError::Native(error) => {
                let text = error.to_string();
                let (_, number) = text.split_once("SSL alert number ")?;
                let digits = number.split(|c: char| !c.is_ascii_digit()).next()?;
                digits.parse().ok()
            }
        }
    }
}

#[cfg(feature = "rustls")]
impl From<rustls::Error> for LibraryError {
    fn from(error: rustls::Error) -> Self {
        Self(AnyError::Rustls(error))
    }
}

impl PartialEq for LibraryError {
    /// Returns whether both are the same error of rustls, or errors of native-tls with the same text.
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            #[cfg(feature = "rustls")]
            (AnyError::Rustls(one), AnyError::Rustls(two)) => one == two,
            #[cfg(feature = "native-tls")]
            (AnyError::Native(one), AnyError::Native(two)) => one.to_string() == two.to_string(),
            #[cfg(all(feature = "rustls", feature = "native-tls"))]
            _ => false,
        }
    }
}

impl fmt::Display for LibraryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_error(), f)
    }
}

impl fmt::Debug for LibraryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_error(), f)
    }
}

impl Error for LibraryError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.as_error().source()
    }
}

impl From<TlsError> for io::Error {
    /// Wraps the error. The value that [`io::Error::get_ref`] returns can be downcast to [`TlsError`].
    fn from(error: TlsError) -> Self {
        Self::new(error.kind(), error)
    }
}
