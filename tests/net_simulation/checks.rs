//! The checks of a run: whenever all threads wait, when an application learns of its outcome, and at the end of
//! the run.
//!
//! They correspond to those of `adapters_simulation/checks.rs`, with larger bounds: a blocking call notices
//! events only from time to time. A failure begins with its category.

use std::time::Duration;

use hybi::{Outcome, TimerKind};

use crate::draw::MS;
use crate::journal::Fate;
use crate::record::{Call, CallKind, Record, Shape};
use crate::world::{World, fail};

/// Maximum delay beyond a promise. A waiting call looks up only from time to time, and timeouts of streams are
/// late.
const SLACK: u64 = 150 * MS;
/// Number of bytes read ahead above which a send need not look for input.
const MOST_AHEAD: u64 = 40_000;

impl World {
    /// Checks that each thread has a reason to wait.
    pub fn check_waiting(&mut self) {
        for end in 0..2 {
            if self.ends[end].shape == Shape::Scripted || !self.streams[end].behavior.keeps_time() {
                continue;
            }
            // A waiting receiver without read-ahead input knows what has arrived. It learns of the end of the
            // stream also while reading ahead.
            let source = &self.links[1 - end];
            let decoded = self.ends[end].receives() && self.streams[end].ahead == 0;
            let closed = source.read.close.is_some() && decoded || source.knows_end();
            if closed {
                let now = self.now();
                self.ends[end].closes(now, false);
            }
            for call in self.ends[end].calls.into_iter().flatten() {
                self.check_call(end, call);
            }
            self.check_time(end);
        }
    }

