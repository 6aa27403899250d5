//! Fairness between connections: how much one connection does before its task yields, and when its next turn begins.
//!
//! A turn is the work of a connection until its input is used up, or until a limit of work is reached. Reads alone are
//! no limit: a read of 16 KiB can hold thousands of Pings or tiny messages. At the end of a turn the connection writes
//! its queue, runs due timers, and yields.
//!
//! The limit bounds one connection. With it alone, a hundred connections that flood the server would each have a turn
//! between two turns of any other connection. So connections that used up a turn draw a ticket, and in each round of
//! the runtime only the tickets of the first few are called. The others yield again at once.
//!
//! ```text
//!              the turn is over            its ticket is called
//!     Going ---------------------> Waiting ---------------------> Going
//! ```
//!
//! Invariants:
//! - A task that waits wakes itself, and no task has to wake another one. A connection that was dropped, or that is not
//!   polled any more, delays no other.
//! - A connection waits for at most [`MOST_ROUNDS`] polls, whatever other connections do and on whatever thread its
//!   task runs. Its deadlines, and the closing of its group, are late by no more than that.
//! - A connection whose turn is not over never waits here, and neither does a call that sends.

use core::cell::Cell;
use core::sync::atomic::{AtomicU32, Ordering};

use crate::Counters;

/// Maximum number of reads in one turn.
const MOST_READS: u8 = 16;

/// Maximum number of frames that are received in one turn.
const MOST_FRAMES: u64 = 1024;

/// Maximum number of bytes that are received in one turn.
const MOST_BYTES: u64 = 512 << 10;

/// Maximum number of bytes that are inflated in one turn. 16 KiB on the wire can expand to 16 MiB.
pub(super) const MOST_INFLATED: u32 = 256 << 10;

/// Minimum number of turns that begin in a round, if as many connections wait. With one instead of four, a third fewer
/// tiny messages were received, because the runtime looked for the input of other connections more often.
const LEAST_TURNS: u32 = 4;

/// One in this many of the waiting connections begins a turn in each round. The others yield again, and the cost of
/// that must be small beside the turns.
const SHARE: u32 = 16;

/// Maximum number of rounds that a connection waits.
///
/// The limit of a connection is between 33 and this number, depending on its ticket. So connections that drew their
/// tickets together do not all begin in the same round. If no other connection joins the queue, an eighth of them is
/// left after 32 rounds, in each of which a sixteenth was called.
const MOST_ROUNDS: u32 = 48;

/// The turn of a connection, or its wait for the next one.
#[derive(Debug)]
pub(super) struct Turn {
    /// The turn is over when the counter of received frames reaches this number. 0 while the connection waits.
    until_frames: u64,
    state: State,
}

// Kept to two words, because every connection has one.
#[derive(Debug)]
enum State {
    /// The connection may work.
    Going {
        /// The turn is over when the counter of received bytes reaches this number. They are compared after each read
        /// and not for each message, because a read brings 256 KiB at most.
        until_bytes: u64,
        /// The number of reads in this turn.
        reads: u8,
    },
    /// The turn is over, and the task has yielded.
    Waiting {
        /// How often the task was polled since then.
        rounds: u8,
        ticket: Ticket,
    },
}

/// The next step of a task whose turn is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// Writes what is queued, and yields for the first time.
    Yields,
    /// Yields again.
    Waits,
    /// Begins a new turn.
    Begins,
}

impl Turn {
    /// Begins a turn of a connection with the counters `received`.
    pub(super) const fn new(received: Counters) -> Self {
        Self {
            until_frames: received.frames.saturating_add(MOST_FRAMES),
            state: State::Going { until_bytes: received.bytes.saturating_add(MOST_BYTES), reads: 0 },
        }
    }

    /// Whether the turn has reached its limit of frames. Also true while the connection waits for its next turn.
    #[inline(always)]
    pub(super) const fn is_over(&self, received: Counters) -> bool {
        received.frames >= self.until_frames
    }

    /// Whether the turn has reached its limit of reads or bytes. Also true while the connection waits for its next
    /// turn.
    #[inline(always)]
    pub(super) const fn has_read_enough(&self, received: Counters) -> bool {
        match self.state {
            State::Going { until_bytes, reads } => reads >= MOST_READS || received.bytes >= until_bytes,
            State::Waiting { .. } => true,
        }
    }

    /// Counts a read.
    pub(super) const fn count_read(&mut self) {
        if let State::Going { reads, .. } = &mut self.state {
            *reads = reads.saturating_add(1);
        }
    }

    /// Replaces this turn with a new one.
    pub(super) const fn renew(&mut self, received: Counters) {
        *self = Self::new(received);
    }

    /// Returns the next step after the end of the turn. On [`Next::Begins`] the caller must call [`Self::renew`].
    pub(super) fn next(&mut self) -> Next {
        match &mut self.state {
            State::Waiting { rounds, ticket } => {
                *rounds = rounds.saturating_add(1);
                // The limit differs from ticket to ticket, so that connections do not all begin in the same round.
                let waited = u32::from(*rounds) + ticket.number % SHARE;
                if ticket.is_called() || waited >= MOST_ROUNDS { Next::Begins } else { Next::Waits }
            }
            State::Going { .. } => {
                *self = Self { until_frames: 0, state: State::Waiting { rounds: 0, ticket: Ticket::draw() } };
                Next::Yields
            }
        }
    }
}

// --- the ticket queue of a thread ---

/// The position of a connection in the queue of connections whose turn is over.
#[derive(Debug)]
struct Ticket {
    number: u32,
    /// The round in which the task was polled last.
    round: u32,
    /// The thread that issued the ticket.
    thread: u32,
}

