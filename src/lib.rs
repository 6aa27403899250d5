//! WebSocket (RFC 6455) as pure, sans-IO state machines.
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

#[allow(unsafe_code, reason = "the one place for it")]
mod arch;
pub mod close;
mod error;
pub mod frame;
pub mod handshake;
pub mod time;
pub mod utf8;

#[cfg(feature = "alloc")]
pub use arch::Text;
pub use close::{CloseCode, CloseFrame, CloseReason};
pub use error::ProtocolError;
pub use frame::Role;
pub use time::Instant;
