//! The timer of async-io, for smol and other runtimes: feature `async-io`.
//!
//! [`AsyncIo`] implements [`Timer`] with the reactor of the crate async-io. `AsyncIo` is the default timer, so
//! `Server::new` and `Client::new` need no timer.
//!
//! Invariant: a timer that is set fires at or before the deadline of the last `poll_at`. A timer that fires before this
//! deadline is set again.

use core::future::Future;
use core::pin::Pin;
use std::prelude::v1::*;
use std::task::{Context, Poll};

use super::{FuturesIo, Timer, handshake_driver};
use crate::Instant;

/// The timer of the crate async-io, which smol uses.
#[derive(Debug)]
pub struct AsyncIo {
    origin: std::time::Instant,
    /// The timer that is set, and the time at which it fires.
    alarm: Option<(Instant, Box<::async_io::Timer>)>,
}

impl Default for AsyncIo {
    fn default() -> Self {
        Self { origin: std::time::Instant::now(), alarm: None }
    }
}

impl Clone for AsyncIo {
    /// Returns a timer with the same clock. The new timer is not set.
    fn clone(&self) -> Self {
        Self { origin: self.origin, alarm: None }
    }
}

impl Timer for AsyncIo {
    fn now(&self) -> Instant {
        Instant::from_origin(self.origin.elapsed())
    }

    fn poll_at(&mut self, cx: &mut Context<'_>, at: Instant) -> Poll<()> {
        let Some(when) = self.origin.checked_add(at.since_origin()) else { return Poll::Pending };
        loop {
            let (set, timer) = match &mut self.alarm {
                // A timer that is already set for an earlier time is not changed. When this timer fires too early, it
                // is set again. A deadline moves with each message, and changing the timer each time would cost more
                // than a spurious wakeup.
                Some((set, timer)) if *set <= at => (set, timer),
                alarm => {
                    let (set, timer) = alarm.insert((at, Box::new(::async_io::Timer::at(when))));
                    (set, timer)
                }
            };
            match Pin::new(&mut **timer).poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(_) if *set == at => {
                    self.alarm = None;
                    return Poll::Ready(());
                }
                Poll::Ready(_) => self.alarm = None,
            }
        }
    }
}

impl handshake_driver::Server<FuturesIo<AsyncIo>> {
    /// Creates a server with the defaults: no subprotocols, any origin, ten seconds for the handshake, and the defaults
    /// of [`Config`](crate::Config) and [`HeadLimits`](crate::handshake::HeadLimits).
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl handshake_driver::Client<FuturesIo<AsyncIo>> {
    /// Creates a client with the defaults: no subprotocols, no origin, no proxy, and ten seconds to open a WebSocket.
    /// All other settings are the defaults of [`Config`](crate::Config) and
    /// [`HeadLimits`](crate::handshake::HeadLimits).
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}