/// The ticket queue of a thread. Its numbers wrap around.
#[derive(Clone, Copy, Debug)]
struct TicketQueue {
    /// The number of the current round. In a round the runtime polls all tasks that were woken, then looks for input.
    /// The second poll of the same task shows that another round has begun.
    round: u32,
    /// The number that is drawn next.
    next: u32,
    /// The first number that is not called yet.
    uncalled: u32,
    thread: u32,
}

static THREADS: AtomicU32 = AtomicU32::new(0);

std::thread_local! {
    static QUEUE: Cell<TicketQueue> = {
        let thread = THREADS.fetch_add(1, Ordering::Relaxed);
        Cell::new(TicketQueue { round: 0, next: 0, uncalled: 0, thread })
    };
}

impl TicketQueue {
    /// Returns how many numbers were drawn and not called.
    const fn waiting(&self) -> u32 {
        self.next.wrapping_sub(self.uncalled)
    }

    /// Issues the next ticket.
    const fn draw(&mut self) -> Ticket {
        let ticket = Ticket { number: self.next, round: self.round, thread: self.thread };
        self.next = self.next.wrapping_add(1);
        ticket
    }

    /// Calls `turns` numbers, or all that wait. Some of their connections may have been dropped.
    fn call(&mut self, turns: u32) {
        self.uncalled = self.uncalled.wrapping_add(turns.min(self.waiting()));
    }

    /// Whether `ticket` is called. To be asked once for each poll of its task.
    fn calls(&mut self, ticket: &mut Ticket) -> bool {
        if ticket.thread != self.thread {
            return self.takes_over(ticket);
        }
        if ticket.round == self.round {
            // The task was polled in this round before, so another round has begun.
            self.round = self.round.wrapping_add(1);
            self.call((self.waiting() / SHARE).max(LEAST_TURNS));
        }
        ticket.round = self.round;
        // All numbers outside of `uncalled..next` were called, however long ago.
        ticket.number.wrapping_sub(self.uncalled) >= self.waiting()
    }

    /// Accepts a task from another thread, where its number stays unused. Returns whether its turn begins at once.
    ///
    /// Some executors move a task with nearly each poll. An idle thread of tokio takes half of the tasks of another
    /// one.
    fn takes_over(&mut self, ticket: &mut Ticket) -> bool {
        if self.waiting() < LEAST_TURNS {
            // The task begins instead of one that has left this thread, because tasks move both ways.
            self.call(1);
            return true;
        }
        *ticket = self.draw();
        false
    }
}

impl Ticket {
    fn draw() -> Self {
        // During thread shutdown there is no queue. No thread has this number, so the ticket counts as moved later.
        with_queue(TicketQueue::draw).unwrap_or(Self { number: 0, round: 0, thread: u32::MAX })
    }

    /// Whether the ticket is called. To be asked once for each poll of its task.
    fn is_called(&mut self) -> bool {
        with_queue(|queue| queue.calls(self)).unwrap_or(true)
    }
}

/// Calls `with` with the queue of this thread. Returns `None` during thread shutdown.
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

    /// A turn that is over.
    fn over() -> Turn {
        let mut turn = Turn::new(Counters::default());
        assert_eq!(turn.next(), Next::Yields);
        turn
    }

    /// Polls all connections once, in this order, and returns those that begin a turn. Each turn is over at once.
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
    fn a_few_of_many_connections_begin_in_each_round_and_each_does_in_the_end() {
        for (count, most) in [(2, 2), (4, 4), (5, 4), (64, 4), (100, 6), (1000, 62)] {
            let mut turns: Vec<_> = (0..count).map(|_| over()).collect();
            let mut begun = vec![0_usize; count];
            for n in 0..500 {
                // A runtime may poll them in any order.
                let now = match n % 3 {
                    0 => round(&mut turns, 0..count),
                    1 => round(&mut turns, (0..count).rev()),
                    _ => round(&mut turns, (0..count).map(|at| (at * 7 + n) % count)),
                };
                assert!(now.len() <= most, "{} of {count}", now.len());
                // The first rounds call connections that the previous test dropped.
                if n >= 100 {
                    assert!(!now.is_empty(), "none of {count}");
                    now.iter().for_each(|n| begun[*n] += 1);
                }
            }
            let (least, most) = (begun.iter().min().unwrap(), begun.iter().max().unwrap());
            assert!(*least > 0 && most / least < 2, "{count}: {least} to {most} turns");
        }
    }

    #[test]
    fn dropped_connections_delay_no_other() {
        let gone: Vec<_> = (0..1000).map(|_| over()).collect();
        drop(gone);
        let mut turn = over();
        let waited = (0..1000).find(|_| turn.next() == Next::Begins);
        assert!(waited.is_some_and(|rounds| rounds < 100), "{waited:?}");
    }

    /// Polls `count` tasks once a round, each on one of `threads`: on the thread that polled it last, but once in
    /// `moves` polls on any. Returns the most turns that began in a round, and how many began in all of 500 rounds.
    fn turns_of_moving_tasks(count: usize, threads: u32, moves: u32) -> (usize, usize) {
        let mut random = 1_u64;
        let mut below = |most: u32| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            u32::try_from((random >> 33) % u64::from(most)).unwrap()
        };
        // Each queue stands for a thread: it is put in place before a task of that thread is polled.
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
                assert!(*polls < MOST_ROUNDS, "{count} tasks on {threads} threads: one waits too long");
            }
            if round >= 100 {
                all += begun;
                most = most.max(begun);
            }
        }
        (most, all)
    }

    #[test]
    fn tasks_that_move_between_threads_wait_too() {
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
    fn a_task_that_another_thread_polls_each_time_begins_at_once() {
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

    /// The connection was not polled while 2,000,000,000 others were called.
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
