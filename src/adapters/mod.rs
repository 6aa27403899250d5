//! Ready WebSockets over the blocking and asynchronous streams of Rust, each behind its feature.
//!
//! An adapter is a run loop over the core and holds no protocol logic. [`handshake_driver`] has the builders `Server` and
//! `Client`, which all adapters share. What all asynchronous runtimes share is in `async_driver`. The modules `tokio` and
//! `futures_io` say how a stream is polled, what the time is, and how to connect.

#[cfg(any(feature = "tokio", feature = "futures-io"))]
pub mod async_driver;
mod error;
#[cfg(feature = "futures-io")]
pub mod futures_io;
pub mod handshake_driver;
mod lock;
#[cfg(feature = "net")]
pub mod net;
mod pending_replies;
#[cfg(feature = "tokio")]
pub mod tokio;

/// What locks are made of here. The model in `tests/loom` has others.
mod sync {
    #[cfg(any(feature = "tokio", feature = "futures-io"))]
    pub(super) use std::sync::atomic::{AtomicBool, Ordering};
    pub(super) use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
}
