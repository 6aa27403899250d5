//! The URLs that one call of `connect` visits: the first URL, and the URLs of redirects.
//!
//! ```text
//!   Client ── hops ──▶ Hops ── client, url ──▶ the adapter connects ──▶ open
//!                        ▲                          │ error
//!                        └──── follow: a redirect ──┴───▶ follow: any other error, or a refused redirect
//! ```
//!
//! `crate::redirect` decides whether a redirect is followed. Before the next request, this file removes the headers
//! that the next server must not get. It also removes the server name, which only the certificate of the first server
//! has. The file adds the reason to the error of a refused redirect, and the server to an error after a redirect. The
//! adapters connect.
//!
//! Invariant: a client that follows no redirects is neither copied nor changed.

use std::borrow::Cow;
use std::prelude::v1::*;

use super::client::Client;
use super::connect_error::ConnectError;
use crate::handshake::WsUrl;
use crate::redirect::Redirects;

/// The state of one call of `connect`: where to connect next, and with which settings. It has no `Debug`, because the
/// query of the URL can be a credential.
pub(in crate::adapters) struct Hops<'c, R: Clone> {
    client: Cow<'c, Client<R>>,
    url: Cow<'c, str>,
    redirects: Redirects,
}

impl<R: Clone> Client<R> {
    /// Returns the state of a call of `connect` with `url`.
    pub(in crate::adapters) fn hops<'c>(&'c self, url: &'c str) -> Hops<'c, R> {
        let redirects = Redirects::new(self.redirects).subprotocols(self.has_private_subprotocols());
        #[cfg(any(feature = "rustls", feature = "native-tls"))]
        let redirects = redirects.client_certificate(self.has_certificate());
        Hops { client: Cow::Borrowed(self), url: url.into(), redirects }
    }
}

impl<R: Clone> Hops<'_, R> {
    /// Returns the client for the next request.
    pub(in crate::adapters) fn client(&self) -> &Client<R> {
        &self.client
    }

    /// Returns the URL of the next request.
    pub(in crate::adapters) fn url(&self) -> &str {
        &self.url
    }

    /// Handles the failure of the last request. Returns `Ok` if the failure was a redirect and the next request must be
    /// sent. Otherwise returns the error for the application.
    pub(in crate::adapters) fn follow<S>(&mut self, error: ConnectError<S>) -> Result<(), ConnectError<S>> {
        self.follow_redirect(error).map_err(|error| self.with_last_server(error))
    }

    fn follow_redirect<S>(&mut self, error: ConnectError<S>) -> Result<(), ConnectError<S>> {
        let ConnectError::Http(response) = error else { return Err(error) };
        // The URL was parsed before the request was sent.
        let url = WsUrl::parse(&self.url)?;
        match self.redirects.follow(&url, response.status, response.headers()) {
            Ok(Some(next)) => {
                self.url = next.into();
                let redirects = &self.redirects;
                if !self.client.has_only_headers(|name| redirects.may_send(name)) {
                    self.client.to_mut().keep_headers(|name| redirects.may_send(name));
                }
                // The server name is that of the first server. Another server must prove its own name.
                #[cfg(any(feature = "rustls", feature = "native-tls"))]
                if redirects.has_left_server() && self.client.has_server_name() {
                    self.client.to_mut().forget_server_name();
                }
                Ok(())
            }
            Ok(None) => Err(ConnectError::Http(response)),
            Err(reason) => Err(ConnectError::Redirect(reason, response)),
        }
    }

    /// Returns the error of the last request. If a redirect has led to the server of this request, the host and port of
    /// the server are added.
    fn with_last_server<S>(&self, error: ConnectError<S>) -> ConnectError<S> {
        let redirects = self.redirects.followed();
        match WsUrl::parse(&self.url) {
            // Only host and port are shown, because the query can be a credential.
            Ok(url) if redirects > 0 => {
                ConnectError::Redirected { redirects, server: url.authority().into(), error: Box::new(error) }
            }
            _ => error,
        }
    }
}
