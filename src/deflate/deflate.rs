//! Compression (RFC 7692 section 7.2.1).

use core::fmt;
use core::time::Duration;
use std::vec::Vec;

use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Method, Status, Strategy};

use super::TAIL;
use super::history::History;

/// Up to so many bytes a message is compressed in one go.
const AT_ONCE: usize = 64 << 10;

/// Bytes of a longer message that are compressed before the rest is looked at: as many as the largest window holds, so
/// that data which repeats itself at any distance within the window is seen to do so.
const TRIAL: usize = 32 << 10;

/// Room for output that is not needed.
const DRAINED_AT_ONCE: usize = 4 << 10;

/// Bits of the window that is restored after a message went out uncompressed: 2 KiB.
///
/// Measured with JSON and random bytes in turns, level 4. With an empty window after each message of random bytes, JSON of
/// 180 bytes comes to 65 % of its length. With the last 2 KiB it comes to 31 %, with the last 32 KiB to 28 %. The copy of
/// 2 KiB is restored in 4 microseconds, that of 32 KiB in 64; to compress the JSON takes 7.
const CONTEXT_BITS: u8 = 11;

/// How messages are compressed.
///
/// ```
/// use hybi::Config;
/// use hybi::deflate::Compression;
///
/// static CONFIG: Config = Config::new().compression(Compression { level: 1, ..Compression::new() });
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Compression {
    /// From 0, which makes nothing shorter, over 1, the fastest, to 9, the smallest (a larger number counts as 9).
    /// At level 0 whole messages go out uncompressed.
    pub level: u8,
    /// How much memory is taken beside the window, 1 to 9 (others count as the nearest).
    pub memory_level: u8,
    /// Messages of less than so many bytes go out as they are, and so do longer ones that compression does not make
    /// shorter. The fragments of a message that is sent in fragments are compressed in any case.
    pub min_size: usize,
    /// After how long without data in either direction a connection gives back what it compresses and
    /// inflates with, but for what the peer may refer to; `None` never. The next message begins with an empty
    /// window.
    pub release_after: Option<Duration>,
}

impl Compression {
    /// Level 4, memory level 5, messages of 64 bytes and more, and memory given back after a minute.
    #[must_use]
    pub const fn new() -> Self {
        Self { level: 4, memory_level: 5, min_size: 64, release_after: Some(Duration::from_secs(60)) }
    }

    pub(super) fn level_and_memory(&self) -> (u8, u8) {
        (self.level.min(9), self.memory_level.clamp(1, 9))
    }
}

impl Default for Compression {
    fn default() -> Self {
        Self::new()
    }
}

/// The compressor of one direction: data of messages in, payloads of frames out.
pub struct Deflater {
    zlib: Deflate,
    made_for: MadeFor,
    takeover: bool,
    /// What the next message begins with.
    start: Start,
    in_message: bool,
    /// The end of what has been compressed and sent, kept from the first message on that was not sent compressed.
    /// zlib takes nothing out of its window again and does not give it out.
    context: Option<History>,
}

/// The window that a message begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Start {
    /// That of the message before.
    Kept,
    /// An empty one.
    Empty,
    /// `Deflater::context`, as zlib's window holds a message that the peer's inflater has not seen.
    Restored,
}

/// What cannot be changed in a compressor: the bits of its window, level and memory level.
pub(super) type MadeFor = (u8, u8, u8);

impl Deflater {
    /// For a window of `window_bits`, 8 to 15, that is taken over from message to message or not (RFC 7692
    /// sections 7.1.1 and 7.1.2). Allocates from 134 KiB to 483 KiB.
    #[must_use]
    pub fn new(window_bits: u8, takeover: bool, compression: &Compression) -> Self {
        let made_for @ (window_bits, level, memory_level) = Self::made_for(window_bits, compression);
        let config = DeflateConfig {
            level: level.into(),
            method: Method::Deflated,
            // Negative for no header.
            window_bits: -i32::from(window_bits),
            mem_level: memory_level.into(),
            strategy: Strategy::Default,
        };
        let zlib = Deflate::new_with_config(config);
        Self { zlib, made_for, takeover, start: Start::Kept, in_message: false, context: None }
    }

