//! Writes what is queued to a stream that blocks, and looks after the timers meanwhile.
//!
//! A write that waits is cut into slices of [`SLICE`]. Between two of them due timers are handled, and what the peer
//! has sent is [read ahead](Link::look): the Pong of a live peer is found before the peer is given up. Deadlines are
//! absolute, so it makes no difference whether an application waits in one long call or in many short ones.
//!
//! ```text
//!            ┌──────────── some bytes were taken ───────────┐
//!            ▼                                              │
//!   timers that are due ──▶ write, or flush if all is out ──┼──▶ all is out
//!            ▲                                              │
//!            └────── look what came in ◀── no room ─────────┘
//!                     (after a slice also where there was room)
//! ```
//!
//! Invariants:
//! - What a stream may have kept is offered to it again before anything else (`Sender::poll_offer`).
//! - Once the connection has ended, the stream is not touched.

use core::time::Duration;
use std::prelude::v1::*;

use super::deadline_stream::{DeadlineStream, Flush, MAX_SLICES};
use super::interest::{Interest, would_block};
use super::thread_replies::ThreadReplies;
use crate::CloseState;
use crate::adapters::error::Error;
use crate::{EofPosition, Instant, Outbox, SendError, Sender};

/// The longest time for which a write waits before timers and input are looked at.
///
/// Windows documents that a socket may lose bytes when the timeout of a write runs out. There writes that wait are to be
/// cut off rarely.
pub(super) const SLICE: Duration = Duration::from_millis(if cfg!(windows) { 1000 } else { 20 });

/// So much is written at once to a stream that may keep it: a record of TLS.
const AT_ONCE: usize = 16 << 10;

/// A connection's output, and the stream that it goes to.
#[derive(Debug)]
pub(super) struct Output<'w, S> {
    pub(super) link: &'w mut DeadlineStream<S>,
    pub(super) sender: &'w mut Sender<Outbox>,
    /// Where the half that receives leaves what it owes, if it is not this thread that reads.
    pub(super) pending: Option<&'w ThreadReplies>,
}

/// What one write has come to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// All is out, or the connection has ended.
    Done,
    /// There may be room for more.
    Progress,
    /// There was no room.
    Stalled,
}

