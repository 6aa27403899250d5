//! The builder [`Server`], and the application's decision to accept a request.
//!
//! A server's handshake has two phases, with the application's decision in between:
//!
//! ```text
//!   Server ── receiving ──▶ Receiving ── finish ──▶ Pending ─┬─ accepting ──▶ Accepting ── finish ──▶ Opened
//!                              │                             └─ rejecting ──▶ Responding: any other status
//!                              └── plain HTTP, a rule was broken ──▶ NotAccepted
//! ```
//!
//! This file has the settings. `receiving.rs`, `accepting.rs` and `responding.rs` have the machines, and the rules for
//! requests and responses are in `crate::handshake`.

use core::time::Duration;
use std::prelude::v1::*;
use std::sync::Arc;

use super::AddedHeaders;
use crate::SharedConfig;
#[cfg(feature = "deflate")]
use crate::handshake::DeflateConfig;
use crate::handshake::{HeadLimits, RequestHead};

/// The settings of a server, used for each connection. `R` is the runtime marker of the adapter.
///
/// The methods that accept are on the adapter's page: `net::Server` for example. A clone is cheap: it shares the
/// settings until one of the two is changed.
#[derive(Clone, Debug)]
pub struct Server<R> {
    runtime: R,
    pub(super) settings: Arc<Settings>,
}

/// The settings that do not depend on the adapter.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) config: SharedConfig,
    pub(super) limits: HeadLimits,
    pub(super) timeout: Option<Duration>,
    subprotocols: Vec<String>,
    origins: Option<Vec<String>>,
    pub(super) headers: AddedHeaders,
    #[cfg(feature = "deflate")]
    deflate: Option<DeflateConfig>,
}

impl<R: Default> Default for Server<R> {
    fn default() -> Self {
        Self::with_runtime(R::default())
    }
}

impl<R> Server<R> {
    /// Creates a server with the defaults on a runtime of the application: a clock, and the
    /// [`Transport`](crate::adapters::async_driver::Transport) of the application's own stream. Each connection gets a
    /// clone of `runtime`.
    #[must_use]
    pub fn with_runtime(runtime: R) -> Self {
        let settings = Settings {
            config: SharedConfig::default(),
            limits: HeadLimits::new(),
            timeout: Some(Duration::from_secs(10)),
            subprotocols: Vec::new(),
            origins: None,
            headers: AddedHeaders::default(),
            #[cfg(feature = "deflate")]
            deflate: None,
        };
        Self { runtime, settings: Arc::new(settings) }
    }

    /// Returns the runtime marker.
    #[must_use]
    pub const fn runtime(&self) -> &R {
        &self.runtime
    }

    /// Returns these settings with a change.
    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }

    /// Sets the limits, timers and behaviour of the connections: a [`Config`](crate::Config), or a shared one.
    #[must_use]
    pub fn config(self, config: impl Into<SharedConfig>) -> Self {
        self.with(|settings| settings.config = config.into())
    }

    /// Sets the limits on the head of a request.
    #[must_use]
    pub fn head_limits(self, limits: HeadLimits) -> Self {
        self.with(|settings| settings.limits = limits)
    }

    /// Sets how long each of the two parts of a handshake may take: receiving the request, and sending the 101
    /// response. `None` sets no limit. The time in which the application decides is not counted.
    ///
    /// A request that is not complete in time is rejected with status 408. If the 101 response is not sent in time, the
    /// call returns [`AcceptError::Io`](super::AcceptError::Io).
    ///
    /// Another response may take longer. The peer must take some of it within each such time (1 s at least, 30 s at
    /// most or with `None`), and 1 KiB a second on the whole. Otherwise the call returns
    /// [`AcceptError::Io`](super::AcceptError::Io).
    #[must_use]
    pub fn handshake_timeout(self, timeout: Option<Duration>) -> Self {
        self.with(|settings| settings.timeout = timeout)
    }

    /// Sets the supported subprotocols. The first one in the client's list that is supported is selected (RFC 6455
    /// section 4.2.2).
    #[must_use]
    pub fn subprotocols<T: Into<String>>(self, names: impl IntoIterator<Item = T>) -> Self {
        self.with(|settings| settings.subprotocols = names.into_iter().map(Into::into).collect())
    }

    /// Sets the origins whose pages may connect. Requests from other origins are rejected with status 403.
    ///
    /// A request without an `Origin` header is not from a browser, and is accepted (RFC 6455 section 10.2).
    #[must_use]
    pub fn origins<T: Into<String>>(self, origins: impl IntoIterator<Item = T>) -> Self {
        self.with(|settings| settings.origins = Some(origins.into_iter().map(Into::into).collect()))
    }

    /// Accepts offers of permessage-deflate (RFC 7692), off by default. Messages of such connections are compressed
    /// with the settings of [`Config::compression`](crate::Config::compression).
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(self, config: impl Into<Option<DeflateConfig>>) -> Self {
        self.with(|settings| settings.deflate = config.into())
    }

    /// Adds a header to the 101 response. Debug output shows its name only.
    #[must_use]
    pub fn header(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.with(|settings| settings.headers.add(name, value))
    }
}

impl Settings {
    /// Returns the origins whose pages may connect, or `None` for all of them.
    pub(super) fn allowed_origins(&self) -> Option<Vec<&str>> {
        self.origins.as_ref().map(|list| list.iter().map(String::as_str).collect())
    }

    /// Returns the server's own decision about a request.
    pub(super) fn acceptance(&self, head: &RequestHead) -> Acceptance {
        let own = &self.subprotocols;
        let chosen = head.subprotocols().find(|name| own.iter().any(|own| own == name));
        Acceptance { subprotocol: chosen.map(Into::into), ..Acceptance::new() }
    }

    /// Returns the settings for permessage-deflate, unless `acceptance` has its own.
    #[cfg(feature = "deflate")]
    pub(super) fn deflate_for(&self, acceptance: &Acceptance) -> Option<DeflateConfig> {
        match acceptance.deflate {
            DeflateChoice::OfTheServer => self.deflate,
            DeflateChoice::Own(config) => config,
        }
    }
}

/// The application's decision to accept a request: what its 101 response says.
///
/// The acceptance adds to the settings of the [`Server`], which apply to each response.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Acceptance {
    pub(super) subprotocol: Option<String>,
    pub(super) headers: AddedHeaders,
    #[cfg(feature = "deflate")]
    deflate: DeflateChoice,
}

/// Whose settings for permessage-deflate apply.
#[cfg(feature = "deflate")]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum DeflateChoice {
    #[default]
    OfTheServer,
    Own(Option<DeflateConfig>),
}

impl Acceptance {
    /// Returns an acceptance without a subprotocol and without headers of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Selects a subprotocol, one of those that the client offered (RFC 6455 section 4.2.2), or none.
    #[must_use]
    pub fn subprotocol<'n>(mut self, name: impl Into<Option<&'n str>>) -> Self {
        self.subprotocol = name.into().map(Into::into);
        self
    }

    /// Adds a header to the 101 response. Debug output shows its name only.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.add(name, value);
        self
    }

    /// Accepts an offer of permessage-deflate by `config`, or none, instead of by the server's settings.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(mut self, config: impl Into<Option<DeflateConfig>>) -> Self {
        self.deflate = DeflateChoice::Own(config.into());
        self
    }
}
