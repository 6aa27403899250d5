//! [`Connections`]: blocking WebSockets one after the other, for a client that reconnects.
//!
//! `handshake_driver/attempts.rs` has the state, and `crate::reconnect` has the policy. This file waits and connects.
//!
//! Invariant: a connection is never opened before its delay has passed.

use core::fmt;
use core::time::Duration;
use std::boxed::Box;
use std::thread;

use super::client_stream::ClientStream;
use super::clock::Clock;
use super::websocket::WebSocket;
use super::{Blocking, Client, ConnectError, Error};
use crate::adapters::handshake_driver::{Attempts, ReconnectStopped, ReconnectTarget};
#[cfg(doc)]
use crate::reconnect::Failure;
use crate::reconnect::{ReconnectPolicy, ReconnectState};
use crate::{Instant, Outcome};

/// WebSockets to the same service, one after the other. [`Client::reconnecting`] creates this value.
///
/// `'a` is the lifetime of the values that the function for the targets borrows. It is `'static` if the function
/// borrows nothing.
pub struct Connections<'a> {
    attempts: Attempts<Blocking>,
    target: Box<dyn FnMut(u32) -> ReconnectTarget + Send + 'a>,
    clock: Clock,
}

impl Client {
    /// Returns a source of connections, which connects again when the application asks for the next connection.
    ///
    /// `target` is called for each attempt, so each attempt can have a fresh token. It returns the URL, or a
    /// [`ReconnectTarget`] with headers. Its argument is the number of attempts in a row that have failed. If `target`
    /// returns `Err`, the attempt has failed, and the policy decides about [`Failure::Target`].
    ///
    /// Messages are neither buffered nor sent again. After each connection, the application restores its own state, for
    /// example its subscriptions.
    ///
    /// ```no_run
    /// use hybi::adapters::net::Client;
    /// use hybi::reconnect::ReconnectPolicy;
    ///
    /// let mut feed = Client::new().reconnecting(ReconnectPolicy::new(), |_| "ws://127.0.0.1:9001/feed");
    /// loop {
    ///     let mut ws = match feed.next_connection() {
    ///         Ok(ws) => ws,
    ///         Err(stopped) => break println!("{stopped}"),
    ///     };
    ///     while let Ok(Some(message)) = ws.recv() {
    ///         println!("{} bytes", message.as_bytes().len());
    ///     }
    ///     // A server that breaks the protocol has the same effect as one that closes with the code of the violation.
    ///     feed.closed(ws.wait_closed());
    /// }
    /// ```
    #[must_use]
    pub fn reconnecting<'a, T: Into<ReconnectTarget>>(
        &self,
        policy: ReconnectPolicy,
        mut target: impl FnMut(u32) -> T + Send + 'a,
    ) -> Connections<'a> {
        Connections {
            attempts: Attempts::new(self.clone(), policy),
            target: Box::new(move |failed| target(failed).into()),
            clock: Clock::start_at(Instant::ZERO, None),
        }
    }
}

