//! The checks of a run. They run whenever all threads wait, when an application learns of its outcome, and at the end
//! of the run.
//!
//! The checks correspond to those of `adapters_simulation/checks.rs`. The bounds are larger, because a blocking call
//! checks for events only from time to time. The text of a failure begins with its category, a number and a few words.

use hybi::{Outcome, TimerKind};

use crate::draw::MS;
use crate::journal::Fate;
use crate::link::last_data;
use crate::record::{Call, CallKind, Record, Shape};
use crate::view::{View, ms};
use crate::world::{World, fail};

/// Tolerance for deadlines, in nanoseconds. A waiting call checks for events only from time to time, and the timeouts
/// of streams are late.
const SLACK: u64 = 150 * MS;
/// A sending call need not read while at least this many bytes that were read ahead wait for a receiving call.
const MAX_AHEAD: u64 = 40_000;

impl World {
    /// Checks that each thread has a reason to wait.
    pub fn check_waiting(&mut self) {
        for end in 0..2 {
            if self.ends[end].shape == Shape::Scripted || !self.streams[end].behavior.keeps_time() {
                continue;
            }
            // A waiting receiver knows all input that has arrived, except input that a sending call has read. It always
            // knows the end of the stream.
            let source = &self.links[1 - end];
            let now = self.now();
            let receives = self.ends[end].calls.iter().flatten().find(|call| call.kind == CallKind::Receive);
            let decoded = receives.is_some_and(|call| {
                // Before a receiving call waits for the stream or a timer, it decodes all input that was read.
                let read_at = source.read.at.unwrap_or(0);
                self.streams[end].ahead == 0 || now > read_at.max(call.since) + SLACK
            });
            let closed = source.read.close.is_some() && decoded || source.knows_end();
            if closed {
                self.ends[end].closes(now, false);
            }
            for call in self.ends[end].calls.into_iter().flatten() {
                self.check_call(end, call);
            }
            self.view(end).check_time();
        }
    }

    /// Checks that a call does not wait for a stream that is ready.
    fn check_call(&self, end: usize, call: Call) {
        let (record, now) = (&self.ends[end], self.now());
        let since = |since: Option<u64>| now - since.unwrap_or(now).max(call.since);
        let (readable, writable) = (since(self.readable_since[end]), since(self.writable_since[end]));
        let stalled = readable.min(now - self.put_at[end]);
        let source = &self.links[1 - end];
        let reads = source.read.close.is_none() && record.known_end.is_none();
        let reads = reads && !self.streams[end].is_aborted() && !self.streams[end].lied;
        let bytes = source.readable();
        let whole = record.shape == Shape::Whole;
        // A `Writer` does not read. Its call is registered only after the call has taken the lock.
        match call.kind {
            CallKind::Receive if readable > SLACK && reads => {
                fail!(
                    "10 hang in receive",
                    "endpoint {end} waits, but {bytes} bytes have been readable for {}",
                    ms(readable)
                );
            }
            CallKind::Send if whole && stalled > SLACK && reads && self.streams[end].ahead < MAX_AHEAD => {
                fail!(
                    "2 send reads nothing",
                    "endpoint {end} waits, but {bytes} bytes have been readable for {}",
                    ms(readable)
                );
            }
            CallKind::Send if writable > SLACK && !self.links[end].broken => {
                fail!(
                    "8 hang in send",
                    "a call of endpoint {end} waits, but its stream has been writable for {}",
                    ms(writable)
                );
            }
            CallKind::Receive if writable > SLACK => self.check_written(end),
            _ => {}
        }
    }

    /// Checks a waiting receiver whose stream can be written: everything that was accepted must have been
    /// written.
    fn check_written(&self, end: usize) {
        let (record, out) = (&self.ends[end], &self.links[end]);
        let gone = record.closing.is_some() || record.known_end.is_some() || self.streams[end].lied;
        // After a failed write, nothing more can be written.
        let gone = gone || self.streams[end].write_failed();
        if gone || out.broken || out.sent.close.is_some() {
            return;
        }
        let (sent, read) = (&out.sent, &self.links[1 - end].read);
        let accepted = self.journals[end].entries.iter().filter(|entry| entry.fate == Fate::Accepted).count();
        if sent.messages < accepted {
            let messages = sent.messages;
            fail!(
                "33 fed and kept",
                "endpoint {end} waits: {accepted} messages accepted, {messages} written"
            );
        }
        // RFC 6455 5.5.3: at least the newest Ping is answered.
        let answered = |ping: &Vec<u8>| sent.pongs.iter().rev().any(|(_, pong)| pong == ping);
        match read.pings.last() {
            // The Ping may be in input that a sending call has read, or it may have been read a moment ago.
            Some((at, ping))
                if self.now() > at + SLACK && self.streams[end].ahead == 0 && !answered(ping) =>
            {
                fail!("10 no Pong", "endpoint {end} waits, and has not answered {ping:?}");
            }
            _ => {}
        }
    }

