//! The faults of issue 17 that the code still has, in one place.
//!
//! A run does not go where such a fault is, or does not look at what it breaks. A number is deleted here when its fault
//! is fixed. `HYBI_SIM_STRICT=all` looks at everything, and `HYBI_SIM_STRICT=8,15` at these.

use std::sync::OnceLock;

/// The numbers of the issue, and what is broken.
const KNOWN: &[(u32, &str)] = &[
    (1, "a dead peer is reported after the close timeout"),
    (2, "a live peer is given up by a call that sends and does not read"),
    (3, "pieces of a large message that are read to their place count with an old time"),
    (6, "the round trip stays unknown while several Pings wait for their Pongs"),
    (8, "the halves of `futures_util`: the one that sends is not woken"),
    (9, "`start_send` without `poll_ready`: a half that sends takes a message and loses the one before"),
    (11, "a waker that is dropped under the lock of the halves and wakes somebody: a deadlock"),
    (12, "what a stream has taken and not flushed is forgotten by `into_parts`"),
    (15, "a stream that keeps what it was offered is offered something else"),
    (25, "an answer to a Close without its reason"),
    (26, "Clean, though the Close has not left the stream"),
    (33, "what a half has fed and left behind waits"),
    (36, "the half that receives, at the end of the stream, waits for a flush without a deadline"),
];

/// Whether the fault with that number of issue 17 is fixed, or is to be looked for all the same.
pub fn is_fixed(number: u32) -> bool {
    static STRICT: OnceLock<String> = OnceLock::new();
    let strict = STRICT.get_or_init(|| std::env::var("HYBI_SIM_STRICT").unwrap_or_default());
    let named = strict == "all" || strict.split(',').any(|one| one.parse() == Ok(number));
    named || KNOWN.iter().all(|(known, _)| *known != number)
}
