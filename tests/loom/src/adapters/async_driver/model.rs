//! Models of the state that tasks share. In most models, two tasks share a queue and a full pipe, and another thread
//! empties the pipe.
//!
//! Each model runs two or three threads. It ends only if every task that waits is woken, so a lost wakeup shows
//! as a deadlock. Some models limit the number of preemptions, because all interleavings would take too long.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use loom::future::block_on;
use loom::sync::Mutex;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use super::notify_once::NotifyOnce;
use super::shared_lock::{SharedLock, Side};
use super::tasks::{Tasks, UsedByTasks, poll_as};
use crate::adapters::lock_handover::LockHandover;

/// The pipe to which both tasks write. Like a socket, it stores only the waker of the last call that had to wait.
#[derive(Default)]
struct Pipe {
    full: bool,
    received: Vec<u8>,
    waker: Option<Waker>,
}

/// The shared state: a queue and the pipe.
struct Out {
    queue: VecDeque<u8>,
    pipe: Arc<Mutex<Pipe>>,
}

impl Out {
    /// Writes the whole queue.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(&next) = self.queue.front() {
            let mut pipe = self.pipe.lock().unwrap();
            if pipe.full {
                pipe.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            pipe.received.push(next);
            self.queue.pop_front();
        }
        Poll::Ready(())
    }
}

/// Empties the pipe, which is never full from then on.
fn empty_pipe(pipe: &Mutex<Pipe>) {
    let woken = {
        let mut pipe = pipe.lock().unwrap();
        pipe.full = false;
        pipe.waker.take()
    };
    if let Some(waker) = woken {
        waker.wake();
    }
}

fn write(shared_lock: &SharedLock<Out>, side: Side, what: u8) {
    let mut queued = false;
    block_on(poll_fn(|cx| {
        shared_lock.poll(side, cx, |out, cx, progress| {
            if !queued {
                queued = true;
                out.queue.push_back(what);
            }
            let before = out.queue.len();
            let written = out.poll_write(cx);
            *progress = out.queue.len() != before;
            written
        })
    }));
}

fn model(name: &str, bound: Option<usize>, test: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = bound;
    builder.check(test);
    println!("{name}: all tasks end in every explored interleaving");
}

#[test]
fn two_tasks_that_wait_to_write_are_both_woken() {
    model("both write", Some(3), || {
        let pipe = Arc::new(Mutex::new(Pipe { full: true, ..Pipe::default() }));
        let shared_lock = Arc::new(SharedLock::new(Out { queue: VecDeque::new(), pipe: Arc::clone(&pipe) }));
        let other = Arc::clone(&shared_lock);
        let writer = thread::spawn(move || write(&other, Side::Writer, 1));
        let pipe_to_empty = Arc::clone(&pipe);
        let emptier = thread::spawn(move || empty_pipe(&pipe_to_empty));
        write(&shared_lock, Side::Reader, 2);
        writer.join().unwrap();
        emptier.join().unwrap();
        let mut received = pipe.lock().unwrap().received.clone();
        received.sort_unstable();
        assert_eq!(received, [1, 2]);
    });
}

#[test]
fn two_tasks_that_wait_for_the_same_byte_are_both_woken() {
    // Both tasks wait for the pipe, and neither reports progress to the other one. The pipe stores one waker, but a
    // call of this waker must wake both tasks.
    model("both wait", Some(3), || {
        let pipe = Arc::new(Mutex::new(Pipe { full: true, ..Pipe::default() }));
        let shared_lock =
            Arc::new(SharedLock::new(Out { queue: VecDeque::from([7]), pipe: Arc::clone(&pipe) }));
        let other = Arc::clone(&shared_lock);
        let wait = |shared_lock: &SharedLock<Out>, side| {
            block_on(poll_fn(|cx| shared_lock.poll(side, cx, |out, cx, _| out.poll_write(cx))));
        };
        let writer = thread::spawn(move || wait(&other, Side::Writer));
        let pipe_to_empty = Arc::clone(&pipe);
        let emptier = thread::spawn(move || empty_pipe(&pipe_to_empty));
        wait(&shared_lock, Side::Reader);
        writer.join().unwrap();
        emptier.join().unwrap();
        assert_eq!(pipe.lock().unwrap().received, [7]);
    });
}

/// A WebSocket that two tasks use in turn. Each poll has exclusive access, as with the halves that `futures` makes.
struct Whole {
    tasks: Tasks,
    out: Out,
}

