//! Tests of WebSockets over TLS. `identity` makes the certificates that the tests use.
#![cfg(test)]

mod certificates;
mod closing;
mod cut;
mod echo;
mod example;
mod halves;
mod identity;
mod libraries;
mod proxies;
mod records;
mod redirects;
#[cfg(unix)]
mod unix;
