//! Locking without poisoning, for the mutexes of the adapters.
//!
//! Poison is ignored. Each change of a locked value is complete before a stream of the application is called. A panic
//! in such a call therefore leaves no change half done.
//!
//! The module `sync` in `adapters/mod.rs` selects the mutex type. `tests/loom` compiles this file with the mutexes of
//! loom.

use super::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

/// Locks `mutex`. Blocks until no other thread holds it.
pub(in crate::adapters) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Locks `mutex` if no other thread holds it. Never blocks.
pub(in crate::adapters) fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}
