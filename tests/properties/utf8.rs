//! Properties of UTF-8 validation, compared with the standard library.
//!
//! The validator alone and a whole connection receive the bytes in any pieces. All short sequences are enumerated
//! in `tests/exhaustive/utf8.rs`.

use hybi::frame::Role;
use hybi::utf8::Validator;
use hybi::{Config, Delivery, Outbox, ProtocolError, SharedConfig, VecMessage};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::streams::through_inbox;
use crate::support::cuts::{Cuts, Xorshift};
use crate::support::drive::{Drain, Form, Landing, Quiet, Seen, drive, drive_lent, machine};
use crate::support::wire;

/// Generates valid text, nearly valid text, and arbitrary bytes.
fn nearly_text() -> impl Strategy<Value = Vec<u8>> {
    const BOUNDARY_BYTES: [u8; 20] = [
        0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xED, 0xEF, 0xF0, 0xF4,
        0xF5, 0xF8, 0xFF,
    ];
    let text = || any::<char>().prop_map(|c| c.to_string().into_bytes());
    let cut = (any::<char>(), 1..4_usize).prop_map(|(c, len)| {
        let mut bytes = c.to_string().into_bytes();
        bytes.truncate(len);
        bytes
    });
    let ascii = vec(0x20..0x7F_u8, 0..90);
    let piece = prop_oneof![
        12 => text(),
        2 => ascii,
        1 => cut,
        1 => vec(select(&BOUNDARY_BYTES[..]), 1..4),
    ];
    // Half of the generated texts have only valid pieces.
    prop_oneof![vec(text(), 0..60), vec(piece, 0..40)].prop_map(|pieces| pieces.concat())
}

/// Returns whether the bytes are complete text, or the position of the first byte that cannot be valid.
fn by_std(bytes: &[u8]) -> Result<bool, usize> {
    match std::str::from_utf8(bytes) {
        Ok(_) => Ok(true),
        Err(error) => match error.error_len() {
            None => Ok(false),
            // The standard library reports the start of an invalid sequence. The invalid byte is the one that
            // does not continue a code point, or a byte that cannot begin one.
            Some(len) if matches!(bytes[error.valid_up_to()], 0xC2..=0xF4) => Err(error.valid_up_to() + len),
            Some(_) => Err(error.valid_up_to()),
        },
    }
}

proptest! {
    #![proptest_config(crate::cases())]

    /// The verdict and its position equal those of the standard library, for any chunks.
    #[test]
    fn s8_1_text_in_pieces_gets_the_verdict_of_std(text in nearly_text(), seed: u64) {
        let expected = by_std(&text);
        for cuts in [Cuts::Whole, Cuts::EachByte, Cuts::random(&mut Xorshift::new(seed), text.len())] {
            let (mut validator, mut at, mut verdict) = (Validator::new(), 0, Ok(true));
            for len in cuts.pieces(text.len()) {
                if let Err(invalid) = validator.push(&text[at..at + len]) {
                    verdict = Err(at + invalid.offset);
                    break;
                }
                verdict = Ok(validator.is_complete());
                at += len;
            }
            prop_assert_eq!(verdict, expected, "{}", cuts);
        }
    }

    /// A connection accepts exactly the messages that std accepts, in any fragments, splits and deliveries. It
    /// fails at the byte that shows the fault, before more input arrives.
    #[test]
    fn s8_1_a_message_is_text_if_std_accepts_it(text in nearly_text(), places in vec(any::<u16>(), 0..5), seed: u64) {
        let mut random = Xorshift::new(seed);
        let mut places: Vec<_> = places.iter().map(|place| usize::from(*place) % (text.len() + 1)).collect();
        places.sort_unstable();
        let (mut wire, mut start, mut first, mut fatal) = (Vec::new(), 0, 1, None);
        let wrong = by_std(&text).err();
        for end in places.into_iter().chain([text.len()]) {
            let fin = if end == text.len() { 0x80 } else { 0 };
            wire.extend(wire::encode(first | fin, &text[start..end], Some([0xA5, 0, 0x5A, 0xFF])));
            if let Some(at) = wrong.filter(|at| (start..end).contains(at)) {
                fatal.get_or_insert(wire.len() - (end - at) + 1);
            }
            (start, first) = (end, 0);
            if fin != 0 {
                break;
            }
        }
        let (events, error) = match std::str::from_utf8(&text) {
            Ok(text) => (vec![Seen::Text(text.to_owned())], None),
            Err(_) => (Vec::new(), Some(ProtocolError::InvalidUtf8)),
        };
        for form in [Form::Whole, Form::Chunks] {
            let delivery = if form == Form::Chunks { Delivery::Chunks } else { Delivery::Whole };
            let config: SharedConfig = Config::new().delivery(delivery).into();
            let run = |input: &[u8], cuts: &Cuts| {
                let mut connection = machine(Role::Server, &config, Outbox::new());
                drive(&mut connection, &mut VecMessage::new(), input, cuts, (form, Drain::Always), &mut Quiet)
            };
            let cuts = Cuts::random(&mut random, wire.len());
            let got = run(&wire, &cuts).unwrap();
            prop_assert_eq!(got.events.iter().cloned().collect::<Vec<_>>(), &events[..], "{:?} {}", form, cuts);
            prop_assert_eq!(got.error, error, "{:?} {}", form, cuts);
            if let Some(end) = fatal {
                // RFC 6455 8.1: the connection fails at this byte, and not before.
                prop_assert_eq!(run(&wire[..end], &cuts).unwrap().error, error, "{:?} {}", form, cuts);
                prop_assert_eq!(run(&wire[..end - 1], &cuts).unwrap().error, None, "{:?} {}", form, cuts);
            }
        }
        let config: SharedConfig = Config::new().into();
        let cuts = Cuts::random(&mut random, wire.len());
        let mut connection = machine(Role::Server, &config, Outbox::new());
        let plan = (Form::Whole, Drain::Always);
        let landing = drive(&mut connection, &mut VecMessage::new(), &wire, &cuts, plan, &mut Landing).unwrap();
        prop_assert_eq!(landing.error, error, "read directly into the message, {}", cuts);
        let space = random.below(100);
        let lent = drive_lent(|out| machine(Role::Server, &config, out), space, &wire, &cuts, Form::AsFits).unwrap();
        prop_assert_eq!(lent.error, error, "borrowed memory, {}", cuts);
        let (seen, found) = through_inbox(Role::Server, &config, &wire, seed);
        prop_assert_eq!(seen.iter().cloned().collect::<Vec<_>>(), events);
        prop_assert_eq!(found, error, "in an inbox");
    }
}
