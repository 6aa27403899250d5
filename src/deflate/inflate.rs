//! Decompression (RFC 7692 section 7.2.2).

use core::fmt;

use zlib_rs::{Inflate, InflateFlush, Status};

use super::TAIL;
use super::history::History;

/// So many bytes at the end of a message are inflated together with what is appended to them.
const LAST: usize = 1000;
/// So many bytes are put behind [`TAIL`].
const GUARD: usize = 20;

/// The decompressor of one direction: payloads of frames in, data of messages out.
///
/// All blocks that DEFLATE has may occur, final ones (BFINAL) too: what follows one goes on where it ended,
/// and may reach back behind it, as RFC 7692 section 7.2.3.4 has it. zlib forgets its window there, so a
/// copy of it is kept here, which grows with what has come up to the size agreed on.
///
/// About 48 KB are allocated for the first message, and the copy of the window; [`release`](Self::release)
/// gives back all but the copy.
pub struct Inflater {
    /// None before the first message, and after [`Self::release`].
    zlib: Option<Inflate>,
    history: History,
    takeover: bool,
    /// The last output was full: there may be more.
    full: bool,
    /// How much of [`TAIL`] has been taken in.
    tail: usize,
}

/// What a call to [`Inflater::inflate`] has done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Step {
    /// The bytes of input that were taken in.
    pub consumed: usize,
    /// The bytes of output that were written. As many as there was room for: there may be more.
    pub produced: usize,
}

/// What a call to [`Inflater::finish`] has done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Finished {
    /// How far it has come.
    pub step: Step,
    /// The message has ended. If not, there was not enough room.
    pub done: bool,
}

/// The data is not DEFLATE (RFC 1951), or the message does not end where a block ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InvalidDeflate {
    /// The bytes of output that were written before it showed.
    pub produced: usize,
}

impl fmt::Display for InvalidDeflate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a compressed message that cannot be inflated (RFC 7692 7.2.2): the peer is at fault")
    }
}

impl core::error::Error for InvalidDeflate {}

impl Inflater {
    /// For a peer that compresses with a window of `window_bits`, 8 to 15, and that takes its context over
    /// from message to message or not (RFC 7692 sections 7.1.1 and 7.1.2). Allocates nothing yet.
    ///
    /// What a peer sends that has a larger window than agreed on may be decoded or refused.
    #[must_use]
    pub const fn new(window_bits: u8, takeover: bool) -> Self {
        let window_bits = if window_bits > 15 { 15 } else { window_bits };
        Self { zlib: None, history: History::new(window_bits), takeover, full: false, tail: 0 }
    }

