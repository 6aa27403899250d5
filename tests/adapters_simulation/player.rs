//! Scripted peers. A script decides what a peer reads and sends, and whether it ends its stream.
//!
//! The frames of a peer are valid, so only its pace can be a problem. A peer that still runs at [`OVER`] is stopped.
//! The simulations of the blocking and of the asynchronous adapters use a [`Player`]. In each simulation, `script.rs`
//! connects the player with a stream.

use hybi::{Connection, Event, Inbox, Instant, MessageKind, TransportAction};

use crate::draw::{Draw, MS, OVER, SECOND};
use crate::journal::{self, Fate, Journal};
use crate::support::cuts::Xorshift;

/// Maximum number of Pings that a peer sends.
const MAX_PINGS: usize = 2000;
/// Maximum number of bytes of messages that a peer sends.
const MAX_SAID: usize = 1_000_000;
/// A peer with more bytes than this in its queue sends no further message.
const MAX_QUEUED: usize = 300_000;

/// How a peer reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reads {
    Everything,
    Nothing,
    /// Reads this many bytes, and then pauses for this many nanoseconds.
    Some(usize, u64),
}

/// The messages and answers that a peer sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Says {
    Nothing,
    /// Answers Pings and the Close.
    Answers,
    /// Sends this many bytes of a message, and then pauses for this many nanoseconds.
    Trickle(usize, u64),
    /// Sends this many Pings at once, again and again, with a pause of this many nanoseconds.
    Pings(usize, u64),
    /// Sends messages at an interval of this many nanoseconds, each of this length.
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
    /// The peer ends its stream after both sides have sent a Close.
    pub ends: bool,
}

impl Script {
    /// Returns a random script. With `long_messages` some peers send messages of up to 30,000 bytes.
    pub fn draw(draw: &mut Draw, long_messages: bool) -> Self {
        let mut below = |bound: u64| draw.0.next() % bound;
        let reads = match below(6) {
            0 => Reads::Nothing,
            1 => Reads::Some(1, SECOND),
            2 => Reads::Some(8 << 10, 1500 * MS),
            _ => Reads::Everything,
        };
        let says = match below(7 + u64::from(long_messages)) {
            0 => Says::Nothing,
            1 => Says::Trickle(1, SECOND),
            2 => Says::Trickle(1 + below(5000) as usize, (200 + below(1500)) * MS),
            3 => Says::Pings(1 + below(100) as usize, (1 + below(1000)) * MS),
            4 => Says::Messages((1 + below(3000)) * MS, 40),
            5 if long_messages => Says::Messages((10 + below(300)) * MS, 1 + below(30_000) as usize),
            _ => Says::Answers,
        };
        let gone_from = if below(5) == 0 { below(6 * SECOND) } else { u64::MAX };
        let half_closes_at = if below(6) == 0 { below(4 * SECOND) } else { u64::MAX };
        Self { reads, says, gone_from, half_closes_at, ends: below(4) > 0 }
    }

    /// Returns whether the peer answers each Ping at once, during the whole run.
    pub const fn answers_at_once(&self) -> bool {
        matches!(self.reads, Reads::Everything)
            && matches!(self.says, Says::Answers | Says::Pings(..) | Says::Messages(..))
            && self.gone_from > OVER
            && self.half_closes_at > OVER
    }
}

/// A peer that follows a script.
pub struct Player {
    pub script: Script,
    connection: Connection,
    inbox: Inbox,
    /// The time of the next read.
    pub reads_at: u64,
    /// The time of the next send.
    pub says_at: u64,
    /// Number of bytes that may be written now.
    allowance: usize,
    said: usize,
}

impl Player {
    pub fn new(connection: Connection, script: Script) -> Self {
        let inbox = Inbox::empty();
        Self { script, connection, inbox, reads_at: 0, says_at: 0, allowance: 0, said: 0 }
    }

