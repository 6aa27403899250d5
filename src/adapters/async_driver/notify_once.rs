//! A one-shot notification with any number of waiters.
//!
//! [`NotifyOnce::tell`] stores a value and wakes all waiters. A [`Listener`] is one waiter, used by one task at a time.
//! Each listener has a slot for the waker of its task.
//!
//! `group` uses the notification to close WebSockets.
//!
//! Invariants:
//! - Only the first call of `tell` has an effect.
//! - One lock protects both the value and the wakers. So no notification is lost between a check of the value and the
//!   registration of a waker.
//! - A listener that polls again with the same waker takes no lock. It only reads one atomic flag.
//! - No waker is cloned, dropped or called while the lock is held. These operations run code of the runtime, which may
//!   drop a task that has another listener.
//! - Tests in `tests/loom` run this file in all interleavings.

use std::fmt;
use std::mem::take;
use std::prelude::v1::*;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::adapters::lock::lock;
use crate::adapters::sync::{AtomicBool, Mutex, Ordering};

/// A one-shot notification. Clones refer to the same notification.
pub(super) struct NotifyOnce<T>(Arc<Shared<T>>);

struct Shared<T> {
    /// Whether `state` has a value. Read without the lock.
    is_told: AtomicBool,
    state: Mutex<State<T>>,
}

/// The value and the waiters.
struct State<T> {
    /// The value, or `None` before `tell`.
    value: Option<T>,
    /// The registered wakers. The index of a waker is the slot of its listener.
    wakers: Vec<Option<Waker>>,
    /// The slots that no listener uses.
    free_slots: Vec<usize>,
}

/// One waiter, used by one task at a time.
pub(super) struct Listener<T> {
    source: NotifyOnce<T>,
    /// The index of this listener in [`State::wakers`].
    slot: usize,
    /// A copy of the registered waker. With this copy, [`Self::poll`] needs no lock.
    waker: Option<Waker>,
}

impl<T> Default for NotifyOnce<T> {
    fn default() -> Self {
        let state = State { value: None, wakers: Vec::new(), free_slots: Vec::new() };
        Self(Arc::new(Shared { is_told: AtomicBool::new(false), state: Mutex::new(state) }))
    }
}

impl<T> Clone for NotifyOnce<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> NotifyOnce<T> {
    /// Stores `value` for all present and future listeners, and wakes the present ones. Returns whether this was the
    /// first call.
    pub(super) fn tell(&self, value: T) -> bool {
        let wakers = {
            let mut state = lock(&self.0.state);
            if state.value.is_some() {
                return false;
            }
            state.value = Some(value);
            self.0.is_told.store(true, Ordering::Release);
            take(&mut state.wakers)
        };
        wakers.into_iter().flatten().for_each(Waker::wake);
        true
    }

    /// Returns whether a value was stored.
    pub(super) fn is_told(&self) -> bool {
        self.0.is_told.load(Ordering::Acquire)
    }

    /// Creates a listener.
    pub(super) fn listen(&self) -> Listener<T> {
        let mut state = lock(&self.0.state);
        let slot = state.free_slots.pop().unwrap_or_else(|| {
            state.wakers.push(None);
            state.wakers.len() - 1
        });
        Listener { source: self.clone(), slot, waker: None }
    }
}

impl<T> Listener<T> {
    /// Returns `Ready` if a value was stored. Otherwise registers the task, which is woken when a value is stored.
    // Fast path: a task polls its listener each time before it waits. Usually its waker is already registered, so
    // reading the flag is enough.
    #[inline]
    pub(super) fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        let known = self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if known && !self.source.0.is_told.load(Ordering::Acquire) {
            Poll::Pending
        } else {
            self.register(cx)
        }
    }

    /// Registers the waker of the task. Returns `Ready` instead if a value was stored.
    #[cold]
    fn register(&mut self, cx: &Context<'_>) -> Poll<()> {
        // Clone the waker before the lock is taken, because `clone` runs code of the runtime.
        let waker = cx.waker().clone();
        let mut state = lock(&self.source.0.state);
        if state.value.is_some() {
            return Poll::Ready(());
        }
        let before = state.wakers.get_mut(self.slot).and_then(|slot| slot.replace(waker));
        drop(state);
        drop(before);
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Returns the value, or `None` if no value was stored.
    pub(super) fn told(&self) -> Option<T>
    where
        T: Copy,
    {
        lock(&self.source.0.state).value
    }
}

impl<T> Drop for Listener<T> {
    fn drop(&mut self) {
        let mut state = lock(&self.source.0.state);
        let waker = state.wakers.get_mut(self.slot).and_then(Option::take);
        state.free_slots.push(self.slot);
        drop(state);
        drop(waker);
    }
}

impl<T> fmt::Debug for NotifyOnce<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotifyOnce").field("is_told", &self.0.is_told).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Listener<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("slot", &self.slot).finish_non_exhaustive()
    }
}
