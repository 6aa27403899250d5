//! DEFLATE (RFC 1951) for tests: an encoder that writes chosen blocks, and a slow decoder that records how data
//! was compressed.
//!
//! Tests compare the crate, and the compression library that the crate uses, with this code. So this code shares
//! nothing with the crate or the library.

/// The end of each message, which the sender removes (RFC 7692 section 7.2.1).
pub const TAIL: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];

/// Kinds of blocks, by the value of BTYPE (RFC 1951 section 3.2.3).
pub const STORED: u8 = 0;
pub const FIXED: u8 = 1;
pub const DYNAMIC: u8 = 2;

const END_OF_BLOCK: usize = 256;
const LENGTH_BASE: [usize; 29] = [
    3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195,
    227, 258,
];
const LENGTH_EXTRA: [u32; 29] =
    [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const DISTANCE_BASE: [usize; 30] = [
    1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073,
    4097, 6145, 8193, 12289, 16385, 24577,
];
const DISTANCE_EXTRA: [u32; 30] =
    [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13];
/// Order of the lengths of the code length code (RFC 1951 section 3.2.7).
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// Returns the lengths of the fixed codes for literals and lengths, and for distances.
fn fixed() -> (Vec<u8>, Vec<u8>) {
    let lengths = (0..288).map(|symbol| match symbol {
        144..=255 => 9,
        256..=279 => 7,
        _ => 8,
    });
    (lengths.collect(), vec![5; 30])
}

/// Returns the lengths of complete codes that are not the fixed ones. For literals and lengths, 226 codes have 8 bits
/// and 60 have 9 bits. For distances, 2 codes have 4 bits and 28 have 5 bits.
fn own() -> (Vec<u8>, Vec<u8>) {
    let lengths = (0..286).map(|symbol| if symbol < 226 { 8 } else { 9 });
    let distances = (0..30).map(|symbol| if symbol < 2 { 4 } else { 5 });
    (lengths.collect(), distances.collect())
}

// --- writing ---

/// A part of a block: literal bytes, or a reference to earlier data.
#[derive(Clone, Copy, Debug)]
pub enum Token<'a> {
    Bytes(&'a [u8]),
    Back { distance: usize, len: usize },
}

/// Writes a sequence of blocks.
#[derive(Clone, Default, Debug)]
pub struct Blocks {
    bytes: Vec<u8>,
    /// Number of bits used in the last byte, 0 if all are used.
    used: u32,
}

impl Blocks {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a stored block of at most 65,535 bytes.
    pub fn stored(mut self, last: bool, data: &[u8]) -> Self {
        self.header(last, STORED);
        self.used = 0;
        let len = u16::try_from(data.len()).unwrap();
        self.bytes.extend(len.to_le_bytes());
        self.bytes.extend((!len).to_le_bytes());
        self.bytes.extend(data);
        self
    }

    pub fn fixed(mut self, last: bool, tokens: &[Token<'_>]) -> Self {
        self.header(last, FIXED);
        self.tokens(&fixed(), tokens);
        self.ended(last)
    }

    pub fn dynamic(mut self, last: bool, tokens: &[Token<'_>]) -> Self {
        self.header(last, DYNAMIC);
        let codes = own();
        self.put(codes.0.len() as u32 - 257, 5);
        self.put(codes.1.len() as u32 - 1, 5);
        // Four different lengths occur. Each gets a code of two bits.
        let lengths: Vec<u8> = (0..16).map(|len| if matches!(len, 4 | 5 | 8 | 9) { 2 } else { 0 }).collect();
        self.put(12 - 4, 4);
        for place in &ORDER[..12] {
            self.put(lengths.get(*place).copied().unwrap_or(0).into(), 3);
        }
        for len in codes.0.iter().chain(&codes.1) {
            self.symbol(&lengths, (*len).into());
        }
        self.tokens(&codes, tokens);
        self.ended(last)
    }

    /// Returns the payload of a message. As RFC 7692 section 7.2.1 requires, the payload ends with the header of an
    /// empty block, and the four bytes after this header are removed.
    pub fn message(mut self) -> Vec<u8> {
        self.header(false, STORED);
        self.bytes
    }

    /// Returns the written bytes without the end of a message.
    pub fn raw(self) -> Vec<u8> {
        self.bytes
    }

    fn header(&mut self, last: bool, kind: u8) {
        self.put(u32::from(last), 1);
        self.put(kind.into(), 2);
    }

    /// RFC 7692 section 7.2.1: data after a final block begins at a byte boundary.
    fn ended(mut self, last: bool) -> Self {
        if last {
            self.used = 0;
        }
        self
    }

    fn tokens(&mut self, (lengths, distances): &(Vec<u8>, Vec<u8>), tokens: &[Token<'_>]) {
        for token in tokens {
            match *token {
                Token::Bytes(bytes) => bytes.iter().for_each(|byte| self.symbol(lengths, (*byte).into())),
                Token::Back { distance, len } => {
                    let at = LENGTH_BASE.iter().rposition(|base| *base <= len).unwrap();
                    self.symbol(lengths, END_OF_BLOCK + 1 + at);
                    self.put((len - LENGTH_BASE[at]) as u32, LENGTH_EXTRA[at]);
                    let at = DISTANCE_BASE.iter().rposition(|base| *base <= distance).unwrap();
                    self.symbol(distances, at);
                    self.put((distance - DISTANCE_BASE[at]) as u32, DISTANCE_EXTRA[at]);
                }
            }
        }
        self.symbol(lengths, END_OF_BLOCK);
    }

    /// Writes the code of a symbol, from its most significant bit.
    fn symbol(&mut self, lengths: &[u8], symbol: usize) {
        let len = lengths[symbol];
        let shorter = lengths.iter().filter(|other| (1..len).contains(other));
        let before: u32 = shorter.map(|other| 1 << (len - other)).sum();
        let same = lengths[..symbol].iter().filter(|other| **other == len).count() as u32;
        for bit in (0..len).rev() {
            self.put((before + same) >> bit & 1, 1);
        }
    }

    fn put(&mut self, value: u32, count: u32) {
        for bit in 0..count {
            if self.used == 0 {
                self.bytes.push(0);
            }
            let last = self.bytes.last_mut().unwrap();
            *last |= ((value >> bit & 1) as u8) << self.used;
            self.used = (self.used + 1) % 8;
        }
    }
}

// --- reading ---

/// Inflates the messages of one direction slowly, and records how they were compressed.
#[derive(Clone, Default, Debug)]
pub struct Decoder {
    /// The last 32 KiB before the current message, and all data of the message so far. References that are too long
    /// for a negotiated window can therefore be read and recorded.
    window: Vec<u8>,
    takeover: bool,
    /// The largest distance of any reference.
    pub farthest: usize,
    /// Kind and BFINAL of each block.
    pub blocks: Vec<(u8, bool)>,
    /// Position of the length of the last stored block, in bits.
    stored_at: usize,
}

impl Decoder {
    pub fn new(takeover: bool) -> Self {
        Self { takeover, ..Self::default() }
    }

    /// Inflates one message. Returns `None` if the payload is not valid DEFLATE, or if the removed tail is not the
    /// length field of an empty stored block.
    pub fn message(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        if !self.takeover {
            self.window.clear();
        }
        let start = self.window.len();
        self.stored_at = 0;
        let bytes = [payload, &TAIL].concat();
        let mut bits = Bits { bytes: &bytes, at: 0 };
        while bits.at < 8 * bytes.len() {
            self.block(&mut bits)?;
        }
        if self.stored_at != 8 * payload.len() {
            return None;
        }
        let message = self.window[start..].to_vec();
        // No reference of a later message goes back further than this.
        let old = self.window.len().saturating_sub(1 << 15);
        self.window.drain(..old);
        Some(message)
    }

    fn block(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        let (last, kind) = (bits.take(1)? == 1, bits.take(2)? as u8);
        self.blocks.push((kind, last));
        match kind {
            STORED => {
                bits.align();
                self.stored_at = bits.at;
                let (len, check) = (bits.take(16)?, bits.take(16)?);
                if len ^ check != 0xFFFF {
                    return None;
                }
                for _ in 0..len {
                    self.window.push(bits.take(8)? as u8);
                }
            }
            FIXED => self.symbols(bits, &fixed())?,
            DYNAMIC => {
                let codes = bits.codes()?;
                self.symbols(bits, &codes)?;
            }
            _ => return None,
        }
        if last {
            bits.align();
        }
        Some(())
    }

    fn symbols(&mut self, bits: &mut Bits<'_>, (lengths, distances): &(Vec<u8>, Vec<u8>)) -> Option<()> {
        let (lengths, distances) = (Code::new(lengths), Code::new(distances));
        loop {
            let symbol = bits.symbol(&lengths)?;
            if symbol == END_OF_BLOCK {
                return Some(());
            }
            if let Ok(literal) = u8::try_from(symbol) {
                self.window.push(literal);
                continue;
            }
            let at = symbol - END_OF_BLOCK - 1;
            let len = LENGTH_BASE.get(at)? + bits.take(LENGTH_EXTRA[at])? as usize;
            let at = bits.symbol(&distances)?;
            let distance = DISTANCE_BASE.get(at)? + bits.take(DISTANCE_EXTRA[at])? as usize;
            self.farthest = self.farthest.max(distance);
            let from = self.window.len().checked_sub(distance)?;
            for place in from..from + len {
                self.window.push(self.window[place]);
            }
        }
    }
}

/// A canonical code: the number of codes of each length, and their symbols in order.
struct Code {
    count: [u32; 16],
    symbols: Vec<usize>,
}

impl Code {
    fn new(lengths: &[u8]) -> Self {
        let mut count = [0; 16];
        lengths.iter().for_each(|len| count[usize::from(*len)] += 1);
        let mut symbols: Vec<_> = (0..lengths.len()).filter(|symbol| lengths[*symbol] > 0).collect();
        symbols.sort_by_key(|symbol| lengths[*symbol]);
        Self { count, symbols }
    }
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for bit in 0..count {
            let byte = *self.bytes.get(self.at / 8)?;
            value |= u32::from(byte >> (self.at % 8) & 1) << bit;
            self.at += 1;
        }
        Some(value)
    }

    fn align(&mut self) {
        self.at = self.at.next_multiple_of(8);
    }

    fn symbol(&mut self, code: &Code) -> Option<usize> {
        let (mut value, mut first, mut index) = (0, 0, 0);
        for count in &code.count[1..] {
            value |= self.take(1)?;
            if value < first + count {
                return Some(code.symbols[(index + value - first) as usize]);
            }
            (index, first, value) = (index + count, (first + count) << 1, value << 1);
        }
        None
    }

    /// Reads the codes of a dynamic block.
    fn codes(&mut self) -> Option<(Vec<u8>, Vec<u8>)> {
        let (lengths, distances) = (257 + self.take(5)? as usize, 1 + self.take(5)? as usize);
        let mut own = [0; 19];
        for place in &ORDER[..4 + self.take(4)? as usize] {
            own[*place] = self.take(3)? as u8;
        }
        if lengths > 286 || distances > 30 || !is_complete(&own, false) {
            return None;
        }
        let own = Code::new(&own);
        let mut all: Vec<u8> = Vec::new();
        while all.len() < lengths + distances {
            let (len, times) = match self.symbol(&own)? {
                16 => (*all.last()?, 3 + self.take(2)?),
                17 => (0, 3 + self.take(3)?),
                18 => (0, 11 + self.take(7)?),
                len => (len as u8, 1),
            };
            all.extend(std::iter::repeat_n(len, times as usize));
        }
        if all.len() > lengths + distances || all[END_OF_BLOCK] == 0 {
            return None;
        }
        let distances = all.split_off(lengths);
        (is_complete(&all, true) && is_complete(&distances, true)).then_some((all, distances))
    }
}

/// Returns whether codes of these lengths are complete and not oversubscribed. An empty code is allowed. With
/// `one_is_enough` a single code of one bit is allowed too (RFC 1951 section 3.2.7).
fn is_complete(lengths: &[u8], one_is_enough: bool) -> bool {
    let used: u32 = lengths.iter().filter(|len| **len > 0).map(|len| 1 << (15 - len)).sum();
    let longest = lengths.iter().max().copied().unwrap_or(0);
    used == 1 << 15 || longest == 0 || one_is_enough && longest == 1 && used == 1 << 14
}
