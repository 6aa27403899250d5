//! The checks of a run: whenever all tasks wait, when an application learns of its outcome, and at the end of the
//! run.
//!
//! A failure begins with a category, which the survey counts and `tests/planted_adapters.py` expects. The checks
//! know only what the links, the journals and the records show, never the state of the library.

use std::time::Duration;

use hybi::{Outcome, TimerKind};

use crate::draw::MS;
use crate::executor::Task;
use crate::journal::Fate;
use crate::link::Link;
use crate::record::{CallKind, Record, Shape};
use crate::stream::{READ, WRITE};
use crate::world::{World, fail};

/// Maximum delay beyond a promise. Wakeups and streams are late as well.
const SLACK: u64 = 100 * MS;

impl World {
    /// Returns whether a waiting call could read, and could write.
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
            // A waiting receiver knows what has arrived, and knows that its group was closed.
            let source = self.links[1 - end].borrow();
            let closed = record.group_closed || source.read.close.is_some() || source.knows_end();
            drop(source);
            if closed && record.receives() {
                record.closes(self.clock.now(), false);
            }
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
                        fail!("8 hang in receive", "end {end} waits, and {bytes} bytes can be read")
                    }
                    CallKind::Send if writable => {
                        fail!("8 hang in send", "a call of end {end} waits, and its stream can be written")
                    }
                    CallKind::Receive if writable => self.check_written(end, &record),
                    _ => {}
                }
            }
            let settled = record.calls.iter().flatten().all(|call| tasks[call.task].held_back == 0);
            self.check_time(end, &record, writable && settled);
        }
    }

    /// Checks a waiting receiver whose stream can be written: everything that was accepted must have been
    /// written.
    fn check_written(&self, end: usize, record: &Record) {
        let out = self.links[end].borrow();
        if record.closing.is_some()
            || record.told.is_some()
            || out.sent.close.is_some()
            || out.broken
            || self.streams[end].borrow().lied
        {
            return;
        }
        let (sent, read) = (&out.sent, &self.links[1 - end].borrow().read);
        let journal = self.journals[end].borrow();
        let accepted = journal.entries.iter().filter(|entry| entry.fate == Fate::Accepted).count();
        // A message that a half has fed waits until it flushes or until the other half waits. If that half is dropped,
        // the other half must write the message. The library does not know what the halves of `futures_util` hold.
        let feeds = match record.shape {
            Shape::Whole => true,
            Shape::Halves => record.writer_gone,
            _ => false,
        };
        if feeds && sent.messages < accepted {
            let messages = sent.messages;
            fail!("33 fed and kept", "end {end} waits: {accepted} messages accepted, {messages} written");
        }
        // RFC 6455 5.5.3: at least the newest Ping is answered.
        if let Some((_, ping)) = read.pings.last() {
            if !sent.pongs.iter().rev().any(|(_, pong)| pong == ping) {
                fail!("10 no Pong", "end {end} waits, and has not answered {ping:?}");
            }
        }
    }

    /// Checks that nothing is later than the configuration promises.
    fn check_time(&self, end: usize, record: &Record, writable: bool) {
        let (now, promise) = (self.clock.now(), record.promise);
        if let Some((told, how)) = record.told {
            if let Some(call) = record.calls.iter().flatten().next() {
                if now > told.max(call.since) + SLACK {
                    fail!("1 waits behind the end", "end {end} waits {}, told of {how:?}", ms(now - told));
                }
            }
            return;
        }
        self.check_end_of_stream(end, record);
        if let Some((at, mark)) = record.closing {
            // After reassembly the time counts from the latest event before it.
            let took = record.attentive(now) - mark.max(record.reassembled_mark);
            if took > promise.close + SLACK {
                fail!(
                    "7 closing",
                    "end {end} closes since {}, for {} of {}",
                    ms(at),
                    ms(took),
                    ms(promise.close)
                );
            }
            return;
        }
        if record.shape == Shape::FuturesHalves && record.told_to_close {
            // The halves of futures close after they have sent what they hold, which cannot be observed.
            return;
        }
        if self.streams[end].borrow().lied {
            // Writing has failed and the failure was reported. Received messages are still delivered.
            return;
        }
        let (receives, writable) = (record.receives(), writable && !self.links[end].borrow().broken);
        if let (Some(ping), Some(pong)) = (promise.ping, promise.pong) {
            self.check_dead(end, record, ping, pong);
        } else if let Some(ping) = promise.ping {
            let (sent, read) = (&self.links[end].borrow().sent, &self.links[1 - end].borrow().read);
            let pinged = sent.pings.last().map_or(0, |(at, _)| *at);
            let since = pinged.max(read.at.unwrap_or(0)).max(record.heard).max(record.reassembled);
            // A Ping cannot be sent inside a frame that is partly written.
            if receives && writable && sent.is_between_frames() && now > since + ping + SLACK {
                fail!("5 no Ping", "end {end} has sent none for {}, each {}", ms(now - since), ms(ping));
            }
        }
        if let Some(idle) = promise.idle.filter(|_| self.links[end].borrow().sent.close.is_none()) {
            let since = self.data_at(end).max(record.ahead_at).max(record.reassembled).max(record.heard);
            if receives && writable && now > since + idle + SLACK {
                fail!("3 idle", "end {end} was idle for {} of {}", ms(now - since), ms(idle));
            }
        }
    }

    /// Returns whether the peer is a scripted one that answers each Ping in time, as far as that is known.
    fn answers_in_time(&self, end: usize, record: &Record) -> bool {
        let Some(answers) = self.answers_within[1 - end] else { return false };
        let calm = self.network_events.stall.is_none() && !self.cut.get() && !self.reset.get();
        let stream = self.streams[end].borrow();
        let knows = stream.behavior.hides_nothing() && !stream.lied && !record.reader_rests();
        calm && knows && record.promise.pong.is_some_and(|pong| answers + SLACK * 3 < pong)
    }

    /// Checks that the accepted bytes that are not written yet are bounded, for all ways of sending.
    pub fn check_backlog(&self, end: usize) {
        let (record, journal) = (self.ends[end].borrow(), self.journals[end].borrow());
        let sent = &self.links[end].borrow().sent;
        if record.closing.is_some() || record.told.is_some() || self.reset.get() || self.compresses {
            return;
        }
        let accepted = journal.entries.iter().filter(|entry| entry.fate == Fate::Accepted);
        let waits =
            accepted.map(|entry| entry.data.len() as u64).sum::<u64>().saturating_sub(sent.data_bytes);
        // The high-water mark, the message that passed it, one in the slot of the halves of `futures_util`, and
        // the bytes that the stream holds.
        let held = self.streams[end].borrow().behavior.lazy as u64 + (16 << 10);
        let most = record.promise.high_water as u64 + 2 * (journal.longest() as u64 + 14) + held;
        if waits > most {
            fail!("35 output", "end {end}: {waits} bytes were accepted and not written, at most {most} may");
        }
    }

    /// Checks that a client does not wait long for a server that does not end the stream.
    fn check_end_of_stream(&self, end: usize, record: &Record) {
        let (sent, read) = (&self.links[end].borrow().sent, &self.links[1 - end].borrow().read);
        let (Some(most), Some((written, _)), Some((heard, _))) =
            (record.promise.end, &sent.close, &read.close)
        else {
            return;
        };
        let receives = record.calls.iter().flatten().find(|call| call.kind == CallKind::Receive);
        let Some(call) = receives.filter(|_| {
            let stream = self.streams[end].borrow();
            stream.behavior.hides_nothing() && !stream.lied
        }) else {
            return;
        };
        let since = (*written).max(*heard).max(call.since);
        if self.clock.now() > since + most + SLACK {
            let took = ms(self.clock.now() - since);
            fail!("7 end", "end {end} waits {took} for the end of the stream, of {}", ms(most));
        }
    }

    /// Checks that a silent peer is given up in time.
    fn check_dead(&self, end: usize, record: &Record, ping: u64, pong: u64) {
        let (attentive, behavior) =
            (record.attentive(self.clock.now()), &self.streams[end].borrow().behavior);
        // The end may be closing because it was idle, behind output that is not written yet.
        let idle = |idle| self.clock.now() >= self.data_at(end) + idle;
        if record.promise.idle.is_some_and(idle) {
            return;
        }
        // A stream with a buffer of its own accepts a Ping and makes progress without showing it on the link.
        let hides = behavior.keeps || behavior.lazy > 0;
        let moves = record.progress.is_some() || hides;
        let more = if moves { 3 * pong } else { 0 };
        let life = record.life_mark.max(record.reassembled_mark);
        let since = match record.pinged {
            // The pong timeout starts with the first Ping that was written after the peer's last byte.
            Some(pinged) if !hides => pinged.max(life),
            // A Ping that waits behind a frame does not count yet, as long as the frame makes progress.
            _ => (life + ping).max(record.progress_mark),
        };
        let silence = attentive.saturating_sub(since);
        if silence > pong + more + SLACK {
            fail!(
                "1 dead peer",
                "end {end}: {} of silence behind a Ping, {} promised",
                ms(silence),
                ms(pong)
            );
        }
    }

    /// Returns the time of the last data that was read or written.
    fn data_at(&self, end: usize) -> u64 {
        let (sent, read) = (&self.links[end].borrow().sent, &self.links[1 - end].borrow().read);
        sent.data_at.max(read.data_at).unwrap_or(0)
    }

    /// Checks the Close that an end has written: a Close for idleness must not be early.
    pub fn check_close(&self, end: usize) {
        let sent = &self.links[end].borrow().sent;
        let Some((_, body)) = &sent.close else { return };
        // An answer repeats the peer's reason, which may be the same text.
        let answers =
            self.links[1 - end].borrow().read.close.as_ref().is_some_and(|(_, close)| close == body);
        let idle = body.get(2..) == Some(b"idle for too long") && !answers;
        let (record, now) = (self.ends[end].borrow(), self.clock.now());
        if let (true, Some(promise)) = (idle, record.promise.idle) {
            // The end may not have known about data that arrived just now.
            let gap = now - self.links[1 - end].borrow().read.data_at.unwrap_or(0);
            // If there was no space, the Close was queued some time ago.
            let waited = record.progress_mark == record.attentive(now) || self.streams[end].borrow().blocked;
            if !waited && gap > SLACK && gap + SLACK < promise {
                fail!("3 idle early", "end {end} was idle for {} of {}", ms(gap), ms(promise));
            }
        }
    }

    /// Checks that an outcome has a reason.
    pub fn check_outcome(&self, end: usize, outcome: Outcome) {
        let (record, now) = (self.ends[end].borrow(), self.clock.now());
        let (out, source) = (self.links[end].borrow(), self.links[1 - end].borrow());
        let lied = self.streams[end].borrow().lied;
        match outcome {
            Outcome::Clean { code } | Outcome::Unanswered { code } => {
                let Some((_, body)) = &source.read.close else {
                    fail!("26 Clean", "end {end} is told {outcome}, and has read no Close");
                };
                let sent = body.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                if sent != code.get() {
                    fail!("25 code", "end {end} is told {outcome}, the peer's Close said {sent}");
                }
                // RFC 6455 7.1.4: for a clean end both sides have sent a Close.
                if outcome.is_clean() && out.sent.close.is_none() && !lied {
                    fail!("26 Clean", "end {end} is told {outcome}, and has written no Close");
                }
                // A peer that ends its half may still read.
                let reset = source.reset || out.broken || lied;
                if !outcome.is_clean() && !reset {
                    fail!("26 Clean", "end {end} is told {outcome}, and nothing has kept its Close back");
                }
            }
            Outcome::TimedOut(TimerKind::Pong) => {
                if self.answers_in_time(end, &record) {
                    fail!("2 live peer", "end {end} gives up a peer that answers each Ping at once");
                }
                let Some(pong) = record.promise.pong else { fail!("2 live peer", "no Pong was waited for") };
                let (readable, _) = self.readiness_of(end, &source);
                // A stream that hesitates hides what has arrived.
                let life = if readable { record.life } else { source.read.at.unwrap_or(0) };
                let quiet = now - life;
                let hidden = quiet < SLACK && self.streams[end].borrow().behavior.hesitates > 0;
                // Wakeups are late. Input that arrives after the decision changes nothing.
                let decided = out.sent.close_code() == Some(1011)
                    && out.sent.close.as_ref().is_some_and(|(at, _)| source.read.at >= Some(*at));
                let full = record.was_full || lied || hidden || decided;
                if quiet < pong && !record.reader_rests() && !full {
                    fail!(
                        "2 live peer",
                        "end {end} gives up, {} after a byte arrived; {}",
                        ms(quiet),
                        ms(pong)
                    );
                }
                if let Some(progress) = record.progress {
                    let (since, limit) = (now - progress, record.life + 4 * pong);
                    // The time that a write adds is rounded down. The last write may also be that of the Close
                    // for the dead peer and of what waited before it, if wakeups and the stream are late.
                    if !lied && since > SLACK && since + MS < pong && now + MS < limit {
                        fail!("2 progress", "end {end} gives up {} after a write went on", ms(since));
                    }
                }
            }
            Outcome::TimedOut(TimerKind::Idle) => {
                if record.promise.idle.is_none() {
                    fail!("3 idle early", "end {end} has no idle timeout");
                }
            }
            Outcome::TimedOut(_) => {
                let since = record.closing.map_or(0, |(at, _)| at);
                if record.closing_exact && now - since < record.promise.close {
                    fail!("7 closing early", "end {end} gives up closing after {}", ms(now - since));
                }
            }
            Outcome::Abnormal(_) => {
                if !source.has_ended() && !out.broken && !lied {
                    fail!("3 abnormal", "end {end} is told {outcome}, and its stream has not ended");
                }
            }
            Outcome::Failed(_) => {
                if !source.sent.garbled && !lied {
                    fail!("3 failed", "end {end} is told {outcome}, and the peer broke no rule");
                }
            }
            _ => fail!("3 strange outcome", "end {end}: {outcome:?}"),
        }
    }

    /// Checks the end of a run.
    pub fn check_end(&self) {
        for end in 0..2 {
            let (record, out) = (self.ends[end].borrow(), self.links[end].borrow());
            if record.shape == Shape::Scripted {
                continue;
            }
            if out.sent.behind_close > 0 {
                fail!("32 behind the Close", "end {end} wrote {} bytes", out.sent.behind_close);
            }
            if out.sent.garbled {
                fail!("15 garbled", "end {end} wrote what is no frame");
            }
            self.check_arrived(end, &record);
            self.check_round_trip(end, &record);
            self.check_answer(end, &record);
        }
    }

    /// Returns whether an end has read the other one's Close and written its own.
    fn has_crossed(&self, end: usize) -> bool {
        self.links[end].borrow().sent.close.is_some() && self.links[1 - end].borrow().read.close.is_some()
    }

    /// Checks that everything that an end accepted has arrived, or that the application knows that it may not
    /// have.
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
            let Some(((told, _), (closing, _))) = record.told.zip(record.closing) else { return true };
            record.shape == Shape::FuturesHalves && told.saturating_sub(closing) >= record.promise.close
        };
        if unclean(record) || unclean(&other) || late(record) || late(&other) {
            return;
        }
        let unknowing = record.dropped.is_none() && !record.flushed;
        let said = record.loss_told || record.dropped.is_some_and(|dropped| dropped > 0) || unknowing;
        if self.has_crossed(end) && self.has_crossed(1 - end) && !said && !self.reset.get() {
            fail!("1 lost", "{missing} messages of end {end} are missing, and nothing says so");
        }
    }

    /// Checks that the round trip is known if a Ping of this end was answered.
    fn check_round_trip(&self, end: usize, record: &Record) {
        let asks = matches!(record.shape, Shape::Whole);
        // Input that was read ahead and never received was not decoded.
        let clean = record.outcome().is_some_and(|outcome| outcome.is_clean());
        let clean = clean && !self.streams[end].borrow().lied;
        if !asks || record.round_trip || !clean {
            return;
        }
        let (sent, read) = (&self.links[end].borrow().sent, &self.links[1 - end].borrow().read);
        let answered = |(_, pong): &(u64, Vec<u8>)| sent.pings.iter().any(|(_, ping)| ping == pong);
        let closing = record.closing.map_or(u64::MAX, |(at, _)| at);
        if read.pongs.iter().any(|pong| pong.0 < closing && answered(pong)) {
            fail!("6 round trip", "end {end} has read a Pong to its Ping, and no round trip is known");
        }
    }

    /// Checks that a Close in answer to another carries its code.
    fn check_answer(&self, end: usize, record: &Record) {
        let (sent, read) = (&self.links[end].borrow().sent, &self.links[1 - end].borrow().read);
        let (Some((answered, answer)), Some((asked, close))) = (&sent.close, &read.close) else { return };
        let failed = sent.close_code().is_some_and(|code| matches!(code, 1002 | 1007..=1011));
        if record.told_to_close || answered < asked || failed || close.is_empty() {
            return;
        }
        let idle = answer.get(2..) == Some(b"idle for too long");
        if answer.get(..2) != close.get(..2) && !idle {
            fail!("25 answer", "end {end} answers a Close of {close:?} with {answer:?}");
        }
        if answer != close && !idle {
            fail!("25 reason", "end {end} answers a Close of {close:?} with {answer:?}");
        }
    }
}

fn ms(nanos: u64) -> String {
    format!("{:?}", Duration::from_nanos(nanos))
}
