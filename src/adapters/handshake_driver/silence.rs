//! Connections that fall silent in one of the stages of opening, for the tests of all adapters.
//!
//! The adapters run these connections over streams on virtual time.

use core::time::Duration;
#[cfg(feature = "rustls-ring")]
use std::sync::Arc;
use std::vec::Vec;

use super::client::Client;
use super::connect_error::ConnectError;
use crate::dial::Stage;
use crate::proxy::{ProxyError, ProxyUrl};
#[cfg(feature = "rustls-ring")]
use crate::tls::ClientConfig;

/// A connection that falls silent.
pub(in crate::adapters) struct Silence {
    pub(in crate::adapters) proxy: Option<&'static str>,
    pub(in crate::adapters) url: &'static str,
    /// The bytes that arrive at the start. Nothing follows.
    pub(in crate::adapters) arrives: &'static [u8],
    /// The stage that is running at the deadline.
    pub(in crate::adapters) stage: Stage,
}

impl Silence {
    pub(in crate::adapters) const LIMIT: Duration = Duration::from_secs(3);

    /// Returns connections that fall silent, at least one for each stage after TCP. The stages of TLS need the
    /// feature `rustls-ring`.
    pub(in crate::adapters) fn all() -> Vec<Self> {
        const OPEN: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";
        const SOCKS_OPEN: &[u8] = &[5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        let (http, https) = (Some("http://u:p@127.0.0.1"), Some("https://127.0.0.1"));
        let (socks, socks_h) = (Some("socks5://127.0.0.1"), Some("socks5h://u:p@127.0.0.1"));
        let plain = "ws://192.0.2.1/";
        let mut all = std::vec![
            (None, plain, &b""[..], Stage::Handshake),
            (None, plain, b"HTTP/1.1 101 Sw", Stage::Handshake),
            (http, plain, b"", Stage::Proxy),
            (http, plain, b"HTTP/1.1 200 OK\r\n", Stage::Proxy),
            (http, plain, OPEN, Stage::Handshake),
            (http, plain, b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 1", Stage::Handshake),
            (socks_h, plain, &[5, 2, 1], Stage::Proxy),
            (socks, plain, &[5, 0, 5, 0], Stage::Proxy),
            (socks, plain, SOCKS_OPEN, Stage::Handshake),
        ];
        if cfg!(feature = "rustls-ring") {
            all.extend([
                (None, "wss://192.0.2.1/", &b""[..], Stage::Tls),
                (None, "wss://192.0.2.1/", &[0x16, 3], Stage::Tls),
                (http, "wss://a.example/", b"HTTP/1.1 200 O", Stage::Proxy),
                (http, "wss://a.example/", OPEN, Stage::Tls),
                (socks, "wss://192.0.2.1/", SOCKS_OPEN, Stage::Tls),
                (https, "wss://a.example/", b"", Stage::ProxyTls),
                (https, plain, &[0x16, 3], Stage::ProxyTls),
            ]);
        }
        all.into_iter().map(|(proxy, url, arrives, stage)| Self { proxy, url, arrives, stage }).collect()
    }

    /// How long the client waits for the body of a refusal.
    pub(in crate::adapters) const BODY_LIMIT: Duration = super::tunneling::BODY_LIMIT;

    /// Returns a connection to a proxy that refuses the tunnel, and falls silent in the body of its response.
    pub(in crate::adapters) const fn after_refusal() -> Self {
        Self {
            proxy: Some("http://u:p@127.0.0.1"),
            url: "ws://192.0.2.1/",
            arrives: b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 99\r\n\r\n<html>",
            stage: Stage::Proxy,
        }
    }

    /// Checks the error after a refusal.
    #[track_caller]
    pub(in crate::adapters) fn check_refusal<T, S>(result: Result<T, ConnectError<S>>) {
        match result {
            Err(ConnectError::Proxy(ProxyError::Refused(refusal))) => {
                assert_eq!((refusal.status(), refusal.body()), (502, &b"<html>"[..]));
            }
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("open"),
        }
    }

    /// Returns `client` with the proxy and the deadline.
    pub(in crate::adapters) fn client<R>(&self, client: Client<R>) -> Client<R> {
        let client = client.open_timeout(Some(Self::LIMIT));
        #[cfg(feature = "rustls-ring")]
        let client = {
            use crate::tls::rustls::{RootCertStore, crypto::ring};
            let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
            let config = config.with_safe_default_protocol_versions().unwrap();
            client.tls(Arc::new(config.with_root_certificates(RootCertStore::empty()).with_no_client_auth()))
        };
        match self.proxy {
            Some(url) => client.proxy(ProxyUrl::parse(url).unwrap()),
            None => client,
        }
    }

    /// Checks the error at the deadline.
    #[track_caller]
    pub(in crate::adapters) fn check<T, S>(&self, result: Result<T, ConnectError<S>>) {
        let Self { proxy, url, stage, .. } = self;
        let error = match result {
            Err(ConnectError::Deadline(error)) => error,
            Err(error) => panic!("{proxy:?} {url} {stage:?}: {error}"),
            Ok(_) => panic!("{proxy:?} {url} {stage:?}: open"),
        };
        assert_eq!((error.stage(), error.limit()), (*stage, Self::LIMIT), "{proxy:?} {url}");
    }
}
