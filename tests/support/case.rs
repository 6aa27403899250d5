//! Parts of the format of test vectors that all files of vectors share, and the verdict on a case.
//!
//! `tests/vectors/README.md` describes the format. Each kind of file has a module of its own: `frames.rs`,
//! `handshake.rs` and `inflate.rs`.

use serde_json::Value;

/// The result of a case. The error describes how the result differs from the expected one.
pub type Judged = Result<Verdict, String>;

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    Passed,
    /// The result is the alternative `alt[index]` of the case, which the RFCs also permit.
    Alt(usize),
    /// The case was not run, for this reason.
    Skipped(&'static str),
}

/// Reads bytes from an `…_hex` value: a string of hex digits, or a list of strings and repetitions.
pub fn hex(value: &Value) -> Vec<u8> {
    join(value, &|text| {
        let digits: Vec<_> = text.chars().map(|c| u8::try_from(c.to_digit(16).unwrap()).unwrap()).collect();
        assert_eq!(digits.len() % 2, 0, "{text}");
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    })
}

/// Reads text: a string, or UTF-8 bytes in the form of [`hex`].
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        list => String::from_utf8(hex(list)).unwrap(),
    }
}

fn join(value: &Value, decode: &dyn Fn(&str) -> Vec<u8>) -> Vec<u8> {
    match value {
        Value::String(text) => decode(text),
        Value::Array(parts) => parts.iter().flat_map(|part| join(part, decode)).collect(),
        Value::Object(_) => {
            let times = usize::try_from(value["repeat"][1].as_u64().unwrap()).unwrap();
            join(&value["repeat"][0], decode).repeat(times)
        }
        _ => panic!("not a byte string: {value}"),
    }
}

/// Returns whether the case has the tag.
pub fn has_tag(case: &Value, tag: &str) -> bool {
    case["tags"].as_array().is_some_and(|tags| tags.iter().any(|one| one == tag))
}

/// Panics if an object has a key that its reader does not know and would skip.
pub fn check_keys(value: &Value, known: &[&str]) {
    for key in value.as_object().into_iter().flat_map(|object| object.keys()) {
        assert!(known.contains(&key.as_str()), "unknown key {key:?} in {value}");
    }
}
