//! The faults of issue 17 that the code still has, in one place.
//!
//! A run does not go where such a fault is, or does not look at what it breaks. A number is deleted here when its fault
//! is fixed. `HYBI_SIM_STRICT=all` looks at everything, and `HYBI_SIM_STRICT=8,15` at these.

use std::sync::OnceLock;

/// The numbers of the issue, and what is broken.
const KNOWN: &[(u32, &str)] = &[];

/// Whether the fault with that number of issue 17 is fixed, or is to be looked for all the same.
pub fn is_fixed(number: u32) -> bool {
    static STRICT: OnceLock<String> = OnceLock::new();
    let strict = STRICT.get_or_init(|| std::env::var("HYBI_SIM_STRICT").unwrap_or_default());
    let named = strict == "all" || strict.split(',').any(|one| one.parse() == Ok(number));
    named || KNOWN.iter().all(|(known, _)| *known != number)
}
