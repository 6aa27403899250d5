//! Compression of messages (RFC 7692 section 7.2.1).
//!
//! [`Deflater`] wraps zlib for one direction. Its output is the payload of a frame. The payload ends at a byte
//! boundary. The last payload of a message has no tail (the bytes 00 00 FF FF). The deflater also chooses the window
//! with which a message begins. The window is the recent data to which a message may refer. The caller handles frames,
//! and sets RSV1.
//!
//! Invariant: a message refers only to data in the window of the peer. If a message was compressed but is then sent
//! uncompressed, the window of zlib contains it, but the window of the peer does not. So the window of zlib is restored
//! from a [`WindowCopy`] before the next message.
//!
//! The next message begins with one of three windows:
//!
//! ```text
//!  Kept ──── message compressed and sent ─────▶ Kept (Empty without context takeover)
//!   │ └───── compressed, sent uncompressed ───▶ Restored
//!   └─────── forget ──────────────────────────▶ Empty
//!  Restored, Empty ── next message ───────────▶ Kept
//! ```

use core::fmt;
use core::time::Duration;
use std::vec::Vec;

use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Method, Status, Strategy};

use super::TAIL;
use super::window_copy::WindowCopy;
use crate::handshake::setters;

/// Messages of at most this many bytes are compressed in one pass.
const SINGLE_PASS_LEN: usize = 64 << 10;

/// The number of bytes at the start of a longer message that are compressed before the rest is examined.
///
/// The number is the size of the largest window. So repetitions are found at every distance that compression can use.
const TRIAL_LEN: usize = 32 << 10;

/// The size of the buffer for output that is discarded.
const DRAIN_LEN: usize = 4 << 10;

/// The window bits of the window that is restored after a message was sent uncompressed: 11 bits are 2 KiB.
///
/// Restoring a larger window would cost much time and make messages only a little shorter. The measurements were made
/// at level 4, with messages of JSON that alternate with messages of random bytes. With an empty window, JSON of 180
/// bytes is compressed to 65 % of its length. With the last 2 KiB it is compressed to 31 %, and with the last 32 KiB to
/// 28 %. Restoring 2 KiB takes 4 µs, and restoring 32 KiB takes 64 µs. Compressing the JSON takes 7 µs.
const RESTORED_WINDOW_BITS: u8 = 11;

/// The settings of compression.
///
/// ```
/// use hybi::Config;
/// use hybi::deflate::Compression;
///
/// static CONFIG: Config = Config::new().compression(Compression::new().level(1));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Compression {
    /// The compression level: 0 (no compression), 1 (fastest) to 9 (smallest). Larger values count as 9.
    ///
    /// At level 0 whole messages are sent uncompressed.
    pub level: u8,
    /// zlib's memory level, from 1 to 9: how much memory the compressor uses in addition to the window. A value outside
    /// this range counts as the nearest value in it.
    pub memory_level: u8,
    /// The minimum length in bytes of a message that is compressed. Shorter messages are sent uncompressed.
    ///
    /// A longer message is also sent uncompressed if compression does not make it shorter. A message that is
    /// sent in fragments is compressed whatever its length. Only
    /// [`SendOptions::compress`](crate::SendOptions::compress) of the first fragment turns this off.
    pub min_size: usize,
    /// The time without data in either direction after which a connection frees its compressor and decompressor. `None`
    /// means never.
    ///
    /// Received data is kept, as far as the peer may refer to it. Sent data is not kept, so the next sent message
    /// refers to no earlier message.
    pub release_after: Option<Duration>,
}

impl Compression {
    /// Returns the defaults: level 4, memory level 5, messages of at least 64 bytes, and release after one
    /// minute.
    #[must_use]
    pub const fn new() -> Self {
        Self { level: 4, memory_level: 5, min_size: 64, release_after: Some(Duration::from_secs(60)) }
    }

    setters! {
        "Returns these settings",
        level: u8,
        memory_level: u8,
        min_size: usize,
        release_after: Option<Duration>
    }

    /// Returns both levels, limited to their ranges.
    pub(super) fn level_and_memory(&self) -> (u8, u8) {
        (self.level.min(9), self.memory_level.clamp(1, 9))
    }
}

impl Default for Compression {
    fn default() -> Self {
        Self::new()
    }
}

/// The compressor of one direction: converts message data into frame payloads.
pub struct Deflater {
    /// The compressor of zlib.
    zlib: Deflate,
    /// The parameters with which `zlib` was created.
    parameters: Parameters,
    /// Whether a message may refer to earlier messages.
    takeover: bool,
    /// The window with which the next message begins.
    initial_window: WindowContent,
    /// Whether a fragmented message has begun and has not ended.
    in_message: bool,
    /// A copy of the last data that was compressed and sent. The copy is created when compression first fails to make a
    /// message shorter. The copy is needed because the safe functions of zlib-rs neither remove data from the window
    /// nor return the window.
    context: Option<WindowCopy>,
}

