//! The checks of a run. They run whenever all tasks wait, when an application learns of its outcome, and at the end of
//! the run.
//!
//! The text of a failure begins with a category, which the survey counts and `tests/planted_adapters.py` prints. The
//! checks know only what the links, the journals and the records show, never the state of the library.

use hybi::{Outcome, TimerKind};

use crate::draw::MS;
use crate::executor::Task;
use crate::journal::Fate;
use crate::link::{Link, last_data};
use crate::record::{CallKind, Record, Shape};
use crate::stream::{READ, WRITE};
use crate::view::View;
use crate::world::{World, fail};

/// Tolerance for deadlines, in nanoseconds, because wakeups and streams may be late.
const SLACK: u64 = 100 * MS;

impl World {
    /// Returns whether a waiting call could read, and whether it could write.
    fn readiness(&self, end: usize) -> (bool, bool) {
        self.readiness_of(end, &self.links[1 - end].borrow())
    }

    fn readiness_of(&self, end: usize, source: &Link) -> (bool, bool) {
        let stream = self.streams[end].borrow();
        let readable = source.is_readable() && !stream.hesitating[READ];
        let writable = self.links[end].borrow().is_writable() && !stream.hesitating[WRITE];
        (readable, writable)
    }

    /// Checks that each task has a reason to wait.
    pub fn check_waiting(&self, tasks: &[Task]) {
        for end in 0..2 {
            let mut record = self.ends[end].borrow_mut();
            if record.shape == Shape::Scripted {
                continue;
            }
            // A waiting receiver knows all input that has arrived. It also knows whether its group was closed.
            let source = self.links[1 - end].borrow();
            let closed = record.group_closed || source.read.close.is_some() || source.knows_end();
            drop(source);
            if closed && record.receives() {
                record.closes(self.clock.now(), false);
            }
            let data_at = last_data(&self.links[end].borrow(), &self.links[1 - end].borrow());
            record.idles(self.clock.now(), data_at);
            drop(record);
            let record = self.ends[end].borrow();
            let (readable, writable) = self.readiness(end);
            for call in record.calls.iter().flatten() {
                if tasks[call.task].held_back > 0 {
                    continue;
                }
                match call.kind {
                    CallKind::Receive if readable => {
                        let bytes = self.links[1 - end].borrow().readable();
                        fail!("8 hang in receive", "endpoint {end} waits, but {bytes} bytes can be read")
                    }
                    CallKind::Send if writable => {
                        fail!(
                            "8 hang in send",
                            "a call of endpoint {end} waits, but its stream can be written"
                        )
                    }
                    CallKind::Receive if writable => self.check_written(end, &record),
                    _ => {}
                }
            }
            let settled = record.calls.iter().flatten().all(|call| tasks[call.task].held_back == 0);
            self.judge(end, writable && settled, |view| view.check_time());
        }
    }

    /// Checks a waiting receiver whose stream can be written: everything that was accepted must have been
    /// written.
    fn check_written(&self, end: usize, record: &Record) {
        let out = self.links[end].borrow();
        if record.closing.is_some()
            || record.known_end.is_some()
            || out.sent.close.is_some()
            || out.broken
            || self.streams[end].borrow().lied
        {
            return;
        }
        let (sent, read) = (&out.sent, &self.links[1 - end].borrow().read);
        let journal = self.journals[end].borrow();
        let accepted = journal.entries.iter().filter(|entry| entry.fate == Fate::Accepted).count();
        // A fed message stays queued until the writer flushes, or until the reader begins to wait. A reader that is
        // already waiting writes the message only after the writer was dropped. The library cannot see the messages
        // that the halves of `futures_util` hold.
        let feeds = match record.shape {
            Shape::Whole => true,
            Shape::Halves => record.writer_gone,
            _ => false,
        };
        if feeds && sent.messages < accepted {
            let messages = sent.messages;
            fail!(
                "33 fed and kept",
                "endpoint {end} waits: {accepted} messages accepted, {messages} written"
            );
        }
        // RFC 6455 5.5.3: at least the newest Ping is answered.
        if let Some((_, ping)) = read.pings.last() {
            if !sent.pongs.iter().rev().any(|(_, pong)| pong == ping) {
                fail!("10 no Pong", "endpoint {end} waits, and has not answered {ping:?}");
            }
        }
    }

