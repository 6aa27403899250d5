//! WebSocket (RFC 6455) as pure, sans-IO state machines.
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

pub mod handshake;
pub mod time;

pub use time::Instant;
