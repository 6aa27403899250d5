//! Scripted peers: a script says what they read, what they send, and whether they end.
//!
//! Their frames are valid, so only their pace can be a problem. A peer that lives longer than
//! [`OVER`](crate::script::OVER) drops its stream.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};
use hybi::{Connection, Event, Inbox, Instant, MessageKind, TransportAction};

use crate::clock::{MS, SECOND};
use crate::driver::{self, Making, Task};
use crate::journal::{self, Fate};
use crate::setup::LAST;
use crate::stream::SimStream;

/// Time by which every connection of the library must have ended.
const OVER: u64 = LAST + 30 * SECOND;

/// Maximum number of Pings that a peer sends.
const MOST_PINGS: usize = 2000;

/// How a peer reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reads {
    Everything,
    Nothing,
    /// Reads this many bytes at once, and then nothing for this time.
    Some(usize, u64),
}

/// What a peer sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Says {
    Nothing,
    /// Answers Pings and the Close.
    Answers,
    /// Sends this many bytes of a message at once, then nothing for this time. Answers are sent in between.
    Trickle(usize, u64),
    /// Sends this many Pings at once, at this interval.
    Pings(usize, u64),
    /// Sends a message at this interval.
    Messages(u64),
}

/// The script of a peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Script {
    pub reads: Reads,
    pub says: Says,
    /// From this time on the peer neither reads nor writes, and keeps its stream open.
    pub gone_from: u64,
    /// At this time the peer ends its half of the stream without a Close.
    pub half_closes_at: u64,
    /// The peer ends its stream after both Closes.
    pub ends: bool,
}

impl Script {
    /// Returns whether the peer answers at once.
    pub const fn answers_at_once(&self) -> bool {
        matches!(self.reads, Reads::Everything)
            && matches!(self.says, Says::Answers | Says::Pings(..) | Says::Messages(_))
            && self.gone_from > OVER
            && self.half_closes_at > OVER
    }
}

struct Peer {
    stream: SimStream,
    connection: Connection,
    inbox: Inbox,
    script: Script,
    /// The times of the next read and of the next send.
    reads_at: u64,
    says_at: u64,
    /// Number of bytes that may be written now.
    allowance: usize,
    said: usize,
    shut_down: bool,
}

/// Plays a peer.
pub async fn play(mut task: Task, making: Making, script: Script) {
    let mut peer = Peer {
        stream: SimStream::new(&task.world, task.end),
        connection: driver::connection(Instant::ZERO, &making),
        inbox: Inbox::empty(),
        script,
        reads_at: 0,
        says_at: 0,
        allowance: 0,
        said: 0,
        shut_down: false,
    };
    std::future::poll_fn(|cx| peer.poll(&mut task, cx)).await;
}

