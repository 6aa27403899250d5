//! Fairness between connections with endless input.
//!
//! A turn is the work that a connection does before it yields. A connection with endless input ends its turn after a
//! bounded amount of work. It then waits in a queue for its next turn. A round is one poll of every connection, and
//! only a few connections begin a turn in each round. So one poll of a task with many of these connections does bounded
//! work. These tests check this bound on several executors. They also check that a connection in the queue delays
//! neither deadlines nor sends.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::SinkExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use hybi::adapters::futures_io::{Group, WebSocket};
use hybi::{CloseCode, Config, Inbox, Outcome, Role};

use super::support::*;
use super::turns::{Counts, Flood};

/// Maximum number of polls from one turn to the next. A connection waits for at most 48 rounds, and its next poll
/// begins a turn.
const MAX_POLLS: usize = 49;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Returns a stream of endless Pings, and its counters. Each turn ends with a write of Pongs. So a growing number of
/// written bytes shows that a turn has ended.
fn flood() -> (Flood, Arc<Mutex<Counts>>) {
    let counts = Arc::<Mutex<Counts>>::default();
    let frames = Arc::new(b"\x89\x00".repeat(1000));
    (Flood { frames, at: 0, counts: Arc::clone(&counts) }, counts)
}

fn flooded(clock: &Clock, config: Config) -> (WebSocket<Flood, Clock>, Arc<Mutex<Counts>>) {
    let (stream, counts) = flood();
    let connection = connection(Role::Client, config);
    (WebSocket::from_parts(stream, clock.clone(), connection, Inbox::empty()), counts)
}

/// Counters that several tasks share.
#[derive(Default)]
struct Watch {
    /// The number of turns of all tasks.
    turns: AtomicUsize,
    polls: AtomicUsize,
    most_polls: AtomicUsize,
}

/// A task that counts its polls, and ends after a number of turns.
struct Watched<F> {
    task: Pin<Box<F>>,
    counts: Arc<Mutex<Counts>>,
    watch: Arc<Watch>,
    polls: usize,
    turns: usize,
}

impl<F: Future<Output = ()>> Future for Watched<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let before = self.counts.lock().unwrap().written;
        assert!(
            self.task.as_mut().poll(cx).is_pending(),
            "the input is endless, so the task must not complete"
        );
        self.polls += 1;
        self.watch.polls.fetch_add(1, Ordering::Relaxed);
        self.watch.most_polls.fetch_max(self.polls, Ordering::Relaxed);
        if self.counts.lock().unwrap().written > before {
            self.polls = 0;
            self.watch.turns.fetch_add(1, Ordering::Relaxed);
            self.turns = self.turns.saturating_sub(1);
        }
        if self.turns == 0 { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Returns `count` tasks that receive endless input. If `halves` is true, each WebSocket is split. Each task ends
/// after `turns` turns.
fn tasks(count: usize, turns: usize, halves: bool) -> (Vec<Task>, Arc<Watch>) {
    let watch = Arc::<Watch>::default();
    let one = |_| -> Task {
        let (mut ws, counts) = flooded(&Clock::default(), patient());
        let watch = Arc::clone(&watch);
        if halves {
            let (mut reader, writer) = ws.split();
            let task = Box::pin(async move {
                while reader.recv().await.unwrap().is_some() {}
                drop(writer);
            });
            Box::pin(Watched { task, counts, watch, polls: 0, turns })
        } else {
            let task = Box::pin(async move { while ws.recv().await.unwrap().is_some() {} });
            Box::pin(Watched { task, counts, watch, polls: 0, turns })
        }
    };
    ((0..count).map(one).collect(), watch)
}

/// One task polls all connections. Each of its polls is one round.
#[test]
fn a_poll_of_100_connections_with_endless_input_begins_few_turns() {
    for halves in [false, true] {
        let (mut tasks, watch) = tasks(100, usize::MAX, halves);
        let cx = &mut Context::from_waker(Waker::noop());
        let mut poll = || {
            let before = watch.turns.load(Ordering::Relaxed);
            tasks.iter_mut().for_each(|task| assert!(task.as_mut().poll(cx).is_pending()));
            watch.turns.load(Ordering::Relaxed) - before
        };
        assert_eq!(poll(), 100, "a connection did not begin with a turn");
        // The queue belongs to the thread and still has connections of earlier tests. These connections use up the
        // first rounds.
        let turns: Vec<_> = (0..150).map(|_| poll()).skip(50).collect();
        assert!(turns.iter().all(|turns| (1..=12).contains(turns)), "halves: {halves}: {turns:?}");
        let most = watch.most_polls.load(Ordering::Relaxed);
        assert!((15..=MAX_POLLS).contains(&most), "halves: {halves}: {most}");
    }
}

/// `FuturesUnordered` polls only futures that were woken. It yields after two futures have woken themselves.
#[test]
fn connections_progress_if_polled_only_after_wakeups() {
    for halves in [false, true] {
        let (tasks, watch) = tasks(100, 3, halves);
        let mut all: FuturesUnordered<_> = tasks.into_iter().collect();
        block_on(&Clock::default(), async { while all.next().await.is_some() {} });
        assert_eq!(watch.turns.load(Ordering::Relaxed), 300);
        let most = watch.most_polls.load(Ordering::Relaxed);
        assert!((8..=MAX_POLLS).contains(&most), "halves: {halves}: {most}");
    }
}

/// The connection, and not the future of a call, owns the position in the queue. So dropping the future does not lose
/// the position.
#[test]
fn dropping_a_call_keeps_the_position_of_the_connection_in_the_queue() {
    // These connections come first in the queue, and are never polled again.
    let (mut others, _) = tasks(100, usize::MAX, false);
    let cx = &mut Context::from_waker(Waker::noop());
    others.iter_mut().for_each(|task| assert!(task.as_mut().poll(cx).is_pending()));
    for halves in [false, true] {
        let (mut ws, counts) = flooded(&Clock::default(), patient());
        let written = || counts.lock().unwrap().written;
        let begins = |mut poll: Box<dyn FnMut() + '_>| {
            poll();
            let before = written();
            let polls = (1..1000).find(|_| {
                poll();
                written() > before
            });
            assert!(polls.is_some_and(|polls| polls <= MAX_POLLS), "halves: {halves}: {polls:?}");
        };
        if halves {
            let (mut reader, mut writer) = ws.split();
            assert!(poll_once(reader.recv()).is_pending());
            assert!(poll_once(reader.recv()).is_pending());
            let before = written();
            assert!(poll_once(writer.send("now")).is_ready());
            assert_eq!(written() - before, 9, "the send waited for a turn");
            begins(Box::new(|| assert!(poll_once(reader.recv()).is_pending())));
        } else {
            assert!(poll_once(ws.recv()).is_pending());
            assert!(poll_once(ws.recv()).is_pending());
            let before = written();
            assert!(poll_once(ws.send("now")).is_ready());
            assert_eq!(written() - before, 9, "the send waited for a turn");
            begins(Box::new(|| assert!(poll_once(ws.recv()).is_pending())));
        }
    }
}

