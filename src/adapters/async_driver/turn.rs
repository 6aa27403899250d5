//! How much one connection does before its task yields, and when it goes on.
//!
//! A turn is what a connection does until its input is used up, or until it has done as much as one turn may. It is
//! bounded by work and not by reads alone: a read of 16 KiB can hold thousands of Pings or tiny messages. Once a turn is
//! over, queued frames are written, timers are looked at and the task yields.
//!
//! That alone bounds one connection. A hundred that flood the server would each have a turn between two turns of
//! everybody else. So connections whose turn is over line up, and in each round of the runtime only the first few of them
//! begin another turn. The others yield again at once.
//!
//! ```text
//!              the turn is over            its ticket is called
//!     Going ---------------------> Waiting ---------------------> Going
//! ```
//!
//! Invariants:
//! - A task that waits wakes itself, and no task has to wake another one. A connection that was dropped, or that nobody
//!   polls any more, holds up nobody.
//! - A connection waits for at most [`MOST_ROUNDS`] polls, whatever others do and whatever thread its task is on. Its
//!   deadlines, and a group that closes, wait for no more than that.
//! - A connection whose turn is not over never waits here, and neither does a call that sends.

use core::cell::Cell;
use core::sync::atomic::{AtomicU32, Ordering};

use crate::Counters;

/// The most reads in one turn.
const MOST_READS: u8 = 16;

/// The most frames that are taken in.
const MOST_FRAMES: u64 = 1024;

/// The most bytes that are taken in.
const MOST_BYTES: u64 = 512 << 10;

/// The most bytes that are inflated: 16 KiB on the wire can come to 16 MiB.
pub(super) const MOST_INFLATED: u32 = 256 << 10;

/// The least number of turns that begin in a round, if as many connections wait. With one instead of four, a third fewer
/// tiny messages were taken in, because the runtime asked for input of others more often.
const LEAST_TURNS: u32 = 4;

/// One in this many of the waiting connections begins a turn in each round. The others yield again, which must cost little
/// beside the turns.
const SHARE: u32 = 16;

/// The most rounds that a connection waits. Connections that lined up together wait between 33 and 48 at the most, so that
/// those that are left do not all go on in the same round. In a line that nobody joins that is an eighth, after 32 rounds in
/// each of which a sixteenth was called.
const MOST_ROUNDS: u32 = 48;

/// What is left of a turn.
#[derive(Debug)]
pub(super) struct Turn {
    /// The turn is over once the counter of received frames is here. 0 while the connection waits for its next turn.
    until_frames: u64,
    state: State,
}

// Every connection has one. It is kept to two words.
#[derive(Debug)]
enum State {
    Going {
        /// The turn is over once the counter of received bytes is here. The two are compared after each read and not for
        /// each message: a read brings 256 KiB at most.
        until_bytes: u64,
        reads: u8,
    },
    /// The turn is over, and the task has yielded.
    Waiting {
        /// How often the task was polled since.
        rounds: u8,
        ticket: Ticket,
    },
}

