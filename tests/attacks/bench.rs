//! An endpoint under attack, with counters of the cost.
//!
//! A [`Victim`] passes input to one connection, counts steps and events, and measures the heap of each call. The
//! attacks themselves are in the other files.

use hybi::frame::Role;
use hybi::{
    Config, Connection, Event, Input, Instant, Outbox, Outcome, ProtocolError, SharedConfig, VecMessage,
};

use crate::heap::{ASKED, MOVED, PEAK, live};
use crate::support::drive::machine;

pub const KIB: usize = 1 << 10;

/// A connection whose peer attacks it, and the cost of the attack so far.
pub struct Victim {
    pub connection: Connection,
    message: VecMessage,
    /// Heap that was allocated while input was processed, and that is still held, in bytes.
    held: isize,
    /// Maximum of `held`.
    peak: isize,
    /// Number of calls of `poll_event`.
    pub steps: usize,
    /// Number of events. Each chunk of a message counts as an event.
    pub events: usize,
    /// Number of bytes in all delivered messages and chunks.
    pub delivered: usize,
    /// Length of the longest delivered message or chunk.
    pub largest: usize,
    pub error: Option<ProtocolError>,
    pub outcome: Option<Outcome>,
}

impl Victim {
    pub fn new(role: Role, config: Config) -> Self {
        let config: SharedConfig = config.into();
        Self::of(machine(role, &config, Outbox::new()))
    }

    pub fn of(connection: Connection) -> Self {
        ASKED.set(0);
        MOVED.set(0);
        Self {
            connection,
            message: VecMessage::new(),
            held: 0,
            peak: 0,
            steps: 0,
            events: 0,
            delivered: 0,
            largest: 0,
            error: None,
            outcome: None,
        }
    }

    /// Passes bytes to the connection as one read.
    pub fn feed(&mut self, bytes: &mut [u8]) {
        let before = live();
        PEAK.set(before);
        self.read(bytes);
        self.peak = self.peak.max(self.held + PEAK.get() - before);
        self.held += live() - before;
    }

    fn read(&mut self, bytes: &mut [u8]) {
        let mut input = Input::new(bytes, &mut self.message);
        loop {
            self.steps += 1;
            match self.connection.poll_event(Instant::ZERO, &mut input) {
                Ok(Some(event)) => {
                    let data = match event {
                        Event::Text(text) => text.as_bytes(),
                        Event::Binary(data) | Event::Chunk { data, .. } => data,
                        Event::Closed(outcome) => {
                            self.outcome = Some(outcome);
                            &[]
                        }
                        _ => &[],
                    };
                    self.events += 1;
                    self.delivered += data.len();
                    self.largest = self.largest.max(data.len());
                }
                Ok(None) => return,
                Err(error) => {
                    assert_eq!(self.error.replace(error), None, "the connection has reported a second error")
                }
            }
        }
    }

    /// Passes bytes to the connection in reads of `size` bytes.
    pub fn feed_in(&mut self, bytes: &mut [u8], size: usize) {
        bytes.chunks_mut(size).for_each(|piece| self.feed(piece));
    }

    /// Returns the peak of the heap in bytes.
    pub const fn peak(&self) -> usize {
        self.peak as usize
    }

    /// Writes all queued output.
    pub fn write(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        while self.connection.buffered_amount() > 0 {
            let mut slices = [&[][..]; 8];
            let count = self.connection.poll_transmit(&mut slices);
            let bytes = slices[..count].concat();
            self.connection.transmitted(Instant::ZERO, bytes.len());
            all.extend(bytes);
        }
        all
    }

    /// Asserts that the connection has failed with `error`, and that the only output is a Close with the code of this
    /// error.
    pub fn assert_failed(&mut self, error: ProtocolError) {
        assert_eq!(self.error, Some(error));
        let role = self.connection.role();
        let frames = crate::support::wire::decode(&self.write()).unwrap();
        let [close] = &frames[..] else { panic!("{frames:02x?}") };
        assert_eq!((close.first, close.masked), (0x88, role == Role::Client));
        assert_eq!(close.payload[..2], error.close_code().get().to_be_bytes());
    }
}

/// Returns a masking key if the attacker is a client.
pub fn key(victim: Role) -> Option<[u8; 4]> {
    (victim == Role::Server).then_some([0xA1, 0xB2, 0xC3, 0xD4])
}

pub const ROLES: [Role; 2] = [Role::Server, Role::Client];