impl Connections<'_> {
    /// Returns the next connection. Blocks until it is open.
    ///
    /// The first attempt is made at once. Further attempts follow after the delays of the policy. If the application
    /// has not reported the end of the previous connection with [`closed`](Self::closed), the connection counts as
    /// lost. The policy measures how long the connection has lasted until that report, or until this call.
    ///
    /// While attempts fail and are retried, this call does not return. If the application must report such failures,
    /// for example of a host name that does not exist, call
    /// [`next_connection_timeout`](Self::next_connection_timeout).
    ///
    /// # Errors
    ///
    /// [`ReconnectStopped`]: the policy does not retry the failure, or too many attempts have failed. All further calls
    /// return the same reason, until [`reset`](Self::reset) is called.
    pub fn next_connection(&mut self) -> Result<WebSocket<ClientStream>, ReconnectStopped> {
        loop {
            // Without a limit, the result is always a connection.
            if let Some(ws) = self.connect_until(None)? {
                return Ok(ws);
            }
        }
    }

    /// Returns the next connection like [`next_connection`](Self::next_connection), but does not begin an attempt that
    /// is due later than `timeout` from now. Returns `None` in this case.
    ///
    /// The timeout limits only the waiting. An attempt that has begun is completed, within
    /// [`Client::open_timeout`]. After `None`, [`last_error`](Self::last_error) returns why the last attempt failed.
    ///
    /// ```
    /// use core::time::Duration;
    /// use hybi::adapters::net::Client;
    /// use hybi::reconnect::ReconnectPolicy;
    ///
    /// // Nobody listens at this port any more.
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let url = format!("ws://{}/feed", listener.local_addr()?);
    /// drop(listener);
    /// let policy = ReconnectPolicy::new().first_delay(Duration::from_secs(3600)).max_delay(Duration::from_secs(3600));
    /// let mut feed = Client::new().reconnecting(policy, |_| url.as_str());
    /// assert!(feed.next_connection_timeout(Duration::ZERO)?.is_none());
    /// assert!(feed.last_error().is_some());
    /// assert!(feed.next_attempt_in().is_some_and(|delay| delay <= Duration::from_secs(3600)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ReconnectStopped`]: the policy does not retry the failure, or too many attempts have failed. All further calls
    /// return the same reason, until [`reset`](Self::reset) is called.
    pub fn next_connection_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<Option<WebSocket<ClientStream>>, ReconnectStopped> {
        let until = self.now() + timeout;
        self.connect_until(Some(until))
    }

    /// Returns the next connection, or `None` if the next attempt is due later than `until`.
    fn connect_until(
        &mut self,
        until: Option<Instant>,
    ) -> Result<Option<WebSocket<ClientStream>>, ReconnectStopped> {
        loop {
            let now = self.now();
            let due = self.attempts.due(now)?;
            let wake_at = until.map_or(due, |until| due.min(until));
            thread::sleep(wake_at.saturating_duration_since(now));
            if wake_at < due {
                return Ok(None);
            }
            let target = (self.target)(self.attempts.reconnecting().failed_attempts());
            let prepared = target.prepare(self.attempts.client().clone());
            match prepared.and_then(|(client, url)| client.connect(&url)) {
                Ok(ws) => {
                    self.attempts.connected(self.now());
                    return Ok(Some(ws));
                }
                Err(error) => self.attempts.failed(self.now(), error),
            }
        }
    }
    /// Reports how the connection has ended. Pass the result of `wait_closed` of the WebSocket, or `Ok` with its
    /// outcome.
    ///
    /// The close code decides whether [`next_connection`](Self::next_connection) connects again, and the delay begins
    /// now. The close code of [`Error::Protocol`] is that of the violation, and the close code of [`Error::Ended`] is
    /// that of its outcome. Other errors count as a failure of the network.
    ///
    /// On an open connection, `wait_closed` waits until the peer closes. So close the connection first, if the
    /// application no longer needs it.
    pub fn closed(&mut self, end: Result<Outcome, Error>) {
        let now = self.now();
        self.attempts.closed(now, &end);
    }

    /// Forgets all failures, so that the next attempt is made at once, and the delay after it is short again.
    ///
    /// Call this when the cause of the failures has gone, for example when the device has a network again. The call
    /// also ends a wait that the server has asked for with `Retry-After`. If the client had stopped, it connects again.
    pub fn reset(&mut self) {
        let now = self.now();
        self.attempts.reset(now);
    }

    /// Returns the error of the last attempt. Returns `None` if this attempt has opened a connection, or after the
    /// error was returned in [`ReconnectStopped`].
    #[must_use]
    pub fn last_error(&self) -> Option<&ConnectError<()>> {
        self.attempts.last_error()
    }

    /// Returns how long it takes until the next attempt is due; zero if it is due now. Returns `None` while a
    /// connection is open, and after the client has stopped.
    #[must_use]
    pub fn next_attempt_in(&self) -> Option<Duration> {
        Some(self.attempts.next_at()?.saturating_duration_since(self.now()))
    }

    /// Returns the state of the policy, for example the number of failed attempts.
    #[must_use]
    pub const fn state(&self) -> &ReconnectState {
        self.attempts.reconnecting()
    }

    fn now(&self) -> Instant {
        self.clock.now(|| None)
    }
}

impl fmt::Debug for Connections<'_> {
    // Written by hand, because a function has no `Debug`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("attempts", &self.attempts).finish_non_exhaustive()
    }
}
