//! Measures the speed of memory and of arithmetic units for one payload of a given size. No codec can be faster than
//! the sum of the operations that it needs.
use std::hint::black_box;
use std::time::Instant;

use crate::{simd, wire};

pub const OPS: &[&str] =
    &["memcpy", "xor", "xor+ascii", "copy+xor", "utf8", "utf8-mixed", "arrive-64KiB+xor+ascii", "sha1-60B"];

const KEY: u32 = 0x0102_0304;

/// Runs an operation `n` times on a payload of `size` bytes. Returns the nanoseconds for one operation.
pub fn run(op: &str, size: usize, n: u64) -> Option<f64> {
    let mut a = wire::payload(wire::Content::Ascii, size, 7);
    let mut b = vec![0u8; size + 64];
    let mixed = wire::payload(wire::Content::Mixed, size, 9);
    // Two XOR passes restore `a`. The number of passes is even, so half of the passes of `xor+ascii` begin with ASCII.
    let n = n.max(2) & !1;
    let start = Instant::now();
    macro_rules! repeat {
        ($e:expr) => {
            for _ in 0..n {
                black_box($e);
            }
        };
    }
    match op {
        "memcpy" => repeat!({
            b[..size].copy_from_slice(black_box(&a));
            black_box(&mut b);
        }),
        "xor" => repeat!(simd::xor(black_box(&mut a), KEY)),
        "xor+ascii" => repeat!(simd::xor_ascii(black_box(&mut a), KEY)),
        "copy+xor" => repeat!(simd::copy_xor(black_box(&mut b), black_box(&a), KEY)),
        "utf8" => repeat!(simdutf8::basic::from_utf8(black_box(&a)).is_ok()),
        "utf8-mixed" => repeat!(simdutf8::basic::from_utf8(black_box(&mixed)).is_ok()),
        // Bytes arrive in pieces of at most 64 KiB, and are unmasked while they are in the cache.
        "arrive-64KiB+xor+ascii" => repeat!({
            let mut all = true;
            for (to, from) in b[..size].chunks_mut(65536).zip(black_box(&a).chunks(65536)) {
                to.copy_from_slice(from);
                all &= simd::xor_ascii(to, KEY);
            }
            black_box(&mut b);
            all
        }),
        // A handshake needs one such hash.
        "sha1-60B" if size == 16 => {
            use sha1::Digest;
            let key_and_guid = b"dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
            repeat!(sha1::Sha1::digest(black_box(key_and_guid)))
        }
        _ => return None,
    }
    Some(start.elapsed().as_nanos() as f64 / n as f64)
}