/// The next thing that a task does whose turn is over.
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
    /// A turn begins, when so much has been `received` altogether.
    pub(super) const fn new(received: Counters) -> Self {
        Self {
            until_frames: received.frames.saturating_add(MOST_FRAMES),
            state: State::Going { until_bytes: received.bytes.saturating_add(MOST_BYTES), reads: 0 },
        }
    }

    /// Whether as many frames were `received` as one turn may have. Also true while the connection waits for its next turn.
    #[inline(always)]
    pub(super) const fn is_over(&self, received: Counters) -> bool {
        received.frames >= self.until_frames
    }

    /// Whether as much was read as one turn may have. Also true while the connection waits for its next turn.
    #[inline(always)]
    pub(super) const fn has_read_enough(&self, received: Counters) -> bool {
        match self.state {
            State::Going { until_bytes, reads } => reads >= MOST_READS || received.bytes >= until_bytes,
            State::Waiting { .. } => true,
        }
    }

    /// Some bytes were read.
    pub(super) const fn count_read(&mut self) {
        if let State::Going { reads, .. } = &mut self.state {
            *reads = reads.saturating_add(1);
        }
    }

    /// A new turn begins.
    pub(super) const fn renew(&mut self, received: Counters) {
        *self = Self::new(received);
    }

    /// What to do next, as the turn is over. Where a new turn begins, [renew](Self::renew) this one.
    pub(super) fn next(&mut self) -> Next {
        match &mut self.state {
            State::Waiting { rounds, ticket } => {
                *rounds = rounds.saturating_add(1);
                // Numbers differ, and so does the most that connections wait.
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

// --- the line ---

/// A place in the line of connections whose turn is over.
#[derive(Debug)]
struct Ticket {
    number: u32,
    /// The round in which its task was polled last.
    round: u32,
    /// The thread whose line it is in.
    thread: u32,
}

/// The line of a thread. Its numbers wrap around.
#[derive(Clone, Copy, Debug)]
struct Line {
    /// A runtime polls all tasks that can go on, then asks for what has become ready: that is a round. The second poll of
    /// the same task shows that another round has begun.
    round: u32,
    /// The number that is drawn next.
    next: u32,
    /// The first number that is not called yet.
    uncalled: u32,
    thread: u32,
}

static THREADS: AtomicU32 = AtomicU32::new(0);

std::thread_local! {
    static LINE: Cell<Line> = {
        let thread = THREADS.fetch_add(1, Ordering::Relaxed);
        Cell::new(Line { round: 0, next: 0, uncalled: 0, thread })
    };
}

impl Line {
    /// How many numbers were drawn and not called.
    const fn waiting(&self) -> u32 {
        self.next.wrapping_sub(self.uncalled)
    }

    const fn draw(&mut self) -> Ticket {
        let ticket = Ticket { number: self.next, round: self.round, thread: self.thread };
        self.next = self.next.wrapping_add(1);
        ticket
    }

    /// Calls this many numbers, or as many as there are. Some of those connections may be gone.
    fn call(&mut self, turns: u32) {
        self.uncalled = self.uncalled.wrapping_add(turns.min(self.waiting()));
    }

    /// Whether `ticket` is called, as its task is polled once more.
    fn calls(&mut self, ticket: &mut Ticket) -> bool {
        if ticket.thread != self.thread {
            return self.takes_over(ticket);
        }
        if ticket.round == self.round {
            // The task was polled before in this round: another one has begun.
            self.round = self.round.wrapping_add(1);
            self.call((self.waiting() / SHARE).max(LEAST_TURNS));
        }
        ticket.round = self.round;
        // A number that is not between the first uncalled one and the next one was called, be it long ago.
        ticket.number.wrapping_sub(self.uncalled) >= self.waiting()
    }

    /// The task has moved here from another thread, where its number stays. Some executors move a task with nearly each
    /// poll, and a thread of tokio that has nothing to do takes half of the tasks of another one.
    fn takes_over(&mut self, ticket: &mut Ticket) -> bool {
        if self.waiting() < LEAST_TURNS {
            // It goes in place of one that was here, for tasks move both ways.
            self.call(1);
            return true;
        }
        *ticket = self.draw();
        false
    }
}

impl Ticket {
    fn draw() -> Self {
        // During thread shutdown there is no line, and no thread has this number.
        with_line(Line::draw).unwrap_or(Self { number: 0, round: 0, thread: u32::MAX })
    }

    /// Whether it is called, as its task is polled once more.
    fn is_called(&mut self) -> bool {
        with_line(|line| line.calls(self)).unwrap_or(true)
    }
}

/// `None` during thread shutdown.
fn with_line<T>(with: impl FnOnce(&mut Line) -> T) -> Option<T> {
    let with = |cell: &Cell<Line>| {
        let mut line = cell.get();
        let result = with(&mut line);
        cell.set(line);
        result
    };
    LINE.try_with(with).ok()
}

#[cfg(test)]
mod tests {
    use std::prelude::v1::*;

    use super::*;

    fn over() -> Turn {
        let mut turn = Turn::new(Counters::default());
        assert_eq!(turn.next(), Next::Yields);
        turn
    }

    /// Polls all of them once, in this order, and gives who begins a turn, which is over at once.
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
    fn it_takes_little_memory() {
        assert_eq!(size_of::<Turn>(), 24);
    }

    #[test]
    fn one_that_is_alone_goes_on_at_once() {
        let mut turn = over();
        for _ in 0..1000 {
            assert_eq!(turn.next(), Next::Begins);
            turn = over();
        }
    }

    #[test]
    fn of_many_a_few_go_on_in_each_round_and_all_in_the_end() {
        for (count, most) in [(2, 2), (4, 4), (5, 4), (64, 4), (100, 6), (1000, 62)] {
            let mut turns: Vec<_> = (0..count).map(|_| over()).collect();
            let mut begun = vec![0_usize; count];
            for n in 0..500 {
                // In whatever order a runtime polls them.
                let now = match n % 3 {
                    0 => round(&mut turns, 0..count),
                    1 => round(&mut turns, (0..count).rev()),
                    _ => round(&mut turns, (0..count).map(|at| (at * 7 + n) % count)),
                };
                assert!(now.len() <= most, "{} of {count}", now.len());
                // The first rounds call those that were dropped in the test before.
                if n >= 100 {
                    assert!(!now.is_empty(), "nobody of {count}");
                    now.iter().for_each(|n| begun[*n] += 1);
                }
            }
            let (least, most) = (begun.iter().min().unwrap(), begun.iter().max().unwrap());
            assert!(*least > 0 && most / least < 2, "{count}: {least} to {most} turns");
        }
    }

    #[test]
    fn those_that_are_dropped_hold_up_nobody() {
        let gone: Vec<_> = (0..1000).map(|_| over()).collect();
        drop(gone);
        let mut turn = over();
        let waited = (0..1000).find(|_| turn.next() == Next::Begins);
        assert!(waited.is_some_and(|rounds| rounds < 100), "{waited:?}");
    }

    /// Polls `count` tasks once a round, each on one of `threads`: on the thread that polled it last, but once in `moves`
    /// polls on any. Returns the most turns that began in a round, and how many began in all of 500 rounds.
    fn turns_of_moving_tasks(count: usize, threads: u32, moves: u32) -> (usize, usize) {
        let mut random = 1_u64;
        let mut below = |most: u32| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            u32::try_from((random >> 33) % u64::from(most)).unwrap()
        };
        // The line that lies there when a task is polled stands for a thread.
        let line = |thread| Line { round: 0, next: 0, uncalled: 0, thread };
        let mut lines: Vec<_> = (1000..1000 + threads).map(line).collect();
        let mut tasks: Vec<_> = (0..count).map(|_| (over(), 0, 0)).collect();
        let (mut all, mut most) = (0, 0);
        for round in 0..600 {
            let mut begun = 0;
            for (turn, at, polls) in &mut tasks {
                if below(moves) == 0 {
                    *at = usize::try_from(below(threads)).unwrap();
                }
                LINE.set(lines[*at]);
                *polls += 1;
                if turn.next() == Next::Begins {
                    (*turn, *polls) = (over(), 0);
                    begun += 1;
                }
                lines[*at] = LINE.get();
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
    fn tasks_that_move_between_threads_line_up_too() {
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
    fn a_task_that_another_thread_polls_each_time_goes_on_at_once() {
        let mut turn = over();
        let home = LINE.get();
        let mut lines = [home, Line { thread: 1000, ..home }];
        for _ in 0..1000 {
            lines.reverse();
            LINE.set(lines[0]);
            assert_eq!(turn.next(), Next::Begins);
            turn = over();
            lines[0] = LINE.get();
        }
    }

    /// A connection that was not polled while 2,000,000,000 others were called.
    #[test]
    fn a_number_that_was_called_long_ago_is_called() {
        let mut turn = over();
        let line = LINE.get();
        let next = line.next.wrapping_add(1 << 31);
        LINE.set(Line { next, uncalled: next, ..line });
        assert_eq!(turn.next(), Next::Begins);
    }

    #[test]
    fn numbers_wrap_around() {
        let next = u32::MAX - 50;
        LINE.set(Line { round: u32::MAX - 3, next, uncalled: next, ..LINE.get() });
        let mut turns: Vec<_> = (0..100).map(|_| over()).collect();
        let mut begun = vec![false; 100];
        for _ in 0..40 {
            round(&mut turns, 0..100).into_iter().for_each(|n| begun[n] = true);
        }
        assert!(begun.into_iter().all(|begun| begun));
    }
}
