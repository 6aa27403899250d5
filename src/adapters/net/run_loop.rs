//! The run loop of a blocking WebSocket that one thread uses.
//!
//! [`RunLoop::next_event`] decodes the input that has arrived. When all input is decoded, the loop performs a turn:
//!
//! ```text
//!   ┌──▶ decode ── event ──▶ the caller
//!   │       │ no event
//!   │       ▼
//!   │    timers that are due ──▶ write ──▶ half-close, if asked ──────────▶ read
//!   └───────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! This file decides when to read and when to write. `write_driver.rs` writes the queue, and `deadline_stream.rs`
//! performs the calls on the stream. `reader.rs` has the loop of a split WebSocket.
//!
//! Invariants:
//! - The loop decodes everything that it has read before it reads again or reports the end of the stream.
//! - The loop writes the whole queue before it reads, with one exception. If the stream is full and input has arrived,
//!   the loop reads first. So a peer that must send before it reads can continue.
//! - [`Event::Closed`] is returned once, as the last event.

use std::io::ErrorKind;
use std::prelude::v1::*;

use super::deadline_stream::{DeadlineStream, HalfClose};
use super::interest::would_block;
use super::receive::{Ending, Receive};
use super::responder::Responder;
use super::write_driver::{Output, WRITE_TIME_SLICE};
use crate::adapters::error::Error;
use crate::{
    Connection, EofPosition, Event, EventIndex, Inbox, Instant, Outcome, PendingReply, ReadyState,
    SendingHalf, TransportAction,
};

/// A connection, its stream, and the input that is not decoded yet.
#[derive(Debug)]
pub(super) struct RunLoop<S> {
    link: DeadlineStream<S>,
    connection: Connection,
    inbox: Inbox,
    ending: Ending,
}

impl<S> RunLoop<S> {
    pub(super) fn new(link: DeadlineStream<S>, connection: Connection, inbox: Inbox) -> Self {
        Self { link, connection, inbox, ending: Ending::default() }
    }

    /// Returns the next event, and a [`Responder`] to answer it. Blocks until there is an event, but not beyond
    /// `until`.
    pub(super) fn next_event(
        &mut self,
        until: Option<Instant>,
    ) -> Result<Option<(Event<'_>, Responder<'_, S>)>, Error> {
        let Some(ready) = self.ready(until)? else { return Ok(None) };
        let Self { link, connection, inbox, .. } = self;
        let output = Output::new(link, connection);
        Ok(Some((inbox.event(ready), Responder::new(output))))
    }

