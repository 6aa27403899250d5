//! What tasks share, in all interleavings of them: the turnstile of two halves of a WebSocket, the wakers of two
//! tasks that use a whole one in turns, and the signal of a group. Whoever waits is woken. It is the adapters' own source, with locks and flags whose every use loom can make wait.

/// As in the library, with the locks of loom.
#[cfg(test)]
mod adapters {
    #[path = "../../../../src/adapters/lock.rs"]
    pub(crate) mod lock;

    pub(crate) mod sync {
        pub(crate) use std::sync::{PoisonError, TryLockError};

        pub(crate) use loom::sync::atomic::{AtomicBool, Ordering};
        pub(crate) use loom::sync::{Mutex, MutexGuard};
    }

    pub(crate) mod async_driver {
        #[allow(dead_code, reason = "the model does not ask for all of it")]
        #[path = "../../../../../src/adapters/async_driver/notify_once.rs"]
        pub(crate) mod notify_once;
        #[allow(dead_code, reason = "the model does not ask for all of it")]
        #[path = "../../../../../src/adapters/async_driver/shared_lock.rs"]
        pub(crate) mod shared_lock;
        #[path = "../../../../../src/adapters/async_driver/tasks.rs"]
        pub(crate) mod tasks;

        mod model;
    }
}