impl UsedByTasks for Whole {
    type Snapshot = usize;

    fn tasks(&mut self) -> &mut Tasks {
        &mut self.tasks
    }

    fn snapshot(&self) -> usize {
        self.out.queue.len()
    }
}

/// Queues `what`, if it is a byte, and waits until the whole queue is written.
fn write_whole(whole: &Mutex<Whole>, side: Side, mut what: Option<u8>) {
    block_on(poll_fn(|cx| {
        poll_as(&mut *whole.lock().unwrap(), side, cx, |whole, cx| {
            whole.out.queue.extend(what.take());
            whole.out.poll_write(cx)
        })
    }));
}

/// One task may write the byte that the other task has queued. It may also replace the other task's waker at the pipe.
/// In each case both tasks must end.
#[test]
fn two_tasks_that_use_one_websocket_are_both_woken() {
    for (first, second) in [(None, Some(1)), (Some(2), Some(1)), (Some(2), None)] {
        model("two tasks", Some(3), move || {
            let pipe = Arc::new(Mutex::new(Pipe { full: true, ..Pipe::default() }));
            let out = Out { queue: VecDeque::from([0]), pipe: Arc::clone(&pipe) };
            let whole = Arc::new(Mutex::new(Whole { tasks: Tasks::default(), out }));
            let other = Arc::clone(&whole);
            let writer = thread::spawn(move || write_whole(&other, Side::Writer, second));
            let pipe_to_empty = Arc::clone(&pipe);
            let emptier = thread::spawn(move || empty_pipe(&pipe_to_empty));
            write_whole(&whole, Side::Reader, first);
            writer.join().unwrap();
            emptier.join().unwrap();
            let expected = 1 + first.iter().len() + second.iter().len();
            assert_eq!(pipe.lock().unwrap().received.len(), expected);
        });
    }
}

/// The last poll comes from a task that never polls again. This poll replaces the other task's waker at the pipe. The
/// other task must still be woken.
#[test]
fn a_task_that_never_polls_again_does_not_take_the_other_tasks_wakeup() {
    for (stays, goes) in [(Side::Writer, Side::Reader), (Side::Reader, Side::Writer)] {
        model("a task that stops polling", Some(3), move || {
            let pipe = Arc::new(Mutex::new(Pipe { full: true, ..Pipe::default() }));
            let out = Out { queue: VecDeque::from([0]), pipe: Arc::clone(&pipe) };
            let whole = Arc::new(Mutex::new(Whole { tasks: Tasks::default(), out }));
            let other = Arc::clone(&whole);
            let leaver = thread::spawn(move || {
                let cx = &mut Context::from_waker(Waker::noop());
                let _ = poll_as(&mut *other.lock().unwrap(), goes, cx, |whole, cx| whole.out.poll_write(cx));
            });
            let pipe_to_empty = Arc::clone(&pipe);
            let emptier = thread::spawn(move || empty_pipe(&pipe_to_empty));
            write_whole(&whole, stays, Some(1));
            leaver.join().unwrap();
            emptier.join().unwrap();
            assert_eq!(pipe.lock().unwrap().received.len(), 2);
        });
    }
}

/// Polls until `side` gets the lock. Each task increments `both` before it asks for the lock, and again while it holds
/// the lock. loom switches between threads at such shared accesses. Without these accesses, loom would not explore the
/// case in which one task finds the lock taken.
fn take_lock(shared_lock: &SharedLock<()>, side: Side, both: &AtomicUsize) {
    block_on(poll_fn(|cx| {
        increment(both);
        shared_lock.poll(side, cx, |(), _, _| {
            increment(both);
            Poll::Ready(())
        })
    }));
}

fn increment(both: &AtomicUsize) {
    both.fetch_add(1, Ordering::SeqCst);
}

#[test]
fn a_task_that_finds_the_lock_taken_gets_it_later() {
    model("lock taken", None, || {
        let shared = Arc::new((SharedLock::new(()), AtomicUsize::new(0)));
        let other = Arc::clone(&shared);
        let writer = thread::spawn(move || take_lock(&other.0, Side::Writer, &other.1));
        take_lock(&shared.0, Side::Reader, &shared.1);
        writer.join().unwrap();
    });
}

