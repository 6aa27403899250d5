//! What depends on the machine, and all that is `unsafe`: kernels behind one safe face each, and the
//! memory that remembers which of its bytes are known to be UTF-8.

mod blocks;
mod lane;
mod mask;
mod text;

pub(crate) use lane::{LANE, Lane};
pub(crate) use mask::{turn, xor_copy, xor_in_place, xor_to_ascii};
#[allow(unreachable_pub, reason = "sealed: a bound of public functions that nobody else can name")]
pub use text::Memory;
#[cfg(feature = "alloc")]
pub use text::Text;
pub(crate) use text::{Checked, ascii};

/// Whether `bytes` are UTF-8, found with vector instructions where the feature `simd` is on.
#[inline]
pub(crate) fn is_utf8(bytes: &[u8]) -> bool {
    // Most short text is ASCII, and not worth a call into the vector validator.
    if bytes.len() < 256 && mask::is_ascii(bytes) {
        return true;
    }
    #[cfg(feature = "simd")]
    if bytes.len() >= 64 {
        return simdutf8::basic::from_utf8(bytes).is_ok();
    }
    core::str::from_utf8(bytes).is_ok()
}
