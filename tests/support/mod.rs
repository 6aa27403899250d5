//! Helpers that several test targets share.
//!
//! `case`, `frames`, `handshake` and `inflate` run the vectors of `tests/vectors/`. `cuts` splits an input, `drive`
//! runs a connection over it, and `wire` encodes frames independently of the crate. Targets include `deflate.rs`,
//! `heap.rs` and `pair.rs` by path.
#![allow(dead_code, unreachable_pub, reason = "each target uses a part of it")]

pub mod case;
pub mod cuts;
#[cfg(feature = "alloc")]
pub mod drive;
#[cfg(feature = "alloc")]
pub mod frames;
pub mod handshake;
#[cfg(feature = "deflate")]
pub mod inflate;
pub mod wire;