    /// Runs a check on the view of an endpoint. `writable` is true if its stream can be written and no wakeup is
    /// delayed.
    fn judge(&self, end: usize, writable: bool, judge: impl FnOnce(View<'_>)) {
        let (record, stream) = (self.ends[end].borrow(), self.streams[end].borrow());
        judge(View {
            end,
            now: self.clock.now(),
            slack: SLACK,
            record: &record,
            out: &self.links[end].borrow(),
            source: &self.links[1 - end].borrow(),
            lied: stream.lied,
            write_failed: false,
            hides_nothing: stream.behavior.hides_nothing(),
            has_buffer: stream.behavior.keeps || stream.behavior.lazy > 0,
            blocked: stream.blocked,
            writable,
            went_on: record.progress.is_some(),
            rested: 0,
            aborted_at: None,
        });
    }

    /// Returns whether the peer is certain to answer each Ping in time. The result is true only for some scripted
    /// peers.
    fn answers_in_time(&self, end: usize, record: &Record) -> bool {
        let Some(answers) = self.answers_within[1 - end] else { return false };
        let calm = self.network_events.stall.is_none() && !self.cut.get() && !self.reset.get();
        let stream = self.streams[end].borrow();
        let knows = stream.behavior.hides_nothing() && !stream.lied && !record.reader_rests();
        calm && knows && record.promise.pong.is_some_and(|pong| answers + SLACK * 3 < pong)
    }

    /// Checks that the number of bytes that were accepted and not written yet is bounded, for all ways of sending.
    pub fn check_backlog(&self, end: usize) {
        let (record, journal) = (self.ends[end].borrow(), self.journals[end].borrow());
        let sent = &self.links[end].borrow().sent;
        if record.closing.is_some() || record.known_end.is_some() || self.reset.get() || self.compresses {
            return;
        }
        let accepted = journal.entries.iter().filter(|entry| entry.fate == Fate::Accepted);
        let waits =
            accepted.map(|entry| entry.data.len() as u64).sum::<u64>().saturating_sub(sent.data_bytes);
        // The limit is the sum of the high-water mark, the message that exceeded it, a message in a half of
        // `futures_util`, and the stream's bytes.
        let held = self.streams[end].borrow().behavior.lazy as u64 + (16 << 10);
        let most = record.promise.high_water as u64 + 2 * (journal.longest() as u64 + 14) + held;
        if waits > most {
            fail!(
                "35 output",
                "endpoint {end}: {waits} bytes were accepted and not written, at most {most} are allowed"
            );
        }
    }

    /// Returns whether the idle timeout of an endpoint may have passed, so that the endpoint may already be closing. If
    /// its stream is full, the Close for idleness is not visible on the link.
    pub fn may_close_for_idleness(&self, end: usize, record: &mut Record) -> bool {
        let data_at = last_data(&self.links[end].borrow(), &self.links[1 - end].borrow());
        record.idles(self.clock.now(), data_at);
        // A stream that holds data back puts it on the link later than the library counts it as sent. So the idle
        // timeout passes earlier than the link shows.
        let hides_data =
            record.promise.idle.is_some() && !self.streams[end].borrow().behavior.hides_nothing();
        record.idle_timeout_mark.is_some() || hides_data
    }

    /// Checks the Close that an endpoint has written.
    pub fn check_close(&self, end: usize) {
        self.judge(end, false, |view| view.check_close());
    }

    /// Checks that an outcome has a reason.
    pub fn check_outcome(&self, end: usize, outcome: Outcome) {
        self.judge(end, false, |view| {
            view.check_outcome(outcome);
            if outcome == Outcome::TimedOut(TimerKind::Pong) {
                self.check_given_up(&view);
            }
        });
    }

    /// Checks that the peer was silent for the pong timeout before it was given up.
    fn check_given_up(&self, view: &View<'_>) {
        let View { end, record, out, source, .. } = *view;
        if self.answers_in_time(end, record) {
            fail!("2 live peer", "endpoint {end} gave up a peer that answers each Ping at once");
        }
        let Some(pong) = record.promise.pong else { fail!("2 live peer", "no pong timeout is configured") };
        let (readable, _) = self.readiness_of(end, source);
        // A stream that hesitates hides what has arrived.
        let life = if readable { record.life } else { source.read.at.unwrap_or(0) };
        let quiet = view.now - life;
        let hidden = quiet < SLACK && self.streams[end].borrow().behavior.hesitates > 0;
        // Wakeups are late, so input may arrive after the decision to give up.
        let decided = out.sent.close_code() == Some(1011)
            && out.sent.close.as_ref().is_some_and(|(at, _)| source.read.at >= Some(*at));
        view.check_given_up(pong, quiet, 0, hidden || decided, true);
    }

    /// Checks the end of a run.
    pub fn check_end(&self) {
        for end in 0..2 {
            let record = self.ends[end].borrow();
            if record.shape != Shape::Scripted {
                self.judge(end, false, |view| view.check_end());
                self.check_arrived(end, &record);
            }
        }
    }

    /// Returns whether an endpoint has read its peer's Close and written its own.
    fn has_crossed(&self, end: usize) -> bool {
        let mut crossed = false;
        self.judge(end, false, |view| crossed = view.has_crossed());
        crossed
    }

    /// Checks that every accepted message of an endpoint has arrived, or that the application knows that messages may
    /// be lost.
    fn check_arrived(&self, end: usize, record: &Record) {
        let missing = self.journals[end].borrow().missing();
        let other = self.ends[1 - end].borrow();
        let lied = self.streams.iter().any(|stream| stream.borrow().lied);
        if missing == 0 || lied || other.shape == Shape::Scripted || record.abandoned || other.abandoned {
            return;
        }
        let unclean = |record: &Record| record.outcome().is_some_and(|outcome| !outcome.is_clean());
        // The halves of `futures_util` report no outcome, but a close timeout can be recognized by its time.
        let late = |record: &Record| {
            let Some(((known_end, _), (closing, _))) = record.known_end.zip(record.closing) else {
                return true;
            };
            record.shape == Shape::FuturesHalves && known_end.saturating_sub(closing) >= record.promise.close
        };
        if unclean(record) || unclean(&other) || late(record) || late(&other) {
            return;
        }
        let unknowing = record.dropped.is_none() && !record.flushed;
        let said = record.loss_reported || record.dropped.is_some_and(|dropped| dropped > 0) || unknowing;
        if self.has_crossed(end) && self.has_crossed(1 - end) && !said && !self.reset.get() {
            fail!("1 lost", "{missing} messages of endpoint {end} are missing, but nothing reports that");
        }
    }
}