/// A connection that waits in the queue is taken apart and put together again, and later split. After each of these
/// steps it has a turn at once.
#[test]
fn a_websocket_made_from_parts_has_a_turn_at_once() {
    let (mut ws, counts) = flooded(&Clock::default(), patient());
    let mut before = 0;
    let mut has_had_a_turn = || {
        let written = counts.lock().unwrap().written;
        written > std::mem::replace(&mut before, written)
    };
    assert!(poll_once(ws.recv()).is_pending());
    assert!(has_had_a_turn());
    let (stream, connection, inbox) = ws.into_parts();
    let mut ws = WebSocket::from_parts(stream, Clock::default(), connection, inbox);
    assert!(poll_once(ws.recv()).is_pending());
    assert!(has_had_a_turn());
    let (mut reader, _writer) = ws.split();
    assert!(poll_once(reader.recv()).is_pending());
    assert!(has_had_a_turn());
}

/// A group closes, and the peers send endlessly instead of answering. Each connection must still send its Close, and
/// must end at its close timeout.
#[test]
fn a_closed_group_and_deadlines_take_effect_within_bounded_rounds() {
    for halves in [false, true] {
        let (clock, group) = (Clock::default(), Group::new());
        let config = patient().close_timeout(Some(Duration::from_secs(5)));
        let mut tasks: Vec<Task> = Vec::new();
        let (mut counts, mut ends) = (Vec::new(), Vec::new());
        for _ in 0..100 {
            let (mut ws, count) = flooded(&clock, config.clone());
            ws.join(&group);
            counts.push(count);
            let end = Arc::<Mutex<Option<Outcome>>>::default();
            ends.push(Arc::clone(&end));
            if halves {
                let (mut reader, writer) = ws.split();
                tasks.push(Box::pin(async move {
                    *end.lock().unwrap() = Some(reader.wait_closed().await.unwrap());
                    drop(writer);
                }));
            } else {
                tasks.push(Box::pin(async move {
                    *end.lock().unwrap() = Some(ws.wait_closed().await.unwrap());
                }));
            }
        }
        let cx = &mut Context::from_waker(Waker::noop());
        let mut done = vec![false; tasks.len()];
        let mut poll = |rounds| {
            for _ in 0..rounds {
                for (task, done) in tasks.iter_mut().zip(&mut done) {
                    *done = *done || task.as_mut().poll(cx).is_ready();
                }
            }
            done.iter().filter(|done| **done).count()
        };
        assert_eq!(poll(10), 0);
        group.close(CloseCode::GOING_AWAY, "").unwrap();
        assert_eq!(poll(MAX_POLLS), 0);
        // RFC 6455 5.5.1: nothing is written after a Close.
        let written = |counts: &[Arc<Mutex<Counts>>]| {
            counts.iter().map(|counts| counts.lock().unwrap().written).collect::<Vec<_>>()
        };
        let before = written(&counts);
        assert_eq!(poll(MAX_POLLS), 0);
        assert_eq!(written(&counts), before, "halves: {halves}: bytes were written after a Close");
        clock.advance(Duration::from_secs(6));
        assert_eq!(poll(2 * MAX_POLLS), 100, "halves: {halves}: a connection did not end in time");
        for end in ends {
            assert_eq!(
                *end.lock().unwrap(),
                Some(Outcome::TimedOut(hybi::TimerKind::Close)),
                "halves: {halves}"
            );
        }
    }
}

