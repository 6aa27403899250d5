//! The attempts of a client that reconnects: the state that the blocking and the asynchronous adapter share.
//!
//! [`Attempts`] reports results to the state machine [`ReconnectState`]. `Attempts` remembers when the next attempt is
//! due, and why the last attempt failed. It draws the random bits of the delays, and reads the wall clock for dates in
//! `Retry-After`. The adapters ask the application for the [`ReconnectTarget`] of each attempt, wait, and connect.
//!
//! Invariant: at most one connection counts as open. When the application requests the next connection, the previous
//! one counts as lost.

use core::error::Error;
use core::fmt;
use core::time::Duration;
use std::boxed::Box;
use std::string::String;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::AddedHeaders;
use super::client::Client;
use super::connect_error::ConnectError;
#[cfg(feature = "http")]
use super::http_request::RequestSettings;
use crate::adapters::error::Error as WebSocketError;
use crate::handshake::HandshakeError;
#[cfg(feature = "http")]
use crate::handshake::HttpRequestError;
use crate::proxy::{ProxyError, SocksFailure};
use crate::reconnect::{Decision, Failure, GiveUp, ReconnectPolicy, ReconnectState};
#[cfg(any(feature = "rustls", feature = "native-tls"))]
use crate::tls::TlsError;
use crate::{Instant, Outcome};

/// The URL of one attempt to connect, and headers for its request in addition to those of the client.
///
/// An application can return a fresh token for each attempt. A `String` and a `&str` are targets without headers. With
/// the feature `http`, an `http::Request` is a target too. A `Result` is also a target. With `Err`, the attempt fails
/// with [`ConnectError::Target`], and the policy of reconnecting retries it by default.
///
/// ```
/// use hybi::adapters::handshake_driver::ReconnectTarget;
///
/// let target = ReconnectTarget::new("ws://127.0.0.1:9001/feed").header("Authorization", "Bearer 7f3a");
/// assert!(!format!("{target:?}").contains("7f3a"));
///
/// // The token cannot be read now. The next attempt tries again.
/// let token: Result<String, std::io::Error> = Err(std::io::ErrorKind::NotFound.into());
/// let target = ReconnectTarget::from(token.map(|token| {
///     ReconnectTarget::new("ws://127.0.0.1:9001/feed").header("Authorization", format!("Bearer {token}"))
/// }));
/// ```
#[derive(Clone)]
pub struct ReconnectTarget {
    url: String,
    headers: AddedHeaders,
    /// The error of the application, if the application has no target now.
    missing: Option<Arc<dyn Error + Send + Sync>>,
    /// The settings of the `http::Request` from which the target was created. An error in the request is reported as
    /// the failure of the attempt.
    #[cfg(feature = "http")]
    request: Option<Result<RequestSettings, HttpRequestError>>,
}

impl ReconnectTarget {
    /// Creates a target without additional headers.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            headers: AddedHeaders::default(),
            missing: None,
            #[cfg(feature = "http")]
            request: None,
        }
    }

    /// Adds a header to the request. The header replaces headers with the same name, both of the client and of the
    /// `http::Request` of this target. Debug output shows the name only.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.add(name, value);
        self
    }

    /// Returns the client for this attempt, and the URL. An error means that the attempt has failed.
    pub(in crate::adapters) fn prepare<R, S>(
        self,
        client: Client<R>,
    ) -> Result<(Client<R>, String), ConnectError<S>> {
        if let Some(error) = self.missing {
            return Err(ConnectError::Target(error));
        }
        #[cfg(feature = "http")]
        let client = match self.request {
            Some(settings) => client.with_settings(settings?),
            None => client,
        };
        let mut client = client;
        client.keep_headers(|own| !self.headers.0.iter().any(|(name, _)| name.eq_ignore_ascii_case(own)));
        let headers = self.headers.0.into_iter();
        Ok((headers.fold(client, |client, (name, value)| client.header(name, value)), self.url))
    }
}

impl From<String> for ReconnectTarget {
    fn from(url: String) -> Self {
        Self::new(url)
    }
}

impl From<&str> for ReconnectTarget {
    fn from(url: &str) -> Self {
        Self::new(url)
    }
}

impl<T: Into<Self>, E: Into<Box<dyn Error + Send + Sync>>> From<Result<T, E>> for ReconnectTarget {
    /// Returns the target, or for an error a target whose attempt fails with [`ConnectError::Target`].
    fn from(target: Result<T, E>) -> Self {
        match target {
            Ok(target) => target.into(),
            Err(error) => Self { missing: Some(Arc::from(error.into())), ..Self::new("") },
        }
    }
}

