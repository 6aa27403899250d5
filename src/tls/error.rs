//! The reasons why TLS fails, as a typed error with advice.
//!
//! rustls has about a hundred errors. [`TlsError`] names those that an application or its user can act on, most of all
//! problems of the peer's certificate. Each variant keeps the error of rustls, which [`source`](Error::source) returns.

use core::error::Error;
use core::fmt;
use std::io;
use std::prelude::v1::*;

use rustls::{AlertDescription, CertificateError, InvalidMessage};

/// The reason why a TLS session could not be opened, or has failed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum TlsError {
    /// There is no provider of cryptography: the process has no default provider, and no feature selects a provider.
    NoProvider,
    /// A client has no root certificates: neither the feature `webpki-roots` nor `platform-verifier` is enabled, or the
    /// roots of the operating system could not be loaded.
    NoRoots(Option<rustls::Error>),
    /// The configuration is not valid, for example because the provider supports no version of TLS.
    Config(rustls::Error),
    /// The host of the URL can be neither the name nor the address in a certificate.
    HostName(String),
    /// The certificate of the peer has expired, or another certificate in its chain.
    Expired(rustls::Error),
    /// The certificate of the peer is not valid yet. The local clock may be wrong.
    NotValidYet(rustls::Error),
    /// The certificate of the peer is for another host.
    OtherHost(rustls::Error),
    /// The certificate of the peer was not issued by a trusted authority. It may be self-signed.
    UnknownIssuer(rustls::Error),
    /// The certificate of the peer is invalid for another reason, for example because it was revoked.
    Certificate(rustls::Error),
    /// The peer has sent a fatal alert, for example because it requires a certificate.
    Alert(rustls::Error),
    /// The peer does not speak TLS.
    NotTls(rustls::Error),
    /// The peer has selected an application protocol (ALPN) over which no WebSocket handshake is possible.
    Protocol(Vec<u8>),
    /// The peer broke the rules of TLS, or has no parameters in common with this endpoint.
    Failed(rustls::Error),
    /// The stream ended without `close_notify`. An attacker may have cut off data.
    Truncated,
    /// The peer did not complete the TLS handshake in time.
    Timeout,
}

impl TlsError {
    /// Returns the error for `error`. `first` is true if rustls has accepted no message of the peer yet.
    pub(super) fn from_rustls(error: rustls::Error, first: bool) -> Self {
        match &error {
            rustls::Error::InvalidCertificate(why) => match why {
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired(error),
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    Self::NotValidYet(error)
                }
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    Self::OtherHost(error)
                }
                CertificateError::UnknownIssuer => Self::UnknownIssuer(error),
                // webpki reports a self-signed certificate that claims to be an authority with this text.
                CertificateError::Other(other) if std::format!("{other:?}").contains("CaUsedAsEndEntity") => {
                    Self::UnknownIssuer(error)
                }
                _ => Self::Certificate(error),
            },
            rustls::Error::AlertReceived(_) => Self::Alert(error),
            rustls::Error::InvalidMessage(
                InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
            ) if first => Self::NotTls(error),
            _ => Self::Failed(error),
        }
    }

    /// Returns the error of rustls, if there is one.
    #[must_use]
    pub const fn rustls_error(&self) -> Option<&rustls::Error> {
        match self {
            Self::Config(error)
            | Self::Expired(error)
            | Self::NotValidYet(error)
            | Self::OtherHost(error)
            | Self::UnknownIssuer(error)
            | Self::Certificate(error)
            | Self::Alert(error)
            | Self::NotTls(error)
            | Self::Failed(error) => Some(error),
            Self::NoRoots(error) => error.as_ref(),
            Self::NoProvider | Self::HostName(_) | Self::Protocol(_) | Self::Truncated | Self::Timeout => {
                None
            }
        }
    }

    const fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Truncated => io::ErrorKind::UnexpectedEof,
            Self::Timeout => io::ErrorKind::TimedOut,
            Self::NoProvider | Self::NoRoots(_) | Self::Config(_) | Self::HostName(_) => {
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
                    "the root certificates of the system cannot be loaded: {error}: install them, or enable the \
                     feature webpki-roots of hybi"
                )
            }
            Self::Config(error) => write!(f, "the TLS configuration is not valid: {error}"),
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
            Self::Certificate(error) => write!(f, "the certificate of the peer is not accepted: {error}"),
            Self::Alert(error) => match alert_advice(error) {
                Some(advice) => write!(f, "the peer has ended TLS: {advice}: {error}"),
                None => write!(f, "the peer has ended TLS: {error}"),
            },
            Self::NotTls(error) => write!(
                f,
                "the peer does not speak TLS: check the port, or use ws:// instead of wss://: {error}"
            ),
            Self::Protocol(name) => write!(
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

/// Returns what to do after a fatal alert of the peer.
fn alert_advice(error: &rustls::Error) -> Option<&'static str> {
    let rustls::Error::AlertReceived(alert) = error else { return None };
    Some(match alert {
        AlertDescription::CertificateRequired => "add a client certificate to the configuration",
        AlertDescription::UnknownCA => "it does not know the issuer of our certificate",
        AlertDescription::CertificateExpired => "our certificate has expired, or its clock is wrong",
        AlertDescription::BadCertificate | AlertDescription::CertificateUnknown => {
            "it does not accept our certificate"
        }
        AlertDescription::NoApplicationProtocol => "offer an application protocol that it supports",
        AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure => {
            "it supports no version or cipher suite of the configuration"
        }
        AlertDescription::UnrecognisedName => "it does not serve this host",
        _ => return None,
    })
}

impl Error for TlsError {
    /// Returns the error of rustls, which [`Display`](fmt::Display) shows as well.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.rustls_error().map(|error| error as _)
    }
}

impl From<TlsError> for io::Error {
    /// Wraps the error. The value that [`io::Error::get_ref`] returns can be downcast to [`TlsError`].
    fn from(error: TlsError) -> Self {
        Self::new(error.kind(), error)
    }
}
