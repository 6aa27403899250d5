//! Decompression of messages (RFC 7692 section 7.2.2).
//!
//! [`Inflater`] wraps zlib for one direction. It finds the exact end of a message, handles final blocks, and can stop
//! after a number of blocks. The caller handles frames, limits on messages and UTF-8.
//!
//! Terms: the tail is the bytes 00 00 FF FF, which the sender removes from the end of a message. The window is the
//! recent data to which later data may refer.
//!
//! Fast path: a message of at most [`SMALL_MESSAGE_LEN`] bytes is copied into a buffer. The tail and some padding are
//! appended to the copy, and the whole buffer is inflated in one pass. The padding is needed because zlib is slow near
//! the end of its input. If the message may be invalid, the result is discarded. The slow path then inflates the
//! message again, and finds the exact position of the error.
//!
//! Invariants:
//! - `window_copy` contains all recent data that was returned, up to the size of the window. So zlib can be freed and
//!   restored between messages, and at final blocks.
//! - The data and the position of an error are the same, however the input is divided. They are also the same for every
//!   size of the output and every limit on blocks.

use core::fmt;

use zlib_rs::{Inflate, InflateFlush, Status};

use super::TAIL;
use super::window_copy::WindowCopy;

/// Messages of at most this many bytes are inflated in one pass.
const SMALL_MESSAGE_LEN: usize = 1000;
/// The number of input bytes after the message that zlib needs to use its fast loop.
const FAST_LOOP_PADDING: usize = 16;

/// The decompressor of one direction: converts frame payloads into message data.
///
/// Messages may contain all kinds of DEFLATE blocks, including final blocks (BFINAL, RFC 7692 section 7.2.3.4). Data
/// after a final block may refer to data before it. But zlib clears its window at a final block. So the inflater keeps
/// a copy of the window, which grows with the data up to the agreed size.
///
/// The first message allocates about 47 KiB, and the copy of the window. [`release`](Self::release) frees all memory
/// except the copy.
pub struct Inflater {
    /// The decompressor of zlib. `None` before the first message and after [`Self::release`].
    zlib: Option<Inflate>,
    /// The copy of the window.
    window_copy: WindowCopy,
    /// Whether a message may refer to earlier messages.
    takeover: bool,
    /// Whether the last call filled its output, so that zlib may hold more output.
    output_full: bool,
    /// Whether a message has begun and has not ended.
    in_message: bool,
}

/// The progress of a call to [`Inflater::inflate`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Step {
    /// The number of input bytes that were consumed.
    pub consumed: usize,
    /// The number of output bytes that were written. If the output is full, there may be more output.
    pub produced: usize,
    /// The number of DEFLATE blocks that ended before the last consumed byte. The count is complete only if the call
    /// had a limit on blocks.
    pub(crate) blocks: u32,
}

impl Step {
    /// Returns this progress without the consumed bytes that were appended to `input`.
    fn within(self, input: &[u8]) -> Self {
        Self { consumed: self.consumed.min(input.len()), ..self }
    }

    /// Adds the progress of the next call.
    const fn add(&mut self, next: Self) {
        self.consumed += next.consumed;
        self.produced += next.produced;
        self.blocks = self.blocks.saturating_add(next.blocks);
    }
}

/// The progress of a call to [`Inflater::finish`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Finished {
    /// The progress of the call.
    pub step: Step,
    /// Whether the message has ended. If not, the output was too small.
    pub done: bool,
}

/// The error for data that is not valid DEFLATE (RFC 1951), or for a message that does not end at the end of a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct InvalidDeflate {
    /// The number of output bytes that were written before the error.
    pub produced: usize,
}

impl fmt::Display for InvalidDeflate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a compressed message cannot be inflated (RFC 7692 7.2.2): fail the connection and correct the peer")
    }
}

impl core::error::Error for InvalidDeflate {}

