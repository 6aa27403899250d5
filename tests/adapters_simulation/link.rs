//! One direction of the connection between two ends: bytes in order, with a capacity, a latency, an end and a reset.

use std::collections::VecDeque;

use crate::tap::Tap;

/// How a link behaves.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// So many bytes may be on their way or wait to be read.
    pub capacity: usize,
    /// How long a byte is on its way, in nanoseconds; and up to how much longer.
    pub latency: u64,
    pub jitter: u64,
    /// How long it takes until the writer learns that bytes were read.
    pub acknowledged: u64,
    /// The writer is woken once so much is free.
    pub low_water: usize,
}

/// Bytes on their way from one end to the other.
#[derive(Debug)]
pub struct Link {
    pub habits: Habits,
    bytes: VecDeque<u8>,
    /// When how many more of them arrive.
    arrivals: VecDeque<(u64, usize)>,
    /// How many have arrived and were not read.
    readable: usize,
    /// How many were read, while the writer does not know.
    freed: usize,
    /// When what was written last arrives.
    latest: u64,
    /// When the end arrives.
    fin: Option<u64>,
    fin_arrived: bool,
    /// The reader was told of the end, or of a reset.
    end_told: bool,
    /// What is written is lost, without a word.
    dead: bool,
    /// A reset has reached the reader.
    pub reset: bool,
    /// A reset has reached the writer.
    pub broken: bool,
    /// The reader has closed its stream.
    pub reader_gone: bool,
    /// The writer has shut down its half.
    pub shut_down: bool,
    /// The frames that were put on the link, and those that the reader has taken off.
    pub sent: Tap,
    pub read: Tap,
}

impl Link {
    pub fn new(habits: Habits, skips_head: bool) -> Self {
        Self {
            habits,
            bytes: VecDeque::new(),
            arrivals: VecDeque::new(),
            readable: 0,
            freed: 0,
            latest: 0,
            fin: None,
            fin_arrived: false,
            end_told: false,
            dead: false,
            reset: false,
            broken: false,
            reader_gone: false,
            shut_down: false,
            sent: Tap::new(skips_head),
            read: Tap::new(skips_head),
        }
    }

    /// How much may be written now.
    pub fn room(&self) -> usize {
        self.habits.capacity.saturating_sub(self.bytes.len() + self.freed)
    }

    /// Whether the writer can go on: it would be woken, or told of a reset.
    pub fn is_writable(&self) -> bool {
        self.broken || self.room() >= self.habits.low_water.max(1)
    }

    /// Whether a read does not wait.
    pub const fn is_ready(&self) -> bool {
        self.readable > 0 || self.fin_arrived || self.reset
    }

    /// Whether there is something that the reader does not know.
    pub const fn is_readable(&self) -> bool {
        self.readable > 0 || (self.fin_arrived || self.reset) && !self.end_told
    }

    /// How many bytes can be read.
    pub const fn readable(&self) -> usize {
        self.readable
    }

    /// Whether the end of the stream, or a reset, has arrived.
    pub const fn has_ended(&self) -> bool {
        self.fin_arrived || self.reset
    }

    /// Whether the reader knows of the end, or of a reset.
    pub const fn knows_end(&self) -> bool {
        self.end_told
    }

    /// The reader is told of the end, or of a reset.
    pub const fn tell_end(&mut self) {
        self.end_told = true;
    }

    /// When something written now arrives.
    pub fn arrival(&mut self, now: u64, jitter: u64) -> u64 {
        self.latest = self.latest.max(now + self.habits.latency + jitter);
        self.latest
    }

    /// Takes bytes, for which there is room; gives when they arrive.
    pub fn write(&mut self, now: u64, jitter: u64, bytes: &[u8]) -> Option<u64> {
        self.sent.take(now, bytes);
        self.bytes.extend(bytes);
        if self.dead {
            return None;
        }
        let at = self.arrival(now, jitter);
        self.arrivals.push_back((at, bytes.len()));
        Some(at)
    }

    /// The writer has no more to say; gives when the reader hears of it.
    pub fn finish(&mut self, now: u64, jitter: u64) -> Option<u64> {
        if self.dead || self.fin.is_some() {
            return None;
        }
        let at = self.arrival(now, jitter);
        self.fin = Some(at);
        Some(at)
    }

    /// What is due arrives: how many bytes, and whether the end is among it.
    pub fn arrive(&mut self, now: u64) -> (usize, bool) {
        let mut len = 0;
        while let Some((_, more)) = self.arrivals.front().copied().filter(|(at, _)| *at <= now) {
            self.arrivals.pop_front();
            len += more;
        }
        self.readable += len;
        let ended = !self.fin_arrived && self.fin.is_some_and(|at| at <= now);
        self.fin_arrived |= ended;
        if self.reader_gone {
            // Nobody learns of room there: the writer is told of a reset.
            self.bytes.drain(..len);
            (self.readable, self.freed) = (0, self.freed + len);
        }
        (len, ended)
    }

    /// Reads what has arrived, as far as there is space.
    pub fn read(&mut self, now: u64, space: &mut [u8]) -> usize {
        let len = self.readable.min(space.len());
        let (first, second) = self.bytes.as_slices();
        let split = first.len().min(len);
        space[..split].copy_from_slice(&first[..split]);
        space[split..len].copy_from_slice(&second[..len - split]);
        self.bytes.drain(..len);
        self.readable -= len;
        self.freed += len;
        self.read.take(now, &space[..len]);
        len
    }

    /// The writer learns what was read.
    pub const fn acknowledge(&mut self) {
        self.freed = 0;
    }

    /// Nothing arrives before that time.
    pub fn stall(&mut self, until: u64) -> Option<u64> {
        for (at, _) in &mut self.arrivals {
            *at = (*at).max(until);
        }
        self.latest = self.latest.max(until);
        if !self.fin_arrived {
            self.fin = self.fin.map(|at| at.max(until));
        }
        (!self.arrivals.is_empty() || self.fin.is_some()).then_some(until)
    }

    /// Nothing arrives any more.
    pub fn die(&mut self) {
        self.dead = true;
        self.arrivals.clear();
        if !self.fin_arrived {
            self.fin = None;
        }
    }

    /// The reader is told of a reset; with `harsh` what it has not read is lost.
    pub fn break_reader(&mut self, harsh: bool) {
        self.reset = true;
        self.arrivals.clear();
        if harsh {
            self.readable = 0;
        }
        // Nobody learns of room there: the writer is told of a reset.
        self.freed += self.bytes.len() - self.readable;
        self.bytes.truncate(self.readable);
    }
}
