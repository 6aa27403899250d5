//! Fairness between connections. Decides how much work a connection does before its task yields, and when its next turn
//! begins.
//!
//! A turn is the work of a connection until all its input is decoded, or until a limit of the turn is reached. The
//! limits count reads, frames, bytes and inflated bytes. A limit of reads alone is not enough: one read of 16 KiB can
//! contain thousands of Pings or tiny messages. At a limit, the connection writes its queue, runs the timers that are
//! due, and yields to other tasks.
//!
//! The limits bound the turn of one connection. But if a hundred peers send without pause, another connection would
//! wait for a hundred turns. So a connection that has reached a limit draws a ticket, a position in a queue of its
//! thread. In each round, in which the runtime polls all woken tasks once, only the first few tickets are called. A
//! connection whose ticket is called begins its next turn. The other connections yield again at once.
//!
//! ```text
//!              the turn is over            its ticket is called
//!     Going ---------------------> Waiting ---------------------> Going
//! ```
//!
//! Invariants:
//! - A task that waits wakes itself, so no task depends on another task for its wakeup. A connection that was dropped,
//!   or that is no longer polled, does not delay other connections.
//! - A connection waits for at most [`MAX_ROUNDS`] polls. This maximum does not depend on other connections, or on the
//!   thread of the task. The timers of the connection, and the closing of its group, are late by at most this number of
//!   polls.
//! - A connection whose turn is not over never waits for a ticket. A call that sends never waits for a ticket.

use core::cell::Cell;
use core::sync::atomic::{AtomicU32, Ordering};

use crate::Counters;

/// Maximum number of reads in one turn.
const MAX_READS: u8 = 16;

/// Maximum number of frames that are received in one turn.
const MAX_FRAMES: u64 = 1024;

/// Maximum number of bytes that are received in one turn.
const MAX_BYTES: u64 = 512 << 10;

/// Maximum number of bytes that are inflated in one turn. The limit on received bytes does not bound this work, because
/// 16 KiB of compressed data can expand to 16 MiB.
pub(super) const MAX_INFLATED: u32 = 256 << 10;

/// Minimum number of turns that begin in a round if at least this many connections wait. With 1 instead of 4, a server
/// received a third fewer tiny messages: the runtime checks for input after each round, and rounds with one turn are
/// short.
const MIN_CALLED_PER_ROUND: u32 = 4;

/// In each round, one in this many waiting connections begins a turn. The other connections yield again, which costs
/// time. A share of one sixteenth keeps this cost small compared with the work of the turns.
const CALLED_PER_ROUND_DIVISOR: u32 = 16;

/// Maximum number of rounds for which a connection waits.
///
/// Each connection has its own limit between 33 and this number, which depends on the number of its ticket. Otherwise
/// many connections that drew their tickets in one round would all reach the limit in the same round. In each round a
/// sixteenth of the tickets is called, so after 32 rounds only about an eighth of the connections still waits.
const MAX_ROUNDS: u32 = 48;

/// The turn of a connection, or its wait for the next turn.
#[derive(Debug)]
pub(super) struct Turn {
    /// The turn is over when the counter of received frames reaches this number. This field is 0 while the connection
    /// waits, so that [`Self::is_over`] needs only one comparison.
    frame_limit: u64,
    state: State,
}

// Every connection has a `Turn`, so it should be small. A test checks that it has 24 bytes.
#[derive(Debug)]
enum State {
    /// The connection is in a turn.
    Going {
        /// The turn is over when the counter of received bytes reaches this number. The comparison is made before each
        /// read, not for each message.
        until_bytes: u64,
        /// The number of reads in this turn.
        reads: u8,
    },
    /// The turn is over, and the task has yielded.
    Waiting {
        /// The number of polls since the task has yielded.
        rounds: u8,
        ticket: Ticket,
    },
}

/// The next step of a task whose turn is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// The task writes its queue, and yields for the first time after the turn.
    Yields,
    /// The task yields again.
    Waits,
    /// The task begins a new turn.
    Begins,
}