impl<S> Output<'_, S> {
    /// Does what timers want before a call sends something: an application that only sends learns here that its peer
    /// is dead, and its Pings go out.
    pub(super) fn keep_time(&mut self) -> Result<(), Error> {
        self.link.tick();
        self.apply();
        if !self.is_due() {
            return Ok(());
        }
        self.handle_due();
        // This does not wait for room: the time to close, for example, is to begin now. What is queued next waits.
        match self.write_now() {
            Err(error) if !would_block(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// Writes all that is queued, unless the connection ends over it.
    pub(super) fn write_out(&mut self) -> Result<(), Error> {
        self.link.tick();
        loop {
            match self.write_once(None)? {
                Step::Done => return Ok(()),
                Step::Progress if !self.looks_next() => {}
                Step::Progress | Step::Stalled => self.look(),
            }
            self.handle_due();
        }
    }

    /// As [`write_out`](Self::write_out), and says whether it is true that all was written: what was accepted is
    /// dropped for a Close, or where the connection has ended.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        self.write_out()?;
        let lost = self.sender.dropped() > 0 || self.link.is_unflushed();
        if lost { Err(SendError::Closed.into()) } else { Ok(()) }
    }

    /// Writes until all is out, or until it would have to wait although there is something to read, the end of the stream
    /// has shown, or `until` has come.
    pub(super) fn write_or_hear(&mut self, until: Option<Instant>) -> Result<(), Error> {
        if self.is_out() {
            // Between two messages that are read there is nothing to do, and the clock need not be read.
            return Ok(());
        }
        self.link.tick();
        let knew_end = self.link.knows_end();
        loop {
            match self.write_once(until)? {
                Step::Done => return Ok(()),
                Step::Progress if !self.looks_next() => {}
                Step::Progress | Step::Stalled => {
                    self.look();
                    let news = self.link.has_read_ahead() || self.link.knows_end() != knew_end;
                    if news || until.is_some_and(|until| until <= self.link.now()) {
                        return Ok(());
                    }
                }
            }
            self.handle_due();
        }
    }

    /// Writes what there is room for now; whether all is out. Timers are not looked at.
    pub(super) fn write_now(&mut self) -> Result<bool, Error> {
        self.link.tick();
        loop {
            match self.write_once(Some(self.link.now()))? {
                Step::Done => return Ok(true),
                Step::Progress => {}
                Step::Stalled => return Ok(false),
            }
        }
    }

    /// Writes once, or flushes where all is written. It waits for a [`SLICE`] at most, and not beyond `limit`.
    fn write_once(&mut self, limit: Option<Instant>) -> Result<Step, Error> {
        self.apply();
        if self.sender.close_state() == CloseState::Ended {
            return Ok(Step::Done);
        }
        let may_keep = self.link.may_keep();
        if may_keep && self.link.is_unflushed() && self.sender.buffered_amount() > 0 {
            // A stream that holds bytes back might take any number of them, so that no progress of the peer is seen.
            let flushed = self.flush_once(limit)?;
            return Ok(if flushed == Step::Done { Step::Progress } else { flushed });
        }
        let mut slices = [&[][..]; MAX_SLICES];
        let mut len = if may_keep {
            self.sender.poll_offer(&mut slices)
        } else {
            self.sender.poll_transmit(&mut slices)
        };
        if may_keep {
            len = cut(&mut slices, len);
        }
        let waiting = slices.get(..len).unwrap_or_default();
        if waiting.is_empty() {
            return self.flush_once(limit);
        }
        let offered = waiting.iter().map(|slice| slice.len()).sum();
        let written = self.link.write(waiting, self.deadline(limit));
        let now = self.link.now();
        let (n, full) = written.as_ref().map_or((0, true), |written| (written.n, written.full));
        if n > 0 {
            if may_keep {
                self.sender.handle_held_back(now, true);
            }
            self.sender.transmitted(now, n);
        }
        if n == 0 && may_keep {
            self.sender.offered(now, offered);
        } else if full {
            self.sender.transmitted(now, 0);
        }
        match written {
            // A Close for a dead peer must leave the stream before the timer that ends the connection is looked at.
            Ok(_) if n == offered && self.sender.buffered_amount() == 0 => self.flush_once(limit),
            Ok(_) => Ok(if full { Step::Stalled } else { Step::Progress }),
            Err(error) => self.failed(error.into()),
        }
    }

    /// Until when the next call on the stream may wait.
    fn deadline(&self, limit: Option<Instant>) -> Option<Instant> {
        let slice = Some(self.link.now() + SLICE);
        [self.sender.poll_timeout(), slice, limit].into_iter().flatten().min()
    }

    /// Passes on what the stream has taken and may still hold.
    fn flush_once(&mut self, limit: Option<Instant>) -> Result<Step, Error> {
        if !self.link.is_unflushed() {
            return Ok(Step::Done);
        }
        match self.link.flush(self.deadline(limit)) {
            Ok(Flush::Done { waited }) => {
                let now = self.link.now();
                self.sender.handle_held_back(now, false);
                if waited && self.sender.buffered_amount() > 0 {
                    // There was no room, and now there is: what is written next shows that the peer reads.
                    self.sender.transmitted(now, 0);
                }
                Ok(Step::Done)
            }
            Ok(Flush::Waits) => Ok(Step::Stalled),
            Err(error) => self.failed(error.into()),
        }
    }

    /// A write has failed. A stream that does not block has merely no room, and timers must not wait for that.
    fn failed(&mut self, error: Error) -> Result<Step, Error> {
        if !would_block(&error) {
            return Err(error);
        }
        self.look();
        if self.is_due() { Ok(Step::Stalled) } else { Err(self.interest().into()) }
    }

    /// What a call waits for that could not go on.
    pub(super) fn interest(&self) -> Interest {
        let now = self.link.now();
        Interest {
            // What is there, and cannot be taken in, would wake at once whoever waits for it.
            readable: self.pending.is_none() && self.link.can_look(),
            writable: !self.is_out() && !self.link.write_failed(),
            within: self.sender.poll_timeout().map(|due| due.saturating_duration_since(now)),
        }
    }

    /// Whether nothing waits to be written or flushed.
    pub(super) fn is_out(&self) -> bool {
        self.sender.buffered_amount() == 0 && !self.link.is_unflushed()
    }

    fn is_due(&self) -> bool {
        self.sender.poll_timeout().is_some_and(|due| due <= self.link.now())
    }

    /// Does what timers want. They are judged by the time up to which it is known what came in.
    fn handle_due(&mut self) {
        self.apply();
        if !self.is_due() {
            return;
        }
        let looked = if self.pending.is_none() { self.look_ahead() } else { None };
        match looked {
            // The peer is alive. What else came in must be decoded first, it may be the answer to a Ping.
            Some(1..) if self.sender.close_state() == CloseState::Open => {}
            Some(_) => self.sender.handle_timeout(self.link.read_at()),
            None => self.sender.handle_timeout(self.link.now()),
        }
    }

    /// Does what another thread that receives has left to be done.
    fn apply(&mut self) {
        if let Some(pending) = self.pending {
            pending.apply(self.sender, self.link.now());
        }
    }

    /// Whether to look for input although there may be room for more: a peer that reads slowly and steadily would
    /// otherwise not be heard until all is written.
    fn looks_next(&self) -> bool {
        self.link.now().saturating_duration_since(self.link.read_at()) >= SLICE
    }

    /// Reads ahead what is there, if this is the thread that reads.
    fn look(&mut self) {
        if self.pending.is_none() {
            self.look_ahead();
        }
    }

    /// Reads ahead what is there; see [`DeadlineStream::look`].
    fn look_ahead(&mut self) -> Option<usize> {
        let looked = self.link.look();
        if looked.is_some_and(|n| n > 0) {
            self.sender.handle_unread(self.link.read_at());
        } else if looked.is_some() && self.link.knows_end() {
            // Where in a message it is shows when what came before is decoded.
            self.sender.handle_input_ended(self.link.now(), EofPosition::BetweenMessages);
        }
        looked
    }
}

/// Cuts the first `len` slices to [`AT_ONCE`] bytes in all; gives how many slices that are.
fn cut(slices: &mut [&[u8]], len: usize) -> usize {
    let (mut left, mut kept) = (AT_ONCE, 0);
    for slice in slices.iter_mut().take(len) {
        if left == 0 {
            break;
        }
        *slice = slice.get(..left).unwrap_or(slice);
        left -= slice.len();
        kept += 1;
    }
    kept
}
