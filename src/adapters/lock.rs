//! Locks that are held for a few instructions.
//!
//! A thread that panicked while it held one left nothing half done: what is locked is changed in one go.

use super::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

/// Locks.
pub(in crate::adapters) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Locks where nobody else does.
pub(in crate::adapters) fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}
