//! Complete WebSockets over blocking and asynchronous streams. Each adapter has its own cargo feature.
//!
//! An adapter connects a stream to a [`Connection`](crate::Connection), which does no I/O and has the protocol logic.
//! The adapter reads, writes and waits for deadlines.
//!
//! | module | content | feature |
//! | --- | --- | --- |
//! | [`handshake_driver`] | the builders `Server` and `Client`, and the steps of a handshake, for all adapters | any |
//! | `net` | the blocking adapter over `std::net` and any `Read + Write` | `net` |
//! | `async_driver` | the run loop that the asynchronous adapters share | `tokio`, `futures-io` |
//! | `tokio` | tokio's streams, its clock, and connecting | `tokio` |
//! | `futures_io` | streams of futures-io, with the clock of the application or of async-io | `futures-io`, `async-io` |

#[cfg(any(feature = "tokio", feature = "futures-io"))]
pub mod async_driver;
mod byte_stream;
mod error;
#[cfg(feature = "futures-io")]
pub mod futures_io;
pub mod handshake_driver;
mod lock;
mod lock_handover;
#[cfg(feature = "net")]
pub mod net;
mod pending_replies;
#[cfg(feature = "tokio")]
pub mod tokio;
mod waiting_messages;

/// The mutex and atomic types of the adapters. The model in `tests/loom` replaces them with the types of loom.
mod sync {
    pub(super) use std::sync::atomic::{AtomicBool, Ordering, fence};
    pub(super) use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
}
