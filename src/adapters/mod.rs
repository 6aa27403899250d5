//! Run loops over the core, one a module, each behind its feature. They hold no protocol logic, and what two
//! of them need lies below them: [`opening`] with the builders and the handshake, [`error`], between two
//! halves the [`desk`], and for runtimes that poll all of the loop in [`polled`].

mod desk;
mod error;
#[cfg(feature = "futures-io")]
pub mod futures_io;
mod lock;
#[cfg(feature = "net")]
pub mod net;
pub mod opening;
#[cfg(any(feature = "tokio", feature = "futures-io"))]
pub mod polled;
#[cfg(feature = "tokio")]
pub mod tokio;

/// What locks are made of here. The model in `tests/loom` has others.
mod sync {
    #[cfg(any(feature = "tokio", feature = "futures-io"))]
    pub(super) use std::sync::atomic::{AtomicBool, Ordering};
    pub(super) use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
}