    pub(super) fn made_for(window_bits: u8, compression: &Compression) -> MadeFor {
        let (level, memory_level) = compression.level_and_memory();
        // zlib cannot do 8. With 9 it refers no further back than 250 bytes, as it keeps 262 in front.
        (window_bits.clamp(9, 15), level, memory_level)
    }

    pub(super) const fn is_made_for(&self) -> MadeFor {
        self.made_for
    }

    /// Compresses `data`, a message or, without `fin`, the next fragment of one, and appends the payload of
    /// its frame to `out`. It can be inflated as soon as it has arrived, whether more fragments follow or
    /// not. Data that does not compress becomes longer, by a quarter and 64 bytes at most.
    pub fn deflate(&mut self, data: &[u8], fin: bool, out: &mut Vec<u8>) {
        self.begin();
        self.in_message = !fin;
        let start = out.len();
        self.sync_flush(data, out, usize::MAX);
        if fin {
            cut_tail(out, start);
        }
        self.remember(data);
    }

    /// Compresses a whole message if that makes it shorter, and appends the payload of its frame to `out`.
    ///
    /// Returns whether it did. If not, send the message uncompressed, with RSV1 = 0 (RFC 7692 section 6.1): `out` is as it
    /// was, and the next message that is compressed does not refer to this one, which does not enter the peer's window.
    /// Between the fragments of a message nothing is done, and `false` returned.
    ///
    /// ```
    /// use hybi::deflate::{Compression, Deflater};
    ///
    /// let mut deflater = Deflater::new(15, true, &Compression::new());
    /// let mut payload = Vec::new();
    /// assert!(deflater.deflate_if_shorter(b"to and fro, to and fro", &mut payload));
    /// assert!(payload.len() < 22);
    /// assert!(!deflater.deflate_if_shorter(b"up", &mut payload));
    /// ```
    pub fn deflate_if_shorter(&mut self, message: &[u8], out: &mut Vec<u8>) -> bool {
        let (_, level, _) = self.made_for;
        // Nothing is shorter than an empty message, and level 0 only packs.
        if self.in_message || message.is_empty() || level == 0 {
            return false;
        }
        self.begin();
        let start = out.len();
        if self.deflate_within(message, out) {
            cut_tail(out, start);
            self.remember(message);
            true
        } else {
            out.truncate(start);
            self.drain(out);
            self.rewind();
            false
        }
    }

    /// The peer's window has taken in what did not come from here: the next message begins with an empty one,
    /// so that it refers to nothing (RFC 7692 section 7.2.1 leaves that to the sender).
    pub const fn forget(&mut self) {
        self.start = Start::Empty;
    }

    /// Prepares the window for a message, unless one is open.
    fn begin(&mut self) {
        if self.in_message {
            return;
        }
        // RFC 7692 7.1.1: without takeover, each message begins with an empty window.
        let next = if self.takeover { Start::Kept } else { Start::Empty };
        match core::mem::replace(&mut self.start, next) {
            Start::Kept => {}
            Start::Empty => {
                self.zlib.reset();
                if let Some(context) = &mut self.context {
                    context.clear();
                }
            }
            Start::Restored => {
                self.zlib.reset();
                for part in self.context.iter().flat_map(History::parts) {
                    // Without a header of its own, any data will do as a window.
                    let result = self.zlib.set_dictionary(part);
                    debug_assert!(result.is_ok());
                }
            }
        }
    }

    /// `data` has been compressed and goes out so.
    fn remember(&mut self, data: &[u8]) {
        if let Some(context) = &mut self.context {
            context.push(data);
        }
    }

    /// Takes out of zlib what it has not given out of a message that was given up. `Deflate::reset` of zlib-rs 0.6 does
    /// not drop all of it, and panics later.
    fn drain(&mut self, out: &mut Vec<u8>) {
        let start = out.len();
        out.resize(start + DRAINED_AT_ONCE, 0);
        let to = out.get_mut(start..).unwrap_or_default();
        loop {
            let before = self.zlib.total_out();
            let status = self.zlib.compress(&[], to, DeflateFlush::SyncFlush);
            let full = self.zlib.total_out() - before == DRAINED_AT_ONCE as u64;
            if !full || !matches!(status, Ok(Status::Ok)) {
                break;
            }
        }
        out.truncate(start);
    }

