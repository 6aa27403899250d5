//! Random choices that both simulations make: links, timeouts and limits ([`Promise`]), connections, and the events of
//! the network.
//!
//! The simulations of the blocking and of the asynchronous adapters use this file. Each simulation also has a
//! `setup.rs`, which makes the random choices that only this simulation needs. Examples are the behaviour of a stream,
//! and the messages of an application.

use std::time::Duration;

use hybi::handshake::DeflateParams;
use hybi::{Config, Connection, Delivery, Instant, Outbox, Role};

use crate::link;
use crate::record::Promise;
use crate::support::cuts::Xorshift;

/// Nanoseconds in a millisecond.
pub const MS: u64 = 1_000_000;
/// Nanoseconds in a second.
pub const SECOND: u64 = 1000 * MS;

/// At this time at the latest, an application or its group closes each connection.
pub const LAST: u64 = 40 * SECOND;
/// A connection that has not ended by this time never ends. Scripted peers stop at this time.
pub const OVER: u64 = LAST + 30 * SECOND;

/// The events of the network.
#[derive(Clone, Copy, Debug, Default)]
pub struct NetworkEvents {
    /// From this time on nothing arrives.
    pub cut: Option<u64>,
    /// Nothing arrives between these times.
    pub stall: Option<(u64, u64)>,
    /// At this time the streams of both endpoints are reset.
    pub reset: Option<u64>,
    /// A reset also discards bytes that have arrived and were not read.
    pub harsh: bool,
}

/// The parameters with which the [`Connection`] of an endpoint is created.
#[derive(Clone, Debug)]
pub struct Making {
    pub role: Role,
    pub config: Config,
    pub delivery: Delivery,
    pub seed: u8,
    /// The negotiated compression, if the feature `deflate` is enabled.
    #[cfg_attr(not(feature = "deflate"), allow(dead_code, reason = "nothing is compressed then"))]
    pub deflate: Option<DeflateParams>,
}

impl Making {
    pub fn connection(&self, now: Instant) -> Connection {
        let config = self.config.clone();
        let connection = match self.role {
            Role::Server => Connection::server(now, config, Outbox::new()),
            Role::Client => Connection::client(now, config, Outbox::new(), [self.seed; 32]),
        };
        #[cfg(feature = "deflate")]
        let connection = connection.with_deflate(self.deflate);
        connection
    }

    /// Replaces the configuration with that of a scripted peer, which has no timers and no limit on its write queue.
    pub fn play(&mut self) {
        self.config =
            Config::new().ping_interval(None).pong_timeout(None).close_timeout(None).high_water(usize::MAX);
    }
}

/// A source of random choices.
pub struct Draw(pub Xorshift);

impl Draw {
    pub fn new(seed: u64) -> Self {
        Self(Xorshift::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.0.below(bound)
    }

    /// Returns true with a probability of one in `times`.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.0.below(times) == 0
    }

