//! State that tasks share, checked by loom in all interleavings.
//!
//! The models compile five source files of the adapters with the locks and atomics of loom. `shared_lock.rs` and
//! `lock_handover.rs` belong to the halves of a WebSocket. `tasks.rs` belongs to a whole WebSocket that two tasks use
//! in turn. `notify_once.rs` belongs to a group of WebSockets. `lock.rs` has the functions that lock a mutex. A model
//! ends only if every task that waits is woken, so a lost wakeup fails the test.

/// A copy of the structure of the library's module `adapters`. Its module `sync` has the locks of loom.
#[cfg(test)]
mod adapters {
    #[path = "../../../../src/adapters/lock.rs"]
    pub(crate) mod lock;

    #[allow(dead_code, reason = "the models do not use all of its items")]
    #[path = "../../../../src/adapters/lock_handover.rs"]
    pub(crate) mod lock_handover;

    pub(crate) mod sync {
        pub(crate) use std::sync::{PoisonError, TryLockError};

        pub(crate) use loom::sync::atomic::{AtomicBool, Ordering, fence};
        pub(crate) use loom::sync::{Mutex, MutexGuard};
    }

    pub(crate) mod async_driver {
        #[allow(dead_code, reason = "the models do not use all of its items")]
        #[path = "../../../../../src/adapters/async_driver/notify_once.rs"]
        pub(crate) mod notify_once;
        #[allow(dead_code, reason = "the models do not use all of its items")]
        #[path = "../../../../../src/adapters/async_driver/shared_lock.rs"]
        pub(crate) mod shared_lock;
        #[path = "../../../../../src/adapters/async_driver/tasks.rs"]
        pub(crate) mod tasks;

        mod model;
    }
}
