//! Scripted peers: a script says what they read, what they send, and whether they end.
//!
//! Their frames are valid, so only their pace can be a problem. They have no thread. The world calls them when
//! something arrives, when there is space, or when their time has come. A peer that lives longer than
//! [`OVER`](crate::setup::OVER) is reset.

use hybi::{Connection, Event, Inbox, Instant, MessageKind, TransportAction};

use crate::journal::{self, Fate};
use crate::setup::OVER;
use crate::support::cuts::Xorshift;
use crate::world::{Due, MS, SECOND, World};

/// Maximum number of Pings that a peer sends.
const MOST_PINGS: usize = 2000;
/// Maximum number of bytes of messages that a peer sends.
const MOST_SAID: usize = 1_000_000;

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
    /// Sends a message of this length at this interval.
    Messages(u64, usize),
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
            && matches!(self.says, Says::Answers | Says::Pings(..) | Says::Messages(..))
            && self.gone_from > OVER
            && self.half_closes_at > OVER
    }
}

pub struct Peer {
    connection: Connection,
    inbox: Inbox,
    script: Script,
    random: Xorshift,
    /// The times of the next read and of the next send.
    reads_at: u64,
    says_at: u64,
    /// The time for which the peer has requested a call.
    calls_at: u64,
    /// Number of bytes that may be written now.
    allowance: usize,
    said: usize,
    shut_down: bool,
    over: bool,
}

impl Peer {
    pub fn new(connection: Connection, script: Script, seed: u64) -> Self {
        Self {
            connection,
            inbox: Inbox::empty(),
            script,
            random: Xorshift::new(seed),
            reads_at: 0,
            says_at: 0,
            calls_at: 0,
            allowance: 0,
            said: 0,
            shut_down: false,
            over: false,
        }
    }

    /// Does everything that is possible now.
    pub fn play(&mut self, world: &mut World, end: usize) {
        let now = world.now();
        if self.over || now >= self.script.gone_from {
            return;
        }
        if now >= self.script.half_closes_at {
            self.allowance = 0;
            if !self.shut_down {
                self.shut_down = true;
                world.finish(end);
            }
        } else {
            self.say(world, end, now);
        }
        self.read(world, end, now);
        self.write(world, end);
        let next = [self.reads_at, self.says_at, self.script.half_closes_at];
        if let Some(next) = next.into_iter().filter(|at| *at > now && *at < OVER).min() {
            if next != self.calls_at {
                self.calls_at = next;
                world.at(next, Due::Play(end));
            }
        }
    }

    /// Queues what is due to be sent.
    fn say(&mut self, world: &mut World, end: usize, now: u64) {
        if now < self.says_at {
            return;
        }
        match self.script.says {
            Says::Nothing => (self.says_at, self.allowance) = (OVER, 0),
            Says::Answers => (self.says_at, self.allowance) = (OVER, usize::MAX),
            Says::Trickle(bytes, pause) => {
                if self.connection.buffered_amount() == 0 {
                    self.message(world, end, 50_000);
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
            Says::Messages(pause, len) => {
                if self.said < MOST_SAID && self.connection.buffered_amount() < 300_000 {
                    self.said += len;
                    self.message(world, end, len);
                }
                (self.says_at, self.allowance) = (now + pause, usize::MAX);
            }
        }
    }

    fn message(&mut self, world: &mut World, end: usize, len: usize) {
        let journal = &mut world.journals[end];
        let (kind, data) = journal::message(&mut self.random, journal.entries.len(), len);
        let sent = match kind {
            MessageKind::Text => self.connection.send_text(std::str::from_utf8(&data).unwrap()),
            MessageKind::Binary => self.connection.send_binary(&data),
        };
        if sent.is_ok() {
            let place = journal.offer(kind, data);
            journal.apply(place, Fate::Unknown);
        }
    }

    /// Reads as the script says.
    fn read(&mut self, world: &mut World, end: usize, now: u64) {
        let (most, pause) = match self.script.reads {
            Reads::Everything => (usize::MAX, 0),
            Reads::Nothing => return,
            Reads::Some(..) if now < self.reads_at => return,
            Reads::Some(most, pause) => (most, pause),
        };
        let mut left = most;
        while left > 0 {
            let space = self.connection.read_space(&mut self.inbox);
            let most = space.len().min(left);
            let len = world.take(end, &mut space[..most]);
            if len == 0 {
                if world.links[1 - end].has_ended() {
                    self.over = true;
                    world.links[1 - end].tell_end();
                    world.close_stream(end);
                    return;
                }
                break;
            }
            self.inbox.handle_read(len);
            left -= len;
            // The peer discards events. Its connection answers them.
            while let Some(Event::Closed(_) | _) = self
                .connection
                .poll_event(Instant::ZERO, &mut self.inbox)
                .expect("what the library sends is right")
            {}
        }
        if now >= self.reads_at {
            self.reads_at = now + pause;
        }
    }

    /// Writes as many bytes as the script allows.
    fn write(&mut self, world: &mut World, end: usize) {
        if self.shut_down || self.over || world.links[end].broken {
            return;
        }
        while self.allowance > 0 {
            let mut pieces = [&[][..]];
            if self.connection.poll_transmit(&mut pieces) == 0 {
                break;
            }
            let most = pieces[0].len().min(self.allowance);
            let len = world.put(end, &pieces[0][..most], true);
            if len == 0 {
                return;
            }
            self.connection.transmitted(Instant::ZERO, len);
            self.allowance = if self.allowance == usize::MAX { usize::MAX } else { self.allowance - len };
        }
        let ends = self.script.ends && self.script.half_closes_at == u64::MAX;
        let over = matches!(
            self.connection.poll_transport(),
            Some(TransportAction::HalfClose | TransportAction::Close)
        );
        if ends && over {
            self.shut_down = true;
            world.finish(end);
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
    let says = match below(8) {
        0 => Says::Nothing,
        1 => Says::Trickle(1, SECOND),
        2 => Says::Trickle(1 + below(5000) as usize, (200 + below(1500)) * MS),
        3 => Says::Pings(1 + below(100) as usize, (1 + below(1000)) * MS),
        4 => Says::Messages((1 + below(3000)) * MS, 40),
        5 => Says::Messages((10 + below(300)) * MS, 1 + below(30_000) as usize),
        _ => Says::Answers,
    };
    let gone_from = if below(5) == 0 { below(6 * SECOND) } else { u64::MAX };
    let half_closes_at = if below(6) == 0 { below(4 * SECOND) } else { u64::MAX };
    Script { reads, says, gone_from, half_closes_at, ends: below(4) > 0 }
}
