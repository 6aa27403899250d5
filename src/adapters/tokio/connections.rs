//! [`Connections`]: WebSockets on tokio one after the other, for a client that reconnects.
//!
//! `handshake_driver/attempts.rs` has the state, and `crate::reconnect` has the policy. This file waits and connects.
//!
//! Invariants:
//! - A connection is never opened before its delay has passed.
//! - A future of [`Connections::next_connection`] holds no state, so it can be dropped at any time. The attempt goes on
//!   with the next call.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use std::boxed::Box;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use super::{Client, ClientStream, ConnectError, Timer, Tokio, WebSocket};
use crate::Outcome;
use crate::adapters::handshake_driver::{Attempts, Stopped, Target};
use crate::reconnect::{ReconnectPolicy, Reconnecting};

/// The attempt that is running.
type Connecting =
    Pin<Box<dyn Future<Output = Result<WebSocket<ClientStream>, ConnectError<ClientStream>>> + Send>>;

/// WebSockets to the same service, one after the other. [`Client::reconnecting`] creates it.
///
/// As a [`Stream`], it ends after the first error.
pub struct Connections<U> {
    attempts: Attempts<Tokio, U>,
    runtime: Tokio,
    connecting: Option<Connecting>,
    /// Whether the stream has returned an error.
    has_ended: bool,
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
    /// use hybi::adapters::tokio::Client;
    /// use hybi::reconnect::ReconnectPolicy;
    ///
    /// # async fn run() {
    /// let mut feed = Client::new().reconnecting(ReconnectPolicy::new(), |_| "ws://127.0.0.1:9001/feed");
    /// loop {
    ///     let mut ws = match feed.next_connection().await {
    ///         Ok(ws) => ws,
    ///         Err(stopped) => break println!("{stopped}"),
    ///     };
    ///     while let Ok(Some(message)) = ws.recv().await {
    ///         println!("{} bytes", message.as_bytes().len());
    ///     }
    ///     if let Some(outcome) = ws.outcome() {
    ///         feed.closed(outcome);
    ///     }
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn reconnecting<T: Into<Target>, U: FnMut(u32) -> T>(
        &self,
        policy: ReconnectPolicy,
        target: U,
    ) -> Connections<U> {
        let attempts = Attempts::new(self.clone(), policy, target);
        Connections { attempts, runtime: self.runtime().clone(), connecting: None, has_ended: false }
    }
}

impl<T: Into<Target>, U: FnMut(u32) -> T> Connections<U> {
    /// Returns the next connection.
    ///
    /// The first attempt is made at once. Further attempts follow after the delays of the policy. If the application
    /// has not reported the end of the previous connection with [`closed`](Self::closed), the connection counts as
    /// lost.
    ///
    /// # Errors
    ///
    /// [`Stopped`]: the policy does not retry the failure, or too many attempts have failed. All further calls return
    /// the same reason.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the attempt or the delay goes on with the next call.
    pub async fn next_connection(&mut self) -> Result<WebSocket<ClientStream>, Stopped> {
        poll_fn(|cx| self.poll_next_connection(cx)).await
    }

    fn poll_next_connection(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<WebSocket<ClientStream>, Stopped>> {
        loop {
            if let Some(connecting) = &mut self.connecting {
                let result = ready!(connecting.as_mut().poll(cx));
                self.connecting = None;
                match result {
                    Ok(ws) => {
                        self.attempts.connected(self.runtime.now());
                        return Poll::Ready(Ok(ws));
                    }
                    Err(error) => self.attempts.failed(self.runtime.now(), error),
                }
            }
            let due = self.attempts.due(self.runtime.now())?;
            ready!(self.runtime.poll_at(cx, due));
            let begun = self.attempts.begin();
            self.connecting = Some(Box::pin(async move {
                let (client, url) = begun?;
                client.connect(&url).await
            }));
        }
    }
}

impl<U> Connections<U> {
    /// Reports how the connection has ended. The close code decides whether [`next_connection`](Self::next_connection)
    /// connects again, and the delay begins now.
    pub fn closed(&mut self, outcome: Outcome) {
        self.attempts.closed(self.runtime.now(), outcome);
    }

    /// Returns the state of the policy, for example the number of failed attempts.
    #[must_use]
    pub const fn state(&self) -> &Reconnecting {
        self.attempts.reconnecting()
    }
}

impl<T: Into<Target>, U: FnMut(u32) -> T + Unpin> Stream for Connections<U> {
    type Item = Result<WebSocket<ClientStream>, Stopped>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let next = ready!(self.poll_next_connection(cx));
        self.has_ended = next.is_err();
        Poll::Ready(Some(next))
    }
}

impl<U> fmt::Debug for Connections<U> {
    // Written by hand, because a future has no `Debug`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("attempts", &self.attempts).finish_non_exhaustive()
    }
}
