//! Something that is told once, to all who wait for it.

use std::fmt;
use std::mem::take;
use std::prelude::v1::*;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::adapters::lock::lock;
use crate::adapters::sync::{AtomicBool, Mutex, Ordering};

/// Something that is told once. Clones are the same one.
pub(super) struct NotifyOnce<T>(Arc<Shared<T>>);

struct Shared<T> {
    /// It is told; what it is, is in `told`.
    is_told: AtomicBool,
    told: Mutex<Told<T>>,
}

// No waker is dropped while this is locked: with it a task may go, and with that another listener.
struct Told<T> {
    what: Option<T>,
    /// Whom to wake, each listener in its place.
    waiting: Vec<Option<Waker>>,
    /// Places that nobody has.
    free: Vec<usize>,
}

/// One who waits for it, in one task at a time.
pub(super) struct Listener<T> {
    signal: NotifyOnce<T>,
    place: usize,
    /// Who will be woken, if anyone.
    waker: Option<Waker>,
}

impl<T> Default for NotifyOnce<T> {
    fn default() -> Self {
        let told = Told { what: None, waiting: Vec::new(), free: Vec::new() };
        Self(Arc::new(Shared { is_told: AtomicBool::new(false), told: Mutex::new(told) }))
    }
}

impl<T> Clone for NotifyOnce<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> NotifyOnce<T> {
    /// Tells `what` to all who listen, now or later; whether nothing had been told before.
    pub(super) fn tell(&self, what: T) -> bool {
        let waiting = {
            let mut told = lock(&self.0.told);
            if told.what.is_some() {
                return false;
            }
            told.what = Some(what);
            self.0.is_told.store(true, Ordering::Release);
            take(&mut told.waiting)
        };
        waiting.into_iter().flatten().for_each(Waker::wake);
        true
    }

    /// Whether it is told already.
    pub(super) fn is_told(&self) -> bool {
        self.0.is_told.load(Ordering::Acquire)
    }

    pub(super) fn listen(&self) -> Listener<T> {
        let mut told = lock(&self.0.told);
        let place = told.free.pop().unwrap_or_else(|| {
            told.waiting.push(None);
            told.waiting.len() - 1
        });
        Listener { signal: self.clone(), place, waker: None }
    }
}

impl<T> Listener<T> {
    /// Ready once it is told; until then the task is woken when it is.
    // The same task asks each time that it waits, and takes no lock for it: it is known already.
    #[inline]
    pub(super) fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        let known = self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if known && !self.signal.0.is_told.load(Ordering::Acquire) { Poll::Pending } else { self.ask(cx) }
    }

    #[cold]
    fn ask(&mut self, cx: &Context<'_>) -> Poll<()> {
        // Cloned before it is locked: a waker is another's code.
        let waker = cx.waker().clone();
        let mut told = lock(&self.signal.0.told);
        if told.what.is_some() {
            return Poll::Ready(());
        }
        let before = told.waiting.get_mut(self.place).and_then(|place| place.replace(waker));
        drop(told);
        drop(before);
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// What was told, if it was.
    pub(super) fn told(&self) -> Option<T>
    where
        T: Copy,
    {
        lock(&self.signal.0.told).what
    }
}

impl<T> Drop for Listener<T> {
    fn drop(&mut self) {
        let mut told = lock(&self.signal.0.told);
        let waker = told.waiting.get_mut(self.place).and_then(Option::take);
        told.free.push(self.place);
        drop(told);
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
        f.debug_struct("Listener").field("place", &self.place).finish_non_exhaustive()
    }
}
