//! The timer of async-io.

use core::future::Future;
use core::pin::Pin;
use std::prelude::v1::*;
use std::task::{Context, Poll};

use super::{FuturesIo, Timer, handshake_driver};
use crate::Instant;

/// The timer of the crate async-io, which smol runs on.
#[derive(Debug)]
pub struct AsyncIo {
    origin: std::time::Instant,
    alarm: Option<(Instant, Box<::async_io::Timer>)>,
}

impl Default for AsyncIo {
    fn default() -> Self {
        Self { origin: std::time::Instant::now(), alarm: None }
    }
}

impl Clone for AsyncIo {
    /// The same clock, with no alarm.
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
                // One that goes off too early is set again then: a deadline moves with each message, an alarm
                // that follows it would cost more than it is worth.
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
    /// The defaults: no subprotocols, any origin, ten seconds for the handshake, and those of
    /// [`Config`](crate::Config) and [`Limits`](crate::handshake::HeadLimits).
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl handshake_driver::Client<FuturesIo<AsyncIo>> {
    /// The defaults: no subprotocols, no origin, ten seconds for the handshake, and those of
    /// [`Config`](crate::Config) and [`Limits`](crate::handshake::HeadLimits).
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}
