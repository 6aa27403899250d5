//! Compression (RFC 7692 section 7.2.1).

use core::fmt;
use core::time::Duration;
use std::vec::Vec;

use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Method, Status, Strategy};

use super::TAIL;

/// Up to so many bytes a message is compressed in one go.
const AT_ONCE: usize = 64 << 10;

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
    /// From 0, which only packs, over 1, the fastest, to 9, the smallest (a larger number counts as 9).
    pub level: u8,
    /// How much memory is taken beside the window, 1 to 9 (others count as the nearest).
    pub memory_level: u8,
    /// Messages of less than so many bytes go out as they are; the fragments of a message that is sent in
    /// fragments are compressed in any case.
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
    /// The next message must begin with an empty window.
    stale: bool,
    in_message: bool,
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
        Self { zlib, made_for, takeover, stale: false, in_message: false }
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
    /// not.
    pub fn deflate(&mut self, data: &[u8], fin: bool, out: &mut Vec<u8>) {
        if !self.in_message && self.stale {
            self.zlib.reset();
            self.stale = false;
        }
        // RFC 7692 7.1.1: without takeover, each message begins with an empty window.
        self.stale |= !self.takeover;
        self.in_message = !fin;
        let start = out.len();
        self.sync_flush(data, out);
        if fin {
            // RFC 7692 7.2.1: without the 00 00 FF FF that the flush ends with. Where there was nothing to flush
            // (7.2.3.6), what is left of an empty block is one byte.
            match out.get(start..).and_then(|payload| payload.strip_suffix(&TAIL)) {
                Some(payload) => out.truncate(start + payload.len()),
                None => out.push(0),
            }
        }
    }

    /// The peer's window has taken in what did not come from here: the next message begins with an empty one,
    /// so that it refers to nothing (RFC 7692 section 7.2.1 leaves that to the sender).
    pub const fn forget(&mut self) {
        self.stale = true;
    }

    fn sync_flush(&mut self, data: &[u8], out: &mut Vec<u8>) {
        let mut rest = data;
        // Text comes to less than half as a rule. But where the end of a flush does not fit, zlib writes it again:
        // small messages have room for all that they may come to.
        let mut room = if data.len() <= AT_ONCE { data.len() + data.len() / 4 } else { data.len() / 2 } + 64;
        loop {
            let at = out.len();
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
            let going = matches!(status, Ok(Status::Ok));
            if !going || made < room && rest.is_empty() {
                return;
            }
            room = (rest.len() + 64).max(out.len() - at);
        }
    }
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