impl Inflater {
    /// Returns a decompressor for a peer that compresses with a window of `window_bits`, from 8 to 15. `takeover` says
    /// whether a message may refer to earlier messages (RFC 7692 sections 7.1.1 and 7.1.2).
    ///
    /// This function does not allocate. If the peer uses a larger window than the agreed window, its messages may be
    /// inflated or refused.
    #[must_use]
    pub const fn new(window_bits: u8, takeover: bool) -> Self {
        let window_bits = if window_bits > 15 { 15 } else { window_bits };
        Self {
            zlib: None,
            window_copy: WindowCopy::new(window_bits),
            takeover,
            output_full: false,
            in_message: false,
        }
    }

    /// Inflates `input`, the next bytes of a message's payload, into the front of `output`. Stops when the input is
    /// consumed or the output is full.
    ///
    /// If the output is full, call this method again with the rest of the input, even if the rest is empty.
    ///
    /// # Errors
    ///
    /// [`InvalidDeflate`] if the data is not valid DEFLATE. Fail the connection, for example with close code 1007 (RFC
    /// 7692 section 7.2.2, RFC 6455 section 7.1.7). Do not use the decompressor after an error.
    pub fn inflate(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, InvalidDeflate> {
        self.inflate_within(input, output, None)
    }

    /// Inflates like [`Self::inflate`], but stops once `max_blocks` blocks have ended, even if input and output space
    /// are left. `max_blocks` is at least one.
    ///
    /// A limit on the output is not enough to limit the work. Even an empty block takes up to 5 µs, because its tables
    /// are built, and because the window is copied after a final block.
    pub(crate) fn inflate_within(
        &mut self,
        input: &[u8],
        output: &mut [u8],
        max_blocks: Option<u32>,
    ) -> Result<Step, InvalidDeflate> {
        self.in_message = true;
        let mut done = Step::default();
        // With `Block`, zlib stops at the end of each block, so that the blocks can be counted. Each stop costs time,
        // so `Block` is used only if blocks are limited. After a stop, zlib must read earlier data from its window
        // instead of from the output. The cost is 1 % for a message of 16 KiB, and 12 % for 64 KiB in blocks of 7 KiB.
        let mut flush = if max_blocks.is_some() { InflateFlush::Block } else { InflateFlush::NoFlush };
        let end = loop {
            let from = input.get(done.consumed..).unwrap_or_default();
            let to = output.get_mut(done.produced..).unwrap_or_default();
            let (input_left, space) = (from.len(), to.len());
            let (status, step) = self.inflate_and_record(from, to, flush);
            done.add(step);
            match status {
                // RFC 7692 7.2.3.4: a message may continue after a final block. The next block begins at a byte
                // boundary.
                Some(Status::StreamEnd) => self.continue_after_final_block(),
                Some(_) if flush == InflateFlush::NoFlush || step.produced == space && space > 0 => {
                    break Ok(done);
                }
                // Without output space, blocks without output can still follow. Stop only if nothing was consumed.
                Some(_) if space == 0 && step.consumed == 0 => break Ok(done),
                // The input may have ended at the end of a block, and its last byte may contain the first bits of the
                // next block. These bits may be invalid. Process them now, so that an error is reported at the same
                // byte as in a call without a limit.
                Some(_) if step.consumed == input_left => {
                    flush = InflateFlush::NoFlush;
                    continue;
                }
                Some(_) => {}
                None => break Err(InvalidDeflate { produced: done.produced }),
            }
            // After a final block, one call of zlib consumes and produces nothing. This call does not count as a block.
            done.blocks = done.blocks.saturating_add(u32::from(step != Step::default()));
            if done.consumed < input.len() && max_blocks.is_some_and(|max_blocks| done.blocks >= max_blocks) {
                break Ok(done);
            }
        };
        self.output_full = done.produced == output.len();
        end
    }

    /// Inflates `input`, the last bytes of a message's payload, into the front of `output`. Ends the message if the
    /// output is large enough. `input` may be empty.
    ///
    /// If [`Finished::done`] is `false`, call this again with the rest of the input.
    ///
    /// # Errors
    ///
    /// [`InvalidDeflate`] if the data is not valid DEFLATE, or if the message does not end at the end of a block. Fail
    /// the connection, and do not use the decompressor after an error.
    pub fn finish(&mut self, input: &[u8], output: &mut [u8]) -> Result<Finished, InvalidDeflate> {
        self.finish_within(input, output, None)
    }

    /// Ends a message like [`Self::finish`], with a limit on blocks like [`Self::inflate_within`]. If the limit stops
    /// the call, [`Finished::done`] is `false`, although output space may be left.
    pub(crate) fn finish_within(
        &mut self,
        input: &[u8],
        output: &mut [u8],
        max_blocks: Option<u32>,
    ) -> Result<Finished, InvalidDeflate> {
        let mut done = Step::default();
        // If the fast path fails, the slow path repeats the work with a window from `window_copy`. So the whole window
        // of zlib must be in `window_copy`.
        let can_repeat = !self.in_message && self.window_copy.is_largest() && !output.is_empty();
        if can_repeat && input.len() <= SMALL_MESSAGE_LEN {
            match self.inflate_small(input, output, max_blocks) {
                Some(finished) if finished.done || self.output_full => return Ok(finished),
                Some(Finished { step, .. }) => done = step,
                // The message may be invalid. Inflate it again on the slow path, to find the position of the error.
                None => self.zlib = None,
            }
        }
        let from = input.get(done.consumed..).unwrap_or_default();
        let to = output.get_mut(done.produced..).unwrap_or_default();
        let max_blocks = max_blocks.map(|max_blocks| max_blocks.saturating_sub(done.blocks));
        if !from.is_empty() && max_blocks == Some(0) {
            return Ok(Finished { step: done, done: false });
        }
        if !from.is_empty() || self.output_full {
            let step = self.inflate_within(from, to, max_blocks).map_err(|InvalidDeflate { produced }| {
                InvalidDeflate { produced: done.produced + produced }
            })?;
            done.add(step);
        }
        if done.consumed < input.len() {
            return Ok(Finished { step: done, done: false });
        }
        // RFC 7692 7.2.2: the receiver appends 00 00 FF FF. In a valid message these bytes end exactly at the end of a
        // block. zlib stops at the end of the block, and does not consume the byte after the tail. The tail produces no
        // data, so it gets no output space.
        let [a, b, c, d] = TAIL;
        let (bytes, mut taken) = ([a, b, c, d, 0], 0);
        while taken < TAIL.len() {
            let rest = bytes.get(taken..).unwrap_or_default();
            let (status, step) = self.call_zlib(rest, &mut [], InflateFlush::Block);
            if status.is_some() && step.consumed == 0 && taken == 0 && self.output_full {
                // There is more output, but no output space.
                return Ok(Finished { step: done, done: false });
            }
            taken += step.consumed;
            if status.is_none() || step.consumed == 0 || taken > TAIL.len() {
                return Err(InvalidDeflate { produced: done.produced });
            }
        }
        // Two more errors are possible. zlib may hold more output, because it consumes a whole match before it needs
        // output space. Or the codes of an unfinished block may have continued into the appended bytes.
        let (status, step) = self.call_zlib(&[], &mut [0], InflateFlush::Block);
        if status.is_none() || step.produced > 0 {
            return Err(InvalidDeflate { produced: done.produced });
        }
        if status == Some(Status::StreamEnd) {
            self.continue_after_final_block();
        }
        self.end_message();
        Ok(Finished { step: done, done: true })
    }

    /// Inflates a whole small message in one pass: the fast path in the documentation of this file.
    ///
    /// Returns `None` if the message may be invalid. In this case the content of `output` is unspecified.
    fn inflate_small(
        &mut self,
        input: &[u8],
        output: &mut [u8],
        max_blocks: Option<u32>,
    ) -> Option<Finished> {
        let mut bytes = [0; SMALL_MESSAGE_LEN + TAIL.len() + FAST_LOOP_PADDING];
        bytes.get_mut(..input.len())?.copy_from_slice(input);
        let end = input.len() + TAIL.len();
        bytes.get_mut(input.len()..end)?.copy_from_slice(&TAIL);
        let bytes = bytes.get(..end + FAST_LOOP_PADDING)?;
        let mut done = Step::default();
        let (ended, status) = loop {
            let from = bytes.get(done.consumed..).unwrap_or_default();
            let to = output.get_mut(done.produced..).unwrap_or_default();
            let (status, step) = self.call_zlib(from, to, InflateFlush::Block);
            let status = status?;
            done.add(step);
            // The appended bytes are the end of an empty block. If they produce data, the message did not end before
            // them.
            let beyond = done.consumed > end || done.consumed > input.len() && step.produced > 0;
            // The codes of an unfinished block may also continue into the appended bytes. An empty block has at most
            // one byte more than the tail.
            let run_on = done.consumed == end && step.consumed > 1 + TAIL.len();
            if beyond || run_on || step == Step::default() && status != Status::StreamEnd {
                return None;
            }
            let ended = done.consumed == end;
            done.blocks += u32::from(!ended && step != Step::default());
            let stops = max_blocks.is_some_and(|max_blocks| done.blocks >= max_blocks);
            if ended || done.produced == output.len() || status == Status::StreamEnd || stops {
                break (ended, status);
            }
        };
        if !ended && done.consumed > input.len() {
            return None;
        }
        self.in_message = true;
        self.output_full = done.produced == output.len();
        self.window_copy.push(output.get(..done.produced).unwrap_or_default());
        if status == Status::StreamEnd {
            self.continue_after_final_block();
        }
        if ended {
            self.end_message();
        }
        Some(Finished { step: done.within(input), done: ended })
    }

    /// Ends a message.
    fn end_message(&mut self) {
        (self.in_message, self.output_full) = (false, false);
        if !self.takeover {
            // RFC 7692 7.1.1: without context takeover the next message begins with an empty window.
            self.window_copy.clear();
            if let Some(zlib) = &mut self.zlib {
                zlib.reset(false);
            }
        }
    }

    /// Frees all memory except recent data that the next message may refer to. Does nothing inside a message. The next
    /// message allocates the memory again.
    pub fn release(&mut self) {
        if self.can_release() {
            self.zlib = None;
            self.window_copy.shrink();
        }
    }

    /// Returns whether [`Self::release`] would free memory.
    #[must_use]
    pub const fn can_release(&self) -> bool {
        self.zlib.is_some() && !self.in_message
    }

    /// Changes the size of the window. The caller does this only between messages without context takeover.
    pub(super) fn set_window_bits(&mut self, window_bits: u8) {
        self.window_copy.resize(window_bits);
    }

    /// Calls zlib once, and records the output in `window_copy`. Returns no status if the data is invalid.
    fn inflate_and_record(
        &mut self,
        input: &[u8],
        output: &mut [u8],
        flush: InflateFlush,
    ) -> (Option<Status>, Step) {
        let (status, step) = self.call_zlib(input, output, flush);
        self.window_copy.push(output.get(..step.produced).unwrap_or_default());
        (status, step)
    }

    /// Calls zlib once. Returns no status if the data is invalid.
    fn call_zlib(&mut self, input: &[u8], output: &mut [u8], flush: InflateFlush) -> (Option<Status>, Step) {
        let zlib =
            self.zlib.get_or_insert_with(|| restore_window(Inflate::new(false, 15), &self.window_copy));
        let before = (zlib.total_in(), zlib.total_out());
        let status = zlib.decompress(input, output, flush).ok();
        let step = Step {
            consumed: counter_difference(zlib.total_in(), before.0, input.len()),
            produced: counter_difference(zlib.total_out(), before.1, output.len()),
            blocks: 0,
        };
        (status, step)
    }

    /// Continues after a final block with the same window.
    fn continue_after_final_block(&mut self) {
        if let Some(mut zlib) = self.zlib.take() {
            zlib.reset(false);
            self.zlib = Some(restore_window(zlib, &self.window_copy));
        }
    }
}

/// Returns `zlib`, which must be new or reset, with the content of the copy as its window.
fn restore_window(mut zlib: Inflate, window_copy: &WindowCopy) -> Inflate {
    for part in window_copy.parts() {
        // `set_dictionary` appends to the window. Raw DEFLATE has no checksum of the window, so any data is accepted.
        let result = zlib.set_dictionary(part);
        debug_assert!(result.is_ok());
    }
    zlib
}

/// Returns by how much a counter of zlib increased in one call, which is at most `max`.
fn counter_difference(now: u64, before: u64, max: usize) -> usize {
    usize::try_from(now.wrapping_sub(before)).map_or(max, |moved| moved.min(max))
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater")
            .field("takeover", &self.takeover)
            .field("in_message", &self.in_message)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::deflate::{Compression, Deflater};

    /// Inflates messages in pieces of `piece` bytes, with `space` bytes of output space and `max_blocks` blocks in each
    /// call. Returns the data of the messages, and whether the last message was valid.
    fn run(
        messages: &[Vec<u8>],
        piece: usize,
        space: usize,
        max_blocks: Option<u32>,
        release: bool,
    ) -> (Vec<Vec<u8>>, bool) {
        let (mut inflater, mut space) = (Inflater::new(15, true), std::vec![0; space]);
        let mut all = Vec::new();
        for message in messages {
            let mut data = Vec::new();
            let mut rest = &message[..];
            loop {
                let len = piece.min(rest.len());
                let last = len == rest.len();
                let result = if last {
                    inflater.finish_within(rest, &mut space, max_blocks)
                } else {
                    let step = inflater.inflate_within(&rest[..len], &mut space, max_blocks);
                    step.map(|step| Finished { step, done: false })
                };
                match result {
                    Ok(Finished { step, done }) => {
                        data.extend_from_slice(&space[..step.produced]);
                        rest = &rest[step.consumed..];
                        let stopped = max_blocks.is_some_and(|max_blocks| step.blocks == max_blocks)
                            && step.consumed < len;
                        assert!(max_blocks.is_none_or(|max_blocks| step.blocks <= max_blocks), "{step:?}");
                        assert!(
                            done || step.produced == space.len() || !last || stopped,
                            "the output is not full and the message is not done"
                        );
                        if done {
                            assert!(rest.is_empty());
                            break;
                        }
                    }
                    Err(error) => {
                        data.extend_from_slice(&space[..error.produced]);
                        all.push(data);
                        return (all, false);
                    }
                }
            }
            all.push(data);
            if release {
                inflater.release();
            }
        }
        (all, true)
    }

    /// Compresses messages that refer to each other. Then changes, removes or appends some bytes of the last message.
    #[test]
    fn an_error_is_reported_at_the_same_byte_for_any_division_of_the_input() {
        let mut random = 7_u64;
        let mut below = |bound: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as usize % bound
        };
        let (mut failed, mut passed) = (0, 0);
        for round in 0..160 {
            let level = [0, 1, 4, 9][round % 4];
            let mut deflater = Deflater::new(15, true, &Compression { level, ..Compression::new() });
            let mut messages: Vec<Vec<u8>> = (0..3)
                .map(|_| {
                    let len = [0, 5, 60, 900, 6000][below(5)];
                    let data: Vec<u8> =
                        (0..len).map(|_| b"abcdefgh"[below(8)] ^ (below(9) / 8) as u8).collect();
                    let (first, rest) = data.split_at(below(len + 1));
                    let mut payload = Vec::new();
                    deflater.deflate(first, false, &mut payload);
                    deflater.deflate(rest, true, &mut payload);
                    payload
                })
                .collect();
            let last = messages.last_mut().unwrap();
            match below(5) {
                0 => last.truncate(below(last.len() + 1)),
                1 => last.extend_from_slice(&[0, 0, 0xFF, 0xFF][..1 + below(4)]),
                2 => {}
                _ => {
                    let at = below(last.len());
                    last[at] ^= 1 << below(8);
                }
            }
            let whole = run(&messages, usize::MAX, 1 << 16, None, false);
            *if whole.1 { &mut passed } else { &mut failed } += 1;
            for (piece, space) in
                [(1, 1), (1, 1 << 16), (2, 3), (17, 1 << 16), (999, 100), (1000, 1), (usize::MAX, 7)]
            {
                for (max_blocks, release) in [(None, false), (None, true), (Some(1), false), (Some(2), true)]
                {
                    let run = run(&messages, piece, space, max_blocks, release);
                    assert_eq!(
                        run, whole,
                        "round {round}, pieces of {piece}, space for {space}, {max_blocks:?} blocks, {release}"
                    );
                }
            }
        }
        assert!(failed > 30, "{failed} failed");
        assert!(passed > 30, "{passed} passed");
    }
}
