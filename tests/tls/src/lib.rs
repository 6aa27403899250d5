//! Tests of WebSockets over TLS. `identity` makes the certificates that the tests use.
//!
//! Without the feature `rustls`, only the tests of native-tls are compiled.
#![cfg(test)]
#![cfg_attr(not(feature = "rustls"), allow(dead_code, reason = "the tests with rustls use this code"))]

#[cfg(feature = "rustls")]
mod answers;
#[cfg(feature = "rustls")]
mod certificates;
mod child;
#[cfg(feature = "rustls")]
mod closing;
#[cfg(feature = "rustls")]
mod cut;
mod defaults;
#[cfg(feature = "rustls")]
mod echo;
#[cfg(feature = "rustls")]
mod example;
mod halves;
mod identity;
mod libraries;
#[cfg(feature = "rustls")]
mod names;
mod native;
#[cfg(feature = "rustls")]
mod proxies;
#[cfg(feature = "rustls")]
mod records;
#[cfg(feature = "rustls")]
mod redirects;
#[cfg(feature = "rustls")]
mod sessions;
#[cfg(feature = "rustls")]
mod slow;
#[cfg(all(unix, feature = "rustls"))]
mod unix;
#[cfg(feature = "rustls")]
mod wrong_counts;