    /// Returns the observable state of an endpoint.
    fn view(&self, end: usize) -> View<'_> {
        let (record, stream) = (&self.ends[end], &self.streams[end]);
        let now = self.now();
        View {
            end,
            now,
            slack: SLACK,
            record,
            out: &self.links[end],
            source: &self.links[1 - end],
            lied: stream.lied,
            write_failed: stream.write_failed(),
            hides_nothing: stream.behavior.hides_nothing(),
            has_buffer: !stream.behavior.hides_nothing(),
            blocked: stream.blocked,
            writable: self.writable_since[end].is_some_and(|since| now > since + SLACK),
            went_on: self.went_on[end],
            rested: self.rested[end],
            aborted_at: stream.aborted_at,
        }
    }

    /// Returns whether the peer is certain to answer each Ping in time. The result is true only for some scripted
    /// peers.
    fn answers_in_time(&self, end: usize) -> bool {
        let Some(answers) = self.answers_within[1 - end] else { return false };
        let (stream, record) = (&self.streams[end], &self.ends[end]);
        let calm = self.network_events.stall.is_none() && !self.cut && !self.reset;
        let knows = stream.behavior.hides_nothing() && !stream.lied && stream.behavior.keeps_time();
        let knows = knows && !record.reader_rests() && !record.was_full;
        // After a failed write, the Pings do not reach the peer.
        let knows = knows && !stream.write_failed();
        calm && knows && record.promise.pong.is_some_and(|pong| answers + SLACK * 2 < pong)
    }

    /// Records whether the idle timeout of an endpoint has passed. Called whenever time has passed, before a thread
    /// runs: a thread can run the idle timer and then write data, at the same time.
    pub fn record_idleness(&mut self, end: usize) {
        let data_at = last_data(&self.links[end], &self.links[1 - end]);
        let now = self.now();
        self.ends[end].idles(now, data_at);
    }

    /// Returns whether the idle timeout of an endpoint may have passed, so that the endpoint may already be closing. If
    /// its stream is full, the Close for idleness is not visible on the link.
    pub fn may_close_for_idleness(&self, end: usize) -> bool {
        let record = &self.ends[end];
        // A stream that holds data back puts it on the link later than the library counts it as sent. So the idle
        // timeout passes earlier than the link shows.
        let hides_data = record.promise.idle.is_some() && !self.streams[end].behavior.hides_nothing();
        record.idle_timeout_mark.is_some() || hides_data
    }

    /// Checks that the number of bytes that were accepted and not written yet is bounded, for all ways of sending.
    pub fn check_backlog(&self, end: usize) {
        let (record, journal) = (&self.ends[end], &self.journals[end]);
        if record.closing.is_some() || record.known_end.is_some() || self.reset || self.compresses {
            return;
        }
        let accepted = journal.entries.iter().filter(|entry| entry.fate == Fate::Accepted);
        let accepted = accepted.map(|entry| entry.data.len() as u64).sum::<u64>();
        let waits = accepted.saturating_sub(self.links[end].sent.data_bytes);
        // The limit is the sum of the high-water mark, the message that exceeded this mark, a frame header, and the
        // bytes in the stream.
        let held = self.streams[end].holds() as u64;
        let most = record.promise.high_water as u64 + journal.longest() as u64 + 14 + held;
        if waits > most {
            fail!(
                "35 output",
                "endpoint {end}: {waits} bytes were accepted and not written, at most {most} are allowed"
            );
        }
    }

    /// Checks the Close that an endpoint has written.
    pub fn check_close(&self, end: usize) {
        self.view(end).check_close();
    }

    /// Checks that an outcome has a reason.
    pub fn check_outcome(&self, end: usize, outcome: Outcome) {
        let view = self.view(end);
        // Without a half-close both directions of the stream end at once. In this case the outcome may be abnormal
        // although a Close was received.
        let ends = !self.streams[end].behavior.half_closes && view.source.read.close.is_some();
        if !(matches!(outcome, Outcome::Abnormal(_)) && ends) {
            view.check_outcome(outcome);
        }
        if outcome == Outcome::TimedOut(TimerKind::Pong) {
            self.check_given_up(&view);
        }
    }

    /// Checks that the peer was silent for the pong timeout before it was given up.
    fn check_given_up(&self, view: &View<'_>) {
        let View { end, record, out, source, .. } = *view;
        if self.answers_in_time(end) {
            fail!("2 live peer", "endpoint {end} gave up a peer that answers each Ping at once");
        }
        let Some(pong) = record.promise.pong else { fail!("2 live peer", "no pong timeout is configured") };
        let life = if source.is_readable() { record.life } else { source.read.at.unwrap_or(0) };
        let quiet = view.now - life;
        // Input that arrives after the decision changes nothing.
        let decided =
            out.sent.close_code() == Some(1011) && out.sent.close.as_ref().is_some_and(|(at, _)| life >= *at);
        // If a stream holds bytes back, the time of the decision is not visible on the link. If the stream is full, the
        // Close is not visible either. In this case the sending half may have decided one write before the connection
        // ended, and the byte may have arrived during this write.
        let full = record.shape == Shape::Halves && out.sent.close.is_none();
        // After a failed write, the Close is not visible on the link.
        let hidden = quiet < SLACK && (!view.hides_nothing || full || view.write_failed);
        // A sending half may decide during a pause of the receiving half. In this case it cannot know of a byte that
        // arrives in the pause. If the stream is full, no Close shows the time of the decision, so the time of the
        // abort is used.
        let resumed = record.calls[0].map_or(view.now, |call| call.since);
        let pause = self.called[end]..=resumed;
        let unseen =
            self.streams[end].aborted_at.is_some_and(|at| pause.contains(&at)) && pause.contains(&life);
        // The timeout had passed at the end of the last call, and the byte arrived in the pause after this call.
        let known = source.read.at.unwrap_or(0);
        let late = pause.contains(&life) && self.called[end].saturating_sub(known) + SLACK >= pong;
        let keeps_time = self.streams[end].behavior.keeps_time();
        view.check_given_up(
            pong,
            quiet,
            SLACK,
            decided || hidden || unseen || late || !keeps_time,
            keeps_time,
        );
    }

    /// Checks the end of a run.
    pub fn check_end(&self) {
        for end in 0..2 {
            let record = &self.ends[end];
            if record.shape != Shape::Scripted {
                self.view(end).check_end();
                self.check_arrived(end, record);
                self.check_returned(end, record);
            }
        }
    }

    /// Checks that after a failed write an endpoint has still returned every message that it has read. Only the input of
    /// a dead peer is discarded.
    fn check_returned(&self, end: usize, record: &Record) {
        let ended = record.outcome().is_some_and(|outcome| outcome != Outcome::TimedOut(TimerKind::Pong));
        let (returned, read) = (self.journals[1 - end].received, self.links[1 - end].read.messages);
        if ended && self.streams[end].write_failed() && returned < read && !record.abandoned {
            fail!("1 not returned", "endpoint {end} has read {read} messages, and returned {returned}");
        }
    }

    /// Checks that every accepted message of an endpoint has arrived, or that the application knows that messages may
    /// be lost.
    fn check_arrived(&self, end: usize, record: &Record) {
        let missing = self.journals[end].missing();
        let other = &self.ends[1 - end];
        let lied = self.streams.iter().any(|stream| stream.lied);
        if missing == 0 || lied || other.shape == Shape::Scripted || record.abandoned || other.abandoned {
            return;
        }
        let clean = |record: &Record| record.outcome().is_some_and(|outcome| outcome.is_clean());
        if !clean(record) || !clean(other) {
            return;
        }
        let unknowing = record.dropped.is_none() && !record.flushed;
        let said = record.loss_reported || record.dropped.is_some_and(|dropped| dropped > 0) || unknowing;
        if self.view(end).has_crossed() && self.view(1 - end).has_crossed() && !said && !self.reset {
            fail!("1 lost", "{missing} messages of endpoint {end} are missing, but nothing reports that");
        }
    }
}
