//! [`Connections`]: WebSockets on tokio one after the other, for a client that reconnects.
//!
//! `handshake_driver/attempts.rs` has the state, and `crate::reconnect` has the policy. This file waits and connects.
//!
//! Invariants:
//! - A connection is never opened before its delay has passed.
//! - A future of [`Connections::next_connection`] holds no state, so it can be dropped at any time. The attempt runs in
//!   a task of its own and goes on. Dropping [`Connections`] aborts this task.

use core::fmt;
use core::future::{Future, ready as ready_future};
use core::pin::Pin;
use core::time::Duration;
use std::boxed::Box;
use std::future::poll_fn;
use std::io;
use std::panic::resume_unwind;
use std::task::{Context, Poll, ready};

use ::tokio::task::{JoinHandle, spawn};
use futures_core::Stream;

use super::{Client, ClientStream, ConnectError, Error, Timer, Tokio, WebSocket};
use crate::Outcome;
use crate::adapters::handshake_driver::{Attempts, ReconnectStopped, ReconnectTarget};
#[cfg(doc)]
use crate::reconnect::Failure;
use crate::reconnect::{ReconnectPolicy, ReconnectState};

/// The task of the running attempt. If a future of the application made the attempt, the deadline of the attempt could
/// pass while nobody polls that future.
struct AttemptTask(JoinHandle<Result<WebSocket<ClientStream>, ConnectError<ClientStream>>>);

/// A future that returns the target of one attempt.
type TargetFuture = Pin<Box<dyn Future<Output = ReconnectTarget> + Send>>;

impl Drop for AttemptTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// WebSockets to the same service, one after the other. [`Client::reconnecting`] creates this value.
///
/// As a [`Stream`], this type ends after the first error. Each poll of the stream asks for the next connection, so the
/// open connection counts as lost. Do not use stream adapters that poll early, such as `buffered` and `peekable`.
///
/// `'a` is the lifetime of the values that the function for the targets borrows. It is `'static` if the function
/// borrows nothing.
pub struct Connections<'a> {
    attempts: Attempts<Tokio>,
    target: Box<dyn FnMut(u32) -> TargetFuture + Send + 'a>,
    runtime: Tokio,
    running: Option<AttemptTask>,
    /// Whether the stream has returned an error.
    has_ended: bool,
}

impl Client {
    /// Returns a source of connections, which connects again when the application asks for the next connection.
    ///
    /// `target` returns the URL of each attempt, or a [`ReconnectTarget`] with headers. Its argument is the number of
    /// attempts in a row that have failed. So each attempt can have a fresh token. If `target` returns `Err`, the
    /// attempt has failed, and the policy decides about [`Failure::Target`].
    ///
    /// `target` must not block. If it has to wait, for example for a fresh token, use
    /// [`reconnecting_async`](Self::reconnecting_async).
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
    ///     // A violation of the protocol counts like a Close with the code of the violation.
    ///     feed.closed(ws.wait_closed().await);
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn reconnecting<'a, T: Into<ReconnectTarget>>(
        &self,
        policy: ReconnectPolicy,
        mut target: impl FnMut(u32) -> T + Send + 'a,
    ) -> Connections<'a> {
        self.connections(policy, Box::new(move |failed| Box::pin(ready_future(target(failed).into()))))
    }

    /// Like [`reconnecting`](Self::reconnecting), but `target` returns a future of the URL or [`ReconnectTarget`].
    ///
    /// The future is a part of the attempt: the future runs in the task of the attempt, and is dropped together with
    /// this task. [`Client::open_timeout`] does not limit the future. If the future waits for a service that may not
    /// answer, put a timeout into the future. If the future panics, [`Connections::next_connection`] also panics.
    ///
    /// ```no_run
    /// use hybi::adapters::tokio::{Client, ReconnectTarget};
    /// use hybi::reconnect::ReconnectPolicy;
    ///
    /// # async fn fetch_token() -> Result<String, std::io::Error> { Ok(String::new()) }
    /// let mut feed = Client::new().reconnecting_async(ReconnectPolicy::new(), |_| async {
    ///     let token = fetch_token().await?;
    ///     let target = ReconnectTarget::new("wss://feed.example/").header("Authorization", format!("Bearer {token}"));
    ///     Ok::<_, std::io::Error>(target)
    /// });
    /// ```
    #[must_use]
    pub fn reconnecting_async<'a, T: Into<ReconnectTarget>, F: Future<Output = T> + Send + 'static>(
        &self,
        policy: ReconnectPolicy,
        mut target: impl FnMut(u32) -> F + Send + 'a,
    ) -> Connections<'a> {
        let target = move |failed| -> TargetFuture {
            let future = target(failed);
            Box::pin(async { future.await.into() })
        };
        self.connections(policy, Box::new(target))
    }

    fn connections<'a>(
        &self,
        policy: ReconnectPolicy,
        target: Box<dyn FnMut(u32) -> TargetFuture + Send + 'a>,
    ) -> Connections<'a> {
        let attempts = Attempts::new(self.clone(), policy);
        Connections { attempts, target, runtime: self.runtime().clone(), running: None, has_ended: false }
    }
}

