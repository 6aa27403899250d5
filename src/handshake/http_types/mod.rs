//! Conversions between this crate and the types of the crate `http`: feature `http`.
//!
//! - [`HttpClientRequest`] (in `client_request`) checks an `http::Request`, and converts it to a [`ClientRequest`].
//! - `received` has the methods that convert received heads to `http` types. It also converts an `http::Request` to a
//!   `RequestHead`.
//!
//! Only these conversions, and the methods of the adapters that call them, use `http` types. The memory for an `http`
//! type is allocated when a conversion is called.
//!
//! [`ClientRequest`]: super::ClientRequest

mod client_request;
mod received;

pub use client_request::{HttpClientRequest, HttpRequestError};
