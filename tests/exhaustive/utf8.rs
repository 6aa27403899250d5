//! UTF-8 validation of every sequence of up to four bytes, compared with the standard library.
//!
//! The validator must agree with the standard library on each sequence. It gets the sequence in one piece, and again
//! byte by byte. Longer texts in random pieces are tested in `tests/properties/utf8.rs`.

use hybi::utf8::Validator;

/// Returns the verdict of the standard library: `Some(true)` for complete text, `Some(false)` for text that ends inside
/// a code point, and `None` for invalid text. The caller passes only sequences whose shorter prefixes are all valid or
/// incomplete.
fn verdict_of_std(bytes: &[u8]) -> Option<bool> {
    match std::str::from_utf8(bytes) {
        Ok(_) => Some(true),
        Err(error) if error.error_len().is_none() => Some(false),
        Err(_) => None,
    }
}

/// Returns the verdict of the validator in the same form. Checks that the verdict is the same for one piece and for
/// single bytes. `before` is a validator that has read all bytes except the last one.
fn verdict_of_validator(bytes: &[u8], before: Validator) -> Option<bool> {
    let (last, head) = bytes.split_last().unwrap();
    let mut whole = Validator::new();
    let at_once = whole.push(bytes).map(|()| whole.is_complete());
    let mut cut = before;
    let in_pieces = cut.push(&[*last]).map(|()| cut.is_complete());
    match (at_once, in_pieces) {
        (Ok(one), Ok(other)) => assert_eq!(one, other, "{bytes:02x?}"),
        // The fault is reported at the last byte, and not before.
        (Err(one), Err(other)) => assert_eq!((one.offset, other.offset), (head.len(), 0), "{bytes:02x?}"),
        other => panic!("{other:?} of {bytes:02x?}"),
    }
    at_once.ok()
}

/// Checks all sequences that begin with `bytes` and have at most `most` bytes. Sequences that continue an invalid one
/// are skipped, because they are invalid too.
fn check_all_from(bytes: &mut Vec<u8>, validator: Validator, most: usize, alphabet: &[u8], count: &mut u64) {
    for &byte in alphabet {
        bytes.push(byte);
        *count += 1;
        let verdict = verdict_of_validator(bytes, validator);
        assert_eq!(verdict, verdict_of_std(bytes), "{bytes:02x?}");
        if verdict.is_some() && bytes.len() < most {
            let mut next = validator;
            next.push(&[byte]).unwrap();
            check_all_from(bytes, next, most, alphabet, count);
        }
        bytes.pop();
    }
}

/// Returns all bytes. A debug build uses only the bytes at the limits of the ranges in RFC 3629 section 4.
fn alphabet() -> Vec<u8> {
    const EDGES: [u8; 32] = [
        0x00, 0x01, 0x1F, 0x41, 0x7E, 0x7F, 0x80, 0x81, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF,
        0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xF8, 0xFC, 0xFE, 0xFF,
    ];
    if cfg!(debug_assertions) { EDGES.to_vec() } else { (0..=255).collect() }
}

/// In a release build, checks all 2^24 sequences of three bytes, except those that continue an invalid sequence. A
/// debug build uses only the bytes that [`alphabet`] returns.
#[test]
fn s8_1_every_sequence_of_three_bytes_gets_the_verdict_of_std() {
    let mut count = 0;
    check_all_from(&mut Vec::new(), Validator::new(), 3, &alphabet(), &mut count);
    assert!(cfg!(debug_assertions) || count > 5_000_000, "{count}");
}

/// Checks the sequences of four bytes in the same way. Four ASCII characters stand for all of ASCII.
#[test]
fn s8_1_every_sequence_of_four_bytes_gets_the_verdict_of_std() {
    let mut alphabet = alphabet();
    alphabet.retain(|byte| !byte.is_ascii() || matches!(byte, 0x00 | 0x1F | 0x41 | 0x7F));
    let mut count = 0;
    check_all_from(&mut Vec::new(), Validator::new(), 4, &alphabet, &mut count);
    assert!(cfg!(debug_assertions) || count > 25_000_000, "{count}");
}
