//! A fuzz target for text that arrives in pieces. The validator and a connection must give the same result as the
//! standard library gives for the whole text.
//!
//! The validator must report the position of the first invalid byte. A connection must fail if and only if the text is
//! invalid. `connection_bytes.rs` tests other rules of messages.
#![no_main]

use arbitrary::Arbitrary;
use hybi::utf8::Validator;
use hybi::{Config, Outbox, ProtocolError, Role, VecMessage};
use hybi_fuzz::cuts;
use hybi_fuzz::memory::no_heap;
use hybi_fuzz::support::drive::{Drain, Form, Quiet, Seen, drive, machine};
use hybi_fuzz::support::wire;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Case<'a> {
    cuts: u16,
    key: [u8; 4],
    text: &'a [u8],
}

fuzz_target!(|case: Case<'_>| {
    let whole = std::str::from_utf8(case.text);
    let cuts = cuts(case.cuts, case.text.len() + 8);

    let (mut validator, mut at, mut wrong) = (Validator::new(), 0, None);
    for len in cuts.pieces(case.text.len()) {
        let piece = &case.text[at..at + len];
        if let Err(error) = no_heap(|| validator.push(piece)) {
            wrong = Some(at + error.offset);
            break;
        }
        at += len;
    }
    assert_eq!(wrong, first_wrong(case.text));
    if wrong.is_none() {
        assert_eq!(validator.is_complete(), whole.is_ok());
    }

    let frame = wire::encode(wire::TEXT, case.text, Some(case.key));
    let (mut server, mut message) =
        (machine(Role::Server, &Config::new().into(), Outbox::new()), VecMessage::new());
    let plan = (Form::Whole, Drain::Always);
    let run = drive(&mut server, &mut message, &frame, &cuts, plan, &mut Quiet).unwrap();
    match whole {
        Ok(text) => assert_eq!(run.events.last(), Some(&Seen::Text(text.to_owned()))),
        Err(_) => assert_eq!(run.error, Some(ProtocolError::InvalidUtf8)),
    }
});

/// Returns the position of the first byte that cannot be valid.
fn first_wrong(text: &[u8]) -> Option<usize> {
    let valid = std::str::from_utf8(text).err()?.valid_up_to();
    (valid..text.len()).find(|&at| {
        let so_far = std::str::from_utf8(&text[valid..=at]);
        so_far.is_err_and(|error| error.error_len().is_some())
    })
}