impl Connections<'_> {
    /// Returns the next connection.
    ///
    /// The first attempt is made at once. Further attempts follow after the delays of the policy. If the application
    /// has not reported the end of the previous connection with [`closed`](Self::closed), the connection counts as
    /// lost. The policy measures how long the connection has lasted until that report, or until this call.
    ///
    /// While attempts fail and are retried, the future is pending. For example, a host name that does not exist is a
    /// retried failure. To report such a failure, put the future into a timeout, and then call
    /// [`last_error`](Self::last_error).
    ///
    /// # Errors
    ///
    /// [`ReconnectStopped`]: the policy does not retry the failure, or too many attempts have failed. All further calls
    /// return the same reason, until [`reset`](Self::reset) is called.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the running attempt or the delay goes on. The next call returns the result.
    pub async fn next_connection(&mut self) -> Result<WebSocket<ClientStream>, ReconnectStopped> {
        poll_fn(|cx| self.poll_next_connection(cx)).await
    }

    fn poll_next_connection(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<WebSocket<ClientStream>, ReconnectStopped>> {
        loop {
            if let Some(attempt) = &mut self.running {
                let result = ready!(Pin::new(&mut attempt.0).poll(cx));
                self.running = None;
                let error = match result {
                    Ok(Ok(ws)) => {
                        self.attempts.connected(self.runtime.now());
                        return Poll::Ready(Ok(ws));
                    }
                    Ok(Err(error)) => error,
                    Err(error) => match error.try_into_panic() {
                        Ok(panic) => resume_unwind(panic),
                        // The task has ended without a result, because the runtime shuts down.
                        Err(error) => ConnectError::Io(io::Error::other(error)),
                    },
                };
                self.attempts.failed(self.runtime.now(), error);
            }
            let now = self.runtime.now();
            let due = self.attempts.due(now)?;
            if due > now {
                // The timer of tokio waits up to a millisecond too long, even for an instant in the past. So an
                // attempt that is due does not use the timer.
                ready!(self.runtime.poll_at(cx, due));
            }
            let target = (self.target)(self.attempts.reconnecting().failed_attempts());
            let client = self.attempts.client().clone();
            self.running = Some(AttemptTask(spawn(async move {
                let (client, url) = target.await.prepare(client)?;
                client.connect(&url).await
            })));
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
        let now = self.runtime.now();
        self.attempts.closed(now, &end);
    }

    /// Forgets all failures, so that the next attempt is made at once, and the delay after this attempt is short again.
    ///
    /// Call this when the cause of the failures has gone, for example when the device has a network again. The call
    /// also ends a wait that the server has asked for with `Retry-After`. If the client had stopped, it connects again.
    pub fn reset(&mut self) {
        let now = self.runtime.now();
        self.attempts.reset(now);
        self.has_ended = false;
    }

    /// Returns the error of the last attempt. Returns `None` if this attempt has opened a connection, or after
    /// [`ReconnectStopped`] has returned the error.
    #[must_use]
    pub fn last_error(&self) -> Option<&ConnectError<()>> {
        self.attempts.last_error()
    }

    /// Returns how long it takes until the next attempt is due; zero if it is due now. Returns `None` while a
    /// connection is open, and after the client has stopped.
    #[must_use]
    pub fn next_attempt_in(&self) -> Option<Duration> {
        Some(self.attempts.next_at()?.saturating_duration_since(self.runtime.now()))
    }

    /// Returns the state of the policy, for example the number of failed attempts.
    #[must_use]
    pub const fn state(&self) -> &ReconnectState {
        self.attempts.reconnecting()
    }
}

impl Stream for Connections<'_> {
    type Item = Result<WebSocket<ClientStream>, ReconnectStopped>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let next = ready!(self.poll_next_connection(cx));
        self.has_ended = next.is_err();
        Poll::Ready(Some(next))
    }
}

impl fmt::Debug for Connections<'_> {
    // Written by hand, because a future has no `Debug`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("attempts", &self.attempts).finish_non_exhaustive()
    }
}