    /// Checks that a call does not wait for a stream that is ready.
    fn check_call(&self, end: usize, call: Call) {
        let (record, now) = (&self.ends[end], self.now());
        let since = |since: Option<u64>| now - since.unwrap_or(now).max(call.since);
        let (readable, writable) = (since(self.readable_since[end]), since(self.writable_since[end]));
        let stands = readable.min(now - self.put_at[end]);
        let source = &self.links[1 - end];
        let reads = source.read.close.is_none() && record.told.is_none();
        let reads = reads && !self.streams[end].aborted && !self.streams[end].lied;
        let bytes = source.readable();
        let whole = record.shape == Shape::Whole;
        // A writer does not read. It reports when it waits for the lock.
        match call.kind {
            CallKind::Receive if readable > SLACK && reads => {
                fail!(
                    "10 hang in receive",
                    "end {end} waits, and {bytes} bytes can be read for {}",
                    ms(readable)
                );
            }
            CallKind::Send if whole && stands > SLACK && reads && self.streams[end].ahead < MOST_AHEAD => {
                fail!(
                    "2 send reads nothing",
                    "end {end} waits, and {bytes} bytes can be read for {}",
                    ms(readable)
                );
            }
            CallKind::Send if writable > SLACK && !self.links[end].broken => {
                fail!(
                    "8 hang in send",
                    "a call of end {end} waits, and its stream can be written for {}",
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
        let gone = record.closing.is_some() || record.told.is_some() || self.streams[end].lied;
        if gone || out.broken || out.sent.close.is_some() {
            return;
        }
        let (sent, read) = (&out.sent, &self.links[1 - end].read);
        let accepted = self.journals[end].entries.iter().filter(|entry| entry.fate == Fate::Accepted).count();
        if sent.messages < accepted {
            let messages = sent.messages;
            fail!("33 fed and kept", "end {end} waits: {accepted} messages accepted, {messages} written");
        }
        // RFC 6455 5.5.3: at least the newest Ping is answered.
        let answered = |ping: &Vec<u8>| sent.pongs.iter().rev().any(|(_, pong)| pong == ping);
        match read.pings.last() {
            // The Ping may be among the input that was read ahead, or was read a moment ago.
            Some((at, ping))
                if self.now() > at + SLACK && self.streams[end].ahead == 0 && !answered(ping) =>
            {
                fail!("10 no Pong", "end {end} waits, and has not answered {ping:?}");
            }
            _ => {}
        }
    }

    /// Checks that nothing is later than the configuration promises.
    fn check_time(&self, end: usize) {
        let (now, record) = (self.now(), &self.ends[end]);
        let promise = record.promise;
        if let Some((told, how)) = record.told {
            if let Some(call) = record.calls.iter().flatten().next() {
                if now > told.max(call.since) + SLACK {
                    fail!("1 waits behind the end", "end {end} waits {}, told of {how:?}", ms(now - told));
                }
            }
            return;
        }
        self.check_end_of_stream(end);
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
        let broken = self.links[end].broken;
        if self.streams[end].lied {
            // Writing has failed and the failure was reported. Received messages are still delivered.
            return;
        }
        let writable = self.writable_since[end].is_some_and(|since| now > since + SLACK) && !broken;
        let receives = record.receives();
        let (sent, read) = (&self.links[end].sent, &self.links[1 - end].read);
        if let (Some(ping), Some(pong)) = (promise.ping, promise.pong) {
            self.check_dead(end, ping, pong);
        } else if let Some(ping) = promise.ping {
            let pinged = sent.pings.last().map_or(0, |(at, _)| *at);
            let since = pinged.max(read.at.unwrap_or(0)).max(record.heard).max(record.reassembled);
            // A Ping cannot be sent inside a frame that is partly written.
            if receives
                && writable
                && sent.is_between_frames()
                && now > (since + ping).max(self.rested[end]) + SLACK
            {
                fail!("5 no Ping", "end {end} has sent none for {}, each {}", ms(now - since), ms(ping));
            }
        }
        if let Some(idle) = promise.idle.filter(|_| sent.close.is_none()) {
            let since = self.data_at(end).max(record.ahead_at).max(record.reassembled).max(record.heard);
            if receives && writable && now > (since + idle).max(self.rested[end]) + SLACK {
                fail!("3 idle", "end {end} was idle for {} of {}", ms(now - since), ms(idle));
            }
        }
    }

    /// Returns whether the peer is a scripted one that answers each Ping in time, as far as that is known.
    fn answers_in_time(&self, end: usize) -> bool {
        let Some(answers) = self.answers_within[1 - end] else { return false };
        let (stream, record) = (&self.streams[end], &self.ends[end]);
        let calm = self.network_events.stall.is_none() && !self.cut && !self.reset;
        let knows = stream.behavior.hides_nothing() && !stream.lied && stream.behavior.keeps_time();
        let knows = knows && !record.reader_rests() && !record.was_full;
        calm && knows && record.promise.pong.is_some_and(|pong| answers + SLACK * 2 < pong)
    }

    /// Checks that the accepted bytes that are not written yet are bounded, for all ways of sending.
    pub fn check_backlog(&self, end: usize) {
        let (record, journal) = (&self.ends[end], &self.journals[end]);
        if record.closing.is_some() || record.told.is_some() || self.reset || self.compresses {
            return;
        }
        let accepted = journal.entries.iter().filter(|entry| entry.fate == Fate::Accepted);
        let accepted = accepted.map(|entry| entry.data.len() as u64).sum::<u64>();
        let waits = accepted.saturating_sub(self.links[end].sent.data_bytes);
        // The high-water mark, the message that passed it, and the bytes that the stream holds.
        let held = self.streams[end].holds() as u64;
        let most = record.promise.high_water as u64 + journal.longest() as u64 + 14 + held;
        if waits > most {
            fail!("35 output", "end {end}: {waits} bytes were accepted and not written, at most {most} may");
        }
    }

    /// Checks that a client does not wait long for a server that does not end the stream.
    fn check_end_of_stream(&self, end: usize) {
        let (sent, read) = (&self.links[end].sent, &self.links[1 - end].read);
        let record = &self.ends[end];
        let (Some(most), Some((written, _)), Some((heard, _))) =
            (record.promise.end, &sent.close, &read.close)
        else {
            return;
        };
        let stream = &self.streams[end];
        let receives = record.calls.iter().flatten().find(|call| call.kind == CallKind::Receive);
        let Some(call) = receives.filter(|_| stream.behavior.hides_nothing() && !stream.lied) else { return };
        let since = (*written).max(*heard).max(call.since);
        if self.now() > since + most + SLACK {
            let took = ms(self.now() - since);
            fail!("7 end", "end {end} waits {took} for the end of the stream, of {}", ms(most));
        }
    }

    /// Checks that a silent peer is given up in time.
    fn check_dead(&self, end: usize, ping: u64, pong: u64) {
        let record = &self.ends[end];
        let attentive = record.attentive(self.now());
        // The end may be closing because it was idle, behind output that is not written yet.
        let idle = |idle| self.now() >= self.data_at(end) + idle;
        if record.promise.idle.is_some_and(idle) {
            return;
        }
        // A stream with a buffer of its own accepts a Ping and makes progress without showing it on the link.
        let hides = !self.streams[end].behavior.hides_nothing();
        let moves = self.went_on[end] || hides;
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
        let (sent, read) = (&self.links[end].sent, &self.links[1 - end].read);
        sent.data_at.max(read.data_at).unwrap_or(0)
    }

    /// Checks the Close that an end has written: a Close for idleness must not be early.
    pub fn check_close(&self, end: usize) {
        let sent = &self.links[end].sent;
        let Some((_, body)) = &sent.close else { return };
        // An answer repeats the peer's reason, which may be the same text.
        let answers = self.links[1 - end].read.close.as_ref().is_some_and(|(_, close)| close == body);
        let idle = body.get(2..) == Some(b"idle for too long") && !answers;
        let record = &self.ends[end];
        if let (true, Some(promise)) = (idle, record.promise.idle) {
            // The end may not have known about data that arrived just now.
            let gap = self.now() - self.links[1 - end].read.data_at.unwrap_or(0);
            // If there was no space, the Close was queued some time ago.
            let waited = record.progress_mark == record.attentive(self.now()) || self.streams[end].blocked;
            if !waited && gap > SLACK && gap + SLACK < promise {
                fail!("3 idle early", "end {end} was idle for {} of {}", ms(gap), ms(promise));
            }
        }
    }

    /// Checks that an outcome has a reason.
    pub fn check_outcome(&self, end: usize, outcome: Outcome) {
        let (record, now) = (&self.ends[end], self.now());
        let (out, source) = (&self.links[end], &self.links[1 - end]);
        let (lied, keeps_time) = (self.streams[end].lied, self.streams[end].behavior.keeps_time());
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
                if self.answers_in_time(end) {
                    fail!("2 live peer", "end {end} gives up a peer that answers each Ping at once");
                }
                let Some(pong) = record.promise.pong else { fail!("2 live peer", "no Pong was waited for") };
                let readable = source.is_readable();
                let life = if readable { record.life } else { source.read.at.unwrap_or(0) };
                let quiet = now - life;
                // Input that arrives after the decision changes nothing.
                let decided = out.sent.close_code() == Some(1011)
                    && out.sent.close.as_ref().is_some_and(|(at, _)| life >= *at);
                // A stream that holds bytes back does not show the time of the decision.
                let hidden = quiet < SLACK && !self.streams[end].behavior.hides_nothing();
                let full = record.was_full || lied || decided || hidden || !keeps_time;
                if quiet + SLACK < pong && !record.reader_rests() && !full {
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
                    // for the dead peer and of what waited before it.
                    if !lied && keeps_time && since > SLACK && since + MS < pong && now + MS < limit {
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
                // Without half-close the whole stream is ended.
                let ends = !self.streams[end].behavior.half_closes && source.read.close.is_some();
                if !source.has_ended() && !out.broken && !lied && !ends {
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
            let (record, out) = (&self.ends[end], &self.links[end]);
            if record.shape == Shape::Scripted {
                continue;
            }
            if out.sent.behind_close > 0 {
                fail!("32 behind the Close", "end {end} wrote {} bytes", out.sent.behind_close);
            }
            if out.sent.garbled {
                fail!("15 garbled", "end {end} wrote what is no frame");
            }
            self.check_arrived(end, record);
            self.check_round_trip(end, record);
            self.check_answer(end, record);
        }
    }

    /// Returns whether an end has read the other one's Close and written its own.
    fn has_crossed(&self, end: usize) -> bool {
        self.links[end].sent.close.is_some() && self.links[1 - end].read.close.is_some()
    }

    /// Checks that everything that an end accepted has arrived, or that the application knows that it may not
    /// have.
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
        let said = record.loss_told || record.dropped.is_some_and(|dropped| dropped > 0) || unknowing;
        if self.has_crossed(end) && self.has_crossed(1 - end) && !said && !self.reset {
            fail!("1 lost", "{missing} messages of end {end} are missing, and nothing says so");
        }
    }

    /// Checks that the round trip is known if a Ping of this end was answered.
    fn check_round_trip(&self, end: usize, record: &Record) {
        let asks = matches!(record.shape, Shape::Whole);
        // Input that was read ahead and never received was not decoded.
        let clean = record.outcome().is_some_and(|outcome| outcome.is_clean());
        if !asks || record.round_trip || !clean || self.streams[end].lied {
            return;
        }
        let (sent, read) = (&self.links[end].sent, &self.links[1 - end].read);
        let answered = |(_, pong): &(u64, Vec<u8>)| sent.pings.iter().any(|(_, ping)| ping == pong);
        let closing = record.closing.map_or(u64::MAX, |(at, _)| at);
        if read.pongs.iter().any(|pong| pong.0 < closing && answered(pong)) {
            fail!("6 round trip", "end {end} has read a Pong to its Ping, and no round trip is known");
        }
    }

    /// Checks that a Close in answer to another carries its code.
    fn check_answer(&self, end: usize, record: &Record) {
        let (sent, read) = (&self.links[end].sent, &self.links[1 - end].read);
        let (Some((answered, answer)), Some((asked, close))) = (&sent.close, &read.close) else { return };
        let failed = sent.close_code().is_some_and(|code| matches!(code, 1002 | 1007..=1011));
        if record.told_to_close || answered < asked || failed || close.is_empty() {
            return;
        }
        let idle = answer.get(2..) == Some(b"idle for too long");
        if answer != close && !idle {
            fail!("25 answer", "end {end} answers a Close of {close:?} with {answer:?}");
        }
    }
}

fn ms(nanos: u64) -> String {
    format!("{:?}", Duration::from_nanos(nanos))
}
