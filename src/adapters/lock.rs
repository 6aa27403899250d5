//! Locking without poisoning, for the mutexes of the adapters.
//!
//! A panic in a stream of the application can poison a lock. The poison is ignored, because each change of a locked
//! value is complete before a stream is called.
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
