//! Runs the payload cases of `deflate.jsonl` with the decompressor alone.
//!
//! Each payload runs with several amounts of space for the output and at several splits. Compressed messages in
//! frames are run by `frames.rs`.

use hybi::deflate::{Inflater, InvalidDeflate};
use serde_json::Value;

use super::case::{Judged, Verdict, check_keys, has_tag, hex};
use super::cuts::{Cuts, plan};

/// Numbers of bytes for the output of one call. Long messages would take too long if each call had space for only one
/// byte.
const SPACES: [usize; 3] = [1 << 17, 1000, 7];

struct Message {
    payload: Vec<u8>,
    /// The inflated data, or `None` if the payload is invalid.
    data: Option<Vec<u8>>,
}

pub fn judge(case: &Value) -> Judged {
    check_keys(case, &["id", "kind", "rfc", "config", "messages", "tags", "why"]);
    check_keys(&case["config"], &["no_context_takeover", "max_window_bits"]);
    let takeover = case["config"]["no_context_takeover"] != true;
    let bits = case["config"]["max_window_bits"].as_u64().map_or(15, |bits| u8::try_from(bits).unwrap());
    let messages: Vec<_> = case["messages"].as_array().unwrap().iter().map(message).collect();
    let longest = messages.iter().map(|message| message.payload.len()).max().unwrap_or(0);
    for cuts in plan(case["id"].as_str().unwrap_or_default(), longest, has_tag(case, "stress")) {
        for space in SPACES {
            for release in [false, true] {
                let mut inflater = Inflater::new(bits, takeover);
                for (n, message) in messages.iter().enumerate() {
                    let got = inflate(&mut inflater, &message.payload, &cuts, space);
                    if got.as_ref().ok() != message.data.as_ref() {
                        let got = got.map(|data| data.escape_ascii().to_string());
                        return Err(format!("message {n}, {cuts}, space for {space} bytes: {got:?}"));
                    }
                    if got.is_err() {
                        break;
                    }
                    if release {
                        inflater.release();
                    }
                }
            }
        }
    }
    Ok(Verdict::Passed)
}

fn message(value: &Value) -> Message {
    check_keys(value, &["payload_hex", "data_hex", "error"]);
    let data = (value["error"] != true).then(|| hex(&value["data_hex"]));
    Message { payload: hex(&value["payload_hex"]), data }
}

fn inflate(
    inflater: &mut Inflater,
    payload: &[u8],
    cuts: &Cuts,
    space: usize,
) -> Result<Vec<u8>, InvalidDeflate> {
    let (mut data, mut space) = (Vec::new(), vec![0xA5; space]);
    let mut rest = payload;
    for len in cuts.pieces(payload.len()) {
        let mut piece;
        (piece, rest) = rest.split_at(len);
        while !rest.is_empty() {
            let step = inflater.inflate(piece, &mut space)?;
            piece = &piece[step.consumed..];
            data.extend_from_slice(&space[..step.produced]);
            if step.produced < space.len() {
                assert!(piece.is_empty(), "space is left, but some input was not consumed");
                break;
            }
        }
        if rest.is_empty() {
            rest = piece;
            break;
        }
    }
    loop {
        let end = inflater.finish(rest, &mut space)?;
        rest = &rest[end.step.consumed..];
        data.extend_from_slice(&space[..end.step.produced]);
        if end.done {
            assert!(rest.is_empty(), "the message has ended, but some of its payload is left");
            return Ok(data);
        }
    }
}