impl Turn {
    /// Creates a turn of a connection. `received` has the current counters of the connection.
    pub(super) const fn new(received: Counters) -> Self {
        Self {
            frame_limit: received.frames.saturating_add(MAX_FRAMES),
            state: State::Going { until_bytes: received.bytes.saturating_add(MAX_BYTES), reads: 0 },
        }
    }

    /// Returns whether the turn has reached the limit of frames. Also returns `true` while the connection waits for its
    /// next turn.
    #[inline(always)]
    pub(super) const fn is_over(&self, received: Counters) -> bool {
        received.frames >= self.frame_limit
    }

    /// Returns whether the turn has reached the limit of reads or of bytes. Also returns `true` while the connection
    /// waits for its next turn.
    #[inline(always)]
    pub(super) const fn has_read_enough(&self, received: Counters) -> bool {
        match self.state {
            State::Going { until_bytes, reads } => reads >= MAX_READS || received.bytes >= until_bytes,
            State::Waiting { .. } => true,
        }
    }

    /// Counts a read.
    pub(super) const fn count_read(&mut self) {
        if let State::Going { reads, .. } = &mut self.state {
            *reads = reads.saturating_add(1);
        }
    }

    /// Begins a new turn. `received` has the current counters of the connection.
    pub(super) const fn renew(&mut self, received: Counters) {
        *self = Self::new(received);
    }

    /// Returns the next step of a task whose turn is over. Call this once for each poll of the task. After
    /// [`Next::Begins`] the caller must call [`Self::renew`].
    pub(super) fn next(&mut self) -> Next {
        match &mut self.state {
            State::Waiting { rounds, ticket } => {
                *rounds = rounds.saturating_add(1);
                // The limit depends on the ticket, so that not all connections reach it in the same round.
                let waited = u32::from(*rounds) + ticket.number % CALLED_PER_ROUND_DIVISOR;
                if ticket.is_called() || waited >= MAX_ROUNDS { Next::Begins } else { Next::Waits }
            }
            State::Going { .. } => {
                *self = Self { frame_limit: 0, state: State::Waiting { rounds: 0, ticket: Ticket::draw() } };
                Next::Yields
            }
        }
    }
}

// --- the ticket queue of a thread ---

/// The position of a connection in the ticket queue of a thread.
#[derive(Debug)]
struct Ticket {
    number: u32,
    /// The round in which the task was last polled.
    round: u32,
    /// The identifier of the thread that issued the ticket.
    thread: u32,
}

/// The ticket queue of a thread. Ticket numbers and round numbers wrap around.
#[derive(Clone, Copy, Debug)]
struct TicketQueue {
    /// The number of the current round. In a round the runtime polls all woken tasks once, and then checks for input. A
    /// task that waits is polled once in each round, so its second poll shows that a new round has begun.
    round: u32,
    /// The number of the next ticket.
    next: u32,
    /// The first number that is not called yet. The tickets from this number up to `next` are waiting.
    uncalled: u32,
    thread: u32,
}

static NEXT_THREAD_ID: AtomicU32 = AtomicU32::new(0);

std::thread_local! {
    static QUEUE: Cell<TicketQueue> = {
        let thread = NEXT_THREAD_ID.fetch_add(1, Ordering::Relaxed);
        Cell::new(TicketQueue { round: 0, next: 0, uncalled: 0, thread })
    };
}

impl TicketQueue {
    /// Returns how many tickets were issued and not called.
    const fn waiting(&self) -> u32 {
        self.next.wrapping_sub(self.uncalled)
    }

    /// Issues the next ticket.
    const fn draw(&mut self) -> Ticket {
        let ticket = Ticket { number: self.next, round: self.round, thread: self.thread };
        self.next = self.next.wrapping_add(1);
        ticket
    }

    /// Calls the next `turns` tickets, or all if fewer are waiting. Some of these tickets may belong to connections
    /// that were dropped.
    fn call(&mut self, turns: u32) {
        self.uncalled = self.uncalled.wrapping_add(turns.min(self.waiting()));
    }

