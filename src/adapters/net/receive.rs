//! The calls that receive, for a WebSocket that is not split and for the receiving half.
//!
//! A WebSocket that is not split and a [`Reader`](super::Reader) have different loops, in `run_loop.rs` and
//! `reader.rs`. Both loops return events and implement [`Receive`]. This file has the calls that use such a loop, for
//! example to return the next message.
//!
//! Invariants:
//! - A large message is taken out of the inbox without being copied.
//! - An end without a Close from the peer is returned as an error only if the application has asked for this error
//!   ([`Ending`]). The error is returned once.

use core::time::Duration;
use std::io::{self, BufRead, Read};

use crate::adapters::byte_stream::ByteInput;
use crate::adapters::error::{Error, end_of_messages};
use crate::{EofPosition, EventIndex, Inbox, Instant, Message, Outcome, SendError};

/// The end of the connection, and how it is reported to the application.
#[derive(Debug, Default)]
pub(super) struct Ending {
    /// The outcome, once `Event::Closed` was returned.
    outcome: Option<Outcome>,
    /// True if an end without a Close from the peer must be returned as an error. Becomes false when the error was
    /// returned.
    error_on_abnormal_end: bool,
}

impl Ending {
    /// Stores the outcome. Called when `Event::Closed` is returned to the application.
    pub(super) const fn end(&mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
    }

    /// Returns the outcome, once `Event::Closed` was returned.
    pub(super) const fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }

    /// Sets whether an end without a Close from the peer is returned as an error.
    pub(super) const fn error_on_abnormal_end(&mut self, on: bool) {
        self.error_on_abnormal_end = on;
    }
}

/// A loop that returns events, and the calls that use this loop.
pub(super) trait Receive {
    /// Reads the clock, and returns the time.
    fn read_clock(&mut self) -> Instant;

    /// Runs the loop until there is an event, but not beyond `until`. Returns `None` after `Event::Closed`.
    fn ready(&mut self, until: Option<Instant>) -> Result<Option<EventIndex>, Error>;

    /// Returns the inbox that contains the events, and the state of the end.
    fn received(&mut self) -> (&mut Inbox, &mut Ending);

    /// Returns where decoding stands after the last event: between two messages, in a message, or in a frame.
    fn position(&self) -> EofPosition;

    /// Returns whether a write has failed, for a loop whose receiving calls return the error of a failed write. The
    /// default for other loops is `false`.
    fn write_failed(&self) -> bool {
        false
    }

    /// Writes as much of the answer to the peer's Close as the stream takes without blocking. The default does nothing,
    /// because other loops have already written the answer.
    fn write_answer(&mut self) {}

    /// Receives until `input` has data or has ended. Reads for `timeout` at most.
    fn fill(&mut self, input: &mut ByteInput, timeout: Option<Duration>) -> io::Result<()> {
        let mut until = None;
        loop {
            if let Some(ready) = input.ready() {
                return ready;
            }
            until = until.or_else(|| timeout.map(|timeout| self.read_clock() + timeout));
            let could_write = !self.write_failed();
            match self.ready(until) {
                Ok(Some(ready)) => {
                    let position = self.position();
                    if input.handle(ready, self.received().0.event(ready), position) {
                        self.write_answer();
                    }
                }
                Ok(None) => input.end(self.received().1.outcome()),
                Err(Error::Protocol(error)) => input.fail(error),
                // A write has failed. The next call that writes returns the error, and data may still arrive.
                Err(Error::Io(_)) if could_write && self.write_failed() => {}
                Err(Error::Io(error)) => return Err(error),
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }

    /// Returns the next message, or `None` after the last one. Reads for `timeout` at most.
    fn next_message(&mut self, timeout: Option<Duration>) -> Result<Option<Message>, Error> {
        let until = timeout.map(|timeout| self.read_clock() + timeout);
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
        // If there is no outcome, the connection had already ended when this loop was created. The outcome was returned
        // to an earlier owner of the connection.
        self.received().1.outcome.ok_or_else(|| SendError::Closed.into())
    }
}

/// Reads into `to` from a reader that buffers data.
pub(super) fn read_from(from: &mut impl BufRead, to: &mut [u8]) -> io::Result<usize> {
    if to.is_empty() {
        return Ok(0);
    }
    let mut data = from.fill_buf()?;
    let len = data.read(to)?;
    from.consume(len);
    Ok(len)
}