/// The window with which a message begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum WindowContent {
    /// The window after the previous message.
    Kept,
    /// An empty window.
    Empty,
    /// The window that is stored in `Deflater::context`. zlib's own window contains a message that the peer has not
    /// inflated.
    Restored,
}

/// The parameters that cannot be changed in a compressor: window bits, level and memory level.
pub(super) type Parameters = (u8, u8, u8);

impl Deflater {
    /// Returns a compressor for a window of `window_bits`, from 8 to 15. `takeover` says whether a message may refer to
    /// earlier messages (RFC 7692 sections 7.1.1 and 7.1.2).
    ///
    /// This function allocates 134 KiB to 483 KiB.
    #[must_use]
    pub fn new(window_bits: u8, takeover: bool, compression: &Compression) -> Self {
        let parameters @ (window_bits, level, memory_level) = Self::parameters_for(window_bits, compression);
        let config = DeflateConfig {
            level: level.into(),
            method: Method::Deflated,
            // A negative value means raw DEFLATE without a zlib header.
            window_bits: -i32::from(window_bits),
            mem_level: memory_level.into(),
            strategy: Strategy::Default,
        };
        let zlib = Deflate::new_with_config(config);
        Self {
            zlib,
            parameters,
            takeover,
            initial_window: WindowContent::Kept,
            in_message: false,
            context: None,
        }
    }

    /// Returns the parameters of a compressor with these settings.
    pub(super) fn parameters_for(window_bits: u8, compression: &Compression) -> Parameters {
        let (level, memory_level) = compression.level_and_memory();
        // zlib does not support 8 bits. With 9 bits its references reach back at most 250 bytes, because it reserves
        // 262 of the 512 bytes. So a peer with a window of 256 bytes can inflate the data.
        (window_bits.clamp(9, 15), level, memory_level)
    }

    /// Returns the parameters of this compressor.
    pub(super) const fn parameters(&self) -> Parameters {
        self.parameters
    }

    /// Compresses `data` and appends the payload of its frame to `out`.
    ///
    /// `data` is a whole message or the next fragment of a message. `fin` says whether this is the last fragment. The
    /// peer can inflate the payload as soon as it arrives. The payload is at most a quarter and 64 bytes longer than
    /// `data`.
    pub fn deflate(&mut self, data: &[u8], fin: bool, out: &mut Vec<u8>) {
        self.prepare_window();
        self.in_message = !fin;
        let start = out.len();
        self.sync_flush(data, out, usize::MAX);
        if fin {
            strip_tail(out, start);
        }
        self.record(data);
    }