    /// Returns whether `ticket` is called. Call this once for each poll of the task, because the second call in a round
    /// begins the next round.
    fn calls(&mut self, ticket: &mut Ticket) -> bool {
        if ticket.thread != self.thread {
            return self.admit_moved_task(ticket);
        }
        if ticket.round == self.round {
            // The task was already polled in this round, so a new round has begun.
            self.round = self.round.wrapping_add(1);
            self.call((self.waiting() / CALLED_PER_ROUND_DIVISOR).max(MIN_CALLED_PER_ROUND));
        }
        ticket.round = self.round;
        // All numbers outside of `uncalled..next` were called. This is also true for tickets that were called long ago,
        // as long as the numbers have not wrapped around.
        ticket.number.wrapping_sub(self.uncalled) >= self.waiting()
    }

    /// Handles a ticket of another thread, after the task of the ticket has moved to this thread. The old ticket is
    /// abandoned. Returns whether the turn begins at once. If not, the task gets a ticket of this thread.
    ///
    /// Tasks can move often: some executors move a task in nearly each poll, and an idle thread of tokio takes half of
    /// the tasks of another thread.
    fn admit_moved_task(&mut self, ticket: &mut Ticket) -> bool {
        if self.waiting() < MIN_CALLED_PER_ROUND {
            // Tasks move in both directions. So this task begins a turn in place of a task that has left this thread.
            self.call(1);
            return true;
        }
        *ticket = self.draw();
        false
    }
}

impl Ticket {
    fn draw() -> Self {
        // During thread shutdown there is no queue. No thread has the identifier `u32::MAX`, so another thread treats
        // this ticket as one of a task that has moved.
        with_queue(TicketQueue::draw).unwrap_or(Self { number: 0, round: 0, thread: u32::MAX })
    }

    /// Returns whether the ticket is called. Call this once for each poll of the task.
    fn is_called(&mut self) -> bool {
        with_queue(|queue| queue.calls(self)).unwrap_or(true)
    }
}

/// Calls `with` with the ticket queue of this thread. Returns `None` during thread shutdown.
fn with_queue<T>(with: impl FnOnce(&mut TicketQueue) -> T) -> Option<T> {
    let with = |cell: &Cell<TicketQueue>| {
        let mut queue = cell.get();
        let result = with(&mut queue);
        cell.set(queue);
        result
    };
    QUEUE.try_with(with).ok()
}

#[cfg(test)]
mod tests {
    use std::prelude::v1::*;

    use super::*;

    /// Returns a turn that is over.
    fn over() -> Turn {
        let mut turn = Turn::new(Counters::default());
        assert_eq!(turn.next(), Next::Yields);
        turn
    }

    /// Polls the connections once, in the given order, and returns the connections that begin a turn. Each turn ends at
    /// once.
    fn round(turns: &mut [Turn], order: impl Iterator<Item = usize>) -> Vec<usize> {
        let mut begun = Vec::new();
        for n in order {
            if turns[n].next() == Next::Begins {
                turns[n] = over();
                begun.push(n);
            }
        }
        begun
    }

    #[test]
    fn a_turn_takes_24_bytes() {
        assert_eq!(size_of::<Turn>(), 24);
    }

    #[test]
    fn a_single_connection_begins_its_next_turn_at_once() {
        let mut turn = over();
        for _ in 0..1000 {
            assert_eq!(turn.next(), Next::Begins);
            turn = over();
        }
    }

    #[test]
    fn each_round_begins_a_few_turns_and_every_connection_gets_turns() {
        for (count, most) in [(2, 2), (4, 4), (5, 4), (64, 4), (100, 6), (1000, 62)] {
            let mut turns: Vec<_> = (0..count).map(|_| over()).collect();
            let mut begun = vec![0_usize; count];
            for n in 0..500 {
                // A runtime may poll the tasks in any order.
                let now = match n % 3 {
                    0 => round(&mut turns, 0..count),
                    1 => round(&mut turns, (0..count).rev()),
                    _ => round(&mut turns, (0..count).map(|at| (at * 7 + n) % count)),
                };
                assert!(now.len() <= most, "{} of {count} connections began", now.len());
                // The first 100 rounds are not counted: they also call tickets of connections that the previous case
                // has dropped.
                if n >= 100 {
                    assert!(!now.is_empty(), "no turn of {count} connections began");
                    now.iter().for_each(|n| begun[*n] += 1);
                }
            }
            let (least, most) = (begun.iter().min().unwrap(), begun.iter().max().unwrap());
            assert!(*least > 0 && most / least < 2, "{count}: {least} to {most} turns");
        }
    }

