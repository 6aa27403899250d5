//! Functions over byte slices that must be fast for each payload byte: XOR masking, ASCII checks and UTF-8 validation.
//!
//! This folder contains the only `unsafe` code of the crate, behind safe functions. The code handles bytes, and knows
//! neither frames nor messages nor roles.
//!
//! Invariants:
//! - Each function gives the same result with every instruction set for which it is compiled. Tests compare each
//!   implementation with a byte-by-byte reference.
//! - A `&str` or a [`Text`] is created only from bytes that were validated and have not changed since.
//!
//! The files:
//! - `simd128` has a vector of 16 bytes. `xor` masks inputs of any length, and `xor_wide` has the loops for long
//!   inputs.
//! - `utf8` has the incremental validator. `read_buffer` has the memory into which bytes are read, and `text` stores
//!   which of these bytes are valid UTF-8.
//! - `mask` has a masking key together with the position in the key.

mod mask;
mod read_buffer;
mod simd128;
mod text;
mod utf8;
mod xor;
mod xor_wide;

pub use mask::Mask;
pub use read_buffer::{ReadBuffer, SliceWindow};
pub(crate) use simd128::{LANES, U8x16};
#[cfg(feature = "alloc")]
pub use text::Text;
pub(crate) use text::{Checked, ascii};
pub use utf8::{InvalidUtf8, Validator};

/// Returns whether `bytes` are UTF-8. With the feature `simd`, inputs of at least 64 bytes are validated with vector
/// instructions.
#[inline]
pub(crate) fn is_utf8(bytes: &[u8]) -> bool {
    // Most short text is ASCII. The inlined ASCII check costs less than a call of the vector validator.
    if bytes.len() < 256 && xor::is_ascii(bytes) {
        return true;
    }
    #[cfg(feature = "simd")]
    if bytes.len() >= 64 {
        return simdutf8::basic::from_utf8(bytes).is_ok();
    }
    core::str::from_utf8(bytes).is_ok()
}
