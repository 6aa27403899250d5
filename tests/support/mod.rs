//! What test targets share.
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
