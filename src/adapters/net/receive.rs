//! Receiving messages, the same for the whole WebSocket and for the receiving half.
//!
//! A whole WebSocket and a [`Reader`](super::Reader) have different loops that return events: `run_loop.rs` and
//! `reader.rs`. The calls on top of these loops are the same. They are written once here, for every loop that
//! implements [`Receive`].
//!
//! Invariants:
//! - A large message is taken out of the inbox without being copied.
//! - An end that is not clean is returned as an error once, and only if the application asked for it ([`Ending`]).

use core::time::Duration;

use crate::adapters::error::{Error, end_of_messages};
use crate::{EventIndex, Inbox, Instant, Message, Outcome, SendError};

/// What the application was told, and is to be told, about the end of the connection.
#[derive(Debug, Default)]
pub(super) struct Ending {
    /// The outcome, once `Event::Closed` was returned.
    outcome: Option<Outcome>,
    /// True while an end that is not clean is yet to be returned as an error.
    error_on_abnormal_end: bool,
}

impl Ending {
    /// Stores the outcome. `Event::Closed` is returned to the application now.
    pub(super) const fn end(&mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
    }

    /// Returns the outcome, once `Event::Closed` was returned.
    pub(super) const fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }

    /// Sets whether an end that is not clean is returned as an error.
    pub(super) const fn error_on_abnormal_end(&mut self, on: bool) {
        self.error_on_abnormal_end = on;
    }
}

/// A loop that returns events, and the calls on top of it.
pub(super) trait Receive {
    /// Reads the clock, and returns the time.
    fn tick(&mut self) -> Instant;

    /// Runs the loop until there is an event, but not beyond `until`. Returns `None` after `Event::Closed`.
    fn ready(&mut self, until: Option<Instant>) -> Result<Option<EventIndex>, Error>;

    /// Returns the inbox that events lie in, and what is known about the end.
    fn received(&mut self) -> (&mut Inbox, &mut Ending);

    /// Returns the next message, or `None` after the last one. Reads for `timeout` at most.
    fn next_message(&mut self, timeout: Option<Duration>) -> Result<Option<Message>, Error> {
        let until = timeout.map(|timeout| self.tick() + timeout);
        while let Some(ready) = self.ready(until)? {
            let message = self.received().0.take_message(ready);
            if message.is_some() {
                return Ok(message);
            }
        }
        let (_, Ending { outcome, error_on_abnormal_end }) = self.received();
        end_of_messages(*outcome, error_on_abnormal_end)
    }

    /// Discards messages until the connection has ended, and returns its outcome.
    fn run_to_end(&mut self) -> Result<Outcome, Error> {
        while self.ready(None)?.is_some() {}
        // Without an outcome, the connection had ended before the loop began. An earlier owner got the outcome.
        self.received().1.outcome.ok_or_else(|| SendError::Closed.into())
    }
}
