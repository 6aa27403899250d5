//! One direction of the connection between two endpoints: bytes in order, with a capacity, a latency, an end of stream
//! and a reset.
//!
//! A link knows nothing about frames or time: its caller passes the time and schedules the events. Two [`Tap`]s
//! decode the frames that are written and read. `stream.rs` adds the behavior of a stream on top.

use std::collections::VecDeque;

use crate::tap::Tap;

/// The behaviour of a link.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// Maximum number of bytes that were written and not read yet.
    pub capacity: usize,
    /// Latency of a byte, in nanoseconds.
    pub latency: u64,
    /// Maximum additional latency, in nanoseconds.
    pub jitter: u64,
    /// Time until the writer learns that bytes were read, in nanoseconds.
    pub acknowledged: u64,
    /// The writer is woken when this many bytes are free.
    pub low_water: usize,
}

/// Bytes in flight from one endpoint to the other.
#[derive(Debug)]
pub struct Link {
    pub habits: Habits,
    bytes: VecDeque<u8>,
    /// The bytes that will arrive: the time of each arrival, and the number of bytes.
    arrivals: VecDeque<(u64, usize)>,
    /// Number of bytes that have arrived and were not read.
    readable: usize,
    /// Number of bytes that were read, and whose space the writer cannot use yet.
    freed: usize,
    /// Time of arrival of the last written byte.
    latest: u64,
    /// Time at which the end of the stream arrives.
    fin: Option<u64>,
    fin_arrived: bool,
    /// The reader has seen the end, or a reset.
    end_seen: bool,
    /// Everything that is written is lost silently.
    dead: bool,
    /// A reset has reached the reader.
    pub reset: bool,
    /// A reset has reached the writer.
    pub broken: bool,
    /// The reader has closed its stream.
    pub reader_gone: bool,
    /// The writer has shut down its half.
    pub shut_down: bool,
    /// The frames that were written to the link.
    pub sent: Tap,
    /// The frames that were read from the link.
    pub read: Tap,
}

/// Returns the time at which an endpoint last sent or read data. The endpoint sends on `out`, and reads from `source`.
pub fn last_data(out: &Link, source: &Link) -> u64 {
    out.sent.data_at.max(source.read.data_at).unwrap_or(0)
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
            end_seen: false,
            dead: false,
            reset: false,
            broken: false,
            reader_gone: false,
            shut_down: false,
            sent: Tap::new(skips_head),
            read: Tap::new(skips_head),
        }
    }

    /// Returns the number of bytes that can be written now.
    pub fn space_left(&self) -> usize {
        self.habits.capacity.saturating_sub(self.bytes.len() + self.freed)
    }

    /// Returns whether a waiting writer would be woken, because there is space or because of a reset.
    pub fn is_writable(&self) -> bool {
        self.broken || self.space_left() >= self.habits.low_water.max(1)
    }

    /// Returns whether a read returns at once.
    pub const fn is_ready(&self) -> bool {
        self.readable > 0 || self.fin_arrived || self.reset
    }

    /// Returns whether there are bytes, an end or a reset that the reader has not seen.
    pub const fn is_readable(&self) -> bool {
        self.readable > 0 || (self.fin_arrived || self.reset) && !self.end_seen
    }

    /// Returns the number of bytes that can be read.
    pub const fn readable(&self) -> usize {
        self.readable
    }

    /// Returns whether the end of the stream, or a reset, has arrived.
    pub const fn has_ended(&self) -> bool {
        self.fin_arrived || self.reset
    }

    /// Returns whether the reader has seen the end, or a reset.
    pub const fn knows_end(&self) -> bool {
        self.end_seen
    }

    /// Records that the reader has seen the end, or a reset.
    pub const fn see_end(&mut self) {
        self.end_seen = true;
    }

    /// Returns the time at which a byte that is written now arrives.
    pub fn arrival(&mut self, now: u64, jitter: u64) -> u64 {
        self.latest = self.latest.max(now + self.habits.latency + jitter);
        self.latest
    }

    /// Writes bytes. The caller has checked that there is space. Returns their time of arrival, or `None` if they are
    /// lost.
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

    /// Ends the writer's half. Returns the time at which the end arrives, or `None` if the end is lost or the half has
    /// ended before.
    pub fn finish(&mut self, now: u64, jitter: u64) -> Option<u64> {
        if self.dead || self.fin.is_some() {
            return None;
        }
        let at = self.arrival(now, jitter);
        self.fin = Some(at);
        Some(at)
    }

    /// Delivers the bytes that are due. Returns their number, and whether the stream ends now.
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
            // The reader is gone, so the writer gets no more space. The writer will see a reset.
            self.bytes.drain(..len);
            (self.readable, self.freed) = (0, self.freed + len);
        }
        (len, ended)
    }

    /// Reads bytes that have arrived into `space`. Returns their number.
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

    /// Frees the space of the bytes that were read.
    pub const fn acknowledge(&mut self) {
        self.freed = 0;
    }

    /// Delays everything in flight until `until`. Returns the time at which the reader must be woken, or `None`.
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

    /// Loses everything in flight and everything that is written later.
    pub fn die(&mut self) {
        self.dead = true;
        self.arrivals.clear();
        if !self.fin_arrived {
            self.fin = None;
        }
    }

    /// Delivers a reset to the reader. With `harsh` its unread bytes are lost.
    pub fn break_reader(&mut self, harsh: bool) {
        self.reset = true;
        self.arrivals.clear();
        if harsh {
            self.readable = 0;
        }
        // The writer gets no more space, and will see a reset.
        self.freed += self.bytes.len() - self.readable;
        self.bytes.truncate(self.readable);
    }
}
