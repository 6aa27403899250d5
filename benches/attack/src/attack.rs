//! The attacks: the data that an attacker sends repeatedly, and whether it reads the answers.

use hybi::deflate::{Compression, Deflater};

/// Maximum length of a write, in bytes. Small frames are repeated up to this length.
pub const WRITE: usize = 16 << 10;
/// Inflated length of the largest message: the default of `Config::max_message`.
const LARGEST: usize = 16 << 20;
/// Number of fragments of one message, less than the default of `Config::max_fragments`.
const FRAGMENTS: usize = 60_000;

/// An attack.
pub struct Attack {
    pub name: &'static str,
    pub connections: usize,
    /// Whether permessage-deflate is offered in the handshake.
    pub deflate: bool,
    /// Whether the answers are read.
    pub reads: bool,
    /// The data that is sent once, before all other data.
    pub first: Vec<u8>,
    /// The data that is sent repeatedly.
    pub again: Vec<u8>,
    /// Number of bytes of answers that must arrive before `again` is sent the next time. If this is 0, `again` is
    /// sent as fast as the server accepts it.
    pub waits: usize,
}

/// All attacks, in the order of the table. Each stays within the default limits of a `Config`.
pub fn all() -> Vec<Attack> {
    let attack = |name, connections, again| Attack {
        name,
        connections,
        deflate: false,
        reads: true,
        first: Vec::new(),
        again,
        waits: 0,
    };
    let deflated =
        |name, connections, first, again| Attack { deflate: true, first, ..attack(name, connections, again) };
    let pings = repeated(&frame(0x89, &[]));
    let mut fragments = frame(0x02, &[]);
    fragments.extend(frame(0x00, &[]).repeat(FRAGMENTS - 2));
    fragments.extend(frame(0x80, &[]));

    let bomb = frame(0xC2, &deflate(&vec![0; LARGEST]));
    // The server copies its window after a final block, so this message fills the window first.
    let window = frame(0xC2, &deflate(&noise(40_000)));
    vec![
        attack("100 ping floods", 100, pings.clone()),
        Attack { reads: false, ..attack("100 ping floods, Pongs unread", 100, pings) },
        attack("100 floods of messages of 1 B", 100, repeated(&frame(0x82, b"x"))),
        attack("100 floods of messages of 64 KiB", 100, frame(0x82, &noise(64 << 10))),
        attack("100 floods of empty fragments", 100, fragments),
        deflated("1 bomb of 16 MiB", 1, Vec::new(), bomb.clone()),
        deflated("50 bombs of 16 MiB", 50, Vec::new(), bomb),
        deflated("50 floods of final blocks", 50, window.clone(), frame(0xC2, &final_blocks())),
        deflated("50 floods of code tables", 50, window, frame(0xC2, &code_tables())),
        deflated(
            "100 floods of compressed messages of 1 B",
            100,
            Vec::new(),
            repeated(&frame(0xC2, &deflate(b"x"))),
        ),
        // These attackers send slightly less than the server processes in one turn, and wait for the answers.
        Attack {
            waits: 1000 * 3,
            ..attack("100 that send 1,000 messages of 1 B and wait", 100, frame(0x82, b"x").repeat(1000))
        },
        Attack {
            waits: 7 * (10 + (64 << 10)),
            ..attack(
                "100 that send 7 messages of 64 KiB and wait",
                100,
                frame(0x82, &noise(64 << 10)).repeat(7),
            )
        },
        Attack {
            waits: 1,
            ..deflated(
                "50 bombs of 250 kB that wait",
                50,
                Vec::new(),
                frame(0xC2, &deflate(&vec![0; 250_000])),
            )
        },
    ]
}

/// Repeats a frame as often as it fits in one write.
fn repeated(frame: &[u8]) -> Vec<u8> {
    frame.repeat(WRITE / frame.len())
}

