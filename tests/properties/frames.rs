//! Properties of headers, masks, and the frame encoder and decoder of both roles.
//!
//! The encoder of `tests/support/wire.rs` and simple code in this file give the expected bytes. Whole connections
//! are tested in `streams.rs`.

use hybi::ProtocolError;
use hybi::frame::{
    Decoder, Encoder, Header, Item, MAX_HEADER_LEN, MAX_PAYLOAD_LEN, Mask, MaskingKeys, Opcode, Role,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::support::cuts::{Cuts, Xorshift};
use crate::support::wire;

const DATA: [Opcode; 3] = [Opcode::Continuation, Opcode::Text, Opcode::Binary];
const CONTROL: [Opcode; 3] = [Opcode::Close, Opcode::Ping, Opcode::Pong];

/// Generates valid headers. The headers of control frames have FIN and a short length.
fn headers() -> impl Strategy<Value = Header> {
    let edges = select(vec![0, 1, 125, 126, 127, 0xFFFF, 0x1_0000, u64::from(u32::MAX), MAX_PAYLOAD_LEN]);
    let len = prop_oneof![edges, 0..200_u64, 0..70_000_u64, 0..=MAX_PAYLOAD_LEN];
    let data = (any::<bool>(), select(&DATA[..]), len);
    // RFC 6455 5.5.1: a Close does not have a body of one byte.
    let control = (Just(true), select(&CONTROL[..]), 0..=125_u64).prop_map(|(fin, opcode, len)| {
        (fin, opcode, if opcode == Opcode::Close && len == 1 { 2 } else { len })
    });
    (prop_oneof![data, control], 0..8_u8, any::<Option<[u8; 4]>>()).prop_map(
        |((fin, opcode, payload_len), rsv, masking_key)| Header {
            fin,
            rsv,
            opcode,
            masking_key,
            payload_len,
        },
    )
}

/// Generates bytes that resemble a header, valid or not.
fn heads() -> impl Strategy<Value = Vec<u8>> {
    let altered = (headers(), 0..MAX_HEADER_LEN, any::<u8>()).prop_map(|(header, at, byte)| {
        let mut bytes = encoded(&header);
        if let Some(place) = bytes.get_mut(at) {
            *place = byte;
        }
        bytes
    });
    let start = (any::<u8>(), select(vec![0x7D_u8, 0x7E, 0x7F, 0xFD, 0xFE, 0xFF]));
    let lengths = (start, vec(prop_oneof![Just(0), any::<u8>()], 12)).prop_map(|((first, second), rest)| {
        let mut bytes = vec![first, second];
        bytes.extend(rest);
        bytes
    });
    prop_oneof![altered, lengths, vec(any::<u8>(), 0..20)]
}

fn encoded(header: &Header) -> Vec<u8> {
    let mut bytes = [0; MAX_HEADER_LEN];
    let len = header.encode(&mut bytes);
    bytes[..len].to_vec()
}

/// Generates the frames of any messages, with control frames anywhere, in a valid order.
fn frames() -> impl Strategy<Value = Vec<(Opcode, bool, Vec<u8>)>> {
    let payload = || prop_oneof![4 => vec(any::<u8>(), 0..40), 1 => vec(any::<u8>(), 100..300)];
    let control = (select(&[Opcode::Ping, Opcode::Pong][..]), vec(any::<u8>(), 0..=125));
    let fragment = (payload(), proptest::option::weighted(0.3, control));
    let message = (any::<bool>(), vec(fragment, 1..5));
    vec(message, 0..6).prop_map(|messages| {
        let mut frames = Vec::new();
        for (text, fragments) in messages {
            let last = fragments.len() - 1;
            for (n, (payload, control)) in fragments.into_iter().enumerate() {
                let first = if text { Opcode::Text } else { Opcode::Binary };
                frames.push((if n == 0 { first } else { Opcode::Continuation }, n == last, payload));
                frames.extend(control.map(|(opcode, payload)| (opcode, true, payload)));
            }
        }
        frames
    })
}

/// Returns the bytes that an endpoint in role `from` writes for `frames`.
fn written(from: Role, frames: &[(Opcode, bool, Vec<u8>)]) -> Vec<u8> {
    let mut encoder = match from {
        Role::Server => Encoder::server(),
        Role::Client => Encoder::client(MaskingKeys::from_seed([9; 32])),
    };
    let (mut wire, mut out) = (Vec::new(), [0; 400]);
    for (opcode, fin, payload) in frames {
        let len = encoder.encode_into(*opcode, *fin, payload, &mut out).unwrap();
        wire.extend_from_slice(&out[..len]);
    }
    wire
}

/// Returns the frames that an endpoint in role `to` reads from `wire`, in the pieces of `cuts`.
fn read(to: Role, wire: &[u8], cuts: &Cuts) -> Result<Vec<(Opcode, bool, Vec<u8>)>, ProtocolError> {
    let (mut decoder, mut frames) = (Decoder::new(to), Vec::new());
    let (mut wire, mut current) = (wire.to_vec(), None);
    let mut rest = &mut wire[..];
    for len in cuts.pieces(rest.len()) {
        let (mut piece, behind) = rest.split_at_mut(len);
        rest = behind;
        while let Some(item) = decoder.decode(&mut piece)? {
            match item {
                Item::Header(header) => {
                    assert_eq!(header.masking_key.is_some(), to == Role::Server);
                    current = Some((header.opcode, header.fin, Vec::new()));
                }
                Item::Payload { data, end } => {
                    current.as_mut().unwrap().2.extend_from_slice(data);
                    if end {
                        frames.extend(current.take());
                    }
                }
            }
        }
        assert!(piece.is_empty());
    }
    assert!(decoder.is_between_frames());
    Ok(frames)
}

proptest! {
    #![proptest_config(crate::cases())]

    /// A decoded header equals the encoded one. Another encoder writes the same bytes.
    #[test]
    fn s5_2_encode_then_decode_is_the_identity(header in headers()) {
        let bytes = encoded(&header);
        prop_assert_eq!(header.encoded_len(), bytes.len());
        prop_assert_eq!(Header::decode(&bytes), Ok(Some((header, bytes.len()))));
        let first = u8::from(header.fin) << 7 | header.rsv << 4 | header.opcode.bits();
        prop_assert_eq!(bytes, wire::head(first, header.payload_len, header.masking_key));
    }

    /// Re-encoding a decoded header gives the same bytes, so each header has one valid encoding.
    #[test]
    fn s5_2_decode_then_encode_is_the_identity(bytes in heads()) {
        if let Ok(Some((header, len))) = Header::decode(&bytes) {
            prop_assert_eq!(encoded(&header), &bytes[..len]);
        }
    }

    /// As bytes are added, the result changes at most once, from "incomplete" to a header or an error. It never changes
    /// again.
    #[test]
    fn s5_2_more_of_a_header_never_changes_a_verdict(bytes in heads()) {
        let mut verdict = Ok(None);
        for end in 0..=bytes.len() {
            let next = Header::decode(&bytes[..end]);
            prop_assert!(verdict == Ok(None) || next == verdict, "{:?}, then {:?} at {}", verdict, next, end);
            verdict = next;
        }
        prop_assert!(bytes.len() < MAX_HEADER_LEN || verdict != Ok(None));
    }

    /// The masked bytes do not depend on splits of the payload, or on masking in place.
    #[test]
    fn s5_3_the_mask_continues_across_any_split(key: [u8; 4], data in vec(any::<u8>(), 0..600), seed: u64) {
        let expected: Vec<_> = data.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        let cuts = Cuts::random(&mut Xorshift::new(seed), data.len());
        let (mut in_place, mut copied) = (data.clone(), vec![0; data.len()]);
        let (mut mask, mut other, mut at) = (Mask::new(key), Mask::new(key), 0);
        for len in cuts.pieces(data.len()) {
            mask.apply(&mut in_place[at..at + len]);
            prop_assert_eq!(other.copy(&data[at..at + len], &mut copied[at..]), len);
            at += len;
        }
        prop_assert_eq!(&in_place, &expected, "{}", cuts);
        prop_assert_eq!(&copied, &expected, "{}", cuts);
    }

    /// Each role reads the frames that the other role writes, whatever the splits.
    #[test]
    fn s5_1_roles_differ_only_in_masking(frames in frames(), seed: u64) {
        let mut random = Xorshift::new(seed);
        for from in [Role::Client, Role::Server] {
            let wire = written(from, &frames);
            let cuts = Cuts::random(&mut random, wire.len());
            let came = read(from.peer(), &wire, &cuts).unwrap();
            prop_assert_eq!(&came, &frames, "{:?}, {}", from, cuts);
            // An endpoint refuses the frames of its own role.
            if !frames.is_empty() {
                let refused = if from == Role::Client { ProtocolError::Masked } else { ProtocolError::NotMasked };
                prop_assert_eq!(read(from, &wire, &cuts), Err(refused));
            }
        }
    }
}
