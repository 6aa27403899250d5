//! One direction of the network, called a pipe. It may delay bytes, divide them into other pieces, or lose them. It
//! never changes bytes.
//!
//! `world.rs` decides when bytes are sent, delayed or lost. A pipe only keeps their order and their times of
//! arrival.

use std::collections::VecDeque;
use std::time::Duration;

use hybi::Instant;

/// Bytes in flight, in order.
#[derive(Debug, Default)]
pub struct Pipe {
    segments: VecDeque<(Instant, Vec<u8>)>,
    /// Number of bytes of the first segment that were read.
    read: usize,
    /// Number of bytes that are in flight or wait to be read.
    in_flight: usize,
    /// Time of arrival of the last segment.
    latest: Instant,
    /// Time of arrival of the end of the stream.
    end: Option<Instant>,
    /// True if everything that is sent is lost silently.
    dead: bool,
}

impl Pipe {
    /// Sends bytes that arrive after `delay`, and never before bytes that were sent earlier.
    pub fn send(&mut self, now: Instant, bytes: Vec<u8>, delay: Duration) {
        if !self.dead && self.end.is_none() && !bytes.is_empty() {
            self.latest = self.latest.max(now + delay);
            self.in_flight += bytes.len();
            self.segments.push_back((self.latest, bytes));
        }
    }

    /// Ends the stream after the bytes in flight.
    pub fn finish(&mut self, now: Instant, delay: Duration) {
        if !self.dead {
            self.latest = self.latest.max(now + delay);
            self.end.get_or_insert(self.latest);
        }
    }

    /// Drops the bytes in flight, and reports the end of the stream to the reader.
    pub fn reset(&mut self, now: Instant) {
        self.lose();
        if !self.dead {
            self.end = Some(now);
        }
    }

    /// Drops the bytes in flight. From now on everything that is sent is lost silently.
    pub fn die(&mut self) {
        self.lose();
        (self.dead, self.end) = (true, None);
    }

    /// Delays everything in flight.
    pub fn stall(&mut self, by: Duration) {
        for (at, _) in &mut self.segments {
            *at = *at + by;
        }
        self.latest = self.latest + by;
        self.end = self.end.map(|end| end + by);
    }

    /// Drops the bytes in flight.
    fn lose(&mut self) {
        self.segments.clear();
        (self.read, self.in_flight) = (0, 0);
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Reads up to `most` bytes that have arrived, across segments.
    pub fn read(&mut self, now: Instant, most: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some((_, segment)) =
            self.segments.front().filter(|(at, _)| *at <= now && bytes.len() < most)
        {
            let rest = &segment[self.read..];
            let len = rest.len().min(most - bytes.len());
            bytes.extend_from_slice(&rest[..len]);
            self.read += len;
            if self.read == segment.len() {
                self.read = 0;
                self.segments.pop_front();
            }
        }
        self.in_flight -= bytes.len();
        bytes
    }

    /// Returns whether everything was read and the end of the stream has arrived.
    pub fn has_ended(&self, now: Instant) -> bool {
        self.segments.is_empty() && self.end.is_some_and(|end| end <= now)
    }

    /// Returns the next time of arrival, which may have passed.
    pub fn next_arrival(&self) -> Option<Instant> {
        self.segments.front().map(|(at, _)| *at).or(self.end)
    }
}