    /// Compresses a whole message if compression makes it shorter. Appends the payload of its frame to `out` and
    /// returns true.
    ///
    /// If compression does not make the message shorter, returns false and leaves `out` unchanged. In this case the
    /// caller must send the message uncompressed, with RSV1 = 0 (RFC 7692 section 6.1). Later messages do not refer to
    /// a message that was sent uncompressed, because the window of the peer does not contain it. While a fragmented
    /// message is open, returns false and compresses nothing.
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
        let (_, level, _) = self.parameters;
        // No payload is shorter than an empty message, and level 0 does not compress.
        if self.in_message || message.is_empty() || level == 0 {
            return false;
        }
        self.prepare_window();
        let start = out.len();
        if self.deflate_while_shorter(message, out) {
            strip_tail(out, start);
            self.record(message);
            true
        } else {
            out.truncate(start);
            self.discard_pending_output(out);
            self.discard_message();
            false
        }
    }

    /// Empties the window before the next message, so that this message refers to no earlier data.
    ///
    /// Call this after the peer has received data that another compressor produced. Such data is in the window of the
    /// peer, but not in the window of this compressor. RFC 7692 section 7.2.1 leaves the choice of the window to the
    /// sender.
    pub const fn forget(&mut self) {
        self.initial_window = WindowContent::Empty;
    }

    /// Prepares the window for a message, unless a message is open.
    fn prepare_window(&mut self) {
        if self.in_message {
            return;
        }
        // RFC 7692 7.1.1: without context takeover each message begins with an empty window.
        let next = if self.takeover { WindowContent::Kept } else { WindowContent::Empty };
        match core::mem::replace(&mut self.initial_window, next) {
            WindowContent::Kept => {}
            WindowContent::Empty => {
                self.zlib.reset();
                if let Some(context) = &mut self.context {
                    context.clear();
                }
            }
            WindowContent::Restored => {
                self.zlib.reset();
                for part in self.context.iter().flat_map(WindowCopy::parts) {
                    // `set_dictionary` appends to the window. Raw DEFLATE has no checksum of the window, so any data is
                    // accepted.
                    let result = self.zlib.set_dictionary(part);
                    debug_assert!(result.is_ok());
                }
            }
        }
    }

    /// Appends `data`, which was compressed and will be sent, to the copy of the window.
    fn record(&mut self, data: &[u8]) {
        if let Some(context) = &mut self.context {
            context.push(data);
        }
    }

    /// Removes the pending output of a discarded message from zlib. `Deflate::reset` of zlib-rs 0.6 does not remove all
    /// of that output, which would cause a panic later.
    fn discard_pending_output(&mut self, out: &mut Vec<u8>) {
        let start = out.len();
        out.resize(start + DRAIN_LEN, 0);
        let to = out.get_mut(start..).unwrap_or_default();
        loop {
            let before = self.zlib.total_out();
            let status = self.zlib.compress(&[], to, DeflateFlush::SyncFlush);
            let full = self.zlib.total_out() - before == DRAIN_LEN as u64;
            if !full || !matches!(status, Ok(Status::Ok)) {
                break;
            }
        }
        out.truncate(start);
    }

    /// Records that the last compressed message will be sent uncompressed. With context takeover the next message
    /// begins with the restored window.
    fn discard_message(&mut self) {
        if self.takeover {
            let (window_bits, ..) = self.parameters;
            self.context.get_or_insert_with(|| WindowCopy::new(window_bits.min(RESTORED_WINDOW_BITS)));
            self.initial_window = WindowContent::Restored;
        }
    }

    /// Compresses a non-empty message, and stops as soon as the result cannot be shorter than the message. Returns
    /// whether the result is shorter.
    fn deflate_while_shorter(&mut self, message: &[u8], out: &mut Vec<u8>) -> bool {
        let start = out.len();
        // The tail is removed later, so it does not count.
        let max_len = start + message.len() + TAIL.len() - 1;
        if message.len() <= SINGLE_PASS_LEN {
            return self.sync_flush(message, out, max_len);
        }
        // Compressing 16 MiB of incompressible data takes 600 ms at level 4. Such data is recognised by its beginning,
        // which takes 1 ms to compress. The rest may differ from the beginning, so a sample of its bytes is examined
        // too. Compression stops if the beginning shrinks by less than a sixteenth and the sample looks random.
        let (trial, rest) = message.split_at_checked(TRIAL_LEN).unwrap_or_default();
        self.sync_flush(trial, out, max_len)
            && (out.len() - start < TRIAL_LEN - TRIAL_LEN / 16 || !is_evenly_distributed(rest))
            && self.sync_flush(rest, out, max_len)
    }

    /// Compresses `data`, ends the block at a byte boundary, and appends the result to `out`. Stops if `out` becomes
    /// longer than `max_len`. Returns whether all of `data` was compressed.
    fn sync_flush(&mut self, data: &[u8], out: &mut Vec<u8>, max_len: usize) -> bool {
        let mut rest = data;
        // Text usually shrinks to less than half. But if the end of a flush does not fit, zlib writes that end again.
        // So small messages get space for the longest possible result.
        let mut space =
            if data.len() <= SINGLE_PASS_LEN { data.len() + data.len() / 4 } else { data.len() / 2 } + 64;
        loop {
            let at = out.len();
            // One byte beyond the limit shows that the result is too long.
            space = space.min(max_len.saturating_sub(at).saturating_add(1));
            out.resize(at + space, 0);
            let to = out.get_mut(at..).unwrap_or_default();
            let before = (self.zlib.total_in(), self.zlib.total_out());
            let status = self.zlib.compress(rest, to, DeflateFlush::SyncFlush);
            let used = usize::try_from(self.zlib.total_in() - before.0).unwrap_or(rest.len());
            let made = usize::try_from(self.zlib.total_out() - before.1).unwrap_or(space).min(space);
            rest = rest.get(used..).unwrap_or_default();
            out.truncate(at + made);
            // The parameters are valid and there is output space, so no error can occur.
            debug_assert!(status.is_ok());
            if out.len() > max_len {
                return false;
            }
            let going = matches!(status, Ok(Status::Ok));
            if !going || made < space && rest.is_empty() {
                return true;
            }
            space = (rest.len() + 64).max(out.len() - at);
        }
    }
}

/// Removes the tail of a message from the payload that begins at `start`.
fn strip_tail(out: &mut Vec<u8>, start: usize) {
    // RFC 7692 7.2.1: the bytes 00 00 FF FF at the end of the flush are removed. If zlib had nothing to flush, the
    // output has no tail. In this case the payload is one byte of an empty block (RFC 7692 7.2.3.6).
    match out.get(start..).and_then(|payload| payload.strip_suffix(&TAIL)) {
        Some(payload) => out.truncate(start + payload.len()),
        None => out.push(0),
    }
}

/// Returns whether all byte values are about equally frequent in samples of `data`. They are equally frequent in
/// compressed and encrypted data.
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
    // `even` is the expected sum of the squared counts for random bytes. The sum is 7 % larger for JPEG, four times as
    // large for base64, and ten times as large for text.
    let even = total * total / 256 + total;
    squares <= even + even / 8
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (window_bits, level, memory_level) = self.parameters;
        f.debug_struct("Deflater")
            .field("window_bits", &window_bits)
            .field("level", &level)
            .field("memory_level", &memory_level)
            .field("takeover", &self.takeover)
            .finish_non_exhaustive()
    }
}