    /// The message that was compressed last does not go out so.
    fn rewind(&mut self) {
        if self.takeover {
            let (window_bits, ..) = self.made_for;
            self.context.get_or_insert_with(|| History::new(window_bits.min(CONTEXT_BITS)));
            self.start = Start::Restored;
        }
    }

    /// Compresses a message that is not empty, as long as the result may be shorter; whether it is.
    fn deflate_within(&mut self, message: &[u8], out: &mut Vec<u8>) -> bool {
        let start = out.len();
        // The tail is cut off in the end.
        let most = start + message.len() + TAIL.len() - 1;
        if message.len() <= AT_ONCE {
            return self.sync_flush(message, out, most);
        }
        // To compress 16 MiB that do not compress takes 600 ms at level 4, to see it by their beginning 1 ms. For the
        // rest, which may be of another kind, the distribution of some of its bytes is asked.
        let (trial, rest) = message.split_at_checked(TRIAL).unwrap_or_default();
        self.sync_flush(trial, out, most)
            && (out.len() - start < TRIAL - TRIAL / 16 || !is_evenly_distributed(rest))
            && self.sync_flush(rest, out, most)
    }

    /// Appends what `data` is compressed to, up to a boundary of bytes and blocks, as long as `out` does not become
    /// longer than `most`; whether all of it was.
    fn sync_flush(&mut self, data: &[u8], out: &mut Vec<u8>, most: usize) -> bool {
        let mut rest = data;
        // Text comes to less than half as a rule. But where the end of a flush does not fit, zlib writes it again:
        // small messages have room for all that they may come to.
        let mut room = if data.len() <= AT_ONCE { data.len() + data.len() / 4 } else { data.len() / 2 } + 64;
        loop {
            let at = out.len();
            // One byte too many shows that it is too long.
            room = room.min(most.saturating_sub(at).saturating_add(1));
            out.resize(at + room, 0);
            let to = out.get_mut(at..).unwrap_or_default();
            let before = (self.zlib.total_in(), self.zlib.total_out());
            let status = self.zlib.compress(rest, to, DeflateFlush::SyncFlush);
            let used = usize::try_from(self.zlib.total_in() - before.0).unwrap_or(rest.len());
            let made = usize::try_from(self.zlib.total_out() - before.1).unwrap_or(room).min(room);
            rest = rest.get(used..).unwrap_or_default();
            out.truncate(at + made);
            // Nothing else can go wrong: the parameters are right, and there is room.
            debug_assert!(status.is_ok());
            if out.len() > most {
                return false;
            }
            let going = matches!(status, Ok(Status::Ok));
            if !going || made < room && rest.is_empty() {
                return true;
            }
            room = (rest.len() + 64).max(out.len() - at);
        }
    }
}

/// Takes off what a message ends with, of the payload that begins at `start`.
fn cut_tail(out: &mut Vec<u8>, start: usize) {
    // RFC 7692 7.2.1: without the 00 00 FF FF that the flush ends with. Where there was nothing to flush
    // (7.2.3.6), what is left of an empty block is one byte.
    match out.get(start..).and_then(|payload| payload.strip_suffix(&TAIL)) {
        Some(payload) => out.truncate(start + payload.len()),
        None => out.push(0),
    }
}

/// Whether all values are about as frequent among bytes from everywhere in `data`, as in data that is compressed or
/// encrypted already.
fn is_evenly_distributed(data: &[u8]) -> bool {
    const SAMPLES: usize = 16;
    const SAMPLE: usize = 256;
    let mut counts = [0_u32; 256];
    for part in data.chunks((data.len() / SAMPLES).max(1)) {
        for byte in part.iter().take(SAMPLE) {
            if let Some(count) = counts.get_mut(usize::from(*byte)) {
                *count += 1;
            }
        }
    }
    let total: u64 = counts.iter().map(|count| u64::from(*count)).sum();
    let squares: u64 = counts.iter().map(|count| u64::from(*count).pow(2)).sum();
    // What random bytes come to, on average. JPEG has 7 % more, base64 four times as much, text ten times.
    let even = total * total / 256 + total;
    squares <= even + even / 8
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (window_bits, level, memory_level) = self.made_for;
        f.debug_struct("Deflater")
            .field("window_bits", &window_bits)
            .field("level", &level)
            .field("memory_level", &memory_level)
            .field("takeover", &self.takeover)
            .finish_non_exhaustive()
    }
}
