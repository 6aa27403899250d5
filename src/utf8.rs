//! Incremental validation of UTF-8 (RFC 6455 section 8.1, RFC 3629).
//!
//! [`Validator`] is the public face of `kernel::utf8`. Connections use it for text messages; it is exported
//! for code that brings its own message layer.

pub use crate::kernel::{InvalidUtf8, Validator};
