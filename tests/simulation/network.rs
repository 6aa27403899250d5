//! One direction of the network.

use std::collections::VecDeque;
use std::time::Duration;

use hybi::Instant;

/// Bytes on their way, in order. It never changes them.
#[derive(Debug, Default)]
pub struct Pipe {
    segments: VecDeque<(Instant, Vec<u8>)>,
    /// How much of the first of them is read.
    read: usize,
    /// How much is on its way, or waits to be read.
    in_flight: usize,
    /// When what was sent last arrives.
    latest: Instant,
    /// When the end of the stream arrives.
    end: Option<Instant>,
    /// All that is sent is lost, without a word.
    dead: bool,
}

impl Pipe {
    pub fn send(&mut self, now: Instant, bytes: Vec<u8>, delay: Duration) {
        if !self.dead && self.end.is_none() && !bytes.is_empty() {
            self.latest = self.latest.max(now + delay);
            self.in_flight += bytes.len();
            self.segments.push_back((self.latest, bytes));
        }
    }

    /// The writer has no more to send.
    pub fn finish(&mut self, now: Instant, delay: Duration) {
        if !self.dead {
            self.latest = self.latest.max(now + delay);
            self.end.get_or_insert(self.latest);
        }
    }

    /// What is on its way is lost, and the reader is told of the end.
    pub fn reset(&mut self, now: Instant) {
        self.lose();
        if !self.dead {
            self.end = Some(now);
        }
    }

    pub fn die(&mut self) {
        self.lose();
        (self.dead, self.end) = (true, None);
    }

    /// Nothing arrives for so long.
    pub fn stall(&mut self, by: Duration) {
        for (at, _) in &mut self.segments {
            *at = *at + by;
        }
        self.latest = self.latest + by;
        self.end = self.end.map(|end| end + by);
    }

    fn lose(&mut self) {
        self.segments.clear();
        (self.read, self.in_flight) = (0, 0);
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Up to `most` of the bytes that have arrived, those of several segments in one.
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

    /// Whether all was read and the end has come.
    pub fn has_ended(&self, now: Instant) -> bool {
        self.segments.is_empty() && self.end.is_some_and(|end| end <= now)
    }

    /// When something arrives next, or has arrived.
    pub fn next_arrival(&self) -> Option<Instant> {
        self.segments.front().map(|(at, _)| *at).or(self.end)
    }
}