    pub fn one_of<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.0.below(of.len())].clone()
    }

    /// Returns a random time in `from..to`.
    pub fn time(&mut self, from: u64, to: u64) -> u64 {
        from + self.0.next() % (to - from)
    }

    pub fn maybe_time(&mut self, one_in: usize, from: u64, to: u64) -> Option<u64> {
        let time = self.time(from, to);
        (self.below(one_in) == 0).then_some(time)
    }

    pub fn link(&mut self) -> link::Habits {
        let capacity = self.one_of(&[200, 2000, 20_000, 64 << 10, 256 << 10]);
        let latency = self.one_of(&[0, 200_000, 5 * MS, 40 * MS]);
        link::Habits {
            capacity,
            latency,
            jitter: self.one_of(&[0, 0, 3 * MS, 20 * MS]),
            acknowledged: self.one_of(&[0, latency, 2 * MS]),
            low_water: self.one_of(&[1, 1, capacity / 3]),
        }
    }

    pub fn promise(&mut self) -> Promise {
        Promise {
            ping: self.maybe_time(2, 200 * MS, 4 * SECOND),
            pong: self.maybe_time(2, 200 * MS, 3 * SECOND),
            idle: self.maybe_time(5, SECOND, 12 * SECOND),
            close: self.time(300 * MS, 8 * SECOND),
            end: self.maybe_time(3, 50 * MS, 3 * SECOND),
            high_water: self.one_of(&[1, 300, 5000, 64 << 10]),
        }
    }

    /// Returns the parameters of a connection with the timeouts of `promise`.
    pub fn making(
        &mut self,
        role: Role,
        delivery: Delivery,
        promise: &Promise,
        deflate: Option<DeflateParams>,
    ) -> Making {
        let time = |nanos: Option<u64>| nanos.map(Duration::from_nanos);
        let config = Config::new()
            .delivery(delivery)
            .high_water(promise.high_water)
            .ping_interval(time(promise.ping))
            .pong_timeout(time(promise.pong))
            .idle_timeout(time(promise.idle))
            .close_timeout(time(Some(promise.close)))
            .end_timeout(time(promise.end));
        #[cfg(feature = "deflate")]
        let config = if deflate.is_some() {
            config.compression(
                hybi::deflate::Compression::new()
                    .level(1 + self.below(3) as u8)
                    .memory_level(1 + self.below(3) as u8)
                    .min_size(self.below(100))
                    .release_after(self.maybe_time(2, 100 * MS, 3 * SECOND).map(Duration::from_nanos)),
            )
        } else {
            config
        };
        Making { role, config, delivery, seed: self.below(256) as u8, deflate }
    }

    /// Returns the parameters of compression in one run of eight, and otherwise `None`.
    pub fn deflate(&mut self) -> Option<DeflateParams> {
        if cfg!(not(feature = "deflate")) {
            return None;
        }
        self.one_in(8).then(|| DeflateParams {
            server_no_context_takeover: self.one_in(2),
            client_no_context_takeover: self.one_in(2),
            ..DeflateParams::default()
        })
    }

    pub fn network_events(&mut self) -> NetworkEvents {
        let mut network_events = NetworkEvents { harsh: self.one_in(2), ..NetworkEvents::default() };
        match self.below(12) {
            0 => network_events.cut = Some(self.time(0, 6 * SECOND)),
            1 | 2 => {
                let at = self.time(0, 4 * SECOND);
                network_events.stall = Some((at, at + self.time(0, 4 * SECOND)));
            }
            3 => network_events.reset = Some(self.time(0, 6 * SECOND)),
            _ => {}
        }
        network_events
    }

    /// Returns the actions of an application, each with the time to wait before it.
    pub fn items<T>(
        &mut self,
        most: usize,
        gaps: u64,
        mut item: impl FnMut(&mut Self, usize) -> T,
    ) -> Vec<(u64, T)> {
        let count = self.below(most + 1);
        let item = |number| {
            let wait = if gaps == 0 || self.one_in(3) { 0 } else { self.time(0, gaps) };
            (wait, item(self, number))
        };
        (0..count).map(item).collect()
    }

    /// Returns the code and the reason of an application's Close.
    pub fn close(&mut self) -> (Option<u16>, &'static str) {
        let code = self.one_of(&[Some(1000), Some(1001), Some(3000), Some(4999), None]);
        (code, if code.is_some() { self.one_of(&["", "bye", "it is over, goodbye"]) } else { "" })
    }
}

/// Returns the length of a message, which is usually short. The length is below `longest`, which must exceed 60,000.
pub fn length(random: &mut Xorshift, longest: usize) -> usize {
    match random.below(100) {
        0 => 60_000 + random.below(longest - 60_000),
        1 | 2 => 15_000 + random.below(3000),
        3..=7 => 4000 + random.below(200),
        8..=20 => 100 + random.below(400),
        _ => random.below(60),
    }
}
