//! The builder [`Server`], and the application's decision to accept a request.
//!
//! A server's handshake has two phases: receiving the request, and sending the response. Between the two phases the
//! application decides whether to accept the request:
//!
//! ```text
//!   Server ── receiving ──▶ Receiving ── finish ──▶ Pending ─┬─ accepting ──▶ Accepting ── finish ──▶ Opened
//!                              │                             └─ rejecting ──▶ Responding: any other status
//!                              └── plain HTTP, a rule was broken ──▶ NotAccepted
//! ```
//!
//! This file has the settings. `receiving.rs`, `accepting.rs` and `responding.rs` have the state machines. The rules
//! for requests and responses are in `crate::handshake`.

use core::fmt;
use core::time::Duration;
use std::prelude::v1::*;
use std::sync::Arc;

use super::AddedHeaders;
use crate::SharedConfig;
#[cfg(feature = "deflate")]
use crate::handshake::DeflateConfig;
use crate::handshake::{HeadLimits, RequestHead};

/// The settings of a server, used for each connection. `R` is the runtime of the adapter: its clock and its streams.
///
/// The methods that accept a connection depend on the adapter. They are documented at the adapter's alias of this type,
/// for example `net::Server`. A clone is cheap: it shares the settings with the original until one of the two is
/// changed.
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
    /// Creates a server with the defaults, for a runtime of the application.
    ///
    /// The runtime is a clock and a [`Transport`](crate::adapters::async_driver::Transport) for the application's own
    /// streams. Each connection gets a clone of `runtime`.
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

    /// Returns the runtime.
    #[must_use]
    pub const fn runtime(&self) -> &R {
        &self.runtime
    }

    /// Returns this server with changed settings.
    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }

    /// Sets the limits, timers and behaviour of the connections: a [`Config`](crate::Config) or a [`SharedConfig`].
    #[must_use]
    pub fn config(self, config: impl Into<SharedConfig>) -> Self {
        self.with(|settings| settings.config = config.into())
    }

    /// Sets the limits on the head of a request.
    #[must_use]
    pub fn head_limits(self, limits: HeadLimits) -> Self {
        self.with(|settings| settings.limits = limits)
    }

    /// Sets how long each of the two phases of a handshake may take: receiving the request, and sending the 101
    /// response. `None` sets no limit. The time that the application needs to decide does not count.
    ///
    /// A request that is not complete in time is rejected with status 408. If the 101 response is not sent in time, the
    /// call returns [`AcceptError::Io`](super::AcceptError::Io).
    ///
    /// A response with another status may be large, so it may take longer. The call fails if the stream accepts no byte
    /// of the response for as long as the timeout. The call also fails if the whole response takes longer than the
    /// timeout plus one second for each KiB. For both limits a timeout below 1 s counts as 1 s. A timeout above 30 s,
    /// or `None`, counts as 30 s. The error is an I/O error of the kind `TimedOut`.
    #[must_use]
    pub fn handshake_timeout(self, timeout: Option<Duration>) -> Self {
        self.with(|settings| settings.timeout = timeout)
    }

    /// Sets the supported subprotocols. The server selects the first supported name in the client's list (RFC 6455
    /// section 4.2.2).
    #[must_use]
    pub fn subprotocols<T: Into<String>>(self, names: impl IntoIterator<Item = T>) -> Self {
        self.with(|settings| settings.subprotocols = names.into_iter().map(Into::into).collect())
    }

    /// Sets the origins whose pages may connect. Requests from other origins are rejected with status 403. Without this
    /// call all origins are allowed.
    ///
    /// A request without an `Origin` header does not come from a browser, and is allowed (RFC 6455 section 10.2).
    #[must_use]
    pub fn origins<T: Into<String>>(self, origins: impl IntoIterator<Item = T>) -> Self {
        self.with(|settings| settings.origins = Some(origins.into_iter().map(Into::into).collect()))
    }

    /// Sets how offers of permessage-deflate are answered (RFC 7692). With `None`, the default, they are declined.
    ///
    /// If an offer is accepted, messages are compressed with the settings of
    /// [`Config::compression`](crate::Config::compression).
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
    /// Returns the origins whose pages may connect, or `None` if all origins are allowed.
    pub(super) fn allowed_origins(&self) -> Option<Vec<&str>> {
        self.origins.as_ref().map(|list| list.iter().map(String::as_str).collect())
    }

    /// Returns the default acceptance of a request: the first supported subprotocol in the client's list.
    pub(super) fn acceptance(&self, head: &RequestHead) -> Acceptance {
        let own = &self.subprotocols;
        let chosen = head.subprotocols().find(|name| own.iter().any(|own| own == name));
        Acceptance { subprotocol: chosen.map(Into::into), ..Acceptance::new() }
    }

    /// Returns the settings for permessage-deflate: those of `acceptance` if it has any, otherwise those of the server.
    #[cfg(feature = "deflate")]
    pub(super) fn deflate_for(&self, acceptance: &Acceptance) -> Option<DeflateConfig> {
        match acceptance.deflate {
            DeflateChoice::OfTheServer => self.deflate,
            DeflateChoice::Own(config) => config,
        }
    }
}

/// The application's decision to accept a request: the subprotocol and the additional headers of the 101 response.
///
/// The 101 response also contains the headers of the [`Server`].
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Acceptance {
    pub(super) subprotocol: Option<String>,
    pub(super) headers: AddedHeaders,
    #[cfg(feature = "deflate")]
    deflate: DeflateChoice,
}

impl fmt::Debug for Acceptance {
    /// Shows only whether a subprotocol was selected, because some applications put a token into a subprotocol.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut output = f.debug_struct("Acceptance");
        output.field("subprotocol", &self.subprotocol.as_ref().map(|_| format_args!("..")));
        output.field("headers", &self.headers);
        #[cfg(feature = "deflate")]
        output.field("deflate", &self.deflate);
        output.finish()
    }
}

/// The settings for permessage-deflate that apply: those of the server or those of the acceptance.
#[cfg(feature = "deflate")]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum DeflateChoice {
    #[default]
    OfTheServer,
    Own(Option<DeflateConfig>),
}

impl Acceptance {
    /// Returns an acceptance without a subprotocol and without additional headers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Selects a subprotocol, or none. The client must have offered the subprotocol (RFC 6455 section 4.2.2).
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

    /// Sets how offers of permessage-deflate are answered, instead of the server's setting. With `None` they are
    /// declined.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(mut self, config: impl Into<Option<DeflateConfig>>) -> Self {
        self.deflate = DeflateChoice::Own(config.into());
        self
    }
}