    /// Inflates `input`, the next bytes of a message's payload, to the front of `output`, until either is
    /// used up. Where the output is full, call again, with what is left of the input even if that is nothing.
    ///
    /// # Errors
    ///
    /// [`InvalidDeflate`]: fail the connection (RFC 7692 section 7.2.2 with RFC 6455 section 7.1.7), with 1007 say, and use this
    /// no more.
    pub fn inflate(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, InvalidDeflate> {
        let mut done = Step::default();
        let end = loop {
            let from = input.get(done.consumed..).unwrap_or_default();
            let to = output.get_mut(done.produced..).unwrap_or_default();
            let (status, step) = self.step(from, to, InflateFlush::NoFlush);
            done.consumed += step.consumed;
            done.produced += step.produced;
            match status {
                // RFC 7692 7.2.3.4: a final block is one like others; the next begins with a byte of its own.
                Some(Status::StreamEnd) => self.go_on(),
                Some(_) if step == Step::default() => break Ok(done),
                Some(_) if done.consumed == input.len() || done.produced == output.len() => break Ok(done),
                Some(_) => {}
                None => break Err(InvalidDeflate { produced: done.produced }),
            }
        };
        self.full = done.produced == output.len();
        end
    }

    /// Inflates `input`, the last bytes of a message's payload, which may be none, to the front of `output`, and
    /// ends the message if there is room for all of it. If not, call again, with what is left of the input.
    ///
    /// # Errors
    ///
    /// As [`Self::inflate`].
    pub fn finish(&mut self, input: &[u8], output: &mut [u8]) -> Result<Finished, InvalidDeflate> {
        // The end of the input is put in front of what the receiver appends: in two pieces it takes longer.
        let (front, back) = input.split_at_checked(input.len().saturating_sub(LAST)).unwrap_or_default();
        let mut step = Step::default();
        if !front.is_empty() || self.full {
            step = self.inflate(front, output)?;
        }
        if step.consumed < front.len() || self.full {
            return Ok(Finished { step, done: false });
        }
        let to = output.get_mut(step.produced..).unwrap_or_default();
        let last = self
            .finish_last(back, to)
            .map_err(|error| InvalidDeflate { produced: step.produced + error.produced })?;
        step.consumed += last.step.consumed;
        step.produced += last.step.produced;
        Ok(Finished { step, done: last.done })
    }

    fn finish_last(&mut self, input: &[u8], output: &mut [u8]) -> Result<Finished, InvalidDeflate> {
        // RFC 7692 7.2.2: the receiver appends 00 00 FF FF. Behind that there are bytes that no message reaches
        // which ends where a block does, and with which zlib does not go to the end of its input, where it is slow.
        let mut bytes = [0; LAST + TAIL.len() + GUARD];
        let tail = TAIL.get(self.tail..).unwrap_or_default();
        let end = input.len() + tail.len();
        for (to, from) in bytes.iter_mut().zip(input.iter().chain(tail)) {
            *to = *from;
        }
        let bytes = bytes.get(..end + GUARD).unwrap_or_default();
        let mut done = Step::default();
        let outcome = loop {
            let from = bytes.get(done.consumed..).unwrap_or_default();
            let to = output.get_mut(done.produced..).unwrap_or_default();
            let (status, step) = self.step(from, to, InflateFlush::Block);
            done.consumed += step.consumed;
            done.produced += step.produced;
            // What was appended is an empty block, and no data.
            let beyond = done.consumed > input.len() && step.produced > 0 || done.consumed > end;
            if status.is_none() || beyond {
                break Err(InvalidDeflate { produced: done.produced });
            }
            if status == Some(Status::StreamEnd) {
                self.go_on();
            }
            if done.consumed == end {
                break Ok(true);
            }
            if done.produced == output.len() {
                break Ok(false);
            }
        };
        let ended = outcome?;
        self.tail += done.consumed.saturating_sub(input.len());
        done.consumed = done.consumed.min(input.len());
        self.full = !ended;
        if ended {
            self.end_message();
        }
        Ok(Finished { step: done, done: ended })
    }

    fn end_message(&mut self) {
        self.tail = 0;
        if !self.takeover {
            // RFC 7692 7.1.1: the next message begins with an empty window.
            self.history.clear();
            if let Some(zlib) = &mut self.zlib {
                zlib.reset(false);
            }
        }
    }

    /// Between messages: gives back all memory but a copy of the window, as far as that has been filled and
    /// the next message may refer to it. The next message allocates again.
    pub fn release(&mut self) {
        self.zlib = None;
        self.history.shrink();
    }

    /// Whether [`Self::release`] would give nothing back.
    #[must_use]
    pub const fn is_released(&self) -> bool {
        self.zlib.is_none()
    }

    /// Between messages without context takeover: for a peer with another window.
    pub(super) fn set_window_bits(&mut self, window_bits: u8) {
        self.history.resize(window_bits);
    }

    /// One call of the decompressor; no status if the data is bad.
    fn step(&mut self, input: &[u8], output: &mut [u8], flush: InflateFlush) -> (Option<Status>, Step) {
        let zlib = self.zlib.get_or_insert_with(|| restored(Inflate::new(false, 15), &self.history));
        let before = (zlib.total_in(), zlib.total_out());
        let status = zlib.decompress(input, output, flush).ok();
        let step = Step {
            consumed: difference(zlib.total_in(), before.0, input.len()),
            produced: difference(zlib.total_out(), before.1, output.len()),
        };
        self.history.push(output.get(..step.produced).unwrap_or_default());
        (status, step)
    }

    /// Begins anew behind a final block, with the same window.
    fn go_on(&mut self) {
        if let Some(mut zlib) = self.zlib.take() {
            zlib.reset(false);
            self.zlib = Some(restored(zlib, &self.history));
        }
    }
}

/// `zlib`, which is new, with what has come before as its window.
fn restored(mut zlib: Inflate, history: &History) -> Inflate {
    for part in history.parts() {
        // Without a header of its own, any data will do as a window.
        let result = zlib.set_dictionary(part);
        debug_assert!(result.is_ok());
    }
    zlib
}

/// How far a counter has come in one call, which moves it by `most` at most.
fn difference(now: u64, before: u64, most: usize) -> usize {
    usize::try_from(now.wrapping_sub(before)).map_or(most, |moved| moved.min(most))
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater")
            .field("takeover", &self.takeover)
            .field("released", &self.is_released())
            .finish_non_exhaustive()
    }
}
