//! A fuzz target for the frame decoder. For any bytes and any split, it must find the frames that the model finds in
//! the whole input.
//!
//! Only the decoder runs here, without a connection. `connection_bytes.rs` tests messages, limits and replies. The
//! decoder must not allocate.
#![no_main]

use arbitrary::Arbitrary;
use hybi::ProtocolError;
use hybi::frame::{Decoder, Header, Item, MAX_HEADER_LEN};
use hybi_fuzz::memory::no_heap;
use hybi_fuzz::model::{Frame, Model};
use hybi_fuzz::{bit, cuts, role};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Case<'a> {
    /// Chooses the role of the receiver, and the permitted reserved bits.
    choice: u8,
    cuts: u16,
    bytes: &'a [u8],
}

fuzz_target!(|case: Case<'_>| {
    let (role, rsv) = (role(bit(case.choice, 0)), case.choice >> 1 & 7);
    let (expected, in_header, error) = Model { rsv, ..Model::new(role) }.frames(case.bytes);

    let mut decoder = Decoder::new(role).allow_rsv(rsv);
    let (mut bytes, mut frames) = (case.bytes.to_vec(), Vec::new());
    let (mut rest, mut failed) = (&mut bytes[..], None);
    for len in cuts(case.cuts, case.bytes.len()).pieces(case.bytes.len()) {
        let (mut piece, behind) = rest.split_at_mut(len);
        rest = behind;
        failed = decode(&mut decoder, &mut piece, &mut frames);
        if failed.is_some() {
            break;
        }
        assert!(piece.is_empty(), "the decoder must consume the whole piece");
    }
    assert_eq!((&frames, failed), (&expected, error));
    if error.is_none() {
        let last = expected.last();
        let is_cut = last.is_some_and(|frame| !frame.is_whole());
        assert_eq!(decoder.is_between_frames(), !in_header && !is_cut);
        let data = expected.iter().rev().find(|frame| !frame.header.opcode.is_control());
        assert_eq!(decoder.is_in_message(), data.is_some_and(|frame| !frame.header.fin));
        let left = last.map_or(0, |frame| frame.header.payload_len - frame.payload.len() as u64);
        assert_eq!(decoder.payload_left(), left);
    }
    for Frame { header, .. } in expected {
        let mut out = [0; MAX_HEADER_LEN];
        let len = header.encode(&mut out);
        assert_eq!(len, header.encoded_len());
        assert_eq!(Header::decode(&out[..len]), Ok(Some((header, len))));
    }
});

/// Decodes a piece. Returns the error that ends the stream.
fn decode(decoder: &mut Decoder, piece: &mut &mut [u8], frames: &mut Vec<Frame>) -> Option<ProtocolError> {
    loop {
        match no_heap(|| decoder.decode(piece)) {
            Ok(None) => return None,
            Ok(Some(Item::Header(header))) => frames.push(Frame { header, payload: Vec::new() }),
            Ok(Some(Item::Payload { data, end })) => {
                let frame = frames.last_mut().expect("a payload must follow its header");
                frame.payload.extend_from_slice(data);
                assert_eq!(end, frame.is_whole());
            }
            Err(error) => return Some(error),
        }
    }
}
