//! An executor of one thread. It polls the tasks of a run in random order, and only after wakeups.
//!
//! A wakeup may be delayed by some milliseconds, and a task may be woken without a reason. With [`Habits::fresh`] only
//! the waker of the last poll wakes the task, because `Future::poll` guarantees no more.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};

/// The behaviour of wakeups in a run.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// Percentage of wakeups that are delayed.
    pub delayed: usize,
    /// Maximum delay, in nanoseconds.
    pub delay: u64,
    /// Percentage of polls that are followed by a wakeup without a reason.
    pub spurious: usize,
    /// The wakers of earlier polls do nothing.
    pub fresh: bool,
    /// Dropping a waker may wake all tasks that wait for a stream.
    pub drop_wakes: bool,
}

/// The wakeups that have occurred, and the wakers of the streams.
#[derive(Debug, Default)]
pub struct Wakes {
    woken: Mutex<Vec<(usize, u64)>>,
    /// For each endpoint, the last waker for reading and the last waker for writing.
    waiting: Mutex<[[Option<Waker>; 2]; 2]>,
}

impl Wakes {
    /// Stores the waker for a direction of a stream. The new waker replaces the earlier waker.
    pub fn wait(&self, end: usize, way: usize, waker: &Waker) {
        let waker = waker.clone();
        let before = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting[end][way].replace(waker)
        };
        // The old waker is dropped without the lock, because its drop may call this object.
        drop(before);
    }

    /// Wakes the last waker of a direction.
    pub fn wake(&self, end: usize, way: usize) {
        let waker = self.waiting.lock().unwrap_or_else(PoisonError::into_inner)[end][way].take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Wakes all tasks that wait for the streams, without removing their wakers.
    fn disturb(&self) {
        let wakers = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clone();
        wakers.iter().flatten().flatten().for_each(Waker::wake_by_ref);
    }

    pub fn take_woken(&self) -> Vec<(usize, u64)> {
        std::mem::take(&mut *self.woken.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Drops all wakers at the end of a run.
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
        // Only some drops wake tasks. If all drops woke tasks, wakeups would never end, because each poll drops the
        // previous waker.
        if self.drop_wakes && self.poll % 5 == 0 && !std::thread::panicking() {
            self.wakes.disturb();
        }
    }
}

/// A task and its state.
pub struct Task {
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
    waker: Option<Waker>,
    /// Number of polls.
    polls: u64,
    pub woken: bool,
    /// Number of delayed wakeups.
    pub held_back: usize,
    /// The run does not end before this task ends.
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

    /// Returns whether the waker of the poll with this number still wakes the task.
    pub const fn hears(&self, poll: u64) -> bool {
        self.future.is_some() && (!self.habits.fresh || poll == self.polls)
    }

    /// Polls the task with the index `task`.
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