    #[test]
    fn dropped_connections_do_not_delay_other_connections() {
        let gone: Vec<_> = (0..1000).map(|_| over()).collect();
        drop(gone);
        let mut turn = over();
        let waited = (0..1000).find(|_| turn.next() == Next::Begins);
        assert!(waited.is_some_and(|rounds| rounds < 100), "{waited:?}");
    }

    /// Polls `count` tasks once in each round, on `threads` threads. Before a poll, a task moves to a random thread
    /// with the probability 1/`moves`. Returns the largest number of turns that began in one round, and the number of
    /// turns that began in 500 rounds.
    fn turns_of_moving_tasks(count: usize, threads: u32, moves: u32) -> (usize, usize) {
        let mut random = 1_u64;
        let mut below = |most: u32| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            u32::try_from((random >> 33) % u64::from(most)).unwrap()
        };
        // Each queue represents a thread. Before a task is polled, the queue of its thread is stored in `QUEUE`.
        let queue = |thread| TicketQueue { round: 0, next: 0, uncalled: 0, thread };
        let mut queues: Vec<_> = (1000..1000 + threads).map(queue).collect();
        let mut tasks: Vec<_> = (0..count).map(|_| (over(), 0, 0)).collect();
        let (mut all, mut most) = (0, 0);
        for round in 0..600 {
            let mut begun = 0;
            for (turn, at, polls) in &mut tasks {
                if below(moves) == 0 {
                    *at = usize::try_from(below(threads)).unwrap();
                }
                QUEUE.set(queues[*at]);
                *polls += 1;
                if turn.next() == Next::Begins {
                    (*turn, *polls) = (over(), 0);
                    begun += 1;
                }
                queues[*at] = QUEUE.get();
                assert!(*polls < MAX_ROUNDS, "{count} tasks on {threads} threads: a task waits too long");
            }
            if round >= 100 {
                all += begun;
                most = most.max(begun);
            }
        }
        (most, all)
    }

    #[test]
    fn tasks_that_move_between_threads_also_wait_for_their_turns() {
        for threads in [1, 2, 4, 8] {
            for moves in [1, 2, 10, 100] {
                for count in [1, 4, 10, 100, 1000] {
                    let (most, all) = turns_of_moving_tasks(count, threads, moves);
                    let case = format!("{count} tasks on {threads} threads: {most}, {all}");
                    let least = 4 * usize::try_from(threads).unwrap();
                    assert!(most <= count.min(2 * least + count / 12), "{case}");
                    assert!(all >= 500 * count.min(4) / 2, "{case}");
                }
            }
        }
    }

    #[test]
    fn a_task_that_moves_before_each_poll_begins_at_once() {
        let mut turn = over();
        let home = QUEUE.get();
        let mut queues = [home, TicketQueue { thread: 1000, ..home }];
        for _ in 0..1000 {
            queues.reverse();
            QUEUE.set(queues[0]);
            assert_eq!(turn.next(), Next::Begins);
            turn = over();
            queues[0] = QUEUE.get();
        }
    }

    /// The connection was not polled while the tickets of 2^31 other connections were called.
    #[test]
    fn a_ticket_that_was_called_long_ago_is_called() {
        let mut turn = over();
        let queue = QUEUE.get();
        let next = queue.next.wrapping_add(1 << 31);
        QUEUE.set(TicketQueue { next, uncalled: next, ..queue });
        assert_eq!(turn.next(), Next::Begins);
    }

    #[test]
    fn ticket_numbers_wrap_around() {
        let next = u32::MAX - 50;
        QUEUE.set(TicketQueue { round: u32::MAX - 3, next, uncalled: next, ..QUEUE.get() });
        let mut turns: Vec<_> = (0..100).map(|_| over()).collect();
        let mut begun = vec![false; 100];
        for _ in 0..40 {
            round(&mut turns, 0..100).into_iter().for_each(|n| begun[n] = true);
        }
        assert!(begun.into_iter().all(|begun| begun));
    }
}
