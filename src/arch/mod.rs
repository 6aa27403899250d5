//! What depends on the machine, and all that is `unsafe`: kernels behind one safe face each, and the
//! memory that remembers which of its bytes are known to be UTF-8.

mod mask;
mod text;

pub(crate) use mask::{xor_copy, xor_in_place};
pub(crate) use text::Checked;
pub use text::Memory;
#[cfg(feature = "alloc")]
pub use text::Text;

/// Validates UTF-8, with vector instructions where the feature `simd` is on.
#[inline]
pub(crate) fn from_utf8(bytes: &[u8]) -> Option<&str> {
    // Short text is not worth a call into the vector validator.
    #[cfg(feature = "simd")]
    if bytes.len() >= 64 {
        return simdutf8::basic::from_utf8(bytes).ok();
    }
    core::str::from_utf8(bytes).ok()
}