#[test]
fn a_try_lock_with_does_not_leave_a_task_waiting() {
    model("a try_lock_with", None, || {
        let shared = Arc::new((SharedLock::new(()), AtomicUsize::new(0)));
        let other = Arc::clone(&shared);
        let peeker = thread::spawn(move || other.0.try_lock_with(Side::Writer, |()| increment(&other.1)));
        take_lock(&shared.0, Side::Reader, &shared.1);
        peeker.join().unwrap();
    });
}

#[test]
fn a_task_is_woken_when_the_other_task_makes_progress() {
    // One task waits for a change that only the other task makes. A send waits in this way for space in the queue, or
    // for the end of the connection.
    for (waits, does) in [(Side::Writer, Side::Reader), (Side::Reader, Side::Writer)] {
        model("progress", None, move || {
            let shared_lock = Arc::new(SharedLock::new(false));
            let other = Arc::clone(&shared_lock);
            let doer = thread::spawn(move || {
                block_on(poll_fn(|cx| {
                    other.poll(does, cx, |done, _, progress| {
                        (*done, *progress) = (true, true);
                        Poll::Ready(())
                    })
                }));
            });
            block_on(poll_fn(|cx| {
                shared_lock.poll(waits, cx, |done, _, _| if *done { Poll::Ready(()) } else { Poll::Pending })
            }));
            doer.join().unwrap();
        });
    }
}

#[test]
fn every_listener_is_notified() {
    model("notification", Some(3), || {
        let signal = NotifyOnce::default();
        let listen = |signal: &NotifyOnce<u8>| {
            let mut listener = signal.listen();
            move || {
                block_on(poll_fn(|cx| listener.poll(cx)));
                assert_eq!(listener.told(), Some(1));
            }
        };
        let (first, mut second, late) = (listen(&signal), listen(&signal), signal.clone());
        let first = thread::spawn(first);
        let teller = thread::spawn(move || assert!(late.tell(1) && !late.tell(2)));
        second();
        first.join().unwrap();
        teller.join().unwrap();
        // A listener that starts after the notification is ready at once.
        listen(&signal)();
    });
}

#[test]
fn a_listener_that_moves_to_another_task_is_notified_there() {
    // A future may be polled in one task, and then moved to another task. Here the first task polls it up to two times.
    model("notification, two tasks", None, || {
        let signal = NotifyOnce::default();
        let mut listener = signal.listen();
        let teller = {
            let signal = signal.clone();
            thread::spawn(move || signal.tell(1))
        };
        let noop = &mut Context::from_waker(Waker::noop());
        if listener.poll(noop).is_pending() && listener.poll(noop).is_pending() {
            block_on(poll_fn(|cx| listener.poll(cx)));
        }
        assert_eq!(listener.told(), Some(1));
        assert!(teller.join().unwrap());
    });
}

/// A store of bytes that any thread fills, and the bytes that the holders of the lock have collected from it.
struct Handover {
    protocol: LockHandover,
    stored: Mutex<Vec<u8>>,
    collected: Mutex<Vec<u8>>,
}

impl Handover {
    /// Collects once if the lock is free. Returns whether it was free.
    fn try_collect(&self) -> bool {
        let Ok(mut collected) = self.collected.try_lock() else { return false };
        self.protocol.collect();
        collected.append(&mut self.stored.lock().unwrap());
        true
    }

    /// Collects while data is announced and the lock is free. Each holder of the lock does this after the release.
    fn look(&self) {
        while self.protocol.is_announced() && self.try_collect() {}
    }

    fn store(&self, what: u8) {
        self.stored.lock().unwrap().push(what);
        self.protocol.announce();
        self.look();
    }
}

#[test]
fn everything_that_is_stored_while_the_lock_is_taken_is_collected() {
    model("handover", Some(4), || {
        let shared = Arc::new(Handover {
            protocol: LockHandover::new(),
            stored: Mutex::default(),
            collected: Mutex::default(),
        });
        let (one, two) = (Arc::clone(&shared), Arc::clone(&shared));
        let one = thread::spawn(move || one.store(1));
        let two = thread::spawn(move || two.store(2));
        // This thread holds the lock for another reason, and calls `look` after it has released the lock.
        if shared.try_collect() {
            shared.look();
        }
        one.join().unwrap();
        two.join().unwrap();
        let mut collected = shared.collected.lock().unwrap().clone();
        collected.sort_unstable();
        assert_eq!(collected, [1, 2]);
    });
}
