//! [`Connections`]: blocking WebSockets one after the other, for a client that reconnects.
//!
//! `handshake_driver/attempts.rs` has the state, and `crate::reconnect` has the policy. This file waits and connects.
//!
//! Invariant: a connection is never opened before its delay has passed.

use std::thread;

use super::client_stream::ClientStream;
use super::clock::Clock;
use super::websocket::WebSocket;
use super::{Blocking, Client};
use crate::adapters::handshake_driver::{Attempts, Stopped, Target};
use crate::reconnect::{ReconnectPolicy, Reconnecting};
use crate::{Instant, Outcome};

/// WebSockets to the same service, one after the other. [`Client::reconnecting`] creates it.
#[derive(Debug)]
pub struct Connections<U> {
    attempts: Attempts<Blocking, U>,
    clock: Clock,
}

impl Client {
    /// Returns a source of connections, which connects again when the application asks for the next connection.
    ///
    /// `target` returns the URL of each attempt, or a [`Target`] with headers. Its argument is the number of attempts
    /// in a row that have failed. So each attempt can have a fresh token.
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
    ///     if let Some(outcome) = ws.outcome() {
    ///         feed.closed(outcome);
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn reconnecting<T: Into<Target>, U: FnMut(u32) -> T>(
        &self,
        policy: ReconnectPolicy,
        target: U,
    ) -> Connections<U> {
        let attempts = Attempts::new(self.clone(), policy, target);
        Connections { attempts, clock: Clock::start_at(Instant::ZERO, None) }
    }
}

impl<T: Into<Target>, U: FnMut(u32) -> T> Connections<U> {
    /// Returns the next connection. Blocks until it is open.
    ///
    /// The first attempt is made at once. Further attempts follow after the delays of the policy. If the application
    /// has not reported the end of the previous connection with [`closed`](Self::closed), the connection counts as
    /// lost.
    ///
    /// # Errors
    ///
    /// [`Stopped`]: the policy does not retry the failure, or too many attempts have failed. All further calls return
    /// the same reason.
    pub fn next_connection(&mut self) -> Result<WebSocket<ClientStream>, Stopped> {
        loop {
            let now = self.now();
            let due = self.attempts.due(now)?;
            thread::sleep(due.saturating_duration_since(now));
            match self.attempts.begin().and_then(|(client, url)| client.connect(&url)) {
                Ok(ws) => {
                    self.attempts.connected(self.now());
                    return Ok(ws);
                }
                Err(error) => self.attempts.failed(self.now(), error),
            }
        }
    }
}

impl<U> Connections<U> {
    /// Reports how the connection has ended. The close code decides whether [`next_connection`](Self::next_connection)
    /// connects again, and the delay begins now.
    pub fn closed(&mut self, outcome: Outcome) {
        let now = self.now();
        self.attempts.closed(now, outcome);
    }

    /// Returns the state of the policy, for example the number of failed attempts.
    #[must_use]
    pub const fn state(&self) -> &Reconnecting {
        self.attempts.reconnecting()
    }

    fn now(&self) -> Instant {
        self.clock.now(|| None)
    }
}
