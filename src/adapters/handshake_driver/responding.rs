//! Sending of a response other than 101, followed by a lingering close.
//!
//! If a socket is closed while it has unread input, the system sends a reset, and the peer may lose the response. A
//! lingering close therefore closes only the sending direction, and discards input for a short time before it closes
//! the stream.
//!
//! ```text
//!  write ──▶ flush ──▶ half-close ──▶ discard input ──▶ done
//!    └─────────┴─ too slow ─▶ error: TimedOut ────────────▲
//! ```
//!
//! [`Responding`] is this state machine.
//!
//! Two deadlines limit the writing. `stalled_at` is extended whenever the stream accepts bytes, so a slow reader gets a
//! response of any size. `write_until` is fixed, so a peer that reads one byte from time to time cannot hold the
//! connection forever. After the flush the response is in transit, and a third deadline, `discard_until`, ends the
//! discarding.

use core::time::Duration;
use std::io;
use std::prelude::v1::*;

use super::server::Settings;
use super::{HandshakeDriver, Outgoing, Step, StepResult};
use crate::Instant;
use crate::handshake::HttpResponse;

/// Maximum number of bytes that are read and discarded after a response.
const MAX_DISCARDED: usize = 64 << 10;
/// How long input is read and discarded after the response was flushed.
const DISCARD_TIME: Duration = Duration::from_secs(1);
/// The default time after which the sending of a response fails if the stream accepts no byte.
///
/// This timeout is longer than the other timeouts of a handshake. A full socket accepts no byte until a third of its
/// send buffer is free. In a measurement over loopback, the peer read 100 KiB/s. Linux let the buffer grow to 4 MiB,
/// and the socket then accepted no byte for 12 to 15 s at a time.
pub(super) const WRITE_STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// The minimum average rate at which the peer must read a response, in bytes a second.
const SLOWEST: u64 = 1024;

impl Settings {
    /// Returns the time after which the sending of a response other than 101 fails, if the stream accepts no byte.
    pub(super) fn write_timeout(&self) -> Duration {
        // A short handshake timeout also shortens this timeout. The minimum is needed for a response with status 408,
        // which is sent even after a very short handshake timeout has passed.
        self.timeout.map_or(WRITE_STALL_TIMEOUT, |timeout| timeout.clamp(DISCARD_TIME, WRITE_STALL_TIMEOUT))
    }
}

/// The sending of a response other than 101, as a state machine without I/O.
#[derive(Debug)]
pub(in crate::adapters) struct Responding {
    out: Outgoing,
    ending: Ending,
    /// The sending fails if the stream accepts no byte for this time.
    write_timeout: Duration,
    /// The deadline for the next progress: the time of the last progress plus `write_timeout`.
    stalled_at: Instant,
    /// The deadline for the whole response, if the peer reads at the rate [`SLOWEST`].
    write_until: Instant,
    /// The deadline for discarding input, once the response is flushed.
    discard_until: Instant,
    /// Space for the input that is read and discarded.
    scratch: Box<[u8]>,
    /// The reason why the response was not sent.
    error: Option<io::Error>,
}

/// The state of the lingering close.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ending {
    HalfClose,
    /// Discards input, at most this number of bytes.
    Discard(usize),
    Done,
}

impl Responding {
    /// Starts to send `response`. Fails if the response is invalid.
    pub(in crate::adapters) fn new(
        now: Instant,
        write_timeout: Duration,
        response: &HttpResponse<'_>,
    ) -> io::Result<Self> {
        let bytes = response.to_vec().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let at_slowest = u64::try_from(bytes.len()).map_or(u64::MAX, |len| len.div_ceil(SLOWEST));
        // The minimum of 1 ms ensures that the stream is called at least once before the deadline.
        let write_timeout = write_timeout.max(Duration::from_millis(1));
        Ok(Self {
            out: Outgoing::new(bytes),
            ending: Ending::HalfClose,
            write_timeout,
            stalled_at: now + write_timeout,
            write_until: now + write_timeout + Duration::from_secs(at_slowest),
            discard_until: now,
            scratch: std::vec![0; 2048].into(),
            error: None,
        })
    }

    /// Returns the result, after [`Step::Done`].
    pub(in crate::adapters) fn finish(self) -> io::Result<()> {
        self.error.map_or(Ok(()), Err)
    }

    /// Handles the result of a write, a flush or a wait. Ends with an error if a deadline has passed.
    fn handle_write(&mut self, now: Instant, did: &StepResult) {
        self.out.handle(did);
        match did {
            StepResult::Wrote(_) => self.stalled_at = now + self.write_timeout,
            StepResult::Flushed => {
                self.discard_until = now + DISCARD_TIME;
                return;
            }
            _ => {}
        }
        if self.deadline() <= now {
            self.error = Some(io::Error::new(
                io::ErrorKind::TimedOut,
                "the peer took too long to read the response and has not got all of it: raise the timeout for slow peers",
            ));
            self.ending = Ending::Done;
        }
    }

    /// Returns the reason why the response was not sent. Later calls return `None`.
    pub(super) fn take_error(&mut self) -> Option<io::Error> {
        self.error.take()
    }

    pub(super) fn is_done(&self) -> bool {
        self.ending == Ending::Done
    }

    fn deadline(&self) -> Instant {
        if self.out.is_done() {
            self.discard_until
        } else if self.out.is_written() {
            // A flush does not report its progress. A stream that buffers the whole response therefore gets the time
            // for the whole response.
            self.write_until.max(self.stalled_at)
        } else {
            self.write_until.min(self.stalled_at)
        }
    }
}

impl HandshakeDriver for Responding {
    fn poll_step(&mut self) -> Step<'_> {
        match self.ending {
            Ending::Done => Step::Done,
            _ if !self.out.is_done() => self.out.poll_step(),
            Ending::HalfClose => Step::HalfClose,
            Ending::Discard(_) => Step::Read(&mut self.scratch),
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        Some(self.deadline())
    }

    fn handle(&mut self, now: Instant, did: io::Result<StepResult>) {
        let late = self.out.is_done() && self.discard_until <= now;
        self.ending = match (self.ending, did) {
            // The response was sent completely, so a read error ends the lingering close like the end of the stream.
            (Ending::Discard(_), Err(_)) => Ending::Done,
            (_, Err(error)) => {
                self.error = Some(error);
                Ending::Done
            }
            (_, Ok(did)) if !self.out.is_done() => return self.handle_write(now, &did),
            (Ending::HalfClose, Ok(StepResult::HalfClosed(true))) => Ending::Discard(MAX_DISCARDED),
            (Ending::HalfClose, Ok(StepResult::HalfClosed(false)))
            | (Ending::Discard(_), Ok(StepResult::Read(0))) => Ending::Done,
            (Ending::Discard(left), Ok(StepResult::Read(n))) if left > n => Ending::Discard(left - n),
            (Ending::Discard(_), Ok(StepResult::Read(_))) => Ending::Done,
            (ending, Ok(_)) => ending,
        };
        if late {
            self.ending = Ending::Done;
        }
    }
}