#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
impl<B> From<::http::Request<B>> for ReconnectTarget {
    /// Returns a target with the URL and the headers of `request`. These headers replace headers of the client with the
    /// same name. The body is ignored. If the request cannot be sent, the attempt fails.
    fn from(request: ::http::Request<B>) -> Self {
        let settings = RequestSettings::try_from(&request);
        let url = settings.as_ref().map(|settings| settings.url.clone()).unwrap_or_default();
        Self { request: Some(settings), ..Self::new(url) }
    }
}

impl fmt::Debug for ReconnectTarget {
    /// Shows only the names of the headers. The URL is hidden too, because its query can be a credential.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReconnectTarget").field("headers", &self.headers).finish_non_exhaustive()
    }
}

/// The error of a reconnecting client that does not connect again.
#[derive(Debug)]
#[non_exhaustive]
pub struct ReconnectStopped {
    /// The reason why the client does not connect again.
    pub reason: GiveUp,
    /// The error of the last attempt. `None` if this attempt opened a connection, or if the error was
    /// returned before.
    pub error: Option<Box<ConnectError<()>>>,
}

impl fmt::Display for ReconnectStopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.reason, f)
    }
}

impl Error for ReconnectStopped {
    /// Returns the error of the last attempt.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.as_deref().map(|error| error as &(dyn Error + 'static))
    }
}

impl<S> ConnectError<S> {
    /// Returns the kind of this error for the policy of reconnecting.
    ///
    /// `Retry-After` is read from the response. If it is a date, the time of the system clock is used.
    #[must_use]
    pub fn failure(&self) -> Failure {
        match self {
            Self::Url(_) | Self::NeedsTls | Self::Request(_) | Self::ProxyVariable(_) => Failure::Request,
            #[cfg(feature = "http")]
            Self::HttpRequest(_) => Failure::Request,
            Self::Target(_) => Failure::Target,
            Self::Connect(_) | Self::Deadline(_) | Self::Io(_) | Self::Handshake(HandshakeError::Timeout) => {
                Failure::Network
            }
            Self::Handshake(_) => Failure::Handshake,
            #[cfg(any(feature = "rustls", feature = "native-tls"))]
            Self::Tls(error) | Self::ProxyTls(error) => tls_failure(error),
            Self::Proxy(error) => proxy_failure(error),
            Self::Redirected { error, .. } => error.failure(),
            Self::Http(response) | Self::Redirect(_, response) => {
                Failure::response(response.status, response.headers(), unix_time())
            }
        }
    }
}

#[cfg(any(feature = "rustls", feature = "native-tls"))]
const fn tls_failure(error: &TlsError) -> Failure {
    match error {
        TlsError::NoProvider | TlsError::NoRoots(_) | TlsError::InvalidConfig(_) | TlsError::HostName(_) => {
            Failure::Request
        }
        TlsError::Truncated | TlsError::Timeout => Failure::Network,
        TlsError::Expired(_)
        | TlsError::NotValidYet(_)
        | TlsError::OtherHost(_)
        | TlsError::UnknownIssuer(_)
        | TlsError::InvalidCertificate(_) => Failure::Certificate,
        // One of the two endpoints broke off the TLS handshake. Possible causes are an alert, a peer without TLS, and
        // endpoints without common parameters.
        _ => Failure::Tls,
    }
}

impl From<&WebSocketError> for Failure {
    /// Returns the failure for the error of a call that receives or sends on an open connection. A violation of the
    /// protocol becomes [`Failure::Closed`] with the close code of the violation.
    fn from(error: &WebSocketError) -> Self {
        match error {
            WebSocketError::Protocol(violation) => Self::Closed(violation.close_code()),
            WebSocketError::Ended(outcome) => (*outcome).into(),
            WebSocketError::Io(_) | WebSocketError::Send(_) => Self::Network,
        }
    }
}

