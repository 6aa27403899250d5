//! State that tasks share, checked by loom in all interleavings.
//!
//! The models compile three source files of the adapters with the locks and atomics of loom. `shared_lock.rs` belongs
//! to the halves of a WebSocket. `tasks.rs` belongs to two tasks that use one whole WebSocket in turn, and
//! `notify_once.rs` to a group of WebSockets. Every model must end, so every task that waits must be woken.

/// Has the structure of the library's module `adapters`, with the locks of loom.
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
