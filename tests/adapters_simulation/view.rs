//! The observable state of one endpoint during a run, and the checks that both simulations share.
//!
//! The `checks.rs` of each simulation creates a [`View`] for each check. A view has only facts from the links, the
//! records and the streams, never the state of the library. Checks that need more than a view are in `checks.rs`.
//!
//! The text of a failure begins with a category. The survey of failures (`runner.rs`) counts the failures of each
//! category, and `tests/planted_adapters.py` prints the category.

use std::time::Duration;

use hybi::{CloseCode, Outcome, TimerKind};

use crate::draw::MS;
use crate::link::{Link, last_data};
use crate::record::{CallKind, Record, Shape};
use crate::world::fail;

/// The observable state of one endpoint at one time.
pub struct View<'a> {
    pub end: usize,
    pub now: u64,
    /// Tolerance for deadlines, in nanoseconds.
    pub slack: u64,
    pub record: &'a Record,
    /// The bytes that this endpoint has sent.
    pub out: &'a Link,
    /// The bytes that its peer has sent.
    pub source: &'a Link,
    /// The stream has reported a wrong count.
    pub lied: bool,
    /// A write has failed, and reads go on.
    pub write_failed: bool,
    /// The library sees at once which bytes arrive and how many bytes the link accepts.
    pub hides_nothing: bool,
    /// The stream has a buffer of its own. So a Ping can be accepted, and a write can progress, without an effect on
    /// the link.
    pub has_buffer: bool,
    /// The last write found the stream full.
    pub blocked: bool,
    /// The stream can be written, and every wakeup for it was delivered.
    pub writable: bool,
    /// Since bytes of the peer last arrived, the stream was full and a later write progressed.
    pub went_on: bool,
    /// Time at which the application last received again after a pause.
    pub rested: u64,
    /// Time at which the library aborted the stream. `None` if the stream was not aborted, or if the time is unknown.
    pub aborted_at: Option<u64>,
}

