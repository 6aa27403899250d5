//! A fuzz target for compressed messages. For any sizes of the input and output buffers, any payload must inflate to
//! the same data as in a simple decoder. Data that was compressed must inflate to the original.
//!
//! Only the compressor and the decompressor run here, without a connection. `connection_bytes.rs` tests compressed
//! messages in frames.
#![no_main]

use arbitrary::Arbitrary;
use hybi::deflate::{Compression, Deflater, Inflater};
use hybi_fuzz::bit;
use hybi_fuzz::memory::Meter;
use hybi_fuzz::support::cuts::{Cuts, Xorshift};
use hybi_fuzz::support::deflate::Decoder;
use libfuzzer_sys::fuzz_target;

const KIB: usize = 1 << 10;
/// Maximum number of inflated bytes of a message.
const MAX_MESSAGE: usize = 128 * KIB;

#[derive(Arbitrary, Debug)]
struct Case<'a> {
    /// Chooses context takeover, the window (three bits), and whether the messages are data or compressed payloads.
    /// Bits 4 to 6 choose the level, and bit 4 also whether memory is released.
    choice: u8,
    cuts: u16,
    space: u16,
    /// Messages, each after its length. The last message extends to the end of the input.
    messages: &'a [u8],
}

fuzz_target!(|case: Case<'_>| {
    let (takeover, bits) = (bit(case.choice, 0), 8 + (case.choice >> 1 & 7));
    let mut messages = Vec::new();
    let mut rest = case.messages;
    while let Some((len, behind)) = rest.split_first_chunk() {
        let (message, behind) = behind.split_at(behind.len().min(u16::from_le_bytes(*len).into()));
        messages.push(message.to_vec());
        rest = behind;
    }
    let coarse = Inflation { bits, takeover, cuts: 0, space: 4 * KIB, release: false };
    let fine = Inflation {
        cuts: case.cuts,
        space: 1 + usize::from(case.space % 3000),
        release: bit(case.choice, 4),
        ..coarse
    };
    if bit(case.choice, 7) {
        let payloads = compress(&messages, &case, takeover, bits);
        let read = Ended { data: messages, how: How::Well };
        assert_eq!(fine.run(&payloads), read);
        assert_eq!(decode(&payloads, takeover, bits), Some(read));
    } else {
        let read = coarse.run(&messages);
        assert_eq!(fine.run(&messages), read);
        if let Some(expected) = decode(&messages, takeover, bits) {
            assert_eq!(read.data[..expected.data.len()], expected.data);
            // A message that is too long may also be invalid after the limit, where hybi does not look.
            let is_cut = read.how == How::Long && expected.how == How::Wrong;
            assert!(read.how == expected.how || is_cut, "got {:?}, expected {:?}", read.how, expected.how);
        }
    }
});

fn compress(messages: &[Vec<u8>], case: &Case<'_>, takeover: bool, bits: u8) -> Vec<Vec<u8>> {
    let level = [0, 1, 2, 4, 5, 6, 8, 9][usize::from(case.choice >> 4 & 7)];
    let compression = Compression::new().level(level);
    let (mut meter, mut random) = (Meter::default(), Xorshift::new(case.cuts.into()));
    let mut deflater = meter.run(|| Deflater::new(bits, takeover, &compression));
    let payloads = messages.iter().map(|message| {
        let (mut payload, mut rest) = (Vec::new(), &message[..]);
        let places = if case.cuts == 0 { Cuts::Whole } else { Cuts::random(&mut random, message.len()) };
        let mut pieces = places.pieces(message.len()).peekable();
        while let Some(len) = pieces.next() {
            let (piece, behind) = rest.split_at(len);
            rest = behind;
            deflater.deflate(piece, pieces.peek().is_none(), &mut payload);
        }
        payload
    });
    let payloads = payloads.collect();
    meter.assert_within(484 * KIB);
    payloads
}

/// The parameters of inflating.
#[derive(Clone, Copy)]
struct Inflation {
    bits: u8,
    takeover: bool,
    cuts: u16,
    space: usize,
    /// Whether memory is released after each message.
    release: bool,
}

#[derive(PartialEq, Debug)]
struct Ended {
    data: Vec<Vec<u8>>,
    how: How,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum How {
    Well,
    /// The last message is invalid. Its valid beginning is delivered.
    Wrong,
    /// The last message is too long. Its first `MAX_MESSAGE` bytes are delivered.
    Long,
}

impl Inflation {
    fn run(&self, payloads: &[Vec<u8>]) -> Ended {
        let (mut meter, mut space) = (Meter::default(), vec![0; self.space]);
        let mut inflater = Inflater::new(self.bits, self.takeover);
        let mut all = Ended { data: Vec::new(), how: How::Well };
        for payload in payloads {
            let mut data = Vec::new();
            all.how = self.message(&mut meter, &mut inflater, payload, &mut space, &mut data);
            data.truncate(MAX_MESSAGE);
            all.data.push(data);
            if all.how != How::Well {
                break;
            }
            if self.release {
                meter.run(|| inflater.release());
                assert!(meter.held() <= 32 * KIB);
            }
        }
        meter.assert_within(80 * KIB);
        all
    }

    fn message(
        &self,
        meter: &mut Meter,
        inflater: &mut Inflater,
        payload: &[u8],
        space: &mut [u8],
        data: &mut Vec<u8>,
    ) -> How {
        let mut rest = payload;
        let mut pieces =
            hybi_fuzz::arrivals(self.cuts, payload.len()).into_iter().map(|end| payload.len() - end);
        let mut behind = pieces.next().unwrap_or(0);
        loop {
            let piece = &rest[..rest.len() - behind];
            let result = meter.run(|| match behind {
                0 => inflater.finish(piece, space).map(|end| (end.step, end.done)),
                _ => inflater.inflate(piece, space).map(|step| (step, false)),
            });
            let (step, done) = match result {
                Ok(result) => result,
                Err(error) => {
                    data.extend_from_slice(&space[..error.produced]);
                    return if data.len() >= MAX_MESSAGE { How::Long } else { How::Wrong };
                }
            };
            data.extend_from_slice(&space[..step.produced]);
            rest = &rest[step.consumed..];
            if data.len() >= MAX_MESSAGE {
                return How::Long;
            }
            if done {
                assert!(rest.is_empty(), "the message must end at the end of its payload");
                return How::Well;
            }
            let is_full = step.produced == space.len();
            assert!(is_full || behind > 0, "the inflater neither filled the output nor ended the message");
            if !is_full {
                assert_eq!(rest.len(), behind, "the inflater left input although the output has space");
                behind = pieces.next().unwrap_or(0);
            }
        }
    }
}

/// Returns the result of a second decoder. hybi must give the same result. Returns `None` if a reference goes beyond
/// the negotiated window, because hybi may accept or refuse such a reference. For an invalid message, the result does
/// not tell how much of the message hybi delivers.
fn decode(payloads: &[Vec<u8>], takeover: bool, bits: u8) -> Option<Ended> {
    let mut decoder = Decoder::new(takeover);
    let mut all = Ended { data: Vec::new(), how: How::Well };
    for payload in payloads {
        let message = decoder.message(payload);
        if decoder.farthest > 1 << bits {
            return None;
        }
        match message {
            Some(data) if data.len() < MAX_MESSAGE => all.data.push(data),
            Some(_) => all.how = How::Long,
            None => all.how = How::Wrong,
        }
        if all.how != How::Well {
            break;
        }
    }
    Some(all)
}
