//! The turnstile that the halves of a WebSocket share, in all interleavings of its two tasks: whoever waits is
//! woken. It is the adapters' own source, with locks whose every use loom can make wait.

/// As in the library, with the locks of loom.
#[cfg(test)]
mod adapters {
    #[path = "../../../../src/adapters/lock.rs"]
    pub(crate) mod lock;

    pub(crate) mod sync {
        pub(crate) use std::sync::{PoisonError, TryLockError};

        pub(crate) use loom::sync::{Mutex, MutexGuard};
    }

    pub(crate) mod polled {
        #[allow(dead_code, reason = "the model does not ask for all of it")]
        #[path = "../../../../../src/adapters/polled/turnstile.rs"]
        pub(crate) mod turnstile;

        mod model;
    }
}