/// Returns a frame with this first byte. Its masking key is zero, because the server's work is the same with every key.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..=125 => frame.push(0x80 | len as u8),
        len @ 126..=0xFFFF => {
            frame.push(0x80 | 126);
            frame.extend((len as u16).to_be_bytes());
        }
        len => {
            frame.push(0x80 | 127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// Returns the payload of a compressed message that does not refer to earlier messages.
fn deflate(data: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    Deflater::new(15, false, &Compression::new().level(9)).deflate(data, true, &mut payload);
    payload
}

fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x0123_4567_89AB_CDEF_u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// A sequence of bits, packed into bytes as in DEFLATE (RFC 1951 section 3.1.1).
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    /// Appends the lowest `count` bits of `value`, beginning with the lowest bit.
    fn put(&mut self, value: u32, count: u32) {
        for bit in 0..count {
            if self.used == 0 {
                self.bytes.push(0);
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= ((value >> bit & 1) as u8) << self.used;
            }
            self.used = (self.used + 1) % 8;
        }
    }

    /// Appends a code of `count` bits, beginning with the highest bit.
    fn code(&mut self, code: u32, count: u32) {
        for bit in (0..count).rev() {
            self.put(code >> bit & 1, 1);
        }
    }

    /// Appends the end of a message, an empty stored block without its length (RFC 7692 section 7.2.1). Returns the
    /// bytes.
    fn message(mut self) -> Vec<u8> {
        self.put(0, 3);
        self.bytes
    }
}

/// Returns a message of empty final blocks of two bytes each. The server copies a window of 32 KiB after each block.
fn final_blocks() -> Vec<u8> {
    let mut bits = Bits::default();
    while bits.bytes.len() < WRITE {
        // The block has BFINAL, fixed codes, and the end of the block. The block after a final one begins at a new
        // byte.
        bits.put(1, 1);
        bits.put(1, 2);
        bits.code(0, 7);
        bits.used = 0;
    }
    bits.message()
}

/// Returns a message of empty blocks of 30 bytes each. Each block has its own code tables of the largest possible size.
fn code_tables() -> Vec<u8> {
    let mut bits = Bits::default();
    while bits.bytes.len() < WRITE {
        code_table(&mut bits);
    }
    bits.message()
}

fn code_table(bits: &mut Bits) {
    // The block is not final and has dynamic codes: 286 codes for literals and lengths, and 30 for distances.
    bits.put(0, 1);
    bits.put(2, 2);
    bits.put(29, 5);
    bits.put(29, 5);
    // The code lengths are themselves encoded with a small code. These are the lengths of that small code, in the order
    // of RFC 1951 section 3.2.7 up to symbol 4. Symbol 16 (repeat) has one bit, and each used length has three bits.
    bits.put(12 - 4, 4);
    for symbol in [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4] {
        let len = match symbol {
            16 => 1,
            4 | 5 | 8 | 9 => 3,
            _ => 0,
        };
        bits.put(len, 3);
    }
    // Each set of codes must be complete. For literals and lengths, 226 codes of 8 bits and 60 codes of 9 bits are
    // complete. For distances, 2 codes of 4 bits and 28 codes of 5 bits are complete.
    for (len, count) in [(8, 226), (9, 60), (4, 2), (5, 28)] {
        let code = [(4, 0b100), (5, 0b101), (8, 0b110), (9, 0b111)].iter().find(|(of, _)| *of == len);
        let code = code.map_or(0, |(_, code)| *code);
        let mut left = count;
        bits.code(code, 3);
        left -= 1;
        while left > 0 {
            let repeat = if left < 3 { 0 } else { left.min(6) };
            if repeat > 0 {
                bits.code(0, 1);
                bits.put(repeat - 3, 2);
                left -= repeat;
            } else {
                bits.code(code, 3);
                left -= 1;
            }
        }
    }
    // The end of the block is symbol 256. It is the 31st symbol with 9 bits, and the first of these has the code 2 *
    // 226.
    bits.code(2 * 226 + 30, 9);
}

#[cfg(test)]
mod tests {
    use hybi::deflate::Inflater;

    use super::*;

    fn inflated(payload: &[u8]) -> usize {
        let (mut inflater, mut space, mut rest, mut len) =
            (Inflater::new(15, true), vec![0; 1 << 16], payload, 0);
        loop {
            let end = inflater.finish(rest, &mut space).expect("the payload is DEFLATE");
            rest = &rest[end.step.consumed..];
            len += end.step.produced;
            if end.done {
                return len;
            }
        }
    }

    #[test]
    fn each_attack_has_the_size_that_its_name_states() {
        assert_eq!(inflated(&final_blocks()), 0);
        assert_eq!(inflated(&code_tables()), 0);
        let bomb = deflate(&vec![0; LARGEST]);
        assert_eq!(inflated(&bomb), LARGEST);
        for attack in all() {
            assert!(attack.again.len() <= 512 << 10, "{}", attack.name);
        }
        for payload in [bomb, final_blocks(), code_tables()] {
            assert!((15_000..18_000).contains(&payload.len()), "{}", payload.len());
        }
    }
}
