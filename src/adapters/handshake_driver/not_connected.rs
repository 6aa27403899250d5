//! Errors that name the endpoint to which no connection was made: the addresses of a host ([`FailedAddresses`]), a
//! path, or a proxy.

use core::error::Error;
use core::fmt;
use core::net::SocketAddr;
use std::io;
use std::prelude::v1::*;

use super::connect_error::ConnectError;

/// The failed attempts to connect to the addresses of a host.
#[derive(Debug, Default)]
pub(in crate::adapters) struct FailedAddresses {
    /// All addresses that were tried, each with its error, separated by commas.
    attempts: String,
    /// The error that gives the final error its kind and its source.
    error: Option<io::Error>,
}

impl FailedAddresses {
    /// Records that connecting to `address` has failed with `error`.
    ///
    /// The error of [`Self::into_error`] has the kind of the last error that came from a host. Other errors may only
    /// show that this machine cannot reach an address. If no error came from a host, the kind is that of the last
    /// error.
    pub(in crate::adapters) fn failed(&mut self, address: SocketAddr, error: io::Error) {
        let comma = if self.attempts.is_empty() { "" } else { ", " };
        self.attempts += &std::format!("{comma}{address}: {error}");
        if answered(&error) || !self.error.as_ref().is_some_and(answered) {
            self.error = Some(error);
        }
    }

    /// Returns the error that names all recorded addresses. Its kind and its source come from the same recorded error.
    pub(in crate::adapters) fn into_error<S>(self) -> ConnectError<S> {
        let Self { attempts, error } = self;
        ConnectError::Connect(match error {
            Some(error) => explain(error, attempts),
            None => io::Error::new(io::ErrorKind::NotFound, "the host has no address"),
        })
    }
}

/// Returns whether an error of an attempt to connect comes from the host, and not from the network.
fn answered(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset)
}

/// Returns an error of the same kind that names the path of a Unix socket. Its source is `error`.
#[cfg(unix)]
pub(in crate::adapters) fn name_path(path: &std::path::Path, error: io::Error) -> io::Error {
    let text = std::format!("{}: {error}", path.display());
    explain(error, text)
}

/// Returns an error of the same kind with another text. Its source is `error`.
pub(super) fn explain(error: io::Error, text: String) -> io::Error {
    io::Error::new(error.kind(), Explained { text, error })
}

/// The inner error of an [`io::Error`]. Its text says more than the text of the system.
#[derive(Debug)]
struct Explained {
    text: String,
    error: io::Error,
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Explained {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;

    /// Records the errors of several addresses, and returns the error that represents them.
    fn tried(errors: &[io::ErrorKind]) -> io::Error {
        let mut tried = FailedAddresses::default();
        for (port, kind) in (1..).zip(errors) {
            tried.failed(SocketAddr::from(([127, 0, 0, 1], port)), (*kind).into());
        }
        let ConnectError::<()>::Connect(error) = tried.into_error() else { std::panic!("not Connect") };
        error
    }

    #[test]
    fn the_error_of_the_system_is_the_source_of_the_error_that_names_the_address() {
        let mut tried = FailedAddresses::default();
        tried.failed(SocketAddr::from(([127, 0, 0, 1], 1)), io::Error::from_raw_os_error(13));
        let error = tried.into_error::<()>();
        assert!(error.to_string().contains("127.0.0.1:1: "), "{error}");
        let source = error.source().and_then(Error::source).unwrap();
        assert_eq!(source.downcast_ref::<io::Error>().unwrap().raw_os_error(), Some(13));
    }

    #[test]
    fn the_error_has_the_kind_of_an_address_that_answered() {
        use io::ErrorKind::{ConnectionRefused, ConnectionReset, NetworkUnreachable, TimedOut};
        for (errors, kind) in [
            (&[ConnectionRefused, NetworkUnreachable][..], ConnectionRefused),
            (&[NetworkUnreachable, ConnectionRefused], ConnectionRefused),
            (&[TimedOut, ConnectionRefused, TimedOut], ConnectionRefused),
            (&[ConnectionRefused, ConnectionReset], ConnectionReset),
            (&[NetworkUnreachable, TimedOut], TimedOut),
            (&[], io::ErrorKind::NotFound),
        ] {
            assert_eq!(tried(errors).kind(), kind, "{errors:?}");
        }
    }
}
