//! Incremental validation of UTF-8 (RFC 6455 section 8.1, RFC 3629).
//!
//! Connections validate text messages with a [`Validator`]. It is public for code that assembles messages itself.

pub use crate::kernel::{InvalidUtf8, Validator};
