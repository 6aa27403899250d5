//! Decompression (RFC 7692 section 7.2.2).

use core::fmt;

use zlib_rs::{Inflate, InflateFlush, Status};

use super::TAIL;
use super::history::History;

/// Up to so many bytes a message is inflated at once.
const SMALL: usize = 1000;
/// With at least so many bytes of input before it zlib is fast.
const FAST: usize = 16;

/// The decompressor of one direction: payloads of frames in, data of messages out.
///
/// All blocks that DEFLATE has may occur, final ones (BFINAL, RFC 7692 section 7.2.3.4) too: what follows one
/// may reach back behind it. zlib forgets its window there, so a copy of it is kept here, which grows with
/// what has come up to the size agreed on.
///
/// About 47 KiB are allocated for the first message, and the copy of the window; [`release`](Self::release)
/// gives back all but the copy.
pub struct Inflater {
    /// None before the first message, and after [`Self::release`].
    zlib: Option<Inflate>,
    history: History,
    takeover: bool,
    /// The last output was full: there may be more.
    full: bool,
    in_message: bool,
}

/// What a call to [`Inflater::inflate`] has done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Step {
    /// The bytes of input that were taken in.
    pub consumed: usize,
    /// The bytes of output that were written. As many as there was room for: there may be more.
    pub produced: usize,
    /// How many DEFLATE blocks ended before the last byte that was taken in. Counted where their number is limited.
    pub(crate) blocks: u32,
}

impl Step {
    /// Without what was appended to `input`.
    fn within(self, input: &[u8]) -> Self {
        Self { consumed: self.consumed.min(input.len()), ..self }
    }

    /// Adds what the next call has done.
    const fn add(&mut self, next: Self) {
        self.consumed += next.consumed;
        self.produced += next.produced;
        self.blocks = self.blocks.saturating_add(next.blocks);
    }
}

/// What a call to [`Inflater::finish`] has done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Finished {
    /// How far it has come.
    pub step: Step,
    /// The message has ended. If not, there was not enough room.
    pub done: bool,
}

