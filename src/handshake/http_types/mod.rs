//! Conversions between this crate and the types of the crate `http`: feature `http`.
//!
//! - [`HttpClientRequest`] (in `client_request`) checks an `http::Request`, and makes a [`ClientRequest`] of it.
//! - `received` has the methods that make `http` types of received heads.
//!
//! The rest of the crate does not use `http` types. A conversion allocates only when it is called.
//!
//! [`ClientRequest`]: super::ClientRequest

mod client_request;
mod received;

pub use client_request::{HttpClientRequest, HttpRequestError};