    /// Queues the messages and Pings that are due, and records the messages in the journal of this endpoint.
    pub fn say(&mut self, journal: &mut Journal, random: &mut Xorshift, now: u64) {
        if now < self.says_at {
            return;
        }
        match self.script.says {
            Says::Nothing => (self.says_at, self.allowance) = (OVER, 0),
            Says::Answers => (self.says_at, self.allowance) = (OVER, usize::MAX),
            Says::Trickle(bytes, pause) => {
                if self.connection.buffered_amount() == 0 {
                    self.message(journal, random, 50_000);
                }
                (self.says_at, self.allowance) = (now + pause, bytes);
            }
            Says::Pings(count, pause) => {
                let count = count.min(MAX_PINGS - self.said);
                for _ in 0..count {
                    self.said += 1;
                    // Only a few Pings are queued, and a closing connection accepts none.
                    let _ = self.connection.ping(Instant::ZERO, format!("{}", self.said).as_bytes());
                }
                (self.says_at, self.allowance) = (now + pause, usize::MAX);
            }
            Says::Messages(pause, len) => {
                if self.said < MAX_SAID && self.connection.buffered_amount() < MAX_QUEUED {
                    self.said += len;
                    self.message(journal, random, len);
                }
                (self.says_at, self.allowance) = (now + pause, usize::MAX);
            }
        }
    }

    fn message(&mut self, journal: &mut Journal, random: &mut Xorshift, len: usize) {
        let (kind, data) = journal::message(random, journal.entries.len(), len);
        let sent = match kind {
            MessageKind::Text => self.connection.send_text(std::str::from_utf8(&data).unwrap()),
            MessageKind::Binary => self.connection.send_binary(&data),
        };
        if sent.is_ok() {
            let place = journal.offer(kind, data);
            journal.apply(place, Fate::Unknown);
        }
    }

    /// Returns how many bytes may be read now, and the pause after this read, in nanoseconds.
    pub const fn may_read(&self, now: u64) -> (usize, u64) {
        match self.script.reads {
            Reads::Everything => (usize::MAX, 0),
            Reads::Some(most, pause) if now >= self.reads_at => (most, pause),
            Reads::Nothing | Reads::Some(..) => (0, 0),
        }
    }

    /// Returns space for at most `most` bytes to read.
    pub fn space(&mut self, most: usize) -> &mut [u8] {
        let space = self.connection.read_space(&mut self.inbox);
        let most = space.len().min(most);
        &mut space[..most]
    }

    /// Decodes bytes that were read. The connection answers the events, and the peer discards the events.
    pub fn decode(&mut self, len: usize) {
        self.inbox.handle_read(len);
        while let Some(Event::Closed(_) | _) = self
            .connection
            .poll_event(Instant::ZERO, &mut self.inbox)
            .expect("the library sends valid frames")
        {}
    }

    /// Stops writing until the script allows more bytes.
    pub const fn be_silent(&mut self) {
        self.allowance = 0;
    }

    /// Returns the bytes that may be written now. There may be none.
    pub fn to_write(&self) -> &[u8] {
        let mut pieces = [&[][..]];
        self.connection.poll_transmit(&mut pieces);
        let [piece] = pieces;
        &piece[..piece.len().min(self.allowance)]
    }

    /// Records that the first bytes of [`to_write`](Self::to_write) were written.
    pub fn wrote(&mut self, len: usize) {
        self.connection.transmitted(Instant::ZERO, len);
        self.allowance = if self.allowance == usize::MAX { usize::MAX } else { self.allowance - len };
    }

    /// Returns whether the peer ends its half of the stream now, because both sides have sent a Close.
    pub fn ends(&self) -> bool {
        let over = matches!(
            self.connection.poll_transport(),
            Some(TransportAction::HalfClose | TransportAction::Close)
        );
        over && self.script.ends && self.script.half_closes_at == u64::MAX
    }

    /// Records that the peer has ended its half of the stream.
    pub fn handle_half_closed(&mut self) {
        self.connection.handle_half_closed();
    }
}