impl View<'_> {
    /// Returns the time of the last data that was read or written.
    fn data_at(&self) -> u64 {
        last_data(self.out, self.source)
    }

    /// Checks that no timeout of the configuration is exceeded.
    pub fn check_time(&self) {
        let Self { end, now, slack, record, .. } = *self;
        let promise = record.promise;
        if let Some((known_end, how)) = record.known_end {
            if let Some(call) = record.calls.iter().flatten().next() {
                if now > known_end.max(call.since) + slack {
                    fail!(
                        "1 waits behind the end",
                        "endpoint {end} waits, {} after it has seen {how:?}",
                        ms(now - known_end)
                    );
                }
            }
            return;
        }
        self.check_end_of_stream();
        if let Some((at, mark)) = record.closing {
            // After the WebSocket was taken apart and put together, its clock continues from an earlier time. So
            // the duration of closing is counted from the reassembly.
            let took = record.attentive(now) - mark.max(record.reassembled_mark);
            if took > promise.close + slack {
                fail!(
                    "7 closing",
                    "endpoint {end} has been closing since {}, for {}, and {} are allowed",
                    ms(at),
                    ms(took),
                    ms(promise.close)
                );
            }
            return;
        }
        if record.shape == Shape::FuturesHalves && record.asked_to_close {
            // The halves of `futures_util` first send the message that they hold. So the start of closing cannot be
            // observed.
            return;
        }
        if record
            .closing_by_dropped_call
            .is_some_and(|(_, mark)| record.attentive(now) - mark <= promise.close + slack)
        {
            // If the connection is closing, only the close timeout runs.
            return;
        }
        if self.lied {
            // Writing has failed and the failure was reported. Received messages are still delivered.
            return;
        }
        // After a failed write, neither a Ping nor a Close can be written.
        let waits = record.receives() && self.writable && !self.out.broken && !self.write_failed;
        let (sent, read) = (&self.out.sent, &self.source.read);
        if let (Some(ping), Some(pong)) = (promise.ping, promise.pong) {
            self.check_dead(ping, pong);
        } else if let Some(ping) = promise.ping {
            let pinged = sent.pings.last().map_or(0, |(at, _)| *at);
            let since = pinged.max(read.at.unwrap_or(0)).max(record.heard).max(record.reassembled);
            // A Ping cannot be sent inside a frame that is partly written, nor after a Close.
            if waits
                && sent.is_between_frames()
                && sent.close.is_none()
                && now > (since + ping).max(self.rested) + slack
            {
                fail!(
                    "5 no Ping",
                    "endpoint {end} has sent no Ping for {}, but the interval is {}",
                    ms(now - since),
                    ms(ping)
                );
            }
        }
        if let Some(idle) = promise.idle.filter(|_| sent.close.is_none()) {
            let since = self.data_at().max(record.ahead_at).max(record.reassembled).max(record.heard);
            let idle_until = (since + idle).max(self.rested) + slack;
            if waits && now > idle_until {
                fail!(
                    "3 idle",
                    "endpoint {end} was idle for {}, but may be idle for {}",
                    ms(now - since),
                    ms(idle)
                );
            }
            // After a failed write the Close is not visible. But the close timeout starts, and ends the connection.
            if self.write_failed && record.receives() && now > idle_until + promise.close + slack {
                fail!(
                    "3 idle",
                    "endpoint {end} was idle for {}, and its writes fail, but it has not ended",
                    ms(now - since)
                );
            }
        }
    }

    /// Checks that a client whose server does not end the stream waits for at most the client's `end_timeout`.
    fn check_end_of_stream(&self) {
        let (sent, read) = (&self.out.sent, &self.source.read);
        let (Some(most), Some((written, _)), Some((heard, _))) =
            (self.record.promise.end, &sent.close, &read.close)
        else {
            return;
        };
        let receives = self.record.calls.iter().flatten().find(|call| call.kind == CallKind::Receive);
        let Some(call) = receives.filter(|_| self.hides_nothing && !self.lied) else { return };
        let since = (*written).max(*heard).max(call.since);
        if self.now > since + most + self.slack {
            let took = ms(self.now - since);
            fail!(
                "7 end",
                "endpoint {} waits {took} for the end of the stream, and {} are allowed",
                self.end,
                ms(most)
            );
        }
    }

    /// Checks that a silent peer is given up in time.
    fn check_dead(&self, ping: u64, pong: u64) {
        let record = self.record;
        // If the idle timeout has passed, this endpoint is closing, but its Close may wait behind queued output.
        let closes_until =
            record.idle_timeout_mark.map_or(0, |mark| mark + record.promise.close + self.slack);
        let is_idle = record.promise.idle.is_some_and(|idle| self.now >= self.data_at() + idle);
        if is_idle || record.attentive(self.now) < closes_until {
            return;
        }
        let more = if self.went_on || self.has_buffer { 3 * pong } else { 0 };
        let life = record.life_mark.max(record.reassembled_mark);
        let since = match record.pinged {
            // The pong timeout starts with the first Ping that was written after the peer's last byte.
            Some(pinged) if !self.has_buffer => pinged.max(life),
            // A Ping that waits behind a frame does not start the pong timeout while the frame is being written.
            _ => (life + ping).max(record.progress_mark),
        };
        // If nobody reads, a Pong of the peer may wait in the stream. So the peer counts as alive if it has taken bytes
        // during the last pong timeout. After the end of this pong timeout, one Ping interval passes until the next
        // Ping. After a failed write, the stream takes nothing.
        let may_be_unread = !self.out.broken
            && (record.is_read_ahead_full(self.source.read.bytes)
                || (record.shape == Shape::Halves && record.reader_rests()));
        if may_be_unread && self.has_buffer {
            return;
        }
        let since = if may_be_unread { since.max(record.wrote_mark + pong + ping) } else { since };
        let silence = record.attentive(self.now).saturating_sub(since);
        if silence > pong + more + self.slack {
            fail!(
                "1 dead peer",
                "endpoint {}: {} of silence after a Ping, {} are allowed",
                self.end,
                ms(silence),
                ms(pong)
            );
        }
    }

    /// Checks the Close that an endpoint has written: a Close for idleness must not be early.
    pub fn check_close(&self) {
        let Some((_, body)) = &self.out.sent.close else { return };
        // If the peer has closed for idleness, the answer has the same reason.
        let answers = self.source.read.close.as_ref().is_some_and(|(_, close)| close == body);
        let idle = is_for_idleness(body) && !answers;
        if let (true, Some(promise)) = (idle, self.record.promise.idle) {
            // The endpoint may not have known about data that arrived just now.
            let gap = self.now - self.source.read.data_at.unwrap_or(0);
            // If the stream was full, the Close was queued some time ago. A stream that has reported a wrong count may
            // hold the Close back, because the library does not flush such a stream.
            let progress_for = self.record.attentive(self.now) - self.record.progress_mark;
            // If the idle timeout passed while the stream was full, the Close follows the rest of a frame. Between the
            // two writes the call may read ahead and flush, which takes time.
            let follows_rest = self.record.idle_timeout_mark.is_some() && progress_for <= self.slack;
            let waited = progress_for == 0 || follows_rest || self.blocked || self.lied;
            if !waited && gap > self.slack && gap + self.slack < promise {
                fail!(
                    "3 idle early",
                    "endpoint {} closes after {} without data, but may be idle for {}",
                    self.end,
                    ms(gap),
                    ms(promise)
                );
            }
        }
    }

    /// Checks that an outcome has a reason. A timeout of kind [`TimerKind::Pong`] is not checked here.
    pub fn check_outcome(&self, outcome: Outcome) {
        let Self { end, record, out, source, lied, .. } = *self;
        match outcome {
            Outcome::Clean { code } | Outcome::Unanswered { code } => self.check_clean(outcome, code),
            Outcome::TimedOut(TimerKind::Pong) => {}
            Outcome::TimedOut(TimerKind::Idle) => {
                if record.promise.idle.is_none() {
                    fail!("3 idle early", "endpoint {end} has no idle timeout");
                }
            }
            Outcome::TimedOut(_) => {
                let took = self.now - record.closing.map_or(0, |(at, _)| at);
                if record.closing_exact && took < record.promise.close {
                    fail!("7 closing early", "endpoint {end} gives up closing after {}", ms(took));
                }
            }
            Outcome::Abnormal(_) => {
                if !source.has_ended() && !out.broken && !lied {
                    fail!(
                        "3 abnormal",
                        "endpoint {end} has the outcome {outcome}, but its stream has not ended"
                    );
                }
            }
            Outcome::Failed(_) => {
                if !source.sent.garbled && !lied {
                    fail!("3 failed", "endpoint {end} has the outcome {outcome}, but the peer broke no rule");
                }
            }
            _ => fail!("3 strange outcome", "endpoint {end}: {outcome:?}"),
        }
    }

    fn check_clean(&self, outcome: Outcome, code: CloseCode) {
        let Self { end, out, source, lied, .. } = *self;
        let Some((_, body)) = &source.read.close else {
            fail!("26 Clean", "endpoint {end} has the outcome {outcome}, but has read no Close");
        };
        let sent = body.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
        if sent != code.get() {
            fail!(
                "25 code",
                "endpoint {end} has the outcome {outcome}, but the peer's Close has code {sent}"
            );
        }
        // RFC 6455 7.1.4: a connection is closed cleanly only if both sides have sent a Close.
        if outcome.is_clean() && out.sent.close.is_none() && !lied {
            fail!("26 Clean", "endpoint {end} has the outcome {outcome}, but has written no Close");
        }
        // A peer that has ended its direction of the stream may still read our Close. After a failed write no Close can
        // be written.
        let reset = source.reset || out.broken || lied || self.write_failed;
        if !outcome.is_clean() && !reset {
            fail!("26 Clean", "endpoint {end} has the outcome {outcome}, but nothing prevented its Close");
        }
    }

    /// Checks that a peer is not given up too soon after its last byte arrived, or after a write progressed. `quiet` is
    /// the time since that byte, and may be too short by `margin`. If `excused` is true, the library could not know of
    /// the byte. If `keeps_time` is false, the stream has no timeouts.
    pub fn check_given_up(&self, pong: u64, quiet: u64, margin: u64, excused: bool, keeps_time: bool) {
        let (end, record) = (self.end, self.record);
        let excused = excused || record.was_full || self.lied || record.reader_rests();
        if quiet + margin < pong && !excused {
            fail!(
                "2 live peer",
                "endpoint {end} gives up its peer {} after a byte arrived, but must wait {}",
                ms(quiet),
                ms(pong)
            );
        }
        if let Some(progress) = record.progress {
            // A writing half can end the connection and abort the stream while the application does not receive. The
            // application then learns of the end later.
            let ended = self.aborted_at.unwrap_or(self.now);
            let (since, limit) = (ended.saturating_sub(progress), record.life + 4 * pong);
            // Progress of a write extends the timeout by a time that is rounded down. If the last write was just before
            // the end, it may have written the Close for the dead peer, and the queue before this Close.
            let early = since > self.slack && since + MS < pong && ended + MS < limit;
            if early && !self.lied && keeps_time {
                fail!(
                    "2 progress",
                    "endpoint {end} gives up its peer {} after a write progressed",
                    ms(since)
                );
            }
        }
    }

    /// Checks the end of a run.
    pub fn check_end(&self) {
        let (end, sent) = (self.end, &self.out.sent);
        if sent.behind_close > 0 {
            fail!("32 behind the Close", "endpoint {end} wrote {} bytes after its Close", sent.behind_close);
        }
        if sent.garbled {
            fail!("15 garbled", "endpoint {end} wrote bytes that are no frame");
        }
        self.check_round_trip();
        self.check_answer();
    }

    /// Checks that the round trip is known if a Ping of this endpoint was answered.
    fn check_round_trip(&self) {
        let record = self.record;
        // A sending call can read ahead. A Pong in this input counts only after a receiving call has decoded the input.
        // A clean outcome shows that the input before the peer's Close was decoded.
        let clean = record.outcome().is_some_and(|outcome| outcome.is_clean()) && !self.lied;
        if record.shape != Shape::Whole || record.round_trip || !clean {
            return;
        }
        let (sent, read) = (&self.out.sent, &self.source.read);
        let answered = |(_, pong): &(u64, Vec<u8>)| sent.pings.iter().any(|(_, ping)| ping == pong);
        let closing = record.closing.map_or(u64::MAX, |(at, _)| at);
        if read.pongs.iter().any(|pong| pong.0 < closing && answered(pong)) {
            fail!(
                "6 round trip",
                "endpoint {} has read a Pong to its Ping, but no round trip is known",
                self.end
            );
        }
    }

    /// Checks that a Close that answers a Close has the same code and the same reason.
    fn check_answer(&self) {
        let (end, sent, read) = (self.end, &self.out.sent, &self.source.read);
        let (Some((answered, answer)), Some((asked, close))) = (&sent.close, &read.close) else { return };
        let failed = sent.close_code().is_some_and(|code| matches!(code, 1002 | 1007..=1011));
        if self.record.asked_to_close || answered < asked || failed || close.is_empty() {
            return;
        }
        let idle = is_for_idleness(answer);
        if answer.get(..2) != close.get(..2) && !idle {
            fail!("25 answer", "endpoint {end} answers a Close of {close:?} with {answer:?}");
        }
        if answer != close && !idle {
            fail!("25 reason", "endpoint {end} answers a Close of {close:?} with {answer:?}");
        }
    }

    /// Returns whether this endpoint has read its peer's Close and written its own.
    pub const fn has_crossed(&self) -> bool {
        self.out.sent.close.is_some() && self.source.read.close.is_some()
    }
}

/// Returns whether the body of a Close says that the connection was idle.
fn is_for_idleness(body: &[u8]) -> bool {
    body.get(2..) == Some(b"idle for too long")
}

pub fn ms(nanos: u64) -> String {
    format!("{:?}", Duration::from_nanos(nanos))
}
