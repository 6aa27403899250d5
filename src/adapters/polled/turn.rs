//! How much one connection does before other tasks have their turn.
//!
//! A turn is bounded by work and not by reads alone: a read of 16 KiB can hold thousands of Pings or tiny messages. Once
//! the turn is over, what is queued is written, timers are looked at and the task yields.

use crate::Counters;

/// The most reads in one turn.
const MOST_READS: u8 = 16;

/// The most frames that are taken in.
const MOST_FRAMES: u64 = 1024;

/// The most bytes that are taken in.
const MOST_BYTES: u64 = 512 << 10;

/// The most bytes that are inflated: 16 KiB on the wire can come to 16 MiB.
pub(super) const MOST_INFLATED: u32 = 256 << 10;

/// What is left of a turn.
#[derive(Debug)]
pub(super) struct Turn {
    /// It is over once the counters of what was received are here.
    until_frames: u64,
    until_bytes: u64,
    reads: u8,
    /// The task has yielded, and is polled for the next turn.
    yielded: bool,
}

impl Turn {
    /// A turn begins, when so much has been `received` altogether.
    pub(super) const fn new(received: Counters) -> Self {
        Self {
            until_frames: received.frames.saturating_add(MOST_FRAMES),
            until_bytes: received.bytes.saturating_add(MOST_BYTES),
            reads: 0,
            yielded: false,
        }
    }

    /// Whether the turn is over, as so much has been `received` altogether.
    #[inline(always)]
    pub(super) const fn is_over(&self, received: Counters) -> bool {
        received.frames >= self.until_frames || received.bytes >= self.until_bytes
    }

    /// Whether there have been as many reads as one turn may have.
    #[inline(always)]
    pub(super) const fn has_read_enough(&self) -> bool {
        self.reads >= MOST_READS
    }

    /// Some bytes were read.
    pub(super) const fn count_read(&mut self) {
        self.reads = self.reads.saturating_add(1);
    }

    /// A new turn begins.
    pub(super) const fn renew(&mut self, received: Counters) {
        *self = Self::new(received);
    }

    /// Whether the task has yielded since the turn was over: a new one begins. Otherwise it is to yield now.
    pub(super) const fn has_yielded(&mut self) -> bool {
        core::mem::replace(&mut self.yielded, true)
    }
}