/// Two tasks share a WebSocket by `StreamExt::split`. The sending task does not wait for a turn.
#[test]
fn sending_is_not_delayed_while_the_receiver_waits_for_a_turn() {
    let (mut others, _) = tasks(100, usize::MAX, false);
    let cx = &mut Context::from_waker(Waker::noop());
    others.iter_mut().for_each(|task| assert!(task.as_mut().poll(cx).is_pending()));
    let (ws, counts) = flooded(&Clock::default(), patient());
    let (mut sink, mut stream) = StreamExt::split(ws);
    assert!(pin!(stream.next()).poll(cx).is_pending());
    assert!(pin!(stream.next()).poll(cx).is_pending());
    let before = counts.lock().unwrap().written;
    assert!(pin!(sink.send("now".into())).poll(cx).is_ready());
    assert_eq!(counts.lock().unwrap().written - before, 9);
}

#[cfg(feature = "tokio")]
mod on_tokio {
    use tokio::runtime::Builder;
    use tokio::task::{JoinSet, LocalSet, yield_now};

    use super::*;

    #[test]
    fn a_runtime_with_one_thread_begins_few_turns_in_each_round() {
        let (tasks, watch) = tasks(100, usize::MAX, false);
        Builder::new_current_thread().start_paused(true).enable_time().build().unwrap().block_on(async {
            let mut set = JoinSet::new();
            tasks.into_iter().for_each(|task| drop(set.spawn(task)));
            // Each connection begins with a turn.
            for _ in 0..5 {
                yield_now().await;
            }
            for _ in 0..100 {
                let before = watch.turns.load(Ordering::Relaxed);
                yield_now().await;
                let turns = watch.turns.load(Ordering::Relaxed) - before;
                assert!(turns <= 24, "{turns} turns between two polls of another task");
            }
        });
        assert!(watch.turns.load(Ordering::Relaxed) >= 200);
        assert!(watch.most_polls.load(Ordering::Relaxed) <= MAX_POLLS);
    }

    #[test]
    fn the_only_task_of_a_runtime_progresses() {
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        for halves in [false, true] {
            let (mut tasks, watch) = tasks(1, 100, halves);
            runtime.block_on(tasks.remove(0));
            assert!(watch.most_polls.load(Ordering::Relaxed) <= 2);
            // Outside of a runtime the task wakes itself.
            let (mut tasks, _) = self::tasks(1, 100, halves);
            block_on(&Clock::default(), tasks.remove(0));
        }
    }

    #[test]
    fn tasks_of_one_thread_in_a_multi_thread_runtime_take_turns() {
        let runtime = Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let (tasks, watch) = tasks(20, 10, false);
        let local = LocalSet::new();
        local.block_on(&runtime, async {
            let all: Vec<_> = tasks.into_iter().map(tokio::task::spawn_local).collect();
            for task in all {
                task.await.unwrap();
            }
        });
        assert!(watch.most_polls.load(Ordering::Relaxed) <= MAX_POLLS);
    }

    /// Idle threads take tasks from other threads.
    #[test]
    fn tasks_that_idle_threads_take_over_take_turns() {
        for halves in [false, true] {
            let (tasks, watch) = tasks(40, 10, halves);
            Builder::new_multi_thread().worker_threads(2).build().unwrap().block_on(async {
                let mut set = JoinSet::new();
                tasks.into_iter().for_each(|task| drop(set.spawn(task)));
                set.join_all().await;
            });
            let [turns, polls, most] =
                [&watch.turns, &watch.polls, &watch.most_polls].map(|count| count.load(Ordering::Relaxed));
            println!("{turns} {polls} {most}");
            assert_eq!(turns, 400);
            assert!(most <= MAX_POLLS, "{most}");
        }
    }
}

/// The threads of this executor share one queue, so about every second poll moves a task to another thread.
#[cfg(feature = "async-io")]
#[test]
fn tasks_in_one_queue_for_all_threads_take_turns() {
    for halves in [false, true] {
        let (tasks, watch) = tasks(40, 10, halves);
        let executor = smol::Executor::new();
        let all: Vec<_> = tasks.into_iter().map(|task| executor.spawn(task)).collect();
        let (done, is_done) = smol::channel::bounded::<()>(1);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| smol::block_on(executor.run(is_done.recv())));
            }
            smol::block_on(async {
                for task in all {
                    task.await;
                }
            });
            drop(done);
        });
        let [turns, polls, most] =
            [&watch.turns, &watch.polls, &watch.most_polls].map(|count| count.load(Ordering::Relaxed));
        println!("{turns} {polls} {most}");
        assert_eq!(turns, 400);
        assert!(most <= MAX_POLLS, "{most}");
    }
}