fn proxy_failure(error: &ProxyError) -> Failure {
    match error {
        ProxyError::Target
        | ProxyError::NameTooLong
        | ProxyError::NeedsAddress
        | ProxyError::AuthorizationHeader
        | ProxyError::ClientCertificate => Failure::Request,
        // A proxy may end the connection because it refuses the login, but also because it is restarted.
        ProxyError::NoAnswer | ProxyError::Truncated | ProxyError::LoginClosed => Failure::Network,
        ProxyError::Socks(
            SocksFailure::General
            | SocksFailure::NetworkUnreachable
            | SocksFailure::HostUnreachable
            | SocksFailure::ConnectionRefused
            | SocksFailure::TtlExpired,
        ) => Failure::Network,
        ProxyError::Refused(refusal) => Failure::proxy(refusal.status(), refusal.headers(), unix_time()),
        // The rules of the proxy forbid the connection, the proxy does not accept the credentials, or the peer is no
        // proxy.
        _ => Failure::Handshake,
    }
}

/// Returns the time since the Unix epoch.
fn unix_time() -> Option<Duration> {
    SystemTime::now().duration_since(UNIX_EPOCH).ok()
}

/// The attempts of a client that reconnects.
#[derive(Debug)]
pub(in crate::adapters) struct Attempts<R> {
    client: Client<R>,
    reconnecting: ReconnectState,
    state: State,
    /// The error of the last attempt. `None` if this attempt has opened a connection, or after the error was returned
    /// in [`ReconnectStopped`].
    error: Option<Box<ConnectError<()>>>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// No connection is open. The next attempt is due at this time.
    Due(Instant),
    /// The application uses a connection.
    Open,
    /// The client does not connect again.
    Stopped(GiveUp),
}

impl<R> Attempts<R> {
    pub(in crate::adapters) const fn new(client: Client<R>, policy: ReconnectPolicy) -> Self {
        let reconnecting = ReconnectState::new(policy);
        Self { client, reconnecting, state: State::Due(Instant::ZERO), error: None }
    }

    /// Returns the client with the settings for all attempts.
    pub(in crate::adapters) const fn client(&self) -> &Client<R> {
        &self.client
    }

    pub(in crate::adapters) const fn reconnecting(&self) -> &ReconnectState {
        &self.reconnecting
    }

    /// Returns when the next attempt is due. A connection that is still open counts as lost.
    pub(in crate::adapters) fn due(&mut self, now: Instant) -> Result<Instant, ReconnectStopped> {
        if let State::Open = self.state {
            self.handle_failure(now, &Failure::Network);
        }
        match self.state {
            State::Due(at) => Ok(at),
            State::Open => Ok(now),
            State::Stopped(reason) => Err(ReconnectStopped { reason, error: self.error.take() }),
        }
    }

    /// Returns when the next attempt is due. Returns `None` while a connection is open, and after the client has
    /// stopped.
    pub(in crate::adapters) const fn next_at(&self) -> Option<Instant> {
        match self.state {
            State::Due(at) => Some(at),
            State::Open | State::Stopped(_) => None,
        }
    }

    /// Returns the error of the last attempt.
    pub(in crate::adapters) fn last_error(&self) -> Option<&ConnectError<()>> {
        self.error.as_deref()
    }

    /// Forgets all failures. Unless a connection is open, the next attempt is due now, even if the client had stopped.
    pub(in crate::adapters) fn reset(&mut self, now: Instant) {
        self.reconnecting.reset();
        if !matches!(self.state, State::Open) {
            self.state = State::Due(now);
        }
    }

    /// Records that an attempt has succeeded.
    pub(in crate::adapters) fn connected(&mut self, now: Instant) {
        self.reconnecting.connected(now);
        (self.state, self.error) = (State::Open, None);
    }

    /// Records that an attempt has failed.
    pub(in crate::adapters) fn failed<S>(&mut self, now: Instant, error: ConnectError<S>) {
        self.handle_failure(now, &error.failure());
        self.error = Some(Box::new(error.without_stream()));
    }

    /// Records how the open connection has ended. Without an open connection, this call has no effect.
    pub(in crate::adapters) fn closed(&mut self, now: Instant, end: &Result<Outcome, WebSocketError>) {
        if let State::Open = self.state {
            let failure = end.as_ref().map_or_else(Failure::from, |outcome| (*outcome).into());
            self.handle_failure(now, &failure);
        }
    }

    fn handle_failure(&mut self, now: Instant, failure: &Failure) {
        let mut random = [0; 8];
        // Without entropy, the longest delay is used.
        let random = getrandom::fill(&mut random).map_or(u64::MAX, |()| u64::from_ne_bytes(random));
        self.state = match self.reconnecting.failed(now, failure, random) {
            Decision::RetryAt(at) => State::Due(at),
            Decision::GiveUp(reason) => State::Stopped(reason),
        };
    }
}