/// The data is not DEFLATE (RFC 1951), or the message does not end where a block ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
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
        Self { zlib: None, history: History::new(window_bits), takeover, full: false, in_message: false }
    }

    /// Inflates `input`, the next bytes of a message's payload, to the front of `output`, until either is
    /// used up. Where the output is full, call again, with what is left of the input even if that is nothing.
    ///
    /// # Errors
    ///
    /// [`InvalidDeflate`]: fail the connection (RFC 7692 section 7.2.2 with RFC 6455 section 7.1.7), with
    /// 1007 say, and use this no more.
    pub fn inflate(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, InvalidDeflate> {
        self.inflate_within(input, output, None)
    }

    /// Does what [`Self::inflate`] does, and stops before the end of the input once `most` blocks have ended, which is at
    /// least one. Then there may be room for more output.
    ///
    /// A block costs time even where it is empty, up to 5 us: its tables are built, and behind a final block the window
    /// is copied. So a limit on the output alone does not limit the work.
    pub(crate) fn inflate_within(
        &mut self,
        input: &[u8],
        output: &mut [u8],
        most: Option<u32>,
    ) -> Result<Step, InvalidDeflate> {
        self.in_message = true;
        let mut done = Step::default();
        // zlib stops at the end of each block if it is asked to, and only a limit asks: it costs 1 % of a message of 16 KiB,
        // and 12 % of 64 KiB in blocks of 7 KiB, because what lies in front of a call's output is copied from the window.
        let mut flush = if most.is_some() { InflateFlush::Block } else { InflateFlush::NoFlush };
        let end = loop {
            let from = input.get(done.consumed..).unwrap_or_default();
            let to = output.get_mut(done.produced..).unwrap_or_default();
            let (input_left, room) = (from.len(), to.len());
            let (status, step) = self.step(from, to, flush);
            done.add(step);
            match status {
                // RFC 7692 7.2.3.4: a final block is one like others; the next begins with a byte of its own.
                Some(Status::StreamEnd) => self.go_on(),
                Some(_) if flush == InflateFlush::NoFlush || step.produced == room && room > 0 => {
                    break Ok(done);
                }
                // Without any room there may still be blocks that need none.
                Some(_) if room == 0 && step.consumed == 0 => break Ok(done),
                // The input may have ended with a block. Of the next block some bits are there, which may be wrong: that
                // has to show at the same byte with a limit and without.
                Some(_) if step.consumed == input_left => {
                    flush = InflateFlush::NoFlush;
                    continue;
                }
                Some(_) => {}
                None => break Err(InvalidDeflate { produced: done.produced }),
            }
            // That a final block is one shows in a call of its own, which moves nothing.
            done.blocks = done.blocks.saturating_add(u32::from(step != Step::default()));
            if done.consumed < input.len() && most.is_some_and(|most| done.blocks >= most) {
                break Ok(done);
            }
        };
        self.full = done.produced == output.len();
        end
    }

    /// Inflates `input`, the last bytes of a message's payload, which may be none, to the front of `output`,
    /// and ends the message if there is room for all of it. If not, call again, with what is left of the
    /// input.
    ///
    /// # Errors
    ///
    /// As [`Self::inflate`].
    pub fn finish(&mut self, input: &[u8], output: &mut [u8]) -> Result<Finished, InvalidDeflate> {
        self.finish_within(input, output, None)
    }

    /// Does what [`Self::finish`] does, with a limit as [`Self::inflate_within`] has it. A message that was stopped is not
    /// done though there was room.
    pub(crate) fn finish_within(
        &mut self,
        input: &[u8],
        output: &mut [u8],
        most: Option<u32>,
    ) -> Result<Finished, InvalidDeflate> {
        let mut done = Step::default();
        // What goes wrong is done again from the history, which must be all that zlib knows.
        let at_once = !self.in_message && self.history.is_largest() && !output.is_empty();
        if at_once && input.len() <= SMALL {
            match self.at_once(input, output, most) {
                Some(finished) if finished.done || self.full => return Ok(finished),
                Some(Finished { step, .. }) => done = step,
                // Whatever is wrong, once more, to find where that shows.
                None => self.zlib = None,
            }
        }
        let from = input.get(done.consumed..).unwrap_or_default();
        let to = output.get_mut(done.produced..).unwrap_or_default();
        let most = most.map(|most| most.saturating_sub(done.blocks));
        if !from.is_empty() && most == Some(0) {
            return Ok(Finished { step: done, done: false });
        }
        if !from.is_empty() || self.full {
            let step = self.inflate_within(from, to, most).map_err(|InvalidDeflate { produced }| {
                InvalidDeflate { produced: done.produced + produced }
            })?;
            done.add(step);
        }
        if done.consumed < input.len() {
            return Ok(Finished { step: done, done: false });
        }
        // RFC 7692 7.2.2: the receiver appends 00 00 FF FF, and the end of that must be the end of a block: zlib
        // stops there, and takes in nothing of what stands behind it. It is no data, so there is no room for any.
        let [a, b, c, d] = TAIL;
        let (bytes, mut taken) = ([a, b, c, d, 0], 0);
        while taken < TAIL.len() {
            let rest = bytes.get(taken..).unwrap_or_default();
            let (status, step) = self.zlib(rest, &mut [], InflateFlush::Block);
            if status.is_some() && step.consumed == 0 && taken == 0 && self.full {
                // Something is left that has no room.
                return Ok(Finished { step: done, done: false });
            }
            taken += step.consumed;
            if status.is_none() || step.consumed == 0 || taken > TAIL.len() {
                return Err(InvalidDeflate { produced: done.produced });
            }
        }
        // Nor may any wait, as zlib takes in all of a match before it asks for room; nor may bits be left of a block
        // whose codes ran on into what was appended.
        let (status, step) = self.zlib(&[], &mut [0], InflateFlush::Block);
        if status.is_none() || step.produced > 0 {
            return Err(InvalidDeflate { produced: done.produced });
        }
        if status == Some(Status::StreamEnd) {
            self.go_on();
        }
        self.end_message();
        Ok(Finished { step: done, done: true })
    }

    /// As [`Self::finish`], for a whole message of a few bytes, which are put in front of what is appended to
    /// them: at the end of its input zlib is slow. `None` where anything is wrong, and nothing is known of
    /// the output then.
    fn at_once(&mut self, input: &[u8], output: &mut [u8], most: Option<u32>) -> Option<Finished> {
        let mut bytes = [0; SMALL + TAIL.len() + FAST];
        bytes.get_mut(..input.len())?.copy_from_slice(input);
        let end = input.len() + TAIL.len();
        bytes.get_mut(input.len()..end)?.copy_from_slice(&TAIL);
        let bytes = bytes.get(..end + FAST)?;
        let mut done = Step::default();
        let (ended, status) = loop {
            let from = bytes.get(done.consumed..).unwrap_or_default();
            let to = output.get_mut(done.produced..).unwrap_or_default();
            let (status, step) = self.zlib(from, to, InflateFlush::Block);
            let status = status?;
            done.add(step);
            // What is appended is the end of an empty block: where it gives data, the message has not ended.
            let beyond = done.consumed > end || done.consumed > input.len() && step.produced > 0;
            // Nor may the codes of a block run on into it: an empty one takes a byte at most besides.
            let run_on = done.consumed == end && step.consumed > 1 + TAIL.len();
            if beyond || run_on || step == Step::default() && status != Status::StreamEnd {
                return None;
            }
            let ended = done.consumed == end;
            done.blocks += u32::from(!ended && step != Step::default());
            let stops = most.is_some_and(|most| done.blocks >= most);
            if ended || done.produced == output.len() || status == Status::StreamEnd || stops {
                break (ended, status);
            }
        };
        if !ended && done.consumed > input.len() {
            return None;
        }
        self.in_message = true;
        self.full = done.produced == output.len();
        self.history.push(output.get(..done.produced).unwrap_or_default());
        if status == Status::StreamEnd {
            self.go_on();
        }
        if ended {
            self.end_message();
        }
        Some(Finished { step: done.within(input), done: ended })
    }

    fn end_message(&mut self) {
        (self.in_message, self.full) = (false, false);
        if !self.takeover {
            // RFC 7692 7.1.1: the next message begins with an empty window.
            self.history.clear();
            if let Some(zlib) = &mut self.zlib {
                zlib.reset(false);
            }
        }
    }

    /// Between messages: gives back all memory but a copy of the window, as far as that has been filled and
    /// the next message may refer to it. The next message allocates again. Within a message, nothing.
    pub fn release(&mut self) {
        if self.can_release() {
            self.zlib = None;
            self.history.shrink();
        }
    }

    /// Whether [`Self::release`] would give anything back.
    #[must_use]
    pub const fn can_release(&self) -> bool {
        self.zlib.is_some() && !self.in_message
    }

    /// Between messages without context takeover: for a peer with another window.
    pub(super) fn set_window_bits(&mut self, window_bits: u8) {
        self.history.resize(window_bits);
    }

    /// One call of the decompressor, whose output is for certain; no status if the data is bad.
    fn step(&mut self, input: &[u8], output: &mut [u8], flush: InflateFlush) -> (Option<Status>, Step) {
        let (status, step) = self.zlib(input, output, flush);
        self.history.push(output.get(..step.produced).unwrap_or_default());
        (status, step)
    }

    fn zlib(&mut self, input: &[u8], output: &mut [u8], flush: InflateFlush) -> (Option<Status>, Step) {
        let zlib = self.zlib.get_or_insert_with(|| restored(Inflate::new(false, 15), &self.history));
        let before = (zlib.total_in(), zlib.total_out());
        let status = zlib.decompress(input, output, flush).ok();
        let step = Step {
            consumed: difference(zlib.total_in(), before.0, input.len()),
            produced: difference(zlib.total_out(), before.1, output.len()),
            blocks: 0,
        };
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
            .field("in_message", &self.in_message)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::deflate::{Compression, Deflater};

    /// All that comes out of messages, the last of which may fail, cut in pieces and with so much room and so many
    /// blocks at a time.
    fn run(
        messages: &[Vec<u8>],
        piece: usize,
        room: usize,
        most: Option<u32>,
        release: bool,
    ) -> (Vec<Vec<u8>>, bool) {
        let (mut inflater, mut room) = (Inflater::new(15, true), std::vec![0; room]);
        let mut all = Vec::new();
        for message in messages {
            let mut data = Vec::new();
            let mut rest = &message[..];
            loop {
                let len = piece.min(rest.len());
                let last = len == rest.len();
                let result = if last {
                    inflater.finish_within(rest, &mut room, most)
                } else {
                    let step = inflater.inflate_within(&rest[..len], &mut room, most);
                    step.map(|step| Finished { step, done: false })
                };
                match result {
                    Ok(Finished { step, done }) => {
                        data.extend_from_slice(&room[..step.produced]);
                        rest = &rest[step.consumed..];
                        let stopped = most.is_some_and(|most| step.blocks == most) && step.consumed < len;
                        assert!(most.is_none_or(|most| step.blocks <= most), "{step:?}");
                        assert!(
                            done || step.produced == room.len() || !last || stopped,
                            "neither full nor done"
                        );
                        if done {
                            assert!(rest.is_empty());
                            break;
                        }
                    }
                    Err(error) => {
                        data.extend_from_slice(&room[..error.produced]);
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

    /// Payloads of messages that refer to each other, the last with some bytes changed, cut off or added.
    #[test]
    fn what_is_wrong_shows_at_the_same_byte_however_it_is_cut() {
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
            for (piece, room) in
                [(1, 1), (1, 1 << 16), (2, 3), (17, 1 << 16), (999, 100), (1000, 1), (usize::MAX, 7)]
            {
                for (most, release) in [(None, false), (None, true), (Some(1), false), (Some(2), true)] {
                    let run = run(&messages, piece, room, most, release);
                    assert_eq!(
                        run, whole,
                        "round {round}, pieces of {piece}, room for {room}, {most:?} blocks, {release}"
                    );
                }
            }
        }
        assert!(failed > 30, "{failed} failed");
        assert!(passed > 30, "{passed} passed");
    }
}