impl Peer {
    /// Does everything that is possible now. Returns ready when the peer has ended.
    fn poll(&mut self, task: &mut Task, cx: &mut Context<'_>) -> Poll<()> {
        let now = task.now();
        if now >= OVER {
            return Poll::Ready(());
        }
        if now >= self.script.gone_from {
            return task.alarm.poll(cx, OVER);
        }
        if now >= self.script.half_closes_at {
            self.allowance = 0;
            self.shut_down = self.shut_down || Pin::new(&mut self.stream).poll_close(cx).is_ready();
        } else {
            self.say(task, now);
        }
        if self.read(now, cx) {
            return Poll::Ready(());
        }
        self.write(cx);
        let next = [self.reads_at, self.says_at, self.script.gone_from, self.script.half_closes_at, OVER];
        let next = next.into_iter().filter(|at| *at > now).min();
        if task.alarm.poll(cx, next.unwrap_or(OVER)).is_ready() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Queues what is due to be sent.
    fn say(&mut self, task: &mut Task, now: u64) {
        if now < self.says_at {
            return;
        }
        match self.script.says {
            Says::Nothing => (self.says_at, self.allowance) = (OVER, 0),
            Says::Answers => (self.says_at, self.allowance) = (OVER, usize::MAX),
            Says::Trickle(bytes, pause) => {
                if self.connection.buffered_amount() == 0 {
                    self.message(task, 50_000);
                }
                (self.says_at, self.allowance) = (now + pause, bytes);
            }
            Says::Pings(count, pause) => {
                let count = count.min(MOST_PINGS - self.said);
                for _ in 0..count {
                    self.said += 1;
                    // Only a few Pings are queued, and a closing connection accepts none.
                    let _ = self.connection.ping(Instant::ZERO, format!("{}", self.said).as_bytes());
                }
                (self.says_at, self.allowance) = (now + pause, usize::MAX);
            }
            Says::Messages(pause) => {
                self.message(task, 40);
                (self.says_at, self.allowance) = (now + pause, usize::MAX);
            }
        }
    }

    fn message(&mut self, task: &mut Task, len: usize) {
        let number = task.world.journals[task.end].borrow().entries.len();
        let (kind, data) = journal::message(&mut task.random, number, len);
        let sent = match kind {
            MessageKind::Text => self.connection.send_text(std::str::from_utf8(&data).unwrap()),
            MessageKind::Binary => self.connection.send_binary(&data),
        };
        if sent.is_ok() {
            let mut journal = task.world.journals[task.end].borrow_mut();
            let place = journal.offer(kind, data);
            journal.apply(place, Fate::Unknown);
        }
    }

    /// Reads as the script says. Returns whether the stream has ended.
    fn read(&mut self, now: u64, cx: &mut Context<'_>) -> bool {
        let (most, pause) = match self.script.reads {
            Reads::Everything => (usize::MAX, 0),
            Reads::Nothing => return false,
            Reads::Some(..) if now < self.reads_at => return false,
            Reads::Some(most, pause) => (most, pause),
        };
        let mut left = most;
        while left > 0 {
            let space = self.connection.read_space(&mut self.inbox);
            let most = space.len().min(left);
            match Pin::new(&mut self.stream).poll_read(cx, &mut space[..most]) {
                Poll::Pending => return false,
                Poll::Ready(Ok(len)) if len > 0 => {
                    self.inbox.handle_read(len);
                    left -= len;
                }
                Poll::Ready(Err(error)) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Poll::Ready(_) => return true,
            }
            // The peer discards events. Its connection answers them.
            while let Some(Event::Closed(_) | _) = self
                .connection
                .poll_event(Instant::ZERO, &mut self.inbox)
                .expect("what the library sends is right")
            {}
        }
        self.reads_at = now + pause;
        false
    }

    /// Writes as many bytes as the script allows.
    fn write(&mut self, cx: &mut Context<'_>) {
        while self.allowance > 0 {
            let mut pieces = [&[][..]];
            if self.connection.poll_transmit(&mut pieces) == 0 {
                break;
            }
            let most = pieces[0].len().min(self.allowance);
            let Poll::Ready(written) = Pin::new(&mut self.stream).poll_write(cx, &pieces[0][..most]) else {
                return;
            };
            match written {
                Ok(len) => {
                    self.connection.transmitted(Instant::ZERO, len);
                    self.allowance =
                        if self.allowance == usize::MAX { usize::MAX } else { self.allowance - len };
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => self.allowance = 0,
            }
        }
        let ends = self.script.ends && !self.shut_down && self.script.half_closes_at == u64::MAX;
        let over = matches!(
            self.connection.poll_transport(),
            Some(TransportAction::HalfClose | TransportAction::Close)
        );
        if ends && over && Pin::new(&mut self.stream).poll_close(cx).is_ready() {
            self.shut_down = true;
            self.connection.handle_half_closed();
        }
    }
}

/// Draws a random script.
pub fn draw(mut below: impl FnMut(u64) -> u64) -> Script {
    let reads = match below(6) {
        0 => Reads::Nothing,
        1 => Reads::Some(1, SECOND),
        2 => Reads::Some(8 << 10, 1500 * MS),
        _ => Reads::Everything,
    };
    let says = match below(7) {
        0 => Says::Nothing,
        1 => Says::Trickle(1, SECOND),
        2 => Says::Trickle(1 + below(5000) as usize, (200 + below(1500)) * MS),
        3 => Says::Pings(1 + below(100) as usize, (1 + below(1000)) * MS),
        4 => Says::Messages((1 + below(3000)) * MS),
        _ => Says::Answers,
    };
    let gone_from = if below(5) == 0 { below(6 * SECOND) } else { u64::MAX };
    let half_closes_at = if below(6) == 0 { below(4 * SECOND) } else { u64::MAX };
    Script { reads, says, gone_from, half_closes_at, ends: below(4) > 0 }
}
