//! One thread that polls the tasks of a run, in random order and only when they were woken.
//!
//! A wake-up may be held back for some milliseconds, and a task may be woken for nothing. With `fresh` wakers each poll
//! has a waker of its own and those of earlier polls wake nobody, which is all that `Future::poll` promises.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};

/// How wake-ups behave in a run.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// Of a hundred wake-ups, so many are held back.
    pub delayed: usize,
    /// For at most so long, in nanoseconds.
    pub delay: u64,
    /// Of a hundred polls, so many are followed by a wake-up for nothing.
    pub spurious: usize,
    /// The wakers of earlier polls wake nobody.
    pub fresh: bool,
    /// A waker that is dropped wakes those who wait for the stream of an end.
    pub drop_wakes: bool,
}

/// The wake-ups that have come, and who waits for the streams.
#[derive(Debug, Default)]
pub struct Wakes {
    woken: Mutex<Vec<(usize, u64)>>,
    /// For each end, who is woken for reading and who for writing: the one who asked last.
    waiting: Mutex<[[Option<Waker>; 2]; 2]>,
}

impl Wakes {
    /// Has somebody woken when a stream can be read or written; whoever asked before is forgotten.
    pub fn wait(&self, end: usize, way: usize, waker: &Waker) {
        let waker = waker.clone();
        let before = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting[end][way].replace(waker)
        };
        // Not under the lock: what is dropped with it may come here.
        drop(before);
    }

    /// Wakes whoever asked last.
    pub fn wake(&self, end: usize, way: usize) {
        let waker = self.waiting.lock().unwrap_or_else(PoisonError::into_inner)[end][way].take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Wakes whoever waits for the streams, and leaves them waiting.
    fn disturb(&self) {
        let wakers = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clone();
        wakers.iter().flatten().flatten().for_each(Waker::wake_by_ref);
    }

    pub fn take_woken(&self) -> Vec<(usize, u64)> {
        std::mem::take(&mut *self.woken.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Forgets everybody, when a run is over.
    pub fn clear(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        drop(waiting);
    }
}

/// The waker of a task, or of one poll of it.
struct TaskWaker {
    task: usize,
    poll: u64,
    wakes: Arc<Wakes>,
    drop_wakes: bool,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut woken = self.wakes.woken.lock().unwrap_or_else(PoisonError::into_inner);
        woken.push((self.task, self.poll));
    }
}

impl Drop for TaskWaker {
    fn drop(&mut self) {
        // Not each time: the wake-up leads to a poll, which drops the waker of the poll before.
        if self.drop_wakes && self.poll % 5 == 0 && !std::thread::panicking() {
            self.wakes.disturb();
        }
    }
}

/// A task, and what is known of it.
pub struct Task {
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
    waker: Option<Waker>,
    /// How often it was polled.
    polls: u64,
    pub woken: bool,
    /// Wake-ups that are held back.
    pub held_back: usize,
    /// The run is not over before it is.
    pub essential: bool,
    habits: Habits,
}

impl Task {
    pub fn new(future: impl Future<Output = ()> + 'static, essential: bool, habits: Habits) -> Self {
        Self {
            future: Some(Box::pin(future)),
            waker: None,
            polls: 0,
            woken: true,
            held_back: 0,
            essential,
            habits,
        }
    }

    pub const fn is_done(&self) -> bool {
        self.future.is_none()
    }

    /// Whether a waker of that poll still wakes it.
    pub const fn hears(&self, poll: u64) -> bool {
        self.future.is_some() && (!self.habits.fresh || poll == self.polls)
    }

    /// Polls it; `task` is its number.
    pub fn poll(&mut self, task: usize, wakes: &Arc<Wakes>) {
        let Some(future) = &mut self.future else { return };
        self.woken = false;
        self.polls += 1;
        if self.habits.fresh || self.waker.is_none() {
            let (poll, drop_wakes) = (self.polls, self.habits.drop_wakes);
            let waker = TaskWaker { task, poll, wakes: Arc::clone(wakes), drop_wakes };
            let before = self.waker.replace(Arc::new(waker).into());
            drop(before);
        }
        let Some(waker) = self.waker.clone() else { return };
        if future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            self.future = None;
        }
    }
}