    /// Returns the write queue and the stream, for a call that sends.
    pub(super) const fn output(&mut self) -> Output<'_, S, Connection> {
        Output::new(&mut self.link, &mut self.connection)
    }

    pub(super) const fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) const fn connection_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Returns the input that was received.
    pub(super) const fn inbox(&self) -> &Inbox {
        &self.inbox
    }

    /// Returns the outcome, once [`Event::Closed`] was returned.
    pub(super) const fn outcome(&self) -> Option<Outcome> {
        self.ending.outcome()
    }

    /// Sets whether an end without a Close from the peer is returned as an error.
    pub(super) const fn error_on_abnormal_end(&mut self, on: bool) {
        self.ending.error_on_abnormal_end(on);
    }

    pub(super) const fn link(&self) -> &DeadlineStream<S> {
        &self.link
    }

    pub(super) const fn link_mut(&mut self) -> &mut DeadlineStream<S> {
        &mut self.link
    }

    /// Returns the fields of the loop. Called to split the WebSocket.
    pub(super) fn into_loop_parts(self) -> (DeadlineStream<S>, Connection, Inbox, Ending) {
        let Self { link, connection, inbox, ending } = self;
        (link, connection, inbox, ending)
    }

    /// Returns the parts of the loop for the application. Moves bytes that were read ahead to the inbox, and records a
    /// failed write in the connection.
    pub(super) fn into_parts(self) -> (S, Connection, Inbox) {
        let Self { mut link, mut connection, mut inbox, .. } = self;
        if let Some(at) = link.take_undecoded_since() {
            connection.apply(at, PendingReply::Undecoded);
        }
        if link.write_failed() {
            connection.handle_write_failed();
        }
        let stream = link.into_parts(&connection, &mut inbox);
        (stream, connection, inbox)
    }

    /// Performs one turn of the loop: runs the timers, writes, half-closes if the connection asks for it, and reads
    /// once. Call this only when all input is decoded. Does not block beyond `until`.
    fn turn(&mut self, until: Option<Instant>) -> Result<(), Error> {
        let written = self.write(until);
        let write_blocks = written.as_ref().is_err_and(would_block);
        match written {
            // The receiver discards further input, so only writing is left to do. The stream is full, so the
            // application must wait for space.
            Err(error) if write_blocks && self.connection.receiver().is_done() => return Err(error),
            Err(error) if !write_blocks && !self.is_closing() => return Err(error),
            _ => {}
        }
        let half_close_again_at = self.half_close(until);
        if self.connection.ready_state() == ReadyState::Closed {
            return Ok(());
        }
        if !self.link.has_read_ahead() {
            // All input is decoded. So a Pong that a timer waits for can only be in the stream, and the read below
            // returns this Pong.
            self.connection.handle_all_decoded();
        }
        let due = self.connection.poll_timeout();
        let deadline = [due, until, half_close_again_at].into_iter().flatten().min();
        let space = self.connection.read_space(&mut self.inbox);
        match self.link.read(space, deadline) {
            Ok(Some(0)) => return self.end(write_blocks),
            Ok(Some(n)) => self.inbox.handle_read(n),
            Ok(None) if deadline != due => self.handle_silence(),
            Ok(None) => {
                self.handle_silence();
                // A timer was due before any input arrived. So the connection is idle, and its empty buffers are freed.
                self.connection.release_idle();
                self.inbox.release_idle();
            }
            Err(error) => {
                let error = Error::Io(error);
                if would_block(&error) {
                    let mut interest = self.output().interest();
                    if let Some(at) = half_close_again_at {
                        let left = at.saturating_duration_since(self.link.now());
                        interest.writable = true;
                        interest.within = Some(interest.within.map_or(left, |within| within.min(left)));
                    }
                    return Err(interest.into());
                }
                // While the connection is closing, a read error counts as the end of the stream.
                let closing = self.is_closing();
                self.connection.handle_eof();
                if !closing {
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Runs the timers that are due, after a read has found nothing. Writes the Ping or the Close that they cause, as
    /// far as the stream takes it, because the caller may return.
    fn handle_silence(&mut self) {
        self.connection.handle_timeout(self.link.read_at());
        if !self.link.write_failed() {
            // An error of this write is stored. The next write returns it.
            let _ = self.output().for_receiving().write_now();
        }
    }

    /// Runs the timers that are due, and writes. After a failed write the timers still run, and the loop still reads
    /// the input that has arrived.
    fn write(&mut self, until: Option<Instant>) -> Result<(), Error> {
        if self.link.has_read_ahead() {
            // Bytes that were read ahead must be decoded before a timer runs: they may contain the Pong that this timer
            // waits for.
            return if self.link.write_failed() {
                Ok(())
            } else {
                self.output().for_receiving().write_now().map(drop)
            };
        }
        if self.output().is_due() && !self.link.write_failed() {
            // An error of this write is stored. The next write returns it.
            let _ = self.output().for_receiving().write_queued();
        }
        self.connection.handle_timeout(self.link.read_at());
        if self.link.write_failed() {
            return Ok(());
        }
        self.output().for_receiving().write_until_input(until)
    }

    /// Handles the end of the stream. If bytes are still queued or not flushed, the connection ends only after the next
    /// turns have written them. The reason is that a peer that has half-closed the stream may still read.
    /// `write_blocks` is true if the stream is in non-blocking mode and full.
    fn end(&mut self, write_blocks: bool) -> Result<(), Error> {
        if self.link.write_failed() || self.output().is_out() {
            self.connection.handle_eof();
            return Ok(());
        }
        self.link.keep_end();
        self.connection.handle_peer_half_closed(self.link.now());
        if write_blocks { Err(self.output().interest().into()) } else { Ok(()) }
    }

    /// Half-closes the stream if the connection asks for it. If the stream is full, returns the time to try again.
    fn half_close(&mut self, until: Option<Instant>) -> Option<Instant> {
        if self.connection.poll_transport() != Some(TransportAction::HalfClose) {
            return None;
        }
        let slice = self.link.now() + WRITE_TIME_SLICE;
        match self.link.half_close(Some(until.map_or(slice, |until| until.min(slice)))) {
            HalfClose::Waits => return Some(self.link.now() + WRITE_TIME_SLICE),
            HalfClose::Done => self.connection.handle_half_closed(),
            HalfClose::Impossible => {
                self.connection.handle_half_closed();
                // The stream has no half-close, so both directions end now.
                self.connection.handle_eof();
            }
        }
        None
    }

    fn is_closing(&self) -> bool {
        self.connection.ready_state() == ReadyState::Closing
    }
}

impl<S> Receive for RunLoop<S> {
    fn read_clock(&mut self) -> Instant {
        self.link.read_clock()
    }

    /// Runs the loop until there is an event. Does not return [`Event::Writable`].
    fn ready(&mut self, until: Option<Instant>) -> Result<Option<EventIndex>, Error> {
        let mut had_turn = false;
        while self.ending.outcome().is_none() {
            let polled = self.connection.poll(self.link.now(), &mut self.inbox);
            if self.inbox.remaining() == 0 {
                self.link.take_undecoded_since();
            }
            match polled {
                Ok(Some(ready)) => match self.inbox.event(ready) {
                    // `Writable` is not needed: a blocking call that finds the queue full writes the queue itself.
                    Event::Writable => {}
                    Event::Closed(outcome) => {
                        self.ending.end(outcome);
                        match self.connection.poll_transport() {
                            Some(TransportAction::Abort) => self.link.abort(),
                            _ => self.link.close(),
                        }
                        return Ok(Some(ready));
                    }
                    _ => return Ok(Some(ready)),
                },
                Ok(None) if self.connection.ready_state() == ReadyState::Closed => break,
                Ok(None) if had_turn && until.is_some_and(|until| until <= self.link.now()) => {
                    return Err(Error::Io(ErrorKind::TimedOut.into()));
                }
                Ok(None) => {
                    self.turn(until)?;
                    had_turn = true;
                }
                Err(error) => {
                    // An error of this write is ignored, because the caller must get the violation. If the stream has
                    // failed, the next call also fails.
                    let _ = self.output().write_out();
                    return Err(error.into());
                }
            }
        }
        Ok(None)
    }

    fn received(&mut self) -> (&mut Inbox, &mut Ending) {
        (&mut self.inbox, &mut self.ending)
    }

    fn position(&self) -> EofPosition {
        self.connection.receiver().eof_position()
    }

    fn write_failed(&self) -> bool {
        self.link.write_failed()
    }

    fn write_answer(&mut self) {
        // An error of this write is stored. The next write returns it.
        let _ = self.output().write_now();
        let now = self.link.now();
        self.half_close(Some(now));
    }
}
