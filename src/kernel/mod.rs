//! Pure functions over byte slices: XOR masking, ASCII and UTF-8 checks, and text that carries its proof.
//!
//! Responsible for everything that must be fast for each payload byte. It holds the only `unsafe` code of the
//! crate, behind safe functions.
//!
//! Not responsible for the protocol: nothing here knows frames, messages or roles.
//!
//! Invariants:
//! - Each kernel gives the same result on every path that the machine offers. Tests compare each path with a
//!   byte-by-byte reference.
//! - `&str` and [`Text`] are only made from bytes that were validated and have not changed since.
//!
//! Which file to read:
//! - `simd128`: one 16-byte vector; `xor`: inputs of any length; `xor_wide`: the loop for long inputs.
//! - `utf8`: the incremental validator; `text`: memory that remembers which of its bytes are UTF-8; `mask`: a
//!   masking key with its phase.

mod mask;
mod simd128;
mod text;
mod utf8;
mod xor;
mod xor_wide;

pub use mask::Mask;
pub(crate) use simd128::{LANES, U8x16};
#[cfg(feature = "alloc")]
pub use text::Text;
pub(crate) use text::{Checked, ascii};
pub use text::{ReadBuffer, SliceWindow};
pub use utf8::{InvalidUtf8, Validator};

/// Returns whether `bytes` are UTF-8. Uses vector instructions if the feature `simd` is on.
#[inline]
pub(crate) fn is_utf8(bytes: &[u8]) -> bool {
    // Most short text is ASCII. The inlined ASCII check is cheaper than a call into the vector validator.
    if bytes.len() < 256 && xor::is_ascii(bytes) {
        return true;
    }
    #[cfg(feature = "simd")]
    if bytes.len() >= 64 {
        return simdutf8::basic::from_utf8(bytes).is_ok();
    }
    core::str::from_utf8(bytes).is_ok()
}
